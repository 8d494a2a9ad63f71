"""What would overflow, cancel or divide nothing by nothing if it were computed as it is written?

A derivation keeps what the user wrote; code computes the same number by a form that is safe for any size of
its operand. An `Improvement` is one such equation, used from left to right, for code only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gradstep.expression.node import Expr, Operation, rebuild, uses, walk
from gradstep.expression.records import record
from gradstep.operations.activations import sigmoid, sigmoid_op, softplus, softplus_op
from gradstep.operations.arithmetic import (
    divide_op,
    exp,
    exp_op,
    log,
    log_op,
    multiply_op,
    negate_op,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat
from gradstep.operations.families import is_one
from gradstep.operations.leaves import symbol
from gradstep.operations.rowwise import log_softmax, log_softmax_op, softmax, softmax_op
from gradstep.operations.spelled import logsumexp_of, opposite, share_of_exp, softplus_of
from gradstep.operations.sums import sum

Alone = Callable[[Expr], bool]  # whether an expression is used in one place only


@record
class Improvement:
    """An equation for code: what stands left is computed as what stands right.

    `apply` (expr, alone) gives the right side, or None where the equation does not apply; `heads` are the
    operations that its left side may start with, and `examples` are expressions that it must change.
    """

    name: str
    why: str
    heads: tuple[Operation, ...]
    apply: Callable[[Expr, Alone], Expr | None]
    examples: tuple[Expr, ...]


def improved(roots: Sequence[Expr], book: Iterable[Improvement]) -> dict[Expr, Expr]:
    """What every node under `roots` becomes, when the book is applied until nothing changes.

    From the innermost node outwards, each node once.
    """
    by_head: dict[Operation, list[Improvement]] = {}
    for improvement in book:
        for head in improvement.heads:
            by_head.setdefault(head, []).append(improvement)
    counts = uses(roots)
    for root in roots:
        counts[root] = counts.get(root, 0) + 1

    def alone(node: Expr) -> bool:
        return counts.get(node, 0) < 2

    done: dict[Expr, Expr] = {}
    becomes: dict[Expr, Expr] = {}  # met, rewritten, and waiting for what it was rewritten to
    opened: set[Expr] = set()
    stack = list(reversed(roots))
    while stack:
        node = stack[-1]
        if node in done:
            counts[done[node]] = max(counts.get(done[node], 0), counts.get(node, 0))
            stack.pop()
        elif node in becomes:
            after = becomes[node]
            if after in done:
                done[node] = done[after]
            elif after in opened:  # two equations that undo each other: stop here
                done[node] = node
            else:
                opened.add(after)
                stack.append(after)
        elif waiting := [arg for arg in node.args if arg not in done]:
            stack.extend(reversed(waiting))
        else:
            settled = rebuild(node, [done[arg] for arg in node.args])
            changed = (found.apply(settled, alone) for found in by_head.get(settled.op, ()))
            after = next((new for new in changed if new is not None and new is not settled), settled)
            if after is node:
                done[node] = node
            else:
                becomes[node] = after
    return done


# ------------------------------------------------------------------------------------------- the equations


def _exponent(expr: Expr) -> Expr | None:
    """x of exp(x)."""
    return expr.args[0] if expr.op is exp_op else None


def _log_of_softmax(y: Expr, alone: Alone) -> Expr | None:
    x = y.args[0]
    return log_softmax(x.args[0], x.params[0]) if x.op is softmax_op else None


def _log_of_sigmoid(y: Expr, alone: Alone) -> Expr | None:
    x = y.args[0]
    return -softplus(-x.args[0]) if x.op is sigmoid_op else None


def _log_of_the_other(y: Expr, alone: Alone) -> Expr | None:
    x = y.args[0]
    if x.op is subtract_op and is_one(x.args[0]) and x.args[1].op is sigmoid_op:
        return -softplus(x.args[1].args[0])
    return None


def _written(recognise: Callable[[Expr], Expr | None]) -> Callable[[Expr, Alone], Expr | None]:
    """A function that is spelled out, by its name."""
    return lambda y, alone: recognise(y)


def _log_of_exp(y: Expr, alone: Alone) -> Expr | None:
    return _exponent(y.args[0])


def _sigmoid_times_exp(y: Expr, alone: Alone) -> Expr | None:
    """σ(−x) ⊙ exp(x), also with other factors between them."""
    product = walk(y, stop=lambda node: node.op is not multiply_op)
    factors = [node for node in product if node.op is not multiply_op]
    for power in factors:
        x = _exponent(power)
        if x is None:
            continue
        for share in factors:
            if share.op is sigmoid_op and _opposite(share.args[0], x):
                rest = [factor for factor in factors if factor is not power and factor is not share]
                made = sigmoid(x)
                for factor in rest:
                    made = multiply_op(factor, made)
                return made
    return None


def _opposite(a: Expr, b: Expr) -> bool:
    return a is opposite(b) or b is opposite(a)


def _twice_negated(y: Expr, alone: Alone) -> Expr | None:
    x = y.args[0]
    return x.args[0] if x.op is negate_op else None


_x, _v, _M = symbol("x"), symbol("v", "n"), symbol("M", "m n")

STABLE: tuple[Improvement, ...] = (
    Improvement(
        "log of softmax",
        "softmax of a far smaller entry is 0 in floating point, and log 0 is −∞",
        (log_op,),
        _log_of_softmax,
        (log(softmax(_v)), log(softmax(_M, 1)), log(softmax(_M, 0))),
    ),
    Improvement(
        "log of sigmoid",
        "σ(x) is 0 in floating point for x below −745: log σ(x) = −log(1 + e⁻ˣ)",
        (log_op,),
        _log_of_sigmoid,
        (log(sigmoid(_x)), log(sigmoid(_v))),
    ),
    Improvement(
        "log of 1 − sigmoid",
        "1 − σ(x) is 0 in floating point for x above 37: log(1 − σ(x)) = −log(1 + eˣ)",
        (log_op,),
        _log_of_the_other,
        (log(1 - sigmoid(_x)), log(1 - sigmoid(_v))),
    ),
    Improvement(
        "log of 1 + exp",
        "eˣ overflows for x above 709",
        (log_op,),
        _written(softplus_of),
        (log(1 + exp(_x)), log(exp(_v) + 1)),
    ),
    Improvement("log of exp", "eˣ overflows for x above 709", (log_op,), _log_of_exp, (log(exp(_v)),)),
    Improvement(
        "log of a sum of exp",
        "eˣ overflows for x above 709; the largest entry can be taken out first",
        (log_op,),
        _written(logsumexp_of),
        (log(sum(exp(_v))), log(sum(exp(_M))), log(sum(exp(_M), 1)), log(sum(exp(_M), 0))),
    ),
    Improvement(
        "share of exp",
        "eˣ overflows for x above 709, and ∞/∞ is no number",
        (divide_op,),
        _written(share_of_exp),
        (
            1 / (1 + exp(-_x)),
            exp(_v) / (1 + exp(_v)),
            1 / (exp(_v) + 1),
            exp(_M) / repeat(sum(exp(_M), 1), 1, "n"),
            exp(_M) / sum(exp(_M), 0),
        ),
    ),
    Improvement(
        "share of exp",
        "eˣ overflows for x above 709, and ∞/∞ is no number",
        (scale_op,),
        _written(share_of_exp),
        (exp(_v) / sum(exp(_v)),),
    ),
    Improvement(
        "sigmoid times exp",
        "0 · ∞ is no number: σ(−x) eˣ = σ(x)",
        (multiply_op,),
        _sigmoid_times_exp,
        (multiply_op(sigmoid(-_v), exp(_v)), multiply_op(multiply_op(_v, exp(-_v)), sigmoid(_v))),
    ),
    Improvement("minus minus", "−(−x) = x", (negate_op,), _twice_negated, (negate_op(negate_op(_v)),)),
)


# Where the safe form of a logarithm is computed anyway, what it is the logarithm of is its exp.


def _from_logarithm(present: frozenset[Expr]) -> Callable[[Expr, Alone], Expr | None]:
    def apply(y: Expr, alone: Alone) -> Expr | None:
        logarithm = log_softmax_op(*y.args, params=y.params) if y.op is softmax_op else -softplus(-y.args[0])
        source = logarithm.args[0] if logarithm.op is negate_op else logarithm
        return exp(logarithm) if source in present else None

    return apply


def from_logarithm(present: Iterable[Expr]) -> Improvement:
    """softmax and sigmoid by the logarithms that are `present`: one exp instead of all the work again."""
    return Improvement(
        "exp of its logarithm",
        "the logarithm is needed anyway",
        (softmax_op, sigmoid_op),
        _from_logarithm(frozenset(present)),
        (softmax(_M, 1), sigmoid(_v)),
    )


def stable(expr: Expr) -> Expr:
    """`expr` in a form that is safe for operands of any size.

    A gradient derived from this form is safe too, where one derived from log(softmax(z)) or 1/(1 + exp(−z))
    may divide by what has become 0.
    """
    return improved([expr], STABLE)[expr]


def stabilised(roots: Sequence[Expr], parts: Sequence[Expr] = ()) -> dict[Expr, Expr]:
    """What every node under `roots` and `parts` becomes in code that is safe for operands of any size."""
    first = improved([*roots, *parts], STABLE)
    used = walk(*(first[root] for root in roots))
    logarithms = [node for node in used if node.op in (log_softmax_op, softplus_op)]
    if not logarithms:
        return first
    second = improved([first[node] for node in (*roots, *parts)], [from_logarithm(logarithms)])
    return {node: second.get(after, after) for node, after in first.items()}
