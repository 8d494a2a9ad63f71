"""Is a table in files the same table, whatever the format, and is every damage one error that says where?"""

import os
import pickle

import numpy as np
import pytest

from gradstep.learn import stores
from gradstep.learn.opening import open_rows, whole
from gradstep.learn.stores import WHOLE


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
