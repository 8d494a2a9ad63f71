"""Does a walk in machine code go where NumPy goes: any loss, any optimiser, with all rows and in batches?"""

import numpy as np
import pytest
from backends.losses import CASES, arrays, compiled

from gradstep.backends.native import engine
from gradstep.backends.native.cells import Cells, Unsupported
from gradstep.backends.native.lean import lean, work
from gradstep.backends.native.making import Rule, code_of
from gradstep.backends.native.unrolling import _Unrolling
from gradstep.backends.native.walker import Walker
from gradstep.backends.rows import cut
from gradstep.expression.shapes import Lengths
from gradstep.learn.optimisers import ADAM, GRADIENT_DESCENT, MOMENTUM
from gradstep.operations.evaluation import sizes_of

pytest.importorskip("llvmlite")

STEPS = 12
RULES = (GRADIENT_DESCENT, MOMENTUM, ADAM)
NO_ROWS = {"quadratic form", "a constant gradient", "a gradient that is data", "a repeated gradient"}
NO_ROWS |= {"no dependence", "sizes as numbers"}
FOR_EACH_ROW = {"weighted rows", "outer products", "standardised columns"}  # have parameters for each row
NOT_ALONE = NO_ROWS | FOR_EACH_ROW | {"logsumexp of columns"}


@pytest.fixture(autouse=True, scope="module")
def kept_here(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADSTEP_CACHE", str(tmp_path_factory.mktemp("objects")))
        yield


def walker_of(f, values, names, rule, batch=0):
    named = {str(given.symbol.params[0]): values[given.name] for given in f.program.inputs}
    lengths = sizes_of({str(given.symbol.params[0]): given.symbol for given in f.program.inputs}, named)
    steps = Rule(rule.name, rule.init, rule.update)
    return Walker(code_of(f.program, lengths, names, steps, batch), named, batch), steps


def flat(parts, names):
    return np.concatenate([np.ravel(parts[name]) for name in names])


def opened(x, values, names):
    cuts = np.cumsum([np.size(values[name]) for name in names])[:-1]
    return {
        name: part.reshape(np.shape(values[name]))
        for name, part in zip(names, np.split(x, cuts), strict=True)
    }


def by_numpy(f, values, names, rule, rate, batches=None, axes=()):
    """Where NumPy goes: losses and parameters."""
    x, losses = flat(values, names), []
    state = rule.init(x)
    for k in range(STEPS):
        for rows in [None] if batches is None else batches[k]:
            data = values if rows is None else {n: v[rows] if n in axes else v for n, v in values.items()}
            _, gradients = f(**{**data, **opened(x, values, names)})
            x, state = rule.update(x, flat(gradients, names), state, rate)
        losses.append(f(**{**values, **opened(x, values, names)})[0])
    return np.array(losses), x


@pytest.mark.parametrize("name", sorted(CASES.keys() - NOT_ALONE))
def test_a_walk_goes_where_numpy_goes(name):
    f = compiled(CASES[name])
    names = list(f.program.gradients)
    values = arrays(CASES[name])
    rule = RULES[len(name) % len(RULES)]
    walker, steps = walker_of(f, values, names, rule)
    loss, gradient = walker.measured(flat(values, names))
    right, gradients = f(**values)
    assert loss == pytest.approx(right, rel=1e-12)
    assert gradient == pytest.approx(flat(gradients, names), rel=1e-10, abs=1e-12)
    losses, x = by_numpy(f, values, names, rule, 1e-3)
    walker.begin(flat(values, names), steps)
    stretch = walker.run(STEPS, 1e-3, 5, 5)
    assert stretch.table[:, 0] == pytest.approx(losses, rel=1e-10)
    assert walker.vector("x") == pytest.approx(x, rel=1e-10, abs=1e-12)
    assert len(stretch.pictures) == STEPS // 5


@pytest.mark.parametrize("name", sorted(NOT_ALONE))
def test_what_has_no_code_says_why(name):
    f = compiled(CASES[name])
    with pytest.raises(Unsupported, match=r"rows?|compiled form|summed over"):
        walker_of(f, arrays(CASES[name]), list(f.program.gradients), GRADIENT_DESCENT)


@pytest.mark.parametrize("batch", [1, 3, 8, 50])
@pytest.mark.parametrize(
    ("features", "rule"), [(3, GRADIENT_DESCENT), (30, ADAM), (65, MOMENTUM), (300, GRADIENT_DESCENT)]
)
def test_batches_go_where_numpy_goes(features, rule, batch):
    random = np.random.default_rng(batch)
    case = CASES["ridge"]
    f, names, rows = compiled(case), ["w", "b"], 37
    values = {
        "X": random.normal(size=(rows, features)),
        "y": random.normal(size=rows),
        "w": random.normal(size=features),
        "b": np.array(0.5),
    }
    orders = np.stack([random.permutation(rows) for _ in range(STEPS)])
    walker, steps = walker_of(f, values, names, rule, batch)
    cuts = [np.split(order, range(batch, rows, batch)) for order in orders]
    losses, x = by_numpy(f, values, names, rule, 1e-3, cuts, {"X", "y"})
    walker.begin(flat(values, names), steps)
    first = walker.run(5, 1e-3, 100, 100, orders[:5]).table[:, 0].tolist()
    rest = walker.run(STEPS - 5, 1e-3, 100, 100, orders[5:]).table[:, 0].tolist()
    assert first + rest == pytest.approx(losses, rel=1e-10)
    assert walker.vector("x") == pytest.approx(x, rel=1e-10, abs=1e-12)


def test_what_is_told_of_a_step():
    f, values = compiled(CASES["ridge"]), arrays(CASES["ridge"])
    names = ["w", "b"]
    walker, steps = walker_of(f, values, names, GRADIENT_DESCENT)
    walker.begin(flat(values, names), steps)
    before, gradient = walker.vector("x"), walker.vector("g")
    told = walker.run(1, 0.1, 9, 9).table[0, :5]
    x, loss, g = walker.point()
    move, change = x - before, g - gradient
    assert told == pytest.approx([loss, g @ g, move @ change, move @ move, np.abs(x).max()], rel=1e-12)
    assert walker.vector("best_x") == pytest.approx(x if loss < f(**values)[0] else before)


@pytest.mark.parametrize("vector", [16, 32, 64])
@pytest.mark.parametrize(
    ("rows", "features", "name"),
    [(1, 1, "neuron"), (7, 2, "neuron"), (33, 3, "neuron"), (100, 11, "neuron"), (300, 16, "ridge")],
)
def test_any_number_of_rows_in_vectors_of_any_length(vector, rows, features, name, monkeypatch):
    monkeypatch.setattr(engine, "vector_bytes", lambda: vector)
    monkeypatch.setattr("gradstep.backends.native.making._CODES", {})
    random = np.random.default_rng(rows)
    f, names = compiled(CASES[name]), ["w", "b"]
    values = {
        "X": random.normal(size=(rows, features)),
        "y": random.normal(size=rows),
        "w": random.normal(size=features),
        "b": np.array(0.5),
    }
    walker, steps = walker_of(f, values, names, MOMENTUM)
    losses, x = by_numpy(f, values, names, MOMENTUM, 1e-3)
    walker.begin(flat(values, names), steps)
    assert walker.run(STEPS, 1e-3, 5, 5).table[:, 0] == pytest.approx(losses, rel=1e-12)
    assert walker.vector("x") == pytest.approx(x, rel=1e-12, abs=1e-13)


def test_what_is_the_same_for_all_rows_is_multiplied_once():
    f = compiled(CASES["neuron"])
    rows = cut(f.program)
    (step,) = rows.passes
    form = _Unrolling(step, Cells(rows.size, Lengths({"N": 9, "d": 3}), frozenset())).whole()
    less = lean(form)
    assert work(form.totals) - work(less.totals) == 2  # the mask and −2/N
    assert [total.scale is None for total in less.totals].count(False) == 2
