"""A space with other genes than it has: fixed ones, other bounds, other values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from evogan.errors import UserError, shown, unknown
from evogan.genome import Gene, Value, a_value, plain, same
from evogan.space.space import Space, on_searched

Change = Mapping[str, Value | list[Any] | tuple[float, float]]


def altered(space: Space, change: Change) -> Space:
    """`space` with these genes changed: a value fixes one, a list has values to choose from, a tuple has bounds.

    Genes that then apply nowhere are left out; others that the zoo has may be added.

    Errors: UserError naming the gene.
    """
    if not change:
        return space
    genes, fixed = {gene.name: gene for gene in space.genes}, dict(space.fixed)
    for name, given in change.items():
        if not isinstance(plain(given), bool | int | float | str):
            genes[name] = _free(space, name, given)
            fixed.pop(name, None)
        elif name in genes and genes[name].when:  # it stays away where it was
            genes[name] = _free(space, name, [given])
        elif space.table is None and name not in genes | fixed:
            raise unknown("gene", name, genes | fixed)
        else:
            fixed[name] = a_value(given, f"gene '{name}'")
            genes.pop(name, None)
    while gone := [name for name, gene in genes.items() if name not in change and _never(space, gene, genes, fixed)]:
        genes = {name: gene for name, gene in genes.items() if name not in gone}
    for name in change:
        if name in fixed and (never := _never_in_zoo(space, name, genes, fixed)):
            raise UserError(f"gene '{name}' never applies: {never}")
    said = [f"{name}={_listed(given)}" for name, given in change.items()]
    return Space(
        "-".join([space.name, *said]),
        [replace(gene, when=_open(gene, genes)) for gene in genes.values()],
        fixed=fixed,
        table=space.table,
        reference=space.reference,
        description=f"{space.description} ({', '.join(said)})".strip(),
    )


def _free(space: Space, name: str, given: object) -> Gene:
    known = next((gene for gene in space.genes if gene.name == name), None)
    if known is None and space.table is None:
        raise unknown("gene", name, [gene.name for gene in space.genes])
    when = known.when if known else {}
    if isinstance(given, list):
        return Gene(name=name, kind="choice", values=tuple(given), when=when)
    if not isinstance(given, tuple) or len(given) != 2:
        raise UserError(f"gene '{name}': a value, a list of values, or two bounds (low, high), not {shown(given)}")
    low, high = given
    if known and known.kind != "choice":
        return replace(known, low=low, high=high)
    if space.table is None or space.table[name].kind == "choice":
        raise UserError(f"gene '{name}' is a choice, without bounds: list its values")
    own = space.table[name]
    scale = own.scale if isinstance(low, int | float) and low > 0 else "linear"
    return Gene(name=name, kind=own.kind, low=low, high=high, scale=scale, when=when)


def _never(space: Space, gene: Gene, genes: Mapping[str, Gene], fixed: Mapping[str, Value]) -> bool:
    """Whether it applies nowhere among these."""
    for parent, options in gene.when.items():
        settled = [fixed[parent]] if parent in fixed else []
        left = (
            _among(genes[parent], options) if parent in genes else [o for o in options for v in settled if same(v, o)]
        )
        if not left:
            return True
    return bool(_never_in_zoo(space, gene.name, genes, fixed))


def _never_in_zoo(space: Space, name: str, genes: Mapping[str, Gene], fixed: Mapping[str, Value]) -> str:
    """Why the zoo says that it applies nowhere, if it does."""
    return "" if space.table is None else on_searched(space.table[name].when, genes.values(), fixed, space.table)[1]


def _open(gene: Gene, genes: Mapping[str, Gene]) -> dict[str, tuple[Value, ...]]:
    """Its conditions, as far as they are not settled."""
    return {parent: _among(genes[parent], options) for parent, options in gene.when.items() if parent in genes}


def _among(parent: Gene, options: Iterable[Value]) -> tuple[Value, ...]:
    return tuple(option for option in options if parent.among([option]))


def _listed(given: object) -> str:
    if isinstance(given, list | tuple):
        return (".." if isinstance(given, tuple) else ",").join(map(str, given))
    return str(given)
