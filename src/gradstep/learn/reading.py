"""How are stored rows read? The next window by a thread of its own while this one is computed with."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from gradstep.backends.blocks import InMemory, Stream, Work
from gradstep.backends.trees import Tree
from gradstep.expression.records import record
from gradstep.learn.stores import WHOLE, Array, Share, Store, within
from gradstep.operations.memory import spoken

T = TypeVar("T")
Change: TypeAlias = Callable[[Array], Array]


class Moment(NamedTuple):
    """How far a pass over the rows is: rows and bytes so far, rows in all, and seconds since it began."""

    rows: int
    of: int
    bytes: int
    seconds: float


@dataclass
class Clock:
    """What passes took: bytes, seconds in all, and those of them in which there was nothing to do.

    `reading` are the seconds of the reader, which works beside the computing; `disk` are the bytes that came
    from the disk and not from memory, where the system tells, and `kept` those that had not to be read again.
    """

    passes: int = 0
    bytes: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    reading: float = 0.0
    disk: int = 0
    kept: int = 0
    show: Callable[[Moment], None] | None = field(default=None, repr=False)

    def __add__(self, other: Clock) -> Clock:
        return Clock(
            self.passes + other.passes,
            self.bytes + other.bytes,
            self.seconds + other.seconds,
            self.waited + other.waited,
            self.reading + other.reading,
            self.disk + other.disk,
            self.kept + other.kept,
            self.show,
        )

    def read(self, seconds: float) -> None:
        """The reader was at work for so long."""
        self.reading += seconds

    def told(self) -> str:
        """How fast the rows came, and what the speed was bound by."""
        speed = spoken(int(self.bytes / max(self.seconds, 1e-9)))
        passes = f"{self.passes:,} pass{'es' * (self.passes != 1)} over the rows"
        waiting = self.waited / max(self.seconds, 1e-9)
        from_disk = self.disk / max(self.bytes, 1)
        came = f", {100 * from_disk:.0f} % of the bytes from the disk" if from_disk >= 0.01 else ""
        bound = "computing"
        if self.reading > self.seconds - self.waited:
            bound = "the disk" if from_disk > 0.1 else "decoding the file"
        return (
            f"{passes}, {spoken(self.bytes)} in {self.seconds:.3g} s, {speed} a second{came}; "
            f"{100 * waiting:.0f} % of the time was spent waiting for rows: bound by {bound}"
        )

    def timed(
        self,
        windows: Generator[T, None, None],
        size: Callable[[T], int],
        of: int,
        bytes_a_row: int,
        ready: bool = False,
    ) -> Generator[T, None, None]:
        """The windows, read ahead (but where they are `ready`) and timed."""
        began, from_disk, rows = time.perf_counter(), bytes_from_disk(), 0
        reader = windows if ready else ahead(windows, self.read)
        try:
            while True:
                asked = time.perf_counter()
                window = next(reader, None)
                self.waited += time.perf_counter() - asked
                if window is None:
                    break
                rows += size(window)
                yield window
                del window
                if self.show is not None:
                    self.show(Moment(rows, of, rows * bytes_a_row, time.perf_counter() - began))
        finally:
            reader.close()
            self.passes += 1
            self.bytes += rows * bytes_a_row
            self.kept += rows * bytes_a_row if ready else 0
            self.seconds += time.perf_counter() - began
            self.disk += bytes_from_disk() - from_disk


def bytes_from_disk() -> int:
    """How many bytes this process has had read from a disk; 0 where the system does not tell."""
    try:
        with open("/proc/self/io", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("read_bytes")), 0)
    except (OSError, ValueError):
        return 0


def ahead(
    items: Iterator[T], busy: Callable[[float], None] = lambda seconds: None
) -> Generator[T, None, None]:
    """The items, the next of which a thread makes while this one is used; its errors are raised here.

    No more than two are there at a time. `busy` is told how long each took to make.
    """
    made: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
    asked, stopped = threading.Semaphore(1), threading.Event()

    def work() -> None:
        try:
            while asked.acquire() and not stopped.is_set():
                began = time.perf_counter()
                item = next(items, None)
                busy(time.perf_counter() - began)
                made.put((item, None))
                if item is None:
                    return
                del item
        except BaseException as error:
            made.put((None, error))

    reader = threading.Thread(target=work, name="gradstep reader", daemon=True)
    reader.start()
    try:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is None:
                return
            asked.release()
            yield item
            del item
    finally:
        stopped.set()
        asked.release()
        reader.join()


@record
class Visit:
    """A window of so many rows, and who does a work with it."""

    count: int
    do: Callable[[Work[Any]], Any]


class Part(Stream):
    """A share of each window of a store, as data to compute with.

    changes   what becomes of an array before it is used, by name
    kind      the type of numbers to compute with; None as they are
    """

    def __init__(
        self,
        store: Store,
        share: Share = WHOLE,
        changes: Mapping[str, Change] | None = None,
        kind: Any = None,
        clock: Clock | None = None,
    ) -> None:
        self.store, self.share = store, share
        self.kind = None if kind is None else np.dtype(kind)
        self.changes = dict(changes or {})
        self.clock = clock or Clock()
        parts = [[within(window, share) for window in unit] for unit in store.units]
        self.cuts = [[(start, stop) for start, stop in unit if start < stop] for unit in parts]
        self.count = sum(stop - start for unit in self.cuts for start, stop in unit)
        self.firsts: dict[str, Array] = {}

    def block(self, names: Sequence[str], start: int, stop: int) -> list[Array]:
        absent = [name for name in names if name not in self.firsts]
        if absent:
            first = next(iter(self.arrays(absent)))
            self.firsts |= {name: np.array(first[name][:1]) for name in absent}
        return [self.firsts[name][start:stop] for name in names]

    def arrays(
        self, names: Sequence[str], units: Sequence[int] | None = None
    ) -> Generator[dict[str, Array], None, None]:
        """The windows as arrays by name, in the order of their units."""
        for unit in range(len(self.store.units)) if units is None else units:
            for found in self.store.read(unit, names, self.share):
                for name, change in self.changes.items():
                    if name in found:
                        found[name] = change(found[name])
                yield {name: self._usable(array) for name, array in found.items()}

    def _usable(self, array: Array) -> Array:
        """Aligned numbers of the right kind; texts as they are."""
        return np.require(array, self.kind, "A") if isinstance(array, np.ndarray) else array

    def timed(
        self, names: Sequence[str], units: Sequence[int] | None = None, clock: Clock | None = None
    ) -> Generator[dict[str, Array], None, None]:
        """The same, read ahead by a thread and timed."""
        size, ready = self.store.bytes_of(names), self.ready(names, units)
        return (clock or self.clock).timed(self.arrays(names, units), _length, self.count, size, ready)

    def ready(self, names: Sequence[str], units: Sequence[int] | None) -> bool:
        """Whether these windows need not be read."""
        return False

    def windows(
        self, names: Sequence[str], units: Sequence[int] | None = None, clock: Clock | None = None
    ) -> Generator[InMemory, None, None]:
        """The windows one after the other, each with the number of its first row in the store."""
        numbers = range(len(self.store.units)) if units is None else units
        starts = (start for unit in numbers for start, stop in self.cuts[unit])
        with contextlib.closing(self.timed(names, units, clock)) as read:
            for arrays, at in zip(read, starts, strict=False):
                yield InMemory(arrays, dict.fromkeys(arrays, 0), at)

    def visits(self, names: Sequence[str], units: Sequence[int]) -> Iterator[Visit]:
        """The windows of some units to be worked on one by one, several times each."""
        with contextlib.closing(self.windows(names, units)) as windows:
            for window in windows:
                yield Visit(window.count, partial(_done, window))

    def total(self, work: Work[T], names: Sequence[str]) -> T:
        tree: Tree[T] = Tree(work.added)
        with contextlib.closing(self.windows(names)) as windows:
            for number, window in enumerate(windows):
                tree.put(number, 1, work(window))
        return tree.top()


def _done(window: InMemory, work: Work[T]) -> T:
    return work(window)


def _length(arrays: Mapping[str, Array]) -> int:
    return len(next(iter(arrays.values())))
