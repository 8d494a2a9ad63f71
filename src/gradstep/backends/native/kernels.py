"""How is a whole pass written as one function? Groups of blocks, blocks, rows; then what they add up to.

The function takes one address, that of its arguments. Every thread calls it once; it takes the next group of
blocks that nobody has begun until there is none. Inside a block totals are in the precision of the data, and
float64 where they are single numbers; blocks are added up in float64. The last thread adds up the groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gradstep.backends.native.assembly import BITS, Type, Vec, Writer
from gradstep.backends.native.cells import Cell, needed
from gradstep.backends.native.computing import computed
from gradstep.backends.native.elements import as_number
from gradstep.backends.native.entries import Entries
from gradstep.backends.native.loops import Loops, Part
from gradstep.backends.native.plan import LINE, Plan, Sum
from gradstep.backends.native.reductions import COMBINE, IDENTITY

ENTRY = "gradstep_pass"
FIRST = ("counters", "threads", "groups", "group", "block", "count", "out", "scratch", "room", "fixed")
COUNTERS = 3  # of groups that are begun, threads that have begun, threads that are done; a line for each


def argument_places(plan: Plan) -> dict[object, int]:
    """At which byte of the arguments each stands; all have eight."""
    names: list[object] = list(FIRST)
    for name in plan.layouts:
        names += [("data", name), ("stride", name)]
    names += [("joined", name) for name in plan.unrolled.joined]
    return {name: 8 * k for k, name in enumerate(names)}


def write_pass(plan: Plan) -> str:
    """The text of the module."""
    return _Kernel(plan).text()


class _Kernel:
    """A pass while its code is written."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.writer = Writer()
        self.args = argument_places(plan)
        self.loops = Loops(plan, self.writer, self.args)
        self.entries = Entries(self.loops)

    def text(self) -> str:
        plan = self.plan
        if plan.loops:
            for level in range(plan.loops + 1):
                if plan.has_stage(level):
                    self.stage_function(level)
            for level in range(plan.loops):
                part = [Part(level, 0)]
                self.loops.function(f"one{level}", part, 1)
                if not plan.pipelined:
                    self.loops.function(f"loop{level}", part, plan.together())
            if plan.pipelined:
                self.loops.function("both", [Part(1, 1), Part(0, 0)], plan.together())
            self.groups_of_rows()
        else:
            self.only_stage()
        self.outside()
        return self.writer.text()

    # ------------------------------------------------------------------------------------- the outside

    def argument(self, name: object, type: str = "i64") -> str:
        return self.loops.argument(name, type)

    def outside(self) -> None:
        writer = self.writer
        with writer.function(ENTRY, "ptr %a", inner=False):
            counters = self.argument("counters", "ptr")
            thread = writer.at(counters, LINE)
            number = writer.scalar(f"atomicrmw add ptr {thread}, i64 1 monotonic")
            scratch = writer.at(
                self.argument("scratch", "ptr"), writer.integer("mul", number, self.argument("room"))
            )
            groups, group, block = self.argument("groups"), self.argument("group"), self.argument("block")
            count, out = self.argument("count"), self.argument("out", "ptr")
            again, work, done = writer.label("again"), writer.label("work"), writer.label("done")
            writer.jump(again)
            writer.place(again)
            mine = writer.scalar(f"atomicrmw add ptr {counters}, i64 1 monotonic")
            writer.branch(writer.test("slt", mine, groups), work, done)
            writer.place(work)
            low = writer.integer("mul", mine, group)
            high = self.least(writer.integer("add", low, group), count)
            here = writer.at(out, writer.integer("mul", mine, 8 * self.plan.numbers))
            for how, type, place in self.numbers(here):
                writer.store(writer.number(IDENTITY[how], type), place, 8)
            with writer.loop(low, high, block) as loop:
                stop = self.least(writer.integer("add", loop.at, block), high)
                writer.emit(f"call void @block(ptr %a, ptr {scratch}, i64 {loop.at}, i64 {stop}, ptr {here})")
            writer.jump(again)
            writer.place(done)
            before = writer.scalar(f"atomicrmw add ptr {writer.at(counters, 2 * LINE)}, i64 1 acq_rel")
            others = writer.integer("sub", self.argument("threads"), 1)
            last, end = writer.label("last"), writer.label("end")
            writer.branch(writer.test("eq", before, others), last, end)
            writer.place(last)
            with writer.loop(1, groups, 1) as loop:
                row = writer.integer("mul", loop.at, 8 * self.plan.numbers)
                for how, type, place in self.numbers(out):
                    known, more = (writer.load(at, type, 8) for at in (place, writer.at(place, row)))
                    writer.store(COMBINE[how](known, more), place, 8)
            writer.jump(end)
            writer.place(end)
            writer.emit("ret void")

    def numbers(self, start: str) -> Iterator[tuple[str, Type, str]]:
        """All numbers of a group from its start on: how two are one, of what type they are, and where."""
        plan, writer = self.plan, self.writer
        for s in plan.sums:
            first = writer.at(start, 8 * s.place)
            if s.wide:
                with writer.loop(0, 8 * s.length, 8 * plan.width) as loop:
                    yield s.total.how, Type("double", plan.width), writer.at(first, loop.at)
            else:
                yield s.total.how, Type("double", 1), first

    def least(self, a: str, b: str) -> str:
        smaller = self.writer.test("slt", a, b)
        return self.writer.scalar(f"select i1 {smaller}, i64 {a}, i64 {b}")

    # ------------------------------------------------------------------------------------- numbers a row

    def lane_type(self, s: Sum) -> Type:
        return Type(s.kind, self.plan.rows)

    def fixed(self, cells: Sequence[Cell]) -> dict[Cell, Vec]:
        """What is the same for all rows, in every lane."""
        roots = [arg for cell in cells for arg in (cell, *cell.args) if not arg.row and not arg.wide]
        found: dict[Cell, Vec] = {}
        for cell in needed(roots):
            args = [found[arg] for arg in cell.args]
            found[cell] = self.loops.same_for_all(cell, args, self.plan.lane)
        return found

    def stage_cells(self, level: int) -> list[Cell]:
        """What a stage computes, in order; sums of loops are known."""
        plan = self.plan
        roots = [cell for s in plan.stage_sums(level) for term in s.terms for cell in term]
        roots += [cell for _, _, cell in plan.stage_joined(level)]
        roots += plan.slots.get(level, [])
        return needed(roots, lambda cell: cell.op == "reduce")

    def stage(
        self,
        level: int,
        row: str,
        mask: Vec | None,
        fixed: Mapping[Cell, Vec],
        before: Mapping[int, Vec],
    ) -> dict[int, Vec]:
        """The numbers of one group of rows from `row` on; totals before and after, by their places."""
        plan, writer = self.plan, self.writer
        cells = self.stage_cells(level)
        values = dict(fixed)
        values.update(self.entries.loaded([cell for cell in cells if cell.op == "data"], row, mask))
        for cell in cells:
            if cell in values:
                continue
            if cell.op == "reduce":
                values[cell] = writer.load(writer.at("%s", plan.at[cell]), plan.lane, plan.item)
            else:
                args = [values[arg] for arg in cell.args]
                values[cell] = computed(writer, cell, args, plan.lane)
        for cell in plan.slots.get(level, ()):
            slot = writer.at("%s", plan.at[cell, level])
            writer.store(as_number(values[cell], plan.kind), slot, plan.item)
        for name, place, cell in plan.stage_joined(level):
            self.write_entry(name, place, row, mask, as_number(values[cell], plan.kind))
        return {s.place: self.added(s, values, mask, before[s.place]) for s in plan.stage_sums(level)}

    def added(self, s: Sum, values: Mapping[Cell, Vec], mask: Vec | None, total: Vec) -> Vec:
        """A total with these rows."""
        how = s.total.how
        for term in s.terms:
            factors = [as_number(values[cell], self.plan.kind).as_kind(s.kind) for cell in term]
            first, *others = factors
            if how == "sum" and others and mask is None:
                for other in others[:-1]:
                    first = first * other
                total = first.times_plus(others[-1], total)
                continue
            for other in others:
                first = first * other
            if mask is not None:
                first = mask.select(first, IDENTITY[how])
            total = COMBINE[how](total, first)
        return total

    def write_entry(self, name: str, place: int, row: str, mask: Vec | None, value: Vec) -> None:
        """One entry of a group of rows of a joined array, whose columns lie one after the other."""
        writer, plan = self.writer, self.plan
        far = writer.integer("mul", self.argument("count"), place * plan.item) if place else 0
        column = writer.at(self.argument(("joined", name), "ptr"), far)
        pointer = writer.at(column, writer.integer("mul", row, plan.item))
        if mask is None:
            writer.store(value, pointer, 1)
        else:
            writer.masked_store(value, pointer, mask)

    def mask_below(self, count: str) -> Vec:
        """The first so many lanes."""
        whole = Type("i64", self.plan.rows)
        return self.writer.counted(whole).compare("slt", self.writer.spread(count, whole))

    def stage_function(self, level: int) -> None:
        """A stage between loops: %count rows from %row on, at most one group."""
        plan, writer = self.plan, self.writer
        with writer.function(f"stage{level}", "ptr %a, ptr %s, i64 %row, i64 %count"):
            fixed = self.fixed(self.stage_cells(level))
            places = {s.place: writer.at("%s", plan.at[s.place]) for s in plan.stage_sums(level)}
            before = {
                s.place: writer.load(places[s.place], self.lane_type(s), 8) for s in plan.stage_sums(level)
            }
            after = self.stage(level, "%row", self.mask_below("%count"), fixed, before)
            for place, total in after.items():
                writer.store(total, places[place], 8)
            writer.emit("ret void")

    # ------------------------------------------------------------------------------------- a block

    BLOCK = "ptr %a, ptr %s, i64 %low, i64 %high, ptr %out"

    def only_stage(self) -> None:
        """A block without wide axes: totals stay in registers."""
        plan, writer = self.plan, self.writer
        with writer.function("block", self.BLOCK):
            fixed = self.fixed(self.stage_cells(0))
            sums = plan.stage_sums(0)
            start = [writer.number(IDENTITY[s.total.how], self.lane_type(s)) for s in sums]
            _, end = self.whole_groups()
            with writer.loop("%low", end, plan.rows, start) as loop:
                before = {s.place: total for s, total in zip(sums, loop.carried, strict=True)}
                after = self.stage(0, loop.at, None, fixed, before)
                loop.carried[:] = [after[s.place] for s in sums]
            left = writer.integer("sub", "%high", end)
            rest, done = writer.label("rest"), writer.label("done")
            before = {s.place: total for s, total in zip(sums, loop.carried, strict=True)}
            for s in sums:
                writer.store(before[s.place], writer.at("%s", plan.at[s.place]), 8)
            writer.branch(writer.test("sgt", left, 0), rest, done)
            writer.place(rest)
            after = self.stage(0, end, self.mask_below(left), fixed, before)
            for place, total in after.items():
                writer.store(total, writer.at("%s", plan.at[place]), 8)
            writer.jump(done)
            writer.place(done)
            self.flush()
            writer.emit("ret void")

    def whole_groups(self) -> tuple[str, str]:
        """How many rows of a block are in whole groups, and where these end."""
        writer = self.writer
        count = writer.integer("sub", "%high", "%low")
        left = writer.scalar(f"urem i64 {count}, {self.plan.rows}")
        whole = writer.integer("sub", count, left)
        return whole, writer.integer("add", "%low", whole)

    def groups_of_rows(self) -> None:
        """A block with wide axes."""
        plan, writer = self.plan, self.writer
        with writer.function("block", self.BLOCK):
            for s in plan.sums:
                self.clear(s)
            whole, end = self.whole_groups()
            size = str(plan.rows)
            if plan.pipelined:
                some, after = writer.label("some"), writer.label("after")
                writer.branch(writer.test("sgt", whole, 0), some, after)
                writer.place(some)
                self.call_stage(0, "%low", size)
                self.call("one0", "%low", size)
                self.call_stage(1, "%low", size)
                with writer.loop(writer.integer("add", "%low", plan.rows), end, plan.rows) as loop:
                    self.call_stage(0, loop.at, size)
                    self.call("both", loop.at, size)
                    self.call_stage(1, loop.at, size)
                self.call("one1", writer.integer("sub", end, plan.rows), size)
                self.call_stage(2, writer.integer("sub", end, plan.rows), size)
                writer.jump(after)
                writer.place(after)
            else:
                with writer.loop("%low", end, plan.rows) as loop:
                    for level in range(plan.loops):
                        self.call_stage(level, loop.at, size)
                        self.call(f"loop{level}", loop.at, size)
                    self.call_stage(plan.loops, loop.at, size)
            left = writer.integer("sub", "%high", end)
            rest, done = writer.label("rest"), writer.label("done")
            writer.branch(writer.test("sgt", left, 0), rest, done)
            writer.place(rest)
            for level in range(plan.loops):
                self.call_stage(level, end, left)
                self.call(f"one{level}", end, left)
            self.call_stage(plan.loops, end, left)
            writer.jump(done)
            writer.place(done)
            self.flush()
            writer.emit("ret void")

    def call(self, name: str, row: str, count: str) -> None:
        self.writer.emit(f"call void @{name}(ptr %a, ptr %s, i64 {row}, i64 {count})")

    def call_stage(self, level: int, row: str, count: str) -> None:
        if self.plan.has_stage(level):
            self.call(f"stage{level}", row, count)

    def clear(self, s: Sum) -> None:
        """The beginning of a total."""
        plan, writer = self.plan, self.writer
        place = writer.at("%s", plan.at[s.place])
        start = IDENTITY[s.total.how]
        if not s.wide:
            writer.store(writer.number(start, self.lane_type(s)), place, 8)
            return
        with writer.loop(0, s.length * plan.item, plan.width * plan.item) as loop:
            writer.store(writer.number(start, plan.chunk), writer.at(place, loop.at), plan.item)

    def flush(self) -> None:
        """Adds what a block has found to the numbers of its group, in float64."""
        plan, writer = self.plan, self.writer
        for s in plan.sums:
            place, out = writer.at("%s", plan.at[s.place]), writer.at("%out", 8 * s.place)
            how = s.total.how
            if s.wide:
                with writer.loop(0, s.length, plan.width) as loop:
                    size = BITS[s.kind] // 8
                    here = writer.load(
                        writer.at(place, writer.integer("mul", loop.at, size)), plan.chunk, size
                    ).as_kind("double")
                    target = writer.at(out, writer.integer("mul", loop.at, 8))
                    known = writer.load(target, here.type, 8)
                    writer.store(COMBINE[how](known, here), target, 8)
                continue
            lanes = writer.load(place, self.lane_type(s), 8).as_kind("double")
            while lanes.type.lanes > 1:
                half = lanes.type.lanes // 2
                lanes = COMBINE[how](lanes.lanes(range(half)), lanes.lanes(range(half, 2 * half)))
            known = writer.load(out, lanes.type, 8)
            writer.store(COMBINE[how](known, lanes), out, 8)
