"""Several GANs whose networks have the same shapes, as one: their tensors are stacked, their losses mapped over it.

All weights of a player are one matrix, a row a GAN, so that an optimiser's step is a few operations whatever the
number of GANs. Each GAN's own tensors are views of the stack: between steps it is what it would be alone, and can be
sampled from, looked at and saved by the code that knows one GAN. `torch.func.vmap` maps the very loss that a single
GAN has. Numbers of the phenotype (`Number`) are tensors here, an entry a GAN; the rest must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from evogan.families import family_of
from evogan.genes import AUTOENCODING, GENES
from evogan.zoo.gan import GAN, Batch, Losses, Stackable
from evogan.zoo.number import Number


def shape(genes: Mapping[str, Any]) -> dict[str, Any] | None:
    """What complete phenotypes must have in common to be stacked; None if this one cannot be.

    Networks that grow, or levels that learn in turn, change their shape at a time of their own. Where the generator
    looks ahead, a batch norm is differentiated twice by its gain, which `vmap` gets wrong. Where it evolves, a step
    asks which child is the fittest.
    """
    looks_ahead = genes.get("unrolled", 0) > 0 and genes.get("critic_norm") == "batch"
    apart = any(genes.get(name, False) for name in ("growing", "levels_in_turn", "evolution"))
    if apart or looks_ahead or not family_of(genes).stackable:
        return None
    free = {name for name in genes if GENES[name].acts in ("number", "input")}
    if genes["loss"] not in AUTOENCODING:  # scores, of which a stack has several losses
        free |= {name for name in genes if GENES[name].acts == "loss"}
    fixed = {name: value for name, value in genes.items() if name not in free}
    for gene in GENES.values():  # not every loss has such a form
        if gene.acts == "form" and "loss" in gene.when:
            fixed.setdefault(gene.name, gene.default)
    return fixed | {f"{name} on": True for name, value in genes.items() if GENES[name].switch and value > 0}


class Stack:
    """`gans` become views of it. Errors: ValueError unless their shapes are the same."""

    def __init__(self, gans: Sequence[Stackable]) -> None:
        first = shape(gans[0].genes)
        if first is None or any(shape(gan.genes) != first for gan in gans):
            raise ValueError("GANs of different shapes cannot be stacked")
        template: Stackable = gans[0].stand_in(gans)
        self._template, members = _Mapped(template), [_Mapped(gan) for gan in gans]
        for module in self._template.modules():
            if isinstance(module, _BatchNorm):  # which, mapped, may not take bfloat16 beside float32
                module.register_forward_pre_hook(_in_float)
        self._numbers = _numbers(self._template, members)
        self.parameters: dict[str, Tensor] = {}
        self._layouts: dict[str, list[tuple[str, torch.Size]]] = {}
        for player in template.players:
            self._stack_player(player, members)
        inside = {name for layout in self._layouts.values() for name, _ in layout}
        self._rest: dict[str, Tensor] = {}
        for name in dict(_tensors(members[0])):
            if name not in inside and name not in self._numbers:
                own = [dict(_tensors(member))[name] for member in members]
                self._rest[name] = torch.stack([tensor.detach() for tensor in own])
                for tensor, row in zip(own, self._rest[name], strict=True):
                    tensor.data = row

    def _stack_player(self, player: str, members: Sequence[nn.Module]) -> None:
        prefix = f"networks.{player}."
        named = [[(n, p) for n, p in member.named_parameters() if n.startswith(prefix)] for member in members]
        self._layouts[player] = [(name, parameter.shape) for name, parameter in named[0]]
        rows = [torch.cat([parameter.detach().flatten() for _, parameter in own]) for own in named]
        self.parameters[player] = torch.stack(rows)
        for own, row in zip(named, self.parameters[player], strict=True):
            ends = accumulate(parameter.numel() for _, parameter in own)
            for (_, parameter), end in zip(own, ends, strict=True):
                parameter.data = row[end - parameter.numel() : end].view(parameter.shape)

    def rows(self, player: str, tensor: Tensor) -> list[Tensor]:
        """The views of a matrix like `parameters[player]`, or of a row of it, that belong to each parameter."""
        shapes = [shape for _, shape in self._layouts[player]]
        parts = tensor.split([shape.numel() for shape in shapes], -1)
        return [part.view((*tensor.shape[:-1], *size)) for part, size in zip(parts, shapes, strict=True)]

    def step(
        self,
        player: str,
        batch: Batch,
        who: Tensor | None,
        descend: Callable[[Tensor, Tensor], None],
        autocast: torch.autocast,
    ) -> Losses:
        """A step of this player of the GANs `who`, all if None. Everything has a first dimension of as many.

        `descend` changes weights (GANs, weights) in place, given their gradient.
        """
        weights = {name: _take(matrix, who) for name, matrix in self.parameters.items()}
        rest = {name: _take(tensor, who) for name, tensor in self._rest.items()}
        numbers = {name: _take(tensor, who) for name, tensor in self._numbers.items()}
        leaf = weights[player].detach().requires_grad_()
        with autocast:
            terms, watched = self._map("loss", player, weights | {player: leaf}, rest | numbers, batch, {}, {})
        (gradient,) = torch.autograd.grad(torch.stack(list(terms.values())).sum(), leaf)
        terms, watched = ({k: v.detach() for k, v in found.items()} for found in (terms, watched))
        with torch.no_grad():
            descend(weights[player], gradient)
            self._map("after_step", player, weights, rest | numbers, batch, terms, watched)
        if who is not None:
            self.parameters[player].index_copy_(0, who, weights[player])
            for name, tensor in rest.items():
                self._rest[name].index_copy_(0, who, tensor)
        return Losses(terms, watched)

    def _map(
        self,
        what: str,
        player: str,
        weights: Mapping[str, Tensor],
        rest: Mapping[str, Tensor],
        batch: Batch,
        *losses: Mapping[str, Tensor],
    ) -> Any:
        tensors = dict(rest)
        for name, matrix in weights.items():
            tensors |= zip([key for key, _ in self._layouts[name]], self.rows(name, matrix), strict=True)

        def one(tensors: Any, data: Any, draws: Any, *given: Any) -> Any:
            arguments = (what, player, Batch(data, draws), Losses(*given))
            return functional_call(self._template, tensors, arguments, strict=True)

        return vmap(one)(tensors, dict(batch.data), dict(batch.draws), *losses)


class _Mapped(nn.Module):
    """A GAN as the module that `functional_call` needs."""

    def __init__(self, gan: Stackable) -> None:
        super().__init__()
        self._gan = gan
        self.networks = nn.ModuleDict(gan.networks)

    def forward(self, what: str, player: str, batch: Batch, losses: Losses) -> Any:
        if what == "loss":
            found = self._gan.loss(player, batch)
            return dict(found.terms), dict(found.watched)
        self._gan.after_step(player, batch, losses)
        return ()


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _in_float(module: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
    (x,) = given
    return (x.float() if x.dtype == torch.bfloat16 else x,)


def _take(tensor: Tensor, who: Tensor | None) -> Tensor:
    return tensor if who is None else tensor[who]


def _numbers(template: nn.Module, members: Sequence[nn.Module]) -> dict[str, Tensor]:
    """What takes the place of the template's numbers, which from now on are in a stack: an entry a member."""
    like, found = next(template.parameters()), {}
    for name, module in template.named_modules():
        if isinstance(module, Number):
            module.in_stack = True
            own = [cast(Number, member.get_submodule(name)).alone for member in members]
            found[f"{name}.stacked"] = like.new_tensor(own)
    return found


def stackable(gan: GAN) -> Stackable:
    assert hasattr(gan, "stand_in"), "its family has no stacks"
    return cast(Stackable, gan)
