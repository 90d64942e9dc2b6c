"""Inception-v3 features (2048-d), as published FID scores use them, through torch-fidelity.

The weights are torch-fidelity's port of the original TensorFlow ones. They are never downloaded here: the
environment's EVOGAN_INCEPTION_WEIGHTS names the file.
"""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evogan.errors import UserError
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


def load_inception() -> InceptionFeatures:
    """Raises UserError where the weights are absent or not Inception's."""
    named = os.environ.get(VARIABLE)
    if not named:
        raise UserError(
            f"'inception' features need torch-fidelity's weights-inception-2015-12-05-6726825d.pth:"
            f" set {VARIABLE} to the path of that file"
        )
    path = Path(named).expanduser()
    if not path.is_file():
        raise UserError(f"{VARIABLE} names '{path}': no such file")
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        return InceptionFeatures(_extractor(weights)).eval().requires_grad_(False)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, TypeError, AttributeError) as error:
        raise UserError(f"{VARIABLE} names '{path}': not torch-fidelity's Inception weights") from error


def _extractor(weights: object) -> torch.nn.Module:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # torch-fidelity unpickles whatever its file holds: it gets a copy of what was loaded safely
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    buffer.seek(0)
    with torch.random.fork_rng(devices=[]):  # it draws weights before it loads them
        extractor: torch.nn.Module = FeatureExtractorInceptionV3("inception", ["2048"], buffer)
    return extractor
