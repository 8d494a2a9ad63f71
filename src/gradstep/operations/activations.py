"""Entrywise functions: what bends a network, and how steep is it?

A member is its slope and one sentence. At a kink the slope is the subgradient of smallest norm, and `kink`
says which: relu′(0) = 0, as in Parr and Howard, "The Matrix Calculus You Need For Deep Learning", section 5.
"""

from __future__ import annotations

from gradstep.expression.boxes import Fence, Root, Row, Sym, Written
from gradstep.expression.node import Expr, Number
from gradstep.operations.arithmetic import (
    equal,
    exp,
    greater,
    log,
    one_like,
)
from gradstep.operations.broadcasting import together
from gradstep.operations.families import Write, call_box, elementwise, spread_call_text
from gradstep.operations.leaves import expression, value_of

# ------------------------------------------------------------------------------------------- smooth

# e⁻ˡˣˡ neither overflows nor loses digits: σ(x) is 1/(1 + e⁻ˣ) where x ≥ 0, and eˣ/(1 + eˣ) where x < 0.
SIGMOID = "def sigmoid(x):\n    q = np.exp(-np.abs(x))\n    return np.where(x >= 0, 1, q) / (1 + q)\n"

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
    code="sigmoid({0})",
    why="the slope of σ is σ (1 − σ)",
    layout=lambda expr, write: Written(Row((Sym("σ", "function"), Fence("(", write(expr.args[0]).box, ")")))),
    definition=lambda params, x: 1 / (1 + exp(-x)),
    helper=SIGMOID,
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


# The subgradient of smallest norm: where both are equal each gets ½, or, where one of them stands still, 0.
def _share(a: Expr, b: Expr) -> Expr:
    return greater(a, b) + equal(a, b) / 2


maximum_op = elementwise(
    "maximum",
    lambda y, a, b: _share(a, b),
    lambda y, a, b: _share(b, a),
    code="np.maximum({0}, {1})",
    rule="slope of max(a, b)",
    alone=(lambda y, a, b: greater(a, b), lambda y, a, b: greater(b, a)),
    why="the larger one moves the maximum",
    text=spread_call_text(lambda a, b: maximum(a, b)),
    layout=call_box("max"),
    definition=lambda params, a, b: b + (a - b) * greater(a, b),
    kink="where a = b each gets ½; against what stands still the slope there is 0",
)
minimum_op = elementwise(
    "minimum",
    lambda y, a, b: _share(b, a),
    lambda y, a, b: _share(a, b),
    code="np.minimum({0}, {1})",
    rule="slope of min(a, b)",
    alone=(lambda y, a, b: greater(b, a), lambda y, a, b: greater(a, b)),
    why="the smaller one moves the minimum",
    text=spread_call_text(lambda a, b: minimum(a, b)),
    layout=call_box("min"),
    definition=lambda params, a, b: a + (b - a) * greater(a, b),
    kink="where a = b each gets ½; against what stands still the slope there is 0",
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
