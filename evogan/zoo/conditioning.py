"""How a class enters generator and critic, whatever their backbones. With 1_y the one-hot code of class y of K, in
whose place a condition that is a vector of K numbers, such as attributes or a sentence, stands as it is:

generator  one_hot         G([z, 1_y])                              CGAN, arXiv:1411.1784
           product         G(z o E y)                               the same, by an embedding as long as z
           per_class norms gains 1 + A_y, biases B_y of batch norm  1802.05637
           shared norms    gains 1 + A e, biases B e, e = E y       BigGAN, arXiv:1809.11096
critic     planes          C([x, 1_y at every pixel])               CGAN, with convolutions
           embedded_plane  C([x, E y as one more channel])
           projection      psi(phi(x)) + <E y, phi(x)>, phi the last features       1802.05637
           auxiliary       C(x), and logits of the class, linear in phi(x)          ACGAN, arXiv:1610.09585
           two_heads       C(x), and <E y, phi(x)>: whether x and y match
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evogan.zoo.critic import AroundCritic
from evogan.zoo.gan import Critique, Draws, Network
from evogan.zoo.generator import AroundGenerator, Generator
from evogan.zoo.layers import precise

TINY = 1e-30


def one_hot(labels: Tensor, classes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(N,) of 0 .. classes-1 -> (N, classes)."""
    return (labels[:, None] == torch.arange(classes, device=labels.device)).to(dtype)


def code_of(labels: Tensor, classes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(N, K): labels (N,) one-hot, or conditions (N, K) as they are."""
    return one_hot(labels, classes, dtype) if labels.dim() == 1 else labels.to(dtype)


def other_labels(labels: Tensor, classes: int, rng: torch.Generator) -> Tensor:
    """For every label (N,) one of the others, all alike probable; for conditions (N, K) one of those that are there and
    differ, if any does."""
    if labels.dim() > 1:
        differs = (labels[:, None] != labels).any(2).float()
        picked = torch.multinomial(differs + TINY, 1, generator=rng)
        return labels[picked[:, 0]]
    step = torch.randint(1, classes, labels.shape, generator=rng, device=labels.device)
    return (labels + step) % classes


class LabelledGenerator(AroundGenerator):
    """Latents (N, latent), draws and labels (N,), or conditions (N, classes), -> images, by a generator of longer
    latents, or one with such norms.

    `entry`: one_hot, product or none. `embedding`: size of the one that the norms share; 0 where they have none.
    `normed`: whether the norms of `generator` are given the class, or its embedding, at all.
    """

    def __init__(
        self, generator: Generator, entry: str, classes: int, latent: int, *, normed: bool, embedding: int = 0
    ) -> None:
        super().__init__(generator)
        self.entry, self.classes, self.normed = entry, classes, normed
        if entry == "product":
            self.embedding = nn.Linear(classes, latent, bias=False)
        if embedding:
            self.shared = nn.Linear(classes, embedding, bias=False)
        self._shares = embedding > 0

    def enter(self, latent: Tensor, code: Tensor) -> Tensor:
        """What the generator starts from, of a code (N, classes)."""
        if self.entry == "one_hot":
            return torch.cat([latent, code], 1)
        return latent * self.embedding(code) if self.entry == "product" else latent

    def after_step(self, inputs: Tensor, *labels: Tensor) -> None:
        self.generator.after_step(self.enter(inputs, code_of(labels[0], self.classes, inputs.dtype)))

    def forward(self, latent: Tensor, draws: Draws, labels: Tensor) -> Tensor:
        code = code_of(labels, self.classes, latent.dtype)
        draws = self.generator.entered(draws, lambda other: self.enter(other, code))
        given = (self.shared(code) if self._shares else code,) if self.normed else ()
        images: Tensor = self.generator(self.enter(latent, code), draws, *given)
        return images


class LabelledCritic(AroundCritic):
    """(N, C, H, W), draws and labels (N,), or conditions (N, classes), -> `Critique`.

    `critic` is given more channels where the class enters as planes: `extra_channels`.
    """

    def __init__(self, critic: Network, how: str, classes: int, size: int) -> None:
        super().__init__(critic)
        self.how, self.classes, self._size = how, classes, size
        if how == "embedded_plane":
            self.embedding = nn.Linear(classes, size * size, bias=False)
        elif how in ("projection", "two_heads"):
            self.embedding = nn.Linear(classes, self.head.in_features, bias=False)
        elif how == "auxiliary":
            self.class_head = nn.Linear(self.head.in_features, classes)

    def forward(self, x: Tensor, draws: Draws, labels: Tensor) -> Critique:
        code = code_of(labels, self.classes, x.dtype)
        if self.how == "planes":
            planes = code[:, :, None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, planes], 1)
        elif self.how == "embedded_plane":
            x = torch.cat([x, self.embedding(code).to(x.dtype).unflatten(1, (1, self._size, self._size))], 1)
        said: Critique = self.critic(x, draws)
        if self.how == "auxiliary":
            return said._replace(classes=precise(self.class_head(said.features)))
        if self.how == "projection":
            return said._replace(score=said.score + precise(self.embedding(code) * said.features).sum(1))
        if self.how == "two_heads":
            every = torch.eye(self.classes, dtype=x.dtype, device=x.device)
            return said._replace(classes=precise(said.features @ self.embedding(every).mT))
        return said


def extra_channels(how: str, classes: int) -> int:
    """Of a critic's input, beside the image's."""
    return {"planes": classes, "embedded_plane": 1}.get(how, 0)


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of class logits (N, K) and labels (N,)."""
    code = one_hot(labels, logits.shape[1], logits.dtype)
    return -(torch.log_softmax(logits, 1) * code).sum(1).mean()


def match(logits: Tensor, labels: Tensor) -> Tensor:
    """Of what is said of every class (N, K) that of its own, (N,)."""
    return (logits * code_of(labels, logits.shape[1], logits.dtype)).sum(1)
