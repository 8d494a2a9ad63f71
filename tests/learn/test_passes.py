"""Are penalties and sweeps over rows in files those over rows in memory, in passes that are shared?"""

import hashlib
import os

import numpy as np
import pytest
from click.testing import CliRunner
from tables import each

import gradstep as gs
from gradstep.commands.train import command
from gradstep.expression.errors import MathError
from gradstep.learn import opening, reading, stores
from gradstep.learn.log import Log

SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N"}
NEURON = gs.parse("mean((y - relu(X @ w + b))**2)", **SHAPES)
LINE = gs.parse("mean((y - (X @ w + b))**2)", **SHAPES)
DEEP = gs.parse("mean((y - (relu(X @ V + c) @ w + b))**2)", X="N d", V="d h", c="h", w="h", b="", y="N")
HUBER = gs.parse("mean(sqrt(delta + (y - (X @ w + b))**2)) + lam*sum(w**2)", **SHAPES, lam="", delta="")
SIGNED = gs.parse("mean((y - (X @ w + b))**2) - lam*sum(w**2)", **SHAPES, lam="")


@pytest.fixture(autouse=True)
def tiny_windows(monkeypatch):
    monkeypatch.setattr(stores, "WINDOW", 1 << 13)
    monkeypatch.setattr(stores, "LEAST_WINDOW", 1 << 12)
    monkeypatch.setattr(opening, "EASY", 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found, random = tmp_path_factory.mktemp("rows"), np.random.default_rng(0)
    X = random.normal(size=(800, 4)) * [1, 2, 0.5, 3] + [2, 0, -1, 5]
    y = np.maximum(X @ [0.5, -1, 2, 1] + 1, 0) + 0.1 * random.normal(size=800)
    np.save(found / "X.npy", X)
    np.save(found / "y.npy", y)
    np.save(found / "table.npy", np.column_stack([X, y]))
    return found


def files(folder):
    return {"X": folder / "X.npy", "y": folder / "y.npy"}


def arrays(folder):
    return {name: np.load(path) for name, path in files(folder).items()}


def bits(fit):
    """The parameters, the whole way to them, and what is told of them, as a hash."""
    parts = [np.asarray(value).tobytes() for value in (*fit.parameters.values(), fit.history)]
    told = (fit.steps, fit.stopped, fit.held_out_loss, fit.scores, fit.rounding)
    return hashlib.sha256(b"".join([*parts, repr(told).encode()])).hexdigest()


PENALTIES = [
    ("gradient descent", NEURON, {}),
    ("l-bfgs", DEEP, {"sizes": {"h": 3}}),
    ("newton-cg", NEURON, {}),
    ("conjugate gradients", LINE, {}),
    ("levenberg-marquardt", NEURON, {}),
    ("adam", LINE, {"learning_rate": 0.05, "standardise": False}),
    ("momentum", LINE, {"exact": True, "learning_rate": 0.05}),
    ("l-bfgs", DEEP, {"sizes": {"h": 3}, "l2": {"V": 0.1, "c": 0.2}, "backend": "numpy"}),
]


@each(("optimiser", "loss", "settings"), PENALTIES)
def test_a_penalty_is_that_of_rows_in_memory(folder, optimiser, loss, settings):
    settings = {"optimiser": optimiser, "l2": 0.1, "steps": 5, **settings}
    fit = gs.train(loss, files(folder), **settings)
    ref = gs.train(loss, arrays(folder), **settings)
    assert fit.stored == 800 and fit.of is ref.of and fit.steps == ref.steps
    assert fit.history == pytest.approx(ref.history, rel=1e-9)
    for name, value in ref.parameters.items():
        assert fit.parameters[name] == pytest.approx(value, rel=1e-6, abs=1e-9)
    assert [note for note in ref.notes if "penalty" in note] == [n for n in fit.notes if "penalty" in n]
    for name in fit.data.keys() - {"X", "y"}:
        assert fit.data[name] == pytest.approx(ref.data[name], rel=1e-12)


SWEEPS = [
    (NEURON, {"learning_rate": [0.01, None], "seed": [0, 1]}, {"watch": 0.1}),
    (NEURON, {"optimiser": ["l-bfgs", "newton-cg", "levenberg-marquardt"]}, {"backend": "numpy"}),
    (LINE, {"l2": [0, 0.1], "steps": [2, 4]}, {"backend": "numpy"}),
    (HUBER, {"delta": [0.1, 1], "lam": [0.1]}, {"optimiser": "conjugate gradients", "backend": "numpy"}),
    (LINE, {"batch": [50, None]}, {"optimiser": "adam", "backend": "numpy", "steps": 2}),
]


@each(("loss", "sweep", "usual"), SWEEPS)
def test_each_variant_has_the_bits_that_it_has_alone(folder, loss, sweep, usual):
    usual = {"steps": 4, "holdout": 0.2, **usual}
    found = gs.train(loss, files(folder), ["w", "b"], sweep=sweep, **usual)
    assert len(found) == np.prod([len(values) for values in sweep.values()]) and not found.failed
    for fit, settings in zip(found, found.settings, strict=True):
        numbers = {name: value for name, value in settings.items() if name in ("delta", "lam")}
        rest = {name: value for name, value in settings.items() if name not in numbers}
        alone = gs.train(loss, {**files(folder), **numbers}, ["w", "b"], **{**usual, **rest})
        assert bits(fit) == bits(alone), settings
        assert {name: fit.data[name] for name in numbers} == numbers


def test_all_variants_share_their_passes(folder, monkeypatch):
    passes = []
    total = reading.Part.total
    monkeypatch.setattr(reading.Part, "total", lambda *given: passes.append(given[1]) or total(*given))
    usual = {"learning_rate": 0.01, "tolerance": 0, "holdout": 0.2}
    gs.train(LINE, files(folder), steps=5, **usual)
    alone = len(passes)
    passes.clear()
    found = gs.train(LINE, files(folder), sweep={"steps": [1, 3, 5], "l2": [0, 1]}, **usual)
    assert len(found) == 6 and len(passes) == alone
    assert [len(work.works) for work in passes if hasattr(work, "works")] == [6, 6, 4, 4, 2, 2, 6, 6]


def test_a_variant_that_cannot_go_on_leaves_the_others_alone(folder):
    sweep = {"optimiser": ["gradient descent", "levenberg-marquardt", "l-bfgs"]}
    data = {**files(folder), "lam": 1e-3}
    found = gs.train(SIGNED, data, ["w", "b"], sweep=sweep, steps=3)
    ((settings, error),) = found.failed
    assert settings == {"optimiser": "levenberg-marquardt"} and "one is subtracted" in error.what
    assert bits(found[1]) == bits(gs.train(SIGNED, data, ["w", "b"], optimiser="l-bfgs", steps=3))


def test_a_sweep_over_files_goes_on_and_trains_nothing_twice(folder, tmp_path, monkeypatch):
    def stop(step, steps, loss):
        if step >= 8:
            raise KeyboardInterrupt

    settings = {"sweep": {"l2": [0, 0.1], "seed": [0, 1]}, "steps": 5}
    whole = gs.train(NEURON, files(folder), **settings)
    kept = {**settings, "checkpoint": tmp_path / "run", "every": "1 steps"}
    assert gs.train(NEURON, files(folder), progress=stop, **kept).interrupted
    steps, add = [], Log.add
    monkeypatch.setattr(Log, "add", lambda self, *given: steps.append(1) or add(self, *given))
    monkeypatch.setattr("gradstep.learn.streaming.surveyed", None)
    again = gs.train(NEURON, files(folder), resume=True, **kept)
    assert list(map(bits, again)) == list(map(bits, whole))
    assert len(steps) <= 20 - 8
    for changed in ({"l2": 0.1}, {"holdout": 0.1}, {"optimiser": "adam"}):
        asked = {**kept, **changed, "sweep": {"seed": [0, 1]}}
        with pytest.raises(MathError, match=f"{next(iter(changed))} is not what it was"):
            gs.train(NEURON, files(folder), resume=True, **asked)


@each(
    ("sweep", "settings", "said"),
    [
        ({"l2": [1, 2]}, {"l2": 1}, "l2 is given, and swept too"),
        ({"X": [1]}, {}, "given as data"),
        ({"b": [1]}, {"wrt": ["w", "b"]}, "to be trained"),
        ({"learning_rat": [1]}, {}, "no 'learning_rat'"),
        (None, {"l2": -1}, "a penalty is a finite number"),
    ],
)
def test_what_cannot_be_swept_over_files_says_so(folder, sweep, settings, said):
    with pytest.raises(MathError, match=said):
        gs.train(LINE, files(folder), sweep=sweep, **settings)


@pytest.fixture
def gradstep(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        done = CliRunner().invoke(command, [str(folder / "table.npy"), "--target", "4", *words])
        return done.exit_code, done.output

    return run


def test_the_command_sweeps_over_files_and_penalises(gradstep):
    status, output = gradstep("--sweep", "l2=0,10", "--steps", "20", "--save", "m.safetensors")
    assert status == 0 and "the rows stay in the file" in output
    assert "← best" in output and "2 fits; the best by" in output and "--l2 0.0" in output
    assert os.path.exists("m.safetensors")
    status, output = gradstep("--l2", "0.1", "--steps", "3", "--checkpoint", "run")
    assert status == 0 and "the penalty is on w, which multiplies data, not on b; for features of" in output
