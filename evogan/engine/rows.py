"""What rows of a store must be to be believed: it is a file, and anyone may have changed it."""

from __future__ import annotations

from typing import (
    Annotated,
    Any,
    Literal,
    Required,  # pydantic's for Python 3.11
    Self,
)

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, model_validator, with_config
from typing_extensions import TypedDict

from evogan.errors import UserError
from evogan.files.shapes import fit
from evogan.genome import Value
from evogan.trial import Failure, Status

Count = Annotated[int, Field(ge=0, lt=2**31)]
Positive = Annotated[int, Field(ge=1, lt=2**31)]
Fidelity = Annotated[float, Field(gt=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Numbers = dict[str, float]


class Row(BaseModel):
    model_config = ConfigDict(strict=True)


class LimitsColumn(Row):
    model_config = ConfigDict(strict=True, extra="forbid")
    seconds: float = 0.0
    memory: float = 0.0
    stall: float = 0.0


class ChosenBy(Row):
    metrics: Annotated[list[str], Field(min_length=1)]
    score: Literal["best", "last"]


class Provenance(Row):
    model_config = ConfigDict(strict=True, extra="allow")
    chosen_by: ChosenBy | None = None


class ChangeColumn(Row):
    at: Fidelity
    genes: dict[str, Value]


class ScheduleColumn(Row):
    first: str
    changes: Annotated[list[ChangeColumn], Field(min_length=1)]


class OutcomeRow(Row):
    id: int
    fidelity: Fidelity
    status: Status
    cut_short: Failure | None
    reason: str
    scores: list[Numbers]
    flags: list[str]
    cost: Numbers
    limits: LimitsColumn
    provenance: Provenance


class EvaluationRow(OutcomeRow):
    curve: list[Numbers]
    diagnostics: list[dict[str, Any]]


class IdentifiedRow(EvaluationRow):
    key: str
    task: str
    replicate: Count
    genome: dict[str, Value]
    schedule: ScheduleColumn | None


class TaskRow(Row):
    name: str
    document: dict[str, Any]


class ProvenanceColumn(Row):
    """As far as its readers rely on it."""

    continued_from: Fidelity = 0.0


class CostRow(Row):
    fidelity: Fidelity
    genome: dict[str, Value]
    cost: Numbers
    provenance: ProvenanceColumn


class NameRow(Row):
    name: str


class DocumentRow(Row):
    document: dict[str, Any]


class FinalistRow(Row):
    key: str


class ProposalRow(Row):
    number: Count
    vector: list[Finite]
    genome: dict[str, Value]
    schedule: ScheduleColumn | None
    key: str
    task: str
    fidelity: Fidelity
    pushed: bool
    generation: Count | None
    parents: list[Count] | None
    operator: str | None


class TellRow(Row):
    position: Count
    number: Count
    evaluations: list[int]


class Named(Row):
    name: str


class GANFacts(Row):
    data: str
    kimg: Annotated[Finite, Field(gt=0)] | None = None
    iterations: Positive | None = None
    samples: Positive
    classes: list[str | int] | None = None


class SourceFacts(Row):
    name: str
    data: str
    fidelity: Fidelity
    genes: dict[str, list[Value]]
    rows: Annotated[list[list[Count | Finite | None]], Field(min_length=1)]
    fitted: list[Finite]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        ends = list(map(len, self.genes.values()))
        for *places, _ in self.rows:
            if len(places) != len(ends) or any(
                place is not None and not (type(place) is int and place < end)
                for place, end in zip(places, ends, strict=True)
            ):
                raise ValueError("a row has the place of each gene's value, and then a number or nothing")
        return self


class KnowledgeFacts(Row):
    portfolio: list[dict[str, Value]]
    sources: list[SourceFacts]


@with_config(ConfigDict(strict=True))
class RunDocument(TypedDict, total=False):
    """What a run was started with, as far as its readers rely on it; a setting that is missing has its default."""

    space: Required[Named]
    data: Required[str]
    task: Required[str]
    strategy: Required[str]
    options: dict[str, Any]
    seed: Required[int]
    window: Positive
    order: str
    pruner: str | None
    fitness: Required[str]
    score: Literal["best", "last"]
    evaluations: Required[Positive]
    total_seconds: Annotated[Finite, Field(gt=0)] | None
    target: Finite | None
    patience: Positive | None
    replicates: Positive
    average: Literal["mean", "median"]
    race: bool
    seed_genomes: list[dict[str, Value]]
    seeded_by: list[str]
    learn_from: list[str]
    references: list[str]
    knowledge: KnowledgeFacts
    finalists: Count
    confirm: Required[Count]
    reference: list[Annotated[tuple[str, str, dict[str, Value]], Field(strict=False)]]
    gan: GANFacts | None
    resources: dict[str, Any]
    plugins: list[str]
    plugin_digests: dict[str, str]
    table: str | None
    kind: str | None
    fingerprint: str | None


def check(shape: type[Row], table: sa.Table, row: sa.Row[Any]) -> None:
    """Of a row with the columns of `shape` and its primary key. Errors: UserError: what does not fit, and where."""
    values = dict(row._mapping)
    try:
        fit(shape, values)
    except UserError as error:
        where = ", ".join(f"{column.name} {values[column.name]!r}" for column in table.primary_key)
        raise UserError(f"table {table.name}, row {where}: {error}") from None
