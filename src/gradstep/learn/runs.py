"""Which windows does each worker take? A run of neighbours, whose totals make few nodes of the tree."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

UNEVEN = 16  # a run may be longer or shorter by one such part


class Run(NamedTuple):
    """The units from `start` to before `stop`."""

    start: int
    stop: int


def runs(leaves: Sequence[int], workers: int) -> list[Run]:
    """Runs for so many workers, and no more than there are units; `leaves` says where units begin and end.

    A border is moved to a number of windows that is a multiple of a power of two as high as there is near, so
    that what lies between two of them is a few whole trees.
    """
    ends = np.asarray(leaves)
    units = len(ends) - 1
    workers = max(1, min(workers, units))
    even = ends[-1] / workers
    borders = [0]
    for k in range(1, workers):
        low, high = borders[-1] + 1, units - (workers - k)
        near = np.flatnonzero(np.abs(ends - k * even) <= even / UNEVEN)
        near = near[(low <= near) & (near <= high)]
        if not len(near):
            near = np.array([min(max(low, int(np.abs(ends - k * even).argmin())), high)])
        tall = ends[near] & -ends[near]
        near = near[tall == tall.max()]
        borders.append(int(near[np.abs(ends[near] - k * even).argmin()]))
    return [Run(*pair) for pair in pairwise([*borders, units])]
