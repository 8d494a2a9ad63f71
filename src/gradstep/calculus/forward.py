"""How does an array move when a variable moves? Forward, part by part, and the Jacobian that is read off.

The differential of a part is linear in the differentials of the parts that it is made of: dz = W dx,
da = (1 − a²) ⊙ dz. What stands before dx when all is put together is the Jacobian ∂f/∂x (Magnus and
Neudecker, "Matrix Differential Calculus", chapter 5). A Hessian is the Jacobian of the gradient.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from functools import reduce

from gradstep.calculus.derivation import moving_nodes
from gradstep.calculus.laws import zeros
from gradstep.calculus.networks import Network, Terms
from gradstep.calculus.rewriting import Book, Simplifier
from gradstep.calculus.steps import Change, Rewrite
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, describe, replace, walk
from gradstep.expression.records import replaced
from gradstep.operations.arithmetic import add, scale
from gradstep.operations.leaves import eye_op, symbol_op
from gradstep.operations.products import matmul, outer

MATRIX = 2  # axes: what has more has no matrix notation


def marker(part: Expr, k: int) -> Expr:
    """The symbol d part: how a part moves; `k` tells it from others."""
    return symbol_op(params=(f"•{k}", part.shape, ()))


class Forward:
    """How the parts of `targets` move with the variables in `sources`; what is in `parts` has a name.

    Raises `MathError` where an operation has no derivative rule.
    """

    def __init__(
        self, targets: Sequence[Expr], sources: Sequence[Expr], parts: Collection[Expr], book: Book
    ) -> None:
        self.targets, self.sources = targets, sources
        self.moving = set().union(*(moving_nodes(target, sources) for target in targets))
        self.parts = {part for part in parts if part not in targets}
        self.tidy = Simplifier(book, self.parts, written=frozenset(walk(*targets)))
        self.markers: dict[Expr, Expr] = {}

    # ------------------------------------------------------------------------------------ part by part

    def marker(self, part: Expr) -> Expr:
        """The symbol d part."""
        return self.markers.setdefault(part, marker(part, len(self.markers)))

    def changes(self) -> tuple[Change, ...]:
        """How every named part moves, and the targets themselves, in the order in which they are made."""
        ends = {*self.parts, *self.sources}
        shown = {*self.parts, *self.targets} - {*self.sources}
        order = [node for node in walk(*self.targets) if node in self.moving and node in shown]
        found = [self.change(part, ends - {part}) for part in order]
        still = {change.part for change in found if change.form is None}
        return tuple(change for change in found if change.part not in still or change.part in self.targets)

    def change(self, part: Expr, ends: Container[Expr]) -> Change:
        """How `part` moves when the parts in `ends` do that it is made of."""
        moves: dict[Expr, Expr | None] = {}
        rules: dict[tuple[str, str], None] = {}
        kinks: dict[str, None] = {}
        details: list[Rewrite] = []
        opened: list[Expr] = []
        tidy = self.tidy.afresh()  # what laws make of this part is told here too, wherever else they have
        for node in walk(part, stop=lambda node: node in ends):
            if node in ends:
                moves[node] = self.marker(node) if node in self.moving else None
                continue
            changes = [moves.get(arg) for arg in node.args]
            if all(change is None for change in changes):
                moves[node] = None
                continue
            moves[node] = None
            moved, rewrites, _ = tidy(differential(node, changes))
            if not is_nothing(moved):
                moves[node] = moved
                details += rewrites
                opened.append(node)
        for node in reversed(opened):
            rules[told(node, moves)] = None
            if node.op.kink:
                kinks[node.op.kink] = None
        places = tuple((n, tuple(a for a in n.args if moves.get(a) is not None)) for n in reversed(opened))
        form = moves[part]
        by = tuple(n for n, change in moves.items() if n in self.markers and change is self.markers[n])
        by = () if form is None else tuple(n for n in by if self.markers[n] in set(walk(form)))
        markers = tuple(self.markers[n] for n in by)
        return Change(part, by, markers, form, tuple(rules), "; ".join(kinks), tuple(details), places)

    def whole(self, target: Expr, changes: Sequence[Change], given: Mapping[Expr, Expr]) -> Expr:
        """How `target` moves when the sources move as `given` says: all changes put together."""
        moves: dict[Expr, Expr] = dict(given)
        for change in changes:
            if change.form is not None:
                table = dict(zip(change.markers, (moves.get(n, zeros(n)) for n in change.by), strict=True))
                moves[change.part] = self.tidy(replace(change.form, table))[0]
        return moves.get(target, zeros(target))

    def together(self, changes: Sequence[Change]) -> tuple[Change, ...]:
        """How each target moves with the variables themselves, where parts stand between."""
        given = {x: self.marker(x) for x in self.sources}
        found = []
        for change in changes:
            if change.part in self.targets and any(n in self.parts for n in change.by):
                form = self.whole(change.part, changes, given)
                by = tuple(x for x in self.sources if given[x] in set(walk(form)))
                markers = tuple(given[x] for x in by)
                found.append(replaced(change, by=by, markers=markers, form=form, rules=(), kink=""))
        return tuple(found)

    # ------------------------------------------------------------------------------------ arrays

    def jacobian(self, target: Expr, source: Expr) -> Expr | None:
        """∂target/∂source: the axes of the target, then those of the source. None where nothing moves."""
        return Accumulation(self, source, set(self.sources)).array(target)

    def local(self, change: Change, by: Expr) -> Expr | None:
        """∂part/∂by, as long as nothing else moves that the part is made of; None where it is zero."""
        return Accumulation(self, by, {*self.parts, *self.sources}).array(change.part)


class Accumulation:
    """The arrays ∂node/∂source, node by node; parts in `ends` other than the source stand still."""

    def __init__(self, forward: Forward, source: Expr, ends: Container[Expr]) -> None:
        self.forward, self.source, self.ends = forward, source, ends
        self.network = Network(source, forward.parts)
        self.arrays: dict[Expr, Expr | None] = {}
        self.terms: dict[Expr, Terms] = {source: self.network.identity()}

    def array(self, target: Expr) -> Expr | None:
        for node in walk(target, stop=lambda node: node in self.ends and node is not target):
            if node in self.ends and node is not target:
                continue
            moving = [arg for arg in node.args if self.terms.get(arg)]
            if moving:
                self.step(node, list(dict.fromkeys(moving)))
        if target is self.source:
            return self.network.written(self.network.identity())
        if target in self.arrays or not self.terms.get(target):
            return self.arrays.get(target)
        written = self.network.written(self.terms[target])
        return None if written is None else self.forward.tidy(written)[0]

    def step(self, node: Expr, moving: Sequence[Expr]) -> None:
        """One node, from the nodes that it is made of."""
        markers = {arg: marker(arg, 1000 + k) for k, arg in enumerate(moving)}
        form = differential(node, [markers.get(arg) for arg in node.args])
        form = self.forward.tidy(form)[0]
        if is_nothing(form):
            return
        small = all(x.rank < MATRIX for x in (node, self.source, *moving))
        J = self.chained(form, moving, markers) if small else None
        if J is None:
            terms = self.network.map(form, {markers[arg]: self.terms[arg] for arg in moving})
            self.terms[node] = terms
            if node.rank + self.source.rank > MATRIX:
                return
            J = self.network.written(terms)
        J = None if J is None else self.forward.tidy(J)[0]
        self.arrays[node] = J
        self.terms[node] = () if J is None else self.network.array(J)

    def chained(self, form: Expr, moving: Sequence[Expr], markers: Mapping[Expr, Expr]) -> Expr | None:
        """The chain rule with matrices: the sum of ∂node/∂arg ∂arg/∂source."""
        found = []
        for arg in moving:
            own = Network(markers[arg], self.forward.parts)
            others: dict[Expr, Terms] = {m: () for m in markers.values()}
            outer = own.written(own.map(form, {**others, markers[arg]: own.identity()}))
            if outer is None:
                continue
            outer = self.forward.tidy(outer)[0]
            inner = self.arrays.get(arg)
            chained = outer if inner is None else composed(outer, inner, arg.rank)
            if chained is None:
                return None
            found.append(chained)
        return reduce(add, found) if found else None


def differential(node: Expr, changes: Sequence[Expr | None]) -> Expr:
    """How `node` moves when its operands move by `changes`, by the rule of its operation."""
    if node.op.differential is None:
        raise MathError(
            f"{node.op.name} has no derivative rule",
            facts=[f"in {describe(node)}"],
            mend="another function in its place",
        )
    return node.op.differential(node, node.args, changes)


def told(node: Expr, moves: Mapping[Expr, Expr | None]) -> tuple[str, str]:
    """The rule of a node as it reads forward, when some of its operands stand still."""
    places = [k for k, arg in enumerate(node.args) if moves.get(arg) is not None]
    rule, why = (node.op.rule, node.op.why) if node.op.told is None else node.op.told(node, places)
    if node.op.indices is None:
        return rule, why
    if len(places) > 1:
        return rule, "each factor moves while the others stand still: d(A B) = dA B + A dB"
    return rule, "linear in what moves: the differential goes inside" if len(node.args) == 1 else (
        "what does not move stays where it stands: d(A x) = A dx"
    )


def is_nothing(change: Expr) -> bool:
    """Whether a change is written as zero."""
    inner = change.args[0] if change.op.name == "repeat" else change
    return inner.op.name == "number" and inner.params[0] == 0


def composed(outer_map: Expr, inner_map: Expr, middle: int) -> Expr | None:
    """The array of one linear map after another, where both are vectors or matrices: the chain rule.

    `middle` is the number of axes in between (0 or 1). None where it takes more than two axes to say it.
    """
    if middle == 0:
        if not outer_map.rank:
            return scale(outer_map, inner_map)
        if not inner_map.rank:
            return scale(inner_map, outer_map)
        if outer_map.rank == inner_map.rank == 1:
            return outer(outer_map, inner_map)
        return None
    if outer_map.op is eye_op:
        return inner_map
    if inner_map.op is eye_op:
        return outer_map
    return matmul(outer_map, inner_map) if outer_map.rank <= 2 and inner_map.rank <= 2 else None
