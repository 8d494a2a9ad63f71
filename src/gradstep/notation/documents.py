"""How does a derivation stand in a document? As LaTeX for a paper, Markdown for a notebook, JSON for a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gradstep.calculus.steps import Derivation
from gradstep.expression.boxes import Big, Box, Fence, Frac, Of, Row, Sym
from gradstep.notation.latex import PACKAGES
from gradstep.notation.latex import latex as mathematics
from gradstep.notation.plain import block, display_width, line
from gradstep.notation.presentation import Presentation, Said, Section
from gradstep.notation.prose import prose
from gradstep.notation.terminal import text

JSON_VERSION = 1

# ------------------------------------------------------------------------------------------- LaTeX

ROOM = 62  # characters of a formula, as a terminal shows it, that fit the line of an article
BESIDE = 34  # up to so many a remark stands beside it
REMARK = r"\parbox[t]{%.2f\linewidth}{\raggedright\footnotesize %s}"
SIGNS = frozenset("=+−⊙⊘≤≥<>")


def latex(presentation: Presentation) -> str:
    r"""The presentation as the body of a LaTeX document: it needs amsmath and amssymb, and nothing else.

    Formulas stand in `alignat*`, aligned at their equals signs, the rule beside each line; long ones are broken.
    """
    parts = [r"\begingroup\allowdisplaybreaks"]
    for section in presentation.sections:
        parts += ["", rf"\medskip\noindent\textbf{{{prose(section.title)}}}\nopagebreak"]
        parts += _aligned(section)
    parts += [rf"\par\medskip\noindent{{\footnotesize {prose(note)}\par}}" for note in presentation.notes]
    parts += [rf"\par\medskip\noindent{{\footnotesize {prose(presentation.proof)}\par}}", r"\endgroup"]
    return "\n".join(parts) + "\n"


def latex_document(presentation: Presentation) -> str:
    """A whole LaTeX article with the presentation in it."""
    packages = "\n".join(rf"\usepackage{{{name}}}" for name in PACKAGES)
    head = f"\\documentclass{{article}}\n{packages}\n\\setlength{{\\parindent}}{{0pt}}"
    return f"{head}\n\\begin{{document}}\n{latex(presentation)}\\end{{document}}\n"


def _aligned(section: Section) -> list[str]:
    """The lines of a section in one alignment, or bare formulas in one display."""
    bare = [said for said in section.lines if said.left is None and said.number is None]
    rows: list[str] = []
    widest = max((_width(form) for said in section.lines if said not in bare for form in said.forms), default=0)
    room = 0.98 - 0.0155 * min(widest, BESIDE) - 0.12
    for said in section.lines:
        if said not in bare:
            rows += _rows(said, room if widest <= BESIDE else 0.0)
    parts = []
    if rows:
        body = " \\\\\n".join(rows)
        parts.append(f"\\begin{{alignat*}}{{3}}\n{body}\n\\end{{alignat*}}")
    if bare:
        parts.append(_displayed(bare))
    return parts


def _rows(said: Said, beside: float) -> Iterator[str]:
    """The rows of one line: number, left side, form, remark; a remark without room goes below."""
    number = rf"\text{{\footnotesize {said.number}}}" if said.number is not None else ""
    left = mathematics(said.left) if said.left is not None else ""
    if said.indent and left:
        left = rf"\quad {left}"
    remarks = [_remark(said), *said.because]
    for k, form in enumerate(said.forms):
        remark = prose(remarks[k]) if k < len(remarks) else ""
        for j, piece in enumerate(_pieces(form, ROOM - _width(said.left))):
            sign = "{}" if j else "="
            inside = rf"\quad {mathematics(piece)}" if j else mathematics(piece)
            shown = REMARK % (beside, remark) if remark and beside and not j else ""
            yield f"{number} &\\quad& {left} &{sign} {inside} &\\quad& {shown}".rstrip(" &\\quad").rstrip()
            number = left = ""
        if remark and not beside:
            yield f" && & \\hphantom{{{{}}={{}}}}{REMARK % (0.72, remark)}"


def _displayed(bare: Sequence[Said]) -> str:
    """Formulas that follow each other, several on a row."""
    rows: list[list[str]] = [[]]
    used = 0
    for said in bare:
        for form in said.forms:
            remark = rf"\quad\text{{\footnotesize {prose(said.rule)}}}" if said.rule else ""
            width = _width(form) + 4
            if rows[-1] and used + width > ROOM:
                rows.append([])
                used = 0
            rows[-1].append(mathematics(form) + remark)
            used += width
    body = " \\\\\n".join("& " + r"\qquad ".join(row) for row in rows)
    return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"


def _remark(said: Said) -> str:
    """The rule, or what a line is; the reasons are left to the text around it."""
    told = ", ".join(part for part in (said.rule, said.shape if said.number is None else "") if part)
    return "; ".join(part for part in (told, said.kink) if part)


def _width(box: Box | None) -> int:
    return block(box, 400).width if box is not None else 0


def _pieces(form: Box, room: int) -> list[Box]:
    """A formula broken before its signs, so that no piece is wider than `room`."""
    if _width(form) <= room:
        return [form]
    pieces: list[list[Box]] = [[]]
    for item in _flat(form):
        starts = isinstance(item, Sym) and item.kind == "operator" and item.text in SIGNS
        if starts and pieces[-1] and _width(Row(tuple(pieces[-1]))) > room * 0.55:
            pieces.append([])
        pieces[-1].append(item)
    return [Row(tuple(piece)) for piece in pieces]


def _flat(box: Box) -> Iterator[Box]:
    """The items of a formula side by side, brackets around the whole of a sum opened."""
    match box:
        case Of(_, inner):
            yield from _flat(inner)
        case Row(items):
            for item in items:
                yield from _flat(item)
        case Big(sign, below, above, body):
            yield Big(sign, below, above, Row(()))
            yield from _flat(body)
        case Fence(left, body, right) if left in "([" and _width(box) > ROOM // 2:
            yield Sym(left, "number")
            yield from _flat(body)
            yield Sym(right, "number")
        case _:
            yield box
