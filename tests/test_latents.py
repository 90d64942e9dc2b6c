"""Latents: the priors they say they are, and truncated as if redrawn."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from evogan.zoo.latents import Prior, draw_latents, truncated
from tests.draws import rng

N, LATENT = 4000, 8


def prior_of(kind: str = "normal", truncation: float = 0.0) -> Prior:
    return Prior(LATENT, kind, truncation)


def test_the_old_priors_are_bit_for_bit_torchs() -> None:
    assert torch.equal(draw_latents(prior_of(), 5, rng(3)), torch.randn((5, LATENT), generator=rng(3)))
    expected = torch.rand((5, LATENT), generator=rng(3)) * 2 - 1
    assert torch.equal(draw_latents(prior_of("uniform"), 5, rng(3)), expected)


@pytest.mark.parametrize(
    ("prior", "mean", "std", "low", "high"),
    [
        ("normal", 0.0, 1.0, -math.inf, math.inf),
        ("uniform", 0.0, math.sqrt(1 / 3), -1.0, 1.0),
        ("bernoulli", 0.5, 0.5, 0.0, 1.0),
        ("censored_normal", 1 / math.sqrt(2 * math.pi), math.sqrt(0.5 - 1 / (2 * math.pi)), 0.0, math.inf),
    ],
)
def test_moments_and_support(prior: str, mean: float, std: float, low: float, high: float) -> None:
    z = draw_latents(prior_of(prior), N, rng())
    assert z.shape == (N, LATENT) and z.dtype == torch.float32
    assert abs(float(z.mean()) - mean) < 4 * std / math.sqrt(z.numel())
    assert math.isclose(float(z.std()), std, rel_tol=0.02)
    assert low <= float(z.min()) and float(z.max()) <= high
    correlation = torch.corrcoef(z.T) - torch.eye(LATENT)
    assert correlation.abs().max() < 5 / math.sqrt(N)


def test_distributions() -> None:
    assert stats.kstest(draw_latents(prior_of(), N, rng(1)).flatten().numpy(), "norm").pvalue > 0.001
    uniform = draw_latents(prior_of("uniform"), N, rng(1)).flatten().numpy()
    assert stats.kstest(uniform, "uniform", (-1, 2)).pvalue > 0.001
    assert draw_latents(prior_of("bernoulli"), N, rng(1)).unique().tolist() == [0.0, 1.0]
    censored = draw_latents(prior_of("censored_normal"), N, rng(1)).flatten()
    assert stats.binomtest(int((censored == 0).sum()), len(censored), 0.5).pvalue > 0.001
    assert stats.kstest(censored[censored > 0].numpy(), "halfnorm").pvalue > 0.001


@pytest.mark.parametrize("threshold", [0.001, 0.5, 1.0, 2.0, 4.0])
def test_truncated_is_the_truncated_normal(threshold: float) -> None:
    z = truncated(prior_of(truncation=threshold), N, rng(2))
    assert z.shape == (N, LATENT) and z.dtype == torch.float32
    assert z.abs().max() <= threshold * (1 + 1e-6)
    assert stats.kstest(z.flatten().numpy(), stats.truncnorm(-threshold, threshold).cdf).pvalue > 0.001


@pytest.mark.parametrize("prior", ["normal", "uniform", "bernoulli", "censored_normal"])
def test_without_truncation_samples_come_from_the_prior(prior: str) -> None:
    off = {"truncation": 0.0} if prior == "normal" else {}  # the other priors know no such gene
    assert torch.equal(truncated(prior_of(prior, **off), 5, rng()), draw_latents(prior_of(prior), 5, rng()))


@pytest.mark.parametrize("prior", ["normal", "uniform", "bernoulli", "censored_normal", "truncated"])
def test_a_shorter_draw_is_the_beginning_of_a_longer_one(prior: str) -> None:
    """Of normals where torch fills whole blocks of 16."""
    draw = truncated if prior == "truncated" else draw_latents
    given = prior_of(truncation=1.0) if prior == "truncated" else prior_of(prior)
    assert torch.equal(draw(given, 6, rng()), draw(given, 60, rng())[:6])
