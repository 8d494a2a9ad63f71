"""Which networks do the estimators train? Those of the library, or a loss of the user's, with a penalty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.learn.models import Model, network
from gradstep.learn.structure import name_of, prediction_of
from gradstep.learn.weights import weighted
from gradstep.notation.parsing import names_of, parse
from gradstep.operations.evaluation import mentioned
from gradstep.operations.leaves import symbol
from gradstep.operations.sums import sum

USUAL = {"X": "N d", "y": "N", "Y": "N k", "w": "d", "b": ""}
WEIGHTS = "sample_weight"


def shape_of(shape: str | Sequence[str | int]) -> tuple[str | int, ...]:
    return tuple(shape.split()) if isinstance(shape, str) else tuple(shape)


@lru_cache(maxsize=64)
def modelled(
    answer: str,
    hidden: tuple[int, ...],
    loss: str | Expr | None,
    shapes: tuple[tuple[str, tuple[str | int, ...]], ...],
    alpha: float,
    weights: bool,
) -> Model:
    """A model, its loss with weights and with a penalty."""
    try:
        model = network(answer, hidden) if loss is None else _own(loss, dict(shapes))
        whole = weighted(model.loss, "N", symbol(WEIGHTS, "N")) if weights else model.loss
    except MathError as error:
        raise ValueError(str(error)) from None
    if alpha:
        for parameter in model.parameters.values():
            if not _is_bias(parameter):
                whole = whole + alpha * _squared(parameter)
    return Model(
        whole,
        model.prediction,
        model.features,
        model.target,
        model.parameters,
        model.title,
        model.sizes,
        model.names,
    )


def _is_bias(parameter: Expr) -> bool:
    return parameter.rank == 0 or name_of(parameter).startswith("b")


def _squared(parameter: Expr) -> Expr:
    return sum(parameter**2)


def _own(loss: str | Expr, shapes: Mapping[str, tuple[str | int, ...]]) -> Model:
    """A loss that the user wrote."""
    if isinstance(loss, str):
        known: dict[str, Any] = {**USUAL, **shapes}
        loss = parse(loss, **known)
    symbols = mentioned(loss)
    targets = [name for name in ("y", "Y") if name in symbols]
    if "X" not in symbols or len(targets) != 1:
        raise MathError(
            "a loss uses X, the features, and y or Y, the target", facts=[f"it uses {', '.join(symbols)}"]
        )
    parameters = {name: each for name, each in symbols.items() if name not in ("X", targets[0])}
    prediction = prediction_of(loss, symbols[targets[0]], set(parameters.values()))
    return Model(loss, prediction, "X", targets[0], parameters, "your network", names=names_of(loss) or {})
