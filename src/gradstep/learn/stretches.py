"""How does a descent go on for many steps at once? In stretches that machine code walks alone.

A stretch is judged as a whole, by the same tests as single steps are. Where one of its steps would have ended
the descent, or has to be looked at, the stretch is walked again up to there: it comes out the same.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.backends.native.walker import Rule, Stretch, Walker
from gradstep.learn.optimisers import Array
from gradstep.learn.surface import Point

Orders: TypeAlias = Callable[[int, int], NDArray[np.int64]]
"""The numbers of the rows in the passes from one on, so many passes."""

LONGEST = 0.05  # seconds of a stretch: so soon progress is shown, and Ctrl-C heard
GROWTH = 8  # a stretch is at most so many times as long as the one before
ORDERED = 1 << 22  # numbers of rows that are put in order at once


@dataclass(frozen=True)
class Machine:
    """A walker, the rule it walks by, and the order of the rows where it goes through batches."""

    walker: Walker
    rule: Rule
    orders: Orders | None = None
    rows: int = 1

    def objective(self, x: Array) -> tuple[float, Array]:
        """The loss and the gradient."""
        return self.walker.measured(x)

    def run(self, steps: int, rate: float, every: int, before: int) -> Stretch:
        """So many steps after the first `before`."""
        orders = self.orders(before, steps) if self.orders else None
        return self.walker.run(steps, rate, every, every - before % every, orders)


def walked_in_stretches(
    machine: Machine,
    log: Any,
    rate: float,
    goal: float,
    count: int,
    look: Callable[[Point, float], None],
    show: Callable[[], None],
) -> Any:
    """Walks with a constant rate until a verdict or `count` steps; gives the verdict.

    `look` raises an error at a point that no descent may go through; `show` tells how far it is.
    """
    walker = machine.walker
    walker.begin(log.last.x, machine.rule)
    size = 1
    while True:
        left = min(size, count - log.steps, log.snapshots.every * log.snapshots.limit)
        if machine.orders:
            left = min(left, max(1, ORDERED // machine.rows))
        saved, begun = walker.saved(), time.perf_counter()
        stretch = machine.run(left, rate, log.snapshots.every, log.steps)
        took = time.perf_counter() - begun
        judged = Judged(log, stretch.table, rate, goal)
        if judged.steps < left:
            walker.restore(saved)
            if judged.steps:
                stretch = machine.run(judged.steps, rate, log.snapshots.every, log.steps)
        if judged.steps:
            judged.enter(stretch, walker)
        if judged.stopped is None and judged.steps < left:
            machine.run(1, rate, log.snapshots.every, log.steps)
            point = Point(walker.vector("x"), walker.loss, walker.vector("g"))
            look(point, rate)
            log.add(point, rate)
            judged.stopped = log.verdict(goal)
        show()
        if judged.stopped is not None:
            return judged.stopped
        if log.steps >= count:
            return "steps"
        size = max(1, min(GROWTH * left, int(left * LONGEST / 2 / max(took, 1e-9))))


class Judged:
    """How many steps of a stretch may be taken, and whether the descent ends with the last of them."""

    def __init__(self, log: Any, table: Array, rate: float, goal: float) -> None:
        self.log, self.rate, self.goal = log, rate, goal
        self.table = table[: self.clean(table)]
        loss, steep, bend, length, _ = self.table.T
        self.slope = np.sqrt(steep)
        self.steepest = np.maximum.accumulate(np.append(log.steepest, self.slope))[1:]
        self.lowest = np.minimum.accumulate(np.append(log.lowest.loss, loss))[1:]
        self.reaches = self.reaches_of(bend, length)
        ends = self.ends()
        self.stopped: Any = None
        self.steps = len(self.table)
        if ends:
            at, self.stopped = min(ends)
            self.steps = at + 1

    def clean(self, table: Array) -> int:
        """How many steps need no closer look."""
        start = self.log.start
        loss, steep, _, _, farthest = table.T
        steepness = float(start.gradient @ start.gradient)
        with np.errstate(all="ignore"):
            high = start.loss + RUN_AWAY * max(abs(start.loss), self.rate * steepness)
            fine = (loss > FAR_BELOW) & (loss <= high) & (farthest <= FAR_OUT) & (steep > TINY) & (steep < HUGE)
        return len(table) if fine.all() else int(np.argmin(fine))

    def reaches_of(self, bend: Array, length: Array) -> Array:
        """|move|² over the curvature along it; five times the last one where the slope has not fallen."""
        with np.errstate(all="ignore"):
            reaches: Array = np.where(bend > 0, length / bend, math.nan)
        last = self.log.reaches[-1] if self.log.reaches else math.inf
        for k in np.flatnonzero(~(bend > 0)):
            reaches[k] = SPEED_UP * (reaches[k - 1] if k else last)
        return reaches

    def ends(self) -> list[tuple[int, str]]:
        """The first step that would end the descent, by each test."""
        if not len(self.table):
            return []
        found = []
        gained = self.log.start.loss - self.lowest
        scale = np.maximum(np.minimum(gained, np.abs(self.lowest)), 1e-3 * gained)
        flat = np.flatnonzero(self.slope <= math.sqrt(self.goal) * self.steepest)
        if len(flat):
            ahead = self.farthest_reach(flat[0]) * self.slope[flat[0] :] * self.slope[flat[0] :]
            few = np.flatnonzero(ahead[flat - flat[0]] <= self.goal * scale[flat])
            if len(few):
                found.append((int(flat[few[0]]), "converged"))
        if self.goal:
            lows = np.array([*itertools.islice(self.log.lows, 0, None), *self.lowest])
            back = np.arange(len(self.lowest)) + len(self.log.lows) - (LONG - 1)
            known = back >= 0
            idle = lows[np.maximum(back, 0)] - self.lowest <= self.goal * scale
            stalled = np.flatnonzero(known & idle)
            if len(stalled):
                found.append((int(stalled[0]), "stalled"))
        return found

    def farthest_reach(self, first: int) -> Array:
        """The largest of the last reaches, from step `first` on; infinite where there are not two."""
        known = np.array([*self.log.reaches, *self.reaches])
        before = len(self.log.reaches)
        padded = np.concatenate([np.full(LOOK_BACK, -math.inf), known])
        windows = np.lib.stride_tricks.sliding_window_view(padded, LOOK_BACK)[1:]
        tops = windows[before + first :].max(axis=1)
        few = np.arange(before + first, len(known)) < 1
        return np.where(few, math.inf, tops)

    def enter(self, stretch: Stretch, walker: Walker) -> None:
        """Puts the steps that are taken into the log."""
        log, count = self.log, self.steps
        losses = self.table[:count, 0]
        pictures = iter(stretch.pictures)
        every, before = log.snapshots.every, log.steps
        if self.lowest[count - 1] < log.lowest.loss:
            at = int(np.argmin(losses))
            log.lowest = log.best = Point(walker.vector("best_x"), float(losses[at]), walker.vector("best_g"))
            log.best_step = before + 1 + at
        log.steps += count
        log.last = Point(walker.vector("x"), float(losses[-1]), walker.vector("g"))
        log.slope, log.steepest = float(self.slope[count - 1]), float(self.steepest[count - 1])
        log.history += losses.tolist()
        log.rates += [self.rate] * count
        log.reaches.extend(self.reaches[:count][-LOOK_BACK:].tolist())
        log.lows.extend(self.lowest[:count][-LONG:].tolist())
        for step in range(before + every - before % every, log.steps + 1, every):
            log.snapshots.add(step, next(pictures))
