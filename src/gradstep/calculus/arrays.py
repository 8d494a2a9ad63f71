"""What do selections, joins, cumulative sums and products along an axis do in a prime field?

Two tables like those of `duals`, by operation. What is linear moves as its value is made; a product along an
axis moves by the products of the others, which need no division. `hardmax` is an oracle: weights along the
axes that add up to one, whatever they are, so that what is proved holds whichever entry is the largest.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, product
from math import prod
from typing import TYPE_CHECKING, Any

from gradstep.calculus.contractions import Array
from gradstep.calculus.sliding import SLIDING_MOVES, SLIDING_VALUES
from gradstep.expression.node import Expr, Operation
from gradstep.operations.cumulative import cumsum_op, prod_op
from gradstep.operations.entries import LINEAR, concatenate_op, embed_op, places, reshape_op, slice_op
from gradstep.operations.extremes import hardmax_op
from gradstep.operations.flips import flip_op
from gradstep.operations.leaves import triangle_op
from gradstep.operations.lookups import one_hot_op
from gradstep.operations.pooling import max_share_op
from gradstep.operations.windows import overlap_add_op, windows_op

if TYPE_CHECKING:
    from gradstep.calculus.field import Point

# Linear, and exact in the field: they move as their values are made.
MOVING_ENTRIES = LINEAR | {cumsum_op, windows_op, overlap_add_op}
PICKING = frozenset({hardmax_op, one_hot_op, max_share_op})  # piecewise constant


def lines(dims: Sequence[int], axes: Iterable[int]) -> list[list[int]]:
    """The places of the entries along `axes`, row-major: one list for each place on the other axes."""
    strides = [prod(dims[k + 1 :]) for k in range(len(dims))]

    def steps(over: Iterable[int]) -> list[int]:
        ranges = [range(0, dims[k] * strides[k], strides[k]) for k in over]
        return [sum(choice) for choice in product(*ranges)]

    along = list(axes)
    inside = steps(along)
    return [[start + k for k in inside] for start in steps(k for k in range(len(dims)) if k not in along)]


def _taken(point: Point, cuts: Sequence[Any], dims: Sequence[int]) -> list[int]:
    """The places that the cuts take from an array of these lengths."""
    strides = [prod(dims[k + 1 :]) for k in range(len(dims))]
    found = [0]
    for at, length, stride in zip(places(cuts, point.sizes), dims, strides, strict=True):
        chosen = [at] if isinstance(at, int) else range(*at.indices(length))
        found = [before + k * stride for before in found for k in chosen]
    return found


def _slice(point: Point, node: Expr, a: Array) -> Array:
    return [a[k] for k in _taken(point, node.params, point.dims(node.args[0].shape))]


def _embed(point: Point, node: Expr, a: Array) -> Array:
    cuts, shape = node.params
    dims = point.dims(shape)
    result = [0] * prod(dims)
    for k, x in zip(_taken(point, cuts, dims), a, strict=True):
        result[k] = x
    return result


def _along(point: Point, node: Expr, a: Array, change: Callable[[list[int]], Iterable[int]]) -> Array:
    """The array, after `change` was made of the entries along the axis of `node`."""
    result = [0] * len(a)
    for line in lines(point.dims(node.args[0].shape), node.params):
        for k, x in zip(line, change([a[k] for k in line]), strict=True):
            result[k] = x
    return result


def _flip(point: Point, node: Expr, a: Array) -> Array:
    return _along(point, node, a, lambda entries: entries[::-1])


def _cumsum(point: Point, node: Expr, a: Array) -> Array:
    return [x % point.prime for x in _along(point, node, a, accumulate)]


def _concatenate(point: Point, node: Expr, a: Array, b: Array) -> Array:
    (axis,) = node.params
    first, second = (prod(point.dims(arg.shape)[axis:]) for arg in node.args)
    rows = len(a) // first
    parts = [(*a[k * first : (k + 1) * first], *b[k * second : (k + 1) * second]) for k in range(rows)]
    return [x for part in parts for x in part]


def _prod(point: Point, node: Expr, a: Array) -> Array:
    p = point.prime
    return [_product([a[k] for k in line], p) for line in lines(point.dims(node.args[0].shape), node.params)]


def _product(entries: Sequence[int], p: int) -> int:
    result = 1
    for x in entries:
        result = result * x % p
    return result


def _move_prod(
    point: Point, node: Expr, y: Array, args: Sequence[Array], dargs: Sequence[Array | None]
) -> Array | None:
    (a,), (da,), p = args, dargs, point.prime
    if da is None:
        return None
    result = []
    for line in lines(point.dims(node.args[0].shape), node.params):
        value, change = 1, 0
        for k in line:  # d(v x) = dv x + v dx
            value, change = value * a[k] % p, (change * a[k] + value * da[k]) % p
        result.append(change)
    return result


def _hardmax(point: Point, node: Expr, a: Array) -> Array:
    """Which entry is the largest: weights that add up to one."""
    result = [0] * len(a)
    for line in lines(point.dims(node.args[0].shape), node.params[0]):
        for k, weight in zip(line, point.largest([a[k] for k in line]), strict=True):
            result[k] = weight
    return result


def _one_hot(point: Point, node: Expr, a: Array) -> Array:
    """Which place is meant: weights that add up to one, the same for the same number."""
    length = point.sizes[node.params[0]]
    return [weight for x in a for weight in point.place(x, length)]


def _triangle(point: Point, node: Expr) -> Array:
    side, _, _, k = node.params
    rows, columns = point.dims(node.shape)
    holds = operator.le if side == "triu" else operator.ge
    return [int(holds(i + k, j)) for i in range(rows) for j in range(columns)]


ENTRIES_VALUES: dict[Operation, Callable[..., Array]] = {
    slice_op: _slice,
    embed_op: _embed,
    flip_op: _flip,
    **SLIDING_VALUES,
    reshape_op: lambda point, node, a: a,
    concatenate_op: _concatenate,
    cumsum_op: _cumsum,
    prod_op: _prod,
    hardmax_op: _hardmax,
    one_hot_op: _one_hot,
    triangle_op: _triangle,
}


def _moves_alike(
    point: Point, node: Expr, y: Array, args: Sequence[Array], dargs: Sequence[Array | None]
) -> Array | None:
    """A linear operation moves as its operands do; what stands still counts as zeros."""
    if all(d is None for d in dargs):
        return None
    still = [[0] * len(a) if d is None else d for a, d in zip(args, dargs, strict=True)]
    return ENTRIES_VALUES[node.op](point, node, *still)


def _stands_still(*_: Any) -> None:
    return None


ENTRIES_MOVES: dict[Operation, Callable[..., Array | None]] = {
    **dict.fromkeys(MOVING_ENTRIES, _moves_alike),
    **dict.fromkeys(PICKING, _stands_still),
    prod_op: _move_prod,
    **SLIDING_MOVES,
}
