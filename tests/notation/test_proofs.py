"""Is the slope of every function the derivative of its definition, and does an opened step show so?"""

import numpy as np
import pytest

import gradstep as gs
from gradstep.notation.plain import line
from gradstep.notation.proofs import UNINDEXED, cast_of, proof_of_operation, proof_of_slope, slopes_proved
from gradstep.operations import TABLE
from gradstep.operations.evaluation import evaluate, variables
from gradstep.operations.leaves import symbol

DEFINED = [op for op in TABLE if op.slopes and op.definition]
NONE: frozenset[str] = frozenset()
RANGES = {"real": (-2, 2), "positive": (0.2, 2), "nonzero": (0.2, 2)}


@pytest.mark.parametrize("op", DEFINED, ids=lambda op: op.name)
def test_the_slope_is_the_derivative_of_the_definition(op):
    params = op.example[0][0]
    proofs = slopes_proved(op, params)
    assert proofs
    low, high = RANGES.get(op.domain, (0.1, 0.9))
    if op.name == "arccosh":
        low, high = 1.1, 2
    for seed in range(5):
        draw = np.random.default_rng(seed).uniform
        values = {name: draw(low, high) for name in "zuv"}
        for both in proofs.values():
            left, right = (evaluate(e, **{name: values[name] for name in variables(e)}) for e in both)
            np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-10)


def test_an_opened_step_shows_it():
    loss = gs.parse("a = sigmoid(z); sum(a**2)", z="n")
    text = " ".join(gs.derive(loss, wrt="z").text(opened=True).split())
    assert "d σ(zᵢ)/dzᵢ" in text and "from σ(zᵢ) = 1/(1 + exp(−zᵢ))" in text


def test_most_functions_show_their_proof():
    examples = [
        op(*(symbol("abc"[k], ()) for k in range(len(op.slopes))), params=op.example[0][0]) for op in DEFINED
    ]
    assert (
        sum(1 for expr in examples if proof_of_slope(expr, expr.args, cast_of(expr, expr.args, {}, NONE)))
        > len(DEFINED) / 2
    )


EXAMPLES = [(op, params, shapes) for op in TABLE for params, shapes in op.example]
CAPITALS = {True: "ABCDEFG", False: "abcdefg"}


def operands(op, shapes):
    """Variables of these shapes, and those of them that may move: a mask and places are data."""
    args = [symbol(CAPITALS[len(shape) > 1][k], shape) for k, shape in enumerate(shapes)]
    data = {"mask": args[:1], "places": args[-1:]}.get(op.domain, [])
    return args, [arg for arg in args if arg not in data]


@pytest.mark.parametrize(
    ("op", "params", "shapes"), EXAMPLES, ids=lambda x: x.name if hasattr(x, "name") else str(x)
)
def test_every_operation_shows_why_it_moves_as_it_does(op, params, shapes):
    """A line for each operand that can move, in names that a reader has seen; checked while it is made."""
    args, moving = operands(op, shapes)
    said = proof_of_operation(op(*args, params=params), moving, {}) if moving else ()
    slopes = [one for one in said if one.left is not None and line(one.left)[0] in "d∂"]
    assert len(slopes) == len(moving) or op.definition is not None
    assert bool(slopes) == bool(moving)
    assert all(one.forms and "•" not in line(one.left) + line(one.forms[-1]) for one in said)


@pytest.mark.parametrize(
    ("op", "params", "shapes"),
    [example for example in EXAMPLES if example[0].slopes is None and example[0] not in UNINDEXED],
    ids=lambda x: x.name if hasattr(x, "name") else str(x),
)
def test_the_jacobian_of_every_operation_is_certified(op, params, shapes):
    """What is printed entry by entry is this Jacobian, which dual numbers confirm."""
    args, moving = operands(op, shapes)
    if moving:
        assert gs.jacobian(op(*args, params=params), moving, seed=1).certificate.verdict


@pytest.mark.parametrize(
    ("text", "shapes", "wrt", "shown"),
    [
        ("p = softmax(z); p @ c", {"z": "n", "c": "n"}, "z", "∂pᵢ/∂zⱼ = pᵢ (δᵢⱼ − pⱼ)"),
        ("sum(inv(A)**2)", {"A": "n n"}, "A", "∂Yᵢⱼ/∂Aₖₗ = −Yᵢₖ Yₗⱼ"),
        ("det(A)**2", {"A": "n n"}, "A", "∂y/∂Aᵢⱼ = y (A⁻¹)ⱼᵢ"),
        ("sum(reshape(x, (2, 3))**2)", {"x": "6"}, "x", "∂Yᵢⱼ/∂xₖ = δ_(3i+j,k)"),
        ("sum(max(X, axis=1)**2)", {"X": "m n"}, "X", "∂yᵢ/∂Xⱼₖ = hardmax(xᵢ)ₖ δᵢⱼ"),
        ("y = A @ x; norm(y)", {"A": "m n", "x": "n"}, "x", "∂yᵢ/∂xⱼ = Aᵢⱼ"),
    ],
)
@pytest.mark.parametrize("style", ["partials", "differential"])
def test_an_opened_step_is_proved_by_indices(text, shapes, wrt, shown, style):
    told = gs.derive(gs.parse(text, **shapes), wrt, seed=1).text(style=style, opened=True)
    assert shown in " ".join(told.split()), told


def test_letters_that_mean_something_else_are_not_taken():
    told = gs.derive(gs.parse("mean((y - x @ w)**2)", x="N d", w="d", y="N"), "w", seed=1)
    opened = " ".join(told.text(opened=True).split())
    assert "pᵢ = eᵢ²" in opened and "yᵢ = eᵢ²" not in opened


def test_the_lines_of_a_jacobian_open():
    told = gs.jacobian(gs.parse("tanh(A @ x)", A="m n", x="n"), "x", seed=1)
    for style in ("partials", "differential"):
        opened = " ".join(told.text(style=style, opened=True).split())
        assert "∂zᵢ/∂xⱼ = Aᵢⱼ" in opened and "d tanh(zᵢ)/dzᵢ" in opened
