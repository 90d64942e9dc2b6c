"""Translation without pairs: CycleGAN, and what is a setting of it."""

from __future__ import annotations

from collections.abc import Container

from evogan.families.family import Family
from evogan.families.plain.family import PLAIN
from evogan.families.shared.penalties import PENALTIES
from evogan.families.translation.family import CYCLEGAN, TRANSLATION
from evogan.genome import Conflict
from evogan.genome.define import number

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


GENES = (
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
        *("loss", "relativistic", "ls_targets", "divergence", "js_weight", "label_smoothing", "label_noise"),
        *("batch_size", "critic_steps", "critic_pretraining", "critic_long_steps", "generator_steps", "learning_rate"),
        *("lr_ratio", "lr_decay", "ema", "historical_averaging", "mirror"),
        *(gene.name for gene in PENALTIES),
    }
) - {
    *("constrained_head", "minibatch", "lecam"),
    *("jacobian_clamping", "jacobian_weight", "jacobian_low", "jacobian_high"),
}

# of translation in pairs
SHARED = frozenset(
    {
        *("translator", "unet_levels", "translator_blocks", "translator_norm", "translator_dropout"),
        *("patch_layers", "patch_filters", "patch_norm", "adversarial"),
    }
)

DOMAINS = Family(
    name="domains",
    title="Images from one domain to another, without pairs",
    source="Zhu et al., arXiv:1703.10593",
    players=PLAIN.players,
    counted="critic",
    needs=frozenset({"domains"}),
    genes=(
        *(gene for gene in PLAIN.genes if gene.name in KEPT),
        *(gene for gene in TRANSLATION.genes if gene.name in SHARED),
        *GENES,
    ),
    conflicts=(
        *TRANSLATION.conflicts,
        Conflict(
            {"family": ("domains",), "translator": ("srresnet",)},
            "its pixel shuffles lead to larger images, and those of all domains are of one size",
        ),
    ),
    measures=(
        *("fid", "truth_distance", "cycle_error", "cycle_error_noise", "identity_error"),
        *("l1", "psnr", "ssim", "gan_test_error"),
    ),
    model="evogan.families.domains.model",
    stackable=True,
)
