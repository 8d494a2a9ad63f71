"""How is a whole descent written as one function? Passes over the rows, what lies between, and the update.

The function takes one address, that of its arguments. It walks so many steps; a step is one update with the
gradient of all rows, or one walk through mini-batches of rows in a given order. After each step the loss on
all rows is measured, the best point is kept, and what was measured goes into a table, one row a step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gradstep.backends.native.assembly import Type, Vec, Writer
from gradstep.backends.native.cells import Cell
from gradstep.backends.native.entries import Entries
from gradstep.backends.native.free import (
    ITEM,
    KIND,
    ONE,
    STRAIGHT,
    Free,
    Memory,
    Row,
    power_below,
    write_free,
    write_one_row,
)
from gradstep.backends.native.kernels import _Kernel
from gradstep.backends.native.loops import Loops, Part, Rows
from gradstep.backends.native.plan import LINE, Plan, Sum
from gradstep.backends.native.reductions import COMBINE, IDENTITY, across
from gradstep.expression.records import record

ENTRY = "gradstep_descent"
FIRST = ("scratch", "fixed", "count", "steps", "table", "pictures", "order", "batch")
TOLD = ("loss", "steep", "bend", "length", "farthest")  # of each step; all but the loss by the program `told`
OWN = "walk."  # begins the names of what belongs to the walk; no variable has a dot
SOON = 8  # rows ahead that are asked for
MOST_LINES = 64  # of a row that are asked for
INNER = re.compile(r"@(block|stage\d+|one\d+|loop\d+|both)\(")


@record
class Walk:
    """All that a descent is made of.

    passes    the plan of each pass over the rows, and for batches another; `between` what lies between
    single    where an update takes one row: all of it, from the row to the next parameters
    update    from "x", "g" and the optimiser's memory to what they are next
    told      from "x", "g", "x_before" and "g_before" to the numbers that are told of a step
    places    where the loss is, and for each parameter where its gradient is, by the parameter's own place
    size      numbers of all parameters together, in memory; `width` of them are stepped at a time
    rows      how many rows there are, and `batch` how many of them make an update; 0 for all
    """

    passes: tuple[Plan, ...]
    in_batches: tuple[Plan, ...]
    single: Free | None
    between: tuple[Free, ...]
    update: Free
    told: Free
    memory: Memory
    count: str
    loss: str
    gradients: Mapping[str, tuple[int, int, int]]
    size: int
    width: int
    rows: int
    batch: int
    data: tuple[str, ...]
    strides: Mapping[str, int]


def argument_places(data: Sequence[str]) -> dict[object, int]:
    """At which byte of the arguments each stands; all have eight."""
    names: list[object] = [*FIRST, *(("data", name) for name in data)]
    return {name: 8 * k for k, name in enumerate(names)}


def write_descent(walk: Walk) -> str:
    """The text of the module."""
    return _Descent(walk).text()


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


class _Near(Entries):
    """Entries of data that lie in a near cache."""

    def ahead(self, pointer: str, size: int) -> None:
        """Nothing is asked for."""


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
        self.entries = _Picked(self.loops) if picked else _Near(self.loops)
        plan.fixed_at = walk.memory.places

    def outside(self) -> None:
        """Nothing: a descent calls the block."""

    def flush(self) -> None:
        """Puts totals where they belong."""
        plan, writer = self.plan, self.writer
        for s in plan.sums:
            if s.wide:
                self.flush_wide(s, writer.at("%s", plan.at[s.place]), writer.at("%out", self.place(s)))
        numbers = [s for s in plan.sums if not s.wide]
        self.put(
            {s: writer.load(writer.at("%s", plan.at[s.place]), self.lane_type(s), ITEM) for s in numbers},
            "%out",
        )

    def put(self, totals: Mapping[Sum, Vec], base: str) -> None:
        """Adds up the lanes of totals; neighbours are stored together."""
        writer, left = self.writer, sorted(totals, key=self.place)
        while left:
            first = left[0]
            run = [
                s
                for k, s in enumerate(left[: self.plan.width])
                if (self.place(s), s.total.how, s.total.rooted)
                == (self.place(first) + k * ITEM, first.total.how, first.total.rooted)
            ]
            run = run[: power_below(min(len(run), self.plan.rows))]
            lanes = [self.folded(totals[s], s.total.how) for s in run]
            found = across(lanes, first.total.how)
            found = found.call("sqrt") if first.total.rooted else found
            writer.store(found, writer.at(base, self.place(first)), ITEM)
            left = left[len(run) :]

    def folded(self, lanes: Vec, how: str) -> Vec:
        """As many lanes as a vector has."""
        while lanes.type.lanes > self.plan.width:
            half = lanes.type.lanes // 2
            lanes = COMBINE[how](lanes.lanes(range(half)), lanes.lanes(range(half, 2 * half)))
        return lanes

    def inline(self, writer: Writer, count: int) -> None:
        """A pass without wide axes over so many rows, whose totals stay in registers."""
        plan, sums = self.plan, self.plan.stage_sums(0)
        self.writer = self.loops.writer = self.entries.writer = writer
        fixed = self.fixed(self.stage_cells(0))
        totals = [writer.number(IDENTITY[s.total.how], self.lane_type(s)) for s in sums]
        end = count // plan.rows * plan.rows

        def some(row: str, mask: Vec | None, totals: Sequence[Vec]) -> list[Vec]:
            before = {s.place: total for s, total in zip(sums, totals, strict=True)}
            after = self.stage(0, row, mask, fixed, before)
            return [after[s.place] for s in sums]

        if end:
            with writer.loop(0, end, plan.rows, totals) as loop:
                loop.carried[:] = some(loop.at, None, loop.carried)
            totals = loop.carried
        if end < count:
            lanes = ", ".join(f"i1 {int(end + k < count)}" for k in range(plan.rows))
            totals = some(str(end), Vec(writer, f"<{lanes}>", Type("i1", plan.rows)), totals)
        self.put(dict(zip(sums, totals, strict=True)), "%e")

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

    def place(self, s: Sum) -> int:
        """Where a total belongs."""
        first = next(other.place for other in self.plan.sums if other.total is s.total)
        return self.walk.memory.places[s.total.name] + (s.place - first) * ITEM


class _Descent:
    """A descent while its code is written; %a are the arguments, %s is scratch, %e the memory."""

    def __init__(self, walk: Walk) -> None:
        self.walk, self.memory = walk, walk.memory
        self.writer = Writer()
        self.args = argument_places(walk.data)
        self.texts: list[str] = []

    def text(self) -> str:
        self.measure("measure", self.walk.passes, picked=False)
        if self.walk.in_batches and self.walk.single is None:
            self.measure("batch", self.walk.in_batches, picked=True)
        self.outside()
        return "\n".join([*self.texts, *self.writer.lines, *self.writer.declared, ""])

    def measure(self, name: str, passes: Sequence[Plan], picked: bool) -> None:
        """A function: the loss and its gradient on the rows from %low to %high."""
        writer, walk = self.writer, self.walk
        for number, plan in enumerate(passes):
            code = _Pass(plan, walk, picked)
            if self.inlined(plan, picked):
                continue
            code.text()
            self.writer.declared.update(code.writer.declared)
            self.texts.append(INNER.sub(rf"@{name}{number}_\1(", "\n".join(code.writer.lines)))
        with writer.function(name, "ptr %a, ptr %s, ptr %e, i64 %low, i64 %high"):
            count = writer.scalar(f"sitofp i64 {writer.integer('sub', '%high', '%low')} to double")
            writer.emit(f"store double {count}, ptr {self.at(walk.count)}")
            for number, program in enumerate(walk.between):
                write_free(writer, program, self.memory, "%e")
                if number < len(passes) and self.inlined(passes[number], picked):
                    _Pass(passes[number], walk, picked).inline(writer, walk.rows)
                elif number < len(passes):
                    writer.emit(
                        f"call void @{name}{number}_block(ptr %a, ptr %s, i64 %low, i64 %high, ptr %e)"
                    )
            for source, target, numbers in walk.gradients.values():
                if source != target:
                    self.copy(writer.at("%e", source), writer.at("%e", target), numbers)
            writer.emit("ret void")

    def inlined(self, plan: Plan, picked: bool) -> bool:
        return not plan.loops and not picked

    def at(self, name: str) -> str:
        return self.writer.at("%e", self.memory.places[name])

    def own(self, name: str) -> str:
        return self.at(OWN + name)

    def copy(self, source: str, target: str, numbers: int) -> None:
        writer, chunk = self.writer, Type(KIND, self.walk.width)
        whole = numbers // chunk.lanes * chunk.lanes

        def one(at: str | int, type: Type) -> None:
            writer.store(writer.load(writer.at(source, at), type, ITEM), writer.at(target, at), ITEM)

        if whole <= STRAIGHT * chunk.lanes:
            for k in range(0, whole, chunk.lanes):
                one(k * ITEM, chunk)
        else:
            with writer.loop(0, whole * ITEM, chunk.lanes * ITEM) as loop:
                one(loop.at, chunk)
        for k in range(whole, numbers):
            one(k * ITEM, ONE)

    # ------------------------------------------------------------------------------------- the walk

    def argument(self, name: object, type: str = "i64") -> str:
        return self.writer.scalar(f"load {type}, ptr {self.writer.at('%a', self.args[name])}")

    def outside(self) -> None:
        """The function itself: no steps are a measurement."""
        writer, size = self.writer, self.walk.size
        with writer.function(ENTRY, "ptr %a", inner=False):
            writer.emit(f"%s = {self.loaded('scratch', 'ptr')}")
            writer.emit(f"%e = {self.loaded('fixed', 'ptr')}")
            count, steps = self.argument("count"), self.argument("steps")
            table = self.argument("table", "ptr")
            walk, only, done = writer.label("walk"), writer.label("only"), writer.label("done")
            writer.branch(writer.test("sgt", steps, 0), walk, only)
            writer.place(only)
            writer.emit(f"call void @measure(ptr %a, ptr %s, ptr %e, i64 0, i64 {count})")
            writer.jump(done)
            writer.place(walk)
            with writer.loop(0, steps, 1) as loop:
                if self.walk.in_batches:
                    self.through_batches(loop.at, count)
                else:
                    write_free(writer, self.walk.update, self.memory, "%e", self.walk.width)
                writer.emit(f"call void @measure(ptr %a, ptr %s, ptr %e, i64 0, i64 {count})")
                write_free(writer, self.walk.told, self.memory, "%e", self.walk.width)
                row = writer.at(table, writer.integer("mul", loop.at, len(TOLD) * ITEM))
                for k, name in enumerate(TOLD):
                    value = writer.load(self.at(self.walk.loss if name == "loss" else OWN + name), ONE, ITEM)
                    writer.store(value, writer.at(row, k * ITEM), ITEM)
                self.keep_best(size)
                self.take_picture(size)
            writer.jump(done)
            writer.place(done)
            writer.emit("ret void")

    def loaded(self, name: object, type: str) -> str:
        return f"load {type}, ptr {self.writer.at('%a', self.args[name])}"

    def through_batches(self, step: str, count: str) -> None:
        """One walk through the rows in their order."""
        writer = self.writer
        self.copy(self.own("x"), self.own("x_before"), self.walk.size)
        self.copy(self.own("g"), self.own("g_before"), self.walk.size)
        size = self.argument("batch")
        with writer.loop(0, count, size) as loop:
            end = writer.integer("add", loop.at, size)
            high = writer.scalar(f"select i1 {writer.test('slt', end, count)}, i64 {end}, i64 {count}")
            self.ask_for_rows(loop.at, count)
            if self.walk.single is not None:
                self.one_row(self.walk.single, loop.at)
            else:
                writer.emit(f"call void @batch(ptr %a, ptr %s, ptr %e, i64 {loop.at}, i64 {high})")
                write_free(writer, self.walk.update, self.memory, "%e", self.walk.width)
        place = writer.at("%a", self.args["order"])
        order = writer.at(self.argument("order", "ptr"), writer.integer("mul", count, ITEM))
        writer.emit(f"store ptr {order}, ptr {place}")

    def one_row(self, program: Free, at: str) -> None:
        """An update by the row that the order has here."""
        writer, walk, rows = self.writer, self.walk, {}
        place = writer.at(self.argument("order", "ptr"), writer.integer("mul", at, ITEM))
        number = writer.scalar(f"load i64, ptr {place}")
        for plan in walk.in_batches:
            for name, layout in plan.layouts.items():
                columns, stride = layout.how == "columns", walk.strides[name]
                far = writer.integer("mul", number, ITEM if columns else stride)
                pointer = writer.at(self.argument(("data", name), "ptr"), far)
                rows[name] = Row(pointer, stride if columns else ITEM)
        write_one_row(writer, program, self.memory, "%e", rows)

    def ask_for_rows(self, at: str, count: str) -> None:
        """Asks for the memory of rows that come soon: they may lie anywhere."""
        writer, walk = self.writer, self.walk
        lengths = {
            name: layout.entries * ITEM
            for plan in walk.in_batches
            for name, layout in plan.layouts.items()
            if layout.how == "packed"
        }
        first = writer.integer("add", at, max(walk.batch, SOON))
        last = writer.integer("sub", count, 1)
        order = self.argument("order", "ptr")
        with writer.loop(0, walk.batch, 1) as loop:
            place = writer.integer("add", first, loop.at)
            place = writer.scalar(f"select i1 {writer.test('slt', place, last)}, i64 {place}, i64 {last}")
            pointer = writer.at(order, writer.integer("mul", place, ITEM))
            number = writer.scalar(f"load i64, ptr {pointer}")
            for name, length in lengths.items():
                start = self.argument(("data", name), "ptr")
                row = writer.at(start, writer.integer("mul", number, walk.strides[name]))
                for line in range(0, min(length, MOST_LINES * LINE), LINE):
                    writer.prefetch(writer.at(row, line), 3)

    def keep_best(self, size: int) -> None:
        writer = self.writer
        better, on = writer.label("better"), writer.label("on")
        loss = writer.scalar(f"load double, ptr {self.at(self.walk.loss)}")
        best = writer.scalar(f"load double, ptr {self.own('best_loss')}")
        writer.branch(writer.scalar(f"fcmp olt double {loss}, {best}"), better, on)
        writer.place(better)
        writer.emit(f"store double {loss}, ptr {self.own('best_loss')}")
        self.copy(self.own("x"), self.own("best_x"), size)
        self.copy(self.own("g"), self.own("best_g"), size)
        writer.jump(on)
        writer.place(on)

    def take_picture(self, size: int) -> None:
        """Where so many steps have gone by: the parameters as they are."""
        writer = self.writer
        take, on = writer.label("take"), writer.label("on")
        left = writer.integer("sub", writer.scalar(f"load i64, ptr {self.own('until')}"), 1)
        writer.emit(f"store i64 {left}, ptr {self.own('until')}")
        writer.branch(writer.test("eq", left, 0), take, on)
        writer.place(take)
        again = writer.scalar(f"load i64, ptr {self.own('every')}")
        writer.emit(f"store i64 {again}, ptr {self.own('until')}")
        pictures = self.argument("pictures", "ptr")
        self.copy(self.own("x"), pictures, size)
        next_one = writer.at(pictures, size * ITEM)
        writer.emit(f"store ptr {next_one}, ptr {writer.at('%a', self.args['pictures'])}")
        writer.jump(on)
        writer.place(on)
