"""How fast are attention and its layer norm, forward and backward, beside PyTorch's flash attention?

8 heads of 512 × 64 in float32: the loss Σ G ⊙ layer_norm(attention(Q, K, V)) and the gradients of Q, K, V, g
and c, by machine code and by NumPy. All run in one process and take turns; told are the least time and the
median of the turns, and the median of the ratios within a turn. "products" are the six products of matrices
of one head after the other by NumPy, each head by one thread, and nothing else.

    python benchmarks/attention.py [--turns 15] [--threads 1,2]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from gradstep.operations.processor import choose_kernels

HEADS, ROWS, FEATURES = 8, 512, 64
EPSILON = 1e-5
TEXT = (
    "S = Q @ K.mT/sqrt(d); P = softmax(S, axis=-1); O = P @ V;"
    "X_hat = (O - mean(O, axis=-1, keepdims=True))/sqrt(var(O, axis=-1, keepdims=True) + 0.00001);"
    "sum(G*(g*X_hat + c))"
)


def run(threads: int, turns: int) -> None:
    choose_kernels()  # before NumPy is loaded

    import numpy as np
    import torch

    import gradstep as gs
    from gradstep.backends.threads import one_thread_each, shared_out

    torch.set_num_threads(threads)
    shapes = dict.fromkeys("QKVG", "h n d") | dict.fromkeys("gc", "d")
    derivation = gs.derive(gs.parse(TEXT, **shapes), list("QKVgc"))
    ours, by_numpy = (
        gs.compile(derivation, backend=backend, threads=threads) for backend in ("native", "numpy")
    )
    random = np.random.default_rng(0)
    arrays = {name: random.normal(size=(HEADS, ROWS, FEATURES)).astype("f") for name in "QKVG"}
    arrays |= {name: random.normal(size=FEATURES).astype("f") for name in "gc"}
    tensors = {name: torch.tensor(array, requires_grad=name != "G") for name, array in arrays.items()}

    def theirs() -> None:
        for tensor in tensors.values():
            tensor.grad = None
        Q, K, V, G, g, c = (tensors[name] for name in "QKVGgc")
        out = torch.nn.functional.scaled_dot_product_attention(Q, K, V)
        (G * torch.nn.functional.layer_norm(out, (FEATURES,), g, c, EPSILON)).sum().backward()

    square, lines = (np.empty((HEADS, ROWS, size), "f") for size in (ROWS, FEATURES))

    def products_of(head: int) -> None:
        Q, K, V, G = (arrays[name][head] for name in "QKVG")
        P = np.matmul(Q, K.T, out=square[head])
        for left, right in ((P, V), (P.T, G)):
            np.matmul(left, right, out=lines[head])
        dS = np.matmul(G, V.T, out=P)
        for left, right in ((dS, K), (dS.T, Q)):
            np.matmul(left, right, out=lines[head])

    def products() -> None:
        with one_thread_each():
            shared_out(products_of, HEADS, threads)

    theirs()
    gradients = ours(**arrays)[1]
    for name in "QKVgc":
        np.testing.assert_allclose(gradients[name], tensors[name].grad.numpy(), rtol=2e-3, atol=2e-3)
    runners: dict[str, Callable[[], object]] = {
        "gradstep": lambda: ours(**arrays),
        "PyTorch": theirs,
        "in NumPy": lambda: by_numpy(**arrays),
        "products": products,
    }
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(turns):
        for name, act in runners.items():
            began = time.perf_counter()
            for _ in range(4):
                act()
            times[name].append((time.perf_counter() - began) / 4)
    print(f"{threads} thread{'s' * (threads > 1)}")
    for name, taken in times.items():
        ratio = statistics.median(t / o for t, o in zip(taken, times["gradstep"], strict=True))
        least, median = 1e3 * min(taken), 1e3 * statistics.median(taken)
        print(f"  {name:10} {least:6.1f} ms, median {median:6.1f}   {ratio:.2f} times ours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        run(asked.alone, asked.turns)
        return
    for threads in asked.threads.split(","):
        environment = {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        words = [sys.executable, __file__, "--alone", threads, "--turns", str(asked.turns)]
        subprocess.run(words, check=True, env={**os.environ, **environment})


if __name__ == "__main__":
    main()
