"""What would overflow, cancel or divide nothing by nothing if it were computed as it is written?

A derivation keeps what the user wrote; `evaluate` and code compute the same number by a form that is safe for
any size of its operand. An `Improvement` is one such equation, used from left to right where numbers are
worked out; code says in a comment which it has used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache

from gradstep.expression.node import Expr, walk
from gradstep.operations.activations import (
    abs,
    minimum,
    relu,
    sigmoid,
    sigmoid_op,
    softplus,
    sqrt,
    sqrt_op,
    tanh,
    tanh_op,
)
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    exp,
    exp_op,
    log,
    log_op,
    multiply_op,
    negate_op,
    power,
    power_op,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat, repeat_op, spread
from gradstep.operations.coded import bell, deviations, hypot, hypot_op
from gradstep.operations.entropies import ENTROPIES
from gradstep.operations.families import is_one
from gradstep.operations.guards import guarded
from gradstep.operations.hyperbolic import cosh
from gradstep.operations.improving import Improvement, Uses, improved
from gradstep.operations.leaves import is_constant, number, symbol, value_of
from gradstep.operations.precise import expm1, log1p, log1p_op
from gradstep.operations.rowwise import log_softmax, logsumexp, softmax, softmax_op
from gradstep.operations.spelled import (
    deviations_of,
    expm1_of,
    length_of,
    log1p_of,
    log_sigmoid_of,
    log_softmax_of,
    logsumexp_of,
    opposite,
    root,
    share_of_exp,
    softplus_in_two_pieces,
    softplus_of,
    squared,
    tanh_of,
    variance_of,
)
from gradstep.operations.spelled_gates import logcosh_of
from gradstep.operations.sums import mean, sum
from gradstep.operations.tails import TAILS

# ------------------------------------------------------------------------------------------- the equations


def _exponent(expr: Expr) -> Expr | None:
    """x of exp(x)."""
    return expr.args[0] if expr.op is exp_op else None


def _log_of_softmax(y: Expr, uses: Uses) -> Expr | None:
    x = y.args[0]
    return log_softmax(x.args[0], x.params[0]) if x.op is softmax_op else None


def _log_of_sigmoid(y: Expr, uses: Uses) -> Expr | None:
    x = y.args[0]
    return -softplus(-x.args[0]) if x.op is sigmoid_op else None


def _log_of_the_other(y: Expr, uses: Uses) -> Expr | None:
    x = y.args[0]
    if x.op is subtract_op and is_one(x.args[0]) and x.args[1].op is sigmoid_op:
        return -softplus(x.args[1].args[0])
    return None


def _written(recognise: Callable[[Expr], Expr | None]) -> Callable[[Expr, Uses], Expr | None]:
    """A function that is spelled out, by its name."""
    return lambda y, uses: recognise(y)


def _log_of_exp(y: Expr, uses: Uses) -> Expr | None:
    return _exponent(y.args[0])


def _sigmoid_times_exp(y: Expr, uses: Uses) -> Expr | None:
    """σ(−x) ⊙ exp(x), also with other factors between them."""
    product = walk(y, stop=lambda node: node.op is not multiply_op)
    factors = [node for node in product if node.op is not multiply_op]
    for growing in factors:
        x = _exponent(growing)
        if x is None:
            continue
        for share in factors:
            if share.op is sigmoid_op and _opposite(share.args[0], x):
                rest = [factor for factor in factors if factor is not growing and factor is not share]
                made = sigmoid(x)
                for factor in rest:
                    made = multiply_op(factor, made)
                return made
    return None


def _opposite(a: Expr, b: Expr) -> bool:
    return a is opposite(b) or b is opposite(a)


def _sigmoid_of_opposite(y: Expr, uses: Uses) -> Expr | None:
    """1 − σ(x), where σ(x) is not computed anyway."""
    one, share = y.args
    if is_one(one) and share.op is sigmoid_op and uses(share) < 2:
        return sigmoid(opposite(share.args[0]))
    return None


def _slope_of_sigmoid(y: Expr, uses: Uses) -> Expr | None:
    """σ(x) (1 − σ(x)), where σ(x) is not computed anyway."""
    for share, rest in (y.args, y.args[::-1]):
        if share.op is not sigmoid_op or uses(rest) > 1:
            continue
        x = share.args[0]
        if rest.op is subtract_op and is_one(rest.args[0]) and rest.args[1] is share and uses(share) < 3:
            return bell(x)
        if rest.op is sigmoid_op and _opposite(x, rest.args[0]) and uses(share) < 2:
            return bell(x)
    return None


def _slope_of_tanh(y: Expr, uses: Uses) -> Expr | None:
    """1 − tanh(x)², where tanh(x) is not computed anyway."""
    one, square = y.args
    bent = squared(square)
    if is_one(one) and bent is not None and bent.op is tanh_op and uses(bent) < 2 and uses(square) < 2:
        return 4 * bell(2 * bent.args[0])
    return None


def _hypotenuse(y: Expr, uses: Uses) -> Expr | None:
    """√(a² + b²), where a number is the square of its root."""
    exponent = value_of(y.args[1]) if y.op is power_op else None
    total = y.args[0] if exponent == Fraction(-1, 2) else root(y)
    if total is None or total.op is not add_op:
        return None
    a, b = map(_root_of_square, total.args)
    if a is None or b is None or (is_constant(a) and is_constant(b)):
        return None
    return 1 / hypot(a, b) if exponent == Fraction(-1, 2) else hypot(a, b)


def once(expr: Expr) -> Expr:
    """`expr` before its entries are repeated."""
    return expr.args[0] if expr.op is repeat_op else expr


def _root_of_square(expr: Expr) -> Expr | None:
    inner = once(expr)
    value = value_of(inner)
    if value is not None and value > 0:
        return spread(number(1) if value == 1 else sqrt(number(value)), expr.shape)
    return squared(expr)


def _hypotenuse_less_one(y: Expr, uses: Uses) -> Expr | None:
    """√(1 + x²) − 1."""
    length, one = y.args
    if length.op is not hypot_op or not is_one(one) or not any(map(is_one, length.args)):
        return None
    x = length.args[1] if is_one(length.args[0]) else length.args[0]
    return x * (x / (length + 1))


def _deviations(y: Expr, uses: Uses) -> Expr | None:
    found = deviations_of(y)
    return None if found is None else deviations(*found)


def _twice_negated(y: Expr, uses: Uses) -> Expr | None:
    x = y.args[0]
    return x.args[0] if x.op is negate_op else None


_x, _v, _w, _M = symbol("x"), symbol("v", "n"), symbol("w", "n"), symbol("M", "m n")

STABLE: tuple[Improvement, ...] = (
    Improvement(
        "log of softmax",
        "softmax is 0 in floating point 745 below the largest z: log softmax(z) = z − log Σ eᶻ",
        (log_op,),
        _log_of_softmax,
        (log(softmax(_v)), log(softmax(_M, 1)), log(softmax(_M, 0))),
    ),
    Improvement(
        "log of sigmoid",
        "σ(x) is 0 in floating point for x below −745: log σ(x) = −log(1 + e⁻ˣ)",
        (log_op,),
        _log_of_sigmoid,
        (log(sigmoid(_x)), log(sigmoid(_v))),
    ),
    Improvement(
        "log of 1 − sigmoid",
        "1 − σ(x) is 0 in floating point for x above 37: log(1 − σ(x)) = −log(1 + eˣ)",
        (log_op,),
        _log_of_the_other,
        (log(1 - sigmoid(_x)), log(1 - sigmoid(_v))),
    ),
    Improvement(
        "log of 1 + exp",
        "eˣ overflows for x above 709",
        (log_op,),
        _written(softplus_of),
        (log(1 + exp(_x)), log(exp(_v) + 1)),
    ),
    Improvement(
        "log of exp", "eˣ overflows for x above 709: log eˣ is x", (log_op,), _log_of_exp, (log(exp(_v)),)
    ),
    Improvement(
        "log of a sum of exp",
        "eˣ overflows for x above 709; the largest entry can be taken out first",
        (log_op,),
        _written(logsumexp_of),
        (log(sum(exp(_v))), log(sum(exp(_M))), log(sum(exp(_M), 1)), log(sum(exp(_M), 0))),
    ),
    Improvement(
        "share of exp",
        "eˣ overflows for x above 709, and ∞/∞ is no number",
        (divide_op,),
        _written(share_of_exp),
        (
            1 / (1 + exp(-_x)),
            exp(_v) / (1 + exp(_v)),
            1 / (exp(_v) + 1),
            exp(_M) / repeat(sum(exp(_M), 1), 1, "n"),
            exp(_M) / sum(exp(_M), 0),
        ),
    ),
    Improvement(
        "share of exp",
        "eˣ overflows for x above 709, and ∞/∞ is no number",
        (scale_op,),
        _written(share_of_exp),
        (exp(_v) / sum(exp(_v)),),
    ),
    Improvement(
        "sigmoid times exp",
        "0 · ∞ is no number: σ(−x) eˣ = σ(x)",
        (multiply_op,),
        _sigmoid_times_exp,
        (multiply_op(sigmoid(-_v), exp(_v)), multiply_op(multiply_op(_v, exp(-_v)), sigmoid(_v))),
    ),
    Improvement(
        "log of 1 + exp",
        "eˣ overflows for x above 709",
        (log1p_op,),
        _written(softplus_of),
        (log1p(exp(_v)),),
    ),
    Improvement(
        "softplus in two pieces",
        "max(x, 0) + log(1 + e⁻ˡˣˡ) is log(1 + eˣ)",
        (add_op, subtract_op),
        _written(softplus_in_two_pieces),
        (relu(_v) + softplus(-abs(_v)), minimum(_v, 0) - softplus(-abs(_v))),
    ),
    Improvement(
        "softplus beside its operand",
        "x − log(1 + eˣ) is 0 in floating point for x above 37: it is −log(1 + e⁻ˣ)",
        (add_op, subtract_op),
        _written(log_sigmoid_of),
        (_v - softplus(_v), _x + softplus(-_x)),
    ),
    Improvement(
        "tanh by exp",
        "eˣ overflows for x above 709, and ∞/∞ is no number",
        (divide_op,),
        _written(tanh_of),
        ((exp(_v) - exp(-_v)) / (exp(_v) + exp(-_v)), expm1(2 * _v) / (exp(2 * _v) + 1)),
    ),
    Improvement(
        "1 − sigmoid",
        "1 − σ(x) is 0 in floating point for x above 37: it is σ(−x)",
        (subtract_op,),
        _sigmoid_of_opposite,
        (1 - sigmoid(_v),),
    ),
    Improvement(
        "slope of the sigmoid",
        "1 − σ(x) loses digits for large x: σ (1 − σ) is 1/(e⁻ˣ + 2 + eˣ)",
        (multiply_op,),
        _slope_of_sigmoid,
        (multiply_op(sigmoid(_v), 1 - sigmoid(_v)), multiply_op(sigmoid(_v), sigmoid(-_v))),
    ),
    Improvement(
        "slope of tanh",
        "1 − tanh² x is 0 in floating point for |x| above 19: it is 4/(e⁻²ˣ + 2 + e²ˣ)",
        (subtract_op,),
        _slope_of_tanh,
        (1 - tanh(_v) ** 2,),
    ),
    Improvement(
        "log of 1 + x",
        "1 + x rounds the digits of a small x away: log1p keeps them",
        (log_op,),
        _written(log1p_of),
        (log(1 + _v), log(_v**2 + 1), log(1 - _v)),
    ),
    Improvement(
        "exp less 1",
        "eˣ − 1 loses the digits of a small x: expm1 keeps them",
        (subtract_op,),
        _written(expm1_of),
        (exp(_v) - 1,),
    ),
    Improvement(
        "length",
        "a square overflows above 1e154 and vanishes below 1e-162: ‖x‖ takes the scale out first",
        (sqrt_op, power_op),
        _written(length_of),
        (sqrt(sum(_v**2)), sqrt(_v @ _v), power(sum(_M**2, 1), number(Fraction(1, 2)))),
    ),
    Improvement(
        "hypotenuse",
        "a square overflows above 1e154 and vanishes below 1e-162: hypot takes the scale out first",
        (sqrt_op, power_op),
        _hypotenuse,
        (sqrt(1 + _v**2), sqrt(_v**2 + _w**2), power(_v**2 + 2, number(Fraction(-1, 2)))),
    ),
    Improvement(
        "hypotenuse less 1",
        "√(1 + x²) − 1 loses the digits of a small x: it is x²/(√(1 + x²) + 1)",
        (subtract_op,),
        _hypotenuse_less_one,
        (hypot(spread(number(1), ("n",)), _v) - 1,),
    ),
    Improvement(
        "variance",
        "mean(x²) − mean(x)² cancels: deviations are squared after the mean is taken away",
        (subtract_op,),
        _written(variance_of),
        (mean(_v**2) - mean(_v) ** 2, mean(_M**2, 1) - mean(_M, 1) ** 2),
    ),
    Improvement(
        "deviations",
        "the mean is rounded: x − mean(x) gives its own mean back, as long as that is not 0",
        (subtract_op,),
        _deviations,
        (_v - mean(_v), _M - mean(_M, 1, keepdims=True)),
    ),
    Improvement(
        "log softmax",
        "z − log Σ eᶻ is 0 in floating point where one z is far above the others: log1p keeps them",
        (subtract_op,),
        _written(log_softmax_of),
        (_v - logsumexp(_v), _M - logsumexp(_M, 1, keepdims=True)),
    ),
    Improvement(
        "log cosh",
        "cosh x overflows for |x| above 710: log cosh x = |x| + log(1 + e⁻²ˡˣˡ) − log 2",
        (log_op,),
        _written(logcosh_of),
        (log(cosh(_v)),),
    ),
    Improvement("minus minus", "−(−x) = x", (negate_op,), _twice_negated, (negate_op(negate_op(_v)),), False),
    *ENTROPIES,
)

LATER = (*STABLE, *TAILS)


def stable(expr: Expr) -> Expr:
    """`expr` in a form that is safe for operands of any size.

    A gradient derived from this form is safe too, where one derived from log(softmax(z)) or 1/(1 + exp(−z))
    may divide by what has become 0.
    """
    return stabilised([expr])[expr]


def stabilised(
    roots: Sequence[Expr], parts: Sequence[Expr] = (), used: dict[Improvement, None] | None = None
) -> dict[Expr, Expr]:
    """What every node under `roots` and `parts` becomes in code that is safe for operands of any size."""
    used = {} if used is None else used
    first = improved(roots, STABLE, used, parts)
    # Now that uses have gone; what σ and softplus are made of is looked at after these have been found.
    second = improved([first[root] for root in roots], LATER, used, [first[part] for part in parts])
    return {node: second.get(after, after) for node, after in first.items()}


@lru_cache(maxsize=128)
def ready(expr: Expr) -> Expr:
    """`expr` as its value is worked out: in safe forms, and with masks that are strong zeros."""
    safe = stable(expr)
    return guarded([safe])[safe]
