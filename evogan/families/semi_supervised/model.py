"""A GAN with a classifier, of many images and a few that have labels: Salimans et al., arXiv:1606.03498, and what
followed. The plain GAN, whose critic tells classes too, or which has a classifier beside it.

Every step of a player looks at as many images of the pool, which has no labels, as of those that have some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from evogan.errors import UserError
from evogan.families.family import Fields
from evogan.families.plain import model as plain
from evogan.families.plain.model import FAKE, IMAGES, LABELS, LATENT, REAL, PlainGAN
from evogan.genome import Value
from evogan.zoo.augment import mirrored
from evogan.zoo.backbones import make_networks
from evogan.zoo.class_terms import ClassTerms
from evogan.zoo.classifying import ClassifyingCritic, Judged, cluster_loss, draw_turns, turn
from evogan.zoo.conditioning import class_loss
from evogan.zoo.fresh import Networks
from evogan.zoo.gan import Batch, Critique, Data, Draws, Losses, Network, Prompt, Rows
from evogan.zoo.latents import draw_latents
from evogan.zoo.losses import HARD, LossTerms, Objective
from evogan.zoo.number import Number

FEW_IMAGES, FEW_LABELS = "few_images", "few_labels"  # fields of the data
CLASSIFIER = "classifier"  # the third player
# among the draws, images as a network sees them: labelled ones, those of the pool as critic and classifier do, turned
FEW, POOL, GUESS, TURNED = "few", "pool", "guess", "turned"
Genes = Mapping[str, Any]


def assemble(genes: dict[str, Any], fields: Fields, players: Networks, rng: torch.Generator) -> SemiSupervisedGAN:
    return SemiSupervisedGAN(genes, fields[IMAGES].shape, players, rng, classes_of(fields))


def check(genes: Genes, fields: Fields) -> None:
    """Errors: UserError if the networks cannot make images of this size, or there are no classes to tell apart."""
    plain.check(genes, _labelled(fields))
    if classes_of(fields) < 2:
        raise UserError("a classifier needs labelled images of at least 2 classes: --labels says of how many")


def impossible(fields: Fields) -> dict[str, list[Value]]:
    return plain.impossible(_labelled(fields))


def _labelled(fields: Fields) -> Fields:
    """As a plain GAN is told of them."""
    few = {LABELS: fields[FEW_LABELS]} if FEW_LABELS in fields else {}
    return {IMAGES: fields[IMAGES], **few}


def classes_of(fields: Fields) -> int:
    """0 without labels."""
    field = fields.get(FEW_LABELS)
    return 0 if field is None else field.values or 0


def networks(genes: Genes, fields: Fields) -> dict[str, Network]:
    """Critic and generator, and the classifier where it is a player."""
    (channels, size, _), classes = fields[IMAGES].shape, classes_of(fields)
    heads = {"probe": genes.get("probe", False), "clusters": genes.get("clusters", 0), "turns": genes["rotation"]}
    outputs = classes if genes["classifier"] == "logsumexp" else 1
    generator, critic = make_networks({**genes, "outputs": outputs}, size, channels, classes)
    if genes["classifier"] != "player":
        own_head = genes["classifier"] == "auxiliary"
        return {"critic": ClassifyingCritic(critic, classes, own_head=own_head, **heads), "generator": generator}
    _, network = make_networks({**genes, "condition": "none", "outputs": classes}, size, channels)
    return {"critic": critic, "generator": generator, CLASSIFIER: ClassifyingCritic(network, classes, **heads)}


class SemiSupervisedGAN(PlainGAN):
    """Built as a `PlainGAN`, of critic, generator and, where the genes say so, a classifier.

    Where the generator is asked for classes, the critic is shown pairs of an image and a class y: (labelled image, its
    y) and (image of the pool, y by the classifier c), as reals or as fakes, beside (G(z, y), y). With share a, the
    critic's losses l_r and l_f of the score D(x, y) of reals and of fakes, the generator's l_g, and classes p_c(y|x):

        pairs real   critic      (1 - a) E_few l_r + a E_pool l_r(D(x, argmax p_c)) + E_g l_f
                     classifier  CE_few
        pairs fake   critic      E_few l_r + a E_pool E_(y ~ p_c) l_f(D(x, y)) + (1 - a) E_g l_f
                     classifier  CE_few + a E_pool sum_y p_c(y|x) l_g(D(x, y)) + w CE_g

    The second is TripleGAN, arXiv:1703.02291, where `loss` is minimax. There the gradient reaches the classifier by
    p_c(y|x), as the classes themselves have none.
    """

    def __init__(
        self,
        genes: dict[str, Any],
        image: tuple[int, ...],
        networks: Mapping[str, Network],
        rng: torch.Generator,
        classes: int,
    ) -> None:
        others = {name: network for name, network in networks.items() if name == CLASSIFIER}
        super().__init__(genes, image, networks["generator"], networks["critic"], rng, classes, others)
        self._class_terms = ClassTerms(False, {})  # a head for classes is taught here
        self.plays = genes["unlabelled"] == "gan"
        self.teller = CLASSIFIER if others else "critic"  # the player that tells classes
        if others:
            self.schedule = (*self.schedule, (CLASSIFIER, 1))
            self.rows[CLASSIFIER] = self.rows["critic"]
            self.rates[CLASSIFIER] = self.rates["critic"] * genes["classifier_lr_ratio"]
        averaged = genes["classifier_average"] > 0
        decay = cast(Number, self._numbers["classifier_average"]) if averaged else 0.0
        self.judged = Judged(self.players[self.teller], decay)
        self.networks = {**self.networks, "judged": self.judged}
        self._pairs = genes.get("pseudo_pairs", "none")
        self._turns, self._clusters = bool(genes["rotation"]), genes.get("clusters", 0) > 0
        self._learns_fakes = genes.get("generated_loss", 0.0) > 0
        self._from, self._progress = genes.get("pseudo_from", 0.0), 0.0
        self.steady = self.steady and self._from == 0

    def adopt(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        super().adopt(states)
        if "judged" in states:
            self.judged.load_state_dict(states["judged"])
        else:
            self.judged.restart(self.players[self.teller])

    def classify(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] -> logits (N, K), by the network that is judged."""
        with torch.no_grad():
            logits: Tensor = self.judged(images, *self._any_labels(images))
        return logits

    def _any_labels(self, images: Tensor) -> tuple[Tensor, ...]:
        """For a critic that is given some: what it says of classes does not depend on them."""
        given = self.prompted if self.teller == "critic" else ()
        return tuple(torch.zeros(len(images), dtype=torch.long, device=images.device) for _ in given)

    # --- the randomness of a step

    def begin(self, progress: float) -> bool:
        self._progress = progress
        return super().begin(progress)

    def needs(self, player: str) -> tuple[str, ...]:
        few = (FEW_IMAGES, FEW_LABELS)
        if player == CLASSIFIER:
            return (IMAGES, *few)
        if player == "critic" or self._steps_beside:
            return (IMAGES, *few) if self.prompted or self.teller == "critic" else (IMAGES,)
        real = (FEW_IMAGES if self._pairs == "fake" else IMAGES,) if self._matches_real else ()
        return (*real, FEW_LABELS) if self.prompted else real

    def draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        if self.genes["mirror"] and FEW_IMAGES in data:
            data = {**data, FEW_IMAGES: mirrored(data[FEW_IMAGES], rng)}
        return super().draw(player, n, data, rng)

    def _draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        if player == CLASSIFIER:
            self.players[player].meet(data[IMAGES])
            draws = self._looks_of_classifier(n, rng)
        else:
            pairs = {IMAGES: data[FEW_IMAGES]} if self.prompted and FEW_IMAGES in data else {}
            labels = {LABELS: data[FEW_LABELS]} if FEW_LABELS in data else {}
            known = {**data, FEW_IMAGES: data.get(FEW_IMAGES), FEW_LABELS: data.get(FEW_LABELS), **pairs, **labels}
            draws = dict(super()._draw(player, n, {k: v for k, v in known.items() if v is not None}, rng).draws)
        critic = self.players["critic"]
        if player == self.teller or (player == "critic" and self._pairs == "real"):
            draws |= self._look(self.players[player], FEW, n, rng)
        if player != "generator" and self._pairs == "fake":
            draws |= self._look(critic, POOL, n, rng)
            draws |= self._look(self.players[CLASSIFIER], GUESS, n, rng)
            if player == "critic":
                draws["gumbel"] = (gumbel((n, self.classes), rng),)
        if self._turns and (player == self.teller or (player == "generator" and self.teller == "critic")):
            draws |= self._look(self.players[self.teller], TURNED, n, rng)
            draws["turns"] = (draw_turns(n, rng),)
        if self._from > 0:
            trusted = torch.full((n,), float(self._progress >= self._from), device=rng.device)
            draws["trusted"] = (trusted,)
        return Batch({name: data[name] for name in self.needs(player)}, draws)

    def _looks_of_classifier(self, n: int, rng: torch.Generator) -> dict[str, Draws]:
        if not self._learns_fakes:
            return {}
        generator = self.players["generator"]
        drawn = {"generator": generator.draws(n, rng), LATENT: (draw_latents(self.prior, n, rng),)}
        return {**drawn, **self._look(self.players[CLASSIFIER], FAKE, n, rng)}

    def _shown(self, player: str) -> tuple[str, ...]:
        shown = super()._shown(player)
        return shown if REAL in shown or FEW_IMAGES not in self.needs(player) else (REAL, *shown)

    # --- what the plain game is shown

    def _known(self, batch: Batch) -> Batch:
        """With reals and their labels where a plain GAN looks for them."""
        if not self.prompted:
            return batch
        data, few = batch.data, batch.data[FEW_LABELS]
        if self._pairs == "real" and IMAGES in data:
            with torch.no_grad():
                inferred = self.judged(data[IMAGES], *self._any_labels(data[IMAGES])).argmax(1)
            if self._from > 0:  # before, they are of no use as what fakes are asked for, either
                inferred = torch.where(batch.draws["trusted"][0] > 0, inferred, few)
            return Batch({**data, LABELS: inferred}, batch.draws)
        labelled = {IMAGES: data[FEW_IMAGES]} if FEW_IMAGES in data else {}
        pool = {POOL: data[IMAGES]} if IMAGES in data else {}
        return Batch({**data, **pool, **labelled, LABELS: few}, batch.draws)

    def _labels(self, batch: Batch) -> tuple[Tensor, ...]:
        return (batch.data[LABELS if LABELS in batch.data else FEW_LABELS],) if self.prompted else ()

    # --- losses

    def fitness(self, player: str, batch: Batch) -> Tensor:
        return super().fitness(player, self._known(batch))

    def _loss(self, player: str, batch: Batch, objective: Objective) -> Losses:
        if self.plays and player != CLASSIFIER:
            return super()._loss(player, self._known(batch), objective)
        if player == self.teller:
            terms = self._taught(batch) | (self._teaches_itself(batch) if self.plays else {})
            return self._pulled(player, Losses(terms))
        weight = next(self.players[player].parameters())
        return Losses({player: 0 * weight.sum()})  # of a supervised twin: nobody plays

    def _critic_loss(self, fake: Tensor, batch: Batch) -> Losses:
        losses = super()._critic_loss(fake, batch)
        if self.teller != "critic":
            return losses
        return Losses({**losses.terms, **self._taught(batch), **self._teaches_itself(batch)}, losses.watched)

    def _told_apart(self, r: Critique, f: Critique, batch: Batch) -> LossTerms:
        losses = super()._told_apart(r, f, batch)
        if not self.prompted:
            return losses
        share, targets, critic = self._share(batch), batch.draws.get("targets", HARD), self.players["critic"]
        if self._pairs == "real":
            few = self._seen(batch.data[FEW_IMAGES], FEW, batch)
            score = critic(few, batch.draws[FEW], batch.data[FEW_LABELS]).score
            known = self.objective.critic(score, score, targets)["real"]
            return {**losses, "real": share * losses["real"] + (1 - share) * known}
        with torch.no_grad():
            drawn = (self._guess(batch) + batch.draws["gumbel"][0]).argmax(1)
        score = critic(self._seen(batch.data[POOL], POOL, batch), batch.draws[POOL], drawn).score
        guessed = self.objective.critic(score, score, targets)["fake"]
        return {**losses, "fake": (1 - share) * losses["fake"] + share * guessed}

    def _wrong_score(self, batch: Batch) -> Tensor:
        return super()._wrong_score(Batch({**batch.data, IMAGES: batch.data[FEW_IMAGES]}, batch.draws))

    def _besides(self, images: Tensor, f: Critique, r: Critique | None, batch: Batch) -> dict[str, Tensor]:
        terms = super()._besides(images, f, r, batch)
        if self._turns and self.teller == "critic":
            terms["rotation"] = self._numbers["rotation_loss_generator"]() * self._turned(images, batch)
        return terms

    def _taught(self, batch: Batch) -> dict[str, Tensor]:
        """What the labelled images teach the network that classifies."""
        few = self._seen(batch.data[FEW_IMAGES], FEW, batch)
        labels = (batch.data[FEW_LABELS],) if self.prompted and self.teller == "critic" else ()
        said: Critique = self.players[self.teller](few, batch.draws[FEW], *labels)
        assert said.classes is not None
        weight = self._numbers["supervised_loss"]()
        return {"supervised": weight * class_loss(said.classes, batch.data[FEW_LABELS])}

    def _teaches_itself(self, batch: Batch) -> dict[str, Tensor]:
        """What others teach it: images of the pool, and of a third player the critic and the fakes."""
        terms: dict[str, Tensor] = {}
        pool = batch.data.get(POOL, batch.data[IMAGES])
        if self._turns:
            terms["rotation"] = self._numbers["rotation_loss"]() * self._turned(pool, batch)
        if self._clusters:
            given = self._any_labels(pool)
            said: Critique = self.players[self.teller](self._seen(pool, FEW, batch), batch.draws[FEW], *given)
            terms["clusters"] = cluster_loss(cast(ClassifyingCritic, self.players[self.teller]).clustered(said))
        if self._pairs == "fake" and self.teller == CLASSIFIER:
            chances = torch.softmax(self._guess(batch), 1)
            losses = self.objective.each(self._scores(pool, batch))
            terms["classifier"] = self._share(batch) * (chances * losses).sum(1).mean()
        if self._learns_fakes:
            with torch.no_grad():
                fake = self._generate(batch)
            made: Critique = self.players[CLASSIFIER](self._seen(fake, FAKE, batch), batch.draws[FAKE])
            assert made.classes is not None
            weight = self._numbers["generated_loss"]() * self._trusted(batch)
            terms["generated"] = weight * class_loss(made.classes, batch.data[FEW_LABELS])
        return terms

    def _turned(self, images: Tensor, batch: Batch) -> Tensor:
        """The cross-entropy of how far images are turned."""
        network, (turns,) = cast(ClassifyingCritic, self.players[self.teller]), batch.draws["turns"]
        seen = self._seen(turn(images, turns), TURNED, batch)
        said: Critique = network(seen, batch.draws[TURNED], *self._any_labels(images))
        return class_loss(network.turned(said), turns)

    def _guess(self, batch: Batch) -> Tensor:
        """The third player's logits (N, K) of images of the pool."""
        pool = self._seen(batch.data.get(POOL, batch.data[IMAGES]), GUESS, batch)
        said: Critique = self.players[CLASSIFIER](pool, batch.draws[GUESS])
        assert said.classes is not None
        return said.classes

    @torch.no_grad()
    def _scores(self, images: Tensor, batch: Batch) -> Tensor:
        """The critic's of each of the images (N, ...) with each class, (N, K)."""
        n = len(images)
        labels = torch.arange(self.classes, device=images.device)[:, None].expand(-1, n).flatten()
        seen = self._seen(images, POOL, batch).repeat(self.classes, 1, 1, 1)
        draws = tuple(x.repeat(self.classes, *[1] * (x.dim() - 1)) for x in batch.draws[POOL])
        scores: Tensor = self.players["critic"](seen, draws, labels).score
        return scores.view(self.classes, n).mT

    def _share(self, batch: Batch) -> Any:
        """Of pairs by the classifier, among reals or fakes."""
        return self._numbers["pseudo_share"]() * self._trusted(batch)

    def _trusted(self, batch: Batch) -> float | Tensor:
        """Whether it has learned for long enough, 0 or 1."""
        return batch.draws["trusted"][0].mean() if self._from > 0 else 1.0

    # --- between steps

    @torch.no_grad()
    def after_step(self, player: str, batch: Batch, losses: Losses) -> None:
        if self.plays:
            super().after_step(player, batch, losses)
        else:  # there are no scores to remember
            self._hold(player)
        if player == self.teller:
            images = batch.data[IMAGES if self.plays else FEW_IMAGES]
            self.judged.follow(
                self.players[player],
                lambda network: network(self._seen(images, FEW, batch), batch.draws[FEW], *self._any_labels(images)),
            )

    def prompts(self, n: int, data: Data, rng: torch.Generator) -> Prompt:
        few = {LABELS: data[FEW_LABELS]} if FEW_LABELS in data else {}
        return super().prompts(n, {**few, **data}, rng)

    # --- how the game goes

    def diagnose(self, seen: Rows, unseen: Rows, rng: torch.Generator) -> dict[str, float]:
        """Of pairs, where the critic is shown some: those with known classes."""

        def labelled(rows: Rows) -> Rows:
            def found(n: int, fields: tuple[str, ...]) -> Data:
                data = rows(n, fields)
                return {**data, LABELS: data[FEW_LABELS]} if self.prompted else data

            return found

        return super().diagnose(labelled(seen), labelled(unseen), rng)


def gumbel(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """-log E, E ~ Exp(1): the largest of logits plus these is drawn by their softmax."""
    return -torch.empty(shape, device=rng.device).exponential_(generator=rng).log()
