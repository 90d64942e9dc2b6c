"""Sequences of tokens: made on the spot, with known probabilities, or a user's own text, a line a sequence.

    oracle[:V[:T]]  of a random LSTM, V tokens (500) and T of them in a row (10); exact log-likelihoods
    grammar         S -> x (1/2) | S+S | S-S | S*S | S/S (1/8 each), up to 12 characters: 1,365 strings. One with k
                    operators has as many derivations as there are binary trees, C_k, of probability 2^-(k+1) 8^-k each
    captions        the 900 sentences of `evogan.data.captions`, equally often

Rows of tokens are int32 (N, T); those that end before are filled with the end, token 0.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import comb
from pathlib import Path

import numpy as np

from evogan.data.captions import sentences
from evogan.data.dataset import Dataset, DataSpec, image_dataset
from evogan.data.language import Language, Truth
from evogan.data.oracle import Oracle, Tokens
from evogan.data.source import divided
from evogan.errors import UserError, counted, shown
from evogan.files import expand, read_small
from evogan.stable import derive_seed

SEQUENCES = {
    "oracle": "10,000 sequences of a random LSTM, oracle:500:10 of 500 tokens and length 10, made on the spot",
    "grammar": "10,000 sums and products of x, of 1,365 that there are, made on the spot",
    "captions": "10,000 sentences about coloured digits, of 900 that there are, made on the spot",
}
COUNT, HELD_OUT, FEWEST = 10_000, 2_000, 20
VOCABULARY, LENGTH = 500, 10  # of the oracle, if nothing is said
MOST_TOKENS, LONGEST = 5000, 100  # of a text: rarer tokens are one, and longer lines are cut
MOST_BYTES = 2**28
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
POINT = re.compile(rf"(?=.*\.){NUMBER}[\s,;]+{NUMBER}", re.IGNORECASE)  # of fractions, not "3 5"
RARE = "<rare>"
WORDS, CHARACTERS = "words", "characters"
OPERATORS, LONGEST_SUM = "+-*/", 12


def is_sequences(spec: DataSpec) -> bool:
    """Whether it names one of `SEQUENCES`, or a .txt."""
    return spec.name.split(":")[0] in SEQUENCES or (
        (path := expand(spec.name)).suffix.lower() == ".txt" and not path.is_dir()
    )


def load_sequences(spec: DataSpec) -> Dataset:
    """Errors: UserError for what is asked of images alone, and for a text without sequences."""
    for option in ("image_size", "classes", "pairs", "domains", "conditions"):
        if getattr(spec, option) is not None:
            raise UserError(f"data set '{spec.name}' has sequences: --{option.replace('_', '-')} is for images")
    name, *numbers = spec.name.split(":")
    if name not in SEQUENCES:
        return _text(spec, expand(spec.name))
    if spec.tokens is not None:
        raise UserError(f"data set '{spec.name}': --tokens is for a text")
    if name == "oracle":
        return _oracle(spec.name, numbers)
    if numbers:
        raise UserError(f"data set '{spec.name}': '{name}' has no numbers")
    return _known(name, *(_captions() if name == "captions" else _grammar()))


def grammar() -> dict[str, float]:
    """String -> probability."""
    weights: dict[str, float] = {}
    for k in range((LONGEST_SUM + 1) // 2):
        of_each = comb(2 * k, k) / (k + 1) * 0.5 ** (k + 1) * 0.125**k
        weights |= {"".join(f"x{op}" for op in ops) + "x": of_each for ops in product(OPERATORS, repeat=k)}
    total = sum(weights.values())
    return {string: weight / total for string, weight in weights.items()}


@dataclass(frozen=True)
class _Words:
    """Sequences of tokens, and what parts these."""

    sequences: Sequence[Sequence[str]]
    between: str


def _oracle(name: str, numbers: Sequence[str]) -> Dataset:
    sizes = [int(number) if number.isdecimal() and len(number) < 10 else 0 for number in numbers]
    vocabulary, length, *more = [*sizes, *(VOCABULARY, LENGTH)[len(sizes) :]]
    if more or not 2 <= vocabulary <= MOST_TOKENS or not 2 <= length <= LONGEST:
        raise UserError(
            f"data set '{name}': as in oracle:{VOCABULARY}:{LENGTH}, 2 to {MOST_TOKENS} tokens and a length of 2 to "
            f"{LONGEST}"
        )
    oracle = Oracle(vocabulary, length)
    rows = oracle.draw(COUNT + HELD_OUT, np.random.default_rng(derive_seed("oracle's", vocabulary, length)))
    language = Language(tuple(map(str, range(vocabulary))), " ", ends=False, oracle=oracle)
    return _dataset(name, language, rows[:COUNT], rows[COUNT:])


def _grammar() -> tuple[_Words, Sequence[float], int]:
    found = grammar()
    return _Words([list(string) for string in found], ""), list(found.values()), LONGEST_SUM


def _captions() -> tuple[_Words, Sequence[float], int]:
    found = [text.split() for text in sentences()]
    return _Words(found, " "), [1 / len(found)] * len(found), max(map(len, found))


def _known(name: str, words: _Words, probabilities: Sequence[float], length: int) -> Dataset:
    tokens = ("", *sorted({token for sequence in words.sequences for token in sequence}))
    language = Language(tokens, words.between, ends=True)
    truth = Truth(language.rows(words.sequences, length), np.array(probabilities))
    picked = np.random.default_rng(derive_seed("sequences", name)).choice(
        len(truth.rows), COUNT + HELD_OUT, p=truth.probabilities
    )
    return _dataset(name, replace(language, truth=truth), truth.rows[picked[:COUNT]], truth.rows[picked[COUNT:]])


def _text(spec: DataSpec, path: Path) -> Dataset:
    """A tenth is held out; a line that is there twice may be on both sides."""
    lines, notes = _lines(spec.name, path)
    if spec.tokens is None and all(map(POINT.fullmatch, lines)):
        raise UserError(
            f"'{path}' has two numbers a line: save points as an .npy of shape (N, 2), with np.save; or, if they are "
            f"text, say --tokens {CHARACTERS}"
        )
    unit = spec.tokens or (WORDS if 2 * sum(len(line.split()) > 1 for line in lines) > len(lines) else CHARACTERS)
    sequences = [line.split() if unit == WORDS else list(line) for line in lines]
    if long := sum(len(sequence) > LONGEST for sequence in sequences):
        notes.append(f"{counted(long, 'line')} cut after {LONGEST} {unit}")
        sequences = [sequence[:LONGEST] for sequence in sequences]
    counts = Counter(token for sequence in sequences for token in sequence)
    if len(counts) < 2:
        raise UserError(f"'{path}' has one token alone, {shown(next(iter(counts)))}: there is nothing to choose")
    often = {token for token, _ in sorted(counts.items(), key=lambda found: (-found[1], found[0]))[:MOST_TOKENS]}
    if rare := len(counts) - len(often):
        notes.append(f"{counted(rare, f'rarer {unit[:-1]}')} became {RARE}")
        sequences = [[token if token in often else RARE for token in sequence] for sequence in sequences]
    if len({tuple(sequence) for sequence in sequences}) < 2:
        raise UserError(f"'{path}': all {len(lines):,} lines are equal")
    tokens = ("", *sorted({token for sequence in sequences for token in sequence}))
    language = Language(tokens, " " if unit == WORDS else "", ends=True)
    rows = language.rows(sequences, max(2, *map(len, sequences)))
    train, out = divided(len(rows))
    return _dataset(path.stem, language, rows[train], rows[out], (f"{len(tokens) - 1:,} {unit}", *notes))


def _lines(name: str, path: Path) -> tuple[list[str], list[str]]:
    if not path.is_file():
        raise UserError(f"data set '{name}': no such file")
    try:
        text = read_small(path, MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = bytes(error.object[: error.start]).count(b"\n") + 1
        raise UserError(f"'{path}' is no UTF-8 from line {line:,} on: save it as UTF-8") from error
    found = [line.strip() for line in io.StringIO(text, newline=None)]  # Python's other ends of lines are characters
    lines = [line for line in found if line]
    notes = [f"{counted(len(found) - len(lines), 'empty line')} left out"] if len(lines) < len(found) else []
    if len(lines) < FEWEST:
        there = counted(len(lines), "line")
        raise UserError(f"'{path}' has {there} with a text: at least {FEWEST} are needed, a line a sequence")
    return lines, notes


def _dataset(name: str, language: Language, train: Tokens, held_out: Tokens, notes: tuple[str, ...] = ()) -> Dataset:
    return replace(image_dataset(name, train, None, held_out, None, None, notes), language=language)
