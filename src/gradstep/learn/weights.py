"""What if some rows count more than others? The same loss, in which a row of weight 2 counts as two rows."""

from __future__ import annotations

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, rebuild, walk
from gradstep.expression.shapes import Size, size_names
from gradstep.learn.scaling import Array
from gradstep.operations.arithmetic import multiply
from gradstep.operations.broadcasting import repeat
from gradstep.operations.leaves import size_op
from gradstep.operations.sums import sum

MOST_MERGED = 20_000  # rows; above, to look for equal ones would take as long as to train


def weighted(loss: Expr, rows: Size, weights: Expr) -> Expr:
    """`loss` with a weight for each row: every sum over `rows` is weighted, and their number is Σ weights.

    So a whole weight does what repeating the row would do, and a weight of 0 what leaving it out would.
    Raises `MathError` where rows meet otherwise than in a sum or a mean.
    """
    total = sum(weights)
    made: dict[Expr, Expr] = {}
    for node in walk(loss):
        args = [made[arg] for arg in node.args]
        if node.op is size_op and node.params[0] == rows:
            made[node] = total
        else:
            made[node] = rebuild(node, _weighed(node, args, rows, weights))
    return made[loss]


def _weighed(node: Expr, args: list[Expr], rows: Size, weights: Expr) -> list[Expr]:
    """The operands of a node, one of them weighted where the node sums over rows."""
    carrying = [place for place, arg in enumerate(args) if rows in arg.shape]
    if not carrying or rows in node.shape:
        if any(size != rows and rows in size_names(size) for size in node.shape):
            raise _unknown(node)
        return args
    if node.op.indices is None:
        raise _unknown(node)
    words = node.op.indices(node.params, *(arg.rank for arg in args)).partition("->")[0].split(",")
    letters = {words[place][args[place].shape.index(rows)] for place in carrying}
    if len(letters) != 1 or any(args[place].shape.count(rows) > 1 for place in carrying):
        raise _unknown(node)
    place = min(carrying, key=lambda place: args[place].rank)  # the smallest array is weighted
    operand = args[place]
    axis = operand.shape.index(rows)
    others = tuple(k for k in range(operand.rank) if k != axis)
    spread = repeat(weights, others, tuple(operand.shape[k] for k in others)) if others else weights
    return [multiply(operand, spread) if k == place else arg for k, arg in enumerate(args)]


def _unknown(node: Expr) -> MathError:
    return MathError(
        "rows have weights where they meet in sums and means alone",
        facts=[f"here they meet in {node.op.name}"],
        mend="the weights written into the loss",
    )


def merged(X: Array, target: Array, weights: Array | None) -> tuple[Array, Array, Array | None]:
    """Equal rows as one row with the sum of their weights, and none of weight 0.

    So a row of weight 2 and a row that is there twice are the same data, to the last bit, as are their fits.
    No weights come back where all are equal.
    """
    counted = np.ones(len(X)) if weights is None else weights
    kept = counted > 0
    X, target, counted = X[kept], target[kept], counted[kept]
    if len(X) <= MOST_MERGED:
        whole = np.column_stack([X, target])
        _, first, which = np.unique(whole, axis=0, return_index=True, return_inverse=True)
        if len(first) < len(X) or (counted != counted[0]).any():
            X, target = X[first], target[first]
            counted = np.bincount(which.ravel(), counted).astype(np.float64)
    return X, target, None if (counted == counted[0]).all() else counted
