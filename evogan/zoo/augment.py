"""Differentiable augmentation: the critic sees reals and fakes through the same random distortions.

DiffAugment (Zhao et al., arXiv:2006.10738). Per image, with x in [-1, 1] and all-zero pixels grey:

    color        brightness x + U(-.5, .5); saturation m + U(0, 2) (x - m), m the mean of a pixel's channels;
                 contrast m + U(.5, 1.5) (x - m), m the mean of the image
    translation  by whole pixels, up to 1/8 of the side each way; zeros move in
    cutout       a square of half the side is set to zero; its centre is anywhere, so part of it may be outside
"""

from __future__ import annotations

import torch
from torch import Tensor

from evogan.zoo.gan import Draws

POLICIES = {
    "none": (),
    "color": ("color",),
    "translation": ("translation",),
    "cutout": ("cutout",),
    "translation_cutout": ("translation", "cutout"),
    "all": ("color", "translation", "cutout"),
}


def draw_augmentation(policy: str, n: int, size: int, rng: torch.Generator) -> Draws:
    """The randomness of `augment` for n images of side `size`: (n, ...), one tensor a part of the policy."""
    return tuple(_DRAW[part](n, size, rng) for part in POLICIES[policy])


def augment(policy: str, images: Tensor, draws: Draws) -> Tensor:
    """(N, C, H, H) -> the same shape, each image by its own row of `draws`. Colours may leave [-1, 1]."""
    for part, drawn in zip(POLICIES[policy], draws, strict=True):
        images = _APPLY[part](images, drawn)
    return images


def mirrored(images: Tensor, rng: torch.Generator) -> Tensor:
    """(N, C, H, W), each flipped left to right with probability 1/2."""
    return flipped(images, draw_flips(len(images), rng))


def draw_flips(n: int, rng: torch.Generator) -> Tensor:
    """(n,), whether each image is flipped."""
    return torch.rand(n, generator=rng, device=rng.device) < 0.5


def flipped(images: Tensor, which: Tensor) -> Tensor:
    """(N, C, H, W), those of `which` (N,) left to right."""
    return torch.where(which[:, None, None, None], images.flip(3), images)


def _draw_color(n: int, size: int, rng: torch.Generator) -> Tensor:
    """(n, 3): what is added, factor of saturation, factor of contrast."""
    brightness, saturation, contrast = torch.rand((3, n), generator=rng, device=rng.device)
    return torch.stack([brightness - 0.5, 2 * saturation, contrast + 0.5], dim=1)


def _color(x: Tensor, drawn: Tensor) -> Tensor:
    brightness, saturation, contrast = drawn.to(x.dtype)[..., None, None, None].unbind(1)
    x = x + brightness
    grey = x.mean(1, keepdim=True)
    x = grey + saturation * (x - grey)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + contrast * (x - mean)


def _draw_translation(n: int, size: int, rng: torch.Generator) -> Tensor:
    """(n, 2): pixels down and to the right."""
    most = (size + 4) // 8
    return torch.randint(-most, most + 1, (n, 2), generator=rng, device=rng.device)


def _translation(x: Tensor, drawn: Tensor) -> Tensor:
    size = x.shape[-1]
    source = torch.arange(size, device=x.device) - drawn[..., None]  # (N, 2, size)
    inside = (source >= 0) & (source < size)
    rows, columns = source.clamp(0, size - 1).unbind(1)
    x = torch.take_along_dim(x, rows[:, None, :, None], 2)
    x = torch.take_along_dim(x, columns[:, None, None, :], 3)
    return torch.where(_square(inside), x, 0.0)


def _draw_cutout(n: int, size: int, rng: torch.Generator) -> Tensor:
    """(n, 2): the first row and column of the square, which may be outside by half its side."""
    side = _cutout_side(size)
    centre = torch.randint(0, size + 1 - side % 2, (n, 2), generator=rng, device=rng.device)
    return centre - side // 2


def _cutout(x: Tensor, drawn: Tensor) -> Tensor:
    size = x.shape[-1]
    offset = torch.arange(size, device=x.device) - drawn[..., None]
    return torch.where(_square((offset >= 0) & (offset < _cutout_side(size))), 0.0, x)


def _cutout_side(size: int) -> int:
    return (size + 1) // 2


def _square(inside: Tensor) -> Tensor:
    """(N, 2, H), which rows and which columns -> (N, 1, H, H), their crossings."""
    rows, columns = inside.unbind(1)
    return rows[:, None, :, None] & columns[:, None, None, :]


_DRAW = {"color": _draw_color, "translation": _draw_translation, "cutout": _draw_cutout}
_APPLY = {"color": _color, "translation": _translation, "cutout": _cutout}
