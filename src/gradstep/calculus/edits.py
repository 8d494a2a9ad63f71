"""In which single places can a formula be changed as people change it by mistake?

An edit drops a factor or a term, turns a sign, forgets a transpose, changes a number, sums along another axis
or takes another part: one place of an expression, everything else as it was. It is a general machine: it
knows the operations, no formula.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, rebuild, walk
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    multiply_op,
    negate_op,
    power_op,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat, repeat_op, sum_op
from gradstep.operations.leaves import number, number_op, value_of
from gradstep.operations.products import matmul_op, transpose_op
from gradstep.operations.rowwise import log_softmax_op, softmax_op
from gradstep.operations.sums import count
from gradstep.operations.sums import sum as total

Words = tuple[str | Expr, ...]
Local = tuple[str, Words, Expr]  # what kind, in words, and what stands in the place of a node


@dataclass(frozen=True, slots=True)
class Edit:
    """`expr` with one place changed: `place` is what stood there."""

    kind: str
    words: Words
    expr: Expr
    place: Expr

    @property
    def gone(self) -> Expr | None:
        """The formula in the words, where there is one only."""
        found = [part for part in self.words if isinstance(part, Expr)]
        return found[0] if len(found) == 1 else None


def edits(
    expr: Expr,
    *,
    still: Collection[Expr] = (),
    whole: Expr | None = None,
    parts: Sequence[Expr] = (),
    mending: bool = False,
) -> Iterator[Edit]:
    """Every single edit of `expr`, nothing beneath the nodes in `still` being changed.

    `whole` is a factor that may not be dropped. `parts` may stand in each other's places. With `mending` the
    words say how a wrong formula becomes right, else what a right one has lost.
    """
    order = list(walk(expr, stop=lambda node: node in still))
    for node in reversed(order):
        if node in still:
            continue
        changes = [*_local(node, whole, mending), *_other_parts(node, parts)]
        for kind, words, new in changes:
            made = _exchanged(expr, node, new, order, still)
            if made is not None and made is not expr:
                yield Edit(kind, words, made, node)


def _exchanged(
    expr: Expr, old: Expr, new: Expr, order: Sequence[Expr], still: Collection[Expr]
) -> Expr | None:
    """`expr` with `new` in the place of `old`, or None where the shapes do not allow it."""
    done: dict[Expr, Expr] = {}
    try:
        for node in order:
            if node is old:
                done[node] = new
            elif node in still or not node.args:
                done[node] = node
            else:
                done[node] = rebuild(node, [done[arg] for arg in node.args])
    except MathError:
        return None
    made = done[expr]
    return made if made.shape == expr.shape else None


def _local(node: Expr, whole: Expr | None, mending: bool) -> Iterator[Local]:
    """What may stand in the place of a node."""
    yield from _signs_and_terms(node, mending)
    yield from _factors(node, whole, mending)
    yield from _products(node, mending)
    yield from _axes(node, mending)
    value = value_of(node) if node.op is number_op else None
    if value is not None:
        for other in dict.fromkeys((value * 2, value / 2, -value, value + 1, value - 1, 1 - value)):
            if other not in (value, 0):
                yield "factor", _instead(number(other), node, mending), number(other)


def _instead(new: Expr, old: Expr, mending: bool) -> Words:
    return (
        (new, " should stand where ", old, " stands") if mending else (new, " stands where ", old, " should")
    )


def _signs_and_terms(node: Expr, mending: bool) -> Iterator[Local]:
    lost = ("the term ", " is too much") if mending else ("the term ", " is missing")
    match node.args:
        case a, b if node.op in (add_op, subtract_op):
            kind = "extra term" if mending else "missing term"
            turned = a - b if node.op is add_op else a + b
            yield "sign", ("the sign of ", b, " is wrong"), turned
            yield "sign", ("the sign of ", a, " is wrong"), b - a if node.op is add_op else -a - b
            yield kind, (lost[0], b, lost[1]), a
            yield kind, (lost[0], a, lost[1]), b if node.op is add_op else -b
        case (a,) if node.op is negate_op:
            yield "sign", ("the sign of ", a, " is wrong"), a


def _factors(node: Expr, whole: Expr | None, mending: bool) -> Iterator[Local]:
    lost = " is too much" if mending else " is missing"
    if node.op in (multiply_op, scale_op):
        a, b = node.args
        for kept, gone in ((b, a), (a, b)):
            if kept.shape == node.shape and (whole is None or whole in set(walk(kept))):
                yield "missing factor" if not mending else "factor", ("the factor ", gone, lost), kept
    if node.op is divide_op:
        a, b = node.args
        if a.shape == node.shape and (whole is None or whole in set(walk(a))):
            yield "missing factor" if not mending else "factor", ("the division by ", b, lost), a
    if node.op is power_op and (n := value_of(node.args[1])) is not None:
        for other in (n + 1, n - 1, -n, n * 2, n / 2):
            if other not in (0, n):
                made = node.args[0] if other == 1 else node.args[0] ** number(other)
                yield (
                    "power",
                    ("the power should be ", number(other))
                    if mending
                    else ("the power should be ", number(n)),
                    made,
                )


def _products(node: Expr, mending: bool) -> Iterator[Local]:
    if node.op is transpose_op:
        words: Words = (
            (node, " should not be transposed")
            if mending
            else ("the transpose of ", node.args[0], " is missing")
        )
        yield "transpose", words, node.args[0]
    elif node.rank == 2 and node.shape[0] == node.shape[1] and node.op is not matmul_op:
        words = ("the transpose of ", node, " is missing") if mending else (node, " is transposed")
        yield "transpose", words, node.T
    if node.op is matmul_op:
        a, b = node.args
        if a.rank == b.rank == 2 and a.shape == b.shape == node.shape:
            yield "order", ("the factors ", a, " and ", b, " stand in the wrong order"), b @ a
            words = ("this should be a product of entries, not of matrices: ", node)
            yield "product", words, a * b
    if node.op is multiply_op and node.rank == 2 and node.shape[0] == node.shape[1]:
        a, b = node.args
        yield "product", ("this should be a product of matrices, not of entries: ", node), a @ b


def _axes(node: Expr, mending: bool) -> Iterator[Local]:
    """A sum along another axis, a mean for a sum."""
    if node.op is repeat_op and node.args[0].op is sum_op:
        inner = node.args[0].args[0]
        rows, axes = node.args[0].params[0], node.params[0]
        if inner.shape == node.shape and rows == axes and len(axes) == 1:
            for axis in range(inner.rank):
                if axis != axes[0]:
                    words: Words = (f"the sum runs along axis {axes[0]}, it should run along axis {axis}",)
                    yield "axis", words, repeat(total(inner, axis), axis, inner.shape[axis])
    if node.op in ROWWISE:
        axis, rank = node.params[0], node.rank
        for other in range(rank):
            if other != axis % rank:
                words = (f"{node.op.name} runs along axis {axis}, it should run along axis {other}",)
                yield "axis", words, node.op(*node.args, params=(other, *node.params[1:]))
    if node.op is sum_op and mending:
        sizes = [node.args[0].shape[k] for k in node.params[0]]
        yield "mean", ("this sum should be a mean: ", node), node / count(sizes)


ROWWISE = (softmax_op, log_softmax_op)


def _other_parts(node: Expr, parts: Sequence[Expr]) -> Iterator[Local]:
    """Another part of the same shape: z where a should stand."""
    if not parts or node not in set(parts):
        return
    for part in parts:
        if part is not node and part.shape == node.shape:
            yield "part", (part, " should stand where ", node, " stands"), part
