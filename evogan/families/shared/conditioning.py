"""Genes of conditioning: how a label enters generator and critic."""

from __future__ import annotations

from evogan.families.shared.losses import SCORED
from evogan.genome.define import choice, number

ACGAN = "ACGAN, arXiv:1610.09585"

CONDITIONING = [
    choice(
        "condition",
        ("none", "labels"),
        "none",
        "what is given: the classes of the images are asked for, and shown to the critic",
        "CGAN, arXiv:1411.1784",
        loss=SCORED,
    ),
    choice(
        "generator_label",
        ("one_hot", "product", "none"),
        "one_hot",
        "how the latent takes the class: one-hot beside it, times an embedding as long as it, or not at all",
        "CGAN, arXiv:1411.1784",
        condition="labels",
    ),
    choice(
        "label_norm",
        ("none", "per_class", "shared"),
        "none",
        "the generator's batch norms have gains and biases for each class: of their own, or linear in one embedding",
        "per_class arXiv:1610.07629, arXiv:1802.05637; shared BigGAN, arXiv:1809.11096",
        condition="labels",
        generator_norm="batch",
    ),
    number(
        "label_embedding",
        1,
        1024,
        128,
        "size of that embedding",
        "BigGAN, arXiv:1809.11096",
        log=True,
        label_norm="shared",
    ),
    choice(
        "critic_label",
        ("planes", "embedded_plane", "projection", "auxiliary", "two_heads"),
        "planes",
        "how the critic takes the class: a constant plane a class beside the image, an embedding as a plane, a product "
        "of an embedding with its last features; or it does not, but has a head that tells the class, or one that "
        "tells whether image and class match",
        "planes CGAN, arXiv:1411.1784; projection arXiv:1802.05637; auxiliary ACGAN, arXiv:1610.09585",
        condition="labels",
    ),
    number(
        "wrong_label",
        0.0,
        0.9,
        0.0,
        "share of real images with a wrong class among what the critic is to call fake",
        "Reed et al., arXiv:1605.05396",
        critic_label=("planes", "embedded_plane", "projection"),
        acts="number",
        changes=True,
        switch=True,
    ),
    number(
        "class_loss_real",
        0.0,
        10.0,
        1.0,
        "weight of the cross-entropy of the class head on reals, in the critic's loss",
        ACGAN,
        critic_label="auxiliary",
        acts="number",
        changes=True,
    ),
    number(
        "class_loss_fake",
        0.0,
        10.0,
        0.0,
        "the same on fakes",
        ACGAN,
        critic_label="auxiliary",
        acts="number",
        changes=True,
    ),
    number(
        "class_loss_generator",
        0.0,
        10.0,
        1.0,
        "weight of the same in the generator's loss",
        ACGAN,
        critic_label="auxiliary",
        acts="number",
        changes=True,
    ),
    number(
        "match_loss",
        0.0,
        10.0,
        1.0,
        "weight of the matching head's loss, of both players",
        "StackGAN++, arXiv:1710.10916",
        critic_label="two_heads",
        acts="number",
        changes=True,
    ),
]
