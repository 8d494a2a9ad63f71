"""What does a pass compute for one row? Cells: each is one number a row, or one number a row and feature.

The axis of the rows is never written out, and neither is a *wide* axis, that of many features; along every
other axis, a *short* one, each entry is a cell of its own. So a pass is a list of cells, and arrays are gone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from gradstep.expression.node import Operation
from gradstep.expression.records import record
from gradstep.expression.shapes import Lengths, Shape, Size

Index = tuple[int, ...]
MOST = 4000  # operands of all cells: such code is written and compiled in a few hundredths of a second


class Unsupported(Exception):
    """Why a pass has no compiled form here."""


class LongAxes(Unsupported):
    """Two axes with many entries meet in one array: that is work for products of matrices."""

    def __init__(self, sizes: Iterable[Size], lengths: Lengths) -> None:
        told = " and ".join(f"{size} = {lengths[size]}" for size in sorted(map(str, sizes)))
        super().__init__(f"two long axes in one array, {told}")


class TooMany(Unsupported):
    """There are too many cells; with another wide axis there may be fewer."""

    def __init__(self) -> None:
        super().__init__("each row needs too many numbers for code without loops")


@record
class Axis:
    """An axis of an array: of the rows, wide (its entries are visited by a loop), or short (written out)."""

    size: Size
    length: int
    kind: str  # "row", "wide", "short"

    def __len__(self) -> int:
        """How many cells stand side by side along it."""
        return self.length if self.kind == "short" else 1


class Cell:
    """One value for each row.

    op      an operation on entries; or "data", "fixed", "number", "reduce" (over a wide axis), "dot" (the sum
            of the products of pairs)
    wide    the wide axis along which it has values, or ""
    row     whether it depends on the row
    level   how many loops over wide axes come before it is known
    number  its place in the order in which cells are made
    """

    __slots__ = ("args", "level", "number", "op", "params", "row", "wide")

    def __init__(
        self,
        op: Operation | str,
        args: tuple[Cell, ...],
        params: tuple[Any, ...],
        row: bool,
        wide: str,
        level: int,
        number: int,
    ) -> None:
        self.op, self.args, self.params = op, args, params
        self.row, self.wide, self.level, self.number = row, wide, level, number


class Cells:
    """Cells, equal ones once; each is made after its operands."""

    def __init__(self, row_size: Size, lengths: Lengths, wide: frozenset[Size]) -> None:
        self.row_size, self.lengths, self.wide = row_size, lengths, wide
        self.made: dict[tuple[Any, ...], Cell] = {}
        self.count = 0

    def cell(self, op: Operation | str, args: Sequence[Cell] = (), params: tuple[Any, ...] = ()) -> Cell:
        """A value that is worked out of others entry by entry."""
        wide = {arg.wide for arg in args if arg.wide}
        if len(wide) > 1:
            raise LongAxes(wide, self.lengths)
        row = any(arg.row for arg in args)
        level = max((arg.level for arg in args), default=0)
        return self._made(op, tuple(args), params, row, "".join(wide), level)

    def _made(
        self,
        op: Operation | str,
        args: tuple[Cell, ...],
        params: tuple[Any, ...],
        row: bool,
        wide: str,
        level: int,
    ) -> Cell:
        key = (op, args, params, wide)
        if key not in self.made:
            self.count += 1 + len(args)
            if self.count > MOST:
                raise TooMany
            self.made[key] = Cell(op, args, params, row, wide, level, len(self.made))
        return self.made[key]

    def number(self, value: float) -> Cell:
        return self._made("number", (), (float(value),), False, "", 0)

    def reduced(self, how: str, cell: Cell, axis: str) -> Cell:
        """All values along the wide axis in one: their "sum", "max" or "min"."""
        if cell.wide != axis:
            if how != "sum":
                return cell
            return self.dot([(cell, self.number(self.lengths[axis]))])
        return self._made("reduce", (cell,), (how, axis), True, "", cell.level + 1)

    def dot(self, pairs: Sequence[tuple[Cell, Cell]]) -> Cell:
        """The sum of the products."""
        return self.cell("dot", [cell for pair in pairs for cell in pair])

    # ------------------------------------------------------------------------------------- arrays

    def axes(self, shape: Shape) -> tuple[Axis, ...]:
        return tuple(self.axis(size) for size in shape)

    def axis(self, size: Size) -> Axis:
        length = self.lengths[size]
        kind = "row" if size == self.row_size else "wide" if size in self.wide else "short"
        return Axis(size, length, kind)

    def array(self, axes: tuple[Axis, ...], entry: Callable[[Index], Cell]) -> Array:
        """The array with these entries."""
        wide = [axis.size for axis in axes if axis.kind == "wide"]
        if len(wide) > 1:
            raise LongAxes(wide, self.lengths)
        count = 1
        for axis in axes:
            count *= len(axis)
        if count > MOST:
            raise TooMany
        return Array(axes, {index: entry(index) for index in indices(axes)})

    def leaf(self, name: str, shape: Shape) -> Array:
        """An input: of data an entry for each row, of what is fixed one for all."""
        axes = self.axes(shape)
        row = any(axis.kind == "row" for axis in axes)
        wide = next((str(axis.size) for axis in axes if axis.kind == "wide"), "")
        places = {index: k for k, index in enumerate(indices(axes))}
        op = "data" if row else "fixed"
        return self.array(axes, lambda index: self._made(op, (), (name, places[index]), row, wide, 0))


@record
class Array:
    """Cells by their place along the short axes; along the others the place is 0."""

    axes: tuple[Axis, ...]
    cells: Mapping[Index, Cell]

    @property
    def only(self) -> Cell:
        """Of a number: its cell."""
        (cell,) = self.cells.values()
        return cell


def indices(axes: Sequence[Axis]) -> Iterator[Index]:
    """All places, the last axis running fastest."""
    return itertools.product(*(range(len(axis)) for axis in axes))


def needed(roots: Sequence[Cell], known: Callable[[Cell], bool] = lambda cell: False) -> list[Cell]:
    """The roots and what they are made of, operands first; what is `known` is not opened."""
    seen: set[Cell] = set()
    stack = list(roots)
    while stack:
        cell = stack.pop()
        if cell not in seen:
            seen.add(cell)
            if not known(cell):
                stack += cell.args
    return sorted(seen, key=lambda cell: cell.number)
