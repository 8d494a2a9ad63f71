"""Which functions has the user written out? A loss is read with them by name before it is derived.

1/(1 + exp(−z)) is σ(z): the derivation is then the one in the textbook, and its lines neither overflow nor
cancel, where those through exp(−z)/(1 + exp(−z))² would at |z| = 800.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from fractions import Fraction
from functools import cache

from gradstep.calculus.compounds import as_normalisation
from gradstep.calculus.pieces import BENT, both_sides, larger_multiple
from gradstep.calculus.rewriting import Book, Law, Simplifier
from gradstep.calculus.steps import Rewrite
from gradstep.expression.node import Expr, Operation, walk
from gradstep.operations.activations import (
    abs,
    maximum,
    maximum_op,
    minimum,
    minimum_op,
    relu,
    sigmoid,
    softplus,
    sqrt,
    sqrt_op,
    tanh,
)
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    exp,
    log,
    log_op,
    multiply_op,
    power,
    power_op,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat
from gradstep.operations.entries import concatenate
from gradstep.operations.gates import bent
from gradstep.operations.hyperbolic import cosh
from gradstep.operations.leaves import number, symbol
from gradstep.operations.precise import erf, log1p, log1p_op
from gradstep.operations.products import matmul_op
from gradstep.operations.spelled import (
    Recognise,
    augmented,
    length_of,
    log_of_two_exps,
    logsumexp_of,
    sigmoid_of,
    softmax_of,
    softplus_around,
    softplus_beside,
    softplus_in_two_pieces,
    softplus_of,
    tanh_of,
    variance_of,
)
from gradstep.operations.spelled_gates import gelu_of, logcosh_of, mish_of, silu_of
from gradstep.operations.sums import mean, sum, var


def _law(
    name: str,
    why: str,
    recognise: Recognise,
    heads: tuple[Operation, ...],
    examples: Callable[[], tuple[Expr, ...]],
) -> Law:
    def apply(expr: Expr, fences: Container[Expr]) -> Expr | None:
        return recognise(expr)

    return Law(name, why, apply=apply, heads=heads, examples=examples, quiet=False)


_x, _y, _v, _w, _M = symbol("x"), symbol("y"), symbol("v", "n"), symbol("w", "n"), symbol("M", "m n")
_u = symbol("u", "m")

SIDES = "a piece for either sign"
RECOGNITION: tuple[Law, ...] = (
    _law(
        "sigmoid",
        "1/(1 + e⁻ᶻ) is the sigmoid of z",
        sigmoid_of,
        (divide_op,),
        lambda: (
            1 / (1 + exp(-_x)),
            1 / (exp(-_v) + 1),
            1 / (1 + exp(-_w * _v)),
            exp(_M) / (1 + exp(_M)),
        ),
    ),
    _law(
        "softmax",
        "e to each entry, divided by the sum of these, is softmax",
        softmax_of,
        (divide_op, scale_op),
        lambda: (
            exp(_v) / sum(exp(_v)),
            exp(_M) / repeat(sum(exp(_M), 1), 1, "n"),
            exp(_M) / sum(exp(_M), 0),
        ),
    ),
    _law(
        "softplus",
        "log(1 + eᶻ) is softplus",
        softplus_of,
        (log_op, log1p_op),
        lambda: (
            log(1 + exp(_x)),
            log(exp(-_v * _w) + 1),
            log1p(exp(_x)),
        ),
    ),
    _law(
        "logsumexp",
        "log Σ eᶻ is logsumexp",
        logsumexp_of,
        (log_op,),
        lambda: (
            log(sum(exp(_v))),
            log(sum(exp(_M))),
            log(sum(exp(_M), 1)),
            log(sum(exp(_M), 0)),
        ),
    ),
    _law(
        "softplus of a difference",
        "log(eᵃ + eᵇ) = a + log(1 + eᵇ⁻ᵃ), where nothing overflows",
        log_of_two_exps,
        (log_op,),
        lambda: (
            log(exp(_x) + exp(_y)),
            log(exp(_x) + sum(exp(_v))),
            log(sum(exp(_M), 0) + exp(_v)),
        ),
    ),
    _law(
        "softplus of a difference",
        "a + log(1 + eᵇ⁻ᵃ) − a is the softplus alone",
        softplus_beside,
        (subtract_op,),
        lambda: (
            _x + softplus(_y - _x) - _x,
            _v + softplus(_w - _v) - _w,
        ),
    ),
    _law(
        "tanh",
        "(eᶻ − e⁻ᶻ)/(eᶻ + e⁻ᶻ) is tanh z",
        tanh_of,
        (divide_op,),
        lambda: (
            (exp(_x) - exp(-_x)) / (exp(_x) + exp(-_x)),
            (exp(2 * _v) - 1) / (exp(2 * _v) + 1),
        ),
    ),
    _law(
        "log cosh",
        "log(cosh z) is one function, which does not overflow where cosh z does",
        logcosh_of,
        (log_op,),
        lambda: (log(cosh(_x)), log(cosh(_v * _w))),
    ),
    _law(
        "SiLU",
        "z σ(z) is the activation SiLU",
        silu_of,
        (multiply_op, scale_op, divide_op),
        lambda: (
            _x * sigmoid(_x),
            sigmoid(_v) * _w * _v,
            2 * _v * sigmoid(_v),
            _w * _v * sigmoid(_w * _v),
            _x / (1 + exp(-_x)),
            _w * _v / (exp(-_v) + 1),
            _v * exp(_v) / (1 + exp(_v)),
        ),
    ),
    _law(
        "GELU",
        "z (1 + erf(z/√2))/2 is the activation GELU, and with tanh in the place of erf its approximation",
        gelu_of,
        (multiply_op, scale_op, divide_op),
        lambda: (
            number(Fraction(1, 2)) * _x * (1 + erf(_x / sqrt(number(2)))),
            _v * (1 + erf(_v / sqrt(number(2)))) / 2,
            _v * ((erf(_v / power(number(2), number(Fraction(1, 2)))) + 1) / 2),
            number(Fraction(1, 2)) * _v * (1 + erf(_v * sqrt(number(Fraction(1, 2))))),
            number(Fraction(1, 2)) * (1 + erf(_x * _v / sqrt(number(2)))) * _x * _v,
            number(Fraction(1, 2)) * _v * (1 + tanh(bent(_v))),
        ),
    ),
    _law(
        "Mish",
        "z tanh(softplus(z)) is the activation Mish",
        mish_of,
        (multiply_op, scale_op, divide_op),
        lambda: (_x * tanh(softplus(_x)), tanh(softplus(_v)) * _v),
    ),
    _law(
        "the larger of two multiples",
        "max(c x, d x) with c > d is c x where x > 0, and d x elsewhere",
        larger_multiple,
        (maximum_op, minimum_op),
        lambda: (
            maximum(_x, 0.01 * _x),
            maximum(_y * _v, (_y - 1) * _v),
            maximum(_v, -_v),
            minimum(2 * _M, _M),
        ),
    ),
    _law(
        SIDES,
        "max(0, x) is x or 0 and max(0, −x) is 0 or −x: there is one piece for x > 0, and one for x ≤ 0",
        both_sides,
        (add_op, subtract_op),
        lambda: (
            relu(_x) - _y * relu(-_x),
            relu(_v) + _y * (exp(-relu(-_v)) - 1),
            _y * relu(_M) + relu(-_M),
            relu(_v) + relu(-_v),
            relu(_v) - relu(-_v),
            relu(_w) + _y * minimum(_w, 0),
        ),
    ),
    _law(
        "augmented vectors",
        "the bias is the weight of an input that is always 1",
        augmented,
        (matmul_op,),
        lambda: (
            concatenate([_v, _x]) @ concatenate([_w, number(1)]),
            concatenate([_v, number(1)]) @ concatenate([_w, _x]),
            concatenate([_M, repeat(number(1), (0, 1), ("m", 1))], 1) @ concatenate([_w, _x]),
            concatenate([_M, repeat(_u, 1, 1)], 1) @ concatenate([_w, number(1)]),
            concatenate([_u, number(1)]) @ concatenate([_M, repeat(_v, 0, 1)]),
        ),
    ),
    _law(
        "softplus in two pieces",
        "max(z, 0) + log(1 + e⁻ˡᶻˡ) is softplus, which has no kink at 0",
        softplus_in_two_pieces,
        (add_op, subtract_op),
        lambda: (
            relu(_x) + softplus(-abs(_x)),
            minimum(_v, 0) - softplus(-abs(_v)),
        ),
    ),
    _law(
        "softplus in two pieces",
        "max(z, 0) − t z + log(1 + e⁻ˡᶻˡ) is softplus less t z, which has no kink at 0",
        softplus_around,
        (add_op,),
        lambda: (relu(_v) - _w * _v + softplus(-abs(_v)),),
    ),
    _law(
        "normalisation",
        "the same product, with x̂, which is normalised, as one factor",
        as_normalisation,
        (divide_op, multiply_op, scale_op),
        lambda: (
            _w * (_M - mean(_M, 1, keepdims=True)) / sqrt(var(_M, 1, keepdims=True) + 1),
            (_M - mean(_M, 0)) * (1 / sqrt(var(_M, 0) + _y)),
            _w * (_v - mean(_v)) / sqrt(var(_v) + 1),
            _M * power(mean(_M**2, 1, keepdims=True) + 1, number(Fraction(-1, 2))),
        ),
    ),
    _law(
        "length",
        "the root of a sum of squares is the length ‖x‖, which has a subgradient at 0",
        length_of,
        (sqrt_op, power_op),
        lambda: (
            sqrt(sum(_v**2)),
            sqrt(_v @ _v),
            power(sum(_M**2, 1), number(Fraction(1, 2))),
            sqrt(mean(_v**2)),
        ),
    ),
    _law(
        "variance",
        "the mean of the squares less the square of the mean is the variance, where nothing cancels",
        variance_of,
        (subtract_op,),
        lambda: (
            mean(_v**2) - mean(_v) ** 2,
            mean(_M**2, 1) - mean(_M, 1) ** 2,
        ),
    ),
)
ACTIVATIONS = ("SiLU", "GELU", "Mish")


@cache
def _book(sides: bool, own: bool) -> Book:
    """The book for a formula that has pieces to put together or not, and a name of its own or not."""
    left_out = {*(() if sides else (SIDES,)), *(ACTIVATIONS if own else ())}
    return Book(law for law in RECOGNITION if law.name not in left_out)


class Recognition:
    """A formula read with functions by name: `expr`, what became of each part, and the rewrites made.

    A function with a name of its `own`, swish(x) = x σ(x), is not read as the activation of another name.
    """

    def __init__(self, expr: Expr, own: bool = False) -> None:
        bends = [node for node in walk(expr) if node.op in BENT]
        work = Simplifier(_book(len(bends) > 1, own), ())
        self.expr, rewrites, _ = work(expr)
        self.rewrites: tuple[Rewrite, ...] = tuple(rewrites)
        self._done = work.done

    def of(self, part: Expr) -> Expr:
        """What became of a part of the formula."""
        return self._done.get(part, part)
