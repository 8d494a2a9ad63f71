"""How does a text table too large for memory become columns? In one pass, or two where the first misled.

Each piece of the text is cut into columns by pyarrow, or by Python where that finds something strange, so
that an error names the line. What a column holds is judged at the end by all of its cells, as in a small
table; the first piece is a guess at it, and where that was wrong the text is read again.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.learn.arrow import TEXT, arrow, texts_of
from gradstep.learn.cells import (
    PLAIN,
    Reading,
    Seen,
    Style,
    all_numbers,
    check_finite,
    judged,
    leaning,
    worth,
)
from gradstep.learn.columns import Kind, listed, nearest, shown
from gradstep.learn.data import check_header, check_names, ragged, separator_of, wanted_kinds
from gradstep.learn.frames import Field, Raw, Words, labelled
from gradstep.learn.lines import Piece, beginning, encodings, last_end, pieces
from gradstep.learn.parquet import called_together
from gradstep.learn.prints import print_of
from gradstep.learn.reading import ahead
from gradstep.learn.spool import DOUBLE, Numbering, Spool, Spooled, place_of, spooling
from gradstep.learn.stores import Array, called

LINE_ENDS = re.compile(rb"\r\n?|\n")
MOST_NUMBERINGS = 100  # of a piece
NULLS = ["", *(f(each) for each in ("na", "n/a", "nan", "null", "none") for f in (str, str.upper, str.title))]
NULLS += ["NaN", "#N/A", "?", "-", "."]


def read_texts(
    paths: Sequence[str],
    *,
    separator: str | None = None,
    style: Style = PLAIN,
    kinds: Mapping[str, str] | None = None,
    folder: str | None = None,
) -> Spooled:
    """The table in text files of the same columns, written down once in a folder for temporary files."""
    layout = Layout.of(paths, separator, style, kinds)
    while True:
        try:
            done = layout.read(folder)
        except UnicodeDecodeError as error:
            layout.next_encoding(error)
            continue
        if isinstance(done, Spooled):
            return done
        layout.readings = done


@dataclass
class Layout:
    """How text files are written: encoding, separator, names of the columns, and what these hold so far."""

    paths: tuple[str, ...]
    separator: str
    style: Style
    names: list[str]
    kinds: dict[str, Kind]
    encodings: list[str]
    readings: dict[str, Reading] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, paths: Sequence[str], separator: str | None, style: Style, kinds: Mapping[str, str] | None
    ) -> Layout:
        """What the beginning of the first file shows."""
        start = beginning(paths[0])
        known = encodings(start)
        text = start.decode(known[0], errors="replace").removeprefix("\ufeff")
        source = called(paths[0])
        separator = separator_of(text, source, style.decimal) if separator is None else separator
        if not isinstance(separator, str) or len(separator) != 1 or separator in '\r\n"':
            raise MathError(f"a separator is one character, not {separator!r}", mend='separator=","')
        layout = cls(tuple(paths), separator, style, [], {}, known)
        if known[0].startswith("utf-16"):
            layout.notes.append(f"{source} is UTF-16 text")
        layout.names = layout.header(paths[0], text)
        layout.kinds = wanted_kinds(kinds, dict(enumerate(layout.names)))
        layout.guess(text.encode())
        return layout

    def guess(self, text: bytes) -> None:
        """What the columns hold as far as the first rows show."""
        whole = text[: last_end(text, self.separator)] or text
        raws = cut_by_python(_below_header(self._piece(whole)), self.names, ())
        for name in self.names:
            seen = Seen(self.style)
            _tally(seen, name, raws[name], 0, str)
            self.readings[name] = leaning(seen, self.kinds.get(name))

    def _piece(self, text: bytes) -> Piece:
        return Piece(text, 1, self.separator, called(self.paths[0]))

    def header(self, path: str, text: str) -> list[str]:
        """The names in the first record; a column without one is called by its number."""
        first = next(replace(self._piece(text.encode()), source=called(path)).records(), None)
        if first is None:
            raise MathError(f"{called(path)} is empty", mend="a first line with the names of the columns")
        names = [cell.strip() for cell in first.cells]
        check_header(names, called(path))
        check_names({k: name for k, name in enumerate(names) if name}, called(path))
        return [name or f"column {k + 1}" for k, name in enumerate(names)]

    def next_encoding(self, error: UnicodeDecodeError) -> None:
        """Another encoding than the one that does not fit."""
        source = called(self.paths[0])
        if len(self.encodings) == 1:
            raise MathError(f"{source} is not valid {self.encodings[0].upper()}", mend="UTF-8")
        if self.encodings[0] == "utf-8":
            place = f"it holds the byte 0x{error.object[error.start]:02X}"
            self.notes.append(
                f"{source} is not UTF-8 ({place}), so it was read as Latin-1: check letters with accents"
            )
        self.encodings = self.encodings[1:]
        text = beginning(self.paths[0]).decode(self.encodings[0], errors="replace")
        self.names = self.header(self.paths[0], text)
        self.guess(text.encode())

    def read(self, folder: str | None) -> Spooled | dict[str, Reading]:
        """One pass over the files: the table, or what its columns hold if the guess at that was wrong."""
        seen = {name: Seen(self.style) for name in self.names}
        counting = Counting() if self.names[0] == "column 1" else None
        rows: list[Numbering] = []
        at = 0
        with contextlib.ExitStack() as stack:
            read = stack.enter_context(contextlib.closing(ahead(self._pieces())))
            found = stack.enter_context(contextlib.closing(ahead(self._cut(read))))
            spool: Spool | None = None
            for piece, raws, file in found:
                count = len(next(iter(raws.values())))
                rows += _numbered(piece, at, count, file)
                place = partial(place_of, rows)
                for name in self.names:
                    _tally(seen[name], name, raws[name], at, place)
                columns = {n: self._as_read(n, raws[n], at, place) for n in self.names}
                if counting is not None:
                    counting.take(columns[self.names[0]], at)
                if spool is None:
                    spool = stack.enter_context(spooling(self._fields(), folder))
                spool.write(columns)
                at += count
            if spool is None:
                raise MathError(
                    f"{called(self.paths[0])} has a header but no rows",
                    facts=["columns: " + listed(self.names)],
                )
            final = {n: judged(n, seen[n], self.kinds.get(n), partial(place_of, rows)) for n in self.names}
            if final != self.readings:
                spool.remove()
                return final
            without = self._nameless(seen, counting)
            prints = {path: print_of(path) for path in self.paths}
            return spool.finished(called_together(self.paths), prints, self.notes, rows, without)

    def _pieces(self) -> Iterator[tuple[Piece, list[str], str]]:
        """Pieces without headers, the names of their columns in order, and the file if there are several."""
        for path in self.paths:
            file = called(path) if len(self.paths) > 1 else ""
            names = self.names
            for number, piece in enumerate(pieces(path, self.encodings[0], self.separator)):
                if not number:
                    names = self._same(path, self.header(path, piece.text.decode()))
                    piece = _below_header(piece)
                if piece.text.strip():
                    yield piece, names, file

    def _cut(
        self, found: Iterator[tuple[Piece, list[str], str]]
    ) -> Iterator[tuple[Piece, dict[str, Raw], str]]:
        """Each piece with its columns."""
        for piece, names, file in found:
            yield piece, cut(piece, names, self.readings, self.style), file

    def _same(self, path: str, names: list[str]) -> list[str]:
        """The names of another file, which are the same in some order."""
        for one, other, wrong in ((self.names, names, path), (names, self.names, self.paths[0])):
            absent = next((name for name in one if name not in other), None)
            if absent is not None:
                raise MathError(
                    f"{called(wrong)} has no column called {shown(absent)}",
                    facts=[
                        f"{called(self.paths[0] if wrong == path else path)} has one",
                        f"its columns: {listed(other)}",
                    ],
                    mend=nearest(absent, [name for name in other if name not in one])
                    or "the same columns in all files",
                )
        return names

    def _fields(self) -> dict[str, Field]:
        fields: dict[Reading, Field] = {
            "number": Field("numbers", DOUBLE, "numbers"),
            "date": Field("dates", DOUBLE, "dates"),
            "category": Field("texts", TEXT, "texts"),
        }
        return {name: fields[self.readings[name]] for name in self.names}

    def _as_read(self, name: str, raw: Raw, at: int, place: Callable[[int], str]) -> Raw:
        """The values of a column: numbers, or texts of a category."""
        reading = self.readings[name]
        if not isinstance(raw, Words) or reading == "category":
            return raw if isinstance(raw, Words) or reading != "category" else labelled(raw)
        worths = {
            word: worth(name, word, reading, self.style, place(at + row))
            for word, _, row in raw.occurring()
            if self.style.form(word) == reading
        }
        found = np.array([*(worths.get(word, np.nan) for word in raw.words), np.nan])[raw.codes]
        check_finite(name, found, lambda row: place(at + row), found)
        return found

    def _nameless(self, seen: Mapping[str, Seen], counting: Counting | None) -> list[str]:
        """Columns without a name in the header that hold nothing, or count the rows."""
        without = []
        for k, name in enumerate(self.names):
            if name != f"column {k + 1}":
                continue
            if not seen[name].present:
                without.append(name)  # a separator at the end of each line
            elif not k and counting is not None and counting.true:
                without.append(name)
                self.notes.append("the first column has no name and counts the rows: left out")
            else:
                self.notes.append(f"{name} has no name in the header")
        return without


@dataclass
class Counting:
    """Whether numbers count the rows, from 0 or from 1."""

    true: bool = True
    base: float = 0.0

    def take(self, raw: Raw, at: int) -> None:
        """The numbers from row `at` on."""
        if isinstance(raw, Words):
            self.true = False
            return
        if not at:
            self.base = float(raw[0])
        self.true &= self.base in (0, 1) and np.array_equal(raw, at + self.base + np.arange(len(raw)))


# ------------------------------------------------------------------------------------------- pieces


def cut(piece: Piece, names: Sequence[str], readings: Mapping[str, Reading], style: Style) -> dict[str, Raw]:
    """The columns of a piece: numbers where only numbers are expected and found, else texts."""
    plain = [name for name in names if readings.get(name) == "number" and style == PLAIN]
    package = arrow()
    types = {name: package.float64() if name in plain else package.string() for name in names}
    try:
        table = package.csv.read_csv(
            package.py_buffer(piece.text),
            read_options=package.csv.ReadOptions(column_names=list(names)),
            parse_options=package.csv.ParseOptions(
                delimiter=piece.separator, newlines_in_values=b'"' in piece.text
            ),
            convert_options=package.csv.ConvertOptions(column_types=types, null_values=NULLS),
        )
    except package.ArrowException:
        return cut_by_python(piece, names, plain)
    return {name: _numbers(table, name) if name in plain else texts_of(table.column(name)) for name in names}


def _numbers(table: Any, name: str) -> Array:
    return np.asarray(table.column(name).to_numpy())


def cut_by_python(piece: Piece, names: Sequence[str], plain: Sequence[str]) -> dict[str, Raw]:
    """The same, slowly: rows that do not fit are an error that names the line."""
    rows: list[list[str]] = []
    for record in piece.records():
        if len(record.cells) != len(names):
            width = len(rows[0]) if rows else len(record.cells)
            raise ragged(record, list(names), first_width=width, source=piece.source)
        rows.append(record.cells)
    found: dict[str, Raw] = {}
    for name, cells in zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True):
        values = all_numbers(cells) if name in plain else None
        if values is None:
            numbers: dict[str, int] = {}
            codes = [numbers.setdefault(cell.strip(), len(numbers)) for cell in cells]
            found[name] = Words(np.array(codes, dtype=np.int32), tuple(numbers)).known()
        else:
            found[name] = values
    return found


def _below_header(piece: Piece) -> Piece:
    """The piece without its first record."""
    last = next(piece.records()).line
    ends = islice(LINE_ENDS.finditer(piece.text), last - piece.line, None)
    at = next((found.end() for found in ends), len(piece.text))
    return replace(piece, text=piece.text[at:], line=last + 1)


def _numbered(piece: Piece, at: int, count: int, file: str) -> list[Numbering]:
    """In which lines the rows of a piece stand."""
    if count and piece.is_plain(count):
        return [Numbering(at, piece.line, True, file)]
    lines = piece.lines(count)
    starts = [0, *(np.flatnonzero(np.diff(lines) != 1) + 1).tolist()] if count else []
    if len(starts) > MOST_NUMBERINGS:
        return [Numbering(at, int(lines[0]), False, file)]
    return [Numbering(at + start, int(lines[start]), True, file) for start in starts]


def _tally(seen: Seen, name: str, raw: Raw, at: int, place: Callable[[int], str]) -> None:
    """Counts the cells of a piece; a number that cannot be used is an error."""
    if isinstance(raw, Words):
        seen.take((word, count, at + row) for word, count, row in raw.occurring())
        seen.missing += int((raw.codes < 0).sum())
        return
    absent = int(np.isnan(raw).sum())
    seen.missing += absent
    seen.counts = None
    seen.forms["number"] = seen.forms.get("number", 0) + len(raw) - absent
    check_finite(name, raw, lambda row: place(at + row), raw)
