"""Networks from image to code, and critics that look at codes. With phi the features of a backbone's critic:

Encoder          F o of phi                        its own network: BiGAN's E, the encoder of a VAE
CodedCritic      score; code = F o of act(norm(F u of phi))    InfoGAN's Q, arXiv:1606.03657: a head on the critic
PairCritic       of pairs (x, z), arXiv:1605.09782 and 1606.00704 (ALI)
    plane        C([x, E z as one more channel]); of dense networks, whose first layer is of [x, E z]
    features     F 1 of act(F u of [phi(x), act(F u z)])
ThreeClassCritic logits l of real, reconstructed, generated; score = l_0 - log(e^l_1 + e^l_2), the logit of "real"
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evogan.zoo.code import CATEGORY, Code
from evogan.zoo.critic import AroundCritic
from evogan.zoo.gan import Critique, Draws, Network
from evogan.zoo.layers import LeakyReLU, dense_norm, precise


def with_outputs(critic: Network, outputs: int) -> None:
    """Instead of one score it has as many, (N, outputs)."""
    while isinstance(critic, AroundCritic):
        critic = critic.critic
    before: nn.Linear = critic.head  # type: ignore[assignment]
    critic.head = nn.Linear(before.in_features, outputs, bias=before.bias is not None)
    if (gain := getattr(before, "gain", None)) is not None:
        critic.head.gain = gain


class Encoder(Network):
    """Images (N, C, H, W) -> (N, outputs), by a backbone's critic."""

    def __init__(self, critic: Network, outputs: int) -> None:
        super().__init__()
        self.critic, self._outputs = critic, outputs
        with_outputs(critic, outputs)

    def begin(self, progress: float) -> bool:
        return self.critic.begin(progress)

    def forward(self, images: Tensor) -> Tensor:
        said: Critique = self.critic(self.critic.present(images))
        return said.score.view(-1, self._outputs)


class CodedCritic(AroundCritic):
    """A critic that has a head for codes too, of as many hidden `units` with this norm."""

    def __init__(self, critic: Network, outputs: int, *, units: int, norm: str, slope: float) -> None:
        super().__init__(critic)
        self.code = nn.Sequential(
            nn.Linear(self.head.in_features, units),
            dense_norm("none" if norm == "virtual_batch" else norm, units),
            LeakyReLU(slope),
            nn.Linear(units, outputs),
        )

    def forward(self, x: Tensor, draws: Draws = ()) -> Critique:
        said: Critique = self.critic(x, draws)
        return said._replace(code=precise(self.code(said.features)))


class PairCritic(AroundCritic):
    """(N, C, H, W), draws and latents (N, latent) -> `Critique`. `entry`: plane or features; a plane is one channel
    more of `critic`, with images of side `size`; of `units` are the layers that features meet in.
    """

    def __init__(self, critic: Network, entry: str, latent: int, *, size: int, units: int, slope: float) -> None:
        super().__init__(critic)
        self.entry, self._size = entry, size
        if entry == "plane":
            self.plane = nn.Linear(latent, size * size, bias=False)
            return
        with_outputs(critic, units)
        self.latent = nn.Sequential(nn.Linear(latent, units), LeakyReLU(slope), nn.Linear(units, units, bias=False))
        self.joint = LeakyReLU(slope)
        self.last = nn.Linear(units, 1)

    @property
    def head(self) -> nn.Linear:
        return super().head if self.entry == "plane" else self.last

    def forward(self, x: Tensor, draws: Draws, z: Tensor) -> Critique:
        if self.entry == "plane":
            plane = self.plane(z).to(x.dtype).unflatten(1, (1, self._size, self._size))
            said: Critique = self.critic(torch.cat([x, plane], 1), draws)
            return said
        wide: Critique = self.critic(x, draws)
        features = self.joint(wide.score + self.latent(z))
        return Critique(precise(self.last(features)).squeeze(1), features)


class ThreeClassCritic(AroundCritic):
    """`classes` (N, 2): the logits of reconstructed and of generated images."""

    def __init__(self, critic: Network) -> None:
        super().__init__(critic)
        with_outputs(critic, 3)

    def forward(self, x: Tensor, draws: Draws = ()) -> Critique:
        said: Critique = self.critic(x, draws)
        real, kinds = said.score[:, 0], said.score[:, 1:]
        return said._replace(score=real - kinds.logsumexp(1), classes=kinds)


def read(said: Tensor, code: Code) -> dict[str, Tensor]:
    """What outputs (N, size) say of each part of a code: probabilities of the category, means of the numbers."""
    parts = code.split(said)
    return parts | ({CATEGORY: parts[CATEGORY].softmax(1)} if CATEGORY in parts else {})
