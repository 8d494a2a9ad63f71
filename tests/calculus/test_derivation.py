"""Is every gradient right, does every line say so, and does a textbook case end in the textbook's formula?"""

import numpy as np
import pytest
from calculus.losses import LOSSES, SIZES, Loss, draw, perceptron, written
from tables import each

import gradstep as gs
from gradstep.calculus.derivation import derive
from gradstep.calculus.steps import Derivation, Line
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.operations import FUNCTIONS
from gradstep.operations.evaluation import belongs, evaluate
from gradstep.operations.leaves import number, symbol

TABLE = each("loss", LOSSES.values(), ids=LOSSES, tests=3)


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


@pytest.mark.parametrize("sizes", SIZES, ids=["small", "larger"])
@TABLE
def test_the_gradient_is_that_of_central_differences(loss, sizes):
    d = loss.derived()
    values = draw(loss.variables, sizes, 7)
    assert list(d.answers) == loss.wrt
    for name, answer in d.answers.items():
        assert answer.shape == loss.variables[name].shape
        got = np.broadcast_to(evaluate(answer, **values), np.shape(values[name]))
        np.testing.assert_allclose(got, central_differences(loss.expr, values, name), rtol=1e-6, atol=1e-8)


# -------------------------------------------------------------------------------------- every line


def differentials(loss: Loss, of: Expr) -> dict[Expr, Expr]:
    """dN for every part N when the parameters move by dw, …: forward, by the declared differentials."""
    moved = {loss.variables[name]: symbol(f"d{name}", loss.variables[name].shape) for name in loss.wrt}
    for node in walk(of):
        changes = [moved.get(arg) for arg in node.args]
        if any(change is not None for change in changes):
            moved[node] = node.op.differential(node, node.args, changes)
    return moved


@TABLE
def test_every_line_is_the_same_number(loss):
    d = loss.derived()
    moved = differentials(loss, d.of)
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


RULES = {
    "neuron": [
        "multiplication by a constant",
        "derivative of a sum",
        "power rule",
        "difference rule",
        "slope of max(0, z)",
        "sum rule",
        "scalar expansion",
        "matrix product rule",
    ],
    "one example": [
        "power rule",
        "difference rule",
        "slope of max(0, z)",
        "sum rule",
        "dot product rule",
    ],
    "3 x² y": ["product rule", "multiplication by a constant", "power rule"],
    "x times x squared": ["product rule", "power rule", "sum over paths"],
    "a quotient": ["quotient rule", "product rule", "sum rule", "sum over paths", "sum over paths"],
    "a power of a parameter": ["multiplication by a constant", "derivative of a sum", "power rule"],
    "logistic": [
        "multiplication by a constant",
        "multiplication by a constant",
        "derivative of a sum",
        "sum rule",
        "multiplication by a constant",
        "chain rule for log",
        "difference rule",
        "multiplication by a constant",
        "chain rule for log",
        "sum over paths",
        "chain rule for sigmoid",
        "clearing the denominators",
        "the mixed products cancel",
        "sum rule",
        "scalar expansion",
        "matrix product rule",
    ],
}


@pytest.mark.parametrize("name", RULES)
def test_the_rules_are_those_of_a_textbook(name):
    assert [step.rule for step in LOSSES[name].derived().steps] == RULES[name]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("neuron", "⟨G, A dB⟩ = ⟨AᵀG, dB⟩"),
        ("ridge", "a factor that does not depend on the parameters stays in front"),
        ("linear", "what does not depend on the parameters drops out"),
        ("3 x² y", "d(xⁿ) = n xⁿ⁻¹ dx"),
    ],
)
def test_a_reason_speaks_of_what_moves(name, why):
    assert any(step.why.endswith(why) for step in LOSSES[name].derived().steps)


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
    "length": {"w": "e = X @ w - y; X.T @ unit(e)"},
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
    "logistic with y = ±1": {"w": "-1/N*(X.T @ (sigmoid(-y*(X @ w + b))*y))"},
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
    "quadratic": {"x": "(S + S.T) @ x", "S": "outer(x, x)"},
    "symmetric quadratic": {"x": "2*(S @ x)"},
    "outer": {"u": "2*((outer(u, v) - A) @ v)", "v": "2*((outer(u, v) - A).T @ u)"},
    "Frobenius": {"A": "E = A @ B - D; unit(E) @ B.T", "B": "E = A @ B - D; A.T @ unit(E)"},
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
    for layers in (20, 40, 80, 160):
        d = perceptron(layers).derived()
        measured[layers] = len(d.steps), visible(d)
        assert all(len(step.details) < 8 for step in d.steps)
    slopes = [
        ((measured[b][0] - measured[a][0]) / (b - a), (measured[b][1] - measured[a][1]) / (b - a))
        for a, b in ((20, 40), (40, 80), (80, 160))
    ]
    assert len(set(slopes)) == 1


# -------------------------------------------------------------------------------------- parameters and errors


def test_a_parameter_that_does_not_occur_is_told():
    d = LOSSES["a parameter that does not occur"].derived()
    assert d.answers["b"] is number(0)
    assert any("does not depend on b" in note for note in d.notes)


@pytest.mark.parametrize("text", ["sum(x > 0)", "sum(sign(x)*y)", "sum(where(x > y, y, 2*y))"])
def test_what_moves_in_jumps_only_is_not_said_to_stand_still(text):
    f = gs.parse(text, x="n", y="n")
    for found in (gs.derive(f, "x"), gs.jacobian(f, "x")):
        assert any("moves with x in jumps only" in note for note in found.notes)
        assert not any("does not depend on" in note for note in found.notes)
        assert "= 0    n" in found.text()


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
    "not even a name": (FUNCTIONS["sum"](w), 3, "there is no variable 3", None),
    "an assumption that cannot be": (
        FUNCTIONS["sum"](symbol("S", "n m", ("symmetric",))),
        "S",
        "only a sq",
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


def test_a_derivation_says_in_one_line_what_it_is():
    d = derive(gs.parse("w @ w", w="n"), "w")
    assert repr(d) == "<gradient with respect to w, 1 steps: print(d.text()) shows them>"
