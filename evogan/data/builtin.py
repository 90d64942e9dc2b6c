"""The built-in data sets: scikit-learn's digits, and torchvision's in torchvision's own folder layout."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from evogan.data.dataset import Dataset, DataSpec, Images, Labels, image_dataset
from evogan.errors import UserError, shown, summary
from evogan.files import expand
from evogan.plugins import enter
from evogan.stable import derive_seed

DATASETS = {
    "digits": "1,797 handwritten digits, 8x8 grey, 10 classes (comes with scikit-learn)",
    "mnist": "70,000 handwritten digits, 28x28 grey, 10 classes",
    "fashion_mnist": "70,000 articles of clothing, 28x28 grey, 10 classes",
    "kmnist": "70,000 cursive Japanese characters, 28x28 grey, 10 classes",
    "cifar10": "60,000 photographs, 32x32 colour, 10 classes",
    "svhn": "99,289 house-number digits, 32x32 colour, 10 classes",
}
_ADDED: dict[str, Callable[[DataSpec], Dataset]] = {}
DIGITS = tuple("0123456789")
_KINDS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST", "cifar10": "CIFAR10"}
_FILES = {
    "mnist": "MNIST/raw",
    "fashion_mnist": "FashionMNIST/raw",
    "kmnist": "KMNIST/raw",
    "cifar10": "cifar-10-batches-py",
    "svhn": "train_32x32.mat",
}


def add_dataset(name: str, meaning: str, load: Callable[[DataSpec], Dataset]) -> None:
    """For plugins: `load` gives all classes at their own size. Errors: UserError for the name of one that is there."""
    enter(DATASETS, "data set", name, meaning)
    _ADDED[name] = load


def load_builtin(spec: DataSpec) -> Dataset:
    """One of `DATASETS` at its own size. Raises UserError where its files are absent or damaged."""
    if spec.name in _ADDED:
        return _checked(spec.name, _loaded(spec))
    return _digits() if spec.name == "digits" else _torchvision(spec)


def _loaded(spec: DataSpec) -> object:
    """Errors: UserError for whatever the code of a plugin raises."""
    try:
        return _ADDED[spec.name](spec)
    except UserError as error:
        raise UserError(f"data set '{spec.name}': {error}") from None
    except Exception as error:
        raise UserError(f"data set '{spec.name}': its plugin failed: {summary(error)}") from None


def _checked(name: str, data: object) -> Dataset:
    """Errors: UserError for what a plugin gives that is no data set of images."""
    if not isinstance(data, Dataset):
        raise UserError(f"data set '{name}': its plugin gave {shown(data)}, not a Dataset")
    if data.labels is not None:
        classes = np.unique(data.labels)
        if classes.dtype.kind not in "iu" or classes.tolist() != [*range(len(classes))]:
            found = ", ".join(map(str, classes[:5].tolist()))
            raise UserError(
                f"data set '{name}': its plugin gave labels {found} ...: they must be 0, 1, ... without gaps"
            )
    for images in (data.images, data.held_out):
        if images.ndim != 4 or images.shape[1] not in (1, 3) or images.dtype != np.uint8:
            form = f"{images.dtype} {images.shape}"
            raise UserError(f"data set '{name}': its plugin gave images that are {form}, not uint8 (N, 1 or 3, H, W)")
    return data


def _digits() -> Dataset:
    """20 % of every class is held out."""
    found = find_spec("sklearn")  # the file alone: the package takes a second to import
    assert found is not None and found.origin is not None
    rows = np.loadtxt(Path(found.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")
    images = np.rint(rows[:, :-1].reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    labels = rows[:, -1].astype(np.int64)
    rng = np.random.default_rng(derive_seed("held out", "digits"))
    out = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        out[members[np.argsort(rng.random(len(members)))[: len(members) // 5]]] = True
    return image_dataset("digits", images[~out], labels[~out], images[out], labels[out], DIGITS)


def _torchvision(spec: DataSpec) -> Dataset:
    root = expand(spec.data_dir or os.environ.get("EVOGAN_DATA") or "data")
    train_images, train_labels, names = _split(spec, root, train=True)
    test_images, test_labels, _ = _split(spec, root, train=False)
    return image_dataset(spec.name, train_images, train_labels, test_images, test_labels, names)


def _split(spec: DataSpec, root: Path, train: bool) -> tuple[Images, Labels, tuple[str, ...]]:
    from torchvision import datasets

    where = f"data set '{spec.name}' in folder '{root}'"
    options: dict[str, Any] = {"root": str(root), "download": spec.download}
    try:
        if spec.name == "svhn":
            found = datasets.SVHN(split="train" if train else "test", **options)
        else:
            found = getattr(datasets, _KINDS[spec.name])(train=train, **options)
    except RuntimeError as error:  # torchvision's word for files that are absent or fail their checksum
        if spec.download:
            raise UserError(f"{where} could not be downloaded: {_line(error)}") from error
        raise UserError(f"{where} is absent or incomplete: {_hint(spec.name, root)}") from error
    except Exception as error:
        hint = "" if spec.download else "; delete its files and fetch them anew with --download"
        raise UserError(f"{where} cannot be read: {_line(error) or type(error).__name__}{hint}") from error
    images = np.asarray(found.data)
    labels = np.asarray(found.labels if spec.name == "svhn" else found.targets, dtype=np.int64)
    if len(images) != len(labels):
        raise UserError(f"{where} is damaged: {len(images)} images but {len(labels)} labels")
    if spec.name == "cifar10":
        images = images.transpose(0, 3, 1, 2)
    elif images.ndim == 3:
        images = images[:, None]
    names = DIGITS if spec.name in ("mnist", "svhn") else tuple(found.classes)
    return np.ascontiguousarray(images), labels, names


def _hint(name: str, root: Path) -> str:
    for above in root.absolute().parents[:2]:
        if (above / _FILES[name]).exists():
            return f"its files lie below '{above}', so name that folder"
    return "--download fetches it, EVOGAN_DATA names another folder"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
