"""What do columns of Arrow hold? Numbers, dates as years, truth values, texts; nothing in them is run."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradstep.expression.errors import MathError
from gradstep.learn.columns import listed, nearest, shown
from gradstep.learn.files import not_found
from gradstep.learn.frames import Field, Raw, Words
from gradstep.learn.places import about, is_address
from gradstep.learn.stores import Array, called

MOST_COLUMNS = 100_000
TRUTH = ("False", "True")
DOUBLE, TEXT = np.dtype(np.float64), np.dtype(object)


def arrow() -> Any:
    """The package pyarrow."""
    try:
        import pyarrow
        import pyarrow.csv
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise MathError(
            "Parquet and Arrow files are read by pyarrow, which is not installed",
            mend="pip install 'gradstep[parquet]'",
        ) from None
    return pyarrow


@contextlib.contextmanager
def reading(path: str, what: str, where: str = "") -> Iterator[None]:
    """Damage in the file as an error that names it, and where in it: ", row group 3"."""
    try:
        yield
    except MathError:
        raise
    except PermissionError:
        raise MathError(
            f"{called(path)} cannot be read: permission denied", mend=f"chmod u+r {path}"
        ) from None
    except (
        arrow().ArrowException,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        MemoryError,
        struct.error,
    ) as error:
        why = " ".join(str(error).split())[:160]
        raise MathError(
            f"{called(path)} cannot be read as {what}{where}: it is damaged, or "
            + ("cannot be reached any more" if is_address(path) else "something else"),
            facts=[why] if why else [],
            mend="the file written anew, or another copy of it",
        ) from None


def check_regular(path: str, mend: str) -> None:
    """Raises `MathError` for what is no file: pipes and devices would never end."""
    if is_address(path):
        about([path])
        return
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        raise not_found(path) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MathError(f"{called(path)} cannot be read: {reason.lower()}", mend=mend) from None
    if not regular:
        raise MathError(f"{called(path)} is not a regular file", mend=mend)


def check_names(names: Sequence[str], source: str) -> None:
    """Raises `MathError` where columns cannot be told apart, or are too many."""
    if len(names) > MOST_COLUMNS:
        raise MathError(f"{source} has {len(names):,} columns: too many", mend="features=[…], in fewer files")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise MathError(f"{source} has two columns called {shown(twice)}", mend="different names")


# ------------------------------------------------------------------------------------------- types


def field_of(type: Any) -> Field | None:
    """What a column of this type holds; None where it is neither numbers, dates, truth values nor texts."""
    types = arrow().types
    told = str(type)
    if types.is_dictionary(type):
        found = field_of(type.value_type)
        return None if found is None else Field(found.holds, found.kind, told)
    if types.is_boolean(type):
        return Field("truth", TEXT, told)
    if types.is_integer(type) or types.is_floating(type):
        return Field("numbers", np.dtype(type.to_pandas_dtype()), told)
    if types.is_decimal(type):
        return Field("numbers", DOUBLE, told)
    if types.is_timestamp(type) or types.is_date(type):
        return Field("dates", DOUBLE, told)
    if types.is_string(type) or types.is_large_string(type) or types.is_string_view(type):
        return Field("texts", TEXT, told)
    if types.is_null(type):
        return Field("numbers", np.dtype(np.float32), told)
    return None


def fields_of(schemas: Sequence[Any], paths: Sequence[str]) -> tuple[dict[str, Field], list[str]]:
    """The columns that all files have, and what had to be said about others.

    A column whose type differs is a `MathError` that says how, unless numbers are only wider in one of them.
    """
    fields: dict[str, Field] = {}
    left: list[str] = []
    for name in schemas[0].names:
        types = [schema.field(name).type if name in schema.names else None for schema in schemas]
        if None in types:
            at = types.index(None)
            raise MathError(
                f"{called(paths[at])} has no column called {shown(name)}",
                facts=[f"{called(paths[0])} has one", f"its columns: {listed(schemas[at].names)}"],
                mend=nearest(name, [each for each in schemas[at].names if each not in schemas[0].names])
                or "the same columns in all files",
            )
        found = [field_of(type) for type in types]
        holds = {
            each.holds if each else str(type)
            for each, type in zip(found, types, strict=True)
            if not _empty(type)
        }
        if len(holds) > 1:
            other = next(k for k, each in enumerate(types) if not _alike(types[0], each))
            raise MathError(
                f"the column {shown(name)} should have the same type in all files",
                facts=[f"{called(paths[k])}: {types[k]}" for k in (0, other)],
                mend=f"{called(paths[other])} with {types[0]} there",
            )
        known = [each for each, type in zip(found, types, strict=True) if each and not _empty(type)] or found
        if known[0] is None:
            left.append(f"{name} ({types[0]})")
        elif known[0].holds == "numbers":
            wide = np.result_type(*(each.kind for each in known if each))
            fields[name] = Field("numbers", wide, known[0].told)
        else:
            fields[name] = known[0]
    notes = [f"left out {listed(left)}: neither numbers nor texts"] if left else []
    more = {name for schema in schemas[1:] for name in schema.names} - set(schemas[0].names)
    if more:
        notes.append(f"left out {listed(sorted(more))}: not every file has it")
    return fields, notes


def _empty(type: Any) -> bool:
    return bool(arrow().types.is_null(type))


def _alike(one: Any, other: Any) -> bool:
    first, second = field_of(one), field_of(other)
    if first is None or second is None:
        return str(one) == str(other)
    return first.holds == second.holds or _empty(one) or _empty(other)


# ------------------------------------------------------------------------------------------- values


def raw_of(column: Any, field: Field) -> Raw:
    """The values of a chunked column: numbers with NaN where one is missing, or texts."""
    if field.holds == "numbers":
        return _numbers(column, field.kind)
    if field.holds == "dates":
        return years(np.asarray(column.cast("timestamp[s]", safe=False).to_numpy()))
    if field.holds == "truth":
        codes = np.asarray(column.cast("int8").fill_null(-1).to_numpy(), dtype=np.int32)
        return Words(codes, TRUTH)
    return texts_of(column)


def _numbers(column: Any, kind: np.dtype[Any]) -> Array:
    types = arrow().types
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_decimal(column.type) or types.is_null(column.type):
        column = column.cast("float64")
    if column.null_count and kind.kind not in "f":
        kind = DOUBLE
    return np.asarray(column.to_numpy(), dtype=kind)


def texts_of(column: Any) -> Words:
    if not arrow().types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    if not column.num_chunks:
        return Words(np.zeros(0, dtype=np.int32), ())
    indices = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in column.chunks]
    words = column.chunk(0).dictionary.to_pylist()
    codes = np.concatenate(indices).astype(np.int32, copy=False)
    return Words(codes, tuple("" if word is None else word.strip() for word in words)).known()


def years(moments: Array) -> Array:
    """Dates as years with decimals, as `cells.year` has them; NaN where there is none."""
    absent = np.isnat(moments)
    moments = np.where(absent, np.datetime64(0, "s"), moments).astype("datetime64[s]")
    start = moments.astype("datetime64[Y]")
    number = start.astype(np.int64) + 1970
    leap = (number % 4 == 0) & ((number % 100 != 0) | (number % 400 == 0))
    seconds = (moments - start.astype("datetime64[s]")).astype(np.float64)
    found = number + seconds / (86_400 * np.where(leap, 366, 365))
    return np.where(absent, np.nan, found)


def columns_of(table: Any, fields: Mapping[str, Field], names: Sequence[str]) -> dict[str, Raw]:
    """Columns of a table by name."""
    return {name: raw_of(table.column(name), fields[name]) for name in names}
