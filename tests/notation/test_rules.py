"""Does every rule that a textbook names stand in a derivation, by name and with its reason?

The numbers count the rules of Parr and Howard, "The Matrix Calculus You Need For Deep Learning", in the order
of the text. Each stands here by name: as a named step with its reason, as a line of its own where it is a
formula or a definition, or as what a Jacobian comes out as. None is left out.
"""

import re
from dataclasses import dataclass

import pytest

from gradstep import evaluate, hessian, jacobian
from gradstep.notation.parsing import parse
from gradstep.notation.plain import line
from gradstep.notation.views import present
from gradstep.public import derive

NEURON = "mean((y - relu(X @ w + b))**2)"
NEURON_SHAPES = "X:N,d w:d b: y:N"
AUGMENTED = "relu(concatenate((w, b)) @ concatenate((x, 1)))"
BATCHED = "mean((y - relu(concatenate((X, ones((N, 1))), axis=1) @ concatenate((w, b))))**2)"


@dataclass(frozen=True)
class Rule:
    """A rule by number and name, a formula that needs it, and what it is called here."""

    number: int
    name: str
    text: str
    shapes: str
    wrt: str
    called: str
    reason: str = ""
    view: str = "matrix"

    def expr(self):
        return parse(self.text, **shapes(self.shapes))


def shapes(written):
    return {name: sizes.replace(",", " ") for name, _, sizes in (w.partition(":") for w in written.split())}


RULES = [
    Rule(1, "constant", "99", "x:", "x", "constant", "the derivative of a constant is 0"),
    Rule(2, "multiplication by constant", "3*x", "x:", "x", "multiplication by a constant", "stays in front"),
    Rule(3, "power", "x**3", "x:", "x", "power rule", "= 3x²"),
    Rule(4, "sum", "x**2 + 3*x", "x:", "x", "sum rule", "the sum of the derivatives"),
    Rule(5, "difference", "x**2 - 3*x", "x:", "x", "difference rule", "the difference of the derivatives"),
    Rule(6, "product", "x**2*x", "x:", "x", "product rule", "each factor moves while the other"),
    Rule(7, "quotient", "x/(1 + x**2)", "x:", "x", "quotient rule", "d(a/b) = "),
    Rule(8, "elementary functions", "log(x)", "x:", "x", "derivative of log", "the slope of log x is 1/x"),
    Rule(8, "elementary functions", "sin(x)", "x:", "x", "derivative of sin", "slope of sin is cos"),
    Rule(9, "linear operator", "9*(x + x**2)", "x:", "x", "multiplication by a constant", "stays in front"),
    Rule(10, "partial derivative", "3*x**2*y", "x: y:", "x", "constant", "3 and y do not depend on x"),
    Rule(11, "absent variable", "x**2", "x: y:", "y", "constant", "y does not occur in f"),
    Rule(12, "gradient", "3*x**2*y", "x: y:", "x y", "gradient", "side by side, in a row"),
    Rule(
        23, "derivative inside the sum", NEURON, NEURON_SHAPES, "w", "derivative of a sum", "inside the sum"
    ),
    Rule(24, "vector sum reduction", "sum(x*z)", "x:n z:", "x z", "derivative of a sum", "inside the sum"),
    Rule(26, "chain rule", "log(sin(x**3)**2)", "x:", "x", "chain rule", "depends on x only through"),
    Rule(27, "substituting back", "log(sin(x**3)**2)", "x:", "x", "substituting back", "u₁ = x³"),
    Rule(28, "total derivative", "sin(x + x**2)", "x:", "x", "total derivative", "directly"),
    Rule(31, "dot product", "w @ x + b", "w:n x:n b:", "w", "dot product rule", "d(w·x) = x·dw"),
    Rule(32, "affine function", NEURON, NEURON_SHAPES, "w b", "affine function", "alone in", "sample"),
    Rule(33, "max(0, z)", NEURON, NEURON_SHAPES, "w", "slope of max(0, z)", "two straight pieces", "sample"),
    Rule(34, "broadcast of a function", "sum(tanh(x))", "x:n", "x", "chain rule for tanh", "1 − tanh²"),
    Rule(36, "error", NEURON, NEURON_SHAPES, "w", "difference rule", "yᵢ does not depend on w", "sample"),
    Rule(37, "squared error", NEURON, NEURON_SHAPES, "w", "power rule", "d(e²)/de = 2e", "sample"),
    Rule(
        38,
        "collapse of max",
        NEURON,
        NEURON_SHAPES,
        "w",
        "max collapses on the active branch",
        "= zᵢ",
        "sample",
    ),
    Rule(43, "augmented vectors", AUGMENTED, "w:n b: x:n", "w b", "augmented vectors", "always 1"),
    Rule(43, "augmented vectors", BATCHED, NEURON_SHAPES, "w b", "augmented vectors", "always 1", "sample"),
]
# Their statements are lines of their own, sections or definitions, not steps with a reason.
STATED = [
    (25, "intermediate variables", "log(sin(x**3)**2)", "x:", "x", "matrix", "u₂ = sin(u₁)"),
    (35, "neuron activation", NEURON, NEURON_SHAPES, "w", "sample", "{0 if zᵢ ≤ 0; 1 if zᵢ > 0}"),
    (39, "loss gradient, w", NEURON, NEURON_SHAPES, "w", "sample", "{0ᵀ if w·xᵢ + b ≤ 0; eᵢ xᵢᵀ otherwise}"),
    (40, "loss gradient, b", NEURON, NEURON_SHAPES, "b", "sample", "{0 if w·xᵢ + b ≤ 0; eᵢ otherwise}"),
    (41, "error term", NEURON, NEURON_SHAPES, "w", "sample", "eᵢ = yᵢ − aᵢ"),
    (41, "error term, active", NEURON, NEURON_SHAPES, "w", "sample", "eᵢ = yᵢ − (w·xᵢ + b) where zᵢ > 0"),
    (42, "descent", NEURON, NEURON_SHAPES, "w", "sample", "w ← w − η ∂C/∂w"),
    (43, "augmented vectors", AUGMENTED, "w:n b: x:n", "w b", "matrix", "[w; b]·[x; 1] = w·x + b"),
]
# Rules about Jacobians: what the Jacobian comes out as.
CHAINED = "B @ diag(1 - tanh(A @ x)**2) @ A"
JACOBIANS = [
    (
        13,
        "vector of functions",
        "stack((log(x**2), sin(3*x)))",
        "x:",
        "x",
        "stack((2/x, 3*cos(3*x)))",
        r"f\(x\) = \[log\(x²\); sin\(3x\)\] a vector of functions: f has 2 entries",
    ),
    (
        14,
        "Jacobian",
        "A @ x",
        "A:m,n x:n",
        "x",
        "A",
        "numerator layout: a row for each entry of f, .*; row i is the gradient of fᵢ",
    ),
    (15, "identity", "x", "x:n", "x", "eye(n)", "Jacobian of the identity: an entry moves with itself alone"),
    (
        16,
        "element-wise diagonal condition",
        "w*x + exp(w)",
        "w:n x:n",
        "w",
        "diag(x + exp(w))",
        r"fᵢ depends on wᵢ alone, so the Jacobian is diagonal \(element-wise diagonal condition\)",
    ),
    (17, "element-wise +", "w + x", "w:n x:n", "w", "eye(n)", "sum rule: .*the Jacobian is diagonal"),
    (18, "element-wise −", "w - x", "w:n x:n", "x", "-eye(n)", "difference rule: what is taken away"),
    (19, "element-wise product", "w*x", "w:n x:n", "w", "diag(x)", "by a constant: .*Jacobian is diagonal"),
    (20, "element-wise quotient", "w/x", "w:n x:n", "x", "-diag(w/x**2)", "quotient rule: .*is diagonal"),
    (21, "scalar expansion, x + z", "x + z", "x:n z:", "z", "ones(n)", "scalar expansion: "),
    (22, "scalar expansion, x z", "x*z", "x:n z:", "z", "x", "multiplication by a constant: "),
    (
        29,
        "vector chain rule",
        "B @ tanh(A @ x)",
        "B:m,m A:m,n x:n",
        "x",
        CHAINED,
        "vector chain rule: the Ja",
    ),
    (
        30,
        "vector chain rule, diagonal",
        "log(x**2)",
        "x:n",
        "x",
        "diag(2/x)",
        "chain rule for log, .*diagonal",
    ),
]
LAST = 43


def said(presentation):
    for section in presentation.sections:
        for one in section.lines:
            yield one
            yield from one.details


def test_no_rule_is_left_out():
    told = {rule.number for rule in RULES} | {number for number, *_ in (*STATED, *JACOBIANS)}
    assert told == set(range(1, LAST + 1))


def test_a_jacobian_stands_in_the_other_layout_too():
    told = " ".join(jacobian(parse("A @ x", A="m n", x="n"), "x").text(layout="denominator").split())
    assert "∂f/∂x = Aᵀ" in told and "denominator layout: a row for each entry of x" in told
    assert "column i is the gradient of fᵢ" in told


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.number} {rule.name}")
def test_a_rule_is_a_named_step_with_its_reason(rule):
    told = present(derive(rule.expr(), rule.wrt.split()), view=rule.view, opened=True)
    reasons = [one.why for one in said(told) if rule.called in one.rule]
    assert reasons, f"no step is called {rule.called}"
    assert any(rule.reason in why for why in reasons), reasons
    assert all(len(why.split()) > 2 for why in reasons if rule.reason in why)


@pytest.mark.parametrize(("number", "name", "text", "given", "wrt", "view", "expected"), STATED)
def test_a_rule_is_a_line(number, name, text, given, wrt, view, expected):
    told = present(derive(parse(text, **shapes(given)), wrt.split()), view=view, opened=True)
    lines = [
        f"{line(one.left)} = {line(form)}" if one.left is not None else line(form)
        for one in said(told)
        for form in one.forms
    ]
    assert any(expected in shown for shown in lines), lines


def near(a, b):
    return abs(a - b) <= 1e-12 * max(1.0, abs(b))


def values(written):
    import numpy as np

    rng, sizes = np.random.default_rng(3), {"n": 3, "m": 2, "N": 6, "d": 3}
    found = {
        name: tuple(sizes.get(size) or int(size) for size in of.split())
        for name, of in shapes(written).items()
    }
    return {name: rng.uniform(0.5, 2.0, shape) for name, shape in found.items()}


@pytest.mark.parametrize(("number", "name", "text", "given", "wrt", "expected", "said"), JACOBIANS)
def test_a_rule_of_jacobians(number, name, text, given, wrt, expected, said):
    import numpy as np

    d = jacobian(parse(text, **shapes(given)), wrt)
    assert d.certificate.verdict
    at = values(given)
    want = parse(expected, **shapes(given))
    assert np.allclose(evaluate(d.answers[wrt], **at), evaluate(want, **at), rtol=1e-12)
    told = " ".join(d.text().split())
    assert re.search(said, told), told


# The examples that the paper works out: function, variable, result.
WORKED = [
    ("99", "x", "0"),
    ("3*x", "x", "3"),
    ("x**3", "x", "3*x**2"),
    ("x**2 + 3*x", "x", "2*x + 3"),
    ("x**2 - 3*x", "x", "2*x - 3"),
    ("x**2*x", "x", "3*x**2"),
    ("log(x**2)", "x", "2/x"),
    ("9*(x + x**2)", "x", "9 + 18*x"),
    ("3*x**2*y", "x", "6*y*x"),
    ("3*x**2*y", "y", "3*x**2"),
    ("2*x + y**8", "x", "2"),
    ("2*x + y**8", "y", "8*y**7"),
    ("x + x**2", "x", "1 + 2*x"),
    ("sin(x**2)", "x", "2*cos(x**2)*x"),
    ("log(sin(x**3)**2)", "x", "6*cos(x**3)*x**2/sin(x**3)"),
    ("x*x**2", "x", "3*x**2"),
]


@pytest.mark.parametrize(("text", "wrt", "expected"), WORKED)
def test_a_worked_example_comes_out_as_written(text, wrt, expected):
    got = derive(parse(text, x="", y=""), wrt).answers[wrt]
    assert got is parse(expected, x="", y="")


def test_sine_of_a_sum_has_the_worked_value():
    import math

    got = derive(parse("sin(x + x**2)", x=""), "x").answers["x"]
    assert near(evaluate(got, x=0.7), math.cos(0.7 + 0.49) * 2.4)


def test_the_numeric_check_of_the_paper():
    f = parse("x + x**2", x="")
    assert [evaluate(f, x=float(k)) for k in (1, 2)] == [2.0, 6.0]
    assert evaluate(derive(f, "x").answers["x"], x=1.0) == 3.0


def test_the_scalar_cost_of_the_computation_graph():
    cost = parse("(y - relu(w*x + b))**2", x="", y="", w="", b="")
    d = derive(cost, ["w", "b"])
    at = {"x": 1.0, "y": 5.0, "w": 2.0, "b": 1.0}
    assert [evaluate(d.answers[name], **at) for name in ("w", "b")] == [-4.0, -4.0]
    texts = [line(form) for one in said(present(d)) for form in one.forms]
    assert "dC/de · ∂e/∂a · da/dz · ∂z/∂w" in texts


def test_the_case_split_stays_under_the_sum():
    """Moved outside the sum, one condition for all rows, it is wrong where some rows are active, some not."""
    import numpy as np

    d = derive(parse(NEURON, **shapes(NEURON_SHAPES)), ["w", "b"])
    shown = [line(form) for one in said(present(d, view="sample")) for form in one.forms]
    split = [text for text in shown if "otherwise}" in text]
    assert split and all(re.match(r"−2/N Σᵢ \{", text) for text in split)
    X = np.array([[1.0, 2.0], [-1.0, 0.5], [0.3, -2.0]])
    w, b, y = np.array([0.5, 1.0]), 0.1, np.array([1.0, -1.0, 2.0])
    z = X @ w + b
    assert (z > 0).any() and (z <= 0).any()
    want = sum(-2 / 3 * (y[i] - z[i]) * X[i] for i in range(3) if z[i] > 0)
    assert np.allclose(evaluate(d.answers["w"], X=X, w=w, b=b, y=y), want, rtol=1e-13)


def test_the_hessian_of_the_neuron():
    import numpy as np

    d = hessian(parse(NEURON, **shapes(NEURON_SHAPES)), "w")
    at = values(NEURON_SHAPES)
    mask = (at["X"] @ at["w"] + at["b"] > 0).astype(float)
    want = 2 / 6 * at["X"].T @ np.diag(mask) @ at["X"]
    assert np.allclose(evaluate(d.answers["w"], **at), want, rtol=1e-12)
