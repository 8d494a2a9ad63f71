"""Who hears Ctrl-C, or what ends a whole job? The process that trains, not its workers, which it still needs.

A worker is started deaf, and hears again when it has a group of its own: at no moment does a signal to all
of them reach it. It ends with the process that started it, which Dask sees to.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

FOR_ALL = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
ABLE = hasattr(signal, "pthread_sigmask") and hasattr(signal, "sigtimedwait") and hasattr(os, "setpgid")


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """What this thread starts meanwhile hears no signals for all; nor does this one, until afterwards."""
    if not ABLE:
        yield
        return
    usual = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_ALL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, usual)


def dask_setup(worker: object) -> None:
    """Runs in a worker when it starts (a preload of Dask): what was not meant for it is forgotten."""
    if not ABLE:
        return
    with contextlib.suppress(PermissionError):  # it has a group of its own
        os.setpgid(0, 0)
    while signal.sigtimedwait(FOR_ALL, 0) is not None:
        pass
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_ALL)
