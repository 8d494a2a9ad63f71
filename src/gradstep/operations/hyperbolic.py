"""The hyperbolic functions besides tanh, and their inverses: how do they move?"""

from __future__ import annotations

from gradstep.expression.node import Expr, Number
from gradstep.operations.activations import sqrt, tanh
from gradstep.operations.arithmetic import exp, log
from gradstep.operations.families import call_box, elementwise
from gradstep.operations.kernels import LOGCOSH
from gradstep.operations.leaves import expression

sinh_op = elementwise(
    "sinh",
    lambda y, x: cosh(x),
    code="np.sinh({0})",
    why="the slope of (eˣ − e⁻ˣ)/2 is (eˣ + e⁻ˣ)/2 = cosh x",
    definition=lambda params, x: (exp(x) - exp(-x)) / 2,
)
cosh_op = elementwise(
    "cosh",
    lambda y, x: sinh(x),
    code="np.cosh({0})",
    why="the slope of (eˣ + e⁻ˣ)/2 is (eˣ − e⁻ˣ)/2 = sinh x",
    definition=lambda params, x: (exp(x) + exp(-x)) / 2,
)
logcosh_op = elementwise(
    "logcosh",
    lambda y, x: tanh(x),
    code="logcosh({0})",
    why="the slope of log cosh x is sinh x/cosh x = tanh x",
    layout=call_box("log cosh"),
    definition=lambda params, x: log(cosh(x)),
    helper=LOGCOSH,
)
arcsinh_op = elementwise(
    "arcsinh",
    lambda y, x: 1 / sqrt(x**2 + 1),
    code="np.arcsinh({0})",
    why="sinh y = x gives cosh y dy = dx, and cosh y = √(x² + 1)",
    definition=lambda params, x: log(x + sqrt(x**2 + 1)),
)
arccosh_op = elementwise(
    "arccosh",
    lambda y, x: 1 / sqrt(x**2 - 1),
    code="np.arccosh({0})",
    why="cosh y = x gives sinh y dy = dx, and sinh y = √(x² − 1)",
    definition=lambda params, x: log(x + sqrt(x**2 - 1)),
    domain="above one",
)
arctanh_op = elementwise(
    "arctanh",
    lambda y, x: 1 / (1 - x**2),
    code="np.arctanh({0})",
    why="tanh y = x gives (1 − tanh² y) dy = dx, so the slope is 1/(1 − x²)",
    definition=lambda params, x: (log(1 + x) - log(1 - x)) / 2,
    domain="inside one",
)


def sinh(x: Expr | Number) -> Expr:
    """The hyperbolic sine of each entry, (eˣ − e⁻ˣ)/2."""
    return sinh_op(expression(x))


def cosh(x: Expr | Number) -> Expr:
    """The hyperbolic cosine of each entry, (eˣ + e⁻ˣ)/2."""
    return cosh_op(expression(x))


def logcosh(x: Expr | Number) -> Expr:
    """log(cosh(x)) of each entry, without overflow."""
    return logcosh_op(expression(x))


def arcsinh(x: Expr | Number) -> Expr:
    """The number with this hyperbolic sine, log(x + √(x² + 1))."""
    return arcsinh_op(expression(x))


def arccosh(x: Expr | Number) -> Expr:
    """The number ≥ 0 with this hyperbolic cosine, log(x + √(x² − 1)); the entries are at least 1."""
    return arccosh_op(expression(x))


def arctanh(x: Expr | Number) -> Expr:
    """The number with this hyperbolic tangent, ½ log((1 + x)/(1 − x)); the entries lie between −1 and 1."""
    return arctanh_op(expression(x))
