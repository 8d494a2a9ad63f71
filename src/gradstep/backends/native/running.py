"""How does a compiled pass run? Whole arrays in memory at once, rows from elsewhere block by block.

A pass for which there is no code here is run by NumPy, and the reason is kept.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradstep.backends.blocks import COMBINING, Array, Blocked, Division, InMemory, Source, Values
from gradstep.backends.compiled import Compiled
from gradstep.backends.native import engine
from gradstep.backends.native.cells import Unsupported
from gradstep.backends.native.kernels import ENTRY, argument_places, write_pass
from gradstep.backends.native.plan import LINE, Layout, Plan, Processor, long_axis
from gradstep.backends.native.reductions import IDENTITY
from gradstep.backends.native.unrolling import Total, Unrolled, unrolled
from gradstep.backends.options import Options
from gradstep.backends.program import Program
from gradstep.backends.rows import Pass, Rows
from gradstep.backends.run import Run
from gradstep.backends.source import executed
from gradstep.backends.threads import shared_out
from gradstep.expression.shapes import Lengths
from gradstep.operations.evaluation import sizes_of

FEW = 1 << 18  # bytes of data; below that NumPy is done before the threads have begun
KINDS = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}


@dataclass(slots=True)
class Kernel:
    """A compiled pass for certain sizes and layouts."""

    plan: Plan
    places: Mapping[object, int]
    function: Callable[[int], None]


@dataclass(slots=True)
class Given:
    """Rows of one input: an array that can be read where it lies, or none where blocks of it are copied."""

    array: Array | None
    layout: Layout
    stride: int
    wide: int | None  # which axis of a row is wide, and comes last in memory


def written(plan: Plan) -> Kernel:
    return Kernel(plan, argument_places(plan), engine.load(write_pass(plan), ENTRY))


def load(source: str, program: Program, options: Options) -> Compiled:
    """The function of a program; `source` is how it reads in NumPy, which runs it where data are few."""
    engine.vector_bytes()  # says what is missing
    return Compiled(source, program, _NativeRun(program, executed(source), options))


class _NativeRun(Run):
    """The function of a program, whose passes over rows are machine code."""

    @property
    def many(self) -> int:
        return FEW

    def in_blocks(self, rows: Rows) -> Blocked:
        return Native(self.program, rows, self.threads, self.options.accumulate == "float64")


class Native(Blocked):
    """A program over rows whose passes are machine code where there is some."""

    def __init__(
        self, program: Program, rows: Rows, threads: int | None = None, exactly: bool = False
    ) -> None:
        super().__init__(program, rows, threads, exactly)
        self.unrolled: dict[Any, Unrolled | str] = {}
        self.kernels: dict[Any, Kernel] = {}
        self.reasons: dict[int, str] = {}  # by pass: why NumPy runs it

    def over_rows(self, number: int, source: Source, known: Values, kind: np.dtype[Any]) -> Values:
        step = self.rows.passes[number]
        lengths = self.lengths(known)
        form = self.form(number, lengths)
        if isinstance(form, str):
            self.reasons[number] = form
            return super().over_rows(number, source, known, kind)
        given = {
            entry.name: self.lies(form, source, entry.name, kind)
            for entry in step.program.inputs
            if entry.name in self.rows.axes
        }
        kernel = self.kernel(number, form, given, lengths, kind)
        self.divisions[number] = division = self.division(step, source, known, kind)
        return _Run(self, step, kernel, source, given, division).result(known, kind)

    def told(self) -> list[str]:
        """How it runs, in words."""
        first, *others = super().told()
        if len(self.reasons) < len(self.passes):
            bits = 8 * engine.vector_bytes()
            first = first.replace(
                "NumPy", f"machine code for {engine.processor_name()}, {bits} bits at a time", 1
            )
        for number, reason in self.reasons.items():
            which = f"pass {number + 1}" if len(self.passes) > 1 else "the pass over the rows"
            others.append(f"{which} runs in NumPy: {reason}")
        return [first, *others]

    def lengths(self, known: Values) -> Lengths:
        declared = {str(given.symbol.params[0]): given.symbol for given in self.program.inputs}
        return sizes_of(declared, known)

    def _sizes(self, lengths: Lengths) -> tuple[tuple[str, int], ...]:
        """The sizes that code depends on."""
        return tuple(sorted((str(s), length) for s, length in lengths.items() if s != self.rows.size))

    def form(self, number: int, lengths: Lengths) -> Unrolled | str:
        """A pass as cells for these sizes, or why there are none."""
        key = (number, self._sizes(lengths))
        if key not in self.unrolled:
            try:
                self.unrolled[key] = unrolled(self.rows.passes[number], self.rows.size, lengths)
            except Unsupported as reason:
                self.unrolled[key] = str(reason)
        return self.unrolled[key]

    def kernel(
        self, number: int, form: Unrolled, given: Mapping[str, Given], lengths: Lengths, kind: Any
    ) -> Kernel:
        """The code of a pass for these sizes and layouts."""
        layouts = {name: one.layout for name, one in given.items()}
        key = (number, self._sizes(lengths), tuple(layouts.items()), np.dtype(kind))
        if key not in self.kernels:
            inputs = self.rows.passes[number].program.inputs
            fixed = [entry.symbol for entry in inputs if entry.name not in self.rows.axes]
            processor = Processor(engine.vector_bytes(), engine.registers())
            self.kernels[key] = written(Plan(form, KINDS[np.dtype(kind)], processor, layouts, fixed))
        return self.kernels[key]

    def lies(self, form: Unrolled, source: Source, name: str, kind: Any) -> Given:
        """How the rows of an input lie in memory."""
        at = self.rows.axes[name]
        symbol = next(each.symbol for each in self.program.inputs if str(each.symbol.params[0]) == name)
        kinds = [axis.kind for axis in form.cells.axes(symbol.shape)]
        del kinds[at]
        wide = kinds.index("wide") if "wide" in kinds else None
        lengths = [form.cells.lengths[size] for k, size in enumerate(symbol.shape) if k != at]
        entries = math.prod(lengths)
        if isinstance(source, InMemory):
            array = arranged(source.arrays[name], at, wide)
            found = layout_of(array, kind, entries, wide is not None)
            if found is not None:
                return Given(array, *found, wide)
        return Given(None, Layout("packed", entries), entries * np.dtype(kind).itemsize, wide)


def arranged(array: Array, rows: int, wide: int | None) -> Array:
    """The axis of the rows first, a wide one last."""
    array = np.moveaxis(array, rows, 0)
    return array if wide is None else np.moveaxis(array, 1 + wide, -1)


def layout_of(array: Array, kind: Any, entries: int, wide: bool) -> tuple[Layout, int] | None:
    """The layout of an array with its rows first, and its stride; None where the code cannot read it."""
    item = np.dtype(kind).itemsize
    if array.dtype != kind or not array.dtype.isnative:
        return None
    inner = [
        (length, step) for length, step in zip(array.shape[1:], array.strides[1:], strict=True) if length > 1
    ]
    step = inner[-1][1] if inner else item
    if any(one != other[0] * other[1] for (_, one), other in itertools.pairwise(inner)):
        return None
    if step == item:
        packed = array.strides[0] == entries * item or len(array) == 1
        return Layout("packed" if packed else "rows", entries), array.strides[0]
    if not wide and array.strides[0] == item:
        return Layout("columns", entries), step
    return None


@dataclass(slots=True)
class _Run:
    """One run of a kernel over all rows."""

    owner: Native
    step: Pass
    kernel: Kernel
    source: Source
    given: Mapping[str, Given]
    division: Division
    values: dict[str, int] = field(default_factory=dict)
    alive: list[Any] = field(default_factory=list)  # arrays whose addresses are in use

    def result(self, known: Values, kind: Any) -> Values:
        plan = self.kernel.plan
        fixed = self.fixed(known, np.dtype(kind))
        start = np.concatenate([np.full(s.length, IDENTITY[s.total.how]) for s in plan.sums] or [np.zeros(1)])
        groups = self.division.groups()
        out = np.tile(start, (len(groups), 1))
        if all(one.array is not None for one in self.given.values()):
            joined = self.whole(fixed, out, len(groups), np.dtype(kind))
        else:
            joined = self.copied(fixed, out, groups, np.dtype(kind))
        totals = in_pairs(out, plan)
        found: Values = {}
        for total in plan.unrolled.totals:
            found[total.name] = self.total(total, totals)
        return found | joined

    def fixed(self, known: Values, kind: np.dtype[Any]) -> Array:
        """All that is the same for every row, in one array; wide axes last, and padded."""
        plan = self.kernel.plan
        whole = np.zeros(plan.fixed_size // kind.itemsize + LINE, kind)
        for symbol in plan.fixed:
            name = str(symbol.params[0])
            value = np.asarray(known[name], dtype=kind)
            axes = plan.cells.axes(symbol.shape)
            wide = next((k for k, axis in enumerate(axes) if axis.kind == "wide"), None)
            first = plan.fixed_at[name] // kind.itemsize
            if wide is None:
                whole[first : first + value.size] = value.reshape(-1)
            else:
                value = np.moveaxis(value, wide, -1)
                length = value.shape[-1]
                padded = plan.padded(str(axes[wide].size))
                rows = whole[first : first + value.size // length * padded].reshape(-1, padded)
                rows[:, :length] = value.reshape(-1, length)
        return whole

    def arguments(self, count: int, groups: int, group: int, block: int, threads: int, **more: int) -> Array:
        """The arguments of the kernel; `more` are addresses."""
        places = self.kernel.places
        room = self.kernel.plan.room + 2 * LINE
        counters, scratch = np.zeros(16, np.int64), np.empty(threads * room + LINE, np.int8)
        address = scratch.ctypes.data
        told = {
            "counters": counters.ctypes.data,
            "groups": groups,
            "group": group,
            "block": block,
            "count": count,
            "scratch": address + -address % LINE,
            "room": room,
            **more,
        }
        args = np.zeros(len(places), np.int64)
        for name, value in told.items():
            args[places[name] // 8] = value
        self.alive += [counters, scratch]
        return args

    def whole(self, fixed: Array, out: Array, groups: int, kind: np.dtype[Any]) -> Values:
        """All rows where they lie; each thread takes the next group."""
        division = self.division
        threads = min(self.owner.threads, groups)
        group = division.rows * division.blocks
        args = self.arguments(
            division.count,
            groups,
            group,
            division.rows,
            threads,
            out=out.ctypes.data,
            fixed=fixed.ctypes.data,
        )
        for name, one in self.given.items():
            assert one.array is not None
            self.tell(args, name, one.array, one.stride)
        joined = self.joined(args, division.count, kind)
        address = args.ctypes.data
        shared_out(lambda k: self.kernel.function(address), threads, threads)
        return {name: self.joined_result(name, array) for name, array in joined.items()}

    def tell(self, args: Array, name: str, array: Array, stride: int) -> None:
        places = self.kernel.places
        args[places["data", name] // 8] = array.ctypes.data
        args[places["stride", name] // 8] = stride

    def joined(self, args: Array, count: int, kind: np.dtype[Any]) -> dict[str, Array]:
        """Arrays with an entry for each row, to be filled."""
        found = {}
        for name, array in self.kernel.plan.unrolled.joined.items():
            axis = long_axis(array)
            entries = len(array.cells)
            shape = (count, entries, self.kernel.plan.length(axis)) if axis else (entries, count)
            found[name] = np.empty(shape, kind)
            args[self.kernel.places["joined", name] // 8] = found[name].ctypes.data
        return found

    def joined_result(self, name: str, found: Array) -> Array:
        """In the shape of the output: the axes of the rows and the wide one go back to their places."""
        array = self.kernel.plan.unrolled.joined[name]
        short = [axis.length for axis in array.axes if axis.kind == "short"]
        kinds = [axis.kind for axis in array.axes]
        rows = kinds.index("row")
        if "wide" not in kinds:
            return np.moveaxis(found.reshape(*short, -1), -1, rows)
        shaped = found.reshape(len(found), *short, -1)
        return np.moveaxis(shaped, (0, -1), (rows, kinds.index("wide")))

    def copied(
        self, fixed: Array, out: Array, groups: list[list[tuple[int, int]]], kind: np.dtype[Any]
    ) -> Values:
        """Block by block, as the source gives them; what lies unfavourably is copied."""
        names = list(self.given)
        plan = self.kernel.plan

        def group(number: int) -> list[dict[str, Array]]:
            arrays = []
            for start, stop in groups[number]:
                count = stop - start
                args = self.arguments(
                    count, 1, count, count, 1, out=out[number].ctypes.data, fixed=fixed.ctypes.data
                )
                blocks = self.source.block(names, start, stop)
                here = []
                for name, block in zip(names, blocks, strict=True):
                    one = self.given[name]
                    rows = arranged(block, self.owner.rows.axes[name], one.wide)
                    if one.array is None:
                        rows = np.ascontiguousarray(rows, dtype=kind)
                    here.append(rows)
                    self.tell(args, name, rows, one.stride)
                joined = self.joined(args, count, kind)
                self.kernel.function(args.ctypes.data)
                arrays.append({name: self.joined_result(name, array) for name, array in joined.items()})
            return arrays

        found = shared_out(group, len(groups), self.owner.threads)
        parts = [block for blocks in found for block in blocks]
        return {
            name: np.concatenate([part[name] for part in parts], axis=self.step.joined[name])
            for name in plan.unrolled.joined
        }

    def total(self, total: Total, numbers: Array) -> Array:
        """One total in its shape."""
        plan = self.kernel.plan
        sums = [s for s in plan.sums if s.total is total]
        first = sums[0].place
        width = sums[0].length
        whole = numbers[first : first + width * len(sums)].reshape(len(sums), width)
        short = [axis.length for axis in total.axes if axis.kind == "short"]
        if not total.wide:
            return whole.reshape(short)
        shaped = whole[:, : plan.length(total.wide)].reshape(*short, -1)
        at = next(k for k, axis in enumerate(total.axes) if axis.kind == "wide")
        return np.moveaxis(shaped, -1, at)


def in_pairs(out: Array, plan: Plan) -> Array:
    """The numbers of all groups in one: the first and second, the third and fourth, and so on upwards."""
    hows = {s.total.how for s in plan.sums}
    while len(out) > 1:
        even = len(out) // 2 * 2
        one, other, rest = out[:even:2], out[1:even:2], out[even:]
        if hows <= {"sum"}:
            merged = one + other
        else:
            merged = np.empty_like(one)
            for s in plan.sums:
                part = slice(s.place, s.place + s.length)
                merged[:, part] = COMBINING[s.total.how](one[:, part], other[:, part])
        out = np.concatenate([merged, rest]) if len(rest) else merged
    result: Array = out[0]
    return result
