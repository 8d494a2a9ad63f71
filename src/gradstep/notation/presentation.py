"""What does every renderer of a derivation read? Sections of lines: boxes, sentences, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from gradstep.expression.boxes import Box
from gradstep.expression.records import record


@record
class Said:
    """One line: `left` = forms[0] = forms[1] …, with the rule that gives it and the reason.

    `because` are the reasons for forms[1:], and `where` says for which layers of a deep network it holds. A
    numbered line without `left` goes on from the line before it. `shape` is the shape of `left`; `details`
    are the steps that make the line and `proof` shows it entry by entry: both are for opening. An indented
    line stands aside, as a remark does.
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

    def lines(self, remark: str) -> Iterator[tuple[Box, str]]:
        """Each form, and what is said of it: `remark` of the first, then the reasons for the others."""
        yield from zip(self.forms, (remark, *self.because, *[""] * len(self.forms)), strict=False)


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
