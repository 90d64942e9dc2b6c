"""What is measured of a GAN at a checkpoint: its samples against the data, its players from the inside, its losses."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from evogan.data import Dataset
from evogan.data.dataset import Labels, spread
from evogan.evaluation import coupled, domains, written
from evogan.evaluation.artefacts import CODES, LEVELS, RECONSTRUCTIONS, TEXTS
from evogan.evaluation.captioned import captioned_png
from evogan.evaluation.checkpoint import of_every_class
from evogan.evaluation.codes import (
    CATEGORY,
    CODE_NN,
    SAMPLED,
    Sweep,
    decode,
    encode,
    judged,
    of_every_category,
    pairs,
    side_by_side,
    told,
)
from evogan.evaluation.grid import grid_png
from evogan.evaluation.header import PLANE, conditions_of
from evogan.evaluation.levels import level_fids
from evogan.evaluation.scatter import SCATTERED, scatter_png
from evogan.evaluation.shown import Shown
from evogan.evaluation.translations import SOURCES, beside, copied_fid, to_bytes
from evogan.evaluation.translations import judged as judged_pairs
from evogan.families import Fields
from evogan.fitness import Scorer, to_unit_range
from evogan.fitness.classifier import gan_train_error
from evogan.fitness.errors import classification_error
from evogan.fitness.sequences import BLEUS, SequenceScorer
from evogan.stable import derive_seed
from evogan.training import Trainer, diagnose
from evogan.training.feed import Feed, Streams, prepared
from evogan.trial import FRESH, VALIDATION, GANTask, Trial
from evogan.zoo.gan import GAN, Adapts, Classifies, Climbs, Couples, Crosses, Encodes, Prompt, Translates, Writes, parts

SAMPLE_BATCH = 500  # prompts drawn at a time
GRID = 64  # images in a sample grid
LADDERS = 24  # images whose steps are shown
PAIRS, PAIRED = 24, 3  # in a grid of sources, images and true images; of them in a row
COLUMNS, GRID_CLASSES = 8, 20  # of one of classes, and how many at most
LABELS, GAN_TRAIN, ERROR = "labels", "gan_train_error", "error"
CONDITIONS = "conditions"  # which of them an image has that is asked for by a vector


@dataclass(frozen=True)
class Scoring:
    """How GANs of one task are measured on one data set, and what they are built for and `shown`."""

    task: GANTask
    scorer: Scorer
    dataset: Dataset
    device: torch.device
    fields: Fields
    shown: Shown

    def measure(self, trainer: Trainer, trial: Trial) -> tuple[dict[str, float], dict[str, Any]]:
        """Every metric, and what is found in each layer of each player; losses are those since the last time.

        What is dear is measured where the trial is judged by it, and at the end of one that checks a winner.
        """
        gan, fresh = trainer.gan, trial.replicate >= FRESH
        if isinstance(self.scorer, SequenceScorer):
            scores = self.scorer.score(
                self._samples(gan), trainer.is_through or not BLEUS.isdisjoint(trial.choice.metrics)
            )
        else:
            scores = self.scorer.score(self._samples(gan))
        first = trial.choice.metrics[0]
        wanted = {*trial.choice.metrics, *([GAN_TRAIN] if fresh and trainer.is_through else [])}
        held_out = self._held_out(gan, _half(fresh), wanted)
        if fresh and first in held_out:  # a test chooses no checkpoint
            held_out[VALIDATION + first] = self._held_out(gan, _half(False), {first})[first]
        scores |= held_out
        if isinstance(gan, Writes) and fresh and trainer.is_through:
            scores |= written.swept(gan, self.scorer, lambda: self._samples(gan))
        if isinstance(gan, Encodes):
            scores |= self._judged_codes(gan, fresh, CODE_NN in trial.choice.metrics or trainer.is_through)
        if isinstance(gan, Crosses):
            if trial.keeps_players:
                way = partial(self._back, gan)
                scores["back_fid"] = domains.back_fid(way, self.dataset, self.scorer, self._at_once)
                scores["back_fid_copy"] = self._back_fid_copy
        elif isinstance(gan, Couples):
            with self._precision():
                scores |= coupled.judged(gan, self._first(gan, coupled.JUDGED), self.dataset)
        elif isinstance(gan, Translates):
            scores["fid_copy"] = self._fid_copy
        elif isinstance(gan, Climbs) and trial.keeps_players:
            scores |= level_fids(self._steps(gan), self.dataset, self.scorer)
        if self.shown.judged is not None and isinstance(gan, Classifies):
            scores |= self._errors(gan)
        numbers, layers = diagnose(trainer, self.shown.unseen, trial.seed)
        if (normalized := trainer.normalized_loss()) is not None:
            numbers["normalized_loss"] = normalized
        return scores | numbers, layers

    def _held_out(self, gan: GAN, half: slice, wanted: Container[str]) -> dict[str, float]:
        """By one half of what is held out; what is dear where it is wanted."""
        found: dict[str, float] = {}
        if LABELS in gan.prompted and self.classes and GAN_TRAIN in wanted:
            found[GAN_TRAIN] = self._gan_train_error(gan, half)
        with self._precision():
            if isinstance(gan, Writes):
                found |= written.judged(gan, self.dataset, half, self.device)
            if isinstance(gan, Crosses):
                found |= domains.judged(gan, self.dataset, half, self.device, self._at_once)
            elif isinstance(gan, Translates):
                found |= judged_pairs(gan, self.dataset, half, self.device, self._at_once)
            if isinstance(gan, Adapts) and (known := domains.targets_of(self.dataset, half)) is not None:
                found["task_error"] = classification_error(gan.adapted, *known, self.device)
                found["task_error_source"] = classification_error(gan.unadapted, *known, self.device)
        if isinstance(gan, Crosses):
            sources, labels = domains.sources_of(self.dataset, half)
            if labels is not None and (error := self.scorer.test_error(sources, labels)) is not None:
                found["gan_test_error_copy"] = error
        return found

    def _errors(self, gan: Classifies) -> dict[str, float]:
        """On what it is judged by, and where that is held out, on what chooses the checkpoint."""
        judged = self.shown.judged
        assert judged is not None
        parts = {ERROR: (judged.images, judged.labels)}
        if judged.validation is not None:
            parts[VALIDATION + ERROR] = judged.validation
        with self._precision():
            found = {name: classification_error(gan.classify, *part, self.device) for name, part in parts.items()}
        return found | {"nearest_error": judged.nearest}

    def early_fid(self, gan: GAN, n: int) -> float:
        """Of n samples, at most as many as a score is of: for a look, not to be compared."""
        made = (part[0] if isinstance(part, tuple) else part for part in self._samples(gan))
        return self.scorer.fid(islice(made, -(-n // self._at_once)))

    def grid(self, gan: GAN) -> bytes:
        """A PNG of the first samples; of points among those of the data; of sequences a line each; of a conditional GAN
        a row a class, with the same latent down a column, and likewise a row a category, or a condition with its words;
        of one that translates, held-out sources, what is made of each, and its image; of one between domains, both
        ways, and back again; of a coupled one those of a latent."""
        if isinstance(gan, Crosses):
            with self._precision():
                images, each = domains.shown(gan, self.dataset, self.device)
            return grid_png(images, 2 * each)
        if isinstance(gan, Couples):
            with self._precision():
                images, each = coupled.shown(gan, self._first(gan, coupled.SHOWN), self.dataset)
            return grid_png(images, 4 * each)
        if isinstance(gan, Translates):
            images = self._translated(gan)
            return grid_png(images, len(images) // min(PAIRS, len(self.dataset.held_out)) * PAIRED)
        if self.dataset.plane:
            return scatter_png(self._images(gan, self._first(gan, SCATTERED)).cpu().numpy(), self.dataset.images)
        if self.dataset.language:
            return written.sheet_png(self.dataset.language, self._images(gan, self._first(gan, written.SHOWN)).cpu())
        prompt = self._first(gan, COLUMNS)
        if CONDITIONS in prompt:
            return self._captioned(gan, prompt)
        if LABELS in gan.prompted:
            prompt = of_every_class(prompt, min(self.classes, GRID_CLASSES))
        elif CATEGORY in prompt:
            prompt = of_every_category(prompt)
        else:
            prompt = self._first(gan, GRID)
        return grid_png(self._images(gan, prompt), COLUMNS)

    def _captioned(self, gan: GAN, prompt: Prompt) -> bytes:
        """A row a condition, with the same latent down a column."""
        assert self.dataset.conditions is not None
        words = [self.dataset.conditions.names[i] for i in prompt[CONDITIONS].tolist()]
        own = {name: x.repeat_interleave(len(words), 0) for name, x in prompt.items() if name in (LABELS, CONDITIONS)}
        others = {name: x.repeat(len(words), *[1] * (x.dim() - 1)) for name, x in prompt.items() if name not in own}
        return captioned_png(self._images(gan, own | others), words)

    def pictures(self, gan: GAN) -> dict[str, bytes]:
        """Of a GAN with an encoder PNGs by their files' names: what its codes do; unseen images above their
        reconstructions. Of one that writes a text of samples."""
        if self.dataset.language:
            first = min(written.KEPT, self.task.samples, SAMPLE_BATCH)
            return {TEXTS: written.as_lines(self.dataset.language, self._images(gan, self._first(gan, first)))}
        if isinstance(gan, Climbs):
            return {LEVELS: self._climbing(gan)}
        if not isinstance(gan, Encodes):
            return {}
        swept = Sweep.of(gan, self._first(gan, COLUMNS))
        images = torch.tensor(spread(self.dataset.held_out, GRID // 2))
        with self._precision():
            again = decode(gan, encode(gan, images))
        return {
            CODES: grid_png(*side_by_side(swept.arranged(self._images(gan, swept.prompt)))),
            RECONSTRUCTIONS: grid_png(pairs(to_unit_range(images), again, COLUMNS), COLUMNS),
        }

    def _climbing(self, gan: GAN) -> bytes:
        """The steps of an image in a row, each enlarged."""
        assert isinstance(gan, Climbs)
        prompt = self._first(gan, LADDERS)
        with self._precision():
            steps = [images.cpu() for images in gan.steps(prompt)]
        size = self.task.image_size
        shown = [torch.nn.functional.interpolate(images, size=(size, size), mode="nearest") for images in steps]
        columns = COLUMNS // len(shown) * len(shown)
        return grid_png(torch.stack(shown, 1).flatten(0, 1), max(columns, len(shown)))

    def _translated(self, gan: Translates) -> Tensor:
        """Source, made and true image of held-out pairs, evenly spaced, one after another (`beside`)."""
        pairs = {
            name: prepared(torch.tensor(spread(rows, PAIRS))) for name, rows in self.dataset.unseen["images"].items()
        }
        with self._precision():
            made = gan.translate(pairs[SOURCES].to(self.device)).float().cpu()
        return beside(pairs[SOURCES], made, pairs["images"])

    def _first(self, gan: GAN, n: int) -> Prompt:
        return next(parts(next(self._prompts(gan)), n))

    def _images(self, gan: GAN, prompt: Prompt) -> Tensor:
        return torch.cat([self._sample(gan, part) for part in parts(prompt, GRID)])

    @property
    def classes(self) -> int:
        return self.dataset.class_count or 0

    @property
    def class_names(self) -> tuple[str, ...]:
        """Numbers where they have none."""
        return self.dataset.class_names or tuple(map(str, range(self.classes)))

    def named(self, gan: GAN) -> dict[str, Any]:
        """For a file of it, the names of the classes that it can be asked for, and that it tells apart; the form of its
        sources."""
        asked: dict[str, Any] = {"classes": list(self.class_names)} if LABELS in gan.prompted else {}
        if LABELS in gan.prompted and (conditions := self.dataset.conditions) is not None:
            asked = conditions_of(conditions)
        if SOURCES in gan.prompted:
            asked[SOURCES] = list(self.fields[SOURCES].shape)
        if isinstance(gan, Crosses | Couples):
            asked["domains"] = list(self.dataset.domains)
            if isinstance(gan, Crosses) and (labels := self.fields.get("source_labels")) is not None:
                asked["source_classes"] = labels.values
        if self.dataset.language:
            asked |= written.header(self.dataset.language)
        if self.dataset.plane:
            asked[PLANE] = [*self.dataset.plane.centre, self.dataset.plane.scale]
        return asked | ({"tells_apart": list(self.class_names)} if isinstance(gan, Classifies) else {})

    def _samples(self, gan: GAN) -> Iterator[Tensor | tuple[Tensor, Tensor]]:
        """Images, with the classes that were asked for, if there are any."""
        for prompt in self._prompts(gan):
            for part in parts(prompt, self._at_once):
                images = self._sample(gan, part)
                asked = next((part[name] for name in (CONDITIONS, LABELS) if name in part), None)
                yield images if asked is None else (images, asked)

    def _steps(self, gan: GAN) -> Iterator[list[Tensor]]:
        """Of the same images, those that they come of, and they themselves."""
        assert isinstance(gan, Climbs)
        for prompt in self._prompts(gan):
            for part in parts(prompt, self._at_once):
                with self._precision():
                    made = gan.steps(part)
                yield made

    @cached_property
    def _fid_copy(self) -> float:
        """The same at every checkpoint, as what follows."""
        return copied_fid(self.scorer, self.dataset, self.task.samples, self._at_once)

    @cached_property
    def _back_fid_copy(self) -> float:
        return domains.back_fid(lambda images: images, self.dataset, self.scorer, self._at_once)

    def _back(self, gan: Crosses, images: Tensor) -> Tensor:
        """Images of the last domain as such of the first."""
        with self._precision():
            return gan.cross(images.to(self.device), gan.domains - 1, 0)

    def _gan_train_error(self, gan: GAN, half: slice) -> float:
        samples, asked = zip(*((to_bytes(images), labels.cpu()) for images, labels in self._samples(gan)), strict=True)
        labels = self.dataset.held_out_labels
        assert labels is not None
        real = torch.tensor(self.dataset.held_out[half]), torch.tensor(labels[half])
        return gan_train_error(torch.cat(samples), torch.cat(asked), *real, derive_seed(self.task.key, GAN_TRAIN))

    def _judged_codes(self, gan: GAN, fresh: bool, dear: bool) -> dict[str, float]:
        """On the same halves, and where a winner is checked, on the search's, too, which chooses the checkpoint; what
        samples tell of their categories, by the first of them."""
        assert isinstance(gan, Encodes)
        seed, prompts = derive_seed(self.task.key, "codes"), islice(self._prompts(gan), -(-SAMPLED // SAMPLE_BATCH))

        def on(half: slice) -> dict[str, float]:
            return judged(gan, self.dataset, half, seed, self._at_once, dear=dear)

        with self._precision():
            chosen_by = {f"{VALIDATION}{name}": value for name, value in on(_half(False)).items()} if fresh else {}
            return on(_half(fresh)) | chosen_by | told(gan, prompts, gan.sample)

    def _prompts(self, gan: GAN) -> Iterator[Prompt]:
        """The task's latent noise and given rows: the same for every genome, replicate and checkpoint.

        Rows are held-out ones; of labels alone each class has the share that it has of the training images.
        """
        seed = derive_seed(self.task.key, "score")
        rng = torch.Generator(self.device).manual_seed(seed)
        labels = self.dataset.labels if gan.prompted == (LABELS,) else None
        rows = self.dataset.unseen if gan.prompted else {}
        asked = (CONDITIONS,) if LABELS in gan.prompted and self.dataset.conditions is not None else ()
        given = Feed(rows if labels is None else _evenly(labels, self.task.samples), seed, self.device)
        for start in range(0, self.task.samples, SAMPLE_BATCH):
            n = min(SAMPLE_BATCH, self.task.samples - start)
            row = given.next(n, (*gan.prompted, *asked))
            yield {**gan.prompts(n, row, rng), **{name: row[name] for name in asked}}

    @property
    def _at_once(self) -> int:
        """Samples made at a time: on a CPU few large ones stay in its caches, more small ones share the overhead."""
        return SAMPLE_BATCH if self.device.type != "cpu" or self.task.image_size < 16 else SAMPLE_BATCH // 5

    def _sample(self, gan: GAN, prompt: Prompt) -> Tensor:
        with self._precision():
            return gan.sample(prompt)

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.task.precision == "bf16")


def _half(fresh: bool) -> slice:
    """Of the held-out images: one in a search, the other where a winner is checked."""
    return slice(int(fresh), None, 2)


def asked_for(dataset: Dataset, n: int, seed: int) -> Tensor:
    """Of which classes, or conditions, n samples of a generator are asked for that is told these, (n,): as often as
    they are in the data, at random places.
    """
    if dataset.conditions is not None:
        return Feed(dataset.unseen, seed, torch.device("cpu")).next(n, (CONDITIONS,))[CONDITIONS]
    assert dataset.labels is not None
    return Feed(_evenly(dataset.labels, n), seed, torch.device("cpu")).next(n, (LABELS,))[LABELS]


def _evenly(labels: Labels, n: int) -> Streams:
    """n of the labels (N,), each as often as it is among them, but for rounding."""
    order, at = torch.tensor(labels).sort().values, torch.arange(n)
    return {LABELS: {LABELS: order[(2 * at + 1) * len(order) // (2 * n)]}}
