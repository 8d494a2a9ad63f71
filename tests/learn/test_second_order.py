"""Do the optimisers that know more than the gradient arrive, by our own Jacobians and curvatures?"""

import math

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, Ridge

import gradstep as gs
from gradstep.calculus.lines import line
from gradstep.expression.errors import MathError
from gradstep.learn.descent import descend
from gradstep.learn.knowledge import curvature_of, gauss_newton_of, line_of, residuals_of
from gradstep.learn.objective import compiled, objective
from gradstep.learn.optimisers import OPTIMISERS
from gradstep.learn.scaling import Scaler
from gradstep.learn.squares import squares
from gradstep.learn.training import train
from gradstep.operations.evaluation import mentioned

SECOND = ["l-bfgs", "conjugate gradients", "newton-cg", "levenberg-marquardt"]
SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N", "v": "N", "W": "d k", "Y": "N k", "c": "k", "t": ""}
SIZES = {"N": 7, "d": 3, "k": 2}
LINE = "mean((y - (X @ w + b))**2)"
LOGISTIC = "z = X @ w + b; mean(softplus(z) - y*z)"


def some(text, seed=0):
    """A loss, its derivation, data and parameters at random."""
    loss = gs.parse(text, **SHAPES)
    random = np.random.default_rng(seed)
    arrays = {
        name: np.asarray(random.normal(size=[SIZES[size] for size in shape.split()]))
        for name, shape in SHAPES.items()
    }
    data = {name: arrays.pop(name) for name in "XyvY"}
    data["v"] = np.abs(data["v"])
    used = [name for name in arrays if name in text]
    d = gs.derive(loss, wrt=used)
    return loss, d, data, {name: arrays[name] for name in used}


# ------------------------------------------------------------------------------------------- sums of squares

SQUARES = [
    LINE,
    "sum((y - X @ w)**2)/2",
    "e = y - X @ w; e @ e/N",
    "norm(y - X @ w)**2",
    "mean(norm(Y - X @ W, axis=1)**2)",
    "mean(sum((Y - X @ W)**2, axis=1))",
    "trace((Y - X @ W).T @ (Y - X @ W))",
    "mean(v*(y - X @ w)**2)",
    "mean((y - X @ w)**2/v)",
    "mean(abs(y - tanh(X @ w))**2)",
    "mean((y - X @ w)*(y - X @ w)) + 0.1*sum(w**2) + t**4",
    "mean((y - X @ w)**2) + sum(y**2) - 3",
    "-sum(-(y - X @ w)**2)",
    "sqrt(mean((y - X @ w)**2))**2",
    "(1 - t)**2 + 100*(b - t**2)**2",
    "mean((y - relu(X @ w + b))**2 + t**2)",
    "2*norm(X @ W + c)**2 - norm(W)**2/N + norm(W)**2",
]


@pytest.mark.parametrize("text", SQUARES)
def test_a_sum_of_squares_is_seen_and_is_worth_the_loss(text):
    loss, d, data, at = some(text)
    moved = {name: value + 1 for name, value in at.items()}
    terms = squares(loss, list(d.parameters.values()))

    def worth(values):
        known = {**data, **values}
        pairs = [(gs.evaluate(each.weights, **known), gs.evaluate(each.residual, **known)) for each in terms]
        return sum(np.sum(weights * r**2) for weights, r in pairs)

    change = gs.evaluate(loss, **data, **moved) - gs.evaluate(loss, **data, **at)
    assert change == pytest.approx(worth(moved) - worth(at), rel=1e-10)


@pytest.mark.parametrize("text", SQUARES)
def test_residuals_and_their_jacobian_give_the_gradient(text):
    """∂C/∂w = 2 Jᵀr."""
    _, d, data, at = some(text)
    _, gradients = objective(compiled(d), data)(at)
    r, J = residuals_of(d, data, at).at(at)
    whole = np.concatenate([np.ravel(gradients[name]) for name in at])
    assert np.allclose(2 * J.T @ r, whole, rtol=1e-9, atol=1e-12)


NO_SQUARES = {
    LOGISTIC: r"softplus\(X @ w \+ b\) is no square",
    "mean(abs(y - X @ w))": r"abs\(y - X @ w\) is no square",
    "mean((y - X @ w)**3)": r"\(y - X @ w\)\*\*3 is no square",
    "mean((y - X @ w)**2) - sum(w**2)": "one is subtracted",
    "sqrt(mean((y - X @ w)**2))": "is no square",
}


@pytest.mark.parametrize("text", NO_SQUARES)
def test_what_is_no_sum_of_squares_is_refused_by_name(text):
    loss, d, data, _ = some(text)
    with pytest.raises(MathError, match=NO_SQUARES[text]) as error:
        train(loss, {name: data[name] for name in "Xy"}, d.wrt, optimiser="levenberg-marquardt")
    assert error.value.mend.startswith('optimiser="l-bfgs"')


# ------------------------------------------------------------------------------------------- curvature

CURVED = [
    LINE,
    LOGISTIC + " + 0.1*sum(w**2)",
    "Z = X @ W + c; mean(logsumexp(Z, axis=1) - sum(Y*Z, axis=1)) + sum(c**4)",
    "mean((y - tanh(X @ W + c) @ c*t)**2)",
    "mean(exp(X @ w) - y*(X @ w)) + b**2*t",
]


@pytest.mark.parametrize("text", CURVED)
def test_the_curvature_is_how_the_gradient_moves(text):
    _, d, data, at = some(text)
    measured, random = objective(compiled(d), data), np.random.default_rng(1)
    v = {name: random.normal(size=value.shape) for name, value in at.items()}
    product = curvature_of(d, data).at(at)(v)
    ahead, behind = (
        measured({name: value + h * v[name] for name, value in at.items()})[1] for h in (1e-5, -1e-5)
    )
    for name, Hv in product.items():
        assert np.allclose(Hv, (ahead[name] - behind[name]) / 2e-5, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("text", [LINE, "mean((y - tanh(X @ W + c) @ c*t)**2) + t**2", "norm(Y - X @ W)**2"])
def test_the_product_of_gauss_and_newton_is_that_of_the_jacobian(text):
    _, d, data, at = some(text)
    random = np.random.default_rng(1)
    v = {name: random.normal(size=value.shape) for name, value in at.items()}
    _, J = residuals_of(d, data, at).at(at)
    found = gauss_newton_of(d, data).at(at)(v)
    along, whole = (np.concatenate([np.ravel(each[name]) for name in at]) for each in (v, found))
    assert np.allclose(whole, 2 * J.T @ (J @ along), rtol=1e-9, atol=1e-12)


def test_a_parabola_is_known_from_its_derivation():
    constant = {text: curvature_of(*some(text)[1:3]).constant for text in (LINE, LOGISTIC)}
    assert constant == {LINE: True, LOGISTIC: False}
    bent = "mean((y - tanh(X @ w + b))**2)"
    straight = {text: residuals_of(*some(text)[1:]).constant for text in (LINE, bent)}
    assert straight == {LINE: True, bent: False}


# ------------------------------------------------------------------------------------------- lines


@pytest.mark.parametrize("text", [*CURVED, "mean((y - relu(X @ w + b))**2)", "sum(w**2)*b + t*mean(X @ w)"])
def test_along_a_line_the_loss_is_the_loss(text):
    """Its value, its slope ⟨∂C/∂w, v⟩ and its curvature ⟨v, H v⟩ at every place of the line."""
    _, d, data, at = some(text)
    measured, curvature, random = (
        objective(compiled(d), data),
        curvature_of(d, data),
        np.random.default_rng(1),
    )
    v = {name: random.normal(size=value.shape) for name, value in at.items()}
    along = line_of(d, data)(at, v)
    for t in (0.0, 0.3, -2.0):
        there = {name: value + t * v[name] for name, value in at.items()}
        (value, gradients), product = measured(there), curvature.at(there)(v)
        slope = sum(np.vdot(v[name], gradients[name]) for name in v)
        bend = sum(np.vdot(v[name], product[name]) for name in v)
        assert along(t) == pytest.approx((value, slope, bend), rel=1e-9, abs=1e-9)


def test_what_is_straight_is_worked_out_once_for_a_line():
    """The features are not in the formulas along the line."""
    for text in CURVED[:3]:
        loss, d, _, _ = some(text)
        found = line(loss, d.wrt)
        assert "X" not in mentioned(found.value, found.slope, found.bend)
        assert "X" in mentioned(*found.ends.values())


@pytest.mark.parametrize("features", [2, 5, 9])
def test_conjugate_gradients_end_in_as_many_steps_as_there_are_dimensions(features):
    random = np.random.default_rng(features)
    X, y = random.normal(size=(40, features)), random.normal(size=40)
    loss = gs.parse("mean((y - X @ w)**2)", X="N d", w="d", y="N")
    fit = train(
        loss,
        {"X": X, "y": y},
        optimiser="conjugate gradients",
        standardise=False,
        tolerance=0,
        steps=features,
    )
    assert np.allclose(fit.parameters["w"], np.linalg.lstsq(X, y)[0], rtol=1e-6)


# ------------------------------------------------------------------------------------------- it arrives

DIABETES = load_diabetes()
CANCER = load_breast_cancer()
FEATURES = Scaler.fit(CANCER.data).apply(CANCER.data)


@pytest.mark.parametrize("optimiser", SECOND)
def test_ridge_regression_agrees_with_scikit_learn(optimiser):
    X, y = DIABETES.data * 20, DIABETES.target
    loss = gs.parse(LINE + " + 0.01*(w @ w)", X="N d", w="d", b="", y="N")
    fit = train(loss, {"X": X, "y": y}, optimiser=optimiser, tolerance=1e-10)
    theirs = Ridge(alpha=0.01 * len(y), tol=1e-12).fit(X, y)
    assert fit.converged and np.allclose(fit.parameters["w"], theirs.coef_, rtol=1e-4)
    assert fit.steps <= {"l-bfgs": 60, "conjugate gradients": 11}.get(optimiser, 3)


@pytest.mark.parametrize("optimiser", SECOND[:3])
def test_logistic_regression_agrees_with_scikit_learn(optimiser):
    loss = gs.parse(LOGISTIC + " + 0.001*(w @ w)", X="N d", w="d", b="", y="N")
    fit = train(loss, {"X": FEATURES, "y": CANCER.target}, optimiser=optimiser)
    theirs = LogisticRegression(C=1 / (0.002 * len(FEATURES)), tol=1e-10, max_iter=5000).fit(
        FEATURES, CANCER.target
    )
    lowest = gs.evaluate(loss, X=FEATURES, y=CANCER.target, w=theirs.coef_[0], b=theirs.intercept_[0])
    assert fit.converged and fit.loss <= lowest * (1 + 1e-6)


def test_softmax_regression_in_few_steps_of_newton():
    X, y = load_digits(return_X_y=True)
    text = "Z = X @ W + b; mean(logsumexp(Z, axis=1) - sum(Y*Z, axis=1)) + 0.001*sum(W**2)"
    loss = gs.parse(text, X="N d", W="d k", b="k", Y="N k")
    fit = train(loss, {"X": X[:600] / 16, "Y": np.eye(10)[y[:600]]}, optimiser="newton-cg")
    assert fit.converged and fit.steps <= 12 and fit.descent.gradient_norm < 1e-4


@pytest.mark.parametrize("optimiser", SECOND)
def test_a_curved_valley_is_walked_to_its_end(optimiser):
    """Rosenbrock's function."""
    _, d, _, _ = some("(1 - t)**2 + 100*(b - t**2)**2")
    start = {"t": np.array(-1.2), "b": np.array(1.0)}
    got = descend(
        objective(compiled(d), {}),
        start,
        optimiser=optimiser,
        curvature=curvature_of(d, {}),
        residuals=residuals_of(d, {}, start),
        line=line_of(d, {}),
    )
    assert got.converged and got.steps < 60
    assert got.parameters["t"] == pytest.approx(1, abs=1e-4) == got.parameters["b"]


def test_large_jacobians_are_not_written_out(monkeypatch):
    monkeypatch.setattr("gradstep.learn.knowledge.MOST_COLUMNS", 3)
    loss = gs.parse("mean((y - tanh(X @ w + b))**2)", X="N d", w="d", b="", y="N")
    data = {"X": FEATURES[:, :8], "y": CANCER.target}
    without = train(loss, data, optimiser="levenberg-marquardt", standardise=False)
    monkeypatch.undo()
    with_it = train(loss, data, optimiser="levenberg-marquardt", standardise=False)
    assert any("products with vectors" in note for note in without.notes)
    assert without.loss == pytest.approx(with_it.loss, rel=1e-5)


# ------------------------------------------------------------------------------------------- it is safe


@pytest.mark.parametrize("optimiser", SECOND)
def test_overflow_on_the_way_is_a_step_too_long(optimiser):
    x = np.linspace(0, 30, 40)
    loss = gs.parse("mean((y - exp(-a*x))**2)", a="", x="N", y="N")
    fit = train(loss, {"x": x, "y": np.exp(-0.3 * x)}, optimiser=optimiser, start={"a": -5.0}, tolerance=0)
    assert fit.parameters["a"] == pytest.approx(0.3, rel=1e-6)


@pytest.mark.parametrize("settings", [{"learning_rate": 0.1}, {"batch": 8}])
@pytest.mark.parametrize("optimiser", SECOND)
def test_what_they_choose_themselves_cannot_be_given(optimiser, settings):
    loss = gs.parse(LINE, X="N d", w="d", b="", y="N")
    with pytest.raises(MathError, match=f"{optimiser} (chooses its steps|needs all rows)"):
        train(loss, {"X": DIABETES.data, "y": DIABETES.target}, optimiser=optimiser, **settings)


@pytest.mark.parametrize("optimiser", SECOND)
def test_ctrl_c_and_the_same_bits(optimiser):
    def stop(step, steps, loss):
        if step == 2:
            raise KeyboardInterrupt

    loss = gs.parse("mean((y - tanh(X @ w + b))**2)", X="N d", w="d", b="", y="N")
    data = {"X": FEATURES, "y": CANCER.target}
    one, two = (train(loss, data, optimiser=optimiser, progress=stop) for _ in range(2))
    assert one.stopped == "interrupted" and one.steps == 2 and one.loss < one.history[0]
    assert one.history == two.history


@pytest.mark.parametrize("optimiser", SECOND)
@pytest.mark.parametrize("scale", [1e-6, 1, 1e60])
def test_the_unit_of_the_target_does_not_matter(optimiser, scale):
    X, y = DIABETES.data, DIABETES.target
    loss = gs.parse("mean((y - X @ w)**2) + 0*sum(w**2)", X="N d", w="d", y="N")
    fit = train(loss, {"X": X, "y": y * scale}, optimiser=optimiser, standardise=False)
    w = np.linalg.lstsq(X, y)[0]
    assert fit.loss / scale**2 == pytest.approx(np.mean((y - X @ w) ** 2), rel=1e-4)


def test_what_a_walk_needs_is_named():
    def bowl(p):
        return p["u"] ** 2, {"u": 2 * p["u"]}

    for optimiser, each in OPTIMISERS.items():
        if each.needs != "gradient":
            with pytest.raises(MathError, match=f"{optimiser} needs the {each.needs}"):
                descend(bowl, {"u": 1.0}, optimiser=optimiser)
    assert math.isclose(descend(bowl, {"u": 1.0}, optimiser="l-bfgs").loss, 0, abs_tol=1e-12)
