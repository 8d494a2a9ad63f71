"""Neurons and networks as estimators of scikit-learn: for its pipelines, its grid search, its metrics.

    from gradstep.estimators import NeuronRegressor
    NeuronRegressor().fit(X, y).predict(X)

They are trained by `gs.train`, with the derived and certified gradient: `derivation_` shows it line by line.
Rows may be Dask arrays or data frames: then the workers of the current client train, chunk by chunk.
Needs the extra `gradstep[sklearn]`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_n_features,
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from gradstep.calculus.derivation import derive
from gradstep.calculus.steps import Derivation
from gradstep.estimated import WEIGHTS, modelled, shape_of
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.learn.chunks import (
    ChunkStore,
    as_array,
    by_chunks,
    classes_in,
    current_client,
    is_collection,
    placed,
)
from gradstep.learn.models import Model
from gradstep.learn.objective import worth
from gradstep.learn.training import train
from gradstep.learn.weights import merged
from gradstep.operations.evaluation import mentioned

__all__ = ["NetworkClassifier", "NetworkRegressor", "NeuronRegressor"]

Array = NDArray[Any]
Shapes = Mapping[str, str | Sequence[str | int]]

SOLVER = "l-bfgs"


class _Network(BaseEstimator):  # type: ignore[misc]
    """What the estimators share: a model, its training, and what is known afterwards."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "optimiser": [str],
        "learning_rate": [None, Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [None, Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
    }

    parameters_: dict[str, Array]
    answer_: str
    loss_: float
    loss_curve_: list[float]
    faults_: tuple[str, ...]
    n_iter_: int

    # What a subclass says.

    def _answer(self, y: Array) -> str:
        """Which last layer fits the target."""
        raise NotImplementedError

    def _hidden(self) -> tuple[int, ...]:
        return ()

    def _model(self, answer: str, weights: bool = False) -> Model:
        """The network and its loss, with a penalty and with weights of the rows where they are asked for."""
        loss = getattr(self, "loss", None)
        shapes = getattr(self, "shapes", None)
        known = tuple(sorted((name, shape_of(shape)) for name, shape in (shapes or {}).items()))
        return modelled(answer, self._hidden(), loss, known, float(self.alpha), weights)

    # Training.

    def _train(self, X: Any, target: Any, answer: str, weights: Any, passes: int | None) -> None:
        """Fit to these arrays; `passes` continues from where it is, so many steps."""
        if len(X) < 2:
            raise ValueError(f"a network is not trained on {len(X)} sample")
        spread = is_collection(X)
        if not spread:
            X, target, weights = merged(X, target, weights)
        model = self._model(answer, weights is not None)
        data: Any = {model.features: X, model.target: target}
        if weights is not None:
            data[WEIGHTS] = weights
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        going_on = hasattr(self, "parameters_") and (self.warm_start or passes is not None)
        try:
            client = current_client() if spread else None
            fit = train(
                model.loss,
                ChunkStore(data, client) if spread else data,
                list(model.parameters),
                optimiser=self.optimiser,
                learning_rate=self.learning_rate,
                steps=self.max_iter if passes is None else passes,
                batch=self.batch_size,
                tolerance=self.tol,
                start=self.parameters_ if going_on else None,
                sizes=model.sizes,
                prediction=model.prediction,
                names=model.names,
                columns=self._columns(model.features),
                seed=seed,
                cluster=client,
            )
        except MathError as error:
            raise ValueError(str(error)) from None
        curve = [float(loss) for loss in fit.history]
        self.answer_ = answer
        self.parameters_ = {name: np.asarray(value) for name, value in fit.parameters.items()}
        self.loss_ = float(fit.loss)
        before = getattr(self, "loss_curve_", []) if passes is not None else []
        self.loss_curve_ = [*before, *curve[1:]] if before else curve
        self.n_iter_ = max(1, fit.steps) + (getattr(self, "n_iter_", 0) if passes is not None else 0)
        self.converged_ = bool(fit.converged)
        self.faults_ = fit.faults
        for fault in fit.faults if passes is None else ():
            warnings.warn(fault, stacklevel=4)
        if passes is None and fit.stopped == "steps":
            warnings.warn(
                f"{self.max_iter} steps were not enough: max_iter={4 * self.max_iter}, or a larger tol",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _collected(self, X: Any, reset: bool) -> Any:
        """The rows of a collection of Dask, seen to fit what was seen before."""
        rows = as_array("X", X)
        if rows.ndim != 2:
            raise ValueError(f"X is a matrix, a row for each sample, but it has {rows.ndim} axis")
        _check_n_features(self, rows, reset=reset)
        if reset and hasattr(X, "columns"):
            self.feature_names_in_ = np.asarray(list(X.columns), dtype=object)
        return rows

    def _columns(self, features: str) -> dict[str, list[str]]:
        """The names of the columns, where the data had names."""
        names = getattr(self, "feature_names_in_", None)
        return {} if names is None else {features: list(map(str, names))}

    @property
    def derivation_(self) -> Derivation:
        """The gradient of the loss, line by line, with its certificate."""
        check_is_fitted(self)
        model = self._model(self.answer_)
        return derive(model.loss, list(model.parameters), names=model.names)

    def _values(self, X: ArrayLike) -> Array:
        """What the network answers: numbers, or probabilities."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        model = self._model(self.answer_)
        if model.prediction is None:
            raise ValueError("no part of this loss is compared with the target, so it predicts nothing")
        return worth(model.prediction, {model.features: rows, **self.parameters_})


class _Regressor(RegressorMixin, _Network):  # type: ignore[misc]
    """A network for a number."""

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on rows X (N, d) and numbers y (N,); a row of weight 2 counts as two rows."""
        self._validate_params()
        return self._fitted(X, y, sample_weight, None)

    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """One more step, on these rows, from the parameters reached so far."""
        self._validate_params()
        return self._fitted(X, y, sample_weight, 1)

    def predict(self, X: ArrayLike) -> Array:
        """The answer for each row, (N,)."""
        if is_collection(X):
            return by_chunks(self.predict, X, np.float64)  # type: ignore[no-any-return]
        return self._values(X)

    def _fitted(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, passes: int | None
    ) -> Self:
        first = passes is None or not hasattr(self, "parameters_")
        if is_collection(X):
            given, goal = self._collected(X, first), as_array("y", y)
            answer = self._answer(goal) if first else self.answer_
            self._train(given, goal, answer, sample_weight, passes)
            return self
        rows, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, reset=first)
        target = np.asarray(y, dtype=np.float64)
        weights = _weights(sample_weight, rows)
        self._train(rows, target, self._answer(target) if first else self.answer_, weights, passes)
        return self


class NeuronRegressor(_Regressor):
    """One neuron: predicts f(w·x + b), by the smallest mean of squared errors.

    Parameters
    ----------
    activation : {"auto", "relu", "identity"}
        "relu" is the article's max(0, w·x + b), "identity" a linear model; "auto" takes "relu" where no
        target is negative, which a ReLU could never reach.
    alpha : float
        The penalty α Σ wⱼ².
    optimiser, learning_rate, max_iter, batch_size, tol
        As in `gs.train`: `optimiser`, `learning_rate`, `steps`, `batch` and `tolerance`.
    warm_start : bool
        Begin at the parameters of the last fit.
    random_state : int, RandomState or None
        For the start.

    Attributes
    ----------
    coef_ : (d,), intercept_ : float
        The weights w and the bias b.
    derivation_ : Derivation
        The gradient, line by line, with its certificate.
    loss_curve_ : list of float
        The loss after each step, from the start on; `loss_` the last, `n_iter_` the number of steps.
    faults_ : tuple of str
        What may be wrong with the data, or with where the training ended; each is also a warning.

    >>> from gradstep.estimators import NeuronRegressor
    >>> NeuronRegressor().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]).predict([[3.0]]).round(3)
    array([7.])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **_Network._parameter_constraints,
        "activation": [str],
    }

    def __init__(
        self,
        activation: str = "auto",
        *,
        alpha: float = 0.0,
        optimiser: str = SOLVER,
        learning_rate: float | None = None,
        max_iter: int = 2000,
        batch_size: int | None = None,
        tol: float = 1e-9,
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self.activation = activation
        self.alpha = alpha
        self.optimiser = optimiser
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state

    def _answer(self, y: Array) -> str:
        if self.activation not in ("auto", "relu", "identity"):
            raise ValueError(f"activation is 'auto', 'relu' or 'identity', not {self.activation!r}")
        bent = self.activation == "relu" or (self.activation == "auto" and not (y < 0).any())
        return "rectified" if bent else "linear"

    @property
    def coef_(self) -> Array:
        """The weights, (d,)."""
        check_is_fitted(self)
        return self.parameters_["w"]

    @property
    def intercept_(self) -> float:
        """The bias."""
        check_is_fitted(self)
        return float(self.parameters_["b"])


class _Layers(_Network):
    """A network with hidden layers, or with a loss that the user wrote."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **_Network._parameter_constraints,
        "hidden": ["array-like"],
        "loss": [str, Expr, None],
        "shapes": [dict, None],
    }

    def __init__(
        self,
        hidden: Sequence[int] = (32,),
        *,
        loss: str | Expr | None = None,
        shapes: Shapes | None = None,
        alpha: float = 0.0,
        optimiser: str = SOLVER,
        learning_rate: float | None = None,
        max_iter: int = 2000,
        batch_size: int | None = None,
        tol: float = 1e-6,
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.loss = loss
        self.shapes = shapes
        self.alpha = alpha
        self.optimiser = optimiser
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state

    def _hidden(self) -> tuple[int, ...]:
        return tuple(int(width) for width in self.hidden)


class NetworkRegressor(_Regressor, _Layers):
    """A network for a number: hidden layers of ReLU units, or any loss that you write.

    Parameters
    ----------
    hidden : tuple of int
        The widths of the hidden layers.
    loss : str, expression or None
        A loss of your own of X (N, d) and y (N,), such as "mean(abs(y - (X @ w + b)))"; every other variable
        is trained. `shapes` are those of variables other than X, y, w and b: {"W1": "d 16"}.
    alpha, optimiser, learning_rate, max_iter, batch_size, tol, warm_start, random_state
        As for `NeuronRegressor`; the penalty is on all matrices and vectors of weights, not on biases.

    Attributes
    ----------
    parameters_ : dict of arrays
        By their names in the loss. `derivation_`, `loss_curve_`, `loss_`, `faults_` and `n_iter_` as for
        `NeuronRegressor`.
    """

    def _answer(self, y: Array) -> str:
        return "linear"


class NetworkClassifier(ClassifierMixin, _Layers):  # type: ignore[misc]
    """A network for one of several classes: logistic or softmax output, hidden layers of ReLU units.

    Parameters
    ----------
    hidden : tuple of int
        The widths of the hidden layers; () is logistic or softmax regression.
    loss : str, expression or None
        A loss of your own of X (N, d) and of y (N,), 0 or 1, or Y (N, k), a column of 0 and 1 for each class.
    shapes, alpha, optimiser, learning_rate, max_iter, batch_size, tol, warm_start, random_state
        As for `NetworkRegressor`.

    Attributes
    ----------
    classes_ : (k,)
        The classes, sorted. `parameters_`, `derivation_`, `loss_curve_` … as for `NetworkRegressor`.
    """

    def _answer(self, y: Array) -> str:
        return "logistic" if len(self.classes_) == 2 else "softmax"

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on rows X (N, d) and their classes y (N,); a row of weight 2 counts as two rows."""
        self._validate_params()
        return self._fitted(X, y, sample_weight, None, None)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """One more step, on these rows; the first call says which `classes` there are."""
        self._validate_params()
        return self._fitted(X, y, sample_weight, 1, classes)

    def predict_proba(self, X: ArrayLike) -> Array:
        """The probability of every class, (N, k), in the order of `classes_`."""
        if is_collection(X):
            count = len(self.classes_)
            return by_chunks(self.predict_proba, X, np.float64, count)  # type: ignore[no-any-return]
        values = self._values(X)
        return np.stack([1 - values, values], axis=1) if values.ndim == 1 else values

    def predict(self, X: ArrayLike) -> Array:
        """The likeliest class of each row, (N,)."""
        if is_collection(X):
            return by_chunks(self.predict, X, self.classes_.dtype)  # type: ignore[no-any-return]
        chances = self.predict_proba(X)
        found: Array = self.classes_[chances.argmax(axis=1)]
        return found

    def _fitted(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        passes: int | None,
        classes: ArrayLike | None,
    ) -> Self:
        first = passes is None or not hasattr(self, "parameters_")
        if is_collection(X):
            return self._from_collection(X, y, sample_weight, passes, classes, first)
        rows, given = validate_data(self, X, y, dtype=np.float64, reset=first)
        check_classification_targets(given)
        labels: Array = np.asarray(given)
        weights = _weights(sample_weight, rows)
        if first:
            self.classes_ = np.unique(labels if classes is None else np.asarray(classes))
        strangers = np.setdiff1d(labels, self.classes_)
        if strangers.size:
            raise ValueError(f"y holds the class {strangers[0]!r}, which is not among {list(self.classes_)}")
        seen = np.unique(labels if weights is None else labels[weights > 0])
        if len(self.classes_) < 2 or (passes is None and len(seen) < 2):
            raise ValueError(f"a classifier needs two classes at least, but y holds 1 class: {seen[0]!r}")
        answer = self._answer(labels) if first else self.answer_
        place = np.searchsorted(self.classes_, labels)
        target = place.astype(np.float64)
        model = self._model(answer)
        if mentioned(model.loss)[model.target].rank == 2:
            target = (place[:, None] == np.arange(len(self.classes_))).astype(np.float64)
        self._train(rows, target, answer, weights, passes)
        return self

    def _from_collection(
        self, X: Any, y: Any, weights: Any, passes: int | None, classes: ArrayLike | None, first: bool
    ) -> Self:
        """The same for a collection of Dask."""
        rows, labels = self._collected(X, first), classes_in(y)
        if first:
            self.classes_ = labels if classes is None else np.unique(np.asarray(classes))
        strangers = np.setdiff1d(labels, self.classes_)
        if strangers.size:
            raise ValueError(f"y holds the class {strangers[0]!r}, which is not among {list(self.classes_)}")
        if len(self.classes_) < 2 or (passes is None and len(labels) < 2):
            raise ValueError(f"a classifier needs two classes at least, but y holds 1 class: {labels[0]!r}")
        answer = self._answer(labels) if first else self.answer_
        model = self._model(answer)
        columns = mentioned(model.loss)[model.target].rank == 2
        self._train(rows, placed(y, self.classes_, columns), answer, weights, passes)
        return self


def _weights(given: ArrayLike | None, X: Array) -> Array | None:
    """The weights of the rows, if there are some."""
    if given is None:
        return None
    weights: Array = _check_sample_weight(given, X, dtype=np.float64, ensure_non_negative=True)
    return weights
