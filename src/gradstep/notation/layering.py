"""What does a line look like from its layer? Z₇ = A₆ W₇ is Zₗ = Aₗ₋₁ Wₗ there, as in every layer."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from gradstep.expression.boxes import (
    Accent,
    Big,
    Box,
    Cases,
    Fence,
    Frac,
    Of,
    Root,
    Row,
    Sub,
    Sup,
    Sym,
    parts_of,
    row,
)
from gradstep.expression.errors import MathError
from gradstep.expression.records import record, replaced
from gradstep.notation.presentation import Behind, Presentation, Said, Section

DIGITS = "₀₁₂₃₄₅₆₇₈₉"
LOWERED = str.maketrans("0123456789+−ltrsuv", "₀₁₂₃₄₅₆₇₈₉₊₋ₗₜᵣₛᵤᵥ")


Layers = str | int


def chosen(which: object) -> Layers:
    """Which layers are told: "all", "folded", or a number, which may be given as text."""
    if isinstance(which, str) and which.isdecimal():
        return int(which)
    if which in ("all", "folded") or (isinstance(which, int) and not isinstance(which, bool)):
        return which
    raise MathError(
        f"layers are all, folded, or the number of one, not {which!r:.40}", mend='layers="folded"'
    )


def alone(presentation: Presentation, layer: Layers) -> Presentation:
    """The lines of one layer, numbered as in the whole, and what belongs to none: the loss, a step down."""
    if presentation.style != "partials":
        raise MathError(
            "a line dC = ⟨…⟩ is about all layers at once", mend='style="partials", or layers="all"'
        )
    first, *rest = presentation.sections
    found = {number for section in rest for said in section.lines if (number := _of(said)) is not None}
    if layer not in found:
        numbers = sorted(found)
        raise MathError(
            f"there is no layer {layer} here",
            facts=[
                f"the layers are {numbers[0]} … {numbers[-1]}" if numbers else "nothing here has a number"
            ],
            mend='layers="all"',
        )
    loss, *more = first.lines
    sections = [Section(first.title, (loss, *(said for said in more if _of(said) in (None, layer))))]
    for section in rest:
        lines = tuple(said for said in section.lines if said.left is None or _of(said) == layer)
        sections += [Section(section.title, lines)] if lines else []
    proof = presentation.proof.replace(" numbered lines ", f" numbered lines, here those of layer {layer}, ")
    return replaced(presentation, sections=tuple(sections), proof=proof)


def _of(said: Said) -> int | None:
    """The layer that a line is about."""
    return None if said.left is None else next(iter(layers(said.left)), None)


class Renumbering(ABC):
    """Writes formulas and sentences with every number of a layer written anew."""

    @abstractmethod
    def index(self, number: int) -> Box:
        """How the number of a layer is written as an index."""

    @abstractmethod
    def lowered(self, number: int) -> str:
        """How it is written in a sentence, in small letters."""

    def line(self, said: Said) -> Said:
        """A line written anew; so is what it opens to."""
        behind = said.behind
        return replaced(
            said,
            left=self.box(said.left) if said.left is not None else None,
            forms=tuple(map(self.box, said.forms)),
            rule=self.words(said.rule),
            why=self.words(said.why),
            because=tuple(map(self.words, said.because)),
            behind=None if behind is None else lambda: self.opened(behind()),
        )

    def opened(self, behind: Behind) -> Behind:
        """What a line opens to, written anew."""
        return Behind(tuple(map(self.box, behind.proof)), tuple(map(self.line, behind.details)))

    def box(self, box: Box) -> Box:
        """A formula written anew, without marks of what it shows."""
        return _written(box, self.index)

    def words(self, text: str) -> str:
        """A sentence written anew."""
        return re.sub(f"[{DIGITS}]+", lambda found: self.lowered(_plain(found[0])), text)


@record
class Seen(Renumbering):
    """From layer `layer`, which is called `letter`: l, l − 1, l + 1."""

    letter: str
    layer: int

    def index(self, number: int) -> Box:
        letter, offset = Sym(self.letter, "index"), number - self.layer
        if not offset:
            return letter
        return row(letter, "−" if offset < 0 else "+", Sym(str(abs(offset)), "number"))

    def lowered(self, number: int) -> str:
        offset = number - self.layer
        sign = "" if not offset else "−" if offset < 0 else "+"
        return f"{self.letter}{sign}{abs(offset) or ''}".translate(LOWERED)

    def sizes(self, text: str) -> str:
        """A shape, whose sizes may be numbered like its layer."""
        return re.sub(r"(?<=[A-Za-z])\d+", lambda found: self.lowered(int(found[0])), text)


@record
class Shifted(Renumbering):
    """As it would stand so many layers later."""

    by: int

    def index(self, number: int) -> Box:
        return Sym(str(number + self.by), "number")

    def lowered(self, number: int) -> str:
        return str(number + self.by).translate(LOWERED)


def _plain(small: str) -> int:
    return int("".join(str(DIGITS.index(digit)) for digit in small))


def letters_of(said: Said) -> Iterable[str]:
    """The symbols that a line uses."""
    stack = [*said.forms, *([said.left] if said.left is not None else [])]
    while stack:
        box = stack.pop()
        if isinstance(box, Sym):
            yield box.text
        stack += parts_of(box)


def numbered_in(said: Said) -> Iterable[Box]:
    """What stands in a line with the number of a layer: Z₁, A₀."""
    stack = [*said.forms, *([said.left] if said.left is not None else [])]
    while stack:
        box = stack.pop()
        if isinstance(box, Sub) and _number(box.index) is not None:
            yield box
        stack += parts_of(box)


def layers(box: Box) -> Iterable[int]:
    """The numbers of layers in a box, from left to right."""
    stack = [box]
    while stack:
        inner = stack.pop()
        if isinstance(inner, Sub) and (number := _number(inner.index)) is not None:
            yield number
        else:
            stack += reversed(parts_of(inner))


def _number(index: Box) -> int | None:
    """The number of a layer that an index is, or starts with: 12, and 12,ij."""
    match index:
        case Sym(text, "number") if text.isdigit():
            return int(text)
        case Row((Sym(text, "number"), *_)) if text.isdigit():
            return int(text)
        case _:
            return None


def _written(box: Box, write: Callable[[int], Box]) -> Box:
    """`box` with the numbers of layers as `write` has them, and without marks of what it shows."""

    def again(inner: Box) -> Box:
        return _written(inner, write)

    match box:
        case Sym():
            return box
        case Of(_, inner):
            return again(inner)
        case Sub(base, Row((Sym(text, "number"), *rest))) if text.isdigit():
            return Sub(again(base), Row((write(int(text)), *rest)))
        case Sub(base, Sym(text, "number")) if text.isdigit():
            return Sub(again(base), write(int(text)))
        case Sub(base, index):
            return Sub(again(base), again(index))
        case Row(items):
            return Row(tuple(map(again, items)))
        case Sup(base, exponent):
            return Sup(again(base), again(exponent))
        case Frac(top, bottom):
            return Frac(again(top), again(bottom))
        case Big(sign, below, above, body):
            under, over = (again(part) if part is not None else None for part in (below, above))
            return Big(sign, under, over, again(body))
        case Accent(base, mark):
            return Accent(again(base), mark)
        case Fence(left, body, right):
            return Fence(left, again(body), right)
        case Root(body):
            return Root(again(body))
        case Cases(rows):
            return Cases(tuple((again(value), again(condition)) for value, condition in rows))
