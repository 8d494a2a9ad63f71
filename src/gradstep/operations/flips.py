"""The order of entries reversed: what runs along one axis, and from which end?"""

from __future__ import annotations

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, Params
from gradstep.expression.shapes import Shape, axis_number, shape_text
from gradstep.operations.families import axis_text, call_box, only
from gradstep.operations.leaves import expression

# params: the axis.
flip_op: Operation = Operation(
    "flip",
    lambda params, shape: _has_axis(params, shape),
    lambda np, sizes, params, a: np.flip(a, params[0]),
    axis_text,
    call_box("flip"),
    lambda y, args, dargs: flip_op(only(dargs), params=y.params),
    lambda G, y, args: (flip(G, y.params[0]),),
    "flip rule",
    "reversing both sides of an inner product changes nothing: ⟨G, flip dx⟩ = ⟨flip G, dx⟩",
    lambda expr: f"np.flip({{0}}, axis={expr.params[0]})",
    example=(((0,), (("n",),)), ((0,), (("m", "n"),)), ((1,), (("m", "n"),))),
)


def _has_axis(params: Params, shape: Shape) -> Shape:
    (axis,) = params
    axis_number(axis, len(shape))
    return shape


def flip(x: Expr, axis: int | None = None) -> Expr:
    """`x` with the order of its entries along `axis` reversed; of a matrix the axis must be said."""
    x = expression(x)
    axis = axis_number(one_axis("flip", x, axis), x.rank)
    return x.args[0] if x.op is flip_op and x.params == (axis,) else flip_op(x, params=(axis,))


def one_axis(name: str, x: Expr, axis: int | None) -> int:
    """The axis that is meant; a vector has only one."""
    if axis is not None and not isinstance(axis, tuple):
        return axis
    if x.rank == 1 and axis is None:
        return 0
    raise MathError(
        f"{name} works along one axis",
        facts=[f"its operand is {shape_text(x.shape)}"],
        mend=f"{name}(…, axis=0)" if x.rank else None,
    )
