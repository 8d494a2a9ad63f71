"""In which single places can a formula be changed as people change it by mistake?

An edit drops a factor or a term, turns a sign, forgets a transpose, changes a number, sums along another axis
or takes another part: one place of an expression, everything else as it was. It is a general machine: it
knows the operations, no formula.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, rebuild, replace, walk
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    equal_op,
    greater_equal,
    greater_equal_op,
    greater_op,
    multiply_op,
    negate_op,
    not_equal_op,
    power_op,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat, repeat_op, sum_op
from gradstep.operations.leaves import number, number_op, value_of
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op, outer, outer_op
from gradstep.operations.rowwise import log_softmax_op, softmax_op
from gradstep.operations.sums import count
from gradstep.operations.sums import sum as total

Words = tuple[str | Expr, ...]
MASKS: frozenset[Operation] = frozenset({greater_op, greater_equal_op, equal_op, not_equal_op})
ROWWISE = (softmax_op, log_softmax_op)


@dataclass(frozen=True, slots=True)
class Edit:
    """`expr` with one place changed: `place` stood there; `gone` is a factor that is lost or too much."""

    kind: str
    words: Words
    expr: Expr
    place: Expr
    gone: Expr | None = None


@dataclass(frozen=True, slots=True)
class Local:
    """What may stand in the place of a node: which kind of change it is, in words."""

    kind: str
    words: Words
    new: Expr
    gone: Expr | None = None


def edits(
    expr: Expr,
    *,
    still: Collection[Expr] = (),
    whole: Expr | None = None,
    parts: Sequence[Expr] = (),
    mending: bool = False,
) -> Iterator[Edit]:
    """Every single edit of `expr`; what is in `still` is an atom: nothing beneath it is changed.

    `whole` is a factor that may not be dropped. `parts` may stand in each other's places, and be factors that
    are missing or too much. With `mending` the words say how a wrong formula becomes right, else what a
    right one has lost.
    """
    order = list(walk(expr, stop=still.__contains__))
    holding = {node for node in order if node is whole}
    for node in order:
        if not holding.isdisjoint(node.args):
            holding.add(node)
    where = expr, order, still
    yield from _changed(*where, lambda node: _other_masks(node, parts))
    yield from _changed(*where, lambda node: () if node in still else _local(node, holding, mending))
    yield from _all_axes(*where, mending)
    yield from _changed_operands(*where, lambda arg: _leaf(arg, mending))
    yield from _changed(*where, lambda node: _other_parts(node, parts))
    yield from _changed_operands(*where, lambda arg: _other_parts(arg, parts))


Changes = Callable[[Expr], Iterable[Local]]


def _changed(expr: Expr, order: Sequence[Expr], still: Collection[Expr], changes: Changes) -> Iterator[Edit]:
    """The formula with one node changed, wherever it stands."""
    for node in reversed(order):
        for change in changes(node):
            made = exchanged(expr, {node: change.new}, order, still)
            if made is not None:
                yield Edit(change.kind, change.words, made, node, change.gone)


def _changed_operands(
    expr: Expr, order: Sequence[Expr], still: Collection[Expr], changes: Changes
) -> Iterator[Edit]:
    """The formula with one operand of one node changed: in this place alone."""
    for node in reversed(order):
        for k, arg in enumerate(node.args) if node not in still else ():
            for change in changes(arg):
                args = [change.new if j == k else other for j, other in enumerate(node.args)]
                try:
                    table = {node: rebuild(node, args)}
                except MathError:
                    continue
                made = exchanged(expr, table, order, still)
                if made is not None:
                    yield Edit(change.kind, change.words, made, arg, change.gone)


def exchanged(
    expr: Expr, table: Mapping[Expr, Expr], order: Sequence[Expr], still: Collection[Expr]
) -> Expr | None:
    """`expr` with other nodes in the places of some, or None where the shapes do not allow it."""
    done: dict[Expr, Expr] = {}
    try:
        for node in order:
            if node in table:
                done[node] = table[node]
            elif node in still or not node.args:
                done[node] = node
            else:
                done[node] = rebuild(node, [done[arg] for arg in node.args])
    except MathError:
        return None
    made = done[expr]
    return made if made is not expr else None


def _local(node: Expr, holding: Collection[Expr], mending: bool) -> Iterator[Local]:
    """What may stand in the place of a node."""
    yield from _signs_and_terms(node, mending)
    yield from _factors(node, holding, mending)
    yield from _products(node)
    yield from _axes(node, mending)
    yield from _leaf(node, mending)
    value = value_of(node) if node.op is number_op else None
    if value is not None:
        for other in dict.fromkeys((value * 2, value / 2, -value, value + 1, value - 1, 1 - value)):
            if other not in (value, 0):
                new = number(other)
                words = (new, " should stand where ", node, " stands")
                yield Local("factor", words if mending else _mirrored(words), new)


def _mirrored(words: Words) -> Words:
    """From how a wrong formula is mended to how a right one is spoiled."""
    new, _, old, _ = words
    return (new, " stands where ", old, " should stand")


def _leaf(node: Expr, mending: bool) -> Iterator[Local]:
    """A transpose that is missing or too much; a mask the wrong way round."""
    if node.op is transpose_op:
        words: Words = (node, " should not be transposed") if mending else _untransposed(node.args[0])
        yield Local("transpose", words, node.args[0])
    elif node.rank == 2 and node.shape[0] == node.shape[1]:
        words = _untransposed(node) if mending else (node, " is transposed")
        yield Local("transpose", words, node.mT)
    if node.op in (greater_op, greater_equal_op):
        a, b = node.args
        words = ("the condition ", node, " is the wrong way round")
        yield Local("mask", words, greater_equal(b, a))


def _untransposed(node: Expr) -> Words:
    return ("the transpose of ", node, " is missing")


def _signs_and_terms(node: Expr, mending: bool) -> Iterator[Local]:
    kind, lost = ("extra term", " is too much") if mending else ("missing term", " is missing")
    match node.args:
        case a, b if node.op in (add_op, subtract_op):
            added = node.op is add_op
            yield Local("sign", ("the sign of ", b, " is wrong"), a - b if added else a + b)
            yield Local("sign", ("the sign of ", a, " is wrong"), b - a if added else -a - b)
            yield Local(kind, ("the term ", b, lost), a, b)
            yield Local(kind, ("the term ", a, lost), b if added else -b, a)
        case (a,) if node.op is negate_op:
            yield Local("sign", ("the sign of ", a, " is wrong"), a)


def _factors(node: Expr, holding: Collection[Expr], mending: bool) -> Iterator[Local]:
    lost = " is too much" if mending else " is missing"
    if node.op in (multiply_op, scale_op):
        a, b = node.args
        for kept, gone in ((b, a), (a, b)):
            if kept.shape == node.shape and gone not in holding and not is_ones(gone):
                yield Local("factor", ("the factor ", gone, lost), kept, gone)
    if node.op is divide_op and node.args[0].shape == node.shape and node.args[1] not in holding:
        yield Local("factor", ("the division by ", node.args[1], lost), node.args[0], node.args[1])
    if node.op is power_op and (n := value_of(node.args[1])) is not None:
        for other in (n + 1, n - 1, -n, n * 2, n / 2):
            if other not in (0, n):
                made = node.args[0] if other == 1 else node.args[0] ** number(other)
                words = (made, " should stand where ", node, " stands")
                yield Local("power", words if mending else _mirrored(words), made)


def is_ones(node: Expr) -> bool:
    """Whether every entry is one."""
    return value_of(node) == 1 or (node.op is repeat_op and value_of(node.args[0]) == 1)


def _products(node: Expr) -> Iterator[Local]:
    match node.args:
        case a, b if node.op is matmul_op and a.shape == b.shape == node.shape and a.rank == 2:
            words: Words = ("the factors ", a, " and ", b, " stand in the wrong order")
            yield Local("order", words, b @ a)
            words = ("this should be a product of entries, not of matrices: ", node)
            yield Local("product", words, a * b)
        case a, b if node.op is outer_op and a.shape == b.shape:
            words = ("the factors ", a, " and ", b, " stand in the wrong order")
            yield Local("order", words, outer(b, a))
        case a, b if node.op is multiply_op and node.rank == 2 and node.shape[0] == node.shape[1]:
            words = ("this should be a product of matrices, not of entries: ", node)
            yield Local("product", words, a @ b)


def _axes(node: Expr, mending: bool) -> Iterator[Local]:
    """A sum along another axis, a mean for a sum."""
    for axis, other in _reductions(node):
        new = _reduced(node, axis, other)
        if new is not None:
            yield Local("axis", _along("the sum", "runs", axis, other, mending), new)
    if node.op in ROWWISE:
        axis, rank = node.params[0] % node.rank, node.rank
        for other in range(rank):
            if other != axis:
                new = node.op(*node.args, params=(other, *node.params[1:]))
                yield Local("axis", _along(node.op.name, "runs", axis, other, mending), new)
    if node.op is sum_op and mending:
        sizes = [node.args[0].shape[k] for k in node.params[0]]
        yield Local("mean", ("this sum should be a mean: ", node), node / count(sizes))
        if len(sizes) == 1 and node.args[0].rank > 1:
            (axis,) = node.params[0]
            for other in range(node.args[0].rank):
                if other != axis:
                    words = _along("the sum", "runs", axis, other, mending)
                    yield Local("axis", words, total(node.args[0], other))


def _along(what: str, runs: str, axis: int, other: int, mending: bool) -> Words:
    """Along which axis a wrong formula goes, and along which a right one."""
    wrong, right = (axis, other) if mending else (other, axis)
    they = "it" if runs == "runs" else "they"
    return (f"{what} {runs} along axis {wrong}, {they} should run along axis {right}",)


def _reductions(node: Expr) -> Iterator[tuple[int, int]]:
    """The axis along which `node` repeats a sum or a mean, and each other one."""
    if node.op is repeat_op and len(node.params[0]) == 1:
        (axis,) = node.params[0]
        yield from ((axis, other) for other in range(node.rank) if other != axis)


def _reduced(node: Expr, axis: int, other: int) -> Expr | None:
    """The same along another axis: Σ over it, repeated, where `node` repeats Σ or a mean over `axis`."""
    if node.op is not repeat_op or node.params[0] != (axis,):
        return None
    inner = node.args[0]
    factor, added = inner.args if inner.op is scale_op else (number(1), inner)
    if added.op is not sum_op or added.params[0] != (axis,) or added.args[0].shape != node.shape:
        return None
    rows, columns = node.shape[axis], node.shape[other]
    counted = replace(factor, {count([rows]): count([columns])})
    return repeat(counted * total(added.args[0], other), other, columns)


def _all_axes(expr: Expr, order: Sequence[Expr], still: Collection[Expr], mending: bool) -> Iterator[Edit]:
    """Every sum and mean along one axis taken along another."""
    pairs = dict.fromkeys(pair for node in order if node not in still for pair in _reductions(node))
    for axis, other in pairs:
        done: dict[Expr, Expr] = {}
        for node in order:
            same = node in still or not node.args
            new = node if same else rebuild(node, [done[arg] for arg in node.args])
            turned = None if same else _reduced(new, axis, other)
            done[node] = new if turned is None else turned
        if done[expr] is not expr:
            words = _along("the sums", "run", axis, other, mending)
            yield Edit("axis", words, done[expr], expr)


def _other_masks(node: Expr, parts: Sequence[Expr]) -> Iterator[Local]:
    """Another condition of the same shape."""
    for part in parts if node.op in MASKS else ():
        if part.op in MASKS and part is not node and part.shape == node.shape:
            yield Local("mask", (part, " should stand where ", node, " stands"), part)


def _for_each(node: Expr, part: Expr) -> Iterator[Local]:
    """A factor that is missing beside each row, or each column, of a matrix."""
    for axes, word in ((range(part.rank, node.rank), "column"), (range(node.rank - part.rank), "row")):
        if tuple(size for k, size in enumerate(node.shape) if k not in axes) == part.shape:
            factor = repeat(part, tuple(axes), tuple(node.shape[k] for k in axes))
            each = word if node.rank == 2 else "part"
            words: Words = (
                "the factor ",
                part,
                f" is missing: each {each} of ",
                node,
                " is multiplied by it",
            )
            yield Local("mask" if part.op in MASKS else "factor", words, node * factor, part)


def _other_parts(node: Expr, parts: Sequence[Expr]) -> Iterator[Local]:
    """Another part of the same shape; a part that is missing as a factor, or one too much."""
    for part in parts:
        if 0 < part.rank < node.rank:
            yield from _for_each(node, part)
        if part is node or part.shape != node.shape or is_ones(part):
            continue
        kind = "mask" if part.op in MASKS else "factor"
        beside: Words = ("the factor ", part, " is missing beside ", node)
        yield Local(kind, beside, node * part, part)
        if part.op not in MASKS and value_of(part) != 0:
            words: Words = ("the factor ", part, " beside ", node, " is too much")
            yield Local(kind, words, node / part, part)
    if node in set(parts):
        for part in parts:
            if part is not node and part.shape == node.shape:
                yield Local("part", (part, " should stand where ", node, " stands"), part)
