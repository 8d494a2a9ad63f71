"""How is a value put down as plain data? As JSON beside one long vector of numbers; its type reads it back.

Records (data classes and named tuples) go with their names. Every array, and every run of floats, lies in the
vector, once however often it is mentioned. Nothing is called on the way back but the records that the types
name.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from gradstep.learn.packing import fingerprint
from gradstep.learn.saved import Kept
from gradstep.learn.scaling import Array

T = TypeVar("T")
Plain: TypeAlias = Any
"""What JSON can hold."""

IS = "is"  # the name of a record, among its fields
ODD = ("inf", "-inf", "nan")  # floats that JSON has no sign for


def plain(value: Any) -> Plain:
    """Data that tell one value from another: a setting as it is, an array by its fingerprint."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    return fingerprint(np.asarray(value, dtype=np.float64))


class Writer:
    """Puts values down; `numbers` is what their data refer to."""

    def __init__(self) -> None:
        self.parts: list[Array] = []
        self.places: dict[int, tuple[int, Any]] = {}  # the array is kept, so that its id stays its own
        self.size = 0

    @property
    def numbers(self) -> Array:
        return np.concatenate(self.parts) if self.parts else np.zeros(0)

    def data(self, value: Any) -> Plain:
        """The data of a value."""
        if isinstance(value, bool | str | None):
            return value
        if isinstance(value, int | np.integer):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else repr(float(value))
        if isinstance(value, np.ndarray):
            return self.array(value)
        if isinstance(value, Mapping):
            return {str(name): self.data(each) for name, each in value.items()}
        named = _fields(type(value))
        if named is not None:
            return {IS: type(value).__name__, **{name: self.data(getattr(value, name)) for name in named}}
        items = sorted(value) if isinstance(value, frozenset) else list(value)
        if items and all(isinstance(each, float) for each in items):
            return self.array(np.array(items))
        return [self.data(each) for each in items]

    def array(self, value: Array) -> Plain:
        """Where an array lies, and its shape."""
        if id(value) not in self.places:
            self.places[id(value)] = self.size, value
            self.parts.append(np.asarray(value, dtype=np.float64).ravel())
            self.size += value.size
        return [self.places[id(value)][0], list(value.shape)]


class Reader:
    """Reads values of known types; data of another form are a `MathError`.

    With a `length` every array is a vector of that length, or has a name of its own and is a number.
    """

    def __init__(self, numbers: Array, kept: Kept, length: int | None = None) -> None:
        self.numbers, self.kept, self.length = numbers, kept, length

    def value(self, kind: Any, data: Plain, at: str = "its content") -> Any:
        """The value of type `kind`; `at` is what errors call it."""
        origin, given = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            return self.one_of(given, data, at)
        if origin is Literal:
            self.check(any(data == each and type(data) is type(each) for each in given), at)
            return data
        if kind is type(None):
            self.check(data is None, at)
            return None
        if kind is float:
            number = isinstance(data, int | float) and not isinstance(data, bool)
            self.check(number or data in ODD, at)
            return float(data)
        if kind in (int, bool, str):
            self.check(type(data) is kind, at)
            return data
        if origin is np.ndarray:
            return self.array(data, at, get_args(given[1])[0])
        if origin is dict:
            names, values = given
            self.check(isinstance(data, dict), at)
            called = {self.name(names, each, at): each for each in data}
            return {name: self.entry(values, data[each], f"{at}.{each}") for name, each in called.items()}
        if origin in (list, tuple, deque, frozenset):
            return self.run(origin, given, data, at)
        return self.record(kind, data, at)

    def check(self, fine: bool, at: str) -> None:
        if not fine:
            raise self.kept.spoiled(f"{at} is not what it should be")

    def name(self, kind: Any, name: str, at: str) -> Any:
        self.check(kind is str or (name.isdecimal() and len(name) < 19), at)
        return kind(name)

    def one_of(self, kinds: Sequence[Any], data: Plain, at: str) -> Any:
        """The one of several types that it is; of records the one with its name."""
        if data is None and type(None) in kinds:
            return None
        others = [kind for kind in kinds if kind is not type(None)]
        if len(others) > 1:
            called = data.get(IS) if isinstance(data, dict) else None
            others = [kind for kind in others if _fields(kind) is not None and kind.__name__ == called]
            self.check(len(others) == 1, at)
        return self.value(others[0], data, at)

    def run(self, origin: Any, given: Sequence[Any], data: Plain, at: str) -> Any:
        """A list, or another run of values."""
        fixed = origin is tuple and given[1:] != (...,)
        self.check(isinstance(data, list) and (not fixed or given[0] is float or len(data) == len(given)), at)
        if given[0] is float and data:
            values = self.floats(data, at)
            self.check(not fixed or len(values) == len(given), at)
            return origin(values)
        kinds = given if fixed else [given[0]] * len(data)
        return origin(self.value(kind, each, at) for kind, each in zip(kinds, data, strict=True))

    def floats(self, data: Plain, at: str) -> list[float]:
        found = self.vector(data, at)
        self.check(found.ndim == 1, at)
        values: list[float] = found.tolist()
        return values

    def entry(self, kind: Any, data: Plain, at: str) -> Any:
        """What has a name of its own: arrays among them may be numbers, with or without axes."""
        if get_origin(kind) is not np.ndarray:
            return self.value(kind, data, at)
        if isinstance(data, float | str):
            return np.float64(self.value(float, data, at))
        found = self.vector(data, at)
        return found.copy() if not found.ndim else self.value(kind, data, at)

    def array(self, data: Plain, at: str, kind: Any) -> Array:
        """An array of its own, which may be changed."""
        found = self.vector(data, at)
        self.check(self.length is None or found.shape == (self.length,), at)
        return found.astype(kind)

    def vector(self, data: Plain, at: str) -> Array:
        self.check(isinstance(data, list) and len(data) == 2, at)
        start, shape = data
        wholes = [start, *shape] if isinstance(shape, list) else [None]
        self.check(all(type(each) is int and each >= 0 for each in wholes), at)
        end = start + math.prod(shape)
        self.check(end <= len(self.numbers) and len(shape) <= 8, at)
        return self.numbers[start:end].reshape(shape)

    def record(self, kind: type[T], data: Plain, at: str) -> T:
        """A record of that name, with just its fields."""
        named = _fields(kind)
        assert named is not None, kind
        self.check(isinstance(data, dict) and set(data) == {IS, *named} and data[IS] == kind.__name__, at)
        hints = get_type_hints(kind)
        return kind(**{name: self.value(hints[name], data[name], f"{at}.{name}") for name in named})


def _fields(kind: Any) -> tuple[str, ...] | None:
    """The fields of a record."""
    if dataclasses.is_dataclass(kind):
        return tuple(each.name for each in dataclasses.fields(kind))
    found: tuple[str, ...] | None = getattr(kind, "_fields", None)
    return found
