"""Is a place one training's at a time, and nobody's once its process has ended, in whatever way?"""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.learn.checkpoints import NAME, Checkpoint
from gradstep.learn.locks import Held, Lock, Temporary, holder, remove_left

LOSS = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
X = np.random.default_rng(0).normal(size=(40, 2))
DATA = {"X": X, "y": np.abs(X[:, 0])}
HOLDING = """
import sys
import time
from gradstep.learn.locks import Lock
lock = Lock(sys.argv[1])
lock.take()
print("held", flush=True)
sys.stdin.read()
"""


def locked(folder):
    return folder / f".{NAME}.lock"


@pytest.fixture
def other(tmp_path):
    """Another process that holds a lock, until it is told to end or is killed."""
    begun = []

    def begin(path):
        child = subprocess.Popen(
            [sys.executable, "-c", HOLDING, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        begun.append(child)
        assert child.stdout.readline() == "held\n"
        return child

    yield begin
    for child in begun:
        child.kill()
        child.communicate()


def test_a_second_training_in_a_folder_is_an_error_that_names_it_and_the_process(
    tmp_path, other, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    kept = {"checkpoint": "run", "steps": 5}
    whole = gs.train(LOSS, DATA, **kept)
    child = other(locked(tmp_path / "run"))
    with pytest.raises(MathError, match=rf'kept in "run" is under way: process {child.pid} on ') as error:
        gs.train(LOSS, DATA, resume=True, **kept)
    assert "another place" in error.value.mend and str(tmp_path / "run") in error.value.facts[0]
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert locked(tmp_path / "run").exists()  # a process that is killed removes nothing
    again = gs.train(LOSS, DATA, resume=True, **kept)
    assert again.history == whole.history and not locked(tmp_path / "run").exists()


def test_a_folder_is_let_go_when_a_training_ends_in_whatever_way(tmp_path):
    kept = {"checkpoint": tmp_path / "run", "resume": True, "steps": 5}

    def inside(step, steps, loss):
        with pytest.raises(MathError, match=r"which is this one"):
            gs.train(LOSS, DATA, **kept)
        raise {1: KeyboardInterrupt, 2: ZeroDivisionError}.get(step, RuntimeError)

    assert gs.train(LOSS, DATA, progress=inside, **kept).stopped == "interrupted"
    with pytest.raises(ZeroDivisionError):
        gs.train(LOSS, DATA, progress=inside, **kept)
    with pytest.raises(MathError, match="steps"):
        gs.train(LOSS, DATA, **kept | {"steps": 0})
    assert gs.train(LOSS, DATA, **kept).steps == 5
    assert not locked(tmp_path / "run").exists()


def test_of_two_that_begin_at_once_one_does(tmp_path):
    one, two = (Checkpoint.of(tmp_path / "run", 60, resume) for resume in (False, True))
    one.keep(None)
    with pytest.raises(MathError, match="is under way"):
        two.keep(None)
    with one:
        pass
    three = Checkpoint.of(tmp_path / "else", 60, True)
    with Checkpoint.of(tmp_path / "else", 60) as four:
        four.keep(None)
    with pytest.raises(MathError, match="another training has been kept"):
        three.keep(None)


def test_variants_of_a_sweep_are_kept_by_one(tmp_path):
    settings = {"checkpoint": tmp_path / "run", "sweep": {"seed": [0, 1]}, "steps": 3}

    def inside(step, steps, loss):
        with pytest.raises(MathError, match="under way"):
            gs.train(LOSS, DATA, resume=True, **settings)

    gs.train(LOSS, DATA, progress=inside, **settings)
    gs.train(LOSS, DATA, resume=True, **settings)
    assert not [name for _, _, names in os.walk(tmp_path) for name in names if name.endswith(".lock")]


def test_a_place_without_locks_or_that_is_not_written_to_is_no_obstacle(tmp_path, monkeypatch):
    kept = {"checkpoint": tmp_path / "run", "steps": 5}
    whole = gs.train(LOSS, DATA, **kept)

    def unable(self):
        raise PermissionError

    monkeypatch.setattr(Lock, "take", unable)
    assert gs.train(LOSS, DATA, resume=True, **kept).history == whole.history


def test_a_lock_that_its_holder_has_just_removed_is_taken_anew(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    old, new = Lock(str(path)), Lock(str(path))
    old.take()
    with pytest.raises(Held, match=holder()):
        new.take()
    opened = os.open

    def slowly(*given):
        handle = opened(*given)
        old.leave()  # between opening and locking
        return handle

    monkeypatch.setattr(os, "open", slowly)
    new.take()
    assert path.read_text() == holder() and os.path.samestat(os.fstat(new.handle), path.stat())
    new.leave()
    assert not path.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be copied")
def test_a_copy_of_the_process_removes_nothing(tmp_path):
    lock = Lock(str(tmp_path / "lock"))
    lock.take()
    child = os.fork()
    if not child:
        lock.leave()
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(Held):
        Lock(lock.path).take()
    lock.leave()


# ------------------------------------------------------------------------------------------- temporary files

LEAVING = """
import os, signal, sys
from gradstep.learn.locks import Temporary
place = Temporary(sys.argv[1], ".arrow")
print(place.path, flush=True)
if len(sys.argv) > 2:
    child = os.fork()  # a copy that lives on, and holds it
    if child:
        print(child, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


def written_by(folder, *more):
    return subprocess.Popen(
        [sys.executable, "-c", LEAVING, str(folder), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_a_process_that_was_killed_has_left_is_removed_and_nothing_else(tmp_path):
    child = written_by(tmp_path)
    left = child.stdout.readline().strip()
    machine, name = left.rpartition("/")[2].split("-")[1], f"{child.pid}-x.arrow"
    others = [
        *(f"gradstep-{machine}-{name}".replace(machine, f"{machine}2"), f"gradstep-{machine}-{name[:-1]}"),
        *("gradstep-12345678.arrow", f"other-{machine}-{name}", f"gradstep-{machine}-{os.getpid()}-x.arrow"),
    ]
    for other in others:
        (tmp_path / other).touch()
    (tmp_path / "mine").touch()
    (tmp_path / f"gradstep-{machine}-{child.pid}-link.arrow").symlink_to(tmp_path / "mine")
    own = Temporary(str(tmp_path), ".arrow")
    remove_left(str(tmp_path), ".arrow")
    assert os.path.exists(left), "its process lives"
    child.kill()
    child.communicate()
    before = set(os.listdir(tmp_path))
    remove_left(str(tmp_path), ".arrow")
    assert before - set(os.listdir(tmp_path)) == {os.path.basename(left)}
    own.remove()
    own.remove()
    assert not os.path.exists(own.path)
    remove_left(str(tmp_path / "nowhere"), ".arrow")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be copied")
def test_what_a_copy_of_a_dead_process_still_reads_is_not_removed(tmp_path):
    child = written_by(tmp_path, "and its copy lives on")
    path, copy = child.stdout.readline().strip(), int(child.stdout.readline())
    child.wait()
    remove_left(str(tmp_path), ".arrow")
    assert os.path.exists(path)
    os.kill(copy, signal.SIGKILL)
    child.communicate()
    for _ in range(200):  # until the system has let go of the copy
        remove_left(str(tmp_path), ".arrow")
        if not os.path.exists(path):
            break
        time.sleep(0.01)
    assert not os.path.exists(path)
