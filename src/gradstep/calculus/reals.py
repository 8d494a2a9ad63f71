"""What if no prime field can tell? The same arithmetic with real numbers of 60 digits.

A `RealPoint` reads the tables of values and changes that `Point` reads, with decimal numbers in the place of
integers modulo a prime: derivatives come from dual numbers, not from differences, and what is compared agrees
to 50 digits or is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Context, Decimal, InvalidOperation, Overflow, localcontext
from fractions import Fraction
from math import isqrt, prod
from random import Random
from typing import Any, TypeVar

from gradstep.calculus.field import NotInField, Point, Redraw
from gradstep.expression.node import Expr, Operation
from gradstep.expression.shapes import Shape, Size
from gradstep.operations.convolutions import CONVOLUTIONS

DIGITS = 50  # to which two sides must agree
GUARD = 30  # digits that may be lost on the way
FURTHEST = 10_000  # exp and powers of larger numbers are not asked for

Array = Sequence[Any]
Rule = TypeVar("Rule")


class Undefined(Redraw):
    """What has no real value: a logarithm or a root of a negative number, a zero below."""


class _Reals:
    """A modulus that leaves every number as it is."""

    def __rmod__(self, number: Any) -> Any:
        return number


@contextmanager
def many_digits() -> Iterator[None]:
    """Decimal arithmetic with digits to spare."""
    with localcontext(Context(prec=DIGITS + GUARD, Emax=10**9, Emin=-(10**9))):
        yield


def series(first: Decimal, ratio: Callable[[int], Decimal]) -> Decimal:
    """first (1 + r₁ + r₁ r₂ + …), until nothing is added any more."""
    total, term, k = first, first, 1
    while True:
        term = term * ratio(k)
        if total + term == total:
            return total
        total, k = total + term, k + 1


def sine(x: Decimal) -> Decimal:
    """Σ (−1)ᵏ x²ᵏ⁺¹/(2k + 1)!"""
    return series(x, lambda k: -x * x / (2 * k * (2 * k + 1)))


def cosine(x: Decimal) -> Decimal:
    """Σ (−1)ᵏ x²ᵏ/(2k)!"""
    return series(Decimal(1), lambda k: -x * x / (2 * k * (2 * k - 1)))


def arctangent(x: Decimal) -> Decimal:
    """Twice the angle of half the size, until it is small; then Euler's series."""
    doublings = 0
    while abs(x) > Decimal("0.1"):
        x, doublings = x / (1 + (1 + x * x).sqrt()), doublings + 1
    y = x * x / (1 + x * x)
    angle = series(y / x if x else x, lambda k: y * 2 * k / (2 * k + 1))
    return angle * Decimal(2**doublings)


def error_function(x: Decimal) -> Decimal:
    """2/√π e^(−x²) Σ 2ᵏ x²ᵏ⁺¹/(2k + 1)!!"""
    return 2 / pi().sqrt() * (-x * x).exp() * series(x, lambda k: 2 * x * x / (2 * k + 1))


def pi() -> Decimal:
    """Four times the angle with the tangent 1."""
    return 4 * arctangent(Decimal(1))


def arcsine(x: Decimal) -> Decimal:
    """The angle with this sine."""
    return 2 * arctangent(x / (1 + (1 - x * x).sqrt()))


FUNCTIONS: dict[str, Callable[[Decimal], Decimal]] = {
    "arctan": arctangent,
    "arcsin": arcsine,
    "arccos": lambda x: pi() / 2 - arcsine(x),
    "erf": error_function,
}


def _without(table: Mapping[Operation, Rule], ops: Container[Operation]) -> Mapping[Operation, Rule]:
    return {op: rule for op, rule in table.items() if op not in ops}


class RealPoint(Point):
    """Random real values of the variables, and from them the value of any expression, to 60 digits or more.

    `sign` is that of the variables, 0 for both; they lie between 1/5 and 2 in size, times `scale`.
    `Undefined` is raised where something has no real value. Work inside `many_digits()`.
    """

    # What is packed into long integers is worked out by its definition here.
    rules = _without(Point.rules, CONVOLUTIONS)
    slopes = _without(Point.slopes, CONVOLUTIONS)

    def __init__(self, sizes: Mapping[Size, int], rng: Random, sign: int = 0, scale: str = "1") -> None:
        super().__init__(3, sizes, rng)
        self.prime: Any = _Reals()
        self.rng, self.sign, self.scale = rng, sign, Decimal(scale)

    def value(self, expr: Expr) -> Array:
        """The value of `expr`, row-major."""
        try:
            return super().value(expr)
        except (InvalidOperation, Overflow, ZeroDivisionError):
            raise Undefined("no real value") from None

    def draw(self, shape: Shape) -> Array:
        """Random numbers in this shape."""
        return [self._number() for _ in super().draw(shape)]

    def _number(self) -> Decimal:
        size = Decimal(self.rng.randrange(2 * 10**29, 2 * 10**30)).scaleb(-30) * self.scale
        return size if self.sign > 0 or (self.sign == 0 and self.rng.random() < 0.5) else -size

    def fraction(self, value: Fraction) -> Any:
        """A number from a fraction."""
        return Decimal(value.numerator) / value.denominator

    def raised(self, x: Any, n: int) -> Any:
        """xⁿ for n ≥ 0."""
        return Decimal(x) ** n if n else Decimal(1)

    def inverses(self, values: Array) -> list[Any]:
        """One over each."""
        if not all(values):
            raise Undefined("a zero below the line")
        return [1 / Decimal(x) for x in values]

    def eliminated(self, matrix: Array) -> tuple[Any, Any]:
        """The inverse of a square matrix, None where it is singular, and its determinant.

        A determinant that has lost the digits to spare is that of a singular matrix: a bᵀ has 10⁻⁸⁰, not 0.
        """
        decimals: Array = [Decimal(x) for x in matrix]
        inverse, determinant = super().eliminated(decimals)
        n = isqrt(len(decimals))
        largest = prod((max(map(abs, decimals[k : k + n])) for k in range(0, n * n, n)), start=Decimal(1))
        if abs(determinant) <= largest.scaleb(-GUARD):
            return None, Decimal(0)
        return inverse, determinant

    def exps(self, values: Array) -> Array:
        """`exp` of each."""
        return [self.exp(x) for x in values]

    def exp(self, x: Any) -> Any:
        """eˣ."""
        if abs(x) > FURTHEST:
            raise Undefined("too large")
        return Decimal(x).exp()

    def log(self, y: Any) -> Any:
        """The natural logarithm."""
        if y <= 0:
            raise Undefined("the logarithm of what is not positive")
        return Decimal(y).ln()

    def root(self, x: Any) -> Any:
        """√x."""
        if x < 0:
            raise Undefined("the root of a negative number")
        return Decimal(x).sqrt()

    def pi(self) -> Any:
        """π."""
        return pi()

    def above(self, difference: Any) -> Any:
        """1[difference > 0]."""
        return int(difference > 0)

    def circle(self, x: Any) -> tuple[Any, Any]:
        """cos and sin."""
        return cosine(Decimal(x)), sine(Decimal(x))

    def power(self, x: Any, n: Any) -> Any:
        """xⁿ; of a negative number for whole n alone."""
        whole = n == int(n)
        if (x == 0 and n < 0) or (x < 0 and not whole) or abs(n) > FURTHEST:
            raise Undefined("no real power")
        return Decimal(x) ** (int(n) if whole else Decimal(n)) if n else Decimal(1)

    def part_of_power(self, x: Any, part: Fraction) -> Any:
        """x to a fraction between 0 and 1."""
        return self.power(x, self.fraction(part))

    def largest(self, line: Array) -> Array:
        """1 at the largest entry; those that tie share it."""
        top = [int(x == max(line)) for x in line]
        return [Decimal(x) / sum(top) for x in top]

    def place(self, x: Any, length: int) -> Array:
        """1 at one of so many places, 0 elsewhere."""
        return [int(hash(x) % length == k) for k in range(length)]

    def oracle(self, key: object) -> Any:
        """A function of one number by its name."""
        if isinstance(key, tuple) and key[0] in FUNCTIONS and len(key) == 2:
            return FUNCTIONS[key[0]](Decimal(key[1]))
        raise NotInField(str(key))
