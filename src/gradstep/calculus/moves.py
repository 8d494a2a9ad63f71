"""Does every part move as its line says? The lines of a Jacobian, checked side against side.

A line d part = form is linear in the symbols dN. In the prime field the dN are random integers. The left
side is worked out with dual numbers (`field.py`), which read no declared rule, the right side as it stands;
both are compared entry by entry, without a tolerance. What only the real functions satisfy is compared in
floating point with central differences, and marked so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from random import Random

from gradstep.calculus.certificate import is_oracle
from gradstep.calculus.chances import VARIABLE, Degrees, bits_needed, chosen_seed, random_prime
from gradstep.calculus.definedness import Domains
from gradstep.calculus.doubts import settle
from gradstep.calculus.field import Direction, NotInField, Point, Redraw
from gradstep.calculus.floating import Comparison, compare_moves
from gradstep.calculus.lengths import fitting_sizes
from gradstep.calculus.steps import Rewrite
from gradstep.calculus.verdicts import Certificate, Checked, Failure, Method, Settled
from gradstep.expression.node import Expr, walk
from gradstep.expression.node import replace as exchange
from gradstep.expression.records import record, replaced

TRIALS = 2
TRUE_ROOTS = 4
ATTEMPTS = 64


@record
class Move:
    """A line: `part` moves by `form` when every N in `given` moves by what is given for it.

    That is a symbol, or linear in one.
    The parts in `still` do not move, whatever they are made of.
    """

    rule: str
    what: str
    part: Expr
    given: Mapping[Expr, Expr]
    form: Expr
    tidied: bool  # whether laws have rewritten the form
    still: tuple[Expr, ...] = ()
    details: tuple[Rewrite, ...] = ()  # the small rewrites inside

    @property
    def exprs(self) -> Iterable[Expr]:
        """Everything that is evaluated."""
        return self.part, self.form

    @property
    def halves(self) -> tuple[Iterable[Expr], Iterable[Expr]]:
        """What is evaluated on either side."""
        return (self.part,), (self.form,)

    def frontier(self) -> Iterable[Expr]:
        """The parts that move freely."""
        return self.given

    def exchanged(self, table: Mapping[Expr, Expr]) -> Move:
        """The same with other parts in the place of those in the table."""
        part, form = exchange(self.part, table), exchange(self.form, table)
        given = {exchange(N, table): symbol for N, symbol in self.given.items()}
        still = tuple(exchange(N, table) for N in self.still)
        return replaced(self, part=part, given=given, form=form, still=still)

    def sides(self, point: Point, moving: Collection[Expr] = ()) -> Iterator[Sequence[int]]:
        """How the part moves, and how its line says that it does."""
        given = {N: point.value(symbol) for N, symbol in self.given.items()}
        change = Direction(point, {**dict.fromkeys(self.still), **given}).of(self.part)
        point.value(self.part)
        yield [0] * len(point.draw(self.form.shape)) if change is None else change
        yield point.value(self.form)

    def keeps_points(self, rng: Random) -> bool:
        """Whether the right side is known to have a real value wherever the left one has."""
        return False

    def compare(self, moving: Collection[Expr], rng: Random) -> Comparison:
        """The same in floating point."""
        return compare_moves(self.part, self.given, self.form, self.still, rng)


def certify_moves(
    moves: Sequence[Move],
    *,
    known: Iterable[Expr] = (),
    names: Mapping[Expr, str] | None = None,
    seed: int | None = None,
) -> Certificate:
    """Checks every line at random points, each with sizes of its own; the same seed, the same certificate.

    What is `known` has been asked for before; `names` are those of parts.
    """
    seed = chosen_seed(seed)
    rng = Random(seed)
    nodes = list(walk(*(e for m in moves for e in (m.part, m.form, *m.given, *m.given.values()))))
    draws = fitting_sizes(nodes, TRIALS, rng)
    degrees = Degrees({size: max(draw[size] for draw in draws) for size in draws[0]})
    degrees.learn(nodes)
    roots = degrees.roots if degrees.roots <= TRUE_ROOTS else 0
    degree = max((_degree(move, degrees) for move in moves), default=0)
    weight = (1 + degree + degrees.arguments**2 * degrees.argument) << 2 * roots
    prime = random_prime(bits_needed(weight, TRIALS), rng)
    trials = [_outcomes(moves, prime, sizes, rng, roots > 0) for sizes in draws]
    methods: list[Method] = []
    failures: list[Failure] = []
    checked: list[Checked] = []
    chance = max((weight / 2 ** (prime.bit_length() - 1)) ** TRIALS, 1e-300)
    every = walk(*nodes, *(rewrite.after for move in moves for rewrite in move.details))
    domains = Domains(known, every, names or {}, Random(seed))
    for k, (move, found) in enumerate(zip(moves, zip(*trials, strict=True), strict=True), 1):
        settled = _settled(move, found, rng)
        methods.append(settled.method)
        chance += settled.chance
        reason = settled.reason
        if settled.method == "wrong":
            failures.append(Failure(k, move.rule, move.what, settled.left, settled.right))
            reason = move.what
        needs, lost = domains.follow((move.part,), (move.form,), move.details)
        failures += (Failure(k, move.rule, what) for what in lost)
        both = found[0][1] if found[0][0] == "exact" else None
        checked.append(Checked(move.rule, settled.method, both, reason, needs))
    return Certificate(
        verdict=False if failures else None if "not checked" in methods else True,
        lines=len(methods),
        exact=methods.count("exact"),
        digits=methods.count("50 digits"),
        floating=methods.count("floating point"),
        number=None,
        prime=prime,
        seed=seed,
        trials=TRIALS,
        chance=chance,
        failures=tuple(failures),
        methods=tuple(methods),
        sides=True,
        degree=weight,
        checked=tuple(checked),
    )


def joined(base: Certificate | None, other: Certificate) -> Certificate:
    """One certificate for the lines of a gradient and those that follow from it."""
    if base is None:
        return other
    verdicts = base.verdict, other.verdict
    return replaced(
        other,
        verdict=False if False in verdicts else None if None in verdicts else True,
        lines=base.lines + other.lines,
        exact=base.exact + other.exact,
        digits=base.digits + other.digits,
        floating=base.floating + other.floating,
        number=base.number,
        chance=base.chance + other.chance,
        failures=(*base.failures, *other.failures),
        methods=(*base.methods, *other.methods),
        degree=max(base.degree, other.degree),
        checked=(*base.checked, *other.checked),
    )


_Outcome = tuple[Method, int, int]
NOT_CHECKED: _Outcome = ("not checked", 0, 0)


def _outcomes(
    moves: Sequence[Move], prime: int, sizes: Mapping[str | int, int], rng: Random, roots: bool
) -> list[_Outcome]:
    """Both sides of every line at one point; an unlucky point is drawn again."""
    found: list[_Outcome] = []
    point = Point(prime, sizes, rng, roots)
    for move in moves:
        if point.roots is not roots:
            point = Point(prime, sizes, rng, roots)
        for left in reversed(range(ATTEMPTS if roots else 4)):
            try:
                found.append(_compared(move, point))
                break
            except Redraw:
                point = Point(prime, sizes, rng, roots and left > 1)
            except NotInField:
                found.append(NOT_CHECKED)
                break
        else:
            found.append(NOT_CHECKED)
    return found


def _compared(move: Move, point: Point) -> _Outcome:
    """The first entry in which the sides differ, or the first of all."""
    pairs = [*zip(*move.sides(point), strict=True)]
    return next((("wrong", x, y) for x, y in pairs if x != y), ("exact", *pairs[0]))


def _settled(move: Move, outcomes: Sequence[_Outcome], rng: Random) -> Settled:
    """The last word on a line: that of the field, or of a second look where functions are no mere oracles."""
    wrong = next((found for found in outcomes if found[0] == "wrong"), None)
    if all(found[0] == "exact" for found in outcomes):
        return Settled("exact")
    real = move.tidied and any(is_oracle(node) for node in walk(move.part, move.form))
    if wrong is not None and not real:
        return Settled(*wrong)
    return settle(move, _moving(move), rng, defined=wrong is not None)


def _degree(move: Move, degrees: Degrees) -> int:
    moving = _moving(move)
    roots = degrees.roots
    given = {**dict.fromkeys(move.still), **dict.fromkeys(move.given, VARIABLE)}
    change = degrees.change(move.part, given, moving)
    degrees.roots = roots  # they were counted when they were learnt
    return sum(change or (0, 0)) + sum(degrees.known[move.form])


def _moving(move: Move) -> set[Expr]:
    moving = set(move.given)
    for node in walk(move.part, stop=moving.__contains__):
        if not moving.isdisjoint(node.args):
            moving.add(node)
    return moving
