"""Which lengths must axes have, for the entries that are taken and the windows that slide to be there?"""

from __future__ import annotations

from collections.abc import Iterable

from gradstep.expression.node import Expr
from gradstep.expression.shapes import Shape, Size, minus
from gradstep.operations import entries
from gradstep.operations.convolutions import CHANNELS, CONVOLUTIONS, conv_op, conv_transpose_op
from gradstep.operations.entries import concatenate_op, is_whole, reshape_op, slice_op
from gradstep.operations.pooling import PICKS, POOLS, avg_pool_op, max_pool_op, max_share_op, max_take_op
from gradstep.operations.windows import overlap_add_op, windows_op

SLIDING = CONVOLUTIONS | POOLS | {windows_op, overlap_add_op}
COUNTING = entries.COUNTING | SLIDING  # their axes have lengths that count


def needs(node: Expr) -> Iterable[Size]:
    """What must not be negative, where it depends on sizes by name."""
    if node.op not in SLIDING:
        return entries.needs(node)
    least = [minus(count, 1) for count in _counts(node)]
    if node.op in PICKS:  # else a window may lie between the ends of its axis and beyond
        axes = node.args[-1].shape[-len(node.params[1]) :]
        least += [minus(n, d) for n, (_, p, d) in zip(axes, node.params[1], strict=True) if p]
    return [need for need in least if isinstance(need, str)]


def _counts(node: Expr) -> tuple[Size, ...]:
    """How many windows there are along each axis; of what is put together also the axis itself."""
    if node.op is windows_op:
        return node.shape[-2 * len(node.params[1]) : -len(node.params[1])]
    if node.op is overlap_add_op:
        return node.args[0].shape[-2 * len(node.params[1]) : -len(node.params[1])]
    if node.op is max_share_op:
        return node.shape[-2 * len(node.params[1]) : -len(node.params[1])]
    if node.op in POOLS:
        made = node if node.op in (max_pool_op, max_take_op, avg_pool_op) else node.args[0]
        return made.shape[-len(node.params[1]) :]
    if node.op is conv_transpose_op:
        return (*node.shape[CHANNELS:], *node.args[0].shape[CHANNELS:])
    return (node if node.op is conv_op else node.args[1]).shape[CHANNELS:]


def counted(node: Expr) -> tuple[Size, ...]:
    """The sizes whose lengths count: not those of axes that stay as they are."""
    arg = node.args[0]
    if node.op in CONVOLUTIONS:
        return tuple(
            size for shape in (node.shape, *(a.shape for a in node.args)) for size in shape[CHANNELS:]
        )
    if node.op in SLIDING:
        lead = min(node.rank, arg.rank) - len(node.params[1])
        return (*node.shape[lead:], *arg.shape[lead:])
    if node.op is concatenate_op:
        return tuple(part.shape[node.params[0]] for part in (node, *node.args))
    if node.op is reshape_op:
        return tuple(size for side in regrouped(node) for size in side)
    cuts, shape = (node.params, arg.shape) if node.op is slice_op else node.params
    ends = [(count, size) for (start, count, step), size in zip(cuts, shape, strict=True)]
    return tuple(
        size for cut, end in zip(cuts, ends, strict=True) if not is_whole(cut, end[1]) for size in end
    )


def regrouped(node: Expr) -> tuple[Shape, Shape]:
    """The axes of a new shape, and those that they were, without what stays in front and behind."""
    new, old = node.shape, node.args[0].shape
    while new and old and new[0] == old[0]:
        new, old = new[1:], old[1:]
    while new and old and new[-1] == old[-1]:
        new, old = new[:-1], old[:-1]
    return new, old
