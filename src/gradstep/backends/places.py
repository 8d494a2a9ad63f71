"""Where is an entry of an array that shows the entries of others, or that stands still?

Each function gives the entry as text, and how strongly the text holds together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from gradstep.backends.languages import ATOM, CHOICE, COMPARISON, SIGN, Language
from gradstep.expression.node import Expr
from gradstep.expression.shapes import plus, times
from gradstep.operations.broadcasting import repeat_op
from gradstep.operations.diagonals import diagonal_matrix_op
from gradstep.operations.entries import concatenate_op, embed_op, is_whole, reshape_op, slice_op
from gradstep.operations.flips import flip_op
from gradstep.operations.leaves import eye_op, number_op, pi_op, size_op, symbol_op, triangle_op
from gradstep.operations.lookups import one_hot_op, take_op
from gradstep.operations.windows import windows_op

Index = Sequence[str]
Spelled = tuple[str, int]


class Entries(Protocol):
    """Who writes entries."""

    language: Language

    def entry(self, node: Expr, index: Index, holds: int = CHOICE) -> str:
        """The entry of `node` at an index, an expression that holds together so strongly."""

    def place(self, node: Expr, index: Index) -> str:
        """Where it lies in memory."""

    def called_symbol(self, node: Expr) -> str:
        """What a symbol is called."""


def _symbol(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    name = writing.called_symbol(node)
    return (f"{name}[{writing.place(node, index)}]" if node.rank else name), ATOM


def _number(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    text = writing.language.number(node.params[0])
    return text, SIGN if text.startswith("-") else ATOM


def _size(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    text = _tight(writing.language.size(node.params[0]))
    return writing.language.real.format(text), SIGN


def _repeated(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    axes = node.params[0]
    return writing.entry(node.args[0], [each for k, each in enumerate(index) if k not in axes], holds), holds


def _cut(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    rest, inner = iter(index), []
    for first, count, step in node.params:
        letter = "0" if count == 0 else next(rest)
        start = writing.language.size(first)
        scaled = letter if step == 1 else f"{step} * {letter}"
        inner.append(_tight(start) if count == 0 else scaled if first == 0 else f"({start} + {scaled})")
    return writing.entry(node.args[0], inner, holds), holds


def _embedded(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    language = writing.language
    tests, inner = [], []
    for letter, part, size in zip(index, *node.params, strict=True):
        first, count, step = part
        if is_whole(part, size):
            inner.append(letter)
            continue
        start = language.size(first)
        if count == 0:
            tests.append(f"{letter} {language.equals} {_tight(start)}")
            continue
        tests.append(f"{letter} >= {_tight(start)}")
        tests.append(f"{letter} < {_tight(language.size(plus(first, times(step, count))))}")
        place = f"({letter} - {_tight(start)})"
        if step != 1:
            tests.append(f"{place} % {step} {language.equals} 0")
            place = f"({language.quotient.format(place, step)})"
        inner.append(place)
    if not tests:
        return writing.entry(node.args[0], inner, holds), holds
    return f"{' && '.join(tests)} ? {writing.entry(node.args[0], inner)} : {language.number(0)}", CHOICE


def _window(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    """Place j of window i is x at s i + d j."""
    _, paces = node.params
    axes = len(paces)
    slid = zip(index[-2 * axes : -axes], index[-axes:], paces, strict=True)
    places = [f"({i if s == 1 else f'{s} * {i}'} + {j if d == 1 else f'{d} * {j}'})" for i, j, (s, d) in slid]
    return writing.entry(node.args[0], [*index[: -2 * axes], *places], holds), holds


def _joined(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    (axis,) = node.params
    first = _tight(writing.language.size(node.args[0].shape[axis]))
    later = [f"({each} - {first})" if k == axis else each for k, each in enumerate(index)]
    one, other = (
        writing.entry(arg, where, COMPARISON) for arg, where in zip(node.args, (index, later), strict=True)
    )
    return f"{index[axis]} < {first} ? {one} : {other}", CHOICE


def _flipped(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    (axis,) = node.params
    back = [
        f"({_tight(writing.language.size(node.shape[k]))} - 1 - {each})" if k == axis else each
        for k, each in enumerate(index)
    ]
    return writing.entry(node.args[0], back, holds), holds


def _reshaped(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    language = writing.language
    where = _tight(writing.place(node, index) or "0")
    inner, after = [], ""
    for size in reversed(node.args[0].shape):
        length = _tight(language.size(size))
        before = language.quotient.format(where, after) if after else where
        inner.append(f"({before} % {length})")
        after = f"({length} * {after})" if after else length
    return writing.entry(node.args[0], inner[::-1], holds), holds


def _diagonal_matrix(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    entry = writing.entry(node.args[0], index[:1], COMPARISON)
    language = writing.language
    return f"{index[0]} {language.equals} {index[1]} ? {entry} : {language.number(0)}", CHOICE


def _taken(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    rows, places = node.args
    row = writing.language.whole.format(writing.entry(places, index[: places.rank], SIGN))
    return writing.entry(rows, [row, *index[places.rank :]], holds), holds


def _true(writing: Entries, test: str) -> Spelled:
    """A test as a number."""
    one, zero = writing.language.number(1), writing.language.number(0)
    return f"{test} ? {one} : {zero}", CHOICE


def _hot(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    language = writing.language
    place = language.whole.format(writing.entry(node.args[0], index[:-1], SIGN))
    return _true(writing, f"{place} {language.equals} {index[-1]}")


def _eye(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    return _true(writing, f"{index[0]} {writing.language.equals} {index[1]}")


def _triangle(writing: Entries, node: Expr, index: Index, holds: int) -> Spelled:
    side, _, _, k = node.params
    sign = "<=" if side == "triu" else ">="
    row, column = (writing.language.signed.format(each) for each in index)
    shifted = f"{row} + {k}" if k > 0 else f"{row} - {-k}" if k else row
    return _true(writing, f"{shifted} {sign} {column}")


def _tight(text: str) -> str:
    return text if text.replace("_", "").isalnum() else f"({text})"


Place = Callable[[Entries, Expr, Index, int], Spelled]
PLACES: Mapping[object, Place] = {
    symbol_op: _symbol,
    number_op: _number,
    size_op: _size,
    pi_op: lambda writing, node, index, holds: ("3.141592653589793", ATOM),
    eye_op: _eye,
    triangle_op: _triangle,
    repeat_op: _repeated,
    slice_op: _cut,
    embed_op: _embedded,
    concatenate_op: _joined,
    flip_op: _flipped,
    windows_op: _window,
    reshape_op: _reshaped,
    diagonal_matrix_op: _diagonal_matrix,
    take_op: _taken,
    one_hot_op: _hot,
}
