"""Which factors make up a product, in whatever order they were multiplied?"""

from __future__ import annotations

from fractions import Fraction

from gradstep.expression.node import Expr
from gradstep.operations.arithmetic import divide_op, multiply_op, negate_op, power_op, scale_op
from gradstep.operations.broadcasting import repeat_op
from gradstep.operations.families import is_one
from gradstep.operations.leaves import number, value_of

Product = tuple[Fraction, dict[Expr, int]]  # a number, and how often each factor occurs
PRODUCTS = frozenset({multiply_op, scale_op, divide_op})
MOST = 60  # nodes that are looked at; a product of more is one factor


def single(expr: Expr) -> Expr:
    """A number before it is repeated; anything else as it is."""
    return expr.args[0] if expr.op is repeat_op and not expr.args[0].rank else expr


def product_of(expr: Expr) -> Product:
    """`expr` as a product: what it is made of, in whatever order it was multiplied."""
    share = Fraction(1)
    counts: dict[Expr, int] = {}
    stack = [(expr, 1)]
    seen = 0
    while stack:
        node, times = stack.pop()
        node = single(node)
        seen += 1
        if seen > MOST:
            return Fraction(1), {expr: 1}
        value = value_of(node)
        whole = value_of(node.args[1]) if node.op is power_op else None
        if value is not None and (value or times > 0):
            share *= value**times
        elif node.op in PRODUCTS:
            left, right = node.args
            stack += [(left, times), (right, -times if node.op is divide_op else times)]
        elif node.op is negate_op:
            share *= (-1) ** times
            stack.append((node.args[0], times))
        elif whole is not None and whole.denominator == 1 and 0 < whole * abs(times) < 65:
            stack.append((node.args[0], times * whole.numerator))
        else:
            counts[node] = counts.get(node, 0) + times
    return share, {factor: times for factor, times in counts.items() if times}


def leaves_of(expr: Expr) -> list[Expr]:
    """The factors of a product as they are written; nothing is taken out of a quotient or a power."""
    found: list[Expr] = []
    stack = [expr]
    while stack and len(found) < MOST:
        node = stack.pop()
        if node.op in (multiply_op, scale_op):
            stack += node.args
        else:
            found.append(node)
    return found


def without(expr: Expr, *factors: Expr) -> Expr | None:
    """What is left of a product when each of the factors is taken out once; None where one is not there."""
    for factor in factors:
        rest = _without(expr, factor)
        if rest is None:
            return None
        expr = rest
    return expr


def _without(expr: Expr, factor: Expr) -> Expr | None:
    if expr is factor:
        return number(1)
    if expr.op not in (multiply_op, scale_op):
        return None
    for one, other in (expr.args, expr.args[::-1]):
        rest = _without(one, factor)
        if rest is not None:
            return other if is_one(rest) else rest * other
    return None
