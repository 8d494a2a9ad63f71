"""Is every gradient right, does every line say so, and does a textbook case end in the textbook's formula?"""

from collections.abc import Mapping

import numpy as np
import pytest

from gradstep.calculus.derivation import derive
from gradstep.calculus.steps import Derivation, Line
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.operations import FUNCTIONS
from gradstep.operations.evaluation import belongs, evaluate
from gradstep.operations.leaves import number, pi, size, symbol

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

    def derived(self) -> Derivation:
        return derive(self.expr, self.wrt, certify=False)


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
TABLE = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
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


def central_differences(expr: Expr, values: dict[str, np.ndarray], name: str) -> np.ndarray:
    """∂expr/∂name entry by entry, to about ten digits."""
    slope = np.zeros(np.shape(values[name]))
    for place in np.ndindex(slope.shape):
        ends = []
        for h in (1e-5, -1e-5):
            moved = np.array(values[name], dtype=float)
            moved[place] += h
            ends.append(evaluate(expr, **{**values, name: moved}))
        slope[place] = (ends[0] - ends[1]) / 2e-5
    return slope


@TABLE
@pytest.mark.parametrize("sizes", SIZES, ids=["small", "larger"])
def test_the_gradient_is_that_of_central_differences(loss, sizes):
    d = loss.derived()
    values = draw(loss.variables, sizes, 7)
    assert list(d.answers) == loss.wrt
    for name, answer in d.answers.items():
        assert answer.shape == loss.variables[name].shape
        got = np.broadcast_to(evaluate(answer, **values), np.shape(values[name]))
        np.testing.assert_allclose(got, central_differences(loss.expr, values, name), rtol=1e-6, atol=1e-8)


# -------------------------------------------------------------------------------------- every line


def differentials(loss: Loss) -> dict[Expr, Expr]:
    """dN for every part N when the parameters move by dw, …: forward, by the declared differentials."""
    moved = {loss.variables[name]: symbol(f"d{name}", loss.variables[name].shape) for name in loss.wrt}
    for node in walk(loss.expr):
        changes = [moved.get(arg) for arg in node.args]
        if any(change is not None for change in changes):
            moved[node] = node.op.differential(node, node.args, changes)
    return moved


@TABLE
def test_every_line_is_the_same_number(loss):
    d = loss.derived()
    moved = differentials(loss)
    values = draw(loss.variables, SIZES[0], 3)
    rng = np.random.default_rng(4)
    values |= {f"d{name}": rng.normal(size=np.shape(values[name])) for name in loss.wrt}
    known = [*loss.variables.values(), *(moved[loss.variables[name]] for name in loss.wrt)]

    def worth(line: Line) -> float:
        terms = [FUNCTIONS["sum"](G * moved[part]) for G, part in line]
        return sum(evaluate(belongs(term, known), **values) for term in terms)

    numbers = [worth(line) for line in d.lines()]
    size_of_it = max(map(abs, numbers))
    np.testing.assert_allclose(numbers, numbers[0], rtol=1e-11, atol=1e-11 * size_of_it)
    last = {part: G for G, part in d.lines()[-1]}
    for name, variable in loss.variables.items():
        if name in loss.wrt and variable in last:
            assert last[variable] is d.answers[name]


@TABLE
def test_every_step_says_what_it_did_and_why(loss):
    d = loss.derived()
    line = [d.steps[0].before[0]]
    for step in d.steps:
        assert len(step.rule.split()) > 1 and len(step.why.split()) > 1
        for term in step.before:
            line.remove(term)
        line += step.after
        assert all(part in step.place.args or part is step.place for _, part in step.after)
        for rewrite in step.details:
            assert rewrite.before is not rewrite.after and rewrite.rule and rewrite.why
    assert {part for _, part in line} <= {loss.variables[name] for name in loss.wrt}


# -------------------------------------------------------------------------------------- as in the textbook

TEXTBOOK = {
    "neuron": {
        "w": "z = X @ w + b; e = y - relu(z); -2/N*(X.T @ (e*(z > 0)))",
        "b": "z = X @ w + b; e = y - relu(z); -2/N*sum(e*(z > 0))",
    },
    "neuron, prediction first": {"w": "z = X @ w + b; e = relu(z) - y; 2/N*(X.T @ (e*(z > 0)))"},
    "neuron as a sum": {"w": "z = X @ w + b; e = y - relu(z); -2/N*(X.T @ (e*(z > 0)))"},
    "neuron as a product": {"w": "z = X @ w + b; e = y - relu(z); -2/N*(X.T @ (e*(z > 0)))"},
    "neuron by a dot product": {"w": "z = X @ w + b; e = y - relu(z); -2/N*(X.T @ (e*(z > 0)))"},
    "neuron by the norm": {"w": "z = X @ w + b; e = y - relu(z); -2/N*(X.T @ (e*(z > 0)))"},
    "linear": {"w": "e = X @ w + b - y; 2/N*(X.T @ e)", "b": "e = X @ w + b - y; 2/N*sum(e)"},
    "linear, several outputs": {"W": "E = X @ W + c - Y; 2/(N*k)*(X.T @ E)"},
    "sum of squares": {"w": "-2*(X.T @ (y - X @ w))"},
    "half": {"w": "-(X.T @ (y - X @ w))"},
    "length": {"w": "e = X @ w - y; 1/norm(e)*(X.T @ e)"},
    "hinge": {"w": "m = 1 - y*(X @ w + b); -1/N*(X.T @ ((m > 0)*y))"},
    "Poisson": {"w": "z = X @ w + b; 1/N*(X.T @ (exp(z) - y))"},
    "ridge": {"w": "e = X @ w - y; 2/N*(X.T @ e) + 2*lam*w"},
    "ridge by a dot product": {"w": "e = X @ w - y; 2/N*(X.T @ e) + 2*lam*w"},
    "lasso": {"w": "e = X @ w - y; 2/N*(X.T @ e) + lam*sign(w)"},
    "weight decay": {"W": "E = X @ W - Y; 2/(N*k)*(X.T @ E) + 2*lam*W"},
    "logistic": {"w": "1/N*(X.T @ (sigmoid(X @ w + b) - y))", "b": "1/N*sum(sigmoid(X @ w + b) - y)"},
    "logistic, signs inside": {"w": "1/N*(X.T @ (sigmoid(X @ w + b) - y))"},
    "logistic by softplus": {"w": "1/N*(X.T @ (sigmoid(X @ w + b) - y))"},
    "logistic by two softplus": {"w": "1/N*(X.T @ (sigmoid(X @ w + b) - y))"},
    "logistic with y = ±1": {"w": "-1/N*(X.T @ (sigmoid(-(y*(X @ w + b)))*y))"},
    "logistic by log sigmoid": {"w": "-1/N*(X.T @ ((1 - sigmoid(y*(X @ w + b)))*y))"},
    "softmax": {"W": "P = softmax(X @ W + b, axis=1); 1/N*(X.T @ (sum(Y, axis=1, keepdims=True)*P - Y))"},
    "softmax, one hot": {
        "W": "P = softmax(X @ W + b, axis=1); 1/N*(X.T @ (P - Y))",
        "b": "P = softmax(X @ W + b, axis=1); 1/N*sum(P - Y, axis=0)",
    },
    "log softmax, one hot": {"W": "P = softmax(X @ W + b, axis=1); 1/N*(X.T @ (P - Y))"},
    "logsumexp": {"W": "P = softmax(X @ W + b, axis=1); 1/N*(X.T @ (P - Y))"},
    "softmax of one example": {"W": "outer(softmax(W @ x) - y, x)"},
    "autoencoder with tied weights": {
        "W": "A = tanh(X @ W); G = 2/(N*d)*(A @ W.T - X); X.T @ (G @ W*(1 - A**2)) + G.T @ A"
    },
    "x times x": {"x": "2*x"},
    "x times x squared": {"x": "3*x**2"},
    "x plus x squared": {"x": "1 + 2*x"},
    "3 x² y": {"x": "6*y*x", "y": "3*x**2"},
    "2 x + y⁸": {"x": "number(2)", "y": "8*y**7"},
    "bilinear": {"u": "A @ v", "A": "outer(u, v)", "v": "u @ A"},
    "quadratic": {"x": "x @ S + S @ x", "S": "outer(x, x)"},
    "symmetric quadratic": {"x": "2*(S @ x)"},
    "outer": {"u": "2*((outer(u, v) - A) @ v)", "v": "2*((outer(u, v) - A).T @ u)"},
    "Frobenius": {"A": "E = A @ B - D; 1/norm(E)*(E @ B.T)", "B": "E = A @ B - D; 1/norm(E)*(A.T @ E)"},
    "a sum of a product": {"W": "repeat(sum(X, axis=0), 1, 'k')"},
    "paths that cancel": {"w": "repeat(0, 0, 'd')", "u": "ones('d')"},
}


@pytest.mark.parametrize("name", TEXTBOOK)
def test_the_answer_is_the_textbooks(name):
    answers = LOSSES[name].derived().answers
    for parameter, text in TEXTBOOK[name].items():
        assert answers[parameter] is written(text, {**LOSSES[name].names, "number": number}), parameter


@pytest.mark.parametrize("layers", [2, 3, 5])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_deep_network_goes_backwards_layer_by_layer(layers, activation):
    loss = perceptron(layers, activation)
    d = loss.derived()
    part = {named.name: node for node, named in d.parts.items()}
    slope = {"relu": lambda z, a: z > 0, "tanh": lambda z, a: 1 - a**2}[activation]
    G = d.cotangents[part[f"Z{layers}"]]
    for i in range(layers, 0, -1):
        assert d.fences[G] is part[f"Z{i}"]
        before = part[f"A{i - 1}"] if i > 1 else loss.variables["X"]
        assert d.answers[f"W{i}"] is before.T @ G
        assert d.answers[f"b{i}"] is FUNCTIONS["sum"](G, 0)
        if i > 1:
            G = G @ loss.variables[f"W{i}"].T * slope(part[f"Z{i - 1}"], before)
            assert d.cotangents[part[f"Z{i - 1}"]] is G


# -------------------------------------------------------------------------------------- depth


def visible(d: Derivation) -> int:
    """How many symbols all steps show, where a name stands for what has one."""
    names = {*d.parts, *d.fences}
    total = 0
    for step in d.steps:
        for G, part in (*step.before, *step.after):
            stack = [G, part]
            while stack:
                node = stack.pop()
                total += 1
                if node not in names:
                    stack += node.args
    return total


def test_steps_and_text_grow_linearly_with_depth():
    measured = {}
    for layers in (50, 100, 200, 400):
        d = perceptron(layers).derived()
        measured[layers] = len(d.steps), visible(d)
        assert all(len(step.details) < 8 for step in d.steps)
    slopes = [
        ((measured[b][0] - measured[a][0]) / (b - a), (measured[b][1] - measured[a][1]) / (b - a))
        for a, b in ((50, 100), (100, 200), (200, 400))
    ]
    assert len(set(slopes)) == 1


# -------------------------------------------------------------------------------------- parameters and errors


def test_a_parameter_that_does_not_occur_is_told():
    d = LOSSES["a parameter that does not occur"].derived()
    assert d.answers["b"] is number(0)
    assert any("does not depend on b" in note for note in d.notes)


def test_names_of_ones_own_are_used():
    loss = LOSSES["neuron"]
    z = loss.variables["X"] @ loss.variables["w"] + loss.variables["b"]
    d = derive(loss.expr, "w", names={z: "s"}, certify=False)
    assert d.names[z] == "s"
    assert d.answers["w"] is loss.derived().answers["w"]


def test_a_derivation_is_certified_unless_told_otherwise():
    loss = LOSSES["neuron"]
    assert derive(loss.expr, loss.wrt).certificate.verdict is True
    assert loss.derived().certificate is None


X, w, y = (LOSSES["linear"].variables[name] for name in "Xwy")
WRONG = {
    "a vector": (X @ w - y, "w", "a gradient belongs to a number", "sum("),
    "an unknown variable": (FUNCTIONS["sum"](w), "v", "there is no variable v", None),
    "no variable": (FUNCTIONS["sum"](w), [], "with respect to what", "w"),
    "no expression": ("sum(w)", "w", "takes an expression", "gs.parse"),
    "an assumption that cannot be": (
        FUNCTIONS["sum"](symbol("S", "n m", ("symmetric",))),
        "S",
        "square",
        None,
    ),
}


@pytest.mark.parametrize(("loss", "wrt", "what", "mend"), WRONG.values(), ids=WRONG)
def test_a_wrong_question_is_answered_with_a_lesson(loss, wrt, what, mend):
    with pytest.raises(MathError, match=what) as caught:
        derive(loss, wrt, certify=False)
    assert mend is None or mend in caught.value.mend


# -------------------------------------------------------------------------------------- against PyTorch

PEERS = [
    "neuron",
    "one example",
    "quadratic form",
    "mean absolute error",
    "Huber by masks",
    "quantile",
    "squared hinge",
    "log cosh",
    "elastic net",
    "logistic",
    "logistic with y = ±1",
    "softmax",
    "log softmax",
    "logsumexp",
    "softmax spelled out",
    "5 layers",
    "2 layers, leaky_relu",
    "2 layers, softplus",
    "two-layer classifier",
    "skip connection",
    "autoencoder with tied weights",
    "recurrent",
    "a power of a parameter",
    "Frobenius",
    "a row to every row",
    "maximum with a row",
    "centred",
]


def spoken_by(torch) -> dict[str, object]:
    """What our functions are called in PyTorch."""

    def lifted(f):
        return lambda *xs: f(*(torch.as_tensor(x, dtype=torch.float64) for x in xs))

    def along(f):
        return lambda x, axis=0: f(x, dim=axis)

    def total(x, axis=None, keepdims=False):
        return x.sum() if axis is None else x.sum(dim=axis, keepdim=keepdims)

    def mean(x, axis=None):
        return x.mean() if axis is None else x.mean(dim=axis)

    plain = ("exp", "log", "sqrt", "abs", "tanh", "sigmoid", "relu", "outer", "dot")
    return {
        **{name: getattr(torch, name) for name in plain},
        **{name: lifted(getattr(torch, name)) for name in ("maximum", "minimum")},
        **{name: along(getattr(torch, name)) for name in ("softmax", "log_softmax", "logsumexp")},
        "softplus": torch.nn.functional.softplus,
        "leaky_relu": torch.nn.functional.leaky_relu,
        "norm": torch.linalg.norm,
        "sum": total,
        "mean": mean,
    }


@pytest.mark.parametrize("name", PEERS)
def test_the_gradient_is_that_of_pytorch(torch, name):
    loss = LOSSES[name]
    values = draw(loss.variables, SIZES[1], 11)
    tensors = {
        name: torch.tensor(value, dtype=torch.float64, requires_grad=name in loss.wrt)
        for name, value in values.items()
    }
    lengths = {
        axis: length
        for v_name, v in loss.variables.items()
        for axis, length in zip(v.shape, np.shape(values[v_name]), strict=True)
    }
    text = loss.text.replace("abs(r) <= 1", "(abs(r) <= 1)*1.0")  # no arithmetic with booleans there
    written(text, {**spoken_by(torch), **tensors, **lengths}).backward()
    for parameter, answer in loss.derived().answers.items():
        theirs = tensors[parameter].grad.numpy()
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(evaluate(answer, **values), theirs, rtol=1e-12, atol=1e-12 * scale)
