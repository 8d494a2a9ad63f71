"""Which equations put the powers of one matrix together? XᵃXᵇ = Xᵃ⁺ᵇ, for positive exponents.

So ∂tr(Xᵏ)/∂X = k (Xᵏ⁻¹)ᵀ (Petersen and Pedersen, The Matrix Cookbook, eq. 121).
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from gradstep.calculus.rewriting import Law
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.node import Expr, replace, walk
from gradstep.operations.arithmetic import add_op, subtract_op
from gradstep.operations.inverses import matrix_power, matrix_power_op
from gradstep.operations.permutations import matrix_transpose, transpose_op
from gradstep.operations.products import matmul_op

Fences = Container[Expr]


def _power(expr: Expr, fences: Fences) -> tuple[Expr, int, bool]:
    """The matrix, how often it is multiplied with itself, and whether all of it is transposed."""
    turned = expr.op is transpose_op and expr not in fences
    body = expr.args[0] if turned else expr
    if body.op is matrix_power_op and body not in fences:
        return body.args[0], int(body.params[0]), turned
    return body, 1, turned


def joined(expr: Expr, fences: Fences) -> Expr | None:
    """The product of two powers of one matrix as one power."""
    if expr.rank != 2:
        return None
    (x, a, turned), (y, b, other) = (_power(arg, fences) for arg in expr.args)
    if x is not y or turned is not other or a < 1 or b < 1:
        return None
    power = matrix_power(x, a + b)
    return matrix_transpose(power) if turned else power


def joined_with_powers(expr: Expr, fences: Fences) -> Expr | None:
    """XᵃXᵇ = Xᵃ⁺ᵇ where a power stands already; X X stays."""
    bases = [_power(arg, fences) for arg in expr.args]
    return joined(expr, fences) if any(k > 1 for _, k, _ in bases) else None


def as_powers(expr: Expr, fences: Fences) -> Iterator[Expr]:
    """Every X X in a sum as X²: like terms may meet."""
    swaps = {}
    for node in walk(*expr.args, stop=fences.__contains__):
        if node.op is matmul_op and node not in fences and (power := joined(node, fences)) is not None:
            swaps[node] = power
    if swaps:
        yield replace(expr, swaps)


X = wildcard("X", ("n", "n"))
_CUBE = matrix_power(X, 3)

LAWS: tuple[Law, ...] = (
    Law(
        "product of powers",
        "XᵃXᵇ = Xᵃ⁺ᵇ",
        apply=joined_with_powers,
        heads=(matmul_op,),
        examples=lambda: (_CUBE @ X, X @ _CUBE, _CUBE.T @ X.T, matrix_power(X, 2) @ _CUBE),
    ),
    Law(
        "products are powers",
        "X X = X², where terms then come together",
        propose=as_powers,
        within=frozenset({matmul_op}),
        heads=(add_op, subtract_op),
        examples=lambda: (X @ X + 2 * matrix_power(X, 2), X.T @ X.T - matrix_power(X, 2).T),
    ),
)
