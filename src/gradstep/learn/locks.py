"""Who works with a file just now? A process that holds a lock on one, until it lets go or dies.

The system itself takes the lock off a process that ends, in whatever way, so that none is ever left behind.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import sys
from dataclasses import dataclass, field

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

BEYOND = 1 << 30  # the byte that is locked where only bytes can be: others may read what comes before
LONGEST = 200  # bytes of what is said of a holder
UNABLE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class Held(Exception):
    """Somebody else holds the file; the text says who."""


def claimed(handle: int) -> bool:
    """Whether this open file could be locked; also where its file system knows no locks."""
    try:
        if sys.platform == "win32":
            os.lseek(handle, BEYOND, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in UNABLE
    return True


def is_at(handle: int, path: str) -> bool:
    """Whether an open file is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False


def holder() -> str:
    """This process, as others are told of it."""
    return f"process {os.getpid()} on {platform.node()}"


@dataclass
class Lock:
    """A file that is there while somebody works with what it stands for."""

    path: str
    handle: int | None = field(init=False, default=None)
    owner: int = field(init=False, default=0)

    def take(self) -> None:
        """Holds it; `Held` where another does, also another in this process. An `OSError` is the disk's."""
        while self.handle is None:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                if not claimed(handle):
                    os.lseek(handle, 0, os.SEEK_SET)
                    who = os.read(handle, LONGEST).decode("utf-8", "replace").strip()
                    raise Held(who + ", which is this one" * (who == holder()) or "another process")
                if is_at(handle, self.path):  # else its holder has just removed it
                    with contextlib.suppress(OSError):  # a full disk holds a lock all the same
                        os.ftruncate(handle, 0)
                        os.lseek(handle, 0, os.SEEK_SET)
                        os.write(handle, holder().encode())
                    self.handle, self.owner, handle = handle, os.getpid(), -1
            finally:
                if handle >= 0:
                    os.close(handle)

    def leave(self) -> None:
        """Lets go, and removes the file."""
        handle, self.handle = self.handle, None
        if handle is None:
            return
        if os.getpid() != self.owner:  # a process that was forked leaves what is not its own
            os.close(handle)
            return
        if sys.platform == "win32":  # where an open file cannot be removed
            os.close(handle)
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        if sys.platform != "win32":
            os.close(handle)

    def __del__(self) -> None:
        self.leave()
