"""Is a loss a sum of squares? Then of which residuals, and with which weights?

Read off the expression, so a mean of e**2, e @ e/N, norm(e)**2, a trace and a penalty are all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradstep.calculus.derivation import moving_nodes
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, describe
from gradstep.operations.activations import abs_op, sqrt_op
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    multiply_op,
    negate_op,
    power,
    power_op,
    scale,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat, repeat_op, squeeze_op, sum_op, sum_over
from gradstep.operations.declared import inlined
from gradstep.operations.diagonals import trace_op
from gradstep.operations.evaluation import belongs, variables
from gradstep.operations.leaves import number, value_of
from gradstep.operations.norms import norm_op
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op


@dataclass(frozen=True)
class Square:
    """A term Σ weights ⊙ residual² of a loss; both have one shape, and the weights depend on no parameter."""

    residual: Expr
    weights: Expr


def squares(loss: Expr, parameters: list[Expr]) -> tuple[Square, ...]:
    """The loss as a sum of squares, but for what does not depend on the parameters.

    A part that is no square is a `MathError`. Whether weights are negative is seen only in numbers.
    """
    known = variables(loss)
    whole = inlined([loss])[loss]
    moving = moving_nodes(whole, parameters)
    found: dict[Expr, Expr] = {}
    open_ = [(whole, number(1))]
    while open_:
        node, weights = open_.pop(0)
        if node not in moving:
            continue
        root = _root(node)
        if root is not None:
            inner, axes = root
            spread = repeat(weights, axes, tuple(inner.shape[k] for k in axes)) if axes else weights
            found[inner] = found[inner] + spread if inner in found else spread
            continue
        parts = _parts(node, weights, moving)
        if parts is None:
            raise MathError(
                "Levenberg–Marquardt takes a sum of squares, and this loss is none",
                facts=[f"{describe(node)} is no square"],
                mend='optimiser="l-bfgs", which takes every loss',
            )
        open_ += parts
    return tuple(
        Square(belongs(residual, known), belongs(weights, known)) for residual, weights in found.items()
    )


def _root(node: Expr) -> tuple[Expr, tuple[int, ...]] | None:
    """What a square is the square of, and the axes that are added up in it."""
    if node.op is power_op:
        base, exponent = node.args[0], value_of(node.args[1])
        if exponent is None or exponent <= 0 or exponent % 2 or base.op is sqrt_op:
            return None
        if base.op is norm_op and exponent == 2:
            inner = base.args[0]
            return inner, base.params[0] if base.params else tuple(range(inner.rank))
        base = base.args[0] if base.op is abs_op else base
        return (base if exponent == 2 else power(base, number(exponent / 2))), ()
    if node.op is multiply_op and node.args[0] is node.args[1]:
        return node.args[0], ()
    if node.op is matmul_op and node.args[0] is node.args[1] and node.rank == 0:
        return node.args[0], (0,)
    if node.op is trace_op and node.args[0].op is matmul_op:
        left, right = node.args[0].args
        if (left.op is transpose_op and left.args[0] is right) or (
            right.op is transpose_op and right.args[0] is left
        ):
            return right if left.op is transpose_op else left, (0, 1)
    return None


def _parts(node: Expr, weights: Expr, moving: set[Expr]) -> list[tuple[Expr, Expr]] | None:
    """Terms whose entries, with their weights, add up to those of `node` with `weights`."""
    op, args = node.op, node.args
    if op is add_op:
        return [(args[0], weights), (args[1], weights)]
    if op is subtract_op:
        return [(args[0], weights), (args[1], -weights)]
    if op is negate_op:
        return [(args[0], -weights)]
    if op is sum_op:
        (axes,) = node.params
        return [(args[0], repeat(weights, axes, tuple(args[0].shape[k] for k in axes)))]
    if op is repeat_op:
        return [(args[0], sum_over(weights, node.params[0]))]
    if op is transpose_op:
        return [(args[0], weights.T)]
    if op is squeeze_op:
        return [(args[0], repeat(weights, node.params[0], tuple(args[0].shape[k] for k in node.params[0])))]
    if op is power_op and args[0].op is sqrt_op and (n := value_of(args[1])) is not None and n == 2:
        return [(args[0].args[0], weights)]
    if op is multiply_op:
        fixed = [arg for arg in args if arg not in moving]
        free = [arg for arg in args if arg in moving]
        return [(free[0], weights * fixed[0])] if len(free) == 1 else None
    if op is scale_op:
        factor, body = args
        if factor not in moving:
            return [(body, scale(factor, weights))]
        return [(factor, sum_over(weights * body, tuple(range(body.rank))))] if body not in moving else None
    if op is divide_op and args[1] not in moving:
        return [(args[0], weights / args[1])]
    return None
