"""Does machine code compute what NumPy computes: any loss, any size, any layout, any number of threads?"""

import subprocess
import sys

import numpy as np
import pytest
from backends.losses import CASES, SIZES, arrays, compiled, derived
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep.backends import blocks
from gradstep.backends.blocks import InMemory
from gradstep.backends.native import calls, engine
from gradstep.backends.native.assembly import Type, Writer
from gradstep.backends.native.reductions import across
from gradstep.backends.native.running import Native
from gradstep.backends.native.tiles import picked, turned
from gradstep.backends.program import program
from gradstep.backends.rows import cut
from gradstep.expression.errors import MathError

pytest.importorskip("llvmlite")

NO_ROWS = {"quadratic form", "a constant gradient", "a gradient that is data", "a repeated gradient"}
NO_ROWS |= {"no dependence", "sizes as numbers"}
BY_NUMPY = {"logsumexp of columns"}  # its first pass
LIMIT = {np.float64: 1e-12, np.float32: 1e-5}


@pytest.fixture(autouse=True, scope="module")
def kept_here(tmp_path_factory):
    """Objects are kept in a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADSTEP_CACHE", str(tmp_path_factory.mktemp("objects")))
        yield


def native(f, values, threads=1, batch=""):
    """The outputs of a compiled function by machine code, and who made them."""
    rows = cut(f.program, batch)
    named = {str(given.symbol.params[0]): values[given.name] for given in f.program.inputs}
    fixed = {name: array for name, array in named.items() if name not in rows.axes}
    kind = np.result_type(*(named[name] for name in rows.axes))
    code = Native(f.program, rows, threads)
    return code.run(InMemory(named, rows.axes), fixed, kind), code


def wanted(f, values):
    found = f(**values)
    value, gradients = found if isinstance(found, tuple) else (found, {})
    return dict(zip(f.program.outputs, [value, *gradients.values()], strict=True))


def agree(found, right, kind):
    for name, array in right.items():
        scale = np.max(np.abs(array), initial=1e-30)
        np.testing.assert_allclose(found[name] / scale, np.asarray(array) / scale, rtol=0, atol=LIMIT[kind])


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("name", [name for name in CASES if name not in NO_ROWS])
def test_every_loss_is_that_of_numpy(name, kind, monkeypatch):
    """In double precision with few features and with many, in single precision by turns."""
    case, sizes = CASES[name], ((65, 3), (9, 40))
    f = compiled(case)
    for count, width in sizes if kind is np.float64 else sizes[list(CASES).index(name) % 2 :][:1]:
        monkeypatch.setitem(SIZES, "N", count)
        monkeypatch.setitem(SIZES, "d", width)
        values = arrays(case, kind=kind)
        found, code = native(f, values)
        agree(found, wanted(f, values), kind)
    assert bool(code.reasons) == (name in BY_NUMPY)


NEURON = {"X": "N d", "w": "d", "b": "", "y": "N"}


def neuron(wrt=("w", "b")):
    loss = gs.parse("mean((y - relu(X @ w + b))**2)", **NEURON)
    return gs.compile(gs.derive(loss, list(wrt), certify=False))


def neuron_values(count, width, kind=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"X": (count, width), "w": (width,), "b": (), "y": (count,)}
    return {name: np.asarray(rng.normal(size=shape), kind) for name, shape in shapes.items()}


@pytest.mark.parametrize("width", [1, 2, 3, 5, 13, 16, 25, 100, 700])
def test_any_number_of_rows(width):
    f = neuron()
    for count in (1, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 1000):
        values = neuron_values(count, width)
        agree(native(f, values)[0], wanted(f, values), np.float64)


def layouts(X):
    """The same numbers, lying otherwise."""
    count, width = X.shape
    wide = np.zeros((count, width + 3), X.dtype)
    wide[:, 1:-2] = X
    apart = np.zeros((2 * count, 2 * width), X.dtype)
    apart[::2, ::2] = X
    raw = np.zeros(X.nbytes + 1, np.int8)
    odd = raw[1:].view(X.dtype).reshape(X.shape)
    odd[:] = X
    fixed = X.copy()
    fixed.flags.writeable = False
    return {
        "columns": np.asfortranarray(X),
        "a part": wide[:, 1:-2],
        "apart": apart[::2, ::2],
        "odd address": odd,
        "read only": fixed,
        "backwards": np.ascontiguousarray(X[::-1])[::-1],
        "swapped bytes": X.astype(X.dtype.newbyteorder()),
    }


@pytest.mark.parametrize("width", [5, 40])
def test_it_does_not_matter_how_data_lie(width, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 1)
    monkeypatch.setattr(blocks, "FEWEST", 32)
    f, values = neuron(), neuron_values(100, width)
    right = wanted(f, values)
    for how, X in layouts(values["X"]).items():
        y = np.repeat(values["y"], 2)[::2]
        found, _ = native(f, {**values, "X": X, "y": y})
        assert found.keys() == right.keys(), how
        agree(found, right, np.float64)
    copied, _ = native(f, {**values, "X": layouts(values["X"])["apart"]})
    assert all(np.array_equal(copied[name], array) for name, array in native(f, values)[0].items())


@pytest.mark.parametrize("name", ["neuron", "softmax regression", "weighted rows", "standardised columns"])
def test_the_bits_do_not_depend_on_the_number_of_threads(name, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 1)
    monkeypatch.setattr(blocks, "FEWEST", 16)
    monkeypatch.setattr(blocks, "GROUPS", 7)
    monkeypatch.setattr(calls, "PIECE", 1)
    monkeypatch.setitem(SIZES, "N", 203)
    for width in (3, 33):
        monkeypatch.setitem(SIZES, "d", width)
        f, values = compiled(CASES[name]), arrays(CASES[name])
        found = [native(f, values, threads)[0] for threads in (1, 2, 3)]
        agree(found[0], wanted(f, values), np.float64)
        assert all(np.array_equal(found[0][key], other[key]) for other in found for key in other)


def test_a_loss_nobody_has_tried_runs_through_it():
    shapes = {"X": "N d", "w": "d", "v": "d", "b": "", "y": "N"}
    text = "z = X @ w; s = X @ v; mean(log(1 + (y - tanh(z)*exp(-s**2/2) - b)**2)) + sum(w**2)*0.01"
    f = gs.compile(gs.derive(gs.parse(text, **shapes), ["w", "v", "b"], certify=False))
    for width in (4, 60):
        values = {**neuron_values(77, width), "v": neuron_values(1, width, seed=3)["w"]}
        found, code = native(f, values)
        agree(found, wanted(f, values), np.float64)
        assert not code.reasons


def test_two_data_sets_with_different_features():
    text = "mean((y - (A @ u) * sigmoid(B @ v))**2)"
    shapes = {"A": "N p", "B": "N q", "u": "p", "v": "q", "y": "N"}
    f = gs.compile(gs.derive(gs.parse(text, **shapes), ["u", "v"], certify=False))
    rng = np.random.default_rng(0)
    sizes = {"N": 50, "p": 30, "q": 41}
    values = {n: rng.normal(size=[sizes[s] for s in shape.split()]) for n, shape in shapes.items()}
    found, code = native(f, values)
    agree(found, wanted(f, values), np.float64)
    assert not code.reasons


def test_a_narrow_layer_between_wide_ones():
    text = "mean((relu(X @ V + a) @ W + b - Y)**2)"
    shapes = {"X": "N d", "V": "d h", "a": "h", "W": "h k", "b": "k", "Y": "N k"}
    f = gs.compile(gs.derive(gs.parse(text, **shapes), ["W"], certify=False))
    rng = np.random.default_rng(0)
    for sizes in ({"N": 70, "d": 33, "h": 3, "k": 40}, {"N": 9, "d": 17, "h": 1, "k": 65}):
        values = {n: rng.normal(size=[sizes[s] for s in shape.split()]) for n, shape in shapes.items()}
        found, code = native(f, values)
        agree(found, wanted(f, values), np.float64)
        assert not code.reasons


def test_totals_that_are_extremes():
    f = gs.compile(gs.parse("max(X @ w) + min(sum(X**2, axis=1)) + sum(max(X, axis=0))", X="N d", w="d"))
    for width in (3, 40):
        values = {name: array for name, array in neuron_values(70, width).items() if name in "Xw"}
        found, code = native(f, values)
        agree(found, wanted(f, values), np.float64)
        assert not code.reasons


@pytest.mark.parametrize("size", [1.0, 1e-170, 1e170, 0.0])
def test_a_norm_whose_squares_leave_the_range_of_numbers(size):
    f = gs.compile(gs.parse("norm(y)", y="N"))
    y = size * np.random.default_rng(0).normal(size=100)
    with np.errstate(all="ignore"):
        found, code = native(f, {"y": y})
    np.testing.assert_allclose(found[""], f(y=y), rtol=1e-14)
    assert not code.reasons


def test_a_reason_is_given_where_numpy_has_to_run_it():
    text, shapes = "mean(logsumexp(X @ W, axis=0)**2)", {"X": "N d", "W": "d h"}
    f = gs.compile(gs.derive(gs.parse(text, **shapes), ["W"], certify=False), backend="native")
    rng = np.random.default_rng(0)
    sizes = {"N": 2000, "d": 50, "h": 40}
    values = {n: rng.normal(size=[sizes[s] for s in shape.split()]) for n, shape in shapes.items()}
    f(**values)
    assert "pass 1 runs in NumPy: a total of the kind logsumexp has no compiled form" in f.report


def test_the_user_chooses_it_and_is_told():
    f, g = gs.compile(neuron_derivation(), backend="native"), neuron()
    values = neuron_values(5000, 20)
    value, gradients = f(**values)
    right, others = g(**values)
    assert value == pytest.approx(right, rel=1e-13)
    for name in "wb":
        np.testing.assert_allclose(gradients[name], others[name], rtol=1e-10)
        assert np.shape(gradients[name]) == np.shape(values[name])
    assert f.report.startswith("machine code for ")


def test_the_report_tells_who_ran_the_last_call():
    f = gs.compile(neuron_derivation(), backend="native")
    assert f.report.startswith("machine code for ") and f.report.endswith(
        "below 262 kB of data: NumPy, all rows at once"
    )
    f(**neuron_values(50, 20))
    few, many, *_ = f.report.splitlines()
    assert few == "NumPy, all rows at once: 8.57 kB of data are few"
    assert many.startswith("from 262 kB on: machine code for ")
    f(**neuron_values(5000, 20))
    assert f.report.startswith("machine code for ") and "few" not in f.report


def neuron_derivation():
    return gs.derive(gs.parse("mean((y - relu(X @ w + b))**2)", **NEURON), ["w", "b"], certify=False)


def test_what_is_missing_is_said():
    code = (
        "import sys; sys.modules['llvmlite'] = None\n"
        "import gradstep as gs\n"
        "f = gs.parse('sum(x**2)', x='N')\n"
        "gs.compile(f)(x=[1.0, 2.0])\n"
        "try: gs.compile(f, backend='native')\n"
        "except gs.MathError as error: print(error)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "llvmlite" in told and "pip install 'gradstep[fast]'" in told


# ------------------------------------------------------------------------------------------- the engine


def answering(number):
    """A module whose function writes a number to its argument."""
    return f"define void @answer(ptr %a) {{\n  store i64 {number}, ptr %a\n  ret void\n}}\n"


def answer(text):
    found = np.zeros(1, np.int64)
    engine.load(text, "answer")(found.ctypes.data)
    return int(found[0])


def test_objects_are_kept_and_damaged_ones_are_not_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADSTEP_CACHE", str(tmp_path / "objects"))
    assert answer(answering(41)) == 41
    (file,) = (tmp_path / "objects").glob("*.o")
    whole = file.read_bytes()
    monkeypatch.setattr(engine, "machine_code", None)  # what is kept is not compiled again
    assert answer(answering(41)) == 41
    monkeypatch.undo()
    monkeypatch.setenv("GRADSTEP_CACHE", str(tmp_path / "objects"))
    other = b"\x00" * (len(whole) - 60)
    for damaged in (b"", whole[:-1], whole[:60] + other, whole[:-9] + b"x" + whole[-8:]):
        file.write_bytes(damaged)
        assert answer(answering(41)) == 41
        assert file.read_bytes() == whole
    elsewhere = next(iter((tmp_path / "objects").glob("*.o"))).read_bytes()
    assert answer(answering(42)) == 42
    for stored in (tmp_path / "objects").glob("*.o"):
        stored.write_bytes(elsewhere)  # the object of another text
    assert answer(answering(42)) == 42


def test_only_so_many_objects_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADSTEP_CACHE", str(tmp_path))
    monkeypatch.setattr(engine, "MOST", 2)
    assert [answer(answering(k)) for k in range(4)] == [0, 1, 2, 3]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written_does_no_harm(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRADSTEP_CACHE", str(tmp_path / "file" / "below"))
    assert answer(answering(7)) == 7


DTYPES = {"float": np.float32, "double": np.float64}


def on_vectors(data, found, code):
    """Runs `code(writer, load)`, which gives vectors, on the rows of `data`; they are written to `found`."""
    kind = {4: "float", 8: "double"}[data.itemsize]
    writer, type = Writer(), Type(kind, data.shape[1])
    with writer.function("code", "ptr %a", inner=False):
        source = writer.scalar("load ptr, ptr %a")
        target = writer.scalar(f"load ptr, ptr {writer.at('%a', 8)}")
        results = code(lambda k: writer.load(writer.at(source, k * data[0].nbytes), type, 4))
        for k, result in enumerate(results):
            writer.store(result, writer.at(target, k * found[0].nbytes), 4)
        writer.emit("ret void")
    args = np.array([data.ctypes.data, found.ctypes.data], np.int64)
    engine.load(writer.text(), "code")(args.ctypes.data)


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_lanes_of_several_vectors_are_added_up(kind, lanes):
    data = np.random.default_rng(0).integers(-9, 9, (8, lanes)).astype(DTYPES[kind])
    found = np.zeros((4, 8), data.dtype)
    on_vectors(data, found, lambda load: [across([load(j) for j in range(1 << k)], "sum") for k in range(4)])
    for k in range(4):
        assert np.array_equal(found[k, : 1 << k], data[: 1 << k].sum(axis=1))
    data = np.random.default_rng(0).normal(size=(8, lanes)).astype(DTYPES[kind])
    on_vectors(data, found, lambda load: [across([load(j) for j in range(1 << k)], "sum") for k in range(4)])
    for k in range(4):  # to the last bit, however many are added up together
        assert np.array_equal(found[k, : 1 << k], found[3, : 1 << k])


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("width", [2, 4, 8, 16])
@pytest.mark.parametrize("rows", [2, 4, 8, 16])
def test_entries_of_rows_come_into_lanes(kind, width, rows):
    data = np.arange(rows * width, dtype=DTYPES[kind]).reshape(rows, width)
    found = np.zeros((width, rows), data.dtype)
    if width <= rows and width * data.itemsize >= 16:
        on_vectors(data, found, lambda load: turned(load, rows, width, kind))
        assert np.array_equal(found, data.T)
    whole = data.reshape(width, rows)  # the same memory, without regard to where a row ends
    on_vectors(whole, found, lambda load: picked([load(k) for k in range(width)]))
    assert np.array_equal(found, data.T)


# ------------------------------------------------------------------------------------------- any program

UNARY = [
    "tanh",
    "sigmoid",
    "softplus",
    "relu",
    "abs",
    "exp",
    "sqrt(1 + {}**2)",
    "log(2 + {}**2)",
    "sign",
    "-",
]
ROW = st.sampled_from(
    ["y", "(X @ w)", "sum(X * v, axis=1)", "sum(X**2, axis=1)", "X[:, 0]", "max(X, axis=1)"]
)


def _join(children):
    one = st.tuples(st.sampled_from(UNARY), children).map(
        lambda t: t[0].format(f"({t[1]})") if "{}" in t[0] else f"{t[0]}({t[1]})"
    )
    two = st.tuples(children, st.sampled_from("+-*"), children).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
    choice = st.tuples(children, children, children).map(lambda t: f"where({t[0]} > 0, {t[1]}, {t[2]})")
    return one | two | choice


@settings(max_examples=12, deadline=None)
@given(st.recursive(ROW, _join, max_leaves=5), st.sampled_from([(23, 2), (23, 27)]))
def test_any_formula_per_row(text, sizes):
    shapes = {"X": "N d", "w": "d", "v": "d", "y": "N"}
    loss = gs.parse(f"mean(tanh({text})) + 0*sum(X @ w) + 0*sum(X @ v)", **shapes)
    wrt = [name for name in "wv" if name in text]
    f = gs.compile(gs.derive(loss, wrt, certify=False) if wrt else loss)
    count, width = sizes
    values = {**neuron_values(count, width, seed=1), "v": neuron_values(1, width, seed=2)["w"]}
    values = {name: values[name] for name in values if name in {g.name for g in f.program.inputs}}
    with np.errstate(all="ignore"):
        right = wanted(f, values)
        found, _ = native(f, values, batch="N")
        blurred = [wanted(f, blurring(values, seed)) for seed in range(3)]
    for name, array in right.items():  # as exact as it can be where an ulp of the data makes a difference
        apart = max(np.max(np.abs(other[name] - array)) for other in blurred)
        limit = 1e-12 * np.max(np.abs(array), initial=1) + 100 * apart
        assert not np.isfinite(limit) or np.max(np.abs(found[name] - array)) <= limit


def blurring(values, seed):
    """The values, each an ulp or so away."""
    rng = np.random.default_rng(seed)
    return {n: a * (1 + rng.choice([-1, 1], np.shape(a)) * 2.0**-52) for n, a in values.items()}


def test_the_code_of_a_program_is_the_same_every_time():
    written = program(*derived(CASES["softmax regression"]))
    assert str(written) == str(program(*derived(CASES["softmax regression"])))
    with pytest.raises(MathError):
        gs.compile(neuron_derivation(), backend="nativ")


@pytest.mark.parametrize(
    "text", ["sum(X @ W > 0)*sum((X @ W)**2)", "sum(sum(X @ W > 0, axis=0)*sum(X @ W, axis=0))"]
)
def test_a_total_may_count(text):
    """What is added up may be a mask, which the machine holds as bits."""
    f = gs.compile(
        gs.derive(gs.parse(text, X="N d", W="d h"), ["W"], certify=False), backend="native", threads=1
    )
    rng = np.random.default_rng(0)
    values = {"X": rng.normal(size=(2000, 50)), "W": rng.normal(size=(50, 40))}
    value, slopes = f(**values)
    wanted, others = f.raw.whole(*values.values())
    assert value == pytest.approx(wanted, rel=1e-12)
    np.testing.assert_allclose(slopes["W"], others["W"], rtol=1e-9)
    assert "machine code" in f.report and "runs in NumPy" not in f.report


def test_some_columns_of_a_matrix_are_read_where_they_lie_and_ahead():
    f = gs.compile(
        gs.derive(gs.parse("mean((y - X @ w)**2)", X="N d", w="d", y="N"), ["w"], certify=False),
        backend="native",
    )
    table = np.random.default_rng(0).normal(size=(4000, 41))
    f(X=table[:, :40], y=table[:, 40], w=np.zeros(40))
    (call,) = f.raw.blocked.calls.values()
    assert not call.copied
    assert call.plan.ahead("X", 0, 0) and call.given["X"].layout.step(8) == 41 * 8
