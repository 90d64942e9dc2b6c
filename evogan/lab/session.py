"""A GAN of points while it trains: step by step, its genes changed on the way, and what there is to see of it.

All that is computed is computed by the training loop and the losses that every GAN is trained with. Looking changes
nothing: draws for a view come from a generator of their own, and statistics of batches are put back.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor, nn

from evogan.caller import undisturbed
from evogan.data import Dataset
from evogan.errors import UserError
from evogan.families import family_of
from evogan.families.build import build, check
from evogan.fitness.points import PlaneMeasures
from evogan.genes import AUTOENCODING, GENES
from evogan.genome import Genome, Value
from evogan.stable import derive_seed
from evogan.training import Diverged, State, Trainer
from evogan.zoo.gan import Batch

What = Literal["critic", "generator", "both"]

SETTABLE = (  # genes that may change while it trains
    *("loss", "relativistic", "gradient_penalty", "gradient_penalty_weight", "zero_penalty", "zero_penalty_weight"),
    *("critic_steps", "generator_steps", "learning_rate", "lr_ratio"),
    *("critic_optimizer", "generator_optimizer", "batch_size", "instance_noise"),
)
POINTS, SIDE, LINES = 300, 41, 13  # dots of each kind; cells of the surface, and lines of the latent grid, along a side
JUDGED, MOST = 500, 1000  # samples; iterations at a time
BUDGET = 10**6  # iterations that schedules refer to
MARGIN = 0.35  # around the data, as a share of what they span
EDGE = 0.02  # of the latents beyond the grid's ends, on each side
LATENT = "latent"


class Session:
    """One training. `genome`: of a plain GAN that is not conditional. Errors: UserError."""

    @undisturbed()
    def __init__(self, genome: Mapping[str, Value], data: Dataset, seed: int = 0) -> None:
        if data.plane is None:
            has = "sequences" if data.language else "images"
            raise UserError(f"the lab shows points in the plane (ring, grid, moons, spiral): '{data.name}' has {has}")
        family_of(genome).check_served(data.kinds, data.name)
        if genome.get("condition", "none") != "none":
            raise UserError("the lab shows GANs that are asked for no classes")
        check(genome, data.fields)
        self.data, self.seed = data, seed
        self.genome = GENES.read(dict(genome))
        self.alone: Counter[str] = Counter()  # steps of one player, beside those of iterations
        self.curve: list[dict[str, float]] = []
        self._judge = PlaneMeasures(data, JUDGED)
        self._trainer = self._fresh(self.genome)
        self._look()

    @undisturbed()
    def do(self, what: What, times: int = 1) -> None:
        """`both`: whole iterations. Errors: UserError where a loss is no number any more."""
        times = max(1, min(times, MOST))
        try:
            if what == "both":
                self._trainer.run_to(self._trainer.iteration + times)
            else:
                for _ in range(times):
                    self._trainer.step(what)
                self.alone[what] += times
        except Diverged as error:
            raise UserError(f"it diverged: {error}") from None
        self._look()

    @undisturbed()
    def change(self, genes: Mapping[str, Any]) -> None:
        """Go on with other genes. Errors: UserError for such as may not change, and values that do not fit."""
        for name in genes:
            if name not in SETTABLE:
                raise UserError(f"gene '{name}' does not change while it trains")
        if genes.get("loss") not in (None, *_losses(self.genome)):
            raise UserError(f"loss = {genes['loss']}: while it trains one of {', '.join(_losses(self.genome))}")
        wanted = {**self.genome, **genes}
        applies = GENES.complete(wanted)
        genome = GENES.read({name: value for name, value in wanted.items() if name in applies})
        check(genome, self.data.fields)
        state = State.unpack(self._trainer.state().pack())
        trainer = self._fresh(genome)
        try:
            trainer.restore(state)
        except (KeyError, RuntimeError, ValueError):  # another optimiser, or a loss that remembers something
            trainer = self._fresh(genome)
            same = [p for p in trainer.gan.players if self.genome.get(f"{p}_optimizer") == genome.get(f"{p}_optimizer")]
            trainer.adopt(state, same)
            trainer.iteration = self._trainer.iteration
        self.genome, self._trainer = genome, trainer

    @undisturbed()
    def restart(self, seed: int) -> None:
        self.seed, self.alone, self.curve = seed, Counter(), []
        self._trainer = self._fresh(self.genome)
        self._look()

    @undisturbed()
    def view(self) -> dict[str, Any]:
        """Plain data: points in units of the data's spread; `surface` by rows from the top, high where it seems real.

        The fakes are always of the same latents.
        """
        fakes, pushed = self._pushed()
        low, high = self._frame
        return {
            "iteration": self._trainer.iteration,
            "steps": {name: self._trainer.steps(name) + self.alone[name] for name in self._trainer.gan.players},
            "frame": [low, high],
            "reals": _plain(torch.from_numpy(self.data.held_out[:POINTS]).flatten(1)),
            "fakes": _plain(fakes),
            "pushes": _plain(pushed),
            "surface": _plain(self._surface()),
            "latent_grid": _plain(self._latent_grid()),
            "curve": self.curve,
        }

    def genes(self) -> list[dict[str, Any]]:
        """What may change: name, meaning, value, and values or bounds; `applies`: whether it does anything now."""
        now = GENES.complete(self.genome)
        found = []
        for gene in (GENES[name] for name in SETTABLE):
            value = now.get(gene.name, gene.default)
            options: dict[str, Any] = {"low": gene.low, "high": gene.high}
            if gene.kind == "choice":
                options = {"values": _losses(self.genome) if gene.name == "loss" else list(gene.values)}
            kind = {"kind": gene.kind, "applies": gene.name in now, "value": value, "meaning": gene.meaning}
            found.append({"name": gene.name, **kind, **options})
        return found

    # --- what it is made of

    def _fresh(self, genome: Genome) -> Trainer:
        seed = derive_seed("lab", self.seed)
        gan = build(genome, self.data.fields, seed)
        genes, device = GENES.complete(genome), torch.device("cpu")
        return Trainer(gan, genes, _streams(self.data), seed=seed, device=device, iterations=BUDGET)

    @property
    def _frame(self) -> tuple[float, float]:
        reach = float(np.abs(self.data.images).max()) * (1 + MARGIN)
        return -reach, reach

    def _look(self) -> None:
        """A point of the curve."""
        gan = self._trainer.gan
        rng = torch.Generator().manual_seed(derive_seed("lab", "samples"))
        with _unchanged(gan.networks):
            samples = gan.sample(gan.prompts(JUDGED, {}, rng))
        losses = {
            name: value for name, value in self._trainer.losses().items() if name in ("real", "fake", "generator")
        }
        if not samples.isfinite().all():
            raise UserError("it diverged: it makes points that are no numbers")
        for name, value in losses.items():  # a critic alone may diverge, and what is made stays
            if not math.isfinite(value):
                raise UserError(f"it diverged: {name} loss is {value}")
        self.curve.append({"iteration": float(self._trainer.iteration), **losses, **self._judge.measure(samples)})

    def _pushed(self) -> tuple[Tensor, Tensor]:
        """Fakes (n, 2), and where the generator's loss would have each go."""
        gan, generator = self._trainer.gan, self._trainer.gan.players["generator"]
        rng = torch.Generator().manual_seed(derive_seed("lab", "view"))
        rows = {"images": torch.from_numpy(self.data.images[:POINTS])}
        n = len(rows["images"])  # as many fakes, for losses of pairs
        made: list[Tensor] = []
        with _unchanged(gan.networks):
            latents = gan.prompts(n, {}, rng)[LATENT]
            batch = gan.draw("generator", n, rows, rng)
            batch = Batch(batch.data, {**batch.draws, LATENT: (latents,)})
            watched = generator.register_forward_hook(lambda module, inputs, output: made.append(output))
            try:
                loss = gan.loss("generator", batch).total()
            finally:
                watched.remove()
        ahead = int(GENES.complete(self.genome).get("unrolled", 0))  # for each of these steps it makes some, first
        (gradient,) = torch.autograd.grad(loss, made[ahead])
        return made[ahead].detach().flatten(1), -gradient.flatten(1) * n

    @torch.no_grad()
    def _surface(self) -> Tensor:
        critic = self._trainer.gan.players["critic"]
        across = torch.linspace(*self._frame, SIDE)
        y, x = torch.meshgrid(across.flip(0), across, indexing="ij")
        with _unchanged({"critic": critic}):
            said = critic(torch.stack([x, y], -1).view(-1, 2, 1, 1), ())
        score: Tensor = critic.sign * said.score
        return score.float().view(SIDE, SIDE)

    def _latent_grid(self) -> Tensor:
        """Where an even grid over two coordinates of the latent goes, the others at their middle: (lines, lines, 2)."""
        gan = self._trainer.gan
        size, kind = gan.prior.size, gan.prior.kind  # type: ignore[attr-defined]
        shares = np.linspace(EDGE, 1 - EDGE, LINES)
        along = torch.tensor(2 * shares - 1 if kind == "uniform" else ndtri(shares), dtype=torch.float32)
        latents = torch.zeros(LINES, LINES, size)
        latents[..., 0] = along[:, None]
        if size > 1:
            latents[..., 1] = along
        with _unchanged(gan.networks):
            return gan.sample({LATENT: latents.flatten(0, 1)}).view(LINES, LINES, 2)


def _losses(genome: Mapping[str, Value]) -> list[str]:
    """Those that have the same critic: an autoencoder, or none."""
    now = genome.get("loss", GENES["loss"].default) in AUTOENCODING
    return [str(loss) for loss in GENES["loss"].values if (loss in AUTOENCODING) == now]


def _streams(data: Dataset) -> dict[str, dict[str, Tensor]]:
    return {"images": {"images": torch.from_numpy(data.images)}}


@contextmanager
def _unchanged(networks: Mapping[str, nn.Module]) -> Iterator[None]:
    """Buffers, such as running statistics, are put back."""
    buffers = [buffer for network in networks.values() for buffer in network.buffers()]
    before = [buffer.clone() for buffer in buffers]
    yield
    with torch.no_grad():
        for buffer, old in zip(buffers, before, strict=True):
            buffer.copy_(old)


def _plain(numbers: Tensor) -> Any:
    """Lists of numbers with 4 decimals; what is not finite is 0."""
    return np.nan_to_num(numbers.detach().double().numpy(), posinf=0, neginf=0).round(4).tolist()
