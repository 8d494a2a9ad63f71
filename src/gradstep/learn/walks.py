"""Which way does a descent take? Each walk yields the next point and the rate that led there, or ends.

With each point a walk yields its memory: all that its next steps depend on beside the point. A walk that
begins from a point and a memory goes on to the same bits.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from gradstep.learn.interrupts import patient
from gradstep.learn.memories import Fitting, Memory, Steady, Trial, Trying, Tuning
from gradstep.learn.optimisers import Array, Rule, State
from gradstep.learn.surface import Measured, Objective, Point, inner, norm_of

Batches: TypeAlias = Callable[[int], Iterable[Objective]]
Ended: TypeAlias = Literal["converged", "stalled"] | None
Enough: TypeAlias = Callable[[float], bool]
"""Is so little left to gain that the walk may end?"""


class Taken(NamedTuple):
    """A step that was taken: where it led, with what rate, and what the walk remembers now.

    Before the first step a walk may yield the point where it is, to tell what it has found out there.
    """

    point: Point
    rate: float
    memory: Memory


Walk: TypeAlias = Generator[Taken, None, Ended]


def rate_of(here: Point, there: Point) -> float:
    """How far a step went for the slope that it began with."""
    return norm_of(there.x - here.x) / norm_of(here.gradient)


@dataclass(frozen=True)
class Stepper:
    """Step k of an optimiser: with the whole gradient, or through the blocks of pass k."""

    rule: Rule
    loss: Measured
    batches: Batches | None = None

    def __call__(self, at: Point, state: State, rate: float, k: int) -> tuple[Point, State]:
        ((there, after),) = self.several([at], [state], [rate], k)
        return there, after

    def several(
        self, at: Sequence[Point], states: Sequence[State], rates: Sequence[float], k: int
    ) -> list[tuple[Point, State]]:
        """The same step from several points, each with its own rate, in common passes over the data."""
        xs, states = [each.x for each in at], list(states)
        gradients: Iterable[Sequence[Array]] = [[each.gradient for each in at]]
        listen = patient(self.loss.listen)
        if self.batches is not None:
            gradients = ([g for _, g in self.loss.all_of(block, xs)] for block in self.batches(k))
        for slopes in gradients:
            listen()
            with np.errstate(all="ignore"):
                moved = [self.rule.update(*each) for each in zip(xs, slopes, states, rates, strict=True)]
            xs[:], states[:] = [x for x, _ in moved], [state for _, state in moved]
        return list(zip(self.loss.all_at(xs), states, strict=True))


def plain_walk(step: Stepper, here: Point, rule: Rule, rate: float, memory: Steady | None = None) -> Walk:
    """The optimiser as its formula says, with a constant rate."""
    k, state = memory or Steady(0, rule.init(here.x))
    while True:
        here, state = step(here, state, rate, k)
        k += 1
        yield Taken(here, rate, Steady(k, state))


MEMORY = 10  # a step may rise above the last loss, but never above the highest of the last ten
SUFFICIENT = 1e-4
FIRST_MOVE = 0.1
SPEED_UP = 5.0


def fitted_walk(loss: Measured, here: Point, memory: Fitting | None = None) -> Walk:
    """Gradient descent whose rate is fitted to the last step, and safe.

    The rate is 1/curvature along the last move, twice by the long formula of Barzilai & Borwein (1988) and
    then once by their short one. It is shortened until the loss is clearly below the highest of the last ten
    (Grippo, Lampariello & Lucidi 1986), so that the loss can never pass its starting value.
    """
    k, rate, recent = memory or Fitting(0, first_rate(here), (here.loss,))
    while True:
        found = accepted(loss, here, rate, max(recent))
        if found is None:
            return None
        there, taken = found
        rate = next_rate(k, here, there, taken)
        k, here, recent = k + 1, there, (*recent, there.loss)[-MEMORY:]
        yield Taken(here, taken, Fitting(k, rate, recent))


def first_rate(here: Point) -> float:
    """A careful first step."""
    return FIRST_MOVE * max(1.0, norm_of(here.x)) / norm_of(here.gradient)


def next_rate(k: int, here: Point, there: Point, rate: float) -> float:
    """The rate after step k, which went from here to there."""
    with np.errstate(all="ignore"):
        move, change = there.x - here.x, there.gradient - here.gradient
        bend, length, sway = inner(move, change), inner(move, move), inner(change, change)
    if bend <= 0 or not sway:  # the slope grew on the way down
        return rate * SPEED_UP
    return length / bend if k % 3 < 2 else bend / sway


def accepted(loss: Measured, here: Point, rate: float, ceiling: float) -> tuple[Point, float] | None:
    """The first of ever shorter steps that lowers the loss clearly below `ceiling`; None if there is none."""
    slope = norm_of(here.gradient)
    noise = 4 * sys.float_info.epsilon * abs(ceiling)
    shortest = sys.float_info.epsilon * norm_of(here.x) / slope
    while rate > shortest:
        there = _ahead(loss, here, rate)
        if there.finite and there.loss <= ceiling - SUFFICIENT * rate * slope * slope + noise:
            if there.gradient.any():
                return there, rate
            # A gradient of exactly zero is a minimum, or a network that has died: half the step tells.
            half = _ahead(loss, here, rate / 2)
            if not (half.finite and half.loss < there.loss):
                return there, rate
            rate /= 2
            continue
        rise = there.loss - (here.loss - rate * slope * slope)
        length = rate * slope
        guess = length * length / (2 * rise) if there.finite and rise > 0 else 0.0
        rate = min(max(guess, 0.1 * rate), 0.5 * rate)  # the lowest point of a parabola, within reason
    return None


def _ahead(loss: Measured, here: Point, rate: float) -> Point:
    with np.errstate(all="ignore"):
        x = here.x - rate * here.gradient
    return loss.at(x)


_TRIAL_RATES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4, 1e-5)
TRIAL_STEPS = 30
PATIENCE = 30
HALVINGS = 40


def tuned_walk(
    step: Stepper,
    here: Point,
    rule: Rule,
    ceiling: float,
    trial: Stepper | None = None,
    memory: Tuning | Trying | None = None,
) -> Walk:
    """An optimiser with a rate that short trial runs chose, halved whenever 30 steps bring no lower loss.

    `trial` is a cheaper step to try rates with.
    """
    if not isinstance(memory, Tuning):
        rate = yield from _trials(trial or step, here, rule, memory)
        memory = Tuning(0, rate, 0, 0, rule.init(here.x), here)
        yield Taken(here, rate, memory)
    k, rate, halved, idle, state, best = memory
    while halved < HALVINGS:
        while idle < PATIENCE:
            here, state = step(here, state, rate, k)
            k += 1
            if not here.finite or here.loss > ceiling:
                break
            idle = idle + 1 if here.loss >= best.loss else 0
            best = here if here.loss < best.loss else best
            yield Taken(here, rate, Tuning(k, rate, halved, idle, state, best))
        here, state, idle, rate, halved = best, rule.init(best.x), 0, rate / 2, halved + 1
    return None


def tried_rate(rule: Rule, here: Point, trials: Callable[[Sequence[float]], Sequence[float]]) -> float:
    """The rate that trials of some steps from here find best: the one whose lowest loss is the lowest."""
    asking = _rates_to_try(rule, here)
    rates = next(asking)
    while True:
        try:
            rates = asking.send(trials(rates))
        except StopIteration as end:
            return float(end.value)


def _rates_to_try(rule: Rule, here: Point) -> Generator[list[float], Sequence[float], float]:
    """Asks what trials of rates come to, and returns the best one; while the largest wins, larger ones are
    tried too.
    """
    size = max(1.0, norm_of(here.x))
    unit = size / norm_of(here.gradient) if rule.scales_with_gradient else size / math.sqrt(here.x.size)
    rates = [float(unit * r) for r in _TRIAL_RATES]
    results = dict(zip(rates, (yield rates), strict=True))
    best = min(rates, key=results.__getitem__)
    while best == max(results) and math.isfinite(results[best]) and len(results) < 40:
        (results[3 * best],) = yield [3 * best]
        best = min(results, key=results.__getitem__)
    return best


def _trials(step: Stepper, start: Point, rule: Rule, memory: Trying | None) -> Generator[Taken, None, float]:
    """The rate that is tried with the best result; tells how far the trials are after each of their steps.

    What a trial comes to is the lowest loss of a short run; infinite if it blows up or kills the network.
    """
    known = {} if memory is None else dict(memory.known)
    asking = _rates_to_try(rule, start)
    rates = next(asking)
    while True:
        wanted = [rate for rate in rates if rate not in known]
        k, trials = 0, [Trial(rate, math.inf, start, rule.init(start.x)) for rate in wanted]
        if memory is not None and [trial.rate for trial in memory.trials] == wanted:
            k, trials = memory.k, list(memory.trials)
        while k < TRIAL_STEPS and trials:
            step.loss.listen()
            at, states = [trial.here for trial in trials], [trial.state for trial in trials]
            moved = step.several(at, states, [trial.rate for trial in trials], k)
            k, before, trials = k + 1, trials, []
            for trial, (here, state) in zip(before, moved, strict=True):
                if here.finite and here.gradient.any():
                    trials.append(Trial(trial.rate, min(trial.lowest, here.loss), here, state))
                else:
                    known[trial.rate] = math.inf
            yield Taken(start, math.nan, Trying(tuple(known.items()), k, tuple(trials)))
        known |= {trial.rate: trial.lowest for trial in trials}
        try:
            rates = asking.send([known[rate] for rate in rates])
        except StopIteration as end:
            return float(end.value)
