"""Is every line of a derivation worth the same? The certificate, and how it was found.

Once data and a direction are chosen, a line Σ ⟨G, dN⟩ is one number. In a prime field (`field.py`) it is an
integer without rounding, so lines are compared with no tolerance at all:

- every line, in one random direction of the parameters: all are the integer that dC is, by dual numbers;
- every step by itself, in fresh random directions of the operands of what it opens: nothing can hide behind
  an operand that moves in one way only;
- every small rewrite, entry by entry;
- the answers: what stands beside dw in the last line, once for each parameter.

Of many lines those that differ in names alone are checked once (`kinds.py`).

A line that only the real functions satisfy, not our oracles, is looked at again (`doubts.py`): in a field
that has their signs and exponents, with 50 digits, in floating point; and marked so. Only a line that such a
law has rewritten may be: the opening of an operation is exact or wrong. No rewrite may lose points at which
a line has a value, and a line that asks for more than the one before says so (`definedness.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod, sqrt
from operator import mul
from random import Random
from typing import TYPE_CHECKING

from gradstep.calculus.chances import KEPT, Degrees, bits_needed, chosen_seed, draw_sizes, random_prime
from gradstep.calculus.checks import Check, Lines, Values, gather
from gradstep.calculus.definedness import domains
from gradstep.calculus.duals import RATIONAL, STANDING_STILL
from gradstep.calculus.field import Direction, NotInField, Point, Redraw
from gradstep.calculus.kinds import DEPTHS, kinds, moving_symbols
from gradstep.calculus.lengths import fitting_sizes, smallest_sizes
from gradstep.calculus.steps import Derivation, Line, Term
from gradstep.calculus.structures import Along
from gradstep.calculus.verdicts import SEVERITY, Certificate, Checked, Failure, Method, Settled
from gradstep.expression.late import late
from gradstep.expression.node import Expr, walk
from gradstep.expression.records import record, replaced
from gradstep.expression.shapes import Size
from gradstep.operations.leaves import number

if TYPE_CHECKING:
    from gradstep.calculus import doubts, faithful
else:
    doubts = late("gradstep.calculus.doubts")
    faithful = late("gradstep.calculus.faithful")

TRUE_ROOTS = 4  # up to so many square roots points are redrawn until all of them exist
REDRAWS = 60  # for a point at which all numbers that must be positive are
WORK = 300_000  # multiplications that are worth taking long integer sizes as they are
MANY = 100  # steps, among which some may repeat
MOST = 3  # times as many nodes are looked at to find out


# ------------------------------------------------------------------------------------------- at one point

_Outcome = tuple[Method, int, int]
_EXACT: _Outcome = ("exact", 0, 0)
_UNKNOWN: _Outcome = ("not checked", 0, 0)


@dataclass(slots=True)
class _Trial:
    """All checks at one point."""

    point: Point
    ground: Direction
    moving: Collection[Expr]
    reference: int | None
    worths: dict[Term, int]

    def outcome(self, check: Check) -> _Outcome:
        """Whether the two sides are the same integers here."""
        if isinstance(check, Along):
            pairs = zip(*check.sides(self.point), strict=True)
            return next((("wrong", x, y) for x, y in pairs if x != y), _EXACT)
        if isinstance(check, Values):
            sides = zip(self.point.value(check.before), self.point.value(check.after), strict=True)
            return next((("wrong", x, y) for x, y in sides if x != y), _EXACT)
        before, after, p = check.before, check.after, self.point.prime
        if self.reference is not None:
            one, other = self.in_lines(before) % p, self.in_lines(after) % p
            if one != other:
                return "wrong", one, other
        draw = self.point.draw
        fresh = {N: draw(N.shape) if N in self.moving else None for _, N in after}
        free = Direction(self.point, fresh, self.ground)
        one, other = self.total(before, free) % p, self.total(after, free) % p
        return _EXACT if one == other else ("wrong", one, other)

    def in_lines(self, line: Line) -> int:
        """What a line is worth in the direction of all lines."""
        total = 0
        for term in line:
            found = self.worths.get(term)
            if found is None:
                found = self.worths[term] = self.total((term,), self.ground)
            total += found
        return total

    def total(self, line: Line, direction: Direction) -> int:
        """Σ ⟨G, dN⟩."""
        total = 0
        for G, N in line:
            change = direction.of(N)
            if change is not None:
                total += sum(map(mul, self.point.value(G), change))
        return total


def _trial(
    checks: Sequence[Check],
    free: Collection[Expr],
    whole: Expr | None,
    moving: Collection[Expr],
    prime: int,
    sizes: Mapping[Size, int],
    rng: Random,
    roots: bool,
) -> tuple[list[_Outcome], _Trial]:
    """The outcomes of all checks at one random point at which what is `free` moves; unlucky ones are redrawn.

    Where there is a `whole`, lines are looked at in one direction too: all of them are the integer that it
    moves by. That follows from the steps, which hold in every direction, so it is looked at once.
    """
    attempts = 8 << TRUE_ROOTS if roots else 4
    for left in reversed(range(attempts)):
        point = Point(prime, sizes, rng, roots and left > 0)
        given = {variable: point.draw(variable.shape) for variable in free}
        trial = _Trial(point, Direction(point, given), moving, None, {})
        try:
            if whole is not None:
                change = trial.ground.of(whole)
                trial.reference = 0 if change is None else change[0]
        except Redraw:
            if left:
                continue
        except NotInField:
            pass
        outcomes = []
        for check in checks:
            try:
                outcomes.append(trial.outcome(check))
            except (Redraw, NotInField) as signal:
                if isinstance(signal, Redraw) and left:
                    break
                outcomes.append(_UNKNOWN)
        else:
            return outcomes, trial
    raise AssertionError("the last point is not drawn again")


# ------------------------------------------------------------------------------------------- the certificate


@record
class _Proof:
    """What the exact checks say, at several points together."""

    outcomes: list[_Outcome]
    first: _Trial
    prime: int
    degree: int
    chance: float


def certify(derivation: Derivation, *, seed: int | None = None, trials: int = 2) -> Certificate:
    """Checks every line of `derivation` at `trials` random points, each with sizes of its own.

    The same seed gives the same certificate. Only the loss, the parameters, the steps and the answers are
    read. Long integer sizes are shortened at first; what does not hold then is tried with the sizes as they
    are.
    """
    seed = chosen_seed(seed)
    rng = Random(seed)
    checks, failures = gather(derivation)
    parameters = derivation.parameters.values()
    nodes = list(walk(derivation.of, *parameters, *(expr for check in checks for expr in check.exprs)))
    moving = _moving(nodes, parameters)

    proof, final = _examined(derivation, checks, nodes, moving, rng, trials)

    needs, lost = domains(derivation, nodes, Random(seed))
    failures += lost
    settled: list[list[Settled]] = [[Settled("exact")] for _ in range(len(derivation.steps) + 1)]
    for failure in failures:
        settled[failure.step].append(Settled("wrong", reason=failure.what))
    found = list(zip(checks, proof.outcomes, strict=True))
    doubted = [check for check, (method, _, _) in found if check.by_law and method != "exact"]
    doubtful = {check.step for check in doubted}
    rewritten = {check.before for check in doubted if isinstance(check, Values)}  # there, or in a later step
    for check, outcome in found:
        by_law = check.by_law
        if isinstance(check, Lines) and outcome[0] != "exact" and doubted:
            by_law = by_law or check.step in doubtful or not rewritten.isdisjoint(walk(*check.exprs))
        word = _settled(check, outcome, final, by_law, moving, rng)
        if word.method == "wrong":
            failures.append(Failure(check.step, check.rule, check.what, word.left, word.right))
            word = replaced(word, reason=check.what)
        settled[check.step].append(word)
    weakest = [max(words, key=lambda word: (SEVERITY.index(word.method), word.chance)) for words in settled]
    of_lines = tuple(word.method for word in weakest)
    numbers = _numbers(derivation, proof.first, any(word.chance for word in weakest), rng)
    rules = ("how the loss moves", *(step.rule for step in derivation.steps))
    return Certificate(
        verdict=False if failures else None if "not checked" in of_lines else True,
        lines=len(of_lines),
        exact=of_lines.count("exact"),
        digits=of_lines.count("50 digits"),
        floating=of_lines.count("floating point"),
        number=numbers[0],
        prime=proof.prime,
        seed=seed,
        trials=trials,
        chance=proof.chance + sum(word.chance for words in settled for word in words),
        failures=tuple(sorted(failures, key=lambda failure: failure.step)),
        methods=of_lines,
        degree=proof.degree,
        checked=tuple(
            Checked(rule, word.method, number, word.reason, asked)
            for rule, word, number, asked in zip(rules, weakest, numbers, needs, strict=True)
        ),
    )


def _numbers(derivation: Derivation, trial: _Trial, doubtful: bool, rng: Random) -> list[int | None]:
    """What each line is worth at the first point; at one with signs and exponents where a law needed them."""
    found = None if doubtful else _worths(derivation, trial)
    for _ in range(REDRAWS if found is None or len({*found}) > 1 else 0):
        point = faithful.FaithfulPoint(trial.point.prime, trial.point.sizes, rng)
        given = {variable: point.draw(variable.shape) for variable in derivation.parameters.values()}
        worths = _worths(derivation, _Trial(point, Direction(point, given), trial.moving, None, {}))
        if worths is not None:
            return worths
    return found or _worths(derivation, trial) or [None] * (len(derivation.steps) + 1)


def _worths(derivation: Derivation, trial: _Trial) -> list[int | None] | None:
    """What each line is worth: as the one before, without what a step replaces, with what it puts there.

    None where something has no value at this point, or in no field.
    """
    p = trial.point.prime
    try:
        worths: list[int | None] = [total := trial.in_lines(((number(1), derivation.of),)) % p]
        for step in derivation.steps:
            worths.append(total := (total - trial.in_lines(step.before) + trial.in_lines(step.after)) % p)
    except (Redraw, NotInField):
        return None
    return worths


def _settled(
    check: Check, outcome: _Outcome, final: bool, by_law: bool, moving: Collection[Expr], rng: Random
) -> Settled:
    """The last word on a check: that of the field, or of a second look where functions are more than oracles.

    What is wrong in the field is wrong, unless long sizes were shortened (not `final`), or a law (`by_law`)
    was at work that goes beyond + − ⊙ ⊘ and products: it may be true of real functions only.
    """
    method, left, right = outcome
    if method == "exact":
        return Settled(method)
    real = by_law and any(is_oracle(node) for node in walk(*check.exprs))
    if method == "wrong" and final and not real:
        return Settled(method, left, right)
    if method == "wrong" and not real:
        return doubts.settle_long(check, moving, rng)
    found = doubts.settle(check, moving, rng, final, method == "wrong")
    return replaced(found, left=left, right=right) if method == found.method == "wrong" else found


def is_oracle(node: Expr) -> bool:
    """Whether the field knows less of this operation than real numbers do, or of what it is defined by."""
    op = node.op
    if not node.args or op.indices is not None or op in RATIONAL:
        return False
    if op.definition is None:
        return True
    meant = op.definition(node.params, *node.args)
    own = walk(meant, stop=node.args.__contains__)
    return any(is_oracle(part) for part in own if part not in node.args)


def _examined(
    derivation: Derivation,
    checks: Sequence[Check],
    nodes: Sequence[Expr],
    moving: Collection[Expr],
    rng: Random,
    trials: int,
) -> tuple[_Proof, bool]:
    """The exact checks, and whether they have the last word: sizes were as they are where one did not hold.

    Where lines repeat, each kind of check is looked at once, and what does not hold as a kind as it stands.
    """
    parameters, outcomes = derivation.parameters.values(), dict[int, _Outcome]()
    named = {*derivation.parts, *derivation.fences} - {derivation.of}
    left, proofs = dict(enumerate(checks)), list[_Proof]()
    for depth in DEPTHS if len(derivation.steps) >= MANY else ():
        alike = kinds(left, named, moving, depth, MOST * len(nodes))
        if not alike:
            break
        of_kinds = list(walk(*(expr for kind in alike for expr in kind.exprs)))
        free = [*moving_symbols(alike)]
        proofs.append(
            _prove([*alike], of_kinds, free, None, _moving(of_kinds, free), rng, trials, literal=False)
        )
        for places, outcome in zip(alike.values(), proofs[-1].outcomes, strict=True):
            if outcome[0] == "exact":
                outcomes |= dict.fromkeys(places, outcome)
                for place in places:
                    del left[place]
    if not proofs:
        return _as_they_stand(checks, nodes, parameters, derivation.of, moving, rng, trials)
    point = Point(proofs[0].prime, smallest_sizes(nodes, rng), rng, roots=False)
    given = {variable: point.draw(variable.shape) for variable in parameters}
    first, final = _Trial(point, Direction(point, given), moving, None, {}), True
    if left:
        rest = list(walk(*(expr for check in left.values() for expr in check.exprs)))
        proof, final = _as_they_stand([*left.values()], rest, parameters, None, moving, rng, trials)
        proofs.append(proof)
        outcomes |= dict(zip(left, proof.outcomes, strict=True))
    return replaced(
        proofs[0],
        outcomes=[outcomes[place] for place in range(len(checks))],
        first=first,
        degree=max(proof.degree for proof in proofs),
        chance=sum(proof.chance for proof in proofs),
    ), final


def _as_they_stand(
    checks: Sequence[Check],
    nodes: Sequence[Expr],
    free: Collection[Expr],
    whole: Expr | None,
    moving: Collection[Expr],
    rng: Random,
    trials: int,
) -> tuple[_Proof, bool]:
    """The exact checks, with long sizes shortened first, and whether they have the last word."""
    proof, final = _prove(checks, nodes, free, whole, moving, rng, trials, literal=False), True
    if any(method != "exact" for method, _, _ in proof.outcomes) and _has_long_sizes(nodes):
        final = _work(nodes, rng) <= WORK
        if final:
            proof = _prove(checks, nodes, free, whole, moving, rng, trials, literal=True)
    return proof, final


def _prove(
    checks: Sequence[Check],
    nodes: Sequence[Expr],
    free: Collection[Expr],
    whole: Expr | None,
    moving: Collection[Expr],
    rng: Random,
    trials: int,
    literal: bool,
) -> _Proof:
    """The exact checks, at as many points as there are trials."""
    draws = fitting_sizes(nodes, trials, rng, literal)
    degrees = Degrees({size: max(draw[size] for draw in draws) for size in draws[0]})
    degrees.learn(nodes)
    roots = degrees.roots if degrees.roots <= TRUE_ROOTS else 0
    degree = max((_degree(check, degrees, moving) for check in checks), default=0)
    weight = (1 + degree + degrees.arguments**2 * degrees.argument) << 2 * roots
    prime = random_prime(bits_needed(weight, trials), rng)
    runs = [
        _trial(checks, free, None if k else whole, moving, prime, sizes, rng, roots > 0)
        for k, sizes in enumerate(draws)
    ]
    return _Proof(
        outcomes=[max(found, key=_severity) for found in zip(*(run[0] for run in runs), strict=True)],
        first=runs[0][1],
        prime=prime,
        degree=weight,
        chance=max((weight / 2 ** (prime.bit_length() - 1)) ** trials, 1e-300),
    )


def _severity(outcome: _Outcome) -> int:
    return SEVERITY.index(outcome[0])


def _degree(check: Check, degrees: Degrees, moving: Collection[Expr]) -> int:
    if isinstance(check, Values):
        return sum(sum(degrees.known[expr]) for expr in check.exprs)
    if isinstance(check, Along):
        slope = degrees.of_terms(((number(1), check.of),), [check.variable], moving)
        return slope + sum(degrees.known[check.answer])
    return degrees.of_terms((*check.before, *check.after), [N for _, N in check.after], moving)


def _moving(nodes: Iterable[Expr], parameters: Iterable[Expr]) -> set[Expr]:
    """The nodes that move when the parameters do."""
    moving = set(parameters)
    for node in nodes:
        if node.op not in STANDING_STILL and not moving.isdisjoint(node.args):
            moving.add(node)
    return moving


def _has_long_sizes(nodes: Iterable[Expr]) -> bool:
    return any(isinstance(size, int) and size > KEPT for node in nodes for size in node.shape)


def _work(nodes: Sequence[Expr], rng: Random) -> float:
    """About how many multiplications the sizes as they are take: for a product √(entries of A, B and A B)."""
    (sizes,) = draw_sizes(nodes, 1, rng, literal=True)
    entries = {node: prod([sizes[size] for size in node.shape]) for node in nodes}

    def work(node: Expr) -> float:
        if len(node.args) != 2:
            return entries[node]
        return sqrt(entries[node] * entries[node.args[0]] * entries[node.args[1]])

    return sum(map(work, nodes))
