"""How is a verdict told? Lines with their marks, the slip in a sentence, numbers to see it, our own lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from textwrap import fill
from typing import TYPE_CHECKING, Any

from gradstep.calculus.chains import links
from gradstep.calculus.examples import Example, numeral
from gradstep.expression.boxes import Box
from gradstep.expression.node import Expr, walk
from gradstep.notation.plain import line as written
from gradstep.notation.plain import wrap
from gradstep.notation.presentation import Presentation, Said, Section
from gradstep.notation.terminal import text as drawn
from gradstep.notation.views import present
from gradstep.notation.writing import Writer

if TYPE_CHECKING:
    from gradstep.notation.verdicts import Verdict

WIDTH = 100
MANY = 12  # lines of a derivation that are shown as they are; of more only those
LONG = 72  # characters of a formula that is left to the derivation below
SHORT = 14  # characters of a number
AROUND = 3  # so near to the place that matters
NAMES = "Name the parts"  # the section that says what z, a, e are


class Telling:
    """The words about one verdict."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict, self.truths = verdict, verdict.truths
        derivation = self.truths.derivation
        names = {node: name for node, name in derivation.names.items() if node is not self.truths.loss}
        self.write = Writer(names)

    def lines(self) -> Iterator[str]:
        yield from self.head()
        yield from self.claimed()
        if self.verdict.first is not None:
            yield from wrapped(f"  {self.slip() or 'None of the known slips explains it.'}")
        for note in self.verdict.notes:
            yield from wrapped(f"  {note[:1].upper()}{note[1:]}.")
        if self.verdict.example is not None:
            yield from self.see(self.verdict.example)
        if self.verdict.first is not None:
            work = self.ours()
            if work is not None:
                yield from ("", drawn(work, WIDTH).rstrip())
        else:
            yield from wrapped(self.proof())

    def formula(self, expr: Expr) -> str:
        """An expression in one line."""
        return written(self.write(expr))

    def head(self) -> Iterator[str]:
        """What is right or wrong."""
        verdict, lines = self.verdict, self.verdict.lines
        first = verdict.first
        names = list(dict.fromkeys(one.subject for one in lines if one.line.truth is not None))
        if verdict.function:
            wrong = [one.subject for one in lines if one.verdict is False]
            right = [one.subject for one in lines if one.verdict]
            yield from wrapped(
                f"✗ {verdict.function} is wrong: it does not give {' and '.join(wrong)}."
                if wrong
                else f"✓ {verdict.function} is right: it gives {' and '.join(right)}."
            )
        elif first is not None:
            subject = lines[first - 1].subject
            one = len(lines) == 1
            yield f"✗ This is not {subject}." if one else f"✗ Line {first} is wrong: it is not {subject}."
        elif verdict.verdict is None:
            yield "? This could not be checked: no point was found at which both sides have values."
        else:
            one = len(lines) == 1
            yield (
                f"✓ Right: {', '.join(names)}."
                if one
                else f"✓ Right: {'both' if len(lines) == 2 else f'all {len(lines)}'} lines hold."
            )

    def claimed(self) -> Iterator[str]:
        """The lines of the claim; beside the wrong one what is right."""
        verdict = self.verdict
        if verdict.function:
            if verdict.first is not None:
                yield from wrapped(
                    f"    {verdict.lines[verdict.first - 1].subject} = {self.right(verdict.first)}", 14
                )
            return
        if len(verdict.lines) == 1:
            (line,) = verdict.lines
            if verdict.first is None:
                return
            yield from wrapped(f"    yours     {line.text}", 14)
            yield from wrapped(f"    right     {self.right(1)}", 14)
            return
        for k, line in enumerate(verdict.lines, 1):
            mark = "✓" if line.verdict else "?" if line.verdict is None else "✗"
            mark = " " if line.line.truth is None or line.name_only else mark
            new = k == 1 or verdict.lines[k - 2].line.subject is not line.line.subject
            head = line.subject if new else " " * len(line.subject)
            yield from wrapped(f"  {mark} {k:<2} {head} = {line.text}", 10)
            if k == verdict.first:
                yield from wrapped(f"       right: {self.right(k)}", 14)

    def right(self, number: int) -> str:
        line = self.verdict.lines[number - 1].line
        text = "" if line.truth is None else self.formula(line.truth)
        if len(text) <= LONG or line.subject.kind != "gradient" or line.subject.entry:
            return text
        whole = self.truths.gradient_name(line.subject.part)
        for said in self.work():
            if said.number and said.left is not None and written(said.left) == whole:
                return f"{written(said.forms[0])} (line {said.number} below)"
        return text

    @cached_property
    def told(self) -> Presentation:
        """Our derivation."""
        return present(self.truths.derivation)

    def work(self) -> Sequence[Said]:
        """The lines of our derivation that have numbers, and those that go on from them."""
        work = [s.lines for s in self.told.sections if any(said.number for said in s.lines)]
        return [*chain(*work[: 1 if self.truths.derivation.kind == "gradient" else None])]

    def slip(self) -> str:
        """The slip as a sentence."""
        slip = self.verdict.slip
        if slip is None:
            return ""
        words = "".join(part if isinstance(part, str) else self.formula(part) for part in slip.words)
        first = words[:1] if isinstance(slip.words[0], Expr) else words[:1].upper()
        return f"{first}{words[1:]}."

    def see(self, example: Example) -> Iterator[str]:
        """Small numbers at which both sides differ."""
        variables = self.truths.variables
        order = [*(name for name in variables if name in example.values), *example.values]
        shown = [f"{self.name(name)} = {array(example.values[name], given)}" for name in dict.fromkeys(order)]
        right, yours, *parts = example.worths
        free = self.free()
        names = [node for node in self.truths.derivation.parts if node is not self.truths.loss]
        used = self.used()
        made = [
            f"{self.formula(node)} = {array(value)}"
            for node, value in zip(names, parts, strict=False)
            if node in used
        ]
        yield "  See for yourself:"
        yield from wrapped(f"    {', '.join(shown)}", 8)
        if made:
            yield from wrapped(f"    give {', '.join(made)}", 8)
        each = f", one for each {' and '.join(free)}" if free else ""
        both = yours, right[(0,) * len(free)]
        mine, ours = next(pair for pair in told(*both) if pair[0] != pair[1] or free)
        yield from wrapped(f"    yours is {mine}{each}", 8)
        yield from wrapped(f"    right is {ours}", 8)

    def free(self) -> tuple[str, ...]:
        """The indices of the first wrong line that nothing binds."""
        first = self.verdict.first
        return () if first is None else self.verdict.lines[first - 1].line.free

    def used(self) -> set[Expr]:
        """What the first wrong line, or the right one, is made of."""
        first = self.verdict.first
        if first is None:
            return set()
        line = self.verdict.lines[first - 1].line
        return set(walk(line.claim, *(() if line.truth is None else (line.truth,))))

    def name(self, name: str) -> str:
        """A variable, or how one moves, as it is written."""
        variables = self.truths.variables
        if name in variables:
            return self.formula(variables[name])
        return f"d{self.formula(variables[name[1:]])}" if name[1:] in variables else name

    def ours(self) -> Presentation | None:
        """Our derivation to the place where the claim leaves it, and where it ends, if there is one."""
        derivation, verdict = self.truths.derivation, self.verdict
        assert verdict.first is not None
        if verdict.kind == "error":
            return None
        told, lines = self.told, self.work()
        if not lines:
            return None
        count = sum(1 for said in lines if said.number)
        found = links(derivation) if derivation.kind == "gradient" else ()
        leaves, last = None, count
        if count == len(found):
            subject = verdict.lines[verdict.first - 1].line.subject
            last = next((k for k, link in enumerate(found, 1) if link.part is subject.part), len(found))
            place = verdict.slip.place if verdict.slip else None
            steps = ((k, step) for k, link in enumerate(found[:last], 1) for step in link.steps)
            leaves = next((k for k, step in steps if step.place is place), None)
        lines = self.shortened(lines, last, leaves)
        title = "How it goes" if leaves is None else f"How it goes: yours leaves it at line {leaves}"
        names = next((s.lines for s in told.sections if s.title == NAMES), ())
        section = Section(title, (*self.needed(names, lines), *lines))
        return Presentation(told.view, told.style, (section,))

    def shortened(self, lines: Sequence[Said], last: int, leaves: int | None) -> list[Said]:
        """The numbered lines up to `last`; of many those around the place where the claim leaves them."""
        kept: list[Said] = []
        number = 0
        for said in lines:
            number = said.number or number
            near = number > last - AROUND if leaves is None else abs(number - leaves) < AROUND
            if number <= last and (last <= MANY or near or number == last):
                kept.append(said)
        return kept

    def needed(self, names: Sequence[Said], lines: Sequence[Said]) -> tuple[Said, ...]:
        """What the names that these lines use stand for, and those that stand in there; not the loss."""
        whole = self.truths.derivation.parts.get(self.truths.loss)
        taken = {whole.name} if whole else set()
        wanted = {word for said in lines for box in (said.left, *said.forms) for word in words(box)}
        kept: list[Said] = []
        for said in reversed(names):
            if said.left is not None and words(said.left) & (wanted - taken):
                kept.insert(0, said)
                wanted |= {word for box in said.forms for word in words(box)}
        return tuple(kept)

    def proof(self) -> str:
        """How it was found out that a claim is right."""
        verdict = self.verdict
        if verdict.function:
            return f"  It was called at random points of many sizes, in float64 (seed {verdict.seed})."
        if any(line.method == "floating point" for line in verdict.lines):
            return f"  Both sides agree at random points in floating point (seed {verdict.seed})."
        bits = verdict.prime.bit_length()
        power = f"chance of error < {power_of_ten(verdict.chance)}"
        return f"  Both sides are the same integers (prime of {bits} bits, seed {verdict.seed}; {power})."


def words(box: Box | None) -> set[str]:
    """The names in a formula as it is written."""
    return set() if box is None else set(re.findall(r"[^\W\d_]\w*", written(box)))


def power_of_ten(chance: float) -> str:
    """A chance as people read it: 10⁻³¹."""
    power = 0
    while chance < 10.0 ** -(power + 1) and power < 300:
        power += 1
    return "10⁻" + str(power).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def wrapped(text: str, indent: int = 4) -> Iterator[str]:
    """A line of words or formulas over as many lines as it takes."""
    if "\\" in text and len(text) > WIDTH:
        yield from fill(text, WIDTH, subsequent_indent=" " * indent, break_long_words=False).splitlines()
    else:
        yield from wrap(text, WIDTH, indent)


def array(value: Any, write: Callable[[float], str] = numeral) -> str:
    """Numbers as a person writes them: [[1, −2], [3, 1]]."""
    if getattr(value, "ndim", 0) == 0:
        return write(float(value)).replace("-", "−")
    return f"[{', '.join(array(row, write) for row in value)}]"


def given(x: float) -> str:
    """A number that was chosen: all its digits, if they are few."""
    exact = f"{x:.12g}"
    return exact if len(exact) < SHORT and float(exact) == x else numeral(x)


def told(a: Any, b: Any) -> Iterator[tuple[str, str]]:
    """Two arrays of results, with more and more digits."""
    yield array(a), array(b)
    for digits in (8, 12, 16):
        yield array(a, f"{{:.{digits}g}}".format), array(b, f"{{:.{digits}g}}".format)
