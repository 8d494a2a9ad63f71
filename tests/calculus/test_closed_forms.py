"""Do derivatives with closed forms in the literature come out right, and about as long as people write them?

The table is `closed_forms.txt`; a value is compared at two sizes of every axis.
"""

import ast
from pathlib import Path

import numpy as np
from tables import each

import gradstep as gs
from benchmarks.closed_forms import BOUND, length, length_written_out, named

FACTS = {"++": "symmetric positive definite", "+-": "symmetric", "+": "positive", "!": "invertible"}
LINES = Path(__file__).with_suffix("").with_name("closed_forms.txt").read_text(encoding="utf-8").splitlines()
CASES = {line.split(";")[0]: line for line in LINES if line.strip() and not line.startswith("#")}


def softmax(x, axis=0):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


# Answers that are longer than that, and why.
LONGER = {
    "clipped-ratio": (2.6, "both sides of the minimum move, and where they are equal each gets half"),
    "celu": (1.8, "that a (exp(x/a) − 1) has the sign of x is not known"),
}

# What is said word for word, its named parts in front.
SAID = {
    "variance-nll": "(N - sum((y - X @ w)**2)/s**2)/s",
    "rayleigh-two": "C = x @ (A @ x)/(x @ (B @ x)); 2/(x @ (B @ x))*(A @ x - C*(B @ x))",
    "cubed-error": "z = X @ w; e = y - z; -3/N*(X.T @ (e*abs(e)))",
    "projector": "M = inv(X.T @ X); Z = X @ M @ X.T; E = Z - P; 2*((eye(n) - Z) @ (E + E.T) @ X @ M)",
    "pseudo-huber-h": "z = A @ x; e = z - b; A.T @ (diag(1/sqrt(1 + e**2)**3) @ A)",
    "ratio-h": "C = a @ x/(b @ x); -1/(b @ x)**2*(outer(a - C*b, b) + outer(b, a - C*b))",
    "cauchy-h": "-2*diag((1 - 3*x**2)/(1 + x**2)**3)",
    "log-of-softmax": "p = softmax(z); eye(n) - p",
    "standardised": "e = x - mean(x); sqrt(n)/norm(e)*(eye(n) - 1/n - outer(unit(e), unit(e)))",
    "shares": "2/sum(x**2)*(diag(x) - outer(x**2, x)/sum(x**2))",
}

SAME = (
    *("where", "exp", "log", "sin", "cos", "sqrt", "abs", "tanh", "sign", "maximum", "minimum"),
    *("eye", "ones", "sum", "mean", "outer", "trace"),
)
NUMPY = {
    **{name: getattr(np, name) for name in SAME},
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softmax": softmax,
    "relu": lambda x: np.maximum(x, 0),
    "diag": lambda x: np.diag(1.0 * np.asarray(x)),
    "norm": lambda x: np.sqrt(np.sum(x**2)),
}


def read(line):
    """Name, function, shapes, facts, what it is differentiated by, closed form, and the parts of that."""
    name, function, variables, wrt, known, *rest = (part.strip() for part in line.split(";"))
    shapes, facts = {}, {}
    for word in variables.split():
        variable, sizes = word.split(":")
        mark = next((mark for mark in FACTS if variable.endswith(mark)), "")
        variable = variable.removesuffix(mark)
        shapes[variable] = tuple(sizes.split(",")) if sizes else ()
        facts |= {variable: FACTS[mark]} if mark else {}
    call = ast.parse(f"dict({rest[0] if rest else ''})", mode="eval").body
    parts = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    return name, function, shapes, facts, wrt.split(), known, parts


def draw(shapes, facts, sizes, rng):
    """Arrays that are what is known of them."""
    drawn = {}
    for name, shape in shapes.items():
        x = rng.normal(size=[sizes[size] for size in shape])
        drawn[name] = {
            "positive": lambda x: 0.2 + abs(x) / 2,
            "symmetric": lambda x: x + x.T,
            "symmetric positive definite": lambda x: x @ x.T + np.eye(len(x)),
            "invertible": lambda x: x + 4 * np.eye(len(x)),
        }.get(facts.get(name), lambda x: x)(x)
    return drawn


def used(known, parts):
    """The closed form, and those of its parts that it uses."""
    texts, met = [known], set()
    for text in texts:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Name) and node.id in parts and node.id not in met:
                met.add(node.id)
                texts.append(parts[node.id])
    return texts


@each("line", CASES.values(), ids=CASES, tests=4)
def test_a_derivative_from_the_literature_comes_out_right_and_short(line):
    name, function, shapes, facts, wrt, known, parts = read(line)
    f = gs.parse(function, assume=facts, **shapes)
    derive = gs.hessian if len(wrt) == 2 else gs.jacobian if f.rank else gs.derive
    d = derive(f, wrt[0], certify=False)
    axes = sorted({size for shape in shapes.values() for size in shape})
    for seed in range(2):
        sizes = {size: 3 + place + seed for place, size in enumerate(axes)}
        given = draw(shapes, facts, sizes, np.random.default_rng(seed))
        scope = {**NUMPY, **sizes, **given}
        for part, text in parts.items():
            scope[part] = eval(text, scope)
        right = np.asarray(eval(known, scope), dtype=float)
        found = np.asarray(gs.evaluate(d.answers[wrt[0]], **given))
        np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-9 * np.abs(right).max())
    assert named(d) == SAID.get(name, named(d))
    longest = LONGER.get(name, (BOUND, ""))[0] * sum(map(length_written_out, used(known, parts)))
    assert length(named(d)) <= longest, named(d)
