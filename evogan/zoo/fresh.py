"""Networks with the weights that they begin with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from evogan.stable import derive_seed
from evogan.zoo.gan import Network
from evogan.zoo.layers import initialise

Networks = Mapping[str, Network]
Make = Callable[[], Networks]


def fresh(make: Make, genes: Mapping[str, Any], seed: int) -> Networks:
    """Each from a generator of its own, on the CPU: constructors would draw from the global one."""
    with torch.device("meta"):
        players = make()
    for name, network in players.items():
        network.to_empty(device="cpu")
        initialise(network, genes, torch.Generator().manual_seed(derive_seed(seed, "init", name)))
    return players


def counted(make: Make) -> dict[str, int]:
    """The trainable parameters of each."""
    with torch.device("meta"):
        return {name: sum(p.numel() for p in network.parameters()) for name, network in make().items()}
