"""What do several models cost in one pass over the rows, beside as many passes of one?

    python benchmarks/sweep.py [--threads 1] [--seconds 5] [--peers] [--rows 1000000] [--width 100]

The neuron on 1,000,000 × 100 of float32, value and gradients of k models: one pass for all, and k passes of
one, in turns. Ratios are medians of those within one turn. With --peers the same by `jax.vmap` and by
`torch.vmap`. Then a whole `gs.train` with a sweep, beside training each variant alone.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import gradstep as gs
from gradstep.backends.run import Run
from gradstep.backends.several import several

MODELS = (1, 2, 4, 8, 16)


def neurons(X: Any, y: Any, models: list[dict[str, Any]], backend: str, threads: int) -> dict[str, Any]:
    """The work of one pass for all models, and of a pass for each."""
    loss = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
    function = gs.compile(gs.derive(loss, ["w", "b"], certify=False), backend=backend, threads=threads)
    assert isinstance(function.raw, Run)
    together = several(function.raw, frozenset(("w", "b")))
    shared = {"X": X, "y": y}
    return {
        "together": lambda: together(shared, models),
        "one": lambda: together(shared, models[:1]),
        "each alone": lambda: [together(shared, [model]) for model in models],
    }


def peers(X: Any, y: Any, models: list[dict[str, Any]]) -> dict[str, Callable[[], Any]]:
    """All models in one call of a gradient that is batched over the parameters."""
    found: dict[str, Callable[[], Any]] = {}
    W, B = (np.stack([model[name] for model in models]) for name in "wb")
    try:
        import jax
        import jax.numpy as jnp

        def cost(w: Any, b: Any, X: Any, y: Any) -> Any:
            return jnp.mean((y - jax.nn.relu(X @ w + b)) ** 2)

        step = jax.jit(jax.vmap(jax.value_and_grad(cost, (0, 1)), (0, 0, None, None)))
        given = [jax.device_put(each) for each in (W, B, X, y)]
        found["jax.vmap"] = lambda: jax.block_until_ready(step(*given))
    except ImportError:
        pass
    try:
        import torch

        def loss(w: Any, b: Any, X: Any, y: Any) -> Any:
            return ((y - torch.relu(X @ w + b)) ** 2).mean()

        batched = torch.vmap(torch.func.grad_and_value(loss, (0, 1)), (0, 0, None, None))
        tensors = [torch.from_numpy(each) for each in (W, B, X, y)]
        found["torch.vmap"] = lambda: batched(*tensors)
    except ImportError:
        pass
    return found


def in_turns(works: dict[str, Callable[[], Any]], seconds: float) -> dict[str, Any]:
    """How long each takes, in seconds, by turns."""
    for work in works.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["one"]) < 3:
        for name, work in works.items():
            began = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - began)
    return {name: np.array(each) for name, each in times.items()}


def passes(rows: int, width: int, threads: int, seconds: float, others: bool) -> None:
    """The table of passes."""
    random = np.random.default_rng(0)
    X = random.standard_normal((rows, width), dtype=np.float32)
    y = np.abs(random.standard_normal(rows, dtype=np.float32))
    for backend in ("native", "numpy"):
        for count in MODELS:
            models = [
                {
                    "w": random.standard_normal(width, dtype=np.float32) / np.float32(np.sqrt(width)),
                    "b": np.float32(0.1),
                }
                for _ in range(count)
            ]
            works = neurons(X, y, models, backend, threads)
            if others and backend == "native":
                works |= peers(X, y, models)
            taken = in_turns(works, seconds)
            part = np.median(taken["together"] / taken["one"])
            ratios = "  ".join(
                f"{np.median(each / taken['together']):5.2f} × {name}"
                for name, each in taken.items()
                if name not in ("together", "one")
            )
            milliseconds = 1000 * np.median(taken["together"])
            print(
                f"{backend:7} {count:3} models {milliseconds:9.1f} ms = {part:5.2f} passes of one   {ratios}",
                flush=True,
            )


def trainings(rows: int, width: int, threads: int) -> None:
    """A sweep of a whole training, beside its variants alone."""
    random = np.random.default_rng(0)
    X = random.standard_normal((rows, width))
    w = random.standard_normal(width) / np.sqrt(width)
    data = {"X": X, "y": np.maximum(0, X @ w + 0.2) + 0.1 * random.standard_normal(rows)}
    loss = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
    sweep = {"learning_rate": [0.03, 0.1, 0.3, 1.0], "l2": [0.0, 0.01]}
    usual: dict[str, Any] = {"steps": 30, "tolerance": 0.0, "holdout": 0.1, "threads": threads}
    gs.train(loss, data, sweep=sweep, **{**usual, "steps": 1})
    began = time.perf_counter()
    found = gs.train(loss, data, sweep=sweep, **usual)
    together = time.perf_counter() - began
    began = time.perf_counter()
    for settings in found.settings:
        gs.train(loss, data, **usual, **settings)
    alone = time.perf_counter() - began
    print(
        f"gs.train {rows:,} × {width}, {len(found)} variants of {usual['steps']} steps: "
        f"{together:.1f} s in one sweep, {alone:.1f} s one after the other ({alone / together:.2f} ×)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=100)
    given = parser.parse_args()
    if given.threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # for peers too
    passes(given.rows, given.width, given.threads, given.seconds, given.peers)
    trainings(given.rows // 4, given.width, given.threads)


if __name__ == "__main__":
    main()
