"""Ways through a generator's latents: what lies between samples, and what a coordinate or a style does.

Each function gives the prompt of a grid, row after row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from evogan.errors import UserError
from evogan.families.plain.model import CHANGE, LATENT, OTHER, PlainGAN
from evogan.options import read_option
from evogan.zoo.gan import GAN, Prompt, Writes
from evogan.zoo.latents import between, ends


def of_latents(gan: GAN) -> PlainGAN:
    """Errors: UserError for a GAN of another family, whose latents are its own affair."""
    if isinstance(gan, Writes):
        raise UserError("sequences have no latents to walk through")
    if not isinstance(gan, PlainGAN):
        raise UserError("only a plain GAN's latents can be walked through")
    return gan


def interpolation(gan: PlainGAN, prompt: Prompt, columns: int) -> Prompt:
    """A row of the grid goes from a latent of the prompt's first half to one of its second, with the first's class."""
    first, last = prompt[LATENT].chunk(2)
    steps = torch.linspace(0, 1, columns)
    labels = {name: x.chunk(2)[0].repeat_interleave(columns, 0) for name, x in prompt.items() if name != LATENT}
    return {LATENT: between(gan.prior.kind, first, last, steps).flatten(0, 1), **labels}


def sweep(gan: PlainGAN, prompt: Prompt, coordinate: int, columns: int) -> Prompt:
    """In each row a coordinate of its latent goes from low to high. Errors: UserError for one that there is not."""
    latents = prompt[LATENT]
    coordinate = read_option("sweep", coordinate, int, low=0, high=latents.shape[1] - 1)
    rows = {name: x.repeat_interleave(columns, 0) for name, x in prompt.items()}
    rows[LATENT][:, coordinate] = torch.linspace(*ends(gan.prior), columns).repeat(len(latents))
    return rows


def mixture(gan: PlainGAN, prompt: Prompt, rows: int, columns: int) -> Prompt:
    """Every row's latent gives the styles of the coarser half of the layers, every column's those of the finer.

    The prompt has rows + columns latents, of one class. Errors: UserError for a generator without styles.
    """
    if gan.styles is None:
        raise UserError(f"nothing to mix: only StyleGAN's generators have styles, this one is {gan.genes['backbone']}")
    latents, n = prompt[LATENT], rows * columns
    labels = {name: x[:1].expand(n, *x.shape[1:]) for name, x in prompt.items() if name != LATENT}
    coarse, fine = latents[:rows].repeat_interleave(columns, 0), latents[rows:].repeat(rows, 1)
    return {LATENT: coarse, OTHER: fine, CHANGE: torch.full((n,), gan.styles.layers // 2), **labels}


def walk(gan: PlainGAN, prompt: Prompt, images: int, frames: int) -> Prompt:
    """As many frames of so many images: each goes from one of its latents in the prompt to the next, and in the end to
    the first again. The prompt has a multiple of `images`; those of an image have the class of its first.
    """
    stops: Tensor = prompt[LATENT].unflatten(0, (-1, images))
    place = torch.arange(frames) * len(stops) / frames
    first = place.long()
    latents = [
        between(gan.prior.kind, stops[i], stops[(i + 1) % len(stops)], (p - i)[None])[:, 0]
        for i, p in zip(first.tolist(), place, strict=True)
    ]
    labels = {name: x[:images].repeat(frames, *[1] * (x.dim() - 1)) for name, x in prompt.items() if name != LATENT}
    return {LATENT: torch.cat(latents), **labels}
