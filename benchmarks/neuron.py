"""How near to the speed of memory is a gradient, and how much faster than NumPy by hand?

Takes turns: a sum over the same data (the limit), machine code, NumPy in blocks, NumPy as one would write it.
Ratios are medians of those within one turn, so that a busy machine slows both sides. Two bounds are among
them: "products" are the two products of each block by NumPy with nothing between them, and "x·x" is the sum
of the squares of X, which nobody who reads X is faster than.

    python benchmarks/neuron.py [--threads 1] [--seconds 5] [--peers] [words that a row starts with …]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import gradstep as gs
from gradstep.backends import blocks
from gradstep.backends.threads import one_thread_each, shared_out

try:
    from reading import reader
except ImportError:
    from benchmarks.reading import reader

LINEAR = {"X": "N d", "w": "d", "b": "", "y": "N"}
CLASSES = {"X": "N d", "W": "d k", "b": "k", "Y": "N k"}


@dataclass(frozen=True)
class Loss:
    """A loss as text, its variables, and its parameters."""

    text: str
    shapes: Mapping[str, str]
    wrt: str
    sizes: Mapping[str, int] | None = None


LOSSES = {
    "neuron": Loss("mean((y - relu(X @ w + b))**2)", LINEAR, "w b"),
    "logistic": Loss("z = X @ w + b; mean(softplus(z) - y*z)", LINEAR, "w b"),
    "Poisson": Loss("z = X @ w + b; mean(exp(z) - y*z)", LINEAR, "w b"),
    "Huber": Loss("r = abs(y - (X @ w + b)); q = minimum(r, 1); mean(q*r - q**2/2)", LINEAR, "w b"),
    "two vectors": Loss(
        "z = X @ w; s = X @ v; mean((y - tanh(z)*exp(-s**2/2) - b)**2)", {**LINEAR, "v": "d"}, "w v b"
    ),
    "softmax": Loss("Z = X @ W + b; mean(logsumexp(Z, axis=1) - sum(Y*Z, axis=1))", CLASSES, "W b", {"k": 3}),
}
ROWS = [
    ("neuron", 1_000_000, 100, "float32"),
    ("neuron", 4_000_000, 50, "float32"),
    ("neuron", 400_000, 1000, "float32"),
    ("neuron", 100_000, 100, "float32"),
    ("neuron", 1_000_000, 100, "float64"),
    ("neuron", 4_000_000, 20, "float32"),
    ("neuron", 4_000_000, 10, "float64"),
    ("logistic", 1_000_000, 100, "float32"),
    ("Poisson", 1_000_000, 100, "float32"),
    ("Huber", 1_000_000, 100, "float32"),
    ("two vectors", 1_000_000, 100, "float32"),
    ("softmax", 1_000_000, 100, "float32"),
]


def arrays(loss: Loss, rows: int, width: int, kind: str) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    sizes = {"N": rows, "d": width, **(loss.sizes or {})}
    found = {}
    for name, shape in loss.shapes.items():
        array = rng.standard_normal([sizes[size] for size in shape.split()], dtype=np.float32)
        scale = 1 if name in "XyY" else 1 / np.sqrt(width)
        found[name] = np.asarray(abs(array) if name in "yY" else array * scale, dtype=kind)
    return found


def by_hand(X: Any, w: Any, b: Any, y: Any) -> Any:
    """The neuron as one writes it."""
    z = X @ w + b
    e = y - np.maximum(z, 0)
    g = (-2 / len(y)) * (e * (z > 0)).astype(X.dtype)
    return e @ e / len(y), X.T @ g, g.sum()


def products(X: Any, w: Any, threads: int) -> Callable[[], Any]:
    """X @ w and X.T @ (X @ w), block by block: what a gradient by NumPy cannot do without."""
    groups = blocks.divided(len(X), X[0].nbytes, w.nbytes).groups()

    def both(number: int) -> None:
        start, stop = groups[number][0]
        z, g = np.empty(stop - start, X.dtype), np.empty_like(w)
        for start, stop in groups[number]:
            block, here = X[start:stop], z[: stop - start]
            np.matmul(block, w, out=here)
            np.matmul(block.T, here, out=g)

    def run() -> None:
        with one_thread_each():
            shared_out(both, len(groups), threads)

    return run


def peers(values: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """The neuron by PyTorch and JAX, where they are installed."""
    found: dict[str, Callable[[], Any]] = {}
    try:
        import torch

        X, y = torch.from_numpy(values["X"]), torch.from_numpy(values["y"])
        w = torch.tensor(values["w"], requires_grad=True)
        b = torch.tensor(float(values["b"]), dtype=w.dtype, requires_grad=True)

        def by_torch() -> None:
            torch.autograd.grad(((y - torch.relu(X @ w + b)) ** 2).mean(), (w, b))

        found["PyTorch"] = by_torch
    except ImportError:
        pass
    try:
        import jax
        import jax.numpy as jnp

        def cost(w: Any, b: Any, X: Any, y: Any) -> Any:
            return jnp.mean((y - jax.nn.relu(X @ w + b)) ** 2)

        step = jax.jit(jax.value_and_grad(cost, (0, 1)))
        given = [jax.device_put(values[name]) for name in "wbXy"]
        found["JAX"] = lambda: jax.block_until_ready(step(*given))
    except ImportError:
        pass
    return found


def measured(row: tuple[str, int, int, str], threads: int, seconds: float, others: bool) -> str:
    """One line of the table."""
    name, count, width, kind = row
    loss = LOSSES[name]
    values = arrays(loss, count, width, kind)
    derivation = gs.derive(gs.parse(loss.text, **loss.shapes), loss.wrt.split(), certify=False)
    native, numpy = (
        gs.compile(derivation, backend=backend, threads=threads, batch="N") for backend in ("native", "numpy")
    )
    began = time.perf_counter()
    native(**values)
    ready = time.perf_counter() - began
    works: dict[str, Callable[[], Any]] = {
        "limit": reader(values["X"], threads),
        "native": lambda: native(**values),
        "blocks": lambda: numpy(**values),
    }
    if name == "neuron":
        works["by hand"] = lambda: by_hand(**values)
        works["products"] = products(values["X"], values["w"], threads)
        works["x·x"] = lambda: values["X"].ravel() @ values["X"].ravel()
        works |= peers(values) if others else {}
    times: dict[str, list[float]] = {name: [] for name in works}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["limit"]) < 3:
        for label, work in works.items():
            began = time.perf_counter()
            work()
            times[label].append(time.perf_counter() - began)
    taken = {label: np.array(each) for label, each in times.items()}
    speed = values["X"].nbytes / np.median(taken["limit"]) / 1e9
    part = np.median(taken["limit"] / taken["native"])
    ratios = "  ".join(
        f"{np.median(each / taken['native']):5.2f} × {label}"
        for label, each in taken.items()
        if label not in ("limit", "native")
    )
    milliseconds = 1000 * np.median(taken["native"])
    what = f"{name:12} {count:>9,} × {width:<5} {kind}"
    how = f"{milliseconds:8.2f} ms   {part:4.2f} of {speed:3.0f} GB/s   ready in {1000 * ready:3.0f} ms"
    return f"{what}  {how}   {ratios}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--peers", action="store_true")
    given = parser.parse_args()
    if given.threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # for peers too
    for row in ROWS:
        if not given.rows or any(" ".join(map(str, row)).startswith(word) for word in given.rows):
            print(measured(row, given.threads, given.seconds, given.peers), flush=True)


if __name__ == "__main__":
    main()
