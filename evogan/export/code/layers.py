"""Modules of the zoo, as the expressions that make them with torch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import nn

from evogan.zoo.backbones.autogan import Resize
from evogan.zoo.layers import (
    Blur,
    ClassTable,
    ConditionalBatchNorm,
    InstanceNorm,
    LeakyReLU,
    MinibatchDiscrimination,
    MinibatchStd,
    PixelNorm,
    SameConv,
    SelfAttention,
    Upsample,
    VirtualBatchNorm,
)

Expressions = list[str]


class Unwritable(Exception):
    """A module that there is no expression for."""


def written(modules: Iterable[nn.Module]) -> Expressions:
    """What they are in an `nn.Sequential`, one after another; nothing of those that change nothing."""
    return [line for module in modules for line in _written(module)]


def _written(module: nn.Module) -> Expressions:
    for kind, write in WRITTEN.items():
        if isinstance(module, kind):
            return write(module)
    raise Unwritable(type(module).__name__)


def call(name: str, *arguments: object, **named: object) -> str:
    """`name(arguments, named=...)`."""
    given = [*map(repr, arguments), *(f"{key}={value!r}" for key, value in named.items())]
    return f"{name}({', '.join(given)})".replace("'", '"')


def _linear(layer: nn.Linear) -> Expressions:
    return [call("nn.Linear", layer.in_features, layer.out_features, **_but(bias=(layer.bias is not None, True)))]


def _convolution(layer: nn.Conv2d | nn.ConvTranspose2d, **more: object) -> Expressions:
    given = _but(
        stride=(layer.stride[0], 1),
        padding=(int(layer.padding[0]), 0),
        output_padding=(layer.output_padding[0], 0),
        bias=(layer.bias is not None, True),
    )
    kind = "nn.ConvTranspose2d" if isinstance(layer, nn.ConvTranspose2d) else "nn.Conv2d"
    return [call(kind, layer.in_channels, layer.out_channels, layer.kernel_size[0], **{**given, **more})]


def _same(layer: SameConv) -> Expressions:
    before, after = layer._pad[:2]
    if before == after:
        return _convolution(layer, **_but(padding=(before, 0)))
    return [f"nn.ZeroPad2d({layer._pad})", *_convolution(layer)]


def _upsample(layer: Upsample) -> Expressions:
    conv = _convolution(layer.conv)
    if layer.kind == "transposed":
        return conv
    if layer.kind == "pixel_shuffle":
        return [*conv, "nn.PixelShuffle(2)"]
    return [_resized(layer.kind, 2), *conv]


def _resize(layer: Resize) -> Expressions:
    if layer.kind == "transposed":
        return written(layer.convs)
    return [] if layer.factor == 1 else [_resized(layer.kind, layer.factor)]


def _resized(kind: str, factor: int) -> str:
    return call("nn.Upsample", scale_factor=factor, **_but(mode=(kind, "nearest")))


def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> Expressions:
    momentum = _but(momentum=(layer.momentum, 0.1)) if layer.track_running_stats else {}
    return [call(f"nn.{type(layer).__name__}", layer.num_features, **momentum)]


def _conditional_norm(layer: ConditionalBatchNorm) -> Expressions:
    kind = "DenseConditionalNorm" if isinstance(layer.norm, nn.BatchNorm1d) else "ConditionalNorm"
    size = "" if isinstance(layer.scale, ClassTable) else f", {layer.scale.in_features}"
    return [f"{kind}({layer.norm.num_features}{size})"]


def _leaky(layer: LeakyReLU) -> Expressions:
    slope = layer.slope.alone
    return ["nn.ReLU()" if slope == 0 else call("nn.LeakyReLU", slope)]


def _pad(layer: nn.ZeroPad2d) -> Expressions:
    return [call("nn.ZeroPad2d", layer.padding)] if any(layer.padding) else []


def _but(**values: tuple[object, object]) -> dict[str, object]:
    """Those that are not at their default."""
    return {name: value for name, (value, default) in values.items() if value != default}


def _group_norm(layer: nn.GroupNorm) -> Expressions:
    return [call("nn.GroupNorm", layer.num_groups, layer.num_channels)]


def _named(text: str) -> Callable[..., Expressions]:
    return lambda layer: [text]


WRITTEN: dict[type[nn.Module], Callable[..., Expressions]] = {
    SameConv: _same,
    nn.Linear: _linear,
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _convolution,
    Upsample: _upsample,
    Resize: _resize,
    nn.Upsample: lambda layer: [call("nn.Upsample", scale_factor=int(layer.scale_factor))],
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.GroupNorm: _group_norm,
    InstanceNorm: _group_norm,
    ConditionalBatchNorm: _conditional_norm,
    VirtualBatchNorm: lambda layer: [call("VirtualBatchNorm", layer.weight.numel())],
    PixelNorm: _named("PixelNorm()"),
    LeakyReLU: _leaky,
    Blur: _named("Blur()"),
    MinibatchStd: _named("MinibatchStd()"),
    MinibatchDiscrimination: lambda layer: [call("MinibatchDiscrimination", layer.tensor.in_features)],
    SelfAttention: lambda layer: [call("SelfAttention", layer.query.in_channels)],
    nn.AvgPool2d: lambda layer: [call("nn.AvgPool2d", layer.kernel_size, **_but(ceil_mode=(layer.ceil_mode, False)))],
    nn.MaxPool2d: lambda layer: [call("nn.MaxPool2d", layer.kernel_size, **_but(ceil_mode=(layer.ceil_mode, False)))],
    nn.ZeroPad2d: _pad,
    nn.LeakyReLU: lambda layer: [call("nn.LeakyReLU", layer.negative_slope)],
    nn.Identity: lambda layer: [],
    nn.Flatten: _named("nn.Flatten()"),
    nn.Tanh: _named("nn.Tanh()"),
    nn.Softplus: _named("nn.Softplus()"),
    nn.Unflatten: lambda layer: [call("nn.Unflatten", layer.dim, tuple(layer.unflattened_size))],
    nn.Sequential: lambda layer: written(layer),
    nn.ModuleList: lambda layer: written(layer),
}
