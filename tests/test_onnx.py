"""`evogan export onnx` and `card`: the images of torch, from named inputs in batches of any size, and a page."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hatchling.builders.wheel import WheelBuilder

import evogan
from evogan import UserError
from evogan.engine import Store
from evogan.evaluation.checkpoint import Generator, pack_generator
from evogan.export import card, to_onnx
from evogan.families import Field, image_fields
from evogan.families.build import build
from evogan.genes import GENES
from evogan.trial import Evaluation, GANTask
from tests import test_cli
from tests.test_cli import mistake

shell = test_cli.run
TASK = GANTask(name="some", fingerprint="f", image_size=8, channels=1, kimg=1, features="f")
MLP: dict[str, Any] = {"backbone": "mlp", "mlp_layers": 1, "filters": 4, "latent": 3}
CONDITIONAL = {**MLP, "condition": "labels", "critic_constraint": "none"}
CODES = {
    **MLP,
    "family": "inference",
    "encoder": "head",
    "code_categories": 3,
    "code_continuous": 2,
    "mutual_information": 1.0,
}
SOURCES = {"family": "translation", "filters": 4, "patch_filters": 4, "patch_layers": 1, "critic_constraint": "none"}


def trained(path: Path, genes: dict[str, Any], **facts: Any) -> Generator:
    """A file of a generator, as it begins."""
    genome = GENES.read(genes)
    fields = {**image_fields(8, 1, 4), "sources": Field((3, 8, 8))}
    gan = build(genome, fields, 1)
    known = {"key": GENES.key(genome), "fid": 1.5, "tells_apart": list("abcd"), **facts}
    path.write_bytes(pack_generator(gan, genome, TASK, known))
    return Generator(path)


@pytest.mark.parametrize(
    ("genes", "facts", "inputs"),
    [
        (CONDITIONAL, {"classes": list("abcd")}, {"latent": (3,), "labels": ()}),
        (CODES, {}, {"latent": (3,), "category": (3,), "continuous": (2,)}),
        (SOURCES, {"sources": [3, 8, 8]}, {"sources": (3, 8, 8)}),
    ],
    ids=["classes", "codes", "sources"],
)
def test_the_images_are_those_of_torch(
    genes: dict[str, Any], facts: dict[str, Any], inputs: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    generator = trained(tmp_path / "generator.safetensors", genes, **facts)
    assert to_onnx.export_onnx(generator, tmp_path / "gan.onnx") == inputs
    onnx.checker.check_model(str(tmp_path / "gan.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "gan.onnx", providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == list(inputs)
    for n in (1, 7):
        given = to_onnx.inputs_of(generator, n)
        (made,) = session.run(["images"], {name: x.numpy() for name, x in given.items()})
        expected = generator.translate(*given.values()) if "sources" in inputs else generator.sample(n, seed=n)
        assert made.shape == (n, 1, 8, 8)
        assert np.allclose(made, expected.numpy(), atol=1e-4)
    other = trained(tmp_path / "generator.safetensors", genes, **facts)
    with torch.no_grad():
        next(iter(other.gan.sampler.parameters())).add_(1.0)
    with pytest.raises(UserError, match="other images than torch, up to .* apart: nothing is written"):
        to_onnx._check_same((tmp_path / "gan.onnx").read_bytes(), other, to_onnx.Sampler(other.gan, list(inputs)))


def test_mistakes_are_one_line(shell: test_cli.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path / "mine.safetensors", MLP)
    (tmp_path / "there.onnx").touch()
    mistake(shell("export onnx mine.safetensors --to there.onnx"), "'there.onnx' exists", "--to")
    mistake(shell("export onnx nothing"), "unknown generator 'nothing'")
    mistake(shell("export onnx mine.safetensors --to x.txt"), ".onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    mistake(shell("export onnx mine.safetensors"), "onnxscript is not installed: pip install 'evogan[onnx]'")
    assert not (tmp_path / "mine.onnx").exists() and not (tmp_path / "mine.md").exists()


def test_a_card_says_what_was_trained_how_well_and_how_to_repeat_it(tmp_path: Path) -> None:
    """Of the trainings of the genome that the store knows, on the very task."""
    asked: dict[str, Any] = {"kimg": 0.1, "samples": 100, "runs": tmp_path / "runs"}
    found = [evogan.train(MLP, "digits", replicate=replicate, **asked) for replicate in range(2)]
    fids = [evaluation.kept["fid"] for evaluation, _ in found]
    folder = found[1][1]
    page = evogan.model_card(folder, "mine", runs=tmp_path / "runs")
    assert f"{fids[1]:.4g}; of 100 samples; " in page and "over 2 trainings of this genome" in page
    assert f"{np.mean(fids):.1f}"[:3] in page
    assert "| data | digits (fingerprint" in page and "| budget | 0.1 kimg, fp32 |" in page
    assert "FID of" in page and "| failures | 0 of 2 trainings |" in page and "## Licence" in page
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert tomllib.loads(text)["genes"] == MLP
    (command,) = re.findall(r"```sh\n(evogan train .*)\n```", page)
    assert command.endswith("--data digits --image-size 8 --kimg 0.1 --samples 100 --replicate 1")
    (tmp_path / "mine.toml").write_text(text)
    repeated, _ = evogan.train(tmp_path / "mine.toml", "digits", replicate=1, image_size=8, **asked)
    assert repeated.kept["fid"] == fids[1] and Store.existing(tmp_path / "runs").count() == 2  # it was looked up


def test_a_card_of_a_run_has_its_whole_protocol(shell: test_cli.Run, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"kimg": 0.1, "samples": 100, "runs": tmp_path, "classes": ("0", "1"), "precision": "bf16"}
    _, folder = evogan.train(MLP, "digits", **asked)
    page = evogan.model_card(folder, "mine", runs=tmp_path)
    assert "--precision bf16" in page and "others than fingerprint" in page, "nothing says which classes these were"
    space = evogan.Space("one", [evogan.Gene(name="learning_rate", kind="float", low=1e-4, high=2e-4)], fixed=MLP)
    more: dict[str, Any] = {"workers": 1, "finalists": 0, "evaluations": 1, "strategy": "random", "name": "run"}
    run = evogan.search(space, "digits", **asked, **more)
    page = evogan.model_card("run", "mine", runs=tmp_path)
    assert "--classes 0,1" in page and "--precision bf16" in page and "others than" not in page
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (command,) = re.findall(r"```sh\nevogan (train .*)\n```", page)
    (tmp_path / "mine.toml").write_text(text)
    done = shell(f"{command.replace('mine.toml', str(tmp_path / 'mine.toml'))} --runs {tmp_path / 'again'}")
    assert done.code == 0, done.stderr
    (again,) = (evaluation for _, _, evaluation in Store.existing(tmp_path / "again").evaluations())
    assert run.best is not None and again.kept["fid"] == run.best.evaluation.kept["fid"]


def test_a_card_without_a_store_says_that_it_does_not_know(tmp_path: Path) -> None:
    page = card.card("a|b", trained(tmp_path / "generator.safetensors", MLP), card.Known())
    assert page.count(card.UNKNOWN) == 4 and "# a\\|b\n" in page and "--data DATA" in page


def test_points_are_said_to_be_in_units_of_their_own(tmp_path: Path) -> None:
    """What ONNX makes knows no way back; a file of code would make images of them."""
    gan = build(genome := GENES.read(MLP), image_fields(1, 2), 1)
    task = GANTask(name="mine", fingerprint="f", image_size=1, channels=2, iterations=9, features="coordinates")
    path = tmp_path / "generator.safetensors"
    path.write_bytes(pack_generator(gan, genome, task, {"plane": [5.0, -7.0, 300.0]}))
    text = card.card("g", Generator(path), card.known_of(Generator(path), None), {"latent": (3,)})
    assert "| points |" in text and "times 300.0, plus (5.0, -7.0)" in text and "| images |" not in text
    assert "--image-size" not in text and "not yet in the units of the data" in text
    with pytest.raises(UserError, match="no code is written for GANs of points"):
        evogan.export_code(path)


def test_failures_are_counted(tmp_path: Path) -> None:
    ends = [Evaluation(status=status, reason="x") for status in ("completed", "diverged", "crashed", "diverged")]
    trainings = {("k", "t", 1.0, i): evaluation for i, evaluation in enumerate(ends)}
    assert card._failures(trainings) == "3 of 4 trainings: 2 diverged, 1 crashed"


def test_the_wheel_has_the_extras() -> None:
    builder = WheelBuilder(str(Path(evogan.__file__).parent.parent))
    metadata = builder.config.core_metadata_constructor(builder.metadata)
    extras = {"onnx": to_onnx.NEEDED, "track": ("mlflow-skinny",), "watch": ("starlette", "uvicorn")}
    for extra, packages in extras.items():
        assert f"Provides-Extra: {extra}\n" in metadata
        found = re.findall(rf"^Requires-Dist: ([\w-]+)\S*; extra == '{extra}'$", metadata, re.MULTILINE)
        assert sorted(found) == sorted(packages)
