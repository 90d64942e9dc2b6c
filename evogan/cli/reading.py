"""What there is: runs in the store, and the zoo, spaces, genes and strategies that come with evogan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evogan.cli.common import Json, Runs, StoreURL, print_json, say
from evogan.cli.options import takes
from evogan.errors import UserError
from evogan.settings.doors import EXTENSIONS
from evogan.settings.reading import read_pairs


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
    for further in (tables.classified, tables.sequences, tables.translations, tables.lineage, tables.troubles):
        if (table := further(run)).row_count:
            say(table)


def report(
    name: str,
    out: Annotated[Path | None, typer.Option(help="Folder of the page; default: the run's, in --runs.")] = None,
    runs: Runs = None,
    store: StoreURL = None,
) -> None:
    """Write the HTML report of a run."""
    from evogan import api

    say(str(api.open_run(name, runs, store).report(out)))


def zoo(as_json: Json = False) -> None:
    """List the published GANs, with the parameters that they have for images of 32x32x3, of 10 classes."""
    from evogan import shipped
    from evogan.api import CHANNELS, CLASSES, SIZE
    from evogan.families import image_fields
    from evogan.families.build import count_parameters
    from evogan.report import tables

    genomes = [shipped.read_genome(name) for name in shipped.names("genomes")]
    rows = [
        tables.zoo_row(file, count_parameters(file.genome, image_fields(SIZE, CHANNELS, CLASSES))) for file in genomes
    ]
    if as_json:
        print_json([row | {"genome": dict(file.genome)} for row, file in zip(rows, genomes, strict=True)])
    else:
        say(tables.zoo(rows))


@takes(EXTENSIONS)
def describe(
    genome: Annotated[str, typer.Argument(help="A published genome, a TOML file, a .safetensors, or a run: its best.")],
    image_size: Annotated[int | None, typer.Option(help="Of images of this side; default: 32.")] = None,
    channels: Annotated[int | None, typer.Option(help="3 or, of grey ones, 1; default: 3.")] = None,
    classes: Annotated[int | None, typer.Option(help="That they are of; default: 10.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a gene, name=value.")] = None,
    runs: Runs = None,
    store: StoreURL = None,
    as_json: Json = False,
    **asked: Any,
) -> None:
    """Show a GAN's networks: layers, shapes, parameters and FLOPs of one image."""
    from evogan import api
    from evogan.report import facts, tables

    change = read_pairs("gene", set_ or [])
    found, players = api.describe(
        genome,
        image_size=image_size,
        channels=channels,
        classes=classes,
        change=change,
        runs=runs,
        store=store,
        **asked,
    )
    if as_json:
        print_json({"genome": dict(found), "players": {p.name: tables.layers_document(p) for p in players}})
        return
    say(f"{genome}: {facts.about(found)}")
    for player in players:
        say(tables.layers(player))


def spaces(as_json: Json = False) -> None:
    """List the shipped search spaces."""
    from evogan import shipped
    from evogan.report import tables
    from evogan.space import load_space

    found = [load_space(name) for name in shipped.names("search_spaces")]
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
