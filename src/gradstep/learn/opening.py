"""Which files are data? Paths become stores, or arrays where the files are small."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.learn import places
from gradstep.learn.columns import Table, listed, shown
from gradstep.learn.data import from_arrays
from gradstep.learn.files import not_found
from gradstep.operations.memory import memory, spoken

if TYPE_CHECKING:
    import glob

    from gradstep.learn import batches, cells, lines, parquet, queries, selection, stores, texts
    from gradstep.learn import cluster as clusters
    from gradstep.learn.encoding import Encoder
    from gradstep.learn.frames import Frame
else:
    glob = late("glob")
    batches = late("gradstep.learn.batches")
    cells = late("gradstep.learn.cells")
    clusters = late("gradstep.learn.cluster")
    lines = late("gradstep.learn.lines")
    parquet = late("gradstep.learn.parquet")
    queries = late("gradstep.learn.queries")
    selection = late("gradstep.learn.selection")
    stores = late("gradstep.learn.stores")
    texts = late("gradstep.learn.texts")

Path: TypeAlias = str | os.PathLike[str]

EASY = 1 << 28  # bytes as float64: below, rows are read whole
SHARE = 20  # of the memory, where it is little
FORMATS = {
    ".npy": "npy",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
}
PACKED = ".gz"


def open_rows(
    source: Path | Sequence[Path] | Mapping[str, Path | Sequence[Path]],
    target: str | int | None = None,
    *,
    features: Sequence[str | int] | None = None,
    kinds: Mapping[str, str] | None = None,
    separator: str | None = None,
    decimal: str = ".",
    thousands: str = "",
    cluster: object = None,
) -> stores.Store:
    """Rows in files, as data for `train`, which reads them window by window and never all at once.

    `source` is a .npy, Parquet, Arrow (Feather) or CSV file, a folder or several files of the same columns (a
    list, or a pattern such as "part-*.parquet"), or .npy files by the names in the loss: {"X": "X.npy", "y":
    "y.npy"}. All but .npy files may lie elsewhere, "s3://bucket/part-*.parquet". In one table the column
    `target` becomes y, and all other columns, or `features`, become X. A column of a .npy file is told by its
    number.

    In tables with names the columns become what they become in a small table (`Encoder.fit`): a category is a
    column of 0 and 1 for each level but the commonest, a missing number the mean, a date a year, and rows
    without target are left out; a target of texts becomes 0 and 1, or one-hot for three classes or more.
    `kinds={"code": "category"}` settles what a column is. A folder called year=2020 adds a column. CSV, also
    as .csv.gz, is read once and written down as columns in a temporary file, which lasts as long as the rows
    are used; `separator`, `decimal` and `thousands` are those of `read_table`. What must be known of columns
    first is found out by the workers of a `cluster` (as for `train`), if one is given.
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
    if hasattr(source, "__arrow_c_stream__"):
        frame: Frame = queries.written_down(source, "", "the table", ())
        with clusters.cluster_of(cluster) as workers:
            return selection.selected(frame, target, features, kinds=kinds, workers=workers)
    found = paths(source)
    if format_of(found) != "npy":
        style = cells.Style(decimal, thousands)
        frame = frame_of(found, source, kinds, separator, style)
        with clusters.cluster_of(cluster) as workers:
            return selection.selected(frame, target, features, kinds=kinds, style=style, workers=workers)
    files = tuple(map(stores.npy, found))
    name = os.path.basename(found[0]) + (f" and {len(found) - 1} more" if len(found) > 1 else "")
    arrays = _table(files, target, features, name)
    numbers = np.arange(files[0].shape[1])
    columns = {name: tuple(map(str, np.atleast_1d(numbers[a.columns]))) for name, a in arrays.items()}
    return stores.NpyStore(arrays, name, columns)


def suffix_of(path: str) -> str:
    """How a name ends, without what says that the file is compressed."""
    return os.path.splitext(path.casefold().removesuffix(PACKED))[1]


def has_names(path: str) -> bool:
    """Whether columns have names in such a file, in what a pattern finds, or in the files of a folder."""
    of_files = FORMATS.get(suffix_of(path))
    return of_files != "npy" if of_files else is_stored(path)


def format_of(paths: Sequence[str]) -> str:
    """The format of files, which is the same for all of them, by how their names end."""
    found = {path: FORMATS.get(suffix_of(path), "npy") for path in paths}
    other = next((path for path, each in found.items() if each != found[paths[0]]), None)
    if other is not None:
        raise MathError(
            "the files of a table should have one format",
            facts=[f"{stores.called(paths[0])} and {stores.called(other)} have two"],
            mend=f'a pattern, "*{suffix_of(paths[0])}"',
        )
    return found[paths[0]]


def frame_of(
    paths: Sequence[str],
    source: object = "",
    kinds: Mapping[str, str] | None = None,
    separator: str | None = None,
    style: cells.Style | None = None,
) -> Frame:
    """Files with named columns, as a table; in the `source` asked for, names of folders may say more."""
    match format_of(paths):
        case "parquet":
            return parquet.ParquetFrame(paths, _root(source))
        case "text":
            return texts.read_texts(paths, separator=separator, style=style or cells.PLAIN, kinds=kinds)
    return batches.ArrowFrame(paths)


def paths(source: object) -> list[str]:
    """The files of a path, a folder, a list of paths, or a pattern with * in it."""
    if isinstance(source, str | os.PathLike):
        where = os.fspath(source)
        if not isinstance(where, str):
            raise MathError("a path is text, not bytes", mend='"X.npy"')
        where = places.local(where)
        if places.is_address(where):
            return _away(where)
        if os.path.isdir(where):
            return _inside(where)
        if os.path.exists(where) or not any(mark in where for mark in "*?["):
            return [where]
        found = sorted(glob.glob(where, recursive=True))
        if not found:
            raise not_found(where)
        return found
    if isinstance(source, Sequence) and source:
        return [path for each in source for path in paths(each)]
    raise MathError(f"a path is text, not {type(source).__name__}", mend='"X.npy"')


def _inside(folder: str) -> list[str]:
    """The files of data in a folder and in those in it, in order; what begins with . or _ is none."""
    found = []
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] not in "._")
        found += [os.path.join(where, name) for name in files if name[0] not in "._" and is_stored(name)]
    return sorted(found) or _without_data(folder)


def _without_data(folder: str) -> NoReturn:
    raise MathError(
        f"{stores.called(folder.rstrip('/'))} is a folder without files of data",
        facts=["files of data end in " + ", ".join(FORMATS)],
        mend="the path of a folder with such files",
    )


def _away(where: str) -> list[str]:
    """The same for an address: of one file, of a folder, or with a pattern."""
    places.check_address(where)
    if any(mark in where for mark in places.MARKS):
        found = places.matching(where)
        if not found:
            raise MathError(f"there is no file {shown(where)}")
        return found
    if not places.is_folder(where):
        return [where]
    names = {path: path[len(where.rstrip("/")) + 1 :].split("/") for path in places.files_in(where)}
    seen = [path for path, each in names.items() if not any(name[:1] in (".", "_") for name in each)]
    return [path for path in seen if suffix_of(path) in FORMATS] or _without_data(where)


def _root(source: object) -> str:
    """The folder from which on names of folders may say key=value: the part of a path without a pattern."""
    if not isinstance(source, str | os.PathLike) or not source:
        return ""
    where = os.fspath(source)
    if not isinstance(where, str) or os.path.isfile(where := places.local(where)):
        return ""
    parts = where.split(os.sep)
    marked = next((k for k, part in enumerate(parts) if any(mark in part for mark in "*?[")), len(parts))
    return os.sep.join(parts[:marked]) or (os.sep if where.startswith(os.sep) else os.curdir)


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
    """Whether a file, or what a pattern finds, is one of those whose rows can be read window by window."""
    return suffix_of(path) in FORMATS or os.path.isdir(places.local(path)) or places.is_address(path)


def is_short_text(path: str, limit: int) -> bool:
    """Whether a path is that of one text table which is easily read whole, unpacked if it is compressed."""
    path = places.local(path)
    if places.is_address(path) or FORMATS.get(suffix_of(path), "text") != "text" or os.path.isdir(path):
        return False
    if not os.path.isfile(path):
        return not glob.glob(path)
    limit = min(limit, memory() // SHARE)
    if not path.casefold().endswith(PACKED):
        return os.path.getsize(path) <= limit
    left = limit
    with lines.opened(path) as file:
        while left >= 0 and (read := len(lines.read(file, path))):
            left -= read
    return left >= 0


def table_or_rows(
    path: str,
    target: str | None,
    kinds: Mapping[str, str] | None = None,
    encoder: Encoder | None = None,
    separator: str | None = None,
    style: cells.Style | None = None,
    query: str | None = None,
    workers: Callable[[], clusters.Cluster | None] = lambda: None,
) -> Table | stores.Store:
    """A small file, or a few of them, as a table; a large one as rows that stay where they are.

    With an `encoder` they are the rows that it makes of the table; with a `query` the path is the address of
    a data base. The `workers` look at what is large.
    """
    most = min(EASY, memory() // SHARE)
    found = [] if query else paths(path)
    if query or format_of(found) != "npy":
        style = style or cells.PLAIN
        frame = queries.answer(path, query) if query else frame_of(found, path, kinds, separator, style)
        if frame.size() <= most:
            return frame.table(kinds)
        if encoder is not None:
            return selection.applied(frame, encoder, style)
        return selection.selected(frame, target, kinds=kinds, style=style, workers=workers())
    files = tuple(map(stores.npy, found))
    name = os.path.basename(found[0])
    if sum(8 * math.prod(file.shape) for file in files) > most:
        return open_rows(found, target, features=None if encoder is None else list(encoder.kinds))
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
