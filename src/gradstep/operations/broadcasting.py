"""Repetition and its mirror, the sum over axes: how do arrays of different rank meet?

Broadcasting is settled here, at the door: `X + b` builds an explicit repetition of b, so that no derivative
rule has to think of it and its adjoint, a sum, is a visible step.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from gradstep.expression.boxes import (
    ATOM,
    POWER,
    PRODUCT,
    Big,
    Box,
    Fence,
    Of,
    Row,
    Sup,
    Sym,
    Written,
    fenced,
    row,
)
from gradstep.expression.boxes import number as number_box
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Number, Params, Spelled, describe
from gradstep.expression.shapes import (
    Shape,
    Size,
    axis_number,
    broadcast,
    listed_axes,
    listed_sizes,
    shape_text,
)
from gradstep.operations.families import JUXTAPOSED, Spell, Write, enclosed, multilinear
from gradstep.operations.leaves import checked_size, expression, number, value_of

LETTERS = "ijklmnop"
MOST_AXES = len(LETTERS)
ONE = Sym("𝟏", "vector")
TRANSPOSED = Sym("ᵀ", "operator")


def _repeated_shape(params: Params, shape: Shape) -> Shape:
    axes, sizes = params
    result = list(shape)
    for axis, dim in zip(axes, sizes, strict=True):
        result.insert(axis, dim)
    return tuple(result)


def _repeat_indices(params: Params, *ranks: int) -> str:
    letters = "ijklmnop"[: ranks[0] + len(params[0])]
    return f"{''.join(x for k, x in enumerate(letters) if k not in params[0])}->{letters}"


def _repeat_meaning(np: Any, sizes: Any, params: Params, a: Any) -> Any:
    for axis, dim in zip(*params, strict=True):
        a = np.repeat(np.expand_dims(a, axis), sizes[dim], axis)
    return a


def _repeat_text(expr: Expr, spell: Spell) -> Spelled:
    axes, sizes = expr.params
    inner = expr.args[0]
    if value_of(inner) == 1:
        return f"ones({', '.join(map(str, sizes))})", ATOM
    if value_of(inner) == 0:
        return f"zeros({', '.join(map(str, sizes))})", ATOM
    if inner.rank and set(sizes) == {1}:
        places = ", ".join("None" if axis in axes else ":" for axis in range(max(expr.rank, max(axes) + 1)))
        places = places if inner.rank == 1 else places.removesuffix(", :" * (expr.rank - 1 - max(axes)))
        return f"{enclosed(spell(inner), POWER + 1)}[{places}]", POWER + 5
    axis, dim = (axes[0], sizes[0]) if len(axes) == 1 else (axes, f"({', '.join(map(str, sizes))})")
    return f"repeat({spell(inner)[0]}, axis={axis}, size={dim})", ATOM


def _repeat_box(expr: Expr, write: Write) -> Written:
    """b 𝟏, 𝟏 bᵀ (each row is b), v 𝟏ᵀ (each column is v)."""
    inner, axes = expr.args[0], expr.params[0]
    body = write(inner)
    if inner.rank and all(size == 1 for size in expr.params[1]):  # a vector as a matrix of one column
        return body
    if value_of(inner) == 0:  # the shape stands beside it
        return body
    if inner.rank == 0:
        ones: Box = Of(expr, ONE if expr.rank == 1 else row(ONE, Sup(ONE, TRANSPOSED)))
        return (
            Written(ones)
            if value_of(inner) == 1
            else Written(row(fenced(body, JUXTAPOSED), ones), JUXTAPOSED)
        )
    if expr.rank == 2 and axes == (0,):
        return _rows_of(inner, body, write)
    if expr.rank == 2 and axes == (1,):
        return Written(row(fenced(body, JUXTAPOSED), Sup(ONE, TRANSPOSED)), JUXTAPOSED)
    return body


def _repeat_told(expr: Expr, places: Sequence[int]) -> tuple[str, str]:
    """A number in every entry goes by the name that the textbook gives it."""
    return repeat_op.rule if expr.args[0].rank else "scalar expansion", repeat_op.why


def _rows_of(v: Expr, body: Written, write: Write) -> Written:
    """1 vᵀ: each row is v. Sums of columns lie as they are, 1/N 1 1ᵀ X."""
    factor, total = v.args if v.op.name == "scale" and body.level != ATOM else (None, v)
    if total.op is sum_op and total.args[0].rank == 2 and write(total).level != ATOM:
        items: list[Box] = [] if factor is None else [fenced(write(factor), JUXTAPOSED)]
        items += [ONE, Sup(ONE, TRANSPOSED), fenced(write(total.args[0]), JUXTAPOSED)]
        return Written(Row(tuple(items)), JUXTAPOSED)
    return Written(row(ONE, Sup(fenced(body, POWER), TRANSPOSED)), JUXTAPOSED)


# params: the axes of the result that are new, and their sizes.
repeat_op = multilinear(
    "repeat",
    _repeat_indices,
    lambda G, y, args: (sum_over(G, y.params[0]),),
    rule="repetition rule",
    why="what is repeated moves every copy: its derivative is the sum over the copies",
    told=_repeat_told,
    text=_repeat_text,
    layout=_repeat_box,
    meaning=_repeat_meaning,
    example=(
        (((0,), ("n",)), ((),)),
        (((0, 1), ("m", "n")), ((),)),
        (((0,), ("m",)), (("n",),)),
        (((1,), ("n",)), (("m",),)),
    ),
    shape=_repeated_shape,
)
squeeze_op = multilinear(
    "squeeze",
    lambda params, *ranks: _sum_indices(params, *ranks),
    lambda G, y, args: (repeat(G, y.params[0], (1,) * len(y.params[0])),),
    rule="squeeze rule",
    why="an axis of size one holds the same entries",
    text=lambda expr, spell: (f"squeeze({spell(expr.args[0])[0]}, axis={_axes_text(expr)})", ATOM),
    layout=lambda expr, write: write(expr.args[0]),
    meaning=lambda np, sizes, params, a: np.squeeze(a, axis=params[0]),
    code=lambda expr: f"np.squeeze({{0}}, axis={_axes_text(expr)})",
    example=((((1,),), (("n", 1),)),),
    shape=lambda params, shape: tuple(x for k, x in enumerate(shape) if k not in params[0]),
)


def _axes_text(expr: Expr) -> str:
    axes = expr.params[0]
    return str(axes[0] if len(axes) == 1 else axes)


def repeat(x: Expr | Number, axis: int | tuple[int, ...], size: Size | tuple[Size, ...]) -> Expr:
    """`x` repeated along new axes: `axis` are their places in the result, `size` how often."""
    x = expression(x)
    axes, sizes = listed_axes(axis), listed_sizes(size)
    if len(axes) != len(sizes):
        raise MathError("repeat needs one size for every new axis")
    if not axes:
        return x
    rank = x.rank + len(axes)
    if rank > MOST_AXES:
        raise MathError(f"an array has at most {MOST_AXES} axes, not {rank}")
    placed = sorted((axis_number(a, rank), checked_size(n)) for a, n in zip(axes, sizes, strict=True))
    axes, sizes = (tuple(column) for column in zip(*placed, strict=True))
    if len(set(axes)) < len(axes):
        raise MathError("repeat makes new axes: each place once")
    if x.op is repeat_op and x.rank - len(x.params[0]) == 0:
        return repeat_op(x.args[0], params=(tuple(range(rank)), _repeated_shape((axes, sizes), x.shape)))
    return repeat_op(x, params=(axes, sizes))


def squeeze(x: Expr, axis: int | tuple[int, ...]) -> Expr:
    """`x` without the axes of size one that `axis` names."""
    axes = tuple(sorted(axis_number(a, x.rank) for a in listed_axes(axis)))
    for a in axes:
        if x.shape[a] != 1:
            raise MathError(f"axis {a} has size {x.shape[a]}: only an axis of size 1 can be squeezed")
    if not axes:
        return x
    thin = _thinned(x, axes)
    return squeeze_op(x, params=(axes,)) if thin is None else thin


def _thinned(x: Expr, axes: tuple[int, ...]) -> Expr | None:
    """`x` without these axes where they are but repetitions, also inside of what works entry by entry."""
    if x.op is repeat_op:
        new, sizes = x.params
        if not set(axes) <= set(new):
            return None
        kept = [(a, size) for a, size in zip(new, sizes, strict=True) if a not in axes]
        places = tuple(a - builtins.sum(gone < a for gone in axes) for a, _ in kept)
        return repeat(x.args[0], places, tuple(size for _, size in kept))
    if x.op.slopes is None and x.op.name not in ("power", "scale"):
        return None
    thin = [_thinned(arg, axes) if arg.rank else arg for arg in x.args]
    return None if None in thin else x.op(*(arg for arg in thin if arg is not None), params=x.params)


def spread(x: Expr, shape: Shape) -> Expr:
    """`x` repeated to `shape` as NumPy broadcasts: missing axes in front, axes of size one stretched."""
    if x.shape == shape:
        return x
    lead = len(shape) - x.rank
    stretched = tuple(k for k in range(x.rank) if x.shape[k] == 1 != shape[lead + k])
    thin = squeeze(x, stretched)
    axes = (*range(lead), *(lead + k for k in stretched))
    return repeat(thin, axes, tuple(shape[k] for k in axes))


def ones(*sizes: Size) -> Expr:
    """The vector, matrix … of ones with these sizes."""
    return repeat(number(1), tuple(range(len(sizes))), tuple(map(checked_size, sizes)))


def zeros(*sizes: Size) -> Expr:
    """The vector, matrix … of zeros with these sizes."""
    return repeat(number(0), tuple(range(len(sizes))), tuple(map(checked_size, sizes)))


def together(name: str, a: Expr | Number, b: Expr | Number) -> tuple[Expr, Expr]:
    """Both operands of an entrywise operation, spread to their common shape."""
    a, b = expression(a), expression(b)
    if a.shape == b.shape:
        return a, b
    try:
        shape = broadcast(a.shape, b.shape)
    except MathError as error:
        error.facts = tuple(dict.fromkeys(f"{describe(x)} is {shape_text(x.shape)}" for x in (a, b)))
        raise
    return spread(a, shape), spread(b, shape)


# ------------------------------------------------------------------------------------------- sums


def _sum_indices(params: Params, *ranks: int) -> str:
    letters = LETTERS[: ranks[0]]
    return f"{letters}->{''.join(x for k, x in enumerate(letters) if k not in params[0])}"


def _sum_text(expr: Expr, spell: Spell) -> Spelled:
    body, axes = expr.args[0], expr.params[0]
    inner = spell(body)[0]
    if axes == tuple(range(body.rank)):
        return f"sum({inner})", ATOM
    return f"sum({inner}, axis={_axes_text(expr)})", ATOM


def _sum_box(expr: Expr, write: Write) -> Written:
    """𝟏ᵀv, Gᵀ𝟏 (column sums), G𝟏 (row sums), ‖e‖² for a sum of squares, Σ for the sum of a matrix.

    Of an array with more axes the sizes of those that are summed stand below Σ.
    """
    body, axes = expr.args[0], expr.params[0]
    if axes == tuple(range(body.rank)) and body.op.name == "power" and value_of(body.args[1]) == 2:
        return Written(Sup(Fence("‖", write(body.args[0]).box, "‖"), number_box(2)), POWER)
    if body.rank == 1:
        return Written(row(Sup(ONE, TRANSPOSED), fenced(write(body), JUXTAPOSED)), JUXTAPOSED)
    if body.rank == 2 and axes == (0,):
        return Written(row(Sup(fenced(write(body), POWER), TRANSPOSED), ONE), JUXTAPOSED)
    if body.rank == 2 and axes == (1,):
        return Written(row(fenced(write(body), JUXTAPOSED), ONE), JUXTAPOSED)
    below = ", ".join(str(body.shape[k]) for k in axes) if expr.rank else ""
    return Written(
        Big("Σ", Sym(below, "size") if below else None, None, fenced(write(body), PRODUCT)), PRODUCT
    )


def _sum_code(expr: Expr) -> str:
    axes = expr.params[0]
    if axes == tuple(range(expr.args[0].rank)):
        return "np.sum({0})"
    return f"np.sum({{0}}, axis={_axes_text(expr)})"


# params: the axes that are summed away.
sum_op = multilinear(
    "sum",
    _sum_indices,
    lambda G, y, args: (repeat(G, y.params[0], tuple(args[0].shape[k] for k in y.params[0])),),
    rule="derivative of a sum",
    why="it moves inside the sum: every entry counts once",
    text=_sum_text,
    layout=_sum_box,
    meaning=lambda np, sizes, params, a: np.sum(a, axis=params[0]),
    code=_sum_code,
    example=(
        (((0,),), (("n",),)),
        (((0, 1),), (("m", "n"),)),
        (((0,),), (("m", "n"),)),
        (((1,),), (("m", "n"),)),
    ),
)


def sum_over(x: Expr, axes: tuple[int, ...]) -> Expr:
    """The sum over `axes`; with no axes `x` itself."""
    return sum_op(x, params=(axes,)) if axes else x
