"""Are the entrywise functions worth what they should be, and as steep? Against Python's own and PyTorch."""

import math

import numpy as np
import pytest

from gradstep import MathError
from gradstep.backends import compile_outputs
from gradstep.calculus.derivation import derive
from gradstep.notation.parsing import parse
from gradstep.operations import FUNCTIONS, STEPS
from gradstep.operations.evaluation import evaluate
from gradstep.operations.leaves import symbol

INSIDE, ABOVE, ANY = (-0.9, 0.9), (1.1, 3.0), (-3.0, 3.0)
# A formula in x, the same of one number by Python's own functions, the range to try, and in PyTorch.
CURVES = {
    "sin(x)": (math.sin, ANY, "sin"),
    "cos(x)": (math.cos, ANY, "cos"),
    "tan(x)": (math.tan, INSIDE, "tan"),
    "arcsin(x)": (math.asin, INSIDE, "asin"),
    "arccos(x)": (math.acos, INSIDE, "acos"),
    "arctan(x)": (math.atan, ANY, "atan"),
    "sinh(x)": (math.sinh, ANY, "sinh"),
    "cosh(x)": (math.cosh, ANY, "cosh"),
    "arcsinh(x)": (math.asinh, ANY, "asinh"),
    "arccosh(x)": (math.acosh, ABOVE, "acosh"),
    "arctanh(x)": (math.atanh, INSIDE, "atanh"),
    "log1p(x)": (math.log1p, INSIDE, "log1p"),
    "expm1(x)": (math.expm1, ANY, "expm1"),
    "erf(x)": (math.erf, ANY, "erf"),
    "silu(x)": (lambda x: x / (1 + math.exp(-x)), ANY, "silu"),
    "mish(x)": (lambda x: x * math.tanh(math.log1p(math.exp(x))), ANY, "mish"),
    "gelu(x)": (lambda x: x * math.erfc(-x / math.sqrt(2)) / 2, ANY, "gelu"),
    'gelu(x, approximate="tanh")': (
        lambda x: x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
        ANY,
        lambda torch, x: torch.nn.functional.gelu(x, approximate="tanh"),
    ),
    "elu(x, 0.7)": (
        lambda x: x if x > 0 else 0.7 * math.expm1(x),
        ANY,
        lambda torch, x: torch.nn.functional.elu(x, 0.7),
    ),
    "selu(x)": (
        lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
        ANY,
        "selu",
    ),
    "softsign(x)": (lambda x: x / (1 + abs(x)), ANY, "softsign"),
    "clip(x, -1, 2)": (lambda x: min(max(x, -1), 2), ANY, lambda torch, x: torch.clamp(x, -1, 2)),
    "hardtanh(x)": (lambda x: min(max(x, -1), 1), ANY, "hardtanh"),
    "relu6(4*x)": (
        lambda x: min(max(4 * x, 0), 6),
        ANY,
        lambda torch, x: torch.nn.functional.relu6(4 * x),
    ),
    "where(x > 0.5, x**2, 3*x)": (
        lambda x: x**2 if x > 0.5 else 3 * x,
        ANY,
        lambda torch, x: torch.where(x > 0.5, x**2, 3 * x),
    ),
    "(x**2 + 1)**x": (lambda x: (x**2 + 1) ** x, ANY, lambda torch, x: (x**2 + 1) ** x),
    "sin(x**3)**2": (lambda x: math.sin(x**3) ** 2, ANY, lambda torch, x: torch.sin(x**3) ** 2),
}
BY_CURVE = pytest.mark.parametrize("text", CURVES)


def points(text, count=12):
    return np.random.default_rng(3).uniform(*CURVES[text][1], count)


def gradient(text, x, **shapes):
    loss = parse(f"sum(c*({text}))", x="n", c="n", **shapes)
    return derive(loss, ["x"], seed=1)


@BY_CURVE
def test_a_curve_is_worth_what_python_says(text):
    function, x = CURVES[text][0], points(text)
    expr = parse(text, x="n")
    np.testing.assert_allclose(evaluate(expr, x=x), [function(float(t)) for t in x], rtol=2e-15, atol=1e-16)
    run = compile_outputs({"": expr}, {})
    np.testing.assert_allclose(run(x=x), evaluate(expr, x=x), rtol=4e-15, atol=1e-16)


@BY_CURVE
def test_a_curve_is_derived_and_certified_exactly(text):
    derivation = gradient(text, points(text))
    assert derivation.certificate.verdict is True
    assert derivation.certificate.exact == derivation.certificate.lines


@BY_CURVE
def test_a_slope_is_what_pytorch_says(torch, text):
    x = points(text)
    weights = np.linspace(0.5, 2, len(x))
    ours = evaluate(gradient(text, x).answers["x"], x=x, c=weights)
    there, other = torch.tensor(x, requires_grad=True), CURVES[text][2]
    if isinstance(other, str):
        other = getattr(torch, other, None) or getattr(torch.nn.functional, other)
        value = other(there)
    else:
        value = other(torch, there)
    (value * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(ours, there.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("text", ["silu(x)", "mish(x)", "gelu(x)", "elu(x)", "selu(x)", "softsign(x)"])
def test_nothing_overflows_far_out(text):
    x = np.array([-800.0, -40.0, 40.0, 800.0])
    loss = parse(f"sum({text})", x="n")
    run = compile_outputs({"": loss, "x": derive(loss, ["x"], certify=False).answers["x"]}, {})
    with np.errstate(all="raise", under="ignore"):
        value, slopes = run(x=x)
    assert np.isfinite(value) and np.isfinite(slopes["x"]).all()


def test_small_arguments_keep_their_digits():
    for name in ("log1p", "expm1"):
        assert evaluate(FUNCTIONS[name](symbol("x")), x=1e-18) == 1e-18


@pytest.mark.parametrize("text", ["erf(x)", "gelu(x)", "silu(x)", "selu(x)"])
def test_code_keeps_float32(text):
    run = compile_outputs({"": parse(text, x="n")}, {})
    assert run(x=np.ones(3, np.float32)).dtype == np.float32


@pytest.mark.parametrize(
    "text, at, slope",
    [("clip(x, 0, 1)", 1.0, 0), ("clip(x, 0, 1)", 0.0, 0), ("hardtanh(x)", -1.0, 0), ("relu6(x)", 6.0, 0),
     ("elu(x)", 0.0, 1), ("elu(x, 2)", 0.0, 1), ("selu(x)", 0.0, 1.0507009873554805),
     ("where(x > 0, 2*x, x)", 0.0, 1), ("where(x >= 0, 2*x, x)", 0.0, 2)],
)  # fmt: skip
def test_at_a_kink_the_slope_is_the_smallest_and_a_choice_takes_its_side(text, at, slope):
    answer = derive(parse(text, x=""), ["x"], seed=1).answers["x"]
    assert evaluate(answer, x=at) == pytest.approx(slope, abs=1e-15)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize("wrt, slope", [(["x"], 0), (["y"], 0), (["x", "y"], 0.5)])
def test_where_two_sides_are_equal_each_that_moves_gets_its_share(name, wrt, slope):
    d = derive(parse(f"sum({name}(x, y))", x="n", y="n"), wrt, seed=1)
    for answer in d.answers.values():
        np.testing.assert_array_equal(evaluate(answer, x=np.ones(2), y=np.ones(2)), [slope, slope])


@pytest.mark.parametrize(
    "text, slope",
    [
        ("relu(x) - 0.1*relu(-x)", 0.1),
        ("maximum(x, 0.1*x)", 0.1),
        ("relu(x) + relu(-x)", 0),
        ("maximum(-x, x)", 0),
    ],
)
def test_what_has_a_piece_for_either_sign_has_a_slope_at_0(text, slope):
    assert evaluate(derive(parse(text, x=""), ["x"], seed=1).answers["x"], x=0.0) == slope


def test_the_logarithm_of_a_squared_sine_is_a_cotangent():
    answer = derive(parse("log(sin(x**3)**2)", x=""), ["x"], seed=1).answers["x"]
    x = 0.7
    assert evaluate(answer, x=x) == pytest.approx(6 * x**2 * math.cos(x**3) / math.sin(x**3), rel=1e-14)


def test_the_mask_of_a_choice_may_be_data():
    loss = parse("sum(where(m, a*w, w**2))", m="n", w="n", a="")
    d = derive(loss, ["w", "a"], seed=1)
    m, w = np.array([1.0, 0.0, 1.0]), np.array([2.0, 3.0, 4.0])
    np.testing.assert_allclose(evaluate(d.answers["w"], m=m, w=w, a=5.0), [5, 6, 5])
    assert evaluate(d.answers["a"], m=m, w=w, a=5.0) == 6


@pytest.mark.parametrize("op", STEPS, ids=lambda op: op.name)
def test_a_step_has_a_value_and_no_derivative(op):
    text = f"sum({op.name}(X @ w)*(X @ w))"
    loss = parse(text, X="N d", w="d")
    X, w = np.random.default_rng(1).normal(size=(5, 3)), np.array([1.0, -2.0, 0.5])
    assert evaluate(loss, X=X, w=w) == pytest.approx(np.sum(getattr(np, op.name)(X @ w) * (X @ w)))
    with pytest.raises(MathError) as caught:
        derive(loss, ["w"])
    error = caught.value
    assert f"{op.name} has no derivative" in error.what and "0 between its jumps" in error.what
    assert error.source[slice(*error.span)] == f"{op.name}(X @ w)" and error.mend


def test_the_functions_of_python_make_expressions():
    x = parse("x", x="n")
    made = [round(x), math.floor(x), math.ceil(x), math.trunc(x), abs(x)]
    assert [str(each) for each in made] == ["round(x)", "floor(x)", "ceil(x)", "trunc(x)", "abs(x)"]
    for wrong in (lambda: round(x, 2), lambda: float(x), lambda: int(x), lambda: math.sqrt(x)):
        with pytest.raises(MathError) as caught:
            wrong()
        assert caught.value.mend


@pytest.mark.parametrize("op", STEPS, ids=lambda op: op.name)
def test_a_step_may_work_on_what_stands_still(op):
    loss = parse(f"sum((w - {op.name}(2*v))**2)", w="n", v="n")
    d = derive(loss, ["w"], seed=1)
    assert d.certificate.verdict is True
    v, w = np.array([0.3, -1.2, 2.5]), np.array([1.0, 2.0, 3.0])
    step = getattr(np, op.name)(2 * v)
    np.testing.assert_allclose(evaluate(d.answers["w"], w=w, v=v), 2 * (w - step))
    f = compile_outputs({"": loss, "w": d.answers["w"]}, {})
    np.testing.assert_allclose(f(w=w, v=v)[1]["w"], 2 * (w - step))
    assert parse(str(op(symbol("v", "n"))), v="n") is op(symbol("v", "n"))
