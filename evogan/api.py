"""Where the two wings are joined: search, resume, train, evaluate, load."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal

from evogan import shipped
from evogan.engine import Broker, Listener, LocalExecutor, Resources, Store
from evogan.engine.history import RunHistory
from evogan.errors import NothingCompleted, UserError, unknown
from evogan.families import FAMILIES, family_of
from evogan.files import expand, file_name, read_small
from evogan.genes import GENES
from evogan.genome import Value, plain
from evogan.options import LARGEST_SEED, bounds, expect, read_option
from evogan.report import facts
from evogan.runs.launch import Outside, check_name, launch
from evogan.runs.objective import Objective, check_objective, takes_fidelity
from evogan.runs.place import IN_MEMORY, Place
from evogan.runs.seeds import read_seeds
from evogan.settings import GANSettings, SearchSettings
from evogan.space import Space, load_space
from evogan.strategies import AUTO, STRATEGIES, choose, strategy_options
from evogan.trial import Evaluation, Trial

if TYPE_CHECKING:
    from evogan.data import Dataset
    from evogan.evaluation.checkpoint import Generator

TEXT = str | None
LAST_REPLICATE = 1_000_000


class Run(RunHistory):
    """A search and what it found: `best`, `history`, `confirmations`, `to_dataframe()`, `report()`."""

    def report(self, folder: str | Path | None = None) -> Path:
        """Write the HTML report and sample grids, beside the store or into `folder`; the path of the page."""
        from evogan.report import write_report

        if folder is None and self.store.in_memory:
            raise UserError(f"run '{self.name}' is kept in memory: name a folder for its report")
        check_name(self.name)  # a store may be from anywhere
        return write_report(self, self.store.folder / self.name if folder is None else expand(folder))

    @property
    def traceback(self) -> str:
        """Of the first evaluation that crashed: how it came to that."""
        path = facts.traceback_file(self)
        return "" if path is None else read_small(path).decode(errors="replace")

    def load_best(self) -> Generator:
        """The generator of the best genome's best training, at the checkpoint where the fitness is taken."""
        training = None if self.best is None else self.best_training(self.best.row.key)
        if training is None:
            raise UserError(f"run '{self.name}' has no genome that completed: {facts.verdict(self)}")
        if self.document.get("table"):
            raise UserError(f"run '{self.name}' is a replay of table '{self.document['table']}': nothing was trained")
        if not training.evaluation.keeps(self.judge.choice):
            warnings.warn(
                f"run '{self.name}' is of a version that kept the weights with the best FID, whatever judged",
                stacklevel=2,
            )
        return load(self.store.files(training.identity, training.evaluation) / "generator.safetensors")


def search(
    space: str | Path | Space = "wdcgan_wide",
    data: str | Path = "digits",
    *,
    objective: Objective | None = None,
    task: str | None = None,
    strategy: str = AUTO,
    options: Mapping[str, Any] | None = None,
    evaluations: int = 100,
    total_seconds: float | None = None,
    fitness: str | None = None,
    score: Literal["best", "last"] = "best",
    seed: int = 0,
    window: int = 8,
    order: Literal["number", "completion"] = "number",
    pruner: Literal["median", "halving"] | None = None,
    replicates: int = 1,
    average: Literal["mean", "median"] = "mean",
    race: bool = False,
    seed_genomes: str | Sequence[str | Mapping[str, Value]] = (),
    finalists: int = 3,
    confirm: int | None = None,
    name: str | None = None,
    runs: str | Path | None = None,
    store: str | None = None,
    workers: int | None = None,
    resources: Resources | None = None,
    listener: Listener | None = None,
    log_level: Literal["debug", "info", "warning"] = "info",
    tensorboard: bool = False,
    **gan: Any,
) -> Run:
    """Search `space` for the GAN that fits `data` best, or for the best value of your own `objective`.

    space: a shipped space, a TOML file, or a `Space`. objective: genome as a dict -> a number to minimise, or
    a mapping of metrics; with a parameter `fidelity` it can be asked for less than its full effort. strategy: one
    of `evogan strategies`; "auto" is the one that did best on recorded GANs. evaluations: the budget, in full
    trainings; total_seconds: ends the search earlier, when the trainings that it was told took so long, one after the
    other. fitness: the recorded metric to minimise (`fid`; an objective's `value`), or several with commas
    between, for strategies that take several. window: results an ask may be ahead of; the outcome depends on
    (seed, window), never on `workers` (default: all cores). order: "completion" tells results as they come, so that no
    worker waits for a slow trial and the outcome depends on who was fast. pruner: stops hopeless trials early by their
    learning curves, at the same price. replicates: trainings of each genome, whose `average`
    ("mean", "median") counts; as a `race`, only genomes that compete for the lead get more than one. seed_genomes:
    what to begin with: "published", names or files of genomes, names of earlier runs (their best five), genes.
    finalists: the best genomes are retrained with `confirm` fresh seeds (default 3; 0 for an objective), beside the
    space's published reference. runs: the folder of the store (default EVOGAN_RUNS or ./runs). store: URL of a
    PostgreSQL database in place of the folder's own (default EVOGAN_STORE). A run that exists under `name` goes on.
    resources: a cluster to join, GPUs, memory, limits of trials. log_level: of the run's log.jsonl; tensorboard: write
    files for it, too.
    An objective's runs are kept only where `runs` is named, and `task` says what is measured: results
    are remembered under that name, so give another one when the objective changes.
    Further keywords: those of `GANSettings` (kimg, image_size, classes, features, samples, device, ...).
    Errors: UserError for whatever does not exist or does not fit.
    """
    own = objective is not None
    if own:
        check_objective(objective)
    expect("space", space, (str, Path, Space), "a name, a file or a Space")
    expect("resources", resources, (Resources, NoneType), "Resources")
    data, task, name = (read_option(*one) for one in (("data", data, str), ("task", task, TEXT), ("name", name, TEXT)))
    table = None if own else GENES
    expect("seed_genomes", seed_genomes, (str, Sequence), "names or genes")
    resources = _with_workers(resources or Resources(), workers)
    if not isinstance(space, Space):
        space = load_space(space, table)
    elif space.table is not table:
        space = Space.from_document(space.document(), table)
    if own and gan:
        raise unknown("keyword", next(iter(gan)), ("those of search(): an objective trains no GAN",))
    if own and runs and not task:
        raise UserError("an objective whose results are kept needs a name: task='what is measured, version 1'")
    if own and store and not runs:
        raise UserError("store: an objective's results are kept only with a folder `runs` for files, too")
    place = IN_MEMORY if own and not runs else Place.of(runs, store)
    judged_on = None if own else GANSettings.of(data=data, **gan)
    settings, space = settle(
        space,
        judged_on,
        place,
        early=objective is None or takes_fidelity(objective),
        strategy=strategy,
        options=options,
        evaluations=evaluations,
        total_seconds=total_seconds,
        fitness=fitness or ("value" if own else "fid"),
        score=score,
        seed=seed,
        window=window,
        order=order,
        pruner=pruner,
        replicates=replicates,
        average=average,
        race=race,
        seed_genomes=seed_genomes,
        finalists=finalists,
        confirm=(0 if own else 3) if confirm is None else confirm,
        resources=resources,
    )
    if name is None:
        what = task or "objective" if own else expand(data).resolve().stem
        name = file_name(f"{what}-{space.name}-{settings.strategy}-s{settings.seed}")
    outside = Outside(listener, log_level, tensorboard)
    return _told_of(launch(place, name, settings, space, outside, objective=objective, task_name=task), name)


def settle(
    space: Space,
    gan: GANSettings | None,
    place: Place,
    *,
    strategy: str,
    options: Mapping[str, Any] | None,
    evaluations: int,
    fitness: str,
    seed_genomes: str | Sequence[str | Mapping[str, Value]],
    early: bool = True,
    **search: Any,
) -> tuple[SearchSettings, Space]:
    """What a search is asked to do, with all that follows from it: a fitting space, a strategy for "auto", seeds read.

    `search`: further keywords of `SearchSettings`. `early`: whether a training can be judged before its end.
    Errors: UserError for what does not exist or does not fit.
    """
    if gan:
        space = _fitting(space, gan.dataset)
    strategy, fitness = read_option("strategy", strategy, str), read_option("fitness", fitness, str)
    evaluations = read_option("evaluations", evaluations, int, **bounds(SearchSettings, "evaluations"))
    expect("options", options, (Mapping, NoneType), "a mapping of names to values")
    if strategy == AUTO:
        strategy, chosen = choose(evaluations=evaluations, objectives=fitness.count(",") + 1, early=early)
        options = chosen | dict(options or {})
    elif strategy not in STRATEGIES:
        raise unknown("strategy", strategy, (AUTO, *STRATEGIES))
    settings = SearchSettings(
        space=space.document(),
        strategy=strategy,
        options=_planned(strategy, evaluations) | {name: plain(value) for name, value in (options or {}).items()},
        evaluations=evaluations,
        fitness=fitness,
        seed_genomes=tuple(dict(seed.genome) for seed in read_seeds(seed_genomes, space, place)),
        gan=gan,
        **search,
    )
    return settings, space


def resume(
    name: str,
    *,
    runs: str | Path | None = None,
    store: str | None = None,
    evaluations: int | None = None,
    workers: int | None = None,
    resources: Mapping[str, Any] | None = None,
    listener: Listener | None = None,
    log_level: Literal["debug", "info", "warning"] = "info",
    tensorboard: bool = False,
) -> Run:
    """Go on with a run exactly where it stopped, if wanted up to more `evaluations`, or with other `resources`: those
    parts of `Resources` that are to change.

    Errors: UserError if there is no such run, if it had an objective of the user's own, or if its data
    changed.
    """
    place = Place.of(runs, store)
    document = RunHistory(place.existing(), name).document
    if document.get("table"):
        raise UserError(f"run '{name}' is a replay of table '{document['table']}': evogan bench run goes on with it")
    if document["gan"] is None:
        raise UserError(f"run '{name}' has an objective of its own: call search() with it again")
    try:
        settings = SearchSettings.of(document)
    except (UserError, TypeError) as error:
        raise UserError(f"run '{name}' was started with what cannot be: {error}") from None
    if evaluations is not None:
        settings = replace(settings, evaluations=evaluations)
    for part in resources or {}:
        if part not in vars(settings.resources):
            raise unknown("resource", part, vars(settings.resources))
    settings = replace(settings, resources=_with_workers(replace(settings.resources, **(resources or {})), workers))
    space = Space.from_document(settings.space, GENES)
    return _told_of(launch(place, name, settings, space, Outside(listener, log_level, tensorboard)), name)


def open_run(name: str, runs: str | Path | None = None, store: str | None = None) -> Run:
    """A run as the store has it; nothing is trained."""
    return Run(Place.of(runs, store).existing(), name)


def train(
    genome: str | Path | Mapping[str, Value],
    data: str | Path = "digits",
    *,
    replicate: int = 0,
    runs: str | Path | None = None,
    store: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    **gan: Any,
) -> tuple[Evaluation, Path]:
    """Train one genome, or find it trained: its evaluation, and the folder of its generator and samples.

    genome: a published one's name, a TOML file, or genes. `say` gets a line about the data. Further keywords: those of
    `GANSettings`. Errors: UserError.
    """
    from evogan.families.build import check

    expect("genome", genome, (str, Path, Mapping), "a name, a file or genes")
    read = GENES.read(genome) if isinstance(genome, Mapping) else shipped.read_genome(genome).genome
    replicate = read_option("replicate", replicate, int, low=0, high=LAST_REPLICATE)
    settings = GANSettings.of(data=data, **gan)
    task, evaluate = settings.prepare()
    family_of(read).check_served(settings.dataset.kinds, settings.dataset.name)
    check(read, settings.dataset.fields)
    say(settings.dataset.describe())
    kept = Place.of(runs, store).open()
    trial = Trial(read, GENES.key(read), task, 1.0, replicate)
    try:
        evaluation = Broker(kept, LocalExecutor(evaluate), choice=trial.choice).result(trial)
    finally:
        kept.leases.close()
    return evaluation, kept.files(trial.identity, evaluation)


def evaluate(
    generator: str | Path,
    data: str | Path = "digits",
    *,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
    **gan: Any,
) -> dict[str, float]:
    """Score a trained generator: FID and KID against the images of a data set. `say` gets a line about these.

    Further keywords: those of `GANSettings`. Errors: UserError.
    """
    from evogan.fitness import Scorer

    settings = GANSettings.of(data=data, **gan)
    seed = read_option("seed", seed, int, low=0, high=LARGEST_SEED)
    found = load(generator)
    dataset = settings.dataset
    size, channels = found.facts["image_size"], found.facts["channels"]
    if (dataset.image_size, dataset.channels) != (size, channels):
        raise UserError(
            f"the generator makes {size}x{size} images with {channels} channels, '{dataset.name}' has "
            f"{dataset.image_size}x{dataset.image_size} with {dataset.channels}"
        )
    say(dataset.describe())
    scorer = Scorer(dataset, settings.load_features(dataset), settings.samples)
    return scorer.score(found.sample(settings.samples, seed).split(500))


def load(path: str | Path) -> Generator:
    """A trained generator from a .safetensors file, ready to `.sample(n)`. Errors: UserError."""
    from evogan.evaluation.checkpoint import Generator

    return Generator(expand(path))


def _told_of(store: Store, name: str) -> Run:
    """A run that has ended; a warning if nothing in it completed."""
    run = Run(store, name)
    if run.history and not run.ranking:
        more = " How it came to that: `run.traceback`." if run.traceback else ""
        warnings.warn(f"run '{name}': {facts.verdict(run)}{more}", NothingCompleted, stacklevel=3)
    return run


def _with_workers(resources: Resources, workers: int | None) -> Resources:
    return resources if workers is None else replace(resources, workers=workers)


def _fitting(space: Space, dataset: Dataset) -> Space:
    """Without what cannot make images of this size. Errors: UserError for a family that these data do not serve."""
    from evogan.families.build import check, impossible

    freed = [gene.values for gene in space.genes if gene.name == "family"]
    for name in freed[0] if freed else [family_of(space.fixed).name]:
        FAMILIES[str(name)].check_served(dataset.kinds, dataset.name)
    if not any(gene.name == "backbone" for gene in space.genes):
        check(space.fixed, dataset.fields)
    return space.without(impossible(dataset.fields), f"cannot make images of side {dataset.image_size}")


def _planned(strategy: str, evaluations: int) -> dict[str, Any]:
    """A strategy that plans over its budget is told it; an extended run keeps the plan that it began with."""
    return {"evaluations": max(evaluations, 4)} if "evaluations" in strategy_options(strategy) else {}
