"""Are two formulas the same on either side of every condition in them? z > 0 and z > 0.0001 hardly differ.

Random points hardly ever fall between two thresholds. So every condition is tried at its own: the variables
move along a line, the places are found where some condition of either formula changes, and both formulas are
compared between each two of these places. What may be rounding is looked at once more with 50 digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from math import isfinite
from random import Random
from typing import Any

from gradstep.calculus.field import NotInField, Redraw
from gradstep.calculus.floating import compute, draw_symbol, points
from gradstep.calculus.reals import DIGITS, RealPoint, many_digits
from gradstep.expression.errors import SingularError
from gradstep.expression.node import Expr, walk
from gradstep.expression.records import record
from gradstep.expression.shapes import Size
from gradstep.operations.activations import maximum_op, minimum_op
from gradstep.operations.arithmetic import COMPARISONS
from gradstep.operations.broadcasting import repeat
from gradstep.operations.declared import inlined
from gradstep.operations.extremes import hardmax_op, max_op, min_op
from gradstep.operations.lookups import lookups
from gradstep.operations.pooling import PICKS, pointing
from gradstep.operations.steps import ceil_op, floor_op, round_op, trunc_op
from gradstep.operations.trigonometry import sin_op

# How far along a line conditions are looked at, before they are looked for in between.
LADDER = (100, 60, 40, 30, 20, 12, 8, 5, 3, 2, 1, 0, -1, -2, -3, -4, -5, -6, -8, -10, -14, -20)
PLACES = (*(-(2.0**-k) for k in reversed(LADDER)), *(2.0**-k for k in LADDER))  # and not 0: all may tie there
MOST_PLACES = 24  # on one line at which a condition changes
MOST_VARIABLES = 4  # that move alone
ROUNDS = 2  # of points through which lines are laid
HALVINGS = 60
INSIDE = 0.6  # of the way between two places: in the middle between −t and t there may be a tie
NARROW = 1e-14  # of a place: as near as it is found
ROUNDING = 1e-12  # of a place, and of where a line begins: as near as two can be
STRAIGHT = frozenset({
    "symmetric", "invertible", "diagonal", "toeplitz", "symmetric toeplitz", "lower triangular",
    "upper triangular",
})  # fmt: skip
STEPS = frozenset({floor_op, ceil_op, round_op, trunc_op})
SURELY = 1e-6  # of the largest entry: what differs by so much is no rounding, unless numbers cancel
HARDLY = 1e-11  # what differs by less is

Point = tuple[Mapping[Size, int], dict[Expr, Any]]


@record
class Path:
    """A line on which variables move: at t each is start + t step; a positive one is start · 2ᵗ."""

    sizes: Mapping[Size, int]
    start: Mapping[Expr, Any]
    steps: Mapping[Expr, Any]

    def at(self, t: float) -> dict[Expr, Any]:
        """The values of all variables at t."""
        import numpy as np

        values = dict(self.start)
        for node, step in self.steps.items():
            if "positive" in node.params[2]:
                values[node] = self.start[node] * np.exp2(np.clip(t * step, -300, 300))
            else:
                values[node] = self.start[node] + t * step
        return values

    def far(self) -> float:
        """How far from zero the line begins, in steps."""
        import numpy as np

        starts = [np.max(np.abs(self.start[node])) for node in self.steps]
        steps = [np.max(np.abs(step)) for step in self.steps.values()]
        return float(max(starts, default=0.0) / max(steps, default=1.0))


def conditions(*exprs: Expr) -> list[Expr]:
    """Arrays whose signs decide what is done: a − b for a > b, x for |x| and max(0, x)."""
    found: dict[Expr, None] = {}
    for node in walk(*inlined(exprs).values()):
        node = pointing(node) if node.op in PICKS else node
        op, args = node.op, node.args
        if op in COMPARISONS or op in (maximum_op, minimum_op):
            found[args[0] - args[1]] = None
        elif op in (max_op, min_op, hardmax_op):
            (x,), (axes,) = args, node.params
            lengths = tuple(x.shape[k] for k in axes)
            found[x - repeat((min_op if op is min_op else max_op)(x, params=(axes,)), axes, lengths)] = None
        elif op in STEPS:
            found[sin_op(node.args[0] * 6)] = None  # some changes of sign between any two jumps
        elif op.kink and op.slopes is not None:
            found[args[0]] = None
    return list(found)


def paths(exprs: Sequence[Expr], defined: Sequence[Expr], rng: Random) -> Iterator[Path]:
    """Lines through a random point: all variables move, or one alone, through zero or past it."""
    import numpy as np

    for sizes, values in points(exprs, rng, defined, 1):
        generator = np.random.default_rng(rng.getrandbits(64))
        fixed = lookups(list(walk(*exprs)))
        free = [
            node
            for node in values
            if node not in fixed and set(node.params[2]) <= STRAIGHT | {"positive"} and values[node].size
        ]
        steps = {
            node: generator.standard_normal(values[node].shape)
            if "positive" in node.params[2]
            else draw_symbol(np, generator, node, values[node].shape, 0)
            for node in free
        }
        rest = {node: values[node] for node in values if node not in free}
        zero = {node: values[node] if "positive" in node.params[2] else 0 * values[node] for node in free}
        yield Path(
            sizes, {**rest, **zero}, {**steps, **{n: values[n] for n in free if n.params[2] != ("positive",)}}
        )
        yield Path(sizes, values, steps)
        for node in rng.sample(free, min(len(free), MOST_VARIABLES)):
            yield Path(sizes, {**values, node: zero[node]}, {node: steps[node]})


def changes(gaps: Sequence[Expr], path: Path, rng: Random) -> list[float]:
    """Where on a line an entry of one of the arrays `gaps` changes its sign, in order."""
    import numpy as np

    known: dict[float, list[Any]] = {}

    def worth(t: float) -> list[Any]:
        if t not in known:
            known[t] = [value.ravel() for value in compute(np, gaps, path.sizes, path.at(t))]
        return known[t]

    ladder = list(PLACES)
    found: set[float] = set()
    longest = max((value.size for value in worth(1.0)), default=0)
    for place in rng.sample(range(longest), longest):
        for k, gap in enumerate(worth(1.0)):
            if place < gap.size and len(found) < MOST_PLACES:
                value = _entry(worth, k, place)
                found.update(_borders(value, _refined(value, ladder)))
    return sorted(found)


def _entry(worth: Callable[[float], Sequence[Any]], k: int, place: int) -> Callable[[float], float]:
    return lambda t: float(worth(t)[k][place])


def _refined(value: Callable[[float], float], ladder: Sequence[float]) -> list[float]:
    """The ladder, and where the value comes nearest to zero between its rungs without being seen to cross."""
    worths = [value(t) for t in ladder]
    more = []
    for k in range(1, len(ladder) - 1):
        before, here, after = worths[k - 1 : k + 2]
        same = before * here > 0 and here * after > 0
        if same and abs(here) < abs(before) and abs(here) < abs(after):
            more.append(_nearest(value, ladder[k - 1], ladder[k + 1]))
    return sorted({*ladder, *more})


def _nearest(value: Callable[[float], float], low: float, high: float) -> float:
    """Where |value| is smallest between two places, by thirds, or where it changes its sign on the way."""
    sign = value(low) > 0
    for _ in range(HALVINGS):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        u, v = value(a), value(b)
        for t, worth in ((a, u), (b, v)):
            if (worth > 0) != sign:
                return t
        low, high = (low, b) if abs(u) < abs(v) else (a, high)
    return (low + high) / 2


def _borders(value: Callable[[float], float], ladder: Sequence[float]) -> Iterator[float]:
    """Where a number changes its sign: between two rungs of a ladder, as near as can be said."""
    for low, high in pairwise(ladder):
        below, above = value(low), value(high)
        if _sign(below) != _sign(above) and isfinite(below) and isfinite(above):
            yield _border(value, low, high)


def _sign(x: float) -> int:
    return (x > 0) - (x < 0)


def _border(value: Callable[[float], float], low: float, high: float) -> float:
    """Between `low` and `high`: a straight line is met at once, a curve by halving."""
    below, above = value(low), value(high)
    for turn in range(HALVINGS):
        if high - low <= NARROW * max(abs(low), abs(high)):
            break
        middle = (low + high) / 2
        if turn % 2 == 0 and below * above < 0:
            middle = low + (high - low) * (below / (below - above))
        nudge = NARROW * abs(middle) / 4
        for t in (middle - nudge, middle + nudge):
            if low < t < high:
                here = value(t)
                if _sign(here) == _sign(below):
                    low, below = t, here
                else:
                    high, above = t, here
    return (low + high) / 2


def pieces(borders: Sequence[float], far: float) -> Iterator[tuple[float, float]]:
    """The pieces that borders cut a line into; what rounding makes two of is one border."""
    if borders:
        yield borders[0] - 2 * (1 + abs(borders[0])), borders[0]
        yield borders[-1], borders[-1] + 2 * (1 + abs(borders[-1]))
    for a, b in pairwise(borders):
        if b - a > ROUNDING * (far + max(abs(a), abs(b))):
            yield a, b


def differing_points(truth: Expr, claim: Expr, others: Sequence[Expr], rng: Random) -> Iterator[Point]:
    """Points next to conditions at which two formulas differ that agree at random ones.

    The `others` have variables that are to have values too.
    """
    gaps = conditions(truth, claim)
    for _ in range(ROUNDS if gaps else 0):
        for path in paths((truth, claim, *others), (truth,), rng):
            try:
                for a, b in pieces(changes(gaps, path, rng), path.far()):
                    values = path.at(a + (b - a) * INSIDE)
                    if differ(truth, claim, path.sizes, values):
                        yield path.sizes, values
            except SingularError:
                continue


def differ(truth: Expr, claim: Expr, sizes: Mapping[Size, int], values: Mapping[Expr, Any]) -> bool:
    """Whether two formulas differ at a point by more than rounding."""
    import numpy as np

    left, right = compute(np, (truth, claim), sizes, values)
    return _differ(left, right) and not _same_in_reals(truth, claim, sizes, values, left, right)


def _differ(left: Any, right: Any) -> bool:
    """Whether two finite arrays differ by more than rounding surely makes."""
    import numpy as np

    if not np.all(np.isfinite(left)):
        return False
    size = max(np.max(np.abs(side), initial=0.0) for side in (left, right))
    return not bool(np.all(np.abs(left - right) <= HARDLY * size))


def _same_in_reals(
    truth: Expr, claim: Expr, sizes: Mapping[Size, int], values: Mapping[Expr, Any], left: Any, right: Any
) -> bool:
    """Whether both agree at this point to 50 digits; where no table has what is needed, as floats do."""
    import numpy as np

    size = max(np.max(np.abs(side), initial=0.0) for side in (left, right))
    with many_digits():
        point = RealPoint(sizes, Random(0))
        for node, value in values.items():
            exact: Sequence[Any] = [Decimal(x) for x in value.ravel().tolist()]
            point.sheet.values[node] = exact
        try:
            pairs = list(zip(point.value(truth), point.value(claim), strict=True))
        except Redraw:
            return True  # no real value on one side: that is for those who look at where formulas are defined
        except NotInField:
            return bool(np.all(np.abs(left - right) <= SURELY * size))
        largest = max(abs(x) for pair in pairs for x in pair)
        return all(abs(x - y) * 10 ** (DIGITS // 2) <= largest for x, y in pairs)
