"""What are the columns of a table in files like? One pass over those of which it must be known beforehand.

Profiles of two runs of rows add up to that of both, so they may be made anywhere, in any order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.backends.blocks import InMemory
from gradstep.expression.records import record
from gradstep.learn.cells import Seen, Style
from gradstep.learn.cluster import Cluster
from gradstep.learn.columns import Kind
from gradstep.learn.features import ROW_NAMES, Numbers
from gradstep.learn.frames import Frame, Raw, Words, labelled
from gradstep.learn.moments import MOST_DISTINCT
from gradstep.learn.raw import RawStore, is_there
from gradstep.learn.stores import Array


@dataclass(eq=False)
class Range:
    """The values of a column of numbers, of which NaN is none.

    `steps` is 1 where they rise from row to row, -1 where they fall, 0 where neither; `distinct` are a few
    of them, all if they are no more than MOST_DISTINCT.
    """

    present: int = 0
    missing: int = 0
    low: float = math.inf
    high: float = -math.inf
    whole: bool = True
    steps: int | None = None
    ends: tuple[float, float] | None = None
    distinct: frozenset[float] = field(default_factory=frozenset)

    @classmethod
    def of(cls, values: Array) -> Range:
        there = values[~np.isnan(values)].astype(np.float64)
        if not len(there):
            return cls(missing=len(values))
        up = np.diff(there)
        steps = None if not len(up) else 1 if (up > 0).all() else -1 if (up < 0).all() else 0
        few = np.unique(there[: 10 * MOST_DISTINCT])
        few = few if len(few) > MOST_DISTINCT else np.unique(there)
        return cls(
            len(there),
            len(values) - len(there),
            float(there.min()),
            float(there.max()),
            bool((there == np.round(there)).all()),
            steps,
            (float(there[0]), float(there[-1])),
            frozenset(few[: MOST_DISTINCT + 1].tolist()),
        )

    def __add__(self, other: Range) -> Range:
        if self.ends is None or other.ends is None:
            found = other if self.ends is None else self
            missing = self.missing + other.missing
            return Range(
                found.present,
                missing,
                found.low,
                found.high,
                found.whole,
                found.steps,
                found.ends,
                found.distinct,
            )
        between = float(np.sign(other.ends[0] - self.ends[1]))
        known = {step for step in (self.steps, other.steps, int(between)) if step is not None}
        distinct = self.distinct
        if len(distinct) <= MOST_DISTINCT:
            distinct |= other.distinct
        return Range(
            self.present + other.present,
            self.missing + other.missing,
            min(self.low, other.low),
            max(self.high, other.high),
            self.whole and other.whole,
            known.pop() if len(known) == 1 else 0,
            (self.ends[0], other.ends[1]),
            distinct,
        )

    @property
    def counting(self) -> bool:
        """Whether they number the rows: whole, and each its own."""
        dense = self.high - self.low + 1 == self.present
        return self.whole and not self.missing and self.present > 1 and (bool(self.steps) or dense)

    def numbers(self) -> Numbers:
        """The same as `features.number_feature` takes it; the mean is not known."""
        return Numbers(self.present, self.low, self.high, 0.0, self.counting)


Column: TypeAlias = "Seen | Range"


@dataclass(eq=False)
class Profile:
    """The columns of some rows, by name, and how many have no target, by the first row of a window."""

    columns: dict[str, Column]
    without: dict[int, int] = field(default_factory=dict)

    def __add__(self, other: Profile) -> Profile:
        columns = {name: one + other.columns[name] for name, one in self.columns.items()}  # type: ignore[operator]
        return Profile(columns, {**self.without, **other.without})


@record
class Look:
    """What is to be looked at in a table: which columns, by rows that have a target if there is one.

    It is the work of each window, and what is found adds up.
    """

    names: tuple[str, ...]
    target: str | None
    kinds: Mapping[str, Kind]
    style: Style

    def __call__(self, window: InMemory) -> Profile:
        columns: Mapping[str, Raw] = window.arrays
        at, without = window.at, dict[int, int]()
        known: NDArray[np.intp] | None = None
        if self.target is not None:
            there = is_there(columns[self.target])
            known = None if there.all() else np.flatnonzero(there)
            without = {} if known is None else {at: len(there) - len(known)}
        found: dict[str, Column] = {}
        for name, raw in columns.items():
            rows = None if name == self.target else known
            raw = as_wanted(raw if rows is None else raw[rows], self.kinds.get(name))
            if isinstance(raw, Words):
                seen = Seen(self.style)
                words = raw.occurring()
                seen.take((word, n, at + (row if rows is None else int(rows[row]))) for word, n, row in words)
                seen.missing = int((raw.codes < 0).sum())
                found[name] = seen
            else:
                found[name] = Range.of(raw)
        return Profile(found, without)

    def added(self, one: Profile, other: Profile) -> Profile:
        return one + other


def profiled(frame: Frame, look: Look, workers: Cluster | None = None) -> Profile:
    """The columns of a whole table, which workers go through if there are some."""
    if not frame.count or not look.names:
        return Profile({name: Range() for name in look.names})
    return RawStore(frame, look.names).over(look, workers)


def to_look_at(
    frame: Frame, names: Sequence[str], kinds: Mapping[str, Kind], always: Sequence[str]
) -> tuple[str, ...]:
    """The columns of which something must be known before they are read for training.

    These are texts, those that `always` are, and numbers that may be the same or another in every row, unless
    the files state that they are not.
    """
    found = []
    for name in names:
        stated = frame.stated(name)
        varied = stated is not None and stated[0] < stated[1] and name.casefold() not in ROW_NAMES
        numbers = frame.fields[name].holds in ("numbers", "dates") and kinds.get(name) != "category"
        if not (numbers and varied) or name in always:
            found.append(name)
    return tuple(found)


def as_wanted(raw: Raw, kind: Kind | None) -> Raw:
    """Numbers as texts where categories are wanted."""
    return labelled(np.asarray(raw)) if kind == "category" and not isinstance(raw, Words) else raw
