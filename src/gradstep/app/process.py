"""How does a process of the local app begin and end? `python -m gradstep.app.process PID` works for a server.

It looks for the server from the first moment on: what it has to load may take a while.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from gradstep.expression.late import late

if TYPE_CHECKING:
    from gradstep.app import tasks
else:
    tasks = late("gradstep.app.tasks")

ORPHANED = 1.0  # seconds between two looks whether the server is still there


def main() -> None:
    """Work until there are no more questions, or until the server, PID, is gone."""
    threading.Thread(target=_watch, args=(int(sys.argv[1]),), daemon=True).start()
    tasks.main()


def _watch(server: int) -> None:
    """No process outlives the one that asks it."""
    while os.getppid() == server:
        time.sleep(ORPHANED)
    os._exit(0)


if __name__ == "__main__":
    main()
