"""Inception-v3 features (2048-d), as published FID scores use them, through torch-fidelity.

The weights are torch-fidelity's port of the original TensorFlow ones: the file that the environment's
EVOGAN_INCEPTION_WEIGHTS names, or the one in torch's cache of weights, where they are downloaded to on request.
"""

from __future__ import annotations

import io
import os
import pickle
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evogan.errors import UserError, one_line
from evogan.fitness.features import Features

VARIABLE = "EVOGAN_INCEPTION_WEIGHTS"


class InceptionFeatures(Features):
    """Images are rounded to 8 bits, as for published scores; the extractor resizes them to 299x299."""

    name = "inception"
    dim = 2048

    def __init__(self, extractor: torch.nn.Module) -> None:
        super().__init__()
        self.extractor: Any = extractor

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1], C in {1, 3} -> features (N, 2048)."""
        pixels = ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        features: Tensor = self.extractor(pixels.expand(-1, 3, -1, -1))[0]
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Without the biases, as published inception scores are computed."""
        logits: Tensor = features @ self.extractor.fc.weight.T
        return logits


def load_inception(download: bool = False) -> InceptionFeatures:
    """Errors: UserError where the weights are absent, cannot be had, or are not Inception's."""
    path = _weights(download)
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        return InceptionFeatures(_extractor(weights)).eval().requires_grad_(False)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, TypeError, AttributeError) as error:
        raise UserError(
            f"'{path}': not torch-fidelity's Inception weights, or damaged: "
            f"{f'{VARIABLE} names it' if os.environ.get(VARIABLE) else 'delete it and use --download'}"
        ) from error


def _weights(download: bool) -> Path:
    """Where they lie."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    if named := os.environ.get(VARIABLE):
        path = Path(named).expanduser()
        if not path.is_file():
            raise UserError(f"{VARIABLE} names '{path}': no such file")
        return path
    path = Path(str(torch.hub.get_dir()), "checkpoints", URL_INCEPTION_V3.rpartition("/")[2])
    if path.is_file():
        return path
    if not download:
        raise UserError(
            f"'inception' features need torch-fidelity's {path.name}: --download fetches it (about 90 MB), "
            f"or {VARIABLE} names it where it lies"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), path.stem.rpartition("-")[2], progress=False)
    except (OSError, RuntimeError, HTTPException) as error:  # no network, a full disk; another checksum
        raise UserError(
            f"Inception's weights cannot be fetched ({one_line(str(error))}): get {path.name} of torch-fidelity's "
            f"releases by other means, and let {VARIABLE} name it"
        ) from error
    return path


def _extractor(weights: object) -> torch.nn.Module:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # torch-fidelity unpickles whatever its file holds: it gets a copy of what was loaded safely
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    buffer.seek(0)
    with torch.random.fork_rng(devices=[]):  # it draws weights before it loads them
        extractor: torch.nn.Module = FeatureExtractorInceptionV3("inception", ["2048"], buffer)
    return extractor
