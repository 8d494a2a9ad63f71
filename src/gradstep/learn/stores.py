"""Where do rows come from that are too many for memory? From files, window by window, mapped where they lie.

A window is a run of rows that fits into memory several times. Where windows begin depends on the files alone,
so totals are added in the same order each time.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import mmap
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError
from gradstep.expression.shapes import shape_text
from gradstep.learn.columns import shown
from gradstep.learn.features import Feature, Number
from gradstep.learn.files import not_found
from gradstep.learn.places import is_address
from gradstep.learn.prints import Stamps, check_unchanged, print_of, stamps

Array: TypeAlias = NDArray[Any]
Window: TypeAlias = tuple[int, int]
Share: TypeAlias = tuple[float, float]

WINDOW = 1 << 25  # bytes; two or three windows are in memory at a time
LEAST_WINDOW = 1 << 20
WINDOWS = 64  # so many at least, where the rows are many: each gives its share to be held out
WHOLE: Share = (0.0, 1.0)
LONGEST_HEADER = 10_000


class Store(ABC):
    """Arrays in files, by name, with rows along their first axes: a description, which can be pickled.

    source    what messages call it
    count     how many rows there are
    shapes    the shape of one row of each array
    kinds     the type of its numbers in the file
    columns   the names of the columns of an array, where the file has names
    units     windows, in runs that can only be read from the first to the last
    notes     what had to be said about the files
    gaps      arrays in which NaN is a missing value
    filled    what a missing value is taken as, once that is known
    classes   of the target, where the file holds texts
    mend      how to come by rows without missing values
    given     by unit, what it takes to read it beside the files
    """

    source: str
    count: int
    shapes: dict[str, tuple[int, ...]]
    kinds: dict[str, np.dtype[Any]]
    columns: dict[str, tuple[str, ...]]
    units: list[list[Window]]
    notes: tuple[str, ...] = ()
    gaps: Set[str] = frozenset()
    filled: Mapping[str, Array]
    classes: tuple[str, ...] | None = None
    stamps: Stamps = {}  # noqa: RUF012  put in its place, never changed
    mend: str = "rows without missing values"
    given: Mapping[int, Any] = MappingProxyType({})

    @abstractmethod
    def read(self, unit: int, names: Sequence[str], share: Share) -> Iterator[dict[str, Array]]:
        """The windows of a unit, of each the rows in its share: arrays by name.

        It depends on this description and on the files alone, so any process that sees them may read.
        """

    @abstractmethod
    def prints(self) -> dict[str, str]:
        """What each file is known by, by its path: another print means other rows."""

    def files(self) -> Sequence[str]:
        """The files that are read again and again, and must not change meanwhile."""
        return ()

    @contextlib.contextmanager
    def unchanging(self) -> Iterator[None]:
        """A pass over the rows; a file that is not what it was at the first one is a `MathError`."""
        self.stamps = self.stamps or stamps(self.files())
        yield
        check_unchanged(self.stamps)

    def __repr__(self) -> str:
        return f"<{self.count:,} rows of {', '.join(self.names)} in {self.source}>"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arrays."""
        return tuple(self.shapes)

    def rename(self, old: str, new: str) -> None:
        """Calls an array by another name."""
        tables: list[dict[str, Any]] = [self.shapes, self.kinds, self.columns]
        for table in tables:
            if old in table:
                table[new] = table.pop(old)

    def bytes_of(self, names: Sequence[str]) -> int:
        """How many bytes a row of these has."""
        return sum(math.prod(self.shapes[name]) * self.kinds[name].itemsize for name in names)

    def encoded(self, name: str, means: Array) -> tuple[Feature, ...]:
        """What the columns of an array with names were made from, and the means for missing values."""
        pairs = zip(self.columns[name], means.tolist(), strict=True)
        return tuple(Number(column, mean) for column, mean in pairs)

    def place(self, row: int) -> str:
        """Where a row stands: "in row 5"."""
        return f"in row {row:,}"

    def inputs(self, units: Sequence[int]) -> Mapping[int, Any]:
        """What another process has to be `given` to read these units: nothing where they lie in files."""
        return {}

    def told(self, unit: int) -> str:
        """What a unit is called: the rows 0 to 99 of X.npy."""
        first, last = self.units[unit][0][0], self.units[unit][-1][1] - 1
        return f"the rows {first:,} to {last:,} of {self.source}"

    def save(self, path: str | os.PathLike[str]) -> None:
        """All rows as one matrix in a .npy file, array after array (so y is last), in the type of the first.

        It is read several times as fast as Parquet. A missing value is a `MathError`: such a file has none.
        """
        widths = [math.prod(self.shapes[name]) for name in self.names]
        kind, unfinished = self.kinds[self.names[0]], f"{os.fspath(path)}.part"
        head = {"descr": kind.str, "fortran_order": False, "shape": (self.count, sum(widths))}
        try:
            with open(unfinished, "wb") as file:
                np.lib.format.write_array_header_1_0(file, head)
                for unit in range(len(self.units)):
                    for found in self.read(unit, self.names, WHOLE):
                        parts = [
                            found[name].reshape(-1, n) for name, n in zip(self.names, widths, strict=True)
                        ]
                        rows = np.concatenate(parts, axis=1, dtype=kind)
                        if self.gaps and np.isnan(rows).any():
                            raise MathError(
                                f"{self.source} has missing values, which a .npy file cannot say",
                                mend=self.mend,
                            )
                        file.write(np.ascontiguousarray(rows).data)
            os.replace(unfinished, path)
        except OSError as error:
            raise _unreadable(os.fspath(path), error, "written") from None
        finally:
            with contextlib.suppress(OSError):
                os.remove(unfinished)

    def windows(self) -> Iterator[Window]:
        """All windows in order."""
        for unit in self.units:
            yield from unit


def called(path: str) -> str:
    """A file as a message names it: without its folder."""
    return shown(os.path.basename(path) or path)


def within(window: Window, share: Share) -> Window:
    """The rows of a window that belong to a share of it."""
    start, stop = window
    low, high = (math.floor((stop - start) * part + 1e-9) for part in share)
    return start + low, start + high


def rows_of_window(count: int, bytes_a_row: int) -> int:
    """How many rows a window has; it depends on these numbers alone."""
    room = min(WINDOW, max(LEAST_WINDOW, count * bytes_a_row // WINDOWS))
    return max(64, room // max(1, bytes_a_row))


def cuts(start: int, stop: int, rows: int) -> list[Window]:
    """A run of rows in windows."""
    return [(k, min(k + rows, stop)) for k in range(start, stop, rows)]


# ------------------------------------------------------------------------------------------- .npy


@dataclass(frozen=True)
class Npy:
    """The header of a .npy file, and where its numbers begin."""

    path: str
    shape: tuple[int, ...]
    kind: np.dtype[Any]
    fortran: bool
    offset: int

    @property
    def size(self) -> int:
        """How many bytes the file should have."""
        return self.offset + math.prod(self.shape) * self.kind.itemsize

    def check(self, file: int) -> None:
        """Raises `MathError` where the file does not have the bytes that its header promises.

        Asked before every window: to map what is not there would end the process.
        """
        found = os.fstat(file).st_size
        if found < self.size:
            raise MathError(
                f"{called(self.path)} ends too early: it is damaged, or still being written",
                facts=[f"it has {found:,} bytes, and {shape_text(self.shape)} numbers take {self.size:,}"],
            )

    def rows(self, start: int, stop: int, columns: Any = None) -> Array:
        """Rows as they lie in the file, of a matrix perhaps with some columns alone; they cannot be changed.

        `columns` is a slice, a number or a list of numbers; None for all.
        """
        try:
            file = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise _unreadable(self.path, error) from None
        try:
            self.check(file)
            if self.fortran and len(self.shape) > 1:
                return self._column_by_column(file, start, stop, columns)
            found = self._mapped(file, start, stop)
        except MathError:
            raise
        except (OSError, ValueError) as error:
            raise _unreadable(self.path, error) from None
        finally:
            os.close(file)
        return found if columns is None else found[:, columns]

    def _mapped(self, file: int, start: int, stop: int) -> Array:
        a_row = math.prod(self.shape[1:]) * self.kind.itemsize
        first, last = self.offset + start * a_row, self.offset + stop * a_row
        begin = first // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file, begin, 2 * (last - begin), os.POSIX_FADV_WILLNEED)
        pages = mmap.mmap(file, last - begin, access=mmap.ACCESS_READ, offset=begin)
        np.bitwise_or.reduce(np.frombuffer(pages, np.uint8)[:: mmap.PAGESIZE])  # they are in memory after it
        flat = np.frombuffer(pages, np.uint8, offset=first - begin)
        found = flat.view(self.kind) if (first - begin) % self.kind.alignment == 0 else None
        if found is None:
            found = np.frombuffer(flat.tobytes(), self.kind)
        return found.reshape(stop - start, *self.shape[1:])

    def _column_by_column(self, file: int, start: int, stop: int, columns: Any) -> Array:
        """Of an array whose columns lie one after the other."""
        item, count = self.kind.itemsize, self.shape[0]
        numbers = np.arange(math.prod(self.shape[1:]))
        if columns is not None:
            numbers = np.atleast_1d(numbers[columns])
        found = np.empty((len(numbers), stop - start), self.kind)
        for row, number in zip(found, numbers, strict=True):
            view, at = memoryview(row.view(np.uint8)), self.offset + (int(number) * count + start) * item
            while view:
                read = os.preadv(file, [view], at)
                if not read:
                    raise OSError("it ends too early")
                view, at = view[read:], at + read
        if len(self.shape) > 2:
            return found.T.reshape(stop - start, *self.shape[1:], order="F")
        return found[0] if isinstance(columns, int) else found.T


def npy(path: str | os.PathLike[str]) -> Npy:
    """The header of a .npy file of real numbers; what is damaged, forged or of another kind is a `MathError`.

    Nothing in the file is run, and no more than the header is read.
    """
    where = os.fspath(path)
    if is_address(where):
        raise MathError(
            f"{called(where)} lies elsewhere: .npy files are mapped into memory",
            mend="Parquet, or a copy here",
        )
    try:
        regular = stat.S_ISREG(os.stat(where).st_mode)
        if not regular:
            raise MathError(
                f"{called(where)} is not a regular file", mend="a .npy file that numpy.save wrote"
            )
        with open(where, "rb") as file:
            head = io.BytesIO(file.read(LONGEST_HEADER + 20))
    except MathError:
        raise
    except FileNotFoundError:
        raise not_found(where) from None
    except (OSError, ValueError) as error:
        raise _unreadable(where, error) from None
    try:
        version = np.lib.format.read_magic(head)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, kind = read[version](head, max_header_size=LONGEST_HEADER)
        whole = all(isinstance(length, int) and length >= 0 for length in shape)
    except (ValueError, KeyError, TypeError, SyntaxError, MemoryError, RecursionError):
        whole = False
    if not whole:
        raise MathError(
            f"{called(where)} does not begin like a NumPy array: it is damaged, or something else",
            mend="a .npy file that numpy.save wrote",
        )
    found = Npy(where, tuple(shape), kind, fortran, head.tell())
    if kind.kind not in "biuf":
        what = "Python objects" if kind.hasobject else "named columns" if kind.names else f"{kind}"
        raise MathError(
            f"{called(where)} should hold real numbers, but it holds {what}",
            mend="an array of float64, or float32",
        )
    if not shape or not math.prod(shape):
        raise MathError(
            f"{called(where)} has no {'rows' if not shape or not shape[0] else 'columns'}",
            facts=[f"its shape is {shape_text(shape) or 'that of a number'}"],
            mend="at least one row, and one column",
        )
    with open(where, "rb") as file:
        found.check(file.fileno())
    return found


def _unreadable(path: str, error: Exception, what: str = "read") -> MathError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return MathError(f"{called(path)} cannot be {what}: {reason.lower()}")


@dataclass(frozen=True)
class Column:
    """Some columns of .npy files that follow each other, as one array."""

    files: tuple[Npy, ...]
    columns: Any = None

    @property
    def starts(self) -> list[int]:
        """Where each file begins, and where the last ends."""
        return [0, *np.cumsum([file.shape[0] for file in self.files]).tolist()]

    @property
    def row(self) -> tuple[int, ...]:
        """The shape of a row."""
        shape = self.files[0].shape
        return shape[1:] if self.columns is None else np.empty(shape[1])[self.columns].shape

    def place(self, start: int, stop: int) -> tuple[Npy, int, int]:
        """Rows that lie in one file: in which, and where."""
        number = int(np.searchsorted(self.starts, start, side="right")) - 1
        first = self.starts[number]
        return self.files[number], start - first, stop - first


class NpyStore(Store):
    """Arrays in .npy files."""

    def __init__(
        self, arrays: Mapping[str, Column], source: str, columns: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        self.arrays, self.source, self.filled = dict(arrays), source, {}
        self.columns = dict(columns or {})
        for name, array in arrays.items():
            self._check_alike(name, array)
        counts = {name: array.starts[-1] for name, array in arrays.items()}
        self.count = next(iter(counts.values()))
        other = next((name for name, count in counts.items() if count != self.count), None)
        if other is not None:
            first = next(iter(counts))
            raise MathError(
                f"{first} and {other} should have the same number of rows",
                facts=[f"{first} has {self.count:,},  {other} has {counts[other]:,}"],
                mend="files with a row for each example, the same rows in all",
            )
        self.shapes = {name: array.row for name, array in arrays.items()}
        self.kinds = {name: array.files[0].kind for name, array in arrays.items()}
        rows = rows_of_window(self.count, self.bytes_of(self.names))
        borders = sorted({start for array in arrays.values() for start in array.starts})
        pairs = itertools.pairwise(borders)
        self.units = [[window] for pair in pairs for window in cuts(*pair, rows)]

    @staticmethod
    def _check_alike(name: str, array: Column) -> None:
        first = array.files[0]
        for file in array.files[1:]:
            if (file.shape[1:], file.kind) != (first.shape[1:], first.kind):
                raise MathError(
                    f"the files of {name} should have the same columns of the same type",
                    facts=[
                        f"{called(each.path)}: {shape_text(each.shape)} of {each.kind}"
                        for each in (first, file)
                    ],
                )

    def rename(self, old: str, new: str) -> None:
        super().rename(old, new)
        self.arrays[new] = self.arrays.pop(old)

    def read(self, unit: int, names: Sequence[str], share: Share) -> Iterator[dict[str, Array]]:
        for window in self.units[unit]:
            start, stop = within(window, share)
            if start < stop:
                yield self._rows(start, stop, names)

    def files(self) -> Sequence[str]:
        return sorted({file.path for array in self.arrays.values() for file in array.files})

    def prints(self) -> dict[str, str]:
        return {path: print_of(path) for path in self.files()}

    def _rows(self, start: int, stop: int, names: Sequence[str]) -> dict[str, Array]:
        """Rows by name; what several arrays take from one file is mapped once."""
        mapped: dict[tuple[Npy, int, int], Array] = {}
        found = {}
        for name in names:
            columns, place = self.arrays[name].columns, self.arrays[name].place(start, stop)
            file, first, last = place
            if file.fortran and columns is not None:
                found[name] = file.rows(first, last, columns)
                continue
            if place not in mapped:
                mapped[place] = file.rows(first, last)
            found[name] = mapped[place] if columns is None else mapped[place][:, columns]
        return found
