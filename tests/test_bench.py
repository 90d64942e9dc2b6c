"""Tables stand in for training: their noise is that of replicates, their truth the mean of replays, cells are exact."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from evogan import UserError, load_table, open_run, resume, run_bench, shipped
from evogan.bench.bench import Replay, _check_task, _loaded, _settings, _spread, _train
from evogan.bench.surrogate import Cells, Surrogate
from evogan.comparison import Comparison
from evogan.engine import Broker, Judge, LocalExecutor, Loop, Store
from evogan.engine.executors.simulated import SimulatedExecutor
from evogan.engine.history import RunHistory
from evogan.evaluation.evaluator import GANEvaluator
from evogan.fitness.features import NETWORKS
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.optuna import suggest
from evogan.runs.gans import GANProblem
from evogan.runs.launch import Outside
from evogan.runs.place import Place
from evogan.runs.table import Table, tabulate
from evogan.settings import BenchSettings, GANSettings
from evogan.space import Space, load_space
from evogan.strategies import make_strategy
from evogan.trial import CHECKPOINTS, Evaluation, GANTask, Trial
from tests.test_cli import Result, mistake, run

__all__ = ["run"]  # a fixture
Command = Callable[..., Result]
SPACE = load_space("wdcgan")
NOISE = np.array(
    [[0.09, 0.05, 0.04, 0.03], [0.05, 0.06, 0.05, 0.04], [0.04, 0.05, 0.06, 0.04], [0.03, 0.04, 0.04, 0.05]]
)
TASK = GANTask(name="digits", fingerprint="f", image_size=8, channels=1, kimg=10.0, features="x")
CORNER = 0.8  # of the second gene, beyond which training fails
SMALL = Space.from_document(
    {
        "name": "tiny",
        "reference": ["wdcgan"],
        "genes": {
            "filters": {"kind": "int", "low": 8, "high": 64, "scale": "log", "levels": 4},
            "clip": {"kind": "float", "low": 0.01, "high": 0.1, "scale": "log", "levels": 3},
        },
    },
    GENES,
)


def true_log(space: Space, genome: Genome) -> float:
    vector = space.encode(genome)
    return 3.0 + 2.0 * (vector[0] - 0.6) ** 2 + vector[1]


def recorded(space: Space, name: str, strategy: str, evaluations: int, replicates: int = 1) -> RunHistory:
    """A run whose trainings are made up, with noise of known size; one corner of the space fails."""
    reached: dict[tuple[str, int], float] = {}

    def train(trial: Trial) -> Evaluation:
        before = reached.get((trial.key, trial.replicate), 0.0)
        reached[trial.key, trial.replicate] = trial.fidelity
        cost = {"seconds": (trial.fidelity - before) * 5.0 * float(trial.genome["filters"]) / 16}
        if space.encode(trial.genome)[1] > CORNER:
            return Evaluation(status="diverged", reason="a corner", cost=cost)
        noise = np.random.default_rng(trial.seed).multivariate_normal(np.zeros(4), NOISE)
        logs = true_log(space, trial.genome) + np.array([0.6, 0.2, 0.1, 0.0]) + noise
        scores = tuple(
            {"fid": float(fid), "fidelity": c, "kimg": 10 * c, "seconds": 1.0, "parameters": 9.0}
            for c, fid in zip(CHECKPOINTS, np.exp(logs), strict=True)
            if c <= trial.fidelity
        )
        return Evaluation(status="completed", scores=scores, cost=cost, provenance={"continued_from": before})

    store = Store()
    gan = {"data": "digits", "kimg": 10.0, "samples": 5000}
    document = {"fitness": "fid", "strategy": strategy, "space": space.document()}
    document |= {"seed": 0, "evaluations": evaluations, "confirm": 0}
    store.add_run(name, document | {"gan": gan, "data": "digits", "task": TASK.key})
    broker = Broker(store, LocalExecutor(train))
    made = make_strategy(strategy, space, 0)
    Loop(
        *(name, space, made, TASK, Judge("fid"), broker),
        seed=0, evaluations=evaluations, window=4, replicates=replicates,
    ).go()  # fmt: skip
    return RunHistory(store, name)


FACTS = {"data": "digits", "gan": {"data": "digits", "kimg": 10.0}, "task": {}, "genomes": 1, "rows": 1, "failed": 0}


@pytest.fixture(scope="module")
def table() -> Table:
    return Table("made-up", tabulate([recorded(SPACE, "r", "random", 600, replicates=2)]), SPACE, FACTS)


@pytest.fixture(scope="module")
def cells() -> Table:
    return Table("tiny", tabulate([recorded(SMALL, "r", "grid", 12)]), SMALL, FACTS)


@pytest.fixture(scope="module")
def written(table: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "made-up.parquet"
    table.write(path)
    return path


@pytest.fixture(scope="module")
def surrogate(written: Path) -> Surrogate:
    """The one that replays in this process ask, too: a model takes seconds to make."""
    loaded = _loaded(str(written), "surrogate", "fid")
    assert isinstance(loaded, Surrogate)
    return loaded


def write_few(table: Table, genomes: int, path: Path) -> Path:
    """The trainings of the first genomes of a table, of which a model is soon made."""
    path.parent.mkdir(exist_ok=True)
    rows = table.rows[table.rows["key"].isin(table.rows["key"].unique()[:genomes])].reset_index(drop=True)
    Table(path.stem, rows, SPACE, FACTS).write(path)
    return path


def at(ground: Surrogate, genome: Genome, fidelity: float = 1.0, replicate: int = 0) -> Evaluation:
    return ground(Trial(genome, GENES.key(genome), TASK, fidelity, replicate))


def good(table: Table) -> list[Genome]:
    """Genomes far from the corner that fails."""
    return [genome for genome in dict.fromkeys(table.genomes) if table.space.encode(genome)[1] < 0.4]


# --- the table


def test_a_table_has_every_full_training_failures_too(table: Table) -> None:
    failed = table.rows[table.rows["status"] == "diverged"]
    assert len(table.rows) == 600 and table.rows["key"].nunique() == 300
    assert len(failed) == sum(SPACE.encode(genome)[1] > CORNER for genome in table.genomes) > 0
    assert failed[[f"fid@{c:g}" for c in CHECKPOINTS]].isna().all(axis=None)
    assert table.checkpoints == list(CHECKPOINTS)
    assert table.metrics == ["fid"]


def test_a_training_told_to_several_runs_is_there_once() -> None:
    one = recorded(SMALL, "one", "grid", 12)
    rows = tabulate([one, one])
    assert len(rows) == 12 and set(rows["origin"]) == {"grid"}


def test_a_training_that_went_on_costs_what_a_whole_one_does() -> None:
    """Else rows of strategies that train in part would be cheap."""
    rows = tabulate([recorded(SPACE, "r", "hyperband", 30)])
    rows = rows[rows["status"] == "completed"]
    assert len(rows) > 5
    assert rows["seconds"].to_numpy() == pytest.approx(5.0 * rows["gene.filters"].to_numpy(dtype=float) / 16)


def test_its_genomes_are_those_that_were_trained(table: Table) -> None:
    assert [SPACE.key(genome) for genome in table.genomes] == list(table.rows["key"])


def test_a_table_is_read_as_it_was_written(table: Table, written: Path) -> None:
    again = Table.read(written)
    pd.testing.assert_frame_equal(again.rows, table.rows)
    assert (again.name, dict(again.facts)) == ("made-up", FACTS)
    assert again.genomes == table.genomes


def test_a_table_that_does_not_fit_is_refused(table: Table, written: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    path.write_bytes(written.read_bytes())
    with pytest.raises(UserError, match=r"other.json': a table is a .parquet and the .json"):
        Table.read(path)
    document = json.loads(written.with_suffix(".json").read_text())
    del document["space"]["genes"]["clip"]
    path.with_suffix(".json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"does not fit its description: gene.clip in only one"):
        Table.read(path)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(UserError, match="describes no table"):
        Table.read(path)
    path.with_suffix(".json").write_bytes(written.with_suffix(".json").read_bytes())
    wider = json.loads(written.with_suffix(".json").read_text())
    wider["space"]["genes"]["filters"]["high"] = 512
    path.with_suffix(".json").write_text(json.dumps(wider))
    with pytest.raises(UserError, match="does not fit its description: a genome .* is not in its space"):
        Table.read(path)
    older = json.loads(written.with_suffix(".json").read_text())
    del older["facts"]["gan"]
    path.with_suffix(".json").write_text(json.dumps(older))
    with pytest.raises(UserError, match="no table of this version of evogan, 'gan' is missing"):
        Table.read(path)
    path.with_suffix(".json").write_bytes(written.with_suffix(".json").read_bytes())
    for space in ({"name": "s", "genes": {}}, None):
        path.with_suffix(".json").write_text(json.dumps({"space": space, "facts": {}}))
        with pytest.raises(UserError, match=r"other.json: "):
            Table.read(path)
    path.with_suffix(".json").write_bytes(written.with_suffix(".json").read_bytes())
    for spoilt in (
        table.rows.assign(**{"gene.clip": "text"}),
        table.rows.assign(**{"kid@1": 1.0}),
        table.rows.assign(**{"fid@abc": 1.0}),
        table.rows.assign(**{"fid@1": "text"}),
        table.rows.assign(seconds=0.0),
        table.rows.assign(status="done"),
    ):
        spoilt.to_parquet(path)
        with pytest.raises(UserError, match=r"other.parquet: no table of this version of evogan \("):
            Table.read(path)
    path.write_text("no parquet")
    with pytest.raises(UserError, match="no parquet file"):
        Table.read(path)
    with pytest.raises(UserError, match="no file"):
        Table.read(tmp_path / "absent.parquet")
    with pytest.raises(UserError, match="unknown table 'digits-wdcgan_wid'.*digits-wdcgan_wide"):
        Table.read("digits-wdcgan_wid")
    with pytest.raises(UserError, match="unknown metric 'fids'.*fid"):
        table.curves("fids")


# --- its model


def test_noise_is_that_of_replicates(surrogate: Surrogate) -> None:
    assert surrogate.noise == pytest.approx(NOISE, abs=0.02)


def test_a_replicate_that_did_not_get_to_the_end_tells_no_noise(table: Table) -> None:
    rows = table.rows.copy()
    rows.loc[rows["key"] == rows["key"][0], "fid@1"] = [np.nan, 7.0]
    assert Surrogate(Table("holes", rows, SPACE, FACTS)).noise == pytest.approx(NOISE, abs=0.02)
    few = Table("few", rows[rows["key"].isin(rows["key"].unique()[1:3])].reset_index(drop=True), SPACE, FACTS)
    assert math.isfinite(Surrogate(few).value(good(table)[0]))  # fewer degrees of freedom than checkpoints


def test_the_model_knows_genomes_it_has_not_seen(surrogate: Surrogate) -> None:
    quality = surrogate.quality()
    assert 0.4 < quality["r2"] < quality["r2_ceiling"]
    assert 0.4 < quality["kendall_tau"] < 1
    assert quality["cost_r2"] > 0.95
    assert quality["failure_auc"] > 0.95


def test_no_model_knows_more_than_the_truth(surrogate: Surrogate) -> None:
    """The ceiling of R² is that of what the trainings were made of."""
    ends = surrogate.table.curves("fid")[:, -1]
    there, genomes = np.isfinite(ends), surrogate.table.genomes
    truth = np.array([true_log(surrogate.space, genome) for genome, ended in zip(genomes, there, strict=True) if ended])
    logs = np.log(ends[there])
    explained = 1 - np.square(logs - truth).mean() / logs.var()
    assert surrogate.quality()["r2_ceiling"] == pytest.approx(explained, abs=0.03)


def test_one_genome_is_answered_as_many_are(surrogate: Surrogate) -> None:
    genomes = surrogate.table.genomes[:50]
    curves, costs = zip(*((surrogate.curve(genome), surrogate.seconds(genome)) for genome in genomes), strict=True)
    np.testing.assert_allclose(curves, surrogate.predict(genomes))
    np.testing.assert_allclose(np.log(costs), surrogate._cost.predict(surrogate.features[:50]))


def test_the_truth_is_the_mean_of_replays(surrogate: Surrogate) -> None:
    genome = good(surrogate.table)[0]
    found = [at(surrogate, genome, replicate=r) for r in range(600)]
    best = [np.log(e.metric("fid") or np.nan) for e in found if not e.failed]
    assert np.log(surrogate.truth(genome)) == pytest.approx(np.mean(best), abs=0.04)
    assert 0.1 < np.std(best) < math.sqrt(0.06)  # the best of four, of which the last is the best on average


def test_a_longer_training_begins_as_the_shorter_did(surrogate: Surrogate) -> None:
    genome = good(surrogate.table)[1]
    whole, half, odd = (at(surrogate, genome, fidelity) for fidelity in (1.0, 0.5, 0.4))
    assert whole.scores[:2] == half.scores
    assert odd.scores[0] == whole.scores[0]
    assert [score["fidelity"] for score in odd.scores] == [0.25, 0.4]
    assert at(surrogate, genome) == whole
    assert at(surrogate, genome, replicate=1) != whole
    assert half.cost["seconds"] == pytest.approx(whole.cost["seconds"] / 2)


def test_failures_happen_where_they_were_recorded(surrogate: Surrogate) -> None:
    corner = [g for g in surrogate.table.genomes if SPACE.encode(g)[1] > CORNER]
    rest = [g for g in surrogate.table.genomes if SPACE.encode(g)[1] < 0.6]
    assert np.mean([at(surrogate, g).failed for g in corner]) > 0.9
    assert np.mean([at(surrogate, g).failed for g in rest]) < 0.1


def test_a_table_without_replicates_has_no_noise_to_tell(cells: Table) -> None:
    with pytest.raises(UserError, match="'tiny' has no replicates"):
        _ = Surrogate(cells).noise


# --- its cells


def test_cells_answer_with_what_was_recorded(cells: Table) -> None:
    exact = Cells(cells)
    for row, genome in zip(cells.rows.to_dict("records"), cells.genomes, strict=True):
        for replicate in (0, 7):
            found = exact(Trial(genome, row["key"], TASK, 1.0, replicate))
            if row["status"] != "completed":
                assert (found.status, found.reason) == ("diverged", "a corner")
                assert exact.truth(genome) == math.inf
            else:
                assert [s["fid"] for s in found.scores] == pytest.approx([row[f"fid@{c:g}"] for c in CHECKPOINTS])
                assert exact.truth(genome) == pytest.approx(min(row[f"fid@{c:g}"] for c in CHECKPOINTS))
    assert set(cells.rows["status"]) == {"completed", "diverged"}


def test_more_may_be_better(cells: Table) -> None:
    """Then the best checkpoint is the one with the most, and a failure is less than all."""
    renamed = {f"fid@{c:g}": f"manifold_recall@{c:g}" for c in CHECKPOINTS}
    table = Table("tiny", cells.rows.rename(columns=renamed), SMALL, FACTS)
    exact = Cells(table, "manifold_recall")
    for row, genome in zip(table.rows.to_dict("records"), table.genomes, strict=True):
        best = max(row[name] for name in renamed.values()) if row["status"] == "completed" else -math.inf
        assert exact.truth(genome) == pytest.approx(best) and exact.value(genome) == pytest.approx(best)


def test_a_cell_of_which_one_training_failed_is_as_good_as_the_others(cells: Table) -> None:
    second = cells.rows.assign(replicate=1, status="diverged", **{f"fid@{c:g}": np.nan for c in CHECKPOINTS})
    both = Cells(Table("tiny", pd.concat([cells.rows, second], ignore_index=True), SMALL, FACTS))
    for genome in cells.genomes:
        assert both.truth(genome) == Cells(cells).truth(genome)


def test_cells_need_every_genome_of_the_space(table: Table) -> None:
    with pytest.raises(UserError, match=r"has 300 of the \d+ genomes of its space"):
        Cells(table)


# --- from outside


def test_a_table_is_an_objective_for_optuna(surrogate: Surrogate) -> None:
    gan = surrogate
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(lambda trial: gan.value(suggest(trial, gan.space), replicate=trial.number), n_trials=40)
    drawn = [gan.value(gan.space.decode(u)) for u in np.random.default_rng(0).random((40, gan.space.dimension))]
    assert study.best_value < np.median(drawn)


def test_a_table_is_a_plain_function(written: Path, surrogate: Surrogate) -> None:
    gan = surrogate
    assert load_table(written).table.fingerprint == gan.table.fingerprint
    genes = dict(good(gan.table)[0])
    assert gan.value(genes) == gan.value(genes) != gan.value(genes, replicate=1)
    assert gan.value(genes, fidelity=0.25) >= gan.value(genes)
    with pytest.raises(UserError, match="fidelity must lie in"):
        gan.value(genes, fidelity=0)
    with pytest.raises(UserError, match="gene 'slope'"):
        gan.value(genes | {"slope": 7.0})
    with pytest.raises(UserError, match="replicates count from 0, not -1"):
        gan.value(genes, replicate=-1)
    with pytest.raises(UserError, match="unknown gene 'clp': did you mean 'clip'"):
        gan.value({name.replace("clip", "clp"): value for name, value in genes.items()})
    with pytest.raises(UserError, match="gene 'clip' of space 'wdcgan' is missing"):
        gan.truth({name: value for name, value in genes.items() if name != "clip"})
    with pytest.raises(UserError, match="unknown kind 'tabel'"):
        load_table(written, "tabel")


@pytest.mark.parametrize("name", shipped.names("search_spaces"))
def test_suggestions_are_genomes_of_the_space(name: str) -> None:
    space = load_space(name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        genome, _ = space.snap(suggest(study.ask(), space))
        assert genome == space.decode(space.encode(genome))
        assert GENES.read(genome) == genome  # nothing in it is at odds


def test_genes_that_a_space_fixes_may_be_left_out(tmp_path: Path) -> None:
    space = Space("other", SMALL.genes, fixed={"backbone": "dcgan"}, table=GENES)
    recorded_run = recorded(space, "r", "grid", 12)
    Table("other", tabulate([recorded_run]), space, FACTS).write(tmp_path / "other.parquet")
    read = Table.read(tmp_path / "other.parquet")
    assert {*read.genomes} == {told.row.genome for told in recorded_run.history}
    ground = Cells(Table("other", tabulate([recorded(space, "r", "grid", 12)]), space, FACTS))
    genome = ground.table.genomes[0]
    searched = {name: value for name, value in genome.items() if name != "backbone"}
    assert ground.truth(searched) == ground.truth(genome)
    assert ground.value(searched) == ground.value(genome)
    with pytest.raises(UserError, match="'backbone' = wdcgan lies outside space 'other'"):
        ground.value(searched | {"backbone": "wdcgan"})


# --- replays, in this process, which has a model already, but for two that are about processes


def spread_here(place: Place, replays: Sequence[Replay]) -> Iterator[tuple[str, str]]:
    for replay in replays:
        try:
            replay.carry_out(place)
            yield replay.name, ""
        except ZeroDivisionError as error:
            yield replay.name, f"{type(error).__name__}: {error}"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evogan.bench.bench._spread", spread_here)


def test_on_a_simulated_clock_workers_share_the_work(surrogate: Surrogate) -> None:
    ends = {}
    for workers in (1, 4):
        store, executor = Store(), SimulatedExecutor(surrogate, workers)
        store.add_run("r", {})
        made = make_strategy("random", SPACE, 0)
        Loop(*("r", SPACE, made, TASK, Judge("fid"), Broker(store, executor)), seed=0, evaluations=40, window=8).go()
        costs = [evaluation.cost for _, _, evaluation in store.evaluations()]
        ends[workers] = max(cost["clock"] for cost in costs)
        assert executor.busy == pytest.approx(sum(cost["seconds"] for cost in costs))
    assert ends[1] == pytest.approx(executor.busy)
    assert executor.busy / 4 <= ends[4] < 0.5 * ends[1]


def test_strategies_are_compared_and_not_again(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_few(table, 50, tmp_path / "made-up.parquet")

    def compared() -> tuple[list[str], Comparison]:
        done: list[str] = []
        found = run_bench(
            path, ["random", "ga-steady"], seeds=3, evaluations=30, runs=tmp_path, workers=2, say=done.append
        )
        return done, found

    done, found = compared()
    strategies = ("random", "ga-steady")
    assert sorted(name[:-7] for name in done) == sorted(f"made-up-{s}-s{i}" for s in strategies for i in range(3))
    assert found.strategies == ["ga-steady", "random"] and found.problems == ["made-up"]
    assert found.finals.shape == (3, 2) and np.isfinite(found.finals.to_numpy()).all()
    assert found.basis("made-up") == "fresh replicates"
    clocks = found.anytime("made-up", "random", "clock")
    seconds = found.anytime("made-up", "random", "seconds")
    assert clocks.index[-1] < 0.7 * seconds.index[-1]
    before = Store.existing(tmp_path).count()
    monkeypatch.setattr("evogan.bench.bench._spread", spread_here)
    _, again = compared()
    pd.testing.assert_frame_equal(again.finals, found.finals)
    assert Store.existing(tmp_path).count() == before


@pytest.mark.usefixtures("here")
def test_a_replay_trained_nothing(written: Path, runs: Path) -> None:
    found = run_bench(written, ["random"], seeds=1, evaluations=3, runs=runs)
    run = open_run(found.entries[0].run.name, runs)
    assert "on table <code>made-up</code>" in run.report().read_text()
    for attempt in (run.load_best, lambda: resume(run.name, runs=runs)):
        with pytest.raises(UserError, match="is a replay of table 'made-up'"):
            attempt()


@pytest.mark.usefixtures("here")
def test_several_tables_are_several_problems(table: Table, written: Path, tmp_path: Path) -> None:
    paths = [written, write_few(table, 50, tmp_path / "second.parquet"), written]
    found = run_bench(paths, ["random", "ga-steady"], seeds=2, evaluations=10, runs=tmp_path / "runs")
    assert found.problems == ["made-up", "second"]
    assert found.ranking.blocks == 4
    assert set(found.targets["problem"]) == {"made-up", "second"}


@pytest.mark.usefixtures("here")
def test_other_numbers_are_other_searches(written: Path, tmp_path: Path) -> None:
    def clock(folder: Path, evaluations: int, workers: int) -> float:
        found = run_bench(written, ["dehb"], seeds=1, evaluations=evaluations, runs=folder, workers=workers)
        assert found.entries[0].run.spent[-1] == pytest.approx(evaluations, abs=1)
        return float(found.anytime("made-up", "dehb", "clock").index[-1])

    ends = [clock(tmp_path / "one", *numbers) for numbers in ((20, 1), (40, 1), (20, 4))]
    assert ends[0] < ends[1] and ends[2] < ends[0]
    assert ends == [clock(tmp_path / f"{i}", *numbers) for i, numbers in enumerate(((20, 1), (40, 1), (20, 4)))]


def test_a_promotion_takes_the_rest_of_a_training(surrogate: Surrogate) -> None:
    executor = SimulatedExecutor(surrogate, 1)
    genome = good(surrogate.table)[0]
    for fidelity in (0.25, 1.0, 0.5):
        executor.submit(Trial(genome, GENES.key(genome), TASK, fidelity))
        executor.wait(lambda report: False)
    assert executor.busy == pytest.approx(surrogate.seconds(genome))


@pytest.mark.usefixtures("here")
def test_a_strategy_that_crashes_is_named_and_the_others_are_compared(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out = Replay.carry_out

    def crash(self: Replay, place: Place) -> None:
        if self.strategy == "ga-steady" and self.settings.seed == 1:
            raise ZeroDivisionError("division by zero")
        carry_out(self, place)

    monkeypatch.setattr(Replay, "carry_out", crash)
    found = run_bench(written, ["random", "ga-steady"], seeds=2, evaluations=10, runs=tmp_path)
    assert len(found.entries) == 3
    ((name, reason),) = found.left_out.items()
    assert "-ga-steady-s1." in name and reason == "crashed: ZeroDivisionError: division by zero"


def test_a_real_search_that_crashes_stops_no_other(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(place: Place, name: str, *rest: object) -> Store:
        if "-s0." in name:
            raise ZeroDivisionError("division by zero")
        return Store()

    monkeypatch.setattr("evogan.bench.bench.launch", launch)
    table = Table.read(written)
    settings = [_settings(table, "random", seed, BenchSettings(evaluations=5, kind="live")) for seed in (0, 1)]
    replays = [Replay(str(written), "live", table.fingerprint, "random", each) for each in settings]
    found = [why for _, why in _train(Place(tmp_path), replays, Outside())]
    assert found == ["ZeroDivisionError: division by zero", ""]


def test_a_replay_is_the_same_wherever_its_table_lies(table: Table) -> None:
    """Its noise is of its name, and that of a feature network that lies beside a table begins with a folder."""
    settings = _settings(table, "random", 0, BenchSettings(evaluations=5))
    assert settings.gan is not None
    gans = [replace(settings.gan, features=path) for path in ("/a/net.safetensors", "/b/net.safetensors", "/b/other")]
    found = [replace(settings, gan=gan) for gan in gans]
    names = [Replay(table.name, "surrogate", table.fingerprint, "random", one).name for one in found]
    assert names[0] == names[1] != names[2]


def test_a_table_of_which_no_model_can_be_made_is_refused(table: Table, tmp_path: Path) -> None:
    alone = table.rows[table.rows["replicate"] == 0]
    failed = table.rows[table.rows["status"] == "diverged"]
    for rows, said in ((alone, "has no replicates"), (failed, "no training that completed"), (alone[:0], "completed")):
        Table("poor", rows, SPACE, FACTS).write(tmp_path / "poor.parquet")
        with pytest.raises(UserError, match=said):
            run_bench(tmp_path / "poor.parquet", ["random"], runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_who_stops_listening_stops_the_searches(cells: Table, tmp_path: Path) -> None:
    path = tmp_path / "tiny.parquet"
    cells.write(path)
    settings = [_settings(cells, "random", seed, BenchSettings(evaluations=12, kind="table")) for seed in range(400)]
    going = _spread(Place(tmp_path), [Replay(str(path), "table", cells.fingerprint, "random", s) for s in settings])
    next(going)
    going.close()
    assert 1 <= len(Store.existing(tmp_path).runs()) < 200


@pytest.mark.usefixtures("here")
def test_tables_of_one_name_are_not_one_problem(table: Table, tmp_path: Path) -> None:
    for genomes in (40, 50):
        path = write_few(table, genomes, tmp_path / f"{genomes}" / "t.parquet")
        run_bench(path, ["random"], seeds=1, evaluations=5, runs=tmp_path / "runs")
    kept = Store.existing(tmp_path / "runs")
    found = Comparison([RunHistory(kept, name) for name in kept.runs()])
    assert len(found.problems) == 2 and not found.left_out


@pytest.mark.usefixtures("here")
def test_cells_are_searched_without_noise(cells: Table, tmp_path: Path) -> None:
    cells.write(tmp_path / "tiny.parquet")
    found = run_bench(
        tmp_path / "tiny.parquet", ["random", "grid"], seeds=2, evaluations=12, kind="table", runs=tmp_path / "runs"
    )
    best = min(Cells(cells).truth(genome) for genome in cells.genomes)
    assert found.finals["grid"].tolist() == pytest.approx([best, best])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--kind tables", "unknown kind 'tables'"),
        ("--kind table", "has 300 of the"),
        ("--strategies rondom", "unknown strategy 'rondom'"),
        ("--seeds 0", "seeds must be at least 1, not 0"),
        ("--evaluations 0", "evaluations must be at least 1, not 0"),
        ("--workers 0", "workers must be at least 1, not 0"),
        ("--fitness fud", "unknown fitness 'fud'"),
        ("--fitness kid", "unknown metric 'kid'"),
        ("--fitness coverage", "unknown fitness 'coverage'"),
        ("--out page.pdf", ".md or .html"),
        ("--out file/page.html", "file' is no folder"),
        ("--kind live", "was trained with another"),
        ("--target nan", "the target must be a finite number"),
    ],
)
def test_mistakes_are_one_line(run: Command, written: Path, tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "file").touch()
    result = run(f"bench run {written} --runs {tmp_path / 'runs'} {line}")
    mistake(result, said)
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("here")
def test_a_target_that_nobody_reaches_is_said(run: Command, written: Path, tmp_path: Path) -> None:
    result = run(f"bench run {written} --runs {tmp_path} --strategies random --seeds 2 --evaluations 5 --target 0.001")
    assert result.code == 0 and "No run reached it" in " ".join(result.out.split())


# --- collecting

FILE = """
name = "small"
data = ["digits"]
spaces = ["wdcgan"]
seeds = 1
kimg = 0.05
features = "mine.safetensors"
samples = 50
finalists = 0
confirm = 0
[strategies.sobol]
evaluations = 12
[strategies.noise]
strategy = "random"
evaluations = 8
replicates = 2
[resources]
workers = 1
"""


def test_where_no_table_can_be_written_nothing_is_trained(run: Command, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(FILE)
    (tmp_path / "file").touch()
    mistake(run("bench collect small.toml --to file/tables"), "file' is no folder")
    assert not (tmp_path / "runs").exists()


def test_a_table_of_settings_that_are_none_is_refused(table: Table, tmp_path: Path) -> None:
    for odd in (3, {"x": 1}, {"kimg": "much"}, {"features": 3}):
        replace(table, facts={**table.facts, "gan": odd}).write(tmp_path / "odd.parquet")
        with pytest.raises(UserError, match="table 'odd': its description has no settings of a GAN"):
            run_bench(tmp_path / "odd.parquet", "random", seeds=1, evaluations=2, runs=tmp_path / "runs")
    with pytest.raises(UserError, match="at least one table and one strategy"):
        run_bench([], "random")
    with pytest.raises(UserError, match="at least one table and one strategy"):
        run_bench(tmp_path / "odd.parquet", [])


@pytest.mark.parametrize(
    "space",
    [
        "wdcgan",
        "modern",  # where the zoo says when a gene applies
        "resnet_architecture",  # of which images of this size do not allow all
    ],
)
def test_a_campaign_becomes_a_table(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: str) -> None:
    def evaluate(self: GANEvaluator, trial: Trial) -> Evaluation:
        rng = np.random.default_rng(trial.seed)
        score = {"fidelity": 0.98, "kimg": 0.05, "seconds": 1.0, "parameters": 5.0}
        return Evaluation(
            status="completed",
            scores=(score | {"fid": float(rng.uniform(5, 9)), "kid": -0.1},),
            cost={"seconds": 2.0},
            provenance={"torch": "t"},
        )

    monkeypatch.setattr(GANEvaluator, "__call__", evaluate)
    shutil.copy(NETWORKS / "digits.safetensors", tmp_path / "mine.safetensors")
    (tmp_path / "small.toml").write_text(FILE.replace('"wdcgan"', f'"{space}"'))
    collected = run(f"bench collect {tmp_path / 'small.toml'} --to {tmp_path / 'to'} --runs {tmp_path / 'runs'}")
    assert collected.code == 0, collected.err
    found = Table.read(tmp_path / "to" / f"digits-{space}.parquet")
    assert found.facts["gan"]["features"] == "../mine.safetensors"  # from the table, wherever that is read
    _check_task(found, GANProblem(GANSettings.recorded(found.gan), Place(tmp_path / "runs").features))
    assert found.facts["genomes"] == 16 and found.facts["rows"] == 20
    assert found.facts["origins"] == {"sobol": 12, "random": 4}
    again = run(f"bench collect {tmp_path / 'small.toml'} --to {tmp_path / 'to'} --runs {tmp_path / 'runs'}")
    assert again.code == 0, again.err
    assert found.facts["gan"]["kimg"] == 0.05 and found.facts["task"]["kimg"] == 0.05
    assert found.facts["provenance"] == [{"torch": "t"}]
    assert {"r2", "kendall_tau"} <= set(found.facts["model"])
    assert found.metrics == ["fid", "kid"] and found.checkpoints == [1.0]
    with pytest.raises(UserError, match="metric 'kid' is not positive everywhere"):
        Surrogate(found, "kid")


def test_a_table_grows_without_the_store_that_it_came_from(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(self: GANEvaluator, trial: Trial) -> Evaluation:
        score = {"fidelity": 1.0, "parameters": 5.0, "fid": float(np.random.default_rng(trial.seed).uniform(5, 9))}
        return Evaluation(status="completed", scores=(score,), cost={"seconds": 2.0}, provenance={"torch": torch})

    def collect(file: str, runs: str) -> Table:
        (tmp_path / "small.toml").write_text(file)
        done = run(f"bench collect {tmp_path / 'small.toml'} --to {tmp_path} --runs {tmp_path / runs}")
        assert done.code == 0, done.err
        return Table.read(tmp_path / "digits-wdcgan.parquet")

    monkeypatch.setattr(GANEvaluator, "__call__", evaluate)
    shutil.copy(NETWORKS / "digits.safetensors", tmp_path / "mine.safetensors")
    torch = "one"
    first = collect(FILE, "first")
    torch = "two"
    larger = FILE.replace("= 12", "= 16")
    grown = collect(larger, "second")
    assert grown.facts["genomes"] == 20 and grown.facts["rows"] == len(grown.rows) == 24
    assert grown.facts["provenance"] == [{"torch": "one"}, {"torch": "two"}]
    both = grown.rows.merge(first.rows, "inner")
    assert len(both) == len(first.rows), "what was there is as it was"
    pd.testing.assert_frame_equal(collect(larger, "second").rows, grown.rows)

    (tmp_path / "small.toml").write_text(FILE.replace("kimg = 0.05", "kimg = 0.06"))
    other = run(f"bench collect {tmp_path / 'small.toml'} --to {tmp_path} --runs {tmp_path / 'third'}")
    mistake(other, "table 'digits-wdcgan' was trained with another kimg: 0.05, not 0.06")
    (tmp_path / "wdcgan.toml").write_text("name = 'wdcgan'\n[genes.filters]\nkind = 'choice'\nvalues = [8, 16]\n")
    (tmp_path / "small.toml").write_text(FILE.replace('["wdcgan"]', '["./wdcgan.toml"]'))
    other = run(f"bench collect {tmp_path / 'small.toml'} --to {tmp_path} --runs {tmp_path / 'third'}")
    mistake(other, "is of another space than 'wdcgan' is now")
    assert not (tmp_path / "third").exists(), "nothing was trained"


def test_two_spaces_of_one_name_are_refused(run: Command, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / f"{name}.toml").write_text("name = 'same'\n[genes.filters]\nkind = 'choice'\nvalues = [8, 16]\n")
    (tmp_path / "small.toml").write_text(FILE.replace('["wdcgan"]', '["./one.toml", "./other.toml"]'))
    result = run(f"bench collect {tmp_path / 'small.toml'} --to {tmp_path} --runs {tmp_path / 'runs'}")
    mistake(result, "two tables would be named 'digits-same'")
    assert not (tmp_path / "runs").exists()


def test_shipped_tables_are_sound(run: Command) -> None:
    listed = json.loads(run("bench list --json").out)
    said = run("bench list").out
    assert listed and all(facts["name"] in said for facts in listed)
    for facts in listed:
        table = Table.read(facts["name"])
        assert facts["rows"] == len(table.rows)
        assert facts["genomes"] == table.rows["key"].nunique()
        assert facts["failed"] == (table.rows["status"] != "completed").sum()
        assert [table.space.key(genome) for genome in table.genomes] == list(table.rows["key"])
        features = table.gan["features"]
        assert features in (None, "auto") or Path(features).is_file()
