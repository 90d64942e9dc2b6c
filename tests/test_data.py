"""evogan.data: what is loaded, how it is split and resized, and one clear line for every mistake."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evogan.data import DATASETS, DataSpec, load_dataset
from evogan.data.resize import resize
from evogan.errors import UserError


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
    save_image(tmp_path / "4.png", pixels(8, 8).astype(np.uint16) * 256)
    refuses(DataSpec(str(tmp_path)), "4.png", "8 bits")


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
        ({"images": pixels(9, 4, 4, 5)}, ["(9, 4, 4, 5)", "(N, H, W)"]),
        ({"images": pixels(9, 4, 6)}, ["6x4", "--image-size"]),
        ({"images": pixels(3, 4, 4)}, ["too few images"]),
        ({"images": pixels(0, 4, 4)}, ["too few images"]),
        ({"images": pixels(9, 4, 4), "labels": np.zeros(8, int)}, ["'labels'", "(8,)", "(9,)"]),
        ({"images": pixels(9, 4, 4), "labels": np.zeros(9)}, ["'labels'", "float64"]),
        ({"images": pixels(9, 4, 4), "labels": np.full(9, -1)}, ["'labels'", "-1"]),
        ({"images": np.array([{}, []], dtype=object)}, ["cannot read"]),
    ],
)
def test_npz_mistakes(arrays: dict[str, np.ndarray], words: list[str], tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", **arrays)
    refuses(DataSpec(str(tmp_path / "own.npz")), "own", *words)


@settings(max_examples=40, deadline=None)
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
    refuses(DataSpec("digits", classes=(3, 12)), "no class 12", "0, 1, 2")
    refuses(DataSpec("digits", classes=(3, 3)), "each once")
    refuses(DataSpec("digits", classes=()), "at least one")
    np.savez(tmp_path / "own.npz", images=pixels(20, 6, 6))
    refuses(DataSpec(str(tmp_path / "own.npz"), classes=(1,)), "no labels")
    refuses(DataSpec("digits", image_size=1), "too small")


@pytest.mark.parametrize("size", [4, 8, 12])
def test_image_size(size: int) -> None:
    digits = load_dataset(DataSpec("digits", image_size=size))
    assert digits.images.shape == (1442, 1, size, size)
    assert digits.held_out.shape == (355, 1, size, size)
    assert digits.images.mean() == pytest.approx(load_dataset(DataSpec("digits")).images.mean(), rel=0.1)


def test_resize_takes_the_centre_square() -> None:
    images = pixels(3, 1, 4, 10)
    assert np.array_equal(resize(images, 4), images[:, :, :, 3:7])


@settings(max_examples=25, deadline=None)
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
