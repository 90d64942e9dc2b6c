"""The losses of `evogan.zoo.losses`, as lines of code: of scores r of reals and f of fakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Genes = Mapping[str, Any]
Write = Callable[[str], str]


@dataclass(frozen=True)
class Loss:
    """Means over the batch, of scores that have a name: `real` and `fake` are the critic's, `generator` the other's.

    `formula`: both, in words of mathematics. `names`: what an f-divergence puts between scores and loss.
    """

    real: Write
    fake: Write
    generator: Write
    formula: tuple[str, str]
    activation: str = ""
    conjugate: str = ""
    divergence: str = ""


def _cross_entropy(y: float | str) -> Write:
    """Of a score and its target, which is 0, 1, another number, or has a name."""
    if y == 1:
        return lambda t: f"F.softplus(-{t}).mean()"
    if y == 0:
        return lambda t: f"F.softplus({t}).mean()"
    rest = f"(1 - {y})" if isinstance(y, str) else repr(round(1 - y, 12))
    return lambda t: f"({y} * F.softplus(-{t}) + {rest} * F.softplus({t})).mean()"


def _square(factor: float, target: float | str) -> Write:
    times = "" if factor == 1 else f"{factor} * "
    if isinstance(target, str):
        return lambda t: f"{times}({t} - {target}).square().mean()"
    difference = (
        (lambda t: t) if target == 0 else (lambda t: f"({t} {'-' if target > 0 else '+'} {_short(abs(target))})")
    )
    return lambda t: f"{times}{difference(t)}.square().mean()"


def _short(x: float) -> str:
    return repr(int(x)) if x == int(x) else repr(x)


# g and f* o g of evogan.zoo.divergences, of v that are clamped where e^|v| appears
DIVERGENCES = {
    "total_variation": ("torch.tanh(v) / 2", "torch.tanh(v) / 2", ""),
    "kl": ("v", "torch.exp(v - 1)", "max=20.0"),
    "reverse_kl": ("-torch.exp(-v)", "v - 1", "min=-20.0"),
    "pearson": ("v", "v.square() / 4 + v", ""),
    "neyman": ("-torch.expm1(-v)", "-2 * torch.expm1(-v / 2)", "min=-20.0"),
    "hellinger": ("-torch.expm1(-v)", "torch.expm1(v)", "-20.0, 20.0"),
    "js": ("math.log(2) - F.softplus(-v)", "F.softplus(v) - math.log(2)", ""),
    "gan": ("-F.softplus(-v)", "F.softplus(v)", ""),
}


def loss(genes: Genes) -> Loss:
    """Of a complete phenotype. Targets that are not 1 and 0 are numbers, or `y_real` and `y_fake` if noisy."""
    noisy = genes.get("label_noise", 0.0) > 0
    real: float | str = "y_real" if noisy else round(1 - genes.get("label_smoothing", 0.0), 12)
    fake: float | str = "y_fake" if noisy else 0.0
    cross = "E S(-r) + E S(f), S = softplus" if real == 1 else "cross-entropies of r and f with smoothed targets"
    match genes["loss"]:
        case "minimax":
            return Loss(
                _cross_entropy(real), _cross_entropy(fake), lambda f: f"-F.softplus({f}).mean()", (cross, "-E S(f)")
            )
        case "non_saturating":
            return Loss(_cross_entropy(real), _cross_entropy(fake), _cross_entropy(1), (cross, "E S(-f)"))
        case "maximum_likelihood":
            return Loss(
                _cross_entropy(real),
                _cross_entropy(fake),
                lambda f: f"-torch.exp({f}.clamp(max=20.0)).mean()",
                (cross, "-E e^f"),
            )
        case "least_squares":
            return _least_squares(genes, real, fake)
        case "wasserstein":
            return Loss(
                lambda r: f"-{r}.mean()", lambda f: f"{f}.mean()", lambda f: f"-{f}.mean()", ("E f - E r", "-E f")
            )
        case "hinge":
            return Loss(
                lambda r: f"F.relu(1 - {r}).mean()",
                lambda f: f"F.relu(1 + {f}).mean()",
                lambda f: f"-{f}.mean()",
                ("E relu(1 - r) + E relu(1 + f)", "-E f"),
            )
        case "f_divergence":
            activation, conjugate, limits = DIVERGENCES[genes["divergence"]]
            saddle = genes.get("divergence_generator", "practical") == "saddle"
            clamped = f"v.clamp({limits})" if limits else "v"
            return Loss(
                lambda r: f"-activation({r}).mean()",
                lambda f: f"conjugate({f}).mean()",
                (lambda f: f"-conjugate({f}).mean()") if saddle else (lambda f: f"-activation({f}).mean()"),
                ("-E g(r) + E f*(g(f))", "-E f*(g(f))" if saddle else "-E g(f)"),
                activation.replace("v", clamped),
                conjugate.replace("v", clamped),
                genes["divergence"].replace("_", " "),
            )
        case "ebgan":
            return Loss(
                lambda r: f"{r}.mean()",
                lambda f: f"F.relu({genes['margin']!r} - {f}).mean()",
                lambda f: f"{f}.mean()",
                (f"E r + E relu({_short(genes['margin'])} - f), r and f reconstruction errors", "E f"),
            )
        case _:
            return Loss(
                lambda r: f"{r}.mean()",
                lambda f: f"-k * {f}.mean()",
                lambda f: f"{f}.mean()",
                ("E r - k E f, r and f reconstruction errors", "E f"),
            )


def _least_squares(genes: Genes, y_real: float | str, y_fake: float | str) -> Loss:
    relativistic = genes.get("relativistic", "none") != "none"
    factor, a, b, goal = {"zero_one": (0.5, 0.0, 1.0, 1.0), "pearson": (0.5, -1.0, 1.0, 0.0)}[
        genes.get("ls_targets", "zero_one")
    ]
    if relativistic:
        factor, a, b, goal = 1.0, -1.0, 1.0, 1.0

    def target(y: float | str) -> float | str:
        if not isinstance(y, str):
            return round(a + (b - a) * y, 12)
        return y if (a, b) == (0, 1) else f"({_short(a)} + {_short(b - a)} * {y})"

    half, words = ("" if relativistic else "/2"), (target(y_real), target(y_fake))
    said = [f"E ({name} - ({word}))^2{half}" for name, word in zip("rf", words, strict=True)]
    return Loss(
        _square(factor, words[0]),
        _square(factor, words[1]),
        _square(factor, goal),
        (
            " + ".join(said).replace("(0.0)", "0").replace("(1.0)", "1").replace("(-1.0)", "(-1)"),
            f"E (f - {_short(goal)})^2{half}",
        ),
    )
