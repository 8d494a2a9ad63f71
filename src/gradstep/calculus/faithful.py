"""What if a law needs more of the reals than an oracle knows? A prime field with signs and exponents.

At a `Point` a mask may be any slope and exp any function that is its own slope. Laws such as 1[z > 0]² =
1[z > 0], log(eᵃ eᵇ) = a + b and ‖c x‖ = c ‖x‖ need more. At a `FaithfulPoint`

- the sign of a number is whether it is a square: the prime is 3 modulo 4, so −1 is none, products and
  quotients have the signs that they have among the reals, √x² = |x|, and masks are 0 or 1;
- exp(a + b) = exp(a) exp(b) and log(x y) = log x + log y, for sums of arguments that were asked for, their
  doubles, triples, halves and thirds; cos and sin obey the addition theorems in the same way;
- xⁿ = exp(n log x), and x^(1/n) is the root;
- logarithms and roots of negative numbers are not defined.

What holds here for numbers of every sign holds for real numbers too: signs that are independent here may be
anything, those that depend on each other do so as among the reals.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from fractions import Fraction
from math import lcm
from random import Random
from typing import Generic, TypeVar

from gradstep.calculus.contractions import Array
from gradstep.calculus.field import Point, Redraw, Sheet
from gradstep.expression.node import Expr
from gradstep.expression.shapes import Size
from gradstep.operations.leaves import symbol_op

PAIRS = 40  # so many arguments of exp are kept to recognise sums of them
ROOTS = lcm(2, 3, 5, 7, 11, 13)  # roots that every prime drawn by `random_prime` has
MULTIPLES = (2, 3, 6, 12, 18)  # of a sixth of an argument

Value = TypeVar("Value")


def jacobi(x: int, p: int) -> int:
    """1 where x is a square modulo the prime p, −1 where it is none, 0 where it is zero."""
    x, sign = x % p, 1
    while x:
        twos = (x & -x).bit_length() - 1
        x >>= twos
        if twos & 1 and p & 7 in (3, 5):
            sign = -sign
        if x & p & 2:
            sign = -sign
        x, p = p % x, x
    return sign if p == 1 else 0


class Homomorphism(Generic[Value]):
    """Pairs x ↔ f(x) with f(a + b) = f(a) f(b): what follows from earlier pairs is not drawn anew.

    It is looked for among the sums of up to three of the x, and of two of their multiples. `height` bounds
    how many free values the largest product has; `compared` counts with how many sums an argument could have
    coincided.
    """

    def __init__(self, prime: int, one: Value, times: Callable[[Value, Value], Value]) -> None:
        self.prime, self.times = prime, times
        self.units: list[tuple[int, Value, int]] = []  # ±x, f and the height
        self.steps: list[tuple[int, Value, Value, int]] = []  # multiples of x, f, 1/f and the height
        self.forward: dict[int, tuple[Value, int]] = {0: (one, 0)}
        self.backward: dict[Value, tuple[int, int]] = {one: (0, 0)}
        self.height, self.compared = 1, 0

    def value(self, x: int) -> Value | None:
        """f(x), if it follows from the pairs."""
        self.compared += len(self.forward) * (1 + len(self.steps))
        if x in self.forward:
            return self.forward[x][0]
        for step, y, _, height in self.steps:
            found = self.forward.get((x - step) % self.prime)
            if found is not None:
                self._note(x, self.times(found[0], y), found[1] + height)
                return self.forward[x][0]
        return None

    def argument(self, y: Value) -> int | None:
        """x with f(x) = y, if it follows from the pairs."""
        self.compared += len(self.backward) * (1 + len(self.steps))
        if y in self.backward:
            return self.backward[y][0]
        for step, _, under, height in self.steps:
            found = self.backward.get(self.times(y, under))
            if found is not None:
                self._note((found[0] + step) % self.prime, y, found[1] + height)
                return self.backward[y][0]
        return None

    def learn(self, x: int, sixth: Value, under: Value) -> Value:
        """A new pair: f(x), from f(x/6) and one over it."""
        p, part = self.prime, x * pow(6, -1, self.prime) % self.prime
        up, down = self._powers(sixth), self._powers(under)
        own = [(k * part % p, up[k], down[k], k // 6 + 1) for k in MULTIPLES]
        own += [(-a % p, low, high, height) for a, high, low, height in own]
        for a, value, _, height in own:
            self._note(a, value, height)
        if len(self.units) < 2 * PAIRS:
            self.steps += own
            for a, value in ((x, up[6]), (-x % p, down[6])):
                self.units.append((a, value, 1))
                for b, other, height in self.units:
                    self._note((a + b) % p, self.times(value, other), 1 + height)
        return up[6]

    def _powers(self, value: Value) -> list[Value]:
        powers = [value, value]
        while len(powers) <= MULTIPLES[-1]:
            powers.append(self.times(powers[-1], value))
        return powers

    def _note(self, x: int, y: Value, height: int) -> None:
        if x not in self.forward:
            self.forward[x] = y, height
            self.backward.setdefault(y, (x, height))
            self.height = max(self.height, height)


class FaithfulPoint(Point):
    """A point where signs, roots, exponentials and angles obey the laws of the reals (see above).

    `demanded` counts how often a number had to be positive: `Redraw` is raised where one is not. What is
    `positive` is drawn so if it is a variable, and demanded to be so if it is worked out, or is a size.
    """

    def __init__(
        self, prime: int, sizes: Mapping[Size, int], rng: Random, positive: Container[Expr] = ()
    ) -> None:
        super().__init__(prime, sizes, rng, roots=True)
        self.positive = positive
        p = prime
        self.demanded = 0
        self._known_positive: set[int] = set()
        self.powers = Homomorphism[int](p, 1, lambda a, b: a * b % p)
        self.turns = Homomorphism[tuple[int, int]](
            p, (1, 0), lambda a, b: ((a[0] * b[0] - a[1] * b[1]) % p, (a[0] * b[1] + a[1] * b[0]) % p)
        )

    @property
    def height(self) -> int:
        """A bound on the degree of what oracles return, in the numbers that were drawn for them."""
        return 12 * max(self.powers.height, self.turns.height)

    @property
    def compared(self) -> int:
        """With how many values an argument of an oracle could have coincided."""
        return self.powers.compared + self.turns.compared

    def _compute(self, node: Expr, args: Sequence[Array], sheet: Sheet) -> Array:
        values = super()._compute(node, args, sheet)
        if node in self.positive:
            if node.op is symbol_op:
                return [x * x % self.prime for x in values]
            self._demand(values)
        return values

    def _demand(self, values: Sequence[int]) -> None:
        for x in values:
            if x not in self._known_positive:
                self.demanded += 1
                if jacobi(x, self.prime) < 0:
                    raise Redraw("a negative number where a positive one is meant")
                self._known_positive.add(x)

    def exp(self, x: int) -> int:
        """exp as a homomorphism to the positive numbers."""
        found = self.powers.value(x)
        if found is None:
            base = pow(self._random(self._bits), 2, self.prime)
            found = self.powers.learn(x, base, pow(base, -1, self.prime))
        return found

    def exps(self, values: Sequence[int]) -> Sequence[int]:
        """`exp` of each."""
        return [self.exp(x) for x in values]

    def log(self, y: int) -> int:
        """log, the inverse of `exp`."""
        if y == 0:
            raise Redraw("the logarithm of zero")
        self._demand([y])
        found = self.powers.argument(y)
        if found is None:
            found = self._random(self._bits)
            base = self._positive_root(y, 6)
            self.powers.learn(found, base, pow(base, -1, self.prime))
        return found

    def circle(self, x: int) -> tuple[int, int]:
        """cos and sin, with the addition theorems."""
        found = self.turns.value(x)
        if found is None:
            p, t = self.prime, self._random(self._bits)
            below = pow(1 + t * t, -1, p)
            cosine, sine = (1 - t * t) * below % p, 2 * t * below % p
            found = self.turns.learn(x, (cosine, sine), (cosine, -sine % p))
        return found

    def root(self, x: int) -> int:
        """√x, which is positive."""
        if x:
            self._demand([x])
        return self._positive_root(x, 2)

    def _positive_root(self, x: int, n: int) -> int:
        """The n-th root of a square that is a square too: there is one: n is prime to their number."""
        return pow(x, pow(n, -1, (self.prime - 1) // 2), self.prime)

    def above(self, difference: int) -> int:
        """1[difference > 0]."""
        return int(jacobi(difference, self.prime) > 0)

    def power(self, x: int, n: int) -> int:
        """xⁿ: an integer power, or exp(n log x)."""
        if n <= 64 or n >= self.prime - 64:
            return super().power(x, n)
        return self.exp(n * self.log(x) % self.prime)

    def part_of_power(self, x: int, part: Fraction) -> int:
        """x to a fraction between 0 and 1."""
        if ROOTS % part.denominator:
            return self.exp(self.fraction(part) * self.log(x) % self.prime)
        if x:
            self._demand([x])
        return pow(self._positive_root(x, part.denominator), part.numerator, self.prime)
