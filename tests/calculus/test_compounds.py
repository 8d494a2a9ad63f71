"""What a layer normalises is opened as a whole, and ends in the form with the two means."""

from __future__ import annotations

import numpy as np
import pytest

import gradstep as gs
from gradstep.calculus.certificate import certify
from gradstep.calculus.compounds import RULE, normalisation
from gradstep.calculus.derivation import moving_nodes
from gradstep.expression.node import walk
from gradstep.expression.records import replaced
from gradstep.operations.evaluation import variables

CENTRED = {
    "a layer": "m = mean(X, axis=1, keepdims=True); Y @ ((X - m)/sqrt(var(X, axis=1, keepdims=True) + eps))",
    "with a gain": "g*(X - mean(X, axis=1)[:, None])/sqrt(var(X, axis=1) + 0.1)[:, None]",
    "a batch": "(X - mean(X, axis=0))/sqrt(mean((X - mean(X, axis=0))**2, axis=0) + eps)*g",
    "one over the root": "(X - mean(X, axis=0))*(var(X, axis=0) + 0.1)**(-0.5)",
    "by the standard deviation": "(X - mean(X, axis=0))/std(X, axis=0)",
    "of a sample": "(X - mean(X, axis=1, keepdims=True))/sqrt(var(X, axis=1, ddof=1, keepdims=True) + eps)",
    "all entries": "(X - mean(X))/sqrt(var(X) + eps)",
}
STRETCHED = {
    "by the mean square": "g*X/sqrt(mean(X**2, axis=1, keepdims=True) + eps)",
    "with its inverse": "X*(1/sqrt(mean(X**2, axis=1, keepdims=True) + 0.01))",
}
SIZES = {"n": 4, "d": 3}


def loss(text: str) -> gs.Expr:
    *named, last = text.split("; ")
    shapes = {"X": "n d", "g": "d", "Y": "n n", "T": "n d", "eps": ""}
    used = {name: shape for name, shape in shapes.items() if name in text or name == "T"}
    return gs.parse("; ".join([*named, f"Z = {last}", "sum((Z - T)**2)"]), **used)


def measured(f: gs.Expr, name: str, at: dict[str, np.ndarray]) -> np.ndarray:
    """The slope by differences of the values that NumPy gives the formula as it was written."""
    slope, h = np.zeros_like(at[name]), 1e-6
    for place in np.ndindex(slope.shape):
        ends = []
        for step in (h, -h):
            moved = {**at, name: at[name].copy()}
            moved[name][place] += step
            ends.append(float(gs.evaluate(f, **moved)))
        slope[place] = (ends[0] - ends[1]) / (2 * h)
    return slope


@pytest.mark.parametrize("text", [*CENTRED.values(), *STRETCHED.values()], ids=[*CENTRED, *STRETCHED])
def test_what_is_normalised_opens_as_a_whole(text: str) -> None:
    f = loss(text)
    wrt = [name for name in ("X", "g") if name in text]
    d = gs.derive(f, wrt)
    assert d.certificate is not None and d.certificate.verdict is True
    assert RULE in [step.rule for step in d.steps]
    rng = np.random.default_rng(5)
    known = variables(f)
    at = {
        name: np.asarray(rng.normal(size=[SIZES[str(size)] for size in v.shape])) for name, v in known.items()
    }
    if "eps" in at:
        at["eps"] = np.array(0.3)
    for name in wrt:
        assert np.allclose(gs.evaluate(d.answers[name], **at), measured(f, name, at), rtol=1e-6, atol=1e-7)


def test_it_ends_in_the_form_with_the_two_means() -> None:
    d = gs.derive(loss(CENTRED["with a gain"]), "X")
    text = d.text()
    assert "∂C/∂X = (∂C/∂X̂ − 1/d ∂C/∂X̂ 1 1ᵀ − X̂ ⊙ 1/d (∂C/∂X̂ ⊙ X̂) 1 1ᵀ) ⊘ σ 1ᵀ" in text
    assert "could not be worked out" not in text and RULE in text
    only_one = gs.derive(loss(STRETCHED["by the mean square"]), "X").text()
    assert "(∂C/∂X̂ − X̂ ⊙ 1/d (∂C/∂X̂ ⊙ X̂) 1 1ᵀ) ⊘ σ 1ᵀ" in only_one


def test_where_more_than_x_moves_each_operation_is_opened() -> None:
    """ε moves: the rule, which takes it for a constant, is not used."""
    f = loss(STRETCHED["by the mean square"])
    d = gs.derive(f, ["X", "eps"])
    assert RULE not in [step.rule for step in d.steps]
    assert d.certificate is not None and d.certificate.verdict is True


@pytest.mark.parametrize(
    "text",
    [
        "(X - mean(X, axis=1, keepdims=True))/sqrt(var(X, axis=0) + 1)",  # another axis
        "(X - 2*mean(X, axis=0))/sqrt(var(X, axis=0) + 1)",
        "(X - mean(X, axis=0))/sqrt(var(2*X, axis=0) + 1)",
        "(X - mean(X, axis=0))/sqrt(var(X, axis=0) + mean(X, axis=0)**2)",  # ε that moves with X
        "X/sqrt(mean(X, axis=0)**2 + 1)",
    ],
)
def test_what_is_no_normalisation_is_not_read_as_one(text: str) -> None:
    f = loss(text)
    moving = moving_nodes(f, [variables(f)["X"]])
    assert not any(found is not None and found.opens(moving) for found in map(normalisation, walk(f)))
    d = gs.derive(f, "X")
    assert RULE not in [step.rule for step in d.steps]


def test_names_of_what_is_normalised() -> None:
    d = gs.derive(loss(CENTRED["a batch"]), "X")
    roles = {part.name: part.role for part in d.parts.values()}
    assert "centred" in roles.values() and roles["sigma"] == "deviation" and roles["X_hat"] == "normalised"
    with_sigmoid = gs.parse("sum(sigmoid((X - mean(X, axis=0))/sqrt(var(X, axis=0) + 1)))", X="n d")
    assert "sigma" not in [part.name for part in gs.derive(with_sigmoid, "X").parts.values()]


def test_attention_goes_on_to_the_row_sums_of_its_output() -> None:
    """FlashAttention, appendix B: rowsum(P ⊙ dP) = rowsum(dO ⊙ O), where O has a name."""
    shapes = {"Q": "n d", "K": "m d", "V": "m e", "G": "n e"}
    attention = "P = softmax(Q @ K.T/sqrt(d), axis=1); {}sum(G*{})"
    told = gs.derive(gs.parse(attention.format("O = P @ V; ", "O"), **shapes), "Q").text(width=200)
    assert "∂C/∂P − (P ⊙ ∂C/∂P) 1 1ᵀ" in told and "P ⊙ (G Vᵀ − (G ⊙ O) 1 1ᵀ)" in told
    assert "row sums of a product" in told
    without = gs.derive(gs.parse(attention.format("", "(P @ V)"), **shapes), "Q", names=["P"]).text()
    assert "row sums of a product" not in without
    heads = {name: f"h {shape}" for name, shape in shapes.items()}
    many = "P = softmax(Q @ K.mT/sqrt(d), axis=-1); O = P @ V; sum(G*O)"
    assert "(G_h ⊙ O_h) 1 1ᵀ" in gs.derive(gs.parse(many, **heads), "Q").text(width=200)


def test_normalisations_without_names_are_proved_and_wrong_ones_are_not() -> None:
    """Three layers have more square roots than can all be true ones at a point."""
    text = "a0"
    for k in (1, 2, 3):
        text = f"(W{k} @ {text})"
        text = f"({text} - mean({text}))/sqrt(var({text}) + 1)"
    f = gs.parse(f"sum(y*{text})", a0="n", y="n", W1="n n", W2="n n", W3="n n")
    d = gs.derive(f, "W3", names="none", seed=1)
    assert d.certificate is not None and d.certificate.verdict is True
    steps = [
        replaced(step, after=tuple((2 * G, N) for G, N in step.after)) if step.rule == RULE else step
        for step in d.steps
    ]
    wrong = certify(replaced(d, steps=tuple(steps)), seed=1)
    assert wrong.verdict is False and RULE in {failure.rule for failure in wrong.failures}
