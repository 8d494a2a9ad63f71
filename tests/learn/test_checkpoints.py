"""Does a training outlive its process, to the same bits, and does nothing else come out of a checkpoint?"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save as pack

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.learn import checkpoints, packing, streaming, walks
from gradstep.learn.checkpoints import NAME, Checkpoint, Every
from gradstep.learn.log import Log
from gradstep.learn.packing import fingerprint
from gradstep.learn.stretches import Machine, Walking
from gradstep.learn.surface import Measured

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(90, 3))
DATA = {"X": X, "y": np.maximum(0, X @ [1.0, -2.0, 0.5] + 0.3) + 0.1 * RANDOM.normal(size=90)}
SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N"}
NEURON = gs.parse("mean((y - relu(X @ w + b))**2)", **SHAPES)
KINKS = gs.parse("mean(abs(y - X @ w - b))", **SHAPES)
NETWORK = gs.parse("mean((y - tanh(X @ W + b1) @ v - b)**2)", W="d 4", b1="4", v="4", **SHAPES)
CHANCES = gs.parse(
    "-mean(c * log(sigmoid(X @ w + b)) + (1 - c) * log(1 - sigmoid(X @ w + b)))", c="N", **SHAPES
)
CLASSES = {"X": X, "c": (DATA["y"] > 0.5).astype(float)}


def bits(fit):
    """The SHA-256 of all that a fit has found, and of how it came there."""
    found, whole = fit.descent, hashlib.sha256()
    numbers = (found.history, found.rates, found.watched, found.path_steps, [found.loss, found.gradient_norm])
    for each in (*numbers, *found.parameters.values(), *found.path.values(), *fit.parameters.values()):
        whole.update(np.asarray(each, dtype=np.float64).tobytes() + b";")
    told = (
        found.steps,
        found.best_step,
        found.stopped,
        found.evaluations,
        found.notes,
        fit.loss,
        fit.history,
    )
    return hashlib.sha256(whole.digest() + repr(told).encode()).hexdigest()


def until(last):
    """Progress that ends as Ctrl-C does after so many steps."""

    def stop(step, steps, loss):
        if step >= last:
            raise KeyboardInterrupt

    return stop


def stored(folder, data):
    for name, array in data.items():
        np.save(folder / f"{name}.npy", array)
    return gs.open_rows({name: folder / f"{name}.npy" for name in data})


# ------------------------------------------------------------------------------------------- the same bits

RULES = ("gradient descent", "momentum", "adam")
WAYS = {
    "fitted": {},
    "fitted, over kinks": {"loss": KINKS},
    "conjugate gradients": {"optimiser": "conjugate gradients", "loss": CHANCES, "data": CLASSES},
    "Newton": {"optimiser": "newton-cg", "loss": CHANCES, "data": CLASSES},
    "Levenberg and Marquardt": {"optimiser": "levenberg-marquardt", "loss": NETWORK},
    "L-BFGS": {"optimiser": "l-bfgs", "loss": NETWORK},
    "L-BFGS over kinks": {"optimiser": "l-bfgs", "loss": KINKS},
    "classes": {"loss": CHANCES, "data": CLASSES, "enough": 0.3},
    "a penalty": {"l2": 0.1, "loss": NETWORK, "watch": 0.3},
    **{f"{rule}, tuned": {"optimiser": rule, "loss": KINKS, "watch": 0.3} for rule in RULES[1:]},
    **{f"{rule}, a rate": {"optimiser": rule, "learning_rate": 0.02, "loss": NETWORK} for rule in RULES},
    **{f"{rule}, batches": {"optimiser": rule, "batch": 32, "watch": 0.2} for rule in RULES[::2]},
    "adam, batches, a rate": {"optimiser": "adam", "batch": 32, "learning_rate": 0.01, "loss": NETWORK},
}
IN_FILES = (*("fitted, over kinks", "L-BFGS", "adam, tuned", "adam, batches", "momentum, a rate", "Newton"),)
IN_STRETCHES = (
    *("fitted", "fitted, over kinks", "classes", "a penalty", "adam, tuned", "gradient descent, a rate"),
    *("adam, a rate", "adam, batches"),
)
TABLE = [("numpy", "memory", name) for name in WAYS] + [("numpy", "files", name) for name in IN_FILES]
TABLE += [("native", "memory", name) for name in IN_STRETCHES]


@pytest.mark.parametrize(("backend", "where", "name"), TABLE)
def test_a_training_goes_on_to_the_same_bits(backend, where, name, tmp_path):
    if backend == "native":
        pytest.importorskip("llvmlite")
    settings = {"steps": 50, "backend": backend, "loss": NEURON, "data": DATA, **WAYS[name]}
    loss, data = settings.pop("loss"), settings.pop("data")
    rows = stored(tmp_path, data) if where == "files" else data
    whole = gs.train(loss, rows, **settings)
    assert whole.steps > 2
    random = np.random.default_rng([len(name), *backend.encode(), *where.encode()])
    places = np.sort(random.integers(0, whole.steps, 2)).tolist()
    kept = {**settings, "checkpoint": tmp_path / "run", "every": f"{1 + random.integers(9)} steps"}
    for turn, place in enumerate(places):
        stopped = gs.train(loss, rows, resume=turn > 0, progress=until(place), **kept)
        assert stopped.stopped == "interrupted" and stopped.steps <= whole.steps
    again = gs.train(loss, rows, resume=True, **kept)
    assert bits(again) == bits(whole)
    assert any("went on from the checkpoint" in note for note in again.notes)
    ended = gs.train(loss, rows, resume=True, progress=until(0), **kept)
    assert bits(ended) == bits(whole)


def test_more_steps_go_on_from_the_last(tmp_path):
    kept = {"checkpoint": tmp_path / "run", "optimiser": "adam", "learning_rate": 0.01}
    gs.train(NEURON, DATA, steps=20, **kept)
    more = gs.train(NEURON, DATA, steps=50, resume=True, **kept)
    assert bits(more) == bits(gs.train(NEURON, DATA, steps=50, optimiser="adam", learning_rate=0.01))
    fewer = gs.train(NEURON, DATA, steps=30, resume=True, **kept)
    assert bits(fewer) == bits(more)


def test_rates_are_not_tried_again(tmp_path, monkeypatch):
    kept = {"optimiser": "adam", "checkpoint": tmp_path / "run", "every": 0, "backend": "numpy", "steps": 30}
    gs.train(NEURON, DATA, progress=until(1), **kept)
    monkeypatch.setattr(walks, "_trials", None)
    whole = gs.train(NEURON, DATA, resume=True, **kept)
    monkeypatch.undo()
    assert bits(whole) == bits(gs.train(NEURON, DATA, optimiser="adam", backend="numpy", steps=30))


TRIED = {
    "adam": ({"optimiser": "adam", "steps": 20}, 17, "memory"),
    "batches": ({"optimiser": "momentum", "batch": 32, "steps": 20}, 29, "memory"),
    "over kinks": ({"loss": KINKS}, 20, "memory"),
    "rows in files": ({"optimiser": "adam", "steps": 10}, 31, "files"),
}


@pytest.mark.parametrize(("settings", "last", "where"), TRIED.values(), ids=TRIED)
def test_trials_of_rates_go_on_where_they_were(settings, last, where, tmp_path, monkeypatch):
    settings = {"loss": NEURON, "backend": "numpy", **settings}
    loss, rows = settings.pop("loss"), stored(tmp_path, DATA) if where == "files" else DATA
    several, taken = walks.Stepper.several, []

    def counted(self, at, *given):
        taken.append(len(at))
        if len(taken) == last:
            raise KeyboardInterrupt
        return several(self, at, *given)

    whole = gs.train(loss, rows, **settings)
    monkeypatch.setattr(walks.Stepper, "several", counted)
    kept = {**settings, "checkpoint": tmp_path / "run", "every": 1e6}
    stopped = gs.train(loss, rows, **kept)
    assert stopped.stopped == "interrupted"
    again = gs.train(loss, rows, resume=True, **kept)
    assert bits(again) == bits(whole)
    went_on = len(taken)
    taken[:] = [0] * last
    gs.train(loss, rows, **settings)
    assert went_on == len(taken) - last + 1, "only the step that was broken off is taken again"


@pytest.mark.parametrize("loss", [NEURON, KINKS], ids=["at the start", "over kinks"])
def test_each_rate_is_tried_once_in_machine_code(loss, tmp_path, monkeypatch):
    pytest.importorskip("llvmlite")
    settings = {
        "optimiser": "adam" if loss is NEURON else "gradient descent",
        "backend": "native",
        "steps": 400,
    }
    trial, tried = Walking.trial, []

    def counted(self, here, rate):
        if len(tried) == 3:
            tried.append(0)
            raise KeyboardInterrupt
        tried.append(rate)
        return trial(self, here, rate)

    whole = gs.train(loss, DATA, **settings)
    monkeypatch.setattr(Walking, "trial", counted)
    stopped = gs.train(loss, DATA, checkpoint=tmp_path / "run", every=0, **settings)
    assert stopped.stopped == "interrupted"
    again = gs.train(loss, DATA, checkpoint=tmp_path / "run", resume=True, **settings)
    assert bits(again) == bits(whole)
    assert len(tried) == len(set(tried)) > 9


def test_files_are_not_looked_through_again(tmp_path, monkeypatch):
    rows = stored(tmp_path, DATA)
    stopped = gs.train(NEURON, rows, checkpoint=tmp_path / "run", progress=until(3))
    monkeypatch.setattr(streaming, "surveyed", None)
    whole = gs.train(NEURON, rows, checkpoint=tmp_path / "run", resume=True)
    assert whole.steps > stopped.steps == 3


SWEEP = {"learning_rate": [0.01, 0.1], "seed": [0, 1]}


def test_a_sweep_goes_on_and_trains_nothing_twice(tmp_path, monkeypatch):
    settings = {"sweep": SWEEP, "optimiser": "adam", "steps": 60}
    whole = gs.train(NEURON, DATA, **settings)
    kept = {**settings, "checkpoint": tmp_path / "run", "every": "10 steps"}
    stopped = gs.train(NEURON, DATA, progress=until(130), **kept)
    assert stopped.interrupted
    steps = []
    add = Log.add
    monkeypatch.setattr(Log, "add", lambda self, *given: steps.append(1) or add(self, *given))
    again = gs.train(NEURON, DATA, resume=True, backend="numpy", **kept | {"checkpoint": tmp_path / "other"})
    everything = len(steps)
    steps.clear()
    again = gs.train(NEURON, DATA, resume=True, **kept)
    assert [bits(fit) for fit in again] == [bits(fit) for fit in whole]
    assert len(steps) < everything - 100


# ------------------------------------------------------------------------------------------- Ctrl-C


@pytest.fixture
def pressed(monkeypatch):
    """Ctrl-C in the middle of a step: when the loss is measured for so many a time."""
    measured = Measured.all_of

    def at(*counts):
        left = list(counts)

        def measure(self, objective, xs):
            for _ in [each for each in left if each <= self.count]:
                left.pop(0)
                signal.raise_signal(signal.SIGINT)
            return measured(self, objective, xs)

        monkeypatch.setattr(Measured, "all_of", measure)

    return at


def test_ctrl_c_finishes_the_step_and_keeps_it(tmp_path, pressed):
    usual = signal.getsignal(signal.SIGINT)
    whole = gs.train(KINKS, DATA, backend="numpy")
    pressed(40)
    stopped = gs.train(KINKS, DATA, backend="numpy", checkpoint=tmp_path / "run")
    assert stopped.stopped == "interrupted" and signal.getsignal(signal.SIGINT) is usual
    assert stopped.descent.evaluations > 40
    again = gs.train(KINKS, DATA, backend="numpy", checkpoint=tmp_path / "run", resume=True)
    assert bits(again) == bits(whole)
    assert f"went on from the checkpoint after step {stopped.steps}" in again.notes


def test_ctrl_c_twice_stops_at_once_and_leaves_the_checkpoint(tmp_path, pressed):
    whole = gs.train(KINKS, DATA, backend="numpy")
    pressed(40, 40)
    stopped = gs.train(KINKS, DATA, backend="numpy", checkpoint=tmp_path / "run", every="10 steps")
    assert stopped.stopped == "interrupted" and stopped.descent.evaluations == 40
    again = gs.train(KINKS, DATA, backend="numpy", checkpoint=tmp_path / "run", resume=True)
    assert bits(again) == bits(whole)
    assert f"went on from the checkpoint after step {stopped.steps // 10 * 10}" in again.notes


@pytest.mark.parametrize("optimiser", ["adam", "momentum"])
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_ctrl_c_ends_the_trials_of_rates(optimiser, backend, monkeypatch, pressed):
    if backend == "native":
        pytest.importorskip("llvmlite")
        run, runs = Machine.run, []

        def press(self, *given):
            runs.append(given[0])
            signal.raise_signal(signal.SIGINT)
            return run(self, *given)

        monkeypatch.setattr(Machine, "run", press)
    else:
        pressed(12)
    stopped = gs.train(NEURON, DATA, optimiser=optimiser, backend=backend)
    assert stopped.stopped == "interrupted" and stopped.steps == 0
    assert backend == "numpy" or runs == [1]


def test_a_slow_stretch_is_a_short_one(monkeypatch):
    pytest.importorskip("llvmlite")
    clock, run, taken = iter(range(10**6)), Machine.run, []
    monkeypatch.setattr("gradstep.learn.stretches.time.perf_counter", lambda: next(clock))  # a second a run
    monkeypatch.setattr(Machine, "run", lambda self, n, *given: taken.append(n) or run(self, n, *given))
    for optimiser in RULES:
        gs.train(NEURON, DATA, optimiser=optimiser, backend="native", steps=20)
    assert set(taken) == {1}


# ------------------------------------------------------------------------------------------- every fault

KILLED = """
import glob, io, os, random, signal, sys
from contextlib import redirect_stdout
from gradstep.cli import main
from gradstep.learn import packing
from gradstep.learn.surface import Measured

table, folder, seed = sys.argv[1:]
random.seed(int(seed))
asked = [table, "--target", "y", "--optimiser", "adam", "--learning-rate", "0.01", "--steps", "150"]
asked += ["--batch", "16"]

def run(*words):
    with redirect_stdout(io.StringIO()) as told:
        try:
            main(["train", *words])
        except SystemExit as end:
            assert not end.code, told.getvalue()
    return told.getvalue()

def killer(place, count, owner, name):
    usual, left = getattr(owner, name), [count]
    def counted(*given, **named):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(*given, **named)
    setattr(owner, name, counted)

run(*asked, "--save", folder + "/whole.safetensors")
kills = {}
while True:
    begun = glob.glob(folder + "/run/checkpoint*.safetensors")
    words = ["--resume", folder + "/run"] if begun else [*asked, "--checkpoint", folder + "/run"]
    words += ["--every", "3 steps", "--save", folder + "/again.safetensors"]
    child = os.fork()
    if not child:
        where = random.choice(["measure", "measure", "fsync", "replace"])
        if sum(kills.values()) < 20:
            most = {"measure": 60, "fsync": 6, "replace": 4}[where]
            owner = Measured if where == "measure" else packing.os
            killer(where, random.randint(1, most), owner, "all_of" if where == "measure" else where)
        run(*words)
        os._exit(0)
    _, how = os.waitpid(child, 0)
    if not how:
        break
    assert os.WTERMSIG(how) == signal.SIGKILL, how
    kills[len(kills)] = 1
print(len(kills))
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "rows.csv"
    rows = [[*row, y] for row, y in zip(X, DATA["y"], strict=True)]
    path.write_text("a,b,c,y\n" + "".join(",".join(f"{value:.6f}" for value in row) + "\n" for row in rows))
    return path


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be copied")
def test_a_command_that_is_killed_twenty_times_trains_to_the_same_bits(table, tmp_path):
    command = [sys.executable, "-c", KILLED, str(table), str(tmp_path), "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 20
    again, whole = (gs.load(tmp_path / f"{name}.safetensors").parameters for name in ("again", "whole"))
    assert {name: fingerprint(each) for name, each in again.items()} == {
        name: fingerprint(each) for name, each in whole.items()
    }
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint.before.safetensors",
        NAME,
    ]


@contextlib.contextmanager
def small_disk(folder, size):
    """A folder that takes no more than so many bytes: a disk in memory, or else a limit for each file."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() == 0 and subprocess.run(["mount", *options], capture_output=True).returncode == 0:
        try:
            yield
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        return
    import resource

    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


@pytest.mark.skipif(sys.platform == "win32", reason="needs disks in memory, or limits for files")
def test_a_full_disk_costs_nothing(tmp_path):
    settings = {"optimiser": "adam", "learning_rate": 0.01, "steps": 300}
    whole = gs.train(NEURON, DATA, **settings)
    kept = {**settings, "checkpoint": tmp_path / "disk" / "run", "every": "40 steps"}
    with small_disk(tmp_path / "disk", 48 << 10):
        with pytest.warns(RuntimeWarning, match=r"was not written.*after step \d+ is whole"):
            first = gs.train(NEURON, DATA, **kept)
        assert bits(first) == bits(whole)
        assert any("was not written" in note for note in first.notes)
        left = sorted(path.name for path in (tmp_path / "disk" / "run").iterdir())
        assert set(left) <= {"checkpoint.before.safetensors", NAME}
        for path in (tmp_path / "disk" / "run").iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    again = gs.train(NEURON, DATA, **{**kept, "checkpoint": tmp_path / NAME}, resume=True)
    assert bits(again) == bits(whole)
    assert any("went on from the checkpoint after step" in note for note in again.notes)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_what_cannot_be_kept_at_the_start_is_an_error(tmp_path, monkeypatch, failing):
    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing.os, failing, full)
    with pytest.raises(MathError, match="no space left"):
        gs.train(NEURON, DATA, checkpoint=tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())


def test_what_a_killed_process_left_unfinished_is_cleared_away(tmp_path):
    (tmp_path / ".checkpoint.safetensors.abc.part").write_bytes(b"half")
    (tmp_path / ".other.part").write_bytes(b"not ours")
    gs.train(NEURON, DATA, steps=3, checkpoint=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        ".other.part",
        NAME,
        "checkpoint.before.safetensors",
    }


# ------------------------------------------------------------------------------------------- what it is of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The two files of a training that was cut short, and what it comes to."""
    folder = tmp_path_factory.mktemp("run")
    gs.train(NEURON, DATA, optimiser="adam", steps=40, checkpoint=folder, every="5 steps", progress=until(23))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files, bits(gs.train(NEURON, DATA, optimiser="adam", steps=40))


@pytest.fixture
def place(run, tmp_path):
    for name, content in run[0].items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def resumed(place, loss=NEURON, data=DATA, **settings):
    return gs.train(
        loss, data, **{"optimiser": "adam", "steps": 40, "checkpoint": place, "resume": True, **settings}
    )


OTHERS = {
    "another formula": ({"loss": KINKS}, "formula is not what it was"),
    "fewer parameters": ({"loss": NEURON, "data": {**DATA, "b": 1.0}, "wrt": "w"}, "parameters is not"),
    "another optimiser": ({"optimiser": "momentum"}, "optimiser is not what it was"),
    "a rate": ({"learning_rate": 0.1}, "learning_rate is not"),
    "another tolerance": ({"tolerance": 1e-3}, "tolerance is not"),
    "batches": ({"batch": 10}, "batch is not"),
    "a start": ({"start": {"w": np.ones(3)}}, "start is not"),
    "a penalty": ({"l2": 0.1}, "formula is not"),
    "units of the data": ({"standardise": False}, "standardise is not"),
    "another back end": ({"backend": "numpy"}, "backend is not"),
    "another number": ({"data": {**DATA, "X": X + np.eye(90, 3)}}, "X holds other numbers"),
    "other answers": ({"data": {**DATA, "y": DATA["y"][::-1]}}, "y holds other numbers"),
    "rows held out": ({"holdout": 0.2}, "the rows to train with are not those"),
    "rows watched": ({"watch": 0.2}, "the rows to train with are not those"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_training_does_not_go_on_from_it(name, place):
    change, said = OTHERS[name]
    with pytest.raises(MathError, match=said) as error:
        resumed(place, **change)
    assert "another place" in error.value.mend


def test_a_changed_file_is_named(tmp_path):
    rows = stored(tmp_path, DATA)
    gs.train(NEURON, rows, checkpoint=tmp_path / "run", progress=until(3))
    np.save(tmp_path / "y.npy", DATA["y"][::-1])
    with pytest.raises(MathError, match=r'"y.npy" is not the file that it was'):
        gs.train(
            NEURON, stored(tmp_path, {**DATA, "y": DATA["y"][::-1]}), checkpoint=tmp_path / "run", resume=True
        )


def test_other_versions_are_a_note(place, monkeypatch):
    assert not any("last digits" in note for note in resumed(place).notes)
    now = checkpoints.machine()
    monkeypatch.setattr(checkpoints, "machine", lambda: {**now, "NumPy": "9.9"})
    gs.train(NEURON, DATA, checkpoint=place / "other", steps=2)
    monkeypatch.undo()
    notes = gs.train(NEURON, DATA, checkpoint=place / "other", steps=2, resume=True).notes
    assert any(f"NumPy: {np.__version__}, before 9.9" in note for note in notes)


WRONG = {
    "nothing to go on from": ({"checkpoint": None, "resume": True}, "none was named"),
    "a number": ({"checkpoint": 3}, "a folder or a file"),
    "no words": ({"checkpoint": ""}, "a folder or a file"),
    "no answer": ({"checkpoint": "run", "resume": 1}, "True or False"),
    "a NUL": ({"checkpoint": "a\0b"}, "cannot be"),
    "beneath a file": ({"checkpoint": __file__ + "/run"}, "cannot be"),
    **{
        f"every {every!r}": ({"checkpoint": "run", "every": every}, "every so many")
        for every in (-1, "0 steps", "soon", None, "1.5 steps", float("nan"), True, "1.2.3")
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_asked_for_wrongly(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings, said = WRONG[name]
    with pytest.raises(MathError, match=said):
        gs.train(NEURON, DATA, steps=2, **settings)


@pytest.mark.parametrize(
    ("given", "seconds", "steps"),
    [(60, 60, None), ("60", 60, None), ("1.5 s", 1.5, None), ("500 steps", np.inf, 500), (0, 0, None)],
)
def test_how_often_it_is_kept(given, seconds, steps):
    assert Every.of(given) == Every(float(seconds), steps)


def test_seconds_count_from_the_last_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    kept = Checkpoint(tmp_path, Every(60.0))
    assert kept.due(0)
    kept.keep(None)
    for seconds, due in ((59, False), (61, True)):
        now[0] = seconds
        assert kept.due(5) is due


def test_an_old_checkpoint_is_not_lost_by_beginning_anew(place):
    with pytest.raises(MathError, match="already") as error:
        resumed(place, resume=False)
    assert "resume=True" in error.value.mend
    assert gs.train(NEURON, DATA, steps=3, checkpoint=place / "new", resume=True).notes


# ------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("damage", ["cut", "a bit", "empty", "gone", "a model"])
def test_a_damaged_one_costs_no_more_than_the_way_from_the_one_before(damage, place, run):
    file, before = place / NAME, place / "checkpoint.before.safetensors"
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) * 2 // 3] ^= 4
    model = pack({"w": np.zeros(3)}, metadata={"gradstep": "{}", "sha256": hashlib.sha256(b"{}").hexdigest()})
    content = {"cut": whole[:-9], "a bit": bytes(flipped), "empty": b"", "a model": model}
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content[damage])
    fit = resumed(place)
    assert bits(fit) == run[1]
    assert any("went on from the checkpoint after step 20" in note for note in fit.notes)
    assert damage == "gone" or any(
        "checkpoint.before.safetensors, the one before" in note for note in fit.notes
    )
    if damage != "gone":
        for path in (file, before):
            path.write_bytes(content[damage])
        with pytest.raises(MathError):
            resumed(place)


@pytest.mark.parametrize("share", np.linspace(0.001, 0.999, 12))
def test_every_flipped_bit_is_seen(share, place):
    (place / "checkpoint.before.safetensors").unlink()
    content = bytearray((place / NAME).read_bytes())
    content[int(share * len(content))] ^= 1 << int(8 * share)
    (place / NAME).write_bytes(content)
    with pytest.raises(MathError):
        resumed(place)


def resealed(place, change):
    """The checkpoint with a changed description and numbers under fitting fingerprints: a forgery."""
    (place / "checkpoint.before.safetensors").unlink()
    with safe_open(place / NAME, framework="numpy") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        description = json.loads(opened.metadata()["gradstep"])
    change(description, tensors)
    description["numbers"] = {name: fingerprint(value) for name, value in tensors.items()}
    text = json.dumps(description)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (place / NAME).write_bytes(pack(tensors, metadata={"gradstep": text, "sha256": digest}))


def seen(**fields):
    return lambda d, t: d["seen"].update(fields)


def memory(**fields):
    return lambda d, t: d["seen"]["memory"].update(fields)


FORGERIES = {
    "a newer format": (lambda d, t: d.update(checkpoint=2), "format 2"),
    "no format": (lambda d, t: d.pop("checkpoint"), "no checkpoint"),
    "a format of text": (lambda d, t: d.update(checkpoint="1"), "not what it should be"),
    "more": (lambda d, t: d.update(code="import os"), "exactly the fields"),
    "less": (lambda d, t: d["seen"].pop("rates"), "what was seen is not"),
    "no facts": (lambda d, t: d.update(about=[]), "not what it should be"),
    "no settings": (lambda d, t: d["about"].pop("settings"), "does not tell the settings"),
    "no machine": (lambda d, t: d["about"].pop("machine"), "does not tell the machine"),
    "a language of numbers": (lambda d, t: d["parts"].update(language=3), "language is not"),
    "a stranger": (lambda d, t: d["seen"].update({"is": "Popen"}), "what was seen is not"),
    "another memory": (memory(**{"is": "System"}), "memory is not"),
    "a walk of another kind": (
        lambda d, t: d["seen"].update(memory={"is": "Trust", "reach": 1.0, "steepest": 1.0, "last": False}),
        "another way",
    ),
    "a rate of text": (memory(rate="fast"), "rate is not"),
    "a state without v": (lambda d, t: d["seen"]["memory"]["state"].pop("m"), "not the memory of adam"),
    "a state of numbers": (lambda d, t: d["seen"]["memory"]["state"].update(m=1.0), "not the memory of adam"),
    "steps of text": (seen(steps="7"), "steps is not"),
    "steps that are true": (seen(steps=True), "steps is not"),
    "fewer steps": (seen(steps=7), "fit together"),
    "a best step ahead": (seen(best_step=10**9), "fit together"),
    "an unknown end": (seen(stopped="never"), "stopped is not"),
    "no lows": (seen(lows=[]), "fit together"),
    "a place outside": (lambda d, t: d["seen"]["last"].update(x=[10**9, [4]]), "last.x is not"),
    "a place before": (lambda d, t: d["seen"]["last"].update(x=[-4, [4]]), "last.x is not"),
    "a shape that is huge": (lambda d, t: d["seen"]["last"].update(x=[0, [2**62, 4]]), "last.x is not"),
    "a shape of text": (lambda d, t: d["seen"]["last"].update(x=[0, "4"]), "last.x is not"),
    "another length": (lambda d, t: d["seen"]["last"].update(x=[0, [3]]), "last.x is not"),
    "a number for a vector": (lambda d, t: d["seen"]["last"].update(x=[0, []]), "last.x is not"),
    "a float for a vector": (lambda d, t: d["seen"]["last"].update(x=1.5), "last.x is not"),
    "snapshots of text": (lambda d, t: d["seen"]["snapshots"]["kept"].update(a=[0, [4]]), "kept is not"),
    "more numbers": (lambda d, t: t.update(more=np.zeros(3)), "not what it should be"),
    "numbers in a square": (lambda d, t: t.update(numbers=np.zeros((3, 3))), "not what it should be"),
    "no numbers": (lambda d, t: t.update(numbers=np.zeros(0)), "is not what it should be"),
    "deep": (lambda d, t: d["seen"].update(history=json.loads("[" * 900 + "]" * 900)), "history is not"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_are_refused(name, place):
    change, said = FORGERIES[name]
    resealed(place, change)
    with pytest.raises(MathError, match=said):
        resumed(place)


TRIALS = {
    "a memory of another": (lambda trying: trying["trials"][0].update(state={}), "not the memory of adam"),
    "a trial of no length": (lambda trying: trying["trials"][1]["here"].update(x=[0, [1]]), "x is not what"),
    "more steps than a trial has": (lambda trying: trying.update(k=10**30), None),
    "no trials": (lambda trying: trying.update(trials=[]), None),
    "other rates": (lambda trying: trying["trials"][0].update(rate=1e9), None),
}


@pytest.mark.parametrize("name", TRIALS)
def test_forged_trials_are_refused_or_do_no_harm(name, tmp_path, pressed):
    change, said = TRIALS[name]
    pressed(100)
    kept = {"checkpoint": tmp_path, "optimiser": "adam", "backend": "numpy", "steps": 40}
    assert gs.train(NEURON, DATA, **kept).steps == 0
    resealed(tmp_path, lambda description, tensors: change(description["seen"]["memory"]))
    with pytest.raises(MathError, match=said) if said else contextlib.nullcontext():
        assert np.isfinite(resumed(tmp_path, backend="numpy").loss)


ANYTHING = [
    *(None, True, 0, -1, 3, 10**30, 0.5, 1e308, "nan", "inf", "", "x", "steps", [], {}),
    *([0, [4]], [0, []], [3, [1]], {"is": "Steady", "k": 0, "state": {}}),
]


def places_in(data, at=()):
    yield at
    for key in data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        yield from places_in(data[key], (*at, key))


@pytest.mark.parametrize("seed", range(20))
def test_anything_in_any_place_is_refused_or_does_no_harm(seed, place):
    random = np.random.default_rng(seed)

    def change(description, tensors):
        whole = list(places_in({name: description[name] for name in ("seen", "parts")}))[1:]
        *path, last = whole[random.integers(len(whole))]
        node = description
        for key in path:
            node = node[key]
        node[last] = ANYTHING[random.integers(len(ANYTHING))]

    resealed(place, change)
    with contextlib.suppress(MathError):
        assert np.isfinite(resumed(place).loss)


def test_a_resealed_honest_one_is_read(place, run):
    resealed(place, lambda description, tensors: None)
    assert bits(resumed(place)) == run[1]


def test_a_checkpoint_is_no_model(place):
    with pytest.raises(MathError, match="exactly the fields"):
        gs.load(place / NAME)


def test_in_another_thread_nothing_is_heard(tmp_path):
    fits = []
    thread = threading.Thread(
        target=lambda: fits.append(gs.train(NEURON, DATA, checkpoint=tmp_path, steps=5))
    )
    thread.start()
    thread.join()
    assert fits[0].steps == 5
