"""Adversarial losses against their textbook formulas, and f-divergences against the integrals they bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import lambertw
from scipy.stats import norm
from torch import Tensor

from evogan.genes import GENES
from evogan.zoo.divergences import Divergence, divergence
from evogan.zoo.from_genes import adversarial
from evogan.zoo.losses import (
    began_balance,
    began_convergence,
    draw_targets,
    feature_matching,
    lecam,
    pull_away,
    reconstruction_energy,
)
from tests.draws import rng

Array = np.ndarray[Any, np.dtype[np.float64]]
Textbook = tuple[Callable[..., float], Callable[..., float], Callable[..., float]]


def tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def genome(loss: str, **genes: Any) -> dict[str, Any]:
    return GENES.complete({"loss": loss, **genes})


# --- the textbook, in numpy, with probabilities and their logarithms -------------------------------------------------


def sigmoid(t: Array) -> Array:
    return 1 / (1 + np.exp(-t))


def bce(t: Array, y: Array) -> float:
    return float(np.mean(-y * np.log(sigmoid(t)) - (1 - y) * np.log(1 - sigmoid(t))))


def plus(t: Array) -> Array:
    return np.maximum(t, 0)


CASES: dict[str, tuple[dict[str, Any], Textbook]] = {
    "minimax": (
        genome("minimax"),
        (
            lambda r, f, y, n: bce(r, y),
            lambda r, f, y, n: bce(f, n),
            lambda r, f: np.mean(np.log(1 - sigmoid(f))),
        ),
    ),
    "non_saturating": (
        genome("non_saturating"),
        (
            lambda r, f, y, n: bce(r, y),
            lambda r, f, y, n: bce(f, n),
            lambda r, f: -np.mean(np.log(sigmoid(f))),
        ),
    ),
    "maximum_likelihood": (
        genome("maximum_likelihood"),
        (
            lambda r, f, y, n: bce(r, y),
            lambda r, f, y, n: bce(f, n),
            lambda r, f: -np.mean(sigmoid(f) / (1 - sigmoid(f))),
        ),
    ),
    "least_squares": (
        genome("least_squares"),
        (
            lambda r, f, y, n: np.mean((r - y) ** 2) / 2,
            lambda r, f, y, n: np.mean((f - n) ** 2) / 2,
            lambda r, f: np.mean((f - 1) ** 2) / 2,
        ),
    ),
    "least_squares pearson": (
        genome("least_squares", ls_targets="pearson"),
        (
            lambda r, f, y, n: np.mean((r - (2 * y - 1)) ** 2) / 2,
            lambda r, f, y, n: np.mean((f - (2 * n - 1)) ** 2) / 2,
            lambda r, f: np.mean(f**2) / 2,
        ),
    ),
    "wasserstein": (
        genome("wasserstein"),
        (lambda r, f, y, n: -r.mean(), lambda r, f, y, n: f.mean(), lambda r, f: -f.mean()),
    ),
    "hinge": (
        genome("hinge"),
        (
            lambda r, f, y, n: plus(1 - r).mean(),
            lambda r, f, y, n: plus(1 + f).mean(),
            lambda r, f: -f.mean(),
        ),
    ),
    "ebgan": (
        genome("ebgan", margin=2.5),
        (lambda r, f, y, n: r.mean(), lambda r, f, y, n: plus(2.5 - f).mean(), lambda r, f: f.mean()),
    ),
    "began": (
        genome("began"),
        (lambda r, f, y, n: r.mean(), lambda r, f, y, n: -f.mean(), lambda r, f: f.mean()),
    ),
    "RSGAN": (
        genome("non_saturating", relativistic="pairs"),
        (
            lambda r, f, y, n: bce(r - f, y) / 2,
            lambda r, f, y, n: bce(f - r, n) / 2,
            lambda r, f: -np.mean(np.log(sigmoid(f - r))),
        ),
    ),
    "RaSGAN": (
        genome("non_saturating", relativistic="average"),
        (
            lambda r, f, y, n: bce(r - f.mean(), y),
            lambda r, f, y, n: bce(f - r.mean(), n),
            lambda r, f: -np.mean(np.log(sigmoid(f - r.mean()))) - np.mean(np.log(1 - sigmoid(r - f.mean()))),
        ),
    ),
    "R-LS": (
        genome("least_squares", relativistic="pairs"),
        (
            lambda r, f, y, n: np.mean((r - f - (2 * y - 1)) ** 2) / 2,
            lambda r, f, y, n: np.mean((f - r - (2 * n - 1)) ** 2) / 2,
            lambda r, f: np.mean((f - r - 1) ** 2),
        ),
    ),
    "Ra-LS": (
        genome("least_squares", relativistic="average"),
        (
            lambda r, f, y, n: np.mean((r - f.mean() - (2 * y - 1)) ** 2),
            lambda r, f, y, n: np.mean((f - r.mean() - (2 * n - 1)) ** 2),
            lambda r, f: np.mean((f - r.mean() - 1) ** 2) + np.mean((r - f.mean() + 1) ** 2),
        ),
    ),
    "R-hinge": (
        genome("hinge", relativistic="pairs"),
        (
            lambda r, f, y, n: plus(1 - (r - f)).mean() / 2,
            lambda r, f, y, n: plus(1 - (r - f)).mean() / 2,
            lambda r, f: plus(1 - (f - r)).mean(),
        ),
    ),
    "Ra-hinge": (
        genome("hinge", relativistic="average"),
        (
            lambda r, f, y, n: plus(1 - (r - f.mean())).mean(),
            lambda r, f, y, n: plus(1 + (f - r.mean())).mean(),
            lambda r, f: plus(1 - (f - r.mean())).mean() + plus(1 + (r - f.mean())).mean(),
        ),
    ),
}

scores = st.floats(-6, 6)
rows = st.lists(st.tuples(scores, scores, st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6)


@pytest.mark.parametrize("case", CASES)
@given(rows=rows)
def test_a_loss_is_its_textbook_formula(case: str, rows: list[tuple[float, float, float, float]]) -> None:
    genes, (real, fake, generator) = CASES[case]
    r, f, y, n = np.array(rows).T
    loss = adversarial(genes)
    terms = loss.critic(tensor(r), tensor(f), (tensor(y), tensor(n)))
    assert set(terms) == {"real", "fake"}
    assert float(terms["real"]) == pytest.approx(real(r, f, y, n), abs=1e-10)
    assert float(terms["fake"]) == pytest.approx(fake(r, f, y, n), abs=1e-10)
    default = loss.critic(tensor(r), tensor(f))
    assert float(default["real"]) == pytest.approx(real(r, f, np.ones_like(r), np.zeros_like(r)), abs=1e-10)
    assert float(default["fake"]) == pytest.approx(fake(r, f, np.ones_like(r), np.zeros_like(r)), abs=1e-10)
    made = loss.generator(tensor(f), tensor(r) if loss.needs_real else None)
    assert set(made) == {"generator"}
    assert float(made["generator"]) == pytest.approx(generator(r, f), abs=1e-10)


@pytest.mark.parametrize(
    ("case", "single"),
    [
        ("RSGAN", lambda d: -np.mean(np.log(sigmoid(d)))),
        ("R-LS", lambda d: np.mean((d - 1) ** 2)),
        ("R-hinge", lambda d: plus(1 - d).mean()),
    ],
)
def test_the_halves_of_a_loss_of_pairs_add_up_to_the_published_term(case: str, single: Callable[..., float]) -> None:
    r, f = torch.randn(2, 9, dtype=torch.float64, generator=rng())
    terms = adversarial(CASES[case][0]).critic(r, f)
    assert float(terms["real"] + terms["fake"]) == pytest.approx(single((r - f).numpy()), abs=1e-12)


def test_every_loss_and_form_of_the_gene_table_has_its_case() -> None:
    tested = {(genes["loss"], genes.get("relativistic"), genes.get("ls_targets")) for genes, _ in CASES.values()}
    relativistic = GENES["relativistic"]
    written = {
        (loss, form, targets)
        for loss in GENES["loss"].values
        if loss != "f_divergence"
        for form in (relativistic.values if loss in relativistic.when["loss"] else (None,))
        for targets in (GENES["ls_targets"].values if (loss, form) == ("least_squares", "none") else (None,))
    }
    assert tested == written


# --- gradients -------------------------------------------------------------------------------------------------------

DIVERGENCE_GENES = {
    f"{name} {generator}": genome("f_divergence", divergence=name, divergence_generator=generator)
    for name in GENES["divergence"].values
    for generator in ("practical", "saddle")
}
ALL = {**{case: genes for case, (genes, _) in CASES.items()}, **DIVERGENCE_GENES}


@pytest.mark.parametrize("case", ALL)
def test_gradients_are_those_of_the_loss(case: str) -> None:
    loss = adversarial(ALL[case])
    r, f, y, n = torch.rand(4, 5, dtype=torch.float64, generator=rng(1))
    r, f = (2 * r + 0.3).requires_grad_(), (2 * f - 1.7).requires_grad_()
    assert torch.autograd.gradcheck(lambda r, f: tuple(loss.critic(r, f, (y, n)).values()), (r, f))
    reals = r.detach() if loss.needs_real else None
    assert torch.autograd.gradcheck(lambda f: loss.generator(f, reals)["generator"], (f,))


def generator_gradient(genes: Mapping[str, Any], f: Tensor, r: Tensor | None = None) -> Tensor:
    f = f.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(adversarial(genes).generator(f, r)["generator"], f)
    return gradient


def test_minimax_saturates_where_the_critic_rejects_and_non_saturating_does_not() -> None:
    f = tensor([-12.0, -3.0, 0.0, 3.0, 12.0])
    minimax, non_saturating = (generator_gradient(genome(loss), f) * 5 for loss in ("minimax", "non_saturating"))
    np.testing.assert_allclose(minimax, -sigmoid(f.numpy()), rtol=1e-6)
    np.testing.assert_allclose(non_saturating, -sigmoid(-f.numpy()), rtol=1e-6)
    assert minimax[0].abs() < 1e-5 and non_saturating[0].abs() > 0.99999


def test_a_relativistic_generator_learns_through_both_terms() -> None:
    r, f = torch.randn(2, 7, dtype=torch.float64, generator=rng())
    found = generator_gradient(genome("non_saturating", relativistic="average"), f, r)
    first = -sigmoid(-(f - r.mean()).numpy())  # of S(-(f_i - E r))
    second = -sigmoid((r - f.mean()).numpy()).mean()  # of E S(r - E f), by each f_i
    np.testing.assert_allclose(found, (first + second) / 7, rtol=1e-10)


@pytest.mark.parametrize("case", ALL)
def test_losses_and_gradients_are_finite_at_huge_scores(case: str) -> None:
    """All pairs of them, in float32."""
    values = torch.tensor([0.0, 1e-3, 1.0, 15.0, 20.0, 25.0, 89.0, 104.0, 1e4])
    values = torch.cat([-values, values])
    loss = adversarial(ALL[case])
    for a in values:
        r, f = a.expand(len(values)).clone().requires_grad_(), values.clone().requires_grad_()
        terms = loss.critic(r, f)
        made = loss.generator(f, r if loss.needs_real else None)
        gradients = [torch.autograd.grad(sum(t.values()), (r, f), allow_unused=True) for t in (terms, made)]
        for x in (*terms.values(), *made.values(), *(g for both in gradients for g in both if g is not None)):
            assert x.isfinite().all()


@pytest.mark.parametrize("loss", ["minimax", "non_saturating", "maximum_likelihood"])
def test_a_confident_critic_keeps_the_small_gradient_it_is_due(loss: str) -> None:
    """Float32: s(t) - 1 = -s(-t) must not be computed as a difference from 1."""
    for t in (18.0, 40.0, 80.0):
        r, f = torch.tensor([t], requires_grad=True), torch.tensor([-t], requires_grad=True)
        terms = adversarial(genome(loss)).critic(r, f)
        real, fake = torch.autograd.grad(sum(terms.values()), (r, f))
        assert float(real) == pytest.approx(-math.exp(-t), rel=1e-5)
        assert float(fake) == pytest.approx(math.exp(-t), rel=1e-5)


def test_losses_can_be_stacked() -> None:
    """Over a population, under vmap, gradients and Newton's method included."""
    r, f = torch.randn(2, 3, 6, dtype=torch.float64, generator=rng())
    for genes in ALL.values():
        loss = adversarial(genes)

        def total(r: Tensor, f: Tensor, loss: Any = loss) -> Tensor:
            return sum(loss.critic(r, f).values()) + loss.generator(f, r)["generator"]

        stacked = torch.func.vmap(torch.func.grad(total, argnums=(0, 1)))(r, f)
        for i in range(3):
            one = r[i].clone().requires_grad_(), f[i].clone().requires_grad_()
            for a, b in zip(stacked, torch.autograd.grad(total(*one), one), strict=True):
                torch.testing.assert_close(a[i], b)


# --- optima ----------------------------------------------------------------------------------------------------------

# equally likely points of two known distributions, so that the mean over a batch is an expectation
LEVELS = (np.arange(100_000) + 0.5) / 100_000
P, Q = norm(0.0, 1.0), norm(0.8, 1.1)
ON_P, ON_Q = P.ppf(LEVELS), Q.ppf(LEVELS)


def integral(integrand: Callable[[float], float], *corners: float) -> float:
    return float(quad(integrand, -14, 14, points=[-2, 0, 2, *corners], limit=200, epsabs=1e-11)[0])


def jensen_shannon() -> float:
    def kl_to_mixture(a: Any, b: Any) -> float:
        return integral(lambda x: a.pdf(x) * math.log(2 * a.pdf(x) / (a.pdf(x) + b.pdf(x))))

    return (kl_to_mixture(P, Q) + kl_to_mixture(Q, P)) / 2


def critic_loss(genes: Mapping[str, Any], score: Callable[[Array], Array]) -> float:
    return float(sum(adversarial(genes).critic(tensor(score(ON_P)), tensor(score(ON_Q))).values()))


def test_the_best_critic_of_cross_entropy_measures_the_jensen_shannon_divergence() -> None:
    best = critic_loss(genome("minimax"), lambda x: np.log(P.pdf(x) / Q.pdf(x)))
    assert best == pytest.approx(math.log(4) - 2 * jensen_shannon(), abs=1e-5)


def test_against_the_best_critic_the_maximum_likelihood_game_descends_the_kl_divergence() -> None:
    """KL(P|Q) = log s + (1 + m^2)/(2 s^2) - 1/2 of Q = N(m, s^2): its gradient, where samples are m + s z."""
    m, s = tensor(0.8).requires_grad_(), tensor(1.1).requires_grad_()
    x = m + s * tensor((ON_Q - 0.8) / 1.1)
    best = -x.square() / 2 + ((x - 0.8) / 1.1).square() / 2 + math.log(1.1)  # log p/q, of q as it is
    loss = adversarial(genome("maximum_likelihood")).generator(best)["generator"]
    found = [float(g) for g in torch.autograd.grad(loss, (m, s))]
    assert found == pytest.approx([0.8 / 1.1**2, 1 / 1.1 - (1 + 0.8**2) / 1.1**3], abs=1e-4)


def test_the_best_critic_of_hinge_measures_total_variation() -> None:
    crossings = [x for x in np.roots([1 - 1 / 1.21, 1.6 / 1.21, -(0.64 / 1.21 + 2 * math.log(1.1))]) if abs(x) < 14]
    total_variation = integral(lambda x: abs(P.pdf(x) - Q.pdf(x)), *crossings) / 2
    best = critic_loss(genome("hinge"), lambda x: np.sign(P.pdf(x) - Q.pdf(x)))
    assert best == pytest.approx(2 - 2 * total_variation, abs=1e-4)


def test_least_squares_in_pearson_coding_measures_pearsons_divergence_to_the_mixture() -> None:
    """At the best critic, (p - q)/(p + q), E_P and E_Q of the generator's loss add up to half of chi^2(p + q | 2q)'s
    symmetric form, the integral of (p - q)^2/(p + q)."""
    loss = adversarial(genome("least_squares", ls_targets="pearson"))
    best = [tensor((P.pdf(x) - Q.pdf(x)) / (P.pdf(x) + Q.pdf(x))) for x in (ON_P, ON_Q)]
    found = sum(float(loss.generator(f)["generator"]) for f in best)
    true = integral(lambda x: (P.pdf(x) - Q.pdf(x)) ** 2 / (P.pdf(x) + Q.pdf(x)))
    assert found == pytest.approx(true / 2, abs=1e-5)


@pytest.mark.parametrize(
    ("genes", "targets", "best", "value"),
    [
        (genome("minimax"), (1.0, 0.0), 0.0, math.log(4)),
        (genome("non_saturating"), (1.0, 0.0), 0.0, math.log(4)),
        (genome("non_saturating"), (0.9, 0.0), math.log(0.45 / 0.55), None),
        (genome("non_saturating"), (0.9, 0.1), 0.0, math.log(4)),
        (genome("least_squares"), (1.0, 0.0), 0.5, 0.25),
        (genome("least_squares"), (0.9, 0.0), 0.45, None),
        (genome("least_squares", ls_targets="pearson"), (1.0, 0.0), 0.0, 1.0),
        (genome("least_squares", ls_targets="pearson"), (0.9, 0.0), -0.1, None),
    ],
)
def test_a_critic_that_cannot_tell_answers_with_the_mean_of_the_targets(
    genes: Mapping[str, Any], targets: tuple[float, float], best: float, value: float | None
) -> None:
    score = tensor([best]).requires_grad_()
    loss = sum(adversarial(genes).critic(score, score, targets).values())
    (gradient,) = torch.autograd.grad(loss, score, create_graph=True)
    assert float(gradient.detach()) == pytest.approx(0, abs=1e-12)
    assert float(torch.autograd.grad(gradient, score)[0]) > 0
    if value is not None:
        assert float(loss.detach()) == pytest.approx(value)


# --- f-divergences ---------------------------------------------------------------------------------------------------

PI = 0.3


def bound_of(name: str) -> Divergence:
    return divergence(name, PI)


# f written out once more, and the v at which g(v) = f'(u)
F_AND_BEST: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "total_variation": (lambda u: abs(u - 1) / 2, lambda u: 40 * np.sign(u - 1)),
    "kl": (lambda u: u * np.log(u), lambda u: np.log(u) + 1),
    "reverse_kl": (lambda u: -np.log(u), np.log),
    "pearson": (lambda u: (u - 1) ** 2, lambda u: 2 * (u - 1)),
    "neyman": (lambda u: (1 - u) ** 2 / u, lambda u: 2 * np.log(u)),
    "hellinger": (lambda u: (np.sqrt(u) - 1) ** 2, lambda u: np.log(u) / 2),
    "jeffrey": (lambda u: (u - 1) * np.log(u), lambda u: np.log(u) + 1 - 1 / u),
    "js": (lambda u: u * np.log(u) - (u + 1) * np.log((u + 1) / 2), np.log),
    "js_weighted": (
        lambda u: PI * u * np.log(u) - (1 - PI + PI * u) * np.log(1 - PI + PI * u),
        lambda u: -np.log(((1 - PI + PI * u) / (PI * u)) ** PI - 1),
    ),
    "gan": (lambda u: u * np.log(u) - (u + 1) * np.log(u + 1), np.log),
}
every_divergence = pytest.mark.parametrize("name", F_AND_BEST)
GRID = np.linspace(-7, 7, 4001)  # beyond it neither density matters, and within no best v is clamped
STEP = GRID[1] - GRID[0]
DENSITY_P, DENSITY_Q = P.pdf(GRID), Q.pdf(GRID)
RATIO = DENSITY_P / DENSITY_Q


def true_divergence(f: Callable[[Array], Array]) -> float:
    return float(np.sum(DENSITY_Q * f(RATIO)) * STEP)


def bound(name: str, v: Array) -> float:
    """E_P T - E_Q f*(T) of the critic whose raw output on the grid is v."""
    d = bound_of(name)
    integrand = -DENSITY_P * d.real(tensor(v)).numpy() - DENSITY_Q * d.fake(tensor(v)).numpy()
    return float(integrand.sum() * STEP)


def test_every_divergence_of_the_gene_table_is_tested() -> None:
    assert set(F_AND_BEST) == set(GENES["divergence"].values)


@every_divergence
def test_f_is_the_published_one_and_its_slope_at_one_the_threshold(name: str) -> None:
    d, (f, _) = bound_of(name), F_AND_BEST[name]
    u = np.linspace(0.05, 8, 50)
    np.testing.assert_allclose(d.f(tensor(u)), f(u), rtol=1e-12, atol=1e-14)
    assert d.threshold == pytest.approx((f(np.float64(1 + 1e-5)) - f(np.float64(1 - 1e-5))) / 2e-5, abs=1e-9)
    assert float(d.f(tensor(1.0))) == pytest.approx(-math.log(4) if name == "gan" else 0, abs=1e-12)


@every_divergence
def test_the_conjugate_is_the_convex_conjugate(name: str) -> None:
    """f*(t) >= u t - f(u) for any u and t, with equality at t = f'(u)."""
    d, (f, _) = bound_of(name), F_AND_BEST[name]
    u = np.exp(np.linspace(-4, 3, 60))  # does not hold 1, where total variation has no slope
    slope = (f(u * (1 + 1e-6)) - f(u * (1 - 1e-6))) / (2e-6 * u)
    assert (slope <= d.domain[1] + 1e-8).all() and (slope >= d.domain[0] - 1e-8).all()
    touching = d.conjugate(tensor(slope.clip(*d.domain))).numpy()
    np.testing.assert_allclose(touching, u * slope - f(u), rtol=1e-6, atol=1e-7)
    t = np.linspace(max(d.domain[0], -8), min(d.domain[1], 3), 103)[1:-1]
    gap = d.conjugate(tensor(t)).numpy()[:, None] - (u * t[:, None] - f(u))
    assert gap.min() >= -1e-12


@every_divergence
def test_the_activation_increases_into_the_conjugates_domain(name: str) -> None:
    d = bound_of(name)
    t = d.activation(torch.linspace(-100, 100, 999, dtype=torch.float64))
    assert (t >= d.domain[0]).all() and (t <= d.domain[1]).all()
    t = d.activation(torch.linspace(-9, 9, 999, dtype=torch.float64))
    assert (t > d.domain[0]).all() and (t < d.domain[1]).all()
    assert (t.diff() > 0).all()


@every_divergence
def test_the_stable_form_is_the_conjugate_of_the_activation(name: str) -> None:
    d, v = bound_of(name), torch.linspace(-12, 12, 401, dtype=torch.float64)
    torch.testing.assert_close(d.fake(v), d.conjugate(d.activation(v)), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(d.real(v), -d.activation(v))
    v = torch.linspace(-19, 19, 401, dtype=torch.float64)  # and float32 does not lose it
    torch.testing.assert_close(d.fake(v.float()).double(), d.fake(v), rtol=2e-5, atol=2e-6)


@every_divergence
def test_beyond_its_limits_a_divergence_is_still_a_bound(name: str) -> None:
    d = bound_of(name)
    for v in (np.full_like(GRID, 1e4), np.full_like(GRID, -1e4), 1e4 * np.sign(RATIO - 1), 1e4 * np.sign(1 - RATIO)):
        assert bound(name, v) <= true_divergence(F_AND_BEST[name][0]) + 1e-9
    assert all(abs(limit) in (20, math.inf) for limit in d.limits)


@every_divergence
def test_the_best_critic_attains_the_divergence(name: str) -> None:
    f, best = F_AND_BEST[name]
    assert bound(name, best(RATIO)) == pytest.approx(true_divergence(f), rel=1e-9)


@every_divergence
def test_the_best_critic_is_stationary_at_each_point(name: str) -> None:
    d, v = bound_of(name), tensor(F_AND_BEST[name][1](RATIO)).requires_grad_()
    loss = tensor(DENSITY_P) * d.real(v) + tensor(DENSITY_Q) * d.fake(v)
    (gradient,) = torch.autograd.grad(loss.sum(), v)
    assert gradient.abs().max() < 1e-8


@every_divergence
@given(
    scale=st.floats(0.0, 1.2),
    shift=st.floats(-1, 1),
    wave=st.floats(0.2, 1),
    phase=st.floats(0, 6),
    k=st.floats(0.5, 3),
)
def test_any_other_critic_attains_less(
    name: str, scale: float, shift: float, wave: float, phase: float, k: float
) -> None:
    """Also for total variation, whose best critics are the infinitely sure ones."""
    v = scale * np.log(RATIO) + shift + wave * np.sin(k * GRID + phase)
    assert bound(name, v) < true_divergence(F_AND_BEST[name][0]) - 1e-4


def test_known_divergences() -> None:
    """Closed forms of Gaussians, and integrals written out."""
    (m, s), (n, t) = (0.0, 1.0), (0.8, 1.1)
    kl = math.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5
    reverse = math.log(s / t) + (t**2 + (m - n) ** 2) / (2 * s**2) - 0.5
    affinity = math.sqrt(2 * s * t / (s**2 + t**2)) * math.exp(-((m - n) ** 2) / (4 * (s**2 + t**2)))
    p, q = P.pdf, Q.pdf
    known = {
        "kl": kl,
        "reverse_kl": reverse,
        "jeffrey": kl + reverse,
        "hellinger": 2 - 2 * affinity,
        "pearson": integral(lambda x: (p(x) - q(x)) ** 2 / q(x)),
        "js": 2 * jensen_shannon(),
        "gan": 2 * jensen_shannon() - math.log(4),
    }
    for name, value in known.items():
        assert bound(name, F_AND_BEST[name][1](RATIO)) == pytest.approx(value, rel=1e-6), name
    neyman = float(np.sum((DENSITY_P - DENSITY_Q) ** 2 / DENSITY_P) * STEP)
    assert bound("neyman", F_AND_BEST["neyman"][1](RATIO)) == pytest.approx(neyman, rel=1e-9)


def test_the_evenly_weighted_js_is_half_of_js() -> None:
    even, js = divergence("js_weighted", 0.5), bound_of("js")
    u = torch.linspace(0.1, 5, 30, dtype=torch.float64)
    torch.testing.assert_close(2 * even.f(u), js.f(u))


@pytest.mark.parametrize("pi", [0.01, 0.5, 0.99])
def test_weighted_js_at_the_ends_of_its_gene(pi: float) -> None:
    """Float32 against the definition in double precision, and the last exact v against the first approximate one."""
    d = divergence("js_weighted", pi)
    v = np.linspace(-200, 30, 500)
    exact = (1 - pi) * (np.log1p(-pi) - np.log(-np.expm1(-np.logaddexp(0, -v) / pi)))
    np.testing.assert_allclose(d.fake(torch.tensor(v, dtype=torch.float32)), exact, rtol=3e-5, atol=1e-5)


@given(t=st.floats(-500, 19.9))
def test_jeffreys_conjugate_is_lambert_w(t: float) -> None:
    w = float(lambertw(np.exp(1 - t)).real)
    x = tensor(t).requires_grad_()
    y = bound_of("jeffrey").fake(x)
    (slope,) = torch.autograd.grad(y, x)
    assert float(y.detach()) == pytest.approx(w + 1 / w + t - 2, rel=1e-9, abs=1e-9)
    assert float(slope) == pytest.approx(1 / w, rel=1e-9)


@every_divergence
def test_the_generators_of_f_gan(name: str) -> None:
    """Practical: -E T; saddle: -E f*(T)."""
    f = torch.linspace(-3, 3, 11, dtype=torch.float64)
    t = bound_of(name).activation(f)
    genes = {"loss": "f_divergence", "divergence": name, "js_weight": PI}
    for kind, value in (("practical", -t.mean()), ("saddle", -bound_of(name).conjugate(t).mean())):
        made = adversarial({**genes, "divergence_generator": kind}).generator(f)
        torch.testing.assert_close(made["generator"], value)


# --- around the losses -----------------------------------------------------------------------------------------------


def test_targets_are_smoothed_on_one_side_and_noisy_on_both() -> None:
    source = rng()
    real, fake = draw_targets(20_000, 0.1, 0.2, source)
    assert 0.7 <= real.min() < 0.701 and 0.899 < real.max() <= 0.9
    assert 0 <= fake.min() < 0.001 and 0.199 < fake.max() <= 0.2
    assert real.mean() == pytest.approx(0.8, abs=2e-3) and fake.mean() == pytest.approx(0.1, abs=2e-3)
    assert abs(np.corrcoef(real, fake)[0, 1]) < 0.03
    again, _ = draw_targets(20_000, 0.1, 0.2, source)
    assert not torch.equal(real, again)
    assert torch.equal(real, draw_targets(20_000, 0.1, 0.2, rng())[0])
    plain = draw_targets(3, 0.0, 0.0, rng())
    assert plain[0].tolist() == [1, 1, 1] and plain[1].tolist() == [0, 0, 0]


def test_reconstruction_energies() -> None:
    x, y = torch.rand(2, 4, 3, 5, 6, dtype=torch.float64, generator=rng())
    error = (x - y).reshape(4, -1).numpy()
    np.testing.assert_allclose(reconstruction_energy(x, y, "l2"), np.linalg.norm(error, axis=1))
    np.testing.assert_allclose(reconstruction_energy(x, y, 1), [np.mean(np.abs(e)) for e in error])
    np.testing.assert_allclose(reconstruction_energy(x, y, 2), [np.mean(e**2) for e in error])
    for norm_ in ("l2", 1, 2):
        same = x.clone().requires_grad_()
        energy = reconstruction_energy(x, same, norm_)
        assert energy.abs().max() < 1e-5
        energy.sum().backward()
        assert same.grad is not None and same.grad.isfinite().all()


def test_pull_away_is_the_mean_squared_cosine_of_distinct_codes() -> None:
    codes = torch.randn(5, 7, dtype=torch.float64, generator=rng())
    total = 0.0
    for i in range(5):
        for j in range(5):
            if i != j:
                a, b = codes[i].numpy(), codes[j].numpy()
                total += (a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) ** 2
    assert float(pull_away(codes)) == pytest.approx(total / 20)
    assert float(pull_away(torch.eye(4))) == 0
    assert float(pull_away(torch.ones(4, 3) * torch.tensor([[1.0], [2.0], [-1.0], [0.5]]))) == pytest.approx(1)
    assert torch.autograd.gradcheck(pull_away, codes.requires_grad_())


def test_began_keeps_its_balance() -> None:
    k, real = tensor(0.0), tensor(2.0).requires_grad_()
    k = began_balance(k, real, tensor(0.5), gamma=0.75, rate=0.1)  # 0.1 (1.5 - 0.5)
    assert float(k) == pytest.approx(0.1) and not k.requires_grad
    assert float(began_balance(k, real, tensor(50.0), 0.75, 0.1)) == 0
    assert float(began_balance(k, real, tensor(0.0), 0.75, 10.0)) == 1
    assert float(began_convergence(real, tensor(0.5), 0.75)) == pytest.approx(2 + 1)
    assert float(began_convergence(real, tensor(4.0), 0.75)) == pytest.approx(2 + 2.5)


def test_feature_matching_compares_means() -> None:
    """Reals teach, too, where they are given a gradient: of a critic that is looked ahead at."""
    real, fake = torch.randn(2, 6, 4, dtype=torch.float64, generator=rng()).requires_grad_().unbind()
    value = feature_matching(real, fake)
    difference = real.detach().numpy().mean(0) - fake.detach().numpy().mean(0)
    assert float(value.detach()) == pytest.approx(float(difference @ difference))
    by_real, by_fake = torch.autograd.grad(value, (real, fake))
    np.testing.assert_allclose(by_real, np.tile(2 * difference / 6, (6, 1)))
    np.testing.assert_allclose(by_fake, np.tile(-2 * difference / 6, (6, 1)))
    # of the same numbers in another order nothing is to be matched
    real = real.detach()
    assert float(feature_matching(real, real[torch.tensor([3, 1, 0, 2, 5, 4])])) == pytest.approx(0, abs=1e-20)


def test_feature_matching_sees_small_differences_of_large_half_precision_means() -> None:
    real = torch.full((4, 1), 100.0, dtype=torch.bfloat16)
    fake = torch.tensor([[100.0], [100.0], [100.0], [100.5]], dtype=torch.bfloat16)
    assert float(feature_matching(real, fake)) == pytest.approx(0.125**2)


def test_lecam_draws_scores_to_the_other_sides_mean_from_outside_only() -> None:
    r, f = tensor([-1.0, 0.0, 2.0]), tensor([-2.0, 0.5, 3.0])
    # reals above the fakes' mean -0.5: 0.5^2 + 2.5^2; fakes below the reals' mean 1: 3^2 + 0.5^2
    assert float(lecam(r, f, tensor(1.0), tensor(-0.5))) == pytest.approx((0.25 + 6.25) / 3 + (9 + 0.25) / 3)
