"""Genes of the adversarial losses."""

from __future__ import annotations

from evogan.families.shared.sources import EDL, IMPROVED
from evogan.genome.define import choice, number

SCORED = ("minimax", "non_saturating", "least_squares", "wasserstein", "hinge", "f_divergence", "maximum_likelihood")
AUTOENCODING = ("ebgan", "began")  # the critic is an autoencoder: what it fails to reconstruct is fake
LABELLED = ("minimax", "non_saturating", "least_squares", "maximum_likelihood")

LOSSES = [
    choice(
        "loss",
        (*SCORED, *AUTOENCODING),
        "wasserstein",
        "adversarial loss",
        "minimax, non_saturating arXiv:1406.2661; least_squares arXiv:1611.04076; wasserstein arXiv:1701.07875; "
        "hinge arXiv:1705.02894; f_divergence arXiv:1606.00709; maximum_likelihood arXiv:1701.00160; "
        "ebgan arXiv:1609.03126; began arXiv:1703.10717",
        acts="loss",
    ),
    choice(
        "relativistic",
        ("none", "pairs", "average"),
        "none",
        "a real is judged against a fake, or against the fakes' average",
        "arXiv:1807.00734",
        loss=("non_saturating", "least_squares", "hinge"),
    ),
    choice(
        "ls_targets",
        ("zero_one", "pearson"),
        "zero_one",
        "targets for fake, real and what the generator aims at: 0, 1, 1 or -1, 1, 0",
        "LSGAN, arXiv:1611.04076",
        loss="least_squares",
        relativistic="none",
        acts="loss",
    ),
    choice(
        "divergence",
        (
            "total_variation",
            "kl",
            "reverse_kl",
            "pearson",
            "neyman",
            "hellinger",
            "jeffrey",
            "js",
            "js_weighted",
            "gan",
        ),
        "js",
        "the f-divergence that the critic bounds",
        "f-GAN, arXiv:1606.00709",
        loss="f_divergence",
        acts="loss",
    ),
    number(
        "js_weight",
        0.01,
        0.99,
        0.5,
        "weight pi of the data in the weighted JS divergence",
        "f-GAN, arXiv:1606.00709",
        divergence="js_weighted",
        acts="loss",
    ),
    choice(
        "feature_matching",
        ("off", "added", "alone"),
        "off",
        "the generator matches the critic's mean last hidden features: beside its loss, or instead of it",
        IMPROVED,
    ),
    choice(
        "divergence_generator",
        ("practical", "saddle"),
        "practical",
        "the generator minimises -E T, or the divergence's bound -E f*(T)",
        "f-GAN, arXiv:1606.00709, 3.2",
        loss="f_divergence",
        feature_matching=("off", "added"),
        acts="loss",
    ),
    number(
        "label_smoothing",
        0.0,
        0.5,
        0.0,
        "the target of reals is 1 less this (one-sided)",
        IMPROVED,
        loss=LABELLED,
        acts="input",
    ),
    number(
        "label_noise",
        0.0,
        0.5,
        0.0,
        "targets are moved inwards by U(0, this), for every image anew",
        EDL,
        loss=LABELLED,
        acts="input",
    ),
    number(
        "code", 1, 1024, 64, "size of the autoencoder's code", "EBGAN, arXiv:1609.03126", log=True, loss=AUTOENCODING
    ),
    number(
        "margin",
        0.01,
        1000.0,
        10.0,
        "the energy that fakes are pushed up to",
        "EBGAN, arXiv:1609.03126",
        log=True,
        loss="ebgan",
        acts="number",
    ),
    number(
        "pull_away",
        0.0,
        10.0,
        0.0,
        "weight of the term that keeps the codes of fakes apart",
        "EBGAN, arXiv:1609.03126",
        loss="ebgan",
        acts="number",
        switch=True,
    ),
    number(
        "began_gamma",
        0.01,
        1.0,
        0.75,
        "diversity: the balance of fakes' and reals' losses",
        "BEGAN, arXiv:1703.10717",
        loss="began",
        acts="number",
    ),
    number(
        "began_rate",
        1e-5,
        0.1,
        0.001,
        "how fast k follows that balance",
        "BEGAN, arXiv:1703.10717",
        log=True,
        loss="began",
        acts="number",
    ),
    choice(
        "reconstruction_norm",
        (1, 2),
        1,
        "power of the pixels' reconstruction errors",
        "BEGAN, arXiv:1703.10717",
        loss="began",
    ),
]
