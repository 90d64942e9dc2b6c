"""Comparisons of strategies: the statistics are those of the textbooks, and say no more than the runs do."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evogan.api import open_run, search
from evogan.comparison import Comparison, anytime
from evogan.comparison.comparison import FRESH, SEARCH
from evogan.comparison.hypervolume import REFERENCE, Union
from evogan.comparison.ranks import critical_difference, rank, wins
from evogan.comparison.statistics import best_so_far, bootstrap_ratio, costs, quantile
from evogan.engine import Store
from evogan.engine.history import RunHistory
from evogan.genome import Gene, Genome
from evogan.report.comparison import as_document, html, markdown, sections
from evogan.space import Space
from evogan.trial import Evaluation, Trial
from tests import test_cli
from tests.conftest import mixed_space, score
from tests.test_cli import mistake
from tests.test_report import GAN_TASK, assert_self_contained, fake_gan, make_run

shell = test_cli.run
quick = settings(max_examples=40)

# Demsar 2006, table 6: AUC of four versions of C4.5 on 14 data sets (two values printed alike were ranked apart)
AUC = """
0.763 0.768 0.771 0.798
0.599 0.591 0.590 0.569
0.954 0.971 0.968 0.967
0.628 0.661 0.654 0.657
0.882 0.888 0.886 0.898
0.936 0.931 0.916 0.931
0.661 0.668 0.609 0.685
0.583 0.583 0.563 0.625
0.775 0.838 0.866 0.875
1.000 1.000 1.000 1.000
0.940 0.962 0.965 0.962
0.619 0.666 0.614 0.669
0.972 0.981 0.9751 0.975
0.957 0.978 0.946 0.970
"""

results = st.integers(2, 5).flatmap(
    lambda k: st.lists(st.lists(st.sampled_from([*range(6), math.inf]), min_size=k, max_size=k), min_size=2, max_size=8)
)


def table(rows: list[list[float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[f"s{i}" for i in range(len(rows[0]))], dtype=float)


# --- ranks


def test_nemenyi_has_the_published_quantiles() -> None:
    published = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]  # Demsar 2006, table 5a
    for k, q in enumerate(published, 2):
        blocks = 7
        assert critical_difference(k, blocks) == pytest.approx(q * math.sqrt(k * (k + 1) / (6 * blocks)), abs=2e-3)


def test_the_example_of_demsar() -> None:
    rows = [[-float(value) for value in line.split()] for line in AUC.strip().splitlines()]
    found = rank(pd.DataFrame(rows, columns=["C4.5", "m", "cf", "m+cf"]))
    assert found.means.round(3).to_dict() == {"m+cf": 1.964, "m": 2.0, "cf": 2.893, "C4.5": 3.143}
    assert found.critical_difference == pytest.approx(1.25, abs=5e-3)
    assert found.blocks == 14
    assert found.p < 0.05
    assert found.alike == [["m+cf", "m", "cf", "C4.5"]]  # 3.143 - 1.964 < 1.25


@quick
@given(st.integers(3, 6), st.integers(2, 12), st.integers(0, 99))
def test_friedman_is_its_formula(k: int, blocks: int, seed: int) -> None:
    """Without ties: 12 N / k (k + 1) (sum of squared mean ranks - k (k + 1)^2 / 4)."""
    ranks = np.array([np.random.default_rng([seed, i]).permutation(k) + 1.0 for i in range(blocks)])
    found = rank(table(ranks.tolist()))
    statistic = 12 * blocks / (k * (k + 1)) * ((ranks.mean(axis=0) ** 2).sum() - k * (k + 1) ** 2 / 4)
    assert found.statistic == pytest.approx(statistic, abs=1e-9)
    assert found.p == pytest.approx(stats.chi2.sf(statistic, k - 1), abs=1e-9)


@quick
@given(results)
def test_ranks_are_those_of_scipy(rows: list[list[float]]) -> None:
    found = rank(table(rows))
    expected = np.mean([stats.rankdata(row) for row in rows], axis=0)
    assert found.means.sort_index().to_list() == pytest.approx(expected.tolist())
    assert not math.isnan(found.p) or len(rows[0]) == 2


@quick
@given(results, st.randoms())
def test_a_monotone_transform_or_another_order_of_seeds_changes_nothing(
    rows: list[list[float]], random: object
) -> None:
    before = table(rows)
    after = table([[math.exp(value) * (i + 1) - 7 for value in row] for i, row in enumerate(rows)])
    after = after.sample(frac=1, random_state=random.randrange(99))  # type: ignore[attr-defined]
    pd.testing.assert_frame_equal(wins(before), wins(after))
    first, second = rank(before), rank(after)
    pd.testing.assert_series_equal(first.means, second.means)
    assert (first.p, first.alike) == (pytest.approx(second.p, nan_ok=True), second.alike)


def test_groups_are_the_largest_that_are_not_told_apart() -> None:
    order = [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 3.0, 4.0]]
    found = rank(table(order * 4))
    assert found.critical_difference == pytest.approx(1.354, abs=1e-3)
    assert found.alike == [["s0", "s1"], ["s1", "s2"], ["s2", "s3"]]  # means 1.33, 1.67, 3, 4


@quick
@given(results)
def test_wins_are_counted_and_the_sign_test_is_exact(rows: list[list[float]]) -> None:
    for pair in wins(table(rows)).itertuples():
        a, b = int(str(pair.one)[1:]), int(str(pair.other)[1:])
        won, lost = sum(row[a] < row[b] for row in rows), sum(row[a] > row[b] for row in rows)
        assert (pair.wins, pair.losses, pair.ties) == (won, lost, len(rows) - won - lost)
        assert pair.probability == pytest.approx((won + pair.ties / 2) / len(rows))
        n, least = won + lost, min(won, lost)
        tail = sum(math.comb(n, i) for i in range(least + 1)) / 2**n
        assert pair.p == pytest.approx(min(1.0, 2 * tail))


def test_p_values_are_corrected_for_the_number_of_pairs() -> None:
    """Holm: the smallest times their number, the next times one less, and never less than the one before."""
    found = wins(table([[0.0, 1.0, 2.0]] * 5 + [[0.0, 2.0, 1.0]]))
    assert found["p"].tolist() == pytest.approx([2 / 64, 2 / 64, 14 / 64])
    assert found["p_holm"].tolist() == pytest.approx([6 / 64, 6 / 64, 14 / 64])
    with_a_stranger = pd.concat([table([[0.0, 1.0]] * 6), pd.DataFrame({"s2": [1.0]})])
    assert wins(with_a_stranger)["p_holm"].tolist() == pytest.approx([2 / 64, 1.0, 1.0])


def test_what_is_missing_is_no_block() -> None:
    rows = table([[1.0, 2.0, 3.0], [1.0, 2.0, math.nan], [1.0, 2.0, 3.0]])
    assert rank(rows).blocks == 2
    assert wins(rows)["wins"].tolist() == [3, 2, 2]
    assert rank(rows[:0]).blocks == 0


# --- curves and targets


@quick
@given(st.lists(st.floats(-9, 9), min_size=1, max_size=9), st.sampled_from([0.025, 0.25, 0.5, 0.975]))
def test_quantiles_are_those_of_numpy(values: list[float], q: float) -> None:
    row = np.array([[*values, math.nan]])
    assert quantile(row, q)[0] == pytest.approx(np.quantile(values, q))


def test_infinities_are_numbers_to_a_quantile() -> None:
    rows = np.array([[1.0, 2.0, math.inf], [1.0, math.inf, math.inf], [math.inf] * 3, [math.nan] * 3])
    assert quantile(rows, 0.5)[:3].tolist() == [2.0, math.inf, math.inf]
    assert quantile(rows, 0.0)[:3].tolist() == [1.0, 1.0, math.inf]
    assert math.isnan(quantile(rows, 0.5)[3])


def test_bootstrap_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    ours, others = rng.gamma(20, 2, 15), rng.gamma(20, 3, 12)

    def ratio(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:  # type: ignore[type-arg]
        return np.median(x, axis=axis) / np.median(y, axis=axis)

    expected = stats.bootstrap((ours, others), ratio, method="percentile", n_resamples=20_000, rng=rng)
    value, low, high = bootstrap_ratio(ours.tolist(), others.tolist())
    assert value == pytest.approx(np.median(ours) / np.median(others))
    assert low == pytest.approx(expected.confidence_interval.low, rel=0.03)
    assert high == pytest.approx(expected.confidence_interval.high, rel=0.03)


@quick
@given(st.lists(st.sampled_from([3.0, 5.0, 20.0, math.inf]), min_size=1, max_size=6), st.permutations(range(6)))
def test_bootstrap_knows_no_order(times: list[float], order: list[int]) -> None:
    shuffled = [times[i] for i in order if i < len(times)]
    value, low, high = bootstrap_ratio(times, [10.0, 12.0])
    assert (value, low, high) == bootstrap_ratio(shuffled, [12.0, 10.0])
    assert low <= value <= high


def test_who_never_gets_there_has_an_infinite_ratio() -> None:
    assert bootstrap_ratio([math.inf] * 3, [5.0, 6.0, 7.0]) == (math.inf, math.inf, math.inf)


def test_two_that_are_the_same_are_not_told_apart() -> None:
    """Half of the runs get there, of either; those of random search that do not count with their budget."""
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(60):
        ours, others = (np.where(took > 100, math.inf, took) for took in rng.exponential(100 / math.log(2), (2, 10)))
        _, low, high = bootstrap_ratio(ours.tolist(), np.minimum(others, 100).tolist(), 100)
        wrong += low > 1 or high < 1
    assert wrong <= 4  # of 5 % 3; without the budget it is 14 % on one side alone


# --- runs


def objective(genes: Mapping[str, object]) -> float:
    if genes["width"] == 9:
        raise ValueError("too wide")
    return score(Genome(genes))  # type: ignore[arg-type]


def some_runs(folder: Path, seeds: int = 5) -> list[RunHistory]:
    return [
        search(
            mixed_space(), objective=objective, task="made up", runs=folder, strategy=strategy, seed=seed,
            evaluations=24, confirm=2, workers=1,
        )
        for strategy in ("random", "ga", "sobol")
        for seed in range(seeds)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def compared(folder: Path) -> list[RunHistory]:
    return some_runs(folder)


def test_results_are_the_fresh_replicates_of_the_winners(compared: list[RunHistory]) -> None:
    found = Comparison(compared)
    problem = found.problems[0]
    assert found.basis(problem) == FRESH
    assert found.strategies == ["ga", "random", "sobol"]
    for run in compared:
        assert run.best is not None
        mean = next(c.mean for c in run.confirmations if c.key == run.best.row.key)
        assert found.finals.loc[(problem, run.document["seed"]), run.document["strategy"]] == mean


# --- several objectives


@quick
@given(st.lists(st.tuples(st.integers(-3, 9), st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=7))
def test_what_a_front_lacks_is_counted_by_the_hypervolume(points: list[tuple[int, int, int]]) -> None:
    """Against the definition: where in the box is dominated; by inclusion and exclusion over all subsets."""
    union = Union(np.array(points, dtype=float))
    part = union.points[: len(points) // 2]

    def volume(rows: np.ndarray) -> float:  # type: ignore[type-arg]
        scaled = (rows - union.low) / union.width
        total, corners = 0.0, [(np.full(3, -math.inf), -1)]
        for row in scaled[(scaled < REFERENCE).all(axis=1)]:
            corners += [(np.maximum(row, corner), -sign) for corner, sign in corners]
        for corner, sign in corners[1:]:
            total += sign * float(np.prod(REFERENCE - corner))
        return total

    assert union.lacking(union.points) == pytest.approx(0, abs=1e-9)
    assert union.lacking(part) == pytest.approx(1 - volume(part) / volume(union.points), abs=1e-9)
    units = np.array([2.0, 1e6, 1e-3])
    in_others = Union(union.points * units + units).lacking(part * units + units)
    assert in_others == pytest.approx(union.lacking(part), abs=1e-9)


def test_of_many_objectives_the_hypervolume_is_near_enough_and_does_not_take_days() -> None:
    """Of those whose exact one is known: a point, and two that overlap; and a front that grows lacks no more."""
    rng = np.random.default_rng(0)
    for n in (6, 9):
        two = Union(np.array([[0.0] * (n - 1) + [1.0], [1.0] * (n - 1) + [0.0]]))
        one, other = REFERENCE ** (n - 1) * 0.1, 0.1 ** (n - 1) * REFERENCE
        assert two.hypervolume(two.front[:1]) == pytest.approx(one, rel=0.02)
        assert two.hypervolume(two.front) == pytest.approx(one + other - 0.1**n, rel=0.02)
        points = np.abs(rng.normal(size=(160, n)))
        union = Union(points / np.linalg.norm(points, axis=1, keepdims=True))
        lacks = [union.lacking(union.points[:k]) for k in (1, 20, 80, 159, 160)]
        assert lacks == sorted(lacks, reverse=True) and lacks[-1] == 0 < lacks[-2]


def two(genes: Mapping[str, object]) -> dict[str, float]:
    if genes["width"] == 9:
        raise ValueError("too wide")
    return {"error": score(Genome(genes)), "width": 100.0 * int(genes["width"])}  # type: ignore[arg-type, call-overload]


def test_runs_of_several_objectives_are_compared_by_hypervolume(tmp_path: Path) -> None:
    runs = [
        search(
            mixed_space(), objective=two, task="two", runs=tmp_path, strategy=strategy, seed=seed, evaluations=20,
            confirm=2, fitness="error,width", workers=1,
        )
        for strategy in ("random", "nsga2")
        for seed in range(2)
    ]  # fmt: skip
    found = Comparison(runs)
    (problem,) = found.problems
    union = found.union(problem)
    assert union is not None and found.basis(problem) == SEARCH
    assert union.reference == pytest.approx(union.front.max(axis=0) + 0.1 * np.ptp(union.front, axis=0))
    for run in runs:
        told = [told.values for told in run.history if told.values is not None]
        curve = union.so_far(run)
        assert curve.dropna().is_monotonic_decreasing and len(curve) == 20
        assert curve.iloc[-1] == pytest.approx(union.lacking(np.array(told)))
        assert found.finals.loc[(problem, run.document["seed"]), run.document["strategy"]] == curve.iloc[-1]
    assert found.anytime(problem, "nsga2")["median"].iloc[-1] == found.finals["nsga2"].median()
    assert (found.targets["target"] == found.finals["random"].max()).all()  # the worse of the middle two
    text = markdown(found)
    assert "hypervolume lacking: error, width" in text and f"width {union.reference[1]:.4g}" in text
    assert "hypervolume lacking so far" in html(found)
    assert as_document(found)["reference_points"][problem] == list(union.reference)
    short = Union.of(runs, 5)
    assert short is not None
    for run in runs:
        curve = short.so_far(run)
        assert len(curve) == 5 and (curve.dropna() >= 0).all(), "what is found later is in no union"
    alone = Comparison([run for run in runs if run.document["strategy"] == "random"])
    assert alone.union(problem) is not None


def test_a_front_that_lacks_all_is_no_target(tmp_path: Path) -> None:
    """Whatever completed first would have reached it."""

    def dominated(genes: Mapping[str, object]) -> dict[str, float]:
        return {name: value + 1e6 for name, value in two(genes).items()}

    runs = [
        search(
            mixed_space(), objective=judged, task="two", runs=tmp_path / strategy, strategy=strategy, evaluations=8,
            confirm=0, fitness="error,width", workers=1,
        )
        for strategy, judged in (("random", dominated), ("nsga2", two))
    ]  # fmt: skip
    found = Comparison(runs)
    assert found.finals.iloc[0].to_dict() == {"nsga2": 0.0, "random": 1.0}
    assert found.targets.empty
    assert "found nothing before the reference point; name one with --target" in found_note(found)
    assert Comparison(runs, target=0.5).targets["reached"].tolist() == [1, 0]


@pytest.mark.filterwarnings("ignore:run .two-mixed")
def test_a_run_of_several_objectives_in_which_nothing_completed_is_the_worst(tmp_path: Path) -> None:
    def fails(genes: Mapping[str, object]) -> dict[str, float]:
        return {"error": math.nan, "width": 1.0}

    runs = [
        search(
            mixed_space(), objective=objective, task="two", runs=tmp_path / strategy, strategy=strategy, evaluations=5,
            confirm=0, fitness="error,width", workers=1,
        )
        for strategy, objective in (("random", fails), ("nsga2", two))
    ]  # fmt: skip
    assert Comparison(runs).finals.iloc[0].to_dict() == {"nsga2": 0.0, "random": math.inf}
    assert Comparison(runs[:1]).finals.iloc[0, 0] == math.inf and markdown(Comparison(runs[:1]))


def test_a_lucky_search_does_not_win() -> None:
    """Its numbers were better, those of its fresh replicates are not."""

    def lucky(genes: Mapping[str, object]) -> float:
        first = tuple(genes.values()) not in seen
        seen.add(tuple(genes.values()))
        return score(Genome(genes)) + (-10 if first else 5)  # type: ignore[arg-type]

    def run(strategy: str, seed: int, confirm: int) -> RunHistory:
        measured = lucky if strategy == "sobol" else objective
        return search(
            mixed_space(), objective=measured, task="t", strategy=strategy, seed=seed, evaluations=12, confirm=confirm,
            workers=1, window=1,
        )  # fmt: skip

    for confirm, better in ((2, "random"), (0, "sobol")):
        seen: set[tuple[object, ...]] = set()
        found = Comparison([run(strategy, seed, confirm) for strategy in ("random", "sobol") for seed in range(6)])
        assert found.basis(found.problems[0]) == (FRESH if confirm else SEARCH)
        assert found.verdict.startswith(f"{better} is shown to be better")


def test_it_is_said_where_seeds_end_with_the_same_genome() -> None:
    """They have the same fresh replicates: six seeds are no six results."""

    def run(strategy: str, seed: int, levels: int) -> RunHistory:
        space = Space("line", [Gene(name="x", kind="float", low=0.0, high=1.0, levels=levels)])
        how: dict[str, Any] = {"evaluations": 4, "finalists": 1, "confirm": 2, "workers": 1}
        return search(space, objective=lambda genes: genes["x"], task="t", strategy=strategy, seed=seed, **how)

    for levels, said in ((4, "4 runs end with 1 genome:"), (10_001, "")):
        found = Comparison([run(strategy, seed, levels) for strategy in ("random", "sobol") for seed in range(2)])
        note = sections(found)[0].note
        assert found.basis(found.problems[0]) == FRESH
        assert said in note and ("say too much" in note) == bool(said)


def test_the_best_of_more_finalists_is_no_better() -> None:
    """By luck it would be; so the search counts."""
    space = Space("line", [Gene(name="x", kind="float", low=0.0, high=1.0)])

    def objective(genes: Mapping[str, Any]) -> float:
        return float(genes["x"])

    few, many = (
        [
            search(
                space, objective=objective, task="t", strategy=strategy, seed=seed, evaluations=12, finalists=finalists,
                confirm=1, workers=1,
            )
            for seed in range(2)
        ]
        for strategy, finalists in (("random", 1), ("sobol", 9))
    )  # fmt: skip
    for runs, basis in ((few, FRESH), (many, FRESH), (few + many, SEARCH)):
        found = Comparison(runs)
        assert found.basis(found.problems[0]) == basis


def test_winners_that_are_not_all_checked_are_no_basis(tmp_path: Path) -> None:
    """A run was stopped between the checks of two finalists: the search counts."""
    calls = itertools.count(1)

    def stopped(genes: Mapping[str, object]) -> float:
        if next(calls) > 12 + 2:
            raise KeyboardInterrupt
        return score(Genome(genes))  # type: ignore[arg-type]

    how: dict[str, Any] = {"task": "t", "runs": tmp_path, "evaluations": 12, "confirm": 2, "workers": 1, "window": 1}
    search(mixed_space(), objective=objective, strategy="random", name="whole", **how)
    with pytest.raises(KeyboardInterrupt):
        search(mixed_space(), objective=stopped, strategy="sobol", name="half", **how | {"task": "u"})
    half = open_run("half", tmp_path)
    assert [len(one.values) for one in half.confirmations] == [2] and not half.unfinished
    found = Comparison([half])
    assert found.basis(found.problems[0]) == SEARCH
    search(mixed_space(), objective=objective, strategy="sobol", name="half", **how | {"task": "u"})
    found = Comparison([open_run("half", tmp_path)])
    assert found.basis(found.problems[0]) == FRESH


def test_equal_strategies_are_not_told_apart(compared: list[RunHistory]) -> None:
    found = Comparison([run for run in compared if run.document["seed"] < 2])
    assert found.ranking.p >= 0.05
    assert found.verdict.startswith("No difference shown between the 3 strategies")
    assert "No difference shown." in markdown(found)


def test_the_target_is_the_median_run_of_random_search(compared: list[RunHistory]) -> None:
    found = Comparison(compared)
    finals = sorted(best_so_far(run).iloc[-1] for run in compared if run.document["strategy"] == "random")
    rows = found.targets.set_index("strategy")
    assert (rows["target"] == finals[2]).all()
    assert rows.loc["random", "reached"] >= 3
    for run in compared:
        if run.document["strategy"] == "ga" and run.document["seed"] == 0:
            curve = best_so_far(run)
            took = next((spent for spent, best in curve.items() if best <= finals[2]), math.inf)
            assert took in found._took(found.problems[0], "ga", finals[2])
    assert rows.loc["ga", "ratio"] == rows.loc["ga", "median"] / rows.loc["random", "median"]
    assert rows.loc["ga", "low"] <= rows.loc["ga", "ratio"] <= rows.loc["ga", "high"]


def test_a_target_that_nobody_reaches_is_said_to_be_so(compared: list[RunHistory]) -> None:
    found = Comparison(compared, target=-1.0)
    assert found.targets["reached"].tolist() == [0, 0, 0]
    assert found.targets.set_index("strategy")["ratio"].drop("random").tolist() == [math.inf, math.inf]
    text = markdown(found)
    assert "No run reached it." in text
    assert "not reached" in text
    assert json.loads(json.dumps(as_document(found), allow_nan=False))["targets"][0]["median"] is None


def test_a_target_is_said_as_the_metric_has_it() -> None:
    """Also where more is better: a recall of 0.9 is not there at once."""

    def recall(trial: Trial) -> Evaluation:
        return Evaluation(status="completed", scores=({"fid": 1.0, "manifold_recall": trial.seed % 100 / 100},))

    run = make_run(Store(), mixed_gan_space(), recall, fitness="manifold_recall", evaluations=10, fresh=0)
    found = [-(told.value or 0.0) for told in run.history]
    assert 0 < found[0] < max(found)
    rows = Comparison([run], target=max(found)).targets.iloc[0]
    assert (rows["target"], rows["median"], rows["reached"]) == (-max(found), found.index(max(found)) + 1, 1)
    assert Comparison([run], target=1.5).targets["reached"].tolist() == [0]


def test_without_random_search_there_is_no_target(compared: list[RunHistory]) -> None:
    found = Comparison([run for run in compared if run.document["strategy"] != "random"])
    assert found.targets.empty
    assert "no random search among these runs" in markdown(found)


def test_order_of_runs_does_not_matter(compared: list[RunHistory]) -> None:
    one, other = Comparison(compared), Comparison(compared[::-1])
    assert as_document(one) == as_document(other)


def test_what_is_not_finished_or_twice_is_left_out_and_named(tmp_path: Path) -> None:
    def run(name: str, seed: int, evaluations: int = 5) -> RunHistory:
        return search(
            mixed_space(), objective=objective, task="t", runs=tmp_path, name=name, seed=seed, evaluations=evaluations,
            strategy="random", workers=1,
        )  # fmt: skip

    runs = [run("stopped", 0), run("one", 0), run("again", 0)]
    runs[0].store.extend_run("stopped", {"evaluations": 9})
    found = Comparison([open_run(one.name, tmp_path) for one in runs])
    assert found.left_out == {"again": "the same search as 'one'", "stopped": "not finished: 5 of 9 evaluations"}
    assert [entry.run.name for entry in found.entries] == ["one"]
    assert found.verdict.startswith("Fewer than two strategies")
    given_twice = Comparison([runs[1], runs[1]])
    assert len(given_twice.entries) == len(given_twice.finals) == 1
    assert given_twice.left_out == {"one": "the same search as 'one'"}
    for name in ("again", "stopped"):
        assert name in markdown(found)
    assert "nothing to compare" in markdown(Comparison([]))


def test_a_run_that_searched_its_whole_space_is_finished() -> None:
    space = Space("small", [Gene(name="x", kind="int", low=0, high=3)])
    run = search(space, objective=lambda genes: float(genes["x"]), strategy="random", evaluations=9, workers=1)  # type: ignore[arg-type]
    assert not Comparison([run]).left_out


def test_strategies_of_one_name_are_told_apart_by_what_differs() -> None:
    runs = [
        search(
            mixed_space(), objective=objective, strategy="ga", options=options, window=window, evaluations=3, workers=1
        )
        for options, window in (({"population": 4}, 8), ({"population": 6}, 8), ({"population": 6}, 2))
    ]  # fmt: skip
    assert Comparison(runs).strategies == [
        "ga (population 4)",
        "ga (population 6, window 2)",
        "ga (population 6, window 8)",
    ]
    assert Comparison(runs[:1]).strategies == ["ga"]


def test_an_option_at_its_default_is_no_other_strategy_and_close_ones_are_two(tmp_path: Path) -> None:
    how: dict[str, Any] = {"objective": objective, "task": "toy", "runs": tmp_path, "evaluations": 5, "workers": 1}
    runs = [
        search(mixed_space(), strategy="ga", options=options, seed=seed, **how)
        for seed, options in enumerate(({}, {"population": 20}, {"crossover": 0.70000001}, {"crossover": 0.70000002}))
    ]
    assert Comparison(runs[:2]).strategies == ["ga"]
    assert Comparison(runs[2:]).strategies == ["ga (crossover 0.70000001)", "ga (crossover 0.70000002)"]
    assert Comparison(runs[1:3]).strategies == ["ga (crossover 0.7)", "ga (crossover 0.9)"]


def test_a_strategy_that_is_asked_for_alike_is_one_on_every_problem(tmp_path: Path) -> None:
    """What it learns from, and begins with, are other genomes on other data and in other spaces."""
    how: dict[str, Any] = {"runs": tmp_path, "evaluations": 5, "workers": 1}
    for task in ("one", "two"):
        measured = {"objective": objective, "task": task, **how}
        search(mixed_space(), name=f"random-{task}", strategy="random", **measured)
        search(mixed_space(), name=f"known-{task}", strategy="ga", learn_from="store", **measured)
        search(mixed_space(), name=f"cold-{task}", strategy="ga", **measured)
    names = [f"{kind}-{task}" for kind in ("random", "known", "cold") for task in ("one", "two")]
    runs = [open_run(name, tmp_path) for name in names]
    assert [bool(run.knowledge) for run in runs] == [False, False, False, True, False, False]
    assert Comparison(runs).strategies == ["ga (learn_from default)", "ga (learn_from store)", "random"]


def test_runs_may_be_called_otherwise_but_what_differs_is_said() -> None:
    runs = [
        search(
            mixed_space(), objective=objective, strategy="ga", options={"population": n}, evaluations=3, workers=1,
            name=f"ga-{n}",
        )
        for n in (4, 6, 8)
    ]  # fmt: skip
    called = {"ga-4": ("mine", "small"), "ga-6": ("mine", "large"), "ga-8": ("mine", "large")}
    found = Comparison(runs, called=called)
    assert found.strategies == ["large (population 6)", "large (population 8)", "small"]
    assert found.problems == ["mine"]


def test_budgets_that_differ_are_compared_at_the_smallest() -> None:
    runs = [
        search(mixed_space(), objective=objective, task="t", strategy=s, evaluations=n, confirm=1, workers=1)
        for s, n in (("random", 6), ("sobol", 20))
    ]
    found = Comparison(runs)
    assert (found.budget(found.problems[0]), found.basis(found.problems[0])) == (6, SEARCH)
    assert found.finals["sobol"].iloc[0] == best_so_far(runs[1]).loc[:6].min()


def test_sixths_of_a_training_add_up_to_the_budget() -> None:
    """The last training of the budget is the best here, and counts."""
    calls = itertools.count()

    def improves(genes: Mapping[str, object], fidelity: float = 1.0) -> float:
        return 100.0 - next(calls)

    ladder = {"fidelities": [1 / 6, 1.0], "eta": 2}
    run = search(
        mixed_space(), objective=improves, strategy="successive-halving", options=ladder, evaluations=4, workers=1
    )
    best = [told.value for told in run.history if told.fidelity == 1.0][-1]
    assert run.spent[-1] == pytest.approx(4, abs=1e-6)
    found = Comparison([run], target=best)
    (problem,) = found.problems
    assert found.finals.iloc[0, 0] == best
    assert found.anytime(problem, found.strategies[0])["median"].loc[4] == best
    assert found.targets["median"].tolist() == [4]


def test_strategies_that_never_met_are_not_tested() -> None:
    """One searched one problem, the other another: no difference could have been shown."""
    how: dict[str, Any] = {"evaluations": 5, "workers": 1}
    found = Comparison(
        [
            search(mixed_space(), objective=objective, task=task, strategy=strategy, **how)
            for task, strategy in (("one", "random"), ("another", "sobol"))
        ]
    )
    rows = next(section for section in sections(found) if section.title == "Paired wins").rows
    assert [list(row[5:]) for row in rows] == [["", "", "", "never met"]]
    assert found.verdict.startswith("No test")


def test_budgets_in_seconds_that_differ_are_problems_of_their_own() -> None:
    runs = [
        search(
            mixed_space(), objective=objective, task="t", strategy=s, evaluations=5, total_seconds=seconds, confirm=1,
            workers=1,
        )
        for s, seconds in (("random", 100.0), ("sobol", 50.0))
    ]  # fmt: skip
    assert len(Comparison(runs).problems) == 2
    assert len(Comparison(runs[:1]).problems) == 1


def test_what_random_search_did_not_reach_counts_with_all_it_had(compared: list[RunHistory]) -> None:
    best = np.median([best_so_far(run).iloc[-1] for run in compared if run.document["strategy"] == "ga"])
    worse = [r for r in compared if r.document["strategy"] == "random" and best_so_far(r).iloc[-1] > best]
    searched = [r for r in compared if r.document["strategy"] == "ga"]
    assert worse
    rows = Comparison(searched + worse, target=best).targets.set_index("strategy")
    assert rows.loc["random", "reached"] == 0 and rows.loc["ga", "reached"] > 0
    took = [next((spent for spent, value in best_so_far(run).items() if value <= best), math.inf) for run in searched]
    assert rows.loc["ga", "ratio"] == np.median(took) / 24


def test_of_few_runs_there_is_a_ratio_and_no_interval(compared: list[RunHistory]) -> None:
    """Resampled, one run has no spread at all."""
    for seeds in (1, 3, 4):
        found = Comparison([run for run in compared if run.document["seed"] < seeds])
        row = found.targets.set_index("strategy").loc["ga"]
        assert not math.isnan(row["ratio"])
        assert math.isnan(row["low"]) == math.isnan(row["high"]) == (seeds < 4)
        assert ("Of fewer than 4 runs there is no interval." in found_note(found)) == (seeds < 4)
        section = next(section for section in sections(found) if section.title == "Evaluations to target")
        assert all(cells[5] and not cells[6] for cells in section.rows if cells[1] != "random") == (seeds < 4)
        assert json.loads(json.dumps(as_document(found), allow_nan=False))["targets"]


def test_random_search_is_the_baseline_of_each_problem(compared: list[RunHistory]) -> None:
    others = [
        search(mixed_space(), objective=objective, task=task, strategy=strategy, window=5, evaluations=12, workers=1)
        for task, strategy in (("another", "random"), ("another", "ga"), ("a third", "ga"))
    ]
    found = Comparison([*compared, *others])
    first, second, third = found.problems
    assert [found.baseline(problem) for problem in found.problems] == ["random (window 8)", "random (window 5)", None]
    rows = found.targets.dropna(subset="ratio").set_index(["problem", "strategy"])
    assert (first, "ga (window 8)") in rows.index and (second, "ga (window 5)") in rows.index
    assert f"No target on {third}: no random search among these runs" in found_note(found)


def test_of_several_random_searches_the_plain_one_is_the_baseline() -> None:
    def runs(name: str, **how: Any) -> list[RunHistory]:
        how |= {"strategy": "random", "evaluations": 6, "workers": 1}
        return [search(mixed_space(), objective=objective, name=f"{name}{n}", seed=n, **how) for n in range(2)]

    plain, again = runs("plain"), runs("again", replicates=2)

    def compared_as(first: str, second: str) -> Comparison:
        called = {run.name: ("mine", second if run in plain else first) for run in [*again, *plain]}
        return Comparison([*again, *plain], called=called)

    found = compared_as("a repeated one", "one")
    assert found.baseline("mine") == "one"
    assert math.isnan(found.targets.set_index("strategy").loc["one", "ratio"])
    assert "Random search on mine is one." in found_note(found)
    assert compared_as("random", "a plain one").baseline("mine") == "random"
    assert "Random search on" not in found_note(Comparison(plain))


def found_note(found: Comparison) -> str:
    return next(section.note for section in sections(found) if section.title == "Evaluations to target")


def test_failures_repeats_and_shared_evaluations_are_counted(compared: list[RunHistory]) -> None:
    counts = Comparison(compared).counts.set_index("strategy")
    for strategy in ("random", "ga", "sobol"):
        mine = [run for run in compared if run.document["strategy"] == strategy]
        assert counts.loc[strategy, "failed"] == sum(told.value is None for run in mine for told in run.history)
        new = sum(len({told.row.key for told in run.history}) for run in mine)
        assert counts.loc[strategy, "proposals"] - counts.loc[strategy, "repeated"] == new
        assert counts.loc[strategy, "evaluations"] == 5 * 24
    keys = [{told.row.key for told in run.history} for run in compared]
    shared = sum(sum(key in other for other in keys) > 1 for mine in keys for key in mine)
    assert counts["shared"].sum() == shared


def test_a_gan_is_compared_against_kimg_and_seconds() -> None:
    found = make_run(Store(), mixed_gan_space(), fake_gan, evaluations=10)
    assert costs(found, "kimg") == [20.0 * spent for spent in found.spent]
    told = {told.row.key: told.evaluation.cost["seconds"] for told in found.history}
    assert costs(found, "seconds")[-1] == pytest.approx(sum(told.values()))
    curve = anytime([found], "seconds")
    assert curve["median"].iloc[-1] == found.ranking[0].value
    assert curve.index[-1] == costs(found, "seconds")[-1]
    assert anytime([found], "kimg").index[-1] == pytest.approx(200)


def mixed_gan_space() -> Space:
    from evogan.space import load_space

    return load_space("wdcgan_wide")


def test_problems_of_one_data_set_are_named_by_what_differs() -> None:
    tasks = [
        replace(GAN_TASK, **facts)
        for facts in ({}, {"precision": "bf16"}, {"image_size": 16}, {"fingerprint": "of fewer classes"})
    ]
    runs = [
        make_run(Store(), mixed_gan_space(), fake_gan, evaluations=2, fresh=0, task=task, name=f"{i}")
        for i, task in enumerate(tasks)
    ]
    assert Comparison(runs[:2]).problems == [f"digits/wdcgan_wide (precision {p})" for p in ("fp32", "bf16")]
    assert Comparison(runs[::2]).problems == [f"digits/wdcgan_wide (image_size {n})" for n in (8, 16)]
    assert Comparison(runs[::3]).problems[1] == "digits/wdcgan_wide (images of few)"
    assert Comparison(runs[:1]).problems == ["digits/wdcgan_wide"]


# --- pages and the command line


def test_the_page_needs_nothing_but_itself(compared: list[RunHistory]) -> None:
    page = html(Comparison(compared))
    assert_self_contained(page)
    assert page.count('<svg class="figure"') == 3  # two anytime plots, the critical difference
    for title in ("Results", "Mean ranks", "Paired wins", "Evaluations to target", "What was counted"):
        assert f"<h2>{title}</h2>" in page
    assert "prefers-color-scheme: dark" in page
    assert len(page) < 1_000_000


def test_names_are_only_names() -> None:
    runs = [
        search(mixed_space(), objective=objective, task="<script>|x|$a$", strategy=strategy, evaluations=3, workers=1)
        for strategy in ("random", "sobol")
    ]
    found = Comparison(runs)
    assert "<script" not in html(found)
    cells = next(line for line in markdown(found).splitlines() if "script" in line and "| random |" in line)
    assert "\\<script\\>\\|x\\|" in cells


def test_compare_prints_and_writes(
    shell: test_cli.Run, folder: Path, compared: list[RunHistory], tmp_path: Path
) -> None:
    done = shell(f"compare --all --runs {folder} --out page.html")
    assert (done.code, done.err) == (0, "")
    for word in ("Mean ranks", "Paired wins", "ga", "sobol", "fresh replicates"):
        assert word in done.out
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    names = " ".join(run.name for run in compared[:10])
    assert shell(f"compare {names} --runs {folder} --target 0.5 --out table.md").code == 0
    assert "| --- |" in (tmp_path / "table.md").read_text()
    document = json.loads(shell(f"compare --all --runs {folder} --json").out)
    assert document["verdict"] == Comparison(compared).verdict


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("compare", ("--all",)),
        ("compare nothing", ("unknown run 'nothing'", "allowed")),
        ("compare --all --target nan", ("target", "finite")),
        ("compare --all --out page.pdf", ("page.pdf", ".md or .html")),
    ],
)
def test_mistakes_are_one_line(
    shell: test_cli.Run, folder: Path, compared: list[RunHistory], command: str, parts: tuple[str, ...]
) -> None:
    mistake(shell(f"{command} --runs {folder}"), *parts)
