"""Each backbone's networks, as what the template writes down.

Of a chain of layers it is the chain: `blocks` of layers, each followed by a dropout mask or noise where there is some,
and a `tail`. Others have a template of their own, which asks for their parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from evogan.export.code.layers import Expressions, written
from evogan.zoo.backbones import make_networks, resnet
from evogan.zoo.conditioning import LabelledCritic, LabelledGenerator

Genes = Mapping[str, Any]
CHAINS = ("mlp", "wdcgan", "infogan", "dcgan", "sndcgan", "gans_in_action", "improved_mlp")


@dataclass(frozen=True)
class Chain:
    """`blocks` of expressions, and those of a `tail`. `shapes`: of what a mask, or noise, falls on after each block."""

    blocks: Sequence[Expressions]
    tail: Expressions
    shapes: Sequence[tuple[int, ...]] = ()

    @property
    def layers(self) -> Expressions:
        """All of them, where nothing comes between."""
        return [*(line for block in self.blocks for line in block), *self.tail]


@dataclass(frozen=True)
class Networks:
    """`generator` and `critic`: chains, or nothing where the backbone has a template. `decoder`: of an autoencoder.
    `features`: how many the critic's head sees. `parts`: what a template asks for."""

    generator: Chain | None
    critic: Chain | None
    decoder: Chain | None
    head: str
    features: int
    parts: dict[str, Any] = field(default_factory=dict)


def networks(genes: Genes, size: int, channels: int, classes: int) -> Networks:
    """Of a complete phenotype and images of this form."""
    with torch.device("meta"):
        generator, critic = make_networks(genes, size, channels, classes)
    decoder = getattr(critic, "decoder", None)
    whole: Any = critic.encoder if decoder is not None else critic
    judge: Any = whole.critic if isinstance(whole, LabelledCritic) else whole
    maker = generator.generator if isinstance(generator, LabelledGenerator) else generator
    name = genes["backbone"]
    chained = name in CHAINS
    (head,) = written([judge.head])
    return Networks(
        GENERATORS[name](maker, size, channels) if chained else None,
        _ended(CRITICS[name](judge), judge) if chained else None,
        GENERATORS[name](decoder, size, channels) if decoder is not None and chained else None,
        head,
        judge.head.in_features,
        {} if chained else PARTS[name](genes, maker, judge, size),
    )


# --- generators that are chains


def _dense_first(generator: Any, size: int, channels: int, *, activated: bool = False) -> Chain:
    """A dense layer or a chain of them, maps, and a chain of layers of these."""
    dense = generator.dense if isinstance(generator.dense, nn.Sequential) else [generator.dense]
    features = next(layer.out_features for layer in reversed(list(dense)) if isinstance(layer, nn.Linear))
    side = round((features // generator.width) ** 0.5)
    maps = nn.Unflatten(1, (generator.width, side, side))
    activation = [generator.activate] if activated else []
    return Chain([], written([*dense, *activation, maps, *generator.blocks, nn.Tanh()]))


def _mlp_generator(generator: Any, size: int, channels: int) -> Chain:
    blocks = [written([*block, generator.hidden.activate]) for block in generator.hidden.blocks]
    tail = written([generator.dense, nn.Tanh(), nn.Unflatten(1, generator.image)])
    return Chain(blocks, tail, [(width,) for width in generator.widths] if generator.dropout else [])


def _improved_mlp_generator(generator: Any, size: int, channels: int) -> Chain:
    hidden = [
        m for pair in zip(generator.layers, generator.norms, strict=True) for m in (pair[0], nn.Softplus(), pair[1])
    ]
    return Chain([], written([*hidden, generator.last, nn.Tanh(), nn.Unflatten(1, generator.image)]))


GENERATORS: dict[str, Callable[[Any, int, int], Chain]] = {
    "mlp": _mlp_generator,
    "wdcgan": lambda generator, *form: _dense_first(generator, *form, activated=True),
    "infogan": _dense_first,
    "dcgan": _dense_first,
    "sndcgan": _dense_first,
    "gans_in_action": _dense_first,
    "improved_mlp": _improved_mlp_generator,
}


# --- critics that are chains


def _dropping(critic: Any) -> Chain:
    """Blocks, each followed by an activation and dropout."""
    blocks = [written([block, critic.activate]) for block in critic.blocks]
    return Chain(blocks, [], critic.shapes if critic.dropout else [])


def _mlp_critic(critic: Any) -> Chain:
    blocks = [written([*block, critic.activate]) for block in critic.hidden.blocks]
    blocks[0].insert(0, "nn.Flatten()")
    return Chain(blocks, [], [(width,) for width in critic.widths] if critic.dropout else [])


def _gans_in_action_critic(critic: Any) -> Chain:
    return Chain([written(critic.blocks)], [], [critic.shape] if critic.dropout else [])


def _improved_mlp_critic(critic: Any) -> Chain:
    blocks = [written([layer, critic.activate]) for layer in critic.layers]
    blocks[0].insert(0, "nn.Flatten()")
    return Chain(blocks, [], [(width,) for width in critic.widths] if critic.noise else [])


def _infogan_critic(critic: Any) -> Chain:
    return Chain([], written([*critic.blocks, nn.Flatten(), *critic.dense]))


CRITICS: dict[str, Callable[[Any], Chain]] = {
    "mlp": _mlp_critic,
    "wdcgan": _dropping,
    "infogan": _infogan_critic,
    "dcgan": _dropping,
    "sndcgan": lambda critic: Chain([], written(critic.blocks)),
    "gans_in_action": _gans_in_action_critic,
    "improved_mlp": _improved_mlp_critic,
}


def _ended(chain: Chain, critic: Any) -> Chain:
    """With what all critics have between their last maps and the head."""
    tail = list(chain.tail)
    if critic._minibatch == "std":
        tail.append("MinibatchStd()")
    if "nn.Flatten()" not in chain.layers:
        tail.append("nn.Flatten()")
    if critic._minibatch == "discrimination":
        tail += written([critic.discrimination])
    return Chain(chain.blocks, tail, chain.shapes)


# --- networks with templates of their own


def _resnet(genes: Genes, generator: Any, critic: Any, size: int) -> dict[str, Any]:
    block = generator.blocks[0]
    side = generator.dense.out_features // generator.width
    return _resnet_critic(genes, critic, size) | {
        "dense": written([generator.dense])[0],
        "width": generator.width,
        "side": round(side**0.5),
        "blocks": len(generator.blocks),
        "split": generator.parts,
        "norm": [re.sub(r"(?<=ConditionalNorm)\((\d+), \d+", r"(\1, size", line) for line in written([block.norms[0]])],
        "activation": written([block.activate])[0],
        "up": (up := written([block.up])),
        "up_conv": "" if len(up) == 1 else f"[{next(i for i, line in enumerate(up) if 'Conv' in line)}]",
        "conv": written([block.conv])[0],
        "shortcut": written([block.shortcut])[0],
        "head": written(generator.head),
        "attention": next((i for i, look in enumerate(generator.looks) if not isinstance(look, nn.Identity)), None),
    }


def _resnet_critic(genes: Genes, critic: Any, size: int) -> dict[str, Any]:
    blocks = list(critic.blocks)
    first = next(iter(blocks))
    later = next((b for b in blocks[1:] if isinstance(b, resnet.CriticBlock)), None)
    lines = []
    for block in blocks:
        if not isinstance(block, resnet.CriticBlock):
            lines += written([block])
        elif block is first:
            lines.append("FirstBlock()")
        else:
            lines.append(f"CriticBlock(down={block.down})")
    return {
        "critic_blocks": lines,
        "critic_norm": written([later.norms[0]]) if later is not None else [],
        "critic_activation": written([critic.activate])[0],
        "critic_width": first.convs[1].out_channels,
        "critic_channels": first.convs[0].in_channels,
        "pooling": critic._pooling,
        "minibatch": critic._minibatch,
        "downs": any(line == "CriticBlock(down=True)" for line in lines),
        "flats": any(line == "CriticBlock(down=False)" for line in lines),
        "discrimination": written([critic.discrimination])[0] if critic._minibatch == "discrimination" else None,
    }


def _autogan(genes: Genes, generator: Any, critic: Any, size: int) -> dict[str, Any]:
    side = generator.dense.out_features // generator.width
    return _resnet_critic(genes, critic, size) | {
        "dense": written([generator.dense])[0],
        "width": generator.width,
        "side": round(side**0.5),
        "cells": [
            {
                "first": _cell_block(cell.first),
                "second": _cell_block(cell.second),
                "skips": [(i + 1, written(skip)) for i, skip in zip(cell.chosen, cell.skips, strict=True)],
                "shortcut": [] if cell.shortcut is None else written(cell.shortcut),
            }
            for cell in generator.cells
        ],
        "head": written(generator.head),
    }


def _cell_block(block: Any) -> Expressions:
    if block.order == "post":
        return written([block.resize, block.conv, block.norm, block.activate])
    return written([block.norm, block.activate, block.resize, block.conv])


def _growing(genes: Genes, generator: Any, critic: Any, size: int) -> dict[str, Any]:
    """What both growing backbones have, and their critic."""
    return {
        "growing": bool(genes["growing"]),
        "k": generator.k,
        "m": generator.m,
        "first": generator.growth.levels[0] if genes["growing"] else 0,
        "width": generator.widths[0],
        "to_rgb": written(generator.to_rgb),
        "from_rgb": written(part[0] for part in critic.from_rgb),
        "critic_blocks": [written(block) for block in critic.blocks],
        "conv": written([critic.conv])[0],
        "critic_dense": written([critic.dense])[0],
        "critic_activation": written([critic.activate])[0],
        "minibatch": critic._minibatch,
        "discrimination": written([critic.discrimination])[0] if critic._minibatch == "discrimination" else None,
    }


def _progressive(genes: Genes, generator: Any, critic: Any, size: int) -> dict[str, Any]:
    return _growing(genes, generator, critic, size) | {
        "dense": written([generator.dense])[0],
        "blocks": [written(block) for block in generator.blocks],
        "block_call": "self.blocks[s](x)",
    }


def _stylegan(genes: Genes, generator: Any, critic: Any, size: int) -> dict[str, Any]:
    slope = genes["generator_slope"]
    before = "x + noise * self.strength + self.bias"
    return _growing(genes, generator, critic, size) | {
        "mapping_layers": genes["mapping_layers"],
        "helpers": ["PixelNorm()", "SlowLinear()"],
        "mapping_lr": genes["mapping_lr"],
        "convs": ["nn.Identity()", *written(generator.convs)],
        "finishes": [(finish.style.out_features // 2, finish.noise.shape[-1]) for finish in generator.finishes],
        "activate": f"F.relu({before})" if slope == 0 else f"F.leaky_relu({before}, {slope!r})",
        "mixing": genes["style_mixing"],
        "block_call": "self.block(s, x, w, noise)",
    }


PARTS: dict[str, Callable[[Genes, Any, Any, int], dict[str, Any]]] = {
    "autogan": _autogan,
    "resnet": _resnet,
    "progressive": _progressive,
    "stylegan": _stylegan,
}
