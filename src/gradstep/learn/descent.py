"""How does a network find its parameters? By walking down the slope of its loss, and never ending higher.

`descend` takes any function from parameters to (loss, gradients). It either returns finite parameters whose
loss is not above the loss at the start, or it raises a `MathError` that says what happened and what to do.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from gradstep.expression.errors import MathError
from gradstep.learn.optimisers import GRADIENT_DESCENT, MOMENTUM, Array, Optimiser, State, optimiser_named

Parameters: TypeAlias = dict[str, Array]
Objective: TypeAlias = Callable[[Parameters], tuple[ArrayLike, Mapping[str, ArrayLike]]]
Batches: TypeAlias = Callable[[int], Sequence[Objective]]
Progress: TypeAlias = Callable[[int, int, float], None]
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
    layout = _Layout.of(start)
    loss = _Measured(objective, layout)
    here = Point(layout.start, *loss(layout.start))
    _check_start(here, layout)

    log = _Log(
        here, _watching(watch, layout), _Snapshots.at_most(_count("snapshots", snapshots, 2), here.x.size)
    )
    if not here.gradient.any():
        return _finished(log, layout, loss, rule, "stuck")
    step = _stepper(rule, loss, batches)
    if rate is not None:
        walk = _plain_walk(step, here, rule, rate)
    elif rule is GRADIENT_DESCENT and batches is None:
        walk = _safe_walk(loss, log, goal)
    else:
        walk = _tuned_walk(step, here, rule, here.loss)

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


class Point(NamedTuple):
    """A place on the loss surface: all parameters end to end, the loss there and its gradient."""

    x: Array
    loss: float
    gradient: Array

    @property
    def finite(self) -> bool:
        return math.isfinite(self.loss) and bool(np.isfinite(self.gradient).all())


# --- Walks: each yields the next point and the rate that led there; one that ends sees no way down. ---

Walk: TypeAlias = Iterator[tuple[Point, float]]
Stepper: TypeAlias = Callable[[Point, State, float, int], tuple[Point, State]]


def _stepper(rule: Optimiser, loss: _Measured, batches: Batches | None = None) -> Stepper:
    """Step k of an optimiser: with the whole gradient, or through the blocks of pass k."""

    def whole(at: Point, state: State, rate: float, k: int) -> tuple[Point, State]:
        with np.errstate(all="ignore"):
            x, state = rule.update(at.x, at.gradient, state, rate)
        return Point(x, *loss(x)), state

    if batches is None:
        return whole

    def by_blocks(at: Point, state: State, rate: float, k: int) -> tuple[Point, State]:
        x = at.x
        for block in batches(k):
            _, gradient = loss.of(block, x)
            with np.errstate(all="ignore"):
                x, state = rule.update(x, gradient, state, rate)
        return Point(x, *loss(x)), state

    return by_blocks


def _plain_walk(step: Stepper, here: Point, rule: Optimiser, rate: float) -> Walk:
    """The optimiser as its formula says, with a constant rate."""
    state = rule.init(here.x)
    for k in itertools.count():
        here, state = step(here, state, rate, k)
        yield here, rate


def _safe_walk(loss: _Measured, log: _Log, tolerance: float) -> Walk:
    """Fitted steps; where the loss has kinks that stop them, steps along the mean of the last gradients."""
    for taken in _fitted_walk(loss, log.start):
        yield taken
        if log.crawls(tolerance):
            break
    if not log.flat():
        log.kink_step = log.steps
        yield from _tuned_walk(_stepper(MOMENTUM, loss), log.lowest, MOMENTUM, log.start.loss)


_MEMORY = 10  # a step may rise above the last loss, but never above the highest of the last ten
_SUFFICIENT = 1e-4
_FIRST_MOVE = 0.1
_SPEED_UP = 5.0


def _fitted_walk(loss: _Measured, here: Point) -> Walk:
    """Gradient descent whose rate is fitted to the last step, and safe.

    The rate is 1/curvature along the last move, twice by the long formula of Barzilai & Borwein (1988) and
    then once by their short one. It is shortened until the loss is clearly below the highest of the last ten
    (Grippo, Lampariello & Lucidi 1986), so that the loss can never pass its starting value.
    """
    recent = deque([here.loss], maxlen=_MEMORY)
    rate = _FIRST_MOVE * max(1.0, _norm(here.x)) / _norm(here.gradient)
    for k in itertools.count():
        found = _accepted(loss, here, rate, max(recent))
        if found is None:
            return
        there, rate = found
        yield there, rate
        move, change = there.x - here.x, there.gradient - here.gradient
        bend = float(move @ change)
        if bend <= 0:  # the slope grew on the way down
            rate *= _SPEED_UP
        elif k % 3 < 2:
            rate = float(move @ move) / bend
        else:
            rate = bend / float(change @ change)
        here = there
        recent.append(here.loss)


def _accepted(loss: _Measured, here: Point, rate: float, ceiling: float) -> tuple[Point, float] | None:
    """The first of ever shorter steps that lowers the loss clearly below `ceiling`; None if there is none."""
    slope = _norm(here.gradient)
    noise = 4 * sys.float_info.epsilon * abs(ceiling)
    shortest = sys.float_info.epsilon * _norm(here.x) / slope
    while rate > shortest:
        there = _ahead(loss, here, rate)
        if there.finite and there.loss <= ceiling - _SUFFICIENT * rate * slope * slope + noise:
            if there.gradient.any():
                return there, rate
            # A gradient of exactly zero is a minimum, or a network that has died: half the step tells.
            half = _ahead(loss, here, rate / 2)
            if not (half.finite and half.loss < there.loss):
                return there, rate
            rate /= 2
            continue
        rise = there.loss - (here.loss - rate * slope * slope)
        guess = (rate * slope) ** 2 / (2 * rise) if there.finite and rise > 0 else 0.0
        rate = min(max(guess, 0.1 * rate), 0.5 * rate)  # the lowest point of a parabola, within reason
    return None


def _ahead(loss: _Measured, here: Point, rate: float) -> Point:
    with np.errstate(all="ignore"):
        x = here.x - rate * here.gradient
    return Point(x, *loss(x))


_TRIAL_RATES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4, 1e-5)
_TRIAL_STEPS = 30
_PATIENCE = 30
_HALVINGS = 40


def _tuned_walk(step: Stepper, here: Point, rule: Optimiser, ceiling: float) -> Walk:
    """An optimiser with a rate that short trial runs chose, halved whenever 30 steps bring no lower loss."""
    start = best = here
    size = max(1.0, _norm(here.x))
    unit = size / _norm(here.gradient) if rule.scales_with_gradient else size / math.sqrt(here.x.size)
    rate = _tried(lambda r: _trial(step, start, rule, r), [unit * r for r in _TRIAL_RATES])
    count = itertools.count()
    for _ in range(_HALVINGS):
        here, state, idle = best, rule.init(best.x), 0
        while idle < _PATIENCE:
            here, state = step(here, state, rate, next(count))
            if not here.finite or here.loss > ceiling:
                break
            idle = idle + 1 if here.loss >= best.loss else 0
            best = here if here.loss < best.loss else best
            yield here, rate
        rate /= 2


def _tried(result: Callable[[float], float], rates: Sequence[float]) -> float:
    """The rate with the lowest result; while the largest one wins, larger ones are tried too."""
    results = {rate: result(rate) for rate in rates}
    best = min(rates, key=results.__getitem__)
    while best == max(results) and math.isfinite(results[best]) and len(results) < 40:
        results[3 * best] = result(3 * best)
        best = min(results, key=results.__getitem__)
    return best


def _trial(step: Stepper, here: Point, rule: Optimiser, rate: float) -> float:
    """The lowest loss of a short run; infinite if it blows up or kills the network."""
    state = rule.init(here.x)
    lowest = math.inf
    for k in range(_TRIAL_STEPS):
        here, state = step(here, state, rate, k)
        if not (here.finite and here.gradient.any()):
            return math.inf
        lowest = min(lowest, here.loss)
    return lowest


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


_LOOK_BACK = 50
_LONG = 300


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
        self.steepest = _norm(start.gradient)
        self.reaches: deque[float] = deque(maxlen=_LOOK_BACK)
        self.lows = deque([start.loss], maxlen=_LONG)

    def add(self, point: Point, rate: float) -> None:
        move, change = point.x - self.last.x, point.gradient - self.last.gradient
        with np.errstate(all="ignore"):
            bend, length = float(move @ change), float(move @ move)
        farthest = self.reaches[-1] if self.reaches else math.inf
        self.reaches.append(length / bend if bend > 0 else _SPEED_UP * farthest)
        self.steps += 1
        self.last = point
        self.steepest = max(self.steepest, _norm(point.gradient))
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
        slope = _norm(self.last.gradient)
        return max(self.reaches) * slope * slope if slope and len(self.reaches) > 1 else math.inf

    def flat(self) -> bool:
        """Has the slope gone, as far as the last digits tell?"""
        return _norm(self.lowest.gradient) <= 1e-6 * self.steepest

    def gained_in(self, steps: int) -> float:
        """What the last so many steps brought; infinite before there were as many."""
        return self.lows[-1 - steps] - self.lows[-1] if len(self.lows) > steps else math.inf

    def crawls(self, tolerance: float) -> bool:
        """Have the last fifty steps brought next to nothing?"""
        return self.gained_in(_LOOK_BACK) <= tolerance * self.scale()

    def verdict(self, tolerance: float) -> Stopped | None:
        """The reason to stop here, if there is one."""
        slope = _norm(self.last.gradient)
        if not slope:
            return "stuck" if self.last.loss > self.lowest.loss else "converged"
        if slope <= math.sqrt(tolerance) * self.steepest and self.gain_ahead() <= tolerance * self.scale():
            return "converged"
        if self.watch and self.steps - self.best_step > max(_LOOK_BACK, self.steps // 4):
            return "early"
        if tolerance and self.gained_in(_LONG - 1) <= tolerance * self.scale():
            return "stalled"
        return None


def _watching(
    watch: Callable[[Parameters], float] | None, layout: _Layout
) -> Callable[[Array], float] | None:
    """`watch` of one vector; what is not a number counts as infinitely bad."""
    if watch is None:
        return None

    def watched(x: Array) -> float:
        with np.errstate(all="ignore"):
            value = float(watch(layout.open(x.copy())))
        return value if math.isfinite(value) else math.inf

    return watched


def _finished(log: _Log, layout: _Layout, loss: _Measured, rule: Optimiser, stopped: Stopped) -> Descent:
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
        gradient_norm=_norm(log.best.gradient),
        evaluations=loss.count,
        notes=tuple(_notes(log, stopped)),
    )


def _steps(count: int) -> str:
    return f"{count} step" if count == 1 else f"{count} steps"


def _notes(log: _Log, stopped: Stopped) -> Iterator[str]:
    norm, ahead = _norm(log.last.gradient), log.gain_ahead()
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


def _check_start(here: Point, layout: _Layout) -> None:
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
    point: Point, rate: float, log: _Log, rule: Optimiser, loss: _Measured, layout: _Layout
) -> None:
    step = log.steps + 1
    if point.finite and (point.loss < _FAR_BELOW or np.abs(point.x).max() > _FAR_OUT):
        raise MathError(
            "the loss falls without bound: it has no lowest point",
            facts=[f"after step {step} the loss is {point.loss:.3g}", *layout.sizes(point.x)],
            mend="a loss that is bounded below, such as one with squares or a penalty",
        )
    start, lowest = log.start.loss, log.lowest.loss
    usual = max(abs(start), start - lowest, rate * _norm(log.start.gradient) ** 2)
    if not point.finite:
        raise _diverged(f"the loss is no longer a number after step {step}", rate, log, rule, loss)
    if point.loss > start + _RUN_AWAY * usual:
        raise _diverged(f"the loss runs away: {point.loss:.3g} after step {step}", rate, log, rule, loss)


def _diverged(what: str, rate: float, log: _Log, rule: Optimiser, loss: _Measured) -> MathError:
    facts = [
        f"{rule.name} with learning rate {rate:g}",
        f"the loss was {log.start.loss:.6g} at the start, and at best {log.lowest.loss:.6g}",
    ]
    better = rate / 10
    curvature = max(_curvature(loss, log.lowest), _curvature(loss, log.start))
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


def _curvature(loss: _Measured, here: Point) -> float:
    """The largest curvature of the loss near a point: power iteration on differences of gradients."""
    direction = here.gradient / _norm(here.gradient) if here.gradient.any() else np.ones_like(here.x)
    reach = 1e-4 * max(1.0, _norm(here.x))
    largest = 0.0
    for _ in range(12):
        _, gradient = loss(here.x + reach * direction)
        bend = (gradient - here.gradient) / reach
        length = _norm(bend)
        if not 0 < length < math.inf:
            break
        largest = max(largest, length)
        direction = bend / length
    return largest


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


# --- From {name: array} to one vector and back. ---


@dataclass(frozen=True)
class _Layout:
    """Where each parameter lies in the one vector that the walks see."""

    shapes: dict[str, tuple[int, ...]]
    start: Array

    @classmethod
    def of(cls, start: Mapping[str, ArrayLike]) -> _Layout:
        if not isinstance(start, Mapping) or not start:
            raise MathError("there is no parameter to train", mend='start={"w": …, "b": …}')
        arrays = {name: _real(f"the start of {name}", value) for name, value in start.items()}
        for name, value in arrays.items():
            if not np.isfinite(value).all():
                raise MathError(f"the start of {name} holds NaN or infinity", mend="a finite start")
        shapes = {name: value.shape for name, value in arrays.items()}
        if not any(value.size for value in arrays.values()):
            raise MathError(
                "the parameters have no entries",
                facts=[f"{name} is {_shape(shape)}" for name, shape in shapes.items()],
            )
        return cls(shapes, np.concatenate([value.ravel() for value in arrays.values()]))

    def open(self, flat: Array) -> Parameters:
        """The parameters in a vector; leading axes (snapshots) stay in front."""
        parts, at = {}, 0
        for name, shape in self.shapes.items():
            size = math.prod(shape)
            parts[name] = flat[..., at : at + size].reshape((*flat.shape[:-1], *shape))
            at += size
        return parts

    def close(self, parts: Mapping[str, ArrayLike]) -> Array:
        """Gradients, each in the shape of its parameter, as one vector."""
        gradients = []
        for name, shape in self.shapes.items():
            if name not in parts:
                raise MathError(
                    f"the objective gives no gradient for {name}",
                    facts=[f"it gives gradients for: {', '.join(map(str, parts)) or 'nothing'}"],
                )
            gradient = _real(f"the gradient for {name}", parts[name])
            if gradient.shape != shape:
                raise MathError(
                    f"the gradient for {name} should have the shape of {name}",
                    facts=[f"{name} is {_shape(shape)},  its gradient is {_shape(gradient.shape)}"],
                )
            gradients.append(gradient.ravel())
        return np.concatenate(gradients)

    def sizes(self, x: Array) -> list[str]:
        return [
            f"the largest entry of {name} is {float(np.abs(part).max(initial=0)):.3g} in size"
            for name, part in list(self.open(x).items())[:6]
        ]


class _Measured:
    """The user's objective as a function of one vector, with a count of its evaluations."""

    def __init__(self, objective: Objective, layout: _Layout) -> None:
        self.objective, self.layout, self.count = objective, layout, 0

    def __call__(self, x: Array) -> tuple[float, Array]:
        return self.of(self.objective, x)

    def of(self, objective: Objective, x: Array) -> tuple[float, Array]:
        self.count += 1
        with np.errstate(all="ignore"):  # overflow shows in the numbers, and is judged there
            loss, gradients = objective(self.layout.open(x.copy()))
        value = _real("the loss", loss)
        if value.size != 1:
            raise MathError("the loss should be one number", facts=[f"it is {_shape(value.shape)}"])
        return float(value.item()), self.layout.close(gradients)


def _real(what: str, value: ArrayLike) -> Array:
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "fiu":
        kind = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
        raise MathError(f"{what} should be an array of real numbers", facts=[f"it is {kind}"])
    return array.astype(np.float64)


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a number"


def _norm(x: Array) -> float:
    """The Euclidean length, without overflow of the squares."""
    top = float(np.abs(x).max(initial=0.0))
    return top * float(np.linalg.norm(x / top)) if 0 < top < math.inf else top


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


# --- Watching it. ---

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 16) -> str:
    """A row of bars for numbers in a row, on a logarithmic scale if all are positive."""
    picked = [values[i * (len(values) - 1) // max(1, width - 1)] for i in range(min(width, len(values)))]
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
