"""Adversarial losses: pure functions of critic outputs. All are minimised; a player's loss is the sum of its terms.

r = C(x) on reals and f = C(G(z)) on fakes are raw outputs (N,); S = softplus; y targets, 1 for reals and 0 for fakes
unless smoothed. Binary cross-entropy of score t and target y is B(t, y) = S(t) - y t.

                     critic                                 generator
    minimax          E B(r, y_r) + E B(f, y_f)              -E S(f)                                1406.2661
    non_saturating   the same                               E S(-f)                                1406.2661
    maximum_likelihood                                      -E e^f                                 1701.00160
    least_squares    E (r - b)^2/2 + E (f - a)^2/2          E (f - c)^2/2                          1611.04076
                     a, b, c = 0, 1, 1 (zero_one), or -1, 1, 0 (pearson); with targets a + (b - a) y
    wasserstein      E f - E r                              -E f                                   1701.07875
    hinge            E relu(1 - r) + E relu(1 + f)          -E f                                   1705.02894
    f_divergence     E -T(r) + E f*(T(f))                   E -T(f), or E -f*(T(f))                1606.00709
    ebgan            E r + E relu(margin - f)               E f                                    1609.03126
    began            E r - k E f                            E f                                    1703.10717

An encoder, whose codes make reals pairs that are to be taken for fakes (BiGAN, arXiv:1605.09782), minimises what the
generator does with reals and fakes exchanged: the generator's loss of -r, of a + b - r for least_squares, and for
f_divergence E f*(T(r)), or E T(r).

For ebgan and began r and f are energies, what an autoencoder fails to reconstruct, at least 0. The f-divergences are
in divergences.py.

Relativistic forms (1807.00734), with loss l_r of a real's score and l_f of a fake's:

    pairs            (E l_r(r - f) + E l_f(f - r)) / 2
    average          E l_r(r - E f) + E l_f(f - E r)

and the generator minimises the same with r and f exchanged. l_r(t) is B(t, y_r), (t - 2 y_r + 1)^2 or relu(1 - t), and
l_f(t) is B(t, y_f), (t - 2 y_f + 1)^2 or relu(1 + t). With targets 1 and 0 the two halves of `pairs` are equal, the
published single term.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.functional import relu, softplus

from evogan.zoo.divergences import LARGE, Divergence
from evogan.zoo.number import Scalar, now

LossTerms = Mapping[str, Tensor]
Target = Tensor | float
Targets = Sequence[Target]  # of reals and of fakes, each (N,) in [0, 1]

HARD: Targets = (1.0, 0.0)
EPSILON = 1e-12


class Judgement(NamedTuple):
    """A loss of each score (N,) -> (N,): the critic's on reals and on fakes, given their targets; the generator's, on
    fakes; an encoder's, on reals: where none is given, the generator's of -r."""

    real: Callable[[Tensor, Target], Tensor]
    fake: Callable[[Tensor, Target], Tensor]
    generator: Callable[[Tensor], Tensor]
    encoder: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Adversarial:
    """Losses of both players, of scores r and f.

    >>> Adversarial(hinge()).generator(torch.tensor([1.0, 3.0]))
    {'generator': tensor(-2.)}

    Where `needs_real`, the generator's uses the reals' scores too, which carry no gradient:
    the caller detaches them. Targets matter to the losses of cross-entropies and squares only.
    """

    judgement: Judgement
    relativistic: str = "none"

    @property
    def needs_real(self) -> bool:
        return self.relativistic != "none"

    def critic(self, r: Tensor, f: Tensor, targets: Targets = HARD) -> LossTerms:
        """Terms "real" and "fake". Of began "fake" is -E f, to be multiplied by k."""
        weight, relate = RELATIONS[self.relativistic]
        t_real, t_fake = relate(r, f)
        return {
            "real": weight * self.judgement.real(t_real, targets[0]).mean(),
            "fake": weight * self.judgement.fake(t_fake, targets[1]).mean(),
        }

    def generator(self, f: Tensor, r: Tensor | None = None) -> LossTerms:
        """Term "generator". Its targets are never smoothed."""
        if not self.needs_real:
            return {"generator": self.judgement.generator(f).mean()}
        assert r is not None
        return {"generator": self._exchanged(r, f)}

    def encoder(self, r: Tensor, f: Tensor | None = None) -> LossTerms:
        """Term "encoder", the generator's with reals and fakes exchanged; the fakes' scores carry no gradient."""
        if not self.needs_real:
            of = self.judgement.encoder
            return {"encoder": (self.judgement.generator(-r) if of is None else of(r)).mean()}
        assert f is not None
        return {"encoder": self._exchanged(r, f)}

    def each(self, f: Tensor) -> Tensor:
        """The generator's of every score alone, of any shape; without a relativistic form."""
        return self.judgement.generator(f)

    def _exchanged(self, r: Tensor, f: Tensor) -> Tensor:
        exchanged = self.critic(f, r)
        return exchanged["real"] + exchanged["fake"]


@dataclass(frozen=True)
class Mixture:
    """Several losses, of which each GAN of a stack has the one that the number `which` says.

    A loss gets the scores of other GANs as zeros, so that nothing comes of them, be they infinite.
    """

    kinds: Sequence[Objective]
    which: Scalar

    @property
    def needs_real(self) -> bool:
        return self.kinds[0].needs_real

    def critic(self, r: Tensor, f: Tensor, targets: Targets = HARD) -> LossTerms:
        return self._chosen(lambda kind, own: kind.critic(own(r), own(f), targets))

    def generator(self, f: Tensor, r: Tensor | None = None) -> LossTerms:
        return self._chosen(lambda kind, own: kind.generator(own(f), None if r is None else own(r)))

    def encoder(self, r: Tensor, f: Tensor | None = None) -> LossTerms:
        return self._chosen(lambda kind, own: kind.encoder(own(r), None if f is None else own(f)))

    def each(self, f: Tensor) -> Tensor:
        return self._chosen(lambda kind, own: {"each": kind.each(own(f))})["each"]

    def _chosen(self, terms: Callable[[Objective, Callable[[Tensor], Tensor]], LossTerms]) -> LossTerms:
        found: dict[str, Tensor] = {}
        for number, kind in enumerate(self.kinds):
            chosen = torch.as_tensor(now(self.which)) == number
            for name, term in terms(kind, lambda x, chosen=chosen: torch.where(chosen, x, 0.0)).items():  # type: ignore[misc]
                own = torch.where(chosen, term, 0.0)
                found[name] = found[name] + own if name in found else own
        return found


Objective = Adversarial | Mixture

RELATIONS: Mapping[str, tuple[float, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]]] = {
    "none": (1.0, lambda r, f: (r, f)),
    "pairs": (0.5, lambda r, f: (r - f, f - r)),
    "average": (1.0, lambda r, f: (r - f.mean(), f - r.mean())),
}


def _cross_entropy(t: Tensor, y: Target) -> Tensor:
    """S(t) - y t, without cancellation at large t."""
    return y * softplus(-t) + (1 - y) * softplus(t)


def minimax() -> Judgement:
    return Judgement(_cross_entropy, _cross_entropy, lambda f: -softplus(f))


def non_saturating() -> Judgement:
    return Judgement(_cross_entropy, _cross_entropy, lambda f: softplus(-f))


def maximum_likelihood() -> Judgement:
    """Against the best critic, e^f = p/q, the gradient is that of KL(p|q). Beyond f = 20 it is 0."""
    return Judgement(_cross_entropy, _cross_entropy, lambda f: -torch.exp(f.clamp(max=LARGE)))


def least_squares(targets: str = "zero_one") -> Judgement:
    """`targets`: zero_one or pearson, or "relativistic" for those of the relativistic forms."""
    factor, fake, real, goal = {
        "zero_one": (0.5, 0.0, 1.0, 1.0),
        "pearson": (0.5, -1.0, 1.0, 0.0),
        "relativistic": (1.0, -1.0, 1.0, 1.0),  # published without the 1/2
    }[targets]

    def squares(t: Tensor, y: Target) -> Tensor:
        return factor * (t - (fake + (real - fake) * y)).square()

    def toward(goal: float) -> Callable[[Tensor], Tensor]:
        return lambda t: factor * (t - goal).square()

    return Judgement(squares, squares, toward(goal), toward(fake + real - goal))


def wasserstein() -> Judgement:
    return Judgement(lambda r, _: -r, lambda f, _: f, lambda f: -f)


def hinge() -> Judgement:
    return Judgement(lambda r, _: relu(1 - r), lambda f, _: relu(1 + f), lambda f: -f)


def f_divergence(bound: Divergence, *, saddle: bool = False) -> Judgement:
    """`saddle`: the generator minimises the divergence's bound itself."""
    return Judgement(
        lambda r, _: bound.real(r),
        lambda f, _: bound.fake(f),
        (lambda f: -bound.fake(f)) if saddle else bound.real,
        (lambda r: -bound.real(r)) if saddle else bound.fake,
    )


def ebgan(margin: Scalar = 10.0) -> Judgement:
    return Judgement(lambda r, _: r, lambda f, _: relu(now(margin) - f), lambda f: f)


def began() -> Judgement:
    return Judgement(lambda r, _: r, lambda f, _: -f, lambda f: f)


# E-GAN's mutations of the generator's loss, arXiv:1803.00657; its least squares are of the chance s(f), not of f
MUTATIONS: Mapping[str, Adversarial] = {
    "minimax": Adversarial(minimax()),
    "non_saturating": Adversarial(non_saturating()),
    "least_squares": Adversarial(minimax()._replace(generator=lambda f: (torch.sigmoid(f) - 1).square())),
}


def draw_targets(n: int, smoothing: float, noise: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Targets (n,) of reals, 1 - smoothing - U(0, noise), and of fakes, U(0, noise); on the device of `rng`.

    One-sided label smoothing: Salimans et al., arXiv:1606.03498.
    """
    noises = noise * torch.rand(2, n, generator=rng, device=rng.device)
    return 1 - smoothing - noises[0], noises[1]


def reconstruction_energy(x: Tensor, reconstruction: Tensor, norm: str | int) -> Tensor:
    """(N, C, H, W) twice -> (N,): "l2", the Euclidean distance (EBGAN), or 1 or 2, the power whose mean over all pixels
    and channels is taken (BEGAN).
    """
    error = (_full(x) - _full(reconstruction)).flatten(1)
    if norm == "l2":
        return torch.sqrt(EPSILON + error.square().sum(1))
    return (error.abs() if norm == 1 else error.square()).mean(1)


def pull_away(codes: Tensor) -> Tensor:
    """EBGAN's repelling term, arXiv:1609.03126: codes (N, d) -> the mean over i != j of cos(s_i, s_j)^2, in [0, 1]."""
    n = len(codes)
    directions = F.normalize(_full(codes))
    with torch.autocast(codes.device.type, enabled=False):
        cosines = directions @ directions.T
    cosines = cosines.masked_fill(torch.eye(n, dtype=torch.bool, device=codes.device), 0.0)
    return cosines.square().sum() / (n * (n - 1))


def began_balance(k: Tensor, real: Tensor, fake: Tensor, gamma: float | Tensor, rate: float | Tensor) -> Tensor:
    """BEGAN's next k, in [0, 1], without gradient; it begins at 0. `real`, `fake`: mean energies, `fake` of the
    generator's own step. k <- k + rate (gamma real - fake).
    """
    return (k + rate * (gamma * real - fake)).detach().clamp(0.0, 1.0)


def began_convergence(real: Tensor, fake: Tensor, gamma: float | Tensor) -> Tensor:
    """BEGAN's M = real + |gamma real - fake|, of mean energies, without gradient: low when converged."""
    return (real + (gamma * real - fake).abs()).detach()


def feature_matching(real: Tensor, fake: Tensor) -> Tensor:
    """|E h(x) - E h(G(z))|^2 of features (N, F), arXiv:1606.03498.

    Reals carry a gradient only where a critic is looked ahead at, which fakes have moved.
    """
    return (_full(real).mean(0) - _full(fake).mean(0)).square().sum()


def lecam(r: Tensor, f: Tensor, mean_real: Tensor, mean_fake: Tensor) -> Tensor:
    """LeCam regulariser, arXiv:2104.03310, as released: E relu(r - a_F)^2 + E relu(a_R - f)^2.

    a_R = `mean_real` and a_F = `mean_fake` are running means of r and f.
    """
    return relu(r - mean_fake).square().mean() + relu(mean_real - f).square().mean()


def _full(x: Tensor) -> Tensor:
    """At least float32: means and differences lose too much below."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
