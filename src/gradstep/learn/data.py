"""What is in a table of data? Columns of numbers or of categories, read with care.

`read_table` reads CSV and its relatives, `from_arrays` takes NumPy arrays, lists or pandas columns. Whatever
cannot be right (ragged rows, text among numbers, infinity, two columns of one name) is a `MathError` that
says where it is.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError
from gradstep.expression.records import replaced
from gradstep.learn.cells import (
    PLAIN,
    READ_AS_YEARS,
    Style,
    check_finite,
    column_of,
    counts_rows,
    is_missing,
    plain_number,
    year,
)
from gradstep.learn.columns import Column, Kind, Table, listed, shown
from gradstep.learn.files import content, decoded, unpacked

LIMIT = 100_000_000  # bytes of a text table that is read whole

__all__ = ["Column", "Kind", "Table", "from_arrays", "read_table"]


def read_table(
    path: str | os.PathLike[str],
    *,
    separator: str | None = None,
    decimal: str = ".",
    thousands: str = "",
    names: Sequence[str] | None = None,
    kinds: Mapping[str, str] | None = None,
    limit: int = LIMIT,
) -> Table:
    """The table in a text file whose first line holds the names of the columns.

    `separator` is found by itself among comma, semicolon, tab and |. Text is UTF-8, UTF-16 or, said in the
    notes, Latin-1. `names` names the columns of a file without a header; `kinds={"code": "category"}` settles
    what a column is. Otherwise a column holds numbers if at least nine in ten of its values are numbers, or
    all but one or two and more than half: then any text in it is an error. Dates as 2001-12-31 (with or
    without a time) become years with decimals. More than `limit` bytes are refused.
    """
    raw, source = content(path, limit)
    text, notes = decoded(unpacked(raw, source, limit), source)
    style = Style(decimal, thousands)
    separator = separator if separator is not None else separator_of(text, source, decimal)
    if not isinstance(separator, str) or len(separator) != 1 or separator in '\r\n"':
        raise MathError(f"a separator is one character, not {separator!r}", mend='separator=","')
    every = records(text, separator, source)
    if not isinstance(names, Sequence | None) or isinstance(names, str):
        raise MathError("the names of columns are a list of texts", mend='names=["x", "y"]')
    if names is None:
        first = next(every, None)
        if first is None:
            raise MathError(f"{source} is empty", mend="a first line with the names of the columns")
        header = [cell.strip() for cell in first.cells]
        check_header(header, source)
    else:
        header = [str(name).strip() for name in names]
    rows: list[list[str]] = []
    lines: list[int] = []
    for record in every:
        if len(record.cells) != len(header):
            raise ragged(
                record, header, first_width=len(rows[0]) if rows else len(record.cells), source=source
            )
        rows.append(record.cells)
        lines.append(record.line)
    if not rows:
        raise MathError(f"{source} has a header but no rows", facts=["columns: " + listed(header)])
    cells = dict(enumerate(zip(*rows, strict=True)))
    kept, dropped = _named(header, cells)
    notes = [*notes, *dropped]
    check_names(kept, source)
    wanted = wanted_kinds(kinds, kept)
    table = Table({}, len(rows), source, np.array(lines, dtype=np.intp), "in line")
    columns = {}
    for at, name in kept.items():
        columns[name], note = column_of(name, cells.pop(at), wanted.get(name), style, table)
        notes += note
    return replaced(table, columns=columns, notes=tuple(notes))


def from_arrays(
    arrays: Mapping[str, Any], *, source: str = "the data", kinds: Mapping[str, str] | None = None
) -> Table:
    """A table from {name: array of one dimension}: numbers, booleans, text, dates, lists or pandas columns.

    NaN, None and NaT are missing; booleans and text are categories, text is judged as in `read_table`.
    """
    if not isinstance(arrays, Mapping) or not arrays:
        raise MathError("there are no columns", mend='a dictionary such as {"x": …, "y": …}')
    for name in arrays:
        if not isinstance(name, str) or not name.strip():
            raise MathError(f"a column is named by text, not {name!r}")
    values = {name.strip(): _one_dimensional(name, value) for name, value in arrays.items()}
    sizes = {name: len(value) for name, value in values.items()}
    first, rows = next(iter(sizes.items()))
    other = next((name for name, size in sizes.items() if size != rows), None)
    if other is not None:
        raise MathError(
            "the columns should have the same length",
            facts=[f"{shown(first)} has {rows} values,  {shown(other)} has {sizes[other]}"],
        )
    if not rows:
        raise MathError(f"{source} has no rows", facts=["columns: " + listed(sizes)])
    check_names(dict(enumerate(name.strip() for name in arrays)), source)
    wanted = wanted_kinds(kinds, dict(enumerate(values)))
    table = Table({}, rows, source, np.arange(rows), "at index")
    columns, notes = {}, []
    for name, value in values.items():
        columns[name], note = _array_column(name, value, wanted.get(name), table)
        notes += note
    return replaced(table, columns=columns, notes=tuple(notes))


# --- From text to cells. ---


class Record(NamedTuple):
    """The cells of a row, and the line it ends in."""

    line: int
    cells: list[str]


def records(text: str, separator: str, source: str, before: int = 0) -> Iterator[Record]:
    """The rows with the line each one ends on, after so many lines before; empty lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = (
                "a quote that is never closed"
                if "end of data" in str(error) or "limit" in str(error)
                else error
            )
            raise MathError(
                f"{source}, line {before + reader.line_num}: {reason}", mend='"" for a quote inside quotes'
            ) from None
        if len(cells) > 1 or (cells and cells[0].strip()):
            yield Record(before + reader.line_num, cells)


_SEPARATORS = ",;\t|"


def separator_of(text: str, source: str, decimal: str) -> str:
    """The separator that cuts the first lines into most equal rows; a comma if none does."""
    sample = text[:65_536]
    if len(text) > len(sample):
        sample = sample[: sample.rfind("\n") + 1] or sample
    best, verdict = ",", (0.0, 0)
    for separator in _SEPARATORS:
        if separator == decimal:
            continue
        widths = []
        try:
            for record in records(sample, separator, source):
                widths.append(len(record.cells))
                if len(widths) == 100:
                    break
        except MathError:
            pass
        if not widths or widths[0] < 2:
            continue
        width, count = max(Counter(widths).items(), key=itemgetter(1))
        if width > 1 and (count / len(widths), width) > verdict:
            best, verdict = separator, (count / len(widths), width)
    return best


def check_header(header: list[str], source: str) -> None:
    numbers = [plain_number(cell) for cell in header]
    if any(number is None for number in numbers):
        return
    counted = [number for number in numbers if number is not None]
    if counted in (list(range(len(header))), list(range(1, len(header) + 1))) and len(header) > 1:
        return
    raise MathError(
        f"the first line of {source} should hold the names of the columns",
        facts=[f"it holds only numbers: {', '.join(header[:8])}"],
        mend="a first line with names, or names=[…]",
    )


def ragged(record: Record, header: list[str], first_width: int, source: str) -> MathError:
    count, expected = len(record.cells), len(header)
    mend = "quotes around a cell that holds the separator"
    if expected == 1 < count:
        mend = f"the names of the columns in the first line, where {shown(header[0])} stands"
    elif count == first_width == expected + 1:
        mend = "a name for the first column, too: each row has one cell more than the header"
    return MathError(
        f"line {record.line} of {source} has {count} cell{'s' * (count != 1)}, not {expected} as the header",
        facts=["columns: " + listed(header)],
        mend=mend,
    )


def _named(header: list[str], cells: Mapping[int, tuple[str, ...]]) -> tuple[dict[int, str], list[str]]:
    """A name for each column that is kept, by its place, and what had to be said."""
    names, notes = {}, []
    for at, name in enumerate(header):
        if name:
            names[at] = name
        elif all(is_missing(cell) for cell in cells[at]):
            continue  # a separator at the end of each line
        elif at == 0 and counts_rows([plain_number(cell) for cell in cells[at]]):
            notes.append("the first column has no name and counts the rows: left out")
        else:
            names[at] = f"column {at + 1}"
            notes.append(f"column {at + 1} has no name in the header")
    return names, notes


def check_names(header: Mapping[int, str], source: str) -> None:
    twice = [name for name, count in Counter(header.values()).items() if count > 1]
    if twice:
        at = [str(place + 1) for place, name in header.items() if name == twice[0]]
        raise MathError(
            f"{source} has two columns called {shown(twice[0])}",
            facts=["they are the columns " + " and ".join(at)],
            mend="different names",
        )


def wanted_kinds(kinds: Mapping[str, str] | None, header: Mapping[int, str]) -> dict[str, Kind]:
    wanted: dict[str, Kind] = {}
    if not isinstance(kinds, Mapping | None):
        raise MathError("kinds are given by the name of a column", mend='kinds={"code": "category"}')
    for name, kind in (kinds or {}).items():
        if kind not in ("number", "category"):
            raise MathError(
                f"a column holds numbers or categories, not {kind!r}", mend='"number" or "category"'
            )
        if name in header.values():
            wanted[name] = "number" if kind == "number" else "category"
    return wanted


# --- From an array to a column. ---


def _one_dimensional(name: str, value: Any) -> NDArray[Any]:
    try:
        array = (
            np.ma.filled(value.astype(float), np.nan)
            if isinstance(value, np.ma.MaskedArray)
            else np.asarray(value)
        )
    except (ValueError, TypeError):
        raise MathError(f"the column {shown(name)} should be a list or array of plain values") from None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise MathError(
            f"the column {shown(name)} should have one dimension",
            facts=[f"its shape is {array.shape}"],
            mend="one column for each feature" if array.ndim == 2 else None,
        )
    return array


def _array_column(
    name: str, array: NDArray[Any], wanted: Kind | None, table: Table
) -> tuple[Column, list[str]]:
    kind = array.dtype.kind
    if kind == "M":
        days = array.astype("datetime64[s]").astype(object)
        values = np.array([math.nan if day is None else year(name, day.isoformat(), "it") for day in days])
        return Column(name, "number", values), [f"{shown(name)} {READ_AS_YEARS}"]
    if kind in "fiu" and wanted != "category":
        values = array.astype(np.float64)
        check_finite(name, values, table.place, array)
        return Column(name, "number", values), []
    if kind not in "fiubUSO":
        raise MathError(f"the column {shown(name)} should hold numbers or text, not {array.dtype}")
    cells = [_cell(name, value, table.place(row)) for row, value in enumerate(array.tolist())]
    return column_of(name, cells, wanted, PLAIN, table)


def _cell(name: str, value: object, place: str) -> str:
    """A Python value as the text a file would hold."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if value is None or str(value) in ("nan", "NaT", "<NA>"):
        return ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, complex) and not isinstance(value, float):
        raise MathError(f"the column {shown(name)} holds a complex number {place}")
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:
        return "inf"
    except (TypeError, ValueError):
        raise MathError(
            f"the column {shown(name)} holds a {type(value).__name__!r} {place}: neither a number nor text"
        ) from None
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
