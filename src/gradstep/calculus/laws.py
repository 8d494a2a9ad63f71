"""Which equations may be used to tidy a line? The law book.

Every law is used from left to right, makes its side lighter (`weight`), and is tested for equal shape, equal
value and definedness. A product is never distributed over a sum: that would destroy the residual y − a, which
is what the reader has understood.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Container, Iterable
from fractions import Fraction
from functools import reduce

from gradstep.calculus.rewriting import Book, Law, wildcard
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Shape, shape_text
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    multiply_op,
    negate_op,
    one_like,
    power,
    power_op,
    scale,
    scale_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat, repeat_op, squeeze_op, sum_op
from gradstep.operations.families import is_one
from gradstep.operations.leaves import is_constant, number, size, size_op, value_of
from gradstep.operations.products import matmul_op, outer_op, transpose_op
from gradstep.operations.sums import count, norm, sum

SHAPES: tuple[Shape, ...] = ((), ("m",), ("m", "n"))
ARRAYS = SHAPES[1:]
Form = tuple[Expr, Expr]


def at_every_rank(
    equation: Callable[..., tuple[Expr, Expr]], letters: str, shapes: Iterable[Shape] = SHAPES
) -> tuple[Form, ...]:
    """The equation for numbers, vectors and matrices: `letters` are wildcards of one shape."""
    return tuple(equation(*(wildcard(letter, shape) for letter in letters)) for shape in shapes)


c, d = wildcard("c"), wildcard("d")
k = wildcard("k", (), "constant")
v, w = wildcard("v", ("m",)), wildcard("w", ("n",))
A, B = wildcard("A", ("m", "k")), wildcard("B", ("k", "n"))
M = wildcard("M", ("m", "n"))


def zeros(x: Expr) -> Expr:
    """0 in every entry, in the shape of `x`."""
    return number(0) if not x.rank else repeat(number(0), tuple(range(x.rank)), x.shape)


# ------------------------------------------------------------------------------------------- nothing and one

NEUTRAL = (
    Law("adding zero", "x + 0 = x", at_every_rank(lambda x: (add_op(x, zeros(x)), x), "x")),
    Law("subtracting zero", "x − 0 = x", at_every_rank(lambda x: (subtract_op(x, zeros(x)), x), "x")),
    Law("subtracting from zero", "0 − x = −x", at_every_rank(lambda x: (subtract_op(zeros(x), x), -x), "x")),
    Law("subtracting itself", "x − x = 0", at_every_rank(lambda x: (subtract_op(x, x), zeros(x)), "x")),
    Law("multiplying by one", "1 ⊙ x = x", at_every_rank(lambda x: (multiply_op(x, one_like(x)), x), "x")),
    Law("multiplying by one", "1 x = x", at_every_rank(lambda x: (scale_op(number(1), x), x), "x", ARRAYS)),
    Law(
        "multiplying by zero", "0 ⊙ x = 0", at_every_rank(lambda x: (multiply_op(x, zeros(x)), zeros(x)), "x")
    ),
    Law(
        "multiplying by zero",
        "0 x = 0",
        at_every_rank(lambda x: (scale_op(number(0), x), zeros(x)), "x", ARRAYS),
    ),
    Law(
        "a multiple of zero",
        "c 0 = 0",
        at_every_rank(lambda x: (scale_op(c, zeros(x)), zeros(x)), "x", ARRAYS),
    ),
    Law(
        "multiplying by minus one",
        "(−1) ⊙ x = −x",
        at_every_rank(lambda x: (multiply_op(x, -one_like(x)), negate_op(x)), "x"),
    ),
    Law(
        "multiplying by minus one",
        "(−1) x = −x",
        at_every_rank(lambda x: (scale_op(number(-1), x), negate_op(x)), "x", ARRAYS),
    ),
    Law("dividing by one", "x ⊘ 1 = x", at_every_rank(lambda x: (divide_op(x, one_like(x)), x), "x")),
    Law(
        "zero divided",
        "0 ⊘ x = 0",
        at_every_rank(lambda x: (divide_op(zeros(x), x), zeros(x)), "x"),
        domain="nonzero",
    ),
    Law("minus minus", "−(−x) = x", at_every_rank(lambda x: (negate_op(negate_op(x)), x), "x")),
    Law("first power", "x¹ = x", at_every_rank(lambda x: (power_op(x, number(1)), x), "x")),
)

# ------------------------------------------------------------------------------------------- signs and numbers

SIGNS = (
    Law(
        "adding a negative",
        "x + (−y) = x − y",
        at_every_rank(lambda x, y: (add_op(x, negate_op(y)), subtract_op(x, y)), "xy"),
    ),
    Law(
        "subtracting a negative",
        "x − (−y) = x + y",
        at_every_rank(lambda x, y: (subtract_op(x, negate_op(y)), add_op(x, y)), "xy"),
    ),
    Law(
        "a negative first term",
        "−x − y = −(x + y)",
        at_every_rank(lambda x, y: (subtract_op(negate_op(x), y), negate_op(add_op(x, y))), "xy"),
    ),
    Law(
        "minus a difference",
        "−(x − y) = y − x",
        at_every_rank(lambda x, y: (negate_op(subtract_op(x, y)), subtract_op(y, x)), "xy"),
    ),
    Law(
        "the sign comes out",
        "(−x) ⊙ y = −(x ⊙ y)",
        at_every_rank(lambda x, y: (multiply_op(negate_op(x), y), negate_op(multiply_op(x, y))), "xy"),
    ),
    Law(
        "the sign comes out",
        "(−x) ⊘ y = −(x ⊘ y)",
        at_every_rank(lambda x, y: (divide_op(negate_op(x), y), negate_op(divide_op(x, y))), "xy"),
        domain="nonzero",
    ),
    Law(
        "the sign joins the number",
        "c (−x) = (−c) x",
        at_every_rank(lambda x: (scale_op(k, negate_op(x)), scale_op(negate_op(k), x)), "x", ARRAYS),
    ),
    Law(
        "the sign joins the number",
        "−(c x) = (−c) x",
        at_every_rank(lambda x: (negate_op(scale_op(k, x)), scale_op(negate_op(k), x)), "x", ARRAYS),
    ),
    Law(
        "numbers multiply",
        "c (d x) = (c d) x",
        at_every_rank(lambda x: (scale_op(c, scale_op(d, x)), scale_op(multiply_op(c, d), x)), "x", ARRAYS),
    ),
    Law(
        "the number comes out",
        "(c x) ⊙ y = c (x ⊙ y)",
        at_every_rank(
            lambda x, y: (multiply_op(scale_op(c, x), y), scale_op(c, multiply_op(x, y))), "xy", ARRAYS
        ),
    ),
    Law(
        "the number comes out",
        "(c x) ⊘ y = c (x ⊘ y)",
        at_every_rank(
            lambda x, y: (divide_op(scale_op(c, x), y), scale_op(c, divide_op(x, y))), "xy", ARRAYS
        ),
        domain="nonzero",
    ),
    Law(
        "common factor",
        "c x + c y = c (x + y)",
        at_every_rank(
            lambda x, y: (add_op(scale_op(c, x), scale_op(c, y)), scale_op(c, add_op(x, y))), "xy", ARRAYS
        ),
    ),
    Law(
        "common factor",
        "c x − c y = c (x − y)",
        at_every_rank(
            lambda x, y: (subtract_op(scale_op(c, x), scale_op(c, y)), scale_op(c, subtract_op(x, y))),
            "xy",
            ARRAYS,
        ),
    ),
    Law(
        "the sign joins the number",
        "−(s 𝟏) = (−s) 𝟏",
        tuple(
            (
                negate_op(repeat(c, tuple(range(len(shape))), shape)),
                repeat(-c, tuple(range(len(shape))), shape),
            )
            for shape in ARRAYS
        ),
    ),
    Law(
        "common factor",
        "x ⊙ y − x ⊙ z = x ⊙ (y − z)",
        at_every_rank(
            lambda x, y, z: (
                subtract_op(multiply_op(x, y), multiply_op(x, z)),
                multiply_op(x, subtract_op(y, z)),
            ),
            "xyz",
            ARRAYS,
        ),
    ),
    Law("equal terms", "x + x = 2 x", at_every_rank(lambda x: (add_op(x, x), 2 * x), "x")),
    Law(
        "a repeated number scales",
        "(s 𝟏) ⊙ x = s x",
        tuple(
            (
                multiply_op(repeat(c, tuple(range(len(shape))), shape), wildcard("x", shape)),
                scale(c, wildcard("x", shape)),
            )
            for shape in ARRAYS
        ),
    ),
    Law(
        "a number over every entry",
        "x ⊘ (s 𝟏) = (1/s) x",
        tuple(
            (
                divide_op(wildcard("x", shape), repeat(c, tuple(range(len(shape))), shape)),
                scale(divide_op(number(1), c), wildcard("x", shape)),
            )
            for shape in ARRAYS
        ),
        domain="nonzero",
    ),
)


def _generated() -> tuple[Law, ...]:
    """For each array operand of each product, sum and repetition: numbers and signs come out."""
    laws = []
    for op in (matmul_op, transpose_op, outer_op, sum_op, repeat_op, squeeze_op):
        numbers: list[Form] = []
        signs: list[Form] = []
        for params, shapes in op.example:
            operands = [wildcard("xyz"[i], shape) for i, shape in enumerate(shapes)]
            for i, operand in enumerate(operands):
                if not operand.rank:
                    continue
                y = op(*operands, params=params)
                scaled = [*operands[:i], scale_op(c, operand), *operands[i + 1 :]]
                signed = [*operands[:i], negate_op(operand), *operands[i + 1 :]]
                numbers.append((op(*scaled, params=params), scale(c, y)))
                signs.append((op(*signed, params=params), negate_op(y)))
        laws.append(
            Law("the number comes out", f"{op.name} is linear: a number may stand in front", tuple(numbers))
        )
        laws.append(
            Law("the sign comes out", f"{op.name} is linear: a sign may stand in front", tuple(signs))
        )
    return tuple(laws)


# ------------------------------------------------------------------------------------------- numbers and sizes


def monomial(
    expr: Expr, fences: Container[Expr] = ()
) -> tuple[Fraction, list[Expr], list[Expr], list[Expr], list[Expr]]:
    """A product of numbers, taken apart: rational, sizes above, sizes below, factors, divisors."""
    rational, sizes = Fraction(1), dict[Expr, int]()
    factors: list[Expr] = []
    divisors: list[Expr] = []
    stack = [(expr, 1)]
    while stack:
        node, sign = stack.pop()
        value = value_of(node)
        if value is not None and (value or sign > 0):
            rational *= value**sign
        elif node.op is size_op:
            sizes[node] = sizes.get(node, 0) + sign
        elif node in fences:
            (factors if sign > 0 else divisors).append(node)
        elif node.op is multiply_op:
            stack += [(node.args[1], sign), (node.args[0], sign)]
        elif node.op is divide_op:
            stack += [(node.args[1], -sign), (node.args[0], sign)]
        elif node.op is negate_op:
            rational = -rational
            stack.append((node.args[0], sign))
        else:
            (factors if sign > 0 else divisors).append(node)
    for factor in [f for f in factors if f in divisors]:  # s/s = 1, defined where s/s was
        if factor in divisors:
            factors.remove(factor)
            divisors.remove(factor)
    above = [s for s, e in sizes.items() for _ in range(e)]
    below = [s for s, e in sizes.items() for _ in range(-e)]
    return rational, above, below, factors, divisors


def product(rational: Fraction | int, *factors: Expr) -> Expr:
    """The number times the factors, from left to right; a factor of one is not written."""
    parts = [*([number(rational)] if rational != 1 else []), *factors]
    return reduce(multiply_op, parts) if parts else number(1)


def gathered(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """One number in front of a product: 1/N · (2 · x) = 2/N x."""
    if expr.rank or expr in fences:
        return None
    rational, above, below, factors, divisors = monomial(expr, fences)
    top, bottom = rational.numerator, rational.denominator
    if top == 0:
        return number(0)
    negative = top == -1 and bool(above or factors)
    top = 1 if negative else top
    if divisors:
        made = divide_op(product(top, *above, *factors), product(bottom, *below, *divisors))
    else:
        front = (
            divide_op(product(top, *above), product(bottom, *below))
            if below
            else product(Fraction(top, bottom), *above)
        )
        made = (
            front
            if not factors
            else product(1, front, *factors)
            if front is not number(1)
            else product(1, *factors)
        )
    return negate_op(made) if negative else made


def _below_zero(factor: Expr) -> bool:
    """Whether a number in front begins with a minus."""
    return is_constant(factor) and monomial(factor)[0] < 0


def negative_factor(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """A minus in front of a number moves to where it reads best: x + (−c) y = x − c y, (−c)(x − y) = c (y − x)."""
    if expr.op is scale_op:
        factor, body = expr.args
        if body.op is subtract_op and body not in fences and not is_one(body.args[0]) and _below_zero(factor):
            return scale_op(-factor, subtract_op(*body.args[::-1]))
        return None
    left, right = expr.args
    if right.op is scale_op and right not in fences and _below_zero(right.args[0]):
        other = subtract_op if expr.op is add_op else add_op
        return other(left, scale_op(-right.args[0], right.args[1]))
    if expr.op is add_op and left.op is scale_op and left not in fences and _below_zero(left.args[0]):
        return subtract_op(right, scale_op(-left.args[0], left.args[1]))
    return None


def counted(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """The sum of a repeated number is the number times how often: Σ s = n s."""
    body, axes = expr.args[0], expr.params[0]
    if body.op is not repeat_op or body in fences or set(body.params[0]) != set(axes):
        return None
    return scale(count([body.shape[a] for a in axes]), body.args[0])


def ones_multiplied(expr: Expr, fences: Container[Expr]) -> Expr | None:
    """A product with 𝟏 is a sum, or a repetition: G 𝟏 are the row sums of G, a 𝟏ᵀ repeats a in each column."""
    a, b = expr.args
    for ones, other, axis in ((b, a, a.rank - 1), (a, b, 0)):
        if ones.op is not repeat_op or ones in fences or ones.rank != 1 or value_of(ones.args[0]) != 1:
            continue
        if expr.op is outer_op:
            return repeat(other, 1 if ones is b else 0, ones.shape[0])
        return sum(other, axis)
    return None


def _examples() -> dict[str, tuple[Expr, ...]]:
    N, x, y = size("N"), wildcard("x", ("m",)), wildcard("y", ("m",))
    minus = divide_op(number(-2), N)
    return {
        "numbers": (
            multiply_op(divide_op(number(1), N), number(2)),
            negate_op(divide_op(number(2), N)),
            multiply_op(c, multiply_op(number(3), d)),
            divide_op(number(1), divide_op(N, number(2))),
            multiply_op(N, divide_op(number(1), N)),
            multiply_op(number(2), divide_op(c, multiply_op(number(4), d))),
            divide_op(multiply_op(number(2), c), c),
        ),
        "signs": (
            scale_op(minus, subtract_op(x, y)),
            add_op(x, scale_op(minus, y)),
            add_op(scale_op(minus, x), y),
            subtract_op(x, scale_op(minus, y)),
        ),
        "counts": (sum_op(repeat(c, 0, "m"), params=((0,),)), sum_op(repeat(v, 1, "n"), params=((1,),))),
        "ones": (
            matmul_op(M, repeat(number(1), 0, "n")),
            matmul_op(repeat(number(1), 0, "m"), v),
            outer_op(v, repeat(number(1), 0, "n")),
            outer_op(repeat(number(1), 0, "n"), v),
        ),
    }


_EXAMPLES = _examples()
PROCEDURES = (
    Law(
        "numbers in front",
        "numbers and sizes are gathered in one fraction in front",
        apply=gathered,
        heads=(multiply_op, divide_op, negate_op),
        examples=_EXAMPLES["numbers"],
        domain="nonzero",
    ),
    Law(
        "the sign where it reads best",
        "a negative number in front of a difference turns it round; a negative term is subtracted",
        apply=negative_factor,
        heads=(scale_op, add_op, subtract_op),
        examples=_EXAMPLES["signs"],
    ),
    Law(
        "sum of a repeated number",
        "the sum of n copies of s is n s",
        apply=counted,
        heads=(sum_op,),
        examples=_EXAMPLES["counts"],
    ),
    Law(
        "product with ones",
        "G 𝟏 are the row sums of G, and a 𝟏ᵀ repeats a in every column",
        apply=ones_multiplied,
        heads=(matmul_op, outer_op),
        examples=_EXAMPLES["ones"],
    ),
)

# ------------------------------------------------------------------------------------------- cancelling

CANCELLING = (
    Law(
        "divide, then multiply back",
        "(x ⊘ y) ⊙ y = x: the denominators cancel entry by entry",
        at_every_rank(lambda x, y: (multiply_op(divide_op(x, y), y), x), "xy"),
        domain="nonzero",
    ),
    Law(
        "divide, then multiply back",
        "(x ⊘ y) ⊙ (y ⊙ z) = x ⊙ z: the denominators cancel entry by entry",
        at_every_rank(
            lambda x, y, z: (multiply_op(divide_op(x, y), multiply_op(y, z)), multiply_op(x, z)), "xyz"
        ),
        domain="nonzero",
    ),
    Law(
        "times one over",
        "x ⊙ (1 ⊘ y) = x ⊘ y",
        at_every_rank(
            lambda x, y: (multiply_op(x, divide_op(one_like(y), y)), divide_op(x, y)), "xy", ARRAYS
        ),
        domain="nonzero",
    ),
    Law(
        "dividing by itself",
        "x ⊘ x = 1",
        at_every_rank(lambda x: (divide_op(x, x), one_like(x)), "x"),
        domain="nonzero",
    ),
    Law(
        "clearing the denominators",
        "(x ⊘ s − y ⊘ t) ⊙ (s ⊙ t) = x ⊙ t − y ⊙ s",
        at_every_rank(
            lambda x, y, s, t: (
                multiply_op(subtract_op(divide_op(x, s), divide_op(y, t)), multiply_op(s, t)),
                subtract_op(multiply_op(x, t), multiply_op(y, s)),
            ),
            "xyst",
        ),
        quiet=False,
        domain="nonzero",
    ),
    Law(
        "the mixed products cancel",
        "x ⊙ (1 − y) − (1 − x) ⊙ y = x − y",
        at_every_rank(
            lambda x, y: (
                subtract_op(
                    multiply_op(x, subtract_op(one_like(x), y)), multiply_op(subtract_op(one_like(x), x), y)
                ),
                subtract_op(x, y),
            ),
            "xy",
        ),
        quiet=False,
    ),
    Law(
        "square of a norm",
        "‖x‖² = Σ x²",
        tuple(
            (power_op(norm(wildcard("x", shape)), number(2)), sum(power(wildcard("x", shape), 2)))
            for shape in ARRAYS
        ),
    ),
)

# ------------------------------------------------------------------------------------------- products of arrays

PRODUCTS = (
    Law(
        "transposed product",
        "(AB)ᵀ = BᵀAᵀ",
        ((transpose_op(matmul_op(A, B)), matmul_op(transpose_op(B), transpose_op(A))),),
    ),
    Law("transposed outer product", "(a bᵀ)ᵀ = b aᵀ", ((transpose_op(outer_op(v, w)), outer_op(w, v)),)),
    Law(
        "transposed repetition",
        "(𝟏 vᵀ)ᵀ = v 𝟏ᵀ",
        (
            (transpose_op(repeat_op(v, params=((0,), ("n",)))), repeat_op(v, params=((1,), ("n",)))),
            (transpose_op(repeat_op(v, params=((1,), ("n",)))), repeat_op(v, params=((0,), ("n",)))),
        ),
    ),
    Law(
        "repeated twice",
        "repeating what is repeated is one repetition",
        tuple(
            (
                repeat_op(repeat_op(c, params=((0,), (a,))), params=((axis,), (b,))),
                repeat_op(c, params=((0, 1), ("m", "n"))),
            )
            for axis, a, b in ((1, "m", "n"), (0, "n", "m"))
        ),
    ),
    Law("transposed twice", "(Aᵀ)ᵀ = A", ((transpose_op(transpose_op(M)), M),)),
    Law(
        "a vector on the left",
        "Aᵀ x is x @ A",
        ((matmul_op(v, transpose_op(wildcard("M", ("n", "m")))), matmul_op(wildcard("M", ("n", "m")), v)),),
    ),
)

LAWS: tuple[Law, ...] = (*NEUTRAL, *PROCEDURES, *SIGNS, *_generated(), *CANCELLING, *PRODUCTS)
BOOK = Book(LAWS)


# ------------------------------------------------------------------------------------------- what the user assumes


def assumed(variable: Expr, fact: str) -> tuple[Law, ...]:
    """The laws that follow from a fact about a variable: "rows sum to one", "symmetric", "orthogonal" …"""
    name = variable.params[0]
    if fact == "rows sum to one":
        if variable.rank == 0:
            raise MathError(f"{name} is a number and has no rows", mend=f'no "rows sum to one" for {name}')
        return (
            Law(
                f"each row of {name} sums to one"
                if variable.rank > 1
                else f"the entries of {name} sum to one",
                "your assumption",
                ((sum(variable, variable.rank - 1), one_like(sum(variable, variable.rank - 1))),),
                quiet=False,
            ),
        )
    if variable.rank != 2 or variable.shape[0] != variable.shape[1]:
        if fact == "positive":
            return ()
        raise MathError(f"{name} is {shape_text(variable.shape)}: only a square matrix can be {fact}")
    if fact in ("symmetric", "symmetric positive definite", "diagonal"):
        return (
            Law(
                f"{name} is symmetric", "your assumption", ((transpose_op(variable), variable),), quiet=False
            ),
        )
    return ()


def weight(expr: Expr) -> int:
    """What the laws make lighter: numbers and signs far in front, transposes far inside, few symbols."""
    done: dict[Expr, int] = {}
    for node in walk(expr):
        w = [done[arg] for arg in node.args]
        match node.op.name:
            case "multiply" | "matmul" | "outer" | "divide":
                done[node] = 2 * w[0] * w[1] + 2
            case "scale":
                done[node] = w[0] + w[1] + 1
            case "negate":
                done[node] = w[0] + 1
            case "transpose":
                done[node] = 3 * w[0] + 1
            case "sum" | "repeat" | "squeeze":
                done[node] = 2 * w[0] + 2
            case "power":
                done[node] = w[0] * w[0] * 4 + w[1]
            case _:
                done[node] = 2 + 2 * builtins.sum(w)
    return done[expr]
