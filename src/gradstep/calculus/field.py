"""What is an expression worth in a prime field? Exact values and exact differentials, with no tolerance.

A `Point` gives every variable random numbers modulo a prime and works out any expression there. Two different
rational functions agree at a random point with a chance of about degree/p only (Schwartz and Zippel).
Functions that are not rational are random oracles: the same argument always gives the same random value, and
nothing more is known of them but

- exp and log, each the other's inverse, with exp(−x) = 1/exp(x): what sigmoid, softplus and tanh need;
- √x, the square root that is itself a square, where `roots` is set: then √x² = x and √(ab) = √a √b;
- a comparison, which depends on the difference of its sides alone, with 1[z > 0] + 1[z < 0] = 1; it may be
  any element of the field, so what is proved holds for any slope on either side of a kink;
- sin and cos, a random point of the circle for each angle, so that sin² + cos² = 1, sin(−x) = −sin x and
  cos(−x) = cos x; the inverse functions of the circle and erf know nothing but their slope;
- powers, with x^(q+1) = x x^q.

Inverses and determinants of matrices are exact, by elimination.

A `Direction` is the dual part: how values move when the parameters move. It does not read the differentials
and adjoints that operations declare, which it is there to check: sums, products, quotients and powers have
their own dual arithmetic here, what is linear in each operand follows its index string, and all other
operations are taken apart by their `definition`. Only exp, log and √ follow their laws of slope, and an
entrywise operation without a definition (one that is added later) is an oracle with the slopes that it
declares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import prod
from random import Random

from gradstep.calculus.contractions import Array, Contraction, TooMany, contraction
from gradstep.calculus.duals import MOVES, VALUES
from gradstep.calculus.elimination import eliminated
from gradstep.calculus.unfolding import Unfolded, declared_slopes, unfolded
from gradstep.expression.node import Expr, Operation, Params
from gradstep.expression.shapes import Lengths, Shape, Size
from gradstep.operations.leaves import MOST_EXPONENT

SMALL = 1000  # a random element is that small about never


class Redraw(Exception):
    """This point is unlucky (a zero below, no square root): another one may do."""


class Singular(Redraw):
    """A matrix has no inverse here: another point may do, or other sizes."""


MOST_ENTRIES = 100_000  # of an array that is worked out one by one


class NotInField(Exception):
    """The field cannot express this operation: floating point has to look at it."""


@lru_cache(maxsize=4096)
def _contraction_of(
    op: Operation, params: Params, shapes: tuple[tuple[int, ...], ...], shape: tuple[int, ...]
) -> Contraction:
    assert op.indices is not None
    return contraction(op.indices(params, *map(len, shapes)), shapes, shape)


@dataclass(slots=True)
class Sheet:
    """Values worked out so far, and for every node taken apart the sheet of its parts."""

    values: dict[Expr, Array] = field(default_factory=dict)
    inner: dict[Expr, Sheet] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------- a point


class Point:
    """Random values of all variables modulo `prime`, and from them the value of any expression.

    `sizes` gives every size its length. With `roots` a square root is a true one, and `Redraw` is raised
    where it does not exist; without, it is an oracle. With `binary` every mask is 0 or 1. `NotInField` is
    raised for what has no meaning here.
    """

    rules: Mapping[Operation, Callable[..., Array]] = VALUES
    slopes: Mapping[Operation, Callable[..., Array | None]] = MOVES

    def __init__(
        self,
        prime: int,
        sizes: Mapping[Size, int],
        rng: Random,
        roots: bool = True,
        binary: bool = False,
    ) -> None:
        self.prime, self.sizes, self.roots, self.binary = prime, Lengths(sizes), roots, binary
        self.sheet = Sheet()
        self._bits = prime.bit_length() - 1
        self._random = rng.getrandbits
        self._contractions: dict[Expr, Contraction] = {}
        self._entries: dict[Shape, int] = {}
        self._dims: dict[Shape, tuple[int, ...]] = {}
        self._exp: dict[int, int] = {0: 1}
        self._log: dict[int, int] = {1: 0}
        self._above: dict[int, int] = {0: 0}
        self._roots: dict[int, int] = {0: 0, 1: 1}
        self._oracles: dict[object, int] = {}
        self._powers: dict[int, list[tuple[int, int]]] = {}
        self._overs: dict[int, tuple[Array, Array]] = {}
        self._inverses: dict[tuple[int, ...], tuple[Array, int]] = {}

    def value(self, expr: Expr) -> Array:
        """The value of `expr`, row-major."""
        values = self.sheet.values
        found = values.get(expr)
        if found is not None:
            return found
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
        found = self._dims.get(shape)
        if found is None:
            sizes = self.sizes
            found = self._dims[shape] = tuple([sizes[size] for size in shape])
        return found

    def entries(self, shape: Shape) -> int:
        """How many entries such an array has."""
        found = self._entries.get(shape)
        if found is None:
            found = self._entries[shape] = prod(self.dims(shape))
        return found

    def draw(self, shape: Shape) -> Array:
        """Random numbers in this shape."""
        random, bits = self._random, self._bits
        return [random(bits) for _ in range(self.entries(shape))]

    def oracle(self, key: object) -> int:
        """The same random number whenever the key is the same."""
        found = self._oracles.get(key)
        if found is None:
            found = self._oracles[key] = self._random(self._bits)
        return found

    def _compute(self, node: Expr, args: Sequence[Array], sheet: Sheet) -> Array:
        """The value of `node` from those of its operands."""
        op = node.op
        if self.entries(node.shape) > MOST_ENTRIES:
            raise NotInField(op.name)
        rule = self.rules.get(op)
        if rule is not None:
            try:
                return rule(self, node, *args)
            except TooMany:
                raise NotInField(op.name) from None
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
        values, fixed = sheet.values, parts.fixed
        for node in parts.order:
            if node in fixed:
                values[node] = self.value(node)
            else:
                values[node] = self._compute(node, [values[arg] for arg in node.args], sheet)
        return values[parts.roots[0]]

    def contraction(self, node: Expr) -> Contraction:
        """What the index string of `node` does to arrays."""
        found = self._contractions.get(node)
        if found is None:
            shapes = tuple([self.dims(arg.shape) for arg in node.args])
            try:
                found = _contraction_of(node.op, node.params, shapes, self.dims(node.shape))
            except TooMany:
                raise NotInField(node.op.name) from None
            self._contractions[node] = found
        return found

    def move(self, node: Expr, dargs: Sequence[Array | None], sheet: Sheet) -> Array | None:
        """How the value of `node` moves when its operands move by `dargs`; None where nothing moves."""
        if dargs.count(None) == len(dargs):
            return None
        op = node.op
        rule = self.slopes.get(op)
        args = [sheet.values[arg] for arg in node.args]
        if rule is not None:
            return rule(self, node, sheet.values[node], args, dargs)
        if op.indices is not None:
            contract, p = self.contraction(node), self.prime
            changes = [
                contract(p, *args[:k], d, *args[k + 1 :]) for k, d in enumerate(dargs) if d is not None
            ]
            return changes[0] if len(changes) == 1 else self.total(changes)
        if op.definition is not None:
            parts = unfolded(op, node.params, tuple([arg.shape for arg in node.args]))
            inner = sheet.inner[node]
            moves: dict[Expr, Array | None] = dict(zip(parts.marks, dargs, strict=True))
            for part in parts.order:
                still = part in parts.fixed
                moves[part] = None if still else self.move(part, [moves[arg] for arg in part.args], inner)
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
        return self.total(changes)

    def total(self, arrays: Sequence[Array]) -> Array:
        """The sum of arrays."""
        return [sum(entries) % self.prime for entries in zip(*arrays, strict=True)]

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

    def over(self, values: Array) -> Array:
        """`inverses`, remembered for an array that is divided by again."""
        found = self._overs.get(id(values))
        if found is None:
            found = self._overs[id(values)] = values, self.inverses(values)
        return found[1]

    def fraction(self, value: Fraction) -> int:
        """A number of the field from a fraction."""
        if value.denominator == 1:
            return value.numerator % self.prime
        return value.numerator * pow(value.denominator, -1, self.prime) % self.prime

    def raised(self, x: int, n: int) -> int:
        """xⁿ for n ≥ 0."""
        return pow(x, n, self.prime)

    def circle(self, x: int) -> tuple[int, int]:
        """cos and sin as oracles: a random point of the circle for each angle, its mirror image for −x.

        (1 − t²)/(1 + t²) and 2t/(1 + t²) run over the circle; −1 is no square, so nothing is divided by zero.
        """
        p = self.prime
        near = min(x, p - x)
        t = self.oracle(("half angle", near)) if x else 0
        below = pow(1 + t * t, -1, p)
        return (1 - t * t) * below % p, (2 * t if x == near else -2 * t) * below % p

    def part_of_power(self, x: int, part: Fraction) -> int:
        """x to a fraction between 0 and 1, as an oracle."""
        return self.oracle(("power", x, part))

    def largest(self, line: Array) -> Array:
        """Weights that add up to one, as an oracle: the same wherever all entries differ by the same."""
        p = self.prime
        key = tuple((x - line[0]) % p for x in line)
        weights = [self.oracle(("hardmax", k, key)) for k in range(len(line) - 1)]
        return [*weights, (1 - sum(weights)) % p]

    def place(self, x: int, length: int) -> Array:
        """Weights that add up to one for the place x, as an oracle: no two places are the same by chance."""
        weights = [self.oracle(("place", k, x)) for k in range(length - 1)]
        return [*weights, (1 - sum(weights)) % self.prime]

    def eliminated(self, matrix: Array) -> tuple[Array | None, int]:
        """The inverse of a square matrix, None where it is singular, and its determinant."""
        return eliminated(self.prime, matrix)

    def inverse_matrix(self, matrix: Array) -> tuple[Array, int]:
        """The inverse of a square matrix, and its determinant."""
        key = tuple(matrix)
        found = self._inverses.get(key)
        if found is None:
            inverse, determinant = self.eliminated(matrix)
            if inverse is None:
                raise Singular("a singular matrix")
            found = self._inverses[key] = inverse, determinant
        return found

    def exp(self, x: int) -> int:
        """exp as an oracle: exp(−x) exp(x) = 1, and log is its inverse."""
        found = self._exp.get(x)
        return self._exp_pair(x, self._random(self._bits))[1] if found is None else found

    def exps(self, values: Array) -> Array:
        """`exp` of each, with one inversion for all that are new."""
        p, known, new = self.prime, self._exp, dict[int, int]()
        for x in values:
            if x not in known and x not in new and -x % p not in new:
                new[x] = self._random(self._bits)
        for (x, y), inverse in zip(new.items(), self.inverses([*new.values()]), strict=True):
            known[x], known[-x % p] = y, inverse
            self._log[y], self._log[inverse] = x, -x % p
        return [known[x] for x in values]

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
        """√x: of both square roots the one that is itself a square; without `roots` an oracle.

        The square root of a small number is always a true one where there is one.
        """
        found = self._roots.get(x)
        if found is None:
            p = self.prime
            found = pow(x, (p + 1) // 4, p)
            if found * found % p != x and self.roots:
                raise Redraw("no square root")
            if not self.roots and (x > SMALL or found * found % p != x):
                found = self._random(self._bits)
            self._roots[x] = found
        return found

    def pi(self) -> int:
        """π as an oracle, whose square root, and that of 2π, is a true one with or without `roots`."""
        p = self.prime
        root = self.oracle("fourth root of pi") ** 2 % p
        pi = root * root % p
        self._roots[pi], self._roots[2 * pi % p] = root, root * self.root(2) % p
        return pi

    def above(self, difference: int) -> int:
        """1[difference > 0]: any element, and its opposite's complement to one; 0 where nothing differs."""
        found = self._above.get(difference)
        if found is None:
            found = self._above[difference] = self._random(1 if self.binary else self._bits)
            self._above[-difference % self.prime] = (1 - found) % self.prime
        return found

    def power(self, x: int, n: int) -> int:
        """xⁿ: an integer power, or an oracle with xⁿ⁺¹ = x xⁿ."""
        p = self.prime
        if n <= MOST_EXPONENT or n >= p - MOST_EXPONENT:
            if x == 0 and n > MOST_EXPONENT:
                raise Redraw("a negative power of zero")
            return pow(x, n if n <= MOST_EXPONENT else n - p, p)
        known = self._powers.setdefault(x, [])
        for m, value in known:
            shift = (n - m) % p
            if shift <= 8 or shift >= p - 8:
                return value * pow(x, shift if shift <= 8 else shift - p, p) % p
        known.append((n, self._random(self._bits)))
        return known[-1][1]


class Direction:
    """How every expression moves from a point when the expressions in `given` move as they say.

    Other variables move as in `ground`, another direction, or not at all; what stands still there does so
    here.
    """

    def __init__(
        self, point: Point, given: Mapping[Expr, Array | None], ground: Direction | None = None
    ) -> None:
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
            node = stack.pop()
            if node in moves:
                continue
            if not node.args:
                moves[node] = ground.get(node)
            elif ground.get(node, node) is None:
                moves[node] = None
            elif waiting := [arg for arg in node.args if arg not in moves]:
                stack.append(node)
                stack += waiting
            else:
                moves[node] = point.move(node, [moves[arg] for arg in node.args], point.sheet)
        return moves[expr]
