"""May a variable depend on another, and is the derivative then the total one?"""

import pytest

from gradstep.commands.telling import formulas
from gradstep.expression.errors import MathError
from gradstep.notation.parsing import parse
from gradstep.public import derive

NUMBERS = {"x": "", "u": "", "v": ""}
ARRAYS = {"x": "n", "W": "m n", "u": "m"}

CASES = [
    ("x + u", {"u": "x**2"}, "x", NUMBERS, "1 + 2*x"),
    ("x*u", {"u": "x**2"}, "x", NUMBERS, "3*x**2"),
    ("x + v", {"v": "u**2", "u": "3*x"}, "x", NUMBERS, "1 + 18*x"),
    ("x + u", {"u": 7}, "x", NUMBERS, "1"),
    ("x + u", {"u": "x"}, "x", NUMBERS, "2"),
    ("x @ x + sum(u**2)", {"u": "W @ x"}, "x", ARRAYS, "2*(x + W.T @ (W @ x))"),
    ("sum(u**2)", {"u": "W @ x"}, "W", ARRAYS, "2*outer(W @ x, x)"),
]


@pytest.mark.parametrize(("text", "given", "wrt", "shapes", "expected"), CASES)
def test_the_derivative_is_the_total_one(text, given, wrt, shapes, expected):
    d = derive(parse(text, **shapes), wrt, given=given)
    assert d.certificate.verdict
    assert d.answers[wrt] is parse(expected, **shapes)


def test_a_formula_may_be_an_expression():
    d = derive(parse("x + u", **NUMBERS), "x", given={"u": parse("x**2", x="")})
    assert d.answers["x"] is parse("1 + 2*x", x="")


@pytest.mark.parametrize(
    ("text", "shapes", "formula", "way"),
    [
        ("x + u", NUMBERS, "x**2", "x reaches f directly (u held fixed) and through u"),
        ("x @ x + sum(u**2)", ARRAYS, "W @ x", "x reaches C directly and through u"),
    ],
)
def test_the_total_derivative_is_named_and_its_ways_are_said(text, shapes, formula, way):
    told = " ".join(derive(parse(text, **shapes), "x", given={"u": formula}).text(width=300).split())
    assert "total derivative" in told
    assert way in told


@pytest.mark.parametrize(
    ("given", "wrt", "message"),
    [
        ({"u": "u + x"}, "x", "u depends on itself"),
        ({"u": "v", "v": "x*u"}, "x", "variables depend on each other"),
        ({"w": "x"}, "x", "no variable w here"),
        ({"u": "x**q"}, "x", "q is not known"),
        ({"u": "x**2"}, "u", "u depends on x"),
        ({"u": "x**2"}, ["x", "u"], "u depends on x"),
        ({"u": [1]}, "x", "given as a formula, not list"),
        ("u = x", "x", "given by name"),
    ],
)
def test_what_cannot_depend_is_an_error(given, wrt, message):
    with pytest.raises(MathError, match=message):
        derive(parse("x + u*v", **NUMBERS), wrt, given=given)


def test_a_formula_has_the_shape_of_its_variable():
    with pytest.raises(MathError, match="u is m, but its formula is n"):
        derive(parse("x @ x + sum(u)", **ARRAYS), "x", given={"u": "2*x"})


def test_formulas_in_a_command_line():
    assert formulas(["u = x**2", "v=u"]) == {"u": "x**2", "v": "u"}
    for wrong in (["u"], ["= x"], ["u == x"], ["u = x", "u = 2"]):
        with pytest.raises(MathError):
            formulas(wrong)
