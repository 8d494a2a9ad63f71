"""Does every column become what the notes say, in training and for new tables, and come back from JSON?"""

import json
import math
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import datasets as sklearn_datasets

from gradstep.expression.errors import MathError
from gradstep.learn.data import from_arrays, read_table
from gradstep.learn.encoding import Encoder, Scaler, split

N = 40
RAMP = np.arange(N, dtype=float)


def fit(columns, target="y", **options):
    return Encoder.fit(from_arrays(columns), target, **options)


@pytest.fixture(scope="module")
def penguins():
    return read_table(files("palmerpenguins") / "data" / "penguins.csv")


def sklearn_csv(folder, name):
    """A data set of scikit-learn as a user would have it: a CSV file with a column `target`."""
    data = getattr(sklearn_datasets, f"load_{name}")()
    file = folder / f"{name}.csv"
    table = np.column_stack([data.data, data.target])
    np.savetxt(
        file, table, delimiter=",", header=",".join([*data.feature_names, "target"]), comments="", fmt="%.17g"
    )
    return data, read_table(file)


# --- What a column becomes. ---


def test_numbers_stay_and_missing_ones_are_the_mean_of_the_training_rows():
    x = RAMP.copy()
    x[3] = np.nan
    got = fit({"x": x, "y": RAMP**2})
    mean = np.nanmean(x[got.train])
    assert got.feature_names == ("x",)
    assert np.array_equal(got.X[:, 0], np.where(np.isnan(x), mean, x))
    assert np.array_equal(got.y, RAMP**2)
    assert any('"x" has no value in 1 row' in note and f"{mean:.6g}" in note for note in got.notes)


def test_categories_become_all_levels_but_the_commonest():
    sex = ["m", "f", "m", None] * 10
    got = fit({"sex": sex, "y": RAMP})
    assert got.feature_names == ("sex=f", "sex=(missing)")
    assert np.array_equal(got.X, [[s == "f", s is None] for s in sex])
    assert any('all 0 for "m"' in note for note in got.notes)
    assert any("no value in" in note for note in got.notes)


LEFT_OUT = {
    "constant number": (np.full(N, 7.0), "the same in every row"),
    "constant up to rounding": (1 + 1e-16 * RAMP, "too little variation for its size"),
    "constant text": (["x"] * N, "the same in every row"),
    "names": ([f"person {i}" for i in range(N)], "differs from row to row"),
    "nothing": ([None] * N, "no values"),
    "id": (RAMP + 100, "numbers the rows"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_teaches_nothing_is_left_out_and_said(name):
    column, reason = LEFT_OUT[name]
    got = fit({"x": RAMP**2, name: column, "y": RAMP})
    assert got.feature_names == ("x",)
    assert any(note.startswith(f'left out "{name}"') and reason in note for note in got.notes)


def test_rare_levels_are_pooled():
    town = [f"town {int(math.sqrt(i))}" for i in range(40 * 40)]
    got = fit({"town": town, "y": np.arange(1600.0)}, holdout=0)
    assert len(got.feature_names) == 29 and got.feature_names[-1] == "town=(other)"
    assert any("40 levels" in note and "(other)" in note for note in got.notes)
    new = got.encoder.apply(from_arrays({"town": ["atlantis", "town 39", "town 0"]}))
    assert new.X[:, -1].tolist() == [1, 0, 1]
    assert new.notes == ()


# --- What the target means. ---

TARGETS = {
    "text": (["no", "yes"] * 20, "classification", ("no", "yes")),
    "three words": (["b", "a", "c", "a"] * 10, "classification", ("a", "b", "c")),
    "booleans": ([True, False] * 20, "classification", ("False", "True")),
    "0 and 1": ([0, 1] * 20, "classification", ("0", "1")),
    "two whole numbers": ([-1, 1] * 20, "classification", ("-1", "1")),
    "0 to 3": ([0, 1, 2, 3] * 10, "classification", ("0", "1", "2", "3")),
    "0 to 3 with a gap": ([0, 1, 3] * 13 + [0], "regression", None),
    "1 to 4": ([1, 2, 3, 4] * 10, "regression", None),
    "too few for each": (list(range(8)) * 5, "regression", None),
    "two fractions": ([0.5, 1.0] * 20, "regression", None),
    "quantity": (RAMP * 1.5, "regression", None),
}


@pytest.mark.parametrize("case", TARGETS)
def test_the_meaning_of_a_target(case):
    values, task, classes = TARGETS[case]
    got = fit({"x": RAMP, "y": values})
    assert (got.task, got.classes) == (task, classes)
    if classes is None:
        assert np.array_equal(got.y, values)
    elif len(classes) == 2:
        assert got.y.tolist() == [float(str(value) == classes[1]) for value in values]
    else:
        assert got.y.tolist() == [[float(str(value) == name) for name in classes] for value in values]


def test_the_task_can_be_settled():
    whole = {"x": RAMP, "y": [0, 1, 2, 3] * 10}
    assert any('task="regression"' in note for note in fit(whole).notes)
    assert fit(whole, task="regression").y.tolist() == whole["y"]
    gap = {"x": RAMP, "y": [1, 2, 3, 4] * 10}
    assert any('task="classification"' in note for note in fit(gap).notes)
    assert fit(gap, task="classification").classes == ("1", "2", "3", "4")


BAD = {
    "no such target": ({"x": RAMP, "price": RAMP}, {"target": "Prise"}, 'Perhaps "price"'),
    "target is no text": ({"x": RAMP, "y": RAMP}, {"target": None}, "no column"),
    "constant target": ({"x": RAMP, "y": np.ones(N)}, {}, "nothing to learn"),
    "one class": ({"x": RAMP, "y": ["a"] * N}, {}, "nothing to learn"),
    "target of names": ({"x": RAMP, "y": [f"n{i}" for i in range(N)]}, {}, "too many for classes"),
    "classes of a quantity": ({"x": RAMP, "y": RAMP}, {"task": "classification"}, "too many for classes"),
    "numbers of text": ({"x": RAMP, "y": ["a", "b"] * 20}, {"task": "regression"}, "holds text"),
    "only the target": ({"y": RAMP}, {}, "only column"),
    "nothing useful": ({"c": np.ones(N), "y": RAMP}, {}, 'left out "c"'),
    "one row": ({"x": [1.0], "y": [2.0]}, {}, "only one row"),
    "no target anywhere": ({"x": [1.0, 2], "y": [None, None]}, {}, "no row"),
    "enormous feature": ({"x": 1e300 * RAMP, "y": RAMP}, {}, 'the column "x" holds 1e+300 at index 1'),
    "enormous target": ({"x": RAMP, "y": 1e300 * RAMP}, {}, 'the column "y" holds 1e+300'),
    "unknown task": ({"x": RAMP, "y": RAMP}, {"task": "banana"}, "banana"),
    **{
        f"holdout {share}": ({"x": RAMP, "y": RAMP}, {"holdout": share}, "held-out share")
        for share in (1, -0.1, math.nan, "half", True)
    },
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_learned_is_refused_by_name(case):
    columns, options, words = BAD[case]
    with pytest.raises(MathError) as caught:
        fit(columns, **options)
    assert words in str(caught.value)


# --- New tables. ---


@pytest.fixture(scope="module")
def encoder():
    return fit({"sex": ["m", "f", "m", "m"] * 10, "age": RAMP, "y": 1.5 * RAMP}).encoder


def test_a_new_table_is_encoded_alike(encoder):
    new = from_arrays({"age": [5, 6], "sex": ["f", "m"], "more": [1, 2]})
    X, notes = encoder.apply(new)
    assert X.tolist() == [[1, 5], [0, 6]] and notes == ()


def test_what_is_new_in_a_new_table_is_said(encoder):
    X, notes = encoder.apply(from_arrays({"age": [5, None, 7], "sex": ["x", None, "f"]}))
    mean = encoder.features[1].mean
    assert X.tolist() == [[0, 5], [0, mean], [1, 7]]
    assert ["levels" in notes[0], '"x"' in notes[0], '"age" has no value' in notes[1]] == [True] * 3


BAD_NEW = [
    ({"sex": ["m"]}, 'no column "age"'),
    ({"Sex": ["m"], "Age": [3]}, 'Perhaps "Sex"'),
    ({"sex": ["m"], "age": ["old"]}, '"old" at index 0'),
    ({"sex": ["m"], "age": [1e200]}, "too large"),
]


@pytest.mark.parametrize(("columns", "words"), BAD_NEW, ids=[words for _, words in BAD_NEW])
def test_what_does_not_fit_the_model_is_refused_by_name(encoder, columns, words):
    with pytest.raises(MathError) as caught:
        encoder.apply(from_arrays(columns))
    assert words in str(caught.value)


def test_levels_that_look_like_numbers_keep_their_meaning(tmp_path):
    codes = ["1", "2", "x", "2"] * 10
    got = fit({"code": codes, "y": RAMP})
    assert got.encoder.apply(from_arrays({"code": [1, 2]})).X.tolist() == [[1, 0], [0, 0]]
    file = tmp_path / "new.csv"
    file.write_text("code\n1\n2\n")
    assert got.encoder.apply(read_table(file, kinds=got.encoder.kinds)).X.tolist() == [[1, 0], [0, 0]]


def test_the_target_of_a_new_table(encoder):
    assert encoder.encode_target(from_arrays({"y": [1, 2.5]})).tolist() == [1, 2.5]
    classes = fit({"x": RAMP, "y": ["a", "b"] * 20}).encoder
    assert classes.encode_target(from_arrays({"y": ["b", "a"]})).tolist() == [1, 0]
    for table, words in (({"y": ["c"]}, "class"), ({"y": [None]}, "no value"), ({"x": [1]}, "no column")):
        with pytest.raises(MathError, match=words):
            classes.encode_target(from_arrays(table))


# --- JSON. ---


def test_an_encoder_comes_back_from_json(encoder, penguins):
    for each in (encoder, Encoder.fit(penguins, "species").encoder):
        assert Encoder.from_json(json.loads(json.dumps(each.to_json(), allow_nan=False))) == each


SPOILED = {
    "not an object": lambda data: [],
    "another format": lambda data: {**data, "format": 2},
    "a field less": lambda data: {key: data[key] for key in data if key != "target"},
    "a field more": lambda data: {**data, "code": "import os"},
    "no features": lambda data: {**data, "features": []},
    "features of text": lambda data: {**data, "features": "abc"},
    "unknown kind": lambda data: {**data, "features": [{"kind": "image", "column": "a"}]},
    "mean of text": lambda data: {**data, "features": [{"kind": "number", "column": "a", "mean": "1"}]},
    "infinite mean": lambda data: {**data, "features": [{"kind": "number", "column": "a", "mean": math.inf}]},
    "one column twice": lambda data: {**data, "features": [*data["features"], *data["features"]]},
    "the target as a feature": lambda data: {**data, "target": "age"},
    "level twice": lambda data: {
        **data,
        "features": [{"kind": "category", "column": "a", "levels": ["x", "x"], "reference": "y"}],
    },
    "one class": lambda data: {**data, "task": "classification", "classes": ["a"]},
    "classes of a regression": lambda data: {**data, "classes": ["a", "b"]},
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_spoiled_encoder_is_refused(encoder, spoil):
    with pytest.raises(MathError):
        Encoder.from_json(spoil(encoder.to_json()))


# --- Splitting and scaling. ---


@given(st.integers(0, 300), st.floats(0, 0.9), st.integers(0, 5), st.integers(1, 6))
@example(20, 0.875, 0, 5)  # five rows of a class, all of which fell to the part that is held out
def test_a_split_is_a_partition_that_keeps_every_class(rows, share, seed, k):
    labels = np.random.default_rng(seed).integers(0, k, rows)
    train, test = split(rows, share, seed, labels)
    assert sorted([*train, *test]) == list(range(rows))
    assert set(labels[test]) <= set(labels[train])
    again = split(rows, share, seed, labels)
    assert np.array_equal(train, again[0]) and np.array_equal(test, again[1])
    assert len(test) == 0 if rows < 20 else len(test) <= rows * share + 1
    if rows >= 20:
        for label in range(k):
            of_class = labels == label
            assert len(test) == 0 or abs(of_class[test].sum() - share * of_class.sum()) <= 2


NUMBERS = arrays(np.float64, st.tuples(st.integers(1, 20), st.integers(1, 4)), elements=st.floats(-1e6, 1e6))


@given(NUMBERS, st.integers(0, 3), st.integers(0, 100))
def test_scaling_folds_into_the_weights_and_back(X, k, seed):
    scaler = Scaler.fit(X)
    Z = scaler.apply(X)
    random = np.random.default_rng(seed)
    W = random.normal(size=(X.shape[1], k) if k else X.shape[1])
    b = random.normal(size=W.shape[1:])
    raw_W, raw_b = scaler.fold(W, b)
    assert raw_W.shape == W.shape and raw_b.shape == b.shape
    size = 1 + np.abs(X) @ np.abs(raw_W) + np.abs(raw_b)
    assert np.all(np.abs(X @ raw_W + raw_b - (Z @ W + b)) <= 1e-12 * size)
    again_W, again_b = scaler.unfold(raw_W, raw_b)
    assert np.allclose(again_W, W, rtol=1e-12)
    assert np.all(
        np.abs(again_b - b) <= 1e-12 * (1 + np.abs(b) + np.abs(scaler.mean / scaler.scale) @ np.abs(W))
    )


@pytest.mark.parametrize("unit", [1e-200, 1e-8, 1.0, 1e8, 1e90])
def test_scaling_does_not_mind_the_unit(unit):
    x = np.random.default_rng(0).normal(3, 2, (100, 2))
    Z = Scaler.fit(unit * x).apply(unit * x)
    assert np.allclose(Z.mean(axis=0), 0, atol=1e-12) and np.allclose(Z.std(axis=0), 1)


def test_a_constant_feature_has_scale_one():
    scaler = Scaler.fit([[5, 0, 1e9], [5, 0, 1e9 + 1e-5]])
    assert scaler.scale.tolist() == [1, 1, 1] and scaler.mean[0] == 5


def test_a_scaling_comes_back_from_json():
    scaler = Scaler.fit(np.random.default_rng(0).normal(size=(9, 3)))
    again = Scaler.from_json(json.loads(json.dumps(scaler.to_json())))
    assert np.array_equal(again.mean, scaler.mean) and np.array_equal(again.scale, scaler.scale)
    for spoiled in (
        {},
        {"mean": [0], "scale": [0]},
        {"mean": [0], "scale": [1, 1]},
        {"mean": "0", "scale": [1]},
    ):
        with pytest.raises(MathError):
            Scaler.from_json(spoiled)


BAD_SCALING = [
    lambda: Scaler.fit([1, 2, 3]),
    lambda: Scaler.fit(np.zeros((0, 2))),
    lambda: Scaler.fit([[1, math.nan]]),
    lambda: Scaler.fit([["a"]]),
    lambda: Scaler.fit([[1.0, 2], [2, 3]]).apply([[1.0]]),
    lambda: Scaler.fit([[1.0, 2], [2, 3]]).fold([1.0], 0.0),
    lambda: Scaler.fit([[1.0, 2], [2, 3]]).fold([1.0, 2], [0.0]),
    lambda: Scaler.fit([[0.0], [1e-299]]).fold([1e100], 0.0),
]


@pytest.mark.parametrize("do", BAD_SCALING)
def test_what_cannot_be_scaled_is_refused(do):
    with pytest.raises(MathError):
        do()


# --- Real tables. ---

REAL = {
    "diabetes": ("regression", 442, 10),
    "breast_cancer": ("classification", 569, 30),
    "digits": ("classification", 1797, 60),
    "wine": ("classification", 178, 13),
    "iris": ("classification", 150, 4),
}


@pytest.mark.parametrize("name", REAL)
def test_tables_of_scikit_learn_as_csv(tmp_path, name):
    task, rows, features = REAL[name]
    data, table = sklearn_csv(tmp_path, name)
    got = Encoder.fit(table, "target")
    assert got.task == task and got.X.shape == (rows, features)
    if got.y.ndim == 1:
        assert np.array_equal(got.y, data.target)
    else:
        assert np.array_equal(got.y.argmax(axis=1), data.target)
        assert got.y.sum(axis=1).tolist() == [1] * rows
    if features == data.data.shape[1]:
        assert np.array_equal(got.X, data.data)
    assert abs(len(got.test) - 0.2 * rows) < 2


def test_penguins(penguins):
    species = Encoder.fit(penguins, "species")
    assert species.classes == ("Adelie", "Chinstrap", "Gentoo") and species.X.shape == (344, 9)
    assert species.y.sum(axis=0).tolist() == [152, 68, 124]
    said = " ".join(species.notes)
    for part in (
        '"sex" has no value',
        '"bill_length_mm" has no value in 2 rows',
        '"island" becomes 2 columns',
    ):
        assert part in said
    mass = Encoder.fit(penguins, "body_mass_g")
    assert mass.task == "regression" and mass.X.shape == (342, 10)
    assert '2 rows without "body_mass_g" left out' in mass.notes
    known = ~penguins.columns["body_mass_g"].missing
    assert np.array_equal(mass.y, penguins.columns["body_mass_g"].values[known])
    assert np.array_equal(mass.rows, np.flatnonzero(known))
    new = mass.encoder.apply(penguins.take(np.arange(5)))
    assert np.isfinite(new.X).all() and np.array_equal(new.X[:3], mass.X[:3])
