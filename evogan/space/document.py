"""What the TOML file of a search space may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from evogan.errors import UserError, shown, unknown


class GeneDocument(BaseModel):
    """Which fields there are; `Gene` reads what they say."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["float", "int", "choice"]
    low: Any = None
    high: Any = None
    scale: Literal["linear", "log"] = "linear"
    levels: Any = None
    values: Any = ()
    when: Any = {}


class SpaceDocument(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    description: str = ""
    reference: tuple[str, ...] = ()
    fixed: dict[str, Any] = {}
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
        f"{where}{field} {message}, not {shown(first['input'])}"
        if first["type"] != "missing"
        else f"{where}{field} is missing"
    )
