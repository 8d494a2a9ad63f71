"""Losses that people write, as text, with the shapes of their variables: what derivations are tested on."""

from collections.abc import Mapping
from copy import copy
from functools import cached_property

import numpy as np

from gradstep.calculus.derivation import derive
from gradstep.calculus.steps import Derivation
from gradstep.expression.node import Expr
from gradstep.operations import FUNCTIONS
from gradstep.operations.evaluation import belongs
from gradstep.operations.leaves import pi, size, symbol

ONE_HOT = ("rows sum to one",)
NEURON = "X:N,d w:d b: y:N"
CLASSES = "X:N,d W:d,k b:k Y:N,k"
ONE_LAYER = "X:N,d W:d,k c:k Y:N,k"


def declared(shapes: str, assume: Mapping[str, tuple[str, ...]]) -> dict[str, Expr]:
    """The variables of "X:N,d w:d b:"."""
    pairs = (item.split(":") for item in shapes.split())
    return {name: symbol(name, axes, assume.get(name, ())) for name, axes in pairs}


def written(text: str, known: Mapping[str, object]) -> Expr:
    """The expression of Python text: assignments before the last semicolon, then the value."""
    names = {**FUNCTIONS, "pi": pi, **known}
    *assignments, value = text.split(";")
    for line in assignments:
        name, part = line.split("=", 1)
        names[name.strip()] = eval(part, names)
    return eval(value, names)


def sizes_of(known: Mapping[str, Expr]) -> dict[str, Expr]:
    return {axis: size(axis) for v in known.values() for axis in v.shape if isinstance(axis, str)}


class Loss:
    """A loss as text, what its variables are, and which of them are its parameters."""

    def __init__(self, text: str, shapes: str, wrt: str, **assume: tuple[str, ...]) -> None:
        self.text, self.wrt = text, wrt.split()
        self.variables = declared(shapes, assume)
        self.names = {**self.variables, **sizes_of(self.variables)}
        self.expr = belongs(written(text, self.names), self.variables.values())

    @cached_property
    def _derivation(self) -> Derivation:
        return derive(belongs(self.expr, self.variables.values()), self.wrt, certify=False)

    def derived(self) -> Derivation:
        """Its derivation, made once. A test before may have read the same texts with other variables."""
        d = copy(self._derivation)
        for expr in (d.of, *d.answers.values()):
            belongs(expr, self.variables.values())
        return d


def perceptron(layers: int, activation: str = "relu") -> Loss:
    """Several layers with a bias each, and the mean squared error."""
    sizes = ["d", *(f"h{i}" for i in range(1, layers)), "k"]
    shapes = [f"W{i + 1}:{sizes[i]},{sizes[i + 1]} b{i + 1}:{sizes[i + 1]}" for i in range(layers)]
    text, a = "", "X"
    for i in range(1, layers):
        text += f"Z{i} = {a} @ W{i} + b{i}; A{i} = {activation}(Z{i}); "
        a = f"A{i}"
    text += f"mean((Y - ({a} @ W{layers} + b{layers}))**2)"
    parameters = " ".join(f"W{i} b{i}" for i in range(1, layers + 1))
    return Loss(text, f"X:N,d Y:N,k {' '.join(shapes)}", parameters)


LOSSES = {
    # one neuron
    "neuron": Loss("mean((y - relu(X @ w + b))**2)", NEURON, "w b"),
    "neuron, prediction first": Loss("mean((relu(X @ w + b) - y)**2)", NEURON, "w b"),
    "neuron as a sum": Loss("1/N * sum((y - maximum(0, X @ w + b))**2)", NEURON, "w b"),
    "neuron as a product": Loss("e = y - relu(X @ w + b); mean(e*e)", NEURON, "w b"),
    "neuron by a dot product": Loss("e = y - relu(X @ w + b); dot(e, e)/N", NEURON, "w b"),
    "neuron by the norm": Loss("norm(y - relu(X @ w + b))**2/N", NEURON, "w b"),
    "neuron by a mask": Loss("z = X @ w + b; mean((y - z*(z > 0))**2)", NEURON, "w b"),
    "one example": Loss("(y - relu(w @ x + b))**2", "x:d w:d b: y:", "w b"),
    "scalar neuron": Loss("(y - maximum(0, w*x + b))**2", "x: w: b: y:", "w b"),
    # regression
    "linear": Loss("mean((X @ w + b - y)**2)", NEURON, "w b"),
    "linear, several outputs": Loss("mean((X @ W + c - Y)**2)", ONE_LAYER, "W c"),
    "sum of squares": Loss("sum((y - X @ w)**2)", NEURON, "w"),
    "half": Loss("sum((y - X @ w)**2)/2", NEURON, "w"),
    "quadratic form": Loss("(y - X @ w) @ S @ (y - X @ w)", "X:N,d w:d y:N S:N,N", "w"),
    "weighted": Loss("sum(q*(y - X @ w)**2)/sum(q)", "X:N,d w:d y:N q:N", "w"),
    "mean absolute error": Loss("mean(abs(y - X @ w - b))", NEURON, "w b"),
    "root mean squared error": Loss("sqrt(mean((y - X @ w)**2))", NEURON, "w"),
    "length": Loss("norm(X @ w - y)", NEURON, "w"),
    "Huber by masks": Loss(
        "r = y - X @ w; m = abs(r) <= 1; mean(m*r**2/2 + (1 - m)*(abs(r) - 1/2))", NEURON, "w"
    ),
    "Huber by minimum": Loss("r = abs(y - X @ w); q = minimum(r, 1); mean(q**2/2 + (r - q))", NEURON, "w"),
    "quantile": Loss("r = y - X @ w; mean(maximum(t*r, (t - 1)*r))", NEURON + " t:", "w"),
    "hinge": Loss("mean(relu(1 - y*(X @ w + b)))", NEURON, "w b"),
    "hinge by maximum": Loss("mean(maximum(0, 1 - y*(X @ w + b)))", NEURON, "w b"),
    "squared hinge": Loss("mean(relu(1 - y*(X @ w + b))**2)", NEURON, "w b"),
    "log cosh": Loss("r = y - X @ w; mean(log((exp(r) + exp(-r))/2))", NEURON, "w"),
    "Poisson": Loss("z = X @ w + b; mean(exp(z) - y*z)", NEURON, "w b"),
    # penalties
    "ridge": Loss("mean((X @ w - y)**2) + lam*sum(w**2)", NEURON + " lam:", "w"),
    "ridge by a dot product": Loss("mean((X @ w - y)**2) + lam*(w @ w)", NEURON + " lam:", "w"),
    "lasso": Loss("mean((X @ w - y)**2) + lam*sum(abs(w))", NEURON + " lam:", "w"),
    "elastic net": Loss(
        "mean((X @ w - y)**2) + lam*(r*sum(abs(w)) + (1 - r)/2*sum(w**2))", NEURON + " lam: r:", "w"
    ),
    "weight decay": Loss("mean((X @ W - Y)**2) + lam*norm(W)**2", ONE_LAYER + " lam:", "W"),
    # logistic regression
    "logistic": Loss("a = sigmoid(X @ w + b); -mean(y*log(a) + (1 - y)*log(1 - a))", NEURON, "w b"),
    "logistic, signs inside": Loss(
        "a = sigmoid(X @ w + b); mean(-y*log(a) - (1 - y)*log(1 - a))", NEURON, "w b"
    ),
    "logistic by softplus": Loss("z = X @ w + b; mean(softplus(z) - y*z)", NEURON, "w b"),
    "logistic by two softplus": Loss(
        "z = X @ w + b; mean(y*softplus(-z) + (1 - y)*softplus(z))", NEURON, "w b"
    ),
    "logistic with y = ±1": Loss("mean(log(1 + exp(-y*(X @ w + b))))", NEURON, "w b"),
    "logistic by log sigmoid": Loss("-mean(log(sigmoid(y*(X @ w + b))))", NEURON, "w b"),
    # softmax regression
    "softmax": Loss("-sum(Y*log(softmax(X @ W + b, axis=1)))/N", CLASSES, "W b"),
    "softmax, one hot": Loss("-sum(Y*log(softmax(X @ W + b, axis=1)))/N", CLASSES, "W b", Y=ONE_HOT),
    "log softmax": Loss("-mean(sum(Y*log_softmax(X @ W + b, axis=1), axis=1))", CLASSES, "W b"),
    "log softmax, one hot": Loss(
        "-mean(sum(Y*log_softmax(X @ W + b, axis=1), axis=1))", CLASSES, "W b", Y=ONE_HOT
    ),
    "logsumexp": Loss("Z = X @ W + b; mean(logsumexp(Z, axis=1) - sum(Y*Z, axis=1))", CLASSES, "W b"),
    "softmax spelled out": Loss(
        "E = exp(X @ W + b); -mean(sum(Y*log(E/sum(E, axis=1, keepdims=True)), axis=1))", CLASSES, "W b"
    ),
    "softmax of one example": Loss("-y @ log(softmax(W @ x))", "x:d W:k,d y:k", "W", y=ONE_HOT),
    # perceptrons
    **{f"{n} layers": perceptron(n) for n in (1, 2, 3, 4, 5)},
    **{
        f"2 layers, {name}": perceptron(2, name)
        for name in ("tanh", "sigmoid", "leaky_relu", "softplus", "abs")
    },
    "3 layers, tanh": perceptron(3, "tanh"),
    "two-layer classifier": Loss(
        "P = softmax(relu(X @ W1 + b1) @ W2 + b2, axis=1); -sum(Y*log(P))/N",
        "X:N,d W1:d,h b1:h W2:h,k b2:k Y:N,k",
        "W1 b1 W2 b2",
        Y=ONE_HOT,
    ),
    "skip connection": Loss(
        "A = relu(X @ W1 + b1); H = A + relu(A @ W2); mean((Y - H @ W3)**2)",
        "X:N,d W1:d,h b1:h W2:h,h W3:h,k Y:N,k",
        "W1 b1 W2 W3",
    ),
    "autoencoder with tied weights": Loss("mean((tanh(X @ W) @ W.T - X)**2)", "X:N,d W:d,k", "W"),
    "recurrent": Loss(
        "H = tanh(X @ U); H = tanh(X @ U + H @ W); H = tanh(X @ U + H @ W); mean((Y - H)**2)",
        "X:N,d U:d,k W:k,k Y:N,k",
        "U W",
    ),
    "vector through a matrix from the left": Loss("sum(tanh(x @ W + c)**2)", "x:d W:d,k c:k", "x W c"),
    # shared parameters and numbers
    "x times x": Loss("x*x", "x:", "x"),
    "x times x squared": Loss("x*x**2", "x:", "x"),
    "x plus x squared": Loss("x + x**2", "x:", "x"),
    "3 x² y": Loss("3*x**2*y", "x: y:", "x y"),
    "2 x + y⁸": Loss("2*x + y**8", "x: y:", "x y"),
    "a quotient": Loss("(x + y)/(x*y)", "x: y:", "x y"),
    "a power of a parameter": Loss("mean(q**p)", "q:N p:", "q p"),
    "an exponential of a parameter": Loss("mean(2**w)", "w:d", "w"),
    "powers": Loss("x**3/y**2 + sqrt(x)", "x: y:", "x y"),
    "roots of entries": Loss("sum(sqrt(q)/q)", "q:d", "q"),
    "w used twice": Loss("mean((X @ w + lam*(w @ w) - y)**2)", NEURON + " lam:", "w lam"),
    "products of parameters": Loss("mean((a*b*(X @ w) - y)**2)", "X:N,d w:d a: b: y:N", "a b w"),
    "bilinear": Loss("u @ A @ v", "u:n A:n,m v:m", "u A v"),
    "quadratic": Loss("x @ S @ x", "x:n S:n,n", "x S"),
    "symmetric quadratic": Loss("x @ S @ x", "x:n S:n,n", "x", S=("symmetric",)),
    "outer": Loss("sum((outer(u, v) - A)**2)", "u:n v:m A:n,m", "u v"),
    "a sum of a product": Loss("sum(X @ W)", "X:N,d W:d,k", "W X"),
    "Frobenius": Loss("norm(A @ B - D)", "A:n,m B:m,k D:n,k", "A B"),
    # what stands still
    "a parameter that does not occur": Loss("mean((X @ w - y)**2)", NEURON, "w b"),
    "masks only": Loss("mean(X @ w > 0)", NEURON, "w"),
    "paths that cancel": Loss("sum(w) - sum(w) + sum(u)", "w:d u:d", "w u"),
    "sign": Loss("sum(sign(w)*w)", "w:d", "w"),
    # broadcasting
    "a number to a matrix": Loss("mean((X + b)**2)", "X:N,d b:", "b"),
    "a number times a matrix": Loss("mean((b*X - Y)**2)", "X:N,d Y:N,d b:", "b"),
    "a matrix over a number": Loss("mean((X/b - Y)**2)", "X:N,d Y:N,d b:", "b"),
    "a number over a matrix": Loss("mean((b/X - Y)**2)", "X:N,d Y:N,d b:", "b X"),
    "a row to every row": Loss("mean((X*r + Y/r)**2)", "X:N,d Y:N,d r:d", "r"),
    "a column to every column": Loss("mean((X*q - Y/q)**2)", "X:N,d Y:N,d q:N,1", "q"),
    "one row": Loss("mean((X + q)**2)", "X:N,d q:1,d", "q"),
    "one entry": Loss("mean((X*q)**2)", "X:N,d q:1,1", "q"),
    "maximum with a row": Loss("mean(maximum(X, r) + minimum(X, 2*r))", "X:N,d r:d", "r X"),
    "centred": Loss("mean((X - mean(X, axis=0))**4)", "X:N,d", "X"),
    "columns scaled": Loss("sum((X/norm(X))**3)", "X:N,d", "X"),
}
SIZES = ({"N": 2, "d": 3, "k": 4, "h": 5, "n": 3, "m": 4}, {"N": 11, "d": 4, "k": 2, "h": 3, "n": 5, "m": 2})
POSITIVE = {"q", "p", "r", "t", "lam"}


def draw(known: Mapping[str, Expr], sizes: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """Values away from kinks and inside every domain."""
    rng = np.random.default_rng(seed)
    lengths = {**sizes, **{f"h{i}": 2 + (i + sizes["h"]) % 5 for i in range(1, 9)}}
    values = {}
    for name, v in known.items():
        shape = [lengths.get(s, s) for s in v.shape]
        values[name] = rng.uniform(0.3, 1.2, shape)
        if name not in POSITIVE:
            values[name] *= rng.choice([-1, 1], shape)
        if "rows sum to one" in v.params[2]:
            values[name] = np.exp(values[name]) / np.exp(values[name]).sum(axis=-1, keepdims=True)
        if "symmetric" in v.params[2]:
            values[name] = values[name] + values[name].T
    if "x" in known and not known["x"].rank:
        values["x"] = abs(values["x"])
    return values
