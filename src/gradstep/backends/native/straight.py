"""How is a pass over few rows written as a part of a step? Straight on, with all totals in registers.

Some vectors of rows are computed side by side, so that what waits for one has the others to do; then all of
them are added to the totals, one after the other. Rows that are many go in a loop of such groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradstep.backends.native.assembly import Type, Vec
from gradstep.backends.native.cells import Cell, needed
from gradstep.backends.native.computing import computed
from gradstep.backends.native.held import ITEM, ONE, Space
from gradstep.backends.native.lean import MASKS
from gradstep.backends.native.plan import Plan
from gradstep.backends.native.reductions import IDENTITY
from gradstep.backends.native.totals import added, put
from gradstep.backends.native.walk import Walk

WRITTEN = 300  # operations on vectors that are written out before there is a loop
BUSY = 8  # sums of products that are worked on at a time: each waits four cycles, and two begin in one
MOST = {16: 4, 32: 6}  # vectors side by side, by how many registers there are


def write_straight(walk: Walk, plan: Plan, space: Space, args: Mapping[object, int]) -> None:
    """A pass without wide axes over all rows; `args` are the places of the arguments."""
    _Straight(walk, plan, space, args).write()


class _Straight:
    """A pass while it is written."""

    def __init__(self, walk: Walk, plan: Plan, space: Space, args: Mapping[object, int]) -> None:
        self.walk, self.plan, self.space, self.writer = walk, plan, space, space.writer
        self.args, self.lane = args, Type(plan.kind, plan.width)
        self.sums = plan.stage_sums(0)
        self.ends = list(dict.fromkeys(cell for s in self.sums for term in s.terms for cell in term))
        self.cells = needed(self.ends)
        made = [cell for cell in self.ends if cell.row and cell.op != "data" and cell.op not in MASKS]
        registers = plan.processor.registers // 2
        self.beside = max(1, min(MOST[plan.processor.registers], registers // max(1, len(made))))
        data = sum(cell.op == "data" for cell in self.ends)
        self.again = data * self.beside > registers
        self.fixed: dict[Cell, Vec] = {}
        self.pointers: dict[str, str] = {}

    def write(self) -> None:
        plan, writer, count = self.plan, self.writer, self.walk.rows
        scales = [s.total.scale for s in self.sums if s.total.scale is not None]
        for cell in needed([*scales, *(cell for cell in self.cells if not cell.row)]):
            self.fixed[cell] = self.same_for_all(cell)
        names = dict.fromkeys(cell.params[0] for cell in self.cells if cell.op == "data")
        self.pointers = {
            name: writer.scalar(f"load ptr, ptr {writer.at('%a', self.args['data', name])}") for name in names
        }
        totals = [writer.number(IDENTITY[s.total.how], Type(s.kind, plan.width)) for s in self.sums]
        group = self.beside * plan.width
        turn = group * max(1, WRITTEN // (self.beside * (len(self.cells) + len(self.sums))))
        looped = count // turn * turn if count >= 2 * turn else 0
        if looped:
            with writer.loop(0, looped * ITEM, turn * ITEM, totals) as loop:
                for more in range(0, turn, group):
                    loop.carried[:] = self.group(loop.at, more, group, group, loop.carried)
            totals = loop.carried
        for row in range(looped, count, group):
            left = min(group, count - row)
            totals = self.group(0, row, left, -(-left // plan.width) * plan.width, totals)
        put(self.walk, plan, dict(zip(self.sums, totals, strict=True)), self.fixed, self.space)

    def same_for_all(self, cell: Cell) -> Vec:
        """What does not depend on the row, in every lane."""
        if cell.op == "fixed":
            name, place = cell.params
            return self.space.load(self.walk.memory.places[name] + place * ITEM, ONE).lanes(
                [0] * self.plan.width
            )
        return computed(self.writer, cell, [self.fixed[arg] for arg in cell.args], self.lane)

    # ------------------------------------------------------------------------------------- some rows

    def group(self, at: str | int, first: int, count: int, lanes: int, totals: Sequence[Vec]) -> list[Vec]:
        """The totals with `count` rows, the first of which is `first` rows after `at` bytes."""
        whole, width = Type(self.plan.kind, lanes), self.plan.width
        values = {cell: value.lanes([0] * lanes) for cell, value in self.fixed.items()}
        mask = None if count == lanes else self.first_lanes(count, lanes)
        for cell in self.cells:
            if cell.op == "data":
                values[cell] = self.loaded(cell, at, first, whole, mask)
            elif cell.row:
                args = [values[arg] for arg in cell.args]
                values[cell] = computed(self.writer, cell, args, whole, max(1, BUSY // self.beside))
        if self.again:
            self.writer.emit('fence syncscope("singlethread") seq_cst')
        parts = [self.part(k, values, at, first, mask) for k in range(0, lanes, width)]
        after = []
        for s, total in zip(self.sums, totals, strict=True):
            for k, part in enumerate(parts):
                some = self.first_lanes(count - k * width, width) if count < (k + 1) * width else None
                total = added(s, part, some, total)
            after.append(total)
        return after

    def part(
        self, start: int, values: Mapping[Cell, Vec], at: str | int, first: int, mask: Vec | None
    ) -> dict[Cell, Vec]:
        """What is added up, of one vector of the rows; data that would fill all registers come anew."""
        width = self.plan.width
        found = {}
        for cell in dict.fromkeys([*self.ends, *(arg for end in self.ends for arg in end.args)]):
            if cell.op == "data" and self.again and mask is None:
                found[cell] = self.loaded(cell, at, first + start, Type(self.plan.kind, width), None)
            else:
                found[cell] = values[cell].lanes(range(start, start + width))
        return found

    def loaded(self, cell: Cell, at: str | int, first: int, type: Type, mask: Vec | None) -> Vec:
        """One entry of neighbouring rows."""
        name, place = cell.params
        far = self.walk.strides[name] if self.plan.layouts[name].how == "columns" else ITEM
        pointer = self.writer.at(self.writer.at(self.pointers[name], place * far + first * ITEM), at)
        if mask is not None:
            return self.writer.masked_load(pointer, mask, type)
        return self.writer.load(pointer, type, ITEM)

    def first_lanes(self, count: int, lanes: int) -> Vec:
        text = ", ".join(f"i1 {int(k < count)}" for k in range(lanes))
        return Vec(self.writer, f"<{text}>", Type("i1", lanes))
