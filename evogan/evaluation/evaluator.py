"""Trial -> Evaluation: the zoo builds the GAN, training trains it, fitness scores it.

A training that stops early leaves its state, from which one at a higher fidelity goes on and ends as if it had been
trained straight through. The end of a fidelity need not be one of the task's checkpoints; what is looked at and scored
there belongs to that fidelity alone, so the state is then that of before the look.
"""

from __future__ import annotations

import platform
from collections.abc import Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from evogan.data import Dataset
from evogan.errors import UserError, whole_traceback
from evogan.evaluation.checkpoint import pack_generator
from evogan.evaluation.flags import flags_of
from evogan.evaluation.grid import grid_png
from evogan.fitness import NonFiniteSamples, Scorer, to_unit_range
from evogan.genes import GENES
from evogan.stable import derive_seed, digest
from evogan.training import Diverged, Plan, Population, State, Trainer, diagnose
from evogan.training.flops import flops_per_iteration
from evogan.trial import STATE, TRACEBACK, Evaluation, GANTask, Status, Stopped, Trial
from evogan.version import __version__
from evogan.zoo import GAN, build
from evogan.zoo.stack import shape

SAMPLE_BATCH = 500  # latents drawn at a time
GRID = 64  # images in a sample grid
BEST = ("generator.safetensors", "samples.png")  # files of the best generator so far


def check_device(name: str, here: bool = True) -> torch.device:
    """UserError for what is no device, or is not `here` on this machine."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"unknown device '{name}': cpu, cuda or cuda:N")
    if here and device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device '{name}' is not there: {torch.cuda.device_count()} CUDA devices found")
    return device


class GANEvaluator:
    """Evaluates genomes on one data set. Holds plain data, so that workers can share it."""

    def __init__(self, dataset: Dataset, scorer: Scorer, device: str = "cpu") -> None:
        self._dataset, self._scorer, self._device = dataset, scorer, device

    def __call__(self, trial: Trial) -> Evaluation:
        assert isinstance(trial.task, GANTask)
        with _threads(trial.task.threads):
            course = self._training(trial, self._images(), _Clock()).course()
            while True:
                try:
                    next(course)
                except StopIteration as end:
                    evaluation: Evaluation = end.value
                    return evaluation

    def alike(self, trial: Trial) -> Hashable | None:
        """Trials for which this is the same can be trained together; None: only alone."""
        fixed = shape(GENES.complete(trial.genome))
        return None if fixed is None else (digest(fixed), trial.task.key)

    def together(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Evaluation]]:
        """Several trials trained as one program: each with its evaluation, as they end. They must be `alike`.

        An evaluation is the one of the trial alone, up to rounding. Errors: whatever ends all of them at once, such as
        too little memory.
        """
        images = self._images()
        with _threads(trials[0].task.threads):  # type: ignore[attr-defined]
            clock = _Clock(len(trials))
            courses = [self._training(trial, images, clock).course() for trial in trials]
            members: dict[int, Trainer] = {}
            goals: dict[int, int] = {}
            for i, course in enumerate(courses):
                try:
                    members[i], goals[i] = next(course)
                except StopIteration as end:  # it came to harm before its first step
                    clock.leave()
                    yield trials[i], end.value
            numbers = list(members)
            population = Population(list(members.values())) if members else None
            while population is not None and goals:
                for place in population.run({numbers.index(i): goal for i, goal in goals.items()}):
                    i = numbers[place]
                    try:
                        _, goals[i] = next(courses[i])
                    except StopIteration as end:
                        del goals[i]
                        clock.leave()
                        yield trials[i], end.value

    def _images(self) -> Tensor:
        return torch.from_numpy(self._dataset.images).to(self._device)

    def _training(self, trial: Trial, images: Tensor, clock: _Clock) -> _Training:
        task, device = trial.task, torch.device(self._device)
        assert isinstance(task, GANTask)
        return _Training(trial, task, self._dataset, images, self._scorer, device, clock.sharing, clock=clock)

    def real_grid(self) -> bytes:
        """A PNG of the first training images, to hold samples against."""
        return grid_png(to_unit_range(torch.from_numpy(self._dataset.images[:GRID])))


class _Moment(NamedTuple):
    """Where a training stands. `scores` (and as many diagnostics) and `curve` say how much of them belongs to it."""

    training: State
    scores: int
    curve: int
    files: dict[str, bytes]


@dataclass
class _Clock:
    """Seconds that a training is charged: of those that several are trained in together, each has its share.

    `sharing`: as many as are being trained. `scoring`: the part of the seconds that was no training.
    """

    sharing: int = 1
    scoring: float = 0.0
    _seconds: float = 0.0
    _read: float = field(default_factory=perf_counter)

    def now(self) -> float:
        read = perf_counter()
        self._seconds += (read - self._read) / self.sharing
        self._read = read
        return self._seconds

    def training(self) -> float:
        return self.now() - self.scoring

    def leave(self) -> None:
        """One of several has ended."""
        self.now()
        self.sharing = max(1, self.sharing - 1)


@dataclass
class _Training:
    """`together`: as many are trained as one program; they have one clock."""

    trial: Trial
    task: GANTask
    dataset: Dataset
    images: Tensor
    scorer: Scorer
    device: torch.device
    together: int = 1
    scores: list[dict[str, float]] = field(default_factory=list)
    diagnostics: list[dict[str, Any]] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    clock: _Clock = field(default_factory=lambda: _Clock())
    before: float = 0.0  # seconds that an earlier evaluation spent on this training
    scoring_seconds: float = 0.0
    cost: dict[str, float] = field(default_factory=dict)
    continued: dict[str, Any] = field(default_factory=dict)

    def course(self) -> Generator[tuple[Trainer, int], None, Evaluation]:
        """Trains when it is gone on with. Each time, it says first up to which iteration: someone else may do that.

        Failed before the first score checkpoint is failed; later it is completed, with the reason as a flag.
        """
        status: Status = "completed"
        reason, reached = "", None
        try:
            yield from self._train()
        except Stopped:
            reached = self._cut_back()
        except (Diverged, NonFiniteSamples) as error:
            status, reason = "diverged", str(error)
        except Exception as error:
            status, reason = "out_of_memory" if _out_of_memory(error) else "crashed", _first_line(error)
            if status == "crashed":
                self.files[TRACEBACK] = whole_traceback(error)
        if self.scores and status != "completed":
            status, reason = "completed", f"{status.replace('_', ' ')}: {reason}"
        evaluation = Evaluation(
            status=status,
            reason=reason,
            scores=tuple(self.scores),
            curve=tuple(self.curve),
            diagnostics=tuple(self.diagnostics),
            cost=self.cost | {"seconds": self.clock.now(), "scoring_seconds": self.scoring_seconds},
            provenance=provenance(self.device, self.task) | self.continued | self._fused(),
            files=self.files,
            fidelity=reached,
        )
        return replace(evaluation, flags=flags_of(evaluation))

    def _fused(self) -> dict[str, Any]:
        return {"trained_together": self.together} if self.together > 1 else {}

    def _train(self) -> Iterator[tuple[Trainer, int]]:
        flops = flops_per_iteration(self.trial.genome, self.task.image_size, self.task.channels)
        plan = self.plan
        trainer = self._begin(plan.total)
        begun, moment = trainer.iteration, None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()  # what the trial before left
            torch.cuda.reset_peak_memory_stats(self.device)
        try:
            for iteration, scored in list(plan.stops.items())[len(self.curve) :]:
                yield trainer, iteration
                trainer.run_to(iteration)
                if iteration == plan.last and not plan.on_checkpoint:
                    moment = self._moment(trainer)
                kimg = trainer.images_seen / 1000
                part = min(1.0, kimg / self.task.kimg)
                self.curve.append({"kimg": kimg, **trainer.losses()})
                if scored:
                    self._score(trainer, {"kimg": kimg, "fidelity": part})
                    self.trial.report(self.scores[-1] | {"checkpoint": len(self.scores)})
                else:
                    self.trial.report(self.curve[-1] | {"fidelity": part})
        finally:
            done = trainer.iteration - begun
            self.cost = {"kimg": done * plan.images / 1000, "flops": done * flops}
            if self.device.type == "cuda" and self.together == 1:  # what one of several needs alone is not known
                self.cost["gpu_memory"] = float(torch.cuda.max_memory_reserved(self.device))
        if self.trial.fidelity < 1:
            self.files[STATE] = self._pack(moment or self._moment(trainer))

    @cached_property
    def plan(self) -> Plan:
        genes = GENES.complete(self.trial.genome)
        images = int(genes["batch_size"]) * int(genes["critic_steps"])
        return Plan.of(self.task.kimg, images, self.trial.fidelity, self.task.checkpoints)

    def _cut_back(self) -> float:
        """To the last checkpoint: it ends as a trial of that fidelity would have; which one that is."""
        end = self.scores[-1]["kimg"]
        self.curve = [point for point in self.curve if point["kimg"] <= end]
        iteration = round(end * 1000 / self.plan.images)
        return max(part for part in self.task.checkpoints if self.plan.at(part) <= iteration)

    def _begin(self, iterations: int) -> Trainer:
        """The training, gone on with where that is possible."""
        trainer = self._build(iterations)
        if self.trial.earlier is None or STATE not in self.trial.earlier.files:
            return trainer
        try:
            self._restore(trainer, self.trial.earlier)
        except Exception as error:  # whatever is wrong with the file: from the start it ends the same
            self.continued = {"not_continued": _first_line(error)}
            return self._build(iterations)
        return trainer

    def _build(self, iterations: int) -> Trainer:
        return Trainer(
            build(self.trial.genome, self.task.image_size, self.task.channels, self.trial.seed),
            GENES.complete(self.trial.genome),
            self.images,
            seed=self.trial.seed,
            device=self.device,
            iterations=iterations,
            precision=self.task.precision,
        )

    def _moment(self, trainer: Trainer) -> _Moment:
        return _Moment(trainer.state(), len(self.scores), len(self.curve), dict(self.files))

    def _pack(self, moment: _Moment) -> bytes:
        """The state file, with the best generator at the moment where a later look has replaced it."""
        replaced = {
            f"file.{name}": torch.frombuffer(bytearray(content), dtype=torch.uint8)
            for name, content in moment.files.items()
            if content is not self.files[name]
        }
        numbers = {
            "owner": self._owner(),
            "fidelity": self.trial.fidelity,
            "scores": moment.scores,
            "curve": moment.curve,
            "training": moment.training.numbers,
        }
        return State(moment.training.tensors | replaced, numbers).pack()

    def _restore(self, trainer: Trainer, earlier: Evaluation) -> None:
        """Errors: any, unless the state is one of this very training at a lower fidelity."""
        state = State.unpack(earlier.files[STATE])
        numbers = state.numbers
        if numbers["owner"] != self._owner() or numbers["fidelity"] >= self.trial.fidelity:
            raise ValueError("the state of another training")
        replaced = {name: tensor.numpy().tobytes() for name, tensor in state.part("file.").items()}
        kept = [*BEST, *map(_grid_of, earlier.scores[: numbers["scores"]])] if numbers["scores"] else []
        files = {name: replaced.get(name) or earlier.files[name] for name in kept}
        seconds = earlier.scores[-1]["seconds"]
        trainer.restore(State(state.tensors, numbers["training"]))
        self.scores = [dict(score) for score in earlier.scores[: numbers["scores"]]]
        self.diagnostics = [dict(found) for found in earlier.diagnostics[: numbers["scores"]]]
        self.curve = [dict(point) for point in earlier.curve[: numbers["curve"]]]
        self.files = files
        self.before = seconds - self.clock.training()  # set up once, as in a training straight through
        self.continued = {"continued_from": numbers["fidelity"]}

    def _owner(self) -> dict[str, Any]:
        """What a state belongs to. Elsewhere and with other versions the same training rounds otherwise."""
        names = {"key": self.trial.key, "task": self.task.key, "replicate": self.trial.replicate}
        return names | provenance(self.device, self.task)

    def _score(self, trainer: Trainer, where: dict[str, float]) -> None:
        """Score and diagnose the GAN as it is now, and keep its generator if it is the best so far."""
        started, gan = self.clock.now(), trainer.gan
        best = min((score["fid"] for score in self.scores), default=float("inf"))
        score = where | self.scorer.score(
            self._sample(gan, part) for z in self._latents(gan) for part in z.split(self._at_once)
        )
        numbers, layers = diagnose(trainer, torch.tensor(self.dataset.held_out), self.trial.seed)
        score |= numbers | {"normalized_loss": trainer.normalized_loss()}
        took = self.clock.now() - started
        self.clock.scoring += took
        self.scoring_seconds += took * self.clock.sharing
        score["parameters"] = float(sum(p.numel() for player in gan.players.values() for p in player.parameters()))
        score["seconds"] = self.before + self.clock.training()
        self.scores.append(score)
        self.diagnostics.append(layers)
        grid = self.files[_grid_of(score)] = grid_png(self._sample(gan, next(self._latents(gan))[:GRID]))
        if score["fid"] < best:
            self.files["samples.png"] = grid
            self.files["generator.safetensors"] = pack_generator(
                gan.sampler, self.trial.genome, self.task, {"key": self.trial.key, "fid": score["fid"]}
            )

    def _latents(self, gan: GAN) -> Iterator[Tensor]:
        """The task's latent noise: the same for every genome, replicate and checkpoint."""
        rng = torch.Generator(self.device).manual_seed(derive_seed(self.task.key, "score"))
        for start in range(0, self.task.samples, SAMPLE_BATCH):
            yield gan.latents(min(SAMPLE_BATCH, self.task.samples - start), rng)

    @property
    def _at_once(self) -> int:
        """Samples made at a time: on a CPU few large ones stay in its caches, more small ones share the overhead."""
        return SAMPLE_BATCH if self.device.type != "cpu" or self.task.image_size < 16 else SAMPLE_BATCH // 5

    def _sample(self, gan: GAN, latents: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.task.precision == "bf16"):
            return gan.sample(latents)


def provenance(device: torch.device, task: GANTask) -> dict[str, Any]:
    return {
        "evogan": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": task.threads,
    }


def _grid_of(score: Mapping[str, float]) -> str:
    """The file with the samples at a score checkpoint, by the percent of the training that was done."""
    return f"samples-{round(100 * score['fidelity'])}.png"


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _out_of_memory(error: BaseException) -> bool:
    """On the CPU torch says it with a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = ("not enough memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(text in str(error) for text in said)


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Fixed threads: their number changes sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
