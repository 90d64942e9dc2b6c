"""Files of ours that somebody else may have written: generators, feature networks, statuses. What is wrong is said."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from evogan import api
from evogan.data.cache import remembered
from evogan.engine import Judge
from evogan.errors import UserError
from evogan.evaluation.checkpoint import MAGIC, pack_generator
from evogan.families import image_fields
from evogan.families.build import build
from evogan.fitness import load_features
from evogan.fitness.features import FORMAT, NETWORKS, read_record
from evogan.genes import GENES
from evogan.monitor import StatusWriter, read_status, status_table
from evogan.trial import GANTask

GENOME = GENES.read({"filters": 8})
TASK = GANTask(name="digits", fingerprint="f", image_size=8, channels=1, kimg=1.0, features="f")
DEEP = "[" * 900 + "]" * 900

KINDS: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("hello " * 100),
    "a header of a gigabyte": lambda path: path.write_bytes(struct.pack("<Q", 10**9) + b"{}" * 50),
    "a header that is null": lambda path: path.write_bytes(struct.pack("<Q", 4) + b"null"),
    "no finite sizes": lambda path: path.write_bytes(struct.pack("<Q", 2**64 - 1) + b"{}"),
    "terabytes of nothing": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 2**40),
}
READERS: dict[str, Callable[[Path], object]] = {
    "generator": api.load,
    "features": lambda path: load_features(str(path)),
    "status": read_status,
}


def refused(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(path)
    line = str(caught.value)
    assert str(path) in line and "\n" not in line
    return line


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_such_file_at_all(reader: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    KINDS[kind](path)
    refused(READERS[reader], path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cache_is_computed_again(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOGAN_CACHE", str(tmp_path))
    once = {"x": torch.arange(3.0)}
    remembered({"of": "what"}, lambda: once)
    (path,) = tmp_path.iterdir()
    path.unlink()
    KINDS[kind](path)
    assert remembered({"of": "what"}, lambda: once) is once


# --- generators


@pytest.fixture(scope="module")
def packed() -> bytes:
    return pack_generator(build(GENOME, image_fields(8, 1), seed=0), GENOME, TASK, {"fid": 1.0})


def test_a_generator_is_what_was_packed(packed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    path.write_bytes(packed)
    found = api.load(path)
    assert found.genome == GENOME and found.facts["fid"] == 1.0
    assert found.sample(2).shape == (2, 1, 8, 8)


FACTS = {"genome": dict(GENOME), "image_size": 8, "channels": 1}
BAD_FACTS: dict[str, tuple[Any, str]] = {
    "null": (None, "does not describe a generator"),
    "a list": ([1], "does not describe a generator"),
    "no genome": ({"image_size": 8, "channels": 1}, "'genome' is missing"),
    "a genome that is none": (FACTS | {"genome": [1]}, "does not describe a generator"),
    "an unknown gene": (FACTS | {"genome": {"filtres": 8}}, "unknown gene 'filtres': did you mean 'filters'"),
    "an unknown value": (FACTS | {"genome": {"filters": "many"}}, "gene 'filters'"),
    "a text": (FACTS | {"image_size": "8"}, "image_size must be a whole number, not '8'"),
    "a part": (FACTS | {"image_size": 8.5}, "image_size"),
    "below 0": (FACTS | {"image_size": -8}, "image_size"),
    "a huge image": (FACTS | {"image_size": 10**9}, "image_size"),
    "a large image": (FACTS | {"image_size": 4096}, "more than there are"),
    "many channels": (FACTS | {"channels": 10**6}, "channels must be at most 3"),
    "another image": (FACTS | {"image_size": 32}, ""),
    "other weights": (FACTS | {"genome": {"filters": 4}}, "do not fit its genome"),
}


@pytest.mark.parametrize("what", BAD_FACTS)
def test_a_generator_whose_header_is_wrong(what: str, packed: bytes, tmp_path: Path) -> None:
    path, (facts, said) = tmp_path / "g.safetensors", BAD_FACTS[what]
    path.write_bytes(save(load(packed), metadata={MAGIC: json.dumps(facts)}))
    line = refused(api.load, path)
    what_it_is = "has what this process does not know: " if what.startswith("an unknown") else "is damaged: "
    assert what_it_is in line and said in line


@pytest.mark.parametrize("header", ["", "{", DEEP, "9" * 5000, '{"genome": ' + "1" * 400 + "}"])
def test_a_generator_whose_header_is_no_json(header: str, packed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    path.write_bytes(save(load(packed), metadata={MAGIC: header}))
    assert "is damaged: " in refused(api.load, path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_weights_are_finite(number: float, packed: bytes, tmp_path: Path) -> None:
    path, weights = tmp_path / "file.safetensors", load(packed)
    name = next(name for name, weight in weights.items() if weight.is_floating_point())
    weights[name].view(-1)[-1] = number
    path.write_bytes(save(weights, metadata={MAGIC: json.dumps(FACTS)}))
    assert f"not all numbers of '{name}' are finite" in refused(api.load, path)

    network = load((NETWORKS / "digits.safetensors").read_bytes())
    network["head.bias"][0] = number
    record = json.dumps(asdict(read_record(NETWORKS / "digits.safetensors")))
    path.write_bytes(save(network, metadata={FORMAT: record}))
    assert "not all of its weights are finite" in refused(READERS["features"], path)


# --- feature networks


@pytest.mark.parametrize(
    "changed",
    [
        {"image_size": 10**9},
        {"image_size": -1},
        {"image_size": "large"},
        {"channels": 0},
        {"classes": 10**12},
        {"classes": None},
        {"noise": "loud"},
        {"noise": [[1, 2]]},
        {"name": 5},
    ],
    ids=str,
)
def test_a_feature_network_whose_record_is_wrong(changed: dict[str, Any], tmp_path: Path) -> None:
    whole = NETWORKS / "digits.safetensors"
    path, record = tmp_path / "own.safetensors", asdict(read_record(whole)) | changed
    path.write_bytes(save(load(whole.read_bytes()), metadata={FORMAT: json.dumps(record)}))
    refused(READERS["features"], path)


# --- statuses


@pytest.fixture(scope="module")
def status(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("status") / "status.json"
    with StatusWriter(path, "mine", Judge.of("fid"), 10):
        pass
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize(
    ("part", "bad"),
    [
        ("state", "sleeping"),
        ("driver", {}),
        ("driver", {"host": "here", "pid": 2**40, "born": None}),
        ("updated", "yesterday"),
        ("updated", "2026-01-01T00:00:00"),
        ("seconds", float("nan")),
        ("counts", {"evaluated": 1}),
        ("counts", 5),
        ("failed", {"crashed": "often"}),
        ("spent", "much"),
        ("best", {"value": None, "key": "k", "number": 1}),
        ("rate", 0),
        ("eta", float("inf")),
        ("running", [{"key": "k"}]),
        ("use", {"cpu": 1.0}),
        ("use", None),
    ],
)
def test_a_status_of_which_a_part_is_wrong(part: str, bad: Any, status: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text(json.dumps(status))
    found = read_status(path)
    assert found is not None
    assert status_table(found)
    path.write_text(json.dumps(status | {part: bad}))
    assert f"is no status of a run: {part}" in refused(read_status, path)


@pytest.mark.parametrize("content", [b"null", b"\xff\xfe", DEEP.encode(), b"9" * 5000, b" " * 10**7 + b" {}"])
def test_a_status_that_is_no_document(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_bytes(content)
    refused(read_status, path)
