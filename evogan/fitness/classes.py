"""Judges of GANs that are asked for classes: whether they make what they are asked for.

class_fid       mean over the classes of FID between what was generated as the class and training images of it
gan_test_error  share of samples that a classifier of real images, the feature network, takes for another class than
                was asked for (GAN-test: Shmelkov, Schmid and Alahari 2018, arXiv:1807.09499)
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from evogan.fitness.features import Features
from evogan.fitness.frechet import Moments, frechet_distance


class Classes:
    """`moments` of the training images of each label, and what the network calls `each`."""

    def __init__(self, moments: dict[int, Moments], each: Tensor) -> None:
        self._moments, self._each = moments, each

    @classmethod
    @torch.no_grad()
    def of(cls, network: Features, real: Tensor, labels: Tensor) -> Self | None:
        """From features (n, d) of training images with labels (n,).

        None unless the network knows these classes: calls most images of each what it calls most of no other.
        """
        logits = network.classify(real)
        if logits is None or labels.dim() != 1:
            return None
        seen, asked = logits.argmax(1).cpu(), labels.unique()
        each = torch.full((int(labels.max()) + 1,), -1)
        each[asked] = torch.stack([seen[labels == label].mode().values for label in asked])
        known = [2 * (seen[labels == label] == each[label]).sum() > (labels == label).sum() for label in asked]
        if not all(known) or len(each[asked].unique()) < len(asked):
            return None
        moments = {int(y): Moments.of(real[labels == y]) for y in asked if (labels == y).sum() > 1}
        return cls(moments, each)

    @torch.no_grad()
    def measure(self, network: Features, fake: Tensor, labels: Tensor) -> dict[str, float]:
        """Of features (n, d) of samples that were asked for as labels (n,); those of classes that were not among the
        training images are left out.

        A class of which there are fewer than two has no distance; without any there is no mean.
        """
        seen = (labels < len(self._each)) & (self._each[labels.clamp(max=len(self._each) - 1)] >= 0)
        fake, labels = fake[seen.to(fake.device)], labels[seen]
        if not len(labels):
            return {}
        logits = network.classify(fake)
        assert logits is not None
        wrong = logits.argmax(1).cpu() != self._each[labels]
        found = {"gan_test_error": float(wrong.double().mean())}
        distances = [
            frechet_distance(moments, Moments.of(fake[labels == label]))
            for label, moments in self._moments.items()
            if (labels == label).sum() > 1
        ]
        return {"class_fid": sum(distances) / len(distances), **found} if distances else found
