"""GANs as a tutorial trains them: what evogan's speed is measured against.

Plain eager float32 PyTorch, everything as it comes: NCHW memory, real and fake pass the critic one after the other,
`zero_grad`, `backward`, `step`, optimisers with default settings, batches indexed out of float images. Networks and
losses are those of the genome: backbones `wdcgan` and `sndcgan`, the Wasserstein loss with clipped weights or with a
gradient penalty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.2


class PlainGAN:
    """`images`: uint8 (N, C, H, W). `weights`: a GAN of evogan's with the same networks, to begin where it does."""

    def __init__(
        self, genes: Mapping[str, Any], images: Tensor, seed: int, weights: Any, device: torch.device | str = "cpu"
    ) -> None:
        torch.manual_seed(seed)
        size, channels = images.shape[-1], images.shape[1]
        networks = {"wdcgan": (wdcgan_generator, wdcgan_critic), "sndcgan": (sndcgan_generator, sndcgan_critic)}
        make_generator, make_critic = networks[genes["backbone"]]
        self.genes, self.images, self.device = genes, (images.float() / 127.5 - 1).to(device), device
        self.generator = make_generator(genes, size, channels).to(device)
        self.critic = make_critic(genes, size, channels).to(device)
        with torch.no_grad():
            for name, network in (("generator", self.generator), ("critic", self.critic)):
                for ours, theirs in zip(network.parameters(), weights.players[name].parameters(), strict=True):
                    ours.copy_(theirs)
        self.average = [p.detach().clone() for p in self.generator.parameters()]
        self.steps = 0
        self.of_critic = optimizer("critic", genes, self.critic)
        self.of_generator = optimizer("generator", genes, self.generator)

    def iteration(self) -> None:
        n, latent = self.genes["batch_size"], self.genes["latent"]
        for _ in range(self.genes["critic_steps"]):
            real = self.images[torch.randint(len(self.images), (n,), device=self.device)]
            fake = self.generator(torch.randn(n, latent, device=self.device)).detach()
            loss = self.critic(fake).mean() - self.critic(real).mean()
            if self.genes["gradient_penalty"] != "none":
                between = (real + torch.rand(n, 1, 1, 1, device=self.device) * (fake - real)).requires_grad_()
                (gradient,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
                distance = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
                loss = loss + self.genes["gradient_penalty_weight"] * distance
            self.of_critic.zero_grad()
            loss.backward()
            self.of_critic.step()
            if self.genes["critic_constraint"] == "clip":
                for module in self.critic.modules():
                    if isinstance(module, nn.Conv2d | nn.Linear):
                        module.weight.data.clamp_(-self.genes["clip"], self.genes["clip"])
        loss = -self.critic(self.generator(torch.randn(n, latent, device=self.device))).mean()
        self.of_generator.zero_grad()
        loss.backward()
        self.of_generator.step()
        if self.genes["ema"]:
            decay = min(self.genes["ema"], (1 + self.steps) / (10 + self.steps))
            for mean, parameter in zip(self.average, self.generator.parameters(), strict=True):
                mean.lerp_(parameter.detach(), 1 - decay)
        self.steps += 1

    @torch.no_grad()
    def sample(self, n: int) -> list[Tensor]:
        """Batches of 500 images, of the averaged generator where there is one."""
        kept = [p.clone() for p in self.generator.parameters()]
        if self.genes["ema"]:
            self._use(self.average)
        self.generator.eval()
        found = [self.generator(torch.randn(500, self.genes["latent"], device=self.device)) for _ in range(n // 500)]
        self.generator.train()
        self._use(kept)
        return found

    def _use(self, weights: list[Tensor]) -> None:
        for parameter, weight in zip(self.generator.parameters(), weights, strict=True):
            parameter.copy_(weight)


def optimizer(player: str, genes: Mapping[str, Any], network: nn.Module) -> torch.optim.Optimizer:
    rate = genes["learning_rate"] * (1.0 if player == "critic" else genes["lr_ratio"])
    if genes[f"{player}_optimizer"] == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), rate, alpha=genes[f"{player}_rms_decay"])
    return torch.optim.Adam(network.parameters(), rate, (genes[f"{player}_beta1"], genes[f"{player}_beta2"]))


def norm(kind: str, channels: int) -> list[nn.Module]:
    kinds: dict[str, list[nn.Module]] = {
        "batch": [nn.BatchNorm2d(channels, momentum=MOMENTUM)],
        "layer": [nn.GroupNorm(1, channels)],
    }
    return kinds.get(kind, [])


def up(genes: Mapping[str, Any], inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    if genes["upsampling"] == "transposed":
        return [nn.ConvTranspose2d(inputs, outputs, kernel + 1, 2, padding=kernel // 2)]
    if genes["upsampling"] == "pixel_shuffle":
        return [nn.Conv2d(inputs, 4 * outputs, kernel, padding=kernel // 2), nn.PixelShuffle(2)]
    resized = nn.Upsample(scale_factor=2, mode=genes["upsampling"])
    return [resized, nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)]


def wdcgan_generator(genes: Mapping[str, Any], size: int, channels: int) -> nn.Module:
    n, kernel, slope, kind = (genes[k] for k in ("filters", "kernel_size", "generator_slope", "generator_norm"))
    return nn.Sequential(
        nn.Linear(genes["latent"], n * (size // 4) ** 2),
        nn.LeakyReLU(slope),
        nn.Unflatten(1, (n, size // 4, size // 4)),
        *up(genes, n, n, kernel),
        *norm(kind, n),
        nn.LeakyReLU(slope),
        *up(genes, n, n // 2, kernel),
        *norm(kind, n // 2),
        nn.LeakyReLU(slope),
        nn.Conv2d(n // 2, channels, kernel, padding=kernel // 2),
        nn.Tanh(),
    )


def wdcgan_critic(genes: Mapping[str, Any], size: int, channels: int) -> nn.Module:
    n, kernel, kind = genes["filters"], genes["kernel_size"], genes["critic_norm"]
    blocks: list[nn.Module] = []
    inputs = channels
    for outputs, stride, pad in ((n // 4, 2, 0), (n // 2, 2, 1), (n, 2, 0), (2 * n, 1, 0)):
        out = math.ceil(size / stride)
        total = max((out - 1) * stride + kernel - size, 0)
        before, after = total // 2, total - total // 2
        blocks += [nn.ZeroPad2d((before, after, before, after)), nn.Conv2d(inputs, outputs, kernel, stride)]
        blocks += [nn.ZeroPad2d((0, pad, 0, pad))] if pad else []
        blocks += norm(kind if outputs > n // 4 else "none", outputs)
        blocks += [nn.LeakyReLU(genes["slope"]), nn.Dropout(genes["dropout"])]
        inputs, size = outputs, out + pad
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(inputs * size * size, 1), nn.Flatten(0))


def sndcgan_generator(genes: Mapping[str, Any], size: int, channels: int) -> nn.Module:
    k = (size // 4).bit_length() - 1
    n, m, slope, kind = genes["filters"], size >> k, genes["generator_slope"], genes["generator_norm"]
    width = n * 2**k
    blocks: list[nn.Module] = [nn.Linear(genes["latent"], width * m * m), nn.Unflatten(1, (width, m, m))]
    blocks += [*norm(kind, width), nn.LeakyReLU(slope)]
    for i in reversed(range(k)):
        outputs = n * 2**i
        blocks += [*up(genes, 2 * outputs, outputs, 3), *norm(kind, outputs), nn.LeakyReLU(slope)]
    return nn.Sequential(*blocks, nn.Conv2d(n, channels, 3, padding=1), nn.Tanh())


def sndcgan_critic(genes: Mapping[str, Any], size: int, channels: int) -> nn.Module:
    k = (size // 4).bit_length() - 1
    n, m, slope = genes["filters"], size >> k, genes["slope"]
    blocks: list[nn.Module] = [nn.Conv2d(channels, n, 3, padding=1), nn.LeakyReLU(slope)]
    for i in range(k):
        inputs, outputs = n * 2**i, n * 2 ** (i + 1)
        for conv in (nn.Conv2d(inputs, outputs, 4, 2, 1), nn.Conv2d(outputs, outputs, 3, padding=1)):
            blocks += [conv, *norm(genes["critic_norm"], outputs), nn.LeakyReLU(slope)]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(n * 2**k * m * m, 1), nn.Flatten(0))
