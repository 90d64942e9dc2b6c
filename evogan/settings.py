"""What a search or a training is asked to do, as plain data that a run records."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

from evogan.engine import Order, Resources, Rule
from evogan.errors import UserError, shown, unknown
from evogan.genome import Value, plain
from evogan.options import LARGEST_SEED, check_options, number
from evogan.trial import FRESH, IMAGE_SIZES, GANTask

if TYPE_CHECKING:
    from evogan.data import Dataset
    from evogan.evaluation.evaluator import GANEvaluator
    from evogan.fitness import Features


@dataclass(frozen=True, kw_only=True)
class GANSettings:
    """How a genome is judged as a GAN: the data set, the budget and the protocol of scoring.

    `data`: a built-in data set, an image folder or an .npz. `kimg`: thousands of real images shown to the
    critic. `features`: feature network of the FID; None takes the one that suits the data. `classes`: those to keep, by
    name (`of` takes numbers for names, too); an int, as in runs that are recorded so, is the label itself.
    Errors: UserError for a keyword or value that makes no sense.
    """

    data: str = "digits"
    image_size: int | None = number(None, low=IMAGE_SIZES[0], high=IMAGE_SIZES[1])
    classes: tuple[str | int, ...] | None = None
    data_dir: str | None = None
    download: bool = False
    kimg: float = number(20.0, above=0, high=1e7)
    features: str | None = None
    samples: int = number(5000, low=2, high=1_000_000)
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int = number(1, low=1, high=1024)
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_options(self)

    @classmethod
    def of(cls, **given: Any) -> Self:
        known = {field.name for field in fields(cls)}
        for keyword in given:
            if keyword not in known:
                raise unknown("keyword", keyword, sorted(known))
        given["classes"] = read_classes(given.get("classes"))
        return cls(**given)

    @classmethod
    def recorded(cls, document: Mapping[str, Any]) -> Self:
        """Read back what a run recorded."""
        classes = document.get("classes")
        return replace(cls.of(**{**document, "classes": None}), classes=None if classes is None else tuple(classes))

    @cached_property
    def dataset(self) -> Dataset:
        from evogan.data import DataSpec, load_dataset

        return load_dataset(DataSpec(self.data, self.image_size, self.classes, self.data_dir, self.download))

    def load_features(self, dataset: Dataset) -> Features:
        from evogan.fitness import SHIPPED, load_features

        if self.features or self.data in SHIPPED:
            return load_features(self.features or self.data)
        if dataset.channels == 3:
            return load_features("inception")
        raise UserError(
            f"no feature network is known for '{dataset.name}': --features takes {', '.join(SHIPPED)}, "
            "inception, or a file that `evogan features train` made"
        )

    def prepare(self, here: bool = True) -> tuple[GANTask, GANEvaluator]:
        """Read the data; the task, and what evaluates trials of it. `here`: they run on this machine's devices."""
        from evogan.evaluation.evaluator import GANEvaluator, check_device
        from evogan.fitness import Scorer

        check_device(self.device, here)
        dataset = self.dataset
        features = self.load_features(dataset)
        task = GANTask(
            name=dataset.name,
            fingerprint=dataset.fingerprint,
            image_size=dataset.image_size,
            channels=dataset.channels,
            kimg=float(self.kimg),
            features=features.id,
            samples=self.samples,
            precision=self.precision,
            threads=self.threads,
        )
        return task, GANEvaluator(dataset, Scorer(dataset, features, self.samples), self.device)


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How a search goes: the parameters of `evogan.search`. `gan` is None for a user's own objective.

    Errors: UserError for a budget of nothing, and for what is not among the allowed.
    """

    space: Mapping[str, Any]
    strategy: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = number(0, low=0, high=LARGEST_SEED)
    window: int = number(8, low=1, high=100_000)
    order: Order = "number"
    pruner: Rule | None = None
    fitness: str = "fid"
    score: Literal["best", "last"] = "best"
    evaluations: int = number(100, low=1, high=10_000_000)
    total_seconds: float | None = number(None, above=0, high=1e10)
    replicates: int = number(1, low=1, high=FRESH)
    average: Literal["mean", "median"] = "mean"
    race: bool = False
    seed_genomes: tuple[Mapping[str, Value], ...] = ()
    finalists: int = number(3, low=0, high=10_000)
    confirm: int = number(3, low=0, high=10_000)
    gan: GANSettings | None = None
    resources: Resources = field(default_factory=Resources)

    def __post_init__(self) -> None:
        check_options(self)
        if self.race and self.replicates < 2:
            raise UserError("a race needs at least 2 replicates")

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read back what a run recorded."""
        known = {field.name: document[field.name] for field in fields(cls) if field.name in document}
        known["seed_genomes"] = tuple(known["seed_genomes"])
        if known["gan"] is not None:
            known["gan"] = GANSettings.recorded(known["gan"])
        known["resources"] = Resources(**known.get("resources", {}))
        return cls(**known)


def read_classes(given: object) -> tuple[str, ...] | None:
    """Names of classes: a list of them, of numbers too, or a text with commas between. Errors: UserError."""
    if given is None:
        return None
    if isinstance(given, str):
        try:
            return tuple(name.strip() for name in next(csv.reader([given], skipinitialspace=True), []))
        except csv.Error:
            raise UserError(f"classes {shown(given)}: names with commas between, as in 3,5") from None
    given = plain(given)
    names = given if isinstance(given, list | tuple) else [given]
    if not all(isinstance(name, str) or (type(name) is int and 0 <= name <= LARGEST_SEED) for name in names):
        raise UserError(f"classes must be names or numbers, as in ['cat', 'dog'] or [3, 5], not {shown(given)}")
    return tuple(str(name) for name in names)
