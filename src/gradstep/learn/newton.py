"""How is the curvature itself used? Newton's step, by conjugate gradients, as far as it is trusted.

Steihaug ("The conjugate gradient method and trust regions in large scale optimization", 1983): conjugate
gradients walk towards the lowest point of the parabola that touches the loss, and end at the border of the
region of trust or where the parabola opens downwards. Where the loss does not follow, the step is fitted
along its line (Nocedal & Yuan 1998), so that no product with the Hessian is wasted.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from gradstep.learn.memories import Trust
from gradstep.learn.optimisers import Array
from gradstep.learn.quasi_newton import searched
from gradstep.learn.surface import Measured, Point, norm_of
from gradstep.learn.walks import Enough, Taken, Walk, rate_of

Product: TypeAlias = Callable[[Array], Array]
_GOOD, _FAIR = 0.75, 0.25
_MOST_PRODUCTS = 250
_EXACT = 1e-13


def newton_walk(
    loss: Measured,
    here: Point,
    products: Callable[[Array], Product],
    enough: Enough,
    straight: bool = False,
    memory: Trust | None = None,
) -> Walk:
    """Steps of Newton's method; `straight` where the curvature is the same everywhere: one step is all."""
    reach, steepest, last = memory or Trust(math.inf, norm_of(here.gradient), False)
    while not last:
        slope = norm_of(here.gradient)
        accuracy = _EXACT if straight else min(0.5, math.sqrt(slope / steepest))
        product = products(here.x)
        step, promised, cut = conjugate(product, here.gradient, reach, accuracy, max(1.0, norm_of(here.x)))
        last = not cut and enough(promised)
        there = searched(loss, here, step, 1.0) if step.any() else None
        if there is None:
            return "converged" if last else None
        rate, length, gone = rate_of(here, there), norm_of(step), norm_of(there.x - here.x)
        share = (here.loss - there.loss) / promised if promised > 0 else 0.0
        if gone < 0.99 * length or share < _FAIR:
            reach = min(gone, 0.5 * length)
        elif share >= _GOOD and cut:
            reach = max(2 * length, gone)
        steepest = max(steepest, slope)
        here = there
        yield Taken(here, rate, Trust(reach, steepest, last))
    return "converged"


def conjugate(
    product: Product, gradient: Array, reach: float, accuracy: float, usual: float
) -> tuple[Array, float, bool]:
    """A step p that makes ⟨g, p⟩ + 1/2 ⟨p, H p⟩ small, the gain it promises, and whether it was cut short.

    It is no longer than `reach`; where the parabola opens downwards it is as long as that, or `usual` if that
    is not known. The residual is brought to `accuracy` times the gradient.
    """
    size = norm_of(gradient)  # what is squared below has about the length 1
    down, reach, usual = gradient / size, reach / size, usual / size
    step, left = np.zeros_like(down), down.copy()  # left = g + H p
    along, square = -left, 1.0

    def done(cut: bool) -> tuple[Array, float, bool]:
        return size * step, -0.5 * float(step @ (down + left)) * size * size, cut

    for _ in range(min(_MOST_PRODUCTS, 2 * gradient.size + 5)):
        with np.errstate(all="ignore"):
            bent = product(along)
            bend = float(along @ bent)
        if not math.isfinite(bend):
            break
        upwards = bend > sys.float_info.epsilon * norm_of(along) * norm_of(bent)
        share = square / bend if upwards else math.inf
        if not upwards or norm_of(step + share * along) >= reach:
            share = _to_border(step, along, reach if upwards or math.isfinite(reach) else usual)
            step, left = step + share * along, left + share * bent
            return done(True)
        step, left = step + share * along, left + share * bent
        new = float(left @ left)
        if math.sqrt(new) <= accuracy or not math.isfinite(new):
            break
        along, square = -left + new / square * along, new
    return done(False)


def _to_border(step: Array, along: Array, reach: float) -> float:
    """t ≥ 0 with ‖step + t along‖ = reach."""
    with np.errstate(over="ignore"):
        a, b, c = float(along @ along), float(step @ along), float(step @ step) - reach * reach
    root = math.sqrt(max(0.0, b * b - a * c))
    return -c / (b + root) if b > 0 else (root - b) / a
