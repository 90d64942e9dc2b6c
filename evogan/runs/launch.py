"""How a run is carried out: everything is checked, then the store opened, then searched, and the winners checked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from evogan.engine import (
    Broker,
    Evaluate,
    Event,
    Executor,
    Judge,
    Listener,
    LocalExecutor,
    Loop,
    Pruner,
    Store,
    carry_out,
)
from evogan.engine.executors.fused import EvaluateBundles, FusingEvaluate, FusingExecutor
from evogan.engine.history import RunHistory
from evogan.engine.live import Live
from evogan.errors import UserError, unknown
from evogan.families import FAMILIES, family_of
from evogan.files import STORE
from evogan.files.processes import cores
from evogan.genes import ADDED, GENES
from evogan.genome import Genome
from evogan.monitor import LEVELS, LiveWriter, Log, MLflow, StatusWriter, TensorBoard, all_of
from evogan.monitor.page import LivePage
from evogan.plugins import Plugged, Plugins
from evogan.runs.knowledge import AUTO
from evogan.runs.objective import ObjectiveEvaluator
from evogan.runs.place import Place
from evogan.runs.plan import Plan
from evogan.runs.signals import stopping_on_signals
from evogan.serving.page import check_page
from evogan.settings import FUSE, MAY_CHANGE, Resources, SearchSettings
from evogan.strategies import Strategy, make_strategy
from evogan.strategies.knowledge import Knowledge
from evogan.trial import MAXIMISED, GANTask, Task

PORTFOLIO = 8  # genomes that others' results suggest, at most half of the budget
LONGEST_NAME = 200  # of a run: folders are named by it


@dataclass(frozen=True)
class Outside:
    """How a run is seen from outside: a listener, the level of its log, TensorBoard files, MLflow, a live page."""

    listener: Listener | None = None
    log_level: str = "info"
    tensorboard: bool = False
    mlflow: str | None = None
    watch: bool = False

    def check(self) -> None:
        """Errors: UserError for a level that is none, or if what is wanted is not installed."""
        if self.log_level not in LEVELS:
            raise unknown("log level", self.log_level, LEVELS)
        if self.tensorboard:
            TensorBoard.check()
        if self.mlflow is not None:
            MLflow.check()
        if self.watch:
            check_page()


def launch(place: Place, name: str, plan: Plan, outside: Outside) -> Store:
    """Search, or go on with a search; the store, which has the run. A mistake leaves nothing behind."""
    outside.check()
    if outside.watch and place.folder is None:
        raise UserError("watch: a live page shows what is kept, so name a folder with runs")
    settings, space, problem = plan.settings, plan.space, plan.problem
    judge, strategy = check(name, plan)
    task, evaluate = problem.prepare(here=settings.resources.ray is None)
    if not isinstance(evaluate, ObjectiveEvaluator):
        evaluate.check_measured(judge.metrics)
    real_grid = b"" if isinstance(evaluate, ObjectiveEvaluator) else evaluate.real_grid()
    begins = not place.knows(name)
    references = problem.references(space) if begins else []  # one that goes on has its own, wherever files are by now
    facts: dict[str, Any] = {"task": task.key, "data": task.name, "contents": problem.contents}
    facts |= {"features": task.features if isinstance(task, GANTask) else "", "judged_by": problem.judged_by}
    if plan.plugins and plan.plugins.names:
        facts["plugins"] = list(plan.plugins.names)
    sources = plan.sources(place) if begins else []
    with ExitStack() as stack:
        executor, learn = _make_executor(evaluate, settings, plan.plugins)
        stack.callback(executor.close)
        hear: Listener = outside.listener or (lambda event: None)
        store = place.open()
        store.database.on_wait = lambda reason: hear(Event("waiting", None, reason=reason))
        stack.callback(store.leases.close)
        if known := store.runs().get(name):  # whatever the published genomes and other results are by now
            knowledge = Knowledge.recorded(known["knowledge"]) if "knowledge" in known else Knowledge()
            references = [(ref, Genome(genes)) for ref, _, genes in known["reference"]]
        else:
            knowledge = Knowledge.of(sources, space, min(PORTFOLIO, settings.evaluations // 2))
        facts["reference"] = [[ref, space.key(genome), dict(genome)] for ref, genome in references]
        if knowledge:
            facts["knowledge"] = knowledge.document()
        _register(store, name, {**asdict(settings), **facts})
        if knowledge:
            strategy.learn(knowledge)
        if real_grid:
            store.keep_task_file(task.key, "real.png", real_grid)
        learn(store, task)
        stopping = stack.enter_context(stopping_on_signals())
        hear = _listeners(stack, store, name, settings, judge, len(references), outside)
        learned = str(knowledge) if settings.learn_from else ""

        def say(line: str) -> None:
            hear(Event("data", None, reason=line, metric=judge.metric))

        if outside.watch:
            stack.enter_context(LivePage(store.folder, place.url, name, say))
        for line in filter(None, (problem.contents, problem.judged_by, learned)):
            say(line)
        pruner = None if settings.pruner is None else Pruner(settings.pruner, judge)
        loop = Loop(
            name,
            space,
            strategy,
            task,
            judge,
            Broker(store, executor, hear, choice=judge.choice, pruner=pruner, stopping=stopping),
            seed=settings.seed,
            evaluations=settings.evaluations,
            total_seconds=settings.total_seconds,
            target=settings.target,
            patience=settings.patience,
            window=settings.window,
            order=settings.order,
            replicates=settings.replicates,
            race=settings.race,
            seeds=[Genome(genes) for genes in settings.seed_genomes],
            portfolio=knowledge.portfolio,
        )
        finalists = settings.finalists if settings.confirm else 0
        carry_out(loop, finalists, settings.confirm, [genome for _, genome in references], problem.twin)
    return store


def check(name: str, plan: Plan) -> tuple[Judge, Strategy]:
    """Whatever can be known before data are read and anything is written. Errors: UserError."""
    check_name(name)
    settings = plan.settings
    judge = Judge.of(settings.fitness, settings.score, settings.average)
    options, objectives = settings.options, len(judge.metrics)
    strategy = make_strategy(settings.strategy, plan.space, settings.seed, options, objectives=objectives)
    _check_fit(strategy, plan)
    _allotted(settings)
    if plan.problem.gan is not None:
        from evogan.fitness import (
            METRICS,
            OF_CAPTIONS,
            OF_CLASSES,
            OF_CLASSIFIERS,
            OF_CRITICS,
            OF_DOMAINS,
            OF_ENCODERS,
            OF_TRANSLATORS,
            RETIRED,
        )

        for metric in judge.metrics:
            if metric in RETIRED:
                raise UserError(f"fitness '{metric}' is measured no more: '{RETIRED[metric]}' takes its place")
            if metric not in METRICS:
                raise unknown("fitness", metric, METRICS)
            if metric in OF_CLASSES | OF_CAPTIONS | OF_CRITICS:
                _check_conditional(metric, plan)
            if metric in OF_ENCODERS:
                _check_encoder(metric, plan)
            if metric in OF_CLASSIFIERS:
                _check_family(metric, plan, "GANs with a classifier: those of {} have none")
            if metric == "task_error":
                _check_adapts(metric, plan)
            if metric in OF_DOMAINS:
                _check_family(metric, plan, "GANs that translate between domains: those of {} do not")
            if metric in OF_TRANSLATORS:
                _check_family(metric, plan, "GANs that make images from images: those of {} do not")
    elif found := MAXIMISED.intersection(judge.metrics):
        raise UserError(f"fitness '{min(found)}' is more where it is better, and an objective is minimised: rename it")
    return judge, strategy


def _judged(plan: Plan) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What the run may train, in words, and the genes that are known of it."""
    yield f"space '{plan.space.name}'", plan.space.fixed
    yield from ((f"reference '{name}'", genome) for name, genome in plan.problem.references(plan.space))


def _check_conditional(metric: str, plan: Plan) -> None:
    """Errors: UserError unless every GAN that the run may train is asked for classes."""
    from evogan.fitness import OF_CAPTIONS

    asked = "captions" if metric in OF_CAPTIONS else "classes"
    for what, genes in _judged(plan):
        if genes.get("condition", "none") == "none" and metric not in family_of(genes).measures:
            raise UserError(
                f"fitness '{metric}' judges GANs that are asked for {asked}: {what} must fix condition = \"labels\""
            )


def _check_adapts(metric: str, plan: Plan) -> None:
    """Errors: UserError unless every GAN that the run may train learns classes from translations."""
    for what, genes in _judged(plan):
        if genes.get("task") != "both":
            raise UserError(f"fitness '{metric}' judges what learns from translations: {what} must fix task = \"both\"")


def _check_family(metric: str, plan: Plan, why: str) -> None:
    """Errors: UserError unless every GAN that the run may train is judged by it, as its family says."""
    for what, genes in _judged(plan):
        freed = [gene.values for gene in plan.space.genes if gene.name == "family" and genes is plan.space.fixed]
        for name in freed[0] if freed else (family_of(genes).name,):
            if metric not in FAMILIES[str(name)].measures:
                raise UserError(f"fitness '{metric}' judges {why.format(what)}")


def _check_encoder(metric: str, plan: Plan) -> None:
    """Errors: UserError unless every GAN that the run may train has an encoder, and a category where one is judged."""
    from evogan.fitness.measures import OF_CATEGORIES

    searched = [{gene.name: value} for gene in plan.space.genes for value in gene.values or (gene.low, gene.high)]
    for what, genes in _judged(plan):
        for change in ({}, *(searched if genes is plan.space.fixed else ())):
            genome = {**genes, **change}
            code = family_of(genome).code(GENES.complete(genome))
            if not code:
                raise UserError(f"fitness '{metric}' judges GANs with an encoder: not every GAN of {what} has one")
            if metric in OF_CATEGORIES and "category" not in code:
                raise UserError(f"fitness '{metric}' judges codes with a category: not every GAN of {what} has one")


def check_same(store: Store, name: str, document: Mapping[str, Any]) -> None:
    """Errors: UserError naming what differs, if it is more than what may change of a run that goes on; and for a
    smaller budget than it has spent, since no comparison would be with equals."""
    known, run = store.run(name), RunHistory(store, name)
    judges, judge = known.get("features"), document.get("features")
    if judges and judges != judge and known.get("task") != document.get("task"):
        raise UserError(
            f"run '{name}' was judged by features '{judges}', not '{judge}', and their scores do not compare: choose "
            "another name, or give back the file of features that it was begun with"
        )
    if document.get("learn_from") == [AUTO]:  # nobody asked for anything else than the run has
        document = {**document, "learn_from": known.get("learn_from", [])}
    before = _what_counts(_as_json(known | asdict(run.settings)))  # what it lacks has its default
    now = _what_counts(_as_json(document))
    for part in [*now, *before]:
        if part == "gan.classes" and known.get("task") == document.get("task"):
            continue  # the same ones, called otherwise
        if before.get(part) != now.get(part):
            raise UserError(
                f"run '{name}' was started with another {part}: {before.get(part)}, not {now.get(part)}; "
                "choose another name"
            )
    _check_budget(run, document)


def _check_budget(run: RunHistory, document: Mapping[str, Any]) -> None:
    """A search ends with the step that spends the last of its budget: the one before lies within."""
    for budget, spent, of in (("evaluations", run.spent, ""), ("total_seconds", run.seconds, " of training")):
        limit, before = document[budget], getattr(run.settings, budget)
        if limit is not None and limit != before and len(spent) > 1 and spent[-2] >= limit - 1e-9:
            raise UserError(f"run '{run.name}' has spent {spent[-1]:.6g} {budget}{of} already: no budget of {limit:g}")


def check_name(name: str) -> None:
    """A run's folder lies beside the store's own files. Errors: UserError."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        raise UserError(f"run name '{name}': letters, digits, '.', '_' and '-' only")
    if len(name) > LONGEST_NAME:
        raise UserError(f"run name '{name[:40]}...' has {len(name)} characters, more than {LONGEST_NAME}")
    if name in ("evaluations", "tasks") or name.startswith(STORE):
        raise UserError(f"run name '{name}' is taken by the store itself")


def _check_fit(strategy: Strategy, plan: Plan) -> None:
    settings, problem, early = plan.settings, plan.problem, min(strategy.fidelities) < 1
    if early and not problem.early:
        raise UserError(
            f"strategy '{settings.strategy}' asks for fidelities below 1: give the objective a parameter 'fidelity'"
        )
    if strategy.schedules:
        if not problem.scheduled:
            raise UserError(
                f"strategy '{settings.strategy}' changes genes during a training: give the objective parameters "
                "'fidelity' and 'changes', pairs of a share of the budget and the genes that are others from there on"
            )
        if settings.replicates > 1:
            raise UserError(
                f"strategy '{settings.strategy}' goes on from the weights of single trainings: replicates = 1; winners "
                "are checked on fresh ones (confirm)"
            )
    if settings.pruner and problem.gan is None:
        raise UserError("an objective has no learning curve that a pruner could look at")
    if settings.pruner and early:
        raise UserError(f"strategy '{settings.strategy}' stops trials early by itself: no pruner beside it")


def _make_executor(
    evaluate: Evaluate, settings: SearchSettings, plugins: Plugins | None
) -> tuple[Executor, Callable[[Store, Task], None]]:
    """This process for one worker, without the seconds that Ray takes to start; else Ray, and what it learns from.

    A cluster that does not answer, or has not what a trial asks for, is told of at once.
    """
    resources = _allotted(settings)

    def fusing(executor: Executor) -> Executor:
        return executor if most == 1 else FusingExecutor(executor, alone, most)

    most, alone = int(resources.fuse), cast(FusingEvaluate, evaluate)
    if most > 1:
        evaluate = EvaluateBundles(alone)
    if resources.ray is None and resources.workers == 1 and not resources.watched:
        return fusing(LocalExecutor(evaluate)), lambda store, task: None
    _check_entered(settings, plugins)
    from evogan.engine.executors.on_ray import RayExecutor
    from evogan.engine.executors.sending import check_sendable

    if isinstance(evaluate, ObjectiveEvaluator):
        check_sendable(evaluate.objective)
    executor = RayExecutor(Plugged(plugins, evaluate) if plugins and plugins.names else evaluate, resources)
    if resources.ray is not None or resources.gpus_per_trial or resources.memory_per_trial is not None:
        executor.limits()
    return fusing(executor), lambda store, task: executor.learn(store.costs(task.key))


def _check_entered(settings: SearchSettings, plugins: Plugins | None) -> None:
    """Errors: UserError for a value of a gene that a script entered: workers enter what plugins do, and no more."""
    if settings.gan is None or (plugins and plugins.names):
        return
    fixed, genes = settings.space["fixed"], settings.space["genes"]
    for gene, values in ADDED.items():
        for value in values:
            if value == fixed.get(gene) or value in genes.get(gene, {}).get("values", ()):
                raise UserError(
                    f"{gene} '{value}' is known to this process alone, not to workers: name the module or .py file "
                    "that enters it (plugins), or workers=1"
                )


def _allotted(settings: SearchSettings) -> Resources:
    """What was asked for, with what follows from it: cores of this machine, threads, GPUs for what runs on them."""
    resources = settings.resources
    if resources.ray is None and resources.workers is None:
        resources = replace(resources, workers=cores())
    if resources.fuse == "auto":
        pays = settings.gan is not None and settings.gan.device != "cpu" and settings.pruner is None
        resources = replace(resources, fuse=FUSE if pays else 1)
    if settings.pruner is not None and resources.fuse != 1:
        raise UserError("fuse: trials that are trained together cannot be pruned one by one; fuse = 1, or no pruner")
    if settings.gan is None and resources.fuse != 1:
        raise UserError("fuse: only GANs are trained together, not an objective")
    if settings.gan is not None:
        resources = replace(resources, threads=settings.gan.threads)
        if settings.gan.device == "cuda" and not resources.gpus_per_trial:
            resources = replace(resources, gpus_per_trial="auto")
        if settings.gan.device == "cpu" and resources.gpus_per_trial:
            raise UserError("gpus_per_trial needs device cuda")
    return resources


def _listeners(
    stack: ExitStack,
    store: Store,
    name: str,
    settings: SearchSettings,
    judge: Judge,
    references: int,
    outside: Outside,
) -> Listener:
    """Whoever hears of the run's events; what is kept in memory leaves no files."""
    hear: list[Listener] = [outside.listener] if outside.listener else []
    if not store.in_memory:
        folder = store.folder / name
        checks = settings.checks(references)
        status = StatusWriter(folder / "status.json", name, judge, settings.evaluations, checks, settings.total_seconds)
        hear += [
            stack.enter_context(Log(folder / "log.jsonl", name, judge, outside.log_level)),
            stack.enter_context(LiveWriter(Live(store.database), name, judge.metric, status.status)),
            stack.enter_context(status),
        ]
        if outside.tensorboard:
            hear.append(stack.enter_context(TensorBoard(folder / "tensorboard", judge, store.files)))
        if outside.mlflow is not None:
            facts = {part: getattr(settings, part) for part in ("strategy", "seed", "evaluations", "fitness", "score")}
            facts |= {"space": settings.space["name"], **(asdict(settings.gan) if settings.gan else {})}
            said = {fact: value for fact, value in facts.items() if value is not None}
            hear.append(stack.enter_context(MLflow(outside.mlflow, name, judge, store.files, said)))
    return all_of(*hear)


def _register(store: Store, name: str, document: dict[str, Any]) -> None:
    """A new run, or the same one again, with another budget if so; UserError if something else differs."""
    document = _as_json(document)
    if name not in store.names():
        store.add_run(name, document)
        return
    known = store.run(name)
    check_same(store, name, document)
    changed = {part: document[part] for part in MAY_CHANGE}
    if changed != {part: known.get(part) for part in MAY_CHANGE}:
        store.extend_run(name, changed)


def _as_json(document: Mapping[str, Any]) -> dict[str, Any]:
    """As it is read back."""
    read: dict[str, Any] = json.loads(json.dumps(document))
    return read


def _what_counts(document: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """What makes a run another run, flat. Where data and features lie is none of it: the task knows them."""
    ignored = {
        *MAY_CHANGE,
        "contents",
        "features",
        "judged_by",
        "knowledge",
        "plugins",
        "space.description",
        "gan.data",
        "gan.data_dir",
        "gan.features",
        "gan.download",
        "gan.device",
    }
    flat: dict[str, Any] = {}
    for name, value in document.items():
        if f"{place}{name}" in ignored:
            continue
        if isinstance(value, dict) and value:
            flat |= _what_counts(value, f"{place}{name}.")
        else:
            flat[f"{place}{name}"] = value
    return flat
