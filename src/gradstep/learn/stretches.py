"""How does a descent go on for many steps at once? In stretches that machine code walks alone.

A stretch is judged as a whole, by the same tests as single steps are. Where one of its steps would have ended
the descent, or has to be looked at, the stretch is walked again up to there: it comes out the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep.backends.native.making import Rule
from gradstep.backends.native.walker import Stretch, Walker
from gradstep.learn.log import (
    EPSILON,
    FAR_BELOW,
    FAR_OUT,
    LONG,
    LOOK_BACK,
    RUN_AWAY,
    SEEN,
    VISIBLE,
    Log,
    Stopped,
)
from gradstep.learn.optimisers import Array
from gradstep.learn.surface import Layout, Measured, Objective, Parameters, Point
from gradstep.learn.walks import SPEED_UP

Orders: TypeAlias = Callable[[int, int], NDArray[np.int64]]
"""The numbers of the rows in the passes from one on, so many passes."""

LONGEST = 0.05  # seconds of a stretch: so soon progress is shown, and Ctrl-C heard
GROWTH = 8  # a stretch is at most so many times as long as the one before
ORDERED = 1 << 22  # numbers of rows that are put in order at once
End: TypeAlias = tuple[int, int, Stopped | None]
"""A step, which test, and the verdict; none where the step has to be looked at alone."""
TINY, HUGE = 1e-200, 1e200  # squares between these are exact; others are looked at one by one


@dataclass(frozen=True)
class Machine:
    """A walker, the rule it walks by, and the order of its `rows` where it goes through `blocks` of them."""

    walker: Walker
    rule: Rule
    orders: Orders | None = None
    rows: int = 1
    blocks: int = 0

    def objective(self, layout: Layout) -> Objective:
        """The loss and its gradients, by the same code as the walk."""
        twin = self.walker.twin()

        def measured(parameters: Parameters) -> tuple[ArrayLike, Mapping[str, ArrayLike]]:
            loss, gradient = twin.measured(
                np.concatenate([parameters[name].ravel() for name in layout.shapes])
            )
            return loss, layout.open(gradient)

        return measured

    def run(self, steps: int, rate: float, log: Log) -> Stretch:
        """So many steps after those in the log."""
        orders = self.orders(log.steps, steps) if self.orders else None
        every = log.snapshots.every
        return self.walker.run(steps, rate, every, every - log.steps % every, orders)


def walked_in_stretches(
    machine: Machine,
    loss: Measured,
    log: Log,
    rate: float,
    goal: float,
    count: int,
    look: Callable[[Point, float], None],
    show: Callable[[], None],
) -> Stopped:
    """Walks with a constant rate until a verdict, or `count` steps, and says which it was.

    `look` raises an error at a point that no descent may go through; `show` tells how far it is.
    """
    walker, size = machine.walker, 1
    walker.begin(log.last.x, machine.rule)
    while True:
        steps = min(size, count - log.steps, log.snapshots.every * log.snapshots.limit)
        steps = min(steps, max(1, ORDERED // machine.rows)) if machine.orders else steps
        saved, begun, before = walker.saved(), time.perf_counter(), log.steps
        stretch = machine.run(steps, rate, log)
        took = time.perf_counter() - begun
        judged = Judged(log, stretch.table, rate, goal)
        if judged.steps < steps:
            walker.restore(saved)
            stretch = machine.run(judged.steps, rate, log) if judged.steps else stretch
        if judged.steps:
            judged.enter(stretch, walker)
        stopped = judged.stopped
        if stopped is None and judged.steps < steps:
            machine.run(1, rate, log)
            point = walker.point()
            look(Point(*point), rate)
            log.add(Point(*point), rate)
            stopped = log.verdict(goal)
        loss.count += (log.steps - before) * (1 + machine.blocks)
        show()
        if stopped is not None:
            return stopped
        if log.steps >= count:
            return "steps"
        size = max(1, min(GROWTH * steps, int(steps * LONGEST / 2 / max(took, 1e-9))))


class Judged:
    """How many steps of a stretch may be taken, and whether the descent ends with the last of them."""

    def __init__(self, log: Log, table: Array, rate: float, goal: float) -> None:
        self.log, self.rate, self.goal = log, rate, goal
        self.table = table[: self.clean(table)]
        self.losses, steep, bend, length, _ = self.table.T
        self.slope = np.sqrt(steep)
        self.steepest = np.maximum.accumulate(np.append(log.steepest, self.slope))[1:]
        self.lowest = np.minimum.accumulate(np.append(log.lowest.loss, self.losses))[1:]
        self.reaches = self.reaches_of(bend, length)
        self.stopped: Stopped | None = None
        self.steps = len(self.table)
        if self.steps:
            ends = [*self.converged(), *self.hidden(), *self.stalled()]
            at, _, self.stopped = min(ends, default=(self.steps, 0, None))
            self.steps = min(self.steps, at if self.stopped is None else at + 1)

    def clean(self, table: Array) -> int:
        """How many steps need no closer look."""
        start = self.log.start
        loss, steep, _, _, farthest = table.T
        steepness = float(start.gradient @ start.gradient)
        with np.errstate(all="ignore"):
            high = start.loss + RUN_AWAY * max(abs(start.loss), self.rate * steepness)
            fine = (
                (loss > FAR_BELOW) & (loss <= high) & (farthest <= FAR_OUT) & (steep > TINY) & (steep < HUGE)
            )
        return len(table) if fine.all() else int(np.argmin(fine))

    def reaches_of(self, bend: Array, length: Array) -> Array:
        """|move|² over the curvature along it; five times the last one where the slope has not fallen."""
        with np.errstate(all="ignore"):
            reaches: Array = np.where(bend > 0, length / bend, math.nan)
        last = self.log.reaches[-1] if self.log.reaches else math.inf
        for k in np.flatnonzero(~(bend > 0)):
            reaches[k] = SPEED_UP * float(reaches[k - 1] if k else last)
        return reaches

    def scale(self) -> Array:
        """What a gain is measured by after each step."""
        gained = self.log.start.loss - self.lowest
        scale: Array = np.maximum(np.minimum(gained, np.abs(self.lowest)), 1e-3 * gained)
        return scale

    # The first step that would end the descent, by each test of a log; of two in one step the first counts.

    def converged(self) -> Iterator[End]:
        flat = np.flatnonzero(self.slope <= math.sqrt(self.goal) * self.steepest)
        if len(flat):
            first = flat[0]
            ahead = self.farthest_reach(first) * self.slope[first:] * self.slope[first:]
            little = np.flatnonzero(ahead[flat - first] <= self.goal * self.scale()[flat])
            if len(little):
                yield int(flat[little[0]]), 0, "converged"

    def hidden(self) -> Iterator[End]:
        """Where all the last steps gained is what rounding errors may be; none where these are not known."""
        log = self.log
        known = np.array([*log.history[-SEEN:], *self.losses])
        rises = np.concatenate([[0], np.cumsum(np.diff(known) > 0)])
        first = max(0, SEEN - len(log.history))  # the first step with so many before it
        now = np.arange(first, self.steps) + len(known) - self.steps
        gain, loss = known[now - SEEN] - known[now], np.abs(self.lowest[first:])
        down = (rises[now] == rises[now - SEEN]) & (gain > 0)
        if log.rounding is None:
            ends, unsure = down & (gain <= EPSILON * loss), np.zeros(len(now), bool)
        else:
            noise, where = log.noise or (0.0, math.inf)
            near = (where / 2 <= loss) & (loss <= 2 * where)
            looked = down & (gain <= VISIBLE * loss)
            ends, unsure = looked & near & (gain <= np.maximum(noise, EPSILON * loss)), looked & ~near
        if ends.any():
            yield first + int(np.argmax(ends)), 1, "converged"
        if unsure.any():
            yield first + int(np.argmax(unsure)), 1, None

    def stalled(self) -> Iterator[End]:
        if self.goal:
            before = len(self.log.lows)
            lows = np.array([*self.log.lows, *self.lowest])
            back = np.arange(self.steps) + before - (LONG - 1)
            idle = lows[np.maximum(back, 0)] - self.lowest <= self.goal * self.scale()
            found = np.flatnonzero((back >= 0) & idle)
            if len(found):
                yield int(found[0]), 2, "stalled"

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
        losses = self.losses[:count]
        pictures = iter(stretch.pictures)
        every, before = log.snapshots.every, log.steps
        if self.lowest[count - 1] < log.lowest.loss:
            at = int(np.argmin(losses))
            log.lowest = log.best = Point(walker.vector("best_x"), float(losses[at]), walker.vector("best_g"))
            log.best_step = before + 1 + at
        log.steps += count
        log.last = Point(*walker.point())
        log.slope, log.steepest = float(self.slope[count - 1]), float(self.steepest[count - 1])
        log.history += losses.tolist()
        log.rates += [self.rate] * count
        log.reaches.extend(self.reaches[:count][-LOOK_BACK:].tolist())
        log.lows.extend(self.lowest[:count][-LONG:].tolist())
        for step in range(before + every - before % every, log.steps + 1, every):
            log.snapshots.add(step, next(pictures))
