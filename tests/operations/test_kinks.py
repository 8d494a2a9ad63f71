"""Is the slope at a kink the one that the rule says, in a derivation, in `evaluate` and in code?

The rule: where a function bends, its slope is the element of smallest norm of the subdifferential, that is,
of the convex hull of the slopes nearby. The table in docs/numbers.md is this one.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls

import gradstep as gs
from gradstep.backends import compile_outputs

PAGE = Path(__file__).parents[2] / "docs" / "numbers.md"
HALVES, NONE = [0.5, 0.5], [np.nan, np.nan]
# What bends, where; the same in PyTorch and in JAX; and the slopes that these take.
KINKS = [
    ("relu(x)", 0, "torch.relu(x)", "jax.nn.relu(x)", 0, 0),
    ("maximum(x, 0)", 0, "torch.maximum(x, 0*x.detach())", "jnp.maximum(x, 0)", 0.5, 0.5),
    ("minimum(x, 0)", 0, "torch.minimum(x, 0*x.detach())", "jnp.minimum(x, 0)", 0.5, 0.5),
    ("where(x > 0, x, 0)", 0, "torch.where(x > 0, x, 0)", "jnp.where(x > 0, x, 0)", 0, 0),
    ("clip(x, 0, 1)", 0, "torch.clamp(x, 0, 1)", "jnp.clip(x, 0, 1)", 1, 0.5),
    ("hardtanh(x)", 1, "torch.nn.functional.hardtanh(x)", "jax.nn.hard_tanh(x)", 0, 1),
    ("relu6(x)", 6, "torch.nn.functional.relu6(x)", "jax.nn.relu6(x)", 0, 0),
    ("abs(x)", 0, "torch.abs(x)", "jnp.abs(x)", 0, 1),
    ("leaky_relu(x)", 0, "torch.nn.functional.leaky_relu(x)", "jax.nn.leaky_relu(x)", 0.01, 1),
    ("elu(x, 2)", 0, "torch.nn.functional.elu(x, 2.0)", "jax.nn.elu(x, 2.0)", 2, 2),
    ("selu(x)", 0, "torch.nn.functional.selu(x)", "jax.nn.selu(x)", 1.7581, 1.7581),
    ("maximum(x[0], x[1])", [1, 1], "torch.maximum(x[0], x[1])", "jnp.maximum(x[0], x[1])", HALVES, HALVES),
    ("max(x)", [1, 1, 0], "torch.amax(x)", "jnp.max(x)", [0.5, 0.5, 0], [0.5, 0.5, 0]),
    ("min(x)", [1, 1, 2], "torch.amin(x)", "jnp.min(x)", [0.5, 0.5, 0], [0.5, 0.5, 0]),
    ("norm(x)", [0, 0], "torch.linalg.norm(x)", "jnp.linalg.norm(x)", [0, 0], NONE),
    ("sqrt(sum(x**2))", [0, 0], "torch.sqrt((x**2).sum())", "jnp.sqrt((x**2).sum())", NONE, NONE),
    ("std(x)", [2, 2, 2], "torch.std(x, correction=0)", "jnp.std(x)", [0] * 3, [np.nan] * 3),
    ("prod(x)", [0, 2, 3], "torch.prod(x)", "jnp.prod(x)", [6, 0, 0], [6, 0, 0]),
    ("x**0", 0, "x**0", "x**0.0", 0, np.nan),
]  # fmt: skip
EACH = pytest.mark.parametrize("row", KINKS, ids=lambda row: row[0])


def formula(row):
    x = np.array(row[1], dtype=float)
    return gs.parse(row[0], x=x.shape), x


def ours(row):
    """The slope by `evaluate`, which code has to have too."""
    loss, x = formula(row)
    d = gs.derive(loss, "x", certify=False)
    found = np.broadcast_to(gs.evaluate(d.answers["x"], x=x), x.shape)
    np.testing.assert_array_equal(np.broadcast_to(gs.compile(d)(x=x)[1]["x"], x.shape), found)
    return found


def smallest(slopes):
    """The point of the convex hull that is nearest to 0: weights ≥ 0 of sum 1, by least squares."""
    slopes = np.array(slopes).reshape(len(slopes), -1)
    weights, _ = nnls(np.vstack([slopes.T, 1e4 * np.ones(len(slopes))]), [0.0] * slopes.shape[1] + [1e4])
    return weights @ slopes


@EACH
def test_the_slope_is_the_subgradient_of_smallest_norm(row):
    loss, x = formula(row)
    rng, radius, step = np.random.default_rng(0), 1e-3, 1e-7
    slopes = []
    for _ in range(40):
        near = np.asarray(x + radius * rng.normal(size=x.shape))
        slope = np.zeros(x.shape)
        for place in np.ndindex(x.shape):
            ends = []
            for sign in (1, -1):
                moved = near.copy()
                moved[place] += sign * step
                ends.append(gs.evaluate(loss, x=moved))
            slope[place] = (ends[0] - ends[1]) / (2 * step)
        slopes.append(slope)
    np.testing.assert_allclose(ours(row).ravel(), smallest(slopes), atol=0.02)


@EACH
def test_what_bends_says_so_in_its_derivation(row):
    loss, _ = formula(row)
    if row[0] in ("prod(x)", "x**0"):  # these are smooth
        return
    told = " ".join(gs.derive(loss, "x", certify=False).text().split())
    assert any(words in told for words in ("gradstep takes", "share equally", "each gets ½", "only chooses"))


@EACH
def test_the_others_take_what_the_table_says(torch, jax, row):
    _, x = formula(row)
    *_, at_torch, at_jax = row
    there = torch.tensor(x, requires_grad=True)
    eval(row[2], {"torch": torch, "x": there}).backward()  # our own table
    np.testing.assert_allclose(there.grad.numpy(), at_torch, rtol=1e-3)
    slope = jax.grad(lambda x: eval(row[3], {"jax": jax, "jnp": jax.numpy, "x": x}))(jax.numpy.array(x))
    np.testing.assert_allclose(np.asarray(slope), at_jax, rtol=1e-3)


NOT_FINITE = [row for row in KINKS if row[0] not in ("where(x > 0, x, 0)", "x**0")]  # these choose, and are 1


@pytest.mark.parametrize("row", NOT_FINITE, ids=lambda row: row[0])
@pytest.mark.parametrize("place", [0, -1])
def test_of_what_is_no_number_the_value_is_no_number(row, place):
    loss, x = formula(row)
    x = np.atleast_1d(x).copy()
    x[place] = np.nan
    x = x.reshape(np.shape(row[1]))
    assert np.isnan(gs.evaluate(loss, x=x))
    assert np.isnan(compile_outputs({"": loss})(x=x))
    assert np.isnan(gs.compile(gs.derive(loss, "x", certify=False))(x=x)[0])


def shown(value):
    entries = [f"{number:.5g}" for number in np.ravel(value)]
    return entries[0] if np.ndim(value) == 0 else f"({', '.join(entries)})"


def table():
    yield "| function | at x = | gradstep | PyTorch | JAX |"
    yield "|:--|:--|:--|:--|:--|"
    for row in KINKS:
        slope = ours(row)
        cells = [f"`{row[0]}`", *(shown(np.array(numbers, float)) for numbers in (row[1], slope, *row[4:]))]
        yield f"| {' | '.join(cells)} |"


def test_the_page_shows_this_table():
    assert "\n".join(table()) in PAGE.read_text(encoding="utf-8")
