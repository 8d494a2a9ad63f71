"""How is a model trained on a table that is too large for memory? As on any table, with a survey of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError
from gradstep.expression.records import replaced
from gradstep.learn.checkpoints import Checkpoint, recalled
from gradstep.learn.cluster import Cluster, spread
from gradstep.learn.encoding import Encoder, Number, Prepared, Task, classes_of
from gradstep.learn.fit import Fit
from gradstep.learn.models import Model
from gradstep.learn.predicting import Answers, Predictor
from gradstep.learn.progress import Progress
from gradstep.learn.reading import Change, Clock, Part
from gradstep.learn.scaling import Array
from gradstep.learn.shares import Shares
from gradstep.learn.stores import Store
from gradstep.learn.streaming import train_stored
from gradstep.learn.survey import Survey, surveyed
from gradstep.learn.sweeps import Sweep
from gradstep.learn.training import careful, changed
from gradstep.operations.evaluation import mentioned


@dataclass(frozen=True, eq=False)
class StoredTable:
    """A table in files: what a survey found, and what becomes of its target.

    prepared   a sample of the rows, with names, classes and notes of the whole table
    labels     the values of the target that are classes, in order; None where it is a quantity
    """

    store: Store
    survey: Survey
    prepared: Prepared
    labels: Array | None
    holdout: float

    def changes(self, target: str, rank: int) -> dict[str, Change]:
        """Labels become 0 and 1, or a column for each class."""
        labels = self.labels
        if labels is None or (rank == 1 and np.array_equal(labels, [0, 1])):
            return {}
        unit = np.eye(len(labels), dtype=np.float32)

        def placed(y: Array) -> NDArray[Any]:
            places = np.searchsorted(labels, y)
            return unit[places] if rank == 2 else places.astype(np.float32)

        return {target: placed}


def prepared_rows(
    store: Store,
    target: str,
    *,
    task: Task | None,
    holdout: float,
    progress: Progress | None = None,
    workers: Cluster | None = None,
    checkpoint: Checkpoint | None = None,
) -> StoredTable:
    """The survey of a table whose features are X and whose target is y, and what follows from it."""
    if task not in (None, "regression", "classification"):
        raise MathError(f"a task is regression or classification, not {task!r}", mend='task="regression"')
    shares = Shares.of(holdout, 0.0)
    clock = Clock(show=getattr(progress, "reading", None))
    if workers is not None:
        workers.greet(store)
    rows = spread(Part(store, clock=clock), workers, True)
    survey = recalled(checkpoint, "table", Survey, lambda: surveyed(rows, ["X", "y"], shares.learnt[1], "y"))
    goal = survey.columns["y"]
    distinct = np.array(sorted(goal.distinct))
    found = distinct if store.classes is None else store.classes
    classes, said = classes_of(target, found, store.count, task)
    notes = list(dict.fromkeys([*store.notes, *said, *survey.said(store, "X")]))
    held = Part(store, shares.held).count
    if held:
        notes.append(f"{held:,} of {store.count:,} rows held out to judge the fit: the last of each window")
    features = store.encoded("X", survey.columns["X"].mean)
    encoder = Encoder(target, "regression" if classes is None else "classification", classes, features)
    sample = survey.filled(["X", "y"])
    y = sample["y"]
    if classes is None:
        y = np.concatenate([goal.low, goal.high, y])  # whether it is ever negative is known of all rows
    prepared = Prepared(
        X=sample["X"],
        y=y,
        feature_names=store.columns["X"],
        target=target,
        task=encoder.task,
        classes=classes,
        train=np.arange(len(y)),
        test=np.arange(0),
        rows=np.arange(len(y)),
        notes=tuple(notes),
        encoder=encoder,
    )
    labels = None if classes is None or goal.shape else distinct
    return StoredTable(store, survey, prepared, labels, holdout)


@overload
def train_stored_model(model: Model, table: StoredTable, *, sweep: None = None, **settings: Any) -> Fit: ...


@overload
def train_stored_model(
    model: Model, table: StoredTable, *, sweep: Mapping[str, Sequence[Any]], **settings: Any
) -> Sweep: ...


def train_stored_model(
    model: Model, table: StoredTable, *, sweep: Mapping[str, Sequence[Any]] | None = None, **settings: Any
) -> Fit | Sweep:
    """`model` trained on a table in files: what `train_model` does for one in memory."""
    store, survey, prepared = table.store, table.survey, table.prepared
    rank = mentioned(model.loss)[model.target].rank
    changes = table.changes(model.target, rank)
    if model.target != "y":
        store.rename("y", model.target)
        survey.rename("y", model.target)
    rows = Part(store, Shares.of(table.holdout, 0.0).learnt).count
    settings = {**careful(model, prepared, rows), **settings}
    found = train_stored(
        model.loss,
        store,
        {},
        list(model.parameters),
        sizes=model.sizes,
        holdout=table.holdout,
        prediction=model.prediction,
        names=model.names,
        changes=changes,
        survey=None if changes else survey,
        sweep=sweep,
        **settings,
    )
    told = set(prepared.notes)

    def of_table(fit: Fit) -> Fit:
        return replace(
            fit,
            title=model.title,
            encoder=prepared.encoder,
            feature_names=prepared.feature_names,
            notes=(*model.notes, *(note for note in fit.notes if note not in told)),
            scores=(replaced(fit.scores[0], name=model.title), *fit.scores[1:]) if fit.scores else (),
        )

    return changed(found, of_table)


def answered(predictor: Predictor, store: Store) -> Iterator[tuple[dict[str, Array], Answers]]:
    """The answers for stored rows, window by window, with the columns that they were given for."""
    encoder = predictor.encoder
    features = encoder.features if encoder else ()
    means = [f.mean if isinstance(f, Number) else np.nan for f in features for _ in f.names]
    for arrays in Part(store).timed(store.names):
        X = np.asarray(arrays["X"], dtype=np.float64)
        X = np.where(np.isnan(X), means, X)
        values = predictor.value({predictor.features: X})
        if predictor.classes is None:
            yield arrays, Answers(values)
            continue
        chances = np.stack([1 - values, values], axis=1) if values.ndim == 1 else values
        labels = np.array(predictor.classes, dtype=object)[chances.argmax(axis=1)]
        yield arrays, Answers(values, labels, chances)
