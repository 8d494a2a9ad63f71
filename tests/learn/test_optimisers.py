"""Does every optimiser do what its formula says?"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradstep.expression.errors import MathError
from gradstep.learn.optimisers import AUTOMATIC_STEP, OPTIMISERS, RULES, optimiser_named


@pytest.fixture(params=RULES, ids=lambda rule: rule.name)
def rule(request):
    return request.param


def by_hand(name, x, gradients, rate):
    """The formulas as they are printed, on one number."""
    v = m = s = 0.0
    for t, g in enumerate(gradients, start=1):
        if name == "gradient descent":
            x = x - rate * g
        elif name == "momentum":
            v = 0.9 * v + g
            x = x - rate * v
        else:
            m = 0.9 * m + 0.1 * g
            s = 0.999 * s + 0.001 * g**2
            m_hat, s_hat = m / (1 - 0.9**t), s / (1 - 0.999**t)
            x = x - rate * m_hat / (math.sqrt(s_hat) + 1e-8)
    return x


NUMBERS = st.floats(-100, 100)


@given(NUMBERS, st.lists(NUMBERS, min_size=1, max_size=6), st.floats(1e-3, 1))
def test_updates_follow_the_printed_formula(x, gradients, rate):
    for rule in RULES:
        at = np.array([x])
        state = rule.init(at)
        for gradient in gradients:
            at, state = rule.update(at, np.array([gradient]), state, rate)
        expected = by_hand(rule.name, x, gradients, rate)
        assert math.isclose(at[0], expected, rel_tol=1e-9, abs_tol=1e-9)


def test_entries_do_not_see_each_other(rule):
    random = np.random.default_rng(0)
    together, alone = random.normal(size=(2, 3)), []
    gradients = random.normal(size=(4, 2, 3))
    for at in np.ndindex(2, 3):
        x = together[at]
        state = rule.init(x)
        for gradient in gradients:
            x, state = rule.update(x, gradient[at], state, 0.1)
        alone.append(float(x))
    state = rule.init(together)
    for gradient in gradients:
        together, state = rule.update(together, gradient, state, 0.1)
    assert together.ravel().tolist() == alone


def test_nothing_given_is_changed(rule):
    x, gradient = np.ones(3), np.full(3, 2.0)
    state = rule.init(x)
    before = {key: value.copy() for key, value in state.items()}
    rule.update(x, gradient, state, 0.1)
    assert x.tolist() == [1, 1, 1] and gradient.tolist() == [2, 2, 2]
    assert all(np.array_equal(before[key], state[key]) for key in state)


@pytest.mark.parametrize("formula", [*(each.formula for each in OPTIMISERS.values()), AUTOMATIC_STEP])
def test_formulas_name_the_parameter_and_the_loss(formula):
    text, latex = "\n".join(formula.text("b", "L")), "\n".join(formula.latex("b", "L"))
    assert ("∂L/∂b" in text or "L = ⟨r, r⟩" in text) and "b ← b " in text
    assert r"\frac{\partial L}{\partial b}" in latex or r"L = \langle r, r \rangle" in latex
    assert r"b \leftarrow b " in latex
    assert "$" not in text + latex
    assert latex.count("{") == latex.count("}")
    assert max(map(len, formula.text())) <= 110


def test_an_unknown_name_lists_the_known_ones():
    unknown = {"Adam": '"adam"', "gradient_descent": '"gradient descent"', None: '"gradient descent"'}
    for name, near in unknown.items():
        with pytest.raises(MathError) as caught:
            optimiser_named(name)
        assert near in str(caught.value)
        assert all(known in str(caught.value) for known in OPTIMISERS)
