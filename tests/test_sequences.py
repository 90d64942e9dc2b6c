"""Sequences: the data and their exact truths, what judges them, and GANs that make them."""

from __future__ import annotations

import pytest

from evogan.data.captions import parse, sentence, sentences, words_of
from evogan.errors import UserError


def test_a_sentence_and_its_attributes_are_the_same() -> None:
    made = sentences()
    assert len(made) == len(set(made)) == 900
    assert all(sentence(parse(text)) == text for text in made)
    assert "a thick red seven, tilted left, on blue" in made and "a thin green three on black" in made
    assert words_of("a red, one") == ["a", "red", ",", "one"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a thin mauve three on black", "unknown word 'mauve'"),
        ("a thin red three", "no background"),
        ("a thin red green three on black", "colour twice"),
    ],
)
def test_what_is_no_sentence_is_said(text: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        parse(text)
