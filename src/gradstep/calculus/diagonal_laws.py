"""Which equations tidy identities, diagonal matrices, outer products and masks?"""

from __future__ import annotations

from collections.abc import Container, Iterator

from gradstep.calculus.rewriting import Law
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.node import Expr
from gradstep.operations.arithmetic import (
    add_op,
    greater_equal_op,
    greater_op,
    multiply,
    multiply_op,
    power_op,
    scale,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import ones, repeat, repeat_op, sum_over
from gradstep.operations.diagonals import diag, diagonal_matrix_op, diagonal_op, eye, trace
from gradstep.operations.leaves import TRIANGLES, eye_op, number, size, triangle_op
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op, outer
from gradstep.operations.triangles import tril, triu

c = wildcard("c")
u, v, w = wildcard("u", ("m",)), wildcard("v", ("m",)), wildcard("w", ("n",))
M, L = wildcard("M", ("m", "n")), wildcard("L", ("n", "m"))
I, J = eye("m"), eye("n")


def one_diagonal(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """diag(s) + c diag(t) = diag(s + c t): what stands on the diagonal is added there."""
    found = [_on_diagonal(arg, fences) for arg in expr.args]
    a, b = found
    if a is None or b is None or all(_unscaled(arg).op is eye_op for arg in expr.args):
        return None
    return diagonal_matrix_op(expr.op(a, b))


def _unscaled(expr: Expr) -> Expr:
    return expr.args[1] if expr.op is scale_op else expr


def _on_diagonal(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """The vector on the diagonal of a diagonal matrix; None for any other matrix."""
    if expr in fences:
        return None
    body = _unscaled(expr)
    if body in fences or body.op not in (eye_op, diagonal_matrix_op):
        return None
    ones = repeat(number(1), 0, body.shape[0])
    vector = ones if body.op is eye_op else body.args[0]
    return scale(expr.args[0], vector) if expr.op is scale_op else vector


def one_number(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """diag(c 𝟏) = c I."""
    copies = expr.args[0]
    if copies.op is repeat_op and not copies.args[0].rank:
        yield scale(copies.args[0], eye(expr.shape[0]))


def one_mask(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """A mask is 0 or 1, so a second time it changes nothing: 1[z > 0] ⊙ 1[z > 0] = 1[z > 0]."""
    if expr.op is power_op:
        return expr.args[0] if expr.args[0].op in MASKS and _is_positive(expr.args[1]) else None
    left, right = expr.args
    for mask, other in ((left, right), (right, left)):
        if mask.op in MASKS and mask in _factors(other, fences):
            return other
    return None


def turned_triangle(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """1[i ≤ j]ᵀ = 1[i ≥ j]: i and j change places."""
    body = expr.args[0]
    if body.op is not triangle_op or body in fences:
        return None
    side, rows, columns, k = body.params
    (other,) = TRIANGLES.keys() - {side}
    return triangle_op(params=(other, columns, rows, -k))


MASKS = frozenset({greater_op, greater_equal_op, triangle_op})


def _is_positive(exponent: Expr) -> bool:
    return exponent.op.name == "number" and exponent.params[0] > 0


def _factors(expr: Expr, fences: Container[Expr]) -> set[Expr]:
    found, stack = set(), [expr]
    while stack:
        node = stack.pop()
        found.add(node)
        if node not in fences and node.op in (multiply_op, scale_op):
            stack += node.args
    return found


DIAGONAL = (
    Law("identity", "I A = A and A I = A", ((matmul_op(I, M), M), (matmul_op(M, J), M))),
    Law("identity", "I v = v", ((matmul_op(I, v), v), (matmul_op(v, I), v))),
    Law("the identity is symmetric", "Iᵀ = I", ((transpose_op(I), I),)),
    Law(
        "sums of the identity",
        "each row and each column of I sums to one",
        (
            (sum_over(I, (0,)), repeat(number(1), 0, "m")),
            (sum_over(I, (1,)), repeat(number(1), 0, "m")),
            (sum_over(I, (0, 1)), size("m")),
            (trace(I), size("m")),
            (diagonal_op(I), repeat(number(1), 0, "m")),
        ),
    ),
    Law(
        "sums of a diagonal matrix",
        "row i of diag(v) holds vᵢ alone",
        (
            (sum_over(diag(v), (0,)), v),
            (sum_over(diag(v), (1,)), v),
            (sum_over(diag(v), (0, 1)), sum_over(v, (0,))),
            (trace(diag(v)), sum_over(v, (0,))),
            (diagonal_op(diagonal_matrix_op(v)), v),
        ),
    ),
    Law("a diagonal matrix is symmetric", "diag(v)ᵀ = diag(v)", ((transpose_op(diag(v)), diag(v)),)),
    Law(
        "diagonal matrices multiply",
        "diag(u) diag(v) = diag(u ⊙ v)",
        (
            (matmul_op(diag(u), diag(v)), diag(u * v)),
            (matmul_op(diag(u), matmul_op(diag(v), M)), matmul_op(diag(u * v), M)),
            (matmul_op(matmul_op(L, diag(u)), diag(v)), matmul_op(L, diag(u * v))),
        ),
    ),
    Law(
        "sums of scaled rows",
        "Σᵢ uᵢ Mᵢⱼ = (u M)ⱼ: the column sums of diag(u) M",
        (
            (sum_over(matmul_op(diag(u), M), (0,)), matmul_op(u, M)),
            (sum_over(matmul_op(L, diag(u)), (1,)), matmul_op(L, u)),
        ),
    ),
    Law(
        "a diagonal matrix times a vector",
        "diag(u) v = u ⊙ v",
        ((matmul_op(diag(u), v), u * v), (matmul_op(v, diag(u)), v * u)),
    ),
    Law("ones on the diagonal", "diag(𝟏) = I", ((diag(repeat(number(1), 0, "m")), I),)),
    Law(
        "one number on the diagonal",
        "diag(c 𝟏) = c I",
        propose=one_number,
        heads=(diagonal_matrix_op,),
        examples=lambda: (diag(repeat(c, 0, "m")), diag(repeat(2 * c, 0, "n"))),
    ),
    Law(
        "one diagonal matrix",
        "diag(s) + diag(t) = diag(s + t)",
        apply=one_diagonal,
        heads=(add_op, subtract_op),
        examples=lambda: (
            add_op(diag(u), diag(v)),
            subtract_op(diag(u), scale_op(c, diag(v))),
            subtract_op(I, diag(v)),
            add_op(scale_op(c, I), diag(v)),
        ),
    ),
)

OUTER = (
    Law(
        "outer product times a vector",
        "(a bᵀ) v = (b·v) a",
        (
            (matmul_op(outer(v, w), wildcard("x", ("n",))), scale(w @ wildcard("x", ("n",)), v)),
            (matmul_op(u, outer(v, w)), scale(u @ v, w)),
        ),
    ),
    Law(
        "a matrix goes into an outer product",
        "L (v wᵀ) = (L v) wᵀ, and (v wᵀ) L = v (Lᵀ w)ᵀ",
        (
            (matmul_op(L, outer(v, wildcard("x", ("k",)))), outer(L @ v, wildcard("x", ("k",)))),
            (matmul_op(outer(wildcard("x", ("k",)), w), L), outer(wildcard("x", ("k",)), w @ L)),
        ),
    ),
    Law(
        "sums of an outer product",
        "the row sums of v wᵀ are (Σ w) v",
        (
            (sum_over(outer(v, w), (1,)), scale(sum_over(w, (0,)), v)),
            (sum_over(outer(v, w), (0,)), scale(sum_over(v, (0,)), w)),
            (sum_over(outer(v, w), (0, 1)), multiply(sum_over(v, (0,)), sum_over(w, (0,)))),
            (trace(outer(u, v)), u @ v),
            (diagonal_op(outer(u, v)), u * v),
        ),
    ),
)

MASKED = (
    Law(
        "a mask is 0 or 1",
        "1[z > 0]² = 1[z > 0]",
        apply=one_mask,
        heads=(multiply_op, power_op),
        examples=lambda: (
            multiply_op(greater_op(u, v), greater_op(u, v)),
            multiply_op(greater_op(u, v), multiply_op(u, greater_op(u, v))),
            power_op(greater_op(u, v), number(2)),
        ),
        oracle=False,
    ),
)

TRIANGULAR = (
    Law(
        "the other triangle",
        "1[i ≤ j]ᵀ = 1[i ≥ j]: rows and columns change places",
        apply=turned_triangle,
        heads=(transpose_op,),
        examples=lambda: (transpose_op(triu(ones("m", "n"), 1)), transpose_op(tril(ones("m", "n"), -2))),
    ),
)

LAWS: tuple[Law, ...] = (*DIAGONAL, *OUTER, *MASKED, *TRIANGULAR)
