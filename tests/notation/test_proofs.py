"""Is the slope of every function the derivative of its definition, and does an opened step show so?"""

import numpy as np
import pytest

import gradstep as gs
from gradstep.notation.proofs import proof_of_slope, slopes_proved
from gradstep.operations import TABLE
from gradstep.operations.evaluation import evaluate, variables
from gradstep.operations.leaves import symbol

DEFINED = [op for op in TABLE if op.slopes and op.definition]
RANGES = {"real": (-2, 2), "positive": (0.2, 2), "nonzero": (0.2, 2)}


@pytest.mark.parametrize("op", DEFINED, ids=lambda op: op.name)
def test_the_slope_is_the_derivative_of_the_definition(op):
    params = op.example[0][0]
    proofs = slopes_proved(op, params)
    assert proofs
    low, high = RANGES.get(op.domain, (0.1, 0.9))
    if op.name == "arccosh":
        low, high = 1.1, 2
    for seed in range(5):
        draw = np.random.default_rng(seed).uniform
        values = {name: draw(low, high) for name in "zuv"}
        for both in proofs.values():
            left, right = (evaluate(e, **{name: values[name] for name in variables(e)}) for e in both)
            np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-10)


def test_an_opened_step_shows_it():
    loss = gs.parse("a = sigmoid(z); sum(a**2)", z="n")
    text = " ".join(gs.derive(loss, wrt="z").text(opened=True).split())
    assert "from σ(z) = 1/(1 + exp(−z))" in text


def test_most_functions_show_their_proof():
    examples = [
        op(*(symbol("abc"[k], ()) for k in range(len(op.slopes))), params=op.example[0][0]) for op in DEFINED
    ]
    assert sum(1 for expr in examples if proof_of_slope(expr)) > len(DEFINED) / 2
