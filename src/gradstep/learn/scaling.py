"""Which rows are for judging, and how are features brought to one scale and back?"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep.expression.errors import MathError
from gradstep.expression.records import record
from gradstep.learn.saved import fields, list_of, number_of, spoiled

Array: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.intp]

_FEWEST_TO_HOLD_OUT = 20
_SMALLEST_SCALE = 1e-300  # below, the weights for the raw features would overflow


def split(
    rows: int, holdout: float = 0.2, seed: int = 0, labels: ArrayLike | None = None
) -> tuple[Rows, Rows]:
    """Row numbers to train with and to judge with, at random but the same for the same seed.

    With `labels` (a class for each row) every class gives its share, and of one that would be wholly held out
    a row stays in training. Below 20 rows nothing is held out.
    """
    share = float(holdout) if isinstance(holdout, int | float) and not isinstance(holdout, bool) else math.nan
    if not 0 <= share < 1:
        raise MathError(
            f"the held-out share is a number from 0 to below 1, not {holdout!r}", mend="holdout=0.2"
        )
    check_seed(seed)
    if rows < _FEWEST_TO_HOLD_OUT or not share:
        return np.arange(rows), np.arange(0)
    order = np.random.default_rng(seed).permutation(rows)
    classes = np.zeros(rows, dtype=np.intp) if labels is None else np.asarray(labels)
    order = order[np.argsort(classes[order], kind="stable")]
    steps = np.floor((np.arange(rows) + 0.5) * share + 0.5)  # a row is held out where this count goes up
    held = np.zeros(rows, dtype=bool)
    held[order] = np.diff(steps, prepend=0.0) > 0
    for label in distinct(classes[held & ~np.isin(classes, distinct(classes[~held]))]):
        held[np.flatnonzero(classes == label)[0]] = False
    return np.flatnonzero(~held), np.flatnonzero(held)


def check_seed(seed: object) -> None:
    """Raises `MathError` for what is no seed."""
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise MathError(f"a seed is a whole number from 0 on, not {seed!r:.40}", mend="seed=0")


@record
class Scaler:
    """Features brought to mean 0 and spread 1: (X − mean) / scale; a constant feature has scale 1."""

    mean: Array
    scale: Array

    __eq__, __hash__ = object.__eq__, object.__hash__  # holds arrays

    @classmethod
    def fit(cls, X: ArrayLike) -> Scaler:
        """Mean and standard deviation of each column of X (N, d), safe from overflow."""
        values = _matrix(X)
        top = np.abs(values).max(axis=0, initial=0.0)
        unit = np.where(top > 0, top, 1.0)
        mean = (values / unit).mean(axis=0)
        spread = (values / unit - mean).std(axis=0)
        flat = spread <= 1e-12 * np.maximum(1e-300, np.abs(mean))
        scale = np.where(flat, 1.0, spread * unit)
        return cls(mean * unit, np.where(scale > _SMALLEST_SCALE, scale, 1.0))

    def apply(self, X: ArrayLike) -> Array:
        """The scaled features."""
        values = _matrix(X)
        if values.shape[1] != len(self.mean):
            raise MathError(f"X has {values.shape[1]} columns, but the scaling is for {len(self.mean)}")
        return (values - self.mean) / self.scale

    def fold(self, W: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
        """The weights and bias that give on raw X what `W` (d,) or (d, k) and `b` give on scaled X."""
        W, b = self._weights(W, b)
        with np.errstate(all="ignore"):  # overflow shows in the numbers
            return _finite((W.T / self.scale).T), _finite(b - _combined(self.mean / self.scale, W))

    def unfold(self, W: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
        """The other way: weights for raw X become weights for scaled X."""
        W, b = self._weights(W, b)
        with np.errstate(all="ignore"):
            return _finite((W.T * self.scale).T), _finite(b + _combined(self.mean, W))

    def pulled(self, W: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
        """Slopes for folded weights and bias as slopes for the weights and bias that were folded."""
        W, b = self._weights(W, b)
        with np.errstate(all="ignore"):
            return np.asarray((W.T / self.scale).T - np.multiply.outer(self.mean / self.scale, b)), b

    def _weights(self, W: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
        W, b = np.asarray(W, dtype=np.float64), np.asarray(b, dtype=np.float64)
        if W.ndim < 1 or W.shape[0] != len(self.mean) or b.shape != W.shape[1:]:
            raise MathError(
                "the weights and the bias should fit the scaled features",
                facts=[f"{len(self.mean)} features,  W has the shape {W.shape},  b has {b.shape}"],
            )
        return W, b

    def to_json(self) -> dict[str, list[float]]:
        """A dictionary of plain values, which `from_json` reads back to the same bits."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, data: object) -> Scaler:
        """The scaling that `to_json` wrote; anything else is an error."""
        given = fields(data, ("mean", "scale"), "a scaling")
        mean, scale = (
            np.array([number_of(each, key) for each in list_of(given[key], key)]) for key in ("mean", "scale")
        )
        if mean.shape != scale.shape or not (scale > 0).all():
            raise spoiled("its mean and scale do not fit")
        return cls(mean, scale)


def distinct(values: NDArray[Any]) -> NDArray[Any]:
    """The values that occur, in order; unlike `np.unique` without loading masked arrays."""
    ordered = np.sort(values, axis=None)
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def median(values: ArrayLike) -> Array:
    """The median along the first axis; unlike `np.median` without loading masked arrays."""
    ordered = np.sort(values, axis=0)
    return np.asarray((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2)


def _combined(v: Array, W: Array) -> Array:
    """v @ W, added up in the order of v on every machine."""
    return np.asarray(np.add.reduce((W.T * v).T, axis=0))


def _matrix(X: ArrayLike) -> Array:
    try:
        values = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        raise MathError("X should be a matrix of numbers") from None
    if values.ndim != 2 or not values.shape[0]:
        raise MathError("X should be a matrix with at least one row", facts=[f"its shape is {values.shape}"])
    if not np.isfinite(values).all():
        row, column = (int(at[0]) for at in np.nonzero(~np.isfinite(values)))
        raise MathError(f"X holds {values[row, column]} in row {row}, column {column}")
    return values


def _finite(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise MathError(
            "the weights for the raw features are beyond the range of numbers", mend="rescaled columns"
        )
    return np.asarray(values)
