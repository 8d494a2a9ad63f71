"""Does a walk with products of matrices go where NumPy goes: any loss, optimiser, all rows, batches?"""

import numpy as np
import pytest
from backends.test_matrices import LOSSES, SIZES, function, values_of
from backends.test_walker import RULES, STEPS, by_numpy, flat

from gradstep.backends.native import batching
from gradstep.backends.native.making import Rule
from gradstep.backends.native.striding import Strider
from gradstep.learn.optimisers import ADAM, GRADIENT_DESCENT, MOMENTUM

pytest.importorskip("llvmlite")


@pytest.fixture(autouse=True, scope="module")
def kept_here(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADSTEP_CACHE", str(tmp_path_factory.mktemp("objects")))
        yield


def strider_of(f, values, rule, batch=0, threads=1):
    named = {str(given.symbol.params[0]): values[given.name] for given in f.program.inputs}
    steps = Rule(rule.name, rule.init, rule.update)
    return Strider(f.program, named, list(f.program.gradients), steps, batch, threads), steps


@pytest.mark.parametrize("name", LOSSES)
def test_a_walk_goes_where_numpy_goes(name):
    f = function(name)
    names, rule, values = list(f.program.gradients), RULES[len(name) % len(RULES)], values_of(f)
    strider, steps = strider_of(f, values, rule)
    losses, x = by_numpy(f, values, names, rule, 1e-2)
    strider.begin(flat(values, names), steps)
    stretch = strider.run(STEPS, 1e-2, 5, 5)
    assert stretch.table[:, 0] == pytest.approx(losses, rel=1e-9)
    assert strider.vector("x") == pytest.approx(x, rel=1e-8, abs=1e-10)
    assert len(stretch.pictures) == STEPS // 5


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        *(("tanh and few classes", rule) for rule in RULES),
        ("a penalty", GRADIENT_DESCENT),
        ("a weight twice", ADAM),
        ("one answer", MOMENTUM),
        ("factors", ADAM),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_batches_go_where_numpy_goes(name, rule):
    f = function(name)
    names, rows, batch = list(f.program.gradients), SIZES["N"], 16
    values, random = values_of(f), np.random.default_rng(1)
    orders = np.stack([random.permutation(rows) for _ in range(STEPS)])
    along = {given.name for given in f.program.inputs if "N" in given.declared.shape}
    strider, steps = strider_of(f, values, rule, batch)
    assert (strider.in_batches is None) == (name == "factors")
    by_itself = [line for line in strider.report() if line.startswith("each mini-batch is a call of its own")]
    assert bool(by_itself) == (name == "factors")
    cuts = [np.split(order, range(batch, rows, batch)) for order in orders]
    losses, x = by_numpy(f, values, names, rule, 1e-2, cuts, along)
    strider.begin(flat(values, names), steps)
    first = strider.run(5, 1e-2, 100, 100, orders[:5]).table[:, 0].tolist()
    saved = strider.saved()
    strider.run(2, 1e-2, 100, 100, orders[5:7])
    strider.restore(saved)
    rest = strider.run(STEPS - 5, 1e-2, 100, 100, orders[5:]).table[:, 0].tolist()
    assert first + rest == pytest.approx(losses, rel=1e-9)
    assert strider.vector("x") == pytest.approx(x, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("name", ["tanh and few classes", "a penalty", "one answer"])
def test_blocks_of_a_batch_may_be_computed_by_several_threads(name, monkeypatch):
    monkeypatch.setattr(batching, "NEARBY", 1)
    monkeypatch.setattr(batching, "ENOUGH", 1)
    f = function(name)
    names, rule = list(f.program.gradients), RULES[len(name) % len(RULES)]
    values = values_of(f, sizes={**SIZES, "N": 203})
    orders = np.stack([np.random.default_rng(k).permutation(203) for k in range(4)])
    found = []
    for threads in (1, 2, 3):
        strider, steps = strider_of(f, values, rule, 100, threads)
        assert strider.in_batches.rows < 100
        assert threads == 1 or len(strider.in_batches.batches.parts) > len(names)
        strider.begin(flat(values, names), steps)
        for order in orders:
            strider.through(order, 1e-2)
        strider.in_batches.run(None, 1e-2)
        found.append(strider.vector("x"))
    monkeypatch.undo()
    alone, steps = strider_of(f, values, rule, 100)
    alone.begin(flat(values, names), steps)
    for order in orders:
        alone.through(order, 1e-2)
    alone.in_batches.run(np.arange(203), 1e-2)
    for x in found:
        assert x == pytest.approx(alone.vector("x"), rel=1e-9, abs=1e-12)


def test_what_is_told_of_a_step():
    f = function("tanh and few classes")
    values, names = values_of(f), list(f.program.gradients)
    strider, steps = strider_of(f, values, RULES[0])
    strider.begin(flat(values, names), steps)
    before, gradient = strider.vector("x"), strider.vector("g")
    twin = strider.twin()
    told = strider.run(1, 0.1, 9, 9).table[0]
    x, loss, g = strider.point()
    move, change = x - before, g - gradient
    assert told == pytest.approx([loss, g @ g, move @ change, move @ move, np.abs(x).max()], rel=1e-12)
    assert strider.vector("best_x") == pytest.approx(x if loss < f(**values)[0] else before)
    assert np.array_equal(twin.vector("x"), before)
    assert twin.measured(before)[0] == pytest.approx(f(**values)[0])
    assert np.array_equal(strider.vector("x"), x)
