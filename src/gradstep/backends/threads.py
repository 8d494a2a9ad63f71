"""Who does the work? Threads that wait for it, each taking the next piece that nobody has begun."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from gradstep.operations.processor import advice

Result = TypeVar("Result")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Helper(threading.Thread):
    """A thread that works when asked to and waits otherwise."""

    def __init__(self) -> None:
        super().__init__(name="gradstep", daemon=True)
        self.job: Callable[[], None] = _nothing
        self.error: BaseException | None = None
        self.asked, self.done = threading.Lock(), threading.Lock()
        self.asked.acquire()
        self.done.acquire()
        self.start()

    def ask(self, job: Callable[[], None]) -> None:
        self.job, self.error = job, None
        self.asked.release()

    def wait(self) -> None:
        """Until the work is done, however often Ctrl-C is pressed meanwhile."""
        try:
            self.done.acquire()
        except BaseException:
            self.wait()
            raise

    def run(self) -> None:
        while True:
            self.asked.acquire()
            try:
                self.job()
            except BaseException as error:
                self.error = error
            self.job = _nothing  # holds no arrays while it waits
            self.done.release()


def _nothing() -> None:
    pass


_HELPERS: list[_Helper] = []
_TAKEN = threading.Lock()


def _forget() -> None:
    """A process that was forked has no threads but its own."""
    global _TAKEN, _SETTLED
    _HELPERS.clear()
    _TAKEN = threading.Lock()
    _SETTLED = _Settled()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def shared_out(work: Callable[[int], Result], count: int, threads: int) -> list[Result]:
    """`work(0)` … `work(count − 1)` by several threads, in the order of the numbers.

    Who is asked while the threads work for another does it alone.
    """
    helpers = min(threads, count) - 1
    if helpers < 1 or not _TAKEN.acquire(blocking=False):
        return [work(number) for number in range(count)]
    results: list[Any] = [None] * count
    numbers = itertools.count()
    going = True

    def worker() -> None:
        nonlocal going
        try:
            while going and (number := next(numbers)) < count:
                results[number] = work(number)
        except BaseException:
            going = False
            raise

    try:
        while len(_HELPERS) < helpers:
            _HELPERS.append(_Helper())
        asked = _HELPERS[:helpers]
        for helper in asked:
            helper.ask(worker)
        try:
            worker()
        finally:
            going = False
            for helper in asked:
                helper.wait()
    finally:
        _TAKEN.release()
    for helper in asked:
        if helper.error is not None:
            raise helper.error
    return results


@cache
def _libraries() -> list[Any]:
    """The libraries that multiply matrices for this process."""
    from threadpoolctl import ThreadpoolController

    found: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
    return found


class _Settled:
    """How many are inside `one_thread_each`, and the threads that the first of them put away."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.before: list[tuple[Any, int]] = []


_SETTLED = _Settled()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Products of matrices by the thread that asks for them, and by no other.

    Where several threads are inside at a time, the last to leave puts back what the first has found.
    """
    with _SETTLED.lock:
        if not _SETTLED.inside:
            found = [(library, library.num_threads) for library in _libraries()]
            _SETTLED.before = [(library, count) for library, count in found if count and count > 1]
            for library, _ in _SETTLED.before:
                library.set_num_threads(1)
        _SETTLED.inside += 1
    try:
        yield
    finally:
        with _SETTLED.lock:
            _SETTLED.inside -= 1
            if not _SETTLED.inside:
                for library, count in _SETTLED.before:
                    library.set_num_threads(count)


def kernels() -> str:
    """Whose products of matrices these are, and for which processor: "openblas 0.3.31 SkylakeX"."""
    told = ({**library.info()} for library in _libraries())
    words = [[each.get(key) or "" for key in ("internal_api", "version", "architecture")] for each in told]
    return ", ".join(sorted({" ".join(filter(None, each)) for each in words})) or "none"


def threads_for_products() -> int:
    """How many threads a product of matrices is worked out by; sums come out otherwise with others."""
    return max((library.num_threads or 1 for library in _libraries()), default=1)


def use_threads_for_products(count: int) -> None:
    """By so many, from here on."""
    for library in _libraries():
        library.set_num_threads(count)


def kernels_told() -> list[str]:
    """What is to be said about the kernels that NumPy's products use."""
    found = {advice(str(library.info().get("architecture", ""))) for library in _libraries()}
    return sorted(found - {""})
