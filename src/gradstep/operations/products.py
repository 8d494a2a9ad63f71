"""Products of arrays: how do vectors and matrices multiply, and why does a transpose appear?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradstep.expression.boxes import POWER, PRODUCT, Box, Of, Row, Sup, Written, fenced, row
from gradstep.expression.boxes import number as number_box
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Params, Spelled
from gradstep.expression.shapes import Shape, contraction, shape_text
from gradstep.operations.arithmetic import multiply, scale
from gradstep.operations.broadcasting import TRANSPOSED, sum_over
from gradstep.operations.families import (
    DOTTED,
    JUXTAPOSED,
    Spell,
    Write,
    call_text,
    enclosed,
    infix_text,
    multilinear,
)
from gradstep.operations.leaves import expression

INVERSE = row("−", number_box(1))
INVERSE_TRANSPOSED = row("−", TRANSPOSED)

# ------------------------------------------------------------------------------------------- transpose


def _transpose_shape(params: Params, shape: Shape) -> Shape:
    if len(shape) < 2:
        raise MathError(f"only a matrix has a transpose, not {shape_text(shape)}")
    return (*shape[:-2], shape[-1], shape[-2])


def _transpose_text(expr: Expr, spell: Spell) -> Spelled:
    return f"{enclosed(spell(expr.args[0]), POWER + 5)}.T", POWER + 5


def _transpose_box(expr: Expr, write: Write) -> Written:
    """Xᵀ, and X⁻ᵀ for the transpose of an inverse."""
    inner = write(expr.args[0])
    match inner.box:
        case Of(_, Sup(base, exponent)) if exponent == INVERSE:
            return Written(Sup(base, INVERSE_TRANSPOSED), POWER)
    return Written(Sup(fenced(inner, POWER + 5), TRANSPOSED), POWER)


transpose_op = multilinear(
    "transpose",
    lambda params, *ranks: {2: "ij->ji", 3: "aij->aji", 4: "abij->abji"}[ranks[0]],
    lambda G, y, args: (transpose(G),),
    rule="transpose rule",
    why="⟨G, dAᵀ⟩ = ⟨Gᵀ, dA⟩: transposing both sides of an inner product changes nothing",
    text=_transpose_text,
    layout=_transpose_box,
    meaning=lambda np, sizes, params, a: np.swapaxes(a, -1, -2),
    example=(((), (("m", "n"),)),),
    shape=_transpose_shape,
)


def transpose(x: Expr) -> Expr:
    """The last two axes swapped; a vector or a number is its own transpose, as in NumPy."""
    if x.rank < 2:
        return x
    return x.args[0] if x.op is transpose_op else transpose_op(x)


# ------------------------------------------------------------------------------------------- matrix product

_PRODUCTS: dict[tuple[int, ...], str] = {
    (2, 2): "ik,kj->ij",
    (2, 1): "ik,k->i",
    (1, 2): "k,kj->j",
    (1, 1): "k,k->",
}


def _matmul_indices(params: Params, *ranks: int) -> str:
    return _PRODUCTS[ranks]


def _matmul_shape(params: Params, a: Shape, b: Shape) -> Shape:
    if (len(a), len(b)) not in _PRODUCTS:
        raise MathError(f"@ multiplies vectors and matrices, not {shape_text(a)} with {shape_text(b)}")
    return contraction(_PRODUCTS[len(a), len(b)], (a, b))


def _matmul_adjoint(G: Expr, y: Expr, args: Sequence[Expr]) -> tuple[Expr, Expr]:
    A, B = args
    match A.rank, B.rank:
        case 2, 2:
            return G @ B.T, A.T @ G
        case 2, 1:
            return outer(G, B), A.T @ G
        case 1, 2:
            return B @ G, outer(A, G)
        case _:
            return scale(G, B), scale(G, A)


def _matmul_box(expr: Expr, write: Write) -> Written:
    """A B, A x, Aᵀx for x @ A, and x·y: written for column vectors."""
    A, B = expr.args
    a, b = write(A), write(B)
    if A.rank == B.rank == 1 and A.op is matmul_op and A.args[0].rank == 1:  # (x @ M) @ y is xᵀ M y
        x, M = (write(arg) for arg in A.args)
        left = Sup(fenced(x, POWER + 5), TRANSPOSED)
        return Written(Row((left, fenced(M, JUXTAPOSED), fenced(b, JUXTAPOSED))), JUXTAPOSED)
    if A.rank == B.rank == 1:
        return Written(row(fenced(a, JUXTAPOSED), "·", fenced(b, JUXTAPOSED)), DOTTED)
    if A.rank == 1:
        flipped: Box = Sup(fenced(b, POWER + 5), TRANSPOSED)
        if B.op is transpose_op:
            flipped = fenced(write(B.args[0]), JUXTAPOSED)
        return Written(Row((flipped, fenced(a, JUXTAPOSED))), JUXTAPOSED)
    return Written(Row((fenced(a, JUXTAPOSED), fenced(b, JUXTAPOSED))), JUXTAPOSED)


def _matmul_told(expr: Expr, places: Sequence[int]) -> tuple[str, str]:
    if not expr.rank:
        return (
            "dot product rule",
            "∂(w·x)/∂w = x: each entry of one factor meets the same entry of the other",
        )
    if len(places) > 1:
        return matmul_op.rule, matmul_op.why
    turned = "⟨G, A dB⟩ = ⟨AᵀG, dB⟩" if places[0] else "⟨G, dA B⟩ = ⟨G Bᵀ, dA⟩"
    return matmul_op.rule, f"the factor that does not move crosses the inner product transposed: {turned}"


matmul_op = multilinear(
    "matmul",
    _matmul_indices,
    _matmul_adjoint,
    rule="matrix product rule",
    why="a factor crosses an inner product transposed: ⟨G, A dB⟩ = ⟨AᵀG, dB⟩ and ⟨G, dA B⟩ = ⟨G Bᵀ, dA⟩",
    told=_matmul_told,
    text=infix_text(" @ ", PRODUCT),
    layout=_matmul_box,
    meaning=lambda np, sizes, params, a, b: a @ b,
    example=(
        ((), (("m", "k"), ("k", "n"))),
        ((), (("m", "k"), ("k",))),
        ((), (("k",), ("k", "n"))),
        ((), (("k",), ("k",))),
    ),
    shape=_matmul_shape,
)


def matmul(a: Expr, b: Expr) -> Expr:
    """The matrix product, NumPy's `@`."""
    a, b = expression(a), expression(b)
    if not a.rank or not b.rank:
        raise MathError("@ multiplies vectors and matrices: for a number use *", mend="* instead of @")
    return matmul_op(a, b)


def dot(a: Any, b: Any) -> Expr:
    """NumPy's dot: the product of numbers, the inner product of vectors, the product of matrices."""
    a, b = expression(a), expression(b)
    return multiply(a, b) if not a.rank or not b.rank else matmul_op(a, b)


def inner(a: Any, b: Any) -> Expr:
    """NumPy's inner: the sum of products along the last axes, x·y of vectors and A Bᵀ of matrices."""
    a, b = expression(a), expression(b)
    if not a.rank or not b.rank:
        return multiply(a, b)
    return matmul_op(b, a) if a.rank < b.rank else matmul_op(a, transpose(b))


def vdot(a: Any, b: Any) -> Expr:
    """NumPy's vdot: the sum of all products of entries at the same place, of arrays of one shape."""
    a, b = expression(a), expression(b)
    if a.shape != b.shape:
        raise MathError(
            "vdot takes two arrays of the same shape",
            facts=[f"here they are {shape_text(a.shape)} and {shape_text(b.shape)}"],
        )
    return matmul_op(a, b) if a.rank == 1 else sum_over(multiply(a, b), tuple(range(a.rank)))


# ------------------------------------------------------------------------------------------- outer product


def _outer_box(expr: Expr, write: Write) -> Written:
    a, b = (write(arg) for arg in expr.args)
    return Written(Row((fenced(a, JUXTAPOSED), Sup(fenced(b, POWER + 5), TRANSPOSED))), JUXTAPOSED)


def _outer_shape(params: Params, a: Shape, b: Shape) -> Shape:
    if len(a) != 1 or len(b) != 1:
        raise MathError("the outer product is of two vectors")
    return a + b


outer_op = multilinear(
    "outer",
    lambda params, *ranks: "i,j->ij",
    lambda G, y, args: (G @ args[1], G.T @ args[0]),
    rule="outer product rule",
    why="entry ij is aᵢ bⱼ: ⟨G, da bᵀ⟩ = ⟨G b, da⟩ and ⟨G, a dbᵀ⟩ = ⟨Gᵀa, db⟩",
    text=call_text,
    layout=_outer_box,
    meaning=lambda np, sizes, params, a, b: np.outer(a, b),
    code="np.outer({0}, {1})",
    example=(((), (("m",), ("n",))),),
    shape=_outer_shape,
)


def outer(a: Expr, b: Expr) -> Expr:
    """The matrix a bᵀ of two vectors."""
    return outer_op(expression(a), expression(b))
