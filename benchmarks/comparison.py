"""The shipped comparison: what `evogan bench run digits-wdcgan_wide` finds, and how long it takes.

Goal: 8 strategies x 20 seeds x 200 evaluations in at most 5 minutes on 2 cores.

    python benchmarks/comparison.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from time import perf_counter

from _record import record

TABLE = "digits-wdcgan_wide"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "evogan", "bench", "run", TABLE, "--runs", folder, "--json"]
        started = perf_counter()
        found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        seconds = perf_counter() - started
    record("comparison", {"seconds": round(seconds, 1)} | json.loads(found.stdout), quiet=True)
    print(f"{TABLE}: {seconds:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
