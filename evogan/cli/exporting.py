"""What leaves evogan: a GAN as code or ONNX, with a card; a run as a table or as a study of Optuna."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from evogan.cli.common import Runs, StoreURL, Trained, say
from evogan.cli.options import takes
from evogan.errors import UserError, public_url
from evogan.files import write_whole
from evogan.settings.doors import EXTENSIONS
from evogan.settings.reading import read_pairs

TABLES = ("csv", "parquet", "json")
OfRun = Annotated[str, typer.Argument(metavar="RUN")]


@takes(EXTENSIONS)
def code(
    gan: Annotated[
        str, typer.Argument(metavar="GAN", help="A published genome, a TOML file, a .safetensors, or a run.")
    ],
    to: Annotated[Path | None, typer.Option(help="The .py to write; default: named after the GAN.")] = None,
    image_size: Annotated[int | None, typer.Option(help="For images of this side; default: as trained, or 32.")] = None,
    channels: Annotated[int | None, typer.Option(help="3 or, of grey ones, 1; default: as trained, or 3.")] = None,
    classes: Annotated[int | None, typer.Option(help="Of a conditional GAN; default: as trained, or 10.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a gene, name=value.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of a training by evogan; default: the GAN's own, or 0.")] = None,
    no_weights: Annotated[
        bool, typer.Option("--no-weights", help="Of a trained GAN write the code alone, no .pt beside it.")
    ] = False,
    runs: Runs = None,
    store: StoreURL = None,
    **asked: Any,
) -> None:
    """Write a GAN as one readable file of PyTorch that trains it without evogan; of a trained one its weights, too."""
    from evogan import api
    from evogan.cli.training import output_file

    found = api.export_code(
        gan,
        image_size=image_size,
        channels=channels,
        classes=classes,
        change=read_pairs("gene", set_ or []),
        seed=seed,
        weights=not no_weights,
        runs=runs,
        store=store,
        **asked,
    )
    to = output_file(to or Path(f"{found.name}.py"), ".py")
    beside = [] if found.weights is None else [to.with_suffix(".pt")]
    _check_new(to, *beside)
    write_whole(to, found.text.encode())
    say(f"{to}  {len(found.text.splitlines())} lines; python {to} --help")
    for file in beside:
        import torch

        torch.save(found.weights, file)
        say(f"{file}  trained weights; python {to} --weights {file}")


@takes(EXTENSIONS)
def onnx(
    generator: Trained,
    to: Annotated[Path | None, typer.Option(help="The .onnx to write; default: named after what is named.")] = None,
    runs: Runs = None,
    store: StoreURL = None,
    **asked: Any,
) -> None:
    """Write a trained generator as an ONNX file, checked with onnxruntime, and a card about it."""
    from evogan import api
    from evogan.cli.training import output_file

    to = output_file(to or Path(f"{Path(generator).stem}.onnx"), ".onnx")
    _check_new(to, to.with_suffix(".md"))
    inputs = api.export_onnx(generator, to, runs=runs, store=store, **asked)
    said = "  ".join(f"{name} ({', '.join(map(str, ('N', *shape)))})" for name, shape in inputs.items())
    say(f"{to}  {said} -> images")
    say(str(to.with_suffix(".md")))


@takes(EXTENSIONS)
def card(
    generator: Trained,
    to: Annotated[Path | None, typer.Option(help="The .md to write; default: named after what is named.")] = None,
    runs: Runs = None,
    store: StoreURL = None,
    **asked: Any,
) -> None:
    """Write a card about a trained generator: data, budget, FID and spread, floor, failures, how to make it again."""
    from evogan import api
    from evogan.cli.training import output_file

    to = output_file(to or Path(f"{Path(generator).stem}.md"), ".md")
    _check_new(to)
    write_whole(to, api.model_card(generator, to.stem, runs=runs, store=store, **asked).encode())
    say(str(to))


def _check_new(*files: Path) -> None:
    """Errors: UserError for one that is there."""
    for file in files:
        if file.exists():
            raise UserError(f"file '{file}' exists: name another one with --to")


def optuna(
    name: OfRun,
    to: Annotated[str, typer.Option(help="A database, as in sqlite:///study.db.")],
    artifacts: Annotated[
        Path | None, typer.Option(help="Folder for sample grids; optuna-dashboard takes it as --artifact-dir.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Keep the study up to date while the run goes on.")] = False,
    runs: Runs = None,
    store: StoreURL = None,
) -> None:
    """Write a run as an Optuna study, for its plots and dashboard."""
    from evogan.engine.history import RunHistory
    from evogan.files import expand
    from evogan.report.export import export_study
    from evogan.runs.place import Place

    kept, grids = Place.of(runs, store).existing(), artifacts and expand(artifacts)
    if follow:
        from evogan.watch.study import follow as keep_up

        n = keep_up(kept, name, to, grids)
    else:
        n = export_study(RunHistory(kept, name), to, grids)
    say(f"{public_url(to)}  study '{name}' with {n} trials")


def table(kind: str) -> Callable[..., None]:
    """The command that writes tables of this kind."""

    def write(
        name: OfRun,
        to: Annotated[Path, typer.Option(help="The file to write.")],
        runs: Runs = None,
        store: StoreURL = None,
    ) -> None:
        from evogan.engine.history import RunHistory
        from evogan.files import expand
        from evogan.report.export import export_table
        from evogan.runs.place import Place

        run = RunHistory(Place.of(runs, store).existing(), name)
        say(f"{to}  {export_table(run, kind, expand(to))} rows")

    write.__doc__ = f"Write a run as a table, a row a proposal: {kind}."
    return write
