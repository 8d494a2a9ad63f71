"""How fast are rows trained on that stay in their file, beside a plain read of it and beside memory itself?

    python benchmarks/out_of_core.py [--gigabytes 4] [--folder /tmp] [--repeats 3]

A .npy file of float32 with 100 columns (10 million rows at 4 GB) is written, measured and deleted. A pass is
one value and gradient of the article's neuron over all rows. Cold means that the system was told to forget
the pages of the file (POSIX_FADV_DONTNEED); the disk behind may still remember. The memory's limit is the
product x·x of a vector in memory by NumPy's BLAS on all cores, which reads it once and writes nothing.
Everything is measured in one run, one after the other in turns, and told as a median. The peak of memory is
that of a process of its own that trains three steps.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

import gradstep as gs
from gradstep.backends.rows import cut
from gradstep.backends.threads import one_thread_each
from gradstep.learn.choices import translated
from gradstep.learn.opening import open_rows
from gradstep.learn.reading import Part, bytes_from_disk
from gradstep.learn.stores import Store
from gradstep.learn.survey import surveyed

COLUMNS, BLOCK = 100, 100_000
BUFFER = 8 << 20
LOSS = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
GB = 1e9


def write(path: Path, rows: int) -> None:
    """A matrix of normal numbers, its last column a neuron of the others."""
    block = np.random.default_rng(0).standard_normal((BLOCK, COLUMNS), dtype=np.float32)
    block[:, -1] = np.maximum(block[:, :5].sum(axis=1) + 1, 0) + 0.1 * block[:, -1]
    with open(path, "wb") as file:
        head = {"descr": "<f4", "fortran_order": False, "shape": (rows, COLUMNS)}
        np.lib.format.write_array_header_1_0(file, head)
        for _ in range(rows // BLOCK):
            file.write(block.tobytes())
        file.flush()
        os.fsync(file.fileno())


def write_parquet(path: Path, rows: int, compression: str) -> None:
    """The same in row groups of 100,000, without dictionaries: no two numbers are alike."""
    import pyarrow as arrow
    from pyarrow import parquet

    block = np.random.default_rng(0).standard_normal((BLOCK, COLUMNS), dtype=np.float32)
    table = arrow.table({f"x{k}": column for k, column in enumerate(block.T)})
    with parquet.ParquetWriter(path, table.schema, compression=compression, use_dictionary=False) as file:
        for _ in range(rows // BLOCK):
            file.write_table(table)
    with open(path, "rb") as written:
        os.fsync(written.fileno())


def forget(path: Path) -> None:
    """No page of the file in memory."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def plain_read(path: Path) -> None:
    """All bytes into one small buffer."""
    buffer = bytearray(BUFFER)
    file = os.open(path, os.O_RDONLY)
    at = 0
    while got := os.preadv(file, [buffer], at):
        at += got
    os.close(file)


def one_pass(store: Store) -> Callable[[], None]:
    """A value and gradient over all rows."""
    function = translated((LOSS, ("w", "b"), ()), "native", None)
    blocked = function.raw.in_blocks(cut(function.program, "N"))
    w = np.zeros(store.shapes["X"])
    part = Part(store, kind=np.float32)

    def run() -> None:
        with one_thread_each():
            blocked.run(part, {"w": w, "b": np.ones(())}, np.float32)

    return run


def speed(size: int, run: Callable[[], None], path: Path | None, cold: bool) -> tuple[float, float, float]:
    """GB a second, the share of the bytes that came from the disk, and seconds of all cores."""
    if cold and path is not None:
        forget(path)
    disk, busy, began = bytes_from_disk(), time.process_time(), time.perf_counter()
    run()
    took = time.perf_counter() - began
    return size / took / GB, (bytes_from_disk() - disk) / size, time.process_time() - busy


def measured(
    name: str, size: int, runs: dict[str, tuple[Callable[[], None], Path | None, bool]], repeats: int
) -> None:
    found: dict[str, list[tuple[float, float, float]]] = {each: [] for each in runs}
    for _ in range(repeats):
        for each, (run, path, cold) in runs.items():
            found[each].append(speed(size, run, path, cold))
    print(f"{name}\n{'':34}{'GB/s':>8}{'best':>8}{'from disk':>11}{'core seconds':>14}")
    for each, results in found.items():
        fast, disk, busy = (median(part) for part in zip(*results, strict=True))
        print(f"  {each:32}{fast:8.2f}{max(r[0] for r in results):8.2f}{100 * disk:9.0f} %{busy:14.2f}")


def trained(path: str) -> None:
    """Three steps in this process, and what they took."""
    store = open_rows(path, COLUMNS - 1 if path.endswith(".npy") else f"x{COLUMNS - 1}")
    fit = gs.train(LOSS, store, steps=3, holdout=0.2)
    with open("/proc/self/status", encoding="ascii") as status:  # of this process alone, not of who began it
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1000
    print(f"  {fit.notes[-1]}\n  peak of memory {peak:.0f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--parquet-gigabytes", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--train", metavar="FILE", help="used by itself")
    options = parser.parse_args()
    if options.train:
        trained(options.train)
        return
    size = options.gigabytes * GB
    free = shutil.disk_usage(options.folder).free
    if 2 * size > free:
        size = free / 4
        print(f"the disk has {free / GB:.0f} GB left: the file has {size / GB:.1f}")
    rows = int(size / 4 / COLUMNS) // BLOCK * BLOCK
    path, y_path = options.folder / "gradstep-out-of-core.npy", options.folder / "gradstep-out-of-core-y.npy"
    try:
        write(path, rows)
        size = path.stat().st_size
        np.save(y_path, np.ones(rows, np.float32))
        run = one_pass(open_rows({"X": path, "y": y_path}))
        columns = one_pass(open_rows(path, COLUMNS - 1))
        run()  # compiles
        columns()
        x = np.random.default_rng(0).standard_normal(1 << 28, dtype=np.float32)
        reads = -(-size // x.nbytes)

        def in_memory(x: np.ndarray = x) -> None:
            for _ in range(reads):
                x @ x

        measured(
            f"{rows:,} × {COLUMNS} float32 in a .npy file, {size / GB:.1f} GB",
            size,
            {
                "plain read, cold": (lambda: plain_read(path), path, True),
                "a pass, cold": (run, path, True),
                "plain read, in the page cache": (lambda: plain_read(path), path, False),
                "a pass, in the page cache": (run, path, False),
                "the same, y a column of X": (columns, path, False),
                "x·x in memory, all cores": (in_memory, None, False),
            },
            options.repeats,
        )
        del x, in_memory
        began = time.perf_counter()
        surveyed(Part(open_rows(path, COLUMNS - 1)), ["X", "y"], 0.8, "y")
        print(f"  the survey of all rows {time.perf_counter() - began:.1f} s")
        subprocess.run([sys.executable, __file__, "--train", str(path)], check=True)
    finally:
        path.unlink(missing_ok=True)
        y_path.unlink(missing_ok=True)
    for compression in ("none", "snappy"):
        path = options.folder / "gradstep-out-of-core.parquet"
        try:
            rows = int(options.parquet_gigabytes * GB / 4 / COLUMNS) // BLOCK * BLOCK
            write_parquet(path, rows, compression)
            run = one_pass(open_rows(path, f"x{COLUMNS - 1}"))
            run()
            measured(
                f"{rows:,} × {COLUMNS} float32 in Parquet, compression {compression}, "
                f"{path.stat().st_size / GB:.1f} GB",
                4 * COLUMNS * rows,
                {"a pass, cold": (run, path, True), "a pass, in the page cache": (run, path, False)},
                options.repeats,
            )
            subprocess.run([sys.executable, __file__, "--train", str(path)], check=True)
        finally:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
