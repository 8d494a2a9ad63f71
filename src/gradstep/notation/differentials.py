"""How is a derivation told by differentials? dC = ⟨G, dN⟩ + …, and every line is the same number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from gradstep.calculus.steps import Derivation, Line, Step, Term
from gradstep.expression.boxes import SUM, Big, Box, Fence, Of, Sym, fenced, row
from gradstep.expression.node import Expr, rebuild, replace, walk
from gradstep.expression.records import replaced as replace_fields
from gradstep.notation.checking import Claim
from gradstep.notation.indices import Index
from gradstep.notation.lowering import Lowering
from gradstep.notation.plain import line
from gradstep.notation.presentation import Behind, Moved, Said
from gradstep.notation.proofs import proof_of_operation
from gradstep.notation.wording import Wording
from gradstep.notation.writing import Writer, stands_alone
from gradstep.operations.arithmetic import multiply_op, negate_op, scale_op
from gradstep.operations.declared import DECLARED
from gradstep.operations.families import is_one
from gradstep.operations.leaves import number, symbol_op, value_of

SHOWN = 4  # in a line with more terms than this, those that wait or are finished are left out


class Differentials:
    """Writes the lines of one derivation; `shown` are the gradients that go by name, ∂C/∂N."""

    def __init__(
        self,
        derivation: Derivation,
        write: Writer,
        wording: Wording,
        shown: dict[Expr, Expr],
        parameters: str,
        lower: Lowering,
        claims: list[Claim],
    ) -> None:
        self.d, self.write, self.wording, self.shown = derivation, write, wording, shown
        self.parameters, self.lower = parameters, lower
        self.claims = claims
        self.derived = {G for step in derivation.steps for G, _ in (*step.before, *step.after)}
        # A named part stands for itself: what is beneath it is not looked at.
        self.table = {**{part: part for part in derivation.parts}, **shown}
        self.ends = set(derivation.parameters.values())

    def lines(self) -> tuple[Said, ...]:
        """All lines, from dC to one term for each parameter."""
        loss = self.d.of
        if not self.d.steps:
            return ()
        opened = Fence("(", self.write.opened(self.lower.opening(loss)(loss, ())), ")")
        said = [Said(Of(Moved(loss), row("d", self.write(loss))), (row("d", opened),))]
        terms: list[Term] = list(self.d.steps[0].before)
        for number_, step in enumerate(self.d.steps, 1):
            terms = exchanged(terms, step)
            said.append(self.step(step, number_, self.terms(*self.visible(terms, step))))
            said += self.called(step)
        return tuple(said)

    def called(self, step: Step) -> list[Said]:
        """The gradients that go by name from this line on, written out."""
        found = []
        for G, N in step.after:
            if self.d.fences.get(G) is N and N is not self.d.of:
                at = self.lower.indices(N)
                left = self.write(self.lower(self.shown[G], at))
                found.append(Said(left, (self.write(self.claimed(self.opened(G), at, G)),), indent=1))
        return found

    def visible(self, terms: list[Term], step: Step) -> tuple[list[Term], bool]:
        """The terms worth showing: all if they are few, else the new ones and what waits next to them."""
        if len(terms) <= SHOWN:
            return terms, False
        waiting = [term for term in terms if term[1] not in self.ends and term not in step.after]
        kept = [*step.after, *waiting[:1]]
        return [term for term in terms if term in kept], True

    def step(self, step: Step, number_: int | None = None, whole: Box | None = None) -> Said:
        """One step as a numbered line, or by itself: what it replaced, and by what."""

        def behind() -> Behind:
            details = small(step, self.write, self.named)
            return Behind((), details if whole is None else (*details, *self.grounds(step)))

        return Said(
            self.terms(step.before) if whole is None else None,
            (self.terms(step.after) if whole is None else whole,),
            rule=step.rule,
            why=self.wording.reason(step, self.parameters),
            number=number_,
            kink=step.kink,
            behind=behind,
        )

    def grounds(self, step: Step) -> tuple[Said, ...]:
        """Why the rule of a step is so."""
        return grounds(step, self.write.names, self.lower.reserved)

    def terms(self, terms: Line | list[Term], more: bool = False) -> Box:
        """⟨G, dN⟩ + …; what is lowered is written as a sum, Σᵢ Gᵢ dNᵢ, and a product of numbers as one."""
        items: list[Box | str] = []
        for G, N in terms:
            at = self.lower.indices(N)
            g, n, sign = self.claimed(self.named(G), at, G), self.lower(N, at), "+"
            if not n.rank and (items or any(at)) and (positive := opposite(g)) is not None:
                g, sign = positive, "−"
            items += [sign, self.term(g, n, at)]
        if more:
            items += ["+", Sym("⋯", "operator")]
        if not items:
            return Sym("0", "number")
        return row(*(items[1:] if items[0] == "+" else items))

    def term(self, g: Expr, n: Expr, at: Sequence[Index]) -> Box:
        """⟨g, dn⟩, summed over the indices at which it stands."""
        box: Box = row("d", self.part(n))
        if n.rank:
            box = Fence("⟨", row(self.write(g), Sym(", ", "operator"), box), "⟩")
        elif value_of(g) == -1:
            box = row("−", box)
        elif value_of(g) != 1:
            front = fenced(self.write.written(g), SUM + 1)
            box = row(front, "·", box) if self.has_a_variable_d(g) else row(front, box)
        for index in reversed([i for i in at if i]):
            box = Big("Σ", Sym(index, "index"), None, box)
        return box

    def has_a_variable_d(self, factor: Expr) -> bool:
        """Whether a d that is no differential may stand before one: d·dx, not d dx."""
        seen = walk(factor, stop=self.write.names.__contains__)
        return any(node.op is symbol_op and node.params[0] == "d" for node in seen)

    def part(self, n: Expr) -> Box:
        """What is moved: z, (e²), (X w)."""
        written = self.write.written(n)
        bare = n in self.write.names or not n.args or stands_alone(written.box)
        return written.box if bare else Fence("(", written.box, ")")

    def claimed(self, expr: Expr, at: Sequence[Index], meant: Expr) -> Expr:
        """`expr` as it is printed: noted, so that it is worked out again, if the derivation has it.

        The steps between neighbouring parts have symbols ∂C/∂N in them, and the lines they make are checked.
        """
        shown = self.lower(expr, at)
        if meant in self.derived:
            self.claims.append(Claim(shown, meant, tuple(at)))
        return shown

    def named(self, G: Expr) -> Expr:
        """`G` with the gradients that go by name as symbols."""
        return replace(G, self.table) if self.shown else G

    def opened(self, G: Expr) -> Expr:
        """The same, but `G` itself is written out."""
        return rebuild(G, [replace(arg, self.table) for arg in G.args])


def rewrites(
    step: Step, write: Writer, shown: Callable[[Expr], Expr], reserved: frozenset[str]
) -> tuple[Said, ...]:
    """The small rewrites inside a step, then why its rule is so, in letters that are not `reserved`."""
    return *small(step, write, shown), *grounds(step, write.names, reserved)


def small(step: Step, write: Writer, shown: Callable[[Expr], Expr]) -> tuple[Said, ...]:
    """The small rewrites inside a step, `shown` as they read here; those that nobody would see left out."""
    said = []
    for rewrite in step.details:
        before, after = shown(rewrite.before), shown(rewrite.after)
        left, right = write.opened(before), write(after)
        if line(left) != line(right) and factors(before) != factors(after):
            said.append(Said(left, (right,), rule=rewrite.rule, why=rewrite.why))
    return tuple(said)


def factors(expr: Expr) -> Counter[Expr]:
    """What is multiplied in a product, whatever the order; ones left out."""
    found: Counter[Expr] = Counter()
    waiting = [expr]
    while waiting:
        node = waiting.pop()
        if node.op in (multiply_op, scale_op):
            waiting += node.args
        elif not is_one(node):
            found[node] += 1
    return found


def grounds(step: Step, names: Mapping[Expr, Box], reserved: frozenset[str]) -> tuple[Said, ...]:
    """Why the rule of a step is so, from definitions or entry by entry; nothing for a law.

    The reason that the step itself gives is not given once more.
    """
    moving = {part for _, part in step.after}
    if not moving or step.place in moving or not step.place.args:
        return ()
    proof = declared_slopes(step) or proof_of_operation(step.place, moving, names, reserved)
    return tuple(without(one, step.rule, step.why) for one in proof)


def without(said: Said, rule: str, why: str) -> Said:
    """The line without a reason that the reader has met: this rule, and why it holds."""
    if said.why != why or not said.rule.startswith(rule):
        return said
    return replace_fields(said, rule=said.rule.removeprefix(rule).removeprefix(", "), why="")


def declared_slopes(step: Step) -> tuple[Said, ...]:
    """How the slopes of a function that the user has declared were derived: dswish = d(x σ(x)) = …"""
    declared = DECLARED.get(step.place.op.name)
    if declared is None or declared.op is not step.place.op:
        return ()
    said: list[Said] = []
    moving = {part for _, part in step.after}
    for operand, (variable, told) in zip(step.place.args, declared.told.items(), strict=True):
        if operand not in moving:
            continue
        write = Writer({told.of: declared.name})
        lines = Differentials(
            told, write, Wording(told, write, write), {}, variable, Lowering((), ()), []
        ).lines()
        said += [replace_fields(each, number=None, left=lines[0].left) for each in lines]
    return tuple(said)


def exchanged(terms: list[Term], step: Step) -> list[Term]:
    """The line after `step`: what is new stands where the first of what it replaced stood."""
    place = next((k for k, term in enumerate(terms) if term in step.before), len(terms))
    gone = list(step.before)
    kept: list[Term] = []
    for k, term in enumerate(terms):
        if k == place:
            kept += step.after
        if term in gone:
            gone.remove(term)
        else:
            kept.append(term)
    return kept


def opposite(G: Expr) -> Expr | None:
    """−G, if `G` is written with a minus sign in front."""
    value = value_of(G)
    if value is not None:
        return number(-value) if value < 0 else None
    if G.op is negate_op:
        return G.args[0]
    if G.op is scale_op or (G.op.name in ("multiply", "divide") and not G.rank):
        first = opposite(G.args[0])
        if first is not None:
            rest = G.args[1]
            return rest if value_of(first) == 1 and G.op.name != "divide" else rebuild(G, [first, rest])
    return None
