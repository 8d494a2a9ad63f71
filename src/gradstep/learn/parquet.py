"""What is in Parquet files? Columns of numbers, read row group by row group and no more than is needed."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.learn import stores
from gradstep.learn.columns import Table, listed, nearest, shown
from gradstep.learn.data import from_arrays
from gradstep.learn.files import not_found
from gradstep.learn.prints import footer, print_of
from gradstep.learn.stores import Array, Share, Store, called, cuts, within

BUFFER = 1 << 18  # bytes that are read of a column at a time
MOST_COLUMNS = 100_000
MANY = 4  # windows: from there on it is said that another kind of file is faster


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MathError(
            "Parquet files are read by pyarrow, which is not installed",
            mend="pip install 'gradstep[parquet]'",
        ) from None
    return pyarrow


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    """Damage in the file as an error that names it."""
    arrow = _arrow()
    try:
        yield
    except MathError:
        raise
    except (arrow.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        why = " ".join(str(error).split())[:160]
        raise MathError(
            f"{called(path)} cannot be read as Parquet: it is damaged, or something else", facts=[why]
        ) from None


def _opened(path: str) -> Any:
    """A Parquet file whose end has been read, which tells what is in it."""
    arrow = _arrow()
    try:
        about = os.stat(path)
    except FileNotFoundError:
        raise not_found(path) from None
    except (OSError, ValueError) as error:
        raise MathError(f"{called(path)} cannot be read: {str(error).lower()}") from None
    if not stat.S_ISREG(about.st_mode):
        raise MathError(f"{called(path)} is not a regular file", mend="a .parquet file")
    with _reading(path):
        # In a stream, so that a row group need not fit into memory.
        file = arrow.parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)
        names = file.schema_arrow.names
    if len(names) > MOST_COLUMNS:
        raise MathError(f"{called(path)} has {len(names):,} columns: too many")
    twice = (
        next((name for name in names if names.count(name) > 1), None)
        if len(set(names)) < len(names)
        else None
    )
    if twice is not None:
        raise MathError(f"{called(path)} has two columns called {shown(twice)}", mend="different names")
    return file


def _number_kind(kind: Any) -> np.dtype[Any] | None:
    """The NumPy type that holds a column of numbers; None where it holds something else."""
    types = _arrow().types
    if types.is_boolean(kind):
        return np.dtype(np.int8)
    if types.is_integer(kind) or types.is_floating(kind):
        found: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
        return found
    if types.is_decimal(kind):
        return np.dtype(np.float64)
    return None


class ParquetStore(Store):
    """Columns of numbers in Parquet files: features X and a target y."""

    def __init__(
        self, paths: Sequence[str], target: object, features: Sequence[object] | None = None
    ) -> None:
        self.paths = tuple(paths)
        files = [_opened(path) for path in self.paths]
        schema = files[0].schema_arrow
        self.source = os.path.basename(paths[0]) + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
        self.target, self.features = self._chosen(schema, target, features)
        self._check_alike(files)
        kinds = [_number_kind(schema.field(name).type) or np.dtype(np.float64) for name in self.features]
        kind = np.dtype(np.float32 if all(np.can_cast(k, np.float32) for k in kinds) else np.float64)
        self.shapes = {"X": (len(self.features),)}
        self.kinds = {"X": kind}
        self.columns = {"X": self.features}
        if self.target is not None:
            self.shapes["y"], self.kinds["y"] = (), np.dtype(np.float64)
            self.columns["y"] = (self.target,)
        self.gaps, self.filled = {"X"}, {}
        counts = [
            (number, group, file.metadata.row_group(group).num_rows)
            for number, file in enumerate(files)
            for group in range(file.metadata.num_row_groups)
        ]
        self.groups = [(number, group) for number, group, rows in counts if rows]
        lengths = [rows for _, _, rows in counts if rows]
        self.count = sum(lengths)
        if not self.count:
            raise MathError(f"{self.source} has no rows", facts=["columns: " + listed(schema.names)])
        a_row = self.bytes_of(self.names)  # as few windows of one length as there can be in a row group
        self.rows = [-(-rows // -(-rows * a_row // stores.WINDOW)) for rows in lengths]
        ends = np.cumsum([0, *lengths]).tolist()
        self.units = [
            cuts(start, stop, rows) for (start, stop), rows in zip(pairwise(ends), self.rows, strict=True)
        ]
        if self.target is not None:
            self.mend = f"rows that have one: table.filter(table[{self.target!r}].is_valid()) in pyarrow"
        if self.count * a_row > MANY * stores.WINDOW:
            source = repr(paths[0] if len(paths) == 1 else list(paths))
            self.notes += (
                "each pass decodes the Parquet again: as a .npy file, with columns 0, 1, 2 …, rows come "
                f"several times as fast; gradstep.open_rows({source}, {target!r}).save('x.npy') writes one",
            )

    def _chosen(
        self, schema: Any, target: object, features: Sequence[object] | None
    ) -> tuple[str | None, tuple[str, ...]]:
        """The target and the features; `notes` say which columns are left out."""
        names = list(schema.names)
        for name in [*([] if target is None else [target]), *(features or ())]:
            if name not in names:
                raise MathError(
                    f"there is no column called {shown(name)} in {self.source}",
                    facts=["columns: " + listed(names)],
                    mend=nearest(str(name), names),
                )
            if _number_kind(schema.field(name).type) is None:
                raise MathError(
                    f"the column {shown(name)} of {self.source} holds {schema.field(name).type}, not numbers",
                    mend="a column of numbers: only those are read row by row",
                )
        if target is None and features is None:
            raise MathError(
                "which column is to be predicted?",
                facts=[f"the columns are {listed(names)}"],
                mend=f'target="{names[-1]}"' if names else None,
            )
        others = [name for name in names if name != target]
        able = [name for name in others if _number_kind(schema.field(name).type) is not None]
        if features is None and len(able) < len(others):
            left = [f"{name} ({schema.field(name).type})" for name in others if name not in able]
            self.notes = (f"left out {listed(left)}: no numbers, and only those are read row by row",)
        chosen = tuple(able if features is None else map(str, features))
        if not chosen:
            raise MathError(
                f"{self.source} has no column of numbers to predict {shown(target)} from",
                facts=["columns: " + listed([f"{n} ({schema.field(n).type})" for n in names])],
            )
        return None if target is None else str(target), chosen

    @property
    def used(self) -> list[str]:
        """The columns that are read."""
        return [*self.features, *([] if self.target is None else [self.target])]

    def _check_alike(self, files: Sequence[Any]) -> None:
        first = files[0].schema_arrow
        for path, file in zip(self.paths[1:], files[1:], strict=True):
            schema = file.schema_arrow
            for name in self.used:
                if name not in schema.names:
                    raise MathError(
                        f"{called(path)} has no column called {shown(name)}",
                        facts=[f"{called(self.paths[0])} has one"],
                        mend=nearest(name, list(schema.names)),
                    )
                if schema.field(name).type != first.field(name).type:
                    raise MathError(
                        f"the column {shown(name)} should have the same type in all files",
                        facts=[
                            f"{called(self.paths[0])}: {first.field(name).type}",
                            f"{called(path)}: {schema.field(name).type}",
                        ],
                    )

    def read(self, unit: int, names: Sequence[str], share: Share) -> Iterator[dict[str, Array]]:
        number, group = self.groups[unit]
        wanted = [name for each in names for name in self.columns[each]]
        windows = iter(self.units[unit])
        arrow = _arrow()
        with _reading(self.paths[number]):
            file = _opened(self.paths[number])
            batches = file.iter_batches(self.rows[unit], row_groups=[group], columns=wanted, use_threads=True)
            pending: list[Any] = []
            while (window := next(windows, None)) is not None:
                length = window[1] - window[0]
                while sum(batch.num_rows for batch in pending) < length:
                    batch = next(batches, None)
                    if batch is None:
                        raise MathError(f"{called(self.paths[number])} ends too early: it is damaged")
                    pending.append(batch)
                table = arrow.Table.from_batches(pending)
                pending = table.slice(length).to_batches()
                start, stop = (at - window[0] for at in within(window, share))
                if start < stop:
                    yield self._arrays(table.slice(start, stop - start), names)

    def prints(self) -> dict[str, str]:
        return {path: print_of(path, footer) for path in self.paths}

    def _arrays(self, table: Any, names: Sequence[str]) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for name in names:
            columns = self.columns[name]
            array = np.empty((len(columns), table.num_rows), self.kinds[name])
            for k, column in enumerate(columns):
                array[k] = _values(table.column(column), self.kinds[name])
            found[name] = array.T if self.shapes[name] else array[0]
            if name in self.filled:
                found[name] = np.where(
                    np.isnan(found[name]), self.filled[name].astype(array.dtype), found[name]
                )
        return found


def _values(column: Any, kind: np.dtype[Any]) -> Array:
    """The numbers of a column, NaN where one is missing."""
    types = _arrow().types
    if types.is_boolean(column.type) or types.is_decimal(column.type):
        column = column.cast("float64")
    return np.asarray(column.to_numpy(), dtype=kind)


def read_parquet(paths: Sequence[str], kinds: Mapping[str, str] | None = None) -> Table:
    """The table in small Parquet files: numbers, text, dates and truth values."""
    arrow = _arrow()
    tables = []
    for path in paths:
        with _reading(path):
            tables.append(_opened(path).read())
    with _reading(paths[-1]):
        table = arrow.concat_tables(tables, promote_options="default")
        arrays = {}
        for name in table.column_names:
            column = table.column(name)
            if arrow.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            if arrow.types.is_decimal(column.type):
                column = column.cast("float64")
            if arrow.types.is_nested(column.type) or arrow.types.is_binary(column.type):
                raise MathError(
                    f"the column {shown(name)} of {called(paths[0])} holds {column.type}, "
                    "which is neither a number nor text"
                )
            arrays[name] = column.to_numpy()
    if not arrays:
        raise MathError(f"{called(paths[0])} has no columns")
    return from_arrays(arrays, source=os.path.basename(paths[0]), kinds=kinds)


def size_of_parquet(path: str) -> int:
    """How many bytes the rows of a file take in memory."""
    with _reading(path):
        about = _opened(path).metadata
        sizes = sum(about.row_group(k).total_byte_size for k in range(about.num_row_groups))
    return int(max(sizes, 8 * about.num_rows * about.num_columns))
