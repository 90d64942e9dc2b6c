"""What every family of GANs is: players with losses, a schedule, and samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

Draws = tuple[Tensor, ...]  # the randomness that one forward pass of a network uses
Data = Mapping[str, Tensor]  # fields of the data by name, as many rows of each
Prompt = Mapping[str, Tensor]  # what samples are made from: latents, labels, sources; as many rows of each
Rows = Callable[[int, tuple[str, ...]], Data]  # as many random rows of these fields


def is_point(image: Sequence[int]) -> bool:
    """Whether images of this form (C, H, W) are of one pixel: points, whose numbers have no bounds."""
    return image[-1] == 1


class Network(nn.Module):
    """A generator or a critic. `sign`: 1 where a high score means real, -1 where it is an energy, low for what is."""

    sign = 1

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        """The randomness of a forward pass of n images, each tensor with n rows; () where a network uses none."""
        return ()

    def begin(self, progress: float) -> bool:
        """An iteration begins, with this share of the full budget spent. Whether there are new layers."""
        return False

    def present(self, images: Tensor) -> Tensor:
        """Real images as a critic is shown them now, of the same shape."""
        return images

    def meet(self, images: Tensor, *labels: Tensor) -> None:
        """A step on these real images, and labels where it is given some, is being prepared. For critics."""

    def after_step(self, inputs: Tensor, *labels: Tensor) -> None:
        """Its player has stepped, on these inputs, and labels where it is given some."""


class Critique(NamedTuple):
    """What a critic says of N images: `score` (N,), any real number, and `features` (N, F), its last hidden layer.

    `classes` (N, K): what a head for classes says of each class, if there is one. `code` (N, F): what a head for codes
    says, if there is one.
    """

    score: Tensor
    features: Tensor
    classes: Tensor | None = None
    code: Tensor | None = None

    def halves(self) -> tuple[Critique, Critique]:
        """Of as many images the first ones, and the others."""
        parts = [(None, None) if x is None else x.chunk(2) for x in self]
        first, second = (Critique(*half) for half in zip(*parts, strict=True))
        return first, second


@dataclass(frozen=True)
class Losses:
    """One step's losses. `terms`: what is minimised is their sum. `watched`: numbers to follow, without gradient."""

    terms: Mapping[str, Tensor]
    watched: Mapping[str, Tensor] = field(default_factory=dict)

    def total(self) -> Tensor:
        return torch.stack(list(self.terms.values())).sum()


@dataclass(frozen=True)
class Batch:
    """All that one step uses, randomness included, so that a loss is a pure function of it.

    `data`: the fields that the player needs, such as images (N, C, H, W) in [-1, 1]. `draws`: by what they are for: the
    latent, a forward pass of a network, a part of the loss. Every tensor has N rows.
    """

    data: Data
    draws: Mapping[str, Draws] = field(default_factory=dict)

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Every tensor changed."""
        draws = {what: tuple(change(x) for x in drawn) for what, drawn in self.draws.items()}
        return Batch({name: change(x) for name, x in self.data.items()}, draws)

    def tensors(self) -> list[Tensor]:
        """In an order of their names."""
        data = [self.data[name] for name in sorted(self.data)]
        return [*data, *(x for what in sorted(self.draws) for x in self.draws[what])]


class GAN(Protocol):
    """`schedule` says how many steps each player makes in one iteration, in order.

    `rows`: of each player's step, and `rates`: its learning rate. `counted`: whose real rows are the budget.
    `networks`: the players and what follows them; their state dicts are all that a GAN remembers. `sampler`: the one
    that samples come from. `prompted`: the fields of the data that prompts are made of. `steady`: whether what is drawn
    for a step is the same whenever that is.
    """

    @property
    def players(self) -> Mapping[str, nn.Module]: ...
    @property
    def networks(self) -> Mapping[str, nn.Module]: ...
    @property
    def sampler(self) -> nn.Module: ...
    @property
    def schedule(self) -> tuple[tuple[str, int], ...]: ...
    @property
    def rows(self) -> Mapping[str, int]: ...
    @property
    def rates(self) -> Mapping[str, float]: ...
    @property
    def counted(self) -> str: ...
    @property
    def prompted(self) -> tuple[str, ...]: ...
    @property
    def steady(self) -> bool: ...
    def adopt(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Before the first step: begin with these networks, state dicts by their names, as another training left them.

        Players that are not named are fresh. Errors: RuntimeError for a player of another form.
        """

    def begin(self, progress: float) -> bool:
        """An iteration begins, with this share of the full budget spent, in [0, 1). Whether players have new layers."""

    def needs(self, player: str) -> tuple[str, ...]:
        """The fields of the data that a step of the player looks at."""

    def draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        """What a step on n rows uses: the fields that it needs, and its randomness."""

    def loss(self, player: str, batch: Batch) -> Losses: ...
    def after_step(self, player: str, batch: Batch, losses: Losses) -> None: ...
    def prompts(self, n: int, data: Data, rng: torch.Generator) -> Prompt:
        """What n samples are made from: draws, and n rows of the fields `prompted`."""

    def sample(self, prompt: Prompt) -> Tensor: ...
    def diagnose(self, seen: Rows, unseen: Rows, rng: torch.Generator) -> dict[str, float]:
        """Numbers that tell how its game goes, from rows of the training data and of held-out data."""

    def to(self, device: torch.device) -> None: ...


@runtime_checkable
class Encodes(Protocol):
    """A GAN with a player that goes back, from an image to its code.

    `code`: the parts of a code by name, and how long each is: "category", a choice among so many; "continuous", numbers
    with a meaning each; "latent". A prompt holds under these names, (N, size) each, what samples are made from, a
    category as one-hot. `encoder`: the network that codes come from; its state dict is all that `encode` needs.
    """

    @property
    def code(self) -> Mapping[str, int]: ...
    @property
    def encoder(self) -> nn.Module: ...
    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """The parts (N, size) of the codes of images (N, C, H, W) in [-1, 1], without gradient, in evaluation mode.

        Of a category the probabilities, of the others the means: nothing is drawn.
        """

    def decode(self, code: Mapping[str, Tensor]) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] of codes as `encode` gives them, likewise.

        What else samples start from, and a code does not say, is in the middle of its prior.
        """


@runtime_checkable
class Classifies(Protocol):
    """A GAN that tells classes apart, and is judged by it."""

    def classify(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] -> logits (N, K), without gradient, by the network that is judged, or its
        average, in evaluation mode: each of its own image alone.
        """


@runtime_checkable
class Translates(Protocol):
    """A GAN that makes images from images."""

    def translate(self, sources: Tensor) -> Tensor:
        """Sources (N, C, H, H) in [-1, 1] -> images (N, C', H', H') in [-1, 1], without gradient, in evaluation mode.

        What else an image is made from is in the middle of its prior, and nothing is dropped.
        """


@runtime_checkable
class Crosses(Protocol):
    """A GAN that makes of images of one domain such of another, in every direction. `domains`: how many there are."""

    @property
    def domains(self) -> int: ...
    def cross(self, images: Tensor, origin: int, target: int) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] of a domain, from 0 on -> such of another, without gradient, in evaluation
        mode; where both are the same, what is made of images that are of the domain already.
        """


@runtime_checkable
class Couples(Protocol):
    """A GAN that makes of one latent an image of every domain."""

    def coupled(self, prompt: Prompt) -> list[Tensor]:
        """Of each domain the images of a prompt, (N, C, H, W) in [-1, 1], without gradient, in evaluation mode."""


@runtime_checkable
class Climbs(Protocol):
    """A GAN whose images come of smaller ones, step by step."""

    def steps(self, prompt: Prompt) -> list[Tensor]:
        """What is made on the way to a prompt's images, smallest first and these last: each (N, C, h, w) in [-1, 1]."""


@runtime_checkable
class LooksThrough(Protocol):
    """A GAN with a loss of what a network sees in images."""

    def look_through(self, maps: Callable[[Tensor], Tensor]) -> None:
        """Images (N, C, H, W) in [-1, 1] -> what is seen in them, (N, ...), by weights that stay as they are."""


@runtime_checkable
class Adapts(Protocol):
    """A GAN that learns to classify images of a domain whose classes it is not told."""

    def adapted(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] of the last domain -> logits (N, K), without gradient."""

    def unadapted(self, images: Tensor) -> Tensor:
        """The same by what is learned of the first domain's images alone."""


@runtime_checkable
class Paced(Protocol):
    """A GAN whose players do not keep one pace."""

    def pace(self, player: str) -> float:
        """The player's learning rate in this iteration, over its own."""


@runtime_checkable
class Writes(Protocol):
    """A GAN whose samples are sequences of tokens, (N, T), and that knows how probable each is. `temperature`: of its
    samples from now on.
    """

    temperature: float

    def log_probability(self, tokens: Tensor) -> Tensor:
        """Rows (N, T) -> (N,) in nats: of a sample being this one; without gradient."""


class Stackable(GAN, Protocol):
    """A GAN that several others of its shape can be stacked with (`evogan.zoo.stack`)."""

    genes: Mapping[str, Any]

    def stand_in(self, gans: Sequence[Any]) -> Any:
        """A copy that computes what each of `gans` does, given the values of its numbers (`evogan.zoo.number`)."""

    def among(self, batch: Batch) -> Batch:
        """The batch with what steps of its stack use besides."""


def parts(prompt: Prompt, rows: int) -> Iterator[Prompt]:
    """A prompt in parts of as many rows, the last with what is left."""
    pieces = [x.split(rows) for x in prompt.values()]
    for part in zip(*pieces, strict=True):
        yield dict(zip(prompt, part, strict=True))
