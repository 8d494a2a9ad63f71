"""Pooling: what is the largest entry, or the mean, of each window? Windows slide along the last axes.

Where entries of a window tie, they share equally, as in every maximum here (PyTorch gives all to the first).
What is beyond the ends counts as −∞ for the largest entry, and as 0 for the mean, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradstep.expression.boxes import ATOM, Box, Fence, Row, Sub, Sym, Written
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, Params, Spelled
from gradstep.expression.shapes import Shape, Size, listed_sizes, minus, plus, same, shape_text
from gradstep.operations.arithmetic import divide, scale
from gradstep.operations.broadcasting import MOST_AXES, repeat, sum_over
from gradstep.operations.coded import defined
from gradstep.operations.extremes import TIES, hardmax_op, max_op, min
from gradstep.operations.families import Spell, Write, only
from gradstep.operations.leaves import checked_size, expression
from gradstep.operations.pooled import AVG_POOLED, AVG_UNPOOLED, MAX_POOLED, MAX_TAKEN, MAX_UNPOOLED, SHARES
from gradstep.operations.sums import count, mean
from gradstep.operations.windows import (
    Whole,
    count_of,
    executed,
    named,
    options_text,
    overlap_add_op,
    padded,
    reach,
    tuple_code,
    tuple_text,
    unpadded,
    whole_numbers,
    windows_op,
)

# ------------------------------------------------------------------------------------------- shapes


def _pooled_shape(params: Params, x: Shape) -> Shape:
    lengths, paces = params[0], params[1]
    axes = len(paces)
    proper = all(
        isinstance(k, int) and k >= least for pace in paces for k, least in zip(pace, (1, 0, 1), strict=True)
    )
    if not proper or not 0 < axes <= len(x) or len(lengths) != axes or len(x) + axes > MOST_AXES:
        raise MathError(f"windows of {shape_text(tuple(lengths))} do not slide over {shape_text(x)}")
    along = zip(x[-axes:], map(checked_size, lengths), paces, strict=True)
    return (*x[:-axes], *(count_of(plus(n, 2 * p), m, s, d) for n, m, (s, p, d) in along))


def _max_shape(params: Params, x: Shape) -> Shape:
    for n, m, (_, p, d) in zip(x[-len(params[1]) :], *params[:2], strict=False):
        beyond = p and minus(reach(m, d), 2 * p)
        if isinstance(beyond, int) and (beyond < 0 or (p and isinstance(n, int) and n < d)):
            raise MathError(
                f"windows over {reach(m, d)} entries may hold nothing but what is beyond the ends",
                facts=["the padding is at most half of what a window reaches over"],
                mend=f"padding={int(beyond + 2 * p) // 2}",
            )
    return _pooled_shape(params, x)


def _like(params: Params, g: Shape, x: Shape) -> Shape:
    """The shape of `x`, if `g` has an entry for each of its windows."""
    for one, other in zip(g, _max_shape(params, x), strict=len(g) == len(x)):
        same((one, other))
    return x


def _taken_shape(params: Params, v: Shape, x: Shape) -> Shape:
    if v != x:
        raise MathError(f"{shape_text(v)} and {shape_text(x)} should have the same shape")
    return _max_shape(params, x)


def _spread_shape(params: Params, g: Shape) -> Shape:
    if len(params[1]) > len(g) or len(params[2]) != len(params[1]):
        raise MathError(f"{shape_text(g)} is no array of windows of {shape_text(tuple(params[2]))}")
    whole = (*g[: -len(params[1])], *map(checked_size, params[2]))
    found = _pooled_shape(params, whole)
    if found != g:
        raise MathError(
            f"an array of {shape_text(whole)} has {shape_text(found)} windows, not {shape_text(g)}"
        )
    return whole


# ------------------------------------------------------------------------------------------- definitions


def _slid(params: Params, x: Expr) -> Expr:
    strides, paddings, dilations = zip(*params[1], strict=True)
    return windows_op(padded(x, paddings), params=(params[0], tuple(zip(strides, dilations, strict=True))))


def _put_back(params: Params, parts: Expr, sizes: Shape) -> Expr:
    strides, paddings, dilations = zip(*params[1], strict=True)
    wide = tuple(plus(n, 2 * p) for n, p in zip(sizes, paddings, strict=True))
    return unpadded(
        overlap_add_op(parts, params=(wide, tuple(zip(strides, dilations, strict=True)))), paddings
    )


def _within(params: Params, x: Expr) -> tuple[int, ...]:
    return tuple(range(x.rank, x.rank + len(params[1])))


def _spread(params: Params, g: Expr) -> Expr:
    """An entry of `g` at all places of its window."""
    return repeat(g, tuple(range(g.rank, g.rank + len(params[0]))), tuple(params[0]))


def _shares(params: Params, x: Expr) -> Expr:
    if any(p for _, p, _ in params[1]):
        return max_share_op(x, params=params)
    return hardmax_op(_slid(params, x), params=(_within(params, x),))


def pointing(node: Expr) -> Expr:
    """1 at the largest entry of each window in which `node` picks it, by a maximum of real numbers.

    Zeros around an array are no entry's rivals where all entries are positive.
    """
    params, x = node.params, node.args[-1]
    if any(p for _, p, _ in params[1]):
        x = x - repeat(min(x) - 1, tuple(range(x.rank)), x.shape)
    return hardmax_op(_slid(params, x), params=(_within(params, x),))


def simpler(node: Expr) -> Expr:
    """Pooling by windows and what is done with them."""
    return pointing(node) if node.op is max_share_op else defined(node)


def _max(params: Params, x: Expr) -> Expr:
    if any(p for _, p, _ in params[1]):
        return _taken(params, x, x)
    return max_op(_slid(params, x), params=(_within(params, x),))


def _unpooled(params: Params, g: Expr, x: Expr) -> Expr:
    return _put_back(params, _spread(params, g) * _shares(params, x), x.shape[-len(params[1]) :])


def _taken(params: Params, v: Expr, x: Expr) -> Expr:
    return sum_over(_slid(params, v) * _shares(params, x), _within(params, x))


def _mean(params: Params, x: Expr) -> Expr:
    return mean(_slid(params, x), _within(params, x))


def _evenly(params: Params, g: Expr) -> Expr:
    return _put_back(params, scale(divide(1, count(params[0])), _spread(params, g)), params[2])


# ------------------------------------------------------------------------------------------- writing


def _options(expr: Expr) -> str:
    """What is other than windows side by side: stride, padding, dilation."""
    lengths, paces = expr.params[:2]
    strides, paddings, dilations = zip(*paces, strict=True)
    near = (
        ""
        if strides == lengths
        else f", stride={tuple_text(strides if len({*strides}) > 1 else strides[:1])}"
    )
    return near + options_text(len(paces), padding=paddings, dilation=dilations)


def _text(expr: Expr, spell: Spell) -> Spelled:
    """max_pool2d(X, 2, padding=1), avg_unpool2d(G, (n, m), (2, 3))."""
    lengths, paces, *sizes = expr.params
    operands = [*(spell(arg)[0] for arg in expr.args), *map(tuple_text, sizes)]
    window = tuple_text(lengths if len({*lengths}) > 1 else lengths[:1])
    return f"{expr.op.name}{len(paces)}d({', '.join(operands)}, {window}{_options(expr)})", ATOM


def _box(word: str) -> Callable[[Expr, Write], Written]:
    def layout(expr: Expr, write: Write) -> Written:
        """maxpool_(2×2, stride 1)(X)"""
        said = shape_text(tuple(expr.params[0])) + _options(expr).replace("=", " ")
        inner: list[Box] = []
        for arg in expr.args:
            inner += [Sym(", ", "operator"), write(arg).box] if inner else [write(arg).box]
        return Written(
            Row((Sub(Sym(word, "function"), Sym(said, "text")), Fence("(", Row(tuple(inner)), ")")))
        )

    return layout


def _shares_shape(params: Params, x: Shape) -> Shape:
    return (*_max_shape(params, x), *params[0])


def _code(name: str) -> Callable[[Expr], str]:
    def code(expr: Expr) -> str:
        lengths, paces, *sizes = expr.params
        numbers = map(tuple_code, (*sizes, lengths, *zip(*paces, strict=True)))
        return f"{name}({', '.join(f'{{{k}}}' for k in range(len(expr.args)))}, {', '.join(numbers)})"

    return code


def _meaning(source: str, name: str) -> Callable[..., Any]:
    def meaning(np: Any, sizes: Any, params: Params, *values: Any) -> Any:
        lengths, paces, *whole = params
        numbers = [[sizes[size] for size in given] for given in (*whole, lengths)]
        return executed(np, source, name)(*map(np.asarray, values), *numbers, *zip(*paces, strict=True))

    return meaning


# ------------------------------------------------------------------------------------------- operations


def _first_moves(y: Expr, args: Sequence[Expr], dargs: Sequence[Expr | None]) -> Expr:
    """Where the largest entries stand stays so until others overtake them."""
    return 0 * y if dargs[0] is None else y.op(dargs[0], *args[1:], params=y.params)


_APART, _NEAR, _WIDE, _EVEN = ((2, 0, 2),), ((1, 1, 1),), ((2, 1, 1), (1, 0, 2)), ((2, 1, 1), (1, 0, 1))

# params: the lengths of a window, and for each of these axes the stride, the padding and the dilation.
max_pool_op: Operation = Operation(
    "max_pool",
    _max_shape,
    _meaning(MAX_POOLED, "max_pooled"),
    _text,
    _box("maxpool"),
    lambda y, args, dargs: max_take_op(only(dargs), args[0], params=y.params),
    lambda G, y, args: (max_unpool_op(G, args[0], params=y.params),),
    "max pooling rule",
    "the largest entry of a window alone counts: what arrives at the window goes to where that entry stands",
    _code("max_pooled"),
    helper=MAX_POOLED,
    definition=_max,
    kink=TIES,
    example=(
        (((2,), _NEAR), (("m", 3),)),
        (((2,), _APART), (("m", 7),)),
        (((2, 3), _WIDE), ((2, 4, 6),)),
    ),
)
max_unpool_op: Operation = Operation(
    "max_unpool",
    _like,
    _meaning(MAX_UNPOOLED, "max_unpooled"),
    _text,
    _box("maxunpool"),
    _first_moves,
    lambda H, y, args: (max_take_op(H, args[1], params=y.params), 0 * H),
    "max unpooling rule",
    "each entry is added to one place: there it gets what arrives at that place",
    _code("max_unpooled"),
    helper=MAX_UNPOOLED,
    definition=_unpooled,
    kink=TIES,
    example=(
        (((2,), _NEAR), (("m", 4), ("m", 3))),
        (((2,), _APART), (("m", 3), ("m", 7))),
        (((2, 3), _WIDE), ((2, 3, 2), (2, 4, 6))),
    ),
)
max_take_op: Operation = Operation(
    "max_take",
    _taken_shape,
    _meaning(MAX_TAKEN, "max_taken"),
    _text,
    _box("maxtake"),
    _first_moves,
    lambda H, y, args: (max_unpool_op(H, args[1], params=y.params), 0 * args[1]),
    "max taking rule",
    "of each window the entry at one place is taken: what arrives there goes to that place",
    _code("max_taken"),
    helper=MAX_TAKEN,
    definition=_taken,
    kink=TIES,
    example=(
        (((2,), _NEAR), (("m", 3), ("m", 3))),
        (((2,), _APART), (("m", 7), ("m", 7))),
        (((2, 3), _WIDE), ((2, 4, 6), (2, 4, 6))),
    ),
)
avg_pool_op: Operation = Operation(
    "avg_pool",
    _pooled_shape,
    _meaning(AVG_POOLED, "avg_pooled"),
    _text,
    _box("avgpool"),
    lambda y, args, dargs: avg_pool_op(only(dargs), params=y.params),
    lambda G, y, args: (avg_unpool_op(G, params=(*y.params, args[0].shape[-len(y.params[1]) :])),),
    "average pooling rule",
    "each of m entries moves the mean by 1/m: what arrives at a window is spread evenly over it",
    _code("avg_pooled"),
    helper=AVG_POOLED,
    definition=_mean,
    example=(
        (((2,), _NEAR), (("m", "n"),)),
        (((2,), ((2, 0, 1),)), (("m", 7),)),
        (((2, 3), _EVEN), ((2, 4, 6),)),
    ),
)
# params: the same, and the sizes of the axes that windows slide along.
avg_unpool_op: Operation = Operation(
    "avg_unpool",
    _spread_shape,
    _meaning(AVG_UNPOOLED, "avg_unpooled"),
    _text,
    _box("avgunpool"),
    lambda y, args, dargs: avg_unpool_op(only(dargs), params=y.params),
    lambda H, y, args: (avg_pool_op(H, params=y.params[:2]),),
    "average unpooling rule",
    "an entry is spread evenly over its window: it gets the mean of what arrives there",
    _code("avg_unpooled"),
    helper=AVG_UNPOOLED,
    definition=_evenly,
    example=(
        (((2,), _NEAR, ("n",)), (("m", "n+1"),)),
        (((2,), ((2, 0, 1),), (7,)), (("m", 3),)),
        (((2, 3), _EVEN, (4, 6)), ((2, 3, 4),)),
    ),
)
# Where windows reach beyond the ends, no maximum of a padded array says which entry is the largest.
max_share_op: Operation = Operation(
    "max_share",
    _shares_shape,
    _meaning(SHARES, "shares"),
    _text,
    _box("maxshare"),
    lambda y, args, dargs: 0 * y,
    lambda H, y, args: (0 * args[0],),
    "slope of maxshare",
    "which entry is the largest stands still until another one overtakes it: the slope is 0",
    _code("shares"),
    helper=SHARES,
    kink=TIES,
    example=(
        (((2,), _NEAR), (("m", 3),)),
        (((2, 3), _WIDE), ((2, 4, 6),)),
    ),
)
PICKS = frozenset({max_pool_op, max_unpool_op, max_take_op, max_share_op})  # the largest of each window
POOLS = PICKS | {avg_pool_op, avg_unpool_op}


# ------------------------------------------------------------------------------------------- doors


def _params(
    name: str,
    axes: int,
    x: Expr,
    size: Size | Sequence[Size],
    stride: Whole | None,
    padding: Whole,
    gap: Whole,
) -> Params:
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
    paces = zip(
        whole_numbers("stride", stride, axes, 1),
        whole_numbers("padding", padding, axes, 0),
        whole_numbers("dilation", gap, axes, 1),
        strict=True,
    )
    return lengths, tuple(paces)


def _max_pool(axes: int, op: Operation = max_pool_op) -> Callable[..., Expr]:
    def max_pool(
        X: Expr,
        size: Size | Sequence[Size],
        stride: Whole | None = None,
        padding: Whole = 0,
        dilation: Whole = 1,
    ) -> Expr:
        x = expression(X)
        return op(x, params=_params(f"{op.name}{axes}d", axes, x, size, stride, padding, dilation))

    return max_pool


def _at_largest(op: Operation, axes: int) -> Callable[..., Expr]:
    def at_largest(
        G: Expr,
        X: Expr,
        size: Size | Sequence[Size],
        stride: Whole | None = None,
        padding: Whole = 0,
        dilation: Whole = 1,
    ) -> Expr:
        x = expression(X)
        params = _params(f"{op.name}{axes}d", axes, x, size, stride, padding, dilation)
        return op(expression(G), x, params=params)

    return at_largest


def _avg_pool(axes: int) -> Callable[..., Expr]:
    def avg_pool(
        X: Expr, size: Size | Sequence[Size], stride: Whole | None = None, padding: Whole = 0
    ) -> Expr:
        x = expression(X)
        return avg_pool_op(x, params=_params(f"avg_pool{axes}d", axes, x, size, stride, padding, 1))

    return avg_pool


def _avg_unpool(axes: int) -> Callable[..., Expr]:
    def avg_unpool(
        G: Expr,
        sizes: Size | Sequence[Size],
        size: Size | Sequence[Size],
        stride: Whole | None = None,
        padding: Whole = 0,
    ) -> Expr:
        g = expression(G)
        whole = tuple(map(checked_size, listed_sizes(sizes)))
        params = _params(f"avg_unpool{axes}d", axes, g, size, stride, padding, 1)
        return avg_unpool_op(g, params=(*params, whole * axes if len(whole) == 1 else whole))

    return avg_unpool


_MAX = """PyTorch's max_pool{0}d: the largest entry of each window along {1}.

    Windows of this size lie side by side, or begin `stride` apart; entries are `dilation` apart. What
    `padding` puts around counts as −∞. Where entries tie they share the slope.
    """
_UNPOOL = """Each entry of G where the largest of its window of X stands, the transpose of `max_take{0}d`.

    It is what arrives at X where G arrives at `max_pool{0}d` of it.
    """
_TAKE = """What G has where the largest entry of each window of X stands, as `max_pool{0}d` takes it."""
_SHARE = (
    """1 at the largest entry of each window of X, as `max_pool{0}d` takes it; those that tie share it."""
)
_MEAN = """PyTorch's avg_pool{0}d: the mean of each window along {1}; zeros that stand around count.

    Windows of this size lie side by side, or begin `stride` apart.
    """
_EVENLY = """Each entry of G spread evenly over its window, the transpose of `avg_pool{0}d`."""
_ALONG = {1: "the last axis", 2: "the last two axes"}


def _doors(
    name: str, made: Callable[[int], Callable[..., Expr]], says: str
) -> tuple[Callable[..., Expr], ...]:
    """For one axis, and for two."""
    return tuple(named(f"{name}{axes}d", made(axes), says.format(axes, _ALONG[axes])) for axes in (1, 2))


max_pool1d, max_pool2d = _doors("max_pool", _max_pool, _MAX)
max_unpool1d, max_unpool2d = _doors("max_unpool", lambda axes: _at_largest(max_unpool_op, axes), _UNPOOL)
max_share1d, max_share2d = _doors("max_share", lambda axes: _max_pool(axes, max_share_op), _SHARE)
max_take1d, max_take2d = _doors("max_take", lambda axes: _at_largest(max_take_op, axes), _TAKE)
avg_pool1d, avg_pool2d = _doors("avg_pool", _avg_pool, _MEAN)
avg_unpool1d, avg_unpool2d = _doors("avg_unpool", _avg_unpool, _EVENLY)
