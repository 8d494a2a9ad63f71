"""How is a walk through mini-batches written where each multiplies matrices? As one function, with its steps.

It takes one address, that of its arguments. For each batch the rows are fetched in their order; what they
need is computed block by block; what totals are made of is kept until all blocks are done. Then the gradient
of every parameter comes to its place, and the optimiser steps. Where that only takes the gradient away, a
product is added to its parameter as it is computed. The same in three parts is there for several threads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from gradstep.backends.native.assembly import Type, Vec
from gradstep.backends.native.cells import Unsupported
from gradstep.backends.native.chains import ChainPlan, Work, WorkWriter, argument_places, chain_places
from gradstep.backends.native.plan import Plan, Room
from gradstep.backends.native.products import Product
from gradstep.backends.native.unrolling import Total
from gradstep.expression.node import Expr
from gradstep.expression.records import record

ENTRY = "gradstep_batches"
PARTS = ("gradstep_fetch", "gradstep_rows", "gradstep_step")  # of one batch: from row `low` on, `high` rows
MORE = ("order", "count", "batch", "images", "last_images", "start", "rate", "x", "g", "update", "counts")


@record
class Gradient:
    """Where the gradient of a parameter comes from: a total alone, or a formula of totals and the parameter.

    first   where the parameter begins among all numbers, and `shape` its lengths
    plan    of the formula, where there is one; its operands are totals, and the parameter by its symbol
    """

    symbol: str
    first: int
    shape: tuple[int, ...]
    total: str
    plan: ChainPlan | None

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)


@record
class Batches:
    """All that a walk is made of.

    work       from the rows of a batch to totals
    gradients  of all parameters
    update     from "x", "g" and the optimiser's memory to what they are next; `counts` is for its numbers
    descends   whether the update only takes the gradient away, times the rate
    """

    work: Work
    gradients: tuple[Gradient, ...]
    update: ChainPlan
    counts: ChainPlan | None
    descends: bool

    @property
    def plans(self) -> dict[str, ChainPlan]:
        """What takes numbers that are fixed, by the names of the arguments that hold its arguments."""
        found = {f"chain{k}": plan for k, plan in enumerate(self.work.chains)}
        return found | {f"formula{k}": g.plan for k, g in enumerate(self.gradients) if g.plan is not None}

    def image_places(self) -> tuple[dict[str, int], int]:
        """At which byte of an image the fixed numbers of each plan begin, and how many bytes there are."""
        room = Room()
        return {name: room.give(plan.fixed_size) for name, plan in self.plans.items()}, room.used

    def fused(self) -> dict[str, Gradient]:
        """The products that are added to their parameter, by name."""
        products = {str(product.symbol.params[0]) for product in self.work.totals}
        alone = [g for g in self.gradients if g.plan is None and g.total in products]
        return {g.total: g for g in alone if self.descends}

    def kept_places(self) -> tuple[dict[str, int], int]:
        """Where the totals that formulas take are kept, in numbers, and how many numbers there are."""
        alone = {g.total for g in self.gradients if g.plan is None}
        room, places = Room(), {}
        for name, count in self.total_numbers().items():
            if name not in alone:
                places[name] = room.give(count * self.work.item) // self.work.item
        return places, room.used // self.work.item

    def total_numbers(self) -> dict[str, int]:
        """How many numbers each total has."""
        lengths = self.work.cells.lengths
        found = {
            str(product.symbol.params[0]): math.prod(lengths[size] for size in product.symbol.shape)
            for product in self.work.totals
        }
        for plan in self.work.chains:
            for total in plan.unrolled.totals:
                found[total.name] = math.prod(axis.length for axis in total.axes)
        return found


def batch_places(batches: Batches) -> dict[object, int]:
    """At which byte of the arguments each stands."""
    places = argument_places(batches.work)
    names: list[object] = [*MORE, "kept"]
    names += [(what, name) for what in ("source", "fetched") for name in batches.work.layouts]
    names += [name for name in batches.plans if name.startswith("formula")]
    return places | {name: 8 * (len(places) + k) for k, name in enumerate(names)}


def write_batches(batches: Batches, sources: Mapping[str, int], parameters: Mapping[str, int]) -> str:
    """The text of the module.

    `sources` are the numbers of a row of the data by name, and `parameters` where each begins by its symbol.
    """
    return _Writer(batches, sources, parameters).text()


class _Writer(WorkWriter):
    """A walk while its code is written."""

    def __init__(self, batches: Batches, sources: Mapping[str, int], parameters: Mapping[str, int]) -> None:
        self.batches, self.sources, self.parameters = batches, sources, parameters
        super().__init__(batches.work)
        self.fused = batches.fused()
        self.alone = {g.total: g for g in batches.gradients if g.plan is None}
        self.kept, _ = batches.kept_places()
        self.numbers_of_chains = sum(plan.numbers for plan in self.work.chains)
        self.item = self.work.item
        self.chunk = Type(self.work.kind, batches.update.width)

    def argument_places(self) -> dict[object, int]:
        return batch_places(self.batches)

    def functions(self) -> dict[str, ChainPlan]:
        found = {**self.batches.plans, "update": self.batches.update}
        return found | ({"counts": self.batches.counts} if self.batches.counts else {})

    # ------------------------------------------------------------------------------------- the walk

    def outside(self) -> None:
        """All batches of the rows in their order."""
        writer = self.writer
        with writer.function("fetch", "ptr %a, i64 %row, i64 %count"):
            self.fetch("%row", "%count")
            writer.emit("ret void")
        with writer.function("rows", "ptr %a, i64 %low, i64 %high, i64 %count"):
            self.fix("%count", "chain")
            self.rows_of_batch("%low", "%high")
            writer.emit("ret void")
        with writer.function("step", "ptr %a, i64 %count"):
            self.fix("%count", "formula")
            self.step("%count")
            writer.emit("ret void")
        with writer.function(ENTRY, "ptr %a", inner=False):
            count, size = self.argument("count"), self.argument("batch")
            with writer.loop(0, count, size) as loop:
                rows = self.least(size, writer.integer("sub", count, loop.at))
                writer.emit(f"call void @fetch(ptr %a, i64 {loop.at}, i64 {rows})")
                writer.emit(f"call void @rows(ptr %a, i64 0, i64 {rows}, i64 {rows})")
                writer.emit(f"call void @step(ptr %a, i64 {rows})")
            writer.emit("ret void")
        fetch, rows, step = PARTS
        for name, call in (
            (fetch, "@fetch(ptr %a, i64 {low}, i64 {high})"),
            (rows, "@rows(ptr %a, i64 {low}, i64 {high}, i64 {count})"),
            (step, "@step(ptr %a, i64 {count})"),
        ):
            with writer.function(name, "ptr %a", inner=False):
                given = {key: self.argument(key) for key in ("low", "high", "count")}
                writer.emit(f"call void {call.format(**given)}")
                writer.emit("ret void")

    def least(self, a: str, b: str) -> str:
        return self.writer.scalar(f"select i1 {self.writer.test('slt', a, b)}, i64 {a}, i64 {b}")

    def rows_of_batch(self, low: str, high: str) -> None:
        """Some rows, block by block: all but totals of products, and for each block what it adds up."""
        writer, rows = self.writer, self.argument("rows")
        out, start = self.argument("out", "ptr"), self.argument("start", "ptr")
        with writer.loop(low, high, rows) as loop:
            count = self.least(rows, writer.integer("sub", high, loop.at))
            number = writer.integer("sdiv", loop.at, rows)
            mine = writer.at(out, writer.integer("mul", number, 8 * self.numbers_of_chains))
            self.copy(start, mine, self.numbers_of_chains, "double", "double")
            self.here = {name: self.first(name, loop.at) for name in self.work.layouts}
            self.all_phases(count, mine)

    def step(self, count: str) -> None:
        """The totals of all blocks, the gradients, and a step."""
        self.here = {name: self.first(name, "0") for name in self.work.layouts}
        self.gather_totals(count)
        for product in self.work.totals:
            super().product(product, count)
        for k, gradient in enumerate(self.batches.gradients):
            if gradient.plan is not None:
                area, numbers = self.argument(f"formula{k}", "ptr"), str(gradient.numbers)
                self.call_chain(f"formula{k}", area, "0", numbers, "null")
        area = self.argument("update", "ptr")
        for first, last in self.stepped():
            self.call_chain("update", area, str(first), str(last), "null")
        if self.batches.counts is not None:
            self.call_chain("counts", self.argument("counts", "ptr"), "0", "1", "null")

    def product(self, product: Product, count: str) -> None:
        """What is a total waits until all blocks are done."""
        if not product.total:
            super().product(product, count)

    def stepped(self) -> list[tuple[int, int]]:
        """Where the optimiser steps: everywhere but where products have been added."""
        found: list[tuple[int, int]] = []
        for g in self.batches.gradients:
            if g.total in self.fused:
                continue
            if found and g.first - found[-1][1] < self.chunk.lanes:
                found[-1] = (found[-1][0], g.first + g.numbers)
            else:
                found.append((g.first, g.first + g.numbers))
        return found

    def fetch(self, row: str, count: str) -> None:
        """The rows of this batch: as they lie where there is no order, else one by one."""
        writer = self.writer
        order = self.argument("order", "ptr")
        none = writer.scalar(f"icmp eq ptr {order}, null")
        some, done = writer.label("some"), writer.label("done")
        sizes = {name: entries * self.item for name, entries in self.sources.items()}
        sources = {name: self.argument(("source", name), "ptr") for name in sizes}
        fetched = {name: self.argument(("fetched", name), "ptr") for name in sizes}
        writer.branch(none, done, some)
        writer.place(some)
        numbers = writer.at(order, writer.integer("mul", row, 8))
        with writer.loop(0, count, 1) as loop:
            number = writer.scalar(f"load i64, ptr {writer.at(numbers, writer.integer('mul', loop.at, 8))}")
            for name, size in sizes.items():
                source = writer.at(sources[name], writer.integer("mul", number, size))
                target = writer.at(fetched[name], writer.integer("mul", loop.at, size))
                self.copy(source, target, self.sources[name])
        writer.jump(done)
        writer.place(done)
        for name, size in sizes.items():
            direct = writer.at(sources[name], writer.integer("mul", row, size))
            here = writer.scalar(f"select i1 {none}, ptr {direct}, ptr {fetched[name]}")
            writer.emit(f"store ptr {here}, ptr {writer.at('%a', self.args['data', name])}")

    def fix(self, count: str, kind: str) -> None:
        """What is the same for all rows of this batch: numbers that are known, and parameters as they are."""
        writer = self.writer
        whole = writer.test("eq", count, self.argument("batch"))
        images, last = self.argument("images", "ptr"), self.argument("last_images", "ptr")
        image = writer.scalar(f"select i1 {whole}, ptr {images}, ptr {last}")
        places, _ = self.batches.image_places()
        for name, plan in self.batches.plans.items():
            if not plan.fixed or not name.startswith(kind):
                continue
            area = self.argument(("chain", int(name[5:])) if kind == "chain" else name, "ptr")
            fixed = writer.scalar(f"load ptr, ptr {writer.at(area, chain_places(plan)['fixed'])}")
            known = [symbol for symbol in plan.fixed if str(symbol.params[0]) not in self.parameters]
            if known:
                self.copy(writer.at(image, places[name]), fixed, plan.fixed_size // self.item)
            for symbol in plan.fixed:
                if str(symbol.params[0]) in self.parameters:
                    self.fix_parameter(plan, symbol, fixed)

    def fix_parameter(self, plan: Plan, symbol: Expr, fixed: str) -> None:
        """A parameter to where a plan looks for it, its wide axis padded."""
        writer, name = self.writer, str(symbol.params[0])
        axes = plan.cells.axes(symbol.shape)
        wide = [k for k, axis in enumerate(axes) if axis.kind == "wide"]
        if wide and wide[0] != len(axes) - 1:
            raise Unsupported("a parameter would have to be turned for each batch")
        length = axes[-1].length if wide else math.prod(axis.length for axis in axes)
        padded = plan.padded(str(axes[-1].size)) if wide else length
        x = writer.at(self.argument("x", "ptr"), self.parameters[name] * self.item)
        for k in range(math.prod(axis.length for axis in axes) // length):
            target = writer.at(fixed, plan.fixed_at[name] + k * padded * self.item)
            self.copy(writer.at(x, k * length * self.item), target, length)

    # ------------------------------------------------------------------------------------- totals

    def total_place(self, name: str) -> str:
        """Where a total comes to lie: in the gradient, or where formulas find it."""
        if name in self.alone:
            first = self.alone[name].first
            return self.writer.at(self.argument("g", "ptr"), first * self.item)
        return self.writer.at(self.argument("kept", "ptr"), self.kept[name] * self.item)

    def result(self, product: Product) -> tuple[str, str, tuple[str, str]]:
        if not product.total:
            return super().result(product)
        name, far = str(product.symbol.params[0]), self.length(product.symbol.shape[1])
        if name not in self.fused:
            return "1.0", "0.0", (self.total_place(name), far)
        rate = self.writer.scalar(f"fneg {self.work.kind} {self.argument('rate', self.work.kind)}")
        place = self.writer.at(self.argument("x", "ptr"), self.fused[name].first * self.item)
        return rate, "1.0", (place, far)

    def gather_totals(self, count: str) -> None:
        """The totals of chains, of all blocks one after the other, to their places."""
        writer, numbers = self.writer, self.numbers_of_chains
        out, rows = self.argument("out", "ptr"), self.argument("rows")
        if numbers:
            with writer.loop(rows, count, rows) as loop:
                number = writer.integer("sdiv", loop.at, rows)
                more = writer.at(out, writer.integer("mul", number, 8 * numbers))
                with writer.loop(0, 8 * numbers, 8) as inner:
                    place = writer.at(out, inner.at)
                    one = Type("double", 1)
                    both = writer.load(place, one, 8) + writer.load(writer.at(more, inner.at), one, 8)
                    writer.store(both, place, 8)
        at = 0
        for plan in self.work.chains:
            for total in plan.unrolled.totals:
                self.gather_total(plan, total, at)
            at += plan.numbers

    def gather_total(self, plan: Plan, total: Total, at: int) -> None:
        writer = self.writer
        sums = [s for s in plan.sums if s.total is total]
        kinds = [axis.kind for axis in total.axes]
        if total.rooted or total.how != "sum" or ("wide" in kinds and kinds[-1] != "wide"):
            raise Unsupported("a total would have to be turned after each batch")
        target = self.total_place(total.name)
        length = plan.length(total.wide)
        out = self.argument("out", "ptr")
        if total.wide:
            for k, s in enumerate(sums):
                source = writer.at(out, 8 * (at + s.place))
                self.copy(source, writer.at(target, k * length * self.item), length, "double")
        else:
            self.copy(writer.at(out, 8 * (at + sums[0].place)), target, len(sums), "double")

    def copy(self, source: str, target: str, numbers: int, kind: str = "", to: str = "") -> None:
        """So many numbers of a kind, that of the data where nothing is said, as numbers of another."""
        writer = self.writer
        kind, to = kind or self.work.kind, to or self.work.kind
        size, other = (8 if each == "double" else 4 for each in (kind, to))
        lanes = self.chunk.lanes
        whole = numbers // lanes * lanes

        def one(at: str | int, mask: Vec | None) -> None:
            wide = Type(kind, lanes)
            far = [at * s if isinstance(at, int) else writer.integer("mul", at, s) for s in (size, other)]
            place = writer.at(source, far[0])
            value = writer.load(place, wide, size) if mask is None else writer.masked_load(place, mask, wide)
            value = value.as_kind(to)
            there = writer.at(target, far[1])
            if mask is None:
                writer.store(value, there, other)
            else:
                writer.masked_store(value, there, mask)

        if whole:
            with writer.loop(0, whole, lanes) as loop:
                one(loop.at, None)
        if whole < numbers:
            text = ", ".join(f"i1 {int(whole + k < numbers)}" for k in range(lanes))
            one(whole, Vec(writer, f"<{text}>", Type("i1", lanes)))
