"""How is a whole descent written as one function? Passes over the rows, what lies between, and the update.

The function takes one address, that of its arguments. It walks so many steps; a step is one update with the
gradient of all rows, or one walk through mini-batches of rows in a given order. After each step the loss on
all rows is measured, the best point is kept, and what was measured goes into a table, one row a step.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gradstep.backends.native.assembly import Type, Vec, Writer
from gradstep.backends.native.elements import magnitude
from gradstep.backends.native.fitting import write_fitted
from gradstep.backends.native.free import NEAR, STRAIGHT, Free, Row, places_of, write_free, write_one_row
from gradstep.backends.native.held import ITEM, KIND, ONE, Held, Kept, Space
from gradstep.backends.native.passes import _Pass
from gradstep.backends.native.plan import LINE, Plan
from gradstep.backends.native.straight import write_straight
from gradstep.backends.native.walk import BEFORE, COLUMNS, OWN, TOLD, Walk, argument_places

ENTRY = "gradstep_descent"
SOON = 8  # rows ahead that are asked for
MOST_LINES = 64  # of a row that are asked for
INNER = re.compile(r"@(block|stage\d+|one\d+|loop\d+|both)\(")


def write_descent(walk: Walk) -> str:
    """The text of the module."""
    return _Descent(walk).text()


class _Descent:
    """A descent while its code is written; %a are the arguments, %s is scratch, %e the memory."""

    def __init__(self, walk: Walk) -> None:
        self.walk, self.memory = walk, walk.memory
        self.writer = Writer()
        self.args = argument_places(walk.data)
        self.texts: list[str] = []

    def text(self) -> str:
        walk = self.walk
        self.passes("measure", walk.passes, picked=False)
        self.function("measure")
        if walk.in_batches and walk.single is None:
            self.passes("batch", walk.in_batches, picked=True)
            self.function("batch")
        self.outside()
        return "\n".join([*self.texts, *self.writer.lines, *self.writer.declared, ""])

    def passes(self, name: str, passes: Sequence[Plan], picked: bool) -> None:
        """The functions of passes that are not part of a step."""
        for number, plan in enumerate(passes):
            if not self.inlined(plan, picked):
                code = _Pass(plan, self.walk, picked)
                code.text()
                self.writer.declared.update(code.writer.declared)
                self.texts.append(INNER.sub(rf"@{name}{number}_\1(", "\n".join(code.writer.lines)))

    def function(self, name: str) -> None:
        """A function: the loss and its gradient on the rows from %low to %high."""
        writer = self.writer
        with writer.function(name, "ptr %a, ptr %s, ptr %e, i64 %low, i64 %high"):
            count = writer.scalar(f"sitofp i64 {writer.integer('sub', '%high', '%low')} to double")
            self.measured(Held(writer, "%e"), name, writer.spread(count, ONE), "%high")
            writer.emit("ret void")

    def measured(self, space: Space, name: str, count: Vec, high: str, low: str = "%low") -> None:
        """The loss and its gradient on the rows from `low` to `high`, which are `count`."""
        writer, walk, batch = self.writer, self.walk, name == "batch"
        space.store(count, self.memory.places[walk.count])
        passes = walk.in_batches if batch else walk.passes
        for number, program in enumerate(walk.between):
            write_free(space, program, self.memory)
            if number < len(passes) and self.inlined(passes[number], batch):
                write_straight(walk, passes[number], space, self.args)
            elif number < len(passes):
                rows = f"i64 {low}, i64 {high}"
                writer.emit(f"call void @{name}{number}_block(ptr %a, ptr %s, {rows}, ptr %e)")
                space.forget()
        for source, target, numbers in walk.gradients.values():
            if source != target:
                self.copied(space, source, target, numbers)

    def inlined(self, plan: Plan, picked: bool) -> bool:
        return not plan.loops and not picked

    def at(self, name: str) -> str:
        return self.writer.at("%e", self.memory.places[name])

    def own(self, name: str) -> str:
        return self.at(OWN + name)

    def copied(self, space: Space, source: int, target: int, numbers: int, to: Space | None = None) -> None:
        """Numbers from one place to another, which may be in another memory."""
        writer, chunk = self.writer, Type(KIND, self.walk.width)
        whole, to = numbers // chunk.lanes * chunk.lanes, to or space

        def one(at: str | int, type: Type) -> None:
            to.store(space.load(source, type, at), target, at)

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
        writer = self.writer
        with writer.function(ENTRY, "ptr %a", inner=False):
            writer.emit(f"%s = {self.loaded('scratch', 'ptr')}")
            writer.emit(f"%e = {self.loaded('fixed', 'ptr')}")
            count, steps = self.argument("count"), self.argument("steps")
            table = self.argument("table", "ptr")
            walk, only, done = writer.label("walk"), writer.label("only"), writer.label("done")
            writer.branch(writer.test("sgt", steps, 0), walk, only)
            writer.place(only)
            writer.emit(f"call void @measure(ptr %a, ptr %s, ptr %e, i64 0, i64 {count})")
            if self.walk.fitted is not None:
                write_free(Space(writer, "%e"), self.walk.told, self.memory, self.walk.width)
            writer.jump(done)
            writer.place(walk)
            if self.walk.in_batches:
                start, stop = self.argument("from"), self.argument("to")
                with writer.loop(0, steps, 1) as loop:
                    self.through_batches(count, start, stop)
                    with self.only_where("sge", stop, count):
                        self.next_order(count)
                        writer.emit(f"call void @measure(ptr %a, ptr %s, ptr %e, i64 0, i64 {count})")
                        self.after(Space(writer, "%e"), loop.at, table)
            elif self.walk.fitted is not None:
                write_fitted(self, self.walk.fitted, steps, count, table)
            else:
                self.straight(steps, count, table)
            writer.jump(done)
            writer.place(done)
            writer.emit("ret void")

    def straight(self, steps: str, count: str, table: str) -> None:
        """So many steps with all rows; the parameters and what the optimiser remembers stay in registers."""
        writer, walk = self.writer, self.walk
        places = self.carried(("x", "g"))
        memory = Space(writer, "%e")
        with writer.loop(0, steps, 1, [memory.load(*place) for place in places]) as loop:
            space = Held(writer, "%e")
            space.known = {place: vector for (place, _), vector in zip(places, loop.carried, strict=True)}
            write_free(space, walk.update, self.memory, walk.width)
            self.measured(space, "measure", writer.number(walk.rows, ONE), count, "0")
            self.after(space, loop.at, table)
            loop.carried[:] = [space.load(*place) for place in places]

    def carried(self, names: Sequence[str]) -> list[tuple[int, Type]]:
        """Where the numbers lie that stay in registers from step to step; none where they are too many."""
        walk = self.walk
        near = walk.size <= STRAIGHT * walk.width and all(self.inlined(plan, False) for plan in walk.passes)
        mine = dict.fromkeys(
            [OWN + name for name in names] + [n for n in walk.update.outputs if n not in BEFORE]
        )
        return [place for name in mine for place in self.chunks(name)] if near else []

    def chunks(self, name: str) -> list[tuple[int, Type]]:
        """The vectors that the update has of a symbol: where they lie, and how long they are."""
        start = self.memory.places[name]
        array = self.walk.update.outputs.get(name)
        if array is not None and not array.axes:
            return [(start, ONE)]
        width = self.walk.width
        return [(start + at * ITEM, Type(KIND, width)) for at in range(0, self.walk.size, width)]

    def after(self, space: Space, step: str, table: str) -> None:
        """What is told of a step, and kept of it."""
        write_free(space, self.walk.told, self.memory, self.walk.width)
        self.kept(space, step, table)

    def kept(self, space: Space, step: str, table: str) -> None:
        """A row of the table, the best points, and a picture."""
        writer, walk, places = self.writer, self.walk, self.memory.places
        row = Space(writer, writer.at(table, writer.integer("mul", step, len(COLUMNS) * ITEM)))
        found = {name: space.load(places[walk.loss if name == "loss" else OWN + name], ONE) for name in TOLD}
        memory = Space(writer, "%e")
        if walk.watched:
            found["watched"] = self.watched(space)
        if walk.fitted is not None:
            found |= {name: memory.load(places[OWN + name], ONE) for name in ("rate", "tries")}
        for name, value in found.items():
            row.store(value, COLUMNS.index(name) * ITEM)
        self.keep(space, found["loss"] < memory.load(places[OWN + "best_loss"], ONE), "best", "loss")
        if walk.watched:
            better = found["watched"] < memory.load(places[OWN + "seen_watched"], ONE)
            below = found["loss"] <= memory.load(places[OWN + "limit"], ONE)
            memory.store(found["watched"], places[OWN + "watched"])
            self.keep(space, better & below, "seen", "watched")
        self.take_picture(space)

    def watched(self, space: Space) -> Vec:
        """The loss on the rows that are watched, by their own code; no less than the floor."""
        writer, walk, places = self.writer, self.walk, self.memory.places
        value = space.load(places[walk.loss], ONE)
        if walk.watched == "others":
            there = Space(writer, self.argument("watch_x", "ptr"))
            self.copied(space, places[OWN + "x"], 0, walk.size, there)
            writer.emit(
                f"call void {self.argument('watch', 'ptr')}(ptr {self.argument('watch_args', 'ptr')})"
            )
            value = Space(writer, self.argument("watch_loss", "ptr")).load(0, ONE)
        floor = Space(writer, "%e").load(places[OWN + "floor"], ONE)
        value = (floor > value).select(floor, value)
        return (magnitude(value) < math.inf).select(value, math.inf)

    def loaded(self, name: object, type: str) -> str:
        return f"load {type}, ptr {self.writer.at('%a', self.args[name])}"

    def through_batches(self, count: str, start: str, stop: str) -> None:
        """One walk through the rows in their order, or a piece of it, from one place there to another."""
        writer, space, places = self.writer, Space(self.writer, "%e"), self.memory.places
        with self.only_where("eq", start, "0"):
            for name in ("x", "g"):
                self.copied(space, places[OWN + name], places[OWN + name + "_before"], self.walk.size)
        if self.walk.single is not None:
            self.row_by_row(self.walk.single, count, start, stop)
            return
        size = self.argument("batch")
        with writer.loop(start, stop, size) as loop:
            end = writer.integer("add", loop.at, size)
            high = writer.scalar(f"select i1 {writer.test('slt', end, count)}, i64 {end}, i64 {count}")
            with writer.loop(0, self.walk.batch, 1) as ahead:
                self.ask_for_row(writer.integer("add", loop.at, ahead.at), count, max(self.walk.batch, SOON))
            writer.emit(f"call void @batch(ptr %a, ptr %s, ptr %e, i64 {loop.at}, i64 {high})")
            write_free(space, self.walk.update, self.memory, self.walk.width)

    def next_order(self, count: str) -> None:
        """The order of the next walk follows that of this one."""
        writer = self.writer
        order = writer.at(self.argument("order", "ptr"), writer.integer("mul", count, ITEM))
        writer.emit(f"store ptr {order}, ptr {writer.at('%a', self.args['order'])}")

    @contextmanager
    def only_where(self, test: str, one: str, other: str) -> Iterator[None]:
        """What is written inside is done where two whole numbers compare so."""
        writer = self.writer
        yes, on = writer.label("yes"), writer.label("on")
        writer.branch(writer.test(test, one, other), yes, on)
        writer.place(yes)
        yield
        writer.jump(on)
        writer.place(on)

    def row_by_row(self, program: Free, count: str, start: str, stop: str) -> None:
        """An update by each row; parameters that are not too many stay in registers."""
        writer, memory = self.writer, Space(self.writer, "%e")
        places = places_of(program, self.memory)
        places = places if len(places) <= NEAR else []
        with writer.loop(start, stop, 1, [memory.load(*place) for place in places]) as loop:
            space = Kept(writer, "%e") if places else memory
            if isinstance(space, Kept):
                space.known = {at: vector for (at, _), vector in zip(places, loop.carried, strict=True)}
            self.ask_for_row(loop.at, count, SOON)
            write_one_row(space, program, self.memory, self.row_at(loop.at))
            loop.carried[:] = [space.load(*place) for place in places]
        for (place, _), vector in zip(places, loop.carried, strict=True):
            memory.store(vector, place)

    def row_at(self, at: str) -> dict[str, Row]:
        """The row that the order has here."""
        writer, walk, rows = self.writer, self.walk, {}
        place = writer.at(self.argument("order", "ptr"), writer.integer("mul", at, ITEM))
        number = writer.scalar(f"load i64, ptr {place}")
        for plan in walk.in_batches:
            for name, layout in plan.layouts.items():
                columns, stride = layout.how == "columns", walk.strides[name]
                far = writer.integer("mul", number, ITEM if columns else stride)
                pointer = writer.at(self.argument(("data", name), "ptr"), far)
                rows[name] = Row(pointer, stride if columns else ITEM)
        return rows

    def ask_for_row(self, at: str, count: str, further: int) -> None:
        """Asks for the memory of a row that comes soon: it may lie anywhere."""
        writer, walk = self.writer, self.walk
        lengths = {
            name: layout.entries * ITEM
            for plan in walk.in_batches
            for name, layout in plan.layouts.items()
            if layout.how == "packed"
        }
        last, place = writer.integer("sub", count, 1), writer.integer("add", at, further)
        place = writer.scalar(f"select i1 {writer.test('slt', place, last)}, i64 {place}, i64 {last}")
        pointer = writer.at(self.argument("order", "ptr"), writer.integer("mul", place, ITEM))
        number = writer.scalar(f"load i64, ptr {pointer}")
        for name, length in lengths.items():
            start = self.argument(("data", name), "ptr")
            row = writer.at(start, writer.integer("mul", number, walk.strides[name]))
            for line in [*range(0, min(length, MOST_LINES * LINE), LINE), length - ITEM]:
                writer.prefetch(writer.at(row, line), 3)

    def keep(self, space: Space, better: Vec, which: str, by: str) -> None:
        """The point as the best one, where it is better."""
        writer, places = self.writer, self.memory.places
        yes, on = writer.label("better"), writer.label("on")
        writer.branch(better.lane(0), yes, on)
        writer.place(yes)
        memory = Space(writer, "%e")
        value = space.load(places[self.walk.loss if by == "loss" else OWN + by], ONE)
        memory.store(value, places[OWN + which + "_" + by])
        for name in ("x", "g"):
            self.copied(space, places[OWN + name], places[OWN + which + "_" + name], self.walk.size, memory)
        writer.jump(on)
        writer.place(on)

    def take_picture(self, space: Space) -> None:
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
        size = self.walk.size
        self.copied(space, self.memory.places[OWN + "x"], 0, size, Space(writer, pictures))
        next_one = writer.at(pictures, size * ITEM)
        writer.emit(f"store ptr {next_one}, ptr {writer.at('%a', self.args['pictures'])}")
        writer.jump(on)
        writer.place(on)
