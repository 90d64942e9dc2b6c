"""Domains without pairs: what they are made of, losses against their formulas, judges, and both ways."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.nn.functional import cross_entropy, l1_loss

import evogan
from evogan import Gene, Space, UserError, cli, load_space
from evogan.data import Dataset, DataSpec, load_dataset
from evogan.data.recipes import read_recipe
from evogan.evaluation.architecture import architecture
from evogan.evaluation.domains import back_fid, baselines, judged
from evogan.evaluation.flags import flags_of
from evogan.families import Field, Fields
from evogan.families.build import build, check, count_parameters, impossible
from evogan.families.domains.model import DomainsGAN
from evogan.fitness import Scorer
from evogan.fitness.frechet import Moments, frechet_distance
from evogan.fitness.load import load_features
from evogan.fitness.scorer import batches, extract
from evogan.genes import GENES
from evogan.report.translated import translated
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.shipped import read_genome
from evogan.training import State, Trainer
from evogan.trial import Evaluation
from evogan.zoo.gan import Adapts, Batch, Crosses
from evogan.zoo.history import HistoryPool
from tests.draws import rng

FIELDS = {name: Field((3, 8, 8)) for name in ("sources", "images")}
TOLD = {**FIELDS, "source_labels": Field((), 3)}
THREE = {name: Field((3, 8, 8)) for name in ("sources", "domain_1", "images")}
SMALL: dict[str, Any] = {
    "family": "domains",
    "filters": 4,
    "patch_filters": 4,
    "patch_layers": 1,
    "patch_norm": "instance",
    "translator_norm": "instance",
    "critic_constraint": "none",
    "loss": "least_squares",
    "history_pool": 0,
    "batch_size": 4,
}


def made(fields: Fields = FIELDS, **genes: Any) -> DomainsGAN:
    gan = build({**SMALL, **genes}, fields, seed=1)
    assert isinstance(gan, DomainsGAN) and isinstance(gan, Crosses)
    for network in gan.networks.values():
        network.double()
    return gan


def batch_of(gan: DomainsGAN, player: str, fields: Fields = FIELDS) -> Batch:
    draw = rng(2)
    data = {name: 2 * torch.rand(4, *field.shape, generator=draw) - 1 for name, field in fields.items()}
    if "source_labels" in data:
        data["source_labels"] = torch.tensor([2, 0, 1, 1])
    return gan.draw(player, 4, data, rng(3)).map(lambda x: x.double())


def value(gan: DomainsGAN, player: str, batch: Batch) -> float:
    return float(gan.loss(player, batch).total().detach())


# --- data


def rows_of(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


@pytest.mark.parametrize("recipes", ["negative", "edges:3", "rotate,negative"])
def test_recipes_make_domains_of_other_images_whose_truth_is_held_out(recipes: str) -> None:
    plain, data = load_dataset(DataSpec("digits")), load_dataset(DataSpec("digits", domains=recipes))
    fields = list(data.train)
    made = [lambda x: x, *(read_recipe(text).of for text in recipes.split(","))]
    whole = [rows_of(make(plain.images)) for make in made]
    there = [data.train[name][name] for name in fields]
    assert sum(map(len, there)) == len(plain.images) and max(map(len, there)) - min(map(len, there)) <= 1
    assert all(rows_of(images) <= known for images, known in zip(there, whole, strict=True))
    # the counterparts of the first domain's images are in no other
    for make, images in zip(made[1:], there[1:], strict=True):
        assert len(rows_of(make(there[0])) & rows_of(images)) <= len(plain.images) - len(rows_of(make(plain.images)))
    for make, name in zip(made, fields, strict=True):
        assert np.array_equal(data.unseen[name][name], make(plain.held_out))
    assert data.truth and data.kinds == {"domains", "labels"} and len(data.domains) == len(fields)
    assert data.fingerprint not in (plain.fingerprint, load_dataset(DataSpec("digits", pairs="negative")).fingerprint)
    labels = {image.tobytes(): label for image, label in zip(plain.images, plain.labels, strict=True)}  # type: ignore[arg-type]
    source = data.train["sources"]
    assert all(labels[x.tobytes()] == y for x, y in zip(source["sources"], source["source_labels"], strict=True))


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def folder(path: Path, **counts: int) -> Path:
    draw = np.random.default_rng(0)
    for part, count in counts.items():
        for i in range(count):
            save(path / part / f"{i}.png", draw.integers(0, 256, (8, 8), dtype=np.uint8))
    return path


def test_a_users_own_domains(tmp_path: Path) -> None:
    layout = folder(tmp_path / "layout", trainA=5, trainB=7, testA=2, testB=3)
    data = load_dataset(DataSpec(str(layout), domains="classes"))
    counts = [(len(data.train[name][name]), len(data.unseen[name][name])) for name in ("sources", "images")]
    assert counts == [(5, 2), (7, 3)] and data.domains == ("A", "B") and not data.truth and data.labels is None
    many = folder(tmp_path / "many", apple=30, orange=30, pear=30)
    data = load_dataset(DataSpec(str(many), domains="classes"))
    assert list(data.train) == ["sources", "domain_1", "images"] and data.domains == ("apple", "orange", "pear")
    rng = np.random.default_rng(0)
    for other, shape in (("grey", (8, 8)), ("colour", (16, 16, 3))):
        for i in range(20):  # of one name, in folders of another
            save(tmp_path / other / "train" / f"{i}.png", rng.integers(0, 256, shape, dtype=np.uint8))
    with pytest.raises(UserError, match="domains must be of one form, not 'train' 8x8 grey, 'train' 16x16 colour"):
        load_dataset(DataSpec(str(tmp_path / "grey" / "train"), domains=str(tmp_path / "colour" / "train")))
    two = load_dataset(DataSpec("digits", domains="digits"))
    assert np.array_equal(two.train["sources"]["sources"], two.images) and "source_labels" in two.train["sources"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_of_attributes_says_which_domain_an_image_is_of(kind: str, tmp_path: Path) -> None:
    images, path = folder(tmp_path / "images", train=20, test=20), tmp_path / f"table.{kind}"
    names = [f"{part}/{i}.png" for part in ("train", "test") for i in range(20)]
    table = pd.DataFrame({"file": names, "hair": ["red", "black"] * 20, "hat": [i % 20 < 9 for i in range(40)]})

    def write(rows: pd.DataFrame) -> None:
        rows.to_csv(path, index=False) if kind == "csv" else rows.to_parquet(path)

    def load(columns: str = "") -> Dataset:
        return load_dataset(DataSpec(str(images), domains=f"attributes:{path}{columns}"))

    write(table)
    assert load().domains == ("hair=black hat=False", "hair=black hat=True", "hair=red hat=False", "hair=red hat=True")
    red = load(":hair").train["images"]["images"]
    wanted = {np.asarray(Image.open(images / name))[None].tobytes() for name in names[::2]}
    assert load(":hair").domains == ("hair=black", "hair=red") and rows_of(red) < wanted and len(red) == 10
    with pytest.raises(UserError, match="unknown column of .*'beard'.*allowed: hair, hat"):
        load(":beard")
    write(table.assign(file=["train/99.png", *names[1:]]))
    with pytest.raises(UserError, match="1 of 40 lines name no image that is there: 'train/99.png'"):
        load()
    write(table[1:])
    with pytest.raises(UserError, match="1 of 40 images have no line: 'train/0.png'"):
        load()
    write(table.rename(columns={"file": "what"}))
    with pytest.raises(UserError, match="no column is called 'file'"):
        load()
    path.write_text("nothing")
    with pytest.raises(UserError, match="damaged|a header and a line"):
        load()
    path.unlink()
    with pytest.raises(UserError, match="no such file"):
        load()
    with pytest.raises(UserError, match="data set 'digits' is no folder whose files it could name"):
        load_dataset(DataSpec("digits", domains=f"attributes:{path}"))


def test_what_makes_no_domains_is_said_in_a_line(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", trainA=5, testA=2)
    small = folder(tmp_path / "small", cat=40, dog=40, emu=2)
    colour = tmp_path / "colour"
    for i in range(9):
        save(colour / f"{i}.png", np.random.default_rng(i).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    wrong = {
        "negatve": "unknown domains 'negatve'",
        "grey": "recipe 'grey': these images are grey",
        "edges:40": "a block is odd",
        "low:2": "'digits' 8x8 grey, 'low:2' 4x4 grey: --image-size",
        "negative,negative": "each recipe once",
        "rotate:2": "recipe 'rotate' has no number",
        str(colour): "domains must be of one form, not 'digits' 8x8 grey, 'colour' 9x9 colour",
    }
    for domains, said in wrong.items():
        with pytest.raises(UserError, match=said):
            load_dataset(DataSpec("digits", domains=domains))
    with pytest.raises(UserError, match="domains are 2 to 20, here there is one, 'A'"):
        load_dataset(DataSpec(str(one), domains="classes"))
    with pytest.raises(UserError, match="domain 'emu' has"):
        load_dataset(DataSpec(str(small), domains="classes"))
    with pytest.raises(UserError, match="domains 'classes': data set 'colour' has no classes"):
        load_dataset(DataSpec(str(colour), domains="classes"))
    with pytest.raises(UserError, match="or say --domains classes"):
        load_dataset(DataSpec(str(one)))
    with pytest.raises(UserError, match="pairs and domains are both given"):
        GANSettings(data="digits", pairs="edges", domains="negative")
    with pytest.raises(UserError, match="labels and domains are both given"):
        GANSettings(data="digits", labels=50, domains="negative")


def test_families_and_judges_of_domains_are_refused_without(tmp_path: Path) -> None:
    def search(space: str, **asked: Any) -> None:
        evogan.search(space, "digits", evaluations=1, runs=tmp_path, samples=60, **asked)

    with pytest.raises(UserError, match="say which with --domains"):
        search("domains", pairs="edges")
    with pytest.raises(
        UserError, match="'cycle_error' judges GANs that translate between domains: those of space 'wdc"
    ):
        search("wdcgan", fitness="cycle_error")
    with pytest.raises(UserError, match="'task_error' judges what learns from translations: space 'domains' must fix"):
        search("domains", domains="negative", fitness="task_error")
    with pytest.raises(UserError, match="'truth_distance' needs the true images of translations"):
        search("domains", domains="digits", fitness="truth_distance")


# --- losses


@pytest.mark.parametrize("way", [{}, {"translator": "resnet", "translator_blocks": 1, "patch_norm": "batch"}])
def test_losses_are_those_of_the_formula(way: dict[str, Any]) -> None:
    """CycleGAN's, arXiv:1703.10593, with its two critics and two translators; our least squares have a half."""
    gan = made(adversarial=0.7, cycle_loss=3.0, identity_loss=0.5, translator_dropout=0.0, **way)
    (to_a, to_b), (of_a, of_b) = gan.players["generator"].into, gan.players["critic"].own  # type: ignore[union-attr,misc]
    batch = batch_of(gan, "generator")
    a, b = batch.data["sources"], batch.data["images"]

    def network(into: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        return into(x.new_empty(len(x), 0), (), x)  # type: ignore[no-any-return]

    fake_b, fake_a = network(to_b, a), network(to_a, b)
    cheat = 0.5 * ((of_b(fake_b).score - 1).square().mean() + (of_a(fake_a).score - 1).square().mean())
    cycle = l1_loss(network(to_a, fake_b), a) + l1_loss(network(to_b, fake_a), b)
    own = l1_loss(network(to_b, b), b) + l1_loss(network(to_a, a), a)
    expected = 0.7 * cheat + 3 * cycle + 0.5 * own
    assert value(gan, "generator", batch) == pytest.approx(float(expected.detach()), rel=1e-9)
    expected = torch.zeros(())
    for critic, real, fake in ((of_b, b, fake_b), (of_a, a, fake_a)):
        expected = expected + 0.5 * (critic(real).score - 1).square().mean() + 0.5 * critic(fake).score.square().mean()
    assert value(gan, "critic", batch_of(gan, "critic")) == pytest.approx(float(expected.detach()), rel=1e-9)


@pytest.mark.parametrize("game", ["reversal", "other"])
@pytest.mark.parametrize("shared", [0, 1])
def test_losses_of_codes_are_those_of_the_formula(game: str, shared: int) -> None:
    """XGAN's and Lample's, of three domains: an image's code is the other half's input."""
    weights = {"cycle_loss": 3.0, "identity_loss": 0.5, "code_cycle": 0.3, "code_adversary": 0.2}
    coded = {"translator": "resnet", "translator_blocks": 3, "shared_blocks": shared, "code_game": game, **weights}
    gan = made(THREE, translators="autoencoders", translator_dropout=0.0, adversarial=0.7, **coded)
    network, critics = gan.players["generator"], gan.players["critic"]
    batch = batch_of(gan, "generator", fields=THREE)
    x = [batch.data[name] for name in THREE]
    code = [network.encode(image, (), i) for i, image in enumerate(x)]  # type: ignore[operator]
    assert code[0].shape == (4, 16, 2, 2)
    expected, told = torch.zeros(()), torch.zeros(())
    for s in range(3):
        logits = critics.codes(code[s])  # type: ignore[operator]
        chance = logits.softmax(1)[:, s]
        told = told - chance.log().mean()
        expected = expected + 0.2 * (chance.log() if game == "reversal" else -(1 - chance).log()).mean()
        expected = expected + 0.5 * l1_loss(network.decode(code[s], (), s), x[s])  # type: ignore[operator]
        for t in {0, 1, 2} - {s}:
            image = network.decode(code[s], (), t)  # type: ignore[operator]
            again = network.encode(image, (), t)  # type: ignore[operator]
            one = 0.7 * 0.5 * (critics(image, (), t).score - 1).square().mean()
            one = one + 3 * l1_loss(network.decode(again, (), s), x[s]) + 0.3 * l1_loss(again, code[s])  # type: ignore[operator]
            expected = expected + one / 2
    assert value(gan, "generator", batch) == pytest.approx(float(expected.detach()), rel=1e-9)
    losses = gan.loss("critic", batch_of(gan, "critic", fields=THREE)).terms
    assert float(losses["codes"].detach()) == pytest.approx(float(told.detach()), rel=1e-9)
    own = {id(p) for part in network.own for p in part.parameters()}  # type: ignore[union-attr]
    assert sum(p.numel() for p in network.shared.parameters()) == shared * 2 * (2 * (16 * 16 * 9 + 16 + 2 * 16))  # type: ignore[union-attr]
    assert own.isdisjoint(id(p) for p in network.shared.parameters())  # type: ignore[union-attr]


def test_losses_of_one_translator_are_those_of_the_formula() -> None:
    """StarGAN's: Wasserstein's, of one critic, which tells domains apart, too."""
    star = {"translator": "resnet", "translator_blocks": 1, "loss": "wasserstein", "class_loss": 0.4, "cycle_loss": 3.0}
    gan = made(THREE, translators="one", translator_dropout=0.0, **star)
    network, critic = gan.players["generator"], gan.players["critic"]
    assert len(critic.own) == 1  # type: ignore[arg-type]
    for player in ("critic", "generator"):
        batch = batch_of(gan, player, fields=THREE)
        x = [batch.data[name] for name in THREE]
        expected = torch.zeros(())
        for s, t in [(s, t) for s in range(3) for t in range(3) if s != t]:
            image = network(x[s], (), s, t)
            real, fake = critic(x[t], (), t), critic(image, (), t)
            of = real if player == "critic" else fake
            one = 0.4 * cross_entropy(of.classes, torch.full((4,), t)) - of.score.mean()
            more = fake.score.mean() if player == "critic" else 3 * l1_loss(network(image, (), t, s), x[s])
            expected = expected + (one + more) / 2
        assert value(gan, player, batch) == pytest.approx(float(expected.detach()), rel=1e-9)
    to_one, to_other = (network(x[0], (), 0, t) for t in (1, 2))
    assert (to_one - to_other).abs().mean() > 1e-3  # instance norm does not take the target away


def test_losses_of_latents_are_those_of_the_formula() -> None:
    """Augmented CycleGAN's: the way back has the latent that was inferred on the way there."""
    weights = {"cycle_loss": 3.0, "latent_loss": 0.5, "latent_adversary": 0.3, "adversarial": 0.0}
    gan = made(latent_planes=2, translator_dropout=0.0, **weights)
    network, critics = gan.players["generator"], gan.players["critic"]
    for player in ("critic", "generator"):
        batch = batch_of(gan, player)
        x = batch.data["sources"], batch.data["images"]
        expected = torch.zeros(())
        for s, t in ((0, 1), (1, 0)):
            (z,) = batch.draws[f"made {s} {t}"]
            image = network.into[t](z, (), x[s])  # type: ignore[index,union-attr]
            inferred = network.infer(x[s], image, s)  # type: ignore[operator]
            assert inferred.shape == (4, 2) and not torch.equal(image, network(x[s], (), s, t))
            told = critics.latents[s]  # type: ignore[index,union-attr]
            if player == "critic":
                (own,) = batch.draws[f"own {s}"]
                expected = expected + 0.5 * ((told(own) - 1).square().mean() + told(inferred).square().mean())
                expected = expected + 0.5 * (critics(x[t], (), t).score - 1).square().mean()
                expected = expected + 0.5 * critics(image, (), t).score.square().mean()
                continue
            expected = expected + 0.3 * 0.5 * (told(inferred) - 1).square().mean()
            again = network.into[s](inferred, (), image)  # type: ignore[index,union-attr]
            expected = expected + 3 * l1_loss(again, x[s]) + 0.5 * l1_loss(network.infer(image, x[s], t), z)  # type: ignore[operator]
        assert value(gan, player, batch) == pytest.approx(float(expected.detach()), rel=1e-9)


def test_losses_of_classes_are_those_of_the_formula() -> None:
    """DTN's and CyCADA's: f learns from images, g from their translations, and the translators keep what these say."""
    keeps = {"feature_consistency": 0.3, "semantic_loss": 0.4, "task_loss": 0.5, "total_variation": 0.6}
    gan = made(TOLD, task="both", cycle_loss=0.0, translator_dropout=0.0, adversarial=0.0, task_filters=4, **keeps)
    task, network = gan.players["task"], gan.players["generator"]
    batch = batch_of(gan, "task", fields=TOLD)
    x, y = batch.data["sources"], batch.data["source_labels"].long()
    expected = cross_entropy(task(x, 0), y) + cross_entropy(task(network(x, (), 0, 1), 1), y)
    assert value(gan, "task", batch) == pytest.approx(float(expected.detach()), rel=1e-9)
    assert isinstance(gan, Adapts)
    assert torch.equal(gan.unadapted(x), task(x, 0).float()) and torch.equal(gan.adapted(x), task(x, 1).float())
    weights = list(network.parameters())
    assert not any(
        g.any() for g in torch.autograd.grad(gan.loss("task", batch).total(), weights, materialize_grads=True)
    )
    batch = batch_of(gan, "generator", fields=TOLD)
    expected, y = torch.zeros(()), batch.data["source_labels"].long()
    for way, x in (((0, 1), batch.data["sources"]), ((1, 0), batch.data["images"])):
        image = network(x, (), *way)
        expected = expected + 0.3 * (task.features(image, 0) - task.features(x, 0)).square().mean()  # type: ignore[operator]
        expected = expected + 0.4 * cross_entropy(task(image, 0), task(x, 0).argmax(1))
        expected = expected + (0.5 * cross_entropy(task(image, 1), y) if way == (0, 1) else 0)
        right, down = image[..., :-1, 1:] - image[..., :-1, :-1], image[..., 1:, :-1] - image[..., :-1, :-1]
        expected = expected + 0.6 * (right**2 + down**2).sqrt().mean()
    assert value(gan, "generator", batch) == pytest.approx(float(expected.detach()), rel=1e-6)
    with pytest.raises(UserError, match="task = both learns the classes of the first domain: these are not known"):
        check({**SMALL, "task": "both"}, FIELDS)


def test_the_adversary_of_features_is_cycadas() -> None:
    """As released, arXiv:1711.03213: it tells logits of translations from those of the last domain's images, and the
    second classifier alone is to be taken in, by the latter; images of the pool are not among them."""
    adapting = {"task": "both", "task_filters": 4, "feature_adversary": 0.3, "history_pool": 2}
    gan, without = made(TOLD, **adapting), made(TOLD, **{**adapting, "feature_adversary": 0.0})
    task, network, critics = gan.players["task"], gan.players["generator"], gan.players["critic"]
    for player in ("critic", "generator", "task"):
        without.players[player].load_state_dict(gan.players[player].state_dict(), strict=False)
    dense = [layer for layer in critics.logits if isinstance(layer, torch.nn.Linear)]  # type: ignore[union-attr]
    assert [(layer.in_features, layer.out_features) for layer in dense] == [(3, 500), (500, 500), (500, 1)]

    def chance(image: torch.Tensor) -> torch.Tensor:
        said = dense[2](dense[1](dense[0](task(image, 1)).relu()).relu())
        return said.sigmoid()  # type: ignore[no-any-return]

    for _ in range(2):  # at the second step the pool gives older ones
        batch = batch_of(gan, "critic", fields=TOLD)
        found, other = gan.loss("critic", batch), without.loss("critic", batch)
        x, y = batch.data["sources"], batch.data["images"]
        expected = -chance(network(x, batch.draws["made 0 1"], 0, 1)).log().mean() - (1 - chance(y)).log().mean()
        assert float(found.terms["logits"].detach()) == pytest.approx(float(expected.detach()), rel=1e-9)
        assert float((found.total() - other.total() - expected).detach()) == pytest.approx(0, abs=1e-12)
        weights = [w for name in ("generator", "task") for w in gan.players[name].parameters()]
        gradients = torch.autograd.grad(found.total(), weights, materialize_grads=True)
        assert not any(g.any() for g in gradients)
    batch = batch_of(gan, "task", fields=TOLD)
    found, other = gan.loss("task", batch), without.loss("task", batch)
    expected = -0.3 * chance(batch.data["images"]).log().mean()
    assert float((found.total() - other.total() - expected).detach()) == pytest.approx(0, abs=1e-12)
    first, second = (list(part.parameters()) for part in (task.before[0], task.before[1]))  # type: ignore[index]
    for weights, learns in ((first, False), (second, True), (list(network.parameters()), False)):
        paid = torch.autograd.grad(found.terms["feature_adversary"], weights, materialize_grads=True, retain_graph=True)
        assert all(g.any() for g in paid) if learns else not any(g.any() for g in paid)
    batch = batch_of(gan, "generator", fields=TOLD)
    assert gan.loss("generator", batch).terms.keys() == without.loss("generator", batch).terms.keys()


@pytest.mark.parametrize("domains", [FIELDS, THREE])
@pytest.mark.parametrize("pool", [0, 5])
def test_losses_of_a_critic_of_three_classes_are_dtns(domains: Fields, pool: int) -> None:
    """arXiv:1611.02200, (3) and (4): cross-entropies of translations, of images of the own domain, and of real ones."""
    ternary = {"critic_classes": 3, "loss": "non_saturating", "adversarial": 0.7, "identity_loss": 0.5}
    coded = {"translators": "autoencoders", "translator": "resnet", "translator_blocks": 2} if domains is THREE else {}
    gan = made(domains, cycle_loss=0.0, translator_dropout=0.0, history_pool=pool, **ternary, **coded)
    network, critics = gan.players["generator"], gan.players["critic"]
    assert len(gan.networks["pools"]) == (len(domains) ** 2 if pool else 0)  # type: ignore[arg-type]

    def entropy(image: torch.Tensor, domain: int, is_a: int) -> torch.Tensor:
        logits = critics.own[domain].critic(image).score.view(4, 3, -1)  # type: ignore[index,union-attr]
        return -logits.softmax(1)[:, (is_a + 1) % 3].log().mean()  # 0 translation, 1 own, 2 real

    for player in ("critic", "generator"):
        batch = batch_of(gan, player, fields=domains)
        x = [batch.data[name] for name in domains]
        expected = torch.zeros(())
        for t in range(len(x)):
            own = network(x[t], (), t, t)
            translations = [network(x[s], (), s, t) for s in range(len(x)) if s != t]
            if player == "critic":  # pools that are not full show what is new
                told = [entropy(image, t, 0) for image in translations]
                expected = expected + entropy(x[t], t, 2) + entropy(own, t, 1) + torch.stack(told).mean()
            else:
                taken = [entropy(image, t, 2) for image in translations]
                expected = expected + 0.7 * (entropy(own, t, 2) + torch.stack(taken).mean()) + 0.5 * l1_loss(own, x[t])
        assert value(gan, player, batch) == pytest.approx(float(expected.detach()), rel=1e-9)


def test_a_third_class_is_two_logits_more_and_of_critics_of_one_domain() -> None:
    assert "critic_classes" not in GENES.complete({**SMALL, "translators": "one", "translator": "resnet"})
    three, two = (count_parameters({**SMALL, "critic_classes": n}, FIELDS)["critic"] for n in (3, 2))
    assert three - two == 2 * 2 * (4 * 4 * 8 + 1)  # two classes more in the last layer of each critic


@pytest.mark.parametrize(
    "penalty",
    [
        {"gradient_penalty": "two_sided"},
        {"zero_penalty": "r1", "loss": "hinge"},
        {"zero_penalty": "r1", "loss": "non_saturating", "critic_classes": 3},
    ],
)
def test_no_gradient_goes_where_it_does_not_belong(penalty: dict[str, Any]) -> None:
    gan = made(identity_loss=1.0, critic_constraint="spectral_norm", **penalty)
    for player, other in (("critic", "generator"), ("generator", "critic")):
        weights = {name: list(network.parameters()) for name, network in gan.players.items()}
        loss = gan.loss(player, batch_of(gan, player)).total()
        gradients = torch.autograd.grad(loss, weights[player], materialize_grads=True, retain_graph=True)
        assert all(g.isfinite().all() for g in gradients) and any(g.any() for g in gradients)
        before = [w.clone() for w in weights[other]]
        if player == "critic":  # what it is shown is made without a gradient
            assert not any(g.any() for g in torch.autograd.grad(loss, weights[other], materialize_grads=True))
        gan.after_step(player, batch_of(gan, player), gan.loss(player, batch_of(gan, player)))
        assert all(torch.equal(w, old) for w, old in zip(weights[other], before, strict=True))


ADAPTING = {"task": "both", "task_filters": 4, "feature_adversary": 1.0}


@pytest.mark.parametrize("genes", [{}, {"critic_classes": 3, "loss": "non_saturating"}, ADAPTING])
def test_a_step_moves_its_player_alone(genes: dict[str, Any]) -> None:
    genome = {**SMALL, **genes}
    pixels = torch.randint(0, 256, (2, 20, 3, 8, 8), generator=rng()).byte()
    streams = {name: {name: part} for name, part in zip(FIELDS, pixels, strict=True)}
    fields = TOLD if "task" in genes else FIELDS
    if "task" in genes:
        streams["sources"]["source_labels"] = torch.arange(20) % 3
    gan = build(genome, fields, seed=1)
    trainer = Trainer(gan, GENES.complete(genome), streams, seed=2, device=torch.device("cpu"), iterations=1)
    trainer.begin_iteration()
    for player in gan.players:
        before = {name: [w.clone() for w in network.parameters()] for name, network in gan.players.items()}
        trainer.step(player)
        moved = {
            name: not all(map(torch.equal, network.parameters(), before[name])) for name, network in gan.players.items()
        }
        assert moved == {name: name == player for name in gan.players}


# --- the pool


def test_the_pool_is_that_of_the_paper() -> None:
    """Against a loop over images, as its authors have it, from the same draws; a batch may be larger than the pool."""
    capacity, n = 5, 4
    pool, kept = HistoryPool((1, 2, 2), capacity), []
    for step in range(9):
        n = 4 if step % 3 else 7
        new = (10.0 * step + torch.arange(n)).view(n, 1, 1, 1).expand(n, 1, 2, 2)
        places, chance = pool.draws(n, rng(step))
        expected = []
        for image, place, u in zip(new, places.tolist(), chance.tolist(), strict=True):
            if len(kept) < capacity:
                kept.append(image)
                expected.append(image)
            elif u < 0.5:
                expected.append(kept[place])
                kept[place] = image
            else:
                expected.append(image)
        assert torch.equal(pool(new, (places, chance)), torch.stack(expected))
        assert torch.equal(pool.images[: len(kept)], torch.stack(kept)) and int(pool.filled) == len(kept)


def test_half_of_what_is_shown_is_old_and_it_goes_on_with_the_training() -> None:
    pool, old = HistoryPool((1, 1, 1), 50), 0
    for step in range(400):
        new = torch.full((4, 1, 1, 1), float(step))
        shown = pool(new, pool.draws(4, rng(step)))
        old += int((shown < step).sum()) if step >= 50 else 0
    assert abs(old / 1400 - 0.5) < 0.06  # deviation 0.013, and a little less for what comes back in its own step
    gan = made(history_pool=3)
    assert value(gan, "critic", batch_of(gan, "critic")) > 0
    assert {name: int(x) for name, x in gan.networks["pools"].state_dict().items() if "filled" in name} == {
        "0.filled": 3,
        "1.filled": 3,
    }


def test_a_training_goes_on_with_its_pool() -> None:
    genome = {**SMALL, "history_pool": 6}
    pixels = torch.randint(0, 256, (2, 20, 3, 8, 8), generator=rng()).byte()
    streams = {name: {name: part} for name, part in zip(FIELDS, pixels, strict=True)}

    def trainer() -> Trainer:
        gan = build(genome, FIELDS, seed=1)
        return Trainer(gan, GENES.complete(genome), streams, seed=2, device=torch.device("cpu"), iterations=4)

    straight, first, then = trainer(), trainer(), trainer()
    straight.run_to(4)
    first.run_to(2)
    then.restore(State.unpack(first.state().pack()))
    then.run_to(4)
    ours, theirs = (
        {f"{n}.{k}": x for n, net in t.gan.networks.items() for k, x in net.state_dict().items()}
        for t in (then, straight)
    )
    assert ours.keys() == theirs.keys() and any("pools" in name for name in ours)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


# --- use


def test_networks_fit_or_it_is_said() -> None:
    with pytest.raises(UserError, match="--domains says which"):
        check(SMALL, {"images": Field((1, 8, 8))})
    with pytest.raises(UserError, match="image size 10: translator = resnet makes sizes divisible by 4"):
        check({**SMALL, "translator": "resnet"}, {name: Field((1, 10, 10)) for name in FIELDS})
    with pytest.raises(UserError, match="nothing would train the translators"):
        GENES.read({**SMALL, "adversarial": 0.0, "cycle_loss": 0.0})
    with pytest.raises(UserError, match="3 domains: translators = apart are of two"):
        check(SMALL, THREE)
    assert impossible(THREE)["translators"] == ["apart"]
    three = GANProblem(GANSettings(data="digits", domains="rotate,negative")).fitting(load_space("domains"))
    assert next(gene for gene in three.genes if gene.name == "translators").values == ("autoencoders", "one")
    for player in architecture({**SMALL, "identity_loss": 1.0}, FIELDS):  # of all ways
        assert player.parameters == count_parameters(SMALL, FIELDS)[player.name]
        assert not any(layer.what == "not in use at the end" for layer in player.layers)
    genome = read_genome("cyclegan").genome
    counts = count_parameters(genome, {name: Field((3, 256, 256)) for name in FIELDS})
    affine = 2 * 2 * (2 * 64 + 2 * 128 + 256 * 19)  # gains and biases of norms, which the authors' lack
    assert round((counts["generator"] - affine) / 2e6, 3) == 11.378


def test_judges_know_the_truth_and_what_hides_it() -> None:
    data: Dataset = load_dataset(DataSpec("digits", domains="negative"))

    class Known:
        """The truth; `hides`: it makes grey images with a trace of it, which is all that comes back is made of."""

        domains = 2

        def __init__(self, hides: bool = False) -> None:
            self.hides = hides

        def cross(self, images: torch.Tensor, origin: int, target: int) -> torch.Tensor:
            if origin == target:
                return images
            trace = 0.001 if images.abs().max() > 0.01 else 1000.0
            return -images * (trace if self.hides else 1)

    exact = judged(Known(), data, slice(0, None, 2), torch.device("cpu"), 100)
    for perfect in ("truth_distance", "cycle_error", "identity_error", "tint"):
        assert exact[perfect] == pytest.approx(0, abs=1e-6)
    assert exact["psnr"] == exact["back_psnr"] == 100 and 0.01 < exact["cycle_error_noise"] < 0.06
    others = baselines(data, 0)
    assert others["truth_distance_copy"] > 1 > others["truth_distance_mean"] > 0.5
    assert exact["truth_distance_copy"] == others["truth_distance_copy"]
    hidden = judged(Known(hides=True), data, slice(0, None, 2), torch.device("cpu"), 100)
    assert hidden["cycle_error"] < 0.001 < 0.3 < hidden["cycle_error_noise"] and hidden["truth_distance"] > 0.5
    split = {of: {name: rows[:2] for name, rows in fields.items()} for of, fields in data.unseen.items()}
    alone = judged(Known(), replace(data, unseen=split), slice(0, None, 2), torch.device("cpu"), 100)
    assert alone["truth_distance"] == pytest.approx(0, abs=1e-6) and 0.1 < alone["truth_distance_copy"] < 10
    flags = flags_of(Evaluation(status="completed", scores=(hidden,)))
    assert "steganography" in flags and "steganography" not in flags_of(Evaluation(status="completed", scores=(exact,)))


def test_fid_of_the_way_back_is_of_the_first_domain() -> None:
    """Of the truth it is that of as many unseen images, of what was not translated far more."""
    data, network = load_dataset(DataSpec("digits", domains="negative")), load_features("digits")
    scorer = Scorer(data, network, 355)
    found = back_fid(torch.neg, data, scorer, 100)
    plain, unseen = (extract(network, batches(split["sources"]["sources"])) for split in (data.train, data.unseen))
    assert len(unseen) == 355
    assert found == pytest.approx(frechet_distance(Moments.of(plain), Moments.of(unseen)), rel=1e-4)
    assert back_fid(lambda images: images, data, scorer, 100) > 10 * found
    assert back_fid(torch.neg, data, Scorer(data, network, 100), 7) > found  # of fewer samples


def test_all_ways_between_domains_are_judged() -> None:
    """Of three, of which the one in the middle is never made: it is left as it is."""
    data = load_dataset(DataSpec("digits", domains="negative,rotate"))

    class Known:
        domains = 3

        def cross(self, images: torch.Tensor, origin: int, target: int) -> torch.Tensor:
            if origin == target or target == 1:
                return images
            plain = (lambda x: x, torch.neg, lambda x: x.rot90(-1, (2, 3)))[origin](images)
            return plain.rot90(1, (2, 3)) if target == 2 else plain

    found = judged(Known(), data, slice(0, None, 2), torch.device("cpu"), 100)
    n = 2 * 1000 // 6
    x = torch.tensor(data.unseen["sources"]["sources"][::2][:n]).double() / 255
    y = 1 - x
    apart = (y - y.roll(len(y) // 2, 0)).abs().mean()
    wrong = [(x - y).abs().mean() / apart, (x.rot90(1, (2, 3)) - y).abs().mean() / apart]
    assert found["truth_distance"] == pytest.approx(float(sum(wrong)) / 6, rel=1e-5)
    assert found["psnr"] == found["back_psnr"] == 100


def test_a_winner_is_held_against_what_takes_no_training_and_crosses_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"filters": 4, "patch_filters": 4, "patch_layers": 1, "batch_size": 8, "history_pool": 10}
    space = Space(
        "small",
        [Gene(name="learning_rate", kind="choice", values=(2e-3, 1e-3))],
        fixed={
            name: v for name, v in {**read_genome("cyclegan_unet").genome, **small}.items() if name != "learning_rate"
        },
        table=GENES,
    )
    task: dict[str, Any] = {
        "kimg": 0.1,
        "samples": 60,
        "domains": "negative",
        "fitness": "cycle_error",
        "features": "digits",
    }
    run = evogan.search(space, "digits", evaluations=1, confirm=1, workers=1, runs=tmp_path, **task)
    assert run.best is not None
    last = run.best.evaluations[0].scores[-1]
    assert {"truth_distance_copy", "tint", "back_psnr"} <= last.keys() and "back_fid" not in last
    winner, source, mean = translated(run)
    assert winner.figures["back_fid"][0] > 0 < source.figures["back_fid"][0] and "back_fid" not in mean.figures
    assert winner.figures["cycle_error"][0] == pytest.approx(run.confirmations[0].mean)
    assert source.figures["truth_distance"][0] > 1 > mean.figures["truth_distance"][0] and not mean.replicates
    assert "Truth distance" in run.report().read_text()
    (path,) = list(tmp_path.rglob("generator.safetensors"))[:1]
    gan = evogan.load(path)
    assert gan.domains == ("digits", "negative")
    x = torch.from_numpy(load_dataset(DataSpec("digits")).images[:4])
    assert torch.equal(gan.cross(x), gan.translate(x)) and torch.equal(gan.cross(x, "digits", "negative"), gan.cross(x))
    assert not torch.equal(gan.cross(x, 1, 0), gan.cross(x))
    with pytest.raises(UserError, match="unknown domain 'colour': allowed: digits, negative"):
        gan.cross(x, "colour")
    there, back_again = gan.cross(x), gan.cross(x, "negative", "digits")
    with monkeypatch.context() as named:
        named.setitem(gan.facts, "domains", ["1", "0"])  # as of --classes 1,0 --domains classes
        assert torch.equal(gan.cross(x), there) and torch.equal(gan.cross(x, "1", "0"), there)
        assert torch.equal(gan.cross(x, -1, 0), back_again) and torch.equal(gan.cross(x, "0", "1"), back_again)

    def translate(*asked: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["evogan", "translate", str(path), *asked])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), "".join(capsys.readouterr())

    monkeypatch.chdir(tmp_path)
    code, said = translate("--data", "digits", "--to", "there", "-n", "4")
    assert code == 0, said
    code, said = translate("--data", "digits", "--to", "back", "-n", "4", "--back")
    assert code == 0, said
    one, other = (np.asarray(Image.open(f"{way}/0.png")) for way in ("there", "back"))
    assert one.shape == (8, 8) and not np.array_equal(one, other)
    assert translate("--data", "digits", "--target", "colour")[0] == 2
    code, said = translate("--data", "digits", "--image-size", "16")
    assert code == 2 and "the generator makes 8x8 images" in said and "--image-size 8" in said


def test_the_judge_of_translations_is_of_the_last_domain(tmp_path: Path) -> None:
    plain, domains = (GANProblem(GANSettings(data="digits", domains=text)) for text in (None, "digits"))
    assert domains.features.id == plain.features.id and domains.fields.keys() == {
        *("sources", "source_labels"),
        *("images", "labels"),
    }
    task: dict[str, Any] = {"data": "digits", "domains": "digits", "kimg": 0.05, "samples": 60, "runs": tmp_path}
    evaluation, _ = evogan.train({**SMALL, "learning_rate": 1e-4}, **task)
    last = evaluation.scores[-1]
    assert last["gan_test_error"] > 0.5 > 0.02 > last["gan_test_error_copy"] and "psnr" not in last


def test_a_published_gan_that_cannot_make_so_many_domains_is_no_reference() -> None:
    said: list[str] = []
    problem = GANProblem(
        GANSettings.of(data="digits", domains="negative,rotate"), tell=lambda line, done: said.append(line)
    )
    assert "cyclegan_unet" not in dict(problem.references(load_space("domains")))
    assert any("reference 'cyclegan_unet' is left out: 3 domains" in line for line in said)
