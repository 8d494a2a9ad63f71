"""Which column is made of others? With x₃ = x₁ + x₂ no data tell how the weights share what they do together.

Column by column it is looked at what those before do not explain: Gram–Schmidt, twice, on the triangle R of
X = Q R, whose columns have the same products as those of X and are no longer than their number. Where nothing
but rounding errors is left, the column is a combination of those before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gradstep.backends.threads import one_thread_each
from gradstep.expression.records import record
from gradstep.learn.scaling import Array

MOST_COLUMNS = 300
SPARE = 10  # rows more than columns: of fewer, any column is made of others
FREE = 1e-4  # of its length each column keeps, beside those before: none is made of others
LOOSE = 1e-6  # of its length a column may keep, however inexact the numbers are
ROUNDINGS = 32
NOTHING = 1e-5  # of the largest share


@record
class Combination:
    """Column `column` is `shift` and the sum of `factors` times the columns `of`, which come before it."""

    column: int
    of: tuple[int, ...]
    factors: tuple[float, ...]
    shift: float


def combinations(columns: Array, grain: Array) -> list[Combination]:
    """The columns (n, d) that are made of two others or more; `grain` is the rounding error of each."""
    top = np.abs(columns).max(axis=0, initial=0.0)
    scaled = columns / np.where(top > 0, top, 1.0)
    spread = scaled.std(axis=0)
    (moving,) = np.nonzero(spread > 1e-12)
    if not 2 < len(moving) <= MOST_COLUMNS or len(columns) < len(moving) + SPARE:
        return []
    unit, middle = (top * spread)[moving], columns.mean(axis=0)
    Z = (columns[:, moving] - middle[moving]) / (unit * math.sqrt(len(columns)))
    rounding = ROUNDINGS * (grain[moving] / unit + len(moving) * np.finfo(np.float64).eps)
    with one_thread_each():
        made = [] if _are_free(Z) else list(_made(Z, rounding))
    found = []
    for j, basis, share in made:
        (used,) = np.nonzero(np.abs(share) > NOTHING * np.abs(share).max())
        of, factors = moving[basis][used], share[used] * unit[j] / unit[basis][used]
        shift = float(middle[moving[j]] - factors @ middle[of])
        if len(of) > 1:
            found.append(Combination(int(moving[j]), tuple(of.tolist()), tuple(factors.tolist()), shift))
    return found


def _made(Z: Array, rounding: Array) -> Iterator[tuple[int, list[int], Array]]:
    """The columns, all of length 1, that are made of those before: of which basis, and the share of each."""
    _, R = np.linalg.qr(Z)
    basis, kept = np.empty_like(R), list[int]()
    for j, column in enumerate(R.T):
        before, rest = basis[:, : len(kept)], column
        for _ in range(2):
            rest = rest - before @ (before.T @ rest)
        left = float(np.linalg.norm(rest))
        if left <= LOOSE:
            share = np.linalg.lstsq(R[:, kept], column, rcond=None)[0]
            if left <= rounding[j] + np.abs(share) @ rounding[kept]:
                yield j, [*kept], share
                continue
        basis[:, len(kept)] = rest / left
        kept.append(j)


def _are_free(Z: Array) -> bool:
    """Whether the products of the columns show that each is far from all that those before it make."""
    try:
        return bool((np.diag(np.linalg.cholesky(Z.T @ Z)) > FREE).all())
    except np.linalg.LinAlgError:
        return False
