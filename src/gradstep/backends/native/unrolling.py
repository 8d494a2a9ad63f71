"""How does a pass over rows come apart into cells? Line by line, its totals last."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from gradstep.backends.native.arrays import Arrays
from gradstep.backends.native.borrowed import brings_source
from gradstep.backends.native.cells import (
    Array,
    Axis,
    Cell,
    Cells,
    Index,
    LongAxes,
    TooMany,
    Unsupported,
    indices,
)
from gradstep.backends.native.elements import EMITTERS
from gradstep.backends.native.rules import RULES
from gradstep.backends.rows import Combine, Pass
from gradstep.expression.node import Expr, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Lengths, Size
from gradstep.operations.activations import maximum_op, minimum_op
from gradstep.operations.arithmetic import add_op, multiply_op
from gradstep.operations.leaves import symbol_op

SHORT = 16  # entries along an axis that are written out


@record
class Total:
    """What is added up over the rows: for each cell of an output the sum of these products, or an extreme.

    axes    of the output; the wide one, if any, comes last in memory
    terms   for each cell the products that are summed; of an extreme one cell alone
    rooted  whether the square root of the sum is the total: it is a norm
    scale   what the sum is multiplied by, once
    """

    name: str
    how: Combine
    axes: tuple[Axis, ...]
    terms: tuple[tuple[tuple[Cell, ...], ...], ...]
    rooted: bool = False
    scale: Cell | None = None

    @property
    def wide(self) -> str:
        return next((str(axis.size) for axis in self.axes if axis.kind == "wide"), "")


@record
class Unrolled:
    """A pass as cells: what is totalled, and what has an entry for each row."""

    cells: Cells
    totals: tuple[Total, ...]
    joined: Mapping[str, Array]


def unrolled(step: Pass, row_size: Size, lengths: Lengths) -> Unrolled:
    """The cells of a pass, with as few wide axes as possible; raises `Unsupported`."""
    sizes = dict.fromkeys(size for node in _nodes(step) for size in node.shape if size != row_size)
    by_length = sorted(sizes, key=lambda size: -lengths[size])
    wide = [size for size in by_length if lengths[size] > SHORT]
    while True:
        try:
            return _Unrolling(step, Cells(row_size, lengths, frozenset(wide))).whole()
        except TooMany:
            more = [size for size in by_length if size not in wide and lengths[size] > 1]
            if not more:
                raise
            wide.append(more[0])


def _nodes(step: Pass) -> list[Expr]:
    return list(
        walk(*(given.symbol for given in step.program.inputs), *(line.value for line in step.program.lines))
    )


class _Unrolling(Arrays):
    """A pass while it is written out."""

    def __init__(self, step: Pass, cells: Cells) -> None:
        super().__init__(cells)
        self.step = step

    def whole(self) -> Unrolled:
        program = self.step.program
        found: dict[Expr, Array] = {}
        for given in program.inputs:
            found[given.symbol] = self.cells.leaf(str(given.symbol.params[0]), given.symbol.shape)
        totals = []
        for line in program.lines:
            total = line.name in self.step.totals
            for node in walk(line.value):
                if node not in found and not (total and node is line.value):
                    found[node] = self.one(node, [found[arg] for arg in node.args])
            if total:
                how = self.step.totals[line.name]
                args = [found[arg] for arg in line.value.args]
                totals.append(self.total(line.name, how, line.value, args))
            else:
                found[symbol_op(params=(line.name, line.value.shape, ()))] = found[line.value]
        joined = {name: found[program.outputs[name]] for name in self.step.joined}
        return Unrolled(self.cells, tuple(totals), joined)

    def total(self, name: str, how: Combine, node: Expr, args: Sequence[Array]) -> Total:
        """A line whose operation on top brings the rows together."""
        axes = self.cells.axes(node.shape)
        if how == "sum" and node.op.indices is not None:
            products = self.products(node, args, axes)
            terms = tuple(tuple(products[index]) for index in indices(axes))
            return Total(name, how, axes, tuple(tuple(self.row_sum(t) for t in cell) for cell in terms))
        if how in ("max", "min"):
            (x,) = args
            along = set(node.params[0])
            op = maximum_op if how == "max" else minimum_op
            inner = self.folded(op, how, x, along)
            return Total(name, how, axes, tuple(((cell,),) for cell in inner.cells.values()))
        if how == "norm" and not axes:
            squares = self.each(multiply_op, args[0], args[0])
            inner = self.folded(add_op, "sum", squares, set(range(len(squares.axes))))
            return Total(name, "sum", axes, (((inner.only,),),), rooted=True)
        raise Unsupported(f"a total of the kind {how} has no compiled form")

    def row_sum(self, term: tuple[tuple[Cell, ...], str]) -> tuple[Cell, ...]:
        """One product of a total; what runs along a wide axis that is summed away is summed first."""
        factors, axis = term
        if not axis:
            return factors
        return (self.cells.reduced("sum", self.product(factors), axis),)

    # ------------------------------------------------------------------------------------- one operation

    def one(self, node: Expr, args: Sequence[Array]) -> Array:
        op = node.op
        if op in RULES:
            return RULES[op](self, node, args)
        if op.indices is not None:
            return self.linear(node, args)
        if op in EMITTERS or brings_source(op):
            return self.entrywise(node, args)
        raise Unsupported(f"{op.name} has no compiled form")

    def linear(self, node: Expr, args: Sequence[Array]) -> Array:
        """A sum of products: matrix products, sums, repetitions, transposes."""
        axes = self.cells.axes(node.shape)
        products = self.products(node, args, axes)
        return self.cells.array(axes, lambda index: self.summed(products[index]))

    def products(
        self, node: Expr, args: Sequence[Array], axes: tuple[Axis, ...]
    ) -> dict[Index, list[tuple[tuple[Cell, ...], str]]]:
        """For each entry the products that it is the sum of, and the wide axis along which each is summed."""
        assert node.op.indices is not None
        inputs, output = node.op.indices(node.params, *(len(arg.axes) for arg in args)).split("->")
        words = inputs.split(",")
        kinds: dict[str, Axis] = dict(zip(output, axes, strict=True))
        for word, arg in zip(words, args, strict=True):
            kinds.update(zip(word, arg.axes, strict=True))
        wide = [axis.size for axis in kinds.values() if axis.kind == "wide"]
        if len(wide) > 1:
            raise LongAxes(wide, self.cells.lengths)
        inner = [letter for letter in kinds if letter not in output]
        along = next((str(kinds[letter].size) for letter in inner if kinds[letter].kind == "wide"), "")
        found = {}
        for index in indices(axes):
            at = dict(zip(output, index, strict=True))
            terms = []
            for places in itertools.product(*(range(len(kinds[letter])) for letter in inner)):
                at.update(zip(inner, places, strict=True))
                factors = [
                    arg.cells[tuple(at[letter] for letter in word)]
                    for word, arg in zip(words, args, strict=True)
                ]
                terms.append((tuple(factors), along))
            found[index] = terms
        return found

    def summed(self, terms: Sequence[tuple[tuple[Cell, ...], str]]) -> Cell:
        """A sum of products as one cell."""
        along = terms[0][1]
        if along:
            parts = [self.cells.reduced("sum", self.product(factors), along) for factors, _ in terms]
            return self.added(parts)
        if all(len(factors) == 1 for factors, _ in terms):
            return self.added([factors[0] for factors, _ in terms])
        pairs = [(self.product(factors[:-1]), factors[-1]) for factors, _ in terms]
        return self.cells.cell(multiply_op, pairs[0]) if len(pairs) == 1 else self.cells.dot(pairs)
