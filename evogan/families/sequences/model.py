"""A generator of sequences against a critic: SeqGAN, arXiv:1609.05473, MaskGAN, arXiv:1801.07736, Gumbel-softmax,
arXiv:1611.04051. The plain GAN, but for how the generator learns; for a share of the budget it learns by likelihood:

    likelihood        -E log p(y), a token
    straight_through, gumbel, softmax    the plain generator's loss of what is relaxed
    rollouts, actor_critic               the policy gradient (`evogan.zoo.rewards`)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from evogan.errors import UserError
from evogan.families.family import Fields
from evogan.families.plain.diagnostics import forced_choice
from evogan.families.plain.model import FAKE, IMAGES, LATENT, PlainGAN
from evogan.genes import GENES, LABELLED
from evogan.genome import Value
from evogan.zoo.fresh import Networks
from evogan.zoo.gan import Batch, Critique, Data, Draws, Losses, Network, Prompt, Rows
from evogan.zoo.losses import LossTerms, Objective, draw_targets
from evogan.zoo.readers import CNNReader, Reader, RNNReader
from evogan.zoo.rewards import REWARDS, centred, policy_gradient, returns
from evogan.zoo.writers import RELAXATIONS, Form, Hidden, Writer, gumbel_noise

HIDDEN, ROLLOUTS = "hidden", "rollouts"  # among the draws: what is to be filled in; what ends beginnings
WHOLE = 0.5  # share of rows of which all is hidden
AT_ONCE = 4096  # rollouts that the critic reads
JUDGED = 512  # sequences of each kind for diagnostics
# what the plain GAN asks for, and this family has not
ABSENT = {
    **{name: GENES[name].default for name in ("latent_prior", "truncation", "unrolled", "jacobian_clamping")},
    **{name: GENES[name].default for name in ("batch_ratio", "feature_matching", "augmentation", "mirror")},
    "latent": 1,
}

Genes = Mapping[str, Any]


def assemble(genes: dict[str, Any], fields: Fields, players: Networks, rng: torch.Generator) -> SequenceGAN:
    return SequenceGAN(genes, players, rng)


def check(genes: Genes, fields: Fields) -> None:
    """Errors: UserError for images, in the place of sequences."""
    if fields[IMAGES].values is None:
        raise UserError("family 'sequences' makes sequences of tokens, and is told of images")


def impossible(fields: Fields) -> dict[str, list[Value]]:
    return {}


def networks(genes: Genes, fields: Fields) -> dict[str, Network]:
    field, fills = fields[IMAGES], genes.get("mask_rate", 0.0) > 0
    form = Form(field.values or 2, field.shape[-1], field.ends)
    critic: Reader
    if genes["reader"] == "cnn":
        sizes = (genes["reader_size"], genes["reader_widths"], genes["highways"])
        critic = CNNReader(form, genes["reader_embedding"], *sizes, genes["reader_dropout"], fills)
    else:
        sizes = (genes["rnn"], genes["reader_size"], genes["token_scores"])
        critic = RNNReader(form, genes["reader_embedding"], *sizes, genes["reader_dropout"], fills)
    return {"generator": Writer(form, genes["rnn"], genes["embedding"], genes["hidden"], fills), "critic": critic}


class SequenceGAN(PlainGAN):
    """Built from `genes`, a complete phenotype, and the two `networks` that it names, which have their weights."""

    def __init__(self, genes: dict[str, Any], networks: Mapping[str, Network], rng: torch.Generator) -> None:
        writer, critic = networks["generator"], networks["critic"]
        assert isinstance(writer, Writer) and isinstance(critic, Reader)
        self.form = form = writer.form
        super().__init__({**ABSENT, **genes}, (1, form.length, form.tokens), writer, critic, rng)
        self.steady = False  # what a step needs depends on when it is
        self._gradient: str = genes["token_gradient"]
        self._relaxes, self._fills = self._gradient in RELAXATIONS, genes.get("mask_rate", 0.0) > 0
        noisy = genes["instance_noise"] > 0 or genes["input_noise"] > 0
        penalised = any(genes.get(name, "none") != "none" for name in ("gradient_penalty", "zero_penalty"))
        self._dense = self._relaxes or noisy or penalised  # whether the critic is shown shares of tokens
        self._each: bool = genes.get("token_scores", False)
        self._share: float = genes["likelihood_share"]
        self.temperature: float = genes["temperature"]
        self._tau: float = genes.get("relaxation", 1.0)
        self.likelihood = self._share > 0

    @property
    def _writer(self) -> Writer:
        writer = self.players["generator"]
        assert isinstance(writer, Writer)
        return writer

    def begin(self, progress: float) -> bool:
        new = super().begin(progress)
        if self._relaxes:
            first, last = self.genes["relaxation"], self.genes["relaxation_last"]
            self._tau = float(first * (last / first) ** progress)
        before, self.likelihood = self.likelihood, progress < self._share
        return new or before != self.likelihood

    def pace(self, player: str) -> float:
        game = player == "generator" and not self.likelihood
        return float(self.genes["game_rate"]) if game else 1.0

    # --- the randomness of a step

    def needs(self, player: str) -> tuple[str, ...]:
        also = self._fills or self.likelihood or self.genes["likelihood_weight"] > 0
        return (IMAGES,) if also else super().needs(player)

    def _draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        draws: dict[str, Draws] = {HIDDEN: (self._hide(n, rng),)} if self._fills else {}
        data = {name: data[name].long() for name in self.needs(player)}
        if player == "generator" and self.likelihood:
            return Batch(data, draws)
        critic, form = self.players["critic"], self.form
        for what in self._shown(player):
            draws |= self._look(critic, what, n, rng)
        if self.genes["loss"] in LABELLED:
            draws["targets"] = draw_targets(n, self.genes["label_smoothing"], self.genes["label_noise"], rng)
        if player == "critic":
            like = torch.zeros(n, *self._image, device=rng.device) if self._dense else data[IMAGES]
            draws |= self._regularizers.draw(critic, like, rng)
        noise = (n, form.length, form.tokens) if self._relaxes else (n, form.length)
        draws[LATENT] = (torch.rand(noise, generator=rng, device=rng.device),)
        if player == "generator" and self._gradient == "rollouts":
            endings = (n, self.genes["rollouts"], form.length - 1, form.length)
            draws[ROLLOUTS] = (torch.rand(endings, generator=rng, device=rng.device),)
        return Batch(data, draws)

    def _hide(self, n: int, rng: torch.Generator) -> Tensor:
        """(n, T): 1 where a token is hidden; in a row, which begins anywhere, or all."""
        length = self.form.length
        hidden = max(1, round(self.genes["mask_rate"] * length))
        whole, at = torch.rand(n, 2, generator=rng, device=rng.device).unbind(1)
        place = torch.arange(length, device=rng.device)
        first = (at * (length - hidden + 1)).long()[:, None]
        inside: Tensor = (place >= first) & (place < first + hidden)
        where: Tensor = inside | (whole[:, None] < WHOLE)
        return where.to(torch.get_default_dtype())

    # --- losses

    def _loss(self, player: str, batch: Batch, objective: Objective) -> Losses:
        if player == "critic" or not self.likelihood:
            return super()._loss(player, batch, objective)
        return self._pulled(player, Losses({"likelihood": self._unlikely(batch)}))

    def _unlikely(self, batch: Batch) -> Tensor:
        """-log p of a real token that there was to choose."""
        tokens, hidden = batch.data[IMAGES], self._hidden(batch)
        logs = self._writer.log_probabilities(tokens, hidden)
        return -logs.sum() / self._writer.chosen(tokens, hidden).sum()

    def _hidden(self, batch: Batch) -> Hidden | None:
        return Hidden(batch.data[IMAGES], batch.draws[HIDDEN][0]) if self._fills else None

    def _generate(self, batch: Batch) -> Tensor:
        """As the critic is to see it."""
        (random,), hidden = batch.draws[LATENT], self._hidden(batch)
        if not self._relaxes:
            return self._writer.write(random, hidden).tokens
        relaxed = self._writer.relax(gumbel_noise(random), self._gradient, self._tau, hidden).relaxed
        assert relaxed is not None
        return relaxed

    def _seen(self, images: Tensor, what: str, batch: Batch) -> Tensor:
        if self._dense and not images.is_floating_point():
            images = F.one_hot(images, self.form.tokens)[:, None].to(torch.get_default_dtype())
        return super()._seen(images, what, batch)

    def _given(self, what: str, batch: Batch) -> tuple[Tensor, ...]:
        """What is filled in."""
        return batch.draws[HIDDEN] if self._fills else ()

    def _judge(self, real: Tensor, fake: Tensor, batch: Batch) -> tuple[Critique, Critique]:
        r, f = super()._judge(real, fake, batch)
        return self._of_hidden(r, batch), self._of_hidden(f, batch)

    def _of_hidden(self, said: Critique, batch: Batch) -> Critique:
        """Of scores of tokens those of what is filled in."""
        if not (self._each and self._fills):
            return said
        return said._replace(score=said.score[batch.draws[HIDDEN][0].flatten() > 0])

    def _told_apart(self, r: Critique, f: Critique, batch: Batch) -> LossTerms:
        if self._each and "targets" in batch.draws:  # a token's are its sequence's
            targets = tuple(y[:, None].expand(-1, self.form.length).flatten() for y in batch.draws["targets"])
            if self._fills:
                targets = tuple(y[batch.draws[HIDDEN][0].flatten() > 0] for y in targets)
            batch = Batch(batch.data, {**batch.draws, "targets": targets})
        return super()._told_apart(r, f, batch)

    def _critic_loss(self, fake: Tensor, batch: Batch) -> Losses:
        losses = super()._critic_loss(fake, batch)
        if self._gradient != "actor_critic":
            return losses
        earned, expected, chosen = self._earned(fake, batch)
        off = ((expected - earned).square() * chosen).sum() / chosen.sum().clamp(min=1)
        return Losses({**losses.terms, "baseline": off}, losses.watched)

    def _generator_loss(self, batch: Batch, objective: Objective) -> Losses:
        losses = super()._generator_loss(batch, objective) if self._relaxes else self._rewarded(batch)
        if (weight := self.genes["likelihood_weight"]) > 0:
            losses = Losses({**losses.terms, "likelihood": weight * self._unlikely(batch)}, losses.watched)
        return losses

    def _rewarded(self, batch: Batch) -> Losses:
        (random,), hidden = batch.draws[LATENT], self._hidden(batch)
        with torch.no_grad():
            written = self._writer.write(random, hidden, states=self._gradient == "rollouts")
            chosen = self._writer.chosen(written.tokens, hidden)
            if self._gradient == "rollouts":
                endings = self._writer.roll_out(written, *batch.draws[ROLLOUTS])
                values = torch.cat([self._rewards(endings).mean(1), self._rewards(written.tokens)[:, None]], 1)
                reward = values[:, -1]
                advantages = centred(values, chosen) if self.genes["reward_baseline"] == "mean" else values
            else:
                earned, expected, _ = self._earned(written.tokens, batch)
                advantages, reward = earned - expected, earned[:, 0]
        logs = self._writer.log_probabilities(written.tokens, hidden)
        watched = {"reward": reward.mean(), "surprise": -logs.detach().sum() / chosen.sum().clamp(min=1)}
        return Losses({"generator": policy_gradient(logs, advantages)}, watched)

    def _rewards(self, tokens: Tensor) -> Tensor:
        """Of sequences (..., T)."""
        rows = tokens.flatten(0, -2).split(AT_ONCE)
        scores = torch.cat([self.players["critic"](part, ()).score for part in rows])
        return REWARDS[self.genes["reward"]](scores).view(tokens.shape[:-1])

    def _earned(self, fake: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Of each token (N, T): what it earns, what was expected, and whether it was chosen."""
        critic, hidden = self.players["critic"], self._hidden(batch)
        assert isinstance(critic, RNNReader)
        tokens = fake[:, 0].argmax(-1) if fake.is_floating_point() else fake
        chosen = self._writer.chosen(tokens, hidden)
        read = critic.read(tokens, (), *self._given(FAKE, batch))
        rewards = REWARDS[self.genes["reward"]](read.scores).detach()
        return returns(rewards, chosen, self.genes["reward_discount"]), read.expected, chosen

    @torch.no_grad()
    def after_step(self, player: str, batch: Batch, losses: Losses) -> None:
        self._hold(player)
        self._memory.follow(player, losses)
        if player == "generator" and self._average is not None:
            self._average.follow(self.players["generator"])

    # --- samples

    def prompts(self, n: int, data: Data, rng: torch.Generator) -> Prompt:
        return {LATENT: torch.rand(n, self.form.length, generator=rng, device=rng.device)}

    @torch.no_grad()
    def sample(self, prompt: Prompt) -> Tensor:
        """Numbers (N, T) in [0, 1) -> tokens (N, T); each row depends on its own alone."""
        sampler = self.sampler
        assert isinstance(sampler, Writer)
        return sampler.write(prompt[LATENT], temperature=self.temperature).tokens

    @torch.no_grad()
    def log_probability(self, tokens: Tensor) -> Tensor:
        sampler = self.sampler
        assert isinstance(sampler, Writer)
        return sampler.log_probabilities(tokens, temperature=self.temperature).double().sum(1)

    # --- how the game goes

    @torch.no_grad()
    def diagnose(self, seen: Rows, unseen: Rows, rng: torch.Generator) -> dict[str, float]:
        """As of the plain GAN, of sequences; in a game that is played."""
        if self._share == 1:
            return {}
        critic, n = self.players["critic"], self.rows["critic"]
        scores: list[list[Tensor]] = [[], [], []]
        for _ in range(-(-JUDGED // n)):
            batch = self.draw("critic", n, seen(n, (IMAGES,)), rng)
            others = unseen(n, (IMAGES,))[IMAGES].long()
            for kind, x in enumerate((batch.data[IMAGES], others, self._generate(batch))):
                said: Critique = critic(self._seen(x, "", batch), (), *self._given(FAKE, batch))
                scores[kind].append(self._of_hidden(said, batch).score)
        training, unknown, fake = (torch.cat(said) for said in scores)
        return {
            "critic_accuracy": forced_choice(training, fake),
            "critic_accuracy_held_out": forced_choice(unknown, fake),
        }
