"""Has this been worked out before, about other symbols? Every layer asks the laws what the first one asked.

What the laws make of a cotangent depends on what it looks like down to the named parts in it, on what these
are made of, on which parts of the loss can be made of the same things, and on what is known of a part however
deep it reaches: between which numbers its entries lie, and whether it is symmetric. Where all of that is the
same but for the symbols, so is the answer: it is read off the one that is known, with its symbols renamed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import islice

from gradstep.calculus.cotangents import cotangent_op
from gradstep.calculus.laws import SYMMETRIC
from gradstep.calculus.rewriting import Law
from gradstep.calculus.steps import Rewrite
from gradstep.calculus.symmetry import Mirror
from gradstep.expression.node import Expr, walk
from gradstep.operations.leaves import symbol_op
from gradstep.operations.ranges import Range, range_of

Stage = tuple[Expr, tuple[Rewrite, ...], Law | None]  # a cotangent, how it got there, by which law
Stages = list[Stage]
Tidied = Sequence[Stages]  # for each of several cotangents

LARGEST = 120  # parts that are compared
FEW = 150  # parts of a loss in which hardly anything repeats
SYMBOLS = frozenset({symbol_op, cotangent_op})


class Repeats:
    """What the laws made of cotangents of `loss`, by what they looked like."""

    def __init__(self, loss: Expr) -> None:
        self.known: dict[object, tuple[list[Expr], Tidied] | None] = {}
        self.users: dict[Expr, list[tuple[Expr, ...]]] = {}  # a part: what is made of it, and what else of
        self.noted = set[Expr]()
        self.ranges: dict[Expr, Range] = {}
        self.facts: dict[Expr, int] = {}
        self.numbers: dict[object, int] = {}
        self.deep = sum(1 for _ in islice(walk(loss), FEW)) >= FEW
        parts = tuple(walk(loss)) if self.deep else ()
        self.mirror = Mirror(
            {x for x in parts if x.op is symbol_op and not SYMMETRIC.isdisjoint(x.params[2])}
        )
        for part in parts:
            self.note(part)
            self.mirror.learn(part)

    def note(self, part: Expr) -> None:
        """There is this part, which a law may meet; looked for by the operand by which fewest are so far."""
        if part.args and part not in self.noted:
            self.noted.add(part)
            fewest = min(part.args, key=lambda arg: len(self.users.get(arg, ())))
            self.users.setdefault(fewest, []).append((part, *[arg for arg in part.args if arg is not fewest]))

    def within(self, G: Expr, fences: Container[Expr]) -> None:
        """There is also what `G`, a cotangent that goes by a name from here on, is made of."""
        for part in walk(G, stop=fences.__contains__) if self.deep else ():
            self.note(part)

    def __call__(
        self,
        roots: Sequence[Expr],
        fences: Container[Expr],
        flags: Callable[[Expr], object],
        work: Callable[[], Tidied],
    ) -> Tidied:
        """What `work` makes of `roots`, in sight of `fences`; `flags` are what else counts of a part."""
        if not self.deep:
            return work()
        nodes, ends = self.surroundings(roots, fences)
        if len(nodes) > LARGEST:
            return work()
        key = _look(nodes, roots, ends, flags), *map(self.deeply, nodes)
        if key in self.known:
            kept = self.known[key]
            return work() if kept is None else _renamed(kept[1], dict(zip(kept[0], nodes, strict=True)))
        made = work()
        said = walk(*_exprs(made), stop=nodes.__contains__)
        about_these = all(node in nodes or node.op not in SYMBOLS for node in said)
        self.known[key] = (list(nodes), made) if about_these else None
        return made

    def deeply(self, node: Expr) -> int:
        """What a law may know of a part by all that it is made of: is it symmetric, where are its values?

        The same number for the same.
        """
        if node not in self.facts:
            for part in walk(node, stop=self.ranges.__contains__):
                if part not in self.ranges:
                    self.ranges[part] = range_of(part, [self.ranges[arg] for arg in part.args])
            square = node.args and node.rank == 2 and node.shape[0] == node.shape[1]
            fact = self.ranges[node], bool(square) and self.mirror.is_symmetric(node)
            self.facts[node] = self.numbers.setdefault(fact, len(self.numbers))
        return self.facts[node]

    def surroundings(
        self, roots: Sequence[Expr], fences: Container[Expr]
    ) -> tuple[dict[Expr, int], Container[Expr]]:
        """The parts that a law about `roots` can meet, numbered, and those of them that it does not open.

        These are what the roots are made of, with the named parts in them opened once, and what else there
        is that is made of nothing but these.
        """
        above = islice(walk(*roots, stop=fences.__contains__), LARGEST + 1)
        nodes = {node: k for k, node in enumerate(above)}
        opened = [arg for node in nodes if node in fences for arg in node.args]
        within = walk(*opened, stop=lambda node: node in nodes or node in fences)
        below = [node for node in islice(within, LARGEST + 1) if node not in nodes]
        ends = {node for node in below if node in fences}
        nodes |= {node: k for k, node in enumerate(below, len(nodes))}
        queue, waiting = [*nodes], dict[Expr, list[tuple[Expr, ...]]]()
        for node in queue:
            if len(nodes) > LARGEST:
                break
            for made in (*self.users.get(node, ()), *waiting.pop(node, ())):
                missing = next((part for part in made[1:] if part not in nodes), None)
                if missing is not None:
                    waiting.setdefault(missing, []).append(made)
                elif made[0] not in nodes:
                    nodes[made[0]] = len(nodes)
                    queue.append(made[0])
        return nodes, ends


def _look(
    nodes: Mapping[Expr, int], roots: Sequence[Expr], ends: Container[Expr], flags: Callable[[Expr], object]
) -> object:
    """The same for two lists of parts only where one is the other with its symbols renamed."""
    seen: list[object] = []
    for node in nodes:
        if node.op is symbol_op:
            seen.append((node.shape, node if node.params[2] else None, flags(node)))
        elif node.op is cotangent_op:
            seen.append((node.shape, flags(node)))
        elif node in ends:
            seen.append((node.shape, node.op, node.params, flags(node)))
        else:
            seen.append((node.op, node.params, flags(node), *[nodes[arg] for arg in node.args]))
    return (*seen, *[nodes[root] for root in roots])


def _exprs(tidied: Tidied) -> Iterator[Expr]:
    """All that is said in it."""
    for stages in tidied:
        for expr, rewrites, _ in stages:
            yield expr
            for rewrite in rewrites:
                yield from (rewrite.before, rewrite.after)


def _renamed(tidied: Tidied, table: dict[Expr, Expr]) -> Tidied:
    """The same about other symbols; `table` says what stands for what."""
    for node in walk(*_exprs(tidied), stop=table.__contains__):
        if node not in table:
            table[node] = node.op(*[table[arg] for arg in node.args], params=node.params)
    found: list[Stages] = []
    for stages in tidied:
        said: Stages = []
        for expr, rewrites, law in stages:
            told = [Rewrite(one.rule, one.why, table[one.before], table[one.after]) for one in rewrites]
            said.append((table[expr], tuple(told), law))
        found.append(said)
    return found
