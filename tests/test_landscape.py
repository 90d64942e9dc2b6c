"""A recorded landscape stands in for training: its noise is that of replicates, its truth the mean of its replays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evogan.campaign.landscape import Landscape, tabulate
from evogan.engine import Broker, LocalExecutor, Store
from evogan.errors import UserError
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.space import load_space
from evogan.trial import Evaluation, GANTask, Task, Trial

SPACE = load_space("wdcgan", GENES)
CHECKPOINTS = (0.25, 0.5, 1.0)
NOISE = np.array([[0.09, 0.05, 0.03], [0.05, 0.06, 0.04], [0.03, 0.04, 0.05]])
TASK = GANTask(
    name="made up", fingerprint="f", image_size=8, channels=1, kimg=10.0, features="x", checkpoints=CHECKPOINTS
)


def true_log(genome: Genome) -> float:
    vector = SPACE.encode(genome)
    return 3.0 + 2.0 * (vector[0] - 0.6) ** 2 + vector[1]


def genomes(n: int) -> list[Genome]:
    rng = np.random.default_rng(0)
    return list(dict.fromkeys(SPACE.decode(rng.random(SPACE.dimension)) for _ in range(n)))


def train(trial: Trial) -> Evaluation:
    """A made-up training with noise of known size; one corner of the space fails."""
    if SPACE.encode(trial.genome)[1] > 0.9:
        return Evaluation(status="diverged", reason="a corner")
    noise = np.random.default_rng(trial.seed).multivariate_normal(np.zeros(3), NOISE)
    logs = true_log(trial.genome) + np.array([0.6, 0.2, 0.0]) + noise
    scores = tuple({"fid": float(fid), "fidelity": c} for c, fid in zip(CHECKPOINTS, np.exp(logs), strict=True))
    return Evaluation(status="completed", scores=scores, cost={"seconds": 1.0})


@pytest.fixture(scope="module")
def landscape() -> Landscape:
    store = Store()
    broker = Broker(store, LocalExecutor(train))
    broker.results([Trial(g, GENES.key(g), TASK, 1.0, r) for g in genomes(300) for r in range(2)])
    broker.result(Trial(genomes(1)[0], "another", Task(name="another task")))
    return Landscape("made-up", tabulate(store, TASK), SPACE, {"kimg": 10})


def replay(landscape: Landscape, genome: Genome, fidelity: float = 1.0, replicate: int = 0) -> Evaluation:
    return landscape(Trial(genome, GENES.key(genome), Task(name="replay"), fidelity, replicate))


def test_a_table_has_every_full_training_failures_too(landscape: Landscape) -> None:
    assert len(landscape.table) == 2 * len(genomes(300))
    failed = landscape.table[landscape.table["status"] == "diverged"]
    assert len(failed) == 2 * sum(SPACE.encode(g)[1] > 0.9 for g in genomes(300))
    assert failed[["fid@0.25", "fid@1"]].isna().all(axis=None)
    assert landscape.checkpoints == list(CHECKPOINTS)


def test_noise_is_that_of_replicates(landscape: Landscape) -> None:
    assert landscape.noise == pytest.approx(NOISE, abs=0.015)


def test_the_model_knows_genomes_it_has_not_seen(landscape: Landscape) -> None:
    quality = landscape.quality()
    assert 0.4 < quality["r2"] < 1
    assert 0.4 < quality["kendall_tau"] < 1


def test_the_truth_is_the_mean_of_replays(landscape: Landscape) -> None:
    genome = next(g for g in genomes(300) if SPACE.encode(g)[1] < 0.3)
    evaluations = [replay(landscape, genome, replicate=r) for r in range(600)]
    best = [np.log(e.metric("fid") or np.nan) for e in evaluations if not e.failed]
    assert np.log(landscape.truth(genome)) == pytest.approx(np.mean(best), abs=0.04)
    assert np.std(best) == pytest.approx(np.sqrt(0.05), abs=0.05)


def test_a_longer_training_begins_as_the_shorter_did(landscape: Landscape) -> None:
    genome = genomes(10)[3]
    whole, half, odd = (replay(landscape, genome, fidelity) for fidelity in (1.0, 0.5, 0.4))
    assert whole.scores[:2] == half.scores
    assert odd.scores[0] == whole.scores[0]
    assert [score["fidelity"] for score in odd.scores] == [0.25, 0.4]
    assert replay(landscape, genome) == whole
    assert replay(landscape, genome, replicate=1) != whole


def test_failures_happen_where_they_were_recorded(landscape: Landscape) -> None:
    corner = [g for g in genomes(300) if SPACE.encode(g)[1] > 0.9]
    rest = [g for g in genomes(300) if SPACE.encode(g)[1] < 0.7]
    assert np.mean([replay(landscape, g).failed for g in corner]) > 0.9
    assert np.mean([replay(landscape, g).failed for g in rest]) < 0.1


def test_a_table_is_read_as_it_was_written(landscape: Landscape, tmp_path: Path) -> None:
    path = tmp_path / "made-up.parquet"
    landscape.write(path)
    again = Landscape.read(path)
    pd.testing.assert_frame_equal(again.table, landscape.table)
    assert (again.name, dict(again.facts)) == ("made-up", {"kimg": 10})
    assert again.truth(genomes(1)[0]) == landscape.truth(genomes(1)[0])
    path.with_suffix(".json").unlink()
    with pytest.raises(UserError, match=r"made-up.json': a table is a .parquet and the .json"):
        Landscape.read(path)
