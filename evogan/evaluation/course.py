"""One training: from its first step, or where a shorter one stopped, over its checkpoints to its evaluation.

A training that stops early leaves its state, from which one at a higher fidelity goes on and ends as if it had been
trained straight through. A schedule's training is in phases: each goes on from the state that the one before would have
left there, with the genes that changed. So it ends the same from the start and from whatever it begins as.
"""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch

from evogan.errors import whole_traceback
from evogan.evaluation.artefacts import GENERATOR, SAMPLES, Record, grid_of, pack_state, unpack_state
from evogan.evaluation.checkpoint import pack_generator
from evogan.evaluation.clock import Clock
from evogan.evaluation.flags import flags_of
from evogan.evaluation.look import Look, look_early
from evogan.evaluation.pace import iterations_within
from evogan.evaluation.players import Players, pack_players
from evogan.evaluation.scoring import Scoring
from evogan.families import family_of
from evogan.families.build import build
from evogan.fitness import NonFiniteSamples
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.plugins import at_fault
from evogan.training import Diverged, Plan, State, Trainer
from evogan.training.flops import flops_per_step
from evogan.training.rounds import Rounds
from evogan.trial import (
    CHOSEN_BY,
    IN_PLUGIN,
    PACED,
    PLAYERS,
    STATE,
    TRACEBACK,
    Choice,
    Evaluation,
    Failure,
    Stopped,
    Trial,
)
from evogan.version import __version__
from evogan.zoo.gan import LooksThrough


@dataclass(frozen=True)
class Phase:
    """A part of a training, from a share of the budget on: the genes do not change in it.

    `plan`: as if they had been these all the time, up to the end of the phase; it begins at iteration `begun`. `kimg`:
    the budget by them, in thousands of rows. `before`: real images that were shown, beyond those that a training with
    these genes would have been shown by then.
    """

    share: float
    genome: Genome
    plan: Plan
    begun: int
    kimg: float
    before: int


class Course:
    """Those that are trained as one program share a clock. `origin`: what begins it."""

    def __init__(
        self,
        trial: Trial,
        scoring: Scoring,
        clock: Clock,
        look: Look | None = None,
        origin: Players | None = None,
    ) -> None:
        self._trial, self._task, self._scoring, self._clock = trial, scoring.task, scoring, clock
        self._device, self._look, self._origin = scoring.device, look, origin
        self._together = clock.sharing
        self._record = Record()
        self._before = 0.0  # seconds that an earlier evaluation spent on this training
        self._cost: dict[str, float] = {}
        self._continued: dict[str, Any] = {}  # from which fidelity, or why not
        self._crashed: dict[str, Any] = {}  # in whose code
        self._at = 0  # the phase that it is in

    def run(self) -> Generator[tuple[Trainer, int], None, Evaluation]:
        """Trains when it is gone on with. Each time, it says first up to which iteration: someone else may do that.

        Failed before the first score checkpoint is failed; later it is completed, with the reason as a flag.
        """
        failure: Failure | None = None
        reason, reached = "", None
        try:
            yield from self._train()
        except Stopped:
            reached = self._cut_back()
        except (Diverged, NonFiniteSamples) as error:
            failure, reason = "diverged", str(error)
        except Exception as error:
            failure, reason = "out_of_memory" if _out_of_memory(error) else "crashed", _first_line(error)
            if failure == "crashed":
                self._record.files[TRACEBACK] = whole_traceback(error)
                self._crashed = {IN_PLUGIN: True} if at_fault(error, scripts=True) else {}
        record = self._record
        cut_short = failure if record.scores else None
        if cut_short is not None:
            reason = f"{cut_short.replace('_', ' ')}: {reason}"
        choice, more = self._trial.choice, self._continued | self._crashed
        if self._together > 1:
            more["trained_together"] = self._together
        if self._scoring.shown.judged is not None:
            more["errors_on"] = self._scoring.shown.judged.what
        if self._task.seconds is not None and "_phases" in vars(self):  # those that could be timed
            more[PACED] = [phase.kimg for phase in self._phases]
        if choice != Choice():
            more[CHOSEN_BY] = {"metrics": [*choice.metrics], "score": choice.score}
        evaluation = Evaluation(
            status="completed" if cut_short or failure is None else failure,
            cut_short=cut_short,
            reason=reason,
            scores=tuple(record.scores),
            curve=tuple(record.curve),
            diagnostics=tuple(record.diagnostics),
            cost=self._cost | {"seconds": self._clock.seconds, "scoring_seconds": self._clock.scoring},
            provenance=self._provenance | more,
            files=record.files,
            fidelity=reached,
        )
        return replace(evaluation, flags=flags_of(evaluation))

    def _train(self) -> Iterator[tuple[Trainer, int]]:
        trainer, device = self._begin(), self._device
        first = (self._trial.number, self._trial.replicate) == (0, 0) and not self._record.scores
        if self._look is None and first and not self._scoring.dataset.language:
            look_early(trainer, self._scoring, self._clock, self._trial.report)
        if device.type == "cuda":
            torch.cuda.empty_cache()  # what the trial before left
            torch.cuda.reset_peak_memory_stats(device)
        record = self._record
        try:
            before_the_end = yield from self._through(trainer)
            while not self._is_last:
                trainer = self._changed(before_the_end[0] if before_the_end else trainer.state())
                before_the_end = yield from self._through(trainer)
        finally:
            if device.type == "cuda" and self._together == 1:  # what one of several needs alone is not known
                self._cost["gpu_memory"] = float(torch.cuda.max_memory_reserved(device))
        if self._trial.keeps_players:
            facts = self._known | self._where(trainer) | _fid(record.scores[-1])
            record.files[PLAYERS] = pack_players(
                trainer, self._phase.genome, self._task, facts | self._scoring.named(trainer.gan)
            )
        if self._trial.fidelity < 1:
            training, then = before_the_end or (trainer.state(), record.copy())
            record.files[STATE] = pack_state(self._owner, self._trial.fidelity, training, then, record)

    def _through(self, trainer: Trainer) -> Generator[tuple[Trainer, int], None, tuple[State, Record] | None]:
        """Through a phase. Where it ends between the task's checkpoints: what there was before it was looked at."""
        phase, record, before_the_end = self._phase, self._record, None
        plan, flops = phase.plan, flops_per_step(phase.genome, self._scoring.fields)
        share = float(GENES.complete(phase.genome).get("likelihood_share", 0.0))  # in which steps are others
        later = flops_per_step(phase.genome, self._scoring.fields, share) if 0 < share < 1 else flops
        begun, before = trainer.iteration, self._steps(trainer)
        if self._look is not None:
            self._look.at(trainer, plan.last, self._scoring, self._clock)
        try:
            for iteration, scored in self._ahead(trainer):
                yield trainer, iteration
                trainer.run_to(iteration)
                if iteration == plan.last and not plan.on_checkpoint:
                    before_the_end = trainer.state(), record.copy()
                    if not self._is_last:
                        break
                where = self._where(trainer)
                part = min(1.0, trainer.images_seen / 1000 / phase.kimg)
                record.curve.append(where | trainer.losses())
                if scored:
                    self._score(trainer, where | {"fidelity": part})
                    score = record.scores[-1]
                    point = record.curve[-1] | score | {"checkpoint": len(record.scores)}
                    self._trial.report(point, record.files[grid_of(score)])
                else:
                    self._trial.report(record.curve[-1] | {"fidelity": part})
        finally:
            made, rounds = self._steps(trainer), trainer.rounds.in_its_place
            spent = {
                "kimg": (trainer.iteration - begun) * plan.images / 1000,
                "flops": sum(
                    (made[player] - before[player]) * later[player]
                    + (rounds(player, trainer.iteration) - rounds(player, begun)) * (flops[player] - later[player])
                    for player in made
                ),
            }
            self._cost |= {name: self._cost.get(name, 0.0) + cost for name, cost in spent.items()}
        return before_the_end

    def _ahead(self, trainer: Trainer) -> list[tuple[int, bool]]:
        """The stops of the phase that are left. Where it is now is one of them if it was not looked at yet; where the
        phase begins, if more ends there than the last one saw.
        """
        phase, plan, curve = self._phase, self._phase.plan, self._record.curve
        if trainer.iteration == plan.last and not plan.on_checkpoint and not self._is_last:
            return []
        looked = bool(curve) and curve[-1]["kimg"] == self._where(trainer)["kimg"]
        ends = {plan.last, *(plan.at(part) for part in self._task.checkpoints if part > phase.share)}
        stops = [i for i in plan.stops if i > phase.begun or i in ends]
        return [(i, plan.stops[i]) for i in stops if i >= trainer.iteration + looked]

    def _where(self, trainer: Trainer) -> dict[str, float]:
        """How far it is: rows shown, and in a budget of them updates made."""
        where = {"kimg": (self._phase.before + trainer.images_seen) / 1000}
        if self._task.iterations is not None:
            where["iterations"] = float(trainer.steps(family_of(self._trial.genome).sampled))
        return where

    @staticmethod
    def _steps(trainer: Trainer) -> dict[str, int]:
        return {player: trainer.steps(player) for player in trainer.gan.players}

    def _begin(self) -> Trainer:
        """The training, gone on with where that is possible."""
        trainer = self._build()
        earlier = self._trial.earlier
        if earlier is None or STATE not in earlier.files:
            return trainer
        try:
            until = {**dict(self._trial.prefixes), self._trial.key: math.nextafter(self._trial.fidelity, 0.0)}
            state, record, fidelity = unpack_state(self._owner, until, self._trial.choice, earlier)
            seconds = earlier.scores[-1]["seconds"]
            self._at = sum(phase.share < fidelity for phase in self._phases) - 1
            trainer = trainer if self._at == 0 else self._build()
            trainer.restore(state)
        except Exception as error:  # whatever is wrong with the file: from the start it ends the same
            self._continued, self._at = {"not_continued": _first_line(error)}, 0
            return self._build()
        self._record, self._continued = record, {"continued_from": fidelity}
        self._before = seconds - self._clock.training  # set up once, as in a training straight through
        return trainer

    def _changed(self, state: State) -> Trainer:
        """The training in its next phase, gone on with from where it is in this one."""
        self._at += 1
        state = State.unpack(State(state.tensors, state.numbers | {"iteration": self._phase.begun}).pack())
        trainer = self._build()
        trainer.restore(state)
        return trainer

    def _build(self) -> Trainer:
        """In the phase that it is in."""
        trainer = self._trainer(self._phase.genome, GENES.complete(self._phase.genome), self._phase.plan.total)
        if self._origin is not None:
            self._origin.begin(trainer, self._phase.genome)
        return trainer

    def _trainer(self, genome: Genome, genes: Mapping[str, Any], iterations: int) -> Trainer:
        task, seed = self._task, self._trial.seed
        gan = build(genome, self._scoring.fields, seed)
        if isinstance(gan, LooksThrough):
            gan.look_through(self._scoring.scorer.features.to(self._device).maps)
        return Trainer(
            gan,
            genes,
            self._scoring.shown.streams,
            seed=seed,
            device=self._device,
            iterations=iterations,
            precision=task.precision,
        )

    @property
    def _phase(self) -> Phase:
        return self._phases[self._at]

    @property
    def _is_last(self) -> bool:
        return self._at == len(self._phases) - 1

    @cached_property
    def _phases(self) -> list[Phase]:
        """What a share of the budget is in iterations may change with the genes: a phase begins at the share where the
        last one ended. What was timed once holds for a training that goes on.
        """
        timed = self._trial.earlier.provenance.get(PACED, []) if self._trial.earlier else []
        fidelity, phases = self._trial.fidelity, list[Phase]()
        parts = [(begin, genome) for begin, genome in self._trial.genome.phases if begin < fidelity]
        for (begin, genome), end in zip(parts, [*(begin for begin, _ in parts[1:]), fidelity], strict=True):
            kimg = timed[len(phases)] if len(phases) < len(timed) else self._kimg(genome)
            rows = family_of(genome).rows_per_iteration(GENES.complete(genome))
            plan = Plan.of(kimg, rows, end, self._task.checkpoints)
            begun = before = 0
            if phases:
                last = phases[-1]
                begun = plan.at(begin)
                before = last.before + last.plan.last * last.plan.images - begun * plan.images
            phases.append(Phase(begin, genome, plan, begun, kimg, before))
        return phases

    def _kimg(self, genome: Genome) -> float:
        """The budget, which may be said otherwise: thousands of real rows shown to the counted player."""
        task, family, genes = self._task, family_of(genome), GENES.complete(genome)
        if task.kimg is not None:
            return task.kimg
        if task.seconds is not None:
            never_resting = dict.fromkeys((f"{family.counted}_pretraining", f"{family.counted}_long_steps"), 0)
            with self._clock.scored():
                rounds = iterations_within(task.seconds, partial(self._trainer, genome, {**genes, **never_resting}))
        else:
            assert task.iterations is not None
            schedule = [(player, family.steps(player, genes)) for player in (family.counted, family.sampled)]
            rounds = Rounds(schedule, family.counted, genes).nearest(family.sampled, task.iterations)
        return rounds * family.rows_per_iteration(genes) / 1000

    def _score(self, trainer: Trainer, where: Mapping[str, float]) -> None:
        """Score and diagnose the GAN as it is now, and keep its generator if this is the checkpoint that counts."""
        record, gan = self._record, trainer.gan
        with self._clock.scored():
            found, layers = self._scoring.measure(trainer, self._trial)
        score = {
            **where,
            **found,
            "parameters": float(sum(p.numel() for player in gan.players.values() for p in player.parameters())),
            "seconds": self._before + self._clock.training,
        }
        record.scores.append(score)
        record.diagnostics.append(layers)
        grid = record.files[grid_of(score)] = self._scoring.grid(gan)
        if self._trial.choice.place(record.scores) == len(record.scores) - 1:
            record.files |= {SAMPLES: grid, **self._scoring.pictures(gan)}
            record.files[GENERATOR] = pack_generator(
                gan,
                self._phase.genome,
                self._task,
                self._known | _fid(score) | self._scoring.named(gan),
            )

    @property
    def _known(self) -> dict[str, Any]:
        """For files: whose training it is, and its budget by the genes that it has now."""
        return {"key": self._trial.key, "replicate": self._trial.replicate, "kimg": self._phase.kimg}

    def _cut_back(self) -> float:
        """To the last checkpoint: it ends as a trial of that fidelity would have; which one that is."""
        end = self._record.scores[-1]["kimg"]
        self._record.cut(end)
        phase = self._phase
        iteration = round((end * 1000 - phase.before) / phase.plan.images)
        return max(part for part in self._task.checkpoints if phase.plan.at(part) <= iteration)

    @cached_property
    def _owner(self) -> dict[str, Any]:
        """What a state belongs to. Elsewhere and with other versions the same training rounds otherwise."""
        names = {"key": self._trial.key, "task": self._task.key, "replicate": self._trial.replicate}
        return names | self._provenance

    @cached_property
    def _provenance(self) -> dict[str, Any]:
        device = self._device
        return {
            "evogan": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
            "threads": self._task.threads,
        }


def _fid(score: Mapping[str, float]) -> dict[str, float]:
    """Of images and points."""
    return {name: score[name] for name in ("fid",) if name in score}


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _out_of_memory(error: BaseException) -> bool:
    """On the CPU torch says it with a plain RuntimeError, oneDNN, which has no room for its code, with another."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = r"not enough memory|can't allocate memory|std::bad_alloc|could not create a (primitive|memory object)$"
    return isinstance(error, RuntimeError) and re.search(said, str(error), re.MULTILINE) is not None
