"""How is a network trained? Derive the gradient, write it as code, and walk down with it.

The promise: `train` returns finite parameters whose loss is not above the loss at the start, in the units of
the data as they are, or it raises a `MathError` that says what is wrong and what to do.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gradstep.calculus.derivation import derive
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Size, shape_text
from gradstep.learn.arrays import Checked, array_of, checked, constant_columns
from gradstep.learn.comparison import Score, compared
from gradstep.learn.coordinates import Coordinates, coordinates
from gradstep.learn.descent import Descent, descend, start_parameters
from gradstep.learn.encoding import Prepared
from gradstep.learn.fit import Fit
from gradstep.learn.models import Model
from gradstep.learn.objective import compiled, expression, objective, rows_of
from gradstep.learn.progress import Progress, progress_bar
from gradstep.learn.scaling import Array, Rows, split
from gradstep.learn.structure import affine, name_of, parents, prediction_of, rectifiers
from gradstep.operations.evaluation import evaluate, variables
from gradstep.operations.leaves import symbol_op

Arrays = dict[str, Array]


def train(
    loss: Expr,
    data: Mapping[str, Any],
    wrt: str | Sequence[str] | None = None,
    *,
    optimiser: str = "gradient descent",
    steps: int = 2000,
    learning_rate: float | None = None,
    start: Mapping[str, ArrayLike] | None = None,
    standardise: bool = True,
    holdout: float | ArrayLike = 0.0,
    watch: float | ArrayLike = 0.0,
    tolerance: float = 1e-6,
    batch: int | None = None,
    progress: bool | Progress = False,
    seed: int = 0,
    prediction: Expr | None = None,
    names: Mapping[Expr, str] | None = None,
) -> Fit:
    """Find the parameters `wrt` that make `loss` small on `data`, by its derived and certified gradient.

    `data` are arrays by the names in the loss; all other variables are parameters unless `wrt` says less.
    `start` are parameters to begin with, in the units of the data. `holdout` is a share of the rows (or their
    numbers) to judge the fit with, `watch` a share of the others to stop by: the parameters with the lowest
    loss there are kept. With `standardise` features are brought to spread 1 wherever that can be folded back
    into the weights; `learning_rate` then acts on those. `batch` is the number of rows of a mini-batch.
    `prediction` is what the network answers, where the loss does not show it.

    Everything in the returned `Fit` is in the units of the data. Ctrl-C returns what was reached.
    """
    declared = variables(loss)
    wanted = [wrt] if isinstance(wrt, str) else list(wrt) if wrt is not None else None
    parameters = wanted if wanted is not None else [name for name in declared if name not in data]
    derivation = derive(loss, parameters, names=names)
    given = checked(data, declared, parameters)
    plan = _planned(derivation, given, holdout, watch, seed, prediction)
    fitted, watched = plan.of(plan.train), plan.of(plan.watched)
    units = coordinates(loss, fitted, plan.target, derivation.parameters) if standardise else Coordinates()
    function = compiled(derivation)
    inside = units.data(fitted)
    first = _start(derivation, given.sizes, start, units, inside, seed)
    goal = objective(function, inside)
    with _showing(progress) as show:
        found = descend(
            goal,
            first,
            optimiser=optimiser,
            learning_rate=learning_rate,
            steps=steps,
            tolerance=tolerance,
            progress=show,
            watch=_watching(function, units.data(watched)) if len(plan.watched) else None,
            batches=_batches(function, inside, plan, batch, seed),
        )
    _check_alive(found, derivation, first, inside)
    return _fit(derivation, plan, units, found, function, given)


def train_model(model: Model, prepared: Prepared, **settings: Any) -> Fit:
    """`model` trained on a table: `train`, with what the table knows about names, classes and held-out rows."""
    y = prepared.y
    if model.loss_takes_classes and y.ndim == 1:
        y = np.stack([1 - y, y], axis=1)
    sizes = model.sizes | {"d": prepared.X.shape[1]} | ({"k": y.shape[1]} if y.ndim == 2 else {})
    settings.setdefault("start", model.start(sizes, settings.get("seed", 0)))
    if len(prepared.train) >= FEWEST_TO_WATCH and model.may_overfit:
        settings.setdefault("watch", 0.2)
    fit = train(
        model.loss,
        {model.features: prepared.X, model.target: y},
        list(model.parameters),
        holdout=prepared.test,
        prediction=model.prediction,
        names=model.names,
        **settings,
    )
    return replace(
        fit,
        title=model.title,
        encoder=prepared.encoder,
        feature_names=prepared.feature_names,
        notes=(*model.notes, *fit.notes),
        scores=(replace(fit.scores[0], name=model.title), *fit.scores[1:]) if fit.scores else (),
    )


FEWEST_TO_WATCH = 100
