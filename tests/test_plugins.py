"""Plugins: a user's own strategy and data set, for command line, Python and campaigns, for resume and workers."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import evogan
from evogan import Gene, Space, UserError
from evogan.campaigns.plan import read_campaign
from evogan.data.builtin import DATASETS
from evogan.plugins import Plugged, Plugins
from evogan.strategies import STRATEGIES

PAGE = Path(__file__).parent.parent / "docs" / "extending.md"
(STRATEGY,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
DATA = """
import numpy as np


def dots(spec):
    images = np.random.default_rng(0).integers(0, 255, (80, 1, 8, 8), dtype=np.uint8)
    return image_dataset("dots", images[:60], None, images[60:], None)


add_dataset("dots", "80 images of noise", dots)


def double(x):
    return 2 * x
"""
SMALL = "--data dots --features digits --kimg 0.05 --samples 50 --workers 1 --finalists 0 --confirm 0 --json"
SPACE = Space("line", [Gene(name="x", kind="float", low=0.0, high=1.0)])


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example of the docs, with a data set."""
    (tmp_path / "mine.py").write_text(STRATEGY + DATA)
    for table in (STRATEGIES, DATASETS):
        for name in ("centre", "dots"):
            monkeypatch.setitem(table, name, None)  # type: ignore[arg-type]
            table.pop(name)
    return tmp_path / "mine.py"


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "evogan", *line.split()]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_search_with_a_plugin_is_gone_on_with(mine: Path, tmp_path: Path) -> None:
    """By a process that was told nothing of it."""
    begun = shell(f"search wdcgan --plugin mine.py --strategy centre --evaluations 2 --name own {SMALL}", tmp_path)
    assert begun.returncode == 0, begun.stderr
    assert evogan.open_run("own", tmp_path / "runs").facts.plugins == (str(mine),)
    gone_on = shell("resume own --evaluations 3 --json", tmp_path)
    assert gone_on.returncode == 0, gone_on.stderr
    assert json.loads(gone_on.stdout)["counts"]["evaluations"] == 3
    mine.unlink()
    lost = shell("resume own --evaluations 4", tmp_path)
    assert lost.returncode == 2 and lost.stderr.count("\n") == 1
    assert f"plugin '{mine}' cannot be imported: FileNotFoundError" in lost.stderr


def test_python_and_campaigns_take_plugins(mine: Path, tmp_path: Path) -> None:
    run = evogan.search(
        SPACE,
        objective=lambda genes: float(genes["x"]),
        plugins=[str(mine)],
        strategy="centre",
        evaluations=3,
        workers=1,
    )
    assert all(0.4 <= told.row.genome["x"] <= 0.6 for told in run.history)
    assert run.document["plugins"] == [str(mine)]
    file = tmp_path / "c.toml"
    file.write_text(
        "plugins = ['./mine.py']\ndata = ['dots']\nspaces = ['wdcgan']\nstrategies = ['centre']\nseeds = 1\n"
    )

    assert read_campaign(file).plugins.names == (str(mine),)


def test_without_plugins_the_record_is_as_it_was() -> None:
    run = evogan.search(SPACE, objective=lambda genes: 1.0, strategy="random", evaluations=1, workers=1)
    assert "plugins" not in run.document and run.facts.plugins == ()


def test_an_entry_point_needs_no_option(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(mine.parent)
    monkeypatch.setattr("evogan.plugins.entry_points", lambda group: [EntryPoint("x", "mine", group)])
    assert Plugins([]).names == ("mine",)
    assert "centre" in STRATEGIES and "dots" in DATASETS
    sys.modules.pop("mine")


def test_what_arrives_elsewhere_finds_its_plugin_imported(mine: Path) -> None:
    plugins = Plugins([str(mine)])
    module = next(one for one in [*sys.modules.values()] if getattr(one, "__file__", None) == str(mine))
    sent = pickle.dumps(Plugged(plugins, module.double))
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read())(21))"
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True)
    assert done.stdout == b"42\n", done.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nothing_at_all", "cannot be imported: ModuleNotFoundError: No module named 'nothing_at_all'"),
        ("x = (", "cannot be imported: SyntaxError"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("from evogan.strategies import *\nadd_strategy('ga', Strategy, '')", "strategy 'ga' exists already"),
        ("from evogan.data import add_dataset\nadd_dataset('mnist', '', None)", "data set 'mnist' exists already"),
    ],
)
def test_a_plugin_that_cannot_be_is_one_line(code: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(code)
    for named in (str(tmp_path / "wrong.py"), tmp_path / "wrong.py"):
        with pytest.raises(UserError, match=rf"^plugin '{tmp_path}/wrong.py'.*{re.escape(said)}") as told:
            evogan.search(SPACE, objective=lambda genes: 1.0, plugins=[named])
        assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("plugins", "said"),
    [
        (["no_such_module"], "plugin 'no_such_module' cannot be imported"),
        (["../up"], "plugin '../up' cannot be imported"),
        ([3], "plugins must be a text, not 3"),
        ("mine.py", "plugins must be a list of modules and .py files, not 'mine.py'"),
        (["nowhere.py"], "plugin '.*nowhere.py' cannot be imported: FileNotFoundError"),
    ],
)
def test_what_is_no_plugin_is_one_line(plugins: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        evogan.search(SPACE, objective=lambda genes: 1.0, plugins=plugins)


ON_WORKERS = 'import sys\nif "worker" in sys.argv[0]:\n    raise ValueError("not here")\n'


def test_a_plugin_that_fails_on_a_worker_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "shy.py").write_text(ON_WORKERS)
    line = "search wdcgan --plugin shy.py --kimg 0.05 --samples 50 --workers 2 --evaluations 2 --confirm 0"
    done = shell(line, tmp_path)
    assert done.returncode == 2, done.stderr
    assert "plugin" in done.stderr and "ValueError: not here" in done.stderr.splitlines()[-1]
