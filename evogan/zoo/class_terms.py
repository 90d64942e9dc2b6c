"""What a critic's head for classes adds to the losses of both players. With class y of an image, a wrong one y', logits
l of a class head, matches m of a matching head, S = softplus and weights w:

               critic                                    generator
    auxiliary  w_r CE(l(x), y) + w_f CE(l(G(z, y)), y)   w_g CE(l(G(z, y)), y)       ACGAN, arXiv:1610.09585
    two_heads  w (E S(-m(x, y)) + E S(m(x, y')))         w E S(-m(G(z, y), y))       as StackGAN++, arXiv:1710.10916
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import softplus

from evogan.zoo.conditioning import class_loss, match
from evogan.zoo.gan import Critique, Draws
from evogan.zoo.number import Scalar, now


class ClassTerms:
    """`matches`: whether the head does, or tells classes. `weights`: `match_loss`; or `class_loss_real`,
    `class_loss_fake` and `class_loss_generator`; {}: there are no terms."""

    def __init__(self, matches: bool, weights: Mapping[str, Scalar]) -> None:
        self.matches, self._weights = matches, weights

    def critic(self, real: Critique, fake: Critique, labels: Tensor, wrong: Draws) -> dict[str, Tensor]:
        """Of what is said of reals and fakes, that have these labels (N,). `wrong`: others of the reals, (N,), if the
        head matches."""
        if real.classes is None or fake.classes is None or not self._weights:
            return {}
        if self.matches:
            right, mismatched = match(real.classes, labels), match(real.classes, *wrong)
            return {"match": self._weight("match_loss") * (softplus(-right).mean() + softplus(mismatched).mean())}
        return {
            "class_real": self._weight("class_loss_real") * class_loss(real.classes, labels),
            "class_fake": self._weight("class_loss_fake") * class_loss(fake.classes, labels),
        }

    def generator(self, fake: Critique, labels: Tensor) -> dict[str, Tensor]:
        """Of what is said of fakes that were asked for by labels (N,)."""
        if fake.classes is None or not self._weights:
            return {}
        if self.matches:
            return {"match": self._weight("match_loss") * softplus(-match(fake.classes, labels)).mean()}
        return {"class_fake": self._weight("class_loss_generator") * class_loss(fake.classes, labels)}

    def _weight(self, name: str) -> float | Tensor:
        return now(self._weights[name])
