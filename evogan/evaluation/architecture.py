"""The networks of a GAN, layer by layer, as one forward pass meets them.

A layer is a dense or convolution layer, or another part with weights, with what follows it until the next: norms,
activations, pools. What stands between modules (sums, a last tanh) is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from evogan.families import Fields, family_of
from evogan.families.build import build
from evogan.genome import Value
from evogan.training.flops import flop_counter, zeros
from evogan.zoo.backbones import autogan
from evogan.zoo.backbones.stylegan import Finish
from evogan.zoo.gan import Couples, Crosses, Network
from evogan.zoo.layers import (
    ConditionalBatchNorm,
    LeakyReLU,
    MinibatchDiscrimination,
    Upsample,
    VirtualBatchNorm,
)
from evogan.zoo.number import Number
from evogan.zoo.writers import Embedding

ROWS = 2  # in the forward pass: what looks at a batch needs some
WEIGHTS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
WHOLE = (*WEIGHTS, Upsample, ConditionalBatchNorm, MinibatchDiscrimination, LeakyReLU)  # whatever they are made of
FOLLOW = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, VirtualBatchNorm, ConditionalBatchNorm, Finish)
WRAPPED = re.compile(r"^((generator|critic)\.)+")  # how the names of parts begin where a class enters


@dataclass
class Layer:
    """`shape`: of what it makes of one row. `flops`: multiplications and additions of a forward pass of one row."""

    name: str
    what: str
    shape: tuple[int, ...]
    parameters: int = 0
    flops: float = 0.0


@dataclass(frozen=True)
class Player:
    """A network: its layers in the order of a forward pass."""

    name: str
    layers: list[Layer] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """All that it learns."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def flops(self) -> float:
        return sum(layer.flops for layer in self.layers)


def architecture(genome: Mapping[str, Value], fields: Fields) -> list[Player]:
    """Every player of the GAN that `genome` describes, for data with these fields; the one that samples first.

    Errors: UserError for what the networks cannot make.
    """
    gan = build(genome, fields, seed=0)
    gan.begin(1 - 1e-9)  # networks that grow have all their layers
    data = {name: zeros(one, ROWS) for name, one in fields.items()}
    sampled, rng = family_of(genome).sampled, torch.Generator().manual_seed(0)

    def sample() -> None:
        prompt = gan.prompts(ROWS, data, rng)
        gan.sample(prompt)
        if isinstance(gan, Crosses):  # the way back has layers of its own
            gan.cross(prompt["sources"], gan.domains - 1, 0)
        if isinstance(gan, Couples):
            gan.coupled(prompt)

    def step(player: str) -> None:
        gan.loss(player, gan.draw(player, ROWS, data, rng))

    whole = isinstance(gan, Crosses | Couples)
    others = [name for name in gan.players if name != sampled]
    return [
        Player(sampled, _layers(gan.sampler, sample, whole)),
        *(Player(name, _layers(gan.players[name], partial(step, name), whole)) for name in others),
    ]


class _Through(Exception):
    """The forward pass is over."""


def _layers(network: nn.Module, run: Callable[[], None], whole: bool) -> list[Layer]:
    """As the first forward pass goes through them when something is run, or all passes where it is `whole`."""
    layers: list[Layer] = []
    known: set[nn.Parameter] = set()
    before: list[int] = []
    repeats = False  # layers that were met already: another pass of this part
    handles: list[RemovableHandle] = []
    counter = flop_counter()

    def end(*_: Any) -> None:
        raise _Through

    def enter(*_: Any) -> None:
        before.append(counter.get_total_flops())

    def leave(path: str, module: nn.Module, _: Any, out: Tensor) -> None:
        nonlocal repeats
        spent = (counter.get_total_flops() - before.pop()) / len(out)
        learned = list(module.parameters())
        own = [p for p in learned if p not in known]
        known.update(own)
        repeats = not own if learned else repeats
        if repeats:
            return
        what = says(module)
        if not what and not own:
            return
        of_maps = bool(layers) and len(layers[-1].shape) > 1
        follows = not own or (isinstance(module, FOLLOW) and (of_maps or not isinstance(module, Finish)))
        if not layers or not follows:
            layers.append(Layer(WRAPPED.sub("", path), "", ()))
        layer = layers[-1]
        layer.what = ", ".join(filter(None, (layer.what, what)))
        layer.shape = tuple(out.shape[1:])
        layer.parameters += sum(p.numel() for p in own)
        layer.flops += spent

    for path, module in _parts(network, "", set()):
        handles += [
            module.register_forward_pre_hook(enter),
            module.register_forward_hook(partial(leave, path)),
        ]
    if not whole:
        handles.append(network.register_forward_hook(end))
    with suppress(_Through), counter:
        run()
    for handle in handles:
        handle.remove()
    return [*_apart(network, known), *layers]


def _apart(network: nn.Module, known: set[nn.Parameter]) -> list[Layer]:
    """What is learned outside of all layers, and layers that had no part in the forward pass, as those of a network
    that has outgrown them."""
    found: dict[str, Layer] = {}
    for path, parameter in network.named_parameters():
        if parameter not in known:
            name, *inside = WRAPPED.sub("", path).split(".")
            what, shape = ("not in use at the end", ()) if inside else ("learned constant", tuple(parameter.shape))
            found.setdefault(name, Layer(name, what, shape)).parameters += parameter.numel()
    return list(found.values())


def _parts(module: nn.Module, path: str, seen: set[nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    """What a network is made of, each part once, with its name; a part that has weights of its own is one."""
    for name, part in module.named_children():
        if isinstance(part, Number) or part in seen:
            continue
        seen.add(part)
        whole = isinstance(part, WHOLE) or not any(part.children())
        if whole or (not isinstance(part, Network) and any(True for _ in part.parameters(recurse=False))):
            yield path + name, part
        else:
            yield from _parts(part, f"{path}{name}.", seen)


def says(module: nn.Module) -> str:
    """A part in words."""
    match module:
        case Upsample(kind="transposed"):
            return says(module.conv)
        case Upsample(kind="pixel_shuffle"):
            return f"{says(module.conv)}, pixel shuffle"
        case Upsample():
            return f"{module.kind} x2, {says(module.conv)}"
        case nn.Conv2d() | nn.ConvTranspose2d():
            kind = "transposed convolution" if isinstance(module, nn.ConvTranspose2d) else "convolution"
            (high, wide), (stride, _) = module.kernel_size, module.stride
            return f"{kind} {high}x{wide}" + (f", stride {stride}" if stride > 1 else "")
        case Embedding():
            return "embedding"
        case nn.Linear():
            return "dense"
        case nn.GroupNorm():
            many = {1: "layer norm", module.num_channels: "instance norm"}
            return many.get(module.num_groups, "group norm")
        case LeakyReLU():
            return f"leaky ReLU {module.slope.alone:g}" if module.slope.alone else "ReLU"
        case nn.LeakyReLU():
            return f"leaky ReLU {module.negative_slope:g}"
        case nn.Upsample():
            return f"{module.mode} x{module.scale_factor:g}"
        case Finish():
            return f"noise, bias, {says(module.activate)}, style"
        case autogan.Resize():
            return f"{module.kind} x{module.factor}" if module.factor > 1 else ""
        case nn.Identity():
            return ""
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return "batch norm"
    name = type(module).__name__
    return NAMES.get(name, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


NAMES = {"ReLU": "ReLU", "AvgPool2d": "average pool", "MaxPool2d": "max pool", "ZeroPad2d": ""}
