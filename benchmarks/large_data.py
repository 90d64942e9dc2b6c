"""A data set larger than a process should hold: how long it takes to decode, to start again, and what workers need.

    python benchmarks/large_data.py [N]      images of 64x64 in colour, default 20,000; recorded: 200,000 (2.5 GB)

The images are a folder of JPEGs, and a tenth of them in a folder of their own, to compare with. A worker is a process
that gets the pickled data set and trains a small GAN on it; its anonymous memory (RssAnon) is shared with nobody.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from _record import record
from PIL import Image

SIDE, WORKERS, STEPS, BATCH = 64, 2, 8, 64
SENT = 3e8  # bytes; of more, copies are not made for comparison


def write(folder: Path, n: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (64, 8, 8, 3), dtype=np.uint8)

    def one(i: int) -> None:
        image = Image.fromarray(np.roll(coarse[i % 64], (i // 64) % 64, axis=1) ^ np.uint8(i // 4096))
        image.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{i:06}.jpg", quality=90)

    with ThreadPoolExecutor() as pool:
        list(pool.map(one, range(n)))


def megabytes(kind: str) -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith(kind)) / 1024


def work(sent: bytes) -> dict[str, float]:
    """MB after a training of `STEPS` iterations, whose batches come from all over the set."""
    import torch

    from evogan.families.build import build
    from evogan.genes import GENES
    from evogan.training import Trainer
    from evogan.training.feed import on_device

    torch.set_num_threads(1)
    dataset, genome = pickle.loads(sent), {"filters": 4, "batch_size": BATCH}
    trainer = Trainer(
        build(genome, dataset.fields, 0),
        GENES.complete(genome),
        on_device(dataset.train, "cpu"),
        seed=0,
        device=torch.device("cpu"),
        iterations=STEPS,
    )
    trainer.run_to(STEPS)
    return {kind: megabytes(kind) for kind in ("RssAnon", "RssFile")}


def measure(folder: Path) -> dict[str, Any]:
    from evogan.data import DataSpec, kept, load_dataset
    from evogan.files.mapped import sent_whole

    before = megabytes("RssAnon")
    kept.LARGE = 0  # small ones, too, for comparison
    started = perf_counter()
    dataset = load_dataset(DataSpec(str(folder)))
    decoded = perf_counter()
    dataset = load_dataset(DataSpec(str(folder)))
    again = perf_counter()
    sent = pickle.dumps(dataset)
    found: dict[str, Any] = {
        "images": len(dataset.images) + len(dataset.held_out),
        "decoded, MB": round((dataset.images.nbytes + dataset.held_out.nbytes) / 1e6),
        "first start, s": round(decoded - started, 1),
        "images decoded a second": round(len(os.listdir(folder)) / (decoded - started)),
        "later start, s": round(again - decoded, 1),
        "what is sent to a worker, bytes": len(sent),
        "this process, RssAnon more, MB": round(megabytes("RssAnon") - before),
    }
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        for worker in pool.map(work, [sent] * WORKERS)[:1]:
            found |= {f"a worker, {kind}, MB": round(value) for kind, value in worker.items()}
    if dataset.images.nbytes > SENT:
        return found
    with sent_whole():
        sent = pickle.dumps(dataset)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found["a worker that is sent the pixels, RssAnon, MB"] = round(pool.apply(work, [sent])["RssAnon"])
    return found


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as place:
        os.environ["EVOGAN_CACHE"] = f"{place}/cache"
        for part in (n // 10, n):
            write(Path(place, str(part)), part)
        parts = [measure(Path(place, str(part))) for part in (n // 10, n)]
        record("large_data", {f"{part.pop('images'):,} images": part for part in parts})


if __name__ == "__main__":
    main()
