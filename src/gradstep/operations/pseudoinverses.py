"""The pseudoinverse X⁺: what undoes a matrix that is not square, as far as that can be done?

(XᵀX)⁻¹Xᵀ where the columns of X are independent, Xᵀ(XXᵀ)⁻¹ where its rows are. Its derivative exists only
along moves that leave the rank as it is (Golub and Pereyra, "The Differentiation of Pseudo-Inverses and
Nonlinear Least Squares Problems Whose Variables Separate", SIAM J. Numer. Anal. 10, 1973).
"""

from __future__ import annotations

from typing import Any

from gradstep.expression.boxes import POWER, Sup, Sym, Written, fenced
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Operation, Params
from gradstep.expression.shapes import Shape, shape_text
from gradstep.operations.diagonals import eye
from gradstep.operations.families import call_text, only
from gradstep.operations.leaves import expression
from gradstep.operations.permutations import matrix_transpose


def _shape(params: Params, shape: Shape) -> Shape:
    if len(shape) != 2:
        raise MathError(f"pinv takes a matrix, not {shape_text(shape)}")
    return shape[::-1]


def _value(np: Any, sizes: Any, params: Params, x: Any) -> Any:
    return np.linalg.pinv(x, rcond=max(x.shape) * np.finfo(np.float64).eps)


def _change(P: Expr, X: Expr, dX: Expr) -> Expr:
    """−P dX P + P Pᵀ dXᵀ (I − X P) + (I − P X) dXᵀ PᵀP."""
    outside, inside = eye(X.shape[0]) - X @ P, eye(X.shape[1]) - P @ X
    turned = matrix_transpose(dX)
    return P @ P.T @ turned @ outside - P @ dX @ P + inside @ turned @ P.T @ P


def _adjoint(P: Expr, X: Expr, G: Expr) -> Expr:
    outside, inside = eye(X.shape[0]) - X @ P, eye(X.shape[1]) - P @ X
    turned = matrix_transpose(G)
    return outside @ turned @ P @ P.T - P.T @ G @ P.T + P.T @ P @ turned @ inside


pinv_op = Operation(
    "pinv",
    _shape,
    _value,
    call_text,
    lambda expr, write: Written(Sup(fenced(write(expr.args[0]), POWER + 5), Sym("+", "number")), POWER),
    lambda y, args, dargs: _change(y, args[0], only(dargs)),
    lambda G, y, args: (_adjoint(y, args[0], G),),
    "derivative of the pseudoinverse",
    "X X⁺X = X and its three companions go on to hold while the rank of X does not change",
    "np.linalg.pinv({0})",
    kink="where the rank changes X⁺ jumps: the slope is that along moves that leave the rank as it is",
    example=(((), (("m", "n"),)), ((), (("n", "m"),)), ((), (("n", "n"),))),
)


def pinv(x: Expr) -> Expr:
    """The pseudoinverse of a matrix, X⁺: of full column rank (XᵀX)⁻¹Xᵀ, of full row rank Xᵀ(XXᵀ)⁻¹."""
    return pinv_op(expression(x))
