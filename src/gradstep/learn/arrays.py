"""May these arrays be trained on? Finite numbers, of the declared shapes; what is wrong is said exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Lengths, Shape, shape_text
from gradstep.learn.columns import listed, nearest, shown
from gradstep.learn.scaling import Array
from gradstep.operations.evaluation import sizes_of

LARGEST = 1e100  # the squares of larger numbers overflow


class Checked(NamedTuple):
    """Arrays of float64 by name, the sizes that they tell, and what had to be said about them."""

    arrays: dict[str, Array]
    sizes: Lengths
    notes: tuple[str, ...]


def checked(data: Mapping[str, Any], declared: Mapping[str, Expr], parameters: Sequence[str]) -> Checked:
    """The data as arrays that fit the variables of a loss; every variable that is no parameter needs one."""
    if not isinstance(data, Mapping) or not all(isinstance(name, str) for name in data):
        raise MathError("the data are arrays by name", mend='data={"X": X, "y": y}')
    both = [name for name in parameters if name in data]
    if both:
        raise MathError(
            f"{both[0]} is given as data, but it is to be trained",
            mend=f'start={{"{both[0]}": …}} to begin there',
        )
    absent = [name for name in declared if name not in data and name not in parameters]
    if absent:
        raise MathError(
            f"{absent[0]} has no data and is not to be trained",
            facts=[f"the data are {listed(data)}", f"to be trained: {listed(list(parameters))}"],
            mend=nearest(absent[0], [name for name in data if name not in declared]),
        )
    notes = [f"{name} is not used by the loss" for name in data if name not in declared]
    arrays = {}
    for name, variable in declared.items():
        if name in data:
            arrays[name], said = array_of(name, data[name], variable.shape)
            notes += said
    if not arrays:
        raise MathError("there are no data to train on", mend='data={"X": X, "y": y}')
    sizes = sizes_of(declared, arrays)
    empty = next((name for name, array in arrays.items() if not array.size), None)
    if empty is not None:
        raise MathError(
            f"there is nothing to train on: {empty} is empty",
            facts=[f"{empty} is {shape_text(arrays[empty].shape)}"],
        )
    return Checked(arrays, sizes, tuple(notes))


def array_of(name: str, value: Any, shape: Shape) -> tuple[Array, list[str]]:
    """`value` as finite float64 of that many axes, and what had to be said."""
    array = _numbers(name, value)
    notes = []
    rank = len(shape)
    if array.ndim == rank + 1 and array.shape[-1] == 1:
        notes.append(
            f"{name} was given with the shape {shape_text(array.shape)}: taken as {array.shape[0]} numbers"
        )
        array = array[..., 0]
    if array.ndim != rank:
        raise MathError(
            f"{name} should be {_axes(rank)}, as declared: {shape_text(shape)}",
            facts=[f"it is {shape_text(array.shape)}"],
            mend=f"{name}.reshape(-1, 1)" if (array.ndim, rank) == (1, 2) else None,
        )
    _check_entries(name, array, ~np.isfinite(array), "not a finite number")
    _check_entries(name, array, np.abs(array) > LARGEST, "too large to train on")
    return array, notes


def _numbers(name: str, value: Any) -> Array:
    if value.__class__.__module__.partition(".")[0] == "scipy":
        value = value.toarray() if hasattr(value, "toarray") else value
    try:
        array: NDArray[Any] = np.asarray(value)
    except (ValueError, TypeError):
        raise MathError(f"{name} should be an array of numbers: its rows have different lengths") from None
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    if array.dtype.kind in "OUS":
        for at, entry in np.ndenumerate(array):
            if not _is_number(entry):
                raise MathError(
                    f"{name} should be an array of numbers, but it holds {shown(entry)} in {place(at)}",
                    mend="numbers in its place; the command `gradstep train` turns categories into numbers"
                    if isinstance(entry, str)
                    else None,
                )
        return array.astype(np.float64)
    raise MathError(f"{name} should be an array of real numbers, not of {array.dtype}")


def _is_number(entry: object) -> bool:
    if isinstance(entry, complex | bytes) or entry is None:
        return False
    try:
        float(entry)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def _check_entries(name: str, array: Array, bad: NDArray[np.bool_], why: str) -> None:
    count = int(bad.sum())
    if count:
        at = tuple(int(k) for k in np.argwhere(bad)[0])
        more = f", and {count - 1} more such" if count > 1 else ""
        raise MathError(
            f"{name} holds {array[at]:.3g} in {place(at)}{more}: {why}",
            facts=[f"{name} is {shape_text(array.shape)}"],
            mend="rows without missing values" if np.isnan(array[at]) else None,
        )


def place(at: Sequence[int]) -> str:
    """An entry for people: "row 3, column 2", counted from 0 as in Python."""
    words = ("row", "column") if len(at) < 3 else tuple(f"axis {k}:" for k in range(len(at)))
    return ", ".join(f"{word} {k}" for word, k in zip(words, at, strict=False)) or "it"


def _axes(rank: int) -> str:
    return ("a number", "a vector", "a matrix")[rank] if rank < 3 else f"an array of {rank} axes"


def constant_columns(name: str, array: Array) -> tuple[str, ...]:
    """A note for columns that are the same in every row."""
    if array.ndim != 2 or len(array) < 2:
        return ()
    low, high = array.min(axis=0), array.max(axis=0)
    flat = np.flatnonzero(high - low <= 1e-12 * np.maximum(np.abs(low), np.abs(high)))
    if not flat.size:
        return ()
    which = ", ".join(map(str, flat[:5])) + (" …" if flat.size > 5 else "")
    columns = "columns" if flat.size > 1 else "column"
    return (f"{columns} {which} of {name}: the same in every row, so nothing to learn there",)
