"""What do all renderers share? How a box is walked, and what happens where two pieces of it meet.

A renderer turns each box into pieces that stand side by side. A piece keeps what it shows to its left and
right neighbour, so that spacing is decided in one place, after rows inside rows have become one line.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from gradstep.expression.boxes import Box, Compound, Sym
from gradstep.expression.records import record
from gradstep.notation.symbols import Edge, edge, spelled_out

T = TypeVar("T")


@record
class Piece(Generic[T]):
    """Something rendered: what it shows to the left and to the right, and the scripts (^ _) it carries.

    `begins` are the things (`Of.what`) that start with it, `ends` is how many end.
    """

    body: T
    left: Edge
    right: Edge
    scripts: str = ""
    begins: tuple[Any, ...] = ()
    ends: int = 0


Pieces = list[Piece[T]]
Rendering = Generator[Box, Pieces[T], Pieces[T]]

FRACTIONS: frozenset[Edge | None] = frozenset({"fraction", "slope"})
LOOSE: frozenset[Edge] = frozenset({"binary", "relation", "comma", "big", "cases", "text"})
FACTORS: frozenset[Edge] = frozenset(
    {"letter", "word", "number", "one", "open", "close", "prefix", "fraction", "slope"}
)
PARTED: frozenset[Edge] = frozenset({"word", "fraction", "slope"})
RUN_TOGETHER = {("letter", "one"), ("number", "number"), ("number", "one"), ("one", "number")}
SIGN_AFTER: frozenset[Edge | None] = frozenset(
    {None, "binary", "relation", "comma", "sign", "prefix", "dot", "big", "function", "text"}
)


def fold(box: Box, render: Callable[[Compound], Rendering[T]], symbol: Callable[[Sym], T]) -> Pieces[T]:
    """The pieces of `box`. `render` yields an inner box and gets its pieces back: no recursion, no limit."""
    waiting: list[Rendering[T]] = []
    asked = spelled_out(box)
    while True:
        if isinstance(asked, Sym):
            answer: Any = lone(asked, symbol(asked))
        else:
            waiting.append(render(asked))
            answer = None  # which starts a generator
        while waiting:
            try:
                asked = spelled_out(waiting[-1].send(answer))
                break
            except StopIteration as done:
                waiting.pop()
                answer = done.value
        else:
            pieces: Pieces[T] = answer
            return pieces


def lone(symbol: Sym, body: T) -> Pieces[T]:
    """The one piece that a symbol is."""
    shown = edge(symbol)
    return [Piece(body, shown, shown)]


def owned(what: Any, pieces: Pieces[T]) -> Pieces[T]:
    """The same pieces, which together show `what`."""
    if not pieces:
        return pieces
    *before, last = pieces
    if not before:
        return [Piece(last.body, last.left, last.right, last.scripts, (what, *last.begins), last.ends + 1)]
    first, *between = before
    return [
        Piece(first.body, first.left, first.right, first.scripts, (what, *first.begins), first.ends),
        *between,
        Piece(last.body, last.left, last.right, last.scripts, last.begins, last.ends + 1),
    ]


def settled(pieces: Pieces[T]) -> Pieces[T]:
    """The same pieces, where − and + know whether they are signs, and · whether it needs space."""
    out: Pieces[T] = []
    for k, piece in enumerate(pieces):
        before = out[-1].right if out else None
        after = pieces[k + 1].left if k + 1 < len(pieces) else None
        known: Edge = piece.left
        if known == "plus":
            known = "sign" if before in SIGN_AFTER else "binary"
        elif known == "dot" and {before, after} & (FRACTIONS | {"big", "cases", "function", "word"}):
            known = "binary"
        if known != piece.left:
            piece = Piece(piece.body, known, known, piece.scripts, piece.begins, piece.ends)
        out.append(piece)
    return out


def is_whole(pieces: Pieces[T]) -> bool:
    """Whether a symbol beside these pieces would clearly belong to all of them."""
    match settled(pieces):
        case [one]:
            return one.left not in LOOSE | FRACTIONS
        case [name, body]:
            return name.right in ("function", "one") and body.left == "open"
        case _:
            return False


def takes(base: Pieces[T], mark: str) -> bool:
    """Whether a script (^ or _) can follow `base` without brackets; (σ²)² and (W₁)ᵢ need theirs."""
    return is_whole(base) and mark not in base[-1].scripts


def scripted(base: Pieces[T], body: T, mark: str) -> Piece[T]:
    """`body` is `base` with something raised (^) or lowered (_); log² is still a function and ∂² a prefix."""
    if not takes(base, mark):
        return Piece(body, "open", "letter", mark)
    left = base[0].left
    right: Edge = left if left in ("function", "prefix") and len(base) == 1 else "letter"
    return Piece(body, left, right, base[-1].scripts + mark)


def accented(base: Pieces[T], body: T) -> Piece[T]:
    """`body` is `base` under a mark."""
    return Piece(body, "letter", "letter", base[-1].scripts if base else "")


def fraction(top: Pieces[T], body: T) -> Piece[T]:
    """`body` is a fraction; under ∂ or d it is a slope."""
    shown: Edge = "slope" if top and top[0].left == "prefix" else "fraction"
    return Piece(body, shown, shown)


def enclosed(body: T) -> Piece[T]:
    """`body` stands between brackets."""
    return Piece(body, "open", "close")


def needs_if(condition: Pieces[T]) -> bool:
    """Whether a condition is mathematics, which "if" goes before; words such as "otherwise" stand alone."""
    return bool(condition) and condition[0].left != "text"


def gap(left: Edge | None, right: Edge) -> str:
    """The space between neighbours in text: factors stand apart, unless clear without (2e, 1[z > 0])."""
    match left, right:
        case (None | "sign" | "dot", _) | (_, "dot" | "comma" | "postfix"):
            return ""
        case ("prefix", "function" | "text" | "word"):
            return " "
        case ("prefix", _) | ("function", "open") | ("number" | "one", "letter" | "open"):
            return ""
        case _:
            return " "


def touching(left: Edge, right: Edge) -> bool:
    """Whether typeset neighbours need a thin space: words, numbers, fractions and differentials do."""
    if left == "prefix" or {left, right} - FACTORS:
        return False
    if right == "open":
        return left == "word"
    return bool(PARTED & {left, right}) or right == "prefix" or (left, right) in RUN_TOGETHER
