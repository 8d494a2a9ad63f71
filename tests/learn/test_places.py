"""Are files elsewhere read as those on this machine are? A folder here plays the store of objects."""

import os

import numpy as np
import pytest
from clusters import NEURON, bits
from tables import each

import gradstep as gs
from gradstep.commands.tables import read_any
from gradstep.expression.errors import MathError
from gradstep.learn import checkpoints, opening, places
from gradstep.learn.columns import Table
from gradstep.learn.opening import open_rows, paths

pyarrow = pytest.importorskip("pyarrow")
pytestmark = pytest.mark.extras

STYLE = {"separator": None, "decimal": ".", "thousands": ""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bucket called rows: a table in several formats, two files of each, and what is no data."""
    from pyarrow import csv, parquet

    found, random = tmp_path_factory.mktemp("store"), np.random.default_rng(1)
    deep = found / "rows" / "year=2020"
    deep.mkdir(parents=True)
    for number in range(2):
        x, town = random.normal(size=600), random.choice(["Bonn", "Ulm"], 600)
        table = pyarrow.table({"x": x, "town": town, "y": np.maximum(x + 1, 0) + (town == "Ulm")})
        parquet.write_table(table, deep / f"p{number}.parquet", row_group_size=250)
        csv.write_csv(table, found / "rows" / f"c{number}.csv")
        with pyarrow.ipc.new_file(found / "rows" / f"a{number}.arrow", table.schema) as file:
            file.write_table(table, 250)
    for name in ("_SUCCESS", ".hidden.parquet", "notes.md"):
        (deep / name).write_text("nothing")
    return found


@pytest.fixture
def away(folder, monkeypatch):
    from pyarrow import fs

    monkeypatch.setattr(
        places, "_system", lambda root: fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
    )


@each(
    "pattern",
    ["rows/year=2020/*.parquet", "rows/**/p[01].parquet", "rows/year=2020", "rows/*.arrow", "rows/c*.csv"],
)
def test_files_elsewhere_give_the_same_rows_and_bits(pattern, folder, away):
    here, there = (open_rows(f"{root}/{pattern}", "y") for root in (folder, "s3:/"))
    assert all(path.startswith("s3://rows/") for path in there.files()) or pattern.endswith("csv")
    for name in ("features", "notes", "units", "count", "source"):
        assert getattr(there, name) == getattr(here, name), name
    assert bits(gs.train(NEURON, there, steps=2)) == bits(gs.train(NEURON, here, steps=2))


def test_a_command_reads_what_is_elsewhere_small_or_large(folder, away, monkeypatch):
    for address in ("s3://rows/year=2020", (folder / "rows" / "year=2020").as_uri(), "s3://rows/c*.csv"):
        found = read_any(address, STYLE, "y")
        assert isinstance(found, Table) and found.rows == 1200
    assert isinstance(read_any((folder / "rows" / "c0.csv").as_uri(), STYLE, "y"), Table)
    monkeypatch.setattr(opening, "EASY", 100)
    assert read_any("s3://rows/year=2020/", STYLE, "y").count == 1200


def test_patterns_and_folders_are_listed_in_order(folder, away):
    there = ["s3://rows/year=2020/p0.parquet", "s3://rows/year=2020/p1.parquet"]
    for source in ("year=2020", "year=2020/", "**/p*.parquet", "y*/p[0-9].parquet", "year=2020/p*"):
        assert paths(f"s3://rows/{source}") == there, source
    assert paths((folder / "rows" / "c0.csv").as_uri()) == [str(folder / "rows" / "c0.csv")]


WRONG = [
    ("s3://rows/year=2020/p7.parquet", "is not there", "p1.parquet"),
    ("s3://rows/x/*.parquet", "there is no file", None),
    ("s3://AKIAKEY:secret@rows/x.parquet", "holds a key", "AWS_SECRET_ACCESS_KEY"),
    ("s3://AKIAKEY@rows/x.parquet", "holds a key", "AWS_SECRET_ACCESS_KEY"),
    ("abfs://box:secret@account/x.parquet", "holds a key", "environment"),
    ("s3://rows/x.parquet?secret_key=secret", "options", "environment"),
    ("s3:///x.parquet", "where they are", "bucket"),
    ("s3://rows/x.npy", "lies elsewhere", "Parquet"),
]


@each(("address", "told", "mend"), WRONG, ids=[address for address, _, _ in WRONG])
def test_what_is_wrong_with_an_address_is_said_and_no_secret_repeated(address, told, mend, away):
    with pytest.raises(MathError, match=told) as error:
        gs.train(NEURON, open_rows(address, "y"))
    said = str(error.value)
    assert "AKIAKEY" not in said and "secret" not in said.replace("may hold a secret", "")
    assert mend is None or mend in error.value.mend


def test_a_way_that_is_barred_and_damage_are_told_apart_from_a_missing_file(folder, away, monkeypatch):
    (folder / "rows" / "bad.parquet").write_bytes(b"PAR1" + bytes(1000) + b"PAR1")
    with pytest.raises(MathError, match="damaged, or cannot be reached"):
        open_rows("s3://rows/bad.parquet", "y")

    def barred(root):
        raise OSError("AWS Error ACCESS_DENIED during HeadObject operation")

    monkeypatch.setattr(places, "_system", barred)
    with pytest.raises(MathError, match="cannot be reached") as error:
        open_rows("s3://rows/bad.parquet", "y")
    assert "ACCESS_DENIED" in error.value.facts[0] and "AWS_ACCESS_KEY_ID" in error.value.mend


def test_a_file_elsewhere_that_changes_is_an_error(folder, away, tmp_path):
    path = folder / "rows" / "year=2020" / "p1.parquet"

    def touched(step, steps, loss):
        if step == 2:
            os.utime(path, ns=(0, 5 * 10**9))

    kept = {"checkpoint": tmp_path / "run", "steps": 4}
    rows = "s3://rows/year=2020/*.parquet"
    gs.train(NEURON, rows, **kept)
    with pytest.raises(MathError, match=r"p1\.parquet"):
        gs.train(NEURON, rows, progress=touched, steps=4)
    with pytest.raises(MathError, match=r"p1\.parquet.* is not the file"):
        gs.train(NEURON, rows, resume=True, **kept)


@each(
    ("address", "inside"),
    [
        ("s3://bucket/a/b.parquet", "bucket/a/b.parquet"),
        ("gs://bucket/b.parquet", "bucket/b.parquet"),
        ("abfs://box@account.dfs.core.windows.net/b.parquet", "box/b.parquet"),
        ("hdfs://host:9000/a/b.parquet", "/a/b.parquet"),
    ],
)
def test_the_path_in_a_store_begins_with_what_arrow_calls_a_bucket(address, inside, away):
    assert places._within(address)[1] == inside


def test_files_elsewhere_are_the_same_ones_from_every_folder(tmp_path, monkeypatch):
    """Files of one name are told apart by folders, which for an address are not those of this machine."""
    files = {"s3://rows/a/p.parquet": "1", "s3://rows/b/p.parquet": "2", "here/p.parquet": "3"}
    before = checkpoints._by_short_names(files)
    monkeypatch.chdir(tmp_path)
    after = checkpoints._by_short_names(files)
    assert [*before][:2] == [*after][:2] == [*files][:2] and [*before][2] != [*after][2]


@pytest.mark.parametrize("path", ["", "/p*.parquet"])
def test_a_path_alone_is_a_table_whose_column_y_is_predicted(folder, path):
    deep = str(folder / "rows" / "year=2020")
    one, other = (gs.train(NEURON, rows, steps=3) for rows in (deep + path, open_rows(deep + path, "y")))
    assert bits(one) == bits(other)


@pytest.mark.parametrize(("path", "mend"), [("", "target"), ("/none.parquet", "p0.parquet")])
def test_a_path_alone_that_will_not_do_is_told_what_would(folder, path, mend):
    """There is no column y in this table, and no such file beside it."""
    from pyarrow import parquet

    other = folder / "without"
    other.mkdir(exist_ok=True)
    parquet.write_table(pyarrow.table({"x": [1.0, 2.0], "price": [1.0, 2.0]}), other / "p0.parquet")
    with pytest.raises(MathError) as refused:
        gs.train(gs.parse("mean((y - X @ w)**2)", X="N d", w="d", y="N"), str(other) + path)
    assert mend in (refused.value.mend or "")
