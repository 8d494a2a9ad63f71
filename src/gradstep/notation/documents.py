"""How does a derivation stand in a document? As LaTeX in a paper, Markdown in a notebook, JSON in a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from gradstep.calculus.steps import Derivation
from gradstep.expression.boxes import Big, Box, Fence, Of, Row, Sup, Sym
from gradstep.notation.latex import PACKAGES
from gradstep.notation.latex import latex as mathematics
from gradstep.notation.plain import block, display_width, line
from gradstep.notation.presentation import Presentation, Said, Section
from gradstep.notation.prose import prose, vocabulary
from gradstep.notation.terminal import text

JSON_VERSION = 1

# ------------------------------------------------------------------------------------------- LaTeX

ROOM = 62  # characters of a formula, as a terminal shows it, that fit the line of an article
BESIDE = 36  # up to so many a remark stands beside it
PER_CHARACTER = 0.014  # of the width of a line
SMALL = 0.8  # a character of a remark, in characters of a formula
SHORT = 64  # a rule and its reason, if they are no longer, stand together
REMARK = r"\parbox[t]{%.2f\linewidth}{\raggedright\footnotesize %s}"
SIGNS = frozenset("=+−⊙⊘≤≥<>")


def latex(presentation: Presentation) -> str:
    r"""The presentation as the body of a LaTeX document: it needs amsmath and amssymb, and nothing else.

    Formulas stand in `alignat*`, aligned at their equals signs, the rule beside each; long ones are broken.
    """
    return "\n".join(_Article(presentation).parts()) + "\n"


def latex_document(presentation: Presentation) -> str:
    """A whole LaTeX article with the presentation in it."""
    packages = "\n".join(rf"\usepackage{{{name}}}" for name in PACKAGES)
    head = f"\\documentclass{{article}}\n{packages}\n\\setlength{{\\parindent}}{{0pt}}"
    return f"{head}\n\\begin{{document}}\n{latex(presentation)}\\end{{document}}\n"


class _Article:
    """Writes one presentation in LaTeX."""

    def __init__(self, presentation: Presentation) -> None:
        self.told = presentation
        said = [said for section in presentation.sections for said in section.lines]
        boxes = (box for one in said for box in (one.left, *one.forms) if box is not None)
        self.names = vocabulary(boxes, parts=presentation.view == "matrix")

    def parts(self) -> Iterator[str]:
        """The pieces of source, section by section."""
        yield r"\begingroup\allowdisplaybreaks"
        for section in self.told.sections:
            yield ""
            yield rf"\medskip\noindent\textbf{{{self.prose(section.title)}}}\nopagebreak"
            yield from self.section(section)
        for note in (*self.told.notes, self.told.proof):
            yield rf"\par\medskip\noindent{{\footnotesize {self.prose(note)}\par}}"
        yield r"\endgroup"

    def prose(self, sentence: str) -> str:
        """A sentence, with the names in it as they are set in formulas."""
        return prose(sentence, self.names)

    def section(self, section: Section) -> Iterator[str]:
        """The lines of a section in one alignment; bare formulas in a display, and bare sentences as text."""
        bare = [said for said in section.lines if said.left is None and said.number is None]
        sentences = [said for said in bare if any(map(_is_words, _flat(said.forms[0])))]
        lined = [said for said in section.lines if said not in bare]
        widest = max((_width(form) for said in lined for form in said.forms), default=0)
        beside = 0.84 - PER_CHARACTER * max(widest, 8) if widest <= BESIDE else 0.0
        rows = [row for said in lined for row in self.rows(said, beside)]
        if rows:
            body = " \\\\\n".join(rows)
            yield f"\\begin{{alignat*}}{{3}}\n{body}\n\\end{{alignat*}}"
        yield from (rf"\noindent {_sentence(said.forms[0])}\par" for said in sentences)
        formulas = [said for said in bare if said not in sentences]
        if formulas:
            yield self.display(formulas)

    def rows(self, said: Said, beside: float) -> Iterator[str]:
        """The rows of one line: number, left side, form, remark; a remark without room goes below."""
        number = rf"\text{{\footnotesize {said.number}}}" if said.number is not None else ""
        left = mathematics(said.left) if said.left is not None else ""
        room = ROOM - max(6, _width(said.left))
        remarks = [_remark(said), *said.because][: len(said.forms)]
        for form, remark in zip_longest(said.forms, remarks, fillvalue=""):
            words = self.prose(remark)
            for k, piece in enumerate(_pieces(form, room)):
                inside = rf"{{}}\quad{{}} {mathematics(piece)}" if k else f"= {mathematics(piece)}"
                shown = f" &\\quad& {REMARK % (beside, words)}" if words and beside and not k else ""
                if words and not beside and _width(piece) + len(remark) * SMALL <= room:
                    shown, words = rf" \qquad \text{{\footnotesize {words}}}", ""
                yield f"{number} &\\quad& {left} &{inside}{shown}"
                number = left = ""
            if words and not beside:
                yield rf" && & \qquad {REMARK % (0.7, words)}"

    def display(self, bare: Sequence[Said]) -> str:
        """Formulas that follow each other, several on a row."""
        rows: list[list[str]] = [[]]
        used = 0
        for said in bare:
            for form in said.forms:
                remark = rf"\quad\text{{\footnotesize {self.prose(said.rule)}}}" if said.rule else ""
                width = _width(form) + 4
                if rows[-1] and used + width > ROOM:
                    rows.append([])
                    used = 0
                rows[-1].append(mathematics(form) + remark)
                used += width
        body = " \\\\\n".join("& " + r" \qquad ".join(row) for row in rows)
        return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"


def _remark(said: Said) -> str:
    """The rule, the reason if it is short, and what is taken at a kink; of a named part what it is."""
    if said.number is None:
        return ", ".join(part for part in (said.rule, said.shape) if part)
    told = f"{said.rule}: {said.why}" if said.why and len(said.rule + said.why) <= SHORT else said.rule
    return "; ".join(part for part in (told, said.kink) if part)


def _is_words(box: Box) -> bool:
    return isinstance(box, Sym) and box.kind == "text"


def _sentence(box: Box) -> str:
    """Words with names between them, as text that breaks."""
    runs: list[tuple[bool, list[Box]]] = []
    for item in _flat(box):
        if not runs or runs[-1][0] != _is_words(item):
            runs.append((_is_words(item), []))
        runs[-1][1].append(item)
    told = [
        " ".join(prose(line(item)) for item in items) if words else f"${mathematics(Row(tuple(items)))}$"
        for words, items in runs
    ]
    return " ".join(told)


def _width(box: Box | None) -> int:
    """About how wide a formula is, in characters of a terminal; a sum sign is wider in LaTeX."""
    return block(box, 400).width + 2 * line(box).count("Σ") if box is not None else 0


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
        case Sup(Fence(left, body, right), exponent) if left in "([" and _width(box) > ROOM // 2:
            yield Sym(left, "number")
            yield from _flat(body)
            yield Sup(Sym(right, "number"), exponent)
        case _:
            yield box
