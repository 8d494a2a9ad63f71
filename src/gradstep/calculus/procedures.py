"""Which tidying takes more than a pattern? Numbers gathered in front, signs, like terms, sums of copies.

Each function is the `apply` of a law: (expression, fences) -> what it becomes; None where it does not apply.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from fractions import Fraction
from functools import reduce

from gradstep.calculus.lifting import MATRIX
from gradstep.calculus.rewriting import Law
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.operations.activations import sqrt, sqrt_op
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    multiply,
    multiply_op,
    negate_op,
    one_like,
    power,
    power_op,
    scale,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat, repeat_op, spread, sum_op, sum_over
from gradstep.operations.families import is_one
from gradstep.operations.leaves import is_constant, number, number_op, size, size_op, value_of
from gradstep.operations.products import matmul_op, outer_op
from gradstep.operations.sums import count, mean, sum

ONE = Fraction(1)
PRODUCTS_OF_NUMBERS = (multiply_op, divide_op, negate_op)

# ------------------------------------------------------------------------------------------- numbers


@record
class Monomial:
    """A product of numbers, taken apart: a rational, and how often each size and each factor occurs."""

    rational: Fraction
    sizes: Mapping[Expr, int]
    factors: Mapping[Expr, int]


def monomial(expr: Expr, fences: Container[Expr] = ()) -> Monomial:
    """`expr`, of rank 0, as a product; what is fenced is one factor. s/s is 1, defined where s/s was."""
    rational, sizes, factors = ONE, dict[Expr, int](), dict[Expr, int]()
    stack = [(expr, 1)]
    while stack:
        node, times = stack.pop()
        value, args = value_of(node), () if node in fences else node.args
        if value is not None:
            if not value and times < 0:  # undefined, and left as it stands
                return Monomial(ONE, {}, {expr: 1})
            power = value if times == 1 else value**times
            rational = power if rational is ONE else rational * power
        elif node.op is size_op:
            sizes[node] = sizes.get(node, 0) + times
        elif args and node.op is multiply_op:
            stack += [(args[1], times), (args[0], times)]
        elif args and node.op is divide_op:
            stack += [(args[1], -times), (args[0], times)]
        elif args and node.op is negate_op:
            rational = rational if times % 2 == 0 else -rational
            stack.append((args[0], times))
        elif args and node.op is power_op and (n := _whole_exponent(node)) is not None:
            stack.append((args[0], times * n))
        else:
            factors[node] = factors.get(node, 0) + times
    return Monomial(rational, sizes, factors)


def _whole_exponent(power: Expr) -> int | None:
    """The exponent n of xⁿ where x counts as one factor, n times; a power of a product stays as it is."""
    base, exponent = power.args
    n = value_of(exponent)
    return None if n is None or n.denominator != 1 or base.op in PRODUCTS_OF_NUMBERS else int(n)


def product(rational: Fraction | int, *factors: Expr) -> Expr:
    """The number times the factors, from left to right; a factor of one is not written."""
    parts = [*([number(rational)] if rational != 1 else []), *factors]
    return reduce(multiply_op, parts) if parts else number(1)


def powers(of: Mapping[Expr, int], sign: int) -> list[Expr]:
    """The factors above (sign 1) or below (sign −1) the bar."""
    found = [(base, sign * n) for base, n in of.items() if sign * n > 0]
    return [base if n == 1 else power(base, n) for base, n in found]


def written(m: Monomial) -> Expr:
    """The product in the order in which one writes it: 2/N · x · y, and 2 x/(N y) where a factor divides."""
    top, bottom = m.rational.numerator, m.rational.denominator
    above, below = powers(m.sizes, 1), powers(m.sizes, -1)
    factors, divisors = powers(m.factors, 1), powers(m.factors, -1)
    if top == 0:
        return number(0)
    holds_sign = not (divisors or above) and (below or bottom != 1)  # −1/N x, but −x and −(x/y)
    if top == -1 and (above or factors) and not holds_sign:
        return negate_op(written(Monomial(-m.rational, m.sizes, m.factors)))
    if divisors:
        over = product(bottom, *below, *divisors)
        if factors and all(map(is_constant, divisors)):  # x/√n is 1/√n x, as the door makes it
            return product(1, divide_op(product(top, *above), over), *factors)
        return divide_op(product(top, *above, *factors), over)
    front = product(m.rational, *above)
    if below:
        front = divide_op(product(top, *above), product(bottom, *below))
    return product(1, *(() if value_of(front) == 1 else (front,)), *factors)


def gathered(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """One number in front of a product: 1/N · (2 · x) = 2/N x."""
    return None if expr.rank else written(monomial(expr, fences))


def collected(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """Terms that differ only in a number in front: 2 x + x = 3 x, and 1 + 1 = 2."""
    a, b = (_term(arg, fences) for arg in expr.args)
    if a.factors != b.factors or a.sizes != b.sizes:
        return None
    rational = a.rational + b.rational if expr.op is add_op else a.rational - b.rational
    if not rational:
        return None
    if not expr.rank:
        return written(Monomial(rational, a.sizes, a.factors))
    (body,) = (factor for factor in a.factors if factor.rank)
    rest = {factor: n for factor, n in a.factors.items() if factor is not body}
    return scale(written(Monomial(rational, a.sizes, rest)), body)


def _term(expr: Expr, fences: Container[Expr]) -> Monomial:
    """A number or an array as a product: c x is c times the one factor x."""
    if not expr.rank:
        return monomial(expr, fences)
    if expr.op is not scale_op or expr in fences:
        return Monomial(ONE, {}, {expr: 1})
    front = monomial(expr.args[0], fences)
    return Monomial(front.rational, front.sizes, {**front.factors, expr.args[1]: 1})


# ------------------------------------------------------------------------------------------- fractions


def entrywise(expr: Expr, fences: Container[Expr]) -> dict[Expr, int]:
    """Each factor of an entrywise product or quotient, and its exponent."""
    return {factor: n for factor, n in taken_apart(expr, fences)[0].items() if n}


def taken_apart(expr: Expr, fences: Container[Expr]) -> tuple[dict[Expr, int], bool]:
    """An entrywise product or quotient taken apart: each factor's exponent, and whether any cancels."""
    exponents, signs = dict[Expr, int](), set[tuple[Expr, bool]]()
    stack = [(expr, 1)]
    while stack:
        node, times = stack.pop()
        args = () if node in fences else node.args
        if args and node.op is multiply_op:
            stack += [(args[1], times), (args[0], times)]
        elif args and node.op is divide_op:
            stack += [(args[1], -times), (args[0], times)]
        elif args and node.op is power_op and (n := _whole_exponent(node)) is not None:
            stack.append((args[0], times * n))
        elif not is_one(node):
            exponents[node] = exponents.get(node, 0) + times
            signs.add((node, times > 0))
    return exponents, len(signs) > len(exponents)


def one_bar(exponents: Mapping[Expr, int], like: Expr) -> Expr:
    """The factors above one bar and those below it, entry by entry, in the shape of `like`."""
    above, below = powers(exponents, 1), powers(exponents, -1)
    top = reduce(multiply_op, above) if above else one_like(like)
    return divide_op(top, reduce(multiply_op, below)) if below else top


def cancelled(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """(x ⊘ y) ⊙ y = x: a factor above the bar and the same below it, defined where the fraction was."""
    if not expr.rank:
        return None
    exponents, cancels = taken_apart(expr, fences)
    return one_bar(exponents, expr) if cancels else None


def gathered_powers(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """x ⊙ y ⊙ x = x² ⊙ y: what is a factor twice becomes a power."""
    if not expr.rank:
        return None
    met: set[Expr] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        args = () if node in fences else node.args
        if args and node.op is multiply_op:
            stack += args
            continue
        base = args[0] if args and node.op is power_op and _whole_exponent(node) is not None else node
        if base in met:
            return one_bar(entrywise(expr, fences), expr)
        met.add(base)
    return None


def power_of_root(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """(√x)² = x, (√x)⁴ = x²: an even power of a root has none."""
    root, n = expr.args[0], _whole_exponent(expr)
    if root.op is not sqrt_op or root in fences or n is None or n % 2:
        return None
    return root.args[0] if n == 2 else power_op(root.args[0], number(n // 2))


def unnested(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """(x ⊘ y) ⊘ z = x ⊘ (y ⊙ z), and x ⊘ (y ⊘ z) = (x ⊙ z) ⊘ y: one bar instead of two."""
    if not expr.rank or not any(arg.op is divide_op and arg not in fences for arg in expr.args):
        return None
    return one_bar(taken_apart(expr, fences)[0], expr)


# ------------------------------------------------------------------------------------------- signs


def opposite(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """−expr where `expr` is written with a minus in front; elsewhere None."""
    if expr in fences:
        return None
    if expr.op is negate_op:
        return expr.args[0]
    if expr.rank and expr.op in (scale_op, repeat_op) and not expr.args[0].rank:
        front = opposite(expr.args[0], fences)
        return None if front is None else expr.op(front, *expr.args[1:], params=expr.params)
    if expr.op is number_op or (not expr.rank and expr.op in PRODUCTS_OF_NUMBERS):
        m = monomial(expr, fences)
        return written(Monomial(-m.rational, m.sizes, m.factors)) if m.rational < 0 else None
    return None


def signed(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """A minus goes where it reads best: x + (−y) = x − y, (−c)(x − y) = c (y − x)."""
    left, right = expr.args
    if expr.op is scale_op:
        if right.op is not subtract_op or right in fences or is_one(right.args[0]):
            return None
        front = opposite(left, fences)
        return None if front is None else scale_op(front, subtract_op(*right.args[::-1]))
    other = subtract_op if expr.op is add_op else add_op
    if (positive := opposite(right, fences)) is not None:
        return other(left, positive)
    if (positive := opposite(left, fences)) is None:
        return None
    if expr.op is add_op:
        return subtract_op(right, positive)
    if left.op is negate_op:
        return negate_op(add_op(positive, right))
    if left.op is right.op is scale_op and right not in fences and positive.args[0] is right.args[0]:
        return scale_op(left.args[0], add_op(left.args[1], right.args[1]))
    return None


# ------------------------------------------------------------------------------------------- copies


def unscaled(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """c x, repeated, is c times x, repeated; but a mean stays together."""
    body = expr.args[0]
    if body.op is not scale_op or body in fences:
        return None
    front, rest = body.args
    if rest.op is sum_op and mean(rest.args[0], rest.params[0]) is body:
        return None
    return scale_op(front, repeat_op(rest, params=expr.params))


def counted(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """The sum of copies is one copy times how many: Σ s = n s; axes that are not copies are summed within."""
    body, summed = expr.args[0], expr.params[0]
    if body.op is not repeat_op or body in fences:
        return None
    new, sizes = body.params
    own = [axis for axis in range(body.rank) if axis not in new]
    inner = sum_over(body.args[0], tuple(own.index(axis) for axis in summed if axis not in new))
    copies = [size for axis, size in zip(new, sizes, strict=True) if axis in summed]
    if copies:
        inner = multiply(count(copies), inner)
    kept = [axis for axis in range(body.rank) if axis not in summed]
    left = [(kept.index(axis), size) for axis, size in zip(new, sizes, strict=True) if axis in kept]
    return repeat(inner, tuple(axis for axis, _ in left), tuple(size for _, size in left))


def ones_multiplied(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """A product with copies sums or repeats: G 𝟏 are the row sums of G, a 𝟏ᵀ repeats a in each column."""
    a, b = expr.args
    for copies, other, first in ((b, a, False), (a, b, True)):
        if copies.op is not repeat_op or copies in fences:
            continue
        if max(a.rank, b.rank) > MATRIX:
            if not copies.args[0].rank:
                return _copies_multiplied(expr, copies, other, first)
            continue
        if expr.op is outer_op:
            return repeat(_times(copies.args[0], other), 0 if first else 1, copies.shape[0])
        contracted = copies.rank - 1 if first else 0
        if contracted not in copies.params[0]:
            continue
        total = sum(other, 0 if first else other.rank - 1)
        single = _without(copies, contracted)
        if single.rank and total.rank:
            made = outer_op(single, total) if first else outer_op(total, single)
            again = ones_multiplied(made, fences)
            return made if again is None else again
        return _times(total, single) if single.rank else _times(single, total)
    return None


def _copies_multiplied(expr: Expr, copies: Expr, other: Expr, first: bool) -> Expr:
    """The product of each matrix with one number in every entry: its row sums, or column sums, repeated."""
    total = sum(other, max(other.rank - 2, 0) if first else other.rank - 1)
    if copies.rank > 1:
        rows = total.rank - (other.rank > 1) if first else total.rank
        total = repeat(total, rows, copies.shape[-2 if first else -1])
    return _times(copies.args[0], spread(total, expr.shape))


def _times(front: Expr, body: Expr) -> Expr:
    """A number times anything; a one is not written."""
    return body if value_of(front) == 1 else multiply(front, body)


def _without(copies: Expr, axis: int) -> Expr:
    """A repetition with one axis of copies fewer."""
    left = [(a - (a > axis), size) for a, size in zip(*copies.params, strict=True) if a != axis]
    return repeat(copies.args[0], tuple(a for a, _ in left), tuple(size for _, size in left))


# ------------------------------------------------------------------------------------------- the laws


def _laws() -> tuple[Law, ...]:
    N, c, d = size("N"), wildcard("c"), wildcard("d")
    v, w = wildcard("v", ("m",)), wildcard("w", ("m",))
    M, minus = wildcard("M", ("m", "n")), divide_op(number(-2), N)
    stack = wildcard("M", ("h", "m", "n"))
    ones = repeat(number(1), 0, "n")
    return (
        Law(
            "numbers in front",
            "numbers and sizes are gathered in one fraction in front",
            apply=gathered,
            heads=PRODUCTS_OF_NUMBERS,
            examples=lambda: (
                multiply_op(divide_op(number(1), N), number(2)),
                negate_op(divide_op(number(2), N)),
                multiply_op(c, multiply_op(number(3), d)),
                multiply_op(c, power_op(c, number(2))),
                multiply_op(negate_op(c), d),
                divide_op(c, N),
                divide_op(number(1), divide_op(N, number(2))),
                multiply_op(N, divide_op(number(1), N)),
                multiply_op(number(2), divide_op(c, multiply_op(number(4), d))),
                divide_op(multiply_op(number(2), c), c),
            ),
            domain="nonzero",
        ),
        Law(
            "like terms",
            "2 x + x = 3 x: terms that differ only in the number in front are added",
            apply=collected,
            heads=(add_op, subtract_op),
            examples=lambda: (
                add_op(v, v),
                add_op(c, multiply_op(number(2), c)),
                subtract_op(scale_op(number(3), M), M),
                add_op(scale_op(divide_op(c, N), v), scale_op(multiply_op(minus, c), v)),
                subtract_op(number(2), number(3)),
            ),
        ),
        Law(
            "the sign where it reads best",
            "x + (−y) = x − y, and (−c)(x − y) = c (y − x)",
            apply=signed,
            heads=(scale_op, add_op, subtract_op),
            examples=lambda: (
                scale_op(minus, subtract_op(v, w)),
                add_op(v, scale_op(minus, w)),
                add_op(scale_op(minus, v), w),
                add_op(c, multiply_op(number(-2), d)),
                add_op(negate_op(v), w),
                subtract_op(v, scale_op(negate_op(c), w)),
                subtract_op(v, repeat(number(-2), 0, "m")),
                subtract_op(negate_op(v), w),
                subtract_op(scale_op(minus, v), scale_op(divide_op(number(2), N), w)),
            ),
        ),
        Law(
            "divide, then multiply back",
            "(x ⊘ y) ⊙ y = x: the denominators cancel entry by entry",
            apply=cancelled,
            heads=(multiply_op, divide_op),
            examples=lambda: (
                multiply_op(divide_op(v, w), w),
                multiply_op(divide_op(v, w), multiply_op(w, v)),
                multiply_op(divide_op(v, power_op(w, number(2))), w),
                divide_op(M, M),
                divide_op(v, multiply_op(w, v)),
                multiply_op(divide_op(v, w), divide_op(w, v)),
            ),
            domain="nonzero",
        ),
        Law(
            "power of a root",
            "(√x)² = x, where the root is defined",
            apply=power_of_root,
            heads=(power_op,),
            examples=lambda: (
                power_op(sqrt(c), number(2)),
                power_op(sqrt(v), number(4)),
                power_op(sqrt(d), number(-2)),
            ),
            domain="positive",
        ),
        Law(
            "a fraction of a fraction",
            "(x ⊘ y) ⊘ z = x ⊘ (y ⊙ z), and x ⊘ (y ⊘ z) = (x ⊙ z) ⊘ y",
            apply=unnested,
            heads=(divide_op,),
            examples=lambda: (
                divide_op(divide_op(v, w), w),
                divide_op(v, divide_op(v, w)),
                divide_op(divide_op(one_like(M), M), divide_op(M, power_op(M, number(3)))),
            ),
            domain="nonzero",
        ),
        Law(
            "equal factors",
            "x ⊙ y ⊙ x = x² ⊙ y: what is a factor twice becomes a power",
            apply=gathered_powers,
            heads=(multiply_op,),
            examples=lambda: (
                multiply_op(multiply_op(v, w), v),
                multiply_op(v, multiply_op(w, power_op(v, number(2)))),
                multiply_op(multiply_op(M, one_like(M)), M),
            ),
        ),
        Law(
            "sum of copies",
            "the sum of n copies of s is n s",
            apply=counted,
            heads=(sum_op,),
            examples=lambda: (
                sum_op(repeat(c, 0, "m"), params=((0,),)),
                sum_op(repeat(v, 1, "n"), params=((1,),)),
                sum_op(repeat(v, 1, "n"), params=((0,),)),
                sum_op(repeat(v, 1, "n"), params=((0, 1),)),
                sum_op(repeat(c, (0, 1), ("m", "n")), params=((1,),)),
                sum_op(repeat(c, (0, 1), ("m", "n")), params=((0, 1),)),
            ),
        ),
        Law(
            "product with ones",
            "G 𝟏 are the row sums of G, and a 𝟏ᵀ repeats a in every column",
            apply=ones_multiplied,
            heads=(matmul_op, outer_op),
            examples=lambda: (
                matmul_op(M, ones),
                matmul_op(repeat(number(1), 0, "m"), v),
                matmul_op(repeat(c, 0, "m"), M),
                matmul_op(M, repeat(w, 0, "n")),
                matmul_op(repeat(v, 1, "m"), M),
                matmul_op(M, repeat(c, (0, 1), ("n", "k"))),
                matmul_op(v, repeat(c, (0, 1), ("m", "n"))),
                outer_op(v, ones),
                outer_op(ones, v),
                outer_op(v, repeat(c, 0, "n")),
                matmul_op(stack, ones),
                matmul_op(stack, repeat(c, (0, 1), ("n", "k"))),
                matmul_op(repeat(c, (0, 1), ("k", "m")), stack),
                matmul_op(repeat(number(1), (0, 1, 2), ("h", "k", "m")), M),
                matmul_op(w, repeat(c, (0, 1, 2), ("h", "m", "k"))),
            ),
        ),
    )


PROCEDURES: tuple[Law, ...] = _laws()
