"""Which checks are the same but for names? A layer that repeats is checked once.

A part with a name is a symbol to whoever reads a line, and may be one to the check: what holds whatever a
symbol is worth, and however it moves, holds for any part in its place. So a check is read as one about
symbols, and lines that are then the same, as those of one layer and the next, are checked once. One that has
to know what a part is made of does not hold for symbols: it is looked at as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from itertools import islice

from gradstep.calculus.checks import Check, Lines
from gradstep.calculus.looks import look
from gradstep.calculus.structures import Along
from gradstep.expression.node import Expr, walk
from gradstep.expression.records import replaced
from gradstep.operations.leaves import symbol_op

LARGEST = 300  # nodes of a check about symbols
DEPTHS = (0, 3)  # how far down what one side alone mentions is opened, at first and then
MOVING, STILL = "◦", "•"
Closed = Callable[[Expr], bool]


def kinds(
    checks: Mapping[int, Check], named: Container[Expr], moving: Container[Expr], depth: int, most: int
) -> dict[Check, list[int]]:
    """Checks with symbols in the place of what is `named`, and at which places each of them stands.

    At a `depth` what goes on without a name is opened too, and a name that one side alone mentions, and so
    on, as deep as that. What is left out cannot be told by symbols. There are none where that is more than
    `most` nodes.
    """
    known: dict[object, list[int]] = {}
    found: dict[Check, list[int]] = {}
    size = 0
    for place, check in checks.items():
        if isinstance(check, Along):
            continue
        closed = _closed(check, named, moving, depth)
        exprs, (left, _) = [*check.exprs], map(len, map(list, check.halves))
        seen, symbols = look(exprs, closed, lambda node: (node in moving, _assumed(node)), LARGEST)
        if len(seen) >= LARGEST:
            continue
        key = type(check), check.by_law, left, seen
        if key not in known:
            size += len(seen)
            if size > most:
                return {}
            kind = replaced(check.exchanged(_renamed(symbols, moving)), step=0, rule="", what="")
            known[key] = found.setdefault(kind, [])
        known[key].append(place)
    return found


def _assumed(node: Expr) -> object:
    """What is assumed of a variable."""
    return node.params[2] if node.op is symbol_op else ()


def _renamed(symbols: Sequence[Expr], moving: Container[Expr]) -> dict[Expr, Expr]:
    """A symbol in the place of each."""
    return {
        node: symbol_op(params=(f"{MOVING if node in moving else STILL}{k}", node.shape, _assumed(node)))
        for k, node in enumerate(symbols)
    }


def moving_symbols(checks: Collection[Check]) -> Iterator[Expr]:
    """The symbols in the place of parts that move."""
    for node in walk(*(expr for check in checks for expr in check.exprs)):
        if node.op is symbol_op and str(node.params[0]).startswith(MOVING):
            yield node


def _closed(check: Check, named: Container[Expr], moving: Container[Expr], depth: int) -> Closed:
    """Which parts of a check are symbols to it."""
    ends: Container[Expr] = frozenset(check.frontier())
    one, other = map(frozenset, check.halves)
    opened = set(one ^ other)
    if isinstance(check, Lines):  # what moves between the parts of one line and those of the next
        between = walk(*(N for _, N in check.before), stop=lambda node: node in ends or node not in moving)
        opened.update(node for node in islice(between, LARGEST) if node in moving and node not in ends)

    def closed(node: Expr) -> bool:
        if node in ends:
            return not depth or node in named
        return node in named and node not in opened

    for _ in range(depth):
        sides = (islice(walk(*half, stop=closed), LARGEST) for half in check.halves)
        one, other = (frozenset(filter(closed, side)) for side in sides)
        opened |= one ^ other
    return closed
