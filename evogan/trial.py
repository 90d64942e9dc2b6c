"""Task, trial, evaluation: what the two wings exchange."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

from evogan.genome import Genome
from evogan.stable import derive_seed, digest

Failure = Literal["diverged", "out_of_memory", "timed_out", "crashed"]
Status = Literal["completed", Failure]
Identity = tuple[str, str, float, int]

COSTS = ("parameters", "seconds")  # metrics of a whole training: there is no best checkpoint of them
MAXIMISED = frozenset(  # metrics of which more is better
    {
        *("manifold_precision", "manifold_recall", "inception_score", "nmi", "mutual_information", "psnr", "ssim"),
        *("modes", "high_quality", "label_told", "valid", "distinct", "bleu2", "bleu3", "bleu4", "bleu5"),
    }
)
VALIDATION = "validation_"  # before the name of a metric: what chooses its checkpoint, where it is one of a test
FRESH = 1000  # replicates from here on are never used by search: winners are checked on them
RECIPE = 3  # rises when the same genome would train differently
STATE = "training.safetensors"  # the file of an evaluation that a higher fidelity goes on from
IN_PLUGIN = "in_plugin"  # in a provenance: it crashed in a plugin's code, which may be mended; so every run tries again
CHOSEN_BY = "chosen_by"  # in a provenance: by which metrics, and at which score, the weights were chosen, if not by FID
EARLY_FID = "early_fid"  # in what is reported before the first checkpoint: of few samples, to be compared with no other
PLAYERS = "players.safetensors"  # the file with all players as they were at the end of a training
STALLED = "no sign of life"  # how the reason of a trial begins that stalled
TRACEBACK = "traceback.txt"  # the file of an evaluation that crashed
CHECKPOINTS = (0.25, 0.5, 0.75, 1.0)
IMAGE_SIZES = (4, 1024)  # pixels a side, from and to
BUDGETS = {"kimg": "{:g} kimg", "iterations": "{} iterations", "seconds": "{:g} seconds"}  # of a training: one of them
PACED = "paced_kimg"  # in a provenance: what a budget in seconds was found to be in kimg, of each phase of a schedule


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a genome is judged on. A user's own objective is a task with a name and nothing more."""

    name: str

    @property
    def identity(self) -> dict[str, Any]:
        """The facts that results depend on, as plain data."""
        return asdict(self)

    @cached_property
    def key(self) -> str:
        return digest(self.identity)


@dataclass(frozen=True, kw_only=True)
class GANTask(Task):
    """Train a GAN on a data set for a budget, and score it.

    The budget of fidelity 1 is one of three: `kimg`, real images shown to the critic, in thousands; `iterations`,
    updates of the generator; or `seconds`, as many kimg as they were found to be enough for.
    `checkpoints`: the shares of it at which the GAN is scored, rising, the last is 1.
    `samples`: generated images per score. `origin`: digest of the file that trainings go on from, if any. `labels`: of
    how many images trainings are told the label, if not of all.
    """

    fingerprint: str
    image_size: int
    channels: int
    kimg: float | None = None
    iterations: int | None = None
    seconds: float | None = None
    features: str
    samples: int = 5000
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int = 1
    checkpoints: tuple[float, ...] = CHECKPOINTS
    recipe: int = RECIPE
    origin: str | None = None
    labels: int | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """`name` says which data set it is; the fingerprint is the fact. A budget that is not its own is none."""
        return {name: value for name, value in asdict(self).items() if name != "name" and value is not None}


def budget_of(facts: Mapping[str, Any]) -> str:
    """The one of `BUDGETS` that settings, a task or a record of one has."""
    return next(unit for unit in BUDGETS if facts.get(unit) is not None)


def budget_in_words(facts: Mapping[str, Any]) -> str:
    return BUDGETS[unit := budget_of(facts)].format(facts[unit])


def budget_unit(point: Mapping[str, float]) -> Literal["kimg", "iterations"]:
    """In what is said how far a training is, by a point of its scores or its curve."""
    return "iterations" if "iterations" in point else "kimg"


def turned(metric: str, value: float) -> float:
    """A metric's value as it is judged, less being better; and back again, as it is shown."""
    return 0.0 - value if metric.removeprefix(VALIDATION) in MAXIMISED else value


class Stopped(Exception):
    """Raised by `Trial.report`: the trial is to end now, and answers for the last checkpoint that it reached."""


@dataclass(frozen=True)
class Limits:
    """What a trial is offered: seconds of wall time, bytes of memory, and seconds without a sign of life."""

    seconds: float = math.inf
    memory: float = math.inf
    stall: float = math.inf


@dataclass(frozen=True)
class Choice:
    """Which checkpoint of a training counts: the best by the first of the metrics, or the last (of a cost always).

    Only those where every metric is a finite number. A metric on held-out data, as of a winner, chooses none: the same
    one on the validation part does, `validation_error` for `error`.
    """

    metrics: tuple[str, ...] = ("fid",)
    score: Literal["best", "last"] = "best"

    def place(self, scores: Sequence[Mapping[str, float]]) -> int | None:
        """Of the checkpoint among `scores`; None if the metrics were measured nowhere."""
        there = [
            i for i, point in enumerate(scores) if all(math.isfinite(point.get(m, math.nan)) for m in self.metrics)
        ]
        if not there:
            return None
        first = self.metrics[0]
        if self.score == "last" or first in COSTS:
            return there[-1]
        return min(there, key=lambda i: turned(first, scores[i].get(VALIDATION + first, scores[i][first])))


class Hear(Protocol):
    """Hears how far a trial is, and at a checkpoint sees a grid of samples, a PNG. It may raise `Stopped`."""

    def __call__(self, point: Mapping[str, float], grid: bytes = b"") -> None: ...


def _unheard(point: Mapping[str, float], grid: bytes = b"") -> None:
    pass


@dataclass(frozen=True)
class Trial:
    """A request: train and judge this genome. `fidelity` in (0, 1], `replicate` from 0.

    The genome may be a schedule; the key is its own then. `earlier` is what the same trial, or one that it begins as,
    gave at a lower fidelity, with its files: a training may go on from there, and must end as if it had been trained
    straight through. `choice`: of which checkpoint the weights are kept. `number`: the proposal that asked for it
    first. `report` is called now and then with how far it is: `fidelity`, `kimg`, `iterations` where these are the
    budget, and losses; at a checkpoint its scores, with a grid. It may raise `Stopped`. `whole`: all players are to be
    kept, as they are where winners are checked.
    """

    genome: Genome
    key: str
    task: Task
    fidelity: float = 1.0
    replicate: int = 0
    earlier: Evaluation | None = field(default=None, compare=False, repr=False)
    choice: Choice = field(default=Choice(), compare=False)
    number: int | None = field(default=None, compare=False)
    whole: bool = field(default=False, compare=False)
    report: Hear = field(default=_unheard, compare=False, repr=False)

    @property
    def identity(self) -> Identity:
        """What makes two trials the same."""
        return (self.key, self.task.key, self.fidelity, self.replicate)

    @property
    def keeps_players(self) -> bool:
        return self.fidelity == 1 and (self.whole or self.replicate >= FRESH)

    @property
    def seed(self) -> int:
        """The training seed. A longer training begins as the shorter one did: no fidelity in it, and no changes."""
        first = self.prefixes[0][0] if self.prefixes else self.key
        return derive_seed(first, self.task.key, self.replicate)

    @property
    def prefixes(self) -> tuple[tuple[str, float], ...]:
        """The keys of the schedules that it begins as, the shortest first, and the share up to which it is each."""
        return self.genome.prefixes


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The recorded fact that answers a trial.

    `scores`: one mapping a checkpoint, with `kimg`, where they are the budget `iterations`, and every metric there.
    `curve`: losses through training.
    `cut_short`: what ended a training that counts as completed, since it had been scored by then; `reason`: why it
    ended, in words. `diagnostics`: one mapping a checkpoint, player -> layer -> numbers. `flags`: what went wrong, by
    the names of `evogan.evaluation.flags`; a completed evaluation may have some.
    `cost`: seconds and the like that this very evaluation took. `provenance`: versions, device, threads. `files`: what
    was made, by name (bytes on their way to the store, which keeps them as files). `limits`: what a trial had that was
    timed out or ran out of memory. `fidelity`: how far it went, where that is less than was asked for (and as
    recorded). `id`: its number in the store.
    """

    status: Status
    scores: tuple[Mapping[str, float], ...] = ()
    curve: tuple[Mapping[str, float], ...] = field(default=(), repr=False)
    diagnostics: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    flags: tuple[str, ...] = ()
    cost: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    cut_short: Failure | None = None
    reason: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    limits: Limits = Limits()
    fidelity: float | None = field(default=None, compare=False)
    id: int | None = field(default=None, compare=False)

    @property
    def limit_bound(self) -> bool:
        """Whether another offer might have ended otherwise."""
        return self.status in ("timed_out", "out_of_memory")

    def answers(self, offer: Limits, choice: Choice | None = None) -> bool:
        """Whether it tells how a trial with this offer ends: a limit-bound failure does where no more is offered.

        And for this choice: it has the metrics, and its weights are those of the checkpoint that is chosen by them.
        """
        if IN_PLUGIN in self.provenance:
            return False
        if self.status == "timed_out":
            if self.limits.stall == math.inf and self.reason.startswith(STALLED):  # recorded before that was known
                return False
            return offer.seconds <= self.limits.seconds and offer.stall <= self.limits.stall
        if self.status == "out_of_memory":
            return offer.memory <= self.limits.memory
        return choice is None or self.failed or (self.measured(choice.metrics) and self.keeps(choice))

    def measured(self, metrics: Sequence[str]) -> bool:
        return all(any(name in point for point in self.scores) for name in metrics)

    @property
    def choice(self) -> Choice | None:
        """By what the checkpoint was chosen whose weights are kept; None if none are."""
        if (recorded := self.provenance.get(CHOSEN_BY)) is not None:
            return Choice(tuple(recorded["metrics"]), recorded["score"])
        return Choice() if self.measured(Choice().metrics) else None

    @property
    def kept(self) -> Mapping[str, float]:
        """The scores at the checkpoint whose weights are kept; empty if none are."""
        place = self.choice.place(self.scores) if self.choice else None
        return {} if place is None else self.scores[place]

    def keeps(self, choice: Choice) -> bool:
        """Whether its weights, if there are any, are of the checkpoint that would be chosen so."""
        return self.choice is None or self.choice.place(self.scores) == choice.place(self.scores)

    @property
    def failed(self) -> bool:
        return self.status != "completed"

    @property
    def failure(self) -> Failure | None:
        """What ended its training before the time, whether or not there are scores that count."""
        return self.cut_short if self.status == "completed" else self.status

    def metric(self, name: str, score: Literal["best", "last"] = "best") -> float | None:
        """The metric at its own best checkpoint or at the last one; None where it was not measured."""
        values = [point[name] for point in self.scores if name in point]
        if not values:
            return None
        return min(values, key=lambda value: turned(name, value)) if score == "best" else values[-1]


def share_of(fidelity: float, provenance: Mapping[str, Any]) -> float:
    """Of a full training, what an evaluation trained itself: it may have gone on from a lower fidelity."""
    return fidelity - float(provenance.get("continued_from", 0.0))
