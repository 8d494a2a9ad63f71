"""What is right, whatever a claim says? The derivatives of a loss, and of its parts, by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gradstep.calculus.derivation import derive, moving_nodes
from gradstep.calculus.forward import Forward
from gradstep.calculus.jacobians import book_of, jacobian
from gradstep.calculus.laws import zeros
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, replace, walk
from gradstep.expression.shapes import size_names
from gradstep.operations.evaluation import variables
from gradstep.operations.leaves import size, symbol_op

# What people call a loss; a name that means something else in this one is not meant.
LOSSES = ("C", "L", "J", "E", "ℓ", "loss", "cost", "f", "l", "Loss", "mathcalL")


@dataclass(frozen=True, slots=True)
class Subject:
    """What the lines of a chain are about.

    kind   "gradient" (∂C/∂part), "slope" (∂part/∂part), "change" (dC, d part), "part" (a part itself),
           "equation", or "definition", which gives a name
    name   as it is said: ∂C/∂w, dC, z
    part   the part; for a slope and an equation what the left side is worth
    entry  whether the left side has indices, so that `part` is the array that it is an entry of
    total  for a slope: the same when the parts between move too, where ∂ may mean both
    """

    kind: str
    name: str
    part: Expr | None = None
    entry: bool = False
    total: Expr | None = None


class Truths:
    """The right values of everything that a claim about `derivation` may speak of.

    `own` are the names that the text of the loss gave; others were chosen by gradstep, and a claim may use
    them for something else.
    """

    def __init__(self, derivation: Derivation, own: Mapping[Expr, str]) -> None:
        self.derivation, self.loss = derivation, derivation.of
        self.wrt = derivation.wrt
        self.variables = (
            dict(variables(self.loss))
            | dict(derivation.parameters)
            | {str(v.params[0]): v for v in derivation.directions.values()}
        )
        self.sizes = {
            name: size(name) for v in self.variables.values() for s in v.shape for name in size_names(s)
        }
        self.parts = {part.name: node for node, part in derivation.parts.items()}
        self.values: dict[str, Expr] = {**self.sizes, **self.parts, **self.variables}
        self.own = frozenset(own.values()) & self.parts.keys()
        whole = {part.name for node, part in derivation.parts.items() if node is self.loss}
        self.losses = frozenset((*LOSSES, *whole)) - (self.values.keys() - whole)
        self.moving = moving_nodes(self.loss, derivation.parameters.values())
        self._slopes: dict[tuple[Expr | None, Expr], Expr] = {}
        self._changes: dict[Expr, Expr] = {}

    def gradient(self, name: str) -> Subject:
        """∂C/∂name: a parameter or a part."""
        whole = next((n for n in self.losses if n in self.parts), "C") if self.loss.rank == 0 else "f"
        of = self.derivation.parts.get(self.loss)
        letter = of.name if of else whole
        second = (
            self.derivation.kind == "hessian" and self.values[name] in self.derivation.parameters.values()
        )
        return Subject(
            "gradient", f"∂²{letter}/∂{name}²" if second else f"∂{letter}/∂{name}", self.values[name]
        )

    def gradient_name(self, part: Expr | None) -> str:
        """∂C/∂z, however the claim calls it."""
        named = next((name for name, value in self.values.items() if value is part), "…")
        return self.gradient(named).name if named in self.values else f"the gradient of {named}"

    def moves(self, part: Expr) -> bool:
        """Whether the loss can depend on it."""
        return part in self.moving or part in self.variables.values()

    def truth(self, subject: Subject) -> Expr | None:
        """What a line about this should be worth; None for a name that the claim gives."""
        part = subject.part
        if subject.kind == "definition" or part is None:
            return None
        if subject.kind == "gradient" and not subject.entry:
            return self.slope(None, part)
        return self.change(part) if subject.kind == "change" else part

    def slope(self, of: Expr | None, by: Expr) -> Expr:
        """∂of/∂by, with the axes of `of`, then those of `by`; None is the loss. Others stand still."""
        of = None if of is self.loss else of
        key = (of, by)
        if key not in self._slopes:
            self._slopes[key] = self._slope(of, by)
        return self._slopes[key]

    def _slope(self, of: Expr | None, by: Expr) -> Expr:
        """∂of/∂by: where `by` stands in a part directly, other parts that it is made of stand still."""
        fences = {*self.derivation.parts} - {of, by}
        if of is None or of not in self.derivation.parts:
            return self.total(of, by)
        inside = list(walk(of, stop=fences.__contains__))
        if by not in inside or not (between := [node for node in inside if node in fences]):
            return self.total(of, by)
        table = {node: symbol_op(params=(f"•{k}", node.shape, ())) for k, node in enumerate(between)}
        slope = self.total(replace(of, table), by)
        return replace(slope, {still: node for node, still in table.items()})

    def total(self, of: Expr | None, by: Expr) -> Expr:
        """∂of/∂by, everything between moving with it."""
        derivation = self.derivation
        if of is None:
            for name, parameter in derivation.parameters.items():
                if parameter is by:
                    return derivation.answers[name]
            if by in derivation.cotangents:
                return derivation.cotangents[by]
        f = self.loss if of is None else of
        if f is by and not f.rank:
            raise MathError("the derivative of a thing by itself is 1")
        free = symbol_op(params=("•", by.shape, ()))
        inside = replace(f, {by: free}) if f is not by else f
        if free not in set(walk(inside)):
            return zeros(by) if not f.rank else jacobian(f, by, certify=False).answers[str(by.params[0])]
        made = jacobian if f.rank else derive
        (answer,) = made(inside, free, certify=False).answers.values()
        return replace(answer, {free: by})

    def change(self, part: Expr) -> Expr:
        """d part, when the parameters move by dw, db …"""
        if part not in self._changes:
            parameters = self.derivation.parameters
            given = {p: symbol_op(params=(f"d{name}", p.shape, ())) for name, p in parameters.items()}
            if part in given:
                return given[part]
            forward = Forward([part], list(parameters.values()), (), book_of(self.derivation))
            self._changes[part] = forward.whole(part, forward.changes(), given)
        return self._changes[part]
