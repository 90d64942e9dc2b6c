"""Genes, genomes and keys: plain data that both wings stand on."""

from evogan.genome.gene import MOST, Gene
from evogan.genome.genome import Change, Genome
from evogan.genome.schedule import Schedule
from evogan.genome.table import Conflict, GeneTable, TableGene
from evogan.genome.values import LARGEST, Value, When, a_value, any_of, holds, plain, same, some_values

__all__ = [
    "LARGEST",
    "MOST",
    "Change",
    "Conflict",
    "Gene",
    "GeneTable",
    "Genome",
    "Schedule",
    "TableGene",
    "Value",
    "When",
    "a_value",
    "any_of",
    "holds",
    "plain",
    "same",
    "some_values",
]
