"""Is each variant of a sweep what it is when it is trained alone, and does the table say what came of it?"""

import signal
import threading
import time

import numpy as np
import pytest

import gradstep as gs
from gradstep.backends import run
from gradstep.backends.native import engine, running
from gradstep.backends.several import Several
from gradstep.expression.errors import MathError
from gradstep.learn import choices
from gradstep.learn.convoy import Convoy
from gradstep.learn.objective import Measuring

SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N"}
LOSS = gs.parse("mean((y - relu(X @ w + b))**2)", **SHAPES)
RIDGE = gs.parse("mean((y - (X @ w + b))**2) + lam*sum(w**2)", **SHAPES, lam="")
RANDOM = np.random.default_rng(3)
PENALISED = gs.parse("mean((y - relu(X @ w + b))**2) + lam*sum(w**2)", **SHAPES, lam="")
X = RANDOM.normal(size=(120, 3))
DATA = {"X": X, "y": np.maximum(0, X @ [1.0, -2.0, 0.5] + 0.3) + 0.1 * RANDOM.normal(size=120)}
BACKENDS = ["numpy", pytest.param("native", marks=pytest.mark.skipif(not engine.available(), reason="extra"))]
USUAL = {"holdout": 0.2, "steps": 40}


@pytest.fixture
def passes(monkeypatch):
    """Few rows are many; gives how many models were measured in each pass over the rows."""
    monkeypatch.setattr(run, "MANY", 0)
    monkeypatch.setattr(running, "FEW", 0)
    counts, usual = [], Several.__call__

    def counted(self, shared, each):
        counts.append(len(each))
        return usual(self, shared, each)

    monkeypatch.setattr(Several, "__call__", counted)
    return counts


def alone(fit, settings, loss=LOSS, data=DATA, **usual):
    """The same variant trained by itself, on the same rows."""
    numbers = {name: settings[name] for name in settings if name == "lam"}
    rest = {name: value for name, value in settings.items() if name not in numbers}
    rows = {"holdout": fit.held_out, "watch": fit.watched}
    return gs.train(loss, {**data, **numbers}, ["w", "b"], **{**usual, **rows, **rest})


def same(fit, other, limit):
    assert (fit.steps, fit.stopped) == (other.steps, other.stopped)
    for name, value in other.parameters.items():
        np.testing.assert_allclose(fit.parameters[name], value, rtol=limit, atol=limit)
    np.testing.assert_allclose(fit.history, other.history, rtol=limit)
    np.testing.assert_allclose(fit.held_out_loss, other.held_out_loss, rtol=limit)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("loss", "sweep", "usual"),
    [
        (LOSS, {"learning_rate": [0.01, 0.1, None], "seed": [0, 1]}, {}),
        (LOSS, {"optimiser": ["adam", "momentum", "l-bfgs", "newton-cg"]}, {"watch": 0.1}),
        (LOSS, {"batch": [10, 25, None], "steps": [3, 7]}, {"learning_rate": 0.05}),
        (RIDGE, {"lam": [0, 0.1, 1], "learning_rate": [None, 0.1]}, {}),
        (PENALISED, {"lam": [0.5, 0.1], "tolerance": [1e-3, 1e-6]}, {"optimiser": "levenberg-marquardt"}),
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_each_variant_is_what_it_is_alone(loss, sweep, usual, backend, many, request):
    usual = {**USUAL, **usual, "backend": backend}
    if many:
        counts = request.getfixturevalue("passes")
    found = gs.train(loss, DATA, ["w", "b"], sweep=sweep, **usual)
    assert len(found) == np.prod([len(values) for values in sweep.values()]) and not found.failed
    for fit, settings in zip(found, found.settings, strict=True):
        # Several models in one pass are added up in another order, and later steps see the difference.
        same(fit, alone(fit, settings, loss, **usual), 1e-12 if many else 0)
        assert fit.derivation.certificate.verdict
    if many and "batch" not in sweep and "optimiser" not in sweep:
        assert counts[0] == len(found), "all variants share the first pass"


def test_variants_leave_the_passes_when_they_are_over(passes):
    usual = {"tolerance": 0, "learning_rate": 0.1, "backend": "numpy"}
    found = gs.train(LOSS, DATA, ["w", "b"], sweep={"steps": [1, 5, 9]}, **usual)
    assert [fit.steps for fit in found] == [1, 5, 9]
    after = [
        3,
        3 * 14,
    ]  # for all together: the loss in the units of the data, and near it for rounding errors
    assert passes == [3, 3, 2, 2, 2, 2, 1, 1, 1, 1, *after]


def test_batches_of_one_seed_are_shared_and_others_are_not(passes):
    sweep = {"seed": [0, 1], "learning_rate": [0.01, 0.1]}
    gs.train(LOSS, DATA, ["w", "b"], sweep=sweep, batch=40, steps=2, backend="numpy")
    a_pass = [2, 2] * 3 + [4]  # three batches for each seed, and the loss on all rows
    assert passes == [4, *a_pass, *a_pass, 4, 4 * 14]


@pytest.mark.parametrize("batch", [None, 40])
def test_learning_rates_are_tried_in_common_passes(passes, monkeypatch, batch):
    usual = {"optimiser": "adam", "steps": 5, "backend": "numpy", "batch": batch}
    common = gs.train(LOSS, DATA, ["w", "b"], **usual)
    assert passes[0] == 10 and sum(passes) > 8 * len(passes)
    monkeypatch.setattr(Measuring, "together", lambda self, places: [self(each) for each in places])
    one_by_one = gs.train(LOSS, DATA, ["w", "b"], **usual)
    assert common.descent.evaluations == one_by_one.descent.evaluations
    np.testing.assert_allclose(common.descent.rates, one_by_one.descent.rates, rtol=1e-12)
    np.testing.assert_allclose(common.history, one_by_one.history, rtol=1e-12)


@pytest.mark.skipif(not engine.available(), reason="extra")
def test_what_is_compiled_serves_all_variants(monkeypatch):
    monkeypatch.setattr(choices, "PAYS", 0.02)
    usual = {"steps": 20, "learning_rate": 0.1}
    alone = gs.train(LOSS, DATA, ["w", "b"], **usual)
    found = gs.train(LOSS, DATA, ["w", "b"], sweep={"seed": range(40)}, **usual)
    assert "in NumPy" in alone.ran[0] and all("machine code" in fit.ran[0] for fit in found)
    np.testing.assert_allclose(found[0].history, alone.history, rtol=1e-12)


def test_values_of_numpy_are_those_of_python():
    found = gs.train(LOSS, DATA, ["w", "b"], sweep={"learning_rate": [np.float32(0.5)], "seed": np.arange(2)})
    assert [type(value) for value in found.best_settings.values()] == [float, int]


def test_the_best_is_said_and_why():
    found = gs.train(LOSS, DATA, ["w", "b"], sweep={"learning_rate": [0.001, 0.1]}, **USUAL)
    assert found.best is found[1] and found.best_settings == {"learning_rate": 0.1}
    assert found.judged == ("loss on held-out rows", tuple(fit.held_out_loss for fit in found))
    by_training = gs.train(LOSS, DATA, ["w", "b"], sweep={"learning_rate": [0.001, 0.1]}, steps=40)
    assert by_training.judged == ("loss on the rows trained with", tuple(fit.loss for fit in by_training))


def test_formulas_with_other_numbers_are_compared_by_how_well_they_predict():
    found = gs.train(RIDGE, DATA, ["w", "b"], sweep={"lam": [3, 0.01]}, **USUAL)
    name, values = found.judged
    assert name == "mean squared error on held-out rows"
    assert values == tuple(fit.scores[0].held_out["mean squared error"] for fit in found)
    assert found.best_settings == {"lam": 0.01} and found.best.data["lam"] == 0.01
    assert name in found.table()


def test_the_table_has_a_line_for_every_variant_in_its_order():
    found = gs.train(LOSS, DATA, ["w", "b"], sweep={"learning_rate": [100.0, 0.1, None]}, **USUAL)
    head, *lines = found.table().splitlines()
    assert head.split() == ["learning_rate", "steps", "loss", "held-out", "loss", "ended"]
    assert [line.split()[0] for line in lines] == ["100", "0.1", "automatic"]
    assert "runs away" in lines[0] and sum("← best" in line for line in lines) == 1
    assert f"{found[0].loss:.6g}" in lines[1]
    assert str(found) == repr(found) and "2 fits, 1 without a fit" in str(found)
    ((settings, error),) = found.failed
    assert settings == {"learning_rate": 100.0} and isinstance(error, MathError)


def test_where_nothing_comes_to_an_end_the_reasons_are_said():
    with pytest.raises(MathError, match="no variant") as error:
        gs.train(LOSS, DATA, ["w", "b"], sweep={"learning_rate": [100.0, 1000.0]})
    assert len(error.value.facts) == 2 and error.value.mend


@pytest.mark.parametrize(
    ("sweep", "what", "mend"),
    [
        ([0.1], "lists of values by name", "learning_rate"),
        ({}, "lists of values by name", "learning_rate"),
        ({"learning_rate": 0.1}, "list", "learning_rate"),
        ({"learning_rate": []}, "empty", "learning_rate"),
        ({"learning_rate": [0.1, -1]}, "learning rate", "learning_rate"),
        ({"learning_rat": [0.1]}, "no 'learning_rat'", "learning_rate"),
        ({"momentum": [0.9]}, "optimiser", "optimiser"),
        ({"optimiser": ["adam", "adm"]}, "no optimiser", "adam"),
        ({"seed": [-1]}, "seed", "seed"),
        ({"seed": [0.5]}, "seed", "seed"),
        ({"seed": range(1001)}, "1,001 variants", "fewer"),
        ({"batch": [0]}, "mini-batch", "batch"),
        ({"steps": [0]}, "steps", "steps"),
        ({"tolerance": [2]}, "tolerance", "tolerance"),
        ({"X": [1]}, "given as data", "X"),
        ({"b": [1]}, "to be trained", "wrt"),
        ({3: [1]}, "has a name", None),
    ],
)
def test_a_sweep_that_makes_no_sense_says_so(sweep, what, mend):
    with pytest.raises(MathError, match=what) as error:
        gs.train(LOSS, DATA, ["w", "b"], sweep=sweep)
    assert mend is None or mend in error.value.mend


@pytest.mark.parametrize("name", ["learning_rate", "l2", "batch"])
def test_a_setting_is_not_given_twice(name):
    with pytest.raises(MathError, match=f"{name} is given, and swept too"):
        gs.train(LOSS, DATA, ["w", "b"], sweep={name: [1, 2]}, **{name: 1})


def test_what_is_an_array_is_not_swept():
    with pytest.raises(MathError, match="sets numbers, and y is an array"):
        gs.train(LOSS, {"X": X}, ["w", "b"], sweep={"y": [1.0, 2.0]})
    with pytest.raises(MathError, match="not a finite number"):
        gs.train(RIDGE, DATA, ["w", "b"], sweep={"lam": [1.0, np.inf]})


# ------------------------------------------------------------------------------------------- in step


def test_tasks_go_in_step():
    rounds = []

    def task(count):
        return lambda traveller: [traveller.ask(k) for k in range(count)]

    def answer(requests):
        rounds.append(list(requests))
        return [10 * request for request in requests]

    found = Convoy([task(3), task(1), task(0), task(2)], answer).run(MathError)
    assert found == [[0, 10, 20], [0], [], [0, 10]]
    assert rounds == [[0, 0, 0], [1, 1], [2]]


def test_an_expected_error_ends_its_task_and_any_other_ends_all():
    def failing(error):
        def task(traveller):
            traveller.ask(1)
            raise error

        return task

    ended = []

    def patient(traveller):
        try:
            return [traveller.ask(k) for k in range(4)]
        finally:
            ended.append(True)

    expected = MathError("as it may be")
    found = Convoy([failing(expected), patient], lambda requests: requests).run(MathError)
    assert found == [expected, [0, 1, 2, 3]]
    with pytest.raises(ZeroDivisionError):
        Convoy([patient, failing(ZeroDivisionError())], lambda requests: requests).run(MathError)
    assert len(ended) == 2

    def broken(requests):
        raise RuntimeError("the pass itself fails")

    with pytest.raises(RuntimeError):
        Convoy([patient, patient], broken).run(MathError)
    assert len(ended) == 4


def test_ctrl_c_gives_what_every_variant_has_reached(passes, monkeypatch):
    counted = Several.__call__

    def interrupting(self, shared, each):
        if len(passes) == 12:
            signal.raise_signal(signal.SIGINT)
        return counted(self, shared, each)

    monkeypatch.setattr(Several, "__call__", interrupting)
    usual = signal.getsignal(signal.SIGINT)
    found = gs.train(LOSS, DATA, ["w", "b"], sweep={"seed": [0, 1]}, tolerance=0, backend="numpy")
    assert [fit.stopped for fit in found] == ["interrupted"] * 2 and found[0].steps < 20
    assert signal.getsignal(signal.SIGINT) is usual


def test_ctrl_c_twice_breaks_off_a_pass():
    passes = []

    def task(traveller):
        for k in range(9):
            traveller.ask(k)

    def answer(requests):
        passes.append(requests[0])
        for _ in range(2 * (len(passes) == 3)):
            signal.raise_signal(signal.SIGINT)
        passes.append("whole")
        return requests

    found = Convoy([task, task], answer).run(KeyboardInterrupt)
    assert passes == [0, "whole", 1] and all(isinstance(e, KeyboardInterrupt) for e in found)


def test_after_ctrl_c_no_variant_begins():
    def stop(step, steps, loss):
        if step == 5:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        if step >= 5:
            time.sleep(0.1)  # a busy machine takes its time to tell the other thread

    found = gs.train(
        LOSS, DATA, ["w", "b"], sweep={"seed": [0, 1]}, tolerance=0, backend="numpy", progress=stop
    )
    assert len(found) == 1 and found[0].stopped == "interrupted"
    assert "not begun" in found.table() and found.interrupted
    whole = gs.train(LOSS, DATA, ["w", "b"], sweep={"learning_rate": [100.0, 0.1]}, backend="numpy")
    assert whole.failed and not whole.interrupted


def test_who_has_gathered_waits_for_all_and_hears_no_ctrl_c():
    rounds = []

    def task(before, after):
        def walk(traveller):
            for k in range(before):
                traveller.ask(k)
            traveller.gather()
            return [traveller.ask(f"after {k}") for k in range(after)]

        return walk

    def answer(requests):
        rounds.append(list(requests))
        convoy.interrupts.count += len(rounds) == 3  # when the first has gathered
        return requests

    convoy = Convoy([task(1, 2), task(4, 2), task(0, 1)], answer)
    first, second, third = convoy.run(KeyboardInterrupt)
    assert rounds == [[0, 0], [1], [2], ["after 0", "after 0"], ["after 1"]]
    assert first == ["after 0", "after 1"] and isinstance(second, KeyboardInterrupt) and third == ["after 0"]
