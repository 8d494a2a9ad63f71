"""What is the same, whichever entries are taken first? Laws of slices, joins, flips and directions."""

from __future__ import annotations

from collections.abc import Container

from gradstep.calculus.rewriting import Law, wildcard
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Shape
from gradstep.operations.arithmetic import negate_op, scale, scale_op
from gradstep.operations.broadcasting import repeat, repeat_op
from gradstep.operations.cumulative import cumsum_op
from gradstep.operations.entries import (
    along,
    concatenate_op,
    cut,
    embed_op,
    flip_op,
    repeated_zeros,
    reshape_op,
    slice_op,
)
from gradstep.operations.leaves import value_of
from gradstep.operations.norms import norm_op, unit_op

MOVERS = (slice_op, embed_op, flip_op, reshape_op, cumsum_op)
Fences = Container[Expr]


def _number_comes_out(y: Expr, fences: Fences) -> Expr | None:
    """(c x)[1:3] = c x[1:3], and the same with a sign."""
    body = y.args[0]
    if body in fences:
        return None
    if body.op is scale_op:
        return scale(body.args[0], y.op(body.args[1], params=y.params))
    return negate_op(y.op(body.args[0], params=y.params)) if body.op is negate_op else None


def _same_entries(y: Expr, fences: Fences) -> Expr | None:
    """Where all entries are one number, it does not matter which are taken, or in what order."""
    body = y.args[0]
    if body in fences or body.op is not repeat_op or body.args[0].rank:
        return None
    if value_of(body.args[0]) == 0:
        return repeated_zeros(y.shape)
    if y.op in (embed_op, cumsum_op):
        return None
    inner = body.args[0]
    return repeat(inner, tuple(range(y.rank)), y.shape) if y.rank else inner


def _there_and_back(y: Expr, fences: Fences) -> Expr | None:
    """What was put into zeros is taken out again; a part of a join is that part."""
    body = y.args[0]
    if body in fences:
        return None
    if body.op is embed_op and body.params[0] == y.params:
        return body.args[0]
    if body.op is concatenate_op:
        (axis,) = body.params
        first, second = body.args
        for part, start in ((first, 0), (second, first.shape[axis])):
            if along(body.shape, axis, start, part.shape[axis]) == y.params:
                return part
    return None


def _length_of(direction: Expr) -> Expr:
    return norm_op(direction.args[0], params=direction.params)


def _length_times_direction(y: Expr, fences: Fences) -> Expr | None:
    """‖x‖ times x/‖x‖ is x, also with other numbers beside the length."""
    front, body = y.args
    if body.op is not unit_op or body in fences or body.params:
        return None
    if front is _length_of(body):
        return body.args[0]
    if front in fences or front.op.name != "multiply":
        return None
    for one, other in (front.args, front.args[::-1]):
        if one is _length_of(body):
            return scale(other, body.args[0])
    return None


def _examples() -> tuple[tuple[Expr, ...], ...]:
    c = wildcard("c")
    v, M = wildcard("v", ("m",)), wildcard("M", ("m", "n"))
    w: Shape = ("k", "n")
    W = wildcard("W", w)
    movers = [
        op(wildcard("x", shapes[0]), params=params)
        for op in MOVERS
        for params, shapes in op.example
        if shapes[0] and all(isinstance(size, int) or size.isalpha() for size in shapes[0])
    ]
    numbers = [
        y.op(body, params=y.params) for y in movers for x in y.args for body in (scale(c, x), negate_op(x))
    ]
    ones = [y.op(repeat(c, tuple(range(x.rank)), x.shape), params=y.params) for y in movers for x in y.args]
    same = [y for y in ones if y.op not in (embed_op, cumsum_op)]
    empty = [y.op(repeated_zeros(x.shape), params=y.params) for y in movers for x in y.args]
    there = [
        slice_op(embed_op(wildcard("x", shapes[0]), params=params), params=params[0])
        for params, shapes in embed_op.example
    ]
    joined = concatenate_op(M, W, params=(0,))
    parts = [cut(joined, along(joined.shape, 0, 0, "m")), cut(joined, along(joined.shape, 0, "m", "k"))]
    lengths = [y for x in (v, M) for y in (scale(norm_op(x), unit_op(x)), scale(2 * norm_op(x), unit_op(x)))]
    return tuple(map(tuple, (numbers, [*same, *empty], [*there, *parts], lengths)))


def _laws() -> tuple[Law, ...]:
    numbers, same, there, lengths = _examples()
    return (
        Law(
            "the number comes out",
            "taking and moving entries is linear: a number or a sign may stand in front",
            apply=_number_comes_out,
            heads=MOVERS,
            examples=numbers,
        ),
        Law(
            "entries that are all the same",
            "it does not matter which of them are taken, or in what order",
            apply=_same_entries,
            heads=MOVERS,
            examples=same,
        ),
        Law(
            "taken out again",
            "what was put there is what is there",
            apply=_there_and_back,
            heads=(slice_op,),
            examples=there,
        ),
        Law(
            "length times direction",
            "‖x‖ x/‖x‖ = x",
            apply=_length_times_direction,
            heads=(scale_op,),
            examples=lengths,
        ),
    )


LAWS = _laws()
