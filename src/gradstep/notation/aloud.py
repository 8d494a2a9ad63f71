"""How is a sentence with signs in it read aloud? "Σᵢ eᵢ²" is "the sum over i of e sub i squared"."""

from __future__ import annotations

import re
from unicodedata import normalize

from gradstep.notation.spoken import DIGITS, POWERS
from gradstep.notation.symbols import LETTER_NAMES, SIGNS

RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵀᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴺ"
LOWERED = "₀₁₂₃₄₅₆₇₈₉₊₋ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"
_POWERS = {"T": "transposed", "−1": "inverse", "−T": "inverse transposed", "+": "pseudoinverse"}
_SPOKEN = {text: f" {sign.spoken} " for text, sign in SIGNS.items() if not text.isascii() or text in "=<>"}
_SPOKEN |= {letter: f" {name} " for letter, name in LETTER_NAMES.items()}
_SPOKEN |= {"∞": " infinity ", "–": " to ", "½": " one half "}
# From what encloses to what is enclosed: the first pattern of these is used first.
_PATTERNS = (
    (r"1\[([^]]*)\]", r" 1 where \1 and 0 elsewhere "),
    (r"∂(\w+)/∂(\w+)", r" the partial derivative of \1 with respect to \2 "),
    (r"‖([^‖]*)‖", r" the norm of \1 end norm "),
    (r"\|([^|]*)\|", r" the absolute value of \1 end absolute value "),
    (r"⟨([^⟩]*)⟩", r" the inner product of \1 end product "),
    (rf"Σ([{LOWERED}]+)", r" the sum over \1 of "),
    (r"Σ", r" the sum of "),
    (r"√(\w+)", r" the square root of \1 "),
    (r"√\(", r" the square root of ("),
    (r"(?<=\w)/(?=\w|\()|(?<=\))/(?=\w|\()", " over "),
    (r" \+ ", " plus "),
)


def aloud(text: str) -> str:
    """The sentence in words, for those who listen."""
    for pattern, words in _PATTERNS:
        text = re.sub(pattern, words, text)
    text = re.sub(f"(?<=over )[{LOWERED}]+", lambda run: _plain(run[0]), text)
    text = re.sub(f"[{LOWERED}]+", lambda run: f" sub {_plain(run[0])} ", text)
    text = re.sub(f"[{RAISED}]+", lambda run: f" {_power(run[0])} ", text)
    text = "".join(_SPOKEN.get(letter, letter) for letter in text.translate(DIGITS))
    words = " ".join(normalize("NFKC", text).split())
    return re.sub(r" (?=[,;:.)])|(?<=\() ", "", words)


def _plain(run: str) -> str:
    """Lowered or raised letters as they stand on the line, one after the other."""
    return " ".join(normalize("NFKC", run))


def _power(run: str) -> str:
    flat = normalize("NFKC", run)
    known = _POWERS.get(flat) or POWERS.get(flat)
    return known or f"to the power {' '.join(_SPOKEN.get(letter, letter).strip() for letter in flat)}"
