"""Is every table read right, or refused with one clear message?"""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_tables import BAD, GOOD

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


@pytest.mark.parametrize("case", GOOD)
def test_good_tables_are_read(read, case):
    content, options, expected = GOOD[case]
    table = read(content, **options)
    assert plain(table) == expected
    assert table.rows == len(next(iter(expected.values())))


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
