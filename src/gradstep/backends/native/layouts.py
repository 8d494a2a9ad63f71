"""How do data lie in memory, and can a kernel read them there?"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.backends.native.cells import Cells
from gradstep.backends.native.plan import Layout
from gradstep.expression.node import Expr
from gradstep.expression.records import record

Array = NDArray[Any]


@record
class Given:
    """One of the data: at which axis its rows are, which axis of a row is wide, and how it lies.

    `stride` is how many bytes it is from one row to the next, or from one column to the next. Where the array
    cannot be read where it lies, blocks of it are copied, and `copied` is true.
    """

    rows: int
    wide: int | None
    layout: Layout
    stride: int
    copied: bool

    def arranged(self, array: Array) -> Array:
        """The axis of the rows first, a wide one last."""
        array = np.moveaxis(array, self.rows, 0)
        return array if self.wide is None else np.moveaxis(array, 1 + self.wide, -1)

    def as_matrix(self, count: int, item: int) -> bool:
        """Whether so many rows are a matrix to BLAS, whose lines come one after the other."""
        line = self.layout.entries if self.layout.how == "rows" else count
        return self.layout.how == "packed" or (self.stride >= line * item and self.stride % item == 0)


def given(cells: Cells, symbol: Expr, rows: int, array: Array | None, kind: np.dtype[Any]) -> Given:
    """How an array of data can be read; with no array it comes in blocks that are copied."""
    axes = cells.axes(symbol.shape)
    others = [axis for k, axis in enumerate(axes) if k != rows]
    kinds = [axis.kind for axis in others]
    wide = kinds.index("wide") if "wide" in kinds else None
    entries = math.prod(axis.length for axis in others)
    packed = Given(rows, wide, Layout("packed", entries), entries * kind.itemsize, True)
    if array is None or array.dtype != kind:
        return packed
    view = packed.arranged(array)
    inner = [(n, step) for n, step in zip(view.shape[1:], view.strides[1:], strict=True) if n > 1]
    if any(step != n * after for (_, step), (n, after) in itertools.pairwise(inner)):
        return packed
    step = inner[-1][1] if inner else kind.itemsize
    if step == kind.itemsize:
        far = view.strides[0]
        if far == entries * kind.itemsize or len(view) == 1:
            return Given(rows, wide, Layout("packed", entries), far, False)
        return Given(rows, wide, Layout("rows", entries, max(far, 0)), far, False)
    if wide is None and view.strides[0] == kind.itemsize:
        return Given(rows, wide, Layout("columns", entries), step, False)
    return packed
