"""How do entries of rows, which lie side by side in memory, come into lanes, one row in each?

A few entries are picked out of whole vectors of memory. More are loaded row by row and turned round: pairs of
vectors are merged inside of 128 bits first, which processors do in one cycle, then in blocks of 128 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from gradstep.backends.native.assembly import BITS, Vec

FEW = 3  # entries that are picked out


def picked(vectors: Sequence[Vec]) -> list[Vec]:
    """Of rows of n entries, which fill n vectors without gaps: for each entry the vector of all rows."""
    count, lanes = len(vectors), vectors[0].type.lanes
    found = []
    for entry in range(count):
        places = [divmod(row * count + entry, lanes) for row in range(lanes)]
        result = vectors[0].lanes([lane if at == 0 else 0 for at, lane in places])
        for k in range(1, count):
            merged = [lanes + lane if at == k else row for row, (at, lane) in enumerate(places)]
            result = result.lanes(merged, vectors[k])
        found.append(result)
    return found


def turned(load: Callable[[int], Vec], rows: int, width: int, kind: str) -> list[Vec]:
    """`load(r)` gives `width` entries of row r; the result has for each entry the vector of all rows.

    Both numbers are powers of two, there are at least as many rows as entries, and these fill 128 bits.
    """
    row_of, entry_of = _order(rows, width, BITS[kind])
    parts = rows // width
    vectors = [joined([load(row_of[k * parts + part]) for part in range(parts)]) for k in range(width)]
    for low, high, i, j in _merges(rows, width, BITS[kind]):
        a, b = vectors[i], vectors[j]
        vectors[i], vectors[j] = a.lanes(low, b), a.lanes(high, b)
    return [vectors[entry_of.index(entry)] for entry in range(width)]


def joined(parts: list[Vec]) -> Vec:
    """Vectors one after the other."""
    while len(parts) > 1:
        both = range(2 * parts[0].type.lanes)
        parts = [a.lanes(both, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


Merge = tuple[list[int], list[int], int, int]


def _merges(rows: int, width: int, bits: int) -> list[Merge]:
    """One merge after the other: the lanes of two results, and which vectors are merged and replaced."""
    quad = 128 // bits
    found: list[Merge] = []
    step = 1
    while step < width:
        if step < quad:  # pieces of each half of a quad in turn
            halves = [range(k, k + quad // 2) for k in range(0, rows, quad // 2)]
            low, high = (_alternating(halves[side::2], step, rows) for side in (0, 1))
        else:  # every other quad
            quads = [range(k, k + quad) for k in range(0, rows, quad)]
            low, high = (
                [lane for quad_ in quads[side::2] for lane in quad_]
                + [rows + lane for quad_ in quads[side::2] for lane in quad_]
                for side in (0, 1)
            )
        found += [(low, high, i, i + step) for i in range(width) if not i & step]
        step *= 2
    return found


def _alternating(ranges: Sequence[range], size: int, other: int) -> list[int]:
    """Pieces of one vector and of another in turn."""
    found = []
    for lanes in ranges:
        for k in range(0, len(lanes), size):
            piece = lanes[k : k + size]
            found += [*piece, *(other + lane for lane in piece)]
    return found


@cache
def _order(rows: int, width: int, bits: int) -> tuple[list[int], list[int]]:
    """Which row goes to which place so that lanes come out in order; which entry ends in which vector."""
    parts = rows // width
    vectors = [
        [(k * parts + part, entry) for part in range(parts) for entry in range(width)] for k in range(width)
    ]
    for low, high, i, j in _merges(rows, width, bits):
        both = vectors[i] + vectors[j]
        vectors[i], vectors[j] = [both[k] for k in low], [both[k] for k in high]
    row_of = [0] * rows
    for row, (place, _) in enumerate(vectors[0]):
        row_of[place] = row
    return row_of, [vector[0][1] for vector in vectors]
