"""Trial -> Evaluation: the zoo builds the GAN, training trains it, fitness scores it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence

import torch

from evogan.data import Dataset
from evogan.data.dataset import spread
from evogan.data.few import FewLabels
from evogan.errors import UserError
from evogan.evaluation.clock import Clock
from evogan.evaluation.course import Course
from evogan.evaluation.grid import grid_png
from evogan.evaluation.look import Look
from evogan.evaluation.players import Players
from evogan.evaluation.scatter import SCATTERED, scatter_png
from evogan.evaluation.scoring import GRID, Scoring
from evogan.evaluation.shown import shown
from evogan.evaluation.written import sheet_png
from evogan.fitness import OF_CAPTIONS, OF_CLASSIFIERS, OF_TRUTH, Scorer, to_unit_range
from evogan.fitness.measures import (
    MEASURES,
    OF_IMAGES,
    OF_KNOWN,
    OF_LABELS,
    OF_MODES,
    OF_ORACLES,
    OF_POINTS,
    OF_SEQUENCES,
)
from evogan.fitness.sequences import BLEUS, check_bleu
from evogan.fitness.threads import threads
from evogan.genes import GENES
from evogan.stable import digest
from evogan.training import Population, Trainer
from evogan.training.feed import Streams, on_device
from evogan.trial import Evaluation, GANTask, Trial
from evogan.zoo.stack import shape


def check_device(name: str, here: bool = True) -> torch.device:
    """UserError for what is no device, or is not `here` on this machine."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"unknown device '{name}': cpu, cuda or cuda:N")
    if here and device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device '{name}' is not there: {torch.cuda.device_count()} CUDA devices found")
    return device


class GANEvaluator:
    """Evaluates genomes on one data set, with `few` of its labels. Holds plain data, so that workers can share it."""

    def __init__(self, dataset: Dataset, scorer: Scorer, device: str = "cpu", few: FewLabels | None = None) -> None:
        self._dataset, self._scorer, self._device, self._few = dataset, scorer, device, few

    def __call__(self, trial: Trial, look: Look | None = None, origin: Players | None = None) -> Evaluation:
        assert isinstance(trial.task, GANTask)
        with threads(trial.task.threads):
            course = Course(trial, self._scoring(trial, self._streams()), Clock(), look, origin).run()
            while True:
                try:
                    next(course)
                except StopIteration as end:
                    evaluation: Evaluation = end.value
                    return evaluation

    def alike(self, trial: Trial) -> Hashable | None:
        """Trials for which this is the same can be trained together; None: only alone."""
        assert isinstance(trial.task, GANTask)
        if not _goes_on_after(trial) or trial.task.seconds is not None:  # timed alone, it would not take as long
            return None
        fixed = shape(GENES.complete(trial.genome.now))
        return None if fixed is None else (digest(fixed), trial.task.key)

    def together(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Evaluation]]:
        """Several trials trained as one program: each with its evaluation, as they end. They must be `alike`.

        An evaluation is the one of the trial alone, up to rounding. Errors: whatever ends all of them at once, such as
        too little memory.
        """
        task, streams = trials[0].task, self._streams()
        assert isinstance(task, GANTask)
        with threads(task.threads):
            clock = Clock(len(trials))
            courses = [Course(trial, self._scoring(trial, streams), clock).run() for trial in trials]
            members: dict[int, Trainer] = {}
            goals: dict[int, int] = {}
            for i, course in enumerate(courses):
                try:
                    members[i], goals[i] = next(course)
                except StopIteration as end:  # it came to harm before its first step
                    clock.leave()
                    yield trials[i], end.value
            numbers = list(members)
            population = Population(list(members.values())) if members else None
            while population is not None and goals:
                for place in population.run({numbers.index(i): goal for i, goal in goals.items()}):
                    i = numbers[place]
                    try:
                        trainer, goals[i] = next(courses[i])
                        if trainer is not members[i]:
                            raise RuntimeError("its genes change: it is trained alone")
                    except StopIteration as end:
                        del goals[i]
                        clock.leave()
                        yield trials[i], end.value

    def _streams(self) -> Streams:
        return on_device(self._dataset.train, self._device)

    def _scoring(self, trial: Trial, streams: Streams) -> Scoring:
        task, data, few = trial.task, self._dataset, self._few
        assert isinstance(task, GANTask)
        fields = data.fields if few is None else few.fields
        these = shown(data, streams, few, task.key, trial.replicate)
        return Scoring(task, self._scorer, data, torch.device(self._device), fields, these)

    def check_measured(self, metrics: Iterable[str]) -> None:
        """Errors: UserError for one that is not measured of any GAN with these features, on these data."""
        plane, name = self._dataset.plane, self._dataset.name
        for metric in metrics:
            self._check_of_sequences(metric)
        for metric in metrics:
            if (metric in OF_POINTS) != (plane is not None) and metric in {*OF_POINTS, *OF_IMAGES}:
                what, has = ("points", "images") if metric in OF_POINTS else ("images", "points")
                raise UserError(f"fitness '{metric}' judges {what}: '{name}' has {has}")
            if metric in OF_MODES and plane is not None and plane.modes is None:
                raise UserError(f"fitness '{metric}' needs points of known Gaussians, as 'ring' and 'grid' have")
        if self._dataset.class_count is None and (of_labels := sorted(OF_LABELS.intersection(metrics))):
            raise UserError(f"fitness '{of_labels[0]}' needs images with labels: '{self._dataset.name}' has none")
        conditions = self._dataset.conditions
        if not (conditions and conditions.are_captions) and (of := sorted(OF_CAPTIONS.keys() & metrics)):
            raise UserError(f"fitness '{of[0]}' judges by captions, which images have with --conditions captions")
        if (of_classifiers := [metric for metric in metrics if metric in OF_CLASSIFIERS]) and self._few is None:
            raise UserError(
                f"fitness '{of_classifiers[0]}' judges what was learned from few labels: say of how many images with "
                "--labels"
            )
        if self._dataset.domains and not self._dataset.truth and (of_truth := sorted(OF_TRUTH.intersection(metrics))):
            raise UserError(
                f"fitness '{of_truth[0]}' needs the true images of translations: domains of a recipe have them"
            )
        lacking = [metric for metric in metrics if metric in self._scorer.lacks]
        if lacking:
            raise UserError(
                f"fitness '{lacking[0]}' needs features that tell the classes of '{self._dataset.name}' apart: "
                f"'{self._scorer.features.name}' do not"
            )

    def _check_of_sequences(self, metric: str) -> None:
        language, name = self._dataset.language, self._dataset.name
        if metric in OF_SEQUENCES and language is None:
            raise UserError(
                f"fitness '{metric}' judges sequences: '{name}' has {'points' if self._dataset.plane else 'images'}"
            )
        of_images = {*OF_IMAGES, *OF_POINTS, *(name for names in MEASURES.values() for name in names)}
        if language is not None and metric in of_images:
            raise UserError(f"fitness '{metric}' judges images: '{name}' has sequences")
        if language is not None and metric in OF_ORACLES and language.oracle is None:
            raise UserError(f"fitness '{metric}' needs sequences of an oracle: --data oracle")
        if language is not None and metric in OF_KNOWN and language.truth is None:
            raise UserError(f"fitness '{metric}' needs a language that is known: --data grammar or captions")
        if metric in BLEUS:
            check_bleu()

    def real_grid(self) -> bytes:
        """A PNG of training images, evenly spaced, or points, or sequences, to hold samples against."""
        if self._dataset.language:
            return sheet_png(self._dataset.language, self._dataset.images)
        if self._dataset.plane:
            return scatter_png(self._dataset.images[:SCATTERED], self._dataset.images)
        return grid_png(to_unit_range(torch.tensor(spread(self._dataset.images, GRID))))


def _goes_on_after(trial: Trial) -> bool:
    """Whether all changes of its schedule, if it has any, lie before what it goes on from."""
    changes, reached = trial.genome.changes, trial.earlier.fidelity if trial.earlier else None
    return not changes or (reached is not None and reached >= changes[-1].at)
