"""Feature networks: small classifiers whose last hidden layer is what FID and KID look at.

One that was trained without labels (`pretext.py`) is the same without its last layer.

    conv32 k3 - relu - [pool] - conv64 k3 - relu - pool - (conv64 k3 - relu - pool)* - F64 relu - F classes

Images of less than 16 pixels a side are padded and pooled once less; those of more than 38 pass more
convolutions, so that few positions reach the hidden layer. The package ships a network for each of `SHIPPED`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from evogan.errors import UserError
from evogan.files import check_file, write_whole
from evogan.files.documents import parse_json
from evogan.options import check_options, option

SHIPPED = ("digits", "mnist", "fashion_mnist")
NETWORKS = Path(__file__).parent / "networks"
LAST = -4  # of a network's layers: where its last maps are pooled
FORMAT = "evogan_features_1"  # the header's entry that holds the record


def to_unit_range(images: Tensor) -> Tensor:
    """0..255, uint8 or means of such -> float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


class Features(nn.Module):
    """Maps images (N, C, H, W) in [-1, 1] to features (N, `dim`), float32."""

    name: str
    dim: int
    classes: int = 0  # of the data that it was trained on, which it tells apart
    bounded = True  # whether what it is shown lies in [-1, 1]

    def classify(self, features: Tensor) -> Tensor | None:
        """The logits (N, classes) of features; None of a network that knows no classes."""
        return None

    def maps(self, images: Tensor) -> Tensor:
        """What a loss may compare images (N, C, H, W) by, with gradient: maps, or features where there are none."""
        found: Tensor = self(images)
        return found

    def describe(self) -> str:
        """In a line: which network it is, and what its scores mean."""
        return self.id

    @cached_property
    def id(self) -> str:
        """Name and a hash of the weights: scores are comparable where it is the same."""
        sha = hashlib.sha256()
        for name, weight in sorted(self.state_dict().items()):
            sha.update(f"{name}{tuple(weight.shape)}".encode())
            sha.update(weight.detach().cpu().contiguous().numpy().data)
        return f"{self.name}-{sha.hexdigest()[:8]}"


@dataclass(frozen=True)
class FeatureRecord:
    """What is known of a feature network.

    `name` and `fingerprint`: the data set it was trained on. `accuracy`: on held-out images, in [0, 1].
    `floor`: FID between all training images and the held-out ones. `noise`: (n, mean, standard deviation) of
    the FID of 10 random subsets of n training images against them all: what a perfect GAN would score. `tasks`: of a
    network that was trained without labels, so that it knows no classes: what it learned, (title, number of answers,
    accuracy on held-out images). `held_out`: how many images the floor is of. `seconds`: what training took.
    """

    name: str
    fingerprint: str
    image_size: int = option(low=1, high=2**31)
    channels: int = option(low=1, high=2**31)
    classes: int = option(low=0, high=2**31)
    accuracy: float = 0.0
    floor: float = 0.0
    noise: tuple[tuple[int, float, float], ...] = ()
    tasks: tuple[tuple[str, int, float], ...] = ()
    held_out: int = 0
    seconds: float = field(default=0.0, compare=False)

    def describe(self) -> str:
        """In words: how it was made, how well it learned, and what FID means on it."""
        took = f" in {self.seconds:.0f} s" if self.seconds else ""
        if self.tasks:
            right = ", ".join(f"{title} {accuracy:.1%} of {n}" for title, n, accuracy in self.tasks)
            made = f"learned without labels{took}, by pretext tasks (right on held-out images: {right})"
        else:
            made = f"a classifier{took and f', learned{took}'}: {self.accuracy:.1%} of held-out images right"
        few = f"{self.held_out:,} " if self.held_out else ""
        noise = "".join(f", of {n:,} perfect samples {mean:.3g} ± {sd:.2g}" for n, mean, sd in self.noise[-1:])
        return f"{made}; FID of {few}held-out images {self.floor:.3g}{noise}"


class FeatureNet(Features):
    """The network above, for `record`'s image size, channels and classes; weights drawn from `rng`."""

    dim = 64

    def __init__(self, record: FeatureRecord, rng: torch.Generator) -> None:
        super().__init__()
        self.record = record
        self.name, self.classes = record.name, record.classes
        with torch.device("meta"):  # so that torch's own initialisation draws no random numbers
            self.body, self.head = _layers(record)
        self.to_empty(device="cpu")
        with torch.no_grad():
            for parameter in self.parameters():
                if parameter.dim() > 1:
                    nn.init.kaiming_normal_(parameter, nonlinearity="relu", generator=rng)
                else:
                    parameter.zero_()
        self.to(memory_format=torch.channels_last)

    def describe(self) -> str:
        return f"{self.id}, {self.record.describe()}"

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1], of any size and channels -> features (N, 64), >= 0."""
        features: Tensor = self.body(self._fitting(images))
        return features

    def maps(self, images: Tensor) -> Tensor:
        """Likewise -> (N, 64, H', W'), of its last convolution, before they are pooled."""
        found: Tensor = self.body[:LAST](self._fitting(images))
        return found

    def _fitting(self, images: Tensor) -> Tensor:
        size, channels = self.record.image_size, self.record.channels
        images = images.float()
        if images.shape[1] != channels:
            images = images.mean(1, keepdim=True).expand(-1, channels, -1, -1)
        if images.shape[2:] != (size, size):
            images = functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
        return images

    def classify(self, features: Tensor) -> Tensor | None:
        return self.head(features) if self.classes else None

    def logits(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] -> (N, classes)."""
        logits: Tensor = self.head(self(images))
        return logits


def _layers(record: FeatureRecord) -> tuple[nn.Sequential, nn.Module]:
    small = record.image_size < 16
    side, width, layers = record.image_size, record.channels, list[nn.Module]()
    for stage, out in enumerate((32, 64, *[64] * 8)):
        if stage >= 2 and side <= 8:
            break
        layers += [nn.Conv2d(width, out, 3, padding=1 if small else 0), nn.ReLU()]
        side, width = side if small else side - 2, out
        if stage > 0 or not small:
            layers.append(nn.MaxPool2d(2))
            side //= 2
    layers += [nn.Flatten(), nn.Linear(width * side * side, 64), nn.ReLU()]
    return nn.Sequential(*layers), nn.Linear(64, record.classes) if record.classes else nn.Identity()


def save_network(network: FeatureNet, path: Path) -> None:
    """Write weights as float16 and the record as JSON in the header of a safetensors file."""
    weights = {name: weight.detach().half().contiguous() for name, weight in network.state_dict().items()}
    write_whole(path, save(weights, metadata={FORMAT: json.dumps(asdict(network.record))}))


def load_network(path: Path) -> FeatureNet:
    """Read what `save_network` wrote, ready to score."""
    record = read_record(path)
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        with torch.device("meta"):  # nothing is made before it is known to fit
            fitting = nn.ModuleDict(dict(zip(("body", "head"), _layers(record), strict=True))).state_dict()
        if any(found.shape != weights[name].shape for name, found in fitting.items()):
            raise ValueError
        network = FeatureNet(record, torch.Generator())
        network.load_state_dict(weights)
    except (SafetensorError, RuntimeError, TypeError, ValueError, KeyError) as error:
        raise UserError(f"feature network '{path}' is damaged: its weights do not fit its record") from error
    if not all(weight.isfinite().all() for weight in weights.values()):
        raise UserError(f"feature network '{path}' is damaged: not all of its weights are finite")
    return network.eval().requires_grad_(False)


def read_record(path: Path) -> FeatureRecord:
    """The record alone."""
    if not path.exists():
        raise UserError(f"feature network '{path}': no such file")
    check_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {})[FORMAT]
        fields: dict[str, Any] = dict(parse_json(header))
        noise = tuple((int(n), float(mean), float(sd)) for n, mean, sd in fields.pop("noise"))
        tasks = tuple((str(title), int(n), float(right)) for title, n, right in fields.pop("tasks", ()))
        record = FeatureRecord(**fields, noise=noise, tasks=tasks)
        check_options(record)
        return record
    except (SafetensorError, OSError) as error:
        raise UserError(f"feature network '{path}' is damaged, or not a safetensors file") from error
    except (UserError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"'{path}' is not a feature network made by 'evogan features train'") from error


def shipped_records() -> list[FeatureRecord]:
    return [read_record(NETWORKS / f"{name}.safetensors") for name in SHIPPED]


def shipped_for(fingerprint: str) -> str | None:
    """The shipped network that was trained on these very data."""
    return next((record.name for record in shipped_records() if record.fingerprint == fingerprint), None)


def feature_table() -> str:
    """The shipped networks' records as a Markdown table."""
    records = shipped_records()
    sizes = sorted({n for record in records for n, _, _ in record.noise})
    rows = [["features", "images", "held-out accuracy", "FID(train, held-out)", *[f"FID(n={n:,})" for n in sizes]]]
    rows.append(["---"] * len(rows[0]))
    for record in records:
        noise = {n: f"{mean:.3g} ± {sd:.2g}" for n, mean, sd in record.noise}
        images = f"{record.image_size}x{record.image_size}x{record.channels}"
        rows.append([record.name, images, f"{record.accuracy:.2%}", f"{record.floor:.3g}"])
        rows[-1] += [noise.get(n, "-") for n in sizes]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
