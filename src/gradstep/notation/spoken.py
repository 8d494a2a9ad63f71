"""How is mathematics read aloud?"""

from __future__ import annotations

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
    Piece,
    Pieces,
    Rendering,
    accented,
    enclosed,
    fold,
    fraction,
    needs_if,
    scripted,
    settled,
)
from gradstep.notation.symbols import LETTER_NAMES, Edge, sign

DIGITS = str.maketrans({"𝟏": "ones", "𝟙": "1"})
POWERS = {
    "2": "squared",
    "3": "cubed",
    "transposed": "transposed",
    "prime": "prime",
    "minus 1": "inverse",
    "minus transposed": "inverse transposed",
}
LARGE_NAMES = {"Σ": "sum", "Π": "product", "∑": "sum", "∏": "product", "∫": "integral", "max": "maximum"}
BRACKETS = "open bracket {} close bracket"
BETWEEN = {
    "(": "open paren {} close paren", "[": "{}", "‖": "the norm of {} end norm",
    "|": "the absolute value of {} end absolute value", "⟨": "the inner product of {} end product",
}  # fmt: skip
DERIVATIVES = {"partial": "partial derivative", "d": "derivative"}
RESPECT = "with respect to"
JOINING: dict[Edge, str] = {"function": "of", "one": "where"}
NO_FACTOR: frozenset[Edge | None] = frozenset(
    {None, "sign", "binary", "relation", "dot", "comma", "prefix", "postfix", "text"}
)


def spoken(box: Box) -> str:
    """`box` in words, for those who listen: 2 over N times X transposed times …"""
    return " ".join(_said(fold(box, _speak, _symbol)).replace(" ,", ",").split())


def _symbol(symbol: Sym) -> str:
    text = symbol.text
    return sign(text).spoken if symbol.kind == "operator" else LETTER_NAMES.get(text, text.translate(DIGITS))


def _speak(box: Compound) -> Rendering[str]:
    match box:
        case Row(items):
            line: Pieces[str] = []
            for item in items:
                line += yield item
            return line
        case Of(_, part):
            return (yield part)
        case Sup(base, exponent):
            nucleus = yield base
            power = _said((yield exponent))
            said = _said(nucleus)
            if RESPECT in said.rpartition(" end ")[2].rpartition("close paren")[2]:
                said += ", all"  # or only what is behind would be raised
            return [scripted(nucleus, f"{said} {POWERS.get(power, f'to the power {power}')}", "^")]
        case Sub(base, index):
            nucleus = yield base
            return [scripted(nucleus, f"{_said(nucleus)} sub {_listed((yield index))}", "_")]
        case Frac(top, bottom):
            over, under = (yield top), (yield bottom)
            alike = len(over) > 1 < len(under) and over[0].body == under[0].body
            kind = DERIVATIVES.get(over[0].body) if alike else None
            if kind:
                return [fraction(over, f"the {kind} of {_said(over[1:])} {RESPECT} {_said(under[1:])}")]
            plain = len(over) < 3 and (len(under) < 2 or under[0].left == "prefix")
            quotient = f"{_said(over)} over {_said(under)}"
            return [fraction(over, quotient if plain else f"the fraction {quotient} end fraction")]
        case Root(body):
            return [Piece(f"the square root of {_said((yield body))}", "letter", "letter", "^")]
        case Accent(base, mark):
            nucleus = yield base
            return [accented(nucleus, f"{_said(nucleus)} {mark}")]
        case Fence(left, body, _):
            inner = yield body
            form = "{}" if left == "(" and len(inner) == 1 else BETWEEN.get(left, BRACKETS)
            return [enclosed(form.format(_said(inner)))]
        case Big(name, below, above, body):
            low = _said((yield below)) if below else ""
            high = _said((yield above)) if above else ""
            inner = yield body
            limits = f"from {low} to {high}" if low and high else f"over {low}" if low else ""
            whole = f"the {LARGE_NAMES.get(name, name)} {limits} of {_said(inner)}"
            return [Piece(whole, "big", inner[-1].right if inner else "big")]
        case Cases(rows):
            ways = []
            for value, condition in rows:
                shown, when = (yield value), (yield condition)
                ways.append(f"{_said(shown)} {'if ' if needs_if(when) else ''}{_said(when)}")
            return [Piece("; ".join(ways), "cases", "cases")]


def _listed(pieces: Pieces[str]) -> str:
    """Indices one after the other: i j."""
    return " ".join(piece.body for piece in pieces)


def _said(pieces: Pieces[str]) -> str:
    words: list[str] = []
    before: Edge | None = None
    for piece in settled(pieces):
        one = words[-1:] in (["1"], ["ones"]) and piece.left == "open"
        words += ["where" if one else _between(before, piece.left), piece.body]
        before = piece.right
    return " ".join(filter(None, words))


def _between(left: Edge | None, right: Edge) -> str:
    """The word for what is only a place on paper: factors side by side, a function before its argument."""
    if left in NO_FACTOR or right in NO_FACTOR - {"prefix"}:
        return ""
    if right == "open" and left in JOINING:
        return JOINING[left]
    return "of" if left == "function" else "times"
