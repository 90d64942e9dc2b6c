"""What a report shows of the best generator: what is near to its samples, truncation, and its networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import evogan
from evogan.data import Dataset, DataSpec, load_dataset
from evogan.data.source import Tell
from evogan.errors import UserError
from evogan.evaluation import neighbours as looked
from evogan.evaluation.checkpoint import Generator
from evogan.fitness import load_features, to_unit_range
from evogan.report import write_report
from evogan.report.looks import Looks
from evogan.runs import looks
from evogan.runs.gans import GANProblem
from tests.conftest import NARROW

POOL = 100


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> evogan.Run:
    settings = {"evaluations": 2, "kimg": 0.1, "samples": POOL, "confirm": 0, "workers": 1}
    return evogan.search(NARROW, "digits", runs=tmp_path_factory.mktemp("looks"), **settings)  # type: ignore[arg-type]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looked, "POOL", POOL)
    monkeypatch.setattr(looked, "PSIS", {"normal": (0.5,)})


@pytest.mark.usefixtures("few")
def test_neighbours_are_the_nearest(run: evogan.Run) -> None:
    """Looked for one by one."""
    dataset, features, generator = load_dataset(DataSpec("digits")), load_features("digits"), run.load_best()
    samples, twins, reals = looked.neighbours(generator, features, dataset).unflatten(0, (3, looked.SHOWN))
    pool = generator.sample(POOL)
    assert torch.equal(samples, pool[: looked.SHOWN])
    data = to_unit_range(torch.tensor(dataset.images))
    of_pool, of_data = features(pool), features(data)
    for i in range(looked.SHOWN):
        others = [j for j in range(POOL) if j != i]
        twin = min(others, key=lambda j: float((of_pool[i] - of_pool[j]).norm()))
        real = min(range(len(data)), key=lambda j: float((of_pool[i] - of_data[j]).norm()))
        assert torch.equal(twins[i], pool[twin]) and torch.equal(reals[i], data[real])


@pytest.mark.usefixtures("few")
def test_what_was_looked_at_once_needs_no_data(run: evogan.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = looks.look(run, run.load_best)
    assert next(name for name, _ in first.architectures).startswith("evolved #")
    assert first.nearest.startswith(b"\x89PNG") and not first.missing
    assert first.truncation[-1].keys() == set(looked.CURVE)

    def gone(problem: GANProblem) -> None:
        raise UserError("no data")

    monkeypatch.setattr(GANProblem, "dataset", property(gone))
    again = looks.look(run, run.load_best)
    assert (again.nearest, again.truncation, again.missing) == (first.nearest, first.truncation, "")
    for path in run.store.folder.rglob(looks.TRUNCATION):
        path.write_text(json.dumps([{"fid": "x"}]))
    assert looks.look(run, run.load_best).missing == "no data"


@pytest.mark.usefixtures("few")
def test_data_that_take_their_time_are_waited_for(run: evogan.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large ones are decoded, captions are coded: no features are learned by that."""

    def slow(spec: DataSpec, tell: Tell) -> Dataset:
        tell("digits are coloured", 0.0)
        return load_dataset(spec)

    monkeypatch.setattr("evogan.data.load_dataset", slow)
    for path in run.store.folder.rglob(looks.NEAREST):
        path.unlink()
    assert not looks.look(run, run.load_best).missing


def test_a_search_of_few_samples_says_what_is_left_out(run: evogan.Run, tmp_path: Path) -> None:
    for path in run.store.folder.rglob(looks.NEAREST):
        path.unlink()
    page = run.report(tmp_path).read_text()
    assert f"Left out, what is near to samples, and what truncation does: scores of {POOL} samples are too few" in page
    assert "<h2>Networks</h2>" in page


def test_the_page_shows_what_was_found(run: evogan.Run, tmp_path: Path) -> None:
    curve = [
        {"psi": 0.5, "fid": 40.0, "manifold_precision": 0.9, "manifold_recall": 0.1},
        {"fid": 20.0, "manifold_precision": 0.7, "manifold_recall": 0.4},
    ]
    (png,) = list(run.store.folder.rglob("tasks/*-real.png"))
    page = write_report(run, tmp_path, Looks(nearest=png.read_bytes(), truncation=curve)).read_text()
    assert "Near to its samples" in page and "truncation psi" in page and "as it is" in page and "Left out" not in page


@pytest.mark.usefixtures("few")
def test_the_last_point_of_a_curve_is_of_samples_as_they_are(run: evogan.Run) -> None:
    training = run.best_training(run.best.row.key) if run.best else None
    assert training is not None
    path = run.store.files(training.identity, training.evaluation) / "generator.safetensors"
    dataset, features = load_dataset(DataSpec("digits")), load_features("digits")
    points = list(looked.truncation_curve(Generator(path), features, dataset))
    assert [point.get("psi") for point in points] == [0.5, None]
    plain = looked.Scorer(dataset, features, POOL).score([Generator(path).sample(POOL)])
    assert points[-1] == {name: plain[name] for name in looked.CURVE}
    assert points[0] != points[-1]
