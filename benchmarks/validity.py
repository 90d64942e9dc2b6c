"""Which features rank GANs as a classifier's do? Samples of many GANs, scored by several kinds of features.

    python benchmarks/validity.py sets mnist      samples of 22 GANs at 3 stages of a training of 20 kimg: published
                                                  ones (at most WIDEST filters), the best of the table of digits, random
                                                  ones of the space `modern`
    python benchmarks/validity.py scores mnist    the FID of every set, and of images that were spoilt in known ways, by
                                                  every kind of features (or by those that are named after it)
    python benchmarks/validity.py table           results/validity.json and a table, of what is there

Each goes on where it stopped, in EVOGAN_RUNS. `mnist` and `fashion_mnist` are read from EVOGAN_DATA, `cifar10` is its
cifar10_train_10k.npz.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from _record import record
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.functional import gaussian_blur

from evogan import load_space, shipped
from evogan.data import Dataset, DataSpec, load_dataset
from evogan.errors import UserError
from evogan.families import family_of
from evogan.families.build import build
from evogan.fitness import Features, Moments, frechet_distance, load_features, pretext, train_features
from evogan.fitness.features import FeatureNet, FeatureRecord
from evogan.fitness.scorer import batches, extract
from evogan.genes import GENES
from evogan.genome import Genome, Value
from evogan.runs.table import Table
from evogan.training import Diverged, Trainer
from evogan.training.feed import on_device
from evogan.training.plan import Plan
from evogan.zoo.gan import GAN, parts

Pixels = NDArray[np.uint8]  # (N, C, H, W)

ROOT = Path(__file__).parent.parent
RUNS = Path(os.environ.get("EVOGAN_RUNS", ROOT / "runs")) / "validity"
DATA = Path(os.environ.get("EVOGAN_DATA", "data"))
FILES = {"cifar10": str(DATA / "cifar10_train_10k.npz")}
PUBLISHED = ("wdcgan", "dcgan", "wgan", "gan_mlp_small", "lsgan", "ragan", "ralsgan", "sngan")
BEST, RANDOM, WIDEST, SAMPLES = 8, 8, 32, 5000
STAGES = (1.25, 5.0, 20.0)  # kimg


def dataset(data: str) -> Dataset:
    return load_dataset(DataSpec(FILES.get(data, data)))


def gans() -> dict[str, Genome]:
    """By name."""
    found = {name: shipped.read_genome(name).genome for name in PUBLISHED}
    frame = Table.read(ROOT / "benchmarks" / "tables" / "digits-wdcgan_wide.parquet")
    fid = frame.curves("fid")[:, -1]
    best = np.argsort(np.where(np.isfinite(fid), fid, np.inf))[:BEST]
    found |= {f"table_{i}": frame.genomes[at] for i, at in enumerate(best)}
    space, rng = load_space("modern"), np.random.default_rng(0)
    drawn = [space.decode(rng.random(len(space.genes)).tolist()) for _ in range(RANDOM)]
    found |= {
        f"random_{i}": genome for i, genome in enumerate(drawn) if int(genome["batch_size"]) > 8
    }  # small ones: slow
    return {name: narrowed(genome) for name, genome in found.items()}


def narrowed(genome: Genome) -> Genome:
    genes = GENES.complete(genome)
    widths: dict[str, Value] = {
        name: min(int(genes[name]), WIDEST) for name in ("filters", "critic_filters") if name in genes
    }
    return GENES.read({**genome, **widths})


def sets(data: str) -> None:
    real = dataset(data)
    streams = on_device(real.train, "cpu")
    for name, genome in gans().items():
        folder = RUNS / data
        folder.mkdir(parents=True, exist_ok=True)
        if all((folder / f"{name}_{stage:g}.npy").exists() for stage in STAGES):
            continue
        rows = family_of(genome).rows_per_iteration(GENES.complete(genome))
        plan = Plan.of(STAGES[-1], rows, 1.0, tuple(stage / STAGES[-1] for stage in STAGES))
        try:
            trainer = Trainer(
                build(genome, real.fields, 0),
                GENES.complete(genome),
                streams,
                seed=0,
                device=torch.device("cpu"),
                iterations=plan.total,
                precision="bf16",
            )
            for stage in STAGES:
                trainer.run_to(plan.at(stage / STAGES[-1]))
                np.save(folder / f"{name}_{stage:g}.npy", samples(trainer.gan))
                print(data, name, stage, flush=True)
        except (Diverged, ValueError, RuntimeError) as error:
            print(data, name, "ended:", error, flush=True)


@torch.no_grad()
def samples(gan: GAN) -> Pixels:
    """uint8 (SAMPLES, C, H, W), of the same noise for every GAN with the same prior."""
    rng = torch.Generator().manual_seed(1)
    found = []
    for _ in range(SAMPLES // 500):
        for part in parts(gan.prompts(500, {}, rng), 100):
            with torch.autocast("cpu", torch.bfloat16):
                images = gan.sample(part)
            found.append(((images.float().clamp(-1, 1) + 1) * 127.5).round().byte())
    found_all: Pixels = torch.cat(found).numpy()
    return found_all


# kinds of features: the yardstick is the classifier that the package ships for the data, or else one that learned from
# their labels; `second` is another one, with other seeds: what rank correlation can be had


def kinds(data: str, real: Dataset) -> dict[str, Callable[[], Features]]:
    def without(*tasks: str, **other: int) -> Features:
        plan, pretext.WITHOUT_LABELS = pretext.WITHOUT_LABELS, replace(pretext.WITHOUT_LABELS, tasks=tasks, **other)
        try:
            return train_features(real, labels=False)
        finally:
            pretext.WITHOUT_LABELS = plan

    foreign = "fashion_mnist" if data == "mnist" else "mnist"
    return {
        "yardstick": lambda: train_features(real, labels=True) if data in FILES else load_features(data),
        "second": lambda: train_features(real, labels=True, seed=1),
        "auto": lambda: train_features(real, labels=False),
        "clusters": lambda: without("clusters"),
        "rotation": lambda: without("rotation"),
        "side 16": lambda: without(*pretext.WITHOUT_LABELS.tasks, side=16),
        "untrained": lambda: untrained(real),
        f"classifier of {foreign}": lambda: load_features(foreign),
        "inception": lambda: load_features("inception"),
    }


def untrained(real: Dataset) -> Features:
    about = FeatureRecord("untrained", "", real.image_size, real.channels, 2)
    return FeatureNet(about, torch.Generator().manual_seed(0)).eval().requires_grad_(False)


def scores(data: str, *asked: str) -> None:
    real, made = dataset(data), sorted((RUNS / data).glob("*.npy"))
    for name, make in kinds(data, real).items():
        path = RUNS / f"{data}.{name.replace(' ', '_')}.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        if (asked and name not in asked) or (known and set(known["sets"]) == {file.stem for file in made}):
            continue
        begun = perf_counter()
        try:
            network = make()
        except UserError as error:
            print(data, name, error, flush=True)
            continue
        seconds = perf_counter() - begun
        reference = Moments.of(extract(network, batches(real.images)))

        def fid(images: Pixels, network: Features = network, reference: Moments = reference) -> float:
            return frechet_distance(reference, Moments.of(extract(network, batches(images))))

        known = {
            "accuracy": network.record.accuracy if isinstance(network, FeatureNet) else None,
            "seconds": seconds,
            "spoilt": {kind: [fid(images) for images in spoilt(kind, real)] for kind in SPOILING},
            "sets": {file.stem: fid(np.load(file)) for file in made},
        }
        begun = perf_counter()
        fid(np.load(made[0]))
        known["seconds of a score"] = perf_counter() - begun
        path.write_text(json.dumps(known))
        print(data, name, f"learned in {seconds:.0f} s", flush=True)


# ways to spoil images, x in [-1, 1], at a strength in (0, 1]


def _noise(x: Tensor, strength: float) -> Tensor:
    return x + strength * torch.randn(x.shape, generator=torch.Generator().manual_seed(2))


def _blur(x: Tensor, strength: float) -> Tensor:
    blurred: Tensor = gaussian_blur(x, [9, 9], [strength * 3])
    return blurred


def _blackout(x: Tensor, strength: float) -> Tensor:
    """A square of a random place, of up to half the side."""
    side, x, rng = x.shape[-1], x.clone(), torch.Generator().manual_seed(3)
    hole = max(1, round(strength * side / 2))
    for one, (top, left) in zip(x, torch.randint(0, side - hole + 1, (len(x), 2), generator=rng).tolist(), strict=True):
        one[:, top : top + hole, left : left + hole] = -1
    return x


def _crop(x: Tensor, strength: float) -> Tensor:
    """The middle, made as large as the whole."""
    cut = max(1, round(strength * x.shape[-1] / 4))
    return functional.interpolate(x[:, :, cut:-cut, cut:-cut], size=x.shape[2:], mode="bilinear", antialias=True)


def _swirl(x: Tensor, strength: float) -> Tensor:
    side = x.shape[-1]
    at = torch.linspace(-1, 1, side, dtype=torch.float64)
    row, column = torch.meshgrid(at, at, indexing="ij")
    turn = strength * 3 * (1 - (row**2 + column**2).sqrt()).clamp(min=0)
    rows, columns = row * turn.cos() - column * turn.sin(), row * turn.sin() + column * turn.cos()
    where = ((torch.stack([rows, columns]) + 1) * (side - 1) / 2).numpy()
    flat = [map_coordinates(plane, where, order=1, mode="nearest") for plane in x.flatten(0, 1).numpy()]
    return torch.tensor(np.stack(flat)).view(x.shape)


def _pixels(x: Tensor, strength: float) -> Tensor:
    few = max(2, round(x.shape[-1] * (1 - 0.8 * strength)))
    small = functional.interpolate(x, size=(few, few), mode="bilinear", antialias=True)
    large: Tensor = functional.interpolate(small, size=x.shape[2:], mode="nearest")
    return large


SPOILING: dict[str, Callable[[Tensor, float], Tensor] | None] = {
    "noise": _noise,
    "blur": _blur,
    "blackout": _blackout,
    "crop": _crop,
    "swirl": _swirl,
    "pixelation": _pixels,
    "dropped classes": None,
}
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
SPOILT = 2000


def spoilt(kind: str, real: Dataset) -> Iterator[Pixels]:
    """Training images as they are, and spoilt more and more; as many each."""
    rng = np.random.default_rng(1)
    first = real.images[np.sort(rng.permutation(len(real.images))[:SPOILT])]
    yield first
    change = SPOILING[kind]
    for strength in STRENGTHS:
        if change is None:
            assert real.labels is not None
            left = np.flatnonzero(real.labels >= round(strength * 8))
            yield real.images[np.sort(rng.permutation(left)[:SPOILT])]
        else:
            yield to_bytes(change(torch.tensor(first).float() / 127.5 - 1, strength))


def to_bytes(images: Tensor) -> Pixels:
    found: Pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
    return found


def table() -> None:
    results: dict[str, Any] = {}
    for data in ("mnist", "fashion_mnist", "cifar10"):
        yardstick = RUNS / f"{data}.yardstick.json"
        if not yardstick.exists():
            continue
        truth = json.loads(yardstick.read_text())
        for path in sorted(RUNS.glob(f"{data}.*.json")):
            found = json.loads(path.read_text())
            names = sorted(found["sets"].keys() & truth["sets"].keys())
            ours, theirs = (np.array([one["sets"][name] for name in names]) for one in (found, truth))
            better = theirs <= np.median(theirs)
            results[f"{data}, {path.stem.partition('.')[2].replace('_', ' ')}"] = {
                "sets": len(names),
                "all": round(float(spearmanr(ours, theirs).statistic), 3),
                "better half": round(float(spearmanr(ours[better], theirs[better]).statistic), 3),
                "not monotone": [kind for kind, fids in found["spoilt"].items() if fids != sorted(fids)],
                "spoilt": {kind: [round(fid, 3) for fid in fids] for kind, fids in found["spoilt"].items()},
                "accuracy": found["accuracy"],
                "seconds of a score": round(found["seconds of a score"], 2),
            }
    record("validity", results, quiet=True)
    head = ["data", "features", "sets", "all", "better half", "not monotone in"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for name, row in results.items():
        data, _, kind = name.partition(", ")
        cells = [
            data,
            kind,
            row["sets"],
            f"{row['all']:.3f}",
            f"{row['better half']:.3f}",
            ", ".join(row["not monotone"]),
        ]
        print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    torch.set_num_threads(1)
    commands: dict[str, Callable[..., None]] = {"sets": sets, "scores": scores, "table": table}
    commands[sys.argv[1]](*sys.argv[2:])
