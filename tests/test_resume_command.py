"""Does `gradstep train --resume` take up all that the training was asked for?"""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import gradstep as gs
from gradstep.commands import resuming
from gradstep.learn.log import Log

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(90, 3))
Y = np.maximum(0, X @ [1.0, -2.0, 0.5] + 0.3)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "rows.csv"
    rows = [",".join(f"{value:.6f}" for value in (*row, y)) for row, y in zip(X, Y, strict=True)]
    path.write_text("\n".join(["a,b,c,y", *rows]))
    return str(path)


def content(path):
    """What is in a model file, whose notes lie in any order."""
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
        return file.metadata(), tensors


def test_the_command_takes_up_all_that_it_was_asked_for(gradstep, table, tmp_path, monkeypatch):
    asked = (
        table,
        "--target",
        "y",
        "--hidden",
        "4",
        "--steps",
        "60",
        "--learning-rate",
        "1e-3",
        "--save",
        "m.safetensors",
    )
    monkeypatch.chdir(tmp_path)
    gradstep("train", *asked)
    whole = content("m.safetensors")
    Path("m.safetensors").unlink()
    add = Log.add

    def terminated(self, *given):
        add(self, *given)
        if self.steps == 17:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Log, "add", terminated)
    usual = signal.getsignal(signal.SIGTERM)
    status, output, _ = gradstep("train", *asked, "--checkpoint", "run", "--every", "5 steps")
    assert status == 130 and "interrupted after 17 steps" in output
    assert signal.getsignal(signal.SIGTERM) is usual
    assert "gradstep train --resume run\n" in output
    monkeypatch.setattr(Log, "add", add)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    status, output, _ = gradstep("train", "--resume", "../run")
    assert status == 0 and "went on from the checkpoint after step 17" in output
    assert content(tmp_path / "m.safetensors") == whole
    status, output, _ = gradstep("train", "--resume", "../run", "--steps", "90")
    assert status == 0 and "90 steps" in output


LINE = gs.parse("mean((y - X @ w)**2)", X="N d", w="d", y="N")
WRONG_WORDS = {
    "nothing there": (["--resume", "nowhere"], "there is no checkpoint"),
    "two places": (["--resume", "run", "--checkpoint", "other"], "--resume alone"),
    "begun already": (["T", "--target", "y", "--checkpoint", "run"], "--resume to go on"),
    "another seed": (["--resume", "run", "--seed", "9"], "seed is not what it was"),
    "another table": (["other.csv", "--resume", "run"], '"rows.csv" was read'),
    "not by the command": (["--resume", "python"], "not begun by gradstep train"),
    "no table": ([], "DATA"),
}


@pytest.fixture(scope="module")
def begun(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("begun")
    gs.train(LINE, {"X": X, "y": Y}, steps=3, checkpoint=folder / "python")
    (folder / "other.csv").write_text(Path(table).read_text().replace("a,b", "a,e"))
    return folder


@pytest.mark.parametrize("name", WRONG_WORDS)
def test_words_that_lead_nowhere(name, gradstep, table, begun, monkeypatch):
    monkeypatch.chdir(begun)
    if not (begun / "run").exists():
        gradstep("train", table, "--target", "y", "--steps", "5", "--checkpoint", "run")
    words, said = WRONG_WORDS[name]
    status, output, error = gradstep("train", *[table if word == "T" else word for word in words])
    assert status != 0 and said in error + output


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("postgresql://me:secret@host/rows", False),
        ("postgresql://host/rows?password=secret", False),
        ("postgresql://me@host/rows", True),
        ("duckdb:///rows.db", True),
    ],
)
def test_no_secret_is_kept(address, kept):
    assert resuming._lasting(address) == (address if kept else None)
    assert resuming._lasting("rows.csv") == os.path.abspath("rows.csv")


def test_the_rows_of_a_data_base_are_asked_for_again(gradstep, table):
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect("rows.db") as base:
        base.execute(f"create table rows as select * from read_csv('{table}')")
    asked = ("duckdb:///rows.db", "--query", "select * from rows", "--target", "y", "--steps", "4")
    assert gradstep("train", *asked, "--checkpoint", "run")[0] == 0
    assert "after step 4" in gradstep("train", "--resume", "run")[1]
    with duckdb.connect("rows.db") as base:
        base.execute("update rows set y = y + 1 where a > 0")
    status, _, error = gradstep("train", "--resume", "run")
    assert status == 2 and "holds other numbers" in error


def test_a_pattern_names_each_file(gradstep, table):
    pq = pytest.importorskip("pyarrow.parquet")
    rows = pytest.importorskip("pyarrow.csv").read_csv(table)
    for number in range(2):
        pq.write_table(rows.slice(45 * number, 45), f"part-{number}.parquet")
    asked = ("part-*.parquet", "--target", "y", "--steps", "4", "--checkpoint", "run")
    assert gradstep("train", *asked)[0] == 0
    assert "after step 4" in gradstep("train", "--resume", "run")[1]
    pq.write_table(rows.slice(0, 45), "part-1.parquet")
    status, _, error = gradstep("train", "--resume", "run")
    assert status == 2 and '"part-1.parquet" is not the file' in error
