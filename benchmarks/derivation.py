"""How long do a derivation and its certificate take, and does the time grow with the depth only?

The gradients of a perceptron with respect to all its weights and biases are derived and certified again and
again; the median counts, and what a layer costs in the deeper of two networks against the shallower.

    python benchmarks/derivation.py [layers] [rounds]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import gradstep as gs
from gradstep.calculus.certificate import certify
from gradstep.expression.node import Expr


def perceptron(layers: int) -> tuple[Expr, list[str]]:
    """The mean squared error of a network with so many layers, and its parameters."""
    lines, a = [], "X"
    for k in range(1, layers + 1):
        lines.append(f"A{k} = tanh({a} @ W{k} + b{k})")
        a = f"A{k}"
    shapes = {f"{name}{k}": shape for k in range(1, layers + 1) for name, shape in (("W", "d d"), ("b", "d"))}
    return gs.parse("; ".join([*lines, f"mean(({a} - Y)**2)"]), X="N d", Y="N d", **shapes), [*shapes]


def milliseconds(rounds: int, work: Callable[[], object]) -> float:
    """The median processor time of so many runs, after one that does not count."""
    work()
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return 1000 * median(taken)


def main(layers: int, rounds: int) -> None:
    """Measure and print."""
    costs = []
    for depth in (layers, 4 * layers):
        loss, parameters = perceptron(depth)
        deriving = partial(gs.derive, loss, parameters, certify=False)
        costs.append(
            (milliseconds(rounds, deriving), milliseconds(rounds, partial(certify, deriving(), seed=1)))
        )
        print("{:4} layers: derive {:6.1f} ms, certify {:6.1f} ms".format(depth, *costs[-1]))
    growth = [deep / (4 * flat) for flat, deep in zip(*costs, strict=True)]
    print(
        "a layer of the deeper network costs {:.2f} (derive) and {:.2f} (certify) times as much".format(
            *growth
        )
    )


if __name__ == "__main__":
    main(*(int(word) for word in (*sys.argv[1:], *("32", "15")[len(sys.argv) - 1 :])))
