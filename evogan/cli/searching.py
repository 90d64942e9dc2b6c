"""Search, go on with a search, look on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evogan.cli.common import (
    Classes,
    Data,
    DataDir,
    Device,
    Download,
    Features,
    ImageSize,
    Json,
    Kimg,
    Precision,
    Runs,
    Samples,
    StoreURL,
    console,
    output,
    pairs,
    print_json,
    say,
)
from evogan.errors import UserError, shortened

if TYPE_CHECKING:
    from evogan.api import Run

GB = 1e9
Workers = Annotated[int | None, typer.Option(help="Trials at once; default: all cores. 1 needs no Ray.")]
Ray = Annotated[str | None, typer.Option(help="Address of a Ray cluster to join; default: a local one.")]
GPUs = Annotated[str | None, typer.Option("--gpus-per-trial", help="Share of a GPU, as in 0.125, or auto (by memory).")]
Fuse = Annotated[
    str | None, typer.Option(help="Trials trained as one program, at most: auto (on GPUs only), off, or a number.")
]
Memory = Annotated[float | None, typer.Option("--memory-per-trial", help="GB; default: a worker's share.")]
TimeLimit = Annotated[float | None, typer.Option(help="Seconds that a trial may take.")]
StallLimit = Annotated[float | None, typer.Option(help="Seconds without a sign of life before a trial is ended.")]
Retries = Annotated[int | None, typer.Option(help="Of a trial whose worker was lost.")]
LogLevel = Annotated[str, typer.Option(help="Of the run's log.jsonl: debug, info or warning.")]
TensorBoard = Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard files, too.")]


def search(
    named_space: Annotated[
        str | None, typer.Argument(metavar="SPACE", help="A shipped space (`evogan spaces`) or a TOML file.")
    ] = None,
    space: Annotated[str | None, typer.Option(help="The same, by name.")] = None,
    data: Data = "digits",
    strategy: Annotated[str, typer.Option(help="See `evogan strategies`; auto takes the best known.")] = "auto",
    option: Annotated[list[str] | None, typer.Option(help="Option of the strategy, name=value.")] = None,
    evaluations: Annotated[int, typer.Option(help="Budget, in full trainings.")] = 100,
    total_seconds: Annotated[float | None, typer.Option(help="End earlier: when trainings took so long.")] = None,
    fitness: Annotated[str, typer.Option(help="Metric to minimise; several with commas between.")] = "fid",
    score: Annotated[str, typer.Option(help="Judge the best checkpoint or the last.")] = "best",
    seed: int = 0,
    window: Annotated[int, typer.Option(help="Results an ask may be ahead of; part of the outcome.")] = 8,
    order: Annotated[str, typer.Option(help="Tell results by number, or (not repeatable) by completion.")] = "number",
    pruner: Annotated[str | None, typer.Option(help="Stop hopeless trials early: median or halving.")] = None,
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
    ray: Ray = None,
    gpus_per_trial: GPUs = None,
    fuse: Fuse = None,
    memory_per_trial: Memory = None,
    time_limit: TimeLimit = None,
    stall_limit: StallLimit = None,
    retries: Retries = None,
    runs: Runs = Path("runs"),
    store: StoreURL = None,
    log_level: LogLevel = "info",
    tensorboard: TensorBoard = False,
    as_json: Json = False,
) -> None:
    """Evolve a GAN: search a space on a data set, check the winners, write the report."""
    from evogan import api
    from evogan.engine import Judge, Resources
    from evogan.genes import GENES
    from evogan.monitor import SearchProgress
    from evogan.runs.place import Place
    from evogan.runs.seeds import read_seeds
    from evogan.space import load_space

    if (named_space is None) == (space is None):
        raise UserError("name one space to search (`evogan spaces` lists them)")
    space = named_space or space or ""
    for seed_genome in read_seeds(seed_genomes or (), load_space(space, GENES), Place.of(runs, store)):
        for move in seed_genome.moves:
            console().print(
                f"seed {seed_genome.name}: {move.gene} {move.old} -> {move.new}", highlight=False, markup=False
            )
    given = _resources(ray, gpus_per_trial, fuse, memory_per_trial, time_limit, stall_limit, retries)
    resources = Resources(**given, workers=workers)
    if workers is not None and workers > window > 0:
        console().print(f"a window of {window} keeps at most {window} of {workers} workers busy", highlight=False)
    judge = Judge.of(fitness, score, average)  # type: ignore[arg-type]
    with SearchProgress(judge, evaluations, console()) as progress:
        run = api.search(
            space,
            data,
            strategy=strategy,
            options=pairs("option", option or []),
            evaluations=evaluations,
            total_seconds=total_seconds,
            fitness=fitness,
            score=score,  # type: ignore[arg-type]
            seed=seed,
            window=window,
            order=order,  # type: ignore[arg-type]
            pruner=pruner,  # type: ignore[arg-type]
            replicates=replicates,
            average=average,  # type: ignore[arg-type]
            race=race,
            seed_genomes=seed_genomes or (),
            finalists=finalists,
            confirm=confirm,
            name=name,
            runs=runs,
            store=store,
            resources=resources,
            listener=progress,
            log_level=log_level,  # type: ignore[arg-type]
            tensorboard=tensorboard,
            kimg=kimg,
            image_size=image_size,
            classes=classes,
            data_dir=data_dir,
            download=download,
            features=features,
            samples=samples,
            precision=precision,
            device=device,
        )
    _tell(run, as_json)


def resume(
    name: str,
    evaluations: Annotated[int | None, typer.Option(help="Go on to this many.")] = None,
    workers: Workers = None,
    ray: Ray = None,
    gpus_per_trial: GPUs = None,
    fuse: Fuse = None,
    memory_per_trial: Memory = None,
    time_limit: TimeLimit = None,
    stall_limit: StallLimit = None,
    retries: Retries = None,
    runs: Runs = Path("runs"),
    store: StoreURL = None,
    log_level: LogLevel = "info",
    tensorboard: TensorBoard = False,
    as_json: Json = False,
) -> None:
    """Go on with a run exactly where it stopped, with what it was given before unless said otherwise."""
    from evogan import api
    from evogan.monitor import SearchProgress

    resources = _resources(ray, gpus_per_trial, fuse, memory_per_trial, time_limit, stall_limit, retries)
    run = api.open_run(name, runs, store)
    total = evaluations or run.document["evaluations"]
    with SearchProgress(run.judge, total, console()) as progress:
        run = api.resume(
            name,
            runs=runs,
            store=store,
            evaluations=evaluations,
            workers=workers,
            resources=resources,
            listener=progress,
            log_level=log_level,  # type: ignore[arg-type]
            tensorboard=tensorboard,
        )
    _tell(run, as_json)


def status(
    name: str,
    watch: Annotated[bool, typer.Option("--watch", help="Go on looking until the run ends.")] = False,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Show what a run is doing now, from any terminal: what runs where, best so far, time left."""
    from rich.live import Live

    from evogan.monitor import read_status, status_table
    from evogan.runs.launch import check_name
    from evogan.runs.place import Place

    check_name(name)
    path = Place.of(runs, None).status(name)
    found = read_status(path)
    if found is None:
        raise UserError(f"run '{name}' has no status in '{path.parent}': it was not started there")
    if as_json:
        print_json(found.as_document())
        return
    if not watch:
        say(status_table(found))
        return
    with Live(status_table(found), console=output(), refresh_per_second=2) as live:
        while found is not None and not found.ended and found.alive is not False:
            time.sleep(1)
            found = read_status(path)
            if found is not None:
                live.update(status_table(found))


def _resources(
    ray: str | None,
    gpus_per_trial: str | None,
    fuse: str | None,
    memory_per_trial: float | None,
    time_limit: float | None,
    stall_limit: float | None,
    retries: int | None,
) -> dict[str, Any]:
    """Those that were given."""
    given: dict[str, Any] = {"ray": ray, "time_limit": time_limit, "stall_limit": stall_limit, "retries": retries}
    if memory_per_trial is not None:
        given["memory_per_trial"] = memory_per_trial * GB
    if gpus_per_trial is not None:
        given["gpus_per_trial"] = _gpus(gpus_per_trial)
    if fuse is not None:
        given["fuse"] = _fuse(fuse)
    return {name: value for name, value in given.items() if value is not None}


def _gpus(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        gpus = float(text)
    except ValueError:
        gpus = 0.0
    if not gpus > 0:
        raise UserError(f"--gpus-per-trial '{shortened(text)}': a share as 0.125, a whole number, or auto")
    return gpus


def _fuse(text: str) -> int | str:
    if text in ("auto", "off"):
        return text if text == "auto" else 1
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise UserError(f"--fuse '{shortened(text)}': auto, off, or a number of trials")
    return int(text)


def _tell(run: Run, as_json: bool) -> None:
    from evogan.report import facts, tables

    page = run.report()
    if as_json:
        print_json(tables.as_document(run) | {"report": str(page)})
        return
    say(tables.verdict(run))
    if not run.ranking and (traceback := facts.traceback_file(run)):
        say(f"the first traceback  {traceback}")
    say(f"report  {page}")
    for image in sorted(page.parent.glob("*.png")):
        say(f"grid    {image}")
