"""How does the article tell it? Example by example, the derivative moving inwards one rule a line.

    ∂C/∂w = 1/N Σᵢ ∂(eᵢ²)/∂w
          = 2/N Σᵢ eᵢ ∂eᵢ/∂w
          = …

The lines are the derivation's own steps: ⟨G, dN⟩ reads Σᵢ Gᵢ ∂Nᵢ/∂w, one number for each example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from gradstep.calculus.derivation import moving_nodes
from gradstep.calculus.laws import BOOK
from gradstep.calculus.opening import Opening
from gradstep.calculus.procedures import product
from gradstep.calculus.rewriting import simplify
from gradstep.calculus.steps import Derivation, Step, Term
from gradstep.expression.boxes import (
    PRODUCT,
    Big,
    Box,
    Cases,
    Fence,
    Frac,
    Of,
    Row,
    Sup,
    Sym,
    fenced,
    row,
    word,
)
from gradstep.expression.node import Expr, replace, walk
from gradstep.expression.records import replaced as changed
from gradstep.notation.batches import direct_parts
from gradstep.notation.branches import branches, pieces_of
from gradstep.notation.checking import Claim
from gradstep.notation.differentials import exchanged, opposite, rewrites
from gradstep.notation.indices import entry_op, sigma
from gradstep.notation.lowering import Lowering
from gradstep.notation.plain import line
from gradstep.notation.presentation import Behind, Said, Slope
from gradstep.notation.wording import Wording, listed, numbered
from gradstep.notation.writing import Writer, stands_alone
from gradstep.operations.arithmetic import (
    divide_op,
    greater,
    greater_op,
    less_equal,
    multiply,
    multiply_op,
    negate_op,
    power_op,
    scale_op,
)
from gradstep.operations.families import JUXTAPOSED, is_one
from gradstep.operations.leaves import is_constant, number, value_of

TRANSPOSED = Sym("ᵀ", "operator")
ZERO = Sym("0", "number")


class Narrator:
    """Tells one derivation example by example; `claims` are the expressions that it has printed."""

    def __init__(
        self, derivation: Derivation, lower: Lowering, write: Writer, wording: Wording, claims: list[Claim]
    ) -> None:
        self.d, self.lower, self.write, self.wording = derivation, lower, write, wording
        self.loss = derivation.of
        ((self.batch, self.index),) = lower.letters.items()
        self.named = lower.named
        self.said: list[Said] = []
        self.claims = claims

    def lines(self) -> tuple[Said, ...]:
        """The whole story: in full for the first parameter, and what differs for the others."""
        told: dict[Expr, list[int]] = {}
        for parameter in self.d.parameters.values():
            if parameter not in self.d.cotangents:
                self.say(Said(self.partial(parameter), (ZERO,), rule="it does not occur in the loss"))
                continue
            (last,) = direct_parts(self.d, parameter)
            if last in told:
                as_before = f"{numbered(told[last])} hold for {self.text(parameter)} as well"
                self.arrive(parameter, last, [], as_before)
            else:
                start = len(self.said) + 1
                used = self.descend(parameter, last)
                told[last] = [*range(start, len(self.said) + 1)]
                self.arrive(parameter, last, used, "")
        return tuple(self.said)

    def say(self, said: Said) -> int:
        """One more line; its number."""
        self.said.append(changed(said, number=len(self.said) + 1))
        return len(self.said)

    # ------------------------------------------------------------------------------------------- from C to z

    def descend(self, parameter: Expr, last: Expr) -> list[int]:
        """The lines from the loss to the last named part; the numbers of those that the result needs."""
        leading = {last}
        for node in walk(self.loss):
            if any(arg in leading for arg in node.args):
                leading.add(node)
        terms: list[Term] = [(number(1), self.loss)]
        left: Box | None = self.partial(parameter)
        slopes: list[int] = []
        main = 0
        for step in self.d.steps:
            leaving = step.place is last and all(part is not last for _, part in step.after)
            if step.place not in leading or leaving:
                continue
            terms = [term for term in exchanged(terms, step) if term[1] in leading]
            if not step.place.rank and step.rule == "multiplication by a constant":
                continue
            opens = all(part is not step.place for _, part in step.after)
            if opens and step.place in self.named and step.place.op.slopes and len(step.place.args) == 1:
                main = self.chain(step, left, parameter)
                slopes.append(self.slope(step))
            else:
                rule, why = step.rule, self.reason(step, parameter)
                if step.place.op is power_op and opens:
                    rule = f"{rule} and chain rule"
                said = Said(left, (self.sum(terms, parameter),), rule, why, kink=step.kink)
                said = changed(said, behind=self.folded(step))
                if (
                    slopes and self.said[-1].indent
                ):  # a slope stands between: say again what this line continues
                    said = changed(said, left=self.partial(parameter))
                before = self.said[-1] if self.said else None
                if (
                    before is not None and before.forms == said.forms
                ):  # tidied already: one line, both reasons
                    self.said[-1] = changed(
                        before, rule=f"{before.rule}, {rule}", behind=together(before, said)
                    )
                else:
                    main = self.say(said)
                slopes.clear()  # what stands there now contains them
            left = None
        return [main, *slopes] if main else slopes

    def reason(self, step: Step, parameter: Expr) -> str:
        """Why a step holds, for one parameter."""
        node = step.place
        if node.op is power_op and all(part is not node for _, part in step.after):
            name = self.text(node.args[0]) if node.args[0] in self.named else "x"
            two = value_of(node.args[1]) == 2
            return f"d({name}²)/d{name} = 2{name}" if two else f"d({name}ⁿ)/d{name} = n {name}ⁿ⁻¹"
        return self.wording.reason(step, self.text(parameter))

    def chain(self, step: Step, left: Box | None, parameter: Expr) -> int:
        """The chain rule through an activation."""
        node, inner = self.bent(step)
        slope = Of(Slope(node, inner), Frac(row("d", self.at(node)), row("d", self.at(inner))))
        front, factors = self.claimed(*step.before[0])
        body = [*factors, slope, self.partial(parameter, self.at(inner))]
        part, through = line(self.at(node)), line(self.at(inner))
        why = f"{part} depends on {self.text(parameter)} only through {through}"
        definition = row(self.at(node), "=", self.write.opened(self.opened(node)))
        by, moved = (self.by_entry(parameter, self.at(one)) for one in (inner, node))
        proof = Behind((definition, row(moved, "=", slope, by)))
        return self.say(Said(left, (self.summed(front, body),), "chain rule", why, behind=lambda: proof))

    def slope(self, step: Step) -> int:
        """The slope of an activation, in pieces if it has any."""
        node, inner = self.bent(step)
        assert node.op.slopes is not None
        slope = simplify(node.op.slopes[node.args.index(inner)](node, *node.args), BOOK, self.named)
        lowered = self.lower(slope, (self.index,) * slope.rank)
        pieces = branches(lowered)
        name = Of(Slope(node, inner), Frac(row("d", self.at(node)), row("d", self.at(inner))))
        if pieces is None:
            said = Said(name, (self.write(lowered),), step.rule, step.why, kink=step.kink, indent=1)
            return self.say(changed(said, behind=self.folded(step)))
        where, off, on = pieces
        z = self.write(where)
        box = Cases(((self.write(off), row(z, "≤", ZERO)), (self.write(on), row(z, ">", ZERO))))
        straight = "straight " if is_constant(off) and is_constant(on) else ""
        said = Said(name, (box,), step.rule, f"two {straight}pieces", kink=step.kink, indent=1)
        return self.say(changed(said, behind=self.folded(step)))

    def bent(self, step: Step) -> tuple[Expr, Expr]:
        """The activation that a step opens, and what it is of."""
        return step.place, next(arg for arg in step.place.args if arg in self.d.cotangents)

    def folded(self, step: Step) -> Callable[[], Behind]:
        """The small rewrites inside a step."""
        return lambda: Behind((), rewrites(step, self.write, self.lowered, self.lower.reserved))

    def lowered(self, expr: Expr) -> Expr:
        """`expr` at example i."""
        return self.lower(expr, self.lower.indices(expr))

    # ------------------------------------------------------------------------------------------- from z to w

    def arrive(self, parameter: Expr, last: Expr, used: list[int], as_before: str) -> None:
        """∂zᵢ/∂w, and the gradient for the parameter put together, in pieces where there is a mask."""
        entry = self.opened(last)
        work = Opening(entry, number(1), {parameter}, moving_nodes(entry, [parameter]), set(), BOOK)
        work.run()
        slope = work.cotangents[parameter]
        negative = opposite(slope)
        unsigned = slope if negative is None else negative
        rule, why = ", ".join(dict.fromkeys(step.rule for step in work.steps)), ""
        if unsigned.op is entry_op:
            rule = "gradient of a dot product"
            why = f"{line(self.write(unsigned))} multiplies {self.text(parameter)}"
        elif is_one(unsigned):
            rule, why = "affine function", f"{self.text(parameter)} stands alone in {line(self.at(last))}"
        factor = self.row_box(unsigned)
        shown = factor if negative is None else row("−", factor)
        by_last = self.partial(parameter, self.at(last))
        proof = partial(self.proof, last, parameter, slope)
        side = self.say(Said(by_last, (shown,), rule, why, indent=1, behind=proof))
        told = (
            f"{as_before}; with {numbered([side])}"
            if as_before
            else f"{numbered([*used, side])} put together"
        )
        by_entries = partial(self.proof_together, last, parameter, slope)
        front, rest = self.gathered(last, negative is not None)
        pieces = branches(rest)
        if pieces is None:
            self.claim(parameter, front, rest, unsigned)
            box = self.summed(front, self.moved(rest, unsigned))
            self.say(Said(self.partial(parameter), (box,), told, behind=by_entries))
            return
        box = self.in_pieces(parameter, last, front, pieces, unsigned)
        self.say(Said(self.partial(parameter), (box,), told, behind=by_entries))
        if not as_before:
            self.collapse(*pieces)

    def gathered(self, last: Expr, negative: bool) -> tuple[Expr | None, Expr]:
        """∂C/∂z at one example: what stands in front of Σ, and the rest."""
        front, rest = split(self.example(self.d.cotangents[last]))
        if negative:
            front = simplify(-(number(1) if front is None else front), BOOK)
            front = None if value_of(front) == 1 else front
        return front, number(1) if rest is None else rest

    def in_pieces(
        self, parameter: Expr, last: Expr, front: Expr | None, pieces: tuple[Expr, Expr, Expr], slope: Expr
    ) -> Box:
        """∂C/∂w = front Σᵢ {off if z ≤ 0; on otherwise}."""
        where, off, on = pieces
        if where.op is entry_op and where.params[0] is last:
            where = self.opened(last)
        mask = greater_op(where, number(0))
        self.claim(parameter, front, mask * on + (1 - mask) * off, slope)
        zero: Box = Sup(Sym("0", "vector"), TRANSPOSED) if parameter.rank else ZERO
        if value_of(off) != 0:
            zero = Row(tuple(self.moved(off, slope)))
        value = Row(tuple(self.moved(on, slope)))
        condition = row(self.write.opened(where), "≤", ZERO)
        return self.summed(front, [Cases(((zero, condition), (value, word("otherwise"))))])

    def collapse(self, where: Expr, off: Expr, on: Expr) -> None:
        """eᵢ = yᵢ − (w·xᵢ + b) where w·xᵢ + b > 0: what stands in the pieces, max(0, z) known there."""
        if where.op is not entry_op or where.params[0] not in self.named:
            return
        z, at = where.params[:2]
        whole = self.lower.opening(z)(z, at)
        met = [entry for entry in walk(off, on) if entry.op is entry_op and entry.params[0] in self.named]
        for entry in met:
            bent: dict[Expr, tuple[Expr, Expr]] = {}
            shown = [
                (side, replace(self.on_side(entry, where, side, bent), {where: whole}))
                for side, piece in enumerate((off, on))
                if entry in walk(piece)
            ]
            if not bent:
                continue
            part = entry.params[0]
            rows = []
            for side, value in shown:
                beyond = greater if side else less_equal
                meant = multiply(beyond(z, number(0)), part)
                self.claims.append(Claim(beyond(whole, number(0)) * value, meant, (self.index,) * part.rank))
                rows.append((self.write(value), row(self.write(where), ">" if side else "≤", ZERO)))
            heads = dict.fromkeys(line(self.write(node)).partition("(")[0] for node in bent)
            form: Box
            if len(rows) == 1:
                ((written, condition),) = rows
                form, branch = row(written, word("where"), condition), "the active branch"
                told = f"there {self.equal(bent, shown[0][0])}"
            else:
                form, branch = Cases(tuple(rows)), "each branch"
                told = "; ".join(
                    f"where {line(condition)}, {self.equal(bent, side)}"
                    for side, (_, condition) in enumerate(rows)
                )
            rule = f"{listed([*heads])} collapses on {branch}"
            passed = partial(self.passed, entry)
            self.say(Said(self.write(entry), (form,), rule, told, indent=1, behind=passed))

    def passed(self, entry: Expr) -> Behind:
        """eᵢ = yᵢ − aᵢ, aᵢ = max(0, zᵢ): the parts between a part and the last one, by their definitions."""
        found: list[Box] = []
        waiting = [entry]
        for one in waiting:
            part, at = one.params[:2]
            opened = self.lower.opening(part)(part, at)
            inner = [node for node in walk(opened) if node.op is entry_op and node.params[0] in self.named]
            if inner:
                found.append(row(self.write(one), "=", self.write.opened(opened)))
            waiting += [node for node in inner if node not in waiting]
        return Behind(tuple(found))

    def on_side(self, expr: Expr, where: Expr, side: int, bent: dict[Expr, tuple[Expr, Expr]]) -> Expr:
        """`expr` on one side of `where`, parts that hold a function with a piece there opened down to it."""
        known: dict[Expr, Expr] = {}
        for node in walk(expr):
            if node.op is entry_op and node.params[0] in self.named and node is not where:
                part, at = node.params[:2]
                inner = self.lower.opening(part)(part, at)
                opened = self.on_side(inner, where, side, bent)
                if opened is not inner:
                    known[node] = opened
            elif (pieces := pieces_of(node)) is not None and pieces[0] is where:
                bent[node] = pieces[1:]
                known[node] = pieces[1 + side]
        return simplify(replace(expr, known), BOOK, self.named) if known else expr

    def equal(self, bent: Mapping[Expr, tuple[Expr, Expr]], side: int) -> str:
        """max(0, zᵢ) = zᵢ."""
        return listed([f"{self.text(node)} = {self.text(pieces[side])}" for node, pieces in bent.items()])

    def moved(self, rest: Expr, slope: Expr) -> list[Box]:
        """Factors for one example, and ∂zᵢ/∂w."""
        written = [self.write.written(factor) for factor in factors_of(rest) if not is_one(factor)]
        if len(written) == 1 and is_one(slope):
            return [fenced(written[0], PRODUCT)]
        factors = [fenced(one, JUXTAPOSED) for one in written]
        factors += [] if is_one(slope) else [self.row_box(slope)]
        return factors or [Sym("1", "number")]

    def claim(self, parameter: Expr, front: Expr | None, rest: Expr, slope: Expr) -> None:
        """Notes the gradient that is printed, so that it is worked out again."""
        total = sigma(self.index, self.batch, rest * slope if (front is None) else front * rest * slope)
        self.claims.append(Claim(total, self.d.answers[self.name(parameter)], (None,) * parameter.rank))

    def proof(self, last: Expr, parameter: Expr, slope: Expr) -> Behind:
        """The same entry by entry: zᵢ = Σⱼ Xᵢⱼ wⱼ + b, so ∂zᵢ/∂wⱼ = Xᵢⱼ."""
        entries, at = self.lower.fully(), self.place_in(parameter)
        opened = entries.opening(last)(last, (self.index,) * last.rank)
        definition = row(self.at(last), "=", self.write.opened(opened))
        entry = self.write(entries(slope, at, frozenset({self.index})))
        return Behind((definition, row(self.by_entry(parameter, self.at(last)), "=", entry)))

    def proof_together(self, last: Expr, parameter: Expr, slope: Expr) -> Behind:
        """∂C/∂zᵢ = …, ∂C/∂wⱼ = Σᵢ ∂C/∂zᵢ ∂zᵢ/∂wⱼ = …: what comes through every example is added."""
        entries, at = self.lower.fully(), self.place_in(parameter)
        G = self.example(self.d.cotangents[last])
        by_last = Frac(row("∂", self.write(self.loss)), row("∂", self.at(last)))
        by_parameter = self.by_entry(parameter, self.write(self.loss))
        moved = self.by_entry(parameter, self.at(last))
        slope_at = entries(slope, at, frozenset({self.index}))
        front, rest = split(simplify(multiply(G, slope_at), BOOK, self.named))
        inside = number(1) if rest is None else rest
        total = sigma(self.index, self.batch, inside if front is None else front * inside)
        self.claims.append(Claim(total, self.d.answers[self.name(parameter)], at))
        summed = self.summed(front, [fenced(self.write.written(inside), PRODUCT)])
        through = self.summed(None, [by_last, moved])
        return Behind((row(by_last, "=", self.write(G)), row(by_parameter, "=", through, "=", summed)))

    def place_in(self, parameter: Expr) -> tuple[str, ...]:
        """An index for an entry of a parameter, if it has entries."""
        return tuple(self.lower.letter(size, {self.index}) for size in parameter.shape)

    def by_entry(self, parameter: Expr, of: Box) -> Box:
        """∂(of)/∂wⱼ."""
        entry = self.lower.fully()(parameter, self.place_in(parameter))
        return Frac(row("∂", of), row("∂", self.write(entry)))

    def opened(self, part: Expr) -> Expr:
        """A part at example i by its definition."""
        return self.lower.opening(part)(part, (self.index,) * part.rank)

    # ------------------------------------------------------------------------------------------- writing

    def at(self, part: Expr) -> Box:
        """A part at example i: zᵢ."""
        return self.write(self.lower(part, (self.index,) * part.rank))

    def text(self, part: Expr) -> str:
        """The bare name of a part or a parameter."""
        return line(self.write(part))

    def name(self, parameter: Expr) -> str:
        """The name that the user gave a parameter."""
        return next(name for name, p in self.d.parameters.items() if p is parameter)

    def example(self, G: Expr) -> Expr:
        """A cotangent at example i, its numbers in front."""
        return simplify(self.lower(G, (self.index,) * G.rank), BOOK, self.named)

    def partial(self, parameter: Expr, of: Box | None = None) -> Box:
        """∂C/∂w, or ∂(of)/∂w."""
        top = self.write(self.loss) if of is None else of
        slope = Frac(row("∂", top), row("∂", self.write(parameter)))
        if of is None:
            return Of(Slope(self.loss, parameter), slope)
        part = of.what if isinstance(of, Of) else None
        return Of(Slope(part, parameter), slope) if isinstance(part, Expr) else slope

    def row_box(self, slope: Expr) -> Box:
        """A gradient by a vector is a row, as in the paper: xᵢᵀ, c xᵢᵀ."""
        if slope.op is scale_op:
            return row(fenced(self.write.written(slope.args[0]), JUXTAPOSED), self.row_box(slope.args[1]))
        written = self.write.written(slope)
        return Sup(fenced(written, JUXTAPOSED), TRANSPOSED) if slope.rank else fenced(written, PRODUCT)

    def claimed(self, G: Expr, N: Expr) -> tuple[Expr | None, list[Box]]:
        """What stands in front of Σ, and the factors inside it; noted, so that it is worked out again."""
        front, rest = split(self.example(G))
        shown = product(1, *(part for part in (front, rest) if part is not None))
        self.claims.append(Claim(shown, G, (self.index,) * G.rank))
        return front, [fenced(self.write.written(rest), PRODUCT)] if rest is not None else []

    def summed(self, front: Expr | None, body: Sequence[Box], index: bool = True) -> Box:
        """front Σᵢ body."""
        inside: Box = body[0] if len(body) == 1 else Row(tuple(body))
        box: Box = Big("Σ", Sym(self.index, "index"), None, inside) if index else inside
        if front is None:
            return box
        return row("−", box) if value_of(front) == -1 else row(self.write(front), box)

    def sum(self, terms: Sequence[Term], parameter: Expr) -> Box:
        """A line of terms: front Σᵢ Gᵢ ∂Nᵢ/∂w + …"""
        items: list[Box | str] = []
        for G, N in terms:
            front, factors = self.claimed(G, N)
            positive = opposite(front) if front is not None and items else None
            if positive is not None:
                front = None if value_of(positive) == 1 else positive
            slope = self.partial(parameter, self.moving(N))
            items += [
                "+" if positive is None else "−",
                self.summed(front, [*factors, slope], index=N.rank > 0),
            ]
        return row(*items[1:])

    def moving(self, N: Expr) -> Box:
        """What is differentiated, at example i: eᵢ, (eᵢ²), |eᵢ|."""
        lowered = self.lower(N, (self.index,) * N.rank)
        written = self.write.written(lowered)
        bare = lowered.op is entry_op or not lowered.args or stands_alone(written.box)
        return written.box if bare else Fence("(", written.box, ")")


def together(first: Said, second: Said) -> Callable[[], Behind]:
    """What two lines open to that became one."""
    return lambda: Behind((), first.opened().details + second.opened().details)


def split(g: Expr) -> tuple[Expr | None, Expr | None]:
    """A number at one example as (constant in front, the rest); None for a factor of one."""
    constants: list[Expr] = []
    others: list[Expr] = []
    for factor in factors_of(g):
        (constants if is_constant(factor) else others).append(factor)
    front = simplify(product(1, *constants), BOOK)
    return (None if value_of(front) == 1 else front), (product(1, *others) if others else None)


def factors_of(expr: Expr) -> list[Expr]:
    """The factors of a product of numbers; a sign, and constants in a denominator, stand by themselves."""
    if expr.op is negate_op:
        return [number(-1), *factors_of(expr.args[0])]
    if expr.op in (multiply_op, scale_op):
        return [factor for arg in expr.args for factor in factors_of(arg)]
    if expr.op is divide_op:
        above, below = map(factors_of, expr.args)
        moved = [factor for factor in below if is_constant(factor)]
        constants = [factor for factor in above if is_constant(factor)]
        if moved and len(moved) < len(below):
            rest = [factor for factor in below if not is_constant(factor)]
            others = [factor for factor in above if not is_constant(factor)]
            return [*constants, *(1 / factor for factor in moved), product(1, *others) / product(1, *rest)]
    return [expr]
