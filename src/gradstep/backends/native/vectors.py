"""How is calculated with long vectors, entry by entry? The step of an optimiser, and what is told of a step.

An entry is to a vector what a row is to data: such a program is a chain over the entries.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from gradstep.backends.native import engine
from gradstep.backends.native.assembly import Writer
from gradstep.backends.native.borrowed import brings_source
from gradstep.backends.native.calls import address
from gradstep.backends.native.cells import Cells, Unsupported
from gradstep.backends.native.chains import ChainPlan, ChainWriter, chain_places
from gradstep.backends.native.elements import EMITTERS
from gradstep.backends.native.layouts import Array
from gradstep.backends.native.plan import LINE, Layout, Processor
from gradstep.backends.native.reductions import IDENTITY
from gradstep.backends.native.unrolling import _Unrolling as Unrolling
from gradstep.backends.program import Input, Line, Program
from gradstep.backends.rows import Combine, Pass
from gradstep.expression.node import Expr, rebuild, walk
from gradstep.expression.shapes import Lengths, Shape
from gradstep.operations.arithmetic import scale_op
from gradstep.operations.broadcasting import repeat, repeat_op
from gradstep.operations.leaves import is_constant, symbol_op

ENTRIES = "entries"
ENTRY = "gradstep_vectors"
ARGUMENTS = ("area", "scratch", "low", "high", "out")


def vector(name: str) -> Expr:
    """The symbol of a vector of this name."""
    return symbol_op(params=(name, (ENTRIES,), ()))


def number(name: str) -> Expr:
    return symbol_op(params=(name, (), ()))


def along_entries(value: Expr) -> Expr:
    """A number for each entry; a vector as it is."""
    return value if value.shape else repeat(value, (0,), (ENTRIES,))


def flattened(value: Expr, shape: Shape, names: Collection[str]) -> Expr:
    """A formula for each entry of the arrays of these names as one for vectors; raises `Unsupported`."""
    made: dict[Expr, Expr] = {}
    for node in walk(value):
        name = str(node.params[0]) if node.op is symbol_op else ""
        entrywise = node.op in EMITTERS or node.op is scale_op or brings_source(node.op)
        if name in names and node.shape == shape:
            made[node] = vector(name)
        elif node.shape == () and name not in names and (name or is_constant(node)):
            made[node] = node
        elif node.op is repeat_op and node.args[0].shape == () and node.shape == shape:
            made[node] = along_entries(made[node.args[0]])
        elif node.args and entrywise and all(arg.shape in ((), shape) for arg in node.args):
            args = [made[arg] for arg in node.args]
            if not shape and any(arg.shape for arg in args):
                args = [along_entries(arg) for arg in args]
            made[node] = rebuild(node, args)
        else:
            raise Unsupported(f"{node.op.name} is more than a formula for each entry")
    return made[value]


def vector_plan(
    values: Mapping[str, Expr], totals: Mapping[str, Combine], kind: str, lengths: Lengths | None = None
) -> ChainPlan:
    """The plan of formulas by the names of what they give: vectors, and `totals` over all entries."""
    lines = tuple(Line(name, value, "forward") for name, value in values.items())
    leaves = [node for node in walk(*values.values()) if node.op is symbol_op]
    outputs = {line.name: symbol_op(params=(line.name, line.value.shape, ())) for line in lines}
    program = Program(tuple(Input(str(s.params[0]), s, s) for s in leaves), lines, outputs, {})
    step = Pass(program, totals, {name: 0 for name in values if name not in totals})
    form = Unrolling(step, Cells(ENTRIES, Lengths({**(lengths or {}), ENTRIES: 1}), frozenset())).whole()
    layouts = {str(leaf.params[0]): Layout("packed", 1) for leaf in leaves if leaf.shape}
    processor = Processor(engine.vector_bytes(), engine.registers())
    return ChainPlan(form, kind, processor, layouts, [leaf for leaf in leaves if not leaf.shape])


def write_vectors(plan: ChainPlan) -> str:
    """The text of a module with the function of a plan, which takes the address of its arguments."""
    code = ChainWriter(plan)
    code.text()
    writer = Writer()
    writer.declared.update(code.writer.declared)
    with writer.function(ENTRY, "ptr %a", inner=False):
        values = [
            writer.scalar(f"load {'i64' if name in ('low', 'high') else 'ptr'}, ptr {writer.at('%a', 8 * k)}")
            for k, name in enumerate(ARGUMENTS)
        ]
        area, scratch, low, high, out = values
        writer.emit(f"call void @block(ptr {area}, ptr {scratch}, i64 {low}, i64 {high}, ptr {out})")
        writer.emit("ret void")
    return "\n".join([*code.writer.lines, writer.text()])


class Vectors:
    """A program over vectors, and where these lie."""

    def __init__(self, plan: ChainPlan) -> None:
        self.plan = plan
        self.kind = np.dtype(np.float32 if plan.kind == "float" else np.float64)
        self.places = chain_places(plan)
        self.area = np.zeros(len(self.places), np.int64)
        self.scratch = np.zeros(plan.room + LINE, np.int8)
        self.fixed = np.zeros(plan.fixed_size // plan.item + LINE, self.kind)
        self.start = np.concatenate(
            [np.zeros(0), *(np.full(s.length, IDENTITY[s.total.how]) for s in plan.sums)]
        )
        self.out = self.start.copy()
        self.function = engine.loaded(write_vectors(plan), ENTRY)
        self.args = np.zeros(len(ARGUMENTS), np.int64)
        self.args[0], self.args[4] = address(self.area), address(self.out)
        first = address(self.scratch)
        self.args[1] = first + -first % LINE
        self.area[self.places["fixed"] // 8] = address(self.fixed)

    def lies(self, name: str, array: Array) -> None:
        """Where a vector lies, from which is read or to which is written."""
        for key in (("data", name), ("joined", name)):
            if key in self.places:
                self.area[self.places[key] // 8] = address(array)

    def place(self, name: str) -> Array:
        """Where a number is that is the same for all entries."""
        first = self.plan.fixed_at[name] // self.plan.item
        return self.fixed[first : first + 1]

    def put(self, name: str, value: float) -> None:
        """A number that is the same for all entries, if it is needed."""
        if name in self.plan.fixed_at:
            self.place(name)[0] = value

    def run(self, low: int, high: int) -> Array:
        """The entries from low to high; gives the totals in the order of the sums."""
        self.out[:] = self.start
        self.args[2], self.args[3] = low, high
        self.function(address(self.args))
        return self.out
