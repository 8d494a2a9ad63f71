"""How is a name or a sign written?

A user types `lam`, `W_out`, `sigma2`, `yhat`; a reader sees λ, W with a lowered "out", σ², ŷ. The tables
here are the only place that knows how a letter or a sign is called in LaTeX and how it is read aloud.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple, cast

from gradstep.expression.boxes import Accent, Box, Frac, Of, Row, Sub, Sup, Sym, SymbolKind, row

# What a piece of notation shows to its neighbour: this alone decides the space between the two.
Edge = Literal[
    "letter", "word", "number", "one", "function", "text", "fraction", "slope", "open", "close", "big",
    "cases", "plus", "sign", "binary", "relation", "dot", "comma", "prefix", "postfix",
]  # fmt: skip


class Sign(NamedTuple):
    """An operator sign: how it stands beside its neighbours, its LaTeX, and how it is read aloud."""

    edge: Edge
    latex: str
    spoken: str


SIGNS: dict[str, Sign] = {
    "+": Sign("plus", "+", "plus"),
    "−": Sign("plus", "-", "minus"),
    "±": Sign("plus", r"\pm", "plus or minus"),
    "·": Sign("dot", r"\cdot", "dot"),
    "/": Sign("dot", "/", "over"),
    "×": Sign("binary", r"\times", "by"),
    "⊙": Sign("binary", r"\odot", "entrywise times"),
    "⊘": Sign("binary", r"\oslash", "entrywise divided by"),
    "⊗": Sign("binary", r"\otimes", "Kronecker product with"),
    "⊕": Sign("binary", r"\oplus", "direct sum with"),
    "∗": Sign("binary", r"\ast", "convolved with"),
    "⋆": Sign("binary", r"\star", "correlated with"),
    "∘": Sign("binary", r"\circ", "composed with"),
    "=": Sign("relation", "=", "equals"),
    "≠": Sign("relation", r"\ne", "is not equal to"),
    "≈": Sign("relation", r"\approx", "is about"),
    "≡": Sign("relation", r"\equiv", "is identically"),
    "∝": Sign("relation", r"\propto", "is proportional to"),
    "<": Sign("relation", "<", "is less than"),
    ">": Sign("relation", ">", "is greater than"),
    "≤": Sign("relation", r"\le", "is at most"),
    "≥": Sign("relation", r"\ge", "is at least"),
    "∈": Sign("relation", r"\in", "in"),
    "∉": Sign("relation", r"\notin", "not in"),
    "≔": Sign("relation", ":=", "is defined as"),
    "→": Sign("relation", r"\to", "to"),
    "←": Sign("relation", r"\leftarrow", "becomes"),
    "↦": Sign("relation", r"\mapsto", "maps to"),
    "⇒": Sign("relation", r"\Rightarrow", "implies"),
    "∼": Sign("relation", r"\sim", "is distributed as"),
    "|": Sign("relation", r"\mid", "given"),
    "∧": Sign("binary", r"\land", "and"),
    "∨": Sign("binary", r"\lor", "or"),
    ",": Sign("comma", ",", ","),
    ";": Sign("comma", ";", ";"),
    ":": Sign("comma", ":", ":"),
    "∂": Sign("prefix", r"\partial", "partial"),
    "d": Sign("prefix", r"\mathrm{d}", "d"),
    "∇": Sign("prefix", r"\nabla", "gradient of"),
    "Δ": Sign("prefix", r"\Delta", "change of"),
    "δ": Sign("prefix", r"\delta", "delta"),
    "√": Sign("prefix", r"\surd", "square root of"),
    "¬": Sign("prefix", r"\lnot", "not"),
    "′": Sign("postfix", r"\prime", "prime"),
    "!": Sign("postfix", "!", "factorial"),
    "ᵀ": Sign("postfix", r"\top", "transposed"),
    "…": Sign("letter", r"\dots", "and so on"),
    "⋯": Sign("letter", r"\cdots", "and so on"),
    "⋮": Sign("letter", r"\vdots", "and so on"),
}

ALIASES = {
    "-": "−", "*": "·", "⋅": "·", "<=": "≤", ">=": "≥", "!=": "≠", ":=": "≔", "->": "→", "<-": "←", "~": "∼",
    "T": "ᵀ", "⊤": "ᵀ", "'": "′", "...": "…", "ⅆ": "d",
}  # fmt: skip

GREEK: dict[str, str] = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π",
    "rho": "ρ", "sigma": "σ", "tau": "τ", "upsilon": "υ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
    "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ",
    "Upsilon": "Υ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
SHORT = {"lam": "λ", "lmbda": "λ", "eps": "ε"}
LETTER_NAMES = {letter: name for name, letter in GREEK.items()}

MARKS = ("hat", "bar")
SQUARES = ("sigma2", "tau2")
_GLUED = re.compile(rf"([A-Za-z]|{'|'.join(GREEK)})(hat|bar)")
_NUMBERED = re.compile(r"([A-Za-z]+)([0-9]+)")
_INDICES = re.compile(r"(?!in$)[i-n]{2,3}")
_NUMBER = re.compile(r"([-−]?)([0-9]+(?:\.[0-9]*)?)(?:e([+-]?)0*([0-9]+))?(?:/([0-9]+))?")


KEPT = 2048  # names, numbers and signs: a page has few, each in many places


def sign(text: str) -> Sign:
    """What is known about an operator sign; an unknown one is spaced like +, a word like =."""
    known = SIGNS.get(unified(text))
    return known or Sign("text" if text.strip().isalpha() else "binary", "", text)


def unified(text: str) -> str:
    """One spelling for each operator sign: a true minus, one dot, one transpose."""
    text = " ".join(text.split())
    return ALIASES.get(text, text)


def edge(symbol: Sym) -> Edge:
    """What a symbol shows to its neighbours."""
    return _edge(symbol.text, symbol.kind)


@lru_cache(KEPT)
def _edge(text: str, kind: SymbolKind) -> Edge:
    if kind == "operator":
        return sign(text).edge
    if kind in ("function", "text"):
        return cast(Edge, kind)
    if kind == "number" and text[:1].isdigit():
        return "number"
    if text in ("1", "𝟏", "𝟙") and kind != "number":
        return "one"
    return "letter" if len(text) == 1 else "word"


@lru_cache(KEPT)
def symbol(name: str, kind: SymbolKind = "scalar") -> Box:
    """A user's name as it is written: lam → λ, W1 → W₁, z_i → zᵢ, sigma2 → σ², yhat → ŷ, price → price.

    A name of several letters stays one word, and so does what follows its underscore (learning_rate); so
    does a name with several words below it (x_under_score).
    """
    parts = [part for part in name.split("_") if part]
    if len(parts) == 1 and (glued := _GLUED.fullmatch(parts[0])):
        parts = list(glued.groups())
    stem, *indices = [part for part in parts if part not in MARKS] or [name]
    marks = [part for part in parts if part in MARKS and stem != name]
    if stem in SQUARES:
        return _lowered(_marked(stem[:-1], kind, marks), indices, squared=True)
    if numbered := _NUMBERED.fullmatch(stem):
        stem, indices = numbered[1], [numbered[2], *indices]
    words = [index for index in indices if not index.isdigit() and len(_letter(index)) > 1]
    one_word = len(_letter(stem)) > 1 and not all(index.isdigit() for index in indices)
    if one_word or (words and len(indices) > 1 and not _INDICES.fullmatch(words[0])):
        return Sym(name, kind)
    return _lowered(_marked(stem, kind, marks), indices)


def _letter(stem: str) -> str:
    return GREEK.get(stem) or SHORT.get(stem, stem)


def _marked(stem: str, kind: SymbolKind, marks: list[str]) -> Box:
    box: Box = Sym(_letter(stem), kind)
    for mark in marks:
        box = Accent(box, "hat" if mark == "hat" else "bar")
    return box


def _lowered(box: Box, indices: list[str], squared: bool = False) -> Box:
    if indices:
        items = [item for index in indices for item in (Sym(",", "operator"), *_index(index))]
        box = Sub(box, items[1] if len(items) == 2 else Row(tuple(items[1:])))
    return Sup(box, Sym("2", "number")) if squared else box


def _index(text: str) -> tuple[Box, ...]:
    """An index: a number, a letter, two or three index letters (W_ij), or an upright word (W_out)."""
    if text.isdigit():
        return (Sym(text, "number"),)
    if len(_letter(text)) == 1:
        return (Sym(_letter(text), "index"),)
    if _INDICES.fullmatch(text):
        return tuple(Sym(letter, "index") for letter in text)
    return (Sym(text, "text"),)


@lru_cache(KEPT)
def numeral(text: str) -> Box:
    """A number as it is written: -2 → −2, 1/2 → a fraction, 1e-05 → 10⁻⁵."""
    found = _NUMBER.fullmatch(text)
    if found is None or text.isdigit():
        return Sym(text, "number")
    minus, digits, power_sign, power, bottom = found.groups()
    box: Box = Sym(digits, "number")
    if power:
        exponent = Sym(power, "number")
        raised = Sup(Sym("10", "number"), row("−", exponent) if power_sign == "-" else exponent)
        box = raised if digits == "1" else row(box, "·", raised)
    if bottom:
        box = Frac(box, Sym(bottom, "number"))
    return row("−", box) if minus else box


def spelled_out(box: Box) -> Box:
    """`box` with names and numbers properly written, and a mark over the letter that it belongs to.

    Only the outermost box is looked at; a renderer asks again for each box that it meets.
    """
    match box:
        case Sym(text, "number"):
            return numeral(text)
        case Sym(text, "scalar" | "vector" | "matrix" | "size" | "index" as kind) if len(text) > 1:
            return symbol(text, kind) if text.isascii() else box
        case Accent(Of(what, inner), mark):
            return Of(what, Accent(inner, mark))
        case Accent(Sub(base, index), mark):
            return Sub(Accent(base, mark), index)
        case _:
            return box
