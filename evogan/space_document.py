"""What the TOML file of a search space may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from evogan.errors import UserError, unknown


class GeneDocument(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    kind: Literal["float", "int", "choice"]
    low: int | float | None = None
    high: int | float | None = None
    scale: Literal["linear", "log"] = "linear"
    levels: int | None = None
    values: tuple[bool | int | float | str, ...] = ()
    when: dict[str, tuple[bool | int | float | str, ...]] = {}

    @field_validator("values", mode="before")
    @classmethod
    def _values(cls, given: Any) -> Any:
        return tuple(given) if isinstance(given, list) else given

    @field_validator("when", mode="before")
    @classmethod
    def _when(cls, given: Any) -> Any:
        """`when = { optimizer = "adam" }` is short for a list of one."""
        if not isinstance(given, dict):
            return given
        return {name: tuple(v) if isinstance(v, list | tuple) else (v,) for name, v in given.items()}


class SpaceDocument(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    description: str = ""
    reference: tuple[str, ...] = ()
    fixed: dict[str, bool | int | float | str] = {}
    genes: dict[str, GeneDocument]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Errors: UserError naming the gene and what is wrong with it."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise UserError(_one_line(error)) from None


def _one_line(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, with the nearest right name for an unknown field."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    in_genes = place[:1] == ["genes"]
    where = f"gene '{place[1]}'" if in_genes and len(place) > 1 else ".".join(place) or "a space"
    if first["type"] == "extra_forbidden":
        model = GeneDocument if in_genes else SpaceDocument
        return f"{where}: {unknown('field', place[-1], model.model_fields)}"
    field = f": '{place[2]}'" if in_genes and len(place) > 2 else ""
    message = first["msg"][0].lower() + first["msg"][1:]
    return (
        f"{where}{field} {message}, not {first['input']!r}"
        if first["type"] != "missing"
        else f"{where}{field} is missing"
    )
