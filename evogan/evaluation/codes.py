"""What is done with a GAN that has an encoder: its codes judged, swept, and decoded again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evogan.caller import undrawn
from evogan.data import Dataset
from evogan.data.dataset import spread
from evogan.families.plain.model import LATENT, PlainGAN
from evogan.fitness import NonFiniteSamples
from evogan.fitness.encoders import clustering_error, code_nn_error, mutual_information, nmi, reconstruction_ratio
from evogan.fitness.threads import threads
from evogan.stable import derive_seed
from evogan.training.feed import prepared
from evogan.zoo.gan import Encodes, Prompt
from evogan.zoo.latents import ends

CATEGORY, CONTINUOUS, CODE_NN = "category", "continuous", "code_nn_error"
REACH = 2.0  # of a sweep: how far it goes
PANELS, ROWS, NUMBERS = 3, 20, 10  # codes side by side, and rows of categories or of numbers, at most
JUDGED, KNOWN, SAMPLED = 5000, 10_000, 1000  # at most: images to judge by, training images beside, samples

Code = Mapping[str, Tensor]


def encode(gan: Encodes, images: Tensor, at_once: int = 500) -> dict[str, Tensor]:
    """The parts (N, size) of the codes of images, uint8 (N, C, H, W) or floats in [-1, 1]; on the CPU."""
    device = next(gan.encoder.parameters()).device
    found = [gan.encode(prepared(part.to(device))) for part in images.split(at_once)]
    return {name: torch.cat([code[name].float().cpu() for code in found]) for name in gan.code}


def decode(gan: Encodes, code: Code, at_once: int = 500) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] of the parts of codes; on the CPU."""
    device = next(gan.encoder.parameters()).device
    parts = zip(*(code[name].to(device).split(at_once) for name in gan.code), strict=True)
    return torch.cat([gan.decode(dict(zip(gan.code, part, strict=True))).float().cpu() for part in parts])


def joined(code: Code) -> Tensor:
    """All numbers of codes, (N, size of all parts)."""
    return torch.cat([*code.values()], 1)


def judged(gan: Encodes, data: Dataset, half: slice, seed: int, at_once: int, *, dear: bool) -> dict[str, float]:
    """By one half of the held-out images: what labels are needed for, only where there are any.

    `dear`: the nearest of the training images as well.
    """
    half = half if len(data.held_out[half]) > 1 else slice(None)  # pairs take two
    images = torch.tensor(spread(data.held_out[half], JUDGED))
    code = encode(gan, images, at_once)
    if not joined(code).isfinite().all():
        raise NonFiniteSamples("codes of images are NaN or infinite")
    again, rng = decode(gan, code, at_once), torch.Generator().manual_seed(derive_seed(seed, "pairs"))
    with threads(1):  # their number changes sums
        found = {"reconstruction_ratio": reconstruction_ratio(prepared(images), again, rng)}
    if data.labels is None or data.held_out_labels is None or data.labels.ndim > 1:
        return found
    labels = torch.tensor(spread(data.held_out_labels[half], JUDGED))
    if CATEGORY in code:
        category = code[CATEGORY].argmax(1)
        found |= {"clustering_error": clustering_error(category, labels), "nmi": nmi(category, labels)}
    if dear:
        rng = torch.Generator().manual_seed(derive_seed(seed, "known"))
        rows = torch.randperm(len(data.images), generator=rng)[:KNOWN].numpy()
        known = encode(gan, torch.tensor(data.images[rows]), at_once)
        with threads(1):
            found[CODE_NN] = code_nn_error(joined(known), torch.tensor(data.labels[rows]), joined(code), labels)
    return found


def told(gan: Encodes, prompts: Iterable[Prompt], sample: Callable[[Prompt], Tensor]) -> dict[str, float]:
    """The mutual information of samples and the categories that they are made of, where they are."""
    said, asked = [], []
    for prompt in prompts:
        if CATEGORY not in gan.code or CATEGORY not in prompt:
            return {}
        said.append(encode(gan, sample(prompt))[CATEGORY])
        asked.append(prompt[CATEGORY].cpu())
    with threads(1):
        return {"mutual_information": mutual_information(torch.cat(said), torch.cat(asked))}


# --- what is seen of it


@dataclass(frozen=True)
class Plane:
    """Points (N, 2), what lies along either axis in words, and how many columns there are, around 0, 1, ...."""

    points: npt.NDArray[np.float64]
    across: str
    up: str
    columns: int = 0


def plane(code: Code) -> Plane:
    """Codes of a category in a column each, there as far as the first continuous number says, and as high as the
    second; codes without categories along the first two principal components of all their numbers."""
    if CATEGORY not in code:
        return _principal(joined(code).double().numpy())
    sure, category = (x.double().numpy() for x in code[CATEGORY].max(1))
    numbers = [*code.get(CONTINUOUS, torch.empty(0, 0)).double().numpy().T][:2]
    along, up = {0: (np.linspace(-1, 1, len(sure)), sure), 1: (sure, *numbers)}.get(len(numbers), numbers)
    said = {0: ("category", "its probability"), 1: ("category, the surer the further right", "continuous code")}
    names = said.get(len(numbers), ("category, and within it the first continuous code", "the second"))
    points = np.stack([category + 0.4 * along / max(np.abs(along).max(), 1e-12), up], 1)
    return Plane(points, *names, columns=code[CATEGORY].shape[1])


def _principal(numbers: npt.NDArray[np.float64]) -> Plane:
    with undrawn():
        from sklearn.decomposition import PCA  # takes a second

    if len(numbers) == 1:
        return Plane(np.zeros((1, 2)), "one code", "")
    pca = PCA(min(2, *numbers.shape), svd_solver="covariance_eigh").fit(numbers)
    missing = 2 - pca.n_components_
    shares = [*np.nan_to_num(pca.explained_variance_ratio_), *[0.0] * missing]
    points = np.pad(pca.transform(numbers), ((0, 0), (0, missing)))
    return Plane(points, f"first principal component, {shares[0]:.0%} of the variance", f"second, {shares[1]:.0%}")


def of_category(prompt: Prompt, category: int) -> Prompt:
    """The prompt, all of one category."""
    asked = torch.zeros_like(prompt[CATEGORY])
    asked[:, category] = 1
    return {**prompt, CATEGORY: asked}


def of_every_category(prompt: Prompt) -> Prompt:
    """The prompt once for each category, in their order, as far as there are rows for them."""
    each = [of_category(prompt, category) for category in range(min(ROWS, prompt[CATEGORY].shape[1]))]
    return {name: torch.cat([one[name] for one in each]) for name in prompt}


@dataclass(frozen=True)
class Sweep:
    """What a code does, as a grid: `prompt` has its cells row after row, in `panels` side by side of as many `columns`.

    A row a category, or one of a category that is given; along it a continuous code goes from -2 to 2, all else being
    as it was, and the other codes 0. Several such codes have a panel each, where there are no rows of categories a row
    each; without any, the coordinates of a latent. Where only a category is to be seen, columns are samples.
    """

    prompt: Prompt
    columns: int
    panels: int = 1

    @classmethod
    def of(cls, gan: Encodes, prompt: Prompt, category: int | None = None) -> Self:
        """`prompt`: as many rows as there are to be columns."""
        columns, code = len(next(iter(prompt.values()))), gan.code
        one: Prompt = {name: x[:1] for name, x in prompt.items()}
        if CONTINUOUS in code:
            one = {**one, CONTINUOUS: torch.zeros_like(one[CONTINUOUS])}
        part, ends = (CONTINUOUS, (-REACH, REACH)) if CONTINUOUS in code else (LATENT, _ends(gan))
        swept = range(code.get(part, 0))
        if CATEGORY in code and category is None:
            if not swept:
                return cls(of_every_category(prompt), columns)
            rows = [_along(of_every_category(one), part, i, ends, columns) for i in swept[:PANELS]]
            panels = {name: torch.stack([x[name].unflatten(0, (-1, columns)) for x in rows], 1) for name in prompt}
            return cls({name: x.flatten(0, 2) for name, x in panels.items()}, columns, len(rows))
        if category is not None:
            one, prompt = of_category(one, category), of_category(prompt, category)
        if not swept:
            return cls(prompt, columns)
        rows = [_along(one, part, i, ends, columns) for i in swept[:NUMBERS]]
        return cls({name: torch.cat([row[name] for row in rows]) for name in prompt}, columns)

    def arranged(self, images: Tensor) -> Tensor:
        """Its images as (rows, panels, columns, C, H, W)."""
        cells: Tensor = images.unflatten(0, (-1, self.panels, self.columns))
        return cells


def side_by_side(panels: Tensor) -> tuple[Tensor, int]:
    """Images (rows, panels, columns, C, H, W) row after row, with an empty column between panels, and how many columns
    there are so."""
    spaced = torch.cat([panels, torch.full_like(panels[:, :, :1], -1)], 2).flatten(1, 2)[:, :-1]
    return spaced.flatten(0, 1), spaced.shape[1]


def _along(prompt: Prompt, part: str, coordinate: int, ends: tuple[float, float], columns: int) -> dict[str, Tensor]:
    """Each row of the prompt as many times, one coordinate of a part of it going from end to end."""
    rows = {name: x.repeat_interleave(columns, 0) for name, x in prompt.items()}
    steps = torch.linspace(*ends, columns, device=rows[part].device)
    rows[part][:, coordinate] = steps.repeat(len(rows[part]) // columns)
    return rows


def _ends(gan: object) -> tuple[float, float]:
    """Of a latent's coordinate: as far as a continuous code goes, but not beyond what there can be."""
    low, high = ends(gan.prior) if isinstance(gan, PlainGAN) else (-REACH, REACH)
    return max(low, -REACH), min(high, REACH)


def pairs(images: Tensor, again: Tensor, columns: int) -> Tensor:
    """Rows of a grid: images, and below each its reconstruction; the last are filled up."""
    empty = images.new_full((-len(images) % columns, *images.shape[1:]), -1)
    whole = [torch.cat([each, empty]).unflatten(0, (-1, columns)) for each in (images, again)]
    return torch.stack(whole, 1).flatten(0, 2)
