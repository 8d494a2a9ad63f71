"""How does a pass with products of matrices run? Groups of blocks, each by one thread with its own memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gradstep.backends.blocks import GROUPS, KEPT, Division, Source, Values
from gradstep.backends.native import engine
from gradstep.backends.native.blas import blas
from gradstep.backends.native.calls import Result, address, fixed_of, in_range, in_shape, merged
from gradstep.backends.native.cells import Cells, TooMany
from gradstep.backends.native.chains import (
    ENTRY,
    ChainPlan,
    Work,
    WorkWriter,
    argument_places,
    chain_places,
    joined_layouts,
)
from gradstep.backends.native.layouts import Array, Given
from gradstep.backends.native.near import NearWriter, near_places
from gradstep.backends.native.plan import LINE, Layout, Processor, Room, long_axis
from gradstep.backends.native.products import Phase, phases
from gradstep.backends.native.reductions import IDENTITY
from gradstep.backends.native.unrolling import SHORT, Unrolled
from gradstep.backends.native.unrolling import _Unrolling as Unrolling
from gradstep.backends.rows import Pass
from gradstep.backends.threads import shared_out
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Lengths, Size

BLOCK = 8 << 20  # bytes of what is computed for the rows of a block
FEWEST = 64  # rows of a block
PIECE = 96  # rows of a piece of a matrix, whose products with another one stay in the cache
SHARED, ENOUGH = 4, 256  # so many blocks there are for threads where each has so many rows


def work_of(
    step: Pass,
    row_size: Size,
    lengths: Lengths,
    kind: str,
    lies: Callable[[Cells, Expr], Layout],
    short: int = SHORT,
) -> Work:
    """A pass in chains and products; `lies` says how data lie. Raises `Unsupported`.

    Entries along axes that are no longer than `short` are written out.
    """
    blas()
    found = phases(step, row_size)
    cells, chains = _unrolled(found, row_size, lengths, short)
    processor = Processor(engine.vector_bytes(), engine.registers())
    symbols = {str(each.symbol.params[0]): each.symbol for each in step.program.inputs}
    rows = {name: symbol for name, symbol in symbols.items() if row_size in symbol.shape}
    layouts = {name: lies(cells, symbol) for name, symbol in rows.items()}
    products = [product for phase in found for product in phase.products]
    for product in products:
        if not product.total:
            (axis,) = [axis for axis in cells.axes(product.symbol.shape) if axis.kind != "row"]
            how = "packed" if axis.kind == "wide" or axis.length == 1 else "columns"
            layouts[str(product.symbol.params[0])] = Layout(how, axis.length)
    plans: list[ChainPlan | None] = []
    for phase, form in zip(found, chains, strict=True):
        if phase.chain is None or form is None:
            plans.append(None)
            continue
        inputs = [each.symbol for each in phase.chain.program.inputs]
        mine = {str(s.params[0]): layouts[str(s.params[0])] for s in inputs if row_size in s.shape}
        fixed = [symbol for symbol in inputs if row_size not in symbol.shape]
        plan = ChainPlan(form, kind, processor, mine, fixed)
        layouts |= joined_layouts([plan])
        plans.append(plan)
    operands = [each.symbol for product in products for each in (product.left, product.right)]
    matrices = dict.fromkeys(str(s.params[0]) for s in operands if row_size not in s.shape)
    steps = tuple((plan, phase.products) for plan, phase in zip(plans, found, strict=True))
    moving = frozenset(rows) | frozenset(step.joined)
    return Work(cells, kind, steps, layouts, moving, tuple(matrices))


def _unrolled(
    found: Sequence[Phase], row_size: Size, lengths: Lengths, short: int
) -> tuple[Cells, list[Unrolled | None]]:
    """The cells of all chains, with the same wide axes."""
    programs = [phase.chain.program for phase in found if phase.chain is not None]
    nodes = walk(*(line.value for program in programs for line in program.lines))
    sizes = dict.fromkeys(size for node in nodes for size in node.shape if size != row_size)
    for phase in found:
        for product in phase.products:
            sizes |= dict.fromkeys(size for size in product.symbol.shape if size != row_size)
    by_length = sorted(sizes, key=lambda size: -lengths[size])
    wide = [size for size in by_length if lengths[size] > short]
    while True:
        cells = [Cells(row_size, lengths, frozenset(wide)) for _ in found]
        try:
            forms = [
                None if phase.chain is None else Unrolling(phase.chain, each).whole()
                for phase, each in zip(found, cells, strict=True)
            ]
            return Cells(row_size, lengths, frozenset(wide)), forms
        except TooMany:
            more = [size for size in by_length if size not in wide and lengths[size] > 1]
            if not more:
                raise
            wide.append(more[0])


class Memory:
    """What a thread writes to and reads from beside the data, for blocks of so many rows.

    `args` are the arguments of the function, whose places `places` tells, `areas` those of the chains.
    """

    def __init__(
        self, work: Work, places: Mapping[object, int], rows: int, scratch: int = 0, copies: int = 0
    ) -> None:
        self.places, self.chain_places = places, [chain_places(plan) for plan in work.chains]
        self.kind = np.dtype(np.float32 if work.kind == "float" else np.float64)
        item = self.kind.itemsize
        room = Room()
        given = {
            name: room.give(rows * layout.entries * item)
            for name, layout in work.layouts.items()
            if name not in work.moving
        }
        scratch = room.give(max([scratch, *(plan.room for plan in work.chains)]))
        copied = room.give(copies)
        numbers = work.total_places()[1]
        totals = room.give(numbers * item)
        fixed = [room.give(plan.fixed_size + LINE) for plan in work.chains]
        self.held = np.zeros(room.used + LINE, np.int8)
        start = address(self.held) + -address(self.held) % LINE
        self.first = start - address(self.held)
        self.args = np.zeros(len(places), np.int64)
        self.start = address(self.args)
        self.areas = [np.zeros(len(each), np.int64) for each in self.chain_places]
        self.tell("rows", rows)
        self.tell("gemm", blas().products[work.kind])
        self.tell("scratch", start + scratch)
        self.tell("copies", start + copied)
        self.tell("totals", start + totals)
        self.totals = self.array(totals, numbers)
        for name, place in given.items():
            self.tell(("data", name), start + place)
            self.stride(name, rows * item)
            for key in ("data", "joined"):
                self.tell_chains((key, name), start + place)
        self.views = []
        for k, (area, plan, place) in enumerate(zip(self.areas, work.chains, fixed, strict=True)):
            self.tell(("chain", k), address(area))
            area[self.chain_places[k]["fixed"] // 8] = start + place
            array = self.array(place, plan.fixed_size // item)
            self.views += [(one.name, one.view(array)) for one in fixed_of(plan)]

    def array(self, place: int, count: int) -> Array:
        first = self.first + place
        return self.held[first : first + count * self.kind.itemsize].view(self.kind)

    def tell(self, name: object, value: int) -> None:
        self.args[self.places[name] // 8] = value

    def tell_chains(self, name: object, value: int) -> None:
        for area, places in zip(self.areas, self.chain_places, strict=True):
            if name in places:
                area[places[name] // 8] = value

    def stride(self, name: str, value: int) -> None:
        """How far it is from one column to the next, or from one row."""
        self.tell(("stride", name), value)
        self.tell_chains(("stride", name), value)

    def put(self, known: Values) -> None:
        """What is fixed, to the places of all chains."""
        for name, view in self.views:
            view[...] = known[name]


class MatrixCall:
    """A pass with products whose code is there, for data of certain sizes that lie in a certain way.

    `whole` takes all rows as one block, in pieces that are near.
    """

    def __init__(
        self,
        work: Work,
        step: Pass,
        data: Mapping[str, Given],
        count: int,
        threads: int,
        whole: bool = False,
    ) -> None:
        self.work, self.step, self.given = work, step, data
        self.kind = np.dtype(np.float32 if work.kind == "float" else np.float64)
        self.near = whole
        self.places = near_places(work) if whole else argument_places(work)
        self.total_places, self.numbers = work.total_places()
        processor = Processor(engine.vector_bytes(), engine.registers())
        writer = NearWriter(work, processor) if whole else WorkWriter(work)
        self.function = engine.loaded(writer.text(), ENTRY)
        self.copies = writer.room if isinstance(writer, NearWriter) else 0
        self.copied = any(one.copied for one in data.values())
        self.division = Division(count, count, 1) if whole else self.divided(count)
        self.piece = min(count, PIECE) if whole else self.division.rows
        self.groups = self.division.groups()
        self.threads = min(threads, len(self.groups))
        self.results = [[Result(plan, total) for total in plan.unrolled.totals] for plan in work.chains]
        self.out_numbers = sum(plan.numbers for plan in work.chains)
        starts = [np.full(s.length, IDENTITY[s.total.how]) for plan in work.chains for s in plan.sums]
        self.start = np.concatenate(starts) if starts else np.zeros(0)
        self.memories: list[Memory] = []

    def divided(self, count: int) -> Division:
        """Blocks of about the same size; it depends on nothing but sizes."""
        item = self.kind.itemsize
        own = sum(
            layout.entries for name, layout in self.work.layouts.items() if name not in self.work.moving
        )
        most = max(FEWEST, int(BLOCK / max(own * item, 1)))
        blocks = max(math.ceil(count / most), min(SHARED, count // ENOUGH))
        rows = min(count, -(-math.ceil(count / blocks) // 16) * 16)
        blocks = math.ceil(count / rows)
        kept = 8 * sum(plan.numbers for plan in self.work.chains) + 8 * self.numbers
        groups = max(1, min(GROUPS, blocks, int(KEPT / max(kept, 1))))
        return Division(count, rows, math.ceil(blocks / groups))

    def __call__(self, source: Source, arrays: Mapping[str, Array], known: Values) -> Values | None:
        """Totals and joined arrays of all rows; nothing where squares have left the range of numbers."""
        matrices = {name: np.ascontiguousarray(known[name], self.kind) for name in self.work.matrices}
        joined = self.joined()
        alone = self.division.rows >= self.division.count
        out = np.tile(self.start, (len(self.groups), 1))
        sums = np.zeros((0 if alone else len(self.groups), self.numbers))

        def group(number: int) -> Array | None:
            memory = self.memory(known, matrices)
            memory.tell("out", address(out[number]))
            memory.tell("sums", 0 if alone else address(sums[number]))
            blocks = self.groups[number]
            for name, array in joined.items():
                memory.stride(name, self.division.count * self.kind.itemsize)
                memory.tell(("data", name), address(array))
            if not self.copied:
                for name, one in self.given.items():
                    memory.tell(("data", name), address(arrays[name]))
                    memory.stride(name, one.stride)
                self.run(memory, blocks[0][0], blocks[-1][1])
            else:
                self.by_copies(memory, source, blocks, joined)
            totals = memory.totals.copy() if alone else None
            self.memories.append(memory)
            return totals

        with blas().threads(1):
            (first, *_) = shared_out(group, len(self.groups), self.threads)
        found = self.found(out, sums.sum(axis=0) if first is None else first)
        if not in_range(
            [result for each in self.results for result in each if result.rooted], found, self.kind
        ):
            return None
        return found | {name: self.shaped(name, array) for name, array in joined.items()}

    def run(self, memory: Memory, low: int, high: int) -> None:
        memory.tell("low", low)
        memory.tell("high", high)
        self.function(memory.start)

    def by_copies(
        self, memory: Memory, source: Source, blocks: Sequence[tuple[int, int]], joined: Mapping[str, Array]
    ) -> None:
        """Block by block, as the source gives them; what lies unfavourably is copied."""
        for start, stop in blocks:
            here = []
            for (name, one), block in zip(
                self.given.items(), source.block(list(self.given), start, stop), strict=True
            ):
                rows = one.arranged(block)
                here.append(np.ascontiguousarray(rows, dtype=self.kind) if one.copied else rows)
                memory.tell(("data", name), address(here[-1]))
                memory.stride(name, one.stride)
            for name, array in joined.items():
                far = self.work.layouts[name]
                first = start * self.kind.itemsize * (far.entries if far.how == "packed" else 1)
                memory.tell(("data", name), address(array) + first)
            self.run(memory, 0, stop - start)

    def memory(self, known: Values, matrices: Mapping[str, Array]) -> Memory:
        """Memory of a thread, filled with what is fixed."""
        try:
            memory = self.memories.pop()
        except IndexError:
            memory = Memory(self.work, self.places, self.piece, copies=self.copies)
            memory.tell("gather", int(self.near))
        memory.put(known)
        if self.near:
            for name, first in self.total_places.items():
                memory.tell(("total", name), address(memory.totals[first:]))
        for name, matrix in matrices.items():
            memory.tell(("matrix", name), address(matrix))
        return memory

    # ------------------------------------------------------------------------------------- results

    def joined(self) -> dict[str, Array]:
        """Arrays with an entry for each row, to be filled."""
        found = {}
        for plan in self.work.chains:
            for name, array in plan.unrolled.joined.items():
                if name in self.step.joined:
                    entries, axis = len(array.cells), long_axis(array)
                    count = self.division.count
                    shape = (count, entries, plan.length(axis)) if axis else (entries, count)
                    found[name] = np.empty(shape, self.kind)
        return found

    def shaped(self, name: str, found: Array) -> Array:
        plan = next(plan for plan in self.work.chains if name in plan.unrolled.joined)
        return in_shape(plan, name, found)

    def found(self, out: Array, totals: Array) -> Values:
        """All totals by name."""
        found: Values = {}
        at = 0
        for plan, results in zip(self.work.chains, self.results, strict=True):
            numbers = out[:, at : at + plan.numbers]
            at += plan.numbers
            all_groups = merged(plan, numbers)
            found |= {result.name: result.of(all_groups) for result in results}
        for product in self.work.totals:
            name = str(product.symbol.params[0])
            shape = [self.work.cells.lengths[size] for size in product.symbol.shape]
            start = self.total_places[name]
            found[name] = totals[start : start + math.prod(shape)].reshape(shape)
        return found
