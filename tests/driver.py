"""A driver that costs little, writes much and can be caught at a certain moment: for tests that kill it.

`python -m tests.driver RUNS [MOMENT N [TARGET [STRATEGY]]]`: the real engine on made-up trials, until TARGET is
reached, unless that is "none". At the N-th MOMENT of its life ("trial", "write", "kept" or "commit": when a trial
begins, half of a file is written, a file has its name, before a commit) it says "here" and stands still.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections import Counter
from pathlib import Path
from threading import current_thread, main_thread
from time import sleep
from typing import Any

import sqlalchemy as sa

from evogan.engine import Broker, Judge, LocalExecutor, Loop, Store, carry_out
from evogan.genome import Gene
from evogan.space import Space
from evogan.strategies import make_strategy
from evogan.trial import STATE, Evaluation, Task, Trial

TASK = Task(name="killed")
SPACE = Space(
    "killed",
    [
        Gene(name="x", kind="float", low=-1.0, high=1.0, levels=41),
        Gene(name="width", kind="int", low=1, high=9),
    ],
)
DOCUMENT = {
    "space": SPACE.document(),
    "strategy": "hyperband",
    "seed": 0,
    "evaluations": 20,
    "fitness": "value",
    "score": "best",
    "average": "mean",
    "task": TASK.key,
    "data": TASK.name,
    "replicates": 1,
    "race": False,
    "finalists": 2,
    "confirm": 2,
    "reference": [],
}

_wanted: tuple[str, int] | None = None
_seen: Counter[str] = Counter()


def moment(kind: str) -> None:
    """The main thread comes by here; the heartbeat, which comes when it likes, does not count."""
    if current_thread() is not main_thread():
        return
    _seen[kind] += 1
    if (kind, _seen[kind]) == _wanted:
        print("here", flush=True)
        sleep(1e6)


def is_whole(content: bytes) -> bool:
    return content[:32] == hashlib.sha256(content[32:]).digest()


def sealed(*parts: object) -> bytes:
    """Some 100 kB that nothing but these parts make, and that show if any are missing."""
    body = hashlib.shake_256(repr(parts).encode()).digest(100_000)
    return hashlib.sha256(body).digest() + body


def evaluate(trial: Trial) -> Evaluation:
    """Leaves a file and, below the full fidelity, the state from which a promotion goes on; fails where width is 9."""
    moment("trial")
    earlier = trial.earlier
    if earlier is not None:
        keys = [trial.key, *(key for key, up_to in trial.prefixes if earlier.fidelity <= up_to)]
        if earlier.files[STATE] not in [sealed(STATE, key, earlier.fidelity, trial.replicate) for key in keys]:
            raise AssertionError("that is not the state that was left")
    genome = trial.genome.now
    width = int(genome["width"])
    if width == 9:
        return Evaluation(status="diverged", reason="too wide")
    value = float(genome["x"]) ** 2 + (width - 3) ** 2 / 10 + trial.seed % 1000 / 1e5
    names = ["generator.bin"] + [STATE] * (trial.fidelity < 1)
    files = {name: sealed(name, trial.key, trial.fidelity, trial.replicate) for name in names}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    scores = ({"value": value / trial.fidelity, "fidelity": trial.fidelity},)
    return Evaluation(status="completed", scores=scores, provenance=digests, files=files)


def main(runs: Path, target: float | None = None, name: str = "hyperband") -> None:
    store, judge = Store(runs), Judge("value")
    store.add_run("killed", DOCUMENT | {"target": target, "strategy": name})
    strategy = make_strategy(name, SPACE, 0, {"fidelities": [0.25, 1.0]})
    broker = Broker(store, LocalExecutor(evaluate))
    budget = {"evaluations": 20, "target": target, "window": 4}
    carry_out(Loop("killed", SPACE, strategy, TASK, judge, broker, seed=0, **budget), 2, 2)  # type: ignore[arg-type]
    store.close()


class _InHalves(io.BufferedRandom):
    def write(self, content: Any) -> int:
        begun = super().write(content[: len(content) // 2])
        self.flush()
        moment("write")
        return begun + super().write(content[len(content) // 2 :])


def _open(path: Path, mode: str = "r", open: Any = Path.open, **how: Any) -> Any:
    return _InHalves(io.FileIO(path, mode)) if mode == "wb+" else open(path, mode, **how)  # as `write_whole` does


def _replace(half: Path, path: Path, replace: object = os.replace) -> None:
    replace(half, path)  # type: ignore[operator]
    moment("kept")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        _wanted = (sys.argv[2], int(sys.argv[3]))
    Path.open = _open  # type: ignore[method-assign]
    os.replace = _replace  # type: ignore[assignment]
    sa.event.listen(sa.Engine, "commit", lambda connection: moment("commit"))
    targets = [None if target == "none" else float(target) for target in sys.argv[4:5]]
    main(Path(sys.argv[1]), *targets, *sys.argv[5:])
    print(dict(_seen))
