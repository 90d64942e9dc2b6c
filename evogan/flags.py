"""What went wrong in a training, by name and in a sentence: rules over what an evaluation recorded.

They look at the end of a training. A flag is no failure: a completed evaluation keeps its scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

from evogan.trial import Evaluation

STILL = 0.01  # of a layer's norm: where all steps together lead no further, nothing was learned
FADED = 1e-3  # of the largest gradient norm so far, below which a generator hears nothing any more
BOLD = 0.75  # of the data's root mean square of pixels: samples below are pale, of a generator that has not learned yet
NARROW = 0.1  # variance of the samples' features over the data's
ONE = 1e-3  # the same of a single image, pale or not
ALIKE = 0.3  # share of samples with a twin; of real images it is 0.01
MISSING = 0.5  # share of the data's classes: at most so many appear
COPIED = 0.5  # of the distance that unseen images keep from the training images
KNOWN = 0.15  # accuracy of the critic on training images above that on held-out ones; chance makes some 0.04
WORSE = 1.5  # last FID over the best; a quarter of published training curves end above it
CERTAIN = 0.95  # accuracy of a critic that has won
RISING = 0.9  # share of pairs of points of the curve that rise, of which noise has 0.5
POINTS = 8  # of the curve, from which a trend is read
LARGE = 1e4  # a loss beyond this has left all bounds


def flags_of(evaluation: Evaluation) -> tuple[str, ...]:
    """The names of what went wrong."""
    return tuple(name for name, rule in RULES.items() if next(rule(evaluation), None))


def explain(evaluation: Evaluation) -> dict[str, str]:
    """A sentence for each flag of the evaluation, with its numbers as far as the rule still gives any."""
    said = {name: ", ".join(RULES[name](evaluation)) for name in evaluation.flags}
    return {name: f"{named(name)}: {numbers}" if numbers else named(name) for name, numbers in said.items()}


def named(flag: str) -> str:
    return flag.replace("_", " ")


# --- the rules: what there is to say, if anything


def _vanishing_gradient(evaluation: Evaluation) -> Iterator[str]:
    last = _last(evaluation)
    for player in ("critic", "generator"):
        if (reach := last.get(f"{player}_reach", 1.0)) < STILL:
            yield f"all steps of the {player} together move no layer by more than {reach:.2g} of its norm"
    norms = [score["generator_gradient"] for score in evaluation.scores if "generator_gradient" in score]
    if norms and norms[-1] < FADED * max(norms):
        yield f"the generator's gradient fell from {max(norms):.2g} to {norms[-1]:.2g}"


def _mode_collapse(evaluation: Evaluation) -> Iterator[str]:
    last = _last(evaluation)
    bold = last.get("generator_output", 1.0) >= BOLD
    diversity, duplicates = last.get("diversity", 1.0), last.get("duplicates", 0.0)
    if bold and 0 < (coverage := last.get("coverage", 1.0)) <= MISSING:  # none at all are poor samples, not few
        yield f"{coverage:.0%} of the classes appear"
    if diversity < (NARROW if bold else ONE):
        yield f"the samples' diversity is {diversity:.2g} of the data's"
    if duplicates > ALIKE:
        yield f"{duplicates:.0%} of the samples have a twin"


def _memorisation(evaluation: Evaluation) -> Iterator[str]:
    if (distance := _last(evaluation).get("memorisation", 1.0)) < COPIED:
        yield f"samples lie {distance:.2g} times as near to training images as unseen images do"


def _critic_overfit(evaluation: Evaluation) -> Iterator[str]:
    last = _last(evaluation)
    seen, unseen = last.get("critic_accuracy", 0.0), last.get("critic_accuracy_held_out", 1.0)
    if seen - unseen > KNOWN:
        yield f"the critic tells {seen:.0%} of training images from fakes, but {unseen:.0%} of held-out ones"


def _non_convergence(evaluation: Evaluation) -> Iterator[str]:
    fids = [score["fid"] for score in evaluation.scores if "fid" in score]
    if fids and fids[-1] > WORSE * min(fids):
        yield f"FID rose again from {min(fids):.4g} to {fids[-1]:.4g}"
    gaps = [abs(point["score_real"] - point["score_fake"]) for point in evaluation.curve if "score_real" in point]
    accuracy = _last(evaluation).get("critic_accuracy", 0.0)
    if len(gaps) >= POINTS and accuracy >= CERTAIN:
        pairs = [late > early for early, late in combinations(gaps[len(gaps) // 4 :], 2)]
        if sum(pairs) > RISING * len(pairs):
            yield (
                f"the critic tells {accuracy:.0%} of images from fakes and its scores part more and more, "
                f"by {gaps[len(gaps) // 4]:.2g} and then by {gaps[-1]:.2g}"
            )


def _divergence(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.status == "diverged":
        yield evaluation.reason
    elif evaluation.reason.startswith("diverged: "):
        yield evaluation.reason.removeprefix("diverged: ")
    for name in ("real", "fake", "generator"):
        if evaluation.curve and abs(loss := evaluation.curve[-1].get(name, 0.0)) > LARGE:
            yield f"{name} loss {loss:.2g}"


def _last(evaluation: Evaluation) -> dict[str, float]:
    return dict(evaluation.scores[-1]) if evaluation.scores else {}


RULES: dict[str, Callable[[Evaluation], Iterator[str]]] = {
    "vanishing_gradient": _vanishing_gradient,
    "mode_collapse": _mode_collapse,
    "non_convergence": _non_convergence,
    "memorisation": _memorisation,
    "critic_overfit": _critic_overfit,
    "divergence": _divergence,
}
