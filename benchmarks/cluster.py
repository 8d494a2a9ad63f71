"""What does a Dask cluster cost, what does it bear, and how far does it carry?

    python benchmarks/cluster.py overhead [--workers 2]
    python benchmarks/cluster.py memory [--limit 300MB] [--times 10] [--folder /tmp]
    python benchmarks/cluster.py scale

`overhead`: a pass that does nothing (one errand a worker), and the share of a pass that is none of the work
where each worker has half a second of it. `memory`: Parquet that takes so many times what the workers may
take, decoded by them while they do nothing else, and trained on; the loss is the article's neuron. `scale`: a
simulation with the costs that were measured: how long a step takes with up to 1,000 workers and 10¹² rows,
and from where on everybody waits for the client.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

import gradstep as gs
from gradstep.learn.cluster import FAN, LARGE, Cluster, Spread, cluster_of
from gradstep.learn.opening import open_rows
from gradstep.learn.reading import Part
from gradstep.learn.stores import Store

LOSS = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
COLUMNS = 50
GROUP = 25_000  # rows of a row group


class Nothing:
    """A work that takes no time, and totals of so many numbers."""

    def __init__(self, numbers: int = 1) -> None:
        self.numbers = numbers

    def __call__(self, window: object) -> np.ndarray:
        return np.zeros(self.numbers)

    def added(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return one + other


class Busy(Nothing):
    """A work that takes so long for each window, in products that Python does not wait for."""

    def __init__(self, seconds: float) -> None:
        super().__init__(COLUMNS + 2)
        self.seconds = seconds

    def __call__(self, window: object) -> np.ndarray:
        end = time.perf_counter() + self.seconds
        rows = np.ones((1000, 1000), np.float32)
        while time.perf_counter() < end:
            rows @ rows[0]
        return super().__call__(window)


def small(folder: str, windows: int) -> Store:
    """A store of so many windows."""
    paths = []
    for number in range(windows):
        paths.append(Path(folder) / f"x{number}.npy")
        np.save(paths[-1], np.ones((64, 2), np.float32))
    return open_rows([str(path) for path in paths], 1)


def passes(workers: Cluster, part: Spread, work: object, count: int) -> list[float]:
    """How long so many passes took."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        workers.total(part, work, ("X",))
        found.append(time.perf_counter() - began)
    return found


def overhead(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder, cluster_of(f"local:{count}") as workers:
        store = small(folder, 8 * count)
        workers.greet(store)
        part = Spread(workers, Part(store), False)
        passes(workers, part, Nothing(), 10)
        empty = passes(workers, part, Nothing(), 200)
        print(
            f"a pass without work, {count} workers: {1000 * median(empty):.1f} ms (median of 200), ", end=""
        )
        print(f"{1000 * sorted(empty)[190]:.1f} ms (95 %)")
        for numbers in (1_000, 100_000, 1_000_000):
            found = median(passes(workers, part, Nothing(numbers), 20))
            print(f"the same with totals of {8 * numbers / 1e6:g} MB: {1000 * found:.1f} ms")
        work = Busy(0.5 / 8)
        passes(workers, part, work, 1)
        workers.times.clear()
        busy = passes(workers, part, work, 10)
        slowest = max(each.clock.seconds / each.errands for each in workers.times.values())
        told = f"a pass {1000 * median(busy):.0f} ms, the slowest worker {1000 * slowest:.0f} ms"
        share = 100 * (1 - slowest / median(busy))
        print(f"half a second of work for each worker: {told}: {share:.1f} % is none")


# ------------------------------------------------------------------------------------------- more than memory


def write_parquet(folder: Path, rows: int, files: int) -> str:
    """Normal numbers in files of row groups of 25,000 rows; the last column is a neuron of the others."""
    import pyarrow as arrow
    from pyarrow import parquet

    random = np.random.default_rng(0)
    w = random.standard_normal(COLUMNS, dtype=np.float32)
    for number in range(files):
        with parquet.ParquetWriter(
            folder / f"part-{number:02}.parquet", schema(arrow), use_dictionary=False
        ) as file:
            for _ in range(rows // GROUP // files):
                X = random.standard_normal((GROUP, COLUMNS), dtype=np.float32)
                y = np.maximum(X @ w + 1, 0) + 0.1 * random.standard_normal(GROUP, dtype=np.float32)
                columns = dict(zip(schema(arrow).names, [*X.T, y], strict=True))
                file.write_table(arrow.table(columns))
    return str(folder / "part-*.parquet")


def schema(arrow: object) -> object:
    """Columns x0 … and y, of float32."""
    return arrow.schema([(name, arrow.float32()) for name in [*(f"x{k}" for k in range(COLUMNS)), "y"]])


def memory(count: int, limit: str, times: float, folder: str, steps: int) -> None:
    import distributed
    from dask.utils import parse_bytes

    size = count * parse_bytes(limit) * times
    rows = int(size / (4 * (COLUMNS + 1)) // (4 * GROUP) * 4 * GROUP)
    with tempfile.TemporaryDirectory(dir=folder) as where:
        pattern = write_parquet(Path(where), rows, 4)
        on_disk = sum(path.stat().st_size for path in Path(where).iterdir())
        store = open_rows(pattern, "y")
        print(
            f"{rows:,} rows, {4 * rows * (COLUMNS + 1) / 1e9:.2f} GB, {on_disk / 1e9:.2f} GB on the disk; ",
            end="",
        )
        print(f"{count} workers of {limit}: {times:g} times their memory")
        began = time.perf_counter()
        for unit in range(len(store.units)):
            for arrays in store.read(unit, ("X", "y"), (0.0, 1.0)):
                del arrays
        alone = time.perf_counter() - began
        print(f"read and decoded by one process that does nothing else: {alone:.2f} s")
        settings = {
            "optimiser": "gradient descent",
            "learning_rate": 0.1,
            "steps": steps,
            "backend": "fastest",
        }
        began = time.perf_counter()
        one = gs.train(LOSS, open_rows(pattern, "y"), **settings)
        print(f"trained by one process: {time.perf_counter() - began:.2f} s in all; {clock(one)}")
        cluster = distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=limit,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        )
        with cluster, distributed.Client(cluster, set_as_default=False) as client:
            pids = set(client.run(os.getpid).values())
            read = reading_alone(client, store)
            print(f"read and decoded by the workers that do nothing else: {read:.2f} s")
            began = time.perf_counter()
            two = gs.train(LOSS, open_rows(pattern, "y"), cluster=client, **settings)
            took = time.perf_counter() - began
            same = all(np.array_equal(one.parameters[name], two.parameters[name]) for name in one.parameters)
            lost = len(pids - set(client.run(os.getpid).values()))
            peak = max(client.run(peak_of_memory).values())
            print("\n".join(two.notes[-4:]))
            a_pass = pass_of(two)
            print(f"trained by them: {took:.2f} s in all, {a_pass:.2f} s a pass", end="")
            print(f": {read / a_pass:.2f} of the speed of reading and decoding alone")
            print(f"the same bits as one process: {same}; workers lost: {lost}", end="")
            print(f"; at most {peak / 1e6:.0f} MB in one")


def clock(fit: gs.Fit) -> str:
    return next(note for note in fit.notes if "passes over the rows" in note)


def pass_of(fit: gs.Fit) -> float:
    """Seconds of a pass."""
    words = next(note for note in fit.notes if " passes in " in note).split()
    return float(words[-2]) / float(words[words.index("passes") - 1].replace(",", ""))


def peak_of_memory() -> int:
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def reading_alone(client: object, store: Store) -> float:
    """Seconds in which the workers of a cluster read and decode all windows."""
    workers = Cluster(client)
    workers.greet(store)
    part = Spread(workers, Part(store), True)
    began = time.perf_counter()
    workers.total(part, Nothing(), ("X", "y"))
    return time.perf_counter() - began


# ----------------------------------------------------------------------------------------- a thousand workers


@dataclass
class Costs:
    """Seconds of a pass for itself and for each errand, and bytes a second: of messages, sums and memory."""

    base: float = 0.009
    errand: float = 0.0015
    network: float = 0.3e9
    sums: float = 1.5e9
    memory: float = 5e9


def measured(counts: tuple[int, ...] = (1, 2, 4)) -> Costs:
    """The costs of errands and messages here: upper bounds, since workers on one machine share its cores."""
    empty, heavy = [], []
    numbers = 500_000
    for count in counts:
        with tempfile.TemporaryDirectory() as folder, cluster_of(f"local:{count}") as workers:
            store = small(folder, 8 * count)
            workers.greet(store)
            part = Spread(workers, Part(store), False)
            passes(workers, part, Nothing(), 10)
            empty.append(median(passes(workers, part, Nothing(), 100)))
            heavy.append(median(passes(workers, part, Nothing(numbers), 10)) / count)
    errand, base = np.polyfit(counts, empty, 1)
    sent = 8 * numbers * NODES
    network = sent / max(1e-9, median(heavy) - errand)
    one = np.ones(numbers)
    began = time.perf_counter()
    for _ in range(20):
        one + one
    sums = 20 * one.nbytes / (time.perf_counter() - began)
    return Costs(max(base, 0.001), max(errand, 0.0002), network, sums)


NODES = 3  # whole trees of a run: what a worker sends
A_ROW = 4 * (COLUMNS + 1)  # bytes


def step(costs: Costs, workers: int, rows: float, numbers: int, by_workers: bool, seed: int = 0) -> float:
    """Seconds of a pass over so many rows: each worker has its errand, works, and answers when it is done.

    The totals are so many numbers. The client has one answer after the other and adds it up, or workers put
    together what `FAN` neighbours found until no more than that are left. A worker is up to a tenth slower
    than its share of the work, by chance.
    """
    bytes_ = 8.0 * numbers
    share = rows * A_ROW / workers / costs.memory
    slower = 1 + 0.1 * np.random.default_rng(seed).random(workers)
    if bytes_ < LARGE:  # the parameters go with each errand, else from worker to worker
        sent = costs.base + (costs.errand + bytes_ / costs.network) * np.arange(1, workers + 1)
    else:
        spread = np.log2(workers + 1) * bytes_ / costs.network
        sent = costs.base + costs.errand * np.arange(1, workers + 1) + spread
    done = np.sort(sent + share * slower)
    answer = NODES * bytes_ / costs.network + NODES * bytes_ / costs.sums
    while by_workers and len(done) > FAN:
        groups = [done[k : k + FAN] for k in range(0, len(done), FAN)]
        asked = costs.errand * np.arange(1, len(groups) + 1)
        done = np.sort([group[-1] + len(group) * answer for group in groups] + asked)
    now = 0.0
    for at in done:
        now = max(now, at) + costs.errand / 2 + answer
    return float(now)


def scale(quiet: bool) -> None:
    costs = Costs() if quiet else measured()
    print(f"a pass {1000 * costs.base:.1f} ms and {1000 * costs.errand:.2f} ms an errand; ", end="")
    speeds = [f"{each / 1e9:.2f}" for each in (costs.network, costs.sums, costs.memory)]
    print("messages {}, sums {}, memory {} GB a second".format(*speeds))
    for numbers in (COLUMNS + 2, 10_000, 1_000_000):
        print(
            f"\n{numbers:,} parameters          workers: seconds of a step, sums by the client | by workers"
        )
        for rows in (1e8, 1e10, 1e12):
            cells = []
            for workers in (1, 10, 100, 1000):
                one, other = (step(costs, workers, rows, numbers, by) for by in (False, True))
                cells.append(f"{workers:>5}: {one:10,.2f} | {other:10,.2f}")
            print(f"  10^{np.log10(rows):.0f} rows  {'   '.join(cells)}")
    print()
    for workers in (32, 100, 316, 1000):
        sizes = np.unique(np.logspace(1, 7, 121).astype(int))
        better = [
            n
            for n in sizes
            if step(costs, workers, 1e10, n, True) < 0.95 * step(costs, workers, 1e10, n, False)
        ]
        if better:
            total = 8 * NODES * workers * better[0] / 1e6
            print(f"{workers:>5} workers: they should add up from {better[0]:,} parameters on", end="")
            print(f", {total:,.0f} MB of totals")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", default="overhead", choices=["overhead", "memory", "scale"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", default="300MB")
    parser.add_argument("--times", type=float, default=10)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--quiet", action="store_true", help="the costs on a quiet machine, not those here")
    parser.add_argument("--folder", default=tempfile.gettempdir())
    asked = parser.parse_args()
    if asked.what == "overhead":
        overhead(asked.workers)
    elif asked.what == "memory":
        memory(asked.workers, asked.limit, asked.times, asked.folder, asked.steps)
    else:
        scale(asked.quiet)
