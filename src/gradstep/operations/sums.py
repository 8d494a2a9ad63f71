"""Sums, means and norms: how do many entries become one?"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce

from gradstep.expression.boxes import Fence, Written
from gradstep.expression.node import Expr, Number, Operation
from gradstep.expression.shapes import Size, axis_number
from gradstep.operations.arithmetic import divide, multiply, power, scale
from gradstep.operations.broadcasting import repeat, sum_over
from gradstep.operations.families import call_text, only
from gradstep.operations.leaves import expression, number, size

Axis = int | tuple[int, ...] | None


def axes_of(x: Expr, axis: Axis) -> tuple[int, ...]:
    """The axes that `axis` names, all of them for None."""
    if axis is None:
        return tuple(range(x.rank))
    return tuple(sorted({axis_number(a, x.rank) for a in ((axis,) if isinstance(axis, int) else axis)}))


def kept(result: Expr, axes: tuple[int, ...], keepdims: bool) -> Expr:
    """`result` with the lost axes put back as axes of size one, if they are to be kept."""
    return repeat(result, axes, (1,) * len(axes)) if keepdims else result


def sum(x: Expr | Number, axis: Axis = None, keepdims: bool = False) -> Expr:
    """The sum of all entries, or along `axis`."""
    x = expression(x)
    axes = axes_of(x, axis)
    return kept(sum_over(x, axes), axes, keepdims)


def count(sizes: Sequence[Size]) -> Expr:
    """How many entries an array of these sizes has, as a number in a formula."""
    return reduce(multiply, map(size, sizes))


def mean(x: Expr | Number, axis: Axis = None, keepdims: bool = False) -> Expr:
    """The mean of all entries, or along `axis`: their sum divided by their number."""
    x = expression(x)
    axes = axes_of(x, axis)
    if not axes:
        return x
    average = scale(divide(1, count([x.shape[a] for a in axes])), sum_over(x, axes))
    return kept(average, axes, keepdims)


norm_op = Operation(
    "norm",
    lambda params, shape: (),
    lambda np, sizes, params, x: np.sqrt(np.sum(np.square(x))),
    call_text,
    lambda expr, write: Written(Fence("‖", write(expr.args[0]).box, "‖")),
    lambda y, args, dargs: sum(args[0] * only(dargs)) / y,
    lambda G, y, args: (divide(G, y) * args[0],),
    "norm rule",
    "the length of x changes by the part of dx along x/‖x‖",
    "np.linalg.norm({0})",
    definition=lambda params, x: power(sum(power(x, 2)), number(Fraction(1, 2))),
    domain="nonzero",
    kink="at x = 0 the norm has no slope, and this no value",
    example=(((), (("n",),)), ((), (("m", "n"),))),
)


def norm(x: Expr) -> Expr:
    """The 2-norm of a vector, the Frobenius norm of a matrix."""
    return norm_op(expression(x))
