"""Who computes where one machine is not enough? The workers of a Dask cluster, each its part of the windows.

A step sends the parameters and asks each worker once. What comes back are totals by the tree of `trees.py`,
so the bits do not depend on how many workers there are, or on who of them was lost on the way: Dask gives the
errand of a lost worker to another, which reads the windows itself.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar

from gradstep.backends.blocks import Work
from gradstep.backends.threads import cores
from gradstep.backends.trees import Node, Tree
from gradstep.expression.errors import MathError
from gradstep.expression.records import replaced
from gradstep.learn.reaching import dask, gone, reached, reaching, revive
from gradstep.learn.reading import Clock, Moment, Part, Visit
from gradstep.learn.runs import Run, runs
from gradstep.learn.stores import Store
from gradstep.learn.workers import (
    SAME,
    Answer,
    Errand,
    Fingerprint,
    Greeting,
    Held,
    Only,
    Times,
    fingerprint,
    greeting,
    joined,
    packed,
    together,
)

T = TypeVar("T")

STARTS = 60.0  # seconds until a worker has to be there, at first or again
REVIVES = 10.0  # until those of this machine are started anew
LOOKS = 1.0  # between two looks at who is there
WAITS = 2.0  # for answers, between two looks at whether there can be any
LARGE = 1 << 17  # bytes of a work that go once to Dask, and not with every errand
MUCH, FAN = 64 << 20, 16  # bytes of results, from which on workers add up those of so many others
CLEARLY = 1.2  # times slower than one machine: then it is said


@contextlib.contextmanager
def cluster_of(asked: object) -> Iterator[Cluster | None]:
    """The workers of "local:4", of the scheduler at an address, or of a client of Dask; none for None."""
    if asked is None or isinstance(asked, Cluster):
        yield asked
        return
    with reached(asked) as (client, said):
        workers = Cluster(client, said)
        try:
            yield workers
        finally:
            workers.forget()


@dataclass(eq=False)
class Cluster:
    """The workers of a Dask cluster, and what they have told.

    said      what had to be said: of the network, of versions
    workers   threads by address, in the order of their runs
    times     by worker, where its time went
    """

    client: Any
    said: tuple[str, ...] = ()
    workers: dict[str, int] = field(default_factory=dict)
    times: dict[str, Times] = field(default_factory=dict)
    fingerprints: set[Fingerprint] = field(default_factory=set)
    passes: int = 0
    seconds: float = 0.0
    looked: float = 0.0
    many_bytes: int = 0  # that the results of the last pass took before they were put together
    before: list[Any] = field(default_factory=list)
    briefs: list[Any] = field(default_factory=list)  # what Dask keeps for them
    greeted: dict[str, str] = field(default_factory=dict)  # the files that they were asked about
    files: str = ""  # the same in one word

    @property
    def address(self) -> str:
        """That of the scheduler."""
        scheduler = self.client.scheduler
        return "of a closed client" if scheduler is None else str(scheduler.address)

    # Who is there.

    def greet(self, store: Store) -> None:
        """The workers say who they are, and whether they see the same files; once for each store."""
        here = store.prints()
        if here == self.greeted:
            return
        found: dict[str, Greeting] = {}
        until = time.monotonic() + STARTS
        while not found:
            if time.monotonic() > until:
                raise MathError(
                    f"no worker of the cluster {self.address} answers", mend=f"dask worker {self.address}"
                )
            with reaching(self.address):
                self.client.wait_for_workers(1, timeout=max(0.1, until - time.monotonic()))
                answers = self.client.run(greeting, store, on_error="return")
                found = {address: each for address, each in answers.items() if isinstance(each, Greeting)}
                for error in answers.values():  # a worker that goes just now is none
                    if isinstance(error, Exception) and not isinstance(error, OSError):
                        raise error
        self.workers = {address: each.threads for address, each in found.items()}
        self.looked, self.greeted, self.files = time.monotonic(), here, together(here)
        for address, each in found.items():
            if each.trouble:
                raise MathError(
                    f"the worker {address} does not see the files: {each.trouble}",
                    mend="a path that all machines see, such as one in a shared folder",
                )
            other = next((path for path, known in here.items() if each.prints.get(path) != known), None)
            if other is not None:
                raise MathError(
                    f"the worker {address} sees another {other} than this machine",
                    mend=SAME,
                )
            self.meet(each.fingerprint)

    def meet(self, other: Fingerprint) -> None:
        """What differs between a worker and here: an error for gradstep itself, else a word."""
        if other in self.fingerprints:
            return
        self.fingerprints.add(other)
        mine = fingerprint()
        if other.gradstep != mine.gradstep:
            raise MathError(
                f"a worker has gradstep {other.gradstep}, and here is {mine.gradstep}",
                mend=f"pip install gradstep=={mine.gradstep} where the workers run",
            )
        for told in mine.differs(other):
            self.said += (f"{told}, here and on a worker: the last digits may not be those of one machine",)

    @property
    def compiles(self) -> bool:
        """Whether all workers can make machine code."""
        return all(each.code != "none" for each in self.fingerprints)

    def look(self) -> None:
        """Who is there now; a new worker takes the place of one that has gone."""
        now = time.monotonic()
        if self.workers and now - self.looked < LOOKS:
            return
        found: Mapping[str, int] = {}
        while not found:
            if time.monotonic() - now > STARTS:
                raise MathError(
                    f"the cluster {self.address} has no workers", mend=f"dask worker {self.address}"
                )
            with reaching(self.address):
                found = self.client.nthreads()
            if not found:
                time.sleep(0.1)
        fresh = iter([address for address in found if address not in self.workers])
        kept = [address if address in found else next(fresh, "") for address in self.workers]
        self.workers = {address: found[address] for address in (*kept, *fresh) if address}
        self.looked = time.monotonic()

    def forget(self) -> None:
        """The workers need to keep nothing any more."""
        with contextlib.suppress(Exception):
            for brief in self.briefs:
                brief.release()
        self.briefs.clear()
        self.before.clear()

    # What they do.

    def total(self, part: Spread, work: Work[T], names: Sequence[str]) -> T:
        """What a work finds out about all windows of a part."""
        began = time.perf_counter()
        self.look()
        sent = self.sent(work)
        with self.listening(part.clock, part.count) as topic:
            asked = {}
            for run, address in zip(part.runs(len(self.workers)), self.workers, strict=False):
                errand = Errand(tuple(names), range(*run), self.files, topic)
                asked[self.ask(errand, part, sent, address)] = errand
            whole: Tree[T] = Tree(work.added, self.nodes(asked, part, sent))
        self.before = list(asked)  # those of the last pass are let go in one message with the next ones
        self.passes += 1
        seconds = time.perf_counter() - began
        self.seconds += seconds
        part.clock.passes += 1
        part.clock.seconds += seconds
        return whole.top()

    def visit(self, part: Spread, names: Sequence[str], unit: int, number: int, work: Work[T]) -> T:
        """What a work finds out about one window of a unit, on the worker that has it."""
        self.look()
        place = next(k for k, run in enumerate(part.runs(len(self.workers))) if unit < run.stop)
        only = Only(work, part.cuts[unit][number][0])
        errand = Errand(tuple(names), range(unit, unit + 1), self.files)
        sent = self.sent(only)
        future = self.ask(errand, part, sent, list(self.workers)[place])
        found: Tree[T] = Tree(only.added, self.nodes({future: errand}, part, sent))
        return found.top()

    def sent(self, work: Work[Any]) -> Any:
        """A work as bytes; where they are many Dask keeps them, and workers have them from each other."""
        found = packed(work)
        if len(found) < LARGE:
            return found
        with reaching(self.address):
            return self.client.submit(_itself, found, pure=False)

    def ask(self, errand: Errand, part: Spread, sent: Any, address: str = "") -> Any:
        """The answer to be, of this worker if it lives, else of another."""
        where = {"workers": [address], "allow_other_workers": True} if address else {}
        with reaching(self.address):
            given, key = part.store.inputs(errand.units), f"gradstep-{uuid.uuid4()}"
            return self.client.submit(errand, part.brief, sent, given, key=key, **where)

    def nodes(self, asked: Mapping[Any, Errand], part: Spread, sent: Any) -> list[Node[Any]]:
        """What the errands found, in order; where it is much, workers put together what neighbours found."""
        few = list(asked)
        while len(few) > FAN and self.many_bytes > MUCH:
            with reaching(self.address):
                few = [
                    self.client.submit(joined, few[k : k + FAN], sent, key=f"gradstep-{uuid.uuid4()}")
                    for k in range(0, len(few), FAN)
                ]
        self.wait(few)
        with reaching(self.address):
            found = self.answers(asked, part, sent) if any(map(_failed, few)) else self.client.gather(few)
        nodes = sorted((node for answer in found for node in answer.nodes), key=lambda node: node.first)
        for address, times, known in (told for answer in found for told in answer.told):
            self.meet(known)
            self.times[address] = self.times.get(address, Times()) + times
            part.clock.bytes += times.clock.bytes
        self.many_bytes = len(asked) * _bytes_of(nodes[:1])
        return nodes

    def answers(self, asked: Mapping[Any, Errand], part: Spread, sent: Any) -> list[Answer[Any]]:
        """All answers; an errand that ended one worker after the other is gone on in smaller steps."""
        self.wait(asked)
        killed = dask().KilledWorker
        lost = [each for each in asked if _failed(each) and isinstance(each.exception(), killed)]
        with reaching(self.address):
            found: list[Answer[Any]] = self.client.gather([each for each in asked if each not in lost])
        for future in lost:
            units = asked[future].units
            if len(units) == 1:
                which = part.store.told(units.start)
                raise MathError(
                    f"no worker survives {which}: too large for their memory, or damaged",
                    mend="workers with more memory, or a file in smaller row groups",
                )
            middle = len(units) // 2
            for half in (units[:middle], units[middle:]):
                smaller = replaced(asked[future], units=half)
                found += self.answers({self.ask(smaller, part, sent): smaller}, part, sent)
        return found

    def wait(self, futures: Collection[Any]) -> None:
        """Until all are there, or it is clear that they will not come; Ctrl-C calls them off."""
        client, alone, tried = self.client, time.monotonic(), False
        while True:
            try:
                with client.as_current(), reaching(self.address), contextlib.suppress(TimeoutError):
                    dask().wait(list(futures), timeout=WAITS)
                    return
                if client.status != "running":
                    raise gone(self.address)
                with reaching(self.address):
                    if client.nthreads():
                        alone, tried = time.monotonic(), False
                if time.monotonic() - alone > REVIVES and not tried:
                    tried = True
                    revive(client)
                if time.monotonic() - alone > STARTS:
                    raise MathError(
                        f"all workers of the cluster {self.address} are gone, and none has come back",
                        mend=f"dask worker {self.address}",
                    )
            except BaseException:
                with contextlib.suppress(Exception):
                    client.cancel(list(futures))
                raise

    @contextlib.contextmanager
    def listening(self, clock: Clock, count: int) -> Iterator[str]:
        """Shows how far a pass is; where the workers are to tell it, if somebody wants to know."""
        show, began = clock.show, time.perf_counter()
        if show is None:
            yield ""
            return
        topic, heard = f"gradstep-{uuid.uuid4()}", dict[str, tuple[int, int]]()

        def hear(event: tuple[float, Mapping[str, Any]]) -> None:
            heard[event[1]["worker"]] = event[1]["rows"], event[1]["bytes"]
            rows, bytes_ = (sum(each) for each in zip(*heard.values(), strict=True))
            show(Moment(min(rows, count), count, bytes_, time.perf_counter() - began))  # some were read twice

        self.client.subscribe_topic(topic, hear)
        try:
            yield topic
        finally:
            self.client.unsubscribe_topic(topic)
        show(Moment(count, count, 0, time.perf_counter() - began))

    # What is told afterwards.

    def told(self) -> list[str]:
        """Where the time went, and whether it was well spent."""
        if not self.times:
            return []
        count = len(self.times)
        workers = f"{count} worker{'s' * (count != 1)} of {self.address}"
        lines = [f"{workers}, {self.passes:,} passes in {self.seconds:.3g} s"]
        lines += [f"{address}: {each.told()}" for address, each in sorted(self.times.items())]
        alone = sum(each.busy * each.threads for each in self.times.values()) / cores()
        if self.seconds > CLEARLY * alone:
            took, would = (f"{each / self.passes:.2g} s" for each in (self.seconds, alone))
            lines.append(
                f"a pass took {took}, and one machine alone would take about {would}: "
                "without cluster= this training is faster"
            )
        return lines


class Spread(Part):
    """A part of the rows whose windows the workers of a cluster go through."""

    def __init__(self, cluster: Cluster, part: Part, once: bool) -> None:
        super().__init__(part.store, part.share, part.changes, part.kind, part.clock)
        self.cluster, self.once = cluster, once

    @cached_property
    def held(self) -> Held:
        """As a worker keeps it."""
        return Held(Part(self.store, self.share, self.changes, self.kind), self.once)

    @cached_property
    def brief(self) -> Any:
        """The same, where Dask keeps it: each worker gets it once, and forgets it when this is forgotten."""
        with reaching(self.cluster.address):
            found = self.cluster.client.submit(_itself, self.held, pure=False)
        self.cluster.briefs.append(found)
        return found

    def runs(self, workers: int) -> list[Run]:
        """The units of each worker."""
        return runs(self.held.leaves.tolist(), workers)

    def total(self, work: Work[T], names: Sequence[str]) -> T:
        return self.cluster.total(self, work, names)

    def visits(self, names: Sequence[str], units: Sequence[int]) -> Iterator[Visit]:
        for unit in units:
            for number, (start, stop) in enumerate(self.cuts[unit]):
                yield Visit(stop - start, partial(self.cluster.visit, self, names, unit, number))


def _failed(future: Any) -> bool:
    return bool(future.status == "error")


def _bytes_of(nodes: Sequence[Node[Any]]) -> int:
    """How many bytes the results of a few windows take."""
    return sum(len(packed(node.value)) for node in nodes)


def spread(part: Part, workers: Cluster | None, once: bool = False) -> Part:
    """A part of the rows, for the workers of a cluster if there is one, to be gone through often or once."""
    return part if workers is None else Spread(workers, part, once)


def _itself(value: T) -> T:
    return value
