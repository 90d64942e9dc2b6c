"""GANs that translate between domains without pairs, judged on images that no training sees.

What is a mean is over all ways from one domain to another, pixels in [0, 1].

cycle_error        mean |T(T(x, s -> t), t -> s) - x|
cycle_error_noise  the same with N(0, 0.05^2) on the image between: far more, where it hides what comes back
identity_error     mean |T(x, t -> t) - x|
tint               how far the mean colour of an image moves then, the mean over images and colours

and where the truth y of each translation is known

l1, psnr, ssim     of T(x, s -> t) from the first to the last, as of pairs; back_l1, ... the other way
truth_distance     mean |T(x, s -> t) - y| over the mean |y - y'| of two true images: 0 of the truth, 1 of any other

Of what winners make there is FID of the way back, too, by the network of the last domain, whatever the first one is:

back_fid           of T(x, last -> first), of held-out images, against training images of the first domain

Beside them are the same of what takes no training: the image itself (copy), the mean of the target's images (mean).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import permutations

import torch
from torch import Tensor

from evogan.data import Dataset
from evogan.data.dataset import Images, Labels, spread
from evogan.evaluation.translations import SOURCES, beside
from evogan.families.domains.family import domains_of
from evogan.fitness import Scorer, to_unit_range
from evogan.fitness.likeness import likeness
from evogan.fitness.scorer import extract, some_of
from evogan.fitness.threads import threads
from evogan.stable import derive_seed
from evogan.training.feed import prepared
from evogan.zoo.gan import Crosses

IMAGES = "images"
JUDGED, FEWEST = 1000, 16  # images of a domain at most, of two; of more as many fewer as there are ways, but these
NOISE = 0.1  # standard deviation, of pixels in [-1, 1]
SHOWN = 12  # of each domain, in a picture
FORWARD, BACK = "", "back_"


def judged(gan: Crosses, data: Dataset, half: slice, device: torch.device, at_once: int) -> dict[str, float]:
    """On one half of the held-out images."""
    images = _images(data, half)
    found: list[dict[str, float]] = []
    truths: dict[str, float] = {}
    for origin, target in permutations(range(gan.domains), 2):
        x, y = images[origin], images[target]

        def cross(x: Tensor, origin: int, target: int) -> Tensor:
            return torch.cat([gan.cross(part.to(device), origin, target).float().cpu() for part in x.split(at_once)])

        made, own = cross(x, origin, target), cross(y, target, target)
        again, disturbed = cross(made, target, origin), cross(_noisy(made), target, origin)
        with threads(1):  # their number changes sums
            found.append(
                {
                    "cycle_error": apart(again, x),
                    "cycle_error_noise": apart(disturbed, x),
                    "identity_error": apart(own, y),
                    "tint": _tint(own, y),
                }
            )
            if data.truth:
                found[-1]["truth_distance"] = apart(made, y) / others(y)
                for way in _named(origin, target, gan.domains):
                    truths |= {f"{way}{name}": value for name, value in likeness(made, y).items()}
    means = {name: sum(numbers[name] for numbers in found) / len(found) for name in found[0]}
    with threads(1):
        return means | truths | (baselines(data, half.start) if data.truth else {})


def back_fid(way: Callable[[Tensor], Tensor], data: Dataset, scorer: Scorer, at_once: int) -> float:
    """Of what `way` makes of held-out images, as many as other scores are of, over and over again."""
    unseen = torch.tensor(spread(data.unseen[IMAGES][IMAGES], scorer.samples))
    parts = (torch.arange(scorer.samples) % len(unseen)).split(at_once)
    made = extract(scorer.features, (way(prepared(unseen[rows])) for rows in parts))
    return scorer.fid_against(SOURCES, some_of(data.train[SOURCES][SOURCES]), made)


@lru_cache(maxsize=4)
def baselines(data: Dataset, first: int) -> dict[str, float]:
    """Of the same images: `l1_copy`, `truth_distance_mean`, ..."""
    images = _images(data, slice(first, None, 2))
    fields = domains_of(data.train)
    found: dict[str, float] = {}
    ways = list(permutations(range(len(fields)), 2))
    for s, t in ways:
        x, y, field = images[s], images[t], fields[t]
        mean = to_unit_range(torch.tensor(data.train[field][field].mean(0, dtype="float64")))
        for name, made in {"copy": x, "mean": mean.expand_as(y)}.items():
            for way in _named(s, t, len(fields)):
                found |= {f"{way}{metric}_{name}": value for metric, value in likeness(made, y).items()}
            distance = f"truth_distance_{name}"
            found[distance] = found.get(distance, 0.0) + apart(made, y) / others(y) / len(ways)
    return found


def _named(origin: int, target: int, domains: int) -> list[str]:
    """How the names of what is known of a way begin: of those between the first domain and the last one."""
    return {(0, domains - 1): [FORWARD], (domains - 1, 0): [BACK]}.get((origin, target), [])


def sources_of(data: Dataset, half: slice) -> tuple[Tensor, Tensor | None]:
    """Unseen images of the first domain, uint8 (N, C, H, W), and their classes, where these are known."""
    rows = {name: torch.tensor(spread(rows[half], JUDGED)) for name, rows in data.unseen[SOURCES].items()}
    return rows[SOURCES], rows.get("source_labels")


def targets_of(data: Dataset, half: slice) -> tuple[Images, Labels] | None:
    """Unseen images of the last domain and their classes, where these are known."""
    rows = data.unseen[IMAGES]
    return (rows[IMAGES][half], rows["labels"][half]) if "labels" in rows else None


def shown(gan: Crosses, data: Dataset, device: torch.device) -> tuple[Tensor, int]:
    """For a grid, in turn: an image, what is made of it, the true image where it is known, what comes back, and what
    comes back of it with noise; of the first domain and then of the last. And how many belong together."""
    every = [x[:SHOWN] for x in _images(data, slice(None))]
    images, rows = [every[0], every[-1]], []
    for s, t in ((0, 1), (1, 0)):
        origin, target = (end * (gan.domains - 1) for end in (s, t))
        made = gan.cross(images[s].to(device), origin, target)
        back = [gan.cross(x, target, origin).float().cpu() for x in (made, _noisy(made))]
        rows.append(beside(images[s], made.float().cpu(), *([images[t]] if data.truth else []), *back))
    return torch.cat(rows), 5 if data.truth else 4


def _images(data: Dataset, half: slice) -> list[Tensor]:
    """Of every domain, in [-1, 1]; two at least, so that one can be compared with another."""
    fields = domains_of(data.train)
    n = max(2 * JUDGED // (len(fields) * (len(fields) - 1)), FEWEST)
    unseen = [data.unseen[field][field] for field in fields]
    halves = [images[half] if len(images[half]) > 1 else images for images in unseen]
    return [prepared(torch.tensor(spread(images, n))) for images in halves]


def _noisy(images: Tensor) -> Tensor:
    """The same noise for every GAN."""
    rng = torch.Generator().manual_seed(derive_seed("noise between"))
    noise = NOISE * torch.randn(images.shape, generator=rng)
    return (images + noise.to(images.device, images.dtype)).clamp(-1, 1)


def apart(one: Tensor, other: Tensor) -> float:
    return float((one.double() - other.double()).abs().mean()) / 2


def others(images: Tensor) -> float:
    """How far apart two are that are far from each other in a folder, where classes lie together."""
    return max(apart(images, images.roll(len(images) // 2, 0)), 1e-12)


def _tint(made: Tensor, images: Tensor) -> float:
    return float((made.double() - images.double()).mean((2, 3)).abs().mean()) / 2
