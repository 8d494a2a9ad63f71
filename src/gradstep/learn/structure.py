"""What does a loss do with its data? Where features enter, what is compared with the target, what may die.

Everything here is read off the expression, so it holds for a user's own loss as for the default ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from gradstep.calculus.shortening import SUMS, flattened
from gradstep.expression.node import Expr, walk
from gradstep.expression.records import record
from gradstep.operations.activations import (
    abs_op,
    relu_op,
    sigmoid,
    softplus_op,
    sqrt_op,
)
from gradstep.operations.arithmetic import (
    add_op,
    exp_op,
    log_op,
    multiply_op,
    power_op,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat_op, sum_op
from gradstep.operations.evaluation import mentioned
from gradstep.operations.gates import leaky_relu_op
from gradstep.operations.leaves import is_constant, symbol_op, value_of
from gradstep.operations.norms import norm_op
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op
from gradstep.operations.rowwise import log_softmax_op, logsumexp_op, softmax

Above = Mapping[Expr, Sequence[Expr]]


def name_of(symbol: Expr) -> str:
    """The name of a variable."""
    return str(symbol.params[0])


def parents(*roots: Expr) -> dict[Expr, list[Expr]]:
    """For every node the nodes that work on it, once for each place."""
    found: dict[Expr, list[Expr]] = {}
    for node in walk(*roots):
        for arg in node.args:
            found.setdefault(arg, []).append(node)
    return found


def moving(loss: Expr, parameters: Collection[Expr]) -> set[Expr]:
    """The nodes that depend on a parameter."""
    return depending([loss], parameters)


def depending(roots: Sequence[Expr], sources: Collection[Expr]) -> set[Expr]:
    """The nodes of some expressions that depend on one of the sources."""
    found = set(sources)
    for node in walk(*roots):
        if any(arg in found for arg in node.args):
            found.add(node)
    return found


def multiplies(parameter: Expr, loss: Expr, rows: Collection[str]) -> bool:
    """Whether a parameter multiplies data that have rows, somewhere on its way up to the loss.

    It is followed as long as what is made of it is linear in it, up to where it meets data: there the slope
    along it holds them (X @ w, a * relu(z)), or does not (z + b).
    """
    given = [node for node in walk(loss) if node.op is symbol_op and name_of(node) in rows]
    data, followed = depending([loss], given), {parameter}
    for node in walk(loss):
        for place, arg in enumerate(node.args):
            if arg not in followed:
                continue
            held = _held_in_slope(node, place)
            if node not in data and arg not in held:
                followed.add(node)
            elif arg not in held and any(each in data for each in held):
                return True
    return False


def _held_in_slope(node: Expr, place: int) -> set[Expr]:
    """The operands that the slope along one of them holds, which is itself where the part is not linear."""
    args = [symbol_op(params=(f"a{k}", arg.shape, ())) for k, arg in enumerate(node.args)]
    step = symbol_op(params=("step", args[place].shape, ()))
    if node.op.differential is None:
        return {node.args[place]}
    moved = [step if k == place else None for k in range(len(args))]
    slope = mentioned(node.op.differential(node.op(*args, params=node.params), args, moved))
    return {arg for k, arg in enumerate(node.args) if f"a{k}" in slope}


# ------------------------------------------------------------------------------------------- affine parts


@record
class Linear:
    """A part A @ W; with weights that are a number, w*x. `transposed` where it is written A @ W.T."""

    inner: Expr
    weights: Expr
    transposed: bool


@record
class Affine(Linear):
    """A part A @ W + b whose weights and bias have no other use; both may be terms of a longer sum."""

    bias: Expr


_RANKS = {(2, 2, 1), (2, 1, 0), (1, 0, 0)}  # of inner, weights and bias


def affine(node: Expr, above: Above, parameters: Collection[Expr], alone: bool = True) -> Affine | None:
    """`node` as A @ W + b, if it is that; with `alone` W and b must have no other use."""
    if node.op is not add_op:
        return None
    for product, repeated in (node.args, node.args[::-1]):
        if product.op not in (matmul_op, scale_op) or repeated.op is not repeat_op:
            continue
        inner, written = product.args if product.op is matmul_op else product.args[::-1]
        weights = written.args[0] if written.op is transpose_op else written
        bias = repeated.args[0]
        chain = (product, repeated, written, weights, bias)
        if (
            weights in parameters
            and bias in parameters
            and (inner.rank, weights.rank, bias.rank) in _RANKS
            and repeated.params[0] == (0,)
            and (not alone or all(len(above[part]) == 1 for part in chain))
        ):
            return Affine(inner, weights, written is not weights, bias)
    return None


def entrances(loss: Expr, data: Expr, parameters: Collection[Expr]) -> tuple[Linear, ...]:
    """Where `data` enters the loss, if it does so only as data @ W, with or without b; nothing otherwise.

    Then the spread of each feature (and with b its mean) can be taken out and folded back into W and b.
    """
    above = parents(loss)
    found: list[Linear] = []
    for product in above.get(data, ()):
        entered = [affine(node, above, parameters) for node in above.get(product, ())]
        if len(entered) == 1 and entered[0] is not None and entered[0].inner is data:
            found.append(entered[0])
            continue
        linear = _linear(product, data, above, parameters)
        if linear is None:
            return ()
        found.append(_with_bias(linear, product, above, parameters))
    return tuple(found)


def _linear(product: Expr, data: Expr, above: Above, parameters: Collection[Expr]) -> Linear | None:
    """`product` as data @ W, with W of no other use."""
    if product.op not in (matmul_op, scale_op):
        return None
    inner, written = product.args if product.op is matmul_op else product.args[::-1]
    weights = written.args[0] if written.op is transpose_op else written
    once = all(len(above[part]) == 1 for part in (written, weights))
    fits = inner is data and weights in parameters and inner.rank == (2 if weights.rank else 1)
    return Linear(inner, weights, written is not weights) if once and fits else None


def _with_bias(linear: Linear, product: Expr, above: Above, parameters: Collection[Expr]) -> Linear:
    """`linear` with the bias that is a term of the same sum, with the same sign: y - X @ w - b."""
    top, sign = product, 1
    while len(above.get(top, ())) == 1 and (user := above[top][0]).op in SUMS:
        sign = -sign if user.op is subtract_op and user.args[1] is top else sign
        top = user
    shared = {node for node, users in above.items() if len(users) > 1}  # a bias in it acts elsewhere too
    for side, part in flattened(top, shared):
        if part.op is repeat_op and part.params[0] == (0,) and part.args[0] in parameters and side == sign:
            bias, once = part.args[0], len(above[part]) == len(above[part.args[0]]) == 1
            if once and (linear.inner.rank, linear.weights.rank, bias.rank) in _RANKS:
                return Affine(linear.inner, linear.weights, linear.transposed, bias)
    return linear


# ------------------------------------------------------------------------------------------- the target


@record
class Residual:
    """A loss that grows with the difference of target and prediction, to the power `degree`."""

    prediction: Expr
    degree: float


def residual(loss: Expr, target: Expr) -> Residual | None:
    """The loss as a multiple of Σ|y − prediction|^degree, if it is one: then any unit of y will do."""
    degree, node = 1.0, loss
    while True:
        free = [arg for arg in node.args if not is_constant(arg)]
        if node.op is subtract_op and target in node.args:
            (prediction,) = [arg for arg in node.args if arg is not target] or [target]
            used = sum(arg is target for each in walk(loss) for arg in each.args)
            return Residual(prediction, degree) if used == 1 else None
        if node.op is matmul_op and node.args[0] is node.args[1]:
            degree *= 2
        elif node.op is power_op and (exponent := value_of(node.args[1])) is not None and exponent > 0:
            degree *= float(exponent)
        elif node.op is sqrt_op:
            degree /= 2
        elif not (
            node.op in (sum_op, abs_op, norm_op) or (node.op in (multiply_op, scale_op) and len(free) == 1)
        ):
            return None
        node = free[0]


@record
class Output:
    """A prediction f(A @ v + b) that scales with v and b; with `shifts` adding to b adds to it."""

    affine: Affine
    shifts: bool


def output(loss: Expr, prediction: Expr, parameters: Collection[Expr], alone: bool = True) -> Output | None:
    """The last layer of a prediction, if a change of the target's unit can be folded into it.

    Without `alone` a penalty on its weights does no harm: then the unit can be taken up only roughly.
    """
    bent = prediction.op in (relu_op, leaky_relu_op)
    found = affine(prediction.args[0] if bent else prediction, parents(loss), parameters, alone)
    return None if found is None else Output(found, shifts=not bent)


def prediction_of(loss: Expr, target: Expr, parameters: Collection[Expr]) -> Expr | None:
    """What the loss compares with the target: P of (y − P)² or y log P, σ(z) of log(1 + eᶻ) − y z …"""
    above, moves = parents(loss), moving(loss, parameters)
    found = {
        prediction: None
        for node in above.get(target, ())
        for other in (arg for arg in node.args if arg in moves)
        for name, recognise in _COMPARISONS.items()
        if node.op.name == name and (prediction := recognise(node, other, above, moves)) is not None
    }
    return next(iter(found)) if len(found) == 1 else None


def _subtracted(node: Expr, other: Expr, above: Above, moves: Collection[Expr]) -> Expr | None:
    """P of y − P or P − y; also where P is written bit by bit, as in (y − X w) − b."""
    prediction, sign = other, 1 if node.args[1] is other else -1  # `node` is sign · (y − prediction)
    while len(above.get(node, ())) == 1 and above[node][0].op in (add_op, subtract_op):
        (whole,) = above[node]
        term = whole.args[1] if whole.args[0] is node else whole.args[0]
        if term not in moves:
            break
        more = sign > 0 if whole.op is subtract_op else sign < 0
        prediction = prediction + term if more else prediction - term
        if whole.op is subtract_op and whole.args[1] is node:
            sign = -sign
        node = whole
    return prediction


def _weighed(node: Expr, other: Expr, above: Above, moves: Collection[Expr]) -> Expr | None:
    """The prediction of a term y ⊙ other."""
    if other.op is log_op:
        return other.args[0]
    if other.op is log_softmax_op:
        return softmax(other.args[0], other.params[0])
    for user in above[other]:
        if user.op is softplus_op:
            return sigmoid(other)
        if user.op is logsumexp_op:
            return softmax(other, user.params[0])
        if user.op is exp_op:
            return user
    return None


_COMPARISONS: Mapping[str, Callable[[Expr, Expr, Above, Collection[Expr]], Expr | None]] = {
    "subtract": _subtracted,
    "multiply": _weighed,
    "matmul": _weighed,
}


# ------------------------------------------------------------------------------------------- dying units


def rectifiers(loss: Expr, parameters: Collection[Expr]) -> tuple[Expr, ...]:
    """Every max(0, z) whose z depends on a parameter, innermost first."""
    moves = moving(loss, parameters)
    return tuple(node for node in walk(loss) if node.op is relu_op and node.args[0] in moves)
