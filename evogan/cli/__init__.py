"""The command line: thin. Every command is a call of `evogan.api` or a table."""

from __future__ import annotations

import signal
import sys
import warnings
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from evogan.cli import (
    bench,
    campaigns,
    comparing,
    critics,
    encoding,
    exporting,
    lab,
    reading,
    searching,
    stores,
    training,
    translating,
    watching,
)
from evogan.cli.options import Grouped
from evogan.cli.streams import finish, open_closed, spell_out
from evogan.errors import NothingCompleted, UserError, one_line
from evogan.version import __version__

app = typer.Typer(
    help="Evolve GANs that work.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # half the time of `--help`
)


def _say_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="The version.")
    ] = False,
) -> None: ...


app.command(cls=Grouped)(searching.search)
app.command(cls=Grouped)(searching.resume)
app.command()(searching.status)
app.command()(watching.watch)
app.command()(lab.lab)
app.command(name="runs")(reading.list_runs)
app.command()(reading.show)
app.command()(reading.report)
app.command()(comparing.compare)
app.command(cls=Grouped)(training.train)
app.command(cls=training.Sampling)(training.sample)
app.command(cls=Grouped)(critics.critic)
app.command(cls=Grouped)(encoding.encode)
app.command(cls=Grouped)(translating.translate)
app.command(cls=Grouped)(training.evaluate)
app.command(cls=Grouped)(reading.describe)
app.command()(reading.zoo)
app.command()(reading.spaces)
app.command()(reading.genes)
app.command()(reading.strategies)

export_app = typer.Typer(help="A GAN as code, as ONNX, with a card; a run for other programs.", no_args_is_help=True)
export_app.command(name="code")(exporting.code)
export_app.command(name="onnx")(exporting.onnx)
export_app.command(name="card")(exporting.card)
export_app.command(name="optuna")(exporting.optuna)
for kind in exporting.TABLES:
    export_app.command(name=kind)(exporting.table(kind))
app.add_typer(export_app, name="export")

features_app = typer.Typer(help="Feature networks that FID is computed on.", no_args_is_help=True)
features_app.command(name="list")(training.list_features)
features_app.command(name="train", cls=Grouped)(training.train_features)
app.add_typer(features_app, name="features")

campaign_app = typer.Typer(help="Many runs from one file.", no_args_is_help=True)
campaign_app.command(name="run")(campaigns.run)
campaign_app.command(name="status")(campaigns.status)
campaign_app.command(name="report")(campaigns.report)
app.add_typer(campaign_app, name="campaign")

bench_app = typer.Typer(help="Tables of recorded trainings, to compare strategies on.", no_args_is_help=True)
bench_app.command(name="list")(bench.list_tables)
bench_app.command(name="run", cls=Grouped)(bench.run)
bench_app.command(name="collect")(bench.collect)
app.add_typer(bench_app, name="bench")

store_app = typer.Typer(help="A store that travels, and is looked after.", no_args_is_help=True)
store_app.command(name="add")(stores.add)
store_app.command(name="prune")(stores.prune)
store_app.command(name="check")(stores.check)
app.add_typer(store_app, name="store")


def main() -> None:
    """Run a command. A mistake of the user's, or a fault of the disk, is one line and exit code 2."""
    warnings.simplefilter("ignore", NothingCompleted)  # the verdict says so
    open_closed()
    spell_out()
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # as in `evogan runs | head`
        finish(sys.stdout)
        code = 128 + signal.SIGPIPE
    except UserError as error:
        _stop(str(error), 2)
    except OSError as error:
        file = error.filename2 or error.filename
        _stop(f"{error.strerror or error}{f': {file}' if file else ''}", 2)
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message(), file=sys.stderr)  # type: ignore[attr-defined]
            raise SystemExit(2) from None
        _stop(error.format_message(), 2)  # type: ignore[attr-defined]
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    if code == 130:
        _stop("stopped; the same command goes on with a search or a campaign (`evogan resume` with a run, too)", 130)
    raise SystemExit(code)


def _stop(line: str, code: int) -> NoReturn:
    finish(sys.stdout)
    with suppress(OSError):
        print(f"evogan: {one_line(line)}", file=sys.stderr, flush=True)
    raise SystemExit(code)


# typer brings its own click and names only its descendants
_UsageError: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
