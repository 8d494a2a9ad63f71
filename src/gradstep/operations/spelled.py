"""Which functions are written out in a formula? 1/(1 + exp(−z)) is the sigmoid of z.

Each function looks at one node and gives the same in the function's own name, or None. The name is more than
shorter: it stands for a form that neither overflows nor cancels, and whose derivative is known.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from gradstep.expression.node import Expr
from gradstep.operations.activations import (
    abs_op,
    minimum_op,
    relu_op,
    sigmoid,
    softplus,
    softplus_op,
    sqrt,
    sqrt_op,
    tanh,
)
from gradstep.operations.arithmetic import (
    add,
    add_op,
    divide_op,
    exp,
    exp_op,
    greater_op,
    log_op,
    multiply_op,
    negate_op,
    one_like,
    power_op,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat, repeat_op, spread, squeeze, sum_op
from gradstep.operations.choices import where_op
from gradstep.operations.entries import concatenate_op
from gradstep.operations.families import is_one
from gradstep.operations.leaves import number, value_of
from gradstep.operations.norms import norm
from gradstep.operations.precise import expm1_op, log1p_op
from gradstep.operations.products import matmul, matmul_op
from gradstep.operations.rowwise import log_softmax, logsumexp, logsumexp_op, softmax
from gradstep.operations.sums import count, sum, var

Recognise = Callable[[Expr], Expr | None]


def exponent(expr: Expr) -> Expr | None:
    """x of exp(x), and of Σ exp(x) its logsumexp."""
    if expr.op is exp_op:
        return expr.args[0]
    return logarithm_of_sum(expr)


def logarithm_of_sum(total: Expr) -> Expr | None:
    """logsumexp(x) of Σ exp(x)."""
    if total.op is not sum_op or total.args[0].op is not exp_op:
        return None
    x = total.args[0].args[0]
    for axis in reversed(total.params[0]):
        x = logsumexp(x, axis)
    return x


def opposite(x: Expr) -> Expr:
    """−x, without a second minus where x is written with one."""
    if x.op is negate_op:
        return x.args[0]
    value = value_of(x)
    if value is not None:
        return number(-value)
    if x.op in (multiply_op, scale_op, divide_op):
        front = opposite(x.args[0])
        if front.op is not negate_op:
            return x.op(front, *x.args[1:], params=x.params)
    if x.op is repeat_op and value_of(x.args[0]) is not None:
        return repeat_op(opposite(x.args[0]), params=x.params)
    return negate_op(x)


def other_than_one(total: Expr) -> Expr | None:
    """x of 1 + x or x + 1."""
    if total.op is not add_op:
        return None
    a, b = total.args
    return b if is_one(a) else a if is_one(b) else None


def exponent_beside_one(expr: Expr) -> Expr | None:
    """x of 1 + exp(x)."""
    power = other_than_one(expr)
    return None if power is None or power.op is not exp_op else power.args[0]


def sigmoid_of(y: Expr) -> Expr | None:
    """1/(1 + exp(−x)) and exp(x)/(1 + exp(x))."""
    if y.op is not divide_op:
        return None
    top, bottom = y.args
    x = exponent_beside_one(bottom)
    if x is None:
        return None
    if is_one(top):
        return sigmoid(opposite(x))
    return sigmoid(x) if top.op is exp_op and top.args[0] is x else None


def softmax_of(y: Expr) -> Expr | None:
    """exp(x)/Σ exp(x), of a vector or along one axis."""
    if y.op is scale_op:  # 1/Σ exp(x) · exp(x), which is how an array over a number is held
        factor, top = y.args
        if top.op is not exp_op or factor.op is not divide_op or not is_one(factor.args[0]):
            return None
        return softmax(top.args[0], 0) if top.rank == 1 and factor.args[1] is sum(top) else None
    if y.op is not divide_op:
        return None
    top, bottom = y.args
    total = bottom.args[0] if bottom.op is repeat_op else None
    if top.op is not exp_op or total is None or total.op is not sum_op or total.args[0] is not top:
        return None
    axes = total.params[0]
    return softmax(top.args[0], axes[0]) if axes == bottom.params[0] and len(axes) == 1 else None


def softplus_of(y: Expr) -> Expr | None:
    """log(1 + exp(x)) and log1p(exp(x))."""
    inner = y.args[0]
    if y.op is log1p_op and inner.op is exp_op:
        return softplus(inner.args[0])
    x = exponent_beside_one(inner) if y.op is log_op else None
    return None if x is None else softplus(x)


def logsumexp_of(y: Expr) -> Expr | None:
    """log Σ exp(x)."""
    return logarithm_of_sum(y.args[0]) if y.op is log_op else None


def tanh_of(y: Expr) -> Expr | None:
    """(eˣ − e⁻ˣ)/(eˣ + e⁻ˣ), and (e²ˣ − 1)/(e²ˣ + 1)."""
    if y.op is not divide_op or y.args[1].op is not add_op:
        return None
    if y.args[0].op is expm1_op:  # which has taken the place of e²ˣ − 1
        a, b = exp(y.args[0].args[0]), one_like(y)
    elif y.args[0].op is subtract_op:
        a, b = y.args[0].args
    else:
        return None
    bottom = y.args[1].args
    if a.op is not exp_op or not (bottom == (a, b) or bottom == (b, a)):
        return None
    x = a.args[0]
    if b.op is exp_op and b.args[0] is opposite(x):
        return tanh(x)
    double = x.op in (multiply_op, scale_op) and value_of(x.args[0]) == 2
    return tanh(x.args[1]) if is_one(b) and double else None


def log_of_two_exps(y: Expr) -> Expr | None:
    """log(exp(a) + exp(b)) = a + softplus(b − a)."""
    if y.op is not log_op or y.args[0].op is not add_op:
        return None
    first, second = map(exponent, y.args[0].args)
    if first is None or second is None or first is second:
        return None
    return first + softplus(second - first)


def softplus_beside(y: Expr) -> Expr | None:
    """a + softplus(b − a) − a = softplus(b − a), and a + softplus(b − a) − b = softplus(a − b)."""
    if y.op is not subtract_op or y.args[0].op is not add_op:
        return None
    a, rest = y.args[0].args
    if rest.op is not softplus_op or rest.args[0].op is not subtract_op or rest.args[0].args[1] is not a:
        return None
    b = rest.args[0].args[0]
    return rest if y.args[1] is a else softplus(a - b) if y.args[1] is b else None


def share_of_exp(y: Expr) -> Expr | None:
    """A sigmoid or a softmax."""
    found = sigmoid_of(y)
    return softmax_of(y) if found is None else found


def augmented(expr: Expr) -> Expr | None:
    """X w + b of [X, 1] [w; b], w·x + b of [w; b]·[x; 1]: what is multiplied by the 1 is added."""
    left, right = expr.args
    if left.op is not concatenate_op or right.op is not concatenate_op or right.rank > 2:
        return None
    last = left.rank - 1
    (A, a), (B, b) = left.args, right.args
    if left.params != (last,) or right.params != (0,) or a.shape[last] != 1 or b.shape[0] != 1:
        return None
    product = matmul(A, B)
    if is_one(a):
        bias = without_axis(b, 0)
        added = tuple(range(product.rank - bias.rank))
    elif is_one(b):
        bias = without_axis(a, last)
        added = tuple(range(bias.rank, product.rank))
    else:
        return None
    return add(product, repeat(bias, added, tuple(product.shape[k] for k in added)))


def without_axis(x: Expr, axis: int) -> Expr:
    """`x` without an axis of size one; a repetition along it is taken back."""
    return x.args[0] if x.op is repeat_op and x.params == ((axis,), (1,)) else squeeze(x, axis)


def softplus_in_two_pieces(y: Expr) -> Expr | None:
    """max(x, 0) + log(1 + exp(−|x|)) = softplus(x), and min(x, 0) − log(1 + exp(−|x|)) = −softplus(−x)."""
    if y.op not in (add_op, subtract_op):
        return None
    for straight, bent in [y.args, y.args[::-1]][: 2 if y.op is add_op else 1]:
        if bent.op is not softplus_op or opposite(bent.args[0]).op is not abs_op:
            continue
        x = opposite(bent.args[0]).args[0]
        if y.op is add_op and straight.op is relu_op and straight.args[0] is x:
            return softplus(x)
        if y.op is subtract_op and _is_negative_part(straight, x):
            return negate_op(softplus(opposite(x)))
    return None


def _is_negative_part(expr: Expr, x: Expr) -> bool:
    """Whether this is min(x, 0), by name or as a choice."""
    zero = spread(number(0), x.shape)
    choice = where_op(greater_op(x, zero), zero, x)
    return expr is choice or expr in (minimum_op(x, zero), minimum_op(zero, x))


def softplus_around(y: Expr) -> Expr | None:
    """(max(x, 0) − t x) + log(1 + exp(−|x|)) = softplus(x) − t x; what is written keeps more digits."""
    if y.op is not add_op or y.args[0].op not in (add_op, subtract_op):
        return None
    (first, second), bent = y.args[0].args, y.args[1]
    found = softplus_in_two_pieces(first + bent)
    return None if found is None else y.args[0].op(found, second)


def squared(expr: Expr) -> Expr | None:
    """x of x²."""
    return expr.args[0] if expr.op is power_op and value_of(expr.args[1]) == 2 else None


def root(expr: Expr) -> Expr | None:
    """x of √x and x^½."""
    if expr.op is power_op:
        return expr.args[0] if value_of(expr.args[1]) == Fraction(1, 2) else None
    return expr.args[0] if expr.op is sqrt_op else None


def length_of(y: Expr) -> Expr | None:
    """√Σ x² = ‖x‖, also √(x·x), and √(Σ x²/n) = ‖x‖/√n where n is a number of entries."""
    total = root(y)
    if total is None:
        return None
    if total.op is scale_op or (total.op is multiply_op and not total.rank):
        factor, rest = total.args
        found = length_of(sqrt(rest))
        share = factor.op is divide_op and is_one(factor.args[0]) and _is_count(factor.args[1])
        return None if found is None or not share else found / sqrt(factor.args[1])
    if total.op is matmul_op and not total.rank and total.args[0] is total.args[1]:
        return norm(total.args[0])
    x = squared(total.args[0]) if total.op is sum_op else None
    return None if x is None else norm(x, axis=total.params[0])


def _is_count(expr: Expr) -> bool:
    """Whether `expr` is a number above 0: a size, a product of sizes, a plain number."""
    value = value_of(expr)
    if value is not None:
        return value > 0
    if expr.op is multiply_op:
        return all(map(_is_count, expr.args))
    return expr.op.name == "size"


def mean_of(expr: Expr) -> tuple[Expr, tuple[int, ...]] | None:
    """x and the axes of mean(x)."""
    if expr.op not in (scale_op, multiply_op) or expr.args[1].op is not sum_op:
        return None
    share, total = expr.args
    x, axes = total.args[0], total.params[0]
    whole = share.op is divide_op and share.args[1] is count([x.shape[axis] for axis in axes])
    return (x, axes) if whole and is_one(share.args[0]) else None


def deviations_of(y: Expr) -> tuple[Expr, tuple[int, ...]] | None:
    """x and the axes of x − mean(x)."""
    if y.op is not subtract_op or y.args[1].op is not repeat_op:
        return None
    found, axes = mean_of(y.args[1].args[0]), y.args[1].params[0]
    return found if found == (y.args[0], axes) else None


def variance_of(y: Expr) -> Expr | None:
    """mean(x²) − mean(x)² = var(x)."""
    if y.op is not subtract_op:
        return None
    mean = squared(y.args[1])
    of_entries, of_squares = None if mean is None else mean_of(mean), mean_of(y.args[0])
    if of_entries is None or of_squares is None:
        return None
    x, axes = of_entries
    return var(x, axes) if squared(of_squares[0]) is x and of_squares[1] == axes else None


def log_softmax_of(y: Expr) -> Expr | None:
    """x − logsumexp(x), along one axis."""
    if y.op is not subtract_op or y.args[1].op is not repeat_op or y.args[1].args[0].op is not logsumexp_op:
        return None
    total, axes = y.args[1].args[0], y.args[1].params[0]
    same = total.args[0] is y.args[0] and axes == (total.params[0],)
    return log_softmax(y.args[0], axes[0]) if same else None


def log_sigmoid_of(y: Expr) -> Expr | None:
    """x − log(1 + exp(x)) = −log(1 + exp(−x)), and x + log(1 + exp(−x)) = log(1 + exp(x))."""
    if y.op not in (add_op, subtract_op):
        return None
    for x, bent in [y.args, y.args[::-1]][: 2 if y.op is add_op else 1]:
        if bent.op is softplus_op:
            if y.op is subtract_op and bent.args[0] is x:
                return negate_op(softplus(opposite(x)))
            if y.op is add_op and bent.args[0] is opposite(x):
                return softplus(x)
    return None


def log1p_of(y: Expr) -> Expr | None:
    """log(1 + x)."""
    x = other_than_one(y.args[0]) if y.op is log_op else None
    if x is None and y.op is log_op and y.args[0].op is subtract_op and is_one(y.args[0].args[0]):
        x = opposite(y.args[0].args[1])
    return None if x is None else log1p_op(x)


def expm1_of(y: Expr) -> Expr | None:
    """exp(x) − 1."""
    if y.op is subtract_op and is_one(y.args[1]) and y.args[0].op is exp_op:
        return expm1_op(*y.args[0].args)
    return None
