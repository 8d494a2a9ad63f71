"""Does a derivation say where its loss is defined, and say nothing where that is everywhere?"""

import numpy as np
import pytest

from gradstep.calculus.derivation import derive
from gradstep.notation.parsing import parse
from gradstep.operations import TABLE
from gradstep.operations.domains import CONDITIONS
from gradstep.operations.evaluation import evaluate

SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N", "p": "d", "n": ""}
ASKED = {
    "log(b)": ["log(b) is defined where b > 0"],
    "sum(sqrt(X @ w))": ["sqrt(X @ w) is defined where X @ w > 0"],
    "sum(w**n)": ["w**n is defined where w > 0"],
    "sum(w**0.5)": ["w**(1/2) is defined where w > 0"],
    "sum(arcsin(w) + arctanh(w))": [
        "arcsin(w) is defined where −1 < w < 1",
        "arctanh(w) is defined where −1 < w < 1",
    ],
    "arccosh(b) + log1p(b)": ["arccosh(b) is defined where b > 1", "log1p(b) is defined where b > −1"],
    "tan(b)": ["tan(b) is defined where cos(b) ≠ 0"],
    "sum(log(w)) + log(sum(p))": ["log(w) is defined where w > 0"],
}
EVERYWHERE = [
    "sum(log(1 + exp(w)))",
    "sum(log(sigmoid(w)) + log(1 - sigmoid(w)))",
    "mean(log(softmax(X @ w)))",
    "sqrt(sum(w**2) + 1)",
    "sum(log(p*exp(w)) + sqrt(p + abs(w)))",
    "sum(w**3 + w**2) + sum(log(y))",
    "sum(log(maximum(w, 0.1)))",
    "sum(log1p(w**2))",
]


@pytest.mark.parametrize("text", ASKED)
def test_what_is_asked_is_said(text):
    loss = parse(text, assume={"p": "positive"}, **SHAPES)
    names = [v for v in ("w", "b", "p", "n") if v in text]
    assert [note for note in derive(loss, names).notes if "defined" in note] == ASKED[text]


@pytest.mark.parametrize("text", EVERYWHERE)
def test_nothing_is_said_where_it_is_sure(text):
    loss = parse(text, assume={"p": "positive"}, **SHAPES)
    assert not derive(loss, ["w"]).notes
    for seed in range(20):
        draw = np.random.default_rng(seed).normal(scale=3, size=(20,))
        values = {"X": draw[:6].reshape(2, 3), "w": draw[6:9], "p": np.abs(draw[9:12]) + 1e-3}
        values |= {"b": draw[12], "y": np.abs(draw[13:15]) + 1e-3, "n": 1.5}
        assert np.isfinite(evaluate(loss, **values))


@pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
def test_every_domain_has_its_condition(op):
    assert op.domain in {*CONDITIONS, "real", "nonzero", "mask", "places"}
