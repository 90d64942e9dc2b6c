"""Absurd and hostile input: one clear line, exit code 2 (a UserError from Python), and nothing is written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import evogan
from evogan import Gene, Space, UserError
from evogan.settings import Resources
from tests.test_cli import Run, mistake, run  # noqa: F401  (a fixture)

HUGE, LONG = 10**400, "9" * 5000
DEEP = "[" * 900 + "]" * 900


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (f"search wdcgan --samples {10**12}", "samples must be at most 1000000, not 1000000000000"),
        (f"search wdcgan --evaluations {10**23}", "evaluations must be at most 10000000, not 1000"),
        (f"search wdcgan --replicates {HUGE}", "replicates must be at most 1000, not 1000"),
        (f"search wdcgan --confirm {10**9}", "confirm must be at most 10000"),
        (f"search wdcgan --finalists {10**9}", "finalists must be at most 10000"),
        (f"search wdcgan --window {10**9}", "window must be at most 100000"),
        (f"search wdcgan --workers {10**9}", "workers must be at most 100000"),
        (f"search wdcgan --seed {2**64}", "seed must be at most 9223372036854775807"),
        ("search wdcgan --seed -1", "seed must be at least 0, not -1"),
        ("search wdcgan --kimg 1e300", "kimg must be at most 10000000, not 1e+300"),
        ("search wdcgan --total-seconds inf", "total_seconds must be at most 10000000000, not inf"),
        ("search wdcgan --memory-per-trial 1e300", "memory_per_trial must be at most 1"),
        ("search wdcgan --gpus-per-trial 1e300", "gpus_per_trial must be at most 1024"),
        (f"search wdcgan --fuse {LONG}", "--fuse '999"),
        (f"search wdcgan --retries {10**9}", "retries must be at most 1000"),
        (f"search wdcgan --image-size {10**9}", "image_size must be at most 1024"),
        (f"search wdcgan --samples {LONG}", "--samples"),
        ("search wdcgan --fitness=", "fitness is empty"),
        ("search wdcgan --fitness=fid,", "fitness 'fid,': a metric is empty"),
        ("search wdcgan --features=", "features is empty"),
        ("search wdcgan --data=", "data is empty"),
        ("search wdcgan --strategy=", "strategy is empty"),
        ("search wdcgan --device=", "device is empty"),
        (f"search wdcgan --strategy ga --option population={DEEP}", "option 'population': nested deeper than"),
        (f"search wdcgan --strategy ga --option population={LONG}", "option 'population': a whole number of more than"),
        (f"search {'x' * 5000}", "unknown space 'xxx"),
        (f"search {'x' * 5000}.toml", "no file 'xxx"),
        (f"train wdcgan --set filters={DEEP}", "gene 'filters': nested deeper than"),
        (f"train wdcgan --set {'x' * 5000}=3", "unknown gene 'xxx"),
        ("train wdcgan --replicate -1", "replicate must be at least 0, not -1"),
        (f"train wdcgan --replicate {2**63}", "replicate must be at most 1000000"),
        ("search wdcgan --runs ~nosuchuser/x", "'~nosuchuser/x': there is no such user"),
        ("search wdcgan --data ~nosuchuser/x", "'~nosuchuser/x': there is no such user"),
        ("search wdcgan --data mnist --data-dir ~nosuchuser/x", "'~nosuchuser/x': there is no such user"),
        ("search wdcgan --features ~nosuchuser/x", "'~nosuchuser/x': there is no such user"),
        ("search ~nosuchuser/x.toml", "'~nosuchuser/x.toml': there is no such user"),
        ("train ~nosuchuser/x.toml", "'~nosuchuser/x.toml': there is no such user"),
        ("campaign run ~nosuchuser/x.toml", "'~nosuchuser/x.toml': there is no such user"),
        ("sample ~nosuchuser/x", "'~nosuchuser/x': there is no such user"),
        ("sample x.safetensors -o ~nosuchuser/x.png", "'~nosuchuser/x.png': there is no such user"),
        ("features train digits -o ~nosuchuser/x.safetensors", "'~nosuchuser/x.safetensors': there is no such user"),
        ("bench run digits-wgan_gp --runs ~nosuchuser/x", "'~nosuchuser/x': there is no such user"),
        ("bench run digits-wgan_gp --out ~nosuchuser/x.md", "'~nosuchuser/x.md': there is no such user"),
        (f"bench run digits-wgan_gp --seeds {10**12}", "seeds must be at most 10000"),
        ("search wdcgan --name \x1b[2J", r"run name '\x1b[2J'"),
        ("search wdcgan --data \udcff", r"\udcff"),
    ],
)
def test_a_command_line_beyond_reason(
    run: Run,  # noqa: F811
    tmp_path: Path,
    command: str,
    said: str,
) -> None:
    result = run(command)
    mistake(result, said)
    assert len(result.err) < 2000
    assert list(tmp_path.iterdir()) == []


FILES: dict[str, Callable[[Path], object]] = {
    "deep": lambda path: path.write_text(f"x = {DEEP}"),
    "deep tables": lambda path: path.write_text("x" + ".x" * 900 + " = 1"),
    "long": lambda path: path.write_text(f"[genes]\nfilters = {LONG}"),
    "empty": lambda path: path.write_bytes(b""),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "link": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
}


COMMANDS = ("search FILE", "train FILE", "campaign run FILE", "campaign status FILE")
GENOME = ("train FILE", "empty")  # of an empty file all genes have their defaults


@pytest.mark.parametrize(("command", "kind"), [case for case in product(COMMANDS, FILES) if case != GENOME])
def test_a_file_beyond_reason(run: Run, tmp_path: Path, command: str, kind: str) -> None:  # noqa: F811
    file = tmp_path / "given.toml"
    FILES[kind](file)
    result = run(command.replace("FILE", str(file)))
    mistake(result, "given.toml")
    assert len(result.err) < 2000
    assert list(tmp_path.iterdir()) == [file]


SPACE = Space("bowl", [Gene(name="x", kind="float", low=-1, high=1)])


def _one(genes: Any) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: evogan.search(SPACE, objective=3), "objective must be a function, not 3"),
        (lambda: evogan.search(3, objective=_one), "space must be a name, a file or a Space, not 3"),
        (lambda: evogan.search(SPACE, objective=_one, evaluations=float("nan")), "evaluations must be a whole number"),
        (lambda: evogan.search(SPACE, objective=_one, evaluations=(3,)), "evaluations must be a whole number, not .3,"),
        (lambda: evogan.search(SPACE, objective=_one, evaluations="3"), "evaluations must be a whole number, not '3'"),
        (lambda: evogan.search(SPACE, objective=_one, evaluations=10**23), "evaluations must be at most"),
        (lambda: evogan.search(SPACE, objective=_one, seed=float("nan")), "seed must be a whole number, not nan"),
        (lambda: evogan.search(SPACE, objective=_one, seed=None), "seed must be a whole number, not None"),
        (lambda: evogan.search(SPACE, objective=_one, window=2.5), "window must be a whole number, not 2.5"),
        (lambda: evogan.search(SPACE, objective=_one, race=1), "race must be True or False, not 1"),
        (lambda: evogan.search(SPACE, objective=_one, strategy=3), "strategy must be a text, not 3"),
        (lambda: evogan.search(SPACE, objective=_one, options=[1]), "options must be a mapping"),
        (lambda: evogan.search(SPACE, objective=_one, fitness=("a", "b")), "fitness must be a text"),
        (lambda: evogan.search(SPACE, objective=_one, name=3), "name must be a text, not 3"),
        (lambda: evogan.search(SPACE, objective=_one, task="t", runs=3), "a path must be a text or a Path, not 3"),
        (lambda: evogan.search(SPACE, objective=_one, resources={"workers": 2}), "resources must be Resources"),
        (lambda: evogan.search(SPACE, objective=_one, workers="2"), "workers must be a whole number"),
        (lambda: evogan.search(SPACE, objective=_one, log_level=3), "unknown log level '3'"),
        (lambda: evogan.search(SPACE, objective=_one, seed_genomes=3), "seed_genomes must be"),
        (lambda: evogan.search("wdcgan", data=3), "data must be a name, a path, .* not 3"),
        (lambda: evogan.search("wdcgan", data=([[1, 2], [1]], [0, 1])), "data must be .*: these are of several sizes"),
        (
            lambda: evogan.search("wdcgan", data=(range(9), range(9))),
            "data must be .*: the first of this pair is 'range'",
        ),
        (lambda: evogan.search("wdcgan", kimg="much"), "kimg must be a number, not 'much'"),
        (lambda: evogan.search("wdcgan", kimg=(1, 2)), r"kimg must be a number, not \(1, 2\)"),
        (lambda: evogan.search("wdcgan", device=0), "device must be a text, not 0"),
        (lambda: evogan.search("wdcgan", precision=16), "unknown precision '16'"),
        (lambda: evogan.search("wdcgan", download="yes"), "download must be True or False, not 'yes'"),
        (lambda: evogan.train(3), "genome must be a name, a file or genes, not 3"),
        (lambda: evogan.train("wdcgan", replicate=2**63), "replicate must be at most"),
        (lambda: evogan.train({"filters": HUGE}), "gene 'filters': 1000"),
        (lambda: evogan.train({3: 4}), "unknown gene '3'"),
        (lambda: evogan.load(3), "generator must be a file, a folder or a run, not 3"),
        (lambda: evogan.load("no\0where"), "'no.*where' is no path"),
        (lambda: evogan.open_run("x", runs=""), "no store in"),
        (lambda: evogan.open_run("x", store=3), "store must be the URL of a database, not 3"),
        (lambda: Resources(gpus_per_trial=(1,)), r"gpus_per_trial must be a number or auto, not \(1,\)"),
        (lambda: Resources(ray=3), "ray must be a text, not 3"),
    ],
)
def test_a_call_beyond_reason(
    call: Callable[[], Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"^{said}") as told:
        call()
    assert "\n" not in str(told.value) and len(str(told.value)) < 2000
    assert list(tmp_path.iterdir()) == []


def test_paths_of_pathlib_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    space = tmp_path / "bowl.toml"
    space.write_text("[genes.x]\nkind = 'float'\nlow = 0.0\nhigh = 1.0\n")
    found = evogan.search(space, objective=_one, task="one", evaluations=2, strategy="random", runs="~/kept", workers=1)
    assert (tmp_path / "kept" / "evogan.db").is_file()
    assert evogan.open_run(found.name, runs=Path("~/kept")).best is not None
    assert found.report("~/page") == tmp_path / "page" / "report.html"
    assert not (Path.cwd() / "~").exists()


def test_nothing_is_written_to_a_folder_named_like_home(
    run: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(sys, "stdin", None)
    for variable in ({}, {"EVOGAN_RUNS": "~/there"}):
        for name, value in variable.items():
            monkeypatch.setenv(name, value)
        flag = "" if variable else "--runs=~/there"
        result = run(f"train wdcgan --kimg 0.1 --samples 50 {flag}")
        assert result.code == 0, result.err
        assert (home / "there" / "evogan.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
