"""What stands for any expression in a law? A letter with a shape, whose sizes stand for any sizes."""

from __future__ import annotations

from gradstep.expression.boxes import ATOM, Sym, Written, letter_kind
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Shape
from gradstep.operations.families import leaf

# params: name, shape.
wildcard_op = leaf(
    "wildcard",
    lambda params: params[1],
    lambda np, sizes, params: None,
    lambda expr, spell: (str(expr.params[0]), ATOM),
    lambda expr, write: Written(Sym(str(expr.params[0]), letter_kind(expr.rank))),
    "stands for any expression",
)


def wildcard(name: str, shape: Shape = ()) -> Expr:
    """A letter in a law that stands for any expression of this shape; its sizes stand for any sizes."""
    return wildcard_op(params=(name, shape))
