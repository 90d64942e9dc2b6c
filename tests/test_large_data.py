"""Images that are many lie in a file: decoded once, shared by processes, the same bits as in memory."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evogan.data import Dataset, DataSpec, kept, load_dataset
from evogan.data.resize import resize
from evogan.errors import UserError
from evogan.files.mapped import Mapped, sent_whole
from tests.forked import Popen
from tests.test_data import pixels, refuses, save_image

IMAGES = pixels(60, 16, 16, 3)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whatever decodes to more than 1,000 bytes is kept here."""
    monkeypatch.setenv("EVOGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kept, "LARGE", 1000)
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for i, image in enumerate(IMAGES):
        save_image(tmp_path / "photos" / f"{'ab'[i % 2]}" / f"{i}.png", image)
    save_image(tmp_path / "photos" / "a" / "0.png", IMAGES[0, :, :, 0])  # grey: the first of all
    monkeypatch.setattr("evogan.data.pictures.AT_ONCE", 1)  # and read alone
    return tmp_path / "photos"


def load(path: Path, **spec: Any) -> Dataset:
    return load_dataset(DataSpec(str(path), **spec))


@pytest.mark.parametrize("spec", [{}, {"image_size": 12}, {"classes": ("b",)}])
def test_a_file_holds_the_same_bits_as_memory(
    spec: dict[str, Any], folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "LARGE", 10**9)
    before = load(folder, **spec)
    assert not cache.exists() and not isinstance(before.images, Mapped)
    monkeypatch.setattr(kept, "LARGE", 1000)
    made = load(folder, **spec)
    monkeypatch.setattr("evogan.data.pictures.read_file", None)
    again = load(folder, **spec)
    (file,) = cache.iterdir()
    for found in (made, again):
        assert isinstance(found.images, Mapped) and isinstance(found.held_out, Mapped)
        assert np.array_equal(found.images, before.images) and np.array_equal(found.held_out, before.held_out)
        assert (found.fingerprint, found.describe()) == (before.fingerprint, before.describe())
    assert vars(made)["fingerprint"] == before.fingerprint and file.stat().st_size < before.images.nbytes * 2


def test_how_far_it_is_is_said_where_it_takes_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, float]] = []
    load_dataset(DataSpec(str(folder)), lambda line, done: heard.append((line, done)))
    assert not heard
    monkeypatch.setattr("evogan.data.gather.LONG", 0.0)
    monkeypatch.setattr("evogan.data.gather.EVERY", 0.0)
    load_dataset(DataSpec(str(folder)), lambda line, done: heard.append((line, done)))
    shares = [done for _, done in heard]
    assert {line for line, _ in heard} == {"photos: decoding 60 images"}
    assert shares[0] == 0.0 and shares[-1] == 1.0 and shares[-60:] == sorted(shares[-60:])


def test_another_source_is_decoded_anew(folder: Path, cache: Path) -> None:
    first = load(folder)
    save_image(folder / "b" / "1.png", IMAGES[0])
    os.utime(folder / "b" / "1.png", (1, 1))
    assert load(folder).fingerprint != first.fingerprint
    assert len({load(folder, image_size=size).image_size for size in (8, 12)}) == 2
    assert len(list(cache.iterdir())) == 4


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_arrays_are_read_where_they_lie(suffix: str, tmp_path: Path, cache: Path) -> None:
    floats = (IMAGES / 255).astype(np.float32)
    if suffix == "npy":
        np.save(tmp_path / "own.npy", floats)
    else:
        np.savez(tmp_path / "own.npz", other=np.arange(3), images=floats, labels=np.arange(60) % 3)
    found = load(tmp_path / f"own.{suffix}", image_size=8)
    assert isinstance(found.images, Mapped)
    everyone = {image.tobytes() for image in (*found.images, *found.held_out)}
    assert everyone == {image.tobytes() for image in resize(IMAGES.transpose(0, 3, 1, 2), 8)}


@pytest.mark.parametrize("damage", ["cut", "changed", "other", "empty"])
def test_a_damaged_file_is_made_again(damage: str, folder: Path, cache: Path) -> None:
    whole = load(folder).fingerprint
    (file,) = cache.iterdir()
    content = file.read_bytes()
    changed = {"cut": content[:-9], "changed": b"\xff" + content[1:], "other": b"x" * 100, "empty": b""}[damage]
    assert changed != content
    file.write_bytes(changed)
    assert load(folder).fingerprint == whole
    assert file.read_bytes() == content


def test_a_pickle_names_the_file(folder: Path, cache: Path) -> None:
    """Its slices, too; whole it is sent to machines without the file."""
    data = load(folder)
    sent = pickle.dumps(data)
    assert len(sent) < 5000 < data.images.nbytes
    there = pickle.loads(sent)
    assert isinstance(there.images, Mapped) and there.fingerprint == data.fingerprint
    part = pickle.loads(pickle.dumps(data.held_out[2:4]))
    assert isinstance(part, Mapped) and np.array_equal(part, data.held_out[2:4])
    for other in (data.images[[1, 3]], data.images[:, :, ::2], data.images[:2] + 1):
        assert np.array_equal(pickle.loads(pickle.dumps(other)), other)
    with sent_whole():
        whole = pickle.dumps(data)
    (file,) = cache.iterdir()
    file.unlink()
    assert pickle.loads(whole).fingerprint == data.fingerprint
    with pytest.raises(UserError, match="no longer there"):
        pickle.loads(sent)


# --- faults


LOADING = """
import sys
from evogan.data import DataSpec, kept, load_dataset, pictures
kept.LARGE, pictures.AT_ONCE = 1000, 1
print(load_dataset(DataSpec(sys.argv[1])).fingerprint)
"""


@pytest.mark.fault
def test_two_at_once(folder: Path, cache: Path) -> None:
    command = [sys.executable, "-c", LOADING, str(folder)]
    two = [Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert {process.communicate()[0].strip() for process in two} == {load(folder).fingerprint}
    assert [process.returncode for process in two] == [0, 0] and len(list(cache.iterdir())) == 1


@pytest.mark.fault
def test_killed_in_the_middle(folder: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not earlier: a first image in grey and a second in colour begin the file again."""
    reached = tmp_path / "reached"

    def seal(*given: object) -> None:
        reached.touch()
        time.sleep(60)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(kept, "seal", seal)
        load(folder)
    while not reached.exists():
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(list(cache.glob(".*"))) == 1
    found = load(folder)
    assert [path.name[0] for path in cache.iterdir()] != ["."] and len(list(cache.iterdir())) == 1
    assert isinstance(found.images, Mapped)


@pytest.mark.fault
@pytest.mark.parametrize("fault", ["small", "full", "read-only"])
def test_no_room(fault: str, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: int) -> None:
        raise OSError(28, "No space left on device")

    cache.mkdir()
    if fault == "small":
        monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=46_000))
    elif fault == "full":
        monkeypatch.setattr("os.posix_fallocate", full)
    else:
        monkeypatch.setenv("EVOGAN_CACHE", "/proc/none")
    assert "kept in memory, since nothing can be kept in '" in load(folder).describe()
    monkeypatch.setattr("evogan.data.gather.AMPLE", 0.0)
    why = {"small": "0.0 GB are free", "full": "No space left", "read-only": "No such file"}[fault]
    refuses(DataSpec(str(folder)), "60 images of 16x16 are 0.0 GB when decoded", why, "EVOGAN_CACHE", "--image-size")
    assert not list(cache.iterdir())
