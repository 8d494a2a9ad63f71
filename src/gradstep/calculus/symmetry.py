"""Is a matrix symmetric, given which variables are? Found by reading it from both sides.

Every matrix gets a number for what it is and a number for what its transpose is, such that equal numbers mean
equal matrices; products are chains of factors, which a transpose reverses. A matrix is symmetric where both
numbers agree: Aᵀ S A, S + c I, S⁻¹ and a aᵀ are, for a symmetric S.
"""

from __future__ import annotations

from collections.abc import Container

from gradstep.expression.node import Expr, walk
from gradstep.operations.arithmetic import add_op, multiply_op, negate_op, scale_op, subtract_op
from gradstep.operations.broadcasting import repeat_op
from gradstep.operations.diagonals import diagonal_matrix_op
from gradstep.operations.inverses import inv_op, matrix_power_op
from gradstep.operations.kronecker import kron_op
from gradstep.operations.leaves import eye_op
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op, outer_op
from gradstep.operations.pseudoinverses import pinv_op

MOST = 200  # nodes that are looked at; a larger matrix counts as not symmetric
LONGEST = 40  # factors of a product

Chain = tuple[int, ...]
# Transposed operand by operand.
ALIKE = frozenset({subtract_op, negate_op, inv_op, pinv_op, matrix_power_op, kron_op})
UNORDERED = frozenset({add_op, multiply_op})


class Mirror:
    """Numbers for expressions and their transposes; `symmetric` are variables that are their own."""

    def __init__(self, symmetric: Container[Expr]) -> None:
        self.symmetric = symmetric
        self.numbers: dict[object, int] = {}
        self.sides: dict[Expr, tuple[Chain, Chain]] = {}  # as it stands, transposed; vectors twice the same

    def learn(self, expr: Expr) -> bool:
        """Works out both sides of `expr` and all its parts; False where there are too many."""
        order = []
        for node in walk(expr, stop=self.sides.__contains__):
            order.append(node)
            if len(order) > MOST:
                return False
        for node in order:
            if node not in self.sides:
                self.sides[node] = self._sides(node)
        return True

    def is_symmetric(self, expr: Expr) -> bool:
        """Whether both sides of a square matrix are the same, as far as it can be seen."""
        if expr not in self.sides and not self.learn(expr):
            return False
        one, other = self.sides[expr]
        return one == other

    def number(self, key: object) -> int:
        """The same number for the same key."""
        return self.numbers.setdefault(key, len(self.numbers))

    def whole(self, chain: Chain) -> int:
        """A chain as one factor."""
        return chain[0] if len(chain) == 1 else self.number(chain)

    def _sides(self, node: Expr) -> tuple[Chain, Chain]:
        op, args = node.op, [self.sides[arg] for arg in node.args]
        if node.rank < 2:
            return (self._vector(node, args),) * 2
        if op is transpose_op:
            return args[0][1], args[0][0]
        if op is matmul_op and len(args[0][0]) + len(args[1][0]) <= LONGEST:
            return args[0][0] + args[1][0], args[1][1] + args[0][1]
        if op in (eye_op, diagonal_matrix_op) or node in self.symmetric or _is_filled(node):
            return ((self.number(node),),) * 2
        if op is outer_op:
            a, b = (self.whole(arg[0]) for arg in args)
            return (self.number((op, a, b)),), (self.number((op, b, a)),)
        if op is scale_op or op in ALIKE or op in UNORDERED or op.slopes is not None:
            wholes = [[self.whole(arg[side]) for arg in args] for side in (0, 1)]
            if op in UNORDERED:
                wholes = [sorted(whole) for whole in wholes]
            one, other = (self.number((op, node.params, *whole)) for whole in wholes)
            return (one,), (other,)
        return (self.number(node),), (self.number((transpose_op, node)),)

    def _vector(self, node: Expr, args: list[tuple[Chain, Chain]]) -> Chain:
        """A x and x Aᵀ are one chain."""
        if node.rank == 1 and node.op is matmul_op:
            left, right = node.args
            chain = args[0][0] + args[1][0] if left.rank == 2 else args[1][1] + args[0][0]
            if len(chain) <= LONGEST and left.rank + right.rank == 3:
                return chain
        if node.op in UNORDERED:
            return (self.number((node.op, *sorted(self.whole(arg[0]) for arg in args))),)
        return (self.number(node),)


def _is_filled(node: Expr) -> bool:
    """Whether all entries are one number."""
    return node.op is repeat_op and not node.args[0].rank


def is_symmetric(expr: Expr, symmetric: Container[Expr] = ()) -> bool:
    """Whether the matrix `expr` is its own transpose whenever the variables `symmetric` are theirs."""
    if expr.rank != 2 or expr.shape[0] != expr.shape[1]:
        return False
    return Mirror(symmetric).is_symmetric(expr)
