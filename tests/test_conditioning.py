"""Conditional GANs: how a class enters both networks, against independent re-derivations; and what a user asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import evogan
from evogan.errors import UserError
from evogan.evaluation.checkpoint import Generator, pack_generator
from evogan.families import image_fields
from evogan.families.build import build, count_parameters
from evogan.families.plain.model import PlainGAN
from evogan.families.shared.conditioning import CONDITIONING
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.shipped import read_genome
from evogan.space import load_space
from evogan.training import Population
from evogan.training.feed import of_images
from evogan.trial import GANTask
from tests.draws import rng
from tests.test_population import DoubleTrainer, run_all

CLASSES = 5
LABELS = torch.tensor([3, 0, 4, 4, 1, 2])
SMALL = {
    "filters": 8,
    "latent": 6,
    "loss": "hinge",
    "critic_constraint": "none",
    "condition": "labels",
    "init_std": 0.1,
}


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=rng(seed))


def gan_of(size: int = 16, channels: int = 1, **genes: Any) -> Any:
    genome = {**SMALL, **genes}
    return build(GENES.read(genome), image_fields(size, channels, CLASSES), 0)


def stir(network: torch.nn.Module) -> dict[str, Tensor]:
    """Random values in place of those that begin at 0 or 1; all parameters by name."""
    for i, parameter in enumerate(network.parameters()):
        parameter.data.add_(0.1 * randn(*parameter.shape, seed=i))
    return {name: p.detach() for name, p in network.named_parameters()}


def one_hot(labels: Tensor) -> Tensor:
    return F.one_hot(labels, CLASSES).float()


def test_concatenated_one_hot_and_the_product_of_an_embedding() -> None:
    z = randn(6, 6)
    one = gan_of(backbone="mlp", generator_label="one_hot", generator_norm="none").players["generator"]
    torch.testing.assert_close(one(z, (), LABELS), one.generator(torch.cat([z, one_hot(LABELS)], 1)))
    product = gan_of(backbone="mlp", generator_label="product", generator_norm="none").players["generator"]
    table = product.embedding.weight.T  # a row a class
    torch.testing.assert_close(product(z, (), LABELS), product.generator(z * table[LABELS]))


@pytest.mark.parametrize("backbone", ["mlp", "wdcgan", "infogan", "dcgan", "sndcgan", "progressive"])
def test_norms_of_each_class_are_batch_norms_with_that_classs_gain_and_bias(backbone: str) -> None:
    """Of a batch of one class: batch norm with affine parameters 1 + A_y, B_y put in place."""
    growing = {"growing": False} if backbone == "progressive" else {}
    both = [
        gan_of(backbone=backbone, generator_label="product", label_norm=norm, generator_norm="batch", **growing)
        for norm in ("per_class", "none")
    ]
    conditional, plain = (gan.players["generator"] for gan in both)
    weights = stir(conditional)
    own = dict(plain.named_parameters())
    with torch.no_grad():
        for name, weight in weights.items():
            if name.endswith("scale.rows"):
                own[name.replace("scale.rows", "weight")].copy_(1 + weight[2])
            elif name.endswith("shift.rows"):
                own[name.replace("shift.rows", "bias")].copy_(weight[2])
            else:
                own[name].copy_(weight)
    z, labels = randn(6, 6), torch.full((6,), 2)
    torch.testing.assert_close(conditional(z, (), labels), plain(z, (), labels), rtol=1e-4, atol=1e-5)


def test_sngan_with_projection_step_by_step() -> None:
    """Miyato and Koyama, arXiv:1802.05637, as their code has it: the last norm of the generator knows no class."""
    genes = {
        "backbone": "resnet",
        "critic_filters": 8,
        "generator_label": "none",
        "label_norm": "per_class",
        "critic_norm": "none",
    }
    gan = gan_of(32, 3, **genes, critic_label="projection", slope=0.0)
    generator, critic = gan.players["generator"], gan.players["critic"]
    g, c = stir(generator), stir(critic)

    def conv(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
        kernel = w[f"{name}.weight"]
        return F.conv2d(x, kernel, w[f"{name}.bias"], padding=kernel.shape[-1] // 2)

    def norm(x: Tensor, name: str) -> Tensor:
        gain, bias = 1 + g[f"{name}.scale.rows"][LABELS], g[f"{name}.shift.rows"][LABELS]
        return F.relu(F.batch_norm(x, None, None, training=True) * gain[:, :, None, None] + bias[:, :, None, None])

    z = randn(6, 6)
    x = (z @ g["generator.dense.weight"].T + g["generator.dense.bias"]).view(6, 8, 4, 4)
    for i in range(3):
        block = f"generator.blocks.{i}"
        h = conv(F.interpolate(norm(x, f"{block}.norms.0"), scale_factor=2), g, f"{block}.up.conv")
        h = conv(norm(h, f"{block}.norms.1"), g, f"{block}.conv")
        x = h + conv(F.interpolate(x, scale_factor=2), g, f"{block}.shortcut")
    last = F.batch_norm(x, None, None, g["generator.head.0.weight"], g["generator.head.0.bias"], training=True)
    images = torch.tanh(conv(F.relu(last), g, "generator.head.2"))
    torch.testing.assert_close(generator(z, (), LABELS), images, rtol=1e-3, atol=1e-4)

    x = randn(6, 3, 32, 32)
    first = "critic.blocks.0"
    h = conv(F.relu(conv(x, c, f"{first}.convs.0")), c, f"{first}.convs.1")
    h = F.avg_pool2d(h, 2) + conv(F.avg_pool2d(x, 2), c, f"{first}.shortcut")
    for i in (1, 2, 3):
        block = f"critic.blocks.{i}"
        inner = conv(F.relu(conv(F.relu(h), c, f"{block}.convs.0")), c, f"{block}.convs.1")
        h = F.avg_pool2d(inner + conv(h, c, f"{block}.shortcut"), 2) if i == 1 else h + inner
    phi = F.relu(h).sum((2, 3))
    psi = phi @ c["critic.head.weight"][0] + c["critic.head.bias"]
    score = psi + (c["embedding.weight"].T[LABELS] * phi).sum(1)
    torch.testing.assert_close(critic(x, (), LABELS).score, score, rtol=1e-3, atol=1e-4)


def test_biggans_norms_take_a_part_of_the_latent_and_the_shared_embedding() -> None:
    """arXiv:1809.11096, appendix B: gains 1 + A [z_i, e], biases B [z_i, e], without constants."""
    genes = {
        "backbone": "resnet",
        "critic_filters": 8,
        "generator_label": "none",
        "label_norm": "shared",
        "label_embedding": 7,
    }
    generator = gan_of(32, 1, **genes, hierarchical_latent=True, latent=9, critic_norm="none").players["generator"]
    g, z = stir(generator), randn(6, 9)
    parts = z.split(generator.generator.parts, 1)
    condition = torch.cat([parts[2], g["shared.weight"].T[LABELS]], 1)
    norm = generator.generator.blocks[1].norms[0]
    x = randn(6, 8, 8, 8)
    gain, bias = (condition @ g[f"generator.blocks.1.norms.0.{name}.weight"].T for name in ("scale", "shift"))
    expected = F.batch_norm(x, None, None, training=True) * (1 + gain)[:, :, None, None] + bias[:, :, None, None]
    torch.testing.assert_close(norm(x, condition), expected, rtol=1e-4, atol=1e-5)
    assert "generator.blocks.1.norms.0.scale.bias" not in g
    assert generator(z, (), LABELS).shape == (6, 1, 32, 32)


# Counted from the layers of the public code: SNGAN's projection network for CIFAR-10 and 10 classes is
# its unconditional one, with 10 gains and biases for each norm of the three blocks in place of one, and an embedding.
def test_sngan_with_projection_has_as_many_parameters_as_published() -> None:
    plain, conditional = (read_genome(name).genome for name in ("sngan_resnet", "sngan_projection"))
    before, after = (count_parameters(genome, image_fields(32, 3, 10)) for genome in (plain, conditional))
    assert before == {"generator": 4_276_739, "critic": 1_053_825}
    assert after["generator"] - before["generator"] == 6 * 2 * 256 * 9
    assert after["critic"] - before["critic"] == 10 * 128


@pytest.mark.parametrize("how", ["planes", "embedded_plane"])
def test_planes_beside_the_image(how: str) -> None:
    critic = gan_of(backbone="dcgan", critic_label=how, critic_norm="none", dropout=0.0).players["critic"]
    x = randn(6, 1, 16, 16)
    if how == "planes":
        planes = one_hot(LABELS)[:, :, None, None].expand(6, CLASSES, 16, 16)
    else:
        planes = critic.embedding.weight.T[LABELS].view(6, 1, 16, 16)
    torch.testing.assert_close(critic(x, (), LABELS).score, critic.critic(torch.cat([x, planes], 1)).score)


def batch_of(gan: PlainGAN, player: str) -> Any:
    return gan.draw(player, 6, {"images": randn(6, 1, 16, 16), "labels": LABELS}, rng(1))


QUIET = {"backbone": "dcgan", "critic_norm": "none", "dropout": 0.0}


def critiques(gan: PlainGAN, batch: Any) -> tuple[Any, Any]:
    (z,) = batch.draws["latent"]
    critic = gan.players["critic"]
    fake = gan.players["generator"](z, (), LABELS).detach()
    return critic(batch.data["images"], (), LABELS), critic(fake, (), LABELS)


def test_acgans_losses_by_their_formula() -> None:
    gan = gan_of(**QUIET, critic_label="auxiliary", class_loss_real=2.0, class_loss_fake=0.5, class_loss_generator=0.3)
    batch = batch_of(gan, "critic")
    r, f = critiques(gan, batch)
    terms = gan.loss("critic", batch).terms
    torch.testing.assert_close(terms["class_real"], 2.0 * F.cross_entropy(r.classes, LABELS))
    torch.testing.assert_close(terms["class_fake"], 0.5 * F.cross_entropy(f.classes, LABELS))
    torch.testing.assert_close(terms["real"], F.relu(1 - r.score).mean())
    batch = batch_of(gan, "generator")
    assert set(batch.data) == {"labels"}
    terms = gan.loss("generator", batch).terms
    fake = gan.players["generator"](*batch.draws["latent"], (), LABELS)
    said = gan.players["critic"](fake, (), LABELS).classes
    torch.testing.assert_close(terms["class_fake"], 0.3 * F.cross_entropy(said, LABELS))


def test_the_wrong_class_is_a_part_of_what_is_fake() -> None:
    """Reed et al., arXiv:1605.05396: L = L(real, right) + (1 - s) L(fake, right) + s L(real, wrong)."""
    gan = gan_of(**QUIET, critic_label="planes", wrong_label=0.5)
    batch = batch_of(gan, "critic")
    (wrong,) = batch.draws["wrong labels"]
    assert (wrong != LABELS).all() and wrong.min() >= 0 and wrong.max() < CLASSES
    r, f = critiques(gan, batch)
    mismatched = gan.players["critic"](batch.data["images"], (), wrong).score
    expected = 0.5 * F.relu(1 + f.score).mean() + 0.5 * F.relu(1 + mismatched).mean()
    terms = gan.loss("critic", batch).terms
    torch.testing.assert_close(terms["fake"], expected)
    torch.testing.assert_close(terms["real"], F.relu(1 - r.score).mean())


def test_wrong_labels_are_all_others_alike() -> None:
    from evogan.zoo.conditioning import other_labels

    found = other_labels(torch.full((8000,), 3), CLASSES, rng())
    counts = torch.bincount(found, minlength=CLASSES)
    assert counts[3] == 0
    assert (counts[[0, 1, 2, 4]] - 2000).abs().max() < 200


def test_the_second_head_tells_whether_image_and_class_match() -> None:
    gan = gan_of(**QUIET, critic_label="two_heads", match_loss=0.7)
    batch = batch_of(gan, "critic")
    (wrong,) = batch.draws["wrong labels"]
    r, _ = critiques(gan, batch)
    table = gan.players["critic"].embedding.weight.T
    right, mismatched = ((table[labels] * r.features).sum(1) for labels in (LABELS, wrong))
    expected = 0.7 * (F.softplus(-right).mean() + F.softplus(mismatched).mean())
    torch.testing.assert_close(gan.loss("critic", batch).terms["match"], expected)


MEMBERS = [
    {
        "backbone": "dcgan",
        "generator_label": "product",
        "critic_label": "planes",
        "wrong_label": 0.5,
        "critic_norm": "batch",
    },
    {
        "backbone": "resnet",
        "generator_label": "none",
        "label_norm": "shared",
        "label_embedding": 4,
        "critic_label": "projection",
    },
    {"backbone": "mlp", "generator_label": "one_hot", "critic_label": "auxiliary", "class_loss_fake": 0.5},
    {"backbone": "wdcgan", "label_norm": "per_class", "critic_label": "two_heads", "gradient_penalty": "two_sided"},
    {
        "backbone": "stylegan",
        "growing": False,
        "critic_label": "embedded_plane",
        "mapping_layers": 2,
        "zero_penalty": "r1",
    },
]


@pytest.mark.parametrize("genes", MEMBERS, ids=lambda genes: genes["backbone"])
def test_a_member_of_a_stack_is_trained_as_it_would_be_alone(genes: dict[str, Any]) -> None:
    norm = {} if "critic_norm" in genes or genes["backbone"] == "stylegan" else {"critic_norm": "none"}
    wide = {"critic_filters": 8} if genes["backbone"] == "resnet" else {}
    images, labels = torch.randint(0, 256, (40, 1, 8, 8), generator=rng()).byte(), torch.arange(40) % CLASSES

    def made(factor: float, seed: int) -> DoubleTrainer:
        genome: dict[str, Any] = {**SMALL, **norm, **wide, **genes, "batch_size": 6, "critic_steps": 2}
        genome |= {"critic_optimizer": "sgd", "generator_optimizer": "sgd"}  # no step along mere rounding
        for name in ("wrong_label", "class_loss_fake"):
            if name in genome:
                genome[name] *= factor
        genome["learning_rate"] = 1e-2 * factor
        phenotype = GENES.complete(GENES.read(genome))
        gan = build(phenotype, image_fields(8, 1, CLASSES), seed)
        cpu = torch.device("cpu")
        return DoubleTrainer(gan, phenotype, of_images(images, labels), seed=seed, device=cpu, iterations=6)

    alone, fused = ([made(1.0, 1), made(0.5, 2)] for _ in range(2))
    for run in alone:
        run.run_to(6)
    run_all(Population(fused), {0: 6, 1: 6})
    for one, other in zip(alone, fused, strict=True):
        for name in one.gan.players:
            for a, b in zip(one.gan.players[name].parameters(), other.gan.players[name].parameters(), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


def test_virtual_batch_norm_has_references_of_all_classes() -> None:
    """And an image depends on its own latent and class alone."""
    gan = gan_of(backbone="dcgan", generator_norm="virtual_batch", generator_label="one_hot")
    prompt = gan.prompts(6, {"labels": LABELS}, rng())
    first = {name: x[:2] for name, x in prompt.items()}
    torch.testing.assert_close(gan.sample(prompt)[:2], gan.sample(first), rtol=1e-4, atol=1e-5)


# --- what a user asks for

GENOME = Genome({**SMALL, "filters": 4, "latent": 4, "backbone": "mlp"})
NAMES = ("cat", "dog", "7", "bird", "fish")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("conditional"), NAMES)


def saved(folder: Path, names: Sequence[str]) -> Path:
    """A generator of classes of these names."""
    gan = build(GENOME, image_fields(8, 1, len(names)), 0)
    task = GANTask(name="pets", fingerprint="0", image_size=8, channels=1, kimg=1.0, features="none", samples=10)
    (folder / "generator.safetensors").write_bytes(pack_generator(gan, GENOME, task, {"fid": 1.0, "classes": [*names]}))
    return folder / "generator.safetensors"


def test_a_saved_generator_is_asked_for_a_class_by_name_or_number(file: Path) -> None:
    generator = Generator(file)
    assert generator.classes == NAMES
    dogs = generator.sample(3, seed=1, label="dog")
    assert torch.equal(dogs, generator.sample(3, seed=1, label=1))
    assert not torch.equal(dogs, generator.sample(3, seed=1, label="cat"))
    assert torch.equal(generator.sample(3, label="7"), generator.sample(3, label=2))  # a name before a number
    turns = generator.sample(7, seed=1)  # classes in turn
    assert torch.equal(turns[1], generator.sample(7, seed=1, label="dog")[1])
    grid = generator.class_grid(columns=3, seed=1).unflatten(0, (CLASSES, 3))
    torch.testing.assert_close(grid[1], dogs)  # a row a class; the latents are the first ones, in every row


@pytest.mark.parametrize("label", ["horse", "5", "-1", 9])
def test_a_label_that_does_not_exist_is_refused(file: Path, label: int | str) -> None:
    with pytest.raises(UserError, match=f"unknown label '{label}'.*cat, dog, 7, bird, fish"):
        Generator(file).sample(2, label=label)


def test_where_all_names_are_numbers_a_label_is_a_name(tmp_path: Path) -> None:
    """Of --classes 5,7 the label 1 is none: it would be sevens."""
    generator = Generator(saved(tmp_path, ("5", "7")))
    sevens = generator.sample(3, label=7)
    assert torch.equal(sevens, generator.sample(3, label="7")) and torch.equal(sevens[1], generator.sample(3)[1])
    for label in (1, "1", 0, "-1", "07"):
        with pytest.raises(UserError, match=f"unknown label '{label}'.*allowed: 5, 7"):
            generator.sample(2, label=label)


def test_an_unconditional_generator_has_no_labels(tmp_path: Path) -> None:
    genome = Genome({"backbone": "mlp", "filters": 4, "latent": 4})
    task = GANTask(name="pets", fingerprint="0", image_size=8, channels=1, kimg=1.0, features="none", samples=10)
    path = tmp_path / "generator.safetensors"
    path.write_bytes(pack_generator(build(genome, image_fields(8, 1), 0), genome, task, {"fid": 1.0}))
    with pytest.raises(UserError, match="unconditional"):
        Generator(path).sample(2, label=1)


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "images.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8))
    return path


def test_a_conditional_genome_needs_labels(unlabelled: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="condition = labels needs images with labels; these have none"):
        evogan.train("cgan", unlabelled, features="digits", runs=tmp_path)
    with pytest.raises(UserError, match="condition = labels .* without labels"):
        evogan.search("conditional", unlabelled, features="digits", runs=tmp_path, evaluations=1)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_the_whole_space_is_without_conditioning_where_there_are_no_labels() -> None:
    from evogan.families.build import impossible

    space, fields = load_space("anything"), image_fields(8, 1)
    left = space.without(impossible(fields), "cannot")
    of_labels = {gene.name for gene in CONDITIONING} - {"condition"}
    assert of_labels <= {gene.name for gene in space.genes}
    assert not of_labels & {gene.name for gene in left.genes}
    assert next(gene for gene in left.genes if gene.name == "condition").values == ("none",)


def test_a_class_is_not_split_with_the_latent() -> None:
    """It would lie in one of the parts, and the layers before that would not know it."""
    split = {"backbone": "resnet", "hierarchical_latent": True, "condition": "labels"}
    with pytest.raises(UserError, match="the class would be split with the latent"):
        GENES.read(split)
    for told in ({"generator_label": "product"}, {"label_norm": "shared"}):
        GENES.read({**split, **told})


def test_a_generator_of_before_is_read_whatever_is_refused_by_now(tmp_path: Path) -> None:
    """Conflicts, and genes that apply no more."""
    split = {"backbone": "resnet", "hierarchical_latent": True, "condition": "labels", "filters": 8, "dropout": 0.5}
    genome = GENES.recorded(split)
    assert "dropout" not in genome and genome["hierarchical_latent"] is True
    task = GANTask(name="some", fingerprint="f", image_size=8, channels=1, kimg=1, features="f")
    path = tmp_path / "generator.safetensors"
    gan = build(genome, image_fields(8, 1, 3), 0)
    path.write_bytes(pack_generator(gan, genome, task, {"fid": 1.0, "classes": [*"abc"]}))
    assert Generator(path).sample(2, label="b").shape == (2, 1, 8, 8)
    with pytest.raises(UserError, match="unknown gene 'dropuot'"):
        GENES.recorded({"dropuot": 0.5})


def test_a_generator_that_is_not_told_the_class_is_refused() -> None:
    with pytest.raises(UserError, match="the generator would not be told the class"):
        GENES.read({"condition": "labels", "generator_label": "none"})
    with pytest.raises(UserError, match="the generator would not be told the class"):
        GENES.read({"condition": "labels", "generator_label": "none", "generator_norm": "layer"})


def test_a_searched_conditional_gan_is_scored_kept_and_asked(tmp_path: Path) -> None:
    genome = {**GENOME, "filters": 8, "generator_label": "product", "critic_label": "projection"}
    evaluation, folder = evogan.train(genome, "digits", kimg=0.5, samples=100, runs=tmp_path)
    assert evaluation.status == "completed"
    assert evaluation.scores[-1]["label_effect"] > 0
    generator = evogan.load(folder / "generator.safetensors")
    assert generator.classes == tuple("0123456789")
    assert generator.sample(2, label=3).shape == (2, 1, 8, 8)


def test_attributes_are_no_classes() -> None:
    """Of labels (N, K) a GAN of classes knows nothing."""
    from evogan.families import Field

    fields = {**image_fields(8, 1), "labels": Field((4,), 2)}
    with pytest.raises(UserError, match="these have none"):
        build(GENES.read(SMALL), fields, 0)
