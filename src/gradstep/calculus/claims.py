"""Is a claim right? Two expressions that should have the same entries, compared at random points.

First in the prime field, exactly and with a prime that is drawn for this claim, at two draws of the sizes;
what is wrong there beyond doubt is wrong. Functions that are not rational obey more laws than the field
knows, so a claim that differs there is looked at once more in floating point, and then on both sides of each
condition (`borders.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from gradstep.calculus.borders import differing_points
from gradstep.calculus.certificate import is_oracle
from gradstep.calculus.chances import Degrees, bits_needed, random_prime
from gradstep.calculus.field import NotInField, Point, Redraw
from gradstep.calculus.floating import compare_values
from gradstep.calculus.lengths import fitting_sizes
from gradstep.calculus.verdicts import Method
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Lengths

DRAWS = 2
TRUE_ROOTS = 4
REDRAWS = 64


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether both sides are the same: True, False, or None where no point could tell.

    method   how it was found: "exact" in a field of the size of `prime`, or "floating point"
    chance   of calling a wrong claim right, where the method is exact
    """

    verdict: bool | None
    method: Method
    prime: int
    chance: float


def compared(truth: Expr, claim: Expr, rng: Random) -> Comparison:
    """Whether `claim` has the entries of `truth`, wherever that is defined."""
    nodes = list(walk(truth, claim))
    draws = fitting_sizes(nodes, DRAWS, rng)
    degrees = Degrees({size: max(draw[size] for draw in draws) for size in draws[0]})
    degrees.learn(nodes)
    roots = degrees.roots if degrees.roots <= TRUE_ROOTS else 0
    degree = sum(degrees.known[truth]) + sum(degrees.known[claim])
    weight = (1 + degree + degrees.arguments**2 * degrees.argument) << 2 * roots
    prime = random_prime(bits_needed(weight, DRAWS), rng)
    chance = max((weight / 2 ** (prime.bit_length() - 1)) ** DRAWS, 1e-300)
    found = [_agree(truth, claim, prime, sizes, rng, roots > 0) for sizes in draws]
    if truth is claim or all(found):
        return Comparison(True, "exact", prime, chance)
    if False in found and not any(map(is_oracle, nodes)):
        return Comparison(False, "exact", prime, chance)
    agrees, _, _ = compare_values(truth, claim, rng)
    if agrees:
        agrees = next(differing_points(truth, claim, (), rng), None) is None
    return Comparison(agrees, "not checked" if agrees is None else "floating point", prime, chance)


def _agree(truth: Expr, claim: Expr, prime: int, sizes: Lengths, rng: Random, roots: bool) -> bool | None:
    """Whether both sides are the same integers at one point; None where the field has no answer."""
    for left in reversed(range(REDRAWS if roots else 4)):
        point = Point(prime, sizes, rng, roots and left > 0)
        try:
            return list(point.value(truth)) == list(point.value(claim))
        except Redraw:
            continue
        except NotInField:
            return None
    return None
