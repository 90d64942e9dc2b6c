"""Genes, genomes and keys: plain data that both wings stand on."""

from evogan.genome.gene import MOST, Gene
from evogan.genome.genome import Genome
from evogan.genome.table import Conflict, GeneTable, TableGene
from evogan.genome.values import LARGEST, Value, When, a_value, holds, plain, same, some_values

__all__ = [
    "LARGEST",
    "MOST",
    "Conflict",
    "Gene",
    "GeneTable",
    "Genome",
    "TableGene",
    "Value",
    "When",
    "a_value",
    "holds",
    "plain",
    "same",
    "some_values",
]
