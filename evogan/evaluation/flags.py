"""What went wrong in a training, by name and in a sentence: rules over what an evaluation recorded.

They look at the end of a training and at the way there: what still improves has not failed. A flag is no failure: a
completed evaluation keeps its scores.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations

from evogan.trial import Evaluation

STILL = 0.01  # of a layer's norm: where all steps together lead no further, nothing was learned
FADED = 1e-3  # of the largest gradient norm so far, below which a generator hears nothing any more
BETTER = 0.8  # of the FID halfway, below which a training still improves; and of the diversity now, the one halfway
MOVED = 1.0  # of a layer's norm: a generator whose steps lead no further has hardly begun
BOLD = 0.6  # of the data's root mean square of pixels: samples below are pale, of a generator that has not learned yet
NARROW = 0.1  # variance of the samples' features over the data's
ONE = 1e-3  # the same of a single image, pale or not
ALIKE = 0.08  # chance beyond that of real images that two samples are the same: of a dozen images
ALL_ONE = 0.9  # the same where all are one image, pale or not; of the grey ones of a fresh generator it is 0.7
MISSING = 0.7  # share of the data's classes: at most so many appear
WIDE = 0.5  # recall of samples that spread over the data: unseen images have some 0.9, poor samples 0
LOOSE = 0.2  # precision of samples that are mostly something else: GANs as wide have 0.3 and more
COPIED = 0.5  # of the distance that unseen images keep from the training images
DEAF = 0.1  # how far another class moves an image, over how far another latent does; another source, over the truth
HIDDEN, VISIBLE = 2.0, 0.05  # of the cycle's error, the one after noise; and what it is then at least
TINTED = 0.15  # of the range of colours
NEAR = 0.5  # to the truth, as far as two images of the domain are apart
WRONG = 0.7  # share of samples that are not of the class asked for: of ten classes nine tenths are by chance
KNOWN = 0.15  # accuracy of the critic on training images above that on held-out ones; chance makes some 0.04
STANDS = 0.95  # of the FID halfway, above which it no longer falls: there a critic's knowledge does harm
WORSE = 1.5  # last FID over the best; a quarter of published training curves end above it
CERTAIN = 0.95  # accuracy of a critic that has won
EASY = 0.5  # of its loss at a quarter of the training: a critic that wins ever more easily
FALLING = 0.9  # share of pairs of points of the curve that fall, of which noise has 0.5
POINTS = 8  # of the curve, from which a trend is read
LARGE = 1e4  # a loss beyond this has left all bounds
FLAT = 0.1  # of the range that an estimate went through, within which it stands still


def flags_of(evaluation: Evaluation) -> tuple[str, ...]:
    """The names of what went wrong; where nobody plays, as of what learns by likelihood alone or from labels, no game
    could."""
    losses = evaluation.curve[-1] if evaluation.curve else {}
    if "likelihood" in losses and "fake" not in losses:
        return ()
    if "supervised" in losses and "fake" not in losses:
        return ("divergence",) if next(_divergence(evaluation), None) else ()
    return tuple(name for name, rule in RULES.items() if next(rule(evaluation), None))


def explain(evaluation: Evaluation) -> dict[str, str]:
    """A sentence for each flag of the evaluation, with its numbers as far as the rule still gives any."""
    said = {name: ", ".join(RULES[name](evaluation)) for name in evaluation.flags}
    return {name: f"{named(name)}: {numbers}" if numbers else named(name) for name, numbers in said.items()}


def named(flag: str) -> str:
    return flag.replace("_", " ")


def plateau(evaluation: Evaluation) -> Mapping[str, float] | None:
    """From which point of its curve on the critic's Wasserstein estimate stands still; None while it changes, and of
    other losses.

    As the training went: it has been near the median of its last quarter ever since. No flag: it says that this critic
    sees no more change, for better or worse.
    """
    points = [p for p in evaluation.curve if {"score_real", "score_fake"} <= p.keys()]
    values = [point["score_real"] - point["score_fake"] for point in points]
    known = "wasserstein_estimate" in _last(evaluation) and all(map(math.isfinite, values))
    if not known or len(values) < POINTS:
        return None
    quarter, most = len(values) // 4, FLAT * (max(values) - min(values))
    level = statistics.median(values[-quarter:])
    apart = [i for i, value in enumerate(values) if abs(value - level) > most]
    begins = apart[-1] + 1 if apart else 0
    return points[begins] if begins <= len(values) - quarter else None


# --- the rules: what there is to say, if anything


def _vanishing_gradient(evaluation: Evaluation) -> Iterator[str]:
    if _improves(evaluation):
        return
    last = _last(evaluation)
    for player in ("critic", "generator"):
        if (reach := last.get(f"{player}_reach", 1.0)) < STILL:
            yield f"all steps of the {player} together move no layer by more than {reach:.2g} of its norm"
    norms = [score["generator_gradient"] for score in evaluation.scores if "generator_gradient" in score]
    if norms and norms[-1] < FADED * max(norms):
        yield f"the generator's gradient fell from {max(norms):.2g} to {norms[-1]:.2g}"


def _mode_collapse(evaluation: Evaluation) -> Iterator[str]:
    if _improves(evaluation):
        return
    last = _last(evaluation)
    learned = last.get("generator_output", 1.0) >= BOLD and last.get("generator_reach", MOVED) >= MOVED
    spreads = BETTER * _since_halfway(evaluation, "diversity") > 1
    # of no class at all samples are poor, not few
    if learned and not spreads and 0 < (coverage := last.get("coverage", 1.0)) <= MISSING:
        yield f"{coverage:.0%} of the classes appear"
    if (diversity := last.get("diversity", 1.0)) < (NARROW if learned else ONE):
        yield f"the samples' diversity is {diversity:.2g} of the data's"
    if (collision := last.get("collision", 0.0)) > (ALIKE if learned else ALL_ONE):
        yield f"two samples are the same with a chance of {collision:.0%}"


def _ignored_condition(evaluation: Evaluation) -> Iterator[str]:
    last = _last(evaluation)
    if _improves(evaluation) or last.get("generator_reach", MOVED) < MOVED:
        return
    if (effect := last.get("label_effect", 1.0)) < DEAF:
        yield f"another class moves an image {effect:.2g} times as far as another latent does"
    # of no class at all samples are poor, not deaf
    asked = "cycle_error" not in last  # between domains without pairs nobody says what is to be kept
    if asked and last.get("coverage", 0.0) > MISSING and (error := last.get("gan_test_error", 0.0)) > WRONG:
        yield f"{error:.0%} of the samples are not of the class that was asked for"


def _ignored_source(evaluation: Evaluation) -> Iterator[str]:
    last = _last(evaluation)
    if _improves(evaluation) or last.get("generator_reach", MOVED) < MOVED:
        return
    if (effect := last.get("source_effect", 1.0)) < DEAF:
        yield f"another source moves an image {effect:.2g} times as far as the true images are apart"


def _steganography(evaluation: Evaluation) -> Iterator[str]:
    last = _last(evaluation)
    cycle, noisy = last.get("cycle_error", 1.0), last.get("cycle_error_noise", 0.0)
    if noisy > max(HIDDEN * cycle, VISIBLE):
        yield f"images come back with an error of {cycle:.2g}, but of {noisy:.2g} after a little noise on those between"


def _tint(evaluation: Evaluation) -> Iterator[str]:
    last = _last(evaluation)
    if last.get("truth_distance", 1.0) < NEAR:  # a translator that is right may be wrong about the other domain
        return
    if not _improves(evaluation) and (tint := last.get("tint", 0.0)) > TINTED:
        yield f"within their own domain images change their mean colour by {tint:.0%} of its range"


def _over_generalisation(evaluation: Evaluation) -> Iterator[str]:
    if _improves(evaluation):
        return
    last = _last(evaluation)
    recall, precision = last.get("manifold_recall", 0.0), last.get("manifold_precision", 1.0)
    if recall > WIDE and precision < LOOSE:
        yield f"{recall:.0%} of training images lie among the samples, but {precision:.0%} of the samples among them"


def _memorisation(evaluation: Evaluation) -> Iterator[str]:
    if (distance := _last(evaluation).get("memorisation", 1.0)) < COPIED:
        yield f"samples lie {distance:.2g} times as near to training images as unseen images do"


def _critic_overfit(evaluation: Evaluation) -> Iterator[str]:
    last = _last(evaluation)
    seen, unseen = last.get("critic_accuracy", 0.0), last.get("critic_accuracy_held_out", 1.0)
    if seen - unseen > KNOWN and _since_halfway(evaluation, "fid") > STANDS:
        yield f"the critic tells {seen:.0%} of training images from fakes, but {unseen:.0%} of held-out ones"


def _non_convergence(evaluation: Evaluation) -> Iterator[str]:
    if _improves(evaluation):
        return
    fids = [score["fid"] for score in evaluation.scores if "fid" in score]
    if fids and fids[-1] > WORSE * min(fids):
        yield f"FID rose again from {min(fids):.4g} to {fids[-1]:.4g}"
    losses = [point["real"] + point["fake"] for point in evaluation.curve if {"real", "fake"} <= point.keys()]
    accuracy = _last(evaluation).get("critic_accuracy", 0.0)
    if len(losses) >= POINTS and accuracy >= CERTAIN:
        late = losses[len(losses) // 4 :]
        pairs = [after < before for before, after in combinations(late, 2)]
        # a loss below 0 has no end, such as Wasserstein's, and may fall as far as it likes
        if sum(pairs) > FALLING * len(pairs) and 0 <= late[-1] < EASY * late[0]:
            yield (
                f"the critic tells {accuracy:.0%} of images from fakes and more and more easily: "
                f"its loss fell from {late[0]:.2g} to {late[-1]:.2g}"
            )


def _divergence(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.status == "diverged":
        yield evaluation.reason
    elif evaluation.cut_short == "diverged":
        yield evaluation.reason.removeprefix("diverged: ")
    for name in ("real", "fake", "generator"):
        if evaluation.curve and abs(loss := evaluation.curve[-1].get(name, 0.0)) > LARGE:
            yield f"{name} loss {loss:.2g}"


def _improves(evaluation: Evaluation) -> bool:
    """Whether FID, or of sequences the NLL, fell in the second half of the training."""
    return min(_since_halfway(evaluation, metric) for metric in ("fid", "nll_test")) < BETTER


def _since_halfway(evaluation: Evaluation, metric: str) -> float:
    """The last value over that of the checkpoint halfway; 1 where it is not known."""
    values = [score[metric] for score in evaluation.scores if metric in score]
    halfway = values[(len(values) - 1) // 2] if values else 0.0
    return values[-1] / halfway if halfway > 0 else 1.0


def _last(evaluation: Evaluation) -> dict[str, float]:
    return dict(evaluation.scores[-1]) if evaluation.scores else {}


RULES: dict[str, Callable[[Evaluation], Iterator[str]]] = {
    "vanishing_gradient": _vanishing_gradient,
    "mode_collapse": _mode_collapse,
    "non_convergence": _non_convergence,
    "ignored_condition": _ignored_condition,
    "ignored_source": _ignored_source,
    "steganography": _steganography,
    "tint": _tint,
    "over_generalisation": _over_generalisation,
    "memorisation": _memorisation,
    "critic_overfit": _critic_overfit,
    "divergence": _divergence,
}
