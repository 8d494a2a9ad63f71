"""Inverses, determinants and solutions: what does a square matrix undo, and by how much does it stretch?

The rules are the textbook's (Petersen and Pedersen, The Matrix Cookbook, section 2): all of them follow from
X⁻¹X = I. At a singular matrix none of these has a value, except det X = 0: that is a `MathError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from typing import Any

from gradstep.expression.boxes import ATOM, POWER, Fence, Row, Sup, Sym, Written, fenced, row
from gradstep.expression.boxes import number as number_box
from gradstep.expression.errors import MathError, SingularError
from gradstep.expression.node import Expr, Number, Operation, Params, Spelled
from gradstep.expression.shapes import Shape, same, shape_text
from gradstep.operations.arithmetic import log, negate, power, scale
from gradstep.operations.diagonals import eye, square_size, trace
from gradstep.operations.families import JUXTAPOSED, Spell, Write, call_box, call_text, only, total
from gradstep.operations.leaves import expression, number, value_of
from gradstep.operations.permutations import INVERSE, matrix_transpose
from gradstep.operations.products import matmul_op, outer

MOST = 64  # the largest power of a matrix

# ------------------------------------------------------------------------------------------- the values


def _inverse(np: Any, sizes: Any, params: Params, x: Any) -> Any:
    """The inverse; a matrix that is singular to working precision has none."""
    try:
        y = np.linalg.inv(x)
    except np.linalg.LinAlgError:
        raise SingularError("the inverse") from None
    condition = np.abs(x).sum(axis=0).max() * np.abs(y).sum(axis=0).max()
    if np.isfinite(x).all() and not condition * np.finfo(np.float64).eps < 1:
        raise SingularError("the inverse")
    return y


def _log_determinant(np: Any, sizes: Any, params: Params, x: Any) -> Any:
    value = np.linalg.slogdet(x)[1]
    if value == -np.inf:
        raise SingularError("the logarithm of the determinant")
    return value


def _solution(np: Any, sizes: Any, params: Params, a: Any, b: Any) -> Any:
    _inverse(np, sizes, params, a)  # for its check
    return np.linalg.solve(a, b)


# ------------------------------------------------------------------------------------------- the inverse


def _inverse_shape(params: Params, shape: Shape) -> Shape:
    square_size("inv", shape)
    return shape


inv_op = Operation(
    "inv",
    _inverse_shape,
    _inverse,
    call_text,
    lambda expr, write: Written(Sup(fenced(write(expr.args[0]), POWER + 5), INVERSE), POWER),
    lambda y, args, dargs: -(y @ only(dargs) @ y),
    lambda G, y, args: (-(y.T @ G @ y.T),),
    "derivative of the inverse",
    "d(X⁻¹) = −X⁻¹ dX X⁻¹, because X⁻¹X = I stands still: d(X⁻¹) X + X⁻¹ dX = 0",
    "np.linalg.inv({0})",
    domain="nonzero",
    example=(((), (("n", "n"),)),),
)


# ------------------------------------------------------------------------------------------- determinants


def _determinant_shape(name: str) -> Any:
    def shape_rule(params: Params, shape: Shape) -> Shape:
        square_size(name, shape)
        return ()

    return shape_rule


det_op = Operation(
    "det",
    _determinant_shape("det"),
    lambda np, sizes, params, x: np.linalg.det(x),
    call_text,
    call_box("det"),
    lambda y, args, dargs: y * trace(inv(args[0]) @ only(dargs)),
    lambda G, y, args: (scale(G * y, inv(args[0]).T),),
    "Jacobi's formula",
    "d det X = det X tr(X⁻¹ dX): the slope of det X is its cofactors, det X X⁻ᵀ",
    "np.linalg.det({0})",
    example=(((), (("n", "n"),)),),
)


def _log_determinant_box(expr: Expr, write: Write) -> Written:
    """log|det X|."""
    inner = row(Sym("det", "function"), fenced(write(expr.args[0]), POWER + 5))
    return Written(Row((Sym("log", "function"), Fence("|", inner, "|"))))


logdet_op = Operation(
    "logdet",
    _determinant_shape("logdet"),
    _log_determinant,
    call_text,
    _log_determinant_box,
    lambda y, args, dargs: trace(inv(args[0]) @ only(dargs)),
    lambda G, y, args: (scale(G, inv(args[0]).T),),
    "derivative of log det",
    "d log|det X| = tr(X⁻¹ dX), which is Jacobi's formula divided by det X",
    "np.linalg.slogdet({0})[1]",
    definition=lambda params, x: number(1) / 2 * log(power(det_op(x), 2)),
    domain="nonzero",
    example=(((), (("n", "n"),)),),
)


# ------------------------------------------------------------------------------------------- solutions


def _solution_shape(params: Params, a: Shape, b: Shape) -> Shape:
    size = square_size("solve", a)
    if len(b) not in (1, 2):
        raise MathError(f"solve takes a vector or a matrix on the right, not {shape_text(b)}")
    same((size, b[0]))
    return b


def _solution_box(expr: Expr, write: Write) -> Written:
    """A⁻¹b."""
    a, b = (write(arg) for arg in expr.args)
    return Written(Row((Sup(fenced(a, POWER + 5), INVERSE), fenced(b, JUXTAPOSED))), JUXTAPOSED)


def _solution_differential(y: Expr, args: Sequence[Expr], dargs: Sequence[Expr | None]) -> Expr:
    (A, _), (dA, db) = args, dargs
    parts = ([] if db is None else [db]) + ([] if dA is None else [-(dA @ y)])
    return solve_op(A, total(parts))


def _solution_adjoint(G: Expr, y: Expr, args: Sequence[Expr]) -> tuple[Expr, Expr]:
    H = inv(args[0]).T @ G
    return negate(outer(H, y) if y.rank == 1 else H @ y.T), H


solve_op = Operation(
    "solve",
    _solution_shape,
    _solution,
    call_text,
    _solution_box,
    _solution_differential,
    _solution_adjoint,
    "derivative of a solution",
    "d(A⁻¹b) = A⁻¹(db − dA x), where x = A⁻¹b: both sides of A x = b move alike",
    "np.linalg.solve({0}, {1})",
    definition=lambda params, a, b: inv_op(a) @ b,
    domain="nonzero",
    example=(((), (("n", "n"), ("n",))), ((), (("n", "n"), ("n", "k")))),
)


# ------------------------------------------------------------------------------------------- powers


def _power_shape(params: Params, shape: Shape) -> Shape:
    square_size("matrix_power", shape)
    if params[0].denominator != 1 or abs(params[0]) > MOST:
        raise MathError(
            f"the power of a matrix is a whole number between −{MOST} and {MOST}, written out",
            mend="matrix_power(X, 3)",
        )
    return shape


def _power_value(np: Any, sizes: Any, params: Params, x: Any) -> Any:
    k = int(params[0])
    return np.linalg.matrix_power(x if k > 0 else _inverse(np, sizes, (), x), abs(k))


def _splits(k: int) -> list[tuple[int, int]]:
    """The powers of X before and after dX in d(Xᵏ): r and k − 1 − r, or −r and r + k − 1 for a negative k."""
    if k > 0:
        return [(r, k - 1 - r) for r in range(k)]
    return [(-r, k - 1 + r) for r in range(1, 1 - k)]


def _around(x: Expr, inner: Expr, before: int, after: int) -> Expr:
    """Xᵃ inner Xᵇ."""
    left = inner if before == 0 else matrix_power(x, before) @ inner
    return left if after == 0 else left @ matrix_power(x, after)


def _power_sum(x: Expr, inner: Expr, params: Params) -> Expr:
    """Σᵣ Xʳ inner Xᵏ⁻¹⁻ʳ, with a minus where k is negative."""
    k = int(params[0])
    found = total([_around(x, inner, *split) for split in _splits(k)])
    return found if k > 0 else -found


def _power_definition(params: Params, x: Expr) -> Expr:
    k = int(params[0])
    return reduce(matmul_op, [x if k > 0 else inv_op(x)] * abs(k))


def _power_text(expr: Expr, spell: Spell) -> Spelled:
    return f"matrix_power({spell(expr.args[0])[0]}, {expr.params[0]})", ATOM


def _power_box(expr: Expr, write: Write) -> Written:
    k = int(expr.params[0])
    exponent = number_box(k) if k > 0 else row("−", number_box(-k))
    return Written(Sup(fenced(write(expr.args[0]), POWER + 5), exponent), POWER)


# params: the exponent, a whole number other than 0 and 1 (the door makes I and X of those).
matrix_power_op = Operation(
    "matrix_power",
    _power_shape,
    _power_value,
    _power_text,
    _power_box,
    lambda y, args, dargs: _power_sum(args[0], only(dargs), y.params),
    lambda G, y, args: (_power_sum(matrix_transpose(args[0]), G, y.params),),
    "power of a matrix",
    "d(Xᵏ) = Σᵣ Xʳ dX Xᵏ⁻¹⁻ʳ: each of the k factors moves while the others stand still",
    lambda expr: f"np.linalg.matrix_power({{0}}, {expr.params[0]})",
    definition=_power_definition,
    domain="nonzero",
    example=tuple(((Fraction(k),), (("n", "n"),)) for k in (2, 3, -2)),
)


INVERTED = frozenset({inv_op, det_op, logdet_op, solve_op, matrix_power_op})  # their first operand

# ------------------------------------------------------------------------------------------- the doors


def inv(x: Expr) -> Expr:
    """The inverse of a square matrix, X⁻¹."""
    return inv_op(expression(x))


def det(x: Expr) -> Expr:
    """The determinant of a square matrix."""
    return det_op(expression(x))


def logdet(x: Expr) -> Expr:
    """log|det X| of a square matrix, without the overflow of log(det(X))."""
    return logdet_op(expression(x))


def solve(a: Expr, b: Expr) -> Expr:
    """x with a @ x = b, for a vector b or each column of a matrix: inv(a) @ b without the inverse."""
    return solve_op(expression(a), expression(b))


def matrix_power(x: Expr, k: Expr | Number) -> Expr:
    """X X … X, a square matrix k times; X⁻¹ … X⁻¹ for a negative k. `k` is a whole number."""
    x, exponent = expression(x), value_of(expression(k))
    size = square_size("matrix_power", x.shape)
    if exponent is None:
        exponent = Fraction(1, 2)  # no whole number, which the shape rule says
    if exponent in (0, 1, -1):
        return eye(size) if not exponent else x if exponent == 1 else inv(x)
    return matrix_power_op(x, params=(exponent,))
