"""Which checks are the same but for names? A layer that repeats is checked once.

A part with a name is a symbol to whoever reads a line, and may be one to the check: what holds whatever a
symbol is worth, and however it moves, holds for any part in its place. So a check is read as one about
symbols, and lines that are then the same, as those of one layer and the next, are checked once. One that has
to know what a part is made of does not hold for symbols: it is looked at as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping
from itertools import islice

from gradstep.calculus.checks import Check, Lines
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
        look, table = _seen(check, _closed(check, named, moving, depth), moving)
        if len(look) < LARGEST:
            if look not in known:
                size += len(look)
                if size > most:
                    return {}
                kind = replaced(check.exchanged(table), step=0, rule="", what="")
                known[look] = found.setdefault(kind, [])
            known[look].append(place)
    return found


def moving_symbols(checks: Collection[Check]) -> Iterator[Expr]:
    """The symbols in the place of parts that move."""
    for node in walk(*(expr for check in checks for expr in check.exprs)):
        if node.op is symbol_op and str(node.params[0]).startswith(MOVING):
            yield node


def _seen(
    check: Check, closed: Closed, moving: Container[Expr]
) -> tuple[tuple[object, ...], dict[Expr, Expr]]:
    """What a check looks like, whatever symbols are called, and a symbol for each part that is one to it.

    Two checks look the same only where one is the other with its symbols renamed, no two of them alike: nodes
    are numbered in the order in which they are met, so that what is shared is shared in both.
    """
    order: dict[Expr, int] = {}
    table: dict[Expr, Expr] = {}
    look: list[object] = [type(check), check.by_law, len([*check.halves[0]])]
    for node in islice(walk(*check.exprs, stop=closed), LARGEST):
        if node.op is symbol_op or closed(node):
            name = f"{MOVING if node in moving else STILL}{len(table)}"
            assumed = node.params[2] if node.op is symbol_op else ()
            table[node] = symbol_op(params=(name, node.shape, assumed))
            look.append(table[node])
        else:
            look.append((node.op, node.params, *[order[arg] for arg in node.args]))
        order[node] = len(order)
    look += [order.get(expr) for expr in check.exprs]
    return tuple(look), table


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
