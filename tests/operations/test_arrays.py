"""Do slices, joins, extremes, norms and running sums mean what NumPy means, along any axis?

Values against NumPy, gradients against central differences, on arrays of random shapes and axes; each
derivation is certified, and what was printed reads back.
"""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep.expression.shapes import Lengths, minus, plus, renamed, size_names, terms, times
from gradstep.operations.evaluation import variables

NAMES = ("m", "n", "k", "h")

# ------------------------------------------------------------------------------------------- sizes

sizes = st.recursive(
    st.one_of(st.sampled_from(NAMES), st.integers(0, 5)),
    lambda inner: st.tuples(st.sampled_from((plus, times, minus)), inner, inner).map(
        lambda t: t[0](t[1], t[2])
    ),
    max_leaves=6,
)
HERE = Lengths({"m": 2, "n": 3, "k": 5, "h": 7})


@given(sizes, sizes)
def test_sizes_add_and_multiply_as_the_lengths_that_they_are(a, b):
    assert HERE[plus(a, b)] == HERE[a] + HERE[b]
    assert HERE[times(a, b)] == HERE[a] * HERE[b]
    assert HERE[minus(a, b)] == HERE[a] - HERE[b]


@given(sizes, sizes)
def test_equal_sizes_are_written_alike_and_what_is_written_reads_back(a, b):
    assert plus(a, b) == plus(b, a) and times(a, b) == times(b, a) and minus(plus(a, b), b) == a
    assert plus(a) == a and (isinstance(a, int) or terms(a) == terms(str(a)))
    assert set(size_names(a)) <= set(NAMES)
    assert HERE[renamed(a, {"m": "n", "n": "m"})] == Lengths({**HERE, "m": 3, "n": 2})[a]


def test_a_size_that_nobody_told_is_missing():
    with pytest.raises(KeyError, match="q"):
        HERE["q+1"]


def test_declared_sums_of_sizes_tell_their_parts_and_are_checked():
    e = gs.parse("sum(concatenate([x, 1])*w)", x="d", w="d+1")
    assert gs.evaluate(e, x=[1.0, 2.0], w=[3.0, 4.0, 5.0]) == 16
    with pytest.raises(gs.MathError, match=r"d\+1 is 3, here it is 2"):
        gs.evaluate(e, x=[1.0, 2.0], w=[3.0, 4.0])
    value, gradients = gs.compile(gs.derive(gs.parse("sum(w[:d]**2)/d", w="d+1"), "w"))(w=[1.0, 2.0, 3.0])
    assert value == 2.5 and list(gradients["w"]) == [1, 2, 0]
    for shape in ("d+", "+d", "d++1", "d-d", "2*3*", "d/2", "d+exp", "1-2", "d+__", "d*" * 30 + "d"):
        with pytest.raises(gs.MathError):
            gs.parse("sum(x)", x=shape)
    assert gs.parse("x", x="2*3+1").shape == (7,)


# ------------------------------------------------------------------------------------------- against NumPy


def hardmax(x, axis=None):
    largest = x == x.max(axis=axis, keepdims=True)
    return largest / largest.sum(axis=axis, keepdims=True)


def logsumexp(x, axis=None, keepdims=False):
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def softmax(x, axis):
    return np.exp(x - logsumexp(x, axis, True))


def prod_others(x, axis):
    return np.stack([np.prod(np.delete(x, k, axis), axis=axis) for k in range(x.shape[axis])], axis=axis)


def unit(x, axis=None):
    return x / np.sqrt(np.sum(x**2, axis=axis, keepdims=True))


# What each means in NumPy; along one axis only, or along any.
ONE_AXIS = {
    "cumsum": np.cumsum, "flip": np.flip, "softmax": softmax, "prod_others": prod_others,
    "log_softmax": lambda x, axis: np.log(softmax(x, axis)),
}  # fmt: skip
ANY_AXES = {
    "sum": np.sum, "mean": np.mean, "var": np.var, "std": np.std, "prod": np.prod, "max": np.max,
    "min": np.min,    "hardmax": hardmax, "logsumexp": logsumexp, "unit": unit,
    "norm": lambda x, axis=None, keepdims=False: np.sqrt(np.sum(x**2, axis=axis, keepdims=keepdims)),
}  # fmt: skip


def drawn(rank, seed):
    """An array of three or four entries an axis, and the variable for it; the sizes have names."""
    rng = np.random.default_rng(seed)
    shape = rng.permutation([2, 3, 4, 5])[:rank]
    return gs.symbols(x=list(NAMES[:rank]))[0], rng.normal(size=shape)


def holds(expr, value, wanted, **others):
    """The value, the gradient of its product with fixed numbers, the certificate, the code, and the text."""
    found = np.asarray(gs.evaluate(expr, x=value, **others))
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    shapes = {name: variable.shape for name, variable in variables(expr).items()}
    assert gs.parse(str(expr), **shapes) is expr
    weights = np.sin(1 + np.arange(found.size)).reshape(found.shape)
    (R,) = gs.symbols(R=expr.shape)
    loss = gs.sum(expr * R)
    d = gs.derive(loss, "x")
    assert d.certificate.verdict is True, str(d.certificate)
    step = 1e-5
    measured = np.zeros_like(value)
    for at in np.ndindex(value.shape):
        move = np.zeros_like(value)
        move[at] = step
        up, down = (gs.evaluate(loss, x=value + s * move, R=weights, **others) for s in (1, -1))
        measured[at] = (up - down) / (2 * step)
    result, gradients = gs.compile(d)(x=value, R=weights, **others)
    np.testing.assert_allclose(result, np.sum(found * weights), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gradients["x"], measured, rtol=1e-6, atol=1e-8)
    return d


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", [*ONE_AXIS, *ANY_AXES])
def test_it_means_what_numpy_means_along_every_axis(name, rank):
    function = getattr(gs, name)
    for seed, axis in enumerate(range(-rank, rank)):
        x, value = drawn(rank, seed)
        wanted = (ONE_AXIS | ANY_AXES)[name](value, axis=axis)
        holds(function(x, axis=axis), value, wanted)


@pytest.mark.parametrize("name", ANY_AXES)
def test_it_means_what_numpy_means_along_several_axes(name):
    function = getattr(gs, name)
    for seed, axis in enumerate([None, (0, 2), (1, -1), (-3, 1)]):
        x, value = drawn(3, seed)
        holds(function(x, axis=axis), value, ANY_AXES[name](value, axis=axis))
        if "keepdims" in inspect.signature(function).parameters:
            made = function(x, axis=axis, keepdims=True)
            wanted = ANY_AXES[name](value, axis=axis, keepdims=True)
            np.testing.assert_allclose(gs.evaluate(made, x=value), wanted, rtol=1e-12)


@pytest.mark.parametrize("name", ["var", "std"])
def test_degrees_of_freedom_are_numpys(name):
    x, value = drawn(2, 3)
    for axis in (None, 0, 1):
        made = getattr(gs, name)(x, axis=axis, ddof=1)
        np.testing.assert_allclose(gs.evaluate(made, x=value), getattr(np, name)(value, axis=axis, ddof=1))


@pytest.mark.parametrize("order", [1, 2, 3, 4, 1.5, np.inf, None])
def test_norms_are_numpys(order):
    x, value = drawn(2, 5)
    v, entries = drawn(1, 6)
    for axis in (0, 1):
        np.testing.assert_allclose(
            gs.evaluate(gs.norm(x, order, axis), x=value), np.linalg.norm(value, order, axis), rtol=1e-13
        )
    holds(gs.norm(v, order), entries, np.linalg.norm(entries, order))
    if order is not None:
        with pytest.raises(gs.MathError, match="several norms"):
            gs.norm(x, order)


@pytest.mark.parametrize("order", [0, 0.5, -1, -np.inf, True, "fro"])
def test_what_is_no_norm_is_refused(order):
    with pytest.raises(gs.MathError, match="order"):
        gs.norm(drawn(1, 3)[0], order)


@pytest.mark.parametrize("order", ["3", "4", "1.5"])
def test_the_slope_of_a_norm_is_derived_and_says_where(order):
    """∂‖x‖ₚ/∂x = |x|ᵖ⁻¹ ⊙ sign(x)/‖x‖ₚᵖ⁻¹ (Petersen and Pedersen, section 10.3, for p = 2)."""
    d = gs.derive(gs.parse(f"norm(x, {order})", x="n"), "x", seed=1)
    p, x = float(order), np.array([0.5, -1.5, 2.0, -0.25])
    wanted = np.abs(x) ** (p - 1) * np.sign(x) / np.linalg.norm(x, p) ** (p - 1)
    np.testing.assert_allclose(gs.evaluate(d.answers["x"], x=x), wanted, rtol=1e-12)
    assert d.certificate.verdict and any("is defined where" in note for note in d.notes)


POINT = st.integers(-4, 3)
CUT = st.one_of(
    POINT,
    st.builds(slice, st.one_of(st.none(), POINT), st.one_of(st.none(), POINT), st.sampled_from((None, 1, 2))),
    st.just(slice(None, None, -1)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(CUT, min_size=1, max_size=2), st.sampled_from([(4, 4), ("m", "n"), ("m", 4)]), st.booleans())
def test_a_subscript_takes_what_numpy_takes_or_says_why_not(cuts, shape, one_more):
    (x,) = gs.symbols(x=shape)
    value = np.random.default_rng(1).normal(size=(4, 4))
    key = (*cuts, None) if one_more else tuple(cuts)
    wanted = value[key]
    try:
        made = x[key]
    except gs.MathError as error:
        symbolic = any(
            isinstance(cut, slice) and isinstance(size, str) for cut, size in zip(cuts, shape, strict=False)
        )
        assert wanted.size == 0 or symbolic, error
        return
    shapes = {"x": shape}
    assert gs.parse(str(made), **shapes) is made
    if wanted.size == 0:
        with pytest.raises(gs.MathError):
            gs.evaluate(made, x=value)
        return
    holds(made, value, wanted)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_joins_are_numpys(axis):
    X, Y = gs.symbols(x="m n", y="k n" if axis == 0 else "m k")
    value = np.random.default_rng(2).normal(size=(2, 3))
    other = np.ones((4, 3) if axis == 0 else (2, 4))
    holds(gs.concatenate([X, Y, X], axis), value, np.concatenate([value, other, value], axis), y=other)
    holds(gs.stack([X, 2 * X], axis), value, np.stack([value, 2 * value], axis))


def test_an_entry_is_put_into_zeros_and_taken_out():
    x = gs.symbols(x="2")[0]
    whole = gs.embed(x, gs.zeros("n", 3)[-1, 1:])
    (n,) = gs.symbols(y="n")
    value = gs.evaluate(whole + 0 * gs.sum(n), x=[1.0, 2.0], y=np.ones(3))
    assert value.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 2]]
    for wrong in (gs.ones("n")[0], x[0], gs.zeros("n")[0:1]):
        with pytest.raises(gs.MathError):
            gs.embed(x, wrong)


@pytest.mark.parametrize("shape", [(6,), ("m*n",), ("n", "m"), (2, 3), ("n", "m", 1)])
def test_new_shapes_keep_the_entries_in_order(shape):
    literal = all(isinstance(size, int) for size in shape)
    (x,) = gs.symbols(x="2 3" if literal else "m n")
    value = np.arange(6.0).reshape(2, 3)
    lengths = Lengths({"m": 2, "n": 3})
    holds(gs.reshape(x, shape), value, value.reshape([lengths[size] for size in shape]))
    with pytest.raises(gs.MathError, match="as many entries"):
        gs.reshape(x, (*shape, 7))


# ------------------------------------------------------------------------------------------- one for all


@pytest.mark.parametrize(
    "text",
    ["cumsum({}, axis=0)", "flip({}, axis=0)", "{}[1:3]", "{}[0]", "{}[1:]", "concatenate([{}[1:], {}[:1]])"],
)
def test_what_is_linear_along_an_axis_is_a_matrix(text):
    """op(x) = op(I) x: the same operation on the identity is its matrix."""
    vector = gs.parse(text.replace("{}", "x").replace(", axis=0", ""), x="n")
    matrix = gs.parse(text.replace("{}", "eye(n)") + " @ x", x="n")
    x = np.array([3.0, 1.0, 4.0, 1.0])
    np.testing.assert_allclose(gs.evaluate(matrix, x=x), gs.evaluate(vector, x=x))


@pytest.mark.parametrize(
    "text",
    ["x[1:3]", "x[0]*x", "concatenate([x, 2*x])", "flip(x)", "cumsum(x)**2", "embed(x, zeros(n, 2)[:, 1])",
     "X[0]", "X[1:, 0]", "reshape(X, (n, m))", "ravel(X)**2", "max(X, axis=1)", "unit(X, axis=1)",
     "prod(X, axis=0)"],
)  # fmt: skip
def test_jacobians_put_every_entry_where_it_belongs(text):
    f = gs.parse(text, x="n", X="m n")
    name, value = (
        ("X", np.arange(6.0).reshape(2, 3) - 2.2) if "X" in text else ("x", np.array([1.0, -2, 0.5]))
    )
    d = gs.jacobian(f, name)
    assert d.certificate.verdict is True
    here = gs.evaluate(f, **{name: value})
    measured = np.zeros((*here.shape, *value.shape))
    for at in np.ndindex(value.shape):
        move = np.zeros_like(value)
        move[at] = 1e-6
        up, down = (gs.evaluate(f, **{name: value + s * move}) for s in (1, -1))
        measured[(..., *at)] = (up - down) / 2e-6
    np.testing.assert_allclose(gs.evaluate(d.answers[name], **{name: value}), measured, rtol=1e-7, atol=1e-8)


# ------------------------------------------------------------------------------------------- lookups


@pytest.mark.parametrize("text", ["take(W, k)", "W[k]"])
def test_rows_are_looked_up_by_data(text):
    e = gs.parse(f"sum({text}*R)", W="K d", k="N", R="N d")
    d = gs.derive(e, "W")
    assert d.certificate.verdict is True and "lookup rule" in [step.rule for step in d.steps]
    W, R, k = np.arange(12.0).reshape(4, 3), np.arange(9.0).reshape(3, 3), np.array([2, 0, 2])
    wanted = np.zeros_like(W)
    np.add.at(wanted, k, R)
    value, gradients = gs.compile(d)(W=W, R=R, k=k)
    assert value == np.sum(W[k] * R) == gs.evaluate(e, W=W, R=R, k=k)
    np.testing.assert_array_equal(gradients["W"], wanted)
    for wrong in ([2, 0, 4], [2, 0, -1], [2, 0.5, 1]):
        for call in (gs.compile(d), lambda **values: gs.evaluate(e, **values)):
            with pytest.raises(gs.MathError, match="there is none"):
                call(W=W, R=R, k=np.array(wrong))
    with pytest.raises(gs.MathError, match="no derivative with respect to k"):
        gs.derive(e, "k")


def test_a_slice_may_be_empty_at_some_sizes():
    loss = gs.parse("sum(X[-4:1]*X[-4:1])", X="m n")
    assert all(gs.derive(loss, "X", seed=seed).certificate.verdict for seed in range(4))


@pytest.mark.parametrize("places", ["", "m", "m n"])
@pytest.mark.parametrize("shape, axis", [("k", 0), ("k d", 0), ("k d", 1), ("k d", -1)])
def test_places_may_be_a_matrix_and_look_up_along_any_axis(shape, axis, places):
    rng, lengths = np.random.default_rng(2), {"k": 4, "d": 3, "m": 5, "n": 2}
    x = rng.standard_normal([lengths[size] for size in shape.split()])
    at = rng.integers(0, x.shape[axis], [lengths[size] for size in places.split()])
    expected = np.take(x, at, axis)
    f = gs.parse(f"take(x, at, axis={axis})", x=shape, at=places)
    np.testing.assert_array_equal(gs.evaluate(f, x=x, at=at), expected)
    d = gs.derive(gs.parse(f"sum(take(x, at, axis={axis})**2)/2", x=shape, at=places), "x", seed=1)
    wanted = np.zeros_like(x)
    np.add.at(np.moveaxis(wanted, axis, 0), at, np.take(np.moveaxis(x, axis, 0), at, 0))
    np.testing.assert_allclose(gs.compile(d)(x=x, at=at)[1]["x"], wanted, rtol=1e-14)
    assert d.certificate.verdict and gs.parse(str(f), x=shape, at=places) is f


def test_one_class_or_one_row_is_looked_up():
    W = np.arange(12.0).reshape(4, 3)
    row = gs.compile(gs.derive(gs.parse("sum(W[c]**2)", W="K d", c=""), "W"))(W=W, c=1)
    assert row[0] == np.sum(W[1] ** 2) and row[1]["W"].tolist() == [[0] * 3, [6, 8, 10], [0] * 3, [0] * 3]
    entry = gs.compile(gs.derive(gs.parse("v[c]**2", v="K", c=""), "v"))(v=W[0], c=2)
    assert entry[0] == 4 and entry[1]["v"].tolist() == [0, 0, 4]


def test_only_variables_look_up():
    X, v = gs.symbols(X="m n", v="k")
    for call in (
        lambda: gs.take(X, 2 * v),
        lambda: X[v + 1],
        lambda: gs.one_hot(X[0], 3),
        lambda: gs.take(X, 1),
    ):
        with pytest.raises(gs.MathError, match="by data"):
            call()


# ------------------------------------------------------------------------------------------- kinks and limits


@pytest.mark.parametrize("text", ["norm(x)", "std(x)", "sum(norm(X, axis=1))", "max(x)", "min(x)", "prod(x)"])
def test_at_a_kink_the_gradient_is_the_one_of_smallest_norm(text):
    """At zero: 0 for what is shortest there, equal shares for what ties; the code and the formula agree."""
    name, shape = ("X", (2, 3)) if "X" in text else ("x", (4,))
    d = gs.derive(gs.parse(text, x="n", X="m n"), name)
    zeros = np.zeros(shape)
    _, gradients = gs.compile(d)(**{name: zeros})
    wanted = np.full(shape, 1 / 4) if text[:3] in ("max", "min") else zeros
    np.testing.assert_array_equal(gradients[name], wanted)
    np.testing.assert_array_equal(gs.evaluate(d.answers[name], **{name: zeros}), wanted)
    assert text == "prod(x)" or any(step.kink for step in d.steps)


def test_what_is_not_there_is_said_when_there_are_numbers():
    d = gs.derive(gs.parse("x[4]**2 + sum(x[1:3])", x="n"), "x")
    f = gs.compile(d)
    assert f(x=np.ones(5))[0] == 3
    for call in (f, lambda **values: gs.evaluate(d.of, **values)):
        with pytest.raises(gs.MathError):
            call(x=np.ones(4))


def test_an_expression_is_no_sequence():
    (x,) = gs.symbols(x="n")
    for call in (
        lambda: list(x),
        lambda: len(x),
        lambda: 1 in x,
        lambda: [*x],
        lambda: sum(x),
        lambda: max(x),
    ):
        with pytest.raises(gs.MathError):
            call()
    for key in (1.5, "a b", [0], {}, x > 0, (0, 0), slice(None, None, 0), True, slice(0.5, 2)):
        with pytest.raises(gs.MathError):
            x[key]


# ------------------------------------------------------------------------------------------- printed


@pytest.mark.parametrize(
    "text",
    [
        "sum((x[1:] - x[:-1])**2)", "x[0]*x[-1]**2", "sum(X[:, 0]*X[:, 1])", "sum(cumsum(x)**3)",
        "prod(x)*x[0]", "h = concatenate([x, b]); sum(h**3)", "sum(max(X, axis=0)**2)", "norm(x)*b",
        "sum(norm(X, axis=1)**3)", "sum(unit(X, axis=1)[:, 1])", "sum(flip(X, axis=0)*X)",
        "ravel(X) @ ravel(X)", "sum(stack([x, x])[0]**2)", "sum(logsumexp(X, axis=0)**2)",
        "var(x) + std(x)", "sum(x[::-1]*x**2)", "sum(prod(X, axis=1)**2)",
        "sum(cumsum(X, axis=1)[:, 1]**2)", "sum(embed(x, zeros(n, 2)[:, 1])**2)", "sum(X[k]**2)",
        "max(x)**2", "sum(one_hot(k, n)*X[0])",
    ],
)  # fmt: skip
@pytest.mark.parametrize("view", ["matrix", "sample", "index"])
def test_every_view_shows_what_was_proved(text, view):
    d = gs.derive(gs.parse(text, x="n", X="m n", b="", k="r"), "X" if "X" in text else "x", seed=3)
    assert d.certificate.verdict is True
    for style in ("partials", "differential"):
        told = d.text(view=view, style=style)
        assert "wrong" not in told and "None" not in told
        latex = d.latex(view=view, style=style)
        assert latex.count("{") == latex.count("}") and "←" not in latex and "≠" not in latex
