"""Which functions has the user written out? A loss is read with them by name before it is derived.

1/(1 + exp(−z)) is σ(z): the derivation is then the one in the textbook, and its lines neither overflow nor
cancel, where those through exp(−z)/(1 + exp(−z))² would at |z| = 800.
"""

from __future__ import annotations

from collections.abc import Container

from gradstep.calculus.rewriting import Book, Law, Simplifier
from gradstep.calculus.steps import Rewrite
from gradstep.expression.node import Expr, Operation
from gradstep.operations.activations import softplus
from gradstep.operations.arithmetic import divide_op, exp, log, log_op, scale_op, subtract_op
from gradstep.operations.broadcasting import repeat
from gradstep.operations.leaves import symbol
from gradstep.operations.spelled import (
    Recognise,
    log_of_two_exps,
    logsumexp_of,
    sigmoid_of,
    softmax_of,
    softplus_beside,
    softplus_of,
    tanh_of,
)
from gradstep.operations.sums import sum


def _law(name: str, why: str, recognise: Recognise, heads: tuple[Operation, ...], *examples: Expr) -> Law:
    def apply(expr: Expr, fences: Container[Expr]) -> Expr | None:
        return recognise(expr)

    return Law(name, why, apply=apply, heads=heads, examples=examples, quiet=False)


_x, _y, _v, _w, _M = symbol("x"), symbol("y"), symbol("v", "n"), symbol("w", "n"), symbol("M", "m n")
_e = exp(_M)

RECOGNITION: tuple[Law, ...] = (
    _law(
        "sigmoid",
        "1/(1 + e⁻ᶻ) is the sigmoid of z",
        sigmoid_of,
        (divide_op,),
        1 / (1 + exp(-_x)),
        1 / (exp(-_v) + 1),
        1 / (1 + exp(-_w * _v)),
        exp(_M) / (1 + exp(_M)),
    ),
    _law(
        "softmax",
        "e to each entry, divided by the sum of these, is softmax",
        softmax_of,
        (divide_op, scale_op),
        exp(_v) / sum(exp(_v)),
        _e / repeat(sum(_e, 1), 1, "n"),
        _e / sum(_e, 0),
    ),
    _law(
        "softplus",
        "log(1 + eᶻ) is softplus",
        softplus_of,
        (log_op,),
        log(1 + exp(_x)),
        log(exp(-_v * _w) + 1),
    ),
    _law(
        "logsumexp",
        "log Σ eᶻ is logsumexp",
        logsumexp_of,
        (log_op,),
        log(sum(exp(_v))),
        log(sum(_e)),
        log(sum(_e, 1)),
        log(sum(_e, 0)),
    ),
    _law(
        "softplus of a difference",
        "log(eᵃ + eᵇ) = a + log(1 + eᵇ⁻ᵃ), where nothing overflows",
        log_of_two_exps,
        (log_op,),
        log(exp(_x) + exp(_y)),
        log(exp(_x) + sum(exp(_v))),
        log(sum(_e, 0) + exp(_v)),
    ),
    _law(
        "softplus of a difference",
        "a + log(1 + eᵇ⁻ᵃ) − a is the softplus alone",
        softplus_beside,
        (subtract_op,),
        _x + softplus(_y - _x) - _x,
        _v + softplus(_w - _v) - _w,
    ),
    _law(
        "tanh",
        "(eᶻ − e⁻ᶻ)/(eᶻ + e⁻ᶻ) is tanh z",
        tanh_of,
        (divide_op,),
        (exp(_x) - exp(-_x)) / (exp(_x) + exp(-_x)),
        (exp(2 * _v) - 1) / (exp(2 * _v) + 1),
    ),
)
_BOOK = Book(RECOGNITION)


class Recognition:
    """A formula read with functions by name: `expr`, what became of each part, and the rewrites made."""

    def __init__(self, expr: Expr) -> None:
        work = Simplifier(_BOOK, ())
        self.expr, rewrites, _ = work(expr)
        self.rewrites: tuple[Rewrite, ...] = tuple(rewrites)
        self._done = work.done

    def of(self, part: Expr) -> Expr:
        """What became of a part of the formula."""
        return self._done.get(part, part)
