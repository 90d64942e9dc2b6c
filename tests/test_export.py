"""A run for other programs says what the store says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta
from optuna.trial import TrialState

from evogan.api import describe, search
from evogan.engine import Store
from evogan.engine.history import RunHistory
from evogan.errors import UserError
from evogan.genome import Gene, Genome
from evogan.report.export import export_study, export_table
from evogan.shipped import read_genome
from evogan.space import Space, load_space
from evogan.trial import Evaluation, Task, Trial
from tests import test_cli
from tests.conftest import mixed_space, score
from tests.test_cli import mistake
from tests.test_report import fake_gan, make_run

shell = test_cli.run
TOLD = 31  # proposals of the small run: its budget, and one that was known


def objective(genes: Mapping[str, object]) -> float:
    if genes["width"] == 9:
        raise ValueError("too wide")
    return score(Genome(genes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    search(
        mixed_space(), objective=objective, task="made up", runs=folder, strategy="random", evaluations=30, name="toy",
        workers=1,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def gan() -> RunHistory:
    return make_run(Store(), load_space("wdcgan_wide"), fake_gan, evaluations=30)


def load(path: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{path}")


# --- Optuna


def test_a_study_is_the_run(gan: RunHistory, tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    assert export_study(gan, f"sqlite:///{path}") == len(gan.history)
    study = load(path, gan.name)
    assert study.best_value == gan.ranking[0].value
    assert study.best_trial.user_attrs["key"] == gan.ranking[0].row.key
    assert study.user_attrs["step"] == "kimg"
    for trial, told in zip(study.trials, gan.history, strict=True):
        assert trial.user_attrs["number"] == told.row.number == trial.number
        assert trial.user_attrs["status"] == told.evaluation.status
        assert trial.params == {name: told.row.genome[name] for name in trial.params}
        assert set(trial.params) == {gene.name for gene in gan.space.genes} & set(told.row.genome)
        assert trial.duration is not None
        assert trial.duration.total_seconds() == pytest.approx(told.evaluation.cost["seconds"], abs=1e-3)
        if told.value is None:
            assert (trial.state, trial.values) == (TrialState.FAIL, None)
            assert "diverged" in trial.user_attrs["reason"]
        else:
            assert (trial.state, trial.value) == (TrialState.COMPLETE, told.value)
            fids = {int(point["kimg"]): point["fid"] for point in told.evaluation.scores}
            assert trial.intermediate_values == fids
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE, TrialState.FAIL}


def test_trials_have_their_sample_grids(tmp_path: Path) -> None:
    def with_grid(trial: Trial) -> Evaluation:
        evaluation = fake_gan(trial)
        return replace(evaluation, files={"samples.png": trial.key.encode()} if evaluation.scores else {})

    run = make_run(Store(tmp_path / "runs"), load_space("wdcgan_wide"), with_grid, evaluations=20)
    for name in ("one", "again"):
        export_study(run, f"sqlite:///{tmp_path / name}.db", tmp_path / "grids")
        study = load(tmp_path / f"{name}.db", run.name)
        store = FileSystemArtifactStore(tmp_path / "grids")
        for trial in study.trials:
            found = get_all_artifact_meta(study_or_trial=trial, storage=study._storage)
            assert [meta.filename for meta in found] == ["samples.png"] * (trial.state == TrialState.COMPLETE)
            for meta in found:
                assert meta.mimetype == "image/png"
                with store.open_reader(meta.artifact_id) as file:
                    assert file.read() == trial.user_attrs["key"].encode()
    assert len(list((tmp_path / "grids").iterdir())) == sum(t.values is not None for t in run.history)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="artifacts '.*file' cannot be written"):
        export_study(run, f"sqlite:///{tmp_path / 'third.db'}", tmp_path / "file")
    assert optuna.get_all_study_names(f"sqlite:///{tmp_path / 'third.db'}") == []


def test_optuna_can_work_on_it(folder: Path, tmp_path: Path) -> None:
    """Importances, plots and samplers: what people export for."""
    run = RunHistory(Store.existing(folder), "toy")
    export_study(run, f"sqlite:///{tmp_path / 'study.db'}")
    study = load(tmp_path / "study.db", "toy")
    importances = optuna.importance.get_param_importances(study)
    assert sum(importances.values()) == pytest.approx(1)
    assert {"rate", "width", "kind"} <= set(importances)
    assert len(study.trials_dataframe()) == TOLD
    conditional = [trial for trial in study.trials if trial.params["kind"] == "a"]
    assert conditional
    assert all("depth" not in trial.params for trial in conditional)
    assert study.trials[0].distributions["rate"] == optuna.distributions.FloatDistribution(1e-4, 1.0, log=True)
    study.optimize(lambda trial: trial.suggest_float("rate", 1e-4, 1.0, log=True), n_trials=1)
    assert len(study.trials) == TOLD + 1


def test_lower_fidelities_are_pruned_trials(tmp_path: Path) -> None:
    """Their values are not comparable: the best value is that of a full training."""

    def early(genes: Mapping[str, object], fidelity: float) -> float:
        return score(Genome(genes)) - (1 - fidelity)  # type: ignore[arg-type]

    run = search(
        mixed_space(), objective=early, strategy="successive-halving", evaluations=8, workers=1, name="early", window=1
    )
    export_study(run, f"sqlite:///{tmp_path / 'study.db'}")
    study = load(tmp_path / "study.db", "early")
    for trial in study.trials:
        pruned = trial.user_attrs["fidelity"] < run.top_fidelity
        assert trial.state == (TrialState.PRUNED if pruned else TrialState.COMPLETE)
    assert {trial.state for trial in study.trials} == {TrialState.PRUNED, TrialState.COMPLETE}
    assert study.best_value == run.ranking[0].value


def test_several_objectives_are_several_values(tmp_path: Path) -> None:
    run = make_run(Store(), load_space("wdcgan_wide"), fake_gan, evaluations=12, fitness="fid,normalized_loss")
    export_study(run, f"sqlite:///{tmp_path / 'study.db'}")
    study = load(tmp_path / "study.db", run.name)
    assert study.metric_names == ["fid", "normalized_loss"]
    assert {tuple(trial.values) for trial in study.best_trials} == {told.values for told in run.front}


def test_every_kind_of_gene_has_its_distribution(tmp_path: Path) -> None:
    """A level is rounded to 6 digits, which may put it outside of its gene's bounds."""
    space = Space(
        "kinds",
        [
            Gene(name="third", kind="float", low=1 / 3, high=2 / 3, levels=2),
            Gene(name="one", kind="float", low=2.0, high=2.0, levels=1),
            Gene(name="size", kind="int", low=8, high=256, scale="log", levels=6),
            Gene(name="mixed", kind="choice", values=("none", 0.5, True)),
        ],
    )

    def evaluate(trial: Trial) -> Evaluation:
        points = tuple({"fidelity": f, "value": float(trial.genome["size"]) / f} for f in (0.3, 1.0))
        return Evaluation(status="completed", scores=points)

    run = make_run(Store(), space, evaluate, task=Task(name="t"), gan=None, fitness="value", evaluations=20, fresh=0)
    export_study(run, f"sqlite:///{tmp_path / 'study.db'}")
    study = load(tmp_path / "study.db", run.name)
    assert [trial.params for trial in study.trials] == [dict(told.row.genome) for told in run.history]
    assert study.user_attrs["step"] == "checkpoint"
    assert all(set(trial.intermediate_values) == {1, 2} for trial in study.trials)
    export_table(run, "parquet", tmp_path / "run.parquet")
    assert set(pd.read_parquet(tmp_path / "run.parquet")["gene_mixed"]) <= {"none", "0.5", "True"}


def test_choices_that_optuna_takes_for_one_are_refused(tmp_path: Path) -> None:
    """It would keep another value than the run has."""
    space = Space("s", [Gene(name="c", kind="choice", values=(True, 1, "x"))])

    def evaluate(trial: Trial) -> Evaluation:
        return Evaluation(status="completed", scores=({"value": 1.0},))

    run = make_run(Store(), space, evaluate, task=Task(name="t"), gan=None, fitness="value", evaluations=3, fresh=0)
    with pytest.raises(UserError, match="gene 'c': to Optuna true is 1"):
        export_study(run, f"sqlite:///{tmp_path / 'study.db'}")


def test_a_study_is_whole_or_not_there(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunHistory(Store.existing(folder), "toy")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    url = f"sqlite:///{tmp_path / 'study.db'}"
    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "add_trials", stop)
        with pytest.raises(KeyboardInterrupt):
            export_study(run, url)
    assert optuna.get_all_study_names(url) == []
    export_study(run, url)
    assert optuna.get_all_study_names(url) == ["toy"]


# --- tables


@pytest.mark.parametrize(("kind", "read"), [("csv", pd.read_csv), ("json", pd.read_json), ("parquet", pd.read_parquet)])
def test_a_table_is_the_run(folder: Path, tmp_path: Path, kind: str, read: object) -> None:
    run = RunHistory(Store.existing(folder), "toy")
    assert export_table(run, kind, tmp_path / "run") == TOLD
    found = read(tmp_path / "run")  # type: ignore[operator]
    expected = run.to_dataframe()
    assert list(found) == list(expected)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_nothing_told_is_nothing_to_export(tmp_path: Path) -> None:
    run = search(mixed_space(), objective=objective, strategy="random", evaluations=2, workers=1)
    run.store.add_run("empty", run.document)
    empty = RunHistory(run.store, "empty")
    for export in (lambda: export_table(empty, "csv", tmp_path / "x"), lambda: export_study(empty, "sqlite://")):
        with pytest.raises(UserError, match="'empty' has nothing to export"):
            export()
    assert not (tmp_path / "x").exists()


def test_a_published_genome_needs_no_store(tmp_path: Path) -> None:
    (tmp_path / "evogan.db").write_text("no database")
    assert describe("wgan_gp", runs=tmp_path)[0] == read_genome("wgan_gp").genome
    with pytest.raises(UserError, match="unknown genome 'wgan_pg': did you mean 'wgan_gp'"):
        describe("wgan_pg", runs=tmp_path / "none")


# --- the command line


def test_it_writes_every_format(shell: test_cli.Run, folder: Path, tmp_path: Path) -> None:
    for kind in ("csv", "json", "parquet"):
        done = shell(f"export {kind} toy --to toy.{kind} --runs {folder}")
        assert (done.code, done.out) == (0, f"toy.{kind}  {TOLD} rows\n")
    assert len(json.loads((tmp_path / "toy.json").read_text())) == TOLD
    done = shell(f"export optuna toy --to sqlite:///toy.db --runs {folder}")
    assert (done.code, done.out, done.err) == (0, f"sqlite:///toy.db  study 'toy' with {TOLD} trials\n", "")
    mistake(shell(f"export optuna toy --to sqlite:///toy.db --runs {folder}"), "'toy' exists", "toy.db")
    mistake(shell(f"export csv toy --to toy.csv --runs {folder}"), "'toy.csv' exists")


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("csv nothing --to x", ("unknown run 'nothing'", "toy")),
        ("xls toy --to x", ("No such command 'xls'",)),
        ("optuna toy --to x.db", ("'x.db'", "sqlite:///FILE.db")),
        ("optuna toy --to sqlite:////nowhere/x.db", ("/nowhere/x.db", "unable to open")),
        ("optuna toy --to postgresql://me:secret@there:port/x", ("there:port/x", "is no database URL")),
        ("optuna toy --to nosql://me:secret@there/x", ("there/x", "nosql")),
    ],
)
def test_mistakes_are_one_line(shell: test_cli.Run, folder: Path, command: str, parts: tuple[str, ...]) -> None:
    result = shell(f"export {command} --runs {folder}")
    mistake(result, *parts)
    assert "secret" not in result.err
