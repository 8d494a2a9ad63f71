"""How does a derivation stand on a page? Its lines in MathML, each opening to its reason and proof."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from html import escape
from typing import Any

from gradstep.backends import compile_outputs
from gradstep.calculus.cotangents import cotangent_op
from gradstep.calculus.steps import Derivation
from gradstep.expression.boxes import Box, row
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import shape_text
from gradstep.notation.latex import latex
from gradstep.notation.mathml import mathml
from gradstep.notation.presentation import Presentation, Said
from gradstep.notation.presentation import Section as Told
from gradstep.notation.spoken import spoken
from gradstep.notation.views import present
from gradstep.page.document import Block, Code, Formula, Html, Page, Section, Steps, StepView, Text, Verdict
from gradstep.page.keys import Keys

# The colour of a symbol, the same from line to line and in the pictures: classes of page.css.
WEIGHT, BIAS, INPUT, TARGET, AFFINE, ERROR, ACTIVATION, SOFTMAX, OTHER = (f"c{k}" for k in range(1, 10))
BY_ROLE = {
    "affine function": AFFINE,
    "linear function": AFFINE,
    "argument": AFFINE,
    "activation": ACTIVATION,
    "softmax": SOFTMAX,
    "error": ERROR,
}

LANGUAGES = {"NumPy": "numpy", "PyTorch": "torch", "JavaScript": "javascript"}

Colour = Callable[[Any], str | None]


def colours(derivation: Derivation) -> dict[Expr, str]:
    """A colour for every variable and every named part."""
    parameters = set(derivation.parameters.values())
    multiplied = {arg for node in walk(derivation.of) if node.op.name == "matmul" for arg in node.args}
    chosen: dict[Expr, str] = {}
    for node in walk(derivation.of):
        if node in derivation.parts:
            chosen[node] = BY_ROLE.get(derivation.parts[node].role.split(" (")[0], OTHER)
        elif node.op.name == "symbol":
            if node in parameters:
                chosen[node] = WEIGHT if node in multiplied or node.rank else BIAS
                if node.rank and node not in multiplied:
                    chosen[node] = BIAS
            else:
                chosen[node] = INPUT if node in multiplied else TARGET
    chosen.pop(derivation.of, None)
    return chosen


class Typesetter:
    """Sets boxes as MathML: symbols in their colours, shapes on hover, and the `keys` of what has a worth."""

    def __init__(self, derivation: Derivation, keys: Keys | None = None) -> None:
        self.derivation = derivation
        self.colours = colours(derivation)
        self.keys = keys
        self.programs = cache(self._programs)

    def __call__(self, box: Box, display: bool = True) -> str:
        """The box as a <math> element."""
        return mathml(box, display=display, describe=_shape, colour=self.colour, key=self.keys)

    def _programs(self, key: str) -> tuple[tuple[str, str], ...]:
        """What a key is worth, as programs by language."""
        expr = self.keys.worth.get(key) if self.keys is not None else None
        if expr is None:
            return ()
        if not expr.args:
            return tuple((title, str(expr)) for title in LANGUAGES)
        found = []
        for title, backend in LANGUAGES.items():
            with suppress(MathError):
                made = compile_outputs({"": expr}, self.derivation.names, backend=backend)
                found.append((title, made.source))
        return tuple(found)

    def colour(self, what: object) -> str | None:
        """The class of a symbol."""
        return self.colours.get(what) if isinstance(what, Expr) else None


def _shape(what: object) -> str | None:
    """Shapes are worth a word for what has a name: variables, parts, and ∂C/∂them."""
    if not isinstance(what, Expr) or what.op is cotangent_op or (what.args and what.rank == 0):
        return None
    return shape_text(what.shape) if what.op.name in ("symbol",) or what.args else None


def steps(told: Told, set_in_type: Typesetter, checked: bool | None) -> Steps:
    """The numbered lines of a derivation; a tick on each only where the derivation was `checked`."""
    views: list[StepView] = []
    before: dict[bool, Said] = {}  # the last line with a left side, and the last that stands aside
    for said in told.lines:
        if said.left is not None:
            before[said.indent > 0] = said
        views.append(_step(said, before.get(said.indent > 0), set_in_type, checked))
    return Steps(views, label=told.title)


def _step(said: Said, before: Said | None, set_in_type: Typesetter, checked: bool | None) -> StepView:
    """A line; `before` is the last one with a left side, which a line without one goes on from."""
    body: list[Box | str] = []
    for form in said.forms:
        body += ["=", form]
    keys, left = set_in_type.keys, said.left
    if left is None and before is not None:
        left = before.left
    key, entry = keys.left(left) if keys is not None else ("", False)
    copies = _copies(left, body, key, set_in_type) if keys is not None else ()
    details = [Html(f"{_rule(d)}: {_equation(d, set_in_type)}") for d in said.details]
    return StepView(
        number=said.number if said.number is not None else "",
        mathml=set_in_type(row(*body)),
        rule=" ".join(part for part in (said.rule, said.where) if part),
        why="; ".join(part for part in (said.why, said.kink, *said.because) if part),
        proof=[set_in_type(box) for box in said.proof],
        shape=said.shape,
        details=details,
        left=set_in_type(said.left) if said.left is not None else "",
        checked=checked,
        key=key,
        entry=entry,
        copies=copies,
        spoken=spoken(row(*([left] if left is not None else []), *body)),
    )


def _copies(
    left: Box | None, body: Sequence[Box | str], key: str, typed: Typesetter
) -> list[tuple[str, str]]:
    """What a line is in other languages: LaTeX, and programs of what it is worth."""
    said = latex(row(*([left] if left is not None else []), *body))
    return [("LaTeX", said), *typed.programs(key)]


def _rule(said: Said) -> str:
    return escape(said.rule)


def _equation(said: Said, set_in_type: Typesetter) -> str:
    items: list[Box | str] = [said.left] if said.left is not None else []
    for form in said.forms:
        items += ["=", form]
    return set_in_type(row(*items), display=False)


def formulas(told: Told, set_in_type: Typesetter) -> Formula:
    """Lines that only state something, with what they are beside them."""
    lines, remarks = [], []
    for said in told.lines:
        items: list[Box | str] = [said.left] if said.left is not None else []
        for form in said.forms:
            items += ["=", form] if items else [form]
        lines.append(set_in_type(row(*items)))
        remark = ", ".join(part for part in (said.rule, said.shape) if part)
        remarks.append(f"{remark} {said.where}".strip())
    return Formula(lines, remarks=remarks if any(remarks) else ())


def told_sections(
    presentation: Presentation, derivation: Derivation, keys: Keys | None = None
) -> dict[str, Section]:
    """The sections of a derivation for a page, by title; the line of its proof goes with the derivation."""
    set_in_type = Typesetter(derivation, keys)
    verdict = derivation.certificate.verdict if derivation.certificate is not None else None
    worked = [told for told in presentation.sections if any(said.number is not None for said in told.lines)]
    sections: dict[str, Section] = {}
    for told in presentation.sections:
        if told not in worked:
            sections[told.title] = Section(told.title, [formulas(told, set_in_type)])
            continue
        blocks: list[Block] = [steps(told, set_in_type, verdict)]
        if told is worked[-1]:  # one proof for all lines, below the last of them
            blocks.append(Verdict(presentation.proof.lstrip("✓✗? "), verdict))
            notes = [*presentation.notes, *([CHECKED] if verdict else [])]
            blocks.append(Text([f"{note.rstrip('.')}." for note in notes]))
        sections[told.title] = Section(told.title, blocks)
    return sections


CHECKED = (
    "A machine has checked these lines: with whole numbers drawn at random in the place of the variables, "
    "both sides of each are the same"
)

# What a page is about, by the kind of its derivation.
SUBJECTS = {
    "gradient": "The gradient",
    "jacobian": "The Jacobian",
    "hessian": "The Hessian",
    "jvp": "The Jacobian–vector product",
    "hvp": "The Hessian–vector product",
}


def heading(derivation: Derivation) -> str:
    """What a page about a derivation is called."""
    return f"{SUBJECTS[derivation.kind]} of {derivation.names[derivation.of]}, step by step"


def html(
    derivation: Derivation,
    *,
    codes: Mapping[str, str] | None = None,
    title: str = "",
    lead: str = "",
    view: str = "sample",
    **telling: Any,
) -> str:
    """The derivation as one HTML file that works offline, told as `present` is asked to, without a training.

    `codes` are sources to show, by language.
    """
    told = present(derivation, view=view, layers="folded", opened=True, **telling)
    sections = list(told_sections(told, derivation).values())
    if codes:
        sections.append(Section("The code", [Code(list(codes.items()))]))
    return Page(title or heading(derivation), lead, sections).html()
