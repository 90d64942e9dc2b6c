"""GANs that learn to classify from few labels and many images without: the game is what the many teach."""

from __future__ import annotations

from evogan.families.family import Family
from evogan.families.plain.family import PLAIN
from evogan.families.shared.losses import AUTOENCODING
from evogan.families.shared.sources import IMPROVED
from evogan.genome import Conflict
from evogan.genome.define import choice, number

TRIPLE = "TripleGAN, arXiv:1703.02291"
S3GAN = "S3GAN, arXiv:1903.02271"

GENES = (
    choice(
        "classifier",
        ("logsumexp", "auxiliary", "player"),
        "logsumexp",
        "who tells the classes: the critic, whose score is the log of the sum of their logits' exponentials, or a head "
        "of its own, or a third player, with the critic's layers",
        f"logsumexp {IMPROVED}; auxiliary S2GAN-CO, arXiv:1903.02271; player {TRIPLE}",
    ),
    choice(
        "unlabelled",
        ("gan", "none"),
        "gan",
        "what the images without labels are for: the game, or nothing: the supervised twin, which the labelled images "
        "alone teach in as many steps",
        "Oliver et al., arXiv:1804.09170",
    ),
    number(
        "supervised_loss",
        0.01,
        100.0,
        1.0,
        "weight of the classifier's cross-entropy on labelled images",
        IMPROVED,
        log=True,
        acts="number",
        changes=True,
    ),
    number(
        "classifier_average",
        0.0,
        0.99999,
        0.0,
        "decay of the moving average of the network that classifies, by which it is judged; as `ema`, 0 = off",
        IMPROVED,
        acts="number",
        changes=True,
        switch=True,
    ),
    number(
        "classifier_lr_ratio",
        0.01,
        100.0,
        1.0,
        "the third player's learning rate over the critic's",
        TRIPLE,
        log=True,
        acts="input",
        changes=True,
        classifier="player",
    ),
)

CONFLICTS = (
    Conflict(
        {"classifier": ("logsumexp", "auxiliary", "player"), "loss": AUTOENCODING},
        "an autoencoder as critic has no features of a class",
    ),
    Conflict(
        {"classifier": ("logsumexp", "auxiliary", "player"), "minibatch": ("std", "discrimination")},
        "the class of an image would depend on the other images",
    ),
    Conflict(
        {"classifier": ("logsumexp", "auxiliary", "player"), "condition": ("labels",)},
        "the images have no labels here",
    ),
)

SEMI_SUPERVISED = Family(
    name="semi_supervised",
    title="GAN with a classifier, of few labels",
    source="Salimans et al., arXiv:1606.03498",
    players=(*PLAIN.players, "classifier"),
    sometimes={"classifier": {"classifier": ("player",)}},
    counted="critic",
    needs=frozenset({"few_labels"}),
    genes=(*PLAIN.genes, *GENES),
    conflicts=(*PLAIN.conflicts, *CONFLICTS),
    measures=("error", "fid", "kid"),
    model="evogan.families.semi_supervised.model",
    stackable=True,
    twin={"unlabelled": "none"},
)
