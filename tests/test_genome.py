"""Genes, genomes and keys: one GAN, one key, for ever."""

from __future__ import annotations

import math
import subprocess
import sys
from enum import StrEnum
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from evogan.errors import UserError
from evogan.genes import GENES
from evogan.genome import MOST, Gene, GeneTable, Genome, TableGene, any_of, plain
from evogan.report.tables import genes_page
from evogan.shipped import names, read_genome
from evogan.stable import derive_seed, digest


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(7), 7),
        (np.array([1, 2]), [1, 2]),
        ((np.int64(1), [np.float32(0.5)]), (1, [0.5])),
        (HTTPStatus.OK, 200),
        (Colour.RED, "red"),
        (True, True),
        (2**70, 2**70),
        (None, None),
        ((1, 2), (1, 2)),
    ],
)
def test_what_stands_for_a_plain_value_becomes_one(given: object, value: object) -> None:
    assert plain(given) == value
    assert type(plain(given)) is type(value)


@st.composite
def numeric_genes(draw: st.DrawFn) -> Gene:
    kind, scale = draw(st.sampled_from(["float", "int"])), draw(st.sampled_from(["linear", "log"]))
    if kind == "int":
        low = draw(st.integers(1 if scale == "log" else -1000, 1000))
        high = low + draw(st.integers(1, 5000))
        return Gene(name="g", kind="int", low=low, high=high, scale=scale, levels=draw(st.integers(2, 50)))
    low_f = draw(st.floats(1e-9, 1e3) if scale == "log" else st.floats(-1e3, 1e3))
    high_f = low_f + draw(st.floats(0.01, 1e4))
    levels = draw(st.integers(2, 200))
    try:
        return Gene(name="g", kind="float", low=low_f, high=high_f, scale=scale, levels=levels)
    except UserError:
        reject()  # levels too close for 6 digits


@given(numeric_genes(), st.floats(0, 1))
def test_a_level_comes_back_through_the_unit_interval(gene: Gene, u: float) -> None:
    value = gene.level(u)
    assert gene.level(gene.unit(value)) == value
    assert gene.check(value) == value


@st.composite
def whole_numbers(draw: st.DrawFn) -> Gene:
    """As far apart as they may be, and few or all of them."""
    low = draw(st.integers(1, 10) | st.integers(1, MOST - 1))
    high = draw(st.integers(low + 1, MOST) | st.integers(low + 1, min(low + 1000, MOST)))
    try:
        return Gene(
            name="g",
            kind="int",
            low=low,
            high=high,
            scale=draw(st.sampled_from(["linear", "log"])),
            levels=draw(st.none() | st.integers(2, 300)),
        )
    except UserError:
        reject()  # levels too close for 6 digits


@given(whole_numbers(), st.data(), st.floats(0.01, 0.99))
def test_every_level_owns_its_cell(gene: Gene, data: st.DataObject, part: float) -> None:
    last = len(gene.grid) - 1
    level = data.draw(st.sampled_from([0, last]) | st.integers(0, last))
    assert gene.unit(gene.grid[level]) == gene.cells.at(level)
    assert gene.level(gene.cells.at(level)) == gene.grid[level]
    assert gene.cells.holding(gene.cells.at(level, part)) == level
    assert (gene.level(0.0), gene.level(1.0)) == (gene.low, gene.high)


@pytest.mark.parametrize(
    ("low", "high", "levels", "median"),
    [
        (1, 1024, None, 32),
        (1, 1024, 101, 32),
        (1, 1024, 1000, 32),
        (1, 1024, 11, 32),
        (4, 256, None, 32),
        (1, MOST, None, 10**6),
        (3, 3, 1, 3),
    ],
)
def test_whole_numbers_are_spread_on_their_scale(low: int, high: int, levels: int | None, median: int) -> None:
    gene = Gene(name="g", kind="int", low=low, high=high, scale="log", levels=levels)
    assert gene.level(0.5) == pytest.approx(median, rel=0.001)


def test_all_whole_numbers_on_a_log_scale_follow_benfords_law() -> None:
    digits = Gene(name="g", kind="int", low=1, high=9, scale="log")
    shares = [digits.cells.at(i, 1.0) - digits.cells.at(i, 0.0) for i in range(9)]
    assert shares == pytest.approx(
        [0.30103, 0.17609, 0.12494, 0.09691, 0.07918, 0.06695, 0.05799, 0.05115, 0.04576], abs=1e-5
    )
    assert sum(shares) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("low", "high", "levels"), [(-1.8, 0.6, None), (-0.15, 0.05, 21), (-1e-5, 3e-5, 5)])
def test_a_level_at_0_is_0(low: float, high: float, levels: int | None) -> None:
    assert 0.0 in list(Gene(name="g", kind="float", low=low, high=high, levels=levels).grid)


@given(numeric_genes())
def test_levels_rise_from_low_to_high(gene: Gene) -> None:
    values = list(gene.grid)
    assert values[0] == gene.low
    assert values[-1] == gene.high
    assert all(a <= b for a, b in pairwise(values))
    if gene.kind == "int":
        assert len(set(values)) == len(values) <= gene.high - gene.low + 1


@given(numeric_genes(), st.floats(0, 1))
def test_snapping_takes_the_nearest_level_on_the_scale(gene: Gene, part: float) -> None:
    value = gene.low + part * (gene.high - gene.low)
    value = min(max(value, gene.low), gene.high)
    warp = math.log if gene.scale == "log" else float
    chosen = abs(warp(gene.grid[gene.nearest(value)]) - warp(value))
    best = min(abs(warp(level) - warp(value)) for level in gene.grid)
    span = warp(gene.high) - warp(gene.low)
    assert chosen <= best + 1e-5 * max(1.0, abs(warp(gene.low)), abs(warp(gene.high)), span)


def test_eleven_levels_are_the_books_one_decimal() -> None:
    gene = Gene(name="slope", kind="float", low=0.05, high=0.5, levels=11)
    assert list(gene.grid) == [0.05, 0.095, 0.14, 0.185, 0.23, 0.275, 0.32, 0.365, 0.41, 0.455, 0.5]


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({"kind": "float", "low": 1.0, "high": 1.0}, "must be below high"),
        ({"kind": "float", "low": 0.0, "high": 1.0, "scale": "log"}, "log scale needs low above 0"),
        ({"kind": "int", "low": 1.5, "high": 3}, "'low' must be a whole number, not 1.5"),
        ({"kind": "float", "low": 0.0}, "'low' and 'high'"),
        ({"kind": "choice"}, "needs 'values'"),
        ({"kind": "choice", "values": ("a", "a")}, "same value twice"),
        ({"kind": "choice", "values": ("a",), "low": 1.0}, "not 'low'"),
        ({"kind": "float", "low": 0.0, "high": 1.0, "levels": 1}, "levels must be at least 2"),
        ({"kind": "float", "low": 0.0, "high": math.inf}, "finite"),
        ({"kind": "float", "low": math.nan, "high": 1.0}, "'low' must be finite, not nan"),
        ({"kind": "foo"}, "unknown kind 'foo': .*allowed: float, int, choice"),
        ({"kind": ["int"]}, "unknown kind"),
        ({"kind": "int", "low": 1, "high": 2, "scale": "exp"}, "unknown scale 'exp'"),
        ({"kind": "choice", "values": "abc"}, "'values' must be a list, not 'abc'"),
        ({"kind": "choice", "values": {"a", "b"}}, "'values' must be a list"),
        ({"kind": "choice", "values": (1, 1.0, True)}, "same value twice"),
        ({"kind": "choice", "values": (0.0, -0.0)}, "same value twice"),
        ({"kind": "choice", "values": (0.3, 0.1 + 0.2)}, "same value twice"),  # to a key
        ({"kind": "float", "low": 100000.5, "high": 100010.5, "levels": 11}, "cannot tell its levels apart"),
        ({"kind": "int", "low": (1, 2), "high": 3}, r"'low' must be a number, not \(1, 2\)"),
        ({"kind": "int", "low": True, "high": 3}, "'low' must be a number, not True"),
        ({"kind": "int", "low": 0, "high": "3"}, "'high' must be a number, not '3'"),
        ({"kind": "int", "low": 0, "high": 10**400}, r"'high' must be at most 1e\+12 in size"),
        ({"kind": "float", "low": 0, "high": 10**400}, "'high' must be at most 1.7"),
        ({"kind": "int", "low": 0, "high": 3, "levels": 10**400}, "'levels' must be at most"),
        ({"kind": "int", "low": 0, "high": 3, "levels": 2.5}, "'levels' must be a whole number"),
        ({"kind": "float", "low": -1.7e308, "high": 1.7e308}, "too far"),
        ({"kind": "float", "low": 1e-300, "high": 1e300, "scale": "log"}, "too far"),
        ({"kind": "int", "low": 10**9, "high": 10**9 + 1000, "levels": 11}, "cannot tell its levels apart"),
        ({"kind": "int", "low": 1, "high": 2, "when": "loss"}, "'when' must map genes to their values, not 'loss'"),
        ({"kind": "int", "low": 1, "high": 2, "when": {"loss": None}}, "when 'loss' must be a list, not None"),
    ],
)
def test_a_gene_that_makes_no_sense_is_refused(definition: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Gene(name="g", **definition)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["", 5, None])
def test_a_gene_has_a_name(name: object) -> None:
    with pytest.raises(UserError, match="name must be text"):
        Gene(name=name, kind="int", low=1, high=2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "None is no value: .* give it a name, such as 'none'"),
        ((64, 64), "a tuple is no value"),
        (np.datetime64("2020-01-01"), "a date is no value"),
        (b"a", "a bytes is no value"),
        (1j, "a complex is no value"),
        (math.nan, "nan is no value: numbers are finite"),
        (-math.inf, "-inf is no value"),
        (10**400, "more than 64 bits"),
        ("a\0b", "text is valid Unicode without NUL"),
        ("\ud800", "text is valid Unicode without NUL"),
    ],
    ids=range(10),
)
def test_what_no_store_would_give_back_is_no_value(value: object, message: str) -> None:
    with pytest.raises(UserError, match=f"gene 'g': 'values': .*{message}"):
        Gene(name="g", kind="choice", values=("a", value))  # type: ignore[arg-type]


def test_numpys_numbers_are_numbers() -> None:
    gene = Gene(name="n", kind="int", low=np.int64(1), high=np.float32(9), levels=np.int8(5))  # type: ignore[arg-type]
    assert gene == Gene(name="n", kind="int", low=1, high=9, levels=5)
    assert [type(x) for x in (gene.low, gene.high, gene.levels)] == [int, int, int]
    assert (gene.check(6.0), gene.check(np.float64(6)), type(gene.check(np.int16(6)))) == (6, 6, int)
    choice = Gene(name="c", kind="choice", values=np.array([1.5, 2.5]), when={"n": np.int64(3)})  # type: ignore[arg-type]
    assert choice == Gene(name="c", kind="choice", values=(1.5, 2.5), when={"n": (3,)})
    assert type(choice.values[0]) is float
    flags = Gene(name="f", kind="choice", values=[np.bool_(True), np.str_("a")])  # type: ignore[arg-type]
    assert flags.values == (True, "a")
    assert flags.check(np.bool_(True)) is True


def random_genomes() -> st.SearchStrategy[Genome]:
    return st.fixed_dictionaries(
        {},
        optional={
            gene.name: st.sampled_from(list(gene.values) or [gene.low, gene.default, gene.high])
            for gene in GENES.values()
        },
    ).map(lambda values: Genome({n: GENES[n].check(v) for n, v in values.items()}))


@given(random_genomes())
def test_written_short_or_long_a_gan_has_one_key(genome: Genome) -> None:
    complete = GENES.complete(genome)
    assert GENES.key(genome) == GENES.key(complete)
    short = {name: value for name, value in complete.items() if value != GENES[name].default}
    assert GENES.key(short) == GENES.key(genome)


@given(random_genomes(), random_genomes())
def test_different_phenotypes_have_different_keys(one: Genome, two: Genome) -> None:
    assert (GENES.key(one) == GENES.key(two)) == (GENES.complete(one) == GENES.complete(two))


@given(random_genomes())
def test_a_zoo_that_grows_new_genes_keeps_old_keys(genome: Genome) -> None:
    new = TableGene(name="new", kind="float", low=0.0, high=1.0, default=0.5, meaning="")
    grown = GeneTable([*GENES.values(), new])
    assert grown.key(genome) == GENES.key(genome)
    assert grown.key({**genome, "new": 0.25}) != GENES.key(genome)


def test_inactive_genes_never_enter_a_key() -> None:
    plain = {"critic_optimizer": "rmsprop"}
    assert GENES.key({**plain, "critic_beta1": 0.9}) == GENES.key(plain)
    adam = {"critic_optimizer": "adam"}
    assert GENES.key({**adam, "critic_beta1": 0.9}) != GENES.key(adam)


def test_keys_and_seeds_are_golden() -> None:
    """Stored results are found by these: a change of them forgets everything."""
    assert GENES.key({}) == "44136fa355b3678a"
    assert GENES.key({"filters": 16, "clip": 0.02}) == "65da290bc33e2161"
    assert derive_seed("key", "task", 0) == 8365956904408200520
    assert digest({"b": 0.1 + 0.2, "a": [1, True, None, "x"]}) == digest({"a": [1, True, None, "x"], "b": 0.3})
    assert len({digest(value) for value in (1, 1.0, True, "1", "1.0")}) == 5


def test_keys_do_not_depend_on_the_process() -> None:
    code = "from evogan.genes import GENES; print(GENES.key({'filters': 16, 'clip': 0.02}))"
    for hash_seed in ("1", "2"):
        out = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True
        )
        assert out.stdout.strip() == GENES.key({"clip": 0.02, "filters": 16})


def test_what_a_user_writes_is_checked_against_the_table() -> None:
    with pytest.raises(UserError, match="unknown gene 'filter': did you mean 'filters'"):
        GENES.read({"filter": 3})
    with pytest.raises(UserError, match=r"'clip': 50 is not allowed: float from 0.0001 to 10"):
        GENES.read({"clip": 50})
    with pytest.raises(UserError, match="'filters': 16.5 is not allowed: int"):
        GENES.read({"filters": 16.5})
    with pytest.raises(UserError, match="'critic_beta1' applies only when critic_optimizer is adam"):
        GENES.read({"critic_beta1": 0.3})


def test_a_change_takes_with_it_what_does_not_apply_any_more() -> None:
    genome = {"critic_optimizer": "adam", "critic_beta1": 0.3, "filters": 16}
    assert GENES.changed(genome, {"critic_optimizer": "rmsprop"}) == {"critic_optimizer": "rmsprop", "filters": 16}
    assert GENES.changed(genome, {"critic_beta1": 0.5}) == {**genome, "critic_beta1": 0.5}
    with pytest.raises(UserError, match="'critic_beta2' applies only when critic_optimizer is adam"):
        GENES.changed(genome, {"critic_optimizer": "rmsprop", "critic_beta2": 0.9})
    with pytest.raises(UserError, match="'critic_beta1' applies only when critic_optimizer is adam"):
        GENES.changed({"critic_beta1": 0.3}, {"filters": 16})


@pytest.mark.parametrize("name", names("genomes"))
def test_published_genomes_can_be_read(name: str) -> None:
    file = read_genome(name)
    assert file.title
    assert file.source
    assert GENES.read(file.genome) == file.genome


def test_a_condition_of_many_numbers_is_said_in_few_words() -> None:
    with pytest.raises(UserError, match="'mutual_information' applies only when code_categories is 1 to 1000$"):
        GENES.read({"family": "inference", "encoder": "head", "code_categories": 0, "mutual_information": 1.0})
    assert any_of((1, 2, 4)) == "1 or 2 or 4" and any_of((True, False)) == "True or False" and any_of((0.1,)) == "0.1"


def test_the_reference_is_the_books_individual() -> None:
    genes = GENES.complete(read_genome("wdcgan").genome)
    assert [genes[n] for n in ("filters", "slope", "critic_steps", "clip", "learning_rate")] == [
        128,
        0.2,
        5,
        0.01,
        5e-5,
    ]


@pytest.mark.parametrize("penalty", ["gradient_penalty", "zero_penalty"])
def test_genes_that_cannot_live_together_are_refused_with_the_reason(penalty: str) -> None:
    value = {"gradient_penalty": "two_sided", "zero_penalty": "r1"}[penalty]
    with pytest.raises(UserError, match=f"critic_norm = batch with {penalty} = {value}: batch norm couples the images"):
        GENES.read({penalty: value})
    GENES.read({penalty: value, "critic_norm": "layer"})
    GENES.read({"gradient_penalty": "dragan"})  # published with batch norm


def test_the_documented_genes_are_those_of_the_table() -> None:
    """`evogan genes --markdown > docs/genes.md` renews the page."""
    page = Path(__file__).parent.parent / "docs" / "genes.md"
    assert page.read_text() == genes_page(GENES)


def test_every_gene_says_what_it_means_and_where_it_comes_from() -> None:
    for gene in GENES.values():
        assert gene.meaning
        assert gene.source
        gene.check(gene.default)
        assert all(parent in list(GENES)[: list(GENES).index(gene.name)] for parent in gene.when)
