"""Is every table read right, or refused with one clear message?"""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradstep import datasets
from gradstep.expression.errors import MathError
from gradstep.learn.data import from_arrays, read_table


@pytest.fixture
def read(tmp_path):
    """Write content to a file and read it as a table."""

    def write_and_read(content, name="t.csv", **options):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(file, **options)

    return write_and_read


def plain(table):
    """The columns as lists, None for missing."""
    return {
        name: [
            None if gone else value
            for value, gone in zip(column.values.tolist(), column.missing, strict=True)
        ]
        for name, column in table.columns.items()
    }


GOOD = {
    "comma": ("a,b\n1,2\n3,4.5\n", {}, {"a": [1, 3], "b": [2, 4.5]}),
    "semicolon": ("a;b\n1;2\n3;4\n", {}, {"a": [1, 3], "b": [2, 4]}),
    "tab": ("a\tb\n1\t2\n", {}, {"a": [1], "b": [2]}),
    "bar": ("a|b\n1|2\n", {}, {"a": [1], "b": [2]}),
    "commas inside, semicolons between": (
        "a;b\nx, y;2\nz, u, v;3\n",
        {},
        {"a": ["x, y", "z, u, v"], "b": [2, 3]},
    ),
    "one column": ("a\n1\n2\n", {}, {"a": [1, 2]}),
    "given separator": ("a,b;c\n1,5;2\n", {"separator": ";", "decimal": ","}, {"a,b": [1.5], "c": [2]}),
    "mixed line ends": (b"a,b\r\n1,2\n3,4\r5,6", {}, {"a": [1, 3, 5], "b": [2, 4, 6]}),
    "empty lines": ("\n\na,b\n\n1,2\n \n3,4\n\n", {}, {"a": [1, 3], "b": [2, 4]}),
    "quotes": ('a,b\n"x, ""y""",1\n"two\nlines",2\n', {}, {"a": ['x, "y"', "two\nlines"], "b": [1, 2]}),
    "spaces": ("a , b\n 1, x \n", {}, {"a": [1], "b": ["x"]}),
    "one row": ("a,b\n1,x\n", {}, {"a": [1], "b": ["x"]}),
    "UTF-8 mark": ("\ufeffa,b\n1,é\n".encode(), {}, {"a": [1], "b": ["é"]}),
    "UTF-16": ("a,b\n1,é\n".encode("utf-16"), {}, {"a": [1], "b": ["é"]}),
    "UTF-16 without mark": ("a,b\n1,2\n".encode("utf-16-le"), {}, {"a": [1], "b": [2]}),
    "Latin-1": ("a,b\n1,Müller\n".encode("latin-1"), {}, {"a": [1], "b": ["Müller"]}),
    "missing": (
        "a,b\n1,x\n,\nNA,N/A\nnan,null\nNone,?\n-,-\n2,y\n",
        {},
        {"a": [1, None, None, None, None, None, 2], "b": ["x", None, None, None, None, None, "y"]},
    ),
    "nothing but missing": ("a,b\n,1\n,2\n", {}, {"a": [None, None], "b": [1, 2]}),
    "forms of numbers": (
        "a\n1e3\n-.5\n+2.\n−3\n 4 \n",
        {},
        {"a": [1000, -0.5, 2, -3, 4]},
    ),
    "decimal comma": ("a;b\n1,5;x\n-0,25;y\n", {"decimal": ","}, {"a": [1.5, -0.25], "b": ["x", "y"]}),
    "thousands": (
        'a,b\n"1,234.5",1\n"-12,345,678",2\n7,3\n',
        {"thousands": ","},
        {"a": [1234.5, -12345678, 7], "b": [1, 2, 3]},
    ),
    "dates where numbers are wanted": (
        "a,b\n2001-07-02T12:00,1\n2001-01,2\n",
        {"kinds": {"a": "number"}},
        {"a": [2001.5, 2001], "b": [1, 2]},
    ),
    "German": ("a;b\n1.234,5;1\n7;2\n", {"decimal": ",", "thousands": "."}, {"a": [1234.5, 7], "b": [1, 2]}),
    "mostly text is a category": ("a\n1\nx\ny\nz\n", {}, {"a": ["1", "x", "y", "z"]}),
    "codes as categories": ("a\n1\n02\n3\n", {"kinds": {"a": "category"}}, {"a": ["1", "02", "3"]}),
    "index without a name": (",a\n0,5\n1,6\n2,8\n", {}, {"a": [5, 6, 8]}),
    "column without a name": ("a,\n0,5\n1,7\n", {}, {"a": [0, 1], "column 2": [5, 7]}),
    "separator at the end": ("a,b,\n1,2,\n3,4,\n", {}, {"a": [1, 3], "b": [2, 4]}),
    "names of a file without header": ("1,2\n3,4\n", {"names": ["a", "b"]}, {"a": [1, 3], "b": [2, 4]}),
    "numbered columns": ("0,1,y\n5,6,7\n", {}, {"0": [5], "1": [6], "y": [7]}),
    "dates": ("d\n2001-01-01\n2001-07-02T12:00\n\n2004-01-01 00:00:00Z\n", {}, {"d": [2001, 2001.5, 2004]}),
    "months": ("d\n2001-01\n2002-01\n", {}, {"d": [2001, 2002]}),
    "formula stays text": (
        'a,b\n"=HYPERLINK(""x"")",1\n=1+1,2\n',
        {},
        {"a": ['=HYPERLINK("x")', "=1+1"], "b": [1, 2]},
    ),
}


@pytest.mark.parametrize("case", GOOD)
def test_good_tables_are_read(read, case):
    content, options, expected = GOOD[case]
    table = read(content, **options)
    assert plain(table) == expected
    assert table.rows == len(next(iter(expected.values())))


ROWS = "1,2\n" * 18
BAD = {
    "empty": (b"", {}, "t.csv is empty"),
    "only a mark": (b"\xef\xbb\xbf", {}, "t.csv is empty"),
    "only blank lines": ("\n  \n\n", {}, "t.csv is empty"),
    "header only": ("a,b\n", {}, "no rows"),
    "too many cells": ("a,b\n1,2\n3,4,5\n", {}, "line 3"),
    "too few cells": ("a,b\n1,2\n3\n", {}, "line 3"),
    "line of a long cell": ('a,b\n"x\ny",2\n3\n', {}, "line 4"),
    "row names": ("a,b\nx,1,2\ny,3,4\n", {}, "a name for the first column"),
    "two columns of one name": ("a,b,a\n1,2,3\n", {}, 'two columns called "a"'),
    "text among numbers": (
        f"a,b\n{ROWS}abc,3\n{ROWS}",
        {},
        'text in a number column: "a" holds "abc" in line 20',
    ),
    "text among three": ("a,b\n1,2\nabc,3\n5,6\n", {}, '"a" holds "abc" in line 3'),
    "underscore": ("a\n1\n2_000\n3\n", {}, '"2_000"'),
    "hex": ("a\n1\n2\n0x10\n", {}, '"0x10"'),
    "text where numbers are wanted": ("a\nx\ny\n", {"kinds": {"a": "number"}}, 'holds "x" in line 2'),
    "infinity": (f"a,b\n{ROWS}inf,3\n", {}, "inf in line 20"),
    "too large": ("a\n1\n1e400\n", {}, "1e400 in line 3"),
    "decimal comma": ("a;b\n1,5;2\n2,25;3\n", {}, 'decimal=","'),
    "one decimal comma": (f"a;b\n{ROWS.replace(',', ';')}2,5;3\n", {}, "2.5 there"),
    "thousands": ('a,b\n"1,234.5",2\n"12,000",3\n', {}, 'thousands=","'),
    "decimal comma or thousands": ("a;b\n1,500;2\n2,250;3\n", {}, 'decimal="," or thousands=","'),
    "currency": ("a,b\n$1.5,2\n$2,3\n", {}, "without signs"),
    "percent": ("a,b\n12%,2\n13.5 %,3\n", {}, "without signs"),
    "no such day": ("d\n2001-02-28\n2001-02-30\n", {}, '"2001-02-30" in line 3'),
    "text among dates": ("d\n2001-02-28\n2001-02-27\nsoon\n", {}, '"soon" in line 4'),
    "no header": ("5.1,3.5\n4.9,3.0\n", {}, "only numbers"),
    "quote never closed": ('a,b\n"1,2\n3,4\n', {}, "a quote that is never closed"),
    "text after a quote": ('a,b\n"1"x,2\n', {}, "line 2"),
    "NUL byte": (b"a,b\n1,\x002\n3,4\n", {}, "NUL byte at byte 6"),
    "control character": (b"a,b\n1,\x072\n", {}, "0x07"),
    "broken UTF-16": ("a,b\n1,2\n".encode("utf-16") + b"\x00", {}, "UTF-16 at byte 18"),
    "gzip": (b"\x1f\x8b\x08\x00", {}, "gzip"),
    "Excel": (b"PK\x03\x04\x14\x00", {}, "Excel"),
    "Parquet": (b"PAR1\x15\x04", {}, "Parquet"),
    "too big": ("a\n" + "1\n" * 100, {"limit": 50}, "larger than 50 bytes"),
    "bad separator": ("a,b\n1,2\n", {"separator": "::"}, "one character"),
    "bad decimal mark": ("a,b\n1,2\n", {"decimal": ";"}, "decimal mark"),
    "bad thousands": ("a,b\n1,2\n", {"decimal": ",", "thousands": ","}, "thousands"),
    "bad kind": ("a,b\n1,2\n", {"kinds": {"a": "image"}}, "'image'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused_by_name(read, case):
    content, options, words = BAD[case]
    with pytest.raises(MathError) as caught:
        read(content, **options)
    assert words in str(caught.value)


def test_bad_paths_are_refused(tmp_path):
    (tmp_path / "data.csv").write_text("a\n1\n")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    bad = {
        tmp_path / "dat.csv": "data.csv",
        tmp_path / "nowhere" / "data.csv": "no folder",
        tmp_path / "folder": "a folder",
        tmp_path / "pipe": "not a regular file",
        "/dev/zero": "not a regular file",
        tmp_path / "loop": "symbolic links",
        "a\0b": "cannot be read",
        "": "no file",
        3: "a path is text",
        None: "a path is text",
    }
    for path, words in bad.items():
        with pytest.raises(MathError, match=words) as caught:
            read_table(path)
        assert "\n" not in caught.value.what


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_an_unusual_encoding_is_said(read, encoding):
    assert any("UTF-16" in note or "Latin-1" in note for note in read("a\né\n".encode(encoding)).notes)


@given(
    st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers()), min_size=1, max_size=20
    ),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_numbers_survive_to_the_last_bit(tmp_path_factory, rows, separator, end):
    file = tmp_path_factory.mktemp("t") / "t.csv"
    lines = [separator.join(("x", "n")), *(f"{x!r}{separator}{n}" for x, n in rows)]
    file.write_text(end.join(lines), newline="")
    table = read_table(file)
    assert table.columns["x"].values.tolist() == [x for x, _ in rows]
    assert table.columns["n"].values.tolist() == [float(n) for _, n in rows]


@given(st.binary(max_size=200))
def test_no_file_breaks_the_reader(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("t") / "t.csv"
    file.write_bytes(content)
    try:
        table = read_table(file)
    except MathError as error:
        assert str(error)
    else:
        assert all(len(column.values) == table.rows for column in table.columns.values())


def test_arrays_make_columns():
    table = from_arrays(
        {
            "float": np.array([1.5, np.nan, 3]),
            "int": [1, 2, 3],
            "bool": [True, False, True],
            "text": ["x", None, "y"],
            "numbers as text": ["1", "NA", "2.5"],
            "date": np.array(["2001-01-01", "NaT", "2001-07-02T12"], dtype="datetime64[h]"),
            "masked": np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False]),
            "column": np.array([[1], [2], [3]]),
        }
    )
    assert plain(table) == {
        "float": [1.5, None, 3],
        "int": [1, 2, 3],
        "bool": ["True", "False", "True"],
        "text": ["x", None, "y"],
        "numbers as text": [1, None, 2.5],
        "date": [2001, None, 2001.5],
        "masked": [1, None, 3],
        "column": [1, 2, 3],
    }


BAD_ARRAYS = [
    ({}, "no columns"),
    ([1, 2], "no columns"),
    ({"x": []}, "no rows"),
    ({"x": [1, 2], "y": [1]}, '"x" has 2 values,  "y" has 1'),
    ({"x": [[1, 2], [3, 4]]}, "one dimension"),
    ({"x": 5}, "one dimension"),
    ({"x": [[1], [1, 2]]}, "plain values"),
    ({"x": [1, float("inf")]}, "inf at index 1"),
    ({"x": [10**400, 1]}, "inf at index 0"),
    ({"x": [1j, 2]}, "complex"),
    ({"x": [1, object()]}, "at index 1"),
    ({3: [1]}, "named by text"),
    ({"": [1]}, "named by text"),
    ({"a": [1], "a ": [2]}, "two columns"),
    ({"x": np.array([1], dtype="m8[s]")}, "timedelta"),
]


@pytest.mark.parametrize(("arrays", "words"), BAD_ARRAYS, ids=[words for _, words in BAD_ARRAYS])
def test_bad_arrays_are_refused_by_name(arrays, words):
    with pytest.raises(MathError) as caught:
        from_arrays(arrays)
    assert words in str(caught.value)


def test_rows_can_be_taken_and_keep_their_lines(read):
    table = read("a,b\n1,x\n\n2,y\n3,z\n").take(np.array([2, 1]))
    assert plain(table) == {"a": [3, 2], "b": ["z", "y"]}
    assert [table.place(row) for row in range(2)] == ["in line 5", "in line 4"]
    with pytest.raises(MathError, match='"A"'):
        table.column("A")


def test_the_data_that_ship_with_us():
    year, energy = datasets.iowa()
    assert year.tolist() == list(range(2001, 2018))
    assert energy.shape == (17,) and energy[0] == 1.437 and energy[-1] == 21.933
    table = read_table(datasets.path("iowa-renewables.csv"))
    assert plain(table) == {"year": year.tolist(), "renewables_twh": energy.tolist()}
    with pytest.raises(MathError, match=r"iowa-renewables\.csv"):
        datasets.path("../secret.csv")
