"""Pairs: recipes, folders of the same names, two halves of a file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from evogan import UserError
from evogan.data import Dataset, DataSpec, load_dataset
from evogan.data.recipes import read_recipe
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings

RNG = np.random.default_rng(0)
N, SIDE = 24, 8
IMAGES = RNG.integers(0, 256, (N, SIDE, SIDE, 3), dtype=np.uint8)
SOURCES = RNG.integers(0, 256, (N, SIDE, SIDE), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def both(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """All images and sources, those to train on first."""
    splits = [split["images"] for split in (data.train, data.unseen)]
    return tuple(np.concatenate([split[field] for split in splits]) for field in ("images", "sources"))  # type: ignore[return-value]


def test_a_recipe_makes_sources_of_the_images() -> None:
    plain, low, edges = (load_dataset(DataSpec("digits", pairs=pairs)) for pairs in (None, "low:4", "edges"))
    assert np.array_equal(low.images, plain.images) and low.kinds == {"labels", "pairs"} > plain.kinds
    assert low.fields["sources"].shape == (1, 2, 2) and "sources (low:4) of 2x2, grey" in low.describe()
    images, sources = both(low)
    assert np.array_equal(sources, read_recipe("low:4").of(images))
    assert len({plain.fingerprint, low.fingerprint, edges.fingerprint}) == 3


def test_a_recipe_comes_before_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edges").mkdir()
    assert "sources (edges) of 8x8" in load_dataset(DataSpec("digits", pairs="edges")).describe()
    with pytest.raises(UserError, match="is no folder whose images could have the same names"):
        load_dataset(DataSpec("digits", pairs="./edges"))


def test_their_images_are_judged_as_without_them() -> None:
    paired, plain = (GANProblem(GANSettings(data="digits", pairs=pairs)) for pairs in ("edges", None))
    assert paired.features.id == plain.features.id and paired.fields.keys() - plain.fields.keys() == {"sources"}


def test_a_folder_has_the_sources_under_the_images_names(tmp_path: Path) -> None:
    for i in range(N):
        part = "test" if i % 4 == 0 else "train"
        save(tmp_path / "photos" / part / "cat" / f"{i}.png", IMAGES[i])
        save(tmp_path / "sketches" / part / "cat" / f"{i}.bmp", SOURCES[i])
    images, sources = both(load_dataset(DataSpec(str(tmp_path / "photos"), pairs=str(tmp_path / "sketches"))))
    order = [int(np.flatnonzero((IMAGES.transpose(0, 3, 1, 2) == image).all((1, 2, 3)))[0]) for image in images]
    assert sorted(order) == list(range(N)) and np.array_equal(sources[:, 0], SOURCES[order])
    spec = DataSpec(str(tmp_path / "photos"), pairs=str(tmp_path / "sketches"))
    (tmp_path / "sketches" / "train" / "cat" / "3.bmp").rename(tmp_path / "sketches" / "train" / "cat" / "three.bmp")
    with pytest.raises(UserError, match=r"1 of 24 images have no source: 'train/cat/3'"):
        load_dataset(spec)
    save(tmp_path / "sketches" / "train" / "cat" / "3.png", SOURCES[3])
    save(tmp_path / "sketches" / "train" / "cat" / "3.bmp", SOURCES[3])
    with pytest.raises(UserError, match="several images of a name"):
        load_dataset(spec)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_file_may_hold_source_and_image_side_by_side(tmp_path: Path, side: str) -> None:
    grey = np.repeat(SOURCES[..., None], 3, axis=3)
    for i in range(N):
        halves = (grey[i], IMAGES[i]) if side == "left" else (IMAGES[i], grey[i])
        save(tmp_path / "val" / f"{i}.png" if i < 4 else tmp_path / "train" / f"{i}.png", np.hstack(halves))
    images, sources = both(load_dataset(DataSpec(str(tmp_path), pairs=side)))
    order = [int(np.flatnonzero((IMAGES.transpose(0, 3, 1, 2) == image).all((1, 2, 3)))[0]) for image in images]
    assert np.array_equal(sources[:, 0], SOURCES[order])
    small, _ = both(load_dataset(DataSpec(str(tmp_path), pairs=side, image_size=4)))
    assert small.shape == (N, 3, 4, 4)
    save(tmp_path / "train" / "9.png", np.zeros((8, 15, 3), dtype=np.uint8))
    with pytest.raises(UserError, match=r"9.png': 15x8 has no two halves"):
        load_dataset(DataSpec(str(tmp_path), pairs=side))


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ("egdes", "unknown recipe 'egdes': did you mean 'edges'?"),
        ("low", "needs a factor"),
        ("grey", "these images are grey"),
        ("low:3", "images of 8x8 cannot be made 3 times smaller"),
        ("./nowhere", "no such folder"),
        ("left", "no image files"),
    ],
)
def test_pairs_that_cannot_be_are_refused(pairs: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_dataset(DataSpec("digits", pairs=pairs))


def test_a_folder_of_tables_has_no_names(tmp_path: Path) -> None:
    """Of a hub's export, say: its images are rows."""
    hub, images = tmp_path / "hub", tmp_path / "images"
    hub.mkdir()
    images.mkdir()
    for i, pixels in enumerate(IMAGES[:20]):
        Image.fromarray(pixels).save(images / f"{i:02}.png")
    rows = [{"bytes": path.read_bytes(), "path": None} for path in sorted(images.iterdir())]
    pq.write_table(pa.table({"image": rows}), hub / "0.parquet")
    for data, pairs in ((hub, images), (images, hub)):
        with pytest.raises(UserError, match="no folder whose images|it has no image files"):
            load_dataset(DataSpec(str(data), pairs=str(pairs)))


def test_a_folder_needs_a_folder(tmp_path: Path) -> None:
    for i in range(N):
        save(tmp_path / f"{i}.png", SOURCES[i])
    with pytest.raises(UserError, match="'digits' is no folder whose images"):
        load_dataset(DataSpec("digits", pairs=str(tmp_path)))
