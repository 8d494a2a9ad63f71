"""How do the lanes of several vectors become one vector of their sums?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradstep.backends.native.assembly import BITS, Vec
from gradstep.backends.native.elements import maximum, minimum
from gradstep.expression.records import record

Combine = Callable[[Vec, Vec], Vec]
COMBINE: dict[str, Combine] = {"sum": lambda a, b: a + b, "max": maximum, "min": minimum}
IDENTITY = {"sum": 0.0, "max": float("-inf"), "min": float("inf")}


def across(vectors: Sequence[Vec], how: str) -> Vec:
    """Lane r of the result is the sum of all lanes of the r-th vector; their number is a power of two.

    Pairs are merged inside of 128 bits as long as that goes, which processors do in one cycle. Which lanes
    are merged first does not depend on the number of vectors: what is computed again comes out the same.
    """
    combine = COMBINE[how]
    lanes = vectors[0].type.lanes
    quad = min(lanes, 128 // BITS[vectors[0].type.kind])
    level = [_Owned(vector, [(k, lane) for lane in range(lanes)]) for k, vector in enumerate(vectors)]
    while len(level) > 1:
        level = [_merged(a, b, combine, quad, lanes) for a, b in zip(level[::2], level[1::2], strict=True)]
    found = level[0]
    while len(found.owners) > len(vectors):
        found = _folded(found, combine, quad, lanes)
    places = [[owner for owner, _ in found.owners].index(k) for k in range(len(vectors))]
    return found.vector if places == list(range(len(vectors))) else found.vector.lanes(places)


@record
class _Owned:
    """A vector, and for each of its lanes whose it is and the first of the lanes that it is the sum of."""

    vector: Vec
    owners: list[tuple[int, int]]


def _pairs(owners: Sequence[tuple[int, int]], quad: int, lanes: int) -> list[tuple[int, int]]:
    """Which lanes come together next: far ones inside of 128 bits first, then near ones, then others."""
    distances = [quad >> k for k in range(1, quad.bit_length())]
    distances += [lanes >> k for k in range(1, (lanes // quad).bit_length())]
    where = {each: k for k, each in enumerate(owners)}
    done = (lanes * len({owner for owner, _ in owners}) // len(owners)).bit_length() - 1
    far = distances[done]
    return [(k, where[owner, lane + far]) for k, (owner, lane) in enumerate(owners) if not lane & far]


def _merged(a: _Owned, b: _Owned, combine: Combine, quad: int, lanes: int) -> _Owned:
    """Two vectors in one: of each the two halves of what belongs to one owner are combined."""
    x, y, width = a.vector, b.vector, len(a.owners)
    if width == len({owner for owner, _ in a.owners}):
        return _Owned(x.lanes(range(2 * width), y), a.owners + b.owners)
    low, high, whose = [], [], []
    pairs = _pairs(a.owners, quad, lanes)
    for start in range(0, width, quad):
        mine = [(i, j) for i, j in pairs if start <= i < start + quad]
        for owners, more in ((a.owners, 0), (b.owners, width)):
            low += [more + i for i, _ in mine]
            high += [more + j for _, j in mine]
            whose += [owners[i] for i, _ in mine]
    return _Owned(combine(x.lanes(low, y), x.lanes(high, y)), whose)


def _folded(x: _Owned, combine: Combine, quad: int, lanes: int) -> _Owned:
    """Half as many lanes."""
    pairs = _pairs(x.owners, quad, lanes)
    first, second = ([pair[k] for pair in pairs] for k in (0, 1))
    return _Owned(combine(x.vector.lanes(first), x.vector.lanes(second)), [x.owners[i] for i in first])
