"""Who walks down in machine code? A walker, many steps at a time."""

from __future__ import annotations

import copy
import ctypes
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from gradstep.backends.native.cells import Axis
from gradstep.backends.native.held import ITEM
from gradstep.backends.native.making import Array, Code, Rule, entries_of
from gradstep.backends.native.plan import LINE
from gradstep.backends.native.walk import COLUMNS, OWN, argument_places
from gradstep.expression.records import record

Listen: TypeAlias = Callable[[], None]
"""Is called now and then, and may raise `KeyboardInterrupt`."""

PIECE = 1 << 12  # rows, in batches, from which on a walk through them is more than one call
LONGEST = 0.05  # seconds that a piece may take


def unheard() -> None:
    """Nobody wants to end it."""


@record
class Stretch:
    """What came of some steps: a row of `COLUMNS` for each step, and pictures of the parameters on the way.

    The table is the walker's own, and good until it goes on.
    """

    table: Array
    pictures: Array


class Walker:
    """Data, and where the walk is: all numbers are in float64."""

    def __init__(
        self, code: Code, data: Mapping[str, Array], batch: int = 0, others: Walker | None = None
    ) -> None:
        """`data` are arrays by the names of the symbols, also those that have no rows.

        `others` has the rows that are watched, by code of its own.
        """
        self.code, self.batch, walk = code, batch, code.walk
        scratch = max((plan.room for plan in (*walk.passes, *walk.in_batches)), default=0)
        self.scratch, self.memory = lines(scratch // ITEM), lines(walk.memory.used // ITEM)
        self.args = np.zeros(len(argument_places(walk.data)), np.int64)
        self.table = np.empty((0, len(COLUMNS)))
        self.arrays = {name: self.laid_out(name, data[name]) for name in walk.data}
        for symbol in code.fixed:
            name = str(symbol.params[0])
            self.put(name, np.asarray(data[name], dtype=np.float64).ravel(), code.axes[name])
        count = next(data[name].shape[at] for name, (at, _) in code.arranged.items())
        self.tell("scratch", address(self.scratch))
        self.tell("fixed", address(self.memory))
        self.tell("count", count)
        self.tell("batch", batch)
        for name, array in self.arrays.items():
            self.tell(("data", name), address(array))
        self.others = others
        if others is not None:
            here, loss = others.code.place(OWN + "x"), others.code.place(others.code.walk.loss)
            self.tell("watch", ctypes.cast(others.code.function, ctypes.c_void_p).value or 0)  # type: ignore[arg-type]
            self.tell("watch_args", address(others.args))
            self.tell("watch_x", address(others.memory) + here * ITEM)
            self.tell("watch_loss", address(others.memory) + loss * ITEM)

    @property
    def axes(self) -> Mapping[str, int]:
        """The data that have rows, and along which axis."""
        return {name: at for name, (at, _) in self.code.arranged.items()}

    def twin(self) -> Walker:
        """Another walker over the same data, which begins where this one is."""
        other = copy.copy(self)
        other.args, other.scratch = self.args.copy(), lines(len(self.scratch))
        other.memory = lines(len(self.memory))
        other.memory[:] = self.memory
        other.tell("scratch", address(other.scratch))
        other.tell("fixed", address(other.memory))
        return other

    def laid_out(self, name: str, array: Array) -> Array:
        """Rows one after the other, or columns that begin on lines; a copy where it lies otherwise."""
        at, wide = self.code.arranged[name]
        rows = np.moveaxis(np.asarray(array, dtype=np.float64), at, 0)
        rows = rows if wide is None else np.moveaxis(rows, 1 + wide, -1)
        flat = rows.reshape(len(rows), -1)
        if wide is not None:
            return np.ascontiguousarray(flat)
        columns = flat.T
        if flat.shape[1] == 1:
            if columns.flags.c_contiguous and address(columns) % LINE == 0:
                return columns
            found = lines(len(rows)).reshape(1, -1)
        else:
            found = lines(flat.shape[1] * self.code.walk.strides[name] // ITEM).reshape(flat.shape[1], -1)
        found[:, : len(rows)] = columns
        return found

    def tell(self, name: object, value: int) -> None:
        self.args[argument_places(self.code.walk.data)[name] // 8] = value

    def put(self, name: str, values: Array, axes: Sequence[Axis]) -> None:
        places = entries_of(axes, self.code.walk.memory)
        self.memory[self.code.place(name) + places] = values

    def call(self) -> None:
        self.code.function(address(self.args))

    # ------------------------------------------------------------------------------------- where it is

    def vector(self, name: str) -> Array:
        """All entries of "x", "g", "best_x", "best_g" or the memory of the optimiser, end to end."""
        found: Array = self.memory[self.code.place(OWN + name) + self.code.index]
        return found

    @property
    def loss(self) -> float:
        return float(self.memory[self.code.place(self.code.walk.loss)])

    def point(self) -> tuple[Array, float, Array]:
        """x, the loss there, and its gradient."""
        return self.vector("x"), self.loss, self.vector("g")

    def measured(self, x: Array) -> tuple[float, Array]:
        """The loss and its gradient at x; the walk goes on from there."""
        self.memory[self.code.place(OWN + "x") + self.code.index] = x
        self.tell("steps", 0)
        self.call()
        return self.loss, self.vector("g")

    def begin(self, x: Array, rule: Rule) -> None:
        """Begins at x, with the first memory of the optimiser."""
        self.measured(x)
        code, size = self.code, self.code.walk.size
        for name, value in rule.begin(np.zeros(size)).items():
            at = code.place(OWN + name)
            self.memory[at : at + np.size(value)] = value
        for name in ("x", "g"):
            here, best = code.place(OWN + name), code.place(OWN + "best_" + name)
            self.memory[best : best + size] = self.memory[here : here + size]
        self.memory[code.place(OWN + "best_loss")] = self.loss

    def remembered(self, rule: Rule) -> dict[str, Array]:
        """The memory of the optimiser, as its formulas know it: numbers, and vectors of all entries."""
        first = rule.begin(np.zeros(1))
        return {
            name: self.vector(name) if np.ndim(value) else np.array(self.memory[self.code.place(OWN + name)])
            for name, value in first.items()
        }

    def remember(self, state: Mapping[str, Array]) -> None:
        """The same the other way."""
        for name, value in state.items():
            place = self.code.place(OWN + name)
            self.memory[place + self.code.index if np.ndim(value) else place] = value

    def saved(self) -> Any:
        """Where it is, to come back to."""
        return self.memory.copy()

    def restore(self, saved: Any) -> None:
        self.memory[:] = saved

    def fit_rates(self, rate: float, step: int, losses: Sequence[float]) -> None:
        """The rate of step `step`, which goes on from the last of these losses."""
        fitted = self.code.walk.fitted
        assert fitted is not None
        self.put_number("rate", rate)
        whole, last = self.memory.view(np.int64), losses[-fitted.recent :]
        whole[self.code.place(OWN + "turn")] = step % 3
        whole[self.code.place(OWN + "oldest")] = len(last) % fitted.recent
        start = self.code.place(OWN + "recent")
        self.memory[start : start + fitted.recent + self.code.walk.memory.width] = -np.inf
        self.memory[start : start + len(last)] = last

    def watch(self, floor: float, limit: float, best: float) -> None:
        """What is watched counts for no less than `floor`, and only where the loss is not above `limit`."""
        for name, value in (("floor", floor), ("limit", limit), ("seen_watched", best)):
            self.put_number(name, value)

    @property
    def rate(self) -> float:
        return float(self.memory[self.code.place(OWN + "rate")])

    def put_number(self, name: str, value: float) -> None:
        self.memory[self.code.place(OWN + name)] = value

    def run(
        self,
        steps: int,
        rate: float | None,
        every: int,
        until: int,
        orders: Array | None = None,
        listen: Listen = unheard,
    ) -> Stretch:
        """So many steps, or fewer where rates are fitted: then what comes next has to be looked at.

        A picture is taken `until` steps from here, and then after `every` so many more. `orders` are the
        numbers of the rows for each step, where a step is a walk through batches; one alone is walked in
        pieces, between which `listen` may end it.
        """
        code, size = self.code, self.code.walk.size
        whole = self.memory.view(np.int64)
        whole[code.place(OWN + "every")], whole[code.place(OWN + "until")] = every, until
        if rate is not None:
            self.put_number("rate", rate)
        count = 0 if steps < until else 1 + (steps - until) // every
        table = self.table[:steps] if steps <= len(self.table) else np.empty((steps, len(COLUMNS)))
        self.table = table if len(table) > len(self.table) else self.table
        pictures = np.empty((max(count, 1), size))
        self.tell("steps", steps)
        self.tell("table", address(table))
        self.tell("pictures", address(pictures))
        if orders is not None:
            orders = np.ascontiguousarray(orders, dtype=np.int64)
            self.tell("order", address(orders))
            self.in_pieces(orders.shape[1], steps, listen)
        else:
            self.call()
        if code.walk.fitted is not None:
            table = table[: whole[code.place(OWN + "taken")]]
        return Stretch(table, pictures[:count][:, code.index])

    def in_pieces(self, count: int, steps: int, listen: Listen) -> None:
        """Walks through all batches; one walk alone goes in ever larger pieces, until they take long."""
        first, size = 0, count if steps > 1 else PIECE // self.batch * self.batch or self.batch
        while first < count:
            began = time.perf_counter()
            self.tell("from", first)
            self.tell("to", min(first + size, count))
            self.call()
            first += size
            size *= 2 if time.perf_counter() - began < LONGEST else 1
            listen()


def address(array: Array) -> int:
    found: int = array.__array_interface__["data"][0]
    return found


def lines(numbers: int) -> Array:
    """So many numbers, and a line more, from the beginning of a line on."""
    room = np.zeros(numbers + 2 * LINE // ITEM)
    start = -address(room) % LINE // ITEM
    return room[start : start + numbers]
