"""May these arrays be trained on? Finite numbers, of the declared shapes; what is wrong is said exactly."""

from __future__ import annotations

import contextlib
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
NUMBERS = {
    "M": "days or years since a date, as numbers",
    "m": "days or years, as numbers",
    "c": "{0}.real",
    "V": "one of its fields, {0}[…]",
}


class Checked(NamedTuple):
    """Arrays of float64 by name, the sizes that they tell, and what had to be said about them.

    `kinds` are the types of their numbers as they were given.
    """

    arrays: dict[str, Array]
    sizes: Lengths
    notes: tuple[str, ...]
    kinds: Mapping[str, np.dtype[Any]]


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
    arrays, kinds = {}, {}
    for name, variable in declared.items():
        if name in data:
            arrays[name], said = array_of(name, data[name], variable.shape)
            kinds[name] = np.dtype(getattr(data[name], "dtype", None) or np.float64)
            notes += said
    if not arrays:
        raise MathError("there are no data to train on", mend='data={"X": X, "y": y}')
    sizes = _sizes_of(declared, arrays)
    empty = next((name for name, array in arrays.items() if not array.size), None)
    if empty is not None:
        raise MathError(
            f"there is nothing to train on: {empty} is empty",
            facts=[f"{empty} is {shape_text(arrays[empty].shape)}"],
            mend="at least one row, and one column",
        )
    return Checked(arrays, sizes, tuple(notes), kinds)


def _sizes_of(declared: Mapping[str, Expr], arrays: Mapping[str, Array]) -> Lengths:
    """The sizes that the arrays tell; where they do not fit, whether one of them lies on its side."""
    try:
        return sizes_of(declared, arrays)
    except MathError as error:
        error.mend = error.mend or "arrays with a row for each example, the same rows in all"
        wide = [name for name, array in arrays.items() if array.ndim == 2]
        for name in sorted(wide, key=lambda name: arrays[name].shape[1]):
            with contextlib.suppress(MathError):
                sizes_of(declared, {**arrays, name: arrays[name].T})
                error.mend = f"{name}.T"
        raise


def column_names(
    data: Mapping[str, Any], arrays: Mapping[str, Array], given: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """The names of columns, by array: as they are given, or as a data frame has them."""
    found = {}
    for name, array in arrays.items():
        names = given.get(name, getattr(data[name], "columns", ()))
        width = array.shape[1] if array.ndim == 2 else 1
        if name in given and len(names) != width:
            raise MathError(
                f"{name} has {width} columns, and {len(names)} names for them",
                mend=f'columns={{"{name}": […]}} with {width} names',
            )
        if len(names) == width:
            found[name] = tuple(map(str, names))
    return found


def array_of(
    name: str,
    value: Any,
    shape: Shape,
    absent: str = "rows without such values",
    beyond: str = "a larger unit, or its logarithm",
) -> tuple[Array, list[str]]:
    """`value` as finite float64 of that many axes, and what had to be said.

    `absent` is what mends numbers that are not finite, `beyond` those that are too large.
    """
    array = _numbers(name, value).astype(np.float64)
    notes = []
    rank = len(shape)
    if array.ndim == rank + 1 and array.shape[-1] == 1:
        notes.append(taken_as_numbers(name, array.shape))
        array = array[..., 0]
    if array.ndim != rank:
        raise wrong_axes(name, array.shape, shape)
    _check_entries(name, array, ~np.isfinite(array), "not a finite number", absent)
    _check_entries(name, array, np.abs(array) > LARGEST, "too large to train on", beyond)
    return array, notes


def taken_as_numbers(name: str, shape: tuple[int, ...]) -> str:
    """What is said of a column where a vector was declared."""
    return f"{name} was given with the shape {shape_text(shape)}: taken as {shape[0]:,} numbers"


def wrong_axes(name: str, found: tuple[int, ...], declared: Shape) -> MathError:
    """An array has more or fewer axes than were declared."""
    rank = len(declared)
    mend = "an array with the declared axes, or another declaration" if rank else "one number"
    if (len(found), rank) == (1, 2):
        mend = f"{name}.reshape(-1, 1)"
    elif sum(length != 1 for length in found) == rank:
        mend = f"{name}.squeeze()"
    elif (len(found), rank) == (2, 1):
        mend = f"one of its {found[1]} columns, {name}[:, 0]; or a loss of a matrix {name}"
    return MathError(
        f"{name} should be {_axes(rank)}, as declared" + (f": {shape_text(declared)}" if rank else ""),
        facts=[f"it is {shape_text(found)}"],
        mend=mend,
    )


def _numbers(name: str, value: Any) -> NDArray[Any]:
    """`value` as an array of a type that float64 can hold."""
    if value.__class__.__module__.partition(".")[0] == "scipy":
        value = value.toarray() if hasattr(value, "toarray") else value
    try:
        array: NDArray[Any] = np.asarray(value)
    except (ValueError, TypeError):
        raise MathError(
            f"{name} should be an array of numbers: its rows have different lengths",
            mend="rows of one length",
        ) from None
    if value.__class__.__module__.startswith("numpy.ma"):
        hidden = np.argwhere(np.broadcast_to(value.mask, array.shape))
        if len(hidden):
            raise MathError(
                f"{name} has {len(hidden):,} masked entries, the first in {place(hidden[0])}",
                mend="rows without masked entries",
            )
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind in "OUS":
        for at, entry in np.ndenumerate(array):
            if not _is_number(entry):
                raise MathError(
                    f"{name} should be an array of numbers, but it holds {shown(entry)} in {place(at)}",
                    mend="numbers in its place; the command `gradstep train` turns categories into numbers"
                    if isinstance(entry, str)
                    else "numbers in its place",
                )
        return array.astype(np.float64)
    raise MathError(
        f"{name} should be an array of real numbers, not of {array.dtype}",
        mend=NUMBERS.get(array.dtype.kind, "numbers").format(name),
    )


def _is_number(entry: object) -> bool:
    if isinstance(entry, complex | bytes) or entry is None:
        return False
    try:
        float(entry)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _check_entries(name: str, array: Array, bad: NDArray[np.bool_], why: str, mend: str) -> None:
    count = int(bad.sum())
    if count:
        at = tuple(int(k) for k in np.argwhere(bad)[0])
        more = f", and {count - 1} more such" if count > 1 else ""
        raise MathError(
            f"{name} holds {array[at]:.3g} in {place(at)}{more}: {why}",
            facts=[f"{name} is {shape_text(array.shape)}"],
            mend=mend,
        )


def place(at: Sequence[int]) -> str:
    """An entry for people: "row 3, column 2", counted from 0 as in Python."""
    words = ("row", "column") if len(at) < 3 else tuple(f"axis {k}:" for k in range(len(at)))
    return ", ".join(f"{word} {k}" for word, k in zip(words, at, strict=False)) or "it"


def _axes(rank: int) -> str:
    return ("a number", "a vector", "a matrix")[rank] if rank < 3 else f"an array of {rank} axes"
