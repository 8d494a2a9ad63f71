"""What is a formula with a kink on either side of it? max(0, u) is 0 where u ≤ 0, and u where u > 0."""

from __future__ import annotations

from gradstep.calculus.laws import BOOK
from gradstep.calculus.rewriting import simplify
from gradstep.expression.node import Expr, replace, walk
from gradstep.operations.arithmetic import COMPARISONS, greater_equal_op, greater_op
from gradstep.operations.leaves import number, value_of


def branches(expr: Expr) -> tuple[Expr, Expr, Expr] | None:
    """u, and what `expr` is where u ≤ 0 and where u > 0, if all its masks ask whether u > 0."""
    masks = [side_of(node) for node in walk(expr) if node.op in COMPARISONS]
    if len({None if sides is None else sides[0] for sides in masks}) != 1 or masks[0] is None:
        return None
    u = masks[0][0]
    bent = {node: pieces[1:] for node in walk(expr) if (pieces := pieces_of(node)) and pieces[0] is u}
    off, on = (
        simplify(replace(expr, {node: sides[side] for node, sides in bent.items()}), BOOK) for side in (0, 1)
    )
    return u, off, on


def side_of(mask: Expr) -> tuple[Expr, Expr, Expr] | None:
    """u, and what 1[u > 0] or 1[u ≤ 0] is where u ≤ 0 and where u > 0."""
    a, b = mask.args
    if mask.op is greater_op and value_of(b) == 0:
        return a, number(0), number(1)
    return (b, number(1), number(0)) if mask.op is greater_equal_op and value_of(a) == 0 else None


def pieces_of(node: Expr) -> tuple[Expr, Expr, Expr] | None:
    """u, and what a mask or a function such as max(0, u) is where u ≤ 0 and where u > 0."""
    if node.op in COMPARISONS:
        return side_of(node)
    if node.op.slopes is None or node.op.definition is None:
        return None
    return branches(node.op.definition(node.params, *node.args))
