"""Is the derivative along the independent entries the slope of the loss inside the structure?"""

from dataclasses import replace

import numpy as np
import pytest

import gradstep as gs
from gradstep.calculus.certificate import certify
from gradstep.calculus.structures import STRUCTURES
from gradstep.expression.errors import MathError

LOSSES = {
    "linear": "trace(A @ X)",
    "quadratic": "trace(X @ A @ X.T)",
    "log det": "logdet(X) + b @ X @ b",
    "entries": "sum(exp(X)*A)",
}
KINDS = pytest.mark.parametrize("kind", STRUCTURES)


def point(kind, n=4):
    """A regular matrix of this kind."""
    i, j = np.indices((n, n))
    numbers = np.random.default_rng(3).standard_normal(2 * n)
    entries = {
        "symmetric": np.sin(1.0 + i * j + i + j),
        "diagonal": np.where(i == j, 1.0, 0.0) * (1.0 + i),
        "toeplitz": numbers[j - i],
        "symmetric toeplitz": numbers[abs(j - i)],
    }
    return entries[kind] + 3 * np.eye(n)


@KINDS
@pytest.mark.parametrize("text", LOSSES.values(), ids=LOSSES)
def test_the_answer_is_the_slope_inside_the_structure(kind, text):
    loss = gs.parse(text, X="n n", A="n n", b="n")
    d = gs.derive(loss, "X", structure={"X": kind})
    assert d.certificate.verdict is True
    X = point(kind)
    n = len(X)
    rng = np.random.default_rng(1)
    values = {"A": rng.standard_normal((n, n)), "b": rng.standard_normal(n)}
    values = {name: value for name, value in values.items() if name in text}
    answer = gs.evaluate(d.answers["X"], X=X, **values)
    assert answer.shape == X.shape
    for moved in np.ndindex(n, n):
        step = 1e-6 * np.array(
            [[STRUCTURES[kind].moves(moved, (k, l)) for l in range(n)] for k in range(n)], float
        )
        slope = (gs.evaluate(loss, X=X + step, **values) - gs.evaluate(loss, X=X - step, **values)) / 2e-6
        assert answer[moved] == pytest.approx(slope, rel=1e-6, abs=1e-6)


@KINDS
def test_a_wrong_answer_is_caught(kind):
    loss = gs.parse("trace(A @ X @ X)", X="n n", A="n n")
    d = gs.derive(loss, "X", structure={"X": kind})
    wrong = [d.structures["X"].gradient, d.answers["X"].T, 2 * d.answers["X"]]
    for answer in wrong[: 3 if kind == "toeplitz" else 1]:
        assert certify(replace(d, answers={"X": answer})).verdict is False


@pytest.mark.parametrize(
    ("text", "kind"), [("sum(abs(X)*A)", "symmetric"), ("sum(sqrt(X**2 + 1)*A)", "toeplitz")]
)
def test_what_the_field_cannot_express_is_checked_all_the_same(text, kind):
    d = gs.derive(gs.parse(text, X="n n", A="n n"), "X", structure={"X": kind})
    assert d.certificate.verdict is True


def test_the_structure_is_told_in_words():
    d = gs.derive(gs.parse("trace(A @ X)", X="n n", A="n n"), "X", structure={"X": "symmetric"})
    told = " ".join(d.text().split())
    assert "G + Gᵀ − G ⊙ I" in told and "are one variable: both slopes count" in told
    assert "independent entries" in d.latex()


@pytest.mark.parametrize("structure", [{"X": "round"}, {"A": "symmetric"}, {"v": "symmetric"}, {"X": 3}])
def test_a_structure_that_cannot_be_is_an_error(structure):
    with pytest.raises(MathError):
        gs.derive(gs.parse("v @ A @ X @ v", X="n n", A="n n", v="n"), ["X", "v"], structure=structure)


@pytest.mark.parametrize("kind", ["toeplitz", "symmetric toeplitz"])
def test_a_toeplitz_derivative_compiles(kind):
    d = gs.derive(gs.parse("u @ X @ v", X="n n", u="n", v="n"), "X", structure={"X": kind})
    given = {"X": np.eye(3), "u": np.arange(3.0), "v": np.array([1.0, 2.0, 4.0])}
    _, found = gs.compile(d)(**given)
    np.testing.assert_allclose(found["X"], gs.evaluate(d.answers["X"], **given))


def test_a_structure_that_is_not_by_name_is_an_error():
    with pytest.raises(gs.MathError, match="given by name"):
        gs.derive(gs.parse("sum(X)", X="n n"), "X", structure="symmetric")
