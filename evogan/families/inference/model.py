"""The plain GAN with a player from image to code. With x real, z drawn, E the encoder, h the critic's features:

head, network    a code c beside the latent: the generator, the encoder, and a critic with a head pay
                 lambda E -log Q(c | G(c, z))                                                  InfoGAN, 1606.03657
inverse          the latent itself is inferred. The critic sees pairs, (x, E(x)) against (G(z), z), and the encoder
                 pays for its own as the generator does                                        BiGAN, 1605.09782
                 or it sees images, G(E(x)) among the fakes                                    VAE-GAN, 1512.09300
                 encoder: kl KL(q(z|x) | N(0, 1)) + w_h |h(x) - h(G(E(x)))|^2/2 + w_x |x - G(E(x))|^2/2 +
                          w_z |z - E(G(z))|^2/2
                 generator: gamma times the second and third, and the last
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from evogan.families.family import Fields
from evogan.families.plain import model as plain
from evogan.families.plain.model import FAKE, IMAGES, LATENT, REAL, PlainGAN
from evogan.genome import Value
from evogan.zoo.backbones import BACKBONES, make_networks, prior_of
from evogan.zoo.code import CATEGORY, CONTINUOUS
from evogan.zoo.encoders import CodedCritic, Encoder, PairCritic, ThreeClassCritic, read
from evogan.zoo.fresh import Networks
from evogan.zoo.gan import Batch, Critique, Data, Draws, Losses, Network, Prompt
from evogan.zoo.inference import information, kind, kl, reconstruction
from evogan.zoo.latents import truncated
from evogan.zoo.losses import HARD, LossTerms, Objective
from evogan.zoo.regularizers import Judge

ENCODER = "encoder"
RECONSTRUCTED = "reconstructed"  # among the draws: what a critic sees
POSTERIOR, RECONSTRUCTION = "posterior", "reconstruction"  # what a latent is drawn with, and the generator uses then
INFERRED, MEAN, LOG_VARIANCE = "inferred", "mean", "log variance"  # of the batch's images
INFORMATION = {CATEGORY: "mutual_information", CONTINUOUS: "continuous_information"}  # the weights
KINDS = {RECONSTRUCTED: 0, FAKE: 1}  # of fakes that a critic tells apart


def assemble(genes: dict[str, Any], fields: Fields, players: Networks, rng: torch.Generator) -> InferenceGAN:
    return InferenceGAN(genes, fields[IMAGES].shape, players, rng)


def check(genes: Mapping[str, Any], fields: Fields) -> None:
    plain.check(genes, fields)


def impossible(fields: Fields) -> dict[str, list[Value]]:
    return plain.impossible(fields)


def networks(genes: Mapping[str, Any], fields: Fields) -> dict[str, Network]:
    """The players, without weights."""
    channels, size, _ = fields[IMAGES].shape
    prior, slope = prior_of(genes), genes["slope"]
    sees, entry = genes.get("critic_sees", "image"), genes.get("pair_entry", "features")
    generator, critic = make_networks(genes, size, channels, planes=int(sees == "pair" and entry == "plane"))
    others: dict[str, Network] = {}
    if genes["encoder"] == "head":
        critic = CodedCritic(
            critic, prior.code.size, units=genes["head_units"], norm=genes.get("critic_norm", "none"), slope=slope
        )
    else:
        trained = {**genes, "critic_norm": genes.get("encoder_norm", "none"), "dropout": 0.0, "minibatch": "none"}
        outputs = prior.code.size or prior.size * (2 if genes.get("posterior") == "gaussian" else 1)
        others = {ENCODER: Encoder(BACKBONES[genes["backbone"]].critic(trained, size, channels), outputs)}
    if sees == "pair":
        critic = PairCritic(critic, entry, prior.size, size=size, units=genes.get("pair_units", 0), slope=slope)
    elif genes.get("fakes") == "three_class":
        critic = ThreeClassCritic(critic)
    return {"critic": critic, "generator": generator, **others}


class InferenceGAN(PlainGAN):
    """Built from `genes`, a complete phenotype, and the players that it names, which have their weights.

    A batch's latents have the code in front; a prompt has its parts apart.
    """

    def __init__(
        self, genes: dict[str, Any], image: tuple[int, ...], players: Mapping[str, Network], rng: torch.Generator
    ) -> None:
        others = {name: player for name, player in players.items() if name not in ("critic", "generator")}
        super().__init__(genes, image, players["generator"], players["critic"], rng, others=others)
        if others:
            self.schedule = (*self.schedule, (ENCODER, int(genes["encoder_steps"])))
            self.rows[ENCODER] = self.rows["critic"]
            self.rates[ENCODER] = float(genes["learning_rate"]) * genes["encoder_lr_ratio"]
        self._inverse: bool = genes["encoder"] == "inverse"
        self._apart = bool(others)
        self._pairs: bool = genes.get("critic_sees") == "pair"
        self._fakes: str = genes.get("fakes", "generated")
        self._gaussian: bool = genes.get("posterior") == "gaussian"
        weights = {"pixels": "pixel_reconstruction", "features": "feature_reconstruction"}
        self._rebuilt = {what: gene for what, gene in weights.items() if genes.get(gene, 0.0) > 0}
        self._cycles = genes.get("latent_cycle", 0.0) > 0

    # --- codes

    @property
    def code(self) -> Mapping[str, int]:
        return {LATENT: self.prior.size} if self._inverse else self.prior.code.parts

    @property
    def encoder(self) -> nn.Module:
        return self.players[ENCODER if self._apart else "critic"]

    @torch.no_grad()
    def encode(self, images: Tensor) -> dict[str, Tensor]:
        self.encoder.eval()
        if self._apart:
            said: Tensor = self.encoder(images)
        else:
            said = self.encoder(self.players["critic"].present(images)).code
        self.encoder.train()
        return {LATENT: said[:, : self.prior.size]} if self._inverse else read(said, self.prior.code)

    def decode(self, code: Mapping[str, Tensor]) -> Tensor:
        """The most probable category is taken for certain."""
        if self._inverse:
            return self.sample({LATENT: code[LATENT]})
        parts = dict(code)
        if CATEGORY in parts:
            best = parts[CATEGORY].argmax(1, keepdim=True)
            parts[CATEGORY] = torch.zeros_like(parts[CATEGORY]).scatter_(1, best, 1.0)
        first = next(iter(parts.values()))
        return self.sample({LATENT: first.new_full((len(first), self.prior.size), self.prior.middle), **parts})

    def prompts(self, n: int, data: Data, rng: torch.Generator) -> Prompt:
        start, code = truncated(self.prior, n, rng), self.prior.code
        return {LATENT: start[:, code.size :], **code.split(start)}

    def sample(self, prompt: Prompt) -> Tensor:
        """Latents (N, latent) and parts of codes -> images (N, C, H, W) in [-1, 1], as a plain GAN's."""
        return super().sample({**prompt, LATENT: self.start(prompt)})

    def start(self, prompt: Prompt) -> Tensor:
        """What the generator starts from."""
        return torch.cat([*(prompt[name] for name in self.prior.code.parts), prompt[LATENT]], 1)

    def given(self, images: Tensor, labels: Sequence[Tensor], start: Tensor | None = None) -> Sequence[Tensor]:
        if not self._pairs:
            return labels
        return (self.encode(images)[LATENT] if start is None else start,)

    # --- the randomness of a step

    def needs(self, player: str) -> tuple[str, ...]:
        return (IMAGES,) if self._infers(player) else super().needs(player)

    def _infers(self, player: str) -> bool:
        """Whether a step of the player looks at the latents of reals."""
        if player == ENCODER:
            return self._inverse
        rebuilds = self._fakes != "generated" or (player == "generator" and bool(self._rebuilt))
        return rebuilds or (self._pairs and (player == "critic" or self._matches_real))

    def _shown(self, player: str) -> tuple[str, ...]:
        seen = super()._shown(player)
        return (*seen, RECONSTRUCTED) if self._fakes != "generated" and player != ENCODER else seen

    def _draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        batch = super()._draw(player, n, data, rng)
        if not self._infers(player):
            return batch
        draws: dict[str, Draws] = {RECONSTRUCTION: self.players["generator"].draws(n, rng)}
        if self._gaussian:
            draws[POSTERIOR] = (torch.randn(n, self.prior.size, generator=rng, device=rng.device),)
        return Batch(batch.data, {**batch.draws, **draws})

    # --- losses

    def _loss(self, player: str, batch: Batch, objective: Objective) -> Losses:
        if self._infers(player):
            batch = self._with_inferred(player, batch)
        if player == ENCODER:
            return self._pulled(player, self._encoder_loss(batch))
        return super()._loss(player, batch, objective)

    def _with_inferred(self, player: str, batch: Batch) -> Batch:
        """The latents of its reals among its data: with gradient in the encoder's step alone."""
        with nullcontext() if player == ENCODER else torch.no_grad():
            said = self.players[ENCODER](batch.data[IMAGES])
            if not self._gaussian:
                return Batch({**batch.data, INFERRED: said}, batch.draws)
            mean, log_variance = said.chunk(2, 1)
            drawn = mean + torch.exp(log_variance / 2) * batch.draws[POSTERIOR][0]
            return Batch({**batch.data, INFERRED: drawn, MEAN: mean, LOG_VARIANCE: log_variance}, batch.draws)

    def _encoder_loss(self, batch: Batch) -> Losses:
        terms: dict[str, Tensor] = {}
        if self._pairs:
            terms |= self._as_fake(batch)
        if self._gaussian:
            terms["kl"] = self._numbers["kl"]() * kl(batch.data[MEAN], batch.data[LOG_VARIANCE])
        if self._rebuilt:
            terms |= self._reconstructions(self._rebuild(batch), batch)
        if self._cycles or not self._inverse:
            with torch.no_grad():
                images = self._generate(batch)
            terms |= self._inferred_again(images, None, batch)
        return Losses(terms)

    def _as_fake(self, batch: Batch) -> LossTerms:
        """What the encoder pays for pairs that are known as real."""
        real, f = self._seen(batch.data[IMAGES], REAL, batch), None
        if self.objective.needs_real:
            with torch.no_grad():
                fake = self._seen(self._generate(batch), FAKE, batch)
                f = self.players["critic"](fake, batch.draws[FAKE], *self._given(FAKE, batch)).score
        r: Critique = self.players["critic"](real, batch.draws[REAL], *self._given(REAL, batch))
        return self.objective.encoder(r.score, f)

    def _told_apart(self, r: Critique, f: Critique, batch: Batch) -> LossTerms:
        terms = dict(super()._told_apart(r, f, batch))
        if self._fakes != "generated":
            with torch.no_grad():
                images = self._rebuild(batch)
            s = self._of_reconstructed(images, batch)
            targets = batch.draws.get("targets", HARD)
            terms["fake_reconstructed"] = self.objective.critic(r.score, s.score, targets)["fake"]
            if s.classes is not None and f.classes is not None:
                terms["kinds"] = kind(s.classes, KINDS[RECONSTRUCTED]) + kind(f.classes, KINDS[FAKE])
        if f.code is not None:
            terms |= self._information(f.code, batch)
        return terms

    def _besides(self, images: Tensor, f: Critique, r: Critique | None, batch: Batch) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        if self._fakes != "generated" or self._rebuilt:
            rebuilt = self._rebuild(batch)
            if self._fakes != "generated":
                s = self._of_reconstructed(rebuilt, batch)
                scores = self.objective.generator(s.score, None if r is None else r.score)
                terms["generator_reconstructed"] = scores["generator"]
            gamma = self._numbers["reconstruction_gamma"]()
            terms |= {name: gamma * term for name, term in self._reconstructions(rebuilt, batch).items()}
        if self._cycles or not self._inverse:
            terms |= self._inferred_again(images, f.code, batch)
        return terms

    def _inferred_again(self, images: Tensor, said: Tensor | None, batch: Batch) -> dict[str, Tensor]:
        """What is paid where that which images were made of is not found in them; `said` by a head."""
        if said is None:
            said = self.players[ENCODER](images)
        if not self._inverse:
            return self._information(said, batch)
        (latent,) = batch.draws[LATENT]
        return {"latent_cycle": self._numbers["latent_cycle"]() * reconstruction(said[:, : latent.shape[1]], latent)}

    def _information(self, said: Tensor, batch: Batch) -> dict[str, Tensor]:
        (start,) = batch.draws[LATENT]
        terms = information(said, start, self.prior.code)
        return {f"code_{part}": self._numbers[INFORMATION[part]]() * term for part, term in terms.items()}

    def _rebuild(self, batch: Batch) -> Tensor:
        images: Tensor = self.players["generator"](batch.data[INFERRED], batch.draws[RECONSTRUCTION])
        return images

    def _of_reconstructed(self, images: Tensor, batch: Batch) -> Critique:
        said: Critique = self.players["critic"](self._seen(images, RECONSTRUCTED, batch), batch.draws[RECONSTRUCTED])
        return said

    def _reconstructions(self, images: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Of reals by images of their latents. Both are shown to the critic in the same way."""
        terms, reals = {}, batch.data[IMAGES]
        if "pixels" in self._rebuilt:
            terms["pixel_reconstruction"] = self._numbers["pixel_reconstruction"]() * reconstruction(images, reals)
        if "features" in self._rebuilt:
            with torch.no_grad():
                h: Critique = self._shown_as_real(reals, batch)
            rebuilt = self._shown_as_real(images, batch)
            distance = reconstruction(rebuilt.features, h.features)
            terms["feature_reconstruction"] = self._numbers["feature_reconstruction"]() * distance
        return terms

    def _shown_as_real(self, images: Tensor, batch: Batch) -> Critique:
        given = (x.detach() for x in self._given(REAL, batch))
        said: Critique = self.players["critic"](self._seen(images, REAL, batch), batch.draws[REAL], *given)
        return said

    def _given(self, what: str, batch: Batch) -> tuple[Tensor, ...]:
        if not self._pairs:
            return ()
        return (batch.data[INFERRED],) if what == REAL else batch.draws[LATENT]

    def _points_like(self, images: Tensor) -> Tensor:
        return _joined(images, images.new_zeros(len(images), self.prior.size)) if self._pairs else images

    def _penalised(self, real: Tensor, fake: Tensor, batch: Batch) -> tuple[Judge, tuple[Tensor, Tensor]]:
        """Of pairs, image and latent together as one vector (N, D, 1, 1)."""
        if not self._pairs:
            return super()._penalised(real, fake, batch)
        shape = real.shape[1:]

        def critic(pair: Tensor, draws: Draws) -> Critique:
            image, latent = pair.flatten(1).split([shape.numel(), self.prior.size], 1)
            said: Critique = self.players["critic"](image.unflatten(1, shape), draws, latent)
            return said

        return critic, (_joined(real, *self._given(REAL, batch)), _joined(fake, *self._given(FAKE, batch)))


def _joined(images: Tensor, latents: Tensor) -> Tensor:
    return torch.cat([images.flatten(1), latents.to(images.dtype)], 1)[:, :, None, None]
