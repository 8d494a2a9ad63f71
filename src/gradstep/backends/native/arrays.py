"""What can be done with arrays of cells? Entry by entry, along axes, and spread out again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradstep.backends.native.cells import Array, Cell, Cells, Index, Unsupported
from gradstep.expression.node import Expr, Operation
from gradstep.operations.arithmetic import add_op, multiply_op


class Arrays:
    """Works on arrays of the same cells."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells

    def entrywise(self, node: Expr, args: Sequence[Array]) -> Array:
        axes = self.cells.axes(node.shape)

        def entry(index: Index) -> Cell:
            operands = [arg.cells[index if arg.axes else ()] for arg in args]
            return self.cells.cell(node.op, operands, node.params)

        return self.cells.array(axes, entry)

    def product(self, factors: Sequence[Cell]) -> Cell:
        result = factors[0]
        for factor in factors[1:]:
            result = self.cells.cell(multiply_op, [result, factor])
        return result

    def added(self, parts: Sequence[Cell]) -> Cell:
        """The sum, in pairs."""
        level = list(parts)
        while len(level) > 1:
            pairs = [self.cells.cell(add_op, pair) for pair in zip(level[::2], level[1::2], strict=False)]
            level = pairs + ([level[-1]] if len(level) % 2 else [])
        return level[0]

    # ------------------------------------------------------------------------------------- along an axis

    def folded(self, op: Operation, how: str, x: Array, along: set[int]) -> Array:
        """Entries along some axes in one by `op`, which "sum", "max" or "min" says for a wide axis."""
        if any(x.axes[k].kind == "row" for k in along):
            along = {k for k in along if x.axes[k].kind != "row"}
            axes = tuple(axis for k, axis in enumerate(x.axes) if k not in along and axis.kind != "row")
            skip = {k for k, axis in enumerate(x.axes) if axis.kind == "row"} | along
        else:
            skip = along
            axes = tuple(axis for k, axis in enumerate(x.axes) if k not in along)
        groups: dict[Index, list[Cell]] = {}
        for index, cell in x.cells.items():
            groups.setdefault(tuple(i for k, i in enumerate(index) if k not in skip), []).append(cell)
        wide = next((str(x.axes[k].size) for k in along if x.axes[k].kind == "wide"), "")

        def entry(index: Index) -> Cell:
            parts = groups[index]
            if wide:
                parts = [self.cells.reduced(how, part, wide) for part in parts]
            if how == "sum":
                return self.added(parts)
            result = parts[0]
            for part in parts[1:]:
                result = self.cells.cell(op, [result, part])
            return result

        return self.cells.array(axes, entry)

    def spread(self, y: Array, x: Array, along: set[int]) -> Array:
        """`y`, which has lost some axes of `x`, along them again."""
        return self.cells.array(
            x.axes, lambda index: y.cells[tuple(i for k, i in enumerate(index) if k not in along)]
        )

    def each(self, op: Operation, *args: Array, params: tuple[Any, ...] = ()) -> Array:
        """An operation on entries of arrays with the same axes."""
        return self.cells.array(
            args[0].axes, lambda index: self.cells.cell(op, [arg.cells[index] for arg in args], params)
        )

    def like(self, x: Array, value: float) -> Array:
        cell = self.cells.number(value)
        return self.cells.array(x.axes, lambda index: cell)

    def short_axis(self, x: Array, axis: int, node: Expr) -> None:
        if x.axes[axis].kind != "short":
            raise Unsupported(f"{node.op.name} along a long axis")
