"""Genes, genomes and keys: plain data that both wings stand on."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from evogan.errors import UserError, unknown
from evogan.stable import digest

Value = bool | int | float | str
When = Mapping[str, tuple[Value, ...]]

DEFAULT_LEVELS = 101


def plain(given: object) -> Any:
    """NumPy's numbers and strings (0-d arrays, too) as Python's own, and so what is a kind of int, float or str; else
    what was given.
    """
    if getattr(given, "ndim", None) == 0 and hasattr(given, "item"):
        given = given.item()
    for kind in (int, float, str):
        if isinstance(given, kind) and not isinstance(given, bool):
            return kind.__str__(given) if kind is str else kind(given)
    return given


def same(a: Value, b: Value) -> bool:
    """Equality that tells True from 1, but not 1 from 1.0."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def holds(when: When, values: Mapping[str, Value]) -> bool:
    """Whether every condition is met; a gene that is absent (inactive) meets none."""
    return all(
        name in values and any(same(values[name], allowed) for allowed in options) for name, options in when.items()
    )


@dataclass(frozen=True, kw_only=True)
class Gene:
    """One named dimension.

    `float` and `int` genes have `low <= high` and `levels` evenly spaced values on their `scale`, both ends
    included; level values are rounded to 6 significant digits. `choice` genes have `values`, in no order.
    `when` names other genes and the values that they must have for this gene to be active.
    Errors: UserError for a definition that makes no sense.
    """

    name: str
    kind: Literal["float", "int", "choice"]
    low: float | int | None = None
    high: float | int | None = None
    scale: Literal["linear", "log"] = "linear"
    levels: int | None = None
    values: tuple[Value, ...] = ()
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind == "choice":
            if not self.values:
                raise self._wrong("a choice needs 'values'")
            if any(same(a, b) for i, a in enumerate(self.values) for b in self.values[:i]):
                raise self._wrong("'values' has the same value twice")
            if (self.low, self.high, self.levels, self.scale) != (None, None, None, "linear"):
                raise self._wrong("a choice has 'values', not 'low', 'high', 'levels' or 'scale'")
            return
        if self.values:
            raise self._wrong(f"'values' belongs to a choice, not to kind '{self.kind}'")
        if self.low is None or self.high is None:
            raise self._wrong("needs 'low' and 'high'")
        if self.kind == "int" and not (isinstance(self.low, int) and isinstance(self.high, int)):
            raise self._wrong("'low' and 'high' of an int gene must be whole numbers")
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise self._wrong("'low' and 'high' must be finite")
        if self.low > self.high or (self.low == self.high and self.levels != 1):
            raise self._wrong(f"low {self.low} must be below high {self.high}")
        if self.scale == "log" and self.low <= 0:
            raise self._wrong(f"a log scale needs low above 0, not {self.low}")
        if self.levels is not None and self.levels < (1 if self.low == self.high else 2):
            raise self._wrong(f"levels must be at least 2, not {self.levels}")
        if self.kind == "float" and self.low < self.high and not self._levels_differ():
            raise self._wrong("6 significant digits cannot tell its levels apart: fewer levels, or a wider range")

    def _levels_differ(self) -> bool:
        assert self.low is not None and self.high is not None
        steps = (self.levels or DEFAULT_LEVELS) - 1
        if self.scale == "log":
            return math.expm1(math.log(self.high / self.low) / steps) >= 1e-5
        last_digit = 10.0 ** (math.floor(math.log10(max(abs(self.low), abs(self.high)))) - 5)
        return (self.high - self.low) / steps >= last_digit * (1 - 1e-9)

    def _wrong(self, why: str) -> UserError:
        return UserError(f"gene '{self.name}': {why}")

    @cached_property
    def grid(self) -> Sequence[Value]:
        """All values the gene can take in a space, in order."""
        if self.kind == "choice":
            return self.values
        assert self.low is not None and self.high is not None
        if self.kind == "float":
            return _FloatGrid(self.low, self.high, self.scale, self.levels or DEFAULT_LEVELS)
        low, high = int(self.low), int(self.high)
        if self.levels is None or self.levels > high - low:
            return range(low, high + 1)
        return sorted({round(v) for v in _FloatGrid(low, high, self.scale, self.levels)})

    def level(self, unit: float) -> Value:
        """The value whose cell holds `unit`: [0, 1] is cut into equal cells, one a level."""
        return self.grid[min(int(unit * len(self.grid)), len(self.grid) - 1)]

    def unit(self, value: Value) -> float:
        """The centre of the cell of the level nearest to `value`."""
        return (self.nearest(value) + 0.5) / len(self.grid)

    def nearest(self, value: Value) -> int:
        """The index of the level nearest to `value` on the gene's scale."""
        if self.kind == "choice":
            return next(i for i, option in enumerate(self.values) if same(option, value))
        grid, warp = self.grid, math.log if self.scale == "log" else float
        if isinstance(grid, _FloatGrid):
            return grid.nearest(float(value))
        right = min(bisect_left(grid, value), len(grid) - 1)
        left = max(right - 1, 0)
        target = warp(float(value))
        return min((left, right), key=lambda i: abs(warp(float(grid[i])) - target))

    def check(self, value: object) -> Value:
        """`value` as this gene's type; UserError if it is not one the gene allows."""
        if self.kind == "choice":
            for option in self.values:
                if isinstance(value, bool | int | float | str) and same(option, value):
                    return option
        elif isinstance(value, int | float) and not isinstance(value, bool):
            assert self.low is not None and self.high is not None
            if self.low <= value <= self.high and (self.kind == "float" or isinstance(value, int)):
                return float(value) if self.kind == "float" else value
        raise self._wrong(f"{value!r} is not allowed: {self.domain}")

    @property
    def domain(self) -> str:
        """The allowed values in words."""
        if self.kind == "choice":
            return "one of " + ", ".join(str(v) for v in self.values)
        return f"{self.kind} from {self.low:g} to {self.high:g}"


class _FloatGrid(Sequence[float]):
    """Evenly spaced levels of a float gene, computed on demand (a space may ask for a million)."""

    def __init__(self, low: float, high: float, scale: str, levels: int) -> None:
        self.low, self.high, self.log, self.levels = float(low), float(high), scale == "log", levels

    def __len__(self) -> int:
        return self.levels

    def __getitem__(self, index: int) -> float:  # type: ignore[override]
        index = range(self.levels)[index]
        if index in (0, self.levels - 1):
            return self.low if index == 0 else self.high
        part = index / (self.levels - 1)
        value = self.low * (self.high / self.low) ** part if self.log else self.low + part * (self.high - self.low)
        return float(f"{value:.6g}")

    def nearest(self, value: float) -> int:
        if self.levels == 1:
            return 0
        if self.log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return min(max(round(part * (self.levels - 1)), 0), self.levels - 1)


class Genome(Mapping[str, Value]):
    """Gene -> value, only the genes that are active. Immutable."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Value] | Iterable[tuple[str, Value]] = ()) -> None:
        self._values = dict(values)

    def __getitem__(self, gene: str) -> Value:
        return self._values[gene]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"Genome({self._values})"


@dataclass(frozen=True, kw_only=True)
class TableGene(Gene):
    """A gene as the zoo understands it: with its default, its meaning and its source."""

    default: Value
    meaning: str
    source: str = ""


@dataclass(frozen=True)
class Conflict:
    """Values of several genes that cannot live together, and why."""

    values: When
    reason: str


class GeneTable(Mapping[str, TableGene]):
    """Every gene a zoo understands, parents before the genes they switch on.

    Validation, defaults, keys and the documentation of genes come from here.
    """

    def __init__(self, genes: Iterable[TableGene], conflicts: Iterable[Conflict] = ()) -> None:
        self._genes = {gene.name: gene for gene in genes}
        self.conflicts = tuple(conflicts)

    def __getitem__(self, name: str) -> TableGene:
        try:
            return self._genes[name]
        except KeyError:
            raise unknown("gene", name, self._genes) from None

    def __contains__(self, name: object) -> bool:
        return name in self._genes

    def __iter__(self) -> Iterator[str]:
        return iter(self._genes)

    def __len__(self) -> int:
        return len(self._genes)

    def complete(self, genome: Mapping[str, Value]) -> dict[str, Value]:
        """The phenotype: every active gene of the table with its value, defaults filled in."""
        values: dict[str, Value] = {}
        for gene in self._genes.values():
            if holds(gene.when, values):
                values[gene.name] = genome.get(gene.name, gene.default)
        return values

    def read(self, values: Mapping[str, object]) -> Genome:
        """A genome from what a user wrote.

        Errors: UserError for an unknown gene, a value that is not allowed, a gene that does not apply, values that
        cannot live together.
        """
        genome = Genome({name: self[name].check(value) for name, value in values.items()})
        active = self.complete(genome)
        for name in genome:
            if name not in active:
                needs = " and ".join(
                    f"{parent} is {' or '.join(map(str, options))}" for parent, options in self[name].when.items()
                )
                raise UserError(f"gene '{name}' applies only when {needs}")
        for conflict in self.conflicts:
            if holds(conflict.values, active):
                both = " with ".join(f"{name} = {active[name]}" for name in conflict.values)
                raise UserError(f"{both}: {conflict.reason}")
        return genome

    def key(self, genome: Mapping[str, Value]) -> str:
        """The hash of the phenotype: the active genes that differ from their defaults.

        The same GAN has one key, written short or long, and keeps it when the table grows.
        """
        return digest(
            {name: value for name, value in self.complete(genome).items() if not same(value, self._genes[name].default)}
        )
