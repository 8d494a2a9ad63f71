"""How is a kernel called? With the addresses of everything, by each thread once."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradstep.backends.blocks import COMBINING, Division, Source, Values
from gradstep.backends.native.kernels import COUNTERS, argument_places
from gradstep.backends.native.layouts import Array, Given
from gradstep.backends.native.plan import LINE, Plan, long_axis
from gradstep.backends.native.unrolling import Total
from gradstep.backends.rows import Pass
from gradstep.backends.threads import shared_out

PIECE = 1 << 21  # bytes of data; for less another thread is not worth waking

# Between these a sum of squares has lost nothing by overflow or underflow.
SQUARES = {np.dtype(np.float32): (1e-28, 1e36), np.dtype(np.float64): (1e-280, 1e300)}


class _Memory:
    """What one call writes to and reads from beside the data; calls do not share it."""

    def __init__(self, call: Call, groups: int, threads: int) -> None:
        plan = call.plan
        room = plan.room + 2 * LINE
        self.counters = np.zeros(COUNTERS * LINE // 8, np.int64)
        self.scratch = np.empty(threads * room + LINE, np.int8)
        self.fixed = np.zeros(plan.fixed_size // plan.item + LINE, call.kind)
        self.views = [(one.name, one.view(self.fixed)) for one in call.fixed]
        self.out = np.empty((groups, plan.numbers))
        self.args = np.zeros(len(call.places), np.int64)
        self.address = address(self.args)
        first = address(self.scratch)
        self.tell(call, "counters", address(self.counters))
        self.tell(call, "threads", threads)
        self.tell(call, "scratch", first + -first % LINE)
        self.tell(call, "room", room)
        self.tell(call, "fixed", address(self.fixed))
        for name, one in call.given.items():
            self.tell(call, ("stride", name), one.stride)

    def tell(self, call: Call, name: object, value: int) -> None:
        self.args[call.places[name] // 8] = value

    def rows(self, call: Call, count: int, groups: int, group: int, block: int, out: Array) -> None:
        """Which rows, and where their totals go."""
        for name, value in (("count", count), ("groups", groups), ("group", group), ("block", block)):
            self.tell(call, name, value)
        self.tell(call, "out", address(out))


def address(array: Array) -> int:
    found: int = array.ctypes.data
    return found


class Call:
    """A pass whose code is there, for data of certain sizes that lie in a certain way."""

    def __init__(
        self,
        plan: Plan,
        function: Callable[[int], None],
        step: Pass,
        given: Mapping[str, Given],
        division: Division,
        threads: int,
    ) -> None:
        self.plan, self.function, self.step = plan, function, step
        self.given, self.division = given, division
        self.places = argument_places(plan)
        self.pointers = [(name, self.places["data", name] // 8) for name in given]
        self.kind = np.dtype(np.float32 if plan.kind == "float" else np.float64)
        self.copied = any(one.copied for one in given.values())
        self.groups = division.groups()
        size = division.count * sum(one.layout.entries for one in given.values()) * plan.item
        self.threads = min(threads, len(self.groups), max(1, size // PIECE))
        self.fixed = fixed_of(plan)
        self.totals = [Result(plan, total) for total in plan.unrolled.totals]
        self.rooted = [result for result in self.totals if result.rooted]
        self.memories: list[_Memory] = []

    def __call__(self, source: Source, arrays: Mapping[str, Array], known: Values) -> Values | None:
        """Totals and joined arrays of all rows; nothing where squares have left the range of numbers."""
        try:
            memory = self.memories.pop()
        except IndexError:
            memory = self.memory()
        for name, view in memory.views:
            view[...] = known[name]
        joined = self.in_blocks(source, memory) if self.copied else self.whole(arrays, memory)
        numbers = memory.out[0].copy()
        self.memories.append(memory)
        found = {result.name: result.of(numbers) for result in self.totals}
        if self.rooted and not in_range(self.rooted, found, self.kind):
            return None
        return found | joined

    def memory(self) -> _Memory:
        """Memory for a call over all rows."""
        memory, division = _Memory(self, len(self.groups), self.threads), self.division
        size = division.rows * division.blocks
        memory.rows(self, division.count, len(self.groups), size, division.rows, memory.out)
        return memory

    def whole(self, arrays: Mapping[str, Array], memory: _Memory) -> Values:
        """All rows where they lie; each thread takes the next group."""
        for name, place in self.pointers:
            memory.args[place] = address(arrays[name])
        joined = self.joined(memory, self.division.count)
        memory.counters.fill(0)
        shared_out(lambda _: self.function(memory.address), self.threads, self.threads)
        return {name: in_shape(self.plan, name, array) for name, array in joined.items()}

    def in_blocks(self, source: Source, memory: _Memory) -> Values:
        """Block by block, as the source gives them; what lies unfavourably is copied."""
        names = list(self.given)

        def group(number: int) -> list[Values]:
            blocks = self.groups[number]
            own = _Memory(self, len(blocks), 1)
            own.fixed[:] = memory.fixed
            arrays = []
            for k, (start, stop) in enumerate(blocks):
                count = stop - start
                own.counters.fill(0)
                own.rows(self, count, 1, count, count, own.out[k])
                here = []
                for name, block in zip(names, source.block(names, start, stop), strict=True):
                    one = self.given[name]
                    rows = one.arranged(block)
                    here.append(np.ascontiguousarray(rows, dtype=self.kind) if one.copied else rows)
                    own.tell(self, ("data", name), address(here[-1]))
                joined = self.joined(own, count)
                self.function(own.address)
                arrays.append({name: in_shape(self.plan, name, array) for name, array in joined.items()})
            memory.out[number] = merged(self.plan, own.out)
            return arrays

        parts = [block for blocks in shared_out(group, len(self.groups), self.threads) for block in blocks]
        memory.out[0] = merged(self.plan, memory.out)
        return {
            name: np.concatenate([part[name] for part in parts], axis=axis)
            for name, axis in self.step.joined.items()
        }

    # ------------------------------------------------------------------------------------- results

    def joined(self, memory: _Memory, count: int) -> Values:
        """Arrays with an entry for each row, to be filled."""
        found = {}
        for name, array in self.plan.unrolled.joined.items():
            axis, entries = long_axis(array), len(array.cells)
            shape = (count, entries, self.plan.length(axis)) if axis else (entries, count)
            found[name] = np.empty(shape, self.kind)
            memory.tell(self, ("joined", name), address(found[name]))
        return found


def merged(plan: Plan, numbers: Array) -> Array:
    """The totals of all groups in one, group after group."""
    found: Array = np.add.reduce(numbers, axis=0)
    for s in plan.sums:
        if s.total.how != "sum":
            part = slice(s.place, s.place + s.length)
            found[part] = functools.reduce(COMBINING[s.total.how], numbers[:, part])
    return found


def in_shape(plan: Plan, name: str, found: Array) -> Array:
    """A joined array in its shape: the axes of the rows and the wide one go back to their places."""
    array = plan.unrolled.joined[name]
    short = [axis.length for axis in array.axes if axis.kind == "short"]
    kinds = [axis.kind for axis in array.axes]
    rows = kinds.index("row")
    if "wide" not in kinds:
        return np.moveaxis(found.reshape(*short, -1), -1, rows)
    shaped = found.reshape(len(found), *short, -1)
    return np.moveaxis(shaped, (0, -1), (rows, kinds.index("wide")))


def in_range(rooted: Sequence[Result], found: Values, kind: np.dtype[Any]) -> bool:
    """Whether no sum of squares, of which a norm is the root, has left the range of numbers."""
    low, high = SQUARES[kind]
    return all(low < found[result.name] ** 2 < high for result in rooted)


class Fixed:
    """Where what is the same for every row is put: a wide axis last, and padded."""

    def __init__(self, plan: Plan, name: str) -> None:
        symbol = next(symbol for symbol in plan.fixed if str(symbol.params[0]) == name)
        axes = plan.cells.axes(symbol.shape)
        kinds = [axis.kind for axis in axes]
        self.name = name
        self.first = plan.fixed_at[name] // plan.item
        self.wide = kinds.index("wide") if "wide" in kinds else None
        self.length = plan.length(str(axes[self.wide].size)) if self.wide is not None else 1
        self.padded = plan.padded(str(axes[self.wide].size)) if self.wide is not None else 1
        self.short = [axis.length for axis in axes if axis.kind == "short"]

    def view(self, memory: Array) -> Array:
        """Its place in memory, in its own shape."""
        size = math.prod(self.short) * self.padded
        whole = memory[self.first : self.first + size]
        if self.wide is None:
            return whole.reshape(self.short)
        return np.moveaxis(whole.reshape(*self.short, self.padded)[..., : self.length], -1, self.wide)


def fixed_of(plan: Plan) -> list[Fixed]:
    """All that is fixed."""
    return [Fixed(plan, str(symbol.params[0])) for symbol in plan.fixed]


class Result:
    """Where a total is among the numbers, and its shape."""

    def __init__(self, plan: Plan, total: Total) -> None:
        sums = [s for s in plan.sums if s.total is total]
        self.name, self.rooted = total.name, total.rooted
        self.first, self.count, self.width = sums[0].place, len(sums), sums[0].length
        self.length = plan.length(total.wide)
        self.short = [axis.length for axis in total.axes if axis.kind == "short"]
        kinds = [axis.kind for axis in total.axes]
        self.wide = kinds.index("wide") if "wide" in kinds else None

    def moved(self, by: int) -> Result:
        """The same among numbers that have so many more in front."""
        found = copy.copy(self)
        found.first += by
        return found

    def of(self, numbers: Array) -> Any:
        whole = numbers[self.first : self.first + self.width * self.count]
        if self.wide is None:
            result = whole.reshape(self.short) if self.short else whole[0]
            return np.sqrt(result) if self.rooted else result
        if not self.short:
            return whole[: self.length]
        shaped = whole.reshape(*self.short, self.width)[..., : self.length]
        return np.moveaxis(shaped, -1, self.wide)
