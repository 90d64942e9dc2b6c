"""Images from noise by levels of growing size, each a GAN of its own: LAPGAN, StackGAN, StackGAN++."""

from __future__ import annotations

from evogan.families.family import Family
from evogan.families.plain.family import PLAIN
from evogan.families.shared.conditioning import CONDITIONING
from evogan.families.shared.losses import AUTOENCODING, OF_SCORES
from evogan.families.shared.penalties import OF_JACOBIANS, PENALTIES, REGULARIZATIONS, not_of_batch_norm
from evogan.families.shared.schedule import OF_TURNS
from evogan.genome import Conflict
from evogan.genome.define import choice, number

LAPGAN = "LAPGAN, arXiv:1506.05751"
STACKGAN = "StackGAN, arXiv:1612.03242"
STACKGAN2 = "StackGAN++, arXiv:1710.10916"
NORMS = ("batch", "layer", "instance", "group", "none")
MOST_DRAWN = 1024  # numbers of a condition

GENES = (
    number(
        "levels",
        1,
        6,
        3,
        "sizes of images, each half the next; where a side cannot be halved so often down to 4, as often as it can",
        LAPGAN,
    ),
    choice(
        "level_given",
        ("image", "maps"),
        "image",
        "what a level is given of the one below: its image, or the maps that this is made of",
        f"image {LAPGAN}; maps {STACKGAN2}",
    ),
    choice(
        "level_residual",
        (True, False),
        True,
        "whether a level adds to the image below, enlarged as in a Laplacian pyramid, or makes one anew",
        f"True {LAPGAN}; False {STACKGAN}",
    ),
    choice(
        "level_learns_from",
        ("real", "made"),
        "real",
        "what it is given while it learns: real images, reduced, so that levels are independent, or what is made below",
        f"real {LAPGAN}; made {STACKGAN}",
        level_given="image",
    ),
    choice(
        "levels_in_turn",
        (False, True),
        False,
        "one level after another learns, each for an equal part of the budget, and stays as it is then; or all at once",
        STACKGAN,
    ),
    number("level_noise", 0, 64, 1, "planes of noise that enter at each level but the first", LAPGAN),
    number(
        "base_units",
        0,
        4096,
        0,
        "units of each of two dense layers that generator and critic of the smallest level are made of; "
        "0 = convolutions, as at the others",
        LAPGAN,
        level_given="image",
    ),
    number("level_blocks", 0, 16, 2, "residual blocks of each of these", STACKGAN2),
    choice("level_norm", NORMS, "batch", "normalisation in the generators", STACKGAN),
    choice("level_critic_norm", NORMS, "batch", "normalisation in the critics", STACKGAN),
    number("level_critic_filters", 4, 1024, 64, "width of each critic's first layer", STACKGAN, log=True),
    choice(
        "level_sees_low",
        (False, True),
        False,
        "whether a level's critic is shown the enlarged image below beside the whole",
        LAPGAN,
    ),
    number(
        "condition_augmentation",
        0,
        MOST_DRAWN,
        0,
        "numbers of a condition that is drawn, c ~ N(m, s^2) with m and s of the class; 0 = the class itself",
        STACKGAN,
        condition="labels",
        latent_prior="normal",
    ),
    number(
        "condition_kl",
        0.0,
        100.0,
        1.0,
        "weight of the divergence of that distribution from N(0, 1), the mean over its numbers",
        STACKGAN,
        condition_augmentation=tuple(range(1, MOST_DRAWN + 1)),
        acts="number",
        changes=True,
    ),
    number(
        "colour_mean",
        0.0,
        1000.0,
        0.0,
        "weight of |m_k - m_(k-1)|^2, m the mean colour of an image and of the one below",
        STACKGAN2,
        acts="number",
        changes=True,
        switch=True,
    ),
    number(
        "colour_covariance",
        0.0,
        1000.0,
        0.0,
        "weight of |S_k - S_(k-1)|^2, S the covariances of their colours",
        STACKGAN2,
        acts="number",
        changes=True,
        switch=True,
    ),
)

# of the plain GAN: what is not of its backbones, nor of its other games
KEPT = frozenset(
    {
        *("filters", "slope", "generator_slope", "equalized_lr", "init", "init_std"),
        *("latent", "latent_prior", "truncation"),
        *(*OF_SCORES, "divergence_generator", "feature_matching"),
        *(*OF_TURNS, "instance_noise", "input_noise", "augmentation", "mirror"),
        *(gene.name for gene in (*PENALTIES, *CONDITIONING)),
    }
) - {"generator_label", "label_norm", "label_embedding", "constrained_head", "lecam", *OF_JACOBIANS}

CONFLICTS = (
    Conflict({"level_given": ("image", "maps"), "loss": AUTOENCODING}, "the critics of a ladder are no autoencoders"),
    *not_of_batch_norm("level_critic_norm", "layer, instance, group or none"),
    *(
        Conflict(
            {f"{player}_regularization": REGULARIZATIONS, "levels_in_turn": (True,)},
            "it would draw levels whose turn it is not to nothing",
        )
        for player in PLAIN.players
    ),
)

LADDER = Family(
    name="ladder",
    title="Images by levels of growing size",
    source="Denton et al., arXiv:1506.05751",
    players=PLAIN.players,
    counted="critic",
    genes=(*(gene for gene in PLAIN.genes if gene.name in KEPT), *GENES),
    conflicts=CONFLICTS,
    measures=("fid", "kid"),
    model="evogan.families.ladder.model",
    stackable=True,
)
