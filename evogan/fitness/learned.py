"""Feature networks that learned from a user's data, kept from one start to the next: a folder of safetensors files.

A file is found by the fingerprint of the data alone, so that whatever is judged there is judged alike, by later
versions, too. The first that is written stays; a damaged one is learned anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from evogan.data import Dataset
from evogan.errors import UserError
from evogan.fitness.features import FeatureNet, load_network, save_network
from evogan.fitness.train_features import check_enough, guesses, has_classes, train_features

Tell = Callable[[str, float | None], None]  # hears a line, and how much is done of what it says; None: no work


def learned(dataset: Dataset, folder: Path | None, tell: Tell = lambda line, done: None) -> FeatureNet:
    """The network of these data in the folder, or a new one, which is kept there. Errors: UserError, as in training."""
    if folder is None:
        return _learn(dataset, tell)
    path = folder / f"{dataset.fingerprint}.safetensors"
    if path.exists():
        try:
            return _read(path, dataset)
        except UserError as error:
            tell(f"{error}: set aside and learned anew", None)
            with suppress(OSError):
                path.replace(path.with_suffix(".damaged"))
    network = _learn(dataset, tell)
    with suppress(OSError):  # where nothing can be written it is not kept
        _keep(network, path)
        return _read(path, dataset)
    return network


def _read(path: Path, dataset: Dataset) -> FeatureNet:
    network = load_network(path)
    if network.record.fingerprint != dataset.fingerprint:
        raise UserError(f"feature network '{path}' learned from other data")
    return network


def _learn(dataset: Dataset, tell: Tell) -> FeatureNet:
    """By the labels, where there are enough and they can be told from the images."""
    check_enough(dataset)
    if has_classes(dataset):
        line = f"features learn from the labels of '{dataset.name}'"
        tell(line, 0.0)
        network = train_features(dataset, True, name="classifier", progress=lambda done, _: tell(line, done))
        if not guesses(network.record, dataset):
            return network
        tell(
            f"the labels of '{dataset.name}' cannot be told from its images ({_right(network)}): they are left out",
            None,
        )
    line = f"features learn from the images of '{dataset.name}', without labels"
    tell(line, 0.0)
    return train_features(dataset, False, name="pretext", progress=lambda done, _: tell(line, done))


def _right(network: FeatureNet) -> str:
    return f"held-out accuracy {network.record.accuracy:.1%}"


def _keep(network: FeatureNet, path: Path) -> None:
    """Whole, unless there is one by now."""
    made = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        save_network(network, made)
        try:
            os.link(made, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            os.replace(made, path)
    finally:
        made.unlink(missing_ok=True)
