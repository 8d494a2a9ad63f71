"""How does the article tell it? Example by example, the derivative moving inwards one rule a line.

    ∂C/∂w = 1/N Σᵢ ∂(eᵢ²)/∂w
          = 2/N Σᵢ eᵢ ∂eᵢ/∂w
          = …

The lines are the derivation's own steps: ⟨G, dN⟩ reads Σᵢ Gᵢ ∂Nᵢ/∂w, one number for each example.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradstep.calculus.derivation import Opening, moving_nodes
from gradstep.calculus.laws import BOOK
from gradstep.calculus.procedures import product
from gradstep.calculus.rewriting import simplify
from gradstep.calculus.steps import Derivation, Line, Step
from gradstep.expression.boxes import PRODUCT, Big, Box, Cases, Fence, Frac, Row, Sup, Sym, fenced, row, word
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Size
from gradstep.notation.lowering import Lowering, entry_op
from gradstep.notation.presentation import Said
from gradstep.notation.writing import Writer
from gradstep.operations.families import is_one
from gradstep.operations.leaves import is_constant, number, value_of

INDEX = "i"
TRANSPOSED = Sym("ᵀ", "operator")
TOLD = {"sum over entries": ("derivative of a sum", "it moves inside Σ")}


def tells(derivation: Derivation, batch: Size | None) -> bool:
    """Whether each example has one number for every named part, and every parameter is a number or a vector."""
    if batch is None or not derivation.steps:
        return False
    parts = [part for part in derivation.parts if part is not derivation.of and part in derivation.cotangents]
    return (
        bool(parts)
        and all(part.shape in ((batch,), ()) for part in parts)
        and all(p.rank < 2 and batch not in p.shape for p in derivation.parameters.values())
        and all(
            direct_parts(derivation, p)[1:] == [] and direct_parts(derivation, p)[0] is not derivation.of
            for p in derivation.parameters.values()
            if p in derivation.cotangents
        )
    )


class Narrator:
    """Tells one derivation example by example."""

    def __init__(self, derivation: Derivation, batch: Size | None, write: Writer) -> None:
        self.d, self.batch, self.write = derivation, batch, write
        self.loss = derivation.of
        named = {part for part in derivation.parts if part is not self.loss}
        letters = {batch: INDEX} if batch is not None else {}
        self.named, self.letters = named, letters
        self.lower = Lowering({batch}, named, letters)
        self.number = 0
        self.said: list[Said] = []

    def lines(self) -> tuple[Said, ...]:
        """The whole story: in full for the first parameter, and what differs for the others."""
        told: dict[Expr, tuple[int, int]] = {}
        for name in self.d.wrt:
            parameter = self.d.parameters[name]
            if parameter not in self.d.cotangents:
                self.say(Said(self.partial(parameter), (Sym("0", "number"),), rule="it does not occur in the loss"))
                continue
            last = last_part(self.d, parameter)
            if last in told:
                first, to = told[last]
                self.arrive(parameter, last, f"steps {first}–{to}" if to > first else f"step {first}")
            else:
                start = self.number + 1
                self.descend(parameter, last)
                told[last] = (start, self.number)
                self.arrive(parameter, last, "")
        return tuple(self.said)

    def say(self, said: Said) -> None:
        """One more line, numbered."""
        self.number += 1
        self.said.append(
            Said(said.left, said.forms, said.rule, said.why, self.number, said.shape, said.kink, said.proof, said.details, said.indent)
        )

    # ------------------------------------------------------------------------------------------- from C to z

    def descend(self, parameter: Expr, last: Expr) -> None:
        """The lines from the loss to the last named part before the parameter."""
        leading = {last}
        for node in walk(self.loss):
            if any(arg in leading for arg in node.args):
                leading.add(node)
        line: list[tuple[Expr, Expr]] = []
        rules: list[str] = []
        left: Box | None = self.partial(parameter)
        for step in self.d.steps:
            if step.place not in leading or (step.place is last and all(part is not last for _, part in step.after)):
                continue
            line = [term for term in line if term not in step.before]
            line += [term for term in step.after if term[1] in leading]
            rule, why = TOLD.get(step.rule, (step.rule, step.why))
            if not step.place.rank and step.rule == "multiplication by a constant":
                continue
            opens = all(part is not step.place for _, part in step.after)
            if opens and step.place in self.named and step.place.op.slopes is not None and len(step.place.args) == 1:
                self.bend(step, left, parameter)
            else:
                if step.rule == "power rule":
                    rule, why = "power rule, chain rule", f"d({self._power(step)}"
                self.say(Said(left, (self.sum(line, parameter),), rule=rule, why=why, details=(_folded(self, step))))
            left = None
            rules.clear()

    def _power(self, step: Step) -> str:
        return "x²)/dx = 2x" if value_of(step.place.args[1]) == 2 else "xⁿ)/dx = n xⁿ⁻¹"

    def bend(self, step: Step, left: Box | None, parameter: Expr) -> None:
        """The chain rule through an activation, and the activation's slope in pieces."""
        node, inner = step.place, next(arg for arg in step.place.args if arg in self.d.cotangents)
        above, below = self.at(node), self.at(inner)
        slope_name = Frac(row("d", above), row("d", below))
        body = [*self.factors(step.before[0][0])[1], slope_name, self.partial(parameter, below)]
        front = self.factors(step.before[0][0])[0]
        self.say(Said(left, (self.summed(front, body),), rule="chain rule", why=f"{node.op.name} moves through its argument"))
        slopes = node.op.slopes
        assert slopes is not None
        slope = simplify(slopes[node.args.index(inner)](node, *node.args), BOOK, self.named)
        self.say(Said(slope_name, (self.pieces(slope, inner),), rule=step.rule, why=step.why, kink=step.kink, indent=1))

    def pieces(self, slope: Expr, inner: Expr) -> Box:
        """A slope that is a mask reads as its two pieces."""
        lowered = self.lower(slope, (INDEX,) * slope.rank)
        if lowered.op.name == "greater" and value_of(lowered.args[1]) == 0:
            z = self.write(lowered.args[0])
            return Cases(((Sym("0", "number"), row(z, "≤", Sym("0", "number"))), (Sym("1", "number"), row(z, ">", Sym("0", "number")))))
        return self.write(lowered)

    # ------------------------------------------------------------------------------------------- from z to w

    def arrive(self, parameter: Expr, last: Expr, shared: str) -> None:
        """∂zᵢ/∂w, and the gradient for the parameter put together, in pieces where there is a mask."""
        inside = Lowering({self.batch}, self.named - {last}, self.letters)
        entry = inside(last, (INDEX,) * last.rank)
        work = Opening(entry, number(1), {parameter}, moving_nodes(entry, [parameter]), set(), BOOK)
        work.run()
        slope = work.cotangents[parameter]
        z = self.at(last)
        rule = "gradient of a dot product" if slope.op is entry_op else "derivative of the affine function"
        if is_one(slope):
            rule = f"{_plain_name(parameter)} stands alone: its factor is 1"
        self.say(Said(self.partial(parameter, z), (self.row_box(slope),), rule=rule, proof=self.proof(last, parameter, slope), indent=1))
        front, factors = self.factors(self.d.cotangents[last])
        masks = self.masks(last)
        moved = [] if is_one(slope) else [self.row_box(slope)]
        zero: Box = Sup(Sym("0", "vector"), TRANSPOSED) if parameter.rank else Sym("0", "number")
        if masks is not None:
            condition, factors = masks
            value = Row((*factors, *moved)) if factors or moved else Sym("1", "number")
            body: Box = Cases(((zero, row(self.write.opened(condition), "≤", Sym("0", "number"))), (value, word("otherwise"))))
            box = self.summed(front, [body])
        else:
            box = self.summed(front, [*factors, *moved])
        rule = f"{shared}, and line {self.number}" if shared else "the pieces put together"
        self.say(Said(self.partial(parameter), (box,), rule=rule))

    def masks(self, last: Expr) -> tuple[Expr, list[Box]] | None:
        """The one mask 1[u > 0] in ∂C/∂zᵢ, with u opened, and the factors beside it."""
        _, rest = split(self.example(self.d.cotangents[last]))
        flat = factors_of(rest) if rest is not None else []
        found = [f for f in flat if f.op.name == "greater" and value_of(f.args[1]) == 0]
        if len(found) != 1:
            return None
        where = found[0].args[0]
        if where.op is entry_op and where.params[0] is last:
            where = Lowering({self.batch}, self.named - {last}, self.letters)(last, (INDEX,) * last.rank)
        others = [self.write.written(f) for f in flat if f is not found[0]]
        return where, [fenced(w, PRODUCT) for w in others]

    def proof(self, last: Expr, parameter: Expr, slope: Expr) -> tuple[Box, ...]:
        """The same entry by entry: zᵢ = Σⱼ Xᵢⱼ wⱼ + b, so ∂zᵢ/∂wⱼ = Xᵢⱼ."""
        every = Lowering(None, self.named - {last}, self.letters)
        at = tuple("ijk"[k] for k in range(last.rank))
        definition = row(self.at(last), "=", self.write.opened(every(last, at)))
        if not parameter.rank:
            return (definition,)
        j = ("j",)
        entry = Frac(row("∂", self.at(last)), row("∂", self.write(every(parameter, j))))
        return definition, row(entry, "=", self.write(every(slope, j, frozenset({INDEX}))))

    # ------------------------------------------------------------------------------------------- writing

    def at(self, part: Expr) -> Box:
        """A part at example i: zᵢ."""
        return self.write(self.lower(part, (INDEX,) * part.rank))

    def example(self, G: Expr) -> Expr:
        """A cotangent at example i, its numbers in front."""
        return simplify(self.lower(G, (INDEX,) * G.rank), BOOK, self.named)

    def partial(self, parameter: Expr, of: Box | None = None) -> Box:
        """∂C/∂w, or ∂(of)/∂w."""
        top = self.write(self.loss) if of is None else of
        return Frac(row("∂", top), row("∂", self.write(parameter)))

    def row_box(self, slope: Expr) -> Box:
        """A gradient by a vector is a row, as in the paper: xᵢᵀ."""
        written = self.write.written(slope)
        return Sup(fenced(written, PRODUCT + 5), TRANSPOSED) if slope.rank else fenced(written, PRODUCT)

    def factors(self, G: Expr) -> tuple[Expr | None, list[Box]]:
        """What stands in front of Σ, and the factors inside it."""
        front, rest = split(self.example(G))
        return front, [fenced(self.write.written(rest), PRODUCT)] if rest is not None else []

    def summed(self, front: Expr | None, body: Sequence[Box], index: bool = True) -> Box:
        """front Σᵢ body."""
        inside: Box = body[0] if len(body) == 1 else Row(tuple(body))
        box: Box = Big("Σ", Sym(INDEX, "index"), None, inside) if index else inside
        if front is None:
            return box
        return row("−", box) if value_of(front) == -1 else row(self.write(front), box)

    def sum(self, line: Line | Sequence[tuple[Expr, Expr]], parameter: Expr) -> Box:
        """A line of terms: front Σᵢ Gᵢ ∂Nᵢ/∂w + …"""
        items: list[Box | str] = []
        for G, N in line:
            lowered = self.lower(N, (INDEX,) * N.rank)
            written = self.write.written(lowered)
            atom = lowered.op is entry_op or not lowered.args
            inner = written.box if atom else Fence("(", written.box, ")")
            front, factors = self.factors(G)
            negative = front is not None and _below_zero(front)
            if negative and items:
                front = simplify(-front, BOOK) if front is not None else None
                front = None if front is not None and value_of(front) == 1 else front
            items += ["−" if negative and items else "+", self.summed(front, [*factors, self.partial(parameter, inner)], index=N.rank > 0)]
        return row(*items[1:])


def _below_zero(front: Expr) -> bool:
    value = value_of(front)
    if value is not None:
        return value < 0
    return front.op.name == "negate" or (front.op.name == "divide" and _below_zero(front.args[0]))


def _folded(narrator: Narrator, step: Step) -> tuple[Said, ...]:
    write = narrator.write
    return tuple(Said(write.opened(r.before), (write(r.after),), rule=r.rule, why=r.why) for r in step.details)


def _plain_name(parameter: Expr) -> str:
    return str(parameter.params[0])


def split(g: Expr) -> tuple[Expr | None, Expr | None]:
    """A number at one example as (constant in front, the rest); None for a factor of one."""
    if g.op.name == "negate":
        front, rest = split(g.args[0])
        return (number(-1) if front is None else simplify(-front, BOOK)), rest
    factors = factors_of(g)
    constants = [factor for factor in factors if is_constant(factor)]
    others = [factor for factor in factors if not is_constant(factor)]
    front = simplify(product(1, *constants), BOOK)
    return (None if value_of(front) == 1 else front), (product(1, *others) if others else None)


def factors_of(expr: Expr) -> list[Expr]:
    """The factors of a product of numbers."""
    if expr.op.name != "multiply":
        return [expr]
    return [factor for arg in expr.args for factor in factors_of(arg)]


def last_part(derivation: Derivation, parameter: Expr) -> Expr:
    """The named part from which the parameter is reached."""
    return direct_parts(derivation, parameter)[0]


def direct_parts(derivation: Derivation, parameter: Expr) -> list[Expr]:
    """The parts, the loss among them, that the parameter enters without passing another part."""
    reached = {parameter}
    found = []
    for node in walk(derivation.of):
        if any(arg in reached for arg in node.args):
            if node in derivation.parts:
                found.append(node)
            else:
                reached.add(node)
    return found
