"""What is a descent in machine code made of, and what lies where?

The code depends on the program, the sizes and the optimiser, not on the numbers; `code_of` writes it once for
all walkers. A program for which there is no such code is told by `Unsupported`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.backends.native import engine
from gradstep.backends.native.arrays import Arrays
from gradstep.backends.native.cells import Array as CellArray
from gradstep.backends.native.cells import Axis, Cells, TooMany, Unsupported, indices
from gradstep.backends.native.descents import ENTRY, write_descent
from gradstep.backends.native.free import Free, Memory, free
from gradstep.backends.native.held import ITEM
from gradstep.backends.native.lean import gathered, lean
from gradstep.backends.native.plan import LINE, Layout, Plan, Processor
from gradstep.backends.native.unrolling import SHORT, Unrolled
from gradstep.backends.native.unrolling import _Unrolling as Unrolling
from gradstep.backends.native.walk import OWN, Fitted, Walk
from gradstep.backends.program import Input, Line, Program
from gradstep.backends.rows import Rows, cut
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Lengths, Shape, Size
from gradstep.operations.activations import abs as magnitude
from gradstep.operations.extremes import max as largest
from gradstep.operations.leaves import symbol_op

Array: TypeAlias = NDArray[Any]
ENTRIES = "entries"
WATCHING = ("watched", "seen_watched", "floor", "limit")
FITTING = ("taken", "tries", "loss_before", "rate_before", "oldest", "turn")


@record
class Rule:
    """How an optimiser steps: `begin(x)` is its memory at first, `update(x, g, memory, rate)` the next x and
    memory. Both take expressions as they take arrays. With `fitted` the rate is fitted to each step."""

    name: str
    begin: Callable[[Any], Mapping[str, Any]]
    update: Callable[[Any, Any, Any, Any], tuple[Any, Mapping[str, Any]]]
    fitted: Fitted | None = None


@record
class Code:
    """The code of a walk: what lies where, and the function.

    index        for each entry of all parameters, end to end, its place among the numbers of "x"
    fixed        the symbols of data without rows
    arranged     for each of the data with rows: the axis of the rows, and the wide one if there is one
    """

    walk: Walk
    index: Array
    fixed: tuple[Expr, ...]
    arranged: Mapping[str, tuple[int, int | None]]
    axes: Mapping[str, tuple[Axis, ...]]
    function: Callable[[int], None]

    def place(self, name: str) -> int:
        """Where a symbol begins, in numbers."""
        return self.walk.memory.places[name] // ITEM


# ------------------------------------------------------------------------------------------- the code


class _Making:
    """The code of a walk while it is made."""

    def __init__(
        self,
        program: Program,
        lengths: Lengths,
        names: Sequence[str],
        rule: Rule,
        batch: int,
        watched: str,
    ) -> None:
        self.program, self.lengths, self.names = program, lengths, names
        self.rule, self.batch, self.watched = rule, batch, watched
        self.rows = self.cut()
        self.symbols = {given.name: given.symbol for given in program.inputs}
        self.parameters = tuple(self.symbols[name] for name in names)
        self.width = engine.vector_bytes() // ITEM
        self.column = (
            -(-lengths[self.rows.size] * ITEM // LINE) * LINE // ITEM
        )  # numbers from one to the next
        self.memory = Memory(self.width)

    def cut(self) -> Rows:
        try:
            rows = cut(self.program)
        except MathError as error:
            raise Unsupported("; ".join(error.facts)) from None
        if any(step.joined for step in rows.passes):
            raise Unsupported("the loss or a gradient has an entry for each row")
        return rows

    def code(self) -> Code:
        passes, between = self.all_cells()
        cells = between[0].cells
        axes = {str(symbol.params[0]): cells.axes(symbol.shape) for symbol in self.symbols.values()}
        index, size = self.place_parameters(axes)
        given = {str(symbol.params[0]) for symbol in self.parameters} | set(self.rows.axes)
        fixed = tuple(s for s in self.symbols.values() if str(s.params[0]) not in given)
        for symbol in fixed:
            self.memory.put(str(symbol.params[0]), axes[str(symbol.params[0])])
        self.memory.put(self.rows.count, ())
        gradients = self.place_gradients(axes, passes, between)
        arranged, layouts = self.layouts(axes)
        plans = tuple(self.plans(passes, layouts, 0))
        in_batches = tuple(self.plans(passes, layouts, self.batch)) if self.batch else ()
        first = self.rule.begin(np.zeros(1))
        update, told = self.own_programs(size, first)
        for name in ("best_loss", "until", "every", "rate", *WATCHING, *FITTING):
            self.memory.put(OWN + name, ())
        if self.rule.fitted is not None:
            self.memory.places[OWN + "recent"] = self.memory.room(self.rule.fitted.recent + self.width)
        for program in (update, told):
            for name, array in program.outputs.items():
                self.memory.put(name, array.axes)
        data = tuple(self.rows.axes)
        strides = {
            name: ITEM * (self.column if layout.how == "columns" else layout.entries)
            for name, layout in layouts.items()
        }
        single = self.single(first) if self.batch == 1 else None
        made = Walk(
            plans,
            in_batches,
            single,
            between,
            update,
            told,
            self.memory,
            self.rows.count,
            self.rows.outputs[next(iter(self.program.outputs))],
            gradients,
            size,
            self.step,
            self.lengths[self.rows.size],
            self.batch,
            data,
            strides,
            self.rule.fitted,
            self.watched,
        )
        function = engine.load(write_descent(made), ENTRY)
        return Code(made, index, fixed, arranged, axes, function)

    def all_cells(self) -> tuple[list[Unrolled], tuple[Free, ...]]:
        """The cells of all passes and of what lies between, with the same wide axes."""
        rows = self.rows
        programs = [step.program for step in rows.passes] + list(rows.between)
        nodes = itertools.chain.from_iterable(
            walk(*(g.symbol for g in each.inputs), *(line.value for line in each.lines)) for each in programs
        )
        sizes = dict.fromkeys(size for node in nodes for size in node.shape if size != rows.size)
        by_length = sorted(sizes, key=lambda size: -self.lengths[size])
        wide = [size for size in by_length if self.lengths[size] > SHORT]
        while True:
            try:
                self.wide = frozenset(wide)
                return self.cells_with(self.wide)
            except TooMany:
                more = [size for size in by_length if size not in wide and self.lengths[size] > 1]
                if not more:
                    raise
                wide.append(more[0])

    def cells_with(self, wide: frozenset[Size]) -> tuple[list[Unrolled], tuple[Free, ...]]:
        def cells() -> Cells:
            return Cells(self.rows.size, self.lengths, wide)

        passes = [lean(Unrolling(step, cells()).whole()) for step in self.rows.passes]
        return passes, tuple(free(each, cells()) for each in self.rows.between)

    # ------------------------------------------------------------------------------------- places

    def place_parameters(self, axes: Mapping[str, tuple[Axis, ...]]) -> tuple[Array, int]:
        """All parameters side by side, and so their gradients, and all else that has an entry for each."""
        at, places, offsets = 0, [], {}
        mine = [(str(symbol.params[0]), axes[str(symbol.params[0])]) for symbol in self.parameters]
        long = any(axis.kind == "wide" for _, each in mine for axis in each)
        for name, each in mine:
            offsets[name] = at
            places.append(at + entries_of(each, self.memory))
            at += self.memory.numbers(each)
            at += -at % self.width if long else 0
        self.step = min(self.width, 1 << (at - 1).bit_length())
        at += -at % self.step
        self.offsets = offsets
        for name in ("x", "g", "x_before", "g_before", "best_x", "best_g", "seen_x", "seen_g"):
            self.memory.places[OWN + name] = self.memory.room(at)
        x = self.memory.places[OWN + "x"]
        self.memory.places.update({name: x + offset * ITEM for name, offset in offsets.items()})
        return np.concatenate(places), at

    def place_gradients(
        self,
        axes: Mapping[str, tuple[Axis, ...]],
        passes: Sequence[Unrolled],
        between: Sequence[Free],
    ) -> dict[str, tuple[int, int, int]]:
        """Where each gradient comes from and goes to: what is only that is made in its place."""
        g, memory = self.memory.places[OWN + "g"], self.memory
        goes = {}
        for user_name, symbol in zip(self.names, self.parameters, strict=True):
            name, called = str(symbol.params[0]), self.rows.outputs[user_name]
            goes[user_name] = (called, g + self.offsets[name] * ITEM, memory.numbers(axes[name]))
            memory.places.setdefault(called, goes[user_name][1])
        for program in between:
            for name, array in program.outputs.items():
                memory.put(name, array.axes)
        for form in passes:
            numbers = sum(len(t.terms) for t in form.totals if not t.wide and t.name not in memory.places)
            start = memory.room(numbers) if numbers else 0
            for total in form.totals:
                if total.wide or total.name in memory.places:
                    memory.put(total.name, total.axes)
                else:
                    memory.places[total.name] = start
                    start += len(total.terms) * ITEM
        return {name: (memory.places[called], to, numbers) for name, (called, to, numbers) in goes.items()}

    def layouts(
        self, axes: Mapping[str, tuple[Axis, ...]]
    ) -> tuple[dict[str, tuple[int, int | None]], dict[str, Layout]]:
        """How data with rows are laid out: rows with a wide axis one after the other, else by columns."""
        arranged: dict[str, tuple[int, int | None]] = {}
        layouts: dict[str, Layout] = {}
        for name, at in self.rows.axes.items():
            others = [axis for k, axis in enumerate(axes[name]) if k != at]
            kinds = [axis.kind for axis in others]
            wide = kinds.index("wide") if "wide" in kinds else None
            entries = math.prod(axis.length for axis in others)
            how = "columns" if wide is None and entries > 1 else "packed"
            arranged[name], layouts[name] = (at, wide), Layout(how, entries)
        return arranged, layouts

    def plans(self, passes: Sequence[Unrolled], layouts: Mapping[str, Layout], batch: int) -> Iterable[Plan]:
        processor = Processor(engine.vector_bytes(), engine.registers())
        for step, form in zip(self.rows.passes, passes, strict=True):
            inputs = step.program.inputs
            mine = {each.name: layouts[each.name] for each in inputs if each.name in layouts}
            fixed = [each.symbol for each in inputs if each.name not in layouts]
            yield (
                BatchPlan(form, "double", processor, mine, fixed, batch)
                if batch
                else Plan(form, "double", processor, mine, fixed)
            )

    # ------------------------------------------------------------------------------------- the optimiser

    def own_programs(self, size: int, first: Mapping[str, Any]) -> tuple[Free, Free]:
        """The update of the optimiser, and what is told of a step, as programs of one long vector."""
        lengths = Lengths({ENTRIES: size})
        cells = Cells("", lengths, frozenset({ENTRIES} if size > 1 else ()))

        def symbol(name: str, shape: tuple[Size, ...] = (ENTRIES,)) -> Expr:
            return symbol_op(params=(OWN + name, shape, ()))

        x, g, x_before, g_before = map(symbol, ("x", "g", "x_before", "g_before"))
        memory = {name: symbol(name, (ENTRIES,) if np.ndim(value) else ()) for name, value in first.items()}
        fitted = self.rule.fitted is not None
        here = (x_before, g_before) if fitted else (x, g)
        following, after = self.rule.update(*here, memory, symbol("rate", ()))
        update = {"x": following, **after}
        if not self.batch and not fitted:
            update |= {"x_before": x, "g_before": g}
        move, change = x - x_before, g - g_before
        told = {
            "steep": g @ g,
            "bend": move @ change,
            "length": move @ move,
            "farthest": largest(magnitude(x)),
        }
        if fitted:
            told |= {"sway": change @ change, "size": x @ x}
        for name, each in memory.items():
            self.memory.put(OWN + name, cells.axes(each.shape))
        return free(straight(update), cells), free(straight(told), cells)

    def single(self, first: Mapping[str, Any]) -> Free | None:
        """The update by one row as one program; none where a total of one row is more than a sum."""
        cells = Known(self.rows.size, self.lengths, self.wide)
        cells.known[self.rows.count] = cells.array((), lambda index: cells.number(1))
        for number, between in enumerate(self.rows.between):
            cells.known |= free(between, cells, rows=True).outputs
            if number == len(self.rows.passes):
                break
            for total in Unrolling(self.rows.passes[number], cells).whole().totals:
                if total.rooted:
                    return None
                arrays = Arrays(cells)
                ends = [arrays.added([arrays.product(term) for term in terms]) for terms in total.terms]
                cells.known[total.name] = CellArray(
                    total.axes, dict(zip(indices(total.axes), ends, strict=True))
                )
        outputs: dict[str, CellArray] = {}
        for user_name, symbol in zip(self.names, self.parameters, strict=True):
            name, shape = str(symbol.params[0]), symbol.shape
            gradient = symbol_op(params=(self.rows.outputs[user_name], shape, ()))
            memory = {
                each: symbol_op(
                    params=(
                        OWN + each + (OWN + name) * bool(np.ndim(value)),
                        shape * bool(np.ndim(value)),
                        (),
                    )
                )
                for each, value in first.items()
            }
            rate = symbol_op(params=(OWN + "rate", (), ()))
            following, after = self.rule.update(symbol, gradient, memory, rate)
            for each, value in first.items():
                if np.ndim(value):
                    place = self.memory.places[OWN + each] + self.offsets[name] * ITEM
                    self.memory.places[OWN + each + OWN + name] = place
            values = {name: following} | {str(memory[each].params[0]): value for each, value in after.items()}
            outputs |= free(straight(values, ""), cells, rows=True).outputs
        better = gathered(cells, [cell for array in outputs.values() for cell in array.cells.values()])
        for name, array in outputs.items():
            outputs[name] = CellArray(array.axes, {at: better[cell] for at, cell in array.cells.items()})
        return Free(cells, outputs)


class Known(Cells):
    """Cells in which some arrays are known already, by their names."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.known: dict[str, CellArray] = {}

    def leaf(self, name: str, shape: Shape) -> CellArray:
        found = self.known.get(name)
        return super().leaf(name, shape) if found is None else found


def straight(values: Mapping[str, Expr], prefix: str = OWN) -> Program:
    """A program with a line for each value."""
    leaves = [node for node in walk(*values.values()) if node.op is symbol_op]
    lines = tuple(Line(OWN + "new." + name, value, "forward") for name, value in values.items())
    outputs = {
        prefix + name: symbol_op(params=(line.name, line.value.shape, ()))
        for name, line in zip(values, lines, strict=True)
    }
    return Program(tuple(Input(str(s.params[0]), s, s) for s in leaves), lines, outputs, {})


class BatchPlan(Plan):
    """A plan for few rows at a time, which lie anywhere."""

    def __init__(self, *given: Any) -> None:
        *others, self.batch = given
        super().__init__(*others)

    @property
    def pipelined(self) -> bool:
        return False

    def ahead(self, name: str, level: int, row: int) -> list[tuple[int, int]]:
        return []

    def _rows(self) -> int:
        rows: int = super()._rows()
        return min(rows, 1 << int(self.batch - 1).bit_length())


def entries_of(axes: Sequence[Axis], memory: Memory) -> Array:
    """For each entry of an array, in order, its place in memory."""
    wide = next((k for k, axis in enumerate(axes) if axis.kind == "wide"), None)
    short = [axis.length for axis in axes if axis.kind == "short"]
    places = np.arange(memory.numbers(axes))
    if wide is None:
        return places
    shaped = places.reshape(*short, -1)[..., : axes[wide].length]
    return np.moveaxis(shaped, -1, wide).ravel()


KEPT = 64  # codes that are remembered
_CODES: dict[Any, tuple[Program, Code | str]] = {}


def code_of(
    program: Program,
    lengths: Lengths,
    names: Sequence[str],
    rule: Rule,
    batch: int = 0,
    watched: str = "",
) -> Code:
    """The code of a walk with all rows in each step, or so many; raises `Unsupported`.

    `watched` says what is watched: "" for nothing, "own" for the loss itself, "others" for other rows.
    """
    sizes = tuple(sorted((str(size), length) for size, length in lengths.items()))
    key = (id(program), sizes, tuple(names), rule.name, rule.fitted, batch, watched)
    if key not in _CODES:
        while len(_CODES) >= KEPT:
            del _CODES[next(iter(_CODES))]
        try:
            _CODES[key] = (program, _Making(program, lengths, names, rule, batch, watched).code())
        except Unsupported as reason:
            _CODES[key] = (program, str(reason))
    _, found = _CODES[key]
    if isinstance(found, str):
        raise Unsupported(found)
    return found
