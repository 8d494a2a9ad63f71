"""Is nothing silent? Every disaster ends in an error with a mend, or in a fit that says what is wrong."""

import re
from pathlib import Path

import numpy as np
import pytest
from disasters import LOSSES, SOUND, as_markdown, called, judge, table
from tables import each

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.learn.dependence import combinations
from gradstep.learn.twins import twins
from gradstep.operations.evaluation import mentioned

TABLE = list(table())
LINE = gs.parse("mean((y - (X @ w + b))**2)", X="N d", w="d", b="", y="N")


def test_the_table_has_hundreds_of_rows():
    faults = [row for row in TABLE if row[0] not in SOUND]
    assert len(faults) >= 200 and {row[1] for row in faults} == set(LOSSES)
    assert len({called(*row) for row in TABLE}) == len(TABLE)


@each("disaster, loss, kind, place", TABLE, ids=[called(*row) for row in TABLE], tests=8)
def test_no_disaster_is_silent(disaster, loss, kind, place, tmp_path):
    judge(disaster, loss, kind, place, tmp_path)


# ------------------------------------------------------------------------------------------- the error


def test_an_error_on_the_way_tells_what_may_be_wrong_with_the_data():
    random = np.random.default_rng(0)
    X, y = random.normal(size=(60, 3)), random.integers(1, 3, 60)
    loss = gs.parse("z = X @ w + b; mean(softplus(z) - y*z)", X="N d", w="d", b="", y="N")
    with pytest.raises(MathError, match="without bound") as error:
        gs.train(loss, {"X": X, "y": y})
    assert any("of y is above 1; sigmoid(X @ w + b) never is" in fact for fact in error.value.facts)


UNDEFINED = {
    "mean((y - log(X @ w + b))**2)": (-1.0, "log(X @ w + b) is nan in 60 of 60 entries", "X @ w + b > 0"),
    "mean((y - 1/(X @ w))**2)": (0.0, "1/(X @ w) is inf in 60 of 60 entries", "X @ w ≠ 0"),
    "mean((y - exp(X @ w + b))**2)": (1e4, "exp(X @ w + b) is inf", "smaller starting values"),
    "mean(y)*sqrt(sum(w**2)**3)/sum(w**2) + 0*sum(X)": (0.0, "/sum(w**2) is nan", "sum(w**2) ≠ 0"),
    "mean(y) + b + sqrt(sum(w)) + 0*sum(X)": (0.0, "is inf", "the loss may have no slope|> 0|≠ 0"),
}


@each("text", UNDEFINED)
def test_a_loss_without_a_value_at_the_start_says_which_part_has_none(text):
    value, said, mend = UNDEFINED[text]
    loss = gs.parse(text, X="N d", w="d", b="", y="N")
    names = [name for name in mentioned(loss) if name in ("w", "b")]
    start = {name: np.full(3, value) if name == "w" else value for name in names}
    X = 1 + np.random.default_rng(0).random((60, 3))
    with pytest.raises(MathError, match="at the start") as error:
        gs.train(loss, {"X": X, "y": X[:, 0]}, names, start=start, standardise=False)
    assert any(said in fact for fact in error.value.facts), error.value.facts
    assert any(each in error.value.mend for each in mend.split("|")), error.value.mend


def test_a_loss_without_rows_has_no_faults_of_rows():
    loss = gs.parse("sum((A - P @ Q)**2)", A="m n", P="m 2", Q="2 n")
    assert not gs.train(loss, {"A": np.random.default_rng(0).normal(size=(6, 5))}, steps=5).faults


@pytest.mark.parametrize(
    "text, how",
    [("log(mean((y - X @ w)**2))", "the steeper"), ("-mean(log(abs(X @ w + b) + y**2))", "further out")],
)
def test_a_loss_that_falls_slowly_without_end_is_said_to(text, how):
    X = np.random.default_rng(0).normal(size=(60, 3))
    data = {"X": X, "y": X @ [1, -2, 0.5]}
    for optimiser in ("l-bfgs", "newton-cg"):
        try:
            fit = gs.train(gs.parse(text, X="N d", w="d", b="", y="N"), data, optimiser=optimiser)
        except MathError as error:
            assert "without bound" in error.what
        else:
            assert any("the loss has no lowest value" in fault and how in fault for fault in fit.faults)
    noisy = {**data, "y": data["y"] + X[:, 0] ** 2}
    assert not gs.train(gs.parse("log(mean((y - X @ w)**2))", X="N d", w="d", y="N"), noisy).faults


# ------------------------------------------------------------------------------------------- the columns


@pytest.mark.parametrize("columns", [3, 40, 120])
def test_columns_made_of_others_are_found_among_few_columns_and_many(columns):
    random = np.random.default_rng(columns)
    scale = 10.0 ** random.integers(-30, 30, columns)
    X = random.normal(size=(columns + 50, columns)) * scale
    grain = np.finfo(float).eps * np.abs(X).max(axis=0)
    assert not list(combinations(X, grain))
    *of, last = sorted(random.permutation(columns)[:3])
    factors = np.array([2, -0.5]) * scale[last] / scale[of]
    for shift in (0.0, 7 * scale[last]):
        X[:, last] = X[:, of] @ factors + shift
        (found,) = combinations(X, np.finfo(float).eps * np.abs(X).max(axis=0))
        assert (found.column, found.of) == (last, tuple(of))
        assert np.allclose(found.factors, factors, rtol=1e-9)
        assert np.isclose(found.shift, shift, atol=1e-9 * scale[last])
    X[:, last] *= 1 + 1e-4 * random.normal(size=len(X))
    assert not list(combinations(X, grain))


@pytest.mark.parametrize("places", ["memory", "files"])
def test_a_column_that_is_a_sum_in_most_rows_alone_is_not_said_to_be(places, tmp_path):
    random = np.random.default_rng(0)
    X = random.normal(size=(20_000, 3))
    X = np.column_stack([X, X[:, 0] + X[:, 2]])
    y = X[:, 0] + random.normal(size=len(X))

    def told():
        data = {"X": X, "y": y}
        if places == "files":
            for name, value in data.items():
                np.save(tmp_path / f"{name}.npy", value)
            data = gs.open_rows({name: tmp_path / f"{name}.npy" for name in data})
        return gs.train(LINE, data, steps=3).faults

    (said,) = told()
    assert said.startswith("column 3 of X is column 0 + column 2 in every row: the data do not tell")
    X[-7, 3] += 30
    assert told() == ()


def test_categories_are_no_fault_and_without_a_bias_no_matter():
    random = np.random.default_rng(0)
    X = np.column_stack([random.normal(size=60), np.eye(3)[random.integers(0, 3, 60)]])
    y = X @ [1, 2, 3, 4] + random.normal(size=60)
    fit = gs.train(LINE, {"X": X, "y": y})
    assert not fit.faults and "column 3 of X is 1 − column 1 − column 2" in "\n".join(fit.notes)
    alone = gs.parse("mean((y - X @ w)**2)", X="N d", w="d", y="N")
    assert "share" not in "\n".join(gs.train(alone, {"X": X, "y": y}).notes)


@pytest.mark.parametrize("columns", [2, 40, 1000])
def test_pairs_that_tell_the_same_are_found_among_few_columns_and_many(columns):
    random = np.random.default_rng(columns)
    X = random.normal(size=(300, columns)) * 10.0 ** random.integers(-30, 30, columns)
    assert not list(twins(X))
    chosen = random.permutation(columns)[: 2 * min(5, columns // 2)].reshape(-1, 2)
    for one, other in chosen:
        noise = 10.0 ** random.uniform(-9, -3.5) * random.normal(size=300)
        X[:, other] = (X[:, one] / X[:, one].std() + noise) * random.normal() * 1e3 + 1e3
    found = {(twin.first, twin.second) for twin in twins(X)}
    assert found == {tuple(sorted(pair)) for pair in chosen.tolist()}


def test_columns_that_tell_the_same_in_some_rows_alone_are_no_twins():
    random = np.random.default_rng(0)
    X = (random.random((6_000, 30)) < 1e-3).astype(float)  # most are 0 in all of the rows that are looked at
    fit = gs.train(LINE, {"X": X, "y": random.normal(size=6_000)}, steps=3)
    assert not any("tell" in fault for fault in fit.faults)
    X[:, 7] = X[:, 3]
    fit = gs.train(LINE, {"X": X, "y": random.normal(size=6_000)}, steps=3)
    assert any("columns 3 and 7 of X tell the same" in fault for fault in fit.faults)


def test_columns_are_called_by_their_names():
    random = np.random.default_rng(0)
    X, y = random.normal(size=(60, 2)), random.normal(size=60)
    X = np.column_stack([X, X[:, 0], np.ones(60)])
    names = ["age", "height", "years", "one"]
    fit = gs.train(LINE, {"X": X, "y": y}, columns={"X": names}, steps=3)
    assert any('"age" and "years" tell the same' in fault for fault in fit.faults)
    assert any("column one of X" in fault for fault in fit.faults)
    assert fit.feature_names == tuple(names)
    with pytest.raises(MathError, match="X has 4 columns, and 3 names"):
        gs.train(LINE, {"X": X, "y": y}, columns={"X": names[:3]})
    frame = pytest.importorskip("pandas").DataFrame(X, columns=names)
    assert gs.train(LINE, {"X": frame, "y": y}, steps=3).faults == fit.faults


def test_the_page_shows_what_is_told(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
    shown, told = (re.sub(r"[\d.]+", "#", text) for text in (page, "\n".join(as_markdown(tmp_path))))
    assert shown.rstrip().endswith(told), "python3 tests/disasters.py writes these tables"
