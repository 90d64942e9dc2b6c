"""A trained generator as one safetensors file: weights, genome and sizes, nothing that executes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from evogan.errors import UserError
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.options import SEED, read_option
from evogan.trial import GANTask
from evogan.zoo import build

MAGIC = "evogan.generator"
MOST = 1_000_000  # images at once


def pack_generator(generator: nn.Module, genome: Genome, task: GANTask, facts: Mapping[str, Any]) -> bytes:
    header = {
        "genome": dict(genome),
        "image_size": task.image_size,
        "channels": task.channels,
        "task": task.key,
        **facts,
    }
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    return save(state, metadata={MAGIC: json.dumps(header)})


class Generator:
    """A trained generator, ready to sample. Made by `evogan.load`.

    `genome`: what it was built from. `facts`: image_size, channels, task, key, fid.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            with safe_open(str(path), framework="pt") as file:
                header = (file.metadata() or {}).get(MAGIC)
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError:
            raise UserError(f"no file '{path}'") from None
        except (SafetensorError, OSError) as error:
            raise UserError(f"'{path}' is no generator: {error}") from None
        if header is None:
            raise UserError(f"'{path}' holds weights, but not of an evogan generator")
        try:
            self.facts: dict[str, Any] = json.loads(header)
            self.genome: Genome = GENES.read(self.facts.pop("genome"))
            self._gan = build(self.genome, self.facts["image_size"], self.facts["channels"], seed=0)
            self._gan.sampler.load_state_dict(state)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise UserError(f"'{path}' is damaged: {str(error).splitlines()[0]}") from None

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """`n` images, (n, C, H, W) in [-1, 1]; the same for the same `n` and seed."""
        n = read_option("n", n, int, low=1, high=MOST)
        rng = torch.Generator().manual_seed(read_option("seed", seed, int, low=0, high=SEED))
        latents = self._gan.latents(n, rng)
        return torch.cat([self._gan.sample(part) for part in latents.split(500)])
