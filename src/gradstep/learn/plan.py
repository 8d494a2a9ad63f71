"""Which rows train, which tell when to stop, and which judge? And what is it that the network predicts?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.expression.shapes import Size
from gradstep.learn.arrays import Checked
from gradstep.learn.scaling import Array, Rows, distinct, split
from gradstep.learn.structure import entrances, prediction_of
from gradstep.operations.evaluation import mentioned, variables


@record
class Plan:
    """The data of a training, and who does what.

    `along` are the variables that have an entry for each row; `train`, `watched` and `held_out` are the rows
    to fit with, to stop by and to judge with. `target` is the variable that `prediction` is compared with,
    `features` the one that it is made of, where there is only one.
    """

    data: Mapping[str, Array]
    along: tuple[str, ...]
    train: Rows
    watched: Rows
    held_out: Rows
    target: str | None
    prediction: Expr | None
    features: str | None
    notes: tuple[str, ...]

    def of(self, rows: Rows) -> dict[str, Array]:
        """The data with only these rows."""
        return self.rows_of(self.data, rows)

    def rows_of(self, data: Mapping[str, Array], rows: Rows) -> dict[str, Array]:
        """Other data of the same rows with only these of them."""
        return {name: values[rows] if name in self.along else values for name, values in data.items()}


def planned(
    derivation: Derivation,
    given: Checked,
    holdout: float | ArrayLike,
    watch: float | ArrayLike,
    seed: int,
    prediction: Expr | None,
) -> Plan:
    """The plan for these data; `holdout` and `watch` are shares of the rows, or row numbers."""
    declared = {name: v for name, v in variables(derivation.of).items() if name in given.arrays}
    target, answer = compared_in(derivation, declared)
    prediction = answer if prediction is None else prediction
    if prediction is not None:
        _check_prediction(prediction, derivation, given)
    axis = _rows_axis(declared, derivation, target)
    along = tuple(name for name, v in declared.items() if axis is not None and v.shape[:1] == (axis,))
    count = given.sizes[axis] if isinstance(axis, str) else 0
    notes = []
    if axis is None and (np.size(holdout) > 1 or holdout or np.size(watch) > 1 or watch):
        raise MathError(
            "no rows can be held out: the data have no axis that the parameters do not have",
            mend="no holdout and no watch",
        )
    labels = _labels(target, prediction, given)
    rest, held_out = _parted(np.arange(count), holdout, seed, labels)
    train, watched = _parted(rest, watch, seed + 1, labels)
    for share, taken, there, what in (
        (holdout, held_out, count, "held out"),
        (watch, watched, len(rest), "watched"),
    ):
        if np.ndim(share) == 0 and share and not len(taken):
            notes.append(f"no rows are {what}: a share of {share:g} of {there} rows is too few")
    if len(watched):
        notes.append(
            f"{len(watched)} of {count - len(held_out)} rows tell when to stop and are not trained with"
        )
    needed = [name for name in (mentioned(prediction) if prediction is not None else ()) if name in declared]
    return Plan(
        given.arrays,
        along,
        train,
        watched,
        held_out,
        target,
        prediction,
        needed[0] if len(needed) == 1 else None,
        tuple(notes),
    )


def compared_in(derivation: Derivation, declared: Mapping[str, Expr]) -> tuple[str | None, Expr | None]:
    """The variable that the loss compares with a prediction, and the prediction."""
    trained = set(derivation.parameters.values())
    for name, variable in declared.items():
        if variable.rank and not entrances(derivation.of, variable, trained):
            prediction = prediction_of(derivation.of, variable, trained)
            needed = set(mentioned(prediction)) if prediction is not None else set()
            if name not in needed and needed & set(declared):
                return name, prediction
    return None, None


def _check_prediction(prediction: Expr, derivation: Derivation, given: Checked) -> None:
    if not isinstance(prediction, Expr):
        raise MathError(f"a prediction is an expression, not {type(prediction).__name__}")
    for name in mentioned(prediction):
        if name not in given.arrays and name not in derivation.parameters:
            raise MathError(f"the prediction needs {name}, which is neither data nor trained")


def _rows_axis(declared: Mapping[str, Expr], derivation: Derivation, target: str | None) -> Size | None:
    """The axis of the rows: one that data carry first, and only first, and that no parameter carries."""
    carried = {size for parameter in derivation.parameters.values() for size in parameter.shape}
    later = {size for variable in declared.values() for size in variable.shape[1:]}
    order = [declared[target]] if target else []
    for variable in [*order, *declared.values()]:
        for size in variable.shape[:1]:
            if isinstance(size, str) and size not in carried | later:
                return size
    return None


def _labels(target: str | None, prediction: Expr | None, given: Checked) -> Array | None:
    """The class of every row, if the target holds classes: each class then gives its share."""
    if target is None or prediction is None or prediction.op.name not in ("softmax", "sigmoid"):
        return None
    y = given.arrays[target]
    return (
        np.asarray(y.argmax(axis=1), dtype=np.float64)
        if y.ndim == 2
        else y
        if len(distinct(y)) == 2
        else None
    )


def _parted(rows: Rows, part: float | ArrayLike, seed: int, labels: Array | None) -> tuple[Rows, Rows]:
    """The rows that stay, and the part that is taken away: a share of them, or rows by number."""
    if isinstance(part, bool | int | float | str) or part is None:
        kept, taken = split(len(rows), part, seed, None if labels is None else labels[rows])  # type: ignore[arg-type]
        return rows[kept], rows[taken]
    chosen = np.asarray(part)
    if chosen.dtype.kind == "b" and chosen.shape == rows.shape:
        chosen = rows[chosen]
    if chosen.ndim != 1 or (
        chosen.size and (chosen.dtype.kind not in "iu" or not np.isin(chosen, rows).all())
    ):
        raise MathError(
            "rows are held out by a share or by their numbers",
            facts=[f"there are {len(rows)} rows"],
            mend="holdout=0.2",
        )
    stay = rows[~np.isin(rows, chosen)]
    if rows.size and not stay.size:
        raise MathError("no rows are left to train with", mend="holdout=0.2")
    return stay, distinct(chosen).astype(np.intp)
