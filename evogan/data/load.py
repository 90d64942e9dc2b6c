"""DataSpec -> Dataset."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from evogan.data.builtin import DATASETS, load_builtin
from evogan.data.dataset import Dataset, DataSpec, Images, Labels, changed
from evogan.data.folder import load_folder
from evogan.data.npz import load_npz
from evogan.data.resize import resize
from evogan.errors import UserError, one_line, unknown
from evogan.files import expand
from evogan.trial import IMAGE_SIZES

NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?")


def load_dataset(spec: DataSpec) -> Dataset:
    """Load, choose classes, resize. Raises UserError, one line, for whatever the user can mend."""
    least, most = IMAGE_SIZES
    if spec.image_size is not None and not least <= spec.image_size <= most:
        raise UserError(f"image size {spec.image_size}: {least} to {most} pixels a side are allowed")
    dataset = _read(spec)
    for text in (spec.name, spec.data_dir or "", dataset.name, *(dataset.class_names or ())):
        _check_text(text)
    if spec.classes is not None:
        dataset = _choose(dataset, spec.classes)
    images, held_out = dataset.images, dataset.held_out
    if min(len(images), len(held_out)) < 2:
        raise UserError(
            f"data set '{spec.name}' has too few images: {len(images)} to train on, {len(held_out)} held out:"
            " at least 2 of each are needed"
        )
    height, width = images.shape[2:]
    if spec.image_size is None and (height != width or height < least):
        wanted = "square" if height != width else f"of {least} pixels a side or more"
        raise UserError(f"data set '{spec.name}' has images of {width}x{height}: make them {wanted} with --image-size")
    if min(height, width) < 1:
        raise UserError(f"data set '{spec.name}' has images of {width}x{height}")
    if spec.image_size is not None:
        images, held_out = resize(images, spec.image_size), resize(held_out, spec.image_size)
    if all(np.array_equal(images[0], image) for image in images):
        raise UserError(f"data set '{spec.name}': all {len(images):,} images to train on are equal")
    return changed(dataset, images=np.ascontiguousarray(images), held_out=np.ascontiguousarray(held_out))


def _read(spec: DataSpec) -> Dataset:
    if spec.name in DATASETS:
        return load_builtin(spec)
    path = expand(spec.name)
    try:
        if path.is_dir():
            return load_folder(path, spec.image_size)
        if path.is_file() and path.suffix == ".npz":
            return load_npz(path)
        there = path.exists()
    except OSError as error:
        raise UserError(f"data set '{spec.name}': {error.strerror}") from error
    if there:
        raise UserError(f"data set '{spec.name}' is a file of another kind: allowed: an .npz file, a folder of images")
    if "/" in spec.name or path.suffix:
        raise UserError(f"data set '{spec.name}': no such file or folder")
    raise unknown("data set", spec.name, [*DATASETS, "a folder of images", "an .npz file"])


def _check_text(text: str) -> None:
    """It is recorded and shown."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(f"data set: the name '{one_line(text)}' is no UTF-8: rename it") from None


def _choose(dataset: Dataset, classes: tuple[str | int, ...]) -> Dataset:
    """Only these classes."""
    if dataset.labels is None or dataset.held_out_labels is None or dataset.class_names is None:
        raise UserError(f"data set '{dataset.name}' has no labels to choose classes by")
    if not classes:
        raise UserError(f"classes of data set '{dataset.name}': name at least one")
    present = {dataset.class_names[label]: label for label in np.unique(dataset.labels).tolist()}
    by_text = present if any(map(NUMBER.fullmatch, present)) else {str(i): i for i in present.values()} | present
    chosen: list[int] = []
    for name in classes:
        label = by_text.get(name, -1) if isinstance(name, str) else name
        if label not in present.values():
            raise UserError(one_line(f"data set '{dataset.name}': {unknown('class', str(name), present)}"))
        if label in chosen:
            raise UserError(f"class '{name}' of data set '{dataset.name}' is named twice")
        chosen.append(label)
    images, labels = _keep(chosen, dataset.images, dataset.labels)
    held_out, held_out_labels = _keep(chosen, dataset.held_out, dataset.held_out_labels)
    names = tuple(dataset.class_names[label] for label in chosen)
    kept = changed(dataset, images=images, labels=labels, held_out=held_out, held_out_labels=held_out_labels)
    return replace(kept, class_names=names)


def _keep(classes: list[int], images: Images, labels: Labels) -> tuple[Images, Labels]:
    kept = np.isin(labels, classes)
    number = {label: index for index, label in enumerate(classes)}
    return images[kept], np.array([number[label] for label in labels[kept].tolist()], dtype=np.int64)
