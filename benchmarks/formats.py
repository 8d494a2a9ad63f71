"""How many rows a second come out of each format, beside what pandas and pyarrow need for the same file?

    python benchmarks/formats.py [--rows 1000000] [--folder /tmp] [--repeats 3]

A table of ten columns of numbers, a category of four levels and a target is written as .npy (the category as
a number), Parquet, Arrow, CSV, CSV compressed by gzip, and into DuckDB. Measured are `open_rows`, which
decides what columns become and writes down what comes only once, and a pass: X and y of every window, as each
step of a training reads them. The others read the whole file into memory. Everything is measured in turns in
one run, with the file in the page cache, and told as a median.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import numpy as np
import pandas
import pyarrow
from pyarrow import csv, feather, parquet

import gradstep as gs
from gradstep.learn.stores import WHOLE, Store

COLUMNS = 10


def table(rows: int) -> pyarrow.Table:
    """Normal numbers to five digits, a category, and a target that depends on both."""
    random = np.random.default_rng(0)
    numbers = random.normal(size=(COLUMNS, rows)).round(5)
    kind = random.choice(["flat", "house", "castle", "tent"], rows)
    columns: dict[str, Any] = {f"x{k}": column for k, column in enumerate(numbers)}
    return pyarrow.table({**columns, "kind": kind, "y": 2 * numbers[0] + (kind == "flat")})


def write(folder: Path, made: pyarrow.Table) -> dict[str, Callable[[], Store]]:
    """The table in every format, and how each is opened."""
    codes = made.set_column(COLUMNS, "kind", made["kind"].combine_chunks().dictionary_encode().indices)
    np.save(folder / "t.npy", np.column_stack([column.to_numpy() for column in codes.columns]))
    parquet.write_table(made, folder / "t.parquet")
    feather.write_feather(made, folder / "t.arrow", compression="uncompressed")
    csv.write_csv(made, folder / "t.csv")
    with open(folder / "t.csv", "rb") as plain, gzip.open(folder / "t.csv.gz", "wb", 1) as packed:
        shutil.copyfileobj(plain, packed)
    with duckdb.connect(str(folder / "t.db")) as connection:
        connection.register("made", made)
        connection.execute("create table t as select * from made")
    opened: dict[str, Callable[[], Store]] = {
        name: lambda name=name: gs.open_rows(folder / name, "y")  # type: ignore[misc]
        for name in ("t.parquet", "t.arrow", "t.csv", "t.csv.gz")
    }
    opened["t.npy"] = lambda: gs.open_rows(folder / "t.npy", COLUMNS + 1)
    opened["t.db"] = lambda: gs.open_query(f"duckdb:///{folder / 't.db'}", "select * from t", "y")
    return opened


def others(folder: Path) -> dict[str, dict[str, Callable[[], object]]]:
    """What else reads these files."""
    connection = duckdb.connect(str(folder / "t.db"), read_only=True)
    return {
        "t.npy": {"numpy": lambda: np.load(folder / "t.npy")},
        "t.parquet": {
            "pyarrow": lambda: parquet.read_table(folder / "t.parquet"),
            "pandas": lambda: pandas.read_parquet(folder / "t.parquet"),
        },
        "t.arrow": {"pandas": lambda: pandas.read_feather(folder / "t.arrow")},
        "t.csv": {
            "pyarrow": lambda: csv.read_csv(folder / "t.csv"),
            "pandas": lambda: pandas.read_csv(folder / "t.csv"),
        },
        "t.csv.gz": {"pandas": lambda: pandas.read_csv(folder / "t.csv.gz")},
        "t.db": {"duckdb to arrow": lambda: pyarrow.table(connection.sql("select * from t"))},
    }


def one_pass(store: Store) -> None:
    """Every window once."""
    for unit in range(len(store.units)):
        for arrays in store.read(unit, store.names, WHOLE):
            assert len(arrays["y"])


def seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        opened, beside = write(folder, table(options.rows)), others(folder)
        found: dict[tuple[str, str], list[float]] = {}
        for _ in range(options.repeats):
            for file, open_file in opened.items():
                stores: list[Store] = []
                runs: dict[str, Callable[[], object]] = {
                    "gradstep opens": lambda: stores.append(open_file()),  # noqa: B023
                    "gradstep, a pass": lambda: one_pass(stores[0]),  # noqa: B023
                    **beside[file],
                }
                for what, run in runs.items():
                    found.setdefault((file, what), []).append(seconds(run))
        print(f"{options.rows:,} rows of {COLUMNS} numbers, a category and a target; million rows a second")
        for (file, what), times in found.items():
            size = (folder / file).stat().st_size / 1e6
            print(f"  {file:10} {size:6.0f} MB  {what:18} {options.rows / median(times) / 1e6:8.2f}")


if __name__ == "__main__":
    main()
