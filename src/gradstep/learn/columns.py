"""What is a column? A name, numbers or categories, and words that the messages about data share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError, resembling
from gradstep.expression.records import record, replaced

Kind: TypeAlias = Literal["number", "category"]


@record
class Column:
    """One named column: `values` is float64 with NaN for missing, or text (object) with None for missing."""

    name: str
    kind: Kind
    values: NDArray[Any]

    __eq__, __hash__ = object.__eq__, object.__hash__  # holds arrays

    @property
    def missing(self) -> NDArray[np.bool_]:
        """True where there is no value."""
        if self.kind == "number":
            absent: NDArray[np.bool_] = np.isnan(self.values)
            return absent
        return np.array([value is None for value in self.values], dtype=bool)


@record
class Table:
    """Columns of one length, in order; `lines` says where each row stood, its line or index."""

    columns: dict[str, Column]
    rows: int
    source: str
    lines: NDArray[np.intp]
    unit: Literal["in line", "at index"]
    notes: tuple[str, ...] = ()

    __eq__, __hash__ = object.__eq__, object.__hash__  # holds arrays

    def column(self, name: object) -> Column:
        """The column of that name; an unknown name is an error that lists the nearest ones."""
        if isinstance(name, str) and name in self.columns:
            return self.columns[name]
        raise no_column(name, list(self.columns), self.source)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Table:
        """The same columns with only these rows."""
        columns = {name: replaced(each, values=each.values[rows]) for name, each in self.columns.items()}
        lines = self.lines[rows]
        return replaced(self, columns=columns, rows=len(lines), lines=lines)

    def place(self, row: int) -> str:
        """Where a row stood: "in line 7" or "at index 5"."""
        return f"{self.unit} {self.lines[row]}"


# --- Words for messages. ---

NO_COLUMN = "there is no column called"


def no_column(name: object, names: Sequence[str], source: str, facts: Sequence[str] = ()) -> MathError:
    """The error about a column that is not there, with what may be wrong with the names of those that are."""
    mend = nearest(str(name), names)
    facts = ["columns: " + listed(names), *facts]
    if mend is None and len(names) == 1 and str(name) in re.split(r"\W+", names[0]):
        facts.append(f"{shown(name)} stands within the name of the only column")
        mark = re.search(rf"\b{re.escape(str(name))}\b(\W)|(\W)\b{re.escape(str(name))}\b", names[0])
        mend = f'separator="{mark[1] or mark[2]}"' if mark else None
    elif mend is None and any(each[:1].isdigit() and each.replace(".", "", 1).isdigit() for each in names):
        facts.append("the first line holds numbers, as a row does, where the names of the columns should be")
        mend = "a first line with names"
    elif mend is None and all(re.fullmatch(r"column \d+", each) for each in names):
        facts.append("the first line gives them no names, so they go by their numbers")
        mend = f"one of these, or a first line with {shown(name)} in it"
    return MathError(f"{NO_COLUMN} {shown(name)} in {source}", facts=facts, mend=mend)


def shown(name: object) -> str:
    """A name or a cell as a message shows it: quoted, on one line, not too long."""
    text = name if isinstance(name, str) else repr(name)
    text = "".join(char if char.isprintable() else "·" for char in text)
    return f'"{text[:40]}…"' if len(text) > 41 else f'"{text}"'


def listed(names: Sequence[str] | Mapping[str, object], most: int = 8) -> str:
    """Names, as many as fit in a line."""
    every = list(names)
    rest = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(map(shown, every[:most])) + rest


def nearest(name: str, names: Sequence[str] | Mapping[str, object]) -> str | None:
    """The known name that looks most like `name`, quoted."""
    lower = {each.casefold(): each for each in names}
    near = resembling(name.casefold(), lower)
    return shown(lower[near[0]]) if near else None
