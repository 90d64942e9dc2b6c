"""A trained critic as something to use: it says of any image how much it looks like those of its training.

A score is by the convention of the diagnostics `critic_accuracy`: higher is more real, an autoencoder's energy with its
sign turned. As there, batch norm and minibatch layers look at the batch alone (a critic has no running statistics), so
batches are as large as in the training and of one data set. Nothing is dropped, augmented or noised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evogan.caller import undisturbed, undrawn
from evogan.data import Dataset
from evogan.data.dataset import Images
from evogan.errors import UserError, counted, one_line
from evogan.evaluation.header import PLANE, read_pixels
from evogan.evaluation.players import read_players
from evogan.families.plain.model import PlainGAN
from evogan.genes import GENES
from evogan.options import LARGEST_SEED, read_option
from evogan.stable import derive_seed
from evogan.training.feed import prepared
from evogan.zoo.gan import Crosses, Network

Scores = npt.NDArray[np.float64]  # (N,), higher is more real
AT_ONCE = 500  # images, of a critic that looks at each alone
ROUNDS = 8  # orders that a critic which looks at whole batches is shown the images in


class Critic:
    """A trained critic. Made by `evogan.load_critic`.

    `genome`: what it was built from. `facts`: image_size, channels, task, key, fid, and the name and fingerprint of the
    data. `classes`: the names of those that it is told, of a conditional one. `in_batches`: whether what it says of an
    image depends on those beside it.
    """

    @undisturbed()
    def __init__(self, path: str | Path) -> None:
        self._players = read_players(path)
        form = self._players.form
        self.path, self.genome, self.facts, self.classes = self._players.path, form.genome, form.facts, form.classes
        network = self._players.gan.players.get("critic")
        if not self._players.whole or not isinstance(network, Network):
            whole = "name the players.safetensors of a training, or a run that checked its best"
            raise UserError(f"'{self.path}' has no critic: {whole}")
        self._critic, genes = network, GENES.complete(form.genome)
        if isinstance(self._players.gan, Crosses) or genes.get("patch_sees_source", False):
            beside = "of one domain each" if isinstance(self._players.gan, Crosses) else "beside their sources"
            raise UserError(f"the critic of '{self.path}' judges images {beside}: only those of images alone rank them")
        self.in_batches = genes.get("critic_norm") == "batch" or genes.get("minibatch", "none") != "none"
        self._rows = self._players.gan.rows["critic"]

    def check_served(self, data: Dataset) -> None:
        """Errors: UserError for images of another form, and for classes that it was not told of."""
        self._players.check_served(data)
        for name in data.class_names or () if self.classes else ():
            if name not in self.classes:
                told = ", ".join(self.classes)
                raise UserError(one_line(f"'{self.path}' is told the classes {told}: '{data.name}' has '{name}'"))

    @undisturbed()
    @torch.no_grad()
    def score(
        self,
        images: Images | Tensor,
        labels: Sequence[int] | Tensor | None = None,
        seed: int = 0,
        progress: Callable[[float], None] = lambda done: None,
    ) -> Scores:
        """Of images, uint8 (N, C, H, W), or floats in [-1, 1]: (N,), higher is more real, in units of its own.

        `labels`: (N,), the places of their classes in `classes`; needed by a conditional one. Where it looks at whole
        batches: the mean over batches in several random orders, which `seed` decides. `progress` hears the share
        that is done.
        Of a critic of patches the mean of its scores. Errors: UserError for another form, and for labels that are
        missing.
        """
        shown, size, channels = torch.as_tensor(images), self.facts["image_size"], self.facts["channels"]
        if shown.dim() != 4 or tuple(shown.shape[1:]) != (channels, size, size) or not len(shown):
            raise UserError(f"images must be (N, {channels}, {size}, {size}), not {tuple(shown.shape)}")
        shown = shown if PLANE in self.facts else read_pixels(shown)
        if self.classes and labels is None:
            raise UserError("this critic is told the classes of images: labels are missing")
        if labels is not None and not self.classes:
            raise UserError("this critic is told no classes: labels are for one of a conditional GAN")
        given = [self._read_labels(labels, len(shown))] if self.classes and labels is not None else []
        if self._players.form.conditions is not None:
            given = [torch.from_numpy(self._players.form.conditions.table)[own] for own in given]
        seed = derive_seed(read_option("seed", seed, int, low=0, high=LARGEST_SEED), "critic")
        rng, rows = torch.Generator().manual_seed(seed), self._rows if self.in_batches else AT_ONCE
        total, gan = torch.zeros(len(shown), dtype=torch.float64), self._players.gan
        for done in range(rounds := ROUNDS if self.in_batches else 1):
            progress(done / rounds)
            order = torch.randperm(len(shown), generator=rng) if self.in_batches else torch.arange(len(shown))
            for own in order.split(rows):
                beside = order.repeat(-(-rows // len(order)))[: rows - len(own)] if self.in_batches else own[:0]
                batch = torch.cat([own, beside])  # the last is filled up
                reals = prepared(shown[batch])
                told: Sequence[Tensor] = [x[batch] for x in given]
                if isinstance(gan, PlainGAN):
                    told = gan.given(reals, told)
                said = self._critic(self._critic.present(reals), (), *told)
                total[own] += said.score[: len(own)].double().reshape(len(own), -1).mean(1)
        return (self._critic.sign * total / rounds).numpy()

    def _read_labels(self, labels: Sequence[int] | Tensor, n: int) -> Tensor:
        """Errors: UserError unless they are places in `classes`, one an image."""
        places, classes = np.asarray(labels), len(self.classes)
        fit = places.shape == (n,) and places.dtype.kind in "iu" and ((places >= 0) & (places < classes)).all()
        if not fit:
            raise UserError(f"labels must be {counted(n, 'whole number')} from 0 to {classes - 1}, places in `classes`")
        return torch.as_tensor(places, dtype=torch.long)


def auc(real: Scores, other: Scores) -> float:
    """The chance that one of `real` is scored above one of `other`, ties being 1/2: the area under the ROC curve."""
    with undrawn():
        from sklearn.metrics import roc_auc_score  # takes a second

    truth = np.r_[np.ones(len(real)), np.zeros(len(other))]
    return float(roc_auc_score(truth, np.r_[real, other]))
