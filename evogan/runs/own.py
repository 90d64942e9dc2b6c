"""What a search is of, by which others' results are told from its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Own:
    """What a search is of: what its data are called, and their fingerprint; a GAN or an objective."""

    names: frozenset[str]
    of_a_gan: bool
