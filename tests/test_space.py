"""Spaces: TOML -> space, unit cube <-> genome."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evogan.errors import UserError
from evogan.genes import GENES
from evogan.genome import Gene, Genome
from evogan.settings.reading import read_changes
from evogan.shipped import names, read_genome
from evogan.space import Space, altered, load_space
from tests.conftest import mixed_space

SPACES = [load_space(name) for name in names("search_spaces")] + [mixed_space()]


@given(st.sampled_from(SPACES), st.data())
def test_a_genome_comes_back_through_the_cube(space: Space, data: st.DataObject) -> None:
    vector = data.draw(st.lists(st.floats(0, 1), min_size=space.dimension, max_size=space.dimension))
    genome = space.decode(vector)
    assert space.decode(space.encode(genome)) == genome
    assert space.key(space.decode(space.encode(genome))) == space.key(genome)
    assert space.snap(genome) == (genome, [])


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_only_active_genes_are_in_a_genome(vector: list[float]) -> None:
    genome = mixed_space().decode(vector)
    assert ("depth" in genome) == (genome["kind"] in ("b", "c"))


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_the_levels_of_shipped_spaces_own_equal_cells(space: Space) -> None:
    """What runs and tables have recorded of them are genomes at points of the cube."""
    for gene in space.genes:
        n = len(gene.grid)
        for u in [*(i / 997 for i in range(998)), *(k / n for k in range(n)), math.nextafter(1, 0)]:
            assert gene.level(u) == gene.grid[min(int(u * n), n - 1)]
        assert [gene.unit(value) for value in gene.grid] == [(k + 0.5) / n for k in range(n)]


def test_a_space_may_have_more_genomes_than_anybody_can_list() -> None:
    """Nothing walks through the levels of a number, not even of one that others depend on."""
    many = Gene(name="n", kind="int", low=1, high=10**12, scale="log")
    after = Gene(name="after", kind="choice", values=("a", "b"), when={"n": (1, 7)})
    space = Space("huge", [many, after])
    assert space.size == 2 + 2 + (10**12 - 2)
    assert space.decode([0.5, 0.5]) == Genome({"n": 10**6})
    assert space.neighbour(Genome({"n": 10**12}), Random(0)) == Genome({"n": 10**12 - 1})


def test_size_counts_the_different_genomes() -> None:
    space = mixed_space()
    cells = [[(i + 0.5) / len(gene.grid) for i in range(len(gene.grid))] for gene in space.genes]
    genomes = {space.decode(vector) for vector in itertools.product(*cells)}
    assert space.size == len(genomes) == 21 * 9 * (1 + 2 * 11)


@given(st.integers(0, 10_000))
def test_a_neighbour_differs_in_one_gene_by_one_level(seed: int) -> None:
    space, rng = mixed_space(), Random(seed)
    genome = space.decode([rng.random() for _ in range(4)])
    neighbour = space.neighbour(genome, rng)
    moved = [n for n in genome if n in neighbour and genome[n] != neighbour[n]]
    assert len(moved) == 1
    gene = next(g for g in space.genes if g.name == moved[0])
    if gene.kind != "choice":
        assert abs(gene.nearest(genome[gene.name]) - gene.nearest(neighbour[gene.name])) == 1


def test_every_neighbour_can_be_reached() -> None:
    """So that the engine finds what is left of a small space."""
    space, rng = Space("small", mixed_space().genes[1:]), Random(0)
    genome, seen = space.decode([0.5] * 3), set()
    for _ in range(20_000):
        seen.add(genome)
        genome = space.neighbour(genome, rng)
    assert len(seen) == space.size


def test_a_genome_is_snapped_saying_by_how_much() -> None:
    space = load_space("wdcgan")
    genome, moves = space.snap(read_genome("wdcgan").genome)
    assert {m.gene: (m.old, m.new) for m in moves} == {
        "slope": (0.2, 0.185),
        "clip": (0.01, 0.00910282),
        "learning_rate": (5e-05, 3.98107e-05),
    }
    assert genome["filters"] == 128


def test_a_genome_outside_the_space_is_refused_by_gene() -> None:
    space = load_space("wdcgan")
    with pytest.raises(UserError, match="gene 'clip': 0.5 is not allowed"):
        space.snap(GENES.read({"clip": 0.5}))
    with pytest.raises(UserError, match="gene 'latent' = 64 lies outside space 'wdcgan': it is 100 there"):
        space.snap(GENES.read({"latent": 64}))


def test_a_zoo_key_does_not_depend_on_the_space() -> None:
    narrow = load_space("wdcgan")
    same = Space("other", [*narrow.genes], fixed={"dropout": 0.25}, table=GENES)
    genome = narrow.decode([0.1] * narrow.dimension)
    assert same.key(same.decode([0.1] * same.dimension)) == narrow.key(genome)


def test_without_a_zoo_the_key_is_all_values_and_the_name() -> None:
    a, b = mixed_space(), Space("other", mixed_space().genes)
    assert a.key(Genome({"width": 1})) != b.key(Genome({"width": 1}))
    assert a.key(Genome({"width": 1, "kind": "a"})) != a.key(Genome({"width": 1}))


def test_the_zoos_conditions_hold_in_every_space() -> None:
    optimizer = Gene(name="critic_optimizer", kind="choice", values=("adam", "rmsprop"))
    beta = Gene(name="critic_beta1", kind="float", low=0.0, high=0.9)
    space = Space("s", [beta, optimizer], table=GENES)
    assert "critic_beta1" in space.decode([0.1, 0.1])
    assert "critic_beta1" not in space.decode([0.1, 0.9])
    with pytest.raises(UserError, match="'critic_beta1' never applies: critic_optimizer is rmsprop"):
        Space("s", [beta], table=GENES)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_a_recorded_space_is_the_same_space(space: Space) -> None:
    again = Space.from_document(space.document(), space.table)
    vector = [0.3] * space.dimension
    assert again.document() == space.document()
    assert again.decode(vector) == space.decode(vector)


@given(st.integers(1, 5), st.integers(1, 40), st.integers(2, 30), st.sampled_from(["linear", "log"]))
def test_rounded_levels_survive_the_record(low: int, span: int, levels: int, scale: str) -> None:
    gene = Gene(name="x", kind="int", low=low, high=low + span, scale=scale, levels=levels)
    (again,) = Space.from_document(Space("s", [gene]).document()).genes
    assert list(again.grid) == list(gene.grid)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[genes.filters\nkind = 1", r"space.toml: .*line 1"),
        ("[genes]", "has no genes"),
        ("[genes.filter]\nkind='int'\nlow=1\nhigh=2", "unknown gene 'filter': did you mean 'filters'"),
        ("[genes.filters]\nkind='int'\nlow=64\nhigh=16", "gene 'filters': low 64 must be below high 16"),
        ("[genes.filters]\nkind='int'\nlow=1\nhigh=16", "'filters': 1 is not allowed: int from 4 to 1024"),
        (
            "[genes.clip]\nkind='float'\nlow=0.0\nhigh=1.0\nscale='log'",
            "'clip': a log scale needs low above 0",
        ),
        ("[genes.clip]\nkind='flaot'\nlow=0.1\nhigh=1.0", r"gene 'clip': 'kind' input should be 'float'"),
        ("[genes.clip]\nknd='float'\nlow=0.1\nhigh=1.0", "gene 'clip'"),
        ("[genes.clip]\nkind='float'\nlow=0.1\nhihg=1.0", "unknown field 'hihg': did you mean 'high'"),
        ("[genes.clip]\nkind='int'\nlow=1\nhigh=2", "'clip' is of kind float, not int"),
        (
            "[genes.clip]\nkind='float'\nlow=0.1\nhigh=1.0\nwhen={loss='hinge'}",
            "condition on the missing gene 'loss'",
        ),
        (
            "[genes.clip]\nkind='float'\nlow=0.1\nhigh=1.0\nwhen={slope=0.5}\n"
            "[genes.slope]\nkind='float'\nlow=0.1\nhigh=1.0\nwhen={clip=0.5}",
            "round in a circle: clip, slope",
        ),
        (
            "[genes.ema]\nkind='choice'\nvalues=[0.0,0.9]\nwhen={upsampling='fancy'}\n"
            "[genes.upsampling]\nkind='choice'\nvalues=['nearest','bilinear']",
            "'upsampling': 'fancy' is not allowed: one of nearest, bilinear",
        ),
        (
            "[genes.ema]\nkind='choice'\nvalues=[0.0,0.9]\nwhen={learning_rate=[0.0009]}\n"
            "[genes.learning_rate]\nkind='float'\nlow=1e-4\nhigh=1e-2\nscale='log'\nlevels=4",
            "'ema' never applies: 0.0009 is no level of 'learning_rate', the nearest is 0.0004",
        ),
        ("[fixed]\nfilters=16\n[genes.filters]\nkind='int'\nlow=16\nhigh=32", "both fixed and searched"),
        ("[genes.upsampling]\nkind='choice'\nvalues=['nearest','cubic']", "'cubic' is not allowed"),
    ],
)
def test_a_wrong_file_gets_one_line_naming_file_and_gene(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        load_space(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"name": 5}, "a space's name must be text, not 5"),
        ({"genes": []}, "space 's' has no genes"),
        ({"genes": 5}, "space 's': its genes must be a list, not 5"),
        ({"genes": {"x": {}}}, "space 's': 'x' is no Gene"),
        ({"genes": Gene(name="x", kind="int", low=1, high=2)}, "space 's': its genes must be a list, not Gene"),
        ({"description": 5}, "'description' must be text, not 5"),
        ({"fixed": {"y": None}}, "gene 'y': None is no value"),
        ({"fixed": {"y": math.nan}}, "gene 'y': nan is no value"),
        ({"fixed": {"x": 1}}, "'x' is both fixed and searched"),
        ({"fixed": "y"}, "'fixed' must map genes to their values"),
        ({"reference": "dcgan"}, "'reference' must be a list"),
    ],
)
def test_a_space_made_of_something_else_is_refused(parts: dict[str, Any], message: str) -> None:
    given = {"name": "s", "genes": [Gene(name="x", kind="int", low=1, high=2)]} | parts
    with pytest.raises(UserError, match=message):
        Space(given.pop("name"), given.pop("genes"), **given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind='choice'\nvalues='abc'", "gene 'x': 'values' must be a list, not 'abc'"),
        ("kind='choice'\nvalues=[nan]", "gene 'x': 'values': nan is no value"),
        ("kind='choice'\nvalues=[[1, 2]]", "gene 'x': 'values': a list is no value"),
        ("kind='float'\nlow=nan\nhigh=1", "gene 'x': 'low' must be finite, not nan"),
        ("kind='float'\nlow=0\nhigh=1\nlevels=true", "gene 'x': 'levels' must be a number, not True"),
        ("kind='int'\nlow=0\nhigh=1000000000000000000", r"gene 'x': 'high' must be at most 1e\+12"),
        ("kind='int'\nlow=0\nhigh=1\nwhen='y'", "gene 'x': 'when' must map"),
        ("kind='int'\nlow=0\nhigh=[1]", r"gene 'x': 'high' must be a number, not \[1\]"),
        ("kind=1", "gene 'x': 'kind' input should be 'float', 'int' or 'choice', not 1"),
    ],
)
def test_values_of_a_wrong_type_in_a_file_get_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "space.toml"
    path.write_text(f"[genes.x]\n{text}")
    with pytest.raises(UserError, match=message):
        load_space(str(path))


def test_whole_numbers_may_be_written_with_a_point() -> None:
    document = {"name": "s", "genes": {"x": {"kind": "int", "low": 1.0, "high": np.int64(9), "levels": 3.0}}}
    assert Space.from_document(document).document()["genes"]["x"] == {
        "kind": "int",
        "low": 1,
        "high": 9,
        "scale": "linear",
        "levels": 3,
    }


def test_an_unknown_space_names_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown space 'wdgan': did you mean 'wdcgan'"):
        load_space("wdgan")
    with pytest.raises(UserError, match="no file 'nowhere/space.toml'"):
        load_space("nowhere/space.toml")


def penalised() -> Space:
    """With a conflict: batch norm and some penalties; and a condition beside it."""
    return Space(
        "penalised",
        [
            Gene(name="loss", kind="choice", values=("hinge", "ebgan")),
            Gene(name="critic_norm", kind="choice", values=("batch", "layer", "none")),
            Gene(name="gradient_penalty", kind="choice", values=("none", "two_sided", "dragan")),
            Gene(name="gradient_penalty_weight", kind="float", low=1.0, high=10.0, levels=4),
            Gene(name="zero_penalty", kind="choice", values=("r1", "none")),
        ],
        fixed={"critic_constraint": "none"},
        table=GENES,
    )


def test_a_conflict_is_never_proposed_and_its_genomes_are_not_counted() -> None:
    space = penalised()
    cells = [[(i + 0.5) / len(gene.grid) for i in range(len(gene.grid))] for gene in space.genes]
    genomes = {space.decode(vector) for vector in itertools.product(*cells)}
    assert all(GENES.read(genome) == genome for genome in genomes)
    assert space.size == len(genomes)
    for genome in genomes:
        assert space.decode(space.encode(genome)) == genome
    assert any(genome["critic_norm"] == "batch" and "zero_penalty" in genome for genome in genomes)


def test_a_repaired_point_lies_where_its_genome_does() -> None:
    """Where a conflict moved a gene; else it is the very point."""
    space, rng = penalised(), np.random.default_rng(0)
    moved = 0
    for vector in rng.random((300, space.dimension)):
        genome, told = space.decode(vector), space.repaired(vector)
        assert space.decode(told) == genome
        moved += told != tuple(vector)
        for gene, u, v in zip(space.genes, vector, told, strict=True):
            assert gene.name not in genome or gene.level(v) == genome[gene.name]
            assert v == u or gene.level(u) != genome[gene.name]
    assert 0 < moved < 300


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("anything", {"critic_norm": ["batch", "virtual_batch"]}),
        (
            "inference",
            {"critic_norm": ["batch", "virtual_batch"], "minibatch": ["none", "std"]}
            | {"gradient_penalty": ["none", "two_sided"]},
        ),
    ],
)
def test_conflicts_that_drive_a_gene_back_and_forth_are_resolved(name: str, change: dict[str, Any]) -> None:
    space, rng = altered(load_space(name), change), np.random.default_rng(0)
    for vector in rng.random((200, space.dimension)):
        genome = space.decode(vector)
        assert GENES.read(genome) == genome and space.decode(space.encode(genome)) == genome


def test_a_space_without_a_feasible_genome_is_said() -> None:
    genes = [
        Gene(name="critic_norm", kind="choice", values=("batch", "virtual_batch")),
        Gene(name="minibatch", kind="choice", values=("std",)),
        Gene(name="gradient_penalty", kind="choice", values=("two_sided",)),
    ]
    space = Space("none", genes, fixed={"critic_constraint": "none"}, table=GENES)
    with pytest.raises(UserError, match="has points that no genome is near"):
        space.decode([0.5] * 3)


def test_a_conflict_among_fixed_genes_is_said_at_once() -> None:
    gene = Gene(name="filters", kind="int", low=8, high=16)
    with pytest.raises(UserError, match="batch norm couples"):
        Space("wrong", [gene], fixed={"gradient_penalty": "two_sided"}, table=GENES).decode([0.5])


def test_a_parents_values_that_the_space_does_not_list_are_no_condition() -> None:
    backbones = Gene(name="backbone", kind="choice", values=("infogan", "dcgan"))
    norms = Gene(name="critic_norm", kind="choice", values=("batch", "none"))
    assert Space("some", [backbones, norms], table=GENES).size == 4
    kernels = Gene(name="kernel_size", kind="choice", values=(3, 5))
    assert Space("some", [backbones, kernels], table=GENES).size == 1 + 2
    with pytest.raises(UserError, match="gene 'mapping_layers' never applies: no value of backbone here is stylegan"):
        Space("some", [backbones, Gene(name="mapping_layers", kind="int", low=0, high=8)], table=GENES)


def test_what_an_unsearched_parent_needs_is_needed_too() -> None:
    """js_weight applies to a divergence, and that to one loss."""
    loss = Gene(name="loss", kind="choice", values=("hinge", "f_divergence"))
    weight = Gene(name="js_weight", kind="float", low=0.1, high=0.9, levels=3)
    space = Space("js", [loss, weight], fixed={"divergence": "js_weighted"}, table=GENES)
    assert space.size == 1 + 3
    assert "js_weight" not in space.decode([0.1, 0.5])
    assert space.decode([0.9, 0.5])["js_weight"] == 0.5


def test_a_space_without_some_values() -> None:
    space = load_space("anything").without({"backbone": ["stylegan"], "attention": ["quarter"]}, "do not fit")
    genes = {gene.name: gene for gene in space.genes}
    assert "stylegan" not in genes["backbone"].values
    assert genes["attention"].values == ("none", "half")
    assert "without backbone = stylegan, attention = quarter: do not fit" in space.description
    rng = Random(0)
    for _ in range(100):
        GENES.read(space.decode([rng.random() for _ in range(space.dimension)]))
    with pytest.raises(UserError, match="backbone = autogan do not fit"):
        load_space("autogan_cells").without({"backbone": ["autogan"]}, "do not fit")


# --- altered


@given(st.sampled_from(SPACES), st.data())
def test_what_is_left_of_a_space_is_a_part_of_it(space: Space, data: st.DataObject) -> None:
    """Some genes fixed, of others fewer values: every genome is one of the whole space, and has what was asked for."""
    change: dict[str, Any] = {}
    for gene in data.draw(st.lists(st.sampled_from(space.genes), min_size=1, max_size=3, unique_by=lambda g: g.name)):
        levels = [gene.grid[i] for i in sorted({0, len(gene.grid) // 2, len(gene.grid) - 1})]
        several = st.lists(st.sampled_from(levels), min_size=1, unique_by=str)
        change[gene.name] = data.draw(st.sampled_from(levels) | several)
    try:
        part = altered(space, change)
    except UserError as error:  # together they rule each other out
        assume("never applies" not in str(error) and "space '" not in str(error))
        raise
    vector = data.draw(st.lists(st.floats(0, 1), min_size=part.dimension, max_size=part.dimension))
    genome = part.decode(vector)
    same, moved = space.snap(genome)
    assert not moved
    if space.table is not None:
        assert space.key(same) == part.key(genome)
    for name, asked in change.items():
        if name in genome:
            assert genome[name] in (asked if isinstance(asked, list) else [asked])
    assert Space.from_document(part.document(), part.table).decode(vector) == genome  # as a run records it


def test_genes_are_fixed_bounded_listed_and_added() -> None:
    change = {
        "filters": (8, 16),
        "loss": ["hinge"],
        "critic_constraint": "none",
        "dropout": (0.0, 0.5),
        "ema": (0.5, 0.9),
    }
    modern, less = load_space("modern"), altered(load_space("modern"), change)
    genes = {gene.name: gene for gene in less.genes}
    assert genes["filters"].grid[0] == 8 and genes["filters"].grid[-1] == 16 and len(genes["filters"].grid) == 5
    assert genes["loss"].values == ("hinge",) and less.fixed["critic_constraint"] == "none"
    assert genes["dropout"].kind == genes["ema"].kind == "float"
    rates = altered(load_space("dcgan_architecture"), {"learning_rate": (1e-5, 1e-2)})
    assert next(gene for gene in rates.genes if gene.name == "learning_rate").scale == "log", "as the zoo has it"
    assert {gene.name for gene in modern.genes} - set(genes) == {"critic_constraint", "constrained_head"}
    assert less.reference == modern.reference and less.name != modern.name
    assert altered(modern, {}) is modern


def test_the_command_line_says_the_same() -> None:
    asked = ["filters=8..16", "loss=hinge,least_squares", "ema=0.9", "rate=1e-4..1e-2", "on=true,false", "n=[1,2]"]
    assert read_changes(asked) == {
        "filters": (8, 16),
        "loss": ["hinge", "least_squares"],
        "ema": 0.9,
        "rate": (1e-4, 1e-2),
        "on": [True, False],
        "n": [1, 2],
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"filtres": 8}, "did you mean 'filters'"),
        ({"filters": 2}, "gene 'filters'.*4"),
        ({"filters": (16, 8)}, "low 16 must be below high 8"),
        ({"filters": (8, 16, 32)}, "two bounds"),
        ({"filters": []}, "a choice needs 'values'"),
        ({"filters": None}, "a list of values, or two bounds"),
        ({"loss": (1, 2)}, "'loss' is a choice, without bounds"),
        ({"loss": ["hinge", "hinges"]}, "gene 'loss': 'hinges' is not allowed"),
        ({"backbone": "dcgan", "sndcgan_form": "code"}, "'sndcgan_form' never applies: backbone is dcgan"),
        ({"backbone": "dcgan", "sndcgan_form": ["code", "paper"]}, "'sndcgan_form' never applies: backbone is dcgan"),
    ],
)
def test_what_a_space_cannot_become_is_said(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        altered(load_space("modern"), change)
    with pytest.raises(UserError, match="unknown gene 'depht'"):
        altered(Space("mine", mixed_space().genes), {"depht": 1})
