"""How does a result show itself in a notebook? As plain text, Markdown and LaTeX; never HTML.

What a notebook from someone else may show is cut down: MathML loses its fraction bars, styles and scripts go.
Markdown and LaTeX are typeset by the notebook itself, trusted or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gradstep.calculus.steps import Derivation
from gradstep.calculus.verdicts import Certificate
from gradstep.expression.boxes import row
from gradstep.expression.node import Expr
from gradstep.notation.documents import inline, latex, markdown
from gradstep.notation.latex import latex as mathematics
from gradstep.notation.presentation import Presentation
from gradstep.notation.telling import Telling
from gradstep.notation.terminal import text
from gradstep.notation.views import present
from gradstep.notation.writing import Writer, name_box

if TYPE_CHECKING:
    from gradstep.notation.verdicts import Verdict

Bundle = dict[str, str]
IN_WORDS = re.compile(r"([\\`*_\[\]{}|$~#])")  # what Markdown would take for its own
AS_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def mimebundle(presentation: Presentation) -> Bundle:
    """A derivation as told: text, Markdown and LaTeX."""
    return {
        "text/plain": text(presentation),
        "text/markdown": markdown(presentation),
        "text/latex": latex(presentation),
    }


def bundle(derivation: Derivation) -> Bundle:
    """`Derivation._repr_mimebundle_`."""
    return mimebundle(present(derivation, layers="folded", opened=True))


def expression(expr: Expr) -> Bundle:
    """`Expr._repr_mimebundle_`."""
    return {"text/plain": repr(expr), "text/latex": rf"$\displaystyle {mathematics(Writer({})(expr))}$"}


def equation(name: str, expr: Expr) -> str:
    """What an expression is called, and what it is, with no other names, in Markdown."""
    return inline(row(name_box(name, expr), "=", Writer({})(expr)))


def certificate(found: Certificate) -> Bundle:
    """`Certificate._repr_mimebundle_`: the verdict, which opens to every line."""
    rows = [
        [str(k), line.rule, "" if line.number is None else str(line.number), line.how()]
        for k, line in enumerate(found.checked, found.sides)
    ]
    head = ["", "", "both sides" if found.sides else "the line", "checked"]
    facts = [words(fact) for fact in found.facts()]
    parts = [words(str(found)), folded("Line by line", table(head, rows), *facts)]
    return {"text/plain": str(found), "text/markdown": "\n\n".join(parts) + "\n"}


def verdict(found: Verdict) -> Bundle:
    """`Verdict._repr_mimebundle_`: what is right or wrong, the slip, numbers to see it, and how it goes."""
    telling = Telling(found)
    parts = [f"**{words(' '.join(telling.head()))}**"]
    if not found.function:
        rows = []
        for k, line in enumerate(found.lines, 1):
            mark = "" if line.line.truth is None else {True: "✓", False: "✗", None: "?"}[line.verdict]
            rows.append([mark, f"{line.subject}", line.text])
            if k == found.first:
                rows.append(["", "right", telling.right(k)])
        parts.append(table(["", "", "yours"], rows))
    if found.first is not None:
        parts.append(words(telling.slip() or "None of the known slips explains it."))
    parts += [words(f"{note[:1].upper()}{note[1:]}.") for note in found.notes]
    if found.example is not None:
        parts.append(fenced(telling.see(found.example)))
    if found.first is None:
        parts.append(words(telling.proof().strip()))
    else:
        work = telling.ours()
        parts += [markdown(work).strip()] if work is not None else []
    return {"text/plain": str(found), "text/markdown": "\n\n".join(parts) + "\n"}


# ------------------------------------------------------------------------------------------- Markdown


def words(said: str) -> str:
    """Words that are not Markdown, whatever stands in them."""
    escaped = IN_WORDS.sub(r"\\\1", " ".join(said.split()))
    return re.sub(r"[&<>]", lambda sign: AS_HTML[sign[0]], escaped)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: bool = False) -> str:
    """Cells of words under their heads; all but the first of a row stand to the `right`, as numbers do."""
    rule = ["--", *(["--:"] if right else ["--"]) * (len(head) - 1)]
    lines = [[words(cell) for cell in row] for row in (head, *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (lines[0], rule, *lines[1:]))


def fenced(lines: Iterable[str]) -> str:
    """Lines as they stand."""
    return "\n".join(["~~~text", *lines, "~~~"])


def folded(title: str, *parts: str) -> str:
    """What opens on demand."""
    return "\n\n".join([f"<details><summary>{title}</summary>", *parts, "</details>"])
