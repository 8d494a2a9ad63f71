"""How does a descent keep what it has won? Conjugate gradients, each to the lowest point of its line.

Along a line the loss is a function of one number, whose slope and curvature are derived as formulas; Newton's
method finds where the slope ends. On a parabola in d dimensions d such steps are all (Hestenes & Stiefel
1952).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gradstep.learn.memories import Heading
from gradstep.learn.optimisers import Array
from gradstep.learn.quasi_newton import searched
from gradstep.learn.surface import Along, Measured, Point, norm_of
from gradstep.learn.walks import FIRST_MOVE, Taken, Walk, rate_of

_TRIALS = 30
_LEVEL = 1e-3  # a slope that is such a share of the first one has ended
_FARTHEST = 10.0


def conjugate_walk(
    loss: Measured, here: Point, line: Callable[[Array, Array], Along], memory: Heading | None = None
) -> Walk:
    """Steps along conjugate directions (Polak & Ribière 1969); none where no step lowers the loss."""
    first = Heading(-here.gradient, 0.0, FIRST_MOVE * max(1.0, norm_of(here.x)))
    direction, kept, length = memory or first
    while True:
        if not float(direction @ here.gradient) < 0:
            direction, kept = -here.gradient, 0.0
        ahead = direction / norm_of(direction)
        at = lowest(line(here.x, ahead), length)
        there = None if at is None else loss.at(here.x + at * ahead)
        if there is None or not (there.finite and there.loss < here.loss):
            there = searched(loss, here, ahead, length)
        if there is None:
            if not kept:
                return None
            direction, kept = -here.gradient, 0.0
            continue
        rate = rate_of(here, there)
        with np.errstate(all="ignore"):
            length = norm_of(there.x - here.x)
            change = there.gradient - here.gradient
            kept = max(0.0, float(there.gradient @ change) / float(here.gradient @ here.gradient))
            direction = -there.gradient + kept * direction
        here = there
        yield Taken(here, rate, Heading(direction, kept, length))


def lowest(along: Along, guess: float) -> float | None:
    """Where the slope along a line ends: Newton's method between a place that falls and one that does not.

    Where that takes too long it is the last place that still falls, None if there is none.
    """
    first = along(0.0)
    if not first.slope < 0:
        return None
    left, right, at = 0.0, math.inf, -first.slope / first.bend if first.bend > 0 else guess
    for _ in range(_TRIALS):
        place = along(at)
        if abs(place.slope) <= -_LEVEL * first.slope and place.loss <= first.loss:
            return at
        if not all(map(math.isfinite, place)) or (place.slope < 0 and place.loss > first.loss):
            right, at = at, left + 0.1 * (at - left)
            continue
        left, right = (at, right) if place.slope < 0 else (left, at)
        farthest = right if math.isfinite(right) else left + _FARTHEST * max(at, guess)
        newton = at - place.slope / place.bend if place.bend > 0 else math.inf
        at = newton if left < newton < farthest else farthest if right == math.inf else 0.5 * (left + right)
    return left or None
