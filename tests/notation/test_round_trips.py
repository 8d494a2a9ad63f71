"""Does text read back? What is printed, parsed with the same variables, is the identical expression."""

import inspect
from itertools import islice, product

import pytest
from cases import derivations
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep.expression.node import OPERATORS, Expr
from gradstep.notation.text import plain
from gradstep.operations import FUNCTIONS
from gradstep.operations.evaluation import variables

SHAPES = {"x": "", "t": "", "v": "n", "w": "n", "u": "m", "X": "m n", "Y": "m n", "S": "n n", "c": "n 1"}
IMAGES = {"I": "m n 7", "K": "n n 2", "J": "m n 6", "I2": "m n 6 7", "K2": "n n 2 2", "J2": "m n 5 6"}
FACTS = {"S": "symmetric"}
POOL = [*gs.symbols(assume=FACTS, **SHAPES), gs.parse("n", v="n")]
NUMBERS = (2, -1, 0.5)
AXES = (None, 0, 1, -1)
SIZES = ("n", "m", 2, 1)
INDICES = ("ij,j->i", "i,i->", "ii->i", "ij->ji", "i->ij")
ENOUGH = 400  # calls of one function


def unread(expr, shapes, facts=None):
    """The text of `expr` if it does not read back, or None."""
    text = plain(expr)
    try:
        return None if gs.parse(text, assume=facts, **shapes) is expr else text
    except gs.MathError as error:
        return f"{text}: {error}"


# ------------------------------------------------------------------------------------------- cases


def test_whatever_a_derivation_holds_reads_back(cases):
    """The loss, its parts, and the cotangents of every step down to the answers."""
    wrong, seen = {}, set()
    for case, d in derivations(cases):
        shapes = {name: " ".join(map(str, shape)) for name, shape in case["vars"].items()}
        facts = {str(v.params[0]): v.params[2][0] for v in variables(d.of).values() if v.params[2]}
        held = {*d.parts, *d.answers.values(), d.of}
        held |= {G for step in d.steps for G, _ in (*step.before, *step.after)}
        seen |= held
        bad = [text for expr in held if (text := unread(expr, shapes, facts))]
        if bad:
            wrong[case["id"]] = min(bad, key=len)
    assert len(seen) > len(cases) and wrong == {}


# ------------------------------------------------------------------------------------------- any expression


def choices(parameter, pool):
    """What may be given for a parameter of a function, by what the function says of it."""
    said, default = str(parameter.annotation), parameter.default
    if "Sequence[Expr]" in said:
        return [[one, other] for one in pool for other in pool[:4]]
    if parameter.name == "into":
        return [gs.zeros("n", 2)[:, 0], gs.zeros("n")[:], gs.zeros("m", "n+1")[:, 1:]]
    if "Expr" in said:
        return [*pool, *NUMBERS] if "Number" in said else pool
    if parameter.name == "axis":
        return AXES if default is None else AXES[1:]
    if said == "bool":
        return (False, True)
    if said == "str":
        return INDICES
    if "Size" in said:
        return SIZES
    return (2, 1, 3) if default is inspect.Parameter.empty else (default,)


def arguments(function, pool):
    """For each argument that the function takes by place, what it may be."""
    found = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            found += [choices(parameter, pool)] * 2
        elif parameter.kind is not parameter.VAR_KEYWORD:
            found.append(choices(parameter, pool))
    return found


def called(function, given):
    """The expression, or None where the function refuses these arguments."""
    try:
        made = function(*given)
    except gs.MathError:
        return None
    return made if isinstance(made, Expr) else None


DOORS = {
    **{f"operator {sign}": function for sign, function in OPERATORS.items() if sign != "str"},
    **FUNCTIONS,
}


@pytest.mark.parametrize("name", DOORS)
def test_every_call_reads_back(name):
    """Every function and operator, on variables of many shapes."""
    function = DOORS[name]
    images = name.startswith("conv") or "pool" in name
    shapes = {"v": "n", **IMAGES} if images else SHAPES
    calls = product(*arguments(function, gs.symbols(**shapes) if images else POOL))
    made = {expr for given in calls if (expr := called(function, given)) is not None}
    assert made
    few = islice(sorted(made, key=plain), None, None, max(1, len(made) // ENOUGH))
    assert [text for expr in few if (text := unread(expr, shapes, None if images else FACTS))] == []


@st.composite
def expressions(draw):
    """Functions and operators of functions and operators, as deep as they come."""
    pool = list(POOL)
    for _ in range(draw(st.integers(1, 8))):
        function = DOORS[draw(st.sampled_from(sorted(DOORS)))]
        latest = pool[-6:] + POOL[:3]
        given = [draw(st.sampled_from(list(options))) for options in arguments(function, latest)]
        made = called(function, given)
        if made is not None:
            pool.append(made)
    return pool[-1]


@settings(max_examples=300)
@given(expressions())
def test_any_expression_reads_back(expr):
    assert unread(expr, SHAPES, FACTS) is None


def test_what_a_constant_divides_reads_back():
    """A number over √n is 1/√n times it, however it came about."""
    d = gs.derive(gs.parse("std(x)", x="n"), "x", certify=False)
    held = {*d.parts, *d.answers.values()} | {G for step in d.steps for G, _ in (*step.before, *step.after)}
    assert [text for expr in held if (text := unread(expr, {"x": "n"}))] == []
