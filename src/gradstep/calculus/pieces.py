"""Which formulas have a piece for either sign of a number? max(0, x) − a max(0, −x) is x or a x.

Where the loss is read, what is put together from max(0, x) and max(0, −x) becomes a choice between the two,
as a textbook writes it; its slope at 0 is then that of one piece. The laws put masks together: two that
exclude each other, and what is not above c and not below −c.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from gradstep.calculus.rewriting import Law
from gradstep.calculus.shortening import MOST_WRITTEN, NOTHING, Term, content, rebuilt, term, terms, total
from gradstep.calculus.shorter_parts import zero
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.node import Expr, rebuild, walk
from gradstep.operations.activations import (
    abs,
    abs_op,
    maximum,
    maximum_op,
    minimum,
    minimum_op,
    relu_op,
    sign,
)
from gradstep.operations.arithmetic import (
    add,
    add_op,
    exp,
    exp_op,
    greater,
    greater_equal,
    greater_equal_op,
    greater_op,
    multiply_op,
    negate_op,
    one_like,
    power_op,
    scale_op,
    subtract,
    subtract_op,
)
from gradstep.operations.arithmetic import opposite as refused
from gradstep.operations.broadcasting import repeat, repeat_op
from gradstep.operations.choices import where, where_op
from gradstep.operations.domains import ranges
from gradstep.operations.guards import is_zero
from gradstep.operations.leaves import number
from gradstep.operations.spelled import opposite

SUMS = (add_op, subtract_op)
ORDERS = (greater_op, greater_equal_op)
BENT = frozenset({relu_op, minimum_op})  # max(0, x) and min(x, 0)


# ------------------------------------------------------------------------------------------- as it is read


def larger_multiple(y: Expr) -> Expr | None:
    """max(c x, d x), c > d, is c x where x > 0 and d x elsewhere."""
    if y.op not in (maximum_op, minimum_op) or any(map(is_zero, y.args)):
        return None
    a, b = (term(arg, ()) for arg in y.args)
    common = _common(a, b)
    rests = [part.times(common.inverse()) for part in (a, b)]
    like = y if any(rest.entries for rest in rests) else number(0)
    left = terms(subtract(*(rebuilt(rest, like) for rest in rests)), ())
    if len(left) != 1:
        return None
    difference = left[0].times(common)
    unknown = {factor: n for factor, n in difference.parts.items() if not ranges(factor)[factor].is_positive}
    if len(unknown) != 1 or set(unknown.values()) != {1}:
        return None
    (x,) = unknown
    first, second = y.args if (difference.rational > 0) == (y.op is maximum_op) else y.args[::-1]
    if second is opposite(first):
        return abs(first) if first is x else None
    return where(greater(x, 0), first, second)


def _common(a: Term, b: Term) -> Term:
    """The factors that both have."""
    tables = zip((a.sizes, a.numbers, a.entries), (b.sizes, b.numbers, b.entries), strict=True)
    return Term(NOTHING.rational, *({f: n for f, n in p.items() if q.get(f) == n} for p, q in tables))


def both_sides(y: Expr) -> Expr | None:
    """What holds both max(0, x) and max(0, −x) is one thing where x > 0 and another elsewhere."""
    if y.op not in SUMS:
        return None
    order = list(walk(y, stop=lambda node: not _is_entrywise(node)))
    sides: dict[Expr, set[Expr]] = {}
    for node in order:
        if (x := _bent_at(node)) is not None and x.shape == y.shape:
            sides.setdefault(x, set()).add(node)
    x = next((x for x, nodes in sides.items() if len(nodes) > 1), None)
    if x is None:
        return None
    above, below = (_at(order, sides[x], x, positive) for positive in (True, False))
    if above is below:
        return above
    if above is x and below is opposite(x):
        return abs(x)
    return where(greater(x, 0), above, below)


def _is_entrywise(node: Expr) -> bool:
    return node.op.slopes is not None or node.op in (power_op, scale_op, repeat_op)


def _bent_at(node: Expr) -> Expr | None:
    """x of max(0, x), of max(0, −x) and of min(x, 0)."""
    if node.op is relu_op:
        x, turned = node.args[0], opposite(node.args[0])
        return x if turned.op is negate_op else turned
    if node.op is minimum_op:
        return next((x for x, zero in (node.args, node.args[::-1]) if is_zero(zero)), None)
    return None


def _at(order: list[Expr], bent: set[Expr], x: Expr, positive: bool) -> Expr:
    """The last of `order` where x has this sign."""
    done: dict[Expr, Expr] = {}
    for node in order:
        if node in bent:
            kept = (node.args[0] is x) == positive if node.op is relu_op else not positive
            whole = x if node.op is minimum_op else node.args[0]
            done[node] = whole if kept else zero(x)
        elif not _is_entrywise(node):
            done[node] = node
        else:
            done[node] = _folded(rebuild(node, [done[arg] for arg in node.args]))
    return done[order[-1]]


def _folded(node: Expr) -> Expr:
    """`node` without zeros among its operands, and without two signs in a row."""
    zeros = [is_zero(arg) for arg in node.args]
    minus = [arg.op is negate_op for arg in node.args]
    if node.op in (multiply_op, scale_op):
        if any(zeros):
            return zero(node)
        if any(minus):
            product = node.op(*(arg.args[0] if m else arg for arg, m in zip(node.args, minus, strict=True)))
            return product if all(minus) else negate_op(product)
    if node.op is exp_op and zeros[0]:
        return one_like(node)
    if node.op is negate_op:
        return node.args[0] if zeros[0] else opposite(node.args[0])
    if node.op in SUMS:
        a, b = node.args
        if zeros[1]:
            return a
        if zeros[0]:
            return b if node.op is add_op else opposite(b)
        if minus[1]:
            return (subtract if node.op is add_op else add)(a, b.args[0])
    return node


# ------------------------------------------------------------------------------------------- laws


def two_halves(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """1[x > 0] ⊙ y + 1[x ≤ 0] ⊙ z is y where x > 0, and z elsewhere."""
    parts = terms(expr, fences, MOST_WRITTEN)
    masks = [
        {either_way(f): f for f, n in part.parts.items() if n == 1 and _is_order(f, fences)} for part in parts
    ]
    for mask in dict.fromkeys(key for found in masks for key in found):
        other = either_way(refused(mask))
        halves = [
            [
                p.times(_factor(found[side], -1))
                for p, found in zip(parts, masks, strict=True)
                if side in found
            ]
            for side in (mask, other)
        ]
        if not halves[1]:
            continue
        condition = next(found[mask] for found in masks if mask in found)
        rest = [p for p, found in zip(parts, masks, strict=True) if mask not in found and other not in found]
        for common in (NOTHING, content([*halves[0], *halves[1]], True)):
            sides = (total([part.times(common.inverse()) for part in half], expr) for half in halves)
            yield total([common.times(_factor(where(condition, *sides), 1)), *rest], expr)
        return


def either_way(mask: Expr) -> Expr:
    """A comparison without a word on which side of it is read first."""
    if mask.op is repeat_op:
        return repeat_op(either_way(mask.args[0]), params=mask.params)
    return mask.op(*mask.args)


def _is_order(factor: Expr, fences: Container[Expr]) -> bool:
    """Whether it is a comparison, repeated or not."""
    if factor in fences:
        return False
    body = factor.args[0] if factor.op is repeat_op else factor
    return body.op in ORDERS


def _factor(expr: Expr, n: int) -> Term:
    numbers, entries = ({}, {expr: n}) if expr.rank else ({expr: n}, {})
    return Term(NOTHING.rational, {}, numbers, entries)


def chosen_condition(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """{a if 1; b otherwise} = a, and {a if 0; b otherwise} = b; {a if c; a otherwise} = a."""
    condition, a, b = expr.args
    if is_zero(condition):
        return b
    return a if a is b or condition is one_like(condition) else None


def clipped(expr: Expr, fences: Container[Expr]) -> Iterator[Expr]:
    """x where |x| ≤ c, and c sign x elsewhere, is x cut off at −c and c."""
    condition, inside, outside = expr.args
    if condition.op not in ORDERS:
        return
    high, low = condition.args
    if high.op is abs_op:
        inside, outside, high, low = outside, inside, low, high
    if low.op is not abs_op or not ranges(high)[high].not_negative:
        return
    x = low.args[0]
    front = term(inside, fences).times(term(x, fences).inverse())
    if front.entries or term(outside, fences) != front.times(term(high, fences)).times(_factor(sign(x), 1)):
        return
    yield rebuilt(front.times(_factor(minimum(maximum(x, -high), high), 1)), expr)


def _laws() -> tuple[Law, ...]:
    c, s = wildcard("c"), wildcard("s")
    v, w, u = (wildcard(letter, ("m",)) for letter in "vwu")
    M = wildcard("M", ("m", "n"))
    return (
        Law(
            "a choice that is made",
            "where the condition is 1 the first is chosen, where it is 0 the second; of equal ones either",
            apply=chosen_condition,
            heads=(where_op,),
            examples=lambda: (
                where(number(1), c, s),
                where(zero(v), v, w),
                where(one_like(M), M, 2 * M),
                where(greater(v, 0), w, w),
            ),
        ),
        Law(
            "two pieces",
            "1[x > 0] ⊙ y + 1[x ≤ 0] ⊙ z is y where x > 0, and z elsewhere",
            propose=two_halves,
            amid=frozenset(ORDERS),
            heads=SUMS,
            examples=lambda: (
                greater(c, 0) * s + greater_equal(0, c) * c,
                greater(v, 0) * w - s * (greater_equal(0, v) * u),
                v + s * w * greater_equal(v, w) - u * greater(w, v),
                repeat(greater(c, 0), 0, "m") * v + repeat(greater_equal(0, c), 0, "m") * w,
            ),
        ),
        Law(
            "cut off on both sides",
            "x where |x| ≤ c, and c sign x elsewhere, is min(max(x, −c), c)",
            propose=clipped,
            oracle=False,
            heads=(where_op,),
            examples=lambda: (
                where(greater_equal(exp(c), abs(s)), s, exp(c) * sign(s)),
                where(greater_equal(1, abs(v)), s * v, s * sign(v)),
                where(greater(abs(v), exp(c)), exp(c) * sign(v), v),
            ),
        ),
    )


PIECES: tuple[Law, ...] = _laws()
