"""What is a mask times what is not defined where the mask is 0? Nothing: where the condition fails, 0.

The bracket 1[x > 0] is a strong zero (Knuth, "Two notes on notation", 1992): 1[x > 0] ⊘ x is 0 at x = 0, also
where 1 ⊘ x is no number. Formulas are written so; a computer, which would make nan of 0 · ∞, has to be told.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradstep.expression.node import Expr, rebuild, replace, walk
from gradstep.operations.arithmetic import (
    COMPARISONS,
    add_op,
    divide_op,
    multiply_op,
    negate_op,
    one_like,
    opposite,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat_op, spread
from gradstep.operations.choices import where_op
from gradstep.operations.families import is_one
from gradstep.operations.leaves import number, value_of
from gradstep.operations.risks import MOVING, Risks

Split = tuple[Expr | None, Expr | None]  # an expression as mask times rest; None for 1


def guarded(roots: Sequence[Expr]) -> dict[Expr, Expr]:
    """What every node under `roots` becomes when masks are strong zeros.

    A product of a mask with what may be undefined is a choice: 1[x > 0] ⊘ x is where(x > 0, 1/x, 0). All
    other products stay as they are.
    """
    order = list(walk(*roots))
    if not any(node.op in COMPARISONS or node.op is where_op for node in order):
        return {node: node for node in order}
    splits: dict[Expr, Split] = {}
    done: dict[Expr, Expr] = {}
    risks = Risks()
    for node in order:
        mask, rest = splits[node] = _split(node, [splits[arg] for arg in node.args])
        done[node] = rebuild(node, [done[arg] for arg in node.args])
        if mask is not None and rest is not None and risks.beside(mask, rest):
            inside = done.setdefault(rest, replace(rest, done))
            done[node] = where_op(mask, inside, spread(number(0), node.shape))
    return done


def _split(node: Expr, parts: Sequence[Split]) -> Split:
    """`node` as a mask times the rest."""
    if node.op in COMPARISONS:
        return node, None
    if node.op is where_op:
        condition, yes, no = node.args
        if is_zero(no):
            return condition, yes
        if is_zero(yes):
            return opposite(condition), no
    elif node.op in MOVING:
        mask, rest = parts[0]
        if mask is not None:
            return rebuild(node, [mask]), None if rest is None else rebuild(node, [rest])
    elif node.op is negate_op and parts[0][0] is not None:
        return parts[0][0], negate_op(_or_one(parts[0][1], node))
    elif node.op is divide_op and parts[0][0] is not None:
        return parts[0][0], divide_op(_or_one(parts[0][1], node), node.args[1])
    elif node.op in (add_op, subtract_op):
        (one, a), (other, b) = parts
        if one is not None and one is other:
            return one, rebuild(node, [_or_one(a, node), _or_one(b, node)])
    elif node.op in (multiply_op, scale_op) and any(mask is not None for mask, _ in parts):
        return _of_product(node, *parts)
    return None, node


def _of_product(node: Expr, left: Split, right: Split) -> Split:
    (one, a), (other, b) = left, right
    if node.op is scale_op and one is not None:
        one = spread(one, node.shape)
    mask = one if other is None else other if one is None or one is other else multiply_op(one, other)
    if a is None or b is None:
        rest = b if a is None else a
        return mask, None if rest is None else spread(rest, node.shape)
    if b.op is divide_op and is_one(b.args[0]):  # 1/2 1[x > 0] ⊘ √x: 0.5/√x rather than 0.5 (1/√x)
        return mask, divide_op(spread(a, node.shape), b.args[1])
    return mask, rebuild(node, [a, b])


def is_zero(expr: Expr) -> bool:
    """Whether `expr` is the number 0, repeated or not."""
    return value_of(expr.args[0] if expr.op is repeat_op else expr) == 0


def _or_one(rest: Expr | None, like: Expr) -> Expr:
    return one_like(like) if rest is None else rest
