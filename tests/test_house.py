"""The house: rooms import downwards only, and the two wings never import each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import evogan

ROOT = Path(evogan.__file__).parent
GROUND = {"errors", "extremes", "files", "processes", "documents", "options", "shapes", "stable", "levels"}
GROUND |= {"genome", "genes", "shipped", "trial", "flags"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "extremes": set(),
    "stable": set(),
    "processes": set(),
    "files": {"errors", "processes"},
    "documents": {"errors", "files", "genome"},
    "options": {"errors", "genome"},
    "levels": set(),
    "shapes": {"errors"},
    "genome": {"errors", "stable", "levels"},
    "genes": {"genome"},
    "shipped": {"errors", "files", "documents", "genes", "genome"},
    "trial": {"genome", "stable"},
    "flags": {"trial"},
    "space_document": {"errors"},
    "space": GROUND | {"space_document"},
    "strategies": GROUND | {"space"},
    "optuna": GROUND | {"space", "strategies"},
    "engine": GROUND | {"space", "strategies"},
    "data": GROUND,
    "fitness": GROUND | {"data"},
    "zoo": GROUND,
    "training": GROUND | {"zoo", "fitness", "data"},
    "checkpoint": GROUND | {"zoo"},
    "grid": set(),
    "evaluation": GROUND | {"data", "fitness", "zoo", "training", "checkpoint", "grid"},
    "report": GROUND | {"space", "strategies", "engine", "campaign", "monitor"},
    "settings": GROUND | {"engine", "data", "fitness", "evaluation"},
    "objective": GROUND,
    "place": GROUND | {"engine"},
    "seeds": GROUND | {"space", "engine", "place"},
    "signals": set(),
    "monitor": GROUND | {"engine"},
    "launch": GROUND
    | {"space", "strategies", "engine", "monitor", "fitness", "settings", "objective", "place", "signals"},
    "api": GROUND
    | {"space", "strategies", "engine", "campaign", "data", "fitness", "zoo", "evaluation", "checkpoint", "report"}
    | {"settings", "objective", "place", "seeds", "launch"},
    "campaign": GROUND | {"space", "engine"},
    "campaigns": GROUND  # beside api: it checks and launches many runs as api does one
    | {"space", "strategies", "engine", "campaign", "monitor", "report", "settings", "place", "launch", "api"},
    "bench": GROUND  # beside campaigns: it collects with one, and replays as api searches
    | {"space", "strategies", "engine", "campaign", "campaigns", "settings", "place", "launch", "api"},
    "cli": {"*"},
    "__main__": {"cli"},
    "__init__": {"api", "bench", "campaign", "campaigns", "errors", "genome", "space"},
}
SEARCH_WING = ("space_document", "space", "strategies", "optuna", "engine", "report", "monitor")
GPU_WING = (
    *("levels", "genome", "genes", "trial", "flags", "shipped", "data"),
    *("fitness", "zoo", "training", "checkpoint", "grid", "evaluation"),
)


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


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
    rooms = {name.split(".")[1] for name in imports(path) if name.startswith("evogan.")} - {"__version__"}
    allowed = MAY_IMPORT[here] | {here}
    if "*" not in allowed:
        assert {r for r in rooms if r in MAY_IMPORT} <= allowed
    outside = {name.split(".")[0] for name in imports(path)}
    if here in SEARCH_WING:
        assert not outside & {"torch", "torchvision"}
    if here in GPU_WING:  # these run where nothing but torch and numpy is installed
        assert not outside & {"ray", "deap", "optuna", "pydantic", "sqlalchemy", "typer", "rich"}


def test_there_are_no_circles() -> None:
    done: set[str] = set()
    while len(done) < len(MAY_IMPORT) - 1:
        ready = {name for name, below in MAY_IMPORT.items() if name not in done and below <= done | {"*"}}
        assert ready, set(MAY_IMPORT) - done
        done |= ready


WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"ray", "deap", "optuna", "pydantic", "sqlalchemy", "torchmetrics", "matplotlib"}:
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
import gpu
"""


def test_the_benchmark_of_gpus_runs_where_little_is_installed() -> None:
    script = ROOT.parent / "benchmarks"
    subprocess.run([sys.executable, "-c", WITHOUT], cwd=script, check=True)
