"""What has the user asked? Plain data from the page, read with care; and the formula in it, with its shapes.

The shapes that the user does not give are guessed: those of data are X: N×d and y: N, and of parameters the
largest with which the loss is a number.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gradstep.commands.models import USUAL
from gradstep.commands.shapes import completed, mentioned_of, words
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Shape
from gradstep.notation.declaring import shape_of
from gradstep.notation.parsing import parse
from gradstep.operations.evaluation import variables

LONGEST = 20_000  # characters of a text
MOST_NAMES = 200
NUMBER = "number"  # the shape of a number, as a user writes it
DATA = ("X", "x", "Y", "y", "T", "t")
ROWS = "N"
EXAMPLE = "mean((y - relu(X @ w + b))**2)"


@dataclass(frozen=True)
class Question:
    """Fields by name; a field that is absent is empty, and one of another kind is an error."""

    fields: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A text."""
        value = self.fields.get(name, "")
        if not isinstance(value, str) or len(value) > LONGEST:
            raise MathError(f"{name} is a text of at most {LONGEST:,} characters")
        return value

    def word(self, name: str, default: str) -> str:
        """A text that is not empty."""
        return self.text(name).strip() or default

    def one_of(self, name: str, known: Collection[str]) -> str:
        """One of some words."""
        value = self.text(name)
        if value not in known:
            raise MathError(f"{name} is one of {', '.join(known)}, not {value!r:.40}")
        return value

    def flag(self, name: str) -> bool:
        """Yes or no."""
        return self.fields.get(name) is True

    def number(self, name: str, default: float | None = None) -> float | None:
        """A number, as it is typed."""
        value = self.text(name).strip()
        if not value:
            return default
        try:
            return float(value)
        except ValueError:
            raise MathError(f"{name.replace('_', ' ')} is a number, not {value!r:.40}") from None

    def whole(self, name: str, default: int) -> int:
        """A whole number, as it is typed."""
        value = self.text(name).strip()
        if not value:
            return default
        if not value.isascii() or not value.isdigit() or len(value) > 9:
            raise MathError(f"{name.replace('_', ' ')} is a whole number, not {value!r:.40}")
        return int(value)

    def size(self, name: str) -> int:
        """One of the `sizes`, a whole number above 0, as it is typed."""
        value = self.texts("sizes")[name].strip()
        if not value.isascii() or not value.isdigit() or not 0 < int(value[:9]) == int(value or "0"):
            raise MathError(
                f"the size {name:.40} is a whole number above 0, not {value!r:.40}", mend=f"16 for {name:.40}"
            )
        return int(value)

    def names(self, name: str) -> list[str] | None:
        """A list of texts; None where it is absent."""
        value = self.fields.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) > MOST_NAMES or not all(_is_short(v) for v in value):
            raise MathError(f"{name} is a list of names")
        return value

    def texts(self, name: str) -> dict[str, str]:
        """Texts by name."""
        value = self.fields.get(name, {})
        if not isinstance(value, dict) or len(value) > MOST_NAMES or not all(map(_is_short, value.values())):
            raise MathError(f"{name} are texts by name")
        return value


def _is_short(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 200


def question_of(asked: object) -> Question:
    """The question that a page has sent."""
    if not isinstance(asked, dict):
        raise MathError("a question has fields by name")
    return Question(asked)


class Formula:
    """The formula that was asked about, as far as it can be read: its variables first, then all of it.

    variables   by name, a shape as a user writes it, and whether the user gave it; shapes may be unknown ("")
    """

    def __init__(self, asked: Question) -> None:
        self.text = asked.text("formula")
        self.facts = {name: [fact] for name, fact in asked.texts("facts").items() if fact}
        self.wrt = asked.names("wrt")
        self.told = {name: text.strip() for name, text in asked.texts("shapes").items() if text.strip()}
        self.shapes: dict[str, Shape] = {}
        self.names = words(self.text)
        self.parameters: list[str] = []

    def given_shapes(self) -> dict[str, Shape]:
        """The shapes that the user gives to what the formula mentions."""
        return {name: shape_of(name, _sizes(told)) for name, told in self.told.items() if name in self.names}

    @property
    def variables(self) -> list[dict[str, Any]]:
        """What the page shows of each variable."""
        return [
            {
                "name": name,
                "shape": written(self.shapes[name]) if name in self.shapes else "",
                "given": name in self.told,
                "parameter": name in self.parameters,
            }
            for name in self.names
        ]

    def read(self) -> tuple[Expr, list[str]]:
        """The loss and its parameters; `MathError` says what is wrong with it."""
        if not self.text.strip():
            raise MathError("there is no formula yet", mend=EXAMPLE)
        usual = mentioned_of(USUAL, self.text)
        self.shapes = usual if "X" in usual else {}
        self.shapes |= self.given_shapes()
        sizes = {size for shape in self.shapes.values() for size in shape}
        self.names = [name for name in self.names if name not in sizes]
        try:
            self.shapes = dict(_completed(self.text, tuple(self.shapes.items())))
        except MathError as error:
            if not self.shapes and len(self.names) > 1:  # nothing was known to guess from
                error.mend = f"the shapes of {', '.join(self.names)} below, such as N d"
            raise
        facts = {name: fact for name, fact in self.facts.items() if name in self.shapes}
        loss = parse(
            self.text, {name: list(shape) for name, shape in self.shapes.items()}, assume=facts or None
        )
        known = variables(loss)
        self.names = [name for name in self.names if name in known]
        chosen = [name for name in self.names if name in self.wrt] if self.wrt is not None else []
        rest = [name for name in self.names if name not in DATA]
        self.parameters = chosen or rest or self.names
        if not self.parameters:
            raise MathError("this loss has no variables: there is nothing to derive by", source=self.text)
        return loss, self.parameters


def written(shape: Shape) -> str:
    """A shape as a user writes it."""
    return " ".join(map(str, shape)) or NUMBER


@lru_cache(64)
def _completed(text: str, given: tuple[tuple[str, Shape], ...]) -> Mapping[str, Shape]:
    """The shapes of all variables; the same formula is asked about several times."""
    return completed(text, dict(given), rows=ROWS)


def _sizes(told: str) -> str:
    return "" if told == NUMBER else told.replace("×", " ")
