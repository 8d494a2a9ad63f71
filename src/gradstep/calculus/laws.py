"""Which equations may be used to tidy a line? The law book.

Every law is used from left to right and is tested for equal shape, equal value and definedness, and for a
weight that falls, so that tidying ends (tests/calculus/test_laws.py). A product is never distributed over a
sum: that would destroy the residual y − a, which is what the reader has understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from gradstep.calculus.array_laws import LAWS as ARRAY_LAWS
from gradstep.calculus.diagonal_laws import LAWS as DIAGONAL_LAWS
from gradstep.calculus.kronecker_laws import LAWS as KRONECKER_LAWS
from gradstep.calculus.matrix_laws import MATRIX_LAWS, orthogonal_law, symmetric_law
from gradstep.calculus.order_laws import LAWS as ORDER_LAWS
from gradstep.calculus.pieces import PIECES
from gradstep.calculus.power_laws import LAWS as POWER_LAWS
from gradstep.calculus.procedures import PROCEDURES, unscaled
from gradstep.calculus.pseudoinverse_laws import PSEUDOINVERSE_LAWS
from gradstep.calculus.rewriting import Book, Domain, Law
from gradstep.calculus.shortening import SHORTENING
from gradstep.calculus.shorter_chains import LAWS as SHORTER_CHAINS
from gradstep.calculus.shorter_parts import SHORTER_PARTS
from gradstep.calculus.wildcards import wildcard
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Shape, shape_text
from gradstep.operations.activations import sigmoid, tanh
from gradstep.operations.arithmetic import exp, negate, one_like, power_op, scale
from gradstep.operations.broadcasting import repeat, repeat_op, squeeze_op, sum_op
from gradstep.operations.convolutions import CONVOLUTIONS
from gradstep.operations.diagonals import diagonal_matrix_op, diagonal_op, trace_op
from gradstep.operations.hyperbolic import cosh, sinh
from gradstep.operations.kronecker import kron_op
from gradstep.operations.leaves import number
from gradstep.operations.permutations import permute_op, transpose_op
from gradstep.operations.pooling import PICKS, POOLS, max_pool_op, max_share_op
from gradstep.operations.products import matmul_op, outer, outer_op
from gradstep.operations.sums import sum

ARRAYS: tuple[Shape, ...] = (("m",), ("m", "n"))
STACKS: tuple[Shape, ...] = (*ARRAYS, ("k", "m", "n"))
EVERYWHERE: tuple[Shape, ...] = ((), *ARRAYS)
Form = tuple[Expr, Expr]


def law(
    name: str,
    why: str,
    letters: str,
    equation: Callable[..., Form],
    shapes: Iterable[Shape] = ARRAYS,
    quiet: bool = True,
    domain: Domain = "everywhere",
) -> Law:
    """An entrywise equation at each of the `shapes`: its `letters` are wildcards, all of one shape."""
    forms = tuple(equation(*(wildcard(letter, shape) for letter in letters)) for shape in shapes)
    return Law(name, why, forms, quiet, domain)


fraction = partial(law, domain="nonzero")

c, d = wildcard("c"), wildcard("d")
v, w = wildcard("v", ("m",)), wildcard("w", ("n",))
A, B = wildcard("A", ("m", "k")), wildcard("B", ("k", "n"))
M, W = wildcard("M", ("m", "n")), wildcard("W", ("n", "m"))


def copies(s: Expr, x: Expr) -> Expr:
    """The number `s` in every entry, in the shape of `x`."""
    return repeat(s, tuple(range(x.rank)), x.shape)


def zeros(x: Expr) -> Expr:
    """0 in every entry, in the shape of `x`."""
    return copies(number(0), x)


# -------------------------------------------------------------------------------------- nothing and one
# At rank 0 "numbers in front" gathers the factors, so the laws of products speak of arrays.

NEUTRAL = (
    law("adding zero", "x + 0 = x", "x", lambda x: (x + 0, x), EVERYWHERE),
    law("subtracting zero", "x − 0 = x", "x", lambda x: (x - 0, x), EVERYWHERE),
    law("subtracting from zero", "0 − x = −x", "x", lambda x: (0 - x, -x), EVERYWHERE),
    law("subtracting itself", "x − x = 0", "x", lambda x: (x - x, zeros(x)), EVERYWHERE),
    law("minus minus", "−(−x) = x", "x", lambda x: (negate(-x), x), EVERYWHERE),
    law("minus a difference", "−(x − y) = y − x", "xy", lambda x, y: (-(x - y), y - x), EVERYWHERE),
    law("multiplying by one", "1 ⊙ x = x", "x", lambda x: (x * one_like(x), x), STACKS),
    law("multiplying by one", "1 x = x", "x", lambda x: (1 * x, x)),
    law("multiplying by zero", "0 ⊙ x = 0", "x", lambda x: (x * zeros(x), zeros(x))),
    law("multiplying by zero", "0 x = 0", "x", lambda x: (0 * x, zeros(x))),
    law("a multiple of zero", "c 0 = 0", "x", lambda x: (c * zeros(x), zeros(x))),
    law("multiplying by minus one", "(−1) ⊙ x = −x", "x", lambda x: (x * -one_like(x), -x)),
    law("multiplying by minus one", "(−1) x = −x", "x", lambda x: (-1 * x, -x)),
    law("dividing by one", "x ⊘ 1 = x", "x", lambda x: (x / one_like(x), x)),
    fraction("zero divided", "0 ⊘ x = 0", "x", lambda x: (zeros(x) / x, zeros(x))),
    law("first power", "x¹ = x", "x", lambda x: (power_op(x, number(1)), x)),
)

# -------------------------------------------------------------------------------------- signs and numbers

FRONT = (
    law("the sign comes out", "(−x) ⊙ y = −(x ⊙ y)", "xy", lambda x, y: ((-x) * y, -(x * y))),
    fraction("the sign comes out", "(−x) ⊘ y = −(x ⊘ y)", "xy", lambda x, y: ((-x) / y, -(x / y))),
    fraction("the sign comes out", "x ⊘ (−y) = −(x ⊘ y)", "xy", lambda x, y: (x / (-y), -(x / y))),
    law("the sign joins the number", "c (−x) = (−c) x", "x", lambda x: (c * (-x), (-c) * x)),
    law("the sign joins the number", "−(c x) = (−c) x", "x", lambda x: (-(c * x), (-c) * x)),
    law("the sign joins the number", "−(s 𝟏) = (−s) 𝟏", "x", lambda x: (-copies(c, x), copies(-c, x))),
    law("numbers multiply", "c (d x) = (c d) x", "x", lambda x: (c * (d * x), (c * d) * x)),
    law("the number comes out", "(c x) ⊙ y = c (x ⊙ y)", "xy", lambda x, y: ((c * x) * y, c * (x * y))),
    fraction("the number comes out", "(c x) ⊘ y = c (x ⊘ y)", "xy", lambda x, y: ((c * x) / y, c * (x / y))),
    fraction(
        "the number comes out", "x ⊘ (c y) = (1/c)(x ⊘ y)", "xy", lambda x, y: (x / (c * y), 1 / c * (x / y))
    ),
    law("a repeated number scales", "(s 𝟏) ⊙ x = s x", "x", lambda x: (copies(c, x) * x, c * x), STACKS),
    law("a repeated number scales", "c (s 𝟏) = (c s) 𝟏", "x", lambda x: (c * copies(d, x), copies(c * d, x))),
    fraction(
        "a number under every entry", "x ⊘ (s 𝟏) = (1/s) x", "x", lambda x: (x / copies(c, x), 1 / c * x)
    ),
    law("common factor", "c x + c y = c (x + y)", "xy", lambda x, y: (c * x + c * y, c * (x + y))),
    law("common factor", "c x − c y = c (x − y)", "xy", lambda x, y: (c * x - c * y, c * (x - y))),
    law("common factor", "c x + c 𝟏 = c (x + 1)", "x", lambda x: (c * x + copies(c, x), c * (x + 1))),
    law("common factor", "c x − c 𝟏 = c (x − 1)", "x", lambda x: (c * x - copies(c, x), c * (x - 1))),
    law("common factor", "c 𝟏 − c x = c (1 − x)", "x", lambda x: (copies(c, x) - c * x, c * (1 - x))),
    law("common factor", "x ⊙ y + x ⊙ z = x ⊙ (y + z)", "xyz", lambda x, y, z: (x * y + x * z, x * (y + z))),
    law("common factor", "x ⊙ y − x ⊙ z = x ⊙ (y − z)", "xyz", lambda x, y, z: (x * y - x * z, x * (y - z))),
    law("equal factors", "x ⊙ x = x²", "x", lambda x: (x * x, x**2)),
)


LINEAR = (
    *(matmul_op, transpose_op, permute_op, outer_op, sum_op, repeat_op, squeeze_op),
    *(
        trace_op,
        diagonal_op,
        diagonal_matrix_op,
        kron_op,
        *CONVOLUTIONS,
        *POOLS - {max_pool_op, max_share_op},
    ),
)
IN_THE_FIRST = PICKS  # where the largest entries stand is no sum


def _linear() -> tuple[Law, ...]:
    """For each array operand of each product, sum and repetition: numbers and signs come out."""
    laws = []
    for op in LINEAR:
        numbers: list[Form] = []
        signs: list[Form] = []
        for params, shapes in op.example:
            operands = [wildcard("xyz"[i], shape) for i, shape in enumerate(shapes)]
            y = op(*operands, params=params)
            for i, operand in enumerate(operands):
                if operand.rank and not (i and op in IN_THE_FIRST):
                    before, after = operands[:i], operands[i + 1 :]
                    numbers.append((op(*before, c * operand, *after, params=params), scale(c, y)))
                    signs.append((op(*before, -operand, *after, params=params), -y))
        why = f"{op.name} is linear: a number may stand in front"
        if op is repeat_op:  # a repeated mean stays one: x − mean(x)
            examples = [left for left, _ in numbers]
            laws.append(Law("the number comes out", why, apply=unscaled, heads=(op,), examples=examples.copy))
        else:
            laws.append(Law("the number comes out", why, tuple(numbers)))
        laws.append(
            Law("the sign comes out", f"{op.name} is linear: a sign may stand in front", tuple(signs))
        )
    return tuple(laws)


# -------------------------------------------------------------------------------------- cancelling

CANCELLING = (
    fraction(
        "times one over",
        "x ⊙ (1 ⊘ v) 𝟏ᵀ = x ⊘ v 𝟏ᵀ",
        "x",
        lambda x: (x * repeat(1 / w, 0, "m"), x / repeat(w, 0, "m")),
        (("m", "n"),),
    ),
    fraction(
        "times one over",
        "x ⊙ (1 ⊘ v) 𝟏ᵀ = x ⊘ v 𝟏ᵀ",
        "x",
        lambda x: (x * repeat(1 / v, 1, "n"), x / repeat(v, 1, "n")),
        (("m", "n"),),
    ),
    fraction("times one over", "x ⊙ (1 ⊘ y) = x ⊘ y", "xy", lambda x, y: (x * (1 / y), x / y)),
    fraction(
        "times a number over",
        "x ⊙ (s 𝟏 ⊘ y) = s (x ⊘ y)",
        "xy",
        lambda x, y: (x * (copies(c, x) / y), c * (x / y)),
    ),
    fraction(
        "clearing the denominators",
        "(x ⊘ s − y ⊘ t) ⊙ (s ⊙ t) = x ⊙ t − y ⊙ s",
        "xyst",
        lambda x, y, s, t: ((x / s - y / t) * (s * t), x * t - y * s),
        EVERYWHERE,
        quiet=False,
    ),
    fraction(
        "clearing the denominators",
        "(x ⊘ s + y ⊘ t) ⊙ (s ⊙ t) = x ⊙ t + y ⊙ s",
        "xyst",
        lambda x, y, s, t: ((x / s + y / t) * (s * t), x * t + y * s),
        EVERYWHERE,
        quiet=False,
    ),
    law(
        "the mixed products cancel",
        "x ⊙ (1 − y) − (1 − x) ⊙ y = x − y",
        "xy",
        lambda x, y: (x * (1 - y) - (1 - x) * y, x - y),
        EVERYWHERE,
        quiet=False,
    ),
    law(
        "the mixed products cancel",
        "x ⊙ (1 − y) + (x − 1) ⊙ y = x − y",
        "xy",
        lambda x, y: (x * (1 - y) + (x - 1) * y, x - y),
        EVERYWHERE,
        quiet=False,
    ),
    law(
        "the mixed products cancel",
        "(1 − x) ⊙ y − x ⊙ (1 − y) = y − x",
        "xy",
        lambda x, y: ((1 - x) * y - x * (1 - y), y - x),
        EVERYWHERE,
        quiet=False,
    ),
)

# -------------------------------------------------------------------------------------- the logistic curve

LOGISTIC = (
    law(
        "the logistic curve",
        "eˣ ⊘ (1 + eˣ) = σ(x)",
        "x",
        lambda x: (exp(x) / (1 + exp(x)), sigmoid(x)),
        EVERYWHERE,
        quiet=False,
    ),
    law(
        "symmetry of σ",
        "(1 − y) ⊙ σ(x) − y ⊙ σ(−x) = σ(x) − y, because σ(−x) = 1 − σ(x)",
        "xy",
        lambda x, y: ((1 - y) * sigmoid(x) - y * sigmoid(-x), sigmoid(x) - y),
        EVERYWHERE,
        quiet=False,
    ),
)

HYPERBOLIC = (
    law(
        "the hyperbolic tangent",
        "sinh x ⊘ cosh x = tanh x",
        "x",
        lambda x: (sinh(x) / cosh(x), tanh(x)),
        EVERYWHERE,
        quiet=False,
    ),
)

# -------------------------------------------------------------------------------------- products of arrays

PRODUCTS = (
    Law("transposed product", "(AB)ᵀ = BᵀAᵀ", (((A @ B).T, B.T @ A.T),)),
    Law("transposed outer product", "(a bᵀ)ᵀ = b aᵀ", ((outer(v, w).T, outer(w, v)),)),
    Law(
        "transposed repetition",
        "(𝟏 vᵀ)ᵀ = v 𝟏ᵀ",
        (
            (repeat(v, 0, "n").T, repeat(v, 1, "n")),
            (repeat(v, 1, "n").T, repeat(v, 0, "n")),
            (copies(c, M).T, copies(c, W)),
        ),
    ),
    Law(
        "repeated twice",
        "repeating what is repeated is one repetition",
        tuple(
            (repeat_op(repeat(c, 0, size), params=((axis,), (other,))), copies(c, M))
            for axis, size, other in ((1, "m", "n"), (0, "n", "m"))
        ),
    ),
    Law(
        "sum of a transpose",
        "the row sums of Aᵀ are the column sums of A",
        ((sum(M.T, 1), sum(M, 0)), (sum(M.T, 0), sum(M, 1)), (sum(M.T), sum(M))),
    ),
    Law(
        "what is the same in the whole sum",
        "Σⱼ xᵢⱼ vᵢ = vᵢ Σⱼ xᵢⱼ: a factor that the sum does not run over comes out",
        (
            (sum(M * repeat(v, 1, "n"), 1), sum(M, 1) * v),
            (sum(M * repeat(w, 0, "m"), 0), sum(M, 0) * w),
            (sum(M / repeat(v, 1, "n"), 1), sum(M, 1) / v),
            (sum(M / repeat(w, 0, "m"), 0), sum(M, 0) / w),
        ),
        domain="nonzero",
    ),
    Law(
        "power of copies",
        "(v 𝟏ᵀ)ⁿ = vⁿ 𝟏ᵀ",
        (
            (repeat(v, 1, "n") ** c, repeat(v**c, 1, "n")),
            (repeat(w, 0, "m") ** c, repeat(w**c, 0, "m")),
        ),
        domain="positive",
    ),
    Law("transposed twice", "(Aᵀ)ᵀ = A", ((transpose_op(M.T), M),)),
    Law("a vector on the left", "x Mᵀ is M x", ((v @ W.T, W @ v),)),
)

LAWS: tuple[Law, ...] = (
    *NEUTRAL,
    *PROCEDURES,
    *FRONT,
    *_linear(),
    *CANCELLING,
    *LOGISTIC,
    *HYPERBOLIC,
    *PRODUCTS,
    *DIAGONAL_LAWS,
    *ARRAY_LAWS,
    *MATRIX_LAWS,
    *PSEUDOINVERSE_LAWS,
    *KRONECKER_LAWS,
    *POWER_LAWS,
    *ORDER_LAWS,
    *SHORTENING,
    *SHORTER_PARTS,
    *SHORTER_CHAINS,
    *PIECES,
)
BOOK = Book(LAWS)


# ------------------------------------------------------------------------------------- the user's assumptions

SYMMETRIC = frozenset({"symmetric", "symmetric positive definite", "symmetric toeplitz", "diagonal"})
Facts = Sequence[tuple[Expr, str]]


def book_with(facts: Facts) -> Book:
    """The law book, and before it the laws that follow from these facts about variables."""
    if not facts:
        return BOOK
    symmetric = [variable for variable, fact in facts if fact in SYMMETRIC]
    names = " and ".join(str(variable.params[0]) for variable in symmetric)
    together = symmetric_law(
        "transpose of a symmetric matrix",
        "sums, inverses and products Aᵀ S A of symmetric matrices are symmetric, and "
        f"{names} {'are' if len(symmetric) > 1 else 'is'} (your assumption)",
        symmetric,
        quiet=False,
    )
    own = [law for variable, fact in facts for law in assumed(variable, fact)]
    return Book((*own, *([together] if symmetric else []), *LAWS))


def assumed(variable: Expr, fact: str) -> tuple[Law, ...]:
    """The laws that follow from a fact about a variable: "rows sum to one", "symmetric", "orthogonal" …"""
    name = variable.params[0]
    if fact == "rows sum to one":
        if variable.rank == 0:
            raise MathError(f"{name} is a number and has no rows", mend=f'no "rows sum to one" for {name}')
        total = sum(variable, variable.rank - 1)
        said = f"each row of {name} sums to one" if variable.rank > 1 else f"the entries of {name} sum to one"
        return (Law(said, "your assumption", ((total, one_like(total)),), quiet=False),)
    if fact == "positive":
        return ()
    if fact == "orthogonal" and variable.rank == 2 and variable.shape[0] == variable.shape[1]:
        return (orthogonal_law(variable),)
    if variable.rank != 2 or variable.shape[0] != variable.shape[1]:
        raise MathError(f"{name} is {shape_text(variable.shape)}: only a square matrix can be {fact}")
    if fact in SYMMETRIC:
        x = wildcard("x", variable.shape[:1])
        forms = ((transpose_op(variable), variable), (matmul_op(x, variable), matmul_op(variable, x)))
        return (Law(f"{name} is symmetric", "your assumption", forms, quiet=False),)
    return ()
