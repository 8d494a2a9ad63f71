"""Windows that slide over an array: which entries stand in each, and what do overlapping windows add up to?

Along an axis a window of m entries, `dilation` d apart, starts at every `stride` s-th place: place j of
window i is x at s i + d j. `overlap_add` puts windows back to where they came from, and adds what overlaps:
the two are each other's adjoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradstep.expression.boxes import ATOM, Box, Fence, Row, Sub, Sym, Written
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, Params, Spelled
from gradstep.expression.shapes import Shape, Size, listed_sizes, minus, plus, quotient, shape_text, times
from gradstep.operations.broadcasting import MOST_AXES
from gradstep.operations.diagonals import eye
from gradstep.operations.einsums import einsum_of
from gradstep.operations.entries import Cut, cut, embed_op
from gradstep.operations.families import Spell, Write, only
from gradstep.operations.flips import flip
from gradstep.operations.leaves import checked_size, expression
from gradstep.operations.permutations import permuted

Paces = tuple[tuple[int, int], ...]  # stride and dilation along each axis that windows slide along
Whole = int | Sequence[int]

WINDOWS = '''def windows(x, lengths, strides, dilations):
    """The windows of these lengths along the last axes of x: a view of it."""
    reach = [d * (m - 1) + 1 for m, d in zip(lengths, dilations)]
    axes = range(x.ndim - len(reach), x.ndim)
    view = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(axes))
    return view[(..., *(slice(None, None, k) for k in (*strides, *dilations)))]
'''
OVERLAP_ADD = '''def overlap_add(windows, lengths, strides, dilations):
    """The sum of overlapping windows, each at its place along axes of these lengths."""
    axes = len(lengths)
    whole = np.zeros((*windows.shape[: -2 * axes], *lengths), windows.dtype)
    counts = windows.shape[-2 * axes : -axes]
    for place in np.ndindex(windows.shape[-axes:]):
        along = zip(place, counts, strides, dilations)
        at = [slice(d * j, d * j + s * (count - 1) + 1, s) for j, count, s, d in along]
        whole[(..., *at)] += windows[(..., *place)]
    return whole
'''


# ------------------------------------------------------------------------------------------- how many


def whole_numbers(name: str, value: object, axes: int, least: int) -> tuple[int, ...]:
    """A whole number for each axis, given as one for all or as one for each."""
    given = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    proper = all(isinstance(k, int) and not isinstance(k, bool) and k >= least for k in given)
    if not proper or len(given) != axes:
        each = "" if axes == 1 else f", or one for each of {axes} axes"
        raise MathError(f"{name} is a whole number from {least} on{each}, not {value!s:.40}")
    return given  # type: ignore[return-value]


def count_of(size: Size, length: Size, stride: int, dilation: int) -> Size:
    """How many windows of this length there are along an axis: ⌊(n − d (m − 1) − 1)/s⌋ + 1."""
    span = minus(size, reach(length, dilation))
    if isinstance(span, int) and span < 0:
        raise MathError(
            f"a window that reaches over {reach(length, dilation)} entries does not fit into {size}"
        )
    return plus(quotient(span, stride), 1)


def reach(length: Size, dilation: int) -> Size:
    """Over how many entries a window reaches: d (m − 1) + 1."""
    return plus(times(dilation, minus(length, 1)), 1)


def options_text(axes: int, **options: Sequence[int]) -> str:
    """, stride=2, padding=(0, 1): what is other than usual."""
    usual = {"stride": 1, "padding": 0, "dilation": 1, "output_padding": 0}
    told = [
        f", {name}={value[0] if len(set(value)) == 1 else tuple(value)}"
        for name, value in options.items()
        if set(value) != {usual[name]}
    ]
    return "".join(told)


def tuple_text(sizes: Sequence[Size]) -> str:
    """One size, or several in brackets."""
    return str(sizes[0]) if len(sizes) == 1 else f"({', '.join(map(str, sizes))})"


def tuple_code(sizes: Sequence[Size]) -> str:
    """A tuple in Python."""
    return f"({', '.join(map(str, sizes))}{',' * (len(sizes) == 1)})"


# ------------------------------------------------------------------------------------------- windows


def _checked_paces(paces: Paces, rank: int) -> None:
    if not 0 < len(paces) <= rank or not all(isinstance(k, int) and k > 0 for pace in paces for k in pace):
        raise MathError("windows slide along the last axes, by whole numbers of places")


def _windows_shape(params: Params, shape: Shape) -> Shape:
    lengths, paces = params
    _checked_paces(paces, len(shape))
    if len(lengths) != len(paces) or len(shape) + len(paces) > MOST_AXES:
        raise MathError(f"windows of {shape_text(lengths)} do not slide over {shape_text(shape)}")
    along = zip(shape[-len(paces) :], lengths, paces, strict=True)
    return (*shape[: -len(paces)], *(count_of(n, checked_size(m), *pace) for n, m, pace in along), *lengths)


def _paced_meaning(source: str, name: str) -> Callable[..., Any]:
    """What our function of this name makes of an array."""

    def meaning(np: Any, sizes: Any, params: Params, x: Any) -> Any:
        lengths, paces = params
        return executed(np, source, name)(x, [sizes[m] for m in lengths], *zip(*paces, strict=True))

    return meaning


def executed(np: Any, source: str, name: str) -> Any:
    """A function of ours from its source, which is a constant of ours and never a user's text."""
    space = {"np": np}
    exec(source, space)
    return space[name]


def _paced_text(expr: Expr, spell: Spell) -> Spelled:
    return f"{expr.op.name}({spell(expr.args[0])[0]}, {tuple_text(expr.params[0])}{_options(expr)})", ATOM


def _options(expr: Expr) -> str:
    strides, dilations = zip(*expr.params[1], strict=True)
    return options_text(len(strides), stride=strides, dilation=dilations)


def options_box(text: str) -> Sequence[Box]:
    """What is other than usual, in words, as an index: stride 2, padding 1."""
    words = text.removeprefix(", ").replace("=", " ").replace("_", " ")
    return [Sym(words, "text")] if words else []


def _paced_box(word: str) -> Any:
    def layout(expr: Expr, write: Write) -> Written:
        """windows_(2×2, stride 2)(X)"""
        said = shape_text(expr.params[0]) + _options(expr).replace("=", " ")
        sign = Sub(Sym(word, "function"), Sym(said, "text"))
        return Written(Row((sign, Fence("(", write(expr.args[0]).box, ")"))))

    return layout


def _paced_code(expr: Expr) -> str:
    sizes, paces = expr.params
    numbers = [tuple_code(each) for each in (sizes, *zip(*paces, strict=True))]
    return f"{expr.op.name}({{0}}, {', '.join(numbers)})"


_EXAMPLE = (
    ((("m",), ((1, 1),)), (("n",),)),
    (((2,), ((2, 1),)), (("m", 7),)),
    (((2, 3), ((2, 1), (1, 2))), ((2, 6, 8),)),
)

# params: the lengths of a window, and for each of these axes the stride and the dilation.
windows_op: Operation = Operation(
    "windows",
    _windows_shape,
    _paced_meaning(WINDOWS, "windows"),
    _paced_text,
    _paced_box("windows"),
    lambda y, args, dargs: windows_op(only(dargs), params=y.params),
    lambda G, y, args: (overlap_add_op(G, params=(args[0].shape[-len(y.params[1]) :], y.params[1])),),
    "window rule",
    "an entry is in every window that reaches over it: what arrives there is added where windows overlap",
    _paced_code,
    helper=WINDOWS,
    example=_EXAMPLE,
)


def _overlap_shape(params: Params, shape: Shape) -> Shape:
    sizes, paces = params
    axes = len(paces)
    _checked_paces(paces, len(shape) // 2)
    lead, counts, lengths = shape[: -2 * axes], shape[-2 * axes : -axes], shape[-axes:]
    if len(sizes) != axes:
        raise MathError(f"{shape_text(shape)} holds no windows of {shape_text(tuple(sizes))}")
    for n, count, m, pace in zip(sizes, counts, lengths, paces, strict=True):
        if count_of(checked_size(n), m, *pace) != count:
            raise MathError(
                f"an axis of {n} entries has {count_of(n, m, *pace)} windows of {m}, and not {count}"
            )
    return (*lead, *sizes)


def by_identity(node: Expr) -> Expr:
    """Windows, or what they add up to, as a product with 1[x = s i + d j], the windows of the identity."""
    (x,), (_, paces) = node.args, node.params
    slides = node.op is windows_op
    whole, parts = (x.shape, node.shape) if slides else (node.shape, x.shape)
    axes, rank = len(paces), len(parts)
    lead, own = len(whole) - axes, list(range(len(parts)))
    entries = [*own[:lead], *range(rank, rank + axes)]
    inputs, factors = [entries if slides else own], [x]
    for k, pace in enumerate(paces, lead):
        inputs.append([entries[k], own[k], own[k + axes]])
        factors.append(windows_op(eye(whole[k]), params=((parts[k + axes],), (pace,))))
    return einsum_of(inputs, own if slides else entries, factors)


def gathered(node: Expr) -> Expr:
    """What windows add up to: x gets what each place j of a window brings from window (x − d j)/s.

    Those that are not there stand as zeros between and around the others, over which windows slide back.
    """
    (parts,), (sizes, paces) = node.args, node.params
    axes = len(paces)
    lead = parts.rank - 2 * axes
    front, starts, within = range(lead), range(lead, lead + axes), range(lead + axes, parts.rank)
    turned = permuted(parts, (*front, *within, *starts))
    for axis in starts:  # where the places are now
        turned = flip(turned, axis)
    lengths = parts.shape[-axes:]
    margins = [minus(reach(m, d), 1) for m, (_, d) in zip(lengths, paces, strict=True)]
    around = zip(margins, turned.shape[-axes:], paces, strict=True)
    cuts = (*((0, n, 1) for n in turned.shape[:-axes]), *((gap, count, s) for gap, count, (s, _) in around))
    wide = (*turned.shape[:-axes], *(plus(n, gap) for n, gap in zip(sizes, margins, strict=True)))
    slid = windows_op(
        embed_op(turned, params=(cuts, wide)), params=(lengths, tuple((1, d) for _, d in paces))
    )
    return einsum_of([[*front, *within, *starts, *within]], [*front, *starts], [slid])


# params: the sizes of the axes that the windows are from, and for each the stride and the dilation.
overlap_add_op: Operation = Operation(
    "overlap_add",
    _overlap_shape,
    _paced_meaning(OVERLAP_ADD, "overlap_add"),
    _paced_text,
    _paced_box("overlap add"),
    lambda y, args, dargs: overlap_add_op(only(dargs), params=y.params),
    lambda G, y, args: (windows_op(G, params=(args[0].shape[-len(y.params[1]) :], y.params[1])),),
    "overlap rule",
    "each place of each window is added to one entry: there it gets what arrives at that entry",
    _paced_code,
    helper=OVERLAP_ADD,
    definition=lambda params, x: by_identity(overlap_add_op(x, params=params)),
    example=(
        ((("n",), ((1, 1),)), (("n+1-m", "m"),)),
        (((7,), ((2, 1),)), (("m", 3, 2),)),
        (((6, 8), ((2, 1), (1, 2))), ((3, 4, 2, 3),)),
    ),
)


# ------------------------------------------------------------------------------------------- doors


def paces_of(axes: int, stride: Whole, dilation: Whole) -> Paces:
    """Stride and dilation along each axis."""
    strides = whole_numbers("stride", stride, axes, 1)
    return tuple(zip(strides, whole_numbers("dilation", dilation, axes, 1), strict=True))


def windows(x: Expr, size: Size | Sequence[Size], stride: Whole = 1, dilation: Whole = 1) -> Expr:
    """The windows of this size along the last axes of `x`: of N×c×n windows of m are N×c×(n−m+1)×m.

    NumPy's sliding_window_view; every `stride`-th window, its entries `dilation` apart.
    """
    sizes = tuple(map(checked_size, listed_sizes(size)))
    return windows_op(expression(x), params=(sizes, paces_of(len(sizes), stride, dilation)))


def overlap_add(x: Expr, size: Size | Sequence[Size], stride: Whole = 1, dilation: Whole = 1) -> Expr:
    """What `windows` took apart put together, along axes of this size: what overlaps is added."""
    sizes = tuple(map(checked_size, listed_sizes(size)))
    return overlap_add_op(expression(x), params=(sizes, paces_of(len(sizes), stride, dilation)))


def inside(shape: Shape, paddings: Sequence[int]) -> tuple[tuple[Cut, ...], Shape]:
    """Where an array of this shape lies among so many zeros around its last axes, and their shape."""
    lead = len(shape) - len(paddings)
    around = [*zip(shape, (*[0] * lead, *paddings), strict=True)]
    return tuple((p, n, 1) for n, p in around), tuple(plus(n, 2 * p) for n, p in around)


def padded(x: Expr, paddings: Sequence[int]) -> Expr:
    """`x` with so many zeros on either side along its last axes."""
    return embed_op(x, params=inside(x.shape, paddings)) if any(paddings) else x


def unpadded(x: Expr, paddings: Sequence[int]) -> Expr:
    """`x` without so many entries on either side along its last axes."""
    lead = x.rank - len(paddings)
    ends = zip(x.shape, (*[0] * lead, *paddings), strict=True)
    return cut(x, [(p, minus(n, 2 * p), 1) for n, p in ends])


def named(name: str, door: Callable[..., Expr], says: str) -> Callable[..., Expr]:
    """A door that was made for a number of axes, with its name and its docstring."""
    door.__name__ = door.__qualname__ = name
    door.__doc__ = says
    return door
