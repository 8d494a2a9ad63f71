"""Do arrays with more than two axes derive as matrices do? Axes in front count them, as in NumPy."""

import numpy as np
import pytest
from stacks import SIZES, formula

from gradstep import compile as compiled
from gradstep import derive, evaluate, networks, parse
from gradstep.expression.errors import MathError
from gradstep.notation.blocks import groups
from gradstep.notation.indices import entry_op, held, mentions, sigma, sigma_op
from gradstep.operations.activations import tanh
from gradstep.operations.arithmetic import multiply, multiply_op
from gradstep.operations.leaves import symbol


def values_of(variables, seed):
    draw = np.random.default_rng(seed).standard_normal
    return {str(v.params[0]): draw([SIZES[size] for size in v.shape]) for v in variables}


@pytest.mark.parametrize("seed", range(12))
def test_a_random_formula_has_the_gradient_that_is_measured(seed):
    loss, variables = formula(seed)
    derivation = derive(loss, [str(v.params[0]) for v in variables])
    assert derivation.certificate.verdict is True
    values, moves = values_of(variables, seed), values_of(variables, seed + 1)
    step = 1e-6
    ahead, behind = (
        float(evaluate(loss, **{name: values[name] + s * moves[name] for name in values}))
        for s in (step, -step)
    )
    value, gradients = compiled(derivation, backend="numpy")(**values)
    np.testing.assert_allclose(value, evaluate(loss, **values), rtol=1e-12)
    along = sum(np.sum(gradients[name] * moves[name]) for name in values)
    np.testing.assert_allclose(along, (ahead - behind) / (2 * step), rtol=1e-4, atol=1e-4)
    for name, answer in derivation.answers.items():
        np.testing.assert_allclose(evaluate(answer, **values), gradients[name], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("seed", [*range(4), 103, 105])  # 103 has four axes, and steps that open
def test_what_is_printed_of_it_is_worked_out_again(seed):
    derivation = derive(*formula(seed))
    for view, style in (("matrix", "partials"), ("sample", "differential"), ("index", "partials")):
        assert "could not be worked out" not in derivation.text(view=view, style=style, opened=seed == 103)


ATTENTION = "S = Q @ K.mT/sqrt(d); P = softmax(S, axis=-1); O = P @ V; sum(G*O)"


def lines(text, **shapes):
    """What stands in the lines of a derivation, by matrices."""
    told = derive(parse(text, **shapes), [name for name in shapes if name not in "GY"]).text()
    return [" ".join(line.split()) for line in told.splitlines()]


@pytest.mark.parametrize(("axes", "index"), [("h n d", "_h"), ("b h n d", "_bh")])
def test_attention_with_heads_reads_as_attention(axes, index):
    """The lines of one head, each with its index, and nothing else in them."""
    one = lines(ATTENTION.replace("mT", "T"), Q="n d", K="n d", V="n d", G="n d")
    many = lines(ATTENTION, Q=axes, K=axes, V=axes, G=axes)
    wanted = [  # ∂C/∂V from "2 ∂C/∂V = …"
        line.split("=")[0] for line in one if "∂C" in line and line[:1].isdigit()
    ]
    assert wanted and all(any(line.startswith(f"{w.strip()}{index} ") for line in many) for w in wanted)
    formulas = "\n".join(many)
    for formula_ in ("∂C/∂V@ = P@ᵀ ∂C/∂O@", "∂C/∂P@ = ∂C/∂O@ V@ᵀ", "∂C/∂K@ = 1/√d (∂C/∂S@)ᵀ Q@"):
        assert formula_.replace("@", index) in formulas
    assert "∂C/∂S@ = P@ ⊙ (∂C/∂P@ − (P@ ⊙ ∂C/∂P@) 1 1ᵀ)".replace("@", index) in formulas


def test_a_parameter_that_all_matrices_share_adds_up():
    told = "\n".join(lines("Z = X @ W; mean((Z - Y)**2)", X="b n d", W="d k", Y="b n k"))
    assert "∂C/∂W = Σᵢ Xᵢᵀ ∂C/∂Zᵢ" in told and "Xᵢ is matrix i of X, Yᵢ of Y, for every i" in told


@pytest.mark.parametrize(
    ("text", "shapes", "said", "mend"),
    [
        ("sum(X.T)", {"X": "b n d"}, "has no .T", "X.mT"),
        ("sum(transpose(X))", {"X": "b n d"}, "has no .T", None),
        ("sum(transpose(X, (0, 0, 1)))", {"X": "b n d"}, "given twice", None),
        ("sum(transpose(X, (0, 1)))", {"X": "b n d"}, "each of the 3 axes once", None),
        ("sum(swapaxes(X, 0, 3))", {"X": "b n d"}, "no axis 3", None),
        ("sum(X @ Y)", {"X": "b n d", "Y": "h d n"}, "the sizes b and h should be equal", None),
        ("sum(X @ Y)", {"X": "b n d", "Y": "b n d"}, "the sizes d and n should be equal", "X.mT @ Y"),
    ],
)
def test_an_error_about_axes_says_what_to_write(text, shapes, said, mend):
    with pytest.raises(MathError, match=said) as caught:
        parse(text, **shapes)
    assert mend is None or mend in str(caught.value)


HEADS = (
    "Q = swapaxes(reshape(X @ Wq, (n, h, k)), 0, 1); K = swapaxes(reshape(X @ Wk, (n, h, k)), 0, 1); "
    "V = swapaxes(reshape(X @ Wv, (n, h, k)), 0, 1); P = softmax(Q @ K.mT/sqrt(k) + M, axis=-1); "
    "O = reshape(swapaxes(P @ V, 0, 1), (n, h*k)); mean((O @ Wo - Y)**2)"
)
FOR_HEADS = {"X": "n d", "M": "n n", "Y": "n d", "Wo": "h*k d"} | dict.fromkeys(("Wq", "Wk", "Wv"), "d h*k")


def test_heads_that_stand_side_by_side_are_blocks():
    told = "\n".join(lines(HEADS, **FOR_HEADS))
    assert "Q_h = X Wq^(h)" in told and "O = [P₁ V₁ ⋯ P_h V_h]" in told
    assert "∂C/∂K_h = 1/√k (∂C/∂U_h)ᵀ Q_h" in told and "∂C/∂ Wk = Xᵀ [∂C/∂K₁ ⋯ ∂C/∂K_h]" in told
    assert "reshape_" not in told and "could not be worked out" not in told


def test_code_for_heads_runs_where_the_arrays_tell_how_many_there_are():
    derivation = derive(parse(HEADS, **FOR_HEADS), ["Wq", "Wo"])
    with pytest.raises(MathError, match="do not tell the size h"):
        compiled(derivation, backend="numpy")
    numbered = HEADS.replace("h, k)", "3, 4)").replace("h*k", "12").replace("sqrt(k)", "2")
    shapes = {name: shape.replace("h*k", "12") for name, shape in FOR_HEADS.items()}
    derivation = derive(parse(numbered, **shapes), ["Wq", "Wo"])
    draw = np.random.default_rng(1).standard_normal
    values = {
        name: draw([{"n": 5, "d": 2, "12": 12}[size] for size in shape.split()])
        for name, shape in shapes.items()
    }
    gradients = compiled(derivation, backend="numpy")(**values)[1]
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, evaluate(derivation.answers[name], **values), rtol=1e-9)


@pytest.mark.parametrize(
    ("before", "after", "runs"),
    [
        (("n", "h*k"), ("n", "h", "k"), [(1, 1), (1, 2)]),
        (("b", "n", "d"), ("b*n", "d"), [(2, 1), (1, 1)]),
        (("m", "n"), ("n", "m"), [(2, 2)]),
        ((2, 3, "n"), (3, 2, "n"), [(2, 2), (1, 1)]),
        (("n", 6), ("n", 2, 3), [(1, 1), (1, 2)]),
    ],
)
def test_axes_are_split_and_merged_in_runs(before, after, runs):
    found = groups(before, after)
    assert [(len(a), len(b)) for a, b in found] == runs
    for shape, side in ((before, 0), (after, 1)):
        assert [k for run in found for k in run[side]] == list(range(len(shape)))


@pytest.mark.parametrize(
    "text",
    [
        "sum((X - mean(X, axis=2)[:, :, None])**2)",
        "sum((X - mean(X, axis=1)[:, None])**2)",
        "sum(X*m[:, :, None] + mean(X, axis=0))",
        "sum(X.mT @ X) + sum(transpose(X, (2, 0, 1)))",
    ],
)
def test_it_is_written_as_it_was_read(text):
    shapes = {"X": "b n d", "m": "b n"} if "m[" in text else {"X": "b n d"}
    assert str(parse(text, **shapes)) == text


def test_heads_have_an_index_of_their_own_in_the_index_view():
    """What is cut into blocks reads as one, and what stands side by side as that; nothing is reshaped."""
    told = networks["multi-head attention"].derive(seed=1).text(view="index", width=150)
    lines = " ".join(told.split("Signs")[0].split())
    assert "reshape_" not in lines and "₍₁" not in lines
    for line in (
        "Qᵢⱼₗ = Σₘ Xⱼₘ (Wq⁽ⁱ⁾)ₘₗ",
        "∂C/∂Pᵢⱼₗ = Σₘ ((∂C/∂O)⁽ⁱ⁾)ⱼₘ Vᵢₗₘ",
        "∂C/∂ Wkᵢⱼ = Σₗ Xₗᵢ [∂C/∂K_(1,l) ⋯ ∂C/∂K_hl]ⱼ",
    ):
        assert line in lines, line
    groups = networks["group norm"].derive(seed=1).text(view="index")
    assert "Rₙᵢⱼ = (X⁽ⁱ⁾)ₙⱼ" in groups and "∂C/∂R̂ₙᵢⱼ = ∂C/∂O_(n,i·q+j) g_(i·q+j)" in groups


def test_an_index_inside_of_what_an_entry_is_taken_of_stays_in_its_sum():
    """Σⱼ f(x_j)ᵢ y is not f(x_j)ᵢ Σⱼ y: the j is in what has the entry i."""
    x = symbol("X", "n m")
    row = tanh(entry_op(params=(x, (None, "j"))))
    inside = entry_op(params=(row, ("i",)))
    assert held(inside) == {"i", "j"} and mentions(inside, "j") and not mentions(inside, "k")
    total = sigma("j", "m", multiply(inside, symbol("y")))
    assert total.op is sigma_op and total.args[0].op is multiply_op


@pytest.mark.parametrize(
    ("text", "shape", "line"),
    [
        ("sum(tanh(reshape(X, (n, 1, 1, m))))", "n m", "Zᵢⱼₖₗ = Xᵢₗ"),
        ("sum(tanh(reshape(X, (n, m))))", "n 1 m", "Zᵢⱼ = X_(i,0,j)"),
        ("sum(tanh(reshape(2*X, (n, h, k))))", "n h*k", "Zᵢⱼₗ = 2X_(i,j·k+l)"),
        ("sum(tanh(reshape(X, (n, h*k))))", "n h k", "Zᵢⱼ = [X_(i,1) ⋯ X_ih]ⱼ"),
    ],
)
def test_entries_of_another_shape_read_at_their_places(text, shape, line):
    told = derive(parse(text, X=shape), "X").text(view="index")
    assert line in " ".join(told.split()) and "reshape_" not in told.split("Signs")[0]
