"""What does a trained network say about new data?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.learn.arrays import array_of
from gradstep.learn.columns import Table, listed
from gradstep.learn.encoding import Encoder
from gradstep.learn.objective import worth
from gradstep.learn.scaling import Array
from gradstep.operations.evaluation import mentioned, sizes_of


@record
class Answers:
    """The answers for some rows: numbers, or with classes the likeliest `labels` and their `probabilities`.

    `values` are what the prediction is worth as it stands; `probabilities` (N, k) have a column a class.
    """

    values: Array
    labels: NDArray[Any] | None = None
    probabilities: Array | None = None
    notes: tuple[str, ...] = ()

    __eq__, __hash__ = object.__eq__, object.__hash__  # holds arrays

    @property
    def predicted(self) -> NDArray[Any]:
        """The labels where there are classes, else the numbers."""
        return self.values if self.labels is None else self.labels


@record
class Predictor:
    """A formula with its parameters: all that is needed to answer, and all that a saved model holds.

    prediction  the formula, of the data and the parameters
    loss        what the parameters were trained to make small
    parameters  arrays by name, for data in the user's own units
    features    the variable that a table's features become
    encoder     what each column of a table becomes; None for a model that was trained on plain arrays
    title       "a ReLU neuron"
    """

    prediction: Expr
    loss: Expr
    parameters: dict[str, Array]
    features: str
    encoder: Encoder | None = None
    title: str = "the model"

    __eq__, __hash__ = object.__eq__, object.__hash__  # holds arrays

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The classes of the target, if it has some."""
        return None if self.encoder is None else self.encoder.classes

    @property
    def data(self) -> dict[str, Expr]:
        """The variables that the prediction needs, apart from its parameters."""
        return {name: v for name, v in mentioned(self.prediction).items() if name not in self.parameters}

    def predict(self, data: Any) -> NDArray[Any]:
        """The answer for each row: a number, or the likeliest class where the classes are known.

        `data` is a table, a dictionary of arrays, or the one array that the prediction needs.
        """
        return self.answers(data).predicted

    def answers(self, data: Any) -> Answers:
        """The answers with everything that belongs to them."""
        notes: tuple[str, ...] = ()
        if isinstance(data, Table):
            if self.encoder is None:
                raise MathError("this model was trained on arrays, not on a table", mend='{"X": …}')
            X, notes = self.encoder.apply(data)
            data = {self.features: X}
        values = self.value(data)
        if self.classes is None:
            return Answers(values, notes=notes)
        chances = np.stack([1 - values, values], axis=1) if values.ndim == 1 else values
        labels = np.array(self.classes, dtype=object)[chances.argmax(axis=1)]
        return Answers(values, labels, chances, notes)

    def value(self, data: Any) -> Array:
        """What the prediction is worth: numbers, or probabilities."""
        needed = self.data
        if not isinstance(data, Mapping):
            if len(needed) != 1:
                raise MathError(
                    f"the prediction needs {listed(needed)}: give them by name", mend='{"X": …, …}'
                )
            data = {next(iter(needed)): data}
        absent = [name for name in needed if name not in data]
        if absent:
            raise MathError(f"the prediction needs {absent[0]}", facts=[f"it is given {listed(data)}"])
        arrays = {name: array_of(name, data[name], v.shape)[0] for name, v in needed.items()}
        sizes_of(mentioned(self.prediction), {**self.parameters, **arrays})
        values = worth(self.prediction, {**self.parameters, **arrays})
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0]) if values.ndim else 0
            raise MathError(
                f"the prediction for row {row} is {values.flat[0] if not values.ndim else values[row]}",
                mend="data without NaN, infinity or huge numbers",
            )
        return values
