"""What is a table in files? Named columns of numbers or texts, read part by part, in runs of rows.

A part is what a file holds in one piece: a row group of Parquet, a batch of Arrow. Nothing is known about the
use of a column here: `tabular.py` makes features of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError
from gradstep.expression.records import record, replaced
from gradstep.learn.cells import MISSING, READ_AS_YEARS
from gradstep.learn.columns import Table, shown
from gradstep.learn.data import from_arrays
from gradstep.learn.features import label
from gradstep.learn.prints import print_of
from gradstep.learn.stores import Array, Window, called

Holds: TypeAlias = Literal["numbers", "dates", "truth", "texts"]


@dataclass(eq=False)
class Words:
    """A column of texts: for each row the number of its text, -1 where there is none."""

    codes: NDArray[np.int32]
    words: tuple[str, ...]  # without spaces around them

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def shape(self) -> tuple[int, ...]:
        """As that of an array."""
        return self.codes.shape

    def __getitem__(self, rows: Any) -> Words:
        return Words(self.codes[rows], self.words)

    def known(self) -> Words:
        """The same where a text that stands for a missing value is none."""
        absent = np.array([word.casefold() in MISSING for word in self.words] + [True])
        return Words(np.where(absent[self.codes], np.int32(-1), self.codes), self.words)

    def occurring(self) -> Iterator[tuple[str, int, int]]:
        """Each text that occurs, how often, and its first row; they are in the order of these."""
        counts = np.bincount(self.codes[self.codes >= 0], minlength=len(self.words))
        firsts = np.zeros(len(self.words) + 1, dtype=np.intp)
        firsts[self.codes[::-1]] = np.arange(len(self.codes))[::-1]
        found = np.flatnonzero(counts)
        for at in found[np.argsort(firsts[found], kind="stable")].tolist():
            yield self.words[at], int(counts[at]), int(firsts[at])

    def texts(self) -> NDArray[Any]:
        """A text for each row, None where there is none."""
        return np.array([*self.words, None], dtype=object)[self.codes]


Raw: TypeAlias = "Array | Words"


def labelled(values: Array) -> Words:
    """Numbers as the texts that they are written with, none for NaN."""
    there = ~np.isnan(values)
    found, codes = np.unique(values[there], return_inverse=True)
    every = np.full(len(values), -1, dtype=np.int32)
    every[there] = codes
    return Words(every, tuple(map(label, found.tolist())))


def _plain(raw: Raw) -> NDArray[Any]:
    return raw.texts() if isinstance(raw, Words) else raw


@record
class Field:
    """What a column holds, and the type of its numbers."""

    holds: Holds
    kind: np.dtype[Any]
    told: str  # the type as its file calls it


class Frame(ABC):
    """A table in files: a description, which can be pickled.

    source   what messages call it
    paths    its files
    fields   what its columns hold, by name, in order
    parts    (file, piece, rows) of each part
    notes    what had to be said about the files
    piece    what a part is called
    decoded  what has to be unpacked for each pass; "" where rows lie in the file as they are
    kept     where rows were written down that come only once
    anywhere whether a run of rows is read without those before it in its part
    """

    source: str
    paths: tuple[str, ...]
    fields: dict[str, Field]
    parts: list[tuple[int, int, int]]
    notes: tuple[str, ...] = ()
    piece: str = "part"
    decoded: str = ""
    kept: str = ""
    anywhere: bool = False

    @abstractmethod
    def read(self, part: int, names: Sequence[str], runs: Sequence[Window]) -> Iterator[dict[str, Raw]]:
        """Runs of rows of a part, which follow each other: columns by name."""

    def stated(self, name: str) -> tuple[float, float, int] | None:
        """The lowest and the highest value of a column of numbers and how many there are, if it is known."""
        return None

    @property
    def starts(self) -> list[int]:
        """The first row of each part, and how many rows there are."""
        return list(accumulate((rows for _, _, rows in self.parts), initial=0))

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.starts[-1]

    def size(self) -> int:
        """How many bytes the rows take in memory, as far as it is known before they are read."""
        return 8 * self.count * len(self.fields)

    def table(self, kinds: Mapping[str, str] | None = None) -> Table:
        """All rows of a small table, in memory."""
        names, found = list(self.fields), []
        for part, (_, _, rows) in enumerate(self.parts):
            found += list(self.read(part, names, [(0, rows)]))
        if not names:
            raise MathError(f"{self.source} has no columns", facts=self.notes)
        arrays = {
            name: np.concatenate([_plain(each[name]) for each in found] or [np.zeros(0)]) for name in names
        }
        table = from_arrays(arrays, source=self.source, kinds=kinds)
        dates = [name for name in names if self.fields[name].holds == "dates"]
        notes = [*self.notes, *table.notes, *(f"{shown(name)} {READ_AS_YEARS}" for name in dates)]
        found_in = self.lines_of_rows()
        if found_in is None:
            return replaced(table, notes=tuple(notes))
        return replaced(table, notes=tuple(notes), lines=found_in, unit="in line")

    def lines_of_rows(self) -> NDArray[np.intp] | None:
        """The line of each row, if rows stand in lines."""
        return None

    def place(self, row: int) -> str:
        """Where a row stands: "in row 5", and in which file and piece if there are several."""
        part = int(np.searchsorted(self.starts, row, side="right")) - 1
        number, piece, _ = self.parts[part]
        first = next(start for start, each in zip(self.starts, self.parts, strict=False) if each[0] == number)
        where = f"in row {row - first:,}"
        if len(self.paths) > 1:
            where += f" of {called(self.paths[number])}"
        if sum(1 for each in self.parts if each[0] == number) > 1:
            where += f", {self.piece} {piece}"
        return where

    def told(self, part: int) -> str:
        """What a part is called: row group 3 of x.parquet."""
        number, piece, _ = self.parts[part]
        return f"{self.piece} {piece} of {called(self.paths[number])}"

    def prints(self) -> dict[str, str]:
        """What each file is known by."""
        return {path: print_of(path) for path in self.paths}
