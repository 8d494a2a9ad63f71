"""Does a training with exact sums end at the same bits, whatever the order of the rows and the processor?"""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from tables import each

import gradstep as gs
from gradstep.learn import opening, stores

LOSSES = {
    "neuron": ("mean((y - relu(X@w + b))**2)", {"w": "d", "b": ""}, {}),
    "absolute": ("mean(abs(y - X@w - b)) + 0.01*sum(w**2)", {"w": "d", "b": ""}, {}),
    "hidden": ("mean((y - relu(X@W + b)@v - c)**2)", {"W": "d h", "b": "h", "v": "h", "c": ""}, {"h": 4}),
}
WAYS = {
    "fitted": {"optimiser": "gradient descent"},
    "fixed": {"optimiser": "momentum", "learning_rate": 0.01},
    "l-bfgs": {"optimiser": "l-bfgs"},
    "penalty": {"optimiser": "gradient descent", "l2": 0.1},
}
CASES = [("neuron", way) for way in WAYS] + [
    ("absolute", "fitted"),
    ("hidden", "l-bfgs"),
    ("hidden", "fixed"),
]


def rows(count=150):
    """Made without a product of matrices, which each kernel rounds in its own way."""
    random = np.random.default_rng(0)
    X = random.normal(size=(count, 4)) * [1, 10, 0.1, 1] + [0, 5, 1, 0]
    y = np.maximum(0, (X * [1, 0.2, 3, -0.5]).sum(1)) + 0.1 * random.normal(size=count)
    return X, y


def trained(loss, way, order=slice(None), **more):
    text, shapes, sizes = LOSSES[loss]
    X, y = rows()
    formula = gs.parse(text, X="N d", y="N", **shapes)
    data = {"X": X[order], "y": y[order]}
    return gs.train(formula, data, list(shapes), sizes=sizes, steps=12, exact=True, **WAYS[way], **more)


def bits(fit):
    text = hashlib.sha256(np.array(fit.history).tobytes())
    for value in fit.parameters.values():
        text.update(np.ascontiguousarray(value).tobytes())
    return text.hexdigest()


@each("loss, way", CASES)
def test_no_order_of_the_rows_changes_a_bit(loss, way):
    straight = trained(loss, way)
    order = np.random.default_rng(1).permutation(len(rows()[1]))
    assert bits(trained(loss, way, order, threads=1)) == bits(straight)
    assert straight.loss <= straight.history[0]


PRINT = """
import sys; sys.path[:0] = ["tests", "tests/learn"]
from test_exact_training import CASES, bits, trained
print(*[bits(trained(*case)) for case in CASES])
"""


def test_no_processor_changes_a_bit():
    kernel = {"OPENBLAS_CORETYPE": "Sandybridge", "OPENBLAS_NUM_THREADS": "2"}
    ran = subprocess.run(
        [sys.executable, "-c", PRINT],
        env={**os.environ, **kernel},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == [bits(trained(*case)) for case in CASES]


def test_it_is_the_training_that_it_is_without():
    X, y = rows()
    loss = gs.parse(LOSSES["neuron"][0], X="N d", y="N", w="d", b="")
    exact, plain = (gs.train(loss, {"X": X, "y": y}, exact=exact, steps=60) for exact in (True, False))
    assert exact.loss == pytest.approx(plain.loss, rel=1e-9)
    assert exact.parameters["w"] == pytest.approx(plain.parameters["w"], rel=1e-6)
    assert any("exact sums" in line for line in exact.ran)


@each("way", ["fitted", "l-bfgs"])
def test_rows_in_files_come_to_the_same_bits_in_any_order(way, tmp_path):
    X, y = rows(400)
    loss = gs.parse(LOSSES["neuron"][0], X="N d", y="N", w="d", b="")
    found = []
    for number, order in enumerate((slice(None), np.random.default_rng(2).permutation(len(y)))):
        names = {name: str(tmp_path / f"{name}{number}.npy") for name in "Xy"}
        np.save(names["X"], X[order])
        np.save(names["y"], y[order])
        with pytest.MonkeyPatch.context() as patch:  # so that few rows are many, in windows of two lengths
            patch.setattr(opening, "EASY", 0)
            patch.setattr(stores, "LEAST_WINDOW", 3000 * (1 + number))
            fit = gs.train(loss, names, ["w", "b"], steps=8, exact=True, **WAYS[way])
        assert fit.stored == len(y)
        found.append(bits(fit))
    assert found[0] == found[1]


@each(
    "text, settings, message",
    [
        ("mean((y - tanh(X@w))**2)", {}, "tanh is rounded in another way by each machine"),
        ("mean((y - X@w)**2)", {"backend": "native"}, "exact sums are made in NumPy"),
        ("mean((y - X@w)**2)", {"optimiser": "newton-cg"}, "exact sums are for optimisers that need"),
    ],
)
def test_what_cannot_be_exact_says_so(text, settings, message):
    X, y = rows()
    with pytest.raises(gs.MathError, match=message):
        gs.train(gs.parse(text, X="N d", y="N", w="d"), {"X": X, "y": y}, exact=True, **settings)


def test_means_are_those_of_fractions():
    from fractions import Fraction

    from gradstep.learn.exactness import Exactly

    X = np.random.default_rng(3).normal(size=(40, 3)) * [1, 1e-3, 1e200] + [1e8, 0, 1e200]
    found = Exactly.of(X[:11]) + Exactly.of(X[11:])
    for k in range(3):
        column = [Fraction(float(x)) for x in X[:, k]]
        mean = sum(column) / 40
        assert found.mean[k] == float(mean)
        variance = sum((x - Fraction(found.mean[k])) ** 2 for x in column) / 40
        apart = Fraction(found.spread(found.mean)[k]) ** 2 / variance - 1
        assert abs(apart) < 1e-15
