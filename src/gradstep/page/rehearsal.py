"""How does a loss train that comes without data? A short way down on data that are made up, as a fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike

from gradstep.calculus.assumptions import tied
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import walk
from gradstep.learn.arrays import Checked
from gradstep.learn.coordinates import Coordinates
from gradstep.learn.descent import descend
from gradstep.learn.fit import Fit
from gradstep.learn.objective import compiled, objective
from gradstep.learn.plan import planned
from gradstep.learn.structure import name_of
from gradstep.page.made_up import Array, MadeUp

STEPS = 200
FEW, REACH = (
    20,
    0.1,
)  # steps where there is no lowest point; how far the first goes, of the length of the start
FAR = 1e3  # times as far from zero as at the start, the loss below or the parameters: this has no end
MOST_PARTS = 120  # a derivation should not wait for its page
MOST_NUMBERS = 200_000  # in all arrays of the loss together
ENDLESS = "The loss has no lowest point: the way down shown here ends after a few steps."
SIGNS = (0, 1)  # of what is made up: of both, and, where that leads nowhere, positive


def rehearse(derivation: Derivation, seed: int = 0) -> tuple[Fit, list[str]]:
    """A short training on made-up data, and how these came about, in sentences.

    `MathError` where the loss cannot be trained.
    """
    for name in derivation.structures:
        raise MathError(f"{name} moves inside its structure only")
    for parameter, fact in tied(derivation.parameters.values()):
        raise MathError(f"{name_of(parameter)} is assumed {fact}, and a step down would not keep it so")
    parts = sum(1 for _ in walk(derivation.of))
    if parts > MOST_PARTS:
        raise MathError(f"its {parts} operations are more than are tried out without data")
    numbers = MadeUp(derivation).numbers
    if numbers > MOST_NUMBERS:
        raise MathError(f"its arrays hold {numbers:,} numbers, too many for a page")
    faults: list[MathError] = []
    for drawn, start, bounded in _ways(derivation, seed):
        try:
            return _trained(drawn, start, bounded), [*drawn.told(), *([] if bounded else [ENDLESS])]
        except MathError as error:
            faults.append(error)
    raise faults[0]


def _ways(derivation: Derivation, seed: int) -> Iterator[tuple[MadeUp, dict[str, Array], bool]]:
    """Data and a start; what is not sure to have a lowest point comes last."""
    for bounded in (True, False):
        for sign in SIGNS:
            drawn = MadeUp(derivation, seed, sign)
            for start in drawn.starts():
                yield drawn, start, bounded


def _trained(drawn: MadeUp, start: Mapping[str, Array], bounded: bool) -> Fit:
    derivation, data = drawn.derivation, drawn.data
    function = compiled(derivation)
    measured = objective(function, data)
    rate = None
    if not bounded:
        with np.errstate(all="ignore"):
            rate = REACH * _length(start.values()) / (_length(measured(dict(start))[1].values()) or 1.0)
    found = descend(measured, start, steps=STEPS if bounded else FEW, learning_rate=rate)
    first, far = found.history[0], _length(found.parameters.values())
    if found.loss >= first:
        raise MathError("no step from where it begins leads further down")
    if bounded and (found.loss < -FAR * abs(first) or far > FAR * (1 + _length(start.values()))):
        raise MathError("the loss falls without bound: it has no lowest point")
    plan = planned(derivation, Checked(dict(data), drawn.sizes, (), {}), 0.0, 0.0, drawn.seed, None)
    return Fit(
        of=derivation.of,
        parameters={name: v if v.ndim else float(v) for name, v in found.parameters.items()},
        loss=found.loss,
        rounding=math.nan,
        held_out_loss=None,
        history=found.history,
        steps=found.steps,
        converged=found.converged,
        stopped=found.stopped,
        notes=(),
        derivation=derivation,
        function=function,
        scores=(),
        descent=found,
        coordinates=Coordinates(),
        data=dict(data),
        rows=plan.train,
        watched=plan.watched,
        held_out=plan.held_out,
        prediction=plan.prediction,
        target=plan.target,
        features=plan.features,
        settings={"learning_rate": rate, "batch": None, "seed": drawn.seed},
    )


def _length(arrays: Iterable[ArrayLike]) -> float:
    return float(np.sqrt(sum(np.sum(np.square(array)) for array in arrays)))
