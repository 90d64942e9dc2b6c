"""Which options are asked for where: the same from Python and on the command line."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Any

from evogan.options import Option, options_of
from evogan.settings.bench import BenchSettings
from evogan.settings.extensions import Extensions
from evogan.settings.gan import GANSettings
from evogan.settings.output import Output
from evogan.settings.resources import Resources
from evogan.settings.search import MAY_CHANGE, SearchSettings
from evogan.trial import BUDGETS


def _of(declared: type, but: Container[str] = (), only: Container[str] | None = None) -> list[Option]:
    return [one for name, one in options_of(declared).items() if name not in but and (only is None or name in only)]


def unsaid(option: Option) -> Option:
    """The same where None means: as before."""
    return replace(option, default=None, kind=option.kind | None)


PLACE = ("runs", "store")
DATA = ("image_size", "data_dir", "download")
JUDGED = ("fitness", "score")  # by what a checkpoint is chosen

SEARCH = [*_of(SearchSettings), *_of(GANSettings), *_of(Resources), *_of(Output), *_of(Extensions)]
RESUME = [
    *map(unsaid, _of(SearchSettings, only=MAY_CHANGE)),
    *map(unsaid, _of(Resources)),
    *_of(Output, but=("name",)),
    *_of(Extensions),
]
OF_DATA = [one.name for one in options_of(GANSettings).values() if one.group in ("data", "judging")]
TRAIN = [  # what is not said of the data may be known of a run
    *(unsaid(one) if one.name in OF_DATA else one for one in _of(GANSettings)),
    *map(unsaid, _of(SearchSettings, only=JUDGED)),
    *_of(Output, only=PLACE),
    *_of(Extensions),
]
OF_TRAINING = ("labels", "pairs", "domains", *BUDGETS, "precision", "threads", "device", *JUDGED)
EVALUATE = [one for one in TRAIN if one.name not in OF_TRAINING]
FILE_GAN = _of(GANSettings, but=("data",))  # of campaigns, which have words of their own for what is combined
FILE_SEARCH = _of(SearchSettings, but=("strategy", "options", "seed"))
EXTENSIONS = _of(Extensions)
FILE = [*FILE_GAN, *FILE_SEARCH, *_of(Resources), *EXTENSIONS]
BENCH = _of(BenchSettings)
FEATURES = _of(GANSettings, only=DATA)
TRANSLATE = [*_of(GANSettings, only=(*DATA, "classes", "pairs")), *EXTENSIONS]
CRITIC = [*_of(GANSettings, only=(*DATA, "classes")), *EXTENSIONS]


def picked(declared: type, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked of a dataclass."""
    return {name: asked[name] for name in options_of(declared) if name in asked}
