"""Convolution: what do windows of weights find as they slide over a signal or an image?

Three arrays meet in the sum Σ G[N,k,i] W[k,c,m] X[N,c,x] over all x = s i + d m − p: s is the stride, d the
dilation, p the padding with zeros; along each further axis there is such an equation more. Two of the arrays
given, the third is what the sum multiplies it by:

    W ⋆ X        Σ W[k,c,m] X[N,c, s i + d m − p]    the correlation, which networks call convolution
    W ∗ G        Σ W[k,c,m] G[N,k,i]                 at x: the convolution, transposed to it
    [G ⋆ X]      Σ G[N,k,i] X[N,c, s i + d m − p]    at m: the weights

so that each is the derivative of each other (PyTorch: conv2d, conv_transpose2d, torch.nn.grad.conv2d_weight).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradstep.expression.boxes import ATOM, Box, Row, Sub, Sym, Written, fenced, row
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, Params, Spelled, describe
from gradstep.expression.shapes import Shape, Size, listed_sizes, minus, plus, same, shape_text, times
from gradstep.operations.broadcasting import repeat
from gradstep.operations.einsums import einsum_of
from gradstep.operations.families import JUXTAPOSED, SIGNED, Spell, Write, product_differential
from gradstep.operations.leaves import checked_size, expression
from gradstep.operations.windows import (
    OVERLAP_ADD,
    WINDOWS,
    Whole,
    count_of,
    executed,
    named,
    options_box,
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

Pace = tuple[int, int, int]  # stride, padding and dilation along an axis
CHANNELS = 2  # axes in front: examples and channels, or channels and channels
MOST_SLIDING = 2  # axes along which windows slide

CONVOLVED = f'''{WINDOWS}

def convolved(x, w, strides, paddings, dilations):
    """x, padded with zeros, correlated with the windows of weights w: N c p q and k c r s give N k i j."""
    around = [(0, 0), (0, 0), *((p, p) for p in paddings)]
    parts = windows(np.pad(x, around), w.shape[2:], strides, dilations)
    window = tuple(range(parts.ndim - len(strides), parts.ndim))
    return np.moveaxis(np.tensordot(parts, w, ((1, *window), tuple(range(1, w.ndim)))), -1, 1)
'''
TRANSPOSED_CONVOLVED = f'''{OVERLAP_ADD}

def convolved_back(g, w, strides, paddings, dilations, beyond):
    """The transpose of the convolution with w: every entry of g sends a window of weights back."""
    axes = range(len(strides))
    parts = np.moveaxis(np.tensordot(g, w, (1, 0)), -1 - len(axes), 1)
    around = zip(strides, dilations, g.shape[2:], w.shape[2:], beyond)
    lengths = [s * (i - 1) + d * (m - 1) + 1 + more for s, d, i, m, more in around]
    whole = overlap_add(parts, lengths, strides, dilations)
    return whole[(..., *(slice(p, n - p) for p, n in zip(paddings, lengths)))]
'''
WEIGHTED = f'''{WINDOWS}

def convolved_weights(x, g, lengths, strides, paddings, dilations):
    """What arrives at weights of these lengths: g at every window of x, summed over examples and places."""
    around = [(0, 0), (0, 0), *((p, p) for p in paddings)]
    parts = windows(np.pad(x, around), lengths, strides, dilations)
    places = (0, *range(2, g.ndim))
    return np.tensordot(g, parts, (places, places))
'''


# ------------------------------------------------------------------------------------------- shapes


def _checked(paces: Sequence[Pace], *shapes: Shape) -> None:
    """Whether the arrays have two axes of channels, and one for each pace."""
    axes = len(paces)
    proper = all(
        isinstance(k, int) and k >= least for pace in paces for k, least in zip(pace, (1, 0, 1), strict=True)
    )
    if not proper or not 1 <= axes <= MOST_SLIDING:
        raise MathError("windows slide by whole numbers of places")
    if any(len(shape) != CHANNELS + axes for shape in shapes):
        told = " and ".join(shape_text(shape) or "a number" for shape in shapes)
        raise MathError(f"conv{axes}d takes arrays with {CHANNELS + axes} axes, not {told}")


def _along(params: Params, *shapes: Shape) -> zip[Any]:
    """What belongs to each axis that windows slide along: its pace and its sizes."""
    return zip(params[0], *(shape[CHANNELS:] for shape in shapes), strict=True)


def _forward_shape(params: Params, x: Shape, w: Shape) -> Shape:
    _checked(params[0], x, w)
    if x[1] != w[1]:
        raise MathError(
            f"there are {x[1]} channels, and the weights are for {w[1]}",
            facts=[f"N c … and k c … are convolved; they are {shape_text(x)} and {shape_text(w)}"],
        )
    counts = [count_of(plus(n, 2 * p), m, s, d) for (s, p, d), n, m in _along(params, x, w)]
    return (x[0], w[0], *counts)


def _beyond_reach(pace: Pace, count: Size, length: Size) -> Size:
    """The least size of an axis that has so many windows of this length."""
    stride, padding, dilation = pace
    return plus(times(stride, minus(count, 1)), reach(length, dilation), -2 * padding)


def _back_shape(params: Params, g: Shape, w: Shape) -> Shape:
    _checked(params[0], g, w)
    same((g[1], w[0]))
    if not all(isinstance(k, int) and 0 <= k < s for k, (s, _, _) in zip(params[1], params[0], strict=True)):
        raise MathError("output_padding is a whole number from 0 on, less than the stride")
    sizes = [
        plus(_beyond_reach(pace, i, m), more)
        for (pace, i, m), more in zip(_along(params, g, w), params[1], strict=True)
    ]
    for size in sizes:
        if isinstance(size, int) and size < 1:
            raise MathError("the padding leaves nothing", facts=[f"of {shape_text(g)} and {shape_text(w)}"])
    return (g[0], w[1], *sizes)


def _weight_shape(params: Params, x: Shape, g: Shape) -> Shape:
    lengths = tuple(map(checked_size, params[1]))
    _checked(params[0], x, g, (1, 1, *lengths))
    same((x[0], g[0]))
    counts = _forward_shape(params[:1], x, (g[1], x[1], *lengths))
    for count, given in zip(counts[CHANNELS:], g[CHANNELS:], strict=True):
        same((count, given))
    return (g[1], x[1], *lengths)


# ------------------------------------------------------------------------------------------- definitions


def _slides(params: Params, x: Expr, lengths: Sequence[Size]) -> Expr:
    """The windows of `x`: N c … with an axis for each place of a window."""
    strides, paddings, dilations = zip(*params[0], strict=True)
    paces = tuple(zip(strides, dilations, strict=True))
    return windows_op(padded(x, paddings), params=(tuple(lengths), paces))


def _indices(axes: int) -> tuple[list[int], list[int], list[int]]:
    """The indices of windows N c i … m …, of weights k c m …, and of outputs N k i …."""
    places, window = list(range(3, 3 + axes)), list(range(3 + axes, 3 + 2 * axes))
    return [0, 1, *places, *window], [2, 1, *window], [0, 2, *places]


def _forward(params: Params, x: Expr, w: Expr) -> Expr:
    parts, weights, output = _indices(len(params[0]))
    return einsum_of([weights, parts], output, [w, _slides(params, x, w.shape[CHANNELS:])])


def _back(params: Params, g: Expr, w: Expr) -> Expr:
    strides, paddings, dilations = zip(*params[0], strict=True)
    parts, weights, output = _indices(len(strides))
    sent = einsum_of([weights, output], parts, [w, g])
    inner = _back_shape(params, g.shape, w.shape)[CHANNELS:]
    sizes = tuple(plus(n, 2 * p) for n, p in zip(inner, paddings, strict=True))
    return unpadded(
        overlap_add_op(sent, params=(sizes, tuple(zip(strides, dilations, strict=True)))), paddings
    )


def _weights(params: Params, x: Expr, g: Expr) -> Expr:
    parts, weights, output = _indices(len(params[0]))
    return einsum_of([output, parts], weights, [g, _slides(params, x, params[1])])


# ------------------------------------------------------------------------------------------- writing


def _options(expr: Expr) -> str:
    strides, paddings, dilations = zip(*expr.params[0], strict=True)
    beyond = {"output_padding": expr.params[1]} if expr.op is conv_transpose_op else {}
    return options_text(len(strides), stride=strides, padding=paddings, **beyond, dilation=dilations)


def _text(name: str) -> Callable[[Expr, Spell], Spelled]:
    """conv2d(X, W, stride=2), conv2d_weight(X, G, (r, s))."""

    def text(expr: Expr, spell: Spell) -> Spelled:
        operands = [spell(arg)[0] for arg in expr.args]
        if expr.op is conv_weight_op:
            operands.append(tuple_text(expr.params[1]))
        return f"{name.format(len(expr.params[0]))}({', '.join(operands)}{_options(expr)})", ATOM

    return text


def _box(symbol: str) -> Callable[[Expr, Write], Written]:
    """W ⋆ X: what slides stands in front; what is other than usual is said below the sign."""

    def layout(expr: Expr, write: Write) -> Written:
        signal, window = (fenced(write(arg), JUXTAPOSED) for arg in expr.args)
        sign: Box = Sym(symbol, "operator")
        options = options_box(_options(expr))
        return Written(row(window, Sub(sign, Row(tuple(options))) if options else sign, signal), SIGNED)

    return layout


def _code(name: str) -> Callable[[Expr], str]:
    def code(expr: Expr) -> str:
        numbers = [*zip(*expr.params[0], strict=True)]
        sizes = expr.params[1:]
        numbers = [*sizes, *numbers] if expr.op is conv_weight_op else [*numbers, *sizes]
        return f"{name}({{0}}, {{1}}, {', '.join(map(tuple_code, numbers))})"

    return code


def _meaning(source: str, name: str) -> Callable[..., Any]:
    def meaning(np: Any, sizes: Any, params: Params, a: Any, b: Any) -> Any:
        function = executed(np, source, name)
        paces = [*zip(*params[0], strict=True)]
        others = [[sizes[size] for size in given] for given in params[1:]]
        numbers = [*others, *paces] if source is WEIGHTED else [*paces, *others]
        return function(np.asarray(a), np.asarray(b), *numbers)

    return meaning


# ------------------------------------------------------------------------------------------- operations

RULE = "convolution rule"


def _to_signal(G: Expr, w: Expr, paces: Sequence[Pace], like: Expr) -> Expr:
    """What arrives at a signal: the convolution of `G` with the weights."""
    along = zip(paces, G.shape[CHANNELS:], w.shape[CHANNELS:], like.shape[CHANNELS:], strict=True)
    beyond = tuple(minus(n, _beyond_reach(pace, i, m)) for pace, i, m, n in along)
    return conv_transpose_op(G, w, params=(tuple(paces), beyond))


def _to_weights(x: Expr, G: Expr, paces: Sequence[Pace], like: Expr) -> Expr:
    """What arrives at weights: `G` correlated with the signal."""
    return conv_weight_op(x, G, params=(tuple(paces), like.shape[CHANNELS:]))


def _told(*each: str) -> Callable[[Expr, Sequence[int]], tuple[str, str]]:
    """A reason for each operand where it alone moves."""
    return lambda expr, places: (RULE, each[places[0]] if len(places) == 1 else expr.op.why)


def _operation(
    name: str,
    shape: Callable[..., Shape],
    helper: tuple[str, str],
    writing: tuple[str, str],
    adjoint: Callable[[Expr, Expr, Sequence[Expr]], Sequence[Expr]],
    why: str,
    told: tuple[str, str],
    definition: Callable[..., Expr],
    example: tuple[tuple[Params, tuple[Shape, ...]], ...],
) -> Operation:
    source, called = helper
    return Operation(
        name,
        shape,
        _meaning(source, called),
        _text(writing[0]),
        _box(writing[1]),
        product_differential,
        adjoint,
        RULE,
        why,
        _code(called),
        helper=source,
        definition=definition,
        told=_told(*told),
        example=example,
    )


_PLAIN, _WIDE = ((1, 0, 1),), ((2, 1, 1), (1, 0, 2))

# params: stride, padding and dilation along each axis.
conv_op: Operation = _operation(
    "conv",
    _forward_shape,
    (CONVOLVED, "convolved"),
    ("conv{}d", "⋆"),
    lambda G, y, args: (
        _to_signal(G, args[1], y.params[0], args[0]),
        _to_weights(args[0], G, y.params[0], args[1]),
    ),
    "Σ G (W ⋆ X) is a sum of products of entries of G, W and X: what each is multiplied by is its derivative",
    (
        "an entry of X is in every window that reaches over it: ⟨G, W ⋆ dX⟩ = ⟨W ∗ G, dX⟩",
        "a weight meets one entry of X in every window: ⟨G, dW ⋆ X⟩ = ⟨G ⋆ X, dW⟩",
    ),
    _forward,
    (
        ((_PLAIN,), ((2, "k", "n"), ("m", "k", 2))),
        ((((2, 1, 2),),), (("m", 2, 8), (2, 2, 3))),
        ((_WIDE,), ((2, 1, 5, 6), ("m", 1, 2, 3))),
    ),
)
# params: the same, and how many entries there are along each axis that no window reaches.
conv_transpose_op: Operation = _operation(
    "conv_transpose",
    _back_shape,
    (TRANSPOSED_CONVOLVED, "convolved_back"),
    ("conv_transpose{}d", "∗"),
    lambda H, y, args: (
        conv_op(H, args[1], params=y.params[:1]),
        _to_weights(H, args[0], y.params[0], args[1]),
    ),
    "W ∗ G sends each entry of G to where W ⋆ X took it from: a sum of products of their entries",
    (
        "the transpose of a transpose: ⟨H, W ∗ dG⟩ = ⟨W ⋆ H, dG⟩",
        "a weight sends every entry of G to one place: ⟨H, dW ∗ G⟩ = ⟨G ⋆ H, dW⟩",
    ),
    _back,
    (
        ((_PLAIN, (0,)), ((2, "k", "n"), ("k", "m", 2))),
        ((((2, 1, 2),), (1,)), (("m", 2, 3), (2, 2, 3))),
        ((_WIDE, (1, 0)), ((2, "m", 3, 2), ("m", 1, 2, 3))),
    ),
)
# params: stride, padding and dilation along each axis, and the lengths of a window.
conv_weight_op: Operation = _operation(
    "conv_weight",
    _weight_shape,
    (WEIGHTED, "convolved_weights"),
    ("conv{}d_weight", "⋆"),
    lambda V, y, args: (
        _to_signal(args[1], V, y.params[0], args[0]),
        conv_op(args[0], V, params=y.params[:1]),
    ),
    "G ⋆ X adds G times X over all windows: a sum of products of their entries",
    (
        "an entry of X meets G in every window that reaches over it: ⟨V, G ⋆ dX⟩ = ⟨V ∗ G, dX⟩",
        "an entry of G meets the window of X that it belongs to: ⟨V, dG ⋆ X⟩ = ⟨V ⋆ X, dG⟩",
    ),
    _weights,
    (
        ((_PLAIN, (2,)), ((2, "k", "n"), (2, "m", "n-1"))),
        ((((2, 1, 2),), (3,)), (("m", 2, 8), ("m", 2, 3))),
        ((_WIDE, (2, 3)), ((2, 1, 5, 6), (2, "m", 3, 2))),
    ),
)
CONVOLUTIONS = frozenset({conv_op, conv_transpose_op, conv_weight_op})
# The axes in front, by letters: examples N, channels c of the signal and k of the output.
FRONT = {conv_op: "Nc,kc->Nk", conv_transpose_op: "Nk,kc->Nc", conv_weight_op: "Nc,Nk->kc"}


# ------------------------------------------------------------------------------------------- doors


def _paces(axes: int, stride: Whole, padding: Whole, dilation: Whole) -> tuple[Pace, ...]:
    return tuple(
        zip(
            whole_numbers("stride", stride, axes, 1),
            whole_numbers("padding", padding, axes, 0),
            whole_numbers("dilation", dilation, axes, 1),
            strict=True,
        )
    )


def _with_bias(y: Expr, bias: Expr | None) -> Expr:
    """The bias of each channel added."""
    if bias is None:
        return y
    b = expression(bias)
    if b.shape != y.shape[1:2]:
        raise MathError(
            f"a bias is a vector with a number for each of {y.shape[1]} channels",
            facts=[f"{describe(b)} is {shape_text(b.shape)}"],
            mend="a stride by its name: stride=2" if not b.rank else None,
        )
    others = (0, *range(2, y.rank))
    return y + repeat(b, others, tuple(y.shape[k] for k in others))


def _conv(axes: int) -> Callable[..., Expr]:
    def conv(
        X: Expr, W: Expr, bias: Expr | None = None, stride: Whole = 1, padding: Whole = 0, dilation: Whole = 1
    ) -> Expr:
        paces = _paces(axes, stride, padding, dilation)
        return _with_bias(conv_op(expression(X), expression(W), params=(paces,)), bias)

    return conv


def _conv_transpose(axes: int) -> Callable[..., Expr]:
    def conv_transpose(
        X: Expr,
        W: Expr,
        bias: Expr | None = None,
        stride: Whole = 1,
        padding: Whole = 0,
        output_padding: Whole = 0,
        dilation: Whole = 1,
    ) -> Expr:
        beyond = whole_numbers("output_padding", output_padding, axes, 0)
        params = _paces(axes, stride, padding, dilation), beyond
        return _with_bias(conv_transpose_op(expression(X), expression(W), params=params), bias)

    return conv_transpose


def _conv_weight(axes: int) -> Callable[..., Expr]:
    def conv_weight(
        X: Expr,
        G: Expr,
        size: Size | Sequence[Size],
        stride: Whole = 1,
        padding: Whole = 0,
        dilation: Whole = 1,
    ) -> Expr:
        sizes = tuple(map(checked_size, listed_sizes(size)))
        sizes *= axes if len(sizes) == 1 else 1  # one number is said of all axes
        params = _paces(axes, stride, padding, dilation), sizes
        return conv_weight_op(expression(X), expression(G), params=params)

    return conv_weight


conv1d = named(
    "conv1d",
    _conv(1),
    """PyTorch's conv1d: N×c×n signals and windows of weights k×c×m give N×k×i.

    Σ W[k,c,m] X[N,c,s i + d m − p] over c and m: a correlation (nothing is flipped), with stride s,
    dilation d and p zeros on either side. `bias` has a number for each of k channels.
    """,
)
conv2d = named(
    "conv2d",
    _conv(2),
    """PyTorch's conv2d: N×c×p×q images and windows of weights k×c×r×s give N×k×i×j; see `conv1d`.

    Stride, padding and dilation are one number, or one for each of the two axes.
    """,
)
conv_transpose1d = named(
    "conv_transpose1d",
    _conv_transpose(1),
    """PyTorch's conv_transpose1d, the transpose of `conv1d`: N×k×i and k×c×m give N×c×n.""",
)
conv_transpose2d = named(
    "conv_transpose2d",
    _conv_transpose(2),
    """PyTorch's conv_transpose2d, the transpose of `conv2d`: N×k×i×j and k×c×r×s give N×c×p×q.""",
)
conv1d_weight = named(
    "conv1d_weight",
    _conv_weight(1),
    """What arrives at the weights of `conv1d` where G arrives at its result; windows have this size.""",
)
conv2d_weight = named(
    "conv2d_weight",
    _conv_weight(2),
    """What arrives at the weights of `conv2d` where G arrives at its result; windows have this size.""",
)
