"""How does one watch a descent? A live bar on a terminal, with the falling loss."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np

Progress: TypeAlias = Callable[[int, int, float], None]

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


@contextmanager
def shown_by(progress: bool | Progress) -> Iterator[Progress | None]:
    """What a user asked for: a function of their own, the bar, or nothing."""
    if callable(progress):
        yield progress
    elif progress:
        with progress_bar() as show:
            yield show
    else:
        yield None
