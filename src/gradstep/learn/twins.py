"""Which columns tell the same? Pairs that are equal, or nearly, but for a factor and what is added.

Columns of mean 0 and mean square 1 that are nearly alike have nearly the same products with any vector. So a
few random vectors are enough to find the pairs worth a look, in a time that grows with the number of columns
and not with its square (random projections: Johnson and Lindenstrauss, 1984).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.records import record
from gradstep.learn.scaling import Array

SAME, NEAR = 1e-12, 1e-6  # 1 − |r|, for a correlation r
VECTORS = 8
REACH = 4 * math.sqrt(2 * NEAR)  # four times the spread of what products of columns that are near differ by
MOST_NEIGHBOURS = 50
FEWEST = 10  # rows: of fewer, chance alone makes columns alike


@record
class Twin:
    """Column `second` is `factor` times column `first` plus `shift`: in every row, or nearly so.

    `equal` where both are one and the same.
    """

    first: int
    second: int
    factor: float
    shift: float
    equal: bool
    exact: bool


def twins(columns: Array) -> Iterator[Twin]:
    """The pairs of columns (n, d) that tell the same; a column that does not vary has no twin."""
    if len(columns) < FEWEST:
        return
    top = np.abs(columns).max(axis=0)
    scaled = columns / np.where(top > 0, top, 1.0)
    mean = scaled.mean(axis=0)
    spread = scaled.std(axis=0)
    (moving,) = np.nonzero(spread > 1e-12)
    Z = (scaled[:, moving] - mean[moving]) / spread[moving]
    for i, j in _near(Z):
        sign = 1.0 if Z[:, i] @ Z[:, j] > 0 else -1.0
        apart = float(np.square(Z[:, j] - sign * Z[:, i]).mean()) / 2
        if apart <= NEAR:
            first, second = sorted((int(moving[i]), int(moving[j])))
            x, y = columns[:, first], columns[:, second]
            equal = np.array_equal(x, y)
            factor = 1.0 if equal else sign * float(y.std() / x.std())
            shift = 0.0 if equal else float(y.mean() - factor * x.mean())
            yield Twin(first, second, factor, shift, equal, apart <= SAME)


def _near(Z: Array) -> Iterator[tuple[int, int]]:
    """Pairs of columns whose products with random vectors are nearly the same, but for the sign."""
    vectors = np.random.default_rng(0).normal(size=(VECTORS, len(Z))) / math.sqrt(len(Z))
    marks: NDArray[np.float64] = vectors @ Z
    marks = marks * np.where(marks[0] < 0, -1.0, 1.0)
    order = np.argsort(marks[0], kind="stable")
    marks = marks[:, order]
    for step in range(1, min(len(order), MOST_NEIGHBOURS)):
        apart = np.abs(marks[:, step:] - marks[:, :-step])
        if not (apart[0] <= REACH).any():
            return
        for at in np.flatnonzero((apart <= REACH).all(axis=0)):
            yield int(order[at]), int(order[at + step])
