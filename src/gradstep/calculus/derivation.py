"""How is a gradient derived? Open the loss part by part, from the outside inwards, one rule a step.

The line dC = Σ ⟨G, dN⟩ is the frontier of reverse mode: opening N replaces ⟨G, dN⟩ by inner products with the
differentials of N's operands, by the adjoint that N's operation declares. When only parameters are left, what
stands beside dw is ∂C/∂w. The steps are the algorithm; there is no second engine.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from itertools import pairwise

from gradstep.calculus.assumptions import believing, facts_of
from gradstep.calculus.certificate import certify as certify_lines
from gradstep.calculus.counting import length
from gradstep.calculus.duals import STANDING_STILL
from gradstep.calculus.laws import Facts, book_with, zeros
from gradstep.calculus.naming import measures, named_parts
from gradstep.calculus.recognising import Recognition
from gradstep.calculus.remarks import defined_where, loss_name, stillness
from gradstep.calculus.rewriting import Book, Fences, Law, Simplifier
from gradstep.calculus.shortening import named_product
from gradstep.calculus.steps import Derivation, Line, Rewrite, Step, Term
from gradstep.calculus.structures import Inside, structure_of
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, describe, rebuild, tree_size, walk
from gradstep.expression.places import place_of
from gradstep.expression.shapes import shape_text
from gradstep.expression.shapes import size_names as names_of_size
from gradstep.operations.arithmetic import add, negate_op
from gradstep.operations.choices import where_op
from gradstep.operations.evaluation import belongs, variables
from gradstep.operations.families import pulled_back
from gradstep.operations.impossibilities import nowhere
from gradstep.operations.leaves import number, symbol_op
from gradstep.operations.lookups import lookups

BACK = "substituting back"
MOST_OPERATIONS = 10_000  # of a formula; a layer of a network has about five
WRITTEN_OUT = 2_000  # nodes of a gradient in which intermediate variables are written out
HEAVY = 14  # a cotangent with more symbols than this is called by its name rather than written out


def derive(
    loss: Expr,
    wrt: str | Expr | Sequence[str | Expr],
    *,
    names: Mapping[Expr, str] | None = None,
    structure: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
    again: bool = False,
    certify: bool = True,
    seed: int | None = None,
) -> Derivation:
    """The gradient of a scalar `loss` with respect to the variables `wrt`, step by step.

    `structure` says inside which structure a parameter moves ("symmetric", "diagonal", "toeplitz", "symmetric
    toeplitz"): its gradient is then that of its independent entries.
    `names` calls parts of the loss by names of your own; other parts worth a name get one, unless `only` says
    which names there may be. A gradient that is differentiated `again` is not shortened by what is assumed of
    its variables: Y may be symmetric, but its entries move one by one. One that is shortened says so.
    Every line is checked exactly (`certify=False` leaves that out); a derivation whose check fails raises
    `MathError`.
    Raises `MathError` when the loss is not a number, a name is unknown, or an operation has no derivative.
    """
    _check(loss)
    known = variables(loss)
    read = Recognition(loss, own=loss in (names or {}))
    loss = belongs(read.expr, known)
    names = {read.of(part): name for part, name in (names or {}).items()}
    parameters = chosen_parameters(wrt, known)
    moving = moving_nodes(loss, parameters.values())
    check_defined(loss, moving)
    parts = named_parts(loss, moving, names, {*known, *size_names(known.values())}, only)
    named = {part for part in parts if part is not loss}

    def opening(facts: Facts) -> tuple[Opening, dict[str, Expr]]:
        """The loss opened down to the parameters, and what then stands beside each."""
        opened = Opening(loss, number(1), set(parameters.values()), moving, named, book_with(facts))
        opened.run()
        if measures(loss):
            opened.shorten()
        else:
            opened.substitute_back()
        found = {name: opened.cotangents.get(variable) for name, variable in parameters.items()}
        return opened, {name: zeros(parameters[name]) if G is None else G for name, G in found.items()}

    opened, answers, shortened = believing(opening, known, parameters, again)
    answers = {name: belongs(answer, known) for name, answer in answers.items()}
    structures = insides(structure, parameters, answers)
    for name, inside in structures.items():
        answers[name] = belongs(opened.simplify(inside.structure.gradient(answers[name]))[0], known)
    derivation = Derivation(
        of=loss,
        wrt=tuple(parameters),
        parameters=parameters,
        steps=tuple(opened.steps),
        answers=answers,
        cotangents=opened.cotangents,
        fences=opened.fenced,
        parts=parts,
        structures=structures,
        assumptions={str(v.params[0]): fact for v, fact in facts_of(known.values())},
        notes=tuple(
            stillness(loss_name(parts, loss), loss, name, variable, "gradient")
            for name, variable in parameters.items()
            if variable not in opened.cotangents
        )
        + defined_where(loss, moving, parts)
        + shortened,
        recognised=read.rewrites,
    )
    if certify:
        derivation.certificate = certify_lines(derivation, seed=seed)
        if derivation.certificate.verdict is False:
            raise MathError(
                "this derivation failed its own check, so it is not shown",
                facts=[str(derivation.certificate)],
                mend="reporting this loss to the authors of gradstep",
            )
    return derivation


def insides(
    structure: Mapping[str, str] | None, parameters: Mapping[str, Expr], answers: Mapping[str, Expr]
) -> dict[str, Inside]:
    """The parameters that move inside a structure, checked."""
    found: dict[str, Inside] = {}
    if structure is None:
        return found
    if not isinstance(structure, Mapping):
        raise MathError("a structure is given by name", mend='structure={"X": "symmetric"}')
    for name, kind in structure.items():
        if name not in parameters:
            raise MathError(
                f"{name!s:.60} has a structure, but is no parameter",
                facts=[f"the parameters are {', '.join(parameters)}"],
            )
        structure_of(name, kind, parameters[name])
        found[name] = Inside(kind, answers[name])
    return found


def check_defined(formula: Expr, moving: Container[Expr]) -> None:
    """A `MathError` about a part that has no value whatever the variables are: why, and where it stands.

    Also about a part in `moving` that has no slope: √(−x²).
    """
    without_slope = nowhere(formula, moving)
    if without_slope is None:
        return
    without_value = nowhere(formula)
    node, operand, asks = without_value or without_slope
    u = describe(operand)
    turned = operand.args[0] if operand.op is negate_op else -operand
    other = rebuild(node, [turned if arg is operand else arg for arg in node.args])
    what = "value" if without_value else "slope"
    error = MathError(
        f"{describe(node)} is nowhere defined"
        if without_value
        else f"{describe(node)} has no slope anywhere",
        facts=[f"{u} is 0" if asks is None else f"it has a {what} where {asks(u)}, which is never so"],
        mend="another operand"
        if nowhere(other, {other, *other.args})
        else f"{describe(other)}, if the sign of {u} is a slip",
    )
    place = place_of(node)
    raise error if place is None else error.at(*place)


def _check(loss: object) -> None:
    """A loss is an expression that is a number."""
    if not isinstance(loss, Expr):
        raise MathError(
            f"derive takes an expression, not {type(loss).__name__}", mend='gs.parse(text, X="N d", …)'
        )
    if loss.rank:
        raise MathError(
            f"a gradient belongs to a number, but this is {shape_text(loss.shape)}",
            mend=f"mean({loss}) or sum({loss})" if len(str(loss)) < 60 else "its mean or its sum",
        )


def chosen_parameters(wrt: str | Expr | Iterable[str | Expr], known: Mapping[str, Expr]) -> dict[str, Expr]:
    """The variables that `wrt` names, in its order."""
    asked = list(wrt) if isinstance(wrt, Iterable) and not isinstance(wrt, str | Expr) else [wrt]
    chosen: dict[str, Expr] = {}
    for one in asked:
        name = str(one.params[0]) if isinstance(one, Expr) and one.op is symbol_op else one
        if not isinstance(name, str) or name not in known:
            raise MathError(
                f"there is no variable {name} here", facts=[f"the variables are {', '.join(sorted(known))}"]
            )
        chosen[name] = known[name]
    if not chosen:
        raise MathError("with respect to what?", mend=f'wrt="{next(iter(known), "w")}"')
    return chosen


def size_names(symbols: Iterable[Expr]) -> set[str]:
    return {name for s in symbols for size in s.shape for name in names_of_size(size)}


def moving_nodes(loss: Expr, parameters: Iterable[Expr]) -> set[Expr]:
    """The nodes that depend on a parameter, which should not hold whole numbers that look something up."""
    moving = set(parameters)
    for places in lookups(walk(loss)):
        if places in moving:
            raise MathError(
                f"there is no derivative with respect to {places.params[0]}: it holds whole numbers",
                facts=[f"{places.params[0]} says which rows are looked up"],
            )
    for count, node in enumerate(walk(loss)):
        if count >= MOST_OPERATIONS:
            raise MathError(f"a formula of more than {MOST_OPERATIONS:,} operations is not derived")
        if any(arg in moving for arg in node.args):
            moving.add(node)
            if node.op is where_op:
                _check_choice(node.args[0], moving)
    return moving


def _check_choice(condition: Expr, moving: set[Expr]) -> None:
    """A condition that moves jumps from 0 to 1: a comparison does, where a number in between would choose."""
    for node in walk(condition, stop=lambda node: node not in moving or node.op in STANDING_STILL):
        if node in moving and node.op not in STANDING_STILL and not node.args:
            raise MathError(
                f"a condition only chooses, but {describe(condition)} moves with {node.params[0]}",
                facts=["a condition is taken for 0 or 1, and no slope passes through it"],
                mend=f"a comparison, such as {describe(condition)} > 0",
            )


Stage = tuple[Expr, tuple[Rewrite, ...], Law | None]  # a cotangent, how it got there, by which law


class Opening:
    """Opens `start`, whose cotangent is `G`, part by part down to `stops`; keeps the steps taken."""

    def __init__(
        self,
        start: Expr,
        G: Expr,
        stops: set[Expr],
        moving: set[Expr],
        named: set[Expr],
        book: Book,
        held: Container[Expr] = (),
    ) -> None:
        self.start, self.G, self.stops, self.moving, self.named = start, G, stops, moving, named
        self.held = held
        self.steps: list[Step] = []
        self.cotangents: dict[Expr, Expr] = {}
        self.fenced: dict[Expr, Expr] = {}  # a cotangent that is called by name -> the part it belongs to
        self.divided: dict[tuple[Expr, int], bool] = {}  # with so many names, by a quotient?
        self.pending: dict[Expr, dict[Expr, Expr]] = {}  # part -> what arrives there, by where it comes from
        self.book = book
        self._fences = Fences(named)  # and what is in `fenced`
        self.written = frozenset(walk(start))
        self.simplify = Simplifier(book, self._fences, written=self.written)
        self.quietly = Simplifier(book.quiet, self._fences, written=self.written)

    def run(self) -> None:
        if self.start not in self.moving:
            return
        self.pending[self.start] = {self.start: self.G}
        order = [node for node in walk(self.start, stop=self.stops.__contains__) if node in self.moving]
        place = {node: k for k, node in enumerate(_as_read(self.start, self.stops))}
        for node in reversed(order):
            paths = self.pending.pop(node, None)
            if not paths:
                continue
            arrived = [paths[source] for source in sorted(paths, key=place.__getitem__)]
            G = arrived[0] if len(arrived) == 1 else self.collect(node, arrived)
            self.cotangents[node] = G
            if node in self.named and self.deserves_name(node, G):
                self.fence(G, node)
            if node not in self.stops and not is_zero(G):
                self.open(node, G)

    def fence(self, G: Expr, node: Expr) -> None:
        """The cotangent `G` goes by the name of ∂C/∂node from here on."""
        self.fenced.setdefault(G, node)
        self._fences.add(G)
        for simplifier in (self.simplify, self.quietly):
            simplifier.fenced()

    def collect(self, node: Expr, arrived: list[Expr]) -> Expr:
        """Several paths lead to `node`: what arrives along them is added."""
        total = arrived[0]
        for other in arrived[1:]:
            total = add(total, other)
        stages = self.stages(total)
        tidy, details, _ = stages[0]
        why = f"{len(arrived)} paths lead here: what arrives along them is added"
        before = tuple((g, node) for g in arrived)
        self.steps.append(Step("sum over paths", why, node, before, _terms((tidy, node)), details))
        return self.settle(node, stages)

    def open(self, node: Expr, G: Expr) -> None:
        """One step: ⟨G, d node⟩ becomes inner products with the differentials of its operands."""
        if node.op.adjoint is None:
            raise without_derivative(node)
        parts: dict[Expr, Expr] = {}
        for arg, H in zip(node.args, pulled_back(G, node, self.moving, self.held), strict=True):
            if H is not None:
                parts[arg] = add(parts[arg], H) if arg in parts else H
        results = [(arg, self.stages(H, G)) for arg, H in parts.items()]
        rule, why = self.rule(node)
        after = _terms(*((stages[0][0], arg) for arg, stages in results))
        details = tuple(rewrite for _, stages in results for rewrite in stages[0][1])
        self.steps.append(Step(rule, why, node, ((G, node),), after, details, node.op.kink))
        for arg, stages in results:
            arrived = self.settle(arg, stages)
            if not is_zero(arrived):
                self.pending.setdefault(arg, {})[node] = arrived

    def substitute_back(self) -> None:
        """The names of parts are given up at the end: what the laws can do then is one more step."""
        simplifier = Simplifier(self.book, ())
        for variable in [node for node in self.cotangents if node in self.stops]:
            G = self.cotangents[variable]
            if tree_size(G) > WRITTEN_OUT:
                continue
            after, rewrites, _ = simplifier.afresh()(G)
            if after is not G:
                rule, why = BACK, "each intermediate variable is written out, then simplified"
                before, now = ((G, variable),), _terms((after, variable))
                self.steps.append(Step(rule, why, variable, before, now, tuple(rewrites)))
                self.cotangents[variable] = after

    def shorten(self) -> None:
        """∂C/∂w with other cotangents written out, and C called by its name, where that is shorter."""
        by_name = named_product(self.start)
        book = self.book if by_name is None else self.book.and_last(by_name)
        fences, names = Fences({*self.named, self.start}), {*self._fences, self.start}
        simplifier, lengths = Simplifier(book, fences, written=self.written), dict[Expr, int]()
        for variable in [node for node in self.cotangents if node in self.stops]:
            G = self.cotangents[variable]
            if self.symbols(G, fences, 5 * HEAVY) > 5 * HEAVY:
                continue
            after, rewrites, _ = simplifier.afresh()(G)
            called = {node for node in walk(G, stop=self.named.__contains__) if node in self.fenced}
            whole = sum(length(part, names, lengths) for part in {G, *called})
            if length(after, fences, simplifier.lengths) + 1 < whole:
                before, now = ((G, variable),), _terms((after, variable))
                told = (BACK, "cotangents that have a name are written out, and things cancel")
                if by_name is not None and self.start in set(walk(after)):
                    told = (by_name.name, by_name.why)
                self.steps.append(Step(*told, variable, before, now, tuple(rewrites)))
                self.cotangents[variable] = after

    def stages(self, H: Expr, G: Expr | None = None) -> list[Stage]:
        """The cotangent `H` tidied by quiet laws, then once more by each law that wants a line of its own.

        Where `G`, the cotangent it came from, goes by a name, it is written out if that makes things cancel.
        """
        fences: Container[Expr] = self._fences
        final, rewrites, laws = self.simplify(H)
        seen = self.seen_through(H, G) if G in self.fenced else None
        if seen is not None and self.visible(seen[0]) < self.visible(final):
            final, rewrites, laws = seen
            fences = _Except(self._fences, G)
        if all(law.quiet for law in laws):
            return [(final, tuple(rewrites), None)]
        tidy, rewrites, _ = self.quietly(H) if fences is self._fences else (H, [], [])
        found: list[Stage] = [(tidy, tuple(rewrites), None)]
        while True:
            _, _, laws = Simplifier(self.book, fences, written=self.written)(tidy)
            loud = next((law for law in laws if not law.quiet), None)
            if loud is None:
                return found
            book = Book(law for law in self.book.laws if law.quiet or law is loud)
            tidy, rewrites, _ = Simplifier(book, fences, written=self.written)(tidy)
            found.append((tidy, tuple(rewrites), loud))

    def settle(self, node: Expr, stages: list[Stage]) -> Expr:
        """A step for each law that wants a line of its own; the cotangent of `node` after the last."""
        for (before, _, _), (after, details, law) in pairwise(stages):
            assert law is not None
            self.steps.append(
                Step(law.name, law.why, node, ((before, node),), _terms((after, node)), details)
            )
        return stages[-1][0]

    def rule(self, node: Expr) -> tuple[str, str]:
        """The rule that opens `node`, told as it reads when some of its operands stand still."""
        if node.op.told is None:
            return node.op.rule, node.op.why
        return node.op.told(node, [place for place, arg in enumerate(node.args) if arg in self.moving])

    def seen_through(self, H: Expr, G: Expr) -> tuple[Expr, list[Rewrite], list[Law]] | None:
        """`H` simplified with the named cotangent `G` written out: denominators may cancel."""
        if self.visible(G, 3 * HEAVY) > 3 * HEAVY:
            return None
        rest = _Except(self._fences, G)
        now = G, len(self._fences)
        if now not in self.divided:
            parts = walk(G, stop=rest.__contains__)
            self.divided[now] = any(part.op.name == "divide" and part.rank for part in parts)
        if not self.divided[now]:
            return None
        return Simplifier(self.book, rest, written=self.written)(H)

    def visible(self, expr: Expr, most: int = 10 * HEAVY) -> int:
        """How many symbols a reader sees, with names for what has names; no more than `most` and one."""
        return self.symbols(expr, self._fences, most)

    def symbols(self, expr: Expr, fences: Container[Expr], most: int) -> int:
        """How many symbols a reader sees, with names for these parts."""
        count, stack, start = 1, [*expr.args], self.start
        while stack and count <= most:
            node = stack.pop()
            count += 1
            if node.args and not (node is start or node in fences):
                stack += node.args
        return count

    def deserves_name(self, node: Expr, G: Expr) -> bool:
        """Whether ∂C/∂node is used by name from here on, rather than written out.

        It is when it is long, and in a deep network where it leads to a parameter: where it uses such a name
        itself (other than as −∂C/∂e), or leads also, through a product with a parameter, to an earlier part.
        """
        if not G.args:  # a name would hide that it is I
            return False
        symbols = self.visible(G, HEAVY)
        if symbols > HEAVY:
            return True
        below = set(self._until_named(node))
        if not any(arg in self.stops for arg in below):
            return False
        if any(arg in self.named for arg in below):
            return True
        return symbols > 2 and any(part in self.fenced for part in walk(G, stop=self._fences.__contains__))

    def _until_named(self, node: Expr) -> Iterable[Expr]:
        """The moving parts that `node` is made of directly: named ones and parameters."""
        stack = [arg for arg in node.args if arg in self.moving]
        while stack:
            part = stack.pop()
            if part in self.named or part in self.stops:
                yield part
            else:
                stack += [arg for arg in part.args if arg in self.moving]


def _as_read(start: Expr, stops: Container[Expr]) -> Iterable[Expr]:
    """Every node once, in the order in which a reader meets it: what uses a part before the part."""
    seen: set[Expr] = set()
    stack = [start]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            yield node
            if node not in stops or node is start:
                stack.extend(reversed(node.args))


def without_derivative(node: Expr) -> MathError:
    """The error about a part that moves and has no derivative: which, why, and where it stands."""
    error = MathError(
        f"{node.op.name} has no derivative: {node.op.why}",
        facts=[f"in {describe(node)}"],
        mend=f"a smooth function in place of {node.op.name}, or {node.op.name} of what does not move",
    )
    place = place_of(node)
    return error if place is None else error.at(*place)


def _terms(*terms: Term) -> Line:
    """The terms that are not written as zero."""
    return tuple(term for term in terms if not is_zero(term[0]))


def is_zero(expr: Expr) -> bool:
    """Whether `expr` is written as zero."""
    inner = expr.args[0] if expr.op.name == "repeat" else expr
    return inner.op.name == "number" and inner.params[0] == 0


class _Except:
    """Membership in a collection, one item left out."""

    def __init__(self, items: Container[object], out: object) -> None:
        self.items, self.out = items, out

    def __contains__(self, item: object) -> bool:
        return item is not self.out and item in self.items
