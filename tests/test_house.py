"""The house: rooms import downwards only, and the two wings never import each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import evogan

ROOT = Path(evogan.__file__).parent
GROUND = {
    *("errors", "extremes", "files", "options", "plugins", "settings", "caller", "stable", "version"),
    *("genome", "families", "genes", "shipped", "trial"),
}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "extremes": set(),
    "caller": set(),
    "stable": set(),
    "version": set(),
    "genome": {"errors", "stable"},
    "families": {"errors", "genome"},
    "genes": {"errors", "genome", "families", "plugins"},
    "files": {"errors", "genome"},
    "options": {"errors", "genome"},
    "shipped": {"errors", "files", "genes", "genome"},
    "trial": {"genome", "stable"},
    "plugins": {"errors", "files", "stable"},
    "serving": {"errors"},
    "settings": {"errors", "files", "genome", "options", "trial"},
    "space": GROUND,
    "strategies": GROUND | {"space"},
    "optuna": GROUND | {"space", "strategies"},
    "engine": GROUND | {"space", "strategies"},
    "data": GROUND,
    "fitness": GROUND | {"data"},
    "zoo": GROUND,
    "models": GROUND | {"zoo"},  # of families: what needs torch
    "training": GROUND | {"zoo", "models", "fitness", "data"},
    "evaluation": GROUND | {"data", "fitness", "zoo", "models", "training"},
    "comparison": GROUND | {"space", "strategies", "engine"},
    "monitor": GROUND | {"engine", "serving"},
    "report": GROUND | {"space", "strategies", "engine", "comparison", "monitor", "evaluation"},
    "watch": GROUND | {"space", "strategies", "engine", "monitor", "report", "evaluation", "serving"},
    "runs": GROUND  # where the two wings are joined
    | {"space", "strategies", "engine", "monitor", "report", "data", "fitness", "models", "evaluation", "serving"},
    "export": GROUND | {"engine", "data", "fitness", "zoo", "models", "training", "evaluation", "report", "runs"},
    "api": GROUND | {"space", "engine", "data", "fitness", "models", "evaluation", "report", "runs", "export"},
    "campaigns": GROUND | {"space", "strategies", "engine", "comparison", "monitor", "report", "runs"},
    "bench": GROUND | {"space", "strategies", "engine", "comparison", "campaigns", "runs"},
    "lab": GROUND | {"data", "fitness", "zoo", "models", "training", "serving"},
    "cli": {"*"},
    "__main__": {"cli"},
    "__init__": {"api", "bench", "campaigns", "errors", "genome", "runs", "caller", "space", "version"},
}
MODELS = ("architecture", "build", "model", "diagnostics", "part")
SEARCH_WING = ("space", "strategies", "optuna", "engine", "comparison", "report", "monitor", "watch")
GPU_WING = (
    "genome",
    "families",
    "genes",
    "trial",
    "shipped",
    "data",
    "fitness",
    "zoo",
    "models",
    "training",
    "evaluation",
)


def room(path: Path) -> str:
    return _room(path.relative_to(ROOT).with_suffix("").parts)


def _room(parts: Sequence[str]) -> str:
    """What a family says of itself is plain data on the ground; its model is not."""
    return "models" if parts[0] == "families" and not {*parts}.isdisjoint(MODELS) else parts[0]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_rooms_import_downwards_only(path: Path) -> None:
    here = room(path)
    rooms = {_room(name.split(".")[1:]) for name in imports(path) if name.startswith("evogan.")}
    allowed = MAY_IMPORT[here] | {here}
    if "*" not in allowed:
        assert {r for r in rooms if r in MAY_IMPORT} <= allowed
    outside = {name.split(".")[0] for name in imports(path)}
    if here in SEARCH_WING or here in GROUND:
        assert not outside & {"torch", "torchvision"}
    if here in GPU_WING:  # these run where nothing but torch and numpy is installed
        assert not outside & {"ray", "deap", "optuna", "pydantic", "sqlalchemy", "typer", "rich"}


def test_there_are_no_circles() -> None:
    done: set[str] = set()
    while len(done) < len(MAY_IMPORT) - 1:
        ready = {name for name, below in MAY_IMPORT.items() if name not in done and below <= done | {"*"}}
        assert ready, set(MAY_IMPORT) - done
        done |= ready


LITTLE = """
import runpy, sys
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions, requires
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
there, asked = {"evogan"}, ["torch", "torchvision", "numpy", "pandas", "scikit-learn", "typer", "rich", "safetensors"]
while asked:
    name = canonicalize_name(asked.pop())
    if name not in there:
        there.add(name)
        needs = [Requirement(line) for line in requires(name) or ()]
        asked += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
class Absent(PathFinder):
    @classmethod
    def find_spec(cls, name, *of):
        return None if name in absent else super().find_spec(name, *of)
absent = {name for name, of in packages_distributions().items() if there.isdisjoint(map(canonicalize_name, of))}
assert {"ray", "psutil"} <= absent
for name in absent & {*sys.modules}:
    del sys.modules[name]
sys.meta_path[sys.meta_path.index(PathFinder)] = Absent
sys.argv = ["gpu.py", "--device", "cpu", "--quick", "large"]
runpy.run_path("gpu.py", run_name="__main__")
"""


def test_the_benchmark_of_gpus_runs_where_little_is_installed() -> None:
    script = ROOT.parent / "benchmarks"
    done = subprocess.run([sys.executable, "-c", LITTLE], cwd=script, check=True, capture_output=True, text=True)
    assert "population of 2" in done.stdout and "failed" not in done.stdout


QUIETLY = """
import random, sys
random.seed(3)
before = random.getstate()
import evogan
for name in evogan.__all__:
    getattr(evogan, name)
import evogan.evaluation.evaluator
from evogan.data import DataSpec, load_dataset
load_dataset(DataSpec("digits"))
late = {"sklearn", "scipy.optimize", "scipy.stats", "matplotlib", "ray", "torch._dynamo"} & {*sys.modules}
assert not late, late
import torch
from evogan.fitness.encoders import nmi
nmi(torch.tensor([0, 1]), torch.tensor([0, 1]))
assert "sklearn" in sys.modules and random.getstate() == before
"""


def test_what_takes_seconds_to_import_waits_until_it_is_needed_and_draws_nothing() -> None:
    subprocess.run([sys.executable, "-c", QUIETLY], check=True)
