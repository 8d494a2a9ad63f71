"""How is a deep network told once, and not thirty times? Lines that repeat from layer to layer become one.

    A₀ = X
    Zₗ = Aₗ₋₁ Wₗ + 1bₗᵀ        (l = 1 … 32)

Blocks of lines that differ in the number of their layer alone are written for a layer l. The first layer, or
the last, may have something else where the others have their neighbour: it is called what it would be there.
A sum over many layers, of terms that differ in that number alone, is written with Σ.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from itertools import pairwise, takewhile

from gradstep.expression.boxes import Accent, Big, Box, Fence, Of, Row, Sub, Sym, parts_of
from gradstep.expression.records import record, replaced
from gradstep.notation.layering import Seen, Shifted, layers, letters_of, numbered_in
from gradstep.notation.plain import line as plain
from gradstep.notation.presentation import Presentation, Said, Section
from gradstep.notation.wording import numbered

FEWEST = 3  # layers that are told as one, and terms of a sum
LARGEST = 80  # lines of a layer
LAYERS, TIME = "ltrqsuv", "tlrqsuv"  # letters for the number of a layer, or of a step in time
REFERENCE = re.compile(r"lines? (\d+(?:(?:, | and |–)\d+)*)")

Names = dict[Box, tuple[Box, Box, Box]]  # A₀: what stands in its place, and both as they are printed


def folded(presentation: Presentation, letters: str = LAYERS) -> Presentation:
    """The presentation with the layers of a deep network told once, each called by the first free letter."""
    used = {name for section in presentation.sections for said in section.lines for name in letters_of(said)}
    letter = next((letter for letter in letters if letter not in used), None)
    if letter is None:
        return presentation
    lines = [said for section in presentation.sections for said in section.lines]
    folding = _Folding(letter, {box for said in lines for box in numbered_in(Shifted(0).line(said))})
    sections = tuple(map(folding.section, presentation.sections))
    if sections == presentation.sections:
        return presentation
    proof = presentation.proof.replace(" numbered lines ", " lines, layer by layer, ")
    return replaced(presentation, sections=sections, proof=proof)


@record
class _Keyed:
    """A line, the number of its layer, and what it looks like from there: the first form, and all."""

    said: Said
    layer: int | None
    look: int
    seen: Said


@record
class _Run:
    """`count` blocks of `size` lines each, from `place`; the lines of the block at `told` stand for all."""

    place: int
    size: int
    count: int
    told: int
    names: Names

    @property
    def saved(self) -> int:
        return self.size * (self.count - 1)


class _Folding:
    """Folds section after section; what stands in the place of a layer that is not there keeps its name."""

    def __init__(self, letter: str, taken: Container[Box]) -> None:
        self.taken = taken  # what has a number already: A₀ may be a variable of its own
        self.letter = letter
        self.named: Names = {}
        self.looks: dict[object, int] = {}

    def section(self, section: Section) -> Section:
        """The section with runs of equal blocks told once; what is left is numbered anew."""
        lines = [self.keyed(said) for said in section.lines]
        told: list[tuple[_Keyed, list[_Keyed]]] = []
        place = 0
        while place < len(lines):
            run = self.run(lines, place)
            for name, (_, left, shown) in run.names.items():
                if name not in self.named:
                    alias = Said(left, (shown,))
                    told.append((_Keyed(alias, None, -1, alias), []))
            self.named |= run.names
            after = place + run.size * run.count
            for k in range(run.size):
                _join(told, lines[run.told + k], lines[place + k : after : run.size])
            place = after
        numbers: dict[int, int] = {}  # the number that a line has now, by the one that it had
        start = next((line.said.number for line in lines if line.said.number is not None), 1)
        for new, same in enumerate((same for one, same in told if one.said.number is not None), start):
            numbers |= {line.said.number: new for line in same if line.said.number is not None}
        lines_told = (self.summed(one.said) if len(same) < 2 else self.told(one, same) for one, same in told)
        return Section(section.title, tuple(_renumbered(said, numbers) for said in lines_told))

    # ------------------------------------------------------------------------------- runs of blocks

    def run(self, lines: Sequence[_Keyed], place: int) -> _Run:
        """The run of blocks from here that saves most; a single line if there is none."""
        best = _Run(place, 1, 1, place, self.named)
        for size in range(1, min(LARGEST, (len(lines) - place) // FEWEST) + 1):
            if _layer(lines, place, size) is None:
                continue
            for start in (place, place + size):
                run = self.run_of(lines, place, start, size)
                if run is not None and run.saved > best.saved:
                    best = run
        return best

    def run_of(self, lines: Sequence[_Keyed], place: int, start: int, size: int) -> _Run | None:
        """The run from `place` whose blocks look like the one at `start`, the first or the second of them."""
        here, after = _layer(lines, start, size), _layer(lines, start + size, size)
        if here is None or after is None or abs(after - here) != 1:
            return None
        stop = start + 2 * size
        while _layer(lines, stop, size) == here + (after - here) * (stop - start) // size and _same(
            lines, start, stop, size
        ):
            stop += size
        if stop - start < FEWEST * size or not _same(lines, start, start + size, size):
            return None
        names: Names = {}
        if start > place:
            odd = (
                self.odd(lines, start, place, size)
                if _layer(lines, place, size) == 2 * here - after
                else None
            )
            if odd is None:
                return None
            names = odd
        last = _layer(lines, stop, size) == here + (after - here) * (stop - start) // size
        if last and (odd := self.odd(lines, start, stop, size)) is not None:
            names |= odd
            stop += size
        return _Run(place, size, (stop - place) // size, start, names)

    def odd(self, lines: Sequence[_Keyed], start: int, at: int, size: int) -> Names | None:
        """What the block at `at` has where that at `start` has neighbours; None if more is different."""
        names = {**self.named}
        here, there = lines[start].layer, lines[at].layer
        assert here is not None and there is not None
        shifted = Shifted(there - here)
        for model, line in zip(lines[start : start + size], lines[at : at + size], strict=True):
            if not _alike(shifted.line(model.said), line.said, names):
                return None
        return None if any(name in self.taken for name in names if name not in self.named) else names

    # ------------------------------------------------------------------------------- one line

    def keyed(self, said: Said) -> _Keyed:
        """A line, seen from its layer."""
        layer = next(iter(layers(said.left if said.left is not None else said.forms[0])), None)
        if layer is None:
            return _Keyed(said, None, -1, said)
        seen, number = Seen(self.letter, layer).line(said), said.number or 0
        because = tuple(
            re.sub(r"\d+", lambda found: f"−{number - int(found[0])}", words) for words in seen.because
        )
        seen = replaced(seen, number=None, because=because, shape="", behind=None)
        first = replaced(seen, forms=seen.forms[:1], because=())
        return _Keyed(said, layer, self.looks.setdefault(first, len(self.looks)), seen)

    def told(self, line: _Keyed, every: Sequence[_Keyed]) -> Said:
        """A line for a layer l, and for which l it holds."""
        assert line.layer is not None
        told = Seen(self.letter, line.layer).line(line.said)
        kept = _common(every)
        where = f"({self.letter} = {every[0].layer} … {every[-1].layer})"
        forms, because = told.forms[:kept], told.because[: kept - 1]
        return replaced(told, forms=forms, because=because, shape=self.shape(every), where=where)

    def shape(self, every: Sequence[_Keyed]) -> str:
        """The shape that all these lines have, if need be with sizes that are numbered like their layer."""
        from_layer = {Seen(self.letter, line.layer or 0).sizes(line.said.shape) for line in every}
        for shapes in ({line.said.shape for line in every}, from_layer):
            if len(shapes) == 1:
                return shapes.pop()
        return ""

    def summed(self, said: Said) -> Said:
        """A line by itself, with Σ for sums over many layers where all its sums have the same range."""
        if said.where:
            return said
        wheres: set[str] = set()
        forms = [self.sums(form, wheres) for form in said.forms]
        if len(wheres) != 1:
            return said
        kept = [k for k, form in enumerate(forms) if k == 0 or form != forms[k - 1]]
        because = tuple(said.because[k - 1] for k in kept[1:] if k <= len(said.because))
        return replaced(said, forms=tuple(forms[k] for k in kept), because=because, where=wheres.pop())

    def sums(self, form: Box, wheres: set[str]) -> Box:
        """A formula, with Σ for terms that differ in the number of their layer alone."""
        terms = [*_terms(form)]
        shown: list[tuple[Box | None, Box]] = []
        k = 0
        while k < len(terms):
            added = [terms[k], *takewhile(lambda term: _is_plus(term[0]), terms[k + 1 :])]
            looks = [self.look(term) for _, term in added]
            count = _equal(looks) if terms[k][0] is None or _is_plus(terms[k][0]) else 1
            if count < FEWEST:
                shown.append(terms[k])
                k += 1
                continue
            ends = sorted((looks[0][0], looks[count - 1][0]))
            wheres.add(f"({self.letter} = {ends[0]} … {ends[1]})")
            body = Seen(self.letter, looks[0][0]).box(terms[k][1])
            shown.append((terms[k][0], Big("Σ", Sym(self.letter, "index"), None, body)))
            k += count
        if len(shown) == len(terms):
            return form
        return Row(tuple(item for sign, term in shown for item in (sign, term) if item is not None))

    def look(self, term: Box) -> tuple[int, object]:
        """The layer of a term, and what it looks like from there."""
        layer = next(iter(layers(term)), -1)
        return layer, Seen(self.letter, layer).box(term)


def _layer(lines: Sequence[_Keyed], place: int, size: int) -> int | None:
    """The layer of a block of lines, where they have one."""
    found = {line.layer for line in lines[place : place + size]}
    return found.pop() if len(found) == 1 and place + size <= len(lines) else None


def _join(told: list[tuple[_Keyed, list[_Keyed]]], one: _Keyed, same: list[_Keyed]) -> None:
    """Adds a line that is told for `same`; what says the same of the layer before or after goes with it."""
    for k, (_, others) in enumerate(told):
        run = [line for line in (*others, *same) if line.layer is not None]
        numbers = [line.layer for line in run if line.layer is not None]
        steps = {after - before for before, after in pairwise(numbers)}
        if len(run) < FEWEST or steps not in ({1}, {-1}) or not others or not same:
            continue
        longest = max(others, same, key=len)
        if _model(others).look == _model(same).look and _common(run) == _common(longest):
            if longest is others:
                told[k] = told[k][0], run
                return
            del told[k]
            same = run
            break
    told.append((one, same))


def _model(lines: Sequence[_Keyed]) -> _Keyed:
    """The line that others look like: an odd one is first or last."""
    return lines[len(lines) // 2]


def _common(lines: Sequence[_Keyed]) -> int:
    """How many forms, from the first, all these lines have in common; an odd one has those of the others."""
    model = _model(lines)
    alike = [line.seen for line in lines if line.look == model.look]
    forms = [*zip(*((seen.forms) for seen in alike), strict=False)]
    because = [*zip(*(("", *seen.because) for seen in alike), strict=False)]
    same = [len({*pair[0]}) == 1 == len({*pair[1]}) for pair in zip(forms, because, strict=False)]
    return same.index(False) if False in same else len(same)


def _same(lines: Sequence[_Keyed], start: int, other: int, size: int) -> bool:
    """Whether two blocks look the same, each from its layer."""
    return all(lines[start + k].look == lines[other + k].look for k in range(size))


def _is_plus(sign: Box | None) -> bool:
    return isinstance(sign, Sym) and sign.text == "+"


def _terms(form: Box) -> Iterator[tuple[Box | None, Box]]:
    """The terms of a sum, each with the sign before it."""
    match form:
        case Of(_, inner):
            yield from _terms(inner)
        case Row((first, Sym("+" | "−", "operator") as sign, second)):
            yield from _terms(first)
            yield sign, second
        case _:
            yield None, form


def _equal(looks: Sequence[tuple[int, object]]) -> int:
    """How many terms from the first look the same, one layer after the other."""
    count = 1
    step = looks[1][0] - looks[0][0] if len(looks) > 1 else 0
    while abs(step) == 1 and count < len(looks) and looks[count] == (looks[0][0] + step * count, looks[0][1]):
        count += 1
    return count if looks[0][0] >= 0 else 1


# ------------------------------------------------------------------------------- the layer at the end


def _alike(model: Said, line: Said, names: Names) -> bool:
    """Whether a line is that of another layer, moved here, but for what stands for neighbours."""
    plainly = Shifted(0).line(line)
    if (model.left is None) != (plainly.left is None) or len(model.forms) != len(plainly.forms):
        return False
    if model.left is not None and plainly.left is not None and not _fits(model.left, plainly.left, names):
        return False
    if not all(_fits(a, b, names) for a, b in zip(model.forms, plainly.forms, strict=True)):
        return False

    def renamed(text: str) -> str:
        for name, (other, _, _) in names.items():
            for old, new in ((plain(name), plain(other)), (plain(name).upper(), plain(other).upper())):
                text = text.replace(old, new)
        return text

    same = [re.sub(r"\d+", "", words) for words in model.because]
    words = (model.rule, model.why, *same)
    others = (plainly.rule, plainly.why, *(re.sub(r"\d+", "", words) for words in plainly.because))
    return (
        len(words) == len(others)
        and model.kink == plainly.kink
        and all(a == b or renamed(a) == b for a, b in zip(words, others, strict=True))
    )


def _fits(model: Box, box: Box, names: Names) -> bool:
    """Whether two formulas are the same but for what stands in the place of neighbours."""
    if model == box:
        return True
    match model, box:
        case Sub(base, index), Sub(other, same) if index == same:
            return _stands_for(base, other, (model, box), names) or _fits(base, other, names)
        case Sub(), Sym():
            return _stands_for(model, box, (model, box), names)
        case Sub() | Sym(), _:
            return False
    ours, theirs = parts_of(model), parts_of(box)
    if type(model) is not type(box) or len(ours) != len(theirs) or _sign(model) != _sign(box):
        return False
    return all(_fits(a, b, names) for a, b in zip(ours, theirs, strict=True))


def _sign(box: Box) -> object:
    """What a box has beside its parts."""
    match box:
        case Big(sign, below, above, _):
            return sign, below is None, above is None
        case Fence(left, _, right):
            return left, right
        case Accent(_, mark):
            return mark
    return None


def _stands_for(model: Box, box: Box, shown: tuple[Box, Box], names: Names) -> bool:
    """Whether a variable may stand for a neighbour, here and wherever that occurs."""
    while isinstance(model, Fence):
        model = model.body
    if not (isinstance(model, Sub) and isinstance(model.index, Sym) and model.index.kind == "number"):
        return False
    if not (isinstance(box, Sym) and box.kind in ("scalar", "vector", "matrix")):
        return False
    return names.setdefault(model, (box, *shown))[0] == box


def _renumbered(said: Said, numbers: dict[int, int]) -> Said:
    """A line under its new number; what it says of other lines names theirs."""

    def words(text: str) -> str:
        return REFERENCE.sub(lambda found: numbered(numbers.get(n, n) for n in _read(found[1])), text)

    number = numbers.get(said.number, said.number) if said.number is not None else None
    return replaced(said, number=number, rule=words(said.rule), because=tuple(map(words, said.because)))


def _read(text: str) -> Iterator[int]:
    """The numbers in 3, 5 and 7–9."""
    for first, last in re.findall(r"(\d+)(?:–(\d+))?", text):
        yield from range(int(first), int(last or first) + 1)
