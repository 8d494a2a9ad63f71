"""What does every renderer of a derivation read? Sections of lines: boxes, sentences, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gradstep.expression.boxes import Box
from gradstep.expression.node import Expr
from gradstep.expression.records import record, replaced

LAYOUTS = ("parameter", "numerator", "denominator")  # of a Jacobian, on the page


@record
class Slope:
    """What ∂of/∂by shows, for who wants to know its worth: `of` and `by` are parts or variables."""

    of: Expr
    by: Expr


@record
class Moved:
    """What d of shows, for who wants to know its worth: how `of` moves with its parameters."""

    of: Expr


@record
class Said:
    """One line: `left` = forms[0] = forms[1] …, with the rule that gives it and the reason.

    `because` are the reasons for forms[1:], and `where` says for which layers of a deep network it holds. A
    numbered line without `left` goes on from the line before it. `shape` is the shape of `left`. An indented
    line stands aside, as a remark does. `behind` makes what the line opens to; `opened` has it in its place:
    `details` are the steps that make the line, and `proof` shows it entry by entry.
    """

    left: Box | None
    forms: tuple[Box, ...]
    rule: str = ""
    why: str = ""
    number: int | None = None
    shape: str = ""
    kink: str = ""
    proof: tuple[Box, ...] = ()
    details: tuple[Said, ...] = ()
    indent: int = 0
    because: tuple[str, ...] = ()
    where: str = ""
    behind: Callable[[], Behind] | None = None

    def opened(self) -> Said:
        """The line with what it opens to, and that opened as well."""
        if self.behind is None:
            return self
        made = self.behind()
        details = tuple(said.opened() for said in made.details)
        return replaced(self, proof=made.proof, details=details, behind=None)

    def closed(self) -> Said:
        """The line by itself."""
        return self if self.behind is None else replaced(self, behind=None)

    def openings(self) -> Iterator[tuple[str, tuple[Said, ...]]]:
        """What an opened line has behind it, and what this is called."""
        proof = tuple(Said(None, (box,)) for box in self.proof)
        for heading, lines in (("step by step", self.details), ("entry by entry", proof)):
            if lines:
                yield heading, lines

    def lines(self, remark: str) -> Iterator[tuple[Box, str]]:
        """Each form, and what is said of it: `remark` of the first, then the reasons for the others."""
        yield from zip(self.forms, (remark, *self.because, *[""] * len(self.forms)), strict=False)


@record
class Behind:
    """What a line opens to."""

    proof: tuple[Box, ...] = ()
    details: tuple[Said, ...] = ()


@record
class Section:
    """A heading, and what stands under it."""

    title: str
    lines: tuple[Said, ...]


@record
class Presentation:
    """A derivation as told: sections from the loss to one step of descent, notes, and how it was checked."""

    view: str
    style: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    proof: str = ""

    def each(self, change: Callable[[Said], Said]) -> Presentation:
        """The presentation with every line changed."""
        sections = (Section(section.title, tuple(map(change, section.lines))) for section in self.sections)
        return replaced(self, sections=tuple(sections))
