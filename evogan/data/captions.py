"""The sentences of coloured digits, by rule: five attributes -> a sentence, and back.

    a thick red seven, tilted left, on blue
    a thin green three on black

Whatever is upright is not said to be. No word is a value of two attributes; there are 900 sentences.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product

from evogan.errors import UserError, unknown

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "thickness": ("thin", "thick"),
    "colour": ("red", "green", "yellow", "white", "pink"),
    "digit": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "tilt": ("upright", "left", "right"),
    "background": ("black", "blue", "grey"),
}
UPRIGHT = "upright"
BACKGROUND, ON = "background", "on"
BETWEEN = ("a", ",", "tilted", ON)  # words of a sentence that are no values
VALUES = {word: (name, i) for name, words in ATTRIBUTES.items() for i, word in enumerate(words)}
WORDS = tuple(word for word in (*BETWEEN, *VALUES) if word != UPRIGHT)  # that sentences are made of

_TOKEN = re.compile(r"\w+|[^\w\s]")


def words_of(text: str) -> list[str]:
    """In lower case, punctuation apart."""
    return _TOKEN.findall(text.lower())


def sentence(values: Sequence[int]) -> str:
    """Of a value of each attribute, by its place, in their order."""
    thickness, colour, digit, tilt, background = (
        words[int(i)] for words, i in zip(ATTRIBUTES.values(), values, strict=True)
    )
    tilted = "" if tilt == UPRIGHT else f", tilted {tilt},"
    return f"a {thickness} {colour} {digit}{tilted} on {background}"


def sentences() -> list[str]:
    """All."""
    return [sentence(values) for values in product(*(range(len(words)) for words in ATTRIBUTES.values()))]


def named(text: str) -> dict[str, int]:
    """The values that are named, by their places, and upright where no tilt is. Words may be in another order.

    Errors: UserError for a word that no sentence has, for an attribute that is named twice, for a background that is
    not said to be one ("on blue"), and for a text without words.
    """
    found: dict[str, int] = {}
    words, behind = words_of(text), False
    if not words:
        raise UserError("an empty text names nothing: a word or more, as in 'a thin green three on black'")
    for word in words:
        behind = behind or word == ON
        if word in VALUES:
            name, place = VALUES[word]
            if behind != (name == BACKGROUND):
                of = f"'{word}' is a background, as in '{ON} {word}'" if name == BACKGROUND else f"'{word}' is none"
                raise UserError(f"'{text}': {of}; backgrounds are {', '.join(ATTRIBUTES[BACKGROUND])}")
            behind = False
            if name in found:
                raise UserError(f"'{text}' names its {name} twice: '{ATTRIBUTES[name][found[name]]}' and '{word}'")
            found[name] = place
        elif word not in (*BETWEEN, "."):
            raise unknown("word", word, VALUES)
    return {"tilt": 0} | found
