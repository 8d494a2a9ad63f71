"""What does a loss do with its data? Where features enter, what is compared with the target, what may die.

Everything here is read off the expression, so it holds for a user's own loss as for the default ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Size
from gradstep.operations.activations import (
    abs_op,
    leaky_relu_op,
    relu_op,
    sigmoid,
    sigmoid_op,
    softplus_op,
)
from gradstep.operations.arithmetic import (
    add_op,
    log_op,
    multiply_op,
    negate_op,
    power_op,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat_op, sum_op
from gradstep.operations.leaves import is_constant, symbol_op, value_of
from gradstep.operations.products import matmul_op, transpose_op
from gradstep.operations.rowwise import log_softmax_op, logsumexp_op, softmax


def name_of(symbol: Expr) -> str:
    """The name of a variable."""
    return str(symbol.params[0])


def parents(roots: Sequence[Expr]) -> dict[Expr, list[Expr]]:
    """For every node the nodes that work on it, one entry for each place."""
    found: dict[Expr, list[Expr]] = {}
    for node in walk(*roots):
        for arg in node.args:
            found.setdefault(arg, []).append(node)
    return found


# ------------------------------------------------------------------------------------------- affine parts


@dataclass(frozen=True)
class Affine:
    """A part A @ W + b whose weights and bias have no other use.

    `transposed` where it is written A @ W.T. `weights` may also be a number that multiplies a vector: w*x + b.
    """

    whole: Expr
    inner: Expr
    weights: Expr
    bias: Expr
    transposed: bool = False


def affine(node: Expr, above: dict[Expr, list[Expr]], parameters: Collection[Expr]) -> Affine | str:
    """`node` as A @ W + b, or the reason why it is none."""
    if node.op is not add_op:
        return "no bias is added to it"
    for product, repeated in (node.args, node.args[::-1]):
        if repeated.op is not repeat_op or product.op not in (matmul_op, scale_op):
            continue
        inner, weights = product.args if product.op is matmul_op else product.args[::-1]
        transposed = weights.op is transpose_op
        weights = weights.args[0] if transposed else weights
        bias = repeated.args[0]
        if weights not in parameters or bias not in parameters:
            continue
        if bias.rank != max(weights.rank - 1, 0) or repeated.params[0] != (0,) or inner.rank != max(weights.rank, 1) - (
            weights.rank - 2 if weights.rank > 1 else -1 if weights.rank else 0
        ):
            continue
        chain = [product, repeated, weights, bias, *([product.args[1]] if transposed else [])]
        shared = next((part for part in chain if len(above[part]) > 1), None)
        if shared is not None:
            what = name_of(shared) if shared.op is symbol_op else str(shared)
            return f"{what} is used elsewhere too (a penalty?)"
        return Affine(node, inner, weights, bias, transposed)
    return "it is not multiplied by a parameter with a bias added"
