"""What is in Parquet files? Columns, read row group by row group and no more than is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.learn import places
from gradstep.learn.arrow import TEXT, arrow, check_names, check_regular, columns_of, fields_of, reading
from gradstep.learn.columns import shown
from gradstep.learn.frames import Field, Frame, Raw, Words
from gradstep.learn.prints import footer, print_of
from gradstep.learn.stores import Window, called

SIDE_BY_SIDE = 16  # files elsewhere
BUFFER = 1 << 18  # bytes that are read of a column at a time
NOWHERE = "__HIVE_DEFAULT_PARTITION__"


class ParquetFrame(Frame):
    """Parquet files of the same columns; a folder called key=value adds a column to those in it."""

    piece, decoded = "row group", "Parquet"

    def __init__(self, paths: Sequence[str], root: str = "") -> None:
        self.paths = tuple(paths)
        self.source = called_together(paths)
        files = all_opened(paths)
        self.fields, notes = fields_of([file.schema_arrow for file in files], paths)
        self.folders = [folders_of(path, root) for path in paths]
        for name in dict.fromkeys(name for each in self.folders for name in each):
            without = next((p for p, each in zip(paths, self.folders, strict=True) if name not in each), None)
            if without is not None:
                raise MathError(
                    f"{called(without)} lies in no folder called {name}=…, and other files do",
                    facts=[without],
                )
            if name in self.fields:
                notes.append(f"{shown(name)} is a column of the files: the names of the folders are not used")
                self.folders = [{k: v for k, v in each.items() if k != name} for each in self.folders]
            else:
                self.fields[name] = Field("texts", TEXT, "a name of folders")
        self.notes = tuple(notes)
        self.parts = [
            (number, group, file.metadata.row_group(group).num_rows)
            for number, file in enumerate(files)
            for group in range(file.metadata.num_row_groups)
            if file.metadata.row_group(group).num_rows
        ]
        for path, file in zip(paths, files, strict=True):
            _check_counts(path, file.metadata)
        self.bytes = sum(map(_size_in_memory, files))
        self.ranges = {name: r for name in self.fields if (r := _stated([f.metadata for f in files], name))}

    def size(self) -> int:
        return self.bytes

    def stated(self, name: str) -> tuple[float, float, int] | None:
        return self.ranges.get(name)

    def prints(self) -> dict[str, str]:
        return {path: print_of(path, footer) for path in self.paths}

    def read(self, part: int, names: Sequence[str], runs: Sequence[Window]) -> Iterator[dict[str, Raw]]:
        number, group, _ = self.parts[part]
        path, folders = self.paths[number], self.folders[number]
        inside = [name for name in names if name not in folders]
        where = f", {self.piece} {group}"
        texts = [name for name in inside if self.fields[name].holds == "texts"]
        at = 0
        pending: list[Any] = []
        longest = max((stop - start for start, stop in runs), default=0)
        with reading(path, "Parquet", where):
            batches = opened(path, texts).iter_batches(longest, [group], inside, use_threads=True)
            for start, stop in runs:
                while at + sum(batch.num_rows for batch in pending) < stop:
                    batch = self._next(batches, path, group, inside)
                    if batch is None:
                        raise MathError(
                            f"{called(path)}, {self.piece} {group} ends too early: it is damaged",
                            mend="the file written anew, or another copy of it",
                        )
                    pending.append(batch)
                table = arrow().Table.from_batches(pending)
                pending, rows = table.slice(stop - at).to_batches(), table.slice(start - at, stop - start)
                at = stop
                found = columns_of(rows, self.fields, inside)
                yield found | {
                    name: Words(np.zeros(stop - start, np.int32), (folders[name],)).known()
                    for name in names
                    if name in folders
                }

    def _next(self, batches: Iterator[Any], path: str, group: int, names: Sequence[str]) -> Any:
        """The next batch; of a damaged row group the column is named that cannot be read."""
        try:
            return next(batches, None)
        except (arrow().ArrowException, OSError, ValueError):
            for name in names:
                with reading(path, "Parquet", f", {self.piece} {group}, column {shown(name)}"):
                    for _ in opened(path).iter_batches(1 << 16, [group], [name]):
                        pass
            raise


def all_opened(paths: Sequence[str]) -> list[Any]:
    """Files whose ends have been read: those from elsewhere side by side, since each is waited for."""
    away = [path for path in paths if places.is_address(path)]
    if not away:
        return [opened(path) for path in paths]
    places.about(away)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return list(pool.map(opened, paths))


def opened(path: str, texts: Sequence[str] = ()) -> Any:
    """A Parquet file whose end has been read, which tells what is in it; columns of texts as dictionaries."""
    package = arrow()
    away = places.is_address(path)
    if not away:
        check_regular(path, "a .parquet file")
    with reading(path, "Parquet"):
        # In a stream, so that a row group need not fit into memory; from elsewhere in few large pieces.
        file = package.parquet.ParquetFile(
            places.opened(path) if away else path,
            buffer_size=0 if away else BUFFER,
            pre_buffer=away,
            read_dictionary=list(texts),
            page_checksum_verification=True,
        )
        names = file.schema_arrow.names
    check_names(names, called(path))
    return file


def folders_of(path: str, root: str) -> dict[str, str]:
    """What the names of the folders between a root and a file say: year=2020/month=1."""
    between = os.path.dirname(os.path.relpath(path, root)) if root else ""
    pairs = [part.partition("=") for part in between.split(os.sep) if "=" in part]
    return {unquote(name): "" if value == NOWHERE else unquote(value) for name, _, value in pairs}


def called_together(paths: Sequence[str]) -> str:
    """Files as a message calls them: the first, and how many more."""
    return os.path.basename(paths[0]) + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")


def _check_counts(path: str, about: Any) -> None:
    """The row groups have as many rows as the file says, and their first columns as many values."""
    groups = [about.row_group(k) for k in range(about.num_row_groups)]
    rows = [group.num_rows for group in groups]
    flat = about.num_columns and about.schema.column(0).max_repetition_level == 0
    values = [group.column(0).num_values for group in groups] if flat else rows
    if sum(rows) != about.num_rows or values != rows or min(rows, default=0) < 0:
        raise MathError(
            f"the end of {called(path)} contradicts itself: it is damaged",
            facts=[f"{about.num_rows:,} rows in all, {sum(rows):,} in row groups, {sum(values):,} values"],
            mend="the file written anew, or another copy of it",
        )


def _size_in_memory(file: Any) -> int:
    """How many bytes the rows of a file take in memory, as its end says."""
    about = file.metadata
    sizes = sum(about.row_group(k).total_byte_size for k in range(about.num_row_groups))
    return int(max(sizes, 8 * about.num_rows * about.num_columns))


def _stated(files: Sequence[Any], name: str) -> tuple[float, float, int] | None:
    """Range and count of a column of numbers, where every row group states them."""
    low, high, there = np.inf, -np.inf, 0
    for file in files:
        names = [file.schema.column(k).path for k in range(file.num_columns)]
        if name not in names:
            return None
        at = names.index(name)
        for group in range(file.num_row_groups):
            found = file.row_group(group).column(at).statistics
            if found is None or not found.has_null_count:
                return None
            if not found.has_min_max:
                if found.num_values:
                    return None
                continue
            if not all(isinstance(each, int | float) for each in (found.min, found.max)):
                return None
            low, high, there = min(low, found.min), max(high, found.max), there + found.num_values
    return float(low), float(high), there
