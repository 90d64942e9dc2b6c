"""A generator against a critic: the GAN of Goodfellow et al., arXiv:1406.2661, as a point in a space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from evogan.zoo.average import MovingAverage
from evogan.zoo.gan import Batch
from evogan.zoo.losses import ADVERSARIAL, LossTerms


class AdversarialGAN:
    """Built from `genes`, a complete phenotype, and the two networks that it names."""

    def __init__(self, genes: Mapping[str, Any], generator: nn.Module, critic: nn.Module) -> None:
        self.players: Mapping[str, nn.Module] = {"critic": critic, "generator": generator}
        self._average = MovingAverage(generator, genes["ema"]) if genes["ema"] > 0 else None
        self.networks = self.players if self._average is None else {**self.players, "average": self._average}
        self.schedule = (("critic", int(genes["critic_steps"])), ("generator", 1))
        self._genes = genes
        self._loss = ADVERSARIAL[genes["loss"]]
        # norms' gains and statistics stay free: clipping them only harms (see docs/decisions.md)
        self._clipped: list[Tensor] = [m.weight for m in critic.modules() if isinstance(m, nn.Conv2d | nn.Linear)]

    def to(self, device: torch.device) -> None:
        for network in self.networks.values():
            network.to(device).to(memory_format=torch.channels_last)

    def latents(self, n: int, rng: torch.Generator) -> Tensor:
        """(n, latent) draws from the prior, on the device of `rng`."""
        shape = (n, self._genes["latent"])
        if self._genes["latent_prior"] == "normal":
            return torch.randn(shape, generator=rng, device=rng.device)
        return torch.rand(shape, generator=rng, device=rng.device) * 2 - 1

    def draw(self, player: str, real: Tensor, rng: torch.Generator) -> Batch:
        seen = ("real", "fake") if player == "critic" else ("fake",)
        masks = {what: self.players["critic"].masks(len(real), rng) for what in seen}  # type: ignore[operator]
        return Batch(real, self.latents(len(real), rng), masks)

    def loss(self, player: str, batch: Batch) -> LossTerms:
        """The player's terms; real and fake pass the critic separately, as batch norm there needs."""
        critic, generator = self.players["critic"], self.players["generator"]
        if player == "generator":
            return self._loss.generator(critic(generator(batch.latent), batch.masks["fake"]))
        with torch.no_grad():
            fake = generator(batch.latent)
        return self._loss.critic(critic(batch.real, batch.masks["real"]), critic(fake, batch.masks["fake"]))

    @torch.no_grad()
    def after_step(self, player: str) -> None:
        if player == "critic":
            clip = self._genes["clip"]
            for weight in self._clipped:
                weight.clamp_(-clip, clip)
        elif self._average is not None:
            self._average.follow(self.players["generator"])

    @property
    def sampler(self) -> nn.Module:
        """The network that samples come from: the generator, or its moving average."""
        return self.players["generator"] if self._average is None else self._average.network

    @torch.no_grad()
    def sample(self, latent: Tensor) -> Tensor:
        """(N, latent) -> images (N, C, H, W) in [-1, 1]; each depends on its own latent alone."""
        self.sampler.eval()
        images: Tensor = self.sampler(latent)
        self.sampler.train()
        return images.float()
