"""How does one watch a descent? A live bar on a terminal, with the falling loss."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

import numpy as np

Progress: TypeAlias = Callable[[int, int, float], None]


def foretell(show: Progress | None, faults: Callable[[], Sequence[str]]) -> None:
    """What may be wrong is told before the first step, to a `Progress` that has `foretold` for it."""
    told = getattr(show, "foretold", None)
    if told is not None:
        told(faults())


_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 16) -> str:
    """A row of bars for numbers in a row, on a logarithmic scale if all are positive."""
    count = min(width, len(values))
    picked = [values[i * (len(values) - 1) // max(1, count - 1)] for i in range(count)]
    heights = np.log(picked) if picked and min(picked) > 0 else np.asarray(picked)
    if not heights.size:
        return ""
    low, span = heights.min(), np.ptp(heights) or 1.0
    return "".join(_BARS[round(float(h - low) / span * 7)] for h in heights)


@contextmanager
def progress_bar(title: str = "descending") -> Iterator[Progress]:
    """A live bar with the falling loss on a terminal, nothing elsewhere: `with progress_bar() as show: …`."""
    if not sys.stderr.isatty():
        yield lambda step, steps, loss: None
        return
    from rich import progress as rich  # slow to load, and only a terminal needs it
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("loss {task.fields[loss]}  {task.fields[curve]}"),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=10) as bar:
        task = bar.add_task(title, total=None, loss="…", curve="")
        losses: list[float] = []
        shown = -math.inf

        def show(step: int, steps: int, loss: float) -> None:
            nonlocal shown
            losses.append(loss)
            if time.monotonic() - shown >= 0.1 or step == steps:
                shown = time.monotonic()
                bar.update(task, total=steps, completed=step, loss=f"{loss:.6g}", curve=sparkline(losses))

        yield show


class ReadingBar:
    """A live bar of a descent over rows in files: the pass that is under way, its speed, and the time left.

    It is called after every step, like any `Progress`; `reading` is told after every window of a pass.
    """

    def __init__(self, bar: Any) -> None:
        self.bar = bar
        self.task = bar.add_task("looking at all rows", total=None, speed="", loss="", left="")
        self.losses: list[float] = []
        self.shown = -math.inf
        self.left = ""
        self.began, self.steps = time.monotonic(), 0

    def __call__(self, step: int, steps: int, loss: float) -> None:
        self.losses.append(loss)
        seconds = (time.monotonic() - self.began) / step
        self.left = f"at most {_clock((steps - step) * seconds)} left"
        told = f"loss {loss:.6g}  {sparkline(self.losses)}"
        self.bar.update(self.task, description=f"step {step + 1} of at most {steps}", loss=told)

    def reading(self, moment: Any) -> None:
        """How far a pass is, see `reading.Moment`."""
        if time.monotonic() - self.shown < 0.1 and moment.rows < moment.of:
            return
        self.shown = time.monotonic()
        a_second = moment.rows / max(moment.seconds, 1e-9)
        speed = f"{a_second:,.0f} rows, {moment.bytes / max(moment.seconds, 1e-9) / 1e6:,.0f} MB a second"
        left = f"{_clock((moment.of - moment.rows) / max(a_second, 1e-9))} for this pass"
        self.bar.update(
            self.task,
            total=moment.of,
            completed=moment.rows,
            speed=speed,
            left=", ".join(filter(None, (left, self.left))),
        )


def _clock(seconds: float) -> str:
    """1:02:03."""
    whole = int(min(seconds, 1e8))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


@contextmanager
def reading_bar() -> Iterator[Progress]:
    """`progress_bar` for rows in files."""
    if not sys.stderr.isatty():
        yield lambda step, steps, loss: None
        return
    from rich import progress as rich  # slow to load, and only a terminal needs it
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(bar_width=20),
        rich.TextColumn("{task.fields[speed]}  {task.fields[loss]}  {task.fields[left]}"),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=10) as bar:
        yield ReadingBar(bar)


@contextmanager
def shown_by(
    progress: bool | Progress, bar: Callable[[], AbstractContextManager[Progress]] = progress_bar
) -> Iterator[Progress | None]:
    """What a user asked for: a function of their own, the bar, or nothing."""
    if callable(progress):
        yield progress
    elif progress:
        with bar() as show:
            yield show
    else:
        yield None
