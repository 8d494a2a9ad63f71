"""Functions of whole rows: softmax and logsumexp. How do the entries of a row share one number?

Each works along one axis, and on every other axis entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable

from gradstep.expression.boxes import Fence, Row, Sub, Sym, Written
from gradstep.expression.boxes import number as number_box
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, Params
from gradstep.expression.shapes import Shape, axis_number
from gradstep.operations.arithmetic import exp, log
from gradstep.operations.broadcasting import repeat
from gradstep.operations.families import Write, axis_text, helped, only
from gradstep.operations.leaves import expression
from gradstep.operations.sums import Axis, axes_of, kept, sum


def back(x: Expr, y: Expr, axis: int) -> Expr:
    """`x`, which lost `axis`, repeated along it to the shape of `y`."""
    return repeat(x, axis, y.shape[axis])


def totals(x: Expr, y: Expr) -> Expr:
    """The sums of `x` along the axis of `y`, repeated to the shape of `y`."""
    axis = y.params[0]
    return back(sum(x, axis), y, axis)


def lost(params: Params, shape: Shape) -> Shape:
    """The shape without the axis."""
    axis = params[0]
    axis_number(axis, len(shape))
    return tuple(size for k, size in enumerate(shape) if k != axis)


def axis_box(name: str, silent: bool = True) -> Callable[[Expr, Write], Written]:
    """softmax(Z); the axis is said, unless it is the only one, or the last one and `silent`."""

    def layout(expr: Expr, write: Write) -> Written:
        sign = Sym(name, "function")
        named, rank = expr.params[0], expr.args[0].rank
        axes = (named,) if isinstance(named, int) else named
        plain = len(axes) == rank or (silent and axes == (rank - 1,))
        word = "axis " if len(axes) == 1 else "axes "
        numbers = number_box(", ".join(map(str, axes)))
        head = sign if plain else Sub(sign, Row((Sym(word, "text"), numbers)))
        return Written(Row((head, Fence("(", write(expr.args[0]).box, ")"))))

    return layout


def _softmax_change(y: Expr, d: Expr) -> Expr:
    """P ⊙ (D − its rows' means under P): the Jacobian diag(p) − p pᵀ, which is symmetric, row by row."""
    weighted = y * d
    return weighted - y * totals(weighted, y)


# exp(z − top) would magnify what rounding takes from the difference by |z|. It is exp z over exp top where
# neither overflows; elsewhere what was taken (Knuth's TwoSum) is put back. The others are summed without the
# largest entry, so that log1p keeps what they add.
_EXPONENTIALS = (
    "def exponentials(z, top):\n"
    '    """exp(z - top)"""\n'
    "    limit = np.log(np.finfo(z.dtype).max) / 2.1\n"
    "    if -limit < z.min() and z.max() < limit:\n"
    "        return np.exp(z) / np.exp(top)\n"
    "    d = z - top\n"
    "    back = d - z\n"
    "    lost = (z - (d - back)) - (top + back)\n"
    "    e = np.exp(d)\n"
    "    return e + e * np.where(np.abs(d) < 800, lost, 0)\n"
)
_FINITE_MAX = (
    "def finite_max(z, axis):\n"
    '    """The largest z, or 0 in the place of an infinite one."""\n'
    "    top = z.max(axis=axis, keepdims=True)\n"
    "    return np.where(np.isfinite(top), top, 0)\n"
)
_LOG_TOTAL = (
    f"{_EXPONENTIALS}\n\n{_FINITE_MAX}\n\ndef log_total(z, axis):\n"
    '    """The largest z, and how far log(sum(exp(z))) is above it."""\n'
    "    top = finite_max(z, axis)\n"
    "    first = z == top\n"
    "    rest = np.where(first, 0, exponentials(z, top)).sum(axis=axis, keepdims=True)\n"
    "    others = first.sum(axis=axis, keepdims=True, dtype=z.dtype) - 1\n"
    "    return top, np.log1p(rest + others)\n"
)
SOFTMAX = (
    f"{_EXPONENTIALS}\n\n{_FINITE_MAX}\n\ndef softmax(z, axis):\n"
    "    limit = np.log(np.finfo(z.dtype).max) / 2.1\n"
    "    small = -limit < z.min() and z.max() < limit\n"
    "    e = np.exp(z) if small else exponentials(z, finite_max(z, axis))\n"
    "    e /= e.sum(axis=axis, keepdims=True)\n"
    "    return e\n"
)
LOG_SOFTMAX = (
    f"{_LOG_TOTAL}\n\ndef log_softmax(z, axis):\n"
    "    top, more = log_total(z, axis)\n"
    "    return (z - top) - more\n"
)
LOGSUMEXP = (
    f"{_LOG_TOTAL}\n\ndef logsumexp(z, axis):\n"
    "    top, more = log_total(z, axis)\n"
    "    return (top + more).squeeze(axis)\n"
)
_EXAMPLE = (((0,), (("n",),)), ((1,), (("m", "n"),)), ((0,), (("m", "n"),)))

# params: the axis.
softmax_op = Operation(
    "softmax",
    lambda params, shape: shape,
    helped(SOFTMAX, "softmax({0}, {p0})"),
    axis_text,
    axis_box("softmax"),
    lambda y, args, dargs: _softmax_change(y, only(dargs)),
    lambda G, y, args: (_softmax_change(y, G),),
    "softmax rule",
    "a row p of softmax moves by (diag(p) − p pᵀ) dz",
    "softmax({0}, axis={p0})",
    definition=lambda params, x: exp(x) / back(sum(exp(x), params[0]), x, params[0]),
    helper=SOFTMAX,
    example=_EXAMPLE,
)
log_softmax_op = Operation(
    "log_softmax",
    lambda params, shape: shape,
    helped(LOG_SOFTMAX, "log_softmax({0}, {p0})"),
    axis_text,
    axis_box("log softmax"),
    lambda y, args, dargs: only(dargs) - totals(softmax(args[0], y.params[0]) * only(dargs), y),
    lambda G, y, args: (G - softmax(args[0], y.params[0]) * totals(G, y),),
    "log softmax rule",
    "log softmax(z) = z − logsumexp(z), and the gradient of logsumexp is softmax",
    "log_softmax({0}, axis={p0})",
    definition=lambda params, x: x - back(log(sum(exp(x), params[0])), x, params[0]),
    helper=LOG_SOFTMAX,
    example=_EXAMPLE,
)
logsumexp_op = Operation(
    "logsumexp",
    lost,
    helped(LOGSUMEXP, "logsumexp({0}, {p0})"),
    axis_text,
    axis_box("logsumexp"),
    lambda y, args, dargs: sum(softmax(args[0], y.params[0]) * only(dargs), y.params[0]),
    lambda G, y, args: (back(G, args[0], y.params[0]) * softmax(args[0], y.params[0]),),
    "logsumexp rule",
    "the gradient of log Σ exp z is softmax(z)",
    "logsumexp({0}, axis={p0})",
    definition=lambda params, x: log(sum(exp(x), params[0])),
    helper=LOGSUMEXP,
    example=_EXAMPLE,
)


def _along(op: Operation, x: Expr, axis: Axis) -> Expr:
    x = expression(x)
    if isinstance(axis, tuple) and len(axis) == 1:
        (axis,) = axis
    if isinstance(axis, tuple):
        raise MathError(f"{op.name} works along one axis, not {len(axis)}", mend=f"{op.name}(…, axis=1)")
    if axis is None:
        if x.rank != 1:
            raise MathError(
                f"{op.name} needs an axis, unless its operand is a vector",
                mend=f"{op.name}(…, axis=1) to work along each row" if x.rank == 2 else None,
            )
        axis = 0
    return op(x, params=(axis_number(axis, x.rank),))


def softmax(x: Expr, axis: Axis = None) -> Expr:
    """exp(x) divided by its sum along `axis`, without overflow."""
    return _along(softmax_op, x, axis)


def log_softmax(x: Expr, axis: Axis = None) -> Expr:
    """log softmax(x), without overflow or underflow."""
    return _along(log_softmax_op, x, axis)


def logsumexp(x: Expr, axis: Axis = None, keepdims: bool = False) -> Expr:
    """log Σ exp x of all entries, or along `axis`, without overflow."""
    x = expression(x)
    axes = axes_of(x, axis)
    result = x
    for a in reversed(axes):  # the logsumexp of logsumexps is that of all together
        result = logsumexp_op(result, params=(a,))
    return kept(result, axes, keepdims)
