"""How is a deep network told once, and not thirty times? Lines that repeat from layer to layer become one.

    Zₗ = Aₗ₋₁ Wₗ + 1bₗᵀ        (l = 2 … 32)

Blocks of lines that differ in the number of their layer alone are written for a layer l; what lines open to
stays with those that are told one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

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
from gradstep.expression.records import record, replaced
from gradstep.notation.presentation import Presentation, Said, Section

FEWEST = 3  # layers that are told as one
LARGEST = 8  # lines of a layer
LETTERS = "ltrqsuv"
DIGITS = "₀₁₂₃₄₅₆₇₈₉"
REFERENCE = re.compile(r"(lines? )(\d+(?:(?:, | and |–)\d+)*)")
LOWERED = str.maketrans("0123456789+−ltrsuv", "₀₁₂₃₄₅₆₇₈₉₊₋ₗₜᵣₛᵤᵥ")


def folded(presentation: Presentation) -> Presentation:
    """The presentation with the layers of a deep network told once."""
    used = {name for section in presentation.sections for said in section.lines for name in _letters(said)}
    letter = next((letter for letter in LETTERS if letter not in used), None)
    if letter is None:
        return presentation
    sections = tuple(_Folding(section, letter).section() for section in presentation.sections)
    if sections == presentation.sections:
        return presentation
    proof = presentation.proof.replace(" numbered lines ", " lines, layer by layer, ")
    return replaced(presentation, sections=sections, proof=proof)


@record
class _Keyed:
    """A line, the number of its layer, and what it looks like from there."""

    said: Said
    layer: int | None
    key: object


class _Folding:
    """Folds one section."""

    def __init__(self, section: Section, letter: str) -> None:
        self.title, self.letter = section.title, letter
        self.lines = [self.keyed(said) for said in section.lines]

    def section(self) -> Section:
        """The section with runs of equal blocks told once; what is left is numbered anew."""
        told: list[Said] = []
        stands_for: dict[int, int] = {}  # the number that a line has now, by the one that it had
        place = numbered = 0
        while place < len(self.lines):
            size, count = self.run(place)
            block = self.lines[place : place + size]
            for k, line in enumerate(block):
                told.append(line.said if count == 1 else self.told(line, place + k, size, count))
                numbered += line.said.number is not None
                for other in self.lines[place + k : place + size * count : size]:
                    if other.said.number is not None:
                        stands_for[other.said.number] = numbered
            place += size * count
        if len(told) == len(self.lines):
            return Section(self.title, tuple(told))
        first = next((line.said.number for line in self.lines if line.said.number is not None), 1)
        shift = stands_for.get(first, first) - first
        numbers = {old: new - shift for old, new in stands_for.items()}
        return Section(self.title, tuple(_renumbered(said, numbers) for said in told))

    def run(self, place: int) -> tuple[int, int]:
        """How many lines from here make a block, and how often it repeats: the run that saves most."""
        best = 1, 1
        for size in range(1, min(LARGEST, (len(self.lines) - place) // FEWEST) + 1):
            count = 1
            while self.repeats(place, size, count):
                count += 1
            if count >= FEWEST and size * (count - 1) > best[0] * (best[1] - 1):
                best = size, count
        return best

    def repeats(self, place: int, size: int, count: int) -> bool:
        """Whether the block at `place` comes again `count` blocks later, that many layers on."""
        start = place + size * count
        if start + size > len(self.lines):
            return False
        first, again = self.lines[place : place + size], self.lines[start : start + size]
        layers = {line.layer for line in first}, {line.layer for line in again}
        if None in layers[0] | layers[1] or len(layers[0]) != 1 or len(layers[1]) != 1:
            return False
        (here,), (there,) = layers
        assert here is not None and there is not None
        before = self.lines[start - size].layer
        assert before is not None
        step = there - before
        direction = step if count == 1 else self.lines[place + size].layer - here  # type: ignore[operator]
        return (
            abs(step) == 1
            and step == direction
            and all(a.key == b.key for a, b in zip(first, again, strict=True))
        )

    # ------------------------------------------------------------------------------- one line

    def keyed(self, said: Said) -> _Keyed:
        """A line, seen from its layer."""
        layer = next(iter(_layers(said.left if said.left is not None else said.forms[0])), None)
        if layer is None:
            return _Keyed(said, None, None)
        seen = self.seen_from(said, layer)
        number = said.number or 0
        because = tuple(
            re.sub(r"\d+", lambda found: f"−{number - int(found[0])}", words) for words in seen.because
        )
        return _Keyed(said, layer, replaced(seen, number=None, because=because, shape=""))

    def told(self, line: _Keyed, place: int, size: int, count: int) -> Said:
        """A line for a layer l, and for which l it holds."""
        assert line.layer is not None
        run = self.lines[place : place + size * count : size]
        told = self.seen_from(line.said, line.layer)
        where = f"({self.letter} = {line.layer} … {run[-1].layer})"
        return replaced(told, shape=self.shape(run), where=where)

    def shape(self, run: Sequence[_Keyed]) -> str:
        """The shape that all these lines have, if need be with sizes that are numbered like their layer."""

        def from_layer(line: _Keyed) -> str:
            here = line.layer or 0
            return re.sub(
                r"(?<=[A-Za-z])\d+", lambda found: self.lowered(int(found[0]) - here), line.said.shape
            )

        for shapes in ({line.said.shape for line in run}, set(map(from_layer, run))):
            if len(shapes) == 1:
                return shapes.pop()
        return ""

    def seen_from(self, said: Said, layer: int) -> Said:
        """`said` with every number of a layer written from l, which is `layer`."""

        def box(inner: Box) -> Box:
            return _relative(inner, lambda number: self.index(number - layer))

        def words(text: str) -> str:
            return re.sub(f"[{DIGITS}]+", lambda found: self.lowered(_plain(found[0]) - layer), text)

        return replaced(
            said,
            left=box(said.left) if said.left is not None else None,
            forms=tuple(map(box, said.forms)),
            rule=words(said.rule),
            why=words(said.why),
            because=tuple(map(words, said.because)),
            behind=None,
        )

    def index(self, offset: int) -> Box:
        """l, l − 1, l + 1."""
        letter = Sym(self.letter, "index")
        if not offset:
            return letter
        return row(letter, "−" if offset < 0 else "+", Sym(str(abs(offset)), "number"))

    def lowered(self, offset: int) -> str:
        """The same as small letters in a sentence."""
        sign = "" if not offset else "−" if offset < 0 else "+"
        return f"{self.letter}{sign}{abs(offset) or ''}".translate(LOWERED)


def _renumbered(said: Said, numbers: dict[int, int]) -> Said:
    """A line under its new number; what it says of other lines names theirs."""

    def words(text: str) -> str:
        return REFERENCE.sub(lambda found: found[1] + _listed(found[2], numbers), text)

    number = numbers.get(said.number, said.number) if said.number is not None else None
    return replaced(said, number=number, rule=words(said.rule), because=tuple(map(words, said.because)))


def _listed(text: str, numbers: dict[int, int]) -> str:
    return re.sub(r"\d+", lambda found: str(numbers.get(int(found[0]), int(found[0]))), text)


def _plain(small: str) -> int:
    return int("".join(str(DIGITS.index(digit)) for digit in small))


def _letters(said: Said) -> Iterable[str]:
    """The single letters that a line uses."""
    stack = [*said.forms, *([said.left] if said.left is not None else [])]
    while stack:
        box = stack.pop()
        if isinstance(box, Sym):
            yield box.text
        stack += parts_of(box)


def _layers(box: Box) -> Iterable[int]:
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


def _relative(box: Box, write: Callable[[int], Box]) -> Box:
    """`box` with every number of a layer written anew, and without marks of what it shows."""

    def again(inner: Box) -> Box:
        return _relative(inner, write)

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
