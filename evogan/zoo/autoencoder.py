"""A critic that is an autoencoder, which is to fail on fakes: EBGAN, arXiv:1609.03126, and BEGAN, arXiv:1703.10717."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from evogan.zoo.critic import Critic
from evogan.zoo.gan import Critique, Draws, Network
from evogan.zoo.generator import Generator
from evogan.zoo.layers import precise

EPSILON = 1e-12  # inside the root, which has no gradient at 0


class Autoencoder(Network):
    """x (N, C, H, W) -> `Critique`: as the score its energy e(x) >= 0, as the features its code.

    With the error v = Dec(Enc(x)) - x,  EBGAN: e = |v|_2;  BEGAN: e = mean over the pixels of |v|^eta.
    """

    def __init__(self, genes: Mapping[str, Any], encoder: Critic, decoder: Generator) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self._power: int | None = genes.get("reconstruction_norm")  # BEGAN's eta

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return self.encoder.draws(n, rng)

    def forward(self, x: Tensor, draws: Draws = ()) -> Critique:
        code = self.encoder(x, draws).score
        error = (precise(self.decoder(code)) - x).flatten(1)
        if self._power is None:
            return Critique(torch.sqrt(error.square().sum(1) + EPSILON), code)
        return Critique(error.abs().pow(self._power).mean(1), code)


def decoder_genes(genes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the decoder, as of a generator that is part of the critic: its norm and slope are the critic's."""
    cell_norms = [name for name in genes if name.startswith("cell") and name.endswith("_norm")]
    return {
        **genes,
        **dict.fromkeys(cell_norms, genes["critic_norm"]),
        "latent": genes["code"],
        "generator_norm": genes["critic_norm"],
        "generator_slope": genes["slope"],
        "generator_dropout": 0.0,
        "hierarchical_latent": False,
        "attention": "none",
    }
