"""Where do the totals of a pass go? Their lanes are added up, and each is put where it belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_

from gradstep.backends.native.assembly import Vec
from gradstep.backends.native.cells import Cell
from gradstep.backends.native.elements import as_number
from gradstep.backends.native.held import ITEM, Space
from gradstep.backends.native.lean import MASKS
from gradstep.backends.native.plan import Plan, Sum
from gradstep.backends.native.reductions import COMBINE, IDENTITY, across
from gradstep.backends.native.walk import Walk
from gradstep.expression.node import Operation
from gradstep.operations.arithmetic import equal_op, greater_equal_op, greater_op, not_equal_op

OPEN: Mapping[Operation | str, str] = {
    greater_op: "ugt",
    greater_equal_op: "uge",
    equal_op: "ueq",
    not_equal_op: "une",
}


def added(s: Sum, values: Mapping[Cell, Vec], mask: Vec | None, total: Vec) -> Vec:
    """A total with some rows; where a mask does not hold nothing is added."""
    how = s.total.how
    for term in s.terms:
        masks = [holds(cell, values, s.kind) for cell in term if cell.op in MASKS]
        masks += [] if mask is None else [mask]
        numbers = [as_number(values[cell], s.kind) for cell in term if cell.op not in MASKS]
        first, *others = numbers or [total.like(1.0)]
        for other in others[:-1]:
            first = first * other
        after = first.times_plus(others[-1], total) if others else COMBINE[how](total, first)
        total = reduce(and_, masks).select(after, total) if masks else after
    return total


def holds(cell: Cell, values: Mapping[Cell, Vec], kind: str) -> Vec:
    """A mask that lets through what is not a number, so that it is seen."""
    a, b = (as_number(values[arg], kind) for arg in cell.args)
    return a.compare(OPEN[cell.op], b)


def place_of(walk: Walk, plan: Plan, s: Sum) -> int:
    """Where a total belongs."""
    first = next(other.place for other in plan.sums if other.total is s.total)
    return walk.memory.places[s.total.name] + (s.place - first) * ITEM


def put(walk: Walk, plan: Plan, totals: Mapping[Sum, Vec], scales: Mapping[Cell, Vec], space: Space) -> None:
    """Adds up the lanes of totals; neighbours are stored together."""
    places = {s: place_of(walk, plan, s) for s in totals}
    left = sorted(totals, key=places.__getitem__)
    end, stop = walk.gap
    while left:
        first = left[0]
        how, scale = first.total.how, first.total.scale
        most = min(plan.width, totals[first].type.lanes)
        run = [
            s
            for k, s in enumerate(left[:most])
            if places[s] == places[first] + k * ITEM
            and (s.total.how, s.total.rooted, s.total.scale) == (how, first.total.rooted, scale)
        ]
        found = together([folded(totals[s], how, plan.width) for s in run], how)
        found = found.call("sqrt") if first.total.rooted else found
        found = found if scale is None else found * scales[scale].lanes([0] * found.type.lanes)
        if places[run[-1]] + ITEM == end:
            found = with_zeros(found, (stop - end) // ITEM)
        space.store(found, places[first])
        left = left[len(run) :]


def together(totals: Sequence[Vec], how: str) -> Vec:
    """The numbers that the lanes of totals come to, side by side."""
    count = len(totals)
    filled = [*totals, *[totals[0].like(IDENTITY[how])] * ((1 << (count - 1).bit_length()) - count)]
    found = across(filled, how)
    return found if len(filled) == count else found.lanes(range(count))


def folded(lanes: Vec, how: str, width: int) -> Vec:
    """As many lanes as a vector has."""
    while lanes.type.lanes > width:
        half = lanes.type.lanes // 2
        lanes = COMBINE[how](lanes.lanes(range(half)), lanes.lanes(range(half, 2 * half)))
    return lanes


def with_zeros(lanes: Vec, count: int) -> Vec:
    """A vector with so many zeros at its end."""
    mine = lanes.type.lanes
    return lanes.lanes([*range(mine), *[mine] * count], lanes.like(0.0)) if count else lanes
