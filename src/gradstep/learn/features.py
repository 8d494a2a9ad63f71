"""What can a column of a table become? One feature, or a feature of 0 and 1 for each level of a category.

How that is decided depends only on a summary of the column, so a table in memory and one in files become the
same features.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError
from gradstep.expression.records import record
from gradstep.learn.columns import Column, Table, listed, shown
from gradstep.learn.saved import fields, number_of, spoiled, text_of, texts_of

Array: TypeAlias = NDArray[np.float64]

NO_VALUE, OTHER = "(missing)", "(other)"
MOST_LEVELS = 30
LARGEST = 1e100
FLAT = 1e-12


class Encoded(NamedTuple):
    """New rows as numbers, with what had to be said about them."""

    X: Array
    notes: tuple[str, ...]


@record
class Number:
    """A column of numbers is one feature; a missing value becomes the mean of the training rows."""

    column: str
    mean: float

    kind: Literal["number"] = "number"

    @property
    def names(self) -> tuple[str, ...]:
        return (self.column,)

    def encode(self, column: Column, table: Table) -> Encoded:
        if column.kind != "number" and not column.missing.all():
            row = int(np.flatnonzero(~column.missing)[0])
            raise MathError(
                f"the column {shown(self.column)} should hold numbers, as in training",
                facts=[f"it holds {shown(column.values[row])} {table.place(row)}"],
            )
        missing = column.missing
        values = np.full(len(missing), self.mean) if column.kind != "number" else column.values
        check_size(self.column, values, table)
        notes: tuple[str, ...] = ()
        if missing.any():
            notes = (
                f"{shown(self.column)} has no value in {in_rows(int(missing.sum()))}: "
                f"taken as {self.mean:.6g}, the mean in training",
            )
        return Encoded(np.where(missing, self.mean, values)[:, None], notes)


@record
class Category:
    """A column of categories is one 0/1 feature for each of its levels but one, the reference.

    The reference is the commonest level and is all zeros: with a bias in the model, a column for it would add
    nothing but a direction in which the loss is flat. A level never seen in training counts as `(other)`
    where rare levels were pooled under that name, else as the reference. A missing value is a level too.
    """

    column: str
    levels: tuple[str, ...]
    reference: str

    kind: Literal["category"] = "category"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.column}={level}" for level in self.levels)

    def encode(self, column: Column, table: Table) -> Encoded:
        words = as_texts(column)
        at, unseen = self.places(words)
        X = np.zeros((len(words), len(self.levels)))
        X[at >= 0, at[at >= 0]] = 1.0
        return Encoded(X, self.said(unseen))

    def places(self, words: Sequence[str | None]) -> tuple[NDArray[np.intp], Counter[str]]:
        """Which feature each text sets to 1, -1 for the reference; and which texts training did not have."""
        place = {level: at for at, level in enumerate(self.levels)} | {self.reference: -1}
        unknown = place.get(OTHER, -1)
        known = [NO_VALUE if word is None else word for word in words]
        at = np.array([place.get(word, unknown) for word in known], dtype=np.intp)
        return at, Counter(word for word in known if word not in place)

    def said(self, unseen: Counter[str]) -> tuple[str, ...]:
        """What has to be said about texts that training did not have."""
        if not unseen or OTHER in self.levels:
            return ()
        return (
            f"{shown(self.column)} has levels that training did not have "
            f"({listed(list(unseen), 4)}; {in_rows(unseen.total())}): taken as {shown(self.reference)}",
        )


Feature: TypeAlias = Number | Category


# --- What a column becomes. ---

CONSTANT, UNVARYING, NUMBERING, DIFFERING, EMPTY = (
    "the same in every row",
    "too little variation for its size: it could be measured from its middle",
    "it numbers the rows",
    "text that differs from row to row",
    "no values",
)
ROW_NAMES = frozenset({"id", "index", "idx", "row", "rows", "rownames", "row_id", "no", "nr", "unnamed: 0"})


@record
class Numbers:
    """What the values of a column of numbers are like; `counting` if they are whole and all different."""

    present: int
    low: float
    high: float
    mean: float
    counting: bool


def number_feature(name: str, found: Numbers) -> Number | str:
    """The feature that a column of numbers becomes, or why it is left out."""
    if not found.present:
        return EMPTY
    if found.high - found.low <= FLAT * max(abs(found.low), abs(found.high)) < math.inf:
        return CONSTANT if found.high == found.low else UNVARYING
    if found.counting and name.casefold() in ROW_NAMES:
        return NUMBERING
    return Number(name, found.mean)


def category_feature(
    name: str, counts: Mapping[str, int] | None, missing: int
) -> tuple[Category | str, list[str]]:
    """The feature for a column of texts that occur so often, with what is to be said; or why it is left out.

    `counts` is None where there are too many texts to keep.
    """
    if counts is None:
        return DIFFERING, []
    present = sum(counts.values())
    if not present:
        return EMPTY, []
    real = [level for level, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    if len(real) + bool(missing) == 1:
        return CONSTANT, []
    if len(real) == present > 2 or (len(real) > MOST_LEVELS and 2 * len(real) > present):
        return DIFFERING, []
    reference, *others = real
    notes = []
    if len(real) > MOST_LEVELS:
        pooled = others[MOST_LEVELS - 2 :]
        others = [*others[: MOST_LEVELS - 2], OTHER]
        notes.append(
            f"{shown(name)} has {len(real)} levels: the {len(pooled)} rarest and any new one count as {OTHER}"
        )
    levels = sorted(others, key=lambda level: (level == OTHER, level))
    if missing:
        levels.append(NO_VALUE)
        notes.append(f"{shown(name)} has no value in {in_rows(missing)}: a level of its own")
    notes.append(
        f"{shown(name)} becomes {counted(len(levels), 'column')} of 0 and 1, all 0 for {shown(reference)}"
    )
    return Category(name, tuple(levels), reference), notes


# --- Words. ---


def as_texts(column: Column) -> list[str | None]:
    """The values as text, numbers included; None where there is none."""
    if column.kind == "category":
        return [None if value is None else str(value) for value in column.values]
    return [None if math.isnan(value) else label(value) for value in column.values]


def label(value: float) -> str:
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def in_rows(count: int) -> str:
    return counted(count, "row")


def counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def check_size(name: str, values: Array, table: Table) -> None:
    """Squares of numbers beyond 1e100 overflow: better an error now than a NaN later."""
    large = np.flatnonzero(np.abs(values) > LARGEST)
    if large.size:
        row = int(large[0])
        raise MathError(
            f"the column {shown(name)} holds {values[row]:.3g} {table.place(row)}: too large to train on",
            mend="a column in larger units, or its logarithm",
        )


# --- To JSON and back. ---


def feature_json(feature: Feature) -> dict[str, Any]:
    if isinstance(feature, Number):
        return {"kind": feature.kind, "column": feature.column, "mean": feature.mean}
    return {
        "kind": feature.kind,
        "column": feature.column,
        "levels": list(feature.levels),
        "reference": feature.reference,
    }


def feature_of(data: object) -> Feature:
    kind = data.get("kind") if isinstance(data, Mapping) else None
    if kind == "number":
        given = fields(data, ("kind", "column", "mean"), "a feature")
        return Number(text_of(given["column"], "column"), number_of(given["mean"], "mean"))
    if kind == "category":
        given = fields(data, ("kind", "column", "levels", "reference"), "a feature")
        reference = text_of(given["reference"], "reference")
        levels = texts_of(given["levels"], "levels", least=1)
        if reference in levels:
            raise spoiled("a reference level has a column of its own")
        return Category(text_of(given["column"], "column"), levels, reference)
    raise spoiled(f"a feature has the kind {kind!r}")
