"""Does a call that has gone before give what a new one gives, with the checks of the first?"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from backends.losses import CASES, arrays, compiled, derived

import gradstep as gs
from gradstep.backends import compile_outputs
from gradstep.backends.native import running
from gradstep.expression.errors import MathError

pytest.importorskip("llvmlite")
NAMES = ["neuron", "softmax regression", "norm", "ridge", "standardised columns", "weighted columns"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch, tmp_path_factory):
    """Machine code is used for few data too."""
    monkeypatch.setattr(running, "FEW", 0)
    monkeypatch.setenv("GRADSTEP_CACHE", str(tmp_path_factory.getbasetemp() / "objects"))


def native(case):
    return compile_outputs(*derived(CASES[case]), backend="native")


def flat(found):
    value, gradients = found
    return np.concatenate([np.ravel(value), *map(np.ravel, gradients.values())])


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("name", NAMES)
def test_other_numbers_in_arrays_that_lie_alike(name, kind):
    f, right = native(name), compiled(CASES[name])
    found = {seed: f(**arrays(CASES[name], seed, kind)) for seed in (1, 2, 3, 4)}
    for seed, each in found.items():  # none was overwritten by a later one
        wanted = right(**arrays(CASES[name], seed))
        assert flat(each) == pytest.approx(flat(wanted), rel=1e-12 if kind == np.float64 else 2e-5, abs=1e-6)
        assert [g.dtype for g in each[1].values()] == [kind] * len(each[1])
        assert np.array_equal(flat(native(name)(**arrays(CASES[name], seed, kind))), flat(each))


def test_a_result_may_be_written_to():
    f, values = native("ridge"), arrays(CASES["ridge"])
    first = f(**values)
    expected = flat(first).copy()
    for _ in range(3):
        for gradient in f(**values)[1].values():
            gradient[...] = np.nan
    assert np.array_equal(flat(f(**values)), expected)


def test_layouts_and_kinds_take_turns():
    f, right, values = native("neuron"), compiled(CASES["neuron"]), arrays(CASES["neuron"])
    fixed = values["X"].copy()
    fixed.flags.writeable = False
    ways = [values["X"], np.asfortranarray(values["X"]), np.repeat(values["X"], 2, 0)[::2], fixed]
    ways += [values["X"].astype(np.float32), values["X"].tolist(), values["X"].astype(">f8")]
    for _ in range(3):
        for X in ways:
            for b in (values["b"], float(values["b"]), np.float64(0.5)):
                given = {**values, "X": X, "b": b}
                assert flat(f(**given)) == pytest.approx(flat(right(**given)), rel=1e-6)


def test_what_is_wrong_is_said_after_what_was_right():
    f, values = native("neuron"), arrays(CASES["neuron"])
    changes = [({"y": values["y"][1:]}, "y does not fit"), ({"X": values["X"][0]}, "X has 1 axes")]
    changes += [
        ({"w": np.array(["a"])}, "w should be"),
        ({"x": 1.0}, "no variable x"),
        ({"b": 1j}, "b should"),
    ]
    for _ in range(2):
        f(**values)
        for change, message in changes:
            with pytest.raises(MathError, match=message):
                f(**(values | change))
        with pytest.raises(MathError, match="y has no value"):
            f(**{name: array for name, array in values.items() if name != "y"})
    nothing = {**values, "w": np.full_like(values["w"], np.nan)}
    assert np.isnan(f(**nothing)[0]) and np.isnan(f(**nothing)[1]["w"]).all()


def test_places_to_look_up_are_checked_every_time():
    f = gs.compile(gs.derive(gs.parse("sum(W[i]**2)", W="m", i="n"), ["W"], certify=False), backend="native")
    W, i = np.ones(3), np.array([0.0, 2])
    assert f(W=W, i=i)[0] == f(W=W, i=i)[0] == 2
    with pytest.raises(MathError):
        f(W=W, i=i + 1)


def test_squares_that_leave_the_range_of_numbers_later():
    f = gs.compile(gs.derive(gs.parse("norm(y)", y="N"), ["y"], certify=False), backend="native")
    y = np.random.default_rng(0).normal(size=100)
    for size in (1.0, 1.0, 1e-170, 1e170, 1.0):
        assert f(y=size * y)[0] == pytest.approx(size * np.linalg.norm(y), rel=1e-14)


def test_the_report_is_that_of_the_last_call(monkeypatch):
    monkeypatch.setattr(running, "FEW", 3000)
    f = native("neuron")
    few, many = ({**arrays(CASES["neuron"]), "X": np.ones((n, 3)), "y": np.ones(n)} for n in (50, 200))
    for _ in range(2):
        for values, word in ((few, "are few"), (many, "200 rows in 1 block")):
            f(**values)
            assert word in f.report


def test_several_threads_may_call_it_at_once():
    f, right = native("neuron"), compiled(CASES["neuron"])
    given = [arrays(CASES["neuron"], seed) for seed in range(8)]
    f(**given[0])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: f(**given[k % 8]), range(200)))
    for k, each in enumerate(found):
        assert flat(each) == pytest.approx(flat(right(**given[k % 8])), rel=1e-12)
