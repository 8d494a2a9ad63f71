"""Who does the work? A process of its own, which is asked one thing at a time and can be stopped.

What is asked goes to `gradstep.app.tasks` as a line of JSON, and comes back as lines: some that tell how far
it is, and one that is the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from gradstep.expression.errors import MathError

Answer: TypeAlias = dict[str, Any]

LONGEST_LINE = 64_000_000  # bytes of an answer
MOST_WAITING = 8
STOPPED: Mapping[str, Any] = {"stopped": True}


# Advice for a terminal or for Python, as advice for the page.
ADVICE = (
    (r"--wrt ([\w,]+)", r"only \1 ticked as parameters"),
    (r'kinds=\{"([^"]*)": "category"\}', r"\1 among the categories (How the file is written)"),
    (r'decimal=","', "a comma as decimal mark (How the file is written)"),
    (r'separator="."', "commas between the cells"),
    (r'thousands="(.)"', r"\1 between thousands (How the file is written)"),
    (r'sizes=\{"(\w+)": (\d+)\}', r"\2 as the size \1, beside the loss"),
    (r"--sweep (\w+)=(\S+)$", r"values such as \2"),
    (r"--hidden ", "widths such as "),
    (r" after the table$", " as shapes of the variables"),
)


def as_data(error: MathError) -> dict[str, Any]:
    """An error as the page shows it."""
    for pattern, words in ADVICE if error.mend else ():
        error.mend = re.sub(pattern, words, error.mend or "")
    return {"what": error.what, "text": str(error), "span": error.span}


class Spare:
    """A process that has begun and waits, so that no question waits until one has."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._beginning: asyncio.Task[Process] | None = None

    def prepare(self) -> asyncio.Task[Process]:
        """Begin a process, if none has."""
        if self._beginning is None:
            self._beginning = asyncio.create_task(_begun())
        return self._beginning

    async def take(self) -> Process:
        """The process, in whose place another begins."""
        async with self._turn:
            process = None
            while process is None or process.returncode is not None:
                process = await asyncio.shield(self.prepare())
                self._beginning = None
            self.prepare()
            return process

    async def close(self) -> None:
        """No process any more."""
        if self._beginning is not None:
            await _ended(await self._beginning)


class Worker:
    """A process that does what it is asked, one thing after the other.

    `owner` is for whom it works just now: a newer question of the same owner may stop the older.
    """

    def __init__(self, spare: Spare) -> None:
        self.owner = ""
        self.waiting = 0
        self._turn = asyncio.Lock()
        self._spare = spare
        self._process: Process | None = None

    async def do(
        self,
        task: str,
        asked: Mapping[str, Any],
        seconds: float,
        owner: str = "",
        tell: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """The answer; after so many seconds, or when it is stopped, the process ends."""
        if self.waiting >= MOST_WAITING:
            raise MathError("too much is waiting to be done", mend="this again, when something is done")
        self.waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self.waiting -= 1
        process, whole = None, False
        self.owner = owner
        try:
            if tell is not None:
                tell({"begun": True})
            async with asyncio.timeout(seconds):
                process = await self.begin()
                answer = await self._answer(process, task, asked, tell)
            whole = True
            return answer
        except TimeoutError:
            raise MathError(
                f"this has taken more than {seconds:g} seconds, and was stopped", mend="something smaller"
            ) from None
        finally:
            self.owner = ""
            if not whole and process is not None:
                self._end(process)
            self._turn.release()

    async def begin(self) -> Process:
        """The process; the spare one if there is none."""
        if self._process is None or self._process.returncode is not None:
            self._process = await self._spare.take()
        return self._process

    async def _answer(
        self, process: Process, task: str, asked: Mapping[str, Any], tell: Callable[[Answer], None] | None
    ) -> Answer:
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(ConnectionError):  # then there is no answer
            process.stdin.write(json.dumps({"task": task, "asked": asked}).encode() + b"\n")
            await process.stdin.drain()
        while True:
            line = await process.stdout.readline()
            if not line:
                await process.wait()
                if process.returncode == -signal.SIGKILL and self._process is not process:
                    return dict(STOPPED)
                raise MathError(
                    "the process that did this has ended: there may be too little memory",
                    mend="something smaller",
                )
            said: Answer = json.loads(line)
            if "told" not in said:
                return said
            if tell is not None:
                tell(said["told"])

    def interrupt(self) -> None:
        """Ask for what has been reached, as Ctrl-C does."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """End what is being done, without an answer."""
        if self._process is not None:
            self._end(self._process)

    async def close(self) -> None:
        """No process any more."""
        if self._process is not None:
            await _ended(self._process)

    def _end(self, process: Process) -> None:
        if self._process is process:
            self._process = None
        _kill(process)


async def _begun() -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gradstep.app.process", str(os.getpid())),
        stdin=PIPE,
        stdout=PIPE,
        limit=LONGEST_LINE,
        start_new_session=True,  # Ctrl-C is for the server, which ends its processes
    )


def _kill(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def _ended(process: Process) -> None:
    _kill(process)
    await process.wait()
