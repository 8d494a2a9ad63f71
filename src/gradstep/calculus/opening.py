"""How is a loss opened? Part by part, from the outside inwards: what arrives goes on to the operands."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from itertools import pairwise

from gradstep.calculus.compounds import RULE, Normalisation, normalisation
from gradstep.calculus.counting import length
from gradstep.calculus.repeats import Repeats, Stages
from gradstep.calculus.rewriting import Book, Fences, Law, Simplifier
from gradstep.calculus.shortening import named_product
from gradstep.calculus.steps import Line, Rewrite, Step, Term
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, describe, tree_size, walk
from gradstep.expression.places import place_of
from gradstep.operations.arithmetic import add
from gradstep.operations.families import pulled_back

BACK = "substituting back"
SUM = "sum over paths"
WRITTEN_OUT = 2_000  # nodes of a gradient in which intermediate variables are written out
HEAVY = 14  # a cotangent with more symbols than this is called by its name rather than written out
HEAVY_TWICE = 11  # the same for one that would be written out in several places


class Opening:
    """Opens `start`, whose cotangent is `G`, part by part down to `stops`; keeps the steps taken.

    What is `written` by the user is not made shorter: all of `start`, unless more is known.
    """

    def __init__(
        self,
        start: Expr,
        G: Expr,
        stops: set[Expr],
        moving: set[Expr],
        named: set[Expr],
        book: Book,
        held: Container[Expr] = (),
        written: frozenset[Expr] | None = None,
        repeats: Repeats | None = None,
    ) -> None:
        self.start, self.G, self.stops, self.moving, self.named = start, G, stops, moving, named
        self.held = held
        self.steps: list[Step] = []
        self.cotangents: dict[Expr, Expr] = {}
        self.fenced: dict[Expr, Expr] = {}  # a cotangent that is called by name -> the part it belongs to
        self.divided: dict[tuple[Expr, int], bool] = {}  # with so many names, by a quotient?
        self.pending: dict[Expr, dict[Expr, Expr]] = {}  # part -> what arrives there, by where it comes from
        self.book = book
        self.repeats = Repeats(start) if repeats is None else repeats
        self._fences = Fences(named)  # and what is in `fenced`
        self.written = frozenset(walk(start)) if written is None else written
        self.simplify = Simplifier(book, self._fences, written=self.written)
        self.quietly = Simplifier(book.quiet, self._fences, written=self.written)

    def run(self) -> None:
        if self.start not in self.moving:
            return
        self.pending[self.start] = {self.start: self.G}
        order = [node for node in self.below() if node in self.moving]
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

    def below(self) -> list[Expr]:
        """What lies beneath the start down to the stops, and past what opens as a whole; operands first."""
        through = set[Expr]()

        def stopped(node: Expr) -> bool:
            return node in self.stops and node not in through

        while True:
            found = [*walk(self.start, stop=stopped)]
            wholes = [whole for node in found if (whole := self.whole(node)) is not None]
            inner = {whole.inner for whole in wholes if whole.centred}
            if inner <= through:
                return found
            through |= inner

    def fence(self, G: Expr, node: Expr) -> None:
        """The cotangent `G` goes by the name of ∂C/∂node from here on."""
        self.fenced.setdefault(G, node)
        self.repeats.within(G, self._fences)
        self._fences.add(G)
        for simplifier in (self.simplify, self.quietly):
            simplifier.fenced()

    def collect(self, node: Expr, arrived: list[Expr]) -> Expr:
        """Several paths lead to `node`: what arrives along them is added."""
        total = arrived[0]
        for other in arrived[1:]:
            total = add(total, other)
        why = f"{len(arrived)} paths lead here: what arrives along them is added"
        (stages,) = self.tidied([total])
        self.tell(SUM, why, node, tuple((g, node) for g in arrived), [(node, stages)])
        return self.settle(node, stages)

    def open(self, node: Expr, G: Expr) -> None:
        """One step: ⟨G, d node⟩ becomes inner products with the differentials of its operands."""
        if node.op.adjoint is None:
            raise without_derivative(node)
        whole = self.whole(node)
        parts: dict[Expr, Expr] = {} if whole is None else {whole.x: whole.adjoint(G)}
        for arg, H in (
            () if whole else zip(node.args, pulled_back(G, node, self.moving, self.held), strict=True)
        ):
            if H is not None:
                parts[arg] = add(parts[arg], H) if arg in parts else H
        results = [*zip(parts, self.tidied([*parts.values()], G), strict=True)]
        rule, why = self.rule(node) if whole is None else (RULE, whole.why)
        self.tell(rule, why, node, ((G, node),), results, node.op.kink)
        for arg, stages in results:
            arrived = self.settle(arg, stages)
            if not is_zero(arrived):
                self.pending.setdefault(arg, {})[node] = arrived

    def tell(
        self,
        rule: str,
        why: str,
        node: Expr,
        before: Line,
        results: Sequence[tuple[Expr, Stages]],
        kink: str = "",
    ) -> None:
        """One step: what arrives where, tidied by quiet laws."""
        after = _terms(*((stages[0][0], arg) for arg, stages in results))
        details = tuple(rewrite for _, stages in results for rewrite in stages[0][1])
        self.steps.append(Step(rule, why, node, before, after, details, kink))

    def tidied(self, cotangents: Sequence[Expr], G: Expr | None = None) -> Sequence[Stages]:
        """The stages of all `cotangents`, which came from `G`; worked out once for layers that are alike."""
        roots = [*cotangents] if G is None else [*cotangents, G]
        return self.repeats(roots, self._fences, self.flags, lambda: [self.stages(H, G) for H in cotangents])

    def flags(self, node: Expr) -> object:
        """What a law, or a name, may count of a part beside what it is made of."""
        return node in self._fences, node in self.fenced, node in self.written, node is self.start

    def whole(self, node: Expr) -> Normalisation | None:
        """`node` as something that is opened as a whole, past what it is made of."""
        found = normalisation(node)
        return found if found is not None and found.opens(self.moving) else None

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

    def stages(self, H: Expr, G: Expr | None = None) -> Stages:
        """The cotangent `H` tidied by quiet laws, then once more by each law that wants a line of its own.

        Where `G`, the cotangent it came from, goes by a name, it is written out if that makes things cancel.
        """
        fences: Container[Expr] = self._fences
        final, rewrites, laws = self.simplify(H)
        seen = self.seen_through(H, G, final) if G in self.fenced else None
        if seen is not None:
            final, rewrites, laws = seen
            fences = _Except(self._fences, G)
        if all(law.quiet for law in laws):
            return [(final, tuple(rewrites), None)]
        tidy, rewrites, _ = self.quietly(H) if fences is self._fences else (H, [], [])
        found: Stages = [(tidy, tuple(rewrites), None)]
        while True:
            _, _, laws = Simplifier(self.book, fences, written=self.written)(tidy)
            loud = next((law for law in laws if not law.quiet), None)
            if loud is None:
                return found
            book = self.book.quiet_and(loud)
            tidy, rewrites, _ = Simplifier(book, fences, written=self.written)(tidy)
            found.append((tidy, tuple(rewrites), loud))

    def settle(self, node: Expr, stages: Stages) -> Expr:
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

    def seen_through(self, H: Expr, G: Expr, final: Expr) -> tuple[Expr, list[Rewrite], list[Law]] | None:
        """`H` simplified with the named `G` written out, if it is shorter: denominators may cancel."""
        if self.visible(G, 3 * HEAVY) > 3 * HEAVY:
            return None
        rest = _Except(self._fences, G)
        now = G, len(self._fences)
        if now not in self.divided:
            parts = walk(G, stop=rest.__contains__)
            self.divided[now] = any(part.op.name == "divide" and part.rank for part in parts)
        if not self.divided[now]:
            return None
        found = Simplifier(self.book, rest, written=self.written)(H)
        return found if self.visible(found[0]) < self.visible(final) else None

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
        below = set(self._until_named(node))
        if symbols > (HEAVY if len(below) < 2 else HEAVY_TWICE) or (symbols > 2 and self.whole(node)):
            return True
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
