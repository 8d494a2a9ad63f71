"""How do the lanes of several vectors become one vector of their sums?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradstep.backends.native.assembly import BITS, Vec
from gradstep.backends.native.elements import maximum, minimum

Combine = Callable[[Vec, Vec], Vec]
COMBINE: dict[str, Combine] = {"sum": lambda a, b: a + b, "max": maximum, "min": minimum}
IDENTITY = {"sum": 0.0, "max": float("-inf"), "min": float("inf")}


def across(vectors: Sequence[Vec], how: str) -> Vec:
    """Lane r of the result is the sum of all lanes of the r-th vector; their number is a power of two.

    Pairs are merged inside of 128 bits as long as that goes, which processors do in one cycle.
    """
    combine = COMBINE[how]
    quad = 128 // BITS[vectors[0].type.kind]
    level = [(vector, [k] * vector.type.lanes) for k, vector in enumerate(vectors)]  # whose lanes they are
    while len(level) > 1:
        level = [_merged(a, b, combine, quad) for a, b in zip(level[::2], level[1::2], strict=True)]
    vector, owner = level[0]
    while vector.type.lanes > len(vectors):
        vector, owner = _folded(vector, owner, combine)
    places = [owner.index(k) for k in range(len(vectors))]
    return vector if places == list(range(len(vectors))) else vector.lanes(places)


Owned = tuple[Vec, list[int]]


def _merged(a: Owned, b: Owned, combine: Combine, quad: int) -> Owned:
    """Two vectors in one: of each the two halves of what belongs to one owner are combined."""
    (x, owner), (y, other) = a, b
    lanes = x.type.lanes
    if lanes == len(set(owner)):
        return x.lanes(range(2 * lanes), y), owner + other
    first, second = _halves(owner, quad)
    low, high, whose = [], [], []
    block = quad if lanes >= quad else lanes
    for start in range(0, lanes, block):
        inside = [k for k in range(start, start + block)]
        mine = [(i, j) for i, j in zip(first, second, strict=True) if i in inside]
        for i, j in mine:
            low.append(i)
            high.append(j)
            whose.append(owner[i])
        for i, j in mine:
            low.append(lanes + i)
            high.append(lanes + j)
            whose.append(other[i])
    return combine(x.lanes(low, y), x.lanes(high, y)), whose


def _folded(x: Vec, owner: list[int], combine: Combine) -> Owned:
    """Half as many lanes."""
    first, second = _halves(owner, 0)
    return combine(x.lanes(first), x.lanes(second)), [owner[i] for i in first]


def _halves(owner: Sequence[int], quad: int) -> tuple[list[int], list[int]]:
    """Pairs of lanes with the same owner: near each other where 128 bits hold two of one, else far."""
    lanes: dict[tuple[int, int], list[int]] = {}
    for k, who in enumerate(owner):
        lanes.setdefault((k // quad if quad else 0, who), []).append(k)
    if quad and any(len(found) % 2 for found in lanes.values()):
        return _halves(owner, 0)
    pairs = []
    for found in lanes.values():
        half = len(found) // 2
        pairs += list(zip(found[:half], found[half:], strict=True))
    pairs.sort()
    return [i for i, _ in pairs], [j for _, j in pairs]
