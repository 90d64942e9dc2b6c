"""A classifier of images is trained: Adam (Kingma and Ba 2015) with a learning rate that falls linearly to 0, cross
entropy, shifts by up to 1/24 of the side, at least a pixel. It may tell several things, each with a head of its own.

One that has seen samples alone tells how far these stand in for real images (GAN-train: Shmelkov, Schmid and Alahari
2018, arXiv:1807.09499): its error on real ones is that of a GAN whose samples are poor, of the wrong class, or few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from evogan.fitness.features import FeatureNet, FeatureRecord, to_unit_range
from evogan.fitness.pretext import Classes, Task
from evogan.fitness.threads import one_each

STEPS = 200  # of a classifier of samples: of as many real ones it errs on 2 % of digits, on 3 % of MNIST
BATCH = 128
TOLD = 20

Head = tuple[Task, nn.Module]
Asked = tuple[
    Tensor, Tensor, list[tuple[nn.Module, Tensor]]
]  # images, the same shifted; heads, and what they are to say
Gradients = tuple[Tensor, ...]  # a loss, and its gradients


def gan_train_error(samples: Tensor, asked: Tensor, real: Tensor, labels: Tensor, seed: int) -> float:
    """Share of real images that a classifier of samples takes for another class, in [0, 1].

    Images uint8 (N, C, H, W), classes (N,); the same for the same seed.
    """
    rng = torch.Generator().manual_seed(seed)
    classes = int(max(asked.max(), labels.max())) + 1
    network = FeatureNet(FeatureRecord("", "", samples.shape[-1], samples.shape[1], classes), rng)
    epochs = max(1, STEPS // -(-len(samples) // BATCH))
    fit(network, [(Classes(classes), network.head)], samples, asked, epochs, rng)
    with torch.no_grad():
        said = torch.cat([network.logits(to_unit_range(part)).argmax(1) for part in real.split(BATCH)])
    return float((said != labels).double().mean())


def fit(
    network: FeatureNet,
    heads: Sequence[Head],
    images: Tensor,
    labels: Tensor | None,
    epochs: int,
    rng: torch.Generator,
    batch: int = BATCH,
    rate: float = 2e-3,
    parts: int = 1,
    progress: Callable[[float, float], None] | None = None,
) -> None:
    """The network and its heads, on images, uint8 (N, C, H, W), and labels (N,) if there are any.

    `parts`: a batch is split into so many, for as many cores; what is learned depends on it, but not on how many cores
    there are. `progress` hears `TOLD` times which share is done, in (0, 1], and the mean loss since the last time.
    """
    parameters = list(dict.fromkeys(p for part in (network, *(head for _, head in heads)) for p in part.parameters()))
    optimizer = torch.optim.Adam(parameters, lr=rate)
    steps = epochs * -(-len(images) // batch)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    losses: list[Tensor] = []
    done = 0
    with _workers(parts) as at_once:
        for _ in range(epochs):
            for index in torch.randperm(len(images), generator=rng).split(batch):
                asked = _asked(heads, to_unit_range(images[index]), None if labels is None else labels[index], rng)
                work = [partial(_gradients, network, asked, parameters, part, parts) for part in range(parts)]
                loss, *gradients = (sum(each) for each in zip(*at_once(work), strict=True))
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient
                optimizer.step()
                decay.step()
                losses.append(loss)
                done += 1
                if progress is not None and TOLD * done // steps > TOLD * (done - 1) // steps:
                    progress(done / steps, float(torch.stack(losses).mean()))
                    losses.clear()


def _asked(heads: Sequence[Head], images: Tensor, labels: Tensor | None, rng: torch.Generator) -> list[Asked]:
    """What each head is asked of a batch; heads that see the same images see them shifted alike."""
    found: dict[int, Asked] = {}
    for task, head in heads:
        seen, wanted = task.examples(images, labels, rng)
        if id(seen) not in found:
            found[id(seen)] = seen, _shift(seen, rng), []
        found[id(seen)][2].append((head, wanted))
    return list(found.values())


def _gradients(
    network: FeatureNet, asked: list[Asked], parameters: list[nn.Parameter], part: int, parts: int
) -> Gradients:
    """The loss of a part of a batch, as far as it goes into the batch's, and its gradients; 0 of a part, or a head, for
    which the last batch of an epoch has no image."""
    loss = torch.zeros(())
    for _, images, heads in asked:
        features, share = network(images[part::parts]), len(images[part::parts]) / len(images)
        for head, wanted in heads:
            if share:
                loss = loss + share * functional.cross_entropy(head(features), wanted[part::parts])
    if not loss.requires_grad:
        return loss, *map(torch.zeros_like, parameters)
    return loss.detach(), *torch.autograd.grad(loss, parameters, materialize_grads=True)


@contextmanager
def _workers(parts: int) -> Iterator[Callable[[Sequence[Callable[[], Gradients]]], Iterable[Gradients]]]:
    """Does several things at once, on as many cores."""
    if parts == 1:
        yield lambda work: [each() for each in work]
        return
    with one_each(parts) as pool:
        yield lambda work: pool.map(lambda each: each(), work)


def _shift(images: Tensor, rng: torch.Generator) -> Tensor:
    """The batch in four parts, each moved by its own random whole pixels; the border is repeated."""
    size = images.shape[-1]
    reach = max(1, size // 24)
    padded = functional.pad(images, [reach] * 4, mode="replicate")
    moves = torch.randint(0, 2 * reach + 1, (4, 2), generator=rng).tolist()
    parts = zip(padded.chunk(4), moves, strict=False)
    return torch.cat([part[:, :, top : top + size, left : left + size] for part, (top, left) in parts])
