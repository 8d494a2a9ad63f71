"""Does a program come apart along its rows, and is it still the same program?"""

import re
from itertools import pairwise

import numpy as np
import pytest
from backends.losses import CASES, SIZES, arrays, compiled
from hypothesis import given
from hypothesis import strategies as st

import gradstep as gs
from gradstep.backends import blocks, run
from gradstep.backends.blocks import Blocked, InMemory, divided
from gradstep.backends.parts import Part
from gradstep.backends.rows import cut
from gradstep.backends.source import executed
from gradstep.backends.threads import shared_out
from gradstep.expression.errors import MathError

SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N"}
NO_ROWS = {"quadratic form", "a constant gradient", "a gradient that is data", "a repeated gradient"}
NO_ROWS |= {"no dependence", "sizes as numbers"}


def derived(text, wrt, **shapes):
    return gs.derive(gs.parse(text, **shapes), wrt, certify=False)


def by_blocks(f, values, threads=1, **options):
    """Value and gradients of a compiled function, block by block."""
    rows = cut(f.program)
    named = {str(given.symbol.params[0]): np.asarray(values[given.name]) for given in f.program.inputs}
    fixed = {name: array for name, array in named.items() if name not in rows.axes}
    kind = np.result_type(*named.values())
    return Blocked(f.program, rows, threads, **options).run(InMemory(named, rows.axes), fixed, kind)


@pytest.fixture
def tiny(monkeypatch):
    """Blocks of very few rows, and few groups."""
    monkeypatch.setattr(blocks, "FEWEST", 2)
    monkeypatch.setattr(blocks, "BLOCK", 1)
    monkeypatch.setattr(blocks, "GROUPS", 5)


@pytest.mark.parametrize("name", [name for name in CASES if name not in NO_ROWS])
def test_blocks_of_rows_give_the_whole_with_any_number_of_threads(name, tiny, monkeypatch):
    monkeypatch.setitem(SIZES, "N", 37)
    case = CASES[name]
    f, values = compiled(case), arrays(case)
    value, gradients = f(**values)
    found = [by_blocks(f, values, threads) for threads in (1, 2, 3)]
    for key, array in zip(f.program.outputs, [value, *gradients.values()], strict=True):
        np.testing.assert_allclose(found[0][key], array, rtol=1e-11, atol=1e-13)
        assert all(np.array_equal(found[0][key], other[key]) for other in found)


def test_a_buffer_is_used_again_only_after_its_last_reader(tiny):
    """The same bits as with a new array for each result."""
    used = 0
    for name in sorted(CASES.keys() - NO_ROWS):
        f = compiled(CASES[name])
        values = arrays(CASES[name])
        named = {str(g.symbol.params[0]): np.float32(values[g.name]) for g in f.program.inputs}
        rows = cut(f.program)
        blocked = Blocked(f.program, rows, 1)
        fixed = {name: array for name, array in named.items() if name not in rows.axes}
        found = blocked.run(InMemory(named, rows.axes), fixed, np.float32)
        for number, made in enumerate(blocked.passes):
            plain, places = re.subn(r", out=\w+", "", made.source)
            blocked.passes[number] = Part(plain, made.buffers, executed(plain))
            used += places
        other = blocked.run(InMemory(named, rows.axes), fixed, np.float32)
        assert all(np.array_equal(found[key], other[key], equal_nan=True) for key in found), name
    assert used > 200


@pytest.mark.parametrize("name", sorted(NO_ROWS))
def test_what_has_no_rows_says_so(name):
    with pytest.raises(MathError, match="block by block") as error:
        cut(compiled(CASES[name]).program)
    assert error.value.facts


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("mean((y - relu(X @ w + b))**2)", 1),
        ("sum(exp(X @ w) - y*(X @ w)) + sum(w**2)", 1),
        ("norm(y - X @ w)", 2),  # the gradient needs the length
        ("e = y - X @ w - b; mean((e - mean(e))**2)", 2),
        ("m = X - mean(X, axis=0); s = mean(m**2, axis=0); mean((y - (m/sqrt(s + 1)) @ w)**2)", 3),
        ("logsumexp(X @ w + b) - max(y)", 3),
        ("sum(softmax(X @ w) * y)", 4),  # the largest, how far the logarithm of the sum is above it, the loss
    ],
)
def test_as_many_passes_as_totals_that_others_need(text, passes, tiny):
    used = {name: shape for name, shape in SHAPES.items() if re.search(rf"\b{name}\b", text)}
    f = gs.compile(derived(text, [name for name in "wb" if name in used], **used))
    assert len(cut(f.program).passes) == passes
    rng = np.random.default_rng(1)
    sizes = {"N": 23, "d": 4}
    values = {name: rng.normal(size=[sizes[size] for size in shape.split()]) for name, shape in used.items()}
    value, gradients = f(**values)
    found = by_blocks(f, values)
    np.testing.assert_allclose(next(iter(found.values())), value, rtol=1e-12)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-11, atol=1e-13)


def test_predictions_come_row_by_row(tiny):
    f = gs.compile(gs.parse("relu(X @ w + b)", X="N d", w="d", b=""))
    values = {"X": np.arange(22.0).reshape(11, 2), "w": np.array([1.0, -0.5]), "b": 0.25}
    assert np.array_equal(by_blocks(f, values)[""], f(**values))


@pytest.mark.parametrize(
    ("text", "shapes", "why"),
    [
        ("y @ exp(X @ X.T) @ y + sum(w)", {"X": "N d", "y": "N", "w": "d"}, "every pair"),
        ("y @ inv(K) @ y + sum(w)", {"y": "N", "K": "N N", "w": "d"}, "every pair"),
        ("sum(cumsum(y) * (X @ w))", {"X": "N d", "y": "N", "w": "d"}, "all rows"),
    ],
)
def test_a_reason_is_given_where_all_rows_are_needed(text, shapes, why):
    f = gs.compile(derived(text, ["w"], **shapes))
    with pytest.raises(MathError) as error:
        cut(f.program, "N")
    assert why in " ".join(error.value.facts)
    assert "all rows at once" in f.report


def test_which_size_counts_the_rows_can_be_said():
    d = derived("sum((A - u @ v)**2)", ["u"], A="m n", u="m k", v="k n")
    assert cut(gs.compile(d).program).size == "n"  # u has m
    assert cut(gs.compile(d, batch="n").program).size == "n"
    for wrong in ("m", "k", "z"):
        with pytest.raises(MathError, match="does not count the rows"):
            gs.compile(d, batch=wrong)


@pytest.mark.parametrize("options", [{"threads": 0}, {"threads": 1.5}, {"batch": 3}, {"accumulate": "half"}])
def test_options_that_make_no_sense(options):
    with pytest.raises(MathError):
        gs.compile(derived("mean((y - X @ w)**2)", ["w"], X="N d", y="N", w="d"), **options)


def test_a_large_call_runs_in_blocks_and_tells(monkeypatch):
    monkeypatch.setattr(run, "MANY", 1000)
    monkeypatch.setattr(blocks, "BLOCK", 1000)
    d = derived("mean((y - relu(X @ w + b))**2)", ["w", "b"], **SHAPES)
    rng = np.random.default_rng(0)
    values = {"X": rng.normal(size=(1000, 3)), "y": rng.normal(size=1000), "w": rng.normal(size=3), "b": 0.1}
    f, g = gs.compile(d, threads=2), gs.compile(d, threads=1)
    value, gradients = f(**values)
    other, others = g(**values)
    assert value == other and all(np.array_equal(gradients[name], others[name]) for name in "wb")
    assert "1,000 rows in 16 blocks of 64" in f.report and "2 threads" in f.report
    e = values["y"] - np.maximum(values["X"] @ values["w"] + 0.1, 0)
    assert value == pytest.approx((e**2).mean(), rel=1e-14)


def test_a_loss_in_float32_is_added_up_in_float64(tiny, monkeypatch):
    monkeypatch.setattr(blocks, "FEWEST", 4096)
    rng = np.random.default_rng(0)
    x = rng.normal(size=200_000).astype(np.float32) + np.float32(10)
    f = gs.compile(derived("sum((y - w*x)**2)", ["w"], y="N", x="N", w=""))
    values = {"y": np.zeros_like(x), "x": x, "w": np.float32(1)}
    exact = np.sum(x.astype(np.float64) ** 2)
    assert abs(next(iter(by_blocks(f, values).values())) / exact - 1) < 1e-8
    found = by_blocks(f, values, exactly=True)
    assert abs(found["w"] / (2 * exact) - 1) < 1e-13


@given(st.integers(1, 10**9), st.integers(1, 10**7), st.integers(0, 10**9))
def test_a_division_covers_every_row_once(count, row, totals):
    division = divided(count, row, totals)
    if count / division.rows > 10_000:
        return
    cuts = [cut for group in division.groups() for cut in group]
    assert cuts[0][0] == 0 and cuts[-1][1] == count
    assert all(end == start for (_, end), (start, _) in pairwise(cuts))
    assert all(0 < stop - start <= division.rows for start, stop in cuts)


def test_all_passes_have_the_same_blocks():
    loss = gs.parse("-y @ log_softmax(tanh(X @ w) * exp(X @ v))", X="N d", w="d", v="d", y="N")
    f = gs.compile(gs.derive(loss, ["w", "v"], certify=False))
    run = Blocked(f.program, cut(f.program))
    shapes = {"X": (5000, 30), "y": (5000,), "w": (30,), "v": (30,)}
    run.of({name: np.ones(shape) for name, shape in shapes.items()})
    assert len(run.divisions) > 1 and len({division.rows for division in run.divisions.values()}) == 1


def test_work_is_shared_out_in_order_and_errors_come_back():
    assert shared_out(lambda k: k * k, 100, 3) == [k * k for k in range(100)]
    assert shared_out(lambda k: shared_out(lambda j: j, 3, 2), 4, 2) == [[0, 1, 2]] * 4

    def failing(k):
        if k == 5:
            raise ValueError("five")
        return k

    with pytest.raises(ValueError, match="five"):
        shared_out(failing, 50, 2)
    assert shared_out(lambda k: k, 5, 2) == list(range(5))
