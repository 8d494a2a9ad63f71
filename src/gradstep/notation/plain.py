"""How is mathematics written in a terminal?

`line` writes a box as one line of Unicode; `block` draws it over several lines, with fraction bars and tall
braces, everything joined on its baseline; `columns` tells which part of the line shows what; `wrap` breaks a
line that is too long.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache, partial
from itertools import accumulate, zip_longest
from typing import Any, NamedTuple

from gradstep.expression.boxes import (
    Accent,
    Big,
    Box,
    Cases,
    Compound,
    Fence,
    Frac,
    Of,
    Root,
    Row,
    Sub,
    Sup,
    Sym,
)
from gradstep.expression.records import replaced
from gradstep.notation.rendering import (
    FRACTIONS,
    LOOSE,
    Piece,
    Pieces,
    Rendering,
    accented,
    enclosed,
    fold,
    fraction,
    gap,
    is_whole,
    needs_if,
    owned,
    scripted,
    settled,
    takes,
)
from gradstep.notation.symbols import KEPT, SIGNS, unified

SUPERSCRIPTS = str.maketrans("0123456789+−=()ijklmntTᵀ′*", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁱʲᵏˡᵐⁿᵗᵀᵀ′*")
SUBSCRIPTS = str.maketrans("0123456789+−=()ijklmnt", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ᵢⱼₖₗₘₙₜ")
MARKS = {"bar": "\u0304", "hat": "\u0302"}
LETTERS = str.maketrans("𝟏𝟙∑∏", "11ΣΠ")

# Brackets of several lines: top, middle, bottom, and what fills the rest.
TALL = {
    "(": "⎛⎜⎝⎜", ")": "⎞⎟⎠⎟", "[": "⎡⎢⎣⎢", "]": "⎤⎥⎦⎥", "{": "⎧⎨⎩⎪", "}": "⎫⎬⎭⎪", "⟨": "╱⟨╲│", "⟩": "╲⟩╱│",
    "⌊": "⎢⎢⎣⎢", "⌋": "⎥⎥⎦⎥", "⌈": "⎡⎢⎢⎢", "⌉": "⎤⎥⎥⎥",
}  # fmt: skip

SHORT = 4  # a fraction whose parts are this short stays in line: 2/N, ∂C/∂w
LONGEST = max(map(len, SIGNS))
LOOSENESS = {"relation": 0, "plus": 1, "binary": 2}  # a long line breaks at the loosest sign


class Block(NamedTuple):
    """A drawing in characters: lines of equal display width; `baseline` is the line that joins neighbours.

    `spans` are (what, start, end) positions in the text, kept while the drawing is one line.
    """

    lines: tuple[str, ...]
    baseline: int = 0
    spans: tuple[tuple[Any, int, int], ...] = ()

    @property
    def width(self) -> int:
        """Columns on the screen."""
        return max(map(display_width, self.lines))

    @property
    def below(self) -> int:
        """Lines under the baseline."""
        return len(self.lines) - self.baseline - 1


Drawing = Pieces[Block]


def line(box: Box) -> str:
    """`box` as one line of Unicode: −2/N Xᵀ (e ⊙ 1[z > 0])."""
    return columns(box)[0]


def columns(box: Box) -> tuple[str, list[tuple[Any, int, int]]]:
    """The line, and (what, start, end) for each `Of` in it, outer before inner: text[start:end] shows it.

    These count characters; `display_width(text[:start])` is the column on the screen.
    """
    drawn = _joined(fold(box, _low, _symbol))
    return drawn.lines[0], sorted(drawn.spans, key=lambda span: (span[1], -span[2]))


def block(box: Box, width: int = 100) -> Block:
    """`box` drawn over as many lines as help, broken before = + − ⊙ where it is wider than `width`."""
    pieces = settled(drawing(box))
    drawn = _joined(pieces)
    if drawn.width > width:
        drawn = _broken(pieces, width)
    return drawn._replace(lines=tuple(text.rstrip() for text in drawn.lines))


def drawing(box: Box) -> Drawing:
    """The pieces of `box`, each over as many lines as help."""
    return fold(box, _tall, _symbol)


def width(pieces: Drawing) -> int:
    """The columns that pieces side by side take."""
    return _joined(pieces).width


def wrap(text: str, width: int, indent: int = 4) -> tuple[str, ...]:
    """One long line as several, broken before the loosest signs outside brackets; the later ones indented."""
    lines: list[str] = []
    margin = ""
    while _is_wider(text, width - len(margin)) and (cut := _cut(text, width - len(margin))):
        lines.append(margin + text[:cut])
        text, margin = text[cut + 1 :], " " * indent
    return (*lines, margin + text)


def _is_wider(text: str, width: int) -> bool:
    """Whether `text` takes more columns than that; no more of it is looked at than it takes to tell."""
    return any(taken > width for taken in accumulate(map(_letter_width, text)))


def display_width(text: str) -> int:
    """The columns that `text` takes on a screen: marks over letters take none, wide letters two."""
    return len(text) if text.isascii() else sum(map(_letter_width, text))


@cache
def _letter_width(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


# ------------------------------------------------------------------------------------- case by case


def _symbol(symbol: Sym) -> Block:
    return _letters(symbol.text, symbol.kind == "operator")


@lru_cache(KEPT)
def _letters(text: str, is_sign: bool) -> Block:
    return _text(unified(text) if is_sign else " ".join(text.translate(LETTERS).split()))


def _render(box: Compound, tall: bool) -> Rendering[Block]:
    match box:
        case Row(items):
            line: Drawing = []
            for item in items:
                line += yield item
            return line
        case Of(what, part):
            return owned(what, (yield part))
        case Sup(base, exponent):
            nucleus = yield base
            return [scripted(nucleus, _raised(_nucleus(nucleus, "^"), _compact((yield exponent))), "^")]
        case Sub(base, index):
            nucleus = yield base
            return [scripted(nucleus, _lowered(_nucleus(nucleus, "_"), _compact((yield index))), "_")]
        case Frac(top, bottom):
            over, under = (yield top), (yield bottom)
            return [fraction(over, _stacked(over, under) if tall else _inline(over, under))]
        case Root(body):
            return [Piece(_root((yield body)), "letter", "letter", "^")]
        case Accent(base, mark):
            nucleus = yield base
            return [accented(nucleus, _accented(_joined(nucleus), mark))]
        case Fence(left, body, right):
            return [enclosed(_fenced(left, _joined((yield body)), right))]
        case Big(sign, below, above, body):
            low = _compact((yield below)) if below else None
            high = _compact((yield above)) if above else None
            head = Piece(_limits(_text(sign.translate(LETTERS)), low, high, tall), "big", "big")
            inner = yield body
            return [Piece(_joined([head, *inner]), "big", inner[-1].right if inner else "big")]
        case Cases(rows):
            drawn = []
            for value, condition in rows:
                drawn.append((_joined((yield value)), _condition((yield condition))))
            return [Piece(_braced(drawn) if tall else _in_braces(drawn), "cases", "cases")]


_low, _tall = partial(_render, tall=False), partial(_render, tall=True)


# ------------------------------------------------------------------------------------- side by side


def _joined(pieces: Drawing, close: bool = False) -> Block:
    """Pieces side by side, each as far from its neighbour as both need, or none apart."""
    if len(pieces) == 1 and not pieces[0].ends:
        return pieces[0].body
    parts: list[Block] = []
    spans: list[tuple[Any, int, int]] = []
    opened: list[tuple[Any, int]] = []
    before, end = None, 0
    for piece in pieces if close else _slopes_apart(settled(pieces)):
        space = "" if close else gap(before, piece.left)
        if before == "sign" and not close and len(piece.body.lines) > 1:
            space = " "  # a minus would run into the fraction bar
        start, before = end + len(space), piece.right
        end = start + len(piece.body.lines[0])
        parts += [_text(space), piece.body] if space else [piece.body]
        opened += [(what, start) for what in piece.begins]
        spans += [(*opened.pop(), end) for _ in range(piece.ends)]
    drawn = _beside(*parts)
    return drawn._replace(spans=(*drawn.spans, *spans)) if len(drawn.lines) == 1 else drawn


def _slopes_apart(pieces: Drawing) -> Iterator[Piece[Block]]:
    """(da/dz) ∂z/∂w: brackets show what belongs together, where no bar does."""
    for piece, after in zip_longest(pieces, pieces[1:]):
        side_by_side = piece.right == "slope" and after is not None and after.left == "slope"
        if side_by_side and len(piece.body.lines) == 1:
            piece = replaced(piece, body=_fenced("(", piece.body, ")"), left="open", right="close")
        yield piece


def _beside(*blocks: Block) -> Block:
    """Blocks side by side, baseline to baseline."""
    if all(len(part.lines) == 1 for part in blocks):
        return _in_line(blocks)
    above = max((part.baseline for part in blocks), default=0)
    below = max((part.below for part in blocks), default=0)
    rows = [""] * (above + 1 + below)
    spans: list[tuple[Any, int, int]] = []
    for part in blocks:
        blank, start = " " * part.width, len(rows[0])
        spans += [(what, first + start, last + start) for what, first, last in part.spans]
        grown = [blank] * (above - part.baseline) + [*part.lines] + [blank] * (below - part.below)
        rows = [row + more for row, more in zip(rows, grown, strict=True)]
    return Block(tuple(rows), above, tuple(spans) if len(rows) == 1 else ())


def _in_line(blocks: Sequence[Block]) -> Block:
    """Blocks of one line side by side."""
    text = ""
    spans: list[tuple[Any, int, int]] = []
    for part in blocks:
        if part.spans:
            spans += [(what, first + len(text), last + len(text)) for what, first, last in part.spans]
        text += part.lines[0]
    return Block((text,), 0, tuple(spans))


def _over(*blocks: Block, baseline: int, lean: str = "^") -> Block:
    """Blocks one above the other, centred ("^") or to the left ("<")."""
    full = max(part.width for part in blocks)
    return Block(tuple(_padded(text, full, lean) for part in blocks for text in part.lines), baseline)


def _padded(text: str, full: int, lean: str) -> str:
    missing = full - display_width(text)
    left = missing // 2 if lean == "^" else 0
    return " " * left + text + " " * (missing - left)


def _text(text: str) -> Block:
    return Block((text,))


def _broken(pieces: Drawing, width: int) -> Block:
    """Pieces over several rows, each starting with a sign; = stands under =, and + a little to its right."""
    chunks: list[Drawing] = [[]]
    for piece in (replaced(piece, begins=(), ends=0) for piece in pieces):  # what shows what is for one line
        if chunks[-1] and piece.left in ("binary", "relation"):
            chunks.append([])
        chunks[-1].append(piece)
    head = _joined(chunks[0]).width + 1 if len(chunks) > 1 and chunks[1][0].left == "relation" else 2
    head = min(head, width // 3)
    rows, current = [], chunks[0]
    for chunk in chunks[1:]:
        if _joined([*current, *chunk]).width > width:
            rows.append(_joined(current))
            margin = _text(" " * (head + 2 * (chunk[0].left == "binary")))
            current = [Piece(margin, "open", "sign")]
        current = [*current, *chunk]
    rows.append(_joined(current))
    return _over(*rows, baseline=rows[0].baseline, lean="<")


def _cut(text: str, room: int) -> int:
    """Where to break `text`: outside brackets if possible, before the loosest sign, as late as fits."""
    depth = column = 0
    best = (True, 99, 99, 0), 0
    for place, letter in enumerate(text):
        depth += (letter in "([{⟨") - (letter in ")]}⟩")
        if column > room:
            break
        if letter == " " and column:
            known = SIGNS.get(text[place + 1 : place + 2 + LONGEST].split(" ", 1)[0])
            loose = LOOSENESS.get(known.edge, 3) if known else 3
            best = min(best, ((column < room // 3, depth, loose, -column), place))
        column += _letter_width(letter)
    return best[1]


# ------------------------------------------------------------------------------------- raised and lowered


def _parenthesised(body: Block, needed: bool) -> Block:
    return _fenced("(", body, ")") if needed else body


def _nucleus(pieces: Drawing, mark: str) -> Block:
    return _parenthesised(_joined(pieces), not takes(pieces, mark))


def _compact(pieces: Drawing) -> Block:
    """A small formula without spaces: l−1, ij. Words keep theirs."""
    if any(piece.left == "text" for piece in pieces):
        return _joined(pieces)
    return _joined(pieces, close=True)


def _small(body: Block, letters: dict[int, int]) -> Block | None:
    """`body` in small raised or lowered letters, if Unicode has them all."""
    if len(body.lines) > 1 or not all(ord(letter) in letters for letter in body.lines[0]):
        return None
    return body._replace(lines=(body.lines[0].translate(letters),))


def _attached(base: Block, tail: Block, at: int) -> Block:
    """`tail` directly after line `at` of `base`."""
    whole = _beside(base._replace(baseline=at), tail)
    return whole._replace(baseline=whole.baseline - at + base.baseline)


def _raised(base: Block, exponent: Block) -> Block:
    tail = _small(exponent, SUPERSCRIPTS)
    if tail is None and len(base.lines) == len(exponent.lines) == 1:
        bare = exponent.width == 1 or _is_fenced(exponent)
        tail = _beside(_text("^" if bare else "^("), exponent, _text("" if bare else ")"))
    if tail is None:
        lines = (*exponent.lines, " " * exponent.width)
        tail = Block(lines, len(exponent.lines))
    return _attached(base, tail, 0)


def _is_fenced(block: Block) -> bool:
    """Whether one line stands in parentheses: (h)."""
    text = block.lines[0]
    return text[0] == "(" and text.find(")") == len(text) - 1


def _lowered(base: Block, index: Block) -> Block:
    tail = _small(index, SUBSCRIPTS)
    if tail is None and len(index.lines) == 1:
        bare = index.lines[0].isalnum() or _is_fenced(index)
        tail = _beside(_text("_" if bare else "_("), index, _text("" if bare else ")"))
    if tail is None:
        tail = Block((" " * index.width, *index.lines))
    return _attached(base, tail, len(base.lines) - 1)


def _limits(sign: Block, low: Block | None, high: Block | None, tall: bool) -> Block:
    """A large sign with what stands below and above it: beside it where that is short, Σᵢ."""
    short = high is None and (low is None or _small(low, SUBSCRIPTS))
    if tall and not short:
        stack = [part for part in (high, sign, low) if part is not None]
        return _over(*stack, baseline=len(high.lines) if high else 0)
    sign = _lowered(sign, low) if low else sign
    return _raised(sign, high) if high else sign


def _accented(body: Block, mark: str) -> Block:
    """z̄: the mark after its letter; over more than one letter, bar(a + b)."""
    if len(body.lines) == 1 and body.width == 1:
        return _text(unicodedata.normalize("NFC", body.lines[0] + MARKS[mark]))._replace(spans=body.spans)
    return _beside(_text(mark), _fenced("(", body, ")"))


def _root(pieces: Drawing) -> Block:
    """√d, √(a + b)."""
    body = _joined(pieces)
    short = len(pieces) == 1 and pieces[0].left in ("letter", "number") and "^" not in pieces[0].scripts
    return _beside(_text("√"), _parenthesised(body, not short))


# ------------------------------------------------------------------------------------- fractions, braces


def _inline(over: Drawing, under: Drawing) -> Block:
    """2/N, (a + b)/(N m)."""
    loose = any(piece.left in LOOSE | FRACTIONS for piece in settled(over))
    after_prefix = len(under) == 2 and under[0].right == "prefix" and is_whole(under[1:])
    bottom = _parenthesised(_joined(under), not (is_whole(under) or after_prefix))
    return _beside(_parenthesised(_joined(over), loose), _text("/"), bottom)


def _stacked(over: Drawing, under: Drawing) -> Block:
    """A fraction with its bar, unless both parts are short."""
    top, bottom, inline = _joined(over), _joined(under), _inline(over, under)
    bare = inline.width <= top.width + 1 + bottom.width or top.width == 1
    slope = bool(over) and over[0].left == "prefix" and top.width < SHORT
    if len(inline.lines) == 1 and bare and inline.width <= (4 if slope else 2) * SHORT + 1:
        return inline
    taller = len(top.lines) > 1 or len(bottom.lines) > 1
    bar = _text("─" * (max(top.width, bottom.width) + 2 * taller))
    return _over(top, bar, bottom, baseline=len(top.lines))


def _fenced(left: str, body: Block, right: str) -> Block:
    """Brackets as tall as what they hold."""
    return _beside(_bracket(left, body), body, _bracket(right, body))


def _bracket(sign: str, body: Block) -> Block:
    height = len(body.lines)
    if height == 1 or sign not in TALL:
        return Block((sign,) * height, body.baseline)
    top, middle, bottom, rest = tuple(TALL[sign])
    column = [top, *[rest] * (height - 2), bottom]
    if height > 2:
        column[min(max(body.baseline, 1), height - 2)] = middle
    return Block(tuple(column), body.baseline)


def _condition(pieces: Drawing) -> Block:
    return _beside(_text("if " if needs_if(pieces) else ""), _joined(pieces))


def _in_braces(rows: list[tuple[Block, Block]]) -> Block:
    """{0 if z ≤ 0; 1 if z > 0}"""
    parts = [part for value, condition in rows for part in (_text("; "), value, _text(" "), condition)]
    return _beside(_text("{"), *parts[1:], _text("}"))


def _braced(rows: list[tuple[Block, Block]]) -> Block:
    """The same, one row under the other behind a tall brace."""
    if len(rows) < 2:
        return _in_braces(rows)
    full = max(value.width for value, _ in rows)
    drawn = []
    for value, condition in rows:
        wide = value._replace(lines=tuple(_padded(text, full, "<") for text in value.lines))
        drawn.append(_beside(wide, _text("   "), condition))
    height = sum(len(part.lines) for part in drawn)
    whole = _over(*drawn, baseline=(height - 1) // 2, lean="<")
    return _beside(_bracket("{", whole), _text(" "), whole)
