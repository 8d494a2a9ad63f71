"""How is written what has no rows? Numbers one by one, and along wide axes by loops.

A program between two passes, the step of an optimiser, and what is told of a step are of this kind. All
symbols live in one memory, each at its place: wide axes last, and padded to whole vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradstep.backends.native.assembly import Type, Vec, Writer
from gradstep.backends.native.cells import Array, Axis, Cell, Cells, Unsupported, needed
from gradstep.backends.native.computing import computed
from gradstep.backends.native.elements import as_number
from gradstep.backends.native.plan import LINE
from gradstep.backends.native.reductions import COMBINE, IDENTITY, across
from gradstep.backends.native.unrolling import _Unrolling as Unrolling
from gradstep.backends.program import Program
from gradstep.backends.rows import Pass
from gradstep.expression.records import record

KIND, ITEM = "double", 8
ONE = Type(KIND, 1)


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


def free(program: Program, cells: Cells) -> Free:
    """The cells of a program; raises `Unsupported`."""
    step = Pass(program, {}, {name: 0 for name in program.outputs})
    found = Unrolling(step, cells).whole().joined
    if any(cell.op == "data" for cell in needed([c for a in found.values() for c in a.cells.values()])):
        raise Unsupported("what is computed between two passes needs rows")
    return Free(cells, found)


def write_free(writer: Writer, program: Free, memory: Memory, base: str) -> None:
    """Computes a program: from the places of its symbols to those of its outputs."""
    _Free(writer, program, memory, base).write()


class _Free:
    """A program while its code is written; `base` is where the memory begins."""

    def __init__(self, writer: Writer, program: Free, memory: Memory, base: str) -> None:
        self.writer, self.cells, self.memory, self.base = writer, program.cells, memory, base
        self.chunk = Type(KIND, memory.width)
        self.values: dict[Cell, Vec] = {}
        self.ends = [
            (cell, memory.put(name, array.axes) + place * memory.padded(array.axes) * ITEM, array)
            for name, array in program.outputs.items()
            for place, cell in enumerate(array.cells.values())
        ]
        self.all = needed([cell for cell, _, _ in self.ends])

    def write(self) -> None:
        for level in range(1 + max((cell.level for cell in self.all), default=0)):
            for cell in self.all:
                if cell.level == level and not cell.wide and cell.op != "reduce":
                    self.values[cell] = self.number(cell)
            for axis in dict.fromkeys(self.axes(level)):
                self.loop(level, axis)
        for cell, place, array in self.ends:
            if not wide_axis(array):
                value = as_number(self.values[cell], KIND)
                self.writer.store(value, self.writer.at(self.base, place), ITEM)

    def number(self, cell: Cell) -> Vec:
        if cell.op == "fixed":
            return self.writer.load(self.place(cell), ONE, ITEM)
        return computed(self.writer, cell, [self.values[arg] for arg in cell.args], ONE)

    def place(self, cell: Cell) -> str:
        """Where the numbers of a cell of a symbol begin."""
        name, place = cell.params
        length = self.cells.lengths[cell.wide] if cell.wide else 1
        padded = -(-length // self.memory.width) * self.memory.width if cell.wide else 1
        return self.writer.at(self.base, self.memory.places[name] + place * padded * ITEM)

    # ------------------------------------------------------------------------------------- loops

    def reduces(self, level: int, axis: str) -> list[Cell]:
        """What a loop sums up."""
        return [c for c in self.all if c.op == "reduce" and c.level == level + 1 and c.params[1] == axis]

    def stores(self, level: int, axis: str) -> list[tuple[Cell, int]]:
        """What a loop writes, and where."""
        return [(c, at) for c, at, array in self.ends if wide_axis(array) == axis and c.level == level]

    def axes(self, level: int) -> list[str]:
        found = [wide_axis(array) for cell, _, array in self.ends if cell.level == level]
        found += [c.params[1] for c in self.all if c.op == "reduce" and c.level == level + 1]
        return [axis for axis in found if axis]

    def loop(self, level: int, axis: str) -> None:
        """One loop over an axis: sums up, and writes; what is left at its end under a mask."""
        writer, width = self.writer, self.memory.width
        reduces, stores = self.reduces(level, axis), self.stores(level, axis)
        roots = [cell.args[0] for cell in reduces] + [cell for cell, _ in stores]
        inside = needed(roots, lambda cell: not cell.wide)
        spread = {
            cell: as_number(self.values[cell], KIND).lanes([0] * width) for cell in inside if not cell.wide
        }
        wide = [cell for cell in inside if cell.wide]
        sums = [writer.number(IDENTITY[cell.params[0]], self.chunk) for cell in reduces]
        length = self.cells.lengths[axis]
        whole = length // width * width

        def part(at: str, mask: Vec | None, sums: Sequence[Vec]) -> list[Vec]:
            values = dict(spread)
            for cell in wide:
                if cell.op == "fixed":
                    values[cell] = writer.load(writer.at(self.place(cell), at), self.chunk, ITEM)
                else:
                    values[cell] = computed(writer, cell, [values[a] for a in cell.args], self.chunk)
            numbers = {cell: as_number(value, KIND) for cell, value in values.items()}
            after = []
            for cell, total in zip(reduces, sums, strict=True):
                how, here = cell.params[0], numbers[cell.args[0]]
                after.append(COMBINE[how](total, mask.select(here, IDENTITY[how]) if mask else here))
            for cell, place in stores:
                pointer = writer.at(writer.at(self.base, place), at)
                if mask:
                    writer.masked_store(numbers[cell], pointer, mask)
                else:
                    writer.store(numbers[cell], pointer, ITEM)
            return after

        if whole:
            with writer.loop(0, whole * ITEM, width * ITEM, sums) as loop:
                loop.carried[:] = part(loop.at, None, loop.carried)
            sums = loop.carried
        if whole < length:
            lanes = ", ".join(f"i1 {int(whole + k < length)}" for k in range(width))
            sums = part(str(whole * ITEM), Vec(writer, f"<{lanes}>", Type("i1", width)), sums)
        for cell, total in zip(reduces, sums, strict=True):
            self.values[cell] = across([total], cell.params[0])


def wide_axis(array: Array) -> str:
    """The wide axis of an array, or nothing."""
    return next((str(axis.size) for axis in array.axes if axis.kind == "wide"), "")
