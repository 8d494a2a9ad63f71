"""Which pieces does pasted mathematics have? LaTeX, Unicode and plain letters become one kind of token.

`\\frac{2}{N}\\,\\mathbf{X}^{\\top}`, `2/N Xᵀ` and `2/N X^T` are cut into the same signs and names, each with
its place in the text. Nothing is expanded: a command that is not in the tables is an error at its place.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple, NoReturn

from gradstep.expression.errors import MathError
from gradstep.notation.mending import nearest, printable
from gradstep.notation.scanning import DEEPEST, MOST_IN_A_STATEMENT
from gradstep.notation.symbols import GREEK
from gradstep.operations.leaves import LONGEST


class Piece(NamedTuple):
    """A piece of mathematics: "name", "number", "sign", "open", "close" or "word"; and where it stands."""

    kind: str
    text: str
    start: int
    end: int


# What only dresses a formula.
DECORATION = re.compile(
    r"\\(?:begin|end)\s*\{(?:align|aligned|equation|split|gather|gathered|eqnarray|displaymath)\*?\}(?:\{[^}]*\})?"
    r"|\\[\[\]()]|\$+|\\(?:nonumber|notag)|\\label\{[^}]*\}"
)
REMARK = re.compile(r"(?:\\(?:quad|qquad|tag)\b[^\n]*?(?=\\\\|\n|$))|(?<!\\)%[^\n]*|#[^\n]*")
# Commands that are only looks, or space.
SILENT = frozenset({
    "displaystyle", "textstyle", "scriptstyle", "limits", "nolimits", "left", "right", "big", "Big", "bigg",
    "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr", "Biggl", "Biggr", "middle", "quad", "qquad",
    "hspace", "nonumber", "notag", ",", ";", ":", "!", ">", "space", "thinspace", "medspace", " ", "\n",
})  # fmt: skip
SIGNS = {
    "cdot": "·", "times": "×", "odot": "⊙", "circ": "⊙", "oslash": "⊘", "div": "/", "ast": "*", "star": "*",
    "partial": "∂", "nabla": "∇", "sum": "Σ", "top": "ᵀ", "intercal": "ᵀ", "prime": "′", "le": "≤",
    "leq": "≤", "leqslant": "≤", "ge": "≥", "geq": "≥", "geqslant": "≥", "ne": "≠", "neq": "≠", "lt": "<",
    "gt": ">", "sqrt": "√", "frac": "frac", "tfrac": "frac", "dfrac": "frac", "cfrac": "frac", "mid": "|",
    "colon": ":", "mathbb1": "𝟙", "bbone": "𝟙", "equiv": "=", "pm": "±", "otimes": "⊗", "dagger": "†",
}  # fmt: skip
BRACKETS = {
    "langle": "⟨", "rangle": "⟩", "lVert": "‖", "rVert": "‖", "Vert": "‖", "|": "‖", "lvert": "|",
    "rvert": "|", "vert": "|", "{": "{", "}": "}", "lbrack": "[", "rbrack": "]", "lbrace": "{", "rbrace": "}",
}  # fmt: skip
FONTS = frozenset({
    "mathbf", "boldsymbol", "bm", "mathrm", "mathit", "mathsf", "mathcal", "mathtt", "vec", "operatorname",
    "text", "textrm", "textbf", "textit", "mbox", "mathbb", "mathds", "bold", "rm", "bf", "underline",
})  # fmt: skip
ACCENTS = {"hat": "hat", "widehat": "hat", "bar": "bar", "overline": "bar", "tilde": "tilde"}
MARKS = {"\u0302": "hat", "\u0304": "bar", "\u0303": "tilde"}
VARIANTS = {"varepsilon": "ε", "vartheta": "θ", "varphi": "φ", "varsigma": "σ", "ell": "ℓ"}
FUNCTIONS = frozenset({
    "exp", "log", "ln", "tanh", "sinh", "cosh", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "max",
    "min", "det", "tr", "Tr", "diag", "sign", "sgn", "softmax", "sigmoid", "relu", "ReLU", "softplus",
})  # fmt: skip

RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁱʲᵏˡᵐⁿᵗᵀ", "0123456789+−=()ijklmntᵀ", strict=True))
LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ᵢⱼₖₗₘₙₜ", "0123456789+−=()ijklmnt", strict=True))
SAME = {
    "-": "−", "–": "−", "—": "−", "∗": "*", "⋅": "·", "∙": "·", "•": "·", "∘": "⊙", "∑": "Σ", "⊤": "ᵀ",
    "<=": "≤", ">=": "≥", "!=": "≠", "==": "≡", "**": "^", "𝟏": "𝟏", "'": "′", "’": "′", "⟂": "⊥", "÷": "/",
    ":=": "=", "≔": "=", "⊺": "ᵀ",
}  # fmt: skip
OPEN, CLOSE = "([{⟨", ")]}⟩"
TOKEN = re.compile(
    r"""
      (?P<space>   [\s~&]+ )
    | (?P<number>  (?: [0-9]+ (?: \.[0-9]+ )? | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ (?![A-Za-z]) )? )
    | (?P<break>   \\\\ )
    | (?P<command> \\ (?: [A-Za-z]+ \*? | . ) )
    | (?P<transpose> \.T \b )
    | (?P<letters> [A-Za-z]+ )
    | (?P<sign>    \*\* | := | == | != | <= | >= | . )
    """,
    re.VERBOSE | re.DOTALL,
)
MATRICES = frozenset({"matrix", "pmatrix", "bmatrix", "Bmatrix", "smallmatrix"})
BEGIN = re.compile(r"\\(?:begin|end)\s*\{\s*([A-Za-z]+)\*?\s*\}")


def cleaned(source: str) -> str:
    """The text without what only dresses it: remarks, $ and the names of environments; places stay."""
    text = source.replace("\t", " ").replace("\r", " ")
    for pattern in (REMARK, DECORATION):
        text = pattern.sub(lambda found: " " * len(found[0]), text)
    return text


def pieces(source: str, start: int, end: int) -> list[Piece]:
    """The pieces of source[start:end]; raises `MathError` at the first thing that is none."""
    if end - start > MOST_IN_A_STATEMENT:
        raise MathError(f"this line has {end - start:,} characters: at most {MOST_IN_A_STATEMENT:,} are read")
    return _Cutter(source, start, end).cut()


class _Cutter:
    """Goes through one line of text once."""

    def __init__(self, source: str, start: int, end: int) -> None:
        self.source, self.at, self.end = source, start, end
        self.found: list[Piece] = []
        self.cases = 0
        self.depth = 0

    def cut(self) -> list[Piece]:
        while self.at < self.end:
            match = TOKEN.match(self.source, self.at, self.end)
            assert match is not None and match.lastgroup is not None
            start, self.at = self.at, match.end()
            getattr(self, f"_{match.lastgroup}")(match[0], start)
        return self.found

    def wrong(self, what: str, start: int, mend: str | None = None) -> NoReturn:
        raise MathError(what, source=printable(self.source), span=(start, self.at), mend=mend)

    def add(self, kind: str, text: str, start: int) -> None:
        self.depth += (kind == "open") - (kind == "close")
        if self.depth > DEEPEST:
            self.wrong(f"brackets nest at most {DEEPEST} deep", start)
        self.found.append(Piece(kind, text, start, self.at))

    # ------------------------------------------------------------------------------------ kinds of text

    def _space(self, text: str, start: int) -> None:
        if self.cases and "&" in text:
            self.add("sign", "&", start)

    def _break(self, text: str, start: int) -> None:
        if self.cases:
            self.add("sign", ";", start)

    def _number(self, text: str, start: int) -> None:
        if len(text) > LONGEST or not text.isascii():
            self.wrong(f"a number has at most {LONGEST} digits", start)
        self.add("number", text, start)

    def _transpose(self, text: str, start: int) -> None:
        self.raised("ᵀ", start)

    def _letters(self, text: str, start: int) -> None:
        mark = self.combining()
        if mark and len(text) > 1:
            self.found.append(Piece("name", text[:-1], start, start + len(text) - 1))
            start, text = start + len(text) - 1, text[-1]
        self.add("name", text + mark, start)

    def _sign(self, text: str, start: int) -> None:
        if text in RAISED or text in LOWERED:
            return self.script(text, start)
        whole = SAME.get(text, text)
        if whole in "()[]{}⟨⟩":
            return self.add("open" if whole in OPEN else "close", whole, start)
        if whole == "ᵀ":
            return self.raised("ᵀ", start)
        if whole in "+−*/·×⊙⊘⊗@^_=,;:|‖<>≤≥≠≡Σ∂∇√𝟏𝟙′∈.":
            return self.add("sign", whole, start)
        if text == "$":
            return None
        plain = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text))
        if plain[0] in GREEK.values() or (plain[0].isascii() and plain[0].isalpha()) or plain[0] in "ℓε":
            mark = "".join(MARKS.get(sign, "?") for sign in plain[1:]) or self.combining()
            return self.add("name", ("ε" if plain[0] == "ϵ" else plain[0]) + mark, start)
        if plain.isascii() and plain.isdigit():
            return self.add("number", plain, start)
        name = unicodedata.name(text, f"U+{ord(text):04X}").lower()
        self.wrong(f"{printable(text)} ({name}) is no sign of a derivation", start)

    def combining(self) -> str:
        """A mark over the letter before: ẑ written as two characters."""
        mark = MARKS.get(self.source[self.at : self.at + 1], "")
        self.at += bool(mark)
        return mark

    def script(self, first: str, start: int) -> None:
        """A run of raised or lowered small letters: ⁻¹, ᵢⱼ."""
        table, sign = (RAISED, "^") if first in RAISED else (LOWERED, "_")
        while self.at < self.end and self.source[self.at] in table:
            self.at += 1
        self.group(sign, [table[letter] for letter in self.source[start : self.at]], start)

    def raised(self, text: str, start: int) -> None:
        self.group("^", [text], start)

    def group(self, sign: str, letters: list[str], start: int) -> None:
        """^{…} or _{…}, as LaTeX has it."""
        self.add("sign", sign, start)
        self.add("open", "{", start)
        for letter in letters:
            kind = "number" if letter.isdigit() else "name" if letter.isalpha() and letter != "ᵀ" else "sign"
            kind = {"(": "open", ")": "close"}.get(letter, kind)
            if kind == "number" and self.found[-1].kind == "number":
                letter = self.found.pop().text + letter
            self.add(kind, letter, start)
        self.add("close", "}", start)

    # ------------------------------------------------------------------------------------ commands

    def _command(self, text: str, start: int) -> None:
        word = text[1:].removesuffix("*")
        if word in ("begin", "end"):
            return self.environment(start)
        if word in SILENT:
            if word in ("left", "right") and self.source[self.at : self.at + 1] == ".":
                self.at += 1
            return None
        if word in BRACKETS:
            sign = BRACKETS[word]
            kind = "open" if sign in "([{⟨" else "close" if sign in ")]}⟩" else "sign"
            return self.add(kind, sign, start)
        if word in SIGNS:
            sign = SIGNS[word]
            return (
                self.raised("ᵀ", start)
                if sign == "ᵀ" and not self._follows_hat()
                else self.add("sign", sign, start)
            )
        letter = GREEK.get(word) or VARIANTS.get(word)
        if letter:
            return self.add("name", letter, start)
        if word in FUNCTIONS:
            return self.add("name", word, start)
        if word in FONTS:
            return self.font(word, start)
        if word in ACCENTS:
            return self.accent(word, start)
        near = nearest(word, [*SIGNS, *FUNCTIONS, *FONTS, *ACCENTS, *GREEK])
        self.wrong(f"\\{word} is no command that can be read here", start, f"\\{near[0]}" if near else None)

    def _follows_hat(self) -> bool:
        """X^\\top and X^{\\top}: the hat is there already."""
        return any(piece.text == "^" for piece in self.found[-3:]) and self.found[-1].text in "^{−"

    def environment(self, start: int) -> None:
        match = BEGIN.match(self.source, start, self.end)
        if match is None:
            self.wrong("this environment has no name", start)
        self.at = match.end()
        opening = self.source.startswith("\\begin", start)
        if match[1] == "cases" or match[1] in MATRICES:
            self.cases += 1 if opening else -1
            kind = "cases" if match[1] == "cases" else "matrix"
            return self.add("open" if opening else "close", kind if opening else "}", start)
        if match[1] in (
            "aligned",
            "align",
            "equation",
            "split",
            "gather",
            "gathered",
            "eqnarray",
            "alignat",
            "displaymath",
        ):
            return None
        self.wrong(f"\\begin{{{match[1]}}} cannot be read here", start)

    def argument(self, start: int) -> tuple[str, int, int]:
        """The text of the group, or of the one sign, that a command is applied to."""
        while self.at < self.end and self.source[self.at].isspace():
            self.at += 1
        if self.at >= self.end:
            self.wrong("nothing follows this command", start)
        if self.source[self.at] != "{":
            match = TOKEN.match(self.source, self.at, self.end)
            assert match is not None
            first = self.at
            self.at = match.end() if match[0].startswith("\\") else first + 1
            return self.source[first : self.at], first, self.at
        depth, first = 0, self.at
        while self.at < self.end:
            depth += {"{": 1, "}": -1}.get(self.source[self.at], 0)
            self.at += 1
            if not depth:
                return self.source[first + 1 : self.at - 1], first + 1, self.at - 1
        self.at = first + 1
        self.wrong("this { is not closed", first)

    def inner(self, first: int, last: int) -> list[Piece]:
        """The pieces inside a group."""
        if self.depth >= DEEPEST:
            self.wrong(f"brackets nest at most {DEEPEST} deep", first)
        cutter = _Cutter(self.source, first, last)
        cutter.depth = self.depth + 1
        return cutter.cut()

    def font(self, command: str, start: int) -> None:
        """\\mathbf{Wq} is one name, \\mathbf{1} a vector of ones, \\text{if } a word."""
        text, first, last = self.argument(start)
        word = text.strip()
        if word == "1":
            sign = "𝟙" if command in ("mathbb", "mathds") else "𝟏"
            return self.add("sign", sign, start)
        if command in ("text", "textrm", "mbox", "textit", "textbf") and not word.replace(" ", "").isalpha():
            return self.found.extend(self.inner(first, last)) if word else None
        if word in ("T", "top", "\\top") and self.found and self.found[-1].text in "^{":
            return self.add("sign", "ᵀ", start)
        if word.isascii() and word.isalpha():
            return self.add("name", word, start)
        if word in ("if", "otherwise", "else", "for", "where", "when") or " " in word:
            for part in re.finditer(r"[A-Za-z]+", text):
                self.found.append(Piece("name", part[0], first + part.start(), first + part.end()))
            return None
        self.found.extend(self.inner(first, last))

    def accent(self, command: str, start: int) -> None:
        """\\hat{y} is ŷ."""
        _, first, last = self.argument(start)
        inside = self.inner(first, last)
        if len(inside) != 1 or inside[0].kind != "name":
            self.wrong(f"\\{command} stands over one letter", start)
        self.add("name", inside[0].text + ACCENTS[command], start)
