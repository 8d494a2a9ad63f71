"""Does the program in C compute what the program in NumPy computes, for any sizes?"""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from backends.losses import CASES, SIZES, arrays, compiled

import gradstep as gs
from gradstep.backends.c import write
from gradstep.expression.errors import MathError
from gradstep.expression.shapes import size_names
from gradstep.operations.evaluation import sizes_of

MORE = {
    "cuts and joins": ("sum(concatenate((x[1:4], flip(x), x[::2]))**2 * v)", {"x": "5", "v": "11"}),
    "an embedding": ("sum(embed(x, zeros(7)[1:6:2]) * v) + sum(cumsum(x)**2)", {"x": "3", "v": "7"}),
    "reshaped": ("sum(reshape(X, (6,))**3) + trace(X @ X.T) + prod(x)", {"X": "2 3", "x": "3"}),
    "largest": ("max(X**2) + sum(max(X, axis=1)) - min(x) + norm(x)", {"X": "4 3", "x": "3"}),
    "looked up": ("sum(take(X, k)**2) + sum(one_hot(k, 4) @ X)", {"X": "4 3", "k": "5"}),
    "functions": (
        "sum(sin(x) + arctan(x) + erf(x) + elu(x) + silu(x) + gelu(x) + sign(x)*abs(x)**1.5 + round(v)*x)",
        {"x": "7", "v": "7"},
    ),
    "nearly certain": ("-1e3*(y @ log_softmax(x))", {"x": "9", "y": "9"}),
    "stacks": (
        "P = softmax(X @ Y.mT, axis=-1); Q = transpose(P @ Z, (1, 0, 2)); sum(Q**2) + sum((X @ w)**2)"
        " + sum(log(sum(exp(X), axis=1, keepdims=True)) * Y) + sum(reshape(Q, (3, 4)) @ v)",
        {"X": "2 3 5", "Y": "2 3 5", "Z": "2 3 2", "w": "5", "v": "4"},
    ),
    "convolutions": (
        "A = relu(conv2d(X, W, b, stride=2, padding=1));"
        " B = conv_transpose2d(A, W, stride=(2, 1), dilation=2);"
        " sum(B**2) + sum(conv1d_weight(S, T, 2, stride=2, padding=1)**2)",
        {"X": "2 1 5 6", "W": "3 1 3 2", "b": "3", "S": "2 2 5", "T": "2 3 3"},
    ),
    "windows": (
        "sum(windows(X, 3, stride=2, dilation=2)**2) + sum(overlap_add(V, (5, 7), stride=(3, 1))**3)",
        {"X": "2 9", "V": "2 5 2 3"},
    ),
    "pooling": (
        "sum(max_pool2d(X, 2)**2) + sum(avg_pool2d(X, (3, 2), stride=2, padding=1)**2)"
        " + sum(max_pool1d(Y, 3, stride=1, padding=2, dilation=2)**3)",
        {"X": "2 2 6 5", "Y": "2 9"},
    ),
    "triangles": ("sum(triu(X)**2) + sum(diag(x) @ X)", {"X": "3 3", "x": "3"}),
}


def functions():
    """Every function to be written, with values for its inputs."""
    for name, case in CASES.items():
        yield name, compiled(case), arrays(case)
    rng = np.random.default_rng(0)
    for name, (text, shapes) in MORE.items():
        loss = gs.parse(text, **shapes)
        trained = [each for each in shapes if each != "k" and f"round({each})" not in text]
        values = {
            each: rng.uniform(0.2, 0.9, [int(n) for n in shape.split()]) for each, shape in shapes.items()
        }
        if name == "nearly certain":
            values = {"x": 1e6 + np.array([30.0, 0, -2, 0, 0, -5, 0, 0, 0]), "y": np.eye(9)[0]}
        if "k" in values:
            values["k"] = rng.integers(0, 4, 5).astype(float)
        yield name, gs.compile(gs.derive(loss, trained, certify=False)), values


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """All functions in one library, and the name of each in it."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no C compiler here")
    folder = tmp_path_factory.mktemp("c")
    files, known = [], {}
    for number, (name, function, values) in enumerate(functions()):
        file = folder / f"f{number}.c"
        file.write_text(write(function.program, f"f{number}"), encoding="utf-8")
        files.append(file)
        known[name] = (f"f{number}", function, values)
    flags = ["-std=c99", "-O0", "-Wall", "-Werror", "-Wno-unused-variable", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, "-o", folder / "all.so", *files, "-lm"], check=True)
    return ctypes.CDLL(str(folder / "all.so")), known


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


@pytest.mark.parametrize("name", [*CASES, *MORE])
def test_c_agrees(library, name):
    c, known = library
    called, function, values = known[name]
    symbols = [given.symbol for given in function.program.inputs]
    given = {
        str(each.symbol.params[0]): np.array(values[each.name], float) for each in function.program.inputs
    }
    lengths = sizes_of({str(symbol.params[0]): symbol for symbol in symbols}, given)
    sizes = dict.fromkeys(n for symbol in symbols for size in symbol.shape for n in size_names(size))
    arguments = [ctypes.c_size_t(lengths[size]) for size in sizes]
    for symbol, array in zip(symbols, given.values(), strict=True):
        arguments.append(pointer(array) if symbol.rank else ctypes.c_double(float(array)))
    value, gradients = function(**values)
    found = {key: np.full(np.shape(gradient), np.nan) for key, gradient in gradients.items()}
    run = getattr(c, called)
    run.restype = ctypes.c_double
    assert run(*arguments, *map(pointer, found.values())) == pytest.approx(value, rel=1e-12)
    for key, gradient in gradients.items():
        np.testing.assert_allclose(found[key], gradient, rtol=1e-10, atol=1e-12)


def test_what_c_cannot_say():
    with pytest.raises(MathError, match="inv cannot be written in C"):
        gs.compile(gs.parse("x @ inv(A) @ x", x="n", A="n n"), "c")
    with pytest.raises(MathError, match="returns a number"):
        gs.compile(gs.parse("2*x", x="n"), "c")
    f = gs.compile(gs.parse("sum(x)", x="n"), "c")
    assert "double value(size_t n, const double *x)" in f.source
    with pytest.raises(MathError, match="taken away"):
        f(x=np.ones(SIZES["d"]))
