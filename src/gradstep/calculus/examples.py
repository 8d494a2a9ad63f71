"""At which small numbers can everyone see that two formulas differ? A few entries, small integers.

The sizes are two at most where they are free, the entries −2 … 3; of several points at which both sides have
values and differ, the one is taken whose numbers are easiest to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import ceil
from random import Random
from typing import Any

from gradstep.calculus.borders import Path, changes, conditions, pieces
from gradstep.calculus.floating import compute, draw_symbol, near_a_kink
from gradstep.expression.errors import SingularError
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Lengths, Size, size_names
from gradstep.operations.leaves import symbol_op
from gradstep.operations.lookups import lookups

TRIES = 60
ENOUGH = 10  # points at which both sides differ
AWKWARD = {1: 2.5, 3: 4.0}  # how much harder than two a size is to read, or to learn from
LENGTHS = ((2,), (2, 1), (1, 2), (3, 2), (2, 3), (1, 3), (3, 1))  # of the sizes, in turn
SMALL = (1, -2, 3, 2, -1, 0, 1, -1)
POSITIVE = (1, 2, 3, 1)
DIFFERENT = 1e-6
BESIDE = (2, 5, 8, 10)  # digits behind the point, of how near a point lies to where a condition changes
ROUNDING = 1e-13  # of the largest entry


@dataclass(frozen=True, slots=True)
class Example:
    """Values of the variables, by name, and what expressions are worth there."""

    sizes: Mapping[Size, int]
    values: Mapping[str, Any]
    worths: tuple[Any, ...]


def differing(
    truth: Expr, claim: Expr, others: Sequence[Expr], rng: Random, kinks: bool = False
) -> Example | None:
    """A small point at which `truth` and `claim` have different values; theirs come first, then the others'.

    With `kinks` the point may lie on a kink. Where no whole numbers tell, one moves next to a condition.
    """
    found = readable(truth, claim, others, small_points([truth, claim, *others], rng), kinks)
    if found is None and not kinks and (gaps := conditions(truth, claim)):
        found = readable(
            truth, claim, others, bordering_points([truth, claim, *others], gaps, rng), kinks=True
        )
    return found


def bordering_points(
    exprs: Sequence[Expr], gaps: Sequence[Expr], rng: Random
) -> Iterator[tuple[Lengths, dict[Expr, Any]]]:
    """Small points with one entry between two places where conditions change, in few digits."""
    for path in _thin_paths(exprs, rng):
        for low, high in pieces(changes(gaps, path, rng), 1.0):
            yield Lengths(path.sizes), path.at(plainest(low, high))


def points_beside(
    exprs: Sequence[Expr], gaps: Sequence[Expr], rng: Random, most: int
) -> Iterator[tuple[Lengths, dict[Expr, Any]]]:
    """Small points with one entry next to where a condition changes: nearer and nearer, on either side."""
    found = (
        (Lengths(path.sizes), path.at(border + side * 10.0**-k))
        for path in _thin_paths(exprs, rng)
        for border in changes(gaps, path, rng)[:2]
        for k in BESIDE
        for side in (1, -1)
    )
    yield from islice(found, most)


def _thin_paths(exprs: Sequence[Expr], rng: Random) -> Iterator[Path]:
    """Through small points the lines on which one entry moves."""
    import numpy as np

    for sizes, values in small_points(exprs, rng):
        free = [node for node, value in values.items() if value.size and not node.params[2]]
        if not free:
            return
        node = rng.choice(free)
        step = np.zeros_like(values[node])
        step.flat[rng.randrange(step.size)] = 1
        yield Path(sizes, {**values, node: values[node] * (1 - step)}, {node: step})


def plainest(low: float, high: float) -> float:
    """The number with the fewest digits well inside an interval."""
    inset = (high - low) / 10
    for digits in range(-6, 20):
        unit = Fraction(10) ** -digits
        found = ceil(Fraction(low + inset) / unit) * unit
        if found <= high - inset:
            return float(found)
    return (low + high) / 2


def readable(
    truth: Expr,
    claim: Expr,
    others: Sequence[Expr],
    drawn: Iterable[tuple[Lengths, dict[Expr, Any]]],
    kinks: bool = False,
) -> Example | None:
    """Of points that are given the one at which both sides differ and that is easiest to read."""
    import numpy as np

    best: tuple[tuple[float, ...], Example] | None = None
    seen = 0
    for sizes, values in drawn:
        found = _worths([truth, claim, *others], sizes, values)
        if found is None or not _differ(found[0], found[1]):
            continue
        if not kinks and near_a_kink(np, [truth, claim, *others], sizes, values):
            continue
        worths = tuple(map(unspoilt, found))
        named = {str(node.params[0]): value for node, value in values.items() if node is not claim}
        example = Example(sizes, named, worths)
        score = (
            sum(AWKWARD.get(size, float(size)) for size in sizes.values()),
            _length([*named.values(), *found]),
        )
        if best is None or score < best[0]:
            best = score, example
        seen += 1
        if seen == ENOUGH:
            break
    return None if best is None else best[1]


def small_points(exprs: Sequence[Expr], rng: Random) -> Iterator[tuple[Lengths, dict[Expr, Any]]]:
    import numpy as np

    nodes = list(walk(*exprs))
    names = {name for node in nodes for s in node.shape for name in size_names(s)} | {
        str(node.params[0]) for node in nodes if node.op.name == "size"
    }
    rows = lookups(nodes)
    symbols = [node for node in nodes if node.op is symbol_op]
    for attempt in range(TRIES):
        ordered = sorted(names)
        pattern = LENGTHS[attempt % len(LENGTHS)]
        sizes = Lengths({name: pattern[k % len(pattern)] for k, name in enumerate(ordered)})
        if any(sizes[s] <= 0 for node in nodes for s in node.shape):
            continue
        generator = np.random.default_rng(rng.getrandbits(64))
        values: dict[Expr, Any] = {}
        for node in symbols:
            lengths = [sizes[s] for s in node.shape]
            if node in rows:
                values[node] = generator.integers(0, sizes[rows[node]], lengths) * 1.0
            else:
                values[node] = _entries(np, generator, node, lengths, attempt)
        yield sizes, values


def _entries(np: Any, generator: Any, node: Expr, lengths: Sequence[int], attempt: int) -> Any:
    """Small integers that keep what is assumed of the variable."""
    words = node.params[2]
    if words and set(words) - {"positive", "symmetric", "diagonal", "invertible"}:
        if "rows sum to one" in words:
            hot = generator.integers(0, lengths[-1], lengths[:-1])
            return np.eye(lengths[-1])[hot]
        return draw_symbol(np, generator, node, lengths, 0)
    choices = POSITIVE if "positive" in words or attempt % 4 == 3 else SMALL
    value = generator.choice(np.array(choices, dtype=float), lengths)
    if "symmetric" in words:
        value = np.tril(value) + np.tril(value, -1).T
    return np.diag(np.diag(value)) if "diagonal" in words else np.asarray(value, dtype=float)


def _worths(exprs: Sequence[Expr], sizes: Lengths, values: dict[Expr, Any]) -> list[Any] | None:
    import numpy as np

    try:
        found = compute(np, exprs, sizes, values)
    except (SingularError, KeyError, ValueError):
        return None
    return found if all(np.all(np.isfinite(value)) for value in found) else None


def _differ(a: Any, b: Any) -> bool:
    import numpy as np

    scale = max(1.0, float(np.max(np.abs(a), initial=0.0)))
    return a.shape != b.shape or bool(np.any(np.abs(a - b) > DIFFERENT * scale))


def unspoilt(value: Any) -> Any:
    """The array without what only rounding left of zeros."""
    import numpy as np

    return np.where(np.abs(value) < ROUNDING * np.max(np.abs(value), initial=0.0), 0.0, value)


def _length(values: Sequence[Any]) -> float:
    """How many characters it takes to write these numbers down."""
    return float(sum(len(numeral(x)) for value in values for x in value.ravel()))


def numeral(x: float) -> str:
    """A number with at most four digits behind the point."""
    if abs(x) >= 1e6 or (x and abs(x) < 1e-3):
        return f"{x:.3g}"
    text = f"{x:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
