"""How is mathematics written in a web page, and how is it read aloud?

`mathml` gives presentation MathML Core, for browsers that have a mathematical font: the page brings its own
(page/fonts). Bold and slanted letters are Unicode's own, because MathML Core has no other way to ask for them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any, NamedTuple

from gradstep.expression.boxes import Accent, Big, Box, Cases, Fence, Frac, Of, Root, Row, Sub, Sup, Sym
from gradstep.notation.rendering import (
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
    touching,
)
from gradstep.notation.symbols import LETTER_NAMES, Edge, sign, unified

About = Callable[[Any], str | None]

THIN = '<mspace width="0.167em"/>'
LARGE = {"Σ": "∑", "Π": "∏", "∑": "∑", "∏": "∏", "∫": "∫", "⋃": "⋃", "⋂": "⋂"}
MARKS = {"bar": "¯", "hat": "^"}
SIGNS = {"ᵀ": "⊤", "·": "⋅"}  # as the font and the operator dictionary of browsers have them
IF = Sym("if", "text")

# Words.
DIGITS = str.maketrans("𝟏𝟙", "11")
POWERS = {"2": "squared", "3": "cubed", "transposed": "transposed", "prime": "prime", "minus 1": "inverse"}
LARGE_NAMES = {"Σ": "sum", "Π": "product", "∑": "sum", "∏": "product", "∫": "integral", "max": "maximum"}
BETWEEN = {
    "(": "open paren {} close paren", "[": "{}", "‖": "the norm of {} end norm",
    "|": "the absolute value of {} end absolute value", "⟨": "the inner product of {} end product",
}  # fmt: skip
JOINING: dict[Edge, str] = {"function": "of", "one": "where"}
NO_FACTOR: frozenset[Edge | None] = frozenset(
    {None, "sign", "binary", "relation", "dot", "comma", "prefix", "postfix", "text"}
)


def _alphabet(capital: int, small: int, digit: int, greek: int, greek_small: int) -> dict[int, int]:
    """Ordinary letters -> the block of mathematical letters that starts at these places."""
    table = {ord("A") + k: capital + k for k in range(26)} | {ord("a") + k: small + k for k in range(26)}
    table |= {ord("Α") + k: greek + k for k in range(25)} | {ord("α") + k: greek_small + k for k in range(25)}
    return table | ({ord("0") + k: digit + k for k in range(10)} if digit else {})


BOLD = _alphabet(0x1D400, 0x1D41A, 0x1D7CE, 0x1D6A8, 0x1D6C2)
ITALIC = _alphabet(0x1D434, 0x1D44E, 0, 0x1D6E2, 0x1D6FC) | {ord("h"): ord("ℎ")}


def mathml(
    box: Box, *, display: bool = False, describe: About | None = None, colour: About | None = None
) -> str:
    """`box` as a <math> element, with its spoken form as alternative text.

    For each `Of` in it, `describe(what)` may say a few words, shown on hover (its shape: "N×d"), and
    `colour(what)` may name a CSS class.
    """
    begin = partial(_opening, describe=describe, colour=colour)
    body = _joined(fold(box, partial(_render, begin=begin)))
    shown = ' display="block"' if display else ""
    return f'<math{shown} alttext="{escape(spoken(box))}">{body}</math>'


def spoken(box: Box) -> str:
    """`box` in words, for those who listen: 2 over N times X transposed times …"""
    return " ".join(_said(fold(box, _speak)).replace(" ,", ",").split())


class Element(NamedTuple):
    """One element, and whether it is taller than a line."""

    xml: str
    tall: bool = False


# ------------------------------------------------------------------------------------------- case by case


def _render(box: Box, begin: Callable[[Any], str]) -> Rendering[Element]:
    match box:
        case Sym():
            return lone(box, Element(_symbol(box)))
        case Row(items):
            return (yield from collected(items))
        case Of(what, inner):
            tag, pieces = begin(what), (yield inner)
            return owned(tag, pieces) if tag else pieces
        case Sup(base, exponent):
            nucleus = yield base
            return [scripted(nucleus, _element("msup", _nucleus(nucleus), _one((yield exponent))))]
        case Sub(base, index):
            nucleus = yield base
            return [scripted(nucleus, _element("msub", _nucleus(nucleus), _one((yield index))))]
        case Frac(top, bottom):
            over, under = (yield top), (yield bottom)
            return [fraction(over, _element("mfrac", _one(over), _one(under), tall=True))]
        case Root(body):
            return [Piece(_element("msqrt", _one((yield body))), "letter", "letter")]
        case Accent(base, mark):
            nucleus = yield base
            over = Element(_tag("mo", MARKS[mark], "" if len(nucleus) > 1 else ' stretchy="false"'))
            return [scripted(nucleus, _element('mover accent="true"', _one(nucleus), over))]
        case Fence(left, body, right):
            return [enclosed(_fenced(left, (yield body), right))]
        case Big(name, below, above, body):
            low = _one((yield below)) if below else None
            high = _one((yield above)) if above else None
            inner = yield body
            whole = _element("mrow", _limits(_big(name), low, high), Element(_joined(inner)), tall=True)
            return [Piece(whole, "big", inner[-1].right if inner else "big")]
        case Cases(rows):
            cells = []
            for value, condition in rows:
                cells.append(_cell((yield value)) + _cell(_with_if((yield condition))))
            table = Element("".join(_tag("mtr", row, escaped=True) for row in cells))
            brace = Element(_tag("mo", "{", ' form="prefix"'))
            return [Piece(_element("mrow", brace, _element("mtable", table), tall=True), "cases", "cases")]


def _opening(what: Any, describe: About | None, colour: About | None) -> str:
    """The start tag of the row that shows `what`; nothing where there is nothing to say about it."""
    about = describe(what) if describe else None
    kind = colour(what) if colour else None
    if about is None and kind is None:
        return ""
    shape = f' data-shape="{escape(about)}" title="{escape(about)}"' if about else ""
    return f'<mrow class="{escape(f"of {kind}" if kind else "of")}"{shape}>'


def _joined(pieces: Pieces[Element]) -> str:
    """Elements side by side, with a thin space where they would touch."""
    xml, before = "", None
    for piece in settled(pieces):
        xml += _space(before, piece.left) + "".join(piece.begins) + _formed(piece) + "</mrow>" * piece.ends
        before = piece.right
    return xml


def _space(left: Edge | None, right: Edge) -> str:
    if left is None or "comma" in (left, right):
        return ""
    if "text" in (left, right):
        return '<mspace width="0.35em"/>'
    bare = left == "function" and right not in ("open", "binary", "relation", "postfix")
    return THIN if bare or touching(left, right) or (left, right) == ("prefix", "function") else ""


def _formed(piece: Piece[Element]) -> str:
    """A sign's element says whether it stands before one thing or between two, where a browser would guess."""
    form = "prefix" if piece.left == "sign" else "infix" if piece.left == "binary" and piece.begins else ""
    return piece.body.xml.replace("<mo>", f'<mo form="{form}">', 1) if form else piece.body.xml


def _one(pieces: Pieces[Element]) -> Element:
    """Pieces as one element."""
    xml = _joined(pieces)
    tall = any(piece.body.tall for piece in pieces)
    return Element(xml if len(pieces) == 1 else f"<mrow>{xml}</mrow>", tall)


def _nucleus(pieces: Pieces[Element]) -> Element:
    return _one(pieces) if is_whole(pieces) else _fenced("(", pieces, ")")


def _fenced(left: str, body: Pieces[Element], right: str) -> Element:
    """Brackets; they grow only around what is taller than a line."""
    tall = any(piece.body.tall for piece in body)
    growth = "" if tall else ' stretchy="false"'
    opening = _tag("mo", left, f' form="prefix"{growth}') if left else ""
    closing = _tag("mo", right, f' form="postfix"{growth}') if right else ""
    return Element(f"<mrow>{opening}{_joined(body)}{closing}</mrow>", tall)


def _limits(sign: Element, low: Element | None, high: Element | None) -> Element:
    if low and high:
        return _element("munderover", sign, low, high)
    if low:
        return _element("munder", sign, low)
    return _element("mover", sign, high) if high else sign


def _cell(pieces: Pieces[Element]) -> str:
    return _tag("mtd", _joined(pieces), ' style="text-align:left"', escaped=True)


def _with_if(condition: Pieces[Element]) -> Pieces[Element]:
    return [*lone(IF, Element(_symbol(IF))), *condition] if needs_if(condition) else condition


# ------------------------------------------------------------------------------------------- symbols


def _symbol(symbol: Sym) -> str:
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
    return _tag("mi" if text == "ᵀ" or known in ("prefix", "letter") else "mo", SIGNS.get(text, text))


def _big(name: str) -> Element:
    return Element(_tag("mo", LARGE[name]) if name in LARGE else _tag("mo", name, ' movablelimits="true"'))


def _tag(name: str, text: str, attributes: str = "", escaped: bool = False) -> str:
    return f"<{name}{attributes}>{text if escaped else escape(text)}</{name}>"


def _element(start: str, *children: Element, tall: bool = False) -> Element:
    xml = "".join(child.xml for child in children)
    return Element(f"<{start}>{xml}</{start.split()[0]}>", tall or any(child.tall for child in children))


# ------------------------------------------------------------------------------------------- aloud


def _speak(box: Box) -> Rendering[str]:
    match box:
        case Sym(text, "operator"):
            return lone(box, sign(text).spoken)
        case Sym(text):
            return lone(box, LETTER_NAMES.get(text, text.translate(DIGITS)))
        case Row(items):
            return (yield from collected(items))
        case Of(_, inner):
            return (yield inner)
        case Sup(base, exponent):
            nucleus = yield base
            power = _said((yield exponent))
            return [scripted(nucleus, f"{_said(nucleus)} {POWERS.get(power, f'to the power {power}')}")]
        case Sub(base, index):
            nucleus = yield base
            return [scripted(nucleus, f"{_said(nucleus)} sub {_said((yield index))}")]
        case Frac(top, bottom):
            over, under = (yield top), (yield bottom)
            plain = len(over) < 3 and len(under) < 3
            words = f"{_said(over)} over {_said(under)}"
            return [fraction(over, words if plain else f"the fraction {words} end fraction")]
        case Root(body):
            return [Piece(f"the square root of {_said((yield body))}", "letter", "letter")]
        case Accent(base, mark):
            nucleus = yield base
            return [scripted(nucleus, f"{_said(nucleus)} {mark}")]
        case Fence(left, body, _):
            inner = yield body
            words = BETWEEN.get(left, "open bracket {} close bracket") if len(inner) > 1 or left != "(" else "{}"
            return [enclosed(words.format(_said(inner)))]
        case Big(name, below, above, body):
            low = _said((yield below)) if below else ""
            high = _said((yield above)) if above else ""
            inner = yield body
            limits = f"from {low} to {high}" if low and high else f"over {low}" if low else ""
            words = f"the {LARGE_NAMES.get(name, name)} {limits} of {_said(inner)}"
            return [Piece(words, "big", inner[-1].right if inner else "big")]
        case Cases(rows):
            words = []
            for value, condition in rows:
                shown, when = (yield value), (yield condition)
                words.append(f"{_said(shown)} {'if ' if needs_if(when) else ''}{_said(when)}")
            return [Piece("; ".join(words), "cases", "cases")]


def _said(pieces: Pieces[str]) -> str:
    words: list[str] = []
    before: Edge | None = None
    for piece in settled(pieces):
        words += [_between(before, piece.left), piece.body]
        before = piece.right
    return " ".join(filter(None, words))


def _between(left: Edge | None, right: Edge) -> str:
    """The word for what is only a place on paper: factors side by side, a function before its argument."""
    if left in NO_FACTOR or right in NO_FACTOR - {"prefix"}:
        return ""
    if right == "open" and left in JOINING:
        return JOINING[left]
    return "of" if left == "function" else "times"
