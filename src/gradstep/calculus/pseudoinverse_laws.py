"""Which equations tidy pseudoinverses? XX⁺ and X⁺X are projections, and Penrose's four equations follow.

XX⁺ leaves the space of the columns of X as it is, X⁺X that of its rows (Penrose, "A generalized inverse for
matrices", Proc. Camb. Phil. Soc. 51, 1955).
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from gradstep.calculus.matrix_laws import chained, factors, vector_factors
from gradstep.calculus.rewriting import Law
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.operations.arithmetic import subtract_op
from gradstep.operations.broadcasting import repeat
from gradstep.operations.diagonals import eye
from gradstep.operations.leaves import eye_op, number
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op
from gradstep.operations.pseudoinverses import pinv, pinv_op


@record
class Factor:
    """X, X⁺, Xᵀ or (X⁺)ᵀ."""

    of: Expr
    plus: bool
    turned: bool

    @property
    def from_rows(self) -> bool:
        """Whether what it makes lies in the space of the rows of X, as X⁺y and Xᵀy do."""
        return self.plus != self.turned

    def projects(self, other: Factor) -> bool:
        """Whether self times other is XX⁺ or X⁺X, or the transpose of one, which is the same."""
        return self.of is other.of and self.plus != other.plus and self.turned == other.turned


def _read(factor: Expr) -> Factor:
    turned = factor.op is transpose_op
    inner = factor.args[0] if turned else factor
    plus = inner.op is pinv_op
    return Factor(inner.args[0] if plus else inner, plus, turned)


def _sides(expr: Expr, fences: Container[Expr]) -> tuple[list[Expr], list[Expr]]:
    """The factors on both sides of a product."""
    a, b = expr.args
    left = factors(a, fences) if a.rank == 2 else [a]
    return left, factors(b, fences) if b.rank == 2 else vector_factors(b, fences)


def projections(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """XX⁺X = X, X⁺X Xᵀ = Xᵀ …, and (X⁺)ᵀXᵀ = XX⁺."""
    left, right = _sides(expr, fences)
    if left[-1].rank < 2 or right[0].rank < 2:
        return None
    near = [*left[-2:], *right[:2]]
    at = len(left[-2:]) - 1  # the last one on the left
    for k in (at - 1, at):
        if k >= 0 and k + 2 < len(near) and (fewer := _of_three(near[k : k + 3])) is not None:
            return chained([*left[:-2], *near[:k], fewer, *near[k + 3 :], *right[2:]])
    a, b = _read(left[-1]), _read(right[0])
    if a.turned and a.projects(b):
        return chained([*left[:-1], right[0].args[0], left[-1].args[0], *right[1:]])
    return None


def _of_three(parts: Sequence[Expr]) -> Expr | None:
    """The one factor that three neighbours are, if two of them are a projection that does nothing to it."""
    if any(part.rank < 2 for part in parts):
        return None
    a, b, c = map(_read, parts)
    if not a.of is b.of is c.of:
        return None
    if a.projects(b) and c.from_rows == a.from_rows:
        return parts[2]
    return parts[0] if b.projects(c) and a.from_rows != b.from_rows else None


def vanishing(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """(I − XX⁺) X = 0, X (I − X⁺X) = 0 …: nothing of X is left beside its projections."""
    left, right = _sides(expr, fences)
    rest, other, first = left[-1], right[0], True
    if not _is_rest(rest, fences):
        rest, other, first = other, rest, False
    if other.rank < 2 or not _is_rest(rest, fences):
        return None
    projection, factor = _read(rest.args[1].args[0]), _read(other)
    if projection.of is not factor.of or (factor.from_rows == projection.from_rows) is not first:
        return None
    return repeat(number(0), tuple(range(expr.rank)), expr.shape)


def turned_rest(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """I − XX⁺ and I − X⁺X are symmetric."""
    return expr.args[0] if _is_rest(expr.args[0], fences) else None


def _is_rest(expr: Expr, fences: Container[Expr]) -> bool:
    """Whether this is I − XX⁺ or I − X⁺X."""
    if expr.op is not subtract_op or expr in fences or expr.rank < 2 or expr.args[0].op is not eye_op:
        return False
    product = expr.args[1]
    return (
        product.op is matmul_op
        and product not in fences
        and _read(product.args[0]).projects(_read(product.args[1]))
    )


def _laws() -> tuple[Law, ...]:
    X, v = wildcard("X", ("m", "n")), wildcard("v", ("m",))
    P = pinv(X)
    rows, columns = eye("n") - P @ X, eye("m") - X @ P
    return (
        Law("pseudoinverse of a transpose", "(Xᵀ)⁺ = (X⁺)ᵀ", ((pinv(transpose_op(X)), transpose_op(P)),)),
        Law("pseudoinverse of a pseudoinverse", "(X⁺)⁺ = X", ((pinv(P), X),)),
        Law(
            "projections",
            "XX⁺ changes nothing of X, X⁺X nothing of Xᵀ; both are symmetric",
            apply=projections,
            heads=(matmul_op,),
            examples=lambda: (
                X @ P @ X,
                P @ (X @ (P @ v)),
                P @ X @ X.T,
                X @ P @ P.T,
                X.T @ (X @ P),
                P.T @ X.T,
                X.T @ (P.T @ (P @ v)),
            ),
        ),
        Law(
            "projections",
            "I − XX⁺ and I − X⁺X are symmetric",
            apply=turned_rest,
            heads=(transpose_op,),
            examples=lambda: (transpose_op(rows), transpose_op(columns)),
        ),
        Law(
            "projections",
            "(I − XX⁺) X = 0 and X (I − X⁺X) = 0",
            apply=vanishing,
            heads=(matmul_op,),
            examples=lambda: (
                columns @ X,
                X @ rows,
                rows @ (P @ v),
                X.T @ columns,
                rows @ X.T,
                columns @ P.T,
            ),
        ),
    )


PSEUDOINVERSE_LAWS: tuple[Law, ...] = _laws()
