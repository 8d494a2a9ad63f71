"""Where is an entry of an array in C? Of those that show the entries of others, or that stand still."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Protocol

from gradstep.expression.node import Expr
from gradstep.expression.shapes import Size, plus, times
from gradstep.operations.broadcasting import repeat_op
from gradstep.operations.diagonals import diagonal_matrix_op
from gradstep.operations.entries import concatenate_op, embed_op, reshape_op, slice_op
from gradstep.operations.flips import flip_op
from gradstep.operations.leaves import eye_op, number_op, pi_op, size_op, symbol_op, triangle_op
from gradstep.operations.lookups import one_hot_op, take_op

Index = Sequence[str]


class Entries(Protocol):
    """Who writes entries."""

    def entry(self, node: Expr, index: Index, tight: bool = False) -> str:
        """The entry of `node` at an index; `tight` where something stands around it."""

    def place(self, node: Expr, index: Index) -> str:
        """Where it lies in memory."""


def size_text(size: Size) -> str:
    text = str(size)
    return text if text.isidentifier() or text.isdecimal() else f"({text})"


def grouped(text: str) -> str:
    return text if re.fullmatch(r"\w+", text) else f"({text})"


def number_text(value: int | Fraction) -> str:
    exact = Fraction(value)
    if exact.denominator == 1 and abs(exact) < 2**53:
        return f"{exact.numerator}.0" if exact >= 0 else f"({exact.numerator}.0)"
    return repr(float(exact)) if exact >= 0 else f"({float(exact)!r})"


def _symbol(writing: Entries, node: Expr, index: Index) -> str:
    name = str(node.params[0])
    return f"{name}[{writing.place(node, index)}]" if node.rank else name


def _repeated(writing: Entries, node: Expr, index: Index) -> str:
    axes = node.params[0]
    return writing.entry(node.args[0], [each for k, each in enumerate(index) if k not in axes], True)


def _cut(writing: Entries, node: Expr, index: Index) -> str:
    rest, inner = iter(index), []
    for first, count, step in node.params:
        letter = "0" if count == 0 else next(rest)
        inner.append(size_text(first) if count == 0 else _moved(letter, first, step))
    return writing.entry(node.args[0], inner, True)


def _moved(letter: str, first: Size, step: int) -> str:
    """first + step · letter"""
    scaled = letter if step == 1 else f"{step} * {letter}"
    return scaled if first == 0 else f"({size_text(first)} + {scaled})"


def _embedded(writing: Entries, node: Expr, index: Index) -> str:
    cuts, _ = node.params
    tests, inner = [], []
    for letter, (first, count, step) in zip(index, cuts, strict=True):
        if count == 0:
            tests.append(f"{letter} == {size_text(first)}")
            continue
        stop = size_text(plus(first, times(step, count)))
        tests.append(f"{letter} >= {size_text(first)} && {letter} < {stop}")
        if step != 1:
            tests.append(f"({letter} - {size_text(first)}) % {step} == 0")
        place = f"({letter} - {size_text(first)})"
        inner.append(f"({place} / {step})" if step != 1 else place)
    return f"({' && '.join(tests)} ? {writing.entry(node.args[0], inner)} : 0)"


def _joined(writing: Entries, node: Expr, index: Index) -> str:
    (axis,) = node.params
    first = size_text(node.args[0].shape[axis])
    later = [f"({each} - {first})" if k == axis else each for k, each in enumerate(index)]
    one, other = (writing.entry(arg, where) for arg, where in zip(node.args, (index, later), strict=True))
    return f"({index[axis]} < {first} ? {one} : {other})"


def _flipped(writing: Entries, node: Expr, index: Index) -> str:
    (axis,) = node.params
    back = [
        f"({size_text(node.shape[k])} - 1 - {each})" if k == axis else each for k, each in enumerate(index)
    ]
    return writing.entry(node.args[0], back, True)


def _reshaped(writing: Entries, node: Expr, index: Index) -> str:
    where = grouped(writing.place(node, index) or "0")
    inner, after = [], "1"
    for size in reversed(node.args[0].shape):
        inner.append(f"({where} / ({after}) % {size_text(size)})")
        after = f"{after} * {size_text(size)}"
    return writing.entry(node.args[0], inner[::-1], True)


def _diagonal_matrix(writing: Entries, node: Expr, index: Index) -> str:
    return f"({index[0]} == {index[1]} ? {writing.entry(node.args[0], index[:1])} : 0)"


def _taken(writing: Entries, node: Expr, index: Index) -> str:
    rows, places = node.args
    row = f"(size_t){writing.entry(places, index[: places.rank], True)}"
    return writing.entry(rows, [row, *index[places.rank :]], True)


def _hot(writing: Entries, node: Expr, index: Index) -> str:
    return f"((size_t){writing.entry(node.args[0], index[:-1], True)} == {index[-1]})"


def _triangle(writing: Entries, node: Expr, index: Index) -> str:
    side, _, _, k = node.params
    sign = "<=" if side == "triu" else ">="
    return f"((long){index[0]} + ({k}) {sign} (long){index[1]})"


Place = Callable[[Entries, Expr, Index], str]
PLACES: Mapping[object, Place] = {
    symbol_op: _symbol,
    number_op: lambda writing, node, index: number_text(node.params[0]),
    size_op: lambda writing, node, index: f"(double){size_text(node.params[0])}",
    pi_op: lambda writing, node, index: "3.141592653589793",
    eye_op: lambda writing, node, index: f"({index[0]} == {index[1]})",
    triangle_op: _triangle,
    repeat_op: _repeated,
    slice_op: _cut,
    embed_op: _embedded,
    concatenate_op: _joined,
    flip_op: _flipped,
    reshape_op: _reshaped,
    diagonal_matrix_op: _diagonal_matrix,
    take_op: _taken,
    one_hot_op: _hot,
}
