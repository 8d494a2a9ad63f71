"""Are several models in one pass over the rows each what it is alone?"""

import numpy as np
import pytest
from backends.losses import CASES, SIZES, arrays, derived

from gradstep.backends import compile_outputs, run
from gradstep.backends.native import engine, running
from gradstep.backends.several import TOGETHER, Several

# Losses whose pass over the rows, if there is any, does not depend on parameters.
APART = {"a constant gradient", "a gradient that is data", "a repeated gradient", "no dependence"}
APART |= {"outer products", "quadratic form", "sizes as numbers", "standardised columns", "weighted rows"}
BACKENDS = ["numpy", pytest.param("native", marks=pytest.mark.skipif(not engine.available(), reason="extra"))]


def models(case, count):
    """What several models share, and what each has of its own."""
    own = set(case.wrt.split())
    values = [arrays(case, seed) for seed in range(count)]
    shared = {name: array for name, array in values[0].items() if name not in own}
    return shared, [{name: each[name] for name in own} for each in values]


def function_of(case, backend, own):
    made = compile_outputs(*derived(case), backend=backend)
    return made, Several(made.raw, own)


def agree(found, right):
    value, gradients = found
    wanted, slopes = right
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    assert gradients.keys() == slopes.keys()
    for name, array in slopes.items():
        scale = np.abs(array).max(initial=1e-30)
        np.testing.assert_allclose(gradients[name] / scale, array / scale, rtol=0, atol=1e-12)


@pytest.fixture
def few(monkeypatch):
    """Few rows are many."""
    monkeypatch.setattr(run, "MANY", 0)
    monkeypatch.setattr(running, "FEW", 0)


@pytest.mark.parametrize("name", CASES)
def test_each_of_several_models_is_what_it_is_alone(name, few, monkeypatch):
    monkeypatch.setitem(SIZES, "N", 37)
    case = CASES[name]
    shared, each = models(case, 3)
    function, together = function_of(case, "numpy", each[0])
    if not together.pays(1):  # the models share no rows: they are not put together
        assert name in APART
        return
    names = [given.name for given in function.program.inputs]
    for found, own in zip(together(shared, each), each, strict=True):
        agree(found, function.raw.whole(*[{**shared, **own}[name] for name in names]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("count", range(1, 2 * TOGETHER[-1] + 2))
def test_any_number_of_models(backend, count, few, monkeypatch):
    monkeypatch.setitem(SIZES, "N", 200)
    case = CASES["neuron"]
    shared, each = models(case, count)
    function, together = function_of(case, backend, each[0])
    found = together(shared, each)
    assert len(found) == count and set(together.made) <= set(TOGETHER)
    for one, own in zip(found, each, strict=True):
        agree(one, function.raw.whole(*[{**shared, **own}[g.name] for g in function.program.inputs]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_number_of_threads_changes_no_bit(backend, few, monkeypatch):
    monkeypatch.setitem(SIZES, "N", 3000)
    shared, each = models(CASES["two layers"], 3)
    _, together = function_of(CASES["two layers"], backend, each[0])
    first = together(shared, each)
    together.run.blocked.threads = 3
    for _, blocked in together.made.values():
        blocked.threads = 3
    for (value, gradients), (other, slopes) in zip(first, together(shared, each), strict=True):
        assert value == other
        assert all(np.array_equal(gradients[name], slopes[name]) for name in gradients)


def test_what_the_models_share_is_there_once():
    case = CASES["logistic by softplus"]
    _, each = models(case, 2)
    _, together = function_of(case, "numpy", each[0])
    copies, _ = together.copies(4)
    assert [given.name for given in copies.program.inputs].count("X") == 1
    assert len(copies.program.gradients) == 4 * 3 - 1
