"""What is on the desk of the local app? Tables that were dropped, trainings and what came of them."""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradstep.app.folders import Folder
from gradstep.app.work import STOPPED, Answer, Spare, Worker, as_data
from gradstep.datasets import IOWA, path
from gradstep.expression.errors import MathError

SECONDS: Mapping[str, float] = {"derive": 20, "code": 30, "check": 90, "table": 60, "train": 900}
GRACE = 10.0  # seconds for a training to end its step, and to begin to write what it has reached
MOST_KEPT = 8  # tables, and trainings
# What a training leaves behind, and as what it is sent.
FILES: Mapping[str, str] = {
    "page.html": "text/html; charset=utf-8",
    "model.safetensors": "application/octet-stream",
}


@dataclass
class Job:
    """A training: how far it is. `version` counts its changes, and `over` is the last of them."""

    number: int
    folder: Path
    state: Answer = field(default_factory=lambda: {"state": "waiting"})
    version: int = 0
    over: bool = False
    work: asyncio.Task[None] | None = None

    def change(self, state: Mapping[str, Any], over: bool = False) -> None:
        self.state, self.over, self.version = dict(state), over, self.version + 1


class Desk:
    """The workers, one for a quick look and one for each longer work; and files in a folder of their own."""

    def __init__(self) -> None:
        self.spare, self.kept = Spare(), Folder()
        self.thinker, self.judge, self.trainer = (Worker(self.spare) for _ in range(3))
        self.folder = self.kept.path
        self.tables: dict[int, Path] = {}
        self.jobs: dict[int, Job] = {}
        self.current: Job | None = None
        self.counted = 0

    def open(self) -> None:
        """A process begins before the first question."""
        self.spare.prepare()

    async def close(self) -> None:
        """No process and no file is left."""
        for job in self.jobs.values():
            if job.work is not None:
                job.work.cancel()
        for each in (self.thinker, self.judge, self.trainer, self.spare):
            await each.close()
        self.kept.close()

    async def asked(self, task: str, question: Mapping[str, Any]) -> Answer:
        """The answer to a question about a formula. A newer one from the same page stops the one before."""
        worker = self.thinker if task == "derive" else self.judge
        owner = str(question.get("page", ""))[:40] + task
        if worker.owner == owner:
            worker.stop()
        return await worker.do(task, question, SECONDS[task], owner)

    async def read(self, content: bytes, name: str, style: Mapping[str, Any]) -> Answer:
        """Keep a table, and say what is in it."""
        number = self._next()
        folder = self.folder / f"table-{number}"
        folder.mkdir()
        file = folder / file_name(name)
        file.write_bytes(content)
        self.tables[number] = file
        for old in [*self.tables][:-MOST_KEPT]:
            shutil.rmtree(self.tables.pop(old).parent, ignore_errors=True)
        return await self.looked(number, style)

    async def looked(self, number: int, style: Mapping[str, Any]) -> Answer:
        """What is in a table that was dropped before, read in some style."""
        asked = {**style, "path": str(self.table(number))}
        answer = await self.judge.do("table", asked, SECONDS["table"])
        return {**answer, "table": number, "file": self.table(number).name}

    def sample(self) -> tuple[bytes, str]:
        """Data to begin with: electricity from renewables in Iowa."""
        return path(IOWA).read_bytes(), IOWA

    def table(self, number: object) -> Path:
        """The file of a table."""
        if not isinstance(number, int) or number not in self.tables:
            raise MathError("this table is not here any more", mend="dropping it again")
        return self.tables[number]

    def train(self, question: Mapping[str, Any]) -> Job:
        """Begin a training, or put it behind those that wait."""
        file = self.table(question.get("table"))
        if sum(not job.over for job in self.jobs.values()) >= MOST_KEPT:
            raise MathError("many trainings wait already", mend="this again, when one of them is done")
        number = secrets.randbelow(2**52)  # no one can guess whose results to ask for
        job = Job(number, self.folder / f"job-{number}")
        job.folder.mkdir()
        self.jobs[number] = job
        for old in [old for old, each in self.jobs.items() if each.over][
            : max(0, len(self.jobs) - MOST_KEPT)
        ]:
            shutil.rmtree(self.jobs.pop(old).folder, ignore_errors=True)
        asked = {**question, "path": str(file), "folder": str(job.folder)}
        job.work = asyncio.create_task(self._trained(job, asked))
        return job

    async def _trained(self, job: Job, asked: Mapping[str, Any]) -> None:
        def tell(said: Answer) -> None:
            if "begun" in said:
                self.current = job
            job.change({"state": "training", **said})

        try:
            answer = await self.trainer.do("train", asked, SECONDS["train"], tell=tell)
        except MathError as error:
            answer = {"error": as_data(error)}
        if answer == STOPPED:
            answer = {"error": as_data(MathError("the training was stopped"))}
        job.change({"state": "over", **answer}, over=True)
        if self.current is job:
            self.current = None

    def job(self, number: int) -> Job | None:
        """A training, if it is still known."""
        return self.jobs.get(number)

    async def stop(self, number: object) -> None:
        """Stop a training: one that runs gives what it has reached, if it can."""
        job = self.jobs.get(number) if isinstance(number, int) else None
        if job is None or job.over:
            return
        if self.current is not job:
            if job.work is not None:
                job.work.cancel()
            job.change(
                {"state": "over", "error": as_data(MathError("it was taken out of the queue"))}, over=True
            )
            return
        self.trainer.interrupt()
        for _ in range(round(GRACE / 0.1)):
            await asyncio.sleep(0.1)
            if job.over or job.state.get("reached"):
                return
        if self.current is job:
            self.trainer.stop()

    def _next(self) -> int:
        self.counted += 1
        return self.counted


def file_name(given: str) -> str:
    """The name of a file without what could be a path; it stands in messages about the table."""
    name = re.sub(r"[^\w .()+-]", "_", re.split(r"[/\\]", given)[-1]).strip(". ")[-80:]
    return name or "table.csv"
