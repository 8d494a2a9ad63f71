"""Between which numbers do the entries of an expression surely lie? Arithmetic with intervals.

Every operation on an interval is sound and not sharp: what is not known is any real number (Moore, "Interval
Analysis", 1966).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import inf

from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.operations.activations import (
    abs_op,
    maximum_op,
    minimum_op,
    relu_op,
    sigmoid_op,
    softplus_op,
    sqrt_op,
    tanh_op,
)
from gradstep.operations.arithmetic import (
    COMPARISONS,
    add_op,
    divide_op,
    exp_op,
    multiply_op,
    negate_op,
    power_op,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat_op, squeeze_op, sum_op
from gradstep.operations.hyperbolic import cosh_op, logcosh_op
from gradstep.operations.leaves import number_op, pi_op, size_op, symbol_op, triangle_op, value_of
from gradstep.operations.norms import norm_op
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op, outer_op
from gradstep.operations.rowwise import softmax_op
from gradstep.operations.trigonometry import cos_op, sin_op

MOST_BITS = 200  # of an end that is kept exactly
End = Fraction | float  # exact, or infinite


@record
class Range:
    """From `low` to `high`; an end that is `open` is not reached."""

    low: End = -inf
    high: End = inf
    low_open: bool = True
    high_open: bool = True

    def __contains__(self, value: int) -> bool:
        above = self.low < value or (self.low == value and not self.low_open)
        return above and (value < self.high or (value == self.high and not self.high_open))

    def inside(self, other: Range) -> bool:
        """Whether `other` holds all of it."""
        low = self.low > other.low or (self.low == other.low and (self.low_open or not other.low_open))
        high = self.high < other.high or (self.high == other.high and (self.high_open or not other.high_open))
        return low and high

    def apart(self, other: Range) -> bool:
        """Whether no number is in both."""
        return _before(self, other) or _before(other, self)

    def closed(self) -> Range:
        """With its finite ends."""
        return Range(self.low, self.high, self.low == -inf, self.high == inf)

    @property
    def is_positive(self) -> bool:
        return self.inside(POSITIVE)

    @property
    def not_negative(self) -> bool:
        return self.inside(NOT_NEGATIVE)

    def __neg__(self) -> Range:
        return Range(-self.high, -self.low, self.high_open, self.low_open)

    def __add__(self, other: Range) -> Range:
        return Range(
            self.low + other.low,
            self.high + other.high,
            self.low_open or other.low_open,
            self.high_open or other.high_open,
        )

    def __mul__(self, other: Range) -> Range:
        ends = [
            _product(*a, *b)
            for a in ((self.low, self.low_open), (self.high, self.high_open))
            for b in ((other.low, other.low_open), (other.high, other.high_open))
        ]
        low, high = min(end for end, _ in ends), max(end for end, _ in ends)
        return Range(
            low, high, all(o for end, o in ends if end == low), all(o for end, o in ends if end == high)
        )

    def over(self) -> Range:
        """1/x, for an x that is not 0."""
        if self.low >= 0 and self.high > 0:
            return Range(_over(self.high), _over(self.low), self.high_open, self.low_open or self.low == 0)
        if self.high <= 0 and self.low < 0:
            return -(-self).over()
        return EVERYWHERE

    def added(self) -> Range:
        """A sum of one or more such numbers."""
        low, high = (self.low if self.low >= 0 else -inf), (self.high if self.high <= 0 else inf)
        return Range(low, high, self.low_open or low == -inf, self.high_open or high == inf)


def _before(one: Range, other: Range) -> bool:
    return one.high < other.low or (one.high == other.low and (one.high_open or other.low_open))


def _product(a: End, a_open: bool, b: End, b_open: bool) -> tuple[End, bool]:
    """The product of two ends, 0 times infinity being 0, and whether it is not reached."""
    if a == 0 or b == 0:
        return 0, not ((a == 0 and not a_open) or (b == 0 and not b_open))
    return a * b, a_open or b_open


def _over(end: End) -> End:
    return inf if end == 0 else Fraction(0) if end == inf else 1 / end


EVERYWHERE = Range()
POSITIVE = Range(low=0)
NOT_NEGATIVE = Range(low=0, low_open=False)
ZERO = Range(0, 0, False, False)
UNIT = Range(0, 1)
AROUND_ZERO = Range(-1, 1, False, False)
ONE_OR_MORE = Range(low=1, low_open=False)

KNOWN = {
    **dict.fromkeys((exp_op, softplus_op), POSITIVE),
    **dict.fromkeys((abs_op, norm_op, sqrt_op, logcosh_op), NOT_NEGATIVE),
    **dict.fromkeys((sin_op, cos_op), AROUND_ZERO),
    **dict.fromkeys((cosh_op, size_op), ONE_OR_MORE),
    **dict.fromkeys((*COMPARISONS, triangle_op), Range(0, 1, False, False)),
    sigmoid_op: UNIT,
    softmax_op: Range(0, 1, True, False),
    tanh_op: Range(-1, 1),
    pi_op: Range(Fraction(157, 50), Fraction(63, 20)),
}
SAME = frozenset({repeat_op, squeeze_op, transpose_op})


def range_of(node: Expr, args: Sequence[Range]) -> Range:
    """Where the entries of `node` lie, when those of its operands lie in `args` and it is defined."""
    return _rounded(_exactly(node, args))


def _rounded(found: Range) -> Range:
    """Ends of many digits moved outwards, to 0 or infinity."""
    low, high = _is_long(found.low), _is_long(found.high)
    if not (low or high):
        return found
    return Range(
        (0 if found.low > 0 else -inf) if low else found.low,
        (0 if found.high < 0 else inf) if high else found.high,
        low or found.low_open,
        high or found.high_open,
    )


def _is_long(end: End) -> bool:
    bits = isinstance(end, Fraction) and max(end.numerator.bit_length(), end.denominator.bit_length())
    return bits > MOST_BITS


def _exactly(node: Expr, args: Sequence[Range]) -> Range:
    op = node.op
    if op is number_op:
        value = node.params[0]
        return Range(value, value, False, False)
    if op is symbol_op:
        return POSITIVE if "positive" in node.params[2] else EVERYWHERE
    if op is sqrt_op and args[0].is_positive:
        return POSITIVE
    if op in KNOWN:
        return KNOWN[op]
    if op in SAME:
        return args[0]
    if op is add_op:
        return args[0] + args[1]
    if op is subtract_op and node.args[0] is node.args[1]:
        return ZERO
    if op is subtract_op:
        return args[0] + -args[1]
    if op is negate_op:
        return -args[0]
    if op in (multiply_op, scale_op, outer_op):
        square = node.args[0] is node.args[1] and op is multiply_op
        return NOT_NEGATIVE if square and 0 in args[0] else args[0] * args[1]
    if op is matmul_op:
        return (args[0] * args[1]).added()
    if op is divide_op:
        return args[0] * args[1].over()
    if op is sum_op:
        return args[0].added()
    if op is relu_op:
        return _larger(args[0], ZERO)
    if op is maximum_op:
        return _larger(*args)
    if op is minimum_op:
        return -_larger(-args[0], -args[1])
    return _of_power(node, args[0]) if op is power_op else EVERYWHERE


def _larger(a: Range, b: Range) -> Range:
    (low, low_closed), (high, high_closed) = (
        max((a.low, not a.low_open), (b.low, not b.low_open)),
        max((a.high, not a.high_open), (b.high, not b.high_open)),
    )
    return Range(low, high, not low_closed, not high_closed)


def _of_power(node: Expr, base: Range) -> Range:
    if base.is_positive:
        return POSITIVE
    exponent = value_of(node.args[1])
    if exponent is None:
        return NOT_NEGATIVE if base.not_negative else EVERYWHERE
    if exponent.denominator != 1:
        return NOT_NEGATIVE
    if exponent.numerator % 2 == 0:
        return NOT_NEGATIVE if 0 in base else POSITIVE
    return NOT_NEGATIVE if base.not_negative else -NOT_NEGATIVE if (-base).not_negative else EVERYWHERE
