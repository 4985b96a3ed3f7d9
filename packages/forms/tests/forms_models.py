"""Models with unions, with themselves inside, and with lists of lists."""

from __future__ import annotations

import typing as t

import annotated_types as at
import pydantic

from flaskware_forms import FormSpec
from flaskware_forms import Ui


class Card(pydantic.BaseModel):
    kind: t.Literal["card"]
    number: t.Annotated[str, at.MinLen(4)]


class Iban(pydantic.BaseModel):
    kind: t.Literal["iban", "bank-transfer"]
    number: t.Annotated[str, at.MinLen(6)]
    instant: bool = True


Way = t.Annotated[Card | Iban, pydantic.Field(discriminator="kind")]


class Pay(pydantic.BaseModel):
    amount: int
    by: t.Annotated[Way, Ui(label="Way to pay")]
    refund: Way | None = None
    more: list[Way] = []


class Branch(pydantic.BaseModel):
    name: t.Annotated[str, at.MinLen(1)]
    below: list[Branch] = []
    twin: Branch | None = None


class Grid(pydantic.BaseModel):
    cells: list[list[int]]
    rows: list[list[Branch]] = []


PAY = FormSpec(Pay, name="pay")
TREE = FormSpec(Branch, name="tree")
GRID = FormSpec(Grid, name="grid")
