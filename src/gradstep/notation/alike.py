"""Which printed lines are the same but for names? The lines of a layer that repeats are worked out once.

A part with a name is a symbol to the reader of a line, and may be one to the check: what holds whatever a
symbol is worth holds for any part in its place.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from gradstep.calculus.cotangents import cotangent_op
from gradstep.expression.node import Expr
from gradstep.notation.indices import entry_op
from gradstep.operations.leaves import symbol_op

LARGEST = 300  # parts of a line that is compared with others
Sides = tuple[Expr, Expr]  # what is printed, and what it stands for


def alike(
    lines: Sequence[tuple[Expr, Expr, object]], cotangents: Mapping[Expr, Expr], named: Container[Expr]
) -> Iterator[tuple[Sides, list[int]]]:
    """Lines with symbols in the place of what is `named`, and at which places each stands, if several.

    Of each line: what is printed, what it stands for, and what else has to be equal.
    """
    found: dict[object, tuple[Sides, Sequence[Expr], list[int]]] = {}
    for place, (shown, meant, more) in enumerate(lines):
        sides = shown, meant
        look, parts = _look(sides, cotangents, named)
        if parts:
            found.setdefault((look, more), (sides, parts, []))[-1].append(place)
    for sides, parts, places in found.values():
        if len(places) > 1:
            yield _about_symbols(sides, parts, cotangents, named), places


def _look(
    sides: Sides, cotangents: Mapping[Expr, Expr], named: Container[Expr]
) -> tuple[object, Sequence[Expr]]:
    """The same for two lines only where one is the other with its symbols renamed; and all their parts."""
    places: dict[Expr, int] = {}
    seen: list[object] = []
    stack: list[tuple[Expr, bool]] = [(sides[1], False), (sides[0], False)]
    while stack:
        node, ready = stack.pop()
        if node in places:
            continue
        parts = _parts(node, sides, cotangents, named)
        if not ready and parts:
            stack.append((node, True))
            stack += [(part, False) for part in parts]
            continue
        if len(places) == LARGEST:
            return None, ()
        places[node] = len(places)
        seen.append((_own(node, parts), *[places[part] for part in parts]))
    return (*seen, places[sides[0]], places[sides[1]]), [*places]


def _parts(
    node: Expr, sides: Sides, cotangents: Mapping[Expr, Expr], named: Container[Expr]
) -> Sequence[Expr]:
    """What a part is made of, as far as a line is concerned; ∂C/∂N is made of what it stands for."""
    if node in named and node not in sides:
        return ()
    if node.op is cotangent_op and node.params[0] in cotangents:
        return (cotangents[node.params[0]],)
    return (node.params[0],) if node.op is entry_op else node.args


def _own(node: Expr, parts: Sequence[Expr]) -> object:
    """What there is to a part beside what it is made of."""
    if node.op is symbol_op:
        return node if node.params[2] else node.shape
    if node.op is cotangent_op and parts:
        return cotangent_op
    if node.op is entry_op:
        return entry_op, node.params[1:]
    return node.shape if node.args and not parts else (node.op, node.params)


def _about_symbols(
    sides: Sides, order: Sequence[Expr], cotangents: Mapping[Expr, Expr], named: Container[Expr]
) -> Sides:
    """The line with a symbol in the place of each named part."""
    done: dict[Expr, Expr] = {}
    for node in order:
        parts = [done[part] for part in _parts(node, sides, cotangents, named)]
        if node.op is symbol_op or (node.args and not parts):
            assumed = node.params[2] if node.op is symbol_op else ()
            done[node] = symbol_op(params=(f"•{len(done)}", node.shape, assumed))
        elif node.op is cotangent_op and parts:
            done[node] = parts[0]
        elif node.op is entry_op:
            done[node] = entry_op(params=(parts[0], *node.params[1:]))
        else:
            done[node] = node.op(*parts, params=node.params)
    return done[sides[0]], done[sides[1]]
