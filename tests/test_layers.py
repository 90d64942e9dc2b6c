"""The layers against hand-computed cases and plain implementations, and how weights begin."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evogan.genes import GENES
from evogan.shipped import read_genome
from evogan.zoo import layers
from evogan.zoo.backbones import make_networks
from evogan.zoo.layers import (
    Blur,
    MinibatchDiscrimination,
    MinibatchStd,
    PixelNorm,
    SameConv,
    SelfAttention,
    Upsample,
    VirtualBatchNorm,
    dense_norm,
    draw_masks,
    initialise,
    norm,
)
from tests.draws import rng


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=rng(seed))


def made(layer: nn.Module, seed: int = 9) -> nn.Module:
    """With random parameters, gains and biases too. The layer was constructed on the meta device."""
    layer.to_empty(device="cpu").requires_grad_(False)
    for i, parameter in enumerate(layer.parameters()):
        parameter.copy_(randn(*parameter.shape, seed=seed + i))
    return layer


def on_meta(make: object, *args: object, **kwargs: object) -> nn.Module:
    with torch.device("meta"):
        return make(*args, **kwargs)  # type: ignore[operator]


# --- norms


def test_pixel_norm_by_hand() -> None:
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(1, 2, 2, 1).clone()
    x[0, :, 1, 0] = 0
    expected = torch.tensor([[3 / math.sqrt(12.5), 0.0], [4 / math.sqrt(12.5), 0.0]]).view(1, 2, 2, 1)
    torch.testing.assert_close(PixelNorm()(x), expected)
    torch.testing.assert_close(PixelNorm()(x[..., 0, 0]), expected[..., 0, 0])


def test_norms_are_torch_functions() -> None:
    x = randn(5, 8, 3, 4) * 3 + 1
    layer, instance = (made(on_meta(norm, kind, 8)) for kind in ("layer", "instance"))
    gain, bias = layer.weight.view(8, 1, 1), layer.bias.view(8, 1, 1)
    torch.testing.assert_close(layer(x), F.layer_norm(x, (8, 3, 4)) * gain + bias)
    gain, bias = instance.weight.view(8, 1, 1), instance.bias.view(8, 1, 1)
    torch.testing.assert_close(instance(x), F.instance_norm(x) * gain + bias)
    batch = on_meta(norm, "batch", 8).to_empty(device="cpu")
    initialise(batch, GENES.complete({}), rng())
    torch.testing.assert_close(batch(x), F.batch_norm(x, None, None, training=True))
    torch.testing.assert_close(batch.running_mean, 0.2 * x.mean((0, 2, 3)))  # Keras' momentum 0.8
    assert norm("none", 8)(x) is x


@pytest.mark.parametrize(
    ("channels", "groups"), [(256, 32), (128, 32), (64, 16), (48, 4), (8, 2), (4, 1), (7, 1), (6, 1), (1, 1)]
)
def test_group_norm(channels: int, groups: int) -> None:
    """At most 32 groups, of at least 4 channels each where there is more than one."""
    group = made(on_meta(norm, "group", channels))
    x = randn(3, channels, 2, 5)
    parts = x.view(3, groups, -1)
    normal = (parts - parts.mean(2, keepdim=True)) / (parts.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
    expected = normal.view_as(x) * group.weight.view(-1, 1, 1) + group.bias.view(-1, 1, 1)
    torch.testing.assert_close(group(x), expected, rtol=1e-4, atol=1e-5)


def test_norms_of_features() -> None:
    x = randn(6, 16) * 2 + 1
    layer = made(on_meta(dense_norm, "layer", 16))
    torch.testing.assert_close(layer(x), F.layer_norm(x, (16,)) * layer.weight + layer.bias)
    batch = on_meta(dense_norm, "batch", 16).to_empty(device="cpu")
    initialise(batch, GENES.complete({}), rng())
    torch.testing.assert_close(batch(x), (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt())
    for kind in ("instance", "none"):
        assert dense_norm(kind, 16)(x) is x
    pixel = x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()
    torch.testing.assert_close(dense_norm("pixel", 16)(x), pixel)


@pytest.mark.parametrize("shape", [(9, 3, 4, 5), (9, 3)])
def test_virtual_batch_norm_by_its_moments(shape: tuple[int, ...]) -> None:
    """Sample by sample, with raw first and second moments in double precision."""
    n = 5
    layer = made(on_meta(VirtualBatchNorm, 3, n))
    x = randn(*shape) * 2 + 3
    out = layer(x)
    positions = x.double().reshape(9, 3, -1)
    first, second = positions.mean(2), positions.square().mean(2)
    for i in range(9):
        share = 0 if i < n else 1 / (n + 1)
        mean = share * first[i] + (1 - share) * first[:n].mean(0)
        square = share * second[i] + (1 - share) * second[:n].mean(0)
        normal = (positions[i] - mean[:, None]) / (square - mean**2 + 1e-5).sqrt()[:, None]
        expected = normal * layer.weight.double()[:, None] + layer.bias.double()[:, None]
        torch.testing.assert_close(out[i].double().reshape(3, -1), expected, rtol=1e-4, atol=1e-4)


def test_virtual_batch_norm_looks_at_no_other_sample() -> None:
    layer = made(on_meta(VirtualBatchNorm, 3, 4))
    x = randn(9, 3, 4, 4)
    other = torch.cat([x[:5], randn(4, 3, 4, 4, seed=1)])
    assert torch.equal(layer(x)[:5], layer(other)[:5])
    assert not torch.equal(layer(x)[4], layer(torch.cat([other[5:], x[4:]]))[4])  # but at the references


def test_virtual_batch_norm_bears_a_large_mean() -> None:
    layer = on_meta(VirtualBatchNorm, 2, 4).to_empty(device="cpu")
    initialise(layer, GENES.complete({}), rng())
    x = randn(8, 2, 6, 6)
    torch.testing.assert_close(layer(x + 1e3), layer(x), rtol=1e-2, atol=2e-3)


# --- layers that look around


@pytest.mark.parametrize(("channels", "side"), [(16, 4), (3, 5), (8, 1)])
def test_self_attention_by_loops(channels: int, side: int) -> None:
    layer = made(on_meta(SelfAttention, channels))
    x = randn(2, channels, side, side)
    f, g, h, v = (conv.weight[..., 0, 0] for conv in (layer.query, layer.key, layer.value, layer.out))
    assert (len(f), len(h)) == (max(channels // 8, 1), channels // 2)
    expected = x.clone()
    windows = [(slice(i, i + 2), slice(j, j + 2)) for i in range(0, side, 2) for j in range(0, side, 2)]
    for sample in range(2):
        image = x[sample]
        pooled = [
            [torch.stack([(w @ p) for p in image[:, a, b].flatten(1).T]).amax(0) for a, b in windows] for w in (g, h)
        ]
        for i in range(side):
            for j in range(side):
                energies = [float((f @ image[:, i, j]) @ key) for key in pooled[0]]
                total = sum(math.exp(e) for e in energies)
                seen = sum(math.exp(e) / total * value for e, value in zip(energies, pooled[1], strict=True))
                expected[sample, :, i, j] += layer.gamma * (v @ seen)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-4)


def test_self_attention_starts_as_the_identity() -> None:
    layer = on_meta(SelfAttention, 8).to_empty(device="cpu")
    initialise(layer, GENES.complete({}), rng())
    x = randn(2, 8, 4, 4)
    assert torch.equal(layer(x), x)
    (gradient,) = torch.autograd.grad(layer(x).square().sum(), layer.gamma)
    assert gradient != 0


@pytest.mark.parametrize(("n", "group"), [(4, 4), (6, 3), (8, 4), (2, 2), (5, 1), (1, 1)])
@pytest.mark.parametrize("shape", [(3, 2, 2), (7,)])
def test_minibatch_std_by_loops(n: int, group: int, shape: tuple[int, ...]) -> None:
    x = randn(n, *shape)
    out = MinibatchStd()(x)
    assert out.shape == (n, shape[0] + 1, *shape[1:])
    assert torch.equal(out[:, :-1], x)
    rows = x.flatten(1).tolist()
    for i in range(n):
        members = [rows[j] for j in range(n) if j % (n // group) == i % (n // group)]
        assert len(members) == group
        total = 0.0
        for values in zip(*members, strict=True):
            mean = sum(values) / group
            total += math.sqrt(sum((value - mean) ** 2 for value in values) / group + 1e-8)
        torch.testing.assert_close(out[i, -1], torch.full(shape[1:], total / len(rows[0])), rtol=1e-4, atol=1e-7)


def test_minibatch_discrimination_by_loops() -> None:
    layer = made(on_meta(MinibatchDiscrimination, 6, kernels=4, dims=3))
    x = randn(5, 6) * 0.3
    out = layer(x)
    assert out.shape == (5, layer.outputs) == (5, 10)
    assert torch.equal(out[:, :6], x)
    m = (x @ layer.tensor.weight.T).view(5, 4, 3)
    for i in range(5):
        for b in range(4):
            near = sum(math.exp(-float((m[i, b] - m[j, b]).abs().sum())) for j in range(5) if j != i)
            assert math.isclose(float(out[i, 6 + b]), near, rel_tol=1e-4, abs_tol=1e-5)


def test_minibatch_discrimination_counts_copies() -> None:
    """Of a collapsed batch every sample has N - 1 neighbours."""
    layer = made(on_meta(MinibatchDiscrimination, 6))
    torch.testing.assert_close(layer(randn(1, 6).expand(7, 6))[:, 6:], torch.full((7, 100), 6.0))


# --- convolutions


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (7, 2), (7, 1)])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 28])
def test_same_padding_is_keras(kernel: int, stride: int, size: int) -> None:
    """ceil(size / stride) out, and of an odd number of padded pixels the larger half at bottom and right."""
    with torch.random.fork_rng():
        conv = SameConv(1, 1, kernel, size=size, stride=stride)
    with torch.no_grad():
        conv.weight.fill_(1.0)
        conv.bias.zero_()
    out = conv(torch.ones(1, 1, size, size))[0, 0]
    assert out.shape == (math.ceil(size / stride),) * 2
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    seen = [sum(0 <= i * stride - total // 2 + k < size for k in range(kernel)) for i in range(out.shape[0])]
    assert out[0].tolist() == [seen[0] * s for s in seen]


@pytest.mark.parametrize("kind", GENES["upsampling"].values)
@pytest.mark.parametrize("kernel", [1, *GENES["kernel_size"].values])
def test_upsampling_doubles(kind: str, kernel: int) -> None:
    with torch.device("meta"):
        up = Upsample(kind, 4, 6, kernel)
        assert up(torch.zeros(2, 4, 5, 5)).shape == (2, 6, 10, 10)
        assert up.conv.bias is not None and Upsample(kind, 4, 6, kernel, bias=False).conv.bias is None


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_doubling_and_its_convolution_at_once_are_what_they_are_one_after_the_other(size: int) -> None:
    x, weight, bias = randn(2, 4, size, size).double(), randn(5, 4, 3, 3, seed=1).double(), randn(5, seed=2).double()

    def apart(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(layers.resize("nearest", x), weight, bias, padding=1)

    given = tuple(t.requires_grad_() for t in (x, weight, bias))
    results = [f(*given) for f in (layers.doubled_convolution, apart)]
    torch.testing.assert_close(*results)
    looks = [torch.autograd.grad(result.sin().sum(), given) for result in results]
    torch.testing.assert_close(*looks)


def test_only_large_maps_are_doubled_and_convolved_at_once() -> None:
    up = made(on_meta(Upsample, "nearest", 4, 5, 3))
    for size in (layers.WORTH_MERGING - 1, layers.WORTH_MERGING):
        x = randn(2, 4, size, size)
        torch.testing.assert_close(up(x), up.conv(layers.resize("nearest", x)))


def test_resizing_by_hand() -> None:
    x = torch.tensor([[0.0, 4.0]]).view(1, 1, 1, 2)
    assert layers.resize("nearest", x)[0, 0].tolist() == [[0, 0, 4, 4]] * 2
    assert layers.resize("bilinear", x)[0, 0].tolist() == [[0, 1, 3, 4]] * 2
    assert layers.resize("nearest", x, 4).shape == (1, 1, 4, 8)
    assert layers.resize("bilinear", x, 1) is x


@pytest.mark.parametrize("init", GENES["init"].values)
def test_pixel_shuffle_starts_as_nearest_upsampling(init: str) -> None:
    up = on_meta(Upsample, "pixel_shuffle", 8, 8, 3).to_empty(device="cpu")
    initialise(up, GENES.complete({"init": init}), rng())
    x = up(randn(1, 8, 2, 2))
    torch.testing.assert_close(x[..., ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3), x)
    assert x.std() > 0


def test_dropout_masks_keep_the_mean() -> None:
    (mask, other, flat) = draw_masks([(4, 5, 5), (2, 3, 3), (50,)], 200, 0.25, rng())
    assert mask.shape == (200, 4, 5, 5)
    assert other.shape == (200, 2, 3, 3)
    assert flat.shape == (200, 50)
    torch.testing.assert_close(mask.unique(), torch.tensor([0.0, 4 / 3]))
    assert abs(float(mask.mean()) - 1) < 0.02
    assert abs(float(flat.mean()) - 1) < 0.02
    assert draw_masks([(4, 5, 5)], 2, 0.0, rng()) == ()


# --- initial weights


def fresh(layer: nn.Module, **genome: object) -> nn.Module:
    layer = layer.to_empty(device="cpu")
    for tensor in layer.state_dict().values():
        tensor.fill_(7)
    initialise(layer, GENES.complete(genome), rng())  # type: ignore[arg-type]
    return layer


LAYERS = {
    "dense": lambda: nn.Linear(300, 200),
    "conv": lambda: nn.Conv2d(40, 60, 3),
    "transposed": lambda: nn.ConvTranspose2d(60, 40, 4, 2, 1),
}
FAN_IN = {"dense": 300, "conv": 360, "transposed": 240}  # 60 channels times 4 of the 16 taps
FAN_OUT = {"dense": 200, "conv": 540, "transposed": 160}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("gain", [None, 0.5])
def test_initial_deviations(kind: str, gain: float | None) -> None:
    def weight(**genome: object) -> Tensor:
        layer = on_meta(LAYERS[kind])
        if gain is not None:
            layer.gain = gain  # type: ignore[assignment]
        layer = fresh(layer, **genome)
        assert not layer.bias.any()
        assert abs(float(layer.weight.detach().mean())) < 0.03 * float(layer.weight.detach().std())
        return layer.weight.detach()

    def close(found: Tensor, expected: float) -> bool:
        return math.isclose(float(found.std()), expected, rel_tol=0.03)

    assert close(weight(), 0.02)
    assert close(weight(init_std=0.1), 0.1)
    assert close(weight(init="he"), (gain or math.sqrt(2)) / math.sqrt(FAN_IN[kind]))
    xavier, spread = weight(init="xavier"), (gain or 1) * math.sqrt(2 / (FAN_IN[kind] + FAN_OUT[kind]))
    assert close(xavier, spread)
    assert math.isclose(float(xavier.abs().max()), math.sqrt(3) * spread, rel_tol=0.001)  # uniform
    assert close(weight(equalized_lr=True), 1.0)
    matrix = weight(init="orthogonal").transpose(0, int(kind == "transposed")).flatten(1)
    short = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    torch.testing.assert_close(short @ short.T, torch.eye(len(short)) * (gain or 1) ** 2, rtol=0, atol=1e-4)


def test_a_first_layer_of_its_own() -> None:
    """As in Keras' first tutorials: U(-0.05, 0.05), and the rest Glorot."""
    with torch.device("meta"):
        made = make_networks(GENES.complete(read_genome("gan_mlp_large").genome), 28, 1)
    for network in made:
        network.to_empty(device="cpu")
        initialise(network, GENES.complete(read_genome("gan_mlp_large").genome), rng())
        first, *rest = (m.weight.detach() for m in network.modules() if isinstance(m, nn.Linear))
        assert 0.0499 < float(first.abs().max()) <= 0.05
        assert math.isclose(float(first.std()), 0.05 / math.sqrt(3), rel_tol=0.02)
        for weight in rest:
            bound = math.sqrt(6 / sum(weight.shape))
            assert 0.95 * bound < float(weight.abs().max()) <= bound


@pytest.mark.parametrize("side", [1, 2, 5])
def test_a_blur_is_a_binomial_filter(side: int) -> None:
    x = randn(2, 3, side, side)
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernel = torch.outer(row, row).expand(3, 1, 3, 3)
    torch.testing.assert_close(Blur()(x), F.conv2d(x, kernel, padding=1, groups=3))


def test_he_keeps_the_variance() -> None:
    """Also through a strided transposed convolution, where each output sees a quarter of the taps."""
    for kind, shape in {"dense": (64, 300), "conv": (4, 40, 14, 14), "transposed": (4, 60, 9, 9)}.items():
        layer = on_meta(LAYERS[kind])
        layer.gain = 1.0  # type: ignore[assignment]
        out = fresh(layer, init="he")(randn(*shape, seed=1))
        inner = out[..., 2:-2, 2:-2] if kind == "transposed" else out
        assert math.isclose(float(inner.detach().std()), 1, rel_tol=0.05), kind


def test_a_slow_layer_starts_as_much_larger() -> None:
    for genome in ({"equalized_lr": True}, {}):
        layer = on_meta(nn.Linear, 100, 100)
        layer.lr_multiplier = 0.01  # type: ignore[assignment]
        assert math.isclose(float(fresh(layer, **genome).weight.detach().std()), 100, rel_tol=0.03)


def test_all_that_a_network_has_is_filled() -> None:
    with torch.device("meta"):
        network = nn.Sequential(
            *(norm(kind, 8) for kind in ("batch", "virtual_batch", "layer", "instance", "group")),
            dense_norm("batch", 8),
            SelfAttention(8),
        )
    fresh(network)
    for name, parameter in network.named_parameters():
        if name.endswith(("bias", "gamma")):
            assert not parameter.any(), name
        elif parameter.dim() == 1:
            assert (parameter == 1).all(), name
    assert not any((tensor == 7).any() for tensor in network.state_dict().values())


def test_weights_depend_on_the_generator_and_the_order_of_the_modules_alone() -> None:
    def weights(*sizes: int) -> list[Tensor]:
        network = on_meta(lambda: nn.Sequential(*(nn.Linear(4, size) for size in sizes)))
        return [layer.weight for layer in fresh(network)]

    assert all(torch.equal(a, b) for a, b in zip(weights(3, 5), weights(3, 5, 7), strict=False))
    assert not torch.equal(*weights(4, 4))
