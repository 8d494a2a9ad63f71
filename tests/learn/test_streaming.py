"""Is a network trained on rows in files the one that is trained on the same rows in memory, and in bounds?"""

import itertools
import os
import re
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from tables import each

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.learn import lines, opening, over_rows, stores
from gradstep.learn.coordinates import coordinates
from gradstep.learn.moments import extreme
from gradstep.learn.opening import open_rows
from gradstep.learn.reading import Clock, Part, ahead
from gradstep.learn.survey import surveyed

NEURON = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
LINE = gs.parse("mean((y - (X @ w + b))**2)", X="N d", w="d", b="", y="N")
LOGISTIC = gs.parse("mean(softplus(X @ w + b) - y*(X @ w + b))", X="N d", w="d", b="", y="N")
DEEP = gs.parse("mean((y - (relu(X @ V + c) @ w + b))**2)", X="N d", V="d h", c="h", w="h", b="", y="N")
RIDGE = gs.parse("mean((y - (X @ w + b))**2) + lam*sum(w**2)", X="N d", w="d", b="", y="N", lam="")
BATCH = gs.parse("Z = X @ w + b - mean(X @ w); mean((y - Z)**2)", X="N d", w="d", b="", y="N")


@pytest.fixture(autouse=True)
def tiny_windows(monkeypatch):
    monkeypatch.setattr(stores, "WINDOW", 1 << 13)
    monkeypatch.setattr(stores, "LEAST_WINDOW", 1 << 12)


def rows(count=2000, kind=np.float32, seed=0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(count, 4)) * [1, 2, 0.5, 3] + [2, 0, -1, 5]
    y = np.maximum(X @ [0.5, -1, 2, 1] + 1, 0) + 0.1 * random.normal(size=count)
    return X.astype(kind), y.astype(kind)


def as_two_files(folder, X, y):
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    return open_rows({"X": folder / "X.npy", "y": folder / "y.npy"})


def as_matrix(target, order="C"):
    def written(folder, X, y):
        table = np.insert(X, target, y, axis=1)
        np.save(folder / "table.npy", np.asarray(table, order=order))
        return open_rows(folder / "table.npy", target)

    return written


def as_parts(folder, X, y):
    table = np.column_stack([X, y])
    for k, part in enumerate(np.split(table, [300, 301, 1111])):
        np.save(folder / f"part-{k}.npy", part)
    return open_rows(str(folder / "part-*.npy"), str(X.shape[1]))


def as_parquet(folder, X, y):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    table = arrow.table({f"x{k}": column for k, column in enumerate(X.T)} | {"text": ["a"] * len(y), "y": y})
    parquet.write_table(table.slice(0, 1200), folder / "a.parquet", row_group_size=500)
    parquet.write_table(table.slice(1200), folder / "b.parquet", row_group_size=700)
    return open_rows([folder / "a.parquet", folder / "b.parquet"], "y")


STORED = {
    "two files": as_two_files,
    "the target last": as_matrix(4),
    "the target first": as_matrix(0),
    "the target between": as_matrix(2),
    "column by column": as_matrix(2, "F"),
    "several files": as_parts,
    "parquet": as_parquet,
}


# ------------------------------------------------------------------------------------------- the same result


KINDS = [
    pytest.param(stored, kind, id=f"{name} {kind}")
    for name, stored in STORED.items()
    for kind in ("f4", "f8", ">f4")
    if (name, kind) != ("parquet", ">f4")  # which has one order of bytes
]


@pytest.mark.parametrize(("stored", "kind"), KINDS)
def test_the_files_hold_what_was_written_whatever_the_layout(tmp_path, stored, kind):
    X, y = rows(kind=kind)
    store = stored(tmp_path, X, y)
    found = opening.whole(store)
    assert len(store.units) > 2
    assert np.array_equal(found["X"], X) and np.array_equal(found["y"], y)


@pytest.mark.parametrize("stored", STORED.values(), ids=STORED)
def test_a_fit_is_that_of_the_same_rows_in_memory(tmp_path, stored):
    X, y = rows()
    fit = gs.train(NEURON, stored(tmp_path, X, y), holdout=0.2, tolerance=1e-10)
    held = fit_held_out(fit)
    ref = gs.train(NEURON, {"X": X, "y": y}, holdout=held, tolerance=1e-10)
    for name, value in ref.parameters.items():
        assert fit.parameters[name] == pytest.approx(value, rel=2e-4, abs=2e-4)
    assert fit.loss == pytest.approx(ref.loss, rel=1e-5)
    assert fit.held_out_loss == pytest.approx(ref.held_out_loss, rel=1e-4)
    assert [s.name for s in fit.scores] == [s.name for s in ref.scores]
    for one, other in zip(fit.scores, ref.scores, strict=True):
        for mine, theirs in ((one.training, other.training), (one.held_out, other.held_out)):
            assert mine == pytest.approx(theirs, rel=1e-3)
    assert len(fit.data["y"]) == fit.row_count == 2000  # a sample, which is all of them here


def test_several_targets_have_a_straight_line_each(tmp_path):
    X, y = rows(kind="f8")
    loss = gs.parse("mean((Y - (X @ W + b))**2)", X="N d", W="d k", b="k", Y="N k")
    store = as_two_files(tmp_path, X, np.column_stack([y, X[:, 0] - y, y**2]))
    store.rename("y", "Y")
    network, line, _ = gs.train(loss, store, tolerance=1e-12).scores
    assert network.training["mean squared error"] == pytest.approx(line.training["mean squared error"])


@pytest.mark.parametrize(("of_X", "of_y"), [(1e30, 1), (1e-30, 1), (1, 1e30), (1, 1e-30)])
def test_float32_is_not_computed_with_where_it_holds_no_squares(tmp_path, of_X, of_y):
    X, y = rows()
    fit = gs.train(LINE, as_two_files(tmp_path, X * np.float32(of_X), y * np.float32(of_y)))
    assert any("computed in float64" in note for note in fit.notes)
    assert fit.loss == pytest.approx(of_y**2 * gs.train(LINE, {"X": X, "y": y}).loss, rel=1e-3)


def test_a_column_in_a_file_is_a_vector(tmp_path):
    X, y = rows()
    fit = gs.train(LINE, as_two_files(tmp_path, X, y[:, None]))
    assert any("taken as 2,000 numbers" in note for note in fit.notes)
    assert fit.loss == gs.train(LINE, as_two_files(tmp_path, X, y)).loss


def fit_held_out(fit):
    assert 0.19 < len(fit.held_out) / fit.row_count < 0.21
    return fit.held_out


CASES = {
    "logistic": (LOGISTIC, {}, {"steps": 20}),
    "deep": (DEEP, {}, {"sizes": {"h": 3}, "steps": 20}),
    "a penalty, and a number beside the rows": (RIDGE, {"lam": 0.1}, {}),
    "two passes for each loss": (BATCH, {}, {"steps": 20}),
    "not standardised": (LINE, {}, {"standardise": False, "steps": 20}),
    "l-bfgs": (LINE, {}, {"optimiser": "l-bfgs"}),
    "a given rate": (LINE, {}, {"optimiser": "momentum", "learning_rate": 0.05, "steps": 30}),
    "a start": (LINE, {}, {"start": {"w": np.ones(4)}, "steps": 5}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_losses_and_settings_do_the_same_as_in_memory(tmp_path, case):
    loss, beside, settings = case
    X, y = rows(kind=np.float64)
    y = (y > y.mean()).astype(float) if loss is LOGISTIC else y
    store = as_two_files(tmp_path, X, y)
    fit = gs.train(loss, store if not beside else {**paths(tmp_path), **beside}, **settings)
    ref = gs.train(loss, {"X": X, "y": y, **beside}, **settings)
    shorter = min(len(fit.history), len(ref.history), 12)
    assert fit.history[:shorter] == pytest.approx(ref.history[:shorter], rel=1e-6)
    assert fit.loss == pytest.approx(ref.loss, rel=1e-5)


def paths(folder):
    return {"X": str(folder / "X.npy"), "y": folder / "y.npy"}


def test_small_files_are_read_whole_and_large_ones_are_not(tmp_path, monkeypatch):
    X, y = rows()
    as_two_files(tmp_path, X, y)
    small = gs.train(LINE, paths(tmp_path))
    assert "they fit into memory" in small.notes[0] and not small.stored
    monkeypatch.setattr(opening, "EASY", 100)
    large = gs.train(LINE, paths(tmp_path))
    assert large.stored == 2000
    assert large.parameters["w"] == pytest.approx(small.parameters["w"], rel=1e-4)


def test_watched_rows_stop_a_network_before_it_learns_by_heart(tmp_path):
    X, y = rows(300)
    y = np.random.default_rng(5).normal(size=300)  # noise: there is nothing to learn
    fit = gs.train(DEEP, as_two_files(tmp_path, X, y), sizes={"h": 9}, watch=0.3, holdout=0.2, steps=200)
    assert fit.stopped == "early"
    assert (len(fit.rows), len(fit.watched), len(fit.held_out)) == pytest.approx((168, 72, 60), abs=4)


def test_mini_batches_learn(tmp_path):
    X, y = rows()
    fit = gs.train(LINE, as_two_files(tmp_path, X, y), batch=50, steps=20, optimiser="adam")
    best = gs.train(LINE, {"X": X, "y": y}).loss
    assert fit.loss < 1.05 * best


def test_what_lies_far_from_zero_is_computed_in_float64(tmp_path):
    X, y = rows()
    X = X + np.float32(1000)
    fit = gs.train(LINE, as_two_files(tmp_path, X, y), tolerance=1e-8)
    ref = gs.train(LINE, {"X": X, "y": y}, tolerance=1e-8)
    assert any("computed in float64" in note for note in fit.notes)
    assert fit.loss == pytest.approx(ref.loss, rel=1e-6)


def test_slopes_are_pulled_back_into_the_units_of_training():
    X, y = rows(kind=np.float64)
    d = gs.derive(DEEP, ["V", "c", "w", "b"])
    f = gs.compile(d)
    units = coordinates(DEEP, {"X": X, "y": y}, "y", d.parameters)
    random = np.random.default_rng(1)
    here = {"V": random.normal(size=(4, 3)), "c": random.normal(size=3), "w": random.normal(size=3)}
    here["b"] = np.asarray(0.3)
    value, slopes = f(**units.data({"X": X, "y": y}), **here)
    user, user_slopes = f(X=X, y=y, **units.to_user(here))
    assert units.unit is not None and units.entrances
    assert user / units.loss == pytest.approx(value)
    for name, slope in units.pulled(user_slopes).items():
        assert slope == pytest.approx(slopes[name], rel=1e-9, abs=1e-12)


# ------------------------------------------------------------------------------------------- the survey


def test_the_survey_knows_means_spreads_and_the_line(tmp_path):
    X, y = rows(kind=np.float64)
    X[:, 1] = 7
    store = as_two_files(tmp_path, X, y)
    survey = surveyed(Part(store), ["X", "y"], 1.0, "y")
    found = survey.columns["X"]
    assert survey.rows == 2000
    assert found.mean == pytest.approx(X.mean(axis=0))
    assert np.sqrt(found.variance(2000)) == pytest.approx(X.std(axis=0), abs=1e-12)
    assert (found.low, found.high) == (pytest.approx(X.min(axis=0)), pytest.approx(X.max(axis=0)))
    assert found.constant.tolist() == [1]
    w, level = survey.line()
    design = np.column_stack([X, np.ones(2000)])
    best = np.linalg.lstsq(design, y, rcond=None)[0]
    assert X @ w + level == pytest.approx(design @ best)


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        ((1234, 2), np.nan, r"X holds nan in row 1,234, column 2: not a finite number"),
        ((1999, 0), np.inf, r"X holds inf in row 1,999, column 0"),
        ((0, 3), 1e200, r"X holds 1e\+200 in row 0, column 3: too large"),
    ],
)
def test_what_is_no_number_is_found_in_its_row(tmp_path, at, value, said):
    X, y = rows(kind=np.float64)
    X[at] = value
    with pytest.raises(MathError, match=said):
        gs.train(LINE, as_two_files(tmp_path, X, y), holdout=0.2)


def test_missing_values_of_parquet_become_the_mean_and_rows_without_target_are_left_out(tmp_path):
    X, y = rows(kind=np.float64)
    holes = np.random.default_rng(3).uniform(size=len(X)) < 0.1
    X[holes, 1] = np.nan
    filled = np.where(np.isnan(X), np.nanmean(X, axis=0), X)
    fit = gs.train(LINE, as_parquet(tmp_path, X, y))
    ref = gs.train(LINE, {"X": filled, "y": y})
    assert fit.parameters["w"] == pytest.approx(ref.parameters["w"], rel=1e-3)
    assert any(f'"x1" has no value in {holes.sum()} rows' in note for note in fit.notes)
    y[17] = np.nan
    fit = gs.train(LINE, as_parquet(tmp_path, X, y))
    ref = gs.train(LINE, {"X": np.delete(filled, 17, axis=0), "y": np.delete(y, 17)})
    assert fit.row_count == len(X) - 1 and '1 row without "y" left out' in fit.notes
    assert fit.parameters["w"] == pytest.approx(ref.parameters["w"], rel=1e-3)
    with pytest.raises(MathError, match="has missing values, which"):
        as_parquet(tmp_path, X, y).save(tmp_path / "x.npy")
    assert not list(tmp_path.glob("x.npy*"))


def test_parquet_says_what_is_faster_and_writes_it(tmp_path, monkeypatch):
    X, y = rows(kind=np.float64)
    slow = as_parquet(tmp_path, X, y)
    call = re.search(r"gradstep\.open_rows\(.*\)\.save\('x\.npy'\)", slow.notes[-1])[0]
    monkeypatch.chdir(tmp_path)
    eval(call, {"gradstep": gs})  # as it stands there
    assert np.array_equal(np.load("x.npy"), np.column_stack([X, y]))
    with pytest.raises(MathError, match="cannot be written: no such file"):
        slow.save(tmp_path / "nowhere" / "x.npy")
    monkeypatch.setattr(stores, "WINDOW", 1 << 25)
    assert "times as fast" not in str(as_parquet(tmp_path, X, y).notes)  # a small file is decoded in no time


# ---------------------------------------------------------------------------------------- what can go wrong


def spoilt(change):
    """A .npy file whose bytes were changed."""

    def written(folder):
        np.save(folder / "X.npy", np.zeros((100, 3)))
        (folder / "X.npy").write_bytes(change((folder / "X.npy").read_bytes()))

    return written


def saved(array):
    return lambda folder: np.save(folder / "X.npy", array, allow_pickle=True)


BAD = {
    "cut off": (spoilt(lambda raw: raw[:-8]), "ends too early"),
    "of no bytes": (spoilt(lambda raw: b""), "does not begin like a NumPy array"),
    "of text": (spoilt(lambda raw: b"a,b\n1,2\n"), "does not begin like a NumPy array"),
    "of a forged length": (spoilt(lambda raw: raw.replace(b"(100, 3)", b"(1e9, 3)")), "does not begin"),
    "of too many rows": (spoilt(lambda raw: raw.replace(b"(100, 3)", b"(999, 3)")), "ends too early"),
    "of code": (spoilt(lambda raw: raw.replace(b"(100, 3)", b"exit(11)")), "does not begin"),
    "of a negative size": (spoilt(lambda raw: raw.replace(b"(100, 3)", b"(-10, 3)")), "does not begin"),
    "of objects": (saved(np.array([{}, []], dtype=object)), "real numbers, but it holds Python objects"),
    "of complex numbers": (saved(np.zeros((3, 3), complex)), "real numbers, but it holds complex128"),
    "of named columns": (saved(np.zeros(3, [("a", "f4")])), "named columns"),
    "of text cells": (saved(np.array(["a"])), "real numbers, but it holds <U1"),
    "of no rows": (saved(np.zeros((0, 3))), "has no rows"),
    "of a number": (saved(np.float64(3)), "has no rows"),
    "a folder": (lambda folder: (folder / "X.npy").mkdir(), "a folder without files of data"),
    "a pipe": (lambda folder: os.mkfifo(folder / "X.npy"), "not a regular file"),
    "not there": (lambda folder: None, "there is no file"),
}


@pytest.mark.parametrize(("written", "said"), BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_data_is_refused_before_it_is_read(tmp_path, written, said):
    written(tmp_path)
    np.save(tmp_path / "y.npy", np.zeros(100))
    with pytest.raises(MathError, match=said):
        gs.train(LINE, paths(tmp_path))


def test_a_file_that_ends_while_it_is_read_is_an_error_and_leaves_no_thread(tmp_path):
    X, y = rows()
    store = as_two_files(tmp_path, X, y)

    def cut(moment):
        with open(tmp_path / "X.npy", "r+b") as file:
            file.truncate(20_000)

    with pytest.raises(MathError, match=r'X.npy" ends too early'):
        gs.train(LINE, store, progress=Told(cut))
    assert not [t for t in threading.enumerate() if t.name == "gradstep reader"]


class Told(SimpleNamespace):
    """A progress that is told about every window."""

    def __init__(self, reading):
        super().__init__(reading=reading)

    def __call__(self, step, steps, loss):
        pass


def test_ctrl_c_returns_what_was_reached(tmp_path):
    X, y = rows()
    seen = []

    def stop(moment):
        seen.append(moment)
        if len(seen) > 200:
            raise KeyboardInterrupt

    fit = gs.train(DEEP, as_two_files(tmp_path, X, y), sizes={"h": 3}, progress=Told(stop))
    assert (
        fit.stopped == "interrupted" and fit.loss < fit.history[0] and np.isfinite(fit.parameters["w"]).all()
    )
    assert seen[0].of == 2000 and 0 < seen[0].rows < 2000 and seen[0].bytes == 20 * seen[0].rows


PARQUET = {
    "no such target": ({"a": [1.0, 2]}, "z", 'there is no column called "z"'),
    "text as the target": ({"a": [1.0, 2], "z": ["p", "q"]}, "z", "2 values in 2 rows: too many for classes"),
    "nothing to learn from": ({"a": ["p", "q", "r"], "z": [1.0, 2, 4]}, "z", "nothing to predict"),
    "no target": ({"a": [1.0, 2]}, None, "which column is to be predicted"),
    "no rows": ({"a": np.zeros(0), "z": np.zeros(0)}, "z", "has no rows"),
}


@pytest.mark.parametrize(("columns", "target", "said"), PARQUET.values(), ids=PARQUET)
def test_strange_columns_of_parquet_are_named(tmp_path, columns, target, said):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    with pytest.raises(MathError, match=said):
        open_rows(tmp_path / "t.parquet", target)


@pytest.mark.parametrize("change", [lambda raw: raw[: len(raw) // 2], lambda raw: b"PAR1", lambda raw: b""])
def test_damaged_parquet_is_an_error(tmp_path, change):
    X, y = rows()
    as_parquet(tmp_path, X, y)
    (tmp_path / "b.parquet").write_bytes(change((tmp_path / "b.parquet").read_bytes()))
    with pytest.raises(MathError, match=r'b.parquet" cannot be read as Parquet'):
        open_rows(str(tmp_path / "*.parquet"), "y")


def test_damage_inside_a_row_group_is_found_when_it_is_read(tmp_path):
    X, y = rows()
    store = as_parquet(tmp_path, X, y)
    raw = bytearray((tmp_path / "b.parquet").read_bytes())
    raw[4:3000] = b"\xff" * 2996
    (tmp_path / "b.parquet").write_bytes(raw)
    with pytest.raises(MathError, match=r'b.parquet" cannot be read as Parquet'):
        gs.train(LINE, store)


SECOND_ORDER = [
    ("newton-cg", LOGISTIC, {}),
    ("newton-cg", DEEP, {"sizes": {"h": 3}}),
    ("conjugate gradients", LOGISTIC, {}),
    ("levenberg-marquardt", NEURON, {}),
    ("levenberg-marquardt", RIDGE, {}),
    ("levenberg-marquardt", DEEP, {"sizes": {"h": 3}}),
]


@each(("optimiser", "loss", "settings"), SECOND_ORDER)
def test_curvature_and_residuals_of_rows_in_files_are_those_of_rows_in_memory(
    tmp_path, optimiser, loss, settings
):
    X, y = rows(300, np.float64)
    y = (y > 2).astype(float) if loss is LOGISTIC else y
    beside = {"lam": 0.1} if loss is RIDGE else {}
    store = as_two_files(tmp_path, X, y)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "EASY", 0)
        fit = gs.train(loss, {**paths(tmp_path), **beside}, optimiser=optimiser, steps=5, **settings)
    ref = gs.train(loss, {"X": X, "y": y, **beside}, optimiser=optimiser, steps=5, **settings)
    assert fit.stored == store.count and fit.steps == ref.steps
    assert fit.history == pytest.approx(ref.history, rel=1e-6)


def test_a_jacobian_that_would_be_large_is_used_by_its_products(tmp_path, monkeypatch):
    monkeypatch.setattr(over_rows, "MOST_COLUMNS", 2)
    X, y = rows(500, np.float64)
    fit = gs.train(NEURON, as_two_files(tmp_path, X, y), optimiser="levenberg-marquardt")
    assert any("its products with vectors are used instead" in note for note in fit.notes)
    assert fit.loss == pytest.approx(gs.train(NEURON, {"X": X, "y": y}).loss, rel=1e-4)


def test_what_needs_all_rows_at_once_says_so(tmp_path):
    X, y = rows()
    store = as_two_files(tmp_path, X, y)
    runs = gs.parse("mean((y - cumsum(X @ w + b))**2)", X="N d", w="d", b="", y="N")
    with pytest.raises(MathError, match="needs all rows at once"):
        gs.train(runs, store)
    with pytest.raises(MathError, match="the held-out ones are a share"):
        gs.train(LINE, store, holdout=[1, 2])


@pytest.mark.parametrize(
    ("source", "settings", "said"),
    [
        ("X.npy", {}, "which of the 4 columns"),
        ("X.npy", {"target": 4}, "has no column 4"),
        ("X.npy", {"target": True}, "has no column True"),
        ("X.npy", {"target": 1, "features": [1]}, "other columns than the target"),
        ("X.npy", {"target": 1, "features": 3}, "features are a list of columns"),
        ("X.npy", {"target": 1, "features": "23"}, "features are a list of columns"),
        ("y.npy", {"target": 0}, "should be a matrix"),
        ({}, {}, "there are no files"),
        ({"X": 3}, {}, "a path is text, not int"),
        ({"X": "X.npy"}, {"target": 2}, "a target is a column of one table"),
        ("Z.npy", {"target": 2}, "there is no file"),
    ],
)
def test_files_that_are_asked_for_wrongly(tmp_path, monkeypatch, source, settings, said):
    monkeypatch.chdir(tmp_path)
    as_two_files(tmp_path, *rows(50))
    with pytest.raises(MathError, match=said):
        open_rows(source, **settings)


def test_reading_ahead_keeps_the_order_and_passes_errors_on():
    def items():
        yield from range(5)
        raise ValueError("torn")

    seen = []
    with pytest.raises(ValueError, match="torn"):
        for item in ahead(items()):
            seen.append(item)
    assert seen == list(range(5))


def test_the_clock_says_what_the_speed_was_bound_by():
    clock = Clock(passes=2, bytes=2_000_000_000, seconds=4.0, waited=3.0, reading=3.9, disk=2_000_000_000)
    assert (
        "2 passes over the rows, 2 GB in 4 s, 500 MB a second, 100 % of the bytes from the disk"
        in clock.told()
    )
    assert clock.told().endswith("bound by the disk")
    assert Clock(2, 10**9, 4.0, 0.1, 0.2).told().endswith("bound by computing")
    assert Clock(2, 10**9, 4.0, 1.9, 3.9).told().endswith("bound by decoding the file")


IN_LITTLE_MEMORY = """
import resource, sys
import numpy as np
import gradstep as gs
from gradstep.learn import streaming
loss = gs.parse("mean((y - (X @ w + b))**2)", X="N d", w="d", b="", y="N")
r = np.random.default_rng(0)
np.save(sys.argv[2], r.normal(size=(9999, 20)).astype(np.float32))
gs.train(loss, gs.open_rows(sys.argv[2], 19), steps=1)
size = int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + 300_000_000,) * 2)
fit = gs.train(loss, gs.open_rows(sys.argv[1], 19), steps=1)
assert fit.stored == 5_000_000, fit.stored
print(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
def test_a_file_larger_than_the_memory_is_trained_on(tmp_path, monkeypatch):
    monkeypatch.undo()
    path = tmp_path / "large.npy"
    with open(path, "wb") as file:  # 400 MB, of which the disk holds a few kilobytes
        head = {"descr": "<f4", "fortran_order": False, "shape": (5_000_000, 20)}
        np.lib.format.write_array_header_1_0(file, head)
        start = file.tell()
        for k in range(0, 5_000_000, 500_000):
            file.seek(start + 80 * k)
            file.write(np.random.default_rng(k).normal(size=(1000, 20)).astype(np.float32).tobytes())
        file.truncate(start + 400_000_000)
    ran = subprocess.run(
        [sys.executable, "-c", IN_LITTLE_MEMORY, str(path), str(tmp_path / "small.npy")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},  # what a thread reserves is not memory in use
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 400_000  # kilobytes


def test_the_ends_of_columns_are_those_of_all_rows_whatever_their_number():
    random = np.random.default_rng(0)
    for rows, width in itertools.product((1, 7, 1000, 2003), (0, 1, 3, 400, 1001)):
        X = random.normal(size=(rows, width))
        X[random.random(X.shape) < 0.1 / rows] = np.nan
        for array in (X, X.T.copy().T, X[::2]):
            for of in (np.minimum, np.fmax):
                assert np.array_equal(extreme(of, array), of.reduce(array, axis=0), equal_nan=True)


def test_a_text_is_the_same_in_pieces_of_any_length(tmp_path, monkeypatch):
    text = "\ufeffa,b\n1,2\nä,€\n3,4\r\n\t5,𝑥\n6,7\n"
    (tmp_path / "t.csv").write_bytes(text.encode())
    (tmp_path / "odd.csv").write_bytes(text.encode() + b"8,\x00\n")
    (tmp_path / "cut.csv").write_bytes(text.encode()[:-1] + "€".encode()[:2])
    for size in range(1, 50):
        monkeypatch.setattr(lines, "PIECE", size)
        assert b"".join(lines.decoded(str(tmp_path / "t.csv"), "utf-8")) == text.encode()[3:]
        with pytest.raises(MathError, match="a NUL byte in line 7"):
            list(lines.pieces(str(tmp_path / "odd.csv"), "utf-8", ","))
        with pytest.raises(UnicodeDecodeError):
            list(lines.decoded(str(tmp_path / "cut.csv"), "utf-8"))
