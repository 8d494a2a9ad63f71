"""Is every line of a derivation worth the same? The certificate, and how it was found.

Once data and a direction are chosen, a line Σ ⟨G, dN⟩ is one number. In a prime field (`field.py`) it is an
integer without rounding, so lines are compared with no tolerance at all:

- every line, in one random direction of the parameters: all are the integer that dC is, by dual numbers;
- every step by itself, in fresh random directions of the operands of what it opens: nothing can hide behind
  an operand that moves in one way only;
- every small rewrite, entry by entry;
- the answers: what stands beside dw in the last line, once for each parameter.

A line that only the real functions satisfy, not our oracles, is compared in floating point (`floating.py`)
and marked so. Only a line that such a law has rewritten may be: the opening of an operation is exact or
wrong. That no law loses points where a line was defined is tested law by law, in the tests of the law book.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log10, prod, sqrt
from operator import mul
from random import Random
from typing import Literal

from gradstep.calculus.chances import KEPT, Degrees, bits_needed, chosen_seed, draw_sizes, random_prime
from gradstep.calculus.duals import RATIONAL, STANDING_STILL
from gradstep.calculus.field import Direction, NotInField, Point, Redraw
from gradstep.calculus.floating import compare_lines, compare_values
from gradstep.calculus.laws import zeros
from gradstep.calculus.lengths import fitting_sizes
from gradstep.calculus.steps import Derivation, Line, Step, Term
from gradstep.calculus.structures import Along
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Size, shape_text
from gradstep.operations.declared import DECLARED
from gradstep.operations.leaves import number

Method = Literal["exact", "floating point", "not checked", "wrong"]
Number = int | float

TRUE_ROOTS = 4  # up to so many square roots points are redrawn until all of them exist
WORK = 300_000  # multiplications that are worth taking long integer sizes as they are


@dataclass(frozen=True, slots=True)
class Failure:
    """A place where the check failed: `step` counts from 1; `left` and `right` should be equal.

    The sides are integers of the field, floats where it had to be floating point, None where nothing is worth
    a number (a shape that does not fit, an answer that is missing).
    """

    step: int
    rule: str
    what: str
    left: Number | None = None
    right: Number | None = None

    def __str__(self) -> str:
        sides = "" if self.left is None else f": {self.left} is not {self.right}"
        return f"step {self.step} ({self.rule}): {self.what}{sides}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """How the lines of a derivation were checked, and whether they hold.

    verdict   True, False, or None where a line could not be checked
    lines     how many there are, one more than the steps
    exact     how many of them hold as integers modulo `prime`; `floating` in floating point
    number    the integer that all lines are, at the first random point
    chance    a bound on the chance that a wrong line passed the exact check
    methods   how each line was checked
    sides     whether the lines are equations, checked side against side, and not all one number
    """

    verdict: bool | None
    lines: int
    exact: int
    floating: int
    number: int | None
    prime: int
    seed: int
    trials: int
    chance: float
    failures: tuple[Failure, ...]
    methods: tuple[Method, ...]
    sides: bool = False

    def __str__(self) -> str:
        return self.told()

    def told(self, shown: int = 0) -> str:
        """The verdict in one sentence; `shown` lines of the chain rule were printed and worked out again."""
        field = f"prime of {self.prime.bit_length()} bits, seed {self.seed}"
        error = f"{field}; chance of error {_below(self.chance)}"
        if self.verdict is False:
            more = f" (and {len(self.failures) - 1} more)" if len(self.failures) > 1 else ""
            return f"✗ wrong: {self.failures[0]}{more} ({field})"
        others = [
            f"{count} of {self.lines} lines {'was' if count == 1 else 'were'} {how}"
            for count, how in (
                (self.floating, "checked in floating point"),
                (self.methods.count("not checked"), "not checked"),
            )
            if count
        ]
        if self.verdict is None:
            return f"? not proved: {', '.join(others)} ({field})"
        if self.sides:
            word = "checked" if others else "proved"
            both = f"in {self.exact} lines" if others else f"in each of the {self.lines} lines"
            if self.lines == 1:
                both = "in the line"
            rest = "".join(f", {other}" for other in others)
            return f"✓ {word}: {both} both sides are the same integers, entry by entry{rest} ({error})"
        if others:
            return f"✓ checked: {self.exact} lines are the same integer, {', '.join(others)} ({error})"
        if shown:
            lines = f"the {shown} numbered lines hold" if shown > 1 else "the numbered line holds"
            behind = f"the {self.lines} lines dC = ⟨…⟩ behind them are one integer"
            return f"✓ proved: {lines} entry by entry, and {behind} ({error})"
        same = f"all {self.lines} lines are" if self.lines > 1 else "both sides of the line are"
        return f"✓ proved: {same} the same integer ({error})"


def _below(chance: float) -> str:
    """< 10⁻¹⁷"""
    return "< 10" + str(ceil(log10(chance))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


# ------------------------------------------------------------------------------------------- what is compared


@dataclass(frozen=True, slots=True)
class _Lines:
    """Both lines are worth the same, however the parts of the second move."""

    step: int
    rule: str
    what: str
    by_law: bool
    before: Line
    after: Line

    @property
    def exprs(self) -> Iterable[Expr]:
        return (expr for term in (*self.before, *self.after) for expr in term)


@dataclass(frozen=True, slots=True)
class _Values:
    """Both expressions have the same entries."""

    step: int
    rule: str
    what: str
    by_law: bool
    before: Expr
    after: Expr

    @property
    def exprs(self) -> Iterable[Expr]:
        return self.before, self.after


_Check = _Lines | _Values | Along


def _gather(derivation: Derivation) -> tuple[list[_Check], list[Failure]]:
    """Everything that has to be equal, and what is wrong before any number is drawn."""
    checks: list[_Check] = []
    failures: list[Failure] = []
    dC: Term = (number(1), derivation.of)
    line = Counter([dC])
    for rewrite in derivation.recognised:
        what = f"what was read as {rewrite.rule} is something else"
        checks.append(_Values(0, rewrite.rule, what, True, rewrite.before, rewrite.after))
    for k, step in enumerate(derivation.steps, 1):
        line.subtract(step.before)
        if any(line[term] < 0 for term in step.before):
            failures.append(Failure(k, step.rule, "it replaces a term that does not stand in the line"))
        line.update(step.after)
        failures += _misfits(k, step)
        if all(G.shape == N.shape for G, N in (*step.before, *step.after)):
            what = "the line changes its value"
            checks.append(_Lines(k, step.rule, what, _by_law(step), step.before, step.after))
        for rewrite in step.details:
            if rewrite.before.shape == rewrite.after.shape:
                what = f"the two sides of “{rewrite.rule}” differ"
                checks.append(_Values(k, step.rule, what, True, rewrite.before, rewrite.after))
    last = len(derivation.steps)
    variables = set(derivation.parameters.values())
    left = Counter(line).elements()
    if not derivation.steps and derivation.of not in variables:
        left = iter(())
        checks.append(_Lines(last, "answer", "the loss moves, but no step opens it", False, (dC,), ()))
    beside: dict[Expr, list[Expr]] = {}
    for G, N in left:
        beside.setdefault(N, []).append(G)
    for N in beside:
        if N not in variables:
            failures.append(Failure(last, "answer", f"the last line still has a part to open: {N.op.name}"))
    for name, variable in derivation.parameters.items():
        answer = derivation.answers.get(name)
        found = beside.get(variable, [])
        if answer is None:
            failures.append(Failure(last, "answer", f"there is no answer for {name}"))
        elif answer.shape != variable.shape:
            shapes = f"{shape_text(answer.shape)}, but {name} is {shape_text(variable.shape)}"
            failures.append(Failure(last, "answer", f"the answer for {name} is {shapes}"))
        elif len(found) > 1:
            what = f"{name} stands in {len(found)} terms of the last line"
            failures.append(Failure(last, "answer", what))
        elif not found:
            what = f"{name} has left the line, so its gradient is 0"
            checks.append(_Values(last, "answer", what, False, answer, zeros(answer)))
        elif name in derivation.structures:
            what = f"the answer for {name} is not the slope along its independent entries"
            kind = derivation.structures[name].kind
            checks.append(Along(last, "answer", what, False, derivation.of, variable, answer, kind))
        elif answer is not found[0]:
            what = f"the answer for {name} is not what stands in the last line"
            checks.append(_Values(last, "answer", what, False, found[0], answer))
    return checks, failures


def _misfits(k: int, step: Step) -> Iterable[Failure]:
    """Terms and rewrites whose two sides have different shapes."""
    sides = [(G.shape, N.shape, "a cotangent") for G, N in (*step.before, *step.after)]
    sides += [(r.before.shape, r.after.shape, f"a side of “{r.rule}”") for r in step.details]
    for one, other, what in sides:
        if one != other:
            yield Failure(k, step.rule, f"{what} is {shape_text(one)} where it should be {shape_text(other)}")


def _by_law(step: Step) -> bool:
    """Whether a law is at work that no detail states: it alone rewrites a cotangent, or it made the slopes.

    The slopes of a declared function were derived; where floating point had to look at that derivation, it
    has to look at what they are used for.
    """
    declared = DECLARED.get(step.place.op.name)
    if declared is not None and any(told.certificate.floating for told in declared.told.values()):
        return True
    if step.details or len(step.before) != 1 or len(step.after) != 1:
        return False
    return step.before[0][1] is step.after[0][1]


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

    def outcome(self, check: _Check) -> _Outcome:
        """Whether the two sides are the same integers here."""
        if isinstance(check, Along):
            found = check.difference(self.point)
            return _EXACT if found is None else ("wrong", *found)
        if isinstance(check, _Values):
            sides = zip(self.point.value(check.before), self.point.value(check.after), strict=True)
            return next((("wrong", x, y) for x, y in sides if x != y), _EXACT)
        lines, p = (check.before, check.after), self.point.prime
        if self.reference is not None:
            one, other = (sum(map(self.in_line, line)) % p for line in lines)
            if one != other:
                return "wrong", one, other
        fresh = {N: self.point.draw(N.shape) if N in self.moving else None for _, N in check.after}
        free = Direction(self.point, fresh, self.ground)
        one, other = (sum(self.worth(term, free) for term in line) % p for line in lines)
        return _EXACT if one == other else ("wrong", one, other)

    def in_line(self, term: Term) -> int:
        """What a term is worth in the direction of all lines."""
        found = self.worths.get(term)
        if found is None:
            found = self.worths[term] = self.worth(term, self.ground)
        return found

    def worth(self, term: Term, direction: Direction) -> int:
        """⟨G, dN⟩."""
        G, N = term
        change = direction.of(N)
        return 0 if change is None else sum(map(mul, self.point.value(G), change))


def _trial(
    derivation: Derivation,
    checks: Sequence[_Check],
    moving: Collection[Expr],
    prime: int,
    sizes: Mapping[Size, int],
    rng: Random,
    roots: bool,
) -> tuple[list[_Outcome], int | None]:
    """The outcomes of all checks at one random point, and dC there; an unlucky point is drawn again."""
    attempts = 8 << TRUE_ROOTS if roots else 4
    for left in reversed(range(attempts)):
        point = Point(prime, sizes, rng, roots and left > 0)
        given = {variable: point.draw(variable.shape) for variable in derivation.parameters.values()}
        trial = _Trial(point, Direction(point, given), moving, None, {})
        try:
            change = trial.ground.of(derivation.of)
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
            return outcomes, trial.reference
    raise AssertionError("the last point is not drawn again")


# ------------------------------------------------------------------------------------------- the certificate


@dataclass(frozen=True, slots=True)
class _Proof:
    """What the exact checks say, at several points together."""

    outcomes: list[_Outcome]
    number: int | None
    prime: int
    chance: float


def certify(derivation: Derivation, *, seed: int | None = None, trials: int = 2) -> Certificate:
    """Checks every line of `derivation` at `trials` random points, each with sizes of its own.

    The same seed gives the same certificate. Only the loss, the parameters, the steps and the answers are
    read. Long integer sizes are shortened at first; what does not hold then is tried with the sizes as they
    are.
    """
    seed = chosen_seed(seed)
    rng = Random(seed)
    checks, failures = _gather(derivation)
    parameters = derivation.parameters.values()
    nodes = list(walk(derivation.of, *parameters, *(expr for check in checks for expr in check.exprs)))
    moving = _moving(nodes, parameters)

    proof = _prove(derivation, checks, nodes, moving, rng, trials, literal=False)
    final = True
    if any(method != "exact" for method, _, _ in proof.outcomes) and _has_long_sizes(nodes):
        final = _work(nodes, rng) <= WORK
        if final:
            proof = _prove(derivation, checks, nodes, moving, rng, trials, literal=True)

    methods: list[list[Method]] = [["exact"] for _ in range(len(derivation.steps) + 1)]
    for failure in failures:
        methods[failure.step].append("wrong")
    found = list(zip(checks, proof.outcomes, strict=True))
    doubtful = {check.step for check, (method, _, _) in found if check.by_law and method != "exact"}
    for check, outcome in found:
        by_law = check.by_law or (isinstance(check, _Lines) and check.step in doubtful)
        method, left, right = _settled(check, outcome, final, by_law, moving, rng)
        if method == "wrong":
            failures.append(Failure(check.step, check.rule, check.what, left, right))
        methods[check.step].append(method)
    of_lines = tuple(max(of_line, key=_SEVERITY.index) for of_line in methods)
    return Certificate(
        verdict=False if failures else None if "not checked" in of_lines else True,
        lines=len(of_lines),
        exact=of_lines.count("exact"),
        floating=of_lines.count("floating point"),
        number=proof.number,
        prime=proof.prime,
        seed=seed,
        trials=trials,
        chance=proof.chance,
        failures=tuple(sorted(failures, key=lambda failure: failure.step)),
        methods=of_lines,
    )


def _settled(
    check: _Check, outcome: _Outcome, final: bool, by_law: bool, moving: Collection[Expr], rng: Random
) -> tuple[Method, Number, Number]:
    """The last word on a check: that of the field, or of floating point where the field has none.

    What is wrong in the field is wrong, unless long sizes were shortened (not `final`), or a law (`by_law`)
    was at work that goes beyond + − ⊙ ⊘ and products: it may be true of real functions only.
    """
    method, left, right = outcome
    real = by_law and any(is_oracle(node) for node in walk(*check.exprs))
    if method == "exact" or (method == "wrong" and final and not real):
        return outcome
    if isinstance(check, Along):
        agrees, one, other = check.compare(rng)
    elif isinstance(check, _Lines):
        agrees, one, other = compare_lines(check.before, check.after, moving, rng)
    else:
        agrees, one, other = compare_values(check.before, check.after, rng)
    if agrees is None:
        return "not checked", one, other
    if agrees:
        return "floating point", one, other
    return "wrong", *((left, right) if method == "wrong" else (one, other))


def is_oracle(node: Expr) -> bool:
    """Whether the field knows less of this operation than real numbers do."""
    return bool(node.args) and node.op.indices is None and node.op not in RATIONAL


def _prove(
    derivation: Derivation,
    checks: Sequence[_Check],
    nodes: Sequence[Expr],
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
    runs = [_trial(derivation, checks, moving, prime, sizes, rng, roots > 0) for sizes in draws]
    return _Proof(
        outcomes=[max(found, key=_severity) for found in zip(*(run[0] for run in runs), strict=True)],
        number=runs[0][1],
        prime=prime,
        chance=max((weight / 2 ** (prime.bit_length() - 1)) ** trials, 1e-300),
    )


_SEVERITY: tuple[Method, ...] = ("exact", "floating point", "not checked", "wrong")


def _severity(outcome: _Outcome) -> int:
    return _SEVERITY.index(outcome[0])


def _degree(check: _Check, degrees: Degrees, moving: Collection[Expr]) -> int:
    if isinstance(check, _Values):
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
