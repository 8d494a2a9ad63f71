"""Which form of an expression costs least to compute? Smaller arrays, fewer passes, one product for a sum.

Equations for code only, like those in `stabilising`; but these respect names: what the reader calls by a name
is computed under that name.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from gradstep.backends.scaling import SCALING
from gradstep.backends.solving import SOLVING
from gradstep.expression.boxes import ATOM
from gradstep.expression.node import Expr, Operation, Spelled
from gradstep.expression.shapes import Shape, Size, contraction
from gradstep.operations import TABLE
from gradstep.operations.activations import sqrt_op, tanh
from gradstep.operations.arithmetic import (
    COMPARISONS,
    add_op,
    divide_op,
    multiply,
    multiply_op,
    negate,
    negate_op,
    power_op,
    scale,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import LETTERS, repeat, repeat_op, squeeze_op, sum_op, sum_over
from gradstep.operations.families import Spell, call_box, multilinear
from gradstep.operations.improving import Improvement, Uses
from gradstep.operations.leaves import is_constant, number, number_op, size, symbol, value_of
from gradstep.operations.permutations import transpose_op
from gradstep.operations.products import matmul_op, outer, outer_op
from gradstep.operations.sums import count, sum

MASKS = frozenset(COMPARISONS)


def _inner_text(expr: Expr, spell: Spell) -> Spelled:
    return f"sum({' * '.join(spell(arg)[0] for arg in expr.args)})", ATOM


# The inner product of two matrices: an operation of code, where mathematics writes ⟨A, B⟩.
vdot_op = multilinear(
    "vdot",
    lambda params, *ranks: f"{LETTERS[: ranks[0]]},{LETTERS[: ranks[1]]}->",
    lambda G, y, args: (scale(G, args[1]), scale(G, args[0])),
    rule="inner product rule",
    why="d⟨A, B⟩ = ⟨dA, B⟩ + ⟨A, dB⟩",
    text=_inner_text,
    layout=call_box("vdot"),
    meaning=lambda np, sizes, params, a, b: np.vdot(a, b),
    code="np.vdot({0}, {1})",
    example=(((), (("m", "n"), ("m", "n"))),),
    shape=lambda params, a, b: contraction(f"{LETTERS[: len(a)]},{LETTERS[: len(b)]}->", (a, b)),
)

LINEAR: tuple[Operation, ...] = (matmul_op, outer_op, sum_op, transpose_op, repeat_op, squeeze_op, vdot_op)


def is_mask(expr: Expr) -> bool:
    """Whether every entry is 0 or 1 because a comparison made it."""
    if expr.op is multiply_op:
        return all(map(is_mask, expr.args))
    return is_mask(expr.args[0]) if expr.op in (repeat_op, transpose_op, squeeze_op) else expr.op in MASKS


def is_total(expr: Expr) -> bool:
    """Whether `expr` is a sum over all entries."""
    return expr.op is sum_op and not expr.rank


# ------------------------------------------------------------------------------------------- inner products


def inner_product(a: Expr, b: Expr) -> Expr | None:
    """Σ a ⊙ b as one product, which needs no array for a ⊙ b; None where that would not pay."""
    if is_mask(a) or is_mask(b) or not a.rank:
        return None
    for one, other in ((a, b), (b, a)):
        if one.op is repeat_op:  # Σ over what is repeated first: nothing is spread out
            kept, axes = one.args[0], one.params[0]
            rest = sum_over(other, axes)
            return multiply(kept, rest) if not kept.rank else inner_product(kept, rest)
    return matmul_op(a, b) if a.rank == 1 else vdot_op(a, b)


def _factors(expr: Expr) -> tuple[Expr, Expr] | None:
    """The two factors of a product or of a square."""
    if expr.op is multiply_op:
        return expr.args[0], expr.args[1]
    return (expr.args[0], expr.args[0]) if expr.op is power_op and value_of(expr.args[1]) == 2 else None


def _total(y: Expr, uses: Uses) -> Expr | None:
    if not is_total(y):
        return None
    body = y.args[0]
    if body.op is add_op:  # not a difference: its terms may cancel entry by entry
        a, b = (_total(sum(term), uses) for term in body.args)
        return add_op(a, b) if a is not None and b is not None else None
    factors = _factors(body)
    return inner_product(*factors) if factors else None


def _sum_of_sums(y: Expr, uses: Uses) -> Expr | None:
    """Σᵢ Σⱼ: one sum over both axes."""
    body = y.args[0]
    if body.op is not sum_op or uses(body) > 1:
        return None
    left = [a for a in range(body.args[0].rank) if a not in body.params[0]]
    return sum_over(body.args[0], tuple(sorted((*body.params[0], *(left[a] for a in y.params[0])))))


def _repeated_number(y: Expr, uses: Uses) -> Expr | None:
    for factor, body in (y.args, y.args[::-1]):
        if factor.op is repeat_op and not factor.args[0].rank:
            return scale(factor.args[0], body)
    return None


def _weighted_rows(y: Expr, uses: Uses) -> Expr | None:
    """Σᵢ vᵢ Mᵢⱼ, the weighted sum of rows, is a product; and so is the weighted sum of columns."""
    body = y.args[0]
    if body.rank != 2 or y.rank != 1 or body.op is not multiply_op or any(map(is_mask, body.args)):
        return None
    for weights, M in (body.args, body.args[::-1]):
        if weights.op is repeat_op and weights.args[0].rank == 1 and weights.params[0] != y.params[0]:
            v = weights.args[0]
            return matmul_op(v, M) if y.params[0] == (0,) else matmul_op(M, v)
    return None


def _row_times_transpose(y: Expr, uses: Uses) -> Expr | None:
    a, b = y.args
    return matmul_op(b.args[0], a) if a.rank == 1 and b.op is transpose_op else None


def _times_one(y: Expr, uses: Uses) -> Expr | None:
    return y.args[1] if value_of(y.args[0]) == 1 else None


def _product_chain(y: Expr, uses: Uses) -> Expr | None:
    """(A B) v = A (B v): a matrix and a vector cost less than two matrices."""
    a, b = y.args
    if b.rank == 1 and a.rank == 2 and a.op is matmul_op and uses(a) < 2:
        return matmul_op(a.args[0], matmul_op(a.args[1], b))
    if a.rank == 1 and b.rank == 2 and b.op is matmul_op and uses(b) < 2:
        return matmul_op(matmul_op(a, b.args[0]), b.args[1])
    return None


# --------------------------------------------------------------------------------------- numbers and signs


def times(c: Expr, d: Expr) -> Expr:
    """The product of two numbers, with known numbers multiplied out: 2 · 1/N is 2/N."""
    x, y = value_of(c), value_of(d)
    if x is not None and y is not None:
        return number(x * y)
    if x == 1 or y == 1:
        return d if x == 1 else c
    for one, other in ((c, d), (d, c)):
        if value_of(one) is not None and other.op is divide_op and value_of(other.args[0]) is not None:
            return divide_op(times(one, other.args[0]), other.args[1])
    return multiply_op(c, d)


def opposite(c: Expr) -> Expr:
    """−c, the sign in the number in front where there is one."""
    if c.op in (divide_op, multiply_op) and c.args[0].op is number_op:
        return c.op(opposite(c.args[0]), c.args[1])
    return c.args[0] if c.op is negate_op else negate(c)


def scaled(expr: Expr) -> tuple[Expr, Expr] | None:
    """(c, x) of c x, where c is a number that no data are in, or x an array."""
    if expr.op is scale_op:
        return expr.args[0], expr.args[1]
    if expr.op is multiply_op and not expr.rank:
        a, b = expr.args
        if is_constant(a) != is_constant(b):
            return (a, b) if is_constant(a) else (b, a)
    return None


def _twice_scaled(y: Expr, uses: Uses) -> Expr | None:
    outer_part = scaled(y)
    inner_part = outer_part and scaled(outer_part[1])
    if not outer_part or not inner_part or not uses(outer_part[1]) < 2:
        return None
    return scale(times(outer_part[0], inner_part[0]), inner_part[1])


def _onto_the_smaller(y: Expr, uses: Uses) -> Expr | None:
    """c (u vᵀ) = (c u) vᵀ: the number goes where there are fewer entries."""
    c, body = y.args
    if body.op not in LINEAR or uses(body) > 1:
        return None
    smallest = min(body.args, key=lambda arg: arg.rank)
    if smallest.rank >= body.rank:
        return None
    at = body.args.index(smallest)
    return body.op(*body.args[:at], scale(c, smallest), *body.args[at + 1 :], params=body.params)


def _out_of_the_larger(y: Expr, uses: Uses) -> Expr | None:
    """Σ c A = c Σ A, (c A) v = c (A v): the number waits until there are fewer entries."""
    for at, arg in enumerate(y.args):
        if arg.op is scale_op and arg.rank > y.rank and uses(arg) < 2:
            c, body = arg.args
            return scale(c, y.op(*y.args[:at], body, *y.args[at + 1 :], params=y.params))
    return None


def _sign_of_scaled(y: Expr, uses: Uses) -> Expr | None:
    """−(c x) = (−c) x, and c (−x) = (−c) x."""
    if y.op is negate_op:
        found = scaled(y.args[0]) if uses(y.args[0]) < 2 else None
        return scale(opposite(found[0]), found[1]) if found else None
    found = scaled(y)
    if found and found[1].op is negate_op:
        return scale(opposite(found[0]), found[1].args[0])
    return None


def _sign_in_sum(y: Expr, uses: Uses) -> Expr | None:
    """a + (−b) = a − b, −a − b = −(a + b), and so on."""
    a, b = y.args
    minus_a, minus_b = (x.op is negate_op for x in y.args)
    if y.op is add_op and minus_a and minus_b:
        return negate_op(add_op(a.args[0], b.args[0]))
    if y.op is add_op and minus_b:
        return subtract_op(a, b.args[0])
    if y.op is add_op and minus_a:
        return subtract_op(b, a.args[0])
    if minus_b:
        return add_op(a, b.args[0])
    return negate_op(add_op(a.args[0], b)) if minus_a else None


def _sign_of_difference(y: Expr, uses: Uses) -> Expr | None:
    body = y.args[0]
    return subtract_op(*body.args[::-1]) if body.op is subtract_op and uses(body) < 2 else None


def _sign_in_product(y: Expr, uses: Uses) -> Expr | None:
    """(−a) b = −(a b), unless there are more entries to turn round afterwards."""
    for at, arg in enumerate(y.args):
        if arg.op is negate_op and arg.rank >= y.rank and not (arg.rank == 0 and is_constant(arg)):
            return negate_op(y.op(*y.args[:at], arg.args[0], *y.args[at + 1 :], params=y.params))
    return None


# ------------------------------------------------------------------------------------------- repetition


def repeated(x: Expr, axes: Sequence[int], shape: Shape) -> Expr:
    """`x` repeated along `axes` of the result, which has this shape."""
    return repeat(x, tuple(axes), tuple(shape[a] for a in axes))


def _after_repeating(y: Expr, uses: Uses) -> Expr | None:
    """f(b repeated) = f(b) repeated: a function of each entry is computed once for equal entries."""
    entries = [arg for arg in y.args if arg.rank]
    if not entries or any(arg.op is not repeat_op for arg in entries):
        return None
    common = [a for a in range(y.rank) if all(a in arg.params[0] for arg in entries)]
    if not common:
        return None
    before = []
    for arg in y.args:
        axes = arg.params[0] if arg.rank else ()
        rest = [a for a in axes if a not in common]
        kept = [a for a in range(y.rank) if a not in common]
        shape = tuple(y.shape[a] for a in kept)
        before.append(repeated(arg.args[0], [kept.index(a) for a in rest], shape) if arg.rank else arg)
    once = scale(*before) if y.op is scale_op else y.op(*before, params=y.params)
    return repeated(once, common, y.shape)


def _sum_of_repeated(y: Expr, uses: Uses) -> Expr | None:
    """The sum over copies is their number times one of them."""
    body = y.args[0]
    if body.op is not repeat_op:
        return None
    summed, new = y.params[0], body.params[0]
    old = [a for a in range(body.rank) if a not in new]
    copies: list[Size] = [body.shape[a] for a in summed if a in new]
    if not copies:
        return None
    once = sum_over(body.args[0], tuple(old.index(a) for a in summed if a not in new))
    kept = [a for a in range(body.rank) if a not in summed]
    spread_again = [kept.index(a) for a in new if a not in summed]
    return repeated(scale(count(copies), once), spread_again, y.shape)


def _product_with_repeated(y: Expr, uses: Uses) -> Expr | None:
    """A (c 𝟏) = c A 𝟏 is a sum, and A (v 𝟏ᵀ) = (A v) 𝟏ᵀ one product with a vector."""
    A, B = y.args
    if B.op is repeat_op:
        x, axes = B.args[0], B.params[0]
        if not x.rank and B.rank == 1:
            return scale(x, sum_over(A, (A.rank - 1,)))
        if axes == (1,) and B.rank == 2:
            return repeated(matmul_op(A, x), (y.rank - 1,), y.shape)
    if A.op is repeat_op:
        x, axes = A.args[0], A.params[0]
        if not x.rank and A.rank == 1:
            return scale(x, sum_over(B, (max(B.rank - 2, 0),)))
        if axes == (0,) and A.rank == 2:
            return repeated(matmul_op(x, B), (max(y.rank - 2, 0),), y.shape)
    return None


def _outer_with_repeated(y: Expr, uses: Uses) -> Expr | None:
    a, b = y.args
    if b.op is repeat_op:
        return repeated(scale(b.args[0], a), (1,), y.shape)
    return repeated(scale(a.args[0], b), (0,), y.shape) if a.op is repeat_op else None


def _transposed_repetition(y: Expr, uses: Uses) -> Expr | None:
    body = y.args[0]
    if body.op is not repeat_op or body.rank != 2:
        return None
    return repeated(body.args[0], sorted(1 - a for a in body.params[0]), y.shape)


def _squeezed_repetition(y: Expr, uses: Uses) -> Expr | None:
    body = y.args[0]
    return body.args[0] if body.op is repeat_op and body.params[0] == y.params[0] else None


def _root_of_number(y: Expr, uses: Uses) -> Expr | None:
    """√d as d**0.5: a number of Python's own, which leaves float32 arrays in float32."""
    x = y.args[0]
    return power_op(x, number(Fraction(1, 2))) if is_constant(x) and not x.rank else None


# ------------------------------------------------------------------------------------------- the book

_x, _z = symbol("x"), symbol("z", "k")
_u, _v, _w = symbol("u", "n"), symbol("v", "n"), symbol("w", "m")
_A, _B, _M = symbol("A", "m k"), symbol("B", "k n"), symbol("M", "m n")
_N, _c = size("N"), 2 / size("N")
_b = repeat(_v, 0, "m")
_h = repeat(_w, 1, "n")

ENTRYWISE = (*(op for op in TABLE if op.slopes), power_op, scale_op)

LEAN: tuple[Improvement, ...] = (
    Improvement(
        "a sum of products is an inner product",
        "one pass and no array in between",
        (sum_op,),
        _total,
        (sum(_v**2), sum(_v * _u), sum(_M**2), sum(_M * _h), sum(_M * _b), sum(_v * _u + _v**2)),
    ),
    Improvement(
        "a sum of sums", "one sum over both axes", (sum_op,), _sum_of_sums, (sum(sum(_M, 1)), sum(sum(_M, 0)))
    ),
    Improvement(
        "a repeated number scales",
        "a number needs no array of its own",
        (multiply_op,),
        _repeated_number,
        (multiply_op(repeat(_x, 0, "n"), _v), multiply_op(_M, repeat(_x, (0, 1), ("m", "n")))),
    ),
    Improvement(
        "a weighted sum of rows is a product",
        "one pass and no array in between",
        (sum_op,),
        _weighted_rows,
        (sum(_M * _h, 0), sum(_b * _M, 1)),
    ),
    Improvement(
        "matrix times vector first",
        "a matrix and a vector cost less than two matrices",
        (matmul_op,),
        _product_chain,
        ((_A @ _B) @ _v, _w @ (_A @ _B)),
    ),
    Improvement(
        "a row times a transpose",
        "v Aᵀ and A v are the same vector: computed once where both occur",
        (matmul_op,),
        _row_times_transpose,
        (_v @ _B.T,),
    ),
    Improvement("times one", "nothing to do", (scale_op,), _times_one, (scale_op(number(1), _v),)),
    Improvement(
        "numbers multiply first",
        "one pass over the array instead of two",
        (scale_op, multiply_op),
        _twice_scaled,
        (scale_op(_c, scale_op(_N, _v)), multiply_op(number(2), multiply_op(_c, _x))),
    ),
    Improvement(
        "the number scales the smaller array",
        "fewer entries to multiply",
        (scale_op,),
        _onto_the_smaller,
        (scale_op(_c, outer(_w, _v)), scale_op(_c, _b)),
    ),
    Improvement(
        "the number waits for the smaller array",
        "fewer entries to multiply",
        (matmul_op, sum_op, vdot_op),
        _out_of_the_larger,
        (sum(_c * _M), (_c * _B) @ _v, sum(_c * _M, 0), (_c * _v) @ _u),
    ),
    Improvement(
        "the sign joins the number",
        "one pass fewer",
        (negate_op, scale_op, multiply_op),
        _sign_of_scaled,
        (negate_op(_c * _v), scale_op(_c, negate_op(_v)), negate_op(multiply_op(_c, _x))),
    ),
    Improvement(
        "a sign in a sum",
        "one pass fewer",
        (add_op, subtract_op),
        _sign_in_sum,
        (_v + (-_u), (-_v) + _u, _v - (-_u), (-_v) - _u, (-_v) + (-_u)),
    ),
    Improvement("minus a difference", "one pass fewer", (negate_op,), _sign_of_difference, (-(_v - _u),)),
    Improvement(
        "the sign comes out",
        "so that it may join a number, or vanish in a sum",
        (multiply_op, divide_op, matmul_op, outer_op, sum_op, vdot_op),
        _sign_in_product,
        ((-_v) * _u, (-_v) / _u, (-_A) @ _B, sum(-_M), (-_v) @ _u),
    ),
    Improvement(
        "entrywise before repetition",
        "equal entries are computed once",
        ENTRYWISE,
        _after_repeating,
        (add_op(_b, repeat(_u, 0, "m")), tanh(_b), add_op(_h, repeat(_x, (0, 1), ("m", "n")))),
    ),
    Improvement(
        "a sum over copies",
        "their number times one of them",
        (sum_op,),
        _sum_of_repeated,
        (sum(_b), sum(_b, 0), sum_op(repeat(_x, 0, "n"), params=((0,),)), sum(_h, 1)),
    ),
    Improvement(
        "a product with copies",
        "a sum, or a product with a vector, instead of a product of matrices",
        (matmul_op,),
        _product_with_repeated,
        (_A @ repeat(_x, 0, "k"), repeat(_x, 0, "k") @ _B, _A @ repeat(_z, 1, "n"), repeat(_z, 0, "m") @ _B),
    ),
    Improvement(
        "an outer product with copies",
        "broadcasting makes the matrix",
        (outer_op,),
        _outer_with_repeated,
        (outer(_w, repeat(_x, 0, "n")), outer(repeat(_x, 0, "m"), _v)),
    ),
    Improvement(
        "a transposed repetition",
        "repeated along the other axis",
        (transpose_op,),
        _transposed_repetition,
        (_b.T, _h.T, transpose_op(repeat(_x, (0, 1), ("m", "n")))),
    ),
    Improvement(
        "a squeezed repetition",
        "the axis comes and goes",
        (squeeze_op,),
        _squeezed_repetition,
        (squeeze_op(repeat(_v, 1, 1), params=((1,),)),),
    ),
    Improvement(
        "the root of a number",
        "numbers stay Python's own, so that float32 arrays stay float32",
        (sqrt_op,),
        _root_of_number,
        (sqrt_op(_N),),
    ),
    SCALING,
    SOLVING,
)  # fmt: skip
