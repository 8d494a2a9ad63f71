"""What does an index string such as "ik,kj->ij" do to arrays of integers?

Arrays are flat and row-major. The positions are worked out once for the given lengths; what remains is a
function that picks, multiplies and adds modulo a prime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from math import prod
from operator import itemgetter, mul
from typing import Any

from gradstep.calculus.packing import Packing

Array = Sequence[int]  # row-major, modulo a prime
Contraction = Callable[..., Array]  # (prime, *arrays) -> array
MOST_PRODUCTS = 1_000_000  # of entries, number by number,
MOST_PACKED = 30_000_000  # and as long integers
FEW_ROWS, FEW_COLUMNS = 3, 8  # fewer are multiplied number by number


class TooMany(Exception):
    """An index string asks for more products of entries than are worked out one by one."""


def _places(letters: str, over: str, length: Mapping[str, int]) -> list[int]:
    """Where an array with these axes keeps its entry, for all values of the letters `over`, row-major."""
    strides: dict[str, int] = {}
    step = 1
    for letter in reversed(letters):
        strides[letter] = strides.get(letter, 0) + step
        step *= length[letter]
    places = [0]
    for letter in over:
        stride = strides.get(letter, 0)
        places = [place + stride * i for place in places for i in range(length[letter])]
    return places


def picker(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """A function that picks these entries."""
    if not places:
        return itemgetter(slice(0, 0))
    first, step = places[0], places[1] - places[0] if len(places) > 1 else 1
    if step > 0 and list(places) == list(range(first, first + step * len(places), step)):
        return itemgetter(slice(first, places[-1] + 1, step))
    return itemgetter(*places)


def contraction(indices: str, shapes: Sequence[Sequence[int]], shape: Sequence[int]) -> Contraction:
    """The function of arrays that `indices` ("ik,kj->ij") state, for these lengths."""
    inputs, output = indices.split("->")
    operands = inputs.split(",")
    length = dict(zip(output, shape, strict=True))
    for letters, lengths in zip(operands, shapes, strict=True):
        length.update(zip(letters, lengths, strict=True))
    if prod(length.values()) > MOST_PRODUCTS:
        raise TooMany
    bound = "".join(dict.fromkeys(x for x in inputs if x != "," and x not in output))
    outer = [_places(letters, output, length) for letters in operands]
    inner = [_places(letters, bound, length) for letters in operands]
    if len(operands) == 1:
        return _picking(outer[0], inner[0], prod(shapes[0]))
    if len(operands) == 2:
        return _pairing(*outer, *inner)

    return _multiplying(outer, inner)


def _multiplying(outer: list[list[int]], inner: list[list[int]]) -> Contraction:
    """Any number of operands: rows of all multiplied entry by entry, and added up."""
    starts = [list(dict.fromkeys(places)) for places in outer]
    pickers = [
        [picker([i + k for k in within]) for i in at] for at, within in zip(starts, inner, strict=True)
    ]
    ranks = [{i: rank for rank, i in enumerate(at)} for at in starts]
    which = list(zip(*[[rank[i] for i in at] for rank, at in zip(ranks, outer, strict=True)], strict=True))

    def product(p: int, *arrays: Array) -> Array:
        rows = [[pick(a) for pick in picks] for picks, a in zip(pickers, arrays, strict=True)]
        chosen = ([row[k] for row, k in zip(rows, at, strict=True)] for at in which)
        return [sum(reduce(partial(map, mul), factors)) % p for factors in chosen]

    return product


def _picking(outer: list[int], inner: list[int], entries: int) -> Contraction:
    """One operand: its entries picked (a transpose, a repetition), or summed in groups."""
    if len(inner) == 1:
        if outer == list(range(entries)):
            return lambda p, a: a
        if len(outer) == 1:
            return lambda p, a: [a[outer[0]]]
        if not any(outer):
            return lambda p, a: [a[0]] * len(outer)
        pick = itemgetter(*outer)
        return lambda p, a: pick(a)
    groups = [picker([i + k for k in inner]) for i in outer]
    return lambda p, a: [sum(group(a)) % p for group in groups]


def _pairing(outer_a: list[int], outer_b: list[int], inner_a: list[int], inner_b: list[int]) -> Contraction:
    """Two operands: rows of one times rows of the other."""
    pairs = list(zip(outer_a, outer_b, strict=True))
    if len(inner_a) == 1:
        if not any(outer_a):
            pick = _picking(outer_b, [0], len(outer_b))
            return lambda p, a, b: [a[0] * x % p for x in pick(p, b)]
        return lambda p, a, b: [a[i] * b[j] % p for i, j in pairs]
    starts_a, starts_b = list(dict.fromkeys(outer_a)), list(dict.fromkeys(outer_b))
    rows_a = [picker([i + k for k in inner_a]) for i in starts_a]
    rows_b = [picker([j + k for k in inner_b]) for j in starts_b]
    if pairs == [(i, j) for i in starts_a for j in starts_b]:
        packs = len(rows_a) >= FEW_ROWS and len(rows_b) >= FEW_COLUMNS

        def product(p: int, a: Array, b: Array) -> Array:
            if packs and isinstance(p, int):
                packing = Packing(p, len(inner_a))
                digits = packing.digits(b)
                packed = [
                    packing.row(column) for column in zip(*[row(digits) for row in rows_b], strict=True)
                ]
                reduced = [x % p for x in a]
                sums = [packing.sums(row(reduced), packed, len(rows_b)) for row in rows_a]
                return [x for entries in sums for x in entries]
            right = [row(b) for row in rows_b]
            return [sum(map(mul, x, y)) % p for x in [row(a) for row in rows_a] for y in right]

        return product
    which = [(starts_a.index(i), starts_b.index(j)) for i, j in pairs]

    def batched(p: int, a: Array, b: Array) -> Array:
        left, right = [row(a) for row in rows_a], [row(b) for row in rows_b]
        return [sum(map(mul, left[i], right[j])) % p for i, j in which]

    return batched
