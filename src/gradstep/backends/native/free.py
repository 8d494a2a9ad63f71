"""How is written what has no rows? Numbers one by one, and along wide axes by loops.

A program between two passes, the step of an optimiser, and what is told of a step are of this kind. All
symbols live in one memory, each at its place: wide axes last, and padded to whole vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradstep.backends.native.assembly import Type, Vec
from gradstep.backends.native.cells import Array, Axis, Cell, Cells, Unsupported, needed
from gradstep.backends.native.computing import CHAINS, computed
from gradstep.backends.native.elements import as_number
from gradstep.backends.native.held import ITEM, KIND, ONE, Space
from gradstep.backends.native.plan import LINE
from gradstep.backends.native.reductions import COMBINE, IDENTITY, Combine, across
from gradstep.backends.native.unrolling import _Unrolling as Unrolling
from gradstep.backends.program import Program
from gradstep.backends.rows import Pass
from gradstep.expression.records import record
from gradstep.operations.arithmetic import multiply_op

STRAIGHT = 4  # vectors along an axis that are written out one after the other
NEAR = 20  # vectors that stay in registers from one row to the next


class Memory:
    """Where each symbol lies, in bytes; `width` numbers fill a vector."""

    def __init__(self, width: int) -> None:
        self.width, self.used = width, 0
        self.places: dict[str, int] = {}

    def padded(self, axes: Sequence[Axis]) -> int:
        """How long the wide axis is in memory; 1 without one."""
        length = next((axis.length for axis in axes if axis.kind == "wide"), 1)
        return -(-length // self.width) * self.width if length > 1 else 1

    def numbers(self, axes: Sequence[Axis]) -> int:
        """How many numbers an array takes up."""
        count = self.padded(axes)
        for axis in axes:
            count *= len(axis)
        return count

    def room(self, numbers: int) -> int:
        """A new place for so many numbers, on lines of its own."""
        start = self.used
        self.used += -(-numbers * ITEM // LINE) * LINE
        return start

    def put(self, name: str, axes: Sequence[Axis]) -> int:
        """The place of a symbol, a new one where it has none."""
        if name not in self.places:
            self.places[name] = self.room(self.numbers(axes))
        return self.places[name]


@record
class Free:
    """A program without rows as cells: what it gives, by name."""

    cells: Cells
    outputs: Mapping[str, Array]


def free(program: Program, cells: Cells, rows: bool = False) -> Free:
    """The cells of a program, which may need `rows`; raises `Unsupported`."""
    step = Pass(program, {}, {name: 0 for name in program.outputs})
    found = Unrolling(step, cells).whole().joined
    if not rows and any(
        cell.op == "data" for cell in needed([c for a in found.values() for c in a.cells.values()])
    ):
        raise Unsupported("what is computed between two passes needs rows")
    return Free(cells, found)


@record
class Row:
    """A row of data: where it begins, and how many bytes it is from one of its entries to the next."""

    pointer: str
    far: int


def write_free(space: Space, program: Free, memory: Memory, width: int = 0) -> None:
    """Computes a program: from the places of its symbols to those of its outputs; `width` at a time."""
    _Free(space, program, memory, width or memory.width).write()


def write_one_row(space: Space, program: Free, memory: Memory, rows: Mapping[str, Row]) -> None:
    """Computes a program of one row; what it changes is written after all has been read."""
    _Free(space, program, memory, memory.width, rows, NEAR).write()


def places_of(program: Free, memory: Memory) -> list[tuple[int, Type]]:
    """The vectors and numbers that a program of one row changes: where they lie, and how long they are."""
    found = []
    for _, place, array in ends_of(program, memory):
        many = memory.padded(array.axes)
        type = Type(KIND, memory.width) if many > 1 else ONE
        found += [(place + at * ITEM, type) for at in range(0, many, type.lanes)]
    return found


def ends_of(program: Free, memory: Memory) -> list[tuple[Cell, int, Array]]:
    """The cells of all outputs, where they are written, and of which array each is."""
    return [
        (cell, memory.put(name, array.axes) + place * memory.padded(array.axes) * ITEM, array)
        for name, array in program.outputs.items()
        for place, cell in enumerate(array.cells.values())
    ]


class _Free:
    """A program while its code is written; its numbers are in `space`, and `rows` is where data begin."""

    def __init__(
        self,
        space: Space,
        program: Free,
        memory: Memory,
        width: int,
        rows: Mapping[str, Row] | None = None,
        straight: int = STRAIGHT,
    ) -> None:
        self.space, self.writer, self.cells, self.memory = space, space.writer, program.cells, memory
        self.width, self.chunk, self.straight = width, Type(KIND, width), straight
        self.rows = rows or {}
        self.values: dict[Cell, Vec] = {}
        self.ends = ends_of(program, memory)
        self.all = needed([cell for cell, _, _ in self.ends])
        self.last = max((cell.level for cell in self.all), default=0)

    def write(self) -> None:
        for level in range(1 + self.last):
            for cell in self.all:
                if cell.level == level and not cell.wide and cell.op != "reduce":
                    self.values[cell] = self.number(cell)
            for axis in dict.fromkeys(self.axes(level)):
                self.loop(level, axis)
        for cell, place, array in self.ends:
            if not wide_axis(array):
                self.space.store(as_number(self.values[cell], KIND), place)

    def written(self, cell: Cell) -> int:
        """The level at which a wide cell is written."""
        return self.last if self.rows else cell.level

    def number(self, cell: Cell) -> Vec:
        if cell.op == "data":
            return self.writer.load(self.entry(cell), ONE, ITEM)
        if cell.op == "fixed":
            return self.space.load(self.place(cell), ONE)
        return computed(self.writer, cell, [self.values[arg] for arg in cell.args], ONE)

    def length(self, cell: Cell) -> int:
        return self.cells.lengths[cell.wide] if cell.wide else 1

    def entry(self, cell: Cell) -> str:
        """Where the entries of a row begin."""
        name, place = cell.params
        return self.writer.at(self.rows[name].pointer, place * self.length(cell) * self.rows[name].far)

    def place(self, cell: Cell) -> int:
        """Where the numbers of a symbol begin."""
        name, place = cell.params
        padded = -(-self.length(cell) // self.memory.width) * self.memory.width if cell.wide else 1
        start: int = self.memory.places[name] + place * padded * ITEM
        return start

    # ------------------------------------------------------------------------------------- loops

    def reduces(self, level: int, axis: str) -> list[Cell]:
        """What a loop sums up."""
        return [c for c in self.all if c.op == "reduce" and c.level == level + 1 and c.params[1] == axis]

    def stores(self, level: int, axis: str) -> list[tuple[Cell, int]]:
        """What a loop writes, and where."""
        return [
            (c, at) for c, at, array in self.ends if wide_axis(array) == axis and self.written(c) == level
        ]

    def axes(self, level: int) -> list[str]:
        found = [wide_axis(array) for cell, _, array in self.ends if self.written(cell) == level]
        found += [c.params[1] for c in self.all if c.op == "reduce" and c.level == level + 1]
        return [axis for axis in found if axis]

    def loop(self, level: int, axis: str) -> None:
        """One loop over an axis: sums up, and writes; what is left at its end under a mask."""
        writer, width = self.writer, self.width
        reduces, stores = self.reduces(level, axis), self.stores(level, axis)
        roots = [cell.args[0] for cell in reduces] + [cell for cell, _ in stores]
        inside = needed(roots, lambda cell: not cell.wide)
        spread = {
            cell: as_number(self.values[cell], KIND).lanes([0] * width) for cell in inside if not cell.wide
        }
        wide = [cell for cell in inside if cell.wide]
        used = {arg for cell in wide for arg in cell.args} | {cell for cell, _ in stores}
        ends = {cell.args[0] for cell in reduces if cell.params[0] == "sum"}
        fused = {cell for cell in ends - used if cell.op is multiply_op and cell.wide}
        length = self.cells.lengths[axis]
        count = length // width  # whole vectors
        chains = max(1, min(CHAINS, count))
        sums = [
            writer.number(IDENTITY[cell.params[0]], self.chunk) for cell in reduces for _ in range(chains)
        ]

        def part(at: str | int, mask: Vec | None, turn: int, sums: Sequence[Vec]) -> list[Vec]:
            values = dict(spread)
            for cell in wide:
                if cell.op == "data" and mask:
                    values[cell] = writer.masked_load(writer.at(self.entry(cell), at), mask, self.chunk)
                elif cell.op == "data":
                    values[cell] = writer.load(writer.at(self.entry(cell), at), self.chunk, ITEM)
                elif cell.op == "fixed":
                    values[cell] = self.space.load(self.place(cell), self.chunk, at)
                elif cell not in fused or mask:
                    values[cell] = computed(writer, cell, [values[a] for a in cell.args], self.chunk)
            numbers = {cell: as_number(value, KIND) for cell, value in values.items()}
            after = list(sums)
            for k, cell in enumerate(reduces):
                (what,), how, mine = cell.args, cell.params[0], k * chains + turn % chains
                if what in fused and not mask:
                    after[mine] = numbers[what.args[0]].times_plus(numbers[what.args[1]], sums[mine])
                else:
                    here = mask.select(numbers[what], IDENTITY[how]) if mask else numbers[what]
                    after[mine] = COMBINE[how](sums[mine], here)
            for cell, place in stores:
                if mask:
                    self.space.masked_store(numbers[cell], mask, place, at)
                else:
                    self.space.store(numbers[cell], place, at)
            return after

        step = width * ITEM
        looped = count // chains * chains if count > self.straight else 0
        if looped:
            with writer.loop(0, looped * step, chains * step, sums) as loop:
                for k in range(chains):
                    loop.carried[:] = part(writer.integer("add", loop.at, k * step), None, k, loop.carried)
            sums = loop.carried
        for k in range(looped, count):
            sums = part(k * step, None, k, sums)
        if count * width < length:
            lanes = ", ".join(f"i1 {int(count * width + k < length)}" for k in range(width))
            sums = part(count * step, Vec(writer, f"<{lanes}>", Type("i1", width)), count, sums)
        sums = [
            combined(sums[k * chains : (k + 1) * chains], COMBINE[cell.params[0]])
            for k, cell in enumerate(reduces)
        ]
        for how in dict.fromkeys(cell.params[0] for cell in reduces):
            mine = [(cell, total) for cell, total in zip(reduces, sums, strict=True) if cell.params[0] == how]
            while mine:
                many = power_below(min(len(mine), width))
                found = across([total for _, total in mine[:many]], how)
                for k, (cell, _) in enumerate(mine[:many]):
                    self.values[cell] = found.lanes([k]) if many > 1 else found
                mine = mine[many:]


def combined(parts: Sequence[Vec], combine: Combine) -> Vec:
    """Parts in one, in pairs."""
    while len(parts) > 1:
        pairs = [combine(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = [*pairs, *([parts[-1]] if len(parts) % 2 else [])]
    return parts[0]


def power_below(number: int) -> int:
    """The largest power of two that is not above the number."""
    return 1 << number.bit_length() - 1


def wide_axis(array: Array) -> str:
    """The wide axis of an array, or nothing."""
    return next((str(axis.size) for axis in array.axes if axis.kind == "wide"), "")
