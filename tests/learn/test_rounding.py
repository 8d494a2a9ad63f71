"""Is the size of the rounding errors of a loss what long numbers say it is, and does training stop at it?"""

import mpmath
import numpy as np
import pytest

import gradstep as gs
from gradstep.learn.descent import descend
from gradstep.learn.objective import compiled, objective
from gradstep.learn.rounding import rounding_error
from gradstep.learn.training import train
from gradstep.operations.precision import evaluate_to

SHAPES = {"X": "N d", "w": "d", "y": "N"}
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3))
Y = X @ [1, 2, 3] + RANDOM.normal(size=40) / 10

LOSSES = {
    "mean((y - X @ w)**2)": [1, 2, 3],
    "sum((y - X @ w)**2)": [1, 2, 3],
    "mean((y - X @ w)**2) - 1000": [0, 0, 0],
    "mean(abs(y - X @ w))": [1, 2, 3],
    "mean(exp(X @ w) - y*(X @ w))": [0.1, 0.2, 0.3],
    "mean(softplus(X @ w) - (y > 0)*(X @ w))": [1, 2, 3],
    "norm(y - tanh(X @ w))": [5, 5, 5],
}


def measured(text):
    loss = gs.parse(text, **SHAPES)
    function = objective(compiled(gs.derive(loss, "w")), {"X": X, "y": Y})
    return loss, lambda w: float(function({"w": w})[0])


@pytest.mark.parametrize("text", LOSSES)
def test_the_size_of_rounding_errors_is_that_against_forty_digits(text):
    loss, value = measured(text)
    w = np.array(LOSSES[text]) * (1 + 1e-9)
    long = np.vectorize(mpmath.mpf, otypes=[object])
    errors = []
    with mpmath.workdps(40):
        for _ in range(12):
            at = w + 1e-9 * RANDOM.normal(size=3)
            exact = evaluate_to(40, loss, X=long(X), y=long(Y), w=long(at))
            errors.append(float(value(at) - exact))
    seen = rounding_error(value, w)
    assert np.std(errors) / 4 < seen < 4 * np.std(errors)


def test_what_is_exact_has_no_rounding_errors():
    assert rounding_error(lambda w: 3.0, np.ones(2)) == 0
    assert np.isnan(rounding_error(lambda w: np.inf, np.ones(2)))


def test_a_walk_ends_where_rounding_errors_hide_what_it_gains():
    """A loss that is 10¹² and a bit: its last digit is worth 10⁻⁴, and the bowl in it is hardly deeper."""

    def bowl(p):
        return 1e12 + 1e-3 * (p["u"] - 3) ** 2, {"u": 2e-3 * (p["u"] - 3)}

    got = descend(bowl, {"u": 0.0}, learning_rate=10.0, tolerance=0, steps=2000)
    assert got.converged and got.steps < 300


def test_the_report_says_how_exactly_the_loss_is_known():
    fit = train(gs.parse("mean((y - X @ w)**2)", **SHAPES), {"X": X, "y": 1e6 * Y}, ["w"])
    again = train(gs.parse("mean((y - X @ w)**2)", **SHAPES), {"X": X, "y": Y}, ["w"])
    assert f"known to ± {fit.rounding:.1g}" in fit.report()
    assert fit.rounding / again.rounding == pytest.approx(1e12, rel=0.9)
    assert 1e-17 < again.rounding / again.loss < 1e-13
