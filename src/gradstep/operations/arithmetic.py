"""+ − ⊙ ⊘, powers, exp and log, and comparisons: how do entries combine?

The functions at the end are the door: they take Python numbers too, and spread operands to a common shape.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from gradstep.expression.boxes import (
    POWER,
    PREFIX,
    PRODUCT,
    RELATION,
    SUM,
    Box,
    Fence,
    Frac,
    Of,
    Sup,
    Sym,
    Written,
    fenced,
    row,
)
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, Number, Operation, Params, Spelled
from gradstep.expression.shapes import Shape
from gradstep.operations.broadcasting import LETTERS, repeat_op, spread, sum_over, together
from gradstep.operations.families import (
    DOTTED,
    DROPS,
    JUXTAPOSED,
    SIGNED,
    STAYS,
    Door,
    Spell,
    Write,
    alone,
    elementwise,
    enclosed,
    implicit,
    infix_text,
    multilinear,
    same_shape,
    shown,
)
from gradstep.operations.leaves import check_exponent, expression, is_constant, number, size_op, value_of


def one_like(x: Expr) -> Expr:
    """1 in every entry, in the shape of `x`."""
    return spread(number(1), x.shape)


def _add_box(sign: str) -> Any:
    def layout(expr: Expr, write: Write) -> Written:
        a, b = (shown(arg, write) for arg in expr.args)
        return Written(row(fenced(a, SUM), sign, fenced(b, SUM + 6)), SUM)

    return layout


add_op = elementwise(
    "add",
    lambda y, a, b: one_like(a),
    lambda y, a, b: one_like(a),
    code="{0} + {1}",
    rule="sum rule",
    why="a sum moves as much as its terms together",
    told=alone(("sum rule", DROPS), ("sum rule", DROPS)),
    text=infix_text(" + ", SUM, lambda a, b: add(a, b)),
    layout=_add_box("+"),
)
subtract_op = elementwise(
    "subtract",
    lambda y, a, b: one_like(a),
    lambda y, a, b: -one_like(a),
    code="{0} - {1}",
    rule="difference rule",
    why="a difference moves as its first term and against its second",
    told=alone(
        ("difference rule", DROPS), ("difference rule", f"what is taken away counts negatively; {DROPS}")
    ),
    text=infix_text(" - ", SUM, lambda a, b: subtract(a, b)),
    layout=_add_box("−"),
)
negate_op = elementwise(
    "negate",
    lambda y, a: -one_like(a),
    code="-{0}",
    rule="multiplication by a constant",
    why="the minus sign is a constant factor",
    text=lambda expr, spell: (f"-{enclosed(spell(expr.args[0]), PREFIX)}", PREFIX),
    layout=lambda expr, write: Written(row("−", fenced(write(expr.args[0]), PRODUCT)), SIGNED),
)


def _multiply_box(expr: Expr, write: Write) -> Written:
    a, b = (shown(arg, write) for arg in expr.args)
    if expr.rank:
        return Written(row(fenced(a, PRODUCT), "⊙", fenced(b, PRODUCT)), PRODUCT)
    if a.level == SIGNED:  # −2/N x: the sign in front of it all
        return Written(row(a.box, fenced(b, PRODUCT)), SIGNED)
    left, right = fenced(a, JUXTAPOSED), fenced(b, PRODUCT)
    first = expr.args[1].args[0] if expr.args[1].op is divide_op and is_constant(expr) else expr.args[1]
    numbers = value_of(first) is not None  # 2·1/N
    return Written(row(left, "·", right) if numbers else row(left, right), _level_before(b))


def _level_before(last: Written) -> int:
    """How tightly a product binds, by its last factor: Σ reaches to its end, ⊙ and · are looser."""
    return last.level if last.level in (PRODUCT, DOTTED) else JUXTAPOSED


def _in_front(factor: Written) -> Box:
    """A number before an array: (x·y) z, (Σ X) Y."""
    return fenced(factor, JUXTAPOSED)


def _multiply_text(expr: Expr, spell: Spell) -> Spelled:
    """1/N x and 1/2 x read better as x/N and x/2."""
    factor, body = expr.args
    value = value_of(factor)
    over = factor.args[1] if factor.op is divide_op and value_of(factor.args[0]) == 1 else None
    if value is not None and value.numerator == 1 and "/" in str(factor):
        over = number(value.denominator)
    if over is not None and divide(body, over) is expr:
        return f"{enclosed(spell(body), PRODUCT)}/{enclosed(spell(over), PRODUCT + 1)}", PRODUCT
    return _times_text(expr, spell)


_times_text = infix_text("*", PRODUCT, lambda a, b: multiply(a, b))
multiply_op = elementwise(
    "multiply",
    lambda y, a, b: b,
    lambda y, a, b: a,
    code="{0} * {1}",
    rule="product rule",
    why="each factor moves while the other stands still",
    told=alone(STAYS, STAYS),
    text=_multiply_text,
    layout=_multiply_box,
)


def _divide_box(expr: Expr, write: Write) -> Written:
    a, b = (shown(arg, write) for arg in expr.args)
    if expr.rank:
        return Written(row(fenced(a, PRODUCT), "⊘", fenced(b, PRODUCT + 1)), PRODUCT)
    top = value_of(expr.args[0])
    if top is not None and top < 0:
        return Written(row("−", Frac(write(number(-top)).box, b.box)), SIGNED)
    return Written(Frac(a.box, b.box), JUXTAPOSED)


divide_op = elementwise(
    "divide",
    lambda y, a, b: one_like(a) / b,
    lambda y, a, b: -(y / b),
    code="{0} / {1}",
    rule="quotient rule",
    why="d(a/b) = da/b − (a/b) db/b",
    told=alone(STAYS, ("quotient rule", "d(c/b) = −(c/b) db/b where c does not move")),
    text=infix_text("/", PRODUCT, lambda a, b: divide(a, b)),
    layout=_divide_box,
    domain="nonzero",
)


def _power_text(expr: Expr, spell: Spell) -> Spelled:
    base, exponent = (spell(arg) for arg in implicit(expr, lambda a, n: power(a, n)))
    return f"{enclosed(base, POWER + 1)}**{enclosed(exponent, PREFIX)}", POWER


def _power_box(expr: Expr, write: Write) -> Written:
    """xⁿ; of a square matrix X^⊙n, since Xⁿ is a product of matrices."""
    base, exponent = (write(arg) for arg in expr.args)
    entrywise = expr.rank > 1 and expr.shape[-1] == expr.shape[-2]
    box = row("⊙", exponent.box) if entrywise else exponent.box
    return Written(Sup(fenced(base, POWER + 1), box), POWER)


def _power_shape(params: Params, base: Shape, exponent: Shape) -> Shape:
    return same_shape(params, base, exponent) if exponent else base


def _power_slope(y: Expr, x: Expr, n: Expr) -> Expr:
    exponent = value_of(n)
    if exponent == 2:
        return 2 * x
    return n * power(x, number(exponent - 1) if exponent is not None else n - 1)


def _log_slope(y: Expr, x: Expr) -> Expr:
    return log(x) * y


def _power_adjoint(G: Expr, y: Expr, args: Sequence[Expr]) -> list[Expr | None]:
    x, n = args
    moves = value_of(n) is None and n.op is not size_op
    return [
        G * _power_slope(y, x, n),
        sum_over(G * _log_slope(y, x), () if n.rank else tuple(range(x.rank))) if moves else None,
    ]


def _power_differential(y: Expr, args: Sequence[Expr], dargs: Sequence[Expr | None]) -> Expr:
    (x, n), (dx, dn) = args, dargs
    parts = [] if dx is None else [dx * _power_slope(y, x, n)]
    parts += [] if dn is None else [dn * _log_slope(y, x)]
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


power_op = Operation(
    "power",
    _power_shape,
    lambda np, sizes, params, a, n: a**n,
    _power_text,
    _power_box,
    _power_differential,
    _power_adjoint,
    "power rule",
    "d(xⁿ) = n xⁿ⁻¹ dx + xⁿ log x dn",
    "{0}**{1}",
    domain="positive",
    example=tuple(((), shapes) for shapes in (((), ()), (("n",), ()), (("m", "n"), ()), (("n",), ("n",)))),
    told=alone(("power rule", "d(xⁿ) = n xⁿ⁻¹ dx"), ("exponential rule", "d(cⁿ) = cⁿ log c dn")),
)


def _scale_box(expr: Expr, write: Write) -> Written:
    factor, body = expr.args
    front, back = write(factor), write(body)
    named = isinstance(front.box, Of) and isinstance(front.box.box, Sym)
    if factor.op is divide_op and not named and not is_constant(factor.args[1]):  # x/‖x‖, not 1/‖x‖ x
        bottom = write(factor.args[1]).box
        if value_of(factor.args[0]) == 1:
            return Written(Frac(back.box, bottom), JUXTAPOSED)
        if value_of(factor.args[0]) == -1:
            return Written(row("−", Frac(back.box, bottom)), SIGNED)
        return Written(Frac(row(front_of(factor, write), fenced(back, PRODUCT)), bottom), JUXTAPOSED)
    if front.level == SIGNED:  # −2/N X: the sign in front of it all
        return Written(row(front.box, fenced(back, PRODUCT)), SIGNED)
    return Written(row(_in_front(front), fenced(back, PRODUCT)), _level_before(back))


def front_of(factor: Expr, write: Write) -> Box:
    """The numerator of a fraction, fit to stand before another factor."""
    return _in_front(write(factor.args[0]))


def _scale_indices(params: Params, *ranks: int) -> str:
    letters = LETTERS[: ranks[1]]
    return f",{letters}->{letters}"


scale_op = multilinear(
    "scale",
    _scale_indices,
    lambda G, y, args: (sum_over(G * args[1], tuple(range(y.rank))), scale(args[0], G)),
    rule="product rule",
    why="a number times an array: each factor moves while the other stands still",
    told=alone(STAYS, STAYS),
    text=_multiply_text,
    layout=_scale_box,
    meaning=lambda np, sizes, params, c, a: c * a,
    code="{0} * {1}",
    example=(((), ((), ("n",))), ((), ((), ("m", "n")))),
)


def scale(factor: Expr, body: Expr) -> Expr:
    """A number times an array."""
    return scale_op(factor, body) if body.rank else multiply(factor, body)


# ------------------------------------------------------------------------------------------- exp and log

exp_op = elementwise(
    "exp",
    lambda y, x: y,
    code="np.exp({0})",
    why="exp is its own slope",
)
log_op = elementwise(
    "log",
    lambda y, x: 1 / x,
    code="np.log({0})",
    why="the slope of log x is 1/x",
    domain="positive",
)


def exp(x: Expr | Number) -> Expr:
    """The exponential of each entry."""
    return exp_op(expression(x))


def log(x: Expr | Number) -> Expr:
    """The natural logarithm of each entry; the entries should be positive."""
    return log_op(expression(x))


# ------------------------------------------------------------------------------------------- comparisons


def _mask_text(name: str, sign: str, door: Door) -> Any:
    def exchanging(a: Expr, b: Expr) -> Expr:
        return (less if name == "greater" else less_equal)(b, a)

    def text(expr: Expr, spell: Spell) -> Spelled:
        a, b = implicit(expr, exchanging if expr.params else door)
        sides, between = ((b, a), EXCHANGED[sign]) if reads_backwards(expr) else ((a, b), sign)
        left, right = (enclosed(spell(side), RELATION + 1) for side in sides)
        return f"{left} {between} {right}", RELATION

    return text


# What each comparison becomes when its sides change places.
EXCHANGED = {">": "<", ">=": "<=", "≥": "≤", "==": "==", "=": "=", "!=": "!=", "≠": "≠"}
EXCHANGES = ("exchanged",)  # the params of a > b that reads b < a


def reads_backwards(comparison: Expr) -> bool:
    """Whether it reads b < a: where that was written, and x ≤ 0 rather than 0 ≥ x."""
    if comparison.op in (equal_op, not_equal_op):
        return False
    a, b = comparison.args
    return bool(comparison.params) or (is_constant(a) and not is_constant(b))


def _exchanged(op: Operation, a: Expr, b: Expr) -> Expr:
    """The comparison of `b` with `a`, read from `a` to `b`; a constant stands on the right."""
    return op(b, a, params=() if is_constant(a) or is_constant(b) else EXCHANGES)


def relation(comparison: Expr, sign: str, write: Write) -> Box:
    """a > b as it is read."""
    a, b = (fenced(shown(side, write), RELATION + 1) for side in comparison.args)
    return row(b, EXCHANGED[sign], a) if reads_backwards(comparison) else row(a, sign, b)


def _mask_box(sign: str) -> Any:
    """1[a > b]: one where it holds, zero elsewhere."""

    def layout(expr: Expr, write: Write) -> Written:
        return Written(row(Sym("1", "function"), Fence("[", relation(expr, sign, write), "]")))

    return layout


def _mask(name: str, sign: str, written: str, compare: Callable[[Any, Any], Any], door: Door) -> Operation:
    exchanged = ((EXCHANGES, (("n",), ("n",))),) if name.startswith("greater") else ()
    return elementwise(
        name,
        lambda y, a, b: 0 * one_like(a),
        lambda y, a, b: 0 * one_like(a),
        code=f"({{0}} {sign} {{1}})",
        rule="slope of a comparison",
        why="a comparison is 0 or 1 and stands still between its jumps: its slope is 0",
        text=_mask_text(name, sign, door),
        layout=_mask_box(written),
        meaning=lambda np, sizes, params, a, b: 1.0 * compare(a, b),
        kink="where both sides are equal too",
        example=(*(((), (shape, shape)) for shape in ((), ("n",), ("m", "n"))), *exchanged),
    )


greater_op = _mask("greater", ">", ">", operator.gt, lambda a, b: greater(a, b))
greater_equal_op = _mask("greater_equal", ">=", "≥", operator.ge, lambda a, b: greater_equal(a, b))
equal_op = _mask("equal", "==", "=", operator.eq, lambda a, b: equal(a, b))
not_equal_op = _mask("not_equal", "!=", "≠", operator.ne, lambda a, b: not_equal(a, b))
# Every comparison, and the sign it is written with.
COMPARISONS = {greater_op: ">", greater_equal_op: "≥", equal_op: "=", not_equal_op: "≠"}


def opposite(mask: Expr) -> Expr:
    """1 where `mask` is 0: the comparison turned round where it is one."""
    if mask.op is repeat_op:
        return repeat_op(opposite(mask.args[0]), params=mask.params)
    if mask.op not in COMPARISONS:
        return subtract(1, mask)
    a, b = mask.args
    turned = {
        greater_op: greater_equal_op,
        greater_equal_op: greater_op,
        equal_op: not_equal_op,
        not_equal_op: equal_op,
    }[mask.op]
    if mask.op in (equal_op, not_equal_op):
        return turned(a, b)
    return turned(b, a) if mask.params else _exchanged(turned, a, b)


# ------------------------------------------------------------------------------------------- the door


def add(a: Expr | Number, b: Expr | Number) -> Expr:
    """a + b, entry by entry."""
    a, b = together("+", a, b)
    x, y = value_of(a), value_of(b)
    return number(x + y) if x is not None and y is not None else add_op(a, b)


def subtract(a: Expr | Number, b: Expr | Number) -> Expr:
    """a − b, entry by entry."""
    a, b = together("-", a, b)
    x, y = value_of(a), value_of(b)
    return number(x - y) if x is not None and y is not None else subtract_op(a, b)


def negate(a: Expr | Number) -> Expr:
    """−a."""
    a = expression(a)
    x = value_of(a)
    if a.op is repeat_op and (inner := value_of(a.args[0])) is not None:
        return repeat_op(number(-inner), params=a.params)
    return number(-x) if x is not None else negate_op(a)


def multiply(a: Expr | Number, b: Expr | Number) -> Expr:
    """a ⊙ b, entry by entry; a number times an array scales it."""
    a, b = expression(a), expression(b)
    x, y = value_of(a), value_of(b)
    if x is not None and y is not None:
        return number(x * y)
    if a.rank == 0 != b.rank:
        return scale_op(a, b)
    if b.rank == 0 != a.rank:
        return scale_op(b, a)
    return multiply_op(*together("*", a, b))


def divide(a: Expr | Number, b: Expr | Number) -> Expr:
    """a ⊘ b, entry by entry; an array over a number, or anything over a constant, is scaled by 1 over it."""
    a, b = expression(a), expression(b)
    x, y = value_of(a), value_of(b)
    if y == 0:
        raise MathError("division by zero")
    if x is not None and y is not None:
        return number(x / y)
    if b.rank == 0 and (a.rank or (is_constant(b) and not is_constant(a))):
        return scale(divide(1, b), a)
    return divide_op(*together("/", a, b))


def power(a: Expr | Number, n: Expr | Number) -> Expr:
    """aⁿ, entry by entry; the exponent is a number, or an array with one for each entry.

    A number to an array is exp of it times its logarithm.
    """
    a, n = expression(a), expression(n)
    x, k = value_of(a), value_of(n)
    if k is not None:
        check_exponent(k)
    if x is not None and k is not None and k.denominator == 1:
        if x == 0 and k < 0:
            raise MathError("division by zero")
        if max(abs(x.numerator), x.denominator).bit_length() * abs(int(k)) > 4096:
            raise MathError("this power has more than 1,000 digits")
        return number(x ** int(k))
    if n.rank and not a.rank:
        return exp(n * log(a))
    if k == 1:
        return a
    return power_op(*(together("**", a, n) if n.rank else (a, n)))


def greater(a: Expr | Number, b: Expr | Number) -> Expr:
    """1 where a > b, 0 elsewhere."""
    return greater_op(*together(">", a, b))


def greater_equal(a: Expr | Number, b: Expr | Number) -> Expr:
    """1 where a ≥ b, 0 elsewhere."""
    return greater_equal_op(*together(">=", a, b))


def less(a: Expr | Number, b: Expr | Number) -> Expr:
    """1 where a < b, 0 elsewhere."""
    return _exchanged(greater_op, *together("<", a, b))


def less_equal(a: Expr | Number, b: Expr | Number) -> Expr:
    """1 where a ≤ b, 0 elsewhere."""
    return _exchanged(greater_equal_op, *together("<=", a, b))


def equal(a: Expr | Number, b: Expr | Number) -> Expr:
    """1 where a = b, 0 elsewhere."""
    return equal_op(*together("==", a, b))


def not_equal(a: Expr | Number, b: Expr | Number) -> Expr:
    """1 where a ≠ b, 0 elsewhere."""
    return not_equal_op(*together("!=", a, b))
