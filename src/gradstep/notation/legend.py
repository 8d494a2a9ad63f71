"""Which signs does a reader of these lines need explained? One short sentence for each that occurs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from gradstep.expression.boxes import Accent, Big, Box, Cases, Fence, Frac, Of, Root, Row, Sub, Sup, Sym

# What tells that a sign occurs, and what it means.
MEANINGS = {
    "⟨": "⟨G, H⟩ is the sum of all products of entries at the same place",
    "⊙": "⊙ and ⊘ work entry by entry",
    "1[": "1[z > 0] is 1 where z > 0 and 0 elsewhere",
    "𝟏": "1 beside a vector or a matrix is a vector of ones",
    " ← ": "0[1:3 ← x] is x at the places 1, 2 of an array of zeros; places are counted from 0",
    "‖": "‖e‖² is the sum of the squares of all entries",
}


def legend(boxes: Iterable[Box], sentences: Iterable[str] = ()) -> str:
    """The signs that occur in `boxes` and `sentences`, explained; "" if none needs to be."""
    found = set(_signs(boxes))
    if any("⟨" in sentence for sentence in sentences):
        found.add("⟨")
    if "⊘" in found and "⊙" not in found:
        found.add("⊙")
    told = [meaning for sign, meaning in MEANINGS.items() if sign in found]
    if "⊘" not in found:
        told = [meaning.replace("⊙ and ⊘ work", "⊙ multiplies") for meaning in told]
    return f"Signs: {'; '.join(told)}" if told else ""


def _signs(boxes: Iterable[Box]) -> Iterator[str]:
    stack = list(boxes)
    seen: set[int] = set()
    while stack:
        box = stack.pop()
        if id(box) in seen:
            continue
        seen.add(id(box))
        stack += parts_of(box)
        match box:
            case Sym(text):
                yield text
            case Row(items):
                yield from ("1[" for a, b in pairwise(items) if _is_mask(a, b))
            case Fence(left):
                yield left


def parts_of(box: Box) -> list[Box]:
    """The boxes directly inside `box`."""
    match box:
        case Row(items):
            return [*items]
        case Of(_, inner) | Root(inner) | Accent(inner) | Fence(_, inner):
            return [inner]
        case Sup(a, b) | Sub(a, b) | Frac(a, b):
            return [a, b]
        case Big(_, below, above, body):
            return [part for part in (below, above, body) if part is not None]
        case Cases(rows):
            return [part for pair in rows for part in pair]
        case _:
            return []


def _is_mask(sign: Box, fence: Box) -> bool:
    return sign == Sym("1", "function") and isinstance(fence, Fence) and fence.left == "["
