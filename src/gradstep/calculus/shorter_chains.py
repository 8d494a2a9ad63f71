"""Which sums of products of matrices have a shorter form? Common factors anywhere, brackets multiplied out.

These laws propose (see shortening.py).
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from itertools import combinations

from gradstep.calculus.matrix_laws import chained, common_factor, parted, with_front
from gradstep.calculus.rewriting import Law
from gradstep.calculus.shortening import MOST_TERMS, SUMS
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.node import Expr
from gradstep.operations.arithmetic import add_op, multiply_op, negate_op, one_like, scale, subtract_op
from gradstep.operations.broadcasting import repeat, sum_op, sum_over
from gradstep.operations.diagonals import diag, eye
from gradstep.operations.inverses import inv
from gradstep.operations.leaves import number
from gradstep.operations.permutations import matrix_transpose, transpose_op
from gradstep.operations.products import matmul_op, outer

Signed = tuple[int, Expr]


def linear_apart(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """A (B + C) = A B + A C, and Σ (B + C) = Σ B + Σ C, where that makes things cancel."""
    for k, inner in enumerate(expr.args):
        if inner.op in SUMS and inner not in fences:
            before, after = expr.args[:k], expr.args[k + 1 :]
            yield inner.op(*(expr.op(*before, part, *after, params=expr.params) for part in inner.args))


def matrix_terms(expr: Expr, fences: Container[Expr]) -> list[Signed]:
    """The terms of a sum with their signs, in order, also those of a transposed sum within it.

    None of a sum of more than MOST_TERMS.
    """
    found: list[Signed] = []
    stack = [(1, expr, False)]
    while stack:
        if len(found) + len(stack) > MOST_TERMS:
            return []
        sign, node, turned = stack.pop()
        opened = node is expr or node not in fences
        if opened and node.op in SUMS:
            a, b = node.args
            stack += [(sign if node.op is add_op else -sign, b, turned), (sign, a, turned)]
        elif opened and node.op is negate_op:
            stack.append((-sign, node.args[0], turned))
        elif opened and node.op is transpose_op and node.rank == 2 and node.args[0].op in SUMS:
            stack.append((sign, node.args[0], not turned))
        else:
            found.append((sign, _turned(node, fences) if turned else node))
    return found


def _turned(expr: Expr, fences: Container[Expr]) -> Expr:
    """Its transpose, factor by factor."""
    front, chain = parted(expr, fences)
    return with_front(front, chained([matrix_transpose(factor) for factor in reversed(chain)]))


def common_chains(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """A X + Y + B X = (A + B) X + Y, and X Y − A X Y = (I − A) X Y."""
    if not expr.rank:
        return
    terms = matrix_terms(expr, fences)
    products = [(k, signed) for k, signed in enumerate(terms) if len(parted(signed[1], fences)[1]) > 1]
    for (j, (s, a)), (k, (t, b)) in combinations(products, 2):
        together = (add_op if s == t else subtract_op)(a, b)
        for one in (common_factor(together, fences), *_beside_identity(together, fences)):
            if one is not None:
                yield _total([*terms[:j], (s, one), *terms[j + 1 : k], *terms[k + 1 :]])


def _beside_identity(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """X Y − A X Y = (I − A) X Y, and X Y − X Y A = X Y (I − A)."""
    (c, left), (d, right) = (parted(term, fences) for term in expr.args)
    short = min(left, right, key=len)
    n = len(short)
    if len(left) == len(right) or n < 2:  # Σ⁻¹ − Σ⁻¹ S Σ⁻¹ stays
        return
    for at_end in (True, False):
        ends = [chain[len(chain) - n :] if at_end else chain[:n] for chain in (left, right)]
        if ends[0] != ends[1] or (not at_end and short[-1].rank < 2):
            continue
        rests = [chain[: len(chain) - n] if at_end else chain[n:] for chain in (left, right)]
        square = eye(short[0].shape[0] if at_end else short[-1].shape[1])
        parts = [
            scale(front, chained(rest)) if rest else scale(front, square)
            for front, rest in zip((c, d), rests, strict=True)
        ]
        between = expr.op(*parts)
        yield chained([between, *short] if at_end else [*short, between])


def _total(terms: list[Signed]) -> Expr:
    """The sum, one without a minus first."""
    first = next((k for k, (sign, _) in enumerate(terms) if sign > 0), None)
    if first is None:
        return negate_op(_total([(-sign, term) for sign, term in terms]))
    total = terms[first][1]
    for k, (sign, term) in enumerate(terms):
        if k != first:
            total = (add_op if sign > 0 else subtract_op)(total, term)
    return total


def row_sums(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """(P ⊙ G Vᵀ) 1 = (G ⊙ P V) 1: both are the diagonal of P V Gᵀ. P V may have a name already."""
    (product,) = expr.args
    if product.op is not multiply_op or product in fences or expr.params[0] != (product.rank - 1,):
        return
    for P, chain in (product.args, product.args[::-1]):
        if chain.op is matmul_op and chain not in fences and min(arg.rank for arg in chain.args) > 1:
            G, turned = chain.args
            V = matrix_transpose(turned)
            if V.shape[-2] == P.shape[-1] and (named := P @ V).shape == G.shape:
                yield sum_over(G * named, expr.params[0])


def _laws() -> tuple[Law, ...]:
    u, v = wildcard("u", ("m",)), wildcard("v", ("m",))
    M, A, B = (wildcard(letter, ("m", "m")) for letter in "MAB")
    X = wildcard("X", ("m", "k"))
    return (
        Law(
            "multiplied out",
            "A (B + C) = A B + A C, and Σ (B + C) = Σ B + Σ C, where that makes things cancel",
            propose=linear_apart,
            heads=(matmul_op, sum_op),
            examples=lambda: (
                M @ (inv(M) - outer(u, v)),
                diag(one_like(v) / v) @ (diag(v) - outer(v, u)),
                sum_over(diag(v) - repeat(v, 1, "m"), (0,)),
            ),
            domain="nonzero",
        ),
        Law(
            "common factor",
            "A X + Y + B X = (A + B) X + Y, and X Y − A X Y = (I − A) X Y, where that is shorter",
            propose=common_chains,
            heads=SUMS,
            examples=lambda: (
                A @ X + X + B @ X,
                M @ X - A @ B @ M @ X,
                number(2) * (A @ B @ M) - A @ B,
                M @ v - A @ (M @ v),
                A @ X + transpose_op(X.T @ B - X.T @ A.T @ B),
            ),
        ),
        Law(
            "row sums of a product",
            "(P ⊙ G Vᵀ) 1 = (G ⊙ P V) 1: both are the diagonal of P V Gᵀ, and P V has a name",
            propose=row_sums,
            heads=(sum_op,),
            quiet=False,
            examples=lambda: (sum_over(inv(M) * (B @ M.T), (1,)), sum_over((A @ M.T) * inv(M), (1,))),
            domain="nonzero",
        ),
    )


LAWS: tuple[Law, ...] = _laws()
