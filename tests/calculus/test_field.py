"""Is the arithmetic of certificates right? Every operation, in the prime field, against NumPy and itself."""

from fractions import Fraction
from itertools import product
from math import prod
from random import Random

import numpy as np
import pytest
from tables import each

from gradstep.calculus.chances import CERTAIN_BITS, Degrees, bits_needed, draw_sizes, is_prime, random_prime
from gradstep.calculus.contractions import contraction
from gradstep.calculus.elimination import multiplied
from gradstep.calculus.field import Direction, NotInField, Point, Redraw
from gradstep.expression.node import Operation, walk
from gradstep.operations import TABLE
from gradstep.operations.activations import abs, maximum, relu, sigmoid, softplus, sqrt, tanh
from gradstep.operations.arithmetic import equal, exp, greater, greater_equal, log, power
from gradstep.operations.broadcasting import ones
from gradstep.operations.convolutions import CONVOLUTIONS, conv_op, conv_transpose_op, conv_weight_op
from gradstep.operations.entries import reshape
from gradstep.operations.families import elementwise, leaf
from gradstep.operations.leaves import KNOWN_ASSUMPTIONS, number, pi, size, symbol
from gradstep.operations.norms import norm
from gradstep.operations.sums import mean, sum
from gradstep.operations.trigonometry import cos, sin, tan

EXAMPLES = [(op, params, shapes) for op in TABLE for params, shapes in op.example]
SIZES = {"N": 5, "d": 3, "m": 2, "n": 4, "k": 3, "h": 2, 6: 6, 1: 1, 2: 2, 3: 3, 5: 5}


def name(value):
    return value.name if isinstance(value, Operation) else ""


def point(seed=1, roots=True, sizes=SIZES):
    rng = Random(seed)
    return Point(random_prime(61, rng), sizes, rng, roots)


def lucky(*exprs, roots=True):
    """A point at which all of these have a value."""
    for seed in range(500):
        at = point(seed, roots)
        try:
            for expr in exprs:
                at.value(expr)
        except Redraw:
            continue
        return at
    raise AssertionError("no point")


# ------------------------------------------------------------------------------------------- primes and sizes


def test_is_prime_knows_small_numbers_and_strong_pseudoprimes():
    small = [n for n in range(1000) if is_prime(n)]
    assert small == [n for n in range(2, 1000) if all(n % k for k in range(2, n))]
    assert not any(map(is_prime, (561, 3215031751, 3825123056546413051, 318665857834031151167461, 40009**2)))
    assert is_prime(2**61 - 1) and is_prime(2**89 - 1) and not is_prime(2**83 - 1)


@pytest.mark.parametrize("bits", [61, 96, 200])
def test_random_primes_have_roots_of_small_numbers_and_none_of_minus_one(bits):
    rng = Random(bits)
    primes = {random_prime(bits, rng) for _ in range(5)}
    assert len(primes) == 5
    for p in primes:
        assert is_prime(p) and p.bit_length() == bits and p % 4 == 3
        assert all(pow(q, (p - 1) // 2, p) == 1 for q in (2, 3, 5, 7, 11, 13))


def test_every_size_has_a_length_of_its_own_and_another_one_in_the_next_draw():
    X, w, Y = symbol("X", "N d"), symbol("w", "d 3"), symbol("Y", "N 3 1 64")
    first, second = draw_sizes((X, w, Y), 2, Random(0))
    for draw in (first, second):
        assert draw[3] == 3 and draw[1] == 1
        assert len(set(draw.values())) == len(draw)
        assert max(draw.values()) <= 6
    assert all(first[s] != second[s] for s in ("N", "d", 64))
    assert draw_sizes((Y,), 1, Random(0), literal=True)[0][64] == 64


def test_of_many_sizes_those_that_meet_differ_and_stay_small():
    weights = [symbol(f"W{i}", (f"h{i}", f"h{i + 1}")) for i in range(40)]
    chain = weights[0]
    for W in weights[1:]:
        chain = chain @ W
    for draw in draw_sizes(walk(chain), 2, Random(3)):
        assert max(draw.values()) <= 6
        assert all(len({draw[s] for s in node.shape}) == node.rank for node in walk(chain))


def test_sizes_of_what_is_put_together_are_shortened_together():
    """400 = 16 · 5 · 5 stays so where the channels are fewer; what stays in front is as short as any size."""
    x, y = symbol("x", (64, 16, 5, 5)), symbol("y", (64, 12, 10))
    flat, heads = reshape(x, (64, 400)), reshape(y, (64, 120))
    for draw in draw_sizes(walk(flat, heads, symbol("V", (400, 7))), 2, Random(1)):
        assert draw[400] == 25 * draw[16] < 400 and draw[120] == draw[12] * draw[10] < 120
        assert draw[64] < 20 and draw[5] == 5
    (kept,) = draw_sizes(walk(reshape(flat, (80, 320))), 1, Random(1))
    assert all(kept[size] == size for size in (400, 64, 80, 320))


def test_sizes_used_as_numbers_are_the_lengths_of_their_axes():
    x = symbol("x", "N")
    (draw,) = draw_sizes(walk(mean(x)), 1, Random(0))
    at = Point(random_prime(61, Random(0)), draw, Random(0))
    assert at.value(size("N"))[0] == len(at.value(x)) == draw["N"]


# ------------------------------------------------------------------------------------------- index strings


@pytest.mark.parametrize(
    "indices",
    [
        *("ij->ji", "ij->", "ij->i", "ij->j", "i->ij", "i->ji", "->ij", "aij->aji", "ii->", "ii->i"),
        *("ik,kj->ij", "ik,kj->ji", "ik,k->i", "k,kj->j", "k,k->", ",ij->ij", "ij,->ij", "i,ij->ij"),
        *("i,j->ij", "aik,akj->aij", "aik,kj->aij", "ij,ij->", "ij,kl->", "ij,ij->i", "i,i->i"),
        *("ij,jk,kl->il", "i,j,k->kji", "abij->abji"),
    ],
)
def test_contractions_are_those_of_einsum(indices):
    length = dict(zip("abijkl", (2, 3, 4, 5, 2, 3), strict=True))
    inputs, output = indices.split("->")
    shapes = [tuple(length[x] for x in letters) for letters in inputs.split(",")]
    shape = tuple(length[x] for x in output)
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 1000, s) for s in shapes]
    p = 2**61 - 1
    got = contraction(indices, shapes, shape)(p, *(a.ravel().tolist() for a in arrays))
    missing = set(output) - set(inputs)  # a new axis, which NumPy's einsum does not know
    if missing:
        inputs += "," + "".join(missing)
        arrays.append(np.ones([length[x] for x in missing], dtype=int))
    assert list(got) == np.einsum(f"{inputs}->{output}", *arrays).ravel().tolist()


def test_rows_packed_into_long_integers_give_the_products_of_numbers():
    rng, p = Random(2), 2**61 - 1
    for rows, inner, columns in ((3, 1, 8), (4, 5, 9), (7, 3, 30)):
        a, b = ([p - 1 - rng.getrandbits(3) for _ in range(n)] for n in (rows * inner, inner * columns))
        got = contraction("ik,kj->ij", [(rows, inner), (inner, columns)], (rows, columns))(p, a, b)
        assert list(got) == multiplied(p, a, b, inner)


@each("op", CONVOLUTIONS, ids=lambda op: op.name)
def test_a_convolution_is_in_the_field_what_its_windows_are(op):
    """Values and changes, for any stride, padding and dilation, along one axis and along two."""
    for paces in (*product((1, 2, 3), (0, 2), (1, 2)), ((2, 1, 1), (1, 0, 2)), ((3, 2, 2), (2, 1, 1))):
        paces = paces if isinstance(paces[0], tuple) else (paces,)
        signal, window = (2, 3, *(8, 9)[: len(paces)]), (4, 3, *(2, 3)[: len(paces)])
        y = conv_op(symbol("x", signal), symbol("w", window), params=(paces,))
        if op is conv_transpose_op:
            beyond = tuple(s - 1 for s, _, _ in paces)
            y = op(symbol("g", y.shape), symbol("w", window), params=(paces, beyond))
        elif op is conv_weight_op:
            y = op(symbol("x", signal), symbol("g", y.shape), params=(paces, window[2:]))
        at, meant = point(), op.definition(y.params, *y.args)
        moves = Direction(at, {x: at.draw(x.shape) for x in y.args})
        assert same(at, y, meant) and list(moves.of(y)) == list(moves.of(meant))


@pytest.mark.parametrize("op, params, shapes", [e for e in EXAMPLES if e[0].indices], ids=name)
def test_multilinear_operations_mean_in_the_field_what_they_mean_in_numpy(op, params, shapes):
    args = [symbol(f"x{i}", shape) for i, shape in enumerate(shapes)]
    at = point()
    y = op(*args, params=params)
    # Small integers, so that floating point is exact.
    small = [np.reshape([v % 100 for v in at.value(x)], at.dims(x.shape)).astype(float) for x in args]
    expected = op.meaning(np, SIZES, params, *small)
    got = at.contraction(y)(at.prime, *(a.astype(int).ravel().tolist() for a in small))
    assert list(got) == np.ravel(expected).astype(int).tolist()


# ------------------------------------------------------------------------------------------- values

x, y = symbol("x", "m n"), symbol("y", "m n")
q = symbol("q", "m n", ["positive"])
ONE = ones("m", "n")


def same(at, left, right):
    return list(at.value(left)) == list(at.value(right))


@pytest.mark.parametrize(
    "left, right",
    [
        ((x + y) ** 2, x**2 + 2 * x * y + y**2),
        (x / y * y, x),
        (x**-3, 1 / (x * x * x)),
        (x / 7 * 7, x),
        (exp(-x) * exp(x), ONE),
        (log(exp(x)), x),
        (exp(log(x)), x),
        (log(1 / y), -log(y)),
        (exp(0 * x), ONE),
        (log(ONE), 0 * x),
        (sigmoid(-x), 1 - sigmoid(x)),
        (tanh(-x), -tanh(x)),
        (log(sigmoid(x)), -softplus(-x)),
        (relu(x) - relu(-x), x),
        (relu(x) + relu(-x), abs(x)),
        (maximum(x, y), y + relu(x - y)),
        (greater(x, y), greater(x - y, 0 * y)),
        (greater(x, y) + greater(y, x) + equal(x, y), ONE),
        (greater_equal(x, y), greater(x, y) + equal(x, y)),
        (sqrt(q) ** 2, q),
        (sqrt(q**2), q),
        (sqrt(q * q**3), sqrt(q) * sqrt(q**3)),
        (q**0.5, sqrt(q)),
        (q**1.5, q * sqrt(q)),
        (q**-0.5, 1 / sqrt(q)),
        (norm(x) ** 2, sum(x**2)),
        (sqrt(2 * pi), sqrt(number(2)) * sqrt(pi)),
        (power(x, Fraction(7, 3)), x**2 * power(x, Fraction(1, 3))),
        (power(x, symbol("s")), x * power(x, symbol("s") - 1)),
        (power(x, size("m")), x ** SIZES["m"]),
    ],
)
def test_what_is_known_of_functions_holds(left, right):
    assert same(lucky(left, right), left, right)


@pytest.mark.parametrize(
    "left, right",
    [
        (exp(x + y), exp(x) * exp(y)),
        (log(x * y), log(x) + log(y)),
        (abs(x) ** 2, x**2),
        (greater(x, y) ** 2, greater(x, y)),
        (greater(2 * x, 2 * y), greater(x, y)),
        (tanh(2 * x), 2 * tanh(x) / (1 + tanh(x) ** 2)),
        (x @ y.T, x @ x.T),
        (x, x * number(Fraction(10_000_001, 10_000_000))),
    ],
)
def test_nothing_else_is_known(left, right):
    at = point()
    assert all(a != b for a, b in zip(at.value(left), at.value(right), strict=True))


@pytest.mark.parametrize("fact", KNOWN_ASSUMPTIONS)
def test_variables_are_as_assumed(fact):
    at = point()
    n, p = 3, at.prime
    A = np.reshape(np.array(at.value(symbol("A", "d d", [fact])), dtype=object), (n, n))
    if fact.startswith("symmetric"):
        assert (A == A.T).all() and A[0, 1] != A[0, 2]
    if fact == "diagonal":
        assert (A[~np.eye(n, dtype=bool)] == 0).all() and A.diagonal().all()
    if fact == "orthogonal":
        assert (A @ A.T % p == np.eye(n, dtype=int)).all() and A.all()
    if fact == "rows sum to one":
        assert (A.sum(axis=1) % p == 1).all() and A.all()
    if fact == "positive":
        assert all(pow(int(a), (p - 1) // 2, p) == 1 for a in A.ravel())


def test_a_point_depends_on_its_seed_alone():
    assert point(3).value(x) == point(3).value(x) != point(4).value(x)
    assert not same(point(), x, y)


def test_a_zero_below_and_a_missing_root_ask_for_another_point():
    for expr in (1 / (x - x), log(x - x), power(x - x, -2)):
        with pytest.raises(Redraw):
            point().value(expr)
    drawn = 0
    for seed in range(60):
        try:
            point(seed).value(sqrt(symbol("c")))
        except Redraw:
            drawn += 1
    assert 10 < drawn < 50
    assert point(roots=False).value(sqrt(x))


def test_sine_and_cosine_run_over_the_circle():
    at = point()
    for one, other in (
        (sin(x) ** 2 + cos(x) ** 2, ONE),
        (sin(-x), -sin(x)),
        (cos(-x), cos(x)),
        (tan(x) * cos(x), sin(x)),
        (sin(x - x), 0 * ONE),
    ):
        assert list(at.value(one)) == list(at.value(other))
    assert list(at.value(sin(x))) != list(at.value(sin(y)))


@pytest.mark.parametrize("roots", [True, False])
def test_the_roots_of_small_numbers_and_of_pi_are_true_ones(roots):
    at = point(roots=roots)
    for square in (number(2), number(3), pi, 2 * pi):
        assert list(at.value(sqrt(square) ** 2)) == list(at.value(square))
    assert list(at.value(sqrt(2 * pi))) == list(at.value(sqrt(number(2)) * sqrt(pi)))


def test_what_the_field_cannot_express_says_so():
    strange = leaf("strange", lambda params: (), lambda *_: 0.5, None, None, "")
    with pytest.raises(NotInField):
        point().value(2 * strange())


# ------------------------------------------------------------------------------------------- directions


@each("op, params, shapes", EXAMPLES, ids=name)
def test_the_declared_differential_is_the_dual_part(op, params, shapes):
    args = [symbol(f"x{i}", shape) for i, shape in enumerate(shapes)]
    dargs = [symbol(f"d{i}", shape) for i, shape in enumerate(shapes)]
    result = op(*args, params=params)
    for moving in product((True, False), repeat=len(args)):
        if not any(moving):
            continue
        changes = [d if moves else None for d, moves in zip(dargs, moving, strict=True)]
        declared = op.differential(result, args, changes)
        at = lucky(result, declared, roots=result.rank < 2)  # of many entries some have no root
        given = {a: at.value(d) for a, d, m in zip(args, dargs, moving, strict=True) if m}
        change = Direction(at, given).of(result) or [0] * prod(at.dims(result.shape))
        assert list(change) == list(at.value(declared))


def test_a_chain_of_operations_moves_by_the_chain_rule():
    X, w, b = symbol("X", "N d"), symbol("w", "d"), symbol("b")
    z = X @ w + b
    loss = mean(tanh(z) ** 2)
    by_hand = 2 / size("N") * (X.T @ (tanh(z) * (1 - tanh(z) ** 2)))
    at = point()
    direction = at.draw(w.shape)
    (change,) = Direction(at, {w: direction}).of(loss)
    gradient = np.array(at.value(by_hand), dtype=object)
    assert change == gradient @ np.array(direction, dtype=object) % at.prime


def test_what_stands_still_does_not_move():
    at = point()
    direction = Direction(at, {x: at.draw(x.shape)})
    assert direction.of(y * exp(y)) is None
    assert direction.of(greater(x, y)) is None
    assert direction.of(x + y) is not None


def test_a_part_moves_freely_above_another_direction():
    at = point()
    part = x * y
    ground = Direction(at, {x: at.draw(x.shape)})
    ground.of(part)
    change = at.draw(part.shape)
    free = Direction(at, {part: change}, ground)
    assert free.of(part + x) == [(a + b) % at.prime for a, b in zip(change, ground.of(x), strict=True)]
    assert free.of(y) is None


def test_an_entrywise_operation_without_a_definition_is_an_oracle_with_its_declared_slope():
    sine = elementwise("sine", lambda value, a: cosine(a), code="np.sin({0})", why="…")
    cosine = elementwise("cosine", lambda value, a: -sine(a), code="np.cos({0})", why="…")
    at = point()
    assert same(at, sine(x + y), sine(y + x)) and not same(at, sine(x), sine(y))
    change = at.draw(x.shape)
    move = Direction(at, {x: change}).of(sine(x))
    assert list(move) == [a * b % at.prime for a, b in zip(at.value(cosine(x)), change, strict=True)]


# ------------------------------------------------------------------------------------------- degrees


def bound(expr):
    degrees = Degrees(SIZES)
    degrees.learn(walk(expr))
    return degrees.known[expr]


def test_degrees_are_those_of_polynomials_and_quotients():
    assert bound(x * y) == (2, 0)
    assert bound(x @ y.T) == (2, 0)
    assert bound((x + 1) ** 5) == (5, 0)
    assert bound(3 * x - y) == (1, 0)
    assert bound(symbol("a") / symbol("b")) == (1, 1)
    assert bound(1 / symbol("a") + 1 / symbol("b")) == (1, 2)
    assert bound(exp(x) + relu(y)) == (3, 1)


def test_degrees_grow_with_depth_not_faster():
    A = symbol("X", "N d")
    for k in range(50):
        A = relu(A @ symbol(f"W{k}", "d d"))
    assert bound(A) == (1 + 2 * 50, 0)
    assert bits_needed(10**6, 2) == 61
    assert bits_needed(2**100, 2) > 100 + CERTAIN_BITS // 2
