"""evogan.data: what is loaded, how it is split and resized, and one clear line for every mistake."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import random
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional

import evogan
from evogan.data import DATASETS, Dataset, DataSpec, load_dataset
from evogan.data.dataset import image_dataset
from evogan.data.image import SUFFIXES, Picture, read_file
from evogan.data.resize import resize
from evogan.errors import UserError
from evogan.families import Field
from evogan.settings import GANSettings


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save_image(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def idx(array: np.ndarray) -> bytes:
    """The idx format of MNIST's files."""
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def mnist_root(tmp_path: Path) -> Path:
    """A tiny MNIST in torchvision's layout: 20 images to train on, 6 held out."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split, count in (("train", 20), ("t10k", 6)):
        (raw / f"{split}-images-idx3-ubyte").write_bytes(idx(pixels(count, 28, 28, seed=count)))
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(idx(np.arange(count, dtype=np.uint8) % 10))
    return tmp_path


def refuses(spec: DataSpec, *words: str) -> str:
    """The one line that `load_dataset` refuses `spec` with; all `words` are in it."""
    with pytest.raises(UserError) as caught:
        load_dataset(spec)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


# ------------------------------------------------------------------------------------------- built-in


def test_digits_are_split_evenly_and_always_alike() -> None:
    digits = load_dataset(DataSpec("digits"))
    assert digits.images.shape == (1442, 1, 8, 8)
    assert digits.held_out.shape == (355, 1, 8, 8)
    assert (digits.images.min(), digits.images.max()) == (0, 255)
    assert digits.labels is not None
    assert digits.held_out_labels is not None
    shares = np.bincount(digits.held_out_labels) / np.bincount(np.concatenate([digits.labels, digits.held_out_labels]))
    assert shares == pytest.approx(0.2, abs=0.01)
    assert digits.fingerprint == "adc37910b65d9ab8"


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    digits = load_dataset(DataSpec("digits"))
    ours = np.concatenate([digits.images, digits.held_out]).reshape(-1, 64)
    theirs = np.round(load_digits().data * 255 / 16).astype(np.uint8)
    assert sorted(map(bytes, ours)) == sorted(map(bytes, theirs))


def test_mnist_in_torchvisions_layout(mnist_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mnist = load_dataset(DataSpec("mnist", data_dir=str(mnist_root)))
    assert np.array_equal(mnist.images[:, 0], pixels(20, 28, 28, seed=20))
    assert np.array_equal(mnist.held_out[:, 0], pixels(6, 28, 28, seed=6))
    assert mnist.labels is not None
    assert mnist.labels.tolist() == [*range(10), *range(10)]
    assert mnist.class_count == 10
    monkeypatch.setenv("EVOGAN_DATA", str(mnist_root))
    assert load_dataset(DataSpec("mnist")).fingerprint == mnist.fingerprint


@pytest.mark.parametrize("inner", ["MNIST", "MNIST/raw"])
def test_the_folder_within_the_folder(inner: str, mnist_root: Path) -> None:
    refuses(DataSpec("mnist", data_dir=str(mnist_root / inner)), f"below '{mnist_root}'")


def test_fashion_has_names(mnist_root: Path) -> None:
    (mnist_root / "MNIST").rename(mnist_root / "FashionMNIST")
    chosen = load_dataset(DataSpec("fashion_mnist", data_dir=str(mnist_root), classes=("Trouser", "0")))
    assert chosen.class_names == ("Trouser", "T-shirt/top")
    assert np.array_equal(chosen.images[chosen.labels == 0][:, 0], pixels(20, 28, 28, seed=20)[[1, 11]])
    refuses(
        DataSpec("fashion_mnist", data_dir=str(mnist_root), classes=("Trousers",)),
        "did you mean 'Trouser'?",
        "Ankle boot",
    )


def test_real_mnist() -> None:
    root = Path(os.environ.get("EVOGAN_DATA", ""))
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip("EVOGAN_DATA names no folder with the real MNIST files")
    mnist = load_dataset(DataSpec("mnist"))
    assert (mnist.images.shape, mnist.held_out.shape) == ((60000, 1, 28, 28), (10000, 1, 28, 28))
    assert mnist.fingerprint == "11de40ec28a7c150"


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "digits"])
def test_absent_files(name: str, tmp_path: Path) -> None:
    refuses(DataSpec(name, data_dir=str(tmp_path)), name, str(tmp_path), "--download", "EVOGAN_DATA")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("kept", [0, 3, 17, 22])
def test_damaged_files(file: str, kept: int, mnist_root: Path) -> None:
    path = mnist_root / "MNIST" / "raw" / file
    path.write_bytes(path.read_bytes()[: min(kept, path.stat().st_size - 1)])
    refuses(DataSpec("mnist", data_dir=str(mnist_root)), "mnist", str(mnist_root))


def test_other_bytes_in_place_of_files(mnist_root: Path) -> None:
    (mnist_root / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"<html>not found</html>" * 99)
    refuses(DataSpec("mnist", data_dir=str(mnist_root)), "mnist", str(mnist_root))


def test_fewer_labels_than_images(mnist_root: Path) -> None:
    (mnist_root / "MNIST" / "raw" / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(7, np.uint8)))
    refuses(DataSpec("mnist", data_dir=str(mnist_root)), "20 images but 7 labels")


# ------------------------------------------------------------------------------------------- names


def test_unknown_name_gets_the_nearest_right_one() -> None:
    refuses(DataSpec("fashion-mnist"), "did you mean 'fashion_mnist'?", "digits")


@pytest.mark.parametrize("name", ["no/such/folder", "none.npz", "./here"])
def test_a_path_that_does_not_exist(name: str) -> None:
    refuses(DataSpec(name), f"'{name}'", "no such file or folder")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    path.write_bytes(b"x")
    refuses(DataSpec(str(path)), str(path), ".npz")


@pytest.mark.parametrize("suffix", ["csv", "CSV", "tsv"])
def test_a_table_of_points(suffix: str, tmp_path: Path) -> None:
    np.savetxt(tmp_path / f"pts.{suffix}", np.random.default_rng(0).normal(size=(50, 2)), delimiter=",")
    refuses(DataSpec(str(tmp_path / f"pts.{suffix}")), "is a table", ".npy of shape (N, 2)")


# ------------------------------------------------------------------------------------------- folders


def test_folder_with_labels(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        for number in range(10):
            save_image(tmp_path / "pets" / kind / f"{number}.png", pixels(6, 6, 3, seed=number))
    pets = load_dataset(DataSpec(str(tmp_path / "pets")))
    assert pets.name == "pets"
    assert (pets.images.shape, pets.held_out.shape) == ((18, 3, 6, 6), (2, 3, 6, 6))
    assert pets.labels is not None
    assert pets.held_out_labels is not None
    assert np.bincount([*pets.labels, *pets.held_out_labels]).tolist() == [10, 10]
    originals = {pixels(6, 6, 3, seed=number).transpose(2, 0, 1).tobytes() for number in range(10)}
    assert {image.tobytes() for image in (*pets.images, *pets.held_out)} == originals


def test_folder_is_the_same_wherever_it_lies(tmp_path: Path) -> None:
    for place in ("a/images", "b/images"):
        for number in range(9):
            save_image(tmp_path / place / f"{number}.png", pixels(5, 5, seed=number))
    one, two = (load_dataset(DataSpec(str(tmp_path / place))) for place in ("a/images", "b/images"))
    assert one.fingerprint == two.fingerprint
    assert one.labels is None
    assert one.channels == 1
    save_image(tmp_path / "b/images/3.png", pixels(5, 5, seed=99))
    assert load_dataset(DataSpec(str(tmp_path / "b/images"))).fingerprint != one.fingerprint


def test_one_colour_image_makes_all_three_channels(tmp_path: Path) -> None:
    for number in range(5):
        save_image(tmp_path / f"{number}.png", pixels(5, 5, seed=number))
    save_image(tmp_path / "5.bmp", pixels(5, 5, 3))
    assert load_dataset(DataSpec(str(tmp_path))).channels == 3


def test_folder_of_mixed_sizes_needs_a_size(tmp_path: Path) -> None:
    for number in range(5):
        save_image(tmp_path / f"{number}.png", pixels(8 + number, 10, seed=number))
    refuses(DataSpec(str(tmp_path)), "0.png", "10x8", "1.png", "10x9", "--image-size")
    assert load_dataset(DataSpec(str(tmp_path), image_size=6)).images.shape[1:] == (1, 6, 6)


def test_images_that_are_blown_up_are_counted(tmp_path: Path) -> None:
    for number in range(20):
        side = (2, 16, 17, 40)[number % 4]
        save_image(tmp_path / f"{number}.png", pixels(side, side + 1, seed=number))
    assert "; 5 images enlarged more than twice" in load_dataset(DataSpec(str(tmp_path), image_size=32)).describe()
    assert "enlarged" not in load_dataset(DataSpec(str(tmp_path), image_size=4)).describe()


def test_folder_mistakes(tmp_path: Path) -> None:
    refuses(DataSpec(str(tmp_path)), "no images", str(tmp_path), ".png")
    for number in range(3):
        save_image(tmp_path / f"{number}.png", pixels(8, 8, seed=number))
    refuses(DataSpec(str(tmp_path)), "too few images")
    for number in range(3, 6):
        save_image(tmp_path / f"{number}.png", pixels(8, 8, seed=number))
    whole = (tmp_path / "4.png").read_bytes()
    for damaged in (b"", b"not an image", whole[:60], whole[:-40]):
        (tmp_path / "4.png").write_bytes(damaged)
        refuses(DataSpec(str(tmp_path)), "cannot read", "4.png")
    (tmp_path / "4.png").unlink()
    Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "4.tif")
    refuses(DataSpec(str(tmp_path)), "4.tif", "8 bits")
    (tmp_path / "4.tif").unlink()
    (tmp_path / "4.png").write_bytes(b"")
    refuses(DataSpec(str(tmp_path)), "4.png", "empty")


def test_folders_with_numbers_for_names_are_chosen_by_them(tmp_path: Path) -> None:
    """Sorted as text, folder '10' is the third."""
    for kind in range(12):
        for number in range(20):
            save_image(tmp_path / str(kind) / f"{number}.png", np.full((4, 4), 20 * kind + number, np.uint8))
    some = load_dataset(DataSpec(str(tmp_path), classes=("2", "11", "5")))
    assert set(np.unique(some.images) // 20) == {2, 5, 11}
    assert some.class_names == ("2", "11", "5")
    assert "3 classes: 2 (" in some.describe()
    assert set(np.unique(load_dataset(DataSpec(str(tmp_path), classes=(2,))).images) // 20) == {10}  # as recorded
    refuses(DataSpec(str(tmp_path), classes=("12",)), "'12'", "allowed: 0, 1, 10, 11, 2")
    refuses(DataSpec(str(tmp_path), classes=("02",)), "'02'")


def test_what_is_no_data_is_left_out_and_said(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        for number in range(10):
            save_image(tmp_path / kind / f"{number}.png", pixels(4, 4, seed=number))
    before = load_dataset(DataSpec(str(tmp_path)))
    for name in (
        ".ipynb_checkpoints/0.png",
        "__MACOSX/cat/0.png",
        "cat/._0.png",
        "dog/@eaDir/0.png",
        "dog/thumbs/0.png",
    ):
        save_image(tmp_path / name, pixels(4, 4))
    for name in ("readme.txt", "cat/labels.TXT", "cat/Thumbs.db", "dog/checksums"):
        (tmp_path / name).write_bytes(b"x")
    os.mkfifo(tmp_path / "dog" / "pipe.png")
    (tmp_path / "cat" / "none.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "cat" / "self.png").symlink_to(tmp_path / "cat" / "self.png")
    (tmp_path / "dog" / "up").symlink_to(tmp_path)
    after = load_dataset(DataSpec(str(tmp_path)))
    assert after.fingerprint == before.fingerprint
    assert before.describe() == f"{tmp_path.name}: 18 images of 4x4, grey, 2 held out; " + (
        f"2 classes: cat ({np.sum(before.labels == 0)}), dog ({np.sum(before.labels == 1)})"
    )
    assert after.describe() == before.describe() + (
        "; left out: 2 .txt, 6 hidden or thumbnails, 1 links in a circle, 3 that are no files, 1 without a suffix"
    )


def test_samples_of_runs_are_no_data(tmp_path: Path) -> None:
    """Who trains on the folder that he is in has ./runs in it afterwards."""
    for kind in ("cat", "dog"):
        for number in range(10):
            save_image(tmp_path / kind / f"{number}.png", pixels(4, 4, seed=number + 10 * (kind == "dog")))
    before = load_dataset(DataSpec(str(tmp_path)))
    evogan.train("gan_mlp_small", str(tmp_path), kimg=0.1, samples=20, features="digits", runs=tmp_path / "runs")
    after = load_dataset(DataSpec(str(tmp_path)))
    assert list((tmp_path / "runs").rglob("*.png")) and after.fingerprint == before.fingerprint
    assert after.class_names == ("cat", "dog") and "left out: 1 with evogan's runs" in after.describe()


def test_linked_folders_are_classes_too(tmp_path: Path) -> None:
    for number in range(10):
        save_image(tmp_path / "elsewhere" / f"{number}.png", pixels(4, 4, seed=number))
        save_image(tmp_path / "set" / "dog" / f"{number}.png", pixels(4, 4, seed=number + 10))
    (tmp_path / "set" / "cat").symlink_to(tmp_path / "elsewhere")
    assert load_dataset(DataSpec(str(tmp_path / "set"))).class_names == ("cat", "dog")


def test_images_beside_class_folders(tmp_path: Path) -> None:
    for number in range(10):
        save_image(tmp_path / "cat" / f"{number}.png", pixels(4, 4, seed=number))
    save_image(tmp_path / "cover.png", pixels(4, 4))
    found = load_dataset(DataSpec(str(tmp_path)))
    assert found.labels is None
    assert "no classes, since 1 images lie beside the sub-folders" in found.describe()


@pytest.mark.parametrize(
    ("folders", "classes", "trained", "held_out"),
    [
        ("train/a train/b val/a val/b", ("a", "b"), 10, 10),
        ("Train/a Train/b valid/a valid/b test/a test/b", ("a", "b"), 10, 20),
        ("train test", None, 5, 5),
        ("training-set test1", None, 5, 5),
        ("train/a train/b", ("a", "b"), 8, 2),
        ("train bus car", ("bus", "car", "train"), 13, 2),
        ("trained tested", ("tested", "trained"), 8, 2),
    ],
)
def test_parts(folders: str, classes: tuple[str, ...] | None, trained: int, held_out: int, tmp_path: Path) -> None:
    for seed, folder in enumerate(folders.split()):
        for number in range(5):
            save_image(tmp_path / folder / f"{number}.png", pixels(4, 4, seed=10 * seed + number))
    found = load_dataset(DataSpec(str(tmp_path)))
    assert (found.class_names, len(found.images), len(found.held_out)) == (classes, trained, held_out)
    if "test" in folders.split():
        assert "'test' is held out" in found.describe()
        assert set(map(bytes, found.held_out)) >= {pixels(4, 4, seed=10 * seed + n).tobytes() for n in range(5)}


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        ("trainA trainB testA testB", ["domains", "'trainA'"]),
        ("train test cat", ["classes, or parts", "'cat', 'test', 'train'"]),
        ("test cat", ["classes, or parts"]),
        ("train1 train2", ["classes, or parts"]),
        ("train test .", ["classes, or parts"]),
        ("train/a train/b val/a", ["not the same classes", "'b'"]),
        ("train/a train/b test", ["not the same classes", "'a', 'b'"]),
        ("bottle/train/good bottle/test/good", ["bottle' has parts of its own, 'test', 'train'"]),
        ("cat/train cat/val dog/train dog/val", ["cat' has parts of its own"]),
        ("horse2zebra/trainA horse2zebra/trainB", ["horse2zebra' has parts of its own"]),
    ],
)
def test_folders_that_are_neither_classes_nor_parts(folders: str, words: list[str], tmp_path: Path) -> None:
    for folder in folders.split():
        save_image(tmp_path / folder / "0.png", pixels(4, 4))
    refuses(DataSpec(str(tmp_path)), str(tmp_path), *words)


@contextmanager
def as_nobody() -> Iterator[None]:
    """The superuser may read everything."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(mine)


@pytest.mark.parametrize("name", ["4.png", "sub"])
def test_without_permission(name: str) -> None:
    with tempfile.TemporaryDirectory() as given:
        folder = Path(given)
        for number in range(6):
            save_image(folder / f"{number}.png", pixels(4, 4, seed=number))
        save_image(folder / "sub" / "6.png", pixels(4, 4))
        folder.chmod(0o755)
        (folder / name).chmod(0)
        with as_nobody():
            refuses(DataSpec(given), name, "ermission")
        (folder / name).chmod(0o755)


def test_a_folder_whose_name_is_no_utf_8(tmp_path: Path) -> None:
    for number in range(20):
        save_image(tmp_path / "a\udcff" / "b\udcfe" / f"{number}.png", pixels(4, 4, seed=number))
    refuses(DataSpec(str(tmp_path / "a\udcff")), "a\\udcff", "UTF-8").encode()
    refuses(DataSpec(str(tmp_path), image_size=4, classes=("a",)), "a\\udcff", "UTF-8").encode()


def test_equal_images(tmp_path: Path) -> None:
    for number in range(20):
        save_image(tmp_path / "equal" / f"{number}.png", pixels(4, 4))
        save_image(tmp_path / "plain" / f"{number}.png", np.full((4, 4), number, np.uint8))
    refuses(DataSpec(str(tmp_path / "equal")), "all 18 images", "are equal")
    assert len(load_dataset(DataSpec(str(tmp_path / "plain"))).images) == 18


# ------------------------------------------------------------------------------------------- files


def half_clear(mode: str) -> Image.Image:
    """2x2: clear with a hidden 9, opaque 9, opaque 200, half clear 0."""
    grey, alpha = np.array([[9, 9], [200, 0]], np.uint8), np.array([[0, 255], [255, 128]], np.uint8)
    channels = 3 if mode == "RGBA" else 1
    return Image.fromarray(np.stack([*[grey] * channels, alpha], 2), mode)


def read_image(path: Path) -> Picture:
    with warnings.catch_warnings(action="ignore"):
        return read_file(path, f"'{path}'")


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_is_laid_on_white(mode: str, tmp_path: Path) -> None:
    half_clear(mode).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png").pixels
    assert found.shape == (len(mode) - 1, 2, 2)
    assert all(channel.tolist() == [[255, 9], [200, 127]] for channel in found)


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_clear_colour_of_a_palette_is_white(suffix: str, tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / f"a.{suffix}", transparency=0)
    assert read_image(tmp_path / f"a.{suffix}").pixels[:, 0].T.tolist() == [[255, 255, 255], [40, 50, 60]]


def test_opaque_images_are_as_without_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(pixels(16, 16, 3))
    image.save(tmp_path / "rgb.png")
    image.convert("RGBA").save(tmp_path / "rgba.png")
    rgb, rgba = (read_image(tmp_path / f"{name}.png").pixels for name in ("rgb", "rgba"))
    assert np.array_equal(rgb, rgba)


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s not in (".pbm", ".jpe", ".jfif")])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_kinds_of_files(suffix: str, mode: str, tmp_path: Path) -> None:
    if (suffix, mode) in ((".pgm", "RGB"), (".ppm", "L")):
        return
    Image.new(mode, (6, 5), 120 if mode == "L" else (200, 100, 20)).save(tmp_path / f"a{suffix}")
    found = read_image(tmp_path / f"a{suffix}").pixels
    value = [120] if mode == "L" else [200, 100, 20]
    assert found.shape == (1 if mode == "L" and suffix not in (".webp", ".gif") else 3, 5, 6)
    assert np.abs(found.astype(int) - np.reshape(value, (-1, 1, 1))).max() <= 4  # JPEG loses a little


@pytest.mark.parametrize(
    ("image", "suffix", "expected"),
    [
        (Image.new("1", (4, 4), 1), "png", [255]),
        (Image.new("1", (4, 4), 1), "pbm", [255]),
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "jpg", [255, 0, 0]),
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "tif", [255, 0, 0]),
        (Image.new("YCbCr", (4, 4), (76, 85, 255)), "tif", [254, 0, 0]),
    ],
)
def test_modes_of_pixels(image: Image.Image, suffix: str, expected: list[int], tmp_path: Path) -> None:
    image.save(tmp_path / f"a.{suffix}")
    assert np.abs(read_image(tmp_path / f"a.{suffix}").pixels[:, 0, 0].astype(int) - expected).max() <= 2


def test_images_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # of a camera that was held upright
    image = pixels(4, 8)
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png").pixels[0], np.rot90(image, -1))


def test_of_several_frames_the_first_is_taken(tmp_path: Path) -> None:
    for number, suffix in enumerate(("gif", "tif", "png") * 4):
        first, *more = (Image.fromarray(pixels(4, 4, seed=number + 100 * frame)) for frame in range(3))
        first.save(tmp_path / f"{number}.{suffix}", save_all=True, append_images=more)
    save_image(tmp_path / "more.png", pixels(4, 4, seed=12))
    found = load_dataset(DataSpec(str(tmp_path)))
    images = {image[0].tobytes() for image in (*found.images, *found.held_out)}
    assert images == {pixels(4, 4, seed=seed).tobytes() for seed in range(13)}
    assert "of 12 images with several frames the first is taken" in found.describe()


@pytest.mark.parametrize(("width", "words"), [(18_200, "more than 178 million pixels"), (10_000, "damaged")])
def test_large_images(width: int, words: str, tmp_path: Path) -> None:
    """In one line: Pillow would warn of the smaller one, too."""
    (tmp_path / "a.pgm").write_bytes(b"P5 %d 10000 255 " % width)
    with warnings.catch_warnings(action="error"), pytest.raises(UserError, match=words):
        read_image(tmp_path / "a.pgm")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "webp", "bmp"])
def test_images_with_any_byte_damaged_are_read_or_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    save_image(path, pixels(4, 4))
    whole = path.read_bytes()
    for where in range(0, len(whole), 1 + len(whole) // 60):
        path.write_bytes(whole[:where] + bytes([whole[where] ^ 0xFF]) + whole[where + 1 :])
        with contextlib.suppress(UserError):
            read_image(path)


# ------------------------------------------------------------------------------------------- npz


@pytest.mark.parametrize(
    ("shape", "loaded"),
    [
        ((20, 6, 6), (1, 6, 6)),
        ((20, 6, 6, 3), (3, 6, 6)),
        ((20, 3, 6, 6), (3, 6, 6)),
        ((20, 6, 6, 1), (1, 6, 6)),
    ],
)
def test_npz_layouts(shape: tuple[int, ...], loaded: tuple[int, ...], tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", images=pixels(*shape), labels=np.arange(20) % 4)
    own = load_dataset(DataSpec(str(tmp_path / "own.npz")))
    assert (own.images.shape, own.held_out.shape) == ((18, *loaded), (2, *loaded))
    assert own.name == "own"
    assert own.class_count == 4


def test_npz_channels_last_equals_channels_first(tmp_path: Path) -> None:
    images = pixels(20, 6, 6, 3)
    np.savez(tmp_path / "last.npz", images=images)
    np.savez_compressed(tmp_path / "first.npz", images=images.transpose(0, 3, 1, 2))
    last, first = (load_dataset(DataSpec(str(tmp_path / f"{name}.npz"))) for name in ("last", "first"))
    assert last.fingerprint == first.fingerprint


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": pixels(9, 4, 4)}, ["no array 'images'", "x"]),
        ({"images": np.zeros((9, 4, 4))}, ["float64", "uint8"]),
        ({"images": pixels(9, 4)}, ["(9, 4)", "(N, H, W)"]),
        ({"images": pixels(9, 6, 6, 5)}, ["(9, 6, 6, 5)", "(N, H, W)"]),
        ({"images": pixels(9, 4, 6)}, ["6x4", "--image-size"]),
        ({"images": pixels(3, 4, 4)}, ["too few images"]),
        ({"images": pixels(0, 4, 4)}, ["too few images"]),
        ({"images": pixels(9, 4, 4), "labels": np.zeros(8, int)}, ["'labels'", "(8,)", "(9,)"]),
        ({"images": pixels(9, 4, 4), "labels": np.zeros(9, complex)}, ["'labels'", "complex128", "one-hot"]),
        ({"images": pixels(9, 4, 4), "labels": np.arange(9) / 2}, ["'labels'", "label 0.5", "whole numbers"]),
        ({"images": pixels(9, 4, 4), "labels": np.full(9, np.nan)}, ["'labels'", "label nan"]),
        ({"images": pixels(9, 4, 4), "labels": np.array(["a", "", " "] * 3)}, ["6 images of 9 have no label"]),
        ({"images": pixels(9, 4, 4), "labels": np.array([b"\xff"] * 9)}, ["'labels'", "no UTF-8"]),
        ({"images": pixels(9, 4, 4), "labels": np.full(9, -1)}, ["'labels'", "-1"]),
        ({"images": pixels(9, 4, 4), "labels": np.full(9, 2**62)}, ["'labels'", str(2**62), "0 to 65535"]),
        ({"images": pixels(9, 4, 4), "labels": np.full(9, 2**64 - 1, np.uint64)}, ["'labels'", str(2**64 - 1)]),
        ({"images": pixels(9, 4, 4), "labels": np.ones((9, 9), int)}, ["'labels'", "(9, 9)", "not one-hot"]),
        ({"images": pixels(9, 4, 4), "labels": np.eye(9) * 0.5}, ["'labels'", "(9, 9)", "not one-hot"]),
        ({"images": pixels(9, 4, 4), "labels": np.full((9, 2), "a")}, ["'labels'", "one an image"]),
        ({"images": pixels(9, 4, 4), "labels": np.zeros((9, 2, 2))}, ["'labels'", "(9, 2, 2)", "(9, K)"]),
        ({"images": pixels(9, 4, 8, 4)}, ["(9, 4, 8, 4)", "more than 4 pixels"]),
        ({"images": pixels(9, 4, 4), "labels": np.array([{}] * 9)}, ["'labels'", "Python objects"]),
        ({"images": pixels(9, 3, 3, 3)}, ["(9, 3, 3, 3)", "first or last"]),
        ({"images": pixels(9, 3, 8, 1)}, ["(9, 3, 8, 1)", "first or last"]),
        ({"images": pixels(9, 0, 0)}, ["0x0"]),
        ({"images": pixels(9, 2, 2)}, ["2x2", "--image-size"]),
        ({"images": np.array([{}, []], dtype=object)}, ["cannot read"]),
    ],
)
def test_npz_mistakes(arrays: dict[str, np.ndarray], words: list[str], tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", **arrays)
    refuses(DataSpec(str(tmp_path / "own.npz")), "own", *words)


def test_npz_with_names_for_labels(tmp_path: Path) -> None:
    images = pixels(40, 4, 4)
    names = np.array(["tree", "car"] * 20)
    np.savez(tmp_path / "own.npz", images=images, labels=names)
    cars = load_dataset(DataSpec(str(tmp_path / "own.npz"), classes=("car",)))
    assert {bytes(image) for image in (*cars.images, *cars.held_out)} == {bytes(image) for image in images[1::2]}


def test_npz_with_gaps_in_its_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", images=pixels(40, 4, 4), labels=np.array([3, 70] * 20))
    assert load_dataset(DataSpec(str(tmp_path / "own.npz"), classes=("70",))).class_names == ("70",)
    refuses(DataSpec(str(tmp_path / "own.npz"), classes=("1",)), "allowed: 3, 70")


@pytest.mark.parametrize("step", [1, 1000])
def test_classes_are_those_that_occur(step: int, tmp_path: Path) -> None:
    """EMNIST's letters begin at 1: a GAN of them has 10 classes, not 11, and none for what no image is of."""
    labels = step * (1 + np.arange(40) % 10)
    np.savez(tmp_path / "own.npz", images=pixels(40, 4, 4), labels=labels)
    own = load_dataset(DataSpec(str(tmp_path / "own.npz")))
    assert own.class_names == tuple(str(step * i) for i in range(1, 11)) and own.class_count == 10
    assert own.labels is not None
    number = {image.tobytes(): label for image, label in zip(pixels(40, 4, 4), labels.tolist(), strict=True)}
    for image, label in zip(own.images, own.labels.tolist(), strict=True):
        assert own.class_names[label] == str(number[image.tobytes()])
    assert f"10 classes: {step} (" in own.describe()


def test_labels_without_gaps_stay_as_they_are(tmp_path: Path) -> None:
    """And with them the fingerprints of what has been trained on."""
    labels = (np.arange(40) % 10).astype(np.uint8)
    np.savez(
        tmp_path / "own.npz", x_train=pixels(30, 4, 4), y_train=labels[:30], x_test=pixels(10, 4, 4), y_test=labels[30:]
    )
    own = load_dataset(DataSpec(str(tmp_path / "own.npz")))
    assert own.labels is not None and own.labels.dtype == np.int64 and own.labels.tolist() == labels[:30].tolist()
    assert own.fingerprint == "5e8fb7320def2768"


def test_a_class_that_is_held_out_alone_is_said(tmp_path: Path) -> None:
    labels = np.array([1, 4] * 15 + [1, 4, 7] * 3)
    np.savez(
        tmp_path / "own.npz", x_train=pixels(30, 4, 4), y_train=labels[:30], x_test=pixels(9, 4, 4), y_test=labels[30:]
    )
    own = load_dataset(DataSpec(str(tmp_path / "own.npz")))
    assert own.class_names == ("1", "4", "7") and own.held_out_labels is not None
    assert own.held_out_labels.tolist() == [0, 1, 2] * 3
    assert own.describe().endswith(
        "2 classes: 1 (15), 4 (15); 'x_train' is trained on, 'x_test' held out; held out, but never trained on: '7'"
    )


def test_a_number_in_a_record_is_the_label_itself(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", images=pixels(40, 4, 4), labels=np.array([3, 70] * 20))
    assert load_dataset(DataSpec(str(tmp_path / "own.npz"), classes=(70,))).class_names == ("70",)


WAYS = {  # to say the same
    "whole floats": lambda labels: labels.astype(np.float32),
    "one-hot": lambda labels: np.eye(2, dtype=np.uint8)[labels],
    "one-hot floats": lambda labels: np.eye(4, dtype=np.float32)[labels],
    "truths": lambda labels: labels == 1,
    "one-hot truths": lambda labels: np.eye(2, dtype=bool)[labels],
    "digits": lambda labels: labels.astype(str),
    "bytes": lambda labels: labels.astype(str).astype(np.bytes_),
    "a column of floats": lambda labels: labels[:, None].astype(float),
}


@pytest.mark.parametrize("way", WAYS)
def test_ways_to_write_labels(way: str, tmp_path: Path) -> None:
    labels = np.arange(40) % 2
    for name, written in (("plain", labels), ("own", WAYS[way](labels))):
        np.savez(tmp_path / f"{name}.npz", images=pixels(40, 4, 4), labels=written)
    plain, own = (load_dataset(DataSpec(str(tmp_path / f"{name}.npz"))) for name in ("plain", "own"))
    assert (own.fingerprint, own.class_names) == (plain.fingerprint, ("0", "1"))


def test_labels_of_bytes_are_text(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", images=pixels(40, 4, 4), labels=np.array(["bär".encode(), b"wolf"] * 20))
    assert load_dataset(DataSpec(str(tmp_path / "own.npz"))).class_names == ("bär", "wolf")


def test_npz_in_fortran_order(tmp_path: Path) -> None:
    images = pixels(20, 4, 4, 3)
    np.savez(tmp_path / "f.npz", images=np.asfortranarray(images))
    np.savez(tmp_path / "c.npz", images=images)
    f, c = (load_dataset(DataSpec(str(tmp_path / f"{order}.npz"))) for order in "fc")
    assert f.fingerprint == c.fingerprint


@pytest.mark.parametrize("shape", [(10**6, 1000, 100), (10**40, 4, 4), (9, 4, 5)])
def test_npz_that_says_more_than_it_has(shape: tuple[int, ...], tmp_path: Path) -> None:
    """Nothing is allocated for it."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}".ljust(117).encode() + b"\n"
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\1\0" + struct.pack("<H", 118) + header + bytes(144))
    refuses(DataSpec(str(tmp_path / "own.npz")), "damaged", str(shape))


def test_what_is_larger_than_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "own.npz", images=np.zeros((20, 32, 32), np.uint8))
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=20_000))
    refuses(DataSpec(str(tmp_path / "own.npz")), "own.npz", "GB", "this machine")
    for number in range(20):
        save_image(tmp_path / "folder" / f"{number}.png", pixels(32, 32, seed=number))
    refuses(DataSpec(str(tmp_path / "folder")), "20 images of 32x32", "this machine")
    refuses(DataSpec("digits", image_size=8 * 2), "1,442 images of 16x16", "this machine")


@settings(max_examples=40)
@given(cut=st.floats(0, 0.999), flip=st.booleans())
def test_npz_truncated_or_corrupt(cut: float, flip: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("npz") / "own.npz"
    np.savez_compressed(path, images=pixels(9, 8, 8))
    data = bytearray(path.read_bytes())
    where = int(cut * len(data))
    if flip:
        data[where] ^= 0xFF
    else:
        del data[where:]
    path.write_bytes(data)
    if flip:  # it may fall where zip does not care
        with contextlib.suppress(UserError):
            load_dataset(DataSpec(str(path)))
    else:
        refuses(DataSpec(str(path)), "cannot read", "own.npz")


def test_npz_with_any_byte_damaged_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    np.savez_compressed(path, images=pixels(9, 8, 8))
    whole = path.read_bytes()
    for where in range(len(whole)):
        path.write_bytes(whole[:where] + bytes([whole[where] ^ 0xFF]) + whole[where + 1 :])
        with contextlib.suppress(UserError):
            load_dataset(DataSpec(str(path)))


# ------------------------------------------------------------------------------------------- choices


def test_classes_are_kept_and_renumbered_in_the_order_given() -> None:
    whole, some = load_dataset(DataSpec("digits")), load_dataset(DataSpec("digits", classes=(7, 3)))
    assert whole.labels is not None
    assert some.labels is not None
    assert some.class_count == 2
    assert np.array_equal(some.images[some.labels == 0], whole.images[whole.labels == 7])
    assert np.array_equal(some.images[some.labels == 1], whole.images[whole.labels == 3])


def test_class_mistakes(tmp_path: Path) -> None:
    refuses(DataSpec("digits", classes=("3", "12")), "'digits'", "class '12'", "0, 1, 2")
    refuses(DataSpec("digits", classes=("3", "3")), "twice")
    refuses(DataSpec("digits", classes=()), "at least one")
    np.savez(tmp_path / "own.npz", images=pixels(20, 6, 6))
    refuses(DataSpec(str(tmp_path / "own.npz"), classes=("1",)), "no labels")
    refuses(DataSpec("digits", image_size=1), "4 to 1024")
    refuses(DataSpec("digits", image_size=10**9), "4 to 1024")


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, None),
        ("3,5", ("3", "5")),
        (' cat , "T-shirt, top",dog', ("cat", "T-shirt, top", "dog")),
        ([3, "cat"], ("3", "cat")),
        ((np.int64(3),), ("3",)),
        (np.array([3, 5]), ("3", "5")),
        (3, ("3",)),
    ],
)
def test_ways_to_name_classes(given: object, read: tuple[str, ...] | None) -> None:
    assert GANSettings.of(classes=given).classes == read


@pytest.mark.parametrize("given", [2.5, [True], [None], object(), {"cat"}, {"cat": 1}, [10**5000], -1, 'a\n"b'])
def test_no_classes(given: object) -> None:
    with pytest.raises(UserError, match="classes"):
        GANSettings.of(classes=given)


def test_recorded_numbers_are_labels() -> None:
    """As they were before classes had names."""
    old = {"data": "digits", "classes": [7, 3]}
    assert GANSettings.recorded(old).classes == (7, 3)
    now = asdict(GANSettings.of(**old))
    assert GANSettings.recorded(json.loads(json.dumps(now))).classes == ("7", "3")


@pytest.mark.parametrize("size", [4, 8, 12])
def test_image_size(size: int) -> None:
    digits = load_dataset(DataSpec("digits", image_size=size))
    assert digits.images.shape == (1442, 1, size, size)
    assert digits.held_out.shape == (355, 1, size, size)
    assert digits.images.mean() == pytest.approx(load_dataset(DataSpec("digits")).images.mean(), rel=0.1)


@pytest.mark.parametrize(("size", "fingerprint"), [(12, "e3d5e959343ab9ec"), (32, "91b5078133d078ce")])
def test_resized_data_are_the_same_on_every_processor(size: int, fingerprint: str) -> None:
    """torch's own give 4e18bd5fd92961ab without AVX2."""
    assert load_dataset(DataSpec("digits", image_size=size)).fingerprint == fingerprint


@pytest.mark.parametrize(("side", "size"), [(28, 8), (28, 16), (33, 5), (64, 24), (40, 17), (7, 32), (200, 12)])
def test_resize_is_torchs(side: int, size: int) -> None:
    """But where half a level is rounded otherwise."""
    images = pixels(4, 3, side, side)
    floats = torch.tensor(images, dtype=torch.float32)
    theirs = functional.interpolate(floats, size=(size, size), mode="bilinear", antialias=True)
    differences = np.abs(resize(images, size).astype(int) - theirs.round().clamp(0, 255).int().numpy())
    assert differences.max() <= 1
    assert differences.mean() < 1e-2


def test_resize_takes_the_centre_square() -> None:
    images = pixels(3, 1, 4, 10)
    assert np.array_equal(resize(images, 4), images[:, :, :, 3:7])


@settings(max_examples=25)
@given(value=st.integers(0, 255), size=st.integers(4, 20))
def test_resize_keeps_a_plain_image_plain(value: int, size: int) -> None:
    assert (resize(np.full((2, 3, 9, 11), value, dtype=np.uint8), size) == value).all()


def test_fingerprint_sees_images_labels_and_split(tmp_path: Path) -> None:
    images, labels = pixels(20, 6, 6), np.arange(20) % 2
    found = set()
    for number, arrays in enumerate(
        ({"images": images}, {"images": images, "labels": labels}, {"images": images, "labels": 1 - labels})
    ):
        np.savez(tmp_path / f"{number}.npz", **arrays)
        found.add(load_dataset(DataSpec(str(tmp_path / f"{number}.npz"))).fingerprint)
    assert len(found) == 3


def test_a_dataset_pickles() -> None:
    digits = load_dataset(DataSpec("digits"))
    again = pickle.loads(pickle.dumps(digits))
    assert again.fingerprint == digits.fingerprint
    assert np.array_equal(again.images, digits.images)


def test_global_random_states_are_left_alone(mnist_root: Path) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    load_dataset(DataSpec("digits", image_size=12))
    load_dataset(DataSpec("mnist", data_dir=str(mnist_root)))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


# --- named fields


def test_what_does_not_belong_together_is_one_clear_line() -> None:
    images, labels = np.zeros((5, 1, 8, 8), np.uint8), np.arange(5)
    with pytest.raises(UserError) as said:
        image_dataset("mine", images, labels[:4], images, labels)
    assert str(said.value) == "data set 'mine': as many of each are needed, not 5 images, 4 labels"
    with pytest.raises(UserError, match="data set 'mine': what is held out has other fields than what is trained on"):
        image_dataset("mine", images, labels, images, None)


def test_fields_say_what_a_gan_is_built_for() -> None:
    images, labels = np.zeros((5, 3, 8, 8), np.uint8), np.arange(5)
    attributes = np.array([[0, 1]] * 5)
    points = np.zeros((7, 2), np.float32)
    split = {"images": {"images": images, "labels": labels}, "points": {"points": points}}
    data = Dataset("mine", split, split)
    assert data.fields == {"images": Field((3, 8, 8)), "labels": Field((), 5), "points": Field((2,))}
    assert data.kinds == {"labels"}
    assert image_dataset("mine", images, attributes, images, attributes).fields["labels"] == Field((2,), 2)
    assert image_dataset("mine", images, None, images, None).kinds == set()
    assert data.fingerprint != image_dataset("mine", images, labels, images, labels).fingerprint
