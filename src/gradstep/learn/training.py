"""How is a network trained? Derive the gradient, write it as code, and walk down with it.

The promise: `train` returns finite parameters whose loss is not above the loss at the start, in the units of
the data as they are, or it raises a `MathError` that says what is wrong and what to do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike

from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.expression.node import Expr
from gradstep.expression.records import replaced
from gradstep.learn.columns import NO_COLUMN
from gradstep.learn.comparison import SURE_ENOUGH
from gradstep.learn.encoding import Prepared
from gradstep.learn.fit import Fit
from gradstep.learn.ground import Manner, ground_for
from gradstep.learn.models import Model
from gradstep.learn.opening import has_names, is_small, open_rows, read_whole, stored_in, whole
from gradstep.learn.penalty import L2, Asked
from gradstep.learn.progress import Progress, foretell, shown_by
from gradstep.operations.evaluation import mentioned

if TYPE_CHECKING:
    from gradstep.learn import checkpoints, prints, reaching, streaming, sweeps, variants
    from gradstep.learn import cluster as clusters
    from gradstep.learn.checkpoints import Checkpoint
else:
    checkpoints = late("gradstep.learn.checkpoints")
    clusters = late("gradstep.learn.cluster")
    prints = late("gradstep.learn.prints")
    reaching = late("gradstep.learn.reaching")
    streaming = late("gradstep.learn.streaming")
    sweeps = late("gradstep.learn.sweeps")
    variants = late("gradstep.learn.variants")

FEWEST_TO_WATCH = 100
TRAINED_HERE = (
    "trained in this process, not on the cluster: so few rows are done here before workers have been asked"
)
SETTINGS = (
    *("optimiser", "steps", "learning_rate", "start", "sizes", "standardise", "holdout", "watch"),
    *("tolerance", "enough", "batch", "progress", "seed", "prediction", "names", "backend", "threads"),
    "checkpoint",
    "exact",
)
ROWS_A_WEIGHT = 20  # with as many rows for each weight a plane does not learn them by heart


@overload
def train(
    loss: Expr,
    data: Any,
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
    l2: Asked | None = None,
    batch: int | None = None,
    progress: bool | Progress = False,
    seed: int = 0,
    prediction: Expr | None = None,
    names: Mapping[Expr, str] | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    backend: str = "fastest",
    threads: int | None = None,
    checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
    every: float | str = 60,
    resume: bool = False,
    cluster: object = None,
    exact: bool = False,
    sweep: None = None,
) -> Fit: ...


@overload
def train(
    loss: Expr,
    data: Any,
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
    l2: Asked | None = None,
    batch: int | None = None,
    progress: bool | Progress = False,
    seed: int = 0,
    prediction: Expr | None = None,
    names: Mapping[Expr, str] | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    backend: str = "fastest",
    threads: int | None = None,
    checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
    every: float | str = 60,
    resume: bool = False,
    cluster: object = None,
    exact: bool = False,
    sweep: Mapping[str, Sequence[Any]],
) -> sweeps.Sweep: ...


def train(
    loss: Expr,
    data: Any,
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
    l2: Asked | None = None,
    batch: int | None = None,
    progress: bool | Progress = False,
    seed: int = 0,
    prediction: Expr | None = None,
    names: Mapping[Expr, str] | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    backend: str = "fastest",
    threads: int | None = None,
    checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
    every: float | str = 60,
    resume: bool = False,
    cluster: object = None,
    exact: bool = False,
    sweep: Mapping[str, Sequence[Any]] | None = None,
) -> Fit | sweeps.Sweep:
    """Find the parameters `wrt` that make `loss` small on `data`, by its derived and certified gradient.

    `data` are arrays by the names in the loss, paths of .npy files, or what `open_rows` gives (a path alone:
    of a table whose column y is to be predicted from the others, X); all other
    variables are parameters unless `wrt` says less. Rows that are too many for memory stay in their files.
    `start` are parameters to begin with, in the units of the data, and `sizes` the widths of hidden layers,
    which no data tell. `holdout` is a share of the rows (or their numbers) to judge the fit with, `watch` a
    share of the others to stop by: the parameters with the lowest loss there are kept. A loss below the share
    `enough` of its first value is good enough to stop. With `standardise` features are brought to spread 1,
    and the target to size 1, wherever that can be folded back into the weights; `learning_rate` then acts on
    those. `l2` adds a penalty, so many times the sum of the squared weights in these units. A weight is a
    parameter that multiplies data, and not a bias; {"w": 0.1, "b": 0.2} says which, and how much.
    `cluster` is "local:4" for so many workers on this machine, the address of a Dask scheduler or its client:
    the workers go through rows in files, and the parameters have the same bits as without them.
    `batch` is the number of rows of a mini-batch. `prediction` is what the network answers, where the
    loss does not show it; `columns` are the names of the columns of an array, to speak of them.
    `backend` is "numpy", "native" (machine code, by the package llvmlite), or the
    "fastest" of them, with so many `threads`; `fit.report()` says which trained and why.

    With `exact` every sum is rounded once, when it is finished: the parameters are then the same to the last
    bit for any order of the rows, any blocks, threads and processor, wherever the loss is made of + − × ÷ √,
    max, min, |x| and comparisons. It takes about thirty times as long.

    `sweep` trains a variant for every combination of the values that it lists by name, each as it would be
    alone on the same held-out rows, and returns a `Sweep`: {"learning_rate": [0.01, 0.1], "seed": [0, 1, 2]}.
    What may be swept are learning_rate, l2, optimiser, seed (of the start and of the order of rows), batch,
    steps, tolerance, and numbers in the formula, such as δ in a loss of Huber. On many rows the variants
    share their passes over the data.

    `checkpoint` is a folder, or a .safetensors file, in which the training is kept `every` so many seconds,
    or "500 steps", and when it ends; with `resume` it goes on from there, to the same bits, and begins where
    nothing is there yet. Another formula, other data or other settings than before are an error; more `steps`
    are not.

    Everything in the returned `Fit` is in the units of the data. Ctrl-C finishes the step, keeps the
    checkpoint and returns what was reached; pressed twice, it stops at once. The fit is finite with a loss
    not above the start, or a `MathError` is raised.
    """
    asked = dict(locals())
    if not isinstance(loss, Expr):
        raise MathError(
            f"train takes an expression, not {type(loss).__name__}", mend='gs.parse(text, X="N d", …)'
        )
    if not isinstance(exact, bool):
        raise MathError(f"exact is True or False, not {exact!r:.40}", mend="exact=True")
    if cluster is not None and not isinstance(cluster, clusters.Cluster):
        reaching.check_cluster(cluster)
    if checkpoint is not None or resume is not False:
        kept = checkpoints.Checkpoint.of(checkpoint, every, resume)
        if kept is not checkpoint:
            again: Any = train
            with kept:  # type: ignore[union-attr]
                found: Fit | sweeps.Sweep = again(**asked | {"checkpoint": kept, "resume": False})
                return found
    settings = {name: value for name, value in locals().items() if name in SETTINGS}
    if isinstance(data, str | os.PathLike):
        with clusters.cluster_of(cluster) as workers:
            try:
                rows = open_rows(data, "y" if has_names(os.fspath(data)) else None, cluster=workers)
            except MathError as error:
                if error.what.startswith(NO_COLUMN) and error.mend is None:
                    error.mend = 'gs.open_rows(path, target="the column to be predicted")'
                raise
            return train(loss, rows, wrt, cluster=workers, sweep=sweep, l2=l2, columns=columns, **settings)
    stored = stored_in(data)
    if stored is not None:
        store, beside = stored
        if checkpoint is not None:
            checkpoint.agree("files", prints.lasting(store.prints()))
        if not isinstance(data, Mapping) or not is_small(store):
            return streaming.train_stored(
                loss, store, beside, wrt, cluster=cluster, sweep=sweep, l2=l2, **settings
            )
        notes = (read_whole(store), *(() if cluster is None else (TRAINED_HERE,)))
        return changed(
            train(
                loss,
                {**beside, **whole(store)},
                wrt,
                sweep=sweep,
                l2=l2,
                columns={**store.columns, **(columns or {})},
                **settings,
            ),
            lambda fit: replace(fit, notes=(*notes, *fit.notes)),
        )
    if cluster is not None:
        return changed(
            train(loss, data, wrt, sweep=sweep, l2=l2, **settings),
            lambda fit: replace(fit, notes=(TRAINED_HERE, *fit.notes)),
        )
    if not isinstance(data, Mapping):
        raise MathError("the data are arrays by name", mend='data={"X": X, "y": y}')
    alone = {"learning_rate": learning_rate, L2: l2, "batch": batch}
    each = [] if sweep is None else variants.asked_for(sweep, loss, data, wrt, alone)
    manner = Manner(
        optimiser,
        learning_rate,
        steps,
        tolerance,
        batch,
        seed,
        enough,
        start,
        sizes,
        backend,
        threads,
        exact=exact,
    )
    manner.choice  # noqa: B018  what was asked for wrongly is said at once
    numbers, l2 = variants.first_numbers(each, loss, l2) if each else ({}, l2)
    ground = ground_for(
        loss,
        {**data, **numbers},
        wrt,
        names=names,
        standardise=standardise,
        holdout=holdout,
        watch=watch,
        seed=seed,
        prediction=prediction,
        l2=l2,
        columns=columns,
        exact=exact,
    )
    with shown_by(progress) as show:
        foretell(show, lambda: ground.faults)
        if each:
            return sweeps.train_variants(ground.fit, manner, each, show, checkpoint)
        return ground.fit(manner, show, checkpoint=checkpoint)


def changed(found: Fit | sweeps.Sweep, change: Callable[[Fit], Fit]) -> Fit | sweeps.Sweep:
    """A fit, or all fits of a sweep, changed."""
    return change(found) if isinstance(found, Fit) else found.each(change)


@overload
def train_model(model: Model, prepared: Prepared, *, sweep: None = None, **settings: Any) -> Fit: ...


@overload
def train_model(
    model: Model, prepared: Prepared, *, sweep: Mapping[str, Sequence[Any]], **settings: Any
) -> sweeps.Sweep: ...


def train_model(
    model: Model, prepared: Prepared, *, sweep: Mapping[str, Sequence[Any]] | None = None, **settings: Any
) -> Fit | sweeps.Sweep:
    """`model` trained on a table: `train`, with what the table knows about names, classes and held-out rows.

    Where a network may learn its rows by heart (hidden layers, or classes and few rows for each weight) it
    stops by the loss on a fifth of the rows, which it does not train with. Classes stop at the latest when
    the loss has fallen to a fiftieth.
    """
    y = prepared.y
    if mentioned(model.loss)[model.target].rank == 2 and y.ndim == 1:
        y = np.stack([1 - y, y], axis=1)
    goal = (prepared.target,) if y.ndim == 1 else prepared.classes or ()
    settings = {**careful(model, prepared, len(prepared.train)), **settings}
    found = train(
        model.loss,
        {model.features: prepared.X, model.target: y},
        list(model.parameters),
        sizes=model.sizes,
        holdout=prepared.test,
        prediction=model.prediction,
        names=model.names,
        columns={model.features: prepared.feature_names, model.target: goal},
        sweep=sweep,
        **settings,
    )

    def of_table(fit: Fit) -> Fit:
        return replace(
            fit,
            title=model.title,
            encoder=prepared.encoder,
            feature_names=prepared.feature_names,
            notes=(*model.notes, *fit.notes),
            scores=(replaced(fit.scores[0], name=model.title), *fit.scores[1:]) if fit.scores else (),
        )

    return changed(found, of_table)


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
