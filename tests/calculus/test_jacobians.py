"""Are Jacobians, Hessians and their products right, at any sizes, and is what is wrong in them noticed?"""

import cProfile
import re

import numpy as np
import pytest
from tables import each

import gradstep as gs
from gradstep.calculus.jacobians import _array_move
from gradstep.calculus.moves import Move, certify_moves
from gradstep.calculus.networks import Network, applied
from gradstep.expression.node import walk
from gradstep.expression.records import replaced
from gradstep.expression.shapes import Lengths
from gradstep.operations.evaluation import belongs, variables
from gradstep.operations.leaves import number, symbol

SHAPES = {
    "X": "N d",
    "W": "d k",
    "A": "d d",
    "w": "d",
    "v": "d",
    "x": "d",
    "y": "N",
    "b": "",
    "t": "",
    "Y": "N k",
}
SIZES = Lengths({"N": 4, "d": 3, "k": 2, "h": 5})


def read(text, beside=""):
    """The expression, with the variables that it has, and those of another text."""
    both = f"{text} {beside}"
    used = {name: shape for name, shape in SHAPES.items() if re.search(rf"\b{name}\b", both)}
    return gs.parse(text, **used)


# Functions of every rank, with respect to variables of every rank.
FUNCTIONS = [
    ("X @ w + b", "w"), ("X @ w + b", "b"), ("X @ w + b", "X"), ("tanh(X @ w)", "w"), ("X @ W", "W"),
    ("X @ W", "X"), ("sigmoid(X @ W)", "W"), ("softmax(x)", "x"), ("softmax(X @ W, axis=1)", "W"),
    ("outer(w, v)", "w"), ("outer(w, w)", "w"), ("w/norm(w)", "w"), ("x*sum(x)", "x"), ("A @ A", "A"),
    ("X.T @ X", "X"), ("X * w", "w"), ("sum(X * w, axis=1)", "w"), ("logsumexp(X, axis=0)", "X"),
    ("exp(t*A)", "t"), ("t*x", "t"), ("x/t", "t"), ("diag(w) @ A", "w"), ("diag(A)", "A"),
    ("trace(A)*w", "A"),
    ("trace(A)*w", "w"), ("x", "x"), ("A", "A"), ("A.T", "A"), ("relu(A @ x)", "x"), ("mean(X, axis=0)", "X"),
    ("A @ x * (v @ x)", "x"), ("x - mean(x)", "x"), ("x**3", "x"), ("maximum(x, v)", "x"),
    ("2*y + 0*sum(x)", "x"),
    ('einsum("ij,jk,k->ik", A, A, x)', "x"), ("kron(X, W)", "X"), ("kron(X, W)", "W"), ("kron(A, A)", "A"),
    ("kron(x, y)", "y"), ("ravel(X)", "X"), ("reshape(X, (d, N)) @ y", "X"), ("ravel(diag(x))", "x"),
    ("reshape(X, (N, 1, d))", "X"), ("reshape(X*X, (1, N*d))", "X"),
]  # fmt: skip
LOSSES = [
    ("mean((y - relu(X @ w + b))**2)", "w"), ("mean((y - relu(X @ w + b))**2)", "b"), ("x @ A @ x", "x"),
    ("mean((tanh(X @ W) - Y)**2)", "W"), ("logsumexp(A @ x)", "x"), ("sum(softplus(X @ w))", "w"),
    ("norm(x)", "x"), ("trace(A @ A)", "A"), ("exp(-t**2)*sum(x)", "t"), ("sum(x)", "x"),
    ("norm(X @ W - Y)**2", "W"),
]  # fmt: skip


def values(expr, seed=0):
    draw = np.random.default_rng(seed).standard_normal
    return {name: draw([SIZES[s] for s in v.shape]) for name, v in variables(expr).items()}


def slopes(f, name, given):
    """∂f/∂name by central differences."""
    x, step = given[name], 1e-6
    columns = []
    for place in np.ndindex(x.shape):
        move = np.zeros(x.shape)
        move[place] = step
        above, below = (np.asarray(f(**{**given, name: x + sign * move})) for sign in (1, -1))
        columns.append((above - below) / (2 * step))
    return np.stack(columns, -1).reshape(columns[0].shape + x.shape)


@each("text, name", FUNCTIONS)
def test_a_jacobian_is_the_slope_of_every_entry(text, name):
    f = read(text)
    d = gs.jacobian(f, name, seed=1)
    given = values(f)
    found = gs.evaluate(d.answers[name], **given)
    np.testing.assert_allclose(found, slopes(lambda **v: gs.evaluate(f, **v), name, given), atol=1e-7)
    assert d.certificate.verdict is True


@pytest.mark.parametrize(("text", "name"), LOSSES)
def test_a_hessian_is_the_slope_of_the_gradient(text, name):
    loss = read(text)
    d = gs.hessian(loss, name, seed=1)
    gradient = gs.derive(loss, name).answers[name]
    given = values(loss)
    found = gs.evaluate(d.answers[name], **given)
    np.testing.assert_allclose(found, slopes(lambda **v: gs.evaluate(gradient, **v), name, given), atol=1e-6)
    assert d.certificate.verdict is True


@pytest.mark.parametrize("text", ["logdet(Y)", "b @ inv(Y) @ b", "sum(Y.T @ Y @ Y)"])
def test_the_entries_of_a_symmetric_matrix_move_one_by_one_in_its_hessian(text):
    shapes = {"Y": "n n", "b": "n"} if "b" in text else {"Y": "n n"}
    known = gs.hessian(gs.parse(text, assume={"Y": "symmetric positive definite"}, **shapes), "Y")
    free = gs.hessian(gs.parse(text, **shapes), "Y")
    a, b = np.random.default_rng(2).standard_normal((2, 3, 3))
    given = {"Y": a @ a.T + np.eye(3), "b": b[0]} if "b" in text else {"Y": a @ a.T + np.eye(3)}
    found, expected = (gs.evaluate(d.answers["Y"], **given) for d in (known, free))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@each("text, name", FUNCTIONS)
def test_a_product_with_a_vector_needs_no_jacobian(text, name):
    f = read(text)
    product, J = gs.jvp(f, name, "direction").answers[name], gs.jacobian(f, name).answers[name]
    given = values(f)
    move = np.random.default_rng(1).standard_normal(given[name].shape)
    found = gs.evaluate(product, **given, direction=move)
    expected = np.tensordot(gs.evaluate(J, **given), move, axes=move.ndim)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
    assert product.shape == f.shape


@pytest.mark.parametrize(("text", "name"), LOSSES)
def test_a_hessian_vector_product_needs_no_hessian(text, name):
    loss = read(text)
    product, H = gs.hvp(loss, name, "direction").answers[name], gs.hessian(loss, name).answers[name]
    given = values(loss)
    move = np.random.default_rng(1).standard_normal(given[name].shape)
    found = gs.evaluate(product, **given, direction=move)
    expected = np.tensordot(gs.evaluate(H, **given), move, axes=move.ndim)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


TEXTBOOK = [
    ("hessian", "mean((y - relu(X @ w + b))**2)", "w", "2/N*(X.T @ (diag(X @ w + b > 0) @ X))"),
    ("hessian", "sum((X @ w - y)**2)", "w", "2*(X.T @ X)"),
    ("jacobian", "softmax(x)", "x", "diag(softmax(x)) - outer(softmax(x), softmax(x))"),
    ("jacobian", "A @ tanh(A @ x)", "x", "A @ (diag(1 - tanh(A @ x)**2) @ A)"),
    ("jacobian", "w*x", "w", "diag(x)"),
    ("jacobian", "w + x", "x", "eye(d)"),
    ("jacobian", "w - x", "x", "-eye(d)"),
    ("jacobian", "x + t", "t", "ones(d)"),
    ("jacobian", "x*t", "t", "x"),
    ("jacobian", "X @ W", "W", 'einsum("ik,jl->ijkl", X, eye(k))'),
]


@pytest.mark.parametrize(("kind", "text", "name", "expected"), TEXTBOOK)
def test_results_are_those_of_the_textbook(kind, text, name, expected):
    found = getattr(gs, kind)(read(text), name).answers[name]
    assert found is read(expected, text), f"{found}"


def test_blocks_of_a_hessian_with_two_variables():
    loss = read("mean((y - relu(X @ w + b))**2)")
    answers = gs.hessian(loss, ["w", "b"]).answers
    assert list(answers) == ["w", "w, b", "b, w", "b"]
    assert answers["w, b"].shape == answers["b, w"].shape == ("d",)
    given = values(loss)
    np.testing.assert_allclose(gs.evaluate(answers["w, b"], **given), gs.evaluate(answers["b, w"], **given))


@each("text, name", FUNCTIONS)
def test_a_wrong_line_is_noticed(text, name):
    """Twice the form, a form without its sign, a wrong array: the check says so."""
    f = read(text)
    d = gs.jacobian(f, name)
    moving = [change for change in d.changes if change.form is not None]
    for change in moving:
        given = dict(zip(change.by, change.markers, strict=True))
        for wrong in (2 * change.form, -change.form, change.form * (1 + number(1) / 10**7)):
            move = Move("rule", "what", change.part, given, wrong, False)
            assert certify_moves([move], seed=1).verdict is False
    if moving:
        x, J = d.parameters[name], d.answers[name]
        dx = symbol("dx", x.shape)
        wrong = applied(J * (1 + number(1) / 10**7), dx, f.rank)
        assert certify_moves([Move("answer", "what", f, {x: dx}, wrong, True)], seed=1).verdict is False


@each("text, name", [f for f in FUNCTIONS if "0*" not in f[0]])
def test_what_is_read_off_does_what_the_expression_does(text, name):
    """The array of a linear expression, put to work again, is the expression."""
    f = read(text)
    d = gs.jvp(f, name, "direction", certify=False)
    change, v = d.answers[name], d.directions[name]
    network = Network(v)
    J = network.written(network.map(change, {v: network.identity()}))
    known = [*variables(f).values(), v]
    again = belongs(applied(J, v, f.rank), known)
    given = values(again)
    np.testing.assert_allclose(
        gs.evaluate(again, **given), gs.evaluate(belongs(change, known), **given), rtol=1e-11, atol=1e-12
    )


def test_a_deep_network_takes_linear_time_and_space():
    def nodes(depth):
        text = "x"
        for layer in range(depth):
            text = f"tanh(W{layer} @ {text})"
        shapes = {f"W{layer}": "d d" for layer in range(depth)}
        J = gs.jacobian(gs.parse(text, x="d", **shapes), "x", certify=False).answers["x"]
        return sum(1 for _ in walk(J))

    assert nodes(40) < 2.2 * nodes(20)


def test_the_work_for_a_hessian_grows_with_the_depth_and_not_with_its_square():
    def calls(depth):
        """How many calls of functions the Hessian by the first bias takes."""
        h, lines = "x", []
        for i in range(depth):
            lines.append(f"h{i} = tanh(W{i} @ {h} + b{i})")
            h = f"h{i}"
        shapes = {f"W{i}": "d d" for i in range(depth)} | {f"b{i}": "d" for i in range(depth)}
        loss = gs.parse("; ".join([*lines, f"sum(({h} - y)**2)"]), x="d", y="d", **shapes)
        made = cProfile.Profile()
        made.runcall(gs.hessian, loss, "b0", seed=1)
        return sum(entry.callcount for entry in made.getstats())

    few, some, many = map(calls, (3, 6, 12))
    assert many - some < 2.3 * (some - few)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: gs.jacobian("x", "x"), "not text"),
        (lambda: gs.jacobian(gs.parse("x", x="d"), "z"), "no variable z"),
        (lambda: gs.hessian(gs.parse("2*x", x="d"), "x"), "belongs to a number"),
        (lambda: gs.jvp(gs.parse("x + b", x="d", b=""), "x", "b"), "the shape of x"),
        (lambda: gs.jvp(gs.parse("x", x="d"), "x", "1v"), "cannot be a name"),
        (lambda: gs.hvp(gs.parse("x @ w", x="d", w="d"), ["x", "w"], "v"), "takes one variable"),
    ],
)
def test_what_cannot_be_is_said(call, says):
    with pytest.raises(gs.MathError, match=says):
        call()


def test_an_array_that_is_not_the_jacobian_fails_its_check():
    f = read("A @ x")
    d = gs.jacobian(f, "x")
    from gradstep.calculus.forward import Forward
    from gradstep.calculus.laws import BOOK

    forward = Forward([f], [d.parameters["x"]], d.parts, BOOK)
    right = _array_move(f, d.parameters["x"], d.answers["x"], forward, {})
    wrong = replaced(right, form=applied(d.answers["x"].T, forward.marker(d.parameters["x"]), 1))
    assert certify_moves([right], seed=2).verdict is True
    assert certify_moves([wrong], seed=2).verdict is False
