"""Who walks down where each step multiplies matrices? The same steps as a walker's, in the same order."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradstep.backends.blocks import InMemory, Values
from gradstep.backends.native.batching import BatchCall, Place, batches_of
from gradstep.backends.native.cells import Unsupported
from gradstep.backends.native.layouts import Array
from gradstep.backends.native.making import Rule
from gradstep.backends.native.plan import LINE
from gradstep.backends.native.products import has_products
from gradstep.backends.native.running import Native
from gradstep.backends.native.vectors import Vectors, number, vector, vector_plan
from gradstep.backends.native.walk import TOLD
from gradstep.backends.native.walker import Listen, Stretch, unheard
from gradstep.backends.program import Program
from gradstep.backends.rows import Rows, cut
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.operations.activations import abs as magnitude
from gradstep.operations.evaluation import sizes_of
from gradstep.operations.extremes import max as largest

POINTS = ("x", "g", "x_before", "g_before", "best_x", "best_g")


class Strider:
    """Data, and where the walk is; all parameters lie side by side, each from the beginning of a line on."""

    def __init__(
        self,
        program: Program,
        data: Mapping[str, Array],
        names: Sequence[str],
        rule: Rule,
        batch: int = 0,
        threads: int = 1,
    ) -> None:
        """`data` are arrays by the names of the symbols; raises `Unsupported` where nothing is multiplied."""
        self.program, self.names, self.rule, self.batch = program, list(names), rule, batch
        self.rows = _rows_of(program)
        symbols = {given.name: str(given.symbol.params[0]) for given in program.inputs}
        self.parameters = {name: symbols[name] for name in names}
        self.data = {name: array for name, array in data.items() if name not in self.parameters.values()}
        kinds = {array.dtype for array in self.data.values() if array.dtype.kind == "f" and array.ndim}
        self.kind = np.dtype(np.float32) if kinds == {np.dtype(np.float32)} else np.dtype(np.float64)
        self.shapes = {name: np.shape(data[symbol]) for name, symbol in self.parameters.items()}
        self.offsets, self.size = self.places()
        begin = rule.begin(np.zeros(1))
        self.vectors = [name for name, value in begin.items() if np.ndim(value)]
        self.numbers = {name: float(value) for name, value in begin.items() if not np.ndim(value)}
        self.native = Native(program, self.rows, threads)
        self.why_by_itself = ""
        self.update, self.told = self.own_programs(begin)
        self.memory = np.zeros(0)
        self.loss = self.best_loss = math.inf
        self.take(np.zeros((len(POINTS) + len(self.vectors)) * self.size + LINE, self.kind))
        self.in_batches = self.batch_call() if batch else None

    def places(self) -> tuple[dict[str, int], int]:
        """Where each parameter begins, in numbers, and how many numbers there are."""
        line, at, offsets = LINE // self.kind.itemsize, 0, {}
        for name, shape in self.shapes.items():
            offsets[name] = at
            at += -(-math.prod(shape) // line) * line
        return offsets, at

    def own_programs(self, begin: Mapping[str, Any]) -> tuple[Vectors, Vectors]:
        """The update of the optimiser, and what is told of a step."""
        kind = "float" if self.kind == np.float32 else "double"
        x, g, x_before, g_before = map(vector, POINTS[:4])
        memory = {name: vector(name) if np.ndim(value) else number(name) for name, value in begin.items()}
        following, after = self.rule.update(x, g, memory, number("rate"))
        update: dict[str, Expr] = {"new.x": following}
        update |= {f"new.{name}": after[name] for name in self.vectors}
        move, change = x - x_before, g - g_before
        told = {"steep": g @ g, "bend": move @ change, "length": move @ move}
        told["farthest"] = largest(magnitude(x))
        how = {name: "sum" for name in told} | {"farthest": "max"}
        return Vectors(vector_plan(update, {}, kind)), Vectors(vector_plan(told, how, kind))  # type: ignore[arg-type]

    def batch_call(self) -> BatchCall | None:
        """A walk through batches as one function, if there is one."""
        symbols = {str(given.symbol.params[0]): given.symbol for given in self.program.inputs}
        places = {
            name: Place(symbols[symbol], self.offsets[name], self.shapes[name])
            for name, symbol in self.parameters.items()
        }
        arrays = {**self.data, **{symbol: self.here[name] for name, symbol in self.parameters.items()}}
        lengths = sizes_of(symbols, arrays)
        try:
            threads = self.native.threads
            made = batches_of(self.rows, lengths, places, self.rule, self.update, self.batch, threads)
            return BatchCall(made, self.native, arrays, self.update, self.at, self.batch)
        except Unsupported as reason:
            self.why_by_itself = str(reason)
            return None

    def report(self) -> list[str]:
        """How it walks, in words."""
        lines = self.native.told()
        if self.why_by_itself:
            lines.append(f"each mini-batch is a call of its own: {self.why_by_itself}")
        return lines

    def take(self, memory: Array) -> None:
        """Takes a piece of memory for its own."""
        self.memory = memory
        first = -memory.__array_interface__["data"][0] % LINE // self.kind.itemsize
        self.at: dict[str, Array] = {}
        for k, name in enumerate([*POINTS, *self.vectors]):
            self.at[name] = memory[first + k * self.size : first + (k + 1) * self.size]
        for name, array in self.at.items():
            for each in (self.update, self.told):
                each.lies(name, array)
                each.lies(f"new.{name}", array)
        self.here = {name: self.part("x", name) for name in self.names}
        self.slopes = {name: self.part("g", name) for name in self.names}

    def part(self, what: str, name: str) -> Array:
        """The entries of one parameter."""
        shape, first = self.shapes[name], self.offsets[name]
        return self.at[what][first : first + math.prod(shape)].reshape(shape)

    @property
    def axes(self) -> Mapping[str, int]:
        """The data that have rows, and along which axis."""
        return self.rows.axes

    def twin(self) -> Strider:
        """Another one over the same data, which begins where this one is."""
        other = copy.copy(self)
        other.in_batches = None
        other.update, other.told = Vectors(self.update.plan), Vectors(self.told.plan)
        other.take(np.zeros(len(self.memory), self.kind))
        for name, array in self.at.items():
            other.at[name][:] = array
        return other

    # ------------------------------------------------------------------------------------- where it is

    def vector(self, name: str) -> Array:
        """All entries of "x", "g", "best_x" or "best_g", end to end, in float64."""
        return np.concatenate([self.part(name, each).ravel() for each in self.names], dtype=np.float64)

    def put(self, name: str, values: Array) -> None:
        """The same the other way."""
        at = 0
        for each in self.names:
            part = self.part(name, each)
            part[...] = values[at : at + part.size].reshape(part.shape)
            at += part.size

    def point(self) -> tuple[Array, float, Array]:
        """x, the loss there, and its gradient."""
        return self.vector("x"), self.loss, self.vector("g")

    def measured(self, x: Array) -> tuple[float, Array]:
        """The loss and its gradient at x; the walk goes on from there."""
        self.put("x", x)
        self.measure(self.data)
        return self.loss, self.vector("g")

    def measure(self, data: Mapping[str, Array]) -> None:
        """The loss and its gradient on these data."""
        values: Values = {name: array for name, array in data.items() if name not in self.rows.axes}
        values |= {symbol: self.here[name] for name, symbol in self.parameters.items()}
        rows = {name: array for name, array in data.items() if name in self.rows.axes}
        with np.errstate(all="ignore"):
            loss, *gradients = self.native.run(InMemory(rows, self.rows.axes), values, self.kind).values()
        self.loss = float(loss)
        for slope, gradient in zip(self.slopes.values(), gradients, strict=True):
            slope[...] = gradient

    def begin(self, x: Array, rule: Rule) -> None:
        """Begins at x, with the first memory of the optimiser."""
        self.measured(x)
        for name, value in rule.begin(np.zeros(1)).items():
            if name in self.numbers:
                self.numbers[name] = float(value)
            else:
                self.at[name][:] = value
        self.at["best_x"][:], self.at["best_g"][:] = self.at["x"], self.at["g"]
        self.best_loss = self.loss

    def remembered(self, rule: Rule) -> dict[str, Array]:
        """The memory of the optimiser, as its formulas know it: numbers, and vectors of all entries."""
        numbers = {name: np.array(value) for name, value in self.numbers.items()}
        return {name: self.vector(name) for name in self.vectors} | numbers

    def remember(self, state: Mapping[str, Array]) -> None:
        """The same the other way."""
        for name, value in state.items():
            if np.ndim(value):
                self.put(name, value)
            else:
                self.numbers[name] = float(value)

    def saved(self) -> Any:
        """Where it is, to come back to."""
        return self.memory.copy(), dict(self.numbers), self.loss, self.best_loss

    def restore(self, saved: Any) -> None:
        self.memory[:], numbers, self.loss, self.best_loss = saved
        self.numbers = dict(numbers)

    # ------------------------------------------------------------------------------------- the walk

    def run(
        self,
        steps: int,
        rate: float,
        every: int,
        until: int,
        orders: Array | None = None,
        listen: Listen = unheard,
    ) -> Stretch:
        """So many steps; a picture `until` steps from here and then after `every` so many more.

        `orders` are the numbers of the rows for each step, where a step is a walk through batches; between
        some of them `listen` may end it.
        """
        table, pictures = np.empty((steps, len(TOLD))), []
        for step in range(steps):
            self.at["x_before"][:], self.at["g_before"][:] = self.at["x"], self.at["g"]
            if orders is None:
                self.step(rate)
            else:
                self.through(orders[step], rate, listen)
            self.measure(self.data)
            table[step] = self.loss, *self.told.run(0, self.size)
            if self.loss < self.best_loss:
                self.best_loss = self.loss
                self.at["best_x"][:], self.at["best_g"][:] = self.at["x"], self.at["g"]
            until -= 1
            if not until:
                until = every
                pictures.append(self.vector("x"))
        return Stretch(table, np.array(pictures))

    def step(self, rate: float) -> None:
        """One step of the optimiser down the gradient."""
        self.tell_numbers(rate)
        self.update.run(0, self.size)
        if self.numbers:
            nothing: dict[str, Any] = {name: np.zeros(1) for name in self.vectors}
            _, after = self.rule.update(np.zeros(1), np.zeros(1), nothing | self.numbers, rate)
            self.numbers = {name: float(after[name]) for name in self.numbers}

    def tell_numbers(self, rate: float) -> None:
        """What the update takes beside vectors."""
        for name, value in {"rate": rate, **self.numbers}.items():
            self.update.put(name, value)

    def through(self, order: Array, rate: float, listen: Listen = unheard) -> None:
        """One walk through the rows in this order, with a step after each batch."""
        if self.in_batches is not None:
            self.tell_numbers(rate)
            self.in_batches.run(order, rate, listen)
            self.numbers = {name: float(self.update.place(name)[0]) for name in self.numbers}
            return
        for first in range(0, len(order), self.batch):
            rows = order[first : first + self.batch]
            axes = self.rows.axes
            self.measure(
                {name: np.take(a, rows, axes[name]) if name in axes else a for name, a in self.data.items()}
            )
            self.step(rate)
            listen()


def _rows_of(program: Program) -> Rows:
    try:
        rows = cut(program)
    except MathError as error:
        raise Unsupported("; ".join(error.facts)) from None
    if any(step.joined for step in rows.passes):
        raise Unsupported("the loss or a gradient has an entry for each row")
    return rows


def multiplies_matrices(program: Program) -> bool:
    """Whether there are products of matrices for each row, or sums of them over the rows."""
    try:
        rows = _rows_of(program)
    except Unsupported:
        return False
    return any(has_products(step, rows.size) for step in rows.passes)
