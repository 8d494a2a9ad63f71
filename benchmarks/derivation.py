"""How long do a derivation and its certificate take, and does the time grow with the network only?

The gradients of a perceptron with respect to all its weights and biases are derived and certified again and
again, and those of formulas that grow in other ways; the median counts. An exponent is log (time ratio) over
log (size ratio): 1 is linear. `tests/calculus/test_growth.py` counts calls instead.

    python benchmarks/derivation.py [layers] [rounds]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from math import log
from statistics import median

import gradstep as gs
from gradstep.calculus.certificate import certify
from gradstep.expression.node import Expr

Loss = tuple[Expr, list[str]]  # and its parameters


def _loss(lines: list[str], end: str, data: Mapping[str, str], parameters: Mapping[str, str]) -> Loss:
    return gs.parse("; ".join([*lines, end]), **data, **parameters), [*parameters]


def perceptron(layers: int) -> Loss:
    """The mean squared error of a network with so many layers."""
    lines, a = [], "X"
    for k in range(1, layers + 1):
        lines.append(f"A{k} = tanh({a} @ W{k} + b{k})")
        a = f"A{k}"
    shapes = {f"{name}{k}": shape for k in range(1, layers + 1) for name, shape in (("W", "d d"), ("b", "d"))}
    return _loss(lines, f"mean(({a} - Y)**2)", {"X": "N d", "Y": "N d"}, shapes)


def recurrent(steps: int) -> Loss:
    """A recurrent network, unrolled."""
    lines = [f"h{t} = tanh(U @ h{t - 1} + V @ x{t} + b)" for t in range(1, steps + 1)]
    data = {"h0": "d", "y": "d", **{f"x{t}": "d" for t in range(1, steps + 1)}}
    return _loss(lines, f"sum((h{steps} - y)**2)", data, {"U": "d d", "V": "d d", "b": "d"})


def long_short_term_memory(steps: int) -> Loss:
    """An LSTM, unrolled, with a target at each step."""
    lines: list[str] = []
    for t in range(1, steps + 1):
        lines += [
            f"{gate}{t} = {bend}(W{gate} @ x{t} + U{gate} @ h{t - 1} + b{gate})"
            for gate, bend in (("f", "sigmoid"), ("i", "sigmoid"), ("o", "sigmoid"), ("g", "tanh"))
        ]
        lines += [f"c{t} = f{t}*c{t - 1} + i{t}*g{t}", f"h{t} = o{t}*tanh(c{t})"]
    data = {"h0": "d", "c0": "d", **{f"{name}{t}": "d" for name in "xy" for t in range(1, steps + 1)}}
    parameters = {f"{name}{gate}": "d d"[: 3 - 2 * (name == "b")] for gate in "fiog" for name in "WUb"}
    return _loss(lines, " + ".join(f"sum((h{t} - y{t})**2)" for t in range(1, steps + 1)), data, parameters)


def residual(blocks: int) -> Loss:
    """Residual blocks of two layers."""
    lines = ["H0 = X", *(f"H{k} = H{k - 1} + relu(H{k - 1} @ W{k}) @ V{k}" for k in range(1, blocks + 1))]
    parameters = {
        f"{name}{k}": shape for k in range(1, blocks + 1) for name, shape in (("W", "d m"), ("V", "m d"))
    }
    return _loss(lines, f"mean((H{blocks} - Y)**2)", {"X": "N d", "Y": "N d"}, parameters)


def softmaxes(layers: int) -> Loss:
    """Softmax after softmax, with cross-entropy."""
    lines = ["P0 = X", *(f"P{k} = softmax(P{k - 1} @ W{k}, axis=1)" for k in range(1, layers + 1))]
    parameters = {f"W{k}": "d d" for k in range(1, layers + 1)}
    return _loss(lines, f"-sum(Y*log(P{layers}))/N", {"X": "N d", "Y": "N d"}, parameters)


def attention(layers: int) -> Loss:
    """Attention and a layer on top of it, both with a way round them."""
    lines = ["H0 = X"]
    for k in range(1, layers + 1):
        lines += [
            f"S{k} = softmax(H{k - 1} @ Q{k} @ (H{k - 1} @ K{k}).T/sqrt(d), axis=1)",
            f"A{k} = H{k - 1} + S{k} @ (H{k - 1} @ V{k})",
            f"H{k} = A{k} + relu(A{k} @ W{k}) @ U{k}",
        ]
    shapes = {"Q": "d d", "K": "d d", "V": "d d", "W": "d m", "U": "m d"}
    parameters = {f"{name}{k}": shape for k in range(1, layers + 1) for name, shape in shapes.items()}
    return _loss(lines, f"mean((H{layers} - Y)**2)", {"X": "N d", "Y": "N d"}, parameters)


def waves(terms: int) -> Loss:
    """A sum of sines of one number."""
    amplitudes = {f"a{k}": "" for k in range(1, terms + 1)}
    return _loss([], " + ".join(f"a{k}*sin({k}*x)" for k in range(1, terms + 1)), amplitudes, {"x": ""})


def equations(terms: int) -> Loss:
    """A sum of least squares with the same weights."""
    data = {"y": "N", **{f"X{k}": "N d" for k in range(terms)}}
    return _loss([], " + ".join(f"sum((X{k} @ w - y)**2)" for k in range(terms)), data, {"w": "d"})


def polynomial(degree: int) -> Loss:
    """The fit of a polynomial, by its coefficients."""
    parameters = {f"c{k}": "" for k in range(1, degree + 1)}
    powers = " + ".join(f"c{k}*x**{k}" for k in range(1, degree + 1))
    return _loss([], f"sum(({powers} - y)**2)", {"x": "N", "y": "N"}, parameters)


def matrices(factors: int) -> Loss:
    """A product of matrices."""
    parameters = {f"A{k}": "d d" for k in range(factors)}
    return _loss([], f"sum({' @ '.join(parameters)})", {}, parameters)


def numbers(factors: int) -> Loss:
    """A product of sines: each slope has all other factors, so the answers grow as the square."""
    parameters = {f"x{k}": "" for k in range(factors)}
    return _loss([], "*".join(f"sin({x})" for x in parameters), {}, parameters)


# What grows, and two sizes that tell how.
FAMILIES: dict[str, tuple[Callable[[int], Loss], tuple[int, int]]] = {
    "perceptron": (perceptron, (16, 32)),
    "recurrent network": (recurrent, (16, 32)),
    "LSTM": (long_short_term_memory, (6, 12)),
    "residual blocks": (residual, (16, 32)),
    "softmax after softmax": (softmaxes, (16, 32)),
    "attention": (attention, (6, 12)),
    "sum of sines": (waves, (60, 120)),
    "sum of least squares": (equations, (60, 120)),
    "polynomial": (polynomial, (20, 40)),
    "product of matrices": (matrices, (32, 64)),
    "product of sines": (numbers, (16, 32)),
}


def milliseconds(rounds: int, work: Callable[[], object]) -> float:
    """The median processor time of so many runs, after one that does not count."""
    work()
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return 1000 * median(taken)


def costs(loss: Expr, parameters: list[str], rounds: int) -> tuple[float, float]:
    """The milliseconds of a derivation, and of its certificate."""
    deriving = partial(gs.derive, loss, parameters, certify=False)
    return milliseconds(rounds, deriving), milliseconds(rounds, partial(certify, deriving(), seed=1))


def main(layers: int, rounds: int) -> None:
    """Measure and print."""
    deriving, proving = costs(*perceptron(layers), rounds)
    together = deriving + proving
    print(f"{layers} layers: derive {deriving:.1f} ms + certify {proving:.1f} ms = {together:.1f} ms\n")
    print(f"{'':24}{'sizes':>10}{'derive':>18}{'exponent':>10}{'certify':>18}{'exponent':>10}")
    for name, (make, sizes) in FAMILIES.items():
        row = f"{name:24}{'{}, {}'.format(*sizes):>10}"
        for small, large in zip(*(costs(*make(size), -(-rounds // 3)) for size in sizes), strict=True):
            exponent = log(large / small) / log(sizes[1] / sizes[0])
            row += f"{small:8.1f}, {large:5.1f} ms{exponent:10.2f}"
        print(row)


if __name__ == "__main__":
    main(*(int(word) for word in (*sys.argv[1:], *("32", "15")[len(sys.argv) - 1 :])))
