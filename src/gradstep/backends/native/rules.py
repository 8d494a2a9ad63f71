"""What becomes of an operation on arrays when arrays are written out as cells?

Here are those that are more than an operation on entries or a sum of products.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from gradstep.backends.native.arrays import Arrays
from gradstep.backends.native.cells import Array, Cell, Index, Unsupported, indices
from gradstep.expression.node import Expr, Operation
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
from gradstep.operations.leaves import eye_op, number_op, pi_op, size_op, triangle_op, value_of
from gradstep.operations.norms import norm_op, unit_op
from gradstep.operations.precise import log1p_op
from gradstep.operations.rowwise import log_softmax_op, logsumexp_op, softmax_op

Rule = Callable[[Arrays, Expr, Sequence[Array]], Array]


def _number(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
    value = (
        math.pi if node.op is pi_op else self.cells.lengths[node.params[0]] if node.op is size_op else None
    )
    cell = self.cells.number(float(node.params[0]) if value is None else value)
    return self.cells.array((), lambda index: cell)


def _eye(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
    axes = self.cells.axes(node.shape)
    return self.cells.array(axes, lambda index: self.cells.number(float(index[0] == index[1])))


def _power(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
    exponent = value_of(node.args[1])
    if exponent is None:
        return self.entrywise(node, args)
    base = args[0]
    return self.each(power_op, base, params=(Fraction(exponent),))


def _reshape(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
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


def _slice(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
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


def _embed(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
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


def _concatenate(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
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


def _flip(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
    (x,), (axis,) = args, node.params
    self.short_axis(x, axis, node)
    last = x.axes[axis].length - 1
    return self.cells.array(
        x.axes, lambda index: x.cells[(*index[:axis], last - index[axis], *index[axis + 1 :])]
    )


def _running(op: Operation) -> Callable[[Arrays, Array, int], Array]:
    """x₀, x₀∘x₁, x₀∘x₁∘x₂ …"""

    def run(self: Arrays, x: Array, axis: int) -> Array:
        found: dict[Index, Cell] = {}
        for index in indices(x.axes):
            before = (*index[:axis], index[axis] - 1, *index[axis + 1 :])
            cell = x.cells[index]
            found[index] = self.cells.cell(op, [found[before], cell]) if index[axis] else cell
        return Array(x.axes, found)

    return run


def _cumsum(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
    self.short_axis(args[0], node.params[0], node)
    return _running(add_op)(self, args[0], node.params[0])


def _prod(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
    self.short_axis(args[0], node.params[0], node)
    return self.folded(multiply_op, "prod", args[0], {node.params[0]})


def _prod_others(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
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
    def rule(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
        return self.folded(op, how, args[0], set(node.params[0]))

    return rule


def _hardmax(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
    """1 at the largest entries, shared by as many as there are."""
    (x,), along = args, set(node.params[0])
    largest = self.spread(self.folded(maximum_op, "max", x, along), x, along)
    hits = self.each(where_op, self.each(equal_op, x, largest), self.like(x, 1), self.like(x, 0))
    return self.each(divide_op, hits, self.spread(self.folded(add_op, "sum", hits, along), x, along))


def _finite_top(self: Arrays, x: Array, along: set[int]) -> Array:
    """The largest entry, or 0 in the place of an infinite one."""
    top = self.folded(maximum_op, "max", x, along)
    finite = self.each(equal_op, self.each(subtract_op, top, top), self.like(top, 0))
    return self.each(where_op, finite, top, self.like(top, 0))


def _exponentials(self: Arrays, x: Array, top: Array) -> Array:
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


def _softmax(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
    (x,), along = args, {node.params[0]}
    e = _exponentials(self, x, self.spread(_finite_top(self, x, along), x, along))
    total = self.folded(add_op, "sum", e, along)  # at least 1, so that its reciprocal is in range
    return self.each(multiply_op, e, self.spread(self.each(divide_op, self.like(total, 1), total), x, along))


def _log_total(self: Arrays, x: Array, along: set[int]) -> tuple[Array, Array]:
    """The largest entry, and how far log Σ exp x is above it."""
    top = _finite_top(self, x, along)
    above = self.spread(top, x, along)
    first = self.each(equal_op, x, above)
    rest = self.each(where_op, first, self.like(x, 0), _exponentials(self, x, above))
    firsts = self.each(where_op, first, self.like(x, 1), self.like(x, 0))
    others = self.each(subtract_op, self.folded(add_op, "sum", firsts, along), self.like(top, 1))
    return top, self.each(log1p_op, self.each(add_op, self.folded(add_op, "sum", rest, along), others))


def _log_softmax(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
    (x,), along = args, {node.params[0]}
    top, more = (self.spread(part, x, along) for part in _log_total(self, x, along))
    return self.each(subtract_op, self.each(subtract_op, x, top), more)


def _logsumexp(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
    return self.each(add_op, *_log_total(self, args[0], {node.params[0]}))


def _scaled_norm(self: Arrays, x: Array, along: set[int]) -> tuple[Array, Array, Array]:
    """(scale, x/scale, the norm of that): the largest entry is taken out, so that squares stay in range."""
    scale = self.folded(maximum_op, "max", self.each(abs_op, x), along)
    proper = self.each(greater_op, scale, self.like(scale, 0))
    finite = self.each(equal_op, self.each(subtract_op, scale, scale), self.like(scale, 0))
    scale = self.each(
        where_op, proper, self.each(where_op, finite, scale, self.like(scale, 1)), self.like(scale, 1)
    )
    small = self.each(divide_op, x, self.spread(scale, x, along))
    squares = self.folded(add_op, "sum", self.each(multiply_op, small, small), along)
    return scale, small, self.each(sqrt_op, squares)


def _norm(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
    (x,) = args
    scale, _, length = _scaled_norm(self, x, set(node.params[0] if node.params else range(len(x.axes))))
    return self.each(multiply_op, scale, length)


def _unit(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
    (x,) = args
    along = set(node.params[0] if node.params else range(len(x.axes)))
    _, small, length = _scaled_norm(self, x, along)
    none = self.each(equal_op, length, self.like(length, 0))
    length = self.each(where_op, none, self.like(length, 1), length)
    return self.each(divide_op, small, self.spread(length, x, along))


def _deviations(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
    (x,), along = args, set(node.params[0])
    count = 1
    for k in along:
        count *= x.axes[k].length
    for _ in range(2):  # what rounding leaves of the mean is taken away too
        total = self.folded(add_op, "sum", x, along)
        mean = self.each(divide_op, total, self.like(total, count))
        x = self.each(subtract_op, x, self.spread(mean, x, along))
    return x


def _triangle(self: Arrays, node: Expr, args: Sequence[Array]) -> Array:
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
