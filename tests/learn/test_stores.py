"""Is a table in files the same table, whatever the format, and is every damage one error that says where?"""

import operator
import os
import pickle
from fractions import Fraction

import numpy as np
import pytest

from gradstep.learn import stores
from gradstep.learn.moments import paired
from gradstep.learn.opening import open_rows, whole
from gradstep.learn.stores import WHOLE
from gradstep.learn.survey import survey_of


@pytest.fixture(autouse=True)
def tiny_windows(monkeypatch):
    monkeypatch.setattr(stores, "WINDOW", 1 << 13)
    monkeypatch.setattr(stores, "LEAST_WINDOW", 1 << 12)


def numbers(count=900, seed=0):
    """A table of numbers: three columns and a target."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 3)) * [1, 2, 0.5] + [2, 0, -1]
    y = np.maximum(x @ [0.5, -1, 2] + 1, 0) + 0.1 * random.normal(size=count)
    return {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y}


def npy(folder, columns):
    np.save(folder / "t.npy", np.column_stack(list(columns.values())))
    return folder / "t.npy", len(columns) - 1


def npy_by_name(folder, columns):
    *x, y = columns.values()
    np.save(folder / "X.npy", np.column_stack(x))
    np.save(folder / "y.npy", y)
    return {"X": folder / "X.npy", "y": folder / "y.npy"}, None


def parquet(folder, columns):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    write_table(arrow.table(columns), folder / "t.parquet", row_group_size=500)
    return folder / "t.parquet", "y"


NUMBERS = {"npy": npy, "npy by name": npy_by_name, "parquet": parquet}


@pytest.mark.parametrize("written", NUMBERS.values(), ids=NUMBERS)
def test_a_store_can_be_sent_and_reads_the_same_anywhere(tmp_path, written):
    store = open_rows(*written(tmp_path, numbers()))
    sent = pickle.loads(pickle.dumps(store))
    assert len(pickle.dumps(store)) < 5000 and sent.units == store.units and len(store.units) > 1
    for unit in reversed(range(len(store.units))):
        for one, other in zip(
            store.read(unit, ["y", "X"], (0.2, 0.7)), sent.read(unit, ["y", "X"], (0.2, 0.7)), strict=True
        ):
            assert all(one[name].tobytes() == other[name].tobytes() for name in ("X", "y"))
    assert np.array_equal(whole(sent)["y"], numbers()["y"])
    assert [len(part["y"]) for part in sent.read(0, ["y"], WHOLE)]


@pytest.mark.parametrize("written", NUMBERS.values(), ids=NUMBERS)
def test_prints_tell_a_file_that_was_changed_or_grew(tmp_path, written):
    source, target = written(tmp_path, numbers())
    prints = open_rows(source, target).prints()
    assert prints == open_rows(source, target).prints() and all(map(os.path.exists, prints))
    for seed, count in ((1, 900), (0, 901)):
        written(tmp_path, numbers(count, seed))
        others = open_rows(source, target).prints()
        assert list(others) == list(prints) and not set(others.values()) & set(prints.values())


# ------------------------------------------------------------------------------------------- the survey


def surveys(folder, X, y, cuts, learnt=1.0):
    """The surveys of runs of the same rows."""
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    store = open_rows({"X": folder / "X.npy", "y": folder / "y.npy"})
    runs = np.split(np.arange(len(y)), cuts)
    return [survey_of(store, {"X": X[run], "y": y[run]}, run[0], learnt, "y") for run in runs]


FAR = {
    "far from zero": lambda r: 1e8 + r.normal(size=(3000, 3)),
    "first near zero, then far": lambda r: np.r_[r.normal(size=(1500, 3)), 1e8 + r.normal(size=(1500, 3))],
    "the first rows are strange": lambda r: np.r_[np.full((3, 3), -1e9), 1e8 + r.normal(size=(2997, 3))],
    "steps of one digit": lambda r: 1e8 + r.integers(0, 2, (3000, 3)),
}


@pytest.mark.parametrize("made", FAR.values(), ids=FAR)
def test_spreads_far_from_zero_keep_their_digits_however_the_rows_are_cut(tmp_path, made):
    random = np.random.default_rng(1)
    X = made(random)
    y = X @ [1.0, -2, 0.5] + random.normal(size=len(X))
    exact = [np.array([[Fraction(v) for v in row] for row in X[:, :2].tolist()])[:, k] for k in (0, 1)]
    for cuts in ([], [1], [700, 701, 1500, 2990]):
        survey = paired(surveys(tmp_path, X, y, cuts), operator.add)
        for k, column in enumerate(exact):
            mean = column.sum() / len(X)
            variance = ((column - mean) ** 2).sum() / len(X)
            assert survey.columns["X"].mean[k] == pytest.approx(float(mean), rel=1e-15)
            assert survey.columns["X"].variance(len(X))[k] == pytest.approx(float(variance), rel=1e-9)
        w, level = survey.line()
        design = np.column_stack([X - X.mean(axis=0), np.ones(len(X))])
        best = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        if X.std() < 10:  # else the columns lie on one line, as far as squares can tell
            assert X @ w + level == pytest.approx(best, rel=1e-12)


def test_surveys_add_up_to_that_of_all_rows(tmp_path):
    columns = numbers()
    X, y = np.column_stack([columns["a"], columns["b"]]), columns["y"].round()
    (whole_survey,) = surveys(tmp_path, X, y, [])
    parts = [pickle.loads(pickle.dumps(each)) for each in surveys(tmp_path, X, y, [100, 450])]
    found = parts[0] + (parts[1] + parts[2])
    assert found.rows == whole_survey.rows == 900
    for name in ("X", "y"):
        one, other = found.columns[name], whole_survey.columns[name]
        assert one.mean == pytest.approx(other.mean) and one.squares == pytest.approx(other.squares)
        assert (one.low.tolist(), one.high.tolist()) == (other.low.tolist(), other.high.tolist())
        assert one.distinct == other.distinct
    assert found.products.about == pytest.approx(whole_survey.products.about)
    assert np.array_equal(found.sample.arrays["X"], whole_survey.sample.arrays["X"])


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 64, 100])
def test_what_is_added_in_pairs_is_added_in_one_tree(count):
    def level(items):
        pairs = [f"({a}{b})" for a, b in zip(items[::2], items[1::2], strict=False)]
        return pairs + items[len(items) // 2 * 2 :]

    items = tree = [f"{k}," for k in range(count)]
    while len(tree) > 1:
        tree = level(tree)
    assert paired(iter(items), lambda a, b: f"({a}{b})") == tree[0]
    assert paired([], operator.add) is None
