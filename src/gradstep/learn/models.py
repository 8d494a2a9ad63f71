"""Which network suits a table? The article's neuron, logistic and softmax regression, and perceptrons.

Each is an expression built from operations, like those that users write: `relu(X @ w + b)` compared with y.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.learn.encoding import Prepared
from gradstep.learn.scaling import Array
from gradstep.learn.structure import name_of, prediction_of
from gradstep.operations.activations import relu, sigmoid, softplus
from gradstep.operations.evaluation import mentioned
from gradstep.operations.leaves import symbol
from gradstep.operations.rowwise import logsumexp, softmax
from gradstep.operations.sums import mean, sum

MOST_LAYERS = 64
MOST_UNITS = 4096


@dataclass(frozen=True)
class Model:
    """A network and its loss.

    loss         a number, of the data, the target and the parameters
    prediction   what it answers, in the unit of the target: numbers (N,), the probability of the second class
                 (N,), or of every class (N, k); None where a user's loss does not show it
    features     the name of the variable that holds the features, (N, d)
    target       the name of the variable that holds the target, (N,) or one-hot (N, k)
    parameters   the variables to train, by name, in the order of the layers
    sizes        the sizes that are chosen rather than given by the data, such as the width of a hidden layer
    names        names of parts of the loss: z, a …
    title        "a ReLU neuron"
    """

    loss: Expr
    prediction: Expr | None
    features: str
    target: str
    parameters: dict[str, Expr]
    title: str
    sizes: dict[str, int] = field(default_factory=dict)
    names: dict[Expr, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def linear(self) -> bool:
        """Whether the answer depends on the features through one weighted sum (for each class)."""
        return not self.sizes and set(self.parameters) <= {"w", "b", "W"}


# ------------------------------------------------------------------------------------------- the last layer


@record
class Answer:
    """What a network does with its last weighted sum z: how it answers, and how it is judged."""

    title: str
    predict: Callable[[Expr], Expr]
    judge: Callable[[Expr, Expr], Expr]
    classes: bool = False


def _squares(y: Expr, z: Expr) -> Expr:
    return mean((y - z) ** 2)


ANSWERS = {
    "rectified": Answer("ReLU", relu, lambda y, z: _squares(y, relu(z))),
    "linear": Answer("linear", lambda z: z, _squares),
    "logistic": Answer("logistic", sigmoid, lambda y, z: mean(softplus(z) - y * z)),
    "softmax": Answer(
        "softmax",
        lambda Z: softmax(Z, axis=1),
        lambda Y, Z: mean(logsumexp(Z, axis=1) - sum(Y * Z, axis=1)),
        classes=True,
    ),
}


def network(answer: str, hidden: Sequence[int] = ()) -> Model:
    """The model with `hidden` layers of ReLU units and this last layer ("rectified", "linear", …).

    Without hidden layers it is a single neuron with weights w and bias b, or W and b for several classes.
    """
    last = ANSWERS[answer]
    widths = _checked_widths(hidden)
    alone = not widths
    parameters: dict[str, Expr] = {}
    A, size = symbol("X", "N d"), "d"
    for layer, width in enumerate(widths, 1):
        W, b = symbol(f"W{layer}", (size, width)), symbol(f"b{layer}", (width,))
        parameters |= {name_of(W): W, name_of(b): b}
        A, size = relu(A @ W + b), width
    number = "" if alone else str(len(widths) + 1)
    W = symbol(f"W{number}", (size, "k")) if last.classes else symbol(f"w{number}", (size,))
    b = symbol(f"b{number}", ("k",) if last.classes else ())
    y = symbol("Y", "N k") if last.classes else symbol("y", "N")
    parameters |= {name_of(W): W, name_of(b): b}
    z = A @ W + b
    return Model(
        loss=last.judge(y, z),
        prediction=last.predict(z),
        features="X",
        target=name_of(y),
        parameters=parameters,
        title=_title(last, list(widths.values())),
        sizes=widths,
    )


def _checked_widths(hidden: Sequence[int]) -> dict[str, int]:
    """The widths of the hidden layers by the names of their sizes: {"h": 32} or {"h1": 32, "h2": 16}."""
    for width in hidden:
        if not isinstance(width, int) or isinstance(width, bool) or not 0 < width <= MOST_UNITS:
            raise MathError(
                f"a hidden layer has from 1 to {MOST_UNITS} units, not {width!r:.40}", mend="hidden=(32, 16)"
            )
    if len(hidden) > MOST_LAYERS:
        raise MathError(f"there are at most {MOST_LAYERS} hidden layers, not {len(hidden)}")
    names = ["h"] if len(hidden) == 1 else [f"h{layer}" for layer in range(1, len(hidden) + 1)]
    return dict(zip(names, hidden, strict=True))


def _title(last: Answer, widths: Sequence[int]) -> str:
    if widths:
        return f"a perceptron ({', '.join(map(str, widths))} ReLU units, {last.title} output)"
    return "softmax regression" if last.classes else f"a {last.title} neuron"


# ------------------------------------------------------------------------------------------- choosing


def default_model(prepared: Prepared, hidden: Sequence[int] = ()) -> Model:
    """The network for a table: by what its target is, and whether that is ever negative."""
    if prepared.classes is not None:
        return network("logistic" if len(prepared.classes) == 2 else "softmax", hidden)
    y = prepared.y[prepared.train]
    negative = bool((y < 0).any())
    model = network("linear" if negative or hidden else "rectified", hidden)
    if not negative or hidden:
        return model
    said = (
        f"{share_below_zero(y)} of {prepared.target} < 0; a ReLU output can never reach them: it is left out"
    )
    return replace(model, notes=(said,))


def share_below_zero(y: Array) -> str:
    """How much of a target is negative: "42 %"."""
    share = 100 * float(np.mean(y < 0))
    return f"{share:.0f} %" if share >= 1 else "less than 1 %"


def own_model(
    loss: Expr, prepared: Prepared, names: dict[Expr, str] | None = None, numbers: Collection[str] = ()
) -> Model:
    """A user's own loss of X (N, d) and y (N,), or of the classes Y (N, k), as the model for a table.

    Every other variable is a parameter, but for the `numbers` that a sweep sets. What it predicts is the part
    that is compared with the target.
    """
    symbols = mentioned(loss)
    features = symbols.get("X")
    if features is None or features.rank != 2:
        raise MathError(
            "the loss should use X, the features of the table, a matrix with its rows", mend="X:N,d"
        )
    target = _target(symbols, prepared)
    parameters = {name: v for name, v in symbols.items() if name not in ("X", target, *numbers)}
    if not parameters:
        raise MathError("the loss has nothing to train", facts=[f"it uses {', '.join(symbols)}"])
    prediction = prediction_of(loss, symbols[target], set(parameters.values()))
    said = f"no part of this loss is compared with {target}: it trains, but it predicts nothing"
    return Model(
        loss=loss,
        prediction=prediction,
        features="X",
        target=target,
        parameters=parameters,
        title="your network",
        names=names or {},
        notes=() if prediction is not None else (said,),
    )


def _target(symbols: Mapping[str, Expr], prepared: Prepared) -> str:
    """The variable that is the target, of the rank that the table's target has."""
    several = prepared.classes is not None and len(prepared.classes) > 2
    found = [name for name in ("y", "Y") if name in symbols]
    if len(found) != 1:
        raise MathError(
            "the loss should use the target: y, a number a row, or Y, a column of 0 and 1 for each class",
            facts=[f"it uses {', '.join(symbols)}"],
        )
    (name,) = found
    rank = symbols[name].rank
    if rank == 1 and several:
        raise MathError(
            f"{prepared.target} has {len(prepared.classes or ())} classes: it is Y, a column for each, not y",
            mend="mean(logsumexp(X @ W + b, axis=1) - sum(Y*(X @ W + b), axis=1))",
        )
    if rank not in (1, 2) or (rank == 2 and prepared.classes is None):
        raise MathError(f"{prepared.target} is a number for each row: a vector y, not a matrix", mend="y:N")
    return name
