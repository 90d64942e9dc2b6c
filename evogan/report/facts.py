"""What a run found, in numbers and words: tables and the page say the same."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from evogan.engine import Confirmation, Judge, Told
from evogan.engine.history import RunHistory
from evogan.evaluation.flags import explain, plateau
from evogan.extremes import deviation, mean
from evogan.families import family_of
from evogan.genes import GENES
from evogan.genome import Genome, Value, same
from evogan.genome.schedule import in_words
from evogan.trial import MAXIMISED, TRACEBACK, Evaluation, budget_unit, turned

if TYPE_CHECKING:  # torch, where it is wanted
    from evogan.evaluation.architecture import Player

METRIC_NAMES = {
    "fid": "FID",
    "kid": "KID",
    "class_fid": "class FID",
    "back_fid": "FID of the way back",
    "gan_test_error": "GAN-test error",
    "gan_train_error": "GAN-train error",
    "nmi": "NMI",
    "l1": "L1",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "psnr_hole": "PSNR in the hole",
    "reduced_l1": "L1, reduced",
    "code_nn_error": "1-NN error of codes",
    "nearest_error": "1-NN error",
    "swd": "SWD",
    "ms_ssim_pairs": "MS-SSIM",
}
LOGARITHMS = frozenset(
    {"psnr", "psnr_hole", "nll_test", "nll_oracle"}
)  # of which differences mean something, not ratios
MOST_DECIMALS, LONGEST = 15, 1e15  # of what is written out: a float knows no more digits


def short(value: object) -> str:
    """A value as tables show it: floats with 4 significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def metric_name(metric: str) -> str:
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def fitness_name(metric: str) -> str:
    """Of the values as they are judged: of a metric of which more is better with another sign."""
    return f"negative {metric_name(metric)}" if metric in MAXIMISED else metric_name(metric)


def fitness(run: RunHistory, told: Told | None) -> float | None:
    """As the metric has it; None where there is none."""
    return None if told is None or told.value is None else turned(run.judge.metric, told.value)


def figure(confirmation: Confirmation) -> str:
    """Mean and spread, the spread with two digits: '13.24 ± 0.81'."""
    return figured(confirmation.shown, confirmation.spread)


def figured(mean: float, spread: float) -> str:
    if not spread > 0:  # one replicate, or all alike
        return short(mean)
    decimals = max(0, 1 - math.floor(math.log10(spread)))
    if decimals > MOST_DECIMALS or max(abs(mean), spread) > LONGEST:
        return f"{short(mean)} ± {spread:.2g}"
    return f"{mean:.{decimals}f} ± {spread:.{decimals}f}"


# --- what was evaluated


def evaluations(run: RunHistory) -> list[Evaluation]:
    """What the search had evaluated, each once: a strategy may propose a genome again."""
    found = {told.identity(i): e for told in run.history for i, e in enumerate(told.evaluations)}
    return list(found.values())


def counts(run: RunHistory) -> dict[str, float]:
    """Proposals told, different evaluations and genomes among them, genomes that failed, proposals that the engine
    moved, and what the run has spent of its budget, in full trainings."""
    return {
        "proposals": len(run.history),
        "evaluations": len(evaluations(run)),
        "genomes": len({told.row.key for told in run.history}),
        "failed": len({told.row.key for told in run.history if told.value is None}),
        "pushed": sum(told.row.pushed for told in run.history),
        "spent": run.spent[-1] if run.spent else 0.0,
    }


def checks(run: RunHistory) -> list[Evaluation]:
    """The fresh replicates of the finalists and of the reference genomes."""
    return [evaluation for c in run.confirmations for evaluation in c.evaluations]


def twins(run: RunHistory) -> list[Evaluation]:
    """Those of their twins that are none of these."""
    known = {c.key for c in run.confirmations}
    twins = {twin.key: twin for twin in run.twins.values() if twin.key not in known}
    return [evaluation for twin in twins.values() for evaluation in twin.evaluations]


def traceback_file(run: RunHistory) -> Path | None:
    """Of the first evaluation of the search that crashed and left one."""
    crashed = ((t, i) for t in run.history for i, e in enumerate(t.evaluations) if e.status == "crashed")
    paths = (run.store.files(told.identity(i), told.evaluations[i]) / TRACEBACK for told, i in crashed)
    return next((path for path in paths if path.is_file()), None)


@dataclass(frozen=True)
class Trouble:
    """Evaluations that ended alike; `reason` is the first one's."""

    status: str
    reason: str
    count: int


def kind(found: Evaluation | Trouble) -> tuple[str, str]:
    """How it ended: reasons that differ in numbers only are one."""
    return found.status, re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "#", found.reason)


def troubles(evaluations: Iterable[Evaluation]) -> list[Trouble]:
    """Failures, and completed evaluations that went wrong after a checkpoint, most frequent first."""
    found = sorted((e for e in evaluations if e.failed or e.reason), key=kind)
    groups = [list(group) for _, group in groupby(found, kind)]
    return sorted((Trouble(g[0].status, g[0].reason, len(g)) for g in groups), key=lambda t: -t.count)


def why(evaluation: Evaluation) -> list[str]:
    """What went wrong with it, a sentence each."""
    sentences = list(explain(evaluation).values())
    if evaluation.reason and "divergence" not in evaluation.flags:  # which says it
        sentences.insert(0, f"{evaluation.status.replace('_', ' ')}: {evaluation.reason}")
    return sentences


def estimate(evaluation: Evaluation) -> str:
    """What the critic of a Wasserstein GAN says at the end, in words; "" of others."""
    last = evaluation.scores[-1] if evaluation.scores else {}
    if "wasserstein_estimate" not in last:
        return ""
    since = plateau(evaluation)
    unit = budget_unit(last)
    return (
        f"the critic's Wasserstein estimate is {short(last['wasserstein_estimate'])}, with held-out images "
        f"{short(last['wasserstein_estimate_held_out'])}, and "
        f"{'still changes' if since is None else f'stands still since {short(since[unit])} {unit}'}; "
        "it compares within this training only"
    )


@dataclass(frozen=True)
class Flagged:
    """Evaluations with the same flag; `example` is the sentence of the first."""

    count: int
    example: str


def flagged(evaluations: Iterable[Evaluation]) -> dict[str, Flagged]:
    """By flag, most frequent first."""
    sentences: dict[str, list[str]] = {}
    for evaluation in evaluations:
        for flag, sentence in explain(evaluation).items():
            sentences.setdefault(flag, []).append(sentence)
    most = sorted(sentences.items(), key=lambda item: -len(item[1]))
    return {flag: Flagged(len(said), said[0]) for flag, said in most}


@dataclass(frozen=True)
class Generation:
    """What a strategy proposed at a time, judged at the highest fidelity reached. Numbers are those of the metric."""

    number: int
    genomes: int
    failed: int
    average: float
    deviation: float
    best: float
    worst: float
    leader: Told


def generations(run: RunHistory) -> list[Generation]:
    """In their order, those in which a genome completed; none of a strategy that has no generations."""
    members: dict[int, list[Told]] = {}
    for told in run.history:
        if told.row.generation is not None:
            members.setdefault(told.row.generation, []).append(told)
    found = []
    for number, all_told in sorted(members.items()):
        judged = [told for told in all_told if told.value is not None and told.fidelity == run.top_fidelity]
        if not judged:
            continue
        values = [fitness(run, told) or 0.0 for told in judged]
        leader = min(judged, key=lambda told: (told.value, told.row.number))
        last = max(judged, key=lambda told: (told.value, told.row.number))
        average = math.fsum(value / len(values) for value in values)
        scale = max(max(map(abs, values)), 1.0)  # squares of what is huge are none
        deviation = scale * math.sqrt(math.fsum(((value - average) / scale) ** 2 / len(values) for value in values))
        best, worst = (fitness(run, one) or 0.0 for one in (leader, last))
        failed = sum(told.value is None for told in all_told)
        found.append(Generation(number, len(judged), failed, average, deviation, best, worst, leader))
    return found


@dataclass(frozen=True)
class Time:
    """What evaluations cost."""

    count: int
    seconds: float
    scoring: float
    kimg: float
    flops: float

    @classmethod
    def of(cls, evaluations: Iterable[Evaluation]) -> Time:
        costs = [evaluation.cost for evaluation in evaluations]
        names = ("seconds", "scoring_seconds", "kimg", "flops")
        return cls(len(costs), *(sum(cost.get(name, 0.0) for cost in costs) for name in names))


def duration(seconds: float) -> str:
    """As people say it: '48 s', '12.5 min', '3.2 h'."""
    if seconds < 90:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def knowledge(run: RunHistory) -> str:
    """What other tasks the run began from, in a line; "" if it was to begin from none."""
    if not run.settings.learn_from:
        return ""
    known = run.knowledge
    best = min((told.row.number for told in run.ranking[:1] if told.row.operator == "portfolio"), default=None)
    return str(known) if best is None else f"{known}; the best of the search, #{best}, is one of these"


# --- genes


def phenotype(run: RunHistory, genome: Mapping[str, Value]) -> dict[str, Value]:
    """All active genes: of a GAN the defaults too, so that a published genome compares with an evolved one."""
    return dict(genome) if run.genes is None else run.genes.complete(genome)


def differences(run: RunHistory, genome: Genome, other: Genome | None) -> str:
    """In short, the genes of `genome` that differ from those of `other`, or its own, and what changes."""
    after, before = (genome, {}) if other is None else (phenotype(run, genome), phenotype(run, other))
    genes = ", ".join(
        f"{name} {short(value)}" for name, value in after.items() if name not in before or not same(before[name], value)
    )
    return f"{genes}; from {in_words(genome)}" if genome.changes else genes


def loss(genes: Mapping[str, Value]) -> str:
    """Of a complete phenotype, the adversarial loss in words."""
    return _set(genes, "relativistic", "loss", "divergence", "feature_matching")


def penalty(genes: Mapping[str, Value]) -> str:
    """What bounds its critic; "" if nothing does."""
    return _set(genes, "critic_constraint", "gradient_penalty", "zero_penalty", "critic_regularization")


def _set(genes: Mapping[str, Value], *names: str) -> str:
    values = [str(genes[name]) for name in names if genes.get(name, "none") not in ("none", "off", 0.0)]
    return ", ".join(value.replace("_", " ") for value in values)


def about(genome: Mapping[str, Value]) -> str:
    """What kind of GAN it is, in a line."""
    genes, family = GENES.complete(genome), family_of(genome)
    told = {"backbone": genes.get("backbone"), "loss": loss(genes), "penalty": penalty(genes) or "none"}
    said = [f"{name} {value}" for name, value in told.items() if value]
    classes = ["given classes"] if genes.get("condition", "none") != "none" else []
    return ", ".join([family.title, *(said if "loss" in genes else []), *classes])


def widest(architectures: Iterable[tuple[str, Sequence[Player]]]) -> dict[str, int]:
    """By the name of a player, the most parameters that a layer has in any of these GANs; at least 1."""
    most: dict[str, int] = {}
    for _, players in architectures:
        for player in players:
            most[player.name] = max(most.get(player.name, 1), *(layer.parameters for layer in player.layers))
    return most


def shape(sides: Iterable[int]) -> str:
    """'64 x 8 x 8': channels first."""
    return " x ".join(map(str, sides))


def many(number: float) -> str:
    """A large number in few characters: '1.18 M'."""
    number = float(f"{number:.3g}")  # before its unit is chosen: 999,600 are a million
    for unit, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


# --- classifiers of few labels


@dataclass(frozen=True)
class Classified:
    """How a genome classifies on fresh replicates, and what else was made of the same labels: means and spreads.

    `twin`: the same classifier, taught by the labels alone, of which `failed` trainings failed; of one that is its own
    there is none.
    """

    name: str
    error: tuple[float, float]
    twin: tuple[float, float] | None
    failed: int
    nearest: tuple[float, float]
    replicates: int
    images: str


def classified(run: RunHistory) -> list[Classified]:
    """Of each genome that was trained on fresh replicates and has a classifier, fewest errors first.

    Errors are those of the checkpoint that counts; of the twin, that with the fewest errors in validation.
    """
    found = []
    for one in run.confirmations:
        points = [(run.judge.point(e), e) for e in one.evaluations if not e.failed]
        points = [(point, e) for point, e in points if "error" in point]
        if not points:
            continue
        twin, judge = run.twins.get(one.key), Judge("error")
        theirs = [judge.point(e) for e in twin.evaluations if not e.failed] if twin else []
        error, nearest = (_spread([point[name] for point, _ in points]) for name in ("error", "nearest_error"))
        others = [point["error"] for point in theirs if "error" in point]
        images = str(points[0][1].provenance.get("errors_on", ""))
        failed = len(twin.evaluations) - len(others) if twin else 0
        spread = _spread(others) if others else None
        found.append(Classified(one.name, error, spread, failed, nearest, len(points), images))
    return sorted(found, key=lambda c: c.error[0])


def _spread(values: Sequence[float]) -> tuple[float, float]:
    return mean(values), deviation(values)


def of_twin(found: Classified) -> str:
    """Its error, and how often it failed."""
    failed = f"failed {found.failed} time{'s' if found.failed > 1 else ''}" if found.failed else ""
    return ", ".join(filter(None, [percent(found.twin) if found.twin or not failed else "", failed]))


def percent(figures: tuple[float, float] | None) -> str:
    """A share and its spread: '4.1 ± 0.5 %'."""
    if figures is None:
        return "-"
    return f"{figured(*(100 * figure for figure in figures))} %"


# --- the verdict


@dataclass(frozen=True)
class Standing:
    """A genome's place after retraining. `against`: its mean beside the best reference's, in words."""

    confirmation: Confirmation
    evolved: bool
    best: bool
    against: str
    genes: str


def _best_first(confirmations: Iterable[Confirmation]) -> list[Confirmation]:
    return sorted(confirmations, key=lambda c: c.order)


def _references(run: RunHistory) -> set[str]:
    return {key for _, key, _ in run.facts.reference}


def checked_best(run: RunHistory) -> Confirmation | None:
    """The fresh replicates of the best genome; None where none completed."""
    return next((c for c in run.confirmations if run.best and c.key == run.best.row.key and c.values), None)


def best_reference(run: RunHistory) -> Confirmation | None:
    """The published genome with the best mean; None where none was retrained."""
    known = _references(run)
    return next((c for c in _best_first(run.confirmations) if c.key in known), None)


def standings(run: RunHistory) -> list[Standing]:
    """Evolved and published genomes on fresh replicates, best first."""
    known, reference = _references(run), best_reference(run)
    checked = any(c.key not in known for c in run.confirmations)  # else the store has them of another run
    return [
        Standing(
            c,
            evolved=c.key not in known,
            best=rank == 0 and bool(c.values) and checked,
            against="" if reference is None or c is reference else _times(run.judge.metric, c, reference),
            genes=differences(run, c.genome, reference.genome if reference else None),
        )
        for rank, c in enumerate(_best_first(run.confirmations))
    ]


def _times(metric: str, one: Confirmation, other: Confirmation) -> str:
    """'3.3x better'; no ratio of logarithms, where a mean is not positive, a side has none, or no float is so large."""
    if metric in LOGARITHMS or not (one.shown > 0 and other.shown > 0):
        return ""
    larger, smaller = max(one.shown, other.shown), min(one.shown, other.shown)
    times = larger / smaller
    if not math.isfinite(times):
        return ""
    return f"{times:.3g}x {'better' if one.mean <= other.mean else 'worse'}"


def verdict(run: RunHistory) -> str:
    """The outcome in a sentence, no better than the replicates support."""
    metric = metric_name(run.judge.metric)
    if not run.history:
        return "Nothing was evaluated yet."
    if not run.ranking:
        statuses = Counter(evaluation.status for evaluation in evaluations(run))
        unmeasured = f"no finite {metric}"
        called = {"completed": unmeasured, "out_of_memory": "out of memory", "timed_out": "timed out"}
        said = ", ".join(f"{called.get(status, status)} {n}" for status, n in statuses.most_common())
        first = run.history[0].evaluation.reason or f"{unmeasured} at any checkpoint"
        return f"Nothing completed: all {statuses.total()} evaluations failed ({said}). The first: {first}."
    searched = f"{metric} {short(fitness(run, run.ranking[0]))} in the search"
    known, reference = _references(run), best_reference(run)
    evolved = _best_first(c for c in run.confirmations if c.key not in known)
    if not evolved:
        if run.ranking[0].row.key in known:
            return f"The best genome found is a published one itself ({searched})."
        return f"Best {searched}, on {trainings(run)}: not checked on fresh replicates."
    best = evolved[0]
    if not best.values:
        return f"The best genomes ({searched}) failed on every fresh replicate."
    found = f"{metric} {figure(best)} over {_replicates(best)}"
    if reference is None:
        return f"{found}; there is no published reference to hold it against."
    if not reference.values:
        return f"{found}; the reference {reference.name} failed on every replicate."
    compared = f"{found}, against {figure(reference)} of {reference.name} over {_replicates(reference)}"
    times = _times(run.judge.metric, best, reference)
    if min(len(best.values), len(reference.values)) < 2:
        return f"{compared}: one replicate shows no difference."
    if best.mean >= reference.mean:
        if best.failures < reference.failures:
            return f"{compared}: fewer failures, but no better mean, so no clear difference."
        return f"Nothing better than {reference.name} was found: {compared}{times and f', {times}'}."
    if best.failures:  # each is worse than whatever completed
        return f"{compared}: a better mean of what completed, but not all did, so no clear difference."
    if max(best.values) >= min(reference.values):
        return f"{compared}: a better mean, but the replicates overlap, so no clear difference."
    return f"{compared}: {times or 'better'}, in every replicate."


def trainings(run: RunHistory) -> str:
    """How many a genome of the search was judged on."""
    most = run.settings.replicates
    return "one training" if most == 1 else f"up to {most} trainings"


def _replicates(confirmation: Confirmation) -> str:
    n, failures = len(confirmation.values), confirmation.failures
    said = f"{n} fresh replicate{'s' if n > 1 else ''}"
    return f"{said} ({failures} more failed)" if failures else said
