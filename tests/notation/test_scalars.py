"""Is a function of numbers told as a textbook tells it: one rule a line, the chain rule in four steps?"""

import pytest

from gradstep import hessian, jacobian
from gradstep.calculus.derivation import derive
from gradstep.notation.checking import check
from gradstep.notation.parsing import names_of, parse
from gradstep.notation.plain import line
from gradstep.notation.scalars import Scalars, tells
from gradstep.notation.views import VIEWS, present
from gradstep.operations.evaluation import mentioned

NUMBERS = dict.fromkeys(("x", "y", "w", "b", "s"), "")

# formula: its lines, as (formula, rule)
TOLD = {
    "3*x**2*y": [
        ("∂f/∂x = 3y ∂(x²)/∂x", "multiplication by a constant"),
        ("= 3y·2x", "power rule"),
        ("= 6y x", "gathering the factors"),
        ("∂f/∂y = 3x²", "multiplication by a constant"),
    ],
    "x + x**2": [("df/dx = 1 + d(x²)/dx", "sum rule"), ("= 1 + 2x", "power rule")],
    "x*x**2": [
        ("df/dx = x² + x d(x²)/dx", "product rule"),
        ("= x² + x·2x", "power rule"),
        ("= x² + 2x²", "gathering the factors"),
        ("= 3x²", "adding like terms"),
    ],
    "9*(x + x**2)": [
        ("df/dx = 9 d(x + x²)/dx", "multiplication by a constant"),
        ("= 9 + 9 d(x²)/dx", "sum rule"),
        ("= 9 + 9·2x", "power rule"),
        ("= 9 + 18x", "gathering the factors"),
    ],
    "exp(3*x)": [
        ("df/dx = exp(3x) d(3x)/dx", "chain rule for exp"),
        ("= 3 exp(3x)", "multiplication by a constant"),
    ],
    "log(sin(x**3)**2)": [
        ("du₁/dx = 3x²", "power rule"),
        ("du₂/du₁ = cos(u₁)", "derivative of sin"),
        ("du₃/du₂ = 2u₂", "power rule"),
        ("df/du₃ = 1/u₃", "derivative of log"),
        ("df/dx = df/du₃ · du₃/du₂ · du₂/du₁ · du₁/dx", "chain rule"),
        ("= 1/u₃ · 2u₂ · cos(u₁)·3x²", "with lines 1–4"),
        ("= 6u₂ cos(u₁) x²/u₃", "gathering the factors"),
        ("= 6 sin(x³) cos(x³) x²/sin(x³)²", "substituting back"),
        ("= 6 cos(x³) x²/sin(x³)", "simplifying"),
    ],
    "u = x**2; x + u": [
        ("du/dx = 2x", "power rule"),
        ("∂f/∂x = 1", "sum rule"),
        ("∂f/∂u = 1", "sum rule"),
        ("df/dx = ∂f/∂x + ∂f/∂u · du/dx", "total derivative"),
        ("= 1 + 2x", "with lines 1–3"),
    ],
}


def told(text, view="matrix"):
    expr = parse(text, **NUMBERS)
    d = derive(expr, [*mentioned(expr)], names=names_of(expr))
    return present(d, view=view)


def lines(presentation):
    return [
        (f"{line(said.left)} = {line(said.forms[0])}" if said.left else f"= {line(said.forms[0])}", said.rule)
        for section in presentation.sections
        for said in section.lines
        if said.number is not None
    ]


@pytest.mark.parametrize("text", TOLD)
def test_one_rule_a_line(text):
    assert lines(told(text)) == TOLD[text]
    assert len({tuple(lines(told(text, view))) for view in VIEWS}) == 1, "all views are alike for numbers"


FUNCTIONS = [
    *TOLD,
    "tanh(x + x**2)",
    "x/(1 + x**2)",
    "(x - y)/(x + y)",
    "2*x + y**8",
    "u = x**2*y; u*exp(x) + y",
    "log(1 + exp(-y*(w*x + b)))",
    "(y - relu(w*x + b))**2",
    "-x/3 - (x - 1)**3",
    "2**x + x**y",
    "exp(-(x - y)**2/(2*s**2))/s",
    "sqrt(x**2 + y**2)*abs(x)",
    "maximum(x**2, y)*x",
    "x**2*exp(x**2)",
    "tanh(tanh(x) + x)*log(x + exp(x*y))",
    "x",
]


@pytest.mark.parametrize("text", FUNCTIONS)
def test_every_line_is_worked_out_again(text):
    expr = parse(text, **NUMBERS)
    d = derive(expr, [*mentioned(expr)], names=names_of(expr))
    story = Scalars(d, [])
    for section in story.sections():
        for said in section.lines:
            assert said.number is None or said.rule
    assert set(check(d, story.claims, seed=1)) == {"exact"}
    assert story.claims


def test_several_variables_give_a_row():
    last = told("3*x**2*y").sections[-1].lines[0]
    assert [line(form) for form in last.forms] == ["[∂f/∂x, ∂f/∂y]", "[6y x, 3x²]"]


def test_a_variable_held_fixed_is_marked():
    shown = [formula for formula, _ in lines(told("u = x**2*y; u*exp(x) + y"))]
    assert "∂f/∂x = (∂f/∂x)_u + ∂f/∂u · ∂u/∂x" in shown


def test_a_constant_has_the_derivative_zero():
    assert lines(present(derive(parse("99", x=""), "x"))) == [("df/dx = 0", "constant")]


def test_long_functions_and_arrays_are_told_otherwise():
    text = "x"
    for _ in range(60):
        text = f"tanh({text} + 1)"
    assert not tells(derive(parse(text, x=""), "x"))
    assert not tells(derive(parse("sum(x**2)", x="n"), "x"))


def test_a_jacobian_of_numbers_is_their_gradient():
    d = jacobian(parse("3*x**2*y", x="", y=""), ["x", "y"])
    assert lines(present(d)) == TOLD["3*x**2*y"]
    assert not tells(hessian(parse("x**3", x=""), "x"))


@pytest.mark.parametrize(
    "text, last",
    [
        ("where(x**2 > d, x**3, d*x)", "3 1[x² > d] x² + 1[x² ≤ d] d"),
        ("sign(x**2)*x + exp(x**2)", "sign(x²) + 2 exp(x²) x"),
        ("sign(x**2)*x", "sign(x²)"),
        ("(x**2 > 1)*d", "0"),
    ],
)
def test_what_only_compares_is_no_path_of_the_chain_rule(text, last):
    told = lines(present(derive(parse(text, x="", d=""), ["x"], seed=1)))
    assert any(form.endswith(f"= {last}") for form, _ in told)


def test_a_variable_d_is_not_taken_for_the_sign_of_a_differential():
    said = lines(present(derive(parse("d*exp(x)", x="", d=""), ["x"], seed=1), style="differential"))
    assert any("d·d exp(x)" in form for form, _ in said)


@pytest.mark.parametrize(
    "text", ["x/x", "x - x", "3*(x - x)", "sin(x)/sin(x)", "x*x - x**2", "z = x*x; sin(z) - sin(x**2)"]
)
def test_what_cancels_is_told_as_zero(text):
    d = derive(parse(text, x=""), "x", seed=1)
    assert d.answers["x"] is parse("0", x="")
    lines = [line(said.forms[-1]) for section in present(d).sections for said in section.lines]
    assert "0" in lines


@pytest.mark.parametrize("wrt", ["x", "v"])
def test_a_parameter_that_is_an_array_and_does_not_occur(wrt):
    d = derive(parse("x*2", x="", v="n"), wrt, seed=1)
    assert all(present(d, view=view).sections for view in VIEWS)
