"""How is mathematics written in a terminal?

`line` writes a box as one line of Unicode; `block` draws it over several lines, with fraction bars and tall
braces, and joins the parts on their baselines; `columns` tells which part of the line shows what; `wrap` breaks
a line that is too long.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from gradstep.expression.boxes import Accent, Big, Box, Cases, Fence, Frac, Of, Root, Row, Sub, Sup, Sym
from gradstep.notation.rendering import (
    LOOSE,
    Piece,
    Pieces,
    Rendering,
    collected,
    enclosed,
    fold,
    fraction,
    is_whole,
    lone,
    needs_if,
    owned,
    scripted,
    settled,
)
from gradstep.notation.symbols import Edge, unified

SUPERSCRIPTS = str.maketrans("0123456789+−=()ijklmntTᵀ′*", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁱʲᵏˡᵐⁿᵗᵀᵀ′*")
SUBSCRIPTS = str.maketrans("0123456789+−=()ijklmnt", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ᵢⱼₖₗₘₙₜ")
COMBINING = {"bar": "\u0304", "hat": "\u0302"}
PLAIN_LETTERS = str.maketrans("𝟏𝟙", "11")

# Brackets of several lines: top, middle, bottom, and what fills the rest.
TALL = {
    "(": "⎛⎜⎝⎜", ")": "⎞⎟⎠⎟", "[": "⎡⎢⎣⎢", "]": "⎤⎥⎦⎥", "{": "⎧⎨⎩⎪", "}": "⎫⎬⎭⎪", "⟨": "╱⟨╲│", "⟩": "╲⟩╱│",
    "⌊": "⎢⎢⎣⎢", "⌋": "⎥⎥⎦⎥", "⌈": "⎡⎢⎢⎢", "⌉": "⎤⎥⎥⎥",
}  # fmt: skip

INLINE = 4  # a fraction whose parts are this short stays in line: 2/N, ∂C/∂w
LIMIT = 6  # so does what stands below a sum: Σᵢ, Σᵢ₌₁


class Block(NamedTuple):
    """A drawing in characters: `lines` of equal display width; `baseline` is the line that joins neighbours.

    `spans` are (what, start, end) string positions, kept while the drawing is one line.
    """

    lines: tuple[str, ...]
    baseline: int = 0
    spans: tuple[tuple[Any, int, int], ...] = ()

    @property
    def width(self) -> int:
        """Columns on the screen."""
        return width(self.lines[0])

    @property
    def below(self) -> int:
        """Lines under the baseline."""
        return len(self.lines) - self.baseline - 1


def line(box: Box) -> str:
    """`box` as one line of Unicode: −2/N Xᵀ (e ⊙ 1[z > 0])."""
    return columns(box)[0]


def columns(box: Box) -> tuple[str, list[tuple[Any, int, int]]]:
    """The line, and for each thing that a part of it shows (what, start, end): text[start:end] shows it.

    `width(text[:start])` is the column on the screen.
    """
    drawn = _joined(fold(box, partial(_render, tall=False)))
    return drawn.lines[0], sorted(drawn.spans, key=lambda span: (span[1], -span[2]))


def block(box: Box, width: int = 100) -> Block:
    """`box` drawn over as many lines as help, broken at + − = where it is wider than `width`."""
    pieces = fold(box, partial(_render, tall=True))
    drawn = _joined(pieces)
    if drawn.width > width:
        drawn = _broken(settled(pieces), width)
    return Block(tuple(text.rstrip() for text in drawn.lines), drawn.baseline, drawn.spans)


def width(text: str) -> int:
    """The columns that `text` takes on a screen: marks over letters take none, wide letters two."""
    return sum(_columns_of(letter) for letter in text)


def _columns_of(letter: str) -> int:
    if letter < "\u0300":
        return 1
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


# ------------------------------------------------------------------------------------- a box, case by case


def _render(box: Box, tall: bool) -> Rendering[Block]:
    match box:
        case Sym(text, "operator"):
            return lone(box, _text(unified(text)))
        case Sym(text, kind):
            return lone(box, _text(text.translate(PLAIN_LETTERS).replace("\n", " ")))
        case Row(items):
            return (yield from collected(items))
        case Of(what, inner):
            return owned(what, (yield inner))
        case Sup(base, exponent):
            nucleus = yield base
            return [scripted(nucleus, _raised(_nucleus(nucleus), _compact((yield exponent))))]
        case Sub(base, index):
            nucleus = yield base
            return [scripted(nucleus, _lowered(_nucleus(nucleus), _compact((yield index))))]
        case Frac(top, bottom):
            over, under = (yield top), (yield bottom)
            return [fraction(over, _stacked(over, under) if tall else _inline(over, under))]
        case Root(body):
            return [Piece(_root((yield body)), "letter", "letter")]
        case Accent(base, mark):
            nucleus = yield base
            return [scripted(nucleus, _accented(_joined(nucleus), mark))]
        case Fence(left, body, right):
            return [enclosed(_fenced(left, _joined((yield body)), right))]
        case Big(sign, below, above, body):
            low = _compact((yield below)) if below else None
            high = _compact((yield above)) if above else None
            inner = yield body
            head = Piece(_with_limits(sign, low, high, tall), "big", "big")
            return [Piece(_joined([head, *inner]), "big", inner[-1].right if inner else "big")]
        case Cases(rows):
            drawn = []
            for value, condition in rows:
                drawn.append((_joined((yield value)), _condition((yield condition))))
            return [Piece(_braced(drawn) if tall else _in_braces(drawn), "big", "big")]


# ------------------------------------------------------------------------------------- side by side


def _gap(left: Edge | None, right: Edge) -> str:
    """The space between neighbours: factors stand apart, except where both are clear without (2e, 1[z > 0])."""
    match left, right:
        case (None | "sign" | "dot" | "postfix", _) | (_, "dot" | "comma" | "postfix"):
            return "" if left != "postfix" or right in ("comma", "dot", "postfix") else " "
        case ("prefix", "function" | "text" | "word"):
            return " "
        case ("prefix", _) | ("function", "open") | ("number" | "one", "letter" | "open"):
            return ""
        case _:
            return " "


def _joined(pieces: Pieces[Block]) -> Block:
    """Pieces side by side on one baseline, each apart from its neighbours as far as both need."""
    parts: list[Block] = []
    spans: list[tuple[Any, int, int]] = []
    waiting: list[tuple[Any, int]] = []
    before: Edge | None = None
    end = 0
    pieces = settled(pieces)
    for k, piece in enumerate(pieces):
        body = piece.body
        if piece.right == "slope" and k + 1 < len(pieces) and pieces[k + 1].left == "slope" and "/" in body.lines[0]:
            body = _fenced("(", body, ")")  # (da/dz) ∂z/∂w, where a bar does not show what belongs together
        parts += [_text(_gap(before, piece.left)), body]
        start = end + len(parts[-2].lines[0])
        end = start + len(body.lines[0])
        spans += [(what, first + start, last + start) for what, first, last in body.spans]
        waiting += [(what, start) for what in piece.begins]
        for _ in range(piece.ends):
            spans.append((*waiting.pop(), end))
        before = piece.right
    drawn = _beside(*parts)
    return drawn._replace(spans=tuple(spans)) if len(drawn.lines) == 1 else drawn


def _beside(*blocks: Block) -> Block:
    """Blocks side by side, baseline to baseline."""
    above = max((part.baseline for part in blocks), default=0)
    below = max((part.below for part in blocks), default=0)
    rows = zip(*(_grown(part, above, below) for part in blocks), strict=True)
    return Block(tuple("".join(row) for row in rows) or ("",), above)


def _grown(part: Block, above: int, below: int) -> list[str]:
    blank = " " * part.width
    return [blank] * (above - part.baseline) + [*part.lines] + [blank] * (below - part.below)


def _over(*blocks: Block, baseline: int, centred: bool = True) -> Block:
    """Blocks one above the other; `baseline` counts lines of the whole."""
    full = max(part.width for part in blocks)
    lines = [text for part in blocks for text in part.lines]
    return Block(tuple(_padded(text, full, centred) for text in lines), baseline)


def _padded(text: str, full: int, centred: bool = False) -> str:
    missing = full - width(text)
    left = missing // 2 if centred else 0
    return " " * left + text + " " * (missing - left)


def _text(text: str) -> Block:
    return Block((text,))


def _parenthesised(body: Block, needed: bool) -> Block:
    return _fenced("(", body, ")") if needed else body


# ------------------------------------------------------------------------------------- raised and lowered


def _nucleus(pieces: Pieces[Block]) -> Block:
    return _parenthesised(_joined(pieces), not is_whole(pieces))


def _compact(pieces: Pieces[Block]) -> Block:
    """A small formula without spaces: l−1, ij; words keep theirs."""
    if any(piece.left == "text" or len(piece.body.lines) > 1 for piece in pieces):
        return _joined(pieces)
    tight: Pieces[Block] = [Piece(p.body, "dot", "dot", p.begins, p.ends) for p in pieces]
    return _joined(tight)


def _small(body: Block, letters: dict[int, int]) -> Block | None:
    """`body` in small raised or lowered letters, if Unicode has them all."""
    fits = len(body.lines) == 1 and all(ord(letter) in letters for letter in body.lines[0])
    return body._replace(lines=(body.lines[0].translate(letters),)) if fits else None


def _with_tail(base: Block, tail: Block, at: int) -> Block:
    """`tail` written directly after line `at` of `base`."""
    joined = _beside(base._replace(baseline=at), tail)
    lines = base.lines
    drawn = Block(joined.lines, base.baseline + joined.baseline - at)
    shift = len(lines[0])
    spans = (*base.spans, *((what, start + shift, end + shift) for what, start, end in tail.spans))
    return drawn._replace(spans=spans) if len(drawn.lines) == 1 else drawn


def _raised(base: Block, exponent: Block) -> Block:
    if small := _small(exponent, SUPERSCRIPTS):
        return _with_tail(base, small, 0)
    if len(base.lines) == len(exponent.lines) == 1:
        bare = len(exponent.lines[0]) == 1
        return _with_tail(base, _beside_spans("^" if bare else "^(", exponent, "" if bare else ")"), 0)
    lifted = exponent._replace(baseline=len(exponent.lines), lines=(*exponent.lines, " " * exponent.width))
    return _with_tail(base, lifted._replace(spans=()), 0)


def _lowered(base: Block, index: Block) -> Block:
    if small := _small(index, SUBSCRIPTS):
        return _with_tail(base, small, len(base.lines) - 1)
    if len(index.lines) == 1:
        bare = index.lines[0].isalnum()
        tail = _beside_spans("_" if bare else "_{", index, "" if bare else "}")
        return _with_tail(base, tail, len(base.lines) - 1)
    dropped = Block((" " * index.width, *index.lines), 0)
    return _with_tail(base, dropped, len(base.lines) - 1)
