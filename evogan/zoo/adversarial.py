"""A generator against a critic: the GAN of Goodfellow et al., arXiv:1406.2661, as a point in a space.

The parts are elsewhere, each under its genes: networks in `backbones/`, losses, penalties, weights, augmentation,
latents. Here they meet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from evogan.genes import LABELLED
from evogan.zoo.augment import augment, draw_augmentation
from evogan.zoo.average import HistoricalAverage, MovingAverage
from evogan.zoo.backbones import stylegan
from evogan.zoo.backbones.progressive import Growth
from evogan.zoo.gan import Batch, Critique, Draws, Losses, Network
from evogan.zoo.latents import draw_latents, truncated
from evogan.zoo.losses import HARD, Objective, adversarial, draw_targets, feature_matching, pull_away
from evogan.zoo.memory import Memory
from evogan.zoo.regularizers import Regularizers
from evogan.zoo.weights import Weights

REAL, FAKE = "real", "fake"


class AdversarialGAN:
    """Built from `genes`, a complete phenotype, and the two networks that it names, which have their weights.

    Randomness that is part of the networks (first singular vectors) comes from `rng`. Numbers in `genes` are read when
    they are used: a stack of GANs puts tensors in their place.
    """

    def __init__(self, genes: dict[str, Any], generator: Network, critic: Network, rng: torch.Generator) -> None:
        self.players: Mapping[str, Network] = {"critic": critic, "generator": generator}
        self.schedule = (("critic", int(genes["critic_steps"])), ("generator", int(genes["generator_steps"])))
        self.genes = genes
        self._weights = {name: Weights(player, name, genes, rng) for name, player in self.players.items()}
        self.objective: Objective = adversarial(genes)
        self._regularizers = Regularizers(genes)
        self._memory = Memory(genes)
        self._average = MovingAverage(generator, genes) if genes["ema"] > 0 else None
        self._histories = (
            {name: HistoricalAverage(player) for name, player in self.players.items()}
            if genes["historical_averaging"] > 0
            else {}
        )
        self.networks: Mapping[str, nn.Module] = {
            **self.players,
            **({"average": self._average} if self._average else {}),
            **{f"{name}_history": history for name, history in self._histories.items()},
            "memory": self._memory,
        }
        self._growing = [m for player in self.players.values() for m in player.modules() if isinstance(m, Growth)]
        self._styled = [m for m in generator.modules() if isinstance(m, stylegan.Generator)]
        self._feature_matching: str = genes["feature_matching"]
        self._matches_real = self.objective.needs_real or self._feature_matching != "off"
        # batch norm and minibatch layers look at the batch: real and fake pass them apart
        self._together = genes.get("critic_norm") != "batch" and genes.get("minibatch", "none") == "none"
        self._pulls_away = genes.get("pull_away", 0) > 0
        self._noise = 0.0

    def to(self, device: torch.device) -> None:
        for network in self.networks.values():
            network.to(device).to(memory_format=torch.channels_last)

    def begin(self, progress: float) -> bool:
        self._noise = math.hypot(self.genes["instance_noise"] * (1 - progress), self.genes["input_noise"])
        grown = [growth.grow(progress) for growth in self._growing]  # every one
        return any(grown)

    # --- the randomness of a step

    def needs_real(self, player: str) -> bool:
        return player == "critic" or self._matches_real

    def draw(self, player: str, real: Tensor, rng: torch.Generator) -> Batch:
        generator, critic = self.players["generator"], self.players["critic"]
        n, seen = len(real), (REAL, FAKE) if self.needs_real(player) else (FAKE,)
        draws: dict[str, Draws] = {"generator": generator.draws(n, rng)}
        for what in seen:
            draws[what] = critic.draws(n, rng)
            if self.genes["instance_noise"] > 0 or self.genes["input_noise"] > 0:
                noise = torch.randn(real.shape, generator=rng, device=rng.device)
                draws[f"{what} noise"] = (self._noise * noise,)
            if self.genes["augmentation"] != "none":
                draws[f"{what} augmentation"] = draw_augmentation(self.genes["augmentation"], n, real.shape[-1], rng)
        if self.genes["loss"] in LABELLED:
            draws["targets"] = draw_targets(n, self.genes["label_smoothing"], self.genes["label_noise"], rng)
        if player == "critic":
            draws |= self._regularizers.draw(critic, real, rng)
        return Batch(real, draw_latents(self.genes, n, rng), draws)

    # --- losses

    def loss(self, player: str, batch: Batch) -> Losses:
        losses = self._critic_loss(batch) if player == "critic" else self._generator_loss(batch)
        terms = {**losses.terms, **self._weights[player].regularization()}
        if self._histories:
            distance = self._histories[player].distance(self.players[player])
            terms["historical_averaging"] = self.genes["historical_averaging"] * distance
        return Losses(terms, losses.watched)

    def _critic_loss(self, batch: Batch) -> Losses:
        with torch.no_grad():
            fake = self._seen(self._generate(batch), FAKE, batch)
        real = self._seen(batch.real, REAL, batch)
        r, f = self._judge(real, fake, batch)
        targets = batch.draws.get("targets", HARD)
        terms = self._memory.weigh(self.objective.critic(r.score, f.score, targets), r.score, f.score)
        terms |= self._regularizers.terms(self.players["critic"], (real, fake), (r.score, f.score), batch.draws)
        return Losses(terms, {"score_real": r.score.detach().mean(), "score_fake": f.score.detach().mean()})

    def _generator_loss(self, batch: Batch) -> Losses:
        fake = self._seen(self._generate(batch), FAKE, batch)
        r: Critique | None = None
        if self._matches_real:
            with torch.no_grad():  # reals carry no gradient
                r = self.players["critic"](self._seen(batch.real, REAL, batch), batch.draws[REAL])
        f: Critique = self.players["critic"](fake, batch.draws[FAKE])
        terms = dict(self.objective.generator(f.score, None if r is None else r.score))
        if r is not None and self._feature_matching != "off":
            matched = feature_matching(r.features, f.features)
            terms["generator" if self._feature_matching == "alone" else "feature_matching"] = matched
        if self._pulls_away:
            terms["pull_away"] = self.genes["pull_away"] * pull_away(f.features)
        return Losses(terms, self._memory.watch(f.score.detach().mean()))

    def _generate(self, batch: Batch) -> Tensor:
        images: Tensor = self.players["generator"](batch.latent, batch.draws["generator"])
        return images

    def _seen(self, images: Tensor, what: str, batch: Batch) -> Tensor:
        """The images as the critic gets to see them."""
        if what == REAL:
            for growth in self._growing[:1]:
                images = growth.blend(images)
        if augmentation := batch.draws.get(f"{what} augmentation"):
            images = augment(self.genes["augmentation"], images, augmentation)
        if noise := batch.draws.get(f"{what} noise"):
            images = images + noise[0]
        return images

    def _judge(self, real: Tensor, fake: Tensor, batch: Batch) -> tuple[Critique, Critique]:
        critic = self.players["critic"]
        if not self._together:
            return critic(real, batch.draws[REAL]), critic(fake, batch.draws[FAKE])
        draws = tuple(torch.cat(pair) for pair in zip(batch.draws[REAL], batch.draws[FAKE], strict=True))
        score, features = critic(torch.cat([real, fake.to(real.dtype)]), draws)
        (r, f), (real_features, fake_features) = score.chunk(2), features.chunk(2)
        return Critique(r, real_features), Critique(f, fake_features)

    # --- between steps

    @torch.no_grad()
    def after_step(self, player: str, batch: Batch, losses: Losses) -> None:
        self._weights[player].after_step()
        if self._histories:
            self._histories[player].follow(self.players[player])
        self._memory.follow(player, losses)
        if player == "generator":
            for network in self._styled:
                network.follow_styles(batch.latent)
            if self._average is not None:
                self._average.follow(self.players["generator"])

    # --- samples

    @property
    def sampler(self) -> nn.Module:
        """The network that samples come from: the generator, or its moving average."""
        return self.players["generator"] if self._average is None else self._average.network

    def latents(self, n: int, rng: torch.Generator) -> Tensor:
        return truncated(self.genes, n, rng)

    @torch.no_grad()
    def sample(self, latent: Tensor) -> Tensor:
        """(N, latent) -> images (N, C, H, W) in [-1, 1]; each depends on its own latent alone."""
        self.sampler.eval()
        images: Tensor = self.sampler(latent)
        self.sampler.train()
        return images.float().clamp(-1, 1)
