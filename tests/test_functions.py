"""Are backward functions judged by their values, and their slips found as those of formulas?"""

import sys
import textwrap

import numpy as np
import pytest

import gradstep as gs
from gradstep.backends.foreign import Asked, answers_of
from gradstep.expression.errors import MathError

SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N"}
NEURON = gs.parse("z = X @ w + b; a = relu(z); mean((y - a)**2)", **SHAPES)
SOFTMAX = gs.parse("softmax(Z, axis=1)", Z="n k")


def slope(X, w, b, y):
    z = X @ w + b
    return -2 / len(y) * (y - np.maximum(z, 0)) * (z > 0)


def right(X, w, b, y):
    dz = slope(X, w, b, y)
    return X.T @ dz, dz.sum()


def as_dictionary(y, b, w, X):
    dz = slope(X, w, b, y)
    return {"db": dz.sum(), "grad_w": X.T @ dz}


def with_value(X, w, b, y):
    e = y - np.maximum(X @ w + b, 0)
    return (e @ e / len(y)), dict(zip("wb", right(X, w, b, y), strict=True))


def other_value(X, w, b, y):
    return 1.0, dict(zip("wb", right(X, w, b, y), strict=True))


def no_mask(X, w, b, y):
    dz = -2 / len(y) * (y - np.maximum(X @ w + b, 0))
    return X.T @ dz, dz.sum()


def no_mean(X, w, b, y):
    dw, db = right(X, w, b, y)
    return dw * len(y), db * len(y)


def turned(X, w, b, y):
    dw, db = right(X, w, b, y)
    return dw, -db


def no_sum(X, w, b, y):
    dz = slope(X, w, b, y)
    return X.T @ dz, dz


def changes(X, w, b, y):
    y -= np.maximum(X @ w + b, 0)
    y *= -2 / len(y) * (X @ w + b > 0)
    return X.T @ y, y.sum()


def raises(X, w, b, y):
    return X @ y, 0.0


def not_finite(X, w, b, y):
    return np.full(len(w), np.nan), 0.0


def in_single(X, w, b, y):
    dw, db = right(X, w, b, y)
    return (dw * 1.1, db) if X.dtype == np.float32 else (dw, db)


def another_shape(X, w, b, y):
    return np.ones((7, 3)), 0.0


@pytest.mark.parametrize("function", [right, as_dictionary, with_value, changes, in_single, other_value])
def test_a_right_function_is_right_however_it_returns_its_gradients(function):
    found = gs.check(NEURON, ["w", "b"], function, seed=1)
    assert found.verdict is True
    said = str(found)
    assert f"{function.__name__} is right" in said
    assert ("changes its operand y" in said) == (function is changes)
    assert ("float32 the gradient for w is off" in said) == (function is in_single)
    assert ("not that of the loss" in said) == (function is other_value)


@pytest.mark.parametrize(
    ("function", "kind", "first"),
    [
        (no_mask, "mask", 1),
        (no_mean, "mean", 1),
        (turned, "sign", 2),
        (no_sum, "sum", 2),
        (raises, "error", 1),
        (not_finite, "not finite", 1),
        (another_shape, "shape", 1),
        (lambda X, w: w, "error", 1),
        (lambda X, w, b, y: w, "error", 1),
        (lambda X, w, b, y: {"w": w}, "error", 1),
        (lambda X, w, b, y: ("w", None), "error", 1),
    ],
)
def test_a_wrong_function_is_wrong_and_its_slip_is_found(function, kind, first):
    found = gs.check(NEURON, ["w", "b"], function, seed=1)
    assert (found.verdict, found.kind, found.first) == (False, kind, first)
    assert function.__name__ in str(found)


def test_a_function_of_an_array_takes_the_gradient_that_arrives():
    def backward(G, Z):
        P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
        return P * (G - (P * G).sum(axis=1, keepdims=True))

    def forgets(Z, grad_output):
        P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
        return P * grad_output

    found = gs.check(SOFTMAX, "Z", backward, seed=1)
    assert found.verdict is True
    assert any("large numbers" in note for note in found.notes)
    found = gs.check(SOFTMAX, "Z", forgets, seed=1)
    assert (found.verdict, found.kind) == (False, "missing term")


def test_a_transposed_gradient_is_right_in_the_other_layout():
    loss = gs.parse("trace(A @ X)", A="n m", X="m n")
    found = gs.check(loss, "X", lambda A, X: A)
    assert (found.verdict, found.kind) == (True, "layout")


# ------------------------------------------------------------------------------------- in another process

FILE = """
import numpy as np

def backward(X, w, b, y):
    z = X @ w + b
    dz = 2 / len(y) * (np.maximum(z, 0) - y) * (z > 0)
    return {"w": X.T @ dz, "b": dz.sum()}

def sleeps(X, w, b, y):
    import time
    time.sleep(30)

def leaves(X, w, b, y):
    raise SystemExit(3)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(FILE), encoding="utf-8")
    return path


def test_a_function_of_a_file_is_run_in_a_process_of_its_own(file, tmp_path, capsys):
    from gradstep.cli import main

    loss = tmp_path / "loss.txt"
    loss.write_text("# X:N,d w:d b: y:N\nz = X @ w + b\nmean((y - relu(z))**2)\n", encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        main(["check", str(loss), "--wrt", "w,b", "--backward", f"{file}:backward"])
    assert stop.value.code == 0
    assert "is right: it gives ∂C/∂w and ∂C/∂b" in " ".join(capsys.readouterr().out.split())
    assert "mine" not in sys.modules


ASKED = Asked(("X", "w", "b", "y"), "G", ("w", "b"))
POINT = {"X": np.ones((2, 3)), "w": np.ones(3), "b": np.array(0.0), "y": np.ones(2)}


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("{file}:nothing", "has no function nothing"),
        ("{file}", "FILE:NAME"),
        ("{folder}/none.py:f", "there is no file"),
        ("{file}:sleeps", "has not answered within 1 seconds"),
        ("{file}:leaves", "cannot be called"),
    ],
)
def test_what_cannot_be_called_is_an_error(file, place, what):
    place = place.format(file=file, folder=file.parent)
    with pytest.raises(MathError) as caught:
        answers_of(place, ASKED, [POINT], seconds=1 if "sleeps" in place else 60)
    assert what in str(caught.value)


# ------------------------------------------------------------------------------------- PyTorch


def test_a_function_of_pytorch_is_applied(torch):
    class Silu(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * torch.sigmoid(x)

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            s = torch.sigmoid(x)
            return gradient * s * (1 + x * (1 - s))

    class Forgetful(Silu):
        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return gradient * torch.sigmoid(x)

    f = gs.parse("x*sigmoid(x)", x="n")
    assert gs.check(f, "x", Silu).verdict is True
    found = gs.check(f, "x", Forgetful)
    assert (found.verdict, found.kind) == (False, "slope")
    assert found.why.startswith("The term") and "is missing (chain rule for silu)" in found.why


@pytest.mark.parametrize("threshold", [0, 1e-4, 1e-8, -1e-6])
def test_a_function_is_tried_next_to_where_a_condition_changes(threshold):
    def backward(X, w, b, y):
        z = X @ w + b
        return X.T @ (2 / len(y) * (np.maximum(z, 0) - y) * (z > threshold))

    found = gs.check(NEURON, "w", backward)
    assert (found.verdict, found.kind) == ((False, "mask") if threshold else (True, ""))
    assert not threshold or found.example is not None
