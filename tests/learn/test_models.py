"""Do the default networks suit the table, and do they beat the mean on real ones without any tuning?"""

from functools import cache

import numpy as np
import palmerpenguins
import pytest
from sklearn import datasets
from sklearn.linear_model import LinearRegression, LogisticRegression

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.learn.data import from_arrays
from gradstep.learn.encoding import Encoder
from gradstep.learn.models import ANSWERS, default_model, network, own_model
from gradstep.learn.scaling import Scaler
from gradstep.learn.training import train_model


def table_of(frame):
    return from_arrays({str(name): frame[name].tolist() for name in frame.columns})


def diabetes():
    return table_of(datasets.load_diabetes(as_frame=True).frame), "target"


def cancer():
    return table_of(datasets.load_breast_cancer(as_frame=True).frame), "target"


def digits():
    return table_of(datasets.load_digits(as_frame=True).frame), "target"


def penguins():
    return table_of(palmerpenguins.load_penguins()), "species"


# ------------------------------------------------------------------------------------------- the formulas


@pytest.mark.parametrize("hidden", [(), (5,), (4, 3)])
@pytest.mark.parametrize("answer", ANSWERS)
def test_every_network_is_a_loss_of_its_prediction(answer, hidden):
    model = network(answer, hidden)
    assert model.loss.shape == ()
    assert model.prediction.shape == (("N", "k") if answer == "softmax" else ("N",))
    assert set(model.sizes.values()) == set(hidden)
    assert set(model.parameters) == set(gs.derive(model.loss, list(model.parameters)).answers)


def test_the_neuron_is_the_articles():
    shapes = {"X": "N d", "w": "d", "b": "", "y": "N"}
    assert network("rectified").loss is gs.parse("mean((y - relu(X @ w + b))**2)", **shapes)
    assert network("logistic").loss is gs.parse("z = X @ w + b; mean(softplus(z) - y*z)", **shapes)


@pytest.mark.parametrize("hidden", [(0,), (-1,), (2.5,), ("8",), (True,), (10**9,), (4,) * 100])
def test_layers_of_no_width_are_refused(hidden):
    with pytest.raises(MathError):
        network("linear", hidden)


# ------------------------------------------------------------------------------------------- which one


def prepared(y, rows=40, **settings):
    x = np.linspace(0, 1, rows)
    return Encoder.fit(from_arrays({"x": x, "y": y(x)}), "y", **settings)


CHOICES = {
    "never negative": (lambda x: 3 * x, "a ReLU neuron"),
    "negative": (lambda x: x - 0.4, "a linear neuron"),
    "two classes": (lambda x: np.where(x > 0.5, "yes", "no"), "a logistic neuron"),
    "three classes": (lambda x: np.array(list("abc"))[(3 * x * 0.999).astype(int)], "softmax regression"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_the_target_chooses_the_network(name):
    y, title = CHOICES[name]
    model = default_model(prepared(y))
    assert model.title == title


def test_a_relu_that_cannot_reach_the_target_is_left_out_and_that_is_said():
    model = default_model(prepared(lambda x: x - 0.4))
    assert model.notes == ("41 % of y < 0; a ReLU output can never reach them: it is left out",)


def test_an_own_loss_tells_its_target_and_its_prediction():
    shapes = {"X": "N d", "w": "d", "b": "", "y": "N"}
    model = own_model(gs.parse("mean(abs(y - (X @ w + b)))", **shapes), prepared(lambda x: x))
    assert (model.features, model.target, set(model.parameters)) == ("X", "y", {"w", "b"})
    assert model.prediction is gs.parse("X @ w + b", **shapes)


OWN_FAULTS = {
    "no features": ("mean((y - b)**2)", {"b": "", "y": "N"}, "should use X"),
    "no target": ("mean((X @ w)**2)", {"X": "N d", "w": "d"}, "should use the target"),
    "nothing to train": ("mean((y - sum(X, axis=1))**2)", {"X": "N d", "y": "N"}, "nothing to train"),
    "a matrix for a number": (
        "mean((Y - X @ W)**2)",
        {"X": "N d", "W": "d k", "Y": "N k"},
        "a number for each row",
    ),
}


@pytest.mark.parametrize("name", OWN_FAULTS)
def test_an_own_loss_that_does_not_suit_the_table_is_refused(name):
    text, shapes, message = OWN_FAULTS[name]
    with pytest.raises(MathError, match=message):
        own_model(gs.parse(text, **shapes), prepared(lambda x: x))


def test_several_classes_are_a_matrix():
    loss = gs.parse("mean((y - X @ w)**2)", X="N d", w="d", y="N")
    with pytest.raises(MathError, match="y has 3 classes: it is Y"):
        own_model(loss, prepared(CHOICES["three classes"][0]))


# ------------------------------------------------------------------------------------------- real tables


@cache
def trained(load, seed=0, hidden=()):
    table, target = load()
    prepared = Encoder.fit(table, target, seed=seed)
    return prepared, train_model(default_model(prepared, hidden), prepared, seed=seed)


@pytest.mark.parametrize("hidden", [(), (32,)])
@pytest.mark.parametrize("load", [diabetes, cancer, digits, penguins])
def test_real_tables_are_clearly_better_than_the_mean(load, hidden):
    _, fit = trained(load, hidden=hidden)
    mine, mean = fit.scores[0].held_out, fit.scores[-1].held_out
    if "right" in mine:
        assert 1 - mine["right"] < 0.3 * (1 - mean["right"])
        assert mine["log loss"] < 0.3 * mean["log loss"]
    else:
        assert mine["mean squared error"] < 0.6 * mean["mean squared error"]


def test_diabetes_is_as_good_as_least_squares():
    prepared, fit = trained(diabetes)
    line = LinearRegression().fit(prepared.X[prepared.train], prepared.y[prepared.train])
    for rows, score in ((prepared.train, fit.scores[0].training), (prepared.test, fit.scores[0].held_out)):
        theirs = np.mean((prepared.y[rows] - line.predict(prepared.X[rows])) ** 2)
        assert score["mean squared error"] == pytest.approx(theirs, rel=0.02)
    assert fit.converged


@pytest.mark.parametrize("load", [cancer, digits, penguins])
def test_classes_are_told_as_well_as_by_logistic_regression(load):
    """Over some ways to hold rows out: within two percent of them, in what is right."""
    mine, theirs = [], []
    for seed in range(3):
        prepared, fit = trained(load, seed)
        Z = Scaler.fit(prepared.X[prepared.train]).apply(prepared.X)
        y = prepared.y if prepared.y.ndim == 1 else prepared.y.argmax(axis=1)
        line = LogisticRegression(max_iter=5000).fit(Z[prepared.train], y[prepared.train])
        mine.append(fit.scores[0].held_out["right"])
        theirs.append(line.score(Z[prepared.test], y[prepared.test]))
    assert np.mean(mine) >= 0.98 * np.mean(theirs)


def test_digits_gain_from_a_hidden_layer():
    _, plain = trained(digits)
    _, hidden = trained(digits, hidden=(32,))
    assert plain.scores[0].held_out["right"] >= 0.94
    assert hidden.scores[0].held_out["right"] > plain.scores[0].held_out["right"]


def test_a_table_is_answered_in_its_own_words():
    table, _ = penguins()
    _, fit = trained(penguins)
    answers = fit.predictor.answers(table)
    assert set(answers.predicted) == {"Adelie", "Chinstrap", "Gentoo"}
    assert np.allclose(answers.probabilities.sum(axis=1), 1)
    truth = table.columns["species"].values
    assert np.mean(answers.predicted == truth) > 0.95


def test_raw_features_and_folded_weights_answer_alike():
    prepared, fit = trained(diabetes)
    w, b = fit.parameters["w"], fit.parameters["b"]
    assert np.allclose(fit.predict(prepared.X), np.maximum(prepared.X @ w + b, 0))
