"""Where does the local app keep its files? In a folder that goes when it ends, or when it begins anew.

A server holds a lock on a file in its folder, which the system lets go of however the server ends. So a
folder whose lock can be had was left behind, by a server that was killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

if sys.platform != "win32":
    import fcntl

PREFIX = "gradstep-app-"
LOCK = "open"


class Folder:
    """A folder of one server, at `path`; making one throws away what killed servers have left."""

    def __init__(self) -> None:
        throw_away_what_was_left()
        held = None
        while held is None:  # another server may think of it as left behind before it is locked
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            with contextlib.suppress(FileNotFoundError):
                held = _locked(self.path, os.O_CREAT)
        self._held = held

    def close(self) -> None:
        """The folder is gone."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._held)


def throw_away_what_was_left() -> None:
    """Remove the folders of servers of this user that have ended without doing so."""
    if sys.platform == "win32":
        return
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            told = path.lstat()
            if not stat.S_ISDIR(told.st_mode) or told.st_uid != os.geteuid():  # or only a link to a folder
                continue
            held = _locked(path)
            if held is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(held)


def _locked(folder: Path, more: int = 0) -> int | None:
    """The lock of a folder, as an open file; None where a server holds it."""
    file = os.open(folder / LOCK, os.O_RDWR | more, 0o600)
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return None
    return file
