"""A map of the codes of unseen images, which lies beside the generator afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evogan.files import write_whole

if TYPE_CHECKING:  # torch, where it is wanted
    from evogan.data import Dataset
    from evogan.evaluation.checkpoint import Generator

NAME = "code_map.png"


def keep_code_map(folder: Path, generator: Generator, dataset: Dataset) -> None:
    """Of held-out images, coloured by class where they have any. Once; of a GAN without an encoder there is none."""
    if not generator.code or (folder / NAME).is_file():
        return
    import torch

    from evogan.data.dataset import spread
    from evogan.evaluation.codes import plane
    from evogan.report.code_map import MOST, draw

    labels, called = dataset.held_out_labels, dataset.class_names
    classes = None if labels is None or called is None or labels.ndim > 1 else [called[y] for y in spread(labels, MOST)]
    write_whole(folder / NAME, draw(plane(generator.encode(torch.tensor(spread(dataset.held_out, MOST)))), classes))
