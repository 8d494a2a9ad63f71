"""Does machine code multiply matrices as NumPy does: any depth, bend, loss, size, layout, thread?"""

import numpy as np
import pytest

import gradstep as gs
from gradstep.backends.blocks import InMemory
from gradstep.backends.native import blas, matrices
from gradstep.backends.native.cells import Unsupported
from gradstep.backends.native.running import Native
from gradstep.backends.rows import cut

pytest.importorskip("llvmlite")

SIZES = {"N": 37, "d": 40, "h": 23, "k": 19, "c": 5, "g": 18}
TWO = {"X": "N d", "V": "d h", "a": "h", "W": "h k", "b": "k"}
LOSSES = {
    "a perceptron": ("mean((Y - relu(X @ V + a) @ W - b)**2)", {**TWO, "Y": "N k"}),
    "tanh and few classes": (
        "-sum(Y * log_softmax(tanh(X @ V + a) @ W + b, axis=1))/N",
        {**TWO, "W": "h c", "b": "c", "Y": "N c"},
    ),
    "many classes": (
        "P = softmax(X @ W + b, axis=1); -mean(sum(Y * log(P), axis=1))",
        {"W": "d k", "b": "k"},
    ),
    "three layers": (
        "A = gelu(X @ V + a); B = sigmoid(A @ W + b); mean((Y - softplus(B @ U))**2)",
        {**TWO, "U": "k g", "Y": "N g"},
    ),
    "a penalty": ("mean((Y - tanh(X @ V) @ W)**2) + 0.1*sum(V**2) + lam*sum(abs(W))", {**TWO, "lam": ""}),
    "a weight twice": ("mean((X - tanh(X @ V + a) @ V.T)**2)", TWO),
    "rows along the second axis": ("mean((T - W.T @ tanh(V.T @ Z))**2)", {**TWO, "Z": "d N", "T": "k N"}),
    "a norm": ("norm(Y - X @ V @ W)", TWO),
    "factors": ("mean((Y - X @ (V @ W))**2)", TWO),
    "weighted rows": ("mean(r * sum((Y - relu(X @ V) @ W)**2, axis=1))", {**TWO, "r": "N"}),
    "one answer": ("mean((y - relu(X @ V + a) @ w)**2)", {**TWO, "w": "h", "y": "N"}),
    "a mask": ("mean(((X > 0) @ V + Y @ W.T)**2)", TWO),
    "means of a batch": (
        "Z = X @ V; M = Z - mean(Z, axis=0); S = mean(M**2, axis=0); mean((Y - (M/sqrt(S + 0.1)) @ W)**2)",
        TWO,
    ),
    "standardised rows": (
        "A = X @ V; M = A - mean(A, axis=1, keepdims=True); mean((Y - (M * a) @ W + b)**2)",
        TWO,
    ),
    "a gate": ("mean((Y - (sigmoid(X @ V) * (X @ U)) @ W)**2)", {**TWO, "U": "d h"}),
}
LIMIT = {np.float64: 1e-12, np.float32: 1e-5}


@pytest.fixture(autouse=True, scope="module")
def kept_here(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADSTEP_CACHE", str(tmp_path_factory.mktemp("objects")))
        yield


def function(name):
    text, shapes = LOSSES[name]
    shapes = {"X": "N d", "Y": "N k", **shapes}
    loss = gs.parse(text, **{key: shape for key, shape in shapes.items() if key in text})
    given = gs.compile(loss).program.inputs
    wrt = [each.name for each in given if "N" not in each.declared.shape and each.name != "lam"]
    return gs.compile(gs.derive(loss, wrt, certify=False))


def values_of(f, kind=np.float64, sizes=SIZES, seed=0):
    rng = np.random.default_rng(seed)
    found = {}
    for given in f.program.inputs:
        shape = [sizes[size] for size in given.declared.shape]
        array = rng.normal(size=shape) / (1 + (len(shape) > 1))
        if given.name == "Y" and "log" in f.source:
            array = np.abs(array) / np.abs(array).sum(axis=1, keepdims=True)
        found[given.name] = np.asarray(array, kind)
    return found


def native(f, values, threads=1):
    """The outputs by machine code, and who made them."""
    rows = cut(f.program, "N")
    named = {str(given.symbol.params[0]): values[given.name] for given in f.program.inputs}
    fixed = {name: array for name, array in named.items() if name not in rows.axes}
    code = Native(f.program, rows, threads)
    found = code.run(InMemory(named, rows.axes), fixed, np.result_type(*(named[n] for n in rows.axes)))
    assert not code.reasons, code.reasons
    return found


def agree(found, f, values, kind):
    result = f(**values)
    value, gradients = result if isinstance(result, tuple) else (result, {})
    for name, right in zip(f.program.outputs, [value, *gradients.values()], strict=True):
        scale = np.max(np.abs(right), initial=1e-30)
        np.testing.assert_allclose(found[name] / scale, np.asarray(right) / scale, rtol=0, atol=LIMIT[kind])


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_that_of_numpy(name, monkeypatch):
    """In double precision, and every second one in single precision."""
    f = function(name)
    for kind in [*LIMIT][: 1 + list(LOSSES).index(name) % 2]:
        values = values_of(f, kind)
        agree(native(f, values), f, values, kind)
        monkeypatch.setattr(matrices, "BLOCK", 1)
        monkeypatch.setattr(matrices, "FEWEST", 16)
        agree(native(f, values, 2), f, values, kind)
        monkeypatch.undo()


@pytest.mark.parametrize("count", [1, 7, 8, 9, 63, 64, 65])
def test_any_number_of_rows_and_of_units(count):
    f = function("tanh and few classes")
    for wide, deep, few in ((17, 33, 1), (64, 17, 2), (31, 65, 16)):
        sizes = {"N": count, "d": wide, "h": deep, "c": few}
        values = values_of(f, sizes=sizes)
        agree(native(f, values), f, values, np.float64)


@pytest.mark.parametrize("name", ["a perceptron", "tanh and few classes", "rows along the second axis"])
def test_it_does_not_matter_how_data_lie(name, monkeypatch):
    f = function(name)
    values = values_of(f)
    monkeypatch.setattr(matrices, "BLOCK", 1)
    monkeypatch.setattr(matrices, "FEWEST", 16)
    plain = native(f, values)
    for how in (np.asfortranarray, apart, lambda a: np.ascontiguousarray(a[::-1])[::-1], read_only):
        moved = {key: how(array) if array.ndim else array for key, array in values.items()}
        found = native(f, moved)
        for key, array in plain.items():
            np.testing.assert_allclose(found[key], array, rtol=1e-11, atol=1e-14)


def apart(array):
    wide = np.zeros([2 * n for n in array.shape], array.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def read_only(array):
    found = array.copy()
    found.flags.writeable = False
    return found


def test_the_bits_do_not_depend_on_the_number_of_threads(monkeypatch):
    monkeypatch.setattr(matrices, "BLOCK", 1)
    monkeypatch.setattr(matrices, "FEWEST", 16)
    f = function("tanh and few classes")
    for kind in LIMIT:
        values = values_of(f, kind, {**SIZES, "N": 203})
        first, *others = [native(f, values, threads) for threads in (1, 2, 3)]
        assert all(np.array_equal(first[key], other[key]) for other in others for key in first)


def test_what_has_an_entry_for_each_row(monkeypatch):
    monkeypatch.setattr(matrices, "BLOCK", 1)
    monkeypatch.setattr(matrices, "FEWEST", 16)
    for text in (
        "softmax(relu(X @ V + a) @ W, axis=1)",
        "(relu(X @ V + a) @ W).T",
        "X @ V @ W",
        "sum(relu(X @ V) @ W, axis=1)",
    ):
        for classes in ("c", "k"):
            shapes = {**TWO, "W": f"h {classes}"}
            f = gs.compile(gs.parse(text, **{key: shape for key, shape in shapes.items() if key in text}))
            values = values_of(f)
            agree(native(f, values), f, values, np.float64)
            moved = {key: apart(array) for key, array in values.items()}
            agree(native(f, moved), f, values, np.float64)


def test_the_user_is_told():
    text, shapes = LOSSES["a perceptron"]
    f = gs.compile(gs.derive(gs.parse(text, **shapes), ["V", "W"], certify=False), backend="native")
    f(**values_of(f, sizes={**SIZES, "N": 2000}))
    assert f.report.startswith("machine code for ") and "in NumPy" not in f.report
    assert "products of matrices by NumPy's OpenBLAS" in f.report


def test_without_openblas_numpy_runs_it(monkeypatch):
    def none():
        raise Unsupported("NumPy brings no OpenBLAS whose products machine code could call")

    monkeypatch.setattr(matrices, "blas", none)
    text, shapes = LOSSES["a perceptron"]
    f = gs.compile(gs.derive(gs.parse(text, **shapes), ["V", "W"], certify=False), backend="native")
    values = values_of(f, sizes={**SIZES, "N": 2000})
    f(**values)
    assert "runs in NumPy: NumPy brings no OpenBLAS" in f.report


def test_a_library_without_products_is_not_used(monkeypatch):
    monkeypatch.setattr(blas, "FORMS", (("no_", ""),))
    blas.blas.cache_clear()
    with pytest.raises(Unsupported, match="OpenBLAS"):
        blas.blas()
    blas.blas.cache_clear()
