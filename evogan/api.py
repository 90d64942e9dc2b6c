"""Where the two wings are joined: search, resume, train, evaluate, load."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evogan import shipped
from evogan.engine import Broker, Evaluate, Executor, Judge, Listener, LocalExecutor, Loop, Store, confirm
from evogan.engine.history import RunHistory
from evogan.errors import UserError, unknown
from evogan.genes import GENES
from evogan.genome import Genome, Value
from evogan.objective import Objective, ObjectiveEvaluator, takes_fidelity
from evogan.seeds import read_seeds
from evogan.settings import GANSettings, SearchSettings
from evogan.space import Space, load_space
from evogan.strategies import AUTO, choose, make_strategy, strategy_options
from evogan.trial import Evaluation, Task, Trial

if TYPE_CHECKING:
    from evogan.checkpoint import Generator

MAY_CHANGE = ("evaluations", "confirm")  # of a run that goes on


class Run(RunHistory):
    """A search and what it found: `best`, `history`, `confirmations`, `to_dataframe()`, `report()`."""

    def report(self, folder: str | Path | None = None) -> Path:
        """Write the HTML report and sample grids, beside the store or into `folder`; the path of the page."""
        from evogan.report import write_report

        if folder is None and self.store.in_memory:
            raise UserError(f"run '{self.name}' is kept in memory: name a folder for its report")
        return write_report(self, Path(folder or self.store.folder / self.name))

    def load_best(self) -> Generator:
        """The generator of the best training of the best genome, ready to sample."""
        training = None if self.best is None else self.best_training(self.best.row.key)
        if training is None:
            raise UserError(f"run '{self.name}' has no genome that completed")
        return load(self.store.files(training.identity) / "generator.safetensors")


def search(
    space: str | Space = "wdcgan_wide",
    data: str = "digits",
    *,
    objective: Objective | None = None,
    task: str | None = None,
    strategy: str = AUTO,
    options: Mapping[str, Any] | None = None,
    evaluations: int = 100,
    fitness: str | None = None,
    score: Literal["best", "last"] = "best",
    seed: int = 0,
    window: int = 8,
    replicates: int = 1,
    average: Literal["mean", "median"] = "mean",
    race: bool = False,
    seed_genomes: str | Sequence[str | Mapping[str, Value]] = (),
    finalists: int = 3,
    confirm: int | None = None,
    name: str | None = None,
    runs: str | Path | None = None,
    workers: int | None = None,
    listener: Listener | None = None,
    **gan: Any,
) -> Run:
    """Search `space` for the GAN that fits `data` best, or for the best value of your own `objective`.

    space: a shipped space, a TOML file, or a `Space`. objective: genome as a dict -> a number to minimise, or
    a mapping of metrics; with a parameter `fidelity` it can be asked for less than its full effort. strategy: one
    of `evogan strategies`; "auto" is the one that did best on recorded GANs. evaluations: the budget, in full
    trainings. fitness: the recorded metric to minimise (`fid`; an objective's `value`), or several with commas
    between, for strategies that take several. window: results an ask may be ahead of; the outcome depends on
    (seed, window), never on `workers` (default: all cores). replicates: trainings of each genome, whose `average`
    ("mean", "median") counts; as a `race`, only genomes that compete for the lead get more than one. seed_genomes:
    what to begin with: "published", names or files of genomes, names of earlier runs (their best five), genes.
    finalists: the best genomes are retrained with `confirm` fresh seeds (default 3; 0 for an objective), beside the
    space's published reference. runs: the folder of the store (default EVOGAN_RUNS or ./runs). A run that exists
    under `name` goes on.
    An objective's runs are kept only where `runs` is named, and `task` says what is measured: results
    are remembered under that name, so give another one when the objective changes.
    Further keywords: those of `GANSettings` (kimg, image_size, classes, features, samples, device, ...).
    Errors: UserError for whatever does not exist or does not fit.
    """
    table = None if objective else GENES
    if isinstance(space, str):
        space = load_space(space, table)
    elif space.table is not table:
        space = Space.from_document(space.document(), table)
    if objective and gan:
        raise unknown("keyword", next(iter(gan)), ("those of search(): an objective trains no GAN",))
    if objective and runs and not task:
        raise UserError("an objective whose results are kept needs a name: task='what is measured, version 1'")
    folder = None if objective and not runs else runs_folder(runs)
    judged_on = None if objective else GANSettings.of(data=data, **gan)
    if judged_on:
        space = _fitting(space, judged_on.dataset.image_size)
    fitness = fitness or ("value" if objective else "fid")
    if strategy == AUTO:
        early = objective is None or takes_fidelity(objective)
        strategy, chosen = choose(evaluations=evaluations, objectives=fitness.count(",") + 1, early=early)
        options = chosen | dict(options or {})
    settings = SearchSettings(
        space=space.document(),
        strategy=strategy,
        options=_planned(strategy, evaluations) | dict(options or {}),
        seed=seed,
        window=window,
        fitness=fitness,
        score=score,
        evaluations=evaluations,
        replicates=replicates,
        average=average,
        race=race,
        seed_genomes=tuple(dict(seed.genome) for seed in read_seeds(seed_genomes, space, folder)),
        finalists=finalists,
        confirm=(0 if objective else 3) if confirm is None else confirm,
        gan=judged_on,
    )
    if name is None:
        what = task or "objective" if objective else Path(data).resolve().stem
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{what}-{space.name}-{strategy}-s{seed}").lstrip(".-")
    return _go(folder, name, settings, space, objective, task, workers, listener)


def resume(
    name: str,
    *,
    runs: str | Path | None = None,
    evaluations: int | None = None,
    workers: int | None = None,
    listener: Listener | None = None,
) -> Run:
    """Go on with a run exactly where it stopped, if wanted up to more `evaluations`.

    Errors: UserError if there is no such run, if it had an objective of the user's own, or if its data
    changed.
    """
    folder = runs_folder(runs)
    document = Store.existing(folder).run(name)
    if document["gan"] is None:
        raise UserError(f"run '{name}' has an objective of its own: call search() with it again")
    settings = SearchSettings.of(document | ({} if evaluations is None else {"evaluations": evaluations}))
    space = Space.from_document(settings.space, GENES)
    return _go(folder, name, settings, space, None, None, workers, listener)


def open_run(name: str, runs: str | Path | None = None) -> Run:
    """A run as the store has it; nothing is trained."""
    return Run(Store.existing(runs_folder(runs)), name)


def train(
    genome: str | Mapping[str, Value],
    data: str = "digits",
    *,
    replicate: int = 0,
    runs: str | Path | None = None,
    **gan: Any,
) -> tuple[Evaluation, Path]:
    """Train one genome, or find it trained: its evaluation, and the folder of its generator and samples.

    genome: a published one's name, a TOML file, or genes. Further keywords: those of `GANSettings`.
    Errors: UserError.
    """
    from evogan.zoo import check_size

    read = shipped.read_genome(genome).genome if isinstance(genome, str) else GENES.read(genome)
    task, evaluate = GANSettings.of(data=data, **gan).prepare()
    check_size(read, task.image_size)
    store = Store(runs_folder(runs))
    trial = Trial(read, GENES.key(read), task, 1.0, replicate)
    evaluation = Broker(store, LocalExecutor(evaluate)).result(trial)
    return evaluation, store.files(trial.identity)


def evaluate(generator: str | Path, data: str = "digits", *, seed: int = 0, **gan: Any) -> dict[str, float]:
    """Score a trained generator: FID and KID against the images of a data set. Errors: UserError."""
    from evogan.fitness import Scorer

    settings = GANSettings.of(data=data, **gan)
    found = load(generator)
    dataset = settings.dataset
    size, channels = found.facts["image_size"], found.facts["channels"]
    if (dataset.image_size, dataset.channels) != (size, channels):
        raise UserError(
            f"the generator makes {size}x{size} images with {channels} channels, '{dataset.name}' has "
            f"{dataset.image_size}x{dataset.image_size} with {dataset.channels}"
        )
    scorer = Scorer(dataset, settings.load_features(dataset), settings.samples)
    return scorer.score(found.sample(settings.samples, seed).split(500))


def load(path: str | Path) -> Generator:
    """A trained generator from a .safetensors file, ready to `.sample(n)`. Errors: UserError."""
    from evogan.checkpoint import Generator

    return Generator(path)


def runs_folder(runs: str | Path | None) -> Path:
    """The folder named, or EVOGAN_RUNS, or ./runs."""
    return Path(runs or os.environ.get("EVOGAN_RUNS") or "runs")


def _go(
    folder: Path | None,
    name: str,
    settings: SearchSettings,
    space: Space,
    objective: Objective | None,
    task_name: str | None,
    workers: int | None,
    listener: Listener | None,
) -> Run:
    """Check everything, then open the store, then search: a mistake leaves nothing behind."""
    _check_name(name)
    workers = _count_workers(workers)
    judge = Judge.of(settings.fitness, settings.score, settings.average)
    objectives = len(judge.metrics)
    strategy = make_strategy(settings.strategy, space, settings.seed, settings.options, objectives=objectives)
    if objective is not None and min(strategy.fidelities) < 1 and not takes_fidelity(objective):
        raise UserError(
            f"strategy '{settings.strategy}' asks for fidelities below 1: give the objective a parameter 'fidelity'"
        )
    references: list[tuple[str, Genome]] = []
    real_grid = b""
    task: Task
    evaluate: Evaluate
    if objective is not None:
        task, evaluate = Task(name=f"{task_name or 'objective'} on {space.name}"), ObjectiveEvaluator(objective)
    else:
        assert settings.gan is not None
        task, evaluate, real_grid = _prepare_gans(settings.gan, judge)
        references = [(ref, shipped.read_genome(ref).genome) for ref in space.reference]
    facts = {
        "task": task.key,
        "data": task.name,
        "reference": [[ref, space.key(genome), dict(genome)] for ref, genome in references],
    }
    store = Store(folder)
    _register(store, name, {**asdict(settings), **facts})
    if real_grid:
        store.keep_task_file(task.key, "real.png", real_grid)
    executor = _make_executor(evaluate, workers)
    broker = Broker(store, executor, listener or (lambda event: None))
    try:
        Loop(
            name,
            space,
            strategy,
            task,
            judge,
            broker,
            seed=settings.seed,
            evaluations=settings.evaluations,
            window=settings.window,
            replicates=settings.replicates,
            race=settings.race,
            seeds=[Genome(genes) for genes in settings.seed_genomes],
        ).go()
        run = Run(store, name)
        finalists = run.leaders(settings.finalists if settings.confirm else 0, strategy.estimate)
        store.add_finalists(name, (told.row.key for told in finalists))
        genomes = [told.row.genome for told in finalists] + [genome for _, genome in references]
        confirm(broker, space, task, genomes, settings.confirm)
        for told in run.history:
            if told.row.fidelity < 1:
                for replicate in range(len(told.evaluations)):
                    store.drop_state(told.row.identity(replicate))
    finally:
        executor.close()
    return Run(store, name)


def _fitting(space: Space, image_size: int) -> Space:
    """Without what cannot make images of this size."""
    from evogan.zoo import check_size, impossible

    if not any(gene.name == "backbone" for gene in space.genes):
        check_size(space.fixed, image_size)
    return space.without(impossible(image_size), f"cannot make images of side {image_size}")


def _prepare_gans(gan: GANSettings, judge: Judge) -> tuple[Task, Evaluate, bytes]:
    from evogan.fitness import METRICS

    for metric in judge.metrics:
        if metric not in METRICS:
            raise unknown("fitness", metric, METRICS)
    task, evaluate = gan.prepare()
    return task, evaluate, evaluate.real_grid()


def _planned(strategy: str, evaluations: int) -> dict[str, Any]:
    """A strategy that plans over its budget is told it; an extended run keeps the plan that it began with."""
    return {"evaluations": max(evaluations, 4)} if "evaluations" in strategy_options(strategy) else {}


def _check_name(name: str) -> None:
    """A run's folder lies beside the store's own files."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        raise UserError(f"run name '{name}': letters, digits, '.', '_' and '-' only")
    if name in ("evaluations", "tasks") or name.startswith("evogan.db"):
        raise UserError(f"run name '{name}' is taken by the store itself")


def _register(store: Store, name: str, document: dict[str, Any]) -> None:
    """A new run, or the same one again, with another budget if so; UserError if something else differs."""
    document = json.loads(json.dumps(document))
    known = store.runs().get(name)
    if known is None:
        store.add_run(name, document)
        return
    before, now = _what_counts(known), _what_counts(document)
    for part in [*now, *before]:
        if before.get(part) != now.get(part):
            raise UserError(
                f"run '{name}' was started with another {part}: {before.get(part)}, not {now.get(part)}; "
                "choose another name"
            )
    budget = {part: document[part] for part in MAY_CHANGE}
    if budget != {part: known[part] for part in MAY_CHANGE}:
        store.extend_run(name, budget)


def _what_counts(document: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """What makes a run another run, flat. Where data lies is none of it: the task has its fingerprint."""
    ignored = {*MAY_CHANGE, "space.description", "gan.data", "gan.data_dir", "gan.download", "gan.device"}
    flat: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict) and value:
            flat |= _what_counts(value, f"{place}{name}.")
        elif f"{place}{name}" not in ignored:
            flat[f"{place}{name}"] = value
    return flat


def _count_workers(workers: int | None) -> int:
    """All cores that this process may use, if not said otherwise."""
    if workers is not None and workers < 1:
        raise UserError(f"workers must be at least 1, not {workers}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return workers or cores or 1


def _make_executor(evaluate: Evaluate, workers: int) -> Executor:
    """`workers` processes on Ray; one works in this process, without the seconds that Ray takes to start."""
    if workers == 1:
        return LocalExecutor(evaluate)
    from evogan.engine.ray_executor import RayExecutor

    return RayExecutor(evaluate, workers)
