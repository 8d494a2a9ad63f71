"""Are convolutions those of PyTorch, forward and backward, and is what cannot be said refused?"""

import itertools

import numpy as np
import pytest
from tables import each

import gradstep as gs
from gradstep.expression.errors import MathError
from gradstep.expression.shapes import quotient

NUMBERS = np.random.default_rng(0).standard_normal
# stride, padding, dilation, and output_padding of the transpose; along one axis, and along two.
SLIDES = [
    *itertools.product((1, 2, 3), (0, 2), (1, 2), (0,)),
    (3, 1, 1, 2),
    ((1, 3), (2, 0), (2, 1), 0),
    ((3, 2), (1, 2), (1, 2), (1, 0)),
]


def sliding(options):
    names = ("stride", "padding", "dilation", "output_padding")
    return dict(zip(names, options, strict=True))


def written(options):
    return ", ".join(f"{name}={value}" for name, value in options.items())


@each("slide", SLIDES, ids=str, tests=2)
def test_values_and_gradients_are_those_of_pytorch(slide):
    torch = pytest.importorskip("torch")
    axes = 2 if any(isinstance(option, tuple) for option in slide) else 1
    options = sliding(slide)
    lengths, window = (9, 11)[:axes], (3, 2)[:axes]
    cases = {
        f"conv{axes}d": ((2, 3, *lengths), (4, 3, *window), 4),
        f"conv_transpose{axes}d": ((2, 4, *lengths), (4, 3, *window), 3),
    }
    for name, (x, w, channels) in cases.items():
        values = {"X": NUMBERS(x), "W": NUMBERS(w), "b": NUMBERS(channels)}
        given = options if "transpose" in name else {k: v for k, v in options.items() if "output" not in k}
        tensors = {key: torch.tensor(value, requires_grad=True) for key, value in values.items()}
        found = getattr(torch.nn.functional, name)(tensors["X"], tensors["W"], tensors["b"], **given)
        shapes = {key: value.shape for key, value in values.items()}
        y = gs.parse(f"{name}(X, W, b, {written(given)})", **shapes)
        assert y.shape == tuple(found.shape)
        np.testing.assert_allclose(gs.evaluate(y, **values), found.detach(), rtol=1e-10, atol=1e-10)
        (found**3).sum().backward()
        told = gs.derive(
            gs.parse(f"sum({name}(X, W, b, {written(given)})**3)", **shapes), [*values], certify=False
        )
        for key, answer in told.answers.items():
            np.testing.assert_allclose(
                gs.evaluate(answer, **values), tensors[key].grad, rtol=1e-10, atol=1e-9
            )


SYMBOLIC = "sum(tanh(conv1d(X, W, b)) * Y)"
SHAPES = {"X": "N c n", "W": "k c m", "b": "k", "Y": "N k n+1-m"}


def test_a_convolution_is_certified_with_sizes_by_name():
    told = gs.derive(gs.parse(SYMBOLIC, **SHAPES), wrt=["W", "b", "X"])
    assert told.certificate.verdict
    assert {"conv_transpose", "conv_weight"} <= {answer.op.name for answer in told.answers.values()}


LENET = """
A = relu(conv2d(X, W, a, padding=2))
B = relu(conv2d(avg_pool2d(A, 2), U, b))
H = relu(reshape(max_pool2d(B, 2), (64, 400)) @ V + v)
mean((H @ T - Y)**2)
"""
LENET_SHAPES = {"X": "64 1 28 28", "W": "6 1 5 5", "a": "6", "U": "16 6 5 5", "b": "16"}
LENET_SHAPES |= {"V": "400 120", "v": "120", "T": "120 10", "Y": "64 10"}


@each("seed", range(2))
def test_a_network_for_images_is_certified_exactly_at_its_real_size(seed):
    told = gs.derive(gs.parse(LENET, **LENET_SHAPES), [*"WaUbVvT"], seed=seed)
    assert told.certificate.verdict and told.certificate.exact == told.certificate.lines


POOLS = [
    "max_pool1d(X, 2)",
    "max_pool1d(X, 3, stride=2, dilation=2)",
    "max_pool2d(X, 2)",
    "max_pool2d(X, (3, 2), stride=(1, 3), dilation=(2, 1))",
    "max_pool1d(-X - 5, 3, stride=2, padding=1)",
    "max_pool2d(X, (4, 3), stride=2, padding=(2, 1), dilation=(1, 2))",
    "avg_pool1d(X, 3, padding=1)",
    "avg_pool1d(X, 2, stride=1)",
    "avg_pool2d(X, (2, 3), padding=(1, 0))",
    "avg_pool2d(X, 3, stride=2)",
]


@each("pool", POOLS)
def test_pooling_is_that_of_pytorch(pool):
    torch = pytest.importorskip("torch")
    values = NUMBERS((2, 3, 9, 11) if "2d" in pool else (2, 3, 9))
    X = torch.tensor(values, requires_grad=True)
    functional = {name: getattr(torch.nn.functional, name) for name in (pool.partition("(")[0],)}
    found = eval(pool, {**functional, "X": X})
    (found**3).sum().backward()
    told = gs.derive(gs.parse(f"sum({pool}**3)", X=values.shape), "X", certify="1d" in pool)
    assert "2d" in pool or told.certificate.verdict
    np.testing.assert_allclose(
        gs.evaluate(gs.parse(pool, X=values.shape), X=values), found.detach(), rtol=1e-10, atol=1e-10
    )
    np.testing.assert_allclose(gs.evaluate(told.answers["X"], X=values), X.grad, rtol=1e-10, atol=1e-10)


def test_entries_of_a_window_that_tie_share_the_slope():
    told = gs.derive(gs.parse("sum(max_pool1d(x, 2))", x="4"), "x")
    np.testing.assert_array_equal(gs.evaluate(told.answers["x"], x=[1, 1, 0, 2]), [0.5, 0.5, 0, 1])


CLAIMS = {
    "W: 2*conv1d_weight(X, conv1d(X, W, padding=1), 3, padding=1)": True,
    "X: 2*conv_transpose1d(conv1d(X, W, padding=1), W, padding=1)": True,
    "W: 2*conv1d_weight(flip(X, 2), conv1d(X, W, padding=1), 3, padding=1)": False,
    "X: 2*conv_transpose1d(conv1d(X, W, padding=1), flip(W, 2), padding=1)": False,
    "X: 2*conv1d(conv1d(X, W, padding=1), swapaxes(W, 0, 1), padding=1)": False,
    "X: 2*conv1d(conv1d(X, W, padding=1), flip(swapaxes(W, 0, 1), 2), padding=1)": True,
}


def test_every_step_of_a_convolution_opens():
    """By indices, down to why each rule is so, whatever lengths are drawn for m and n."""
    loss = gs.parse("sum(G*conv1d(X, W))", X="N c n", W="k c m", G="N k n-m+1")
    for seed in range(2):
        told = gs.derive(loss, ["X", "W"], seed=seed)
        assert told.certificate.verdict and "δ" in told.text(view="index") and told.html()


@each("claim", CLAIMS)
def test_a_claim_about_a_convolution_is_judged(claim):
    """The certificate takes convolutions apart: one that is turned round, or not, is found out."""
    loss = gs.parse("sum(conv1d(X, W, padding=1)**2)", X="N c 5", W="k c 3")
    name, formula = claim.split(": ")
    assert gs.check(loss, name, formula).verdict is CLAIMS[claim]


REFUSED = {
    "conv1d(X, W, stride=2)": "depends on its value",
    "conv1d(X, W, stride=0)": "stride is a whole number from 1",
    "conv1d(X, W, padding=-1)": "padding is a whole number from 0",
    "conv1d(X, W, stride=(1, 1))": "stride is a whole number",
    "conv1d(X, W, 2)": "a bias is a vector",
    "conv1d(X, V)": "channels",
    "conv2d(X, W)": "conv2d takes arrays with 4 axes",
    "conv1d(S, T)": "does not fit into",
    "conv_transpose1d(X, W, output_padding=1)": "output_padding",
    "max_pool1d(X, n)": "needs a stride",
    "max_pool2d(b, 2)": "slides along 2 axes",
    "max_pool2d(X, (1, 1, 1))": "one size for all axes",
    "max_pool1d(X, 3, padding=2)": "nothing but what is beyond the ends",
    "max_pool1d(S, 2, dilation=5, padding=3)": "nothing but what is beyond the ends",
    "windows(S, 9)": "does not fit into",
    "overlap_add(S, 9)": "windows",
}


@each("text", REFUSED)
def test_what_is_no_convolution_is_refused(text):
    with pytest.raises(MathError, match=REFUSED[text]):
        gs.parse(text, X="N c n", W="c c m", V="k d m", b="n", S="N c 4", T="k c 5")


def test_a_number_goes_into_a_size():
    assert [quotient(size, 2) for size in ("2*h+1", "4*h*w-3", 7, -1)] == ["h", "2*h*w-2", 3, -1]
    with pytest.raises(MathError, match="depends on its value"):
        quotient("h+1", 2)
