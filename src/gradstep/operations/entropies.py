"""What do logarithms lose beside what they are multiplied by? Entropies and log-likelihoods."""

from __future__ import annotations

from gradstep.expression.node import Expr, walk
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    equal,
    log,
    log_op,
    multiply_op,
    negate_op,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import spread, squeeze_op, sum_op
from gradstep.operations.choices import where_op
from gradstep.operations.entries import slice_op
from gradstep.operations.improving import Improvement, Uses
from gradstep.operations.leaves import is_constant, number, symbol
from gradstep.operations.precise import log1p_op
from gradstep.operations.products import matmul_op
from gradstep.operations.ranges import Range, range_of
from gradstep.operations.rowwise import log_softmax, logsumexp, logsumexp_op
from gradstep.operations.sums import sum

# ------------------------------------------------------------------------------------------- y log x


def may_be(value: int, expr: Expr) -> bool:
    """Whether an entry of `expr` may have this value, as far as ranges tell."""
    ranges: dict[Expr, Range] = {}
    for node in walk(expr):
        ranges[node] = range_of(node, [ranges[arg] for arg in node.args])
    return value in ranges[expr]


def vanishing(factor: Expr, logarithm: Expr) -> bool:
    """Whether factor · logarithm may be 0 · log 0."""
    if logarithm.op not in LOGARITHMS or is_constant(logarithm) or is_constant(factor):
        return False
    x = logarithm.args[0]
    return x.op is not where_op and may_be(LOGARITHMS[logarithm.op], x) and may_be(0, factor)


LOGARITHMS = {log_op: 0, log1p_op: -1}  # and where they are −∞


def _times_logarithm(y: Expr, uses: Uses) -> Expr | None:
    """y log x, which is 0 in the limit x → 0 where y is 0 or goes to 0 with x."""
    if y.op is matmul_op and y.rank:
        return None
    for factor, logarithm in (y.args, y.args[::-1]):
        if vanishing(factor, logarithm):
            x = logarithm.args[0]
            ends = equal(x, LOGARITHMS[logarithm.op])
            nothing = ends if factor is x else multiply_op(equal(factor, 0), ends)
            inside = spread(number(1 if logarithm.op is log_op else 0), x.shape)
            kept = factor * logarithm.op(where_op(nothing, inside, x))
            return sum(kept) if y.op is matmul_op else kept
    return None


# ------------------------------------------------------------------------------- logsumexp less z·y


def _logsumexp_less(y: Expr, uses: Uses) -> Expr | None:
    """logsumexp(z) − z·y = (1 − Σ y) logsumexp(z) − y·log softmax(z); less zₖ it is −log softmax(z)ₖ."""
    if y.op is add_op:
        total, taken = y.args if y.args[1].op is negate_op else y.args[::-1]
        if taken.op is not negate_op:
            return None
        taken = taken.args[0]
    else:
        total, taken = y.args
    if total.op is sum_op and taken.op is sum_op and len(total.params[0]) == total.args[0].rank:
        inner, rest = total.args[0], taken.args[0]
        if inner.op is not logsumexp_op or rest.rank != inner.rank + 1 or taken.rank:
            return None
        found = _logsumexp_less(inner - sum(rest, inner.params[0]), uses)
        return None if found is None else sum(found)
    if total.op in (scale_op, divide_op, multiply_op) and taken.op is total.op and not y.rank:
        at = 1 if total.op is not divide_op else 0
        if total.args[1 - at] is not taken.args[1 - at]:
            return None
        found = _logsumexp_less(total.args[at] - taken.args[at], uses)
        return (
            None if found is None else total.op(*(found if k == at else a for k, a in enumerate(total.args)))
        )
    if total.op is not logsumexp_op:
        return None
    z, axis = total.args[0], total.params[0]
    if z.rank == 1 and _is_entry(taken, z):
        return -_with(taken, z, log_softmax(z, axis))
    weights = _weights(taken, z, axis)
    if weights is None:
        return None
    return (1 - sum(weights, axis)) * total - sum(weights * log_softmax(z, axis), axis)


def _is_entry(expr: Expr, z: Expr) -> bool:
    """Whether `expr` is one entry of z."""
    while expr.op in (slice_op, squeeze_op):
        expr = expr.args[0]
        if expr is z:
            return True
    return False


def _with(entry: Expr, z: Expr, other: Expr) -> Expr:
    """The same entry of another vector."""
    return other if entry is z else entry.op(_with(entry.args[0], z, other), params=entry.params)


def _weights(taken: Expr, z: Expr, axis: int) -> Expr | None:
    """y of z·y, or of the sums of z ⊙ y along the axis."""
    if taken.op is matmul_op and z.rank == 1:
        pair = taken.args
    elif taken.op is sum_op and taken.params[0] == (axis,) and taken.args[0].op is multiply_op:
        pair = taken.args[0].args
    else:
        return None
    return pair[1] if pair[0] is z else pair[0] if pair[1] is z else None


_v, _w, _M, _Y = symbol("v", "n"), symbol("w", "n"), symbol("M", "m n"), symbol("Y", "m n")

ENTROPIES: tuple[Improvement, ...] = (
    Improvement(
        "y log x",
        "0 · log 0 is no number: y log x goes to 0 where y is 0, and x log x with x",
        (multiply_op, matmul_op),
        _times_logarithm,
        (_v * log(_v), _w * log(_v), log(_M) * _Y, log1p_op(-_v) * (1 - _w), _w @ log(_v)),
    ),
    Improvement(
        "logsumexp less an inner product",
        "log Σ eᶻ − z·y cancels where one z is far above the others: log softmax(z) keeps what is left",
        (subtract_op, add_op),
        _logsumexp_less,
        (
            logsumexp(_v) - _v @ _w,
            logsumexp(_v) - sum(_w * _v),
            -(_w @ _v) + logsumexp(_v),
            logsumexp(_M, 1) - sum(_Y * _M, 1),
            logsumexp(_M, 0) - sum(_M * _Y, 0),
            sum(logsumexp(_M, 1)) - sum(_M * _Y),
            sum(logsumexp(_M, 1)) / 7 - sum(_M * _Y) / 7,
            logsumexp(_v) - _v[0],
        ),
    ),
)
