"""How a run is carried out: everything is checked, then the store opened, then searched, and the winners checked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
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
from evogan.engine.live import Live
from evogan.errors import UserError, unknown
from evogan.genome import Genome
from evogan.monitor import LEVELS, LiveWriter, Log, MLflow, StatusWriter, TensorBoard, all_of
from evogan.monitor.page import LivePage
from evogan.plugins import Plugged, Plugins
from evogan.runs.checks import allotted, as_json, check, check_entered, check_images, check_same, edited
from evogan.runs.gans import GANProblem
from evogan.runs.objective import ObjectiveEvaluator
from evogan.runs.place import Place
from evogan.runs.plan import Plan
from evogan.runs.signals import stopping_on_signals
from evogan.serving.page import check_page
from evogan.settings import MAY_CHANGE, SearchSettings
from evogan.strategies.knowledge import Knowledge
from evogan.trial import GANTask, Task

PORTFOLIO = 8  # genomes that others' results suggest, at most half of the budget


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
    begins = not place.knows(name)
    if not begins and isinstance(problem, GANProblem):
        check_images(place.existing(), name, problem)
    task, evaluate = problem.prepare(here=settings.resources.ray is None)
    if not isinstance(evaluate, ObjectiveEvaluator):
        evaluate.check_measured(judge.metrics)
    real_grid = b"" if isinstance(evaluate, ObjectiveEvaluator) else evaluate.real_grid()
    references = problem.references(space) if begins else []  # one that goes on has its own, wherever files are by now
    facts: dict[str, Any] = {"task": task.key, "data": task.name, "contents": problem.contents}
    facts |= {"features": task.features if isinstance(task, GANTask) else "", "judged_by": problem.judged_by}
    if plan.plugins and plan.plugins.names:
        facts |= {"plugins": list(plan.plugins.names), "plugin_digests": plan.plugins.digests}
    sources = plan.sources(place) if begins else []
    with ExitStack() as stack:
        executor, learn = _make_executor(evaluate, settings, plan.plugins, early=bool(sources) and not place.is_wrong)
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
        edits = list(edited(store, facts))
        _register(store, name, {**asdict(settings), **facts})
        if knowledge:
            strategy.learn(knowledge)
        if real_grid:
            store.keep_task_file(task.key, "real.png", real_grid)
        learn(store, task)
        stopping = stack.enter_context(stopping_on_signals())

        def say(line: str) -> None:
            hear(Event("data", None, reason=line, metric=judge.metric))

        hear = _listeners(stack, store, name, settings, judge, len(references), outside, say)
        learned = str(knowledge) if settings.learn_from else ""
        if outside.watch:
            stack.enter_context(LivePage(store.folder, place.url, name, say))
        for line in (*problem.lines, *filter(None, [learned]), *edits):
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


def _make_executor(
    evaluate: Evaluate, settings: SearchSettings, plugins: Plugins | None, early: bool
) -> tuple[Executor, Callable[[Store, Task], None]]:
    """This process for one worker, without the seconds that Ray takes to start; else Ray, and what it learns from.

    `early`: there are seconds of work ahead, in which workers may load what they need.
    A cluster that does not answer, or has not what a trial asks for, is told of at once.
    """
    resources = allotted(settings)

    def fusing(executor: Executor) -> Executor:
        return executor if most == 1 else FusingExecutor(executor, alone, most)

    most, alone = int(resources.fuse), cast(FusingEvaluate, evaluate)
    if most > 1:
        evaluate = EvaluateBundles(alone)
    if resources.in_process:
        return fusing(LocalExecutor(evaluate)), lambda store, task: None
    check_entered(settings)
    from evogan.engine.executors.on_ray import RayExecutor
    from evogan.engine.executors.sending import check_sendable

    if isinstance(evaluate, ObjectiveEvaluator):
        check_sendable(evaluate.objective)
    executor = RayExecutor(Plugged(plugins, evaluate) if plugins and plugins.names else evaluate, resources)
    try:
        if resources.ray is not None or resources.gpus_per_trial or resources.memory_per_trial is not None:
            executor.limits()
        elif early:
            executor.start()
    except BaseException:
        executor.close()
        raise
    return fusing(executor), lambda store, task: executor.learn(store.costs(task.key))


def _listeners(
    stack: ExitStack,
    store: Store,
    name: str,
    settings: SearchSettings,
    judge: Judge,
    references: int,
    outside: Outside,
    say: Callable[[str], None],
) -> Listener:
    """Whoever hears of the run's events; what is kept in memory leaves no files."""
    hear: list[Listener] = [outside.listener] if outside.listener else []
    if not store.in_memory:
        folder = store.folder / name
        checks, seconds = settings.checks(references), settings.total_seconds
        status = StatusWriter(folder / "status.json", name, judge, settings.evaluations, checks, references, seconds)
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
            identity = store.identity_of(name)
            tracked = MLflow(outside.mlflow, name, identity, judge, store.files, said, say)
            hear.append(stack.enter_context(tracked))
    return all_of(*hear)


def _register(store: Store, name: str, document: dict[str, Any]) -> None:
    """A new run, or the same one again, with another budget if so; UserError if something else differs."""
    document = as_json(document)
    if name not in store.names():
        store.add_run(name, document)
        return
    known = store.run(name)
    check_same(store, name, document)
    changed = {part: document[part] for part in (*MAY_CHANGE, "plugins", "plugin_digests") if part in document}
    if changed != {part: known.get(part) for part in changed}:
        store.extend_run(name, changed)
