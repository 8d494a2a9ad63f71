"""Running sums and products along an axis: how does an entry depend on all before it, or on all others?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradstep.expression.boxes import PRODUCT, Big, Written, fenced
from gradstep.expression.node import Expr, Operation, Params
from gradstep.expression.shapes import Shape, axis_number
from gradstep.operations.arithmetic import one_like
from gradstep.operations.broadcasting import repeat
from gradstep.operations.diagonals import eye
from gradstep.operations.families import Write, axis_text, only
from gradstep.operations.flips import flip, one_axis
from gradstep.operations.leaves import expression
from gradstep.operations.rowwise import axis_box, back, lost
from gradstep.operations.sums import Axis, axes_of, kept, sum


def _kept_shape(params: Params, shape: Shape) -> Shape:
    (axis,) = params
    axis_number(axis, len(shape))
    return shape


_EXAMPLE = (((0,), (("n",),)), ((0,), (("m", "n"),)), ((1,), (("m", "n"),)))

# params: the axis.
cumsum_op: Operation = Operation(
    "cumsum",
    _kept_shape,
    lambda np, sizes, params, x: np.cumsum(x, axis=params[0]),
    axis_text,
    axis_box("cumsum", silent=False),
    lambda y, args, dargs: cumsum_op(only(dargs), params=y.params),
    lambda G, y, args: (flip(cumsum(flip(G, y.params[0]), y.params[0]), y.params[0]),),
    "cumulative sum rule",
    "xᵢ is in every sum from the i-th on: its derivative is the cumulative sum from the other end",
    lambda expr: f"np.cumsum({{0}}, axis={expr.params[0]})",
    example=_EXAMPLE,
)


def cumsum(x: Expr, axis: int | None = None) -> Expr:
    """The sums of the first one, two, three … entries along `axis`; of a matrix the axis must be said."""
    x = expression(x)
    return cumsum_op(x, params=(axis_number(one_axis("cumsum", x, axis), x.rank),))


# ------------------------------------------------------------------------------------------- products


def _squared(x: Expr, axis: int) -> Expr:
    """In row i, along a new last axis: the entries of `x` along `axis`, with a one in the place of the i-th.

    For a vector x this is 𝟏xᵀ off the diagonal, and one on it.
    """
    size = x.shape[axis]
    rows = repeat(x, axis, size)  # axis: which entry is left out; axis + 1: the entries
    others = tuple(k for k in range(rows.rank) if k not in (axis, axis + 1))
    same = repeat(eye(size), others, tuple(rows.shape[k] for k in others))
    return rows * (one_like(rows) - same) + same


def _others_change(y: Expr, args: Sequence[Expr], dargs: Sequence[Expr | None]) -> Expr:
    axis = y.params[0]
    change = _off_diagonal(repeat(only(dargs), axis, args[0].shape[axis]), axis)
    return sum(prod_others(_squared(args[0], axis), axis + 1) * change, axis + 1)


def _others_adjoint(G: Expr, y: Expr, args: Sequence[Expr]) -> tuple[Expr]:
    axis = y.params[0]
    spread = repeat(G, axis + 1, args[0].shape[axis])
    return (sum(_off_diagonal(spread * prod_others(_squared(args[0], axis), axis + 1), axis), axis),)


def _off_diagonal(x: Expr, axis: int) -> Expr:
    size = x.shape[axis]
    others = tuple(k for k in range(x.rank) if k not in (axis, axis + 1))
    same = repeat(eye(size), others, tuple(x.shape[k] for k in others))
    return x * (one_like(x) - same)


def _others_meaning(np: Any, sizes: Any, params: Params, x: Any) -> Any:
    x = np.moveaxis(x, params[0], -1)
    one = np.ones_like(x[..., :1])
    before = np.cumprod(np.concatenate([one, x[..., :-1]], -1), -1)
    after = np.cumprod(np.concatenate([one, x[..., :0:-1]], -1), -1)[..., ::-1]
    return np.moveaxis(before * after, -1, params[0])


# params: the axis.
prod_others_op: Operation = Operation(
    "prod_others",
    _kept_shape,
    _others_meaning,
    axis_text,
    axis_box("prod of others", silent=False),
    _others_change,
    _others_adjoint,
    "product rule",
    "every product without xᵢ moves with each of its factors while the others stand still",
    "prod_others({0}, axis={p0})",
    definition=lambda params, x: prod(_squared(x, params[0]), params[0] + 1),
    helper=(
        "def prod_others(x, axis):\n"
        "    x = np.moveaxis(x, axis, -1)\n"
        "    one = np.ones_like(x[..., :1])\n"
        "    before = np.cumprod(np.concatenate([one, x[..., :-1]], -1), -1)\n"
        "    after = np.cumprod(np.concatenate([one, x[..., :0:-1]], -1), -1)[..., ::-1]\n"
        "    return np.moveaxis(before * after, -1, axis)\n"
    ),
    example=_EXAMPLE,
)


def _prod_box(expr: Expr, write: Write) -> Written:
    body = expr.args[0]
    if body.rank == 1:
        return Written(Big("∏", None, None, fenced(write(body), PRODUCT + 5)), PRODUCT)
    return axis_box("prod", silent=False)(expr, write)


prod_op: Operation = Operation(
    "prod",
    lost,
    lambda np, sizes, params, x: np.prod(x, axis=params[0]),
    axis_text,
    _prod_box,
    lambda y, args, dargs: sum(prod_others(args[0], y.params[0]) * only(dargs), y.params[0]),
    lambda G, y, args: (back(G, args[0], y.params[0]) * prod_others(args[0], y.params[0]),),
    "product rule",
    "each factor moves while the others stand still: the slope is the product of the others",
    lambda expr: f"np.prod({{0}}, axis={expr.params[0]})",
    example=_EXAMPLE,
)


def prod(x: Expr, axis: Axis = None, keepdims: bool = False) -> Expr:
    """The product of all entries, or along `axis`."""
    x = expression(x)
    axes = axes_of(x, axis)
    result = x
    for a in reversed(axes):
        result = prod_op(result, params=(a,))
    return kept(result, axes, keepdims)


def prod_others(x: Expr, axis: int | None = None) -> Expr:
    """For each entry the product of all other entries along `axis`: the derivative of their product."""
    x = expression(x)
    return prod_others_op(x, params=(axis_number(one_axis("prod_others", x, axis), x.rank),))
