"""How many steps of a stretch may be taken? All are judged together, by the tests of a log."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from gradstep.backends.native.striding import Strider
from gradstep.backends.native.walk import COLUMNS, TOLD
from gradstep.backends.native.walker import Stretch, Walker
from gradstep.learn.log import (
    CRAWL,
    EPSILON,
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
from gradstep.learn.surface import Point
from gradstep.learn.walks import PATIENCE, SPEED_UP

End: TypeAlias = tuple[int, int, Stopped | None]
"""A step, which test, and the verdict; none where the step has to be looked at alone."""
IDLE = 4  # the last of the tests
WATCHED, RATE, TRIES = (COLUMNS.index(name) for name in ("watched", "rate", "tries"))
TINY, HUGE = 1e-200, 1e200  # squares between these are exact; others are looked at one by one


@dataclass
class Patience:
    """When a walk with some rate is over: above the `ceiling`, or so many steps without a lower loss.

    The rate was halved so often before.
    """

    ceiling: float
    idle: int = 0
    halved: int = 0


class Judged:
    """How many steps of a stretch may be taken, and whether the descent ends with the last of them.

    `idle` says that the patience is at its end with the last step, or that rates that are fitted (`rate` is
    none) bring next to nothing.
    """

    def __init__(
        self, log: Log, table: Array, rate: float | None, goal: float, patience: Patience | None
    ) -> None:
        self.log, self.rate, self.goal, self.patience = log, rate, goal, patience
        self.table = table[: self.clean(table)]
        self.losses, steep, bend, length = self.table.T[:4]
        self.slope = np.sqrt(steep)
        self.steepest = np.maximum.accumulate(np.append(log.steepest, self.slope))[1:]
        self.lowest = np.minimum.accumulate(np.append(log.lowest.loss, self.losses))[1:]
        self.reaches = self.reaches_of(bend, length)
        self.stopped: Stopped | None = None
        self.idle = False
        self.steps = len(self.table)
        if self.steps:
            ends = [*self.converged(), *self.hidden(), *self.early(), *self.stalled(), *self.impatient()]
            at, which, self.stopped = min(ends, default=(self.steps, 0, None))
            self.idle = which == IDLE
            self.steps = min(self.steps, at if self.stopped is None and not self.idle else at + 1)
            if patience is not None and self.steps:
                patience.idle = int(self.without_gain(patience)[self.steps - 1])

    def without_gain(self, patience: Patience) -> Array:
        """After each step, how many have brought no lower loss."""
        before = np.append(self.log.lowest.loss, self.lowest[:-1])
        at = np.arange(len(self.losses))
        last = np.maximum.accumulate(np.where(self.losses < before, at, -1))
        found: Array = np.where(last >= 0, at - last, patience.idle + at + 1)
        return found

    def impatient(self) -> Iterator[End]:
        if self.patience is not None:
            over = np.flatnonzero(self.without_gain(self.patience) >= PATIENCE)
            if len(over):
                yield int(over[0]), IDLE, None
        if self.rate is None:
            yield from ((at, IDLE, None) for at in self.gaining_little(CRAWL))

    def clean(self, table: Array) -> int:
        """How many steps need no closer look."""
        start = self.log.start
        loss, steep, _, _, farthest = table.T[: len(TOLD)]
        rates = table[:, RATE] if self.rate is None else self.rate
        steepness = float(start.gradient @ start.gradient)
        with np.errstate(all="ignore"):
            high = start.loss + RUN_AWAY * np.maximum(abs(start.loss), rates * steepness)
            high = high if self.patience is None else np.minimum(high, self.patience.ceiling)
            fine = (
                (loss > self.log.bottomless)
                & (loss <= high)
                & (farthest <= FAR_OUT)
                & (steep > TINY)
                & (steep < HUGE)
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
        known = np.concatenate([log.history[-SEEN:], self.losses])
        rises = np.concatenate([[0], np.cumsum(known[1:] > known[:-1])])
        first = max(0, SEEN - len(log.history))  # the first step with so many before it
        now = first + len(known) - self.steps

        def grown(numbers: Array) -> Array:
            """By how much since so many steps before."""
            here = numbers[now:]
            return here - numbers[now - SEEN :][: len(here)]

        gain, loss = -grown(known), np.abs(self.lowest[first:])
        down = (grown(rises) == 0) & (gain > 0)
        if log.rounding is None:
            ends, unsure = down & (gain <= EPSILON * loss), np.zeros(len(down), bool)
        else:
            noise, where = log.noise or (0.0, math.inf)
            near = (where / 2 <= loss) & (loss <= 2 * where)
            looked = down & (gain <= VISIBLE * loss)
            ends, unsure = looked & near & (gain <= np.maximum(noise, EPSILON * loss)), looked & ~near
        if ends.any():
            yield first + int(np.argmax(ends)), 1, "converged"
        if unsure.any():
            yield first + int(np.argmax(unsure)), 1, None

    def early(self) -> Iterator[End]:
        """Where the best step, by what is watched, lies too far back."""
        if self.log.watch is not None:
            step = self.log.steps + 1 + np.arange(self.steps)
            over = np.flatnonzero(step - self.best_steps() > np.maximum(LOOK_BACK, step // 4))
            if len(over):
                yield int(over[0]), 2, "early"

    def best_steps(self) -> Array:
        """After each step, which was the best by what is watched."""
        log = self.log
        watched = np.where(self.losses <= log.start.loss, self.table[:, WATCHED], math.inf)
        before = np.minimum.accumulate(np.append(log.watched[log.best_step], watched))[:-1]
        better = np.where(watched < before, log.steps + 1 + np.arange(len(watched)), log.best_step)
        found: Array = np.maximum.accumulate(better)
        return found

    def stalled(self) -> Iterator[End]:
        if self.goal:
            yield from ((at, 3, "stalled") for at in self.gaining_little(LONG - 1))

    def gaining_little(self, steps: int) -> Iterator[int]:
        """The first step after which the last so many have brought next to nothing."""
        before = len(self.log.lows)
        lows = np.concatenate([self.log.lows, self.lowest])
        back = np.arange(len(self.lowest)) + before - steps
        idle = lows[np.maximum(back, 0)] - self.lowest <= self.goal * self.scale()
        found = np.flatnonzero((back >= 0) & idle)
        if len(found):
            yield int(found[0])

    def farthest_reach(self, first: int) -> Array:
        """The largest of the last reaches, from step `first` on; infinite where there are not two."""
        known = np.concatenate([self.log.reaches, self.reaches])
        before = len(self.log.reaches)
        padded = np.concatenate([np.full(LOOK_BACK, -math.inf), known])
        windows = np.lib.stride_tricks.sliding_window_view(padded, LOOK_BACK)[1:]
        tops = windows[before + first :].max(axis=1)
        few = np.arange(before + first, len(known)) < 1
        return np.where(few, math.inf, tops)

    def enter(self, stretch: Stretch, walker: Walker | Strider) -> None:
        """Puts the steps that are taken into the log."""
        log, count = self.log, self.steps
        losses = self.losses[:count]
        every, before = log.snapshots.every, log.steps
        if self.lowest[count - 1] < log.lowest.loss:
            at = int(np.argmin(losses))
            log.lowest = Point(walker.vector("best_x"), float(losses[at]), walker.vector("best_g"))
            if log.watch is None:
                log.best, log.best_step = log.lowest, before + 1 + at
        if log.watch is not None:
            best = int(self.best_steps()[count - 1])
            if best > log.best_step:
                loss = float(losses[best - before - 1])
                log.best = Point(walker.vector("seen_x"), loss, walker.vector("seen_g"))
            log.watched += self.table[:count, WATCHED].tolist()
            log.best_step = best
        log.steps += count
        log.last = Point(*walker.point())
        log.slope, log.steepest = float(self.slope[count - 1]), float(self.steepest[count - 1])
        log.history += losses.tolist()
        log.rates += self.table[:count, RATE].tolist() if self.rate is None else [self.rate] * count
        log.reaches.extend(self.reaches[:count][-LOOK_BACK:].tolist())
        log.lows.extend(self.lowest[:count][-LONG:].tolist())
        steps = range(before + every - before % every, log.steps + 1, every)
        log.snapshots.add_all(steps, stretch.pictures)
