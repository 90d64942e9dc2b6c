"""Generators that make of an image of one domain one of another, and the critics of domains.

apart          a network into each of two domains: CycleGAN, arXiv:1703.10593. It may be given a latent, as planes, of
               what images of its domain have and others do not; an encoder finds it in an image and its partner:
               Augmented CycleGAN, arXiv:1802.10151
                   C4 n s2, LR | C4 2n s2, LR | the mean over places, F k
autoencoders   an encoder and a decoder for each domain, the halves of a residual translator, cut amid its blocks:
               ComboGAN, arXiv:1712.06909. Some of the blocks at the cut may be the same for all: XGAN, arXiv:1711.05139
one            one network for all, which is given the image and the target, planes of ones and zeros, a plane a domain;
               beyond its borders are zeros, or instance norm would take planes away: StarGAN, arXiv:1711.09020
                   C7 n, norm, relu | C4 2n s2, norm, relu | C4 4n s2, norm, relu | R blocks | T4 2n s2, norm, relu |
                   T4 n s2, norm, relu | C7 c, tanh

Each critic is one of patches, of a domain or of all; beside it may be a classifier of images' domains, on the last
features of a critic of all, and one of codes: C3 s2, LR | C1, the mean over places. It may tell three classes apart, by
logits l of real images, of translations, and of what is made of images of its own domain: DTN, arXiv:1611.02200. Its
score is that of "real", l_0 - log(e^l_1 + e^l_2). Of latents and of a classifier's logits: F n, LR | F n, LR | F 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from evogan.zoo.gan import Critique, Draws, Network
from evogan.zoo.layers import LeakyReLU, draw_masks, norm, precise
from evogan.zoo.patches import PatchCritic
from evogan.zoo.translators import ResNet, Translator


class Crossing(Network):
    """Of images (N, C, H, W) in [-1, 1] of domain `origin` such of domain `target`, likewise; draws are of one pass."""

    def forward(self, images: Tensor, draws: Draws, origin: int, target: int) -> Tensor:
        """Where both are the same, as if the images were to be brought into their own domain."""
        return self.decode(self.encode(images, draws, origin), draws, target)

    def encode(self, images: Tensor, draws: Draws, origin: int) -> Tensor:
        """What lies between: the images themselves, where there are no codes."""
        return images

    def decode(self, code: Tensor, draws: Draws, target: int) -> Tensor:
        raise NotImplementedError


class Apart(Crossing):
    """`into`: of each domain the network that makes its images, whatever they are made of. `latent`: how many numbers
    each is given; `encoders`: of each domain, if so. The latent, (N, latent), is the first of the draws."""

    def __init__(self, into: Sequence[Translator], latent: int = 0, encoders: Sequence[LatentEncoder] = ()) -> None:
        super().__init__()
        self.into, self.encoders = nn.ModuleList(into), nn.ModuleList(encoders)
        self.latent = latent

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        first: Translator = self.into[0]  # type: ignore[assignment]
        latent = (torch.randn(n, self.latent, generator=rng, device=rng.device),) if self.latent else ()
        return (*latent, *first.draws(n, rng))

    def decode(self, code: Tensor, draws: Draws, target: int) -> Tensor:
        """Without draws of a latent of zeros."""
        latent = draws[0] if self.latent and draws else code.new_zeros(len(code), self.latent)
        made: Tensor = self.into[target](latent, draws[1:] if self.latent else draws, code)
        return made

    def infer(self, own: Tensor, other: Tensor, domain: int) -> Tensor:
        """The latent (N, latent) of images of the domain, each beside its partner in the other one."""
        found: Tensor = self.encoders[domain](torch.cat([own, other.to(own.dtype)], 1))
        return found


class LatentEncoder(nn.Module):
    """(N, channels, H, W) -> (N, latent)."""

    def __init__(self, channels: int, latent: int, filters: int, slope: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(channels, filters, 4, 2, 1), LeakyReLU(slope)),
            *(nn.Conv2d(filters, 2 * filters, 4, 2, 1), LeakyReLU(slope)),
        )
        self.head = nn.Linear(2 * filters, latent)

    def forward(self, x: Tensor) -> Tensor:
        return precise(self.head(self.layers(x).mean((2, 3))))


class Autoencoders(Crossing):
    """Of `domains` domains. `blocks`: of encoder and decoder together; `shared`: the last of the one and the first of
    the other that are the same for all domains, at most all of each."""

    def __init__(
        self,
        size: int,
        channels: int,
        domains: int,
        *,
        filters: int,
        blocks: int,
        shared: int,
        normed: str,
        dropout: float,
    ) -> None:
        super().__init__()
        before, after = blocks // 2, blocks - blocks // 2
        self._cuts = (max(before - shared, 0), before, before + min(shared, after))
        form = {"filters": filters, "normed": normed, "dropout": dropout}
        own = blocks - (self._cuts[2] - self._cuts[0])
        self.own = nn.ModuleList(ResNet(size, channels, channels, blocks=own, **form) for _ in range(domains))  # type: ignore[arg-type]
        self.shared = nn.ModuleList(Block(4 * filters, normed) for _ in range(self._cuts[2] - self._cuts[0]))
        self._dropout, self._maps = dropout, [(4 * filters, size // 4, size // 4)] * blocks

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return draw_masks(self._maps, n, self._dropout, rng)

    def encode(self, images: Tensor, draws: Draws, origin: int) -> Tensor:
        network: ResNet = self.own[origin]  # type: ignore[assignment]
        x: Tensor = network.before(images)
        for i in range(self._cuts[1]):
            x = self._block(network, i, x, draws)
        return x

    def decode(self, code: Tensor, draws: Draws, target: int) -> Tensor:
        network: ResNet = self.own[target]  # type: ignore[assignment]
        for i in range(self._cuts[1], len(self._maps)):
            code = self._block(network, i, code, draws)
        return torch.tanh(network.after(code))

    def _block(self, network: ResNet, i: int, x: Tensor, draws: Draws) -> Tensor:
        """The i-th of encoder and decoder."""
        begin, _, end = self._cuts
        mask = draws[i] if draws else None
        if begin <= i < end:
            found: Tensor = self.shared[i - begin](x, mask)
            return found
        return network.block(i if i < begin else i - (end - begin), x, mask)


class One(Crossing):
    """For all of `domains` domains."""

    def __init__(
        self, size: int, channels: int, domains: int, *, filters: int, blocks: int, normed: str, dropout: float
    ) -> None:
        super().__init__()
        n, bias = filters, normed in ("none", "instance")

        def then(channels: int) -> list[nn.Module]:
            return [norm(normed, channels), nn.ReLU()]

        self.before = nn.Sequential(
            *(nn.Conv2d(channels + domains, n, 7, 1, 3, bias=bias), *then(n)),
            *(nn.Conv2d(n, 2 * n, 4, 2, 1, bias=bias), *then(2 * n)),
            *(nn.Conv2d(2 * n, 4 * n, 4, 2, 1, bias=bias), *then(4 * n)),
        )
        self.blocks = nn.ModuleList(Block(4 * n, normed, "zeros") for _ in range(blocks))
        self.after = nn.Sequential(
            *(nn.ConvTranspose2d(4 * n, 2 * n, 4, 2, 1, bias=bias), *then(2 * n)),
            *(nn.ConvTranspose2d(2 * n, n, 4, 2, 1, bias=bias), *then(n)),
            nn.Conv2d(n, channels, 7, 1, 3),
        )
        self._domains, self._dropout = domains, dropout
        self._maps = [(4 * n, size // 4, size // 4)] * blocks

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return draw_masks(self._maps, n, self._dropout, rng)

    def decode(self, code: Tensor, draws: Draws, target: int) -> Tensor:
        planes = torch.zeros_like(code[:, :1]).repeat(1, self._domains, 1, 1)
        planes = planes + (torch.arange(self._domains, device=code.device) == target).to(code.dtype)[:, None, None]
        x: Tensor = self.before(torch.cat([code, planes], 1))
        for i, block in enumerate(self.blocks):
            x = block(x, draws[i] if draws else None)
        return torch.tanh(self.after(x))


class Block(nn.Module):
    """x + (C3, norm, relu, C3, norm), with a mask of what is dropped."""

    def __init__(self, channels: int, normed: str, border: str = "reflect") -> None:
        super().__init__()
        bias = normed in ("none", "instance")
        pad = [nn.ReflectionPad2d(1)] if border == "reflect" else []
        inner = 0 if pad else 1
        self.one = nn.Sequential(*pad, nn.Conv2d(channels, channels, 3, 1, inner, bias=bias), norm(normed, channels))
        self.two = nn.Sequential(*pad, nn.Conv2d(channels, channels, 3, 1, inner, bias=bias), norm(normed, channels))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        h = torch.relu(self.one(x))
        changed: Tensor = x + self.two(h if mask is None else h * mask.to(h.dtype))
        return changed


class ThreeClassPatches(Network):
    """`classes` (N, 2, P): of each place the logits of translations and of what is made of the domain's own images."""

    def __init__(self, critic: PatchCritic) -> None:
        super().__init__()
        assert isinstance(critic.head, nn.Conv2d)
        head = critic.head
        critic.head = nn.Conv2d(head.in_channels, 3, head.kernel_size, 1, head.padding)  # type: ignore[arg-type]
        self.critic = critic

    def forward(self, x: Tensor, draws: Draws = ()) -> Critique:
        said: Critique = self.critic(x, draws)
        logits = said.score.unflatten(1, (3, -1))
        real, kinds = logits[:, 0], logits[:, 1:]
        return said._replace(score=real - kinds.logsumexp(1), classes=kinds)


class DomainCritics(Network):
    """`own`: the critic of each domain, or the one of all. `classes`: what tells domains apart by its features, if
    anything; `codes`: what tells them apart by codes; `latents`: of each domain the critic of its latents; `logits`:
    what tells translations to the last domain from its images by what a classifier says of them."""

    def __init__(
        self,
        own: Sequence[PatchCritic | ThreeClassPatches],
        classes: nn.Linear | None = None,
        codes: CodeClasses | None = None,
        latents: Sequence[nn.Module] = (),
        logits: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.own, self.latents = nn.ModuleList(own), nn.ModuleList(latents)
        self.classes, self.codes, self.logits = classes, codes, logits

    def forward(self, images: Tensor, draws: Draws, domain: int) -> Critique:
        said: Critique = self.own[domain % len(self.own)](images, draws)
        return said if self.classes is None else said._replace(classes=precise(self.classes(said.features)))


def dense_critic(inputs: int, units: int, slope: float) -> nn.Sequential:
    """(N, inputs) -> scores (N, 1)."""
    return nn.Sequential(
        *(nn.Linear(inputs, units), LeakyReLU(slope), nn.Linear(units, units), LeakyReLU(slope)), nn.Linear(units, 1)
    )


class CodeClasses(nn.Module):
    """Codes (N, C, H, W) -> logits (N, domains)."""

    def __init__(self, channels: int, domains: int, slope: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 2, 1), LeakyReLU(slope), nn.Conv2d(channels, domains, 1)
        )

    def forward(self, code: Tensor) -> Tensor:
        return precise(self.layers(code)).mean((2, 3))
