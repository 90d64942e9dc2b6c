"""What there is: runs in the store, and the zoo, spaces, genes and strategies that come with evogan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evogan.cli.common import Json, Runs, StoreURL, print_json, say
from evogan.errors import UserError


def list_runs(runs: Runs = None, store: StoreURL = None, as_json: Json = False) -> None:
    """List the runs in the store; what is damaged is named after the others."""
    from evogan.report import tables
    from evogan.runs.place import Place
    from evogan.runs.run import Run

    kept = Place.of(runs, store).existing()
    found, documents, damaged = [], [], []
    for name in kept.names():
        try:
            run = Run(kept, name)
            documents.append(tables.as_document(run))
            found.append(run)
        except UserError as error:
            damaged.append(f"run '{name}': {error}")
    if as_json:
        print_json(documents)
    else:
        say(tables.runs(found))
    if damaged:
        raise UserError("; ".join(damaged))


def show(name: str, runs: Runs = None, store: StoreURL = None, as_json: Json = False) -> None:
    """Show a run: its best genomes, how they held on fresh replicates, and why others failed."""
    from evogan import api
    from evogan.report import tables

    run = api.open_run(name, runs, store)
    if as_json:
        print_json(tables.as_document(run))
        return
    say(tables.verdict(run))
    say(tables.best_genomes(run))
    troubles = tables.troubles(run)
    if troubles.row_count:
        say(troubles)


def report(
    name: str,
    out: Annotated[Path | None, typer.Option(help="Folder of the page; default: the run's, in --runs.")] = None,
    runs: Runs = None,
    store: StoreURL = None,
) -> None:
    """Write the HTML report of a run."""
    from evogan import api

    say(str(api.open_run(name, runs, store).report(out)))


CLASSES = 10


def zoo(as_json: Json = False) -> None:
    """List the published GANs, with the parameters that they have for images of 32x32x3, of 10 classes."""
    from evogan import shipped
    from evogan.families import image_fields
    from evogan.families.build import count_parameters
    from evogan.report import tables

    genomes = [shipped.read_genome(name) for name in shipped.names("genomes")]
    rows = [tables.zoo_row(file, count_parameters(file.genome, image_fields(32, 3, CLASSES))) for file in genomes]
    if as_json:
        print_json([row | {"genome": dict(file.genome)} for row, file in zip(rows, genomes, strict=True)])
    else:
        say(tables.zoo(rows))


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


def strategies(
    name: Annotated[str | None, typer.Argument(help="Of this one: paper, formulas, an example.")] = None,
    as_json: Json = False,
) -> None:
    """List the search strategies and their options, or explain one."""
    from evogan.report import tables
    from evogan.strategies import STRATEGIES, explained, strategy_options

    if name is not None:
        text = explained(name)
        if as_json:
            print_json({name: strategy_options(name)})
        else:
            typer.echo(text)
    elif as_json:
        print_json({name: strategy_options(name) for name in STRATEGIES})
    else:
        say(tables.strategies())
