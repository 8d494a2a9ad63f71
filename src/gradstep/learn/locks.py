"""Who works with a file just now? A process that holds a lock on one, until it lets go or dies.

The system itself takes the lock off a process that ends, in whatever way, so that none is ever left behind.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import stat
import sys
import tempfile
from dataclasses import dataclass, field

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

BEYOND = 1 << 30  # the byte that is locked where only bytes can be: others may read what comes before
OURS = "gradstep"
LONGEST = 200  # bytes of what is said of a holder
UNABLE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class Held(Exception):
    """Somebody else holds the file; the text says who."""


def claimed(handle: int, without: bool = True) -> bool:
    """Whether this open file could be locked; `without` is the answer where its file system has no locks."""
    try:
        if sys.platform == "win32":
            os.lseek(handle, BEYOND, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return without and error.errno in UNABLE
    return True


def is_at(handle: int, path: str) -> bool:
    """Whether an open file is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False


def lives(process: int) -> bool:
    """Whether there may be such a process on this machine."""
    if sys.platform == "win32":
        return False  # to ask would end it there: its locks tell
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def holder() -> str:
    """This process, as others are told of it."""
    return f"process {os.getpid()} on {platform.node()}"


# ------------------------------------------------------------------------------------------- temporary files


class Temporary:
    """A new file in a folder, which this process holds, and removes: its name tells whose it is."""

    def __init__(self, folder: str, suffix: str) -> None:
        while True:
            self.handle, self.path = tempfile.mkstemp(suffix, f"{OURS}-{_machine()}-{os.getpid()}-", folder)
            if claimed(self.handle) and is_at(self.handle, self.path):
                break
            os.close(self.handle)  # somebody has taken it for left behind
        self.owner = os.getpid()

    def remove(self) -> None:
        """Once; a process that was forked leaves what is not its own."""
        handle, self.handle = self.handle, -1
        if handle >= 0 and os.getpid() == self.owner:
            removed(self.path, handle)


def remove_left(folder: str, suffix: str) -> None:
    """Removes what processes of this machine and this user have left there when they were killed.

    A file is left where its process is no more, and nobody holds it.
    """
    named = re.compile(rf"{OURS}-{_machine()}-(\d{{1,10}})-\w+{re.escape(suffix)}")
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found = [(entry.path, named.fullmatch(entry.name)) for entry in entries]
        for path, name in found:
            if name is not None and not lives(int(name[1])):
                with contextlib.suppress(OSError):
                    _remove_left(path)


def _remove_left(path: str) -> None:
    handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        about, mine = os.fstat(handle), getattr(os, "getuid", lambda: None)()
        dead = claimed(handle, without=False) and is_at(handle, path)
        if dead and stat.S_ISREG(about.st_mode) and mine in (None, about.st_uid):
            removed(path, handle)
            handle = -1
    finally:
        if handle >= 0:
            os.close(handle)


def removed(path: str, handle: int) -> None:
    """Removes a file that is open, and lets it go."""
    if sys.platform == "win32":  # where an open file cannot be removed
        os.close(handle)
    with contextlib.suppress(OSError):
        os.unlink(path)
    if sys.platform != "win32":
        os.close(handle)


def _machine() -> str:
    return re.sub(r"\W+", "", platform.node())[:40] or "here"


# ------------------------------------------------------------------------------------------- a place


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
        removed(self.path, handle)

    def __del__(self) -> None:
        self.leave()
