"""How does an array in another shape read at indices? By blocks: what is cut, or stands side by side.

An entry of the n×h×k array that an n×(h·k) matrix is cut into is an entry of block h, W⁽ʰ⁾ᵢⱼ, or stands at
place k h + j of row i; an entry of blocks put side by side is an entry of [W₁ ⋯ W_h].
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Protocol

from gradstep.calculus.cotangents import cotangent_op
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Size, plus, times
from gradstep.notation.blocks import block, groups
from gradstep.notation.indices import Index, join_op
from gradstep.operations.entries import reshape
from gradstep.operations.leaves import eye_op, symbol_op

MATRIX = 2  # axes


class Lower(Protocol):
    """What writes an expression at indices."""

    @property
    def named(self) -> Container[Expr]:
        """The parts that go by their names."""

    def __call__(self, expr: Expr, indices: Sequence[Index], taken: frozenset[str] = ...) -> Expr:
        """An expression at indices."""

    def entry(self, of: Expr, at: tuple[Index, ...]) -> Expr:
        """An entry of something."""

    def opened(self, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
        """An entry of an operation that stays whole."""

    def is_lowered(self, size: Size) -> bool:
        """Whether an axis of this size becomes an index."""

    def letter(self, size: Size, taken: Container[str]) -> str:
        """A letter for an index that is free."""


Step = tuple[
    int, str, Size, Size | None
]  # an axis, its index, how many blocks, their size where they are cut


def regrouped(lower: Lower, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
    """What was one long row is read at i·n + j; of an identity so on both sides; all else by its blocks."""
    (arg,) = expr.args
    if all(at) and arg.rank == 1:
        return lower(arg, [_flat(at, expr.shape)], taken)
    if all(at) and arg.op is eye_op:
        for k in range(1, expr.rank):
            if times(1, *expr.shape[:k]) == arg.shape[0]:
                sides = _flat(at[:k], expr.shape[:k]), _flat(at[k:], expr.shape[k:])
                return lower(arg, sides, taken)
    return _blocks(lower, expr, at, taken)


def one_block(lower: Lower, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
    """An entry of block h of what has a name; of anything else at the place where it stands in the whole."""
    (arg,), (axis, index, count, inner) = expr.args, expr.params
    named = arg in lower.named or arg.op in (symbol_op, cotangent_op)
    if named and (at[axis] or at.count(None) < MATRIX):
        return lower.entry(expr, at)
    if at[axis] is None:
        return block(lower(arg, at, taken), at[:axis].count(None), index, count, inner)
    place = str(plus(times(inner, index), str(at[axis])))
    return lower(arg, [place if k == axis else i for k, i in enumerate(at)], taken)


def _blocks(lower: Lower, expr: Expr, at: tuple[Index, ...], taken: frozenset[str]) -> Expr:
    """Runs of axes that stay as they are, that an index cuts into blocks, or along which blocks join."""
    (arg,) = expr.args
    whole = arg
    inner: list[Index] = [None] * arg.rank
    joins: list[tuple[str, Size, int]] = []  # index, how many blocks, and along which axis
    axes = 0  # before this run, of what has no index inside
    left: list[Size] = []  # its shape at the end
    outside: list[Index] = []  # and its indices there
    for run in groups(arg.shape, expr.shape):
        before, after = map(list, run)
        if all(at):  # an axis of length 1 has one place
            inner = ["0" if k in before and arg.shape[k] == 1 else i for k, i in enumerate(inner)]
            before = [k for k in before if arg.shape[k] != 1]
            after = [k for k in after if expr.shape[k] != 1]
        own, sizes = [at[k] for k in after], [arg.shape[k] for k in before]
        first, *others = own or [None]
        if not before and not after:
            continue
        if len(before) == len(after) == 1:
            inner[before[0]] = first
            left += [] if first else sizes
            outside += [] if first else [None]
            axes += first is None
        elif len(before) == 1 and len(after) == 2 and first:
            (last,), (count, size) = others, (expr.shape[k] for k in after)
            whole = block(whole, before[0], first, count, size)
            inner[before[0]] = last
            left += [] if last else [size]
            outside += [] if last else [None]
            axes += last is None
        elif (len(before), len(after)) == (2, 1) and [*map(lower.is_lowered, sizes)] == [True, all(at)]:
            letter = lower.letter(sizes[0], taken)
            taken |= {letter}
            inner[before[0]] = letter
            joins.append((letter, sizes[0], axes))
            left.append(times(*sizes))
            outside.append(first)
            axes += 1
        elif not any(own) and not any(map(lower.is_lowered, sizes)):
            left += [expr.shape[k] for k in after]
            outside += own
            axes += len(before)
        else:
            return lower.opened(expr, at, taken)
    result = lower(whole, inner, taken)
    for params in joins:
        result = join_op(result, params=params)
    if left:
        result = reshape(result, tuple(left))
    return lower.entry(result, tuple(outside)) if any(outside) else result


def _flat(at: Sequence[Index], shape: Sequence[Size]) -> str:
    """The place in a row of all entries: i·n + j of an m×n array."""
    flat: Size = 0
    for index, size in zip(at, shape, strict=True):
        flat = plus(times(flat, size), str(index))
    return str(flat)
