"""How is a sum of squares made smallest? By steps that take the residuals as straight (Levenberg–Marquardt).

The step is that of Moré ("The Levenberg–Marquardt algorithm: implementation and theory", 1978), as in
MINPACK: each parameter is measured by the length of its column of the Jacobian, and a step is no longer than
lately proved good. The linear problem is solved by QR and SVD, so that columns that say the same do no harm.
The weights of layers are alike and have one measure: with one each, those of idle units would run away.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from gradstep.learn.memories import Damping
from gradstep.learn.optimisers import Array
from gradstep.learn.surface import Measured, Point, norm_of
from gradstep.learn.walks import Enough, Taken, Walk, rate_of

Residuals: TypeAlias = Callable[[Array], tuple[Array, Array]]
"""The residuals r (m) and their Jacobian J (m, n) at a place; the loss is ⟨r, r⟩ and a constant."""

_GOOD, _FAIR, _POOR = 0.75, 0.25, 1e-4  # shares of the promised gain
_SMALL = 1e-3  # a share of the residuals that a first step may surely change
_EPSILON = sys.float_info.epsilon


class Straight(NamedTuple):
    """Residuals taken as straight, r + J p, in the coordinates where J/D is diagonal: its singular values s.

    `back` turns such coordinates into a step p, `along` are those of r.
    """

    s: Array
    along: Array
    back: Array

    @classmethod
    def of(cls, r: Array, J: Array, D: Array) -> Straight:
        triangle = np.asarray(np.linalg.qr(np.column_stack([J / D, r]), mode="r"))
        corner = triangle[: len(D)]  # R, and beside it Qᵀr
        U, s, Vt = np.linalg.svd(corner[:, :-1], full_matrices=False)
        known = s > max(J.shape) * _EPSILON * s[0]
        return cls(s[known], U.T[known] @ corner[:, -1], Vt.T[:, known] / D[:, None])

    def damped(self, λ: float) -> Array:
        """The step p of (JᵀJ + λD²) p = −Jᵀr, in these coordinates."""
        return np.asarray(-self.s * self.along / (self.s**2 + λ))

    def within(self, reach: float) -> tuple[Array, float]:
        """The best step with ‖D p‖ ≤ reach, and its λ, by Newton's method on 1/‖D p‖ (Hebden 1973)."""
        step = self.damped(0)
        length = norm_of(step)
        if length <= 1.1 * reach:
            return step, 0.0
        λ, low, high = 0.0, 0.0, norm_of(self.s * self.along) / reach
        for _ in range(50):
            slope = -float(step @ (step / (self.s**2 + λ))) / length
            λ += (length - reach) / reach * length / -slope if slope else 0.0
            if not low < λ <= high:
                λ = max(1e-3 * high, math.sqrt(low * high))
            step = self.damped(λ)
            length = norm_of(step)
            if abs(length - reach) <= 0.1 * reach:
                break
            low, high = (λ, high) if length > reach else (low, λ)
        return step, λ

    def gain(self, step: Array) -> float:
        """By how much the sum of squares would fall."""
        return float(-(self.s * step) @ (2 * self.along + self.s * step))


def least_squares_walk(
    loss: Measured,
    here: Point,
    residuals: Residuals,
    enough: Enough,
    hidden: Enough,
    *,
    alike: bool = False,
    straight: bool = False,
    memory: Damping | None = None,
) -> Walk:
    """Steps of Levenberg and Marquardt, each of which lowers the loss.

    One measure for all parameters where they are `alike`; no limit to a step where residuals are `straight`.
    The model tells gains that rounding errors have long `hidden`: only where no step is left do those matter.
    """
    r, J = residuals(here.x)
    if memory is None:
        D = _lengths(J)
        D = np.full_like(D, norm_of(D) / math.sqrt(D.size)) if alike else D
        memory = Damping(D, math.inf if straight else 0.0, False)
    D, reach, last = memory
    while not last and np.isfinite(J).all() and np.isfinite(r).all():
        D = D if alike else np.maximum(D, _lengths(J))
        model = Straight.of(r, J, np.where(D > 0, D, 1.0))
        reach = reach or max(norm_of(D * here.x), (_SMALL if here.x.any() else 1.0) * norm_of(r))
        ahead = model.gain(model.damped(0))
        last = enough(ahead)
        there: Point | None = None
        while there is None:
            step, λ = model.within(reach)
            move, length = model.back @ step, norm_of(step)
            if norm_of(move) <= _EPSILON * norm_of(here.x) or not length:
                return "converged" if last or hidden(ahead) else None
            promised = model.gain(step)
            there = loss.at(here.x + move)
            ratio = (here.loss - there.loss) / promised if there.finite else -math.inf
            if ratio < _FAIR:
                reach = _shrunk(ratio, promised, promised - λ * length * length) * min(reach, 10 * length)
            elif ratio >= _GOOD or λ == 0:
                reach = 2 * length
            if ratio < _POOR:
                there = None
                if last:
                    return "converged"
        rate, here = rate_of(here, there), there
        yield Taken(here, rate, Damping(D, reach, last))
        if not last:
            r, J = residuals(here.x)
    return "converged" if last else "stalled"


def _lengths(J: Array) -> Array:
    """The length of each column, without overflow of the squares."""
    with np.errstate(all="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->j", J, J))
    if ((lengths > 1e-150) & (lengths < 1e150)).all():
        return np.asarray(lengths)
    top = np.abs(J).max(axis=0)
    unit = np.where(top > 0, top, 1.0)
    return np.asarray(unit * np.linalg.norm(J / unit, axis=0))


def _shrunk(ratio: float, promised: float, slope: float) -> float:
    """How much shorter a step should be that went too far: to the lowest point of a parabola."""
    if ratio >= 0:
        return 0.5
    return max(0.1, 0.5 * slope / (slope - 0.5 * ratio * promised)) if ratio > -math.inf else 0.1
