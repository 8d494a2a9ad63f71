"""How does a network find its parameters? By walking down the slope of its loss, and never ending higher.

`descend` takes any function from parameters to (loss, gradients). It either returns finite parameters whose
loss is not above the loss at the start, or it raises a `MathError` that says what happened and what to do.
"""

from __future__ import annotations

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
from gradstep.learn.optimisers import GRADIENT_DESCENT, MOMENTUM, Array, Optimiser, optimiser_named

Parameters: TypeAlias = dict[str, Array]
Objective: TypeAlias = Callable[[Parameters], tuple[float, Mapping[str, ArrayLike]]]
Passes: TypeAlias = Callable[[int], Sequence[Objective]]
Progress: TypeAlias = Callable[[int, int, float], None]
Stopped: TypeAlias = Literal["converged", "steps", "interrupted", "stuck", "stalled"]


@dataclass(frozen=True)
class Descent:
    """What a descent reached, and how it went.

    `parameters` are the best ones seen, with loss `loss`, reached at step `best_step`; `history[k]` is the loss
    after k steps (`history[0]` the start) and `rates[k]` the learning rate of step k + 1. `path[name]` stacks
    snapshots of a parameter along a new first axis, taken after the steps in `path_steps`; the best step is
    always among them. `stopped` says why it ended: "converged" (one more step would gain next to nothing),
    "steps" (all steps used), "interrupted" (Ctrl-C), "stalled" (no step from here lowers the loss, though the
    gradient is not small: a kink, or bouncing), "stuck" (the gradient was exactly zero at the start).
    """

    parameters: Parameters
    loss: float
    history: tuple[float, ...]
    rates: tuple[float, ...]
    path: Parameters
    path_steps: tuple[int, ...]
    steps: int
    best_step: int
    converged: bool
    stopped: Stopped
    stuck: bool
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
    batches: Passes | None = None,
    snapshots: int = 400,
) -> Descent:
    """Walk from `start` down the slope of `objective`, a function of {name: array} to (loss, {name: gradient}).

    `learning_rate=None` is the safe choice: gradient descent then fits each step to the last one and never
    accepts a step up; the other optimisers try some rates first and halve the rate when it bounces.
    A given `learning_rate` is kept as it is, and a descent that it blows up is an error with a better rate.
    `tolerance` is the share of the loss (or of what has been gained, if that is less) that one more good step
    may still gain when the descent is called converged; 0 uses all `steps`. `progress(step, steps, loss)` is
    called after each step. `batches(k)` gives the objectives of the blocks of rows that pass k walks through;
    a step is then one pass, and `objective` (all rows) is measured after it. Ctrl-C returns what was reached.
    """
    rule = optimiser_named(optimiser)
    rate, count, goal = _rate(learning_rate), _count(steps), _tolerance(tolerance)
    layout = _Layout.of(start)
    loss = _Measured(objective, layout)
    here = Point(layout.start, *loss(layout.start))
    _check_start(here, layout)

    walk: Iterator[tuple[Point, float]]
    fitted = rate is None and rule is GRADIENT_DESCENT and batches is None
    if rate is not None:
        walk = _walk(_stepper(rule, loss, batches), here, rule, rate)
    elif fitted:
        walk = _fitted_walk(loss, here)
    else:
        walk = _tuned_walk(_stepper(rule, loss, batches), here, rule, here.loss)

    log = _Log(here, _Snapshots(max(2, min(snapshots, 4_000_000 // max(1, here.x.size)))))
    stopped: Stopped = "steps"
    if not here.gradient.any():
        return _finished(log, layout, loss, "stuck")
    try:
        while log.steps < count:
            taken = None if fitted and log.crawls(goal) else next(walk, None)
            if taken is None and fitted:
                log.kink_step, fitted = log.steps, False
                walk = _tuned_walk(_stepper(MOMENTUM, loss, None), log.best, MOMENTUM, log.start.loss)
                taken = next(walk, None)
            if taken is None:
                stopped = "stalled"
                break
            point, used = taken
            _check_point(point, used, log, rule, loss, layout)
            log.add(point, used)
            if progress is not None:
                progress(log.steps, count, log.best.loss)
            if log.arrived(goal):
                stopped = "converged"
                break
            if log.bounces(goal):
                stopped = "stalled"
                break
    except KeyboardInterrupt:
        stopped = "interrupted"
    if log.best_step == 0 and stopped == "steps":
        raise _never_fell(log, rule, loss)
    return _finished(log, layout, loss, stopped)


class Point(NamedTuple):
    """A place on the loss surface: all parameters end to end, the loss there and its gradient."""

    x: Array
    loss: float
    gradient: Array

    @property
    def finite(self) -> bool:
        return math.isfinite(self.loss) and bool(np.isfinite(self.gradient).all())


# --- Walks: each yields the next point and the rate that led there; one that ends has no way down left. ---

Stepper: TypeAlias = "Callable[[Point, dict[str, Array], float, int], tuple[Point, dict[str, Array]]]"


def _stepper(rule: Optimiser, loss: _Measured, batches: Passes | None) -> Stepper:
    """One step of an optimiser: with the whole gradient, or through the blocks of one pass."""

    def whole(at: Point, state: dict[str, Array], rate: float, step: int) -> tuple[Point, dict[str, Array]]:
        x, state = rule.update(at.x, at.gradient, state, rate)
        return Point(x, *loss(x)), state

    def by_blocks(
        at: Point, state: dict[str, Array], rate: float, step: int
    ) -> tuple[Point, dict[str, Array]]:
        assert batches is not None
        x = at.x
        for block in batches(step):
            _, gradient = loss.of(block, x)
            x, state = rule.update(x, gradient, state, rate)
        return Point(x, *loss(x)), state

    return whole if batches is None else by_blocks


def _walk(step: Stepper, here: Point, rule: Optimiser, rate: float) -> Iterator[tuple[Point, float]]:
    """The optimiser as its formula says, with a constant rate."""
    state, count = rule.init(here.x), 0
    while True:
        with np.errstate(all="ignore"):
            here, state = step(here, state, rate, count)
        count += 1
        yield here, rate


_MEMORY = (
    10  # a step may rise above the last loss, but never above the highest of the last ten (and the start)
)
_SUFFICIENT = 1e-4
_FIRST_MOVE = 0.1


def _fitted_walk(loss: _Measured, here: Point) -> Iterator[tuple[Point, float]]:
    """Gradient descent whose rate is fitted to the last step (Barzilai & Borwein 1988), and safe.

    The rates 1/curvature along the last move, two long ones and then a short one, are shortened until the loss
    is clearly below the highest of the last ten (Grippo, Lampariello & Lucidi 1986), so that the loss can never
    pass its starting value.
    """
    recent = deque([here.loss], maxlen=_MEMORY)
    rate = _FIRST_MOVE * max(1.0, _norm(here.x)) / _norm(here.gradient)
    count = 0
    while True:
        found = _accepted(loss, here, rate, max(recent))
        if found is None:
            return
        there, rate = found
        count += 1
        yield there, rate
        move, change = there.x - here.x, there.gradient - here.gradient
        bend = float(move @ change)
        if bend <= 0:  # the slope grew on the way down: go faster
            rate *= 5
        elif count % 3:
            rate = float(move @ move) / bend
        else:
            rate = bend / float(change @ change)
        here = there
        recent.append(here.loss)


def _accepted(loss: _Measured, here: Point, rate: float, ceiling: float) -> tuple[Point, float] | None:
    """The first of ever shorter steps that lowers the loss clearly below `ceiling`; None if there is none."""
    slope = float(here.gradient @ here.gradient)
    noise = 4 * sys.float_info.epsilon * abs(ceiling)
    smallest = sys.float_info.epsilon * max(_norm(here.x), sys.float_info.min) / math.sqrt(slope)
    while rate > smallest:
        with np.errstate(all="ignore"):
            x = here.x - rate * here.gradient
            there = Point(x, *loss(x))
        if there.finite and there.loss <= ceiling - _SUFFICIENT * rate * slope + noise:
            if there.gradient.any():
                return there, rate
            # A gradient of exactly zero is a minimum, or a network that has died: half the step tells.
            x = here.x - rate / 2 * here.gradient
            half = Point(x, *loss(x))
            if not (half.finite and half.loss < there.loss):
                return there, rate
            rate /= 2
            continue
        rise = there.loss - here.loss + rate * slope
        guess = rate * rate * slope / (2 * rise) if there.finite and rise > 0 else 0.0
        rate = min(max(guess, 0.1 * rate), 0.5 * rate)  # the lowest point of a parabola, within reason
    return None


_TRIAL_RATES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4, 1e-5)
_TRIAL_STEPS = 15
_PATIENCE = 30


def _tuned_walk(step: Stepper, here: Point, rule: Optimiser, ceiling: float) -> Iterator[tuple[Point, float]]:
    """An optimiser with a rate that short trial runs chose, halved whenever 30 steps bring no lower loss."""
    start = best = here
    size = max(1.0, _norm(here.x))
    unit = size / _norm(here.gradient) if rule.scales_with_gradient else size / math.sqrt(here.x.size)
    rate = _tried(lambda r: _trial(step, start, rule, r), [unit * r for r in _TRIAL_RATES])
    lowest_rate, count = rate * 2.0**-40, 0
    while rate > lowest_rate:
        state, idle, here = rule.init(best.x), 0, best
        while idle < _PATIENCE:
            with np.errstate(all="ignore"):
                here, state = step(here, state, rate, count)
            count += 1
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
    """The loss after a short run; infinite if it blows up or kills the network."""
    state = rule.init(here.x)
    lowest = math.inf
    with np.errstate(all="ignore"):
        for count in range(_TRIAL_STEPS):
            here, state = step(here, state, rate, count)
            if not (here.finite and here.gradient.any()):
                return math.inf
            lowest = min(lowest, here.loss)
    return lowest


def _curvature(loss: _Measured, here: Point) -> float:
    """The largest curvature of the loss near a point: power iteration on differences of gradients."""
    direction = here.gradient / max(_norm(here.gradient), 1e-300)
    if not direction.any():
        direction = np.ones_like(here.x) / math.sqrt(here.x.size)
    reach = 1e-4 * max(1.0, _norm(here.x))
    largest = 0.0
    for _ in range(12):
        with np.errstate(all="ignore"):
            _, gradient = loss(here.x + reach * direction)
            bend = (gradient - here.gradient) / reach
            length = _norm(bend)
        if not (math.isfinite(length) and length > 0):
            break
        largest = max(largest, length)
        direction = bend / length
    return largest


# --- The books: what has been seen so far. ---


@dataclass
class _Snapshots:
    """At most `limit` pictures of the way, evenly spread: when full, every other one goes."""

    limit: int
    every: int = 1
    kept: dict[int, Array] = field(default_factory=dict)

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

    def __init__(self, start: Point, snapshots: _Snapshots) -> None:
        self.start = self.best = self.last = start
        self.best_step = self.steps = 0
        self.kink_step: int | None = None
        self.history, self.rates = [start.loss], list[float]()
        self.steepest = _norm(start.gradient)
        self.snapshots = snapshots
        snapshots.add(0, start.x)
        self.reach: deque[float] = deque(maxlen=_LOOK_BACK)
        self.lowest = deque([start.loss], maxlen=_LONG)

    def add(self, point: Point, rate: float) -> None:
        move, change = point.x - self.last.x, point.gradient - self.last.gradient
        bend, length = float(move @ change), float(move @ move)
        farthest = self.reach[-1] if self.reach else 0.0
        self.reach.append(length / bend if bend > 0 else 5 * farthest if farthest else math.inf)
        self.steps += 1
        self.last = point
        self.steepest = max(self.steepest, _norm(point.gradient))
        self.history.append(point.loss)
        self.rates.append(rate)
        self.snapshots.add(self.steps, point.x)
        if point.loss < self.best.loss:
            self.best, self.best_step = point, self.steps
        self.lowest.append(self.best.loss)

    def scale(self) -> float:
        """What a gain is measured by: the loss itself, or what has been gained, whichever is less."""
        gained = self.start.loss - self.best.loss
        return max(min(gained, abs(self.best.loss)), 1e-3 * gained)

    def gain_ahead(self) -> float:
        """About what is left to gain: |gradient|² over the smallest curvature met lately."""
        if len(self.reach) < 5:
            return math.inf
        return max(self.reach) * float(self.last.gradient @ self.last.gradient)

    def arrived(self, tolerance: float) -> bool:
        """Is the slope gone, and with it all but a share of what there was to gain?"""
        slope = _norm(self.last.gradient)
        return slope <= math.sqrt(tolerance) * self.steepest and self.gain_ahead() <= tolerance * self.scale()

    def crawls(self, tolerance: float) -> bool:
        """Have the last fifty steps brought next to nothing, though the slope has not gone?"""
        if len(self.lowest) <= _LOOK_BACK:
            return False
        steep = _norm(self.last.gradient) > 0.1 * self.steepest  # far down, and yet not flat: a kink
        enough = max(tolerance, 1e-2) if steep else tolerance
        return self.lowest[-1 - _LOOK_BACK] - self.lowest[-1] <= enough * self.scale()

    def bounces(self, tolerance: float) -> bool:
        """Have very many steps brought nothing?"""
        full = len(self.lowest) == _LONG
        return tolerance > 0 and full and self.lowest[0] - self.lowest[-1] <= tolerance * self.scale()


def _finished(log: _Log, layout: _Layout, loss: _Measured, stopped: Stopped) -> Descent:
    kept = dict(log.snapshots.kept)
    kept[log.best_step], kept[log.steps] = log.best.x, log.last.x
    path_steps = tuple(sorted(kept))
    norm = _norm(log.best.gradient)
    return Descent(
        parameters=layout.open(log.best.x),
        loss=log.best.loss,
        history=tuple(log.history),
        rates=tuple(log.rates),
        path=layout.open(np.stack([kept[at] for at in path_steps])),
        path_steps=path_steps,
        steps=log.steps,
        best_step=log.best_step,
        converged=stopped == "converged",
        stopped=stopped,
        stuck=stopped == "stuck",
        learning_rate_used=float(np.median(log.rates)) if log.rates else math.nan,
        gradient_norm=norm,
        evaluations=loss.count,
        notes=_notes(log, stopped, norm),
    )


def _notes(log: _Log, stopped: Stopped, norm: float) -> tuple[str, ...]:
    if stopped == "stuck":
        return ("the gradient is exactly zero at the start, so no step can be taken",)
    notes = []
    if stopped == "steps":
        ahead = log.gain_ahead()
        left = f", at most about {ahead:.2g} of the loss left to gain" if math.isfinite(ahead) else ""
        notes.append(f"not converged after {log.steps} steps: gradient norm {norm:.3g}{left}")
    if stopped == "stalled":
        notes.append(
            f"no further step lowers the loss, though the gradient norm is {norm:.3g}: a kink, or bouncing"
        )
    if stopped == "interrupted":
        notes.append(f"interrupted after {log.steps} steps; these are the best parameters until then")
    if stopped == "converged" and not log.last.gradient.any():
        notes.append(f"the gradient is exactly zero after step {log.steps}")
    rises = sum(after > before for before, after in zip(log.history, log.history[1:], strict=False))
    if log.last.loss > log.best.loss + 1e-3 * log.scale():
        notes.append(
            f"the last loss {log.last.loss:.6g} is above the best {log.best.loss:.6g} of step {log.best_step}, "
            f"which is kept ({rises} of {log.steps} steps went up: a smaller learning rate is calmer)"
        )
    return tuple(notes)


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


def _check_point(
    point: Point, rate: float, log: _Log, rule: Optimiser, loss: _Measured, layout: _Layout
) -> None:
    step = log.steps + 1
    scale = max(abs(log.start.loss), abs(log.best.loss), log.start.loss - log.best.loss)
    scale = max(scale, rate * float(log.start.gradient @ log.start.gradient))
    if point.finite and point.loss < -1e100 or float(np.abs(point.x).max(initial=0)) > 1e150:
        raise MathError(
            "the loss falls without bound: it has no lowest point",
            facts=[f"after step {step} the loss is {point.loss:.3g}", *layout.sizes(point.x)],
            mend="a loss that is bounded below, such as one with squares or a penalty",
        )
    if point.finite and point.loss <= log.start.loss + 1e6 * scale:
        return
    what = (
        f"the loss is no longer a number after step {step}"
        if not point.finite
        else f"the loss runs away: {point.loss:.3g} after step {step}"
    )
    raise _diverged(what, rate, log, rule, loss)


def _diverged(what: str, rate: float, log: _Log, rule: Optimiser, loss: _Measured) -> MathError:
    facts = [
        f"{rule.name} with learning rate {rate:g}",
        f"the loss was {log.start.loss:.6g} at the start and at best {log.best.loss:.6g}, after step {log.best_step}",
    ]
    curvature = max(_curvature(loss, log.best), _curvature(loss, log.start))
    mend = "no learning_rate: the step is then chosen safely"
    if rule.scales_with_gradient and curvature > 0:
        safe = 2 / curvature
        facts.append(
            f"the curvature of the loss is up to {curvature:.3g}, so rates up to {safe:.2g} are safe"
        )
        mend = f"learning_rate={_rounded_down(safe / 2)} or {mend}"
    elif not rule.scales_with_gradient:
        mend = f"learning_rate={_rounded_down(rate / 10)} or {mend}"
    return MathError(what, facts=facts, mend=mend)


def _never_fell(log: _Log, rule: Optimiser, loss: _Measured) -> MathError:
    what = f"the loss never fell below its starting value in {log.steps} steps"
    return _diverged(what, log.rates[-1], log, rule, loss)


def _rounded_down(value: float) -> str:
    """One significant digit, never above the value."""
    power = math.floor(math.log10(value))
    return (
        f"{math.floor(value / 10.0**power) * 10.0**power:.0e}"
        if abs(power) > 3
        else (f"{math.floor(value / 10.0**power) * 10.0**power:.{max(0, -power)}f}")
    )


def _rate(learning_rate: object) -> float | None:
    if learning_rate is None:
        return None
    return _number(
        "learning_rate", learning_rate, above=0.0, mend="learning_rate=0.1, or none to have it chosen"
    )


def _tolerance(tolerance: object) -> float:
    return _number("tolerance", tolerance, least=0.0, mend="tolerance=1e-6")


def _number(
    name: str, value: object, *, above: float = -math.inf, least: float = -math.inf, mend: str
) -> float:
    number = math.nan
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        number = float(value)
    if math.isfinite(number) and number > above and number >= least:
        return number
    kind = "a finite number above 0" if above == 0 else "a finite number, 0 or more"
    raise MathError(f"{name} should be {kind}, not {value!r}", mend=mend)


def _count(steps: object) -> int:
    if isinstance(steps, int | np.integer) and not isinstance(steps, bool) and steps >= 1:
        return int(steps)
    raise MathError(f"steps should be a whole number from 1 on, not {steps!r}", mend="steps=2000")


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
        flat = np.concatenate([value.ravel() for value in arrays.values()])
        if not flat.size:
            raise MathError(
                "the parameters have no entries", facts=[f"{n}: {v.shape}" for n, v in arrays.items()]
            )
        return cls({name: value.shape for name, value in arrays.items()}, flat)

    def open(self, flat: Array) -> Parameters:
        """The parameters in a vector; leading axes (snapshots) stay in front."""
        parts, at = {}, 0
        for name, shape in self.shapes.items():
            size = math.prod(shape)
            parts[name] = flat[..., at : at + size].reshape(*flat.shape[:-1], *shape)
            at += size
        return parts

    def close(self, parts: Mapping[str, ArrayLike]) -> Array:
        missing = [name for name in self.shapes if name not in parts]
        if missing:
            raise MathError(
                f"the objective gives no gradient for {missing[0]}",
                facts=[f"gradients for: {', '.join(map(str, parts)) or 'nothing'}"],
            )
        gradients = []
        for name, shape in self.shapes.items():
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


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a number"


def _real(what: str, value: ArrayLike) -> Array:
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "fiu":
        raise MathError(f"{what} should be an array of real numbers", facts=[f"it is {_kind(value)}"])
    return array.astype(np.float64)


def _kind(value: object) -> str:
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


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
        return float(value.reshape(())), self.layout.close(gradients)


def _norm(x: Array) -> float:
    """The Euclidean length, without overflow of the squares."""
    top = float(np.abs(x).max(initial=0.0))
    return top * float(np.linalg.norm(x / top)) if 0 < top < math.inf else top


def _rms(x: Array) -> float:
    return _norm(x) / math.sqrt(x.size)


# --- Where a descent begins. ---


def start_parameters(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> Parameters:
    """A good place to start, for features of mean 0 and spread 1; the same for the same seed and shapes.

    Matrices (and stacks of them) are random with spread √(2/inputs), which keeps the size of what flows through
    ReLU layers (He et al. 2015); vectors are random and small, spread 0.1/√length; a name that begins with b is
    a bias: a single one starts at 1, so that a ReLU neuron is active for every row, a vector of them at 0, so
    that each hidden unit is active for about half.
    """
    random = np.random.default_rng(seed)
    start = {}
    for name, shape in shapes.items():
        if name.startswith("b") and len(shape) <= 1 or not shape:
            start[name] = np.full(shape, 0.0 if shape else 1.0)
        elif len(shape) == 1:
            start[name] = random.normal(0, 0.1 / math.sqrt(max(1, shape[0])), shape)
        else:
            start[name] = random.normal(0, math.sqrt(2 / max(1, shape[-2])), shape)
    return start


# --- Watching it. ---

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 16) -> str:
    """A row of bars for falling numbers, on a logarithmic scale if all are positive."""
    if not values:
        return ""
    picked = [
        values[round(i * (len(values) - 1) / max(1, width - 1))] for i in range(min(width, len(values)))
    ]
    heights = [math.log(v) for v in picked] if min(picked) > 0 else list(picked)
    low, high = min(heights), max(heights)
    return "".join(_BARS[round((h - low) / (high - low) * 7) if high > low else 0] for h in heights)


@contextmanager
def progress_bar(title: str = "descending") -> Iterator[Progress]:
    """A live bar with the falling loss on a terminal, nothing elsewhere: `with progress_bar() as show: …`."""
    if not sys.stderr.isatty():
        yield lambda step, steps, loss: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}  {task.fields[curve]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True, refresh_per_second=10) as bar:
        task = bar.add_task(title, total=None, loss="…", curve="")
        seen: list[float] = []
        shown = -math.inf

        def show(step: int, steps: int, loss: float) -> None:
            nonlocal shown
            seen.append(loss)
            now = time.monotonic()
            if now - shown >= 0.1 or step == steps:
                shown = now
                bar.update(task, total=steps, completed=step, loss=f"{loss:.6g}", curve=sparkline(seen))

        yield show
