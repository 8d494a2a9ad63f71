"""Do the example notebooks run, and does everything show itself in a notebook, trusted or not?"""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import gradstep as gs
from gradstep.notation.notebooks import table, words

LOSS = gs.parse("mean((y - relu(X @ w + b))**2)", X="N d", w="d", b="", y="N")


@pytest.fixture(scope="module")
def notebooks():
    """The example notebooks by name, as they lie there and as they run now."""
    pytest.importorskip("nbclient", reason="NO NOTEBOOK IS RUN: nbclient is missing (python3 dev.py setup)")
    from docs.notebooks import EXAMPLES, run

    found = run([example.read_text(encoding="utf-8") for example in EXAMPLES])
    return {
        example.stem: (json.loads(example.with_suffix(".ipynb").read_text(encoding="utf-8")), ran)
        for example, ran in zip(EXAMPLES, found, strict=True)
    }


def test_the_notebooks_are_what_their_scripts_make(notebooks):
    assert len(notebooks) >= 3
    for written, ran in notebooks.values():
        kinds = [(cell.cell_type, cell.source, kinds_of(cell)) for cell in ran.cells]
        assert [(c["cell_type"], "".join(c["source"]), kinds_of(c)) for c in written["cells"]] == kinds


def kinds_of(cell):
    """The kinds of output of a cell."""
    return [sorted(output.get("data", ["stream"])) for output in cell.get("outputs", ())]


def test_nothing_in_them_needs_trust(notebooks):
    shown = [kind for _, ran in notebooks.values() for cell in ran.cells for kind in kinds_of(cell)]
    assert ["text/latex", "text/markdown", "text/plain"] in shown and ["text/markdown", "text/plain"] in shown
    assert {kind for kinds in shown for kind in kinds} == {
        *("text/plain", "text/markdown", "text/latex", "stream")
    }


# ------------------------------------------------------------------------------------------- each result

X = np.linspace(-1, 3, 24)[:, None]
DATA = {"X": X, "y": np.maximum(0, X[:, 0])}
SHOWN = {
    "an expression": lambda: LOSS,
    "a derivation": lambda: gs.derive(LOSS, wrt="w"),
    "a certificate": lambda: gs.derive(LOSS, wrt="w").certificate,
    "a certificate of sides": lambda: gs.jacobian(gs.parse("tanh(W @ x)", W="m n", x="n"), "x").certificate,
    "a verdict, right": lambda: gs.check(LOSS, wrt="b", claim="-2/N * sum(e * (z > 0))"),
    "a verdict, wrong": lambda: gs.check(LOSS, wrt="b", claim="2/N * sum(e * (z > 0))"),
    "a verdict of lines": lambda: gs.check(LOSS, wrt="b", claim="∂C/∂e = 2/N e\n∂C/∂b = 2/N sum(e)"),
    "a verdict of a function": lambda: gs.check(LOSS, wrt="b", claim=lambda X, w, b, y: {"b": b}),
    "a fit": lambda: gs.train(LOSS, DATA, steps=5),
    "a fit of layers": lambda: gs.train(
        gs.parse("mean((y - tanh(X @ W + b) @ v)**2)", X="N d", W="d h", b="h", v="h", y="N"),
        DATA,
        sizes={"h": 3},
        steps=5,
    ),
    "a sweep": lambda: gs.train(LOSS, DATA, steps=3, sweep={"learning_rate": [0.1, 0.01]}),
}


@pytest.mark.parametrize("name", SHOWN)
def test_it_shows_itself_as_text_and_as_markdown_or_latex(name):
    shown = SHOWN[name]()
    bundle = shown._repr_mimebundle_()
    assert set(bundle) in ({"text/plain", "text/markdown"}, {"text/plain", "text/latex"}, {*KINDS})
    assert not hasattr(shown, "_repr_html_")
    assert bundle["text/plain"] == (repr(shown) if name == "an expression" else str(shown).rstrip("\n")) or (
        name == "a derivation"
    )
    markdown = bundle.get("text/markdown", "")
    lines = markdown.splitlines()
    for k, line in enumerate(lines):  # every row of a table has as many cells as its head
        if line.startswith("|") and k and lines[k - 1].startswith("|"):
            assert columns(line) == columns(lines[k - 1]), line
    assert markdown.count("<details>") == markdown.count("</details>")
    assert markdown.count("$") % 2 == 0 and "None" not in markdown.replace("None of the known slips", "")


KINDS = ("text/plain", "text/markdown", "text/latex")


def columns(line):
    return len(re.findall(r"(?<!\\)\|", line))


def test_formulas_are_what_latex_reads(katex):
    bundles = [SHOWN[name]()._repr_mimebundle_() for name in ("an expression", "a verdict, wrong", "a fit")]
    texts = [text for bundle in bundles for kind, text in bundle.items() if kind != "text/plain"]
    formulas = [formula for text in texts for formula in re.findall(r"(?<!\\)\$(.+?)(?<!\\)\$", text)]
    assert len(formulas) > 5
    assert {*katex(formulas)} == {""}


@pytest.mark.parametrize("said", ["a|b", "*b* _c_", "<script>alert(1)</script>", "$x$ `y`", "a\nb", "[a](b)"])
def test_words_of_a_user_stay_words(said):
    shown = words(said)
    assert not re.search(r"(?<!\\)[|*_$`\[\]]|[<>\n]", shown)
    assert table(["", "x"], [[said, "1"]]).count("\n") == 2
