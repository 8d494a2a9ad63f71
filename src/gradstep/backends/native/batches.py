"""How is a walk through mini-batches written where each multiplies matrices? As one function for all threads.

Each batch comes in pieces: blocks of its rows, for which everything but totals is computed; then parts of
parameters, whose gradient comes to its place, and which step; then what counts the steps. A thread takes the
next piece as soon as what it needs is done, so that nobody waits for a thread that does not run. Where a step
only takes the gradient away, a product is added to its parameter as it is computed. A thread that is alone
adds the products of each block to the totals while the block is near: no array has all rows of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from gradstep.backends.native.assembly import Type, Vec
from gradstep.backends.native.cells import Unsupported
from gradstep.backends.native.chains import ChainPlan, Work, WorkWriter, argument_places, chain_places
from gradstep.backends.native.plan import LINE, Plan, Room
from gradstep.backends.native.products import Product
from gradstep.backends.native.unrolling import Total
from gradstep.expression.node import Expr
from gradstep.expression.records import record

ENTRY = "gradstep_batches"
MORE = (
    *("order", "count", "batch", "images", "last_images", "start", "rate", "x", "g", "update", "counts"),
    *("pieces", "taken", "kept", "yield"),
)
NEXT, DONE = 0, LINE  # of `taken`: how many pieces somebody has begun, and how many are done


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
    def totals(self) -> set[str]:
        """What it is made of."""
        return {self.total} if self.plan is None else set(self.plan.layouts) - {self.symbol}

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)


@record
class Part:
    """Some rows of a parameter, from the first to before the last; of a vector all."""

    gradient: Gradient
    first: int
    last: int


@record
class Batches:
    """All that a walk is made of.

    work       from the rows of a batch to totals
    gradients  of all parameters
    update     from "x", "g" and the optimiser's memory to what they are next; `counts` is for its numbers
    descends   whether the update only takes the gradient away, times the rate
    blocks     into how many blocks the rows of a batch are divided, and into which `parts` the parameters
    adds       whether each block adds its products to the totals, so that it can be forgotten
    """

    work: Work
    gradients: tuple[Gradient, ...]
    update: ChainPlan
    counts: ChainPlan | None
    descends: bool
    blocks: int
    parts: tuple[Part, ...]
    adds: bool

    @property
    def pieces(self) -> int:
        """How many pieces of work a batch is."""
        return self.blocks + len(self.parts) + (self.counts is not None)

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
        return {g.total: g for g in alone if self.descends and not self.adds}

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
    names: list[object] = list(MORE)
    names += [("source", name) for name in batches.work.layouts]
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
        """The functions of the pieces, and who takes the next one."""
        writer = self.writer
        with writer.function("rows", "ptr %a, i64 %start, i64 %number, i64 %count"):
            self.rows_of_batch("%start", "%number", "%count")
        for number, part in enumerate(self.batches.parts):
            with writer.function(f"part{number}", "ptr %a, i64 %start, i64 %count"):
                self.part(part, "%start", "%count")
                writer.emit("ret void")
        with writer.function(ENTRY, "ptr %a", inner=False):
            self.take_pieces()

    def take_pieces(self) -> None:
        """One piece after the other, as long as there are some."""
        writer, batches = self.writer, self.batches
        taken, pieces, size = self.argument("taken", "ptr"), self.argument("pieces"), self.argument("batch")
        count, others = self.argument("count"), self.argument("yield", "ptr")
        done_at = writer.at(taken, DONE)
        look, some, ready, mine, wait, out = (
            writer.label(word) for word in ("look", "some", "ready", "mine", "wait", "out")
        )
        writer.jump(look)
        writer.place(look)
        number = writer.scalar(f"load atomic i64, ptr {taken} monotonic, align 8")
        writer.branch(writer.test("slt", number, pieces), some, out)
        writer.place(some)
        each = batches.pieces
        piece = writer.scalar(f"urem i64 {number}, {each}")
        before = writer.integer("sub", number, piece)
        needed = "0"
        for first in (batches.blocks, batches.blocks + len(batches.parts)):
            later = writer.test("sge", piece, first)
            needed = writer.scalar(f"select i1 {later}, i64 {first}, i64 {needed}")
        needed = writer.integer("add", before, needed)
        done = writer.scalar(f"load atomic i64, ptr {done_at} acquire, align 8")
        writer.branch(writer.test("sge", done, needed), ready, wait)
        writer.place(wait)
        writer.emit(f"call i32 {others}()")
        writer.jump(look)
        writer.place(ready)
        following = writer.integer("add", number, 1)
        swapped = writer.scalar(f"cmpxchg ptr {taken}, i64 {number}, i64 {following} monotonic monotonic")
        writer.branch(writer.scalar(f"extractvalue {{ i64, i1 }} {swapped}, 1"), mine, look)
        writer.place(mine)
        batch = writer.scalar(f"udiv i64 {number}, {each}")
        start = writer.integer("mul", batch, size)
        rows = self.least(size, writer.integer("sub", count, start))
        self.one_piece(piece, start, rows)
        writer.emit(f"atomicrmw add ptr {done_at}, i64 1 release")
        writer.jump(look)
        writer.place(out)
        writer.emit("ret void")

    def one_piece(self, piece: str, start: str, rows: str) -> None:
        """The piece of this number of a batch that begins at row `start`."""
        writer, batches = self.writer, self.batches
        block, counts, after = writer.label("block"), writer.label("counts"), writer.label("after")
        parts = [writer.label("part") for _ in batches.parts]
        last = counts if batches.counts is not None else block
        cases = " ".join(f"i64 {batches.blocks + k}, label %{label}" for k, label in enumerate(parts))
        cases += f" i64 {batches.blocks + len(parts)}, label %{last}"
        writer.emit(f"switch i64 {piece}, label %{block} [ {cases} ]")
        writer.place(block)
        writer.emit(f"call void @rows(ptr %a, i64 {start}, i64 {piece}, i64 {rows})")
        writer.jump(after)
        for number, label in enumerate(parts):
            writer.place(label)
            writer.emit(f"call void @part{number}(ptr %a, i64 {start}, i64 {rows})")
            writer.jump(after)
        if batches.counts is not None:
            writer.place(counts)
            self.call_chain("counts", self.argument("counts", "ptr"), "0", "1", "null")
            writer.jump(after)
        writer.place(after)

    def least(self, a: str, b: str) -> str:
        return self.writer.scalar(f"select i1 {self.writer.test('slt', a, b)}, i64 {a}, i64 {b}")

    # ------------------------------------------------------------------------------------- rows

    def rows_of_batch(self, start: str, number: str, count: str) -> None:
        """A block of rows of the batch that begins at row `start`: all but totals of products."""
        writer, rows = self.writer, self.argument("rows")
        low = writer.integer("mul", number, rows)
        left = writer.integer("sub", count, low)
        some, none = writer.label("some"), writer.label("none")
        writer.branch(writer.test("sgt", left, 0), some, none)
        writer.place(some)
        here = self.least(rows, left)
        self.fetch(start, low, here)
        self.fix(count, "chain")
        mine = writer.at(
            self.argument("out", "ptr"), writer.integer("mul", number, 8 * self.numbers_of_chains)
        )
        self.copy(self.argument("start", "ptr"), mine, self.numbers_of_chains, "double", "double")
        self.here = self.rows_from(start, low)
        if self.batches.adds:
            first = writer.test("eq", number, 0)
            self.before = writer.scalar(f"select i1 {first}, {self.work.kind} 0.0, {self.work.kind} 1.0")
        self.all_phases(here, mine)
        writer.jump(none)
        writer.place(none)
        writer.emit("ret void")

    def rows_from(self, start: str, low: str) -> dict[str, str]:
        """Where each array begins for the rows from `low` on of the batch that begins at row `start`."""
        writer = self.writer
        none = writer.scalar(f"icmp eq ptr {self.argument('order', 'ptr')}, null")
        found = {}
        for name in self.work.layouts:
            if name in self.sources:
                size = self.sources[name] * self.item
                source = self.argument(("source", name), "ptr")
                direct = writer.at(source, writer.integer("mul", start, size))
                fetched = self.argument(("data", name), "ptr")
                base = writer.scalar(f"select i1 {none}, ptr {direct}, ptr {fetched}")
                found[name] = writer.at(base, writer.integer("mul", low, size))
            else:
                found[name] = self.first(name, low)
        return found

    def fetch(self, start: str, low: str, count: str) -> None:
        """Where there is an order, the rows from `low` on of the batch that begins at row `start`."""
        writer = self.writer
        order = self.argument("order", "ptr")
        some, done = writer.label("some"), writer.label("done")
        sizes = {name: entries * self.item for name, entries in self.sources.items()}
        sources = {name: self.argument(("source", name), "ptr") for name in sizes}
        fetched = {name: self.argument(("data", name), "ptr") for name in sizes}
        writer.branch(writer.scalar(f"icmp eq ptr {order}, null"), done, some)
        writer.place(some)
        numbers = writer.at(order, writer.integer("mul", writer.integer("add", start, low), 8))
        with writer.loop(0, count, 1) as loop:
            number = writer.scalar(f"load i64, ptr {writer.at(numbers, writer.integer('mul', loop.at, 8))}")
            there = writer.integer("add", low, loop.at)
            for name, size in sizes.items():
                source = writer.at(sources[name], writer.integer("mul", number, size))
                target = writer.at(fetched[name], writer.integer("mul", there, size))
                self.copy(source, target, self.sources[name])
        writer.jump(done)
        writer.place(done)

    def product(self, product: Product, count: str) -> None:
        """What is a total waits until all blocks are done, or grows with each."""
        if self.batches.adds or not product.total:
            super().product(product, count)

    # ------------------------------------------------------------------------------------- parts

    def part(self, part: Part, start: str, count: str) -> None:
        """The gradient of a part of a parameter from the totals of all blocks, and its step."""
        gradient = part.gradient
        columns = gradient.numbers // (gradient.shape[0] if gradient.shape else 1)
        self.here = self.rows_from(start, "0")
        for product in self.work.totals:
            if str(product.symbol.params[0]) in gradient.totals and not self.batches.adds:
                self.total_part(product, part, count)
        at = 0
        for plan in self.work.chains:
            for total in plan.unrolled.totals:
                if total.name in gradient.totals:
                    self.gather_total(plan, total, at, count)
            at += plan.numbers
        first, last = part.first * columns, part.last * columns
        if gradient.plan is not None:
            name = f"formula{self.batches.gradients.index(gradient)}"
            self.fix(count, name)
            self.call_chain(name, self.argument(name, "ptr"), str(first), str(last), "null")
        if gradient.total not in self.fused:
            area, begin = self.argument("update", "ptr"), gradient.first
            self.call_chain("update", area, str(begin + first), str(begin + last), "null")

    def total_part(self, product: Product, part: Part, count: str) -> None:
        """Some rows of a product that is a total."""
        writer, item = self.writer, self.item
        left, right = product.left, product.right
        (a, far, turned), b = self.matrix(left), self.matrix(right)
        alpha, beta, (c, apart) = self.result(product)
        step = (
            item if turned else writer.integer("mul", far, item) if not far.isdecimal() else int(far) * item
        )
        a = writer.at(
            a, writer.integer("mul", step, part.first) if isinstance(step, str) else step * part.first
        )
        c = writer.at(c, part.first * int(apart) * item)
        shape = left.symbol.shape
        k = self.extent(shape[0] if left.turned else shape[1], count)
        sizes = (str(part.last - part.first), self.length(product.symbol.shape[1]), k)
        self.multiply(alpha, beta, (a, far, turned), b, (c, apart), sizes)

    def fix(self, count: str, kind: str) -> None:
        """What is the same for all rows of this batch: numbers that are known, and parameters as they are."""
        writer = self.writer
        whole = writer.test("eq", count, self.argument("batch"))
        images, last = self.argument("images", "ptr"), self.argument("last_images", "ptr")
        image = writer.scalar(f"select i1 {whole}, ptr {images}, ptr {last}")
        places, _ = self.batches.image_places()
        for name, plan in self.batches.plans.items():
            if not plan.fixed or (name != kind and not (kind == "chain" and name.startswith(kind))):
                continue
            area = self.argument(("chain", int(name[5:])) if name.startswith("chain") else name, "ptr")
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
            return "1.0", self.before, (self.total_place(name), far)
        rate = self.writer.scalar(f"fneg {self.work.kind} {self.argument('rate', self.work.kind)}")
        place = self.writer.at(self.argument("x", "ptr"), self.fused[name].first * self.item)
        return rate, "1.0", (place, far)

    def gather_total(self, plan: Plan, total: Total, at: int, count: str) -> None:
        """The total of a chain, of all blocks one after the other, to its place."""
        writer, numbers = self.writer, self.numbers_of_chains
        sums = [s for s in plan.sums if s.total is total]
        kinds = [axis.kind for axis in total.axes]
        if total.rooted or total.how != "sum" or ("wide" in kinds and kinds[-1] != "wide"):
            raise Unsupported("a total would have to be turned after each batch")
        out, rows = self.argument("out", "ptr"), self.argument("rows")
        size = 8 * sum(s.length for s in sums)
        mine = writer.at(out, 8 * (at + sums[0].place))
        with writer.loop(rows, count, rows) as loop:
            number = writer.integer("sdiv", loop.at, rows)
            more = writer.at(mine, writer.integer("mul", number, 8 * numbers))
            with writer.loop(0, size, 8) as inner:
                place, one = writer.at(mine, inner.at), Type("double", 1)
                both = writer.load(place, one, 8) + writer.load(writer.at(more, inner.at), one, 8)
                writer.store(both, place, 8)
        target = self.total_place(total.name)
        length = plan.length(total.wide)
        if total.wide:
            for k, s in enumerate(sums):
                source = writer.at(out, 8 * (at + s.place))
                self.copy(source, writer.at(target, k * length * self.item), length, "double")
        else:
            self.copy(mine, target, len(sums), "double")

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
