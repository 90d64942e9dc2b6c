"""GANs with a player that goes from image to code: a published system is a set of weights in one design."""

from __future__ import annotations

from collections.abc import Mapping

from evogan.families.family import Family
from evogan.families.plain.family import CONFLICTS, NORM, PLAIN
from evogan.families.shared.losses import AUTOENCODING, LOSSES
from evogan.families.shared.networks import NETWORKS
from evogan.families.shared.penalties import PENALTIES
from evogan.families.shared.schedule import SCHEDULE
from evogan.genome import Conflict, Value
from evogan.genome.define import choice, number, only

INFOGAN = "InfoGAN, arXiv:1606.03657"
BIGAN = "BiGAN, arXiv:1605.09782"
ALI = "ALI, arXiv:1606.00704"
VAE = "VAE, arXiv:1312.6114"
VAE_GAN = "VAE-GAN, arXiv:1512.09300"

OF_CODES = ("head", "network")  # values of the gene `encoder`
APART = ("network", "inverse")  # where it is a player
MOST_CATEGORIES, MOST_NUMBERS = 1000, 100  # of a code
INVERSE = only("encoder", "inverse")
CRITIC_NORM = next(gene for gene in NETWORKS if gene.name == "critic_norm")  # encoders are built as critics

INFERENCE_GENES = [
    choice(
        "encoder",
        (*OF_CODES, "inverse"),
        "head",
        "what goes from image to code: a head on the critic's last features, or a network of its own, that finds a "
        "code beside the latent; or such a network that finds the latent itself",
        "head InfoGAN, arXiv:1606.03657; inverse BiGAN, arXiv:1605.09782, VAE-GAN, arXiv:1512.09300",
    ),
    number(
        "code_categories",
        0,
        MOST_CATEGORIES,
        10,
        "values of the code's category, beside the latent; 0 = it has none",
        INFOGAN,
        encoder=OF_CODES,
    ),
    number("code_continuous", 0, MOST_NUMBERS, 2, "numbers of the code, each U(-1, 1)", INFOGAN, encoder=OF_CODES),
    number("head_units", 4, 1024, 128, "hidden units of the head", INFOGAN, log=True, encoder="head"),
    number(
        "mutual_information",
        0.001,
        100.0,
        1.0,
        "lambda: weight of -log Q(category | image) in the losses of generator, encoder, and a critic with a head",
        INFOGAN,
        log=True,
        acts="number",
        changes=True,
        code_categories=tuple(range(1, MOST_CATEGORIES + 1)),
    ),
    number(
        "continuous_information",
        0.001,
        100.0,
        1.0,
        "the same of the numbers, with Gaussians of variance 1",
        INFOGAN,
        log=True,
        acts="number",
        changes=True,
        code_continuous=tuple(range(1, MOST_NUMBERS + 1)),
    ),
    choice(
        "critic_sees",
        ("pair", "image"),
        "pair",
        "a real image with the latent that is inferred from it against a fake with its own; or images alone",
        "pair BiGAN, arXiv:1605.09782; image VAE-GAN, arXiv:1512.09300",
        **INVERSE,
    ),
    choice(
        "pair_entry",
        ("plane", "features"),
        "plane",
        "how the critic takes the latent: an embedding as one more plane of the image (of dense networks a part of "
        "their input), or in dense layers on its last features",
        "plane BiGAN, arXiv:1605.09782; features ALI, arXiv:1606.00704",
        critic_sees="pair",
    ),
    number("pair_units", 4, 2048, 512, "units of these layers", ALI, log=True, pair_entry="features"),
    choice(
        "fakes",
        ("generated", "both", "three_class"),
        "both",
        "what the critic is to call fake: images of latents from the prior alone; reconstructions too; or these apart, "
        "as a third class",
        VAE_GAN,
        critic_sees="image",
    ),
    choice(
        "posterior",
        ("point", "gaussian"),
        "point",
        "what is inferred: one latent, or a normal distribution of latents that one is drawn from",
        "point BiGAN, arXiv:1605.09782; gaussian VAE, arXiv:1312.6114, ALI, arXiv:1606.00704",
        encoder="inverse",
        latent_prior="normal",
    ),
    number(
        "kl",
        1e-5,
        100.0,
        1.0,
        "weight of that distribution's divergence from the prior",
        VAE,
        log=True,
        acts="number",
        changes=True,
        posterior="gaussian",
    ),
    number(
        "feature_reconstruction",
        0.0,
        1000.0,
        0.0,
        "weight of |h(x) - h(G(E(x)))|^2/2, h the critic's last features, in the encoder's loss",
        VAE_GAN,
        acts="number",
        switch=True,
        changes=True,
        **INVERSE,
    ),
    number(
        "pixel_reconstruction",
        0.0,
        1000.0,
        0.0,
        "the same of pixels",
        VAE,
        acts="number",
        switch=True,
        changes=True,
        **INVERSE,
    ),
    number(
        "reconstruction_gamma",
        1e-8,
        1000.0,
        1.0,
        "both in the generator's loss, over their weights in the encoder's",
        VAE_GAN,
        log=True,
        acts="number",
        changes=True,
        **INVERSE,
    ),
    number(
        "latent_cycle",
        0.0,
        1000.0,
        0.0,
        "weight of |z - E(G(z))|^2/2 in both losses",
        "InfoGAN, arXiv:1606.03657, of the whole latent",
        acts="number",
        switch=True,
        changes=True,
        **INVERSE,
    ),
    choice(
        "encoder_norm",
        ("batch", "layer", "instance", "group", "none"),
        "batch",
        "normalisation in the encoder",
        BIGAN,
        encoder=APART,
        backbone=tuple(name for name in NORM.when["backbone"] if name in CRITIC_NORM.when["backbone"]),
    ),
    number(
        "encoder_lr_ratio",
        0.01,
        1e5,
        1.0,
        "the encoder's learning rate over the critic's",
        BIGAN,
        log=True,
        acts="input",
        changes=True,
        encoder=APART,
    ),
    number("encoder_steps", 1, 20, 1, "encoder steps per iteration", BIGAN, acts="input", changes=True, encoder=APART),
]


def code_of(genes: Mapping[str, Value]) -> dict[str, int]:
    """The parts of the code, and how long each is, of a complete phenotype."""
    if genes["encoder"] == "inverse":
        return {"latent": int(genes["latent"])}
    sizes = {"category": int(genes["code_categories"]), "continuous": int(genes["code_continuous"])}
    return {name: size for name, size in sizes.items() if size}


OTHER_GAMES = ("unrolled", "unrolled_rate", "evolution", "evolution_gamma")  # of a critic and a generator alone

INFERENCE = Family(
    name="inference",
    title="GAN with an encoder",
    source="InfoGAN, arXiv:1606.03657",
    players=("critic", "generator", "encoder"),
    sometimes={"encoder": {"encoder": APART}},
    counted="critic",
    genes=(
        *NETWORKS,
        *(gene for gene in LOSSES if gene.name not in OTHER_GAMES),
        *PENALTIES,
        *SCHEDULE,
        *INFERENCE_GENES,
    ),
    conflicts=(
        *CONFLICTS,
        Conflict(
            {"family": ("inference",), "loss": AUTOENCODING},
            "an autoencoder as critic has neither features for a head nor scores for pairs",
        ),
        Conflict({"code_categories": (0, 1), "code_continuous": (0,)}, "there is no code to find in an image"),
        Conflict(
            {
                "critic_sees": ("image",),
                "feature_reconstruction": (0.0,),
                "pixel_reconstruction": (0.0,),
                "latent_cycle": (0.0,),
            },
            "nothing would train the encoder",
        ),
        Conflict(
            {"critic_sees": ("pair",), "critic_norm": ("virtual_batch",)},
            "virtual batch norm's reference images have no latents",
        ),
        Conflict(
            {"encoder": ("head",), "critic_norm": ("batch",), "gradient_penalty": ("dragan",)},
            "batch norm would keep statistics of the penalty's points for the images to encode",
        ),
    ),
    measures=(*PLAIN.measures, "clustering_error", "reconstruction_ratio", "code_nn_error"),
    model="evogan.families.inference.model",
    stackable=True,
    code=code_of,
)
