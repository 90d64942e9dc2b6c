"""The one training loop: the schedule says which player steps when."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from evogan.fitness.normalized_loss import LossName, NormalizedLoss
from evogan.stable import derive_seed
from evogan.training.evolution import Evolving, evolving, survivor
from evogan.training.feed import Feed, Streams
from evogan.training.optimizers import clipped, make_optimizer
from evogan.training.rounds import Rounds
from evogan.training.state import State
from evogan.zoo import GAN
from evogan.zoo.gan import Batch, Losses, Paced

NORMALIZED: tuple[LossName, ...] = ("real", "fake", "generator")
DECAYS = {"linear": 1, "late": 2, "last_third": 3}  # one part of as many in which rates fall
NO_EIGENVALUES: type[RuntimeError] = torch.linalg.LinAlgError  # type: ignore[attr-defined]
AHEAD = 8  # steps whose batches a GPU draws at once: ten small kernels a step would take longer than the step


class Diverged(Exception):
    """A loss is no longer a finite number."""


class Trainer:
    """Trains `gan` on the rows of `streams`, resident on `device`.

    `genes` is the complete phenotype; `iterations` are those of the full budget, which schedules refer to. Data order
    and noise come from generators of their own, derived from `seed`. An iteration is one of `rounds`.
    `ahead`: batches of as many steps are drawn at once; by default 1 on a CPU.
    """

    def __init__(
        self,
        gan: GAN,
        genes: Mapping[str, Any],
        streams: Streams,
        *,
        seed: int,
        device: torch.device,
        iterations: int,
        precision: Literal["fp32", "bf16"] = "fp32",
        ahead: int | None = None,
    ) -> None:
        self.gan = gan
        gan.to(device)
        self.iteration, self.rounds = 0, Rounds(gan.schedule, gan.counted, genes, iterations)
        self.device = device
        self.feed = Feed(streams, seed, device)
        self._iterations, self._decay = iterations, str(genes["lr_decay"])
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
        self._noise = torch.Generator(device).manual_seed(derive_seed(seed, "noise"))
        self.ahead = (ahead or (AHEAD if device.type == "cuda" else 1)) if gan.steady else 1
        self.taken = dict.fromkeys(gan.players, self.ahead)  # steps of a player's block that were made
        self.blocks: dict[str, Batch] = {}
        self._before: dict[str, dict[str, Tensor]] = {}  # the streams before a block was drawn
        self._parameters = {name: list(player.parameters()) for name, player in gan.players.items()}
        self.optimizers = {
            name: make_optimizer(name, gan.rates[name], genes, parameters)
            for name, parameters in self._parameters.items()
        }
        self.longest = {name: float(genes[f"{name}_gradient_clip"]) for name in gan.players}
        self._meter = _Meter()
        self.watched: Callable[[], None] = lambda: None  # after each iteration; it changes nothing
        self.looks_every_iteration = device.type == "cpu"  # elsewhere a look would wait for the device
        self._normalized = NormalizedLoss()

    @property
    def images_per_iteration(self) -> int:
        """Real rows shown to the player whose rows are counted."""
        return self.gan.rows[self.gan.counted] * dict(self.gan.schedule)[self.gan.counted]

    def steps(self, player: str) -> int:
        """As many as the player has made."""
        return self.rounds.steps(player, self.iteration)

    @property
    def is_through(self) -> bool:
        """Whether the full budget is spent."""
        return self.iteration >= self._iterations

    @property
    def images_seen(self) -> int:
        """Real rows shown to the player whose rows are counted."""
        return self.iteration * self.images_per_iteration

    def run_to(self, iteration: int) -> None:
        """Train up to the end of this iteration.

        Errors: Diverged if any loss since `losses` was last asked for was not finite.
        """
        while self.iteration < iteration:
            if self.looks_every_iteration and not self._meter.finite():
                break
            self.begin_iteration()
            for player in self.rounds.program(self.iteration):
                self.step(player)
            self.iteration += 1
            self.watched()
        for name, mean in self._meter.means().items():
            if not math.isfinite(mean):
                raise Diverged(f"{name} loss is {mean} by {self.images_seen / 1000:.1f} kimg")

    def losses(self) -> dict[str, float]:
        """The mean of every loss, and of what is watched beside them, since the last call.

        And, as `normalized_NAME`, where those of the normalised loss lie in the range that they went through so far.
        """
        means = self._meter.means()
        self._meter = _Meter()
        return means | {f"normalized_{name}": r for name, r in self._normalized.placed(means).items()}

    def absorb(self, totals: Mapping[str, Totals]) -> None:
        """Losses of steps that were made elsewhere."""
        for name, these in totals.items():
            self._meter.absorb(name, these)
            if name in NORMALIZED:
                self._normalized.absorb(name, these.low, these.high, these.total, these.steps)

    def normalized_loss(self) -> float | None:
        """The classic fitness over the steps since the last call; None where nobody plays, as of a supervised twin."""
        return self._normalized.value() if self._normalized.known else None

    def state(self) -> State:
        """All that the rest of the training depends on. Its tensors are the training's own: pack it before a step."""
        tensors = self._streams()
        taken = {player: steps for player, steps in self.taken.items() if steps < self.ahead}
        for player in taken:  # rather than the draws that are left, which are large
            tensors |= {f"before.{player}.{name}": tensor for name, tensor in self._before[player].items()}
        for name, network in self.gan.networks.items():
            tensors |= {f"network.{name}.{key}": tensor for key, tensor in network.state_dict().items()}
        for player, optimizer in self.optimizers.items():
            for i, parameter in enumerate(self._parameters[player]):
                kept = optimizer.state[parameter].items()
                tensors |= {f"optimizer.{player}.{i}.{key}": value for key, value in kept if value is not None}
        numbers = {"iteration": self.iteration, "meter": self._meter.state()}
        numbers |= {"normalized_loss": self._normalized.state()} | ({"taken": taken} if taken else {})
        return State(tensors, numbers)

    def restore(self, state: State) -> None:
        """Go on from what `state` gave in a training built alike. After an error this one is of no use any more."""
        for name, network in self.gan.networks.items():
            network.load_state_dict(state.part(f"network.{name}."))
        for player in self.optimizers:
            self._restore_moments(player, state)
        self.iteration = int(state.numbers["iteration"])
        self.gan.begin(max(self.iteration - 1, 0) / self._iterations)  # as it was when the blocks were drawn
        for player, taken in state.numbers.get("taken", {}).items():
            self._rewind(state.part(f"before.{player}."))
            self.block(player)
            self.taken[player] = taken
        self._rewind(state.tensors)
        self._meter.restore(state.numbers["meter"], self.device)
        self._normalized.restore(state.numbers["normalized_loss"], self.device)

    def adopt(self, state: State, moments: Iterable[str]) -> None:
        """Begin with the networks that `state` has, and these players' moments of their optimisers, which fit."""
        self.gan.adopt({name: found for name in self.gan.networks if (found := state.part(f"network.{name}."))})
        for player in moments:
            self._restore_moments(player, state)

    def _restore_moments(self, player: str, state: State) -> None:
        optimizer = self.optimizers[player]
        for i, parameter in enumerate(self._parameters[player]):
            optimizer.state[parameter] = {
                # where its parameter is and laid out alike, as the optimiser would have made it
                key: value.to(self.device) if key == "step" else torch.empty_like(parameter).copy_(value)
                for key, value in state.part(f"optimizer.{player}.{i}.").items()
            }

    def next_step(self, player: str, gradients: Sequence[Tensor]) -> list[Tensor]:
        """w' - w of a step along these gradients, for every parameter, at the full learning rate: it is not taken."""
        kept = [value for state in self.optimizers[player].state.values() for value in state.values()]
        own = {id(t): t.clone() for t in kept if isinstance(t, Tensor)}  # a view would be copied with all that it views
        optimizer = copy.deepcopy(self.optimizers[player], own)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        after = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        for parameter, gradient in zip(after, clipped(gradients, self.longest[player]), strict=True):
            parameter.grad = _laid_out(gradient, parameter).clone()
        optimizer.step()
        return [new.detach() - old.detach() for new, old in zip(after, self._parameters[player], strict=True)]

    def begin_iteration(self) -> None:
        """What schedules change."""
        progress = self.iteration / self._iterations
        if self.gan.begin(progress):  # moments of layers that had no part in it would mislead (PGGAN, appendix A)
            for optimizer in self.optimizers.values():
                optimizer.state.clear()
        if self._decay != "none" or isinstance(self.gan, Paced):
            left = min(1.0, DECAYS[self._decay] * (1 - progress)) if self._decay != "none" else 1.0
            for player, optimizer in self.optimizers.items():
                pace = self.gan.pace(player) if isinstance(self.gan, Paced) else 1.0
                for group in optimizer.param_groups:
                    group["lr"] = group["initial_lr"] * left * pace

    def step(self, player: str) -> None:
        """One of a player alone."""
        n, block = self.gan.rows[player], self.block(player)
        batch = block if self.ahead == 1 else _part(block, self.taken[player] * n, n)
        self.taken[player] += 1
        if (gan := evolving(self.gan, player)) is None:
            losses = self._descend(player, lambda: self.gan.loss(player, batch))
        else:
            losses = self._evolve(gan, player, batch)
        self.gan.after_step(player, batch, losses)
        self._meter.add(losses.terms)
        self._meter.add(losses.watched)
        for name in NORMALIZED:
            if name in losses.terms:
                self._normalized.update(name, losses.terms[name])

    def _descend(self, player: str, loss: Callable[[], Losses]) -> Losses:
        with self.autocast:
            try:
                losses = loss()
            except NO_EIGENVALUES as error:  # of weights that are not finite
                at = f"by {self.images_seen / 1000:.1f} kimg"
                raise Diverged(f"{player} loss is not a number {at}: {error}") from error
        parameters = self._parameters[player]
        # a network that grows has layers without a part in it yet
        gradients = torch.autograd.grad(losses.total(), parameters, materialize_grads=True)
        for parameter, gradient in zip(parameters, clipped(gradients, self.longest[player]), strict=True):
            parameter.grad = _laid_out(gradient, parameter)
        self.optimizers[player].step()
        return losses

    def _evolve(self, gan: Evolving, player: str, batch: Batch) -> Losses:
        def descend(mutation: str) -> Losses:
            return self._descend(player, lambda: gan.mutated(player, batch, mutation))

        def fitness() -> float:
            with self.autocast:
                return float(gan.fitness(player, batch))

        return survivor(gan.mutations[player], descend, fitness, gan.players[player], self.optimizers[player])

    def rate(self, player: str) -> float:
        """The player's learning rate in this iteration."""
        rate: float = self.optimizers[player].param_groups[0]["lr"]
        return rate

    def block(self, player: str) -> Batch:
        """What `ahead` steps of the player use, one after another; `taken` of them are made. A new one after the last.

        All tensors have rows for them all.
        """
        if self.taken[player] == self.ahead:
            self._before[player] = self._streams() if self.ahead > 1 else {}
            self.blocks[player] = self.draw(player)
            self.taken[player] = 0
        return self.blocks[player]

    def draw(self, player: str) -> Batch:
        """The player's next block."""
        rows = self.ahead * self.gan.rows[player]
        return self.gan.draw(player, rows, self.feed.next(rows, self.gan.needs(player)), self._noise)

    def _streams(self) -> dict[str, Tensor]:
        """Where the data order and the noise are."""
        return {**self.feed.state(), "noise": self._noise.get_state()}

    def _rewind(self, streams: Mapping[str, Tensor]) -> None:
        self.feed.restore(streams)
        self._noise.set_state(streams["noise"])


def _part(block: Batch, first: int, n: int) -> Batch:
    return block.map(lambda rows: rows[first : first + n])


def _laid_out(gradient: Tensor, parameter: Tensor) -> Tensor:
    """Fused optimisers walk through memory: there a gradient must lie as its parameter does, but `grad` may differ."""
    return gradient if gradient.stride() == parameter.stride() else torch.empty_like(parameter).copy_(gradient)


class Totals(NamedTuple):
    """Of a loss in several steps, each tensor a float64 scalar."""

    total: Tensor
    low: Tensor
    high: Tensor
    steps: int


class _Meter:
    """Running means of losses, kept on the device until they are read."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, terms: Mapping[str, Tensor]) -> None:
        for name, term in terms.items():
            value = term.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def absorb(self, name: str, totals: Totals) -> None:
        value = totals.total.float()
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] = self._counts.get(name, 0) + totals.steps

    def finite(self) -> bool:
        return all(math.isfinite(total) for total in self._sums.values())

    def means(self) -> dict[str, float]:
        return {name: float(total) / self._counts[name] for name, total in self._sums.items()}

    def state(self) -> dict[str, Any]:
        return {name: [float(total), self._counts[name]] for name, total in self._sums.items()}

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        self._sums = {name: torch.tensor(total, device=device) for name, (total, _) in state.items()}
        self._counts = {name: count for name, (_, count) in state.items()}
