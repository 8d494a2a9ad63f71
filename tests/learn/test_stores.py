"""Is a table in files the same table, whatever the format, and is every damage one error that says where?"""

import gc
import gzip
import hashlib
import io
import operator
import os
import pickle
import re
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tables import each
from text_tables import BAD, GOOD

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.learn import batches, lines, opening, queries, selection, spool, stores, texts
from gradstep.learn.cells import Style
from gradstep.learn.data import from_arrays, read_table
from gradstep.learn.encoding import Encoder
from gradstep.learn.frames import Words
from gradstep.learn.models import default_model
from gradstep.learn.moments import paired
from gradstep.learn.opening import open_rows, whole
from gradstep.learn.reading import Part
from gradstep.learn.stored_tables import answered, prepared_rows, train_stored_model
from gradstep.learn.stores import WHOLE
from gradstep.learn.survey import survey_of, surveyed
from gradstep.learn.texts import read_texts

LINE = gs.parse("mean((y - (X @ w + b))**2)", X="N d", w="d", b="", y="N")


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


def assert_near(found, wanted, rel):
    """Within what `pytest.approx` allows, which takes far longer over a table."""
    assert found.shape == wanted.shape
    assert (np.abs(found - wanted) <= np.maximum(rel * np.abs(wanted), 1e-12)).all()


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


def arrow(folder, columns, rows=500):
    table = pytest.importorskip("pyarrow").table(columns)
    pytest.importorskip("pyarrow.feather").write_feather(table, folder / "t.arrow", chunksize=rows)
    return folder / "t.arrow", "y"


NUMBERS = {"npy": npy, "npy by name": npy_by_name, "parquet": parquet, "arrow": arrow}


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
            assert_near(X @ w + level, best, 1e-12)


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


def test_missing_values_leave_a_straight_line_as_if_they_were_the_mean(tmp_path, monkeypatch):
    random = np.random.default_rng(2)
    X = random.normal(size=(900, 3)) * [1, 2, 0.5] + [1e4, 0, -5]
    y = X @ [0.5, -1, 2] + random.normal(size=900)
    X[random.uniform(size=X.shape) < [0.3, 0, 0.1]] = np.nan
    filled = np.where(np.isnan(X), np.nanmean(X, axis=0), X)
    monkeypatch.setattr(stores.NpyStore, "gaps", {"X"})
    for cuts in ([], [1, 100, 450]):
        parts = [pickle.loads(pickle.dumps(each)) for each in surveys(tmp_path, X, y, cuts)]
        found = paired(parts, operator.add)
        both = np.column_stack([filled, y])
        assert found.products.about == pytest.approx(900 * np.cov(both.T, bias=True), rel=1e-9, abs=1e-7)
        w, level = found.line()
        design = np.column_stack([filled, np.ones(900)])
        best = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        assert_near(filled @ w + level, best, 1e-9)


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


# ------------------------------------------------------------------------------------------- kinds of columns


def mixed(count=900, seed=0):
    """A table with a column of every kind, some values missing."""
    random = np.random.default_rng(seed)

    def holed(values, missing=None):
        gone = random.uniform(size=count) < 0.1
        return [missing if hole else value for value, hole in zip(values, gone, strict=True)]

    size = random.normal(3, 2, count)
    colour = random.choice(["red", "green", "blue"], count, p=[0.5, 0.3, 0.2])
    day = np.datetime64("2001-03-01") + random.integers(0, 4000, count)
    return {
        "size": holed(size.tolist(), None),
        "short": size.astype(np.float32) ** 2,
        "whole": holed(random.integers(-5, 5, count).tolist()),
        "colour": holed(colour.tolist()),
        "day": holed(day.tolist()),
        "written": holed([f"{value:.2f}" for value in random.normal(size=count)], "NA"),
        "dated": [str(each) for each in day[::-1]],
        "truth": holed((size > 3).tolist()),
        "many": [f"m{k}" for k in random.geometric(0.05, count)],
        "text": [f"text {k}" for k in range(count)],
        "same": ["s"] * count,
        "constant": [2.5] * count,
        "none": [None] * count,
        "id": list(range(count)),
        "y": holed((size + 2 * (colour == "red") + random.normal(size=count)).tolist()),
    }


def in_folder(folder, columns):
    """Several Parquet files in a folder."""
    arrow_ = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    (folder / "t").mkdir()
    table = arrow_.table(columns)
    for k, (start, stop) in enumerate([(0, 400), (400, 400), (400, 701), (701, 900)]):
        write_table(table.slice(start, stop - start), folder / "t" / f"part-{k}.parquet", row_group_size=150)
    (folder / "t" / "_SUCCESS").write_text("")
    return folder / "t", "y"


def csv(folder, columns):
    """As CSV, an empty cell where a value is missing."""

    def cell(value):
        return "" if value is None else f'"{value}"' if isinstance(value, str) else str(value)

    rows = [",".join(map(cell, row)) for row in zip(*columns.values(), strict=True)]
    (folder / "t.csv").write_text("\n".join([",".join(columns), *rows, ""]))
    return folder / "t.csv", "y"


def csv_gz(folder, columns):
    source, target = csv(folder, columns)
    (folder / "t.csv.gz").write_bytes(gzip.compress(source.read_bytes()))
    return folder / "t.csv.gz", target


def database(kind):
    """As a table of a data base, asked by a query."""

    def written(folder, columns):
        arrow_ = pytest.importorskip("pyarrow")
        address = f"{kind}:///{folder}/t.{kind}"
        if kind == "duckdb":
            duckdb = pytest.importorskip("duckdb")
            with duckdb.connect(f"{folder}/t.duckdb") as connection:
                connection.register("rows", arrow_.table(columns))
                connection.execute("create or replace table t as select * from rows")
        else:
            adbc = pytest.importorskip("adbc_driver_sqlite.dbapi")
            with adbc.connect(f"{folder}/t.sqlite") as connection, connection.cursor() as cursor:
                cursor.adbc_ingest("t", arrow_.table(columns), mode="replace")
                connection.commit()
        return gs.open_query(address, "select * from t", "y")

    return written


def streamed_rows(folder, columns):
    return open_rows(pytest.importorskip("pyarrow").table(columns), "y")


TABLES = {"parquet": parquet, "arrow": arrow, "a folder": in_folder, "csv": csv, "csv.gz": csv_gz}
ANSWERS = {"duckdb": database("duckdb"), "sqlite": database("sqlite"), "a stream": streamed_rows}


def without_place(note):
    return re.sub(r"m\d+|[\d,.]+", "#", note)


OF_EACH = [(written, "y") for written in TABLES.values()]
OF_EACH += [(written, target) for written in (parquet, csv) for target in ("colour", "truth")]


@pytest.mark.parametrize(("written", "target"), OF_EACH)
def test_columns_become_in_files_what_they_become_in_memory(tmp_path, written, target, monkeypatch):
    monkeypatch.setattr(stores, "WINDOW", 1 << 15)
    source, _ = written(tmp_path, mixed())
    table = opening.table_or_rows(str(source), target)
    prepared = Encoder.fit(table, target, holdout=0)
    store = open_rows(source, target)
    assert store.columns["X"] == prepared.feature_names and sum(map(len, store.units)) > 1
    assert store.classes == prepared.classes and store.count == len(prepared.y)
    surveyed(Part(store), ["X", "y"], 1.0, "y")
    found = whole(store)
    assert np.array_equal(found["y"], prepared.y)
    assert_near(found["X"], prepared.X, 1e-12)
    said = set(map(without_place, store.notes))
    assert {note for note in map(without_place, prepared.notes) if "has no value" not in note} <= said


@pytest.mark.parametrize("written", ANSWERS.values(), ids=ANSWERS)
def test_answers_of_data_bases_become_what_tables_become(tmp_path, written):
    columns = mixed()
    if written is ANSWERS["sqlite"]:  # which knows no truth values, no dates, and no columns of nothing
        columns = {name: column for name, column in columns.items() if name not in ("truth", "day", "none")}
    day = {"day": np.array(columns["day"], "M8[D]")} if "day" in columns else {}
    prepared = Encoder.fit(from_arrays({**columns, **day}), "y", holdout=0)
    store = written(tmp_path, columns)
    assert store.columns["X"] == prepared.feature_names
    surveyed(Part(store), ["X", "y"], 1.0, "y")
    assert_near(whole(store)["X"], prepared.X, 1e-6)
    assert store.prints() == pickle.loads(pickle.dumps(store)).prints() == written(tmp_path, columns).prints()
    columns["y"][17] = 1.5
    assert store.prints() != written(tmp_path, columns).prints()


SAME = {**{name: NUMBERS[name] for name in ("npy", "arrow", "parquet")}, "csv": csv, **ANSWERS}


def test_one_table_gives_the_same_bits_from_every_format(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(stores, "WINDOW", 1 << 25)
    monkeypatch.setattr(stores, "LEAST_WINDOW", 1 << 25)
    found = {}
    for name, written in SAME.items():
        source = written(tmp_path, numbers(500))
        store = open_rows(*source) if isinstance(source, tuple) else source
        fit = gs.train(LINE, store, steps=6, holdout=0.2)
        bits = b"".join(np.asarray(fit.parameters[each]).tobytes() for each in ("w", "b"))
        found.setdefault(hashlib.sha256(bits).hexdigest(), []).append(name)
    assert len(found) == 1, found


WRONG = {
    "a table that is missing": ("select * from u", "Table with name u does not exist"),
    "no query": ("", "a query is text"),
    "no SQL": ("selec", "syntax error"),
    "a query that fails midway": (
        "select case when a < 3 then a else error('torn')::double end a, y from t",
        "torn",
    ),
    "no rows": ("select * from t where a > 1e9", "has no rows"),
    "no target in any row": ("select a, null::double y from t", "no row with a value"),
    "two columns of one name": ("select a, a, y from t", "two columns called"),
    "no rows at all": ("drop table t", "read-only"),
    "a secret": ("select error('password=hunter2'), y from t", "password=…"),
}


@each("query, said", WRONG.values(), WRONG)
def test_a_query_that_fails_is_one_error_without_secrets(tmp_path, query, said):
    if not os.path.exists(tmp_path / "t.duckdb"):
        database("duckdb")(tmp_path, numbers(200))
    with pytest.raises(MathError) as error:
        gs.open_query(f"duckdb:///{tmp_path}/t.duckdb", query, "y")
    assert said in str(error.value) and "hunter2" not in str(error.value)


ADDRESSES = {
    "duckdb:///nowhere.db": "there is no file",
    "mysql://me:hunter2@host/db": "is no kind of data base that is known here",
    "houses.db": "which kind of data base",
    "postgresql://me:hunter2@[host/db": "no address of a data base",
    "duckdb://": "Table with name t does not exist",
}


@each("address", ADDRESSES)
def test_an_address_that_leads_nowhere_is_one_error_without_secrets(tmp_path, address):
    pytest.importorskip("duckdb")
    with pytest.raises(MathError, match=ADDRESSES[address]) as error:
        gs.open_query(address, "select * from t", "y")
    assert "hunter2" not in str(error.value)


def test_nothing_of_an_address_but_the_name_is_told():
    address = "postgresql://me:hunter2@host/db?sslpassword=hunter3"
    _, name, secrets = queries._parts(address)
    assert name == "host/db"
    said = queries.clean(
        f"cannot connect to {address}: me hunter2, PASSWORD=hunter2 //me:hunter2@host", secrets
    )
    assert "hunter" not in said and "cannot connect" in said
    assert queries.has_password(address) and not queries.has_password("postgresql://me@host/db")


# ------------------------------------------------------------------------------------------- texts


def streamed(folder, content, piece=40, **options):
    """A text read piece by piece, as a table."""
    (folder / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    style = Style(options.pop("decimal", "."), options.pop("thousands", ""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "PIECE", piece)
        return read_texts([str(folder / "t.csv")], style=style, **options)


READ = {name: case for name, case in GOOD.items() if "names" not in case[1]}
REFUSED = {name: case for name, case in BAD.items() if "limit" not in case[1] and "among dates" not in name}


@each("name", READ)
def test_texts_are_read_piece_by_piece_as_at_once(tmp_path, name):
    pytest.importorskip("pyarrow")
    content, options, expected = GOOD[name]
    for size in (7, 40, 1 << 20):
        frame = streamed(tmp_path, content, size, **options)
        found = {}
        for part, (_, _, rows) in enumerate(frame.parts):
            for columns in frame.read(part, list(frame.fields), [(0, rows)]):
                for name, raw in columns.items():
                    values = raw.texts() if isinstance(raw, Words) else [v if v == v else None for v in raw]
                    found.setdefault(name, []).extend(values)
        assert found == expected
        at_once = read_table(tmp_path / "t.csv", **options)
        table = frame.table(options.get("kinds"))
        assert np.array_equal(table.lines, at_once.lines) and table.unit == "in line"
        assert {name: c.kind for name, c in table.columns.items()} == {
            name: c.kind for name, c in at_once.columns.items()
        }


@each("name", REFUSED)
def test_texts_are_refused_piece_by_piece_as_at_once(tmp_path, name):
    pytest.importorskip("pyarrow")
    content, options, words = BAD[name]
    words = {
        "NUL byte at byte 6": "NUL byte in line 2",
        "UTF-16 at byte 18": "not valid UTF-16",
        "gzip": "damaged or ends too early",
        "1e400 in line 3": "inf in line 3",
    }.get(words, words.removeprefix("t.csv"))
    for size in (7, 1 << 20):
        with pytest.raises(MathError) as caught:
            streamed(tmp_path, content, size, **options)
        assert words in str(caught.value)
    assert not left_over(tmp_path)


def left_over(folder):
    """Files that were written down in the folder for temporary files and not removed."""
    return [name for name in os.listdir(folder) if name.startswith("gradstep-")]


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory, monkeypatch):
    """A folder of its own for what is written down, empty afterwards."""
    folder = tmp_path_factory.mktemp("spool")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    if left_over(folder):
        gc.collect()
    assert not left_over(folder)


SENTENCES = {
    "a column that turns out to be text": ("a,y\n" + "1,2\n" * 9000 + "x,2\n" * 9000, {"a": "category"}),
    "a column that begins with text": ("a,y\n" + "x,2\n" * 3 + "1,2\n" * 9000, 'holds "x" in line 2'),
    "text in one row of many": ("a,y\n" + "1,2\n" * 19000 + "q,3\n" + "1,2\n" * 9, 'holds "q" in line 19002'),
    "infinity late": ("a,y\n" + "1,2\n" * 19000 + "1,inf\n" + "1,2\n" * 9, '"y" holds inf in line 19002'),
    "blank lines and long cells": (
        'a,y\n1,"2\n\n"\n\n' + "1,2\n" * 19000 + "1,2,3\n",
        "line 19006 of .* has 3 cells",
    ),
    "a long line": (
        'a,y\n1,"' + "2,2\n" * 30_000,
        "the record that begins in line 2 has no end within 100,000",
    ),
    "a quote in a cell": ('a,y\n5" nail,2\n"6"" nail",3\n7" nail,5\n' * 1, {"a": "category"}),
}


@pytest.mark.parametrize(("text", "found"), SENTENCES.values(), ids=SENTENCES)
def test_what_shows_late_in_a_text_is_found_in_its_line(tmp_path, text, found, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(lines, "LONGEST", 100_000)
    monkeypatch.setattr(texts, "beginning", lambda path: lines.beginning(path, 1000))
    if isinstance(found, str):
        with pytest.raises(MathError, match=found):
            streamed(tmp_path, text, 5000)
    else:
        table = streamed(tmp_path, text, 5000).table()
        assert {name: table.columns[name].kind for name in found} == found


def test_a_table_in_files_is_trained_on_and_answered_as_one_in_memory(tmp_path, monkeypatch):
    source, _ = in_folder(tmp_path, mixed())
    monkeypatch.setattr(opening, "EASY", 1000)
    store = opening.table_or_rows(str(source), "y")
    rows = prepared_rows(store, "y", task=None, holdout=0.2)
    fit = train_stored_model(default_model(rows.prepared), rows, steps=5)
    assert fit.encoder.feature_names == fit.feature_names == store.columns["X"]
    monkeypatch.undo()
    table = opening.table_or_rows(str(source), "y")
    answers = fit.predictor.predict(table)
    stored = selection.applied(opening.frame_of(opening.paths(source)), fit.encoder)
    found = np.concatenate([one.values for _, one in answered(fit.predictor, stored)])
    assert found == pytest.approx(answers, rel=1e-5) and len(found) == 900
    assert [value for part in stored.beside() for value in part].count("") == 900 - store.count


# ------------------------------------------------------------------------------------------- faults


def some(seed=0, count=900, **others):
    return {**numbers(count, seed), **others}


def several(folder, *tables, kind="parquet"):
    """Files of the same kind, a.parquet, b.parquet …"""
    write = pytest.importorskip("pyarrow.parquet").write_table
    feather = pytest.importorskip("pyarrow.feather").write_feather
    for name, columns in zip("abc", tables, strict=False):
        table = pytest.importorskip("pyarrow").table(columns)
        if kind == "parquet":
            write(
                table,
                folder / f"{name}.parquet",
                row_group_size=300,
                use_dictionary=False,
                write_page_checksum=True,
            )
        elif kind == "arrow":
            feather(table, folder / f"{name}.arrow", chunksize=300, compression="zstd")
        else:
            csv(folder, columns)[0].rename(folder / f"{name}.csv")


def spoilt(file, change):
    """Files, the last of which has other bytes."""

    def written(folder):
        kind = file.partition(".")[2]
        several(folder, some(), some(1), kind=kind)
        (folder / file).write_bytes(change((folder / file).read_bytes()))

    return written


def tables(*found, kind="parquet"):
    return lambda folder: several(folder, *found, kind=kind)


def bits(column, group):
    """Some other bytes where a column of a row group lies."""

    def change(raw):
        about = pytest.importorskip("pyarrow.parquet").ParquetFile(io.BytesIO(raw)).metadata.row_group(group)
        places = {about.column(k).path_in_schema: about.column(k) for k in range(about.num_columns)}
        at = places[column].data_page_offset + places[column].total_compressed_size // 2
        return raw[:at] + bytes(255 - byte for byte in raw[at : at + 9]) + raw[at + 9 :]

    return change


def footer_that_says(rows):
    """The number of rows of a row group, 300, is another; both take two bytes there."""

    def change(raw):
        length = int.from_bytes(raw[-8:-4], "little") + 8
        old, new = (bytes([2 * k & 127 | 128, 2 * k >> 7]) for k in (300, rows))
        return raw[:-length] + raw[-length:].replace(old, new)

    return change


def without(name):
    return {key: value for key, value in some(1).items() if key != name}


def at_row(row, value, **others):
    column = numbers()["b"].astype(type(value) if isinstance(value, float) else object)
    column = column.astype(str).astype(object) if isinstance(value, str) else column
    column[row] = value
    return some(b=column, **others)


def piped(name):
    def written(folder):
        several(folder, some())
        os.mkfifo(folder / name)

    return written


FAULTS = {
    "a corrupt row group": (spoilt("b.parquet", bits("b", 2)), 'b.parquet" .* row group 2, column "b"'),
    "a file cut off": (spoilt("b.parquet", lambda raw: raw[:-900]), '"b.parquet" cannot be read as Parquet'),
    "a file of no bytes": (spoilt("b.parquet", lambda raw: b""), '"b.parquet" cannot be read'),
    "an end that promises more rows": (spoilt("b.parquet", footer_that_says(400)), '"b.parquet"'),
    "an end that promises fewer rows": (spoilt("b.parquet", footer_that_says(200)), "contradicts itself"),
    "an Arrow file cut off": (spoilt("b.arrow", lambda raw: raw[:-900]), '"b.arrow" cannot be read'),
    "an Arrow file of text": (spoilt("b.arrow", lambda raw: b"a,b,c,y"), "does not begin like one"),
    "a batch that is damaged": (
        spoilt("b.arrow", lambda raw: raw.replace(b"\x28\xb5\x2f\xfd", b"\xff" * 4)),
        '"b.arrow" cannot be read as an Arrow file, batch',
    ),
    "another type": (tables(some(), some(1, b=["u"] * 900)), '"b" should have the same type in all files'),
    "another type in Arrow": (tables(some(), some(b=["u"] * 900), kind="arrow"), "should have the same type"),
    "a missing column": (tables(some(), without("b")), '"b.parquet" has no column called "b"'),
    "a missing target": (tables(some(), without("y")), '"b.parquet" has no column called "y"'),
    "a missing column in CSV": (tables(some(), without("b"), kind="csv"), '"b.csv" has no column called "b"'),
    "another name": (tables(some(), {**without("b"), "B": some()["b"]}), r'called "b"(.|\n)*Perhaps "B"'),
    "infinity": (tables(some(), at_row(777, np.inf)), '"b" holds inf in row 777 of "b.parquet", row group 2'),
    "infinity in Arrow": (tables(some(), at_row(301, np.inf), kind="arrow"), 'row 301 of "b.arrow", batch 1'),
    "infinity in CSV": (
        tables(some(), at_row(777, np.inf), kind="csv"),
        '"b" holds inf in line 779 of "b.csv"',
    ),
    "too large": (
        tables(some(), at_row(3, -1e200)),
        r'"b" holds -1e\+200 in row 3 of "b.parquet", row group 0',
    ),
    "text among numbers": (tables(at_row(801, "oops")), '"b" holds "oops" in row 801, row group 2'),
    "text in CSV": (tables(some(), at_row(5, "x"), kind="csv"), '"b" holds "x" in line 7 of "b.csv"'),
    "only files without rows": (tables(some(count=0)), "has no rows"),
    "a pipe": (piped("b.parquet"), '"b.parquet" is not a regular file'),
    "a pipe for CSV": (lambda folder: os.mkfifo(folder / "a.csv"), '"a.csv" is not a regular file'),
    "nothing": (lambda folder: None, "a folder without files of data"),
    "two formats": (
        lambda folder: (several(folder, some()), several(folder, some(), kind="csv")),
        "one format",
    ),
    "a text cut off": (
        lambda folder: (
            csv_gz(folder, some())[0].write_bytes((folder / "t.csv.gz").read_bytes()[:-999])
            and (folder / "t.csv").unlink()
        ),
        '"t.csv.gz" is damaged or ends too early',
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_a_file_is_one_error_that_says_where(tmp_path, name):
    written, said = FAULTS[name]
    written(tmp_path)
    with pytest.raises(MathError, match=said) as error:
        gs.train(LINE, open_rows(tmp_path, "y"), steps=1)
    assert error.value.mend and "Traceback" not in str(error.value)


FINE = {
    "whole numbers in one file": (tables(some(b=range(900)), some(1)), 1800),
    "a column of nothing in one file": (tables(some(b=[None] * 900), some(1)), 1800),
    "a file without rows": (tables(some(), some(count=0), some(2)), 1800),
    "columns in another order": (tables(some(), dict(reversed(some(1).items())), kind="csv"), 1800),
    "one column more": (tables(some(), some(1, z=range(900))), 1800),
}


@each("written, count", FINE.values(), FINE)
def test_what_is_no_fault_is_read(tmp_path_factory, written, count):
    folder = tmp_path_factory.mktemp("fine")
    written(folder)
    store = open_rows(folder, "y")
    surveyed(Part(store), ["X", "y"], 1.0, "y")
    assert store.count == count == len(whole(store)["X"]) and store.columns["X"] == ("a", "b", "c")


def test_names_of_folders_are_columns(tmp_path):
    for year, kind in ((2020, "u"), (2021, "v%20w"), (2022, "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / f"year={year}" / f"kind={kind}"
        folder.mkdir(parents=True)
        several(folder, some(year))
    for source in (tmp_path, str(tmp_path / "*" / "*" / "*.parquet")):
        store = open_rows(source, "y")
        assert store.columns["X"] == ("a", "b", "c", "year", "kind=v w", "kind=(missing)")
        X = whole(pickle.loads(pickle.dumps(store)))["X"]
        assert np.array_equal(X[::900, 3:], [[2020, 0, 0], [2021, 1, 0], [2022, 0, 1]])
    several(tmp_path, some())
    with pytest.raises(MathError, match="lies in no folder called year="):
        open_rows(tmp_path, "y")


def test_bombs_are_refused_or_read_bit_by_bit(tmp_path, monkeypatch):
    arrow_ = pytest.importorskip("pyarrow")
    zeros = arrow_.table({"a": np.zeros(2_000_000), "y": np.arange(2_000_000) % 7})
    pytest.importorskip("pyarrow.parquet").write_table(zeros, tmp_path / "t.parquet")
    pytest.importorskip("pyarrow.feather").write_feather(
        zeros, tmp_path / "t.arrow", compression="zstd", chunksize=2_000_000
    )
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2_000_000
    monkeypatch.setattr(opening, "EASY", 20_000_000)
    frame = opening.frame_of([str(tmp_path / "t.parquet")])
    assert frame.size() >= 32_000_000 and frame.count == 2_000_000
    monkeypatch.setattr(batches, "memory", lambda: 40_000_000)
    with pytest.raises(MathError, match=r'"t.arrow" has a batch of 32 MB: too much to be read at once'):
        open_rows(tmp_path / "t.arrow", "y")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,y\n" + b"1,2\n" * 1_000_000))
    assert not opening.is_short_text(str(tmp_path / "t.csv.gz"), 1_000_000)
    with pytest.raises(MathError, match="larger than 1,000,000 bytes when it is unpacked"):
        read_table(tmp_path / "t.csv.gz", limit=1_000_000)
    monkeypatch.setattr(spool, "RESERVE", 1 << 60)
    with pytest.raises(MathError, match="the disk has no room for the rows"):
        open_rows(tmp_path / "t.csv.gz", "y")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid(), reason="only root can be somebody else")
def test_a_file_that_may_not_be_read_says_so(tmp_path):
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        several(folder, some())
        csv(folder, some())
        for path in folder.iterdir():
            path.chmod(0)
        os.seteuid(65534)
        try:
            for path in ("a.parquet", "t.csv"):
                with pytest.raises(MathError, match="permission denied"):
                    open_rows(folder / path, "y")
        finally:
            os.seteuid(0)


def test_a_file_that_changes_while_it_is_used_is_an_error(tmp_path):
    several(tmp_path, some())
    store = open_rows(tmp_path, "y")
    several(tmp_path, some(1, count=500))
    with pytest.raises(MathError, match=r'"a.parquet"'):
        whole(store)
