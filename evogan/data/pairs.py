"""Pairs: beside each image the one that it is to be made from, its source, as the field `sources`.

Where sources come from: of the images by a recipe (`evogan.data.recipes`); from a folder that has one for each image
under the same name; or from the `left` or `right` of each file that holds source and image side by side (as the data of
pix2pix do: left).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np

from evogan.data.dataset import Dataset, Images
from evogan.data.folder import load_folder
from evogan.data.labels import listed
from evogan.data.pictures import Pictures
from evogan.data.recipes import RECIPES, read_recipe
from evogan.data.source import Rows, Source
from evogan.errors import UserError, unknown
from evogan.files import expand

SIDES = {"left": "right", "right": "left"}  # of a source, and of its image
SOURCES = "sources"


def check_pairs(text: str) -> None:
    """Errors: UserError for what is no recipe, no side, and no folder."""
    name = text.partition(":")[0]
    if text in SIDES or not are_made(text):
        return
    if "/" in text:
        raise UserError(f"pairs '{text}': no such folder")
    if name not in RECIPES:
        raise unknown("recipe", name, [*RECIPES, *SIDES, "a folder of images with the same names"])
    read_recipe(text)


def are_made(text: str) -> bool:
    """Whether the sources are made of the images. A recipe comes before a folder of its name, which is ./edges then."""
    return text.partition(":")[0] in RECIPES or (text not in SIDES and not expand(text).is_dir())


def paired(data: Dataset, text: str, train: Images, unseen: Images) -> Dataset:
    """With the sources (N, C', H', W') of its images to train on and of those held out."""
    height, width = train.shape[2:]
    if height != width:
        raise UserError(f"pairs '{text}': sources of {width}x{height}, not square: choose a size with --image-size")
    note = f"sources ({text}) of {width}x{height}, {'grey' if train.shape[1] == 1 else 'colour'}"
    splits = (data.train, train), (data.unseen, unseen)
    with_sources = [{**split, "images": {**split["images"], SOURCES: rows}} for split, rows in splits]
    return replace(data, train=with_sources[0], unseen=with_sources[1], notes=(*data.notes, note))


def made(data: Dataset, text: str) -> Dataset:
    """With sources by a recipe."""
    recipe = read_recipe(text)
    return paired(data, text, recipe.of(data.images), recipe.of(data.held_out))


def one_side(source: Source, side: str) -> Source:
    """The halves of its images on that side. Errors: UserError for what is not read from image files."""
    if not isinstance(source.pixels, Pictures):
        raise UserError(f"data set '{source.name}' has no image files that hold source and image side by side")
    return replace(source, pixels=replace(source.pixels, side=side))


def sources_of(images: Sequence[str], below: Path, text: str) -> tuple[Source, Rows]:
    """The folder `text`, and which of it are the sources of `images`, paths of files below a folder.

    Errors: UserError for images without a source.
    """
    folder = expand(text)
    source = load_folder(folder)
    if source.below is None:
        raise UserError(f"pairs '{text}': it has no image files, whose names could be the same")
    number = {_name(source.called(i), folder): i for i in range(source.count)}
    wanted = [_name(path, below) for path in images]
    if len(number) < source.count:
        raise UserError(f"pairs '{text}': it has several images of a name, which differ in their suffix")
    if absent := [name for name in wanted if name not in number]:
        raise UserError(f"pairs '{text}': {len(absent):,} of {len(wanted):,} images have no source: {listed(absent)}")
    return source, np.array([number[name] for name in wanted], dtype=np.int64)


def _name(path: str, below: Path) -> str:
    """Of an image within its folder, without suffix."""
    return PurePath(path).relative_to(below).with_suffix("").as_posix()
