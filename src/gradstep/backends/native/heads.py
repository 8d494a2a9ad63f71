"""How does a pass run whose rows are matrices, such as heads? One by one, each in passes of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradstep.backends.blocks import Blocked, Division, Source, Values, in_pairs
from gradstep.backends.native.blas import blas
from gradstep.backends.native.calls import Result, address
from gradstep.backends.native.layouts import Array
from gradstep.backends.native.matrices import MatrixCall, Memory
from gradstep.backends.program import Program
from gradstep.backends.rows import Pass, Rows
from gradstep.backends.stacks import Stack
from gradstep.backends.threads import shared_out
from gradstep.expression.shapes import Size


class HeadsCall:
    """A pass over `count` matrices, of which each thread takes the next one that nobody has begun.

    `runs` makes who runs the passes of one matrix.
    """

    def __init__(
        self,
        stack: Stack,
        step: Pass,
        size: Size,
        count: int,
        kind: np.dtype[Any],
        threads: int,
        runs: Callable[[Program, Rows], Blocked],
    ) -> None:
        self.stack, self.kind, self.threads = stack, kind, threads
        self.division = Division(count, 1, 1)
        self.inner = runs(stack.program, stack.rows)
        self.cut = [given.name for given in step.program.inputs if size in given.symbol.shape]
        self.fixed = [given.name for given in step.program.inputs if given.name not in self.cut]
        self.straight: _Straight | None = None
        self.reason = ""

    def __call__(self, source: Source, arrays: Mapping[str, Array], known: Values) -> Values | None:
        """Totals and joined arrays of all matrices; nothing where one has no code, for this `reason`."""
        fixed = {
            name: np.ascontiguousarray(known[name], self.kind)
            if np.ndim(known[name])
            else np.asarray(known[name])
            for name in self.fixed
        }
        if self.straight is not None:
            return self.straight(arrays, fixed)
        joined: dict[str, Array] = {}
        count = self.division.count

        def one(number: int) -> Values:
            blocks = source.block(self.cut, number, number + 1)
            parts = [np.asarray(block[0], self.kind) for block in blocks]
            found = self.inner.of(fixed | dict(zip(self.cut, parts, strict=True)))
            for name in self.stack.joined:
                if name not in joined:
                    joined[name] = np.empty((count, *np.shape(found[name])), self.kind)
                joined[name][number] = found[name]
            return {name: np.asarray(found[name], np.float64)[()] for name in self.stack.totals}

        first = [one(0)]  # makes the code
        self.reason = next(iter(getattr(self.inner, "reasons", {}).values()), "")
        if self.reason:
            return None
        others = shared_out(lambda number: one(number + 1), count - 1, self.threads)
        self.straight = self.without_stops(arrays)
        return in_pairs(self.stack.totals, [*first, *others]) | joined

    def without_stops(self, arrays: Mapping[str, Array]) -> _Straight | None:
        """A run from one matrix to the next with no stop in between; nothing where it cannot be."""
        rows, calls = self.stack.rows, list(getattr(self.inner, "calls", {}).values())
        fresh = {given.name for given in rows.between[0].inputs} - set(self.fixed)
        if len(rows.passes) > 1 or fresh or len(calls) != 1:
            return None
        (call,) = calls
        if not isinstance(call, MatrixCall) or call.copied:
            return None
        for name in self.cut:
            if name not in arrays or arrays[name].dtype != self.kind:
                return None
            if name in call.work.matrices and not arrays[name][0].flags.c_contiguous:
                return None
        run = _Straight(self, call)
        return run if run.knows_all else None


class _Straight:
    """All matrices through the code of one: only addresses change from one to the next.

    results   where each total of a chain is among the numbers
    shapes    of the totals of products, which come to lie where they stay
    joined    the same of what has entries for each row of a matrix
    vectors   what each matrix has of its own that is copied to where code finds it
    """

    def __init__(self, heads: HeadsCall, call: MatrixCall) -> None:
        self.heads, self.call, self.rows = heads, call, heads.stack.rows
        self.cut = set(heads.cut)
        self.results: dict[str, Result] = {}
        at = 0
        for plan, results in zip(call.work.chains, call.results, strict=True):
            for result in results:
                self.results[result.name] = result.moved(at)
            at += plan.numbers
        lengths = call.work.cells.lengths
        self.shapes = {
            str(product.symbol.params[0]): [lengths[size] for size in product.symbol.shape]
            for product in call.work.totals
        }
        self.joined = {
            name: [call.division.count, *(axis.length for axis in array.axes[1:])]
            for plan in call.work.chains
            for name, array in plan.unrolled.joined.items()
            if name in call.step.joined and [axis.kind for axis in array.axes] in (["row"], ["row", "wide"])
        }
        own = {str(symbol.params[0]) for plan in call.work.chains for symbol in plan.fixed}
        self.vectors = sorted(own & self.cut)

    @property
    def knows_all(self) -> bool:
        """Whether every output comes out of the code as it is to be, or is worked out of what does."""
        before, after = self.rows.between
        known = {*self.results, *self.shapes, *self.joined, *self.heads.fixed, *self.cut, *before.outputs}
        needed = {*(given.name for given in after.inputs), *self.rows.outputs.values()} - {*after.outputs}
        return needed <= known and not any(result.rooted for result in self.results.values())

    def __call__(self, arrays: Mapping[str, Array], fixed: Values) -> Values:
        heads, call = self.heads, self.call
        count = heads.division.count
        (before, _), program = heads.inner.between, self.rows.between[0]
        held = before.function(*[fixed[given.name] for given in program.inputs])
        known = fixed | dict(zip(program.outputs, held, strict=True))
        matrices = {
            name: np.ascontiguousarray(known[name], heads.kind)
            for name in call.work.matrices
            if name not in self.cut
        }
        out = np.tile(call.start, (count, 1))
        whole = {
            name: np.empty((count, *shape), heads.kind)
            for name, shape in (*self.shapes.items(), *self.joined.items())
        }
        given = {("data", name): name for name in call.given}
        given |= {("matrix", name): name for name in call.work.matrices if name in self.cut}
        moving: dict[object, Array] = {key: {**known, **arrays}[name] for key, name in given.items()}
        moving |= {("total" if name in self.shapes else "data", name): each for name, each in whole.items()}
        moving["out"] = out
        places = np.array([call.places[name] // 8 for name in moving])
        first = np.array([address(array) for array in moving.values()])
        apart = np.array([array.strides[0] for array in moving.values()])
        apart[[k for k, name in enumerate(given.values()) if name not in self.cut]] = 0
        free: list[Memory] = []

        def one(number: int) -> None:
            here = known | {name: arrays[name][number] for name in self.vectors}
            try:
                memory = free.pop()
            except IndexError:
                memory = self.memory(here, matrices)
            if self.vectors:
                memory.put(here)
            memory.args[places] = first + number * apart
            call.function(memory.start)
            free.append(memory)

        with blas().threads(1):
            shared_out(one, count, heads.threads)
        call.memories += free
        each = [
            known
            | {name: arrays[name][number] for name in self.cut}
            | {name: array[number] for name, array in whole.items()}
            | {name: result.of(out[number]) for name, result in self.results.items()}
            for number in range(count)
        ]
        return self.outputs(each, whole)

    def memory(self, known: Values, matrices: Mapping[str, Array]) -> Memory:
        """Memory of a thread, for all rows of a matrix where they lie."""
        call = self.call
        memory = call.memory(known, matrices)
        for name, one in call.given.items():
            memory.stride(name, one.stride)
        for name in self.joined:
            memory.stride(name, call.division.count * call.kind.itemsize)
        for name, value in (("sums", 0), ("low", 0), ("high", call.division.count)):
            memory.tell(name, value)
        return memory

    def outputs(self, each: Sequence[Values], whole: Mapping[str, Array]) -> Values:
        """Totals of all matrices, and what has entries for each, of what is known of each."""
        stack, program, part = self.heads.stack, self.rows.between[-1], self.heads.inner.between[-1]
        if program.lines:
            for known in each:
                found = part.function(*[known[given.name] for given in program.inputs])
                known.update(zip(program.outputs, found, strict=True))
        called = self.rows.outputs
        totals = [
            {name: np.asarray(known[called[name]], np.float64)[()] for name in stack.totals} for known in each
        ]
        joined = {
            name: whole[called[name]]
            if called[name] in whole
            else np.array([known[called[name]] for known in each], self.heads.kind)
            for name in stack.joined
        }
        return in_pairs(stack.totals, totals) | joined
