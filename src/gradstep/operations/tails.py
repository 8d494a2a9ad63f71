"""What is small far out, and lost where it is a difference of what is not? Tails, and the slopes of gates.

Φ(x) = (1 + erf(x/√2))/2 is 0 in floating point below −8.3, and exp(−x²) takes the rounding of x² for a
change of its own: where numbers are worked out, each is one function that keeps the digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

from gradstep.expression.node import Expr, Operation
from gradstep.operations.activations import sigmoid, sigmoid_op, softplus, sqrt, tanh
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    exp,
    exp_op,
    negate_op,
    subtract_op,
)
from gradstep.operations.coded import (
    erfc_op,
    gaussian,
    gelu_slope_op,
    gelu_tanh_slope_op,
    mish_slope_op,
    normal_area_op,
    silu_slope_op,
)
from gradstep.operations.factors import PRODUCTS, product_of, single
from gradstep.operations.families import is_one
from gradstep.operations.gates import bent, bent_slope, gelu_tanh_op, mish_op, silu_op
from gradstep.operations.improving import Improvement, Uses
from gradstep.operations.leaves import number, pi, symbol, value_of
from gradstep.operations.precise import erf, erf_op
from gradstep.operations.spelled import opposite, other_than_one, squared
from gradstep.operations.spelled_gates import gelu_tanh_gate, mish_gate, without_root_of_two

# ------------------------------------------------------------------------------- exp(−x²), 1 + erf


def _square(expr: Expr) -> tuple[Fraction, Expr] | None:
    """c and x of c x²."""
    x = squared(expr)
    if x is not None:
        scaled = without_root_of_two(x)
        return (Fraction(1), x) if scaled is None else (Fraction(1, 2), scaled)
    if expr.op is negate_op:
        share, body = Fraction(-1), expr.args[0]
    elif expr.op in PRODUCTS:
        body, other = expr.args if expr.op is divide_op else expr.args[::-1]
        if value_of(single(body)) is not None:
            body, other = other, body
        value = value_of(single(other))
        if not value or (expr.op is divide_op and body is not expr.args[0]):
            return None
        share = 1 / value if expr.op is divide_op else value
    else:
        return None
    found = _square(body)
    return None if found is None else (share * found[0], found[1])


def _gaussian(y: Expr, uses: Uses) -> Expr | None:
    """exp(c x²) where −c is a power of two: c times what rounding takes from x² is then exact."""
    found = _square(y.args[0])
    if found is None or found[0] >= 0:
        return None
    bottom, top = found[0].denominator, -found[0].numerator
    return gaussian(found[1], found[0]) if bottom & (bottom - 1) == top & (top - 1) == 0 else None


def _beside_erf(y: Expr, uses: Uses) -> Expr | None:
    """1 + erf(x/√2) = 2 Φ(x), 1 − erf(x) = erfc(x), where erf(x) is not computed anyway."""
    if y.op is add_op:
        bent = other_than_one(y)
        sign = 1
    else:
        bent = y.args[1] if is_one(y.args[0]) else None
        sign = -1
    if bent is None or bent.op is not erf_op or uses(bent) > 1:
        return None
    x = bent.args[0]
    scaled = without_root_of_two(x)
    if scaled is not None:
        return 2 * normal_area_op(scaled if sign > 0 else opposite(scaled))
    return erfc_op(opposite(x) if sign > 0 else x)


# ------------------------------------------------------------------------------------------- slopes of gates


def _operand(op: Operation) -> Callable[[Expr], Expr | None]:
    return lambda gate: gate.args[0] if gate.op is op else None


# How a gate is recognised, how many of it open wholly, what is added to it, and the sum as one function.
Added = Callable[[Expr], Iterator[Expr]]
SLOPES: tuple[tuple[Callable[[Expr], Expr | None], int, Added, Operation], ...] = (
    (
        _operand(sigmoid_op),
        1,
        lambda x: iter((silu_op(x) * (1 - sigmoid(x)), silu_op(x) * sigmoid(opposite(x)))),
        silu_slope_op,
    ),
    (
        _operand(normal_area_op),
        1,
        lambda x: iter((x * gaussian(x, Fraction(-1, 2)) / sqrt(2 * pi),)),
        gelu_slope_op,
    ),
    (
        mish_gate,
        1,
        lambda x: iter((x * (1 - tanh(softplus(x)) ** 2) * sigmoid(x),)),
        mish_slope_op,
    ),
    (
        gelu_tanh_gate,
        2,
        lambda x: iter((x * (1 - tanh(bent(x)) ** 2) * bent_slope(x),)),
        gelu_tanh_slope_op,
    ),
)


def _slope_of_gate(y: Expr, uses: Uses) -> Expr | None:
    """g(x) + x g′(x), or a number of times that, however its factors are ordered."""
    for first, second in (y.args, y.args[::-1]):
        share, factors = product_of(first)
        if list(factors.values()) != [1]:
            continue
        (gate,) = factors
        for read, whole, added, slope_op in SLOPES:
            x = read(gate)
            if x is None or x.shape != y.shape:
                continue
            found = product_of(second)
            if any(found == (share * number_, counts) for number_, counts in map(product_of, added(x))):
                return number(share * whole) * slope_op(x) if share * whole != 1 else slope_op(x)
    return None


_x, _v, _w = symbol("x"), symbol("v", "n"), symbol("w")


def _slope(op: Operation, x: Expr) -> Expr:
    assert op.slopes is not None
    return op.slopes[0](op(x), x)


TAILS: tuple[Improvement, ...] = (
    Improvement(
        "exp of a square",
        "exp magnifies what rounding takes from a large x²: exp(−x²) is computed with that",
        (exp_op,),
        _gaussian,
        (exp(-(_v**2)), exp(-(_x**2) / 2), exp(number(Fraction(-1, 2)) * (_w * _v) ** 2), exp(-4 * _v**2)),
    ),
    Improvement(
        "one and erf",
        "1 + erf(x) is 0 in floating point for x below −6: the area that is left is computed instead",
        (add_op, subtract_op),
        _beside_erf,
        (1 - erf(_v), erf(_x) + 1, 1 + erf(_v / sqrt(number(2))), 1 - erf(_w / sqrt(number(2)) * _v)),
    ),
    Improvement(
        "slope of a gate",
        "the slope of x times a gate is computed at once: its parts lose digits for large |x|",
        (add_op,),
        _slope_of_gate,
        (
            _slope(silu_op, _v),
            _slope(mish_op, _x),
            normal_area_op(_v) + _v * gaussian(_v, Fraction(-1, 2)) / sqrt(2 * pi),
            _slope(gelu_tanh_op, _w * _v),
        ),
    ),
)
