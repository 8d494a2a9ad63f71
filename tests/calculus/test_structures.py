"""Is the derivative along the independent entries the slope of the loss inside the structure?"""

from dataclasses import replace

import numpy as np
import pytest

import gradstep as gs
from gradstep.calculus.certificate import certify
from gradstep.calculus.moves import Move, certify_moves
from gradstep.calculus.networks import applied
from gradstep.calculus.structures import STRUCTURES
from gradstep.expression.errors import MathError
from gradstep.operations.leaves import symbol

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
    ("text", "kind"),
    [
        ("sum(abs(X)*A)", "symmetric"),
        ("sum(sqrt(X**2 + 1)*A)", "toeplitz"),
        ("sum(abs(X)**3*A)", "symmetric"),
    ],
)
def test_what_the_field_cannot_express_is_checked_all_the_same(text, kind):
    d = gs.derive(gs.parse(text, X="n n", A="n n"), "X", structure={"X": kind})
    assert d.certificate.verdict is True
    assert certify(replace(d, answers={"X": 2 * d.answers["X"]})).verdict is False


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


@KINDS
def test_a_unit_becomes_the_direction_in_which_its_entry_moves(kind):
    D = gs.parse("D", D="n n")
    found = STRUCTURES[kind].gradient(D)
    for moved in np.ndindex(3, 3):
        unit = np.zeros((3, 3))
        unit[moved] = 1
        moves = [[STRUCTURES[kind].moves(moved, (k, l)) for l in range(3)] for k in range(3)]
        if moves[moved[0]][moved[1]]:
            np.testing.assert_array_equal(gs.evaluate(found, D=unit), np.array(moves, float))


def slopes(f, wrt, kind, at):
    """Central differences of `f` along the independent entries of `wrt`, in the shape of a Jacobian."""
    n = len(at[wrt])
    columns = []
    for moved in np.ndindex(n, n):
        step = 1e-5 * np.array(
            [[STRUCTURES[kind].moves(moved, (k, l)) for l in range(n)] for k in range(n)], float
        )
        up, down = ({**at, wrt: at[wrt] + sign * step} for sign in (1, -1))
        columns.append((np.asarray(f(up)) - np.asarray(f(down))) / 2e-5)
    return np.moveaxis(np.array(columns), 0, -1).reshape(*np.shape(columns[0]), n, n)


@KINDS
@pytest.mark.parametrize("text", ["X @ b", "inv(X)", "diagonal_sums(X @ A)", "b @ X @ X @ b"])
def test_a_jacobian_holds_the_slopes_inside_the_structure(kind, text):
    f = gs.parse(text, X="n n", A="n n", b="n")
    d = gs.jacobian(f, "X", structure={"X": kind}, seed=1)
    assert d.certificate.verdict is True
    at = {"X": point(kind, 3), "A": np.arange(9.0).reshape(3, 3), "b": np.array([1.0, -2.0, 0.5])}
    at = {name: value for name, value in at.items() if name in text}
    wanted = slopes(lambda values: gs.evaluate(f, **values), "X", kind, at)
    np.testing.assert_allclose(gs.evaluate(d.answers["X"], **at), wanted, rtol=1e-6, atol=1e-6)


@KINDS
def test_a_hessian_holds_the_second_slopes_inside_the_structure(kind):
    loss = gs.parse("trace(X @ A @ X @ X) + b @ X @ b", X="n n", A="n n", b="n")
    d = gs.hessian(loss, ["X", "b"], structure={"X": kind}, seed=1)
    assert d.certificate.verdict is True
    at = {"X": point(kind, 3), "A": np.arange(9.0).reshape(3, 3), "b": np.array([1.0, -2.0, 0.5])}
    along = gs.derive(loss, ["X", "b"], structure={"X": kind}, certify=False).answers
    for name, key in (("X", "X"), ("b", "b, X")):
        wanted = slopes(lambda values, name=name: gs.evaluate(along[name], **values), "X", kind, at)
        np.testing.assert_allclose(gs.evaluate(d.answers[key], **at), wanted, rtol=1e-6, atol=1e-6)
    told = " ".join(d.text().split())
    assert STRUCTURES[kind].rule in told


@KINDS
def test_a_wrong_array_is_caught(kind):
    f = gs.parse("X @ b", X="n n", b="n")
    J = gs.jacobian(f, "X", structure={"X": kind}).answers["X"]
    D = gs.parse("D", D="n n")
    for answer, verdict in ((J, True), (2 * J, False), (gs.jacobian(f, "X").answers["X"], False)):
        move = Move(
            "", "", f, {symbol("X", "n n"): STRUCTURES[kind].gradient(D)}, applied(answer, D, 1), True
        )
        assert certify_moves([move], seed=1).verdict is verdict


@pytest.mark.parametrize("derived", [gs.jacobian, gs.hessian])
def test_a_structure_of_an_array_is_checked_too(derived):
    with pytest.raises(MathError, match="does not know the structure"):
        derived(gs.parse("b @ X @ b", X="n n", b="n"), "X", structure={"X": "round"})


def test_an_array_along_a_structure_that_the_field_cannot_express_is_checked():
    f = gs.parse("sum(abs(X)*A, axis=0)", X="n n", A="n n")
    certificate = gs.jacobian(f, "X", structure={"X": "symmetric"}).certificate
    assert certificate.verdict is True
