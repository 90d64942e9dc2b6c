"""Images of several domains from one latent, learned without pairs: CoGAN."""

from __future__ import annotations

from evogan.families.family import Family
from evogan.families.ladder.family import KEPT as OF_LADDERS
from evogan.families.ladder.family import LADDER
from evogan.families.plain.family import PLAIN
from evogan.families.shared.conditioning import CONDITIONING
from evogan.families.shared.losses import AUTOENCODING
from evogan.families.shared.penalties import not_of_batch_norm
from evogan.genome import Conflict
from evogan.genome.define import number

COGAN = "CoGAN, arXiv:1606.07536"

GENES = (
    number(
        "coupled_layers",
        0,
        16,
        16,
        "layers that the generators of all domains begin with and have in common, at most all but the last",
        COGAN,
    ),
    number(
        "coupled_critic_layers",
        0,
        16,
        16,
        "layers that their critics end with and have in common, at most all but the first",
        COGAN,
    ),
)

KEPT = OF_LADDERS - {gene.name for gene in CONDITIONING} - {"minibatch"}
SHARED = frozenset({"level_norm", "level_critic_norm", "level_critic_filters"})

CONFLICTS = (
    Conflict({"family": ("coupled",), "loss": AUTOENCODING}, "coupled critics are no autoencoders"),
    *not_of_batch_norm("level_critic_norm", "layer, instance, group or none", family=("coupled",)),
)

COUPLED = Family(
    name="coupled",
    title="One latent, an image in every domain",
    source="Liu and Tuzel, arXiv:1606.07536",
    players=PLAIN.players,
    counted="critic",
    needs=frozenset({"domains"}),
    genes=(
        *(gene for gene in PLAIN.genes if gene.name in KEPT),
        *(gene for gene in LADDER.genes if gene.name in SHARED),
        *GENES,
    ),
    conflicts=CONFLICTS,
    measures=("fid", "truth_distance", "l1", "psnr", "ssim"),
    model="evogan.families.coupled.model",
    stackable=True,
)
