"""What does a walk remember from step to step? Plain data, from which it goes on as if it had never stopped.

Each is what the next steps of one walk depend on, beside the point where it is. The vectors in it are as long
as all parameters together.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from gradstep.learn.optimisers import Array, State
from gradstep.learn.surface import Point


class Steady(NamedTuple):
    """With a constant rate: the number of the next step, and the memory of the optimiser."""

    k: int
    state: State


class Fitting(NamedTuple):
    """Rates that are fitted to each step: that of step k, and the losses that it has to come below."""

    k: int
    rate: float
    recent: tuple[float, ...]


class Tuning(NamedTuple):
    """A rate that trials chose, which was halved so often; `idle` steps have brought nothing below `best`."""

    k: int
    rate: float
    halved: int
    idle: int
    state: State
    best: Point


class Trial(NamedTuple):
    """A short run with some rate: its lowest loss, where it is, and the memory of the optimiser."""

    rate: float
    lowest: float
    here: Point
    state: State


class Trying(NamedTuple):
    """Trials of rates: what those that are over came to, and the others, which have taken k steps."""

    known: tuple[tuple[float, float], ...]
    k: int
    trials: tuple[Trial, ...]


class Move(NamedTuple):
    """A step that was taken, and how the gradient changed on it; ⟨step, change⟩ > 0."""

    step: Array
    change: Array
    bend: float


class Moves(NamedTuple):
    """L-BFGS: the last moves."""

    moves: tuple[Move, ...]


class Heading(NamedTuple):
    """Conjugate gradients: the next direction, the share of the last one in it, and the last length."""

    direction: Array
    kept: float
    length: float


class Trust(NamedTuple):
    """Newton's method: how far the parabola is trusted, the steepest slope, and whether it is the end."""

    reach: float
    steepest: float
    last: bool


class Damping(NamedTuple):
    """Levenberg–Marquardt: what parameters are measured by, how long a step may be, if it is the end."""

    measures: Array
    reach: float
    last: bool


Memory: TypeAlias = Steady | Fitting | Tuning | Trying | Moves | Heading | Trust | Damping
