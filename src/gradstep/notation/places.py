"""Where in the user's text does each part of a formula stand?"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import NoReturn

from gradstep.expression.errors import MathError
from gradstep.expression.records import record
from gradstep.notation.mending import Candidate, Slip, nearest
from gradstep.notation.scanning import Statement


@record
class Formula:
    """One statement of `source` as Python's tree `root`; `lines` are the places where its lines begin."""

    source: str
    root: ast.expr
    lines: tuple[int, ...]

    @classmethod
    def read(cls, source: str, statement: Statement) -> Formula:
        """The tree of a statement: `ast.parse`, which runs nothing."""
        text = source[statement.start : statement.end]
        breaks = [statement.start + k + 1 for k, letter in enumerate(text) if letter == "\n"]
        lines = (statement.start, *breaks)
        try:
            return cls(source, ast.parse(text, mode="eval").body, lines)
        except SyntaxError as error:
            place = lines[min(error.lineno or 1, len(lines)) - 1] + (error.offset or 1) - 1
            place = min(place, statement.end)
            what, span = "something is missing here, or there is too much", (place, place + 1)
            mend = None
        except (ValueError, MemoryError, RecursionError, OverflowError):
            what, span = (
                "this formula chains too many operators, or nests too deeply",
                (lines[0], lines[0] + 1),
            )
            mend = "sum(…) for a long sum, names for the parts: z = …; …"
        raise MathError(what, source=source, span=span, mend=mend)

    def span(self, node: ast.expr) -> tuple[int, int]:
        """The first place of `node` in the source, and the place behind it."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self.lines[node.lineno - 1] + node.col_offset, self.lines[
            node.end_lineno - 1
        ] + node.end_col_offset

    def text(self, node: ast.expr) -> str:
        """The text of `node`."""
        start, end = self.span(node)
        return self.source[start:end]

    def edited(self, node: ast.expr, instead: str) -> str:
        """The source with `instead` in the place of `node`."""
        start, end = self.span(node)
        return self.source[:start] + instead + self.source[end:]

    def wrong(self, node: ast.expr, what: str, mend: str | None = None) -> NoReturn:
        """An error at `node`."""
        raise MathError(what, source=self.source, span=self.span(node), mend=mend)

    def slip(self, node: ast.expr, what: str, instead: Iterable[str], facts: Sequence[str] = ()) -> NoReturn:
        """An error at `node`; the mend is the first of the texts in `instead` that works in its place."""
        error = MathError(what, source=self.source, span=self.span(node), facts=facts)
        raise Slip(error, [Candidate(text, self.edited(node, text)) for text in instead])

    def unknown(self, node: ast.expr, what: str, known: Sequence[str]) -> NoReturn:
        """Nothing is called so; the nearest known name that works is the mend."""
        facts = [f"known: {', '.join(known)}" if known else "no variable is declared"]
        self.slip(node, what, nearest(self.text(node), known), facts if len(known) <= 30 else ())
