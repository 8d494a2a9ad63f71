"""What does a training with exact sums begin from? Means and spreads of sums that are rounded once.

They are the same for any order of the rows and on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from gradstep.backends.blocks import InMemory
from gradstep.backends.digits import Sum, contracted
from gradstep.expression.node import Expr
from gradstep.expression.records import record
from gradstep.learn.coordinates import Coordinates, coordinates_by
from gradstep.learn.scaling import Array, Scaler
from gradstep.learn.structure import Affine, Linear, Output


@record
class Exactly:
    """How many rows there are, and for each column Σx and Σx², which have not been rounded."""

    count: int
    first: Sum
    second: Sum

    @classmethod
    def of(cls, values: Array) -> Exactly:
        """Of rows (N, d); a vector is one column."""
        X = values.reshape(len(values), -1)
        return cls(len(X), contracted("ij->j", X), contracted("ij,ij->j", X, X))

    def __add__(self, other: Exactly) -> Exactly:
        return Exactly(self.count + other.count, self.first + other.first, self.second + other.second)

    @property
    def mean(self) -> Array:
        return np.array([float(total / self.count) for total in self.first.fractions()])

    def spread(self, middle: Sequence[float] | Array) -> Array:
        """The root of the mean square about `middle`, for each column."""
        totals = zip(self.first.fractions(), self.second.fractions(), map(Fraction, middle), strict=True)
        return np.array(
            [_root(two / self.count - 2 * m * one / self.count + m * m) for one, two, m in totals]
        )

    def scaler(self, places: Sequence[Linear]) -> Scaler:
        """Mean and spread; where a place has no bias to take up the mean, the size about zero alone."""
        biased = all(isinstance(place, Affine) for place in places)
        mean = self.mean if biased else np.zeros(self.first.shape)
        spread = self.spread(mean)
        flat = spread <= 1e-12 * np.maximum(1e-300, np.abs(mean))
        return Scaler(mean, np.where(flat | (spread < 1e-300), 1.0, spread))

    def unit(self, layer: Output) -> tuple[Array, float]:
        """The middle and the size of a target, as far as the last layer can take them up."""
        mean = self.mean
        if not layer.affine.bias.rank:
            mean = np.full_like(mean, float(sum(self.first.fractions()) / (self.count * len(mean))))
        shift = mean if layer.shifts else np.zeros_like(mean)
        whole = sum((Fraction(size) ** 2 for size in self.spread(shift)), Fraction(0))
        top = float(np.abs(mean).max(initial=0.0))
        size = _root(whole / len(mean))
        return np.asarray(shift if layer.affine.bias.rank else shift[0]), size if size > 1e-12 * top else 1.0


def _root(value: Fraction) -> float:
    """The root of a number that may lie beyond the range of numbers."""
    if value <= 0:
        return 0.0
    half = (value.numerator.bit_length() - value.denominator.bit_length()) // 2
    return math.ldexp(math.sqrt(value / Fraction(4) ** half), half)


def exact_units(
    loss: Expr, found: Mapping[str, Exactly], target: str | None, wrt: Mapping[str, Expr]
) -> Coordinates:
    """The units to train in, by what is known of the columns of each array."""
    return coordinates_by(
        loss,
        list(found),
        target,
        wrt,
        lambda name, places: found[name].scaler(places),
        lambda name, layer: found[name].unit(layer),
    )


class OfColumns:
    """The work that finds out about the columns of windows of rows."""

    def __call__(self, window: InMemory) -> dict[str, Exactly]:
        return {name: Exactly.of(np.asarray(array, np.float64)) for name, array in window.arrays.items()}

    def added(self, one: dict[str, Exactly], other: dict[str, Exactly]) -> dict[str, Exactly]:
        return {name: one[name] + other[name] for name in one}
