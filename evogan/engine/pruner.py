"""Early stopping of hopeless trials, by their learning curves.

A trial is looked at when it is scored at a checkpoint before its last one. What counts is its best value so far,
beside those that other trials of this run had at the same checkpoint:

`median`: it ends if it is worse than their median (Golovin et al., Google Vizier, 2017).
`halving`: it goes on only among the best 1/eta of them (asynchronous successive halving: Li et al., A System for
Massively Parallel Hyperparameter Tuning, 2018).

What others had depends on who was fast, so a pruned run is not the same on any number of workers; its decisions are
part of what it records, and a resume repeats them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from evogan.engine.judge import Judge
from evogan.extremes import median
from evogan.settings import Rule
from evogan.trial import FRESH, Evaluation, Identity, Trial, turned

LEAST = 4  # other trials at a checkpoint before one is stopped there
ETA = 3


class Pruner:
    def __init__(self, rule: Rule, judge: Judge) -> None:
        self._rule, self._metric = rule, judge.metric
        self._at: dict[int, dict[Identity, float]] = {}  # checkpoint, from 1 -> the best so far of each trial

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """The curve of a trial that has ended."""
        for checkpoint, point in enumerate(evaluation.scores, 1):
            self._enter(trial, checkpoint, point)

    def stops(self, trial: Trial, point: Mapping[str, float]) -> bool:
        """Whether a running trial, now at `point`, is to end there. None that checks a winner is."""
        if trial.replicate >= FRESH:
            return False
        if "checkpoint" not in point or self._metric not in point or point["fidelity"] >= trial.fidelity:
            return False
        checkpoint = int(point["checkpoint"])
        self._enter(trial, checkpoint, point)
        mine = self._at[checkpoint][trial.identity]
        others = [value for identity, value in self._at[checkpoint].items() if identity != trial.identity]
        if len(others) < LEAST:
            return False
        if self._rule == "median":
            return mine > median(others)
        return sum(value < mine for value in others) >= math.ceil((len(others) + 1) / ETA)

    def _enter(self, trial: Trial, checkpoint: int, point: Mapping[str, float]) -> None:
        before = self._at.get(checkpoint - 1, {}).get(trial.identity, math.inf)
        value = turned(self._metric, point[self._metric]) if self._metric in point else math.inf
        self._at.setdefault(checkpoint, {})[trial.identity] = min(before, value)
