"""How does a walk through mini-batches come about, and how is it called?"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradstep.backends.blocks import Values
from gradstep.backends.native import engine
from gradstep.backends.native.batches import (
    DONE,
    ENTRY,
    NEXT,
    Batches,
    Gradient,
    Part,
    batch_places,
    write_batches,
)
from gradstep.backends.native.blas import blas, giving_way
from gradstep.backends.native.calls import Fixed, address
from gradstep.backends.native.cells import Cells, Unsupported
from gradstep.backends.native.chains import Work
from gradstep.backends.native.layouts import Array
from gradstep.backends.native.making import Rule
from gradstep.backends.native.matrices import Memory, work_of
from gradstep.backends.native.plan import LINE, Layout
from gradstep.backends.native.products import named
from gradstep.backends.native.reductions import IDENTITY
from gradstep.backends.native.running import Native
from gradstep.backends.native.vectors import Vectors, flattened, number, vector, vector_plan
from gradstep.backends.native.walker import Listen, unheard
from gradstep.backends.rows import Pass, Rows
from gradstep.backends.threads import shared_out
from gradstep.expression.node import Expr, replace, walk
from gradstep.expression.records import record, replaced
from gradstep.expression.shapes import Lengths
from gradstep.operations.leaves import symbol_op

NEARBY = 4 << 20  # bytes of a block of rows, with all that is computed for it
FEWEST = 32  # rows of a block
TOGETHER = 16  # rows that products take together
LONGEST = 0.1  # seconds without looking up
ENOUGH = 8_000_000  # operations that are worth a piece of their own


@record
class Place:
    """Where a parameter begins among all numbers, its symbol, and its lengths."""

    symbol: Expr
    first: int
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        return str(self.symbol.params[0])


def batches_of(
    rows: Rows,
    lengths: Lengths,
    places: Mapping[str, Place],
    rule: Rule,
    update: Vectors,
    batch: int,
    threads: int,
) -> Batches:
    """What a walk is made of; `places` are the parameters by the user's names. Raises `Unsupported`."""
    if len(rows.passes) != 1:
        raise Unsupported("each gradient takes several passes over the rows")
    parameters = {place.name for place in places.values()}
    before, after = rows.between
    leaves = walk(*(line.value for line in before.lines))
    if any(leaf.op is symbol_op and str(leaf.params[0]) in parameters for leaf in leaves):
        raise Unsupported("what a pass begins with depends on parameters")
    (step,) = rows.passes
    known: dict[Expr, Expr] = {}
    for line in after.lines:
        known[named(line.name, line.value)] = replace(line.value, known)
    kind = update.plan.kind
    gradients, needed = [], set()
    for name, place in places.items():
        given = rows.outputs[name]
        if given in step.totals:
            gradients.append(Gradient(place.name, place.first, place.shape, given, None))
            needed.add(given)
            continue
        if given not in after.outputs:
            raise Unsupported("a gradient does not depend on the rows")
        value = replace(after.outputs[given], known)
        names = {str(leaf.params[0]) for leaf in walk(value) if leaf.op is symbol_op}
        mine = names & ({place.name} | set(step.totals))
        flat = flattened(value, place.symbol.shape, mine)
        plan = vector_plan({"new.g": flat}, {}, kind, lengths)
        gradients.append(Gradient(place.name, place.first, place.shape, "", plan))
        needed |= mine - {place.name}
    taken = [name for gradient in gradients for name in gradient.totals]
    if len(set(taken)) < len(taken):
        raise Unsupported("two parameters share a part of their gradients")
    for gradient in gradients:
        fixed = gradient.plan.fixed if gradient.plan is not None else []
        if any(str(symbol.params[0]) in parameters | set(step.totals) for symbol in fixed):
            raise Unsupported("the gradient of a parameter depends on another one")
    outputs = {name: symbol for name, symbol in step.program.outputs.items() if name in needed}
    totals = {name: how for name, how in step.totals.items() if name in needed}
    pruned = Pass(replaced(step.program, outputs=outputs), totals, {})
    work = work_of(pruned, rows.size, lengths, kind, lambda cells, symbol: _packed(cells, symbol, rows.size))
    kept = [str(each.symbol.params[0]) for total in work.totals for each in (total.left, total.right)]
    blocks = math.ceil(batch / rows_together(work, batch, threads))
    adds = threads == 1 and blocks > 1
    if not adds:
        work = replaced(work, moving=work.moving | set(kept))
    counts, descends = _update(rule, kind)
    products = {str(product.symbol.params[0]) for product in work.totals}
    parts = tuple(part for gradient in gradients for part in parts_of(gradient, products, batch, threads))
    return Batches(work, tuple(gradients), update.plan, counts, descends, blocks, parts, adds)


def parts_of(gradient: Gradient, products: set[str], batch: int, threads: int) -> list[Part]:
    """Parts of a parameter for several threads, where its gradient is so much work."""
    rows = gradient.shape[0] if gradient.shape else 1
    work = 2 * batch * gradient.numbers if gradient.totals <= products and gradient.totals else 0
    count = min(2 * threads, work // ENOUGH) if threads > 1 else 1
    step = -(-math.ceil(rows / max(count, 1)) // TOGETHER) * TOGETHER
    return [Part(gradient, first, min(first + step, rows)) for first in range(0, rows, step)]


def _packed(cells: Cells, symbol: Expr, size: object) -> Layout:
    """Rows one after the other."""
    return Layout("packed", math.prod(cells.lengths[each] for each in symbol.shape if each != size))


def _update(rule: Rule, kind: str) -> tuple[Any, bool]:
    """What becomes of the numbers of an optimiser, and whether it does nothing but go down the gradient."""
    x, g, rate = vector("x"), vector("g"), number("rate")
    begin = rule.begin(np.zeros(1))
    memory = {name: vector(name) if np.ndim(value) else number(name) for name, value in begin.items()}
    following, after = rule.update(x, g, memory, rate)
    counts = [name for name, value in begin.items() if not np.ndim(value)]
    values = {f"new.{name}": flattened(after[name], (), {name}) for name in counts}
    plan = vector_plan(values, {}, kind) if values else None
    return plan, following is x - rate * g and not after


def rows_together(work: Work, batch: int, threads: int) -> int:
    """How many rows of a batch are computed at a time: what that takes is near, and each thread has some."""
    own = sum(layout.entries for layout in work.layouts.values())
    blocks = max(1, round(batch * own * work.item / NEARBY))
    blocks = max(blocks, min(threads, batch // FEWEST))
    return -(-math.ceil(batch / blocks) // TOGETHER) * TOGETHER


class BatchCall:
    """A walk through mini-batches over certain data, with the parameters and the optimiser of someone."""

    def __init__(
        self,
        batches: Batches,
        native: Native,
        data: Mapping[str, Array],
        update: Vectors,
        at: Mapping[str, Array],
        batch: int,
    ) -> None:
        self.batches, self.native, self.update, self.batch = batches, native, update, batch
        self.kind, self.threads = update.kind, native.threads
        work = batches.work
        self.rows = rows_together(work, batch, self.threads)
        entries = {name: work.layouts[name].entries for name in work.moving}
        self.sources = {name: count for name, count in entries.items() if name in native.rows.axes}
        self.parameters = {gradient.symbol: gradient.first for gradient in batches.gradients}
        self.arrays = {name: self.arranged(name, data[name]) for name in self.sources}
        self.count = len(next(iter(self.arrays.values())))
        self.kept = {name: np.empty((batch, count), self.kind) for name, count in entries.items()}
        self.function = engine.loaded(write_batches(batches, self.sources, self.parameters), ENTRY)
        self.taken = np.zeros(2 * LINE // 8 + LINE, np.int64)
        x, g = at["x"], at["g"]
        matrices = {name: x[self.parameters[name] :] for name in work.matrices if name in self.parameters}
        given = [name for name in work.matrices if name not in matrices]
        matrices |= {name: np.ascontiguousarray(data[name], self.kind) for name in given}
        starts = [np.full(s.length, IDENTITY[s.total.how]) for plan in work.chains for s in plan.sums]
        start = np.concatenate([np.zeros(0), *starts])
        out = np.zeros((batches.blocks, len(start)))
        kept, numbers = batches.kept_places()
        self.totals = np.zeros(numbers, self.kind)
        self.formulas = self.formulas_at(x, g, kept)
        self.counts = self.counts_in(update)
        whole, last = (self.image(data, count) for count in (batch, self.count % batch or batch))
        self.shared: dict[object, Array] = {"images": whole, "last_images": last, "start": start, "out": out}
        self.shared |= {"x": x, "g": g, "kept": self.totals, "update": update.area, "taken": self.taken}
        self.shared |= {("matrix", name): matrix for name, matrix in matrices.items()}
        self.shared |= {("source", name): self.arrays[name] for name in self.sources}
        self.shared |= {f"formula{k}": made.area for k, made in self.formulas.items()}
        self.shared |= {("data", name): array for name, array in self.kept.items()}
        if self.counts is not None:
            self.shared["counts"] = self.counts.area
        self.memories = [self.memory() for _ in range(self.threads)]

    def memory(self) -> Memory:
        """Memory of a thread."""
        plans = [*self.batches.plans.values(), self.batches.update]
        plans += [self.batches.counts] if self.batches.counts else []
        room = max(plan.room for plan in plans)
        made = Memory(self.batches.work, batch_places(self.batches), self.rows, room)
        for name, array in self.shared.items():
            made.tell(name, address(array))
        for name in self.kept:
            made.stride(name, self.batch * self.kind.itemsize)
        made.tell("batch", self.batch)
        made.tell("count", self.count)
        made.tell("yield", giving_way())
        return made

    def arranged(self, name: str, array: Array) -> Array:
        """Rows one after the other, the wide axis of each last."""
        cells, at = self.batches.work.cells, self.native.rows.axes[name]
        array = np.moveaxis(array, at, 0)
        symbol = next(given.symbol for given in self.native.program.inputs if given.symbol.params[0] == name)
        kinds = [axis.kind for k, axis in enumerate(cells.axes(symbol.shape)) if k != at]
        if "wide" in kinds:
            array = np.moveaxis(array, 1 + kinds.index("wide"), -1)
        return np.ascontiguousarray(array, self.kind).reshape(len(array), -1)

    def formulas_at(self, x: Array, g: Array, kept: Mapping[str, int]) -> dict[int, Vectors]:
        """The formulas of gradients by their number, and where their operands lie."""
        alone = {each.total: each.first for each in self.batches.gradients if each.plan is None}
        found = {}
        for k, gradient in enumerate(self.batches.gradients):
            if gradient.plan is None:
                continue
            made = found[k] = Vectors(gradient.plan)
            for name in gradient.plan.layouts:
                if name == gradient.symbol:
                    made.lies(name, x[gradient.first :])
                else:
                    made.lies(name, g[alone[name] :] if name in alone else self.totals[kept[name] :])
            made.lies("new.g", g[gradient.first :])
        return found

    def counts_in(self, update: Vectors) -> Vectors | None:
        """What counts the steps, among the fixed numbers of the update."""
        if self.batches.counts is None:
            return None
        made = Vectors(self.batches.counts)
        for name in self.batches.counts.layouts:
            place = update.place(name)
            made.lies(name, place)
            made.lies(f"new.{name}", place)
        return made

    def image(self, data: Mapping[str, Array], count: int) -> Array:
        """What is fixed for batches of so many rows, as all plans look for it."""
        native = self.native
        places, size = self.batches.image_places()
        found = np.zeros(size // self.kind.itemsize + 64, self.kind)
        known: Values = {name: array for name, array in data.items()}
        for name, at in native.rows.axes.items():
            known[name] = np.take(data[name], [0], at)
        known[native.rows.count] = float(count)
        native.compute(0, known)
        for name, plan in self.batches.plans.items():
            first = places[name] // self.kind.itemsize
            for symbol in plan.fixed:
                called = str(symbol.params[0])
                if called not in self.parameters:
                    Fixed(plan, called).view(found[first:])[...] = known[called]
        return found

    def run(self, order: Array | None, rate: float, listen: Listen = unheard) -> None:
        """All batches in this order of the rows, or as they lie; the update has its numbers.

        After some batches Python is back for a moment, and `listen` may end it.
        """
        order = None if order is None else np.ascontiguousarray(order, np.int64)
        for memory in self.memories:
            memory.tell("order", 0 if order is None else address(order))
            memory.args.view(self.kind)[memory.places["rate"] // self.kind.itemsize] = rate
        first, together, batches = 0, 1, math.ceil(self.count / self.batch)
        with blas().threads(1):
            while first < batches:
                began = time.perf_counter()
                self.some_batches(first, min(first + together, batches))
                first += together
                together *= 2 if time.perf_counter() - began < LONGEST else 1
                listen()

    def some_batches(self, first: int, last: int) -> None:
        """The batches from the first on and before the last, by all threads."""
        each = self.batches.pieces
        self.taken[[NEXT // 8, DONE // 8]] = first * each
        for memory in self.memories:
            memory.tell("pieces", last * each)

        def pieces(number: int) -> None:
            self.function(address(self.memories[number].args))

        shared_out(pieces, self.threads, self.threads)
