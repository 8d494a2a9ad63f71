"""How does a sentence with mathematics in it stand in LaTeX? "yᵢ does not depend on w" → $y_{i}$ does not …

A sentence is plain Unicode. Here the words that are mathematics are found, and set as such; a vocabulary says
how the names of this derivation are set: {"xᵢ": r"\\mathbf{x}_{i}"}.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gradstep.expression.boxes import Box, Of, Sub, Sym, parts_of
from gradstep.expression.node import Expr
from gradstep.notation.latex import FUNCTIONS, LETTERS, SAFE, latex
from gradstep.notation.plain import SUBSCRIPTS, SUPERSCRIPTS, line

RAISED = {chr(small): chr(letter) for letter, small in SUPERSCRIPTS.items() if chr(letter) != chr(small)}
LOWERED = {chr(small): chr(letter) for letter, small in SUBSCRIPTS.items() if chr(letter) != chr(small)}
RAISED |= {"ᵀ": r"\top ", "⁻": "-", "ˣ": "x"}
LOWERED |= {"₋": "-"}
MARKS = {"\u0302": "hat", "\u0304": "bar"}
HALF = {"½": r"\tfrac{1}{2}"}
SIGNS = frozenset("=<>≤≥≠+−·×⊙⊘∂Σ→←⇒∈|/½")
WORDS_IN_FORMULAS = frozenset({"max", "min", "log", "exp", "tanh", "diag", "sign", "softmax", "relu"})
ARTICLE = "a"
TEXT_SIGNS = {"–": "--", "—": "---", "…": r"\dots{}", "✓": r"$\checkmark$", "✗": r"$\times$", "’": "'"}
SPECIAL = {"%": r"\%", "&": r"\&", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\~{}"}


def vocabulary(boxes: Iterable[Box], parts: bool) -> dict[str, str]:
    """How the names in `boxes` are set in LaTeX, by their plain text; those of whole parts too, or not."""
    found: dict[str, str] = {}
    seen: set[int] = set()
    stack = list(boxes)
    while stack:
        box = stack.pop()
        if id(box) in seen:
            continue
        seen.add(id(box))
        if isinstance(box, Of) and isinstance(box.box, Sym | Sub):
            whole_part = isinstance(box.box, Sym) and isinstance(box.what, Expr) and box.what.args
            if whole_part and not parts:
                continue
            found.setdefault(line(box), latex(box))
        else:
            stack += parts_of(box)
    return found


def prose(sentence: str, names: Mapping[str, str] | None = None) -> str:
    """`sentence` as LaTeX text, formulas in it between dollars; `names` is a vocabulary."""
    names = names or {}
    runs: list[tuple[bool, list[str]]] = []
    words = sentence.split()
    for word, following in zip(words, [*words, ""][1:], strict=True):
        known = word.strip(",;:.()⟨⟩") in names and word.strip(",;:.()⟨⟩") != ARTICLE
        mathematical = known or is_formula(word, bool(runs) and runs[-1][0], following)
        aside = word.startswith("(") and following == "="  # (l = 31 … 2) after a formula
        if runs and runs[-1][0] == mathematical and not aside:
            runs[-1][1].append(word)
        else:
            runs.append((mathematical, [word]))
    return " ".join(
        _set(" ".join(words), names) if maths else _escaped(" ".join(words)) for maths, words in runs
    )


def is_formula(word: str, after_formula: bool = False, following: str = "") -> bool:
    """Whether a word of a sentence is mathematics: yᵢ, z, ⟨G, and signs such as =."""
    if re.match(r"1\[|\(?(max|min|log|exp|d|diag|softmax|sign)\(", word):
        return True
    bare = word.strip(",;:.()[]⟨⟩")
    if word == "…":
        return after_formula
    if not bare:
        return any(bracket in word for bracket in "⟨⟩()[]") and after_formula
    if re.fullmatch(r"[0-9]+(–[0-9]+)?", bare):
        return after_formula and word[-1:] != ";"
    if len(bare) == 1 and bare.isascii() and bare.isalpha():
        return bare != ARTICLE or after_formula or following[:1] in SIGNS
    if any(letter in SIGNS or letter in RAISED or letter in LOWERED or letter in "⟨⟩‖" for letter in word):
        return True
    return bool(re.fullmatch(r"[0-9]*[a-zA-Zα-ωΑ-Ω]['′]?", bare) or re.fullmatch(r"d[A-Za-z]", bare))


def _set(formula: str, names: Mapping[str, str]) -> str:
    """A formula between dollars; punctuation at its end stays outside."""
    end = re.search(r"[,;:.]+$", formula)
    tail = end[0] if end else ""
    body = formula.removesuffix(tail)
    if body.endswith(")") and body.count(")") > body.count("("):
        body, tail = body[:-1], f"){tail}"
    return f"${_maths(body, names)}${tail}"


def _maths(text: str, names: Mapping[str, str]) -> str:
    source, k = "", 0
    while k < len(text):
        letter = text[k]
        indexed = re.match(r"[^\W\d_]_\w+", text[k:])
        plain = re.match(r"[^\W\d_][₀-₉ᵢⱼₖₗₘₙₜ]*", text[k:])
        name = indexed if indexed and indexed[0] in names else plain
        if name and name[0] in names and not re.match(r"[A-Za-z]", text[k + len(name[0]) :]):
            source += names[name[0]] + " "
            k += len(name[0])
            continue
        for table, mark in ((RAISED, "^"), (LOWERED, "_")):
            if letter in table:
                end = k
                while end < len(text) and text[end] in table:
                    end += 1
                source += f"{mark}{{{''.join(table[small] for small in text[k:end]).strip()}}}"
                k = end
                break
        else:
            word = re.match(r"[A-Za-z]{2,}", text[k:])
            if word and (word[0] in FUNCTIONS or word[0] in WORDS_IN_FORMULAS):
                source += rf"\{word[0]} " if word[0] in FUNCTIONS else rf"\operatorname{{{word[0]}}}"
                k += len(word[0])
                continue
            source += HALF.get(letter) or (f"{LETTERS[letter]} " if letter in LETTERS else letter)
            k += 1
    return re.sub(r"\s+", " ", source).strip()


def _escaped(words: str) -> str:
    """Words, with what LaTeX would take for commands written out."""
    source = ""
    for letter in words:
        if letter in TEXT_SIGNS or letter in SPECIAL:
            source += TEXT_SIGNS.get(letter) or SPECIAL[letter]
        elif letter in LETTERS:
            source += f"${LETTERS[letter]}$"
        else:
            source += letter if letter in SAFE or letter.isalpha() else "?"
    return source
