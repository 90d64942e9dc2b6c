"""How a genome is judged as a GAN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

from evogan.errors import UserError, unknown
from evogan.options import check_options, option
from evogan.settings.reading import read_classes
from evogan.trial import BUDGETS, IMAGE_SIZES, budget_in_words

KIMG = 20.0  # the budget of a training, if nothing is said
AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class GANSettings:
    """How a genome is judged as a GAN: the data set, the budget and the protocol of scoring.

    Of `kimg`, `iterations` and `seconds` one is given, or none. `features`: "auto" takes those that suit the data, and
    learns them where none are known; None, as in runs that are recorded so: shipped ones, or else Inception's.
    `classes`: those to keep, by name (`of` takes numbers for names, too); an int, as in runs that are recorded so, is
    the label itself.
    Errors: UserError for a keyword or value that makes no sense.
    """

    data: str = option(
        "digits", group="data", help="Data set: a name, an image folder, an .npz, .npy or .parquet, a .txt."
    )
    image_size: int | None = option(
        None, low=IMAGE_SIZES[0], high=IMAGE_SIZES[1], group="data", help="Resize images to this side, in pixels."
    )
    classes: tuple[str | int, ...] | None = option(
        None,
        group="data",
        help="Only these classes, by name, as in '5' or 'cat,dog'.",
        read=read_classes,
        written=str | list[Any] | None,
    )
    pairs: str | None = option(
        None,
        group="data",
        help="What images are to be made from: a recipe (edges, grey, mosaic:4, hole, low:4), a folder of images of "
        "the same names, or left or right, the half of each file that it is.",
    )
    domains: str | None = option(
        None,
        group="data",
        help="Unpaired domains to translate between: a recipe (edges, negative, rotate, recolour, grey), which makes a "
        "second one of half of the images, with a truth that is known; classes, each of which is one; attributes:FILE, "
        "a table; or another data set. Several recipes, or data sets, are parted by commas.",
    )
    conditions: str | None = option(
        None,
        group="data",
        help="What a conditional GAN is asked for in place of classes: attributes:FILE, a table; or captions, sentences"
        " about digits, which are coloured by rule; captions:CODE, how these are coded: words, skip_thought, one_hot.",
    )
    tokens: Literal["words", "characters"] | None = option(
        None,
        group="data",
        help="What the sequences of a text are of: words, parted by spaces, or characters; default: words where most "
        "lines have several.",
    )
    data_dir: str | None = option(
        None, group="data", help="Where data sets lie; default EVOGAN_DATA or ./data.", variable=""
    )
    download: bool = option(False, group="data", help="Download the data set if it is missing.")
    labels: int | None = option(
        None,
        low=2,
        high=10**9,
        group="data",
        help="Tell trainings the labels of so many images alone (few labels), as many of each class.",
    )
    kimg: float | None = option(
        None,
        above=0,
        high=1e7,
        group="budget",
        help=f"Budget of a training: thousands of real images shown to the critic; default {KIMG:g}.",
    )
    iterations: int | None = option(
        None, low=1, high=10**9, group="budget", help="In place of --kimg: updates of the generator."
    )
    seconds: float | None = option(
        None,
        above=0,
        high=1e9,
        group="budget",
        help="In place of --kimg: seconds, scores aside; what fits is timed first (not repeatable).",
    )
    features: str | None = option(
        AUTO,
        group="judging",
        help="Feature network of the FID: auto (shipped, or learned from the data), a name, inception, or a file.",
    )
    samples: int = option(5000, low=2, high=1_000_000, group="judging", help="Generated images per score.")
    precision: Literal["fp32", "bf16"] = option("fp32", group="resources", help="fp32, or bf16 (autocast).")
    threads: int = option(1, low=1, high=1024, group="resources", help="CPU threads of a training; part of the task.")
    device: str = option("cpu", group="resources", help="cpu, cuda or cuda:N.")

    def __post_init__(self) -> None:
        check_options(self)
        given = [unit for unit in BUDGETS if getattr(self, unit) is not None]
        if len(given) > 1:
            raise UserError(f"{' and '.join(given[:2])} are both given: a training has one budget")
        if self.pairs is not None and self.domains is not None:
            raise UserError("pairs and domains are both given: images have one or the other")
        if self.labels is not None and self.domains is not None:
            raise UserError("labels and domains are both given: what learns from few labels knows one domain")
        if self.conditions is not None:
            for name in ("pairs", "domains", "labels"):
                if getattr(self, name) is not None:
                    raise UserError(f"conditions and {name} are both given: images have one or the other")
        if not given:
            object.__setattr__(self, "kimg", KIMG)

    @property
    def budget(self) -> str:
        """Of a training, in words."""
        return budget_in_words(vars(self))

    @classmethod
    def of(cls, **given: Any) -> Self:
        known = {field.name for field in fields(cls)}
        for keyword in given:
            if keyword not in known:
                raise unknown("keyword", keyword, sorted(known))
        given["classes"] = read_classes(given.get("classes"))
        if given.get("features", AUTO) is None:
            del given["features"]
        return cls(**given)

    @classmethod
    def recorded(cls, document: Mapping[str, Any]) -> Self:
        """Read back what a run recorded."""
        classes = document.get("classes")
        read = cls.of(**{**document, "classes": None})
        features = document.get("features", AUTO)
        return replace(read, classes=None if classes is None else tuple(classes), features=features)
