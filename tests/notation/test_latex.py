"""Is the LaTeX right, safe to paste, and understood by LaTeX itself?"""

import re
import shutil
import subprocess

import pytest
from hypothesis import given
from notation.samples import BOXES, SAMPLES, nested

from gradstep.expression.boxes import Sym, row, word
from gradstep.notation.latex import LETTERS, document, latex
from gradstep.notation.symbols import GREEK, SIGNS


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


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_compiles_it(tmp_path):
    signs = [row(Sym("a"), Sym(text, "operator"), Sym("b")) for text in SIGNS]
    kinds = ("scalar", "vector", "matrix", "text")
    letters = [Sym(text, kind) for text in [*GREEK, *LETTERS] for kind in kinds]
    boxes = [*(box for box, _, _ in SAMPLES.values()), *signs, *letters, word("100% of A_b & {c}")]
    body = "\n".join(rf"\[ {latex(box)} \]" for box in boxes)
    (tmp_path / "samples.tex").write_text(document(body), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "samples.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
