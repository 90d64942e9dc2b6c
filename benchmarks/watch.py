"""What the live page costs: a store with 10,000 evaluations and 20 runs, half of all in one of them.

Goals: a page is there within 2 s, an update costs the server at most 50 ms, the server takes at most 1 % of the
processor time of a run that it shows.
"""

from __future__ import annotations

import io
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from threading import Thread
from time import perf_counter, process_time, sleep
from urllib.request import urlopen

import psutil
from _record import record
from PIL import Image

from evogan.engine import Broker, Judge, LocalExecutor, Loop, Store
from evogan.genome import Genome
from evogan.space import load_space
from evogan.stable import derive_seed
from evogan.strategies import make_strategy
from evogan.trial import Evaluation, Task, Trial
from evogan.watch.store import WatchedStore

STORED, RUNS, LARGE, UPDATES, SECONDS = 10_000, 20, 5_000, 50, 90
TASK = Task(name="stubbed out")
CURVE = tuple({"kimg": i / 32, "real": 0.1, "fake": 0.2, "generator": 0.3} for i in range(32))
POINTS = tuple({"kimg": i / 4, "fidelity": i / 4, "kid": 0.1, "parameters": 1e5} for i in range(1, 5))


def grid() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((264, 264), 60).save(buffer, "PNG")
    return buffer.getvalue()


GRID = grid()


def stub(trial: Trial) -> Evaluation:
    """An answer of the usual size that took no time; one in ten failed."""
    if trial.seed % 10 == 0:
        return Evaluation(status="diverged", reason=f"diverged: critic loss is nan at iteration {trial.seed % 90}")
    fid = 10 + derive_seed(trial.key) % 1000 / 10
    scores = tuple(point | {"fid": fid} for point in POINTS)
    return Evaluation(
        status="completed", scores=scores, curve=CURVE, cost={"seconds": 1.0}, files={"samples.png": GRID}
    )


def go(store: Store, run: str, strategy: str, evaluations: int, seed: int) -> None:
    space = load_space("wdcgan_wide")
    if run not in store.names():
        document = {"space": space.document(), "data": "made up", "task": TASK.key, "strategy": strategy, "seed": seed}
        store.add_run(run, document | {"fitness": "fid", "evaluations": evaluations, "confirm": 0, "reference": []})
    broker = Broker(store, LocalExecutor(stub))
    made = make_strategy(strategy, space, seed)
    Loop(run, space, made, TASK, Judge("fid"), broker, seed=seed, evaluations=evaluations, window=8).go()


def pages(folder: Path) -> dict[str, float]:
    """Seconds until a server that has just begun answers, and until it does again."""
    server = subprocess.Popen(
        [sys.executable, "-m", "evogan.watch", str(folder), "large"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdin is not None and server.stdout is not None
    site = server.stdout.readline().decode().strip()
    found = {}
    for name, path in (
        ("all runs", "?all=1"),
        ("run of 5,000", "runs/large"),
        ("all runs, again", "?all=1"),
        ("run of 5,000, again", "runs/large"),
        ("run of 5,000, best first, page 50", "runs/large?order=best&page=50"),
        ("a genome", "runs/large/genomes/4000"),
    ):
        started = perf_counter()
        urlopen(site + path).read()
        found[f"page, {name}: s"] = round(perf_counter() - started, 3)
    server.stdin.close()
    server.wait()
    return found


def updates(store: Store) -> dict[str, float]:
    """What the server does when an evaluation came: all parts of the page, and a page of the wall."""
    watched, times = WatchedStore(Store.existing(store.folder), "benchmark"), []
    watched.look("large")
    numbers = len(store.proposals("large"))
    space, broker = load_space("wdcgan_wide"), Broker(store, LocalExecutor(stub))
    run = watched.run("large")
    for i in range(UPDATES):
        row = store.proposals("large", numbers - 1 - i, 1)[0]
        genome = Genome({**row.genome, "learning_rate": 1e-5 * (1 + i / 1000)})
        trial = Trial(genome, space.key(genome), TASK, number=numbers + i)
        parents = (row.number,)
        new = replace(row, number=numbers + i, genome=genome, key=trial.key, parents=parents)
        store.add_proposal("large", trial, new)
        store.add_tell("large", len(run.history), new.number, [broker.result(trial).id or 0])
        started = process_time()
        watched.look("large")
        watched.wall("large", "newest", 1)
        times.append(1e3 * (process_time() - started))
    idle = []
    for _ in range(UPDATES):
        started = process_time()
        watched.look("large")
        idle.append(1e3 * (process_time() - started))
    return {
        "update, median: ms": round(statistics.median(times), 1),
        "update, most: ms": round(max(times), 1),
        "look that finds nothing new, median: ms": round(statistics.median(idle), 1),
    }


def share() -> dict[str, float]:
    """Processor seconds of a search of GANs, and of the server that shows it to one who looks on."""
    with tempfile.TemporaryDirectory() as folder:
        words = f"search wdcgan --data digits --runs {folder} --name r --evaluations 1000 --kimg 5 --workers 1 --watch"
        search = subprocess.Popen([sys.executable, "-m", "evogan", *words.split()], stderr=subprocess.PIPE, text=True)
        assert search.stderr is not None
        site = next(line.split()[-1] for line in search.stderr if line.startswith("watch  "))
        Thread(target=search.stderr.read, daemon=True).start()
        Thread(target=lambda: urlopen(f"{site}runs/r/events").read(), daemon=True).start()
        run = psutil.Process(search.pid)
        (server,) = (child for child in run.children() if "evogan.watch" in child.cmdline())
        sleep(10)
        before = [sum(process.cpu_times()[:2]) for process in (run, server)]
        sleep(SECONDS)
        spent = [sum(process.cpu_times()[:2]) - b for process, b in zip((run, server), before, strict=True)]
        search.kill()
        search.wait()
    return {
        "run: processor s": round(spent[0], 1),
        "server: processor s": round(spent[1], 2),
        "server of the run: %": round(100 * spent[1] / spent[0], 2),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store(folder)
        for i in range(RUNS - 1):
            go(store, f"small-{i}", "random", (STORED - LARGE) // (RUNS - 1), i)
        go(store, "large", "ga", LARGE, RUNS)
        results: dict[str, float] = {"evaluations": store.count(), "runs": len(store.names())}
        results |= pages(folder)
        results |= updates(store)
    results |= share()
    record("watch", results)


if __name__ == "__main__":
    main()
