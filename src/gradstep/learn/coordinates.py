"""In which units does a network train best? Features of spread 1 and a target of size 1, then back again.

Gradient descent walks well where no direction is much steeper than another. So features are brought to mean 0
and spread 1, and the target to size 1, wherever the loss allows it: wherever the change can be folded exactly
into the weights and biases afterwards. `Coordinates` is that change, both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from gradstep.expression.node import Expr, walk
from gradstep.expression.records import record, replaced
from gradstep.learn.scaling import Array, Scaler
from gradstep.learn.structure import Affine, Linear, Output, entrances, moving, name_of, output, residual
from gradstep.operations.products import matmul_op

Arrays: TypeAlias = Mapping[str, Array]
Change: TypeAlias = Callable[[Array, Array], tuple[Array, Array]]


@record
class Entrance:
    """Features that are standardised, and where they enter."""

    data: str
    places: tuple[Linear, ...]
    scaler: Scaler


@record
class Unit:
    """The unit of the target: y = shift + size · (what the network is trained on)."""

    data: str
    layer: Output
    shift: Array
    size: float
    degree: float


@record
class Coordinates:
    """How data, parameters and loss in the user's units become those of training, and back.

    `spreads` are the data of a penalty that hold how large a unit is, 1 in training; `notes` say which
    features are not standardised, and why.
    """

    entrances: tuple[Entrance, ...] = ()
    unit: Unit | None = None
    notes: tuple[str, ...] = ()
    spreads: tuple[str, ...] = ()

    @property
    def loss(self) -> float:
        """What a loss of 1 in training is worth in the user's units."""
        return 1.0 if self.unit is None else self.unit.size**self.unit.degree

    def data(self, arrays: Arrays) -> dict[str, Array]:
        """The user's data as they are trained on."""
        changed = dict(arrays)
        for entrance in self.entrances:
            values = arrays[entrance.data]
            changed[entrance.data] = entrance.scaler.apply(_columns(values)).reshape(values.shape)
        if self.unit is not None:
            changed[self.unit.data] = (arrays[self.unit.data] - self.unit.shift) / self.unit.size
        for name in self.spreads:
            changed[name] = np.ones_like(arrays[name])
        return changed

    def to_user(self, parameters: Arrays) -> dict[str, Array]:
        """Parameters of training as parameters for the data as they are."""
        found = dict(parameters)
        if self.unit is not None:
            weights, bias = _names(self.unit.layer.affine)
            found[weights] = found[weights] * self.unit.size
            found[bias] = found[bias] * self.unit.size + self.unit.shift
        for entrance in self.entrances:
            for place in entrance.places:
                _refold(found, place, entrance.scaler.fold)
        return found

    def moved(self, direction: Arrays) -> dict[str, Array]:
        """A direction of training as one of the user's parameters: where they go when training goes there."""
        still = None if self.unit is None else replaced(self.unit, shift=np.zeros_like(self.unit.shift))
        return replaced(self, unit=still).to_user(direction)

    def pulled(self, gradients: Arrays) -> dict[str, Array]:
        """Slopes of the user's loss along the user's parameters, as those of training along its own."""
        found = {name: np.asarray(gradient) for name, gradient in gradients.items()}
        for entrance in self.entrances:
            for place in entrance.places:
                _refold(found, place, entrance.scaler.pulled)
        if self.unit is not None:
            for name in _names(self.unit.layer.affine):
                found[name] = found[name] * self.unit.size
        return {name: gradient / self.loss for name, gradient in found.items()}

    def to_training(self, parameters: Arrays) -> dict[str, Array]:
        """Parameters for the data as they are, as parameters of training."""
        found = dict(parameters)
        for entrance in self.entrances:
            for place in entrance.places:
                _refold(found, place, entrance.scaler.unfold)
        if self.unit is not None:
            weights, bias = _names(self.unit.layer.affine)
            found[weights] = found[weights] / self.unit.size
            found[bias] = (found[bias] - self.unit.shift) / self.unit.size
        return found


def coordinates(loss: Expr, data: Arrays, target: str | None, parameters: Mapping[str, Expr]) -> Coordinates:
    """The units to train in, chosen by the rows in `data`; `target` is the variable that is predicted."""
    return coordinates_by(
        loss,
        [name for name, values in data.items() if values.ndim],
        target,
        parameters,
        lambda name, places: _scaler(_columns(data[name]), places),
        lambda name, layer: unit_of(data[name], layer),
    )


def coordinates_by(
    loss: Expr,
    data: Sequence[str],
    target: str | None,
    parameters: Mapping[str, Expr],
    scaler: Callable[[str, Sequence[Linear]], Scaler],
    unit: Callable[[str, Output], tuple[Array, float]],
) -> Coordinates:
    """The units to train in for data of these names, by what is known of their rows.

    `scaler` tells mean and spread of features that enter at some places, `unit` the middle and the size of a
    target for a last layer.
    """
    symbols = {name_of(node): node for node in walk(loss) if node.op.name == "symbol"}
    trained = set(parameters.values())
    moves = moving(loss, trained)
    found, notes = [], []
    for name in data:
        if name == target or name not in symbols:
            continue
        places = entrances(loss, symbols[name], trained)
        if places:
            found.append(Entrance(name, places, scaler(name, places)))
        elif _meets_parameters(symbols[name], loss, moves):
            notes.append(
                f"{name} is not standardised: that can be folded back only where it enters as {name} @ W + b "
                "and W and b have no other use, such as a penalty"
            )
    # The target has a unit where the loss is a power of y − prediction and the last layer takes it up.
    compared = residual(loss, symbols[target]) if target in symbols else None
    layer = output(loss, compared.prediction, trained) if compared else None
    if target is None or compared is None or layer is None:
        return Coordinates(tuple(found), None, tuple(notes))
    return Coordinates(tuple(found), Unit(target, layer, *unit(target, layer), compared.degree), tuple(notes))


def farthest(units: Coordinates) -> tuple[str, int, float] | None:
    """The feature that lies farthest from zero for how little it varies, as an array and a column, and how
    many spreads; None where none has its mean taken out.
    """
    found = [
        (float(ratios[column]), entrance.data, column)
        for entrance in units.entrances
        for ratios in [np.abs(entrance.scaler.mean / entrance.scaler.scale)]
        for column in [int(ratios.argmax())]
        if ratios[column]
    ]
    ratio, name, column = max(found, default=(0.0, "", 0))
    return (name, column, ratio) if found else None


def unit_of(y: Array, layer: Output) -> tuple[Array, float]:
    """The middle and the size of a target, as far as the last layer can take them up."""
    top = float(np.abs(y).max(initial=0.0)) or 1.0
    rank = layer.affine.bias.rank
    middle = (y / top).mean(axis=0 if rank else None) * top
    shift = np.asarray(middle if layer.shifts else np.zeros_like(middle))
    size = float(np.sqrt((((y - shift) / top) ** 2).mean())) * top
    return shift, size if size > 1e-12 * top else 1.0


def _meets_parameters(data: Expr, loss: Expr, moves: set[Expr]) -> bool:
    """Whether `data` is multiplied by something that is trained."""
    return any(node.op is matmul_op and data in node.args and node in moves for node in walk(loss))


def _names(layer: Affine) -> tuple[str, str]:
    return name_of(layer.weights), name_of(layer.bias)


def _scaler(X: Array, places: Sequence[Linear]) -> Scaler:
    """Mean and spread; where a place has no bias to take up the mean, the size about zero alone."""
    if all(isinstance(place, Affine) for place in places):
        return Scaler.fit(X)
    top = np.abs(X).max(axis=0)
    top = np.where(top > 0, top, 1.0)
    size = np.sqrt(((X / top) ** 2).mean(axis=0)) * top
    return Scaler(np.zeros_like(size), np.where(size > 0, size, 1.0))


def _columns(values: Array) -> Array:
    """A vector of numbers as a matrix of one column."""
    return values[:, None] if values.ndim == 1 else values


def _refold(parameters: dict[str, Array], place: Linear, change: Change) -> None:
    """The weights and the bias of one place, changed by a scaler."""
    W = parameters[name_of(place.weights)]
    matrix = W.T if place.transposed else np.atleast_1d(W)
    bias = name_of(place.bias) if isinstance(place, Affine) else None
    new_W, new_b = change(matrix, parameters[bias] if bias is not None else np.zeros(matrix.shape[1:]))
    parameters[name_of(place.weights)] = (new_W.T if place.transposed else new_W).reshape(W.shape)
    if bias is not None:
        parameters[bias] = np.asarray(new_b)
