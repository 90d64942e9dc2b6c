"""A trained generator as one safetensors file: weights, genome and sizes, nothing that executes. Of a GAN with an
encoder that one's weights, too."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from evogan.caller import undisturbed
from evogan.data.captions import ATTRIBUTES, named, sentence
from evogan.data.dataset import Dataset, Images
from evogan.errors import UserError, unknown
from evogan.evaluation import codes, walks
from evogan.evaluation.artefacts import GENERATOR
from evogan.evaluation.header import (
    PLANE,
    check_finite,
    check_language,
    read_form,
    read_pixels,
    read_plane,
    unless_damaged,
)
from evogan.evaluation.translations import SOURCES
from evogan.evaluation.written import LANGUAGE, judged, read_language
from evogan.families import family_of
from evogan.families.build import build, count_parameters
from evogan.files import check_file, expand
from evogan.files.documents import parse_json
from evogan.genome import Genome
from evogan.options import LARGEST_SEED, read_option
from evogan.stable import derive_seed
from evogan.training.feed import prepared
from evogan.trial import PLAYERS, GANTask
from evogan.zoo.gan import GAN, Crosses, Encodes, Prompt, Translates, Writes, parts

MAGIC = "evogan.generator"
ENCODER = "encoder/"  # how the names of its weights begin; no module's name has a slash
MOST = 1_000_000  # images at once
ROWS = 20  # of conditions that a grid shows, at most
WHOLE = re.compile(r"[-+]?\d+")
VALUE_COUNTS = torch.tensor([len(words) for words in ATTRIBUTES.values()])


def pack_generator(gan: GAN, genome: Genome, task: GANTask, facts: Mapping[str, Any]) -> bytes:
    """`facts`: among them the names of `classes` that it can be asked for, and of those that its GAN `tells_apart`."""
    header = {
        "genome": dict(genome),
        "image_size": task.image_size,
        "channels": task.channels,
        "task": task.key,
        **made_up(gan),
        **facts,
    }
    encoder = gan.encoder.state_dict() if isinstance(gan, Encodes) else {}
    state = {**gan.sampler.state_dict(), **{f"{ENCODER}{name}": tensor for name, tensor in encoder.items()}}
    own = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    return save(own, metadata={MAGIC: json.dumps(header)})


def made_up(gan: GAN) -> dict[str, Any]:
    """What a header says of the code of a GAN with an encoder."""
    return {"code": dict(gan.code)} if isinstance(gan, Encodes) else {}


class Generator:
    """A trained generator, ready to sample, and of a GAN with an encoder to encode and decode. Made by `evogan.load`.

    `genome`: what it was built from. `facts`: image_size, channels, task, key, fid. `classes`: the names of those that
    it can be asked for; of an unconditional one there are none. `tells_apart`: of those that its GAN was built for.
    `conditions`: what it can be asked for, under these names, where that are vectors.
    `code`: the parts of a code by name, and how long each is, such as category, continuous and latent; of a GAN without
    an encoder there are none. `plane`: of one that makes points, (n, 2) in the units of its data, not images.
    `language`: of one that makes sequences. `fields`: of the data that it was built for.
    """

    @undisturbed()
    def __init__(self, path: str | Path) -> None:
        header, state = _read(expand(path))
        with unless_damaged(path, "a generator"):
            form = read_form(parse_json(header))
            self.genome, self.facts, self.fields = form.genome, form.facts, form.fields
            self.classes, self.tells_apart, self.conditions = form.classes, form.tells_apart, form.conditions
            self.told = form.told
            self.plane = read_plane(self.facts[PLANE]) if PLANE in self.facts else None
            self.language = read_language(self.facts[LANGUAGE]) if LANGUAGE in self.facts else None
            if (self.language is None) == ("sequences" in family_of(self.genome).needs):
                raise UserError("its genome and its tokens do not go together")
            needed = count_parameters(self.genome, form.fields)[family_of(self.genome).sampled]
            if needed > sum(map(torch.numel, state.values())):  # before memory is asked for
                raise UserError(f"its genome has {needed} weights, more than there are")
            self._gan = build(self.genome, form.fields, seed=0)
            encoder = {name.removeprefix(ENCODER): x for name, x in state.items() if name.startswith(ENCODER)}
            self._gan.sampler.load_state_dict({name: x for name, x in state.items() if not name.startswith(ENCODER)})
            self.code: dict[str, int] = made_up(self._gan).get("code", {})
            if self.facts.pop("code", {}) != self.code:
                raise UserError("its code is not that of its genome")
            if isinstance(self._gan, Encodes):
                self._gan.encoder.load_state_dict(encoder)

    def sample(
        self,
        n: int,
        seed: int = 0,
        label: int | str | None = None,
        code: int | None = None,
        text: str | Sequence[str] | None = None,
    ) -> Any:
        """`n` images, (n, C, H, W) in [-1, 1], or points; the same for the same `n`, seed, label and code. Of one that
        makes sequences a list of texts.

        `label`: the class of a conditional generator's images, by its name, or, unless all names are numbers, by its
        place from 0; without one they have classes in turn, or conditions at random. `code`: the category that they
        are all made of, from 0, where codes have one.
        `text`: of a generator that learned from captions, a sentence, or several, of each of which there are `n`
        images, from the same latents; what it does not name is at random, but nothing is tilted. Errors: UserError for
        a label, a category or a word that does not exist.
        """
        found = self.rows(n, seed, label, code, text)
        return found if self.language is None else self.language.texts(found.numpy())

    @undisturbed()
    def rows(
        self,
        n: int,
        seed: int = 0,
        label: int | str | None = None,
        code: int | None = None,
        text: str | Sequence[str] | None = None,
    ) -> Tensor:
        """The same, of sequences the tokens (n, T) themselves."""
        n = read_option("n", n, int, low=1, high=MOST)
        return self._sample(self._prompt(n, seed, label, code) if text is None else self._said(n, seed, text))

    def warm(self, temperature: float) -> Self:
        """Itself, its sequences from now on of this temperature: below 1 more probable, and less varied ones.

        Errors: UserError for one that makes no sequences.
        """
        if not isinstance(self._gan, Writes):
            raise UserError("temperature is of sequences: this generator makes none")
        self._gan.temperature = read_option("temperature", temperature, float, above=0, high=100)
        return self

    @property
    def gan(self) -> GAN:
        """That it is of; of its players the one that samples come from has its weights, and so has an encoder."""
        return self._gan

    @undisturbed()
    def prompt(self, n: int, seed: int = 0, label: int | str | None = None) -> Prompt:
        """What `sample` makes n images from. Errors: UserError for one that makes images of images."""
        return self._prompt(n, seed, label)

    def weights(self) -> dict[str, Tensor]:
        """Of the network that samples come from, by name."""
        return dict(self._gan.sampler.state_dict())

    @undisturbed()
    def interpolate(
        self, rows: int = 8, columns: int = 8, seed: int = 0, label: int | str | None = None, code: int | None = None
    ) -> Tensor:
        """In each row the way from one latent to another, (rows * columns, C, H, W).

        It goes along the sphere of normal latents, straight between others. A row is of one class: `label`, or classes
        in turn; or of category `code`.
        """
        rows, columns = _grid(rows, columns)
        prompt = self._prompt(2 * rows, seed, label, code)
        return self._sample(walks.interpolation(walks.of_latents(self._gan), prompt, columns))

    @undisturbed()
    def sweep(
        self,
        coordinate: int,
        rows: int = 8,
        columns: int = 8,
        seed: int = 0,
        label: int | str | None = None,
        code: int | None = None,
    ) -> Tensor:
        """In each row one coordinate of a latent goes from low to high, (rows * columns, C, H, W).

        Errors: UserError for a coordinate that there is not.
        """
        rows, columns = _grid(rows, columns)
        prompt = self._prompt(rows, seed, label, code)
        return self._sample(walks.sweep(walks.of_latents(self._gan), prompt, coordinate, columns))

    @undisturbed()
    def mix(self, rows: int = 7, columns: int = 7, seed: int = 0, label: int | str | None = None) -> Tensor:
        """StyleGAN's styles, those of the coarser layers from a row's source, of the finer from a column's, all of one
        class: ((rows + 1) * (columns + 1), C, H, W) with the sources as first column and first row, the corner empty.

        Errors: UserError for a generator without styles.
        """
        rows, columns = _grid(rows, columns)
        gan = walks.of_latents(self._gan)
        sources = self._prompt(rows + columns, seed, label if label is not None or not self.classes else 0)
        mixed = self._sample(walks.mixture(gan, sources, rows, columns)).unflatten(0, (rows, columns))
        of_row, of_column = self._sample(sources).split([rows, columns])
        top = torch.cat([torch.full_like(of_row[:1], -1), of_column])
        return torch.cat([top[None], torch.cat([of_row[:, None], mixed], 1)]).flatten(0, 1)

    @undisturbed()
    def walk(
        self,
        n: int = 16,
        frames: int = 60,
        stops: int = 4,
        seed: int = 0,
        label: int | str | None = None,
        code: int | None = None,
    ) -> Tensor:
        """Frames of `n` images (frames, n, C, H, W), each on its way through as many latents and back to the first."""
        sizes = {"n": n, "frames": frames, "stops": stops}
        n, frames, stops = (read_option(name, value, int, low=1, high=MOST) for name, value in sizes.items())
        _grid(n, frames)
        prompt = self._prompt(n * stops, seed, label, code)
        images = self._sample(walks.walk(walks.of_latents(self._gan), prompt, n, frames))
        return images.view(frames, n, *images.shape[1:])

    @undisturbed()
    def truncate(self, psi: float) -> Self:
        """Itself, its samples less varied from now on: StyleGAN's styles drawn to their mean by psi, other generators'
        normal latents within +-psi (BigGAN's trick). Errors: UserError for other latents."""
        walks.of_latents(self._gan).truncate(read_option("truncation", psi, float, above=0, high=100))
        return self

    @undisturbed()
    def class_grid(self, columns: int = 8, seed: int = 0) -> Tensor:
        """Images of a conditional generator in rows of as many: a row a class, with the same latent down a column; of
        conditions that are no classes the first 20.

        Errors: UserError for an unconditional one.
        """
        self._check_conditional()
        columns = read_option("columns", columns, int, low=1, high=MOST)
        asked = torch.zeros(columns, dtype=torch.long)
        prompt = self._gan.prompts(columns, {"labels": self._told(asked)}, self._rng(seed))
        found = of_every_class(prompt, len(self.classes) if self.conditions is None else min(len(self.classes), ROWS))
        return self._sample({**found, "labels": self._told(found["labels"])})

    @undisturbed()
    def sweep_code(
        self, columns: int = 8, seed: int = 0, label: int | str | None = None, code: int | None = None
    ) -> Tensor:
        """What its codes do: images (rows, panels, columns, C, H, W).

        A row a category, along it each continuous code from -2 to 2, a panel each, at most 3; of one category, `code`,
        or without any a row each. Of latents alone a row a coordinate, up to 10.
        Errors: UserError for one without an encoder, and for a category that there is not.
        """
        gan, columns = self._encodes(), read_option("columns", columns, int, low=1, high=MOST // codes.ROWS)
        if code is not None:
            self._check_category(code)
        found = codes.Sweep.of(gan, self._prompt(columns, seed, label), code)
        return found.arranged(self._sample(found.prompt))

    @undisturbed()
    def encode(self, images: Images | Tensor) -> dict[str, Tensor]:
        """The codes of images, uint8 (N, C, H, W), or floats in [-1, 1]: of each part of `code` the numbers, (N, size);
        of a category the probabilities. The same image has the same code, whatever is beside it.

        Errors: UserError for one without an encoder, and for images of another form.
        """
        gan, shown = self._encodes(), torch.as_tensor(images)
        self.check_form(tuple(shown.shape))
        return codes.encode(gan, read_pixels(shown))

    @undisturbed()
    def decode(self, code: Mapping[str, Tensor]) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] of codes as `encode` gives them.

        Errors: UserError for one without an encoder, and for codes of another make-up.
        """
        gan, parts = self._encodes(), {name: torch.as_tensor(x).float() for name, x in code.items()}
        n = len(next(iter(parts.values()), ()))
        if {name: tuple(x.shape) for name, x in parts.items()} != {name: (n, size) for name, size in self.code.items()}:
            raise UserError(f"codes must be of {' and '.join(f'{name} (N, {k})' for name, k in self.code.items())}")
        return codes.decode(gan, parts)

    @undisturbed()
    def judge_codes(self, data: Dataset, seed: int = 0) -> dict[str, float]:
        """By all held-out images, at most 5,000 (`evogan.fitness.encoders`); nothing without an encoder."""
        if not isinstance(self._gan, Encodes):
            return {}
        samples = parts(self._prompt(codes.SAMPLED, seed, None), 500)
        found = codes.judged(self._gan, data, slice(None), seed, 500, dear=True)
        return found | codes.told(self._gan, samples, self._gan.sample)

    @undisturbed()
    def judge_written(self, data: Dataset) -> dict[str, float]:
        """By its own probabilities, of all that is held out, too; nothing of one that makes no sequences."""
        return judged(self._gan, data, slice(None), torch.device("cpu")) if isinstance(self._gan, Writes) else {}

    @undisturbed()
    def translate(self, sources: Images | Tensor) -> Tensor:
        """What is made of sources, uint8 (N, C, H, H) or floats in [-1, 1]: images (N, C', H', H') in [-1, 1].

        Errors: UserError for one that makes no images of images, and for sources of another form.
        """
        gan, given = self._translates(), torch.as_tensor(sources)
        form = tuple(self.facts[SOURCES])
        if tuple(given.shape[1:]) != form or not len(given):
            made_of = f"(N, {', '.join(map(str, form))})"
            resize = f": --image-size {form[-1]}" if given.ndim == 4 and given.shape[1] == form[0] else ""
            raise UserError(f"its sources are {made_of}, not {tuple(given.shape)}{resize}")
        return torch.cat([gan.translate(prepared(part)).float() for part in read_pixels(given).split(500)])

    @undisturbed()
    def cross(self, images: Images | Tensor, origin: int | str = 0, target: int | str = -1) -> Tensor:
        """What is made of images of a domain, uint8 (N, C, H, H) or floats in [-1, 1], in another: images in [-1, 1].

        Domains are named, or counted from 0, or from -1 backwards; a text that is a name is that. Errors: UserError for
        one that does not translate between domains, for a domain that there is not, and for images of another form.
        """
        gan, given = self._gan, torch.as_tensor(images)
        if not isinstance(gan, Crosses):
            raise UserError("this GAN does not translate between domains, as those of family 'domains' do")
        ends = self._domain(origin), self._domain(target)
        self.check_form(tuple(given.shape))
        return torch.cat([gan.cross(prepared(part), *ends).float() for part in read_pixels(given).split(500)])

    @property
    def domains(self) -> tuple[str, ...]:
        """The names of those that it translates between, if any."""
        return tuple(self.facts.get("domains", ()))

    def _domain(self, named: int | str) -> int:
        names = self.domains
        if named in names:
            return names.index(str(named))
        try:
            number = int(named)
        except ValueError:
            number = len(names)
        if not -len(names) <= number < len(names):
            raise unknown("domain", str(named), names)
        return number % len(names)

    def check_translates(self) -> None:
        """Errors: UserError for one that makes no images of images."""
        self._translates()

    def check_encodes(self) -> None:
        """Errors: UserError for one without an encoder."""
        self._encodes()

    def check_served(self, data: Dataset) -> None:
        """Errors: UserError for images of another form than it makes."""
        size, channels = self.facts["image_size"], self.facts["channels"]
        check_language(self.facts, data, "the generator makes")
        if (self.plane is None) != (data.plane is None):
            makes, has = ("images", "points") if self.plane is None else ("points", "images")
            raise UserError(f"the generator makes {makes}, and '{data.name}' has {has}")
        if (data.image_size, data.channels) != (size, channels):
            resize = f": --image-size {size}" if data.channels == channels else ""
            raise UserError(
                f"the generator makes {size}x{size} images with {_channels(channels)}, '{data.name}' has "
                f"{data.image_size}x{data.image_size} with {_channels(data.channels)}{resize}"
            )

    def check_form(self, shape: tuple[int, ...]) -> None:
        """Errors: UserError unless images are (N, C, H, W) as it makes them."""
        size, channels = self.facts["image_size"], self.facts["channels"]
        if shape[1:] != (channels, size, size) or not shape[0]:
            raise UserError(f"images must be (N, {channels}, {size}, {size}), not {shape}")

    @undisturbed()
    def rows_of(self, labels: Tensor, seed: int = 0) -> Tensor:
        """As `rows`, of these places (n,) among its classes or conditions."""
        return self._sample(self._gan.prompts(len(labels), {"labels": self._told(labels)}, self._rng(seed)))

    def _prompt(self, n: int, seed: int, label: int | str | None, code: int | None = None) -> Prompt:
        """Without a label of the classes in turn, or of conditions at random."""
        if isinstance(self._gan, Translates):
            raise UserError("this generator makes images of images: `evogan translate`, or its method `translate`")
        if label is not None:
            labels = torch.full((n,), self._label(label))
        elif self.conditions is not None:
            labels = self.at_random(n, seed)
        else:
            labels = torch.arange(n) % max(len(self.classes), 1)
        prompt = self._gan.prompts(n, {"labels": self._told(labels)}, self._rng(seed))
        if code is None:
            return prompt
        self._check_category(code)
        return codes.of_category(prompt, code)

    def _said(self, n: int, seed: int, text: str | Sequence[str]) -> Prompt:
        """n of each sentence, with the same latents."""
        if self.conditions is None or not self.conditions.are_captions:
            raise UserError(
                "this generator is asked for no sentences, as one is that learned from --conditions captions"
            )
        texts = [text] if isinstance(text, str) else list(text)
        read_option("n times texts", n * len(texts), int, low=1, high=MOST)
        rng = self._rng(derive_seed(read_option("seed", seed, int, low=0, high=LARGEST_SEED), "said"))
        place, asked = {name: i for i, name in enumerate(self.classes)}, list[int]()
        for found in map(named, texts):
            for drawn in (torch.rand(n, len(ATTRIBUTES), generator=rng) * VALUE_COUNTS).long().tolist():
                values = [found.get(name, own) for name, own in zip(ATTRIBUTES, drawn, strict=True)]
                asked.append(place[sentence(values)])
        prompt = of_every_class(self._prompt(n, seed, None), len(texts))
        return {**prompt, "labels": self._told(torch.tensor(asked))}

    @undisturbed()
    def at_random(self, n: int, seed: int = 0) -> Tensor:
        """(n,): which of its conditions n samples are asked for where nothing is said."""
        rng = self._rng(derive_seed(read_option("seed", seed, int, low=0, high=LARGEST_SEED), "conditions"))
        return torch.randint(len(self.classes), (n,), generator=rng)

    def _told(self, labels: Tensor) -> Tensor:
        """As the networks are told them."""
        return labels if self.conditions is None else torch.from_numpy(self.conditions.table)[labels]

    def _translates(self) -> Translates:
        if not isinstance(self._gan, Translates):
            raise UserError("this GAN makes no images of images, as those of family 'translation' do")
        return self._gan

    def _encodes(self) -> Encodes:
        if not isinstance(self._gan, Encodes):
            raise UserError("this GAN has no encoder, as those of family 'inference' have")
        return self._gan

    def _check_category(self, code: int) -> None:
        self._encodes()
        if codes.CATEGORY not in self.code:
            raise UserError(f"code {code}: these codes have no category, but {' and '.join(self.code)}")
        read_option("code", code, int, low=0, high=self.code[codes.CATEGORY] - 1)

    def _sample(self, prompt: Prompt) -> Tensor:
        found = torch.cat([self._gan.sample(part) for part in parts(prompt, 500)])
        return found if self.plane is None else torch.from_numpy(self.plane.outside(found.numpy()))

    def _rng(self, seed: int) -> torch.Generator:
        return torch.Generator().manual_seed(read_option("seed", seed, int, low=0, high=LARGEST_SEED))

    def _check_conditional(self) -> None:
        if not self.classes:
            raise UserError("this generator is unconditional: it has no classes to ask for")

    def _label(self, label: int | str) -> int:
        self._check_conditional()
        if str(label) in self.classes:
            return self.classes.index(str(label))
        try:
            number = -1 if all(map(WHOLE.fullmatch, self.classes)) else int(label)
        except ValueError:
            number = -1
        if not 0 <= number < len(self.classes):
            raise unknown("label", str(label), self.classes)
        return number


def _channels(n: int) -> str:
    return f"{n} channel{'s' if n > 1 else ''}"


def _grid(rows: int, columns: int) -> tuple[int, int]:
    """Errors: UserError for one without images, or of more than are made at once."""
    rows, columns = (read_option(name, n, int, low=1, high=MOST) for name, n in (("rows", rows), ("columns", columns)))
    read_option("rows times columns", rows * columns, int, high=MOST)
    return rows, columns


def of_every_class(prompt: Prompt, classes: int) -> Prompt:
    """The prompt once for each class, in their order."""
    rows = {name: x.repeat(classes, *[1] * (x.dim() - 1)) for name, x in prompt.items()}
    labels = rows["labels"]
    return rows | {"labels": torch.arange(classes, device=labels.device).repeat_interleave(len(prompt["labels"]))}


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The header's entry, and finite weights. Errors: UserError."""
    if not path.exists():
        raise UserError(f"no file '{path}'")
    check_file(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            header = (file.metadata() or {}).get(MAGIC)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"'{path}' is no generator: {error}") from None
    if header is None:
        beside = f": name the {GENERATOR} beside it" if path.name == PLAYERS else ""
        raise UserError(f"'{path}' holds weights, but not of an evogan generator{beside}")
    check_finite(path, state)
    return header, state
