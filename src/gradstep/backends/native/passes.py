"""How is a pass of a descent written that is a function of its own? Over wide axes, or over picked rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradstep.backends.native.assembly import Type, Vec
from gradstep.backends.native.cells import Cell
from gradstep.backends.native.entries import Entries
from gradstep.backends.native.held import ITEM, Space
from gradstep.backends.native.kernels import _Kernel
from gradstep.backends.native.loops import Loops, Part, Rows
from gradstep.backends.native.plan import Plan, Sum
from gradstep.backends.native.totals import added, place_of, put
from gradstep.backends.native.walk import Walk, argument_places


class _Loops(Loops):
    """Loops over rows that are picked by their numbers, where there is an order."""

    picked: bool
    strides: Mapping[str, int]

    def argument(self, name: object, type: str) -> str:
        if isinstance(name, tuple) and name[0] == "stride":
            return str(self.strides[name[1]])
        return super().argument(name, type)

    def rows_of(self, part: Part, count: int, sub: str) -> Rows:
        rows = super().rows_of(part, count, sub)
        if self.picked:
            writer = self.writer
            order = writer.at(self.argument("order", "ptr"), writer.integer("mul", rows.first, ITEM))
            numbers = [writer.scalar(f"load i64, ptr {writer.at(order, r * ITEM)}") for r in range(count)]
            for name in rows.pointers:
                base, far = self.argument(("data", name), "ptr"), self.strides[name]
                rows.pointers[name] = [writer.at(base, writer.integer("mul", n, far)) for n in numbers]
        return rows


class _Picked(Entries):
    """Entries of rows that are picked by their numbers."""

    loops: _Loops

    def loaded(self, cells: Sequence[Cell], row: str, mask: Vec | None) -> dict[Cell, Vec]:
        plan, writer = self.plan, self.writer
        start = writer.at(self.loops.argument("order", "ptr"), writer.integer("mul", row, ITEM))
        whole, many = Type("i64", plan.rows), Type("ptr", plan.rows)
        lanes = mask or writer.number(1, Type("i1", plan.rows))
        numbers = writer.masked_load(start, lanes, whole) if cells else None
        found = {}
        for cell in cells:
            name, place = cell.params
            far = self.loops.strides[name]
            columns = plan.layouts[name].how == "columns"
            first = writer.at(self.start(name), place * (far if columns else ITEM))
            assert numbers is not None
            offsets = numbers * (ITEM if columns else far)
            pointers = writer.value(f"getelementptr i8, ptr {first}, {whole} {offsets.text}", many)
            found[cell] = writer.gather(pointers, lanes, plan.lane)
        return found


class _Pass(_Kernel):
    """A pass whose totals go to their places in memory, over rows in order or as they are picked."""

    def __init__(self, plan: Plan, walk: Walk, picked: bool) -> None:
        super().__init__(plan)
        self.walk, self.picked = walk, picked
        self.args = argument_places(walk.data)
        self.loops = _Loops(plan, self.writer, self.args)
        self.loops.picked, self.loops.strides = picked, walk.strides
        self.entries = _Picked(self.loops) if picked else Entries(self.loops)
        plan.fixed_at = walk.memory.places

    def outside(self) -> None:
        """Nothing: a descent calls the block."""

    def flush(self) -> None:
        """Puts totals where they belong."""
        plan, writer = self.plan, self.writer
        for s in plan.sums:
            if s.wide:
                self.flush_wide(
                    s, writer.at("%s", plan.at[s.place]), writer.at("%out", place_of(self.walk, plan, s))
                )
        numbers = [s for s in plan.sums if not s.wide]
        self.put(
            {s: writer.load(writer.at("%s", plan.at[s.place]), self.lane_type(s), ITEM) for s in numbers},
            Space(writer, "%out"),
        )

    def put(self, totals: Mapping[Sum, Vec], space: Space) -> None:
        scales = self.fixed([s.total.scale for s in totals if s.total.scale is not None])
        put(self.walk, self.plan, totals, scales, space)

    def added(self, s: Sum, values: Mapping[Cell, Vec], mask: Vec | None, total: Vec) -> Vec:
        return added(s, values, mask, total)

    def flush_wide(self, s: Sum, place: str, out: str) -> None:
        """A total along a wide axis; what lies beyond its end stays 0."""
        plan, writer = self.plan, self.writer
        length = plan.length(s.wide)
        whole = length // plan.width * plan.width
        if whole:
            with writer.loop(0, whole * ITEM, plan.width * ITEM) as loop:
                value = writer.load(writer.at(place, loop.at), plan.chunk, ITEM)
                writer.store(value, writer.at(out, loop.at), ITEM)
        if whole < length:
            lanes = ", ".join(f"i1 {int(whole + k < length)}" for k in range(plan.width))
            mask = Vec(writer, f"<{lanes}>", Type("i1", plan.width))
            value = writer.load(writer.at(place, whole * ITEM), plan.chunk, ITEM)
            writer.masked_store(value, writer.at(out, whole * ITEM), mask)
