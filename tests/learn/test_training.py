"""Does training arrive, in the user's units, never end higher than it began, and say what was wrong?"""

import itertools
import math

import numpy as np
import pytest

import gradstep as gs
from gradstep.datasets import iowa
from gradstep.expression.errors import MathError
from gradstep.learn.comparison import SURE_ENOUGH, _line, baselines, measures
from gradstep.learn.coordinates import coordinates
from gradstep.learn.optimisers import OPTIMISERS
from gradstep.learn.scaling import Scaler
from gradstep.learn.structure import prediction_of
from gradstep.learn.training import train

SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N"}
NEURON = "mean((y - relu(X @ w + b))**2)"
LINE = "mean((y - (X @ w + b))**2)"


def table(rows=60, seed=0):
    """Features of very different size, and a target that is nearly a plane."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, 3)) * [1, 100, 1e-3] + [5, 1000, 0]
    return X, X @ [1, -0.02, 300] + 3 + random.normal(size=rows) * 0.1


def least_squares(X, y):
    *w, b = np.linalg.lstsq(np.c_[X, np.ones(len(X))], y, rcond=None)[0]
    return np.array(w), b


# ------------------------------------------------------------------------------------------- it arrives


def test_iowas_neuron_beats_the_straight_line():
    year, twh = iowa()
    fit = train(gs.parse(NEURON, **SHAPES), {"X": year[:, None], "y": twh}, ["w", "b"])
    network, line, mean = fit.scores
    assert fit.loss == pytest.approx(1.3164, abs=1e-3)
    assert network.training["mean squared error"] == pytest.approx(fit.loss)
    assert line.training["mean squared error"] == pytest.approx(2.9016, abs=1e-3)
    assert mean.training["mean squared error"] == pytest.approx(twh.var())
    assert fit.converged
    assert any("off (z ≤ 0, answer 0) for 4 of 17 rows" in note for note in fit.notes)


def test_the_line_is_least_squares_in_the_units_of_the_data():
    X, y = table()
    fit = train(gs.parse(LINE, **SHAPES), {"X": X, "y": y}, ["w", "b"], tolerance=1e-12)
    w, b = least_squares(X, y)
    assert np.allclose(fit.parameters["w"], w, rtol=1e-4)
    assert fit.parameters["b"] == pytest.approx(b, rel=1e-4)
    assert np.allclose(fit.predict(X), X @ fit.parameters["w"] + fit.parameters["b"])
    assert fit.loss == pytest.approx(np.mean((y - fit.predict(X)) ** 2))


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_every_optimiser_arrives(optimiser):
    X, y = table()
    fit = train(gs.parse(LINE, **SHAPES), {"X": X, "y": y}, ["w", "b"], optimiser=optimiser)
    w, b = least_squares(X, y)
    assert fit.loss <= 1.001 * np.mean((y - X @ w - b) ** 2)


def test_mini_batches_arrive():
    X, y = table()
    fit = train(gs.parse(LINE, **SHAPES), {"X": X, "y": y}, ["w", "b"], batch=16)
    w, b = least_squares(X, y)
    assert fit.loss <= 1.01 * np.mean((y - X @ w - b) ** 2)


def test_a_given_learning_rate_is_plain_gradient_descent():
    X, y = table()
    fit = train(
        gs.parse(LINE, **SHAPES), {"X": X, "y": y}, ["w", "b"], learning_rate=0.1, steps=3, tolerance=0
    )
    Z, w, b = Scaler.fit(X).apply(X), *fit.descent.path.values()
    unit = fit.coordinates.unit
    t = (y - unit.shift) / unit.size
    for k in range(3):
        e = t - Z @ w[k] - b[k]
        assert np.allclose(w[k + 1], w[k] + 0.2 * Z.T @ e / len(y))
        assert np.allclose(b[k + 1], b[k] + 0.2 * e.mean())


def test_the_same_seed_gives_the_same_bits():
    X, y = table()
    text = "mean((y - relu(X @ W1 + b1) @ w2)**2)"
    loss = gs.parse(text, X="N d", W1="d h", b1="h", w2="h", y="N")
    one, two = (
        train(loss, {"X": X, "y": y}, sizes={"h": 5}, steps=50, holdout=0.2, seed=3).parameters
        for _ in range(2)
    )
    assert all(np.array_equal(one[name], two[name]) for name in one)


# ------------------------------------------------------------------------------------------- units

FOLDED = {
    "a line": (LINE, SHAPES),
    "a neuron": (NEURON, SHAPES),
    "absolute errors": ("mean(abs(y - (X @ w + b)))", SHAPES),
    "half a sum": ("sum((X @ w + b - y)**2)/2", SHAPES),
    "no bias": ("mean((y - X @ w)**2)", {"X": "N d", "w": "d", "y": "N"}),
    "a bias of its own": ("mean((y - X @ w - b)**2)", SHAPES),
    "a bias of its own, first": ("mean(abs(b - y + X @ w))", SHAPES),
    "a bias of the other sign": ("mean((y - X @ w + b)**2)", SHAPES),
    "several biases of their own": (
        "mean((Y - X @ W - b)**2)",
        {"X": "N d", "W": "d k", "b": "k", "Y": "N k"},
    ),
    "one feature": ("mean((y - (w*v + b))**2)", {"v": "N", "w": "", "b": "", "y": "N"}),
    "several targets": ("mean((Y - (X @ W + b))**2)", {"X": "N d", "W": "d k", "b": "k", "Y": "N k"}),
    "transposed": ("mean((Y - (X @ W.T + b))**2)", {"X": "N d", "W": "k d", "b": "k", "Y": "N k"}),
    "two entrances": (
        "mean((y - (X @ w + b)*sigmoid(X @ v + c))**2)",
        {"X": "N d", "w": "d", "b": "", "v": "d", "c": "", "y": "N"},
    ),
    "a perceptron": (
        "mean((y - (relu(X @ W + b) @ v + c))**2)",
        {"X": "N d", "W": "d 4", "b": "4", "v": "4", "c": "", "y": "N"},
    ),
}
MEAN, SPREAD = [5, 1000, -3], [1, 100, 1e-3]


@pytest.mark.parametrize("name", FOLDED)
def test_scaling_folds_back_exactly(name):
    """At any parameters the loss in training units is the loss in the user's units, and back is back."""
    text, shapes = FOLDED[name]
    loss = gs.parse(text, **shapes)
    random = np.random.default_rng(1)
    sizes = {"N": 30, "d": 3, "k": 2, "4": 4}
    arrays = {}
    for variable, shape in shapes.items():
        arrays[variable] = random.normal(size=[sizes[size] for size in shape.split()])
    arrays |= {
        each: 50 + 7 * np.asarray(arrays[each])
        if each in "yY"
        else np.asarray(arrays[each]) * SPREAD[: 1 if each == "v" else 3] + MEAN[: 1 if each == "v" else 3]
        for each in ("X", "y", "Y", *(["v"] if shapes.get("v") == "N" else []))
        if each in shapes
    }
    data = {each: arrays.pop(each) for each in list(arrays) if "N" in shapes[each].split()}
    target = next(each for each in data if each in "yY")
    symbols = {each: gs.symbols(**{each: shapes[each]})[0] for each in arrays}
    units = coordinates(loss, data, target, symbols)
    assert len(units.entrances) == 1
    there = units.to_user(arrays)
    inside, outside = gs.evaluate(loss, **units.data(data), **arrays), gs.evaluate(loss, **data, **there)
    assert outside == pytest.approx(units.loss * inside, rel=1e-9)
    back = units.to_training(there)
    assert all(np.allclose(back[each], arrays[each], rtol=1e-7, atol=1e-9) for each in arrays)


@pytest.mark.parametrize(
    ("loss", "centred"),
    [
        ("mean((y - X @ w - b)**2)", True),
        ("mean(exp(-(y - b - X @ w)**2))", True),
        ("mean((y - X @ w + b)**2)", False),
        ("mean((y - X @ w - b)**2) + b**2", False),
        ("mean((y - X @ w)**2) + mean(b + y)", False),
        ("s = b + y**2; mean((y - X @ w - s)**2) + mean(s**4)", False),
    ],
)
def test_a_bias_anywhere_in_the_sum_takes_up_the_mean(loss, centred):
    X, y = table()
    symbols = dict(zip("wb", gs.symbols(w="d", b=""), strict=True))
    units = coordinates(gs.parse(loss, **SHAPES), {"X": X + 100, "y": y}, "y", symbols)
    assert [bool(np.all(each.scaler.mean)) for each in units.entrances] == [centred]


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1, 1e6, 1e60])
def test_the_unit_of_the_target_does_not_matter(scale):
    X, y = table()
    fit = train(gs.parse(LINE, **SHAPES), {"X": X, "y": y * scale}, ["w", "b"])
    w, b = least_squares(X, y)
    assert fit.loss / scale**2 <= 1.0001 * np.mean((y - X @ w - b) ** 2)


def test_a_penalty_turns_standardising_off_and_that_is_said():
    X, y = table()
    fit = train(gs.parse(LINE + " + 0.1*sum(w**2)", **SHAPES), {"X": X, "y": y}, ["w", "b"])
    assert not fit.coordinates.entrances
    assert any("X is not standardised" in note for note in fit.notes)


def test_standardising_can_be_turned_off():
    X, y = table()
    fit = train(gs.parse(LINE, **SHAPES), {"X": X, "y": y}, ["w", "b"], standardise=False, steps=20)
    assert fit.coordinates.entrances == ()
    assert np.array_equal(fit.descent.parameters["w"], fit.parameters["w"])


def test_history_and_path_are_in_the_units_of_the_data():
    X, y = table()
    loss = gs.parse(LINE, **SHAPES)
    fit = train(loss, {"X": X, "y": y}, ["w", "b"])
    assert fit.path["w"].shape == (len(fit.path_steps), 3)
    for step, w, b in itertools.islice(zip(fit.path_steps, fit.path["w"], fit.path["b"], strict=True), 5):
        assert gs.evaluate(loss, X=X, y=y, w=w, b=b) == pytest.approx(fit.history[step], rel=1e-8)


def test_a_start_is_in_the_units_of_the_data():
    X, y = table()
    loss = gs.parse(LINE, **SHAPES)
    start = {"w": [1, -0.02, 300], "b": 2.5}
    fit = train(loss, {"X": X, "y": y}, ["w", "b"], start=start)
    assert fit.history[0] == pytest.approx(gs.evaluate(loss, X=X, y=y, **start))


# ------------------------------------------------------------------------------------------- rows


def test_held_out_rows_do_not_train():
    X, y = table()
    y[::5] += 1000
    held = np.arange(0, len(y), 5)
    fit = train(gs.parse(LINE, **SHAPES), {"X": X, "y": y}, ["w", "b"], holdout=held)
    assert fit.loss < 0.02
    assert fit.held_out_loss > 9e5
    assert np.array_equal(fit.held_out, held)
    assert set(fit.rows) == set(range(len(y))) - set(held)
    assert fit.scores[0].held_out["mean squared error"] == pytest.approx(fit.held_out_loss)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_watched_loss_below_zero_is_watched(backend):
    X = np.random.default_rng(0).normal(size=(400, 2))
    y = np.random.default_rng(1).poisson(np.exp(2 + X @ [0.5, -0.3])).astype(float)
    loss = gs.parse("mean(exp(X @ w + b) - y*(X @ w + b))", X="N d", w="d", b="", y="N")
    settings = {"learning_rate": 0.01, "steps": 300, "watch": 0.25, "backend": backend}
    fit = train(loss, {"X": X, "y": y}, ["w", "b"], **settings)
    assert fit.descent.watched[-1] < fit.descent.watched[100] < 0
    assert fit.descent.best_step > 100


def test_the_straight_line_beside_it_is_that_of_least_squares():
    X = np.random.default_rng(0).normal([5, -3, 100], [1, 1e-3, 30], (500, 3))
    for columns in (X, np.column_stack([X, X[:, 0] + X[:, 2]]), X[:20]):
        y = columns @ np.arange(1.0, 1 + columns.shape[1]) + np.sin(np.arange(len(columns)))
        design = np.column_stack([columns, np.ones(len(columns))])
        best = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        found = _line(columns, y, np.arange(len(columns)))
        np.testing.assert_allclose(((y - found) ** 2).sum(), ((y - best) ** 2).sum(), rtol=1e-9)


def test_a_share_is_held_out_and_a_share_watched():
    X, y = table(rows=200)
    loss = gs.parse(LINE, **SHAPES)
    fit = train(loss, {"X": X, "y": y}, ["w", "b"], holdout=0.2, watch=0.25)
    assert [len(rows) for rows in (fit.rows, fit.watched, fit.held_out)] == [120, 40, 40]
    assert len({*fit.rows, *fit.watched, *fit.held_out}) == 200


def test_classes_that_a_plane_parts_are_said_to_be():
    X, _ = table()
    loss = gs.parse("z = X @ w + b; mean(softplus(z) - y*z)", **SHAPES)
    fit = train(loss, {"X": X, "y": X[:, 0] > 5}, ["w", "b"])
    assert fit.scores[0].training["right"] == 1
    assert any("penalty" in note for note in fit.notes)
    enough = train(loss, {"X": X, "y": X[:, 0] > 5}, ["w", "b"], enough=0.02)
    assert enough.steps < fit.steps
    assert np.abs(enough.parameters["w"]).max() < np.abs(fit.parameters["w"]).max()


# ------------------------------------------------------------------------------------------- predictions

PREDICTIONS = {
    "mean((y - tanh(X @ w + b))**2)": "tanh(X @ w + b)",
    "mean((relu(X @ w + b) - y)**2)": "relu(X @ w + b)",
    "mean(abs(y - X @ w - b))": "X @ w + b",
    "mean((X @ w - y + b)**2)": "X @ w + b",
    "mean((b - (y - X @ w))**2)": "X @ w + b",
    "z = X @ w + b; mean(softplus(z) - y*z)": "sigmoid(X @ w + b)",
    "p = sigmoid(X @ w + b); -mean(y*log(p) + (1 - y)*log(1 - p))": "sigmoid(X @ w + b)",
    "-(y @ log(sigmoid(X @ w + b)))": "sigmoid(X @ w + b)",
    "mean((y - (X @ w + b))**2) + sum(w**2)": "X @ w + b",
    "sum(w**2) + b*mean(y) + mean(X)": None,
}


@pytest.mark.parametrize("text", PREDICTIONS)
def test_what_a_loss_predicts_is_seen(text):
    loss, expected = gs.parse(text, **SHAPES), PREDICTIONS[text]
    w, b, y = gs.symbols(w="d", b="", y="N")
    assert prediction_of(loss, y, {w, b}) is (expected and gs.parse(expected, **SHAPES))


def test_softmax_losses_predict_probabilities():
    shapes = {"X": "N d", "W": "d k", "b": "k", "Y": "N k"}
    for text in (
        "Z = X @ W + b; mean(logsumexp(Z, axis=1) - sum(Y*Z, axis=1))",
        "-mean(sum(Y*log_softmax(X @ W + b, axis=1), axis=1))",
        "-mean(sum(Y*log(softmax(X @ W + b, axis=1)), axis=1))",
    ):
        X, y = table()
        fit = train(gs.parse(text, **shapes), {"X": X, "Y": np.eye(2)[(y > 5).astype(int)]}, steps=5)
        assert fit.prediction is gs.parse("softmax(X @ W + b, axis=1)", **shapes)
        assert np.allclose(fit.predict(X).sum(axis=1), 1)


def test_a_loss_that_shows_no_prediction_can_be_told_it():
    X, y = table()
    loss = gs.parse("mean((y - 2*(X @ w + b))**2 + (X @ w + b)**2)", **SHAPES)
    silent = train(gs.parse("sum((w - v)**2)", w="n", v="n"), {"v": y})
    with pytest.raises(MathError, match="does not show what it predicts"):
        silent.predict(X)
    told = train(loss, {"X": X, "y": y}, ["w", "b"], prediction=gs.parse("X @ w + b", **SHAPES))
    assert told.predict(X).shape == y.shape


# ------------------------------------------------------------------------------------------- sleeping neurons


@pytest.mark.parametrize("offset", [-1e6, -3.0, 0.0, 1e4])
def test_no_default_start_sleeps(offset):
    X, y = table()
    loss = gs.parse(NEURON, **SHAPES)
    fit = train(loss, {"X": X + offset, "y": np.abs(y)}, ["w", "b"], standardise=False, steps=50)
    assert fit.loss < fit.history[0]


def test_a_start_asleep_is_an_error_with_a_mend():
    X, y = table()
    with pytest.raises(MathError, match="off at the start for all 60 rows") as error:
        train(gs.parse(NEURON, **SHAPES), {"X": X, "y": y}, ["w", "b"], start={"b": -1e6})
    assert "leaky_relu" in error.value.mend


def test_negative_targets_of_a_relu_are_said():
    X, y = table()
    fit = train(gs.parse(NEURON, **SHAPES), {"X": X, "y": y - np.median(y)}, ["w", "b"])
    assert any(note.startswith("50 % of y is below 0; relu(X @ w + b) never is") for note in fit.notes)


# ------------------------------------------------------------------------------------------- what cannot be

X, Y = table()
FAULTS = {
    "NaN": (
        {"X": np.where(X > 1100, np.nan, X), "y": Y},
        {},
        r"X holds nan in row \d+, column 1, and \d+ more",
    ),
    "one NaN": ({"X": X, "y": np.r_[Y[:-1], np.nan]}, {}, "y holds nan in row 59: not a finite number"),
    "infinity": ({"X": X, "y": np.r_[np.inf, Y[1:]]}, {}, "y holds inf in row 0"),
    "too large": ({"X": X * 1e300, "y": Y}, {}, "too large to train on"),
    "lengths": ({"X": X, "y": Y[:-1]}, {}, "N is 60 .* here it is 59"),
    "a matrix for y": ({"X": X, "y": np.c_[Y, Y]}, {}, "y should be a vector, as declared: N"),
    "a vector for X": ({"X": X[:, 0], "y": Y}, {}, "X should be a matrix"),
    "three axes": ({"X": X[None], "y": Y}, {}, "X should be a matrix"),
    "words": ({"X": X, "y": ["a", *map(str, Y[1:])]}, {}, 'but it holds "a" in row 0'),
    "complex": ({"X": X + 1j, "y": Y}, {}, "complex128"),
    "masked": (
        {"X": np.ma.masked_greater(X, 1100), "y": Y},
        {},
        r"X has \d+ masked entries",
    ),
    "endless": ({"X": X, "y": [10**400] * 60}, {}, "in row 0"),
    "objects": ({"X": X, "y": [object()] * 60}, {}, "in row 0"),
    "ragged": ({"X": [[1], [2, 3]], "y": Y}, {}, "different lengths"),
    "no rows": ({"X": X[:0], "y": Y[:0]}, {}, "X is empty"),
    "no columns": ({"X": X[:, :0], "y": Y}, {}, "X is empty"),
    "no y": ({"X": X, "Y": Y}, {}, "y has no data"),
    "no data": ({}, {}, "there is no variable|has no data"),
    "no dictionary": ([X, Y], {}, "arrays by name"),
    "w as data": ({"X": X, "y": Y, "w": Y}, {}, "w is given as data"),
    "a wrong name": ({"X": X, "y": Y}, {"wrt": ["v"]}, "no variable v"),
    "a wrong start": ({"X": X, "y": Y}, {"start": {"w": [0, 0]}}, "the start of w should be 3"),
    "a start of NaN": ({"X": X, "y": Y}, {"start": {"b": math.nan}}, "the start of b holds nan"),
    "a start of another": ({"X": X, "y": Y}, {"start": {"v": 0}}, "v has a start but is not trained"),
    "a wrong holdout": ({"X": X, "y": Y}, {"holdout": 2}, "held-out share"),
    "a wrong row": ({"X": X, "y": Y}, {"holdout": [1, 2, 60]}, "by their numbers"),
    "all rows held out": ({"X": X, "y": Y}, {"holdout": range(60)}, "no rows are left"),
    "a wrong batch": ({"X": X, "y": Y}, {"batch": 0}, "mini-batch"),
    "a wrong rate": ({"X": X, "y": Y}, {"learning_rate": -1}, "learning rate"),
    "a rate too high": ({"X": X, "y": Y}, {"learning_rate": 10.0}, "runs away"),
    "a wrong optimiser": ({"X": X, "y": Y}, {"optimiser": "sgd"}, "no optimiser"),
    "a wrong prediction": ({"X": X, "y": Y}, {"prediction": "z"}, "a prediction is an expression"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(name):
    data, settings, message = FAULTS[name]
    settings = {"wrt": ["w", "b"], **settings}
    with pytest.raises(MathError, match=message):
        train(gs.parse(LINE, **SHAPES), data, **settings)


def test_what_is_no_number_and_what_is_no_expression():
    with pytest.raises(MathError, match="belongs to a number"):
        train(gs.parse("y - X @ w", X="N d", w="d", y="N"), {"X": X, "y": Y})
    with pytest.raises(MathError, match="takes an expression"):
        train(LINE, {"X": X, "y": Y})
    with pytest.raises(MathError, match="how large h should be"):
        train(gs.parse("mean((y - relu(X @ W) @ v)**2)", X="N d", W="d h", v="h", y="N"), {"X": X, "y": Y})


REMARKS = {
    "a column of numbers": (
        {"X": X, "y": Y[:, None]},
        "y was given with the shape 60×1: taken as 60 numbers",
    ),
    "unused data": ({"X": X, "y": Y, "q": Y}, "q is not used by the loss"),
    "a constant column": ({"X": np.c_[X, np.ones(60)], "y": Y}, "column 3 of X: the same in every row"),
    "one row": ({"X": X[:1], "y": Y[:1]}, "one row alone"),
    "large whole numbers": ({"X": (X * 1e15).astype(int), "y": Y}, "the first 15 digits"),
    "far from zero": ({"X": X * [1, 1, 1000] + 1e15, "y": Y}, "lies far from zero"),
}


@pytest.mark.parametrize("name", REMARKS)
def test_what_is_odd_is_remarked(name):
    data, remark = REMARKS[name]
    fit = train(gs.parse(LINE, **SHAPES), data, ["w", "b"])
    assert any(remark in note for note in fit.notes)


def test_a_parameter_without_influence_has_gradient_zero():
    loss = gs.parse("mean((y - X @ w)**2)", X="N d", w="d", y="N", v="d")
    fit = train(loss, {"X": X, "y": Y}, ["w", "v"])
    assert any("does not depend on v" in note for note in fit.notes)
    assert np.array_equal(fit.path["v"][0], fit.parameters["v"])


def test_numbers_as_text_and_booleans_are_numbers():
    fit = train(gs.parse(LINE, **SHAPES), {"X": X, "y": [str(value) for value in Y]}, ["w", "b"])
    same = train(gs.parse(LINE, **SHAPES), {"X": X, "y": Y}, ["w", "b"])
    assert np.array_equal(fit.parameters["w"], same.parameters["w"])


# ------------------------------------------------------------------------------------------- the promise

LOSSES = {
    "neuron": NEURON,
    "logistic": "z = X @ w + b; mean(softplus(z) - y*z)",
    "huge powers": "mean((y - exp(X @ w + b))**2)",
}
DISASTERS = {
    "plain": lambda X, y: (X, y),
    "NaN in X": lambda X, y: (np.where(X.max() == X, np.nan, X), y),
    "infinity in y": lambda X, y: (X, np.where(y == y.max(), np.inf, y)),
    "all zero": lambda X, y: (X * 0, y),
    "target zero": lambda X, y: (X, y * 0),
    "column × 1e8": lambda X, y: (X * [1e8, 1, 1], y),
    "column × 1e-30": lambda X, y: (X * [1e-30, 1, 1], y),
    "X × 1e90": lambda X, y: (X * 1e90, y),
    "X × 1e300": lambda X, y: (X * 1e300, y),
    "y × 1e90": lambda X, y: (X, y * 1e90),
    "X far away": lambda X, y: (X + 1e15, y),
    "X − 100": lambda X, y: (X - 100, y),
    "one row": lambda X, y: (X[:1], y[:1]),
    "two rows": lambda X, y: (X[:2], y[:2]),
    "no rows": lambda X, y: (X[:0], y[:0]),
    "same column twice": lambda X, y: (X[:, [0, 0, 1]], y),
    "float32": lambda X, y: (X.astype(np.float32), y.astype(np.float32)),
    "an outlier": lambda X, y: (X, np.r_[1e12, y[1:]]),
    "negative": lambda X, y: (X, -np.abs(y)),
}
SETTINGS = [
    {},
    {"standardise": False},
    {"learning_rate": 1e3},
    {"optimiser": "adam"},
    {"batch": 7},
    {"holdout": 0.3},
]
SECOND_ORDER = ["l-bfgs", "conjugate gradients", "newton-cg", "levenberg-marquardt"]


@pytest.mark.parametrize("disaster", DISASTERS)
@pytest.mark.parametrize("name", LOSSES)
def test_finite_and_not_above_the_start_or_an_error(name, disaster):
    loss = gs.parse(LOSSES[name], **SHAPES)
    X, y = DISASTERS[disaster](*table(rows=40))
    turn = list(DISASTERS).index(disaster) + list(LOSSES).index(name)  # each has one of the costly ones
    for settings in [*SETTINGS, {"optimiser": SECOND_ORDER[turn % len(SECOND_ORDER)]}]:
        try:
            fit = train(loss, {"X": X, "y": y}, ["w", "b"], steps=30, **settings)
        except MathError:
            continue
        assert all(np.isfinite(value).all() for value in fit.parameters.values())
        slack = 2e-6 * (abs(fit.history[0]) + abs(fit.history[0] - fit.loss))
        assert math.isfinite(fit.loss) and fit.loss <= fit.history[0] + slack


# ------------------------------------------------------------------------------------------- the report


def test_the_report_fits_a_terminal():
    X, y = table()
    report = train(gs.parse(NEURON, **SHAPES), {"X": X, "y": np.abs(y)}, ["w", "b"], holdout=0.2).report()
    assert all(len(line) <= 110 for line in report.splitlines())
    for words in (
        "gradient descent, ",
        "mean squared error",
        "held out",
        "straight line",
        "the mean",
        "b = ",
    ):
        assert words in report


def test_ctrl_c_keeps_what_was_reached():
    X, y = table()

    def stop(step, steps, loss):
        if step == 3:
            raise KeyboardInterrupt

    fit = train(gs.parse(LINE, **SHAPES), {"X": X, "y": y}, ["w", "b"], progress=stop)
    assert fit.stopped == "interrupted"
    assert fit.loss < fit.history[0]


def test_the_code_that_runs_is_shown():
    X, y = table()
    fit = train(gs.parse(NEURON, **SHAPES), {"X": X, "y": y}, ["w", "b"], steps=2)
    assert "np.maximum(z, 0)" in fit.source
    assert fit.derivation.certificate.verdict is True


@pytest.mark.parametrize("classes", [2, 3])
def test_the_line_between_classes_that_planes_part_is_sure_enough_and_not_much_surer(classes):
    random = np.random.default_rng(classes)
    X = random.normal(size=(150, 4))
    labels = (X @ random.normal(size=(4, classes))).argmax(axis=1)
    y = labels.astype(float) if classes == 2 else np.eye(classes)[labels]
    told = measures(y, baselines(X, y, np.arange(150), np.arange(0), True)["logistic regression"], True)
    enough = SURE_ENOUGH * math.log(classes)  # of the loss where all classes are equally likely
    assert told["right"] > 0.99 and 0.25 * enough < told["log loss"] <= enough
