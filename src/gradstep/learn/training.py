"""How is a network trained? Derive the gradient, write it as code, and walk down with it.

The promise: `train` returns finite parameters whose loss is not above the loss at the start, in the units of
the data as they are, or it raises a `MathError` that says what is wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from gradstep.backends.compiled import Compiled
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.learn.arrays import checked
from gradstep.learn.choices import Choice, derived, order_of, translated
from gradstep.learn.comparison import SURE_ENOUGH, Score, compared, is_linear, judges_classes, remarks
from gradstep.learn.coordinates import Coordinates, coordinates
from gradstep.learn.descent import Batches, Descent, descend
from gradstep.learn.encoding import Prepared
from gradstep.learn.fit import Fit
from gradstep.learn.knowledge import curvature_of, gauss_newton_of, line_of, residuals_of
from gradstep.learn.models import Model
from gradstep.learn.objective import check_memory, needed, objective, watch_of, worth
from gradstep.learn.opening import is_small, read_whole, stored_in, whole
from gradstep.learn.optimisers import Optimiser, optimiser_named
from gradstep.learn.plan import Plan, planned
from gradstep.learn.progress import Progress, shown_by
from gradstep.learn.rounding import rounding_error
from gradstep.learn.scaling import Array
from gradstep.learn.starting import alive, shapes_of, silent_units, start_of
from gradstep.learn.stores import Store
from gradstep.learn.streaming import train_stored
from gradstep.learn.surface import Layout
from gradstep.operations.evaluation import mentioned, variables

Watch: TypeAlias = Callable[[dict[str, Array]], float]

FEWEST_TO_WATCH = 100
SETTINGS = (
    *("optimiser", "steps", "learning_rate", "start", "sizes", "standardise", "holdout", "watch"),
    *("tolerance", "enough", "batch", "progress", "seed", "prediction", "names", "backend", "threads"),
)
ROWS_A_WEIGHT = 20  # with as many rows for each weight a plane does not learn them by heart
FOLDING_ERROR, FOLDING_NOISE = 1e-6, 1e-3


def train(
    loss: Expr,
    data: Mapping[str, Any],
    wrt: str | Sequence[str] | None = None,
    *,
    optimiser: str = "gradient descent",
    steps: int = 2000,
    learning_rate: float | None = None,
    start: Mapping[str, ArrayLike] | None = None,
    sizes: Mapping[str, int] | None = None,
    standardise: bool = True,
    holdout: float | ArrayLike = 0.0,
    watch: float | ArrayLike = 0.0,
    tolerance: float = 1e-6,
    enough: float = 0.0,
    batch: int | None = None,
    progress: bool | Progress = False,
    seed: int = 0,
    prediction: Expr | None = None,
    names: Mapping[Expr, str] | None = None,
    backend: str = "fastest",
    threads: int | None = None,
) -> Fit:
    """Find the parameters `wrt` that make `loss` small on `data`, by its derived and certified gradient.

    `data` are arrays by the names in the loss, paths of .npy files, or what `open_rows` gives; all other
    variables are parameters unless `wrt` says less. Rows that are too many for memory stay in their files.
    `start` are parameters to begin with, in the units of the data, and `sizes` the widths of hidden layers,
    which no data tell. `holdout` is a share of the rows (or their numbers) to judge the fit with, `watch` a
    share of the others to stop by: the parameters with the lowest loss there are kept. A loss below the share
    `enough` of its first value is good enough to stop. With `standardise` features are brought to spread 1,
    and the target to size 1, wherever that can be folded back into the weights; `learning_rate` then acts on
    those. `batch` is the number of rows of a mini-batch. `prediction` is what the network answers, where the
    loss does not show it. `backend` is "numpy", "native" (machine code, by the package llvmlite), or the
    "fastest" of them, with so many `threads`; `fit.report()` says which trained and why.

    Everything in the returned `Fit` is in the units of the data. Ctrl-C returns what was reached. The fit is
    finite with a loss not above the start, or a `MathError` is raised.
    """
    if not isinstance(loss, Expr):
        raise MathError(
            f"train takes an expression, not {type(loss).__name__}", mend='gs.parse(text, X="N d", …)'
        )
    stored = stored_in(data)
    if stored is not None:
        store, beside = stored
        settings = {name: value for name, value in locals().items() if name in SETTINGS}
        if isinstance(data, Store) or not is_small(store):
            return train_stored(loss, store, beside, wrt, **settings)
        fit = train(loss, {**beside, **whole(store)}, wrt, **settings)
        return replace(fit, notes=(read_whole(store), *fit.notes))
    if not isinstance(data, Mapping):
        raise MathError("the data are arrays by name", mend='data={"X": X, "y": y}')
    used = mentioned(loss)
    declared = {name: v for name, v in variables(loss).items() if name in used or name in data}
    chosen = [name for name in used if name not in data] if wrt is None else wrt
    way = Choice(backend, threads, optimiser_named(optimiser), learning_rate, steps, batch, seed)
    wanted = chosen if isinstance(chosen, str) else tuple(chosen)
    task = (loss, wanted, tuple((names or {}).items()))
    derivation = derived(task)
    given = checked(data, declared, derivation.wrt)
    plan = planned(derivation, given, holdout, watch, seed, prediction)
    mine = plan.of(plan.train)
    units = coordinates(loss, mine, plan.target, derivation.parameters) if standardise else Coordinates()
    inside = units.data(mine)
    language, why = way.language(inside, len(plan.train))
    function = translated(task, language, threads)
    needed(function, {*given.arrays, *derivation.wrt})
    shapes = shapes_of(derivation, given.sizes, sizes, start)
    check_memory(function, {**inside, **{name: np.empty(shape) for name, shape in shapes.items()}})
    first, from_user = start_of(derivation, shapes, start, units, plan, seed)
    first = alive(derivation, first, inside, set(from_user))
    known, more = _beyond(way.optimiser, derivation, inside, first)
    machine = way.machine(function, inside, first, plan) if language == "native" else why
    watching = _watch(function, units, plan, enough)
    with shown_by(progress) as show:
        found = descend(
            objective(function, inside),
            first,
            optimiser=optimiser,
            learning_rate=learning_rate,
            steps=steps,
            tolerance=tolerance,
            progress=show,
            watch=watching,
            batches=_batches(function, inside, plan, batch, seed),
            **known,
            machine=None if isinstance(machine, str) else machine,
        )
    notes = (*given.notes, *plan.notes, *units.notes, *derivation.notes, *more, *found.notes)
    ran = way.told(language, why, machine, function, inside, watching is not None)
    notes = (*notes, *silent_units(derivation, found, inside))
    return _fit(derivation, plan, units, found, function, notes, ran)


def train_model(model: Model, prepared: Prepared, **settings: Any) -> Fit:
    """`model` trained on a table: `train`, with what the table knows about names, classes and held-out rows.

    Where a network may learn its rows by heart (hidden layers, or classes and few rows for each weight) it
    stops by the loss on a fifth of the rows, which it does not train with. Classes stop at the latest when
    the loss has fallen to a fiftieth.
    """
    y = prepared.y
    if mentioned(model.loss)[model.target].rank == 2 and y.ndim == 1:
        y = np.stack([1 - y, y], axis=1)
    settings = {**careful(model, prepared, len(prepared.train)), **settings}
    fit = train(
        model.loss,
        {model.features: prepared.X, model.target: y},
        list(model.parameters),
        sizes=model.sizes,
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


def careful(model: Model, prepared: Prepared, rows: int) -> dict[str, float]:
    """When to stop a model that has so many rows to learn from, so that it does not learn them by heart."""
    found = {}
    classes = len(prepared.classes or ())
    weights = (len(prepared.feature_names) + 1) * (classes if classes > 2 else 1)
    deep = any(p.rank > 1 for p in model.parameters.values())
    learns_by_heart = rows < ROWS_A_WEIGHT * weights if model.linear and classes else deep
    if learns_by_heart and rows >= FEWEST_TO_WATCH:
        found["watch"] = 0.2
    if classes:
        found["enough"] = SURE_ENOUGH
    return found


# ------------------------------------------------------------------------------------------- before


def _beyond(
    optimiser: Optimiser, derivation: Derivation, data: Mapping[str, Array], first: Mapping[str, Array]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the optimiser needs beside the gradient, as `descend` calls it, and what has to be said of it."""
    loss = derivation.names[derivation.of]
    if optimiser.needs == "curvature":
        curvature = curvature_of(derivation, data)
        same = ": the same everywhere, so the loss is a parabola" if curvature.constant else ""
        told = f"the curvature of {loss} times a vector is derived and proved like the gradient{same}"
        return {"curvature": curvature}, (told,)
    if optimiser.needs == "line":
        told = f"slope and curvature of {loss} along a line are derived and proved like the gradient"
        return {"line": line_of(derivation, data)}, (told,)
    if optimiser.needs == "residuals":
        residuals = residuals_of(derivation, data, dict(first))
        if residuals is not None:
            straight = ": the same everywhere, so one step is all" if residuals.constant else ""
            told = f"the Jacobian of the residuals r is derived and proved like the gradient{straight}"
            return {"residuals": residuals}, (told,)
        large = "the Jacobian of the residuals would be large: its products with vectors are used instead"
        return {"curvature": gauss_newton_of(derivation, data)}, (large,)
    return {}, ()


def _watch(function: Compiled, units: Coordinates, plan: Plan, enough: float) -> Watch | None:
    """The loss on the watched rows; with `enough` and none of them, on the rows trained with."""
    rows = plan.watched if len(plan.watched) or not enough else plan.train
    return watch_of(objective(function, units.data(plan.of(rows))), enough) if len(rows) else None


def _batches(
    function: Compiled, data: Mapping[str, Array], plan: Plan, batch: int | None, seed: int
) -> Batches | None:
    """The rows in a new random order in every pass, `batch` of them at a time."""
    if batch is None:
        return None
    rows = len(plan.train)
    if not plan.along:
        raise MathError("these data have no rows to make mini-batches of")

    def blocks(turn: int) -> list[Any]:
        order = order_of(rows, seed, turn)
        cuts = np.split(order, range(batch, rows, batch))
        return [objective(function, plan.rows_of(data, cut)) for cut in cuts]

    return blocks


# ------------------------------------------------------------------------------------------- after


def _fit(
    derivation: Derivation,
    plan: Plan,
    units: Coordinates,
    found: Descent,
    function: Compiled,
    notes: Sequence[str],
    ran: Sequence[str],
) -> Fit:
    """What was found, in the units of the data."""
    arrays = units.to_user(found.parameters)
    history = tuple(loss * units.loss for loss in found.history)
    loss, reached = _loss(function, plan.of(plan.train), arrays), found.loss * units.loss
    gained = history[0] - reached
    if not loss <= history[0] + FOLDING_ERROR * (abs(history[0]) + gained):
        raise MathError(
            "the parameters for the data as they are would be too inexact: some feature lies too far from "
            "zero for how little it varies",
            facts=[f"the loss is {reached:.6g} for features of spread 1, {loss:.6g} as they are"],
            mend="features measured from their middle, such as years since 2000",
        )
    if loss > reached + FOLDING_NOISE * gained:
        notes = (
            *notes,
            f"some feature lies far from zero: folding its mean back cost {loss - reached:.3g} of loss",
        )
    layout, mine = Layout.of(arrays), plan.of(plan.train)

    def measured(parameters: Mapping[str, Array]) -> float:
        return _loss(function, mine, parameters)

    held = _loss(function, plan.of(plan.held_out), arrays) if len(plan.held_out) else None
    scores = _scores(derivation, plan, arrays)
    return Fit(
        of=derivation.of,
        parameters={name: value if value.ndim else float(value) for name, value in arrays.items()},
        loss=loss,
        rounding=rounding_error(lambda x: measured(layout.open(x)), layout.start),
        held_out_loss=held,
        history=history,
        steps=found.steps,
        converged=found.converged,
        stopped=found.stopped,
        notes=tuple(dict.fromkeys((*notes, *remarks(plan, scores)))),
        derivation=derivation,
        function=function,
        scores=scores,
        descent=found,
        coordinates=units,
        data=dict(plan.data),
        rows=plan.train,
        watched=plan.watched,
        held_out=plan.held_out,
        prediction=plan.prediction,
        target=plan.target,
        features=plan.features,
        ran=tuple(ran),
    )


def _loss(function: Compiled, data: Mapping[str, Array], parameters: Mapping[str, Array]) -> float:
    with np.errstate(all="ignore"):
        return float(np.asarray(objective(function, data)(dict(parameters))[0]))


def _scores(derivation: Derivation, plan: Plan, parameters: Mapping[str, Array]) -> tuple[Score, ...]:
    """The network beside its baselines, where it is seen what it predicts and for which rows."""
    if plan.prediction is None or plan.target is None or not plan.along:
        return ()
    y = plan.data[plan.target]
    known = {**parameters, **plan.data}
    answers = worth(plan.prediction, known)
    if answers.shape != y.shape or not np.isfinite(answers).all():
        return ()
    classes = judges_classes(plan.prediction, y)
    columns = [plan.data[name].reshape(len(y), -1) for name in plan.along if name != plan.target]
    line = bool(columns) and not (classes and is_linear(derivation, plan.prediction))
    X = np.hstack(columns) if line else None
    return compared("the network", answers, X, y, plan.train, plan.watched, plan.held_out, classes)
