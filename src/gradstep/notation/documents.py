"""How does a derivation stand in a document? LaTeX for papers, Markdown for notebooks, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gradstep.calculus.steps import Derivation, Line, Step
from gradstep.expression.boxes import Big, Box, Fence, Frac, Of, Row, Sup, Sym, parts_of, row
from gradstep.notation.latex import PACKAGES
from gradstep.notation.latex import latex as mathematics
from gradstep.notation.plain import Drawing, drawing, line, width
from gradstep.notation.presentation import Presentation, Said
from gradstep.notation.prose import prose, vocabulary
from gradstep.notation.writing import Writer, name_box
from gradstep.operations import graph

JSON_VERSION = 1

# ------------------------------------------------------------------------------------------- LaTeX

ROOM = 62  # characters of a formula, as a terminal shows it, that fit the line of an article
BESIDE = 40  # up to so many a remark stands beside it
PER_CHARACTER = 0.014  # of the width of a line
SMALL = 0.8  # a character of a remark, in characters of a formula
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
        self.widths: dict[int, tuple[Box, int]] = {}  # of boxes that are asked about again, by identity

    def width(self, box: Box | None) -> int:
        """About how wide a formula is."""
        if box is None:
            return 0
        found = self.widths.get(id(box))
        if found is None:
            found = self.widths[id(box)] = box, _width(box)
        return found[1]

    def parts(self) -> Iterator[str]:
        """The pieces of source, section by section."""
        yield r"\begingroup\allowdisplaybreaks"
        for section in self.told.sections:
            yield ""
            yield rf"\medskip\noindent\textbf{{{self.prose(section.title)}}}\nopagebreak"
            yield from self.lines(section.lines)
            for said in section.lines:
                yield from self.behind(said)
        for note in (*self.told.notes, self.told.proof):
            yield rf"\par\medskip\noindent{{\footnotesize {self.prose(note)}\par}}"
        yield r"\endgroup"

    def prose(self, sentence: str) -> str:
        """A sentence, with the names in it as they are set in formulas."""
        return prose(sentence, self.names)

    def behind(self, said: Said) -> Iterator[str]:
        """What a line opens to: its steps, and its proof entry by entry."""
        for heading, lines in said.openings():
            number = f"line {said.number}, " if said.number is not None else ""
            yield rf"\par\noindent{{\footnotesize {number}{heading}}}\nopagebreak"
            yield from self.lines(lines)

    def lines(self, lines: Sequence[Said]) -> Iterator[str]:
        """Lines in one alignment; bare formulas in a display, and bare sentences as text."""
        bare = [said for said in lines if said.left is None and said.number is None]
        sentences = [said for said in bare if any(map(_is_words, _flat(said.forms[0])))]
        lined = [said for said in lines if said not in bare]
        widest = max((self.width(form) for said in lined for form in said.forms), default=0)
        lefts = max((self.width(said.left) for said in lined), default=0)
        used = max(widest, 8) + max(0, lefts - 8)
        beside = 0.84 - PER_CHARACTER * used if widest <= BESIDE else 0.0
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
        room = ROOM - max(6, self.width(said.left))
        for form, remark in said.lines(_remark(said)):
            words = self.prose(remark)
            pieces = _pieces(form, room) if self.width(form) > room else [form]
            for k, piece in enumerate(pieces):
                inside = rf"{{}}\quad{{}} {mathematics(piece)}" if k else f"= {mathematics(piece)}"
                shown = f" &\\quad& {REMARK % (beside, words)}" if words and beside and not k else ""
                if words and not beside and self.width(piece) + len(remark) * SMALL <= room:
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
                room = self.width(form) + 4
                if rows[-1] and used + room > ROOM:
                    rows.append([])
                    used = 0
                rows[-1].append(mathematics(form) + remark)
                used += room
        body = " \\\\\n".join("& " + r" \qquad ".join(row) for row in rows)
        return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"


def _remark(said: Said) -> str:
    """The rule, the reason, and what is taken at a kink; of a named part what it is."""
    if said.number is None:
        return f"{', '.join(part for part in (said.rule, said.shape) if part)} {said.where}".strip()
    told = ": ".join(part for part in (said.rule, said.why) if part)
    return f"{'; '.join(part for part in (told, said.kink) if part)} {said.where}".strip()


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


def _width(box: Box) -> int:
    """About how wide a formula is, in characters of a terminal."""
    return width(drawing(box)) + _more(box)


def _more(box: Box) -> int:
    """By how much a formula is wider in LaTeX: its sum signs are."""
    count, stack = 0, [box]
    while stack:
        part = stack.pop()
        count += isinstance(part, Big) and part.sign == "Σ"
        stack += parts_of(part)
    return 3 * count


def _pieces(form: Box, room: int) -> list[Box]:
    """A formula broken before its signs, so that no piece is much wider than `room`."""
    pieces: list[list[Box]] = [[]]
    drawn: Drawing = []
    more = 0
    for item in _flat(form):
        starts = isinstance(item, Sym) and item.kind == "operator" and item.text in SIGNS
        if starts and drawn and width(drawn) + more > room * 0.55:
            pieces.append([])
            drawn, more = [], 0
        pieces[-1].append(item)
        drawn += drawing(item)
        more += _more(item)
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


# ------------------------------------------------------------------------------------------- Markdown

# What Markdown would take for its own, written so that it does not.
IN_MARKDOWN = (
    ("\\\\", r"\cr"),
    (r"\,", r"\thinspace "),
    (r"\ ", "~"),
    (r"\{", r"\lbrace "),
    (r"\}", r"\rbrace "),
)


def markdown(presentation: Presentation) -> str:
    """The presentation as Markdown with formulas between dollars, as GitHub and Jupyter read it."""
    parts: list[str] = []
    for section in presentation.sections:
        numbered = any(said.number is not None for said in section.lines)
        parts += [f"### {section.title}", _table(section.lines) if numbered else _displays(section.lines)]
        behind: dict[str, list[str]] = {}
        for said in section.lines:
            number = "-" if said.number is None else f"{said.number}."
            for heading, lines in said.openings():
                behind.setdefault(heading, []).append(f"{number} {'<br>'.join(map(_stated, lines))}")
        for heading, rows in behind.items():
            parts += [f"<details><summary>{heading.capitalize()}</summary>", "\n".join(rows), "</details>"]
    parts += [*presentation.notes, presentation.proof]
    return "\n\n".join(parts) + "\n"


def _table(lines: Sequence[Said]) -> str:
    """Numbered lines: number, formula, why."""
    rows = ["| | | |", "|--:|:--|:--|"]
    for said in lines:
        left = mathematics(said.left) if said.left is not None else ""
        for k, (form, remark) in enumerate(said.lines(_reason(said))):
            number = said.number if said.number is not None and not k else ""
            shown = _escaped(rf"\displaystyle {left} = {mathematics(form)}")
            rows.append(f"| {number} | ${shown}$ | {remark} |")
            left = rf"\phantom{{{left}}}" if left else ""
    return "\n".join(rows)


def _displays(lines: Sequence[Said]) -> str:
    """Formulas that only state something, each on a line of its own."""
    return "\n".join(f"{_stated(said)}  " for said in lines)


def _stated(said: Said) -> str:
    """A formula and what it is, or a sentence."""
    items: list[Box | str] = [said.left] if said.left is not None else []
    for form in said.forms:
        items += ["=", form] if items else [form]
    if any(map(_is_words, _flat(said.forms[0]))):
        return _sentence(said.forms[0])
    remark = _remark(said)
    return f"{inline(row(*items))}{f' — {remark}' if remark else ''}"


def inline(box: Box) -> str:
    """A formula between dollars, as Markdown takes it."""
    return f"${_escaped(rf'{chr(92)}displaystyle {mathematics(box)}')}$"


def _escaped(source: str) -> str:
    for sign, other in IN_MARKDOWN:
        source = source.replace(sign, other)
    return source


def _reason(said: Said) -> str:
    told = ": ".join(part for part in (said.rule, said.why) if part)
    return f"{'; '.join(part for part in (told, said.kink) if part)} {said.where}".strip().replace("|", "∣")


# ------------------------------------------------------------------------------------------- JSON


def to_json(derivation: Derivation, presentation: Presentation) -> dict[str, Any]:
    """The derivation as plain values, ready for `json.dumps`.

    format, version  "gradstep derivation" and the version of this layout
    kind             "gradient", "jacobian", "hessian", "jvp" or "hvp"
    formulas         the loss ("loss") and the answers ("gradient of w") as one list of nodes, each an
                     operation, the places of its operands, and its parameters; `gradstep.operations.graph`
                     reads it back
    parameters       by name the shape, and the gradient as text and as LaTeX
    parts            the named parts: what each is, and its formula
    gradients        of parts that the lines call by name, ∂C/∂z, and their formulas
    steps            from dC to the last line: rule, reason, place, what was replaced and by what
    sections         the same, told in this view and style: titles, and lines with number, forms and rule
    certificate      how every line was checked; large integers are text, for readers with 53 bits
    """
    loss = derivation.of
    called = {
        G: Frac(
            row("∂", name_box(derivation.names[loss], loss)), row("∂", name_box(derivation.names[part], part))
        )
        for G, part in derivation.fences.items()
        if part in derivation.parts
    }
    write = Writer({**derivation.names, **called})
    answers = {f"{derivation.kind} of {name}": G for name, G in derivation.answers.items()}
    roots = {"loss": loss, **answers}
    return {
        "format": "gradstep derivation",
        "kind": derivation.kind,
        "version": JSON_VERSION,
        "view": presentation.view,
        "style": presentation.style,
        "formulas": graph.to_json(roots),
        "parameters": {
            name: {
                "shape": list(parameter.shape),
                "gradient": _formula(write.opened(derivation.answers[name])),
            }
            for name, parameter in derivation.parameters.items()
        },
        "parts": [
            {"name": part.name, "role": part.role, "shape": list(node.shape), **_formula(write.opened(node))}
            for node, part in derivation.parts.items()
        ],
        "gradients": [{"name": line(box), **_formula(write.opened(G))} for G, box in called.items()],
        "assumptions": dict(derivation.assumptions),
        "steps": [_step(step, write) for step in derivation.steps],
        "sections": [
            {"title": section.title, "lines": [_line(said) for said in section.lines]}
            for section in presentation.sections
        ],
        "notes": list(presentation.notes),
        "proof": presentation.proof,
        "certificate": _certificate(derivation),
    }


def _formula(box: Box) -> dict[str, str]:
    return {"text": line(box), "latex": mathematics(box)}


def _step(step: Step, write: Writer) -> dict[str, Any]:
    return {
        "rule": step.rule,
        "why": step.why,
        "place": _formula(write(step.place)),
        "before": _terms(step.before, write),
        "after": _terms(step.after, write),
        "kink": step.kink,
        "rewrites": [{"rule": rewrite.rule, "why": rewrite.why} for rewrite in step.details],
    }


def _terms(terms: Line, write: Writer) -> list[dict[str, Any]]:
    """A sum of inner products ⟨G, dN⟩."""
    return [{"G": _formula(write(G)), "N": _formula(write(N)), "shape": list(N.shape)} for G, N in terms]


def _line(said: Said) -> dict[str, Any]:
    told: dict[str, Any] = {
        "number": said.number,
        "left": _formula(said.left) if said.left is not None else None,
        "forms": [_formula(form) for form in said.forms],
    }
    for name in ("rule", "why", "shape", "kink"):
        if getattr(said, name):
            told[name] = getattr(said, name)
    if said.because:
        told["because"] = list(said.because)
    if said.proof:
        told["proof"] = [_formula(box) for box in said.proof]
    if said.details:
        told["details"] = [_line(detail) for detail in said.details]
    return told


def _certificate(derivation: Derivation) -> dict[str, Any] | None:
    found = derivation.certificate
    if found is None:
        return None
    return {
        "verdict": found.verdict,
        "lines": found.lines,
        "exact": found.exact,
        "floating": found.floating,
        "number": None if found.number is None else str(found.number),
        "prime": str(found.prime),
        "seed": str(found.seed),
        "trials": found.trials,
        "chance": found.chance,
        "methods": list(found.methods),
        "digits": found.digits,
        "degree": str(found.degree),
        "checked": [
            {
                "rule": line.rule,
                "method": line.method,
                "number": None if line.number is None else str(line.number),
                "reason": line.reason,
                "needs": list(line.needs),
            }
            for line in found.checked
        ],
    }
