"""Writes what a benchmark measured, with machine and versions, as JSON under `benchmarks/results/`."""

from __future__ import annotations

import json
import os
import platform
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "system": platform.system()}


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Of those that are installed."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def record(name: str, results: dict[str, Any], *, quiet: bool = False) -> None:
    """Write `results/NAME.json`, and print the results unless `quiet`."""
    packages = ("evogan", "torch", "ray", "deap", "sqlalchemy", "numpy")
    document = {
        "benchmark": name,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": {"python": platform.python_version(), **versions(packages)},
        "results": results,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
    if quiet:
        return
    print(f"{name}:", file=sys.stderr)
    for key, value in results.items():
        print(f"  {key:<40} {value}", file=sys.stderr)
