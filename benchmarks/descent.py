"""How long does a descent take, and how much longer do others take for the same?

Ten thousand steps of gradient descent with all rows, and one pass of it row by row, on one core, in float64.
All take turns; told are the least time and the median, and how many times as long the others took (medians of
ratios within one turn).

"C by hand" is the neuron as one would write it for a processor with AVX-512, where there is one, and gcc: the
bound, which keeps no record of its steps but the loss.

    python benchmarks/descent.py [--turns 7] [--peers] [words that a line starts with …]
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gradstep as gs
from gradstep.backends.native import engine
from gradstep.backends.native.walker import lines
from gradstep.learn.choices import Choice, translated
from gradstep.learn.optimisers import optimiser_named
from gradstep.learn.plan import Plan
from gradstep.learn.stretches import Machine

NEURON = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
Work = Callable[[], Any]
STEPS, RATE = 10_000, 1e-3
FEWER = 50  # eager PyTorch takes so many times fewer steps, and its time is multiplied


def data(rows: int, features: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    X = random.normal(size=(rows, features))
    return {"X": X, "y": np.maximum(0, X @ random.normal(size=features) + 1) + random.normal(size=rows)}


def machine(values: dict[str, Any], start: dict[str, Any], batch: int | None) -> Machine:
    """What walks in machine code."""
    choice = Choice("native", 1, optimiser_named("gradient descent"), RATE, STEPS, batch, 0)
    rows = np.arange(len(values["y"]))
    plan = Plan(values, ("X", "y"), rows, rows[:0], rows[:0], None, None, None, ())
    made = choice.machine(translated((NEURON, ("w", "b"), ()), "native", 1), values, start, plan)
    assert isinstance(made, Machine), made
    return made


def all_rows(rows: int, features: int, others: bool) -> dict[str, Work]:
    """Ten thousand steps; all end at the same parameters."""
    values = data(rows, features)
    start = {"w": np.full(features, 0.1), "b": np.array(1.0)}
    walker = machine(values, start, None)
    first = np.concatenate([start["w"], [1.0]])

    def loop() -> Any:
        walker.walker.begin(first, walker.rule)
        walker.walker.run(STEPS, RATE, 32, 32)
        return walker.walker.vector("x")

    def training() -> Any:
        settings: dict[str, Any] = {"learning_rate": RATE, "steps": STEPS, "tolerance": 0.0}
        fit = gs.train(NEURON, values, start=start, standardise=False, backend="native", **settings)
        return np.append(fit.descent.path["w"][-1], fit.descent.path["b"][-1])

    def by_hand() -> Any:
        X, y = values["X"], values["y"]
        w, b = start["w"].copy(), 1.0
        for _ in range(STEPS):
            z = X @ w + b
            g = -2 / len(y) * (y - np.maximum(0, z)) * (z > 0)
            w, b = w - RATE * (X.T @ g), b - RATE * g.sum()
        return np.append(w, b)

    works: dict[str, Work] = {"loop": loop, "gs.train": training, "NumPy": by_hand}
    works |= c_by_hand(values, first)
    return works | (jax_loop(values, start) | torch_loop(values, start) if others else {})


BY_HAND = """
#include <immintrin.h>
#include <stddef.h>
enum { GROUP = 4 };
#define ALL(k, n) _Pragma("GCC unroll 16") for (int k = 0; k < n; k++)
#define FMA _mm512_fmadd_pd

void descend(const double *X, const double *y, double *p, size_t rows, size_t column, int steps, double rate,
             double *losses)
{
    const size_t whole = (rows - 1) / 8, rest = rows - 8 * whole;
    const __mmask8 last = (1 << rest) - 1;
    for (int step = 0; step < steps; step++) {
        __m512d w[D], g[D], b = _mm512_set1_pd(p[D]), h = _mm512_setzero_pd(), l = h;
        ALL(j, D) { w[j] = _mm512_set1_pd(p[j]); g[j] = h; }
        size_t i = 0;
        for (; i + GROUP <= whole; i += GROUP) {
            const double *x = X + 8 * i, *at = y + 8 * i;
            __m512d z[GROUP], e[GROUP];
            __mmask8 on[GROUP];
            ALL(k, GROUP) z[k] = b;
            ALL(j, D) ALL(k, GROUP) z[k] = FMA(_mm512_loadu_pd(x + j * column + 8 * k), w[j], z[k]);
            ALL(k, GROUP) {
                __m512d t = _mm512_loadu_pd(at + 8 * k);
                on[k] = _mm512_cmp_pd_mask(z[k], _mm512_setzero_pd(), _CMP_GT_OQ);
                e[k] = _mm512_mask_sub_pd(t, on[k], t, z[k]);
            }
            __asm__ volatile("" ::: "memory");
            ALL(k, GROUP) {
                l = FMA(e[k], e[k], l);
                h = _mm512_mask_add_pd(h, on[k], h, e[k]);
                ALL(j, D)
                    g[j] = _mm512_mask3_fmadd_pd(_mm512_loadu_pd(x + j * column + 8 * k), e[k], g[j], on[k]);
            }
        }
        for (; i <= whole; i++) {
            const __mmask8 all = i == whole ? last : 0xff;
            __m512d x[D], z = b, t = _mm512_maskz_loadu_pd(all, y + 8 * i);
            ALL(j, D) z = FMA(x[j] = _mm512_maskz_loadu_pd(all, X + j * column + 8 * i), w[j], z);
            const __mmask8 on = _mm512_mask_cmp_pd_mask(all, z, _mm512_setzero_pd(), _CMP_GT_OQ);
            const __m512d e = _mm512_mask_sub_pd(t, on, t, z);
            l = FMA(e, e, l);
            h = _mm512_mask_add_pd(h, on, h, e);
            ALL(j, D) g[j] = _mm512_mask3_fmadd_pd(x[j], e, g[j], on);
        }
        ALL(j, D) p[j] += 2.0 / rows * rate * _mm512_reduce_add_pd(g[j]);
        p[D] += 2.0 / rows * rate * _mm512_reduce_add_pd(h);
        losses[step] = _mm512_reduce_add_pd(l) / rows;
    }
}
"""


def c_by_hand(values: dict[str, Any], first: Any) -> dict[str, Work]:
    """The same steps by C that gcc compiles here, with the columns of X on lines of the cache."""
    rows, features = values["X"].shape
    if "avx512f" not in engine.features() or shutil.which("gcc") is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "f.c"), Path(folder, "f.so")
        source.write_text(BY_HAND)
        options = ["-O3", "-march=native", "-ffast-math", f"-DD={features}", "-shared", "-fPIC"]
        if subprocess.run(["gcc", *options, "-o", library, source], capture_output=True).returncode:
            return {}
        function = ctypes.CDLL(str(library)).descend
    column = -(-rows // 8) * 8
    X, y = lines(features * column).reshape(features, column), lines(column)
    X[:, :rows], y[:rows] = values["X"].T, values["y"]
    losses = np.empty(STEPS)

    def run() -> Any:
        p = first.copy()
        places = [ctypes.c_void_p(array.ctypes.data) for array in (X, y, p, losses)]
        sizes = ctypes.c_size_t(rows), ctypes.c_size_t(column), ctypes.c_int(STEPS)
        function(*places[:3], *sizes, ctypes.c_double(RATE), places[3])
        return p

    return {"C by hand": run}


def jax_loop(values: dict[str, Any], start: dict[str, Any]) -> dict[str, Work]:
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return {}
    jax.config.update("jax_enable_x64", True)
    X, y = jnp.asarray(values["X"]), jnp.asarray(values["y"])
    slope = jax.grad(lambda p: jnp.mean((y - jax.nn.relu(X @ p[0] + p[1])) ** 2))

    def step(k: Any, p: Any) -> Any:
        return jax.tree.map(lambda x, g: x - RATE * g, p, slope(p))

    walk = jax.jit(lambda p: jax.lax.fori_loop(0, STEPS, step, p))
    first = (jnp.asarray(start["w"]), jnp.asarray(1.0))

    def run() -> Any:
        w, b = jax.block_until_ready(walk(first))
        return np.append(w, b)

    return {"JAX fori_loop": run}


def torch_loop(values: dict[str, Any], start: dict[str, Any]) -> dict[str, Work]:
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(1)
    X, y = torch.from_numpy(values["X"]), torch.from_numpy(values["y"])

    def run() -> None:
        w = torch.tensor(start["w"], requires_grad=True)
        b = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        steps = torch.optim.SGD([w, b], lr=RATE)
        for _ in range(STEPS // FEWER):
            steps.zero_grad()
            ((y - torch.relu(X @ w + b)) ** 2).mean().backward()
            steps.step()

    return {f"PyTorch eager, ×{FEWER}": run}


def row_by_row(rows: int, features: int, others: bool) -> dict[str, Work]:
    """One pass through all rows in random order, with an update after each."""
    values = data(rows, features)
    start = {"w": np.full(features, 0.01), "b": np.array(1.0)}
    walker = machine(values, start, 1)
    first, rate = np.concatenate([start["w"], [1.0]]), 1e-4
    order = np.random.default_rng(1).permutation(rows)[None]
    walker.walker.begin(first, walker.rule)

    def loop() -> float:
        """Seconds without the loss on all rows after it, which others do not measure."""
        began = time.perf_counter()
        walker.walker.run(1, rate, 2, 2, order)
        over = time.perf_counter()
        walker.walker.measured(walker.walker.vector("x"))
        return 2 * over - began - time.perf_counter()

    def with_order() -> None:
        walker.walker.run(1, rate, 2, 2, np.random.default_rng(1).permutation(rows)[None])

    works: dict[str, Work] = {"pass": loop, "order, pass and loss": with_order}
    try:
        from sklearn.linear_model import SGDRegressor
    except ImportError:
        return works
    model = SGDRegressor(max_iter=1, tol=None, alpha=0.0, learning_rate="constant", eta0=rate)

    def by_scikit_learn() -> None:
        model.partial_fit(values["X"], values["y"])

    return works | {"scikit-learn": by_scikit_learn}


LINES: dict[str, Callable[[bool], dict[str, Work]]] = {
    "100×3, 10,000 steps": lambda others: all_rows(100, 3, others),
    "442×10, 10,000 steps": lambda others: all_rows(442, 10, others),
    "100,000×100, one pass row by row": lambda others: row_by_row(100_000, 100, others),
}


def measured(works: dict[str, Work], turns: int) -> str:
    """The times of all."""
    results = {name: work() for name, work in works.items()}
    right = results.get("NumPy")
    for name, found in results.items():
        if right is not None and found is not None:
            assert np.allclose(found, right, rtol=1e-10, atol=1e-10), (name, found - right)
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(turns):
        for name, work in works.items():
            began = time.perf_counter()
            found = work()
            took = found if isinstance(found, float) else time.perf_counter() - began
            times[name].append(took * (FEWER if name.startswith("PyTorch") else 1))
    ours = next(iter(times.values()))
    lines = []
    for name, each in times.items():
        ratio = statistics.median(other / mine for mine, other in zip(ours, each, strict=True))
        told = f"{1e3 * min(each):10.3f} ms  {1e3 * statistics.median(each):10.3f} ms"
        lines.append(f"  {name:24} {told}  ×{ratio:.1f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--peers", action="store_true", help="JAX and PyTorch too")
    parser.add_argument("lines", nargs="*")
    chosen = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for title, works in LINES.items():
        if not chosen.lines or any(title.startswith(word) for word in chosen.lines):
            print(f"{title}: least, median, ratio", flush=True)
            print(measured(works(chosen.peers), chosen.turns), flush=True)


if __name__ == "__main__":
    main()
