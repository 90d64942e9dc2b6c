"""Which features a name means, and what scores by them."""

from __future__ import annotations

from evogan.data import Dataset
from evogan.errors import unknown
from evogan.files import expand
from evogan.fitness.features import NETWORKS, SHIPPED, Features, load_network
from evogan.fitness.inception import load_inception
from evogan.fitness.scorer import Scorer
from evogan.fitness.sequences import SequenceScorer


def load_features(name: str, download: bool = False) -> Features:
    """A shipped network's name, 'inception', or the path of a file that `evogan features train` wrote.

    `download`: Inception's weights, if they are missing. Errors: UserError.
    """
    if name == "inception":
        return load_inception(download)
    path = NETWORKS / f"{name}.safetensors" if name in SHIPPED else expand(name)
    if name not in SHIPPED and len(path.parts) == 1 and path.suffix != ".safetensors":
        raise unknown("features", name, ["auto", *SHIPPED, "inception", "a .safetensors file"])
    return load_network(path)


def scorer_of(dataset: Dataset, features: Features, samples: int) -> Scorer:
    """What judges samples of these data."""
    return (SequenceScorer if dataset.language else Scorer)(dataset, features, samples)
