"""Where do rows stay that come only once? In an Arrow file of our own, which every pass reads.

Text tables and answers of data bases come row by row, some compressed, some in an order that nobody promises
to keep. They are written down once, a column of texts as numbers of its different texts, and removed with the
last table that reads them; what a process left that was killed, the next one that writes there removes.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError
from gradstep.expression.records import record
from gradstep.learn.arrow import arrow
from gradstep.learn.batches import ArrowFrame
from gradstep.learn.cells import MOST_LETTERS, MOST_WORDS
from gradstep.learn.columns import listed
from gradstep.learn.frames import Field, Raw, Words
from gradstep.learn.locks import Temporary, remove_left
from gradstep.learn.stores import Array, Window
from gradstep.operations.memory import spoken

ROWS = 1 << 20  # of a batch, as in Parquet files of pyarrow
BYTES = 1 << 27  # of a batch
RESERVE = 1 << 28  # bytes that stay free on the disk
SUFFIX = ".arrow"
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


@record
class Numbering:
    """From this row on rows stand in lines that follow each other, or near them."""

    row: int
    line: int
    exact: bool
    file: str

    def place(self, row: int) -> str:
        where = f"in line {self.line + row - self.row}" if self.exact else f"near line {self.line}"
        return f"{where} of {self.file}" if self.file else where


def place_of(lines: Sequence[Numbering], row: int) -> str:
    """Where a row stands: "in line 7 of part-3.csv"."""
    return lines[bisect.bisect_right(lines, row, key=lambda each: each.row) - 1].place(row)


class Spooled(ArrowFrame):
    """A table that was written down: the texts of its columns are in `words`."""

    anywhere = True

    def __init__(
        self,
        place: Temporary,
        source: str,
        fields: Mapping[str, Field],
        words: Mapping[str, tuple[str, ...]],
        prints: Mapping[str, str],
        notes: Sequence[str] = (),
        lines: Sequence[Numbering] = (),
    ) -> None:
        path = place.path
        super().__init__([path], source)
        self.fields, self.words, self.notes = dict(fields), dict(words), tuple(notes)
        self.printed, self.lines = dict(prints), tuple(lines)
        size, folder = spoken(os.path.getsize(path)), os.path.dirname(path)
        self.kept = f"written down once, {size} in {folder}: each pass reads that"
        weakref.finalize(self, place.remove)

    def read(self, part: int, names: Sequence[str], runs: Sequence[Window]) -> Iterator[dict[str, Raw]]:
        for found in super().read(part, names, runs):
            yield {
                name: Words(np.asarray(raw, dtype=np.int32), self.words[name]) if name in self.words else raw
                for name, raw in found.items()
            }

    def prints(self) -> dict[str, str]:
        path = self.paths[0]
        if not os.path.exists(path):
            raise MathError(
                f"{self.source} was written down in {os.path.dirname(path)}, which is not here",
                mend='TMPDIR=… in a folder that all machines share, or cluster="local:4"',
            )
        return dict(self.printed)

    def place(self, row: int) -> str:
        return place_of(self.lines, row) if self.lines else f"in row {row:,}"

    def lines_of_rows(self) -> NDArray[np.intp] | None:
        if not self.lines or any(each.file for each in self.lines):
            return None
        starts = np.array([each.row for each in self.lines], dtype=np.intp)
        shifts = np.array([each.line for each in self.lines], dtype=np.intp) - starts
        return np.repeat(shifts, np.diff(starts, append=self.count)) + np.arange(self.count, dtype=np.intp)

    def _columns(self, table: Any, names: Sequence[str]) -> dict[str, Raw]:
        return {name: np.asarray(table.column(name).to_numpy()) for name in names}


class Spool:
    """A table while it is written down, run of rows by run of rows."""

    def __init__(self, fields: Mapping[str, Field], folder: str | None = None) -> None:
        self.fields = dict(fields)
        self.kinds = {
            name: np.dtype(np.int32) if field.holds in ("texts", "truth") else _short(field.kind)
            for name, field in fields.items()
        }
        self.codes: dict[str, dict[str, int]] = {n: {} for n, kind in self.kinds.items() if kind == np.int32}
        self.letters = 0
        self.rows, self.written = 0, hashlib.sha256()
        self.waiting: dict[str, list[Array]] = {name: [] for name in fields}
        self.batch = max(1, min(ROWS, BYTES // (8 * max(1, len(fields)))))
        folder = folder or tempfile.gettempdir()
        remove_left(folder, SUFFIX)
        try:
            self.place = Temporary(folder, SUFFIX)
        except OSError as error:
            raise _not_written(folder, error) from None
        self.path = self.place.path
        package = arrow()
        schema = package.schema([(name, package.from_numpy_dtype(kind)) for name, kind in self.kinds.items()])
        self.schema, self.file = schema, package.OSFile(self.path, "wb")
        self.writer = package.ipc.new_file(self.file, schema)

    def write(self, columns: Mapping[str, Raw]) -> None:
        """Some more rows."""
        for name, raw in columns.items():
            values = (
                self._coded(name, raw) if isinstance(raw, Words) else raw.astype(self.kinds[name], copy=False)
            )
            self.waiting[name].append(values)
            rows = len(values)
        self.rows += rows
        if sum(map(len, next(iter(self.waiting.values())))) >= self.batch:
            self._flush(self.batch)

    def _coded(self, name: str, raw: Words) -> NDArray[np.int32]:
        """Texts by their numbers in the whole table; too many of them are forgotten."""
        known = self.codes.get(name)
        if known is None:
            return np.full(len(raw), -1, dtype=np.int32)
        places = np.array([known.setdefault(word, len(known)) for word in raw.words] + [-1], dtype=np.int32)
        if len(known) > MOST_WORDS or sum(map(len, raw.words)) > MOST_LETTERS:
            del self.codes[name]
        return places[raw.codes]

    def _flush(self, least: int) -> None:
        """Writes whole batches, as long as there are so many rows."""
        whole = {name: np.concatenate(parts) for name, parts in self.waiting.items()}
        count, at = len(next(iter(whole.values()))), 0
        while count - at >= max(1, least):
            stop = min(count, at + self.batch)
            self._put({name: values[at:stop] for name, values in whole.items()})
            at = stop
        self.waiting = {name: [values[at:]] for name, values in whole.items()}

    def _put(self, columns: Mapping[str, Array]) -> None:
        size = sum(values.nbytes for values in columns.values())
        free = shutil.disk_usage(os.path.dirname(self.path)).free
        if free - size < RESERVE:
            raise MathError(
                f"the disk has no room for the rows: {spoken(free)} are free in {os.path.dirname(self.path)}",
                facts=[f"{self.rows:,} rows were read so far"],
                mend="another folder: TMPDIR=/large/disk",
            )
        package = arrow()
        for values in columns.values():
            self.written.update(np.ascontiguousarray(values).data)
        try:
            arrays = [package.array(np.ascontiguousarray(columns[name])) for name in self.schema.names]
            self.writer.write_batch(package.record_batch(arrays, schema=self.schema))
        except OSError as error:
            raise _not_written(self.path, error) from None

    def finished(
        self,
        source: str,
        prints: Mapping[str, str] | None = None,
        notes: Sequence[str] = (),
        lines: Sequence[Numbering] = (),
        without: Sequence[str] = (),
    ) -> Spooled:
        """The table; without `prints` it is known by its numbers."""
        if any(map(len, next(iter(self.waiting.values()), []))):
            self._flush(1)
        self.close()
        words = {name: tuple(known) for name, known in self.codes.items()}
        many = [name for name, kind in self.kinds.items() if kind == np.int32 and name not in words]
        fields = {name: field for name, field in self.fields.items() if name not in (*many, *without)}
        said = [f"left out {listed(many)}: more than {MOST_WORDS:,} different texts"] if many else []
        printed = {source: self.written.hexdigest()[:32]} if prints is None else prints
        return Spooled(self.place, source, fields, words, printed, [*notes, *said], lines)

    def close(self) -> None:
        """Ends the file."""
        try:
            self.writer.close()
            self.file.close()
        except OSError as error:
            raise _not_written(self.path, error) from None

    def remove(self) -> None:
        """Gives the room on the disk back."""
        with contextlib.suppress(OSError, MathError):
            self.close()
        self.place.remove()


@contextlib.contextmanager
def spooling(fields: Mapping[str, Field], folder: str | None = None) -> Iterator[Spool]:
    """A spool that is removed where something goes wrong."""
    spool = Spool(fields, folder)
    try:
        yield spool
    except BaseException:
        spool.remove()
        raise


def _short(kind: np.dtype[Any]) -> np.dtype[Any]:
    """A type that holds these numbers, and NaN."""
    return SINGLE if np.can_cast(kind, SINGLE) else DOUBLE


def _not_written(path: str, error: OSError) -> MathError:
    reason = (error.strerror or str(error)).lower()
    return MathError(
        f"rows cannot be written down in {os.path.dirname(path) or path}: {reason}",
        mend="another folder: TMPDIR=/large/disk",
    )
