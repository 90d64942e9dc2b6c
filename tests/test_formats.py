"""evogan.data: images as people have them. Each format gives the pixels that were written; what fits none is said."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from evogan import api
from evogan.data import Dataset, DataSpec, load_dataset
from evogan.data.given import filed
from evogan.errors import UserError
from tests.test_data import pixels, refuses, save_image

GREY, COLOUR = pixels(20, 8, 8), pixels(20, 8, 8, 3)
NAMES = np.array(["cat", "dog"] * 10)
DEEP = np.random.default_rng(1).integers(0, 65536, (20, 8, 8, 3), dtype=np.uint16)


def every(data: Dataset) -> dict[bytes, str | None]:
    """Pixels, channels last, of every image, and the name of its class."""
    found = {}
    for images, labels in ((data.images, data.labels), (data.held_out, data.held_out_labels)):
        for i, image in enumerate(images.transpose(0, 2, 3, 1)):
            names = data.class_names
            found[image.tobytes()] = None if labels is None or names is None else names[int(labels[i])]
    return found


def expected(images: np.ndarray, names: Any = None) -> dict[bytes, str | None]:
    return {x.tobytes(): None if names is None else str(names[i]) for i, x in enumerate(np.asarray(images, np.uint8))}


def load(path: Path, **spec: Any) -> Dataset:
    return load_dataset(DataSpec(str(path), **spec))


def png(image: np.ndarray) -> bytes:
    """Of 16 bits a channel, which Pillow does not write."""
    height, width, channels = image.shape
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in image)
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    packed = [struct.pack(">I", len(x)) + name + x + struct.pack(">I", zlib.crc32(name + x)) for name, x in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def tiff(image: np.ndarray) -> bytes:
    """The same."""
    height, width, channels = image.shape
    content = image.astype("<u2").tobytes()
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, 0), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 1, 8), (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, len(content)), (284, 3, 1, 1)]
    place = 8 + len(content)
    after = place + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", *tag[:3], after if tag[0] == 258 else tag[3]) for tag in tags)
    bits = struct.pack(f"<{channels}H", *[16] * channels)
    return b"II*\0" + struct.pack("<I", place) + content + struct.pack("<H", len(tags)) + entries + bytes(4) + bits


# --- image files


def deep_grey(folder: Path, bits: int) -> np.ndarray:
    """Values of so many bits, the largest among them; as they are to be read."""
    values = (DEEP[..., 0] >> (16 - bits)).astype(np.uint16)
    values[3, 0, 0] = 2**bits - 1
    for i, image in enumerate(values):
        Image.fromarray(image).save(folder / f"{i}.{('png', 'tif')[i % 2]}")
    return np.floor(values * 255.0 / (2**bits - 1) + 0.5)[..., None]


@pytest.mark.parametrize("bits", [16, 12])
def test_grey_of_16_bits_has_the_range_that_it_uses(bits: int, tmp_path: Path) -> None:
    images = deep_grey(tmp_path, bits)
    found = load(tmp_path)
    assert every(found) == expected(images)
    assert f"20 grey images of 16 bits are read as {bits} bits, 0 to {2**bits - 1:,}" in found.describe()


@pytest.mark.parametrize("write", [png, tiff])
def test_of_colours_of_16_bits_the_upper_8_are_taken(write: Callable[..., bytes], tmp_path: Path) -> None:
    for i, image in enumerate(DEEP):
        (tmp_path / f"{i}.{write.__name__}").write_bytes(write(image))
    found = load(tmp_path)
    assert every(found) == expected(DEEP >> 8)
    assert "of 20 colour images of 16 bits a channel the upper 8 bits are taken" in found.describe()
    for i, image in enumerate(DEEP):
        (tmp_path / f"{i}.{write.__name__}").write_bytes(write(image >> 4))
    refuses(DataSpec(str(tmp_path)), "20 colour images of 16 bits", "dark")


def test_deep_grey_with_white_as_0_is_no_negative(tmp_path: Path) -> None:
    """Of 8 bits Pillow turns it about, of 16 it does not."""
    for i, image in enumerate(DEEP):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{i}.tif", tiffinfo={262: 0})
    with Image.open(tmp_path / "0.tif") as image:
        assert image.tag_v2[262] == 0, "this is what it tests"
    refuses(DataSpec(str(tmp_path)), "0.tif", "has white as 0")


def test_a_folder_as_a_stranger_has_it(tmp_path: Path) -> None:
    """Turned photographs, suffixes in capitals, umlauts and spaces, a clear GIF, mixed sizes, a zip and .DS_Store."""
    upright = Image.Exif()
    upright[0x0112] = 6
    wide = np.zeros((8, 12, 3), np.uint8)
    wide[:, 2:10] = COLOUR[0]
    folder = tmp_path / "Ürlaub 2024" / "Strand & Meer"
    folder.mkdir(parents=True)
    Image.fromarray(np.rot90(wide)).save(folder / "IMG 0001.PNG", exif=upright)
    Image.fromarray(COLOUR[1]).save(folder / "größe.WebP", lossless=True)
    frames = [Image.fromarray(image) for image in GREY[:3]]
    frames[0].save(folder / "bild.GIF", save_all=True, append_images=frames[1:])
    for i in range(2, 20):
        save_image(folder / f"{i}.tiff", COLOUR[i])
    for name in (".DS_Store", "photos.zip"):
        (folder / name).write_bytes(b"x")
    found = load(tmp_path / "Ürlaub 2024", image_size=8)
    grey = np.broadcast_to(GREY[0][..., None], (8, 8, 3))
    assert {*every(found)} == {*expected(COLOUR), grey.tobytes()}
    for said in ("several frames", "of 1 images that are not square the centre is taken", "1 .zip", "1 hidden"):
        assert said in found.describe()


def test_all_files_that_are_no_use_are_counted(tmp_path: Path) -> None:
    for i, image in enumerate(np.concatenate([GREY] * 5)):
        save_image(tmp_path / f"{i:03}.png", image)
    for i in (7, 50, 80, 99):
        (tmp_path / f"{i:03}.png").write_bytes(b"" if i == 7 else b"x")
    line = refuses(DataSpec(str(tmp_path)), "4 of 100 images are no use: ", "007.png': empty", "; and 1 more")
    assert "099" not in line


# --- labels.csv


LISTS = {
    "a header": lambda files: ["filename,label", *(f"{file},{name}" for file, name in files)],
    "other columns": lambda files: ["id;source;class", *(f"{file[:-4]};x;{name}" for file, name in files)],
    "none": lambda files: [f"{file},{name}" for file, name in files],
    "words of one's own": lambda files: ["Bild\tArt", *(f"{file}\t{name}" for file, name in files)],
}


@pytest.mark.parametrize("how", LISTS)
def test_labels_in_a_file(how: str, tmp_path: Path) -> None:
    files = [(f"sub/{i}.png" if i % 3 else f"{i}.png", name) for i, name in enumerate(NAMES)]
    for (file, _), image in zip(files, GREY, strict=True):
        save_image(tmp_path / file, image)
    (tmp_path / "labels.csv").write_text("\ufeff" + "\n".join(LISTS[how](files[::-1])))
    found = load(tmp_path)
    assert every(found) == expected(GREY[..., None], NAMES)
    assert "classes are those of labels.csv" in found.describe() and "left out" not in found.describe()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], ["empty"]),
        (["file,label", *(f"{i}.png,a" for i in range(8))], ["2 of 10 images have no line", "'8.png', '9.png'"]),
        (["file,label", *(f"{i}.png,a" for i in range(12))], ["2 of 12 lines name no image", "'10.png', '11.png'"]),
        (["none.png,a", *(f"{i}.png,a" for i in range(10))], ["1 of 11 lines name no image", "'none.png'"]),
        (["0.png,a", "0.png,b"], ["'0.png' has two labels, 'a' and 'b'"]),
        (["0.png,a", "1.png,"], ["line 2 has no label"]),
        (["0.png,a", "1.png,b, c"], ["line 2 has 3 columns, not 2"]),
        (["0.png,a,1", "1.png,b,2"], ["two columns", "not 3"]),
        (["a,b,c", "0.png,1,2"], ["'file' and 'label', not 'a', 'b', 'c'"]),
        (["file,label", "0.png,\xff"], ["no UTF-8"]),
    ],
)
def test_labels_that_do_not_fit(lines: list[str], words: list[str], tmp_path: Path) -> None:
    for i in range(10):
        save_image(tmp_path / f"{i}.png", GREY[i])
    (tmp_path / "labels.csv").write_bytes("\n".join(lines).encode("latin-1"))
    refuses(DataSpec(str(tmp_path)), "labels.csv", *words)


# --- arrays

UNIT = COLOUR / 255
ARRAYS: dict[str, tuple[np.ndarray, np.ndarray, str]] = {
    "floats from 0": (UNIT.astype(np.float32), COLOUR, "float32 is taken as from [0, 1]"),
    "floats around 0": ((2 * UNIT - 1).astype(np.float16), COLOUR, "float16 is taken as from [-1, 1]"),
    "channels first": ((2 * UNIT - 1).transpose(0, 3, 1, 2), COLOUR, "float64 is taken as from [-1, 1]"),
    "whole floats": (GREY.astype(np.float64), GREY[..., None], "float64 is taken as 0 to 255"),
    "integers": (GREY.astype(np.int64), GREY[..., None], "int64 is taken as 0 to 255"),
    "16 bits": (DEEP, np.floor(DEEP / 257 + 0.5), "16 bits are read as 16 bits"),
    "12 bits": (
        (DEEP >> 4).astype(">u2"),
        np.floor((DEEP >> 4) * 255.0 / 4095 + 0.5),
        "16 bits are read as 12 bits, 0 to 4,095",
    ),
    "floats to 255": (
        GREY * np.float32(0.99),
        np.rint(GREY[..., None] * np.float32(0.99)),
        "taken as 0 to 255, and rounded",
    ),
    "masks": (GREY % 2, GREY[..., None] % 2 * 255, "uint8 has 0 and 1 alone, and is taken as black and white"),
    "masks of 16 bits": ((GREY % 2).astype(np.uint16), GREY[..., None] % 2 * 255, "taken as black and white"),
    "masks of integers": ((GREY % 2).astype(np.int64), GREY[..., None] % 2 * 255, "taken as black and white"),
    "masks of floats": ((GREY % 2).astype(float), GREY[..., None] % 2 * 255, "float64 is taken as from [0, 1]"),
    "truths": (GREY > 127, (GREY[..., None] > 127) * 255, "True is white"),
}


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays(kind: str, suffix: str, tmp_path: Path) -> None:
    written, images, said = ARRAYS[kind]
    if suffix == "npy":
        np.save(tmp_path / "own.npy", written)
    else:
        np.savez(tmp_path / "own.npz", images=written)
    found = load(tmp_path / f"own.{suffix}")
    assert every(found) == expected(images)
    assert said in found.describe()


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (UNIT * 1.2, ["from 0 to 1.2"]),
        (UNIT * 1.05 - 0.05, ["from -0.05 to 1", "[0, 1], [-1, 1] or [0, 255]"]),
        (UNIT - 0.5, ["from -0.5 to 0.5", "add 0.5"]),
        ((UNIT - 0.5).astype(np.float16), ["from -0.5 to 0.5", "add 0.5"]),
        ((COLOUR - 128.0) / 255, ["from -0.50", "add 0.5"]),
        (UNIT * 1.4 - 0.5, ["from -0.5 to 0.9", "[-1, 1] or [0, 255]"]),
        (UNIT * 99.9, ["from 0 to 99.9"]),
        (UNIT / 255, ["from 0 to 0.0039"]),
        (UNIT * 255.5, ["float64", "255.5"]),
        (np.where(UNIT > 0.5, np.nan, UNIT), ["not finite", "NaN"]),
        (np.where(UNIT > 0.5, np.inf, UNIT), ["not finite"]),
        (GREY.astype(np.int16) - 1, ["int16", "from -1 to 254"]),
        (np.array(["a"] * 9), ["(9,)"]),
    ],
)
def test_arrays_that_are_no_images(images: np.ndarray, words: list[str], tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", images)
    refuses(DataSpec(str(tmp_path / "own.npy")), "own.npy", *words)


def test_what_is_nearly_black_or_white_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "black.npy", GREY % 3)
    assert load(tmp_path / "black.npy").describe().endswith("; nearly black: no pixel is above 2 of 255")
    np.save(tmp_path / "white.npy", 255 - GREY % 3)
    assert load(tmp_path / "white.npy").describe().endswith("; nearly white: no pixel is below 253 of 255")


ALPHA = pixels(20, 8, 8, 1, seed=2)
CLEAR = np.concatenate([COLOUR, ALPHA], axis=3)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_transparent_arrays_are_laid_on_white_as_files_are(kind: type, first: bool, tmp_path: Path) -> None:
    for i, image in enumerate(CLEAR):
        Image.fromarray(image, "RGBA").save(tmp_path / f"{i}.png")
    written = CLEAR if kind == np.uint8 else CLEAR / 255
    np.save(tmp_path / "own.npy", written.transpose(0, 3, 1, 2) if first else written)
    found = load(tmp_path / "own.npy")
    assert every(found).keys() == every(load(tmp_path)).keys()
    assert "the fourth channel is taken as alpha, and what is transparent is laid on white" in found.describe()


@pytest.mark.parametrize(
    "names", [("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "val_images", "val_labels")]
)
def test_an_npz_of_keras_or_of_medmnist(names: tuple[str, ...], tmp_path: Path) -> None:
    labels = np.arange(20)[:, None] % 3
    arrays = dict(zip(names, (GREY[:14], labels[:14], GREY[14:], labels[14:]), strict=True))
    np.savez(tmp_path / "own.npz", **arrays)
    found = load(tmp_path / "own.npz")
    assert np.array_equal(found.images[:, 0], GREY[:14]) and np.array_equal(found.held_out[:, 0], GREY[14:])
    assert every(found) == expected(GREY[..., None], labels[:, 0])
    assert f"'{names[0]}' is trained on, '{names[2]}' held out" in found.describe()
    np.savez(tmp_path / "more.npz", **arrays, notes=np.arange(3))
    assert "left out: notes" in load(tmp_path / "more.npz").describe()
    np.savez(tmp_path / "singular.npz", images=GREY, label=labels)
    alone = load(tmp_path / "singular.npz")
    assert alone.labels is None and "left out: label; labels are called 'labels'" in alone.describe()
    del arrays[names[3]]
    np.savez(tmp_path / "own.npz", **arrays)
    refuses(DataSpec(str(tmp_path / "own.npz")), f"no array '{names[3]}'")


# --- Parquet


HUB = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind)
    return stream.getvalue()


def table(images: np.ndarray, labels: Any = None, column: str = "image", names: list[str] | None = None) -> pa.Table:
    """As the Hugging Face hub has them."""
    columns = {column: [{"bytes": encoded(image), "path": None} for image in images]}
    features: dict[str, Any] = {column: {"_type": "Image"}}
    if labels is not None:
        columns["label"] = list(labels)
        features["label"] = {"names": names, "_type": "ClassLabel"} if names else {"dtype": "int64", "_type": "Value"}
    return pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def test_parquet_of_the_hub_in_parts_and_shards(tmp_path: Path) -> None:
    labels = np.arange(20) % 2
    for name, rows in (("train-00000-of-00002", (0, 7)), ("train-00001-of-00002", (7, 14)), ("test-00000", (14, 20))):
        some = slice(*rows)
        (tmp_path / "data").mkdir(exist_ok=True)
        pq.write_table(table(COLOUR[some], labels[some], "img", ["cat", "dog"]), tmp_path / f"data/{name}.parquet")
    found = load(tmp_path)
    assert np.array_equal(found.images.transpose(0, 2, 3, 1), COLOUR[:14]) and len(found.held_out) == 6
    assert every(found) == expected(COLOUR, NAMES)
    assert load(tmp_path, classes=("dog",)).images.shape == (7, 3, 8, 8)


def test_parquet_whose_files_call_their_classes_otherwise_is_refused(tmp_path: Path) -> None:
    for shard, names in enumerate((["x", "y"], ["y", "x"])):
        some = slice(10 * shard, 10 * shard + 10)
        labels = (np.arange(20) % 2)[some]
        pq.write_table(table(COLOUR[some], labels, names=names), tmp_path / f"train-{shard}.parquet")
    refuses(DataSpec(str(tmp_path)), "different names for its classes")
    pq.write_table(table(COLOUR[10:], labels), tmp_path / "train-1.parquet")  # which says nothing of names
    assert load(tmp_path).class_names == ("x", "y")
    columns = {"image": [encoded(image) for image in COLOUR], "text": ["a"] * 20, "species": ["b"] * 20}
    pq.write_table(pa.table(columns), tmp_path / "others.parquet")
    alone = load(tmp_path / "others.parquet")
    assert alone.labels is None and "left out: text, species; labels are called 'label'" in alone.describe()
    noted = table(COLOUR, np.arange(20) % 2).append_column("Label", pa.array([f"text {i}" for i in range(20)]))
    pq.write_table(noted.select(["image", "Label", "label"]), tmp_path / "noted.parquet")
    assert load(tmp_path / "noted.parquet").class_names == ("0", "1"), "the very name comes first"


@pytest.mark.parametrize(
    ("made", "names"),
    [
        (lambda: table(COLOUR), None),
        (lambda: table(COLOUR, np.arange(20) % 2).rename_columns(["Image", "Label"]), np.arange(20) % 2),
        (lambda: table(COLOUR, NAMES[::-1], names=["one", "two"]), NAMES[::-1]),
        (lambda: table(COLOUR, np.arange(20)), np.arange(20)),
        (lambda: table(COLOUR, 3 * np.arange(20)), 3 * np.arange(20)),
        (lambda: table(COLOUR, 2 * (np.arange(20) % 2), names=["cat", "cow", "dog", "eel"]), NAMES),
        (lambda: table(COLOUR, (np.arange(20) % 2 == 1).tolist()), np.arange(20) % 2),
        (lambda: table(COLOUR, np.eye(2)[np.arange(20) % 2].tolist()), np.arange(20) % 2),
        (lambda: pa.table({"image": [encoded(image) for image in COLOUR], "class": NAMES}), NAMES),
    ],
)
def test_one_parquet_file(made: Callable[[], pa.Table], names: Any, tmp_path: Path) -> None:
    pq.write_table(made(), tmp_path / "own.parquet", row_group_size=6)
    found = load(tmp_path / "own.parquet")
    assert found.name == "own" and every(found) == expected(COLOUR, names)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"text": ["a"] * 9, "label": [0] * 9}, ["no column of images", "text, label"]),
        ({"a": [b"x"] * 9, "b": [b"x"] * 9}, ["no column of images"]),
        ({"image": [b""] * 9}, ["9 of 9 images are no use", "row 0 of", "empty"]),
        ({"image": pa.array([{"path": "a.png"}] * 9, HUB)}, ["row 0", "empty"]),
        ({"image": [b"x"] * 9, "label": [-1] * 9}, ["label -1"]),
        ({"image": [b"x"] * 9, "label": [[0], *[[0, 1]] * 8]}, ["rows are of different lengths"]),
        ({"image": [b"x"] * 9, "label": [None, *[1] * 8]}, ["1 rows have no label"]),
    ],
)
def test_parquet_mistakes(columns: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    pq.write_table(pa.table(columns), tmp_path / "own.parquet")
    refuses(DataSpec(str(tmp_path / "own.parquet")), "own.parquet", *words)
    (tmp_path / "own.parquet").write_bytes(b"PAR1 and no more")
    refuses(DataSpec(str(tmp_path)), "own.parquet", "damaged")


# --- from Python


class Pairs:
    """A torch Dataset, as torchvision has them: items until an index is out of range."""

    def __init__(self, make: Callable[[np.ndarray], Any]) -> None:
        self._make = make

    def __len__(self) -> int:
        return 20

    def __getitem__(self, i: int) -> tuple[Any, int]:
        return self._make(COLOUR[i]), i % 2


GIVEN = {
    "array": (lambda: COLOUR, None),
    "pair": (lambda: (COLOUR, NAMES), NAMES),
    "dataset of images": (lambda: Pairs(Image.fromarray), np.arange(20) % 2),
    "dataset of tensors": (lambda: Pairs(lambda x: torch.tensor(x).permute(2, 0, 1) / 255), np.arange(20) % 2),
    "tensor with a gradient": (lambda: (torch.tensor(COLOUR) / 255).requires_grad_(), None),
    "bfloat16": (lambda: torch.tensor(COLOUR).bfloat16(), None),
    "texts as objects": (lambda: (COLOUR, NAMES.astype(object)), NAMES),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_what_a_script_holds_is_filed(kind: str, tmp_path: Path) -> None:
    make, names = GIVEN[kind]
    path = filed(make(), tmp_path)
    assert every(load(Path(path))) == expected(COLOUR, names)
    assert filed(make(), tmp_path) == path and filed(tmp_path, tmp_path) == tmp_path


@pytest.mark.parametrize("mode", ["P", "LA", "CMYK", "YCbCr"])
def test_images_of_a_dataset_are_what_their_files_would_be(mode: str, tmp_path: Path) -> None:
    """Not their palettes' numbers, nor ink for transparency."""
    images = [Image.fromarray(x).convert("L" if mode == "LA" else "RGB").convert(mode) for x in COLOUR]
    path = filed([(image, 0) for image in images], tmp_path)
    shown = np.stack([np.asarray(image.convert("L" if mode == "LA" else "RGB")) for image in images])
    assert every(load(Path(path))) == expected(shown, np.zeros(20, dtype=int))


@pytest.mark.parametrize("given", [None, 5, b"x", {"a": 1}, [1, 2], [], np.array([{}]), GREY[0], UNIT * 2])
def test_what_a_script_holds_may_be_no_images(given: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        load(Path(filed(given, tmp_path)))


def test_a_training_on_an_array(tmp_path: Path) -> None:
    said: list[str] = []
    wanted = {"runs": tmp_path, "kimg": 0.1, "samples": 50, "features": "digits"}
    found, _ = api.train({"filters": 4, "batch_size": 8}, GREY, say=said.append, **wanted)
    assert found.status == "completed" and said[0].startswith("array-")
