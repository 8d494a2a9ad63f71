"""How does a derivative move inwards? One rule a line, until nothing is left to differentiate.

    ∂f/∂x = 3y ∂(x²)/∂x     multiplication by a constant: 3 and y do not depend on x
          = 3y · 2x         power rule: d(x²)/dx = 2x

The lines are the steps that derive every gradient, ⟨G, dN⟩ read as G · ∂N/∂x.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial, reduce

from gradstep.calculus.derivation import moving_nodes
from gradstep.calculus.duals import STANDING_STILL
from gradstep.calculus.laws import BOOK
from gradstep.calculus.opening import Opening
from gradstep.calculus.rewriting import simplify
from gradstep.calculus.steps import Derivation, Step
from gradstep.expression.boxes import PRODUCT, Box, Cases, Fence, Frac, Of, Row, Sub, Sym, fenced, row
from gradstep.expression.node import Expr, walk
from gradstep.expression.records import record
from gradstep.expression.records import replaced as changed
from gradstep.notation.branches import branches
from gradstep.notation.checking import Claim
from gradstep.notation.differentials import opposite, rewrites
from gradstep.notation.plain import line
from gradstep.notation.presentation import Behind, Said, Slope
from gradstep.notation.wording import listed
from gradstep.notation.writing import Writer, name_box, stands_alone
from gradstep.operations.arithmetic import add, add_op, multiply, power_op, subtract_op
from gradstep.operations.choices import where_op
from gradstep.operations.families import is_one, pulled_back
from gradstep.operations.leaves import is_constant, number, symbol_op

SHORT = 24  # letters of a reason that is put into a sentence
CONSTANT = "multiplication by a constant"
GATHERING = "gathering the factors"
ADDING = "adding like terms"
ZERO, ONE = Sym("0", "number"), Sym("1", "number")


@record
class Product:
    """One term of a line: the `factors` as they are printed, times the derivative of `N`."""

    factors: tuple[Expr, ...]
    N: Expr

    @property
    def coefficient(self) -> Expr:
        """The product of the factors."""
        return reduce(multiply, self.factors, number(1))


def carrying(node: Expr) -> Sequence[Expr]:
    """What `node` moves with: comparisons and the conditions of choices stand still."""
    if node.op in STANDING_STILL:
        return ()
    return node.args[1:] if node.op is where_op else node.args


def carried(node: Expr, ends: Collection[Expr] = ()) -> set[Expr]:
    """Everything that `node` moves with, through all its operands as far as `ends`."""
    found: set[Expr] = set()
    stack = [*carrying(node)]
    while stack:
        inner = stack.pop()
        if inner not in found:
            found.add(inner)
            stack.extend(() if inner in ends else carrying(inner))
    return found


class Teller:
    """Tells how one thing changes with another; `claims` are the expressions that it has printed."""

    def __init__(self, derivation: Derivation, claims: list[Claim]) -> None:
        self.d, self.f = derivation, derivation.of
        names = derivation.names
        self.parts = [part for part in derivation.parts if part is not self.f]
        self.fences = set(self.parts)
        self.write = Writer({part: names[part] for part in self.parts})
        self.f_box = name_box(names[self.f], self.f)
        self.variables = [node for node in walk(self.f) if node.op is symbol_op]
        self.reserved = frozenset({*names.values(), *(str(v.params[0]) for v in self.variables)})
        self.movers = moving_nodes(self.f, derivation.parameters.values())
        self.claims = claims
        self.count = 0

    def made_of(self, part: Expr) -> list[Expr]:
        """The parts and the variables that stand in the formula of `part`."""
        found = walk(part, stop=lambda node: node in self.fences and node is not part)
        return [node for node in found if node is not part and (node in self.fences or node.op is symbol_op)]

    def moved_by(self, part: Expr) -> list[Expr]:
        """What `part` is made of, but for what only compares or chooses."""
        whole = self.made_of(part)
        reached = carried(part, whole) | {part}
        return [node for node in whole if node in reached]

    def inward(self, of: Expr, by: Expr, left: Box, meant: Expr | None = None) -> tuple[list[Said], Expr]:
        """The derivative of `of` by one thing that stands in its formula, everything else held fixed."""
        work = self.opened(of, by)
        final = work.cotangents.get(by, number(0))  # x − x does not move
        sign = "d" if len(self.made_of(of)) < 2 else "∂"
        told = _Lines(self, by, sign, left, final if meant is None else meant, work.moving)
        terms = [Product((), of)]
        if of is by:
            told.line(terms, "identity", f"{self.text(by)} moves as it moves")
        for step in work.steps:
            meets = len(step.before) > 1 or step.place is by  # and may cancel: nothing is left of it
            if not meets and all(part is not step.place for _, part in step.after):
                terms = told.opens(step, terms)
            else:
                terms = told.rewritten(step, terms)
        told.in_front()
        return told.said, final

    def opened(self, of: Expr, by: Expr) -> Opening:
        """The steps from `of` to `by`, the other parts standing still."""
        moving = {by}
        for node in walk(of, stop=lambda node: node is by or (node in self.fences and node is not of)):
            if any(arg in moving for arg in carrying(node)) and (node not in self.fences or node is of):
                moving.add(node)
        work = Opening(of, number(1), {by}, moving, self.fences - {of}, BOOK, self.movers)
        work.run()
        return work

    def derivative(self, of: Expr, by: Expr) -> Expr:
        """The derivative of `of`, through all its parts."""
        work = Opening(of, number(1), {by}, moving_nodes(of, [by]), set(), BOOK)
        work.run()
        return work.cotangents.get(by, number(0))

    def say(self, left: Box | None, form: Box, rule: str, why: str, kink: str = "") -> Said:
        """One more numbered line."""
        self.count += 1
        return Said(left, (form,), rule, why, self.count, kink=kink)

    def claim(self, shown: Expr, meant: Expr) -> None:
        """Notes what is printed, so that it is worked out again."""
        self.claims.append(Claim(shown, meant))

    def name(self, part: Expr) -> Box:
        """The name of a part, or of the function."""
        return self.f_box if part is self.f else self.write(part)

    def text(self, expr: Expr) -> str:
        """`expr` in a sentence."""
        return line(self.write(expr))

    def partial(self, of: Expr, by: Expr, total: bool = False, fixed: bool = False) -> Box:
        """df/dx for a function of one variable, ∂f/∂x for one of several.

        `total` lets all variables move, `fixed` holds everything else in the formula of `of` fixed.
        """
        arguments = [node for node in walk(of) if node.op is symbol_op] if total else self.made_of(of)
        sign = "d" if len(arguments) < 2 else "∂"
        box: Box = Frac(row(sign, self.name(of)), row(sign, self.name(by)))
        if total or not any(by in set(walk(node)) for node in self.made_of(of) if node is not by):
            box = Of(Slope(of, by), box)  # by no other way
        if not fixed or len(self.variables) < 2:  # df/dx = ∂f/∂x + …: the signs tell them apart
            return box
        others = [node for node in self.made_of(of) if node in self.fences]
        below: list[Box] = []
        for other in others:
            below += [Sym(",", "operator"), self.write(other)]
        return Sub(Fence("(", box, ")"), Row(tuple(below[1:])))

    def terms(self, terms: Sequence[Product], by: Expr, sign: str) -> Box:
        """G · ∂N/∂x + …"""
        items: list[Box | str] = []
        for term in terms:
            shown, negative = self.term(term, by, sign)
            items += ["−" if negative else "+", shown]
        return row(*(items[1:] if items[0] == "+" else items)) if items else ZERO

    def term(self, term: Product, by: Expr, sign: str) -> tuple[Box, bool]:
        """One term, and whether a minus sign belongs in front of it."""
        factors, negative = list(term.factors), False
        for k, factor in enumerate(factors):
            positive = opposite(factor)
            if positive is not None:
                factors[k], negative = positive, not negative
        left = [factor for factor in factors if not is_one(factor)]
        lonely = len(left) == 1 and term.N is by
        boxes = [self.written(factor, lonely and not negative) for factor in left]
        if term.N is by:
            return (times(boxes) if boxes else ONE), negative
        moved = Frac(row(sign, self.moving(term.N)), row(sign, self.write(by)))
        return (row(times(boxes), moved) if boxes else moved), negative

    def written(self, factor: Expr, alone: bool) -> Box:
        """A factor, in brackets where it is a sum."""
        written = self.write.written(factor)
        return written.box if alone else fenced(written, PRODUCT)

    def moving(self, N: Expr) -> Box:
        """What is differentiated: u, (x²), log(x)."""
        written = self.write.written(N)
        bare = N in self.fences or not N.args or stands_alone(written.box)
        return written.box if bare else Fence("(", written.box, ")")


class _Lines:
    """The lines of one derivative, from the outside inwards."""

    def __init__(self, whole: Teller, by: Expr, sign: str, left: Box, meant: Expr, moving: set[Expr]) -> None:
        self.whole, self.by, self.sign, self.left = whole, by, sign, left
        self.meant, self.moving = meant, moving
        self.said: list[Said] = []
        self.reads = ""  # the last of them, as a reader sees it
        self.still: dict[Expr, None] = {}  # the constants that the steps before this one move in front,
        self.waiting: tuple[Sequence[Product], str, Step] | None = None  # and the line that tells it

    def line(
        self, terms: Sequence[Product], rule: str, why: str, kink: str = "", step: Step | None = None
    ) -> None:
        """One more line, unless it reads as the one before."""
        self.in_front()
        whole = self.whole
        box = whole.terms(terms, self.by, self.sign)
        pieces = branches(terms[0].coefficient) if len(terms) == 1 and terms[0].N is self.by else None
        if pieces is not None and len(terms[0].factors) == 1:
            where, off, on = pieces
            z = whole.write(where)
            box = Cases(((whole.write(off), row(z, "≤", ZERO)), (whole.write(on), row(z, ">", ZERO))))
        reads = bare(box)
        if self.said and reads == self.reads:
            before = self.said[-1]
            if rule not in (GATHERING, ADDING, before.rule):
                self.said[-1] = changed(before, rule=f"{before.rule}, {rule}")
            return
        said = whole.say(self.left if not self.said else None, box, rule, why, kink)
        if step is not None:
            behind = partial(rewrites, step, whole.write, lambda node: node, whole.reserved)
            said = changed(said, behind=lambda: Behind((), behind()))
        self.said.append(said)
        self.reads = reads
        self.check(terms)

    def in_front(self) -> None:
        """One line for all constants that the last steps have moved in front."""
        if self.waiting is not None:
            (terms, why, step), still = self.waiting, [*self.still]
            self.waiting, self.still = None, {}
            self.line(terms, CONSTANT, self.held(still[::-1]) or why, step=step)

    def check(self, terms: Sequence[Product]) -> None:
        """The line is worked out again, its derivatives put in."""
        values = [multiply(term.coefficient, self.slope(term.N)) for term in terms]
        self.whole.claim(reduce(add, values) if values else number(0), self.meant)

    def slope(self, N: Expr) -> Expr:
        """The derivative of `N` by what moves here."""
        return number(1) if N is self.by else self.whole.opened(N, self.by).cotangents.get(self.by, number(0))

    def opens(self, step: Step, terms: Sequence[Product]) -> list[Product]:
        """A rule of differentiation."""
        node, fences = step.place, self.whole.fences
        G = step.before[0][0]
        slopes: dict[Expr, Expr] = {}
        for arg, H in zip(
            node.args, pulled_back(number(1), node, self.moving, self.whole.movers), strict=True
        ):
            if H is not None:
                slopes[arg] = add(slopes[arg], H) if arg in slopes else H
        raw = [
            Product(tuple(x for x in (G, simplify(s, BOOK, fences)) if not is_one(x)), arg)
            for arg, s in slopes.items()
        ]
        tidy = [Product((H,), arg) for H, arg in step.after]
        now = _exchanged(terms, step, tidy)
        rule, why = self.reason(step, slopes)
        if rule == CONSTANT:
            for constant in reversed(self.constants(step)):
                self.still.pop(constant, None)
                self.still[constant] = None
            self.waiting = now, why, step
            return now
        self.line(_exchanged(terms, step, raw), rule, why, step.kink, step)
        self.line(now, GATHERING, "")
        return now

    def rewritten(self, step: Step, terms: Sequence[Product]) -> list[Product]:
        """A law, or several ways that meet."""
        now = _exchanged(terms, step, [Product((H,), N) for H, N in step.after])
        if len(step.before) > 1:
            at_end = step.place is self.by
            told = self.whole.text(step.place)
            why = "" if at_end else f"{told} is used in {len(step.before)} places"
            self.line(now, ADDING if at_end else "sum over paths", why, step=step)
        else:
            self.line(now, step.rule, step.why, step=step)
        return now

    def reason(self, step: Step, slopes: dict[Expr, Expr]) -> tuple[str, str]:
        """The name of the rule as a textbook has it, and why it holds here."""
        node, whole = step.place, self.whole
        if node.op in (add_op, subtract_op):
            if len(slopes) < len(set(node.args)):
                return step.rule, self.stands_still(node)
            what = "sum" if node.op is add_op else "difference"
            return step.rule, f"the derivative of a {what} is the {what} of the derivatives"
        if len(slopes) > 1 or step.rule == CONSTANT:
            return step.rule, step.why
        ((arg, slope),) = slopes.items()
        inner = arg is not self.by
        rule = step.rule
        if node.op is power_op:
            rule = f"{rule} and chain rule" if inner else rule
        elif rule.startswith("chain rule for ") and not inner:
            rule = rule.replace("chain rule for", "derivative of")
        told, base = line(whole.moving(node)), line(whole.write(arg))
        value = line(whole.write(simplify(slope, BOOK, whole.fences)))
        if node.op is power_op and len(told + value) <= SHORT and " " not in base:
            return rule, f"d{told}/d{base} = {value}"
        return rule, step.why.removeprefix(f"the two pieces of {step.rule.removeprefix('slope of ')}: ")

    def stands_still(self, node: Expr) -> str:
        """What drops out of a sum."""
        (still,) = [arg for arg in node.args if arg not in self.moving]
        if is_constant(still):
            return f"{self.whole.text(still)} is a constant, its derivative is 0"
        return self.held([still])

    def constants(self, step: Step) -> list[Expr]:
        """What a step moves in front."""
        return [arg for arg in step.place.args if arg not in self.moving]

    def held(self, still: Sequence[Expr]) -> str:
        """3 and y do not depend on x; u₁ is held fixed, where it would move with x."""
        whole = self.whole
        texts = [text for node in still if len(text := whole.text(node)) <= SHORT]
        if not texts:
            return ""
        several = len(texts) > 1
        if self.by in whole.fences or any(node in whole.fences for node in walk(*still)):
            return f"{listed(texts)} {'are' if several else 'is'} held fixed"
        if all(map(is_constant, still)):
            return f"{listed(texts)} {'stay' if several else 'stays'} in front"
        return f"{listed(texts)} {'do' if several else 'does'} not depend on {whole.text(self.by)}"


def _exchanged(terms: Sequence[Product], step: Step, new: Sequence[Product]) -> list[Product]:
    """The terms after a step: `new` in place of what it opened or gathered."""
    gone = {N for _, N in step.before}
    place = next((k for k, term in enumerate(terms) if term.N in gone), len(terms))
    kept = [term for term in terms if term.N not in gone]
    before = [term for term in terms[:place] if term.N not in gone]
    return [*before, *new, *kept[len(before) :]]


def times(boxes: Sequence[Box]) -> Box:
    """Factors with a dot between them."""
    items: list[Box | str] = []
    for box in boxes:
        items += ["·", box]
    return row(*items[1:]) if len(boxes) > 1 else boxes[0]


def added(boxes: Sequence[Box]) -> Box:
    items: list[Box | str] = []
    for box in boxes:
        items += ["+", box]
    return row(*items[1:])


def bare(box: Box) -> str:
    """What a reader sees, the dots between factors left out."""
    return line(box).replace("·", "").replace(" ", "")
