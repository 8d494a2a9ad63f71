"""What is the same, whichever entries are taken first? Laws of slices, joins, flips and directions."""

from __future__ import annotations

from collections.abc import Container, Iterator

from gradstep.calculus.lifting import MATRIX
from gradstep.calculus.rewriting import Law
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Size, minus, plus, times
from gradstep.operations.arithmetic import negate_op, scale, scale_op, subtract_op
from gradstep.operations.broadcasting import repeat, repeat_op, sum_op
from gradstep.operations.cumulative import cumsum_op
from gradstep.operations.entries import (
    along,
    concatenate_op,
    cut,
    embed_op,
    repeated_zeros,
    reshape_op,
    slice_op,
)
from gradstep.operations.flips import flip_op
from gradstep.operations.leaves import number, symbol, value_of
from gradstep.operations.lookups import one_hot_op
from gradstep.operations.norms import norm_op, unit_op
from gradstep.operations.permutations import matrix_transpose, order_of, permute_op, permuted, transpose_op
from gradstep.operations.products import matmul_op
from gradstep.operations.sums import mean, sum

ORDERS = (permute_op, transpose_op)
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
        size = first.shape[axis]
        start, count, step = y.params[axis]
        stop = plus(start, times(step, minus(count, 1)), 1) if count != 0 else plus(start, 1)
        if _is_count(minus(size, stop)):
            return cut(first, y.params)
        if _is_count(minus(start, size)):
            moved = minus(start, size), count, step
            return cut(second, [moved if k == axis else part for k, part in enumerate(y.params)])
    return None


def _is_count(size: Size) -> bool:
    return isinstance(size, int) and size >= 0


def _one_entry(y: Expr, fences: Fences) -> Expr | None:
    """The sum over one entry is that entry: 𝟏ᵀx[2:3] = x[2]."""
    body = y.args[0]
    if body in fences or body.op is not slice_op or any(body.shape[k] != 1 for k in y.params[0]):
        return None
    left = iter(range(body.rank))
    cuts = [
        (start, 0, 1) if count != 0 and next(left) in y.params[0] else (start, count, step)
        for start, count, step in body.params
    ]
    return cut(body.args[0], cuts)


def _one_in_each_row(y: Expr, fences: Fences) -> Expr | None:
    """The sum of each row of one hot vectors is 1."""
    body = y.args[0]
    if body in fences or body.op is not one_hot_op or y.params[0] != (body.rank - 1,):
        return None
    return repeat(number(1), tuple(range(y.rank)), y.shape)


def _around_the_mean(y: Expr, fences: Fences) -> Expr | None:
    """What is left of each row when its mean is taken away adds up to nothing."""
    body = y.args[0]
    if body in fences or body.op is not subtract_op:
        return None
    x, means = body.args
    axes = y.params[0]
    return repeated_zeros(y.shape) if means is spread_mean(x, axes) else None


def spread_mean(x: Expr, axes: tuple[int, ...]) -> Expr:
    """The mean of x along these axes, in every place."""
    return repeat(mean(x, axes), axes, tuple(x.shape[k] for k in axes))


def _of_means() -> Iterator[Expr]:
    for shape, axes in ((("m",), (0,)), (("m", "n"), (1,)), (("m", "n"), (0, 1)), (("h", "m", "n"), (2,))):
        x = wildcard("x", shape)
        yield sum(x - spread_mean(x, axes), axes)


def _in_another_order(y: Expr, fences: Fences) -> Expr | None:
    """Two orders, one after the other, are one; in (A B)ᵀ the factors change places: Bᵀ Aᵀ."""
    body = y.args[0]
    if body in fences or y.rank <= MATRIX:
        return None
    if body.op in ORDERS:
        first = order_of(body)
        return permuted(body.args[0], tuple(first[axis] for axis in order_of(y)))
    if body.op is matmul_op and y.op is permute_op:
        A, B = body.args
        order, (row, column) = order_of(y), (body.rank - 2, body.rank - 1)
        if min(A.rank, B.rank) >= MATRIX and order.index(column) < order.index(row):
            other = {row: column, column: row}
            turned = matmul_op(matrix_transpose(B), matrix_transpose(A))
            return permuted(turned, tuple(other.get(axis, axis) for axis in order))
    return None


def _of_orders() -> Iterator[Expr]:
    A, B = wildcard("A", ("h", "m", "k")), wildcard("B", ("h", "k", "n"))
    for outer in ((1, 0, 2), (2, 0, 1)):
        yield permute_op(permute_op(A, params=((1, 0, 2),)), params=(outer,))
        yield permute_op(transpose_op(A), params=(outer,))
    yield transpose_op(permute_op(A, params=((1, 0, 2),)))
    yield permute_op(A @ B, params=((2, 0, 1),))


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


def _movers() -> list[Expr]:
    """What takes and moves entries, of operands with plain sizes."""
    return [
        op(wildcard("x", shapes[0]), params=params)
        for op in MOVERS
        for params, shapes in op.example
        if shapes[0] and all(isinstance(size, int) or size.isalpha() for size in shapes[0])
    ]


def _of_numbers() -> Iterator[Expr]:
    c = wildcard("c")
    for y in _movers():
        for x in y.args:
            yield y.op(scale(c, x), params=y.params)
            yield y.op(negate_op(x), params=y.params)


def _of_same_entries() -> Iterator[Expr]:
    c = wildcard("c")
    for y in _movers():
        for x in y.args:
            if y.op not in (embed_op, cumsum_op):
                yield y.op(repeat(c, tuple(range(x.rank)), x.shape), params=y.params)
            yield y.op(repeated_zeros(x.shape), params=y.params)


def _of_what_was_put_there() -> Iterator[Expr]:
    for params, shapes in embed_op.example:
        yield slice_op(embed_op(wildcard("x", shapes[0]), params=params), params=params[0])
    joined = concatenate_op(wildcard("M", ("m", "n")), wildcard("W", ("k", "n")), params=(0,))
    yield cut(joined, along(joined.shape, 0, 0, "m"))
    yield cut(joined, along(joined.shape, 0, "m", "k"))
    yield cut(joined, [("m", 0, 1), (0, "n", 1)])


def _of_single_entries() -> Iterator[Expr]:
    v, M = wildcard("v", ("m",)), wildcard("M", ("m", "n"))
    yield sum(cut(v, [(2, 1, 1)]))
    yield sum(cut(M, [(0, "m", 1), (1, 1, 1)]), 1)
    yield sum(cut(M, [(0, 0, 1), (1, 1, 1)]))
    yield sum(cut(M, [(0, 1, 1), (1, 1, 1)]))


def _of_one_hot_rows() -> Iterator[Expr]:
    for shape in ((), ("m",)):
        yield sum(one_hot_op(symbol("places", shape), params=(5,)), len(shape))


def _of_directions() -> Iterator[Expr]:
    for x in (wildcard("v", ("m",)), wildcard("M", ("m", "n"))):
        yield scale(norm_op(x), unit_op(x))
        yield scale(2 * norm_op(x), unit_op(x))


def _laws() -> tuple[Law, ...]:
    return (
        Law(
            "the number comes out",
            "taking and moving entries is linear: a number or a sign may stand in front",
            apply=_number_comes_out,
            heads=MOVERS,
            examples=_of_numbers,
        ),
        Law(
            "entries that are all the same",
            "it does not matter which of them are taken, or in what order",
            apply=_same_entries,
            heads=MOVERS,
            examples=_of_same_entries,
        ),
        Law(
            "taken out again",
            "what was put there is what is there",
            apply=_there_and_back,
            heads=(slice_op,),
            examples=_of_what_was_put_there,
        ),
        Law(
            "a sum of one",
            "the sum over a single entry is that entry",
            apply=_one_entry,
            heads=(sum_op,),
            examples=_of_single_entries,
        ),
        Law(
            "one in each row",
            "a one hot row holds a single one, and zeros",
            apply=_one_in_each_row,
            heads=(sum_op,),
            examples=_of_one_hot_rows,
        ),
        Law(
            "around the mean",
            "Σ (x − mean(x)) = 0: what is above the mean and what is below it are as much",
            apply=_around_the_mean,
            heads=(sum_op,),
            examples=_of_means,
        ),
        Law(
            "axes in one order",
            "two orders of the axes, one after the other, are one; in (A B)ᵀ the factors change places",
            apply=_in_another_order,
            heads=ORDERS,
            examples=_of_orders,
        ),
        Law(
            "length times direction",
            "‖x‖ x/‖x‖ = x",
            apply=_length_times_direction,
            heads=(scale_op,),
            examples=_of_directions,
        ),
    )


LAWS = _laws()
