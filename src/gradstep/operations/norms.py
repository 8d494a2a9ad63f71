"""Norms: how long is a vector, and in which direction does it point?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import inf
from typing import Any

from gradstep.expression.boxes import (
    ATOM,
    PRODUCT,
    Box,
    Fence,
    Frac,
    Row,
    Sub,
    Sym,
    Written,
    fenced,
    row,
)
from gradstep.expression.boxes import number as number_box
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Number, Operation, Params, Spelled
from gradstep.expression.shapes import Shape, shape_text
from gradstep.operations.activations import abs, sqrt
from gradstep.operations.arithmetic import divide, power, scale
from gradstep.operations.broadcasting import repeat
from gradstep.operations.extremes import max
from gradstep.operations.families import JUXTAPOSED, Spell, Write, helped, only
from gradstep.operations.leaves import expression, number, value_of
from gradstep.operations.sums import Axis, axes_of, degrees, kept, mean, sum


def _axes(params: Params, rank: int) -> tuple[int, ...]:
    """The axes that a length is taken along."""
    return params[0] if params else tuple(range(rank))


def _checked(params: Params, shape: Shape) -> Shape:
    axes = _axes(params, len(shape))
    if params and (not axes or list(axes) != sorted(set(axes)) or not 0 <= axes[0] <= axes[-1] < len(shape)):
        raise MathError(f"{shape_text(shape)} has no axes {', '.join(map(str, axes))}")
    return shape


def _lengths_shape(params: Params, shape: Shape) -> Shape:
    _checked(params, shape)
    return tuple(size for k, size in enumerate(shape) if k not in _axes(params, len(shape)))


def _text(expr: Expr, spell: Spell) -> Spelled:
    inner = spell(expr.args[0])[0]
    if not expr.params:
        return f"{expr.op.name}({inner})", ATOM
    return f"{expr.op.name}({inner}, axis={_axis(expr.params)})", ATOM


def _axis(params: Params) -> str:
    axes = params[0]
    return str(axes[0] if len(axes) == 1 else axes)


def _bars(expr: Expr, write: Write) -> Box:
    """‖x‖; of rows or columns the axis is said."""
    bars = Fence("‖", write(expr.args[0]).box, "‖")
    if not expr.params:
        return bars
    return Sub(bars, Row((Sym("axis ", "text"), number_box(_axis(expr.params)))))


def _back(length: Expr, x: Expr, params: Params) -> Expr:
    """One number for each length, repeated to the shape of `x`."""
    axes = _axes(params, x.rank)
    return repeat(length, axes, tuple(x.shape[k] for k in axes))


def _over(x: Expr, length: Expr, params: Params) -> Expr:
    """`x` divided by lengths."""
    return x / _back(length, x, params) if params else scale(divide(1, length), x)


def _times(length: Expr, x: Expr, params: Params) -> Expr:
    return _back(length, x, params) * x if params else scale(length, x)


# Squares of what is above 1e154 or below 1e-154 are infinite or lose digits: there all entries are first
# divided by a power of two near the largest, which is exact.
_SCALED = (
    "def scaled(x, axes):\n"
    '    """x, divided by a power of two where squares are out of range; its exponent; their sum."""\n'
    "    squares = np.sum(np.square(x), axis=axes, keepdims=True)\n"
    "    limits = np.finfo(squares.dtype)\n"
    "    if np.all((squares > limits.tiny / limits.eps) & (squares < limits.max)):\n"
    "        return x, 0, squares\n"
    "    exponents = np.frexp(np.abs(x).max(axis=axes, keepdims=True))[1]\n"
    "    x = np.ldexp(x, -exponents)\n"
    "    return x, exponents, np.sum(np.square(x), axis=axes, keepdims=True)\n"
)
NORM = (
    _SCALED + "\n\ndef norm(x, axes):\n"
    "    _, exponents, squares = scaled(x, axes)\n"
    "    return np.ldexp(np.sqrt(squares), exponents).squeeze(axes)[()]\n"
)
UNIT = (
    _SCALED + "\n\ndef unit(x, axes):\n"
    "    x, _, squares = scaled(x, axes)\n"
    "    return x / np.where(squares == 0, 1, np.sqrt(squares))\n"
)


def _called(name: str) -> Callable[[Expr], str]:
    """The code of a call: norm(x, None), norm(X, (1,))."""
    return lambda expr: f"{name}({{0}}, {expr.params[0] if expr.params else None})"


def _meaning(helper: str, name: str) -> Callable[..., Any]:
    along = helped(helper, f"{name}({{0}}, *{{p0}})")
    return lambda np, sizes, params, x: along(np, sizes, (params or (None,),), x)


def _turned(y: Expr, x: Expr, d: Expr) -> Expr:
    """The part of `d` across x, over the length of x: (I − uuᵀ)d/‖x‖."""
    along = sum(y * d, _axes(y.params, x.rank))
    return _over(d - _times(along, y, y.params), norm_op(x, params=y.params), y.params)


_EXAMPLE = (((), (("n",),)), ((), (("m", "n"),)), (((1,),), (("m", "n"),)), (((0,),), (("m", "n"),)))


def _unit_box(expr: Expr, write: Write) -> Written:
    """x/‖x‖, row by row or column by column X ⊘ ‖X‖."""
    inner, bars = write(expr.args[0]), _bars(expr, write)
    if not expr.params:
        return Written(Frac(inner.box, bars), JUXTAPOSED)
    return Written(row(fenced(inner, PRODUCT), "⊘", bars), PRODUCT)


# params: the axes along which the length is taken, or nothing for all of them.
unit_op: Operation = Operation(
    "unit",
    _checked,
    _meaning(UNIT, "unit"),
    _text,
    _unit_box,
    lambda y, args, dargs: _turned(y, args[0], only(dargs)),
    lambda G, y, args: (_turned(y, args[0], G),),
    "direction rule",
    "x/‖x‖ keeps its length: only the part of dx across it counts, (I − uuᵀ)dx/‖x‖",
    _called("unit"),
    definition=lambda params, x: _over(x, norm_op(x, params=params), params),
    kink="at x = 0 there is no direction, and gradstep takes 0",
    helper=UNIT,
    example=_EXAMPLE,
)


def _norm_adjoint(G: Expr, y: Expr, args: Sequence[Expr]) -> tuple[Expr]:
    return (_times(G, unit_op(args[0], params=y.params), y.params),)


# params: as for unit.
norm_op: Operation = Operation(
    "norm",
    _lengths_shape,
    _meaning(NORM, "norm"),
    _text,
    lambda expr, write: Written(_bars(expr, write)),
    lambda y, args, dargs: sum(
        unit_op(args[0], params=y.params) * only(dargs), _axes(y.params, args[0].rank)
    ),
    _norm_adjoint,
    "norm rule",
    "a length changes by the part of the change that points the way of the vector itself",
    _called("norm"),
    helper=NORM,
    definition=lambda params, x: power(sum(power(x, 2), _axes(params, x.rank)), number(Fraction(1, 2))),
    kink="at x = 0 gradstep takes 0, the subgradient of smallest norm",
    example=_EXAMPLE,
)


def norm(x: Expr, ord: Number | None = None, axis: Axis = None, keepdims: bool = False) -> Expr:
    """The length of a vector, √Σxᵢ²; the Frobenius norm of a matrix; along `axis` one length for each row.

    `ord=1` is Σ|xᵢ|, `ord=inf` the largest |xᵢ|, and ord=p, p ≥ 1, is (Σ|xᵢ|ᵖ)^(1/p). Of a whole matrix NumPy
    means something else by these (the largest column sum, the largest row sum, for 2 the largest singular
    value): they are refused there.
    """
    x = expression(x)
    axes = axes_of(x, axis)
    p = _order(ord)
    if ord is not None and len(axes) > 1:
        entrywise = {1.0: "sum(abs(X))", 2.0: "norm(X)", inf: "max(abs(X))"}
        raise MathError(
            "a matrix has several norms of this order",
            facts=["entry by entry, or by what the matrix does to vectors"],
            mend=f"{entrywise.get(float(p), f'sum(abs(X)**{ord})**(1/{ord})')}, entry by entry",
        )
    if p == 1:
        result = sum(abs(x), axes)
    elif p == 2:
        result = norm_op(x, params=() if len(axes) == x.rank else (axes,))
    elif p == inf:
        result = max(abs(x), axes)
    else:
        even = Fraction(p) % 2 == 0
        result = power(sum(power(x if even else abs(x), number(p)), axes), number(1 / Fraction(p)))
    return kept(result, axes, keepdims)


def _order(ord: object) -> Fraction | float:
    """The order of a norm: a number from 1 on, or infinity."""
    if ord is None:
        return 2
    try:
        p = inf if ord == inf else value_of(number(ord))
    except MathError:
        p = None
    if p is None or p < 1 or isinstance(ord, bool):
        raise MathError(
            f"norms are of order 1 or more, or inf, not {ord!s:.20}", mend="norm(x, 1), norm(x, 3)"
        )
    return p


def std(x: Expr, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Expr:
    """The root of `var`: the length of the deviations over √n. Where all entries are equal its slope is 0."""
    x = expression(x)
    axes = axes_of(x, axis)
    if not axes:
        return 0 * x
    deviation = x - mean(x, axes, keepdims=True)
    return kept(norm(deviation, axis=axes) / sqrt(degrees(x, axes, ddof)), axes, keepdims)


def unit(x: Expr, axis: Axis = None) -> Expr:
    """x/‖x‖, the direction of x; along `axis` of each row or column. Where x = 0 it is 0."""
    x = expression(x)
    axes = axes_of(x, axis)
    return unit_op(x, params=() if len(axes) == x.rank else (axes,))
