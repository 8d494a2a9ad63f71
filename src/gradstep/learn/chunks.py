"""Rows in the chunks of Dask arrays and data frames: a store whose units Dask computes.

A chunk is a unit, whoever has it. What comes in a message may lie in memory otherwise than where it was made,
so rows are laid out anew, one after the other, before anything is computed from them.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.learn.stores import Array, Share, Store, cuts, rows_of_window, within


def is_collection(value: object) -> bool:
    """Whether it is a Dask array or data frame."""
    return type(value).__module__.split(".")[0] in ("dask", "dask_expr") and hasattr(value, "dask")


def current_client() -> Any:
    """The client of Dask that collections are computed by; None where there is none."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    with contextlib.suppress(ValueError):
        return distributed.default_client()
    return None


def as_array(name: str, value: Any, numbers: bool = True) -> Any:
    """A collection as a Dask array whose chunks are runs of whole rows; an array in memory as one."""
    import dask.array

    if hasattr(value, "to_dask_array"):  # a data frame, whose lengths only its rows know
        value = value.to_dask_array(lengths=True)
    value = dask.array.asarray(value)
    if not 1 <= value.ndim <= 2:
        raise MathError(f"{name} should have one or two axes", facts=[f"it has {value.ndim}"])
    if any(size != size for size in value.shape):  # not known yet
        value = value.compute_chunk_sizes()
    if numbers and value.dtype.kind not in "biuf":
        raise MathError(f"{name} should hold numbers", facts=[f"it holds {value.dtype}"])
    return value.rechunk({1: -1}) if value.ndim == 2 else value


def classes_in(y: Any) -> Array:
    """The labels that occur, in order."""
    import dask.array

    found: Array = dask.array.unique(as_array("y", y, numbers=False)).compute()
    return found


def placed(y: Any, classes: Array, columns: bool) -> Any:
    """Labels as their places among the classes, or as a column of 0 and 1 for each class."""
    labels = as_array("y", y, numbers=False)
    place = partial(_placed, classes=classes, columns=columns)
    if not columns:
        return labels.map_blocks(place, dtype=np.float64)
    chunks = (labels.chunks[0], (len(classes),))
    return labels.map_blocks(place, dtype=np.float64, new_axis=1, chunks=chunks)


def _placed(y: Array, classes: Array, columns: bool) -> Array:
    places = np.searchsorted(classes, y)
    return np.eye(len(classes))[places] if columns else places.astype(np.float64)


def by_chunks(answer: Callable[[Array], Array], X: Any, kind: Any, columns: int = 0) -> Any:
    """What a function of rows answers, chunk by chunk, when Dask is asked for it."""
    rows = as_array("X", X)
    chunks = (rows.chunks[0], (columns,)) if columns else (rows.chunks[0],)
    return rows.map_blocks(
        partial(_unnamed, answer=answer), dtype=kind, chunks=chunks, drop_axis=() if columns else 1
    )


def _unnamed(rows: Array, answer: Callable[[Array], Array]) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a chunk has no names of columns
        return answer(rows)


class ChunkStore(Store):
    """Arrays with the same rows, in the same chunks; `client` computes them, or this process."""

    def __init__(self, arrays: Mapping[str, Any], client: Any = None) -> None:
        made = {name: as_array(name, value) for name, value in arrays.items()}
        first = next(iter(made))
        lengths = made[first].chunks[0]
        self.count = int(sum(lengths))
        for name, array in made.items():
            if array.shape[0] != self.count:
                raise MathError(
                    f"{first} and {name} should have the same number of rows",
                    facts=[f"{first} has {self.count:,},  {name} has {array.shape[0]:,}"],
                )
        if not self.count:
            raise MathError(f"{first} has no rows")
        made = {name: array.rechunk({0: lengths}) for name, array in made.items()}
        self.source, self.columns, self.filled = "a Dask collection", {}, {}
        self.shapes = {name: tuple(map(int, array.shape[1:])) for name, array in made.items()}
        self.kinds = {name: array.dtype for name, array in made.items()}
        rows = rows_of_window(self.count, self.bytes_of(self.names))
        borders = pairwise(accumulate(lengths, initial=0))
        self.units = [cuts(start, stop, rows) for start, stop in borders]
        self.known = {name: str(array.name) for name, array in made.items()}
        self.client = client
        delayed = {name: array.to_delayed().ravel() for name, array in made.items()}
        self.made: list[dict[str, Any]] = [
            {name: parts[unit] for name, parts in delayed.items()} for unit in range(len(self.units))
        ]
        if client is not None:
            futures = {name: client.compute(list(parts)) for name, parts in delayed.items()}
            self.made = [
                {name: parts[unit] for name, parts in futures.items()} for unit in range(len(self.units))
            ]

    def __getstate__(self) -> dict[str, Any]:
        """Without the chunks: a worker is given those that it needs."""
        return {**self.__dict__, "made": [], "client": None}

    def prints(self) -> dict[str, str]:
        return dict(self.known)

    def rename(self, old: str, new: str) -> None:
        raise NotImplementedError("a collection has the names that the loss has")

    def inputs(self, units: Sequence[int]) -> dict[int, Any]:
        return {unit: self.made[unit] for unit in units}

    def chunk(self, unit: int) -> Mapping[str, Array]:
        """A chunk of each array, wherever it is."""
        import dask

        found: Mapping[str, Array] | None = self.given.get(unit)
        if found is not None:
            return found

        if self.client is not None:
            (found,) = self.client.gather([self.made[unit]])
        else:
            (found,) = dask.compute(self.made[unit], scheduler="threads")
        assert found is not None
        return found

    def read(self, unit: int, names: Sequence[str], share: Share) -> Iterator[dict[str, Array]]:
        chunk, first = self.chunk(unit), self.units[unit][0][0] if self.units[unit] else 0
        for window in self.units[unit]:
            start, stop = (row - first for row in within(window, share))
            if start < stop:
                yield {name: np.ascontiguousarray(chunk[name][start:stop]) for name in names}
