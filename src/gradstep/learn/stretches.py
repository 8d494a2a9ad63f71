"""How does a descent go on for many steps at once? In stretches that machine code walks alone.

A stretch is judged as a whole, by the same tests as single steps are. Where one of its steps would have ended
the descent, or has to be looked at, the stretch is walked again up to there: it comes out the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep.backends.native.making import Rule
from gradstep.backends.native.striding import Strider
from gradstep.backends.native.walk import COLUMNS, TOLD
from gradstep.backends.native.walker import Stretch, Walker
from gradstep.learn import optimisers
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
from gradstep.learn.objective import floor_of, watch_of
from gradstep.learn.optimisers import Array
from gradstep.learn.surface import Layout, Measured, Objective, Parameters, Point
from gradstep.learn.walks import (
    HALVINGS,
    MEMORY,
    PATIENCE,
    SPEED_UP,
    TRIAL_STEPS,
    accepted,
    first_rate,
    next_rate,
    tried_rate,
)

Orders: TypeAlias = Callable[[int, int], NDArray[np.int64]]
"""The numbers of the rows in the passes from one on, so many passes."""

LONGEST = 0.05  # seconds of a stretch: so soon progress is shown, and Ctrl-C heard
GROWTH = 8  # a stretch is at most so many times as long as the one before
ORDERED = 1 << 22  # numbers of rows that are put in order at once
End: TypeAlias = tuple[int, int, Stopped | None]
"""A step, which test, and the verdict; none where the step has to be looked at alone."""
IDLE = 4  # the last of the tests
WATCHED, RATE, TRIES = (COLUMNS.index(name) for name in ("watched", "rate", "tries"))
TINY, HUGE = 1e-200, 1e200  # squares between these are exact; others are looked at one by one


@dataclass(frozen=True)
class Eye:
    """What is watched: the loss on other rows, which have a `walker`, or on the same rows.

    Below the share `enough` of its first value all is equally good.
    """

    walker: Walker | None
    enough: float


@dataclass(frozen=True)
class Machine:
    """A walker, the rule it walks by, and the order of its `rows` where it goes through `blocks` of them.

    `rolling` makes one that goes on over kinks, by momentum.
    """

    walker: Walker | Strider
    rule: Rule
    orders: Orders | None = None
    rows: int = 1
    blocks: int = 0
    eye: Eye | None = None
    rolling: Callable[[], Machine] | None = None

    def alone(self, fitted: bool, watched: bool) -> bool:
        """Whether it needs nobody for each step."""
        seen = self.eye is not None or not watched
        return seen and (isinstance(self.walker, Walker) or not fitted)

    def objective(self, layout: Layout) -> Objective:
        """The loss and its gradients, by the same code as the walk."""
        return self.measure(self.walker, layout)

    def watching(self, layout: Layout) -> Callable[[Parameters], float] | None:
        """What is watched, by the same code as the walk."""
        if self.eye is None:
            return None
        return watch_of(self.measure(self.eye.walker or self.walker, layout), self.eye.enough)

    def measure(self, walker: Walker | Strider, layout: Layout) -> Objective:
        twin = walker.twin()

        def measured(parameters: Parameters) -> tuple[ArrayLike, Mapping[str, ArrayLike]]:
            loss, gradient = twin.measured(
                np.concatenate([parameters[name].ravel() for name in layout.shapes])
            )
            return loss, layout.open(gradient)

        return measured

    def run(self, steps: int, rate: float | None, log: Log, turn: int) -> Stretch:
        """So many steps after those in the log, through batches in the order of pass `turn` and the next."""
        orders = self.orders(turn, steps) if self.orders else None
        every = log.snapshots.every
        until = every - log.steps % every
        if isinstance(self.walker, Walker):
            return self.walker.run(steps, rate, every, until, orders)
        assert rate is not None
        return self.walker.run(steps, rate, every, until, orders)


@dataclass
class Patience:
    """When a walk with some rate is over: above the `ceiling`, or so many steps without a lower loss."""

    ceiling: float
    idle: int = 0


@dataclass
class Walking:
    """A descent that a machine walks.

    `look` raises an error at a point that no descent may go through; `show` tells how far it is.
    """

    machine: Machine
    loss: Measured
    log: Log
    goal: float
    count: int
    look: Callable[[Point, float], None]
    show: Callable[[], None]
    turn: int = 0  # passes through batches until now

    def steadily(self, rate: float) -> Stopped:
        """With a constant rate, until a verdict or the last step."""
        stopped = self.on(rate, None)
        assert stopped is not None
        return stopped

    def tuned(self, rule: optimisers.Rule, here: Point) -> Stopped:
        """From here with the rate that short trials choose, halved when many steps bring no lower loss."""
        rate = tried_rate(rule, here, lambda rates: [self.trial(here, rate) for rate in rates])
        for _ in range(HALVINGS):
            stopped = self.on(rate, Patience(self.log.start.loss))
            if stopped is not None:
                return stopped
            rate /= 2
        return "converged" if self.log.flat() else "stalled"

    def fitted(self) -> Stopped:
        """With a rate that is fitted to each step; where kinks stop that, on over them by momentum."""
        stopped = self.on(None, None)
        if stopped is None and self.log.flat():
            return "converged"
        if stopped is None and self.machine.rolling is not None:
            self.log.go_on_over_kinks()
            return replace(self, machine=self.machine.rolling()).tuned(optimisers.MOMENTUM, self.log.lowest)
        return stopped or "stalled"

    def trial(self, here: Point, rate: float) -> float:
        """The lowest loss of a short run; infinite if it blows up or kills the network."""
        self.machine.walker.begin(here.x, self.machine.rule)
        table = self.machine.run(TRIAL_STEPS, rate, self.log, 0).table
        losses, steep = table[:, 0], table[:, 1]
        fine = np.isfinite(losses) & np.isfinite(steep) & (steep > 0)
        taken = TRIAL_STEPS if fine.all() else int(np.argmin(fine)) + 1
        self.loss.count += taken * (1 + self.machine.blocks)
        return float(losses.min()) if fine.all() else math.inf

    def on(self, rate: float | None, patience: Patience | None) -> Stopped | None:
        """From the lowest point on with a rate, or one that is fitted to each step, until a verdict.

        None where the patience is at its end, or a rate that is fitted leads no further.
        """
        machine, log, walker, size = self.machine, self.log, self.machine.walker, 1
        self.begin(log.lowest, None if rate is not None else first_rate(log.lowest))
        while True:
            steps = min(size, self.count - log.steps, log.snapshots.every * log.snapshots.limit)
            steps = min(steps, max(1, ORDERED // machine.rows)) if machine.orders else steps
            saved, begun = walker.saved(), time.perf_counter()
            stretch = machine.run(steps, rate, log, self.turn)
            took = time.perf_counter() - begun
            judged = Judged(log, stretch.table, rate, self.goal, patience)
            if judged.steps < len(stretch.table):
                walker.restore(saved)
                stretch = machine.run(judged.steps, rate, log, self.turn) if judged.steps else stretch
            if judged.steps:
                self.passed(stretch, judged.steps, rate)
                judged.enter(stretch, walker)
            stopped = judged.stopped
            if stopped is None and judged.steps < steps and not judged.idle:
                if not (self.single() if rate is None else self.alone(rate, patience)):
                    return None
                stopped = log.verdict(self.goal)
            self.show()
            if stopped is not None:
                return stopped
            if log.steps >= self.count:
                return "steps"
            if patience is not None and patience.idle >= PATIENCE:
                return None
            if rate is None and log.crawls(self.goal):
                return None
            size = max(1, min(GROWTH * steps, int(steps * LONGEST / 2 / max(took, 1e-9))))

    def begin(self, here: Point, fitted: float | None) -> None:
        """Begins at a point; `fitted` is the first of the rates that are fitted to each step."""
        walker, log, eye = self.machine.walker, self.log, self.machine.eye
        walker.begin(here.x, self.machine.rule)
        if isinstance(walker, Walker) and fitted is not None:
            walker.fit_rates(fitted, log.steps, log.history)
        if isinstance(walker, Walker) and eye is not None:
            first, _ = (eye.walker or walker).twin().measured(log.start.x)
            walker.watch(floor_of(first, eye.enough), log.start.loss, log.watched[log.best_step])

    def passed(self, stretch: Stretch, steps: int, rate: float | None) -> None:
        self.turn += steps
        each = stretch.table[:steps, TRIES].sum() if rate is None else steps * (1 + self.machine.blocks)
        self.loss.count += int(each)

    def single(self) -> bool:
        """One step by itself whose rate is fitted; false where there is none."""
        walker, log = self.machine.walker, self.log
        assert isinstance(walker, Walker)
        here = Point(*walker.point())
        found = accepted(self.loss, here, walker.rate, max(log.history[-MEMORY:]))
        if found is None:
            return False
        there, rate = found
        self.look(there, rate)
        following = next_rate(log.steps, here, there, rate)
        log.add(there, rate)
        self.begin(there, following)
        return True

    def alone(self, rate: float, patience: Patience | None) -> bool:
        """One step by itself; false where it goes above the ceiling, and is not taken."""
        self.passed(self.machine.run(1, rate, self.log, self.turn), 1, rate)
        point = Point(*self.machine.walker.point())
        if patience is not None:
            if not point.finite or point.loss > patience.ceiling:
                return False
            patience.idle = patience.idle + 1 if point.loss >= self.log.lowest.loss else 0
        self.look(point, rate)
        self.log.add(point, rate)
        return True


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
