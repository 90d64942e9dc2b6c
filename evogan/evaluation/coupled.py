"""GANs that make of one latent an image of every domain, judged by the recipe that makes the true images: that is known
of whatever they make as the first domain's, x_0. As of translations, pixels in [0, 1],

l1, psnr, ssim   of recipe(x_0) and x_t, t the last domain
truth_distance   mean |recipe(x_0) - x_t| over the mean |y - y'| of two images recipe(x_0), the mean over all other
                 domains; 0: they agree; 1: they might as well be of other latents

and beside them, with _copy, of x_0 itself in the place of x_t.
"""

from __future__ import annotations

import torch
from torch import Tensor

from evogan.data import Dataset
from evogan.data.recipes import read_recipe
from evogan.evaluation.domains import apart, others
from evogan.evaluation.translations import beside, to_bytes
from evogan.fitness.likeness import likeness
from evogan.fitness.threads import threads
from evogan.training.feed import prepared
from evogan.zoo.gan import Couples, Prompt

JUDGED = 1000  # latents at most
SHOWN = 24


def judged(gan: Couples, prompt: Prompt, data: Dataset) -> dict[str, float]:
    """Nothing, where no recipe is known."""
    if not data.truth:
        return {}
    first, *made = (images.cpu() for images in gan.coupled(prompt))
    true = _true(first, data)
    with threads(1):  # their number changes sums
        found = likeness(made[-1], true[-1])
        found |= {f"{name}_copy": value for name, value in likeness(first, true[-1]).items()}
        pairs = list(zip(made, true, strict=True))
        found["truth_distance"] = sum(apart(x, y) / others(y) for x, y in pairs) / len(pairs)
        found["truth_distance_copy"] = sum(apart(first, y) / others(y) for y in true) / len(true)
    return found


def shown(gan: Couples, prompt: Prompt, data: Dataset) -> tuple[Tensor, int]:
    """For a grid, in turn: of one latent the image of each domain, and what the last one should be, where it is known.
    And how many belong together."""
    made = [images.cpu() for images in gan.coupled(prompt)]
    rows = [*made, *(_true(made[0], data)[-1:] if data.truth else [])]
    return beside(*rows), len(rows)


def _true(first: Tensor, data: Dataset) -> list[Tensor]:
    """What recipes make of images of the first domain."""
    images = to_bytes(first).numpy()
    made = [prepared(torch.tensor(read_recipe(name).of(images))) for name in data.domains[1:]]
    return [y.expand(-1, first.shape[1], -1, -1) for y in made]
