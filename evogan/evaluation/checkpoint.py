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
from evogan.families import family_of, image_fields
from evogan.families.build import build, count_parameters
from evogan.files import check_file, expand
from evogan.files.documents import parse_json
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.options import LARGEST_SEED, read_option
from evogan.trial import GANTask
from evogan.zoo.gan import parts

MAGIC = "evogan.generator"
MOST = 1_000_000  # images at once
LARGEST = 2**16  # side of an image, in pixels


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
        header, state = _read(expand(path))
        try:
            self.facts: dict[str, Any] = dict(parse_json(header))
            self.genome = _genome(self.facts.pop("genome"))
            size = read_option("image_size", self.facts["image_size"], int, low=1, high=LARGEST)
            channels = read_option("channels", self.facts["channels"], int, low=1, high=3)
            fields = image_fields(size, channels)
            needed = count_parameters(self.genome, fields)[family_of(self.genome).sampled]
            if needed > sum(map(torch.numel, state.values())):  # before memory is asked for
                raise UserError(f"its genome has {needed} weights, more than there are")
            self._gan = build(self.genome, fields, seed=0)
            self._gan.sampler.load_state_dict(state)
        except UserError as error:
            raise UserError(f"'{path}' is damaged: {error}") from None
        except KeyError as error:
            raise UserError(f"'{path}' is damaged: {error} is missing in its header") from None
        except (ValueError, TypeError):
            raise UserError(f"'{path}' is damaged: its header does not describe a generator") from None
        except RuntimeError:
            raise UserError(f"'{path}' is damaged: its weights do not fit its genome") from None

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """`n` images, (n, C, H, W) in [-1, 1]; the same for the same `n` and seed."""
        n = read_option("n", n, int, low=1, high=MOST)
        rng = torch.Generator().manual_seed(read_option("seed", seed, int, low=0, high=LARGEST_SEED))
        prompt = self._gan.prompts(n, {}, rng)
        return torch.cat([self._gan.sample(part) for part in parts(prompt, 500)])


def _genome(written: Any) -> Genome:
    try:
        return GENES.read(dict(written))
    except UserError as error:
        raise UserError(f"{error} (a plugin's? name it: --plugin)") from None


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The header's entry, and finite weights. Errors: UserError."""
    if not path.exists():
        raise UserError(f"no file '{path}'")
    check_file(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            header = (file.metadata() or {}).get(MAGIC)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"'{path}' is no generator: {error}") from None
    if header is None:
        raise UserError(f"'{path}' holds weights, but not of an evogan generator")
    for name, weights in state.items():
        if not weights.float().isfinite().all():
            raise UserError(f"'{path}' is damaged: not all numbers of '{name}' are finite")
    return header, state
