"""Which equations are used only where they make a formula shorter? Common factors, fractions put together.

x/s + y/s² may read better as it stands or as (x s + y)/s². So the laws here propose, the law book tidies what
they proposed, and it is taken if it has fewer operations: `length` counts them as they are printed. Nothing
is multiplied out unless that makes things cancel; the residual y − a stays.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from fractions import Fraction
from math import gcd, lcm

from gradstep.calculus.procedures import ONE, Monomial, entrywise, monomial, one_bar, written
from gradstep.calculus.rewriting import Law, remembered
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.operations.arithmetic import (
    add,
    add_op,
    divide_op,
    multiply_op,
    negate_op,
    power_op,
    scale,
    scale_op,
    subtract,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat, repeat_op
from gradstep.operations.families import is_one
from gradstep.operations.leaves import size_op, value_of

SUMS = (add_op, subtract_op)
MOST_TERMS = 12
MOST_WRITTEN = 24  # of a sum, before like terms are put together
LARGEST_DENOMINATOR = 12  # of fractions that are put together: 0.044715 stays

# ------------------------------------------------------------------------------------------- terms


@record
class Term:
    """One term of a sum, taken apart: its number, and how often each size, number and array occurs in it."""

    rational: Fraction
    sizes: dict[Expr, int]
    numbers: dict[Expr, int]
    entries: dict[Expr, int]

    @property
    def key(self) -> tuple[frozenset[tuple[Expr, int]], ...]:
        """What like terms have in common."""
        return frozenset(self.sizes.items()), frozenset(self.numbers.items()), frozenset(self.entries.items())

    @property
    def parts(self) -> dict[Expr, int]:
        """Every factor's exponent."""
        return {**self.sizes, **self.numbers, **self.entries}

    def times(self, other: Term) -> Term:
        """The product of both."""
        if self is NOTHING or other is NOTHING:
            return other if self is NOTHING else self
        one, two = self.rational, other.rational
        return Term(
            two if one is ONE else one if two is ONE else one * two,
            _sum(self.sizes, other.sizes),
            _sum(self.numbers, other.numbers),
            _sum(self.entries, other.entries),
        )

    def counted(self, rational: Fraction) -> Term:
        """The same with another number in front."""
        return Term(rational, self.sizes, self.numbers, self.entries)

    def inverse(self) -> Term:
        """1 over it."""
        turned = [{f: -n for f, n in part.items()} for part in (self.sizes, self.numbers, self.entries)]
        return Term(1 / self.rational, *turned)


def _sum(a: dict[Expr, int], b: dict[Expr, int]) -> dict[Expr, int]:
    if not a or not b:
        return a or b
    total = dict(a)
    for factor, n in b.items():
        total[factor] = total.get(factor, 0) + n
    return {factor: n for factor, n in total.items() if n}


NOTHING = Term(ONE, {}, {}, {})


@remembered
def term(expr: Expr, fences: Container[Expr]) -> Term:
    """A number or an array, as a product."""
    front, body = NOTHING, expr
    while body not in fences:
        if body.op is negate_op:
            front, body = front.counted(-front.rational), body.args[0]
        elif body.op is scale_op:
            front, body = front.times(_of_number(body.args[0], fences)), body.args[1]
            if is_one(body):
                return front
        elif body.rank and body.op is repeat_op and not body.args[0].rank:
            return front.times(_of_number(body.args[0], fences))
        else:
            break
    if not body.rank:
        return front.times(_of_number(body, fences))
    return front.times(Term(ONE, {}, {}, entrywise(body, fences)))


def _of_number(expr: Expr, fences: Container[Expr]) -> Term:
    m = monomial(expr, fences)
    sizes = {factor: n for factor, n in m.sizes.items() if n}
    return Term(m.rational, sizes, {factor: n for factor, n in m.factors.items() if n}, {})


def rebuilt(product: Term, like: Expr) -> Expr:
    """The product as an expression, of the shape of `like`."""
    front = written(Monomial(product.rational, product.sizes, product.numbers))
    if not like.rank:
        return front
    if not product.entries:
        return repeat(front, tuple(range(like.rank)), like.shape)
    body = one_bar(product.entries, like)
    value = value_of(front)
    return body if value == 1 else negate_op(body) if value == -1 else scale(front, body)


def flattened(expr: Expr, fences: Container[Expr], most: int | None = None) -> list[tuple[int, Expr]]:
    """The terms of a sum with their signs, sums within it too, in order; none of more than `most`."""
    found: list[tuple[int, Expr]] = []
    stack = [(1, expr)]
    while stack:
        if most is not None and len(found) + len(stack) > most:
            return []
        sign, node = stack.pop()
        if node.op in SUMS and (node is expr or node not in fences):
            a, b = node.args
            stack += [(sign if node.op is add_op else -sign, b), (sign, a)]
        elif node.op is negate_op and node not in fences:
            stack.append((-sign, node.args[0]))
        else:
            found.append((sign, node))
    return found


@remembered
def terms(expr: Expr, fences: Container[Expr], most: int | None = None) -> tuple[Term, ...]:
    """The terms of a sum; like ones are put together. None of a sum of more than `most`."""
    merged: dict[object, Term] = {}
    for sign, part in flattened(expr, fences, most):
        one = term(part, fences)
        one = one if sign > 0 else one.counted(-one.rational)
        key = one.key
        before = merged.get(key)
        merged[key] = one if before is None else one.counted(one.rational + before.rational)
    return tuple([one for one in merged.values() if one.rational])


def total(parts: Sequence[Term], like: Expr) -> Expr:
    """The sum of the terms, one without a minus first."""
    if not parts:
        return rebuilt(NOTHING.counted(Fraction(0)), like)
    first = next((part for part in parts if part.rational > 0), None)
    if first is None:
        return negate_op(total([part.counted(-part.rational) for part in parts], like))
    result = rebuilt(first, like)
    for part in parts:
        if part is not first:
            positive = rebuilt(part.counted(abs(part.rational)), like)
            result = (add if part.rational > 0 else subtract)(result, positive)
    return result


# ------------------------------------------------------------------------------------------- proposals


def like_terms(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """a − b − b = a − 2 b: terms of a longer sum that differ in their number only."""
    parts = flattened(expr, fences, MOST_TERMS)
    if len(parts) > 2 and len(merged := terms(expr, fences)) < len(parts):
        yield total(merged, expr)


def common_factors(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """a x + b x = (a + b) x, and x/s + y/s² = (x + y/s)/s = (x s + y)/s²."""
    parts = terms(expr, fences, MOST_WRITTEN)
    if not 2 <= len(parts) <= MOST_TERMS:
        return
    everywhere = set.intersection(*(set(part.parts) for part in parts))
    denominators = {factor for part in parts for factor, n in part.parts.items() if n < 0}
    if everywhere or len(denominators) == 1:
        yield from _factored(parts, [], expr, fences)
    counts: dict[Expr, list[Term]] = {}
    for part in parts:
        for factor in part.parts:
            counts.setdefault(factor, []).append(part)
    for factor, group in counts.items():
        once = len({part.parts[factor] for part in group}) == 1  # 2 a e − a² + 1 stays
        if factor not in everywhere and len(group) > 1 and once:
            yield from _factored(group, [part for part in parts if part not in group], expr, fences)


def _factored(
    group: Sequence[Term], others: Sequence[Term], like: Expr, fences: Container[Expr]
) -> Iterator[Expr]:
    """The group with what is common to its terms in front, or over one denominator; and the others."""
    nearest, over_one_bar = content(group, False), content(group, True)
    for common in (nearest,) if nearest.key == over_one_bar.key else (nearest, over_one_bar):
        if common.key == NOTHING.key:  # 2/N Xᵀ e + 2 λ w stays
            continue
        rest = common.inverse()
        inner = total([part.times(rest) for part in group], like)
        if inner.op in SUMS:
            inner = total(terms(inner, fences), like)
        yield total([common.times(_single(inner)), *others], like)


def _single(inner: Expr, n: int = 1) -> Term:
    """An expression as one factor, `n` times."""
    numbers, entries = ({}, {inner: n}) if inner.rank else ({inner: n}, {})
    return Term(ONE, {}, numbers, entries)


def content(group: Sequence[Term], over_one_bar: bool) -> Term:
    """What can be taken out of all terms of the group: exponents nearest to zero, or one denominator."""
    rationals = {abs(part.rational) for part in group}
    found: list[dict[Expr, int]] = []
    for tables in zip(*((part.sizes, part.numbers, part.entries) for part in group), strict=True):
        common: dict[Expr, int] = {}
        for factor in dict.fromkeys(factor for table in tables for factor in table):
            exponents = [table.get(factor, 0) for table in tables]
            low, high = min(exponents), max(exponents)
            n = low if low > 0 or (low < 0 and over_one_bar) else min(high, 0)
            if n:
                common[factor] = n
        found.append(common)
    return Term(rationals.pop() if len(rationals) == 1 else Fraction(1), *found)


def powers_merged(product: Term) -> Term:
    """xⁿ⁻¹ x = xⁿ, for an exponent that is no number."""
    for factor, n in product.parts.items():
        base, exponent = factor.args if factor.op is power_op else (factor, factor)
        less = value_of(exponent.args[1]) if exponent.op is subtract_op else None
        if n == 1 and less is not None and less.denominator == 1 and 0 < less <= product.parts.get(base, 0):
            for taken, m in ((factor, -1), (base, -int(less)), (power_op(base, exponent.args[0]), 1)):
                product = product.times(_single(taken, m))
    return product


def merged_powers(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """xⁿ⁻¹ x = xⁿ."""
    product = term(expr, fences)
    if (merged := powers_merged(product)) is not product:
        yield rebuilt(merged, expr)


def multiplied_out(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """(x/s − y/s²) s² = x s − y: a product is multiplied out where that makes denominators cancel."""
    product = term(expr, fences)
    for factor, n in product.parts.items():
        if n != 1 or factor.op not in SUMS or factor in fences:
            continue
        parts = terms(factor, fences, MOST_WRITTEN)
        exponents = [*product.parts.values(), *(m for part in parts for m in part.parts.values())]
        if min(exponents, default=1) > 0:  # nothing is below a bar
            continue
        rest = product.times(_single(factor).inverse())
        meeting = {f for part in parts for f, m in part.parts.items() if rest.parts.get(f, 0) * m < 0}
        if not meeting or len(parts) > MOST_TERMS:
            continue
        opened = [part.times(rest) for part in parts]
        yield total(opened, expr)
        yield from _factored(opened, [], expr, fences)


def common_numbers(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """c (2 x − 4 y) = 2 c (x − 2 y): a number in all terms of a factor joins those in front."""
    product = term(expr, fences)
    for factor, n in product.parts.items():
        summed = factor.op in SUMS and factor not in fences
        parts = terms(factor, fences, MOST_WRITTEN) if summed else ()
        if not 2 <= len(parts) <= MOST_TERMS:
            continue
        tops = gcd(*(part.rational.numerator for part in parts))
        bottoms = lcm(*(part.rational.denominator for part in parts))
        common = Fraction(tops, bottoms) if bottoms <= LARGEST_DENOMINATOR else Fraction(1)
        if common != 1:
            inner = total([part.counted(part.rational / common) for part in parts], factor)
            rest = product.times(_single(factor, -n))
            rest = rest.counted(rest.rational * common**n)
            for body in (inner, *common_factors(inner, fences)):
                yield rebuilt(rest.times(_single(body, n)), expr)


def named_product(whole: Expr) -> Law | None:
    """The law that a product which holds all factors of the number `whole` holds it by name; None for others.

    a·x/(b·x)² = C/(b·x) where C = a·x/(b·x).
    """
    own = NOTHING if whole.rank else term(whole, ())
    if min(own.parts.values(), default=0) >= 0 or max(own.parts.values()) <= 0:
        return None

    def propose(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
        product = term(expr, fences)
        met = product.parts
        if all(met.get(factor, 0) * n >= n * n for factor, n in own.parts.items()):
            yield rebuilt(product.times(own.inverse()).times(_single(whole)), expr)

    why = "what has a name already is called by it"
    met = frozenset([factor.op for factor in own.parts if factor.op is not size_op][:1])
    return Law("by its name", why, propose=propose, heads=(multiply_op, divide_op, scale_op), amid=met)


# ------------------------------------------------------------------------------------------- the laws


def _laws() -> tuple[Law, ...]:
    x, y, s = wildcard("x"), wildcard("y"), wildcard("s")
    v, w, u = (wildcard(letter, ("m",)) for letter in "vwu")
    return (
        Law(
            "like terms",
            "a − b − b = a − 2 b: terms that differ only in the number in front are added",
            propose=like_terms,
            heads=SUMS,
            examples=lambda: (x - y - y - y, x + y - x, v + s * w + (u + s * w)),
        ),
        Law(
            "common factor",
            "a x + b x = (a + b) x, and fractions are put over one bar, where that is shorter",
            propose=common_factors,
            heads=SUMS,
            examples=lambda: (
                x * s - y * s,
                s * x * v - s * y * w,
                2 / s * v - 2 * x / s**2 * w,
                1 / (1 + x**2) - 2 * x**2 / (1 + x**2) ** 2,
                v * u / w - u * s / w,
                s * v + u + s * w,
            ),
            domain="nonzero",
        ),
        Law(
            "power rule of exponents",
            "xⁿ⁻¹ x = xⁿ",
            propose=merged_powers,
            amid=frozenset({power_op}),
            heads=(multiply_op, scale_op, divide_op),
            examples=lambda: (x * x ** (s - 1), v ** (s - 2) * (w * v**2), y * x ** (s - 1) * x * v),
            domain="positive",
        ),
        Law(
            "multiplied out",
            "(x/s − y/s²) s² = x s − y, where that makes things cancel",
            propose=multiplied_out,
            amid=frozenset(SUMS),
            heads=(multiply_op, scale_op, divide_op),
            examples=lambda: (s**2 * (x / s - y / s**2), (v / w - u / w**2) * w**2, s * (1 / s * v - u)),
            domain="nonzero",
        ),
        Law(
            "common factor",
            "c (2 x − 4 y) = 2 c (x − 2 y): a number in all terms joins those in front",
            propose=common_numbers,
            amid=frozenset(SUMS),
            heads=(multiply_op, scale_op, divide_op),
            examples=lambda: ((2 * x - 2 * y) / s, 1 / s * (2 * v - 2 * x * w)),
            domain="nonzero",
        ),
    )


SHORTENING: tuple[Law, ...] = _laws()
