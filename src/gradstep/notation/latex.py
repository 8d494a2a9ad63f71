"""How is mathematics written in LaTeX?

`latex` gives what stands between the dollars. It needs `PACKAGES` and nothing else; KaTeX and MathJax read it
as well. Letters and signs come from tables; no character of a user's text gets through in any other way.
"""

from __future__ import annotations

import re
import string
import unicodedata
from typing import NamedTuple

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
    gap,
    needs_if,
    owned,
    scripted,
    settled,
    takes,
    touching,
)
from gradstep.notation.symbols import GREEK, SIGNS, Edge, sign, unified

PACKAGES = ("amsmath", "amssymb")

SAFE = frozenset(string.ascii_letters + string.digits + " .,:;!?()[]=+-/*'")
LETTERS: dict[str, str] = {
    **{greek: rf"\{name}" for name, greek in GREEK.items()},
    "ε": r"\varepsilon", "ϵ": r"\epsilon", "φ": r"\varphi", "ϕ": r"\phi", "ℓ": r"\ell", "∞": r"\infty",
    "ℝ": r"\mathbb{R}", "𝟏": r"\mathbf{1}", "𝟙": r"\mathbf{1}", "∅": r"\varnothing", "✓": r"\checkmark",
    "_": r"\_", "{": r"\{", "}": r"\}", "$": r"\$", "%": r"\%", "#": r"\#", "&": r"\&", "~": r"\sim",
    "^": r"\wedge", "\\": r"\backslash", "|": r"\vert", "<": "<", ">": ">",
    "'": r"\prime", '"': r"\prime\prime", "‖": r"\Vert", "⟨": r"\langle", "⟩": r"\rangle",
    **{text: known.latex for text, known in SIGNS.items() if not text.isascii()},
}  # fmt: skip

FUNCTIONS = {
    "arccos", "arcsin", "arctan", "cos", "cosh", "det", "dim", "exp", "inf", "lim", "ln", "log", "max", "min",
    "sin", "sinh", "sup", "tan", "tanh",
}  # fmt: skip
BIG = {
    "Σ": r"\sum", "∑": r"\sum", "Π": r"\prod", "∏": r"\prod", "∫": r"\int", "⋃": r"\bigcup", "⋂": r"\bigcap",
}  # fmt: skip
OPENING = {"{": r"\{", "⟨": r"\langle", "‖": r"\lVert", "|": r"\lvert", "⌊": r"\lfloor", "⌈": r"\lceil"}
CLOSING = {"}": r"\}", "⟩": r"\rangle", "‖": r"\rVert", "|": r"\rvert", "⌋": r"\rfloor", "⌉": r"\rceil"}
COMMAND = re.compile(r"\\[A-Za-z]+\Z")
GROWING = frozenset(["", *"()[]", *OPENING, *CLOSING])
MARKS = {"bar": (r"\bar", r"\overline"), "hat": (r"\hat", r"\widehat")}


class Tex(NamedTuple):
    """LaTeX source, and whether it is taller than a line."""

    source: str
    tall: bool = False


def latex(box: Box) -> str:
    r"""`box` as LaTeX mathematics, without dollars: -\frac{2}{N}\,\mathbf{X}^{\top} …"""
    return _joined(fold(box, _render, _symbol)).source


def document(body: str) -> str:
    r"""A minimal article around `body`, which is LaTeX text such as `\[ … \]`."""
    packages = "\n".join(rf"\usepackage{{{name}}}" for name in PACKAGES)
    return f"\\documentclass{{article}}\n{packages}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"


# ------------------------------------------------------------------------------------- case by case


def _render(box: Compound) -> Rendering[Tex]:
    match box:
        case Row(items):
            line: Pieces[Tex] = []
            for item in items:
                line += yield item
            return line
        case Of(what, part):
            return owned(what, (yield part))
        case Sup(base, exponent):
            nucleus = yield base
            return [scripted(nucleus, _script(nucleus, "^", _joined((yield exponent))), "^")]
        case Sub(base, index):
            nucleus = yield base
            return [scripted(nucleus, _script(nucleus, "_", _joined((yield index))), "_")]
        case Frac(top, bottom):
            over, under = (yield top), (yield bottom)
            quotient = rf"\frac{{{_joined(over).source}}}{{{_joined(under).source}}}"
            return [fraction(over, Tex(quotient, tall=True))]
        case Root(body):
            under_root = _joined((yield body))
            return [Piece(Tex(rf"\sqrt{{{under_root.source}}}", under_root.tall), "letter", "letter", "^")]
        case Accent(base, mark):
            nucleus = yield base
            return [accented(nucleus, _accented(nucleus, mark))]
        case Fence(left, body, right):
            return [enclosed(_fenced(left, _joined((yield body)), right))]
        case Big(name, below, above, body):
            low = _limit("_", _joined((yield below))) if below else ""
            high = _limit("^", _joined((yield above))) if above else ""
            inner = yield body
            source = f"{_big(name)}{low}{high} {_joined(inner).source}"
            return [Piece(Tex(source, tall=True), "big", inner[-1].right if inner else "big")]
        case Cases(rows):
            ways = []
            for value, condition in rows:
                shown, when = _joined((yield value)), (yield condition)
                guard = "{}" if shown.source[:1] in ("[", "*") else ""  # LaTeX would take \\[ for a distance
                ways.append(f"{guard}{shown.source} & {_if(when)}{_joined(when).source}")
            source = " \\\\ ".join(ways)
            return [Piece(Tex(rf"\begin{{cases}} {source} \end{{cases}}", tall=True), "cases", "cases")]


def _joined(pieces: Pieces[Tex]) -> Tex:
    """Pieces side by side, with a thin space where TeX would leave none and letters would touch."""
    source, before = "", None
    pieces = settled(pieces)
    for piece in pieces:
        if before is not None:
            source += _space(before, piece.left) or _needed(source, piece.body.source)
        source, before = source + piece.body.source, piece.right
    if len(pieces) == 1:
        return pieces[0].body
    return Tex(source, any(piece.body.tall for piece in pieces))


def _space(left: Edge, right: Edge) -> str:
    if "text" in (left, right):
        return r"\ "
    return r"\," if touching(left, right) else gap(left, right)


def _needed(before: str, after: str) -> str:
    r"""The space that ends a command, and one where two commands meet: \partial C, \partial \mathbf{w}."""
    if after[:1] == "\\":
        return " " if before[-1:] == "}" or COMMAND.search(before) else ""
    return " " if after[:1].isalpha() and COMMAND.search(before) else ""


def _script(nucleus: Pieces[Tex], mark: str, script: Tex) -> Tex:
    """`script` raised (^) or lowered (_)."""
    base = _joined(nucleus)
    if not takes(nucleus, mark):
        base = _fenced("(", base, ")")
    return Tex(f"{base.source or '{}'}{mark}{{{script.source}}}", base.tall)


def _accented(nucleus: Pieces[Tex], mark: str) -> Tex:
    """z with a bar; what is wider than a letter gets a wide mark."""
    body = _joined(nucleus)
    narrow = len(nucleus) == 1 and nucleus[0].left in ("letter", "one") and not nucleus[0].scripts
    return Tex(f"{MARKS[mark][not narrow]}{{{body.source}}}", body.tall)


def _limit(mark: str, limit: Tex) -> str:
    return f"{mark}{{{limit.source}}}"


def _if(condition: Pieces[Tex]) -> str:
    return r"\text{if } " if needs_if(condition) else ""


def _fenced(left: str, body: Tex, right: str) -> Tex:
    """Brackets; they grow only around what is taller than a line."""
    opening, closing = OPENING.get(left, _letters(left)), CLOSING.get(right, _letters(right))
    if body.tall and {left, right} <= GROWING:
        return Tex(rf"\left{opening or '.'} {body.source} \right{closing or '.'}", tall=True)
    apart = " " if opening.startswith("\\") else ""
    return Tex(f"{opening}{apart}{body.source}{apart}{closing}", body.tall)


# ------------------------------------------------------------------------------------- letters and words


def _symbol(symbol: Sym) -> Tex:
    return Tex(_lettered(symbol))


def _lettered(symbol: Sym) -> str:
    match symbol:
        case Sym(text, "operator"):
            known = sign(text)
            return known.latex or _words(unified(text))
        case Sym(text, "text"):
            return _words(text)
        case Sym(text, "function") if len(text) > 1:
            return rf"\{text}" if text in FUNCTIONS else rf"\operatorname{{{_letters(text)}}}"
        case Sym(text, "vector" | "matrix"):
            return _bold(text)
        case Sym(text, "number"):
            return _letters(text)
        case Sym(text):
            return _letters(text) if len(text) == 1 else rf"\mathit{{{_letters(text)}}}"


def _bold(text: str) -> str:
    source = _letters(text)
    if source.startswith(r"\mathbf"):
        return source
    return rf"\boldsymbol{{{source}}}" if source.startswith("\\") else rf"\mathbf{{{source}}}"


def _big(name: str) -> str:
    if name in BIG:
        return BIG[name]
    return rf"\{name}" if name in FUNCTIONS else rf"\operatorname*{{{_letters(name)}}}"


def _letters(text: str) -> str:
    """Letters, digits and signs of a name, each from the table."""
    return "".join(map(_letter, text)).strip()


def _letter(letter: str) -> str:
    if letter in LETTERS:
        source = LETTERS[letter]
        return source + " " if source[-1].isalpha() and source[0] == "\\" else source
    plain = unicodedata.normalize("NFKD", letter)[:1]
    return letter if letter in SAFE else plain if plain in SAFE else "?"


def _words(text: str) -> str:
    r"""Words inside a formula: \text{…} around what is plain, signs from the table between."""
    source, run = "", ""
    for letter in text:
        if letter in SAFE:
            run += letter
        else:
            source, run = source + _upright(run) + _letter(letter), ""
    return (source + _upright(run)).strip()


def _upright(run: str) -> str:
    return rf"\text{{{run}}}" if run else ""
