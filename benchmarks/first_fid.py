"""From a command to the first FID: a search of a folder of images without labels, with nothing cached.

    python benchmarks/first_fid.py [--seeds N] [--kinds grey32,colour32,photos64]

Folders of 2,000 images are made of the CIFAR-10 sample where EVOGAN_DATA has it, else of scikit-learn's digits, tinted.
Goal: at most 90 s on two cores, the median of 5 seeds. The command is `evogan search modern --data FOLDER`, as it
stands; it is stopped when its first line with an FID is there. The load of the machine stands beside the seconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from _record import record
from PIL import Image

COUNT = 2000
KINDS = {"colour32": (32, "RGB", "png"), "grey32": (32, "L", "png"), "photos64": (64, "RGB", "jpg")}
LINES = {"data": "images of", "features": "learned without labels", "first FID": "has FID"}  # what each line says
LONGEST = 600.0  # seconds


def pictures() -> npt.NDArray[np.uint8]:
    """uint8 (N, H, W, 3)."""
    path = Path(os.environ.get("EVOGAN_DATA", "."), "cifar10_train_10k.npz")
    rng = np.random.default_rng(0)
    if path.is_file():
        with np.load(path) as file:
            images: npt.NDArray[np.uint8] = file["images"]
        return images[rng.permutation(len(images))[:COUNT]]
    from sklearn.datasets import load_digits

    digits = load_digits().images[np.arange(COUNT) % 1797] / 16
    tints = rng.uniform(0.3, 1, (COUNT, 1, 1, 3))
    return np.asarray(255 * digits[..., None] * tints, np.uint8)


def make(folder: Path, kind: str, images: np.ndarray) -> None:
    side, mode, suffix = KINDS[kind]
    folder.mkdir()
    for number, pixels in enumerate(images):
        image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC).convert(mode)
        image.save(folder / f"{number:05d}.{suffix}")


@contextmanager
def searching(data: Path, seed: int) -> Iterator[subprocess.Popen[str]]:
    """The command in a folder and with a cache of its own; afterwards it is stopped at once."""
    with tempfile.TemporaryDirectory() as place:
        words = [sys.executable, "-m", "evogan", "search", "modern", "--data", str(data), "--seed", str(seed)]
        environment = os.environ | {"EVOGAN_CACHE": f"{place}/cache", "EVOGAN_RUNS": f"{place}/runs"}
        process = subprocess.Popen(words, env=environment, cwd=place, stderr=subprocess.PIPE, text=True)
        try:
            yield process
        finally:
            for _ in "12":
                process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def seconds(data: Path, seed: int) -> dict[str, float]:
    """From the command to each of `LINES`."""
    found: dict[str, float] = {}
    began = perf_counter()
    with searching(data, seed) as process:
        assert process.stderr is not None
        for line in process.stderr:
            now = perf_counter() - began
            print(f"{now:6.1f} s  {line.rstrip()}", file=sys.stderr)
            found |= {what: now for what, said in LINES.items() if said in line and what not in found}
            if "first FID" in found or now > LONGEST:
                break
    return found


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--seeds", type=int, default=5)
    asked.add_argument("--kinds", default=",".join(KINDS))
    given = asked.parse_args()
    images = pictures()
    results: dict[str, Any] = {}
    folders = Path(tempfile.mkdtemp())
    try:
        for kind in given.kinds.split(","):
            make(folders / kind, kind, images)
            runs = [seconds(folders / kind, seed) for seed in range(given.seeds)]
            for what in LINES:
                times = [run[what] for run in runs if what in run]
                median = round(statistics.median(times), 1) if times else None
                results[f"{kind}, {what}: s (median of {len(times)})"] = median
            results[f"{kind}, first FID: s, each"] = [round(run.get("first FID", float("nan")), 1) for run in runs]
    finally:
        shutil.rmtree(folders)
    results["load of the machine at the end (1, 5, 15 min)"] = [round(load, 1) for load in os.getloadavg()]
    record("first_fid", results)


if __name__ == "__main__":
    main()
