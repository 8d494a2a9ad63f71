"""Products of arrays: how do vectors and matrices multiply, and why does a transpose appear?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from gradstep.expression.boxes import POWER, PRODUCT, Box, Row, Sup, Written, fenced, row
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Params
from gradstep.expression.shapes import Shape, broadcast, contraction, shape_text
from gradstep.operations.arithmetic import multiply, scale
from gradstep.operations.broadcasting import TRANSPOSED, spread, sum_over
from gradstep.operations.einsums import einsum_of
from gradstep.operations.families import (
    DOTTED,
    JUXTAPOSED,
    Write,
    call_text,
    infix_text,
    multilinear,
)
from gradstep.operations.leaves import expression
from gradstep.operations.permutations import matrix_transpose, transpose_op

# ------------------------------------------------------------------------------------------- matrix product

BATCHES = "abcdefgh"  # the axes that count vectors or matrices, in the index string of a product


@lru_cache(maxsize=64)
def _matmul_indices(params: Params, a: int, b: int) -> str:
    """The last two axes multiply, the axes before them are shared, aligned at their end as NumPy does."""
    left, right = ("ik" if a > 1 else "k"), ("kj" if b > 1 else "k")
    shared = BATCHES[: max(a, b, 2) - 2]
    A, B = shared[max(len(shared) - a + 2, 0) :] + left, shared[max(len(shared) - b + 2, 0) :] + right
    return f"{A},{B}->{shared}{left[:-1]}{right[1:]}"


def _matmul_shape(params: Params, a: Shape, b: Shape) -> Shape:
    if not a or not b:
        raise MathError(f"@ multiplies vectors and matrices, not {shape_text(a)} with {shape_text(b)}")
    return contraction(_matmul_indices((), len(a), len(b)), (a, b))


def _matmul_adjoint(G: Expr, y: Expr, args: Sequence[Expr]) -> tuple[Expr, Expr]:
    """The other factor crosses transposed; a factor without the shared axes is in every product, so Σ."""
    A, B = args
    match A.rank, B.rank:
        case 1, 1:
            return scale(G, B), scale(G, A)
        case 2, 1:
            return outer(G, B), matrix_transpose(A) @ G
        case 1, 2:
            return B @ G, outer(A, G)
        case (1, _) | (_, 1):
            inputs, output = _matmul_indices((), A.rank, B.rank).split("->")
            left, right = inputs.split(",")
            return _by_indices((output, right, left), G, B), _by_indices((left, output, right), A, G)
    return _over_shared(G @ matrix_transpose(B), A.rank), _over_shared(matrix_transpose(A) @ G, B.rank)


def _by_indices(letters: tuple[str, str, str], x: Expr, y: Expr) -> Expr:
    """The einsum of `x` and `y`: two strings of letters for their axes, and one for the result."""
    *inputs, output = [[ord(letter) for letter in places] for places in letters]
    return einsum_of(inputs, output, (x, y))


def _over_shared(x: Expr, rank: int) -> Expr:
    """The sum over the axes in front that an operand of this rank has not."""
    return sum_over(x, tuple(range(x.rank - rank)))


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
        ((), (("h", "m", "k"), ("h", "k", "n"))),
        ((), (("h", "m", "k"), ("k", "n"))),
        ((), (("m", "k"), ("h", "k", "n"))),
        ((), (("h", "m", "k"), ("k",))),
        ((), (("k",), ("h", "k", "n"))),
        ((), ((6, "h", "m", "k"), ("h", "k", "n"))),
    ),
    shape=_matmul_shape,
)


def matmul(a: Expr, b: Expr) -> Expr:
    """The matrix product, NumPy's `@`."""
    a, b = expression(a), expression(b)
    if not a.rank or not b.rank:
        raise MathError("@ multiplies vectors and matrices: for a number use *", mend="* instead of @")
    return matmul_op(*_sharing(a, b))


def _sharing(a: Expr, b: Expr) -> tuple[Expr, Expr]:
    """Both factors, an axis of size one before the last two repeated as often as the other factor has it."""
    if min(a.rank, b.rank) < 3:
        return a, b
    shared = broadcast(a.shape[:-2], b.shape[:-2])

    def stretched(x: Expr) -> Expr:
        own = tuple(s if size == 1 else size for size, s in zip(x.shape[-3::-1], shared[::-1], strict=False))
        return spread(x, (*own[::-1], *x.shape[-2:]))

    return stretched(a), stretched(b)


def dot(a: Any, b: Any) -> Expr:
    """NumPy's dot: the product of numbers, the inner product of vectors, the product of matrices."""
    a, b = expression(a), expression(b)
    return multiply(a, b) if not a.rank or not b.rank else matmul(a, b)


def inner(a: Any, b: Any) -> Expr:
    """NumPy's inner: the sum of products along the last axes, x·y of vectors and A Bᵀ of matrices."""
    a, b = expression(a), expression(b)
    if not a.rank or not b.rank:
        return multiply(a, b)
    return matmul_op(b, a) if a.rank < b.rank else matmul_op(a, matrix_transpose(b))


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
    lambda G, y, args: (G @ args[1], matrix_transpose(G) @ args[0]),
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
