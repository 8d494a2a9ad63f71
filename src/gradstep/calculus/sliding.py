"""What do windows that slide, weights that do, and pooling give in a prime field?

A convolution is a sum over three arrays, Σ G[N,k,i] W[k,c,m] X[N,c,x] where x = s i + d m − p. Two of them
given, the third is worked out place by place of the one it asks for, so no windows are made: they would hold
each entry as often as it is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any

from gradstep.calculus.contractions import MOST_PACKED, Array, TooMany, picker
from gradstep.calculus.packing import Packing
from gradstep.expression.node import Expr, Operation
from gradstep.operations.convolutions import (
    CHANNELS,
    CONVOLUTIONS,
    FRONT,
    conv_op,
    conv_transpose_op,
    conv_weight_op,
)
from gradstep.operations.pooling import PICKS, max_pool_op, max_share_op, max_take_op, max_unpool_op
from gradstep.operations.windows import overlap_add_op, windows_op

if TYPE_CHECKING:
    from gradstep.calculus.field import Point

Lengths = tuple[int, ...]
SLOTS = 4096  # of a row of digits: longer ones fall out of a processor's cache


# ------------------------------------------------------------------------------------------- windows


def _seen(point: Point, whole: Expr, parts: Expr, paces: Sequence[tuple[int, int]]) -> list[int]:
    """For each entry of `parts`, which are windows of `whole`, the place that it is seen at."""
    axes = len(paces)
    dims, shape = point.dims(whole.shape), point.dims(parts.shape)
    strides = [prod(dims[k + 1 :]) for k in range(len(dims))]
    lead = len(dims) - axes
    steps = [*strides[:lead]]
    steps += [s * strides[lead + k] for k, (s, _) in enumerate(paces)]
    steps += [d * strides[lead + k] for k, (_, d) in enumerate(paces)]
    found = [0]
    for length, step in zip(shape, steps, strict=True):
        found = [before + k * step for before in found for k in range(length)]
    return found


def _windows(point: Point, node: Expr, a: Array) -> Array:
    return [a[k] for k in _seen(point, node.args[0], node, node.params[1])]


def _overlap_add(point: Point, node: Expr, a: Array) -> Array:
    result = [0] * point.entries(node.shape)
    for k, x in zip(_seen(point, node, node.args[0], node.params[1]), a, strict=True):
        result[k] += x
    return [x % point.prime for x in result]


# ------------------------------------------------------------------------------------------- convolutions


Table = list[list[int | None]]  # for each place of one array, for each place of another, that of a third


@lru_cache(maxsize=256)
def _meetings(
    op: Operation, paces: Sequence[tuple[int, int, int]], asked: Lengths, given: Lengths, other: Lengths
) -> Table:
    """For each place of the `other` array what meets it in the `given` one, for all places `asked` for."""
    whole: Table = [[0]]
    for (s, p, d), long, length, short in zip(paces, asked, given, other, strict=True):
        one, two = (d, s) if op is conv_weight_op else (s, d)
        along = [
            [
                _back(k + p - d * m, s) if op is conv_transpose_op else one * k + two * m - p
                for k in range(long)
            ]
            for m in range(short)
        ]
        whole = [
            [
                None if x is None or y is None or not 0 <= y < length else x * length + y
                for x in row
                for y in places
            ]
            for row in whole
            for places in along
        ]
    return whole


@lru_cache(maxsize=256)
def _pickers(*slides: Any) -> list[Callable[[Sequence[Any]], Sequence[Any]]]:
    """The meetings as functions of the entries along the axes; where nothing meets, one more is picked."""
    beyond = prod(slides[3])
    return [picker([beyond if x is None else x for x in row]) for row in _meetings(*slides)]


def _back(reached: int, stride: int) -> int | None:
    """The window that begins here."""
    return None if reached % stride else reached // stride


def _slid(point: Point, node: Expr, a: Array, b: Array) -> Array:
    """A convolution, its transpose, or what arrives at the weights."""
    one, two = (point.dims(arg.shape) for arg in node.args)
    asked, (inputs, output) = point.dims(node.shape)[CHANNELS:], FRONT[node.op].split("->")
    first, second = inputs.split(",")
    (shared,) = set(first) - set(output)
    own, others, many = first.index(shared) ^ 1, second.index(shared) ^ 1, one[first.index(shared)]
    picks = _pickers(node.op, node.params[0], asked, one[CHANNELS:], two[CHANNELS:])
    inner, places = many * len(picks), prod(asked)
    if inner * places * one[own] * two[others] > MOST_PACKED:
        raise TooMany
    packing = Packing(point.prime, inner)
    signals = _blocks(packing.digits(a), one, own)
    factors = [[x % point.prime for x in chain(*blocks)] for blocks in _blocks(b, two, others)]
    ends = [[*block, packing.nothing] for blocks in signals for block in blocks]
    found: list[list[list[int]]] = []  # by what is first's own, then by what is the second's
    step = max(1, SLOTS // places)
    for start in range(0, one[own], step):
        group = range(start, min(start + step, one[own]))
        rows = [
            packing.row(chain.from_iterable([pick(ends[n * many + c]) for n in group]))
            for c in range(many)
            for pick in picks
        ]
        sums = [packing.sums(weights, rows, places * len(group)) for weights in factors]
        found += [[entries[k * places : (k + 1) * places] for entries in sums] for k in range(len(group))]
    ordered = found if output[0] in first else zip(*found, strict=True)
    return [x for parts in ordered for part in parts for x in part]


def _blocks(array: Sequence[Any], dims: Lengths, own: int) -> list[list[Sequence[Any]]]:
    """What lies along the axes: by the place on the array's own axis in front, then on the shared one."""
    size = prod(dims[CHANNELS:])
    steps = (dims[1] * size, size)
    return [
        [
            array[at : at + size]
            for at in range(k * steps[own], k * steps[own] + dims[own ^ 1] * steps[own ^ 1], steps[own ^ 1])
        ]
        for k in range(dims[own])
    ]


def _move_slid(
    point: Point, node: Expr, y: Array, args: Sequence[Array], dargs: Sequence[Array | None]
) -> Array | None:
    """Each of both moves while the other stands still."""
    (a, b), (da, db) = args, dargs
    changes = [] if da is None else [_slid(point, node, da, b)]
    changes += [] if db is None else [_slid(point, node, a, db)]
    return changes[0] if len(changes) == 1 else point.total(changes)


# ------------------------------------------------------------------------------------------- pooling


def _held(point: Point, node: Expr, x: Array) -> Iterator[tuple[list[int | None], Array]]:
    """The places in each window of `x`, None beyond the ends, and weights that add up to one."""
    lengths, paces = tuple(point.sizes[m] for m in node.params[0]), node.params[1]
    axes, whole = len(paces), point.dims(node.args[-1].shape)
    dims, lead = whole[-axes:], len(whole) - len(paces)
    counts = point.dims((node.args[0] if node.op is max_unpool_op else node).shape)[lead : lead + axes]
    windows = [*zip(*_meetings(conv_op, paces, counts, dims, lengths), strict=True)]
    for at in range(0, len(x), prod(dims)):
        for window in windows:
            places = [None if place is None else at + place for place in window]
            held = iter(point.largest([x[place] for place in places if place is not None]))
            yield places, [0 if place is None else next(held) for place in places]


def _share(point: Point, node: Expr, x: Array) -> Array:
    return [w for _, weights in _held(point, node, x) for w in weights]


def _take(point: Point, node: Expr, v: Array, x: Array) -> Array:
    p = point.prime
    return [
        sum([v[k] * w for k, w in zip(*held, strict=True) if k is not None]) % p
        for held in _held(point, node, x)
    ]


def _unpool(point: Point, node: Expr, g: Array, x: Array) -> Array:
    found, p = [0] * len(x), point.prime
    for y, held in zip(g, _held(point, node, x), strict=True):
        for k, w in zip(*held, strict=True):
            if k is not None:
                found[k] = (found[k] + y * w) % p
    return found


def _move_pooled(
    point: Point, node: Expr, y: Array, args: Sequence[Array], dargs: Sequence[Array | None]
) -> Array | None:
    """The largest entries stay where they are: what stands there moves, or what is put there."""
    if dargs[0] is None:
        return None
    return (_unpool if node.op is max_unpool_op else _take)(point, node, dargs[0], args[-1])


SLIDING_VALUES: dict[Operation, Callable[..., Array]] = {
    windows_op: _windows,
    overlap_add_op: _overlap_add,
    **dict.fromkeys(CONVOLUTIONS, _slid),
    max_pool_op: lambda point, node, x: _take(point, node, x, x),
    max_share_op: _share,
    max_take_op: _take,
    max_unpool_op: _unpool,
}
SLIDING_MOVES: dict[Operation, Callable[..., Array | None]] = {
    **dict.fromkeys(CONVOLUTIONS, _move_slid),
    **dict.fromkeys(PICKS - {max_share_op}, _move_pooled),
}
