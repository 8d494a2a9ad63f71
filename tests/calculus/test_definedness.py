"""May a rewrite lose points, and does a line say what it needs?"""

from dataclasses import replace
from random import Random

import pytest

import gradstep as gs
from gradstep.calculus.certificate import certify
from gradstep.calculus.definedness import demands, loses
from gradstep.calculus.derivation import derive
from gradstep.calculus.steps import Rewrite
from gradstep.expression.records import replaced
from gradstep.operations.activations import abs, relu, sqrt
from gradstep.operations.arithmetic import divide_op, exp, log, multiply_op, power
from gradstep.operations.inverses import inv
from gradstep.operations.leaves import symbol
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
