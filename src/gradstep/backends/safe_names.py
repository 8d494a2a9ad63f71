"""What may a thing be called in generated code? Names from a table, never a user's text as it stands."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata

from gradstep.operations import FUNCTIONS
from gradstep.operations.coded import CODED

# Words that mean something where generated code is read.
RESERVED = frozenset(
    {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *FUNCTIONS, *(op.name for op in CODED)}
    | {"np", "pi", "self", "exact_product"}
)

MACRON = "\N{COMBINING MACRON}"
COTANGENT = r"∂\w+/∂|d\w+/d|∇"
LONGEST = 64


def identifier(wanted: str) -> str:
    """An ASCII identifier that reads like `wanted`: λ → lambda_, H₁ → H1, z̄ and ∂C/∂z → dz."""
    name, marks = re.subn(COTANGENT, "", wanted)
    letters = unicodedata.normalize("NFKD", name)
    slope = bool(marks) or MACRON in letters
    plain = "".join(_letter(letter) for letter in letters)
    plain = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9_]", "", plain)).lstrip("_")
    plain = ("d" if slope else "") + plain[: LONGEST - slope]
    if not plain or plain[0].isdigit():
        plain = f"t{plain}"[:LONGEST]
    return f"{plain}_" if plain in RESERVED else plain


def _letter(letter: str) -> str:
    """Greek letters by their names."""
    if letter.isascii():
        return letter
    kind, _, name = unicodedata.name(letter, "").rpartition(" LETTER ")
    if not kind.startswith("GREEK") or " " in name:
        return ""
    return name.capitalize() if kind.endswith("CAPITAL") else name.lower().replace("lamda", "lambda")


class Names:
    """Hands out names, each once."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def give(self, wanted: str) -> str:
        """`wanted` as an identifier that is safe and still free."""
        plain = name = identifier(wanted)
        number = 2
        while name in self.taken:
            name, number = f"{plain.rstrip('_')[: LONGEST - 6]}_{number}", number + 1
        self.taken.add(name)
        return name
