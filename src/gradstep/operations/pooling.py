"""Pooling: what is the largest entry, or the mean, of each window? Windows slide along the last axes.

Where entries of a window tie, they share equally, as in every maximum here (PyTorch gives all to the first).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Size, listed_sizes, shape_text
from gradstep.operations.extremes import max
from gradstep.operations.leaves import checked_size, expression
from gradstep.operations.sums import mean
from gradstep.operations.windows import Whole, named, padded, whole_numbers, windows


def _windows(
    name: str, axes: int, x: Expr, size: Size | Sequence[Size], stride: Whole | None, gap: Whole
) -> Expr:
    """The windows of a pooling; they lie side by side where no stride is said."""
    given = tuple(map(checked_size, listed_sizes(size)))
    lengths = given * axes if len(given) == 1 else given
    if len(lengths) != axes:
        raise MathError(f"{name} takes one size for all axes or {axes}, not {len(lengths)}")
    if x.rank < axes:
        raise MathError(f"{name} slides along {axes} axes", facts=[f"its operand is {shape_text(x.shape)}"])
    if stride is None:
        if not all(isinstance(length, int) for length in lengths):
            raise MathError(f"{name} needs a stride where a window has a size by name", mend="stride=1")
        stride = [length for length in lengths if isinstance(length, int)]
    return windows(x, lengths, stride, gap)


def _max_pool(axes: int) -> Callable[..., Expr]:
    def max_pool(
        X: Expr, size: Size | Sequence[Size], stride: Whole | None = None, dilation: Whole = 1
    ) -> Expr:
        parts = _windows(f"max_pool{axes}d", axes, expression(X), size, stride, dilation)
        return max(parts, axis=tuple(range(-axes, 0)))

    return max_pool


def _avg_pool(axes: int) -> Callable[..., Expr]:
    def avg_pool(
        X: Expr, size: Size | Sequence[Size], stride: Whole | None = None, padding: Whole = 0
    ) -> Expr:
        x = expression(X)
        around = whole_numbers("padding", padding, axes, 0)
        if x.rank >= axes:
            x = padded(x, around)
        return mean(_windows(f"avg_pool{axes}d", axes, x, size, stride, 1), axis=tuple(range(-axes, 0)))

    return avg_pool


_MAX = """PyTorch's max_pool{0}d without padding: the largest entry of each window along {1}.

    Windows of this size lie side by side, or begin `stride` apart; entries are `dilation` apart. Where
    entries tie they share the slope.
    """
_MEAN = """PyTorch's avg_pool{0}d: the mean of each window along {1}; zeros that stand around count.

    Windows of this size lie side by side, or begin `stride` apart.
    """
max_pool1d = named("max_pool1d", _max_pool(1), _MAX.format(1, "the last axis"))
max_pool2d = named("max_pool2d", _max_pool(2), _MAX.format(2, "the last two axes"))
avg_pool1d = named("avg_pool1d", _avg_pool(1), _MEAN.format(1, "the last axis"))
avg_pool2d = named("avg_pool2d", _avg_pool(2), _MEAN.format(2, "the last two axes"))
