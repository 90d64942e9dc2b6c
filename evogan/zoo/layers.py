"""Layers the networks are made of, and their initial weights. Pure torch; no hidden state but registered buffers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evogan.zoo.number import Number

WORTH_MERGING = 7  # side of maps from which on a doubling is merged with its convolution
MOMENTUM = 0.2  # of batch norm's running statistics, as torch counts it: Keras' 0.8
REFERENCES = 32  # rows of the fixed batch that virtual batch norm compares with


def precise(x: Tensor) -> Tensor:
    """In float32 at least: what bfloat16 is too coarse for."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


@dataclass(frozen=True)
class Condition:
    """What conditional norms are given: `size` numbers a row. `one_hot`: the code of a class."""

    size: int
    one_hot: bool = False


def norm(kind: str, channels: int, condition: Condition | None = None) -> nn.Module:
    """Normalisation of maps (N, C, H, W). With a `condition`, batch norm is a `ConditionalBatchNorm`."""
    if kind == "batch" and condition:
        return ConditionalBatchNorm(channels, condition)
    if kind == "batch":
        return nn.BatchNorm2d(channels, momentum=MOMENTUM)
    if kind == "virtual_batch":
        return VirtualBatchNorm(channels)
    if kind == "layer":  # over C, H, W of one sample
        return nn.GroupNorm(1, channels)
    if kind == "instance":
        return InstanceNorm(channels)
    if kind == "group":  # 32 groups if each can have 4 channels, or else fewer
        return nn.GroupNorm(max(math.gcd(128, channels) // 4, 1), channels)
    return PixelNorm() if kind == "pixel" else nn.Identity()


class InstanceNorm(nn.GroupNorm):
    """Unlike InstanceNorm2d it accepts 1x1 maps. Of maps whose channels come last a group norm takes twenty times as
    long on a CPU, in bf16, as of these in their plain order."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.contiguous())


def dense_norm(kind: str, channels: int, condition: Condition | None = None) -> nn.Module:
    """Normalisation of features (N, C). Instance norm has nothing to normalise over there."""
    if kind == "batch" and condition:
        return ConditionalBatchNorm(channels, condition, dense=True)
    if kind == "batch":
        return nn.BatchNorm1d(channels, momentum=MOMENTUM)
    return nn.Identity() if kind == "instance" else norm(kind, channels)


class ClassTable(nn.Module):
    """One-hot codes (N, K) -> (N, channels): a row for each class, 0 at first. No layer that a constraint holds."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.empty(classes, channels))

    def reset(self, rng: torch.Generator) -> None:
        nn.init.zeros_(self.rows)

    def forward(self, code: Tensor) -> Tensor:
        return code @ self.rows


class ConditionalBatchNorm(nn.Module):
    """Batch norm of (N, C, ...), times 1 + A c, plus B c, of conditions c (N, D).

    Of a class, A and B are tables that begin at 0 (Miyato and Koyama, arXiv:1802.05637, as in 1610.07629); of other
    conditions they are layers (BigGAN, arXiv:1809.11096). `bias`: of those; BigGAN's c holds an embedding of the class,
    and where there is one class alone it is what that would add.
    """

    def __init__(self, channels: int, condition: Condition, *, bias: bool = False, dense: bool = False) -> None:
        super().__init__()
        of = nn.BatchNorm1d if dense else nn.BatchNorm2d
        self.norm = of(channels, momentum=MOMENTUM, affine=False)
        self.scale, self.shift = (
            ClassTable(condition.size, channels)
            if condition.one_hot
            else nn.Linear(condition.size, channels, bias=bias)
            for _ in range(2)
        )

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shape = (-1, x.shape[1], *[1] * (x.dim() - 2))
        scale, shift = (affine(condition).view(shape) for affine in (self.scale, self.shift))
        normal: Tensor = self.norm(x) * (1 + scale) + shift
        return normal


class Chain(nn.Sequential):
    """Layers one after another; those that are conditional get the condition too."""

    def forward(self, x: Tensor, *condition: Tensor) -> Tensor:
        for layer in self:
            x = layer(x, *condition) if isinstance(layer, ConditionalBatchNorm) else layer(x)
        return x


def without_statistics(network: nn.Module) -> None:
    """Batch norms know the batch alone: no running statistics, and so no state that a forward pass changes."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None


class LeakyReLU(nn.Module):
    """max(x, 0) + slope min(x, 0).

    >>> LeakyReLU(0.5)(torch.tensor([-2.0, 3.0]))
    tensor([-1.,  3.])
    """

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = Number(slope)

    def forward(self, x: Tensor) -> Tensor:
        slope = self.slope()
        return torch.where(x > 0, x, slope.to(x.dtype) * x) if isinstance(slope, Tensor) else F.leaky_relu(x, slope)


class PReLU(nn.Module):
    """max(x, 0) + a min(x, 0), a learned, one a layer, 1/4 at first. He et al., arXiv:1502.01852."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.empty(()))

    def reset(self, rng: torch.Generator) -> None:
        nn.init.constant_(self.slope, 0.25)

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.slope.to(x.dtype) * x)


class PixelNorm(nn.Module):
    """a / sqrt(mean_c a^2 + 1e-8), at every position of (N, C, ...). PGGAN, arXiv:1710.10196."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


class VirtualBatchNorm(nn.Module):
    """Batch norm without dependence on the batch. Salimans et al., arXiv:1606.03498.

    The first `references` rows of (N, C, ...) are a fixed batch with moments m_ref; each further row, with moments
    m over its own positions, is normalised by (m + n m_ref)/(n + 1), for the first and the second moment, n =
    `references`. The reference rows are normalised by their own statistics.
    """

    def __init__(self, channels: int, references: int = REFERENCES) -> None:
        super().__init__()
        self.references = references
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def reset(self, rng: torch.Generator) -> None:
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        n, share = self.references, 1 / (self.references + 1)
        flat = x.flatten(2) if x.dim() > 2 else x.unsqueeze(2)
        wide = precise(flat)
        var, mean = torch.var_mean(wide, 2, correction=0, keepdim=True)
        mean_ref = mean[:n].mean(0, keepdim=True)
        var_ref = var[:n].mean(0, keepdim=True) + mean[:n].var(0, correction=0, keepdim=True)
        # the variance of the mixture, without the cancellation of E x^2 - (E x)^2
        shift = mean[n:] - mean_ref
        var_mixed = share * var[n:] + (1 - share) * var_ref + share * (1 - share) * shift.square()
        mean = torch.cat([mean_ref.expand_as(mean[:n]), mean_ref + share * shift])
        var = torch.cat([var_ref.expand_as(var[:n]), var_mixed])
        normal = (wide - mean) * torch.rsqrt(var + 1e-5)
        return (normal * self.weight[:, None] + self.bias[:, None]).to(x.dtype).view_as(x)


class SelfAttention(nn.Module):
    """Maps (N, C, H, W) that look at each other. SAGAN, arXiv:1805.08318, in the form of its released code.

    With queries f(x) and keys g(x) of C/8 channels, values h(x) of C/2, keys and values max-pooled 2x2, all 1x1
    convolutions without bias: y = x + gamma v(o), o_j = sum_i softmax_i(f_j . g_i) h_i, and gamma = 0 at first.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner, values = max(channels // 8, 1), max(channels // 2, 1)
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        self.key = nn.Conv2d(channels, inner, 1, bias=False)
        self.value = nn.Conv2d(channels, values, 1, bias=False)
        self.out = nn.Conv2d(values, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.empty(()))

    def reset(self, rng: torch.Generator) -> None:
        nn.init.zeros_(self.gamma)

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)
        key, value = (F.max_pool2d(conv(x), 2, ceil_mode=True).flatten(2) for conv in (self.key, self.value))
        # not scaled_dot_product_attention: a gradient penalty differentiates twice
        weights = torch.softmax(query.mT @ key, 2)
        seen: Tensor = self.out((value @ weights.mT).unflatten(2, x.shape[2:]))
        return x + self.gamma * seen


class Blur(nn.Module):
    """Maps (N, C, H, W), each smoothed by [1 2 1]/4 in both directions; beyond the edge are zeros."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(F.avg_pool2d(x, 2, 1, padding=1), 2, 1)  # [1 1]/2, twice


class MinibatchStd(nn.Module):
    """Appends one channel: how much the batch varies. PGGAN, arXiv:1710.10196.

    (N, C, ...) is cut into groups of 4, or of the largest smaller divisor of N. Every member of a group gets the mean
    over C and positions of sqrt(var over the group + 1e-8).
    """

    def forward(self, x: Tensor) -> Tensor:
        group = next(g for g in (4, 3, 2, 1) if len(x) % g == 0)
        var = x.unflatten(0, (group, -1)).var(0, correction=0)  # each group is spread over the batch
        std = torch.sqrt(var + 1e-8).flatten(1).mean(1).repeat(group)
        return torch.cat([x, std.view(-1, *[1] * (x.dim() - 1)).expand_as(x[:, :1])], 1)


class MinibatchDiscrimination(nn.Module):
    """(N, F) -> (N, outputs): x, and how near it is to the rest of the batch. Salimans et al., arXiv:1606.03498.

    M = x T, of shape (kernels, dims) for each sample; o_b(i) = sum_{j != i} exp(-|M_ib - M_jb|_1), for every kernel b.
    """

    def __init__(self, features: int, kernels: int = 100, dims: int = 5) -> None:
        super().__init__()
        self.outputs = features + kernels
        self._shape = (kernels, dims)
        self.tensor = nn.Linear(features, kernels * dims, bias=False)  # a bias falls out of the differences

    def forward(self, x: Tensor) -> Tensor:
        m = precise(self.tensor(x)).unflatten(1, self._shape)
        # dimension by dimension: a third of the time, for what all of them take at once does not stay in a cache
        near = torch.exp(-sum((part[:, None] - part[None]).abs() for part in m.unbind(2)))
        return torch.cat([x, near.sum(1) - 1], 1)  # a sample is at distance 0 from itself


class SameConv(nn.Conv2d):
    """Convolution with Keras' `same` padding: what cannot be shared goes to the bottom and right."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, size: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride)
        self.size = math.ceil(size / stride)
        total = max((self.size - 1) * stride + kernel - size, 0)
        before, after = total // 2, total - total // 2
        self._pad = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self._pad))


def resize(kind: str, x: Tensor, factor: int = 2) -> Tensor:
    """(N, C, H, W) -> (N, C, factor H, factor W), `kind` being nearest or bilinear."""
    if factor == 1:
        return x
    if kind == "nearest":
        return F.interpolate(x, scale_factor=float(factor))
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


# Where row 2i, and row 2i + 1, of the doubled image is looked at by a kernel of 3: as a kernel of 4 at stride 2
DOUBLED = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def doubled_convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Nearest upsampling by 2 and a 3x3 convolution, padding 1, at once: as a transposed one with 4/9 of the products.

    Equal pixels meet sums of weights: of 3x3 weights W, 4x4 ones D W D' with D of `DOUBLED`.
    """
    d = DOUBLED.to(weight)
    with torch.autocast(x.device.type, enabled=False):
        merged = (d @ weight @ d.T).transpose(0, 1)
    return F.conv_transpose2d(x, merged, bias, stride=2, padding=1)


class Upsample(nn.Module):
    """(N, C, H, W) -> (N, C', 2H, 2W), in one of the ways a generator doubles its image. `kernel` is odd.

    That of a transposed convolution is one larger if `even`: an odd one overlaps unevenly at stride 2.
    """

    def __init__(
        self, kind: str, inputs: int, outputs: int, kernel: int, *, bias: bool = True, even: bool = True
    ) -> None:
        super().__init__()
        self.kind = kind
        if kind == "transposed":
            self.conv: nn.Conv2d | nn.ConvTranspose2d = nn.ConvTranspose2d(
                inputs, outputs, kernel + even, 2, padding=kernel // 2, output_padding=1 - even, bias=bias
            )
        else:
            wide = 4 * outputs if kind == "pixel_shuffle" else outputs
            self.conv = nn.Conv2d(inputs, wide, kernel, padding=kernel // 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if self._merges(x):
            return doubled_convolution(x, self.conv.weight, self.conv.bias)
        if self.kind in ("nearest", "bilinear"):
            x = resize(self.kind, x)
        x = self.conv(x)
        return F.pixel_shuffle(x, 2) if self.kind == "pixel_shuffle" else x

    def _merges(self, x: Tensor) -> bool:
        """Not on a GPU, where transposed convolutions of a stack are slow."""
        fits = self.kind == "nearest" and self.conv.kernel_size == (3, 3)
        return fits and x.device.type == "cpu" and x.shape[-1] >= WORTH_MERGING


def pool(kind: str) -> nn.Module:
    """The average or the max of every 2x2 of maps (N, C, H, W); of an odd side the last ones are of what is there."""
    return nn.AvgPool2d(2, ceil_mode=True) if kind == "average" else nn.MaxPool2d(2, ceil_mode=True)


def fan_in(layer: nn.Module) -> float:
    """How many products make one output of a convolution or dense layer; of a strided transposed one, on average."""
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
    if isinstance(layer, nn.ConvTranspose2d):
        return layer.weight[:, 0].numel() / math.prod(layer.stride)
    return layer.weight[0].numel()


def initialise(network: nn.Module, genes: Mapping[str, Any], rng: torch.Generator) -> None:
    """Fills all parameters and buffers, drawn in the order of the modules.

    Weights of convolutions and dense layers by the gene `init`, with g = `layer.gain` if it is there:
    normal N(0, init_std); xavier U(-a, a), a = g sqrt(6/(fan in + fan out)), g = 1; he N(0, g/sqrt(fan in)),
    g = sqrt 2; orthogonal rows or columns of length g, g = 1. Where the learning rate is equalised, N(0, 1/m), m =
    `layer.lr_multiplier` if it is there. U(-b, b) with b = `layer.init_bound` above 0. Biases 0, norms 1 and 0; the
    rest is a module's own method `reset(rng)`.

    Pixel-shuffle convolutions start with four equal sub-kernels, so that they begin as nearest upsampling
    (Aitken et al., arXiv:1707.02937).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            transposed = isinstance(module, nn.ConvTranspose2d)
            weight = module.weight.detach().transpose(0, 1) if transposed else module.weight.detach()
            weight.copy_(_draw(module, weight.shape, genes, rng))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.GroupNorm):
            module.reset_parameters()
        elif reset := getattr(module, "reset", None):
            reset(rng)
    for module in network.modules():
        if isinstance(module, Upsample) and module.kind == "pixel_shuffle":
            with torch.no_grad():
                module.conv.weight.copy_(module.conv.weight[::4].repeat_interleave(4, dim=0))


def _draw(layer: nn.Module, shape: Sequence[int], genes: Mapping[str, Any], rng: torch.Generator) -> Tensor:
    """An initial weight, the outputs being its first dimension."""
    weight = torch.empty(*shape, device=rng.device)
    if bound := getattr(layer, "init_bound", 0.0):
        return weight.uniform_(-bound, bound, generator=rng)
    if genes["equalized_lr"] or hasattr(layer, "lr_multiplier"):
        return weight.normal_(0, 1 / getattr(layer, "lr_multiplier", 1.0), generator=rng)
    if genes["init"] == "normal":
        return weight.normal_(0, genes["init_std"], generator=rng)
    fan = fan_in(layer)
    if genes["init"] == "he":
        return weight.normal_(0, getattr(layer, "gain", math.sqrt(2)) / math.sqrt(fan), generator=rng)
    gain = getattr(layer, "gain", 1.0)
    if genes["init"] == "orthogonal":
        return nn.init.orthogonal_(weight, gain, generator=rng)
    fan_out = fan * shape[0] / shape[1]
    bound = gain * math.sqrt(6 / (fan + fan_out))
    return weight.uniform_(-bound, bound, generator=rng)


def draw_masks(shapes: Sequence[tuple[int, ...]], n: int, rate: float, rng: torch.Generator) -> tuple[Tensor, ...]:
    """Inverted-dropout masks (n, C, H, W) or (n, F), one a shape, from one draw; none at rate 0."""
    if rate == 0:
        return ()
    sizes = [n * math.prod(shape) for shape in shapes]
    drawn = torch.rand(sum(sizes), generator=rng, device=rng.device)
    flat = (drawn >= rate).to(drawn.dtype).div_(1 - rate)  # a third faster than `bernoulli_`
    return tuple(  # channels-last in memory, as the activations are
        part.view(n, *shape[1:], shape[0]).movedim(-1, 1) for part, shape in zip(flat.split(sizes), shapes, strict=True)
    )
