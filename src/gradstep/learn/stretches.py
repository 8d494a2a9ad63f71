"""How does a descent go on for many steps at once? In stretches that machine code walks alone.

A stretch is judged as a whole, by the same tests as single steps are. Where one of its steps would have ended
the descent, or has to be looked at, the stretch is walked again up to there: it comes out the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep.backends.native.making import Rule
from gradstep.backends.native.striding import Strider
from gradstep.backends.native.walker import Listen, Stretch, Walker, unheard
from gradstep.learn import optimisers
from gradstep.learn.interrupts import patient
from gradstep.learn.judged import TRIES, Judged, Patience
from gradstep.learn.log import Keeper, Log, Stopped
from gradstep.learn.memories import Fitting, Steady, Tuning
from gradstep.learn.objective import floor_of, watch_of
from gradstep.learn.optimisers import Array
from gradstep.learn.surface import Layout, Measured, Objective, Parameters, Point
from gradstep.learn.walks import (
    HALVINGS,
    MEMORY,
    PATIENCE,
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

    def run(self, steps: int, rate: float | None, log: Log, turn: int, listen: Listen = unheard) -> Stretch:
        """So many steps after those in the log, through batches in the order of pass `turn` and the next.

        A long walk through batches is ended by what `listen` raises.
        """
        orders = self.orders(turn, steps) if self.orders else None
        every = log.snapshots.every
        until = every - log.steps % every
        if isinstance(self.walker, Walker):
            return self.walker.run(steps, rate, every, until, orders, listen)
        assert rate is not None
        return self.walker.run(steps, rate, every, until, orders, listen)


@dataclass
class Walking:
    """A descent that a machine walks.

    `look` raises an error at a point that no descent may go through; `show` tells how far it is; `rest` is
    called between stretches, and may end the walk. A `keeper` says when it has to be.
    """

    machine: Machine
    loss: Measured
    log: Log
    goal: float
    count: int
    look: Callable[[Point, float], None]
    show: Callable[[], None]
    rest: Callable[[bool], None]
    keeper: Keeper | None = None
    turn: int = 0  # passes through batches until now

    def steadily(self, rate: float) -> Stopped:
        """With a constant rate, until a verdict or the last step."""
        stopped = self.on(rate, None, self.log.remembered(Steady))
        assert stopped is not None
        return stopped

    def tuned(self, rule: optimisers.Rule) -> Stopped:
        """With the rate that short trials choose, halved when many steps bring no lower loss."""
        log, patience = self.log, Patience(self.log.start.loss)
        memory = log.remembered(Tuning)
        if memory is None:
            rate = tried_rate(rule, log.lowest, lambda rates: [self.tried(rate) for rate in rates])
            state = rule.init(log.lowest.x)
            log.memory, log.tried = Tuning(self.turn, rate, 0, 0, state, log.lowest), []
            self.rest(True)
        else:
            rate, patience.idle, patience.halved = memory.rate, memory.idle, memory.halved
        while patience.halved < HALVINGS:
            stopped = self.on(rate, patience, memory)
            if stopped is not None:
                return stopped
            rate, memory = rate / 2, None
            patience.idle, patience.halved = 0, patience.halved + 1
        return "converged" if log.flat() else "stalled"

    def fitted(self) -> Stopped:
        """With a rate that is fitted to each step; where kinks stop that, on over them by momentum."""
        log, stopped = self.log, None
        if log.kink_step is None:
            stopped = self.on(None, None, log.remembered(Fitting))
            if stopped is None and log.flat():
                return "converged"
        if stopped is None and self.machine.rolling is not None:
            if log.kink_step is None:
                log.go_on_over_kinks()
            return replace(self, machine=self.machine.rolling()).tuned(optimisers.MOMENTUM)
        return stopped or "stalled"

    def tried(self, rate: float) -> float:
        """What a trial from the lowest point comes to, which is known if there was one before."""
        known = dict(self.log.tried)
        if rate not in known:
            known[rate] = self.trial(self.log.lowest, rate)
            self.log.tried.append((rate, known[rate]))
            self.rest(False)
        return known[rate]

    def trial(self, here: Point, rate: float) -> float:
        """The lowest loss of a short run; infinite if it blows up or kills the network."""
        walker, tables, done, steps = self.machine.walker, list[Array](), 0, 1
        walker.begin(here.x, self.machine.rule)
        while done < TRIAL_STEPS:
            self.loss.listen()
            begun = time.perf_counter()
            tables.append(
                self.machine.run(steps, rate, self.log, done, patient(self.loss.listen)).table.copy()
            )
            done += steps
            steps = int(steps * LONGEST / max(time.perf_counter() - begun, 1e-9))
            steps = max(1, min(steps, TRIAL_STEPS - done))
        table = np.concatenate(tables)
        losses, steep = table[:, 0], table[:, 1]
        fine = np.isfinite(losses) & np.isfinite(steep) & (steep > 0)
        taken = TRIAL_STEPS if fine.all() else int(np.argmin(fine)) + 1
        self.loss.count += taken * (1 + self.machine.blocks)
        return float(losses.min()) if fine.all() else math.inf

    def on(
        self, rate: float | None, patience: Patience | None, memory: Steady | Fitting | Tuning | None
    ) -> Stopped | None:
        """On with a rate, or one that is fitted to each step, until a verdict: from the lowest point, or
        from the last one where there is a memory.

        None where the patience is at its end, or a rate that is fitted leads no further.
        """
        machine, log, walker, size = self.machine, self.log, self.machine.walker, 1
        self.begin_with(memory, rate)
        while True:
            if patience is not None and patience.idle >= PATIENCE:
                return None
            if rate is None and log.crawls(self.goal):
                return None
            steps = min(size, self.count - log.steps, log.snapshots.every * log.snapshots.limit)
            steps = min(steps, max(1, ORDERED // machine.rows)) if machine.orders else steps
            steps = steps if self.keeper is None else min(steps, self.keeper.ahead(log.steps))
            saved, begun = walker.saved(), time.perf_counter()
            stretch = machine.run(steps, rate, log, self.turn, patient(self.loss.listen))
            took = time.perf_counter() - begun
            judged = Judged(log, stretch.table, rate, self.goal, patience)
            if judged.steps < len(stretch.table):
                walker.restore(saved)
                stretch = machine.run(judged.steps, rate, log, self.turn) if judged.steps else stretch
            if judged.steps:
                self.passed(stretch, judged.steps, rate)
                judged.enter(stretch, walker)
                self.remember(rate, patience)
            stopped = judged.stopped
            if stopped is None and judged.steps < steps and not judged.idle:
                if not (self.single() if rate is None else self.alone(rate, patience)):
                    return None
                self.remember(rate, patience)
                stopped = log.verdict(self.goal)
            self.show()
            if stopped is not None:
                return stopped
            if log.steps >= self.count:
                return "steps"
            self.rest(False)
            size = max(1, min(GROWTH * steps, int(steps * LONGEST / 2 / max(took, 1e-9))))

    def remember(self, rate: float | None, patience: Patience | None) -> None:
        """Puts down what is needed to go on, where that is kept."""
        log, walker = self.log, self.machine.walker
        log.evaluations = self.loss.count
        if self.keeper is None:
            return
        if rate is None:
            assert isinstance(walker, Walker)
            log.memory = Fitting(log.steps, walker.rate, tuple(log.history[-MEMORY:]))
        elif patience is None:
            log.memory = Steady(self.turn, walker.remembered(self.machine.rule))
        else:
            state = walker.remembered(self.machine.rule)
            log.memory = Tuning(self.turn, rate, patience.halved, patience.idle, state, log.lowest)

    def begin_with(self, memory: Steady | Fitting | Tuning | None, rate: float | None) -> None:
        """Begins at the lowest point, or at the last one with what was remembered there."""
        log = self.log
        if memory is None:
            self.begin(log.lowest, None if rate is not None else first_rate(log.lowest))
        elif isinstance(memory, Fitting):
            self.begin(log.last, memory.rate)
        else:
            self.begin(log.place, None)
            self.machine.walker.remember(memory.state)
            self.turn = memory.k

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
        listen = patient(self.loss.listen)
        self.passed(self.machine.run(1, rate, self.log, self.turn, listen), 1, rate)
        point = Point(*self.machine.walker.point())
        if patience is not None:
            if not point.finite or point.loss > patience.ceiling:
                return False
            patience.idle = patience.idle + 1 if point.loss >= self.log.lowest.loss else 0
        self.look(point, rate)
        self.log.add(point, rate)
        return True
