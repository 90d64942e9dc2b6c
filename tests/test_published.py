"""The published GANs as genomes, and the spaces they lie in. Networks are not built here."""

from __future__ import annotations

import math
import re
from pathlib import Path
from random import Random

import pytest

from evogan.errors import UserError
from evogan.genes import GENES
from evogan.genome import Genome, Value, holds, same
from evogan.shipped import names, published, read_genome
from evogan.space import Space, load_space

FILES = {name: read_genome(name) for name in published()}
PHENOTYPES = {name: GENES.complete(file.genome) for name, file in FILES.items()}
SPACES = {name: load_space(name) for name in names("search_spaces")}


def _lies_in(genome: Genome, space: Space) -> bool:
    try:
        space.snap(genome)
    except UserError:
        return False
    return True


INSIDE = {name: [s for s, space in SPACES.items() if _lies_in(file.genome, space)] for name, file in FILES.items()}


def test_the_well_known_ones_are_there() -> None:
    assert set(FILES) >= set(
        "gan_mlp_small gan_mlp_large mmgan nsgan lsgan dcgan improved_dcgan wgan wgan_gp wgan_gp_resnet dragan sngan "
        "sngan_resnet sagan biggan rgan ragan ralsgan rahinge ebgan ebgan_pt began fgan_kl fgan_reverse_kl "
        "fgan_pearson fgan_hellinger fgan_js pggan stylegan autogan r1_baseline wdcgan".split()
    )


def test_the_readme_has_their_number() -> None:
    assert f"{len(FILES)} published GANs" in (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.parametrize("name", FILES)
def test_each_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    assert FILES[name].title != name
    assert re.search(r"arXiv:\d{4}\.\d{4,5}", FILES[name].source)
    assert re.search(r"\b(19|20)\d\d\b", FILES[name].source)


def test_all_are_different_gans() -> None:
    assert len({GENES.key(file.genome) for file in FILES.values()}) == len(FILES)
    assert len({file.title for file in FILES.values()}) == len(FILES)


@pytest.mark.parametrize("name", [name for name in FILES if name != "wdcgan"])
def test_none_takes_over_what_is_wdcgans(name: str) -> None:
    """The table's defaults are those of WDCGAN: what it is known for must be said or denied."""
    wdcgans = (
        "backbone filters dropout critic_norm upsampling latent latent_prior loss critic_constraint batch_size "
        "critic_steps learning_rate critic_optimizer generator_optimizer critic_rms_decay generator_rms_decay"
    ).split()
    if name == "dcgan_keras":  # on the same networks
        wdcgans = [gene for gene in wdcgans if gene not in ("critic_norm", "upsampling")]
    assert {gene for gene in wdcgans if gene in PHENOTYPES[name]} <= set(FILES[name].genome)
    assert (PHENOTYPES[name]["critic_constraint"] == "clip") == (name in ("wgan", "wgan_cnn", "wgan_infogan"))


# As published: the rates of critic and generator; (beta1, beta2) of Adam, or the optimiser (None: each player has its
# own); critic steps; batch; latent; and what the GAN is known for.
PUBLISHED: dict[str, tuple[float, float, tuple[float, float] | str | None, int, int, int | None, dict[str, Value]]] = {
    "gan_mlp_small": (1e-3, 1e-3, (0.9, 0.999), 1, 64, 100, {"label_smoothing": 0.1, "latent_prior": "uniform"}),
    "gan_mlp_large": (2e-4, 2e-4, (0.5, 0.999), 1, 64, 100, {"label_smoothing": 0.1, "slope": 0.3}),
    "dcgan": (2e-4, 2e-4, (0.5, 0.999), 1, 128, 100, {"init_std": 0.02, "slope": 0.2, "latent_prior": "uniform"}),
    "dcgan_48": (2e-4, 2e-4, (0.5, 0.999), 1, 128, 100, {"generator_steps": 2, "latent_prior": "uniform"}),
    "dcgan_keras": (1e-5, 2e-4, None, 1, 256, 100, {"critic_optimizer": "rmsprop", "generator_optimizer": "adam"}),
    "mmgan": (5e-5, 5e-5, (0.0, 0.999), 1, 64, 64, {"loss": "minimax", "critic_norm": "batch"}),
    "nsgan": (5e-5, 5e-5, (0.0, 0.999), 1, 64, 64, {"loss": "non_saturating", "critic_norm": "batch"}),
    "lsgan": (2e-4, 2e-4, (0.5, 0.999), 1, 64, 64, {"loss": "least_squares", "critic_norm": "batch"}),
    "wgan": (5e-5, 5e-5, "rmsprop", 5, 64, 100, {"loss": "wasserstein", "clip": 0.01}),
    "wgan_infogan": (5e-5, 5e-5, (0.5, 0.999), 5, 64, 64, {"clip": 0.01, "critic_norm": "batch"}),
    "wgan_cnn": (2e-4, 2e-4, (0.0, 0.9), 1, 128, 100, {"clip": 0.1, "lr_decay": "linear"}),
    "wgan_gp": (2e-4, 2e-4, (0.0, 0.9), 1, 128, 100, {"gradient_penalty_weight": 10.0}),
    "wgan_gp_infogan": (1e-4, 1e-4, (0.5, 0.999), 5, 64, 64, {"gradient_penalty_weight": 10.0}),
    "wgan_gp_resnet": (2e-4, 2e-4, (0.0, 0.9), 5, 64, 128, {"gradient_penalty_weight": 10.0, "lr_decay": "linear"}),
    "dragan": (1e-4, 1e-4, (0.5, 0.999), 1, 64, 64, {"gradient_penalty": "dragan", "gradient_penalty_weight": 10.0}),
    "began": (1e-4, 1e-4, (0.5, 0.999), 5, 64, 64, {"began_rate": 1e-3, "began_gamma": 0.75, "critic_norm": "none"}),
    "sngan": (2e-4, 2e-4, (0.0, 0.9), 1, 128, 100, {"loss": "hinge", "critic_constraint": "spectral_norm"}),
    "sngan_kurach": (2e-4, 2e-4, (0.5, 0.999), 1, 64, 128, {"critic_constraint": "spectral_norm"}),
    "sngan_resnet": (2e-4, 2e-4, (0.0, 0.9), 5, 64, 128, {"loss": "hinge", "lr_decay": "linear"}),
    "sagan": (4e-4, 1e-4, (0.0, 0.9), 1, 256, 128, {"generator_constraint": "spectral_norm"}),
    "biggan": (2e-4, 2e-4, (0.0, 0.999), 4, 50, 128, {"ema": 0.9999, "generator_regularization_weight": 1e-4}),
    "r1_baseline": (1e-4, 1e-4, "rmsprop", 1, 64, 256, {"zero_penalty": "r1", "ema": 0.999}),
    "rgan": (2e-4, 2e-4, (0.5, 0.999), 1, 32, 128, {"relativistic": "pairs"}),
    "rahinge": (2e-4, 2e-4, (0.5, 0.999), 1, 32, 128, {"relativistic": "average", "loss": "hinge"}),
    "pggan": (1e-3, 1e-3, (0.0, 0.99), 1, 16, 512, {"drift": 1e-3, "ema": 0.999, "minibatch": "std"}),
    "stylegan": (1e-3, 1e-3, (0.0, 0.99), 1, 64, 512, {"zero_penalty_weight": 10.0, "style_mixing": 0.9}),
    "autogan": (2e-4, 2e-4, (0.0, 0.9), 5, 64, 128, {"loss": "hinge", "critic_constraint": "spectral_norm"}),
    "cgan": (1e-3, 1e-3, (0.9, 0.999), 1, 32, 100, {"generator_label": "product", "critic_label": "embedded_plane"}),
    "cgan_onehot": (2e-4, 2e-4, (0.5, 0.999), 1, 128, 100, {"generator_label": "one_hot", "critic_label": "planes"}),
    "cgan_matching": (2e-4, 2e-4, (0.5, 0.999), 1, 64, 100, {"wrong_label": 0.5}),
    "text_gan": (2e-4, 2e-4, (0.5, 0.999), 1, 64, 100, {"wrong_label": 0.5, "latent_prior": "normal"}),
    "cgan_two_heads": (2e-4, 2e-4, (0.5, 0.999), 1, 64, 100, {"critic_label": "two_heads"}),
    "fashion_cgan": (2e-4, 1e-3, (0.5, 0.999), 1, 64, 62, {"critic_label": "planes", "backbone": "infogan"}),
    "acgan": (2e-4, 2e-4, (0.5, 0.999), 1, 100, 100, {"critic_label": "auxiliary", "class_loss_fake": 1.0}),
    "acgan_wgan_gp": (2e-4, 2e-4, (0.0, 0.9), 5, 64, 128, {"class_loss_fake": 0.0, "class_loss_generator": 0.1}),
    "sngan_projection": (2e-4, 2e-4, (0.0, 0.9), 5, 64, 128, {"critic_label": "projection", "label_norm": "per_class"}),
    "sagan_classes": (4e-4, 1e-4, (0.0, 0.9), 1, 256, 128, {"critic_label": "projection", "attention": "half"}),
    "biggan_classes": (2e-4, 2e-4, (0.0, 0.999), 4, 50, 128, {"label_norm": "shared", "label_embedding": 128}),
    "egan": (2e-4, 2e-4, (0.5, 0.999), 3, 32, 100, {"evolution": True, "evolution_gamma": 0.01, "loss": "minimax"}),
    "infogan": (2e-4, 1e-3, (0.5, 0.999), 1, 128, 62, {"code_categories": 10, "code_continuous": 2, "head_units": 128}),
    "bigan": (2e-4, 2e-4, (0.5, 0.999), 1, 128, 50, {"critic_sees": "pair", "latent_prior": "uniform"}),
    "bivae": (2e-4, 2e-4, (0.5, 0.999), 1, 128, 50, {"critic_sees": "pair", "latent_cycle": 1.0}),
    **dict.fromkeys(
        ("vae_gan", "vae_gan_three_class"),
        (3e-4, 3e-4, "rmsprop", 1, 64, 128, {"reconstruction_gamma": 1e-6, "posterior": "gaussian", "kl": 1.0}),
    ),
    "sgan": (1e-3, 1e-3, (0.9, 0.999), 1, 32, 100, {"classifier": "logsumexp", "supervised_loss": 2.0}),
    "triple_gan": (3e-4, 3e-4, (0.5, 0.999), 1, 100, 100, {"pseudo_pairs": "fake", "pseudo_share": 0.5}),
    "s3gan": (2e-4, 2e-4, (0.0, 0.999), 2, 64, 120, {"rotation_loss": 1.0, "rotation_loss_generator": 0.2}),
    "lapgan": (0.02, 0.02, "sgd", 1, 16, 100, {"level_residual": True, "level_learns_from": "real"}),
    "stackgan": (2e-4, 2e-4, (0.5, 0.999), 1, 64, 100, {"wrong_label": 0.5, "condition_augmentation": 128}),
    "stackgan_v2": (2e-4, 2e-4, (0.5, 0.999), 1, 24, 100, {"level_given": "maps", "colour_covariance": 5.0}),
    "srgan": (1e-4, 1e-4, (0.9, 0.999), 1, 16, None, {"adversarial": 1e-3, "translator_blocks": 16, "filters": 64}),
    "colorgan": (2e-4, 2e-4, (0.5, 0.999), 1, 4, None, {"pixel_loss": 100.0, "translation_kernel": 5}),
    "inpainting": (2e-4, 2e-3, (0.5, 0.999), 1, 64, None, {"adversarial": 0.001, "pixel_norm": "l2"}),
    "improved_gan": (3e-3, 3e-3, (0.5, 0.999), 1, 100, 100, {"hidden_noise": 0.5, "feature_matching": "alone"}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_settings_are_those_published(name: str) -> None:
    genes = PHENOTYPES[name]
    critic_rate, generator_rate, optimizer, steps, batch, latent, known_for = PUBLISHED[name]
    assert genes["learning_rate"] == critic_rate
    assert math.isclose(float(genes["learning_rate"]) * float(genes["lr_ratio"]), generator_rate)
    for player in ("critic", "generator"):
        if isinstance(optimizer, tuple):
            assert genes[f"{player}_optimizer"] == "adam"
            assert (genes[f"{player}_beta1"], genes[f"{player}_beta2"]) == optimizer
        elif optimizer is not None:
            assert genes[f"{player}_optimizer"] == optimizer
    assert (genes["critic_steps"], genes["batch_size"], genes.get("latent")) == (steps, batch, latent)
    assert {gene: genes[gene] for gene in known_for} == known_for


CONVOLUTIONS = "DCGAN, arXiv:1511.06434: N(0, 0.02)"
XAVIER = "chainer's SNGAN: Xavier, sqrt 2 in residual convolutions"
LUCIC_INIT = "compare_gan: N(0, 0.02)"
# How the weights begin, what of them is averaged, and where that is said.
BEGINS: dict[str, tuple[dict[str, Value], float, str]] = {
    "gan_mlp_small": ({"init": "xavier"}, 0.0, "not stated; Keras' default"),
    "gan_mlp_large": ({"init": "xavier", "first_init": 0.05}, 0.0, "Keras: uniform first layers, else its default"),
    **dict.fromkeys(("dcgan", "dcgan_48", "wgan"), ({"init": "normal", "init_std": 0.02}, 0.0, CONVOLUTIONS)),
    **dict.fromkeys(("wdcgan", "dcgan_keras"), ({"init": "normal", "init_std": 0.02}, 0.0, "Lanham, ch. 8-9")),
    **dict.fromkeys(("ebgan", "ebgan_pt"), ({"init": "normal", "init_std": 0.02}, 0.0, "arXiv:1609.03126: DCGAN's")),
    **dict.fromkeys(
        (f"fgan_{kind}" for kind in ("hellinger", "js", "kl", "pearson", "reverse_kl")),
        ({"init": "normal", "init_std": 0.02}, 0.0, CONVOLUTIONS),
    ),
    **dict.fromkeys(
        ("mmgan", "nsgan", "lsgan", "dragan", "began", "wgan_infogan", "wgan_gp_infogan", "sngan_kurach"),
        ({"init": "normal", "init_std": 0.02}, 0.0, LUCIC_INIT),
    ),
    "improved_dcgan": ({"init": "normal", "init_std": 0.05}, 0.0, "improved-gan: Normal(0.05)"),
    **dict.fromkeys(
        ("sngan", "wgan_gp", "wgan_cnn"), ({"init": "normal", "init_std": 0.02}, 0.0, "pytorch-gan-collections")
    ),
    **dict.fromkeys(
        ("rgan", "ragan", "ralsgan", "rahinge"), ({"init": "normal", "init_std": 0.02}, 0.0, "RelativisticGAN")
    ),
    "sngan_resnet": ({"init": "xavier"}, 0.0, XAVIER),
    "wgan_gp_resnet": ({"init": "xavier"}, 0.0, "improved_wgan_training: U, variance 4/(in + out) or 2/(in + out)"),
    "sagan": ({"init": "xavier"}, 0.0, "self-attention-gan: Xavier"),
    "biggan": ({"init": "orthogonal"}, 0.9999, "arXiv:1809.11096, appendix B"),
    "r1_baseline": ({"init": "xavier"}, 0.999, "GAN_stability: PyTorch's default; model_average_beta"),
    "autogan": ({"init": "xavier"}, 0.999, "AutoGAN: init_type xavier_uniform; avg_p.mul_(0.999)"),
    "pggan": ({"equalized_lr": True}, 0.999, "arXiv:1710.10196, appendix A"),
    "stylegan": ({"equalized_lr": True}, 0.5 ** (64 / 10_000), "stylegan: G_smoothing_kimg = 10"),
    "cgan": ({"init": "xavier"}, 0.0, "not stated; Keras' default"),
    **dict.fromkeys(
        ("cgan_onehot", "cgan_matching", "text_gan", "cgan_two_heads", "acgan"),
        ({"init": "normal", "init_std": 0.02}, 0.0, CONVOLUTIONS),
    ),
    "fashion_cgan": ({"init": "normal", "init_std": 0.02}, 0.0, LUCIC_INIT),
    "acgan_wgan_gp": ({"init": "xavier"}, 0.0, "improved_wgan_training, as wgan_gp_resnet"),
    "sngan_projection": ({"init": "xavier"}, 0.0, XAVIER),
    "sagan_classes": ({"init": "xavier"}, 0.0, "self-attention-gan: Xavier"),
    "biggan_classes": ({"init": "orthogonal"}, 0.9999, "arXiv:1809.11096, appendix B"),
    "egan": ({"init": "normal", "init_std": 0.02}, 0.0, "its released code: Normal(0.02)"),
    "infogan": ({"init": "normal", "init_std": 0.02}, 0.0, "its released code: stddev = 0.02"),
    **dict.fromkeys(("bigan", "bivae"), ({"init": "normal", "init_std": 0.02}, 0.0, "its released code: N(0, 0.02)")),
    **dict.fromkeys(
        ("vae_gan", "vae_gan_three_class"), ({"init": "normal", "init_std": 0.02}, 0.0, "not stated; DCGAN's")
    ),
    "sgan": ({"init": "xavier"}, 0.0, "not stated; Keras' default"),
    "improved_gan": ({"init": "xavier"}, 0.0, "improved-gan: Lasagne's default, but where the first batch says it"),
    "pix2pix": ({"init": "normal", "init_std": 0.02}, 0.0, "arXiv:1611.07004: Gaussian, mean 0, deviation 0.02"),
    **dict.fromkeys(
        ("cyclegan", "cyclegan_unet"),
        ({"init": "normal", "init_std": 0.02}, 0.0, "arXiv:1703.10593: Gaussian N(0, 0.02)"),
    ),
    **dict.fromkeys(
        ("srgan", "srresnet"),
        ({"init": "normal", "init_std": 0.02}, 0.0, "not stated; tensorlayer's srgan: N(0, 0.02)"),
    ),
    **dict.fromkeys(
        ("colorgan", "demosaic"), ({"init": "normal", "init_std": 0.02}, 0.0, "its released code: stddev = 0.02")
    ),
    **dict.fromkeys(("lapgan", "stackgan"), ({"init": "normal", "init_std": 0.02}, 0.0, "not stated; DCGAN's")),
    "stackgan_v2": ({"init": "orthogonal"}, 0.999, "its released code: orthogonal; averaged with .999"),
    "inpainting": ({"init": "normal", "init_std": 0.02}, 0.0, "its released code: DCGAN's"),
    **dict.fromkeys(
        ("combogan", "exchanged_autoencoders"),
        ({"init": "normal", "init_std": 0.02}, 0.0, "their released code: CycleGAN's"),
    ),
    **dict.fromkeys(
        ("xgan", "latent_adversary"), ({"init": "normal", "init_std": 0.02}, 0.0, "not stated; CycleGAN's")
    ),
    **dict.fromkeys(
        ("dtn", "cycada", "augmented_cyclegan"), ({"init": "normal", "init_std": 0.02}, 0.0, "not stated; CycleGAN's")
    ),
    "cogan": ({"init": "normal", "init_std": 0.02}, 0.0, "its released code: deviation 0.02"),
    "stargan": ({"init": "xavier"}, 0.0, "its released code: PyTorch's default"),
    "triple_gan": ({"init": "xavier"}, 0.0, "triple-gan: Lasagne's default"),
    "points_gan": ({"init": "orthogonal"}, 0.0, "arXiv:1611.02163, appendix A: orthogonal"),
    "points_wgan_gp": ({"init": "he"}, 0.0, "improved_wgan_training, gan_toy: He"),
    **dict.fromkeys(
        ("seqgan", "mle_lstm", "gumbel_gan", "softmax_gan"),
        ({"init": "normal", "init_std": 0.1}, 0.0, "SeqGAN's released code: N(0, 0.1)"),
    ),
    "maskgan": ({"init": "normal", "init_std": 0.05}, 0.0, "its released code: within 0.05"),
    **dict.fromkeys(
        ("s2gan", "s2gan_co", "s3gan", "s2gan_clusters"), ({"init": "orthogonal"}, 0.9999, "arXiv:1903.02271: BigGAN's")
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_weights_begin_and_are_averaged_as_published(name: str) -> None:
    first, ema, _ = BEGINS[name]
    assert {gene: PHENOTYPES[name].get(gene) for gene in first} == first
    assert PHENOTYPES[name].get("first_init", 0.0) == first.get("first_init", 0.0)
    assert math.isclose(float(PHENOTYPES[name]["ema"]), ema, abs_tol=5e-5)


RELATIVISTIC: dict[str, Value] = {"sndcgan_form": "paper", "constrained_head": False}
TWICE: dict[str, Value] = {"batch_ratio": 2}
# Genes that files once left out, or the value they had: (gene, what it is) -> how its GAN had been known.
MENDED: dict[str, tuple[dict[str, Value], dict[str, Value]]] = {
    "dtn": ({"critic_classes": 3}, {}),
    "cycada": ({"feature_adversary": 1.0}, {}),
    "autogan": ({**TWICE, "ema": 0.999}, {}),
    "gan_mlp_large": ({"init": "xavier", "first_init": 0.05}, {}),
    "improved_dcgan": ({"lr_decay": "last_third", "input_noise": 0.2}, {}),
    **dict.fromkeys(("rgan", "ragan", "ralsgan", "rahinge"), (RELATIVISTIC, {})),
    **dict.fromkeys(("sngan", "sngan_resnet", "wgan_gp"), (TWICE, {})),
    "lapgan": ({"base_units": 600}, {}),
    "stylegan": ({"growing_from": 1, "critic_blur": True}, {}),
    **dict.fromkeys(("wgan", "wgan_infogan"), ({"clipped": "parameters"}, {})),
    "wgan_cnn": ({**TWICE, "clipped": "parameters"}, {}),
    "wgan_gp_resnet": ({**TWICE, "init": "xavier"}, {"init": "he"}),
}
KEYS = dict(
    pair.split()
    for pair in """
    autogan f0189a783124bd39, began 57a790e1a9099749, biggan a6fdd54305cbbb48, dcgan 4092ecff09a84e62,
    dcgan_48 8e954db739438bb6,
    dcgan_keras c37c5dccd8b1c299, dragan a6b3a91e1bb6332e, ebgan 32270ab9dc6d559c, ebgan_pt 13d1d676fa4a8185,
    fgan_hellinger 2728062db80867b7, fgan_js 074970ca5e3f3c15, fgan_kl b557d20bf19b6c7a, fgan_pearson b77da7ba924708ef,
    fgan_reverse_kl 4c4c95fc61aa1cc6, gan_mlp_large ded857390da62ce7, gan_mlp_small 13a0c182a3e210bd,
    improved_dcgan b132e2898204ac40, lsgan d6ceb05b35f21270, mmgan 2edf87dbe1f913a9, nsgan ef9dc29ce2732a41,
    pggan f68f2fb5a774a233, r1_baseline 28d76a3f386b1bd3, ragan bb77014e380dd308, rahinge fe3638fab1549668,
    ralsgan 1e44476ea51df60d, rgan a90167cf13357e13, sagan af8f6369214ecc36, sngan 72ca4651fd581152,
    sngan_kurach 47563479b6791a25, sngan_resnet b0739460ec0f19c5, stylegan e04ab031a046b697, wdcgan 44136fa355b3678a,
    wgan 27509e569c9b9727, wgan_cnn b39b2fc1c1c6430a, wgan_gp 1496284afe3e2b22, wgan_gp_infogan fe9a224b42721331,
    wgan_gp_resnet d06dcc11c13a446e, wgan_infogan faeb6b4078bfb79d, acgan fe8bce9d9aed3a39,
    acgan_wgan_gp adb6ec1eb950166b, biggan_classes c121c688e9cb3687, cgan 1024788a61ad983e,
    cgan_matching 5558492e46a2fcad, cgan_onehot 00ea73c397ae703a, cgan_two_heads 2a09200036073564,
    fashion_cgan 9d24bafc278a9838, sagan_classes 9d20647c1ff655ef, sngan_projection 1f955c0c5ad4df35,
    egan 89a0270ef02417e4, infogan 2af3348990fd1c6c, bigan 1f8c3d2f97ded2f0, bivae 36752a8c352cddee,
    vae_gan 8a6e557aade143e8, vae_gan_three_class 3f6ba1200c8f7de4, sgan 66d30fa965a9697f,
    improved_gan 05bfc957d76985bc, pix2pix f208def8e2bd4b08, triple_gan 0f489af31afc7679, s2gan 629a7f61eb48a241,
    s2gan_co da76417db6093cbb, s3gan 19370dd5f6882891, s2gan_clusters 7f9dff6da8feac9b,
    cyclegan b6c77d02ce783d74, cyclegan_unet fb17456e6de169a2,
    srgan a2e9d8491642f57b, srresnet 502dae386f7faa53, colorgan 1f7fd9ff6844bc92, demosaic 2930fada86ed0931,
    inpainting a3a9bfee154ab6be,
    combogan 03fe26114f53ba1e, exchanged_autoencoders 143271d09d1ed179, xgan 02c466fab2277a18,
    latent_adversary 85d9892259ab1215, stargan ab7dcdadaa6abd51,
    lapgan 33ad14cc6b02e451, stackgan 7975749f2fceb541,
    stackgan_v2 b5b3b322d9d93b9e,
    dtn 40513440712d95e6, cycada 79fa1d50afbf1dfe,
    points_gan 8600cfd5012abe35, points_wgan_gp 6cf724608aafd32c,
    seqgan 76e1fb1da2c17494, mle_lstm 7af7109aa6237f0b, gumbel_gan 326399c4a97f542a, softmax_gan ff496e14a5da9dc8,
    maskgan e6ea95d99840203f,
    augmented_cyclegan f2398eb18cbd2c75, text_gan 80050edbaf6a2b67, cogan 99fea1fd079af49c""".split(",")
)


@pytest.mark.parametrize("name", FILES)
def test_what_was_trained_before_a_genome_was_mended_is_known_as_it_was(name: str) -> None:
    genome = FILES[name].genome
    now, before = MENDED.get(name, ({}, {}))
    assert {gene: genome.get(gene) for gene in now} == now
    assert (GENES.key(genome) != KEYS[name]) == (name in MENDED)
    assert GENES.key({gene: value for gene, value in genome.items() if gene not in now} | before) == KEYS[name]


@pytest.mark.parametrize("name", FILES)
def test_each_lies_in_a_space(name: str) -> None:
    space = "points" if name.startswith("points") else str(PHENOTYPES[name]["family"])
    assert ("anything" if space == "plain" else space) in INSIDE[name]


@pytest.mark.parametrize("space", SPACES)
def test_a_space_has_its_references_inside(space: str) -> None:
    assert [name for name in SPACES[space].reference if space not in INSIDE[name]] == []


@pytest.mark.parametrize(("name", "space"), [(name, space) for name in INSIDE for space in INSIDE[name]])
def test_entering_a_space_changes_little(name: str, space: str) -> None:
    """Choices stay; numbers go to a level nearby; no conflict makes a gene give way."""
    genome, moves = SPACES[space].snap(FILES[name].genome)
    GENES.read(genome)
    assert set(GENES.complete(genome)) == set(PHENOTYPES[name])
    for move in moves:
        assert GENES[move.gene].kind != "choice"
        old, new = float(move.old), float(move.new)
        assert abs(old - new) <= 0.02 or abs(math.log(new / old)) < 0.3, move


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_all_points_of_a_space_are_gans(space: Space) -> None:
    rng = Random(0)
    seen = set()
    for _ in range(200):
        genome = space.decode([rng.random() for _ in range(space.dimension)])
        assert GENES.read(genome) == genome
        assert space.decode(space.encode(genome)) == genome
        seen |= set(genome)
    assert seen >= {gene.name for gene in space.genes} - RARE  # every gene is active somewhere


RARE = {
    "js_weight",
    "label_embedding",
}  # of one divergence of ten and one loss of nine; of one norm of seven and one form of three


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_fixed_gene_applies_somewhere(space: Space) -> None:
    rng = Random(0)
    seen = set().union(*(space.decode([rng.random() for _ in range(space.dimension)]) for _ in range(100)))
    assert seen >= set(space.fixed)


def test_autogans_cells_are_all_there() -> None:
    space = SPACES["autogan_cells"]
    assert space.size == 36 * 72 * 144 == 373_248
    for gene in space.genes:
        assert gene.values == GENES[gene.name].values
    assert space.snap(FILES["autogan"].genome) == (
        Genome(space.fixed | {gene.name: GENES[gene.name].default for gene in space.genes}),
        [],
    )


def test_autogans_tokens_are_those_published() -> None:
    """1 0 1 1 | 1 0 0 1 1 | 1 0 1 0 3, each the place of a value in the gene's list."""
    genome = FILES["autogan"].genome
    tokens = [
        next(i for i, value in enumerate(GENES[name].values) if same(value, genome[name]))
        for name in GENES
        if name.startswith("cell")
    ]
    assert tokens == [1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 0, 3]


LUCIC = {  # arXiv:1711.10337, table of ranges: low, high of the exponents where logarithmic
    ("lucic_wide", "learning_rate"): ("log", -5, -2),
    ("lucic_wide", "clip"): ("log", -3, 0),
    ("lucic_wide", "gradient_penalty_weight"): ("log", -1, 2),
    ("lucic_wide", "began_rate"): ("log", -4, -2),
    ("lucic_wide", "began_gamma"): ("linear", 0, 1),
    ("lucic_wide", "critic_beta1"): ("linear", 0, 1),
    ("lucic_wide", "generator_beta1"): ("linear", 0, 1),
    ("lucic_narrow", "learning_rate"): ("log", -4, -3),
    ("lucic_narrow", "clip"): ("log", -2, 0),
    ("lucic_narrow", "gradient_penalty_weight"): ("log", -1, 1),
    ("lucic_narrow", "began_gamma"): ("linear", 0.6, 0.9),
    ("kurach", "learning_rate"): ("log", -5, -2),
    ("kurach", "gradient_penalty_weight"): ("log", -1, 2),
    ("kurach", "critic_regularization_weight"): ("log", -4, 1),
    ("kurach", "critic_beta2"): ("linear", 0, 1),
}


@pytest.mark.parametrize(("space", "name"), LUCIC)
def test_declared_ranges_are_those_published(space: str, name: str) -> None:
    gene = next(gene for gene in SPACES[space].genes if gene.name == name)
    scale, low, high = LUCIC[space, name]
    assert gene.low is not None and gene.high is not None
    assert gene.scale == scale
    ends = [math.log10(end) if scale == "log" else end for end in (gene.low, gene.high)]
    assert ends == pytest.approx([low, high], abs=1e-9 if scale == "log" else 0.011)  # a beta stays below 1


def test_the_studies_choices_are_those_published() -> None:
    wide, narrow, kurach = (SPACES[name] for name in ("lucic_wide", "lucic_narrow", "kurach"))
    values = {gene.name: set(gene.values) for gene in wide.genes}
    assert values["critic_steps"] == {1, 5}
    assert values["critic_norm"] == {"batch", "none"}
    for space, latent in ((wide, 64), (narrow, 64), (kurach, 128)):
        assert (space.fixed["batch_size"], space.fixed["latent"]) == (64, latent)
    assert narrow.fixed["critic_beta1"] == narrow.fixed["generator_beta1"] == 0.5
    assert narrow.fixed["critic_steps"] == 1


def test_the_size_of_a_space_with_conditions_and_conflicts() -> None:
    """Lucic et al., narrow, counted by hand."""
    rates = clips = weights = 21
    norms, gammas = 2, 31
    clipped = clips * norms
    scored = clipped + norms + weights * 1 + weights * norms  # a two-sided penalty bars batch norm
    began = norms * gammas  # an autoencoder is not clipped
    assert SPACES["lucic_narrow"].size == rates * (4 * scored + began)


@pytest.mark.parametrize("space", ["lucic_wide", "wdcgan_wide", "sngan", "resnet_architecture"])
def test_the_size_of_a_space_by_sampling(space: str) -> None:
    """A point of the cube falls on a genome with probability 1/prod n, over its active genes of n levels each, if no
    conflict has to be solved. So where none has, prod n is on average the number of genomes, and 0 elsewhere.
    """
    here, rng = SPACES[space], Random(0)
    counts = []
    for _ in range(4000):
        vector = [rng.random() for _ in here.genes]
        genome = here.decode(vector)
        drawn = {gene.name: gene.level(u) for gene, u in zip(here.genes, vector, strict=True)}
        solved = any(not same(genome[name], drawn[name]) for name in genome if name in drawn)
        counts.append(0 if solved else math.prod(len(gene.grid) for gene in here.genes if gene.name in genome))
    mean = sum(counts) / len(counts)
    error = math.sqrt(sum((count - mean) ** 2 for count in counts)) / len(counts)
    assert abs(mean - here.size) <= 4 * error + 1e-9 * here.size
    assert error < 0.1 * here.size


def test_the_size_of_anything() -> None:
    """It contains, for one, all of AutoGAN's cells with each critic, loss and schedule."""
    space = SPACES["anything"]
    count = {gene.name: len(gene.grid) for gene in space.genes}
    always = math.prod(n for name, n in count.items() if not space.conditions[name])
    assert space.size > always * SPACES["autogan_cells"].size
    assert space.size < math.prod(count.values())
    assert not any(holds(conflict.values, space.decode([0.5] * space.dimension)) for conflict in space.conflicts)
