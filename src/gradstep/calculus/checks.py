"""What has to be equal for a derivation to hold? Lines, the two sides of small rewrites, and the answers.

Every check knows its two sides at a point, in whatever arithmetic the point has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import mul
from random import Random
from typing import TYPE_CHECKING

from gradstep.calculus.compounds import RULE
from gradstep.calculus.definedness import loses
from gradstep.calculus.field import Direction, Point
from gradstep.calculus.laws import zeros
from gradstep.calculus.steps import Derivation, Line, Step, Term
from gradstep.calculus.structures import Along
from gradstep.calculus.verdicts import Failure
from gradstep.expression.late import late
from gradstep.expression.node import Expr
from gradstep.expression.node import replace as exchange
from gradstep.expression.records import record, replaced
from gradstep.expression.shapes import shape_text
from gradstep.operations.declared import DECLARED
from gradstep.operations.leaves import number

if TYPE_CHECKING:
    from gradstep.calculus import floating
else:
    floating = late("gradstep.calculus.floating")

Array = Sequence[int]


@record
class Lines:
    """Both lines are worth the same, however the parts of the second move."""

    step: int
    rule: str
    what: str
    by_law: bool
    before: Line
    after: Line

    @property
    def exprs(self) -> Iterable[Expr]:
        """Everything that is evaluated."""
        return (expr for term in (*self.before, *self.after) for expr in term)

    @property
    def halves(self) -> tuple[Iterable[Expr], Iterable[Expr]]:
        """What is evaluated on either side."""
        return [e for term in self.before for e in term], [e for term in self.after for e in term]

    @property
    def lines(self) -> tuple[Line, Line]:
        """Both lines."""
        return self.before, self.after

    def frontier(self) -> Iterable[Expr]:
        """The parts that move freely."""
        return [N for _, N in self.after]

    def exchanged(self, table: Mapping[Expr, Expr]) -> Lines:
        """The same with other parts in the place of those in the table."""
        before, after = (
            tuple((exchange(G, table), exchange(N, table)) for G, N in line)
            for line in (self.before, self.after)
        )
        return replaced(self, before=before, after=after)

    def sides(self, point: Point, moving: Collection[Expr]) -> Iterator[Array]:
        """What each line is worth when the parts of the second and what is in `moving` move at random."""
        given = {N: point.draw(N.shape) if N in moving else None for _, N in self.after}
        given |= {x: point.draw(x.shape) for x in moving if not x.args and x not in given}
        direction = Direction(point, given)
        for line in (self.before, self.after):
            worth = []
            for G, N in line:
                change = direction.of(N)
                worth.append(0 if change is None else sum(map(mul, point.value(G), change)))
            yield [sum(worth) % point.prime]

    def keeps_points(self, rng: Random) -> bool:
        """Whether the right side is known to have a real value wherever the left one has."""
        return False

    def compare(self, moving: Collection[Expr], rng: Random) -> floating.Comparison:
        """The same in floating point."""
        return floating.compare_lines(self.before, self.after, moving, rng)


@record
class Values:
    """Both expressions have the same entries."""

    step: int
    rule: str
    what: str
    by_law: bool
    before: Expr
    after: Expr

    @property
    def exprs(self) -> Iterable[Expr]:
        """Everything that is evaluated."""
        return self.before, self.after

    @property
    def halves(self) -> tuple[Iterable[Expr], Iterable[Expr]]:
        """What is evaluated on either side."""
        return (self.before,), (self.after,)

    def frontier(self) -> Iterable[Expr]:
        """Nothing moves."""
        return ()

    def exchanged(self, table: Mapping[Expr, Expr]) -> Values:
        """The same with other parts in the place of those in the table."""
        return replaced(self, before=exchange(self.before, table), after=exchange(self.after, table))

    def sides(self, point: Point, moving: Collection[Expr]) -> Iterator[Array]:
        """Both values."""
        yield point.value(self.before)
        yield point.value(self.after)

    def keeps_points(self, rng: Random) -> bool:
        """Whether the right side is known to have a real value wherever the left one has."""
        return not loses(self.before, self.after, rng)

    def compare(self, moving: Collection[Expr], rng: Random) -> floating.Comparison:
        """The same in floating point."""
        return floating.compare_values(self.before, self.after, rng)


Check = Lines | Values | Along


def gather(derivation: Derivation) -> tuple[list[Check], list[Failure]]:
    """Everything that has to be equal, and what is wrong before any number is drawn."""
    checks: list[Check] = []
    failures: list[Failure] = []
    dC: Term = (number(1), derivation.of)
    line = Counter([dC])
    for rewrite in derivation.recognised:
        what = f"what was read as {rewrite.rule} is something else"
        checks.append(Values(0, rewrite.rule, what, True, rewrite.before, rewrite.after))
    for k, step in enumerate(derivation.steps, 1):
        line.subtract(step.before)
        if any(line[term] < 0 for term in step.before):
            failures.append(Failure(k, step.rule, "it replaces a term that does not stand in the line"))
        line.update(step.after)
        failures += _misfits(k, step)
        if all(G.shape == N.shape for G, N in (*step.before, *step.after)):
            what = "the line changes its value"
            checks.append(Lines(k, step.rule, what, _by_law(step), step.before, step.after))
        for rewrite in step.details:
            if rewrite.before.shape == rewrite.after.shape:
                what = f"the two sides of “{rewrite.rule}” differ"
                checks.append(Values(k, step.rule, what, True, rewrite.before, rewrite.after))
    last = len(derivation.steps)
    variables = set(derivation.parameters.values())
    left = Counter(line).elements()
    if not derivation.steps and derivation.of not in variables:
        left = iter(())
        checks.append(Lines(last, "answer", "the loss moves, but no step opens it", False, (dC,), ()))
    beside: dict[Expr, list[Expr]] = {}
    for G, N in left:
        beside.setdefault(N, []).append(G)
    for N in beside:
        if N not in variables:
            failures.append(Failure(last, "answer", f"the last line still has a part to open: {N.op.name}"))
    for name, variable in derivation.parameters.items():
        answer = derivation.answers.get(name)
        found = beside.get(variable, [])
        if answer is None:
            failures.append(Failure(last, "answer", f"there is no answer for {name}"))
        elif answer.shape != variable.shape:
            shapes = f"{shape_text(answer.shape)}, but {name} is {shape_text(variable.shape)}"
            failures.append(Failure(last, "answer", f"the answer for {name} is {shapes}"))
        elif len(found) > 1:
            what = f"{name} stands in {len(found)} terms of the last line"
            failures.append(Failure(last, "answer", what))
        elif not found:
            what = f"{name} has left the line, so its gradient is 0"
            checks.append(Values(last, "answer", what, False, answer, zeros(answer)))
        elif name in derivation.structures:
            what = f"the answer for {name} is not the slope along its independent entries"
            kind = derivation.structures[name].kind
            by_law = any(step.details or _by_law(step) for step in derivation.steps)
            checks.append(Along(last, "answer", what, by_law, derivation.of, variable, answer, kind))
        elif answer is not found[0]:
            what = f"the answer for {name} is not what stands in the last line"
            checks.append(Values(last, "answer", what, False, found[0], answer))
    return checks, failures


def _misfits(k: int, step: Step) -> Iterable[Failure]:
    """Terms and rewrites whose two sides have different shapes."""
    sides = [(G.shape, N.shape, "a cotangent") for G, N in (*step.before, *step.after)]
    sides += [(r.before.shape, r.after.shape, f"a side of “{r.rule}”") for r in step.details]
    for one, other, what in sides:
        if one != other:
            yield Failure(k, step.rule, f"{what} is {shape_text(one)} where it should be {shape_text(other)}")


def _by_law(step: Step) -> bool:
    """Whether a law is at work that no detail states: it alone rewrites a cotangent, or it made the slopes.

    The slopes of a declared function were derived, and tidied by laws. A normalisation is opened past what it
    is made of, and √v² is v there.
    """
    if step.place.op.name in DECLARED or step.rule == RULE:
        return True
    if step.details or len(step.before) != 1 or len(step.after) != 1:
        return False
    return step.before[0][1] is step.after[0][1]
