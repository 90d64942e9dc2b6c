"""A GAN as one file of PyTorch: `evogan export code`.

A template holds a block of code for whatever a genome can ask for; what it does not ask for is not there, and numbers
stand where they are used. The file draws what evogan draws, in the same order from generators with the same seeds, so
its losses are those of evogan, up to rounding.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from evogan.data.image import SUFFIXES
from evogan.errors import UserError
from evogan.export.code.format import WIDTH, formatted
from evogan.export.code.losses import loss
from evogan.export.code.networks import CHAINS, Networks, networks
from evogan.export.code.support import check_supported
from evogan.families.build import check
from evogan.families.family import image_fields
from evogan.families.plain.model import generator_rows
from evogan.genes import GENES, LABELLED
from evogan.genome import Genome
from evogan.stable import derive_seed
from evogan.version import __version__
from evogan.zoo.augment import POLICIES
from evogan.zoo.backbones import is_conditional

Genes = Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What a file is to train: a genome, for images of this form.

    `seed`: of a training of evogan's, whose losses are the file's. `kimg`: what it trains for if not asked otherwise.
    `name`: of the file, without its ending. `command`: that made it.
    """

    genome: Genome
    image_size: int
    channels: int
    classes: int
    seed: int
    kimg: float
    name: str
    title: str
    source: str
    command: str


def write_code(wanted: Wanted) -> str:
    """The file's text. Errors: UserError for a GAN that there is no code for, or none for such images."""
    genome = wanted.genome
    check_supported(genome)
    if (wanted.image_size, wanted.channels) == (1, 2):
        raise UserError("no code is written for GANs of points, which it would take for images")
    check(genome, image_fields(wanted.image_size, wanted.channels, wanted.classes))
    genes = GENES.complete(genome)
    template = environment().get_template("gan.py.j2")
    return formatted(template.render(_context(wanted, genes)))


@cache
def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("evogan.export.code"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["replaced"] = lambda text, pad: text.replace("@@", " " * 12 + pad)
    made.filters["join"] = lambda items, by="": by.join(map(str, items))
    return made


class Absent(dict[str, Any]):
    """Genes that do not apply are as if they were off."""

    def __missing__(self, name: str) -> Any:
        default = GENES[name].default if name in GENES else None
        return 0 if isinstance(default, int | float) else "none"


def _context(wanted: Wanted, genes: Genes) -> dict[str, Any]:
    conditional = is_conditional(genes)
    classes = wanted.classes if conditional else 0
    g, net = Absent(genes), networks(genes, wanted.image_size, wanted.channels, classes)
    batch = int(genes["batch_size"])
    found = _of_critic(g, net, conditional) | _of_generator(g, net, conditional)
    found |= _of_losses(g) | _of_weights(g, net) | _of_views(g)
    found |= _of_loop(g, conditional, found)
    layers = "\n".join(_everything(net))
    return found | {
        "g": g,
        "net": net,
        "layers": layers,
        "size": wanted.image_size,
        "channels": wanted.channels,
        "classes": classes,
        "conditional": conditional,
        "batch": batch,
        "generator_batch": generator_rows(batch, genes),
        "backbone": genes["backbone"],
        "chains": CHAINS,
        "transposed": "ConvTranspose2d" in layers,
        "pixel_shuffle": "PixelShuffle" in layers,
        "seeds": {
            "generator": derive_seed(wanted.seed, "init", "generator"),
            "critic": derive_seed(wanted.seed, "init", "critic"),
            "vectors": derive_seed(wanted.seed, "init"),
            "order": derive_seed(wanted.seed, "order"),
            "noise": derive_seed(wanted.seed, "noise"),
        },
        "ema": genes["ema"] if genes["ema"] > 0 else 0,
        "sampled": "average" if genes["ema"] > 0 else "generator",
        "version": __version__,
        "command": _quoted(wanted.command),
        "file": f"{_quoted(wanted.name)}.py",
        "out": _quoted(wanted.name),
        "kimg": float(wanted.kimg),
        "suffixes": SUFFIXES,
        "title": _quoted(wanted.title),
        "about": "\n".join(textwrap.wrap(_quoted(wanted.source) or "A GAN that was found.", WIDTH)),
        "norm": genes.get("reconstruction_norm", "l2"),
        "erf": repr(math.erf(g["truncation"] / math.sqrt(2))) if g["truncation"] else "",
        "pad": "",
    }


def _quoted(text: str) -> str:
    """Harmless in a string of the file."""
    return re.sub(r"[\x00-\x1f]", " ", text).replace("\\", "/").replace('"', "'")


def _everything(net: Networks) -> list[str]:
    chains = [chain for chain in (net.generator, net.critic, net.decoder) if chain is not None]
    lines = [line for chain in chains for line in chain.layers]
    for part in net.parts.values():
        lines += _lines(part)
    lines += ["MinibatchStd("] * (net.parts.get("minibatch") == "std")
    return [*lines, *(["SelfAttention("] if net.parts.get("attention") is not None else []), net.head]


def _lines(part: Any) -> list[str]:
    if isinstance(part, dict):
        return _lines([*part.values()])
    if isinstance(part, list | tuple):
        return [line for item in part for line in _lines(item)]
    return [part] if isinstance(part, str) else []


def _of_critic(g: Absent, net: Networks, conditional: bool) -> dict[str, Any]:
    label = g["critic_label"] if conditional else "none"
    masks = ""
    if net.critic is not None and net.critic.shapes:
        masks = "noise" if g["backbone"] == "improved_mlp" else "masks"
    said = ["features"] * (g["feature_matching"] not in ("off", "none") or g["pull_away"] > 0)
    said += ["classes"] * (label in ("auxiliary", "two_heads"))
    given = (", y: Tensor" if conditional else "") + (
        f", {'masks' if masks == 'masks' else 'noises'}: list[Tensor]" if masks else ""
    )

    def unpacked(name: str, used: Sequence[str]) -> str:
        return ", ".join([name, *(f"{name}_{what}" if what in used else "_" for what in said)])

    judged = {  # by the critic's own step
        "r": label == "two_heads" or g["class_loss_real"],
        "f": label == "auxiliary" and g["class_loss_fake"],
    }

    matching = g["feature_matching"] in ("added", "alone")
    return {
        "critic_label": label,
        "masks": masks,
        "masks_name": masks,
        "said": said,
        "said_too": "".join(f", and {what}" for what in said),
        "critic_given_types": given,
        "critic_returns": f"tuple[{', '.join(['Tensor'] * (1 + len(said)))}]" if said else "Tensor",
        "entered": label in ("planes", "embedded_plane"),
        "unpacked": lambda name: unpacked(name, ("classes",) if judged.get(name) else ()),
        "unpacked_real": unpacked("r", ("features",) if matching else ()),
        "unpacked_fake": unpacked(
            "f",
            (
                *(("features",) if matching or g["pull_away"] > 0 else ()),
                *(("classes",) if label == "two_heads" or g["class_loss_generator"] else ()),
            ),
        ),
        "wrong": g["wrong_label"] > 0 or label == "two_heads",
        "slopes": g["gradient_penalty"] != "none" or g["zero_penalty"] != "none",
        "slope_arguments": f"critic: Critic, x: Tensor{given}",
        "slope_call": "x"
        + (", y" if conditional else "")
        + (f", {'masks' if masks == 'masks' else 'noises'}" if masks else ""),
        "penalty": g["gradient_penalty"] if g["gradient_penalty"] != "none" else "",
    }


def _of_generator(g: Absent, net: Networks, conditional: bool) -> dict[str, Any]:
    norms = g["label_norm"] if conditional else "none"
    parts = net.parts.get("split", [])
    part = parts[1] if len(parts) > 1 else 0
    net.parts["given"] = norms != "none" or part > 0
    shared = int(g["label_embedding"]) if norms == "shared" else 0
    blocks = net.parts.get("blocks", 0)
    net.parts["sizes"] = [size + shared for size in (parts[1:] or [0] * (blocks if isinstance(blocks, int) else 0))]
    return {
        "generator_label": g["generator_label"] if conditional else "none",
        "label_norm": norms,
        "given_types": ", y: Tensor" if conditional else "",
        "condition": "y" if norms == "per_class" else "c",
        "condition_bias": norms == "none",
        "conditional_norms": "ConditionalNorm",
        "generator_masks": net.generator is not None and bool(net.generator.shapes),
        "styled": g["backbone"] == "stylegan",
        "growing": bool(g["growing"]),
    }


def _of_losses(g: Absent) -> dict[str, Any]:
    written, labelled = loss(g), g["loss"] in LABELLED
    hard = {**g, "label_smoothing": 0.0, "label_noise": 0.0}
    alone = g["feature_matching"] == "alone"
    critic, generator = written.formula
    relativistic = g["relativistic"]
    if relativistic != "none":
        to = "the other's" if relativistic == "pairs" else "the others' mean"
        critic = f"{critic}, each score less {to}"
        generator = "the same with reals and fakes exchanged"
    if g["evolution"]:
        generator = "-E S(f), E S(-f) or E (s(f) - 1)^2, whichever makes the fittest child"
    if alone:
        generator = "|E h(x) - E h(G(z))|^2, h the critic's last features"
    return {
        "loss": written,
        "loss_hard": loss(Absent(hard)),
        "hard": g["label_smoothing"] == 0 and g["label_noise"] == 0,
        "formulas": {"critic": critic, "generator": generator},
        "beside": _beside(g),
        "relativistic": relativistic,
        "labelled": labelled,
        "noisy": labelled and g["label_noise"] > 0,
        "alone": alone,
        "began": g["loss"] == "began",
        "lecam": g["lecam"],
        "pull_away": g["pull_away"],
        "plus": _plus,
        "matches_real": relativistic != "none" or g["feature_matching"] in ("added", "alone"),
    }


def _beside(g: Absent) -> dict[str, list[str]]:
    """What the players pay beside their adversarial losses, as formulas."""
    weight, gamma = _number(g["gradient_penalty_weight"]), _number(g["zero_penalty_weight"])
    label, points = g["critic_label"], "y between a real and a fake"
    critic = {
        "two_sided": [f"{weight} E (|grad C(y)| - 1)^2, {points}"],
        "one_sided": [f"{weight} E relu(|grad C(y)| - 1)^2, {points}"],
        "dragan": [f"{weight} E (|grad C(y)| - 1)^2, y around a real"],
    }.get(g["gradient_penalty"], [])
    critic += {
        "r1": [f"{gamma}/2 E |grad C(x)|^2"],
        "r2": [f"{gamma}/2 E |grad C(G(z))|^2"],
        "r1_r2": [f"{gamma}/2 (E |grad C(x)|^2 + E |grad C(G(z))|^2)"],
    }.get(g["zero_penalty"], [])
    critic += [f"{_number(g['drift'])} E r^2"] * (g["drift"] > 0)
    critic += [f"{_number(g['lecam'])} LeCam's pull to the scores' means"] * (g["lecam"] > 0)
    generator = []
    if label == "auxiliary":
        for of, weight in (("reals", g["class_loss_real"]), ("fakes", g["class_loss_fake"])):
            critic += [f"{_number(weight)} cross-entropy of the classes of {of}"] * (weight > 0)
        weight = g["class_loss_generator"]
        generator += [f"{_number(weight)} cross-entropy of the classes of fakes"] * (weight > 0)
    elif label == "two_heads":
        critic.append(f"{_number(g['match_loss'])} (E S(-m(x, y)) + E S(m(x, wrong y))), m how well they match")
        generator.append(f"{_number(g['match_loss'])} E S(-m(G(z), y))")
    generator += ["|E h(x) - E h(G(z))|^2, h the critic's last features"] * (g["feature_matching"] == "added")
    generator += [f"{_number(g['pull_away'])} mean cos^2 between the codes of fakes"] * (g["pull_away"] > 0)
    generator += [f"{_number(g['jacobian_weight'])} Jacobian clamping"] * bool(g["jacobian_clamping"])
    drawn = {
        "l2": "1/2 sum of w^2",
        "orthogonal": "|WW' - 1|^2",
        "off_diagonal": "|WW' off its diagonal|^2",
        "spectral_exact": "1/2 sum of sigma(W)^2",
    }
    held = [f"{_number(g['historical_averaging'])} |w - its mean so far|^2"] * (g["historical_averaging"] > 0)
    for player, terms in (("critic", critic), ("generator", generator)):
        if (kind := g[f"{player}_regularization"]) != "none":
            terms.append(f"{_number(g[f'{player}_regularization_weight'])} {drawn[kind]}, of all layers")
        terms += held
    return {"critic": critic, "generator": generator}


def _number(x: float) -> str:
    return f"{x:g}"


def _plus(a: str, b: str) -> str:
    if a.startswith("-") and not b.startswith("-"):
        a, b = b, a
    return f"{a} - {b[1:]}" if b.startswith("-") else f"{a} + {b}"


def _of_weights(g: Absent, net: Networks) -> dict[str, Any]:
    constraints = {g["critic_constraint"], g["generator_constraint"]} - {"none", "clip"}
    regularizations = sorted({g[f"{p}_regularization"] for p in ("critic", "generator")} - {"none"})
    free = not g.get("constrained_head", True) and g["critic_constraint"] in ("spectral_norm", "weight_norm")
    growing = g["backbone"] in ("progressive", "stylegan")
    residual = (
        g["backbone"] in ("resnet", "autogan") and g["init"] in ("xavier", "orthogonal") and not g["equalized_lr"]
    )
    gains = growing or residual
    gain = 'getattr(layer, "gain", 1.0)' if gains else ""
    words = {
        "normal": f"N(0, {g['init_std']})",
        "xavier": "uniform as of Glorot and Bengio",
        "he": "normal as of He et al.",
        "orthogonal": "orthogonal",
        "none": "N(0, 1), which are scaled where they are used",
    }[g["init"]]
    parametrized = []
    if "weight_norm" in constraints:
        parametrized.append(SimpleNamespace(function="normalise_lengths", module="WeightNorm", but=free))
    if g["equalized_lr"]:
        parametrized.append(SimpleNamespace(function="equalize", module="Equalized", but=False))
    return {
        "constraints": constraints,
        "parametrized": bool(constraints) or bool(g["equalized_lr"]),
        "weights_parametrized": parametrized,
        "singular": "spectral_norm" in constraints,
        "matrices": "spectral_norm" in constraints or bool(regularizations),
        "regularizations": regularizations,
        "regularization_names": {
            kind: "regularization" if len(regularizations) == 1 else kind for kind in regularizations
        },
        "historical": g["historical_averaging"] > 0,
        "free_head": free,
        "gains": gains,
        "gain": gain or "1",
        "he": 'getattr(layer, "gain", math.sqrt(2)) / math.sqrt(fan_in)' if growing else "math.sqrt(2 / fan_in)",
        "gain_times": f"{gain} * " if gain else "",
        "init_words": words,
        "first_init": g["first_init"],
    }


def _of_views(g: Absent) -> dict[str, Any]:
    policies = POLICIES.get(g["augmentation"], ())
    noisy = g["instance_noise"] > 0 or g["input_noise"] > 0
    names = ["noise"] * noisy
    names += [
        name
        for policy, drawn in (
            ("color", ("brightness", "saturation", "contrast")),
            ("translation", ("shift",)),
            ("cutout", ("corner",)),
        )
        for name in drawn
        if policy in policies
    ]
    return {
        "policies": policies,
        "noisy_inputs": noisy,
        "views": bool(policies) or noisy,
        "view_names": ", ".join(names) if len(names) > 1 else f"({names[0]},)" if names else "",
    }


def _of_loop(g: Absent, conditional: bool, found: Mapping[str, Any]) -> dict[str, Any]:
    level, balance = ["level"] * (g["instance_noise"] > 0), ["balance"] * (g["loss"] == "began")
    labels, shown = ["y"] * conditional, found["matches_real"] or bool(g["evolution"])
    rates = {"critic": g["learning_rate"], "generator": g["learning_rate"] * g["lr_ratio"]}
    feeds = {
        "critic": ", ".join(["real", *labels]),
        "generator": ", ".join(["real" if shown else "_", *labels]) if shown or labels else "",
    }
    alone = -(-int(g["critic_pretraining"]) // int(g["critic_steps"]))
    plain = g["generator_steps"] == 1 and not alone
    types = {"generator": "Generator", "critic": "Critic", "rng": "torch.Generator", "level": "float"}
    types |= {"balance": "Balance", "means": "ScoreMeans"}
    return {
        "ema_steps": "iteration" if plain else "steps",
        "counts": any((g["instance_noise"], g["growing"], g["lr_decay"] != "none", alone, plain and g["ema"])),
        "typed": lambda given: ", ".join(f"{name}: {types.get(name, 'Tensor')}" for name in given),
        "evolves": bool(g["evolution"]),
        "rates": rates,
        "feeds": feeds,
        "critic_given": [
            *("generator", "critic", "real"),
            *labels,
            *level,
            *balance,
            *["means"] * (g["lecam"] > 0),
            "rng",
        ],
        "generator_given": ["generator", "critic", *["real"] * shown, *labels, *level, *balance, "rng"],
        "pretraining": alone,
        "optimizers": {player: _optimizer(g, player, rate) for player, rate in rates.items()},
    }


def _optimizer(g: Absent, player: str, rate: float) -> str:
    kind = g[f"{player}_optimizer"]
    name, more = {
        "adam": ("Adam", f"betas=({g[f'{player}_beta1']}, {g[f'{player}_beta2']})"),
        "rmsprop": ("RMSprop", f"alpha={g[f'{player}_rms_decay']}"),
        "sgd": ("SGD", f"momentum={g[f'{player}_momentum']}"),
    }[kind]
    return f"torch.optim.{name}({player}.parameters(), lr={rate!r}, {more})"
