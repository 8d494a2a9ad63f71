"""Random formulas with three and four axes: products of matrices for each place of the axes in front."""

from collections.abc import Callable, Sequence
from random import Random

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Lengths, times
from gradstep.operations import FUNCTIONS
from gradstep.operations.leaves import symbol

SIZES = Lengths({"b": 2, "h": 3, "n": 4, "d": 5})
SHAPES = ("b n d", "b h n d", "d n", "d", "n d", "h n d", "d d", "b n n")


def merged(x: Expr, axis: int) -> Expr:
    """Two neighbouring axes as one."""
    k = min(axis, x.rank - 2)
    return FUNCTIONS["reshape"](x, (*x.shape[:k], times(*x.shape[k : k + 2]), *x.shape[k + 2 :]))


def turned(x: Expr) -> Expr:
    return FUNCTIONS["swapaxes"](x, -1, -2)


# What may become of x at one of its axes, or of x and y.
GROWTH: tuple[Callable[[Expr, Expr, int], Expr], ...] = (
    lambda x, y, k: x @ y,
    lambda x, y, k: x @ turned(y),
    lambda x, y, k: turned(x) @ y,
    lambda x, y, k: x + y,
    lambda x, y, k: x * y,
    lambda x, y, k: FUNCTIONS["softmax"](x, axis=k),
    lambda x, y, k: FUNCTIONS["log_softmax"](x, axis=-1 - k),
    lambda x, y, k: FUNCTIONS["logsumexp"](x, axis=k, keepdims=True),
    lambda x, y, k: FUNCTIONS["sum"](x, axis=(0, k)) if k else FUNCTIONS["sum"](x, axis=0, keepdims=True),
    lambda x, y, k: x - FUNCTIONS["mean"](x, axis=k, keepdims=True),
    lambda x, y, k: FUNCTIONS["var"](x, axis=k),
    lambda x, y, k: FUNCTIONS["max"](x, axis=k),
    lambda x, y, k: FUNCTIONS["norm"](x, axis=k),
    lambda x, y, k: FUNCTIONS["tanh"](x),
    lambda x, y, k: FUNCTIONS["swapaxes"](x, 0, k),
    lambda x, y, k: FUNCTIONS["transpose"](x, (*range(1, x.rank), 0)),
    lambda x, y, k: merged(x, k),
    lambda x, y, k: FUNCTIONS["concatenate"]([x, 2 * x], axis=k),
    lambda x, y, k: x[(*[slice(None)] * k, slice(1, None))],
    lambda x, y, k: x[(*[slice(None)] * k, 0)],
)


def formula(seed: int) -> tuple[Expr, Sequence[Expr]]:
    """A loss in which some part has more than two axes, and its variables."""
    rng = Random(seed)
    while True:
        pool = [symbol(name, shape) for name, shape in zip("XYW", rng.sample(SHAPES, 3), strict=True)]
        variables = tuple(pool)
        for _ in range(30):
            if len(pool) > 7:
                break
            x = rng.choice(pool[-3:])
            try:
                made = rng.choice(GROWTH)(x, rng.choice(pool), rng.randrange(max(x.rank, 1)))
            except (MathError, IndexError):
                continue
            if made.rank <= 4 and min((SIZES[size] for size in made.shape), default=1) > 0:
                pool.append(made)
        loss = FUNCTIONS["sum"](pool[-1] * pool[-1]) + FUNCTIONS["sum"](FUNCTIONS["tanh"](pool[-2]))
        used = set(walk(loss))
        if any(node.rank > 2 for node in used):
            return loss, [x for x in variables if x in used]
