"""GANs that are made of several plain ones, each with a critic of its own, and draws that begin with its number."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from evogan.families.plain.model import LATENT, PlainGAN
from evogan.zoo.gan import Batch, Network


class Part(PlainGAN):
    """One of them, as the plain GAN that it is, with the genes of the `whole`. `image`: channels, height, width of what
    its critic sees; `made`: what is made for it."""

    def __init__(self, whole: PlainGAN, critic: Network, image: tuple[int, ...], made: Tensor | None = None) -> None:
        self.__dict__.update(whole.__dict__)
        self.players = {"critic": critic, "generator": Network()}
        self._image, self.prior, self._made = image, replace(whole.prior, size=1), made

    def _generate(self, batch: Batch) -> Tensor:
        assert self._made is not None
        return self._made


def draws_of(batch: Batch, k: int) -> Batch:
    """The draws of part k alone, and the latents."""
    begin = f"{k} "
    own = {what.removeprefix(begin): drawn for what, drawn in batch.draws.items() if what.startswith(begin)}
    return Batch(batch.data, {LATENT: batch.draws[LATENT], "generator": (), **own})
