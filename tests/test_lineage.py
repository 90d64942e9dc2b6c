"""How the best came about is what the strategy recorded, in tables, pages and exports alike."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from evogan.engine import Store
from evogan.engine.history import RunHistory
from evogan.report import figures, tables
from evogan.report.export import export_study
from evogan.report.lineage import ancestors, descent
from evogan.space import load_space
from tests.test_report import fake_gan, make_run, text_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunHistory:
    store = Store(tmp_path_factory.mktemp("lineage"))
    return make_run(store, load_space("wdcgan_wide"), fake_gan, evaluations=60, strategy="ga", fresh=0)


def test_the_line_of_the_best_is_of_recorded_parents(run: RunHistory) -> None:
    steps = descent(run)
    rows = {told.row.number: told.row for told in run.history}
    assert run.best is not None and steps[-1].row.number == run.best.row.number and len(steps) > 1
    assert not (steps[0].row.parents or ())
    for before, step in pairwise(steps):
        assert before.row.number in (step.row.parents or ())

        def apart(number: int, step: object = step) -> int:
            mine, theirs = step.row.genome, rows[number].genome  # type: ignore[attr-defined]
            return sum(mine.get(name) != theirs.get(name) for name in {*mine, *theirs})

        assert apart(before.row.number) == min(map(apart, step.row.parents or ()))
        changed = {name for name in step.row.genome if step.row.genome[name] != before.row.genome.get(name)}
        assert {said.split()[0] for said in step.new.split(", ")} == changed if changed else not step.new
    found = set(ancestors(rows, steps[-1].row.number))
    assert {step.row.number for step in steps[:-1]} <= found
    grown = {steps[-1].row.number}
    for number in sorted(rows, reverse=True):  # parents come before their children
        grown |= set(rows[number].parents or ()) if number in grown else set()
    assert found == grown - {steps[-1].row.number}


def test_everyone_says_it(run: RunHistory, tmp_path: Path) -> None:
    import optuna

    steps, best = descent(run), run.best
    assert best is not None
    assert f"how the best, #{best.row.number}, came about" in text_of(tables.lineage(run))
    assert [step["number"] for step in tables.as_document(run)["lineage"]] == [step.row.number for step in steps]
    assert figures.lineage(run) is not None
    frame = run.to_dataframe()
    for told, parents in zip(run.history, frame["parents"], strict=True):
        said = [int(number) for number in parents.split()] if isinstance(parents, str) else []
        assert said == list(told.row.parents or ())
    export_study(run, f"sqlite:///{tmp_path / 'study.db'}")
    study = optuna.load_study(study_name=run.name, storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert study.trials[best.row.number].user_attrs["parents"] == list(best.row.parents or ())


def test_without_parents_nothing_is_said(tmp_path: Path) -> None:
    run = make_run(Store(tmp_path), load_space("wdcgan_wide"), fake_gan, evaluations=5, fresh=0)
    assert descent(run) == [] and tables.lineage(run).row_count == 0
    assert figures.lineage(run) is None
