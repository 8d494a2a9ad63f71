"""How do a stage's data come into its lanes, one row in each?"""

from __future__ import annotations

from collections.abc import Sequence

from gradstep.backends.native.assembly import Type, Vec
from gradstep.backends.native.cells import Cell
from gradstep.backends.native.loops import Loops
from gradstep.backends.native.plan import FAR, LINE, NEAR, Layout
from gradstep.backends.native.tiles import FEW, joined, picked, turned

SCATTERED = 2  # so many entries of a row are fetched one by one


class Entries:
    """Loads entries of groups of rows."""

    def __init__(self, loops: Loops) -> None:
        self.loops, self.plan, self.writer = loops, loops.plan, loops.writer

    def loaded(self, cells: Sequence[Cell], row: str, mask: Vec | None) -> dict[Cell, Vec]:
        """Entries of the rows from `row` on; outside of the mask memory is not touched."""
        found: dict[Cell, Vec] = {}
        for name in dict.fromkeys(cell.params[0] for cell in cells):
            layout = self.plan.layouts[name]
            mine = [cell for cell in cells if cell.params[0] == name]
            if layout.how == "columns" or (layout.how == "packed" and layout.entries == 1):
                vectors = {
                    cell.params[1]: self.column(name, layout, cell.params[1], row, mask) for cell in mine
                }
            elif mask is not None or len(mine) <= SCATTERED:
                vectors = {
                    cell.params[1]: self.gathered(name, layout, cell.params[1], row, mask) for cell in mine
                }
            else:
                vectors = self.turned(name, layout, row)
            found.update((cell, vectors[cell.params[1]]) for cell in mine)
        return found

    def start(self, name: str) -> str:
        return self.loops.argument(("data", name), "ptr")

    def stride(self, name: str) -> str:
        return self.loops.argument(("stride", name), "i64")

    def ahead(self, pointer: str, size: int) -> None:
        """Asks for what so many bytes will be read from later, unless a loop over features sets the pace."""
        if not self.plan.loops:
            for line in range(0, size, LINE):
                self.writer.prefetch(self.writer.at(pointer, NEAR + line), 3)
                self.writer.prefetch(self.writer.at(pointer, FAR + line), 2)

    def column(self, name: str, layout: Layout, place: int, row: str, mask: Vec | None) -> Vec:
        """One entry of rows that are neighbours."""
        plan, writer = self.plan, self.writer
        column = self.start(name)
        if layout.how == "columns" and place:
            column = writer.at(column, writer.integer("mul", self.stride(name), place))
        pointer = writer.at(column, writer.integer("mul", row, plan.item))
        if mask is not None:
            return writer.masked_load(pointer, mask, plan.lane)
        self.ahead(pointer, plan.rows * plan.item)
        return writer.load(pointer, plan.lane, 1)

    def first_row(self, name: str, layout: Layout, row: str) -> tuple[str, str | int]:
        """Where the first row begins, and how far it is from one to the next."""
        writer = self.writer
        if layout.how == "packed":
            size = layout.entries * self.plan.item
            return writer.at(self.start(name), writer.integer("mul", row, size)), size
        stride = self.stride(name)
        return writer.at(self.start(name), writer.integer("mul", row, stride)), stride

    def gathered(self, name: str, layout: Layout, place: int, row: str, mask: Vec | None) -> Vec:
        """One entry of each row, picked out of memory one by one."""
        plan, writer = self.plan, self.writer
        first, stride = self.first_row(name, layout, row)
        first = writer.at(first, place * plan.item)
        whole = Type("i64", plan.rows)
        offsets = writer.counted(whole) * writer.spread(str(stride), whole)
        many = Type("ptr", plan.rows)
        pointers = writer.value(f"getelementptr i8, ptr {first}, {whole} {offsets.text}", many)
        return writer.gather(pointers, mask or writer.number(1, Type("i1", plan.rows)), plan.lane)

    def turned(self, name: str, layout: Layout, row: str) -> dict[int, Vec]:
        """All entries of each row, from vectors of neighbours."""
        plan, writer = self.plan, self.writer
        first, stride = self.first_row(name, layout, row)
        if layout.how == "packed":
            self.ahead(first, plan.rows * layout.entries * plan.item)
            if layout.entries <= FEW:
                size = plan.rows * plan.item
                parts = [writer.load(writer.at(first, k * size), plan.lane, 1) for k in range(layout.entries)]
                return dict(enumerate(picked(parts)))
        pointers = [first]
        for r in range(1, plan.rows):
            if isinstance(stride, int):
                pointers.append(writer.at(first, r * stride))
            else:
                pointers.append(writer.at(pointers[-1], stride))
        found: dict[int, Vec] = {}
        for begin in range(0, layout.entries, plan.width):
            count = min(plan.width, layout.entries - begin)
            width = max(128 // (8 * plan.item), 1 << (count - 1).bit_length())
            type = Type(plan.kind, width)
            lanes = ", ".join(f"i1 {int(k < count)}" for k in range(width))
            mask = Vec(writer, f"<{lanes}>", type.of("i1"))

            def load(r: int, begin: int = begin, type: Type = type, mask: Vec = mask) -> Vec:
                place = writer.at(pointers[r], begin * plan.item)
                whole = begin + type.lanes <= layout.entries
                return writer.load(place, type, 1) if whole else writer.masked_load(place, mask, type)

            halves = [
                turned(lambda r, k=k: load(r + k), plan.width, width, plan.kind)  # type: ignore[misc]
                for k in range(0, plan.rows, plan.width)
            ]
            for entry in range(count):
                found[begin + entry] = joined([half[entry] for half in halves])
        return found
