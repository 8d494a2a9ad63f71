"""What may be infinite or no number where a mask is 0? Quotients, logarithms, roots, powers and exponentials.

What is surely fulfilled does not count: the logarithm of a softmax, the root of x² + 1.
"""

from __future__ import annotations

from gradstep.expression.node import Expr, walk
from gradstep.operations.activations import minimum_op, sqrt_op
from gradstep.operations.arithmetic import divide_op, exp_op, negate_op, power_op, scale_op
from gradstep.operations.broadcasting import repeat_op, squeeze_op
from gradstep.operations.domains import CONDITIONS, INSIDE
from gradstep.operations.hyperbolic import cosh_op, sinh_op
from gradstep.operations.leaves import CONSTANT_LEAVES, value_of
from gradstep.operations.permutations import transpose_op
from gradstep.operations.precise import expm1_op
from gradstep.operations.ranges import NOT_NEGATIVE, POSITIVE, Range, range_of

MOVING = frozenset({repeat_op, transpose_op, squeeze_op})  # the same entries elsewhere
GROWING = frozenset({exp_op, expm1_op, cosh_op, sinh_op})  # infinite in floating point where they are large


class Risks:
    """Which parts of a formula may be infinite or no number, entry by entry?"""

    def __init__(self) -> None:
        self.constant: set[Expr] = set()
        self.ranges: dict[Expr, Range] = {}
        self.partial: dict[Expr, bool] = {}  # by the entries of one place
        self.anywhere: dict[Expr, bool] = {}  # by any entry

    def beside(self, mask: Expr, rest: Expr) -> bool:
        """Whether `rest` may be undefined at the entries that `mask` covers.

        What a product or a sum takes from other entries no mask of single entries can mend; one number can.
        """
        self._read(rest)
        one = mask.op is repeat_op and not mask.args[0].rank
        return (self.anywhere if one or not mask.rank else self.partial)[rest]

    def _read(self, expr: Expr) -> None:
        for node in walk(expr, stop=self.partial.__contains__):
            if node in self.partial:
                continue
            if node.op in CONSTANT_LEAVES or (node.args and self.constant.issuperset(node.args)):
                self.constant.add(node)
            self.ranges[node] = range_of(node, [self.ranges[arg] for arg in node.args])
            here = self._is_partial(node)
            entrywise = node.op.slopes is not None or node.op in (power_op, scale_op, *MOVING)
            self.partial[node] = here or (entrywise and any(self.partial[arg] for arg in node.args))
            self.anywhere[node] = here or any(self.anywhere[arg] for arg in node.args)

    def _is_partial(self, node: Expr) -> bool:
        if not node.args or node in self.constant:
            return False
        first = node.args[0]
        if node.op is divide_op:
            return not self.ranges[node.args[1]].is_positive and node.args[1] not in self.constant
        if node.op is power_op:
            exponent = value_of(node.args[1])
            whole = exponent is not None and exponent.denominator == 1 and exponent >= 0
            allowed = POSITIVE if exponent is None or exponent < 0 else NOT_NEGATIVE
            return not whole and not self.ranges[first].inside(allowed)
        if node.op in GROWING:
            return not self._is_bounded(first)
        if node.op.domain not in CONDITIONS:
            return False
        inside = NOT_NEGATIVE if node.op is sqrt_op else INSIDE.get(node.op.domain)
        return inside is None or not self.ranges[first].inside(inside)

    def _is_bounded(self, expr: Expr) -> bool:
        """Whether `expr` is surely not above some number."""
        if expr.op is minimum_op:
            return not self.constant.isdisjoint(expr.args)
        return expr.op is negate_op and self.ranges[expr.args[0]].not_negative
