"""How do several trainings share their passes over the data? They go in step.

Each training is a task with a thread of its own. One at a time goes on, until it asks for the loss somewhere;
when all have asked, one pass over the data answers them. So a training needs to know nothing of the others,
and nothing ever happens twice at once.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from gradstep.learn.interrupts import Interrupts

Result = TypeVar("Result")
Ask: TypeAlias = Callable[[Any], Any]
"""Waits for the answer to a request."""
Task: TypeAlias = Callable[["Traveller[Result]"], Result]


GATHERING = object()
SOON = 0.1  # seconds


class _Cancelled(BaseException):
    """Another task has failed: nobody waits for this one."""


class Traveller(threading.Thread, Generic[Result]):
    """A task that goes on when it is told to."""

    def __init__(self, task: Task[Result], convoy: Convoy[Result]) -> None:
        super().__init__(name="gradstep training", daemon=True)
        self.task, self.convoy = task, convoy
        self.going, self.waiting = threading.Event(), threading.Event()
        self.request: Any = None
        self.answer: Any = None
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.begun = self.over = False
        self.heard = 0

    def run(self) -> None:
        self.wait()
        try:
            self.result = self.task(self)
        except BaseException as error:
            self.error = error
        self.over = True
        self.waiting.set()

    def wait(self) -> None:
        self.going.wait()
        self.going.clear()

    def ask(self, request: Any) -> Any:
        """The answer, when all others have asked too; Ctrl-C is heard here."""
        self.request = request
        self.waiting.set()
        self.wait()
        answer, self.answer = self.answer, None
        self.listen()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def gather(self) -> None:
        """Waits until all others are over or here too; who is here does not hear Ctrl-C any more."""
        self.request = GATHERING
        self.waiting.set()
        self.wait()
        self.heard = self.convoy.interrupts.count
        if isinstance(self.answer, BaseException):
            raise self.answer

    def listen(self) -> None:
        """Raises `KeyboardInterrupt` once for each Ctrl-C."""
        if self.heard < self.convoy.interrupts.count:
            self.heard = self.convoy.interrupts.count
            raise KeyboardInterrupt

    def go_on(self, answer: Any = None) -> None:
        """Until it asks again, or is over."""
        self.answer, self.request = answer, None
        self.waiting.clear()
        if not self.begun:
            self.begun = True
            self.start()
        self.going.set()
        while not self.waiting.wait(SOON):  # a signal that comes just before a wait is heard after it
            pass


class Convoy(Generic[Result]):
    """Tasks that go in step; `answer` turns the requests of all that wait into their answers, in order.

    An answer that is an exception is raised where it was asked for.
    """

    def __init__(self, tasks: Sequence[Task[Result]], answer: Callable[[list[Any]], list[Any]]) -> None:
        self.travellers = [Traveller(task, self) for task in tasks]
        self.answer = answer
        self.interrupts = Interrupts()

    def run(self, *expected: type[BaseException]) -> list[Result | BaseException | None]:
        """What every task returned, or the error that it raised, where it is one that is `expected`.

        Any other error ends all tasks. After Ctrl-C tasks that have not begun never do: None.
        """
        with self.interrupts.heard():
            for traveller in self.travellers:
                if not self.interrupts:
                    self.on(traveller, None, expected)
            while live := [each for each in self.travellers if each.begun and not each.over]:
                moving = [each for each in live if each.request is not GATHERING]
                answers = self.answered([each.request for each in moving]) if moving else [None] * len(live)
                for traveller, answer in zip(moving or live, answers, strict=True):
                    self.on(traveller, answer, expected)
        return [each.error or each.result for each in self.travellers]

    def answered(self, requests: list[Any]) -> list[Any]:
        """The answers; a second Ctrl-C breaks off what is under way, and a first one is heard after it."""
        try:
            self.interrupts.patience = 1
            return self.answer(requests)
        except BaseException as error:
            return [error] * len(requests)
        finally:
            self.interrupts.patience = math.inf

    def on(
        self, traveller: Traveller[Result], answer: Any, expected: tuple[type[BaseException], ...]
    ) -> None:
        """Lets one go on; an unexpected error stops all."""
        traveller.go_on(answer)
        if traveller.error is not None and not isinstance(traveller.error, expected):
            for other in self.travellers:
                while other.begun and not other.over:
                    other.go_on(_Cancelled())
            raise traveller.error
