"""What does a penalty add to a loss? λ times the sum of the squared weights, in the units of training.

A weight of a feature that is standardised counts times the spread of its feature, so that the penalty does
not depend on the units of the data, and folds back exactly: with s the spreads, λ ‖s ⊙ w‖² is what λ ‖w‖² is
for features of spread 1. Where the target has a unit too, s holds what makes both sides one loss. A weight is
what multiplies data; what is added to them, a bias, is not penalised unless it is named.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.learn.columns import nearest
from gradstep.learn.coordinates import Coordinates
from gradstep.learn.scaling import Array
from gradstep.learn.structure import multiplies, name_of
from gradstep.operations.evaluation import mentioned
from gradstep.operations.leaves import symbol
from gradstep.operations.products import inner
from gradstep.operations.sums import sum

L2 = "l2"
Asked = float | Mapping[str, float]
"""λ for all weights, or by the name of a parameter."""


@record
class Penalty:
    """A loss with its penalty, and the numbers that it needs; in training the `spreads` among them are 1."""

    loss: Expr
    data: Mapping[str, Array]
    spreads: tuple[str, ...]
    notes: tuple[str, ...]


@record
class Penalised:
    """Which parameters of a loss are penalised, and how much: `amounts` by name.

    weights    the parameters that multiply data
    several    whether each has an amount of its own
    """

    loss: Expr
    parameters: Mapping[str, Expr]
    weights: tuple[str, ...]
    amounts: Mapping[str, float]
    several: bool

    @property
    def fenced(self) -> Expr:
        """The loss in which a penalised bias has another use: it cannot take up the mean of a feature."""
        biases = [self.parameters[name] for name in self.amounts if name not in self.weights]
        found = self.loss
        for bias in biases:
            found = found + _total(bias)
        return found

    def within(self, units: Coordinates) -> Penalty:
        """The loss and its penalty, as it is trained in these units."""
        used, data, spreads = {*mentioned(self.loss), *self.parameters}, dict[str, Array](), list[str]()
        total: dict[str, Expr] = {}
        for name, amount in self.amounts.items():
            weight, called = self.parameters[name], _fresh(f"{L2}_{name}", used) if self.several else L2
            data[called] = np.asarray(amount)
            found, s = _size(name, units), _fresh(f"s_{name}", used)
            term = _total(weight)
            if found is not None:
                size, axis = found
                data[s] = size
                spreads.append(s)
                term = _sized(weight, symbol(s, (weight.shape[axis],) if size.ndim else ""), axis)
            total[called] = total[called] + term if called in total else term
        loss = self.loss
        for called, terms in total.items():
            loss = loss + symbol(called, "") * terms
        return Penalty(loss, data, tuple(spreads), (self.said(spreads),))

    def said(self, spreads: Collection[str]) -> str:
        """What is penalised and what is not, and in which units."""
        others = [name for name in self.parameters if name not in self.amounts]
        multiply = "multiplies" if len(self.amounts) == 1 else "multiply"
        why = "" if self.several else f", which {multiply} data"
        rest = f", not on {', '.join(others)}" if others else ""
        units = f"; for features of spread 1: {', '.join(spreads)} holds the spreads" if spreads else ""
        return f"the penalty is on {', '.join(self.amounts)}{why}{rest}{units}"


def penalised(l2: object, loss: Expr, parameters: Mapping[str, Expr], rows: Collection[str]) -> Penalised:
    """What is asked for by `l2` in a loss whose data with these names have `rows`."""
    if L2 in mentioned(loss):
        raise MathError(
            f"the formula has a number {L2} of its own", mend=f'data={{"{L2}": …}}, or another name for it'
        )
    weights = tuple([name for name, p in parameters.items() if multiplies(p, loss, rows)])
    if isinstance(l2, Mapping):
        for name in l2:
            if name not in parameters:
                raise MathError(
                    f"{name!r:.60} is penalised, and it is no parameter",
                    facts=[f"to be trained: {', '.join(parameters)}"],
                    mend=nearest(str(name), list(parameters)),
                )
        if not l2:
            raise MathError("an empty penalty penalises nothing", mend='l2=0.1, or l2={"w": 0.1}')
        amounts = {name: checked_penalty(value) for name, value in l2.items()}
        return Penalised(loss, parameters, weights, amounts, True)
    amount = checked_penalty(l2)
    if not weights:
        raise MathError(
            "there are no weights to penalise: no parameter multiplies data",
            facts=[f"to be trained: {', '.join(parameters)}"],
            mend=f'l2={{"{next(iter(parameters))}": {amount:g}}}, to penalise one by its name',
        )
    return Penalised(loss, parameters, weights, dict.fromkeys(weights, amount), False)


def _fresh(name: str, used: set[str]) -> str:
    """A name that is not used yet, and is now."""
    while name in used:
        name += "_"
    used.add(name)
    return name


def _total(weight: Expr) -> Expr:
    """Σ wᵢ²."""
    return sum(weight**2) if weight.rank else weight**2


def _sized(weight: Expr, s: Expr, axis: int) -> Expr:
    """Σ (sᵢ wᵢ)², where s has an entry for each place along an axis, or is a number."""
    if not s.rank:
        return s**2 * _total(weight)
    if weight.rank == 1:
        return sum((s * weight) ** 2)
    return inner(s**2, sum(weight**2, axis=tuple([k for k in range(weight.rank) if k != axis])))


def _size(name: str, units: Coordinates) -> tuple[Array, int] | None:
    """How many units of training a unit of a weight is, in the units of the loss: for all of its entries, or
    for each place along an axis.
    """
    unit = 1.0
    if units.unit is not None:
        unit = math.sqrt(units.loss)
        unit /= units.unit.size if name_of(units.unit.layer.affine.weights) == name else 1.0
    for entrance in units.entrances:
        for place in entrance.places:
            if name_of(place.weights) == name:
                scale = np.asarray(entrance.scaler.scale * unit)
                return scale if place.weights.rank else scale.reshape(()), int(place.transposed)
    return None if math.isclose(unit, 1.0, rel_tol=1e-12) else (np.asarray(unit), 0)


def checked_penalty(l2: object) -> float:
    """A penalty; what cannot be one is a `MathError`."""
    real = isinstance(l2, int | float | np.integer | np.floating) and not isinstance(l2, bool)
    if real and 0 <= float(l2) < math.inf:  # type: ignore[arg-type]
        return float(l2)  # type: ignore[arg-type]
    raise MathError(f"a penalty is a finite number from 0 on, not {l2!r:.40}", mend="l2=0.1")


def told_penalty(l2: Asked) -> float | dict[str, float]:
    """As it is put down in a checkpoint."""
    return {name: float(value) for name, value in l2.items()} if isinstance(l2, Mapping) else float(l2)
