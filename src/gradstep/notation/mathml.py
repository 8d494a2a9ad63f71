"""How is mathematics written in a web page?

`mathml` gives presentation MathML Core, for browsers that have a mathematical font: the page brings its own
(page/fonts). Bold and slanted letters are Unicode's own, because MathML Core has no other way to ask for
them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any, NamedTuple
from unicodedata import normalize

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
from gradstep.notation.rendering import (
    FACTORS,
    FRACTIONS,
    Piece,
    Pieces,
    Rendering,
    accented,
    enclosed,
    fold,
    fraction,
    lone,
    needs_if,
    owned,
    scripted,
    settled,
    takes,
    touching,
)
from gradstep.notation.spoken import spoken
from gradstep.notation.symbols import Edge, sign, unified

About = Callable[[Any], str | None]

THIN = '<mspace width="0.167em"/>'
STRUT = '<mspace height="0.72em" depth="0.18em"/>'  # or the sign of a root hangs below a small letter
LARGE = {"Σ": "∑", "Π": "∏", "∑": "∑", "∏": "∏", "∫": "∫", "⋃": "⋃", "⋂": "⋂"}
MARKS = {"bar": "‾", "hat": "^"}
SIGNS = {"ᵀ": "⊤", "·": "⋅"}  # as the font and the operator dictionary of browsers have them
PRIME = '<mo lspace="0" rspace="0">′</mo>'
ROOMY: frozenset[Edge] = frozenset({"cases", "fraction", "slope", "big"})
OPERATORS: frozenset[Edge] = frozenset({"function", "big"})
IF = Sym("if", "text")
HANGING = frozenset("fgjpqyQβγζημξρςφχψϕϱ")  # letters that reach below the line


def _alphabet(capital: int, small: int, digit: int, greek: int, greek_small: int) -> dict[int, int]:
    """Ordinary letters -> the block of mathematical letters that starts at these places."""
    table = {ord("A") + k: capital + k for k in range(26)} | {ord("a") + k: small + k for k in range(26)}
    table |= {ord("Α") + k: greek + k for k in range(25)} | {ord("α") + k: greek_small + k for k in range(25)}
    return table | ({ord("0") + k: digit + k for k in range(10)} if digit else {})


BOLD = _alphabet(0x1D400, 0x1D41A, 0x1D7CE, 0x1D6A8, 0x1D6C2)
ITALIC = _alphabet(0x1D434, 0x1D44E, 0, 0x1D6E2, 0x1D6FC) | {ord("h"): ord("ℎ")}


def mathml(
    box: Box,
    *,
    display: bool = False,
    describe: About | None = None,
    colour: About | None = None,
    key: About | None = None,
) -> str:
    """`box` as a <math> element, with its spoken form as alternative text.

    For each `Of` in it, `describe(what)` may say a few words, shown on hover (its shape: "N×d"), and
    `colour(what)` may name a CSS class; `key(what)` says under which key a page knows it.
    """
    begin = partial(_opening, describe=describe, colour=colour, key=key)
    body = _joined(fold(box, partial(_render, begin=begin), _symbol))
    shown = ' display="block"' if display else ""
    return f'<math{shown} alttext="{escape(spoken(box))}">{body}</math>'


class Element(NamedTuple):
    """One element; whether it is taller than a line; if it is lowered, its base and index."""

    xml: str
    tall: bool = False
    lowered: tuple[Element, ...] = ()


# ------------------------------------------------------------------------------------- case by case


def _render(box: Compound, begin: Callable[[Any], str]) -> Rendering[Element]:
    match box:
        case Row(items):
            line: Pieces[Element] = []
            for item in items:
                line += yield item
            return line
        case Of(what, part):
            tag, pieces = begin(what), (yield part)
            return owned(tag, pieces) if tag else pieces
        case Sup(base, exponent):
            nucleus = yield base
            return [scripted(nucleus, _raised(_nucleus(nucleus, "^"), _one((yield exponent))), "^")]
        case Sub(base, index):
            nucleus = yield base
            return [scripted(nucleus, _lowered(_nucleus(nucleus, "_"), _one((yield index))), "_")]
        case Frac(top, bottom):
            upper, lower = (yield top), (yield bottom)
            return [fraction(upper, _element("mfrac", _one(upper), _one(lower), tall=True))]
        case Root(body):
            inside = _one((yield body))
            if not inside.tall:
                inside = _element("mrow", Element(STRUT), inside)
            return [Piece(_element("msqrt", inside), "letter", "letter", "^")]
        case Accent(base, mark):
            nucleus = yield base
            over = Element(_tag("mo", MARKS[mark], "" if len(nucleus) > 1 else ' stretchy="false"'))
            return [accented(nucleus, _element('mover accent="true"', _one(nucleus), over))]
        case Fence(left, body, right):
            return [enclosed(_fenced(left, (yield body), right))]
        case Big(name, below, above, body):
            low = _one((yield below)) if below else None
            high = _one((yield above)) if above else None
            inner = yield body
            space = THIN if inner and inner[0].left in ROOMY else ""
            body_row = Element(space + _joined(inner))
            whole = _element("mrow", _limits(_big(name), low, high), body_row, tall=True)
            return [Piece(whole, "big", inner[-1].right if inner else "big")]
        case Cases(rows):
            cells = []
            for value, condition in rows:
                cells.append(_cell((yield value), "0") + _cell(_with_if((yield condition)), "1em"))
            table = Element("".join(_tag("mtr", row, escaped=True) for row in cells))
            brace = Element(_tag("mo", "{", ' form="prefix"'))
            return [Piece(_element("mrow", brace, _element("mtable", table), tall=True), "cases", "cases")]


def _opening(what: Any, describe: About | None, colour: About | None, key: About | None) -> str:
    """The start tag of the row that shows `what`; nothing where there is nothing to say about it."""
    about = describe(what) if describe else None
    kind = colour(what) if colour else None
    known = key(what) if key else None
    if about is None and kind is None and known is None:
        return ""
    shape = f' data-shape="{escape(about)}" title="{escape(about)}"' if about else ""
    place = f' data-k="{escape(known)}"' if known else ""
    return f'<mrow class="{escape(f"of {kind}" if kind else "of")}"{shape}{place}>'


def _joined(pieces: Pieces[Element]) -> str:
    """Elements side by side, with a thin space where they would touch."""
    xml, before, tall = "", None, False
    for piece in settled(pieces):
        grown = tall and before == "close" and piece.left in FACTORS  # as TeX does after \right)
        xml += (THIN if grown else _space(before, piece.left)) + _tagged(piece, _formed(piece))
        before, tall = piece.right, piece.body.tall
    return xml


def _tagged(piece: Piece[Element], xml: str) -> str:
    """`xml` with the tags of what begins and ends with the piece."""
    return "".join(piece.begins) + xml + "</mrow>" * piece.ends


def _space(left: Edge | None, right: Edge) -> str:
    if left is None or "comma" in (left, right):
        return ""
    if "text" in (left, right):
        return '<mspace width="0.35em"/>'
    if right in OPERATORS:
        return THIN if left in FACTORS or left == "function" else ""  # LaTeX does so by itself
    if right == "open":
        return THIN if left in FRACTIONS or left == "word" else ""
    return THIN if (left == "function" and right in FACTORS) or touching(left, right) else ""


def _formed(piece: Piece[Element]) -> str:
    """A sign says whether it stands before one thing or between two, where a browser would guess."""
    form = "prefix" if piece.left == "sign" else "infix" if piece.left == "binary" and piece.begins else ""
    return piece.body.xml.replace("<mo>", f'<mo form="{form}">', 1) if form else piece.body.xml


def _one(pieces: Pieces[Element]) -> Element:
    """Pieces as one element. What is lowered stays open to a raised script, its tags then on both parts."""
    xml = _joined(pieces)
    if len(pieces) != 1:
        return Element(f"<mrow>{xml}</mrow>", _tall(pieces))
    [piece] = pieces
    parts = (Element(_tagged(piece, part.xml), part.tall) for part in piece.body.lowered)
    return Element(xml, piece.body.tall, tuple(parts))


def _tall(pieces: Pieces[Element]) -> bool:
    return any(piece.body.tall for piece in pieces)


def _nucleus(pieces: Pieces[Element], mark: str) -> Element:
    return _one(pieces) if takes(pieces, mark) else _fenced("(", pieces, ")")


def _fenced(left: str, body: Pieces[Element], right: str) -> Element:
    """Brackets; they grow only around what is taller than a line."""
    tall = _tall(body)
    growth = "" if tall else ' stretchy="false"'
    opening = _tag("mo", left, f' form="prefix"{growth}') if left else ""
    closing = _tag("mo", right, f' form="postfix"{growth}') if right else ""
    return Element(f"<mrow>{opening}{_joined(body)}{closing}</mrow>", tall)


def _raised(base: Element, exponent: Element) -> Element:
    """xᵢ² with one above the other; a prime is drawn raised by the font itself."""
    if exponent.xml == PRIME:
        return _element("mrow", base, exponent)
    if base.lowered:
        return _element("msubsup", *base.lowered, exponent)
    return _element("msup", base, exponent)


def _lowered(base: Element, index: Element) -> Element:
    """An index; below a letter it hangs as deep as below any other, as in TeX, whatever hangs down itself."""
    letter = normalize("NFKC", re.sub(r"<[^>]*>", "", base.xml))
    if letter in HANGING:
        base = base._replace(xml=f'<mpadded depth="0px">{base.xml}</mpadded>')
    return _element("msub", base, index)._replace(lowered=(base, index))


def _limits(sign: Element, low: Element | None, high: Element | None) -> Element:
    if low and high:
        return _element("munderover", sign, low, high)
    if low:
        return _element("munder", sign, low)
    return _element("mover", sign, high) if high else sign


def _cell(pieces: Pieces[Element], before: str) -> str:
    style = f' style="text-align:left;padding:0.2em 0 0.2em {before}"'
    return _tag("mtd", _joined(pieces), style, escaped=True)


def _with_if(condition: Pieces[Element]) -> Pieces[Element]:
    return [*lone(IF, _symbol(IF)), *condition] if needs_if(condition) else condition


# ------------------------------------------------------------------------------------- symbols


def _symbol(symbol: Sym) -> Element:
    return Element(_lettered(symbol))


def _lettered(symbol: Sym) -> str:
    match symbol:
        case Sym(text, "operator"):
            return _operator(unified(text))
        case Sym(text, "text"):
            return _tag("mtext", text)
        case Sym(text, "number"):
            return _tag("mn", text)
        case Sym(text, "vector" | "matrix"):
            return _tag("mi", text.translate(BOLD))
        case Sym(text, "function"):
            return _tag("mi", text)
        case Sym(text):
            return _tag("mi", text if len(text) == 1 else text.translate(ITALIC))


def _operator(text: str) -> str:
    known = sign(text).edge
    if text == "d":
        return _tag("mi", text, ' mathvariant="normal"')
    if known == "text":
        return _tag("mtext", text)
    if text in ("′", "/"):
        return _tag("mo", text, ' lspace="0" rspace="0"')
    return _tag("mi" if text == "ᵀ" or known in ("prefix", "letter") else "mo", SIGNS.get(text, text))


def _big(name: str) -> Element:
    return Element(_tag("mo", LARGE[name]) if name in LARGE else _tag("mo", name, ' movablelimits="true"'))


def _tag(name: str, text: str, attributes: str = "", escaped: bool = False) -> str:
    return f"<{name}{attributes}>{text if escaped else escape(text)}</{name}>"


def _element(start: str, *children: Element, tall: bool = False) -> Element:
    xml = "".join(child.xml for child in children)
    return Element(f"<{start}>{xml}</{start.split()[0]}>", tall or any(child.tall for child in children))
