"""where and clip: what is it when one of two things is chosen, entry by entry?"""

from __future__ import annotations

from gradstep.expression.boxes import RELATION, Box, Cases, Fence, Of, Row, Sym, Written, number, row, word
from gradstep.expression.node import Expr, Number, walk
from gradstep.operations.activations import maximum, minimum, relu
from gradstep.operations.arithmetic import (
    COMPARISONS,
    multiply_op,
    one_like,
    opposite,
    relation,
)
from gradstep.operations.broadcasting import repeat_op, together
from gradstep.operations.families import Write, elementwise, shown, spread_call_text
from gradstep.operations.leaves import expression, triangle_op
from gradstep.operations.risks import Risks


def _where_box(expr: Expr, write: Write) -> Written:
    """{a if the condition holds; b otherwise}"""
    condition, a, b = expr.args
    holds: Box = _held(shown(condition, write).box)
    if condition.op in COMPARISONS:
        holds = relation(condition, COMPARISONS[condition.op], write)
    rows = (shown(a, write).box, holds), (shown(b, write).box, word("otherwise"))
    return Written(Cases(rows), RELATION)


def _held(condition: Box) -> Box:
    """What holds where this is 1: i ≤ j of the mask 1[i ≤ j]."""
    inner = condition
    while isinstance(inner, Of):
        inner = inner.box
    match inner:
        case Row((Sym("1", "function"), Fence("[", inside))):
            return inside
    return row(condition, "=", number(1))


def chosen(condition: Expr, a: Expr) -> Expr:
    """1 where the condition holds, 0 elsewhere; a strong zero (`guards.py`) where `a` may be undefined.

    The zeros of a comparison are strong. A mask that is data is a factor like any other, so it has to choose.
    """
    if _is_bracket(condition) or not Risks().beside(condition, a):
        return condition
    return where_op(condition, one_like(condition), 0 * one_like(condition))


def refused(condition: Expr, b: Expr) -> Expr:
    """1 where the condition fails, 0 where it holds; a strong zero where `b` may be undefined."""
    turned = opposite(condition)
    if _is_bracket(turned) or not Risks().beside(condition, b):
        return turned
    return where_op(condition, 0 * one_like(condition), one_like(condition))


def _is_bracket(condition: Expr) -> bool:
    """Whether `condition` is a comparison or a product of comparisons."""
    factors = walk(condition, stop=lambda node: node.op not in (multiply_op, repeat_op))
    brackets = (*COMPARISONS, triangle_op)
    return all(node.op in brackets for node in factors if node.op not in (multiply_op, repeat_op))


where_op = elementwise(
    "where",
    lambda y, condition, a, b: 0 * one_like(condition),
    lambda y, condition, a, b: chosen(condition, a),
    lambda y, condition, a, b: refused(condition, b),
    code="np.where({0}, {1}, {2})",
    rule="slope of a choice",
    why="where the condition holds the first moves, elsewhere the second; the condition itself only chooses",
    text=spread_call_text(lambda condition, a, b: where(condition, a, b)),
    layout=_where_box,
    definition=lambda params, condition, a, b: b + condition * (a - b),
    domain="mask",
)


def where(condition: Expr | Number, a: Expr | Number, b: Expr | Number) -> Expr:
    """a where the condition holds, b elsewhere, entry by entry.

    The condition is a comparison, or any array of 0 and 1. It only chooses: it has no slope of its own.
    """
    condition, a = together("where", condition, a)
    a, b = together("where", a, b)
    condition, a = together("where", condition, a)
    return where_op(condition, a, b)


def clip(x: Expr | Number, low: Expr | Number, high: Expr | Number) -> Expr:
    """x, but not below `low` and not above `high`, entry by entry."""
    return minimum(maximum(x, low), high)


def hardtanh(x: Expr | Number, low: Expr | Number = -1, high: Expr | Number = 1) -> Expr:
    """x, but not below −1 and not above 1, unless told otherwise."""
    return clip(x, low, high)


def relu6(x: Expr | Number) -> Expr:
    """max(0, x), but not above 6."""
    return minimum(relu(expression(x)), 6)
