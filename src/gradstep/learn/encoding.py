"""How does a table become numbers that a network can take? And how do its answers get back to the table?

`Encoder.fit(table, target)` decides once, on the training rows, what each column becomes, says every decision
in its notes, and can do the same to new tables. `Scaler` brings features to mean 0 and spread 1 and folds
itself back into the weights, so that the trained formula works on the raw features.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError
from gradstep.expression.records import record
from gradstep.learn.columns import Column, Kind, Table, listed, nearest, shown
from gradstep.learn.features import (
    EMPTY,
    Category,
    Encoded,
    Feature,
    Number,
    Numbers,
    as_texts,
    category_feature,
    check_size,
    feature_json,
    feature_of,
    in_rows,
    label,
    number_feature,
)
from gradstep.learn.saved import fields, spoiled, text_of, texts_of
from gradstep.learn.scaling import Scaler, distinct, split

__all__ = ["Category", "Encoded", "Encoder", "Number", "Prepared", "Scaler", "Task", "split"]

Array: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.intp]
Task: TypeAlias = Literal["regression", "classification"]

FORMAT = 1
_MOST_CLASSES = 100


@record
class Prepared:
    """A table as numbers. `X` is (N, d); `y` is (N,), or one-hot (N, k) for three classes or more.

    With two classes `y` is 1 for `classes[1]`. `train` and `test` are the rows of X and y to fit and to judge
    with (`test` is empty where nothing is held out); `rows[i]` is the row of the table that X[i] came from.
    """

    X: Array
    y: Array
    feature_names: tuple[str, ...]
    target: str
    task: Task
    classes: tuple[str, ...] | None
    train: Rows
    test: Rows
    rows: Rows
    notes: tuple[str, ...]
    encoder: Encoder

    __eq__, __hash__ = object.__eq__, object.__hash__  # holds arrays


@record
class Encoder:
    """What each column becomes, and what the target is: enough to encode a new table in the same way."""

    target: str
    task: Task
    classes: tuple[str, ...] | None
    features: tuple[Feature, ...]

    @classmethod
    def fit(
        cls, table: Table, target: str, *, task: Task | None = None, holdout: float = 0.2, seed: int = 0
    ) -> Prepared:
        """Decide what the columns of `table` become, and encode its rows.

        A category as target means classes. A number as target means classes too if it takes two whole values
        in at least 20 rows, or each of 0, 1 … k−1 with k ≤ 20 and at least 10 rows for each on average;
        `task="regression"` or `"classification"` settles it otherwise. `holdout` of the rows, the same share
        of every class, are kept for judging. Rows without target are left out, and so are constant columns,
        text that differs from row to row, and columns such as "id" that number the rows.
        """
        if task not in (None, "regression", "classification"):
            raise MathError(f"a task is regression or classification, not {task!r}", mend='task="regression"')
        goal = table.column(target)
        known = np.flatnonzero(~goal.missing)
        if len(known) < 2:
            found = "no row" if not len(known) else "only one row"
            raise MathError(
                f"{table.source} has {found} with a value for {shown(target)}: nothing to learn from",
                facts=[f"it has {in_rows(table.rows)} in all"],
            )
        table = table.take(known)
        notes = list(table.notes)
        if len(known) < len(goal.values):
            notes.append(f"{in_rows(len(goal.values) - len(known))} without {shown(target)} left out")
        goal = table.column(target)
        classes, said = classes_of(
            goal.name,
            distinct(goal.values) if goal.kind == "number" else sorted(set(map(str, goal.values))),
            table.rows,
            task,
        )
        notes += said
        labels = None if classes is None else _indices(goal, classes, table)
        train, test = split(table.rows, holdout, seed, labels)
        if len(test):
            notes.append(f"{len(test)} of {in_rows(table.rows)} held out to judge the fit")
        elif holdout:
            notes.append(f"no rows held out: {in_rows(table.rows)} are too few")
        seen = table.take(train)
        features: list[Feature] = []
        reasons: defaultdict[str, list[str]] = defaultdict(list)
        for column in seen.columns.values():
            if column.name != target:
                feature, said = _feature(column, seen)
                if isinstance(feature, str):
                    reasons[feature].append(column.name)
                else:
                    features.append(feature)
                    notes += said
        left_out = [f"left out {listed(names)}: {reason}" for reason, names in reasons.items()]
        if not features:
            raise MathError(
                f"there is nothing to predict {shown(target)} from",
                facts=left_out or [f"{shown(target)} is the only column of {table.source}"],
            )
        encoder = cls(
            goal.name, "regression" if classes is None else "classification", classes, tuple(features)
        )
        X, said_now = encoder.apply(table)
        notes += [*left_out, *said_now]
        if len(train) <= X.shape[1]:
            notes.append(
                f"{X.shape[1]} features for {in_rows(len(train))} in training: a perfect fit may mean nothing"
            )
        return Prepared(
            X=X,
            y=encoder.encode_target(table),
            feature_names=encoder.feature_names,
            target=goal.name,
            task=encoder.task,
            classes=classes,
            train=train,
            test=test,
            rows=known,
            notes=tuple(notes),
            encoder=encoder,
        )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns of X, such as "age" and "sex=male"."""
        return tuple(name for feature in self.features for name in feature.names)

    @property
    def kinds(self) -> dict[str, Kind]:
        """What each column holds, for `read_table(path, kinds=…)` on new data."""
        return {feature.column: feature.kind for feature in self.features}

    def apply(self, table: Table) -> Encoded:
        """X for the rows of another table; columns it does not need may be missing or more."""
        absent = [feature.column for feature in self.features if feature.column not in table.columns]
        if absent:
            raise MathError(
                f"{table.source} has no column {shown(absent[0])}, which the model needs",
                facts=[f"it has {listed(table.columns)}", f"missing: {listed(absent)}"],
                mend=nearest(absent[0], [name for name in table.columns if name not in self.kinds]),
            )
        parts = [feature.encode(table.columns[feature.column], table) for feature in self.features]
        return Encoded(
            np.hstack([part.X for part in parts]), tuple(note for part in parts for note in part.notes)
        )

    def encode_target(self, table: Table) -> Array:
        """y for the rows of a table that has the target in every row."""
        column = table.column(self.target)
        if column.missing.any():
            row = int(np.flatnonzero(column.missing)[0])
            raise MathError(f"{shown(self.target)} has no value {table.place(row)}")
        if self.classes is None:
            if column.kind != "number":
                raise MathError(f"the target {shown(self.target)} should hold numbers, as in training")
            check_size(self.target, column.values, table)
            return column.values.astype(np.float64)
        at = _indices(column, self.classes, table)
        return at.astype(np.float64) if len(self.classes) == 2 else np.eye(len(self.classes))[at]

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values, which `from_json` reads back."""
        return {
            "format": FORMAT,
            "target": self.target,
            "task": self.task,
            "classes": None if self.classes is None else list(self.classes),
            "features": [feature_json(feature) for feature in self.features],
        }

    @classmethod
    def from_json(cls, data: object) -> Encoder:
        """The encoder that `to_json` wrote; anything else is an error, and nothing in it is ever run."""
        given = fields(data, ("format", "target", "task", "classes", "features"), "an encoder")
        if given["format"] != FORMAT:
            raise MathError(
                f"this encoder has format {given['format']!r}, and this gradstep reads {FORMAT}",
                mend="a newer gradstep" if isinstance(given["format"], int) else None,
            )
        task: Task = "classification" if given["classes"] is not None else "regression"
        if given["task"] != task:
            raise spoiled("its task does not fit its classes")
        if not isinstance(given["features"], list) or not given["features"]:
            raise spoiled("it has no features")
        classes = None if given["classes"] is None else texts_of(given["classes"], "classes", least=2)
        encoder = cls(
            text_of(given["target"], "target"), task, classes, tuple(map(feature_of, given["features"]))
        )
        if len(encoder.kinds) != len(encoder.features) or encoder.target in encoder.kinds:
            raise spoiled("a column occurs twice")
        return encoder


# --- What a column becomes. ---


def _feature(column: Column, table: Table) -> tuple[Feature | str, list[str]]:
    """The feature for a column of the training rows with what is to be said; or why it is left out."""
    present = column.values[~column.missing]
    if column.kind == "category":
        counts = Counter(map(str, present))
        return category_feature(column.name, counts, len(column.values) - len(present))
    check_size(column.name, column.values, table)
    if not len(present):
        return EMPTY, []
    counting = len(distinct(present)) == table.rows and bool((present == np.round(present)).all())
    found = Numbers(len(present), float(present.min()), float(present.max()), float(present.mean()), counting)
    return number_feature(column.name, found), []


def classes_of(
    goal: str, found: Array | Sequence[str], rows: int, task: Task | None
) -> tuple[tuple[str, ...] | None, list[str]]:
    """The classes of a target, or None where it is a quantity; and what is to be said about it.

    `found` are its different values, numbers in order or texts, which it takes in so many rows.
    """
    name = shown(goal)
    if isinstance(found, np.ndarray):
        if len(found) == 1:
            raise MathError(f"the target {name} is {label(found[0])} in every row: there is nothing to learn")
        whole = bool((found == np.round(found)).all())
        counting = whole and np.array_equal(found, np.arange(len(found)))
        enough = rows >= 10 * len(found)
        if task == "regression" or (
            task is None and not (enough and ((whole and len(found) == 2) or (counting and len(found) <= 20)))
        ):
            few = task is None and whole and enough and len(found) <= 20
            said = f"{name} takes {len(found)} whole values: fitted as a number"
            return None, [said + ' (task="classification" for classes)'] if few else []
        labels = [label(value) for value in found]
        said = f"{name} takes the values {listed(labels)}: read as {len(labels)} classes"
        notes = [] if task else [said + ' (task="regression" to fit a number)']
    else:
        labels = sorted(found)
        if task == "regression":
            raise MathError(
                f"the target {name} holds text, so it cannot be fitted as a number",
                facts=[f"it holds {listed(labels, 4)}"],
                mend='task="classification"',
            )
        if len(labels) == 1:
            raise MathError(
                f"the target {name} is {shown(labels[0])} in every row: there is nothing to learn"
            )
        notes = [f"{name} is a category: {len(labels)} classes ({listed(labels, 6)})"]
    if len(labels) > _MOST_CLASSES or 2 * len(labels) > rows:
        raise MathError(
            f"the target {name} has {len(labels)} values in {in_rows(rows)}: too many for classes",
            facts=[f"such as {listed(labels, 4)}"],
            mend='task="regression"'
            if isinstance(found, np.ndarray)
            else "a column with fewer values as the target",
        )
    if len(labels) == 2:
        notes.append(f"the model gives the probability of {shown(labels[1])}")
    return tuple(labels), notes


def _indices(column: Column, classes: Sequence[str], table: Table) -> Rows:
    place = {label: at for at, label in enumerate(classes)}
    texts = as_texts(column)
    for row, text in enumerate(texts):
        if text not in place:
            raise MathError(
                f"the target {shown(column.name)} has a class that training did not have",
                facts=[f"{shown(text)} {table.place(row)}", f"the classes are {listed(classes)}"],
            )
    return np.array([place[str(text)] for text in texts], dtype=np.intp)
