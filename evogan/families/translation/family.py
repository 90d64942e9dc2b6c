"""Images from images, in pairs: pix2pix, SRGAN, and what is a setting of them."""

from __future__ import annotations

from collections.abc import Mapping

from evogan.families.family import Family
from evogan.families.plain.family import PLAIN
from evogan.families.shared.losses import AUTOENCODING, OF_SCORES
from evogan.families.shared.penalties import OF_JACOBIANS, PENALTIES, not_of_batch_norm
from evogan.families.shared.schedule import OF_TURNS
from evogan.genome import Conflict, Value
from evogan.genome.define import choice, number

PIX2PIX = "pix2pix, arXiv:1611.07004"
CYCLEGAN = "CycleGAN, arXiv:1703.10593"
SRGAN = "SRGAN, arXiv:1609.04802"
COLORGAN = "deepcolor, https://github.com/kvfrans/deepcolor"

GENES = (
    choice(
        "translator",
        ("unet", "resnet", "srresnet"),
        "unet",
        "the network that makes an image from an image: a U-Net; residual blocks at a quarter of the side; or at the "
        "source's own side, from which pixel shuffles double it",
        f"unet {PIX2PIX}; resnet {CYCLEGAN}; srresnet {SRGAN}",
    ),
    number(
        "unet_levels",
        1,
        8,
        8,
        "how often it halves the side; where that is not possible so often, as often as it is",
        PIX2PIX,
        translator="unet",
    ),
    number("translator_blocks", 0, 16, 9, "residual blocks", CYCLEGAN, translator=("resnet", "srresnet")),
    choice(
        "translation_kernel",
        (4, 5),
        4,
        "side of the kernels of a U-Net, and of a critic that is not SRGAN's",
        f"4 {PIX2PIX}; 5 {COLORGAN}",
    ),
    choice(
        "translator_norm",
        ("batch", "instance", "none"),
        "batch",
        "normalisation in the translator",
        f"batch {PIX2PIX}; instance {CYCLEGAN}",
    ),
    number(
        "translator_dropout",
        0.0,
        0.9,
        0.5,
        "share of activations dropped in its first three steps up, or within its residual blocks, while it trains",
        PIX2PIX,
        acts="input",
        changes=True,
        switch=True,
    ),
    number(
        "latent_planes",
        0,
        64,
        0,
        "numbers of a latent that enter beside the source, a plane each; 0 = the source alone",
        "arXiv:1711.11586",
    ),
    choice(
        "translation_critic",
        ("patches", "dense", "srgan"),
        "patches",
        "what the critic judges: every place by what is around; or the whole image, by a dense layer on the same maps, "
        "or by SRGAN's network",
        f"patches {PIX2PIX}; dense {COLORGAN}; srgan {SRGAN}",
    ),
    number("critic_units", 4, 4096, 1024, "its dense units", SRGAN, log=True, translation_critic="srgan"),
    number(
        "patch_layers",
        0,
        5,
        3,
        "how often the critic halves the side, where it can: patches are of 1, 16, 34, 70, 142 or 286 pixels a side",
        PIX2PIX,
    ),
    number("patch_filters", 4, 512, 64, "width of its first layer", PIX2PIX, log=True),
    choice("patch_norm", ("batch", "instance", "none"), "batch", "normalisation in the critic", PIX2PIX),
    choice(
        "patch_sees_source",
        (True, False),
        True,
        "whether the critic judges an image together with what it is made from",
        PIX2PIX,
    ),
    number(
        "adversarial",
        0.0,
        100.0,
        1.0,
        "weight of the adversarial loss in the translator's; 0 = it learns from the pixels alone",
        PIX2PIX,
        acts="number",
        changes=True,
        switch=True,
    ),
    number(
        "pixel_loss",
        0.0,
        1000.0,
        100.0,
        "weight of the distance to the true image, pixel by pixel",
        PIX2PIX,
        acts="number",
        changes=True,
    ),
    choice("pixel_norm", ("l1", "l2"), "l1", "the mean of what: of absolute differences, or of their squares", PIX2PIX),
    number(
        "critic_feature_loss",
        0.0,
        1000.0,
        0.0,
        "weight of the mean absolute difference of the critic's last features, of the made and of the true image",
        "pix2pixHD, arXiv:1711.11585",
        acts="number",
        changes=True,
        switch=True,
    ),
    number(
        "feature_loss",
        0.0,
        1000.0,
        0.0,
        "weight of the mean squared difference of the last maps that the network has of both images by whose features "
        "FID is computed",
        SRGAN,
        acts="number",
        changes=True,
        switch=True,
    ),
    number(
        "pixel_pretraining",
        0.0,
        0.9,
        0.0,
        "share of the budget in which the translator learns from the pixels alone first, with weight 1",
        SRGAN,
        acts="input",
        switch=True,
    ),
)

# of the plain GAN: what is not of its backbones, nor would tear pairs apart
KEPT = frozenset(
    {
        *("filters", "slope", "equalized_lr", "init", "init_std"),
        *(*OF_SCORES, "divergence_generator", "feature_matching"),
        *(*OF_TURNS, "instance_noise", "input_noise", "mirror"),
        *(gene.name for gene in PENALTIES),
    }
) - {"constrained_head", "minibatch", *OF_JACOBIANS}

CONFLICTS = (
    Conflict(
        {"translator": ("unet", "resnet", "srresnet"), "loss": AUTOENCODING},
        "the critic of patches is no autoencoder",
    ),
    *not_of_batch_norm("patch_norm", "instance or none"),
)


def pixels_alone(genes: Mapping[str, Value]) -> Mapping[str, Value]:
    """What a translator is held against."""
    twin: dict[str, Value] = {"adversarial": 0.0}
    if genes["feature_loss"]:
        twin["feature_loss"] = 0.0
    return twin if genes["pixel_loss"] else {**twin, "pixel_loss": 1.0}


TRANSLATION = Family(
    name="translation",
    title="Images from images, in pairs",
    source="Isola et al., arXiv:1611.07004",
    players=PLAIN.players,
    counted="critic",
    needs=frozenset({"pairs"}),
    genes=(*(gene for gene in PLAIN.genes if gene.name in KEPT), *GENES),
    conflicts=CONFLICTS,
    measures=("fid", "l1", "psnr", "ssim"),
    model="evogan.families.translation.model",
    stackable=True,
    twin=pixels_alone,
)
