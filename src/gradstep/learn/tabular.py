"""A table in files as features X and a target y, by the rules of `encoding.py` for a table in memory."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError
from gradstep.expression.records import replaced
from gradstep.learn import stores
from gradstep.learn.cells import PLAIN, Reading, Style, worth
from gradstep.learn.cluster import Cluster
from gradstep.learn.columns import shown
from gradstep.learn.features import Feature, Number
from gradstep.learn.frames import Frame, Raw, Words
from gradstep.learn.profiles import as_wanted
from gradstep.learn.raw import Presence, RawStore, is_there
from gradstep.learn.stores import Array, Share, Store, Window, cuts, within

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)


class TableStore(Store):
    """Columns of a table in files: features X, and a target y where there is one.

    features  what the columns become, in the order of X
    readings  what texts are read as: numbers, dates, categories
    classes   the classes of the target, if it holds texts; then y is as in `encoding.Prepared`
    """

    def __init__(
        self,
        frame: Frame,
        features: Sequence[Feature],
        target: str | None,
        readings: Mapping[str, Reading],
        classes: tuple[str, ...] | None = None,
        style: Style = PLAIN,
        without: Collection[int] = (),
        notes: Sequence[str] = (),
        truth: str | None = None,
        workers: Cluster | None = None,
    ) -> None:
        """`without` are the parts with rows that have no target: they are left out; `workers` may count them.

        `truth` is a column that is told beside answers.
        """
        self.truth = truth
        self.frame, self.features, self.target = frame, tuple(features), target
        self.readings, self.classes, self.style = dict(readings), classes, style
        self.source, self.notes = frame.source, tuple(notes)
        names = tuple(name for feature in features for name in feature.names)
        self.shapes, self.kinds = {"X": (len(names),)}, {"X": self._kind()}
        self.columns = {"X": names}
        if target is not None:
            self.shapes["y"] = (len(classes),) if classes and len(classes) > 2 else ()
            self.kinds["y"], self.columns["y"] = DOUBLE, (target,)
        self.gaps, self.filled = {"X"}, {}
        self.mend = "a table without such rows"
        self._cut(without, workers)

    def _kind(self) -> np.dtype[Any]:
        """float32 where it holds all columns as they are."""
        kinds = [
            DOUBLE if each.column in self.readings else self.frame.fields[each.column].kind
            for each in self.features
            if isinstance(each, Number)
        ]
        return SINGLE if all(np.can_cast(kind, SINGLE) for kind in kinds) else DOUBLE

    def _cut(self, without: Collection[int], workers: Cluster | None) -> None:
        """Windows: runs of the rows of a part, and how they are numbered among the rows that are left."""
        a_row, frame = self.bytes_of(self.names), self.frame
        every = [cuts(0, n, -(-n // -(-n * a_row // stores.WINDOW))) for _, _, n in frame.parts]
        there: dict[int, int] = {}  # rows with a target, by the first row of the run
        if without:
            assert self.target is not None
            holed = RawStore(frame, [self.target], {part: every[part] for part in sorted(without)})
            there = holed.over(Presence(self.target), workers)
        self.runs: list[tuple[int, list[Window]]] = []  # of each unit: its part, and the rows there
        self.units: list[list[Window]] = []
        at = 0
        for part, (first, runs) in enumerate(zip(frame.starts, every, strict=False)):
            left = [there.get(first + start, stop - start) for start, stop in runs]
            windows = list(pairwise(accumulate(left, initial=at)))
            at += sum(left)
            apart = range(len(runs)) if self.frame.anywhere else [slice(None)]
            for k in apart:
                each = slice(k, k + 1) if isinstance(k, int) else k
                self.runs.append((part, runs[each]))
                self.units.append(windows[each])
        self.count = at
        self.whole = not without

    # ------------------------------------------------------------------------------------------- rows

    def read(self, unit: int, names: Sequence[str], share: Share) -> Iterator[dict[str, Array]]:
        wanted = [column for name in names for column in self._columns(name)]
        (part, runs), windows = self.runs[unit], self.units[unit]
        if self.whole:
            runs = [run for each in runs if (run := within(each, share))[0] < run[1]]
            for columns in self.frame.read(part, wanted, runs):
                yield {name: self._array(name, columns) for name in names}
            return
        assert self.target is not None
        both = list(dict.fromkeys([*wanted, self.target]))
        for window, columns in zip(windows, self.frame.read(part, both, runs), strict=True):
            there = np.flatnonzero(is_there(columns[self.target]))
            start, stop = (row - window[0] for row in within(window, share))
            if start < stop:
                rows = there[start:stop]
                kept: dict[str, Raw] = {name: columns[name][rows] for name in wanted}
                yield {name: self._array(name, kept) for name in names}

    def files(self) -> Sequence[str]:
        return tuple(getattr(self.frame, "paths", ()))

    def prints(self) -> dict[str, str]:
        return self.frame.prints()

    def told(self, unit: int) -> str:
        if self.frame.anywhere:
            return super().told(unit)
        return self.frame.told(self.runs[unit][0])

    def place(self, row: int) -> str:
        unit = next(k for k, windows in enumerate(self.units) if windows and row < windows[-1][1])
        (part, runs), among = self.runs[unit], row - self.units[unit][0][0]
        if not self.whole:
            among = int(np.flatnonzero(np.concatenate(list(self._kept(part, runs))))[among])
        return self.frame.place(self.frame.starts[part] + runs[0][0] + among)

    def _kept(self, part: int, runs: Sequence[Window]) -> Iterator[NDArray[np.bool_]]:
        """Which rows of a part have a target."""
        assert self.target is not None
        for columns in self.frame.read(part, [self.target], runs):
            yield is_there(columns[self.target])

    def _columns(self, name: str) -> list[str]:
        """The columns of the files that an array is made of."""
        is_goal = self.columns[name] == (self.target,)
        return [*self.columns[name]] if is_goal else [feature.column for feature in self.features]

    def _array(self, name: str, columns: Mapping[str, Raw]) -> Array:
        if self.columns[name] == (self.target,):
            return self._goal(columns[self.columns[name][0]])
        count = len(next(iter(columns.values())))
        found = np.zeros((self.shapes[name][0], count), self.kinds[name])
        at = 0
        for feature in self.features:
            raw = columns[feature.column]
            if isinstance(feature, Number):
                found[at] = self._numbers(feature.column, raw)
            elif feature.levels:
                words = as_wanted(raw, "category")
                assert isinstance(words, Words)
                places = feature.places([*words.words, None])[0][words.codes]
                rows = np.flatnonzero(places >= 0)
                found[at + places[rows], rows] = 1
            at += len(feature.names)
        if name in self.filled:
            means = self.filled[name].astype(found.dtype)
            for k in np.flatnonzero(np.isnan(found).any(axis=1)):
                found[k, np.isnan(found[k])] = means[k]
        return np.ascontiguousarray(found.T)  # as in .npy files: products of other layouts have other bits

    def _numbers(self, column: str, raw: Raw) -> Array:
        if not isinstance(raw, Words):
            return raw
        reading = self.readings[column]
        numbers = [worth(column, word, reading, self.style, "it") for word in raw.words]
        return np.array([*numbers, math.nan])[raw.codes]

    def _goal(self, raw: Raw) -> Array:
        assert self.target is not None
        if self.classes is None:
            return np.asarray(self._numbers(self.target, raw), dtype=np.float64)
        words = as_wanted(raw, "category")
        assert isinstance(words, Words)
        place = {label: at for at, label in enumerate(self.classes)}
        at = np.array([*(place.get(word, -1) for word in words.words), -1])[words.codes]
        if (at < 0).any():
            raise MathError(f"{self.source} is another than before: {shown(self.target)} has a new class")
        return at.astype(np.float64) if len(self.classes) == 2 else np.eye(len(self.classes))[at]

    def beside(self) -> Iterator[list[Any] | None]:
        """What is told beside the answers for each window: the values of a column, "" where there is none."""
        for part, runs in self.runs:
            if self.truth is None:
                yield from [None] * len(runs)
                continue
            for columns in self.frame.read(part, [self.truth], runs):
                raw = columns[self.truth]
                values = raw.texts() if isinstance(raw, Words) else np.asarray(raw, dtype=object)
                yield ["" if value is None or value != value else value for value in values.tolist()]

    def encoded(self, name: str, means: Array) -> tuple[Feature, ...]:
        found: list[Feature] = []
        at = 0
        for feature in self.features:
            found.append(replaced(feature, mean=float(means[at])) if isinstance(feature, Number) else feature)
            at += len(feature.names)
        return tuple(found)
