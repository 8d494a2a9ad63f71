"""Is it seen when a file is not what it was: while it is trained on, and before a training goes on?"""

import os

import numpy as np
import pytest
from tables import each

import gradstep as gs
from gradstep.learn import opening, prints, queries, stores

LOSS = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Rows that are read window by window, though they are few."""
    monkeypatch.setattr(opening, "EASY", 0)
    monkeypatch.setattr(stores, "LEAST_WINDOW", 3000)
    X = np.random.default_rng(0).normal(size=(400, 3))
    named = {"X": str(tmp_path / "X.npy"), "y": str(tmp_path / "y.npy")}
    np.save(named["X"], X)
    np.save(named["y"], np.maximum(0, X.sum(1)))
    return named


def changed_in_the_middle(path):
    numbers = np.load(path, mmap_mode="r+")
    numbers[len(numbers) // 2] += 1
    numbers.flush()
    os.utime(path, ns=(1, 1))


def test_a_file_that_changes_while_it_is_trained_on_is_an_error(files):
    def meddle(step, steps, loss):
        if step == 3:
            changed_in_the_middle(files["X"])

    with pytest.raises(gs.MathError, match=r"X\.npy. has changed while it was trained on"):
        gs.train(LOSS, files, optimiser="adam", steps=8, progress=meddle)


@pytest.mark.parametrize("whole", [1 << 26, 100])
def test_a_training_does_not_go_on_with_a_file_that_changed_in_the_middle(
    files, tmp_path, monkeypatch, whole
):
    monkeypatch.setattr(prints, "WHOLE", whole)
    monkeypatch.setattr(prints, "END", 200)
    kept = {"optimiser": "adam", "learning_rate": 0.01, "checkpoint": str(tmp_path / "run")}
    gs.train(LOSS, files, steps=3, **kept)
    assert gs.train(LOSS, files, steps=5, resume=True, **kept).steps == 5
    changed_in_the_middle(files["X"])
    with pytest.raises(gs.MathError, match=r"X\.npy"):
        gs.train(LOSS, files, steps=8, resume=True, **kept)


@each(
    "asked, words",
    [
        ("local:0", "a number of workers"),
        ("local:abc", "a number of workers"),
        ("", "no address of a cluster"),
        (5, "a cluster is not int"),
        ("http://x:1", "no address of a cluster"),
        ("tcp://127.0.0.1:99999", "no address of a cluster"),
        ("tcp://127.0.0.1", "no address of a cluster"),
        ("tcp://user:hunter2@127.0.0.1:1", "no user and no password"),
    ],
)
def test_what_is_no_cluster_is_said_though_the_rows_are_few(asked, words):
    pytest.importorskip("distributed")
    with pytest.raises(gs.MathError, match=words) as error:
        gs.train(LOSS, {"X": np.eye(3), "y": np.ones(3)}, cluster=asked)
    assert "hunter2" not in str(error.value)


def test_exact_is_true_or_false():
    with pytest.raises(gs.MathError, match="exact is True or False"):
        gs.train(LOSS, {"X": np.eye(3), "y": np.ones(3)}, exact="yes")


@each(
    "text, secret",
    [
        ("select * from t", False),
        ("select * from postgres_scan('host=db password=hunter2', 's', 't')", True),
        ("create secret s (type s3, key_id 'hunter2')", True),
        ("select * from 'https://me:hunter2@host/rows.parquet'", True),
    ],
)
def test_a_query_that_tells_a_secret_is_not_kept(text, secret):
    assert queries.tells_a_secret(text) is secret
