"""What does only code use? Functions that keep digits where the formula that is written would lose them.

No user calls these and no derivation shows them: `stabilising.py` puts them in the place of what they equal.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from gradstep.expression.node import Expr, Operation
from gradstep.operations.activations import sigmoid, softplus, sqrt, tanh
from gradstep.operations.arithmetic import exp
from gradstep.operations.families import call_box, call_text, elementwise, helped
from gradstep.operations.gates import (
    CUBIC,
    area,
    bent,
    bent_slope,
    density,
    gelu_op,
    gelu_tanh_op,
    mish_op,
    silu_op,
)
from gradstep.operations.kernels import (
    ERFC,
    GAUSSIAN,
    GELU_SLOPE,
    GELU_TANH_SLOPE,
    MISH_SLOPE,
    NORMAL_AREA,
    SILU_SLOPE,
)
from gradstep.operations.leaves import number, pi
from gradstep.operations.precise import erf
from gradstep.operations.sums import mean

# 1/q + 2 + q is (1 + q)²/q with fewer roundings; where 1/q would be infinite the rest does not count.
bell_op = elementwise(
    "bell",
    lambda y, x: y * (1 - 2 * sigmoid(x)),
    code="bell({0})",
    why="σ(x) σ(−x) is the slope of the sigmoid, and σ (1 − σ) has slope σ (1 − σ)(1 − 2σ)",
    definition=lambda params, x: sigmoid(x) * sigmoid(-x),
    helper=(
        "def bell(x):\n"
        '    """sigmoid(x) * sigmoid(-x)"""\n'
        "    q = np.exp(-np.abs(x))\n"
        "    return np.where(q < 4 * np.finfo(q.dtype).tiny, q, 1 / (1 / q + (2 + q)))\n"
    ),
)
hypot_op = elementwise(
    "hypot",
    lambda y, a, b: a / y,
    lambda y, a, b: b / y,
    code="np.hypot({0}, {1})",
    why="√(a² + b²) changes by the part of each along it",
    definition=lambda params, a, b: sqrt(a**2 + b**2),
)


def _deviation_text(expr: Expr) -> str:
    return f"deviations({{0}}, {expr.params[0]})"


# params: the axes. What rounding leaves of the mean of the deviations, which is 0, is taken away too.
_DEVIATIONS = (
    "def deviations(x, axes):\n"
    "    d = x - x.mean(axis=axes, keepdims=True)\n"
    "    return d - d.mean(axis=axes, keepdims=True)\n"
)
deviations_op = Operation(
    "deviations",
    lambda params, shape: shape,
    helped(_DEVIATIONS, "deviations({0}, {p0})"),
    call_text,
    call_box("deviations"),
    None,
    None,
    "",
    "what is left of each entry when the mean is taken away",
    _deviation_text,
    definition=lambda params, x: x - mean(x, params[0], keepdims=True),
    helper=_DEVIATIONS,
)
# ------------------------------------------------------------------------------------------- far out

# params: c < 0, whose opposite is a power of two.
gaussian_op = elementwise(
    "gaussian",
    lambda y, x: 2 * number(y.params[0]) * x * y,
    code="gaussian({0}, {p0})",
    why="exp(c x²) has slope 2 c x exp(c x²)",
    definition=lambda params, x: exp(number(params[0]) * x**2),
    helper=GAUSSIAN,
    example=tuple(((c,), (shape,)) for c in (Fraction(-1), Fraction(-1, 2)) for shape in ((), ("n",))),
)
erfc_op = elementwise(
    "erfc",
    lambda y, x: -2 / sqrt(pi) * gaussian(x, Fraction(-1)),
    code="erfc({0})",
    why="1 − erf x has slope −2/√π exp(−x²)",
    definition=lambda params, x: 1 - erf(x),
    helper=ERFC,
)
normal_area_op = elementwise(
    "normal_area",
    lambda y, x: density(x),
    code="normal_area({0})",
    why="an area grows by its edge, exp(−x²/2)/√(2π)",
    definition=lambda params, x: area(x),
    helper=NORMAL_AREA,
)


def _slope_of(op: Operation, bend: Callable[[Expr], Expr], helper: str) -> Operation:
    """The slope of a gate as one function; `bend` is its own slope."""
    assert op.slopes is not None
    (slope,) = op.slopes
    return elementwise(
        f"{op.name}_slope",
        lambda y, x: bend(x),
        code=f"{op.name}_slope({{0}})",
        why=op.why,
        definition=lambda params, x: slope(op(x), x),
        helper=helper,
    )


def _bend_of_silu(x: Expr) -> Expr:
    s = sigmoid(x)
    steep = s * (1 - s)
    return 2 * steep + x * steep * (1 - 2 * s)


def _bend_of_mish(x: Expr) -> Expr:
    s, t = sigmoid(x), tanh(softplus(x))
    steep = (1 - t**2) * s
    return 2 * steep + x * steep * (1 - s - 2 * t * s)


def _bend_of_gelu_tanh(x: Expr) -> Expr:
    t, u = tanh(bent(x)), bent_slope(x)
    steep = (1 - t**2) * u / 2
    return 2 * steep + x * ((1 - t**2) * sqrt(2 / pi) * number(3 * CUBIC) * x - 2 * t * steep * u)


silu_slope_op = _slope_of(silu_op, _bend_of_silu, SILU_SLOPE)
mish_slope_op = _slope_of(mish_op, _bend_of_mish, MISH_SLOPE)
gelu_slope_op = _slope_of(gelu_op, lambda x: (2 - x**2) * density(x), GELU_SLOPE)
gelu_tanh_slope_op = _slope_of(gelu_tanh_op, _bend_of_gelu_tanh, GELU_TANH_SLOPE)

# What has NumPy source of its own; other back ends that have no function for it write what it is defined by.
KERNELS = (
    gaussian_op,
    erfc_op,
    normal_area_op,
    silu_slope_op,
    mish_slope_op,
    gelu_slope_op,
    gelu_tanh_slope_op,
)
CODED = (bell_op, hypot_op, deviations_op, *KERNELS)


def bell(x: Expr) -> Expr:
    """σ(x) σ(−x), the slope of the sigmoid."""
    return bell_op(x)


def hypot(a: Expr, b: Expr) -> Expr:
    """√(a² + b²), entry by entry, where the squares may overflow or vanish."""
    return hypot_op(a, b)


def deviations(x: Expr, axes: tuple[int, ...]) -> Expr:
    """x − mean(x), where the mean is along axes."""
    return deviations_op(x, params=(axes,))


def gaussian(x: Expr, c: Fraction) -> Expr:
    """exp(c x²)"""
    return gaussian_op(x, params=(c,))


def defined(expr: Expr) -> Expr:
    """What the operation of `expr` is defined by, in its place."""
    assert expr.op.definition is not None
    return expr.op.definition(expr.params, *expr.args)
