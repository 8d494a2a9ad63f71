"""Rows looked up by data: what is W[idx] where idx holds whole numbers, and who gets its gradient?

The places are data: a variable with whole numbers from 0 on, one for each row that is looked up. They are
checked when there are numbers, and they have no derivative.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gradstep.expression.boxes import ATOM, Sub, Written, fenced
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, Params, Spelled
from gradstep.expression.shapes import Shape, Size, axis_number, shape_text
from gradstep.operations.einsums import einsum_of
from gradstep.operations.entries import repeated_zeros
from gradstep.operations.families import Spell, call_box
from gradstep.operations.leaves import checked_size, expression, symbol_op
from gradstep.operations.permutations import matrix_transpose
from gradstep.operations.products import matmul, outer

MOST_PLACES = 2  # axes


def check_places(np: Any, name: str, places: Any, length: int) -> None:
    """A `MathError` unless all of `places` are whole numbers from 0 to below `length`."""
    wrong = places[(places != np.floor(places)) | (places < 0) | (places >= length)]
    if wrong.size:
        raise MathError(
            f"{name} looks up row {wrong.flat[0]:g}, and there is none",
            facts=[f"rows are whole numbers from 0 to {length - 1}"],
        )


def _whole_numbers(np: Any, places: Any, length: int) -> Any:
    places = np.asarray(places)
    check_places(np, "this", places, length)
    return places.astype(np.intp)


def _hot(np: Any, places: Any, length: int) -> Any:
    return 1.0 * (_whole_numbers(np, places, length)[..., None] == np.arange(length))


def _one_hot_shape(params: Params, places: Shape) -> Shape:
    (size,) = params
    if len(places) > MOST_PLACES:
        raise MathError(f"places are a number, a vector or a matrix, not {shape_text(places)}")
    return (*places, checked_size(size))


# params: how many rows there are.
one_hot_op: Operation = Operation(
    "one_hot",
    _one_hot_shape,
    lambda np, sizes, params, k: _hot(np, k, sizes[params[0]]),
    lambda expr, spell: (f"one_hot({spell(expr.args[0])[0]}, {expr.params[0]})", ATOM),
    call_box("one hot"),
    lambda y, args, dargs: repeated_zeros(y.shape),
    lambda G, y, args: (None,),
    "slope of a lookup",
    "which place is meant is a whole number, which does not move a little: the slope is 0",
    lambda expr: f"one_hot({{0}}, {expr.params[0]})",
    domain="places",
    helper=(
        "def one_hot(places, size):\n"
        "    places = np.asarray(places)\n"
        "    return np.equal(places[..., None], np.arange(size)).astype(places.dtype)\n"
    ),
    example=((("k",), (("n",),)), (("k",), ((),)), (("k",), (("m", "n"),))),
)


def _take_shape(params: Params, rows: Shape, places: Shape) -> Shape:
    if len(rows) not in (1, 2) or len(places) > MOST_PLACES:
        raise MathError(
            "rows are looked up in a matrix by places that are a vector or a matrix, "
            f"not in {shape_text(rows)} by {shape_text(places)}"
        )
    return (*places, *rows[1:])


def _take_text(expr: Expr, spell: Spell) -> Spelled:
    return f"take({spell(expr.args[0])[0]}, {spell(expr.args[1])[0]})", ATOM


take_op: Operation = Operation(
    "take",
    _take_shape,
    lambda np, sizes, params, rows, k: rows[_whole_numbers(np, k, len(rows))],
    _take_text,
    lambda expr, write: Written(Sub(fenced(write(expr.args[0]), ATOM), write(expr.args[1]).box), ATOM),
    lambda y, args, dargs: (
        repeated_zeros(y.shape) if dargs[0] is None else take_op(dargs[0], args[1], params=y.params)
    ),
    lambda G, y, args: (_scattered(G, args[0], args[1]), None),
    "lookup rule",
    "a row moves every copy that was looked up: its derivative is the sum over these copies",
    "{0}[np.asarray({1}, np.intp)]",
    definition=lambda params, rows, k: _picked(one_hot_op(k, params=(rows.shape[0],)), rows),
    domain="places",
    example=(
        ((), (("k", "n"), ("m",))),
        ((), (("k", "n"), ())),
        ((), (("k",), ("m",))),
        ((), (("k", "n"), ("m", "m"))),
        ((), (("k",), ("m", "n"))),
    ),
)


def _picked(hot: Expr, rows: Expr) -> Expr:
    """The product along the last axis of the one and the first of the other."""
    if hot.rank <= MOST_PLACES:
        return matmul(hot, rows)
    row = list(range(3, 2 + rows.rank))
    return einsum_of([(0, 1, 2), (2, *row)], (0, 1, *row), [hot, rows])


def _scattered(G: Expr, rows: Expr, places: Expr) -> Expr:
    """The rows of G added up where they were looked up: one_hot(places)ᵀ G."""
    hot = one_hot_op(places, params=(rows.shape[0],))
    if places.rank > 1:
        row = list(range(3, 2 + rows.rank))
        return einsum_of([(0, 1, 2), (0, 1, *row)], (2, *row), [hot, G])
    if places.rank:
        return matmul(matrix_transpose(hot), G)
    return outer(hot, G) if G.rank else G * hot


def lookups(nodes: Iterable[Expr]) -> dict[Expr, Size]:
    """The variables that look something up, and how many rows there are."""
    found: dict[Expr, Size] = {}
    for node in nodes:
        if node.op is take_op:
            found[node.args[1]] = node.args[0].shape[0]
        elif node.op is one_hot_op:
            found[node.args[0]] = node.params[0]
    return found


def _places(name: str, places: Expr) -> Expr:
    places = expression(places)
    if places.op is not symbol_op:
        raise MathError(
            f"{name} looks up by data: a variable with whole numbers from 0 on",
            mend=f"{name}(…, idx) with a variable idx",
        )
    return places


def one_hot(places: Expr, size: Size) -> Expr:
    """For each of the `places`, whole numbers from 0 on, a row with a one there, and zeros elsewhere."""
    return one_hot_op(_places("one_hot", places), params=(checked_size(size),))


def take(rows: Expr, places: Expr, axis: int = 0) -> Expr:
    """The rows of a matrix, or the entries of a vector, at the `places`, a variable with whole numbers.

    Along `axis` 1 the columns. Where the places are a matrix, its axes stand in the place of the one axis.
    """
    rows, places = expression(rows), _places("take", places)
    if not axis_number(axis, rows.rank):
        return take_op(rows, places)
    taken = take_op(matrix_transpose(rows), places)  # the axis of the rows stands last
    if places.rank < 2:
        return matrix_transpose(taken)
    return einsum_of([(1, 2, 0)], (0, 1, 2), [taken])
