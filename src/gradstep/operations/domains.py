"""Where is a formula defined? The conditions that its logarithms, roots and inverse functions put on it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from gradstep.expression.node import Expr, walk
from gradstep.operations.activations import abs_op, maximum_op, relu_op, sigmoid_op, softplus_op, sqrt_op
from gradstep.operations.arithmetic import (
    COMPARISONS,
    add_op,
    divide_op,
    exp_op,
    multiply_op,
    power_op,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat_op, squeeze_op, sum_op
from gradstep.operations.families import is_one
from gradstep.operations.hyperbolic import cosh_op
from gradstep.operations.leaves import number_op, pi_op, size_op, symbol_op, value_of
from gradstep.operations.products import matmul_op, outer_op, transpose_op
from gradstep.operations.rowwise import softmax_op

# What each word for a domain asks of the first operand.
CONDITIONS: dict[str, Callable[[str], str]] = {
    "positive": lambda x: f"{x} > 0",
    "inside one": lambda x: f"−1 < {x} < 1",
    "above one": lambda x: f"{x} > 1",
    "above minus one": lambda x: f"{x} > −1",
    "between quarter turns": lambda x: f"cos({x}) ≠ 0",
}

POSITIVE = frozenset({exp_op, sigmoid_op, softplus_op, softmax_op, cosh_op, size_op, pi_op})
NOT_NEGATIVE = frozenset({abs_op, relu_op, *COMPARISONS})
PRODUCTS = frozenset({multiply_op, divide_op, scale_op, matmul_op, outer_op})
KEEPING = frozenset({repeat_op, squeeze_op, sum_op, transpose_op, sqrt_op})
SIGNLESS, NO_MINUS, PLUS = 0, 1, 2  # what is known of a sign: nothing, not negative, positive


def conditions(formula: Expr, moving: Collection[Expr]) -> list[tuple[Expr, Callable[[str], str]]]:
    """The moving parts of `formula` that are not defined everywhere, and what each asks of its operand.

    What is surely fulfilled is left out: the logarithm of a softmax, the root of x² + 1.
    """
    signs: dict[Expr, int] = {}
    found = []
    for node in walk(formula):
        signs[node] = signs_of(node, [signs[arg] for arg in node.args])
        asks = CONDITIONS.get(node.op.domain)
        if asks is None or node not in moving or (node.op is power_op and _is_whole(node.args[1])):
            continue
        sure = PLUS if node.op.domain == "positive" else NO_MINUS
        if node.op.domain not in ("positive", "above minus one") or signs[node.args[0]] < sure:
            found.append((node, asks))
    return found


def _is_whole(exponent: Expr) -> bool:
    value = value_of(exponent)
    return value is not None and value.denominator == 1


def signs_of(node: Expr, args: list[int]) -> int:
    """What is known of the sign of every entry of `node`."""
    op = node.op
    if op is number_op:
        value = node.params[0]
        return PLUS if value > 0 else NO_MINUS if value == 0 else SIGNLESS
    if op is symbol_op:
        return PLUS if "positive" in node.params[2] else SIGNLESS
    if op in POSITIVE:
        return PLUS
    if op in NOT_NEGATIVE:
        return NO_MINUS
    if op is add_op:
        return max(args) if min(args) else SIGNLESS
    if op is maximum_op:
        return max(args)
    if op is subtract_op:  # 1 − σ(x)
        return PLUS if is_one(node.args[0]) and node.args[1].op in (sigmoid_op, softmax_op) else SIGNLESS
    if op in PRODUCTS:
        return min(args)
    if op in KEEPING:
        return args[0]
    if op is power_op:
        return _sign_of_power(node, args[0])
    return SIGNLESS


def _sign_of_power(node: Expr, base: int) -> int:
    exponent = value_of(node.args[1])
    even = exponent is not None and exponent.denominator == 1 and exponent.numerator % 2 == 0
    return max(base, NO_MINUS) if even else base
