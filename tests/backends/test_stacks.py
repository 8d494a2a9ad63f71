"""Do matrices that are rows of data, such as heads, come out of machine code as they do of NumPy?"""

import numpy as np
import pytest

import gradstep as gs
from gradstep.backends.native import engine, running
from gradstep.backends.native.assembly import Writer
from gradstep.backends.native.heads import HeadsCall
from gradstep.backends.native.matrices import MatrixCall
from gradstep.backends.native.multiplying import Multiplying
from gradstep.backends.native.plan import Processor
from gradstep.backends.rows import cut
from gradstep.backends.stacks import NoStack, stack
from gradstep.expression.shapes import Lengths

pytest.importorskip("llvmlite")

HEADS = dict.fromkeys("QKVG", "h n d")
ATTENTION = "P = softmax(Q @ K.mT/sqrt(d), axis=-1); O = P @ V; "
LOSSES = {
    "attention": (ATTENTION + "sum(G*O)", HEADS, "QKV"),
    "queries and keys of other lengths": (
        ATTENTION + "mean((G - O)**2)",
        {"Q": "h n d", "K": "h m d", "V": "h m e", "G": "h n e"},
        "QKV",
    ),
    "a layer norm": (
        ATTENTION + "E = O - mean(O, axis=-1, keepdims=True);"
        "sum(G*(g*E/sqrt(var(O, axis=-1, keepdims=True) + 0.00001) + c))",
        {**HEADS, "g": "d", "c": "d"},
        "QKVgc",
    ),
    "a mask for all heads": (
        "P = softmax(Q @ K.mT + M, axis=-1); sum(G*(P @ V))",
        {**HEADS, "M": "n n"},
        "QKVM",
    ),
    "a bias of each head": (
        "mean((G - tanh(Q @ K.mT + b[:, :, None]) @ V)**2)",
        {**HEADS, "b": "h n"},
        "QKVb",
    ),
    "a number of each head": (
        "P = softmax(t[:, None, None]*(Q @ K.mT), axis=-1); sum(G*(P @ V))",
        {**HEADS, "t": "h"},
        "QKVt",
    ),
    "weights that heads share": (
        "mean((G - relu(Q @ W) @ U)**2)",
        {"Q": "h n d", "G": "h n d", "W": "d k", "U": "k d"},
        "WUQ",
    ),
    "gates": ("S = Q @ K.mT; mean((G - (S*sigmoid(S)/n) @ V)**2)", HEADS, "QKV"),
    "a softmax along the queries": ("sum(G*(softmax(Q @ K.mT, axis=1) @ V))", HEADS, "QKV"),
    "the largest score": ("sum(G*Q) + max(Q @ K.mT)", HEADS, ""),
    "values alone": (ATTENTION + "sum(G*O)", HEADS, ""),
}  # fmt: skip
SIZES = (
    {"h": 3, "n": 37, "m": 20, "d": 21, "e": 35, "k": 50},
    {"h": 2, "n": 150, "m": 67, "d": 5, "e": 64, "k": 18},
)
LIMIT = {np.float64: 1e-12, np.float32: 1e-5}


@pytest.fixture(autouse=True, scope="module")
def kept_here(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADSTEP_CACHE", str(tmp_path_factory.mktemp("objects")))
        patch.setattr(running, "FEW", 0)
        yield


def functions(name, backends=("numpy", "native"), **options):
    text, shapes, wrt = LOSSES[name]
    loss = gs.parse(text, **{key: shape for key, shape in shapes.items()})
    what = gs.derive(loss, list(wrt), certify=False) if wrt else loss
    return [gs.compile(what, backend=backend, **options) for backend in backends]


def arrays_of(f, kind, sizes, seed=0):
    random = np.random.default_rng(seed)
    return {
        given.name: random.normal(size=[sizes[size] for size in given.declared.shape]).astype(kind)
        for given in f.program.inputs
    }


def outputs(result):
    value, gradients = result if isinstance(result, tuple) else (result, {})
    return {"": value, **gradients}


def agree(one, other, limit):
    for name, right in outputs(other).items():
        scale = np.max(np.abs(right), initial=1e-30)
        np.testing.assert_allclose(
            outputs(one)[name] / scale, right / scale, rtol=0, atol=limit, err_msg=name
        )


def calls(f):
    return [call for call in f.raw.blocked.calls.values() if not isinstance(call, str)]


@pytest.mark.parametrize("number, name", list(enumerate(LOSSES)), ids=LOSSES)
def test_every_loss_is_that_of_numpy(number, name):
    by_numpy, by_code = functions(name, threads=2)
    kind = (np.float64, np.float32)[number % 2]
    arrays = arrays_of(by_numpy, kind, SIZES[number // 2 % 2])
    first, again = by_code(**arrays), by_code(**arrays)
    agree(first, by_numpy(**{key: array.astype(np.float64) for key, array in arrays.items()}), LIMIT[kind])
    agree(again, first, 0)
    assert [type(call) for call in calls(by_code)] == [HeadsCall], by_code.report
    assert "each is a matrix, which goes through the code by its own rows n" in by_code.report


def test_neither_threads_nor_how_arrays_lie_change_a_bit():
    whole, alone = functions("attention", ("native",), threads=3) + functions(
        "attention", ("native",), threads=1
    )
    arrays = arrays_of(whole, np.float32, SIZES[1])
    arrays = {key: np.concatenate([array] * 4) for key, array in arrays.items()}
    right = alone(**arrays)
    agree(whole(**arrays), right, 0)
    agree(whole(**arrays), right, 0)
    lying = {
        "Q": np.asfortranarray(arrays["Q"]),
        "K": arrays["K"].transpose(0, 2, 1).copy().transpose(0, 2, 1),
        "V": arrays["V"].astype(">f4"),
        "G": np.repeat(arrays["G"], 2, axis=0)[::2],
    }
    for _ in range(2):
        agree(whole(**lying), right, 1e-5)
    mixed = {**arrays, "K": arrays["K"].astype(np.float64)}
    assert whole(**mixed)[1]["Q"].dtype == np.float64
    agree(whole(**mixed), right, 1e-5)


def test_what_a_run_gives_stays_as_it_is():
    (f,) = functions("attention", ("native",))
    arrays = arrays_of(f, np.float64, SIZES[0])
    first = f(**arrays)
    kept = {name: array.copy() for name, array in first[1].items()}
    f(**{key: 2 * array for key, array in arrays.items()})
    f(**{key: 3 * array for key, array in arrays.items()})
    for name, array in first[1].items():
        np.testing.assert_array_equal(array, kept[name])


def test_a_matrix_that_does_not_come_apart_runs_in_numpy():
    text = "sum(G*(softmax(X @ W @ X.mT, axis=-1) @ X))"
    loss = gs.parse(text, X="h n d", G="h n d", W="d d")
    by_numpy, by_code = gs.compile(loss), gs.compile(loss, backend="native")
    arrays = arrays_of(by_code, np.float64, {"h": 3, "n": 20, "d": 30})
    for _ in range(2):
        agree(by_code(**arrays), by_numpy(**arrays), 1e-12)
    assert "runs in NumPy: two long axes in one array" in by_code.report


@pytest.mark.parametrize(
    "text",
    [
        "S = Q @ K.mT; sum(G*((softmax(S, axis=-1)*softmax(S, axis=1)) @ V))",
        "Z = Q - mean(Q, axis=1, keepdims=True); sum(G*(softmax(Z @ K.mT, axis=-1) @ V))",
    ],
)
def test_what_would_compute_its_products_again_and_again_runs_in_numpy(text):
    gradient = gs.derive(gs.parse(text, **HEADS), list("QKV"), certify=False)
    rows = cut(gs.compile(gradient).program)
    with pytest.raises(NoStack):
        stack(rows.passes[0], rows.size, Lengths(h=8, n=512, d=64))


# ---------------------------------------------------------------------------------------- the program of one


def stack_of(text, sizes, **shapes):
    loss = gs.parse(text, **shapes)
    rows = cut(gs.compile(loss).program)
    return stack(rows.passes[0], rows.size, Lengths(sizes))


def test_short_lines_are_multiplied_as_matrices_too():
    (f,) = functions("a layer norm", ("native",))
    f(**arrays_of(f, np.float32, {"h": 2, "n": 100, "d": 4}))
    (heads,) = calls(f)
    (call,) = heads.inner.calls.values()
    assert isinstance(call, MatrixCall) and heads.straight is not None


def test_axes_of_one_length_that_never_meet_are_apart():
    found = stack_of(ATTENTION + "sum(G*O)", SIZES[0], **HEADS)
    shapes = {given.name: given.symbol.shape for given in found.program.inputs}
    queries, features = shapes["Q"]
    keys, _ = shapes["K"]
    assert len({queries, keys, features, shapes["V"][1]}) == 4
    assert shapes["K"][1] == features and shapes["V"][0] == keys and shapes["G"] == (queries, shapes["V"][1])
    assert found.rows.size == queries and found.along == "n"


@pytest.mark.parametrize("n, d, best", [(50, 9, "c*Q @ K.T"), (9, 50, "c*(Q @ K.T)"), (9, 9, "c*(Q @ K.T)")])
def test_a_number_goes_where_there_are_fewer_entries(n, d, best):
    found = stack_of(
        "sum(G*tanh(c*(Q @ K.mT)))", {"h": 2, "n": n, "d": d}, Q="h n d", K="h n d", G="h n n", c=""
    )
    assert best in str(found.program)


# ------------------------------------------------------------------------------------------- products


@pytest.mark.parametrize("kind", ["float", "double"])
def test_products_of_any_size(kind):
    writer = Writer()
    products = Multiplying(writer, kind, Processor(engine.vector_bytes(), engine.registers()))
    products.functions()
    with writer.function("asked", "ptr %a", inner=False):
        given = []
        for k, what in enumerate([*products.MULTIPLY.split(", "), *products.TURN.split(", ")]):
            type = what.split()[0]
            value = writer.scalar(f"load {type}, ptr {writer.at('%a', 8 * k)}")
            given.append(f"{type} {value}")
        count = len(products.MULTIPLY.split(", "))
        writer.emit(f"call void @turn({', '.join(given[count:])})")
        writer.emit(f"call void @multiply({', '.join(given[:count])})")
        writer.emit("ret void")
    function = engine.loaded(writer.text(), "asked")
    real = np.float32 if kind == "float" else np.float64
    item, panel = np.dtype(real).itemsize, products.panel
    random = np.random.default_rng(0)
    for m, n, k in [
        (1, 1, 1),
        (6, panel, 3),
        (7, panel + 1, 300),
        (13, 2 * panel - 1, 16),
        (2, 17, 257),
        (9, 40, 8),
    ]:
        left, right = random.normal(size=(m, k)).astype(real), random.normal(size=(k, n)).astype(real)
        copy = np.full(products.room(n, k) // item, np.nan, real)
        for a in (left, np.asfortranarray(left)):
            for turn in (False, True):
                for add in (False, True):
                    b = np.ascontiguousarray(right.T) if turn else right
                    around = np.full((m + 2, n + 3), 7, real)
                    c = around[1:-1, 1:-2]
                    factor = (
                        [copy.ctypes.data, panel * item, panel * item * k]
                        if turn
                        else [b.ctypes.data, n * item, panel * item]
                    )
                    product = [a.ctypes.data, *a.strides, *factor, c.ctypes.data, c.strides[0], m, n, k, add]
                    turning = (
                        [b.ctypes.data, b.strides[0], *b.shape, copy.ctypes.data] if turn else [0, 0, 0, 0, 0]
                    )
                    args = np.array([*product, *turning], np.int64)
                    function(args.ctypes.data)
                    np.testing.assert_allclose(
                        c, left @ right + 7 * add, rtol=0, atol=100 * np.finfo(real).eps * k
                    )
                    c[...] = 7
                    assert (around == 7).all()
