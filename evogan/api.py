"""Where the two wings are joined: search, resume, train, load."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from evogan import shipped
from evogan.engine import (
    Broker,
    Evaluate,
    Executor,
    Judge,
    Listener,
    LocalExecutor,
    Loop,
    Store,
    confirm,
)
from evogan.engine.history import RunHistory
from evogan.errors import UserError, unknown
from evogan.genes import GENES
from evogan.genome import Genome, Value
from evogan.space import Space, load_space
from evogan.strategies import make_strategy
from evogan.trial import Evaluation, GANTask, Task, Trial

if TYPE_CHECKING:
    from evogan.checkpoint import Generator
    from evogan.data import Dataset, DataSpec
    from evogan.evaluation import GANEvaluator
    from evogan.fitness import Features

Objective = Callable[[dict[str, Value]], float | Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class GANSettings:
    """How a genome is judged as a GAN: the data set, the budget and the protocol of scoring.

    `data`: a built-in data set, an image folder or an .npz. `kimg`: thousands of real images shown to the
    critic. `features`: feature network of the FID; None takes the one that suits the data.
    """

    data: str = "digits"
    image_size: int | None = None
    classes: tuple[int, ...] | None = None
    data_dir: str | None = None
    download: bool = False
    kimg: float = 20.0
    features: str | None = None
    samples: int = 5000
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int = 1
    device: str = "cpu"

    def data_spec(self) -> DataSpec:
        from evogan.data import DataSpec

        return DataSpec(self.data, self.image_size, self.classes, self.data_dir, self.download)

    def load_features(self, dataset: Dataset) -> Features:
        from evogan.fitness import SHIPPED, load_features

        if self.features or dataset.name in SHIPPED:
            return load_features(self.features or dataset.name)
        if dataset.channels == 3:
            return load_features("inception")
        raise UserError(
            f"no feature network is known for '{dataset.name}': --features takes {', '.join(SHIPPED)}, "
            "inception, or a file that `evogan features train` made"
        )

    def prepare(self) -> tuple[GANTask, GANEvaluator]:
        """Read the data; the task, and what evaluates trials of it. Errors: UserError."""
        from evogan.data import load_dataset
        from evogan.evaluation import GANEvaluator, check_device
        from evogan.fitness import Scorer

        for name, value in (("kimg", self.kimg), ("samples", self.samples), ("threads", self.threads)):
            if value <= 0:
                raise UserError(f"{name} must be above 0, not {value:g}")
        if self.precision not in ("fp32", "bf16"):
            raise unknown("precision", self.precision, ("fp32", "bf16"))
        check_device(self.device)
        dataset = load_dataset(self.data_spec())
        features = self.load_features(dataset)
        task = GANTask(
            name=dataset.name,
            fingerprint=dataset.fingerprint,
            image_size=dataset.image_size,
            channels=dataset.channels,
            kimg=float(self.kimg),
            features=features.id,
            samples=self.samples,
            precision=self.precision,
            threads=self.threads,
        )
        return task, GANEvaluator(dataset, Scorer(dataset, features, self.samples), self.device)


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How the search goes: see `search`. `gan` is None for a user's own objective."""

    space: Mapping[str, Any]
    strategy: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    window: int = 8
    fitness: str = "fid"
    score: Literal["best", "last"] = "best"
    evaluations: int = 100
    finalists: int = 3
    replicates: int = 3
    gan: GANSettings | None = None

    def check(self) -> None:
        limits = {"evaluations": 1, "window": 1, "finalists": 0, "replicates": 0}
        for name, least in limits.items():
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if self.score not in ("best", "last"):
            raise unknown("score", self.score, ("best", "last"))

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> SearchSettings:
        """Read back what a run recorded."""
        known = {name: document[name] for name in cls.__dataclass_fields__}
        if known["gan"] is not None:
            gan = dict(known["gan"])
            gan["classes"] = None if gan["classes"] is None else tuple(gan["classes"])
            known["gan"] = GANSettings(**gan)
        return cls(**known)


MAY_CHANGE = ("evaluations", "replicates")  # of a run that goes on


class Run(RunHistory):
    """A search and what it found: `best`, `history`, `confirmations`, `to_dataframe()`, `report()`."""

    def report(self) -> Path:
        """Write the HTML report and sample grids beside the store; the path of the HTML file."""
        from evogan.report import write_report

        return write_report(self, self.store.folder / self.name)

    def load_best(self) -> Generator:
        """The generator of the best training of the best genome, ready to sample."""
        training = None if self.best is None else self.best_training(self.best.row.key)
        if training is None:
            raise UserError(f"run '{self.name}' has no genome that completed")
        return load(self.store.files(training[0]) / "generator.safetensors")


def search(
    space: str | Space = "wdcgan_wide",
    data: str = "digits",
    *,
    objective: Objective | None = None,
    strategy: str = "ga",
    options: Mapping[str, Any] | None = None,
    evaluations: int = 100,
    fitness: str | None = None,
    score: Literal["best", "last"] = "best",
    seed: int = 0,
    window: int = 8,
    finalists: int = 3,
    replicates: int = 3,
    name: str | None = None,
    runs: str | Path | None = None,
    workers: int | None = None,
    listener: Listener | None = None,
    **gan: Any,
) -> Run:
    """Search `space` for the GAN that fits `data` best, or for the best value of your own `objective`.

    space: a shipped space, a TOML file, or a `Space`. objective: genome as a dict -> a number to minimise, or
    a mapping of metrics. evaluations: how many different genomes are judged. fitness: the recorded metric to
    minimise (`fid`; an objective's `value`). window: results an ask may be ahead of; the outcome depends on
    (seed, window), never on `workers` (default: all cores). finalists: the best genomes are retrained with
    `replicates` fresh seeds, beside the space's published reference. runs: the folder of the store (default
    ./runs; an objective's runs are kept only where one is named). A run that exists under `name` goes on.
    Further keywords: those of `GANSettings` (kimg, image_size, classes, features, samples, device, ...).
    Errors: UserError for whatever does not exist or does not fit.
    """
    table = None if objective else GENES
    if isinstance(space, str):
        space = load_space(space, table)
    elif space.table is not table:
        space = Space.from_document(space.document(), table)
    settings = SearchSettings(
        space=space.document(),
        strategy=strategy,
        options=dict(options or {}),
        seed=seed,
        window=window,
        fitness=fitness or ("value" if objective else "fid"),
        score=score,
        evaluations=evaluations,
        finalists=finalists,
        replicates=replicates,
        gan=None if objective else gan_settings(data=data, **gan),
    )
    if objective and gan:
        raise unknown("keyword", next(iter(gan)), ("those of search(): an objective trains no GAN",))
    folder = Path(runs or "runs") if runs or not objective else None
    what = Path(data).stem if settings.gan else "objective"
    name = name or f"{what}-{space.name}-{strategy}-s{seed}"
    return _go(folder, name, settings, space, objective, workers, listener)


def resume(
    name: str,
    *,
    runs: str | Path = "runs",
    evaluations: int | None = None,
    workers: int | None = None,
    listener: Listener | None = None,
) -> Run:
    """Go on with a run exactly where it stopped, if wanted up to more `evaluations`.

    Errors: UserError if there is no such run, if it had an objective of the user's own, or if its data changed.
    """
    document = Store.existing(Path(runs)).run(name)
    if document["gan"] is None:
        raise UserError(f"run '{name}' has an objective of its own: call search() with it again")
    settings = SearchSettings.of(document | ({"evaluations": evaluations} if evaluations else {}))
    space = Space.from_document(settings.space, GENES)
    return _go(Path(runs), name, settings, space, None, workers, listener)


def open_run(name: str, runs: str | Path = "runs") -> Run:
    """A run as the store has it; nothing is trained."""
    return Run(Store.existing(Path(runs)), name)


def gan_settings(**given: Any) -> GANSettings:
    """Errors: UserError for a keyword that does not exist."""
    for keyword in given:
        if keyword not in GANSettings.__dataclass_fields__:
            raise unknown("keyword", keyword, GANSettings.__dataclass_fields__)
    return GANSettings(**given)


def _go(
    folder: Path | None,
    name: str,
    settings: SearchSettings,
    space: Space,
    objective: Objective | None,
    workers: int | None,
    listener: Listener | None,
) -> Run:
    """Check everything, then open the store, then search: a mistake leaves nothing behind."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        raise UserError(f"run name '{name}': letters, digits, '.', '_' and '-' only")
    settings.check()
    workers = count_workers(workers)
    judge = Judge(settings.fitness, settings.score)
    strategy = make_strategy(settings.strategy, space, settings.seed, settings.options)
    references: list[tuple[str, Genome]] = []
    task: Task
    evaluate: Evaluate
    gan_evaluator = None
    if settings.gan is None:
        assert objective is not None
        task, evaluate = _objective_task(objective, space), _ObjectiveEvaluate(objective)
    else:
        from evogan.fitness import METRICS
        from evogan.zoo import check_size

        if settings.fitness not in METRICS:
            raise unknown("fitness", settings.fitness, METRICS)
        task, gan_evaluator = settings.gan.prepare()
        evaluate = gan_evaluator
        check_size(space.fixed, task.image_size)
        references = [(ref, shipped.read_genome(ref).genome) for ref in space.reference]
    facts = {
        "task": task.key,
        "data": task.name,
        "reference": [[ref, space.key(genome), dict(genome)] for ref, genome in references],
    }
    store = Store(folder)
    _register(store, name, {**asdict(settings), **facts})
    if gan_evaluator is not None:
        store.keep_task_file(task.key, "real.png", gan_evaluator.real_grid())
    executor = make_executor(evaluate, workers)
    try:
        broker = Broker(store, executor, listener or (lambda event: None))
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
        ).go()
        run = Run(store, name)
        finalists = [told.row.genome for told in run.ranking[: settings.finalists]]
        confirm(broker, space, task, finalists + [genome for _, genome in references], settings.replicates)
    finally:
        executor.close()
    return Run(store, name)


def _register(store: Store, name: str, document: dict[str, Any]) -> None:
    """A new run, or the same one again; UserError if a run of this name was started with something else."""
    document = json.loads(json.dumps(document))
    known = store.runs().get(name)
    if known is None:
        store.add_run(name, document)
        return
    for part, value in document.items():
        if part not in MAY_CHANGE and _facts(part, known[part]) != _facts(part, value):
            raise UserError(f"run '{name}' exists with another {part}: choose another --name, or resume it as it was")


def _facts(part: str, value: Any) -> Any:
    """Where data lies and what it is computed on does not make another run: the task tells the rest."""
    if part == "gan" and value is not None:
        return {k: v for k, v in value.items() if k not in ("data", "data_dir", "download", "device")}
    return value


def count_workers(workers: int | None) -> int:
    """All cores if not said otherwise."""
    if workers is not None and workers < 1:
        raise UserError(f"workers must be at least 1, not {workers}")
    return workers or len(os.sched_getaffinity(0))


def make_executor(evaluate: Evaluate, workers: int) -> Executor:
    """`workers` processes on Ray; one works in this process, without the seconds that Ray takes to start."""
    if workers == 1:
        return LocalExecutor(evaluate)
    from evogan.engine.ray_executor import RayExecutor

    return RayExecutor(evaluate, workers)


def _objective_task(objective: Objective, space: Space) -> Task:
    where = getattr(objective, "__module__", "")
    what = getattr(objective, "__qualname__", type(objective).__qualname__)
    return Task(name=f"{where}.{what} on {space.name}")


class _ObjectiveEvaluate:
    """A user's function as an evaluator: numbers that are not finite count as diverged."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective

    def __call__(self, trial: Trial) -> Evaluation:
        started = perf_counter()
        answer = self._objective(dict(trial.genome))
        metrics = dict(answer) if isinstance(answer, Mapping) else {"value": answer}
        scores = {name: float(value) for name, value in metrics.items()}
        cost = {"seconds": perf_counter() - started}
        bad = [name for name, value in scores.items() if not math.isfinite(value)]
        if bad:
            return Evaluation(status="diverged", reason=f"{bad[0]} is {scores[bad[0]]}", cost=cost)
        return Evaluation(status="completed", scores=(scores,), cost=cost)


def train(
    genome: str | Mapping[str, Value],
    data: str = "digits",
    *,
    replicate: int = 0,
    runs: str | Path = "runs",
    listener: Listener | None = None,
    **gan: Any,
) -> tuple[Evaluation, Path]:
    """Train one genome, or find it trained: its evaluation, and the folder of its generator and samples.

    genome: a published one's name, a TOML file, or genes. Further keywords: those of `GANSettings`.
    Errors: UserError.
    """
    from evogan.zoo import check_size

    read = shipped.read_genome(genome).genome if isinstance(genome, str) else GENES.read(genome)
    task, evaluate = gan_settings(data=data, **gan).prepare()
    check_size(read, task.image_size)
    store = Store(Path(runs))
    trial = Trial(read, GENES.key(read), task, 1.0, replicate)
    executor = LocalExecutor(evaluate)
    evaluation = Broker(store, executor, listener or (lambda event: None)).result(trial)
    return evaluation, store.files(trial.identity)


def load(path: str | Path) -> Generator:
    """A trained generator from a .safetensors file, ready to `.sample(n)`. Errors: UserError."""
    from evogan.checkpoint import Generator

    return Generator(path)


def evaluate(generator: str | Path, data: str = "digits", *, seed: int = 0, **gan: Any) -> dict[str, float]:
    """Score a trained generator: FID and KID against the images of a data set. Errors: UserError."""
    from evogan.data import load_dataset
    from evogan.fitness import Scorer

    settings = gan_settings(data=data, **gan)
    found = load(generator)
    dataset = load_dataset(settings.data_spec())
    size, channels = found.facts["image_size"], found.facts["channels"]
    if (dataset.image_size, dataset.channels) != (size, channels):
        raise UserError(
            f"the generator makes {size}x{size} images with {channels} channels, '{dataset.name}' has "
            f"{dataset.image_size}x{dataset.image_size} with {dataset.channels}"
        )
    return Scorer(dataset, settings.load_features(dataset), settings.samples).score(
        found.sample(settings.samples, seed).split(500)
    )
