"""Are triu and tril NumPy's, with the gradients that follow, and written so that they can be read?"""

import numpy as np
import pytest

import gradstep as gs
from gradstep.backends import compile_outputs

RNG = np.random.default_rng(5)
TRIANGLES = [
    (side, shape, k) for side in ("triu", "tril") for shape in ("m n", "n n", "b m n") for k in (-2, 0, 1)
]
LENGTHS = {"m": 3, "n": 4, "b": 2}


def given(shape):
    return RNG.standard_normal([LENGTHS[size] for size in shape.split()])


@pytest.mark.parametrize("side, shape, k", TRIANGLES)
def test_the_value_is_that_of_numpy(side, shape, k):
    X, f = given(shape), gs.parse(f"{side}(X, {k})", X=shape)
    expected = getattr(np, side)(X, k)
    np.testing.assert_array_equal(gs.evaluate(f, X=X), expected)
    np.testing.assert_array_equal(compile_outputs({"f": f})(X=X), expected)
    assert gs.parse(str(f), X=shape) is f


@pytest.mark.parametrize("side, shape, k", TRIANGLES)
def test_what_is_outside_has_no_slope(side, shape, k):
    X = given(shape)
    d = gs.derive(gs.parse(f"sum({side}(X, {k})**3)/3", X=shape), "X", seed=1)
    np.testing.assert_allclose(gs.evaluate(d.answers["X"], X=X), getattr(np, side)(X, k) ** 2, rtol=1e-14)
    assert d.certificate.verdict and d.certificate.exact == d.certificate.lines


@pytest.mark.parametrize("side, shape, k", [one for one in TRIANGLES if one[1] != "b m n"])
def test_the_jacobian_has_the_entries_inside(side, shape, k):
    X = given(shape)
    d = gs.jacobian(gs.parse(f"{side}(X, {k}) @ x", X=shape, x="n"), "X", seed=1)
    x = given("n")
    inside = getattr(np, side)(np.ones_like(X), k)
    expected = np.einsum("ij,ik,k->ijk", np.eye(len(X)), inside, x)
    np.testing.assert_allclose(gs.evaluate(d.answers["X"], X=X, x=x), expected, rtol=1e-14)
    assert d.certificate.verdict


WRITTEN = {
    "triu(X)": "1[i ≤ j]",
    "triu(X, 1)": "1[i < j]",
    "triu(X, 3)": "1[i + 2 < j]",
    "triu(X, -1)": "1[i ≤ j + 1]",
    "tril(X)": "1[i ≥ j]",
    "tril(X, -1)": "1[i > j]",
    "tril(X, -2)": "1[i > j + 1]",
    "tril(X, 2)": "1[i + 2 ≥ j]",
}


@pytest.mark.parametrize("text", WRITTEN)
@pytest.mark.parametrize("view", ["matrix", "index"])
def test_the_condition_is_on_the_indices(text, view):
    told = gs.derive(gs.parse(f"sum({text}**2)", X="n n"), "X").text(view=view)
    assert WRITTEN[text] in told and "1[i ≤ j] is the matrix with 1" in told and "1[z > 0]" not in told


@pytest.mark.parametrize(
    "text, shorter",
    [
        ("sum(triu(triu(X))**2)", "2*(X*triu(ones(n, n)))"),
        ("trace(triu(X).T @ X)", "2*(X*triu(ones(n, n)))"),
        ("sum(tril(X, 1).T * Y)", "Y.T*tril(ones(n, n), 1)"),
    ],
)
def test_triangles_are_put_together(text, shorter):
    answer = gs.derive(gs.parse(text, X="n n", **({"Y": "n n"} if "Y" in text else {})), "X").answers["X"]
    assert str(answer) == shorter


def test_a_triangle_is_a_condition():
    loss = gs.parse("sum(softmax(where(tril(ones(n, n)), S, -1e9), axis=1) * V)", S="n n", V="n n")
    d = gs.derive(loss, "S")
    S, V = given("n n"), given("n n")
    G = gs.evaluate(d.answers["S"], S=S, V=V)
    assert not np.triu(G, 1).any() and G[1:][np.tri(3, 4, 1) > 0].all() and "if i ≥ j" in d.text()


@pytest.mark.parametrize("text", ["triu(x)", "tril(x*1)", "triu(X, 1/2)", "triu(X, x)", "tril(3)"])
def test_what_has_no_triangle_is_said(text):
    with pytest.raises(gs.MathError):
        gs.parse(text, X="m n", x="n")
