"""Sines, cosines and angles of each entry: how do they move?"""

from __future__ import annotations

from gradstep.expression.node import Expr, Number
from gradstep.operations.activations import sqrt
from gradstep.operations.families import elementwise
from gradstep.operations.leaves import expression

sin_op = elementwise(
    "sin",
    lambda y, x: cos(x),
    code="np.sin({0})",
    why="the slope of sin is cos",
)
cos_op = elementwise(
    "cos",
    lambda y, x: -sin(x),
    code="np.cos({0})",
    why="the slope of cos is −sin",
)
tan_op = elementwise(
    "tan",
    lambda y, x: 1 + y**2,
    code="np.tan({0})",
    why="tan = sin/cos, and by the quotient rule its slope is 1/cos² = 1 + tan²",
    definition=lambda params, x: sin(x) / cos(x),
    domain="between quarter turns",
)
arcsin_op = elementwise(
    "arcsin",
    lambda y, x: 1 / sqrt(1 - x**2),
    code="np.arcsin({0})",
    why="sin y = x gives cos y dy = dx, and cos y = √(1 − x²)",
    domain="inside one",
)
arccos_op = elementwise(
    "arccos",
    lambda y, x: -1 / sqrt(1 - x**2),
    code="np.arccos({0})",
    why="cos y = x gives −sin y dy = dx, and sin y = √(1 − x²)",
    domain="inside one",
)
arctan_op = elementwise(
    "arctan",
    lambda y, x: 1 / (1 + x**2),
    code="np.arctan({0})",
    why="tan y = x gives (1 + tan² y) dy = dx, so the slope is 1/(1 + x²)",
)


def sin(x: Expr | Number) -> Expr:
    """The sine of each entry, an angle in radians."""
    return sin_op(expression(x))


def cos(x: Expr | Number) -> Expr:
    """The cosine of each entry, an angle in radians."""
    return cos_op(expression(x))


def tan(x: Expr | Number) -> Expr:
    """The tangent of each entry, an angle in radians that is no odd multiple of π/2."""
    return tan_op(expression(x))


def arcsin(x: Expr | Number) -> Expr:
    """The angle from −π/2 to π/2 with this sine; the entries lie between −1 and 1."""
    return arcsin_op(expression(x))


def arccos(x: Expr | Number) -> Expr:
    """The angle from 0 to π with this cosine; the entries lie between −1 and 1."""
    return arccos_op(expression(x))


def arctan(x: Expr | Number) -> Expr:
    """The angle between −π/2 and π/2 with this tangent."""
    return arctan_op(expression(x))
