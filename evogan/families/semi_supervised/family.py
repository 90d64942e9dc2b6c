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
    choice(
        "clusters",
        (0, 10, 20, 50, 100),
        0,
        "classes are those of as many clusters of the features, each with the class of the labelled images in it; 0: "
        "they are linear in the features",
        "S3GAN, arXiv:1903.02271, 3.1; by balanced assignments, SwAV, arXiv:2006.09882",
        classifier=("auxiliary", "player"),
    ),
    choice(
        "probe",
        (False, True),
        False,
        "whether the labelled images teach the last layer alone, on features that learn from something else",
        S3GAN,
        clusters=0,
        classifier=("auxiliary", "player"),
    ),
    choice(
        "rotation",
        (False, True),
        False,
        "whether the network that classifies also tells by how many quarters an image was turned",
        "SSGAN, arXiv:1811.11212; S3GAN, arXiv:1903.02271",
    ),
    number(
        "rotation_loss",
        0.0,
        10.0,
        1.0,
        "weight of that, on images without labels",
        "SSGAN, arXiv:1811.11212",
        rotation=True,
        acts="number",
        changes=True,
    ),
    number(
        "rotation_loss_generator",
        0.0,
        10.0,
        0.2,
        "the same on fakes, in the generator's loss",
        "SSGAN, arXiv:1811.11212",
        rotation=True,
        classifier=("logsumexp", "auxiliary"),
        acts="number",
        changes=True,
    ),
    choice(
        "pseudo_pairs",
        ("real", "fake"),
        "real",
        "what an image is to the critic that has a class by the classifier alone: real, with the most probable one, or "
        "fake, with one that is drawn, by which the third player learns, too",
        f"real {S3GAN}; fake {TRIPLE}",
        condition="labels",
    ),
    number(
        "pseudo_share",
        0.0,
        1.0,
        0.5,
        "their share of the reals, or of the fakes",
        TRIPLE,
        condition="labels",
        acts="number",
        changes=True,
    ),
    number(
        "pseudo_from",
        0.0,
        0.9,
        0.0,
        "the share of the budget from which on classes by the classifier count",
        TRIPLE,
        condition="labels",
        acts="input",
        switch=True,
    ),
    number(
        "generated_loss",
        0.0,
        10.0,
        0.0,
        "weight of the third player's cross-entropy on fakes of known class, counted from there on",
        TRIPLE,
        condition="labels",
        classifier="player",
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
        {"classifier": ("logsumexp",), "condition": ("labels",)},
        "the logits of the classes are the score: classifier = auxiliary or player",
    ),
    Conflict(
        {"classifier": ("auxiliary",), "critic_label": ("planes", "embedded_plane")},
        "the head would be shown the class that it is to tell: critic_label = projection",
    ),
    Conflict(
        {"classifier": ("auxiliary", "player"), "critic_label": ("auxiliary", "two_heads")},
        "the critic is to be shown pairs of image and class: critic_label = projection, planes or embedded_plane",
    ),
    Conflict(
        {"classifier": ("auxiliary",), "pseudo_pairs": ("fake",)},
        "the critic would be its own opponent: classifier = player",
    ),
    Conflict(
        {"pseudo_pairs": ("real", "fake"), "relativistic": ("pairs", "average")},
        "reals and fakes are of several kinds, and no real has a fake of its own",
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
    twin=lambda genes: {"unlabelled": "none"},
)
