"""What becomes of an operation on arrays when arrays are written out as cells?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from gradstep.backends.native.cells import Array, Axis, Cell, Cells, Index, TooMany, Unsupported, indices
from gradstep.backends.native.elements import DEFINED, EMITTERS
from gradstep.backends.rows import Combine, Pass
from gradstep.expression.node import Expr, Operation, walk
from gradstep.expression.shapes import Lengths, Size
from gradstep.operations.activations import abs_op, maximum_op, minimum_op, sqrt_op
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    equal_op,
    exp_op,
    greater_op,

    multiply_op,
    power_op,
    subtract_op,
)
from gradstep.operations.choices import where_op
from gradstep.operations.coded import deviations_op
from gradstep.operations.cumulative import cumsum_op, prod_op, prod_others_op
from gradstep.operations.entries import concatenate_op, embed_op, reshape_op, slice_op
from gradstep.operations.extremes import hardmax_op, max_op, min_op
from gradstep.operations.flips import flip_op
from gradstep.operations.leaves import eye_op, number_op, pi_op, size_op, symbol_op, triangle_op, value_of
from gradstep.operations.norms import norm_op, unit_op
from gradstep.operations.precise import log1p_op
from gradstep.operations.rowwise import log_softmax_op, logsumexp_op, softmax_op

SHORT = 24  # entries along an axis that are written out


@dataclass(frozen=True, slots=True)
class Total:
    """What is added up over the rows: for each cell of an output the sum of these products, or an extreme.

    places   the axes of the output; the wide one, if any, comes last in memory
    terms    for each cell the products that are summed; of an extreme one cell alone
    """

    name: str
    how: Combine
    axes: tuple[Axis, ...]
    terms: tuple[tuple[tuple[Cell, ...], ...], ...]

    @property
    def wide(self) -> str:
        return next((str(axis.size) for axis in self.axes if axis.kind == "wide"), "")


@dataclass(frozen=True, slots=True)
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
    return list(walk(*(given.symbol for given in step.program.inputs), *(line.value for line in step.program.lines)))


Rule = Callable[["_Unrolling", Expr, Sequence[Array]], Array]


@dataclass(slots=True)
class _Unrolling:
    """A pass while it is written out."""

    step: Pass
    cells: Cells

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
        raise Unsupported(f"a total of the kind {how} has no compiled form")

    def row_sum(self, term: tuple[tuple[Cell, ...], str]) -> tuple[Cell, ...]:
        """One product of a total; what runs along a wide axis that is summed away is summed first."""
        factors, axis = term
        if not axis:
            return factors
        return (self.cells.reduced("sum", self.product(factors), axis),)

    def product(self, factors: Sequence[Cell]) -> Cell:
        result = factors[0]
        for factor in factors[1:]:
            result = self.cells.cell(multiply_op, [result, factor])
        return result

    # ------------------------------------------------------------------------------------- one operation

    def one(self, node: Expr, args: Sequence[Array]) -> Array:
        op = node.op
        if op in RULES:
            return RULES[op](self, node, args)
        if op.indices is not None:
            return self.linear(node, args)
        if op in EMITTERS:
            return self.entrywise(node, args)
        if op in DEFINED and op.definition is not None:
            return self.defined(op.definition(node.params, *node.args), dict(zip(node.args, args, strict=True)))
        raise Unsupported(f"{op.name} has no compiled form")

    def defined(self, expr: Expr, known: dict[Expr, Array]) -> Array:
        """An expression over what is known."""
        for node in walk(expr, stop=lambda node: node in known):
            if node not in known:
                known[node] = self.one(node, [known[arg] for arg in node.args])
        return known[expr]

    def entrywise(self, node: Expr, args: Sequence[Array]) -> Array:
        axes = self.cells.axes(node.shape)

        def entry(index: Index) -> Cell:
            operands = [arg.cells[index if arg.axes else ()] for arg in args]
            return self.cells.cell(node.op, operands, node.params)

        return self.cells.array(axes, entry)

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
        if sum(axis.kind == "wide" for axis in kinds.values()) > 1:
            raise Unsupported("a product of two arrays with long axes")
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

    def added(self, parts: Sequence[Cell]) -> Cell:
        """The sum, in pairs."""
        level = list(parts)
        while len(level) > 1:
            pairs = [self.cells.cell(add_op, pair) for pair in zip(level[::2], level[1::2], strict=False)]
            level = pairs + ([level[-1]] if len(level) % 2 else [])
        return level[0]

    # ------------------------------------------------------------------------------------- along an axis

    def folded(self, op: Operation, how: str, x: Array, along: set[int]) -> Array:
        """Entries along some axes in one by `op`, which "sum", "max" or "min" says for a wide axis."""
        if any(x.axes[k].kind == "row" for k in along):
            along = {k for k in along if x.axes[k].kind != "row"}
            axes = tuple(axis for k, axis in enumerate(x.axes) if k not in along and axis.kind != "row")
            skip = {k for k, axis in enumerate(x.axes) if axis.kind == "row"} | along
        else:
            skip = along
            axes = tuple(axis for k, axis in enumerate(x.axes) if k not in along)
        groups: dict[Index, list[Cell]] = {}
        for index, cell in x.cells.items():
            groups.setdefault(tuple(i for k, i in enumerate(index) if k not in skip), []).append(cell)
        wide = next((str(x.axes[k].size) for k in along if x.axes[k].kind == "wide"), "")

        def entry(index: Index) -> Cell:
            parts = groups[index]
            if wide:
                parts = [self.cells.reduced(how, part, wide) for part in parts]
            if how == "sum":
                return self.added(parts)
            result = parts[0]
            for part in parts[1:]:
                result = self.cells.cell(op, [result, part])
            return result

        return self.cells.array(axes, entry)

    def spread(self, y: Array, x: Array, along: set[int]) -> Array:
        """`y`, which has lost some axes of `x`, along them again."""
        return self.cells.array(
            x.axes, lambda index: y.cells[tuple(i for k, i in enumerate(index) if k not in along)]
        )

    def each(self, op: Operation, *args: Array, params: tuple[Any, ...] = ()) -> Array:
        """An operation on entries of arrays with the same axes."""
        return self.cells.array(
            args[0].axes, lambda index: self.cells.cell(op, [arg.cells[index] for arg in args], params)
        )

    def like(self, x: Array, value: float) -> Array:
        cell = self.cells.number(value)
        return self.cells.array(x.axes, lambda index: cell)

    def short_axis(self, x: Array, axis: int, node: Expr) -> None:
        if x.axes[axis].kind != "short":
            raise Unsupported(f"{node.op.name} along a long axis")


# ------------------------------------------------------------------------------------------- the rules


def _number(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    import math

    value = math.pi if node.op is pi_op else self.cells.lengths[node.params[0]] if node.op is size_op else None
    cell = self.cells.number(float(node.params[0]) if value is None else value)
    return self.cells.array((), lambda index: cell)


def _eye(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    axes = self.cells.axes(node.shape)
    return self.cells.array(axes, lambda index: self.cells.number(float(index[0] == index[1])))


def _power(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    exponent = value_of(node.args[1])
    if exponent is None:
        return self.entrywise(node, args)
    base = args[0]
    return self.each(power_op, base, params=(Fraction(exponent),))


def _reshape(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    axes = self.cells.axes(node.shape)
    (x,) = args
    long = [axis for axis in x.axes if axis.kind != "short"]
    if long != [axis for axis in axes if axis.kind != "short"]:
        raise Unsupported("reshape of a long axis")
    if any(axis.kind == "wide" for axis in long) and [a for a in x.axes if a.length > 1] != [
        a for a in axes if a.length > 1
    ]:
        raise Unsupported("reshape of a long axis")
    entries = iter(x.cells.values())
    return self.cells.array(axes, lambda index: next(entries))


def _slice(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    (x,) = args
    starts, steps, kept = [], [], []
    for axis, (start, count, step) in zip(x.axes, node.params, strict=True):
        if axis.kind != "short" and (start, count, step) != (0, axis.size, 1):
            raise Unsupported("a part of a long axis")
        starts.append(self.cells.lengths[start])
        steps.append(step)
        kept.append(count != 0)
    axes = self.cells.axes(node.shape)

    def entry(index: Index) -> Cell:
        places = iter(index)
        at = [s + (next(places) * t if keep else 0) for s, t, keep in zip(starts, steps, kept, strict=True)]
        return x.cells[tuple(at)]

    return self.cells.array(axes, entry)


def _embed(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    (x,) = args
    cuts, _ = node.params
    axes = self.cells.axes(node.shape)
    zero = self.cells.number(0)
    places: dict[Index, Cell] = {}
    for axis, (start, count, step) in zip(axes, cuts, strict=True):
        if axis.kind != "short" and (start, count, step) != (0, axis.size, 1):
            raise Unsupported("a part of a long axis")
    for index, cell in x.cells.items():
        inner = iter(index)
        at = [self.cells.lengths[s] + (next(inner) * t if count != 0 else 0) for s, count, t in cuts]
        places[tuple(at)] = cell
    return self.cells.array(axes, lambda index: places.get(index, zero))


def _concatenate(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    (axis,) = node.params
    a, b = args
    for arg in args:
        self.short_axis(arg, axis, node)
    first = a.axes[axis].length

    def entry(index: Index) -> Cell:
        k = index[axis]
        part, at = (a, k) if k < first else (b, k - first)
        return part.cells[(*index[:axis], at, *index[axis + 1 :])]

    return self.cells.array(self.cells.axes(node.shape), entry)


def _flip(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    (x,), (axis,) = args, node.params
    self.short_axis(x, axis, node)
    last = x.axes[axis].length - 1
    return self.cells.array(
        x.axes, lambda index: x.cells[(*index[:axis], last - index[axis], *index[axis + 1 :])]
    )


def _running(op: Operation) -> Callable[[_Unrolling, Array, int], Array]:
    """x₀, x₀∘x₁, x₀∘x₁∘x₂ …"""

    def run(self: _Unrolling, x: Array, axis: int) -> Array:
        found: dict[Index, Cell] = {}
        for index in indices(x.axes):
            before = (*index[:axis], index[axis] - 1, *index[axis + 1 :])
            cell = x.cells[index]
            found[index] = self.cells.cell(op, [found[before], cell]) if index[axis] else cell
        return Array(x.axes, found)

    return run


def _cumsum(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    self.short_axis(args[0], node.params[0], node)
    return _running(add_op)(self, args[0], node.params[0])


def _prod(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    self.short_axis(args[0], node.params[0], node)
    return self.folded(multiply_op, "prod", args[0], {node.params[0]})


def _prod_others(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    (x,), (axis,) = args, node.params
    self.short_axis(x, axis, node)
    last = x.axes[axis].length - 1

    def turned(index: Index) -> Index:
        return (*index[:axis], last - index[axis], *index[axis + 1 :])

    back = Array(x.axes, {index: x.cells[turned(index)] for index in indices(x.axes)})
    before, after = _running(multiply_op)(self, x, axis), _running(multiply_op)(self, back, axis)

    def entry(index: Index) -> Cell:
        k = index[axis]
        sides = []
        if k > 0:
            sides.append(before.cells[(*index[:axis], k - 1, *index[axis + 1 :])])
        if k < last:
            sides.append(after.cells[(*index[:axis], last - k - 1, *index[axis + 1 :])])
        return self.product(sides) if sides else self.cells.number(1)

    return self.cells.array(x.axes, entry)


def _extreme(how: str, op: Operation) -> Rule:
    def rule(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
        return self.folded(op, how, args[0], set(node.params[0]))

    return rule


def _hardmax(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    """1 at the largest entries, shared by as many as there are."""
    (x,), along = args, set(node.params[0])
    largest = self.spread(self.folded(maximum_op, "max", x, along), x, along)
    hits = self.each(where_op, self.each(equal_op, x, largest), self.like(x, 1), self.like(x, 0))
    return self.each(divide_op, hits, self.spread(self.folded(add_op, "sum", hits, along), x, along))


def _finite_top(self: _Unrolling, x: Array, along: set[int]) -> Array:
    """The largest entry, or 0 in the place of an infinite one."""
    top = self.folded(maximum_op, "max", x, along)
    finite = self.each(equal_op, self.each(subtract_op, top, top), self.like(top, 0))
    return self.each(where_op, finite, top, self.like(top, 0))


def _exponentials(self: _Unrolling, x: Array, top: Array) -> Array:
    """exp(x − top); what rounding takes from the difference is put back (Knuth's TwoSum)."""
    d = self.each(subtract_op, x, top)
    back = self.each(subtract_op, d, x)
    lost = self.each(
        subtract_op, self.each(subtract_op, x, self.each(subtract_op, d, back)), self.each(add_op, top, back)
    )
    near = self.each(greater_op, self.like(x, 800), self.each(abs_op, d))
    lost = self.each(where_op, near, lost, self.like(x, 0))
    e = self.each(exp_op, d)
    return self.each(add_op, e, self.each(multiply_op, e, lost))


def _softmax(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    (x,), along = args, {node.params[0]}
    e = _exponentials(self, x, self.spread(_finite_top(self, x, along), x, along))
    return self.each(divide_op, e, self.spread(self.folded(add_op, "sum", e, along), x, along))


def _log_total(self: _Unrolling, x: Array, along: set[int]) -> tuple[Array, Array]:
    """The largest entry, and how far log Σ exp x is above it."""
    top = _finite_top(self, x, along)
    above = self.spread(top, x, along)
    first = self.each(equal_op, x, above)
    rest = self.each(where_op, first, self.like(x, 0), _exponentials(self, x, above))
    firsts = self.each(where_op, first, self.like(x, 1), self.like(x, 0))
    others = self.each(subtract_op, self.folded(add_op, "sum", firsts, along), self.like(top, 1))
    return top, self.each(log1p_op, self.each(add_op, self.folded(add_op, "sum", rest, along), others))


def _log_softmax(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    (x,), along = args, {node.params[0]}
    top, more = (self.spread(part, x, along) for part in _log_total(self, x, along))
    return self.each(subtract_op, self.each(subtract_op, x, top), more)


def _logsumexp(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    return self.each(add_op, *_log_total(self, args[0], {node.params[0]}))


def _scaled_norm(self: _Unrolling, x: Array, along: set[int]) -> tuple[Array, Array, Array]:
    """(scale, x/scale, the norm of that): the largest entry is taken out, so that squares stay in range."""
    scale = self.folded(maximum_op, "max", self.each(abs_op, x), along)
    proper = self.each(greater_op, scale, self.like(scale, 0))
    finite = self.each(equal_op, self.each(subtract_op, scale, scale), self.like(scale, 0))
    scale = self.each(where_op, proper, self.each(where_op, finite, scale, self.like(scale, 1)), self.like(scale, 1))
    small = self.each(divide_op, x, self.spread(scale, x, along))
    squares = self.folded(add_op, "sum", self.each(multiply_op, small, small), along)
    return scale, small, self.each(sqrt_op, squares)


def _norm(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    (x,) = args
    scale, _, length = _scaled_norm(self, x, set(node.params[0] if node.params else range(len(x.axes))))
    return self.each(multiply_op, scale, length)


def _unit(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    (x,) = args
    along = set(node.params[0] if node.params else range(len(x.axes)))
    _, small, length = _scaled_norm(self, x, along)
    none = self.each(equal_op, length, self.like(length, 0))
    length = self.each(where_op, none, self.like(length, 1), length)
    return self.each(divide_op, small, self.spread(length, x, along))


def _deviations(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    (x,), along = args, set(node.params[0])
    count = 1
    for k in along:
        count *= x.axes[k].length
    for _ in range(2):  # what rounding leaves of the mean is taken away too
        total = self.folded(add_op, "sum", x, along)
        mean = self.each(divide_op, total, self.like(total, count))
        x = self.each(subtract_op, x, self.spread(mean, x, along))
    return x


def _triangle(self: _Unrolling, node: Expr, args: Sequence[Array]) -> Array:
    side, _, _, k = node.params
    upper = side == "triu"
    return self.cells.array(
        self.cells.axes(node.shape),
        lambda at: self.cells.number(float(at[0] + k <= at[1] if upper else at[0] + k >= at[1])),
    )


RULES: Mapping[Operation, Rule] = {
    number_op: _number,
    size_op: _number,
    pi_op: _number,
    eye_op: _eye,
    triangle_op: _triangle,
    power_op: _power,
    reshape_op: _reshape,
    slice_op: _slice,
    embed_op: _embed,
    concatenate_op: _concatenate,
    flip_op: _flip,
    cumsum_op: _cumsum,
    prod_op: _prod,
    prod_others_op: _prod_others,
    max_op: _extreme("max", maximum_op),
    min_op: _extreme("min", minimum_op),
    hardmax_op: _hardmax,
    softmax_op: _softmax,
    log_softmax_op: _log_softmax,
    logsumexp_op: _logsumexp,
    norm_op: _norm,
    unit_op: _unit,
    deviations_op: _deviations,
}
