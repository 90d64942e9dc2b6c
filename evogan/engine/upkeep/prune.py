"""Weights that no run names are freed: most of what a store holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evogan.engine.history import RunHistory
from evogan.engine.store import Store
from evogan.trial import FRESH, PLAYERS, STATE

WEIGHTS = "*.safetensors"


@dataclass(frozen=True)
class Pruned:
    """Files that were freed, and those that are kept, with their bytes."""

    files: int = 0
    bytes: int = 0
    kept: int = 0
    kept_bytes: int = 0


def prune(store: Store, dry_run: bool = False) -> Pruned:
    """Delete weights that no run needs any more: generators, players, states. The evaluations stay, with their images.

    A run that is through needs the generators of its best genome, its finalists and its references; one that may go on
    those of all genomes that it proposed, and their states. What is trained just now is left alone. With `dry_run`
    nothing is deleted.
    Errors: UserError for a damaged run: what it needs cannot be known.
    """
    known = dict.fromkeys(store.identities().values())  # first: what ends from now on is no part of it
    busy = {(key, task, replicate) for key, task, _, replicate in store.leases.all()}
    generators, going_on = _needed(store)
    pruned = Pruned()
    for identity in known:
        key, task, _, replicate = identity
        for path in (path for folder in store.folders(identity) for path in sorted(folder.glob(WEIGHTS))):
            size = path.stat().st_size
            needed = path.parent in generators and path.name not in (STATE, PLAYERS)
            if needed or (key, task, replicate) in going_on | busy:
                pruned = Pruned(pruned.files, pruned.bytes, pruned.kept + 1, pruned.kept_bytes + size)
                continue
            if not dry_run:
                path.unlink(missing_ok=True)
            pruned = Pruned(pruned.files + 1, pruned.bytes + size, pruned.kept, pruned.kept_bytes)
    return pruned


def _needed(store: Store) -> tuple[set[Path], set[tuple[str, str, int]]]:
    """Folders whose generators are needed by runs that are through; and all trainings of those that may go on."""
    generators: set[Path] = set()
    going_on: set[tuple[str, str, int]] = set()
    for name in store.names():
        run = RunHistory(store, name)
        references, most = {key for _, key, _ in run.facts.reference}, run.settings.replicates
        if run.is_through:
            named = references | store.finalists(name) | {told.row.key for told in run.ranking[:1]}
            generators |= {store.files(*training) for key in named for training in run.trainings(key).items()}
        else:
            fresh = range(FRESH, FRESH + run.settings.confirm)
            for key in references | {row.key for row in store.proposals(name)}:  # told or not yet
                going_on |= {(key, run.facts.task, replicate) for replicate in (*fresh, *range(most))}
    return generators, going_on
