"""Which numbers does a certificate rest on? The integers of every line, so that a reader sees them agree.

Two sections: the lines dC = ⟨G, dN⟩ + …, all of them one integer (of a Jacobian, the entries that both sides
of a line begin with), and the formulas that are printed, each worked out at one place as it is printed and as
what it stands for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from gradstep.calculus.steps import Derivation
from gradstep.calculus.verdicts import Checked
from gradstep.expression.boxes import Box, Sym, row, word
from gradstep.expression.node import Expr, walk
from gradstep.expression.records import replaced
from gradstep.notation.checking import Claim, witnesses
from gradstep.notation.indices import Index
from gradstep.notation.lowering import Lowering
from gradstep.notation.presentation import Presentation, Said, Section
from gradstep.notation.writing import Writer
from gradstep.operations.leaves import symbol_op

SOME = 60  # formulas that are shown with their numbers


class Telling(Protocol):
    """How a view writes, and what it has written."""

    view: str
    claims: list[Claim]
    write: Writer
    lower: Lowering

    def partial(self, part: Expr, at: Sequence[Index] | None = None) -> Box:
        """∂C/∂part, at indices."""


def with_evidence(told: Presentation, derivation: Derivation, telling: Telling) -> Presentation:
    """A derivation as told, and the numbers behind it, if it was checked."""
    if derivation.certificate is None:
        return told
    notes = (*told.notes, "; ".join(derivation.certificate.facts()))
    return replaced(told, sections=(*told.sections, *_sections(derivation, telling)), notes=notes)


def _sections(derivation: Derivation, telling: Telling) -> tuple[Section, ...]:
    certificate = derivation.certificate
    if certificate is None:
        return ()
    own = derivation.base.certificate if derivation.base is not None else certificate
    count = len(own.checked) if own is not None and not own.sides else 0
    lines = certificate.checked
    sections = []
    if count:
        loss = row("d ", telling.write(derivation.of))
        said = (_line(k, checked, None if k else loss) for k, checked in enumerate(lines[:count]))
        sections.append(Section("The proof: every line is one integer modulo p", tuple(said)))
    if lines[count:]:
        said = (_line(k, checked, word("both sides")) for k, checked in enumerate(lines[count:], 1))
        sections.append(
            Section("The proof: both sides of each line begin with one integer modulo p", tuple(said))
        )
    printed = tuple(_printed(derivation, telling))
    if printed:
        sections.append(Section("What is printed: an entry of either side modulo p", printed))
    return tuple(sections)


def _line(k: int, checked: Checked, left: Box | None) -> Said:
    """= 1594782880545934517, and by which rule."""
    number = word("no number") if checked.number is None else Sym(str(checked.number), "number")
    how = "" if checked.method == "exact" else f" — {checked.method}"
    asked = f"; needs {' and '.join(checked.needs)}" if checked.needs else ""
    return Said(left, (number,), f"{checked.rule}{how}{asked}", checked.reason, number=k or None)


def _printed(derivation: Derivation, telling: Telling) -> Iterator[Said]:
    """z = X w + b, and an entry of both sides."""
    claims = (claim for claim in telling.claims if telling.view != "matrix" or not any(claim.at))
    chosen = list({claim.shown: claim for claim in claims if _is_plain(claim)}.values())[:SOME]
    slopes = {
        G: part for part, G in derivation.cotangents.items() if part in derivation.parts or not part.args
    }
    for claim, pair in zip(chosen, witnesses(derivation, chosen), strict=True):
        if pair is None:
            continue
        left = None
        if claim.meant in slopes:
            left = telling.partial(slopes[claim.meant], claim.at)
        elif claim.meant in derivation.parts:
            left = telling.write(telling.lower(claim.meant, claim.at))
        yield Said(left, (telling.write.opened(claim.shown),), " = ".join(map(str, pair)))


def _is_plain(claim: Claim) -> bool:
    """Whether a formula is written in the user's variables and the names of parts alone."""
    symbols = (node for node in walk(claim.shown) if node.op is symbol_op)
    return bool(claim.shown.args) and not any(str(node.params[0]).startswith("•") for node in symbols)
