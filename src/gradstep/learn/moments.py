"""Means, spreads and products of columns, so that those of two runs of rows are put together without loss.

What lies beside the mean is added up beside that of the rows at hand, never beside zero, and moved when two
runs meet: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
variances" (1979). With a mean of 10⁸ and a spread of 1 no digit of the spread is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gradstep.learn.scaling import Array

T = TypeVar("T")

FLAT = 1e-12
SHORT = 1e-10, 1e15  # where the largest number of a column lies, float32 holds squares of what is in it
MOST_DISTINCT = 101
WIDE = 1000  # numbers beside each other that are compared with the next so many


def paired(items: Iterable[T], add: Callable[[T, T], T]) -> T | None:
    """All items added in a tree: the first and the second, the third and the fourth, and so on upwards.

    No more than log₂ of their number are kept at a time; None where there are none.
    """
    kept: list[tuple[int, T]] = []
    for item in items:
        size = 1
        while kept and kept[-1][0] == size:
            item, size = add(kept.pop()[1], item), 2 * size
        kept.append((size, item))
    while len(kept) > 1:
        _, last = kept.pop()
        size, one = kept.pop()
        kept.append((size, add(one, last)))
    return kept[0][1] if kept else None


def extreme(of: np.ufunc, rows: Array) -> Array:
    """np.minimum, np.maximum or the like of each column; where these are few, of runs of rows at a time."""
    width = rows.shape[1]
    run = WIDE // max(width, 1)
    whole = len(rows) // max(run, 1) * run
    if run < 2 or not width or not whole or not rows.flags.c_contiguous:
        return np.asarray(of.reduce(rows, axis=0))
    each = of.reduce(rows[:whole].reshape(-1, run * width), axis=0).reshape(run, width)
    return np.asarray(of.reduce(np.concatenate([each, rows[whole:]]), axis=0))


@dataclass(eq=False)
class Columns:
    """The columns of one array, flattened: what was added up over the rows to learn from.

    `squares` are those of what lies beside the mean; a missing value adds nothing. `low` and `high` are those
    of all rows, and so are the `distinct` values, of which no more than a few are kept.
    """

    shape: tuple[int, ...]
    count: NDArray[np.intp]
    mean: Array
    squares: Array
    low: Array
    high: Array
    missing: NDArray[np.intp]
    distinct: frozenset[float] = field(default_factory=frozenset)

    def __add__(self, other: Columns) -> Columns:
        count = self.count + other.count
        between = other.mean - self.mean
        part = other.count / np.maximum(count, 1)
        distinct = self.distinct
        if len(distinct) < MOST_DISTINCT:
            distinct |= other.distinct
        return Columns(
            self.shape,
            count,
            self.mean + between * part,
            self.squares + other.squares + between**2 * (part * self.count),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.missing + other.missing,
            distinct,
        )

    def variance(self, rows: int) -> Array:
        """The mean square about the mean, where a missing value is taken as the mean."""
        return np.asarray(self.squares / max(rows, 1))

    @property
    def fits_short(self) -> bool:
        """Whether float32 holds the squares of what is in each column."""
        return fits_short(self.low, self.high)

    @property
    def constant(self) -> NDArray[np.intp]:
        """The columns that are the same in every row."""
        size = np.maximum(np.abs(self.low), np.abs(self.high))
        return np.flatnonzero(self.high - self.low <= FLAT * size)


def fits_short(low: Array, high: Array) -> bool:
    """Whether float32 holds the squares of numbers between these ends, column by column."""
    size = np.maximum(np.abs(low), np.abs(high))
    return bool(((size == 0) | ~np.isfinite(size) | ((SHORT[0] < size) & (size < SHORT[1]))).all())


@dataclass(eq=False)
class Products:
    """Σ (xᵢ − mᵢ)(xⱼ − mⱼ) over some rows, m the means of the columns; a missing value adds nothing.

    So it is what the table would give with each missing value taken as the mean. Where some are missing,
    `totals` are Σ (xᵢ − mᵢ) over the rows in which j is there too, and `counts` how many rows have i and j.
    """

    rows: int
    mean: Array
    about: Array
    totals: Array | None = None
    counts: Array | None = None

    def __add__(self, other: Products) -> Products:
        rows = self.rows + other.rows
        between = other.mean - self.mean
        if self.counts is None and other.counts is None:
            part = other.rows / max(rows, 1)
            about = self.about + other.about + np.outer(between, between) * (part * self.rows)
            return Products(rows, self.mean + between * part, about)
        here, there = (np.diag(each.holes()[1]) for each in (self, other))
        mean = self.mean + between * (there / np.maximum(here + there, 1))
        one, two = self.moved(mean), other.moved(mean)
        (totals, counts), (others, more) = one.holes(), two.holes()
        return Products(rows, mean, one.about + two.about, totals + others, counts + more)

    def holes(self) -> tuple[Array, Array]:
        """The totals and the counts, also where no value is missing."""
        if self.totals is not None and self.counts is not None:
            return self.totals, self.counts
        return np.zeros_like(self.about), np.full_like(self.about, self.rows)

    def moved(self, mean: Array) -> Products:
        """The same about another place than the means."""
        totals, counts = self.holes()
        by = mean - self.mean
        beside = totals * by  # Σ (xᵢ − mᵢ) δⱼ
        about = self.about - beside - beside.T + np.outer(by, by) * counts
        return Products(self.rows, mean, about, totals - by[:, None] * counts, counts)
