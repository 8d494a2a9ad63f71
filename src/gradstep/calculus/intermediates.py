"""Which intermediate variables does a function of numbers need? u₁ = x³, u₂ = sin u₁, … as in a textbook.

The chain rule for one variable introduces a name for what a function is applied to, unless that is plain
(x, 3x, x + 1). Where a variable reaches such a part along several ways, the ways get names too, so that the
total derivative can be read off: u₁ = x², u₂ = x + u₁.
"""

from __future__ import annotations

from collections.abc import Container

from gradstep.expression.node import Expr, walk
from gradstep.operations.arithmetic import add_op, divide_op, multiply_op, negate_op, subtract_op
from gradstep.operations.leaves import is_constant, symbol_op

ARITHMETIC = frozenset({add_op, subtract_op, negate_op, multiply_op, divide_op})
STRAIGHT = frozenset({add_op, subtract_op, multiply_op})


def is_of_numbers(of: Expr) -> bool:
    """Whether no vector and no matrix occurs in `of`."""
    return not any(node.rank for node in walk(of))


def is_plain(expr: Expr) -> bool:
    """Whether `expr` is a variable, or one with constants: 3x, x + 1, −x/2."""
    while expr.op is not symbol_op:
        if expr.op is negate_op or (expr.op is divide_op and is_constant(expr.args[1])):
            expr = expr.args[0]
        elif expr.op in STRAIGHT and any(map(is_constant, expr.args)):
            expr = expr.args[0] if is_constant(expr.args[1]) else expr.args[1]
        else:
            return is_constant(expr)
    return True


def intermediates(of: Expr, inner: Container[Expr]) -> list[Expr]:
    """The parts that get a name, innermost first; `inner` are the nodes that move."""
    order = [node for node in walk(of) if node in inner and node.args]
    variables: dict[Expr, frozenset[Expr]] = {}
    for node in walk(of):
        own = frozenset({node}) if node.op is symbol_op and node in inner else frozenset[Expr]()
        variables[node] = own.union(*(variables[arg] for arg in node.args))
    found: set[Expr] = set()
    for node in reversed(order):  # from the outside inwards
        ways = [variables[arg] for arg in node.args]
        meets = node in found and len(ways) > 1 and bool(ways[0] & ways[1])
        if node.op not in ARITHMETIC or meets:
            found.update(arg for arg in node.args if arg in inner and not is_plain(arg))
    return [node for node in order if node in found]
