"""Genes of Lipschitz control, penalties, and what else holds a player back."""

from __future__ import annotations

from evogan.families.shared.losses import SCORED
from evogan.families.shared.sources import PGGAN, WGAN
from evogan.genome import Conflict, TableGene, Value
from evogan.genome.define import choice, number, only

JACOBIAN = "Odena et al., arXiv:1802.08768"
CLAMPED = only("jacobian_clamping", True)
REGULARIZATIONS = ("spectral", "orthogonal", "off_diagonal", "l2", "spectral_exact")


def _sigma(player: str) -> tuple[TableGene, ...]:
    return (
        number(
            f"{player}_sigma",
            0.01,
            100.0,
            1.0,
            "what the top singular value of each layer is brought down to",
            "BigGAN, arXiv:1809.11096",
            log=True,
            acts="number",
            changes=True,
            **only(f"{player}_constraint", "sigma_clamp"),
        ),
        choice(
            f"{player}_sigma_unit",
            ("one", "second"),
            "one",
            "what that is counted in: it stands for itself, or for so many times (1 or more: less shrinks without end) "
            "the layer's second singular value",
            "BigGAN, arXiv:1809.11096, 4.1",
            **only(f"{player}_constraint", "sigma_clamp"),
        ),
    )


PENALTIES = [
    choice(
        "critic_constraint",
        ("clip", "spectral_norm", "sigma_clamp", "none", "weight_norm"),
        "clip",
        "what the critic's weights are held to; by weight_norm those of an output to a fixed length",
        "clip WGAN, arXiv:1701.07875; spectral_norm arXiv:1802.05957; sigma_clamp BigGAN, arXiv:1809.11096; "
        "weight_norm arXiv:1602.07868",
    ),
    number(
        "clip",
        1e-4,
        10.0,
        0.01,
        "critic weights are clipped to [-clip, clip] after each critic step",
        WGAN,
        log=True,
        critic_constraint="clip",
        acts="number",
        changes=True,
    ),
    choice(
        "clipped",
        ("weights", "parameters"),
        "weights",
        "what is clipped: weights of layers, or as in WGAN's code biases, and gains and biases of norms, too",
        WGAN,
        critic_constraint="clip",
    ),
    *_sigma("critic"),
    choice(
        "constrained_head",
        (True, False),
        True,
        "whether that holds for the critic's last dense layer",
        "RaGAN, arXiv:1807.00734",
        critic_constraint=("spectral_norm", "clip", "sigma_clamp", "weight_norm"),
        loss=SCORED,
    ),
    choice(
        "generator_constraint",
        ("none", "spectral_norm", "sigma_clamp"),
        "none",
        "what the generator's weights are held to",
        "SAGAN, arXiv:1805.08318; BigGAN, arXiv:1809.11096",
    ),
    *_sigma("generator"),
    choice(
        "gradient_penalty",
        ("none", "two_sided", "one_sided", "dragan"),
        "none",
        "the critic's gradient is drawn to norm 1: between reals and fakes, from above only, or around reals",
        "WGAN-GP, arXiv:1704.00028; DRAGAN, arXiv:1705.07215",
        loss=SCORED,
    ),
    number(
        "gradient_penalty_weight",
        0.001,
        1000.0,
        10.0,
        "lambda of the gradient penalty",
        "WGAN-GP, arXiv:1704.00028",
        log=True,
        gradient_penalty=("two_sided", "one_sided", "dragan"),
        acts="number",
        changes=True,
    ),
    choice(
        "zero_penalty",
        ("none", "r1", "r2", "r1_r2"),
        "none",
        "the critic's gradient is drawn to 0: at reals, at fakes, at both",
        "arXiv:1801.04406",
        loss=SCORED,
    ),
    number(
        "zero_penalty_weight",
        0.0001,
        1000.0,
        10.0,
        "gamma, of gamma/2 E |gradient|^2",
        "arXiv:1801.04406",
        log=True,
        zero_penalty=("r1", "r2", "r1_r2"),
        acts="number",
        changes=True,
    ),
    number(
        "drift",
        0.0,
        1.0,
        0.0,
        "weight of E r^2, which keeps scores near 0",
        PGGAN,
        loss=SCORED,
        acts="number",
        changes=True,
        switch=True,
    ),
    number(
        "lecam",
        0.0,
        10.0,
        0.0,
        "weight of the regulariser against the scores' running means",
        "LeCam, arXiv:2104.03310",
        loss=SCORED,
        acts="number",
        changes=True,
        switch=True,
    ),
    *(
        gene
        for player in ("critic", "generator")
        for gene in (
            choice(
                f"{player}_regularization",
                ("none", *REGULARIZATIONS),
                "none",
                f"what the {player}'s weights are drawn to: small top singular values, orthogonal rows, off-diagonal "
                "terms of W W' to 0, small squares; spectral follows the singular vectors by one power iteration a "
                "step, and is 3 % low at first, spectral_exact decomposes the weights",
                "spectral arXiv:1705.10941; orthogonal arXiv:1609.07093; off_diagonal BigGAN, arXiv:1809.11096; "
                "l2 arXiv:1807.04720",
            ),
            number(
                f"{player}_regularization_weight",
                1e-7,
                100.0,
                1e-4,
                "its weight",
                "BigGAN, arXiv:1809.11096",
                log=True,
                acts="number",
                changes=True,
                **only(f"{player}_regularization", *REGULARIZATIONS),
            ),
        )
    ),
    choice(
        "jacobian_clamping",
        (False, True),
        False,
        "whether the generator pays for images that a step of 1 of the latent moves too little or too far",
        JACOBIAN,
    ),
    number(
        "jacobian_weight",
        1e-4,
        1000.0,
        1.0,
        "weight of that",
        JACOBIAN,
        log=True,
        acts="number",
        changes=True,
        **CLAMPED,
    ),
    number(
        "jacobian_low",
        0.01,
        10.0,
        1.0,
        "less is too little",
        JACOBIAN,
        log=True,
        acts="number",
        changes=True,
        **CLAMPED,
    ),
    number(
        "jacobian_high",
        10.0,
        1000.0,
        20.0,
        "more is too far",
        JACOBIAN,
        log=True,
        acts="number",
        changes=True,
        **CLAMPED,
    ),
    choice(
        "minibatch",
        ("none", "std", "discrimination"),
        "none",
        "what the critic sees of the whole batch: its standard deviation, or distances in a learned space",
        "std PGGAN, arXiv:1710.10196; discrimination arXiv:1606.03498",
        loss=SCORED,
    ),
]
OF_JACOBIANS = frozenset(gene.name for gene in PENALTIES if gene.name.startswith("jacobian_"))


def not_of_batch_norm(norm: str, others: str, **more: tuple[Value, ...]) -> tuple[Conflict, ...]:
    """What a critic cannot have whose norm is this gene; with `more` genes where these have such values. `others`: its
    values that go with it."""
    of_one_image = {"gradient_penalty": ("two_sided", "one_sided"), "zero_penalty": ("r1", "r2", "r1_r2")}
    reason = "batch norm couples the images of a batch, so there is no gradient of one image to penalise"
    return tuple(
        Conflict({**more, norm: ("batch",), penalty: values}, f"{reason}: {norm} = {others}")
        for penalty, values in of_one_image.items()
    )
