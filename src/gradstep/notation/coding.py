"""How is code read where a formula should stand? np.array([a, b]), X.transpose(), X.shape[0], len(y).

A claim is often the last line of somebody's program. What such lines have beyond a formula is read here; a
loss is written without it.
"""

from __future__ import annotations

import ast

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.notation import parsing
from gradstep.notation.calling import Plan
from gradstep.notation.places import Formula
from gradstep.operations import FUNCTIONS
from gradstep.operations.arithmetic import equal, greater
from gradstep.operations.leaves import number, size

SAME = frozenset({"array", "asarray", "tensor", "astype", "copy", "float", "item", "detach", "numpy"})


class Reader(parsing.Reader):
    """Reads a formula as a program has it."""

    methods = FUNCTIONS

    def plan(self, formula: Formula, node: ast.expr) -> Plan:
        """What must be known before `node`, and what it makes of that."""
        match node:
            case ast.List(elts=[_, *_] as parts):
                return parts, lambda *values: FUNCTIONS["stack"](values)
            case ast.Subscript(value=ast.Attribute(value=inner, attr="shape"), slice=place):
                return [inner], lambda x: length(x, place)
            case ast.Call(func=ast.Name(id="len"), args=[inner]):
                return [inner], lambda x: length(x, ast.Constant(0))
            case ast.Call(func=ast.Name(id="heaviside"), args=[x, middle]):
                return [x, middle], lambda x, middle: greater(x, 0) + middle * equal(x, 0)
            case ast.Call(func=ast.Name(id=name), args=[inner, *_]) if (
                name in SAME and name not in self.given
            ):
                return [inner], lambda x: x
            case ast.Call(func=ast.Attribute(value=inner, attr=name)) if name in SAME and not self.is_library(
                inner
            ):
                return [inner], lambda x: x
            case ast.Call(func=ast.Attribute(value=inner, attr="transpose" | "t"), args=[]):
                return [inner], lambda x: x.T
        return super().plan(formula, node)


def length(x: Expr, place: ast.expr) -> Expr:
    """How long an axis is: X.shape[0]."""
    match place:
        case ast.Constant(value=int(axis)) if -x.rank <= axis < x.rank:
            found = x.shape[axis]
            return number(found) if isinstance(found, int) else size(found)
    raise MathError("there is no such axis")
