"""When is a diagonal matrix not made at all? In a product, where it scales rows or columns."""

from __future__ import annotations

from gradstep.expression.node import Expr
from gradstep.operations.arithmetic import multiply
from gradstep.operations.broadcasting import repeat
from gradstep.operations.diagonals import diagonal_matrix_op
from gradstep.operations.improving import Improvement, Uses
from gradstep.operations.leaves import symbol
from gradstep.operations.products import matmul_op


def _scaled(y: Expr, uses: Uses) -> Expr | None:
    """diag(v) M has the rows vᵢ Mᵢ, and M diag(v) the columns vⱼ Mⱼ."""
    left, right = y.args
    if left.op is diagonal_matrix_op and right.rank == 2:
        return multiply(repeat(left.args[0], 1, right.shape[1]), right)
    if right.op is diagonal_matrix_op and left.rank == 2:
        return multiply(left, repeat(right.args[0], 0, left.shape[0]))
    return None


_v, _M = symbol("v", "m"), symbol("M", "m n")

SCALING = Improvement(
    "a diagonal matrix scales rows",
    "one pass over the matrix instead of a product with one that is almost all zeros",
    (matmul_op,),
    _scaled,
    (matmul_op(diagonal_matrix_op(_v), _M), matmul_op(_M.T, diagonal_matrix_op(_v))),
)
