"""log1p, expm1 and the error function: what keeps its digits where the plain formula would lose them?"""

from __future__ import annotations

from gradstep.expression.node import Expr, Number
from gradstep.operations.activations import sqrt
from gradstep.operations.arithmetic import exp, log
from gradstep.operations.families import elementwise
from gradstep.operations.kernels import ERF
from gradstep.operations.leaves import expression, pi

log1p_op = elementwise(
    "log1p",
    lambda y, x: 1 / (1 + x),
    code="np.log1p({0})",
    why="the slope of log(1 + x) is 1/(1 + x)",
    definition=lambda params, x: log(1 + x),
    domain="above minus one",
)
expm1_op = elementwise(
    "expm1",
    lambda y, x: exp(x),
    code="np.expm1({0})",
    why="the slope of eˣ − 1 is eˣ",
    definition=lambda params, x: exp(x) - 1,
)


erf_op = elementwise(
    "erf",
    lambda y, x: 2 / sqrt(pi) * exp(-(x**2)),
    code="erf({0})",
    why="erf is 2/√π times the area under exp(−t²) from 0 to x, and an area grows by its edge",
    helper=ERF,
)


def log1p(x: Expr | Number) -> Expr:
    """log(1 + x) of each entry, exact for small x; the entries lie above −1."""
    return log1p_op(expression(x))


def expm1(x: Expr | Number) -> Expr:
    """eˣ − 1 of each entry, exact for small x."""
    return expm1_op(expression(x))


def erf(x: Expr | Number) -> Expr:
    """The error function of each entry: 2/√π times the integral of exp(−t²) from 0 to x."""
    return erf_op(expression(x))
