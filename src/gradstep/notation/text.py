"""How is an expression written so that it reads back? In NumPy's syntax: mean((y - relu(X @ w + b))**2).

An operation says how it is written; here its operands are put in place, from the leaves up and without
recursion. What would make the text explode, or nest too deeply, is written once, in front: t1 = X @ w; …
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from itertools import count
from typing import NamedTuple

from gradstep.expression.boxes import ATOM
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Spelled
from gradstep.operations.arithmetic import multiply_op, scale_op
from gradstep.operations.broadcasting import sum_op
from gradstep.operations.evaluation import variables
from gradstep.operations.leaves import RESERVED, checked_name
from gradstep.operations.sums import mean

READABLE = 400  # a text up to this length repeats what is shared; in a longer one that gets a name,
SHORT = 16  # unless it is no longer than this
LONGEST = 2000  # no statement grows much beyond this,
DEEPEST = 40  # nor nests deeper: the parser goes to 100

Spell = Callable[[Expr], Spelled]


class Skeleton(NamedTuple):
    """The text of one node without its parts: how long it is, and which parts stand in it."""

    length: int
    parts: list[Expr]


def plain(expr: Expr, names: Mapping[Expr, str] | None = None) -> str:
    """`expr` as text that `gradstep.parse`, given the same variables, reads back to the identical expression.

    A part in `names` is written first, as in `z = X @ w + b; …`; a name that could not be read back (ẑ, or
    the name of a variable) is left out.
    """
    given = _readable(names or {}, expr)
    skeletons = _skeletons(expr, given)
    uses = Counter(part for skeleton in skeletons.values() for part in skeleton.parts)
    crowded = _full_length(skeletons) > READABLE
    free = _free_names(expr, given)
    said: dict[Expr, Spelled] = {}
    depths: dict[Expr, int] = {}
    lines: list[str] = []
    for node, (_, parts) in skeletons.items():
        text, level = spelled(node, said.__getitem__, given)
        depth = max((depths[part] + (not text.startswith(said[part][0])) for part in parts), default=0)
        name = given.get(node)
        if name is None and node.args and node is not expr:
            explodes = crowded and uses[node] > 1 and len(text) > SHORT
            if explodes or depth > DEEPEST or len(text) > LONGEST:
                name = next(free)
        if name is not None:
            lines.append(f"{name} = {text}")
            text, level, depth = name, ATOM, 0
        said[node], depths[node] = (text, level), depth
    return "; ".join(lines if expr in given else [*lines, said[expr][0]])


def spelled(expr: Expr, spell: Spell, named: Container[Expr] = ()) -> Spelled:
    """The text of `expr` around the texts of its parts: mean(x) for what is one, else its operation's."""
    if expr.op in (multiply_op, scale_op) and expr.args[1].op is sum_op:
        total = expr.args[1]
        if total not in named and mean(total.args[0], total.params[0]) is expr:
            text, level = total.op.text(total, spell)
            return text.replace("sum", "mean", 1), level
    return expr.op.text(expr, spell)


def _skeletons(expr: Expr, named: Container[Expr]) -> dict[Expr, Skeleton]:
    """All that occurs in the text of `expr`, parts before the whole."""
    met: dict[Expr, Skeleton] = {}
    ordered: dict[Expr, Skeleton] = {}
    stack = [expr]
    while stack:
        node = stack.pop()
        if node not in met:
            met[node] = _skeleton(node, named)
            stack += [node, *(part for part in reversed(met[node].parts) if part not in met)]
        else:
            ordered.setdefault(node, met[node])
    return ordered


def _skeleton(node: Expr, named: Container[Expr]) -> Skeleton:
    parts: list[Expr] = []

    def note(part: Expr) -> Spelled:
        parts.append(part)
        return "", ATOM

    text, _ = spelled(node, note, named)
    return Skeleton(len(text), parts)


def _full_length(skeletons: Mapping[Expr, Skeleton]) -> int:
    """About how long the text is if nothing in it gets a name; what is astronomic is cut off."""
    full: dict[Expr, int] = {}
    length = 0
    for node, skeleton in skeletons.items():
        length = min(10**9, skeleton.length + sum(full[part] for part in skeleton.parts))
        full[node] = length
    return length


def _readable(names: Mapping[Expr, str], expr: Expr) -> dict[Expr, str]:
    """The names that the parser takes: of parts that are no variables or numbers, each name once."""
    taken = _taken(expr)
    given: dict[Expr, str] = {}
    for part, name in names.items():
        try:
            if part.args and checked_name(name) not in taken:
                given[part] = name
                taken.add(name)
        except MathError:
            continue
    return given


def _taken(expr: Expr) -> set[str]:
    """The names of the variables and sizes that `expr` knows."""
    known = variables(expr)
    return {*known, *(str(size) for variable in known.values() for size in variable.shape), *RESERVED}


def _free_names(expr: Expr, given: Mapping[Expr, str]) -> Iterator[str]:
    taken = _taken(expr) | set(given.values())
    return (name for name in map("t{}".format, count(1)) if name not in taken)
