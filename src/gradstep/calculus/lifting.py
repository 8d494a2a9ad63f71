"""What does a law about matrices say about arrays with more axes? The same, of each matrix.

An equation between matrices holds for every matrix that an axis in front counts. Lifting gives its letters
that axis: (A B)ᵀ = Bᵀ Aᵀ for every A of a stack, also where B is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations

from gradstep.calculus.wildcards import wildcard, wildcard_op
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, Params, walk
from gradstep.expression.shapes import Size
from gradstep.operations.arithmetic import power_op, scale_op
from gradstep.operations.broadcasting import MOST_AXES, repeat, repeat_op, squeeze_op, sum_op
from gradstep.operations.cumulative import cumsum_op, prod_op, prod_others_op
from gradstep.operations.entries import concatenate_op
from gradstep.operations.extremes import hardmax_op, max_op, min_op
from gradstep.operations.flips import flip_op
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op
from gradstep.operations.rowwise import log_softmax_op, logsumexp_op, softmax_op

Form = tuple[Expr, Expr]
MATRIX = 2
MOST_LETTERS = 3  # of a form that is also lifted where some of its letters stay as they are


class NotLifted(Exception):
    """An operation of whole matrices or vectors, which has no meaning for several at once."""


def _along(params: Params) -> Params:
    """An axis, or several, one place further back."""
    first, *rest = params
    return (tuple(axis + 1 for axis in first) if isinstance(first, tuple) else first + 1, *rest)


# What becomes of the parameters of operations that are not entrywise, where operands get an axis in front.
PARAMS: Mapping[Operation, Callable[[Params], Params]] = {
    **dict.fromkeys((sum_op, repeat_op, squeeze_op, flip_op, concatenate_op), _along),
    **dict.fromkeys((softmax_op, log_softmax_op, logsumexp_op, max_op, min_op, hardmax_op), _along),
    **dict.fromkeys((cumsum_op, prod_op, prod_others_op), _along),
    **dict.fromkeys((transpose_op, matmul_op), lambda params: params),
}


def lifted(expr: Expr, letters: Mapping[Expr, Expr], size: Size) -> Expr:
    """`expr` with these letters exchanged for others that have an axis of this size in front.

    `NotLifted` where an operation of the expression does not work for several at once.
    """
    done: dict[Expr, Expr] = {}

    def grown(part: Expr) -> bool:
        return done[part].rank > part.rank

    for node in walk(expr):
        if node in letters or not any(map(grown, node.args)):
            done[node] = letters.get(node, node)
            continue
        args = [done[arg] for arg in node.args]
        if node.op in PARAMS:
            if node.op is matmul_op and any(map(_is_row, node.args, args)):
                raise NotLifted
            done[node] = node.op(*args, params=PARAMS[node.op](node.params))
        elif node.op.slopes is not None or node.op in (scale_op, power_op):
            alone = [k for k, arg in enumerate(node.args) if not grown(arg) and arg.rank]
            for k in alone:
                args[k] = _repeated(args[k], size)
            if node.op is scale_op and grown(node.args[0]):
                raise NotLifted  # a number that has become one for each matrix
            done[node] = node.op(*args, params=node.params)
        else:
            raise NotLifted
    return done[expr]


def _is_row(before: Expr, after: Expr) -> bool:
    """Whether a vector has become the rows of a matrix, which multiply as a matrix does."""
    return before.rank == 1 < after.rank


def _repeated(x: Expr, size: Size) -> Expr:
    """Copies, as many more for each place of an axis in front; anything else stays the one that it is."""
    if x.op is not repeat_op:
        raise NotLifted
    axes, sizes = x.params
    return repeat(x.args[0], (0, *(axis + 1 for axis in axes)), (size, *sizes))


@lru_cache(maxsize=4096)
def lifted_forms(form: Form, depth: int) -> tuple[Form, ...]:
    """The equation with `depth` axes in front of its letters, or of some of them."""
    return tuple(_lifted_forms(form, depth))


def _lifted_forms(form: Form, depth: int) -> Iterator[Form]:
    if max(node.rank for node in walk(*form)) + depth > MOST_AXES:
        return
    arrays = [node for node in walk(form[0]) if node.op is wildcard_op and node.rank]
    if any(node.rank > MATRIX for node in arrays):  # a law that speaks of stacks by itself
        return
    for count in range(len(arrays) if len(arrays) > MOST_LETTERS else 1, len(arrays) + 1):
        for letters in combinations(arrays, count):
            try:
                left, right = _stacked(form, letters, depth)
            except (NotLifted, MathError):
                continue
            if left.shape == right.shape and any(node.rank > MATRIX for node in walk(left)):
                yield left, right


def _stacked(form: Form, letters: Sequence[Expr], depth: int) -> Form:
    """Both sides with `depth` more axes in front of these letters."""
    left, right = form
    for k in range(depth):
        size = f"batch{k}"
        table = {old: wildcard(str(old.params[0]), (size, *old.shape)) for old in letters}
        left, right = lifted(left, table, size), lifted(right, table, size)
        letters = [*table.values()]
    return left, right
