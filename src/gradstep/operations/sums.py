"""Sums, means and variances: how do many entries become one?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Number
from gradstep.expression.shapes import Size, axis_number, listed_axes
from gradstep.operations.arithmetic import divide, multiply, power, scale
from gradstep.operations.broadcasting import repeat, sum_over
from gradstep.operations.leaves import expression, size, value_of

Axis = int | tuple[int, ...] | None


def axes_of(x: Expr, axis: Axis) -> tuple[int, ...]:
    """The axes that `axis` names, all of them for None."""
    if axis is None:
        return tuple(range(x.rank))
    return tuple(sorted({axis_number(a, x.rank) for a in listed_axes(axis)}))


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


def var(x: Expr | Number, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Expr:
    """The mean squared deviation from the mean, of all entries or along `axis`.

    With `ddof` the sum of squares is divided by the number of entries less `ddof`, as in NumPy.
    """
    x = expression(x)
    axes = axes_of(x, axis)
    deviation = x - mean(x, axes, keepdims=True)
    return kept(scale(divide(1, degrees(x, axes, ddof)), sum_over(power(deviation, 2), axes)), axes, keepdims)


def degrees(x: Expr, axes: tuple[int, ...], ddof: int) -> Expr:
    """What a sum of squared deviations is divided by: the number of entries less `ddof`."""
    if isinstance(ddof, bool) or not isinstance(ddof, int):
        raise MathError(f"ddof is a whole number, not {ddof!r:.40}", mend="ddof=1")
    entries = count([x.shape[a] for a in axes]) if axes else expression(1)
    left = entries - ddof if ddof else entries
    known = value_of(left)
    if known is not None and known <= 0:
        raise MathError(f"of {entries} entries, ddof={ddof} leaves none to divide by")
    return left
