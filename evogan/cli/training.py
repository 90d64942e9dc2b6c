"""Train one genome, sample and score its generator; feature networks."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from evogan.cli.common import Json, Runs, StoreURL, Trained, console, learning, print_json, say, teller
from evogan.cli.options import takes
from evogan.errors import UserError, printable
from evogan.plugins import Plugins
from evogan.settings import GANSettings
from evogan.settings.doors import EVALUATE, EXTENSIONS, FEATURES, TRAIN, picked
from evogan.settings.reading import read_pairs
from evogan.trial import PLAYERS

if TYPE_CHECKING:
    from typer._click import Context

COLUMNS = 8  # of a grid
NUMBER = r"[-+]?\d{1,9}"
OF_CODES = "codes"  # what is swept where no coordinate is named


class Sampling(TyperCommand):
    """`--sweep` may stand without its number, which typer knows nothing of."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """As click calls it."""
        swept: list[str] = []
        for arg, following in zip(args, [*args[1:], ""], strict=True):
            swept += [f"{arg}={OF_CODES}"] if arg == "--sweep" and not re.fullmatch(NUMBER, following) else [arg]
        return super().parse_args(ctx, swept)


@takes(TRAIN)
def train(
    genome: Annotated[
        str | None, typer.Argument(help="A published genome (`evogan zoo`), a TOML file, or a run (its best).")
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="In place of a genome: go on from a run (its best), or the players.safetensors or "
            "generator.safetensors of a training.",
        ),
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a gene, name=value.")] = None,
    replicate: int = 0,
    every: Annotated[
        float | None,
        typer.Option(help="Thousands of real images from one look at samples (live.png) to the next; 0: none."),
    ] = None,
    as_json: Json = False,
    **asked: Any,
) -> None:
    """Train one genome and score it, with a page about it; trained before, it is looked up.

    Where no data are said they are those of the run that is named, or else digits.
    """
    from evogan import api
    from evogan.monitor.training import TrainingProgress
    from evogan.report import facts, tables
    from evogan.report.training import NAME

    Plugins(asked.get("plugins", ()))  # a genome may need them
    terminal, budget = console(), GANSettings.of(**picked(GANSettings, asked)).budget
    what = f"going on from {from_}" if genome is None else f"training {genome}"
    what += f" on {asked['data']}" if "data" in asked else ""
    with TrainingProgress(f"{what} for {budget}", terminal) as progress:
        evaluation, folder = api.train(
            genome,
            origin=from_,
            change=read_pairs("gene", set_ or []),
            replicate=replicate,
            every=every,
            page=True,
            say=teller(terminal),
            listener=progress,
            **asked,
        )
    if as_json:
        print_json(tables.evaluation_document(evaluation) | {"files": str(folder)})
        raise typer.Exit(int(evaluation.failed))
    say(tables.scores(evaluation))
    for sentence in filter(None, (*facts.why(evaluation), facts.estimate(evaluation))):
        say(sentence)
    if not evaluation.failed:
        say(f"generator  {folder / 'generator.safetensors'}")
        if (folder / PLAYERS).is_file():
            say(f"players    {folder / PLAYERS}")
        say(f"grid       {folder / 'samples.png'}")
    say(f"page       {folder / NAME}")
    raise typer.Exit(int(evaluation.failed))


@takes(EXTENSIONS)
def sample(
    generator: Trained,
    n: Annotated[
        int | None, typer.Option("-n", help="How many; default 64, of each --text 8, of --gif 16, of points 1,000.")
    ] = None,
    seed: int = 0,
    label: Annotated[
        str | None,
        typer.Option(help="Of a conditional one: the class, by name or, unless names are numbers, by place from 0."),
    ] = None,
    code: Annotated[int | None, typer.Option(help="Of a GAN with an encoder: the category, from 0.")] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="Of one that learned from captions: a sentence, 8 images of it; may be given several times."),
    ] = None,
    class_grid: Annotated[bool, typer.Option("--class-grid", help="A row a class, one latent a column.")] = False,
    interpolate: Annotated[
        bool, typer.Option("--interpolate", help="A row goes from one latent to another in 8 images.")
    ] = False,
    sweep: Annotated[
        str | None,
        typer.Option(
            metavar="[INTEGER]",
            help="In each row this coordinate of a latent, from 0, goes from low to high. Without a number what codes "
            "do: a row a category, along it each continuous code from -2 to 2.",
        ),
    ] = None,
    mix: Annotated[
        bool, typer.Option("--mix", help="Of StyleGAN: a row's coarse styles with a column's fine ones.")
    ] = False,
    gif: Annotated[bool, typer.Option("--gif", help="A walk through the latents that ends where it began.")] = False,
    truncation: Annotated[
        float | None, typer.Option(help="StyleGAN's psi, or of normal latents the bound: less is less varied.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Of sequences: below 1 they are more probable, and less varied.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            *("-o", "--to"),
            help=".png for a grid, .npz for uint8 images, or points, .gif; default samples.png. Of sequences .txt; "
            "default: they are printed.",
        ),
    ] = None,
    runs: Runs = None,
    store: StoreURL = None,
    **asked: Any,
) -> None:
    """Draw images, or sequences, from a trained generator."""
    from evogan import api

    gif = gif or (output is not None and output.suffix == ".gif")
    ways = {"--class-grid": class_grid, "--interpolate": interpolate, "--sweep": sweep is not None, "--mix": mix}
    chosen = [flag for flag, on in {**ways, "--gif": gif}.items() if on]
    said = {
        "--label": (class_grid or bool(text)) and label is not None,
        "--code": (class_grid or mix or bool(text)) and code is not None,
    }
    said["-n"] = n is not None and (class_grid or sweep == OF_CODES)  # a row a class, or a category
    chosen += ["--text"] if text else []
    if len(chosen) > 1 or any(said.values()):
        both = (*chosen, *(flag for flag, on in said.items() if on))[:2]
        raise UserError(f"{' and '.join(both)} do not go together: name one of them")
    kinds = (".gif",) if gif else (".png", ".npz")
    if output is not None:
        output = output_file(output, *kinds, *(() if gif else (".txt",)))
    found = api.load(generator, runs=runs, store=store, **asked)
    if temperature is not None:
        found.warm(temperature)
    if truncation is not None:
        found.truncate(truncation)
    if found.language is not None:
        _write_texts(found.sample(64 if n is None else n, seed, label, code, text), output, chosen)
        return
    output = output_file(output or Path("samples.gif" if gif else "samples.png"), *kinds)
    if found.plane is not None and chosen:
        raise UserError(f"{chosen[0]} draws images, and this generator makes points")
    count = (1000 if found.plane is not None else 16 if gif else COLUMNS if text else 64) if n is None else n
    rows = -(-count // COLUMNS)
    if gif:
        from evogan.evaluation.grid import grid_gif

        frames = found.walk(count, seed=seed, label=label, code=code)
        output.write_bytes(grid_gif(frames, min(COLUMNS, math.ceil(math.sqrt(count)))))
        say(str(output))
        return
    if text:
        images = found.sample(count, seed, text=text)
    elif class_grid:
        images = found.class_grid(seed=seed)
    elif interpolate:
        images = found.interpolate(rows, COLUMNS, seed, label, code)
    elif sweep == OF_CODES:
        panels = found.sweep_code(COLUMNS, seed, label, code)
        images = panels.flatten(0, 2)
    elif sweep is not None:
        images = found.sweep(_coordinate(sweep), rows, COLUMNS, seed, label, code)
    elif mix:
        images = found.mix(max(1, rows - 1), COLUMNS - 1, seed, label)
    else:
        images = found.sample(count, seed, label, code)
    if found.plane is not None:
        _write_points(output, images.numpy())
    elif text and output.suffix == ".png":
        from evogan.evaluation.captioned import captioned_png

        output.write_bytes(captioned_png(images, text))
    elif output.suffix == ".png":
        from evogan.evaluation.codes import side_by_side
        from evogan.evaluation.grid import grid_png

        output.write_bytes(grid_png(*(side_by_side(panels) if sweep == OF_CODES else (images, COLUMNS))))
    else:
        import numpy as np

        from evogan.evaluation.translations import to_bytes

        np.savez_compressed(output, images=to_bytes(images).numpy())
    say(str(output))


def _write_texts(texts: list[str], output: Path | None, chosen: list[str]) -> None:
    if chosen:
        raise UserError(f"{chosen[0]} draws images, and this generator makes sequences")
    if output is None:
        said = map(_harmless, texts) if sys.stdout.isatty() else texts
        print(*said, sep="\n")
        return
    output = output_file(output, ".txt")
    output.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    say(str(output))


def _harmless(text: str) -> str:
    """A file from elsewhere might have tokens that steer a terminal; tabs are a text's own."""
    return "\t".join(map(printable, text.split("\t")))


def _write_points(output: Path, points: Any) -> None:
    if output.suffix == ".png":
        from evogan.evaluation.scatter import scatter_png

        output.write_bytes(scatter_png(points, points))
    else:
        import numpy as np

        np.savez_compressed(output, points=points)


@takes(EVALUATE)
def evaluate(
    generator: Trained,
    seed: Annotated[int, typer.Option(help="Seed of the latent noise.")] = 0,
    as_json: Json = False,
    **asked: Any,
) -> None:
    """Score a trained generator on a data set: if none is said, on that of the run that is named, or else digits."""
    from evogan import api

    terminal = console()
    with learning(terminal) as tell:
        found = api.evaluate(generator, seed=seed, say=teller(terminal), tell=tell, **asked)
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
    data: Annotated[str, typer.Argument(help="A data set.")],
    output: Annotated[Path, typer.Option("-o", help="The .safetensors to write.")] = Path("features.safetensors"),
    labels: Annotated[
        bool | None, typer.Option("--labels/--no-labels", help="Learn from labels; default: where there are enough.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, max=10_000, help="Default: as many as suit the data.")] = None,
    seed: int = 0,
    **asked: Any,
) -> None:
    """Train a feature network for a data set of yours, to be named where others are to use it, too."""
    from evogan.fitness import save_network
    from evogan.fitness import train_features as train_network
    from evogan.runs.gans import GANProblem

    output = output_file(output, ".safetensors")
    dataset = GANProblem(GANSettings(data=data, **asked)).dataset
    if dataset.plane or dataset.language:
        raise UserError(f"features are of images: '{data}' has {'points' if dataset.plane else 'sequences'}")
    say(dataset.describe())
    with learning(console()) as tell:
        network = train_network(dataset, labels, seed, epochs, progress=lambda done, loss: tell("features learn", done))
    save_network(network, output)
    say(f"{output}  {network.describe()}")


def _coordinate(text: str) -> int:
    if not re.fullmatch(NUMBER, text):
        raise UserError(f"--sweep '{text}': the number of a coordinate, or nothing")
    return int(text)


def output_file(path: Path, *suffixes: str, data: str | None = None) -> Path:
    """Where a file can be written that has one of these endings; not among the images of `data`."""
    from evogan.files import check_folder, expand

    path = expand(path)
    if path.suffix not in suffixes or path.is_dir():
        raise UserError(f"output '{path}': a file, {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise UserError(f"output '{path}': no such folder")
    check_folder(path.parent)
    if data is not None:
        check_apart(path, data)
    return path


def check_apart(path: Path, data: str) -> None:
    """Errors: UserError if images that are written there would be found among those of `data` the next time."""
    from evogan.files import expand

    folder = expand(data)
    if folder.is_dir() and path.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"output '{path}' lies in the folder of --data '{data}', and would be of its images: name another"
        )
