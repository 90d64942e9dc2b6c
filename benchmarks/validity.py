"""Which features rank GANs as a classifier's do? Samples of many GANs, scored by several kinds of features.

    python benchmarks/validity.py sets mnist      samples of 22 GANs at 3 stages of a training of 20 kimg: published
                                                  ones (at most WIDEST filters), the best of the table of digits, random
                                                  ones of the space `modern`
    python benchmarks/validity.py scores mnist    the FID of every set by every kind of features
    python benchmarks/validity.py table           results/validity.json, of what is there

Each goes on where it stopped, in EVOGAN_RUNS. `mnist` and `fashion_mnist` are read from EVOGAN_DATA, `cifar10` is its
cifar10_train_10k.npz.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from evogan import load_space, shipped
from evogan.bench.table import Table
from evogan.data import Dataset, DataSpec, load_dataset
from evogan.families import family_of
from evogan.families.build import build
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.training import Diverged, Trainer
from evogan.training.feed import Feed, on_device
from evogan.training.plan import Plan
from evogan.zoo.gan import GAN, parts

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
    space, rng = load_space("modern", GENES), np.random.default_rng(0)
    drawn = [space.decode(rng.random(len(space.genes))) for _ in range(RANDOM)]
    found |= {f"random_{i}": genome for i, genome in enumerate(drawn) if int(genome["batch_size"]) > 8}  # small ones: slow
    return {name: narrowed(genome) for name, genome in found.items()}


def narrowed(genome: Genome) -> Genome:
    genes = GENES.complete(genome)
    widths = {name: min(int(genes[name]), WIDEST) for name in ("filters", "critic_filters") if name in genes}
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
def samples(gan: GAN) -> np.ndarray:
    """uint8 (SAMPLES, C, H, W), of the same noise for every GAN with the same prior."""
    rng = torch.Generator().manual_seed(1)
    found = []
    for _ in range(SAMPLES // 500):
        for part in parts(gan.prompts(500, {}, rng), 100):
            with torch.autocast("cpu", torch.bfloat16):
                images = gan.sample(part)
            found.append(((images.float().clamp(-1, 1) + 1) * 127.5).round().byte())
    return torch.cat(found).numpy()


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"sets": sets}[sys.argv[1]](*sys.argv[2:])
