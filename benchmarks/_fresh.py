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


def fresh(genome: Genome, data: str, kimg: float, n: int, runs: Path) -> list[tuple[Trial, Evaluation]]:
    """Of the first n in bf16 those that were made and did not fail."""
    task, _ = GANProblem(GANSettings.of(data=data, kimg=kimg, precision="bf16")).prepare()
    store, key = Store(runs), GENES.key(genome)
    trials = [Trial(genome, key, task, 1.0, FRESH + i) for i in range(n)]
    found = [(trial, store.find(trial.identity)) for trial in trials]
    return [(trial, one) for trial, one in found if one is not None and not one.failed]
