"""May a rewrite lose points, and does a line say what it needs?"""

from dataclasses import replace
from random import Random

import pytest

import gradstep as gs
from gradstep.calculus.certificate import certify
from gradstep.calculus.definedness import demands, loses
from gradstep.calculus.derivation import derive
from gradstep.calculus.floating import compare_lines
from gradstep.calculus.moves import Move, certify_moves
from gradstep.calculus.steps import Rewrite
from gradstep.expression.records import replaced
from gradstep.notation.views import STYLES, VIEWS, present
from gradstep.operations.activations import abs, relu, sqrt
from gradstep.operations.arithmetic import divide_op, exp, log, multiply_op, one_like, power
from gradstep.operations.inverses import inv
from gradstep.operations.leaves import number, symbol
from gradstep.operations.norms import norm
from gradstep.operations.sums import sum

x, y, q = symbol("x", "n"), symbol("y", "n"), symbol("q", "n", ["positive"])
A, B = symbol("A", "n n"), symbol("B", "n n")
LOST = (
    (x, multiply_op(divide_op(x, y), y)),
    (log(x * x), 2 * log(x)),
    (x**2, exp(2 * log(x))),
    (abs(x), x**2 / abs(x)),
    (norm(x), sum(x**2) / norm(x)),
    (A, A @ B @ inv(B)),
    (sqrt(x * y), sqrt(x) * sqrt(y)),
    (relu(x), relu(x) ** 2 / relu(x)),
)
KEPT = (
    (divide_op(multiply_op(x, y), y), x),
    (2 * log(x), log(x * x)),
    (1 / (x * y), (1 / x) / y),
    (x / y**2, x * power(y, -2)),
    (sqrt(x) ** 2, x),
    (inv(A @ B), inv(B) @ inv(A)),
    (log(q), 2 * log(sqrt(q))),
    (x / exp(y), x * exp(-y)),
)
SUM = derive(sum(exp(x)), "x", certify=False)


@pytest.mark.parametrize("before, after", LOST, ids=str)
def test_a_rewrite_that_loses_points_is_refuted(before, after):
    assert loses(before, after, Random(1))
    last = replaced(SUM.steps[-1], details=(Rewrite("a law", "", before, after),))
    certificate = certify(replace(SUM, steps=(*SUM.steps[:-1], last)), seed=2)
    assert certificate.verdict is False
    assert any("loses points: it needs" in failure.what for failure in certificate.failures)


@pytest.mark.parametrize("before, after", KEPT, ids=str)
def test_a_rewrite_that_keeps_them_is_not(before, after):
    assert not loses(before, after, Random(1))


def test_a_product_asks_what_its_factors_ask():
    assert set(demands([1 / (x * y)])) == set(demands([1 / (y**2 * -x)])) == {(" ≠ 0", x), (" ≠ 0", y)}
    assert not demands([x / exp(y), x / 2, relu(x), norm(x)])


NEEDS = {
    "sqrt(1 - sum(x**2))": ("1 - sum(x**2) ≠ 0",),
    "det(A @ A)": ("A invertible",),
    "log(det(A))": (),
    "sum(log(x))": (),
    "sum(x**1.5)": (),
    "sum(1/x)": (),
    "sum(sqrt(x))": ("x ≠ 0",),
    "norm(x)": (),
}


@pytest.mark.parametrize("text", NEEDS)
def test_a_line_says_what_it_needs_and_the_one_before_did_not(text):
    wrt = "A" if "A" in text else "x"
    d = gs.derive(gs.parse(text, **{"x": "n", "A": "n n"}), wrt, seed=1)
    said = [need for line in d.certificate.checked for need in line.needs]
    assert tuple(said) == NEEDS[text]
    assert all(f"needs {need}" in d.certificate.table() for need in said)


FORWARD = {
    ("jacobian", "sqrt(x)"): ("x ≠ 0",),
    ("jacobian", "log(x)/x"): (),
    ("jacobian", "arctan(x) + x/(1 + exp(x))"): (),
    ("hessian", "sum(x**1.5)"): ("x > 0",),
    ("hessian", "norm(x)"): ("C ≠ 0",),
    ("hessian", "det(A)"): ("A invertible",),
    ("hessian", "sum(x**4)"): (),
}


@pytest.mark.parametrize("kind, text", FORWARD)
def test_the_lines_of_jacobians_and_hessians_say_it_too(kind, text):
    wrt = "A" if "A" in text else "x"
    d = getattr(gs, kind)(gs.parse(text, **{"x": "n", "A": "n n"}), wrt, seed=1)
    assert tuple(need for line in d.certificate.checked for need in line.needs) == FORWARD[kind, text]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("style", STYLES)
def test_a_reader_is_told_what_only_the_lines_need(view, style):
    shapes = {"A": "n n", "X": "n n", "x": "n"}
    asked = "A invertible and X invertible"
    for kind, text, wrt, words in (
        (gs.derive, "det(A @ X)", "X", f"needs {asked}, which the formula itself does not"),
        (gs.hessian, "norm(x)", "x", "needs C ≠ 0, which the formula itself does not"),
        (gs.derive, "sum(sqrt(x))", "x", "sqrt(x) is defined where x > 0"),
        (gs.jacobian, "sqrt(x)", "x", "sqrt(x) is defined where x > 0"),
    ):
        d = kind(gs.parse(text, **shapes), wrt, seed=1)
        notes = [note for note in present(d, view=view, style=style).notes if "Signs" not in note]
        assert len([note for note in notes if words in note]) == 1
        assert any("needs" in note for note in notes) == words.startswith("needs")


def test_what_is_assumed_is_not_asked_for():
    for fact in ("invertible", "orthogonal", "symmetric positive definite"):
        loss = gs.parse("det(A)", A="n n", assume={"A": fact})
        assert not any(line.needs for line in gs.derive(loss, "A", seed=1).certificate.checked)


@pytest.mark.parametrize("before, after", LOST[:3], ids=str)
def test_a_rewrite_in_a_line_of_a_jacobian_that_loses_points_is_refuted(before, after):
    move = Move("a rule", "", x, {x: y}, y, True, details=(Rewrite("a law", "", before, after),))
    certificate = certify_moves([move], seed=2)
    assert certificate.verdict is False
    assert any("loses points: it needs" in failure.what for failure in certificate.failures)


def test_rounding_is_no_difference_and_a_difference_is_none():
    """What a line is worth in floating point is known up to the rounding of what moves."""
    moving, far = {x}, x + 10**6
    one = one_like(x)
    assert compare_lines(((one, far - x),), (), moving, Random(1))[0]
    assert compare_lines(((one, far),), (), moving, Random(1))[0] is False
    assert compare_lines(((one, far),), ((one, x),), moving, Random(1))[0]
    assert compare_lines(((one, far),), (((1 + number(1) / 10**6) * one, x),), moving, Random(1))[0] is False
