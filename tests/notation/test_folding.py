"""Are deep networks, and networks unrolled over time, told once?"""

from __future__ import annotations

import re

import pytest

import gradstep as gs
from gradstep.expression.boxes import Box, Row, row
from gradstep.notation.folding import folded
from gradstep.notation.plain import line as plain
from gradstep.notation.presentation import Presentation, Said, Section
from gradstep.notation.symbols import symbol
from gradstep.notation.views import present
from gradstep.operations.evaluation import variables

BLOCK = (
    "m{k} = mean(H{p}, axis=1, keepdims=True)",
    "N{k} = g{k}*(H{p} - m{k})/sqrt(var(H{p}, axis=1, keepdims=True) + 0.00001) + c{k}",
    "Q{k} = N{k} @ Wq{k}",
    "K{k} = N{k} @ Wk{k}",
    "V{k} = N{k} @ Wv{k}",
    "P{k} = softmax(Q{k} @ K{k}.T/sqrt(d) + M, axis=1)",
    "R{k} = H{p} + P{k} @ V{k} @ Wo{k}",
    "F{k} = gelu(R{k} @ Wa{k} + a{k})",
    "H{k} = R{k} + F{k} @ Wb{k} + b{k}",
)


def transformer(blocks: int) -> gs.Derivation:
    """A decoder of one head: attention, residual connections, layer norm, cross-entropy."""
    shapes = {"X": "n v", "We": "v d", "Pe": "n d", "Y": "n v", "M": "n n", "Wu": "d v"}
    lines = ["H0 = X @ We + Pe"]
    for k in range(1, blocks + 1):
        lines += [part.format(k=k, p=k - 1) for part in BLOCK]
        shapes |= {f"{w}{k}": "d d" for w in ("Wq", "Wk", "Wv", "Wo")}
        shapes |= {f"g{k}": "d", f"c{k}": "d", f"b{k}": "d", f"a{k}": "f", f"Wa{k}": "d f", f"Wb{k}": "f d"}
    loss = gs.parse("; ".join([*lines, f"-sum(Y*log_softmax(H{blocks} @ Wu, axis=1))/n"]), **shapes)
    return gs.derive(loss, [name for name in variables(loss) if name not in ("X", "Y", "M")])


GATES = {"i": "sigmoid", "f": "sigmoid", "o": "sigmoid", "g": "tanh"}


def lstm(steps: int) -> gs.Derivation:
    """Long short-term memory over so many steps, with the same weights at each (Hochreiter, Schmidhuber)."""
    lines, shapes = [], {"y": "n", "h0": "n", "c0": "n"}
    for t in range(1, steps + 1):
        lines += [f"{k}{t} = {f}(W{k} @ x{t} + U{k} @ h{t - 1} + b{k})" for k, f in GATES.items()]
        lines += [f"c{t} = f{t}*c{t - 1} + i{t}*g{t}", f"h{t} = o{t}*tanh(c{t})"]
        shapes[f"x{t}"] = "d"
    for k in GATES:
        shapes |= {f"W{k}": "n d", f"U{k}": "n n", f"b{k}": "n"}
    loss = gs.parse("; ".join([*lines, f"sum((h{steps} - y)**2)"]), **shapes)
    return gs.derive(loss, [f"{w}{k}" for w in "WUb" for k in GATES])


def numbered(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"^ *(\d+)  ∂", text, re.M)]


@pytest.fixture(scope="module")
def told_transformer() -> str:
    return transformer(12).text(width=200)


@pytest.fixture(scope="module")
def told_lstm() -> str:
    return lstm(6).text()


def test_twelve_blocks_of_a_transformer_are_told_once(told_transformer: str) -> None:
    lines = told_transformer.splitlines()
    assert len(lines) < 150
    assert "could not be worked out" not in told_transformer
    for part in (
        "∂C/∂Vₗ   = Pₗᵀ ∂C/∂Rₗ Woₗᵀ",
        "∂C/∂Zₗ",
        "(∂C/∂X̂ₗ₊₁ − 1/d ∂C/∂X̂ₗ₊₁ 1 1ᵀ − X̂ₗ₊₁ ⊙ 1/d (∂C/∂X̂ₗ₊₁ ⊙ X̂ₗ₊₁) 1 1ᵀ) ⊘ σₗ₊₁ 1ᵀ",
    ):
        assert part in told_transformer, part
    assert not re.search("[₃₄₅₆₇₈₉]", told_transformer), "no block is told by itself"


def test_as_many_lines_for_more_blocks(told_transformer: str) -> None:
    assert numbered(transformer(5).text()) == numbered(told_transformer) == [*range(1, 27)]


def test_steps_in_time_are_told_once(told_lstm: str) -> None:
    assert "cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ gₜ" in told_lstm and "(t = 1 … 6)" in told_lstm
    assert "= ∂C/∂cₜ₊₁ ⊙ fₜ₊₁ + ∂C/∂aₜ ⊙ (1 − aₜ²)" in told_lstm
    assert "x₁, x₂, … x₆ have d entries each" in told_lstm
    assert numbered(lstm(9).text()) == numbered(told_lstm)


def test_what_all_steps_share_is_a_sum_over_them(told_lstm: str) -> None:
    for gate, weights in {"Wo": "xₜᵀ", "Uo": "hₜ₋₁ᵀ"}.items():
        assert re.search(rf"∂C/∂ {gate} = Σₜ ∂C/∂.ₜ {weights} +n×. +total derivative", told_lstm), gate
    assert "with lines" not in told_lstm.split("Σₜ", 1)[1].split("One step")[0]


def test_lines_that_are_named_are_earlier_or_of_the_same_layer(told_transformer: str, told_lstm: str) -> None:
    for text in (told_transformer, told_lstm):
        last = max(numbered(text))
        found = [
            int(n)
            for words in re.findall(r"with lines? ([\d, and–]+)", text)
            for n in re.findall(r"\d+", words)
        ]
        assert found and max(found) <= last


def test_what_a_layer_opens_to_is_told_for_it() -> None:
    """In a page a line for all layers opens to its steps and its proof, for the same l."""
    told = present(transformer(4), layers="folded", opened=True)
    line = next(
        said for s in told.sections for said in s.lines if said.where == "(l = 4 … 1)" and said.number
    )
    assert line.details and line.proof


def drawn(*terms: str) -> Box:
    """A sum of products of numbered letters, as it is printed: "A1 B", "+ A2 B"."""
    box: Box | None = None
    for term in terms:
        made: Box = Row(tuple(symbol(letter, "matrix") for letter in term.lstrip("+- ").split()))
        box = made if box is None else row(box, "−" if term[0] == "-" else "+", made)
    assert box is not None
    return box


@pytest.mark.parametrize(
    ("terms", "shown"),
    [
        (("A1 B", "+ A2 B", "+ A3 B"), "Σₗ Aₗ B"),
        (("A3 B", "+ A2 B", "+ A1 B", "+ C"), "Σₗ Aₗ B + C"),
        (("A1 B", "- C", "+ A2 B", "+ A3 B"), "A₁ B − C + A₂ B + A₃ B"),
        (("C", "- A1 B", "- A2 B", "- A3 B"), "C − A₁ B − A₂ B − A₃ B"),
        (("A1 B", "+ A2 B", "- C", "+ A3 B", "+ A4 B", "+ A5 B"), "A₁ B + A₂ B − C + Σₗ Aₗ B"),
        (("A1 B", "+ A2 B", "+ A4 B"), "A₁ B + A₂ B + A₄ B"),
    ],
)
def test_only_terms_that_follow_each_other_are_a_sum(terms: tuple[str, ...], shown: str) -> None:
    told = Presentation("matrix", "partials", (Section("", (Said(None, (drawn(*terms),)),)),))
    ((said,),) = (section.lines for section in folded(told).sections)
    assert plain(said.forms[0]) == shown


def test_what_has_a_name_of_its_own_is_not_called_by_another() -> None:
    """A0 is a variable here: the first layer, which takes X, is told by itself."""
    lines = [f"Z{k} = {'X' if k == 1 else f'A{k - 1}'} @ W{k}; A{k} = tanh(Z{k})" for k in range(1, 6)]
    shapes = {f"W{k}": "d d" for k in range(1, 6)} | dict.fromkeys(("X", "Y", "A0"), "N d")
    loss = gs.parse("; ".join([*lines, "mean((Y - A5 - A0)**2)"]), **shapes)
    told = gs.derive(loss, [f"W{k}" for k in range(1, 6)]).text()
    assert "A₀ = X" not in told and "Z₁ = X W₁" in told and "(l = 2 … 5)" in told


# ------------------------------------------------------------------------------------------- one layer alone


@pytest.fixture(scope="module")
def derived() -> dict[str, gs.Derivation]:
    return {"LSTM": lstm(4), "residual": gs.networks["residual block"].derive(4, seed=7)}


def rows(told: Presentation) -> list[str]:
    """Every line as text, without the heading and the loss."""
    return [
        f"{said.number} {plain(said.left)} = {' = '.join(map(plain, said.forms))}"
        for section in told.sections
        for said in section.lines
        if said.left is not None
    ][1:]


@pytest.mark.parametrize("name", ["LSTM", "residual"])
def test_the_layers_one_by_one_are_the_lines_of_the_whole(
    name: str, derived: dict[str, gs.Derivation]
) -> None:
    whole = rows(present(derived[name]))
    layers = [rows(present(derived[name], layers=layer)) for layer in range(1, 5)]
    told = [line for layer in layers for line in layer]
    assert all(layers) and set(told) <= set(whole)
    for layer, lines in enumerate(layers, 1):
        assert all("₀₁₂₃₄"[layer] in line.split("=")[0] for line in lines)
    shared = [line for line in whole if line not in told]
    assert not any(small in line.split("=")[0] for line in shared for small in "₁₂₃₄")


def test_every_renderer_tells_one_layer(derived: dict[str, gs.Derivation]) -> None:
    d = derived["residual"]
    whole, one = d.text(layers="all"), d.text(layers="2")
    assert "(l = " not in whole and "(l = " in d.text() == d.text(layers="folded")
    assert 500 < len(one) < 0.7 * len(whole) and "here those of layer 2" in one
    for told in (d.markdown(layers=2, opened=False), d.latex(layers=2)):
        assert "A}_{2}" in told and "A}_{1}" not in told and "A}_{3}" not in told
    _, *sections = d.to_json(layers=2)["sections"]
    lefts = [line["left"]["text"] for section in sections for line in section["lines"] if line["left"]]
    assert len(lefts) > 8 and all("₂" in left for left in lefts)
    opened = d.text(layers=2, opened=True)
    assert "step by step" in opened and "entry by entry" in opened


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"layers": 9}, "there is no layer 9"),
        ({"layers": "some"}, "layers are all, folded, or the number"),
        ({"layers": True}, "layers are all, folded, or the number"),
        ({"layers": -1}, "there is no layer -1"),
        ({"layers": 2, "style": "differential"}, "all layers at once"),
    ],
)
def test_a_layer_that_cannot_be_told_is_explained(
    asked: dict[str, object], said: str, derived: dict[str, gs.Derivation]
) -> None:
    with pytest.raises(gs.MathError, match=said) as caught:
        derived["LSTM"].text(**asked)  # type: ignore[arg-type]
    assert caught.value.mend


def test_a_formula_without_layers_has_none() -> None:
    d = gs.derive(gs.parse("sum((X @ w - y)**2)", X="N d", w="d", y="N"), "w", seed=1)
    with pytest.raises(gs.MathError, match="there is no layer 1"):
        d.text(layers=1)
    assert d.text(layers="all") == d.text()
