"""Do the functions of machine code keep their digits, over the whole range of numbers?"""

import math

import mpmath
import numpy as np
import pytest
from backends.test_native import native

import gradstep as gs
from gradstep.backends.native import elements, engine
from gradstep.backends.native.assembly import Type, Writer

pytest.importorskip("llvmlite")

exact = np.longdouble


def by_math(function):
    def each(x):
        with np.errstate(all="ignore"):
            return np.array([function(float(t)) for t in x], dtype=exact)

    return each


def gelu(x):
    return x * mpmath.ncdf(x) if abs(x) < 50 else max(x, -0.0) if x == x else x


def silu(x):
    return np.where(x == -np.inf, -0.0, x / (1 + np.exp(-x)))


def logcosh(x):
    a = np.abs(x)
    near = np.log1p(2 * np.sinh(np.minimum(a, 1) / 2) ** 2)
    return np.where(a < 1, near, a - np.log(exact(2)) + np.log1p(np.exp(-2 * a)))


def mish(x):
    q = np.exp(-np.abs(x))
    gate = np.where(x < 0, q * (q + 2) / (q * (q + 2) + 2), (1 + 2 * q) / (1 + 2 * q + 2 * q * q))
    return np.where(x == -np.inf, -0.0, x * gate)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


# text: the function in higher precision, and how many ulps it may be off in float64 and float32
FUNCTIONS = {
    "exp(x)": (np.exp, 2, 2),
    "expm1(x)": (np.expm1, 3, 3),
    "log(x)": (np.log, 2, 2),
    "log1p(x)": (np.log1p, 3, 3),
    "tanh(x)": (np.tanh, 3, 3),
    "sigmoid(x)": (lambda x: 1 / (1 + np.exp(-x)), 3, 3),
    "softplus(x)": (softplus, 3, 3),
    "sqrt(x)": (np.sqrt, 1, 1),
    "sin(x)": (np.sin, 2, 2),
    "cos(x)": (np.cos, 2, 2),
    "arctan(x)": (np.arctan, 2, 2),
    "erf(x)": (by_math(math.erf), 2, 2),
    "abs(x)": (np.abs, 0, 0),
    "sign(x)": (np.sign, 0, 0),
    "relu(x)": (lambda x: np.maximum(x, 0), 0, 0),
    "leaky_relu(x, 0.1)": (lambda x: np.where(x > 0, x, x / 10), 1, 2),
    "elu(x, 2)": (lambda x: np.where(x > 0, x, 2 * np.expm1(np.minimum(x, 0))), 3, 3),
    "silu(x)": (silu, 4, 4),
    "mish(x)": (mish, 5, 5),
    "gelu(x)": (by_math(gelu), 3, 1),
    "logcosh(x)": (logcosh, 4, 4),
    "sinh(x)": (np.sinh, 4, 4),
    "softsign(x)": (lambda x: x / (1 + np.abs(x)), 2, 2),
    "x**2": (np.square, 1, 1),
    "x**3": (lambda x: x**3, 2, 2),
    "x**1.5": (lambda x: x * np.sqrt(x), 2, 2),
    "x**0.3": (lambda x: x ** exact(0.3), 2, 2),
    "x**(-2)": (lambda x: 1 / (x * x), 3, 3),
    "maximum(x, 0.5)": (lambda x: np.maximum(x, 0.5), 0, 0),
    "minimum(x, 0.5)": (lambda x: np.minimum(x, 0.5), 0, 0),
    "where(x > 1, x, 2*x)": (lambda x: np.where(x > 1, x, 2 * x), 0, 0),
    "(x >= 1) + 0*x": (lambda x: (x >= 1) + 0 * x, 0, 0),
    "floor(x)": (np.floor, 0, 0),
    "round(x)": (np.round, 0, 0),
}


def numbers(kind):
    """All magnitudes, both signs, and what is special."""
    form = np.finfo(kind)
    rng = np.random.default_rng(0)
    exponents = rng.uniform(np.log2(float(form.smallest_subnormal)), form.maxexp - 1e-3, 600)
    wide = np.exp2(exponents.astype(exact)).astype(kind)
    near = rng.uniform(-30, 30, 600).astype(kind)
    one = (1 + rng.normal(size=200) * 1e-3).astype(kind)
    edges = [0.0, 0.5, 1, 1.5, 2, 17, 22, 37, 88.7, 89, 103, 104, 709.7, 709.8, 710, 745, 746, form.max]
    edges += [form.tiny, form.smallest_subnormal, form.eps, np.inf, np.nan]
    turns = (np.arange(1, 300) * (np.pi / 2)).astype(kind)
    positive = np.concatenate([wide, np.abs(near), one, turns, np.array(edges, kind)])
    return np.concatenate([positive, -positive])


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("text", FUNCTIONS)
def test_digits_of_a_function(text, kind, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADSTEP_CACHE", str(tmp_path))
    function, in_double, in_single = FUNCTIONS[text]
    x = numbers(kind)
    if "round" in text or "floor" in text:
        x = x[np.abs(x) < 1e9]
    with np.errstate(all="ignore"):
        right = np.asarray(function(x.astype(exact)), dtype=exact)
        nearest = right.astype(kind)
        found, code = native(gs.compile(gs.parse(text, x="N")), {"x": x})
        (found,) = found.values()
    assert not code.reasons
    odd = ~np.isfinite(nearest)
    np.testing.assert_array_equal(found[odd], nearest[odd])
    with np.errstate(over="ignore"):
        ulp = np.spacing(np.abs(nearest[~odd])).astype(exact)
    off = np.abs(found[~odd].astype(exact) - right[~odd]) / ulp
    worst = np.argmax(off)
    limit = in_double if kind is np.float64 else in_single
    assert off[worst] <= limit + 0.01, f"{off[worst]} ulps at x = {x[~odd][worst]!r}"


@pytest.mark.parametrize("kind", ["float", "double"])
def test_exp_has_the_same_bits_in_vectors_of_any_width(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADSTEP_CACHE", str(tmp_path))
    real = np.float32 if kind == "float" else np.float64
    ends = np.array([0.0, -0.0, 1e-30, np.inf, -np.inf, np.nan, 1e30, -1e30], real)
    both = np.linspace(-760, 720, 100_001, dtype=real), np.linspace(-110, 90, 99_983, dtype=real)
    x = np.concatenate([ends, *both])
    x = x[: len(x) // 64 * 64].copy()
    found = []
    for vector in (16, 32, 64, 128):
        writer, lanes = Writer(), vector // x.itemsize
        with writer.function("asked", "ptr %a", inner=False):
            start, end = (writer.scalar(f"load ptr, ptr {writer.at('%a', 8 * k)}") for k in range(2))
            with writer.loop(0, x.nbytes, vector) as loop:
                here = writer.load(writer.at(start, loop.at), Type(kind, lanes), 1)
                writer.store(elements.exp(here), writer.at(end, loop.at), 1)
            writer.emit("ret void")
        result = np.empty_like(x)
        args = np.array([x.ctypes.data, result.ctypes.data])
        engine.loaded(writer.text(), "asked")(args.ctypes.data)
        found.append(result.tobytes())
    assert len(set(found)) == 1
