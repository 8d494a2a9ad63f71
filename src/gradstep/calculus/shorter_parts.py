"""Which parts of a formula say the same in fewer operations? Deviations from a mean, lengths, masks.

Each law looks for one thing that every textbook knows, also where it goes by a name. Most of them propose
(see shortening.py).
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from fractions import Fraction

from gradstep.calculus.procedures import opposite
from gradstep.calculus.rewriting import Law
from gradstep.calculus.shortening import Term, flattened, rebuilt, term, terms, total
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.node import Expr, walk
from gradstep.expression.records import replaced
from gradstep.operations.activations import (
    abs,
    abs_op,
    relu,
    sigmoid,
    sigmoid_op,
    sign,
    sign_op,
    sqrt,
    sqrt_op,
)
from gradstep.operations.arithmetic import (
    add,
    add_op,
    divide_op,
    equal,
    equal_op,
    greater,
    greater_op,
    multiply,
    multiply_op,
    negate_op,
    one_like,
    power_op,
    scale,
    scale_op,
    subtract,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat, repeat_op, sum_op, sum_over
from gradstep.operations.diagonals import diagonal_matrix_op
from gradstep.operations.families import is_one
from gradstep.operations.leaves import number, size, value_of
from gradstep.operations.norms import norm, norm_op, unit_op
from gradstep.operations.permutations import matrix_transpose, transpose_op
from gradstep.operations.products import outer, outer_op
from gradstep.operations.sums import count, mean, sum

PRODUCTS = (multiply_op, divide_op, scale_op)

# ------------------------------------------------------------------------------------------- deviations


def without_deviations(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """Σ (x − mean x) = 0: such a term of a sum adds nothing."""
    axes = expr.params[0]
    body = expr.args[0]
    seen = list(walk(body, stop=fences.__contains__))
    deviating = [node for node in seen if _is_deviation(node, axes)]
    if not deviating:
        return None
    whole = {*deviating, *(node for node in seen if node in fences)}
    parts = [(1, body)] if body in whole else flattened(body, whole)
    kept = [(side, part) for side, part in parts if not _vanishes(part, axes, whole)]
    if len(kept) == len(parts):
        return None
    rest: Expr | None = None
    for side, part in kept:
        rest = (part if side > 0 else -part) if rest is None else (add if side > 0 else subtract)(rest, part)
    return zero(expr) if rest is None else sum_over(rest, axes)


def _vanishes(part: Expr, axes: tuple[int, ...], fences: Container[Expr]) -> bool:
    """Whether the sum over `axes` is that of deviations, times factors that are the same in all of it."""
    moving = [
        (factor, n)
        for factor, n in term(part, fences).entries.items()
        if not (factor.op is repeat_op and set(axes) <= set(factor.params[0]))
    ]
    return len(moving) == 1 and moving[0][1] == 1 and _is_deviation(moving[0][0], axes)


def _is_deviation(expr: Expr, axes: tuple[int, ...]) -> bool:
    """x − mean x, the mean taken over some of the axes; also its direction."""
    if expr.op is unit_op and (not expr.params or set(axes) <= set(expr.params[0])):
        return _is_deviation(expr.args[0], axes)
    if expr.op is not subtract_op or expr.args[1].op is not repeat_op:
        return False
    x, means = expr.args
    over = means.params[0]
    if not set(over) <= set(axes):
        return False
    same = [mean(x, over)]
    if x.op is transpose_op and x.rank == 2:
        same.append(mean(x.args[0], tuple(1 - axis for axis in over)))
    return any(means is repeat_op(one, params=means.params) for one in same)


def repeated_means(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """1/n (Σ x) 𝟏 = (mean x) 𝟏."""
    front, body = expr.args
    if body.op is repeat_op and body not in fences and body.args[0].op is sum_op:
        total = body.args[0]
        if total not in fences and total.rank:
            average = repeat_op(mean(total.args[0], total.params[0]), params=body.params)
            yield scale(
                multiply(front, count([total.args[0].shape[axis] for axis in total.params[0]])), average
            )


# ------------------------------------------------------------------------------------------- lengths, roots


def shorter_quotients(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """Σ x²/‖x‖ = ‖x‖, x/√x = √x, and x √x = (√x)³."""
    product = term(expr, fences)
    for factor, n in product.parts.items():
        square = _squared(factor)
        m = 0 if square is None else product.parts.get(square, 0)
        if square is not None and m:
            taken = m if n * m > 0 else 1 if m > 0 else -1
            yield rebuilt(product.times(_power(square, -taken)).times(_power(factor, 2 * taken)), expr)


def directions(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """1/‖x‖ (x yᵀ) = u yᵀ, where u = x/‖x‖ is the direction of x."""
    product = term(expr, fences)
    for factor, n in product.parts.items():
        outers = [part for part, m in product.entries.items() if part.op is outer_op and m == 1 and n < 0]
        for product_of_two in outers if factor.op is norm_op and not factor.params else ():
            x, rest = factor.args[0], product.times(_power(factor, 1)).times(_power(product_of_two, -1))
            if x in product_of_two.args:
                at = product_of_two.args.index(x)
                turned = [unit_op(arg) if k == at else arg for k, arg in enumerate(product_of_two.args)]
                yield rebuilt(rest.times(_power(outer_op(*turned), 1)), expr)


def _squared(factor: Expr) -> Expr | None:
    """x of √x, and Σ x² of ‖x‖."""
    if factor.op is sqrt_op:
        return factor.args[0]
    return (
        sum(factor.args[0] ** 2, factor.params[0] if factor.params else None)
        if factor.op is norm_op
        else None
    )


def _power(factor: Expr, n: int) -> Term:
    numbers, entries = ({}, {factor: n}) if factor.rank else ({factor: n}, {})
    return Term(Fraction(1), {}, numbers, entries)


# ------------------------------------------------------------------------------------------- signs


def turned_sigmoid(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """1 − σ(−x) = σ(x), also where σ(−x) goes by a name."""
    one, curve = expr.args
    if not is_one(one) or curve.op is not sigmoid_op:
        return None
    x = opposite(curve.args[0], fences)
    return None if x is None else sigmoid(x)


def norm_of_multiple(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """‖c x‖ = c ‖x‖ where c is positive whatever its parts are."""
    body = expr.args[0]
    if body.op is not scale_op or not is_positive(body.args[0]):
        return None
    return multiply(body.args[0], norm_op(body.args[1], params=expr.params))


POSITIVE = frozenset({"exp", "sigmoid", "softplus", "size", "pi"})


def is_positive(expr: Expr) -> bool:
    """Whether a number is positive whatever its variables are: a product of what is."""
    stack = [expr]
    while stack:
        node = stack.pop()
        value = value_of(node)
        if node.op in (multiply_op, divide_op, add_op):
            stack += node.args
        elif not (value > 0 if value is not None else node.op.name in POSITIVE):
            return False
    return True


def absolute_values(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """x sign x = |x|."""
    product = term(expr, fences)
    for factor, n in product.parts.items():
        if factor.op is sign_op and n == 1 and product.parts.get(x := factor.args[0], 0) > 0:
            yield rebuilt(
                product.times(_power(factor, -1)).times(_power(x, -1)).times(_power(abs(x), 1)), expr
            )


def signs_met_twice(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """|x| sign x = x, and |x|² = x²."""
    product = term(expr, fences)
    for factor, n in product.parts.items():
        if factor.op is not abs_op:
            continue
        x, rest = factor.args[0], product.times(_power(factor, -n))
        if n % 2 == 0:
            yield rebuilt(rest.times(_power(x, n)), expr)
        if n > 0 and product.parts.get(sign(x)) == 1:
            signed = rest.times(_power(sign(x), -1)).times(_power(x, 1))
            yield rebuilt(signed.times(_power(factor, n - 1)) if n > 1 else signed, expr)


def turned_differences(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """−c x ⊙ (y − z) = c x ⊙ (z − y), also where a linear operation stands in between."""
    product = term(expr, fences)
    if product.rational < 0:
        positive = replaced(product, rational=-product.rational)
        for factor, n in product.parts.items():
            if n in (1, -1):
                beside = len(product.entries) > 1 or (not expr.rank and len(product.numbers) > 1)
                for turned in _turned(factor, beside, fences):
                    yield rebuilt(positive.times(_power(factor, -n)).times(_power(turned, n)), expr)


def _turned(expr: Expr, beside: bool, fences: Container[Expr]) -> Iterator[Expr]:
    """−expr, a difference in it turned round that stands `beside` other factors, but 1 − x is not."""
    if expr in fences:
        return
    if expr.op in (add_op, subtract_op):
        if beside and not is_one(expr.args[0]):
            yield total([replaced(part, rational=-part.rational) for part in terms(expr, fences)], expr)
    elif expr.op in (multiply_op, divide_op, diagonal_matrix_op) or expr.op.indices is not None:
        beside = beside or expr.op in (multiply_op, divide_op)
        for k, arg in enumerate(expr.args):
            for turned in _turned(arg, beside, fences):
                yield expr.op(*expr.args[:k], turned, *expr.args[k + 1 :], params=expr.params)


# ------------------------------------------------------------------------------------------- masks


def without_second_mask(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """max(0, z) ⊙ 1[z > 0] = max(0, z): it is 0 where the mask is."""
    product = term(expr, fences)
    parts = product.parts
    for mask, n in parts.items():
        if mask.op is not greater_op or n != 1 or mask in fences:
            continue
        z, floor = mask.args
        if _is_zero(floor) and any(_is_positive_part(other, z) for other, m in parts.items() if m > 0):
            yield rebuilt(product.times(_power(mask, -1)), expr)


def _is_zero(expr: Expr) -> bool:
    return value_of(expr.args[0] if expr.op is repeat_op else expr) == 0


def _is_positive_part(expr: Expr, z: Expr) -> bool:
    """Whether it is relu(z) or max(0, z)."""
    if expr.op.name == "relu":
        return expr.args[0] is z
    return expr.op.name == "maximum" and z in expr.args and any(map(_is_zero, expr.args))


def compared_with_zero(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """(c + 1) x > c x where x > 0, and −x > 0 where 0 > x."""
    a, b = (term(arg, fences) for arg in expr.args)
    if not a.rational or not b.rational:
        negative = a if a.rational else b
        if negative.rational < 0:
            positive = rebuilt(replaced(negative, rational=-negative.rational), expr)
            yield expr.op(*((zero(expr), positive) if negative is a else (positive, zero(expr))))
    elif a.entries and a.entries == b.entries:
        fronts = [rebuilt(replaced(side, entries={}), number(0)) for side in (a, b)]
        left = terms(subtract(*fronts), fences)
        if len(left) == 1 and not left[0].parts and left[0].rational in (1, -1):
            x = rebuilt(Term(Fraction(1), {}, {}, a.entries), expr)
            ways = (x, zero(expr)) if left[0].rational > 0 else (zero(expr), x)
            yield expr.op(*ways) if expr.op is greater_op else equal(x, 0)


def zero(like: Expr) -> Expr:
    """0 in every entry, in the shape of `like`."""
    return repeat(number(0), tuple(range(like.rank)), like.shape)


# ------------------------------------------------------------------------------------------- the laws


def _laws() -> tuple[Law, ...]:
    c, s = wildcard("c"), wildcard("s")
    v, w = wildcard("v", ("m",)), wildcard("w", ("m",))
    N = size("N")
    M, n = wildcard("M", ("m", "n")), wildcard("n", ("n",))
    return (
        Law(
            "deviations from the mean",
            "Σ (x − mean x) = 0: the deviations from a mean add up to nothing",
            apply=without_deviations,
            heads=(sum_op,),
            examples=lambda: (
                sum(v - mean(v)),
                sum(w - s * (v - mean(v))),
                sum((M - mean(M, 0)) * repeat(n, 0, "m"), 0),
                sum(M - c * (M - mean(M, 0)), 0),
                sum(matrix_transpose(M) - mean(M, 1), 0),
            ),
        ),
        Law(
            "repeated means",
            "1/n (Σ x) 𝟏 is the mean of x, repeated",
            propose=repeated_means,
            heads=(scale_op,),
            examples=lambda: tuple(
                scale(number(top) / size(over), repeat(sum(M, axis), axis, over))
                for top, axis, over in ((1, 0, "m"), (-2, 1, "n"))
            ),
        ),
        Law(
            "a square over its root",
            "Σ x²/‖x‖ = ‖x‖, x/√x = √x, and x √x = (√x)³",
            propose=shorter_quotients,
            amid=frozenset({sqrt_op, norm_op}),
            heads=PRODUCTS,
            examples=lambda: (c * sum(v**2) / norm(v), v / sqrt(v), c / sqrt(c) * w),
            domain="positive",
        ),
        Law(
            "the direction",
            "1/‖x‖ (x yᵀ) = u yᵀ, where u = x/‖x‖",
            propose=directions,
            amid=frozenset({norm_op}),
            oracle=False,
            heads=PRODUCTS,
            examples=lambda: (scale(1 / norm(v), outer(v, w)), scale(c / norm(w), outer(v, w))),
            domain="nonzero",
        ),
        Law(
            "symmetry of σ",
            "1 − σ(−x) = σ(x)",
            apply=turned_sigmoid,
            heads=(subtract_op,),
            examples=lambda: (
                subtract_op(number(1), sigmoid(negate_op(c))),
                subtract_op(one_like(v), sigmoid(negate_op(v))),
                subtract_op(one_like(M), sigmoid(scale_op(number(-2), M))),
            ),
            quiet=False,
        ),
        Law(
            "the length of a multiple",
            "‖c x‖ = c ‖x‖ where c is positive",
            apply=norm_of_multiple,
            oracle=False,
            heads=(norm_op,),
            examples=lambda: (
                norm_op(scale_op(sigmoid(c), v)),
                norm_op(scale_op(divide_op(number(2), N), M)),
            ),
        ),
        Law(
            "the absolute value",
            "x sign x = |x|",
            propose=absolute_values,
            amid=frozenset({sign_op}),
            heads=PRODUCTS,
            examples=lambda: (v * sign(v), c * s * sign(c)),
        ),
        Law(
            "a difference turned round",
            "−x ⊙ (y − z) = x ⊙ (z − y)",
            propose=turned_differences,
            heads=(*PRODUCTS, negate_op),
            examples=lambda: (
                -2 * (v * (w - v**3)),
                scale(number(-2) / N, M @ (n * (M.T @ v - n))),
                -sum(v * (w - v)),
                number(-3) * (c * (s - c)),
            ),
        ),
        Law(
            "a sign met twice",
            "|x| sign x = x, and |x|² = x²",
            propose=signs_met_twice,
            amid=frozenset({abs_op}),
            oracle=False,
            heads=(*PRODUCTS, power_op),
            examples=lambda: (abs(v) ** 2 * sign(v), 3 * abs(c) ** 2, s * abs(c) * sign(c)),
        ),
        Law(
            "masked already",
            "max(0, z) is 0 where the mask 1[z > 0] is",
            propose=without_second_mask,
            amid=frozenset({greater_op}),
            oracle=False,
            heads=PRODUCTS,
            examples=lambda: (
                relu(v) * greater(v, 0),
                c * relu(c) * greater(c, 0),
                w * greater(v, 0) * relu(v),
            ),
        ),
        Law(
            "compared with zero",
            "(c + 1) x > c x where x > 0, and −x > 0 where 0 > x",
            propose=compared_with_zero,
            heads=(greater_op, equal_op),
            examples=lambda: (
                greater(c * v, (c - 1) * v),
                equal((c - 1) * v, c * v),
                greater((c - 1) * v, c * v),
                greater(-v, 0),
                greater(-c, 0),
                greater(0, -s * M),
            ),
        ),
    )


SHORTER_PARTS: tuple[Law, ...] = _laws()
