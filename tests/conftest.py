"""What several tests share: small tasks, made-up evaluators, and global random state that must stay as it was.

A file is for one worker (`--dist loadfile`), so that what its tests share is made once. What each file
cost is said at the end, in processor seconds, which depend less on the machine than the clock does.
"""

from __future__ import annotations

import math
import os
import random
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
import rich.progress  # noqa: F401  (draws a random number when it is first imported)
import torch
from hypothesis import settings

from evogan.data import Dataset, DataSpec, load_dataset
from evogan.genome import Gene, Genome
from evogan.space import Space
from evogan.trial import Evaluation, Task, Trial
from tests.browser import browser as browser

TASK = Task(name="made up")
NARROW = str(Path(__file__).with_name("narrow.toml"))  # a space of GANs that are trained in a moment
# those first that wait more than they compute, so that others compute meanwhile; then the longest
FIRST = "ray cluster faults resume continue population zoo bench api cli".split()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {f"test_{name}": i for i, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(os.times()[:4])


_before = processor_seconds()


def pytest_runtest_logstart() -> None:
    global _before
    _before = processor_seconds()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    global _before
    report = yield
    report.processor = -_before + (_before := processor_seconds())
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    spent: Counter[str] = Counter()
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        if isinstance(report, pytest.TestReport):
            spent[report.nodeid.split("::")[0].rpartition("/")[2]] += report.processor
    files = ", ".join(f"{file} {seconds:.0f}" for file, seconds in spent.most_common() if seconds >= 1)
    terminalreporter.write_line(f"processor seconds: {processor_seconds():.0f}, imports included: {files}")


def mixed_space() -> Space:
    """Every kind of gene, and a condition."""
    return Space(
        "mixed",
        [
            Gene(name="rate", kind="float", low=1e-4, high=1.0, scale="log", levels=21),
            Gene(name="width", kind="int", low=1, high=9),
            Gene(name="kind", kind="choice", values=("a", "b", "c")),
            Gene(name="depth", kind="float", low=0.0, high=1.0, levels=11, when={"kind": ("b", "c")}),
        ],
    )


def score(genome: Genome) -> float:
    """A smooth made-up fitness; its minimum, 0, is at rate 0.01, width 3, kind b, depth 0.5."""
    rate = math.log10(float(genome["rate"])) + 2
    depth = float(genome["depth"]) - 0.5 if "depth" in genome else 1.0
    return rate**2 + (int(genome["width"]) - 3) ** 2 / 10 + (genome["kind"] != "b") + depth**2


def evaluate(trial: Trial) -> Evaluation:
    """`score` as an evaluator, which fails where width is 9."""
    if trial.genome["width"] == 9:
        return Evaluation(status="diverged", reason="too wide")
    noise = trial.seed % 1000 / 1e6
    return Evaluation(status="completed", scores=({"value": score(trial.genome) + noise},))


torch.set_num_threads(1)  # the workers of a test run share the cores
settings.register_profile("evogan", deadline=None)  # machines are noisy
settings.load_profile("evogan")


@pytest.fixture(scope="session", autouse=True)
def _cache_and_runs_in_folders_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("EVOGAN_RUNS", "EVOGAN_STORE"):
            patch.delenv(name, raising=False)
        patch.setenv("EVOGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _global_random_state_is_left_alone() -> Iterator[None]:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    yield
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_dataset(DataSpec("digits"))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"
