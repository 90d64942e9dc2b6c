"""Translation without pairs: CycleGAN, and what is a setting of it."""

from __future__ import annotations

from collections.abc import Container

from evogan.families.family import Family
from evogan.families.plain.family import PLAIN
from evogan.families.shared.losses import OF_SCORES
from evogan.families.shared.penalties import OF_JACOBIANS, PENALTIES
from evogan.families.shared.schedule import OF_TURNS
from evogan.families.translation.family import CYCLEGAN, TRANSLATION
from evogan.genome import Conflict
from evogan.genome.define import choice, number, only

SOURCES, IMAGES = "sources", "images"  # the first domain, and the last one
SOURCE_LABELS = "source_labels"  # the classes of the first one's images, where they are known


def domain_fields(domains: int) -> tuple[str, ...]:
    """The fields of the data that hold their images, each in a stream of its own."""
    return (SOURCES, *(f"domain_{i}" for i in range(1, domains - 1)), IMAGES)


def domains_of(fields: Container[str]) -> tuple[str, ...]:
    """Those that are there."""
    domains = 2
    while f"domain_{domains - 1}" in fields:
        domains += 1
    return domain_fields(domains)


XGAN = "XGAN, arXiv:1711.05139"
FADER = "Lample et al., arXiv:1706.00409"
STARGAN = "StarGAN, arXiv:1711.09020"
DTN = "DTN, arXiv:1611.02200"
CYCADA = "CyCADA, arXiv:1711.03213"
TAUGHT = only("task", "source", "both")
AUGMENTED = "Augmented CycleGAN, arXiv:1802.10151"
LATENT = only("latent_planes", *range(1, 65))
CODED = only("translators", "autoencoders")

GENES = (
    choice(
        "translators",
        ("apart", "autoencoders", "one"),
        "apart",
        "how images get from one domain to another: by a network each way, between two; by the encoder of the one and "
        "the decoder of the other; by one network for all, which is told the target, as its critic tells domains apart",
        f"apart {CYCLEGAN}; autoencoders ComboGAN, arXiv:1712.06909; one {STARGAN}",
    ),
    number(
        "shared_blocks",
        0,
        8,
        0,
        "residual blocks that all encoders end with, and all decoders begin with, at most all that they have",
        XGAN,
        **CODED,
    ),
    number(
        "code_cycle",
        0.0,
        1000.0,
        0.0,
        "weight of the mean absolute difference of an image's code and that of its translation",
        XGAN,
        acts="number",
        changes=True,
        switch=True,
        **CODED,
    ),
    choice(
        "code_game",
        ("none", "reversal", "other"),
        "none",
        "whether a further part of the critic tells domains apart by codes, and what encoders want of it, with p the "
        "chance that it gives to the right one: log p, or -log(1 - p)",
        f"reversal {XGAN}; other {FADER}",
        **CODED,
    ),
    number(
        "code_adversary",
        0.001,
        100.0,
        1.0,
        "the weight of that in the translators' loss",
        f"{XGAN}; {FADER}",
        log=True,
        acts="number",
        changes=True,
        code_game=("reversal", "other"),
    ),
    choice(
        "critic_classes",
        (2, 3),
        2,
        "what a critic tells apart: real images and translations; or, as a third class, what is made of images that "
        "are of the domain already, which translators want to be taken for real, too",
        DTN,
        **only("translators", "apart", "autoencoders"),
    ),
    number(
        "class_loss",
        0.0,
        100.0,
        1.0,
        "weight of the cross-entropy of domains: of real images in the critic's loss, of translations in the other",
        STARGAN,
        acts="number",
        changes=True,
        **only("translators", "one"),
    ),
    number(
        "latent_loss",
        0.0,
        100.0,
        0.0,
        "weight of the mean absolute difference of a translation's latent and the one that is inferred from it",
        AUGMENTED,
        acts="number",
        changes=True,
        switch=True,
        **LATENT,
    ),
    number(
        "latent_adversary",
        0.0,
        100.0,
        1.0,
        "weight in the translators' loss of the critics of inferred latents",
        AUGMENTED,
        acts="number",
        changes=True,
        **LATENT,
    ),
    choice(
        "task",
        ("none", "source", "both"),
        "none",
        "what a further player learns to classify: nothing; images of the first domain, whose classes are known; and "
        "apart from these their translations to the last one",
        f"source {DTN}; both {CYCADA}",
    ),
    number("task_filters", 4, 256, 32, "width of its first layer", DTN, log=True, **TAUGHT),
    number(
        "task_lr_ratio",
        0.01,
        100.0,
        1.0,
        "its learning rate over the critic's",
        CYCADA,
        log=True,
        acts="input",
        changes=True,
        **TAUGHT,
    ),
    number(
        "feature_consistency",
        0.0,
        1000.0,
        0.0,
        "weight of the mean square of what changes in the features of its first classifier, from image to translation",
        DTN,
        acts="number",
        changes=True,
        switch=True,
        **TAUGHT,
    ),
    number(
        "semantic_loss",
        0.0,
        100.0,
        0.0,
        "weight of the first classifier's cross-entropy of translations and the classes that it gives to their images",
        CYCADA,
        acts="number",
        changes=True,
        switch=True,
        **TAUGHT,
    ),
    number(
        "task_loss",
        0.0,
        100.0,
        0.0,
        "weight of the second classifier's cross-entropy of translations to the last domain, in the translators' loss",
        CYCADA,
        acts="number",
        changes=True,
        switch=True,
        **only("task", "both"),
    ),
    number(
        "feature_adversary",
        0.0,
        100.0,
        0.0,
        "weight in the second classifier's loss of -log p, p the chance to be translations that a further part of the "
        "critic, which sees its logits alone, gives to images of the last domain",
        CYCADA,
        acts="number",
        changes=True,
        switch=True,
        **only("task", "both"),
    ),
    number(
        "total_variation",
        0.0,
        100.0,
        0.0,
        "weight of the mean length of the gradient of translations",
        DTN,
        acts="number",
        changes=True,
        switch=True,
    ),
    number(
        "cycle_loss",
        0.0,
        1000.0,
        10.0,
        "weight of the mean absolute difference of an image and what comes back of it from another domain",
        CYCLEGAN,
        acts="number",
        changes=True,
        switch=True,
    ),
    number(
        "identity_loss",
        0.0,
        1000.0,
        0.0,
        "the same of an image and what is made of it as one that is of the domain already",
        CYCLEGAN,
        acts="number",
        changes=True,
        switch=True,
    ),
    number(
        "history_pool",
        0,
        1000,
        50,
        "images made earlier, which a critic is shown in place of half of the new ones; 0 = new ones alone",
        "Shrivastava et al., arXiv:1612.07828; CycleGAN, arXiv:1703.10593",
    ),
)

# of the plain GAN: what is not of its backbones, nor of its games
KEPT = frozenset(
    {
        *("filters", "slope", "equalized_lr", "init", "init_std"),
        *(*OF_SCORES, *OF_TURNS, "mirror"),
        *(gene.name for gene in PENALTIES),
    }
) - {"constrained_head", "minibatch", "lecam", *OF_JACOBIANS}

# of translation in pairs
SHARED = frozenset(
    {
        *("translator", "unet_levels", "translator_blocks", "translator_norm", "translator_dropout"),
        *("latent_planes", "patch_layers", "patch_filters", "patch_norm", "adversarial"),
    }
)

CONFLICTS = (
    Conflict(
        {"family": ("domains",), "adversarial": (0.0,), "cycle_loss": (0.0,), "identity_loss": (0.0,)},
        "nothing would train the translators",
    ),
    Conflict(
        {"translators": ("autoencoders", "one"), "latent_planes": LATENT["latent_planes"]},
        "latents enter networks that lead one way: translators = apart",
    ),
    Conflict(
        {"translators": ("autoencoders", "one"), "translator": ("unet",)},
        "a U-Net is neither cut in two nor told the target: translator = resnet",
    ),
    Conflict(
        {"family": ("domains",), "translator": ("srresnet",)},
        "its pixel shuffles lead to larger images, and those of all domains are of one size",
    ),
)

DOMAINS = Family(
    name="domains",
    title="Images from one domain to another, without pairs",
    source="Zhu et al., arXiv:1703.10593",
    players=(*PLAIN.players, "task"),
    sometimes={"task": TAUGHT},
    counted="critic",
    needs=frozenset({"domains"}),
    genes=(
        *(gene for gene in PLAIN.genes if gene.name in KEPT),
        *(gene for gene in TRANSLATION.genes if gene.name in SHARED),
        *GENES,
    ),
    conflicts=(*TRANSLATION.conflicts, *CONFLICTS),
    measures=(
        *("fid", "truth_distance", "cycle_error", "cycle_error_noise", "identity_error"),
        *("l1", "psnr", "ssim", "gan_test_error", "task_error"),
    ),
    model="evogan.families.domains.model",
    stackable=True,
)
