"""How is a function of numbers told? As in school: the derivative moves inwards, one rule a line.

A nested function is told in the four steps of Parr and Howard, section 4.5: introduce intermediate variables,
differentiate each, multiply (and add, where a variable reaches the result along several paths), substitute
back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import pairwise

from gradstep.calculus.intermediates import is_of_numbers
from gradstep.calculus.laws import BOOK
from gradstep.calculus.opening import BACK
from gradstep.calculus.rewriting import simplify
from gradstep.calculus.steps import Derivation, Rewrite
from gradstep.expression.boxes import Box, Fence, Row, Sym, row, word
from gradstep.expression.node import Expr, tree_size, walk
from gradstep.expression.records import replaced as changed
from gradstep.notation.checking import Claim
from gradstep.notation.differentials import rewrites
from gradstep.notation.inwards import (
    GATHERING,
    SHORT,
    ZERO,
    Product,
    Teller,
    added,
    bare,
    carried,
    carrying,
    times,
)
from gradstep.notation.plain import line
from gradstep.notation.presentation import Behind, Said, Section
from gradstep.notation.wording import listed, numbered
from gradstep.notation.writing import Writer
from gradstep.operations.arithmetic import add
from gradstep.operations.leaves import is_constant, number, symbol_op

LARGEST = 120  # nodes of a function that is told like this, what is shared written out
LONG = 3  # names of a chain in a sentence


def tells(derivation: Derivation) -> bool:
    """Whether this is a function of numbers, and not too long to be told one rule a line."""
    first = derivation.kind in ("gradient", "jacobian")
    of_numbers = is_of_numbers(derivation.of) and not any(v.rank for v in derivation.parameters.values())
    return first and of_numbers and tree_size(derivation.of) <= LARGEST


class Scalars(Teller):
    """Tells one derivation of a function of numbers; `claims` are the expressions that it has printed."""

    def __init__(self, derivation: Derivation, claims: list[Claim]) -> None:
        super().__init__(derivation, claims)
        self.openly = Writer({})
        self.slopes: dict[tuple[Expr, Expr], Expr] = {}
        self.lines_of: dict[tuple[Expr, Expr], int] = {}

    def sections(self) -> Iterator[Section]:
        """From the function to its gradient."""
        yield Section("The function", self.opening())
        if self.parts:
            yield Section("Introduce intermediate variables", self.introduced())
        each, totals = self.each(), self.totals()
        if each:
            yield Section("Differentiate each", each)
        several = len(self.d.wrt) > 1
        if self.parts:
            heading = "Put them together, and substitute back" if each else "Move the derivative inwards"
        else:
            heading = "Move the derivative inwards, one rule a line"
        yield Section(heading, totals)
        if several:
            yield Section("The gradient", self.gradient())

    # ------------------------------------------------------------------------------------------- the function

    def opening(self) -> tuple[Said, ...]:
        """f(x, y) = …; what the letters are."""
        known = dict.fromkeys([*self.variables, *self.d.parameters.values()])
        ordered = [*self.d.parameters.values(), *(v for v in known if v not in self.d.parameters.values())]
        arguments: list[Box] = []
        for variable in ordered:
            arguments += [Sym(", ", "operator"), self.write(variable)]
        left = row(Sym(line(self.f_box), "function"), Fence("(", Row(tuple(arguments[1:])), ")"))
        texts = [line(self.write(v)) for v in ordered]
        what = f"{listed(texts)} are numbers" if len(texts) > 1 else f"{texts[0]} is a number"
        if self.f.op is symbol_op:
            return (Said(None, (self.f_box,)), Said(None, (word(what),)))
        said = Said(left, (self.openly.opened(self.f),)), Said(None, (word(what),))
        return (*said, *map(self.recognised, self.d.recognised))

    def recognised(self, rewrite: Rewrite) -> Said:
        """1/(1 + exp(−x)) = σ(x): a function that the user wrote out."""
        before, after = self.openly(rewrite.before), self.openly(rewrite.after)
        return Said(before, (after,), rewrite.rule, rewrite.why)

    def introduced(self) -> tuple[Said, ...]:
        """u₁ = x³, …, and the function in these terms."""
        said = [Said(self.name(part), (self.write.opened(part),)) for part in (*self.parts, self.f)]
        return tuple(said)

    # ----------------------------------------------------------------------------------- each by itself

    def each(self) -> tuple[Said, ...]:
        """The derivative of each part by what it is made of, from the inside outwards."""
        asked = set(self.d.parameters.values())
        wanted = self.leading(asked)
        said: list[Said] = []
        for part in (*self.parts, self.f):
            for by in self.moved_by(part):
                if part not in wanted or (by not in wanted and by not in asked):
                    continue
                if part is self.f and self.enters_directly(by):
                    continue  # told with the answer
                lines, slope = self.inward(part, by, self.partial(part, by))
                said += lines
                self.slopes[part, by], self.lines_of[part, by] = slope, self.count
        return tuple(said)

    def enters_directly(self, by: Expr) -> bool:
        """Whether a variable enters the function itself, and no part of it."""
        return by in self.d.parameters.values() and self.sources(self.f, by) == [by]

    def leading(self, ends: set[Expr]) -> set[Expr]:
        """The parts, the function among them, that depend on one of `ends`."""
        reached = carried(self.f) | {self.f}
        moving = set(ends) & reached
        for node in walk(self.f):
            if node in reached and not moving.isdisjoint(carrying(node)):
                moving.add(node)
        return {part for part in (*self.parts, self.f) if part in moving}

    def sources(self, part: Expr, variable: Expr) -> list[Expr]:
        """What `part` is made of as far as it leads to the variable: the variable itself, and parts."""
        wanted = self.leading({variable})
        found = [node for node in self.moved_by(part) if node is variable or node in wanted]
        return sorted(found, key=lambda node: node is not variable)

    # ------------------------------------------------------------------------------------------- together

    def totals(self) -> tuple[Said, ...]:
        """For each parameter the derivative put together, the parts written out."""
        said: list[Said] = []
        for name, variable in self.d.parameters.items():
            answer = self.d.answers[name]
            left = self.partial(self.f, variable, total=True)
            if self.f not in self.leading({variable}):
                said.append(self.absent(variable, left))
                self.claim(number(0), answer)
                continue
            if self.enters_directly(variable) or variable is self.f:
                lines, last = self.inward(self.f, variable, left, answer)
            else:
                lines, last = self.together(variable)
            said += lines
            said += self.written_out(last, answer, said[-1])
        return tuple(said)

    def absent(self, variable: Expr, left: Box) -> Said:
        """∂f/∂x = 0."""
        told = self.text(variable)
        if is_constant(self.f):
            return self.say(
                left, ZERO, "constant", f"the derivative of a constant is 0: {told} moves nothing"
            )
        if variable in self.variables:
            why = "a comparison is 0 or 1 and stands still between its jumps"
            return self.say(left, ZERO, "slope of a comparison", f"{told} enters comparisons alone: {why}")
        why = f"{told} does not occur in {line(self.f_box)}: for {told} it is a constant"
        return self.say(left, ZERO, "constant", why)

    def together(self, variable: Expr) -> tuple[list[Said], Expr]:
        """The chain rule along the only path; the sum over paths where there are several."""
        wanted = self.leading({variable})
        sources = {part: self.sources(part, variable) for part in (*self.parts, self.f) if part in wanted}
        ends: dict[Expr, Expr] = {variable: number(1)}  # where a path ends, and the derivative from there on
        stands: dict[Expr, int] = {}
        said: list[Said] = []
        last = number(1)
        for part, through in sources.items():
            if part is not self.f and len(through) < 2:
                continue
            boxes, values, used = [], [], []
            for first in through:
                box, factors, numbers = self.path(part, first, variable, sources, ends, stands)
                boxes.append(box)
                values.append(Product(factors, variable))
                used += numbers
            left = self.partial(part, variable, total=True)
            meant = self.derivative(part, variable)
            rule, why = self.path_rule(part, through, variable, sources)
            said.append(self.say(left, added(boxes), rule, why))
            exact = reduce(add, (value.coefficient for value in values))
            last = simplify(exact, BOOK, self.fences)
            self.claim(exact, meant)
            self.claim(last, meant)
            raw, tidy = self.terms(values, variable, ""), self.write(last)
            if bare(raw) != bare(said[-1].forms[-1]):
                said.append(self.say(None, raw, numbered_rule(used), ""))
            if bare(raw) != bare(tidy):
                said.append(self.say(None, tidy, GATHERING, ""))
            ends[part], stands[part] = last, self.count
        return said, last

    def path(
        self,
        part: Expr,
        first: Expr,
        variable: Expr,
        sources: dict[Expr, list[Expr]],
        ends: dict[Expr, Expr],
        stands: dict[Expr, int],
    ) -> tuple[Box, tuple[Expr, ...], list[int]]:
        """One path from `part` through `first`: its derivatives side by side, their values, their lines."""
        boxes = [self.partial(part, first, fixed=len(sources[part]) > 1 and first is variable)]
        factors, used = [self.slopes[part, first]], [self.lines_of[part, first]]
        place = first
        while place not in ends:
            (after,) = sources[place]
            boxes.append(self.partial(place, after))
            factors.append(self.slopes[place, after])
            used.append(self.lines_of[place, after])
            place = after
        if place is not variable:
            boxes.append(self.partial(place, variable, total=True))
            factors.append(ends[place])
            used.append(stands[place])
        return times(boxes), tuple(factors), used

    def path_rule(
        self, part: Expr, through: Sequence[Expr], variable: Expr, sources: dict[Expr, list[Expr]]
    ) -> tuple[str, str]:
        """Chain rule or total derivative, and by which ways."""
        told, moved = line(self.name(part)), self.text(variable)
        if len(through) > 1:
            fixed = [line(self.write(node)) for node in self.made_of(part) if node in self.fences]
            ways = [line(self.write(node)) for node in through if node is not variable]
            direct = f"directly ({listed(fixed)} held fixed) and " if variable in through else ""
            return "total derivative", f"{moved} reaches {told} {direct}through {listed(ways)}"
        steps = [part, *through]
        while steps[-1] in sources and len(sources[steps[-1]]) == 1:
            steps += sources[steps[-1]]
        names = [line(self.name(step)) for step in steps]
        if len(steps) <= LONG and steps[-1] is variable:
            return "chain rule", listed([f"{a} depends on {b}" for a, b in pairwise(names)])
        return "chain rule", f"{told} depends on {moved} only through {names[1]}"

    def written_out(self, last: Expr, answer: Expr, before: Said) -> list[Said]:
        """The intermediate variables written out, and what can be gathered then."""
        said: list[Said] = []
        shown = before.forms[-1]
        if any(node in self.fences for node in walk(last)) and line(self.openly(last)) != line(shown):
            used = [part for part in self.parts if part in set(walk(last))]
            texts = [f"{line(self.write(part))} = {line(self.write.opened(part))}" for part in used]
            why = listed(texts) if sum(map(len, texts)) <= 2 * SHORT else "each one is written out"
            shown = self.openly(last)
            said.append(self.say(None, shown, BACK, why))
        if bare(self.openly(answer)) != bare(shown):
            final = self.say(None, self.openly(answer), "simplifying", "")
            back = [step for step in self.d.steps if step.rule == BACK]
            steps = [step for step in back if not step.after or step.after[0][0] is answer]

            def behind() -> Behind:
                found = (rewrites(step, self.openly, lambda node: node, self.reserved) for step in steps)
                return Behind((), tuple(said for details in found for said in details))

            said.append(changed(final, behind=behind))
        self.claim(last, answer)
        return said

    def gradient(self) -> tuple[Said, ...]:
        """∇f = [∂f/∂x, ∂f/∂y]."""
        partials: list[Box] = []
        answers: list[Box] = []
        for name, variable in self.d.parameters.items():
            partials += [Sym(", ", "operator"), self.partial(self.f, variable, total=True)]
            answers += [Sym(", ", "operator"), self.openly(self.d.answers[name])]
        forms = tuple(Fence("[", Row(tuple(items[1:])), "]") for items in (partials, answers))
        rule = "gradient"
        return (Said(row("∇", self.f_box), forms, rule, "the partial derivatives side by side, in a row"),)


def numbered_rule(used: Sequence[int]) -> str:
    """with lines 1–4."""
    return f"with {numbered(used)}"
