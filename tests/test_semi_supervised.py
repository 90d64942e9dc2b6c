"""Semi-supervised GANs: losses against their formulas, who learns from what, and what is judged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

import evogan
from evogan.errors import UserError
from evogan.families import FAMILIES, Field, image_fields
from evogan.families.build import build, count_parameters
from evogan.families.semi_supervised.model import SemiSupervisedGAN
from evogan.genes import GENES
from evogan.shipped import read_genome
from evogan.training import State, Trainer
from evogan.zoo.classifying import balanced, turn
from evogan.zoo.gan import Batch, Critique
from tests.draws import rng
from tests.fields import rows, streams

K, SIDE = 3, 8
FIELDS = image_fields(SIDE, 1, K)
SMALL: dict[str, Any] = {
    "family": "semi_supervised",
    "backbone": "mlp",
    "mlp_layers": 1,
    "filters": 8,
    "latent": 4,
    "init": "xavier",
    "loss": "non_saturating",
    "critic_constraint": "none",
    "critic_norm": "none",
    "dropout": 0.0,
    "batch_size": 6,
    "critic_steps": 1,
}


def gan_of(seed: int = 0, **genes: Any) -> SemiSupervisedGAN:
    gan = build(GENES.read({**SMALL, **genes}), FIELDS, seed)
    assert isinstance(gan, SemiSupervisedGAN)
    for network in gan.networks.values():
        network.double()
    return gan


def batch_of(gan: SemiSupervisedGAN, player: str, n: int = 6) -> Batch:
    images = torch.rand(n, 1, SIDE, SIDE, generator=rng(1)) * 2 - 1
    drawn = gan.draw(player, n, rows(images, torch.arange(n) % K), rng(2))
    return drawn.map(lambda x: x.double() if x.is_floating_point() else x)


def terms(gan: SemiSupervisedGAN, player: str, batch: Batch) -> Mapping[str, Tensor]:
    return gan.loss(player, batch).terms


# --- the head


def test_the_score_of_k_logits_is_that_of_k_plus_1_classes_one_of_which_is_fake() -> None:
    """-log p(real) = S(-lse) and -log p(fake) = S(lse), where the logit of fake is fixed at 0."""
    gan = gan_of()
    batch = batch_of(gan, "critic")
    fake = gan.players["generator"](*batch.draws["latent"])
    real: Critique = gan.players["critic"](batch.data["images"])
    made: Critique = gan.players["critic"](fake)
    few: Critique = gan.players["critic"](batch.data["few_images"])
    assert real.classes is not None and made.classes is not None and few.classes is not None
    chances = [torch.softmax(torch.cat([x, torch.zeros(6, 1)], 1), 1) for x in (real.classes, made.classes)]
    found = terms(gan, "critic", batch)
    torch.testing.assert_close(found["real"], -(1 - chances[0][:, K]).log().mean())
    torch.testing.assert_close(found["fake"], -chances[1][:, K].log().mean())
    torch.testing.assert_close(found["supervised"], cross_entropy(few.classes, batch.data["few_labels"]))
    lse = torch.logsumexp(made.classes, 1)
    torch.testing.assert_close(terms(gan, "generator", batch_of(gan, "generator"))["generator"], softplus(-lse).mean())


def test_a_head_of_its_own_leaves_the_score_as_it_is() -> None:
    gan = gan_of(classifier="auxiliary", supervised_loss=0.5)
    batch = batch_of(gan, "critic")
    critic = gan.players["critic"]
    said: Critique = critic(batch.data["few_images"])
    torch.testing.assert_close(said.score, critic.critic(batch.data["few_images"]).score)  # type: ignore[operator,union-attr]
    assert said.classes is not None
    expected = 0.5 * cross_entropy(said.classes, batch.data["few_labels"])
    torch.testing.assert_close(terms(gan, "critic", batch)["supervised"], expected)


def test_feature_matching_is_of_the_images_without_labels() -> None:
    gan = gan_of(feature_matching="alone")
    batch = batch_of(gan, "generator")
    critic, fake = gan.players["critic"], gan.players["generator"](*batch.draws["latent"])
    means = [critic(x).features.mean(0) for x in (batch.data["images"], fake)]
    torch.testing.assert_close(terms(gan, "generator", batch)["generator"], (means[0] - means[1]).square().sum())


def test_sgan_is_as_large_as_published() -> None:
    genome = read_genome("sgan").genome
    assert count_parameters(genome, image_fields(28, 1, 10)) == {"critic": 113_546, "generator": 1_636_737}


# --- who learns from what


PAIRS = {"condition": "labels", "critic_label": "projection"}
PLAYERS: list[dict[str, Any]] = [
    *({"classifier": value} for value in GENES["classifier"].values),
    {"classifier": "auxiliary", "rotation": True, **PAIRS},
    {"classifier": "player", "pseudo_pairs": "fake", "generated_loss": 0.1, **PAIRS},
    {"classifier": "player", "clusters": 10, "rotation": True, "pseudo_from": 0.5, **PAIRS},
]


@pytest.mark.parametrize("genes", PLAYERS, ids=str)
def test_a_players_step_moves_that_player_alone(genes: dict[str, Any]) -> None:
    genome = {**SMALL, **genes}
    gan, complete = build(GENES.read(genome), FIELDS, 0), GENES.complete(genome)
    data = streams(torch.randint(0, 256, (20, 1, SIDE, SIDE), generator=rng()).byte(), torch.arange(20) % K)
    run = Trainer(gan, complete, data, seed=0, device=torch.device("cpu"), iterations=3)
    for player in gan.players:
        before = {name: {n: p.detach().clone() for n, p in net.named_parameters()} for name, net in gan.players.items()}
        run.step(player)
        for name, network in gan.players.items():
            moved = [n for n, p in network.named_parameters() if not torch.equal(p, before[name][n])]
            assert bool(moved) == (name == player), (player, name, moved)


@pytest.mark.parametrize("genes", PLAYERS, ids=str)
def test_a_twin_learns_from_the_labelled_images_alone(genes: dict[str, Any]) -> None:
    """In as many steps, by the same network."""
    twin = FAMILIES["semi_supervised"].twin({})
    assert twin == {"unlabelled": "none"}
    ours, theirs = gan_of(**genes), gan_of(**genes, **twin)
    assert ours.schedule == theirs.schedule and ours.rows == theirs.rows and ours.rates == theirs.rates
    assert {n: x.shape for n, x in ours.judged.state_dict().items()} == {
        n: x.shape for n, x in theirs.judged.state_dict().items()
    }
    for player in theirs.players:
        batch = batch_of(theirs, player)
        other = Batch({**batch.data, "images": -batch.data.get("images", torch.ones(()))}, batch.draws)
        losses = [theirs.loss(player, shown) for shown in (batch, other)]
        assert losses[0].total() == losses[1].total()
        weights = list(theirs.players[player].parameters())
        gradients = torch.autograd.grad(losses[0].total(), weights, materialize_grads=True)
        assert any(bool(g.any()) for g in gradients) == (player == theirs.teller)
        if player == theirs.teller:
            assert set(losses[0].terms) == {"supervised"}
            torch.testing.assert_close(losses[0].terms["supervised"], terms(ours, player, batch)["supervised"])


# --- what is judged


@pytest.mark.parametrize("genes", [{}, {"classifier": "player"}, {"classifier_average": 0.9}], ids=str)
def test_an_image_is_classified_by_itself_and_as_often_as_one_likes(genes: dict[str, Any]) -> None:
    genome = GENES.read({**SMALL, "critic_norm": "batch", "dropout": 0.5, **genes})
    gan = build(genome, FIELDS, 0)
    assert isinstance(gan, SemiSupervisedGAN)
    data = streams(torch.randint(0, 256, (20, 1, SIDE, SIDE), generator=rng()).byte(), torch.arange(20) % K)
    run = Trainer(gan, GENES.complete(genome), data, seed=0, device=torch.device("cpu"), iterations=3)
    run.run_to(3)
    images = torch.rand(5, 1, SIDE, SIDE, generator=rng(1)) * 2 - 1
    said = gan.classify(images)
    assert said.shape == (5, K) and not said.requires_grad
    torch.testing.assert_close(gan.classify(images[:2]), said[:2])
    assert torch.equal(gan.classify(images), said)
    again = build(genome, FIELDS, 1)
    assert isinstance(again, SemiSupervisedGAN)
    other = Trainer(again, GENES.complete(genome), data, seed=0, device=torch.device("cpu"), iterations=3)
    other.restore(State.unpack(run.state().pack()))
    assert torch.equal(again.classify(images), said)


def test_the_judged_network_is_the_average_and_its_batch_norms_know_many_batches() -> None:
    gan = gan_of(classifier_average=0.5, critic_norm="batch")
    weight = gan.players["critic"].head.weight  # type: ignore[union-attr]
    (norm,) = gan.judged.norms
    expected, mean, shown = weight.detach().clone(), torch.zeros(8).double(), torch.zeros(8).double()
    for t in range(3):
        batch = batch_of(gan, "critic")
        batch.data["images"].mul_(t + 1)  # type: ignore[union-attr]
        with torch.no_grad():
            weight.add_(1.0)
            expected += (1 - min(0.5, (1 + t) / (10 + t))) * (weight - expected)
        gan.after_step("critic", batch, gan.loss("critic", batch))
        layer = gan.judged.network.critic.hidden.blocks[0][0]  # type: ignore[union-attr,index]
        shown = layer(batch.data["images"].flatten(1)).mean(0).detach()  # type: ignore[operator]
        mean += (1 - min(0.99, (1 + t) / (10 + t))) * (shown - mean)
    torch.testing.assert_close(gan.judged.network.head.weight, expected)  # type: ignore[union-attr]
    torch.testing.assert_close(norm.running_mean, mean)


# --- pairs of image and class


def test_triple_gan_is_its_three_formulas() -> None:
    """L_D = E_p S(-D) + a E_c S(D) + (1 - a) E_g S(D); L_C = CE + a E sum_y p_c log(1 - D) + a_P CE of fakes."""
    share, weight = 0.3, 0.2
    gan = gan_of(
        classifier="player", loss="minimax", pseudo_pairs="fake", pseudo_share=share, generated_loss=weight, **PAIRS
    )
    critic, generator, classifier = (gan.players[name] for name in ("critic", "generator", "classifier"))
    batch = batch_of(gan, "critic")
    x, few, y, pool = (*batch.draws["latent"], *(batch.data[n] for n in ("few_images", "few_labels", "images")))
    drawn = (classifier(pool).classes + batch.draws["gumbel"][0]).argmax(1)
    found = terms(gan, "critic", batch)
    torch.testing.assert_close(found["real"], softplus(-critic(few, (), y).score).mean())
    of_fakes = softplus(critic(generator(x, (), y), (), y).score).mean()
    of_pairs = softplus(critic(pool, (), drawn).score).mean()
    torch.testing.assert_close(found["fake"], share * of_pairs + (1 - share) * of_fakes)

    batch = batch_of(gan, "classifier")
    x, few, y, pool = (*batch.draws["latent"], *(batch.data[n] for n in ("few_images", "few_labels", "images")))
    chances = torch.softmax(classifier(pool).classes, 1)
    log_fake = torch.stack([-softplus(critic(pool, (), torch.full((6,), k)).score) for k in range(K)], 1)
    found = terms(gan, "classifier", batch)
    torch.testing.assert_close(found["classifier"], share * (chances * log_fake).sum(1).mean())
    torch.testing.assert_close(found["supervised"], cross_entropy(classifier(few).classes, y))
    generated = cross_entropy(classifier(generator(x, (), y)).classes, y)
    torch.testing.assert_close(found["generated"], weight * generated)


class Table(torch.nn.Module):
    """Of images that are one of four patterns: a number for each, or for each and each class."""

    def __init__(self, of_pairs: bool) -> None:
        super().__init__()
        self.rows, self.of_pairs = torch.nn.Parameter(torch.zeros(4, K).double()), of_pairs

    def forward(self, images: Tensor, draws: Any, *labels: Tensor) -> Critique:
        found = images.flatten(1)[:, :4] @ self.rows
        score = found.gather(1, labels[0][:, None]).squeeze(1) if self.of_pairs else found[:, 0]
        return Critique(score, found, None if self.of_pairs else found)

    def present(self, images: Tensor) -> Tensor:
        return images


def test_triple_gan_has_its_equilibrium_where_the_classifier_is_that_of_the_data() -> None:
    """With a generator that is right: p = a p_c + (1 - a) p_g then leaves p_c = p(y|x) alone, and D = 1/2."""
    gan = gan_of(classifier="player", pseudo_pairs="fake", supervised_loss=0.01, **PAIRS)
    joint = torch.tensor([[8, 1, 1], [1, 6, 3], [2, 2, 6], [5, 5, 1]]).double()
    cells = torch.cat([torch.tensor([[x, y]] * int(joint[x, y])) for x in range(4) for y in range(K)])  # p, exactly
    images = torch.zeros(len(cells), SIDE * SIDE).double().scatter_(1, cells[:, :1], 1.0).view(-1, 1, SIDE, SIDE)
    labels, n = cells[:, 1], len(cells)
    critic, classifier = Table(True), Table(False)
    gan.players = {"critic": critic, "classifier": classifier, "generator": gan.players["generator"]}  # type: ignore[dict-item]
    classifier.rows.data[:, 0] = 2.0  # which is wrong
    gan._generate = lambda batch: images  # type: ignore[method-assign,assignment]
    steps = {"critic": torch.optim.Adam([critic.rows], 0.05), "classifier": torch.optim.Adam([classifier.rows], 0.02)}
    mean = torch.zeros(4, K).double()
    for i in range(400):
        for player, optimizer in steps.items():
            draws: dict[str, Any] = dict.fromkeys(("real", "fake", "pool", "guess", "few"), ())
            noise = -torch.empty(n, K).double().exponential_(generator=rng(i)).log()
            data = {"images": images, "few_images": images, "few_labels": labels}
            batch = gan._known(Batch(data, {**draws, "gumbel": (noise,)})) if player == "critic" else Batch(data, draws)
            losses = gan._critic_loss(images, batch) if player == "critic" else gan._loss(player, batch, gan.objective)
            (table,) = optimizer.param_groups[0]["params"]
            (table.grad,) = torch.autograd.grad(losses.total(), table)
            optimizer.step()
        if i >= 200:
            mean += torch.softmax(classifier.rows.detach(), 1) / 200
    torch.testing.assert_close(mean, joint / joint.sum(1, keepdim=True), rtol=0, atol=0.08)
    assert critic.rows.detach().abs().max() < 1.0


def test_pairs_that_count_as_real_have_the_class_of_the_network_that_is_judged() -> None:
    gan = gan_of(classifier="auxiliary", loss="hinge", pseudo_share=0.3, **PAIRS)
    batch, critic = batch_of(gan, "critic"), gan.players["critic"]
    pool, few, y = (batch.data[name] for name in ("images", "few_images", "few_labels"))
    guessed = gan.classify(pool).argmax(1)
    of_pool, of_few = (torch.relu(1 - critic(x, (), k).score).mean() for x, k in ((pool, guessed), (few, y)))
    torch.testing.assert_close(terms(gan, "critic", batch)["real"], 0.3 * of_pool + 0.7 * of_few)


@pytest.mark.parametrize(("progress", "trusted"), [(0.3, False), (0.5, True)])
def test_classes_by_the_classifier_count_from_a_share_of_the_budget_on(progress: float, trusted: bool) -> None:
    gan = gan_of(classifier="player", loss="hinge", pseudo_share=1.0, pseudo_from=0.5, generated_loss=1.0, **PAIRS)
    gan.begin(progress)
    batch, critic = batch_of(gan, "critic"), gan.players["critic"]
    few = torch.relu(1 - critic(batch.data["few_images"], (), batch.data["few_labels"]).score).mean()
    assert bool((terms(gan, "critic", batch)["real"] == few).all()) != trusted
    assert bool(terms(gan, "classifier", batch_of(gan, "classifier"))["generated"] > 0) == trusted


def test_turns_are_told_of_reals_by_the_critic_and_of_fakes_for_the_generator() -> None:
    gan = gan_of(rotation=True, rotation_loss=0.5, rotation_loss_generator=0.1)
    critic = gan.players["critic"]
    for player, weight in (("critic", 0.5), ("generator", 0.1)):
        batch = batch_of(gan, player)
        images = batch.data["images"] if player == "critic" else gan.players["generator"](*batch.draws["latent"])
        (turns,) = batch.draws["turns"]
        logits = critic.turned(critic(turn(images, turns)))  # type: ignore[operator]
        torch.testing.assert_close(terms(gan, player, batch)["rotation"], weight * cross_entropy(logits, turns))


def test_clusters_share_a_batch_evenly_and_have_the_classes_of_the_labelled() -> None:
    logits = torch.randn(60, 5, generator=rng()).double() / 10 + torch.tensor([1.0, 0, 0, 0, 0])
    shares = balanced(logits)
    torch.testing.assert_close(shares.sum(1), torch.ones(60).double())
    torch.testing.assert_close(shares.sum(0), torch.full((5,), 12.0).double(), rtol=0.05, atol=0)
    gan = gan_of(classifier="player", clusters=10)
    classifier, batch = gan.players["classifier"], batch_of(gan, "classifier")
    classifier.votes.rows.data.normal_(generator=rng())  # type: ignore[union-attr,operator]
    said = classifier(batch.data["images"])
    inside = torch.softmax(classifier.clustered(said), 1)  # type: ignore[operator]
    votes = torch.softmax(10 * classifier.votes.rows, 1)  # type: ignore[union-attr,operator]
    torch.testing.assert_close(said.classes.exp(), inside @ votes)


def test_one_that_is_asked_for_classes_is_trained_scored_kept_and_asked(tmp_path: Path) -> None:
    genome = {**SMALL, "classifier": "player", "pseudo_pairs": "fake", **PAIRS}
    evaluation, folder = evogan.train(genome, "digits", labels=50, kimg=0.3, samples=100, runs=tmp_path)
    assert evaluation.status == "completed"
    assert {"error", "nearest_error", "label_effect", "critic_accuracy"} <= set(evaluation.scores[-1])
    assert evogan.load(folder / "generator.safetensors").sample(2, label=3).shape == (2, 1, 8, 8)


def test_a_probe_leaves_the_features_alone() -> None:
    gan = gan_of(classifier="player", probe=True, rotation=True)
    found, classifier = terms(gan, "classifier", batch_of(gan, "classifier")), gan.players["classifier"]
    named = dict(classifier.named_parameters())
    moved = torch.autograd.grad(found["supervised"], list(named.values()), materialize_grads=True)
    assert {name for name, g in zip(named, moved, strict=True) if g.any()} == {"critic.head.weight", "critic.head.bias"}


# --- what does not go


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        ({"loss": "began", "critic_constraint": "none"}, "an autoencoder as critic"),
        ({"minibatch": "std"}, "the class of an image would depend on the other images"),
        ({"condition": "labels"}, "the logits of the classes are the score"),
        ({"condition": "labels", "classifier": "auxiliary"}, "the head would be shown the class"),
        ({**PAIRS, "classifier": "auxiliary", "pseudo_pairs": "fake"}, "its own opponent"),
        ({**PAIRS, "classifier": "player", "relativistic": "average"}, "no real has a fake of its own"),
    ],
)
def test_genes_that_tell_no_classes_are_refused(genes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        GENES.read({"family": "semi_supervised", "loss": "hinge", **genes})


@pytest.mark.parametrize(
    "fields", [image_fields(8, 1), image_fields(8, 1, 1), {**image_fields(8, 1), "labels": Field((), 3)}]
)
def test_without_a_few_labels_there_is_no_classifier(fields: Mapping[str, Field]) -> None:
    with pytest.raises(UserError, match="labelled images of at least 2 classes"):
        build(GENES.read(SMALL), fields, 0)


def test_images_are_turned_each_by_its_own() -> None:
    images = torch.rand(5, 2, 4, 4, generator=rng())
    quarters = torch.tensor([0, 1, 2, 3, 1])
    for image, k, found in zip(images, quarters.tolist(), turn(images, quarters), strict=True):
        assert torch.equal(found, image.rot90(k, (1, 2)))
