"""Which equations tidy Kronecker products, and what arrives at their factors?

A ⊗ B is product by product what A and B are: its transpose, inverse, trace and products are those of its
factors (Petersen and Pedersen, The Matrix Cookbook, section 10.2).
"""

from __future__ import annotations

from collections.abc import Container

from gradstep.calculus.rewriting import Law
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.node import Expr
from gradstep.expression.shapes import times
from gradstep.operations.arithmetic import negate, negate_op, scale, scale_op
from gradstep.operations.broadcasting import repeat, repeat_op
from gradstep.operations.diagonals import eye, trace
from gradstep.operations.einsums import einsum, einsum_op
from gradstep.operations.entries import reshape, reshape_op
from gradstep.operations.inverses import inv
from gradstep.operations.kronecker import kron, kron_op, paired
from gradstep.operations.leaves import eye_op
from gradstep.operations.permutations import matrix_transpose
from gradstep.operations.products import outer, outer_op
from gradstep.operations.sums import sum

Fences = Container[Expr]

AT_LEFT, AT_RIGHT = ((0, 2, 1, 3), (2, 3)), ((2, 0, 3, 1), (2, 3))  # the indices that `kron_op.adjoint` gives


def number_comes_out(expr: Expr, fences: Fences) -> Expr | None:
    """Σ (c A)ᵢₖ Bₖⱼ = c Σ Aᵢₖ Bₖⱼ."""
    for k, arg in enumerate(expr.args):
        if arg in fences or arg.op not in (scale_op, negate_op):
            continue
        inner = einsum_op(*expr.args[:k], arg.args[-1], *expr.args[k + 1 :], params=expr.params)
        return negate(inner) if arg.op is negate_op else scale(arg.args[0], inner)
    return None


def identities(expr: Expr, fences: Fences) -> Expr | None:
    """I ⊗ I = I."""
    a, b = expr.args
    return eye(expr.shape[0]) if a.op is b.op is eye_op else None


def vectors_apart(expr: Expr, fences: Fences) -> Expr | None:
    """The entries of a ⊗ b, row by row in a matrix, are those of a bᵀ."""
    body = expr.args[0]
    if body.op is not kron_op or body in fences or body.rank != 1:
        return None
    a, b = body.args
    return outer(a, b) if expr.shape == (*a.shape, *b.shape) else None


def arriving(expr: Expr, fences: Fences) -> tuple[Expr, Expr, bool] | None:
    """What arrives at A ⊗ B, the factor that it meets, and whether the other factor is the left one."""
    if expr.params not in ((AT_LEFT, 2), (AT_RIGHT, 2)) or expr.args[0] in fences:
        return None
    blocks, met = expr.args
    m, p, n, q = blocks.shape
    inner = blocks.args[0] if blocks.op is reshape_op else blocks
    if blocks.op is reshape_op and (inner in fences or inner.shape != (times(m, p), times(n, q))):
        return None
    return inner, met, expr.params[0] == AT_LEFT


def factors_apart(expr: Expr, fences: Fences) -> Expr | None:
    """From C ⊗ D, ⟨D, B⟩ C arrives at A and ⟨C, A⟩ D at B; so it is with I = I ⊗ I and with equal entries."""
    found = arriving(expr, fences)
    if found is None:
        return None
    G, met, left = found
    if G.op is repeat_op and not G.args[0].rank:
        return repeat(G.args[0] * sum(met), (0, 1), expr.shape)
    m, p, n, q = expr.args[0].shape
    if G.op is eye_op and (m, p) == (n, q):
        return scale(trace(met), eye(expr.shape[0]))
    if G.op is kron_op and paired(*(arg.shape for arg in G.args)) == (m, p, n, q):
        own, other = G.args if left else G.args[::-1]
        return scale(sum(other * met), own)
    return None


def vectors_as_matrices(expr: Expr, fences: Fences) -> Expr | None:
    """From x yᵀ, X B Yᵀ arrives at A and Xᵀ A Y at B, where X and Y are x and y as matrices, row by row."""
    found = arriving(expr, fences)
    if found is None or found[0].op is not outer_op:
        return None
    G, met, left = found
    m, p, n, q = expr.args[0].shape
    X, Y = reshape(G.args[0], (m, p)), reshape(G.args[1], (n, q))
    return X @ met @ matrix_transpose(Y) if left else matrix_transpose(X) @ met @ Y


def _laws() -> tuple[Law, ...]:
    A, B = wildcard("A", ("m", "n")), wildcard("B", ("k", "N"))
    C, D = wildcard("C", ("n", "k")), wildcard("D", ("N", "m"))
    X, Y = wildcard("X", ("m", "m")), wildcard("Y", ("n", "n"))
    c, a, b = wildcard("c"), wildcard("a", ("m",)), wildcard("b", ("n",))
    x, y = wildcard("x", ("k*m",)), wildcard("y", ("N*n",))
    shape = "m", "k", "n", "N"
    blocks = reshape(kron(A, B), shape), repeat(c, (0, 1, 2, 3), shape)
    rows = reshape(outer(x, y), shape)
    square = reshape(eye("m*n"), ("m", "n", "m", "n"))

    def at_left(blocks: Expr) -> Expr:
        return einsum("ikjl,kl->ij", blocks, wildcard("Z", ("k", "N")))

    def at_right(blocks: Expr) -> Expr:
        return einsum("ikjl,ij->kl", blocks, wildcard("Z", ("m", "n")))

    return (
        Law("transpose of a Kronecker product", "(A ⊗ B)ᵀ = Aᵀ ⊗ Bᵀ", ((kron(A, B).T, kron(A.T, B.T)),)),
        Law(
            "a product of Kronecker products",
            "(A ⊗ B)(C ⊗ D) = (A C) ⊗ (B D)",
            ((kron(A, B) @ kron(C, D), kron(A @ C, B @ D)),),
        ),
        Law(
            "inverse of a Kronecker product",
            "(A ⊗ B)⁻¹ = A⁻¹ ⊗ B⁻¹",
            ((inv(kron(X, Y)), kron(inv(X), inv(Y))),),
            domain="nonzero",
        ),
        Law(
            "sums of a Kronecker product",
            "tr(A ⊗ B) = tr A tr B, and the same with the sum of all entries",
            (
                (trace(kron(X, Y)), trace(X) * trace(Y)),
                (sum(kron(A, B)), sum(A) * sum(B)),
                (sum(kron(a, b)), sum(a) * sum(b)),
            ),
        ),
        Law(
            "a Kronecker product of identities",
            "I ⊗ I = I",
            apply=identities,
            heads=(kron_op,),
            examples=lambda: (kron(eye("m"), eye("n")),),
        ),
        Law(
            "a Kronecker product of vectors as a matrix",
            "row by row in a matrix, a ⊗ b is a bᵀ",
            apply=vectors_apart,
            heads=(reshape_op,),
            examples=lambda: (reshape(kron(a, b), ("m", "n")),),
        ),
        Law(
            "the number comes out",
            "a product of entries is linear in each factor: a number or a sign may stand in front",
            apply=number_comes_out,
            heads=(einsum_op,),
            examples=lambda: (einsum("ij,jk->ik", c * A, C), einsum("ij,jk->ik", A, -C)),
        ),
        Law(
            "one factor at a time",
            "⟨C ⊗ D, A ⊗ B⟩ = ⟨C, A⟩ ⟨D, B⟩, so ⟨C, A⟩ D arrives at B and ⟨D, B⟩ C at A; "
            "I is I ⊗ I, and ⟨I, A⟩ = tr A",
            quiet=False,
            apply=factors_apart,
            heads=(einsum_op,),
            examples=lambda: (
                *(example for G in blocks for example in (at_left(G), at_right(G))),
                einsum("ikjl,kl->ij", square, Y),
                einsum("ikjl,ij->kl", square, X),
            ),
        ),
        Law(
            "vectors as matrices",
            "xᵀ (A ⊗ B) y = ⟨X, A Y Bᵀ⟩, where X and Y hold the entries of x and y row by row",
            quiet=False,
            apply=vectors_as_matrices,
            heads=(einsum_op,),
            examples=lambda: (at_left(rows), at_right(rows)),
        ),
    )


LAWS = _laws()
