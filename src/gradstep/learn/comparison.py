"""Is the network any good? Its answers beside the mean or the commonest class, and a straight line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TypeAlias

import numpy as np

from gradstep.backends.compiled import Compiled
from gradstep.calculus.derivation import derive
from gradstep.calculus.steps import Derivation
from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.learn.descent import descend
from gradstep.learn.models import Model, network
from gradstep.learn.objective import compiled, objective, watch_of
from gradstep.learn.plan import Plan
from gradstep.learn.scaling import Array, Rows, Scaler
from gradstep.learn.structure import affine, parents
from gradstep.operations.activations import sigmoid_op
from gradstep.operations.leaves import symbol_op
from gradstep.operations.rowwise import softmax_op

Measures: TypeAlias = dict[str, float]

LEAST_PROBABILITY = 1e-15
# Where a plane parts the classes the loss falls for ever, and the network grows surer than it should be:
WORSE = 1.5  # times the measure of the mean
SURE_ENOUGH = 0.02  # a loss below this share of the first one is as good as zero


@record
class Score:
    """How good the answers of one method are, in the user's units.

    `training` and `held_out` are measures by name: "mean squared error" and "typical error" (its root, in the
    unit of the target) for numbers; "right" (a share) and "log loss" for classes. `held_out` is None where no
    rows are held out.
    """

    name: str
    training: Measures
    held_out: Measures | None


def baselines(X: Array | None, y: Array, train: Rows, watched: Rows, classes: bool) -> dict[str, Array]:
    """What a straight line through X and the mean of y answer for every row, by what they are called.

    They learn from the rows `train` and `watched`. The line for classes is logistic regression, by our own
    derivation, which stops when the loss on the rows `watched` no longer falls.
    """
    learnt = np.sort(np.concatenate([train, watched]))
    methods = {}
    if X is not None and X.ndim == 2 >= y.ndim and X.shape[1]:
        line = _line_of_classes(X, y, train, watched) if classes else _line(X, y, learnt)
        methods["logistic regression" if classes else "straight line"] = line
    mean = np.broadcast_to(y[learnt].mean(axis=0), y.shape)
    methods["the commonest class" if classes else "the mean"] = mean
    return methods


def compared(
    methods: dict[str, Array], y: Array, train: Rows, watched: Rows, held_out: Rows, classes: bool
) -> tuple[Score, ...]:
    """Scores of the answers of several methods, one answer for each row of y."""
    learnt = np.sort(np.concatenate([train, watched]))
    return tuple(
        Score(
            name,
            measures(y[learnt], found[learnt], classes),
            measures(y[held_out], found[held_out], classes) if len(held_out) else None,
        )
        for name, found in methods.items()
    )


def remarks(plan: Plan, scores: Sequence[Score]) -> Iterator[str]:
    """What the answers themselves give reason to say."""
    if plan.prediction is None or plan.target is None:
        return
    if scores and scores[0].training.get("right") == 1 and not len(plan.watched):
        yield (
            "all rows trained with are told right: then the loss falls for ever as the weights grow, and the "
            "network becomes surer than it should be; a penalty such as + 0.001*sum(w**2) bounds them"
        )


def worse_than_nothing(plan: Plan, scores: Sequence[Score]) -> Iterator[str]:
    """A note where the mean, or the commonest class, does better than the network."""
    if len(scores) < 2 or plan.target is None:
        return
    network, mean = scores[0], scores[-1]
    measure = next(name for name in network.training if name != "right")
    mine, other = network.training[measure], mean.training[measure]
    if mine > WORSE * other > 0 and np.ptp(plan.data[plan.target][plan.train], axis=0).any():
        yield (
            f"{mean.name} alone does better than the network ({measure} {other:.4g}, not {mine:.4g}): "
            "it has learnt nothing that counts yet"
        )


def unanswered(held: float | None) -> Iterator[str]:
    """A note where the network has no finite answer for rows that it has not been trained with."""
    if held is not None and not np.isfinite(held):
        yield f"the loss on the rows held out is {held}: for some of them there is no finite answer"


def judges_classes(prediction: Expr, y: Array) -> bool:
    """Whether the prediction is a probability and the target a class."""
    return prediction.op in (sigmoid_op, softmax_op) and bool(np.isin(y, (0.0, 1.0)).all())


def is_linear(derivation: Derivation, prediction: Expr) -> bool:
    """Whether the prediction is a function of X @ W + b alone: then it is its own straight line."""
    trained = set(derivation.parameters.values())
    found = affine(prediction.args[0], parents(derivation.of), trained) if prediction.args else None
    return found is not None and found.inner.op is symbol_op and len(trained) == 2


def measures(y: Array, answers: Array, classes: bool) -> Measures:
    """How near the answers come to y: see `Score`."""
    return _judged(y, answers) if classes else _measured(y, answers)


def _measured(y: Array, answers: Array) -> Measures:
    top = float(max(np.abs(y).max(initial=0.0), np.abs(answers).max(initial=0.0))) or 1.0
    square = float((((y - answers) / top) ** 2).mean())
    return {"mean squared error": square * top * top, "typical error": float(np.sqrt(square)) * top}


def _judged(y: Array, answers: Array) -> Measures:
    """y is 0 or 1 with the probability of 1, or one-hot with the probability of each class."""
    if y.ndim == 1:
        y, answers = np.stack([1 - y, y], axis=1), np.stack([1 - answers, answers], axis=1)
    true = y.argmax(axis=1)
    chance = np.clip(answers[np.arange(len(y)), true], LEAST_PROBABILITY, 1)
    return {
        "right": float((answers.argmax(axis=1) == true).mean()),
        "log loss": float(-np.log(chance).mean()),
    }


def _line(X: Array, y: Array, rows: Rows) -> Array:
    """Least squares: the best straight line, plane … through the rows, read off at every row."""
    scaled = Scaler.fit(X[rows]).apply(X)
    design = np.column_stack([scaled, np.ones(len(X))])
    return np.asarray(design @ _least_squares(design[rows], y[rows]))


TALL, WELL = 20, 1e8


def _least_squares(A: Array, y: Array) -> Array:
    """The x with the least ‖y − A x‖.

    For many rows by normal equations, with a second step for their rounding errors, where columns are
    clearly independent; else by singular values.
    """
    if len(A) > TALL * A.shape[1]:
        gram = A.T @ A
        if np.linalg.cond(gram) < WELL:
            first = np.linalg.solve(gram, A.T @ y)
            return np.asarray(first + np.linalg.solve(gram, A.T @ (y - A @ first)))
    return np.asarray(np.linalg.lstsq(A, y, rcond=None)[0])


class _SureEnough(Exception):
    """The loss is so small that less would not count."""

    def __init__(self, parameters: dict[str, Array]) -> None:
        super().__init__()
        self.parameters = parameters


@cache
def _classifier(several: bool) -> tuple[Model, Compiled]:
    """The network of the line for two classes, or for `several`, and its loss and gradient as code."""
    model = network("softmax" if several else "logistic")
    return model, compiled(derive(model.loss, list(model.parameters), certify=False))


def _line_of_classes(X: Array, y: Array, train: Rows, watched: Rows) -> Array:
    """Logistic (or softmax) regression, trained by descent like the network itself."""
    several = y.ndim == 2
    model, function = _classifier(several)
    scaled = Scaler.fit(X[train]).apply(X)
    start = {
        name: np.zeros((X.shape[1],) * (p.rank > several) + y.shape[1:])
        for name, p in model.parameters.items()
    }
    learning, watching = (
        objective(function, {"X": scaled[rows], model.target: y[rows]})
        for rows in (train, watched if len(watched) else train)
    )
    watch = watch_of(watching, SURE_ENOUGH)
    least = SURE_ENOUGH * watch(start)

    def look(parameters: dict[str, Array]) -> float:
        loss = watch(parameters)
        if loss <= least:  # the first to be as good as zero is kept: no later one is better
            raise _SureEnough(parameters)
        return loss

    try:
        W, b = descend(learning, start, watch=look).parameters.values()
    except _SureEnough as reached:
        W, b = reached.parameters.values()
    z = scaled @ W + b
    if not several:
        return np.exp(-np.logaddexp(0, -z))
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
