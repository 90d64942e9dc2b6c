"""What is known of other tasks: it helps where it is right, harms little where it is wrong, and is recorded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, rankdata
from threadpoolctl import threadpool_info

import evogan
from evogan import Gene, Space, shipped
from evogan.engine import Judge
from evogan.errors import UserError
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.report import facts
from evogan.runs.knowledge import read_sources, settle_sources
from evogan.runs.own import Own, families_of
from evogan.runs.place import Place
from evogan.space import load_space
from evogan.strategies import make_strategy
from evogan.strategies.knowledge import ROWS, Knowledge, Model, Prior, Source, entered, thinned

SQUARE = Space(
    "square",
    [
        Gene(name="x", kind="float", low=-1.0, high=1.0),
        Gene(name="y", kind="float", low=-1.0, high=1.0),
        Gene(name="kind", kind="choice", values=("a", "b")),
        Gene(name="z", kind="int", low=1, high=9, when={"kind": ("b",)}),
    ],
)
GAN_SPACES = [load_space(name, GENES) for name in ("wdcgan_wide", "modern", "anything", "kurach", "wdcgan")]


def bowl(x: float, y: float, seed: int = 0, rows: int = 60, turned: bool = False) -> Source:
    """A task whose best genome is near (x, y)."""
    rng = np.random.default_rng(seed)
    genomes = [SQUARE.decode(vector) for vector in rng.random((rows, 4))]
    sign = -1.0 if turned else 1.0
    known = ((g, sign * float((g["x"] - x) ** 2 + (g["y"] - y) ** 2)) for g in genomes)  # type: ignore[operator]
    return Source(f"at {x}, {y}", "bowl", tuple(thinned(known)))


def away(genome: Genome, x: float, y: float) -> float:
    return float(np.hypot(genome["x"] - x, genome["y"] - y))  # type: ignore[operator]


# --- the portfolio


def test_the_portfolio_serves_every_task() -> None:
    """One that is near to both first, then some that are near to either."""
    known = Knowledge.of([bowl(-0.6, -0.6), bowl(0.6, 0.6, 1)], SQUARE, 6)
    first, *others = known.portfolio
    assert len({SQUARE.key(genome) for genome in known.portfolio}) == 6
    assert abs(away(first, -0.6, -0.6) - away(first, 0.6, 0.6)) < 0.8
    for x in (-0.6, 0.6):
        assert min(away(genome, x, x) for genome in others) < 0.35


def test_the_first_is_the_best_in_the_mean_over_tasks() -> None:
    sources = [bowl(-0.3, 0.0), bowl(0.3, 0.1, 1), bowl(0.2, -0.2, 2)]
    known = Knowledge.of(sources, SQUARE, 3)
    models = [Model.of(source, SQUARE) for source in sources]
    candidates = [genome for source in sources for genome, _ in source.rows[:40]]
    x = np.array([SQUARE.encode(genome) for genome in candidates])
    mean = np.mean([model(x) for model in models if model], axis=0)
    assert all(models) and known.portfolio[0] == candidates[int(np.argmin(mean))]


def test_what_failed_elsewhere_is_not_begun_with() -> None:
    """Of a small source failures are among the first forty rows, and the model is to know them."""
    rows = bowl(0.0, 0.0).rows
    source = Source("small", "bowl", (*rows[:6], *((genome, None) for genome, _ in rows[6:])))
    failed = {SQUARE.key(genome) for genome, value in source.rows if value is None}
    found = Knowledge.of([source], SQUARE, 8)
    assert len(found.portfolio) == 6 and not failed & {SQUARE.key(genome) for genome in found.portfolio}


def test_the_portfolio_is_the_same_every_time_and_no_larger_than_asked() -> None:
    sources = [bowl(-0.6, -0.6), bowl(0.6, 0.6, 1)]
    assert Knowledge.of(sources, SQUARE, 5) == Knowledge.of(sources, SQUARE, 5)
    assert Knowledge.of(sources, SQUARE, 5).portfolio[:3] == Knowledge.of(sources, SQUARE, 3).portfolio
    assert Knowledge.of(sources, SQUARE, 0).portfolio == ()


@settings(max_examples=25)
@given(st.data())
def test_genomes_of_any_space_enter_any_other(data: st.DataObject) -> None:
    one, other = (data.draw(st.sampled_from(GAN_SPACES)) for _ in range(2))
    vector = data.draw(st.lists(st.floats(0, 1), min_size=one.dimension, max_size=one.dimension))
    genome = one.decode(vector)
    found = entered(genome, other)
    assert other.snap(found) == (found, [])  # it lies inside, on levels
    assert entered(found, other) == found
    if one is other:
        assert found == genome


def test_what_a_space_has_otherwise_moves_to_the_nearest_or_the_default() -> None:
    narrow = Space(
        "narrow",
        [
            Gene(name="filters", kind="int", low=8, high=16),
            Gene(name="learning_rate", kind="float", low=1e-4, high=1e-3, scale="log", levels=3),
            Gene(name="critic_norm", kind="choice", values=("none", "batch")),
            Gene(name="slope", kind="float", low=0.0, high=0.5, levels=6),
        ],
        table=GENES,
    )
    genome = {"filters": 64, "learning_rate": 4e-4, "critic_norm": "layer", "ema": 0.99}
    default = min(max(GENES["slope"].default, 0.0), 0.5)
    assert entered(genome, narrow) == {
        "filters": 16,
        "learning_rate": pytest.approx(10**-3.5, rel=1e-4),
        "critic_norm": GENES["critic_norm"].default,
        "slope": pytest.approx(default),
    }


# --- rows


def test_the_best_half_and_a_spread_are_kept() -> None:
    rng = np.random.default_rng(0)
    values = [float(v) if v > 0.1 else None for v in rng.random(2000)]
    kept = [value for _, value in thinned(enumerate(values))]
    completed = sorted(value for value in values if value is not None)
    assert kept[: ROWS // 2] == completed[: ROWS // 2]
    assert len(kept) == ROWS
    assert kept[-1] is None
    assert kept.count(None) == pytest.approx(ROWS / 2 * values.count(None) / len(values), abs=3)


def test_scores_are_normal_scores_of_ranks() -> None:
    values = [3.0, 1.0, 1.0, 2.0, None, None]
    source = Source("s", "d", tuple((Genome({"x": i}), value) for i, value in enumerate(values)))
    ranks = rankdata([v if v is not None else np.inf for v in values])
    assert source.scores == pytest.approx(norm.ppf((ranks - 0.5) / 6))


def test_knowledge_is_plain_data_and_back() -> None:
    odd = Source("odd", "d", ((Genome({"x": 0.5, "kind": True}), 1.0), (Genome({"x": 1, "kind": 1}), None)))
    known = Knowledge.of([bowl(0.0, 0.5), odd], SQUARE, 4)
    back = Knowledge.recorded(json.loads(json.dumps(known.document())))
    assert back == known
    assert [type(g["kind"]) for g, _ in back.sources[1].rows] == [bool, int]


# --- the prior


def evidence(turned: bool, n: int) -> tuple[Prior, np.ndarray, np.ndarray]:
    prior = Knowledge.of([bowl(0.3, -0.3, turned=turned)], SQUARE, 0).prior(SQUARE)
    rng = np.random.default_rng(5)
    x = rng.random((n, 4))
    y = np.array([away(SQUARE.decode(vector), 0.3, -0.3) ** 2 for vector in x])
    return prior, x, y


def test_a_prior_that_is_right_is_a_trend_and_one_that_misleads_is_overruled() -> None:
    at = np.random.default_rng(7).random((200, 4))
    truth = np.array([away(SQUARE.decode(vector), 0.3, -0.3) for vector in at])
    for turned in (False, True):
        prior, x, y = evidence(turned, 12)
        told = prior.fitted(x, y)(at)
        assert np.corrcoef(rankdata(told), rankdata(truth))[0, 1] > 0.8, turned
    prior, x, y = evidence(True, 2)
    believed = prior.fitted(x[:1], y[:1])(at)  # nothing was seen yet that could overrule it
    assert np.corrcoef(rankdata(believed), rankdata(truth))[0, 1] < -0.8


def test_a_prior_that_says_nothing_has_little_weight() -> None:
    rng = np.random.default_rng(1)
    source = bowl(0.3, -0.3)
    values = [value for _, value in source.rows]
    shuffled = Source("s", "d", tuple(zip((genome for genome, _ in source.rows), rng.permutation(values), strict=True)))
    odd, sound = Model.of(shuffled, SQUARE), Model.of(source, SQUARE)
    assert odd and sound and odd.reliability < 0.3 and sound.reliability > 0.7
    _, x, y = evidence(False, 40)
    trend = Knowledge.of([shuffled], SQUARE, 0).prior(SQUARE).fitted(x, y)(x)
    assert trend.std() < 0.35 * y.std()


# --- where it is from

OTHERS = Own(frozenset({"mine"}), of_a_gan=True)


def sources(*names: str, own: Own = OTHERS, fitness: str = "fid") -> set[str]:
    return {source.name for source in read_sources(names, Judge.of(fitness), own, Place(None))}


def test_own_data_are_left_out_unless_they_are_named() -> None:
    assert sources("tables") == set(shipped.names("benchmarks/tables")) - {"digits-conditional"}
    assert sources("auto", own=Own(frozenset({"mnist"}), True)) == {
        "digits-modern",
        "digits-wdcgan_wide",
        "digits-wgan_gp",
        "fashion_mnist_8-wdcgan_wide",
    }
    renamed = Own(frozenset({"pictures", "adc37910b65d9ab8"}), True)  # by what it is, whatever it is called
    assert "digits-wdcgan_wide" not in sources("tables", own=renamed)
    assert sources("mnist-wdcgan", own=Own(frozenset({"mnist"}), True)) == {"mnist-wdcgan"}


def test_what_is_told_classes_says_nothing_of_gans_that_are_not() -> None:
    """Unless it is named; a conditional search learns from all."""
    everything = set(shipped.names("benchmarks/tables"))
    assert sources("tables", own=OTHERS.searching(evogan.load_space("modern"))) == everything - {"digits-conditional"}
    assert sources("tables", own=OTHERS.searching(evogan.load_space("conditional"))) == everything
    assert sources("digits-conditional") == {"digits-conditional"}
    free = Space("free", [Gene(name="condition", kind="choice", values=("none", "labels"))], table=GENES)
    assert OTHERS.searching(free).conditional


def test_gans_of_another_family_are_left_out_unless_they_are_named() -> None:
    other = Own(frozenset({"mine"}), True, families_of(evogan.load_space("translation")))
    assert other.families == {"translation"} and sources("auto", own=other) == set()
    assert sources("mnist-wdcgan", own=other) == {"mnist-wdcgan"}
    assert families_of(evogan.load_space("modern")) == OTHERS.families


# --- runs


def near(x: float, y: float):  # type: ignore[no-untyped-def]
    def objective(genes: dict[str, float], fidelity: float = 1.0) -> float:
        return (genes["x"] - x) ** 2 + (genes["y"] - y) ** 2 + 0.1 * (1 - fidelity)

    return objective


def search(runs: Path, name: str, at: float = 0.5, **asked: object) -> evogan.Run:
    asked = {"strategy": "random", "evaluations": 30, "workers": 1, "task": f"near {at}"} | asked
    return evogan.search(SQUARE, objective=near(at, at), runs=runs, name=name, **asked)


def slopes(genes: dict[str, float]) -> dict[str, float]:
    return {"fid": abs(genes["slope"] - 0.2) + genes["clip"]}


def told(run: evogan.Run) -> list[tuple[object, ...]]:
    return [(t.row.genome, t.row.fidelity, t.row.operator, t.value) for t in run.history]


@pytest.mark.parametrize("strategy", ["assisted", "auto", "tpe", "de", "hyperband"])
def test_every_strategy_begins_with_the_portfolio_after_the_users_seeds(tmp_path: Path, strategy: str) -> None:
    search(tmp_path, "known")
    mine = {"x": 1.0, "y": -1.0, "kind": "a"}
    run = search(tmp_path, "new", 0.4, strategy=strategy, evaluations=9, learn_from="known", seed_genomes=[mine])
    assert [t.row.operator for t in run.history[:5]] == ["seed", *["portfolio"] * 4]
    assert run.history[0].row.genome == mine
    assert tuple(t.row.genome for t in run.history[1:5]) == run.knowledge.portfolio
    assert [source.name for source in run.knowledge.sources] == ["known"]


def test_a_run_goes_on_exactly_whatever_has_become_of_its_sources(tmp_path: Path) -> None:
    asked = {"strategy": "assisted", "options": {"initial": 6, "fidelities": [0.5, 1.0]}, "learn_from": ["known"]}
    search(tmp_path / "straight", "known")
    straight = search(tmp_path / "straight", "new", 0.3, **asked, evaluations=20)
    search(tmp_path / "halves", "known")
    search(tmp_path / "halves", "new", 0.3, **asked, evaluations=20, total_seconds=None, target=1e-1)
    assert 0 < len(evogan.open_run("new", tmp_path / "halves").history) < len(straight.history)
    search(tmp_path / "halves", "known", evaluations=60)  # it grew
    whole = search(tmp_path / "halves", "new", 0.3, **asked, evaluations=20)
    assert told(whole) == told(straight)
    assert whole.knowledge == straight.knowledge


def test_a_source_that_is_a_file_may_vanish(tmp_path: Path) -> None:
    table = shipped.find("benchmarks/tables", "mnist-wdcgan")
    for suffix in (".parquet", ".json"):
        shutil.copy(table.with_suffix(suffix), tmp_path / f"mine{suffix}")
    genes = [Gene(name=name, kind="float", low=0.0, high=0.5) for name in ("slope", "clip")]
    space = Space("slopes", genes)

    def go(runs: str, **more: object) -> evogan.Run:
        asked = {"task": "slopes", "fitness": "fid", "evaluations": 14, "workers": 1, "name": "new"} | more
        return evogan.search(space, objective=slopes, runs=tmp_path / runs, strategy="assisted", **asked)

    straight = go("straight", learn_from=tmp_path / "mine.parquet")
    first = go("halves", learn_from=tmp_path / "mine.parquet", target=1e9)
    (tmp_path / "mine.parquet").unlink()
    whole = go("halves", learn_from=tmp_path / "mine.parquet")
    assert 0 < len(first.history) < len(whole.history) == len(straight.history)
    assert told(whole) == told(straight)
    assert straight.history[0].row.operator == "portfolio"
    assert "mine (192 genomes of mnist)" in facts.knowledge(whole)


def test_an_older_run_goes_on_without(tmp_path: Path) -> None:
    small = {"kimg": 0.3, "samples": 100, "confirm": 0, "workers": 1, "runs": tmp_path, "name": "old"}
    before = evogan.search("wdcgan", "digits", learn_from="none", evaluations=2, **small)
    assert not before.knowledge
    after = evogan.search("wdcgan", "digits", evaluations=3, **small)  # nobody asked for anything else than it has
    assert not after.knowledge and len(after.history) == 3
    with pytest.raises(UserError, match="started with another learn_from"):
        evogan.search("wdcgan", "digits", evaluations=3, learn_from="tables", **small)


def test_by_default_auto_learns_for_fid_alone() -> None:
    assert settle_sources("auto", by_default=True) == ("auto",)
    assert settle_sources(("auto",), by_default=False) == ()
    assert settle_sources("none", by_default=True) == ()
    assert settle_sources(["a", "b", "a"], by_default=False) == ("a", "b")


def test_a_store_knows_other_tasks_of_the_same_kind(tmp_path: Path) -> None:
    search(tmp_path, "one", 0.1)
    search(tmp_path, "two", -0.2)
    run = search(tmp_path, "three", 0.3, learn_from="store", evaluations=12)
    assert sorted(source.data for source in run.knowledge.sources) == ["near -0.2 on square", "near 0.1 on square"]
    again = search(tmp_path, "four", 0.1, learn_from="store", evaluations=12)
    assert "near 0.1 on square" not in {source.data for source in again.knowledge.sources}


def test_an_attempt_without_what_judges_is_no_failure(tmp_path: Path) -> None:
    """What is measured now was not, so all was trained again: the later attempts count."""

    def measured(genes: Mapping[str, Any]) -> dict[str, float]:
        return {"value": genes["x"] ** 2, **({"other": genes["x"] ** 2 + 1} if late else {})}

    how: dict[str, Any] = {"objective": measured, "task": "t", "runs": tmp_path, "evaluations": 6, "workers": 1}
    late = False
    evogan.search(SQUARE, strategy="random", name="early", **how)
    late = True
    late_run = evogan.search(SQUARE, strategy="random", name="late", fitness="other", **how)
    own = Own(frozenset({"elsewhere"}), of_a_gan=False)
    (source,) = read_sources(("store",), Judge("other"), own, Place(tmp_path))
    assert sorted(value or 0 for _, value in source.rows) == sorted(told.value or 0 for told in late_run.history)


@pytest.mark.filterwarnings("ignore::evogan.errors.NothingCompleted")
@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("nope", "unknown source 'nope'"),
        ("nope.parquet", "no file 'nope.parquet'"),
        (["none", "one"], "learn_from: 'none' stands alone"),
        (3, "learn_from must be names"),
        ("other", "run 'other' has no value"),
        ("failed", "nothing completed of run 'failed'"),
        ("mnist-wdcgan", "table 'mnist-wdcgan' has no value"),
    ],
)
def test_a_source_that_teaches_nothing_is_told_of(tmp_path: Path, named: object, why: str) -> None:
    def elsewhere(genes: dict[str, float]) -> dict[str, float]:
        return {"speed": 1.0}

    def fails(genes: dict[str, float]) -> float:
        return float("nan")

    more = {"strategy": "random", "evaluations": 2, "workers": 1, "runs": tmp_path}
    evogan.search(SQUARE, objective=elsewhere, fitness="speed", task="other", name="other", **more)
    evogan.search(SQUARE, objective=fails, task="failed", name="failed", **more)
    with pytest.raises(UserError, match=why) as error:
        search(tmp_path, "new", learn_from=named)
    assert "\n" not in str(error.value)
    assert "new" not in evogan.open_run("other", tmp_path).store.names()


def test_without_a_shared_gene_a_search_goes_on_cold(tmp_path: Path) -> None:
    search(tmp_path, "known")
    space = Space("other", [Gene(name="w", kind="float", low=0.0, high=1.0)])
    asked = {"runs": tmp_path, "task": "w", "workers": 1, "evaluations": 5, "learn_from": "known"}
    run = evogan.search(space, objective=lambda genes: genes["w"], name="cold", **asked)
    assert not run.knowledge and len(run.history) == 5
    assert "no other task is known that shares a gene" in facts.knowledge(run)


@pytest.mark.parametrize("form", ["code", "paper"])
def test_a_gene_that_a_source_had_at_one_value_or_not_at_all_is_learned(form: str) -> None:
    """A searcher puts inactive genes where this value lies, if that is the second of two."""
    genes = [
        Gene(name="kind", kind="choice", values=("a", "b")),
        Gene(name="form", kind="choice", values=("code", "paper"), when={"kind": ("b",)}),
        Gene(name="x", kind="float", low=0.0, high=1.0, levels=11),
    ]
    space = Space("conditional", genes)
    rows = tuple(
        (Genome({"kind": "b", "form": form, "x": i / 10} if i % 2 else {"kind": "a", "x": i / 10}), float(i))
        for i in range(8)
    )
    strategy = make_strategy("assisted", space, 0)
    known = Knowledge.of([Source("run", "data", rows)], space, 4)
    strategy.learn(Knowledge.recorded(known.document()))
    assert strategy.ask() is not None


def test_a_model_of_another_length_is_damaged() -> None:
    known = Knowledge.of([bowl(0, 0)], SQUARE, 2)
    document = known.document()
    document["sources"][0]["fitted"].pop()
    with pytest.raises(UserError, match=r"knows of 'at 0, 0' is damaged: 7 numbers of its model, not 8"):
        Knowledge.recorded(document).prior(SQUARE)


def test_it_is_learned_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """More change sums, and where the machine is busy they take ten times as long."""
    threads: list[int] = []

    def watched(source: Source, *rest: object) -> Model | None:
        threads.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return made(source, *rest)  # type: ignore[arg-type]

    made = Model.of
    monkeypatch.setattr(Model, "of", watched)
    Knowledge.of([bowl(0, 0)], SQUARE, 2)
    assert threads and set(threads) == {1}
