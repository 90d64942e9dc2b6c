"""Ways through latents: where they begin, what they change, and what is written of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from evogan import cli
from evogan.errors import UserError
from evogan.evaluation import walks
from evogan.evaluation.checkpoint import Generator, pack_generator
from evogan.evaluation.grid import grid_gif
from evogan.families import image_fields
from evogan.families.build import build
from evogan.genes import GENES
from evogan.genome import Genome, Value
from evogan.trial import GANTask
from evogan.zoo.latents import Prior, between, ends

SIZE = 8
STYLED: dict[str, Value] = {"backbone": "stylegan", "filters": 8, "latent": 6, "mapping_layers": 2}
DENSE: dict[str, Value] = {"backbone": "mlp", "latent": 6}


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def made(folder: Path, genes: dict[str, Value], classes: int = 0) -> Path:
    """The file of a generator that was not trained."""
    genome = Genome(GENES.read(genes))
    gan, noise = build(genome, image_fields(SIZE, 1, classes), seed=0), rng()
    for parameter in gan.sampler.parameters():  # a fresh StyleGAN begins with constants, which it divides by
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=noise)
    task = GANTask(name="made up", fingerprint="", image_size=SIZE, channels=1, kimg=1.0, features="")
    content = pack_generator(gan, genome, task, {"key": "", "fid": 1.0, "classes": [*map(str, range(classes))]})
    (folder / "generator.safetensors").write_bytes(content)
    return folder / "generator.safetensors"


def test_the_way_between_normal_latents_keeps_their_length() -> None:
    a, b = torch.randn(5, 64, generator=rng()), torch.randn(5, 64, generator=rng().manual_seed(1))
    way = between("normal", a, b, torch.linspace(0, 1, 7))
    torch.testing.assert_close(way[:, 0], a)
    torch.testing.assert_close(way[:, -1], b)
    lengths = way.norm(dim=2)
    torch.testing.assert_close(
        lengths, torch.lerp(a.norm(dim=1)[:, None], b.norm(dim=1)[:, None], torch.linspace(0, 1, 7))
    )
    steps = torch.nn.functional.cosine_similarity(way[:, 1:], way[:, :-1], dim=2).acos()
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), rtol=1e-3, atol=1e-4)  # an even turn
    assert float(torch.lerp(a, b, 0.5).norm(dim=1).mean()) < 0.8 * float(lengths[:, 3].mean())  # a straight way is not


def test_the_way_to_itself_stands_still_and_that_of_other_priors_is_straight() -> None:
    z = torch.randn(2, 6, generator=rng())
    torch.testing.assert_close(between("normal", z, z, torch.tensor([0.0, 0.3, 1.0])), z[:, None].expand(2, 3, 6))
    way = between("uniform", z, z + 2, torch.tensor([0.25]))
    torch.testing.assert_close(way[:, 0], z + 0.5)


def test_a_sweep_changes_one_coordinate() -> None:
    gan = walks.of_latents(build(DENSE, image_fields(SIZE, 1), seed=0))
    prompt = gan.prompts(3, {}, rng())
    swept = walks.sweep(gan, prompt, 4, 5)["latent"].unflatten(0, (3, 5))
    others = [0, 1, 2, 3, 5]
    assert torch.equal(swept[..., others], prompt["latent"][:, None, others].expand(3, 5, 5))
    torch.testing.assert_close(swept[..., 4], torch.linspace(*ends(gan.prior), 5).expand(3, 5))
    for wrong in (-1, 6):
        with pytest.raises(UserError, match="sweep must be"):
            walks.sweep(gan, prompt, wrong, 5)


@pytest.mark.parametrize("kind", ["normal", "uniform", "bernoulli", "censored_normal"])
def test_a_sweep_stays_where_latents_are(kind: str) -> None:
    low, high = ends(Prior(4, kind))
    assert (low, high) == {"normal": (-3, 3), "uniform": (-1, 1), "bernoulli": (0, 1), "censored_normal": (0, 3)}[kind]
    assert ends(Prior(4, truncation=0.5)) == (-0.5, 0.5)


def test_styles_are_mixed_and_those_of_one_source_are_a_sample(tmp_path: Path) -> None:
    generator = Generator(made(tmp_path, STYLED))
    grid = generator.mix(3, 2).unflatten(0, (4, 3))
    assert (grid[0, 0] == -1).all()
    sources = generator.sample(5)  # the same latents
    torch.testing.assert_close(grid[1:, 0], sources[:3])
    torch.testing.assert_close(grid[0, 1:], sources[3:])
    mixed = grid[1:, 1:]
    assert not torch.allclose(mixed[0, 0], mixed[1, 0]) and not torch.allclose(mixed[0, 0], mixed[0, 1])
    gan = walks.of_latents(generator._gan)
    prompt = gan.prompts(2, {}, rng())
    same = {"latent": prompt["latent"], "other": prompt["latent"], "change": torch.tensor([1, 3])}
    torch.testing.assert_close(gan.sample(same), gan.sample(prompt))
    with pytest.raises(UserError, match="nothing to mix"):
        Generator(made(tmp_path, DENSE)).mix()


def test_truncation_draws_styles_to_their_mean_and_bounds_latents(tmp_path: Path) -> None:
    def spread(images: Tensor) -> float:
        return float(images.var(0).sum())

    path = made(tmp_path, STYLED)
    assert spread(Generator(path).truncate(1e-6).sample(9)) < 1e-6 < spread(Generator(path).sample(9))
    assert torch.equal(Generator(path).truncate(1).sample(4), Generator(path).sample(4))
    with pytest.raises(UserError, match="of styles at most 1"):
        Generator(path).truncate(2)
    bound = Generator(made(tmp_path, {**DENSE, "latent_prior": "normal"})).truncate(0.1)
    assert float(bound._prompt(99, 0, None)["latent"].abs().max()) <= 0.1
    with pytest.raises(UserError, match="those of this generator are uniform"):
        Generator(made(tmp_path, {**DENSE, "latent_prior": "uniform"})).truncate(0.5)


def test_a_walk_is_a_loop_and_its_gif_has_the_frames(tmp_path: Path) -> None:
    generator = Generator(made(tmp_path, DENSE))
    frames = generator.walk(n=4, frames=12, stops=3)
    assert frames.shape == (12, 4, 1, SIZE, SIZE)
    stops = generator.sample(12).unflatten(0, (3, 4))
    torch.testing.assert_close(frames[::4], stops)
    (tmp_path / "walk.gif").write_bytes(grid_gif(frames, 2))
    with Image.open(tmp_path / "walk.gif") as gif:
        assert gif.n_frames == 12 and gif.info["loop"] == 0
        assert gif.size == (2 * 72, 2 * 72)


def test_rows_are_of_a_class(tmp_path: Path) -> None:
    classes: dict[str, Value] = {**DENSE, "condition": "labels", "generator_label": "one_hot"}
    generator = Generator(made(tmp_path, classes, 3))
    gan = walks.of_latents(generator._gan)
    assert walks.interpolation(gan, generator._prompt(8, 0, None), 3)["labels"].tolist() == [
        *(0, 0, 0),
        *(1, 1, 1),
        *(2, 2, 2),
        *(0, 0, 0),
    ]
    assert generator.sweep(0, rows=2, columns=3, label="2").shape == (6, 1, SIZE, SIZE)
    assert generator.walk(n=2, frames=3).shape == (3, 2, 1, SIZE, SIZE)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("--interpolate -o a.npz", ""),
        ("--sweep 2 -n 8", ""),
        ("-o walk.gif -n 1", ""),
        ("--gif -o walk.png", "a file, .gif"),
        ("--sweep 1 --mix", "--sweep and --mix do not go together"),
        ("--class-grid -n 3", "--class-grid and -n do not go together"),
        ("--class-grid --label 1", "--class-grid and --label do not go together"),
        ("--mix", "nothing to mix"),
        ("--truncation 0", "must be above 0"),
    ],
)
def test_what_sample_writes(
    command: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path, DENSE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["evogan", "sample", "generator.safetensors", *command.split()])
    with pytest.raises(SystemExit) as end:
        cli.main()
    printed = capsys.readouterr()
    assert (end.value.code or 0) == (2 if said else 0), printed.err
    assert said in printed.err and len(printed.err.splitlines()) == (1 if said else 0)
    if command.endswith("npz"):
        assert np.load("a.npz")["images"].shape == (64, 1, SIZE, SIZE)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".safetensors"] == (
        [] if said else [printed.out.strip()]
    )
