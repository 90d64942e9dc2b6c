"""Trained generators that come with evogan, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

import evogan
from evogan import shipped
from evogan.errors import UserError


@pytest.mark.parametrize("name", shipped.generators())
def test_each_samples_and_is_small_and_has_its_genome_beside_it(name: str) -> None:
    generator = evogan.load(name)
    assert generator.sample(2).shape[:2] == (2, generator.facts["channels"])
    assert generator.genome == shipped.read_genome(name).genome
    assert shipped.generator(name).stat().st_size <= 2_000_000


def test_evolved_genomes_are_not_published_ones() -> None:
    assert not [name for name in shipped.published() if name.startswith("evolved")]


def test_a_name_that_is_none_gets_those_that_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shipped, "generators", lambda: ["evolved_rings"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="unknown generator 'evolved_ring': did you mean 'evolved_rings'"):
        evogan.load("evolved_ring")
    with pytest.raises(UserError, match="no file 'mine.safetensors'"):
        evogan.load("mine.safetensors")


def test_a_file_here_comes_before_a_shipped_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evolved_rings").write_text("")
    assert shipped.generator("evolved_rings") == Path("evolved_rings")


def test_neither_a_folder_nor_a_broken_store_hides_a_shipped_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its exported code writes into a folder of that name."""
    monkeypatch.chdir(tmp_path)
    name = shipped.generators()[0]
    (tmp_path / name).mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "evogan.db").write_text("no database")
    assert evogan.load(name).genome == shipped.read_genome(name).genome
    assert evogan.export_code(name).weights is not None
