"""What does a worker of a cluster do? It goes through its windows, keeps those it has room for, and adds up.

All here runs on the worker. A window is read there by a pure function of the files, wherever it was read
before: no rows are sent, and a worker that is lost costs no more than reading its windows again.
"""

from __future__ import annotations

import contextlib
import math
import platform
import sys
import threading
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from gradstep.backends.blocks import InMemory, Work
from gradstep.backends.native import engine
from gradstep.backends.threads import kernels, one_thread_each
from gradstep.backends.trees import Node, Tree
from gradstep.expression.errors import MathError
from gradstep.expression.records import record
from gradstep.learn.prints import digest
from gradstep.learn.reading import Clock, Moment, Part
from gradstep.learn.stores import Array, Store
from gradstep.operations.memory import spoken

T = TypeVar("T")

KEEPS = 0.5  # of its memory, that a worker fills with windows; Dask begins to move data to the disk at 0.6
SAME = "a path that leads to the same files on all machines"
EVERY = 0.5  # seconds between two words about how far it is


class Held(Part):
    """A part of the rows, as a worker keeps it: it is read once, as far as there is room.

    One that is gone through but `once` keeps nothing. It lives as long as its training does, since Dask then
    forgets it. `limit` is how many bytes its worker may take.
    """

    def __init__(self, part: Part, once: bool) -> None:
        super().__init__(part.store, part.share, part.changes, part.kind)
        self.once, self.limit = once, math.inf
        self.held: dict[tuple[int, tuple[str, ...]], list[dict[str, Array]]] = {}
        self.lock = threading.Lock()
        self.leaves = np.cumsum([0, *(len(unit) for unit in self.cuts)])

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return Held, (Part(self.store, self.share, self.changes, self.kind), self.once)

    def ready(self, names: Sequence[str], units: Sequence[int] | None) -> bool:
        return units is not None and all((unit, tuple(names)) in self.held for unit in units)

    def arrays(
        self, names: Sequence[str], units: Sequence[int] | None = None
    ) -> Generator[dict[str, Array], None, None]:
        wanted = range(len(self.store.units)) if units is None else units
        for unit in wanted:
            key = (unit, tuple(names))
            if key in self.held:
                yield from map(dict, self.held[key])
                continue
            found, roomy = list[dict[str, Array]](), self.has_room()
            if not (roomy or self.once):
                self.forget_all_but(wanted)
            for arrays in super().arrays(names, [unit]):
                roomy = roomy and self.has_room()
                if roomy:
                    found.append(dict(arrays))
                else:
                    found.clear()
                yield arrays
            if roomy:
                with self.lock:
                    self.held[key] = found

    def gain(self, given: Mapping[int, Any]) -> None:
        """Has what the store needs to read some units."""
        with self.lock:
            self.store.given = {**self.store.given, **given}

    def lose(self, units: Collection[int]) -> None:
        """Keeps nothing of these units."""
        with self.lock:
            self.store.given = {unit: each for unit, each in self.store.given.items() if unit not in units}

    def has_room(self) -> bool:
        """Whether another window may be kept."""
        return not self.once and resident() < KEEPS * self.limit

    def forget_all_but(self, units: Sequence[int]) -> None:
        """Makes room: these units are others' now."""
        with self.lock:
            for key in [key for key in self.held if key[0] not in units]:
                del self.held[key]


def give_back() -> None:
    """What Arrow does not need any more goes back to the system: what it would keep, Dask counts as used."""
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.set_memory_pool(arrow.system_memory_pool())


def resident() -> int:
    """The bytes that this process has in memory."""
    import psutil

    found: int = psutil.Process().memory_info().rss
    return found


# ------------------------------------------------------------------------------------------- an errand


@dataclass
class Times:
    """Where the time of a worker went, over all its errands."""

    threads: int = 1
    errands: int = 0
    rows: int = 0
    clock: Clock = field(default_factory=Clock)

    def __add__(self, other: Times) -> Times:
        return Times(
            other.threads, self.errands + other.errands, self.rows + other.rows, self.clock + other.clock
        )

    @property
    def busy(self) -> float:
        """Seconds that reading and computing took, which go side by side."""
        return max(self.clock.reading, self.clock.seconds - self.clock.waited)

    def told(self) -> str:
        """Where it went, and how fast rows came beside how fast they can be read."""
        clock = self.clock
        seconds, computing = max(clock.seconds, 1e-9), clock.seconds - clock.waited
        came = [f"{spoken(clock.disk)} from the disk"] if clock.disk else []
        came += [f"{spoken(clock.kept)} kept in memory"] if clock.kept else []
        limit = (clock.bytes - clock.kept) / max(clock.reading, 1e-9)
        speed = clock.bytes / seconds
        share = speed / max(limit, 1e-9)
        beside = f"{100 * share:.0f} % of what it can read" if share <= 1 else "more than it can read"
        return (
            f"{self.rows:,} rows, {', '.join([spoken(clock.bytes), *came])}; reading and decoding "
            f"{clock.reading:.3g} s, computing {computing:.3g} s, waiting for rows {clock.waited:.3g} s; "
            f"{spoken(int(speed))} a second, {beside}"
        )


@record
class Answer(Generic[T]):
    """What errands found: results of windows by the tree, and by worker how long it took and who it is."""

    nodes: list[Node[T]]
    told: list[tuple[str, Times, Fingerprint]]


@record
class Errand:
    """A work to be done with the windows of some units, one after the other.

    names   the arrays that it needs
    files   what all files are known by, together: a worker that comes later may see others
    topic   where to say how far it is, if somebody listens
    """

    names: tuple[str, ...]
    units: range
    files: str = ""
    topic: str = ""

    def __call__(self, part: Held, work: bytes, given: Mapping[int, Any]) -> Answer[Any]:
        """Runs on a worker; the work comes as bytes, so that the thread that does it makes it of them.

        `given` is what the store needs to read these units.
        """
        import distributed

        worker = distributed.get_worker()
        part.limit = worker.memory_manager.memory_limit or math.inf
        give_back()
        check_files(part.store, self.files, worker.address)
        does: Work[Any] = unpacked(work)
        clock, rows = Clock(show=Telling(worker, self.topic) if self.topic else None), 0
        tree: Tree[Any] = Tree(does.added)
        first = int(part.leaves[self.units.start])
        try:
            part.gain(given)
            windows = part.windows(self.names, self.units, clock)
            with np.errstate(all="ignore"), one_thread_each(), contextlib.closing(windows):
                for number, window in enumerate(windows, start=first):
                    rows += window.count
                    tree.put(number, 1, does(window))
        except MathError as error:
            error.facts = (*error.facts, f"on the worker {worker.address}")
            raise
        finally:
            part.lose(given)
        clock.show = None
        times = Times(worker.state.nthreads, 1, rows, clock)
        return Answer(tree.nodes, [(worker.address, times, fingerprint())])


def packed(value: object) -> bytes:
    """A value as Dask sends it."""
    from distributed.protocol import pickle

    found: bytes = pickle.dumps(value)
    return found


def unpacked(value: bytes) -> Any:
    """What `packed` made bytes of."""
    from distributed.protocol import pickle

    return pickle.loads(value)


def joined(answers: Sequence[Answer[Any]], work: bytes) -> Answer[Any]:
    """The answers of neighbouring errands as one, put together where one of them is."""
    does: Work[Any] = unpacked(work)
    tree = Tree(does.added, (node for answer in answers for node in answer.nodes))
    return Answer(tree.nodes, [told for answer in answers for told in answer.told])


@record
class Only:
    """A work with the window that begins at a row; of others there is nothing."""

    work: Work[Any]
    at: int

    def __call__(self, window: InMemory) -> Any:
        return self.work(window) if window.at == self.at else None

    def added(self, one: Any, other: Any) -> Any:
        return one if other is None else other


class Telling:
    """Says how far an errand is, now and then."""

    def __init__(self, worker: Any, topic: str) -> None:
        self.worker, self.topic, self.last = worker, topic, time.monotonic()

    def __call__(self, moment: Moment) -> None:
        if time.monotonic() - self.last >= EVERY:
            self.last = time.monotonic()
            far = {"worker": self.worker.address, "rows": moment.rows, "bytes": moment.bytes}
            self.worker.log_event(self.topic, far)


# ------------------------------------------------------------------------------------------- who it is


@record
class Fingerprint:
    """What the last bits of a result depend on beside the numbers: versions and kernels."""

    python: str
    gradstep: str
    numpy: str
    products: str
    code: str

    def differs(self, other: Fingerprint) -> list[str]:
        """In what: "numpy 2.4.6 and 2.3.0"."""
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in Fingerprint.__match_args__]
        return [f"{SPOKEN[name]} {one} and {two}" for name, one, two in pairs if one != two]


SPOKEN = {
    "python": "Python",
    "gradstep": "gradstep",
    "numpy": "NumPy",
    "products": "products of matrices by",
    "code": "machine code for",
}


def fingerprint() -> Fingerprint:
    """That of this process."""
    if not _FOUND:
        version = str(sys.modules["gradstep"].__version__)
        code = engine.identity().split("\n") if engine.available() else ["none"]
        told = " ".join((code[-2], code[0], digest(code[-1].encode())[:6])) if len(code) > 1 else code[0]
        python = ".".join(platform.python_version_tuple()[:2])
        _FOUND.append(Fingerprint(python, version, np.__version__, kernels(), told))
    return _FOUND[0]


_FOUND: list[Fingerprint] = []


@record
class Greeting:
    """What a worker says of itself at first; `prints` are those of some of the files, as it sees them."""

    fingerprint: Fingerprint
    threads: int
    prints: dict[str, str]
    trouble: str


_SEEN: set[str] = set()  # what files are known by together, that this worker has found so


def together(prints: Mapping[str, str]) -> str:
    """What files are known by, as one word."""
    return digest(*(each.encode() for pair in sorted(prints.items()) for each in pair))


def check_files(store: Store, files: str, worker: str) -> None:
    """Raises `MathError` on a worker that sees other files than those that are known by `files`."""
    if not files or files in _SEEN:
        return
    if together(store.prints()) != files:
        raise MathError(
            f"the worker {worker}, which came later, sees other files than this machine in {store.source}",
            mend=SAME,
        )
    _SEEN.add(files)


def greeting(store: Store, dask_worker: Any) -> Greeting:
    """Runs on every worker when a training begins; Dask says which it is."""
    prints, trouble = dict[str, str](), ""
    try:
        prints = store.prints()
        _SEEN.add(together(prints))
    except MathError as error:
        trouble = error.what
    return Greeting(fingerprint(), dask_worker.state.nthreads, prints, trouble)
