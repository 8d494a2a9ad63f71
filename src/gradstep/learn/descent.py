"""How does a network find its parameters? By walking down the slope of its loss, and never ending higher.

`descend` takes any function from parameters to (loss, gradients). It either returns finite parameters whose
loss is not above the loss at the start, or it raises a `MathError` that says what happened and what to do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.learn.interrupts import Interrupts
from gradstep.learn.log import FAR_OUT, RUN_AWAY, Keeper, Log, Seen, Snapshots, Stopped
from gradstep.learn.memories import Trying
from gradstep.learn.optimisers import (
    GRADIENT_DESCENT,
    MOMENTUM,
    Array,
    Optimiser,
    Rule,
    State,
    optimiser_named,
)
from gradstep.learn.progress import Progress, progress_bar
from gradstep.learn.rounding import noise_in, places_near
from gradstep.learn.saved import CHECKPOINT
from gradstep.learn.scaling import median
from gradstep.learn.surface import (
    Curvature,
    Layout,
    Line,
    Measured,
    Objective,
    Parameters,
    Point,
    Residuals,
    curvature_near,
    norm_of,
)
from gradstep.learn.walks import Batches, Ended
from gradstep.learn.ways import Knowledge, way

if TYPE_CHECKING:
    from gradstep.learn import stretches
else:
    stretches = late("gradstep.learn.stretches")

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

NOTHING, MUCH = 1e-6, 1e-3  # of the loss, as a gain
BOTTOMLESS = "the loss falls without bound: it has no lowest point"
BOUNDED = (
    "a loss that is bounded below, such as one with squares or a penalty; or targets that it is made for, "
    "such as 0 and 1 for a probability"
)
SMALL = 0.1  # of the size of the parameters: a step that does no harm


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
    first_gradient_norm: float
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
    curvature: Curvature | None = None,
    residuals: Residuals | None = None,
    line: Line | None = None,
    machine: stretches.Machine | None = None,
    trial: tuple[Objective, Batches | None] | None = None,
    snapshots: int = 400,
    keeper: Keeper | None = None,
    explain: Callable[[Parameters], tuple[str, str] | None] | None = None,
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
    `curvature` is the Hessian times a vector, which newton-cg needs, `residuals` with their Jacobian are what
    levenberg-marquardt does, and `line` is the loss along a line, for conjugate gradients. A `machine`
    measures in the place of `objective`, and walks many steps at a time; `progress` is then called after
    some of them. `trial` is a cheaper objective, with batches, to try
    learning rates and to see rounding errors with. A `keeper` is given what is needed to go on, now and then,
    and gives it back to a descent that does. Ctrl-C returns what was reached, after the step that is under
    way; pressed twice, it does so at once. `explain(parameters)` says which part of the loss has no value or
    no slope there, and what would mend it.
    """
    rule = optimiser_named(optimiser)
    rate, count, goal = _rate(learning_rate), _count("steps", steps, 1), _tolerance(tolerance)
    layout, heard = Layout.of(start), Interrupts(patience=1)

    def listen() -> None:
        if heard:
            raise KeyboardInterrupt

    loss = Measured(objective if machine is None else machine.objective(layout), layout, listen)
    pictures = Snapshots.at_most(_count("snapshots", snapshots, 2), layout.start.size)
    near = loss if trial is None else Measured(trial[0], layout)

    def rounding(x: Array) -> float:
        return noise_in([place.loss for place in near.all_at(places_near(x))])

    if machine is not None and machine.eye is not None:
        watch = machine.watching(layout)
    watched = _watching(watch, layout)
    seen = None if keeper is None else keeper.seen(layout)
    if seen is None:
        here = loss.at(layout.start)
        _check_start(here, layout, explain)
        first = [] if watched is None else [watched(here.x)]
        seen = Seen.at(here, first, pictures, rule.needs in ("curvature", "residuals"))
    else:
        _check_memory(seen, rule)
        loss.count = seen.evaluations
        if watched is not None:
            watched(seen.start.x)  # what is watched may be measured by its first value
    log = Log(seen, watched, rounding)
    walk = way(rule, loss, log, Knowledge(rate, goal, batches, curvature, residuals, line, trial))
    fitted = rate is None and rule is GRADIENT_DESCENT and batches is None
    if not log.start.gradient.any():
        return _finished(log, layout, loss, rule, "stuck")

    def look(point: Point, rate: float) -> None:
        _check_point(point, rate, log, rule, loss, layout)

    def show() -> None:
        if progress is not None:
            progress(log.steps, count, log.lowest.loss)

    def ended() -> Stopped | None:
        stopped = log.verdict(goal) if log.steps else None
        return stopped or ("steps" if log.steps >= count else None)

    def rest(told: bool = False) -> None:
        """Between two steps; what was `told` by trials is worth to be kept."""
        log.evaluations = loss.count
        if keeper is not None and (told or keeper.due(log.steps)):
            keeper.keep(log.seen())
        listen()

    def walked() -> Stopped:
        """Walks to the end, and says which it was."""
        if log.stopped not in (None, "steps"):
            return log.stopped
        stopped = ended()
        if stopped is not None:
            return stopped
        rest()
        if machine is not None and isinstance(rule, Rule) and machine.alone(fitted, watch is not None):
            walking = stretches.Walking(machine, loss, log, goal, count, look, show, rest, keeper)
            if fitted:
                return walking.fitted()
            return walking.tuned(rule) if rate is None else walking.steadily(rate)
        while True:
            try:
                taken = next(walk)
            except StopIteration as end:
                how: Ended = end.value
                return how or ("converged" if log.flat() else "stalled")
            if taken.point is log.place:  # no step yet
                log.memory = taken.memory
                rest(not isinstance(taken.memory, Trying))
                continue
            look(taken.point, taken.rate)
            log.add(*taken)
            log.evaluations = loss.count
            show()
            stopped = ended()
            if stopped is not None:
                return stopped
            rest()

    stopped: Stopped
    with heard.heard():
        try:
            stopped = walked()
        except KeyboardInterrupt:
            stopped = "interrupted"
        start_loss = log.start.loss
        unmoved = log.lowest.loss == start_loss and log.last.loss > start_loss + 1e-6 * abs(start_loss)
        if stopped != "interrupted" and unmoved:
            what = f"the loss never fell below its starting value in {_steps(log.steps)}"
            raise _diverged(what, log.rates[-1], log, rule, loss)
        if rate is not None and stopped in ("converged", "stalled") and isinstance(rule, Rule):
            _check_moved(rate, log, rule, loss)
        if keeper is not None and not heard.impatient:
            if stopped != "interrupted":
                log.evaluations, log.stopped = loss.count, stopped
            keeper.keep(log.seen())
    return _finished(log, layout, loss, rule, stopped)


def _watching(watch: Callable[[Parameters], float] | None, layout: Layout) -> Callable[[Array], float] | None:
    """`watch` of one vector; what is not a number counts as infinitely bad."""
    if watch is None:
        return None

    def watched(x: Array) -> float:
        with np.errstate(all="ignore"):
            value = float(watch(layout.open(x.copy())))
        return value if math.isfinite(value) else math.inf

    return watched


def _finished(log: Log, layout: Layout, loss: Measured, rule: Optimiser, stopped: Stopped) -> Descent:
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
        learning_rate_used=float(median(log.rates)) if log.rates else math.nan,
        gradient_norm=norm_of(log.best.gradient),
        first_gradient_norm=norm_of(log.start.gradient),
        evaluations=loss.count,
        notes=tuple(_notes(log, stopped)),
    )


def _steps(count: int) -> str:
    return f"{count} step" if count == 1 else f"{count} steps"


def _notes(log: Log, stopped: Stopped) -> Iterator[str]:
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


def _check_start(
    here: Point, layout: Layout, explain: Callable[[Parameters], tuple[str, str] | None] | None
) -> None:
    if here.finite:
        return
    told = explain(layout.open(here.x)) if explain is not None else None
    facts, mend = ([told[0]], told[1]) if told is not None else ([], None)
    facts += layout.sizes(here.x)
    if not math.isfinite(here.loss):
        mend = mend or "smaller starting values, or data without NaN, infinity or huge numbers"
        raise MathError(f"the loss is {here.loss} at the start", facts=facts, mend=mend)
    bad = [name for name, part in layout.open(here.gradient).items() if not np.isfinite(part).all()]
    raise MathError(
        f"the loss is {here.loss:.6g} at the start, but the gradient for {bad[0]} is not finite",
        facts=facts,
        mend=mend or "another start: the loss may have no slope there",
    )


def _check_memory(seen: Seen, rule: Optimiser) -> None:
    """What the optimiser remembers is of the kind that its formulas make."""
    going = rule if seen.kink_step is None else MOMENTUM
    states = [state for each in (seen.memory, *getattr(seen.memory, "trials", ())) for state in _state(each)]
    first = going.init(seen.start.x) if isinstance(going, Rule) else {}
    for state in states:
        if {n: v.shape for n, v in state.items()} != {n: v.shape for n, v in first.items()}:
            raise CHECKPOINT.spoiled(f"it is not the memory of {going.name}")


def _state(memory: object) -> Sequence[State]:
    """The memory of an optimiser in that of a walk, if there is one."""
    state: State | None = getattr(memory, "state", None)
    return () if state is None else (state,)


def _check_point(
    point: Point, rate: float, log: Log, rule: Optimiser, loss: Measured, layout: Layout
) -> None:
    step = log.steps + 1
    if point.finite and (point.loss < log.bottomless or np.abs(point.x).max() > FAR_OUT):
        raise MathError(
            BOTTOMLESS,
            facts=[f"after step {step} the loss is {point.loss:.3g}", *layout.sizes(point.x)],
            mend=BOUNDED,
        )
    start, lowest = log.start.loss, log.lowest.loss
    steep = norm_of(log.start.gradient)
    usual = max(abs(start), start - lowest, rate * steep * steep)
    if not point.finite:
        raise _diverged(f"the loss is no longer a number after step {step}", rate, log, rule, loss)
    if point.loss > start + RUN_AWAY * usual:
        raise _diverged(f"the loss runs away: {point.loss:.3g} after step {step}", rate, log, rule, loss)


def _check_moved(rate: float, log: Log, rule: Rule, loss: Measured) -> None:
    """A descent that ends where it began, and has much to gain there, has too small a rate."""
    start, steep = log.start, norm_of(log.last.gradient)
    if start.loss - log.lowest.loss > NOTHING * abs(start.loss):
        return
    curvature = curvature_near(loss, log.last)
    if curvature > 0 and steep * steep / curvature > MUCH * abs(start.loss):
        raise MathError(
            f"the learning rate is too small: {_steps(log.steps)} have changed nothing that is seen",
            facts=[f"{rule.name} with learning rate {rate:g}", f"the curvature is up to {curvature:.3g}"],
            mend=f"learning_rate={_rounded_down(1 / curvature)}, or none: the step is then chosen safely",
        )


def _diverged(what: str, rate: float, log: Log, rule: Optimiser, loss: Measured) -> MathError:
    facts = [
        f"{rule.name} with learning rate {rate:g}",
        f"the loss was {log.start.loss:.6g} at the start, and at best {log.lowest.loss:.6g}",
    ]
    step = norm_of(log.start.gradient) if isinstance(rule, Rule) and rule.scales_with_gradient else 1.0
    better = min(rate / 10, SMALL * (1 + float(np.abs(log.start.x).max())) / (step or 1.0))
    curvature = max(curvature_near(loss, log.lowest), curvature_near(loss, log.start))
    if isinstance(rule, Rule) and rule.scales_with_gradient and curvature > 0:
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


def check_settings(learning_rate: object, steps: object, tolerance: object) -> None:
    """Raises `MathError` for settings that no descent can have."""
    _rate(learning_rate), _count("steps", steps, 1), _tolerance(tolerance)


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
