"""What if two sides differ where functions are oracles? A second look, with more that is true of reals.

A check that fails at a `Point` may need a law of real functions. It is looked at alone, with equal parts on
both sides as variables of their own, and with as little opened as does:

1. in the prime field where signs, roots and exponents are as among the reals (`faithful.py`): still exact;
2. with real numbers of 60 digits (`reals.py`);
3. in floating point (`floating.py`), for what no table of values has.

A mask is 0 or 1 in the first. What depends on k signs and is not zero is not zero for at least one in 2ᵏ
choices of them, so points are drawn until a wrong check passes them all with a chance of at most 2⁻⁶⁰.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import ceil, log2, prod
from random import Random
from typing import Protocol, TypeVar

from gradstep.calculus.arrays import MOVING_ENTRIES
from gradstep.calculus.chances import CERTAIN_BITS, Degrees, random_prime
from gradstep.calculus.definedness import demands, fresh_demands
from gradstep.calculus.faithful import FaithfulPoint
from gradstep.calculus.field import NotInField, Point, Redraw
from gradstep.calculus.floating import Comparison, enough
from gradstep.calculus.lengths import fitting_sizes
from gradstep.calculus.reals import DIGITS, RealPoint, many_digits
from gradstep.calculus.shorter_parts import POSITIVE
from gradstep.calculus.verdicts import Method, Settled
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Lengths
from gradstep.operations.activations import sign_op, sqrt_op
from gradstep.operations.arithmetic import (
    COMPARISONS,
    add_op,
    divide_op,
    greater_op,
    log_op,
    multiply_op,
    negate_op,
    power_op,
    subtract_op,
)
from gradstep.operations.broadcasting import repeat
from gradstep.operations.choices import where_op
from gradstep.operations.leaves import number, symbol_op

PRIME_BITS = 127
DEPTHS = 5  # how far down equal parts stay variables, before everything is opened
FURTHER = 4  # and how far down the parts that move are made of others that do
MOST_SIGNS = 4  # a wrong line shows once in sixteen times: some hundred points
DRAWS = 6  # of the sizes, of which two small ones are taken: few numbers must be positive
REDRAWS = 400  # until every number is positive that must be
REAL_SIGNS = (0, -1, 0, 1)  # of the variables, 0 for both
REAL_DRAWS = 60
REAL_LENGTHS = 3  # of every size, in turn
SCALES = ("1", "0.3", "6", "1")  # of the numbers: some functions are defined near zero, or far from it
ENTRIES = 20_000  # larger arrays are not worked out with many digits

FAITHFUL = "needs the signs and exponents of real numbers, and was proved in a field that has them"
REAL = "true of real numbers, in no field that we have"
LONG = "needs sizes as they are, or an operation that has no table of values"
NOWHERE = "no point was found at which it has a value"

Array = Sequence[int]
Check = TypeVar("Check", bound="Sided")


class Sided(Protocol):
    """Something whose two sides should be equal."""

    @property
    def exprs(self) -> Iterable[Expr]:
        """Everything that is evaluated."""

    @property
    def halves(self) -> tuple[Iterable[Expr], Iterable[Expr]]:
        """What is evaluated on either side."""

    def frontier(self) -> Iterable[Expr]:
        """The parts that move freely."""

    def exchanged(self: Check, table: Mapping[Expr, Expr]) -> Check:
        """The same with other parts in the place of those in the table."""

    def sides(self, point: Point, moving: Collection[Expr]) -> Iterator[Array]:
        """Both sides at a point, the left one first."""

    def keeps_points(self, rng: Random) -> bool:
        """Whether the right side is known to have a real value wherever the left one has."""

    def compare(self, moving: Collection[Expr], rng: Random) -> Comparison:
        """The same in floating point."""


def settle(
    check: Sided, moving: Collection[Expr], rng: Random, final: bool = True, defined: bool = True
) -> Settled:
    """The last word on a check that is not exact where functions are oracles.

    Where not `final`, long sizes were shortened, and only floating point takes them as they are. Where no
    point was found at which it is `defined`, one has to be found for the whole.
    """
    for smaller, parts in _openings(check, moving) if defined else [(check, _local(check, moving))]:
        chance = _faithful(smaller, parts, rng)
        if chance is not None:
            return Settled("exact", chance=chance, reason=FAITHFUL)
    found = _real(check, _local(check, moving), rng)
    if found is not None and (found.method != "wrong" or final):
        return found
    return settle_long(check, moving, rng)


def settle_long(check: Sided, moving: Collection[Expr], rng: Random) -> Settled:
    """The same in floating point alone, with all sizes as they are."""
    agrees, left, right = check.compare(moving, rng)
    method: Method = "not checked" if agrees is None else "floating point" if agrees else "wrong"
    reason = {"not checked": NOWHERE, "floating point": LONG}.get(method, "")
    return Settled(method, left, right, reason=reason)


def _local(check: Sided, moving: Collection[Expr]) -> set[Expr]:
    return {node for node in walk(*check.exprs) if node in moving}


# ------------------------------------------------------------------------------------------- opened how far


def _openings(check: Check, moving: Collection[Expr]) -> Iterator[tuple[Check, set[Expr]]]:
    """The check with equal parts of both sides as variables, each time opened further; and what moves."""
    depths = _depths(check)
    tried = set()
    shared = [[node for node, at in depths.items() if at >= depth] for depth in range(DEPTHS)]
    frontiers = _frontiers(check)
    through = [[*inner, *(n for n in shared[1] if n not in gone)] for inner, gone in frontiers]
    for kept in (*([*check.frontier(), *nodes] for nodes in shared), *through, check.frontier(), ()):
        table: dict[Expr, Expr] = {}
        for node in kept:
            if node.args and node not in table:
                table[node] = symbol_op(params=(f"◦{len(table)}", node.shape, ()))
        smaller = check.exchanged(table)
        key = tuple(smaller.exprs)
        if key not in tried:
            tried.add(key)
            own = {table.get(node, node) for node in moving}
            yield smaller, _moving(smaller, own)


def _frontiers(check: Sided) -> Iterator[tuple[list[Expr], set[Expr]]]:
    """What the parts that move freely are made of, and what was opened for it: √v moves as v does."""
    inner, gone = list(check.frontier()), set[Expr]()
    for _ in range(FURTHER):
        gone.update(node for node in inner if node.args)
        inner = list(dict.fromkeys(arg for node in inner for arg in node.args or (node,)))
        yield inner, {*gone}


def _depths(check: Sided) -> dict[Expr, int]:
    """The parts that both sides have, and how far they lie beneath the nearer one."""
    one, other = map(_beneath, check.halves)
    return {node: min(at, other[node]) for node, at in one.items() if node in other and node.args}


def _beneath(roots: Iterable[Expr]) -> dict[Expr, int]:
    level, found, depth = list(dict.fromkeys(roots)), {}, 0
    while level:
        found.update(dict.fromkeys(level, depth))
        level = list(dict.fromkeys(arg for node in level for arg in node.args if arg not in found))
        depth += 1
    return found


def _moving(check: Sided, own: Collection[Expr]) -> set[Expr]:
    """What moves in a check: variables, and what is made of them."""
    moving = {node for node in walk(*check.exprs) if not node.args and node in own}
    moving.update(node for node in check.frontier() if node in own)
    for node in walk(*check.exprs):
        if not moving.isdisjoint(node.args):
            moving.add(node)
    return moving


# ------------------------------------------------------------------------------------------- with true signs


def _faithful(check: Sided, moving: Collection[Expr], rng: Random) -> float | None:
    """The chance of a wrong check to pass if this one holds with true signs and exponents, else None."""
    nodes = list(walk(*check.exprs))
    signs = _signs(check)
    left, right = check.halves
    asked = [part for asked, part in fresh_demands(demands(right), left) if asked in (" > 0", " ≥ 0")]
    if signs > MOST_SIGNS or (asked and not check.keeps_points(rng)):
        return None
    points = ceil(CERTAIN_BITS / -log2(1 - 2.0**-signs)) + 1 if signs else 2
    draws = _two_sizes(nodes, rng)
    prime = random_prime(PRIME_BITS, rng)
    positive = _positive(check)
    weight = 0
    for trial in range(points):
        point = _point(check, moving, prime, draws[trial % 2], rng, positive)
        if point is None:
            return None
        if trial < len(draws):
            weight = max(weight, _weight(check, nodes, moving, draws, point))
    chance = (weight / 2 ** (PRIME_BITS - 1)) ** points + ((1 - 2.0**-signs) ** points if signs else 0.0)
    return chance if chance <= 2.0**-CERTAIN_BITS else None


def _two_sizes(nodes: Sequence[Expr], rng: Random) -> Sequence[Lengths]:
    """Two small draws in which every size has two lengths: a line may hold for vectors of two alone."""
    drawn = fitting_sizes(nodes, DRAWS, rng)
    work = [sum(prod(sizes[s] for s in node.shape) for node in nodes) for sizes in drawn]
    k = min(range(1, DRAWS), key=lambda k: work[k - 1] + work[k])
    return drawn[k - 1 : k + 1]


def _point(
    check: Sided,
    moving: Collection[Expr],
    prime: int,
    sizes: Lengths,
    rng: Random,
    positive: Collection[Expr],
) -> FaithfulPoint | None:
    """A point at which the left side is defined, if both sides are the same there."""
    for _ in range(REDRAWS):
        point = FaithfulPoint(prime, sizes, rng, positive)
        sides = check.sides(point, moving)
        try:
            left = list(next(sides))
        except NotInField:
            return None
        except Redraw:
            continue
        try:
            return point if left == list(next(sides)) else None
        except NotInField:
            return None
        except Redraw:
            continue
    return None


def _positive(check: Sided) -> set[Expr]:
    """The variables that must be positive for the left side to be defined, and numbers that always are."""
    left = list(walk(*check.halves[0]))
    asked = {node.args[0] for node in left if node.op in (sqrt_op, log_op)}
    free = {node for node in asked if node.op is symbol_op and not node.params[2]}
    return free | {node for node in left if node.op.name in POSITIVE and not node.rank}


def _weight(
    check: Sided,
    nodes: Sequence[Expr],
    moving: Collection[Expr],
    draws: Sequence[Lengths],
    point: FaithfulPoint,
) -> int:
    """A bound on how many values of a variable let a wrong check pass at such a point."""
    degrees = Degrees({size: max(draw[size] for draw in draws) for size in draws[0]})
    degrees.learn(nodes)
    degree = 1 + sum(sum(degrees.known[expr]) for expr in check.exprs)
    given = dict.fromkeys((N for N in check.frontier() if N in moving), (1, 0))
    for expr in check.exprs:
        degree += sum(degrees.change(expr, given, moving) or (0, 0))
    argument = 1 + degrees.argument
    arguments = degrees.arguments**2 * argument + point.compared * argument * point.height
    return (degree * point.height + arguments) << 2 * point.demanded


# ------------------------------------------------------------------------------------------- how many signs

Mask = Expr
Signs = tuple[frozenset[Mask], int, int]  # those of the entry itself, others, degree in them
ENTRYWISE = frozenset({add_op, subtract_op, negate_op, multiply_op, divide_op, power_op, where_op})
_NONE: Signs = (frozenset(), 0, 0)


def _signs(check: Sided) -> int:
    """A bound on the degree of both sides in the signs that they depend on, each of which is 0 or 1."""
    known: dict[Expr, Signs] = {}
    for expr in check.exprs:
        _learn_signs(expr, known)
    pairs = _pairs(check)
    if not pairs:
        return max((known[expr][2] for expr in check.exprs), default=0)
    return max(
        (min(known[G][2] + _support(known[N]), _support(_joined(known[G], known[N]))) for G, N in pairs)
    )


def _pairs(check: Sided) -> Sequence[tuple[Expr, Expr]]:
    """The products ⟨G, dN⟩ of the lines of a check, if it has lines; what moves alone stands beside 1."""
    return [pair for line in getattr(check, "lines", ()) for pair in line]


def _support(signs: Signs) -> int:
    return len(signs[0]) + signs[1]


def _joined(*signs: Signs) -> Signs:
    own = frozenset[Mask]().union(*(one[0] for one in signs))
    return own, sum(one[1] for one in signs), 0


def _learn_signs(expr: Expr, known: dict[Expr, Signs]) -> None:
    for node in walk(expr, stop=known.__contains__):
        if node not in known:
            known[node] = _signs_of(node, known)


def _signs_of(node: Expr, known: dict[Expr, Signs]) -> Signs:
    op = node.op
    if op in COMPARISONS or op is sign_op:
        return _mask(node, known)
    if op.definition is not None and op.indices is None:
        meant = op.definition(node.params, *node.args)
        _learn_signs(meant, known)
        return known[meant]
    args = [known[arg] for arg in node.args]
    if not any(map(_support, args)):
        return _NONE
    degrees = [degree for _, _, degree in args]
    entrywise = op.slopes is not None or op in ENTRYWISE
    if entrywise and all(arg.shape == node.shape for arg in node.args if _support(known[arg])):
        own, others, _ = _joined(*args)
        every = len(own) + others
        if op in (add_op, subtract_op, negate_op):
            return own, others, max(degrees)
        return own, others, min(sum(degrees), every) if op is multiply_op else every
    several = [_support(signs) * _entries(arg) for signs, arg in zip(args, node.args, strict=True)]
    linear = op in MOVING_ENTRIES or op.indices is not None
    return frozenset(), sum(several), sum(degrees) if linear else sum(several)


def _mask(node: Expr, known: Mapping[Expr, Signs]) -> Signs:
    """A sign that may be another one for each choice of the signs in its argument."""
    a, b = node.args if len(node.args) == 2 else (node.args[0], None)
    within = sum(_support(known[arg]) for arg in node.args)
    zero = repeat(number(0), tuple(range(a.rank)), a.shape) if a.rank else number(0)
    key = greater_op(a, zero if b is None else b)
    more = 2 ** min(within, 60) - 1 + within
    return frozenset({key}), more, within + 1


def _entries(node: Expr) -> int:
    """No more entries than an array has at the sizes that are drawn."""
    return prod(size if isinstance(size, int) else 8 for size in node.shape)


# ------------------------------------------------------------------------------------------- real numbers


def _real(check: Sided, moving: Collection[Expr], rng: Random) -> Settled | None:
    """Whether both sides agree to many digits; None where no table of values has what is needed."""
    nodes = list(walk(*check.exprs))
    wanted, agreed = enough(*check.exprs), 0
    draws = fitting_sizes(nodes, REAL_LENGTHS, rng)
    if any(prod(sizes[size] for size in node.shape) > ENTRIES for node in nodes for sizes in draws):
        return None
    with many_digits():
        for attempt in range(REAL_DRAWS + 4 * wanted):
            sizes = draws[(agreed + attempt // len(REAL_SIGNS)) % REAL_LENGTHS]
            point = RealPoint(sizes, rng, REAL_SIGNS[attempt % 4], SCALES[attempt // 4 % len(SCALES)])
            sides = check.sides(point, moving)
            try:
                left = list(next(sides))
            except NotInField:
                return None
            except Redraw:
                continue
            try:
                right = list(next(sides))
            except NotInField:
                return None
            except Redraw:
                return Settled("wrong", float(left[0]), float("nan"))
            largest = max(abs(x) for values in point.sheet.values.values() for x in (*values, 0))
            for x, y in zip(left, right, strict=True):
                if abs(x - y) * 10**DIGITS > max(largest, abs(x), abs(y)):
                    return Settled("wrong", float(x), float(y))
            agreed += 1
            if agreed == wanted:
                return Settled("50 digits", reason=REAL)
    return None
