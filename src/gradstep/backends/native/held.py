"""Where do numbers lie while straight code works on them? In memory, and what was stored in registers too.

All numbers are float64, eight bytes each. What is stored goes to memory at once, so that memory is always
right; what is loaded from where something was stored is taken from the registers, which need not wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradstep.backends.native.assembly import Type, Vec, Writer

KIND, ITEM = "double", 8
ONE = Type(KIND, 1)


class Space:
    """Memory from one address on; `at` is how far beyond a place, and known while code is written, or not."""

    def __init__(self, writer: Writer, base: str) -> None:
        self.writer, self.base = writer, base

    def pointer(self, place: int, at: str | int = 0) -> str:
        if isinstance(at, int):
            return self.writer.at(self.base, place + at)
        return self.writer.at(self.writer.at(self.base, place), at)

    def load(self, place: int, type: Type, at: str | int = 0) -> Vec:
        return self.writer.load(self.pointer(place, at), type, ITEM)

    def store(self, value: Vec, place: int, at: str | int = 0) -> None:
        self.writer.store(value, self.pointer(place, at), ITEM)

    def masked_store(self, value: Vec, mask: Vec, place: int, at: str | int = 0) -> None:
        self.writer.masked_store(value, self.pointer(place, at), mask)

    def forget(self) -> None:
        """Others have written to memory."""


class Held(Space):
    """Memory whose numbers are also in registers, from where they were stored on."""

    def __init__(self, writer: Writer, base: str) -> None:
        super().__init__(writer, base)
        self.known: dict[int, Vec] = {}  # by places; they do not overlap

    def load(self, place: int, type: Type, at: str | int = 0) -> Vec:
        found = self.lanes_of(place + at, type.lanes) if isinstance(at, int) else None
        return super().load(place, type, at) if found is None else found

    def lanes_of(self, place: int, count: int) -> Vec | None:
        """So many numbers from a place on, put together from registers; none where one is not there."""
        whole = self.known.get(place)
        if whole is not None and whole.type.lanes == count:
            return whole
        pieces: dict[int, list[tuple[int, int]]] = {}
        for k in range(count):
            start = next((s for s, v in self.known.items() if 0 <= place + k * ITEM - s < size_of(v)), None)
            if start is None:
                return None
            pieces.setdefault(start, []).append((k, (place - start) // ITEM + k))
        found: Vec | None = None
        for start, lanes in pieces.items():
            part = self.known[start].lanes(placed(lanes, count))
            if found is not None:
                mine = {k for k, _ in lanes}
                part = found.lanes([count + k if k in mine else k for k in range(count)], part)
            found = part
        return found

    def store(self, value: Vec, place: int, at: str | int = 0) -> None:
        super().store(value, place, at)
        self.changed(place, size_of(value), at)
        if isinstance(at, int):
            self.known[place + at] = value

    def masked_store(self, value: Vec, mask: Vec, place: int, at: str | int = 0) -> None:
        super().masked_store(value, mask, place, at)
        self.changed(place, size_of(value), at)

    def changed(self, place: int, size: int, at: str | int) -> None:
        """What is known of these bytes holds no more."""
        if not isinstance(at, int):
            self.forget()
            return
        low, high = place + at, place + at + size
        self.known = {s: v for s, v in self.known.items() if s + size_of(v) <= low or high <= s}

    def forget(self) -> None:
        self.known.clear()


class Kept(Held):
    """Numbers that stay in registers alone."""

    def store(self, value: Vec, place: int, at: str | int = 0) -> None:
        if not isinstance(at, int):
            raise ValueError("what stays in registers has a place that is known")
        self.changed(place, size_of(value), at)
        self.known[place + at] = value

    def masked_store(self, value: Vec, mask: Vec, place: int, at: str | int = 0) -> None:
        """What lies outside of the mask is 0: nothing is there."""
        self.store(mask.select(value, 0.0), place, at)


def size_of(value: Vec) -> int:
    return value.type.lanes * ITEM


def placed(lanes: Sequence[tuple[int, int]], count: int) -> list[int]:
    """Which lane goes to each place; to the others any."""
    found = [lanes[0][1]] * count
    for to, lane in lanes:
        found[to] = lane
    return found
