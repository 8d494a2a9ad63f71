"""What stands for a gradient that is not written out? The symbol ∂C/∂N."""

from __future__ import annotations

from gradstep.expression.boxes import ATOM, Frac, Of, Written, row
from gradstep.expression.node import Expr
from gradstep.operations.families import JUXTAPOSED, leaf
from gradstep.operations.leaves import number


def _unknown(*_: object) -> object:
    raise NotImplementedError("the symbol ∂C/∂N has no value of its own")


# params: the part N, and the loss C. Stands for the array ∂C/∂N, of the shape of N.
cotangent_op = leaf(
    "cotangent",
    lambda params: params[0].shape,
    _unknown,
    lambda expr, spell: (f"d{spell(expr.params[0])[0]}", ATOM),
    lambda expr, write: Written(
        Of(expr, Frac(row("∂", write(expr.params[1]).box), row("∂", write(expr.params[0]).box))),
        JUXTAPOSED,
    ),
    "the gradient of the loss with respect to a part",
)


def cotangent(part: Expr, loss: Expr) -> Expr:
    """The symbol ∂C/∂part; for the loss itself the number 1."""
    return number(1) if part is loss else cotangent_op(params=(part, loss))
