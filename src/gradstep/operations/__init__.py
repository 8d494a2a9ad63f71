"""Every operation, declared once. What may stand in a formula?"""

from __future__ import annotations

from collections.abc import Callable

from gradstep.expression.node import OPERATORS, Expr, Operation
from gradstep.operations import (
    activations,
    arithmetic,
    broadcasting,
    diagonals,
    einsums,
    inverses,
    leaves,
    products,
    rowwise,
    sums,
)

# Every operation with operands: what every table test runs over.
TABLE: tuple[Operation, ...] = (
    arithmetic.add_op,
    arithmetic.subtract_op,
    arithmetic.negate_op,
    arithmetic.multiply_op,
    arithmetic.divide_op,
    arithmetic.power_op,
    arithmetic.scale_op,
    arithmetic.exp_op,
    arithmetic.log_op,
    arithmetic.greater_op,
    arithmetic.greater_equal_op,
    arithmetic.equal_op,
    broadcasting.repeat_op,
    broadcasting.squeeze_op,
    broadcasting.sum_op,
    products.matmul_op,
    products.transpose_op,
    products.outer_op,
    diagonals.trace_op,
    diagonals.diagonal_op,
    diagonals.diagonal_matrix_op,
    einsums.einsum_op,
    inverses.inv_op,
    inverses.det_op,
    inverses.logdet_op,
    inverses.solve_op,
    inverses.matrix_power_op,
    sums.norm_op,
    activations.sqrt_op,
    activations.tanh_op,
    activations.sigmoid_op,
    activations.softplus_op,
    activations.relu_op,
    activations.leaky_relu_op,
    activations.abs_op,
    activations.sign_op,
    activations.maximum_op,
    activations.minimum_op,
    rowwise.softmax_op,
    rowwise.log_softmax_op,
    rowwise.logsumexp_op,
)
LEAVES: tuple[Operation, ...] = (
    leaves.symbol_op,
    leaves.number_op,
    leaves.size_op,
    leaves.pi_op,
    leaves.eye_op,
)

# The functions a user may call, in text and from Python, by name.
FUNCTIONS: dict[str, Callable[..., Expr]] = {
    "sum": sums.sum,
    "mean": sums.mean,
    "norm": sums.norm,
    "dot": products.dot,
    "outer": products.outer,
    "trace": diagonals.trace,
    "diag": diagonals.diag,
    "eye": diagonals.eye,
    "einsum": einsums.einsum,
    "inv": inverses.inv,
    "det": inverses.det,
    "logdet": inverses.logdet,
    "solve": inverses.solve,
    "matrix_power": inverses.matrix_power,
    "ones": broadcasting.ones,
    "repeat": broadcasting.repeat,
    "squeeze": broadcasting.squeeze,
    "exp": arithmetic.exp,
    "log": arithmetic.log,
    "sqrt": activations.sqrt,
    "abs": activations.abs,
    "sign": activations.sign,
    "tanh": activations.tanh,
    "sigmoid": activations.sigmoid,
    "softplus": activations.softplus,
    "relu": activations.relu,
    "leaky_relu": activations.leaky_relu,
    "maximum": activations.maximum,
    "minimum": activations.minimum,
    "softmax": rowwise.softmax,
    "log_softmax": rowwise.log_softmax,
    "logsumexp": rowwise.logsumexp,
}

# What each operator of Python and of the language means.
OPERATORS.update(
    {
        "+": arithmetic.add,
        "-": arithmetic.subtract,
        "*": arithmetic.multiply,
        "/": arithmetic.divide,
        "**": arithmetic.power,
        "@": products.matmul,
        "T": products.transpose,
        "neg": arithmetic.negate,
        ">": arithmetic.greater,
        "<": arithmetic.less,
        ">=": arithmetic.greater_equal,
        "<=": arithmetic.less_equal,
        "==": arithmetic.equal,
    }
)
leaves.RESERVED.update(FUNCTIONS)
