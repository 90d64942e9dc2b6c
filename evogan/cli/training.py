"""Train one genome, sample and score its generator; feature networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evogan.cli.common import Json, console, print_json, say, teller
from evogan.cli.options import takes
from evogan.errors import UserError
from evogan.settings import GANSettings
from evogan.settings.doors import EVALUATE, EXTENSIONS, FEATURES, TRAIN, picked
from evogan.settings.reading import read_pairs


@takes(TRAIN)
def train(
    genome: Annotated[str, typer.Argument(help="A published genome (`evogan zoo`) or a TOML file.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a gene, name=value.")] = None,
    replicate: int = 0,
    as_json: Json = False,
    **asked: Any,
) -> None:
    """Train one genome and score it; trained before, it is looked up."""
    from rich.text import Text

    from evogan import api, shipped
    from evogan.report import facts, tables

    terminal, budget = console(), GANSettings.of(**picked(GANSettings, asked)).budget
    genes = dict(shipped.read_genome(genome).genome) | read_pairs("gene", set_ or [])
    with terminal.status(Text(f"training {genome} on {asked['data']} for {budget}")):
        evaluation, folder = api.train(genes, replicate=replicate, say=teller(terminal), **asked)
    if as_json:
        print_json(tables.evaluation_document(evaluation) | {"files": str(folder)})
        return
    say(tables.scores(evaluation))
    for sentence in filter(None, (*facts.why(evaluation), facts.estimate(evaluation))):
        say(sentence)
    if not evaluation.failed:
        say(f"generator  {folder / 'generator.safetensors'}")
        say(f"grid       {folder / 'samples.png'}")


@takes(EXTENSIONS)
def sample(
    generator: Annotated[Path, typer.Argument(help="A generator.safetensors.")],
    n: Annotated[int, typer.Option("-n", help="How many images, at most a million.")] = 64,
    seed: int = 0,
    label: Annotated[str | None, typer.Option(help="Of a conditional one: the class, by name or number.")] = None,
    class_grid: Annotated[bool, typer.Option("--class-grid", help="A row a class, one latent a column.")] = False,
    output: Annotated[Path, typer.Option("-o", help=".png for a grid, .npz for uint8 images.")] = Path("samples.png"),
    **asked: Any,
) -> None:
    """Draw images from a trained generator."""
    from evogan import api

    output = _output(output, ".png", ".npz")
    found = api.load(generator, **asked)
    images = found.class_grid(seed=seed) if class_grid else found.sample(n, seed, label)
    if output.suffix == ".png":
        from evogan.evaluation.grid import grid_png

        output.write_bytes(grid_png(images))
    else:
        import numpy as np

        np.savez_compressed(output, images=((images + 1) * 127.5).round().byte().numpy())
    say(str(output))


@takes(EVALUATE)
def evaluate(
    generator: Annotated[Path, typer.Argument(help="A generator.safetensors.")],
    seed: Annotated[int, typer.Option(help="Seed of the latent noise.")] = 0,
    as_json: Json = False,
    **asked: Any,
) -> None:
    """Score a trained generator on a data set."""
    from evogan import api

    found = api.evaluate(generator, seed=seed, say=teller(console()), **asked)
    if as_json:
        print_json(found)
    else:
        for name, value in found.items():
            say(f"{name}  {value:.6g}")


def list_features(as_json: Json = False) -> None:
    """List the shipped feature networks with their accuracy, floors and noise."""
    from dataclasses import asdict

    from evogan.fitness import shipped_records
    from evogan.report import tables

    records = [asdict(record) for record in shipped_records()]
    if as_json:
        print_json(records)
    else:
        say(tables.features(records))


@takes(FEATURES)
def train_features(
    data: Annotated[str, typer.Argument(help="A labelled data set.")],
    output: Annotated[Path, typer.Option("-o", help="The .safetensors to write.")] = Path("features.safetensors"),
    epochs: Annotated[int, typer.Option(min=1, max=10_000)] = 15,
    seed: int = 0,
    **asked: Any,
) -> None:
    """Train a feature network for a data set of yours."""
    from evogan.fitness import save_network
    from evogan.fitness import train_features as train_network
    from evogan.runs.gans import GANProblem

    output = _output(output, ".safetensors")
    dataset = GANProblem(GANSettings(data=data, **asked)).dataset
    say(dataset.describe())

    def progress(epoch: int, epochs: int, loss: float) -> None:
        say(f"epoch {epoch}/{epochs}  loss {loss:.4f}")

    network = train_network(dataset, epochs=epochs, seed=seed, progress=progress)
    save_network(network, output)
    say(f"{output}  held-out accuracy {network.record.accuracy:.2%}, FID floor {network.record.floor:.3g}")


def _output(path: Path, *suffixes: str) -> Path:
    """Where a file can be written that has one of these endings."""
    from evogan.files import check_folder, expand

    path = expand(path)
    if path.suffix not in suffixes or path.is_dir():
        raise UserError(f"output '{path}': a file, {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise UserError(f"output '{path}': no such folder")
    check_folder(path.parent)
    return path
