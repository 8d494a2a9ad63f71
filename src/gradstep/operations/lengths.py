"""Which lengths must axes have, for the entries that are taken and the windows that slide to be there?"""

from __future__ import annotations

from collections.abc import Iterable

from gradstep.expression.node import Expr
from gradstep.expression.shapes import Size, minus
from gradstep.operations import entries
from gradstep.operations.convolutions import CHANNELS, CONVOLUTIONS, conv_op, conv_transpose_op
from gradstep.operations.windows import overlap_add_op, windows_op

SLIDING = CONVOLUTIONS | {windows_op, overlap_add_op}
COUNTING = entries.COUNTING | SLIDING  # their axes have lengths that count


def needs(node: Expr) -> Iterable[Size]:
    """What must not be negative, where it depends on sizes by name."""
    if node.op not in SLIDING:
        return entries.needs(node)
    counts = _counts(node)
    return [need for count in counts if isinstance(need := minus(count, 1), str)]


def _counts(node: Expr) -> tuple[Size, ...]:
    """How many windows there are along each axis; of what is put together also the axis itself."""
    if node.op is windows_op:
        return node.shape[-2 * len(node.params[1]) : -len(node.params[1])]
    if node.op is overlap_add_op:
        return node.args[0].shape[-2 * len(node.params[1]) : -len(node.params[1])]
    if node.op is conv_transpose_op:
        return (*node.shape[CHANNELS:], *node.args[0].shape[CHANNELS:])
    return (node if node.op is conv_op else node.args[1]).shape[CHANNELS:]


def counted(node: Expr) -> tuple[Size, ...]:
    """The sizes whose lengths count: not those of axes that stay as they are in front."""
    shapes = (node.shape, *(arg.shape for arg in node.args))
    front = CHANNELS if node.op in CONVOLUTIONS else 0
    return tuple(size for shape in shapes for size in shape[front:])
