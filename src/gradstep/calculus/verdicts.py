"""How was every line of a derivation checked, and does it hold? The record, and how it reads."""

from __future__ import annotations

from math import ceil, log10
from typing import Literal

from gradstep.expression.node import upstairs
from gradstep.expression.records import record

Method = Literal["exact", "50 digits", "floating point", "not checked", "wrong"]
SEVERITY: tuple[Method, ...] = ("exact", "50 digits", "floating point", "not checked", "wrong")
Number = int | float


@record
class Failure:
    """A place where the check failed: `step` counts from 1; `left` and `right` should be equal.

    The sides are integers of the field, floats where it had to be floating point, None where nothing is worth
    a number (a shape that does not fit, an answer that is missing).
    """

    step: int
    rule: str
    what: str
    left: Number | None = None
    right: Number | None = None

    def __str__(self) -> str:
        sides = "" if self.left is None else f": {self.left} is not {self.right}"
        return f"step {self.step} ({self.rule}): {self.what}{sides}"


@record
class Checked:
    """One line and how it was checked.

    rule    what made the line; for the first, what it is
    method  how it was checked
    number  the integer that it is at the first random point, for an equation the first entry of both sides;
            None where the line is worth none there
    reason  why it is not exact where every function is an oracle, and what was done
    needs   what it asks for that the line before does not: x ≠ 0
    """

    rule: str
    method: Method
    number: int | None = None
    reason: str = ""
    needs: tuple[str, ...] = ()

    def how(self) -> str:
        """How it was checked, why so, and what it needs."""
        asked = f"; needs {' and '.join(self.needs)}" if self.needs else ""
        return f"{self.method}{f': {self.reason}' if self.reason else ''}{asked}"


@record
class Settled:
    """What a second look found, and why it was taken; `chance` bounds that of a wrong check called exact."""

    method: Method
    left: Number = 0
    right: Number = 0
    chance: float = 0.0
    reason: str = ""


@record
class Certificate:
    """How the lines of a derivation were checked, and whether they hold.

    verdict   True, False, or None where a line could not be checked
    lines     how many there are, one more than the steps
    exact     how many of them hold as integers modulo `prime`; `digits` as real numbers of 50 digits;
              `floating` in floating point
    number    the integer that all lines are, at the first random point
    chance    a bound on the chance that a wrong line passed the exact check
    methods   how each line was checked
    sides     whether the lines are equations, checked side against side, and not all one number
    degree    a bound on the degree of what is compared, and so on how many values let a wrong line pass
    checked   the lines one by one
    """

    verdict: bool | None
    lines: int
    exact: int
    floating: int
    number: int | None
    prime: int
    seed: int
    trials: int
    chance: float
    failures: tuple[Failure, ...]
    methods: tuple[Method, ...]
    sides: bool = False
    digits: int = 0
    degree: int = 0
    checked: tuple[Checked, ...] = ()

    def table(self) -> str:
        """The certificate line by line, and the numbers behind it."""
        rows = [
            (
                str(k) if self.sides else str(k - 1),
                line.rule,
                "" if line.number is None else str(line.number),
                line.how(),
            )
            for k, line in enumerate(self.checked, 1)
        ]
        rows = [("", "", "both sides" if self.sides else "the line", "checked"), *rows]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [f"{a:>{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows]
        return "\n".join([*lines, "", *self.facts()])

    def facts(self) -> list[str]:
        """What the check was made with, in sentences."""
        return [
            f"integers modulo the prime p = {self.prime}, "
            f"at {self.trials} random points drawn with seed {self.seed}",
            f"a wrong line passes at one of them with a chance of at most {self.degree}/2"
            f"{_raised(self.prime.bit_length() - 1)}, at all of them with one {_below(self.chance)}",
        ]

    def __str__(self) -> str:
        return self.told()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        bundle: dict[str, str] = upstairs("_certificate")(self)
        return bundle

    def told(self, shown: int = 0) -> str:
        """The verdict in one sentence; `shown` lines of the chain rule were printed and worked out again."""
        field = f"prime of {self.prime.bit_length()} bits, seed {self.seed}"
        error = f"{field}; chance of error {_below(self.chance)}"
        if self.verdict is False:
            more = f" (and {len(self.failures) - 1} more)" if len(self.failures) > 1 else ""
            return f"✗ wrong: {self.failures[0]}{more} ({field})"
        others = [
            f"{count} of {self.lines} lines {'was' if count == 1 else 'were'} {how}"
            for count, how in (
                (self.digits, "checked to 50 digits"),
                (self.floating, "checked in floating point"),
                (self.methods.count("not checked"), "not checked"),
            )
            if count
        ]
        if self.verdict is None:
            return f"? not proved: {', '.join(others)} ({field})"
        if self.sides:
            word = "checked" if others else "proved"
            both = f"in {self.exact} lines" if others else f"in each of the {self.lines} lines"
            if self.lines == 1:
                both = "in the line"
            rest = "".join(f", {other}" for other in others)
            return f"✓ {word}: {both} both sides are the same integers, entry by entry{rest} ({error})"
        if others:
            return f"✓ checked: {self.exact} lines are the same integer, {', '.join(others)} ({error})"
        if shown:
            lines = f"the {shown} numbered lines hold" if shown > 1 else "the numbered line holds"
            behind = f"the {self.lines} lines dC = ⟨…⟩ behind them are one integer"
            return f"✓ proved: {lines} entry by entry, and {behind} ({error})"
        same = f"all {self.lines} lines are" if self.lines > 1 else "both sides of the line are"
        return f"✓ proved: {same} the same integer ({error})"


def _below(chance: float) -> str:
    """< 10⁻¹⁷"""
    return f"< 10{_raised(ceil(log10(chance)))}"


def _raised(n: int) -> str:
    """⁻¹⁷"""
    return str(n).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
