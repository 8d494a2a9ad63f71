"""In which order do the axes stand? Transposes and other permutations of the axes of an array.

ᵀ swaps the last two axes: of each matrix, where the axes before them count matrices. It is written `.T` of a
matrix and `.mT` of an array with more axes, because NumPy's `.T` turns round all axes of such an array.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradstep.expression.boxes import ATOM, POWER, Fence, Of, Row, Sub, Sup, Written, fenced, row
from gradstep.expression.boxes import number as number_box
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Params, Spelled, describe
from gradstep.expression.shapes import Shape, axis_number, listed_axes, shape_text
from gradstep.operations.broadcasting import LETTERS, TRANSPOSED
from gradstep.operations.families import Spell, Write, enclosed, multilinear
from gradstep.operations.leaves import expression

INVERSE = row("−", number_box(1))
INVERSE_TRANSPOSED = row("−", TRANSPOSED)
Order = tuple[int, ...]  # which axis of the operand stands at each place of the result

# ------------------------------------------------------------------------------------------- transpose


def _transpose_shape(params: Params, shape: Shape) -> Shape:
    if len(shape) < 2:
        raise MathError(f"only a matrix has a transpose, not {shape_text(shape)}")
    return (*shape[:-2], shape[-1], shape[-2])


def _transpose_text(expr: Expr, spell: Spell) -> Spelled:
    return f"{enclosed(spell(expr.args[0]), POWER + 5)}.{'T' if expr.rank == 2 else 'mT'}", POWER + 5


def _transpose_box(expr: Expr, write: Write) -> Written:
    """Xᵀ, and X⁻ᵀ for the transpose of an inverse."""
    inner = write(expr.args[0])
    match inner.box:
        case Of(_, Sup(base, exponent)) if exponent == INVERSE:
            return Written(Sup(base, INVERSE_TRANSPOSED), POWER)
    return Written(Sup(fenced(inner, POWER + 5), TRANSPOSED), POWER)


def _transpose_indices(params: Params, *ranks: int) -> str:
    letters = LETTERS[: ranks[0]]
    return f"{letters}->{letters[:-2]}{letters[-1]}{letters[-2]}"


transpose_op = multilinear(
    "transpose",
    _transpose_indices,
    lambda G, y, args: (matrix_transpose(G),),
    rule="transpose rule",
    why="⟨G, dAᵀ⟩ = ⟨Gᵀ, dA⟩: transposing both sides of an inner product changes nothing",
    text=_transpose_text,
    layout=_transpose_box,
    meaning=lambda np, sizes, params, a: np.swapaxes(a, -1, -2),
    example=(((), (("m", "n"),)), ((), (("k", "m", "n"),))),
    shape=_transpose_shape,
)


def matrix_transpose(x: Expr) -> Expr:
    """The last two axes swapped; a vector or a number is its own transpose, as in NumPy."""
    if x.rank < 2:
        return x
    return x.args[0] if x.op is transpose_op else transpose_op(x)


def plain_transpose(x: Expr) -> Expr:
    """`.T`, which is read only where NumPy means the same: an array with more axes has two transposes."""
    if x.rank > 2:
        raise MathError(
            f"an array with {x.rank} axes has no .T: NumPy turns all its axes round, mathematics swaps two",
            facts=[f"{describe(x)} is {shape_text(x.shape)}"],
            mend=".mT, which swaps the last two",
        )
    return matrix_transpose(x)


# ------------------------------------------------------------------------------------------- any order


def _swapped(rank: int) -> Order:
    return (*range(rank - 2), rank - 1, rank - 2)


def _order_shape(params: Params, shape: Shape) -> Shape:
    (order,) = params
    if sorted(order) != list(range(len(shape))):
        raise MathError(f"an order of the axes names each of them once: {shape_text(shape)}")
    return tuple(shape[axis] for axis in order)


def _order_text(expr: Expr, spell: Spell) -> Spelled:
    return f"transpose({spell(expr.args[0])[0]}, {expr.params[0]})", ATOM


def _order_box(expr: Expr, write: Write) -> Written:
    """A with its axes in this order, counted from 0: A₍₁₀₂₎."""
    order = Fence("(", Row(tuple(number_box(axis) for axis in expr.params[0])), ")")
    return Written(Sub(fenced(write(expr.args[0]), ATOM), order), ATOM)


def _order_indices(params: Params, *ranks: int) -> str:
    letters = LETTERS[: ranks[0]]
    return f"{letters}->{''.join(letters[axis] for axis in params[0])}"


def inverse_order(order: Order) -> Order:
    """What puts the axes back."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


# params: which axis of the operand stands at each place.
permute_op = multilinear(
    "permute",
    _order_indices,
    lambda G, y, args: (permuted(G, inverse_order(y.params[0])),),
    rule="permutation rule",
    why="the entries stay the same in another order of the axes: the cotangent takes the old order again",
    text=_order_text,
    layout=_order_box,
    meaning=lambda np, sizes, params, a: np.transpose(a, params[0]),
    code=lambda expr: f"np.transpose({{0}}, {expr.params[0]})",
    example=((((1, 0, 2),), (("k", "m", "n"),)), (((1, 2, 0),), (("k", "m", "n"),))),
    shape=_order_shape,
)


def permuted(x: Expr, order: Order) -> Expr:
    """`x` with its axes in this order: as it is, the transpose of each matrix, or another one."""
    if order == tuple(range(x.rank)):
        return x
    return matrix_transpose(x) if order == _swapped(x.rank) else permute_op(x, params=(order,))


def order_of(x: Expr) -> Order:
    """In which order a transpose or another permutation takes the axes of its operand."""
    return tuple(x.params[0]) if x.params else _swapped(x.rank)


def transpose(x: Expr, axes: Sequence[int] | None = None) -> Expr:
    """NumPy's transpose: the axes of `x` in the order `axes`; of a matrix the two swapped."""
    x = expression(x)
    if axes is None:
        return plain_transpose(x)
    order = tuple(axis_number(axis, x.rank) for axis in listed_axes(axes))
    if len(order) != x.rank or len({*order}) != x.rank:
        raise MathError(
            f"transpose names each of the {x.rank} axes once",
            facts=[f"the axes are {axes!r:.60}", f"{describe(x)} is {shape_text(x.shape)}"],
        )
    return permuted(x, order)


def swapaxes(x: Expr, axis1: int, axis2: int) -> Expr:
    """NumPy's swapaxes: two axes change places; swapaxes(K, -1, -2) is the transpose of each matrix."""
    x = expression(x)
    one, other = axis_number(axis1, x.rank), axis_number(axis2, x.rank)
    order = list(range(x.rank))
    order[one], order[other] = order[other], order[one]
    return permuted(x, tuple(order))
