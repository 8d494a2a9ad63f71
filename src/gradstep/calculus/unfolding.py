"""What is an operation made of? Its definition, and the slopes it declares, with marks for its operands.

Worked out once for each operation and shape. The marks keep operands apart: no definition can look beneath
one.
"""

from __future__ import annotations

from functools import lru_cache

from gradstep.expression.node import Expr, Operation, Params, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Shape
from gradstep.operations.leaves import symbol_op


@record
class Unfolded:
    """An operation taken apart: `marks` stand for its operands, `order` computes `roots` from them.

    `fixed` are those in the order that are made of numbers and sizes alone.
    """

    marks: tuple[Expr, ...]
    order: tuple[Expr, ...]
    roots: tuple[Expr, ...]
    fixed: frozenset[Expr]


def _in_order(marks: tuple[Expr, ...], roots: tuple[Expr, ...]) -> Unfolded:
    order = tuple([node for node in walk(*roots, stop=marks.__contains__) if node not in marks])
    varying = set(marks)
    for node in order:
        if node.op is symbol_op or not varying.isdisjoint(node.args):
            varying.add(node)
    return Unfolded(marks, order, roots, frozenset(order) - varying)


@lru_cache(maxsize=4096)
def unfolded(op: Operation, params: Params, shapes: tuple[Shape, ...]) -> Unfolded:
    """`op` by its definition; the last of `order` is the result."""
    assert op.definition is not None
    marks = tuple(symbol_op(params=(f"•{k}", shape, ())) for k, shape in enumerate(shapes))
    return _in_order(marks, (op.definition(params, *marks),))


@lru_cache(maxsize=4096)
def declared_slopes(op: Operation, params: Params, shapes: tuple[Shape, ...]) -> Unfolded:
    """The slopes that an entrywise `op` declares, of marks for its operands and, the last one, its value."""
    assert op.slopes is not None
    marks = tuple(symbol_op(params=(f"•{k}", shape, ())) for k, shape in enumerate(shapes))
    y = op(*marks, params=params)
    return _in_order((*marks, y), tuple([slope(y, *marks) for slope in op.slopes]))
