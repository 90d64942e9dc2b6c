"""What is checked before a run begins or goes on, so that a mistake is told of at once and leaves nothing behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from evogan.engine import Judge, Store
from evogan.engine.history import RunHistory
from evogan.errors import UserError, unknown
from evogan.families import FAMILIES, family_of
from evogan.files import STORE
from evogan.files.processes import cores
from evogan.genes import GENES
from evogan.genome import Gene
from evogan.plugins import of_scripts
from evogan.runs.gans import GANProblem
from evogan.runs.knowledge import AUTO
from evogan.runs.plan import Plan
from evogan.settings import FUSE, MAY_CHANGE, Resources, SearchSettings
from evogan.strategies import Strategy, make_strategy
from evogan.trial import MAXIMISED

OF_IMAGES = ("image_size", "classes", "labels", "pairs", "domains", "conditions", "tokens")  # options that choose them
LONGEST_NAME = 200  # of a run: folders are named by it


def check(name: str, plan: Plan) -> tuple[Judge, Strategy]:
    """Whatever can be known before data are read and anything is written. Errors: UserError."""
    check_name(name)
    settings = plan.settings
    judge = Judge.of(settings.fitness, settings.score, settings.average)
    options, objectives = settings.options, len(judge.metrics)
    strategy = make_strategy(settings.strategy, plan.space, settings.seed, options, objectives=objectives)
    _check_fit(strategy, plan)
    allotted(settings)
    if plan.problem.gan is not None:
        check_metrics(judge.metrics, partial(_subjects, plan))
    elif found := MAXIMISED.intersection(judge.metrics):
        raise UserError(f"fitness '{min(found)}' is more where it is better, and an objective is minimised: rename it")
    return judge, strategy


@dataclass(frozen=True)
class Subject:
    """What may be trained, in words; the genes that are known of it, and those that are free."""

    what: str
    genes: Mapping[str, Any]
    free: Sequence[Gene] = ()


def _subjects(plan: Plan) -> Iterator[Subject]:
    """What the run may train."""
    yield Subject(f"space '{plan.space.name}'", plan.space.fixed, plan.space.genes)
    yield from (Subject(f"reference '{name}'", genome) for name, genome in plan.problem.references(plan.space))


def check_metrics(metrics: Sequence[str], subjects: Callable[[], Iterable[Subject]]) -> None:
    """Errors: UserError unless these are measured of every GAN of the subjects, whatever the data. Only those that are
    not measured of all ask for the subjects, whose files may be gone where a run goes on.
    """
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

    for metric in metrics:
        if metric in RETIRED:
            raise UserError(f"fitness '{metric}' is measured no more: '{RETIRED[metric]}' takes its place")
        if metric not in METRICS:
            raise unknown("fitness", metric, METRICS)
        some = {*OF_CLASSES, *OF_CAPTIONS, *OF_CRITICS, *OF_ENCODERS, *OF_CLASSIFIERS, *OF_DOMAINS, *OF_TRANSLATORS}
        for subject in subjects() if metric in some | {"task_error"} else ():
            if metric in OF_CLASSES | OF_CAPTIONS | OF_CRITICS:
                _check_conditional(metric, subject)
            if metric in OF_ENCODERS:
                _check_encoder(metric, subject)
            if metric in OF_CLASSIFIERS:
                _check_family(metric, subject, "GANs with a classifier: those of {} have none")
            if metric == "task_error" and subject.genes.get("task") != "both":
                raise UserError(
                    f"fitness '{metric}' judges what learns from translations: {subject.what} must fix task = \"both\""
                )
            if metric in OF_DOMAINS:
                _check_family(metric, subject, "GANs that translate between domains: those of {} do not")
            if metric in OF_TRANSLATORS:
                _check_family(metric, subject, "GANs that make images from images: those of {} do not")


def _check_conditional(metric: str, subject: Subject) -> None:
    """Errors: UserError unless its GANs are asked for classes."""
    from evogan.fitness import OF_CAPTIONS

    asked, genes = "captions" if metric in OF_CAPTIONS else "classes", subject.genes
    if genes.get("condition", "none") == "none" and metric not in family_of(genes).measures:
        raise UserError(
            f"fitness '{metric}' judges GANs that are asked for {asked}: {subject.what} must fix condition = \"labels\""
        )


def _check_family(metric: str, subject: Subject, why: str) -> None:
    """Errors: UserError unless its GANs are judged by it, as their family says."""
    freed = [gene.values for gene in subject.free if gene.name == "family"]
    for name in freed[0] if freed else (family_of(subject.genes).name,):
        if metric not in FAMILIES[str(name)].measures:
            raise UserError(f"fitness '{metric}' judges {why.format(subject.what)}")


def _check_encoder(metric: str, subject: Subject) -> None:
    """Errors: UserError unless its GANs have an encoder, and a category where one is judged."""
    from evogan.fitness.measures import OF_CATEGORIES

    searched = [{gene.name: value} for gene in subject.free for value in gene.values or (gene.low, gene.high)]
    for change in ({}, *searched):
        genome = {**subject.genes, **change}
        code, what = family_of(genome).code(GENES.complete(genome)), subject.what
        if not code:
            raise UserError(f"fitness '{metric}' judges GANs with an encoder: not every GAN of {what} has one")
        if metric in OF_CATEGORIES and "category" not in code:
            raise UserError(f"fitness '{metric}' judges codes with a category: not every GAN of {what} has one")


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


def check_entered(settings: SearchSettings) -> None:
    """Errors: UserError for a value of a gene that a script entered: workers enter what plugins do, and no more."""
    if settings.gan is None:
        return
    fixed, genes = settings.space["fixed"], settings.space["genes"]
    for gene, value in of_scripts():
        if value == fixed.get(gene) or value in genes.get(gene, {}).get("values", ()):
            raise UserError(
                f"{gene} '{value}' is known to this process alone, not to workers: name the module or .py file "
                "that enters it (plugins), or workers=1"
            )


def allotted(settings: SearchSettings) -> Resources:
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
        one = settings.gan.device.removeprefix("cuda:")
        if one != settings.gan.device and (resources.gpus_per_trial or not resources.in_process):  # Ray numbers them
            several = f"CUDA_VISIBLE_DEVICES={one}, and device cuda"
            raise UserError(f"device cuda:{one} is for one worker without limits; for several: {several}")
    return resources


def check_images(store: Store, name: str, problem: GANProblem) -> None:
    """Errors: UserError where the images of a run are others by now; what learns from them would be another, too."""
    known = store.run(name)
    _, task = store.tasks().get(known.get("task", ""), ("", {}))
    now, then = problem.dataset.fingerprint, task.get("fingerprint")
    if then is None or then == now:
        return
    recorded = SearchSettings.recorded(known).gan
    for part in OF_IMAGES:
        was, asked = as_json({"was": getattr(recorded, part, None), "asked": getattr(problem.gan, part)}).values()
        if was != asked:
            raise UserError(
                f"run '{name}' was started with another gan.{part}: {was}, not {asked}; choose another name"
            )
    if known.get("data") != problem.dataset.name:
        raise UserError(
            f"run '{name}' was started on '{known.get('data')}', not on '{problem.dataset.name}'; choose another name"
        )
    raise UserError(
        f"the images of '{problem.gan.data}' are others than those that run '{name}' was judged on (fingerprint "
        f"{then}, not {now}): put them back, or choose another name"
    )


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
    before = _what_counts(as_json(known | asdict(run.settings)))  # what it lacks has its default
    now = _what_counts(as_json(document))
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


def edited(store: Store, facts: Mapping[str, Any]) -> Iterator[str]:
    """Lines about plugins that no run read as they are, though one read them."""
    digests = facts.get("plugin_digests", {})
    known = store.runs() if digests else {}
    same = {run: document for run, document in known.items() if document.get("task") == facts["task"]}
    for name, now in digests.items():
        read = {run: document.get("plugin_digests", {}).get(name) for run, document in same.items()}
        before = [run for run, then in read.items() if then is not None]
        if before and now not in read.values():
            yield (
                f"plugin '{name}' has changed since run '{before[-1]}': what completed with it then is not trained "
                "anew (give what has changed another name, or take another folder of runs)"
            )


def as_json(document: Mapping[str, Any]) -> dict[str, Any]:
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
        "plugin_digests",
        "seeded_by",
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
