"""Who computes the blocks of a program? Several threads, each the next group of blocks that nobody has begun.

Where blocks begin and in which order their totals are added depends on the data alone, so the result has the
same bits for any number of threads. Inside a group totals are added one after the other, groups in pairs, and
always in float64.
"""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from gradstep.backends.buffers import Buffer
from gradstep.backends.digits import Sum
from gradstep.backends.parts import part
from gradstep.backends.program import Program
from gradstep.backends.rows import Combine, Rows
from gradstep.backends.threads import cores, one_thread_each, shared_out
from gradstep.expression.errors import MathError
from gradstep.expression.records import record
from gradstep.expression.shapes import Lengths, Shape
from gradstep.operations.evaluation import sizes_of

Array: TypeAlias = NDArray[Any]
Values: TypeAlias = dict[str, Any]
T = TypeVar("T")

BLOCK = 1 << 20  # bytes: what one core keeps in its cache while it is read twice
FEWEST = 64  # rows of a block, so that products with matrices stay products
GROUPS = 64  # at most so many totals are kept; the smallest piece of work that a thread takes
KEPT = 1 << 26  # bytes of them


class Source(Protocol):
    """Rows from anywhere: arrays in memory, a file, a stream."""

    count: int

    def block(self, names: Sequence[str], start: int, stop: int) -> Sequence[Array]:
        """These rows of the named data."""


class InMemory:
    """Arrays, cut along the axes of their rows; the first is row `at` of all that there are."""

    def __init__(self, arrays: Mapping[str, Array], axes: Mapping[str, int], at: int = 0) -> None:
        self.arrays, self.axes, self.at = arrays, axes, at
        for name, axis in axes.items():
            if name in arrays:
                self.count = arrays[name].shape[axis]
                break

    def block(self, names: Sequence[str], start: int, stop: int) -> list[Array]:
        arrays, axes = self.arrays, self.axes
        return [
            arrays[name][along(axes[name], start, stop)] if axes[name] else arrays[name][start:stop]
            for name in names
        ]


def along(axis: int, start: int, stop: int) -> tuple[slice, ...]:
    """The index of some places along an axis."""
    return (*(slice(None),) * axis, slice(start, stop))


class Work(Protocol[T]):
    """What is to be found out about many rows: about each window of them, and of two neighbours together."""

    def __call__(self, window: InMemory) -> T: ...

    def added(self, one: T, other: T) -> T: ...


@record
class Works:
    """Several works with the same windows; one that comes to a `MathError` ends alone."""

    works: tuple[Work[Any], ...]

    def __call__(self, window: InMemory) -> list[Any]:
        found: list[Any] = []
        for work in self.works:
            try:
                found.append(work(window))
            except MathError as error:
                found.append(error)
        return found

    def added(self, one: list[Any], other: list[Any]) -> list[Any]:
        return [
            mine
            if isinstance(mine, MathError)
            else theirs
            if isinstance(theirs, MathError)
            else work.added(mine, theirs)
            for work, mine, theirs in zip(self.works, one, other, strict=True)
        ]


class Stream(ABC):
    """More rows than fit into memory: they come in windows that do, always cut at the same places."""

    count: int

    @abstractmethod
    def block(self, names: Sequence[str], start: int, stop: int) -> Sequence[Array]:
        """These rows of the named data; only the first ones are asked for."""

    @abstractmethod
    def total(self, work: Work[T], names: Sequence[str]) -> T:
        """What the work finds out about all windows of the named data, made one in a `Tree`."""


# ------------------------------------------------------------------------------------------- totals

COMBINING: Mapping[Combine, Callable[[Any, Any], Any]] = {
    "sum": operator.add,
    "max": np.maximum,
    "min": np.minimum,
    "norm": np.hypot,
    "logsumexp": np.logaddexp,
    "prod": np.multiply,
}


def added(kinds: Mapping[str, Combine], one: Values, other: Values) -> Values:
    """The totals of two groups of rows as those of both."""
    return {name: COMBINING[kind](one[name], other[name]) for name, kind in kinds.items()}


def in_pairs(kinds: Mapping[str, Combine], groups: Sequence[Values]) -> Values:
    """The totals of all groups: of the first and second, the third and fourth, and so on upwards."""
    level = list(groups)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [added(kinds, *pair) for pair in pairs] + ([level[-1]] if len(level) % 2 else [])
    return level[0]


# ------------------------------------------------------------------------------------------- the division


@record
class Division:
    """Rows in blocks, and blocks in groups: how many rows a block has, and how many blocks a group."""

    count: int
    rows: int
    blocks: int

    def groups(self) -> list[list[tuple[int, int]]]:
        """For each group where its blocks begin and end."""
        cuts = [(k, min(k + self.rows, self.count)) for k in range(0, self.count, self.rows)]
        return [cuts[k : k + self.blocks] for k in range(0, len(cuts), self.blocks)]


def divided(count: int, bytes_a_row: float, bytes_of_totals: float, fewest: int = FEWEST) -> Division:
    """The division of so many rows; it depends on nothing but these numbers."""
    rows = max(fewest, int(BLOCK / max(bytes_a_row, 1)) // min(16, fewest) * min(16, fewest))
    blocks = max(1, math.ceil(count / rows))
    groups = max(1, min(GROUPS, blocks, int(KEPT / max(bytes_of_totals, 1))))
    return Division(count, rows, math.ceil(blocks / groups))


# ------------------------------------------------------------------------------------------- the run


class _Room:
    """What one thread computes in: the buffers of a part for blocks of any number of rows."""

    def __init__(self, buffers: Sequence[Buffer], size: str, sizes: Lengths, kind: Any) -> None:
        self.buffers, self.size, self.sizes, self.kind = buffers, size, sizes, kind
        self.made: dict[int, list[Array]] = {}  # by number of rows

    def arrays(self, rows: int) -> list[Array]:
        if rows not in self.made:
            sizes = Lengths(self.sizes | {self.size: rows})
            kinds = [bool if buffer.mask else self.kind for buffer in self.buffers]
            self.made[rows] = [
                _empty(buffer.shape, sizes, kind) for buffer, kind in zip(self.buffers, kinds, strict=True)
            ]
        return self.made[rows]


def _empty(shape: Shape, sizes: Lengths, kind: Any) -> Array:
    return np.empty([sizes[size] for size in shape], kind)


class Blocked:
    """A program that runs over its rows in blocks: called like the function of the whole program.

    `whole` is the function of all rows at once, where it is known; `origin` is how to make it on another
    machine: a function and what to call it with.
    """

    whole: Callable[..., Any] | None = None
    origin: tuple[Callable[..., Blocked], tuple[Any, ...]] | None = None

    def __reduce__(self) -> tuple[Callable[..., Blocked], tuple[Any, ...]]:
        if self.origin is None:
            raise TypeError("this program is not said to be made elsewhere")
        return self.origin

    def __init__(
        self, program: Program, rows: Rows, threads: int | None = None, exactly: bool = False
    ) -> None:
        self.program, self.rows, self.exactly = program, rows, exactly
        self.threads = threads or cores()
        self.divisions: dict[int, Division] = {}  # of each pass in the last run
        self.between = [part(each) for each in rows.between]
        self.passes = [part(each.program, each.totals) for each in rows.passes]

    def of(self, arrays: Mapping[str, Array]) -> Values:
        """The outputs by name, of arrays in memory by theirs."""
        axes = self.rows.axes
        others = {name: array for name, array in arrays.items() if name not in axes}
        with one_thread_each():
            return self.run(
                InMemory({name: arrays[name] for name in axes}, axes), others, self.kind_of(arrays)
            )

    def kind_of(self, arrays: Mapping[str, Array]) -> np.dtype[Any]:
        """What is computed for the rows of these arrays: float32 or float64."""
        kind = np.result_type(*[arrays[name] for name in self.rows.axes])
        return kind if kind.kind == "f" and not self.exactly else np.dtype(np.float64)

    def run(self, source: Source | Stream, values: Values, kind: Any) -> Values:
        """The outputs by name; `values` are the parameters and what else has no rows.

        What is computed for a row is of this kind, float32 or float64; with `exactly` always float64.
        """
        kind = np.dtype(np.float64 if self.exactly else kind)
        known = self.known(source, values)
        for number in range(len(self.passes)):
            self.compute(number, known)
            found = (
                self.over_windows(number, source, known, kind)
                if isinstance(source, Stream)
                else self.over_rows(number, source, known, kind)
            )
            known |= {name: v.rounded() if isinstance(v, Sum) else v for name, v in found.items()}
        self.compute(len(self.passes), known)
        return {name: known[called] for name, called in self.rows.outputs.items()}

    def known(self, source: Source | Stream, values: Values) -> Values:
        """What is known before the first pass: values, how many rows there are, and one row of the data.

        It tells the sizes that no parameter has.
        """
        names = list(self.rows.axes)
        first = dict(zip(names, source.block(names, 0, 1), strict=True))
        return {**first, **values, self.rows.count: np.float64(source.count)}

    def compute(self, number: int, known: Values) -> None:
        """What comes before a pass, or after the last."""
        program = self.rows.between[number]
        found = self.between[number].function(*[known[given.name] for given in program.inputs])
        known.update(zip(program.outputs, found, strict=True))

    def over_windows(self, number: int, stream: Stream, known: Values, kind: np.dtype[Any]) -> Values:
        """One pass over all windows."""
        given = [each.name for each in self.rows.passes[number].program.inputs]
        used = {*given, *(str(each.symbol.params[0]) for each in self.program.inputs)}
        work = OverWindows(self, number, {name: known[name] for name in known if name in used}, kind)
        return stream.total(work, [name for name in given if name in self.rows.axes])

    def over_rows(self, number: int, source: Source, known: Values, kind: np.dtype[Any]) -> Values:
        """One pass over all rows."""
        step, made = self.rows.passes[number], self.passes[number]
        cut = [given.name for given in step.program.inputs if given.name in self.rows.axes]
        fixed = [_as(kind, known[given.name]) for given in step.program.inputs[len(cut) :]]
        self.divisions[number] = division = self.division(source, known, kind)
        groups = division.groups()
        sizes = self.sizes(known)
        whole = Lengths(sizes | {self.rows.size: source.count})
        joined = {name: _empty(step.program.outputs[name].shape, whole, kind) for name in step.joined}
        names = list(step.program.outputs)
        put = [(k, joined[name], step.joined[name]) for k, name in enumerate(names) if name in joined]
        add = [(k, COMBINING[step.totals[name]]) for k, name in enumerate(names) if name in step.totals]
        rooms: list[_Room] = []

        def group(number: int) -> Values:
            room = rooms.pop() if rooms else _Room(made.buffers, self.rows.size, sizes, kind)
            total: list[Any] = []
            for start, stop in groups[number]:
                rows = [_as(kind, array) for array in source.block(cut, start, stop)]
                found = made.function(*rows, *fixed, *room.arrays(stop - start))
                for k, array, axis in put:
                    array[along(axis, start, stop)] = found[k]
                if total:
                    total = [combine(one, found[k]) for one, (k, combine) in zip(total, add, strict=True)]
                else:
                    total = [_fresh(found[k]) for k, _ in add]
            rooms.append(room)
            return {names[k]: one for one, (k, _) in zip(total, add, strict=True)}

        return in_pairs(step.totals, shared_out(group, len(groups), self.threads)) | joined

    def sizes(self, known: Values) -> Lengths:
        """How long every axis is; that of the rows is as long as one of them."""
        declared = {str(given.symbol.params[0]): given.symbol for given in self.program.inputs}
        return sizes_of(declared, known)

    def division(self, source: Source, known: Values, kind: np.dtype[Any]) -> Division:
        """Blocks of rows that fit into a cache together with what is computed from them.

        They are those of all passes: a product with a row that is computed again comes out the same.
        """
        sizes = self.sizes(known)

        def room(shapes: Iterable[Shape]) -> int:
            return sum(kind.itemsize * math.prod(sizes[size] for size in shape) for shape in shapes)

        rows, totals = [], []
        for step in self.rows.passes:
            lines = step.program.lines
            shapes = [given.symbol.shape for given in step.program.inputs if given.name in self.rows.axes]
            shapes += [line.value.shape for line in lines if self.rows.size in line.value.shape]
            rows.append(room(shapes))
            totals.append(room(line.value.shape for line in lines if line.name in step.totals))
        return divided(source.count, max(rows), 2 * max(totals), 1 if self.stacked else FEWEST)

    @property
    def stacked(self) -> bool:
        """Whether a row is a matrix, such as a head of attention: its products need no others beside it."""
        return any(
            len(given.symbol.shape) > 2
            for step in self.rows.passes
            for given in step.program.inputs
            if given.name in self.rows.axes
        )

    def told(self) -> list[str]:
        """How it runs, in words."""
        size = self.rows.size
        lines = [f"NumPy, the rows {size} in blocks, by {_counted(self.threads, 'thread')}"]
        if len(self.passes) > 1:
            lines.append(f"{_counted(len(self.passes), 'pass')} over the rows: some totals are needed first")
        for number, division in self.divisions.items():
            which = f"pass {number + 1}: " if len(self.passes) > 1 else ""
            blocks = _counted(math.ceil(division.count / division.rows), "block")
            lines.append(f"{which}{division.count:,} rows in {blocks} of {division.rows:,}")
        return lines


@record
class OverWindows:
    """A pass of a program over windows: the totals of each, and what has entries for its rows."""

    blocked: Blocked
    number: int
    known: Values
    kind: np.dtype[Any]

    def __call__(self, window: InMemory) -> Values:
        return self.blocked.over_rows(self.number, window, self.known, self.kind)

    def added(self, one: Values, other: Values) -> Values:
        step = self.blocked.rows.passes[self.number]
        whole = {
            name: np.concatenate([one[name], other[name]], axis=axis) for name, axis in step.joined.items()
        }
        return added(step.totals, one, other) | whole


@record
class OverBatch:
    """A program for some rows of a window, all at once: its outputs in order."""

    blocked: Blocked
    start: int
    stop: int
    values: Values

    def __call__(self, window: InMemory) -> list[Any]:
        axes, whole = self.blocked.rows.axes, self.blocked.whole
        assert whole is not None
        rows = dict(zip(axes, window.block(list(axes), self.start, self.stop), strict=True))
        given = {**self.values, **rows}
        value, slopes = whole(*(given[str(each.symbol.params[0])] for each in self.blocked.program.inputs))
        return [value, *slopes.values()]

    def added(self, one: list[Any], other: list[Any]) -> list[Any]:
        raise NotImplementedError("a batch lies in one window")


def _fresh(total: Any) -> Any:
    """A total in float64, in memory of its own."""
    return total if isinstance(total, Sum) else np.array(total, dtype=np.float64)[()]


def _counted(count: int, thing: str) -> str:
    plural = f"{thing}es" if thing.endswith("s") else f"{thing}s"
    return f"{count:,} {thing if count == 1 else plural}"


def _as(kind: np.dtype[Any], value: Any) -> Any:
    """A number or an array as one of this kind."""
    if isinstance(value, np.ndarray) and value.ndim:
        return value if value.dtype == kind else np.asarray(value, dtype=kind)
    return kind.type(value)
