"""DataSpec -> Dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evogan.data.builtin import DATASETS, load_builtin
from evogan.data.dataset import Dataset, DataSpec, Images, Labels
from evogan.data.files import load_folder, load_npz
from evogan.data.resize import resize
from evogan.errors import UserError, unknown


def load_dataset(spec: DataSpec) -> Dataset:
    """Load, choose classes, resize. Raises UserError, one line, for whatever the user can mend."""
    if spec.image_size is not None and spec.image_size < 4:
        raise UserError(f"image size {spec.image_size} is too small: at least 4 pixels a side")
    dataset = _read(spec)
    images, labels = dataset.images, dataset.labels
    held_out, held_out_labels = dataset.held_out, dataset.held_out_labels
    if spec.classes is not None:
        if labels is None or held_out_labels is None:
            raise UserError(f"data set '{spec.name}' has no labels to choose classes by")
        _check_classes(spec.name, spec.classes, labels)
        images, labels = _keep(spec.classes, images, labels)
        held_out, held_out_labels = _keep(spec.classes, held_out, held_out_labels)
    if min(len(images), len(held_out)) < 2:
        raise UserError(
            f"data set '{spec.name}' has too few images: {len(images)} to train on, {len(held_out)} held out:"
            " at least 2 of each are needed"
        )
    if spec.image_size is not None:
        images, held_out = resize(images, spec.image_size), resize(held_out, spec.image_size)
    height, width = images.shape[2:]
    if height != width:
        raise UserError(f"data set '{spec.name}' has images of {width}x{height}: make them square with --image-size")
    contiguous = np.ascontiguousarray
    return Dataset(dataset.name, contiguous(images), labels, contiguous(held_out), held_out_labels)


def _read(spec: DataSpec) -> Dataset:
    if spec.name in DATASETS:
        return load_builtin(spec)
    path = Path(spec.name).expanduser()
    if path.is_dir():
        return load_folder(path, spec.image_size)
    if path.is_file() and path.suffix == ".npz":
        return load_npz(path)
    if path.is_file():
        raise UserError(f"data set '{spec.name}' is a file of another kind: allowed: an .npz file, a folder of images")
    if "/" in spec.name or path.suffix:
        raise UserError(f"data set '{spec.name}': no such file or folder")
    raise unknown("data set", spec.name, [*DATASETS, "a folder of images", "an .npz file"])


def _check_classes(name: str, classes: tuple[int, ...], labels: Labels) -> None:
    present = np.unique(labels).tolist()
    if not classes or len(set(classes)) < len(classes):
        raise UserError(f"classes {list(classes)} of data set '{name}': name at least one, each once")
    for label in classes:
        if label not in present:
            raise UserError(f"data set '{name}' has no class {label}: allowed: {', '.join(map(str, present))}")


def _keep(classes: tuple[int, ...], images: Images, labels: Labels) -> tuple[Images, Labels]:
    kept = np.isin(labels, classes)
    number = {label: index for index, label in enumerate(classes)}
    return images[kept], np.array([number[label] for label in labels[kept].tolist()], dtype=np.int64)
