"""How does a descent learn the curvature from its own steps? L-BFGS, and the line search that keeps it safe.

The direction is that of Nocedal ("Updating quasi-Newton matrices with limited storage", 1980) from the last
ten moves. A step is fitted until the strong Wolfe conditions hold (Nocedal & Wright, "Numerical
Optimization", chapter 3): the loss falls clearly, and so does the size of its slope along the line.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gradstep.learn.memories import Move, Moves
from gradstep.learn.optimisers import Array
from gradstep.learn.surface import Measured, Point, inner, norm_of
from gradstep.learn.walks import FIRST_MOVE, Taken, Walk, rate_of

_MOVES = 10
_LOWER, _FLATTER = 1e-4, 0.9  # the constants of the Wolfe conditions
_TRIALS, _WIDEST = 30, 10.0
_EPSILON = sys.float_info.epsilon


def quasi_newton_walk(loss: Measured, here: Point, memory: Moves | None = None) -> Walk:
    """Steps of L-BFGS; none where no step along the direction, nor down the gradient, lowers the loss."""
    (moves,) = memory or Moves(())
    while True:
        direction = -bent(here.gradient, moves)
        if not inner(here.gradient, direction) < 0:
            moves, direction = (), -here.gradient
        first = 1.0 if moves else FIRST_MOVE * max(1.0, norm_of(here.x)) / norm_of(here.gradient)
        there = searched(loss, here, direction, first)
        if there is None:
            if not moves:
                return None
            moves = ()
            continue
        rate = rate_of(here, there)
        with np.errstate(all="ignore"):
            step, change = there.x - here.x, there.gradient - here.gradient
            bend = inner(step, change)
        if bend > _EPSILON * norm_of(step) * norm_of(change):
            moves = (*moves, Move(step, change, bend))[-_MOVES:]
        here = there
        yield Taken(here, rate, Moves(moves))


def bent(gradient: Array, moves: Sequence[Move]) -> Array:
    """The gradient times an inverse Hessian that explains the moves: the two loops of Nocedal (1980)."""
    with np.errstate(all="ignore"):
        q, shares = gradient.copy(), []
        for move in reversed(moves):
            shares.append(inner(move.step, q) / move.bend)
            q -= shares[-1] * move.change
        if moves:
            q *= moves[-1].bend / inner(moves[-1].change, moves[-1].change)
        for move, share in zip(moves, reversed(shares), strict=True):
            q += (share - inner(move.change, q) / move.bend) * move.step
    return q


# --- Along a line. ---


class Mark(NamedTuple):
    """A place on the line: how far along, the loss there and its slope along the line."""

    at: float
    loss: float
    slope: float


def searched(loss: Measured, here: Point, direction: Array, first: float) -> Point | None:
    """A place along `direction` where the strong Wolfe conditions hold; a lower one where a kink allows none.

    `first` is tried first. To the left of the interval that is kept, the loss still falls steeply; to the
    right it is too high, or rises, or is no number. None where no place is lower.
    """
    left, right = Mark(0.0, here.loss, inner(here.gradient, direction)), None
    noise = 4 * _EPSILON * abs(here.loss)
    falls, best, at = left.slope, None, first
    shortest = _EPSILON * norm_of(here.x) / (norm_of(direction) or 1.0)
    for _ in range(_TRIALS):
        with np.errstate(all="ignore"):
            there = loss.at(here.x + at * direction)
            mark = Mark(at, there.loss, inner(there.gradient, direction) if there.finite else math.nan)
        if not there.finite or there.loss > here.loss + _LOWER * at * falls + noise:
            right = mark
        else:
            best = there if best is None or there.loss <= best.loss else best
            if abs(mark.slope) <= -_FLATTER * falls:
                return there
            left, right = (mark, right) if mark.slope < 0 else (left, mark)
        at = _wider(left, at, falls) if right is None else _between(left, right)
        if not shortest < at < math.inf or (right is not None and right.at - left.at <= _EPSILON * right.at):
            break
    return best


def _wider(left: Mark, at: float, falls: float) -> float:
    """Farther along: to where the slope would end, within reason."""
    flattens = left.slope - falls
    guess = at * -falls / flattens if flattens > 0 else math.inf
    return min(max(guess, 2 * at), _WIDEST * at)


def _between(left: Mark, right: Mark) -> float:
    """The lowest point of the cubic through both ends (Nocedal & Wright, 3.59), not too near to either."""
    width = right.at - left.at
    if not (math.isfinite(right.loss) and math.isfinite(right.slope)):
        return left.at + 0.1 * width
    a = left.slope + right.slope - 3 * (right.loss - left.loss) / width
    square = a * a - left.slope * right.slope
    if not 0 <= square < math.inf:
        return left.at + 0.5 * width
    b = math.sqrt(square)
    below = right.slope - left.slope + 2 * b
    share = 1 - (right.slope + b - a) / below if below else 0.5
    return left.at + min(max(share, 0.1), 0.9) * width
