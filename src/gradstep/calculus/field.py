"""What is an expression worth in a prime field? Exact values and exact differentials, with no tolerance.

A `Point` gives every variable random numbers modulo a prime and works out any expression there. Two different
rational functions agree at a random point with a chance of about degree/p only (Schwartz and Zippel). Functions
that are not rational are random oracles: the same argument always gives the same random value, and nothing else
is known of them but

- exp and log, each the other's inverse, with exp(−x) = 1/exp(x): what sigmoid, softplus and tanh need;
- √x, the square root that is itself a square, where `roots` is set: then √x² = x and √(ab) = √a √b;
- a comparison, which depends on the difference of its sides only, with 1[z > 0] + 1[z < 0] = 1: any field element
  else, so what is proved holds for any slope on either side of a kink;
- powers: x^(q+1) = x x^q.

A `Direction` is the dual part: how values move when the parameters move. It does not read the declared
differentials and adjoints, which it is there to check: sums, products, quotients and powers have their own dual
arithmetic here, what is linear in each operand follows its index string, and all other operations are taken apart
by their `definition`. Only exp, log and √ follow their laws of slope, and an entrywise operation that has no
definition (one that is added later) is an oracle whose slopes are those that it declares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import floor, prod
from operator import itemgetter, mul
from random import Random
from typing import Any

from gradstep.expression.node import Expr, Operation, Params, walk
from gradstep.expression.shapes import Shape, Size
from gradstep.operations.activations import sign_op, sqrt_op
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
    power_op,
    subtract_op,
)
from gradstep.operations.leaves import number_op, pi_op, size_op, symbol_op, value_of

Array = Sequence[int]  # row-major, modulo the prime
Contraction = Callable[..., Array]  # (prime, *arrays) -> array


class Redraw(Exception):
    """This point is unlucky (a zero below, no square root): another one may do."""


class NotInField(Exception):
    """The field cannot express this operation: floating point has to look at it."""


# ------------------------------------------------------------------------------------------- primes and sizes

_SMALL_PRIMES = tuple(n for n in range(3, 200, 2) if all(n % k for k in range(3, n, 2)))


def is_prime(n: int) -> bool:
    """Miller and Rabin's test to the first 24 odd primes: certain below 2**81, else wrong once in 4**24."""
    if n < 40_000:
        return n == 2 or (n > 2 and n % 2 == 1 and all(n % k or n == k for k in _SMALL_PRIMES))
    if n % 2 == 0 or not all(map(n.__mod__, _SMALL_PRIMES)):
        return False
    twos = ((n - 1) & (1 - n)).bit_length() - 1
    for base in (2, *_SMALL_PRIMES[:24]):
        x = pow(base, n >> twos, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def random_prime(bits: int, rng: Random) -> int:
    """A random prime of so many bits that is 3 modulo 4, so that −1 is no square."""
    while True:
        n = rng.getrandbits(bits) | 1 << (bits - 1) | 3
        if is_prime(n):
            return n


OWN_SIZES = 8  # up to so many sizes each gets a length of its own; beyond, sizes that meet do
KEPT = 6  # integer sizes up to this are taken as they are; larger ones are shortened at first


def draw_sizes(
    nodes: Iterable[Expr], draws: int, rng: Random, literal: bool = False
) -> list[dict[Size, int]]:
    """For each draw a small length for every size that the nodes have; no size has the same in two draws running.

    Integer sizes stay as they are if they are small, or if `literal`; names get other lengths than these.
    """
    meeting = []
    counted: set[Size] = set()
    sizes: dict[Size, None] = {}
    for node in nodes:
        found = dict.fromkeys(node.shape)
        for arg in node.args:
            found.update(dict.fromkeys(arg.shape))
        if node.op is size_op:
            found[node.params[0]] = None  # type: ignore[index]
            counted.update(found)
        if found:
            sizes.update(found)
            meeting.append(tuple(found))
    fixed = {s: s for s in sizes if isinstance(s, int) and (literal or s <= KEPT)}
    free = [s for s in sizes if s not in fixed]
    rng.shuffle(free)
    if len(free) <= OWN_SIZES:
        colours = {s: k for k, s in enumerate(free)}
    else:
        neighbours: dict[Size, set[Size]] = {s: set() for s in sizes}
        for group in (*set(meeting), tuple(counted)):
            for s in group:
                neighbours[s].update(group)
        colours = {}
        for s in free:
            taken = {colours[t] for t in neighbours[s] if t in colours}
            colours[s] = next(k for k in range(len(free)) if k not in taken)
    lengths = [n for n in range(2, len(free) + len(fixed) + 5) if n not in fixed.values()]
    lengths = lengths[: max(3, 1 + max(colours.values(), default=0))]
    start = rng.randrange(len(lengths))
    return [
        {**fixed, **{s: lengths[(k + start + draw) % len(lengths)] for s, k in colours.items()}}
        for draw in range(draws)
    ]


# ------------------------------------------------------------------------------------------- index strings


def _places(letters: str, over: str, length: Mapping[str, int]) -> list[int]:
    """Where an array with these axes keeps its entry, for all values of the letters `over`, row-major."""
    strides: dict[str, int] = {}
    step = 1
    for letter in reversed(letters):
        strides[letter] = strides.get(letter, 0) + step
        step *= length[letter]
    places = [0]
    for letter in over:
        stride = strides.get(letter, 0)
        places = [place + stride * i for place in places for i in range(length[letter])]
    return places


def _getter(places: Sequence[int]) -> Callable[[Array], Array]:
    """A function that picks these entries."""
    first, step = places[0], places[1] - places[0] if len(places) > 1 else 1
    if step > 0 and list(places) == list(range(first, first + step * len(places), step)):
        return itemgetter(slice(first, places[-1] + 1, step))
    return itemgetter(*places)


def contraction(indices: str, shapes: Sequence[Sequence[int]], shape: Sequence[int]) -> Contraction:
    """The function of arrays that `indices` ("ik,kj->ij") state, for these lengths."""
    inputs, output = indices.split("->")
    operands = inputs.split(",")
    length = dict(zip(output, shape, strict=True))
    for letters, lengths in zip(operands, shapes, strict=True):
        length.update(zip(letters, lengths, strict=True))
    bound = "".join(dict.fromkeys(x for x in inputs if x != "," and x not in output))
    outer = [_places(letters, output, length) for letters in operands]
    inner = [_places(letters, bound, length) for letters in operands]
    if len(operands) == 1:
        return _picking(outer[0], inner[0], prod(shapes[0]))
    if len(operands) == 2:
        return _pairing(*outer, *inner)

    def general(p: int, *arrays: Array) -> Array:
        return [
            sum(prod(a[i + k] for a, i, k in zip(arrays, at, within, strict=True)) for within in zip(*inner)) % p
            for at in zip(*outer)
        ]

    return general


def _picking(outer: list[int], inner: list[int], entries: int) -> Contraction:
    """One operand: its entries picked (a transpose, a repetition), or summed in groups."""
    if len(inner) == 1:
        if outer == list(range(entries)):
            return lambda p, a: a
        if len(outer) == 1:
            return lambda p, a: [a[outer[0]]]
        if not any(outer):
            return lambda p, a: [a[0]] * len(outer)
        pick = itemgetter(*outer)
        return lambda p, a: pick(a)
    groups = [_getter([i + k for k in inner]) for i in outer]
    return lambda p, a: [sum(group(a)) % p for group in groups]


def _pairing(outer_a: list[int], outer_b: list[int], inner_a: list[int], inner_b: list[int]) -> Contraction:
    """Two operands: rows of one times rows of the other."""
    pairs = list(zip(outer_a, outer_b, strict=True))
    if len(inner_a) == 1:
        if not any(outer_a):
            pick = _picking(outer_b, [0], len(outer_b))
            return lambda p, a, b: [a[0] * x % p for x in pick(p, b)]
        return lambda p, a, b: [a[i] * b[j] % p for i, j in pairs]
    starts_a, starts_b = list(dict.fromkeys(outer_a)), list(dict.fromkeys(outer_b))
    rows_a = [_getter([i + k for k in inner_a]) for i in starts_a]
    rows_b = [_getter([j + k for k in inner_b]) for j in starts_b]
    if pairs == [(i, j) for i in starts_a for j in starts_b]:

        def product(p: int, a: Array, b: Array) -> Array:
            columns = [row(b) for row in rows_b]
            return [sum(map(mul, row, column)) % p for row in [row(a) for row in rows_a] for column in columns]

        return product
    which = [(starts_a.index(i), starts_b.index(j)) for i, j in pairs]

    def batched(p: int, a: Array, b: Array) -> Array:
        left, right = [row(a) for row in rows_a], [row(b) for row in rows_b]
        return [sum(map(mul, left[i], right[j])) % p for i, j in which]

    return batched


@lru_cache(maxsize=4096)
def _contraction_of(
    op: Operation, params: Params, shapes: tuple[tuple[int, ...], ...], shape: tuple[int, ...]
) -> Contraction:
    assert op.indices is not None
    return contraction(op.indices(params, *map(len, shapes)), shapes, shape)


# ------------------------------------------------------------------------------------------- definitions


@dataclass(frozen=True, slots=True)
class Unfolded:
    """An operation taken apart: `marks` stand for its operands, `order` computes `roots` from them."""

    marks: tuple[Expr, ...]
    order: tuple[Expr, ...]
    roots: tuple[Expr, ...]


@lru_cache(maxsize=4096)
def unfolded(op: Operation, params: Params, shapes: tuple[Shape, ...]) -> Unfolded:
    """`op` by its definition; the last of `order` is the result."""
    assert op.definition is not None
    marks = tuple(symbol_op(params=(f"•{k}", shape, ())) for k, shape in enumerate(shapes))
    root = op.definition(params, *marks)
    return Unfolded(marks, tuple(node for node in walk(root) if node not in marks), (root,))


@lru_cache(maxsize=4096)
def declared_slopes(op: Operation, params: Params, shapes: tuple[Shape, ...]) -> Unfolded:
    """The slopes that an entrywise `op` declares, as expressions of its value, the last mark, and operands."""
    assert op.slopes is not None
    marks = tuple(symbol_op(params=(f"•{k}", shape, ())) for k, shape in enumerate(shapes))
    y = op(*marks, params=params)
    roots = tuple(slope(y, *marks) for slope in op.slopes)
    known = (*marks, y)
    order = tuple(node for node in walk(*roots, stop=known.__contains__) if node not in known)
    return Unfolded(known, order, roots)


@dataclass(slots=True)
class Sheet:
    """Values worked out so far, and for every node taken apart the sheet of its parts."""

    values: dict[Expr, Array] = field(default_factory=dict)
    inner: dict[Expr, Sheet] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------- a point


class Point:
    """Random values of all variables modulo `prime`, and from them the value of any expression.

    `sizes` gives every size its length. With `roots` a square root is a true one, and a point where it does not
    exist raises `Redraw`; without, it is an oracle. `NotInField` is raised for what has no meaning here.
    """

    def __init__(self, prime: int, sizes: Mapping[Size, int], rng: Random, roots: bool = True) -> None:
        self.prime, self.sizes, self.roots = prime, sizes, roots
        self.sheet = Sheet()
        self._bits = prime.bit_length() - 1
        self._random = rng.getrandbits
        self._exp: dict[int, int] = {0: 1}
        self._log: dict[int, int] = {1: 0}
        self._above: dict[int, int] = {0: 0}
        self._roots: dict[int, int] = {0: 0, 1: 1}
        self._oracles: dict[object, int] = {}
        self._powers: dict[int, list[tuple[int, int]]] = {}

    def value(self, expr: Expr) -> Array:
        """The value of `expr`, row-major."""
        values = self.sheet.values
        stack = [expr]
        while stack:
            node = stack[-1]
            if node in values:
                stack.pop()
                continue
            waiting = [arg for arg in node.args if arg not in values]
            if waiting:
                stack += waiting
                continue
            values[node] = self._compute(node, [values[arg] for arg in node.args], self.sheet)
            stack.pop()
        return values[expr]

    def dims(self, shape: Shape) -> tuple[int, ...]:
        """The lengths of the axes of an array of this shape."""
        sizes = self.sizes
        return tuple([sizes[size] for size in shape])

    def draw(self, shape: Shape) -> Array:
        """Random numbers in this shape."""
        random, bits = self._random, self._bits
        return [random(bits) for _ in range(prod(self.dims(shape)))]

    def oracle(self, key: object) -> int:
        """The same random number whenever the key is the same."""
        found = self._oracles.get(key)
        if found is None:
            found = self._oracles[key] = self._random(self._bits)
        return found

    def _compute(self, node: Expr, args: Sequence[Array], sheet: Sheet) -> Array:
        """The value of `node` from those of its operands."""
        op = node.op
        rule = _VALUES.get(op)
        if rule is not None:
            return rule(self, node, *args)
        if op.indices is not None:
            return self.contraction(node)(self.prime, *args)
        if op.definition is not None:
            parts = unfolded(op, node.params, tuple([arg.shape for arg in node.args]))
            inner = sheet.inner[node] = Sheet(dict(zip(parts.marks, args, strict=True)))
            return self._fill(inner, parts)
        if op.slopes is not None:
            return [self.oracle((op.name, node.params, *entries)) for entries in zip(*args, strict=True)]
        raise NotInField(op.name)

    def _fill(self, sheet: Sheet, parts: Unfolded) -> Array:
        values = sheet.values
        for node in parts.order:
            values[node] = self._compute(node, [values[arg] for arg in node.args], sheet)
        return values[parts.roots[0]]

    def contraction(self, node: Expr) -> Contraction:
        """What the index string of `node` does to arrays."""
        dims = self.dims
        return _contraction_of(node.op, node.params, tuple([dims(a.shape) for a in node.args]), dims(node.shape))

    def move(self, node: Expr, dargs: Sequence[Array | None], sheet: Sheet) -> Array | None:
        """How the value of `node` moves when its operands move by `dargs`; None where nothing moves."""
        if all(d is None for d in dargs):
            return None
        op = node.op
        rule = _MOVES.get(op)
        args = [sheet.values[arg] for arg in node.args]
        if rule is not None:
            return rule(self, node, sheet.values[node], args, dargs)
        if op.indices is not None:
            contract, p = self.contraction(node), self.prime
            changes = [
                contract(p, *args[:k], d, *args[k + 1 :]) for k, d in enumerate(dargs) if d is not None
            ]
            return changes[0] if len(changes) == 1 else [sum(entries) % p for entries in zip(*changes, strict=True)]
        if op.definition is not None:
            parts = unfolded(op, node.params, tuple([arg.shape for arg in node.args]))
            inner = sheet.inner[node]
            moves: dict[Expr, Array | None] = dict(zip(parts.marks, dargs, strict=True))
            for part in parts.order:
                moves[part] = self.move(part, [moves[arg] for arg in part.args], inner)
            return moves[parts.roots[0]]
        assert op.slopes is not None
        parts = declared_slopes(op, node.params, tuple([arg.shape for arg in node.args]))
        slopes = Sheet(dict(zip(parts.marks, [*args, sheet.values[node]], strict=True)))
        self._fill(slopes, parts)
        changes = [
            [s * x % self.prime for s, x in zip(slopes.values[root], d, strict=True)]
            for root, d in zip(parts.roots, dargs, strict=True)
            if d is not None
        ]
        return [sum(entries) % self.prime for entries in zip(*changes, strict=True)]

    # ---------------------------------------------------------------------------------- functions of an entry

    def inverses(self, values: Array) -> list[int]:
        """One over each: a single inversion for all of them."""
        p = self.prime
        before, product = [], 1
        for x in values:
            before.append(product)
            product = product * x % p
        if product == 0:
            raise Redraw("a zero below the line")
        rest = pow(product, -1, p)
        for k in range(len(values) - 1, -1, -1):
            before[k], rest = before[k] * rest % p, rest * values[k] % p
        return before

    def exp(self, x: int) -> int:
        """exp as an oracle: exp(−x) exp(x) = 1, and log is its inverse."""
        found = self._exp.get(x)
        return self._exp_pair(x, self._random(self._bits))[1] if found is None else found

    def log(self, y: int) -> int:
        """log as an oracle: the inverse of `exp`."""
        found = self._log.get(y)
        return self._exp_pair(self._random(self._bits), y)[0] if found is None else found

    def _exp_pair(self, x: int, y: int) -> tuple[int, int]:
        if y == 0:
            raise Redraw("the logarithm of zero")
        inverse = pow(y, -1, self.prime)
        self._exp[x], self._exp[-x % self.prime] = y, inverse
        self._log[y], self._log[inverse] = x, -x % self.prime
        return x, y

    def root(self, x: int) -> int:
        """√x: of both square roots the one that is itself a square; without `roots` an oracle."""
        found = self._roots.get(x)
        if found is None:
            p = self.prime
            found = pow(x, (p + 1) // 4, p) if self.roots else self._random(self._bits)
            if self.roots and found * found % p != x:
                raise Redraw("no square root")
            self._roots[x] = found
        return found

    def above(self, difference: int) -> int:
        """1[difference > 0]: any element, and its opposite's complement to one; 0 where nothing differs."""
        found = self._above.get(difference)
        if found is None:
            found = self._above[difference] = self._random(self._bits)
            self._above[-difference % self.prime] = (1 - found) % self.prime
        return found

    def power(self, x: int, n: int) -> int:
        """xⁿ: an integer power, or an oracle with xⁿ⁺¹ = x xⁿ."""
        p = self.prime
        if n <= 64 or n >= p - 64:
            if x == 0 and n > 64:
                raise Redraw("a negative power of zero")
            return pow(x, n if n <= 64 else n - p, p)
        known = self._powers.setdefault(x, [])
        for m, value in known:
            shift = (n - m) % p
            if shift <= 8 or shift >= p - 8:
                return value * pow(x, shift if shift <= 8 else shift - p, p) % p
        known.append((n, self._random(self._bits)))
        return known[-1][1]


class Direction:
    """How every expression moves from a point when the expressions in `given` move as they say.

    Other variables move as in `ground`, another direction, or not at all; so does nothing that stands still there.
    """

    def __init__(self, point: Point, given: Mapping[Expr, Array | None], ground: Direction | None = None) -> None:
        self.point = point
        self.moves: dict[Expr, Array | None] = dict(given)
        self._ground = {} if ground is None else ground.moves

    def of(self, expr: Expr) -> Array | None:
        """The differential of `expr`; None where it does not move."""
        moves, ground, point = self.moves, self._ground, self.point
        if expr in moves:
            return moves[expr]
        point.value(expr)
        stack = [expr]
        while stack:
            node = stack[-1]
            if node in moves:
                stack.pop()
            elif not node.args:
                moves[node] = ground.get(node)
            elif node in ground and ground[node] is None:
                moves[node] = None
            elif waiting := [arg for arg in node.args if arg not in moves]:
                stack += waiting
            else:
                moves[node] = point.move(node, [moves[arg] for arg in node.args], point.sheet)
        return moves[expr]


# ------------------------------------------------------------------------------------------- the arithmetic


def _symbol(point: Point, node: Expr) -> Array:
    """Random entries that keep what is assumed of the variable."""
    words: tuple[str, ...] = node.params[2]  # type: ignore[assignment]
    p, values = point.prime, list(point.draw(node.shape))
    if not words:
        return values
    n = point.dims(node.shape)[-1] if node.rank else 1
    for word in words:
        if word in ("positive", "symmetric positive definite"):
            values = [x * x % p for x in values]  # has a square root
        if word.startswith("symmetric"):
            values = [values[min(k // n, k % n) * n + max(k // n, k % n)] for k in range(len(values))]
        if word == "diagonal":
            values = [x if k // n == k % n else 0 for k, x in enumerate(values)]
        if word == "orthogonal":
            values = _orthogonal(point, values, n)
        if word == "rows sum to one":
            for k in range(0, len(values), n):
                values[k + n - 1] = (1 - sum(values[k : k + n - 1])) % p
    return values


def _orthogonal(point: Point, vectors: Sequence[int], n: int) -> list[int]:
    """The product of n reflections, 1 − 2 v vᵀ/(vᵀv) each."""
    p = point.prime
    result = [int(k // n == k % n) for k in range(n * n)]
    for at in range(0, n * n, n):
        v = vectors[at : at + n]
        (scale,) = point.inverses([sum(map(mul, v, v)) % p])
        for row in range(0, n * n, n):
            along = 2 * scale * sum(map(mul, result[row : row + n], v)) % p
            result[row : row + n] = [(x - along * y) % p for x, y in zip(result[row : row + n], v, strict=True)]
    return result


def _number(point: Point, node: Expr) -> Array:
    value = node.params[0]
    assert isinstance(value, Fraction)
    if value.denominator == 1:
        return [value.numerator % point.prime]
    return [value.numerator * pow(value.denominator, -1, point.prime) % point.prime]


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
    return _multiply(point, node, a, point.inverses(b))


def _power(point: Point, node: Expr, x: Array, n: Array) -> Array:
    p, exponent = point.prime, value_of(node.args[1])
    if exponent is None or exponent.denominator == 1:
        return [point.power(base, n[0]) for base in x]
    if exponent.denominator == 2:
        return _whole_power(point, [point.root(base) for base in x], exponent.numerator)
    part = exponent - floor(exponent)
    front = _whole_power(point, x, floor(exponent))
    return [f * point.oracle(("power", base, part)) % p for f, base in zip(front, x, strict=True)]


def _whole_power(point: Point, x: Array, n: int) -> Array:
    if n < 0:
        x, n = point.inverses(x), -n
    return [pow(base, n, point.prime) for base in x]


def _sign(point: Point, node: Expr, a: Array) -> Array:
    return [(2 * point.above(x) - 1) % point.prime if x else 0 for x in a]


def _greater(point: Point, node: Expr, a: Array, b: Array) -> Array:
    return [point.above((x - y) % point.prime) for x, y in zip(a, b, strict=True)]


def _greater_equal(point: Point, node: Expr, a: Array, b: Array) -> Array:
    return [1 if x == y else point.above((x - y) % point.prime) for x, y in zip(a, b, strict=True)]


_VALUES: dict[Operation, Callable[..., Array]] = {
    symbol_op: _symbol,
    number_op: _number,
    size_op: lambda point, node: [point.sizes[node.params[0]]],
    pi_op: lambda point, node: [point.oracle("pi")],
    add_op: _add,
    subtract_op: _subtract,
    negate_op: _negate,
    multiply_op: _multiply,
    divide_op: _divide,
    power_op: _power,
    exp_op: lambda point, node, a: [point.exp(x) for x in a],
    log_op: lambda point, node, a: [point.log(x) for x in a],
    sqrt_op: lambda point, node, a: [point.root(x) for x in a],
    sign_op: _sign,
    greater_op: _greater,
    greater_equal_op: _greater_equal,
    equal_op: lambda point, node, a, b: [int(x == y) for x, y in zip(a, b, strict=True)],
}

Args = Sequence[Array]
Changes = Sequence[Array | None]


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
    p, (x, (n,)), (dx, dn) = point.prime, args, dargs
    exponent, changes = value_of(node.args[1]), []
    if dx is not None:
        if exponent is not None and exponent.denominator == 1 and exponent > 0:
            slope: Array = [n * pow(base, exponent.numerator - 1, p) for base in x]
        elif exponent is not None and exponent.denominator == 2:
            half = exponent.numerator * pow(2, -1, p)
            slope = [half * s for s in _whole_power(point, [point.root(b) for b in x], exponent.numerator - 2)]
        else:
            slope = [n * s for s in _divide(point, node, y, x)]
        changes.append(_multiply(point, node, slope, dx))
    if dn is not None:
        changes.append([value * point.log(base) * dn[0] % p for value, base in zip(y, x, strict=True)])
    return changes[0] if len(changes) == 1 else _add(point, node, *changes)


def _move_exp(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    return None if dargs[0] is None else _multiply(point, node, y, dargs[0])


def _move_log(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    return None if dargs[0] is None else _divide(point, node, dargs[0], args[0])


def _move_sqrt(point: Point, node: Expr, y: Array, args: Args, dargs: Changes) -> Array | None:
    return None if dargs[0] is None else _divide(point, node, dargs[0], [2 * x for x in y])


def _stands_still(*_: Any) -> None:
    return None


_MOVES: dict[Operation, Callable[..., Array | None]] = {
    add_op: _move_add,
    subtract_op: _move_subtract,
    negate_op: _move_negate,
    multiply_op: _move_multiply,
    divide_op: _move_divide,
    power_op: _move_power,
    exp_op: _move_exp,
    log_op: _move_log,
    sqrt_op: _move_sqrt,
    **dict.fromkeys((sign_op, greater_op, greater_equal_op, equal_op), _stands_still),
}
