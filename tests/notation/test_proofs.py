"""Is the slope of every function the derivative of its definition, and does an opened step show so?"""

import numpy as np
import pytest
from tables import each

import gradstep as gs
from gradstep.notation.plain import line
from gradstep.notation.proofs import UNINDEXED, cast_of, proof_of_slope, slopes_proved
from gradstep.notation.views import present
from gradstep.operations import TABLE
from gradstep.operations.evaluation import evaluate, variables
from gradstep.operations.leaves import symbol
from gradstep.operations.sums import sum as total

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


STILL = {op for op in TABLE if op.adjoint is None}
EXAMPLES = [(op, params, shapes) for op in TABLE for params, shapes in op.example]
CAPITALS = {True: "ABCDEFG", False: "abcdefg"}


def operands(op, shapes):
    """Variables of these shapes, and those of them that may move: a mask and places are data."""
    args = [symbol(CAPITALS[len(shape) > 1][k], shape) for k, shape in enumerate(shapes)]
    data = {"mask": args[:1], "places": args[-1:]}.get(op.domain, [])
    return args, [arg for arg in args if arg not in data]


@each(("op", "params", "shapes"), EXAMPLES, ids=lambda x: x.name if hasattr(x, "name") else str(x), tests=12)
def test_every_operation_shows_why_it_moves_as_it_does(op, params, shapes):
    """In a derivation that is opened: a line for each operand that moves, in names that a reader has seen."""
    args, moving = operands(op, shapes)
    y = op(*args, params=params)
    if not moving or op.adjoint is None:
        assert op in STILL or not moving
        return
    weight = symbol("R" if y.rank > 1 else "r", y.shape)
    loss = total(y * weight) if y.rank else y * weight
    d = gs.derive(loss, moving, certify=False)
    step = next(step for step in d.steps if step.place is y and y not in [part for _, part in step.after])
    (told,) = [said for said in d_lines(d) if said.number == d.steps.index(step) + 1]
    left = [line(one.left) for one in told.details if one.left is not None]
    moved = {str(part.params[0]) for _, part in step.after}
    below = [text.rpartition("/")[2] for text in left if "/" in text]
    shown = moved & {name.lstrip("d∂")[:1] for name in below if name[:1] in "d∂"}
    assert shown == moved or op.definition is not None or op in UNINDEXED
    assert bool(shown) == bool(moved) or op in UNINDEXED
    assert all(one.forms and "•" not in line(one.left) + line(one.forms[-1]) for one in told.details)
    opened = " ".join(d.text(style="differential", opened=True).split())
    assert all(text in opened for text in left)


def d_lines(derivation):
    """The lines of a derivation told by differentials."""
    return [
        said
        for section in present(derivation, style="differential", opened=True).sections
        for said in section.lines
    ]


def test_what_stands_still_opens_to_nothing():
    d = gs.derive(gs.parse("r @ hardmax(x)", x="n", r="n"), "x", seed=1)
    assert "∂C/∂x" in d.text(opened=True)


def test_letters_do_not_run_out():
    names = [*"xzuvstbcdy"]
    loss = gs.parse("+".join(names) + " + sum(cumsum(w)**2)", w="n", **dict.fromkeys(names, ""))
    told = " ".join(gs.derive(loss, "w", seed=1).text(opened=True).split())
    assert "with x₁ for cumsum(w)" in told


@pytest.mark.parametrize("view", ["matrix", "sample"])
@pytest.mark.parametrize("kind", [gs.jacobian, gs.hessian])
def test_every_line_of_an_array_is_proved_by_indices(kind, view):
    text = "tanh(A @ x)" if kind is gs.jacobian else "sum(tanh(A @ x))"
    told = present(kind(gs.parse(text, A="m n", x="n"), "x", seed=1), view=view, batch="m", opened=True)
    *_, work, result = told.sections
    lines = [said for said in (*work.lines, *result.lines) if said.left is not None]
    assert lines and all(said.proof for said in lines if "ᵢ" not in line(said.left))


def test_every_line_of_the_story_opens():
    loss = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")
    d = gs.derive(loss, ["w", "b"], seed=1)
    story = present(d, view="sample", opened=True).sections[2]
    assert all(said.proof or said.details for said in story.lines)
    opened = " ".join(d.text("sample", opened=True).split())
    assert "∂zᵢ/∂b = 1" in opened and "∂C/∂wⱼ = Σᵢ (∂C/∂zᵢ) ∂zᵢ/∂wⱼ = −2/N Σᵢ eᵢ 1[zᵢ > 0] Xᵢⱼ" in opened
    assert "None" not in d.markdown("sample") and d.markdown("sample").count("Entry by entry") == 2


@each(
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


@pytest.mark.parametrize(
    ("text", "shapes", "wrt", "shown"),
    [
        ("sum(kron(A, B)**2)", {"A": "m n", "B": "k l"}, "A", "(Σ B ⊙ B) A"),
        ("mean((y - X @ w)**2)", {"X": "N d", "w": "d", "y": "N"}, "w", "2 · 1/N = 2/N"),
        ("sum(cumsum(x)**2)", {"x": "n"}, "x", "d(cumsum(x)²) = 2 cumsum(x) d cumsum(x)"),
        ("norm(A @ x)", {"A": "m n", "x": "n"}, "x", "norm rule: a length changes by the part of the change"),
    ],
)
def test_an_opened_line_reads_as_it_is_meant(text, shapes, wrt, shown):
    told = gs.derive(gs.parse(text, **shapes), wrt, seed=1).text("sample", "differential", opened=True)
    assert shown in " ".join(told.split()), told
