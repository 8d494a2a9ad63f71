"""Activations that bend once and gently (SiLU, GELU, Mish, ELU …): how steep are they?

Most are x times a gate that opens from 0 to 1. Sources: Ramachandran, Zoph and Le, "Searching for Activation
Functions"; Hendrycks and Gimpel, "Gaussian Error Linear Units"; Misra, "Mish"; Clevert, Unterthiner and
Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear Units"; Klambauer and others,
"Self-Normalizing Neural Networks".
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from gradstep.expression.boxes import ATOM, Fence, Row, Sym, Written
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Number, Params, Spelled
from gradstep.operations.activations import abs, maximum, minimum, sigmoid, softplus, sqrt, tanh
from gradstep.operations.arithmetic import exp, greater, greater_equal
from gradstep.operations.choices import where
from gradstep.operations.families import Spell, Write, elementwise
from gradstep.operations.kernels import GELU, GELU_TANH, MISH, SILU
from gradstep.operations.leaves import expression, number, number_text, pi, value_of
from gradstep.operations.precise import erf

# ------------------------------------------------------------------------------------------- x times a gate


silu_op = elementwise(
    "silu",
    lambda y, x: sigmoid(x) + y * (1 - sigmoid(x)),
    code="silu({0})",
    why="silu(x) = x σ(x): by the product rule its slope is σ(x) + x σ(x) (1 − σ(x))",
    definition=lambda params, x: x * sigmoid(x),
    helper=SILU,
)
mish_op = elementwise(
    "mish",
    lambda y, x: tanh(softplus(x)) + x * (1 - tanh(softplus(x)) ** 2) * sigmoid(x),
    code="mish({0})",
    why="mish(x) = x tanh(s), s = softplus(x): the product rule, where tanh(s) has slope (1 − tanh² s) σ(x)",
    definition=lambda params, x: x * tanh(softplus(x)),
    helper=MISH,
)


def area(x: Expr) -> Expr:
    """Φ(x), the area under the normal density up to x."""
    return (1 + erf(x / sqrt(number(2)))) / 2


def density(x: Expr) -> Expr:
    """φ(x), the normal density."""
    return exp(-(x**2) / 2) / sqrt(2 * pi)


gelu_op = elementwise(
    "gelu",
    lambda y, x: area(x) + x * density(x),
    code="gelu({0})",
    why="gelu(x) = x Φ(x), Φ(x) = (1 + erf(x/√2))/2: the product rule, and Φ has slope exp(−x²/2)/√(2π)",
    definition=lambda params, x: x * area(x),
    helper=GELU,
)

CUBIC = Fraction(44715, 1_000_000)  # of Hendrycks and Gimpel's approximation


def bent(x: Expr) -> Expr:
    """√(2/π) (x + 0.044715 x³)."""
    return sqrt(2 / pi) * (x + number(CUBIC) * x**3)


def bent_slope(x: Expr) -> Expr:
    """√(2/π) (1 + 3 · 0.044715 x²)."""
    return sqrt(2 / pi) * (1 + number(3 * CUBIC) * x**2)


def _gelu_tanh_text(expr: Expr, spell: Spell) -> Spelled:
    return f'gelu({spell(expr.args[0])[0]}, approximate="tanh")', ATOM


def _gelu_tanh_box(expr: Expr, write: Write) -> Written:
    return Written(Row((Sym("gelu_tanh", "function"), Fence("(", write(expr.args[0]).box, ")"))))


gelu_tanh_op = elementwise(
    "gelu_tanh",
    lambda y, x: (1 + tanh(bent(x))) / 2 + x * (1 - tanh(bent(x)) ** 2) * bent_slope(x) / 2,
    code="gelu_tanh({0})",
    why="x (1 + tanh u)/2 with u = √(2/π)(x + 0.044715 x³): the product rule, with slope (1 − tanh² u) du/dx",
    text=_gelu_tanh_text,
    layout=_gelu_tanh_box,
    definition=lambda params, x: x * (1 + tanh(bent(x))) / 2,
    helper=GELU_TANH,
)

# ---------------------------------------------------------------------------------------- straight, then bent


def _leaky_text(expr: Expr, spell: Spell) -> Spelled:
    return f"leaky_relu({spell(expr.args[0])[0]}, {number_text(expr.params[0])[0]})", ATOM


def _leaky_meaning(np: Any, sizes: Any, params: Params, x: Any) -> Any:
    return np.where(x > 0, x, float(params[0]) * x)


# params: the slope on the left.
leaky_relu_op = elementwise(
    "leaky_relu",
    lambda y, x: where(x > 0, 1, number(y.params[0])),
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


def _elu_text(expr: Expr, spell: Spell) -> Spelled:
    alpha = expr.params[0]
    inner = spell(expr.args[0])[0]
    return (f"elu({inner})" if alpha == 1 else f"elu({inner}, {number_text(alpha)[0]})"), ATOM


def _elu_box(expr: Expr, write: Write) -> Written:
    inner = write(expr.args[0]).box
    alpha = expr.params[0]
    tail = () if alpha == 1 else (Sym(", ", "operator"), write(number(alpha)).box)
    return Written(Row((Sym("elu", "function"), Fence("(", Row((inner, *tail)), ")"))))


def _elu_slope(y: Expr, x: Expr) -> Expr:
    """1 on the right, α eˣ on the left; at 0 the smaller of 1 and α. eˣ of min(x, 0) never overflows."""
    alpha = y.params[0]
    tail = number(alpha) * exp(minimum(x, 0))
    return where(greater_equal(x, 0) if alpha > 1 else greater(x, 0), 1, tail)


def _elu_meaning(np: Any, sizes: Any, params: Params, x: Any) -> Any:
    return np.where(x > 0, x, float(params[0]) * np.expm1(np.minimum(x, 0)))


# params: α, the depth of the left side.
elu_op = elementwise(
    "elu",
    _elu_slope,
    code="elu({0}, {p0})",
    rule="slope of elu",
    why="two pieces: slope 1 where x > 0, slope α eˣ elsewhere",
    text=_elu_text,
    layout=_elu_box,
    meaning=_elu_meaning,
    definition=lambda params, x: maximum(x, 0) + number(params[0]) * (exp(minimum(x, 0)) - 1),
    kink="at x = 0 gradstep takes the smaller of 1 and α",
    helper="def elu(x, alpha):\n    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))\n",
    example=tuple(((Fraction(1, 2),), (shape,)) for shape in ((), ("n",), ("m", "n"))),
)

# Klambauer and others, equation 14: with these, mean 0 and variance 1 are kept from layer to layer.
SELU_SCALE = Fraction("1.0507009873554804934193349852946")
SELU_ALPHA = Fraction("1.6732632423543772848170429916717")


def _selu_meaning(np: Any, sizes: Any, params: Params, x: Any) -> Any:
    return float(SELU_SCALE) * np.where(x > 0, x, float(SELU_ALPHA) * np.expm1(np.minimum(x, 0)))


selu_op = elementwise(
    "selu",
    lambda y, x: number(SELU_SCALE) * where(x >= 0, 1, number(SELU_ALPHA) * exp(minimum(x, 0))),
    code="selu({0})",
    rule="slope of selu",
    why="two pieces: slope λ where x ≥ 0, slope λ α eˣ where x < 0, with λ = 1.0507… and α = 1.6733…",
    meaning=_selu_meaning,
    definition=lambda params, x: (
        number(SELU_SCALE) * maximum(x, 0) + number(SELU_SCALE * SELU_ALPHA) * (exp(minimum(x, 0)) - 1)
    ),
    kink="at x = 0 gradstep takes λ, the smaller of the two slopes",
    helper="def selu(x):\n"
    "    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))\n",
)
softsign_op = elementwise(
    "softsign",
    lambda y, x: 1 / (1 + abs(x)) ** 2,
    code="softsign({0})",
    meaning=lambda np, sizes, params, x: x / (1 + np.abs(x)),
    why="on both sides of 0 the quotient rule gives x/(1 + |x|) the slope 1/(1 + |x|)²",
    definition=lambda params, x: x / (1 + abs(x)),
    helper="def softsign(x):\n    return x / (1 + np.abs(x))\n",
)

# ------------------------------------------------------------------------------------------- the door


def silu(x: Expr | Number) -> Expr:
    """x σ(x) of each entry: SiLU, also called swish."""
    return silu_op(expression(x))


def mish(x: Expr | Number) -> Expr:
    """x tanh(log(1 + eˣ)) of each entry."""
    return mish_op(expression(x))


def gelu(x: Expr | Number, approximate: object = "none") -> Expr:
    """x Φ(x) of each entry, Φ the normal distribution; `approximate="tanh"` is the form with tanh."""
    if approximate not in ("none", "tanh"):
        raise MathError(
            'gelu is exact, or approximate="tanh"', facts=[f"not {approximate!r:.40}"], mend="gelu(x)"
        )
    return (gelu_op if approximate == "none" else gelu_tanh_op)(expression(x))


def leaky_relu(x: Expr | Number, slope: object = 0.01) -> Expr:
    """x where x > 0, slope·x elsewhere; the slope is a number, 0.01 unless told otherwise."""
    leak = value_of(slope) if isinstance(slope, Expr) else value_of(number(slope))
    if leak is None:
        raise MathError("the slope of leaky_relu is a plain number", mend="leaky_relu(z, 0.01)")
    return leaky_relu_op(expression(x), params=(leak,))


def elu(x: Expr | Number, alpha: object = 1) -> Expr:
    """x where x > 0, α (eˣ − 1) elsewhere; α is a positive number, 1 unless told otherwise."""
    depth = value_of(alpha) if isinstance(alpha, Expr) else value_of(number(alpha))
    if depth is None or depth <= 0:
        raise MathError("the α of elu is a positive number", mend="elu(z, 1)")
    return elu_op(expression(x), params=(depth,))


def selu(x: Expr | Number) -> Expr:
    """λ elu(x, α) of each entry, with the λ and α that keep mean 0 and variance 1."""
    return selu_op(expression(x))


def softsign(x: Expr | Number) -> Expr:
    """x/(1 + |x|) of each entry."""
    return softsign_op(expression(x))
