"""Is a mask a strong zero? Nothing undefined where a condition fails reaches the gradient."""

import math

import numpy as np
import pytest

from gradstep import MathError
from gradstep.backends import compile_outputs
from gradstep.calculus.derivation import derive
from gradstep.notation.parsing import parse
from gradstep.operations.evaluation import evaluate

# A formula in x, its slope at one number by hand, and the same in PyTorch with an operand that is safe.
CHOICES = {
    "where(x > 0, log(x), 0)": (lambda x: 1 / x if x > 0 else 0, "where(x > 0, safe, 1).log()"),
    "(x > 0)*log(x)": (lambda x: 1 / x if x > 0 else 0, "where(x > 0, safe, 1).log()"),
    "where(x > 0, sqrt(x), 0)": (lambda x: 0.5 / math.sqrt(x) if x > 0 else 0, "sqrt(where(x > 0, safe, 1))"),
    "where(x > 0, x**0.5, 3*x)": (lambda x: 0.5 * x**-0.5 if x > 0 else 3, None),
    "relu(x)**0.5": (lambda x: 0.5 * x**-0.5 if x > 0 else 0, "where(x > 0, safe, 1)**0.5"),
    "where(x > 0, x*log(x), 0)": (
        lambda x: math.log(x) + 1 if x > 0 else 0,
        "where(x > 0, safe, 1)*log(where(x > 0, safe, 1))",
    ),
    "where(x > 0, x**-1.5, 0)": (lambda x: -1.5 * x**-2.5 if x > 0 else 0, "where(x > 0, safe, 1)**-1.5"),
    "where(x != 0, sin(x)/x, 1)": (
        lambda x: (math.cos(x) - math.sin(x) / x) / x if x else 0,
        "sin(where(x != 0, safe, 1))/where(x != 0, safe, 1)",
    ),
    "where(x == 0, 1, (exp(x) - 1)/x)": (
        lambda x: (math.exp(x) - (math.exp(x) - 1) / x) / x if x else 0,
        "(exp(where(x != 0, safe, 1)) - 1)/where(x != 0, safe, 1)",
    ),
    "where(x > 0, exp(1/x), 0)": (
        lambda x: -math.exp(1 / x) / x**2 if x > 0 else 0,
        "exp(1/where(x > 0, safe, 1))",
    ),
    "where(x < 1, 0, log(log(x + 1)))": (
        lambda x: 0 if x < 1 else 1 / ((x + 1) * math.log(x + 1)),
        "log(log(where(x < 1, 1, safe) + 1))",
    ),
    "where((x > 0)*(x < 1), log(x*(1 - x)), 0)": (
        lambda x: 1 / x - 1 / (1 - x) if 0 < x < 1 else 0,
        "log(where((x > 0)*(x < 1), safe, 0.5)*(1 - where((x > 0)*(x < 1), safe, 0.5)))",
    ),
    "where(x > 0, where(x > 1, log(x - 1), 0), log(-x))": (
        lambda x: 0 if 0 < x <= 1 else 1 / (x - 1) if x > 1 else 1 / x if x else -math.inf,
        None,
    ),
    "where(abs(x) < 1, arcsin(x), 0)": (
        lambda x: 1 / math.sqrt(1 - x * x) if abs(x) < 1 else 0,
        "arcsin(where(abs(x) < 1, safe, 0))",
    ),
    "where(x > 0, x, exp(x) - 1)": (lambda x: 1 if x > 0 else math.exp(x), None),
    "where(x < 0, 1/cosh(x), log(1 + x)/x)*(x > 0)": (
        lambda x: (x / (1 + x) - math.log(1 + x)) / x**2 if x > 0 else 0,
        "log(1 + where(x > 0, safe, 1))/where(x > 0, safe, 1)",
    ),
}
POINTS = np.array([-800.0, -1.7, -1.0, -0.4, 0.0, 0.25, 0.8, 1.0, 1.5, 600.0, 800.0])
BY_CHOICE = pytest.mark.parametrize("text", CHOICES)


def told(text):
    """The points at which the slope is a number, and the slopes there."""
    slopes = []
    for x in map(float, POINTS):
        try:
            slopes.append(CHOICES[text][0](x))
        except OverflowError:
            slopes.append(math.inf)
    finite = np.isfinite(slopes)
    return POINTS[finite], np.array(slopes)[finite]


@BY_CHOICE
def test_a_slope_is_a_number_on_both_sides_and_the_right_one(text):
    x, slopes = told(text)
    assert len(x) >= 9
    derivation = derive(parse(f"sum({text})", x="n"), ["x"], seed=1)
    assert derivation.certificate.verdict is True
    assert derivation.certificate.exact == derivation.certificate.lines
    np.testing.assert_allclose(evaluate(derivation.answers["x"], x=x), slopes, rtol=1e-13, atol=1e-15)
    run = compile_outputs({"": derivation.of, **derivation.answers}, {})
    np.testing.assert_allclose(run(x=x)[1]["x"], slopes, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("text", [text for text in CHOICES if CHOICES[text][1]])
def test_a_slope_is_that_of_pytorch_with_a_safe_operand(torch, text):
    kept = told(text)[0]
    kept = kept[np.abs(kept) < 100]
    there = torch.tensor(kept, requires_grad=True)
    words = {"x": there.detach(), "safe": there, "torch": torch}
    words |= {word: getattr(torch, word) for word in ("where", "log", "exp", "sqrt", "sin", "arcsin", "abs")}
    value = eval(CHOICES[text][1], words)  # our own table
    (slopes,) = torch.autograd.grad(value.sum(), there)
    answer = derive(parse(f"sum({text})", x="n"), ["x"], certify=False).answers["x"]
    np.testing.assert_allclose(evaluate(answer, x=kept), slopes.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "text, shapes, at, wrt, slopes",
    [
        ("sum(where(m, log(x), 0))", {"x": "n", "m": "n"}, {"x": [0, 2], "m": [0, 1]}, "x", [0, 0.5]),
        ("sum(where(m, x, log(x)))", {"x": "n", "m": "n"}, {"x": [0, 2], "m": [1, 0]}, "x", [1, 0.5]),
        ("where(t > 0, sum(log(x)), 0)", {"x": "n", "t": ""}, {"x": [0, 2, -1], "t": 0}, "x", [0, 0, 0]),
        ("where(norm(x) > 0, norm(x), 0)", {"x": "n"}, {"x": [0, 0]}, "x", [0, 0]),
        ("where(sum(x**2) > 0, sqrt(sum(x**2)), 0)", {"x": "n"}, {"x": [0, 0]}, "x", [0, 0]),
        ("where(sum(x**2) > 0, sqrt(sum(x**2)), 0)", {"x": "n"}, {"x": [3, 4]}, "x", [0.6, 0.8]),
        ("sum(where(b > 0, a/b, 0))", {"a": "n", "b": "n"}, {"a": [1, 2], "b": [0, 4]}, "b", [0, -1 / 8]),
        ("sum(where(P > 0, log(P), w))", {"P": "n", "w": "n"}, {"P": [0, 1], "w": [3, 5]}, "P", [0, 1]),
        ("sum(where(n > 0, S/n, 0))", {"S": "N k", "n": "k"}, {"S": [[1, 2]], "n": [0, 4]}, "S", [[0, 0.25]]),
    ],
)  # fmt: skip
def test_what_a_choice_leaves_out_does_not_matter(text, shapes, at, wrt, slopes):
    at = {name: np.array(value, float) for name, value in at.items()}
    derivation = derive(parse(text, **shapes), [wrt], seed=1)
    assert derivation.certificate.verdict is True
    np.testing.assert_allclose(evaluate(derivation.answers[wrt], **at), slopes, rtol=1e-14)
    value, found = compile_outputs({"": derivation.of, **derivation.answers}, {})(**at)
    assert np.isfinite(value)
    np.testing.assert_allclose(found[wrt], slopes, rtol=1e-14)


def test_what_a_choice_takes_stays_as_undefined_as_it_is():
    answer = derive(parse("sum(where(x > -1, log(x), 0))", x="n"), ["x"], seed=1).answers["x"]
    assert np.isinf(evaluate(answer, x=np.array([0.0, 1.0]))[0])
    assert np.isnan(evaluate(parse("where(x > -1, log(x), 0)", x=""), x=-0.5))


@pytest.mark.parametrize("text", ["relu(X @ w)", "X @ relu(w)", "maximum(X @ w, 0)**2", "abs(X @ w)"])
def test_a_mask_beside_what_is_defined_is_a_factor_like_any_other(text):
    loss = parse(f"sum({text})", X="n d", w="d")
    run = compile_outputs({"": loss, **derive(loss, ["w"], certify=False).answers}, {})
    assert "where" not in run.source


@pytest.mark.parametrize("text", ["where(x, x**2, 0)", "where(2*x - 1, 1, x)", "where(relu(x), log(x), 0)"])
def test_a_condition_that_moves_is_refused_not_taken_for_still(text):
    with pytest.raises(MathError, match="a condition only chooses") as caught:
        derive(parse(f"sum({text})", x="n"), ["x"])
    assert " > 0" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["where(m, x, 0)", "where(x > m, x, 0)", "where(1 - (x > 0), x, 0)", "where(relu(x) > 0, x, 0)"]
)
def test_a_condition_that_compares_or_stands_still_is_fine(text):
    assert derive(parse(f"sum({text})", x="n", m="n"), ["x"], seed=1).certificate.verdict is True
