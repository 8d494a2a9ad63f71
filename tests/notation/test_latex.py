"""Is the LaTeX right, safe to paste, and understood by a strict reader of it?"""

import re

import pytest
from cases import derivations
from hypothesis import given
from notation.judged import complaints, formulas
from notation.samples import BOXES, SAMPLES, nested

from gradstep.expression.boxes import Sym, row, word
from gradstep.notation.documents import latex as document
from gradstep.notation.documents import markdown
from gradstep.notation.folding import folded
from gradstep.notation.latex import LETTERS, latex
from gradstep.notation.symbols import GREEK, SIGNS
from gradstep.notation.views import STYLES, VIEWS, present


@pytest.mark.parametrize("name", SAMPLES)
def test_source(name):
    box, _, source = SAMPLES[name]
    assert latex(box) == source


@pytest.mark.parametrize("name", SAMPLES)
def test_every_letter_we_use_is_in_the_table(name):
    assert latex(SAMPLES[name][0]).isascii()
    assert "?" not in latex(SAMPLES[name][0])


@pytest.mark.parametrize("kind", ["scalar", "vector", "function", "operator", "text"])
def test_a_users_text_cannot_become_a_command(kind):
    hostile = r"\input{/etc/passwd}%$^_&~#"
    commands = set(re.findall(r"\\[A-Za-z]+", latex(Sym(hostile, kind))))
    assert r"\input" not in commands
    assert latex(Sym(hostile, kind)).count("$") == latex(Sym(hostile, kind)).count(r"\$")


@given(BOXES)
def test_braces_balance(box):
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", latex(box).replace(r"\\", "")):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0


@given(BOXES)
def test_every_left_has_its_right(box):
    commands = re.findall(r"\\(left|right)\b", latex(box))
    assert commands.count("left") == commands.count("right")


def test_depth_has_no_limit():
    assert latex(nested(1500)).count("(") == 1500


KINDS = ("scalar", "vector", "matrix", "text")
ALPHABET = [
    *(row(Sym("a"), Sym(text, "operator"), Sym("b")) for text in SIGNS),
    *(Sym(text, kind) for text in [*GREEK, *LETTERS] for kind in KINDS),
    word("100% of A_b & {c}"),
]
WAYS = [(view, style) for style in STYLES for view in VIEWS]


def test_katex_reads_every_letter_and_sign(katex):
    boxes = [*(box for box, _, _ in SAMPLES.values()), *ALPHABET]
    assert complaints(katex, map(latex, boxes)) == []


def test_katex_is_strict(katex):
    assert all(katex([r"\frac{1}", r"\nonsense", "x_1_2", r"\text{σ} ✓"]))


@pytest.mark.parametrize(("view", "style"), WAYS)
def test_katex_reads_the_documents_of_the_cases(katex, cases, view, style):
    """Every case in one of the ways."""
    chosen = cases[WAYS.index((view, style)) :: len(WAYS)]
    told = [folded(present(d, view=view, style=style)) for _, d in derivations(chosen)]
    documents = [text for each in told for text in (document(each), markdown(each))]
    sources = [source for text in documents for source in formulas(text)]
    assert len(sources) > len(documents)
    assert complaints(katex, sources) == []
