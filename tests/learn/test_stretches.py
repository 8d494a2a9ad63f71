"""Does a descent in stretches read like one step by step, to the last bit?"""

import signal
from dataclasses import fields

import numpy as np
import pytest
from tables import each

import gradstep as gs
from gradstep.backends.native import batching, engine, walker
from gradstep.expression.errors import MathError
from gradstep.learn import choices, interrupts, objective, stretches, walks
from gradstep.learn.choices import Choice, translated
from gradstep.learn.descent import descend
from gradstep.learn.optimisers import optimiser_named
from gradstep.learn.plan import Plan
from gradstep.learn.surface import Layout

pytest.importorskip("llvmlite")

SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N"}
LOSS = "mean((y - relu(X @ w + b))**2)"
RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(90, 3))
DATA = {"X": X, "y": np.maximum(0, X @ [1.0, -2.0, 0.5] + 0.3) + 0.1 * RANDOM.normal(size=90)}
START = {"w": np.full(3, 0.1), "b": np.array(1.0)}


def machine(loss=LOSS, optimiser="gradient descent", data=DATA, start=START):
    task = (gs.parse(loss, **SHAPES), ("w", "b"), ())
    choice = Choice("native", None, optimiser_named(optimiser), 0.1, 100, None, 0)
    rows = np.arange(len(data["y"]))
    plan = Plan(data, ("X", "y"), rows, rows[:0], rows[:0], None, None, None, ())
    made = choice.machine(translated(task, "native", None), data, start, plan)
    assert not isinstance(made, str), made
    return made


def both(settings, loss=LOSS, data=DATA):
    """A descent in stretches, and one step by step with the same code."""
    made = machine(loss, settings.get("optimiser", "gradient descent"), data)
    layout = Layout.of(START)
    return (
        descend(made.objective(layout), START, machine=made, **settings),
        descend(made.objective(layout), START, **settings),
    )


@pytest.mark.parametrize("optimiser", ["gradient descent", "momentum", "adam"])
@pytest.mark.parametrize(
    ("rate", "steps", "tolerance"),
    [
        (0.05, 700, 1e-6),
        (0.05, 3000, 1e-12),
        (0.01, 1, 1e-6),
        (0.3, 900, 0),
        (0.9, 400, 1e-4),
        (1e-9, 999, 1e-3),
    ],
)
def test_stretches_are_single_steps_to_the_last_bit(optimiser, rate, steps, tolerance):
    settings = {"optimiser": optimiser, "learning_rate": rate, "steps": steps, "tolerance": tolerance}
    try:
        one, other = both(settings)
    except MathError as error:
        with pytest.raises(MathError, match=str(error).splitlines()[0]):
            both(settings)
        return
    assert one.path.keys() == other.path.keys()
    for name in START:
        np.testing.assert_array_equal(one.path[name], other.path[name])
        np.testing.assert_array_equal(one.parameters[name], other.parameters[name])
    differing = {
        field.name
        for field in fields(one)
        if field.name not in ("path", "parameters", "notes")
        and getattr(one, field.name) != getattr(other, field.name)
    }
    assert not differing
    assert [note.split(":")[0] for note in one.notes] == [note.split(":")[0] for note in other.notes]


@pytest.mark.parametrize("optimiser", ["momentum", "adam"])
@pytest.mark.parametrize(("loss", "tolerance"), [(LOSS, 1e-6), (LOSS, 0), ("mean(abs(y - X @ w - b))", 1e-9)])
def test_a_rate_that_is_tried_and_halved(optimiser, loss, tolerance):
    one, other = both({"optimiser": optimiser, "steps": 1500, "tolerance": tolerance}, loss)
    assert one.rates == other.rates
    assert one.history == other.history
    assert (one.stopped, one.evaluations, one.best_step) == (
        other.stopped,
        other.evaluations,
        other.best_step,
    )
    assert len(set(one.rates)) > 1 or one.stopped == "converged"


KINKS = "mean(abs(y - X @ w - b))"


@pytest.mark.parametrize("tolerance", [1e-6, 1e-12, 0])
@pytest.mark.parametrize("loss", [LOSS, KINKS, "mean(log(1 + (y - X @ w - b)**2)) + 0.1*sum(w**2)"])
def test_fitted_rates_are_the_same_in_stretches_of_any_length(loss, tolerance, monkeypatch):
    settings = {"steps": 600, "tolerance": tolerance, "start": START, "standardise": False}
    smooth, loss = loss != KINKS, gs.parse(loss, **SHAPES)
    one = gs.train(loss, DATA, backend="native", **settings)
    monkeypatch.setattr(stretches, "GROWTH", 0)
    other = gs.train(loss, DATA, backend="native", **settings)
    for field in fields(one.descent):
        if field.name not in ("path", "parameters"):
            assert getattr(one.descent, field.name) == getattr(other.descent, field.name), field.name
    for name in START:
        np.testing.assert_array_equal(one.descent.path[name], other.descent.path[name])
    right = gs.train(loss, DATA, backend="numpy", **settings)
    assert "many steps at a time" in one.report()
    assert one.descent.rates[:15] == pytest.approx(right.descent.rates[:15], rel=1e-8)
    assert one.loss == pytest.approx(right.loss, rel=1e-5)
    assert one.stopped == right.stopped or not smooth
    for fit in (one, right):
        assert any("the loss has kinks" in note for note in fit.notes) != smooth


@pytest.mark.parametrize("batch", [None, 16])
@pytest.mark.parametrize(
    ("optimiser", "rate"), [("gradient descent", None), ("adam", 0.01), ("momentum", None)]
)
@pytest.mark.parametrize("watching", [{"watch": 0.3}, {"enough": 0.05}, {"watch": 0.3, "enough": 0.05}])
def test_what_is_watched_in_stretches_stops_as_in_numpy(optimiser, rate, batch, watching):
    settings = {"optimiser": optimiser, "learning_rate": rate, "batch": batch, "steps": 400, **watching}
    loss = gs.parse(LOSS, **SHAPES)
    one, other = (gs.train(loss, DATA, backend=backend, **settings) for backend in ("native", "numpy"))
    assert "many steps at a time" in one.report()
    assert (one.stopped, one.steps, one.descent.best_step) == (
        other.stopped,
        other.steps,
        other.descent.best_step,
    )
    np.testing.assert_allclose(one.descent.watched, other.descent.watched, rtol=1e-9)
    for name in START:
        np.testing.assert_allclose(one.parameters[name], other.parameters[name], rtol=1e-8)


@pytest.mark.parametrize(
    ("loss", "rate", "says"),
    [
        (LOSS, 50.0, "runs away"),
        (LOSS, 1e200, "no longer a number"),
        ("sum(X @ w + b) - 1e300*sum(w)*1e-200 + 0*sum(y)", 1e60, "falls without bound"),
    ],
)
def test_what_a_step_may_not_do_is_said_as_it_is_step_by_step(loss, rate, says):
    with pytest.raises(MathError, match=says) as one:
        descend(lambda parameters: None, START, machine=machine(loss), learning_rate=rate, tolerance=0)
    made = machine(loss)
    with pytest.raises(MathError) as other:
        descend(made.objective(Layout.of(START)), START, learning_rate=rate, tolerance=0)
    assert str(one.value) == str(other.value)


def test_a_dead_network_is_stuck():
    dead = {"w": np.zeros(3), "b": np.array(0.5)}
    data = {"X": DATA["X"], "y": np.full(90, -9.0)}
    one = descend(lambda p: None, dead, machine=machine(data=data), learning_rate=0.5, tolerance=0)
    assert one.stopped in ("stuck", "converged")
    assert one.steps < 5


def test_progress_is_shown_and_ctrl_c_returns_what_was_reached():
    seen = []

    def show(step, steps, loss):
        seen.append(step)
        if step > 500:
            raise KeyboardInterrupt

    found = gs.train(
        gs.parse(LOSS, **SHAPES), DATA, backend="native", learning_rate=1e-3, steps=100_000, progress=show
    )
    assert found.stopped == "interrupted"
    assert found.steps == seen[-1] == len(found.history) - 1
    assert len(seen) < 100


@pytest.mark.parametrize("optimiser", ["gradient descent", "momentum", "adam"])
@pytest.mark.parametrize("batch", [None, 16])
@pytest.mark.parametrize("rate", [None, 0.01])
def test_machine_code_and_numpy_train_alike(optimiser, batch, rate):
    settings = {"optimiser": optimiser, "learning_rate": rate, "steps": 40, "batch": batch}
    loss = gs.parse(LOSS, **SHAPES)
    one = gs.train(loss, DATA, backend="native", **settings)
    other = gs.train(loss, DATA, backend="numpy", **settings)
    for name in START:
        np.testing.assert_allclose(one.parameters[name], other.parameters[name], rtol=1e-10)
    np.testing.assert_allclose(one.history, other.history, rtol=1e-10)
    assert (one.steps, one.stopped, one.descent.evaluations) == (
        other.steps,
        other.stopped,
        other.descent.evaluations,
    )
    assert "machine code" in one.report()
    assert "NumPy" in other.report()


def test_training_again_neither_derives_nor_compiles(monkeypatch):
    loss = gs.parse(LOSS, **SHAPES)
    first = gs.train(loss, DATA, backend="native", learning_rate=0.01, steps=50)
    monkeypatch.setattr(choices, "derive", None)
    monkeypatch.setattr(choices, "compiled", None)
    monkeypatch.setattr(objective, "compile_outputs", None)
    monkeypatch.setattr(engine, "load", None)
    again = gs.train(loss, DATA, backend="native", learning_rate=0.01, steps=50)
    assert again.history == first.history


def test_a_loss_without_code_falls_back_and_says_why():
    loss = gs.parse("mean(logsumexp(X * w, axis=0)**2)", X="N d", w="d")
    data = {"X": np.random.default_rng(0).normal(size=(40, 30))}
    fit = gs.train(loss, data, backend="native", learning_rate=1e-4, steps=2, standardise=False)
    assert "trained step by step: a total of the kind logsumexp has no compiled form" in fit.report()
    assert "NumPy, all rows at once" in fit.report()


@pytest.mark.parametrize(
    "settings", [{}, {"batch": 16}, {"optimiser": "adam", "batch": 40, "steps": 20}], ids=str
)
def test_a_network_with_wide_layers_trains_in_machine_code(settings):
    loss = gs.parse("mean((y - tanh(X @ W + a) @ v)**2)", X="N d", W="d h", a="h", v="h", y="N")
    random = np.random.default_rng(0)
    X = random.normal(size=(150, 30))
    settings = {"learning_rate": 1e-2, "steps": 30, "sizes": {"h": 40}, **settings}
    one, other = (
        gs.train(loss, {"X": X, "y": np.sin(X[:, 0])}, backend=backend, **settings)
        for backend in ("native", "numpy")
    )
    assert one.history == pytest.approx(other.history, rel=1e-9)
    assert "machine code, many steps at a time" in one.report()
    assert one.steps == other.steps


def test_a_back_end_that_is_not_there():
    with pytest.raises(MathError, match="there is no back end 'nativ'") as caught:
        gs.train(gs.parse(LOSS, **SHAPES), DATA, backend="nativ")
    assert caught.value.mend == 'backend="native"'


NORMED = "z = X @ w; u = (z - mean(z))/sqrt(mean((z - mean(z))**2) + 0.1); mean((y - u)**2)"
ODD = {
    "one number": ("mean((y - c)**2)", {"c": "", "y": "N"}, {"y": (9,)}, {"batch": 1}),
    "one row": (LOSS, SHAPES, {"X": (1, 3), "y": (1,)}, {}),
    "rows last": ("mean((y - w @ X)**2)", {"X": "d N", "w": "d", "y": "N"}, {"X": (30, 21), "y": (21,)}, {}),
    "weights turned round": (
        "mean((Y - X @ W.T)**2) + 0.1*sum(W**2)",
        {"X": "N d", "W": "k d", "Y": "N k"},
        {"X": (30, 50), "Y": (30, 3)},
        {"batch": 1, "optimiser": "adam"},
    ),
    "three passes": (NORMED, {"X": "N d", "w": "d", "y": "N"}, {"X": (40, 33), "y": (40,)}, {"batch": 7}),
    "three passes, one row": (
        NORMED,
        {"X": "N d", "w": "d", "y": "N"},
        {"X": (40, 33), "y": (40,)},
        {"batch": 1},
    ),
    "data that are not needed": (
        "mean((X @ w)**2) + 0*sum(y)",
        {"X": "N d", "w": "d", "y": "N"},
        {"X": (20, 3), "y": (20,)},
        {"batch": 3},
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_shapes_train_as_in_numpy(name):
    text, shapes, sizes, settings = ODD[name]
    random = np.random.default_rng(1)
    data = {name: random.normal(size=size) for name, size in sizes.items()}
    fits = [
        gs.train(gs.parse(text, **shapes), data, backend=backend, learning_rate=1e-2, steps=9, **settings)
        for backend in ("native", "numpy")
    ]
    assert "many steps at a time" in fits[0].report()
    np.testing.assert_allclose(fits[0].history, fits[1].history, rtol=1e-10)


# ------------------------------------------------------------------------------------------- in pieces

WIDE = gs.parse("mean((y - tanh(X @ W + c) @ v - b)**2)", W="d 16", c="16", v="16", **SHAPES)
NEURON = gs.parse(LOSS, **SHAPES)
BATCHES = [(NEURON, 1), (NEURON, 8), (WIDE, 8), (WIDE, 50)]


@each(("loss", "batch"), BATCHES)
def test_a_walk_through_batches_in_pieces_has_the_same_bits(loss, batch):
    settings = {"batch": batch, "optimiser": "adam", "backend": "native", "steps": 6, "seed": 3}
    whole = gs.train(loss, DATA, **settings)
    calls, call = [], walker.Walker.call
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walker, "PIECE", 16)
        patch.setattr(walker, "LONGEST", 0)
        patch.setattr(walker.Walker, "call", lambda self: calls.append(1) or call(self))
        pieces = gs.train(loss, DATA, **settings)
    assert pieces.history == whole.history and (loss is WIDE or len(calls) > 4 * 6)
    assert all(np.array_equal(pieces.parameters[name], value) for name, value in whole.parameters.items())
    assert np.array_equal(
        pieces.descent.path[next(iter(whole.parameters))], whole.descent.path[next(iter(whole.parameters))]
    )


@each(("loss", "batch", "backend"), [(*each, backend) for each in BATCHES for backend in ("native", "numpy")])
def test_ctrl_c_is_heard_within_a_long_walk_through_batches(loss, batch, backend, tmp_path_factory):
    settings = {"batch": batch, "optimiser": "adam", "learning_rate": 0.01, "backend": backend, "steps": 4}
    whole = gs.train(loss, DATA, **settings)
    place, heard, begun = tmp_path_factory.mktemp("kept") / "run", [], []

    def patient(listen):
        begun.append(1)

        def pressed():
            heard.append(len(begun))
            if heard.count(3) == 2 and len(begun) == 3:  # in the middle of the third walk
                signal.raise_signal(signal.SIGINT)
            listen()

        return pressed

    with pytest.MonkeyPatch.context() as patch:
        for module in (stretches, walks):
            patch.setattr(module, "patient", patient)
        patch.setattr(stretches, "LONGEST", 0)  # a walk at a time
        for module in (walker, batching):
            patch.setattr(module, "LONGEST", 0)
        patch.setattr(walker, "PIECE", 1)
        stopped = gs.train(loss, DATA, checkpoint=place, **settings)
    assert stopped.stopped == "interrupted" and stopped.steps == 2 and heard.count(3) == 2
    again = gs.train(loss, DATA, checkpoint=place, resume=True, **settings)
    assert again.history == whole.history
    assert all(np.array_equal(again.parameters[name], value) for name, value in whole.parameters.items())


def test_what_is_soon_over_is_finished_and_what_is_not_is_not(monkeypatch):
    now, heard = [0.0], []
    monkeypatch.setattr(interrupts.time, "monotonic", lambda: now[0])
    listen = interrupts.patient(lambda: heard.append(now[0]))
    for now[0] in (0.0, 0.4, 0.6, 5.0):
        listen()
    assert heard == [0.6, 5.0]
