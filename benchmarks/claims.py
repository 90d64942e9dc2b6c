"""Claims of the literature, tested again on small GANs: which is better, by how much, and how sure that is.

    python benchmarks/claims.py train          DATA (digits,mnist), KIMG (10), N (8 trainings an arm)
    python benchmarks/claims.py train C1 C25   some of them first; with EVOGAN_RUNS it goes on where it stopped
    python benchmarks/claims.py table          results/claims.json and the table of docs/claims.md, of what is there

A claim says of two arms which is the better one by a measure, over N fresh replicates of each at 8x8 pixels. An arm of
several settings is first tuned: each setting is trained once, on a replicate that does not count, and the best by FID
is the arm. What counts is the ratio of geometric means, with the 95 % interval of Welch's t. A claim
*holds* where the interval is all on its side of 1, *does not* where it is on the other, and is *not shown* where it
covers 1. With some thirty verdicts at 95 %, one or two may be luck. MNIST is read from EVOGAN_DATA.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _record import record
from safetensors.torch import load_file
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import entr, stdtrit
from scipy.stats import spearmanr
from torch import Tensor

import evogan
from evogan import shipped
from evogan.fitness import Scorer
from evogan.genes import GENES
from evogan.genome import Value
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.trial import Evaluation

ROOT = Path(__file__).parent.parent
RUNS = Path(os.environ.get("EVOGAN_RUNS", ROOT / "runs")) / "claims"
PAGE = ROOT / "docs" / "claims.md"
DATA = os.environ.get("DATA", "digits,mnist").split(",")
KIMG, N = float(os.environ.get("KIMG", "10")), int(os.environ.get("N", "8"))
TUNING, FRESH = 900, range(1000, 1000 + N)  # replicates
SMALL = {"filters": 32, "critic_filters": 32}
SAMPLED = 2000  # images of a generator that are looked at

Genes = Mapping[str, Value]


@dataclass(frozen=True)
class Trained:
    evaluation: Evaluation
    folder: Path
    data: str

    @property
    def scores(self) -> Sequence[Mapping[str, float]]:
        return self.evaluation.scores


# --- arms


@dataclass(frozen=True)
class Arm:
    """A published genome, narrowed to SMALL, with genes changed; `tuned`: the settings that it has the best of."""

    genome: str
    genes: Genes
    tuned: Sequence[Genes] = ({},)
    iterations: int | None = None  # of the generator, in place of KIMG

    def __or__(self, genes: Genes) -> Arm:
        return replace(self, genes={**self.genes, **genes})

    def over(self, *tuned: Genes) -> Arm:
        return replace(self, tuned=tuned)

    def updates(self, n: int) -> Arm:
        return replace(self, iterations=n)

    def train(self, data: str, setting: Genes, replicate: int) -> Trained:
        known = shipped.read_genome(self.genome).genome
        narrow = {name: width for name, width in SMALL.items() if name in known and data != "ring"}
        budget = {"kimg": KIMG} if self.iterations is None else {"iterations": self.iterations}
        changed = {**narrow, **self.genes, **setting}
        applies = GENES.complete({**known, **changed})  # some of another backbone do not
        genes = {name: value for name, value in known.items() if name in applies} | changed
        found, folder = evogan.train(genes, replicate=replicate, runs=RUNS, **budget, **task(data))
        return Trained(found, folder, data)

    def setting(self, data: str) -> Genes:
        """The best, where there are several."""
        if len(self.tuned) == 1:
            return self.tuned[0]
        return min(self.tuned, key=lambda setting: fid(self.train(data, setting, TUNING)))

    def all(self, data: str) -> list[Trained]:
        setting = self.setting(data)
        return [self.train(data, setting, replicate) for replicate in FRESH]


def task(data: str) -> dict[str, Any]:
    """Images of 8x8 pixels, with the feature networks for them that lie beside the tables."""
    if data in ("digits", "ring"):
        return {"data": data, "samples": SAMPLED}
    features = Path(__file__).parent / "tables" / f"{data}_8.safetensors"
    return {"data": data, "samples": SAMPLED, "image_size": 8, "features": str(features)}


# DCGAN at a batch and a rate that make something of so few images, in float32
BASE = Arm("dcgan", {"batch_size": 32, "learning_rate": 1e-3, "latent": 64, "latent_prior": "normal"})
RATES = tuple({"learning_rate": rate} for rate in (3e-4, 1e-3, 3e-3))
UNNORMED = BASE | {"critic_norm": "none"}
CLIP = UNNORMED | {"loss": "wasserstein", "critic_constraint": "clip", "clip": 0.05}
CLIPPED = CLIP.over(*({"clip": clip, **rate} for clip in (0.01, 0.05, 0.2) for rate in RATES))
PENALTY = UNNORMED | {"loss": "wasserstein", "gradient_penalty": "two_sided", "gradient_penalty_weight": 10.0}
SPECTRAL = UNNORMED | {"loss": "hinge", "critic_constraint": "spectral_norm"}
RMSPROP: Genes = {"critic_optimizer": "rmsprop", "critic_rms_decay": 0.99}
CGAN = Arm("cgan", {})
MLP: Genes = {"backbone": "mlp", "filters": 128, "critic_norm": "none"}
PGGAN = Arm("pggan", {"batch_size": 16}).over(*RATES)
BIGGAN = Arm("biggan", {"batch_size": 32, "critic_steps": 1, "ema": 0.99, "learning_rate": 5e-4})
POINTS = Arm("points_gan", {"batch_size": 64}).updates(3000)
VAE_GAN, VAE_GAN_3 = (
    Arm(name, {"learning_rate": 1e-3, "batch_size": 32}) for name in ("vae_gan", "vae_gan_three_class")
)


# --- measures: of a training, the lower the better


def fid(found: Trained) -> float:
    known = [score["fid"] for score in found.scores if "fid" in score]
    return min(known) if known and not found.evaluation.failed else math.inf


def measured(name: str, place: int = -1) -> Callable[[Trained], float]:
    return lambda found: found.scores[place][name]


def early(found: Trained) -> float:
    return found.scores[0]["fid"]


def on_the_way(found: Trained) -> float:
    """The geometric mean of all checkpoints' FIDs: low for one that is usable soon."""
    return statistics.geometric_mean(score["fid"] for score in found.scores)


def fall_back(found: Trained) -> float:
    """How much worse than its best it ends."""
    return found.scores[-1]["fid"] / fid(found)


def jitter(found: Trained) -> float:
    """How much the critic's loss goes up and down: its mean step over its range, in the second half."""
    losses = np.array([point["real"] + point["fake"] for point in found.evaluation.curve])
    losses = losses[len(losses) // 2 :]
    return float(np.abs(np.diff(losses)).mean() / max(np.ptp(losses), 1e-12))


def vanishing(found: Trained) -> float:
    """One over the generator's gradient."""
    return 1 / max(found.scores[-1]["generator_gradient"], 1e-12)


def missed(found: Trained) -> float:
    """Of the 8 modes of the ring, one more than no sample is near to at the end."""
    return 9 - found.scores[-1]["modes"]


def uncovered(found: Trained) -> float:
    """What is missed of the data's classes, and a tenth."""
    return 1.1 - found.scores[-1]["coverage"]


def checkerboard(found: Trained) -> float:
    """How far the power at the highest frequency along rows and columns is from that of reals, as a factor."""
    fakes = evogan.load(found.folder / "generator.safetensors").sample(SAMPLED)
    return math.exp(abs(math.log(highest(fakes) / highest(reals(found.data)))))


def highest(images: Tensor) -> float:
    power = torch.fft.fft2(images.double()).abs().square().mean((0, 1))
    half = power.shape[-1] // 2
    return float((power[half].sum() + power[:, half].sum()) / power.sum())


@cache
def problem(data: str) -> GANProblem:
    return GANProblem(GANSettings.of(**task(data)), RUNS)


def reals(data: str) -> Tensor:
    return torch.tensor(problem(data).dataset.images).float() / 127.5 - 1


# --- what is not one arm against another: numbers that the claim says are above `beside`


def follows(arm: Arm, data: str) -> list[float]:
    """Of each training, the rank correlation of the distance that its critic's loss says, with FID."""

    def one(found: Trained) -> float:
        distances = [
            -statistics.fmean(point["real"] + point["fake"] for point in around(found, score)) for score in found.scores
        ]
        return correlation(distances, [score["fid"] for score in found.scores])

    return [one(found) for found in arm.all(data)]


def around(found: Trained, score: Mapping[str, float]) -> list[Mapping[str, float]]:
    """The losses before a checkpoint, an eighth of the training."""
    return [point for point in found.evaluation.curve if 0 <= score["kimg"] - point["kimg"] < KIMG / 8]


def correlation(x: Sequence[float], y: Sequence[float]) -> float:
    found = float(spearmanr(x, y).statistic)
    return 0.0 if math.isnan(found) else found


def off_one(data: str) -> list[float]:
    """In parts, of WGAN-GPs with penalties of all weights, the rank correlation of | ||grad D|| - 1 | with FID.

    The gradient is at points between reals and fakes, where the penalty has it.
    """

    def distance(found: Trained) -> float:
        critic = evogan.load_critic(found.folder / "players.safetensors")._critic
        fakes = evogan.load(found.folder / "generator.safetensors").sample(SAMPLED)
        rng = torch.Generator().manual_seed(0)
        real = reals(data)[torch.randint(len(reals(data)), (SAMPLED,), generator=rng)]
        points = (real + torch.rand(SAMPLED, 1, 1, 1, generator=rng) * (fakes - real)).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(points).score.sum(), points)
        return abs(float(gradient.flatten(1).norm(dim=1).mean()) - 1)

    arms = [PENALTY | {"gradient_penalty_weight": weight} for weight in (0.01, 0.1, 1.0, 10.0, 100.0)]
    trained = [arm.all(data) for arm in arms]
    return [correlation([distance(arm[i]) for arm in trained], [fid(arm[i]) for arm in trained]) for i in range(N)]


def spectral_error(data: str) -> list[float]:
    """The largest true spectral norm of a critic's layer after its division by the estimate of one power iteration."""

    def one(found: Trained) -> float:
        stored = load_file(found.folder / "players.safetensors")
        norms = []
        for name in (
            name for name in stored if name.startswith("network.critic.") and name.endswith("weight.original")
        ):
            weight, top = stored[name].flatten(1).double(), name.removesuffix("original") + "0.top."
            estimate = stored[top + "u"].double() @ weight @ stored[top + "v"].double()
            norms.append(float(torch.linalg.matrix_norm(weight, 2) / estimate))
        return max(norms)

    return [one(found) for found in SPECTRAL.all(data)]


def truncated(metric: str, psi: float | None, beside: float | None) -> Callable[[str], list[float]]:
    """Of BigGANs the ratio of a metric at one truncation of the latent to that at another; None: not truncated."""

    def ratios(data: str) -> list[float]:
        scorer = Scorer(problem(data).dataset, problem(data).features, SAMPLED)

        def at(found: Trained, psi: float | None) -> float:
            generator = evogan.load(found.folder / "generator.safetensors")
            samples = (generator if psi is None else generator.truncate(psi)).sample(SAMPLED)
            return scorer.score(samples.split(500))[metric]

        return [at(found, psi) / at(found, beside) for found in BIGGAN.all(data)]

    return ratios


def apart(_: str) -> list[float]:
    """By how much the Jensen-Shannon divergence of two parallel segments grows with their distance, beside W1."""
    y = np.linspace(0, 1, 200)
    js, w1 = [], []
    for distance in (0.5, 1.0, 2.0, 4.0):
        p, q = np.stack([0 * y, y], 1), np.stack([distance + 0 * y, y], 1)
        cost = cdist(p, q)
        w1.append(cost[linear_sum_assignment(cost)].mean())
        counts = [
            np.histogram2d(points[:, 0], points[:, 1], 64, [[-1, 5], [-1, 2]])[0].ravel() / 200 for points in (p, q)
        ]
        middle = sum(counts) / 2
        js.append(sum(float(entr(middle).sum() - entr(one).sum()) for one in counts) / 2)
    return [w1[-1] / w1[0] / (js[-1] / js[0])]


# --- the claims


@dataclass(frozen=True)
class Claim:
    """`worse` over `better` by `measure` is above 1; or what `numbers` gives, of a data set, is above `beside`."""

    name: str
    text: str
    how: str
    better: Arm | None = None
    worse: Arm | None = None
    measure: Callable[[Trained], float] = fid
    numbers: Callable[[str], list[float]] | None = None
    beside: float = 1.0
    below: bool = False
    data: Sequence[str] = tuple(DATA)

    def found(self, data: str) -> tuple[float, float, float]:
        """The number and its interval."""
        if self.numbers is not None:
            return interval(self.numbers(data))
        assert self.better is not None and self.worse is not None
        sides = [[math.log(self.measure(one)) for one in arm.all(data)] for arm in (self.worse, self.better)]
        return interval(*sides)

    def verdict(self, low: float, high: float) -> str:
        if low > self.beside or high < self.beside:
            return "holds" if (high < self.beside) == self.below else "**does not**"
        return "not shown"


def interval(worse: Sequence[float], better: Sequence[float] | None = None) -> tuple[float, float, float]:
    """A mean, or the ratio of geometric means of two lists of logarithms, with the 95 % interval of Welch's t."""
    sides = [np.array(worse)] if better is None else [np.array(worse), np.array(better)]
    if better is None and len(worse) == 1:  # computed, of no training
        return worse[0], worse[0], worse[0]
    parts = [float(side.var(ddof=1)) / len(side) for side in sides]
    error = sum(parts)
    freedom = error**2 / sum(p**2 / (len(s) - 1) for p, s in zip(parts, sides, strict=True)) if error else math.inf
    half = float(stdtrit(freedom, 0.975)) * math.sqrt(error)
    if better is None:
        mean = statistics.fmean(worse)
        return mean, mean - half, mean + half
    difference = statistics.fmean(worse) - statistics.fmean(better)
    return math.exp(difference), math.exp(difference - half), math.exp(difference + half)


C = Claim
FIVE = {"critic_steps": 5}
CLAIMS = (
    C(
        "C1",
        "the non-saturating loss starts faster than minimax",
        "FID after a quarter",
        BASE,
        BASE | {"loss": "minimax"},
        early,
    ),
    C(
        "C2, C3",
        "at equal compute the non-saturating GAN is not beaten by WGAN",
        "FID, both tuned (rates; WGAN: clip, five critic steps)",
        BASE.over(*RATES),
        CLIPPED | FIVE,
    ),
    C("C2, C3, one step", "... nor by a WGAN of one critic step", "the same", BASE.over(*RATES), CLIPPED),
    C(
        "C4",
        "WGAN-GP's critic loss follows quality",
        "rank correlation with FID within a training",
        numbers=partial(follows, PENALTY),
        beside=0.0,
    ),
    C(
        "C4, five steps",
        "... with a critic of five steps, as published",
        "the same",
        numbers=partial(follows, PENALTY | FIVE),
        beside=0.0,
    ),
    C(
        "C5",
        "the non-saturating GAN's critic loss does not",
        "the same; above 0: it does",
        numbers=partial(follows, BASE),
        beside=0.0,
        below=True,
    ),
    C("C6, critic", "batch norm helps the critic", "FID", BASE, UNNORMED),
    C(
        "C6, generator",
        "batch norm sometimes hurts the generator",
        "FID; above 1: it hurts",
        BASE | {"generator_norm": "none"},
        BASE,
    ),
    C(
        "C11",
        "a convolutional CGAN is better than dense networks",
        "FID of classes",
        CGAN,
        CGAN | MLP,
        measured("class_fid"),
    ),
    C(
        "C12, small",
        "a small clip makes gradients vanish",
        "generator's gradient, clip .05 over .0005",
        CLIP,
        CLIP | {"clip": 0.0005},
        vanishing,
    ),
    C(
        "C12, large",
        "a large clip makes them explode",
        "generator's gradient, clip 1 over .05",
        CLIP,
        CLIP | {"clip": 1.0},
        measured("generator_gradient"),
    ),
    C(
        "C13",
        "Adam on a WGAN critic makes it jitter",
        "of its loss, steps over range, beside RMSprop",
        CLIP | RMSPROP,
        CLIP,
        jitter,
    ),
    C(
        "C14, a penalty",
        "spectral norm is usable sooner than a gradient penalty",
        "mean FID on the way, rates tuned",
        SPECTRAL.over(*RATES),
        PENALTY.over(*RATES),
        on_the_way,
    ),
    C(
        "C14, clipping",
        "and that sooner than clipping",
        "mean FID on the way, both tuned",
        PENALTY.over(*RATES),
        CLIPPED,
        on_the_way,
    ),
    C(
        "C15",
        "WGAN-GP: the nearer the gradient's norm is to 1, the better",
        "rank correlation of its distance from 1 with FID over weights of .01 to 100",
        numbers=off_one,
        beside=0.0,
    ),
    C(
        "C16",
        "one power iteration a step suffices",
        "largest true norm of a normalised layer; below 1.1",
        numbers=spectral_error,
        beside=1.1,
        below=True,
    ),
    C(
        "C17, Bernoulli",
        "a Bernoulli latent is faster",
        "mean FID on the way",
        BASE | {"latent_prior": "bernoulli"},
        BASE,
        on_the_way,
    ),
    C(
        "C17, rectified",
        "so is a rectified one",
        "the same",
        BASE | {"latent_prior": "censored_normal"},
        BASE,
        on_the_way,
    ),
    C(
        "C18",
        "more depth does not help BigGAN",
        "FID, critic of 4 residual blocks after halving over 2; above 1: not better",
        BIGGAN,
        BIGGAN | {"critic_depth": 4},
    ),
    C(
        "C19, IS",
        "the more truncation, the higher the inception score",
        "IS at psi .5 over none",
        numbers=truncated("inception_score", 0.5, None),
    ),
    C(
        "C19, better",
        "FID gets better at first",
        "FID at psi 2 over none; below 1: better",
        numbers=truncated("fid", 2.0, None),
        below=True,
    ),
    C("C19, worse", "... then worse", "FID at psi .5 over 2", numbers=truncated("fid", 0.5, 2.0)),
    C(
        "C20, better",
        "a larger batch is better",
        "FID after 300 updates, batch 16 over 128",
        (BASE | {"batch_size": 128}).updates(300),
        (BASE | {"batch_size": 16}).updates(300),
    ),
    C(
        "C20, stable",
        "... and less stable",
        "last FID over best, batch 128 over 16",
        (BASE | {"batch_size": 16}).updates(300),
        (BASE | {"batch_size": 128}).updates(300),
        fall_back,
    ),
    C(
        "C22, rate",
        "an equalised learning rate has a large effect",
        "FID of PGGAN, rates tuned",
        PGGAN,
        PGGAN | {"equalized_lr": False, "init": "he"},
    ),
    C("C22, norm", "pixel norm adds to it", "the same", PGGAN, PGGAN | {"generator_norm": "none"}),
    C("C23", "one-sided label smoothing helps", "FID, target .9", BASE | {"label_smoothing": 0.1}, BASE),
    C(
        "C24",
        "the JS divergence is constant for disjoint supports, W1 is not",
        "growth of W1 over growth of JS, two segments .5 to 4 apart",
        numbers=apart,
        data=("segments",),
    ),
    C(
        "C25, ring",
        "minibatch statistics reduce collapse",
        "modes missed on the ring, and one; standard deviation",
        POINTS | {"minibatch": "std"},
        POINTS,
        missed,
        data=("ring",),
    ),
    C(
        "C25, images",
        "the same",
        "classes not covered, standard deviation",
        BASE | {"minibatch": "std"},
        BASE,
        uncovered,
    ),
    C("C26", "the three-class VAE-GAN is slightly better", "FID", VAE_GAN_3, VAE_GAN),
    C(
        "C27",
        "resizing before a convolution removes checkerboards",
        "power at the highest frequency, off the reals'",
        BASE | {"upsampling": "nearest"},
        BASE,
        checkerboard,
    ),
)
NOT_HERE = {
    "C7 (dropout after batch norm is better than before it)": "the order of a block's layers is no gene",
    "C8 (first layer of a CGAN's critic: 64 better than 32)": "one width is for all layers of this backbone",
    "C9 (U-Net as good as ResNet on apple2orange)": "that data set is not here; [the zoo](zoo.md) has both on MNIST",
    "C10 (a low identity weight inverts colours)": "needs natural colours and long trainings",
    "C21 (bounds on the generator's top singular value never prevent collapse)": "needs a BigGAN that collapses",
}


def train(*names: str) -> None:
    for data in [*DATA, "ring"]:
        for claim in CLAIMS:
            if data in claim.data and (not names or claim.name.split(",")[0] in names):
                value, low, high = claim.found(data)
                print(
                    f"{data:<8} {claim.name:<18} {value:8.3f} [{low:.3f}, {high:.3f}] {claim.verdict(low, high)}",
                    flush=True,
                )


def table() -> None:
    results: dict[str, Any] = {"kimg": KIMG, "trainings an arm": N}
    lines = ["| | claim | measured | data | value | 95 % interval | |", "|---|---|---|---|---|---|---|"]
    for claim in CLAIMS:
        for i, data in enumerate(claim.data):
            value, low, high = claim.found(data)
            verdict = claim.verdict(low, high)
            results[f"{claim.name}, {data}"] = {"value": value, "low": low, "high": high, "verdict": verdict.strip("*")}
            text = (claim.name, claim.text, claim.how) if i == 0 else ("", "", "")
            lines.append(f"| {' | '.join(text)} | {data} | {value:.3g} | {low:.3g} to {high:.3g} | {verdict} |")
    lines += [f"| | {name} | | | | | not testable here: {why} |" for name, why in NOT_HERE.items()]
    record("claims", results, quiet=True)
    page = PAGE.read_text()
    marks = "<!-- table -->\n", "<!-- end of the table -->"
    PAGE.write_text(page[: page.index(marks[0])] + marks[0] + "\n".join(lines) + "\n" + page[page.index(marks[1]) :])


if __name__ == "__main__":
    {"train": train, "table": table}[sys.argv[1]](*sys.argv[2:])
