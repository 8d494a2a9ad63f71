"""Which equations tidy products, inverses and determinants of matrices?

A product of matrices is a chain: what cancels are neighbours, and a sum of chains that begin or end alike has
a common factor. Vectors are multiplied first, so that outer and inner products come to light.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from functools import reduce

from gradstep.calculus.rewriting import Law
from gradstep.calculus.symmetry import is_symmetric
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.node import Expr
from gradstep.operations.arithmetic import (
    add,
    add_op,
    multiply,
    multiply_op,
    negate,
    negate_op,
    one_like,
    scale,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import sum_op
from gradstep.operations.diagonals import (
    diag,
    eye,
    trace,
)
from gradstep.operations.inverses import (
    det,
    det_op,
    inv,
    inv_op,
    logdet,
    logdet_op,
    matrix_power_op,
)
from gradstep.operations.leaves import eye_op, is_constant, number, size, value_of
from gradstep.operations.permutations import matrix_transpose, transpose_op
from gradstep.operations.products import matmul_op, outer, outer_op
from gradstep.operations.sums import sum

MOST_TERMS = 24  # of a sum that is searched for like terms
Factors = list[Expr]
Apply = Callable[[Expr, Container[Expr]], Expr | None]

# ------------------------------------------------------------------------------------------- chains


def factors(expr: Expr, fences: Container[Expr]) -> Factors:
    """The factors of a product of matrices and vectors, from left to right; what is fenced is one factor.

    So is a product of several matrices with a vector: its rows are vectors, and do not multiply as such.
    """
    found: Factors = []
    stack = [expr]
    while stack:
        node = stack.pop()
        if node.op is matmul_op and node not in fences and node.rank and not _has_rows(node):
            stack += (node.args[1], node.args[0])
        else:
            found.append(node)
    return found


def _has_rows(product: Expr) -> bool:
    """Whether several matrices are multiplied with one vector."""
    ranks = [arg.rank for arg in product.args]
    return min(ranks) == 1 and max(ranks) > 2


def chained(parts: Sequence[Expr]) -> Expr:
    """The product of these factors, a vector at the end multiplied first."""
    if len(parts) > 1 and parts[-1].rank == 1:
        return reduce(lambda done, left: matmul_op(left, done), reversed(parts))
    return reduce(matmul_op, parts)


Pair = Callable[[Expr, Expr], Sequence[Expr] | None]


def _reduced(pair: Pair) -> Apply:
    """A law of chains: two neighbours that become fewer factors."""

    def apply(expr: Expr, fences: Container[Expr]) -> Expr | None:
        a, b = expr.args
        left = factors(a, fences) if a.rank == 2 else [a]
        right = factors(b, fences) if b.rank == 2 else vector_factors(b, fences)
        fewer = pair(left[-1], right[0])  # what stands further inside was met before
        if fewer is None:
            return None
        rest = [*left[:-1], *fewer, *right[1:]]
        return chained(rest) if rest else eye(expr.shape[0])

    return apply


def vector_factors(vector: Expr, fences: Container[Expr]) -> Factors:
    """A, B, x of A (B x); a product with the vector on the left is one factor."""
    found: Factors = []
    while vector.op is matmul_op and vector not in fences and vector.rank == 1 and vector.args[0].rank == 2:
        found += factors(vector.args[0], fences)
        vector = vector.args[1]
    return [*found, vector]


def inverted(factor: Expr) -> Expr | None:
    """X where `factor` is X⁻¹ (Xᵀ where it is X⁻ᵀ)."""
    if factor.op is inv_op:
        return factor.args[0]
    inner = factor.args[0] if factor.op is transpose_op else factor
    return matrix_transpose(inner.args[0]) if inner.op is inv_op else None


def _cancelling(left: Expr, right: Expr) -> Sequence[Expr] | None:
    """X⁻¹X = I, and (A B)⁻¹ A = B⁻¹ of square matrices."""
    if left.rank < 2 or right.rank < 2:
        return None
    if inverted(left) is right or inverted(right) is left:
        return []
    for inverse, other, first in ((left, right, True), (right, left, False)):
        product = inverted(inverse)
        if product is None or other.shape[0] != other.shape[1]:
            continue
        turned = inverse.op is transpose_op
        inside = factors(matrix_transpose(product) if turned else product, ())
        at = 0 if first != turned else -1
        if len(inside) > 1 and inside[at] is (matrix_transpose(other) if turned else other):
            rest = inv_op(chained(inside[1:] if at == 0 else inside[:-1]))
            return [transpose_op(rest) if turned else rest]
    return None


# ------------------------------------------------------------------------------------------- common factors


def parted(term: Expr, fences: Container[Expr]) -> tuple[Expr, Factors]:
    """The number in front of a term, and its chain."""
    front = number(1)
    if term not in fences and term.op is negate_op:
        front, term = number(-1), term.args[0]
    if term not in fences and term.op is scale_op:
        front, term = scale(front, term.args[0]), term.args[1]
    if term.rank == 1 and term not in fences:
        return front, vector_factors(term, fences)
    return front, factors(term, fences)


def common_factor(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """A X + B X = (A + B) X and X A + X B = X (A + B), for single A and B; equal chains add up."""
    if not expr.rank:
        return None
    (c, left), (d, right) = (parted(term, fences) for term in expr.args)
    if len(left) < 2 or len(right) < 2:
        return None
    if expr.op is subtract_op:
        d = scale(number(-1), d)
    if left == right:
        return scale(add(c, d), chained(left))
    most = min(len(left), len(right)) - 1
    head = next((k for k in range(most) if left[k] is not right[k]), most)
    tail = next((k for k in range(most - head) if left[-1 - k] is not right[-1 - k]), most - head)
    if not len(left) == len(right) == head + 1 + tail or not (is_constant(c) and is_constant(d)):
        return None
    one, other = with_front(c, left[head]), with_front(d, right[head])
    middle = add_op(other, one) if left[head].op is transpose_op else add_op(one, other)  # A + Aᵀ
    return chained([*left[:head], middle, *left[len(left) - tail :]])


def with_front(front: Expr, body: Expr) -> Expr:
    return body if front is number(1) else negate_op(body) if front is number(-1) else scale(front, body)


def like_terms(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """x + y − x = y: terms of a longer sum that differ only in a constant in front."""
    terms: list[tuple[bool, Expr]] = []  # from the last to the first, each with its sign
    node = expr
    while node.op in (add_op, subtract_op) and (node is expr or node not in fences):
        terms.append((node.op is add_op, node.args[1]))
        node = node.args[0]
    terms.append((True, node))
    if not 2 < len(terms) <= MOST_TERMS or not expr.rank:
        return None
    seen: dict[Expr, int] = {}
    for k, (_, term) in enumerate(terms):
        later = seen.setdefault(_fronted(term, fences)[1], k)
        if later != k:
            return _without_like(terms, later, k, fences)
    return None


def _without_like(terms: list[tuple[bool, Expr]], later: int, k: int, fences: Container[Expr]) -> Expr:
    """The sum of the terms, where term `k` has joined the later one."""
    (c, body), (d, _) = (_fronted(terms[at][1], fences) for at in (later, k))
    together = add(c if terms[later][0] else multiply(number(-1), c), d if terms[k][0] else negate(d))
    joined = [(True, with_front(together, body))] if value_of(together) != 0 else []
    left = [*terms[:later], *joined, *terms[later + 1 : k], *terms[k + 1 :]][::-1]
    if not left:
        return scale(number(0), body)
    plus, first = left[0]
    total = first if plus else negate_op(first)
    for plus, term in left[1:]:
        total = add_op(total, term) if plus else subtract_op(total, term)
    return total


def _fronted(term: Expr, fences: Container[Expr]) -> tuple[Expr, Expr]:
    """The constant in front of a term, and the rest."""
    if term in fences:
        return number(1), term
    if term.op is negate_op:
        return number(-1), term.args[0]
    if term.op is scale_op and is_constant(term.args[0]):
        return term.args[0], term.args[1]
    return number(1), term


# ------------------------------------------------------------------------------------------- vectors


def vectors_first(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """(A B) x = A (B x), and x (A B) = (x A) B."""
    a, b = expr.args
    if b.rank == 1 and a.rank == 2 and a.op is matmul_op and a not in fences:
        return matmul_op(a.args[0], matmul_op(a.args[1], b))
    if a.rank == 1 and b.rank == 2 and b.op is matmul_op and b not in fences:
        return matmul_op(matmul_op(a, b.args[0]), b.args[1])
    return None


def columns(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """x A is Aᵀx, where it meets other vectors: in a sum, in a product, in an outer product."""
    if expr.op is matmul_op and (expr.rank != 1 or expr.args[0].rank != 2):
        return None
    args = [_column(arg, fences) for arg in expr.args]
    return expr.op(*args) if any(new is not old for new, old in zip(args, expr.args, strict=True)) else None


def _column(vector: Expr, fences: Container[Expr]) -> Expr:
    if vector.rank != 1 or vector.op is not matmul_op or vector in fences or vector.args[0].rank != 1:
        return vector
    x, A = vector.args
    return matmul_op(matrix_transpose(A), x)


# ------------------------------------------------------------------------------------------- the identity


def of_identity(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """I⁻¹ = I, det I = 1, and Σ I ⊙ A = tr A."""
    body = expr.args[0]
    if expr.op is sum_op:
        if expr.rank or body.op is not multiply_op or body in fences or body.rank != 2:
            return None
        one, other = body.args
        return trace(other) if one.op is eye_op else trace(one) if other.op is eye_op else None
    if body.op is not eye_op:
        return None
    return {det_op: number(1), logdet_op: number(0)}.get(expr.op, body)


def transposed_power(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """(Xᵀ)ᵏ = (Xᵏ)ᵀ."""
    body = expr.args[0]
    if body.op is not transpose_op or body in fences:
        return None
    return transpose_op(matrix_power_op(body.args[0], params=expr.params))


# ------------------------------------------------------------------------------------------- symmetry


def symmetric_law(
    name: str,
    why: str,
    variables: Sequence[Expr],
    quiet: bool,
    examples: Callable[[], Iterable[Expr]] = tuple,
) -> Law:
    """Sᵀ = S and x S = S x for every matrix that is symmetric if these variables are."""
    known = frozenset(variables)

    def apply(expr: Expr, fences: Container[Expr]) -> Expr | None:
        if expr.op is transpose_op:
            body = expr.args[0]
            if is_symmetric(body, known):
                return body
            apart = known and body.op in (add_op, subtract_op) and body not in fences
            if apart and any(is_symmetric(term, known) for term in body.args):
                return body.op(*map(matrix_transpose, body.args))
            return None
        x, S = expr.args
        if x.rank != 1 or S.rank != 2 or not is_symmetric(S, known):
            return None
        return matmul_op(S, x)

    return Law(name, why, quiet=quiet, apply=apply, heads=(transpose_op, matmul_op), examples=examples)


def orthogonal_law(Q: Expr) -> Law:
    """QᵀQ = Q Qᵀ = I wherever they are neighbours in a product."""
    reduced = _reduced(lambda a, b: [] if {a, b} == {Q, matrix_transpose(Q)} else None)
    x = wildcard("x", Q.shape[:1])
    return Law(
        f"{Q.params[0]} is orthogonal",
        "your assumption: QᵀQ = QQᵀ = I, so Q⁻¹ = Qᵀ",
        ((inv_op(Q), transpose_op(Q)),),
        quiet=False,
        domain="nonzero",
        apply=reduced,
        heads=(matmul_op,),
        examples=lambda: (matmul_op(Q, transpose_op(Q)), matmul_op(transpose_op(Q), matmul_op(Q, x))),
    )


# ------------------------------------------------------------------------------------------- the laws


def _square(name: str, size: str = "n") -> Expr:
    return wildcard(name, (size, size))


def _laws() -> tuple[Law, ...]:
    A, B, C = wildcard("A", ("m", "k")), wildcard("B", ("k", "n")), wildcard("C", ("m", "k"))
    D = wildcard("D", ("k", "n"))
    X, Y, Z = _square("X"), _square("Y"), _square("Z")
    a, x = wildcard("a", ("m",)), wildcard("x", ("k",))
    c, s, t = wildcard("c"), wildcard("s", ("n",)), wildcard("t", ("n",))
    I = eye_op(params=("n",))
    u = wildcard("u", ("m",))
    outers = (outer(s, t), outer(t, s))
    return (
        Law(
            "of the identity",
            "I⁻¹ = I, det I = 1, and Σ I ⊙ A = tr A",
            apply=of_identity,
            heads=(inv_op, det_op, logdet_op, matrix_power_op, sum_op),
            examples=lambda: (inv(I), det(I), logdet(I), sum(I * X), sum(X * I)),
        ),
        Law(
            "a matrix times its inverse",
            "X⁻¹X = I and XX⁻¹ = I, also next to each other in a product; Σ X⁻ᵀ ⊙ X = tr I",
            ((sum(inv(X).T * X), size("n")),),
            apply=_reduced(_cancelling),
            heads=(matmul_op,),
            domain="nonzero",
            examples=lambda: (
                inv(X) @ X,
                X.T @ inv(X).T,
                inv(X) @ (X @ s),
                inv(X @ Y) @ X,
                Y @ inv(X @ Y),
                X.T @ inv(X @ Y).T,
                X.T @ inv(X @ Y @ Z).T,
            ),
        ),
        Law("inverse of an inverse", "(X⁻¹)⁻¹ = X", ((inv(inv(X)), X),), domain="nonzero"),
        Law(
            "inverse of a transpose",
            "(Xᵀ)⁻¹ = (X⁻¹)ᵀ",
            ((inv(transpose_op(X)), transpose_op(inv(X))),),
            domain="nonzero",
        ),
        Law(
            "power of a transpose",
            "(Xᵀ)ᵏ = (Xᵏ)ᵀ",
            apply=transposed_power,
            heads=(matrix_power_op,),
            examples=lambda: (matrix_power_op(X.T, params=(number(3).params[0],)),),
        ),
        Law(
            "the number comes out",
            "(c X)⁻¹ = 1/c X⁻¹",
            ((inv(c * X), (1 / c) * inv(X)), (inv(-X), -inv(X))),
            domain="nonzero",
        ),
        Law(
            "inverse of a diagonal matrix",
            "diag(v)⁻¹ = diag(1 ⊘ v)",
            ((inv(diag(s)), diag(one_like(s) / s)),),
            domain="nonzero",
        ),
        Law(
            "determinant of a transpose or an inverse",
            "det Xᵀ = det X, det X⁻¹ = 1/det X",
            (
                (det(X.T), det(X)),
                (det(inv(X)), 1 / det(X)),
                (logdet(X.T), logdet(X)),
                (logdet(inv(X)), -logdet(X)),
            ),
            domain="nonzero",
        ),
        Law(
            "traces",
            "tr Xᵀ = tr X, and tr(X + a bᵀ) = tr X + a·b",
            (
                (trace(X.T), trace(X)),
                (trace(X + outers[0]), trace(X) + s @ t),
                (trace(X - outers[0]), trace(X) - s @ t),
                (trace(outers[0] - X), s @ t - trace(X)),
            ),
        ),
        Law(
            "vectors first",
            "(A B) x = A (B x)",
            apply=vectors_first,
            heads=(matmul_op,),
            examples=lambda: ((A @ B) @ s, a @ (A @ B)),
        ),
        Law(
            "a vector on the left",
            "x A is written Aᵀ x",
            apply=columns,
            heads=(add_op, subtract_op, outer_op, matmul_op),
            examples=lambda: (s @ Y + X @ t, s @ Y - t, outer(a @ A, t), outer(t, a @ A), B.T @ (a @ A)),
        ),
        Law(
            "like terms",
            "2 x + y + x = 3 x + y: terms that differ only in the number in front are added",
            apply=like_terms,
            heads=(add_op, subtract_op),
            examples=lambda: (s + t + s, s - t - s, s + t - t, X - 2 * Y - Z + 3 * Y, s + t + 3 * s - t),
        ),
        Law(
            "common factor",
            "A X + B X = (A + B) X, and X A + X B = X (A + B)",
            apply=common_factor,
            heads=(add_op, subtract_op),
            examples=lambda: (
                A @ B + C @ B,
                A @ B - A @ D,
                A @ x - C @ x,
                2 * (A @ B) + 3 * (C @ B),
                X.T @ Y + X @ Y,
                X @ (Y @ Z) + (X @ Y) @ Z,
                X @ Y @ Z - X @ Z @ Z,
            ),
        ),
        Law(
            "common factor",
            "a cᵀ + b cᵀ = (a + b) cᵀ, and c aᵀ + c bᵀ = c (a + b)ᵀ",
            (
                (outer(a, s) + outer(u, s), outer(a + u, s)),
                (outer(a, s) - outer(u, s), outer(a - u, s)),
                (outer(a, s) + outer(a, t), outer(a, s + t)),
                (outer(a, s) - outer(a, t), outer(a, s - t)),
            ),
        ),
        Law(
            "sum of the rows of a product",
            "𝟏ᵀA B = (Aᵀ𝟏)ᵀ B, and A B 𝟏 = A (B 𝟏): one product with a vector",
            ((sum(A @ B, 0), B.T @ sum(A, 0)), (sum(A @ B, 1), A @ sum(B, 1))),
        ),
        symmetric_law(
            "symmetric by its form",
            "AᵀA, A + Aᵀ, I and diag(v) are their own transposes, and so are their inverses",
            (),
            quiet=True,
            examples=lambda: (
                transpose_op(I),
                transpose_op(diag(s)),
                transpose_op(inv(B.T @ B)),
                transpose_op(X + X.T),
                t @ (X + X.T),
            ),
        ),
    )


MATRIX_LAWS: tuple[Law, ...] = _laws()
