"""Which activations are written out in a formula? x/(1 + exp(−x)) is SiLU, x (1 + erf(x/√2))/2 is GELU.

As in `spelled.py`: each function looks at one node and gives the same in the activation's name, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from gradstep.expression.node import Expr, Operation
from gradstep.operations.activations import sigmoid_op, softplus_op, tanh_op
from gradstep.operations.arithmetic import add_op, divide_op, exp_op, log_op, negate_op
from gradstep.operations.factors import PRODUCTS, leaves_of, product_of, single, without
from gradstep.operations.families import is_one
from gradstep.operations.gates import bent, gelu_op, gelu_tanh_op, mish_op, silu_op
from gradstep.operations.hyperbolic import cosh_op, logcosh
from gradstep.operations.leaves import value_of
from gradstep.operations.precise import erf_op
from gradstep.operations.spelled import exponent_beside_one, opposite, other_than_one, root

# ------------------------------------------------------------------------------------------- x of a gate


def without_root_of_two(expr: Expr) -> Expr | None:
    """x of x/√2, also where x is a product and one of its factors is divided."""
    if expr.op is negate_op:
        inner = without_root_of_two(expr.args[0])
        return None if inner is None else negate_op(inner)
    if expr.op not in PRODUCTS:
        return None
    left, right = expr.args
    if expr.op is divide_op and _is_root_of(right, 2):
        return left
    if expr.op is not divide_op and _is_root_of(left, Fraction(1, 2)):
        return right
    if expr.op is not divide_op and _is_root_of(right, Fraction(1, 2)):
        return left
    first = without_root_of_two(left)
    if first is not None:
        return right if is_one(first) and expr.op is not divide_op else expr.op(first, right)
    second = without_root_of_two(right) if expr.op is not divide_op else None
    return None if second is None else expr.op(left, second)


def _is_root_of(expr: Expr, wanted: int | Fraction) -> bool:
    inner = root(single(expr))
    return inner is not None and value_of(inner) == wanted


def normal_gate(gate: Expr) -> Expr | None:
    """x of 1 + erf(x/√2)."""
    bend = other_than_one(gate)
    return None if bend is None or bend.op is not erf_op else without_root_of_two(bend.args[0])


def mish_gate(gate: Expr) -> Expr | None:
    """x of tanh(softplus(x))."""
    inner = gate.args[0] if gate.op is tanh_op else None
    return inner.args[0] if inner is not None and inner.op is softplus_op else None


def gelu_tanh_gate(gate: Expr) -> Expr | None:
    """x of 1 + tanh(√(2/π)(x + 0.044715 x³))."""
    opening = other_than_one(gate)
    if opening is None or opening.op is not tanh_op:
        return None
    for total in product_of(opening.args[0])[1]:
        if total.op is add_op and product_of(bent(total.args[0])) == product_of(opening.args[0]):
            return total.args[0]
    return None


# ------------------------------------------------------------------------------------------- x times a gate

# How a gate is recognised, what it is when it is open, and x times the gate as one function.
GATES: tuple[tuple[Callable[[Expr], Expr | None], int, Operation], ...] = (
    (normal_gate, 2, gelu_op),
    (gelu_tanh_gate, 2, gelu_tanh_op),
    (mish_gate, 1, mish_op),
)


def gelu_of(y: Expr) -> Expr | None:
    """x (1 + erf(x/√2))/2, and the form with tanh, however the factors are ordered."""
    return _gated(y, GATES[:2])


def mish_of(y: Expr) -> Expr | None:
    """x tanh(softplus(x))"""
    return _gated(y, GATES[2:])


def _gated(y: Expr, gates: tuple[tuple[Callable[[Expr], Expr | None], int, Operation], ...]) -> Expr | None:
    if y.op not in PRODUCTS:
        return None
    share, factors = product_of(y)
    for gate, times in factors.items():
        for read, whole, op in gates:
            x = read(gate) if times == 1 else None
            if x is not None and x.shape == y.shape:
                size, parts = product_of(x)
                if share * whole == size and factors == {**parts, gate: 1}:
                    return op(x)
    return None


def silu_of(y: Expr) -> Expr | None:
    """x σ(x), x/(1 + exp(−x)) and x exp(x)/(1 + exp(x)), also with other factors between them."""
    if y.op is divide_op:
        x = exponent_beside_one(y.args[1])
        if x is None:
            return None
        for operand, parts in ((opposite(x), (opposite(x),)), (x, (x, exp_op(x)))):
            rest = without(y.args[0], *parts)
            if rest is not None:
                return silu_op(operand) if is_one(rest) else rest * silu_op(operand)
        return None
    for share in leaves_of(y):
        if share.op is sigmoid_op and share.shape == y.shape:
            rest = without(y, share, share.args[0])
            if rest is not None:
                return silu_op(share.args[0]) if is_one(rest) else rest * silu_op(share.args[0])
    return None


def logcosh_of(y: Expr) -> Expr | None:
    """log(cosh(x))"""
    x = y.args[0]
    return logcosh(x.args[0]) if y.op is log_op and x.op is cosh_op else None
