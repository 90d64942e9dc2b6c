"""The command line: thin. Every command is a call of `evogan.api` or a table."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from evogan.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from evogan.api import Run

app = typer.Typer(
    help="Evolve GANs that work.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # half the time of `--help`
)
features_app = typer.Typer(help="Feature networks that FID is computed on.", no_args_is_help=True)
app.add_typer(features_app, name="features")

Runs = Annotated[Path, typer.Option(help="Folder of the store and of reports.", envvar="EVOGAN_RUNS")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Workers = Annotated[int | None, typer.Option(help="Parallel workers (Ray); default: all cores. 1 needs no Ray.")]
Data = Annotated[str, typer.Option(help="Data set: a built-in name, an image folder or an .npz.")]
ImageSize = Annotated[int | None, typer.Option(help="Resize images to this side, in pixels.")]
Classes = Annotated[str | None, typer.Option(help="Only these classes, as in '5' or '3,5'.")]
DataDir = Annotated[str | None, typer.Option(help="Where data sets lie; default EVOGAN_DATA or ./data.")]
Download = Annotated[bool, typer.Option("--download", help="Download the data set if it is missing.")]
Kimg = Annotated[float, typer.Option(help="Training budget: thousands of real images shown to the critic.")]
Features = Annotated[str | None, typer.Option(help="Feature network; default: the one that suits the data.")]
Samples = Annotated[int, typer.Option(help="Generated images per score.")]
Precision = Annotated[str, typer.Option(help="fp32, or bf16 (autocast).")]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]


def console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def say(text: Any) -> None:
    """Print a table or a line to stdout."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 140
    Console(width=width, highlight=False, soft_wrap=isinstance(text, str)).print(text)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))


def _classes(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--classes '{text}': numbers with commas between, as in 3,5") from None


def _pairs(what: str, texts: list[str]) -> dict[str, Any]:
    """`name=value` pairs; values read as TOML where that is possible, else as text."""
    import tomllib

    pairs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"{what} '{text}': write name=value")
        try:
            pairs[name] = tomllib.loads(f"x = {value}")["x"]
        except tomllib.TOMLDecodeError:
            pairs[name] = value
    return pairs


@app.command()
def search(
    named_space: Annotated[
        str | None, typer.Argument(metavar="SPACE", help="A shipped space (`evogan spaces`) or a TOML file.")
    ] = None,
    space: Annotated[str | None, typer.Option(help="The same, by name.")] = None,
    data: Data = "digits",
    strategy: Annotated[str, typer.Option(help="See `evogan strategies`; auto takes the best known.")] = "auto",
    option: Annotated[list[str] | None, typer.Option(help="Option of the strategy, name=value.")] = None,
    evaluations: Annotated[int, typer.Option(help="Budget, in full trainings.")] = 100,
    fitness: Annotated[str, typer.Option(help="Metric to minimise; several with commas between.")] = "fid",
    score: Annotated[str, typer.Option(help="Judge the best checkpoint or the last.")] = "best",
    seed: int = 0,
    window: Annotated[int, typer.Option(help="Results an ask may be ahead of; part of the outcome.")] = 8,
    replicates: Annotated[int, typer.Option(help="Trainings of each genome, whose average counts.")] = 1,
    average: Annotated[str, typer.Option(help="Of replicates: mean or median.")] = "mean",
    race: Annotated[
        bool, typer.Option("--race", help="Replicates only for genomes that compete for the lead.")
    ] = False,
    seed_genomes: Annotated[
        list[str] | None, typer.Option(help="Begin with: published, a genome's name or file, an earlier run.")
    ] = None,
    finalists: Annotated[int, typer.Option(help="Best genomes that are checked.")] = 3,
    confirm: Annotated[int, typer.Option(help="Fresh trainings of each finalist and reference.")] = 3,
    name: Annotated[str | None, typer.Option(help="Name of the run; an existing one goes on.")] = None,
    kimg: Kimg = 20.0,
    image_size: ImageSize = None,
    classes: Classes = None,
    data_dir: DataDir = None,
    download: Download = False,
    features: Features = None,
    samples: Samples = 5000,
    precision: Precision = "fp32",
    device: Device = "cpu",
    workers: Workers = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Evolve a GAN: search a space on a data set, check the winners, write the report."""
    from evogan import api
    from evogan.engine import Judge
    from evogan.genes import GENES
    from evogan.progress import SearchProgress
    from evogan.seeds import read_seeds
    from evogan.space import load_space

    if (named_space is None) == (space is None):
        raise UserError("name one space to search (`evogan spaces` lists them)")
    space = named_space or space or ""
    for seed_genome in read_seeds(seed_genomes or (), load_space(space, GENES), runs):
        for move in seed_genome.moves:
            console().print(f"seed {seed_genome.name}: {move.gene} {move.old} -> {move.new}", highlight=False)
    judge = Judge.of(fitness, score, average)  # type: ignore[arg-type]
    with SearchProgress(judge, evaluations, (finalists + 1) * confirm, console()) as progress:
        run = api.search(
            space,
            data,
            strategy=strategy,
            options=_pairs("option", option or []),
            evaluations=evaluations,
            fitness=fitness,
            score=score,  # type: ignore[arg-type]
            seed=seed,
            window=window,
            replicates=replicates,
            average=average,  # type: ignore[arg-type]
            race=race,
            seed_genomes=seed_genomes or (),
            finalists=finalists,
            confirm=confirm,
            name=name,
            runs=runs,
            workers=workers,
            listener=progress,
            kimg=kimg,
            image_size=image_size,
            classes=_classes(classes),
            data_dir=data_dir,
            download=download,
            features=features,
            samples=samples,
            precision=precision,
            device=device,
        )
    _tell(run, as_json)


@app.command()
def resume(
    name: str,
    evaluations: Annotated[int | None, typer.Option(help="Go on to this many.")] = None,
    workers: Workers = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Go on with a run exactly where it stopped."""
    from evogan import api
    from evogan.progress import SearchProgress

    run = api.open_run(name, runs)
    total = evaluations or run.document["evaluations"]
    checks = (run.document["finalists"] + len(run.document["reference"])) * run.document["confirm"]
    with SearchProgress(run.judge, total, checks, console()) as progress:
        run = api.resume(name, runs=runs, evaluations=evaluations, workers=workers, listener=progress)
    _tell(run, as_json)


def _tell(run: Run, as_json: bool) -> None:
    from evogan.report import tables

    page = run.report()
    if as_json:
        print_json(tables.as_document(run) | {"report": str(page)})
        return
    say(tables.verdict(run))
    say(f"report  {page}")
    for image in sorted(page.parent.glob("*.png")):
        say(f"grid    {image}")


@app.command(name="runs")
def list_runs(runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """List the runs in the store."""
    from evogan import api
    from evogan.engine import Store
    from evogan.report import tables

    store = Store.existing(runs)
    found = [api.Run(store, name) for name in store.runs()]
    if as_json:
        print_json([tables.as_document(run) for run in found])
    else:
        say(tables.runs(found))


@app.command()
def show(name: str, runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """Show a run: its best genomes, how they held on fresh replicates, and why others failed."""
    from evogan import api
    from evogan.report import tables

    run = api.open_run(name, runs)
    if as_json:
        print_json(tables.as_document(run))
        return
    say(tables.verdict(run))
    say(tables.best_genomes(run))
    troubles = tables.troubles(run)
    if troubles.row_count:
        say(troubles)


@app.command()
def report(name: str, runs: Runs = Path("runs")) -> None:
    """Write the HTML report of a run."""
    from evogan import api

    say(str(api.open_run(name, runs).report()))


@app.command()
def train(
    genome: Annotated[str, typer.Argument(help="A published genome (`evogan zoo`) or a TOML file.")],
    data: Data = "digits",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a gene, name=value.")] = None,
    replicate: int = 0,
    kimg: Kimg = 20.0,
    image_size: ImageSize = None,
    classes: Classes = None,
    data_dir: DataDir = None,
    download: Download = False,
    features: Features = None,
    samples: Samples = 5000,
    precision: Precision = "fp32",
    device: Device = "cpu",
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Train one genome and score it; trained before, it is looked up."""
    from evogan import api, shipped
    from evogan.report import facts, tables

    with console().status(f"training {genome} on {data} for {kimg:g} kimg"):
        evaluation, folder = api.train(
            dict(shipped.read_genome(genome).genome) | _pairs("gene", set_ or []),
            data,
            replicate=replicate,
            runs=runs,
            kimg=kimg,
            image_size=image_size,
            classes=_classes(classes),
            data_dir=data_dir,
            download=download,
            features=features,
            samples=samples,
            precision=precision,
            device=device,
        )
    if as_json:
        print_json(tables.evaluation_document(evaluation) | {"files": str(folder)})
        return
    say(tables.scores(evaluation))
    for sentence in facts.why(evaluation):
        say(sentence)
    if not evaluation.failed:
        say(f"generator  {folder / 'generator.safetensors'}")
        say(f"grid       {folder / 'samples.png'}")


@app.command()
def sample(
    generator: Annotated[Path, typer.Argument(help="A generator.safetensors.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many images.")] = 64,
    seed: int = 0,
    output: Annotated[Path, typer.Option("-o", help=".png for a grid, .npz for uint8 images.")] = Path("samples.png"),
) -> None:
    """Draw images from a trained generator."""
    from evogan import api

    if output.suffix not in (".png", ".npz"):
        raise UserError(f"output '{output}': .png for a grid, .npz for images")
    if not output.parent.is_dir():
        raise UserError(f"output '{output}': no such folder")
    images = api.load(generator).sample(n, seed)
    if output.suffix == ".png":
        from evogan.evaluation import grid_png

        output.write_bytes(grid_png(images))
    else:
        import numpy as np

        np.savez_compressed(output, images=((images + 1) * 127.5).round().byte().numpy())
    say(str(output))


@app.command()
def evaluate(
    generator: Annotated[Path, typer.Argument(help="A generator.safetensors.")],
    data: Data = "digits",
    image_size: ImageSize = None,
    classes: Classes = None,
    data_dir: DataDir = None,
    download: Download = False,
    features: Features = None,
    samples: Samples = 5000,
    seed: Annotated[int, typer.Option(help="Seed of the latent noise.")] = 0,
    as_json: Json = False,
) -> None:
    """Score a trained generator on a data set."""
    from evogan import api

    found = api.evaluate(
        generator,
        data,
        seed=seed,
        image_size=image_size,
        classes=_classes(classes),
        data_dir=data_dir,
        download=download,
        features=features,
        samples=samples,
    )
    if as_json:
        print_json(found)
    else:
        for name, value in found.items():
            say(f"{name}  {value:.6g}")


@app.command()
def zoo(as_json: Json = False) -> None:
    """List the published GANs, with the parameters that they have for images of 32x32x3."""
    from evogan import shipped
    from evogan.report import tables
    from evogan.zoo import count_parameters

    genomes = [shipped.read_genome(name) for name in shipped.names("genomes")]
    rows = [tables.zoo_row(file, count_parameters(file.genome, 32, 3)) for file in genomes]
    if as_json:
        print_json([row | {"genome": dict(file.genome)} for row, file in zip(rows, genomes, strict=True)])
    else:
        say(tables.zoo(rows))


@app.command()
def spaces(as_json: Json = False) -> None:
    """List the shipped search spaces."""
    from evogan import shipped
    from evogan.genes import GENES
    from evogan.report import tables
    from evogan.space import load_space

    found = [load_space(name, GENES) for name in shipped.names("search_spaces")]
    if as_json:
        print_json([space.document() for space in found])
    else:
        say(tables.spaces(found))


@app.command()
def genes(
    as_json: Json = False, markdown: Annotated[bool, typer.Option("--markdown", help="As docs/genes.md.")] = False
) -> None:
    """List every gene the zoo understands."""
    from evogan.genes import GENES
    from evogan.report import tables

    if as_json:
        print_json(tables.genes_document(GENES))
    elif markdown:
        typer.echo(tables.genes_page(GENES), nl=False)
    else:
        say(tables.genes(GENES))


@app.command()
def strategies(as_json: Json = False) -> None:
    """List the search strategies and their options."""
    from evogan.report import tables
    from evogan.strategies import STRATEGIES, strategy_options

    if as_json:
        print_json({name: strategy_options(name) for name in STRATEGIES})
    else:
        say(tables.strategies())


@features_app.command(name="list")
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


@features_app.command(name="train")
def train_features(
    data: Annotated[str, typer.Argument(help="A labelled data set.")],
    output: Annotated[Path, typer.Option("-o", help="The .safetensors to write.")] = Path("features.safetensors"),
    epochs: Annotated[int, typer.Option(min=1)] = 15,
    seed: int = 0,
    image_size: ImageSize = None,
    data_dir: DataDir = None,
    download: Download = False,
) -> None:
    """Train a feature network for a data set of yours."""
    from evogan.data import DataSpec, load_dataset
    from evogan.fitness import save_network
    from evogan.fitness import train_features as train_network

    if not output.parent.is_dir():
        raise UserError(f"output '{output}': no such folder")
    dataset = load_dataset(DataSpec(data, image_size, None, data_dir, download))

    def progress(epoch: int, epochs: int, loss: float) -> None:
        say(f"epoch {epoch}/{epochs}  loss {loss:.4f}")

    network = train_network(dataset, epochs=epochs, seed=seed, progress=progress)
    save_network(network, output)
    say(f"{output}  held-out accuracy {network.record.accuracy:.2%}, FID floor {network.record.floor:.3g}")


def main() -> None:
    """Run a command. A mistake of the user's, or a fault of the disk, is one line and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        _stop(str(error), 2)
    except OSError as error:
        _stop(f"{error.strerror or error}: {error.filename}" if error.filename else str(error), 2)
    except _UsageError as error:
        _stop(error.format_message(), 2)  # type: ignore[attr-defined]
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    if code == 130:
        _stop("stopped; the same command, or `evogan resume`, goes on", 130)
    raise SystemExit(code)


def _stop(line: str, code: int) -> NoReturn:
    print(f"evogan: {' '.join(line.split())}", file=sys.stderr)
    raise SystemExit(code)


# typer brings its own click and names only its descendants
_UsageError: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
