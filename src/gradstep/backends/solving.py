"""When is a system solved instead of a matrix inverted? Where its inverse occurs once, in a product."""

from __future__ import annotations

from gradstep.expression.node import Expr
from gradstep.operations.improving import Improvement, Uses
from gradstep.operations.inverses import inv_op, solve_op
from gradstep.operations.leaves import symbol
from gradstep.operations.permutations import matrix_transpose, transpose_op
from gradstep.operations.products import matmul_op


def _system(factor: Expr, uses: Uses) -> Expr | None:
    """A where `factor` is A⁻¹ (Aᵀ where it is A⁻ᵀ), and nothing else uses it."""
    inner = factor.args[0] if factor.op is transpose_op else factor
    if inner.op is not inv_op or uses(factor) > 1 or uses(inner) > 1:
        return None
    return inner.args[0] if inner is factor else matrix_transpose(inner.args[0])


def _solved(y: Expr, uses: Uses) -> Expr | None:
    a, b = y.args
    if max(a.rank, b.rank) > 2:
        return None
    left = _system(a, uses) if a.rank == 2 else None
    if left is not None:
        return solve_op(left, b)
    right = _system(b, uses) if b.rank == 2 else None
    if right is None or not y.rank:
        return None
    return matrix_transpose(solve_op(matrix_transpose(right), matrix_transpose(a)))


_A, _b, _B = symbol("A", "n n"), symbol("b", "n"), symbol("B", "n k")

SOLVING = Improvement(
    "a solution instead of an inverse",
    "solving A x = b takes a third of the work of A⁻¹, and loses fewer digits",
    (matmul_op,),
    _solved,
    (inv_op(_A) @ _b, inv_op(_A) @ _B, inv_op(_A).T @ _b, _b @ inv_op(_A), _B.T @ inv_op(_A)),
)
