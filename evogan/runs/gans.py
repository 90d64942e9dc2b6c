"""What GANs are judged on: data, task and evaluator, as settings say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from evogan import shipped
from evogan.errors import UserError
from evogan.families import FAMILIES, Fields, family_of
from evogan.families.plain.family import PLAIN
from evogan.genes.twins import twin_of
from evogan.genome import Genome
from evogan.runs.own import Own, families_of
from evogan.settings import GANSettings
from evogan.settings.gan import AUTO
from evogan.space import Space
from evogan.trial import GANTask

Tell = Callable[[str, float | None], None]  # hears a line, and which share is done of what it says, if that takes time

if TYPE_CHECKING:  # torch, where it is wanted
    from evogan.data import Dataset, DataSpec
    from evogan.data.few import FewLabels
    from evogan.evaluation.evaluator import GANEvaluator
    from evogan.fitness import Features


def lines(say: Callable[[str], None]) -> Tell:
    """Of what takes time, a line as it begins."""
    return lambda line, done: None if done else say(line)


class GANProblem:
    """Find the GAN that fits a data set. The data are read once, when they are first wanted.

    `folder`: where what is learned of them is kept. `tell` hears of what takes long.
    """

    early = True  # a training can be judged before its end
    scheduled = True  # and its genes may change

    def __init__(self, gan: GANSettings, folder: Path | None = None, tell: Tell = lambda line, done: None) -> None:
        self.gan, self._folder, self._tell = gan, folder, tell
        self._left_out: list[str] = []

    @cached_property
    def dataset(self) -> Dataset:
        from evogan.data import load_dataset

        return load_dataset(self.spec, self._tell)

    @cached_property
    def few(self) -> FewLabels | None:
        """Of which images trainings are told the labels, where these are few. Errors: UserError if they cannot be."""
        from evogan.data.few import FewLabels

        if self.gan.labels is not None and (self.dataset.plane or self.dataset.language):
            has = "points" if self.dataset.plane else "sequences"
            raise UserError(f"data set '{self.gan.data}' has {has}: --labels is for images")
        return None if self.gan.labels is None else FewLabels.of(self.dataset, self.gan.labels)

    @property
    def fields(self) -> Fields:
        """What a GAN is built for."""
        return self.dataset.fields if self.few is None else self.few.fields

    @property
    def kinds(self) -> frozenset[str]:
        """Of data, that a family may need."""
        return self.dataset.kinds if self.few is None else self.few.kinds

    @property
    def spec(self) -> DataSpec:
        from evogan.data import DataSpec

        gan = self.gan
        made = gan.pairs, gan.domains, gan.conditions, gan.tokens
        return DataSpec(gan.data, gan.image_size, gan.classes, gan.data_dir, gan.download, *made)

    @property
    def image_names(self) -> list[str]:
        """Of all images, those to train on first: paths, or else numbers."""
        from evogan.data.load import image_names

        return image_names(self.spec)

    @property
    def own(self) -> Own:
        return Own(frozenset({self.dataset.name, self.dataset.fingerprint}), of_a_gan=True)

    @property
    def contents(self) -> str:
        """A line about the data."""
        told = "" if self.few is None else f"; {self.few.describe(len(self.dataset.held_out))}"
        return f"{self.dataset.describe()}{told}"

    @cached_property
    def features(self) -> Features:
        """The network that is named, or that suits the data. Errors: UserError if there is none."""
        from evogan.data.conditions import truths
        from evogan.data.dataset import changed
        from evogan.fitness import SHIPPED, load_features, shipped_for
        from evogan.fitness.learned import learned
        from evogan.fitness.points import PlaneFeatures
        from evogan.fitness.sequences import TokenFeatures

        gan = self.gan
        if gan.features is not None and self.dataset.language:
            if gan.features not in (AUTO, TokenFeatures.name):
                raise UserError(f"features '{gan.features}' are of images: '{gan.data}' has sequences")
            return TokenFeatures(self.dataset)
        if gan.features not in (AUTO, None) and not (gan.features == PlaneFeatures.name and self.dataset.plane):
            network = load_features(gan.features, gan.download)
            if self.dataset.plane:
                raise UserError(f"features '{gan.features}' are of images: '{gan.data}' has points")
            return network
        if gan.data in SHIPPED and gan.domains is None and gan.conditions is None:
            return load_features(gan.data)
        if gan.features is None:
            return load_features("inception", gan.download)
        if self.dataset.plane:
            return PlaneFeatures(self.dataset)
        if self.dataset.conditions and self.dataset.conditions.are_captions:
            return learned(truths(self.dataset), self._folder, self._tell)
        made = gan.pairs or gan.domains or gan.conditions
        images = changed(self.dataset) if made else self.dataset  # without what they are made from
        known = shipped_for(images.fingerprint)
        return load_features(known) if known else learned(images, self._folder, self._tell)

    @property
    def judged_by(self) -> str:
        """A line about the features."""
        return self.features.describe()

    @property
    def lines(self) -> list[str]:
        """What is said where trainings begin."""
        import torch

        found = [self.contents, self.judged_by]
        if self.gan.device == "cpu" and torch.cuda.is_available():
            found.append("trained on the CPU; this machine has a GPU, too: --device cuda")
        return found

    def prepare(self, here: bool = True) -> tuple[GANTask, GANEvaluator]:
        """Read the data; the task, and what evaluates trials of it. `here`: they run on this machine's devices."""
        from evogan.evaluation.evaluator import GANEvaluator, check_device
        from evogan.fitness.load import scorer_of

        gan = self.gan
        check_device(gan.device, here)
        dataset, few, features = self.dataset, self.few, self.features
        task = GANTask(
            name=dataset.name,
            fingerprint=dataset.fingerprint,
            image_size=dataset.image_size,
            channels=dataset.channels,
            kimg=gan.kimg,
            iterations=gan.iterations,
            seconds=gan.seconds,
            features=features.id,
            samples=gan.samples,
            precision=gan.precision,
            threads=gan.threads,
            labels=gan.labels,
        )
        return task, GANEvaluator(dataset, scorer_of(dataset, features, gan.samples), gan.device, few)

    def measure(self, space: Space) -> str:
        """What its GANs are judged by if nothing is said: the first measure of their families where it is the same."""
        if (natural := self.natural) is not None:
            return natural
        first = {FAMILIES[name].measures[0] for name in families_of(space)}
        return first.pop() if len(first) == 1 else PLAIN.measures[0]

    @property
    def natural(self) -> str | None:
        """The metric that suits the data, whatever makes them, if there is one."""
        data = self.dataset
        if data.language:
            return "nll_oracle" if data.language.oracle else "exact_kl" if data.language.truth else "nll_test"
        return "w1" if data.plane else None

    def fitting(self, space: Space) -> Space:
        """Without what cannot make images of this size. Errors: UserError for a family that these data do not serve."""
        from evogan.families.build import check, impossible

        data = self.dataset
        families = sorted(families_of(space))
        for name in families:
            FAMILIES[name].check_served(self.kinds, data.name)
            FAMILIES[name].check_used(self.kinds)
        if not any(gene.name in ("backbone", "translators") for gene in space.genes):
            check(space.fixed, self.fields)
        labelled = "" if (data.class_count or 0) > 1 else " without labels"
        labelled = labelled if self.few is None else " of which few have labels"
        return space.without(
            impossible(self.fields, families), f"cannot make images of side {data.image_size}{labelled}"
        )

    def twin(self, genome: Genome) -> Genome | None:
        """What a winner is compared with beside the published genomes: without its game, as its family says."""
        return twin_of(genome)

    def beside(self, space: Space, references: Sequence[str]) -> Space:
        """Held against these genomes. Errors: UserError for one that there is not, or that these data cannot train."""
        from evogan.families.build import check

        for name in references:
            genome = shipped.read_genome(name).genome
            family_of(genome).check_served(self.kinds, self.dataset.name)
            check(genome, self.fields)
        return space.held_against(references)

    def references(self, space: Space) -> list[tuple[str, Genome]]:
        """The genomes that winners are compared with; of one that cannot make such data a line says why. Errors:
        UserError for one that does not exist."""
        files = map(shipped.read_genome, space.reference)
        return [(file.name, file.genome) for file in files if self._makes(file.name, file.genome)]

    def _makes(self, name: str, genome: Genome) -> bool:
        from evogan.families.build import check

        try:
            check(genome, self.fields)
        except UserError as error:
            line = f"reference '{name}' is left out: {error}"
            if line not in self._left_out:
                self._left_out.append(line)
                for done in (False, True):
                    self._tell(line, done)
            return False
        return True
