"""Can a user declare a function in one line, and is it then like any other?"""

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep.cli import main
from gradstep.notation.functions import Function, function
from gradstep.operations import FUNCTIONS, declared
from gradstep.operations.graph import from_json, to_json
from gradstep.operations.leaves import symbol

X, w = symbol("X", "N d"), symbol("w", "d")
# Name, formula, defaults: declared for the tests of this module.
FORMULAS = {
    "swish": ("x*sigmoid(x)", {}),
    "huber": ("where(abs(x) <= d, x**2/2, d*(abs(x) - d/2))", {"d": 1}),
    "bump": ("exp(-x**2/2)", {}),
    "softly": ("log(1 + exp(-y*x))", {}),
    "bent": ("s = sin(x); s**2 + 0.1*x", {}),
    "swishes": ("swish(swish(x)) + bump(x)", {}),
    "same": ("x", {}),
    "squared_hinge": ("maximum(0, 1 - x)**2", {}),
}
DECLARED = {}
BY_NAME = pytest.mark.parametrize("name", FORMULAS)


@pytest.fixture(scope="module", autouse=True)
def _declared(declaring):
    for name, (formula, defaults) in FORMULAS.items():
        DECLARED[name] = function(name, formula, **defaults)


def on_vectors(name):
    """The function of as many vectors as it has variables, and values for them."""
    variables = [symbol(f"{v}_", "n") for v in DECLARED[name].variables]
    draw = np.random.default_rng(5).normal(size=(len(variables), 7))
    values = {f"{v}_": draw[k] for k, v in enumerate(DECLARED[name].variables)}
    if name == "huber":
        values["d_"] = np.abs(values["d_"]) + 0.3
    return DECLARED[name](*variables), values


@BY_NAME
def test_its_value_is_that_of_its_formula(name):
    expr, values = on_vectors(name)
    table = {v: symbol(f"{v}_", "n") for v in DECLARED[name].variables}
    written = gs.parse(FORMULAS[name][0], **{v: part.shape for v, part in table.items()})
    known = {v.removesuffix("_"): value for v, value in values.items()}
    np.testing.assert_allclose(gs.evaluate(expr, **values), gs.evaluate(written, **known), rtol=1e-14)
    np.testing.assert_allclose(gs.compile(expr)(**values), gs.evaluate(expr, **values), rtol=1e-13)


@BY_NAME
def test_its_derivative_is_derived_certified_and_right(name):
    expr, values = on_vectors(name)
    d = gs.derive(gs.sum(expr), list(values), seed=2)
    assert d.certificate.verdict is True and d.certificate.exact == d.certificate.lines
    run = gs.compile(d)
    _, slopes = run(**values)
    for variable, value in values.items():
        step = 1e-6 * np.cos(np.arange(len(value)))
        ahead, back = (gs.evaluate(gs.sum(expr), **{**values, variable: value + s}) for s in (step, -step))
        assert slopes[variable] @ step == pytest.approx((ahead - back) / 2, rel=1e-5, abs=1e-11)
    for told in DECLARED[name].derivations.values():
        assert told.certificate.verdict is True and told.certificate.exact == told.certificate.lines


@BY_NAME
def test_it_prints_reads_back_and_travels(name):
    expr, values = on_vectors(name)
    assert str(expr).startswith(f"{name}(")
    assert gs.parse(str(expr), **dict.fromkeys(values, "n")) is expr
    assert pickle.loads(pickle.dumps(expr)) is expr and copy.deepcopy(expr) is expr
    assert pickle.loads(pickle.dumps(DECLARED[name])) is DECLARED[name]
    assert from_json(json.loads(json.dumps(to_json({"f": expr}))))["f"] is expr


@BY_NAME
def test_the_same_declaration_twice_is_one(name):
    formula, defaults = FORMULAS[name]
    assert function(name, formula, **defaults) is DECLARED[name] is FUNCTIONS[name]


def test_a_saved_formula_carries_the_definition_to_where_it_is_not_known():
    expr = DECLARED["swishes"](X @ w)
    saved = json.dumps(to_json({"f": expr}))
    for name in ("swish", "bump", "swishes"):
        del declared.DECLARED[name], FUNCTIONS[name]
        declared.RESERVED.remove(name)
    again = from_json(json.loads(saved))["f"]
    values = {"X": np.eye(2, 3), "w": np.array([1.0, -2.0, 0.5])}
    np.testing.assert_allclose(gs.evaluate(again, **values), gs.evaluate(expr, **values), rtol=1e-15)
    assert str(again) == str(expr) and isinstance(FUNCTIONS["swishes"], Function)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda f: f.update(name="sum"),
        lambda f: f.update(name="no name"),
        lambda f: f.update(variables=[]),
        lambda f: f.update(variables=["y"]),
        lambda f: f.update(defaults={"x": 1}),
        lambda f: f.update(code="import os"),
        lambda f: f.update(definition="x"),
        lambda f: f["definition"].update(roots={"other": 0}),
        lambda f: f.update(definition=to_json({"swish": X @ w})),
        lambda f: f.update(definition=to_json({"swish": symbol("x") * 2})),
    ],
)
def test_a_spoiled_definition_is_refused(spoil):
    data = to_json({"f": DECLARED["swish"](w)})
    spoil(data["functions"][0])
    with pytest.raises(gs.MathError):
        from_json(data)


def test_the_step_names_the_rule_and_opens_to_its_derivation():
    loss = gs.parse("mean((y - swish(X @ w))**2)", X="N d", w="d", y="N")
    d = gs.derive(loss, ["w"], seed=1)
    step = next(step for step in d.steps if "swish" in step.rule)
    assert step.rule == "chain rule for swish"
    assert step.why == "swish′(x) = σ(x) (1 + x (1 − σ(x)))"
    opened = d.text(opened=True)
    for line in ("= d(x σ(x))", "= σ(x) dx + x d σ(x)", "chain rule for sigmoid"):
        assert line in opened and line not in d.text()
    assert r"\operatorname{swish}" in d.latex()


def test_a_default_fills_in_and_a_moving_parameter_has_a_slope():
    r = symbol("r", "n")
    huber = DECLARED["huber"]
    assert huber(r) is huber(r, 1) is huber(x=r, d=1) is gs.parse("huber(r)", r="n")
    d = gs.derive(gs.parse("sum(huber(r, c))", r="n", c=""), ["c"], seed=1)
    answer = gs.evaluate(d.answers["c"], r=np.array([0.5, 3.0, -4.0]), c=2.0)
    assert answer == pytest.approx((3 - 2) + (4 - 2))


def test_the_kink_of_the_body_is_said():
    d = gs.derive(gs.parse("sum(huber(r))", r="n"), ["r"], seed=1)
    kinks = " ".join(step.kink for step in d.steps)
    assert "|x| ≤ d" in kinks and "at x = 0 gradstep takes 0" in kinks
    assert not any(step.kink for step in gs.derive(gs.sum(DECLARED["bump"](w)), ["w"], seed=1).steps)


def test_code_finds_the_stable_form_of_a_declared_function():
    expr, _ = on_vectors("softly")
    with np.errstate(all="raise", under="ignore"):
        far = gs.compile(expr)(y_=np.ones(2), x_=np.array([-1000.0, 1000.0]))
    np.testing.assert_allclose(far, [1000, 0])


ERRORS = {
    ("sum", "x"): ("already", None),
    ("pi", "x"): ("already", None),
    ("lambda", "x*2"): ("reserved", None),
    ("1st", "x"): ("name", None),
    ("f.g", "x"): ("head", None),
    ("f1", "sum(x)"): ("each entry", "sum"),
    ("f2", "x*mean(x)"): ("each entry", "mean"),
    ("f3", "x/norm(x)"): ("each entry", "norm"),
    ("f4", "softmax(x)"): ("each entry", "softmax"),
    ("f5", "x*floor(x)"): ("floor has no derivative", "floor(x)"),
    ("f6", "1 + 2"): ("variables", None),
    ("f7(x)", "x*y"): ("y is no variable", "y"),
    ("f8(x, x)", "x"): ("twice", None),
    ("f9", "x +"): ("nothing follows", "+"),
    ("f10", "x*frob(x)"): ("frob", "frob"),
    ("swish", "2*x"): ("declared already", None),
    ("f11", "axis(x)"): ("axis", "axis"),
    ("f12", "f12*2"): ("itself", None),
    ("f13",): ("needs a formula", None),
    (3, "x"): ("texts", None),
}


@pytest.mark.parametrize("declaration", ERRORS, ids=str)
def test_an_error_says_what_is_wrong_and_where(declaration):
    said, place = ERRORS[declaration]
    before = dict(FUNCTIONS)
    with pytest.raises(gs.MathError) as caught:
        function(*declaration)
    assert said in str(caught.value)
    if place is not None:
        assert caught.value.source[slice(*caught.value.span)] == place
    assert before == FUNCTIONS


@pytest.mark.parametrize(
    "call", ["swish()", "swish(w, w)", "swish(w, z=1)", "huber(w, 1, 2)", "swish(w, x=w)"]
)
def test_a_wrong_call_is_refused(call):
    with pytest.raises(gs.MathError):
        gs.parse(call, w="d")
    with pytest.raises(gs.MathError):
        DECLARED["swish"](w, w)


def test_no_variable_is_called_like_a_declared_function():
    with pytest.raises(gs.MathError, match="function"):
        gs.parse("sum(swish)", swish="n")


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(["sin({})", "({})**2", "({} + x)", "2*{}", "swish({})", "tanh({})"]), max_size=4)
)
def test_any_composition_has_the_slope_that_the_engine_finds_without_it(layers):
    formula = "x"
    for layer in layers:
        formula = layer.format(formula)
    name = f"made_{abs(hash(formula)) % 10**12}"
    made = function(name, formula)
    plain = gs.derive(gs.parse(formula, x=""), ["x"], certify=False).answers["x"]
    through = gs.derive(made(symbol("x")), ["x"], certify=False).answers["x"]
    assert gs.evaluate(through, x=0.3) == pytest.approx(gs.evaluate(plain, x=0.3), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("command", ["derive", "code"])
def test_the_command_line_declares_functions(command, capsys):
    arguments = ["sum(gate_0(X @ w))", "X:N,d", "w:d", "--wrt", "w", "--function"]
    for declaration, code, said in (
        ("gate_0(x) = x*sigmoid(2*x)", 0, "gate_0"),
        ("bad_0(x) = sum(x)", 1, "each entry"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([command, *arguments, declaration])
        captured = capsys.readouterr()
        assert bool(stopped.value.code) is bool(code)
        assert said in captured.out + captured.err
