"""Which entries are taken, in what order, and where are they put? Slices, joins, flips and new shapes.

All of this is linear: entries move, nothing is computed. A slice and the embedding into zeros are each
other's adjoint, and so are the two halves of a join.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gradstep.expression.boxes import (
    ATOM,
    POWER,
    Box,
    Fence,
    Of,
    Row,
    Sub,
    Sup,
    Sym,
    Written,
    fenced,
    row,
)
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, Params, Spelled
from gradstep.expression.shapes import (
    Shape,
    Size,
    axis_number,
    listed_sizes,
    minus,
    plus,
    same,
    shape_text,
    times,
)
from gradstep.operations.broadcasting import MOST_AXES, repeat, repeat_op
from gradstep.operations.families import Spell, Write, call_box, enclosed, only
from gradstep.operations.flips import flip_op
from gradstep.operations.leaves import checked_size, expression, number

# Along one axis: the first entry, how many (0: this one, and the axis is gone), and the step between them.
Cut = tuple[Size, Size, int]


# ------------------------------------------------------------------------------------------- slices


def is_whole(cut: Cut, size: Size) -> bool:
    """Whether an axis of this size stays as it is."""
    return cut == (0, size, 1)


def _bounds(cut: Cut, size: Size) -> tuple[Size, ...]:
    """What must not be negative for `cut` to lie on an axis of this size."""
    start, count, step = cut
    last = plus(start, times(step, minus(count, 1))) if count != 0 else start
    return start, minus(minus(size, last), 1), minus(count, 1) if count != 0 else 0


def cut_shape(cuts: Sequence[Cut], shape: Shape) -> Shape:
    """The shape that is left; a `MathError` where an entry is not there."""
    if len(cuts) != len(shape):
        raise MathError(f"{len(cuts)} subscripts for {shape_text(shape)}")
    for cut, size in zip(cuts, shape, strict=True):
        try:
            known = [bound for bound in _bounds(cut, size) if isinstance(bound, int)]
            proper = isinstance(cut[2], int) and cut[2] > 0
        except (TypeError, ValueError):
            proper = False
        if not proper:
            raise MathError("this is no slice")
        if any(bound < 0 for bound in known):
            raise MathError(f"an axis of size {size} has no entries {_cut_text(cut, size)}")
    return tuple(count for _, count, _ in cuts if count != 0)


def _placed(size: Size, end: Size) -> str:
    """A place on an axis, counted from its end where only that is known."""
    back = minus(size, end)
    if isinstance(size, str) and isinstance(back, int) and back < 0:
        return str(back)
    return str(size)


def _cut_text(cut: Cut, size: Size) -> str:
    """The subscript in NumPy's syntax: 0, 1:3, ::2."""
    start, count, step = cut
    if count == 0:
        return _placed(start, size)
    stop = plus(start, times(step, minus(count, 1)), 1)
    left = "" if start == 0 else _placed(start, size)
    right = "" if stop == size else _placed(stop, size)
    return f"{left}:{right}" + (f":{step}" if step != 1 else "")


def _subscript(cuts: Sequence[Cut], shape: Shape) -> str:
    texts = [_cut_text(cut, size) for cut, size in zip(cuts, shape, strict=True)]
    while len(texts) > 1 and texts[-1] == ":":
        del texts[-1]
    return ", ".join(texts)


def _subscript_box(cuts: Sequence[Cut], shape: Shape) -> Box:
    items: list[Box] = []
    for cut, size in zip(cuts, shape, strict=True):
        items += [Sym(",", "operator")] if items else []
        text = _cut_text(cut, size)
        items.append(Sym(text, "number" if text.isdecimal() else "index"))
    return Row(tuple(items))


def _slice_box(expr: Expr, write: Write) -> Written:
    base = fenced(write(expr.args[0]), ATOM)
    inner = base
    while isinstance(inner, Of):
        inner = inner.box
    if isinstance(inner, Sub | Sup):
        base = Fence("(", base, ")")
    return Written(Sub(base, _subscript_box(expr.params, expr.args[0].shape)), ATOM)


def places(cuts: Sequence[Cut], lengths: Any) -> tuple[int | slice, ...]:
    """The subscript as NumPy takes it, for these lengths of sizes."""
    found: list[int | slice] = []
    for start, count, step in cuts:
        first, many = lengths[start], lengths[count]
        found.append(first if count == 0 else slice(first, first + step * (many - 1) + 1, step))
    return tuple(found)


def _slice_meaning(np: Any, sizes: Any, params: Params, a: Any) -> Any:
    for (start, count, step), length in zip(params, a.shape, strict=True):
        last = sizes[start] + (step * (sizes[count] - 1) if count != 0 else 0)
        if not 0 <= sizes[start] <= last < length:
            raise MathError(
                f"there is no entry {max(last, sizes[start])} on an axis with {length} entries",
                facts=["entries are counted from 0"],
            )
    return a[places(params, sizes)]


# params: for every axis the first entry, how many (0: one, and the axis is gone), and the step.
slice_op: Operation = Operation(
    "slice",
    lambda params, shape: cut_shape(params, shape),
    _slice_meaning,
    lambda expr, spell: (
        f"{enclosed(spell(expr.args[0]), POWER + 1)}[{_subscript(expr.params, expr.args[0].shape)}]",
        POWER + 5,
    ),
    _slice_box,
    lambda y, args, dargs: slice_op(only(dargs), params=y.params),
    lambda G, y, args: (embed_op(G, params=(y.params, args[0].shape)),),
    "slice rule",
    "what is not picked does not move: zeros stand around the cotangent",
    lambda expr: f"{{0}}[{_subscript(expr.params, expr.args[0].shape)}]",
    example=(
        (((1, 2, 1),), (("n",),)),
        (((2, 0, 1),), (("n",),)),
        (((1, "n-1", 1),), (("n",),)),
        ((("n-1", 0, 1),), (("n",),)),
        (((0, "m", 1), (1, 0, 1)), (("m", "n"),)),
        (((0, "m", 1), (1, 2, 1)), (("m", "n"),)),
        (((0, 0, 1), (0, 2, 2)), ((3, 4),)),
    ),
)


def _embed_shape(params: Params, shape: Shape) -> Shape:
    cuts, whole = params
    for size in whole:
        checked_size(size)
    left = cut_shape(cuts, whole)
    if left != shape:
        raise MathError(f"{shape_text(shape)} does not fit into a place of {shape_text(left)}")
    return tuple(whole)


def _embed_meaning(np: Any, sizes: Any, params: Params, a: Any) -> Any:
    cuts, shape = params
    result = np.zeros([sizes[size] for size in shape])
    result[places(cuts, sizes)] = a
    return result


def _embed_text(expr: Expr, spell: Spell) -> Spelled:
    cuts, shape = expr.params
    zeros = f"zeros({', '.join(map(str, shape))})"
    return f"embed({spell(expr.args[0])[0]}, {zeros}[{_subscript(cuts, shape)}])", ATOM


def _embed_box(expr: Expr, write: Write) -> Written:
    """0[1:3 ← G]: zeros, with G at these places."""
    inside = row(_subscript_box(*expr.params), " ← ", write(expr.args[0]).box)
    return Written(Row((Sym("0", "function"), Fence("[", inside, "]"))), ATOM)


def _embed_code(expr: Expr) -> str:
    cuts, shape = expr.params
    sizes = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    return f"embed({{0}}, {sizes}, np.s_[{_subscript(cuts, shape)}])"


# params: the cuts that lead back to the operand, and the shape that it is put into.
embed_op: Operation = Operation(
    "embed",
    _embed_shape,
    _embed_meaning,
    _embed_text,
    _embed_box,
    lambda y, args, dargs: embed_op(only(dargs), params=y.params),
    lambda G, y, args: (slice_op(G, params=y.params[0]),),
    "embedding rule",
    "the zeros around it stand still: only its own places count",
    _embed_code,
    helper=(
        "def embed(part, shape, places):\n"
        "    whole = np.zeros(shape, np.asarray(part).dtype)\n"
        "    whole[places] = part\n"
        "    return whole\n"
    ),
    example=(
        ((((1, 2, 1),), ("n",)), ((2,),)),
        ((((2, 0, 1),), ("n",)), ((),)),
        ((((0, "m", 1), ("n-1", 0, 1)), ("m", "n")), (("m",),)),
        ((((0, "m", 1), (1, 2, 1)), ("m", "n")), (("m", 2),)),
    ),
)


def cut(x: Expr, cuts: Sequence[Cut]) -> Expr:
    """These entries of `x`; `x` itself where every axis stays as it is."""
    if len(cuts) == x.rank and all(map(is_whole, cuts, x.shape)):
        return x
    return slice_op(x, params=tuple(cuts))


def along(shape: Shape, axis: int, start: Size, count: Size) -> tuple[Cut, ...]:
    """The cuts that take `count` entries from `start` along `axis`, and all along the others."""
    return tuple((start, count, 1) if k == axis else (0, size, 1) for k, size in enumerate(shape))


def places_of(node: Expr, operand: int) -> Sequence[Cut]:
    """Where in the result of an embedding or a join an operand stands."""
    if node.op is embed_op:
        found: Sequence[Cut] = node.params[0]
        return found
    (axis,) = node.params
    start: Size = node.args[0].shape[axis] if operand else 0
    return along(node.shape, axis, start, node.args[operand].shape[axis])


def embed(x: Expr, into: Expr) -> Expr:
    """Zeros with `x` in a part of them: embed(x, zeros(n)[1:3])."""
    x, into = expression(x), expression(into)
    zero = into.args[0] if into.op is slice_op else into
    if zero.op is not repeat_op or zero.args[0] is not number(0):
        raise MathError("embed needs the places in an array of zeros", mend="embed(x, zeros(n)[1:3])")
    if into is zero:
        if x.shape != zero.shape:
            raise MathError(f"{shape_text(x.shape)} does not fill {shape_text(zero.shape)}")
        return x
    return embed_op(x, params=(into.params, zero.shape))


def needs(node: Expr) -> Iterable[Size]:
    """What must not be negative for the entries to be there, where it depends on sizes by name."""
    if node.op is slice_op:
        cuts, shape = node.params, node.args[0].shape
    elif node.op is embed_op:
        cuts, shape = node.params
    else:
        return ()
    bounds = (bound for cut, size in zip(cuts, shape, strict=True) for bound in _bounds(cut, size))
    return [bound for bound in bounds if isinstance(bound, str)]


# ------------------------------------------------------------------------------------------- joins


def _joined_shape(params: Params, a: Shape, b: Shape) -> Shape:
    (axis,) = params
    if len(a) != len(b) or not a:
        raise MathError(f"{shape_text(a)} and {shape_text(b)} do not join")
    axis_number(axis, len(a))
    return tuple(plus(x, y) if k == axis else same((x, y)) for k, (x, y) in enumerate(zip(a, b, strict=True)))


def _parts(expr: Expr) -> list[Expr]:
    """What is joined, in order."""
    found: list[Expr] = []
    axis = expr.params
    while expr.op is concatenate_op and expr.params == axis:
        found.append(expr.args[1])
        expr = expr.args[0]
    return [expr, *reversed(found)]


def _joined_text(expr: Expr, spell: Spell) -> Spelled:
    parts = _parts(expr)
    shown = _as_numbers(parts, expr)
    axis = f", axis={expr.params[0]}" if expr.rank > 1 else ""
    return f"concatenate([{', '.join(spell(part)[0] for part in shown)}]{axis})", ATOM


def _as_numbers(parts: Sequence[Expr], expr: Expr) -> Sequence[Expr]:
    """Vectors of one entry as the numbers they hold, where reading puts them back: [w, b]."""
    numbers = [part.args[0] if _holds_one(part) else part for part in parts]
    return numbers if expr.rank == 1 and any(part.rank for part in numbers) else parts


def _holds_one(part: Expr) -> bool:
    return part.op is repeat_op and part.shape == (1,) and not part.args[0].rank


def _joined_box(expr: Expr, write: Write) -> Written:
    """[w; b] one under the other, [A, B] side by side."""
    items: list[Box] = []
    for part in _parts(expr):
        inner = write(part.args[0]) if _holds_one(part) else write(part)
        items += [Sym("; " if expr.params[0] == 0 else ", ", "operator"), inner.box]
    return Written(Fence("[", Row(tuple(items[1:])), "]"), ATOM)


def _joined_change(y: Expr, args: Sequence[Expr], dargs: Sequence[Expr | None]) -> Expr:
    a, b = (repeated_zeros(arg.shape) if d is None else d for arg, d in zip(args, dargs, strict=True))
    return concatenate_op(a, b, params=y.params)


def repeated_zeros(shape: Shape) -> Expr:
    """Zeros in this shape."""
    return repeat(number(0), tuple(range(len(shape))), shape)


def _joined_adjoint(G: Expr, y: Expr, args: Sequence[Expr]) -> tuple[Expr, Expr]:
    (axis,) = y.params
    first, second = (arg.shape[axis] for arg in args)
    return cut(G, along(G.shape, axis, 0, first)), cut(G, along(G.shape, axis, first, second))


# params: the axis.
concatenate_op: Operation = Operation(
    "concatenate",
    _joined_shape,
    lambda np, sizes, params, a, b: np.concatenate([a, b], axis=params[0]),
    _joined_text,
    _joined_box,
    _joined_change,
    _joined_adjoint,
    "concatenation rule",
    "each part moves its own entries: the cotangent is cut where the parts meet",
    lambda expr: f"np.concatenate([{{0}}, {{1}}], axis={expr.params[0]})",
    example=(
        ((0,), (("n",), ("m",))),
        ((0,), (("n",), (1,))),
        ((0,), (("m", "n"), ("k", "n"))),
        ((1,), (("m", "n"), ("m", "k"))),
    ),
)


def concatenate(parts: Sequence[Expr], axis: int = 0) -> Expr:
    """The parts joined along `axis`, one behind the other; beside vectors a number counts as one entry."""
    listed = _listed("concatenate", parts)
    if all(part.rank <= 1 for part in listed) and any(part.rank for part in listed):
        listed = [part if part.rank else repeat(part, 0, 1) for part in listed]
    ranks = {part.rank for part in listed}
    if ranks == {0}:
        raise MathError("numbers have no axis along which to join", mend="stack([a, b])")
    if len(ranks) > 1:
        raise MathError("only arrays with equally many axes are joined", facts=_shapes(listed))
    axis = axis_number(axis, listed[0].rank)
    result = listed[0]
    for part in listed[1:]:
        result = concatenate_op(result, part, params=(axis,))
    return result


def stack(parts: Sequence[Expr], axis: int = 0) -> Expr:
    """The parts joined along a new axis: vectors become the rows (axis 0) or columns (axis 1) of a matrix."""
    listed = _listed("stack", parts)
    if len({part.shape for part in listed}) > 1:
        raise MathError("only arrays of one shape are stacked", facts=_shapes(listed))
    rank = listed[0].rank + 1
    if rank > MOST_AXES:
        raise MathError(f"an array has at most {MOST_AXES} axes, not {rank}")
    axis = axis_number(axis, rank)
    return concatenate([repeat(part, axis, 1) for part in listed], axis)


def _listed(name: str, parts: Sequence[Expr]) -> list[Expr]:
    if isinstance(parts, Expr) or not isinstance(parts, list | tuple) or not parts:
        raise MathError(f"{name} takes a list of arrays", mend=f"{name}([a, b])")
    return [expression(part) for part in parts]


def _shapes(parts: Iterable[Expr]) -> list[str]:
    return [f"they are {', '.join(shape_text(part.shape) for part in parts)}"]


# ------------------------------------------------------------------------------------------- new shapes


def _reshaped(params: Params, shape: Shape) -> Shape:
    (new,) = params
    sizes = tuple(checked_size(size) for size in new)
    if times(1, *sizes) != times(1, *shape) or sizes != tuple(new):
        raise MathError(f"{shape_text(shape)} has not as many entries as {shape_text(sizes)}")
    if len(sizes) > MOST_AXES:
        raise MathError(f"an array has at most {MOST_AXES} axes, not {len(sizes)}")
    return sizes


def _reshape_text(expr: Expr, spell: Spell) -> Spelled:
    inner = spell(expr.args[0])[0]
    if expr.rank == 1:
        return f"ravel({inner})", ATOM
    return f"reshape({inner}, {_tuple(expr.shape)})", ATOM


def _tuple(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"


def _reshape_box(expr: Expr, write: Write) -> Written:
    """ravel(X) for all rows in one vector; else the new shape is said."""
    if expr.rank == 1:
        return call_box("ravel")(expr, write)
    sign = Sub(Sym("reshape", "function"), Sym(shape_text(expr.shape), "text"))
    return Written(Row((sign, Fence("(", write(expr.args[0]).box, ")"))))


# params: the new shape.
reshape_op: Operation = Operation(
    "reshape",
    _reshaped,
    lambda np, sizes, params, a: np.reshape(a, [sizes[size] for size in params[0]]),
    _reshape_text,
    _reshape_box,
    lambda y, args, dargs: reshape_op(only(dargs), params=y.params),
    lambda G, y, args: (reshape(G, args[0].shape),),
    "reshape rule",
    "the entries stay the same and in their order: the cotangent takes the old shape again",
    lambda expr: f"np.reshape({{0}}, {_tuple(expr.shape)})",
    example=(
        ((("m*n",),), (("m", "n"),)),
        ((("m", "n"),), (("m*n",),)),
        (((2, 3),), ((6,),)),
        (((3, 2, "n"),), ((2, 3, "n"),)),
    ),
)


def reshape(x: Expr, size: Size | Sequence[Size]) -> Expr:
    """The entries of `x`, row by row, in a new shape with as many entries."""
    x = expression(x)
    sizes = listed_sizes(size)
    if not x.rank or not sizes:
        raise MathError("reshape makes arrays of arrays", facts=[f"its operand is {shape_text(x.shape)}"])
    sizes = tuple(map(checked_size, sizes))
    while x.op is reshape_op:
        x = x.args[0]
    return x if x.shape == sizes else reshape_op(x, params=(sizes,))


def ravel(x: Expr) -> Expr:
    """All entries of `x` in one vector, row by row; the columns of X one under the other are ravel(X.T)."""
    x = expression(x)
    return reshape(x, times(1, *x.shape)) if x.rank else repeat(x, 0, 1)


COUNTING = frozenset({slice_op, embed_op, concatenate_op, reshape_op})  # their axes have lengths that count
LINEAR = frozenset({slice_op, embed_op, flip_op, concatenate_op, reshape_op})
PLACED = frozenset(
    {slice_op, embed_op, flip_op, concatenate_op}
)  # by a place, counted from an end of an axis
