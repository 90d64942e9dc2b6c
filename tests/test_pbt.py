"""Population-based training: who goes on from whom, what may change, and that a run of it is a run like all others."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

import evogan
from evogan.errors import UserError
from evogan.genes import GENES
from evogan.genome import Gene, Schedule
from evogan.monitor.tally import Tally
from evogan.report.figures import lineage
from evogan.report.page import genome_toml
from evogan.shipped import read_genome
from evogan.space import Space, load_space
from evogan.strategies import make_strategy
from tests.test_faults import check, confirmations, driver

SPACE = Space(
    "toy",
    [
        Gene(name="form", kind="choice", values=("a", "b", "c")),
        Gene(name="rate", kind="float", low=1e-3, high=1.0, scale="log", levels=21),
        Gene(name="steps", kind="int", low=1, high=5, when={"form": ("a", "b")}),
    ],
)
FORMS = {"a": 0.0, "b": 0.3, "c": 0.6}


def parts(genes: Mapping[str, Any], fidelity: float, changes: Sequence[tuple[float, Mapping[str, Any]]]) -> Any:
    """The genes, and for how long they were these."""
    ends = [*(share for share, _ in changes), fidelity]
    begin, now = 0.0, dict(genes)
    for end, (_, others) in zip(ends, [*changes, (1.0, {})], strict=True):
        yield now, end - begin
        begin, now = end, now | others


def objective(genes: dict[str, Any], fidelity: float, changes: Sequence[tuple[float, dict[str, Any]]]) -> float:
    """Rates that fall are best."""
    loss = sum(abs(now["rate"] - 0.5 ** (5 * fidelity)) * long for now, long in parts(genes, fidelity, changes))
    return float(FORMS[genes["form"]] + loss + 0.1 / fidelity)


def search(**asked: Any) -> evogan.Run:
    options = {"population": 6, "fidelities": (0.25, 0.5, 0.75, 1.0)} | asked.pop("options", {})
    given = {"strategy": "pbt", "evaluations": 18, "workers": 1, "objective": objective} | asked
    return evogan.search(SPACE, options=options, **given)


def test_takeovers_inherit_a_schedule_and_change_what_may_change() -> None:
    run = search(confirm=2, finalists=6)
    rows = {told.row.number: told.row for told in run.history}
    assert run.spent[-1] == 18 and {row.fidelity for row in rows.values()} == {0.25, 0.5, 0.75, 1.0}
    values = {told.row.number: told.value for told in run.history}
    steps = [list(step) for _, step in groupby(rows.values(), lambda row: row.generation)]
    assert [len(step) for step in steps[:-1]] == [6] * (len(steps) - 1) and len(steps) >= 12
    for before, step in pairwise(steps):
        if step[0].fidelity == 0.25:
            assert {row.operator for row in step} <= {"exploration", "latin hypercube"}
            continue
        ranked = sorted(before, key=lambda row: (values[row.number], row.number))
        for row, old in zip(step, before, strict=False):
            origin = rows[row.parents[0]]
            if old.number == ranked[-1].number:
                assert (row.operator, row.parents) == ("takeover", (ranked[0].number, old.number))
            else:
                assert (row.operator, row.parents, row.genome) == ("continuation", (old.number,), old.genome)
            assert dict(row.genome) == dict(origin.genome), "what it began with"
            assert row.genome.changes[: len(origin.genome.changes)] == origin.genome.changes
            new = row.genome.changes[len(origin.genome.changes) :]
            assert len(new) <= 1 and all(change.at == origin.fidelity for change in new)
            assert all({*change.genes} <= {"rate", "steps"} for change in new)
            assert SPACE.decode(row.vector) == row.genome.now
    assert any(len(row.genome.changes) > 1 for row in rows.values())
    written = run.to_dataframe().set_index("number")["changes"]
    assert {n for n in rows if isinstance(written[n], str)} == {n for n, row in rows.items() if row.genome.changes}
    assert "0.25 " in next(text for text in written if isinstance(text, str))
    drawn = lineage(run)
    assert drawn is not None and run.best is not None and drawn.caption.endswith(f"proposal {run.best.row.number}.")
    told = {one.row.key: one for one in run.ranking}
    assert len(run.confirmations) == 6 and any(isinstance(one.genome, Schedule) for one in run.confirmations)
    for one in run.confirmations:
        assert one.genome == told[one.key].row.genome and one.values == (told[one.key].value,) * 2


def test_who_looks_on_counts_what_the_run_has_spent() -> None:
    """A training that goes on costs the difference, in the status and on the terminal, too."""
    tally = Tally()
    run = search(listener=tally.add)
    assert tally.account.spent == run.spent[-1] == 18


def test_it_goes_on_from_where_trainings_are_now_and_not_from_dead_ones() -> None:
    """Of 5 members one has failed, one ended early: both take over from one of the best, by their last scores."""
    strategy = make_strategy("pbt", SPACE, 0, {"population": 5, "quantile": 0.4, "fidelities": (0.5, 1.0)})
    from evogan.strategies import Fitness

    asked = [strategy.ask() for _ in range(5)]
    assert strategy.ask() is None
    told = [
        Fitness(False, 1.0, ((0.25, 1.0), (0.5, 9.0))),  # was best
        Fitness(True, 99.0),
        Fitness(False, 2.0, ((0.5, 2.0),)),
        Fitness(False, 0.5, ((0.25, 0.5),), ended_early=True),
        Fitness(False, 3.0, ((0.5, 3.0),)),
    ]
    for proposal, fitness in zip(asked, told, strict=True):
        assert proposal is not None
        strategy.tell(proposal, fitness)
    found = [strategy.ask() for _ in range(5)]
    assert [proposal.operator for proposal in found if proposal] == [
        *("continuation", "takeover", "continuation", "takeover", "continuation")
    ]
    assert {proposal.continues for proposal in found if proposal and proposal.operator == "takeover"} <= {2, 4}


def test_genes_of_the_zoo_move_as_they_may() -> None:
    space = load_space("wdcgan_wide", GENES)
    free = {gene.name for gene in space.changing}
    assert "learning_rate" in free and not free & {"filters", "batch_size", "kernel_size"}
    strategy: Any = make_strategy("pbt", space, 1)
    for seed in range(20):
        old = strategy.rng.random(space.dimension)
        before, after = space.decode(old), space.decode(strategy._explored(list(old), while_trained=True))
        moved = {name for name in after if after[name] != before[name]}
        assert moved <= free
        GENES.schedule(before, [(0.5, {name: after[name] for name in moved})]), seed


@pytest.mark.fault
def test_killed_anywhere_it_goes_on_with_the_same_history(tmp_path: Path) -> None:
    kills = ("trial", 14), ("write", 9)
    for runs, moments in ((tmp_path / "calm", ()), (tmp_path / "killed", kills)):
        for moment in moments:
            process = driver(runs, *moment, "none", "pbt")
            assert process.stdout is not None and process.stdout.readline() == "here\n"
            process.kill()
            process.communicate()
        process = driver(runs, "never", 0, "none", "pbt")
        assert process.communicate() and process.returncode == 0
    calm, killed = check(tmp_path / "calm"), check(tmp_path / "killed")
    assert killed["proposals"] == calm["proposals"] and len(calm["proposals"]) > 20
    assert killed == calm and confirmations(tmp_path / "killed") == confirmations(tmp_path / "calm")
    assert any(row.genome.changes for row in calm["proposals"])


def test_a_schedule_is_a_file(tmp_path: Path) -> None:
    first = GENES.read({"learning_rate": 1e-3, "critic_optimizer": "adam"})
    schedule = GENES.schedule(first, [(0.25, {"learning_rate": 2e-3}), (0.5, {"critic_beta1": 0.9, "clip": 0.1})])
    path = tmp_path / "best.toml"
    path.write_text(genome_toml("best", schedule))
    assert read_genome(path).genome == schedule
    assert tomllib.loads(path.read_text())["changes"][0] == {"at": 0.25, "learning_rate": 0.002}
    for text, message in {
        "changes = 3": r"'changes' must be tables: \[\[changes\]\]",
        "[[changes]]\nclip = 0.1": "'at' must be a share of the budget, such as 0.25",
        '[[changes]]\nat = "0.5"': "'at' must be a share",
        "[[changes]]\nat = 0.5\nfilters = 8": "gene 'filters' cannot change during a training",
    }.items():
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_genome(path)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"options": {"fidelities": (1.0,)}}, "the number of fidelities must be at least 2"),
        ({"options": {"population": 3}}, "population must be at least 4"),
        ({"options": {"quantile": 0.6}}, "quantile must be above 0 and at most 0.5"),
        ({"fitness": "value,size"}, "takes one objective, not 2"),
        ({"replicates": 2}, "replicates = 1"),
        ({"objective": lambda genes, fidelity: 0.0}, "give the objective parameters 'fidelity' and 'changes'"),
        ({"objective": lambda genes: 0.0}, "give the objective a parameter 'fidelity'"),
    ],
)
def test_mistakes(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        search(**asked)


def test_a_space_in_which_nothing_may_change() -> None:
    space = Space("fixed", [Gene(name="filters", kind="int", low=8, high=16)], table=GENES)
    with pytest.raises(UserError, match="no gene of space 'fixed' may change during a training"):
        make_strategy("pbt", space, 0)


def test_two_workers_find_what_one_does() -> None:
    one, two = search(), search(workers=2)
    assert [told.row for told in one.history] == [told.row for told in two.history]
    assert [told.value for told in one.history] == [told.value for told in two.history]
