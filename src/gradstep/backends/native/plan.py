"""In which order are the cells of a pass computed, and where does everything lie in memory?

Rows go in groups of as many as fill a vector. In a group *stages*, which work on numbers a row (a lane is a
row), and *loops* over wide axes (a lane is a feature) take turns: loop 0 sums what only needs data, stage 1
works on these sums, loop 1 on what stage 1 has found, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradstep.backends.economy import MASKS
from gradstep.backends.native.assembly import BITS, Type
from gradstep.backends.native.cells import Array, Cell, needed
from gradstep.backends.native.products import CHEAP
from gradstep.backends.native.unrolling import Total, Unrolled
from gradstep.expression.node import Expr
from gradstep.expression.records import record

LINE = 64  # bytes of a line of the cache
KEPT = 24 << 10  # bytes of what a group of rows keeps from one loop to the next
NEARBY, FARTHER = 16 << 10, 512 << 10  # bytes of a group of rows that two caches keep beside all else
SHORT_ROW = 1280  # bytes; such rows are read in one loop with what is left of the rows before
NEAR, FAR = 6 << 10, 32 << 10  # bytes by which that loop asks for memory before it reads it, for two caches


@record
class Processor:
    """What code depends on: bytes of a vector, and how many vectors the registers hold."""

    vector: int
    registers: int


@record
class Layout:
    """How rows of data lie in memory: "packed" one after the other, "rows" at a distance, or "columns", where
    the rows of one entry are neighbours."""

    how: str
    entries: int  # numbers of one row
    apart: int = 0  # bytes from one row to the next; 0 where they are told when it runs, or packed

    def step(self, item: int) -> int:
        """Bytes from one row to the next, or 0 where only a run tells."""
        return self.entries * item if self.how == "packed" else self.apart


@record
class Sum:
    """A sum over rows (or an extreme) of one cell of an output: where it is kept, and what goes in."""

    total: Total
    terms: tuple[tuple[Cell, ...], ...]
    kind: str
    place: int  # in the numbers that a group of rows gives
    length: int  # how many numbers: more than one along a wide axis

    @property
    def wide(self) -> str:
        return self.total.wide

    @property
    def level(self) -> int:
        return max(cell.level for term in self.terms for cell in term)


class Room:
    """Memory that is given out from its beginning, each piece on lines of its own."""

    def __init__(self) -> None:
        self.used = 0

    def give(self, size: int) -> int:
        start = self.used
        self.used += -(-size // LINE) * LINE
        return start


class Plan:
    """Everything that is decided before code is written.

    kind      float or double
    rows      lanes of a stage, the rows of a group
    width     lanes of a loop
    loops     how many loops over wide axes there are
    sums      what is added up over rows; `numbers` numbers in all
    slots     by loop: numbers a row that it uses
    reduced   by loop: what it sums up
    kept      what a later loop reads where an earlier one has stored it, and which one that is
    at        where things lie in the memory of a thread, in bytes
    """

    def __init__(
        self,
        unrolled: Unrolled,
        kind: str,
        processor: Processor,
        layouts: Mapping[str, Layout],
        fixed: Sequence[Expr],
    ) -> None:
        self.unrolled, self.kind, self.processor = unrolled, kind, processor
        self.layouts, self.fixed = layouts, fixed
        self.cells = unrolled.cells
        self.item = BITS[kind] // 8
        self.width = processor.vector // self.item
        self.loops = self.numbers = 0
        self.sums: list[Sum] = []
        self.at: dict[object, int] = {}
        self.fixed_at: dict[str, int] = {}
        self.slots: dict[int, list[Cell]] = {}
        self.reduced: dict[int, list[Cell]] = {}
        self.kept: dict[Cell, int] = {}
        self.fixed_size = self._place_fixed()
        self._place_sums()
        self._order()
        self.rows = self._rows()
        self.room = self._place_scratch()

    # ------------------------------------------------------------------------------------- sizes

    @property
    def lane(self) -> Type:
        """The vector of a stage."""
        return Type(self.kind, self.rows)

    @property
    def chunk(self) -> Type:
        """The vector of a loop."""
        return Type(self.kind, self.width)

    def length(self, axis: str) -> int:
        return self.cells.lengths[axis] if axis else 1

    def padded(self, axis: str) -> int:
        """The length of a wide axis in whole vectors."""
        return -(-self.length(axis) // self.width) * self.width if axis else 1

    @property
    def row_bytes(self) -> int:
        """What the loops read of each row."""
        names = {cell.params[0] for cell in self.cells.made.values() if cell.op == "data" and cell.wide}
        return sum(self.layouts[name].entries for name in names) * self.item

    @property
    def pipelined(self) -> bool:
        """Whether the last loop over one group runs together with the first over the next.

        What comes after the last loop would find the sums of the next group in the places of its own.
        """
        return self.loops == 2 and self.row_bytes <= SHORT_ROW and not self.has_stage(2)

    def _rows(self) -> int:
        if not self.loops:
            few = len(self.sums) <= 8
            return 2 * self.width if few else self.width
        rows = 16 if self.pipelined and self.row_bytes <= SHORT_ROW // 2 else 8
        while rows * self.row_bytes > (NEARBY if rows > 4 else FARTHER) and rows > 1:
            rows //= 2
        return rows

    def together(self) -> int:
        """How many rows a loop takes at a time: as many as their sums, or what they add, have registers."""
        most = max([1, *(len(cells) for cells in (*self.reduced.values(), *self.slots.values()))])
        rows = min(2, self.rows)
        while rows < min(8, self.rows) and 2 * rows * most <= self.processor.registers * 3 // 8:
            rows *= 2
        return rows

    # ------------------------------------------------------------------------------------- the order

    def _place_fixed(self) -> int:
        room = Room()
        for symbol in self.fixed:
            axes = self.cells.axes(symbol.shape)
            size = 1
            for axis in axes:
                size *= self.padded(str(axis.size)) if axis.kind == "wide" else axis.length
            self.fixed_at[str(symbol.params[0])] = room.give(size * self.item)
        return room.used

    def _place_sums(self) -> None:
        for total in self.unrolled.totals:
            scalar = not total.axes and total.how == "sum"
            for terms in total.terms:
                length = self.padded(total.wide)
                kind = "double" if scalar else self.kind
                self.sums.append(Sum(total, terms, kind, self.numbers, length))
                self.numbers += length

    def _order(self) -> None:
        cells = needed(self.roots())
        reduces = [cell for cell in cells if cell.op == "reduce"]
        for cell in reduces:
            self.reduced.setdefault(cell.level - 1, []).append(cell)
        wide = [s.level for s in self.sums if s.wide]
        wide += [
            cell.level
            for array in self.unrolled.joined.values()
            for cell in array.cells.values()
            if long_axis(array)
        ]
        wide += [level for level in self.reduced]
        self.loops = 1 + max(wide) if wide else 0
        self._keep()
        for level in range(self.loops):
            found = self.wide_cells(level)
            args = [arg for cell in found if not self.is_kept(cell, level) for arg in cell.args]
            slots = dict.fromkeys(arg for arg in args if arg.row and not arg.wide)
            own = dict.fromkeys(c for c in self.loop_roots(level) if c.row and not c.wide)
            self.slots[level] = list(slots | own)

    def _keep(self) -> None:
        """What costs much is computed once for a few rows, and read in later loops."""
        done: dict[Cell, int] = {}
        costly: set[Cell] = set()
        room = KEPT // (self._rows() * self.item)
        for level in range(self.loops if not self.pipelined else 0):
            for cell in self.wide_cells(level):
                own = not isinstance(cell.op, str) and cell.op not in CHEAP
                if own or not costly.isdisjoint(cell.args):
                    costly.add(cell)
            stack, seen = self.loop_roots(level), set[Cell]()
            while stack:
                cell = stack.pop()
                if cell in seen or not cell.wide or not cell.row or cell in self.kept:
                    continue
                seen.add(cell)
                early = done.get(cell, level) < level and cell in costly and cell.op not in MASKS
                if early and self.padded(cell.wide) <= room:
                    self.kept[cell] = cell.level
                    room -= self.padded(cell.wide)
                else:
                    stack += cell.args
            done |= {cell: cell.level for cell in self.wide_cells(level) if cell.level == level}

    def roots(self) -> list[Cell]:
        """What is needed in the end."""
        found = [cell for s in self.sums for term in s.terms for cell in term]
        return found + [cell for array in self.unrolled.joined.values() for cell in array.cells.values()]

    def loop_roots(self, level: int) -> list[Cell]:
        """What a loop is for: operands of its sums, terms of totals, entries of joined arrays."""
        found = [cell.args[0] for cell in self.reduced.get(level, ())]
        found += [cell for s in self.sums if s.wide and s.level == level for term in s.terms for cell in term]
        for array in self.unrolled.joined.values():
            found += [cell for cell in array.cells.values() if long_axis(array) and cell.level == level]
        return list(dict.fromkeys(found))

    def wide_cells(self, level: int, axis: str | None = None) -> list[Cell]:
        """What a loop computes, in order; of one axis."""
        inside = needed(self.loop_roots(level), lambda cell: not cell.wide or self.is_kept(cell, level))
        return [cell for cell in inside if cell.wide and axis in (None, cell.wide)]

    def is_kept(self, cell: Cell, level: int) -> bool:
        """Whether a loop reads what an earlier one has stored."""
        return self.kept.get(cell, level) < level

    def loop_axes(self, level: int) -> list[str]:
        axes = [cell.params[1] for cell in self.reduced.get(level, ())]
        axes += [s.wide for s in self.sums if s.wide and s.level == level]
        for array in self.unrolled.joined.values():
            if long_axis(array) and any(cell.level == level for cell in array.cells.values()):
                axes.append(long_axis(array))
        return list(dict.fromkeys(axes))

    def reduced_along(self, level: int, axis: str) -> list[Cell]:
        """What a loop sums up along an axis."""
        return [cell for cell in self.reduced.get(level, ()) if cell.params[1] == axis]

    def wide_sums(self, level: int, axis: str) -> list[Sum]:
        """Totals along an axis that a loop adds to."""
        return [s for s in self.sums if s.wide == axis and s.level == level]

    def wide_joined(self, level: int, axis: str) -> list[tuple[str, int, Cell]]:
        """Entries for each row along an axis that a loop writes: of which array, at which place."""
        return [
            (name, place, cell)
            for name, array in self.unrolled.joined.items()
            if long_axis(array) == axis
            for place, cell in enumerate(array.cells.values())
            if cell.level == level
        ]

    def ahead(self, name: str, level: int, row: int) -> list[tuple[int, int]]:
        """What a loop asks for before it is needed: how many bytes further on, and for how near a cache."""
        step = self.layouts[name].step(self.item)
        if not step:
            return []
        if self.pipelined:
            return [(NEAR, 3), (FAR, 2)] if level == 0 else []
        group = self.rows * step
        mine = self.loops == 1 or (level == 0 and row % 2 == 0) or (level == self.loops - 1 and row % 2 == 1)
        if not mine:
            return []
        return [(group, 3), (2 * FAR, 2)] if group <= NEARBY else [(group, 2)]

    def stage_sums(self, level: int) -> list[Sum]:
        """Totals of numbers a row that a stage adds to."""
        return [s for s in self.sums if not s.wide and s.level == level]

    def stage_joined(self, level: int) -> list[tuple[str, int, Cell]]:
        """Entries for each row that a stage writes: of which array, at which place."""
        return [
            (name, place, cell)
            for name, array in self.unrolled.joined.items()
            if not long_axis(array)
            for place, cell in enumerate(array.cells.values())
            if cell.level == level
        ]

    def has_stage(self, level: int) -> bool:
        return bool(self.stage_sums(level) or self.stage_joined(level) or self.slots.get(level))

    def _place_scratch(self) -> int:
        room = Room()
        for s in self.sums:
            size = s.length if s.wide else self.rows
            self.at[s.place] = room.give(size * BITS[s.kind] // 8)
        for cells in self.reduced.values():
            for cell in cells:
                self.at[cell] = room.give(self.rows * self.item)
        for level, cells in self.slots.items():
            for cell in cells:
                self.at[cell, level] = room.give(self.rows * self.item)
        for cell in self.kept:
            self.at["kept", cell] = room.give(self.rows * self.padded(cell.wide) * self.item)
        return room.used


def long_axis(array: Array) -> str:
    """The wide axis of an array, if it has one."""
    return next((str(axis.size) for axis in array.axes if axis.kind == "wide"), "")
