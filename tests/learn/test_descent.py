"""Does a descent arrive, never end higher than it began, and say what happened?"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import datasets as sklearn_datasets
from sklearn.linear_model import Lasso, LogisticRegression

from gradstep import datasets
from gradstep.expression.errors import MathError
from gradstep.learn.descent import descend, progress_bar, start_parameters
from gradstep.learn.encoding import Scaler
from gradstep.learn.optimisers import OPTIMISERS, RULES
from gradstep.learn.progress import sparkline

RATED = [rule.name for rule in RULES]
SLOPE_ALONE = [name for name, each in OPTIMISERS.items() if each.needs == "gradient"]

# --- Losses with gradients written by hand. ---


def line(X, y):
    """Mean squared error of a straight line."""

    def loss(p):
        e = X @ p["w"] + p["b"] - y
        return e @ e / len(y), {"w": 2 / len(y) * X.T @ e, "b": 2 * e.mean()}

    return loss, {"w": np.zeros(X.shape[1]), "b": 0.0}


def neuron(X, y):
    """Mean squared error of max(0, w·x + b)."""

    def loss(p):
        z = X @ p["w"] + p["b"]
        e = y - np.maximum(z, 0)
        dz = -2 / len(y) * e * (z > 0)
        return e @ e / len(y), {"w": X.T @ dz, "b": dz.sum()}

    return loss, start_parameters({"w": (X.shape[1],), "b": ()})


def logistic(X, y, penalty):
    """Mean logistic loss, with penalty·|w|²."""
    sign = 2 * y - 1

    def loss(p):
        m = sign * (X @ p["w"] + p["b"])
        dm = -sign * np.exp(-np.logaddexp(0, m)) / len(y)
        value = np.logaddexp(0, -m).mean() + penalty * p["w"] @ p["w"]
        return value, {"w": X.T @ dm + 2 * penalty * p["w"], "b": dm.sum()}

    return loss, {"w": np.zeros(X.shape[1]), "b": 0.0}


def softmax(X, Y, penalty=0.0):
    """Mean cross-entropy of a softmax layer, with penalty·|W|²."""

    def loss(p):
        Z = X @ p["W"] + p["b"]
        Z = Z - Z.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(Z).sum(axis=1, keepdims=True))
        D = (np.exp(Z - log_sum) - Y) / len(Y)
        value = (log_sum[:, 0] - (Y * Z).sum(axis=1)).mean() + penalty * (p["W"] ** 2).sum()
        return value, {"W": X.T @ D + 2 * penalty * p["W"], "b": D.sum(axis=0)}

    return loss, {"W": np.zeros((X.shape[1], Y.shape[1])), "b": np.zeros(Y.shape[1])}


def perceptron(X, y, hidden, seed=0):
    """Mean squared error of a ReLU perceptron with one hidden layer."""

    def loss(p):
        Z = X @ p["W1"] + p["b1"]
        H = np.maximum(Z, 0)
        e = H @ p["w2"] + p["b2"] - y
        da = 2 / len(y) * e
        dZ = np.outer(da, p["w2"]) * (Z > 0)
        return e @ e / len(y), {"W1": X.T @ dZ, "b1": dZ.sum(axis=0), "w2": H.T @ da, "b2": da.sum()}

    return loss, start_parameters(
        {"W1": (X.shape[1], hidden), "b1": (hidden,), "w2": (hidden,), "b2": ()}, seed
    )


def absolute(X, y):
    """Mean absolute error of a straight line: kinks everywhere."""

    def loss(p):
        e = X @ p["w"] + p["b"] - y
        s = np.sign(e) / len(y)
        return np.abs(e).mean(), {"w": X.T @ s, "b": s.sum()}

    return loss, {"w": np.zeros(X.shape[1]), "b": 0.0}


def table(name):
    data = getattr(sklearn_datasets, f"load_{name}")()
    return Scaler.fit(data.data).apply(data.data), data.target.astype(float)


def least_squares(X, y):
    """The lowest mean squared error of a straight line."""
    A = np.column_stack([X, np.ones(len(y))])
    e = A @ np.linalg.lstsq(A, y)[0] - y
    return e @ e / len(y)


YEAR, ENERGY = datasets.iowa()
IOWA = Scaler.fit(YEAR[:, None])
IOWA_NEURON, _ = neuron(IOWA.apply(YEAR[:, None]), ENERGY)
DIABETES = table("diabetes")
CANCER = table("breast_cancer")


def bowl(p):
    """A small quadratic: (u − 3)² + 10 (v + 1)²."""
    return (p["u"] - 3) ** 2 + 10 * (p["v"] + 1) ** 2, {"u": 2 * (p["u"] - 3), "v": 20 * (p["v"] + 1)}


BOWL_START = {"u": 0.0, "v": 0.0}


# --- It arrives. ---


@pytest.mark.parametrize("optimiser", SLOPE_ALONE)
def test_least_squares_on_ten_features(optimiser):
    got = descend(*line(*DIABETES), optimiser=optimiser)
    assert got.converged
    assert got.loss <= least_squares(*DIABETES) * (1 + 1e-5)
    assert got.steps < 400


def test_least_squares_on_thirty_correlated_features():
    X, y = CANCER
    got = descend(*line(X, y))
    assert got.converged and got.steps < 1500
    assert got.loss <= least_squares(X, y) * (1 + 1e-4)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_the_target_does_not_matter(unit):
    X, y = DIABETES
    got = descend(*line(X, unit * y))
    assert got.converged and got.steps < 150
    assert got.loss <= least_squares(X, unit * y) * (1 + 1e-5)


@pytest.mark.parametrize("optimiser", ["gradient descent", "adam", "l-bfgs"])
def test_logistic_regression_agrees_with_scikit_learn(optimiser):
    X, y = CANCER
    penalty = 1e-3
    loss, start = logistic(X, y, penalty)
    theirs = LogisticRegression(C=1 / (2 * penalty * len(y)), tol=1e-10, max_iter=5000).fit(X, y)
    lowest, _ = loss({"w": theirs.coef_[0], "b": theirs.intercept_[0]})
    got = descend(loss, start, optimiser=optimiser)
    assert got.converged and got.loss <= lowest * (1 + 1e-5)


def test_softmax_regression_agrees_with_scikit_learn():
    X, y = table("digits")
    penalty = 1e-3
    loss, start = softmax(X, np.eye(10)[y.astype(int)], penalty)
    theirs = LogisticRegression(C=1 / (2 * penalty * len(y)), tol=1e-8, max_iter=5000).fit(X, y)
    lowest, _ = loss({"W": theirs.coef_.T, "b": theirs.intercept_})
    got = descend(loss, start)
    assert got.converged and got.steps < 200 and got.loss <= lowest * (1 + 1e-5)


def test_separable_classes_do_not_run_away():
    X, y = table("wine")
    got = descend(*softmax(X, np.eye(3)[y.astype(int)]))
    assert got.loss < 1e-6
    assert all(np.isfinite(value).all() for value in got.parameters.values())


@pytest.mark.parametrize("seed", range(3))
def test_a_perceptron_beats_the_straight_line(seed):
    X, y = DIABETES
    got = descend(*perceptron(X, y, 8, seed), steps=300)
    assert got.loss < 0.95 * least_squares(X, y)


@pytest.mark.parametrize("seed", range(5))
def test_the_neuron_finds_the_straight_line_where_it_is_best(seed):
    X, y = DIABETES
    loss, _ = neuron(X, y)
    got = descend(loss, start_parameters({"w": (10,), "b": ()}, seed))
    assert got.converged and got.loss <= least_squares(X, y) * (1 + 1e-5)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("rate", "lowest"), [(None, 1.3164), (0.05, 1.3224), (0.1, 1.3224), (0.5, 1.3224)])
def test_the_neuron_on_iowa(seed, rate, lowest):
    """Two lowest points: with three or with four of the early years off (z ≤ 0)."""
    got = descend(IOWA_NEURON, start_parameters({"w": (1,), "b": ()}, seed), learning_rate=rate)
    assert got.converged and got.loss == pytest.approx(lowest, abs=2e-4)
    w, b = IOWA.fold(got.parameters["w"], got.parameters["b"])
    a = np.maximum(YEAR * w[0] + b, 0)
    assert np.mean((ENERGY - a) ** 2) == pytest.approx(got.loss, rel=1e-9)
    assert least_squares(YEAR[:, None], ENERGY) == pytest.approx(2.902, abs=1e-3)


@pytest.mark.parametrize("optimiser", SLOPE_ALONE)
def test_the_absolute_error_in_spite_of_its_kinks(optimiser):
    X, y = DIABETES
    got = descend(*absolute(X, y), optimiser=optimiser)
    assert got.loss < 43.0415 * 1.001  # 43.0415 by linear programming


def test_a_penalty_with_kinks():
    X, y = DIABETES
    smooth, start = line(X, y)

    def loss(p):
        value, gradients = smooth(p)
        return value + 40 * np.abs(p["w"]).sum(), {**gradients, "w": gradients["w"] + 40 * np.sign(p["w"])}

    theirs = Lasso(alpha=20, tol=1e-8).fit(X, y)
    lowest, _ = loss({"w": theirs.coef_, "b": theirs.intercept_})
    assert descend(loss, start).loss <= lowest * 1.001


# --- It never ends higher than it began: finite and not worse, or a named error. ---

MATRICES = arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.floats(-1e6, 1e6))


@settings(max_examples=50)
@given(
    MATRICES,
    st.integers(0, 9),
    st.sampled_from([line, neuron, absolute]),
    st.one_of(
        st.tuples(st.sampled_from(SLOPE_ALONE), st.none()),
        st.tuples(st.sampled_from(RATED), st.sampled_from([1e-12, 1e-3, 0.1, 10.0, 1e30])),
    ),
)
def test_the_promise(X, seed, family, way):
    optimiser, rate = way
    y = np.random.default_rng(seed).normal(size=len(X)) * 10.0 ** (seed - 3)
    loss, start = family(X, y)
    try:
        got = descend(loss, start, optimiser=optimiser, learning_rate=rate, steps=60)
    except MathError as error:
        assert rate is not None
        assert f"learning rate {rate:g}" in str(error) and "learning_rate=" in str(error)
        return
    value, _ = loss(got.parameters)
    before, _ = loss(start)
    assert math.isfinite(value) and value <= before and value == got.loss
    assert all(np.isfinite(part).all() for part in got.parameters.values())
    assert got.history[0] == before and min(got.history) == got.loss == got.history[got.best_step]
    assert len(got.history) == got.steps + 1 == len(got.rates) + 1
    assert got.converged == (got.stopped == "converged")


def test_a_rate_that_is_too_large_names_a_good_one():
    loss, start = line(*DIABETES)
    for optimiser in ("gradient descent", "momentum"):
        with pytest.raises(MathError) as caught:
            descend(loss, start, optimiser=optimiser, learning_rate=5)
        rate = float(caught.value.mend.removeprefix("learning_rate=").partition(",")[0])
        safe = [fact for fact in caught.value.facts if "curvature" in fact]
        assert safe and rate < 5
        assert (
            descend(loss, start, optimiser=optimiser, learning_rate=rate).loss
            <= least_squares(*DIABETES) * 1.01
        )


def test_the_largest_safe_rate_is_two_over_the_curvature():
    with pytest.raises(MathError, match=r"curvature of the loss is up to 20: rates below 0\.1 are safe"):
        descend(bowl, BOWL_START, learning_rate=0.11)
    assert descend(bowl, BOWL_START, learning_rate=0.09).converged


def test_a_loss_without_a_lowest_point():
    def slide(p):
        return -(p["u"] ** 2), {"u": -2 * p["u"]}

    def slope(p):
        return p["u"], {"u": 1.0}

    for loss in (slide, slope):
        with pytest.raises(MathError, match="without bound"):
            descend(loss, {"u": 1.0})


def test_a_step_that_would_kill_the_neuron_is_not_taken():
    X = np.linspace(-1, 1, 20)[:, None]
    y = np.maximum(3 * X[:, 0] - 1, 0) - 0.2
    loss, _ = neuron(X, y)
    for seed in range(20):
        got = descend(loss, start_parameters({"w": (1,), "b": ()}, seed))
        assert got.loss < 0.9 * np.mean(y**2)


# --- It says what happened. ---


def test_dead_at_the_start():
    got = descend(IOWA_NEURON, {"w": [0.0], "b": -1.0})
    assert got.stuck and got.stopped == "stuck" and not got.converged and got.steps == 0
    assert "exactly zero" in got.notes[0]
    assert got.parameters["w"].tolist() == [0] and got.parameters["b"] == -1


def test_ctrl_c_returns_what_was_reached():
    def stop(step, steps, loss):
        if step == 7:
            raise KeyboardInterrupt

    got = descend(*line(*CANCER), progress=stop)
    assert got.stopped == "interrupted" and got.steps == 7 and not got.converged
    assert got.loss == min(got.history) < got.history[0]
    assert "interrupted after 7 steps" in got.notes[0]


def test_too_few_steps_are_said():
    got = descend(*line(*CANCER), steps=20)
    assert got.stopped == "steps" and got.steps == 20 and "not converged after 20 steps" in got.notes[0]


def test_zero_tolerance_walks_to_the_last_digit():
    got = descend(*line(*DIABETES), tolerance=0)
    assert got.loss <= least_squares(*DIABETES) * (1 + 1e-14)


def test_progress_and_the_lowest_loss():
    seen = []
    got = descend(bowl, BOWL_START, steps=50, progress=lambda *args: seen.append(args))
    assert [step for step, _, _ in seen] == list(range(1, got.steps + 1))
    assert {steps for _, steps, _ in seen} == {50}
    losses = [loss for _, _, loss in seen]
    assert losses == sorted(losses, reverse=True) and losses[-1] == got.loss


def test_the_path_is_thinned_and_holds_the_best_step():
    got = descend(bowl, BOWL_START, learning_rate=1e-4, steps=1000, tolerance=0, snapshots=40)
    assert got.path["u"].shape == (len(got.path_steps),) and len(got.path_steps) <= 42
    assert got.path_steps[0] == 0 and {got.best_step, got.steps} <= set(got.path_steps)
    for at, step in enumerate(got.path_steps):
        value, _ = bowl({name: part[at] for name, part in got.path.items()})
        assert value == got.history[step]


def test_a_step_is_the_printed_formula():
    got = descend(IOWA_NEURON, {"w": [1.0], "b": 2.0}, learning_rate=0.1, steps=3, tolerance=0)
    w, b = np.array([1.0]), 2.0
    for at in range(4):
        assert got.path["w"][at] == pytest.approx(w) and got.path["b"][at] == pytest.approx(b)
        _, gradient = IOWA_NEURON({"w": w, "b": b})
        w, b = w - 0.1 * gradient["w"], b - 0.1 * gradient["b"]
    assert got.rates == (0.1, 0.1, 0.1) and got.learning_rate_used == 0.1


def test_watching_other_rows_stops_before_learning_them_by_heart():
    X, y = DIABETES
    order = np.random.default_rng(0).permutation(len(y))
    train, other = order[:250], order[250:]
    loss, start = perceptron(X[train], y[train], 32)
    judge, _ = perceptron(X[other], y[other], 32)
    got = descend(loss, start, watch=lambda p: judge(p)[0])
    by_heart = descend(loss, start)
    assert got.stopped == "early" and len(got.watched) == got.steps + 1
    assert judge(got.parameters)[0] == min(got.watched) == got.watched[got.best_step]
    assert judge(got.parameters)[0] < 0.9 * judge(by_heart.parameters)[0]


@pytest.mark.parametrize("optimiser", RATED)
def test_blocks_of_rows(optimiser):
    X, y = DIABETES
    blocks = [line(X[rows::5], y[rows::5])[0] for rows in range(5)]
    loss, start = line(X, y)
    got = descend(loss, start, optimiser=optimiser, batches=lambda k: blocks, steps=100)
    assert got.loss <= least_squares(X, y) * 1.02
    assert got.loss == min(got.history)


def test_the_same_run_gives_the_same_bits():
    for optimiser in SLOPE_ALONE:
        runs = [descend(*perceptron(*DIABETES, 4), optimiser=optimiser, steps=50) for _ in range(2)]
        assert runs[0].history == runs[1].history


# --- What is not a descent. ---


def returning(loss, gradients):
    return lambda p: (loss, gradients)


ONE = {"u": 1.0}
BAD = {
    "zero rate": (bowl, BOWL_START, {"learning_rate": 0}, "above 0, not 0"),
    "negative rate": (bowl, BOWL_START, {"learning_rate": -0.1}, "above 0, not -0.1"),
    "NaN as rate": (bowl, BOWL_START, {"learning_rate": math.nan}, "above 0, not nan"),
    "infinite rate": (bowl, BOWL_START, {"learning_rate": math.inf}, "above 0, not inf"),
    "text as rate": (bowl, BOWL_START, {"learning_rate": "fast"}, "'fast'"),
    "no steps": (bowl, BOWL_START, {"steps": 0}, "steps should be a whole number"),
    "half a step": (bowl, BOWL_START, {"steps": 1.5}, "steps should be a whole number"),
    "negative tolerance": (bowl, BOWL_START, {"tolerance": -1}, "tolerance"),
    "unknown optimiser": (bowl, BOWL_START, {"optimiser": "sgd"}, "gradient descent, momentum, adam"),
    "no parameters": (bowl, {}, {}, "no parameter"),
    "empty parameter": (returning(0.0, {"u": []}), {"u": np.zeros(0)}, {}, "u is 0"),
    "NaN in the start": (bowl, {"u": math.nan, "v": 0.0}, {}, "the start of u"),
    "text in the start": (bowl, {"u": "a", "v": 0.0}, {}, "the start of u"),
    "complex start": (bowl, {"u": 1j, "v": 0.0}, {}, "the start of u"),
    "ragged start": (bowl, {"u": [[1], [1, 2]], "v": 0.0}, {}, "the start of u"),
    "NaN at the start": (returning(math.nan, ONE), ONE, {}, "the loss is nan at the start"),
    "infinite at the start": (returning(math.inf, ONE), ONE, {}, "the loss is inf at the start"),
    "no slope at the start": (returning(0.0, {"u": math.nan}), ONE, {}, "the gradient for u is not finite"),
    "a loss for each row": (returning(np.zeros(3), ONE), ONE, {}, "one number"),
    "complex loss": (returning(1j, ONE), ONE, {}, "the loss should be"),
    "no loss": (returning(None, ONE), ONE, {}, "the loss should be"),
    "missing gradient": (returning(0.0, {"v": 1.0}), ONE, {}, "no gradient for u"),
    "wrong shape": (
        returning(0.0, {"u": np.ones((3, 1))}),
        {"u": np.ones(3)},
        {},
        "u is 3,  its gradient is 3×1",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_nonsense_is_refused_by_name(case):
    loss, start, options, words = BAD[case]
    with pytest.raises(MathError) as caught:
        descend(loss, start, **options)
    assert words in str(caught.value)
    assert "\n" not in caught.value.what


def test_an_objective_cannot_spoil_the_walk():
    def careless(p):
        value, gradients = bowl({name: part.copy() for name, part in p.items()})
        p["u"] *= 0
        return value, gradients

    assert descend(careless, BOWL_START).history == descend(bowl, BOWL_START).history


# --- Where it begins, and watching it. ---


def test_start_parameters():
    shapes = {"W1": (50, 400), "b1": (400,), "w": (100,), "b": (), "K": (3, 20, 30), "gain": ()}
    start = start_parameters(shapes, seed=3)
    assert {name: part.shape for name, part in start.items()} == shapes
    again, other = start_parameters(shapes, seed=3), start_parameters(shapes, seed=4)
    assert all(np.array_equal(start[name], again[name]) for name in shapes)
    assert not np.array_equal(start["W1"], other["W1"])
    assert start["W1"].std() == pytest.approx(math.sqrt(2 / 50), rel=0.05)
    assert start["K"].std() == pytest.approx(math.sqrt(2 / 20), rel=0.1)
    assert start["b"] == 1 and not start["b1"].any()
    assert 0 < np.abs(start["w"]).max() < 0.1


@given(st.integers(0, 1000), st.integers(1, 50))
def test_a_neuron_starts_active_on_at_least_half_of_the_rows(seed, features):
    X = np.random.default_rng(seed).normal(size=(200, features))
    start = start_parameters({"w": (features,), "b": ()}, seed)
    assert np.mean(X @ start["w"] + start["b"] > 0) >= 0.5


def test_sparklines():
    assert sparkline([]) == ""
    assert sparkline([1]) == "▁"
    assert sparkline([100, 10, 1]) == "█▅▁"
    assert sparkline([1, 0, -1]) == "█▅▁"
    assert len(sparkline(list(range(1, 1000)))) == 16


def test_no_bar_where_there_is_no_terminal(capsys):
    with progress_bar() as show:
        got = descend(bowl, BOWL_START, progress=show)
    assert got.converged
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress_bar("training") as show:
        descend(bowl, BOWL_START, progress=show)
    said = capsys.readouterr()
    assert said.out == "" and "training" in said.err
