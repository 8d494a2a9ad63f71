"""floor, ceil, round and trunc: what stands still between its jumps, and has no derivative worth the name?

They may work on what does not move, such as data. A derivation that would have to go through one is refused.
"""

from __future__ import annotations

from gradstep.expression.boxes import Fence, Written
from gradstep.expression.node import Expr, Number, Operation
from gradstep.operations.families import Write, call_box, call_text, same_shape, template_meaning
from gradstep.operations.leaves import expression


def _step(name: str, brackets: tuple[str, str] | None = None) -> Operation:
    def layout(expr: Expr, write: Write) -> Written:
        assert brackets is not None
        return Written(Fence(brackets[0], write(expr.args[0]).box, brackets[1]))

    return Operation(
        name,
        same_shape,
        template_meaning(f"np.{name}({{0}})", 1),
        call_text,
        layout if brackets else call_box(name),
        None,
        None,
        "no derivative",
        f"the slope of {name} is 0 between its jumps, and at a jump there is none",
        f"np.{name}({{0}})",
        slopes=(),
        example=tuple(((), (shape,)) for shape in ((), ("n",), ("m", "n"))),
    )


floor_op = _step("floor", ("⌊", "⌋"))
ceil_op = _step("ceil", ("⌈", "⌉"))
round_op = _step("round")
trunc_op = _step("trunc")


def floor(x: Expr | Number) -> Expr:
    """The largest whole number that is not above the entry. It has no derivative."""
    return floor_op(expression(x))


def ceil(x: Expr | Number) -> Expr:
    """The smallest whole number that is not below the entry. It has no derivative."""
    return ceil_op(expression(x))


def round(x: Expr | Number) -> Expr:
    """The nearest whole number, halves to the even one, as in NumPy. It has no derivative."""
    return round_op(expression(x))


def trunc(x: Expr | Number) -> Expr:
    """The entry without its fraction. It has no derivative."""
    return trunc_op(expression(x))
