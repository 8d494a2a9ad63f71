"""How does a compiled pass run? Whole arrays in memory at once, rows from elsewhere block by block.

A pass for which there is no code here is run by NumPy, and the reason is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradstep.backends.blocks import Blocked, InMemory, Source, Values
from gradstep.backends.compiled import Compiled
from gradstep.backends.native import engine
from gradstep.backends.native.calls import Call
from gradstep.backends.native.cells import Cells, Unsupported
from gradstep.backends.native.heads import HeadsCall
from gradstep.backends.native.kernels import ENTRY, write_pass
from gradstep.backends.native.layouts import Array, Given, given
from gradstep.backends.native.matrices import MatrixCall, work_of
from gradstep.backends.native.plan import Layout, Plan, Processor
from gradstep.backends.native.products import NoProducts
from gradstep.backends.native.repeating import Repeated
from gradstep.backends.native.unrolling import unrolled
from gradstep.backends.options import Options
from gradstep.backends.program import Program
from gradstep.backends.rows import Pass, Rows
from gradstep.backends.run import Run
from gradstep.backends.source import executed
from gradstep.backends.source import write as write
from gradstep.backends.stacks import NoStack, stack
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Lengths
from gradstep.operations.evaluation import sizes_of

FEW = 1 << 18  # bytes of data; below that NumPy is done before threads have begun

AnyCall = Call | MatrixCall | HeadsCall
MOST = 32  # sizes and layouts of data that are remembered


def load(source: str, program: Program, options: Options) -> Compiled:
    """The function of a program; `source` is how it reads in NumPy, which runs it where data are few."""
    engine.vector_bytes()  # says what is missing
    return Compiled(source, program, _NativeRun(program, executed(source), options))


class _NativeRun(Run):
    """The function of a program, whose passes over rows are machine code."""

    @property
    def many(self) -> int:
        return FEW

    def in_blocks(self, rows: Rows, program: Program | None = None) -> Blocked:
        return Native(program or self.program, rows, self.threads, self.options.accumulate == "float64")


class Native(Blocked):
    """A program over rows whose passes are machine code where there is some."""

    def __init__(
        self, program: Program, rows: Rows, threads: int | None = None, exactly: bool = False
    ) -> None:
        super().__init__(program, rows, threads, exactly)
        self.near = False  # whether all rows are one block, in pieces
        self.calls: dict[Any, AnyCall | str] = {}
        self.before: dict[Any, Repeated | None] = {}  # by what the arrays of a run were like
        self.functions: dict[str, Callable[[int], None]] = {}
        self.reasons: dict[int, str] = {}  # by pass: why NumPy runs it
        inputs = [[each.name for each in step.program.inputs] for step in rows.passes]
        self.cut = [[name for name in names if name in rows.axes] for names in inputs]
        names = [str(each.symbol.params[0]) for each in program.inputs]
        self.others = [name for name in names if name not in rows.axes]

    def over_rows(self, number: int, source: Source, known: Values, kind: np.dtype[Any]) -> Values:
        lying = source.arrays if isinstance(source, InMemory) else {}
        arrays = {name: lying[name] for name in self.cut[number] if name in lying}
        key = self.key(number, source.count, arrays, known, kind)
        call = self.calls.get(key)
        if call is None:
            if len(self.calls) >= MOST:
                del self.calls[next(iter(self.calls))]
            try:
                call = self.made(number, source, arrays, known, kind)
            except Unsupported as reason:
                call = str(reason)
            self.calls[key] = call
        if isinstance(call, str):
            self.reasons[number] = call
            return super().over_rows(number, source, known, kind)
        self.divisions[number] = call.division
        found = call(source, arrays, known)
        if isinstance(call, HeadsCall) and call.reason:
            self.calls[key] = call.reason
        return super().over_rows(number, source, known, kind) if found is None else found

    def key(
        self,
        number: int,
        count: int,
        arrays: Mapping[str, Array],
        known: Mapping[str, Any],
        kind: np.dtype[Any],
    ) -> tuple[Any, ...]:
        """What the code of a pass and its call depend on."""
        return (
            number,
            kind,
            count,
            tuple([(array.shape, array.strides, array.dtype) for array in arrays.values()]),
            tuple([np.shape(known[name]) for name in self.others]),
        )

    def of(self, arrays: Mapping[str, Array]) -> Values:
        likeness = tuple([(array.shape, array.strides, array.dtype) for array in arrays.values()])
        before = self.before.get(likeness)
        found = before(arrays) if before else None
        if found is not None:
            return found
        found = super().of(arrays)
        if likeness not in self.before:
            if len(self.before) >= MOST:
                del self.before[next(iter(self.before))]
            self.before[likeness] = self.repeated(arrays)
        return found

    def repeated(self, arrays: Mapping[str, Array]) -> Repeated | None:
        """The run that has been, to be done again with arrays that lie alike."""
        kind, count = self.kind_of(arrays), InMemory(arrays, self.rows.axes).count
        calls = []
        for number, names in enumerate(self.cut):
            key = self.key(number, count, {name: arrays[name] for name in names}, arrays, kind)
            call = self.calls.get(key)
            if not isinstance(call, Call | MatrixCall):
                return None
            calls.append(call)
        return Repeated(self, calls, arrays)

    def made(
        self, number: int, source: Source, arrays: Mapping[str, Array], known: Values, kind: np.dtype[Any]
    ) -> AnyCall:
        """The call of a pass for these sizes and layouts; raises `Unsupported`."""
        step = self.rows.passes[number]
        declared = {str(each.symbol.params[0]): each.symbol for each in self.program.inputs}
        lengths, axes = sizes_of(declared, known), self.rows.axes
        inputs = [each.symbol for each in step.program.inputs if each.name in axes]
        lies: dict[str, Given] = {}

        def layout(cells: Cells, symbol: Expr) -> Layout:
            name = str(symbol.params[0])
            lies[name] = given(cells, symbol, axes[name], arrays.get(name), kind)
            return lies[name].layout

        def matrix(cells: Cells, symbol: Expr) -> Layout:
            name = str(symbol.params[0])
            layout(cells, symbol)
            if not lies[name].as_matrix(source.count, kind.itemsize):
                lies[name] = given(cells, symbol, axes[name], None, kind)
            return lies[name].layout

        word = "float" if kind == np.float32 else "double"
        if self.near:
            try:
                work = work_of(step, self.rows.size, lengths, word, matrix, 1)
                return MatrixCall(work, step, lies, source.count, self.threads, True)
            except Unsupported:
                pass
        try:
            form = unrolled(step, self.rows.size, lengths)
        except Unsupported as reason:
            try:
                work = work_of(step, self.rows.size, lengths, word, matrix)
            except Unsupported as other:
                heads = self.heads(step, lengths, source.count, kind)
                if heads is None:
                    raise (reason if isinstance(other, NoProducts) else other) from None
                return heads
            return MatrixCall(work, step, lies, source.count, self.threads, self.near)
        layouts = {str(symbol.params[0]): layout(form.cells, symbol) for symbol in inputs}
        fixed = [each.symbol for each in step.program.inputs if each.name not in axes]
        processor = Processor(engine.vector_bytes(), engine.registers())
        plan = Plan(form, word, processor, layouts, fixed)
        text = write_pass(plan)
        if text not in self.functions:
            self.functions[text] = engine.load(text, ENTRY)
        division = self.division(source, known, kind)
        return Call(plan, self.functions[text], step, lies, division, self.threads)

    def heads(self, step: Pass, lengths: Lengths, count: int, kind: np.dtype[Any]) -> HeadsCall | None:
        """The call of a pass whose rows are matrices that come apart themselves."""

        def runs(program: Program, rows: Rows) -> Native:
            code = Native(program, rows, 1, self.exactly)
            code.near = True
            return code

        try:
            found = stack(step, self.rows.size, lengths)
        except NoStack:
            return None
        return HeadsCall(found, step, self.rows.size, count, kind, self.threads, runs)

    def told(self) -> list[str]:
        """How it runs, in words."""
        first, *others = super().told()
        if len(self.reasons) < len(self.passes):
            bits = 8 * engine.vector_bytes()
            code = f"machine code for {engine.processor_name()}, {bits} bits at a time"
            first = first.replace("NumPy", code, 1)
        if any(isinstance(call, MatrixCall) for call in self.calls.values()):
            others.append(
                "products of matrices by NumPy's OpenBLAS, what lies between two of them in one pass"
            )
        for call in self.calls.values():
            if isinstance(call, HeadsCall):
                others.append(
                    f"each is a matrix, which goes through the code by its own rows {call.stack.along}"
                )
        for number, reason in self.reasons.items():
            which = f"pass {number + 1}" if len(self.passes) > 1 else "the pass over the rows"
            others.append(f"{which} runs in NumPy: {reason}")
        return [first, *others]
