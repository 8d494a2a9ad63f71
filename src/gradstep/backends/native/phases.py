"""How does a loop over many features read? A lane is a feature, and several rows are taken at a time.

A row is read once from memory and once more, for the last loop, from the nearest cache. While the first loop runs
over one group of rows, the last one of the group before it runs with it, so that memory never waits; rows that
are too long for that go one loop after the other, and each asks for half of what the next group needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gradstep.backends.native.assembly import Type, Vec, Writer
from gradstep.backends.native.cells import Array, Cell, needed
from gradstep.backends.native.computing import computed
from gradstep.backends.native.plan import LINE, Plan, long_axis
from gradstep.backends.native.reductions import COMBINE, IDENTITY, across
from gradstep.operations.arithmetic import multiply_op

AHEAD = 16 << 10  # bytes by which a pipelined loop asks for memory before it reads it


@dataclass(slots=True)
class Part:
    """One loop over the rows of one group: which, and how many groups back the rows are."""

    level: int
    back: int
    prefetch: tuple[int, int] = (0, 1)  # of how many rows ahead it asks for the lines of which half


@dataclass(slots=True)
class Rows:
    """Rows of one part while its code is written: addresses, and what is known before the loop."""

    part: Part
    count: int
    pointers: dict[str, list[str]] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    known: dict[tuple[Cell, int], Vec] = field(default_factory=dict)


@dataclass(slots=True)
class Loops:
    """Writes the loops of a plan; %a are the arguments and %s is the memory of the thread."""

    plan: Plan
    writer: Writer
    args: dict[object, int]

    def function(self, name: str, parts: Sequence[Part], rows: int) -> None:
        """A function of (%row, %count): %count rows from %row on, `rows` at a time."""
        writer = self.writer
        with writer.function(name, "ptr %a, ptr %s, i64 %row, i64 %count"):
            with writer.loop(0, "%count", rows) as loop:
                self.some_rows(parts, rows, loop.at)
            writer.emit("ret void")

    def some_rows(self, parts: Sequence[Part], rows: int, sub: str) -> None:
        """`rows` rows of every part; `sub` is which of the group comes first."""
        found = [self.rows_of(part, rows, sub) for part in parts]
        axes = dict.fromkeys(axis for part in parts for axis in self.plan.loop_axes(part.level))
        for axis in axes:
            here = [rows for rows in found if axis in self.plan.loop_axes(rows.part.level)]
            self.over(axis, here, sub)

    # ------------------------------------------------------------------------------------- before the loop

    def rows_of(self, part: Part, count: int, sub: str) -> Rows:
        """Addresses of the rows, and numbers a row and for all rows in every lane."""
        plan, writer = self.plan, self.writer
        rows = Rows(part, count)
        cells = plan.wide_cells(part.level)
        back = -part.back * plan.rows
        rows.first["row"] = writer.integer("add", writer.integer("add", "%row", sub), back)
        for name in dict.fromkeys(cell.params[0] for cell in cells if cell.op == "data"):
            row = writer.integer("add", "%row", sub)
            base = writer.scalar(f"load ptr, ptr {writer.at('%a', self.args['data', name])}")
            layout = plan.layouts[name]
            if layout.how == "packed":
                size = layout.entries * plan.item
                first = writer.at(base, writer.integer("mul", row, size))
                rows.pointers[name] = [writer.at(first, (back + r) * size) for r in range(count)]
            else:
                told = writer.at("%a", self.args["stride", name])
                stride = writer.scalar(f"load i64, ptr {told}")
                row = writer.integer("add", row, back)
                pointers = [writer.at(base, writer.integer("mul", row, stride))]
                for _ in range(1, count):
                    pointers.append(writer.at(pointers[-1], stride))
                rows.pointers[name] = pointers
                first = pointers[0]
            rows.first[name] = first
        for cell in plan.slots.get(part.level, ()):
            place = writer.at("%s", plan.at[cell, part.level])
            start = writer.at(place, writer.integer("mul", sub, plan.item))
            for r in range(count):
                at = writer.at(start, r * plan.item)
                rows.known[cell, r] = writer.load_lane(at, plan.chunk)
        self.fixed_numbers(rows, cells)
        return rows

    def fixed_numbers(self, rows: Rows, cells: Sequence[Cell]) -> None:
        """What is the same for all rows and features."""
        roots = [arg for cell in cells for arg in cell.args if not arg.row and not arg.wide]
        roots += [c for c in self.plan.loop_roots(rows.part.level) if not c.row and not c.wide]
        for cell in needed(roots):
            if cell.op == "fixed":
                fixed = self.fixed_pointer(cell.params)
                rows.known[cell, -1] = self.writer.load_lane(fixed, self.plan.chunk)
            else:
                args = [rows.known[arg, -1] for arg in cell.args]
                rows.known[cell, -1] = computed(self.writer, cell, args, self.plan.chunk)

    def fixed_pointer(self, params: tuple[object, ...], axis: str = "") -> str:
        name, place = params
        assert isinstance(name, str) and isinstance(place, int)
        base = self.writer.scalar(f"load ptr, ptr {self.writer.at('%a', self.args['fixed'])}")
        offset = self.plan.fixed_at[name] + place * self.plan.padded(axis) * self.plan.item
        return self.writer.at(base, offset)

    # ------------------------------------------------------------------------------------- the loop

    def over(self, axis: str, all_rows: Sequence[Rows], sub: str) -> None:
        """One loop over an axis for all parts, and what is left at its end under a mask."""
        plan, writer = self.plan, self.writer
        reduces = [
            (rows, cell, r)
            for rows in all_rows
            for cell in plan.reduced.get(rows.part.level, ())
            if cell.params[1] == axis
            for r in range(rows.count)
        ]
        sums = [writer.number(IDENTITY[cell.params[0]], plan.chunk) for _, cell, _ in reduces]
        length = plan.length(axis)
        whole = length // plan.width * plan.width
        if whole:
            step = plan.width
            with writer.loop(0, whole * plan.item, step * plan.item, sums) as loop:
                loop.carried[:] = self.chunk(axis, all_rows, loop.at, None, loop.carried)
            sums = loop.carried
        if whole < length:
            lanes = ", ".join(f"i1 {int(whole + k < length)}" for k in range(plan.width))
            mask = Vec(writer, f"<{lanes}>", Type("i1", plan.width))
            sums = self.chunk(axis, all_rows, str(whole * plan.item), mask, sums)
        done = dict(zip([(id(rows), cell, r) for rows, cell, r in reduces], sums, strict=True))
        for rows in all_rows:
            for cell in plan.reduced.get(rows.part.level, ()):
                if cell.params[1] == axis:
                    lanes_of = [done[id(rows), cell, r] for r in range(rows.count)]
                    start = writer.at("%s", plan.at[cell])
                    place = writer.at(start, writer.integer("mul", sub, plan.item))
                    writer.store(across(lanes_of, cell.params[0]), place, plan.item)

    def chunk(
        self, axis: str, all_rows: Sequence[Rows], at: str, mask: Vec | None, sums: Sequence[Vec]
    ) -> list[Vec]:
        """One vector of features of all rows: the sums afterwards."""
        before = iter(sums)
        after: list[Vec] = []
        shared: dict[Cell, Vec] = {}
        for rows in all_rows:
            after += self.part_chunk(axis, rows, at, mask, before, shared)
        return after

    def part_chunk(self, axis, rows, at, mask, sums, shared) -> list[Vec]:  # type: ignore[no-untyped-def]
        plan, writer, level = self.plan, self.writer, rows.part.level
        roots = set(plan.loop_roots(level))
        cells = [cell for cell in plan.wide_cells(level, axis)]
        fused = self.fused(cells, level)
        values: dict[tuple[Cell, int], Vec] = {}

        def value(cell: Cell, r: int) -> Vec:
            if cell.wide:
                return values[cell, r] if cell.row else shared[cell]
            return rows.known[cell, r if cell.row else -1]

        for cell in cells:
            if cell in fused:
                continue
            if not cell.row:
                if cell not in shared:
                    if cell.op == "fixed":
                        pointer = writer.at(self.fixed_pointer(cell.params, axis), at)
                        shared[cell] = writer.load(pointer, plan.chunk, plan.item)
                    else:
                        args = [value(arg, -1) for arg in cell.args]
                        shared[cell] = computed(writer, cell, args, plan.chunk)
                continue
            for r in range(rows.count):
                if cell.op == "data":
                    values[cell, r] = self.entry(cell, rows, r, axis, at, mask)
                else:
                    args = [value(arg, r) for arg in cell.args]
                    values[cell, r] = computed(writer, cell, args, plan.chunk)
        after = []
        for cell in plan.reduced.get(level, ()):
            if cell.params[1] == axis:
                (what,) = cell.args
                for r in range(rows.count):
                    after.append(self.summed(cell.params[0], next(sums), what, fused, r, value, mask))
        self.totals(axis, rows, at, fused, value)
        self.written(axis, rows, at, mask, value)
        assert roots is not None
        return after

    def fused(self, cells: Sequence[Cell], level: int) -> set[Cell]:
        """Products that are only added to a sum: they become part of it."""
        plan = self.plan
        used = [arg for cell in cells for arg in cell.args]
        ends = [cell.args[0] for cell in plan.reduced.get(level, ()) if cell.params[0] == "sum"]
        other = [cell.args[0] for cell in plan.reduced.get(level, ()) if cell.params[0] != "sum"]
        for s in plan.sums:
            if s.wide and s.level == level:
                terms = [term[0] for term in s.terms if len(term) == 1]
                other += [cell for term in s.terms if len(term) > 1 for cell in term]
                (ends if s.total.how == "sum" else other).extend(terms)
        for array in plan.unrolled.joined.values():
            other += array.cells.values()
        kept = {*used, *other}
        return {cell for cell in ends if cell.op is multiply_op and cell.wide and cell not in kept}

    def summed(self, how, before, what, fused, r, value, mask) -> Vec:  # type: ignore[no-untyped-def]
        if what in fused and mask is None:
            return value(what.args[0], r).times_plus(value(what.args[1], r), before)
        if what in fused:
            here = value(what.args[0], r) * value(what.args[1], r)
        else:
            here = value(what, r)
        if mask is not None:
            here = mask.select(here, IDENTITY[how])
        return COMBINE[how](before, here)

    def totals(self, axis, rows, at, fused, value) -> None:  # type: ignore[no-untyped-def]
        """Adds the rows to totals along the axis."""
        plan, writer = self.plan, self.writer
        for s in plan.sums:
            if s.wide != axis or s.level != rows.part.level:
                continue
            place = writer.at(writer.at("%s", plan.at[s.place]), at)
            total = writer.load(place, plan.chunk, plan.item)
            for r in range(rows.count):
                for term in s.terms:
                    factors = term[0].args if len(term) == 1 and term[0] in fused else term
                    first, *others = [value(cell, r) for cell in factors]
                    if s.total.how != "sum":
                        total = COMBINE[s.total.how](total, first)
                    elif not others:
                        total = total + first
                    else:
                        for other in others[:-1]:
                            first = first * other
                        total = first.times_plus(others[-1], total)
            writer.store(total, place, plan.item)

    def written(self, axis, rows, at, mask, value) -> None:  # type: ignore[no-untyped-def]
        """Writes what has entries for each row."""
        plan, writer = self.plan, self.writer
        for name, array in plan.unrolled.joined.items():
            if long_axis(array) != axis:
                continue
            for place, cell in enumerate(array.cells.values()):
                if cell.level == rows.part.level:
                    for r in range(rows.count):
                        self.write_one(name, array, place, rows, r, at, mask, value(cell, r))

    def write_one(self, name: str, array: Array, place: int, rows: Rows, r: int, at: str, mask, vec) -> None:  # type: ignore[no-untyped-def]
        plan, writer = self.plan, self.writer
        length = plan.length(long_axis(array))
        base = writer.scalar(f"load ptr, ptr {writer.at('%a', self.args['joined', name])}")
        row = writer.integer("add", rows.first["row"], r)
        size = length * len(array.cells) * plan.item
        pointer = writer.at(writer.at(base, writer.integer("mul", row, size)), place * length * plan.item)
        pointer = writer.at(pointer, at)
        if mask is None:
            writer.store(vec, pointer, plan.item)
        else:
            writer.masked_store(vec, pointer, mask)

    def entry(self, cell: Cell, rows: Rows, r: int, axis: str, at: str, mask: Vec | None) -> Vec:
        """Features of one row from memory; asks for what is needed later."""
        plan, writer = self.plan, self.writer
        name, place = cell.params
        pointer = writer.at(rows.pointers[name][r], place * plan.length(axis) * plan.item)
        pointer = writer.at(pointer, at)
        self.ahead(rows, r, pointer, name)
        if mask is None:
            return writer.load(pointer, plan.chunk, 1)
        return writer.masked_load(pointer, mask, plan.chunk)

    def ahead(self, rows: Rows, r: int, pointer: str, name: str) -> None:
        plan, writer = self.plan, self.writer
        part = rows.part
        layout = plan.layouts[name]
        if layout.how != "packed":
            return
        if plan.pipelined:
            if part.level == 0:
                writer.prefetch(writer.at(pointer, AHEAD), 3)
            return
        half = 1 if plan.loops > 1 else 0
        if part.level == 0 and (not half or r % 2 == 0):
            writer.prefetch(writer.at(pointer, plan.rows * layout.entries * plan.item), 3)
        if half and part.level == plan.loops - 1 and r % 2 == 1:
            writer.prefetch(writer.at(pointer, plan.rows * layout.entries * plan.item), 3)


__all__ = ["LINE", "Loops", "Part"]
