"""A training that is looked at goes as it would; its page says what was recorded, and needs nothing else."""

from __future__ import annotations

import errno
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console

import evogan
from evogan.engine import Event
from evogan.files import write_whole
from evogan.fitness import NormalizedLoss
from evogan.genome import Value
from evogan.monitor.training import TrainingProgress
from evogan.report.training import Training, render
from evogan.trial import Evaluation, GANTask

GENES: dict[str, Value] = {
    "backbone": "dcgan",
    "filters": 8,
    "ema": 0.9,
    "latent": 8,
    "batch_size": 16,
    "critic_steps": 2,
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Path]:
    runs = tmp_path_factory.mktemp("watched")
    said: list[str] = []
    found = evogan.train(GENES, kimg=0.32, samples=100, runs=runs, every=0.05, page="<mine>", say=said.append)
    assert said[-1] == f"samples of now: {found[1] / 'live.png'}"
    return found


def lasting(evaluation: Evaluation) -> Any:
    """All but how long it took."""
    scores = [{name: value for name, value in score.items() if name != "seconds"} for score in evaluation.scores]
    return scores, evaluation.curve, evaluation.diagnostics, evaluation.flags


def test_looking_changes_no_bit(watched: tuple[Evaluation, Path], tmp_path: Path) -> None:
    looked, there = watched
    alone, here = evogan.train(GENES, kimg=0.32, samples=100, runs=tmp_path)
    assert lasting(looked) == lasting(alone)
    for name in ("generator.safetensors", "samples.png"):
        assert (there / name).read_bytes() == (here / name).read_bytes()
    assert not (here / "live.png").exists() and not (here / "train.html").exists()
    with Image.open(there / "live.png") as live, Image.open(there / "samples-100.png") as last:
        assert live.tobytes() == last.tobytes()  # it was drawn anew until the end


def test_the_page_has_what_was_recorded_and_needs_nothing_else(watched: tuple[Evaluation, Path]) -> None:
    evaluation, folder = watched
    page = (folder / "train.html").read_text()
    assert not re.findall(r"https?://|<script|<link|@import|url\((?!#)", page)
    assert "&lt;mine&gt;" in page and "<mine>" not in page
    assert page.count("data:image/") == 2 + len(evaluation.scores)
    for title in ("Losses", "Losses, normalised", "FID", "Gradient norms", "Singular values: critic", "Its networks"):
        assert f"<h2>{title}</h2>" in page
    assert f"{evaluation.scores[-1]['fid']:.4g}" in page
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_an_older_training_and_one_that_failed_have_a_page(watched: tuple[Evaluation, Path], tmp_path: Path) -> None:
    task = GANTask(name="digits", fingerprint="", image_size=8, channels=1, kimg=1.0, features="digits-1")
    old = replace(
        watched[0],
        curve=tuple({n: x for n, x in point.items() if "normalized" not in n} for point in watched[0].curve),
        diagnostics=(),
        flags=("divergence",),
    )
    training = Training("a", evogan.Genome(GENES), task, 0, "images", old, tmp_path)
    page = render(training)
    assert "<h2>Losses</h2>" in page and "normalised</h2>" not in page
    assert "The training blew up" in page
    failed = Evaluation(status="diverged", reason="critic loss is nan by 0.1 kimg")
    assert "Diverged before the first score checkpoint: critic loss is nan" in render(
        replace(training, evaluation=failed)
    )


def test_a_normalised_part_is_where_the_mean_lies_in_the_range_so_far() -> None:
    loss = NormalizedLoss()
    for value in (1.0, 3.0, 5.0):
        loss.update("real", torch.tensor(value))
    assert loss.placed({"real": 2.0, "penalty": 1.0}) == {"real": 0.25}
    assert loss.placed({"real": 2.0}) == {"real": 0.25}  # asked again


def test_the_recorded_parts_lie_in_the_range(watched: tuple[Evaluation, Path]) -> None:
    for point in watched[0].curve:
        assert all(0 <= point[f"normalized_{name}"] <= 1 for name in ("real", "fake", "generator"))


def test_the_live_line_says_how_far_it_is() -> None:
    out = io.StringIO()
    with TrainingProgress("training x", Console(file=out, width=60)) as progress:
        progress(Event("awaited", None))
        for share in (0.05, 0.15, 0.5):
            point = {"kimg": 20 * share, "fidelity": share, "real": 0.5, "fake": 0.25, "generator": 1.0}
            progress(Event("progress", None, point=point | ({"fid": 33.0} if share == 0.5 else {})))
    assert out.getvalue().splitlines() == [
        "another process trains it just now: waiting for what that records",
        "training x: 15%, 3 kimg, real 0.5, fake 0.25, generator 1",
        "training x: 50%, 10 kimg, real 0.5, fake 0.25, generator 1, FID 33",
    ]


def test_a_full_disk_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    full = [OSError(errno.ENOSPC, "No space left on device")]

    def write(path: Path, content: bytes) -> None:
        if full:
            raise full.pop()
        write_whole(path, content)

    monkeypatch.setattr("evogan.engine.store.write_whole", write)
    evaluation, _ = evogan.train(GENES, kimg=0.05, samples=50, runs=tmp_path, say=said.append)
    assert not evaluation.failed
    assert re.fullmatch(r"waiting: cannot write '.*': No space left on device", said[-1])
