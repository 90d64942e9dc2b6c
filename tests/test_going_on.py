"""A training that begins with what another left: with its players, on the same data or on others."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import typer.testing

import evogan
from evogan import shipped
from evogan.cli import app
from evogan.errors import UserError
from evogan.evaluation.players import TRAINING, read_players
from evogan.families import image_fields
from evogan.families.build import build
from evogan.genes import GENES
from evogan.trial import PLAYERS, GANTask
from tests.conftest import NARROW

SMALL = {"filters": 8, "critic_steps": 1, "learning_rate": 1e-3, "ema": 0.9, "critic_optimizer": "adam"}
LOW, HIGH = ["0", "1", "2", "3", "4"], ["5", "6", "7", "8", "9"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("going_on")


def train(
    runs: Path, genome: str | Mapping[str, Any] | None = None, kimg: float = 3.0, **more: Any
) -> tuple[Any, Path]:
    return evogan.train(genome, "digits", kimg=kimg, samples=100, features="digits", runs=str(runs), **more)


@pytest.fixture(scope="module")
def trained(runs: Path) -> Path:
    return train(runs, SMALL, classes=LOW)[1]


def sampled(gan: Any) -> torch.Tensor:
    prompt = gan.prompts(32, {}, torch.Generator().manual_seed(1))
    return gan.sample(prompt)


def test_the_players_are_those_of_the_end_and_begin_the_next_training(runs: Path, trained: Path) -> None:
    """A step that is next to none samples what the file does; its optimisers and averages go on, too."""
    for name in (PLAYERS, "generator.safetensors"):
        begun = read_players(trained / name)
        before = sampled(begun.gan)
        _, folder = train(runs, origin=trained / name, kimg=0.064, classes=LOW, change={"learning_rate": 1e-8})
        after = read_players(folder)
        assert (sampled(after.gan) - before).abs().mean() < 0.05, name  # batch norms and averages go on
        assert (sampled(build(begun.form.genome, begun.form.fields, 0)) - before).abs().mean() > 0.1
        weights = [dict(players.gan.players["generator"].named_parameters()) for players in (begun, after)]
        assert all(torch.allclose(weights[1][key], weight, atol=1e-5) for key, weight in weights[0].items())
        moments, steps = after.state.tensors["optimizer.critic.0.step"], begun.state.tensors
        assert moments == steps.get("optimizer.critic.0.step", 0) + 1
        average = after.state.tensors["network.average.steps"]
        assert average == steps.get("network.average.steps", 0) + 1


def test_of_a_generator_alone_its_samples_go_on(trained: Path) -> None:
    path = trained / "generator.safetensors"
    assert torch.equal(sampled(read_players(path).gan), evogan.load(path).sample(32, seed=1))


def test_other_classes_are_learned_from_there_and_trained_once(runs: Path, trained: Path) -> None:
    """As much from the beginning is worse."""
    lines: list[str] = []
    tuned, folder = train(runs, origin=trained, kimg=1.0, classes=HIGH, say=lines.append)
    fresh, _ = train(runs, SMALL, kimg=1.0, classes=HIGH)
    assert tuned.kept["fid"] < fresh.kept["fid"]
    assert any(re.search("all players after .* kimg of digits; other data", line) for line in lines)
    again, same = train(runs, origin=trained, kimg=1.0, classes=HIGH)
    assert (again.id, same) == (tuned.id, folder)
    assert folder.parent == trained.parent, "the genome is the same, the task is not"


def test_a_task_without_origin_has_the_key_that_it_had() -> None:
    facts: dict[str, Any] = {
        "name": "d",
        "fingerprint": "f",
        "image_size": 8,
        "channels": 1,
        "kimg": 1.0,
        "features": "x",
    }
    assert "origin" not in GANTask(**facts).identity
    assert GANTask(**facts, origin="a").key != GANTask(**facts).key


@pytest.mark.parametrize("gene", sorted(TRAINING | {"slope", "ema", "lecam", "critic_optimizer"}))
def test_genes_that_may_change_leave_the_networks(gene: str) -> None:
    """Whatever value of them can be built has networks of the same names and shapes."""

    def shapes(genes: Mapping[str, Any]) -> dict[str, Any]:
        gan = build(genes, image_fields(8, 1), 0)
        return {n: {k: v.shape for k, v in p.state_dict().items()} for n, p in gan.players.items()}

    values, built = GENES[gene].values or (GENES[gene].low, GENES[gene].high), 0
    for loss, value in product(("non_saturating", "minimax"), values):
        base = {"filters": 4, "critic_norm": "none", "critic_constraint": "none", "loss": loss}
        try:
            genome = GENES.read(base | {gene: value})
        except UserError:
            continue
        assert shapes(genome) == shapes(GENES.read(base)), value
        built += 1
    assert built > 1


def test_networks_that_have_grown_do_not_shrink() -> None:
    genome = GENES.read({"backbone": "progressive", "filters": 8, "condition": "none"})
    gan, other = (build(genome, image_fields(16, 1), seed) for seed in (0, 1))
    images = sampled(gan)
    other.adopt({name: network.state_dict() for name, network in gan.networks.items() if network.state_dict()})
    assert not other.begin(0.0) and torch.equal(sampled(other), images)
    gan.begin(0.0)
    assert not torch.equal(sampled(gan), images)


@pytest.fixture(scope="module", params=[0, 1], ids=["unchecked", "checked"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> evogan.Run:
    return evogan.search(
        NARROW,
        "digits",
        evaluations=2,
        kimg=0.2,
        samples=100,
        strategy="random",
        learn_from="none",
        finalists=1,
        confirm=request.param,
        references="none",
        workers=1,
        name="first",
        runs=tmp_path_factory.mktemp("runs"),
    )


def test_a_run_is_trained_on_by_its_name(run: evogan.Run) -> None:
    """Its best genome anew, or from where that genome's training ended; with a critic that did not begin anew only
    where a winner was checked, because no other training keeps its players."""
    checked, runs = bool(run.confirmations), run.store.folder
    assert run.best is not None
    lines: list[str] = []
    _, anew = train(runs, "first", kimg=0.1)
    _, on = train(runs, origin="first", kimg=0.1, say=lines.append)
    assert read_players(anew).form.genome == read_players(on).form.genome == run.best.row.genome
    assert ("all players after 0.192" if checked else "with a fresh critic") in lines[0]
    if checked:
        critic = evogan.load_critic("first", runs=runs)
        assert critic.facts["key"] == run.best.row.key
    else:
        with pytest.raises(UserError, match="or a run that checked its best"):
            evogan.load_critic("first", runs=runs)
    with pytest.raises(UserError, match="unknown genome 'second'"):
        train(runs, "second")


def test_what_a_run_was_judged_on_need_not_be_said_again(tmp_path: Path) -> None:
    """Its data with all that was said of them, and its judge; where others are named, nothing of both is taken over."""
    how = {"image_size": 12, "classes": ("0", "7"), "samples": 60}
    evogan.search(
        NARROW,
        evaluations=1,
        kimg=0.1,
        strategy="random",
        learn_from="none",
        finalists=0,
        workers=1,
        name="first",
        runs=tmp_path,
        **how,
    )
    same = {"kimg": 0.1, "runs": tmp_path}

    def task(**asked: Any) -> dict[str, Any]:
        _, folder = evogan.train(**same | asked)
        tasks = evogan.open_run("first", tmp_path).store.tasks()
        return next(dict(task) for key, (_, task) in tasks.items() if folder.name.startswith(key))

    searched = task(genome="first", data="digits", **how)
    assert task(genome="first") == searched
    on = task(origin="first")
    assert on.pop("origin") and on == searched
    assert task(genome="first", samples=70) == searched | {"samples": 70}
    other = task(genome="first", data="digits")
    assert (other["image_size"], other["samples"]) == (8, 5000) and other["fingerprint"] != searched["fingerprint"]
    assert task(genome="wdcgan", change=SMALL)["fingerprint"] == other["fingerprint"]
    scores = evogan.evaluate("first", runs=tmp_path)
    assert scores == evogan.evaluate("first", "digits", runs=tmp_path, **how)
    with pytest.raises(UserError, match="makes 12x12 images"):
        evogan.evaluate("first", "digits", runs=tmp_path)


def test_what_does_not_fit_is_named(runs: Path, trained: Path, tmp_path: Path) -> None:
    def refused(words: str, **asked: Any) -> None:
        with pytest.raises(UserError, match=words):
            train(runs, **{"origin": trained, "kimg": 1.0} | asked)

    refused("'filters' cannot change", change={"filters": 9})
    refused("is of images of 8x8 with 1 channel, 'digits' has 16x16.*--image-size 8", image_size=16)
    refused("name one of the two", genome=SMALL)
    content = bytearray((trained / PLAYERS).read_bytes())
    content[-5] ^= 1
    (tmp_path / PLAYERS).write_bytes(content)
    refused("is damaged", origin=tmp_path)
    (tmp_path / "a.txt").write_text("hello")
    refused("is no players.safetensors", origin=tmp_path / "a.txt")
    refused("no file", origin=tmp_path / "none")
    with pytest.raises(UserError, match="name the generator.safetensors"):
        evogan.load(trained / PLAYERS)


@pytest.mark.parametrize("form", ["batch", "alone", "autoencoder", "conditional"])
def test_what_a_critic_says_of_images(runs: Path, trained: Path, form: str) -> None:
    """Higher is more real, and of each image alone where the critic looks at it alone."""
    genes: dict[str, dict[str, Any]] = {
        "alone": {"critic_norm": "none"},
        "autoencoder": {"loss": "began", "critic_norm": "none", "critic_constraint": "none"},
        "conditional": {"condition": "labels", "critic_norm": "none"},
    }
    folder = trained if form == "batch" else train(runs, {**SMALL, **genes[form]}, kimg=0.064, classes=LOW)[1]
    critic = evogan.load_critic(folder)
    network = read_players(folder).gan.players["critic"]
    images = torch.rand(70, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    labels = torch.arange(70) % 5 if critic.classes else None
    scores = torch.tensor(critic.score(images, labels))
    heard: list[float] = []
    assert torch.equal(scores, torch.tensor(critic.score(images, labels, progress=heard.append)))
    assert heard == [i / len(heard) for i in range(8 if critic.in_batches else 1)]
    assert critic.in_batches == (form == "batch")
    if form == "batch":
        assert len(critic.score(images[:3])) == 3
        return
    given = () if labels is None else (labels,)
    said = network(images, (), *given).score.detach().double()
    assert torch.allclose(scores, -said if form == "autoencoder" else said, atol=1e-5)
    if labels is not None:
        assert not torch.allclose(scores, torch.tensor(critic.score(images, labels.roll(1))))
        with pytest.raises(UserError, match="labels are missing"):
            critic.score(images)
        with pytest.raises(UserError, match="images must be"):
            critic.score(images[:0], labels[:0])
        for wrong in (labels[:3], labels + 1, ["a"] * 70):
            with pytest.raises(UserError, match="labels must be 70 whole numbers from 0 to 4"):
                critic.score(images, wrong)


def test_what_a_critic_is_shown_is_pixels(runs: Path, trained: Path) -> None:
    critic, images = evogan.load_critic(trained), torch.linspace(-1, 1, 4 * 64).reshape(4, 1, 8, 8)
    assert (critic.score(images.double()) == critic.score(images)).all()
    for wrong in (images * 127.5 + 127.5, (images * 100).long(), images * np.nan):
        with pytest.raises(UserError, match=r"pixels must be uint8, 0 to 255, or floats in \[-1, 1\]"):
            critic.score(wrong)


def test_a_command_ranks_images_and_tells_classes_apart(trained: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "s.csv", tmp_path / "p.png"
    command = f"critic {trained} --data digits --class 0 --class 7 -n 3 --json -o {out} --picture {picture}"
    result = typer.testing.CliRunner().invoke(app, command.split())
    found = json.loads(result.stdout)
    table = pd.read_csv(out, dtype={"class": str})
    assert len(table) == 1797 and table["score"].is_monotonic_decreasing and picture.is_file()
    assert found["best"][0]["image"] == str(table["image"][0])
    one, other = (table["score"][table["class"] == name].to_numpy() for name in ("0", "7"))
    pairs = np.sign(one[:, None] - other).mean() / 2 + 0.5
    assert found["auc"]["value"] == pytest.approx(pairs, abs=1e-6)
    with pytest.raises(UserError, match="has no critic"):
        evogan.load_critic(trained / "generator.safetensors")


def test_a_single_image_is_ranked_and_how_it_was_read_is_said(trained: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", images=np.full((1, 8, 8), 0.5, np.float32), extra=np.arange(3))
    command = f"critic {trained} --data {tmp_path / 'one.npz'} --picture {tmp_path / 'p.png'}"
    result = typer.testing.CliRunner().invoke(app, command.split())
    assert result.exit_code == 0, result.output
    assert "float32 is taken as from [0, 1]" in result.stderr and "left out: extra" in result.stderr


@pytest.mark.parametrize(
    ("name", "data"),
    [("pix2pix", {"pairs": "edges"}), ("cyclegan_unet", {"domains": "negative"}), ("srresnet", {"pairs": "low:4"})],
)
def test_a_critic_that_needs_more_than_an_image_is_refused_and_patches_are_averaged(
    runs: Path, name: str, data: dict[str, str]
) -> None:
    small = {"filters": 4, "patch_filters": 4, "batch_size": 4}
    asked: dict[str, Any] = {"kimg": 0.02, "samples": 20, "runs": runs, **data}
    _, folder = evogan.train({**shipped.read_genome(name).genome, **small}, "digits", **asked)
    if name == "srresnet":
        assert evogan.load_critic(folder).score(torch.zeros(3, 1, 8, 8)).shape == (3,)
        return
    with pytest.raises(UserError, match="only those of images alone rank them"):
        evogan.load_critic(folder)
