"""Whether another checkout trains and searches with the same bits as this one, on this machine.

`python benchmarks/bits.py OTHER_CHECKOUT [CASE ...]` trains every genome of the zoo, narrowed, for 49 of 50 iterations
in both; makes a search with every strategy on an objective; and trains some GANs in bf16, and some as one program. All
is done through `evogan.search`, and compared as the stores have it: losses, scores, diagnostics, proposals, and the
weights of all networks with the state of their optimisers and of the random numbers. Prints what differs of which case,
and exits with 1 if anything does. A case is chosen by the beginning of its name: `genome/sngan`, `strategy`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

HERE = Path(__file__).resolve().parents[1]
SIZE, CHANNELS, IMAGES = 16, 3, 400  # images of a side that every backbone makes
ITERATIONS = 50
NARROW = {"filters": 16, "critic_filters": 16, "latent": 16, "code": 8}
BATCH = 8
BF16 = ("wdcgan", "sngan_resnet")
STOPPED = 0.98  # of a training: so its state is left
EVALUATIONS = 24  # of a strategy
TOGETHER = """
[fixed]
filters = 16
batch_size = 16

[genes]
learning_rate = { kind = "float", low = 1e-5, high = 1e-3, scale = "log", levels = 9 }
clip = { kind = "float", low = 0.005, high = 0.1, scale = "log", levels = 11 }
"""

Case = Callable[[Path], None]  # fills a store in this folder


def main() -> None:
    if sys.argv[1:2] == ["--inside"]:
        inside(Path(sys.argv[2]), sys.argv[3:])
        return
    if len(sys.argv) < 2 or not (Path(sys.argv[1]) / "evogan").is_dir():
        sys.exit(__doc__)
    names = chosen(sys.argv[2:])
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder) / "images.npz")
        running = [begin(checkout.resolve(), Path(folder), names) for checkout in (HERE, Path(sys.argv[1]))]
        ours, theirs = (finish(process) for process in running)
    missing = [name for name in names if name not in ours or name not in theirs]
    differ = {
        name: [part for part in ours[name] if ours[name][part] != theirs[name][part]]
        for name in names
        if name not in missing
    }
    for name, parts in differ.items():
        print(f"{name:<28} {'differs: ' + ', '.join(parts) if parts else 'the same'}   {ours[name]['outcome']}")
    for name in missing:
        print(f"{name:<28} could not be made")
    wrong = sum(map(bool, differ.values())) + len(missing)
    print(f"{len(names) - wrong} of {len(names)} cases are the same")
    sys.exit(1 if wrong else 0)


def chosen(beginnings: list[str]) -> list[str]:
    """All cases, or those whose names begin so."""
    listed = subprocess.run(
        [sys.executable, "-m", "evogan", "strategies", "--json"], env=environment(HERE), capture_output=True, check=True
    )
    names = [f"genome/{path.stem}" for path in sorted((HERE / "genomes").glob("*.toml"))]
    names += [f"bf16/{name}" for name in BF16] + ["together"]
    names += [f"strategy/{name}" for name in json.loads(listed.stdout)]
    for beginning in beginnings:
        if not any(name.startswith(beginning) for name in names):
            sys.exit(f"no case begins with '{beginning}': {', '.join(names)}")
    return [name for name in names if not beginnings or name.startswith(tuple(beginnings))]


def write_images(path: Path) -> None:
    rng = np.random.default_rng(0)
    shape = (IMAGES, SIZE, SIZE, CHANNELS)
    np.savez(path, images=rng.integers(0, 256, shape, dtype=np.uint8), labels=rng.integers(0, 10, IMAGES))


def environment(checkout: Path) -> dict[str, str]:
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVOGAN_")}
    return kept | one | {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}


def begin(checkout: Path, folder: Path, names: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).resolve()), "--inside", str(folder), *names]
    cache = tempfile.mkdtemp(dir=folder)  # what another version kept may be what differs
    mine = environment(checkout) | {"EVOGAN_CACHE": cache, "EVOGAN_CHECKOUT": str(checkout)}
    return subprocess.Popen(command, env=mine, cwd=folder, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, dict[str, str]]:
    """Case -> part -> digest, of those that could be made."""
    answer, _ = process.communicate()
    return dict(map(json.loads, answer.splitlines()))


# --- in each checkout


def inside(folder: Path, names: list[str]) -> None:
    import evogan

    checkout = Path(os.environ["EVOGAN_CHECKOUT"])
    assert Path(evogan.__file__).is_relative_to(checkout), f"evogan lies in {evogan.__file__}, not in {checkout}"
    for name in names:
        print(checkout.name, name, file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=folder) as runs:
            try:
                case(name, folder / "images.npz")(Path(runs))
                answer = json.dumps([name, dict(facts(Path(runs)))])
            except Exception as error:
                print(checkout.name, name, f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                continue
        print(answer, flush=True)


def case(name: str, images: Path) -> Case:
    kind, _, which = name.partition("/")
    if kind == "strategy":
        return partial(search, which)
    return together if kind == "together" else partial(train, which, images, "bf16" if kind == "bf16" else "fp32")


def train(name: str, images: Path, precision: str, runs: Path) -> None:
    """A genome, as a search does that has no other and is stopped before it goes on from the first fidelity."""
    import evogan

    genes: dict[str, Any] = tomllib.loads((HERE / "genomes" / f"{name}.toml").read_text())["genes"]
    steps = genes.get("critic_steps", 5)
    fixed = {"filters": 16, **genes, **{gene: value for gene, value in NARROW.items() if gene in genes}}
    fixed.pop("batch_size", None)
    space = evogan.Space(name, [evogan.Gene(name="batch_size", kind="choice", values=(BATCH,))], fixed=fixed)
    try:
        evogan.search(
            space,
            images,
            strategy="hyperband",
            options={"fidelities": (STOPPED, 1.0)},
            kimg=ITERATIONS * BATCH * steps / 1000,
            samples=200,
            features="digits",
            precision=precision,
            name="bits",
            runs=runs,
            workers=1,
            listener=stop,
        )
    except KeyboardInterrupt:
        return
    raise AssertionError("it was not stopped")


def stop(event: Any) -> None:
    if event.kind == "evaluated":
        raise KeyboardInterrupt


def search(strategy: str, runs: Path) -> None:
    """With an objective."""
    import evogan

    genes = [
        evogan.Gene(name="x", kind="float", low=-1.0, high=1.0),
        evogan.Gene(name="rate", kind="float", low=1e-4, high=1.0, scale="log", levels=21),
        evogan.Gene(name="n", kind="int", low=1, high=64, scale="log"),
        evogan.Gene(name="kind", kind="choice", values=("a", "b", "c")),
        evogan.Gene(name="depth", kind="int", low=0, high=5, when={"kind": ("b", "c")}),
    ]
    space = evogan.Space("bits", genes)
    evogan.search(
        space,
        objective=objective,
        task="bits",
        strategy=strategy,
        evaluations=EVALUATIONS,
        name="bits",
        runs=runs,
        workers=1,
    )


def objective(genes: Mapping[str, Any], fidelity: float = 1.0) -> float:
    value = float(genes["x"] ** 2 + abs(genes["rate"] - 0.01) + (genes.get("depth", 4) - 2) ** 2 / 8 + genes["n"] / 64)
    return float("nan") if genes["n"] > 60 else (value + (genes["kind"] != "b")) / fidelity


def together(runs: Path) -> None:
    """Several GANs as one program, through the command line, where that is asked for."""
    space = runs.parent / "together.toml"
    space.write_text(TOGETHER)
    options = "--strategy random --evaluations 8 --kimg 1 --samples 200 --finalists 1 --confirm 1 --workers 1 --fuse 4"
    command = [sys.executable, "-m", "evogan", "search", str(space), "--name", "bits", "--runs", str(runs)]
    found = subprocess.run([*command, *options.split()], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    with sqlite3.connect(runs / "evogan.db") as store:
        assert "trained_together" in str(store.execute("SELECT provenance FROM evaluations").fetchall())


def facts(runs: Path) -> Iterator[tuple[str, str]]:
    """Part -> digest of all that a store has, but for times, versions and machines."""
    with sqlite3.connect(runs / "evogan.db") as store:
        evaluations = store.execute(
            "SELECT key, task, fidelity, replicate, status, reason, scores, curve, diagnostics, flags "
            "FROM evaluations ORDER BY key, task, fidelity, replicate"
        ).fetchall()
        proposals = store.execute(
            "SELECT number, vector, genome, key, task, fidelity, pushed FROM proposals ORDER BY number"
        ).fetchall()
        tells = store.execute("SELECT position, number FROM tells ORDER BY position").fetchall()
    assert evaluations and proposals
    statuses = [row[4] for row in evaluations]
    yield "outcome", ", ".join(f"{statuses.count(status)} {status}" for status in sorted(set(statuses)))
    yield "identities", digest([row[:4] for row in evaluations])
    yield "statuses", digest([(*row[4:6], row[9]) for row in evaluations])
    scores = [[{k: v for k, v in one.items() if k != "seconds"} for one in json.loads(row[6])] for row in evaluations]
    yield "scores", digest(scores)
    yield "losses", digest([row[7] for row in evaluations])
    yield "diagnostics", digest([row[8] for row in evaluations])
    yield "proposals", digest(proposals + tells)
    files = [path for path in sorted(runs.rglob("*")) if path.suffix in (".safetensors", ".png")]
    weights = {str(path.relative_to(runs)): tensors(path) for path in files if path.suffix == ".safetensors"}
    yield "weights", digest({path: sorted(found.values()) for path, found in weights.items()})
    yield "names of weights", digest({path: sorted(found) for path, found in weights.items()})
    pages = {str(path.relative_to(runs)): path.read_bytes() for path in files if path.suffix == ".png"}
    yield "images", digest({path: hashlib.sha256(content).hexdigest() for path, content in pages.items()})


def tensors(path: Path) -> dict[str, str]:
    """Name -> digest of a tensor. What the file says of itself has versions in it."""
    found = {}
    with safe_open(path, framework="np") as file:
        for name in file.keys():  # noqa: SIM118
            tensor = file.get_tensor(name)
            found[name] = digest([str(tensor.dtype), tensor.shape, hashlib.sha256(tensor.tobytes()).hexdigest()])
    return found


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    main()
