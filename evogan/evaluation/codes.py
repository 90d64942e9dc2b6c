"""What is done with a GAN that has an encoder: its codes judged, swept, and decoded again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from evogan.data import Dataset
from evogan.fitness.encoders import clustering_error, code_nn_error, mutual_information, nmi, reconstruction_ratio
from evogan.fitness.threads import threads
from evogan.stable import derive_seed
from evogan.training.feed import prepared
from evogan.zoo.gan import Encodes, Prompt

CATEGORY, CONTINUOUS, CODE_NN = "category", "continuous", "code_nn_error"
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
    images = torch.tensor(data.held_out[half][:JUDGED])
    code = encode(gan, images, at_once)
    with threads(1):  # their number changes sums
        rng = torch.Generator().manual_seed(derive_seed(seed, "pairs"))
        found = {"reconstruction_ratio": reconstruction_ratio(prepared(images), decode(gan, code, at_once), rng)}
    if data.labels is None or data.held_out_labels is None or data.labels.ndim > 1:
        return found
    labels = torch.tensor(data.held_out_labels[half][:JUDGED])
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
