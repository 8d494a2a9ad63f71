"""What is in a table of data? Columns of numbers or of categories, read with care.

`read_table` reads CSV and its relatives, `from_arrays` takes NumPy arrays, lists or pandas columns. Whatever
cannot be right (ragged rows, text among numbers, infinity, two columns of one name) is a `MathError` that
says where it is.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError

Kind: TypeAlias = Literal["number", "category"]
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "?", "-", "."})
"""Cells that stand for a missing value, in any case."""


@dataclass(frozen=True, eq=False)
class Column:
    """One named column: `values` is float64 with NaN for missing, or text (object) with None for missing."""

    name: str
    kind: Kind
    values: NDArray[Any]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """True where there is no value."""
        if self.kind == "number":
            absent: NDArray[np.bool_] = np.isnan(self.values)
            return absent
        return np.array([value is None for value in self.values], dtype=bool)


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of one length, in order; `lines` says where each row stood: its line in a file, or its index."""

    columns: dict[str, Column]
    rows: int
    source: str
    notes: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()
    unit: Literal["line", "index"] = "index"

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
        columns = {name: replace(each, values=each.values[rows]) for name, each in self.columns.items()}
        lines = tuple(int(line) for line in np.asarray(self.lines)[rows])
        return replace(self, columns=columns, rows=len(lines), lines=lines)

    def place(self, row: int) -> str:
        """Where a row stood: "line 7" or "index 5"."""
        return f"{self.unit} {self.lines[row]}"


def read_table(
    path: str | os.PathLike[str],
    *,
    separator: str | None = None,
    decimal: str = ".",
    thousands: str = "",
    names: Sequence[str] | None = None,
    kinds: Mapping[str, str] | None = None,
    limit: int = 200_000_000,
) -> Table:
    """The table in a text file whose first line holds the names of the columns.

    `separator` is found by itself among comma, semicolon, tab and |. Text is UTF-8, UTF-16 or, said in the
    notes, Latin-1. `names` names the columns of a file without a header; `kinds={"code": "category"}` settles
    what a column is. Otherwise a column holds numbers if at least nine in ten of its values are numbers, or
    all but one or two and more than half: then any text in it is an error. Dates as 2001-12-31 (with or
    without a time) become years with decimals. More than `limit` bytes are refused.
    """
    raw, source = _content(path, limit)
    text, notes = _decoded(raw, source)
    style = _Style(decimal, thousands)
    separator = separator if separator is not None else _separator(text, source, decimal)
    if not isinstance(separator, str) or len(separator) != 1 or separator in '\r\n"':
        raise MathError(f"a separator is one character, not {separator!r}", mend='separator=","')
    records = _records(text, separator, source)
    if names is None:
        first = next(records, None)
        if first is None:
            raise MathError(f"{source} is empty", mend="a first line with the names of the columns")
        header = [cell.strip() for cell in first.cells]
        _check_header(header, source)
    else:
        header = [str(name).strip() for name in names]
    rows: list[list[str]] = []
    lines: list[int] = []
    for record in records:
        if len(record.cells) != len(header):
            raise _ragged(
                record, header, first_width=len(rows[0]) if rows else len(record.cells), source=source
            )
        rows.append(record.cells)
        lines.append(record.line)
    if not rows:
        raise MathError(f"{source} has a header but no rows", facts=["columns: " + listed(header)])
    cells = dict(enumerate(zip(*rows, strict=True)))
    kept, dropped = _named(header, cells)
    notes = [*notes, *dropped]
    _check_names(kept, source)
    wanted = _wanted(kinds, kept)
    table = Table({}, len(rows), source, (), tuple(lines), "line")
    columns = {}
    for at, name in kept.items():
        columns[name], note = _column(name, cells.pop(at), wanted.get(name), style, table)
        notes += note
    return replace(table, columns=columns, notes=tuple(notes))


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
    _check_names(dict(enumerate(name.strip() for name in arrays)), source)
    wanted = _wanted(kinds, dict(enumerate(values)))
    table = Table({}, rows, source, (), tuple(range(rows)), "index")
    columns, notes = {}, []
    for name, value in values.items():
        columns[name], note = _array_column(name, value, wanted.get(name), table)
        notes += note
    return replace(table, columns=columns, notes=tuple(notes))


# --- Words for messages, shared with `encoding.py`. ---


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
    near = difflib.get_close_matches(name.casefold(), lower, n=1)
    return shown(lower[near[0]]) if near else None


# --- From the path to text. ---

_NOT_TEXT = {
    b"\x1f\x8b": "compressed (gzip)",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"PAR1": "a Parquet file",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
}


def _content(path: str | os.PathLike[str], limit: int) -> tuple[bytes, str]:
    """The bytes of a regular file of bounded size, and its name for messages."""
    if not isinstance(path, str | os.PathLike):
        raise MathError(f"a path is text, not a {type(path).__name__}", mend='"data.csv"')
    where = os.fspath(path)
    try:
        about = os.stat(where)
        if stat.S_ISDIR(about.st_mode):
            raise MathError(f"{where} is a folder, not a file", mend="the path of a CSV file in it")
        if not stat.S_ISREG(about.st_mode):
            raise MathError(f"{where} is not a regular file (a device, pipe or socket)", mend="a CSV file")
        with open(where, "rb") as file:
            raw = file.read(limit + 1)
    except FileNotFoundError:
        raise _not_found(where) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MathError(f"{shown(where)} cannot be read: {reason.lower()}") from None
    if len(raw) > limit:
        raise MathError(
            f"{where} is larger than {limit:,} bytes",
            facts=[f"it has {about.st_size:,} bytes"] if about.st_size > limit else [],
            mend="a part of it, or a larger limit= if the memory allows about twenty times the size",
        )
    return raw, os.path.basename(where) or where


def _not_found(where: str) -> MathError:
    folder, name = os.path.split(where)
    try:
        beside = sorted(os.listdir(folder or "."))
    except OSError:
        return MathError(f"there is no file {shown(where)}", facts=[f"and no folder {shown(folder)}"])
    near = difflib.get_close_matches(name, beside, n=1)
    return MathError(f"there is no file {shown(where)}", mend=os.path.join(folder, near[0]) if near else None)


def _decoded(raw: bytes, source: str) -> tuple[str, list[str]]:
    """The bytes as text, and what had to be said about it."""
    for magic, what in _NOT_TEXT.items():
        if raw.startswith(magic):
            raise MathError(f"{source} is {what}, not a text table", mend="the table saved as CSV")
    wide = _utf16(raw)
    if wide:
        try:
            return raw.decode(wide).removeprefix("\ufeff"), [f"{source} is UTF-16 text"]
        except UnicodeDecodeError as error:
            raise MathError(f"{source} is not valid UTF-16 at byte {error.start:,}", mend="UTF-8") from None
    _check_control(raw, source)
    try:
        return raw.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        place = f"byte {error.start:,} is 0x{raw[error.start]:02X}"
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text, [f"{source} is not UTF-8 ({place}), so it was read as Latin-1: check letters with accents"]


def _utf16(raw: bytes) -> str | None:
    """The flavour of UTF-16, by its mark or by every second byte being zero."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    sample = raw[:2000]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    enough = len(sample) // 2 * 0.7
    if len(sample) >= 4 and max(even, odd) > enough and min(even, odd) == 0:
        return "utf-16-be" if even > odd else "utf-16-le"
    return None


_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f]")


def _check_control(raw: bytes, source: str) -> None:
    found = _CONTROL.search(raw)
    if found:
        what = "a NUL byte" if found[0] == b"\x00" else f"a control character (0x{found[0][0]:02X})"
        raise MathError(
            f"{source} holds {what} at byte {found.start():,}: it is not a text table", mend="a CSV file"
        )


# --- From text to cells. ---


class _Record(NamedTuple):
    line: int
    cells: list[str]


def _records(text: str, separator: str, source: str) -> Iterator[_Record]:
    """The rows with the line each one ends on; empty lines are skipped."""
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
                f"{source}, line {reader.line_num}: {reason}", mend='"" for a quote inside quotes'
            ) from None
        if len(cells) > 1 or (cells and cells[0].strip()):
            yield _Record(reader.line_num, cells)


_SEPARATORS = ",;\t|"


def _separator(text: str, source: str, decimal: str) -> str:
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
            for record in _records(sample, separator, source):
                widths.append(len(record.cells))
                if len(widths) == 100:
                    break
        except MathError:
            pass
        if not widths or widths[0] < 2:
            continue
        (width, count), *_ = Counter(widths).most_common(1)
        if width > 1 and (count / len(widths), width) > verdict:
            best, verdict = separator, (count / len(widths), width)
    return best


def _check_header(header: list[str], source: str) -> None:
    numbers = [_plain_number(cell) for cell in header]
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


def _ragged(record: _Record, header: list[str], first_width: int, source: str) -> MathError:
    count, expected = len(record.cells), len(header)
    mend = "quotes around a cell that holds the separator"
    if count == first_width == expected + 1:
        mend = "a name for the first column, too: each row has one cell more than the header"
    return MathError(
        f"line {record.line} of {source} has {count} cell{'s' * (count != 1)}, but there are {expected} columns",
        facts=["columns: " + listed(header)],
        mend=mend,
    )


def _named(header: list[str], cells: Mapping[int, tuple[str, ...]]) -> tuple[dict[int, str], list[str]]:
    """A name for each column that is kept, by its place, and what had to be said."""
    names, notes = {}, []
    for at, name in enumerate(header):
        if name:
            names[at] = name
        elif all(_is_missing(cell) for cell in cells[at]):
            continue  # a separator at the end of each line
        elif at == 0 and _counts_rows([_plain_number(cell) for cell in cells[at]]):
            notes.append("the first column has no name and counts the rows: left out")
        else:
            names[at] = f"column {at + 1}"
            notes.append(f"column {at + 1} has no name in the header")
    return names, notes


def _check_names(header: Mapping[int, str], source: str) -> None:
    twice = [name for name, count in Counter(header.values()).items() if count > 1]
    if twice:
        at = [str(place + 1) for place, name in header.items() if name == twice[0]]
        raise MathError(
            f"{source} has two columns called {shown(twice[0])}",
            facts=["they are the columns " + " and ".join(at)],
            mend="different names",
        )


def _wanted(kinds: Mapping[str, str] | None, header: Mapping[int, str]) -> dict[str, Kind]:
    wanted: dict[str, Kind] = {}
    for name, kind in (kinds or {}).items():
        if kind not in ("number", "category"):
            raise MathError(
                f"a column holds numbers or categories, not {kind!r}", mend='"number" or "category"'
            )
        if name in header.values():
            wanted[name] = "number" if kind == "number" else "category"
    return wanted


# --- From cells to a column. ---


@dataclass(frozen=True)
class _Style:
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
        return _plain_number(cell)


def _plain_number(cell: str) -> float | None:
    try:
        value = float(cell.replace("−", "-"))
    except ValueError:
        return None
    return None if "_" in cell or math.isnan(value) else value


def _is_missing(cell: str) -> bool:
    return cell.strip().casefold() in MISSING


def _counts_rows(numbers: Sequence[float | None]) -> bool:
    return list(numbers) in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


_DATE = re.compile(r"\d{4}-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?")
_DRESSED = re.compile(r"[$€£¥]? ?[+−-]?[$€£¥]?\d+([.,'  ]\d{3})*([.,]\d+)? ?[%$€£¥]?")


def _column(
    name: str, cells: Sequence[str], wanted: Kind | None, style: _Style, table: Table
) -> tuple[Column, list[str]]:
    """The column that these cells are, with what had to be said about it."""
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
        _check_finite(name, values, table, stripped)
        return Column(name, "number", values), []
    dates = [row for row in present if _DATE.fullmatch(stripped[row])]
    if _mostly(len(dates), len(present)):
        if len(dates) < len(present):
            odd = next(row for row in present if not _DATE.fullmatch(stripped[row]))
            raise MathError(
                f"the column {shown(name)} holds dates, but {shown(stripped[odd])} in {table.place(odd)}",
                mend=f'a date such as 2001-12-31 there, or kinds={{"{name}": "category"}}',
            )
        values = np.full(len(stripped), np.nan)
        values[present] = [_year(name, stripped[row], table.place(row)) for row in present]
        return Column(name, "number", values), [f"{shown(name)} holds dates: read as years with decimals"]
    dressed = [row for row in faults if _DRESSED.fullmatch(stripped[row])]
    if dressed and 10 * (len(present) - len(faults) + len(dressed)) >= 9 * len(present):
        raise _dressed_numbers(name, stripped, dressed, table)
    return _categories(name, stripped, present), []


def _mostly(good: int, all_: int) -> bool:
    """Nine in ten, or all but one or two and more than half; an empty column counts as numbers."""
    bad = all_ - good
    return bad == 0 or (bad < good and bad <= max(2, all_ / 10))


def _categories(name: str, cells: Sequence[str], present: Sequence[int]) -> Column:
    values = np.full(len(cells), None, dtype=object)
    for row in present:
        values[row] = cells[row]
    return Column(name, "category", values)


def _check_finite(
    name: str, values: NDArray[np.float64], table: Table, cells: Sequence[object] | NDArray[Any]
) -> None:
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        row = int(infinite[0])
        more = f" and {infinite.size - 1} more" if infinite.size > 1 else ""
        raise MathError(
            f"the column {shown(name)} holds {cells[row]} in {table.place(row)}{more}: not a finite number",
            mend="a number, or an empty cell for a missing value",
        )


def _text_among_numbers(
    name: str, cells: Sequence[str], faults: Sequence[int], present: int, table: Table
) -> MathError:
    row = faults[0]
    facts = [f"{present - len(faults)} of its {present} values are numbers"]
    if len(faults) > 1:
        facts.append("also " + ", ".join(f"{shown(cells[r])} in {table.place(r)}" for r in faults[1:4]))
    mend = f'a number or an empty cell there, or kinds={{"{name}": "category"}}'
    if re.fullmatch(r"[+-]?\d+,\d+", cells[row]):
        mend = f"{cells[row].replace(',', '.')} there"
    what = f"text in a number column: {shown(name)} holds {shown(cells[row])} in {table.place(row)}"
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
        f"the column {shown(name)} holds numbers as {shown(example)} (in {table.place(dressed[0])})",
        facts=["gradstep reads numbers as 1234.5 or 1.2e3"],
        mend=mend,
    )


def _year(name: str, cell: str, place: str) -> float:
    """A date as a year with decimals: the middle of 2001 is 2001.5."""
    try:
        moment = datetime.fromisoformat(cell if len(cell) > 7 else cell + "-01")
    except ValueError:
        raise MathError(
            f"the column {shown(name)} holds {shown(cell)} in {place}: there is no such date"
        ) from None
    moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    start = datetime(moment.year, 1, 1)
    days = 366 if moment.year % 4 == 0 and (moment.year % 100 != 0 or moment.year % 400 == 0) else 365
    return moment.year + (moment - start).total_seconds() / (86_400 * days)


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
        values = np.array([math.nan if day is None else _year(name, day.isoformat(), "it") for day in days])
        return Column(name, "number", values), [f"{shown(name)} holds dates: read as years with decimals"]
    if kind in "fiu" and wanted != "category":
        values = array.astype(np.float64)
        _check_finite(name, values, table, array)
        return Column(name, "number", values), []
    if kind not in "fiubUSO":
        raise MathError(f"the column {shown(name)} should hold numbers or text, not {array.dtype}")
    cells = [_cell(name, value, table.place(row)) for row, value in enumerate(array.tolist())]
    return _column(name, cells, wanted, _Style(".", ""), table)


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
        raise MathError(f"the column {shown(name)} holds a complex number at {place}")
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:
        return "inf"
    except (TypeError, ValueError):
        raise MathError(
            f"the column {shown(name)} holds a {type(value).__name__} at {place}: neither a number nor text"
        ) from None
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


__all__ = ["MISSING", "Column", "Kind", "Table", "from_arrays", "listed", "nearest", "read_table", "shown"]
