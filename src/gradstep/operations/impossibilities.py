"""Which part of a formula has no value, or no slope, whatever its variables are? √(−1 − x²), 1/(x − x)."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from gradstep.expression.node import Expr
from gradstep.operations.activations import sqrt_op
from gradstep.operations.arithmetic import COMPARISONS, divide_op, multiply_op, power_op, scale_op
from gradstep.operations.choices import where_op
from gradstep.operations.domains import CONDITIONS, INSIDE, ranges
from gradstep.operations.hyperbolic import arccosh_op
from gradstep.operations.leaves import triangle_op, value_of
from gradstep.operations.ranges import SAME, ZERO, Range
from gradstep.operations.trigonometry import arccos_op, arcsin_op

WITH_ENDS = frozenset({sqrt_op, arcsin_op, arccos_op, arccosh_op})  # they have a value at the ends, no slope
Asked = Callable[[str], str]


def nowhere(formula: Expr, moving: Container[Expr] = ()) -> tuple[Expr, Expr, Asked | None] | None:
    """A part of `formula` that has no value, the operand that is to blame, and what is asked of that.

    Of the parts in `moving` one that has no slope: √(−x²), which has a value at 0 only.
    None is asked of what should not be 0. What a condition chooses, or a mask multiplies, may never count.
    """
    known = ranges(formula)
    met: set[Expr] = set()
    stack = [formula]
    while stack:
        node = stack.pop()
        if node in met:
            continue
        met.add(node)
        found = _impossible(node, known, moving)
        if found is not None:
            return node, *found
        if node.op is where_op:
            stack.append(node.args[0])
        elif not (node.op in (multiply_op, scale_op) and any(map(_is_mask, node.args))):
            stack.extend(reversed(node.args))
    return None


def _impossible(
    node: Expr, known: Mapping[Expr, Range], moving: Container[Expr]
) -> tuple[Expr, Asked | None] | None:
    """The operand for which `node` has no value, or no slope where it moves, and what is asked of it."""
    if node.op is divide_op:
        return (node.args[1], None) if known[node.args[1]] == ZERO else None
    exponent = value_of(node.args[1]) if node.op is power_op else None
    if node.op is power_op and node.args[1] in moving:
        base = node.args[0]
        return (base, CONDITIONS["positive"]) if known[base].apart(INSIDE["positive"]) else None
    if node.op is power_op and (exponent is None or exponent.denominator == 1):
        zero = known[node.args[0]] == ZERO
        return (node.args[0], None) if zero and exponent is not None and exponent < 0 else None
    inside = INSIDE.get(node.op.domain)
    if inside is None:
        return None
    operand = known[node.args[0]]
    with_ends = node.op in WITH_ENDS or (exponent is not None and exponent > 0)
    if node in moving and operand.low != operand.high:  # x³ᐟ² has a slope at 0, √x has none
        with_ends = exponent is not None and exponent > 1
    possible = not operand.apart(inside.closed() if with_ends else inside)
    return None if possible else (node.args[0], CONDITIONS[node.op.domain])


def _is_mask(expr: Expr) -> bool:
    while expr.op in SAME:
        expr = expr.args[0]
    return expr.op in COMPARISONS or expr.op is triangle_op
