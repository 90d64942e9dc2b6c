"""Products of genes, as what models fitness sees them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evogan import Gene, Space, shipped
from evogan.genes import GENES
from evogan.genes.products import PRODUCTS
from evogan.genome import Value
from evogan.space import load_space
from evogan.space.products import Products


@pytest.mark.parametrize("name", shipped.names("search_spaces"))
def test_equal_products_of_levels_are_equal_coordinates(name: str) -> None:
    """Up to a line, each coordinate is the logarithm of a product of the genes' values, whatever their cells."""
    space = load_space(name)
    products = Products(space)
    points = np.random.default_rng(0).random((300, space.dimension))
    found = products(points)
    levels: list[dict[str, Value]] = [
        {gene.name: gene.level(u) for gene, u in zip(space.genes, point, strict=True)} for point in points
    ]
    assert found.shape == (300, len(products)) and (not len(products) or 0 <= found.min() <= found.max() <= 1)
    searched = {gene.name for gene in space.genes}
    expected = {
        tuple(mine.items()): [math.fsum(c * math.log(float(at[n])) for n, c in mine.items()) for at in levels]
        for product in PRODUCTS
        if len(mine := {n: c for n, c in product.items() if n in searched}) > 1
    }
    assert len(expected) == len(products)
    for column, logs in zip(found.T, expected.values(), strict=True):
        assert np.corrcoef(column, logs)[0, 1] == pytest.approx(1, abs=1e-9)


def test_a_product_spans_its_space() -> None:
    rate = Gene(name="learning_rate", kind="float", low=1e-4, high=1e-2, scale="log", levels=5)
    batch = Gene(name="batch_size", kind="choice", values=(16, 64))
    products = Products(Space("two", [rate, batch], table=GENES))
    assert len(products) == 1  # the critic's rate over the batch: the generator's is the same here
    corners = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])
    assert products(corners)[:2, 0].tolist() == [0.0, 1.0]
    assert products(corners)[2, 0] == pytest.approx(math.log(10) / math.log(100 * 4))


def test_where_nothing_is_multiplied_there_are_none() -> None:
    """As where the names are those of an objective's own genes, or one has no logarithm."""
    rate = Gene(name="learning_rate", kind="float", low=1e-4, high=1e-2, scale="log", levels=5)
    batch = Gene(name="batch_size", kind="int", low=16, high=64, levels=3)
    assert len(Products(Space("mine", [rate, batch]))) == 0
    assert len(Products(Space("one", [rate], table=GENES))) == 0
    assert Products(Space("one", [rate], table=GENES))(np.array([[0.5]])).shape == (1, 0)
