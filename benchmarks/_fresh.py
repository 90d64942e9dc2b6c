"""Trainings on fresh seeds that a store has."""

from __future__ import annotations

from pathlib import Path

from evogan.engine import Store
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.trial import Evaluation, Trial

FRESH = 1000  # the first replicate that no search uses


def fresh(
    genome: Genome, data: str, kimg: float | None, n: int, runs: Path, *, seconds: float | None = None
) -> list[tuple[Trial, Evaluation]]:
    """Of the first n in bf16 those that were made. If one failed it ends: the others alone would tell too much good."""
    task, _ = GANProblem(GANSettings.of(data=data, kimg=kimg, seconds=seconds, precision="bf16")).prepare()
    store, key = Store(runs), GENES.key(genome)
    trials = [Trial(genome, key, task, 1.0, FRESH + i) for i in range(n)]
    found = [(trial, store.find(trial.identity)) for trial in trials]
    if failed := [trial.replicate for trial, one in found if one is not None and one.failed]:
        raise SystemExit(f"{data}: of {key} replicates {failed} failed, and the table has no place for that")
    return [(trial, one) for trial, one in found if one is not None]


def fid_of(completed: Evaluation) -> float:
    fid = completed.metric("fid")
    assert fid is not None
    return fid
