"""How little can be done for each row? What is the same for all rows is multiplied once, after the total.

    Σ c·(e·m)·x  =  c · Σ e·x over the rows where m holds

Sums of products begin at what is added to them. A mask then costs nothing, as processors add under one; where
it does not hold nothing is added, whatever the product would be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from gradstep.backends.native.arrays import Arrays
from gradstep.backends.native.cells import Cell, Cells, needed
from gradstep.backends.native.unrolling import Total, Unrolled
from gradstep.expression.records import record, replaced
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    equal_op,
    greater_equal_op,
    greater_op,
    multiply_op,
    negate_op,
    not_equal_op,
    subtract_op,
)
from gradstep.operations.choices import where_op

MASKS = frozenset((greater_op, greater_equal_op, equal_op, not_equal_op))


def lean(form: Unrolled) -> Unrolled:
    """The same totals with less to do for each row; what would be more work is left as it is."""
    arrays = Arrays(form.cells)
    begun = begun_sums(form.cells, roots_of(form.totals))
    totals = [
        replaced(
            total,
            terms=tuple(tuple(tuple(begun[c] for c in term) for term in terms) for terms in total.terms),
        )
        for total in form.totals
    ]
    split = [split_total(arrays, total) for total in totals]
    if work(split) <= work(totals):
        totals = split
    return Unrolled(form.cells, tuple(totals), form.joined)


def roots_of(totals: Iterable[Total]) -> list[Cell]:
    return [cell for total in totals for terms in total.terms for term in terms for cell in term]


def work(totals: Sequence[Total]) -> int:
    """How many operations a row takes."""
    numbers = [cell for cell in needed(roots_of(totals)) if cell.row and cell.op != "data"]
    terms = [term for total in totals for terms in total.terms for term in terms]
    added = sum(max(1, sum(cell.op not in MASKS for cell in term) - 1) for term in terms)
    return sum(max(1, len(cell.args) // 2) for cell in numbers) + added


# ------------------------------------------------------------------------------------------- sums


def begun_sums(cells: Cells, roots: Sequence[Cell]) -> Mapping[Cell, Cell]:
    """For each cell another, in which a sum of products that is only added to something begins with that."""
    order = needed(roots)
    uses = Counter(arg for cell in order for arg in cell.args)
    uses.update(roots)
    found: dict[Cell, Cell] = {}
    for cell in order:
        args = [found[arg] for arg in cell.args]
        pairs = None
        if cell.op is add_op and cell.row and not cell.wide:
            one, other = ((old, new) for old, new in zip(cell.args, args, strict=True))
            for (old, product), (_, term) in ((one, other), (other, one)):
                if uses[old] == 1 and product.op in ("dot", multiply_op) and product.row:
                    factors = list(zip(product.args[::2], product.args[1::2], strict=True))
                    pairs = [(cells.number(1), term), *factors]
                    break
        if pairs is not None:
            found[cell] = cells.dot(pairs)
        elif args == list(cell.args):
            found[cell] = cell
        elif cell.op == "reduce":
            found[cell] = cells.reduced(cell.params[0], args[0], cell.params[1])
        else:
            found[cell] = cells.cell(cell.op, args, cell.params)
    return found


# ------------------------------------------------------------------------------------------- products


@record
class Parts:
    """A product: what is the same for all rows, the masks, and the rest."""

    scale: tuple[Cell, ...] = ()
    masks: tuple[Cell, ...] = ()
    factors: tuple[Cell, ...] = ()


def parts_of(cells: Cells, cell: Cell) -> Parts:
    """A cell as a product."""
    if not cell.row and not cell.wide:
        return Parts(scale=(cell,))
    if cell.op in MASKS:
        return Parts(masks=(cell,))
    if cell.op is multiply_op:
        one, other = (parts_of(cells, arg) for arg in cell.args)
        return joined(one, other)
    if cell.op is negate_op:
        return joined(Parts(scale=(cells.number(-1),)), parts_of(cells, cell.args[0]))
    if cell.op is divide_op and not cell.args[1].row and not cell.args[1].wide:
        part = cells.cell(divide_op, [cells.number(1), cell.args[1]])
        return joined(Parts(scale=(part,)), parts_of(cells, cell.args[0]))
    if cell.op is where_op and cell.args[0].op in MASKS and is_zero(cell.args[2]):
        return joined(Parts(masks=(cell.args[0],)), parts_of(cells, cell.args[1]))
    return Parts(factors=(cell,))


def joined(one: Parts, other: Parts) -> Parts:
    return Parts(one.scale + other.scale, one.masks + other.masks, one.factors + other.factors)


def is_zero(cell: Cell) -> bool:
    return cell.op == "number" and cell.params[0] == 0


def split_total(arrays: Arrays, total: Total) -> Total:
    """A sum over rows whose terms have lost what is the same for all rows and all of its entries."""
    if total.how != "sum" or total.rooted or total.wide:
        return total
    scales, found = [], []
    for terms in total.terms:
        new = []
        for term in terms:
            parts = [parts_of(arrays.cells, cell) for cell in term]
            scales.append(tuple(cell for part in parts for cell in part.scale))
            factors = [arrays.product(part.factors) for part in parts if part.factors]
            masks = dict.fromkeys(cell for part in parts for cell in part.masks)
            new.append((*factors, *masks) if factors or masks else None)
        found.append(new)
    if len(set(scales)) != 1 or any(term is None for terms in found for term in terms):
        return total
    scale = arrays.product(scales[0]) if scales[0] else None
    return replaced(total, scale=scale, terms=tuple(tuple(terms) for terms in found))


# ------------------------------------------------------------------------------------------- wide axes


def gathered(cells: Cells, roots: Sequence[Cell]) -> Mapping[Cell, Cell]:
    """For each cell another, in which numbers are multiplied before they meet what is wide: a(bx) as (ab)x.

    A sum with such a product is rounded once.
    """
    order = needed(roots)
    uses = Counter(arg for cell in order for arg in cell.args)
    uses.update(roots)
    found: dict[Cell, Cell] = {}
    arrays = Arrays(cells)
    for cell in order:
        args = [found[arg] for arg in cell.args]
        if cell.op is multiply_op and cell.wide:
            flat = [f for arg in args for f in (arg.args if arg.op is multiply_op and arg.wide else [arg])]
            sides = [[f for f in flat if not f.wide], [f for f in flat if f.wide]]
            found[cell] = arrays.product([arrays.product(side) for side in sides if side])
        elif (
            cell.op in (add_op, subtract_op) and cell.wide and is_scaled(args[1]) and uses[cell.args[1]] == 1
        ):
            scale, wide = args[1].args
            scale = cells.cell(negate_op, [scale]) if cell.op is subtract_op else scale
            found[cell] = cells.dot([(args[0], cells.number(1)), (scale, wide)])
        elif args == list(cell.args):
            found[cell] = cell
        elif cell.op == "reduce":
            found[cell] = cells.reduced(cell.params[0], args[0], cell.params[1])
        else:
            found[cell] = cells.cell(cell.op, args, cell.params)
    return found


def is_scaled(cell: Cell) -> bool:
    """A number times what is wide."""
    return cell.op is multiply_op and not cell.args[0].wide and bool(cell.args[1].wide)
