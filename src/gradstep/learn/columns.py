"""What does a column hold? Numbers or categories: cells of text become one or the other, or an error.

Everything that turns text into values is here, with the words that the messages about data share.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError, resembling
from gradstep.expression.records import record, replaced

Kind: TypeAlias = Literal["number", "category"]
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "?", "-", "."})
"""Cells that stand for a missing value, in any case."""


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
        raise MathError(
            f"there is no column called {shown(name)} in {self.source}",
            facts=["columns: " + listed(self.columns)],
            mend=nearest(str(name), self.columns),
        )

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Table:
        """The same columns with only these rows."""
        columns = {name: replaced(each, values=each.values[rows]) for name, each in self.columns.items()}
        lines = self.lines[rows]
        return replaced(self, columns=columns, rows=len(lines), lines=lines)

    def place(self, row: int) -> str:
        """Where a row stood: "in line 7" or "at index 5"."""
        return f"{self.unit} {self.lines[row]}"


# --- From cells to a column. ---


@record
class Style:
    """How numbers are written."""

    decimal: str
    thousands: str

    def __post_init__(self) -> None:
        if self.decimal not in (".", ","):
            raise MathError(
                f"the decimal mark is a point or a comma, not {self.decimal!r}", mend='decimal=","'
            )
        if (
            self.thousands not in ("", ",", ".", "'", " ", "_", "\u00a0", "\u202f")
            or self.thousands == self.decimal
        ):
            raise MathError(f"{self.thousands!r} cannot separate thousands here", mend='thousands=","')

    def number(self, cell: str) -> float | None:
        """The number in a cell; None if it is none. Beyond the largest 64-bit number it is infinite."""
        if self.thousands and self.thousands in cell:
            whole, mark, rest = cell.partition(self.decimal)
            head, *groups = whole.split(self.thousands)
            if len(head.lstrip("+-")) > 3 or any(len(group) != 3 for group in groups):
                return None
            cell = head + "".join(groups) + mark + rest
        if self.decimal != ".":
            if "." in cell:
                return None
            cell = cell.replace(self.decimal, ".")
        return plain_number(cell)


def plain_number(cell: str) -> float | None:
    try:
        value = float(cell.replace("−", "-"))
    except ValueError:
        return None
    return None if "_" in cell or math.isnan(value) else value


def is_missing(cell: str) -> bool:
    return cell.strip().casefold() in MISSING


def counts_rows(numbers: Sequence[float | None]) -> bool:
    return list(numbers) in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


_DATE = r"\d{4}-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?"
_DRESSED = r"[$€£¥]? ?[+−-]?[$€£¥]?\d+([.,'  ]\d{3})*([.,]\d+)? ?[%$€£¥]?"


def column_of(
    name: str, cells: Sequence[str], wanted: Kind | None, style: Style, table: Table
) -> tuple[Column, list[str]]:
    """The column that these cells are, with what had to be said about it."""
    if wanted != "category" and style == Style(".", ""):
        values = _all_numbers(cells)
        if values is not None:
            return Column(name, "number", values), []
    stripped = [cell.strip() for cell in cells]
    present = [row for row, cell in enumerate(stripped) if cell.casefold() not in MISSING]
    if wanted == "category":
        return _categories(name, stripped, present), []
    numbers = {row: style.number(stripped[row]) for row in present}
    faults = [row for row, number in numbers.items() if number is None]
    if wanted == "number" or _mostly(len(present) - len(faults), len(present)):
        if faults:
            raise _text_among_numbers(name, stripped, faults, len(present), table)
        values = np.full(len(stripped), np.nan)
        values[present] = [numbers[row] for row in present]
        check_finite(name, values, table, stripped)
        return Column(name, "number", values), []
    dates = [row for row in present if re.fullmatch(_DATE, stripped[row])]
    if _mostly(len(dates), len(present)):
        if len(dates) < len(present):
            odd = next(row for row in present if not re.fullmatch(_DATE, stripped[row]))
            raise MathError(
                f"the column {shown(name)} holds dates, but {shown(stripped[odd])} {table.place(odd)}",
                mend=f'a date such as 2001-12-31 there, or kinds={{"{name}": "category"}}',
            )
        values = np.full(len(stripped), np.nan)
        values[present] = [year(name, stripped[row], table.place(row)) for row in present]
        return Column(name, "number", values), [f"{shown(name)} holds dates: read as years with decimals"]
    dressed = [row for row in faults if re.fullmatch(_DRESSED, stripped[row])]
    if dressed and 10 * (len(present) - len(faults) + len(dressed)) >= 9 * len(present):
        raise _dressed_numbers(name, stripped, dressed, table)
    return _categories(name, stripped, present), []


def _all_numbers(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """The quick way for the commonest column: nothing but finite numbers."""
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    return values if np.isfinite(values).all() and "_" not in "".join(cells) else None


def _mostly(good: int, all_: int) -> bool:
    """Nine in ten, or all but one or two and more than half; an empty column counts as numbers."""
    bad = all_ - good
    return bad == 0 or (bad < good and bad <= max(2, all_ / 10))


def _categories(name: str, cells: Sequence[str], present: Sequence[int]) -> Column:
    values = np.full(len(cells), None, dtype=object)
    for row in present:
        values[row] = cells[row]
    return Column(name, "category", values)


def check_finite(
    name: str, values: NDArray[np.float64], table: Table, cells: Sequence[object] | NDArray[Any]
) -> None:
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        row = int(infinite[0])
        more = f" and {infinite.size - 1} more" if infinite.size > 1 else ""
        held = f"{cells[row]!s:.40} {table.place(row)}"
        raise MathError(
            f"the column {shown(name)} holds {held}{more}: not a finite number",
            mend="a number, or an empty cell for a missing value",
        )


def _text_among_numbers(
    name: str, cells: Sequence[str], faults: Sequence[int], present: int, table: Table
) -> MathError:
    row = faults[0]
    facts = [f"{present - len(faults)} of its {present} values are numbers"]
    if len(faults) > 1:
        facts.append("also " + ", ".join(f"{shown(cells[r])} {table.place(r)}" for r in faults[1:4]))
    mend = f'a number or an empty cell there, or kinds={{"{name}": "category"}}'
    if re.fullmatch(r"[+-]?\d+,\d+", cells[row]):
        mend = f"{cells[row].replace(',', '.')} there"
    what = f"text in a number column: {shown(name)} holds {shown(cells[row])} {table.place(row)}"
    return MathError(what, facts=facts, mend=mend)


def _dressed_numbers(name: str, cells: Sequence[str], dressed: Sequence[int], table: Table) -> MathError:
    values = [cells[row] for row in dressed]
    example = values[0]
    bare = re.sub(r"[^\d,.+-]", "", example.replace("−", "-"))
    if all(re.fullmatch(r"[+-]?\d+,\d+", value) for value in values):
        groups = all(re.fullmatch(r"[+-]?\d{1,3},\d{3}", value) for value in values)
        mend = 'decimal=","' + (' or thousands=","' if groups else "") + f", or {bare.replace(',', '.')}"
    elif all(re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?|[+-]?\d+(\.\d+)?", value) for value in values):
        mend = f'thousands=",", or {bare.replace(",", "")}'
    else:
        mend = f'plain numbers without signs and units, or kinds={{"{name}": "category"}}'
    return MathError(
        f"the column {shown(name)} holds numbers as {shown(example)} ({table.place(dressed[0])})",
        facts=["gradstep reads numbers as 1234.5 or 1.2e3"],
        mend=mend,
    )


def year(name: str, cell: str, place: str) -> float:
    """A date as a year with decimals: the middle of 2001 is 2001.5."""
    try:
        moment = datetime.fromisoformat(cell if len(cell) > 7 else cell + "-01")
        moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise MathError(
            f"the column {shown(name)} holds {shown(cell)} {place}: there is no such date"
        ) from None
    start = datetime(moment.year, 1, 1)
    days = 366 if moment.year % 4 == 0 and (moment.year % 100 != 0 or moment.year % 400 == 0) else 365
    return moment.year + (moment - start).total_seconds() / (86_400 * days)


# --- Words for messages. ---


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
