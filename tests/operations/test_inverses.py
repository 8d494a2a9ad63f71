"""Are inverses, determinants and solutions differentiated as in the textbook, and refused where singular?"""

import numpy as np
import pytest

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.operations.evaluation import variables
from gradstep.operations.inverses import inv_op, solve_op

LOSSES = {
    "inverse": ("trace(A @ inv(X) @ B)", "X"),
    "entries of the inverse": ("sum(sin(inv(X))**2)", "X"),
    "determinant": ("det(X.T @ A @ X)", "X"),
    "rectangular determinant": ("det(Y.T @ Y)", "Y"),
    "rectangular log det": ("logdet(Y.T @ A @ Y)", "Y"),
    "log det": ("logdet(A + X @ X.T)", "X"),
    "solution, matrix": ("sum(solve(X, b)**2)", "X"),
    "solution, right side": ("b @ solve(A.T, c*b)", "b"),
    "solution of a matrix": ("sum(solve(X, Y)*Y)", "X"),
    "power": ("sum(matrix_power(X, 3)*A)", "X"),
    "negative power": ("b @ matrix_power(X, -2) @ b", "X"),
    "Gaussian": ("-0.5*(b - m) @ inv(X) @ (b - m) - 0.5*logdet(X)", "X"),
}
SHAPES = {"A": "n n", "B": "n n", "X": "n n", "Y": "n k", "b": "n", "m": "n", "c": ""}


def drawn(loss, seed, n=4, k=3):
    rng = np.random.default_rng(seed)
    sizes = {"n": n, "k": k}
    values = {}
    for name, declared in SHAPES.items():
        shape = [sizes[s] for s in declared.split()]
        value = rng.standard_normal(shape)
        values[name] = value + 3 * np.eye(n) if shape == [n, n] else value
    return {name: value for name, value in values.items() if name in variables(loss)}


@pytest.mark.parametrize(("text", "wrt"), LOSSES.values(), ids=LOSSES)
def test_gradients_agree_with_central_differences_and_with_code(text, wrt):
    loss = gs.parse(text, **SHAPES)
    d = gs.derive(loss, wrt)
    assert d.certificate.verdict is True and d.certificate.floating == 0
    compiled = gs.compile(d)
    for seed, n in ((0, 4), (1, 5)):
        values = drawn(loss, seed, n)
        gradient = gs.evaluate(d.answers[wrt], **values)
        value, coded = compiled(**values)
        assert value == pytest.approx(gs.evaluate(loss, **values), rel=1e-10)
        np.testing.assert_allclose(coded[wrt], gradient, rtol=1e-8, atol=1e-9)
        for place in np.ndindex(gradient.shape):
            step = np.zeros(gradient.shape)
            step[place] = 1e-5
            there, here = (gs.evaluate(loss, **{**values, wrt: values[wrt] + s * step}) for s in (1, -1))
            assert gradient[place] == pytest.approx((there - here) / 2e-5, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(
    ("op", "text", "wrong"),
    [
        (inv_op, "trace(A @ inv(X))", lambda G, y, args: (-(y @ G @ y),)),
        (inv_op, "trace(A @ inv(X))", lambda G, y, args: (y.T @ G @ y.T,)),
        (solve_op, "b @ solve(X, m)", lambda G, y, args: (-gs.outer(y, inv_op(args[0]).T @ G), G)),
    ],
    ids=["a lost transpose", "a lost sign", "the wrong way round"],
)
def test_a_wrong_rule_is_caught_by_the_certificate(op, text, wrong):
    right = op.adjoint
    object.__setattr__(op, "adjoint", wrong)
    try:
        with pytest.raises(MathError, match="failed its own check"):
            gs.derive(gs.parse(text, **SHAPES), "X")
    finally:
        object.__setattr__(op, "adjoint", right)


@pytest.mark.parametrize("text", ["inv(X)", "solve(X, b)", "matrix_power(X, -1)"])
@pytest.mark.parametrize("X", [np.ones((3, 3)), np.arange(9.0).reshape(3, 3), np.zeros((3, 3))])
def test_a_singular_matrix_is_an_error_in_words(text, X):
    f = gs.parse(text, X="n n", b="n")
    b = {"b": np.ones(3)} if "b" in text else {}
    with pytest.raises(MathError, match="singular"):
        gs.evaluate(f, X=X, **b)
    if not X.any():
        with pytest.raises(MathError, match="singular"):
            gs.evaluate(gs.parse("logdet(X)", X="n n"), X=X)
        with pytest.raises(MathError, match="singular"):
            gs.compile(f)(X=X, **b)


@pytest.mark.parametrize(
    "text",
    ["inv(Y)", "det(b)", "logdet(Y)", "solve(Y, b)", "solve(X, c)", "matrix_power(Y, 2)"]
    + [f"matrix_power(X, {k})" for k in ("0.5", "100", "c")],
)
def test_what_does_not_fit_is_an_error(text):
    with pytest.raises(MathError):
        gs.parse(text, **SHAPES)


def test_easy_powers_are_written_easily():
    X = gs.parse("X", X="n n")
    assert gs.matrix_power(X, 0) is gs.eye("n")
    assert gs.matrix_power(X, 1) is X
    assert gs.matrix_power(X, -1) is gs.inv(X)


def test_how_they_are_written():
    shown = gs.derive(gs.parse("logdet(X) + b @ matrix_power(X, -2) @ b", **SHAPES), "X").text()
    assert "log|det X|" in shown and "X⁻²" in shown and "X⁻ᵀ" in shown


@pytest.mark.parametrize("view", ["matrix", "sample", "index"])
@pytest.mark.parametrize("style", ["partials", "differential"])
def test_every_view_tells_it(view, style):
    for text, wrt in LOSSES.values():
        assert gs.derive(gs.parse(text, **SHAPES), wrt).text(view=view, style=style)


def test_an_inverse_that_is_used_once_is_a_solution_in_code():
    once = gs.compile(gs.parse("b @ inv(X) @ (A @ b)", **SHAPES)).source
    assert "np.linalg.solve" in once and "np.linalg.inv" not in once
    often = gs.compile(gs.derive(gs.parse("trace(A @ inv(X))", **SHAPES), "X")).source
    assert often.count("np.linalg.inv") == 1


def test_an_inverse_has_a_name_where_it_occurs_again_and_again():
    d = gs.derive(gs.parse("trace(inv(X.T @ B @ X) @ A)", **SHAPES), "X")
    assert d.names[gs.parse("inv(X.T @ B @ X)", **SHAPES)] == "M"
