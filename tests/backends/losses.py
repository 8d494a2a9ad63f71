"""Losses that every back end must run: as text, with the shapes of their variables and their parameters."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from gradstep.backends import compile_outputs
from gradstep.calculus.derivation import derive
from gradstep.expression.node import walk
from gradstep.notation.parsing import parse
from gradstep.operations.evaluation import variables
from gradstep.operations.leaves import number

SIZES = {"N": 7, "d": 3, "k": 4, "h": 5, "m": 2, **{f"h{i}": i + 1 for i in range(1, 7)}}
LINEAR = {"X": "N d", "w": "d", "b": "", "y": "N"}
MATRIX = {"X": "N d", "W": "d k", "b": "k", "Y": "N k"}
TWO = {"X": "N d", "W1": "d h", "b1": "h", "W2": "h m", "b2": "m", "Y": "N m"}
FIVE = {"X": "N d", "Y": "N h5"}
for layer in range(1, 6):
    FIVE |= {f"W{layer}": f"{f'h{layer - 1}' if layer > 1 else 'd'} h{layer}", f"b{layer}": f"h{layer}"}


def perceptron(bends):
    lines = ["A0 = X * 1"]
    lines += [f"A{i} = {bend}(A{i - 1} @ W{i} + b{i})" for i, bend in enumerate(bends, 1)]
    return "; ".join([*lines, f"mean((Y - A{len(bends)})**2)"])


@dataclass(frozen=True, eq=False)
class Case:
    text: str
    shapes: dict
    wrt: str

    @property
    def loss(self):
        return parse(self.text, **self.shapes)


z = "X @ w + b"
CASES = {
    "linear": Case(f"mean((y - ({z}))**2)", LINEAR, "w b"),
    "neuron": Case(f"mean((y - relu({z}))**2)", LINEAR, "w b"),
    "neuron in lines": Case(f"z = {z}; a = relu(z); e = y - a; mean(e**2)", LINEAR, "w b"),
    "neuron for w alone": Case(f"mean((y - relu({z}))**2)", LINEAR, "w"),
    "leaky neuron": Case(f"mean((y - leaky_relu({z}, 0.1))**2)", LINEAR, "w b"),
    "logistic by probabilities": Case(
        f"p = sigmoid({z}); -mean(y*log(p) + (1 - y)*log(1 - p))", LINEAR, "w b"
    ),
    "logistic by hand": Case(f"p = 1/(1 + exp(-({z}))); -mean(y*log(p) + (1 - y)*log(1 - p))", LINEAR, "w b"),
    "logistic by softplus": Case(f"z = {z}; mean(softplus(z) - y*z)", LINEAR, "w b"),
    "logistic by exp": Case(f"z = {z}; mean(log(1 + exp(z)) - y*z)", LINEAR, "w b"),
    "logistic by signs": Case(f"mean(log(1 + exp(-y*({z}))))", LINEAR, "w b"),
    "Poisson": Case(f"mean(exp({z}) - y*({z}))", LINEAR, "w b"),
    "softmax regression": Case("-sum(Y * log(softmax(X @ W + b, axis=1)))/N", MATRIX, "W b"),
    "softmax regression, safely": Case("-sum(Y * log_softmax(X @ W + b, axis=1))/N", MATRIX, "W b"),
    "softmax regression by exp": Case(
        "E = exp(X @ W + b); -mean(sum(Y * log(E/sum(E, axis=1, keepdims=True)), axis=1))", MATRIX, "W b"
    ),
    "softmax regression by logsumexp": Case(
        "Z = X @ W + b; mean(logsumexp(Z, axis=1) - sum(Y * Z, axis=1))", MATRIX, "W b"
    ),
    "logsumexp of columns": Case("mean(logsumexp(X @ W + b, axis=0)**2)", MATRIX, "W b"),
    "two layers": Case("mean((Y - (relu(X @ W1 + b1) @ W2 + b2))**2)", TWO, "W1 b1 W2 b2"),
    "two layers, softmax": Case(
        "-sum(Y * log(softmax(tanh(X @ W1 + b1) @ W2 + b2, axis=1)))/N", TWO, "W1 b1 W2 b2"
    ),
    "five layers": Case(
        perceptron(["relu", "tanh", "sigmoid", "softplus", "tanh"]),
        FIVE,
        " ".join(k for k in FIVE if k[0] in "Wb"),
    ),
    "Huber by masks": Case(
        f"e = y - ({z}); mean((abs(e) <= 1)*e**2/2 + (abs(e) > 1)*(abs(e) - 1/2))", LINEAR, "w b"
    ),
    "Huber by minimum": Case(f"r = abs(y - ({z})); q = minimum(r, 1); mean(q*r - q**2/2)", LINEAR, "w b"),
    "hinge": Case(f"mean(maximum(0, 1 - y*({z})))", LINEAR, "w b"),
    "mean absolute error": Case(f"mean(abs(y - ({z})))", LINEAR, "w b"),
    "ridge": Case(f"mean((y - ({z}))**2) + 0.1*sum(w**2)", LINEAR, "w b"),
    "lasso": Case(f"mean((y - ({z}))**2) + 0.1*sum(abs(w))", LINEAR, "w b"),
    "elastic net with a shared weight": Case(
        f"mean((y - ({z}))**2)/2 + lam*(sum(abs(w)) + sum(w**2)/2)", {**LINEAR, "lam": ""}, "w b lam"
    ),
    "norm": Case(f"norm(y - ({z}))", LINEAR, "w b"),
    "norm of a matrix": Case("norm(Y - X @ W) + norm(W)**2", MATRIX, "W"),
    "weighted rows": Case("mean(r * sum((Y - X @ W - b)**2, axis=1))", {**MATRIX, "r": "N"}, "W b r"),
    "weighted columns": Case("sum(((Y - X @ W) * c)**2)", {**MATRIX, "c": "k"}, "W c"),
    "standardised columns": Case(
        "M = X - mean(X, axis=0); S = mean(M**2, axis=0); mean((y - (M/sqrt(S + 0.1)) @ w)**2)", LINEAR, "w X"
    ),
    "quadratic form": Case("w @ X.T @ X @ w / N", LINEAR, "w X"),
    "factors": Case("mean((Y - X @ (U @ V))**2)", {**MATRIX, "U": "d m", "V": "m k"}, "U V"),
    "outer products": Case("mean((X - outer(y, w))**2)", LINEAR, "y w"),
    "a constant gradient": Case("sum(w) + 3*b", LINEAR, "w b"),
    "a gradient that is data": Case("w @ v + b*c", {"w": "d", "v": "d", "b": "", "c": ""}, "w v b c"),
    "a repeated gradient": Case("sum(X @ w)", LINEAR, "w X"),
    "no dependence": Case("mean(y**2)", LINEAR, "y"),
    "sizes as numbers": Case("sum(w**2)*N/d", LINEAR, "w"),
    "powers": Case("mean(abs(X @ w + 3)**1.5) + b**3", LINEAR, "w b"),
}


def arrays(case, seed=0, kind=float):
    """Values away from kinks for the variables of a case."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, variable in variables(case.loss).items():
        shape = [size if isinstance(size, int) else SIZES[size] for size in variable.shape]
        found[name] = rng.uniform(0.2, 1.2, shape) * rng.choice([-1, 1], shape)
    if "Y" in found and "softmax" in case.text:
        found["Y"] = np.abs(found["Y"]) / np.abs(found["Y"]).sum(axis=1, keepdims=True)
    if "lam" in found:
        found["lam"] = np.abs(found["lam"])
    return {name: np.asarray(value, dtype=kind) for name, value in found.items()}


def swept(case):
    """Value and gradients by a bare reverse sweep over the declared adjoints: nothing is simplified."""
    loss, wrt = case.loss, case.wrt.split()
    arrived = {loss: number(1)}
    for node in reversed(list(walk(loss))):
        if node in arrived and node.op.adjoint:
            for arg, G in zip(node.args, node.op.adjoint(arrived[node], node, node.args), strict=True):
                if G is not None:
                    arrived[arg] = arrived[arg] + G if arg in arrived else G
    known = variables(loss)
    return {"C": loss} | {name: arrived.get(known[name], known[name] * 0) for name in wrt}


def derived(case):
    """Outputs and names as a derivation gives them, with names for all cotangents."""
    d = derive(case.loss, case.wrt.split(), certify=False)
    names = d.names
    for part, name in d.names.items():
        if part in d.cotangents:
            names.setdefault(d.cotangents[part], f"∂C/∂{name}")
    return {d.names[d.of]: d.of, **d.answers}, names


@cache
def compiled(case):
    """The function of a case, as `gs.compile` makes it; once, for all tests."""
    return compile_outputs(*derived(case))
