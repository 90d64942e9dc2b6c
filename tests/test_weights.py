"""What is done to weights, against linear algebra."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.utils import parametrize

from evogan.genes import GENES
from evogan.zoo.from_genes import weights as weights_of
from evogan.zoo.weights import Weights, layers, matrix, raw
from tests.draws import rng


class Network(nn.Module):
    """A layer of each kind, and a norm that nothing may touch."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.device("meta"):
            self.conv = nn.Conv2d(3, 6, 3, padding=1)
            self.up = nn.ConvTranspose2d(6, 4, 4, 2, 1)
            self.norm = nn.BatchNorm2d(4)
            self.dense = nn.Linear(4 * 8 * 8, 5)
        self.to_empty(device="cpu")
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, 0, 0.3, generator=rng(seed))
            else:
                nn.init.zeros_(parameter)
        self.norm.reset_parameters()
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dense(torch.relu(self.norm(self.up(torch.relu(self.conv(x))))).flatten(1))
        return out


def held(seed: int = 0, **genes: Any) -> tuple[Network, Weights]:
    network = Network(seed)
    return network, weights_of(
        network, "critic", GENES.complete({"critic_constraint": "none", **genes}), rng(seed + 10)
    )


def top(layer: Any) -> float:
    """The largest singular value of the weight in use, by the book: the first dimension of W is the output."""
    weight = layer.weight.detach()
    if isinstance(layer, nn.ConvTranspose2d):  # (in, out, h, w)
        weight = weight.permute(1, 0, 2, 3)
    return float(torch.linalg.svdvals(weight.reshape(weight.shape[0], -1))[0])


def test_spectral_norm_is_that_of_the_svd() -> None:
    network, weights = held(critic_constraint="spectral_norm")
    before = {name: raw(layer).clone() for name, layer in layers(network)}
    for _ in range(200):
        weights.after_step()
    for name, layer in layers(network):
        assert math.isclose(top(layer), 1.0, rel_tol=1e-4)
        ratio = raw(layer) / layer.weight
        torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=1e-4, atol=0)
        assert torch.equal(raw(layer), before[name])  # what is learned stays as it is


def test_spectral_norm_keeps_up_with_weights_that_move() -> None:
    network, weights = held(critic_constraint="spectral_norm")
    noise = rng(3)
    for _ in range(100):
        with torch.no_grad():
            for _, layer in layers(network):
                raw(layer).add_(0.01 * torch.randn(raw(layer).shape, generator=noise))
        weights.after_step()
    assert all(abs(top(layer) - 1) < 0.05 for _, layer in layers(network))


def test_a_forward_pass_changes_no_singular_vector() -> None:
    network, _ = held(critic_constraint="spectral_norm")
    network.eval()
    before = copy.deepcopy(network.state_dict())
    for _ in range(3):
        network(torch.ones(2, 3, 4, 4))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_gradient_through_a_spectral_norm_takes_u_and_v_as_constants() -> None:
    """d(W/s)/dW . G = G/s - <G, W> u v'/s^2."""
    network, weights = held(critic_constraint="spectral_norm")
    layer = network.dense
    for _ in range(100):
        weights.after_step()
    given = torch.randn(layer.weight.shape, generator=rng(5))
    (got,) = torch.autograd.grad((layer.weight * given).sum(), raw(layer))
    w = raw(layer).detach()
    u, s, vh = torch.linalg.svd(w)
    expected = given / s[0] - (given * w).sum() * torch.outer(u[:, 0], vh[0]) / s[0] ** 2
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-5)


def test_a_population_with_spectral_norms_can_be_stacked() -> None:
    networks = [held(seed, critic_constraint="spectral_norm")[0].eval() for seed in range(3)]
    x = torch.randn(2, 3, 4, 4, generator=rng(1))
    parameters, buffers = stack_module_state(networks)  # type: ignore[arg-type]
    skeleton = copy.deepcopy(networks[0]).to("meta")

    def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        out: Tensor = functional_call(skeleton, (parameters, buffers), (x,))
        return out

    stacked = vmap(one)(parameters, buffers)
    torch.testing.assert_close(stacked, torch.stack([network(x) for network in networks]), rtol=1e-4, atol=1e-5)


def test_equalized_weights_are_scaled_by_gain_over_root_of_fan_in() -> None:
    network = Network()
    network.dense.gain = 1.0  # type: ignore[assignment]
    network.conv.lr_multiplier = 0.01  # type: ignore[assignment]
    weights_of(network, "critic", GENES.complete({"critic_constraint": "none", "equalized_lr": True}), rng())
    for layer, scale in (
        (network.conv, 0.01 * math.sqrt(2 / 27)),
        (network.up, math.sqrt(2 / (6 * 4))),  # of its 16 positions stride 2 uses 4 for each pixel
        (network.dense, 1 / math.sqrt(256)),
    ):
        torch.testing.assert_close(layer.weight, raw(layer) * scale)


def test_a_layer_with_a_rate_of_its_own_is_scaled_where_others_are_not() -> None:
    network = Network()
    network.conv.lr_multiplier = 0.5  # type: ignore[assignment]
    weights_of(network, "critic", GENES.complete({"critic_constraint": "none"}), rng())
    torch.testing.assert_close(network.conv.weight, raw(network.conv) * 0.5 * math.sqrt(2 / 27))
    assert not parametrize.is_parametrized(network.dense)


def test_clip_bounds_weights_and_leaves_norms_and_biases_alone() -> None:
    network, weights = held(critic_constraint="clip", clip=0.005)
    with torch.no_grad():
        network.dense.bias.fill_(1.0)
    before = copy.deepcopy(network.state_dict())
    weights.after_step()
    for name, value in network.state_dict().items():
        bounded = name.endswith("weight") and not name.startswith("norm")
        assert torch.equal(value, before[name].clamp(-0.005, 0.005) if bounded else before[name])


def test_clip_takes_all_parameters_as_wgans_code_does() -> None:
    network, weights = held(critic_constraint="clip", clip=0.005, clipped="parameters")
    with torch.no_grad():
        network.dense.bias.fill_(1.0)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    weights.after_step()
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name].clamp(-0.005, 0.005)), name


@pytest.mark.parametrize("constraint", ["clip", "spectral_norm", "sigma_clamp"])
def test_the_head_may_be_left_out(constraint: str) -> None:
    """But of what draws weights."""
    network = Network()
    network.head, network.dense = network.dense, nn.Identity()  # type: ignore[assignment]
    genes: dict[str, Any] = {"critic_constraint": constraint, "constrained_head": False, "clipped": "parameters"}
    genes |= {"critic_regularization": "spectral", "critic_regularization_weight": 1.0, "critic_sigma": 0.01}
    weights = weights_of(network, "critic", GENES.complete(genes), rng())
    head = copy.deepcopy(network.head.state_dict())
    others = {name: layer.weight.detach().clone() for name, layer in layers(network)}
    for _ in range(200):
        weights.after_step()
    assert all(torch.equal(value, head[name]) for name, value in network.head.state_dict().items() if "top" not in name)
    bound = {"clip": 100.0, "spectral_norm": 1.001, "sigma_clamp": 0.02}[constraint]
    assert all(top(layer) < bound for name, layer in layers(network) if name != "head")
    assert constraint == "spectral_norm" or not torch.equal(network.conv.weight, others["conv"])
    expected = sum(float(book("spectral", matrix(layer, raw(layer))).detach()) for _, layer in layers(network))
    assert math.isclose(float(weights.regularization()["regularization"].detach()), expected, rel_tol=0.01)


@pytest.mark.parametrize("player", ["critic", "generator"])
def test_the_exact_spectral_term_is_so_from_the_first_step_on(player: str) -> None:
    """Where 15 power iterations have not found the singular vectors yet."""
    network, terms = nn.Linear(400, 300, bias=False, device="meta").to_empty(device="cpu"), {}
    nn.init.normal_(network.weight, 0, 0.1, generator=rng())
    for kind in ("spectral", "spectral_exact"):
        genes = {f"{player}_regularization": kind, f"{player}_regularization_weight": 1.0, "critic_constraint": "none"}
        weights = weights_of(copy.deepcopy(network), player, GENES.complete(genes), rng(1))
        terms[kind] = float(weights.regularization()["regularization"].detach())
    exact = float(torch.linalg.svdvals(network.weight.detach())[0]) ** 2 / 2
    assert math.isclose(terms["spectral_exact"], exact, rel_tol=1e-4)
    assert 0.9 * exact < terms["spectral"] < 0.98 * exact


@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_sigma_clamp_takes_the_excess_from_the_first_direction(limit: float) -> None:
    network, weights = held(critic_constraint="sigma_clamp", critic_sigma=limit)
    found = {
        name: torch.linalg.svd(matrix(layer, layer.weight.detach()), full_matrices=False)
        for name, layer in layers(network)
    }
    for layer in (layer for _, layer in layers(network)):
        for _ in range(300):
            layer.top.iterate(matrix(layer, layer.weight.detach()))
    weights.after_step()
    for name, layer in layers(network):
        u, s, vh = found[name]
        expected = (u * s) @ vh - max(0.0, float(s[0]) - limit) * torch.outer(u[:, 0], vh[0])
        torch.testing.assert_close(matrix(layer, layer.weight.detach()), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("ratio", [0.9, 1.2])
def test_sigma_clamp_relative_to_the_second_singular_value(ratio: float) -> None:
    network, weights = held(
        critic_constraint="sigma_clamp", critic_sigma=ratio, critic_sigma_unit="second", equalized_lr=True
    )
    found = {
        name: torch.linalg.svd(matrix(layer, raw(layer).detach()), full_matrices=False)
        for name, layer in layers(network)
    }
    for layer in (layer for _, layer in layers(network)):
        w = matrix(layer, raw(layer).detach())
        for _ in range(300):
            layer.top.iterate(w)
        for _ in range(300):
            layer.second.iterate(layer.top.others(w))
    weights.after_step()
    for name, layer in layers(network):
        u, s, vh = found[name]
        expected = (u * s) @ vh - max(0.0, float(s[0] - ratio * s[1])) * torch.outer(u[:, 0], vh[0])
        torch.testing.assert_close(matrix(layer, raw(layer).detach()), expected, rtol=1e-3, atol=1e-3)


def test_a_relative_clamp_leaves_layers_of_rank_1_alone() -> None:
    """Their second singular value is 0."""
    network = Network()
    network.dense = nn.Linear(256, 1, bias=False, device="meta").to_empty(device="cpu")
    nn.init.normal_(network.dense.weight, 0, 0.3, generator=rng())
    before = network.dense.weight.detach().clone()
    genes = {"critic_constraint": "sigma_clamp", "critic_sigma": 1.0, "critic_sigma_unit": "second"}
    weights = weights_of(network, "critic", GENES.complete(genes), rng())
    for _ in range(100):
        weights.after_step()
    assert torch.equal(network.dense.weight, before)
    for layer in (network.conv, network.up):
        first, second = torch.linalg.svdvals(matrix(layer, layer.weight.detach()))[:2].tolist()
        assert first <= 1.01 * second


def book(kind: str, w: Tensor) -> Tensor:
    one = torch.eye(len(w))
    match kind:
        case "spectral" | "spectral_exact":
            return torch.linalg.svdvals(w)[0] ** 2 / 2
        case "orthogonal":
            return torch.linalg.matrix_norm(w @ w.T - one) ** 2
        case "off_diagonal":
            return torch.linalg.matrix_norm((w @ w.T) * (1 - one)) ** 2
        case _:
            return torch.linalg.vector_norm(w) ** 2 / 2


@pytest.mark.parametrize("kind", [v for v in GENES["critic_regularization"].values if v != "none"])
def test_regularisation_by_its_formula_and_gradient(kind: str) -> None:
    network, weights = held(critic_regularization=kind, critic_regularization_weight=0.01)
    for _ in range(300):
        weights.after_step()
    (term,) = weights.regularization().values()
    given = [raw(layer) for _, layer in layers(network)]
    matrices = [matrix(layer, raw(layer)) for _, layer in layers(network)]
    expected = 0.01 * torch.stack([book(kind, w) for w in matrices]).sum()
    torch.testing.assert_close(term, expected, rtol=1e-3, atol=0)
    got, wanted = torch.autograd.grad(term, given), torch.autograd.grad(expected, given)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3)


def test_biggans_gradient_is_four_beta_times_the_masked_gram() -> None:
    """Exact: 4 beta (WW' o (1 - I)) W. The released code takes half of it."""
    network, weights = held(critic_regularization="off_diagonal", critic_regularization_weight=0.5)
    w = raw(network.dense)
    (got,) = torch.autograd.grad(weights.regularization()["regularization"], w)
    gram = w @ w.T
    torch.testing.assert_close(got, 4 * 0.5 * (gram - torch.diag(gram.diagonal())) @ w, rtol=1e-4, atol=1e-5)


def test_both_ways_to_write_orthogonality_have_one_gradient() -> None:
    """|W'W - 1|^2 and |WW' - 1|^2 differ by a constant."""
    network, weights = held(critic_regularization="orthogonal", critic_regularization_weight=1.0)
    w = raw(network.dense)
    (got,) = torch.autograd.grad(weights.regularization()["regularization"], w)
    other = (w.T @ w - torch.eye(w.shape[1])).square().sum()
    torch.testing.assert_close(got, torch.autograd.grad(other, w)[0], rtol=1e-3, atol=1e-3)


def test_the_generator_has_genes_of_its_own() -> None:
    network = Network()
    genes = GENES.complete({"generator_constraint": "sigma_clamp", "generator_sigma": 0.25, "clip": 0.1})
    weights = weights_of(network, "generator", genes, rng())
    assert weights.regularization() == {}
    for _ in range(300):
        weights.after_step()
    # the clamp holds each direction that comes first in its turn
    assert all(top(layer) < 0.3 for _, layer in layers(network))


@pytest.mark.parametrize("constraint", ["clip", "sigma_clamp"])
def test_bounds_are_of_the_weights_in_use(constraint: str) -> None:
    """Where the learning rate is equalised, those are the learned ones times a constant."""
    network, weights = held(critic_constraint=constraint, equalized_lr=True, clip=0.01, critic_sigma=0.05)
    for _ in range(300):
        weights.after_step()
    for _, layer in layers(network):
        if constraint == "clip":
            assert math.isclose(float(layer.weight.detach().abs().max()), 0.01, rel_tol=1e-5)
        else:
            assert math.isclose(top(layer), 0.05, rel_tol=0.02)


@pytest.mark.parametrize("kind", [v for v in GENES["critic_regularization"].values if v != "none"])
def test_what_is_regularised_is_the_weights_in_use(kind: str) -> None:
    network, weights = held(critic_regularization=kind, critic_regularization_weight=1.0, equalized_lr=True)
    for _ in range(300):
        weights.after_step()
    expected = sum(float(book(kind, matrix(layer, layer.weight.detach()))) for _, layer in layers(network))
    found = float(weights.regularization()["regularization"].detach())
    constant = sum(max(0, w.shape[0] - w.shape[1]) for w in (matrix(x, x.weight) for _, x in layers(network)))
    assert math.isclose(found + constant * (kind == "orthogonal"), expected, rel_tol=1e-3)


@pytest.mark.parametrize("kind", ["spectral", "orthogonal", "off_diagonal"])
def test_weights_are_not_rounded_under_autocast(kind: str) -> None:
    _, weights = held(critic_regularization=kind)
    exact = weights.regularization()["regularization"]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(weights.regularization()["regularization"], exact)
