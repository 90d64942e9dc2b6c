"""A critic that is an autoencoder, which is to fail on fakes: EBGAN, arXiv:1609.03126, and BEGAN, arXiv:1703.10717."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from evogan.zoo.critic import Critic
from evogan.zoo.gan import Critique, Draws, Network
from evogan.zoo.generator import Generator
from evogan.zoo.losses import reconstruction_energy


class Autoencoder(Network):
    """x (N, C, H, W) -> `Critique`: as the score its energy e(x) >= 0, as the features its code.

    With the error v = Dec(Enc(x)) - x,  EBGAN: e = |v|_2;  BEGAN: e = mean over the pixels of |v|^eta.
    """

    sign = -1

    def __init__(self, encoder: Critic, decoder: Generator, norm: str | int) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self._norm = norm  # of `reconstruction_energy`

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return self.encoder.draws(n, rng)

    def forward(self, x: Tensor, draws: Draws = ()) -> Critique:
        code = self.encoder(x, draws).score
        return Critique(reconstruction_energy(x, self.decoder(code), self._norm), code)


def decoder_genes(genes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the decoder, as of a generator that is part of the critic: its norm and slope are the critic's."""
    cell_norms = [name for name in genes if name.startswith("cell") and name.endswith("_norm")]
    return {
        **genes,
        **dict.fromkeys(cell_norms, genes["critic_norm"]),
        "filters": genes.get("critic_filters", genes["filters"]),
        "latent": genes["code"],
        "generator_norm": genes["critic_norm"],
        "generator_slope": genes["slope"],
        "generator_dropout": 0.0,
        "hierarchical_latent": False,
        "attention": "none",
    }
