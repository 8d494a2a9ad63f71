"""How does written mathematics look, before anyone chooses a terminal, LaTeX or a browser?

A box is a picture of notation: symbols side by side, raised, lowered, stacked. An operation lays its
operands out as boxes; a renderer turns boxes into plain text, LaTeX or MathML and decides nothing about
mathematics. `Of` marks which expression a box shows, so that a renderer can colour it, tell its shape, or
point at it.
"""

from __future__ import annotations

from typing import Any, Literal

from gradstep.expression.records import record

SymbolKind = Literal["scalar", "vector", "matrix", "size", "index", "number", "function", "operator", "text"]


@record
class Sym:
    """One symbol. `text` is Unicode ("λ", "X", "⊙", "log"); `kind` chooses the typeface.

    A vector is bold upright small letter and a matrix bold upright capital in LaTeX and MathML, both plain in
    a terminal; a function is upright (log); an operator is spaced by the renderer (" + ", " ⊙ ", "·");
    text is words.
    """

    text: str
    kind: SymbolKind = "scalar"


@record
class Row:
    """Boxes side by side. Juxtaposed factors are separated by a thin space where letters would touch."""

    items: tuple[Box, ...]


@record
class Sup:
    """`base` with `exponent` raised: Xᵀ, e², σ′."""

    base: Box
    exponent: Box


@record
class Sub:
    """`base` with `index` lowered: zᵢ, W₁."""

    base: Box
    index: Box


@record
class Frac:
    """`top` over `bottom`; in one line of text top/bottom."""

    top: Box
    bottom: Box


@record
class Big:
    """A large operator before its body: Σᵢ body. `below` and `above` may be absent."""

    sign: str
    below: Box | None
    above: Box | None
    body: Box


@record
class Accent:
    """A mark over `base`: "bar" for z̄, "hat" for x̂."""

    base: Box
    mark: Literal["bar", "hat"]


@record
class Fence:
    """`body` between brackets that grow with it: ( ), [ ], ‖ ‖, | |, ⟨ ⟩."""

    left: str
    body: Box
    right: str


@record
class Root:
    """The square root of `body`."""

    body: Box


@record
class Cases:
    """A value for each condition: (value, condition) from top to bottom, behind one tall brace."""

    rows: tuple[tuple[Box, Box], ...]


@record
class Of:
    """`box`, and what it shows (an expression, or any hashable key), for colour, shape and place."""

    what: Any
    box: Box


Compound = Row | Sup | Sub | Frac | Big | Accent | Fence | Root | Cases | Of
Box = Sym | Compound

# How tightly a piece of notation binds, loosest first. An operand looser than its place gets parentheses.
RELATION, SUM, PRODUCT, PREFIX, POWER, ATOM = 10, 20, 30, 40, 50, 60


@record
class Written:
    """A box, and how tightly it binds (one of RELATION … ATOM)."""

    box: Box
    level: int = ATOM


def letter_kind(rank: int) -> SymbolKind:
    """The kind of the letter that stands for something with this many axes."""
    return "scalar" if rank == 0 else "vector" if rank == 1 else "matrix"


def row(*items: Box | str) -> Row:
    """Boxes side by side; a plain string is an operator sign."""
    return Row(tuple(Sym(item, "operator") if isinstance(item, str) else item for item in items))


def word(text: str) -> Sym:
    """Words inside a formula."""
    return Sym(text, "text")


def number(value: object) -> Sym:
    """A number as written."""
    return Sym(str(value), "number")


def fenced(written: Written, level: int) -> Box:
    """The box of `written`, in parentheses when it binds more loosely than `level`."""
    return written.box if written.level >= level else Fence("(", written.box, ")")


def parts_of(box: Box) -> list[Box]:
    """The boxes directly inside `box`."""
    match box:
        case Row(items):
            return [*items]
        case Of(_, inner) | Root(inner) | Accent(inner) | Fence(_, inner):
            return [inner]
        case Sup(a, b) | Sub(a, b) | Frac(a, b):
            return [a, b]
        case Big(_, below, above, body):
            return [part for part in (below, above, body) if part is not None]
        case Cases(rows):
            return [part for pair in rows for part in pair]
        case _:
            return []
