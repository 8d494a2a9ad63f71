"""The largest and the smallest entry along axes: which entry moves them, and what if there are several?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradstep.expression.boxes import ATOM
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Number, Operation, Params, Spelled
from gradstep.expression.shapes import Shape, shape_text
from gradstep.operations.activations import maximum, minimum
from gradstep.operations.broadcasting import repeat
from gradstep.operations.families import Spell, only
from gradstep.operations.leaves import expression
from gradstep.operations.rowwise import axis_box
from gradstep.operations.sums import Axis, axes_of, kept, sum

TIES = "where several entries tie, they share equally: the subgradient of smallest norm"


def _axes_shape(params: Params, shape: Shape) -> Shape:
    """The shape of the operand, if it has these axes."""
    (axes,) = params
    if not axes or list(axes) != sorted(set(axes)) or not 0 <= axes[0] <= axes[-1] < len(shape):
        raise MathError(f"{shape_text(shape)} has no axes {', '.join(map(str, axes))}")
    return shape


def _without_axes(params: Params, shape: Shape) -> Shape:
    _axes_shape(params, shape)
    return tuple(size for k, size in enumerate(shape) if k not in params[0])


def _axes_text(expr: Expr, spell: Spell) -> Spelled:
    """f(x), f(X, axis=1), f(X, axis=(0, 2)); no axis where all of them are meant."""
    axes, body = expr.params[0], expr.args[0]
    inner = spell(body)[0]
    if len(axes) == body.rank:
        return f"{expr.op.name}({inner})", ATOM
    return f"{expr.op.name}({inner}, axis={axes[0] if len(axes) == 1 else axes})", ATOM


def _hard_meaning(np: Any, sizes: Any, params: Params, x: Any) -> Any:
    largest = 1.0 * (x == np.max(x, axis=params[0], keepdims=True))
    return largest / np.sum(largest, axis=params[0], keepdims=True)


_EXAMPLE = (
    (((0,),), (("n",),)),
    (((0, 1),), (("m", "n"),)),
    (((1,),), (("m", "n"),)),
    (((0,),), (("m", "n"),)),
)

# params: the axes.
hardmax_op: Operation = Operation(
    "hardmax",
    _axes_shape,
    _hard_meaning,
    _axes_text,
    axis_box("hardmax", silent=False),
    lambda y, args, dargs: 0 * only(dargs),
    lambda G, y, args: (0 * G,),
    "slope of hardmax",
    "which entry is the largest stands still until another one overtakes it: the slope is 0",
    lambda expr: f"hardmax({{0}}, {expr.params[0]})",
    kink=TIES,
    helper=(
        "def hardmax(x, axes):\n"
        "    largest = x == x.max(axis=axes, keepdims=True)\n"
        "    return largest / largest.sum(axis=axes, keepdims=True, dtype=x.dtype)\n"
    ),
    example=_EXAMPLE,
)


def _extreme(name: str, sign: int, word: str) -> Operation:
    """max and min: the entry that hardmax points at moves them."""

    def pointing(x: Expr, params: Params) -> Expr:
        return hardmax_op(x if sign > 0 else -x, params=params)

    def spread(G: Expr, x: Expr, axes: tuple[int, ...]) -> Expr:
        return repeat(G, axes, tuple(x.shape[k] for k in axes))

    return Operation(
        name,
        _without_axes,
        lambda np, sizes, params, x: getattr(np, name)(x, axis=params[0]),
        _axes_text,
        axis_box(name, silent=False),
        lambda y, args, dargs: sum(pointing(args[0], y.params) * only(dargs), y.params[0]),
        lambda G, y, args: (spread(G, args[0], y.params[0]) * pointing(args[0], y.params),),
        f"slope of the {word} entry",
        f"the {word} entry alone moves it: the slope is 1 there and 0 elsewhere",
        lambda expr: (
            f"np.{name}({{0}}"
            + (
                f", axis={expr.params[0] if len(expr.params[0]) > 1 else expr.params[0][0]})"
                if expr.rank
                else ")"
            )
        ),
        definition=lambda params, x: sum(pointing(x, params) * x, params[0]),
        kink=TIES,
        example=_EXAMPLE,
    )


max_op = _extreme("max", 1, "largest")
min_op = _extreme("min", -1, "smallest")


def _along(op: Operation) -> Callable[[Expr | Number, Axis, bool], Expr]:
    def made(x: Expr | Number, axis: Axis, keepdims: bool) -> Expr:
        x = expression(x)
        axes = axes_of(x, axis)
        return kept(op(x, params=(axes,)), axes, keepdims) if axes else x

    return made


def max(x: Expr | Number, axis: Axis | Expr = None, keepdims: bool = False) -> Expr:
    """The largest entry, of all or along `axis`; of two arrays, max(0, z), it is maximum(0, z)."""
    if isinstance(axis, Expr):
        return maximum(x, axis)
    return _along(max_op)(x, axis, keepdims)


def min(x: Expr | Number, axis: Axis | Expr = None, keepdims: bool = False) -> Expr:
    """The smallest entry, of all or along `axis`; of two arrays, min(1, z), it is minimum(1, z)."""
    if isinstance(axis, Expr):
        return minimum(x, axis)
    return _along(min_op)(x, axis, keepdims)


def hardmax(x: Expr, axis: Axis = None) -> Expr:
    """1 at the largest entry, of all or along `axis`, and 0 elsewhere; entries that tie share the 1."""
    return _along(hardmax_op)(x, axis, False)
