"""What do + − ⊙ ⊘, powers, exp, log, √, inverses and comparisons do to values and changes in a prime field?

Two tables, by operation: `VALUES` gives the value from those of the operands, `MOVES` the change from the
values and the changes of the operands (None: it stands still). They are written from calculus, not read from
the operations, which they check.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product as every
from math import floor
from operator import mul
from typing import TYPE_CHECKING, Any

from gradstep.calculus.arrays import ENTRIES_MOVES, ENTRIES_VALUES, MOVING_ENTRIES, PICKING
from gradstep.calculus.contractions import Array
from gradstep.calculus.elimination import multiplied, trace_of_product, turned
from gradstep.calculus.elimination import product as matrix_product
from gradstep.expression.node import Expr, Operation
from gradstep.operations.activations import maximum_op, minimum_op, relu_op, sign_op, sqrt_op
from gradstep.operations.arithmetic import (
    add_op,
    divide_op,
    equal_op,
    exp_op,
    greater_equal_op,
    greater_op,
    log_op,
    multiply_op,
    negate_op,
    not_equal_op,
    power_op,
    subtract_op,
)
from gradstep.operations.choices import where_op
from gradstep.operations.cumulative import prod_op
from gradstep.operations.inverses import det_op, inv_op
from gradstep.operations.leaves import eye_op, number_op, pi_op, size_op, symbol_op, value_of
from gradstep.operations.norms import norm_op, unit_op
from gradstep.operations.precise import erf_op
from gradstep.operations.pseudoinverses import pinv_op
from gradstep.operations.toeplitz import diagonal_sums_op
from gradstep.operations.trigonometry import arccos_op, arcsin_op, arctan_op, cos_op, sin_op

if TYPE_CHECKING:
    from gradstep.calculus.field import Point

Args = Sequence[Array]
Changes = Sequence[Array | None]

# Exact in the field: with these and the index strings alone, a comparison that fails is wrong beyond doubt.
RATIONAL = frozenset({add_op, subtract_op, negate_op, multiply_op, divide_op, prod_op}) | MOVING_ENTRIES
# Piecewise constant: they do not move with their operands.
STANDING_STILL = frozenset({sign_op, greater_op, greater_equal_op, equal_op, not_equal_op}) | PICKING


def _symbol(point: Point, node: Expr) -> Array:
    """Random entries that keep what is assumed of the variable."""
    words: tuple[str, ...] = node.params[2]
    p, values = point.prime, list(point.draw(node.shape))
    if not words:
        return values
    n = point.dims(node.shape)[-1] if node.rank else 1
    for word in words:
        if word in ("positive", "symmetric positive definite"):
            values = [x * x % p for x in values]  # has a square root
        if word.startswith("symmetric"):
            values = [values[min(k // n, k % n) * n + max(k // n, k % n)] for k in range(len(values))]
        if word.endswith("toeplitz"):
            values = [values[max(j - i, 0) + n * max(i - j, 0)] for i in range(n) for j in range(n)]
        if word in FILLED:
            values = [x if FILLED[word](k // n, k % n) else 0 for k, x in enumerate(values)]
        if word == "orthogonal":
            values = _orthogonal(point, values, n)
        if word == "rows sum to one":
            for k in range(0, len(values), n):
                values[k + n - 1] = (1 - sum(values[k : k + n - 1])) % p
    return values


# Which entries of a structured matrix may be other than zero.
FILLED: dict[str, Callable[[int, int], bool]] = {
    "diagonal": operator.eq,
    "lower triangular": operator.ge,
    "upper triangular": operator.le,
}


def _orthogonal(point: Point, vectors: Sequence[int], n: int) -> list[int]:
    """The product of n reflections, 1 − 2 v vᵀ/(vᵀv) each."""
    p = point.prime
    result = [*_identity(n)]
    for at in range(0, n * n, n):
        v = vectors[at : at + n]
        (scale,) = point.inverses([sum(map(mul, v, v)) % p])
        for row in range(0, n * n, n):
            old = result[row : row + n]
            along = 2 * scale * sum(map(mul, old, v)) % p
            result[row : row + n] = [(x - along * y) % p for x, y in zip(old, v, strict=True)]
    return result


def _number(point: Point, node: Expr) -> Array:
    value = node.params[0]
    assert isinstance(value, Fraction)
    return [point.fraction(value)]


def _add(point: Point, node: Expr, a: Array, b: Array) -> Array:
    p = point.prime
    return [(x + y) % p for x, y in zip(a, b, strict=True)]


def _subtract(point: Point, node: Expr, a: Array, b: Array) -> Array:
    p = point.prime
    return [(x - y) % p for x, y in zip(a, b, strict=True)]


def _negate(point: Point, node: Expr, a: Array) -> Array:
    p = point.prime
    return [-x % p for x in a]


def _multiply(point: Point, node: Expr, a: Array, b: Array) -> Array:
    p = point.prime
    return [x * y % p for x, y in zip(a, b, strict=True)]


def _divide(point: Point, node: Expr, a: Array, b: Array) -> Array:
    return _multiply(point, node, a, point.over(b))


def _power(point: Point, node: Expr, x: Array, n: Array) -> Array:
    p, exponent = point.prime, value_of(node.args[1])
    if exponent == 2:
        return _multiply(point, node, x, x)
    if exponent is None or exponent.denominator == 1:
        return [point.power(base, to) for base, to in zip(x, _each(n, x), strict=True)]
    if exponent.denominator == 2:
        return _whole_power(point, [point.root(base) for base in x], exponent.numerator)
    part = exponent - floor(exponent)
    front = _whole_power(point, x, floor(exponent))
    return [f * point.part_of_power(base, part) % p for f, base in zip(front, x, strict=True)]


def _each(n: Array, x: Array) -> Array:
    """An exponent for each base: one for all, or one each."""
    return n if len(n) == len(x) else [n[0]] * len(x)


def _whole_power(point: Point, x: Array, n: int) -> Array:
    if n < 0:
        x, n = point.inverses(x), -n
    return [point.raised(base, n) for base in x]


def _asked(node: Expr, point: Point, a: Array) -> Array:
    """An oracle for each entry."""
    return [point.oracle((node.op.name, x)) for x in a]


def _sign(point: Point, node: Expr, a: Array) -> Array:
    return [(2 * point.above(x) - 1) % point.prime if x else 0 for x in a]


def _relu(point: Point, node: Expr, a: Array) -> Array:
    p = point.prime
    return [x * point.above(x) % p for x in a]


def _greater(point: Point, node: Expr, a: Array, b: Array) -> Array:
    return [point.above((x - y) % point.prime) for x, y in zip(a, b, strict=True)]


def _greater_equal(point: Point, node: Expr, a: Array, b: Array) -> Array:
    return [1 if x == y else point.above((x - y) % point.prime) for x, y in zip(a, b, strict=True)]


def _inverse(point: Point, node: Expr, a: Array) -> Array:
    return point.inverse_matrix(a)[0]


def _determinant(point: Point, node: Expr, a: Array) -> Array:
    return [point.eliminated(a)[1]]


def _diagonal_sums(point: Point, node: Expr, a: Array) -> Array:
    p, n = point.prime, point.dims(node.shape)[-1]
    found: list[int] = []
    for at in range(0, len(a), n * n):
        along = {k: range(max(0, -k), min(n, n - k)) for k in range(1 - n, n)}
        sums = {k: sum(a[at + i * n + i + k] for i in rows) % p for k, rows in along.items()}
        found += [sums[j - i] for i in range(n) for j in range(n)]
    return found


def _pseudoinverse(point: Point, node: Expr, a: Array) -> Array:
    """(AᵀA)⁻¹Aᵀ of a matrix with at least as many rows as columns, its mirror image of another."""
    rows, columns = point.dims(node.args[0].shape)
    if rows < columns:
        return turned(_left_inverse(point, turned(a, columns), rows)[1], columns)
    return _left_inverse(point, a, columns)[1]


def _left_inverse(point: Point, a: Array, columns: int) -> tuple[Array, Array]:
    """(AᵀA)⁻¹ and (AᵀA)⁻¹Aᵀ, where the columns are independent."""
    p, t = point.prime, turned(a, columns)
    inverse = point.inverse_matrix(multiplied(p, t, a, len(a) // columns))[0]
    return inverse, multiplied(p, inverse, t, columns)


def _rows(point: Point, node: Expr, x: Array) -> list[list[int]]:
    """The places of the entries of `x` that make one vector each, for a norm or a direction."""
    lengths = point.dims(node.args[0].shape)
    axes = node.params[0] if node.params else range(len(lengths))
    rows: dict[tuple[int, ...], list[int]] = {}
    for at, place in enumerate(every(*map(range, lengths))):
        rows.setdefault(tuple([k for axis, k in enumerate(place) if axis not in axes]), []).append(at)
    return list(rows.values())


def _unit(point: Point, node: Expr, x: Array) -> Array:
    """x/‖x‖, and 0 where x is."""
    p, found = point.prime, [0] * len(x)
    for row in _rows(point, node, x):
        if any(x[k] for k in row):
            (over,) = point.inverses([point.root(sum([x[k] * x[k] for k in row]) % p)])
            for k in row:
                found[k] = x[k] * over % p
    return found


def _identity(n: int) -> Array:
    return [int(k // n == k % n) for k in range(n * n)]


def _where(point: Point, node: Expr, mask: Array, a: Array, b: Array) -> Array:
    return [(y + m * (x - y)) % point.prime for m, x, y in zip(mask, a, b, strict=True)]


VALUES: dict[Operation, Callable[..., Array]] = {
    **ENTRIES_VALUES,
    symbol_op: _symbol,
    number_op: _number,
    size_op: lambda point, node: [point.sizes[node.params[0]]],
    eye_op: lambda point, node: _identity(point.sizes[node.params[0]]),
    pi_op: lambda point, node: [point.pi()],
    add_op: _add,
    subtract_op: _subtract,
    negate_op: _negate,
    multiply_op: _multiply,
    divide_op: _divide,
    power_op: _power,
    exp_op: lambda point, node, a: point.exps(a),
    log_op: lambda point, node, a: [point.log(x) for x in a],
    sqrt_op: lambda point, node, a: [point.root(x) for x in a],
    sin_op: lambda point, node, a: [point.circle(x)[1] for x in a],
    cos_op: lambda point, node, a: [point.circle(x)[0] for x in a],
    arcsin_op: lambda point, node, a: _asked(node, point, a),
    arccos_op: lambda point, node, a: _asked(node, point, a),
    arctan_op: lambda point, node, a: _asked(node, point, a),
    erf_op: lambda point, node, a: _asked(node, point, a),
    inv_op: _inverse,
    det_op: _determinant,
    pinv_op: _pseudoinverse,
    unit_op: _unit,
    diagonal_sums_op: _diagonal_sums,
    sign_op: _sign,
    relu_op: _relu,
    greater_op: _greater,
    greater_equal_op: _greater_equal,
    equal_op: lambda point, node, a, b: [int(x == y) for x, y in zip(a, b, strict=True)],
    where_op: _where,
    not_equal_op: lambda point, node, a, b: [int(x != y) for x, y in zip(a, b, strict=True)],
}


def _move_add(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    da, db = dargs
    return da if db is None else db if da is None else _add(point, node, da, db)


def _move_subtract(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    da, db = dargs
    if db is None:
        return da
    return _negate(point, node, db) if da is None else _subtract(point, node, da, db)


def _move_negate(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    return None if dargs[0] is None else _negate(point, node, dargs[0])


def _move_multiply(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    (a, b), (da, db) = args, dargs
    left = None if da is None else _multiply(point, node, da, b)
    return _move_add(point, node, y, args, (left, None if db is None else _multiply(point, node, a, db)))


def _move_divide(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    (_, b), (da, db) = args, dargs
    top = _move_subtract(point, node, y, args, (da, None if db is None else _multiply(point, node, y, db)))
    return None if top is None else _divide(point, node, top, b)


def _move_power(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    """d(xⁿ) = n xⁿ/x dx + xⁿ log(x) dn; for half-integers by the root, for n > 0 without dividing by x."""
    (x, n), (dx, dn) = args, dargs
    exponent, changes = value_of(node.args[1]), []
    if exponent == 2 and dx is not None:
        p = point.prime
        return [2 * base * d % p for base, d in zip(x, dx, strict=True)]
    n = _each(n, x)
    if dx is not None:
        if exponent is not None and exponent.denominator == 1 and exponent > 0:
            slope: Array = [point.raised(base, exponent.numerator - 1) for base in x]
        elif exponent is not None and exponent.denominator == 2:
            slope = _whole_power(point, [point.root(base) for base in x], exponent.numerator - 2)
        else:
            slope = _divide(point, node, y, x)
        changes.append(_multiply(point, node, _multiply(point, node, n, slope), dx))
    if dn is not None:
        logs = [point.log(base) for base in x]
        changes.append(_multiply(point, node, _multiply(point, node, y, logs), _each(dn, x)))
    return changes[0] if len(changes) == 1 else _add(point, node, *changes)


def _move_exp(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    return None if dargs[0] is None else _multiply(point, node, y, dargs[0])


def _move_log(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    return None if dargs[0] is None else _divide(point, node, dargs[0], args[0])


def _move_sqrt(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    return None if dargs[0] is None else _divide(point, node, dargs[0], [2 * x for x in y])


def _move_inverse(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    p, dx = point.prime, dargs[0]
    if dx is None:
        return None
    return _negate(point, node, matrix_product(p, matrix_product(p, y, dx), y))


def _move_determinant(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    if dargs[0] is None:
        return None
    inverse, det = point.inverse_matrix(args[0])
    return [det * trace_of_product(point.prime, inverse, dargs[0]) % point.prime]


def _move_pseudoinverse(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    (a,), (da,) = args, dargs
    if da is None:
        return None
    rows, columns = point.dims(node.args[0].shape)
    if rows < columns:
        return turned(_move_left_inverse(point, turned(a, columns), turned(da, columns), rows), columns)
    return _move_left_inverse(point, a, da, columns)


def _move_left_inverse(point: Point, a: Array, da: Array, columns: int) -> Array:
    """d((AᵀA)⁻¹Aᵀ) = (AᵀA)⁻¹ (dAᵀ − (dAᵀA + AᵀdA) (AᵀA)⁻¹Aᵀ)."""
    p, rows = point.prime, len(a) // columns
    inverse, left = _left_inverse(point, a, columns)
    half = multiplied(p, turned(da, columns), a, rows)
    both = [(x + y) % p for x, y in zip(half, turned(half, columns), strict=True)]
    back = multiplied(p, both, left, columns)
    rest = [(x - y) % p for x, y in zip(turned(da, columns), back, strict=True)]
    return multiplied(p, inverse, rest, columns)


def _move_norm(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    """d‖x‖ = x·dx/‖x‖, and 0 where x is."""
    (x,), (dx,) = args, dargs
    if dx is None:
        return None
    p, u = point.prime, _unit(point, node, x)
    return [sum([u[k] * dx[k] for k in row]) % p for row in _rows(point, node, x)]


def _move_unit(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    """d(x/‖x‖) = (dx − u (u·dx))/‖x‖, which is not defined at 0."""
    (x,), (dx,) = args, dargs
    if dx is None:
        return None
    p, found = point.prime, [0] * len(x)
    for row in _rows(point, node, x):
        (over,) = point.inverses([point.root(sum([x[k] * x[k] for k in row]) % p)])
        along = sum([y[k] * dx[k] for k in row])
        for k in row:
            found[k] = (dx[k] - y[k] * along) * over % p
    return found


def _move_where(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    """What is chosen moves; the condition stands still between its jumps."""
    mask, (_, da, db) = args[0], dargs
    left = None if da is None else _multiply(point, node, mask, da)
    right = None if db is None else _multiply(point, node, [1 - m for m in mask], db)
    return _move_add(point, node, y, args, (left, right))


def _move_extreme(sign: int) -> Callable[..., Array | None]:
    """The larger (sign 1) or the smaller one moves; of two equal ones each by half, one alone not at all."""

    def move(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
        p, tie = point.prime, 0 if None in dargs else point.fraction(Fraction(1, 2))
        apart = [sign * (a - b) % p for a, b in zip(*args, strict=True)]
        moved = [
            None
            if d is None
            else _multiply(point, node, [point.above(s * x % p) if x else tie for x in apart], d)
            for s, d in zip((1, -1), dargs, strict=True)
        ]
        return _move_add(point, node, y, args, moved)

    return move


def _along(slope: Callable[[Point, int], int]) -> Callable[..., Array | None]:
    """An entry moves by its slope times its own move."""

    def move(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
        if dargs[0] is None:
            return None
        return _multiply(point, node, [slope(point, x) for x in args[0]], dargs[0])

    return move


def _steepness_of_arcsin(point: Point, x: int) -> int:
    """1/√(1 − x²)."""
    return point.inverses([point.root((1 - x * x) % point.prime)])[0]


def _steepness_of_arctan(point: Point, x: int) -> int:
    """1/(1 + x²)."""
    return point.inverses([(1 + x * x) % point.prime])[0]


def _steepness_of_erf(point: Point, x: int) -> int:
    """2/√π exp(−x²)."""
    return 2 * point.inverses([point.root(point.pi())])[0] * point.exp(-x * x % point.prime)


def _move_diagonal_sums(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    return None if dargs[0] is None else _diagonal_sums(point, node, dargs[0])


def _stands_still(*_: Any) -> None:
    return None


MOVES: dict[Operation, Callable[..., Array | None]] = {
    add_op: _move_add,
    subtract_op: _move_subtract,
    negate_op: _move_negate,
    multiply_op: _move_multiply,
    divide_op: _move_divide,
    power_op: _move_power,
    exp_op: _move_exp,
    log_op: _move_log,
    sqrt_op: _move_sqrt,
    where_op: _move_where,
    sin_op: _along(lambda point, x: point.circle(x)[0]),
    cos_op: _along(lambda point, x: -point.circle(x)[1]),
    arcsin_op: _along(_steepness_of_arcsin),
    arccos_op: _along(lambda point, x: -_steepness_of_arcsin(point, x)),
    arctan_op: _along(_steepness_of_arctan),
    erf_op: _along(_steepness_of_erf),
    relu_op: _along(lambda point, x: point.above(x)),
    maximum_op: _move_extreme(1),
    minimum_op: _move_extreme(-1),
    inv_op: _move_inverse,
    det_op: _move_determinant,
    pinv_op: _move_pseudoinverse,
    norm_op: _move_norm,
    unit_op: _move_unit,
    diagonal_sums_op: _move_diagonal_sums,
    **dict.fromkeys(STANDING_STILL, _stands_still),
    **ENTRIES_MOVES,
}
