"""Is a penalty on weights the one that is said, whatever the units of the data, and in every formula?"""

import re

import numpy as np
import pytest
from tables import each

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.learn.structure import multiplies
from gradstep.operations.evaluation import mentioned, variables

SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N"}
RANDOM = np.random.default_rng(0)
UNITS = np.array([1.0, 100.0, 0.01])
X = RANDOM.normal(size=(150, 3)) * UNITS + [5.0, 2000.0, 0.0]
Y = X @ [1.0, 0.02, 50.0] + 7 + RANDOM.normal(size=150)
SQUARES = "mean((y - (X @ w + b))**2)"
HIDDEN = {"X": "N d", "W1": "d h", "b1": "h", "W2": "h k", "b2": "k", "w": "k", "b": "", "y": "N"}


def ridge(l2):
    """Weights for features of spread 1, by the normal equations, and the loss there."""
    Z, e = (X - X.mean(axis=0)) / X.std(axis=0), Y - Y.mean()
    v = np.linalg.solve(Z.T @ Z / len(Y) + l2 * np.eye(3), Z.T @ e / len(Y))
    return v, np.mean((e - Z @ v) ** 2) + l2 * v @ v


@pytest.mark.parametrize("l2", [0, 0.1, 1.0])
@pytest.mark.parametrize("optimiser", ["l-bfgs", "levenberg-marquardt", "newton-cg"])
def test_the_penalty_is_that_of_ridge_regression_on_standardised_features(l2, optimiser):
    loss = gs.parse(SQUARES, **SHAPES)
    fit = gs.train(loss, {"X": X, "y": Y}, l2=l2, optimiser=optimiser, tolerance=1e-12)
    v, least = ridge(l2)
    np.testing.assert_allclose(fit.parameters["w"] * X.std(axis=0), v, rtol=1e-6)
    assert fit.loss == pytest.approx(least, rel=1e-11)
    assert "s_w" in str(fit.of) and fit.derivation.certificate.verdict
    assert any("s_w holds the spreads" in note for note in fit.notes)


@pytest.mark.parametrize(
    ("text", "shapes", "sizes"),
    [
        (SQUARES, SHAPES, None),
        ("mean(abs(y - (X @ w + b)))", SHAPES, None),
        ("mean((y - (X @ w + b))**4)", SHAPES, None),
        ("norm(y - (X @ w + b))", SHAPES, None),
        ("mean(softplus(X @ w + b) - (y > 16)*(X @ w + b))", SHAPES, None),
        (
            "mean((y - (tanh(relu(X @ W1 + b1) @ W2 + b2) @ w + b))**2)",
            HIDDEN,
            {"h": 4, "k": 3},
        ),
    ],
)
def test_the_loss_is_the_same_number_in_the_units_of_training_and_in_those_of_the_data(text, shapes, sizes):
    fit = gs.train(gs.parse(text, **shapes), {"X": X, "y": Y}, l2=0.03, sizes=sizes, steps=60)
    assert fit.loss == pytest.approx(fit.descent.loss * fit.coordinates.loss, rel=1e-9)
    assert fit.loss == pytest.approx(gs.evaluate(fit.of, **fit.data, **fit.parameters), rel=1e-12)
    biases = [name for name in fit.parameters if name.startswith("b")]
    penalty = gs.parse(str(fit.of).rpartition("l2*")[2], **{n: v.shape for n, v in variables(fit.of).items()})
    assert set(mentioned(penalty)) & set(fit.parameters) == set(fit.parameters) - set(biases)


def test_the_units_of_the_data_do_not_matter():
    loss = gs.parse("mean((y - relu(X @ w + b))**2)", **SHAPES)
    one = gs.train(loss, {"X": X, "y": Y}, l2=0.2, tolerance=1e-10)
    other = gs.train(loss, {"X": X / UNITS, "y": 1000 * Y}, l2=0.2, tolerance=1e-10)
    np.testing.assert_allclose(other.parameters["w"], 1000 * one.parameters["w"] * UNITS, rtol=1e-4)
    assert other.loss == pytest.approx(1e6 * one.loss, rel=1e-9)


def test_without_standardising_it_is_the_plain_sum_of_squares():
    data = {"X": X / UNITS, "y": Y}
    fit = gs.train(gs.parse(SQUARES, **SHAPES), data, l2=0.1, standardise=False)
    written = gs.train(
        gs.parse(f"{SQUARES} + lam*sum(w**2)", **SHAPES, lam=""), {**data, "lam": 0.1}, ["w", "b"]
    )
    assert str(fit.of) == f"{SQUARES} + l2*sum(w**2)"
    assert fit.loss == pytest.approx(written.loss, rel=1e-6)


def test_variants_with_other_penalties_are_what_they_are_alone():
    loss = gs.parse(SQUARES, **SHAPES)
    found = gs.train(loss, {"X": X, "y": Y}, sweep={"l2": [0, 0.1, 5], "seed": [0, 2]}, holdout=0.2)
    for fit, settings in zip(found, found.settings, strict=True):
        alone = gs.train(loss, {"X": X, "y": Y}, holdout=fit.held_out, **settings)
        assert alone.history == fit.history and np.array_equal(alone.parameters["w"], fit.parameters["w"])
        assert fit.data["l2"] == settings["l2"]
    assert found.judged[0] == "mean squared error on held-out rows"


def test_a_number_called_l2_in_the_formula_is_that_number():
    loss = gs.parse(f"{SQUARES} + l2*sum(abs(w))", **SHAPES, l2="")
    found = gs.train(loss, {"X": X, "y": Y}, ["w", "b"], sweep={"l2": [0.1, -0.001]}, standardise=False)
    assert [fit.of for fit in found] == [loss, loss]
    with pytest.raises(MathError, match="a number l2 of its own"):
        gs.train(loss, {"X": X, "y": Y, "l2": 1.0}, ["w", "b"], l2=0.1)


@pytest.mark.parametrize("l2", [-1, np.nan, np.inf, "much", True, [0.1]])
def test_what_is_no_penalty_says_so(l2):
    loss = gs.parse(SQUARES, **SHAPES)
    for settings in ({"l2": l2}, {"sweep": {"l2": [0.1, l2]}}):
        with pytest.raises(MathError, match="a penalty is a finite number from 0 on"):
            gs.train(loss, {"X": X, "y": Y}, **settings)


def test_there_has_to_be_a_weight():
    with pytest.raises(MathError, match="no weights to penalise") as error:
        gs.train(gs.parse("mean((y - b)**2)", y="N", b=""), {"y": Y}, l2=0.1)
    fit = gs.train(
        gs.parse("mean((y - b)**2)", y="N", b=""), {"y": Y}, **eval(f"dict({error.value.mend.split(',')[0]})")
    )
    assert fit.parameters["b"] == pytest.approx(np.mean(Y) / 1.1)


# ------------------------------------------------------------------------------------------- what is a weight

ROLES = {
    "mean((y - (X @ beta + c))**2)": ["beta"],
    "mean((y - c - X @ beta)**2)": ["beta"],
    "mean((y - (X @ (U @ v) + c))**2)": ["U", "v"],
    "mean((y - (X @ (beta + g) + c + q))**2)": ["beta", "g"],
    "mean((y - a*relu(X @ beta + c) + q)**2)": ["a", "beta"],
    "mean((y - (tanh(X @ U + r) @ (s*t) + c))**2)": ["U", "s", "t"],
    "mean((y - exp(a)*(X @ beta - c))**2)": ["beta"],
    "mean((y - maximum(X @ beta, c))**2)": ["beta"],
    "mean((y - (X @ U.T)[:, 0] / a)**2)": ["U"],
    "mean((y - einsum('ij,j->i', X, beta) - c)**2)": ["beta"],
    "mean((y - take(s, k) - (X @ beta + c))**2) + lam*sum(c**2)": ["s", "beta"],
    "mean((y - X[:, 0]**a - c)**2)": [],
}
SORTS = {
    **{"X": "N d", "y": "N", "k": "N", "lam": "", "beta": "d", "g": "d", "U": "d h", "v": "h", "r": "h"},
    **{"s": "h", "t": "h", "a": "", "c": "", "q": ""},
}


@each("text", ROLES)
def test_a_weight_is_what_multiplies_data_whatever_its_name(text):
    shapes = {**SORTS, **({"U": "h d"} if "U.T" in text else {})}
    loss = gs.parse(
        text, **{name: shape for name, shape in shapes.items() if re.search(rf"\b{name}\b", text)}
    )
    parameters = {n: p for n, p in variables(loss).items() if n not in ("X", "y", "k", "lam")}
    found = [name for name, p in parameters.items() if multiplies(p, loss, ["X", "y", "k"])]
    assert sorted(found) == sorted(ROLES[text])


def test_what_is_penalised_is_said():
    loss = gs.parse("mean((y - (tanh(X @ W + c) @ w + q))**2)", X="N d", W="d 2", c="2", w="2", q="", y="N")
    fit = gs.train(loss, {"X": X, "y": Y}, l2=0.1, steps=3)
    assert "the penalty is on W, w, which multiply data, not on c, q; for features of spread 1: " in str(
        fit.notes
    )
    fit = gs.train(loss, {"X": X, "y": Y}, l2={"w": 0.1, "c": 2}, steps=3, standardise=False)
    assert "the penalty is on w, c, not on W, q" in fit.notes


@each("l2", [{"w": 0.1, "b": 0.3}, {"b": 0.5}, {"w": 0}])
def test_parameters_are_penalised_by_their_names_each_by_its_own_amount(l2):
    fit = gs.train(gs.parse(SQUARES, **SHAPES), {"X": X, "y": Y}, l2=l2, optimiser="l-bfgs", tolerance=1e-13)
    spread = X.std(axis=0) if "b" not in l2 else np.sqrt((X**2).mean(axis=0))
    Z = np.column_stack([X, np.ones(len(X))])
    D = np.diag([*(l2.get("w", 0) * spread**2), l2.get("b", 0)])
    best = np.linalg.solve(Z.T @ Z / len(Y) + D, Z.T @ Y / len(Y))
    np.testing.assert_allclose(gs.evaluate(fit.of, **fit.data, **fit.parameters), fit.loss, rtol=1e-12)
    least = np.mean((Y - Z @ best) ** 2) + best @ D @ best
    assert fit.loss == pytest.approx(least, rel=1e-6)


def test_a_penalty_is_folded_through_weights_that_are_numbers_or_turned():
    for text, shapes in (
        ("mean((y - (x*w + q))**2)", {"x": "N", "w": "", "q": "", "y": "N"}),
        ("mean((Y - (X @ W.T + q))**2)", {"X": "N d", "W": "k d", "q": "k", "Y": "N k"}),
    ):
        data = {"x": X[:, 1], "X": X, "y": Y, "Y": np.column_stack([Y, X[:, 0] - Y, Y**2])}
        given = {name: value for name, value in data.items() if name in shapes}
        fit = gs.train(gs.parse(text, **shapes), given, l2=0.1, steps=200)
        assert fit.loss == pytest.approx(fit.descent.loss * fit.coordinates.loss, rel=1e-9)
        assert fit.converged


@each(
    ("l2", "said"),
    [
        ({"v": 1}, "'v' is penalised, and it is no parameter"),
        ({}, "an empty penalty"),
        ({"w": -1}, "a penalty is a finite number"),
        ({3: 1}, "3 is penalised"),
    ],
)
def test_a_penalty_by_names_that_makes_no_sense_says_so(l2, said):
    with pytest.raises(MathError, match=said):
        gs.train(gs.parse(SQUARES, **SHAPES), {"X": X, "y": Y}, l2=l2)


def test_a_feature_that_lies_too_far_from_zero_is_named():
    far, start = X / UNITS + [0, 0, 1e13], {"w": [1.0, 1.0, 1.0], "b": -1e13}
    with pytest.raises(MathError, match=r"column 2 of X lies 1e\+13 times its spread from zero"):
        gs.train(gs.parse(SQUARES, **SHAPES), {"X": far, "y": (X / UNITS).sum(axis=1)}, start=start)
