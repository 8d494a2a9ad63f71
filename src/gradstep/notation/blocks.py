"""How does it read that heads stand side by side in one matrix? W⁽ʰ⁾ is block h of W, [O₁ ⋯ O_h] all.

Reshaping n×(h·k) to n×h×k cuts the columns into h blocks, and back puts them side by side again: with an
index for h that is all there is to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from gradstep.expression.node import Expr
from gradstep.expression.shapes import Shape, Size, times
from gradstep.notation.indices import block_op
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op

Group = tuple[range, range]  # axes before, and the axes after with as many entries


def groups(before: Shape, after: Shape) -> list[Group]:
    """The axes of two shapes of one array in runs with as many entries: (n, h·k) and (n, h, k) in two."""
    found: list[Group] = []
    i = j = 0
    while i < len(before) or j < len(after):
        p, q = next(_fitting(before[i:], after[j:]), (len(before) - i, len(after) - j))
        found.append((range(i, i + p), range(j, j + q)))
        i, j = i + p, j + q
    return found


def _fitting(before: Shape, after: Shape) -> Iterator[tuple[int, int]]:
    """How many axes from the front have as many entries as how many of the other shape, the fewest first."""
    for total in range(2, len(before) + len(after)):
        for p in range(max(1, total - len(after)), min(total - 1, len(before)) + 1):
            if times(1, *before[:p]) == times(1, *after[: total - p]):
                yield p, total - p


def block(x: Expr, axis: int, index: str, count: Size, inner: Size) -> Expr:
    """Block `index` of x; of a product that of the factor which has this axis: (X W)⁽ʰ⁾ = X W⁽ʰ⁾."""
    if x.op is matmul_op and x.args[1].rank == 2 and axis == x.rank - 1:
        A, B = x.args
        return A @ block(B, 1, index, count, inner)
    if x.op is matmul_op and [arg.rank for arg in x.args] == [2, 2]:
        A, B = x.args
        return block(A, 0, index, count, inner) @ B
    if x.op is transpose_op and x.rank == 2:
        return transpose_op(block(x.args[0], 1 - axis, index, count, inner))
    return block_op(x, params=(axis, index, count, inner))


def block_of(array: Sequence[int], dims: Sequence[int], axis: int, at: int, inner: int) -> list[int]:
    """Block `at` of an array, row-major."""
    below, size = prod(dims[axis + 1 :]), prod(dims[axis:])
    starts = [above * size + at * inner * below for above in range(prod(dims[:axis]))]
    return [x for start in starts for x in array[start : start + inner * below]]


def joined(blocks: Sequence[Sequence[int]], dims: Sequence[int], axis: int) -> list[int]:
    """Arrays of these dimensions, one behind the other along an axis."""
    run = prod(dims[axis:])
    return [
        x
        for above in range(prod(dims[:axis]))
        for part in blocks
        for x in part[above * run : (above + 1) * run]
    ]
