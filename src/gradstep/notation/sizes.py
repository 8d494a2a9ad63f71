"""How is said what shape each variable has? X is N × d, w has d entries, x₁, x₂, … x₅ have d entries each."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable

from gradstep.expression.boxes import Box, Row, Sym, row, word
from gradstep.expression.node import Expr

MANY = 8  # groups of variables that are all told
FAMILY = 3  # variables whose names differ in their number alone, that are told together


def shapes(variables: Iterable[Expr], parameters: Container[Expr], write: Callable[[Expr], Box]) -> Box:
    """The shapes of the variables, in words; of many those of the data only."""
    groups: dict[object, list[Expr]] = {}
    for variable in variables:
        groups.setdefault(_family(variable), []).append(variable)
    told: list[list[Expr]] = []
    for group in groups.values():
        told += [group] if len(group) >= FAMILY else [[variable] for variable in group]
    if len(told) > MANY:
        told = [group for group in told if group[0] not in parameters]
    items: list[Box | str] = []
    for group in told:
        items += _said(group, "," if group is not told[-1] else "", write)
    return row(*items)


def _family(variable: Expr) -> object:
    """What variables have in common that are told together: x1, x2, … of one shape."""
    name = str(variable.params[0])
    numbered = re.fullmatch(r"(.*?)_?(\d+)", name)
    return (numbered[1], variable.shape) if numbered else name


def _said(group: list[Expr], comma: str, write: Callable[[Expr], Box]) -> list[Box | str]:
    """X is N × d, or more of one shape."""
    first, several = group[0], len(group) > 1
    names: list[Box | str] = [write(first)]
    if several:
        between = Sym(", ", "operator")
        names = [
            Row((write(first), between, write(group[1]), between, Sym("…", "operator"), write(group[-1])))
        ]
    sizes: list[Box | str] = []
    for size in first.shape:
        sizes += ["×", Sym(str(size), "number" if isinstance(size, int) else "size")]
    each = " each" if several else ""
    match first.rank:
        case 0:
            return [*names, word(f"{'are numbers' if several else 'is a number'}{comma}")]
        case 1:
            return [*names, word("have" if several else "has"), *sizes[1:], word(f"entries{each}{comma}")]
        case _:
            end: list[Box | str] = [word(f"each{comma}")] if several else [","] if comma else []
            return [*names, word("are" if several else "is"), *sizes[1:], *end]
