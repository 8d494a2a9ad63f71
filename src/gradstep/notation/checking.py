"""Is the line that is shown the line that was proved? What is printed, evaluated again.

A derivation is certified as expressions; a view prints them lowered to indices, with ∂C/∂z as a symbol, with
numbers moved in front. Here the printed expression is worked out entry by entry at a random point of the
prime field and compared with what it stands for.
"""

from __future__ import annotations

import operator
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import product as every
from math import prod as product
from random import Random
from typing import Literal

from gradstep.calculus.chances import random_prime
from gradstep.calculus.cotangents import cotangent_op
from gradstep.calculus.field import NotInField, Point, Redraw, Sheet
from gradstep.calculus.lengths import fitting_sizes
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Lengths, size_names
from gradstep.notation.alike import alike
from gradstep.notation.blocks import block_of, joined
from gradstep.notation.indices import (
    BINDING,
    Index,
    block_op,
    choice_op,
    entry_op,
    indices_of,
    join_op,
    product_op,
    sigma_op,
)

TRIALS = 2
BITS = 71
BINARY_TRIALS = 146  # where comparisons are 0 or 1: what shows once in four times is missed with 2⁻⁶⁰
REDRAWS = 300  # at each sizes: of seven random entries all are squares once in 128 times
PLACES = 4  # a claim with indices is looked at in so many places of each array

RELATIONS = {"≤": operator.le, "≥": operator.ge, "≠": operator.ne}

Outcome = Literal["exact", "not checked", "wrong"]
_SEVERITY: tuple[Outcome, ...] = ("exact", "not checked", "wrong")
Array = Sequence[int]


@record
class Claim:
    """`shown`, a lowered expression with free indices, is the entry at `at` of `meant`."""

    shown: Expr
    meant: Expr
    at: tuple[Index, ...] = ()


class Reading:
    """Works out printed expressions at one point: entries, sums over indices, and the symbols ∂C/∂N.

    What is `known` has no index in it, and its value comes from the point.
    """

    def __init__(self, point: Point, cotangents: Mapping[Expr, Expr], known: Container[Expr]) -> None:
        self.point, self.cotangents, self.known = point, cotangents, known
        self.free: dict[Expr, tuple[str, ...]] = {}
        self.values: dict[tuple[Expr, tuple[int | None, ...]], Array] = {}

    def value(self, expr: Expr, at: Mapping[str, int]) -> Array:
        """The value of a printed expression, its free indices being `at`; row-major.

        It is worked out once for each value of the indices in it, not for those of all sums around it.
        """
        key = expr, tuple([at.get(index) for index in self.indices(expr)])
        found = self.values.get(key)
        if found is None:
            found = self.values[key] = self.computed(expr, at)
        return found

    def indices(self, expr: Expr) -> tuple[str, ...]:
        """The indices that occur free in an expression (and sizes, which do not matter)."""
        known = self.free.get(expr)
        if known is not None:
            return known
        for node in walk(expr, stop=self.free.__contains__):
            if node not in self.free:
                own = (name for place in indices_of(node) for name in size_names(place))
                found = dict.fromkeys(own, None)
                if node.op is entry_op:  # of something that may have indices itself
                    found |= dict.fromkeys(self.indices(node.params[0]), None)
                bound = node.params[0] if node.op in BINDING else None
                inner = (name for arg in node.args for name in self.free[arg] if name != bound)
                self.free[node] = tuple(found | dict.fromkeys(inner, None))
        return self.free[expr]

    def computed(self, expr: Expr, at: Mapping[str, int]) -> Array:
        """The same, where it is not known yet."""
        if expr.op is entry_op:
            of, indices = expr.params[:2]
            assert isinstance(of, Expr) and isinstance(indices, tuple)
            return self.entry(self.value(of, at), of, [self.place(i, at) for i in indices])
        if expr.op is cotangent_op:
            part = expr.params[0]
            assert isinstance(part, Expr)
            return self.point.value(self.cotangents[part])
        if expr.op is sigma_op:
            return self.point.total(self.run(expr, at))
        if expr.op is product_op:
            return [product(entries) % self.point.prime for entries in zip(*self.run(expr, at), strict=True)]
        if expr.op is block_op:
            axis, index, _, inner = expr.params
            dims = self.point.dims(expr.args[0].shape)
            block, where = self.value(expr.args[0], at), self.place(index, at) or 0
            return block_of(block, dims, axis, where, self.point.sizes[inner])
        if expr.op is join_op:
            return joined(self.run(expr, at), self.point.dims(expr.args[0].shape), expr.params[2])
        if expr.op is choice_op:
            index, start, stop, _ = (self.place(str(place), at) or 0 for place in expr.params)
            return self.value(expr.args[0] if start <= index < stop else expr.args[1], at)
        if not expr.args or expr in self.known:
            return self.point.value(expr)
        return self.point._compute(expr, [self.value(arg, at) for arg in expr.args], Sheet())

    def run(self, expr: Expr, at: Mapping[str, int]) -> Sequence[Array]:
        """The body of a sum or a product, for every value of its index."""
        index, size, *limit = expr.params
        run: Iterable[int] = range(self.point.sizes[size])
        if limit and expr.op is not join_op:
            relation, bound = limit[0], self.place(limit[1], at) or 0
            run = [k for k in run if RELATIONS[relation](k, bound)]
        return [self.value(expr.args[0], {**at, str(index): k}) for k in run]

    def place(self, index: Index, at: Mapping[str, int]) -> int | None:
        """Where an index is: i, i + 1, n − 1."""
        if index is None or index in at:
            return None if index is None else at[index]
        lengths = Lengths(self.point.sizes)
        lengths.update(at)
        try:
            return lengths[index]
        except KeyError as error:
            raise MathError(
                f"the index {error.args[0]} of a line here belongs to no sum, so it is not shown",
                mend="another view, and reporting this formula to the authors of gradstep",
            ) from None

    def entry(self, array: Array, of: Expr, at: Sequence[int | None]) -> Array:
        """The part of an array at fixed places along some of its axes."""
        lengths = self.point.dims(of.shape)
        places = every(*(range(n) if k is None else (k,) for n, k in zip(lengths, at, strict=True)))
        found = []
        for place in places:
            flat = 0
            for n, k in zip(lengths, place, strict=True):
                flat = flat * n + k
            found.append(array[flat])
        return found

    def sides(self, claim: Claim, rng: Random) -> tuple[list[int], list[int]]:
        """What is printed and what it stands for, at random values of the indices."""
        lengths = self.point.dims(claim.meant.shape)
        at = [None if i is None else rng.randrange(n) for i, n in zip(claim.at, lengths, strict=True)]
        names = {i: k for i, k in zip(claim.at, at, strict=True) if i is not None and k is not None}
        meant = self.entry(self.value(claim.meant, {}), claim.meant, at)
        return list(self.value(claim.shown, names)), list(meant)

    def holds(self, claim: Claim, rng: Random) -> bool:
        """Whether the claim is true here, at a few random values of its indices."""
        for _ in range(PLACES if any(claim.at) else 1):
            shown, meant = self.sides(claim, rng)
            if shown != meant:
                return False
        return True


def check(derivation: Derivation, claims: Sequence[Claim], seed: int) -> tuple[Outcome, ...]:
    """How each claim fared, at two random points with sizes of their own.

    What does not hold for any function in the place of √ is looked at again where √x √x = x, and what does
    not hold for any slope on either side of a kink once more with masks that are 0 or 1, at so many points
    that a wrong one does not get through: laws such as m² = m hold for these alone.
    """
    rng = Random(seed)
    prime = random_prime(BITS, rng)
    outcomes: list[Outcome] = ["wrong"] * len(claims)
    for places in _repeated(derivation, claims, prime, rng):
        for place in places:
            outcomes[place] = "exact"
    nodes = _nodes(derivation, claims)
    for trials, roots, binary in ((TRIALS, False, False), (TRIALS, True, False), (BINARY_TRIALS, True, True)):
        doubtful = [k for k, outcome in enumerate(outcomes) if outcome == "wrong"]
        again = [claims[k] for k in doubtful]
        given = derivation.cotangents
        found = _outcomes(given, again, nodes, prime, rng, trials, roots, binary) if again else []
        for k, outcome in zip(doubtful, found, strict=True):
            outcomes[k] = outcome
    return tuple(outcomes)


def _repeated(
    derivation: Derivation, claims: Sequence[Claim], prime: int, rng: Random
) -> Iterator[Sequence[int]]:
    """Places of claims that are the same but for names, and hold whatever what has a name is worth."""
    lines = [(claim.shown, claim.meant, claim.at) for claim in claims]
    kinds = [*alike(lines, derivation.cotangents, {*derivation.parts, *derivation.fences})]
    about = [Claim(shown, meant, claims[places[0]].at) for (shown, meant), places in kinds]
    if not about:
        return
    nodes = [*walk(*(claim.meant for claim in about))]
    found = _outcomes({}, about, nodes, prime, rng, TRIALS, roots=False, binary=False)
    for (_, places), outcome in zip(kinds, found, strict=True):
        if outcome == "exact":
            yield places


def witnesses(derivation: Derivation, claims: Sequence[Claim]) -> Iterator[tuple[int, int] | None]:
    """For each claim an entry of what is printed and of what it stands for, None where they have no value.

    The prime and the seed are those of the certificate.
    """
    assert derivation.certificate is not None
    rng, prime = Random(derivation.certificate.seed), derivation.certificate.prime
    nodes = _nodes(derivation, claims)
    binary = "wrong" in _outcomes(
        derivation.cotangents, claims, nodes, prime, rng, 1, roots=True, binary=False
    )
    (sizes,) = fitting_sizes(nodes, 1, rng)
    reading = Reading(Point(prime, sizes, rng, binary=binary), derivation.cotangents, set(nodes))
    for claim in claims:
        found = None
        for _ in range(REDRAWS):
            try:
                shown, meant = reading.sides(claim, rng)
                found = shown[0], meant[0]
                break
            except Redraw:
                point = Point(prime, sizes, rng, binary=binary)
                reading = Reading(point, derivation.cotangents, set(nodes))
            except NotInField:
                break
        yield found


def _outcomes(
    cotangents: Mapping[Expr, Expr],
    claims: Sequence[Claim],
    nodes: Sequence[Expr],
    prime: int,
    rng: Random,
    trials: int,
    roots: bool,
    binary: bool,
) -> list[Outcome]:
    """How each claim fared at so many points."""
    outcomes: list[Outcome] = ["exact"] * len(claims)
    known = set(nodes)
    for sizes in fitting_sizes(nodes, trials, rng):
        reading = Reading(Point(prime, sizes, rng, roots, binary), cotangents, known)
        left = REDRAWS
        for k, claim in enumerate(claims):
            found: Outcome = "not checked"
            while left:
                try:
                    found = "exact" if reading.holds(claim, rng) else "wrong"
                    break
                except Redraw:
                    left -= 1
                    reading = Reading(Point(prime, sizes, rng, roots, binary), cotangents, known)
                except NotInField:
                    break
            if found == "not checked" and not left:
                found = _without_roots(claim, Point(prime, sizes, rng, False, binary), cotangents, known, rng)
            outcomes[k] = max(outcomes[k], found, key=_SEVERITY.index)
    return outcomes


def _without_roots(
    claim: Claim, point: Point, cotangents: Mapping[Expr, Expr], known: Container[Expr], rng: Random
) -> Outcome:
    """Whether a claim holds whatever a square root is worth, where there are too many to be all true ones."""
    try:
        return "exact" if Reading(point, cotangents, known).holds(claim, rng) else "not checked"
    except (Redraw, NotInField):
        return "not checked"


def _nodes(derivation: Derivation, claims: Sequence[Claim]) -> list[Expr]:
    """Everything that will be worked out: it says which sizes there are."""
    return list(dict.fromkeys(_parts(derivation, claims)))


def _parts(derivation: Derivation, claims: Sequence[Claim]) -> Iterator[Expr]:
    yield from walk(derivation.of, *derivation.cotangents.values())
    for node in walk(*(claim.meant for claim in claims)):
        if node.op is not cotangent_op:
            yield node
