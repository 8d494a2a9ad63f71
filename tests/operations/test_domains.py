"""Does a derivation say where its loss is defined, and say nothing where that is everywhere?"""

import numpy as np
import pytest
from tables import each

from gradstep.calculus.derivation import derive
from gradstep.calculus.jacobians import hessian, jacobian
from gradstep.expression.errors import MathError
from gradstep.notation.parsing import parse
from gradstep.operations import TABLE
from gradstep.operations.domains import CONDITIONS, ranges
from gradstep.operations.evaluation import evaluate
from gradstep.operations.leaves import symbol
from gradstep.operations.ranges import Range, range_of

SHAPES = {"X": "N d", "w": "d", "b": "", "y": "N", "p": "d", "n": ""}
ASKED = {
    "log(b)": ["log(b) is defined where b > 0"],
    "sum(sqrt(X @ w))": ["sqrt(X @ w) is defined where X @ w > 0"],
    "sum(w**n)": ["w**n is defined where w > 0"],
    "sum(w**0.5)": ["w**(1/2) is defined where w > 0"],
    "sum(arcsin(w) + arctanh(w))": [
        "arcsin(w) is defined where −1 < w < 1",
        "arctanh(w) is defined where −1 < w < 1",
    ],
    "arccosh(b) + log1p(b)": ["arccosh(b) is defined where b > 1", "log1p(b) is defined where b > −1"],
    "tan(b)": ["tan(b) is defined where cos(b) ≠ 0"],
    "sum(log(w)) + log(sum(p))": ["log(w) is defined where w > 0"],
}
EVERYWHERE = [
    "sum(log(1 + exp(w)))",
    "sum(log(sigmoid(w)) + log(1 - sigmoid(w)))",
    "mean(log(softmax(X @ w)))",
    "sqrt(sum(w**2) + 1)",
    "sum(log(p*exp(w)) + sqrt(p + abs(w)))",
    "sum(w**3 + w**2) + sum(log(y))",
    "sum(log(maximum(w, 0.1)))",
    "sum(log1p(w**2))",
]


@pytest.mark.parametrize("text", ASKED)
def test_what_is_asked_is_said(text):
    loss = parse(text, assume={"p": "positive"}, **SHAPES)
    names = [v for v in ("w", "b", "p", "n") if v in text]
    assert [note for note in derive(loss, names).notes if "defined" in note] == ASKED[text]


@pytest.mark.parametrize("text", EVERYWHERE)
def test_nothing_is_said_where_it_is_sure(text):
    loss = parse(text, assume={"p": "positive"}, **SHAPES)
    assert not derive(loss, ["w"]).notes
    for seed in range(20):
        draw = np.random.default_rng(seed).normal(scale=3, size=(20,))
        values = {"X": draw[:6].reshape(2, 3), "w": draw[6:9], "p": np.abs(draw[9:12]) + 1e-3}
        values |= {"b": draw[12], "y": np.abs(draw[13:15]) + 1e-3, "n": 1.5}
        assert np.isfinite(evaluate(loss, **values))


@each("op", TABLE, ids=lambda op: op.name)
def test_every_domain_has_its_condition(op):
    assert op.domain in {*CONDITIONS, "real", "nonzero", "mask", "places"}


# ------------------------------------------------------------------------------------------- nowhere

NOWHERE = {
    "log(-1)*b": "log(-1)",
    "sqrt(-1 - b**2)": "sqrt(-1 - b**2)",
    "arcsin(2 + b**2)": "arcsin(2 + b**2)",
    "sum(arccos(-1 - exp(w)))": "arccos(-1 - exp(w))",
    "b + sqrt(-2)": "sqrt(-2)",
    "arccosh(-b**2)": "arccosh(-b**2)",
    "log1p(-1 - abs(b))": "log1p(-1 - abs(b))",
    "sum((-1 - w*w)**0.5)": "(-1 - w*w)**(1/2)",
    "log(0*b)": "log(0*b)",
    "arctanh(1 + exp(b))": "arctanh(1 + exp(b))",
    "log(minimum(b, -1))": "log(minimum(b, -1))",
    "1/(b - b)": "1/(b - b)",
    "(b - b)**(-2)": "(b - b)**-2",
    "sum(sqrt(-p))": "sqrt(-p)",
    "mean(log(-sigmoid(X @ w)))": "log(-sigmoid(X @ w))",
}
NO_SLOPE = {
    "sqrt(-b**2)": "sqrt(b**2)",
    "b + arcsin(1 + b**2)": "another operand",
    "sum((-w**2)**0.5)": "(w**2)**(1/2)",
    "arccosh(1 - abs(b))": "arccosh(-(1 - abs(b)))",
    "b*(-2)**b": "2**b",
    "b*0**b": "another operand",
}
SOMEWHERE = [
    "sqrt(b - b) + arcsin(1 + 0*b)",
    "b*sqrt(-n**2*0)",
    "(-b**2)**1.5",
    "sqrt(0)*b",
    "arcsin(1)*b + arccosh(1)",
    "log(1 - b**2)",
    "where(b > 0, b, log(-1 - b**2))",
    "(b > 0)*log(-exp(b))",
    "(-1 - b**2)**3 + (-2 - b**2)**(-1)",
    "arcsin(1 + b)",
    "1/(b - n)",
    "log(softplus(b) - 1)",
]


@pytest.mark.parametrize("derived", [derive, jacobian, hessian])
@each("text", NOWHERE)
def test_what_has_no_value_anywhere_is_an_error(text, derived):
    loss = parse(text, assume={"p": "positive"}, **SHAPES)
    wrt = next(v for v in ("w", "b", "p") if v in text)
    with pytest.raises(MathError, match="is nowhere defined") as told:
        derived(loss, wrt)
    assert str(told.value).startswith(f"{NOWHERE[text]} is nowhere defined") and told.value.mend


def test_a_power_of_a_negative_number_is_refused_at_its_place():
    with pytest.raises(MathError, match="is nowhere defined") as told:
        derive(parse("sum((-2)**w)", **SHAPES), "w")
    assert told.value.source[slice(*told.value.span)] == "(-2)**w"


@pytest.mark.parametrize("derived", [derive, jacobian, hessian])
@pytest.mark.parametrize("text", NO_SLOPE)
def test_what_has_no_slope_anywhere_is_an_error(text, derived):
    """It has a value only at the end of the domain."""
    wrt = "w" if "w" in text else "b"
    with pytest.raises(MathError, match="has no slope anywhere") as told:
        derived(parse(text, **SHAPES), wrt)
    slip = ", if the sign of " if NO_SLOPE[text] != "another operand" else ""
    assert f"Perhaps {NO_SLOPE[text]}{slip}" in str(told.value) and told.value.span is not None


def test_what_stands_still_needs_no_slope():
    assert str(derive(parse("sqrt(-b**2)*c", b="", c=""), "c", certify=False).answers["c"]) == "sqrt(-b**2)"


@pytest.mark.parametrize("text", SOMEWHERE)
def test_what_has_a_value_somewhere_is_derived(text):
    assert derive(parse(text, **SHAPES), "b", certify=False).answers


def test_the_mend_is_the_other_sign_where_that_helps():
    with pytest.raises(MathError) as told:
        derive(parse("log(-exp(b))", **SHAPES), "b")
    assert "log(exp(b))" in str(told.value) and told.value.span is not None


INFINITE = 50.0
DRAWN = [Range(*ends) for ends in ((-np.inf, np.inf), (0, np.inf), (-np.inf, -1), (-1, 1), (1, 2), (-2, 0))]


def draw(rng, found, shape):
    """Numbers of an open range."""
    return rng.uniform(max(found.low, -INFINITE), min(found.high, INFINITE), shape)


@each("op", [op for op in TABLE if op.domain not in ("mask", "places")], ids=lambda op: op.name)
def test_a_value_lies_in_its_range(op):
    rng = np.random.default_rng(1)
    for params, shapes in op.example:
        args = [symbol(f"x_{k}", shape) for k, shape in enumerate(shapes)]
        y = op(*args, params=params)
        sizes = {s: 2 + k for k, s in enumerate(sorted({s for shape in shapes for s in shape}, key=str))}
        for turn in range(len(DRAWN) ** min(2, len(args))):
            chosen = [DRAWN[(turn // len(DRAWN) ** k) % len(DRAWN)] for k in range(len(args))]
            values = {
                str(arg.params[0]): draw(rng, found, [sizes.get(s, s) for s in arg.shape])
                for arg, found in zip(args, chosen, strict=True)
            }
            claimed = range_of(y, chosen)
            try:
                found = np.asarray(evaluate(y, **values))
            except MathError:  # a singular matrix, or a size that does not fit
                continue
            for value in found[np.isfinite(found)]:
                slack = 1e-9 * (1 + abs(value))
                assert claimed.low - slack <= value <= claimed.high + slack


def test_ends_of_many_digits_are_moved_outwards():
    text = "t0 = minimum(maximum(b, 3), 3.3); " + "; ".join(f"t{k + 1} = t{k}*t{k} + t{k}" for k in range(60))
    loss = parse(f"{text}; log(t60)", b="")
    assert ranges(loss)[loss.args[0]].is_positive
