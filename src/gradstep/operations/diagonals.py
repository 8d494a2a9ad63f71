"""The identity, diagonals and the trace: what does a matrix hold on its diagonal?"""

from __future__ import annotations

from gradstep.expression.boxes import ATOM
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation
from gradstep.expression.shapes import Shape, Size, same, shape_text
from gradstep.operations.arithmetic import scale
from gradstep.operations.broadcasting import repeat
from gradstep.operations.families import call_box, call_text, multilinear, only
from gradstep.operations.leaves import checked_size, expression, eye_op


def eye(size: Size) -> Expr:
    """The identity matrix of this size."""
    return eye_op(params=(checked_size(size),))


def square_size(name: str, shape: Shape) -> Size:
    """The size of a square matrix."""
    if len(shape) != 2:
        raise MathError(f"{name} takes a square matrix, not {shape_text(shape)}")
    try:
        return same(shape)
    except MathError:
        raise MathError(f"{name} takes a square matrix, not {shape_text(shape)}") from None


def _trace_shape(params: object, shape: Shape) -> Shape:
    square_size("trace", shape)
    return ()


trace_op = multilinear(
    "trace",
    lambda params, *ranks: "ii->",
    lambda G, y, args: (scale(G, eye(args[0].shape[0])),),
    rule="derivative of a trace",
    why="tr X adds the entries on the diagonal: ∂tr(X)/∂X = I",
    text=call_text,
    layout=call_box("tr"),
    meaning=lambda np, sizes, params, a: np.trace(a),
    code="np.trace({0})",
    example=(((), (("n", "n"),)),),
    shape=_trace_shape,
)


def _diagonal_shape(params: object, shape: Shape) -> Shape:
    return (square_size("diag", shape),)


diagonal_op: Operation = multilinear(
    "diagonal",
    lambda params, *ranks: "ii->i",
    lambda G, y, args: (diagonal_matrix_op(G),),
    rule="derivative of a diagonal",
    why="only the entries on the diagonal count, each once",
    text=lambda expr, spell: (f"diag({spell(expr.args[0])[0]})", ATOM),
    layout=call_box("diag"),
    meaning=lambda np, sizes, params, a: np.diagonal(a),
    code="np.diagonal({0})",
    example=(((), (("n", "n"),)),),
    shape=_diagonal_shape,
)


def _diagonal_matrix_shape(params: object, shape: Shape) -> Shape:
    if len(shape) != 1:
        raise MathError(f"a diagonal matrix is made of a vector, not of {shape_text(shape)}")
    return (shape[0], shape[0])


diagonal_matrix_op: Operation = Operation(
    "diagonal_matrix",
    _diagonal_matrix_shape,
    lambda np, sizes, params, v: np.diag(v),
    lambda expr, spell: (f"diag({spell(expr.args[0])[0]})", ATOM),
    call_box("diag"),
    lambda y, args, dargs: diagonal_matrix_op(only(dargs)),
    lambda G, y, args: (diagonal_op(G),),
    "derivative of a diagonal matrix",
    "entry i of v stands at place (i, i) alone",
    "np.diag({0})",
    definition=lambda params, v: repeat(v, 1, v.shape[0]) * eye(v.shape[0]),
    example=(((), (("n",),)),),
)


def trace(x: Expr) -> Expr:
    """The sum of the entries on the diagonal of a square matrix."""
    return trace_op(expression(x))


def diag(x: Expr) -> Expr:
    """A diagonal matrix of a vector; of a square matrix the vector of its diagonal, as in NumPy."""
    x = expression(x)
    if x.rank == 1:
        return diagonal_matrix_op(x)
    if x.rank == 2:
        return x.args[0] if x.op is diagonal_matrix_op else diagonal_op(x)
    raise MathError(f"diag takes a vector or a square matrix, not {shape_text(x.shape)}")
