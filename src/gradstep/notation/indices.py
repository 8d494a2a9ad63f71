"""What has an index? An entry of an array, a sum or a product over an index, a choice by where the index is.

An index is a letter, or a place that a letter leads to ("i+1", "n-1-i"), or a fixed place ("0").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import reduce
from weakref import WeakKeyDictionary

from gradstep.calculus.cotangents import cotangent_op
from gradstep.expression.boxes import (
    ATOM,
    POWER,
    PRODUCT,
    SUM,
    Accent,
    Big,
    Box,
    Cases,
    Fence,
    Frac,
    Of,
    Row,
    Sub,
    Sup,
    Sym,
    SymbolKind,
    Written,
    fenced,
    letter_kind,
    row,
    word,
)
from gradstep.expression.node import Expr, Operation, Spelled, walk
from gradstep.expression.shapes import Shape, Size, minus, size_names, times
from gradstep.operations.arithmetic import multiply, multiply_op, negate_op, scale, scale_op
from gradstep.operations.families import JUXTAPOSED, leaf
from gradstep.operations.leaves import eye_op, number, triangle_box, triangle_op

FACTOR = re.compile(r"\b(\d+)\*")
Index = str | None  # where along an axis; None for an axis that stays


def _no_value(*_: object) -> object:
    raise NotImplementedError("an entry is written, not evaluated")


def _entry_layout(expr: Expr, write: Callable[[Expr], Written]) -> Written:
    of, at, *capital = expr.params
    if of.op is eye_op and all(at):
        return Written(Of(expr, Sub(Sym("δ"), Row(_letters(at)))))
    if of.op is triangle_op:
        if at[0] and at[1]:
            return Written(triangle_box(of, at[0], at[1]))
        return Written(Sub(Fence("(", write(of).box, ")"), Row(_letters((*([] if at[0] else [":"]), *at)))))
    small = expr.rank == 1 and len(at) == 2 and not capital
    kind = letter_kind(expr.rank)
    if of.op is cotangent_op:  # an entry of ∂C/∂Z is ∂C/∂ an entry of Z
        part, loss = of.params
        below = _indexed(write(part).box, at, kind, small)
        return Written(Frac(row("∂", write(loss).box), row("∂", below)), JUXTAPOSED)
    return Written(Of(of, _indexed(write(of).box, at, kind, small)))


def _indexed(box: Box, at: Sequence[Index], kind: SymbolKind, small: bool) -> Box:
    """A name with indices: zᵢ, Xᵢⱼ, and xᵢ for row i of X; an entry is a number and set like one.

    What has a number or a word below it keeps that in brackets: (Z₁)ᵢⱼ, for Z₁ᵢⱼ might be Z with three.
    """
    column = [":"] if len(at) == 2 and at[0] is None else []
    letters = _letters((*column, *(i for i in at if i)))
    match box:
        case Of(what, inner):
            return Of(what, _indexed(inner, at, kind, small))
        case Accent(inner, mark):
            lowered = _indexed(inner, at, kind, small)
            return Sub(Accent(lowered.base, mark), lowered.index) if isinstance(lowered, Sub) else lowered
        case Row((Sym("d", "operator") as d, inner)):  # an entry of dz is dzᵢ
            return Row((d, _indexed(inner, at, kind, small)))
        case Sup():  # (X⁻¹)ᵢⱼ
            return Sub(Fence("(", box, ")"), Row(letters))
        case Sub(Sym(text, face), index):
            return Sub(Sub(Sym(_cased(text, small), kind if small else face), index), Row(letters))
        case Sym(text):
            return Sub(Sym(_cased(text, small), kind), Row(letters))
        case _:
            return Sub(box, Row(letters))


def _letters(at: Sequence[Index]) -> tuple[Box, ...]:
    """Indices side by side; with commas where one is more than a letter: x₀, Xᵢ₊₁,ⱼ."""
    letters: list[Box] = [Sym(FACTOR.sub(r"\1", i).replace("*", "·"), "index") for i in at if i]
    if len(letters) > 1 and any(len(i) > 1 or i.isdecimal() for i in at if i and i != ":"):
        letters = [part for letter in letters for part in (Sym(",", "operator"), letter)][1:]
    return tuple(letters)


def _cased(text: str, small: bool) -> str:
    """A row of a matrix takes the small letter."""
    return text.lower() if small and len(text) == 1 else text


# params: the thing, for each of its axes the index or None, and "capital" where the small letter is taken.
# A leaf: what it is an entry of is not opened.
entry_op = leaf(
    "entry",
    lambda params: tuple(s for s, i in zip(params[0].shape, params[1], strict=True) if i is None),
    _no_value,
    lambda expr, spell: (f"{spell(expr.params[0])[0]}[{','.join(i or ':' for i in expr.params[1])}]", ATOM),
    _entry_layout,
    "one entry, or one row, of an array",
)


def whole(expr: Expr) -> Expr:
    """The array that an entry is of; anything else is itself."""
    array: Expr = expr.params[0] if expr.op is entry_op else expr
    return array


def _over_index(sign: str) -> Callable[[Expr, Callable[[Expr], Written]], Written]:
    """Σᵢ body; over a part of the index j ≤ i stands below."""

    def layout(expr: Expr, write: Callable[[Expr], Written]) -> Written:
        body = fenced(write(expr.args[0]), PRODUCT)
        index, _, *limit = expr.params
        below: Box = Sym(str(index), "index")
        if limit:
            below = Row((below, Sym(f" {limit[0]} ", "operator"), Sym(limit[1], "index")))
        return Written(Big(sign, below, None, body), PRODUCT)

    return layout


def _indexed_operation(name: str, sign: str, why: str) -> Operation:
    return Operation(
        name,
        lambda params, shape: shape,
        _no_value,
        lambda expr, spell: (f"{name}_{expr.params[0]}({spell(expr.args[0])[0]})", ATOM),
        _over_index(sign),
        None,
        None,
        "",
        why,
    )


# params: the index, and the size it runs over; for a part of it "≤", "≥" or "≠" and another index.
sigma_op = _indexed_operation("sigma", "Σ", "the sum over an index")
product_op = _indexed_operation("pi", "∏", "the product over an index")


def _choice_layout(expr: Expr, write: Callable[[Expr], Written]) -> Written:
    """{xᵢ if i < n; 0 otherwise}"""
    index, start, stop, size = expr.params
    i = Sym(index, "index")
    low, high = Sym(str(start), "index"), Sym(str(stop), "index")
    if minus(stop, start) == 1:
        where: Box = row(i, " = ", low)
    elif start == 0:
        where = row(i, " < ", high)
    else:
        where = row(i, " ≥ ", low) if stop == size else row(low, " ≤ ", i, " < ", high)
    inside, outside = (write(arg).box for arg in expr.args)
    return Written(Cases(((inside, where), (outside, word("otherwise")))), SUM + 5)


# params: an index, from where to before where the first operand is meant, and the size; elsewhere the second.
choice_op = Operation(
    "choice",
    lambda params, inside, outside: inside,
    _no_value,
    lambda expr, spell: (f"choice_{expr.params[0]}({', '.join(spell(arg)[0] for arg in expr.args)})", ATOM),
    _choice_layout,
    None,
    None,
    "",
    "one of two, by where the index is",
)


def _block_layout(expr: Expr, write: Callable[[Expr], Written]) -> Written:
    """W⁽ʰ⁾"""
    base = fenced(write(expr.args[0]), POWER + 5)
    return Written(Sup(base, Fence("(", Sym(expr.params[1], "index"), ")")), POWER)


def _join_layout(expr: Expr, write: Callable[[Expr], Written]) -> Written:
    """[O₁ ⋯ O_h], and [X₁; ⋯; X_b] one below the other."""
    index, size, axis = expr.params
    gap = Sym("; ⋯; " if axis == 0 and expr.rank > 1 else " ⋯ ", "operator")
    first, last = (write(_reindexed(expr.args[0], index, end)).box for end in ("1", str(size)))
    return Written(Fence("[", Row((first, gap, last)), "]"))


def _of_blocks(name: str, shape: Callable[..., Shape], layout: Callable[..., Written], why: str) -> Operation:
    def text(expr: Expr, spell: Callable[[Expr], Spelled]) -> Spelled:
        return f"{name}({spell(expr.args[0])[0]}, {expr.params})", ATOM

    return Operation(name, shape, _no_value, text, layout, None, None, "", why)


# params: the axis that is cut into equal blocks, the index of the block, how many there are, and their size.
block_op = _of_blocks(
    "block",
    lambda params, shape: tuple(params[3] if k == params[0] else size for k, size in enumerate(shape)),
    _block_layout,
    "one of the equal blocks of an axis",
)
# params: the index, how many blocks there are, and the axis along which they stand.
join_op = _of_blocks(
    "blocks",
    lambda params, shape: tuple(
        times(size, params[1]) if k == params[2] else size for k, size in enumerate(shape)
    ),
    _join_layout,
    "blocks side by side, one for each value of the index",
)

# Which of their params say where; others are sizes and axes.
PLACES = {sigma_op: (0, 3), product_op: (0, 3), choice_op: (0, 1, 2), block_op: (1,), join_op: (0,)}
BINDING = frozenset({sigma_op, product_op, join_op})  # their first parameter is an index of their own


def sigma(index: str, size: Size, body: Expr) -> Expr:
    """Σ over `index`: a number in front of the body moves in front of the sum."""
    if body.op is scale_op and not mentions(body.args[0], index):
        return scale(body.args[0], sigma(index, size, body.args[1]))
    if body.op is multiply_op and not body.rank and not mentions(body.args[0], index):
        return multiply(body.args[0], sigma(index, size, body.args[1]))
    if body.op is negate_op:
        return -sigma(index, size, body.args[0])
    if (picked := _picked(index, size, body)) is not None:
        return picked
    return sigma_op(body, params=(index, size))


def _picked(index: str, size: object, body: Expr) -> Expr | None:
    """Σⱼ δᵢⱼ xⱼ = xᵢ: what the sum over `index` picks, where the body has a δ of just that size as a factor.

    Where j runs over a part of the axis only, i may be outside of it, and there is no xᵢ then.
    """
    stack, factors = [body], list[Expr]()
    while stack:
        node = stack.pop()
        if node.op in (multiply_op, scale_op):
            stack += reversed(node.args)
        else:
            factors.append(node)
    for delta in factors:
        if delta.op is entry_op and delta.params[0].op is eye_op and index in delta.params[1]:
            at = delta.params[1]
            (other,) = [i for i in at if i != index] or [index]
            if other is None or other == index or delta.params[0].shape[0] != size:
                continue
            rest = [factor for factor in factors if factor is not delta]
            if any(_computes(factor, index) for factor in rest):
                return None
            return reduce(multiply, [_reindexed(factor, index, other) for factor in rest] or [number(1)])
    return None


def _computes(expr: Expr, index: str) -> bool:
    """Whether an index is used other than as it stands: x at i + 1, a sum up to i − 1."""
    return any(place != index and index in size_names(place) for place in held(expr))


def _reindexed(expr: Expr, old: str, new: str) -> Expr:
    """`expr` with one index for another, also where a sum, a product or a choice is bounded by it."""
    done: dict[Expr, Expr] = {}
    for node in walk(expr, stop=lambda node: old not in held(node)):
        params = node.params
        if old not in held(node):
            done[node] = node
            continue
        if node.op is entry_op:
            of, at = params[:2]
            at = tuple(new if place == old else place for place in at)
            params = (_reindexed(of, old, new), at, *params[2:])
        elif old in indices_of(node):
            where = PLACES[node.op]
            params = tuple(new if k in where and param == old else param for k, param in enumerate(params))
        done[node] = node.op(*(done[arg] for arg in node.args), params=params)
    return done[expr]


def mentions(expr: Expr, index: str) -> bool:
    """Whether the index occurs in `expr`."""
    return any(index in size_names(place) for place in held(expr))


_HELD: WeakKeyDictionary[Expr, frozenset[Size]] = WeakKeyDictionary()


def held(expr: Expr) -> frozenset[Size]:
    """The indices that occur in `expr`, also in what an entry is taken of: (x − y_j)_i."""
    for node in walk(expr, stop=_HELD.__contains__):
        if node not in _HELD:
            inner = [_HELD[arg] for arg in node.args]
            if node.op is entry_op:
                inner.append(held(node.params[0]))
            _HELD[node] = frozenset(indices_of(node)).union(*inner)
    return _HELD[expr]


def indices_of(node: Expr) -> Sequence[Size]:
    """The indices that a node itself holds."""
    if node.op is entry_op:
        return [place for place in node.params[1] if place]
    if node.op in (sigma_op, product_op):
        return node.params[3:]
    if node.op is block_op:
        return node.params[1:2]
    return node.params[:3] if node.op is choice_op else ()
