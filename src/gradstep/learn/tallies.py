"""How good are answers for rows in files? Measures added up window by window, beside the mean and a line."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from gradstep.backends import compile_outputs
from gradstep.expression.node import Expr
from gradstep.learn.comparison import Measures, Score, judges_classes, measures
from gradstep.learn.plan import Plan
from gradstep.learn.reading import Part
from gradstep.learn.scaling import Array
from gradstep.learn.survey import Survey


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
    answer = answering(plan.prediction, {name: np.asarray(v, part.kind) for name, v in known.items()})
    line = None if classes else survey.line()
    if line is not None and set(survey.lined) != set(given):
        line = None
    mean = survey.columns[target].mean.reshape(survey.columns[target].shape)
    tallies = {"the network": _Tally(), "straight line": _Tally(), "the mean": _Tally()}
    for arrays in part.timed(given):
        y = np.asarray(arrays[target], dtype=np.float64)
        methods = {"the network": answer(arrays), "the mean": np.broadcast_to(mean, y.shape)}
        if methods["the network"].shape != y.shape or not np.isfinite(methods["the network"]).all():
            return ()
        if line is not None:
            methods["straight line"] = np.array(np.broadcast_to(line[1], y.shape))
            at = 0
            for name in survey.lined[:-1]:
                X = arrays[name].reshape(len(y), -1)
                kind = X.dtype if survey.columns[name].fits_short else np.float64
                methods["straight line"] += X @ line[0][at : at + X.shape[1]].astype(kind)
                at += X.shape[1]
        border = math.floor(len(y) * learnt + 1e-9)
        for name, found in methods.items():
            tallies[name].add(y, found, border, classes)
    called = {"the mean": "the commonest class"} if classes else {}
    return tuple(tally.score(called.get(name, name)) for name, tally in tallies.items() if tally.rows[0])


def answering(prediction: Expr, fixed: Mapping[str, Array]) -> Callable[[Mapping[str, Array]], Array]:
    """What a prediction is worth for the rows of a window."""
    function = compile_outputs({"": prediction})
    names = [given.name for given in function.program.inputs]

    def answer(arrays: Mapping[str, Array]) -> Array:
        with np.errstate(all="ignore"):
            found = function.raw(*({**fixed, **arrays}[name] for name in names))
        return np.asarray(found, dtype=np.float64)

    return answer


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

    def score(self, name: str) -> Score:
        training, held = (self._mean(side) if self.rows[side] else None for side in (0, 1))
        return Score(name, training or {}, held)

    def _mean(self, side: int) -> Measures:
        found = {name: total / self.rows[side] for name, total in self.sums[side].items()}
        if "mean squared error" in found:
            found["typical error"] = math.sqrt(found["mean squared error"])
        return found
