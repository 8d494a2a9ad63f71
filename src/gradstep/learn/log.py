"""What has a descent seen so far? The best point, the losses, the way, and how much may be left to gain."""

from __future__ import annotations

import itertools
import math
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, Protocol, TypeAlias, TypeVar

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.learn.memories import Memory, Trying, Tuning
from gradstep.learn.optimisers import Array
from gradstep.learn.surface import Layout, Point, inner, norm_of
from gradstep.learn.walks import SPEED_UP

Kind = TypeVar("Kind", bound=Memory)
Stopped: TypeAlias = Literal["converged", "steps", "early", "interrupted", "stalled", "stuck"]


@dataclass
class Snapshots:
    """At most `limit` pictures of the way, evenly spread: when full, every other one goes."""

    limit: int
    every: int = 1
    kept: dict[int, Array] = field(default_factory=dict)

    @classmethod
    def at_most(cls, limit: int, size: int) -> Snapshots:
        """Fewer where the parameters are many: 4 million numbers in all."""
        return cls(max(2, min(limit, 4_000_000 // size)))

    def add(self, step: int, x: Array) -> None:
        if not step % self.every:
            self.add_all([step], [x])

    def add_all(self, steps: Sequence[int], pictures: Array | Sequence[Array]) -> None:
        """Those after some steps, all of them multiples of `every`; pictures beyond these do not count."""
        before, kept = self.every, [*self.kept, *steps]
        while len(kept) > self.limit:
            self.every *= 2
            kept = [at for at in kept if at % self.every == 0]
        if self.every > before:
            self.kept = {at: seen for at, seen in self.kept.items() if at % self.every == 0}
        self.kept.update({at: pictures[k] for k, at in enumerate(steps) if at % self.every == 0})


LOOK_BACK, CRAWL, LONG = 50, 150, 300
FAR_BELOW, FAR_OUT, RUN_AWAY = -1e100, 1e150, 1e6
BOTTOMLESS = 1e12  # times as deep as the loss was high, or steep
SEEN = 10  # steps that show that nothing is seen any more
VISIBLE, EPSILON = (
    1e-8,
    sys.float_info.epsilon,
)  # shares of a loss: surely, and never more than rounding errors


@dataclass
class Seen:
    """All that a descent knows at one of its points: what it goes on from, and what is told of it at the end.

    `memory` is that of its walk; none where it knows nothing yet: at the start, and before a walk over kinks.
    `stopped`
    is the reason why there are no further points, where there are none.
    """

    start: Point
    last: Point
    lowest: Point
    best: Point
    snapshots: Snapshots
    history: list[float]
    rates: list[float]
    watched: list[float]
    reaches: deque[float]
    lows: deque[float]
    slope: float
    steepest: float
    knowing: bool
    steps: int = 0
    best_step: int = 0
    kink_step: int | None = None
    noise: tuple[float, float] | None = None  # the rounding error, and the loss where it was measured
    memory: Memory | None = None
    tried: list[tuple[float, float]] = field(default_factory=list)  # rates, and what trials of them came to
    evaluations: int = 0
    stopped: Stopped | None = None

    @classmethod
    def at(cls, start: Point, watched: Sequence[float], snapshots: Snapshots, knowing: bool) -> Seen:
        """Before the first step; with `knowing` the walk itself knows what is left to gain."""
        slope = norm_of(start.gradient)
        snapshots.add(0, start.x)
        return cls(
            *(start, start, start, start, snapshots, [start.loss], [], list(watched)),
            *(deque(), deque([start.loss]), slope, slope, knowing),
        )


class Keeper(Protocol):
    """Who keeps what a descent has seen, so that it can go on from there another time."""

    def seen(self, layout: Layout) -> Seen | None:
        """What to go on from, for parameters of these shapes; none for a descent that begins."""

    def due(self, steps: int) -> bool:
        """Is it time, after so many steps, to keep what was seen?"""

    def ahead(self, steps: int) -> int:
        """At most so many steps more may be taken, after so many, until it is time."""

    def keep(self, seen: Seen) -> None:
        """Keeps it."""


class Log(Seen):
    """The best point, the losses, the snapshots, and how much there may still be to gain."""

    def __init__(
        self,
        seen: Seen,
        watch: Callable[[Array], float] | None = None,
        rounding: Callable[[Array], float] | None = None,
    ) -> None:
        """`watch` is a loss on other rows; `rounding` tells the rounding error of the loss at a place."""
        super().__init__(**vars(seen))
        self.reaches, self.lows = deque(seen.reaches, LOOK_BACK), deque(seen.lows, LONG)
        self.watch, self.rounding = watch, rounding

    def seen(self) -> Seen:
        """What is known now."""
        return Seen(**{each.name: getattr(self, each.name) for each in fields(Seen)})

    @property
    def place(self) -> Point:
        """Where the walk goes on: at the lowest point where it has taken no step yet."""
        return self.lowest if self.steps == (self.kink_step or 0) else self.last

    def remembered(self, kind: type[Kind]) -> Kind | None:
        """The memory of a walk, if it has begun."""
        if self.memory is None or (self.kink_step is not None and kind is not Tuning):
            return None
        if not isinstance(self.memory, kind):
            raise MathError(
                f"this descent went another way: what it remembers is {type(self.memory).__name__.lower()}",
                mend="the optimiser that it began with",
            )
        return self.memory

    def tuned(self) -> Tuning | Trying | None:
        """The memory of a walk whose rate is tuned, which may still be trying some."""
        return self.memory if isinstance(self.memory, Trying) else self.remembered(Tuning)

    def add(self, point: Point, rate: float, memory: Memory | None = None) -> None:
        watched = self.watch(point.x) if self.watch else None  # what may fail comes before all changes
        move, change = point.x - self.last.x, point.gradient - self.last.gradient
        with np.errstate(all="ignore"):
            bend, length = inner(move, change), inner(move, move)
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
        if self._is_best(point, watched):
            self.best, self.best_step = point, self.steps
        self.memory = memory

    def _is_best(self, point: Point, watched: float | None) -> bool:
        if watched is None:
            return point is self.lowest
        self.watched.append(watched)
        return point.loss <= self.start.loss and watched < self.watched[self.best_step]

    @property
    def bottomless(self) -> float:
        """The loss below which there is no lowest point."""
        size = max(abs(self.start.loss), norm_of(self.start.gradient) * (1 + norm_of(self.start.x)))
        return max(FAR_BELOW, -BOTTOMLESS * size)

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

    def crawls(self, tolerance: float, steps: int = CRAWL) -> bool:
        """Have very many steps brought next to nothing?"""
        little = tolerance**2 * abs(self.lowest.loss) if self.knowing else tolerance * self.scale()
        return self.gained_in(steps) <= little

    def hidden(self, gain: float) -> bool:
        """Is a gain so little that rounding errors of the loss may hide it? Looked at where it may be so."""
        loss = abs(self.lowest.loss)
        if self.rounding is None or not gain <= VISIBLE * loss:
            return gain <= EPSILON * loss
        if self.noise is None or not self.noise[1] / 2 <= loss <= 2 * self.noise[1]:
            self.noise = (self.rounding(self.lowest.x), loss)
        return gain <= max(self.noise[0], EPSILON * loss)

    def lost_in_rounding(self) -> bool:
        """Did each of the last steps go down, and all together by no more than rounding errors may be?"""
        last = self.history[-1 - SEEN :]
        if len(last) <= SEEN or any(later > before for before, later in itertools.pairwise(last)):
            return False
        return last[-1] < last[0] and self.hidden(last[0] - last[-1])

    def go_on_over_kinks(self) -> None:
        """From here on goes a walk that does not know what is left, and has its own time to show a gain."""
        self.kink_step, self.memory = self.steps, None
        if self.knowing:
            self.knowing = False
            self.lows.clear()
            self.lows.append(self.lowest.loss)

    def verdict(self, tolerance: float) -> Stopped | None:
        """The reason to stop here, if there is one."""
        if not self.slope:
            return "stuck" if self.last.loss > self.lowest.loss else "converged"
        if (
            not self.knowing
            and self.slope <= math.sqrt(tolerance) * self.steepest
            and self.gain_ahead() <= tolerance * self.scale()
        ):
            return "converged"
        if self.lost_in_rounding():
            return "converged"
        if self.watch and self.steps - self.best_step > max(LOOK_BACK, self.steps // 4):
            return "early"
        if tolerance and self.crawls(tolerance, LONG - 1):
            return "stalled"
        return None
