"""The entries on one side of a diagonal: a product with ones there and zeros elsewhere."""

from __future__ import annotations

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Number
from gradstep.expression.shapes import shape_text
from gradstep.operations.arithmetic import multiply
from gradstep.operations.broadcasting import repeat
from gradstep.operations.families import is_one
from gradstep.operations.leaves import LARGEST_SIZE, expression, triangle_op, value_of


def triu(x: Expr, k: Expr | Number = 0) -> Expr:
    """The entries on and above the diagonal, the k-th one above it where `k` is given; zeros elsewhere.

    Of an array with more axes, of each matrix that its last two axes make.
    """
    return _triangle("triu", x, k)


def tril(x: Expr, k: Expr | Number = 0) -> Expr:
    """The entries on and below the diagonal, the k-th one above it where `k` is given; zeros elsewhere.

    Of an array with more axes, of each matrix that its last two axes make.
    """
    return _triangle("tril", x, k)


def _triangle(side: str, x: Expr, k: Expr | Number) -> Expr:
    x, at = expression(x), value_of(expression(k))
    if x.rank < 2:
        raise MathError(f"{side} takes a matrix, not {shape_text(x.shape)}")
    if at is None or at.denominator != 1 or abs(at) > LARGEST_SIZE:
        raise MathError("a diagonal is given by a whole number, written out", mend=f"{side}(X, 1)")
    ones = triangle_op(params=(side, *x.shape[-2:], at))
    ones = repeat(ones, tuple(range(x.rank - 2)), x.shape[:-2]) if x.rank > 2 else ones
    return ones if is_one(x) else multiply(x, ones)
