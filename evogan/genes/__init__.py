"""The gene table: every gene the zoo understands. Plain data; nothing here builds a network.

Genes that cannot live together mostly cannot be written together, since each says when it applies; the conflicts are
the rest. The defaults are those of the published WDCGAN.
"""

from __future__ import annotations

from evogan.genes.losses import AUTOENCODING, LABELLED, LOSSES, SCORED
from evogan.genes.networks import NETWORKS
from evogan.genes.penalties import PENALTIES, REGULARIZATIONS
from evogan.genes.schedule import SCHEDULE
from evogan.genome import Conflict, GeneTable

__all__ = ["AUTOENCODING", "GENES", "LABELLED", "SCORED"]

CONFLICTS = [
    *(
        Conflict(
            {"critic_norm": ("batch",), penalty: values},
            "batch norm couples the images of a batch, so there is no gradient of one image to penalise: "
            "critic_norm = layer, instance, group or none",
        )
        for penalty, values in {
            "gradient_penalty": ("two_sided", "one_sided"),
            "zero_penalty": ("r1", "r2", "r1_r2"),
        }.items()
    ),
    Conflict(
        {"critic_constraint": ("clip",), "loss": AUTOENCODING},
        "an autoencoder's energy needs no bound on its slope, and clipped weights reconstruct nothing",
    ),
    *(
        Conflict(
            {f"{player}_regularization": REGULARIZATIONS, "growing": (True,)},
            "it would draw layers that are not in use yet to nothing",
        )
        for player in ("critic", "generator")
    ),
    Conflict(
        {"backbone": ("progressive", "stylegan"), "loss": AUTOENCODING},
        "an autoencoder as critic is built with the other backbones only",
    ),
]

GENES = GeneTable([*NETWORKS, *LOSSES, *PENALTIES, *SCHEDULE], CONFLICTS)
