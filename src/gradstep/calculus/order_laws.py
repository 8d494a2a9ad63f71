"""What is known of an order before any number is? max(0, x) is max(0, x) by its name, x > x never holds.

A rewrite may bring together what nobody would write, 1[1/6 > 0] or max(log|det I|, x); these laws say it as
it is read.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Container, Mapping
from fractions import Fraction

from gradstep.calculus.rewriting import Law
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation
from gradstep.operations.activations import (
    abs_op,
    maximum_op,
    minimum_op,
    relu,
    relu_op,
    sign_op,
)
from gradstep.operations.arithmetic import (
    COMPARISONS,
    EXCHANGES,
    equal_op,
    greater_equal_op,
    greater_op,
    not_equal_op,
    power,
    power_op,
)
from gradstep.operations.broadcasting import repeat_op, spread
from gradstep.operations.guards import is_zero
from gradstep.operations.leaves import is_constant, number, size, value_of

Fences = Container[Expr]
OF_NUMBERS: Mapping[Operation, Callable[..., Fraction | int]] = {
    maximum_op: max,
    minimum_op: min,
    relu_op: lambda x: max(x, 0),
    abs_op: abs,
    sign_op: lambda x: (x > 0) - (x < 0),
    greater_op: operator.gt,
    greater_equal_op: operator.ge,
    equal_op: operator.eq,
    not_equal_op: operator.ne,
}


def positive_part(expr: Expr, fences: Fences) -> Expr | None:
    """The larger of x and 0, by its own name."""
    a, b = expr.args
    return relu(b) if is_zero(a) else relu(a) if is_zero(b) else None


def of_numbers(expr: Expr, fences: Fences) -> Expr | None:
    """An order of plain numbers, also of copies of them."""
    found = [value_of(arg.args[0] if arg.op is repeat_op else arg) for arg in expr.args]
    values = [value for value in found if value is not None]
    if len(values) < len(found):
        return None
    return spread(number(Fraction(OF_NUMBERS[expr.op](*values))), expr.shape)


def power_of_number(expr: Expr, fences: Fences) -> Expr | None:
    """A whole power of a plain number, as long as the door would work it out."""
    base, exponent = expr.args
    n = value_of(exponent)
    if value_of(base) is None or n is None or n.denominator != 1:
        return None
    try:
        return power(base, exponent)
    except MathError:
        return None


def of_itself(expr: Expr, fences: Fences) -> Expr | None:
    """x > x never holds, x = x always does; the larger of x and x is x."""
    a, b = expr.args
    if a is not b:
        return None
    if expr.op in (maximum_op, minimum_op):
        return a
    return spread(number(int(expr.op in (greater_equal_op, equal_op))), expr.shape)


def read_forwards(expr: Expr, fences: Fences) -> Expr | None:
    """Of a constant and what is not one, the constant stands on the right; of two nothing is said."""
    return expr.op(*expr.args) if expr.params == EXCHANGES and any(map(is_constant, expr.args)) else None


def _laws() -> tuple[Law, ...]:
    c, N = wildcard("c"), size("N")
    v, M = wildcard("v", ("m",)), wildcard("M", ("m", "n"))
    zero, third = number(0), number(Fraction(1, 3))
    pairs = ((number(-2), third), (third, third), (spread(zero, ("m",)), spread(third, ("m",))))
    return (
        Law(
            "the larger of a number and 0",
            "it is max(0, x)",
            apply=positive_part,
            heads=(maximum_op,),
            examples=lambda: (
                maximum_op(zero, c),
                maximum_op(v, spread(zero, v.shape)),
                maximum_op(spread(zero, M.shape), M),
            ),
        ),
        Law(
            "numbers in order",
            "which of two numbers is larger is known",
            apply=of_numbers,
            oracle=False,
            heads=tuple(OF_NUMBERS),
            examples=lambda: (
                *(op(*pair) for op in (maximum_op, minimum_op, *COMPARISONS) for pair in pairs),
                *(op(pair[0]) for op in (relu_op, abs_op, sign_op) for pair in pairs),
            ),
        ),
        Law(
            "power of a number",
            "it is worked out",
            apply=power_of_number,
            heads=(power_op,),
            examples=lambda: (power_op(third, number(2)), power_op(number(-2), number(3))),
        ),
        Law(
            "compared with itself",
            "nothing is larger than itself",
            apply=of_itself,
            heads=(maximum_op, minimum_op, *COMPARISONS),
            examples=lambda: tuple(
                op(x, x) for op in (maximum_op, minimum_op, *COMPARISONS) for x in (c, v, M)
            ),
        ),
        Law(
            "read forwards",
            "0 < x and x > 0 say the same",
            apply=read_forwards,
            heads=(greater_op, greater_equal_op),
            examples=lambda: (
                greater_op(c, N, params=EXCHANGES),
                greater_equal_op(spread(third, ("m",)), v, params=EXCHANGES),
            ),
        ),
    )


LAWS = _laws()
