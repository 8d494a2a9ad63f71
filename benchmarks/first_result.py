"""How long is it from the prompt to the first trained network, start to exit, beside JAX and PyTorch?

A table of 100 rows and 3 features, as CSV. Each process reads it, trains one neuron and prints its weights;
the others take a hundred steps with a rate that is right for these data. All take turns.

    python benchmarks/first_result.py [rounds]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

READ = "import numpy as np; T = np.loadtxt({path!r}, delimiter=',', skiprows=1); X, y = T[:, :3], T[:, 3]"
OURS = """
import gradstep as gs
loss = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
print(gs.train(loss, {"X": X, "y": y}, learning_rate=0.1, steps=100, backend="BACKEND").parameters)
"""
BY_JAX = """
import jax, jax.numpy as jnp
X, y = jnp.asarray(X), jnp.asarray(y)
slope = jax.grad(lambda p: jnp.mean((y - jax.nn.relu(X @ p[0] + p[1])) ** 2))
step = lambda k, p: jax.tree.map(lambda x, g: x - 0.1 * g, p, slope(p))
print(jax.jit(lambda p: jax.lax.fori_loop(0, 100, step, p))((jnp.full(3, 0.1), jnp.ones(()))))
"""
BY_TORCH = """
import torch
X, y = torch.from_numpy(X), torch.from_numpy(y)
w = torch.full((3,), 0.1, dtype=torch.float64, requires_grad=True)
b = torch.ones((), dtype=torch.float64, requires_grad=True)
steps = torch.optim.SGD([w, b], lr=0.1)
for _ in range(100):
    steps.zero_grad(); ((y - torch.relu(X @ w + b)) ** 2).mean().backward(); steps.step()
print(w, b)
"""


def processes(path: str) -> dict[str, list[str]]:
    """What is run, by name."""
    read = READ.format(path=path)
    by_us = {name: ["-c", read + OURS.replace("BACKEND", name)] for name in ("numpy", "native")}
    return {
        "gradstep train": ["-m", "gradstep", "train", path, "--target", "y", "--quiet"],
        **{f"gs.train, {name}": words for name, words in by_us.items()},
        "JAX": ["-c", read + BY_JAX],
        "PyTorch": ["-c", read + BY_TORCH],
    }


def seconds(words: list[str], folder: str) -> float | None:
    """How long one process takes, its modules compiled as an installation has them; None where it fails."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, env=own | {"PYTHONPYCACHEPREFIX": folder}
    )
    return None if done.returncode else time.perf_counter() - began


def main(rounds: int) -> None:
    """Measure and print."""
    random = np.random.default_rng(0)
    X = random.normal(size=(100, 3))
    y = np.maximum(0, X @ [1, 2, 3] + 0.5) + 0.1 * random.normal(size=100)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "table.csv")
        np.savetxt(path, np.column_stack([X, y]), delimiter=",", header="a,b,c,y", comments="")
        words = {name: each for name, each in processes(path).items() if seconds(each, folder) is not None}
        taken: dict[str, list[float]] = {name: [] for name in words}
        for _ in range(rounds):
            for name, each in words.items():
                taken[name].append(seconds(each, folder) or 0.0)
    ours = next(iter(taken.values()))
    for name, times in taken.items():
        ratio = median(mine / other for mine, other in zip(ours, times, strict=True))
        print(f"{name:18} {min(times):7.3f} s  {median(times):7.3f} s   gradstep train / this = {ratio:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
