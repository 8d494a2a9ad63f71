"""What do `gradstep train` and `gradstep predict` say, about good tables and about bad ones?"""

import csv
import re
import subprocess
import sys

import numpy as np
import palmerpenguins
import pytest

from gradstep.commands import tables
from gradstep.commands.shapes import completed, words
from gradstep.commands.tables import as_options
from gradstep.expression.errors import MathError
from gradstep.learn import opening, stores


@pytest.fixture
def houses(tmp_path):
    random = np.random.default_rng(0)
    size = random.uniform(40, 200, 120)
    town = np.array(["Aa", "Bee", "Cee"])[random.integers(0, 3, 120)]
    price = 2000 * size + 50_000 * (town == "Bee") + random.normal(size=120) * 1e4 + 30_000
    rows = [["size", "town", "price"], *zip(size.round(2), town, price.round(), strict=True)]
    return write(tmp_path / "houses.csv", rows)


@pytest.fixture
def penguins(tmp_path):
    path = tmp_path / "penguins.csv"
    palmerpenguins.load_penguins().to_csv(path, index=False)
    return str(path)


def write(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


# ------------------------------------------------------------------------------------------- good tables


def test_a_table_is_told_from_reading_to_result(gradstep, houses):
    status, output, errors = gradstep("train", houses, "--target", "price")
    assert (status, errors) == (0, "")
    for said in (
        "houses.csv: 120 rows, 3 columns",
        'to predict: "price", a number, from 3 features',
        "24 of 120 rows held out",
        "The model: a ReLU neuron",
        "C(w, b) = 1/N ‖y − max(0, X w + b)‖²",
        "∂C/∂w = −2/N Xᵀ (e ⊙ 1[z > 0])",
        "✓ proved",
        "gradient descent, ",
        "straight line",
        "the mean",
        "size       +2",
        "town=Bee   +",
        "What to try next",
        "--hidden 32,16",
    ):
        assert said in output, said
    shown = [line for line in output.splitlines() if not line.startswith(("    gradstep", "✓"))]
    assert max(map(len, shown)) <= 100


def test_what_comes_next_is_asked_in_the_same_way(gradstep, houses):
    status, output, _ = gradstep(
        "train", houses, "--target", "price", "--holdout", "0", "--kind", "town=category", "--steps", "3"
    )
    ideas = [line for line in output.splitlines() if line.startswith("    gradstep train")]
    assert status == 0 and len(ideas) == 4
    for idea in ideas:
        assert "--target price" in idea and "--kind town=category" in idea and "--holdout 0" in idea
    assert ["--steps 12" in idea for idea in ideas] == [False, True, False, False]


def test_missing_values_and_categories_of_penguins_are_said(gradstep, penguins):
    status, output, _ = gradstep("train", penguins, "--target", "species")
    assert status == 0
    for said in (
        "3 classes",
        '"sex" has no value in 7 rows',
        '"island" becomes 2',
        "softmax regression",
        "right",
    ):
        assert said in output, said


def test_quiet_prints_the_result_alone(gradstep, houses):
    status, output, errors = gradstep("train", houses, "--target", "price", "--quiet")
    assert (status, errors) == (0, "")
    assert output.splitlines()[1] == "The result"
    assert len(output.splitlines()) == 7


def test_what_may_be_wrong_is_said_by_the_names_of_the_columns_also_when_quiet(gradstep, tmp_path):
    random = np.random.default_rng(0)
    size, tax = random.uniform(40, 200, (2, 60)).round(2)
    rows = [["size", "feet", "tax", "price"], *zip(size, 10 * size, tax, 5 * tax, strict=True)]
    table = write(tmp_path / "houses.csv", rows)
    leak = '"price" is 5 × "tax" in every row: the answer may be among the features'
    status, output, errors = gradstep("train", table, "--target", "price")
    assert (status, errors) == (0, "") and leak in output and '"size" and "feet" tell the same' in output
    status, output, errors = gradstep("train", table, "--target", "price", "--quiet")
    assert status == 0 and leak not in output and leak in errors


def test_hidden_layers(gradstep, houses):
    status, output, _ = gradstep("train", houses, "--target", "price", "--hidden", "8,4")
    assert status == 0
    assert "a perceptron (8, 4 ReLU units, linear output)" in output
    assert "∂C/∂W₁ = Xᵀ ∂C/∂Z₁" in output
    assert "parameters: W1 3×8, b1 8, W2 8×4, b2 4, w3 4, b3 1" in output


def test_a_deep_derivation_is_cut_short(gradstep, houses):
    _, output, _ = gradstep("train", houses, "--target", "price", "--hidden", "6,6,6,6", "--steps", "5")
    assert re.search(r"… \d+ more lines", output)
    assert "all steps used" in output and "--steps 20" in output


OWN = {
    "absolute errors": (["mean(abs(y - (X @ w + b)))"], "w has d entries"),
    "names": (["z = X @ w + b; a = softplus(z); mean((y - a)**2)"], "a = softplus(z)"),
    "a hidden layer": (
        ["mean((y - (tanh(X @ W1 + b1) @ v + c))**2)", "W1:d,5"],
        "parameters: W1 3×5, b1 5, v 5, c 1",
    ),
    "declared data": (
        ["mean((y - X @ w)**2)", "X:rows,columns", "y:rows", "w:columns"],
        "w has columns entries",
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_a_loss_of_ones_own(gradstep, houses, name):
    (text, *shapes), said = OWN[name]
    status, output, errors = gradstep("train", houses, *shapes, "--target", "price", "--model", text)
    assert (status, errors) == (0, "")
    assert said in output


def test_an_own_loss_of_classes(gradstep, penguins):
    text = "P = softmax(X @ W + b, axis=1); -mean(sum(Y*log(P), axis=1))"
    status, output, _ = gradstep("train", penguins, "--target", "species", "--model", text)
    assert status == 0
    assert "1/N Xᵀ (P − Y)" in output  # the rows of Y sum to one


@pytest.mark.parametrize("optimiser", ["momentum", "adam"])
def test_optimisers_show_their_formula(gradstep, houses, optimiser):
    _, output, _ = gradstep("train", houses, "--target", "price", "--optimiser", optimiser)
    assert {"momentum": "v ← 0.9 v", "adam": "m̂"}[optimiser] in output
    assert f"{optimiser}, " in output


def test_training_saving_and_predicting_agree(gradstep, houses, tmp_path):
    asked = ["--save", "m.safetensors", "--predictions", "all.csv", "--page", "out.html", "--quiet"]
    assert gradstep("train", houses, "--target", "price", *asked)[0] == 0
    with open("all.csv", newline="") as file:
        trained = list(csv.DictReader(file))
    assert len(trained) == 120
    assert {row["used"] for row in trained} == {"training", "held out"}
    status, output, errors = gradstep("predict", "m.safetensors", houses)
    assert status == 0
    header, *values = output.splitlines()
    assert header == "predicted price"
    assert values == [row["predicted price"] for row in trained]
    assert 'compared with "price" in 120 rows: mean squared error' in errors
    assert "<math" in (tmp_path / "out.html").read_text()


def test_classes_are_predicted_with_their_probabilities(gradstep, penguins):
    gradstep("train", penguins, "--target", "species", "--save", "m.safetensors", "--quiet")
    status, _, errors = gradstep("predict", "m.safetensors", penguins, "--out", "answers.csv")
    assert status == 0
    assert "344 predictions are in answers.csv" in errors
    with open("answers.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"predicted species", "p(Adelie)", "p(Chinstrap)", "p(Gentoo)"}
    assert float(rows[0]["p(Adelie)"]) > 0.9


def test_new_rows_may_lack_the_target_and_hold_the_unknown(gradstep, houses, tmp_path):
    gradstep("train", houses, "--target", "price", "--save", "m.safetensors", "--quiet")
    new = write(tmp_path / "new.csv", [["town", "size"], ["Bee", 100], ["Nowhere", ""]])
    status, output, errors = gradstep("predict", "m.safetensors", new)
    assert (status, len(output.splitlines())) == (0, 3)
    assert '"Nowhere"' in errors and '"size" has no value' in errors


def test_formulas_in_cells_stay_text(gradstep, tmp_path):
    rows = [["x", "kind"], *([k, "=HYPERLINK(1)" if k % 2 else "plain"] for k in range(40))]
    table = write(tmp_path / "t.csv", rows)
    gradstep("train", table, "--target", "kind", "--predictions", "p.csv", "--quiet")
    with open("p.csv", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert "'=HYPERLINK(1)" in cells
    assert not any(cell.startswith("=") for cell in cells)


def test_semicolons_and_decimal_commas(gradstep, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x;y\n" + "".join(f"{k},5;{2 * k},25\n" for k in range(30)))
    status, output, _ = gradstep("train", str(path), "--target", "y", "--decimal", ",")
    assert status == 0
    assert re.search(r"x +\+2 ", output)


def test_ctrl_c_ends_with_130_and_what_was_reached(gradstep, houses, monkeypatch):
    from gradstep.commands import train

    class Bar:
        def __enter__(self):
            return self.stop

        def __exit__(self, *error):
            return None

        def stop(self, step, steps, loss):
            if step == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(train, "progress_bar", Bar)
    status, output, _ = gradstep("train", houses, "--target", "price", "--save", "m.safetensors")
    assert status == 130
    assert "interrupted after 3 steps" in output and "The result" in output
    assert gradstep("predict", "m.safetensors", houses)[0] == 0


# ------------------------------------------------------------------------------------------- bad tables

FEW = "a,b,y\n" + "".join(f"{k},{k * k},{3 * k + 1}\n" for k in range(12))
TABLES = {
    "ok.csv": FEW,
    "empty.csv": "",
    "header.csv": "a,y\n",
    "one.csv": "a,y\n1,2\n",
    "no_target.csv": "a,y\n1,\n2,\n3,\n",
    "constant_target.csv": "a,y\n1,2\n2,2\n3,2\n",
    "constant.csv": "a,y\n5,1\n5,2\n5,3\n",
    "all_missing.csv": "a,y\n,1\n,2\n,3\n",
    "text.csv": FEW.replace("5,25,", "5,five,"),
    "nan.csv": FEW.replace("5,25,", "5,inf,"),
    "huge.csv": FEW.replace("5,25,", "5,1e300,"),
    "ragged.csv": FEW.replace("5,25,", "5,25,,"),
    "twice.csv": FEW.replace("a,b,y", "a,a,y"),
    "numbers.csv": "1.5,2.5\n3,4\n5,6\n",
    "quote.csv": 'a,y\n1,"2\n3,4\n',
    "binary.csv": bytes(range(256)) * 4,
    "zip.csv": b"PK\x03\x04" + bytes(100),
    "nul.csv": b"a,y\n1,\x00\n",
    "rows.csv": b"1.5,x,2\n2.5,y,3\n",
    "unnamed.csv": b",,\n1.5,x,2\n2.5,y,3\n",
    "spaces.csv": b"a b y\n1 2 3\n4 5 6\n",
    "titled.csv": b"Report of 2024\n\na,y\n1,2\n",
    "web.csv": b"\xef\xbb\xbf\n<!DOCTYPE html><html>404</html>\n",
}
PAPER = "C(w,b) = 1/N Σᵢ (yᵢ − max(0, w·xᵢ + b))²"
NEURON = "mean((y - relu(X @ w + b))**2)"
BAD = {
    "no table": (["train"], "issing argument"),
    "no such file": (["train", "nowhere.csv", "--target", "y"], "there is no file"),
    "a folder": (["train", "void", "--target", "y"], "is a folder without files of data"),
    "no target": (["train", "ok.csv"], "which column is to be predicted"),
    "unknown target": (["train", "ok.csv", "--target", "price"], 'no column called "price"'),
    "empty": (["train", "empty.csv", "--target", "y"], "is empty"),
    "header alone": (["train", "header.csv", "--target", "y"], "no rows"),
    "one row": (["train", "one.csv", "--target", "y"], "only one row"),
    "no target values": (["train", "no_target.csv", "--target", "y"], 'no row with a value for "y"'),
    "constant target": (["train", "constant_target.csv", "--target", "y"], "2 in every row"),
    "constant column": (["train", "constant.csv", "--target", "y"], "nothing to predict"),
    "all missing": (["train", "all_missing.csv", "--target", "y"], "nothing to predict"),
    "text among numbers": (["train", "text.csv", "--target", "y"], '"b" holds "five" in line 7'),
    "infinity": (["train", "nan.csv", "--target", "y"], "inf in line 7"),
    "huge": (["train", "huge.csv", "--target", "y"], "too large to train on"),
    "ragged": (["train", "ragged.csv", "--target", "y"], "line 7 of ragged.csv has 4 cells"),
    "two of a name": (["train", "twice.csv", "--target", "y"], 'two columns called "a"'),
    "no header": (["train", "numbers.csv", "--target", "y"], "names of the columns"),
    "open quote": (["train", "quote.csv", "--target", "y"], "never closed"),
    "binary": (["train", "binary.csv", "--target", "y"], "byte"),
    "zip": (["train", "zip.csv", "--target", "y"], "zip archive"),
    "rows without names": (
        ["train", "rows.csv", "--target", "y"],
        "the first line holds numbers",
    ),
    "no names": (["train", "unnamed.csv", "--target", "y"], "so they go by their numbers"),
    "spaces between": (["train", "spaces.csv", "--target", "y"], "Perhaps --separator ' '"),
    "a title": (["train", "titled.csv", "--target", "y"], 'in the first line, where "Report of 2024" stands'),
    "a page of the web": (["train", "web.csv", "--target", "y"], "is a page of the web"),
    "a sweep of words": (["train", "ok.csv", "--target", "y", "--sweep", "seed=a"], "--sweep seed=32,256"),
    "a sweep by another name": (
        ["train", "ok.csv", "--target", "y", "--sweep", "lr=1,2"],
        "Perhaps learning_rate",
    ),
    "as on paper": (["train", "ok.csv", "--target", "y", "--model", PAPER], f"Perhaps {NEURON}"),
    "a power as on paper": (
        ["train", "ok.csv", "--target", "y", "--model", "mean((X@w-y)^2)"],
        "Perhaps mean((X @ w - y)**2)",
    ),
    "NUL": (["train", "nul.csv", "--target", "y"], "NUL"),
    "hidden words": (
        ["train", "ok.csv", "--target", "y", "--hidden", "big"],
        "the widths of hidden layers are whole numbers",
    ),
    "hidden zero": (["train", "ok.csv", "--target", "y", "--hidden", "0"], "from 1 to 4096 units"),
    "optimiser": (["train", "ok.csv", "--target", "y", "--optimiser", "adm"], "--optimiser adam"),
    "rate": (["train", "ok.csv", "--target", "y", "--learning-rate", "-1"], "--learning-rate 0.1"),
    "rate too high": (["train", "ok.csv", "--target", "y", "--learning-rate", "100"], "runs away"),
    "rate of words": (["train", "ok.csv", "--target", "y", "--learning-rate", "fast"], "not a valid float"),
    "steps": (["train", "ok.csv", "--target", "y", "--steps", "0"], "--steps 400"),
    "batch": (["train", "ok.csv", "--target", "y", "--batch", "-3"], "--batch 32"),
    "holdout": (["train", "ok.csv", "--target", "y", "--holdout", "1.5"], "--holdout 0.2"),
    "task": (["train", "ok.csv", "--target", "y", "--task", "guess"], "--task regression"),
    "kind": (["train", "ok.csv", "--target", "y", "--kind", "a"], "--kind zip=category"),
    "another kind": (["train", "ok.csv", "--target", "y", "--kind", "a=colour"], "numbers or categories"),
    "decimal": (["train", "ok.csv", "--target", "y", "--decimal", "x"], "decimal mark"),
    "stray shapes": (["train", "ok.csv", "w:d", "--target", "y"], "not expected here"),
    "two networks": (["train", "ok.csv", "--target", "y", "--hidden", "3", "--model", NEURON], "two ways"),
    "no formula": (["train", "ok.csv", "--target", "y", "--model", "mean((y - X @"], "not closed"),
    "unknown function": (
        ["train", "ok.csv", "--target", "y", "--model", "mean(foo(X @ w) - y)"],
        "no function foo",
    ),
    "wrong shapes": (["train", "ok.csv", "w:k", "--target", "y", "--model", NEURON], "the sizes d and k"),
    "wrong shape text": (
        ["train", "ok.csv", "w", "--target", "y", "--model", NEURON],
        "no variable with a shape",
    ),
    "code": (["train", "ok.csv", "--target", "y", "--model", "__import__('os').system('id')"], "error:"),
    "a loss of many": (["train", "ok.csv", "--target", "y", "--model", "y - X @ w"], "a loss is one number"),
    "no X": (["train", "ok.csv", "--target", "y", "--model", "mean((y - b)**2)"], "should use X"),
    "a matrix Y": (["train", "ok.csv", "--target", "y", "--model", "mean((Y - X @ W)**2)"], "a vector y"),
    "no bound": (["train", "ok.csv", "--target", "y", "--model", "-sum((X @ w - y)**2)"], "without bound"),
    "nan at the start": (
        ["train", "ok.csv", "--target", "y", "--model", "log(sum(X @ w) - sum(y**2))"],
        "nan",
    ),
    "no place to save": (["train", "ok.csv", "--target", "y", "--save", "no/m.safetensors"], "no folder"),
    "a folder to save": (["train", "ok.csv", "--target", "y", "--save", "."], "is a folder"),
    "no place for a page": (["train", "ok.csv", "--target", "y", "--page", "no/page.html"], "no folder"),
    "no model": (["predict", "nowhere.safetensors", "ok.csv"], "there is no file"),
    "a table as model": (["predict", "ok.csv", "ok.csv"], "no model of gradstep"),
    "no new rows": (["predict", "ok.csv"], "issing argument"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_in_one_message(gradstep, tmp_path, name):
    (tmp_path / "void").mkdir()
    for file, content in TABLES.items():
        (tmp_path / file).write_bytes(content.encode() if isinstance(content, str) else content)
    arguments, message = BAD[name]
    status, output, errors = gradstep(*arguments)
    assert status == 2
    assert message in errors
    assert errors.lower().count("error: ") == 1
    assert "Traceback" not in errors + output
    assert len(errors.splitlines()) <= 12


@pytest.mark.parametrize("name", ["empty", "binary", "wrong shapes", "no target"])
def test_the_same_in_a_process_of_its_own(tmp_path, name):
    for file, content in TABLES.items():
        (tmp_path / file).write_bytes(content.encode() if isinstance(content, str) else content)
    arguments, message = BAD[name]
    code = "from gradstep.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_and_a_table_that_do_not_belong_together(gradstep, houses, penguins):
    gradstep("train", houses, "--target", "price", "--save", "m.safetensors", "--quiet")
    status, _, errors = gradstep("predict", "m.safetensors", penguins)
    assert status == 2
    assert 'has no column "size", which the model needs' in errors


# ------------------------------------------------------------------------------------------- guessing shapes

GUESSED = {
    "mean((y - (X @ w + b))**2)": {"w": ("d",), "b": ()},
    "mean((Y - (X @ W + b))**2)": {"W": ("d", "k"), "b": ("k",)},
    "z = X @ w; a = exp(z)*c; mean((y - a)**2)": {"w": ("d",), "c": ()},
    "mean((y - (w*sum(X, axis=1) + b))**2)": {"w": (), "b": ()},
    "mean((y - X @ w)**2) + lam*sum(w**2)": {"w": ("d",), "lam": ()},
}


@pytest.mark.parametrize("text", GUESSED)
def test_shapes_are_worked_out(text):
    usual = {"X": ("N", "d"), "y": ("N",), "Y": ("N", "k")}
    given = {name: shape for name, shape in usual.items() if name in words(text)}
    assert completed(text, given, rows="N") == given | GUESSED[text]


def test_too_many_unknown_shapes_are_asked_for():
    text = "mean((y - " + " * ".join(f"p{k}" for k in range(12)) + " * (X @ w))**2)"
    with pytest.raises(MathError, match="too many to guess"):
        completed(text, {"X": ("N", "d"), "y": ("N",)}, rows="N")


ADVICE = {
    "learning_rate=0.5, or none": "--learning-rate 0.5, or none",
    'task="classification"': "--task classification",
    'kinds={"zip code": "category"}': "--kind 'zip code=category'",
    "hidden=(32, 16)": "--hidden 32,16",
    'optimiser="gradient descent"': "--optimiser 'gradient descent'",
    'decimal=","': '--decimal ","',
    "a number there": "a number there",
}


@pytest.mark.parametrize("text", ADVICE)
def test_advice_is_worded_for_a_terminal(text):
    assert as_options(text) == ADVICE[text]


# ------------------------------------------------------------------------------------------- rows in files


@pytest.fixture
def large(monkeypatch, tmp_path):
    """Files count as large, and windows are tiny; gives a matrix whose column 1 follows from the others."""
    monkeypatch.setattr(opening, "EASY", 1000)
    monkeypatch.setattr(stores, "WINDOW", 1 << 14)
    monkeypatch.setattr(stores, "LEAST_WINDOW", 1 << 13)
    table = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32)
    table[:, 1] = 2 * table[:, 0] - table[:, 3] + 5 + 0.1 * table[:, 1]
    np.save(tmp_path / "big.npy", table)
    return table


def test_a_large_file_is_trained_on_kept_and_answered_for(gradstep, large, tmp_path):
    files = ("--save", "m.safetensors", "--predictions", "p.csv", "--page", "p.html")
    status, output, errors = gradstep("train", "big.npy", "--target", "1", *files)
    assert (status, errors) == (0, "")
    for said in (
        "big.npy: 3,000 rows, 4 columns of numbers, read window by window",
        'to predict: "1", a number, from 3 features',
        "rows held out to judge the fit: the last of each window",
        "a linear neuron" if (large[:, 1] < 0).any() else "a ReLU neuron",
        "the rows stay in the file",
        "passes over the rows",
        "straight line",
        "  0   ",
        "b = ",
    ):
        assert said in output, said
    told = np.loadtxt("p.csv", delimiter=",", skiprows=1)
    assert np.array_equal(told[:, 0], np.arange(3000))
    assert told[:, 1] == pytest.approx(large[:, 1], rel=1e-6)
    assert np.std(told[:, 2] - large[:, 1]) == pytest.approx(0.1, rel=0.1)
    assert "on 3,000 rows" in (tmp_path / "p.html").read_text()
    assert gradstep("predict", "m.safetensors", "big.npy", "--out", "q.csv")[0] == 0
    again = np.loadtxt("q.csv", delimiter=",", skiprows=1)
    assert again[:, 1] == pytest.approx(told[:, 2], rel=1e-6)
    status, _, errors = gradstep("predict", "m.safetensors", "big.npy")
    assert status == 2 and "--out answers.csv" in errors


@pytest.mark.parametrize("labels", [(0, 1), (2, 7), (0, 1, 2)])
def test_classes_of_a_large_file_are_those_of_a_small_one(gradstep, large, monkeypatch, labels):
    large[:, 2] = np.array(labels)[np.digitize(large[:, 0], [0.0, 0.7][: len(labels) - 1])]
    np.save("big.npy", large)
    status, output, _ = gradstep("train", "big.npy", "--target", "2", "--steps", "30")
    assert status == 0 and f"one of {len(labels)} classes" in output and "the rows stay in the file" in output
    monkeypatch.setattr(opening, "EASY", 1 << 28)
    status, small, _ = gradstep("train", "big.npy", "--target", "2", "--steps", "30")
    right = [float(re.search(r"(?:neuron|regression) +([\d.]+) %", text)[1]) for text in (output, small)]
    assert status == 0 and "stay in the file" not in small
    assert right[0] == pytest.approx(right[1], abs=2) and right[0] > 90


@pytest.mark.parametrize(
    ("arguments", "said", "mend"),
    [
        (("big.npy",), "which of the 4 columns of big.npy is to be predicted?", "--target 3"),
        (("big.npy", "--target", "9"), 'no column "9"', "--target 3"),
        (("big.npy", "--target", "1", "--holdout", "2"), "the held-out ones are a share", "--holdout 0.2"),
        (("big.npy", "--target", "1", "--cluster", "there"), "no address of a cluster", "local:4"),
        (("big.npy", "--target", "1", "--sweep", "X=0,1"), "X is given as data and in the sweep", ""),
        (("none-*.npy", "--target", "1"), "there is no file", ""),
    ],
)
def test_what_is_wrong_with_a_large_file_is_said(gradstep, large, arguments, said, mend):
    status, _, errors = gradstep("train", *arguments)
    assert status == 2 and said in errors and mend in errors


# ------------------------------------------------------------------------------------------- sweeps


def test_a_sweep_is_a_table_and_the_best_is_kept(gradstep, houses):
    swept = ("--sweep", "learning-rate=0.0001,0.1,auto", "--sweep", "seed=0,1")
    status, output, errors = gradstep("train", houses, "--target", "price", "--steps", "60", *swept)
    assert (status, errors) == (0, "")
    table = output[output.index("The sweep") :].split("\n\n")[0].splitlines()
    assert table[1].split() == ["learning_rate", "seed", "steps", "loss", "held-out", "loss", "ended"]
    assert [line.split()[:2] for line in table[2:-1]] == [
        [rate, seed] for rate in ("0.0001", "0.1", "automatic") for seed in "01"
    ]
    (best,) = (line for line in table if "← best" in line)
    again = re.search(r"gradstep train \S+ --target price --hidden.*", output)[0]
    assert f"--sweep seed={best.split()[1]}" in again and swept[1] not in again


def test_a_number_in_a_formula_is_swept(gradstep, houses):
    model = ("--model", "mean((y - X @ w - b)**2) + lam*sum(w**2)")
    status, output, _ = gradstep(
        "train", houses, "--target", "price", *model, "--sweep", "lam=0,1,10", "--quiet"
    )
    assert status == 0 and "mean squared error on held-out rows" in output
    (best,) = (line for line in output.splitlines() if "← best" in line)
    assert best.split()[0] == "0"


def test_a_penalty_is_swept(gradstep, houses):
    status, output, _ = gradstep("train", houses, "--target", "price", "--sweep", "l2=0,10")
    assert status == 0 and "C(w, b) = 1/N ‖y − max(0, X w + b)‖² + l₂ ‖s_w ⊙ w‖²" in output
    assert re.search(r"gradstep train .* --l2 0.0", output)


@pytest.mark.parametrize(
    ("sweep", "said", "mend"),
    [
        ("learning_rate", "a sweep is a name and its values", "--sweep learning_rate=0.01,0.1,1"),
        ("=3", "a sweep is a name and its values", "--sweep learning_rate="),
        ("learning_rate=fast", "the values of learning_rate are numbers, not 'fast'", ""),
        ("seed=0.5", "the values of seed are whole numbers", ""),
        ("learning_rat=1", "no 'learning_rat'", "Perhaps learning_rate"),
        ("lam=1", "no number in the formula", ""),
        ("l2=-1", "a penalty is a finite number from 0 on", "--l2 0.1"),
        ("b=1", "b is to be trained", ""),
        ("optimiser=adm", "no optimiser called 'adm'", "--optimiser adam"),
    ],
)
def test_a_sweep_that_cannot_be_says_why(gradstep, houses, sweep, said, mend):
    status, _, errors = gradstep("train", houses, "--target", "price", "--sweep", sweep)
    assert status == 2 and said in errors and mend in errors


def test_a_long_text_table_with_categories_is_trained_on_and_answered_for(gradstep, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    random = np.random.default_rng(0)
    size, kind = random.normal(size=2000), random.choice(["flat", "house", "tent"], 2000)
    noise = random.normal(size=2000)
    sold = np.where(size + 2 * (kind == "tent") + noise > 0, "yes", "no")
    rows = [f"{s:.4f},{'' if s > 2.5 else k},{y}" for s, k, y in zip(size, kind, sold, strict=True)]
    (tmp_path / "long.csv").write_text("\n".join(["size,kind,sold", *rows, ""]))
    told = {}
    for where in ("memory", "files"):
        if where == "files":
            monkeypatch.setattr(tables, "LIMIT", 1000)
            monkeypatch.setattr(opening, "EASY", 1000)
        status, output, errors = gradstep(
            "train",
            "long.csv",
            "--target",
            "sold",
            "--save",
            "m.safetensors",
            "--predictions",
            f"{where}.csv",
        )
        assert (status, errors) == (0, "")
        assert ("read window by window" in output) == (where == "files")
        assert '"kind" becomes 3 columns of 0 and 1' in output
        lines = (tmp_path / f"{where}.csv").read_text().splitlines()
        head = lines[0].split(",")
        assert len(lines) == 2001 and head[-2:] == ["p(no)", "p(yes)"]
        told[where] = np.array(
            [[float(line.split(",")[-1]), line.split(",")[1] == "yes"] for line in lines[1:]]
        )
        assert np.array_equal(told[where][:, 1], sold == "yes")
        assert gradstep("predict", "m.safetensors", "long.csv", "--out", "p.csv")[0] == 0
        again = [float(line.split(",")[-1]) for line in (tmp_path / "p.csv").read_text().splitlines()[1:]]
        assert again == pytest.approx(told[where][:, 0], abs=1e-6)
    assert told["files"][:, 0] == pytest.approx(told["memory"][:, 0], abs=0.1)
    assert np.mean((told["files"][:, 0] > 0.5) == told["files"][:, 1]) > 0.75
