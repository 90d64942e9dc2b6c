"""The plain GAN: images from noise, a generator against a critic, and every loss, penalty and trick between them."""

from __future__ import annotations

from evogan.families.family import Family
from evogan.families.shared.conditioning import CONDITIONING
from evogan.families.shared.losses import AUTOENCODING, LOSSES
from evogan.families.shared.networks import NETWORKS
from evogan.families.shared.penalties import PENALTIES, REGULARIZATIONS, not_of_batch_norm
from evogan.families.shared.schedule import SCHEDULE
from evogan.genome import Conflict

PLAYERS = ("critic", "generator")
BACKBONE, NORM = (next(gene for gene in NETWORKS if gene.name == name) for name in ("backbone", "generator_norm"))
UNHEARD = "the generator would not be told the class: generator_label = one_hot or product, or batch norms with classes"

CONFLICTS = (
    *not_of_batch_norm("critic_norm", "virtual_batch, layer, instance, group or none"),
    Conflict(
        {"critic_norm": ("virtual_batch",), "minibatch": ("std", "discrimination")},
        "minibatch layers would look at virtual batch norm's reference images too",
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
        for player in PLAYERS
    ),
    Conflict(
        {"backbone": ("progressive", "stylegan", "improved_mlp"), "loss": AUTOENCODING},
        "an autoencoder as critic is built with the other backbones only",
    ),
    Conflict(
        {"hierarchical_latent": (True,), "generator_label": ("one_hot",), "label_norm": ("none",)},
        "the class would be split with the latent, and reach a part of the blocks: batch norms of classes, or product",
    ),
    *(
        Conflict({"generator_label": ("none",), **otherwise}, UNHEARD)
        for otherwise in (
            {"label_norm": ("none",)},
            {"generator_norm": tuple(value for value in NORM.values if value != "batch")},
            {"backbone": tuple(value for value in BACKBONE.values if value not in NORM.when["backbone"])},
        )
    ),
)

PLAIN = Family(
    name="plain",
    title="Plain GAN",
    source="Goodfellow et al., arXiv:1406.2661",
    players=PLAYERS,
    counted="critic",
    genes=(*NETWORKS, *LOSSES, *CONDITIONING, *PENALTIES, *SCHEDULE),
    conflicts=CONFLICTS,
    measures=("fid", "kid", "normalized_loss"),
    model="evogan.families.plain.model",
    stackable=True,
    makes_points=True,
)
