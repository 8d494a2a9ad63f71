"""What does a penalty add to a loss? λ times the sum of the squared weights, in the units of training.

A weight of a feature that is standardised counts times the spread of its feature, so that the penalty does
not depend on the units of the data, and folds back exactly: with s the spreads, λ ‖s ⊙ w‖² is what λ ‖w‖² is
for features of spread 1. Where the target has a unit too, s holds what makes both sides one loss. Biases are
not penalised.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.learn.coordinates import Coordinates
from gradstep.learn.scaling import Array
from gradstep.learn.structure import name_of
from gradstep.operations.evaluation import mentioned
from gradstep.operations.leaves import symbol
from gradstep.operations.products import inner
from gradstep.operations.sums import sum

L2 = "l2"


@record
class Penalty:
    """A loss with its penalty, and the numbers that it needs; in training the `spreads` among them are 1."""

    loss: Expr
    data: Mapping[str, Array]
    spreads: tuple[str, ...]
    notes: tuple[str, ...]


def penalised(loss: Expr, parameters: Mapping[str, Expr], units: Coordinates, l2: float) -> Penalty:
    """The loss and l2 times the squares of the weights, as it is trained in these units."""
    used = mentioned(loss)
    if L2 in used:
        raise MathError(
            f"the formula has a number {L2} of its own", mend=f'data={{"{L2}": …}}, or another name for it'
        )
    weights = {n: p for n, p in parameters.items() if p.rank and not n.startswith("b")}
    if not weights:
        raise MathError("there are no weights to penalise", facts=[f"to be trained: {', '.join(parameters)}"])
    data = {L2: np.asarray(checked_penalty(l2))}
    total: Expr | None = None
    for name, weight in weights.items():
        term = sum(weight**2)
        size = _size(name, units)
        if size is not None:
            called = f"s_{name}"
            while called in used:
                called += "_"
            data[called] = size
            s = symbol(called, weight.shape[: size.ndim])
            rows = weight**2 if weight.rank == 1 else sum(weight**2, axis=tuple(range(1, weight.rank)))
            term = sum((s * weight) ** 2) if weight.rank == 1 else inner(s**2, rows)
            term = term if size.ndim else s**2 * sum(weight**2)
        total = term if total is None else total + term
    assert total is not None
    spreads = tuple(name for name in data if name != L2)
    said = f"the penalty is on weights for features of spread 1: {', '.join(spreads)} holds the spreads"
    return Penalty(loss + symbol(L2, "") * total, data, spreads, (said,) if spreads else ())


def _size(name: str, units: Coordinates) -> Array | None:
    """How many units of training a unit of a weight is, for each of its rows, in the units of the loss."""
    scales = [
        entrance.scaler.scale
        for entrance in units.entrances
        for place in entrance.places
        if name_of(place.weights) == name
    ]
    unit = 1.0
    if units.unit is not None:
        unit = math.sqrt(units.loss)
        unit /= units.unit.size if name_of(units.unit.layer.affine.weights) == name else 1.0
    if scales:
        return np.asarray(scales[0] * unit)
    return np.asarray(unit) if not math.isclose(unit, 1.0, rel_tol=1e-12) else None


def checked_penalty(l2: object) -> float:
    """A penalty; what cannot be one is a `MathError`."""
    real = isinstance(l2, int | float | np.integer | np.floating) and not isinstance(l2, bool)
    if real and 0 <= float(l2) < math.inf:  # type: ignore[arg-type]
        return float(l2)  # type: ignore[arg-type]
    raise MathError(f"a penalty is a finite number from 0 on, not {l2!r:.40}", mend="l2=0.1")
