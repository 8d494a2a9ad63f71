"""How does a loop over many features read? A lane is a feature, and several rows are taken at a time.

A row is read once from memory and once more, for the last loop, from the nearest cache. While the first loop
runs over one group of rows, the last one of the group before runs with it, so that memory never waits; rows
that are too long for that go one loop after the other, and each asks for half of what the next group needs.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradstep.backends.native.assembly import Type, Vec, Writer
from gradstep.backends.native.cells import Cell, needed
from gradstep.backends.native.computing import computed
from gradstep.backends.native.elements import as_number
from gradstep.backends.native.plan import Plan, long_axis
from gradstep.backends.native.reductions import COMBINE, IDENTITY, across
from gradstep.expression.records import record
from gradstep.operations.arithmetic import multiply_op


@record
class Part:
    """One loop over the rows of one group: which, and how many groups back the rows are."""

    level: int
    back: int


class Rows:
    """Some rows of one part while their code is written.

    first      the number of the first row
    pointers   for each of the data where each row begins
    kept       for what is kept from one loop to the next where each row of it begins
    known      numbers a row (of row r), and for all rows (of row −1), in every lane
    """

    __slots__ = ("count", "first", "kept", "known", "part", "pointers")

    def __init__(self, part: Part, count: int) -> None:
        self.part, self.count = part, count
        self.first = ""
        self.pointers: dict[str, list[str]] = {}
        self.kept: dict[Cell, list[str]] = {}
        self.known: dict[tuple[Cell, int], Vec] = {}


class Loops:
    """Writes the loops of a plan; %a are the arguments and %s is the memory of the thread."""

    def __init__(self, plan: Plan, writer: Writer, args: dict[object, int]) -> None:
        self.plan, self.writer, self.args = plan, writer, args

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
            here = [rows_ for rows_ in found if axis in self.plan.loop_axes(rows_.part.level)]
            self.over(axis, here, sub)

    # ------------------------------------------------------------------------------------- before the loop

    def rows_of(self, part: Part, count: int, sub: str) -> Rows:
        """Addresses of the rows, and what is the same along them."""
        plan, writer = self.plan, self.writer
        rows = Rows(part, count)
        cells = plan.wide_cells(part.level)
        back = -part.back * plan.rows
        here = writer.integer("add", "%row", sub)
        rows.first = writer.integer("add", here, back)
        for cell in plan.kept:
            if cell in cells:
                size = plan.padded(cell.wide) * plan.item
                first = writer.at(writer.at("%s", plan.at["kept", cell]), writer.integer("mul", sub, size))
                rows.kept[cell] = [writer.at(first, r * size) for r in range(count)]
        for name in dict.fromkeys(cell.params[0] for cell in cells if cell.op == "data"):
            base = self.argument(("data", name), "ptr")
            if size := plan.layouts[name].step(plan.item):
                first = writer.at(base, writer.integer("mul", here, size))
                rows.pointers[name] = [writer.at(first, (back + r) * size) for r in range(count)]
            else:
                stride = self.argument(("stride", name), "i64")
                pointers = [writer.at(base, writer.integer("mul", rows.first, stride))]
                for _ in range(1, count):
                    pointers.append(writer.at(pointers[-1], stride))
                rows.pointers[name] = pointers
        for cell in plan.slots.get(part.level, ()):
            start = writer.at(
                writer.at("%s", plan.at[cell, part.level]), writer.integer("mul", sub, plan.item)
            )
            for r in range(count):
                rows.known[cell, r] = writer.load_lane(writer.at(start, r * plan.item), plan.chunk)
        made = [cell for cell in cells if not plan.is_kept(cell, part.level)]
        roots = [arg for cell in made for arg in cell.args] + plan.loop_roots(part.level)
        for cell in needed([root for root in roots if not root.row and not root.wide]):
            args = [rows.known[arg, -1] for arg in cell.args]
            rows.known[cell, -1] = self.same_for_all(cell, args, plan.chunk)
        return rows

    def argument(self, name: object, type: str) -> str:
        """An argument of the function."""
        return self.writer.scalar(f"load {type}, ptr {self.writer.at('%a', self.args[name])}")

    def same_for_all(self, cell: Cell, args: Sequence[Vec], type: Type) -> Vec:
        """What depends neither on the row nor on the feature, in every lane."""
        if cell.op == "fixed":
            return self.writer.load_lane(self.fixed_place(cell), type)
        return computed(self.writer, cell, args, type)

    def fixed_place(self, cell: Cell) -> str:
        """Where the numbers of what is fixed begin."""
        name, place = cell.params
        offset = self.plan.fixed_at[name] + place * self.plan.padded(cell.wide) * self.plan.item
        return self.writer.at(self.argument("fixed", "ptr"), offset)

    # ------------------------------------------------------------------------------------- the loop

    def over(self, axis: str, all_rows: Sequence[Rows], sub: str) -> None:
        """One loop over an axis for all parts, and what is left at its end under a mask."""
        plan, writer = self.plan, self.writer
        reduces = [(rows, cell) for rows in all_rows for cell in plan.reduced_along(rows.part.level, axis)]
        sums = [
            writer.number(IDENTITY[cell.params[0]], plan.chunk)
            for rows, cell in reduces
            for _ in range(rows.count)
        ]
        length = plan.length(axis)
        whole = length // plan.width * plan.width
        if whole:
            with writer.loop(0, whole * plan.item, plan.width * plan.item, sums) as loop:
                loop.carried[:] = self.chunk(axis, all_rows, loop.at, None, loop.carried)
            sums = loop.carried
        if whole < length:
            lanes = ", ".join(f"i1 {int(whole + k < length)}" for k in range(plan.width))
            mask = Vec(writer, f"<{lanes}>", Type("i1", plan.width))
            sums = self.chunk(axis, all_rows, str(whole * plan.item), mask, sums)
        left = iter(sums)
        for rows, cell in reduces:
            start = writer.at(writer.at("%s", plan.at[cell]), writer.integer("mul", sub, plan.item))
            vectors = [next(left) for _ in range(rows.count)]
            writer.store(across(vectors, cell.params[0]), start, plan.item)

    def chunk(
        self, axis: str, all_rows: Sequence[Rows], at: str, mask: Vec | None, sums: Sequence[Vec]
    ) -> list[Vec]:
        """One vector of features of all rows: the sums afterwards."""
        left, after = list(sums), []
        shared: dict[Cell, Vec] = {}
        for rows in all_rows:
            count = len(self.plan.reduced_along(rows.part.level, axis)) * rows.count
            after += _Chunk(self, axis, rows, at, mask, shared).written(left[:count])
            del left[:count]
        return after


class _Chunk:
    """One vector of features of some rows while its code is written; `at` is where it is, in bytes."""

    def __init__(
        self, loops: Loops, axis: str, rows: Rows, at: str, mask: Vec | None, shared: dict[Cell, Vec]
    ) -> None:
        self.loops, self.plan, self.writer = loops, loops.plan, loops.writer
        self.axis, self.rows, self.at, self.mask, self.shared = axis, rows, at, mask, shared
        self.level = rows.part.level
        self.values: dict[tuple[Cell, int], Vec] = {}
        self.fused = self._fused()

    def written(self, sums: Sequence[Vec]) -> list[Vec]:
        """Writes it all; gives the sums along the axis with these features."""
        for cell in self.plan.wide_cells(self.level, self.axis):
            if cell not in self.fused:
                self.compute(cell)
        before, after = iter(sums), []
        for cell in self.plan.reduced_along(self.level, self.axis):
            for r in range(self.rows.count):
                after.append(self.summed(cell, r, next(before)))
        self.add_to_totals()
        self.write_entries()
        return after

    def value(self, cell: Cell, r: int) -> Vec:
        if not cell.wide:
            return self.rows.known[cell, r if cell.row else -1]
        return self.values[cell, r] if cell.row else self.shared[cell]

    def compute(self, cell: Cell) -> None:
        """A cell of every row, or once where it is the same for all."""
        if not cell.row:
            if cell not in self.shared:
                self.shared[cell] = self.fixed(cell)
            return
        for r in range(self.rows.count):
            if cell.op == "data":
                self.values[cell, r] = self.entry(cell, r)
            elif self.plan.is_kept(cell, self.level):
                place = self.writer.at(self.rows.kept[cell][r], self.at)
                self.values[cell, r] = self.writer.load(place, self.plan.chunk, self.plan.item)
            else:
                args = [self.value(arg, r) for arg in cell.args]
                value = self.values[cell, r] = computed(self.writer, cell, args, self.plan.chunk)
                if cell in self.plan.kept:
                    self.writer.store(value, self.writer.at(self.rows.kept[cell][r], self.at), self.plan.item)

    def fixed(self, cell: Cell) -> Vec:
        if cell.op == "fixed":
            place = self.writer.at(self.loops.fixed_place(cell), self.at)
            return self.writer.load(place, self.plan.chunk, self.plan.item)
        return computed(self.writer, cell, [self.value(arg, -1) for arg in cell.args], self.plan.chunk)

    def entry(self, cell: Cell, r: int) -> Vec:
        """Features of one row from memory; asks for what is needed later."""
        plan, writer = self.plan, self.writer
        name, place = cell.params
        start = writer.at(self.rows.pointers[name][r], place * plan.length(self.axis) * plan.item)
        pointer = writer.at(start, self.at)
        for further, near in plan.ahead(name, self.level, r):
            writer.prefetch(writer.at(pointer, further), near)
        if self.mask is None:
            return writer.load(pointer, plan.chunk, 1)
        return writer.masked_load(pointer, self.mask, plan.chunk)

    def _fused(self) -> set[Cell]:
        """Products that are only added to a sum: they become part of it."""
        plan = self.plan
        used = {arg for cell in plan.wide_cells(self.level, self.axis) for arg in cell.args}
        ends: set[Cell] = set()
        for cell in plan.reduced_along(self.level, self.axis):
            (used if cell.params[0] != "sum" else ends).add(cell.args[0])
        for s in plan.wide_sums(self.level, self.axis):
            for term in s.terms:
                (ends if s.total.how == "sum" and len(term) == 1 else used).update(term)
        used.update(cell for _, _, cell in plan.wide_joined(self.level, self.axis))
        return {cell for cell in ends - used - self.plan.kept.keys() if cell.op is multiply_op and cell.wide}

    def summed(self, cell: Cell, r: int, before: Vec) -> Vec:
        """A sum along the axis with these features of row r."""
        (what,), (how, _) = cell.args, cell.params
        if what in self.fused:
            a, b = (self.number(arg, r) for arg in what.args)
            if self.mask is None:
                return a.times_plus(b, before)
            here = a * b
        else:
            here = self.number(what, r)
        if self.mask is not None:
            here = self.mask.select(here, IDENTITY[how])
        return COMBINE[how](before, here)

    def number(self, cell: Cell, r: int) -> Vec:
        """A value, where it is a mask as 0 and 1."""
        return as_number(self.value(cell, r), self.plan.kind)

    def add_to_totals(self) -> None:
        """Adds the rows to totals along the axis; what lies beyond its end is never looked at."""
        plan, writer = self.plan, self.writer
        for s in plan.wide_sums(self.level, self.axis):
            place = writer.at(writer.at("%s", plan.at[s.place]), self.at)
            total = writer.load(place, plan.chunk, plan.item)
            for r in range(self.rows.count):
                for term in s.terms:
                    factors = term[0].args if term[0] in self.fused else term
                    first, *others = [self.number(cell, r) for cell in factors]
                    for other in others[:-1]:
                        first = first * other
                    if others:
                        total = first.times_plus(others[-1], total)
                    else:
                        total = COMBINE[s.total.how](total, first)
            writer.store(total, place, plan.item)

    def write_entries(self) -> None:
        """Writes what has entries for each row."""
        plan, writer = self.plan, self.writer
        length = plan.length(self.axis) * plan.item
        for name, place, cell in plan.wide_joined(self.level, self.axis):
            array = plan.unrolled.joined[name]
            assert long_axis(array) == self.axis
            size = length * len(array.cells)
            base = writer.at(self.loops.argument(("joined", name), "ptr"), place * length)
            start = writer.at(writer.at(base, writer.integer("mul", self.rows.first, size)), self.at)
            for r in range(self.rows.count):
                pointer = writer.at(start, r * size)
                value = self.number(cell, r)
                if self.mask is None:
                    writer.store(value, pointer, 1)
                else:
                    writer.masked_store(value, pointer, self.mask)
