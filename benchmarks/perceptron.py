"""How fast does a perceptron train, beside JAX and PyTorch, and how near is that to its products alone?

784-256-128-10 with ReLU, softmax cross-entropy, gradient descent, float32: a step is the loss, all gradients
and the update. Each peer has a process of its own, with as many cores as threads; they take turns, and nobody
else works meanwhile. Told are the least time of a step and the median, and how many times as long the others
take (medians of ratios within one turn). All begin at the same weights, and must reach the same loss.

"products" are the eight products of matrices of a step by NumPy and nothing else: what cannot be avoided.

    python benchmarks/perceptron.py [--turns 15] [--threads 1,2] [--batches 128,4096]
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

SIZES = (784, 256, 128, 10)
RATE, CHECKED = 0.05, 20  # steps after which all have the same loss
SLICE = 0.15  # seconds of a turn
Step = Callable[[int], Any]  # takes so many steps


def data(batch: int) -> tuple[Any, Any, list[Any]]:
    """Rows, their classes as 0 and 1, and weights and biases to begin with."""
    import numpy as np

    random = np.random.default_rng(0)
    X = random.normal(size=(batch, SIZES[0])).astype("f")
    Y = np.eye(SIZES[-1], dtype="f")[random.integers(0, SIZES[-1], batch)]
    weights = []
    for inputs, outputs in itertools.pairwise(SIZES):
        weights.append((random.normal(size=(inputs, outputs)) * np.sqrt(2 / inputs)).astype("f"))
        weights.append(np.zeros(outputs, "f"))
    return X, Y, weights


# ------------------------------------------------------------------------------------------- who takes steps


def by_us(batch: int, threads: int) -> tuple[Step, Callable[[], float]]:
    import gradstep as gs
    from gradstep.backends.native.making import Rule
    from gradstep.backends.native.striding import Strider
    from gradstep.learn.optimisers import GRADIENT_DESCENT

    X, Y, weights = data(batch)
    names = ["W1", "b1", "W2", "b2", "W3", "b3"]
    loss = gs.parse(
        "A = relu(X @ W1 + b1); B = relu(A @ W2 + b2); Z = B @ W3 + b3;"
        "-mean(sum(Y * log_softmax(Z, axis=1), axis=1))",
        **{"X": "N d", "W1": "d h", "b1": "h", "W2": "h k", "b2": "k", "W3": "k c", "b3": "c", "Y": "N c"},
        assume={"Y": "rows sum to one"},
    )
    function = gs.compile(gs.derive(loss, names))
    rule = Rule(GRADIENT_DESCENT.name, GRADIENT_DESCENT.init, GRADIENT_DESCENT.update)
    arrays = {"X": X, "Y": Y, **dict(zip(names, weights, strict=True))}
    strider = Strider(function.program, arrays, names, rule, batch, threads)
    for name, weight in zip(names, weights, strict=True):
        strider.here[name][...] = weight
    walk = strider.in_batches
    assert walk is not None
    strider.tell_numbers(RATE)

    def steps(count: int) -> None:
        for _ in range(count):
            walk.run(None, RATE)

    def reached() -> float:
        strider.measure(strider.data)
        return strider.loss

    return steps, reached


def by_products(batch: int, threads: int) -> tuple[Step, Callable[[], float]]:
    import numpy as np

    X, Y, (V, _, W, _, U, _) = data(batch)
    A, B, Z = X @ V, X @ V @ W, Y.copy()
    P, Q = np.empty_like(A), np.empty_like(B)
    gradients = [np.empty_like(each) for each in (V, W, U)]
    products = [(X, V, A), (A, W, B), (B, U, Z), (Z, U.T, Q), (B.T, Z, gradients[2])]
    products += [(Q, W.T, P), (A.T, Q, gradients[1]), (X.T, P, gradients[0])]

    def steps(count: int) -> None:
        for _ in range(count):
            for left, right, out in products:
                np.matmul(left, right, out=out)

    return steps, lambda: float("nan")


def by_numpy(batch: int, threads: int) -> tuple[Step, Callable[[], float]]:
    import numpy as np

    X, Y, (V, a, W, b, U, c) = data(batch)
    lost: list[float] = [0.0]

    def step(rate: Any) -> None:
        A = X @ V
        A += a
        np.maximum(A, 0, out=A)
        B = A @ W
        B += b
        np.maximum(B, 0, out=B)
        Z = B @ U
        Z += c
        Z -= Z.max(axis=1, keepdims=True)
        P = np.exp(Z)
        total = P.sum(axis=1, keepdims=True)
        lost[0] = -float(np.vdot(Y, Z - np.log(total))) / batch
        P /= total
        P -= Y
        P *= np.float32(1 / batch)
        G = P @ U.T
        G *= B > 0
        H = G @ W.T
        H *= A > 0
        slopes = (X.T @ H, H.sum(axis=0), A.T @ G, G.sum(axis=0), B.T @ P, P.sum(axis=0))
        for weight, slope in zip((V, a, W, b, U, c), slopes, strict=True):
            slope *= rate
            weight -= slope

    def steps(count: int) -> None:
        for _ in range(count):
            step(np.float32(RATE))

    def reached() -> float:
        step(np.float32(0))
        return lost[0]

    return steps, reached


def by_jax(batch: int, threads: int) -> tuple[Step, Callable[[], float]]:
    import jax
    import jax.numpy as jnp

    X, Y, weights = data(batch)
    X, Y, state = jnp.asarray(X), jnp.asarray(Y), [[jnp.asarray(w) for w in weights]]

    def loss(weights: Any, X: Any, Y: Any) -> Any:
        V, a, W, b, U, c = weights
        Z = jax.nn.relu(jax.nn.relu(X @ V + a) @ W + b) @ U + c
        return -jnp.mean(jnp.sum(Y * jax.nn.log_softmax(Z, axis=1), axis=1))

    def step(weights: Any, X: Any, Y: Any) -> Any:
        value, slopes = jax.value_and_grad(loss)(weights, X, Y)
        return value, [w - RATE * g for w, g in zip(weights, slopes, strict=True)]

    once = jax.jit(step, donate_argnums=0)

    def steps(count: int) -> None:
        for _ in range(count):
            _, state[0] = once(state[0], X, Y)
        jax.block_until_ready(state[0])

    return steps, lambda: float(loss(state[0], X, Y))


def by_torch(batch: int, threads: int) -> tuple[Step, Callable[[], float]]:
    import torch

    torch.set_num_threads(threads)
    X, Y, weights = data(batch)
    X, Y = torch.from_numpy(X), torch.from_numpy(Y)
    V, a, W, b, U, c = parameters = [torch.from_numpy(w).requires_grad_() for w in weights]
    descent = torch.optim.SGD(parameters, lr=RATE)

    def loss() -> Any:
        Z = torch.relu(torch.relu(X @ V + a) @ W + b) @ U + c
        return -(Y * torch.log_softmax(Z, 1)).sum(1).mean()

    def steps(count: int) -> None:
        for _ in range(count):
            descent.zero_grad()
            loss().backward()
            descent.step()

    return steps, lambda: float(loss().detach())


PEERS: dict[str, Callable[[int, int], tuple[Step, Callable[[], float]]]] = {
    "gradstep": by_us,
    "products": by_products,
    "NumPy by hand": by_numpy,
    "JAX": by_jax,
    "PyTorch": by_torch,
}


# ------------------------------------------------------------------------------------------- processes


def work(name: str, batch: int, threads: int) -> None:
    """A process that takes steps whenever it is asked to, and says how long one took."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    from gradstep.operations.processor import choose_kernels

    choose_kernels()  # as the command line does
    steps, reached = PEERS[name](batch, threads)
    steps(CHECKED)
    print(reached(), flush=True)
    began = time.perf_counter()
    steps(3)
    count = max(1, int(3 * SLICE / (time.perf_counter() - began)))
    for _ in sys.stdin:
        began = time.perf_counter()
        steps(count)
        print((time.perf_counter() - began) / count, flush=True)


class Worker:
    """A peer in a process of its own."""

    def __init__(self, name: str, batch: int, threads: int) -> None:
        words = [sys.executable, __file__, "--work", name, "--batches", str(batch), "--threads", str(threads)]
        self.name = name
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.times: list[float] = []
        answer = self.answer()
        self.missing = not answer
        self.loss = float(answer or "nan")

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def turn(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.times.append(float(self.answer()))

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def table(batch: int, threads: int, turns: int) -> None:
    """The times of all for one size."""
    workers = [Worker(name, batch, threads) for name in PEERS]
    for worker in workers:
        if worker.missing:
            print(f"  {worker.name} is not there", flush=True)
    workers = [worker for worker in workers if not worker.missing]
    for worker in workers:
        same = worker.loss != worker.loss or abs(worker.loss / workers[0].loss - 1) < 1e-3
        assert same, (worker.name, worker.loss, workers[0].loss)
    for _ in range(turns):
        for worker in workers:
            worker.turn()
    for worker in workers:
        worker.end()
    flops = 2 * batch * (2 * SIZES[0] * SIZES[1] + 3 * (SIZES[1] * SIZES[2] + SIZES[2] * SIZES[3]))
    for worker in workers:
        pairs = zip(worker.times, workers[0].times, strict=True)
        ratio = statistics.median(other / mine for other, mine in pairs)
        least, middle = min(worker.times), statistics.median(worker.times)
        speed = f"{flops / least / 1e9:6.0f} Gflop/s"
        print(
            f"  {worker.name:16}{1e3 * least:9.3f} ms{1e3 * middle:9.3f} ms{speed}  ×{ratio:.2f}", flush=True
        )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    asked.add_argument("--turns", type=int, default=15)
    asked.add_argument("--threads", default="1,2")
    asked.add_argument("--batches", default="128,4096")
    asked.add_argument("--work", choices=PEERS, help=argparse.SUPPRESS)
    chosen = asked.parse_args()
    if chosen.work:
        work(chosen.work, int(chosen.batches), int(chosen.threads))
        return
    for batch in map(int, chosen.batches.split(",")):
        for threads in map(int, chosen.threads.split(",")):
            print(f"{batch} rows, {threads} thread{'s' * (threads > 1)}: least, median, ratio", flush=True)
            table(batch, threads, chosen.turns)


if __name__ == "__main__":
    main()
