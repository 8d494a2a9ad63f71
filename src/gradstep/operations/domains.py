"""Where is a formula defined? The conditions that its logarithms, roots and inverse functions put on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache

from gradstep.expression.node import Expr, walk
from gradstep.operations.arithmetic import power_op
from gradstep.operations.leaves import value_of
from gradstep.operations.ranges import NOT_NEGATIVE, POSITIVE, Range, range_of

# What each word for a domain asks of the first operand.
CONDITIONS: dict[str, Callable[[str], str]] = {
    "positive": lambda x: f"{x} > 0",
    "inside one": lambda x: f"−1 < {x} < 1",
    "above one": lambda x: f"{x} > 1",
    "above minus one": lambda x: f"{x} > −1",
    "between quarter turns": lambda x: f"cos({x}) ≠ 0",
}
# The same as numbers: where there is a slope.
INSIDE = {
    "positive": POSITIVE,
    "inside one": Range(-1, 1),
    "above one": Range(low=1),
    "above minus one": Range(low=-1),
}


@lru_cache(maxsize=1)
def ranges(formula: Expr) -> Mapping[Expr, Range]:
    """Where the entries of every part of `formula` lie."""
    found: dict[Expr, Range] = {}
    for node in walk(formula):
        found[node] = range_of(node, [found[arg] for arg in node.args])
    return found


def conditions(formula: Expr, moving: Collection[Expr]) -> list[tuple[Expr, Callable[[str], str]]]:
    """The moving parts of `formula` that are not defined everywhere, and what each asks of its operand.

    What is surely fulfilled is left out: the logarithm of a softmax, the root of x² + 1.
    """
    known = ranges(formula)
    found = []
    for node in known:
        asks = CONDITIONS.get(node.op.domain)
        if asks is None or node not in moving or (node.op is power_op and _is_whole(node.args[1])):
            continue
        inside = INSIDE.get(node.op.domain)
        if node.op is power_op and (n := value_of(node.args[1])) is not None and n > 1:  # x³ᐟ² and its slope
            inside, asks = NOT_NEGATIVE, _not_negative
        if inside is None or not known[node.args[0]].inside(inside):
            found.append((node, asks))
    return found


def _not_negative(x: str) -> str:
    return f"{x} ≥ 0"


def _is_whole(exponent: Expr) -> bool:
    value = value_of(exponent)
    return value is not None and value.denominator == 1
