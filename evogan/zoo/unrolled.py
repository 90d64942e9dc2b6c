"""Unrolled GAN: the generator plays against what the critic is about to become. Metz et al., arXiv:1611.02163.

The generator g minimises its loss against the critic after K steps of that one's own,

    L_G(g, w_K),   w_0 = w,   w_{k+1} = w_k - r grad_w L_C(g, w_k)

and its gradient goes through all w_k, which depend on g by the fakes in L_C. The critic itself learns as ever.

The steps are those of plain gradient descent with a rate r of their own: where the critic's optimiser is SGD without
momentum, and r its rate, they are the critic's next. The paper looks ahead with Adam; its moments belong to the
training, and a loss knows nothing but networks and a batch. What follows a step, such as clipped weights or a power
iteration, is not looked ahead either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

Weights = dict[str, Tensor]


def look_ahead(network: nn.Module, losses: Sequence[Callable[[], Tensor]], rate: float | Tensor) -> Weights:
    """The network's parameters after a step along the gradient of each of its losses, one after the other.

    A loss is a scalar of whatever the network is when it is called, and changes no buffer of it.

    >>> line = nn.utils.skip_init(nn.Linear, 1, 1, bias=False)
    >>> _ = nn.init.ones_(line.weight)
    >>> after = look_ahead(line, [lambda: line.weight.square().sum() / 2] * 2, 0.5)
    >>> after["weight"].item(), line.weight.item()
    (0.25, 1.0)
    """
    weights: Weights = dict(network.named_parameters())
    for loss in losses:

        def of(weights: Weights, loss: Callable[[], Tensor] = loss) -> Tensor:
            found: Tensor = at(network, weights, loss)
            return found

        gradient = torch.func.grad(of)(weights)
        weights = {name: weight - rate * gradient[name] for name, weight in weights.items()}
    return weights


def at(network: nn.Module, weights: Mapping[str, Tensor], what: Callable[[], Any]) -> Any:
    """`what()` while the network's parameters are these."""
    return functional_call(_During(network, what), {f"network.{name}": weight for name, weight in weights.items()}, ())


class _During(nn.Module):
    def __init__(self, network: nn.Module, what: Callable[[], Any]) -> None:
        super().__init__()
        self.network, self._what = network, what

    def forward(self) -> Any:
        return self._what()
