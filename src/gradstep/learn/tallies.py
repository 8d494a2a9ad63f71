"""How good are answers for rows in files? Measures added up window by window, beside the mean and a line."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from gradstep.backends import compile_outputs
from gradstep.backends.blocks import InMemory
from gradstep.backends.compiled import Compiled
from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.learn.comparison import Measures, Score, judges_classes, measures
from gradstep.learn.plan import Plan
from gradstep.learn.reading import Part
from gradstep.learn.scaling import Array
from gradstep.learn.survey import Survey

FEW = 8  # functions that are remembered


def scored(
    part: Part, plan: Plan, survey: Survey, learnt: float, known: Mapping[str, Array]
) -> tuple[Score, ...]:
    """The network beside the mean and a straight line, in one pass over all rows.

    The first share `learnt` of each window was learned from. `known` are the parameters, and data that have
    no rows.
    """
    target, given = plan.target, list(survey.columns)
    if plan.prediction is None or target is None or target not in part.store.names:
        return ()
    classes = judges_classes(plan.prediction, plan.data[target])
    line = None if classes else survey.line()
    if line is not None and set(survey.lined) != set(given):
        line = None
    mean = survey.columns[target].mean.reshape(survey.columns[target].shape)
    fixed = {name: np.asarray(value, part.kind) for name, value in known.items()}
    lined = {name: survey.columns[name].fits_short for name in survey.lined[:-1]}
    tallies = part.total(Tallying(plan.prediction, fixed, target, mean, line, lined, learnt, classes), given)
    if tallies is None:
        return ()
    called = {"the mean": "the commonest class"} if classes else {}
    return tuple(tally.score(called.get(name, name)) for name, tally in tallies.items() if tally.rows[0])


@record
class Tallying:
    """The work of scoring: a tally by method for each window, or nothing where an answer is no number.

    fixed    parameters, and data that have no rows
    line     weights and level of a straight line, if there is one
    lined    the arrays that it is of, and whether float32 holds what comes up in them
    learnt   the share of each window that was learned from
    """

    prediction: Expr
    fixed: Mapping[str, Array]
    target: str
    mean: Array
    line: tuple[Array, Array] | None
    lined: Mapping[str, bool]
    learnt: float
    classes: bool

    def __call__(self, window: InMemory) -> dict[str, _Tally] | None:
        arrays = window.arrays
        y = np.asarray(arrays[self.target], dtype=np.float64)
        methods = {"the network": answering(self.prediction, self.fixed)(arrays)}
        if methods["the network"].shape != y.shape or not np.isfinite(methods["the network"]).all():
            return None
        if self.line is not None:
            methods["straight line"] = np.array(np.broadcast_to(self.line[1], y.shape))
            at = 0
            for name, short in self.lined.items():
                X = arrays[name].reshape(len(y), -1)
                weights = self.line[0][at : at + X.shape[1]].astype(X.dtype if short else np.float64)
                methods["straight line"] += X @ weights
                at += X.shape[1]
        methods["the mean"] = np.broadcast_to(self.mean, y.shape)
        border = math.floor(len(y) * self.learnt + 1e-9)
        tallies = {name: _Tally() for name in methods}
        for name, found in methods.items():
            tallies[name].add(y, found, border, self.classes)
        return tallies

    def added(
        self, one: dict[str, _Tally] | None, other: dict[str, _Tally] | None
    ) -> dict[str, _Tally] | None:
        return None if one is None or other is None else {name: t + other[name] for name, t in one.items()}


def answering(prediction: Expr, fixed: Mapping[str, Array]) -> Callable[[Mapping[str, Array]], Array]:
    """What a prediction is worth for the rows of a window."""
    function = _function_of(prediction)
    names = [given.name for given in function.program.inputs]

    def answer(arrays: Mapping[str, Array]) -> Array:
        with np.errstate(all="ignore"):
            found = function.raw(*({**fixed, **arrays}[name] for name in names))
        return np.asarray(found, dtype=np.float64)

    return answer


@lru_cache(FEW)
def _function_of(prediction: Expr) -> Compiled:
    return compile_outputs({"": prediction})


@dataclass
class _Tally:
    """Measures of answers, added up over windows: on the rows learned from, and on those held out."""

    rows: list[int] = field(default_factory=lambda: [0, 0])
    sums: list[dict[str, float]] = field(default_factory=lambda: [{}, {}])

    def add(self, y: Array, answers: Array, border: int, classes: bool) -> None:
        for side, rows in enumerate((slice(border), slice(border, None))):
            count = len(y[rows])
            if count:
                self.rows[side] += count
                for name, value in measures(y[rows], answers[rows], classes).items():
                    self.sums[side][name] = self.sums[side].get(name, 0.0) + count * value

    def __add__(self, other: _Tally) -> _Tally:
        both = [
            {name: one.get(name, 0.0) + more.get(name, 0.0) for name in {**one, **more}}
            for one, more in zip(self.sums, other.sums, strict=True)
        ]
        return _Tally([one + more for one, more in zip(self.rows, other.rows, strict=True)], both)

    def score(self, name: str) -> Score:
        training, held = (self._mean(side) if self.rows[side] else None for side in (0, 1))
        return Score(name, training or {}, held)

    def _mean(self, side: int) -> Measures:
        found = {name: total / self.rows[side] for name, total in self.sums[side].items()}
        if "mean squared error" in found:
            found["typical error"] = math.sqrt(found["mean squared error"])
        return found
