"""What do the diagonals of a matrix add up to? The sum of each, put along it again."""

from __future__ import annotations

from typing import Any

from gradstep.expression.boxes import Fence, Row, Sym, Written
from gradstep.expression.node import Expr, Operation, Params
from gradstep.expression.shapes import Shape
from gradstep.operations.diagonals import square_size
from gradstep.operations.families import Write, call_text, only
from gradstep.operations.leaves import expression

HELPER = '''def diagonal_sums(a):
    """Every entry becomes the sum along its diagonal."""
    n = a.shape[-1]
    sums = np.array([np.trace(a, k, -2, -1) for k in np.arange(1 - n, n)])
    return np.moveaxis(sums, 0, -1)[..., np.arange(n) - np.arange(n)[:, None] + n - 1]
'''


def _shape(params: Params, shape: Shape) -> Shape:
    square_size("diagonal_sums", shape[-2:])
    return shape


def _meaning(np: Any, sizes: Any, params: Params, a: Any) -> Any:
    n = a.shape[-1]
    sums = np.array([np.trace(a, k, -2, -1) for k in np.arange(1 - n, n)])
    return np.moveaxis(sums, 0, -1)[..., np.arange(n) - np.arange(n)[:, None] + n - 1]


def _box(expr: Expr, write: Write) -> Written:
    """α(A), as in The Matrix Cookbook, section 2.8.3."""
    return Written(Row((Sym("α", "function"), Fence("(", write(expr.args[0]).box, ")"))))


diagonal_sums_op: Operation = Operation(
    "diagonal_sums",
    _shape,
    _meaning,
    call_text,
    _box,
    lambda y, args, dargs: diagonal_sums_op(only(dargs)),
    lambda G, y, args: (diagonal_sums_op(G),),
    "sums of the diagonals",
    "an entry moves the whole of its diagonal: what arrives along the diagonal is added",
    "diagonal_sums({0})",
    helper=HELPER,
    example=(((), (("n", "n"),)), ((), (("m", "n", "n"),))),
)


def diagonal_sums(x: Expr) -> Expr:
    """α(X): every entry of a square matrix becomes the sum of the entries along its diagonal.

    Of an array with more axes, each matrix that its last two axes make.
    """
    return diagonal_sums_op(expression(x))
