"""How exactly is a loss known? Its rounding errors are seen in places so near that it should not change.

Moré and Wild ("Estimating computational noise", SIAM J. Sci. Comput. 2011): fourth differences take away all
that is smooth; what is left are rounding errors, whatever the loss and in whatever order it is added up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from gradstep.learn.optimisers import Array

_PLACES, _ORDER = 14, 4
_APART = 2.0**-42  # of each entry: far enough for other rounding errors, near enough for nothing else


def rounding_error(loss: Callable[[Array], float], x: Array) -> float:
    """The standard deviation of the rounding errors of `loss` near x; NaN where it is not finite there."""
    return noise_in([loss(place) for place in places_near(x)])


def places_near(x: Array) -> list[Array]:
    """Places at which the losses tell the rounding errors near x."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=x.shape)
    apart = _APART * np.where(x == 0, 1.0, x) * signs
    return [x + k * apart for k in range(_PLACES)]


def noise_in(losses: Sequence[float]) -> float:
    """The standard deviation of the rounding errors in the losses at these places."""
    with np.errstate(all="ignore"):
        differences = np.diff(np.array(losses), _ORDER)
        size = float(np.abs(differences).max())
        if not 0 < size < math.inf:
            return 0.0 if size == 0 else math.nan
        spread = size * float(np.sqrt(np.mean((differences / size) ** 2)))
    return spread / math.sqrt(math.comb(2 * _ORDER, _ORDER))
