"""How is Ctrl-C heard? Once: what is under way is finished first. Twice: it stops at once."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SOON = 0.5  # seconds: what takes no longer is finished first


def patient(listen: Callable[[], None]) -> Callable[[], None]:
    """`listen`, but not before so many seconds: what began just now, and is over soon, is finished."""
    until = time.monotonic() + SOON
    return lambda: listen() if time.monotonic() >= until else None


@dataclass
class Interrupts:
    """How often Ctrl-C was pressed; beyond `patience` times it is a `KeyboardInterrupt` as usual."""

    patience: float = math.inf
    count: int = 0

    def __bool__(self) -> bool:
        return self.count > 0

    @property
    def impatient(self) -> bool:
        """Whether something was broken off in its middle."""
        return self.count > self.patience

    @contextmanager
    def heard(self) -> Iterator[Interrupts]:
        """Counts, in the main thread and where Ctrl-C is not heard by somebody else."""
        usual = signal.getsignal(signal.SIGINT)
        main = threading.current_thread() is threading.main_thread()
        if not main or usual is not signal.default_int_handler:
            yield self
            return

        def note(number: int, frame: object) -> None:
            self.count += 1
            if self.impatient:
                raise KeyboardInterrupt
            if sys.stderr.isatty():
                sys.stderr.write("\nafter the step that is under way; Ctrl-C once more: at once\n")

        signal.signal(signal.SIGINT, note)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, usual)
