"""How long `evogan --help` takes, beside a bare interpreter. Goal: under 0.5 s."""

from __future__ import annotations

import statistics
import subprocess
import sys
from time import perf_counter

from _record import record


def seconds(command: list[str]) -> float:
    started = perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return perf_counter() - started


def main() -> None:
    help_command, bare = [sys.executable, "-m", "evogan", "--help"], [sys.executable, "-c", "pass"]
    seconds(help_command)  # warm up the file cache
    pairs = [(seconds(help_command), seconds(bare)) for _ in range(7)]
    record(
        "startup",
        {
            "evogan --help, s (median of 7)": round(statistics.median(a for a, _ in pairs), 3),
            "bare interpreter, s (median of 7)": round(statistics.median(b for _, b in pairs), 3),
        },
    )


if __name__ == "__main__":
    main()
