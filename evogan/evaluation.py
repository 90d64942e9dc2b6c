"""Trial -> Evaluation: the zoo builds the GAN, training trains it, fitness scores it."""

from __future__ import annotations

import io
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from PIL import Image
from torch import Tensor

import evogan
from evogan.checkpoint import pack_generator
from evogan.data import Dataset
from evogan.errors import UserError
from evogan.fitness import NonFiniteSamples, Scorer, to_unit_range
from evogan.genes import GENES
from evogan.stable import derive_seed
from evogan.training import Diverged, Plan, Trainer
from evogan.training.flops import flops_per_iteration
from evogan.trial import Evaluation, GANTask, Status, Trial
from evogan.zoo import build
from evogan.zoo.adversarial import AdversarialGAN

SAMPLE_BATCH = 500
GRID = 64  # images in a sample grid


def check_device(name: str) -> torch.device:
    """UserError if this machine does not have the device."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"unknown device '{name}': cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device '{name}' is not there: {torch.cuda.device_count()} CUDA devices found")
    return device


class GANEvaluator:
    """Evaluates genomes on one data set. Holds plain data, so that workers can share it."""

    def __init__(self, dataset: Dataset, scorer: Scorer, device: str = "cpu") -> None:
        self._dataset, self._scorer, self._device = dataset, scorer, device

    def __call__(self, trial: Trial) -> Evaluation:
        assert isinstance(trial.task, GANTask)
        with _threads(trial.task.threads):
            return _Training(trial, trial.task, self._dataset, self._scorer, torch.device(self._device)).run()

    def real_grid(self) -> bytes:
        """A PNG of the first training images, to hold samples against."""
        return grid_png(to_unit_range(torch.from_numpy(self._dataset.images[:GRID])))


@dataclass
class _Training:
    trial: Trial
    task: GANTask
    dataset: Dataset
    scorer: Scorer
    device: torch.device
    scores: list[dict[str, float]] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    started: float = field(default_factory=perf_counter)
    scoring_seconds: float = 0.0
    cost: dict[str, float] = field(default_factory=dict)

    def run(self) -> Evaluation:
        """Failed before the first score checkpoint is failed; later it is completed, with the reason as a flag."""
        status: Status = "completed"
        reason = ""
        try:
            self._train()
        except (Diverged, NonFiniteSamples) as error:
            status, reason = "diverged", str(error)
        except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
            status, reason = "out_of_memory" if _out_of_memory(error) else "crashed", _first_line(error)
        except Exception as error:
            status, reason = "crashed", _first_line(error)
        if self.scores and status != "completed":
            status, reason = "completed", f"{status.replace('_', ' ')}: {reason}"
        return Evaluation(
            status=status,
            reason=reason,
            scores=tuple(self.scores),
            curve=tuple(self.curve),
            cost=self.cost | {"seconds": perf_counter() - self.started, "scoring_seconds": self.scoring_seconds},
            provenance=provenance(self.device, self.task),
            files=self.files,
        )

    def _train(self) -> None:
        size, channels = self.task.image_size, self.task.channels
        flops = flops_per_iteration(self.trial.genome, size, channels)
        gan = build(self.trial.genome, size, channels, self.trial.seed)
        trainer = Trainer(
            gan,
            GENES.complete(self.trial.genome),
            torch.from_numpy(self.dataset.images),
            seed=self.trial.seed,
            device=self.device,
            precision=self.task.precision,
        )
        images = trainer.images_per_iteration
        plan = Plan.of(self.task.kimg, images, self.trial.fidelity, self.task.checkpoints)
        for iteration, scored in plan.stops.items():
            try:
                losses = trainer.run_to(iteration)
            finally:
                kimg = trainer.images_seen / 1000
                self.cost = {"kimg": kimg, "flops": flops * trainer.iteration}
            self.curve.append({"kimg": kimg, **losses})
            if scored:
                part = min(1.0, kimg / self.task.kimg)
                self._score(gan, {"kimg": kimg, "fidelity": part}, trainer.normalized_loss())

    def _score(self, gan: AdversarialGAN, where: dict[str, float], normalized_loss: float) -> None:
        """Score the GAN as it is now, and keep its generator if it is the best so far."""
        started = perf_counter()
        best = min((score["fid"] for score in self.scores), default=float("inf"))
        score = (
            where
            | self.scorer.score(self._sample(gan, z) for z in self._latents(gan))
            | {"normalized_loss": normalized_loss}
        )
        self.scoring_seconds += perf_counter() - started
        score["parameters"] = float(sum(p.numel() for player in gan.players.values() for p in player.parameters()))
        score["seconds"] = perf_counter() - self.started - self.scoring_seconds
        self.scores.append(score)
        if score["fid"] < best:
            self.files["samples.png"] = grid_png(self._sample(gan, next(self._latents(gan))[:GRID]))
            self.files["generator.safetensors"] = pack_generator(
                gan.sampler, self.trial.genome, self.task, {"key": self.trial.key, "fid": score["fid"]}
            )

    def _latents(self, gan: AdversarialGAN) -> Iterator[Tensor]:
        """The task's latent noise: the same for every genome, replicate and checkpoint."""
        rng = torch.Generator(self.device).manual_seed(derive_seed(self.task.key, "score"))
        for start in range(0, self.task.samples, SAMPLE_BATCH):
            yield gan.latents(min(SAMPLE_BATCH, self.task.samples - start), rng)

    def _sample(self, gan: AdversarialGAN, latents: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.task.precision == "bf16"):
            return gan.sample(latents)


def provenance(device: torch.device, task: GANTask) -> dict[str, Any]:
    return {
        "evogan": evogan.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": task.threads,
    }


def grid_png(images: Tensor, columns: int = 8) -> bytes:
    """(N, C, H, W) in [-1, 1] -> a PNG with `columns` images a row; small ones are enlarged pixel by pixel."""
    n, channels, height, width = images.shape
    rows, gap, enlarge = -(-n // columns), 1, max(1, 64 // width)
    cells = torch.zeros(rows * columns, channels, height + gap, width + gap, dtype=torch.uint8)
    cells[:n, :, :height, :width] = ((images.detach().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    grid = cells.unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    big = grid.repeat_interleave(enlarge, 0).repeat_interleave(enlarge, 1)
    buffer = io.BytesIO()
    Image.fromarray(big.squeeze(2).numpy()).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _out_of_memory(error: BaseException) -> bool:
    """On the CPU torch says it with a plain RuntimeError."""
    return (
        not isinstance(error, RuntimeError)
        or isinstance(error, torch.OutOfMemoryError)
        or ("not enough memory" in str(error) or "can't allocate memory" in str(error))
    )


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Fixed threads: their number changes sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
