"""What does only code use? Functions that keep digits where the formula that is written would lose them.

No user calls these and no derivation shows them: `stabilising.py` puts them in the place of what they equal.
"""

from __future__ import annotations

from gradstep.expression.node import Expr, Operation
from gradstep.operations.activations import sigmoid, sqrt
from gradstep.operations.families import call_box, call_text, elementwise, helped
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
CODED = (bell_op, hypot_op, deviations_op)


def bell(x: Expr) -> Expr:
    """σ(x) σ(−x), the slope of the sigmoid."""
    return bell_op(x)


def hypot(a: Expr, b: Expr) -> Expr:
    """√(a² + b²), entry by entry, where the squares may overflow or vanish."""
    return hypot_op(a, b)


def deviations(x: Expr, axes: tuple[int, ...]) -> Expr:
    """x − mean(x), where the mean is along axes."""
    return deviations_op(x, params=(axes,))
