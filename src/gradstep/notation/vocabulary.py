"""What do the names in pasted mathematics mean? W1, W₁ and W_1 are one name; xᵢ is a row of X."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gradstep.expression.boxes import Accent, Box, Row, Sub, Sup, Sym
from gradstep.expression.node import Expr
from gradstep.notation.symbols import symbol


@dataclass(slots=True)
class Words:
    """What the names of a claim mean.

    values        by name: variables, sizes, parts, what the claim itself has defined
    slope         (what, by what) -> the array of derivatives; None is the loss
    losses        what the loss may be called
    differential  how an expression moves with the parameters; None: d is no sign here
    alone         the one parameter, of ∇f without a name below
    """

    values: Mapping[str, Expr]
    slope: Callable[[Expr | None, Expr], Expr]
    losses: frozenset[str] = frozenset()
    differential: Callable[[Expr], Expr] | None = None
    alone: Expr | None = None
    keys: dict[str, Expr] = field(default_factory=dict)
    rows: dict[str, Expr] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = {key_of(symbol(name)): value for name, value in self.values.items()}
        self.keys |= {name: value for name, value in self.values.items() if name not in self.keys}
        for key, value in list(self.keys.items()):
            low = key[0].lower() + key[1:]
            taken = self.keys.get(low)
            if value.rank == 2 and key[:1].isupper() and (taken is None or not taken.rank):
                self.rows[low] = value

    def knows(self, text: str) -> bool:
        """Whether a run of letters is a name, or a row xᵢ of a matrix."""
        return text in self.keys or text in self.rows

    def begins(self, text: str) -> bool:
        """Whether some name begins so: W of W₁."""
        return self.knows(text) or any(key.startswith((text + "_", text + "^")) for key in self.keys)


def key_of(box: Box) -> str:
    """A name as one string, however it is written: W1 and W₁ are W_1, yhat and ŷ are yhat."""
    match box:
        case Sym(text):
            return "" if text == "," else text
        case Sub(base, index):
            return f"{key_of(base)}_{key_of(index)}"
        case Sup(base, exponent):
            return f"{key_of(base)}^{key_of(exponent)}"
        case Accent(base, mark):
            return key_of(base) + mark
        case Row(items):
            return "".join(map(key_of, items))
    return ""
