"""How long is a formula? As many operations as are printed for it, named parts counting as one symbol."""

from __future__ import annotations

from collections.abc import Container

from gradstep.expression.node import Expr
from gradstep.operations.arithmetic import divide_op, multiply_op, scale_op
from gradstep.operations.broadcasting import repeat_op, squeeze_op, sum_op
from gradstep.operations.diagonals import diagonal_matrix_op
from gradstep.operations.leaves import number_op, value_of
from gradstep.operations.permutations import transpose_op
from gradstep.operations.sums import mean

SILENT = frozenset({repeat_op, squeeze_op, transpose_op})  # not counted: X + b, A.T


def length(expr: Expr, fences: Container[Expr] = (), known: dict[Expr, int] | None = None) -> int:
    """How many operations are printed for `expr`; a fenced part within it is one symbol.

    `known` keeps the lengths of what is within it, for another call with the same fences.
    """
    if not expr.args:
        return _leaf(expr)
    known = {} if known is None else known
    stack = [*expr.args]
    while stack:
        node = stack[-1]
        if node in known:
            stack.pop()
        elif not node.args or node in fences:
            known[node] = _leaf(node)
        elif waiting := [arg for arg in node.args if arg not in known]:
            stack += waiting
        else:
            known[node] = _own(node) + sum([known[arg] for arg in node.args])
    return _own(expr) + sum([known[arg] for arg in expr.args])


def _leaf(node: Expr) -> int:
    """Of what is printed as one symbol, a number is more than that."""
    return _number(node) if node.op is number_op else 0


def _number(node: Expr) -> int:
    """A sign and a bar are operations: −1/2."""
    value = node.params[0]
    return int(value < 0) + int(value.denominator > 1)


def _own(node: Expr) -> int:
    """The operations that `node` itself prints: x/s is one, though it is held as 1/s · x; so is x/2."""
    if node.op in SILENT:
        return 0
    if node.op is diagonal_matrix_op and node.args[0].op is repeat_op:  # repeated where nothing else says so
        return 2
    if node.op not in (scale_op, multiply_op):
        return 1
    factor, body = node.args
    if body.op is sum_op and mean(body.args[0], body.params[0]) is node:
        return -length(factor)
    number = value_of(factor)
    if number is not None and number.denominator > 1 and abs(number.numerator) == 1:
        return 0  # the bar is counted with the number
    return int(factor.op is not divide_op or value_of(factor.args[0]) not in (1, -1))
