"""The Kronecker product: what do all products of an entry of A with an entry of B make, block by block?

A ⊗ B has the blocks Aᵢⱼ B (Petersen and Pedersen, The Matrix Cookbook, section 10.2). Its axes are pairs of
axes, so that it is an einsum with four indices whose pairs are taken together.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradstep.expression.boxes import Written, fenced, row
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, Params
from gradstep.expression.shapes import Shape, shape_text, times
from gradstep.operations.arithmetic import scale
from gradstep.operations.einsums import einsum
from gradstep.operations.entries import reshape
from gradstep.operations.families import JUXTAPOSED, SIGNED, Write, call_text, product_differential
from gradstep.operations.leaves import expression


def _shape(params: Params, a: Shape, b: Shape) -> Shape:
    if len(a) != len(b) or len(a) not in (1, 2):
        raise MathError(
            f"kron multiplies two matrices or two vectors, not {shape_text(a)} with {shape_text(b)}",
            mend="reshape(x, (n, 1)) for a vector as a column",
        )
    return tuple(times(m, p) for m, p in zip(a, b, strict=True))


def paired(a: Shape, b: Shape) -> Shape:
    """The axes of a Kronecker product taken apart: m, p, n, q for an m×n and a p×q matrix."""
    return tuple(size for pair in zip(a, b, strict=True) for size in pair)


def _definition(params: Params, a: Expr, b: Expr) -> Expr:
    return reshape(
        einsum("i,k->ik" if a.rank == 1 else "ij,kl->ikjl", a, b), _shape(params, a.shape, b.shape)
    )


def _adjoint(G: Expr, y: Expr, args: Sequence[Expr]) -> tuple[Expr, Expr]:
    """⟨G, dA ⊗ B⟩: block ij of G meets B, and that is what arrives at Aᵢⱼ."""
    A, B = args
    blocks = reshape(G, paired(A.shape, B.shape))
    if A.rank == 1:
        return blocks @ B, blocks.T @ A
    return einsum("ikjl,kl->ij", blocks, B), einsum("ikjl,ij->kl", blocks, A)


def _box(expr: Expr, write: Write) -> Written:
    """A ⊗ B; in parentheses beside ⊙ and other products."""
    a, b = (fenced(write(arg), JUXTAPOSED) for arg in expr.args)
    return Written(row(a, "⊗", b), SIGNED)


kron_op = Operation(
    "kron",
    _shape,
    lambda np, sizes, params, a, b: np.kron(a, b),
    call_text,
    _box,
    product_differential,
    _adjoint,
    "Kronecker product rule",
    "d(A ⊗ B) = dA ⊗ B + A ⊗ dB: its entries are products Aᵢⱼ Bₖₗ, and either factor moves while the other "
    "stands still",
    "np.kron({0}, {1})",
    definition=_definition,
    example=(((), (("m", "n"), ("k", 2))), ((), (("m",), ("n",)))),
)


def kron(a: Expr, b: Expr) -> Expr:
    """NumPy's kron: the matrix of the blocks Aᵢⱼ B, (m p)×(n q) for an m×n and a p×q matrix.

    Of two vectors it is the vector with the parts aᵢ b; a number scales.
    """
    a, b = expression(a), expression(b)
    return kron_op(a, b) if a.rank and b.rank else scale(a, b) if not a.rank else scale(b, a)
