"""Are the last digits right, over the whole range of float64? Against the same in long numbers.

Errors are counted in ulps, the distance between neighbouring floats. Each function is spelled in several
ways, and worked out by `evaluate` and by code, as a value and as a gradient.
"""

import math

import numpy as np
import pytest

import gradstep as gs
from gradstep.backends import compile_outputs
from gradstep.operations.coded import CODED

mpmath = pytest.importorskip("mpmath")
LONG = mpmath.MPContext()
LONG.dps = 60
LONGER = mpmath.MPContext()
LONGER.dps = 400  # 1 + exp(−745) has 324 digits before the 50 that are looked at

MOST = 2.0  # ulps
EDGES = [0, 5e-324, 1e-310, 1e-300, 1e-16, 1e-8, 0.5, 1, 8.7, 22.1, 36.7, 40.1, 372.9, 700.123, 709.1, 710.3]
EDGES += [745.1, 746, 1e5, 1e154, 1e300, 1e308]
DRAW = np.random.default_rng(0)
POINTS = np.array([s * x for x in EDGES for s in (1, -1)])
POINTS = np.concatenate(
    [POINTS, DRAW.uniform(-40, 40, 150), DRAW.uniform(-1, 1, 80), DRAW.uniform(-745, 745, 40)]
)
HUGE = 2000  # exp of more than that is beyond every float64


def exp(x):
    return LONG.exp(x) if x < HUGE else LONG.inf


def sigmoid(x):
    return 1 / (1 + exp(-x)) if x > -HUGE else LONG.mpf(0)


def softplus(x):
    return LONG.log1p(exp(x)) if x < HUGE else x


def slope_of_tanh(x):
    return 4 * sigmoid(2 * x) * sigmoid(-2 * x)


def root(x):
    return LONG.sqrt(1 + x * x)


# A function, its slope, and how it is spelled.
CURVES = {
    "softplus": (
        softplus,
        sigmoid,
        "softplus(x)", "log(1 + exp(x))", "log(exp(x) + 1)", "log1p(exp(x))", "x + log(1 + exp(-x))",
        "-log(sigmoid(-x))", "-log(1 - sigmoid(x))", "-log(1/(1 + exp(x)))",
        "maximum(x, 0) + log(1 + exp(-abs(x)))", "maximum(x, 0) + log1p(exp(-abs(x)))",
    ),
    "log sigmoid": (
        lambda x: -softplus(-x),
        lambda x: sigmoid(-x),
        "log(sigmoid(x))", "-softplus(-x)", "-log(1 + exp(-x))", "log(1/(1 + exp(-x)))",
        "log(1 - sigmoid(-x))",
        "x - softplus(x)", "x - log(1 + exp(x))", "minimum(x, 0) - log(1 + exp(-abs(x)))",
    ),
    "sigmoid": (sigmoid, None, "sigmoid(x)", "1/(1 + exp(-x))", "exp(x)/(1 + exp(x))", "1 - sigmoid(-x)"),
    "slope of sigmoid": (lambda x: sigmoid(x) * sigmoid(-x), None, "sigmoid(x)*(1 - sigmoid(x))"),
    "tanh": (
        lambda x: 2 * sigmoid(2 * x) - 1 if abs(x) > 1 else LONG.tanh(x),
        None,
        "tanh(x)", "(exp(x) - exp(-x))/(exp(x) + exp(-x))", "(exp(2*x) - 1)/(exp(2*x) + 1)",
    ),
    "slope of tanh": (slope_of_tanh, None, "1 - tanh(x)**2"),
    "exp less 1": (lambda x: LONG.expm1(x) if x < HUGE else LONG.inf, exp, "expm1(x)", "exp(x) - 1"),
    "root": (root, lambda x: x / root(x), "sqrt(1 + x**2)", "(x**2 + 1)**0.5"),
    "pseudo-Huber": (lambda x: x * x / (root(x) + 1), lambda x: x / root(x), "sqrt(1 + x**2) - 1"),
    "erf": (lambda x: LONG.erf(x) if abs(x) < 30 else LONG.sign(x), None, "erf(x)"),
}  # fmt: skip
SPELLED = [(name, text) for name, (_, _, *texts) in CURVES.items() for text in texts]


def ulps(found, wanted, least=0.0):
    """The largest error, in ulps of what is wanted, or of `least` where that is more."""
    worst = 0.0
    for number, exact in zip(np.ravel(found), np.ravel(wanted), strict=True):
        nearest = float(exact)
        if math.isinf(nearest) or not math.isfinite(number):
            worst = max(worst, 0.0 if number == nearest else math.inf)
        else:
            unit = math.ulp(max(abs(nearest), float(least)))
            worst = max(worst, float(abs(LONG.mpf(float(number)) - exact) / LONG.mpf(unit)))
    return worst


def ways(text, **shapes):
    """The value by evaluate and by code; and the gradient of the sum of all entries, likewise."""
    expr = gs.parse(text, **shapes)
    yield lambda **at: gs.evaluate(expr, **at)
    yield compile_outputs({"": expr})


def slopes(text, wrt, **shapes):
    d = gs.derive(gs.parse(f"sum({text})", **shapes), wrt, certify=False)
    yield lambda **at: gs.evaluate(d.answers[wrt], **at)
    yield lambda **at: gs.compile(d)(**at)[1][wrt]


@pytest.fixture(scope="module")
def wanted():
    """Values and slopes at all points, once."""
    at = [LONG.mpf(x) for x in POINTS.tolist()]
    return {
        name: ([f(x) for x in at], None if slope is None else [slope(x) for x in at])
        for name, (f, slope, *_) in CURVES.items()
    }


@pytest.mark.parametrize(("name", "text"), SPELLED, ids=[text for _, text in SPELLED])
def test_a_curve_is_exact_to_two_ulps_however_it_is_spelled(wanted, name, text):
    values, steepness = wanted[name]
    for value in ways(text, x="n"):
        assert ulps(value(x=POINTS), values) <= MOST
    for slope in slopes(text, "x", x="n") if steepness else ():
        assert ulps(slope(x=POINTS), steepness) <= MOST


# ------------------------------------------------------------------------------------------- far out

MORE = 4.0  # ulps
FAR = np.concatenate([POINTS, DRAW.uniform(-39, 10, 200), [-np.inf, np.inf, -37.66, -38.4, -21.5, -745.3]])
CUBIC = LONG.mpf(44715) / 10**6


def area(x):
    """Under the normal density, up to x."""
    return LONG.ncdf(x) if abs(x) < HUGE else LONG.mpf(x > 0)


def density(x):
    return exp(-x * x / 2) / LONG.sqrt(2 * LONG.pi) if abs(x) < HUGE else LONG.mpf(0)


def share(x):
    """tanh(log(1 + exp(x)))"""
    q = exp(min(x, LONG.mpf(200)))
    return q * (q + 2) / (q * (q + 2) + 2)


def slope_of_share(x):
    q = exp(min(x, LONG.mpf(200)))
    return 4 * q * (q + 1) / (q * (q + 2) + 2) ** 2 if x < 200 else LONG.mpf(0)


def bent(x):
    return 2 * LONG.sqrt(2 / LONG.pi) * (x + CUBIC * x**3)


def slope_of_bent(x):
    steep = sigmoid(bent(x)) * sigmoid(-bent(x))
    return steep and steep * 2 * LONG.sqrt(2 / LONG.pi) * (1 + 3 * CUBIC * x**2)


# A gate, its slope, and how x times the gate is spelled.
GATES = {
    "SiLU": (
        sigmoid,
        lambda x: sigmoid(x) * sigmoid(-x),
        "silu(x)", "x*sigmoid(x)", "x/(1 + exp(-x))", "x*exp(x)/(1 + exp(x))",
    ),
    "Mish": (share, slope_of_share, "mish(x)", "x*tanh(softplus(x))", "x*tanh(log(1 + exp(x)))"),
    "GELU": (area, density, "gelu(x)", "0.5*x*(1 + erf(x/sqrt(2)))", "x*(1 + erf(x/2**0.5))/2"),
    "GELU with tanh": (
        lambda x: sigmoid(bent(x)),
        slope_of_bent,
        'gelu(x, approximate="tanh")', "0.5*x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GATES)
def test_x_times_a_gate_and_its_slope(name):
    """The slope is a sum of two that cancel at one place: its ulps are those of the larger."""
    gate, steepness, *texts = GATES[name]
    places = [LONG.mpf(x) for x in FAR.tolist()]
    opened = [gate(x) for x in places]
    values = [share and x * share for x, share in zip(places, opened, strict=True)]
    steeper = [steepness(x) for x in places]
    added = [steep and x * steep for x, steep in zip(places, steeper, strict=True)]
    for text in texts:
        d = gs.derive(gs.parse(f"sum({text})", x="n"), "x", certify=False)
        for value in ways(str(d.of.args[0]), x="n"):
            assert ulps(value(x=FAR), values) <= MORE
        for slope in slopes(text, "x", x="n"):
            for found, first, second in zip(slope(x=FAR), opened, added, strict=True):
                assert ulps(found, first + second, max(first, abs(second))) <= MORE


TAILS = {
    "erfc": (lambda x: LONG.erfc(x) if abs(x) < 30 else 1 - LONG.sign(x), "1 - erf(x)", "1 + erf(-x)"),
    "normal": (area, "(1 + erf(x/sqrt(2)))/2", "0.5*(1 - erf(-x/sqrt(2)))"),
    "bell": (lambda x: exp(-x * x) if abs(x) < 30 else LONG.mpf(0), "exp(-x**2)", "exp(-2*(x/sqrt(2))**2)"),
    "logcosh": (
        lambda x: LONGER.log(LONGER.cosh(x)) if abs(x) < 800 else abs(x) - LONG.ln2,
        "log(cosh(x))", "logcosh(x)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAILS)
def test_what_is_small_far_out(name):
    exact, *texts = TAILS[name]
    wanted = [exact(LONG.mpf(x)) for x in FAR.tolist()]
    for text in texts:
        for value in ways(text, x="n"):
            assert ulps(value(x=FAR), wanted) <= 3, text


@pytest.mark.parametrize(
    "text", ["logsumexp(z) - z @ y", "-sum(z*y) + log(sum(exp(z)))", "logsumexp(z) - z[0]"]
)
def test_what_logsumexp_loses_beside_a_product(text):
    for value in ways(text, z="n", **({} if "[" in text else {"y": "n"})):
        for row in ROWS:
            if np.abs(row).max() < 1e308:
                one = {} if "[" in text else {"y": np.eye(len(row))[0]}
                assert ulps(value(z=row, **one), -log_softmax(long(row))[0]) <= MOST


@pytest.mark.parametrize(
    "text",
    ["sum(y*log(p))", "sum(log(p)*y)", "y @ log(p)", "sum(y*log(1 - (1 - p)))", "sum(y*log(p/3)) + 2*log(3)"],
)
def test_nothing_times_the_logarithm_of_nothing_is_nothing(text):
    for value in ways(text, y="n", p="n"):
        assert value(y=[0.0, 2.0], p=[0.0, 3.0]) == pytest.approx(2 * math.log(3), rel=1e-15)
        assert math.isnan(value(y=[0.0, 2.0], p=[math.nan, 3.0]))
        assert math.isnan(value(y=[0.0, 2.0], p=[-1.0, 3.0]))
        assert value(y=[1.0, 2.0], p=[0.0, 3.0]) == -math.inf


def test_the_error_function_works_by_blocks_in_the_precision_of_its_entries():
    many = DRAW.normal(size=(3, 7001)) * 3
    run = compile_outputs({"": gs.parse("erf(X)", X="m n")})
    for X in (many, many.T, many.astype(np.float32)):
        found = run(X=X)
        assert found.dtype == X.dtype
        exact = np.vectorize(math.erf)(X.astype(float))
        np.testing.assert_allclose(found, exact, rtol=2 * np.finfo(X.dtype).eps)


# ------------------------------------------------------------------------------------------- many entries


def additions(n):
    """Half an ulp for each addition that an entry goes through when numbers are added in pairs."""
    return math.log2(n) / 2 if n > 1 else 0.0


ROWS = [[0, 0, 0], [1000, 1000], [-1000, -1001.5], [1e308, -1e308], [710.3, 3.1, -4.7], [0.1, -30.2], [3.7]]
ROWS += [[-745.2, 0.3], [5e-324, -5e-324], [0, -50], [700.123, -700.321, 0.1], [0, 0, -40]]
ROWS += [list(DRAW.normal(size=n) * s) for n in (2, 3, 10) for s in (1e-10, 1, 30, 300) for _ in range(2)]
ROWS += [list(DRAW.normal(size=4) * s + o) for s in (1, 30) for o in (1e3, 1e6, -500.3)]
ROWS = [np.array(row, dtype=float) for row in ROWS]


def long(row):
    return [LONGER.mpf(x) for x in row.tolist()]


def logsumexp(row):
    """Of long numbers."""
    top = max(row)
    return top + LONGER.log(sum(LONGER.exp(x - top) for x in row))


def log_softmax(row):
    total = logsumexp(row)
    return [x - total for x in row]


def softmax(row):
    return [LONGER.exp(x) for x in log_softmax(row)]


@pytest.mark.parametrize("text", ["logsumexp(x)", "log(sum(exp(x)))", "a = max(x); a + log(sum(exp(x - a)))"])
def test_logsumexp_and_its_gradient(text):
    """The value is the largest entry and something more, which may cancel: ulps are of the largest."""
    for row in ROWS:
        for value in ways(text, x="n"):
            assert ulps(value(x=row), logsumexp(long(row)), abs(row.max())) <= MOST
        for slope in () if "max" in text else slopes(text, "x", x="n"):
            assert ulps(slope(x=row), softmax(long(row))) <= MOST + additions(len(row))


@pytest.mark.parametrize("text", ["softmax(x)", "exp(x)/sum(exp(x))"])
def test_softmax(text):
    for value in ways(text, x="n"):
        for row in ROWS:
            assert ulps(value(x=row), softmax(long(row))) <= MOST + additions(len(row))


@pytest.mark.parametrize(
    "text",
    [
        "log_softmax(x)",
        "log(softmax(x))",
        "log(exp(x)/sum(exp(x)))",
        "x - logsumexp(x)",
        "x - log(sum(exp(x)))",
    ],
)
def test_log_softmax(text):
    for value in ways(text, x="n"):
        for row in ROWS:
            assert ulps(value(x=row), log_softmax(long(row))) <= MOST


@pytest.mark.parametrize(
    "text",
    [
        "-sum(y*log(softmax(z)))",
        "-y @ log_softmax(z)",
        "-sum(y*log(exp(z)/sum(exp(z))))",
        "-log(softmax(z)) @ y",
    ],
)
def test_cross_entropy_and_its_gradient(text):
    """The gradient is p − y: beside a 1 in y its ulps are those of 1."""
    d = gs.derive(gs.parse(text, z="n", y="n"), "z", certify=False)
    run = gs.compile(d)
    for row in ROWS:
        if np.abs(row).max() >= 1e308:
            continue  # 0 · ∞
        chances, logs = softmax(long(row)), log_softmax(long(row))
        for place, one in enumerate(np.eye(len(row))):
            value, gradient = run(z=row, y=one)
            assert ulps(value, -logs[place]) <= MOST
            exact = [p - LONG.mpf(t) for p, t in zip(chances, one.tolist(), strict=True)]
            for found in (gradient["z"], gs.evaluate(d.answers["z"], z=row, y=one)):
                for k, entry in enumerate(found):
                    assert ulps(entry, exact[k], one[k]) <= MOST + additions(len(row))


BINARY = [
    "-(y*log(sigmoid(z)) + (1 - y)*log(1 - sigmoid(z)))",
    "p = 1/(1 + exp(-z)); -(y*log(p) + (1 - y)*log(1 - p))",
    "maximum(z, 0) - y*z + log(1 + exp(-abs(z)))",
]


@pytest.mark.parametrize("text", BINARY)
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_binary_cross_entropy_and_its_gradient(text, y):
    """The gradient is σ(z) − y, and its ulps are those of y."""
    loss = gs.parse(text, z="", y="")
    slope = gs.derive(loss, "z", certify=False).answers["z"]
    run = compile_outputs({"": loss, "z": slope})
    for z in POINTS[:80].tolist():
        exact = softplus(LONG.mpf(z if y == 0 else -z))
        gradient = sigmoid(LONG.mpf(z)) if y == 0 else -sigmoid(LONG.mpf(-z))
        value, found = run(z=z, y=y)
        assert max(ulps(value, exact), ulps(gs.evaluate(loss, z=z, y=y), exact)) <= MOST
        assert max(ulps(found["z"], gradient, y), ulps(gs.evaluate(slope, z=z, y=y), gradient, y)) <= MOST


SCALES = [1.0, 1e-310, 1e-200, 1e-154, 1e153, 1e300]
VECTORS = [[3e200, 4e200], [5e-324, 5e-324], [1e308, 1e308], [1.7e308], [1e-310, 2e-310, 3e-320], [0, 0]]
VECTORS += [[1e300, 1e-300], [1e154, 1e155], [1e-154, 1e-155, 1e-170], [0, 1e-200]]
VECTORS += [list(DRAW.normal(size=n) * s) for n in (1, 2, 5, 20) for s in SCALES]
VECTORS = [np.array(vector, dtype=float) for vector in VECTORS]


@pytest.mark.parametrize("text", ["norm(x)", "sqrt(sum(x**2))", "sqrt(x @ x)", "sum(x**2)**0.5"])
def test_a_length_and_a_direction(text):
    for vector in VECTORS:
        length = LONGER.sqrt(sum(x * x for x in long(vector)))
        direction = [x / length if length else LONG.mpf(0) for x in long(vector)]
        for value in ways(text, x="n"):
            assert ulps(value(x=vector), length) <= MOST
        for slope in slopes(text, "x", x="n"):
            assert ulps(slope(x=vector), direction) <= MOST + additions(len(vector))


SPREADS = [[5, 5, 5], [0.1] * 7, [1e8, 1e8 + 1, 1e8 + 2]]
SPREADS += [
    list(DRAW.normal(size=n) * s + m)
    for n in (2, 3, 30)
    for s, m in ((1, 0), (1, 1e8), (1e-3, 1e6), (1e150, 0))
]
SPREADS = [np.array(spread, dtype=float) for spread in SPREADS]


@pytest.mark.parametrize(
    "text",
    ["var(x)", "mean(x**2) - mean(x)**2", "mean((x - mean(x))**2)", "std(x)", "sqrt(mean((x - mean(x))**2))"],
)
def test_variances_lose_nothing_to_a_large_mean(text):
    rooted = "std" in text or "sqrt" in text
    for x in SPREADS:
        middle = sum(long(x)) / len(x)
        exact = sum((entry - middle) ** 2 for entry in long(x)) / len(x)
        for value in ways(text, x="n"):
            assert ulps(value(x=x), LONGER.sqrt(exact) if rooted else exact) <= MOST + additions(len(x))


def test_the_formulas_that_only_code_uses_are_what_they_are_defined_by():
    for op in CODED:
        for params, shapes in op.example:
            args = [gs.symbols(**{name: shape})[0] for name, shape in zip("ab", shapes, strict=False)]
            at = {name: DRAW.normal(size=[3] * len(shape)) for name, shape in zip("ab", shapes, strict=False)}
            found = compile_outputs({"": op(*args, params=params)})(**at)
            np.testing.assert_allclose(found, gs.evaluate(op.definition(params, *args), **at), rtol=1e-14)
