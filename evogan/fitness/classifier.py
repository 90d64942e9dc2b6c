"""A classifier of images is trained: Adam (Kingma and Ba 2015) with a learning rate that falls linearly to 0, cross
entropy, shifts by up to 1/24 of the side, at least a pixel.

One that has seen samples alone tells how far these stand in for real images (GAN-train: Shmelkov, Schmid and Alahari
2018, arXiv:1807.09499): its error on real ones is that of a GAN whose samples are poor, of the wrong class, or few.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from evogan.fitness.features import FeatureNet, FeatureRecord, to_unit_range

STEPS = 200  # of a classifier of samples: of as many real ones it errs on 2 % of digits, on 3 % of MNIST
BATCH = 128


def gan_train_error(samples: Tensor, asked: Tensor, real: Tensor, labels: Tensor, seed: int) -> float:
    """Share of real images that a classifier of samples takes for another class, in [0, 1].

    Images uint8 (N, C, H, W), classes (N,); the same for the same seed.
    """
    rng = torch.Generator().manual_seed(seed)
    classes = int(max(asked.max(), labels.max())) + 1
    network = FeatureNet(FeatureRecord("", "", samples.shape[-1], samples.shape[1], classes), rng)
    epochs = max(1, STEPS // -(-len(samples) // BATCH))
    fit(network, samples, asked, epochs, rng)
    with torch.no_grad():
        said = torch.cat([network.logits(to_unit_range(part)).argmax(1) for part in real.split(BATCH)])
    return float((said != labels).double().mean())


def fit(
    network: FeatureNet,
    images: Tensor,
    labels: Tensor,
    epochs: int,
    rng: torch.Generator,
    batch: int = BATCH,
    rate: float = 2e-3,
    progress: Callable[[int, int, float], None] | None = None,
) -> None:
    """On images, uint8 (N, C, H, W), and labels (N,). `progress` hears (epoch, epochs, mean loss) after each epoch."""
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    steps = epochs * -(-len(images) // batch)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for epoch in range(epochs):
        losses = []
        for index in torch.randperm(len(images), generator=rng).split(batch):
            shifted = _shift(to_unit_range(images[index]), rng)
            loss = functional.cross_entropy(network.logits(shifted), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            decay.step()
            losses.append(loss.detach())
        if progress is not None:
            progress(epoch + 1, epochs, float(torch.stack(losses).mean()))


def _shift(images: Tensor, rng: torch.Generator) -> Tensor:
    """The batch in four parts, each moved by its own random whole pixels; the border is repeated."""
    size = images.shape[-1]
    reach = max(1, size // 24)
    padded = functional.pad(images, [reach] * 4, mode="replicate")
    moves = torch.randint(0, 2 * reach + 1, (4, 2), generator=rng).tolist()
    parts = zip(padded.chunk(4), moves, strict=False)
    return torch.cat([part[:, :, top : top + size, left : left + size] for part, (top, left) in parts])
