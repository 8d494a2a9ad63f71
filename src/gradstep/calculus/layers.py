"""To which layer of a deep network does a part belong, or to which step in time? The numbers of names tell.

A part that the user did not name belongs to the layer of the named parts that are made of it: what goes into
f3 = sigmoid(…) belongs to layer 3. Where nobody named a part, those of its parameters tell: x @ W3 + b3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gradstep.expression.node import Expr, walk
from gradstep.expression.records import record
from gradstep.operations.leaves import symbol_op

_NUMBERED = re.compile(r"([^\W\d]+?)_?([0-9]+)")


@record
class Place:
    """Where a part stands: in which layer, and what it is there, the same in every layer."""

    layer: int
    stream: tuple[object, ...]


def places(of: Expr, wanted: Mapping[Expr, str], given: Mapping[Expr, str]) -> dict[Expr, Place]:
    """The place of every part in `wanted`, parts and their roles, that has one; `given` are named ones."""
    families = _families(given)
    found = _from_above(of, wanted, given, families) if families else _from_below(of, wanted)
    seen: dict[tuple[object, ...], int] = {}
    numbered = {}
    for node, role in wanted.items():
        if node in found:
            layer, whose = found[node]
            key = layer, whose, role
            seen[key] = seen.get(key, 0) + 1
            numbered[node] = Place(layer, (whose, role, seen[key]))
    return numbered


def is_numbered(name: str) -> bool:
    """Whether a name ends in a number: W3, x_1."""
    return _NUMBERED.fullmatch(name) is not None


def _families(names: Mapping[Expr, str]) -> dict[Expr, tuple[str, int]]:
    """Names that differ in their number alone, Z1, Z2 …: the stem and the number of each."""
    read = {node: (m[1], int(m[2])) for node, name in names.items() if (m := _NUMBERED.fullmatch(name))}
    stems = [stem for stem, _ in read.values()]
    return {node: (stem, number) for node, (stem, number) in read.items() if stems.count(stem) > 1}


def _from_above(
    of: Expr, wanted: Mapping[Expr, str], given: Mapping[Expr, str], families: Mapping[Expr, tuple[str, int]]
) -> dict[Expr, tuple[int, object]]:
    """The layer of what each part goes into, where that is one layer, and what that is there."""
    owners: dict[Expr, set[tuple[str, int | None]]] = {}
    for node in reversed([*walk(of)]):
        mine = owners.get(node, set())
        if node in given:
            mine = {families.get(node, (given[node], None))}
        for arg in node.args:
            owners.setdefault(arg, set()).update(mine)
    found: dict[Expr, tuple[int, object]] = {}
    for node in wanted:
        numbers = {number for _, number in owners.get(node, ())}
        if len(numbers) == 1 and (number := numbers.pop()) is not None:
            found[node] = number, tuple(sorted(stem for stem, _ in owners[node]))
    return found


def _from_below(of: Expr, wanted: Mapping[Expr, str]) -> dict[Expr, tuple[int, object]]:
    """The one number of the variables in each part, not counting other parts; without any, that of these."""
    order = [*walk(of)]
    known = _families({node: str(node.params[0]) for node in order if node.op is symbol_op})
    numbers: dict[Expr, set[int]] = {node: {number} for node, (_, number) in known.items()}
    found: dict[Expr, tuple[int, object]] = {}
    for node in order:
        if not node.args:
            continue
        mine = set().union(*(numbers.get(arg, ()) for arg in node.args if arg not in wanted))
        if node in wanted:
            mine = mine or {found[arg][0] for arg in node.args if arg in found}
            if len(mine) == 1:
                found[node] = mine.pop(), None
        numbers[node] = mine
    return found
