"""Entrywise functions: what bends a network, and how steep is it?

A member is its slope and one sentence. At a kink the slope is the subgradient of smallest norm, and `kink`
says which: relu′(0) = 0, as in Parr and Howard, "The Matrix Calculus You Need For Deep Learning", section 5.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from gradstep.expression.boxes import ATOM, Fence, Root, Row, Sym, Written
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Number, Params, Spelled
from gradstep.operations.arithmetic import (
    equal,
    exp,
    greater,
    log,
    one_like,
)
from gradstep.operations.broadcasting import together
from gradstep.operations.families import Spell, Write, call_box, elementwise, spread_call_text
from gradstep.operations.leaves import expression, is_constant, number, number_text, value_of

# ------------------------------------------------------------------------------------------- smooth

sqrt_op = elementwise(
    "sqrt",
    lambda y, x: 1 / (2 * y),
    code="np.sqrt({0})",
    why="the slope of √x is 1/(2√x)",
    layout=lambda expr, write: Written(Root(write(expr.args[0]).box)),
    domain="positive",
)
tanh_op = elementwise(
    "tanh",
    lambda y, x: 1 - y**2,
    code="np.tanh({0})",
    why="the slope of tanh is 1 − tanh²",
    definition=lambda params, x: (exp(x) ** 2 - 1) / (exp(x) ** 2 + 1),
)
sigmoid_op = elementwise(
    "sigmoid",
    lambda y, x: y * (1 - y),
    code="np.exp(-np.logaddexp(0, -({0})))",
    why="the slope of σ is σ (1 − σ)",
    layout=lambda expr, write: Written(Row((Sym("σ", "function"), Fence("(", write(expr.args[0]).box, ")")))),
    definition=lambda params, x: 1 / (1 + exp(-x)),
)
softplus_op = elementwise(
    "softplus",
    lambda y, x: sigmoid(x),
    code="np.logaddexp(0, {0})",
    why="the slope of log(1 + eˣ) is σ(x)",
    definition=lambda params, x: log(1 + exp(x)),
)

# ------------------------------------------------------------------------------------------- with a kink


def _relu_box(expr: Expr, write: Write) -> Written:
    return Written(
        Row(
            (
                Sym("max", "function"),
                Fence("(", Row((Sym("0", "number"), Sym(", ", "operator"), write(expr.args[0]).box)), ")"),
            )
        )
    )


relu_op = elementwise(
    "relu",
    lambda y, x: x > 0,
    code="np.maximum({0}, 0)",
    rule="slope of max(0, z)",
    why="the two pieces of max(0, z): slope 0 where z ≤ 0, slope 1 where z > 0",
    layout=_relu_box,
    definition=lambda params, x: x * (x > 0),
    kink="at z = 0 gradstep takes 0",
)
abs_op = elementwise(
    "abs",
    lambda y, x: sign(x),
    code="np.abs({0})",
    rule="slope of |x|",
    why="the two pieces of |x|: slope −1 where x < 0, slope 1 where x > 0",
    layout=lambda expr, write: Written(Fence("|", write(expr.args[0]).box, "|")),
    definition=lambda params, x: x * sign(x),
    kink="at x = 0 gradstep takes 0",
)
sign_op = elementwise(
    "sign",
    lambda y, x: 0 * one_like(x),
    code="np.sign({0})",
    rule="slope of a step",
    why="the sign stands still on both sides of 0: its slope is 0",
    kink="at x = 0 gradstep takes 0",
)


def _leaky_text(expr: Expr, spell: Spell) -> Spelled:
    return f"leaky_relu({spell(expr.args[0])[0]}, {number_text(expr.params[0])[0]})", ATOM


def _leaky_meaning(np: Any, sizes: Any, params: Params, x: Any) -> Any:
    return np.where(x > 0, x, float(params[0]) * x)


def _leaky_slope(y: Expr, x: Expr) -> Expr:
    leak = y.params[0]
    return number(leak) + number(1 - leak) * (x > 0)


# params: the slope on the left.
leaky_relu_op = elementwise(
    "leaky_relu",
    _leaky_slope,
    code="leaky_relu({0}, {p0})",
    rule="slope of leaky_relu",
    why="two straight pieces: the small slope where z ≤ 0, slope 1 where z > 0",
    text=_leaky_text,
    meaning=_leaky_meaning,
    definition=lambda params, x: number(params[0]) * x + (1 - params[0]) * x * (x > 0),
    kink="at z = 0 gradstep takes the small slope",
    helper="def leaky_relu(z, slope):\n    return np.where(z > 0, z, slope * z)\n",
    example=tuple(((Fraction(1, 100),), (shape,)) for shape in ((), ("n",), ("m", "n"))),
)


def _share(a: Expr, b: Expr) -> Expr:
    """1 where a is the larger, ½ each where both are equal (the subgradient of smallest norm).

    Against a constant there is only one slope to choose, and the one of smallest norm is 0.
    """
    larger = greater(a, b)
    tie = a if not is_constant(a) and not is_constant(b) else None
    return larger if tie is None else larger + equal(a, b) / 2


maximum_op = elementwise(
    "maximum",
    lambda y, a, b: _share(a, b),
    lambda y, a, b: _share(b, a),
    code="np.maximum({0}, {1})",
    rule="slope of max(a, b)",
    why="the larger one moves the maximum",
    text=spread_call_text(lambda a, b: maximum(a, b)),
    layout=call_box("max"),
    definition=lambda params, a, b: b + (a - b) * greater(a, b),
    kink="where a = b each gets ½; against a constant the slope there is 0",
)
minimum_op = elementwise(
    "minimum",
    lambda y, a, b: _share(b, a),
    lambda y, a, b: _share(a, b),
    code="np.minimum({0}, {1})",
    rule="slope of min(a, b)",
    why="the smaller one moves the minimum",
    text=spread_call_text(lambda a, b: minimum(a, b)),
    layout=call_box("min"),
    definition=lambda params, a, b: a + (b - a) * greater(a, b),
    kink="where a = b each gets ½; against a constant the slope there is 0",
)

# ------------------------------------------------------------------------------------------- the door


def sqrt(x: Expr | Number) -> Expr:
    """The square root of each entry."""
    return sqrt_op(expression(x))


def tanh(x: Expr | Number) -> Expr:
    """The hyperbolic tangent of each entry."""
    return tanh_op(expression(x))


def sigmoid(x: Expr | Number) -> Expr:
    """1/(1 + e⁻ˣ) of each entry."""
    return sigmoid_op(expression(x))


def softplus(x: Expr | Number) -> Expr:
    """log(1 + eˣ) of each entry, without overflow."""
    return softplus_op(expression(x))


def relu(x: Expr | Number) -> Expr:
    """max(0, x) of each entry."""
    return relu_op(expression(x))


def leaky_relu(x: Expr | Number, slope: object = 0.01) -> Expr:
    """x where x > 0, slope·x elsewhere; the slope is a number, 0.01 unless told otherwise."""
    leak = value_of(slope) if isinstance(slope, Expr) else value_of(number(slope))
    if leak is None:
        raise MathError("the slope of leaky_relu is a plain number", mend="leaky_relu(z, 0.01)")
    return leaky_relu_op(expression(x), params=(leak,))


def abs(x: Expr | Number) -> Expr:
    """|x| of each entry."""
    return abs_op(expression(x))


def sign(x: Expr | Number) -> Expr:
    """−1, 0 or 1 for each entry."""
    return sign_op(expression(x))


def maximum(a: Expr | Number, b: Expr | Number) -> Expr:
    """The larger of a and b, entry by entry; max(0, z) is relu(z)."""
    a, b = expression(a), expression(b)
    for zero, other in ((a, b), (b, a)):
        if value_of(zero) == 0:
            return relu(other)
    return maximum_op(*together("maximum", a, b))


def minimum(a: Expr | Number, b: Expr | Number) -> Expr:
    """The smaller of a and b, entry by entry."""
    return minimum_op(*together("minimum", expression(a), expression(b)))
