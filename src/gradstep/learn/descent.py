"""How does a network find its parameters? By walking down the slope of its loss, and never ending higher.

`descend` takes any function from parameters to (loss, gradients). It either returns finite parameters whose
loss is not above the loss at the start, or it raises a `MathError` that says what happened and what to do.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from gradstep.expression.errors import MathError
from gradstep.learn.optimisers import GRADIENT_DESCENT, MOMENTUM, Array, Optimiser, optimiser_named
from gradstep.learn.progress import Progress, progress_bar
from gradstep.learn.surface import Layout, Measured, Objective, Parameters, Point, curvature_near, norm_of
from gradstep.learn.walks import SPEED_UP, Batches, Walk, fitted_walk, plain_walk, stepper, tuned_walk

__all__ = [
    "Batches",
    "Descent",
    "Objective",
    "Parameters",
    "Progress",
    "Stopped",
    "descend",
    "progress_bar",
    "start_parameters",
]

Stopped: TypeAlias = Literal["converged", "steps", "early", "interrupted", "stalled", "stuck"]


@dataclass(frozen=True)
class Descent:
    """What a descent reached, and how it went.

    `parameters` are the best ones seen, with loss `loss`, reached at step `best_step`; `history[k]` is the
    loss after k steps (`history[0]` the start), `rates[k]` the learning rate of step k + 1, and `watched` the
    values of `watch`, if one was given. `path[name]` stacks snapshots of a parameter along a new first axis,
    taken after the steps in `path_steps`; the best and the last step are among them.

    `stopped` says why it ended: "converged" (what is left to gain is below the tolerance), "steps" (all
    used), "early" (`watch` no longer falls), "interrupted" (Ctrl-C), "stalled" (no step from here lowers the
    loss, though its slope has not gone: a kink, or bouncing), "stuck" (the gradient is exactly zero at the
    start, or at a place that is worse than one seen before: dead units).
    """

    parameters: Parameters
    loss: float
    history: tuple[float, ...] = field(repr=False)
    rates: tuple[float, ...] = field(repr=False)
    watched: tuple[float, ...] = field(repr=False)
    path: Parameters = field(repr=False)
    path_steps: tuple[int, ...] = field(repr=False)
    steps: int
    best_step: int
    converged: bool
    stopped: Stopped
    stuck: bool
    optimiser: str
    learning_rate_used: float
    gradient_norm: float
    evaluations: int
    notes: tuple[str, ...]


def descend(
    objective: Objective,
    start: Mapping[str, ArrayLike],
    *,
    optimiser: str = GRADIENT_DESCENT.name,
    learning_rate: float | None = None,
    steps: int = 2000,
    tolerance: float = 1e-6,
    progress: Progress | None = None,
    watch: Callable[[Parameters], float] | None = None,
    batches: Batches | None = None,
    snapshots: int = 400,
) -> Descent:
    """Walk down the slope of `objective`, which turns {name: array} into (loss, {name: gradient}).

    `learning_rate=None` is the safe choice: gradient descent then fits each step to the last one and never
    rises above its start; the other optimisers try some rates first and halve the rate when it bounces.
    A given `learning_rate` is kept as it is, and a descent that it blows up is an error with a better rate.

    The descent has converged when about `tolerance` of the loss (or of what has been gained, if that is less)
    is left to gain; with 0 it walks on to the last digit. `progress(step, steps, lowest loss)` is called
    after each step. `watch(parameters)` is a loss on rows of their own: the parameters where it was lowest
    are kept, and the descent ends when it no longer falls. `batches(k)` gives the objectives of the blocks of
    rows that pass k walks through; a step is then one pass, and `objective` (all rows) is measured after it.
    Ctrl-C returns what was reached.
    """
    rule = optimiser_named(optimiser)
    rate, count, goal = _rate(learning_rate), _count("steps", steps, 1), _tolerance(tolerance)
    layout = Layout.of(start)
    loss = Measured(objective, layout)
    here = Point(layout.start, *loss(layout.start))
    _check_start(here, layout)

    log = _Log(
        here, _watching(watch, layout), _Snapshots.at_most(_count("snapshots", snapshots, 2), here.x.size)
    )
    if not here.gradient.any():
        return _finished(log, layout, loss, rule, "stuck")
    step = stepper(rule, loss, batches)
    if rate is not None:
        walk = plain_walk(step, here, rule, rate)
    elif rule is GRADIENT_DESCENT and batches is None:
        walk = _safe_walk(loss, log, goal)
    else:
        walk = tuned_walk(step, here, rule, here.loss)

    stopped: Stopped | None = None
    try:
        while stopped is None:
            taken = next(walk, None)
            if taken is None:
                stopped = "converged" if log.flat() else "stalled"
                break
            _check_point(*taken, log, rule, loss, layout)
            log.add(*taken)
            if progress is not None:
                progress(log.steps, count, log.lowest.loss)
            stopped = log.verdict(goal) or ("steps" if log.steps == count else None)
    except KeyboardInterrupt:
        stopped = "interrupted"
    if stopped != "interrupted" and log.lowest is here and log.last.loss > here.loss + 1e-6 * abs(here.loss):
        what = f"the loss never fell below its starting value in {_steps(log.steps)}"
        raise _diverged(what, log.rates[-1], log, rule, loss)
    return _finished(log, layout, loss, rule, stopped)


def _safe_walk(loss: Measured, log: _Log, tolerance: float) -> Walk:
    """Fitted steps; where the loss has kinks that stop them, steps along the mean of the last gradients."""
    for taken in fitted_walk(loss, log.start):
        yield taken
        if log.crawls(tolerance):
            break
    if not log.flat():
        log.kink_step = log.steps
        yield from tuned_walk(stepper(MOMENTUM, loss), log.lowest, MOMENTUM, log.start.loss)


# --- The books: what has been seen so far. ---


@dataclass
class _Snapshots:
    """At most `limit` pictures of the way, evenly spread: when full, every other one goes."""

    limit: int
    every: int = 1
    kept: dict[int, Array] = field(default_factory=dict)

    @classmethod
    def at_most(cls, limit: int, size: int) -> _Snapshots:
        """Fewer where the parameters are many: 4 million numbers in all."""
        return cls(max(2, min(limit, 4_000_000 // size)))

    def add(self, step: int, x: Array) -> None:
        if step % self.every:
            return
        self.kept[step] = x
        if len(self.kept) > self.limit:
            self.every *= 2
            self.kept = {at: seen for at, seen in self.kept.items() if at % self.every == 0}


_LOOK_BACK, _CRAWL, _LONG = 50, 150, 300


class _Log:
    """The best point, the losses, the snapshots, and how much there may still be to gain."""

    def __init__(self, start: Point, watch: Callable[[Array], float] | None, snapshots: _Snapshots) -> None:
        self.start = self.last = self.lowest = self.best = start
        self.steps = self.best_step = 0
        self.kink_step: int | None = None
        self.history, self.rates = [start.loss], list[float]()
        self.watch = watch
        self.watched = [watch(start.x)] if watch else []
        self.snapshots = snapshots
        self.snapshots.add(0, start.x)
        self.slope = self.steepest = norm_of(start.gradient)
        self.reaches: deque[float] = deque(maxlen=_LOOK_BACK)
        self.lows = deque([start.loss], maxlen=_LONG)

    def add(self, point: Point, rate: float) -> None:
        move, change = point.x - self.last.x, point.gradient - self.last.gradient
        with np.errstate(all="ignore"):
            bend, length = float(move @ change), float(move @ move)
        farthest = self.reaches[-1] if self.reaches else math.inf
        self.reaches.append(length / bend if bend > 0 else SPEED_UP * farthest)
        self.steps += 1
        self.last = point
        self.slope = norm_of(point.gradient)
        self.steepest = max(self.steepest, self.slope)
        self.history.append(point.loss)
        self.rates.append(rate)
        self.snapshots.add(self.steps, point.x)
        if point.loss < self.lowest.loss:
            self.lowest = point
        self.lows.append(self.lowest.loss)
        if self._is_best(point):
            self.best, self.best_step = point, self.steps

    def _is_best(self, point: Point) -> bool:
        if self.watch is None:
            return point is self.lowest
        self.watched.append(self.watch(point.x))
        return point.loss <= self.start.loss and self.watched[-1] < self.watched[self.best_step]

    def scale(self) -> float:
        """What a gain is measured by: the loss itself, or what has been gained, whichever is less."""
        gained = self.start.loss - self.lowest.loss
        return max(min(gained, abs(self.lowest.loss)), 1e-3 * gained)

    def gain_ahead(self) -> float:
        """About what is left to gain: |gradient|² over the smallest curvature met lately."""
        known = self.slope > 0 and len(self.reaches) > 1
        return max(self.reaches) * self.slope * self.slope if known else math.inf

    def flat(self) -> bool:
        """Has the slope gone, as far as the last digits tell?"""
        return norm_of(self.lowest.gradient) <= 1e-6 * self.steepest

    def gained_in(self, steps: int) -> float:
        """What the last so many steps brought; infinite before there were as many."""
        return self.lows[-1 - steps] - self.lows[-1] if len(self.lows) > steps else math.inf

    def crawls(self, tolerance: float) -> bool:
        """Have very many steps brought next to nothing?"""
        return self.gained_in(_CRAWL) <= tolerance * self.scale()

    def verdict(self, tolerance: float) -> Stopped | None:
        """The reason to stop here, if there is one."""
        if not self.slope:
            return "stuck" if self.last.loss > self.lowest.loss else "converged"
        if (
            self.slope <= math.sqrt(tolerance) * self.steepest
            and self.gain_ahead() <= tolerance * self.scale()
        ):
            return "converged"
        if self.watch and self.steps - self.best_step > max(_LOOK_BACK, self.steps // 4):
            return "early"
        if tolerance and self.gained_in(_LONG - 1) <= tolerance * self.scale():
            return "stalled"
        return None


def _watching(watch: Callable[[Parameters], float] | None, layout: Layout) -> Callable[[Array], float] | None:
    """`watch` of one vector; what is not a number counts as infinitely bad."""
    if watch is None:
        return None

    def watched(x: Array) -> float:
        with np.errstate(all="ignore"):
            value = float(watch(layout.open(x.copy())))
        return value if math.isfinite(value) else math.inf

    return watched


def _finished(log: _Log, layout: Layout, loss: Measured, rule: Optimiser, stopped: Stopped) -> Descent:
    kept = log.snapshots.kept | {log.best_step: log.best.x, log.steps: log.last.x}
    path_steps = tuple(sorted(kept))
    return Descent(
        parameters=layout.open(log.best.x.copy()),
        loss=log.best.loss,
        history=tuple(log.history),
        rates=tuple(log.rates),
        watched=tuple(log.watched),
        path=layout.open(np.stack([kept[at] for at in path_steps])),
        path_steps=path_steps,
        steps=log.steps,
        best_step=log.best_step,
        converged=stopped == "converged",
        stopped=stopped,
        stuck=stopped == "stuck",
        optimiser=rule.name,
        learning_rate_used=float(np.median(log.rates)) if log.rates else math.nan,
        gradient_norm=norm_of(log.best.gradient),
        evaluations=loss.count,
        notes=tuple(_notes(log, stopped)),
    )


def _steps(count: int) -> str:
    return f"{count} step" if count == 1 else f"{count} steps"


def _notes(log: _Log, stopped: Stopped) -> Iterator[str]:
    norm, ahead = log.slope, log.gain_ahead()
    left = f", perhaps {ahead:.2g} of the loss still to gain" if math.isfinite(ahead) else ""
    after = f"after {_steps(log.steps)}" if log.steps else "at the start"
    reasons: dict[Stopped, str] = {
        "stuck": f"the gradient is exactly zero {after}, so no further step can be taken",
        "steps": f"not converged {after}: gradient norm {norm:.3g}{left}",
        "stalled": f"{after} no step lowers the loss: a kink, or bouncing (gradient norm {norm:.3g})",
        "interrupted": f"interrupted {after}; these are the best parameters until then",
        "early": f"stopped {after}: the loss on the watched rows was lowest after {log.best_step}",
    }
    if stopped in reasons:
        yield reasons[stopped]
    if stopped == "converged" and not norm:
        yield f"the gradient is exactly zero {after}"
    if log.kink_step is not None:
        yield f"the loss has kinks: from step {log.kink_step} on, steps follow the mean of the last gradients"
    if log.last.loss > log.lowest.loss + max(1e-3 * log.scale(), 1e-9 * abs(log.lowest.loss)):
        rises = sum(later > before for before, later in itertools.pairwise(log.history))
        yield (
            f"the last loss, {log.last.loss:.6g}, is above the lowest, {log.lowest.loss:.6g}; "
            f"{rises} of {_steps(log.steps)} went up"
        )


# --- What can go wrong. ---


def _check_start(here: Point, layout: Layout) -> None:
    if not math.isfinite(here.loss):
        raise MathError(
            f"the loss is {here.loss} at the start",
            facts=layout.sizes(here.x),
            mend="smaller starting values, or data without NaN, infinity or huge numbers",
        )
    bad = [name for name, part in layout.open(here.gradient).items() if not np.isfinite(part).all()]
    if bad:
        raise MathError(
            f"the loss is {here.loss:.6g} at the start, but the gradient for {bad[0]} is not finite",
            facts=layout.sizes(here.x),
            mend="another start: the loss may have no slope there",
        )


_FAR_BELOW, _FAR_OUT, _RUN_AWAY = -1e100, 1e150, 1e6


def _check_point(
    point: Point, rate: float, log: _Log, rule: Optimiser, loss: Measured, layout: Layout
) -> None:
    step = log.steps + 1
    if point.finite and (point.loss < _FAR_BELOW or np.abs(point.x).max() > _FAR_OUT):
        raise MathError(
            "the loss falls without bound: it has no lowest point",
            facts=[f"after step {step} the loss is {point.loss:.3g}", *layout.sizes(point.x)],
            mend="a loss that is bounded below, such as one with squares or a penalty",
        )
    start, lowest = log.start.loss, log.lowest.loss
    steep = norm_of(log.start.gradient)
    usual = max(abs(start), start - lowest, rate * steep * steep)
    if not point.finite:
        raise _diverged(f"the loss is no longer a number after step {step}", rate, log, rule, loss)
    if point.loss > start + _RUN_AWAY * usual:
        raise _diverged(f"the loss runs away: {point.loss:.3g} after step {step}", rate, log, rule, loss)


def _diverged(what: str, rate: float, log: _Log, rule: Optimiser, loss: Measured) -> MathError:
    facts = [
        f"{rule.name} with learning rate {rate:g}",
        f"the loss was {log.start.loss:.6g} at the start, and at best {log.lowest.loss:.6g}",
    ]
    better = rate / 10
    curvature = max(curvature_near(loss, log.lowest), curvature_near(loss, log.start))
    if rule.scales_with_gradient and curvature > 0:
        better = min(1 / curvature, rate / 2)
        facts.append(
            f"the curvature of the loss is up to {curvature:.3g}: rates below {2 / curvature:.2g} are safe"
        )
    return MathError(
        what,
        facts=facts,
        mend=f"learning_rate={_rounded_down(better)}, or none: the step is then chosen safely",
    )


def _rounded_down(value: float) -> str:
    """One significant digit, not above the value."""
    digit, _, power = f"{value:.15e}".partition("e")
    return f"{float(f'{digit[0]}e{power}'):g}"


def _rate(learning_rate: object) -> float | None:
    if learning_rate is None:
        return None
    rate = _number(learning_rate)
    if math.isfinite(rate) and rate > 0:
        return rate
    raise MathError(
        f"the learning rate should be a finite number above 0, not {learning_rate!r}",
        mend="learning_rate=0.1, or none: the step is then chosen safely",
    )


def _tolerance(tolerance: object) -> float:
    share = _number(tolerance)
    if 0 <= share < 1:
        return share
    raise MathError(
        f"the tolerance should be a number from 0 to below 1, not {tolerance!r}", mend="tolerance=1e-6"
    )


def _number(value: object) -> float:
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return float(value) if real else math.nan  # type: ignore[arg-type]


def _count(name: str, value: object, least: int) -> int:
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least:
        return int(value)
    raise MathError(f"{name} should be a whole number from {least} on, not {value!r}", mend=f"{name}=400")


# --- Where a descent begins. ---


def start_parameters(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> Parameters:
    """A good place to start, for features of mean 0 and spread 1; the same for the same seed and shapes.

    Matrices (and stacks of them) are random with spread √(2/inputs), which keeps the size of what flows
    through ReLU layers (He et al. 2015). Vectors are random and small, with spread 0.1/√length. A name that
    begins with b is a bias: a single one starts at 1, so that a ReLU neuron is active for every row; a vector
    of them at 0, so that each hidden unit is active for about half of the rows.
    """
    random = np.random.default_rng(seed)

    def begin(name: str, shape: tuple[int, ...]) -> Array:
        if not shape:
            return np.ones(())
        if len(shape) == 1:
            return (
                np.zeros(shape)
                if name.startswith("b")
                else random.normal(0, 0.1 / math.sqrt(shape[0] or 1), shape)
            )
        return random.normal(0, math.sqrt(2 / (shape[-2] or 1)), shape)

    return {name: begin(name, tuple(shape)) for name, shape in shapes.items()}
