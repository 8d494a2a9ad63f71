"""Which files are data? Paths become stores, or arrays where the files are small."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.learn.columns import Table, listed, shown
from gradstep.learn.data import from_arrays
from gradstep.learn.files import not_found
from gradstep.operations.memory import memory, spoken

if TYPE_CHECKING:
    import glob

    from gradstep.learn import parquet, stores
else:
    glob = late("glob")
    parquet = late("gradstep.learn.parquet")
    stores = late("gradstep.learn.stores")

Path: TypeAlias = str | os.PathLike[str]

EASY = 1 << 28  # bytes as float64: below, rows are read whole
SHARE = 20  # of the memory, where it is little
SUFFIXES = (".npy", ".parquet")


def open_rows(
    source: Path | Sequence[Path] | Mapping[str, Path | Sequence[Path]],
    target: str | int | None = None,
    *,
    features: Sequence[str | int] | None = None,
) -> stores.Store:
    """Rows in files, as data for `train`, which reads them window by window and never all at once.

    `source` is a .npy or a .parquet file, several of the same columns (a list, or a pattern such as
    "part-*.parquet"), or files by the names in the loss: {"X": "X.npy", "y": "y.npy"}. In one table the
    column `target` becomes y, and all other columns of numbers, or `features`, become X. A column of a .npy
    file is told by its number.
    """
    if isinstance(source, Mapping):
        if target is not None or features is not None:
            raise MathError(
                "a target is a column of one table, not of arrays by name", mend='{"X": …, "y": …}'
            )
        if not source:
            raise MathError("there are no files", mend='{"X": "X.npy", "y": "y.npy"}')
        arrays = {
            str(name): stores.Column(tuple(map(stores.npy, paths(each)))) for name, each in source.items()
        }
        return stores.NpyStore(arrays, listed([os.path.basename(a.files[0].path) for a in arrays.values()]))
    if features is not None and (isinstance(features, str) or not isinstance(features, Sequence)):
        raise MathError(f"features are a list of columns, not {features!r:.40}", mend="features=[0, 1]")
    found = paths(source)
    if all(path.endswith(".parquet") for path in found):
        return parquet.ParquetStore(found, target, features)
    files = tuple(map(stores.npy, found))
    name = os.path.basename(found[0]) + (f" and {len(found) - 1} more" if len(found) > 1 else "")
    arrays = _table(files, target, features, name)
    numbers = np.arange(files[0].shape[1])
    columns = {name: tuple(map(str, np.atleast_1d(numbers[a.columns]))) for name, a in arrays.items()}
    return stores.NpyStore(arrays, name, columns)


def paths(source: object) -> list[str]:
    """The files of a path, a list of paths, or a pattern with * in it."""
    if isinstance(source, str | os.PathLike):
        where = os.fspath(source)
        if not isinstance(where, str):
            raise MathError("a path is text, not bytes", mend='"X.npy"')
        if os.path.exists(where) or not any(mark in where for mark in "*?["):
            return [where]
        found = sorted(glob.glob(where))
        if not found:
            raise not_found(where)
        return found
    if isinstance(source, Sequence) and source:
        return [path for each in source for path in paths(each)]
    raise MathError(f"a path is text, not {type(source).__name__}", mend='"X.npy"')


def _table(
    files: tuple[stores.Npy, ...], target: str | int | None, features: Sequence[str | int] | None, name: str
) -> dict[str, stores.Column]:
    """X and y as columns of one matrix."""
    shape = files[0].shape
    if len(shape) != 2:
        raise MathError(
            f"{name} should be a matrix, a row for each example",
            facts=[f"it has {len(shape)} axes"],
            mend='files by the names in the loss: {"X": "X.npy", "y": "y.npy"}',
        )
    d = shape[1]
    if target is None and features is not None:
        return {"X": stores.Column(files, [_number(each, d, name) for each in features])}
    if target is None:
        raise MathError(f"which of the {d} columns of {name} is to be predicted?", mend=f"target={d - 1}")
    y = _number(target, d, name)
    if features is not None:
        X: Any = [_number(each, d, name) for each in features]
        if y in X or not X:
            raise MathError("the features are other columns than the target, and at least one")
    elif d == 1:
        raise MathError(f"column {y} is the only one of {name}: there is nothing to predict it from")
    elif y in (0, d - 1):
        X = slice(1, None) if y == 0 else slice(None, -1)
    else:
        X = [k for k in range(d) if k != y]
    return {"X": stores.Column(files, X), "y": stores.Column(files, y)}


def _number(column: object, count: int, name: str) -> int:
    number = int(column) if isinstance(column, str) and column.isdigit() and len(column) < 9 else column
    if isinstance(number, int) and not isinstance(number, bool) and -count <= number < count:
        return number % count
    raise MathError(
        f"{name} has no column {shown(column) if isinstance(column, str) else repr(column)[:40]}",
        facts=[f"its columns are numbered from 0 to {count - 1}"],
        mend=f"target={count - 1}",
    )


# ------------------------------------------------------------------------------------------- small or large


def stored_in(data: object) -> tuple[stores.Store, dict[str, Any]] | None:
    """The files among the data, as a store, and the data beside them; None where there are no files."""
    if not isinstance(data, Mapping):
        return (data, {}) if isinstance(data, stores.Store) else None
    files = {name: value for name, value in data.items() if _is_file(value)}
    if not files:
        return None
    return open_rows(files), {name: value for name, value in data.items() if name not in files}


def _is_file(value: object) -> bool:
    return isinstance(value, os.PathLike) or (isinstance(value, str) and value.endswith(".npy"))


def is_stored(path: str) -> bool:
    """Whether a file is one of those whose rows can be read window by window."""
    return path.casefold().endswith(SUFFIXES)


def table_or_rows(
    path: str,
    target: str | None,
    kinds: Mapping[str, str] | None = None,
    features: Sequence[str] | None = None,
) -> Table | stores.Store:
    """A small file, or a few of them, as a table; a large one as rows that stay where they are."""
    found = paths(path)
    most = min(EASY, memory() // SHARE)
    if found[0].casefold().endswith(".parquet"):
        if sum(parquet.size_of_parquet(each) for each in found) <= most:
            return parquet.read_parquet(found, kinds)
        return open_rows(found, target, features=features)
    files = tuple(map(stores.npy, found))
    name = os.path.basename(found[0])
    if sum(8 * math.prod(file.shape) for file in files) > most:
        return open_rows(found, target, features=features)
    if len(files[0].shape) != 2:
        raise MathError(
            f"{name} should be a matrix, a row for each example", facts=[f"it has {len(files[0].shape)} axes"]
        )
    matrix = whole(stores.NpyStore({"X": stores.Column(files)}, name))["X"]
    return from_arrays({str(k): column for k, column in enumerate(matrix.T)}, source=name, kinds=kinds)


def is_small(store: stores.Store) -> bool:
    """Whether the rows fit easily into memory."""
    width = sum(int(np.prod(shape)) for shape in store.shapes.values())
    return 8 * store.count * width <= min(EASY, memory() // SHARE)


def whole(store: stores.Store) -> dict[str, stores.Array]:
    """All rows of a small store, as arrays in memory."""
    parts = [part for unit in range(len(store.units)) for part in store.read(unit, store.names, stores.WHOLE)]
    return {name: np.concatenate([part[name] for part in parts]) for name in store.names}


def read_whole(store: stores.Store) -> str:
    """What is said where a store is read whole."""
    size = spoken(store.count * store.bytes_of(store.names))
    return f"{store.source}: {store.count:,} rows, {size}: they fit into memory and are read whole"
