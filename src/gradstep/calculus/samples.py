"""Is one formula a multiple of another? Values at a few random points, with sizes that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any

from gradstep.calculus.edits import MASKS
from gradstep.calculus.floating import compute, draw_symbol, points
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import Size
from gradstep.operations.arithmetic import divide_op, multiply_op, scale_op, subtract_op
from gradstep.operations.leaves import number, number_op, size_op, symbol_op, value_of
from gradstep.operations.leaves import size as size_of

DRAWS = 8  # of points, three each
KEPT = 10
TOLERANCE = 1e-8
PARTS = 64  # the largest numerator and denominator of a plain factor


COUNTING = frozenset({size_op, number_op, multiply_op, divide_op, subtract_op, scale_op})


@dataclass(frozen=True, slots=True)
class Factor:
    """A number: `plain` times a power of `of`."""

    plain: Fraction
    of: Expr | None = None
    power: int = 1

    @property
    def expr(self) -> Expr:
        """The factor as a formula."""
        if self.of is None:
            return number(self.plain)
        above, below = number(self.plain.numerator), number(self.plain.denominator)
        if self.of.op is divide_op and self.power == -1 and value_of(self.of.args[0]) is None:
            return Factor(self.plain, self.of.args[1] / self.of.args[0]).expr
        raised = self.of if abs(self.power) == 1 else self.of ** abs(self.power)
        if self.power < 0:
            return above / (raised if self.plain.denominator == 1 else below * raised)
        return raised if self.plain == 1 else number(self.plain) * raised

    @property
    def inverse(self) -> Factor:
        """One over it."""
        return Factor(1 / self.plain, self.of, -self.power)

    @property
    def is_one(self) -> bool:
        """Whether it changes nothing."""
        return self.of is None and self.plain == 1

    @property
    def has_size(self) -> bool:
        """Whether it counts something."""
        return self.of is not None and all(node.op in COUNTING for node in walk(self.of))


@dataclass(frozen=True, slots=True)
class Sample:
    """One random point: lengths of sizes, and values of the variables."""

    sizes: Mapping[Size, int]
    values: dict[Expr, Any]

    def of(self, *exprs: Expr) -> list[Any]:
        """The values of expressions; what they share is worked out once."""
        import numpy as np

        return compute(np, exprs, self.sizes, self.values)

    def keep(self, exprs: Sequence[Expr]) -> None:
        """Work these out for good, and all that they are made of."""
        for node in walk(*exprs):
            if node not in self.values:
                self.values[node] = self.of(node)[0]

    def with_fact(self, variable: Expr, fact: str, rng: Random) -> Sample:
        """The same point, but this variable has values for which a fact holds."""
        import numpy as np

        told = symbol_op(params=(*variable.params[:2], (fact,)))
        value = draw_symbol(
            np,
            np.random.default_rng(rng.getrandbits(64)),
            told,
            [self.sizes[s] for s in variable.shape],
            0,
        )
        others = {node: known for node, known in self.values.items() if node.op is symbol_op}
        return Sample(self.sizes, {**others, variable: value})


class Samples:
    """Points at which formulas about one loss are compared."""

    def __init__(self, truth: Expr, claim: Expr, loss: Expr, drawn: Sequence[Sample]) -> None:
        self.loss, self.truth = loss, truth
        self.points = telling(truth, claim, loss, drawn)
        for sample in self.points:
            sample.keep([truth, claim, loss])
        self.trials = 0

    def add(self, more: Sequence[Sample]) -> None:
        """Further points, that tell what the others do not."""
        for sample in more:
            sample.keep([self.truth, self.loss])
        self.points = [*more, *self.points][:KEPT]

    def same(self, a: Expr, b: Expr) -> bool:
        """Whether both have the same values at all points."""
        self.trials += 1
        return a.shape == b.shape and all(close(*sample.of(a, b)) for sample in self.points)

    def factor(self, a: Expr, b: Expr) -> Factor | None:
        """The number by which b is multiplied to give a; None where there is none that has a simple form."""
        import numpy as np

        self.trials += 1
        ratios = []
        for sample in self.points:
            x, y = sample.of(a, b)
            scale = float(np.sum(y * y))
            if not scale > 0:
                if np.any(x):
                    return None
                continue
            ratio = float(np.sum(x * y)) / scale
            if not close(x, ratio * y):
                return None
            ratios.append((sample, ratio))
        return self._simple(ratios) if ratios else None

    def _simple(self, ratios: Sequence[tuple[Sample, float]]) -> Factor | None:
        """What these numbers are: a plain number, or one times sizes or a number of the loss."""
        first = ratios[0][1]
        if all(abs(r - first) <= 1e-9 * abs(first) + 1e-12 for _, r in ratios):
            plain = _fraction(first)
            return Factor(Fraction(f"{first:.8g}") if plain is None else plain)
        for scalar in self._scalars():
            values = [float(sample.of(scalar)[0]) for sample, _ in ratios]
            for power in (1, -1, 2, -2, 3, -3):
                rest = [r / v**power for (_, r), v in zip(ratios, values, strict=True) if v]
                if len(rest) == len(values) and max(rest) - min(rest) <= 1e-9 * abs(rest[0]):
                    plain = _fraction(rest[0])
                    if plain is not None:
                        return Factor(plain, scalar, power)
        return None

    def _scalars(self) -> Iterator[Expr]:
        """The numbers that a factor may be: sizes, their products, and what is a number in the loss."""
        names = dict.fromkeys(s for node in walk(self.loss) for s in node.shape if isinstance(s, str))
        sizes = [size_of(name) for name in names]
        yield from sizes
        yield from (a * b for k, a in enumerate(sizes) for b in sizes[k + 1 :])
        yield from (a - 1 for a in sizes)
        yield from (a / b for a in sizes for b in (*sizes, a - 1) if a is not b)
        for node in walk(self.loss, self.truth):
            if not node.rank and value_of(node) is None and node not in sizes:
                yield node

    def holds_with(self, variable: Expr, fact: str, claim: Expr, rng: Random) -> bool:
        """Whether the claim is right where this is known of a variable."""
        try:
            told = [sample.with_fact(variable, fact, rng) for sample in self.points]
        except (ValueError, IndexError):
            return False
        return bool(told) and all(close(*sample.of(self.truth, claim)) for sample in told)


def close(a: Any, b: Any) -> bool:
    """Whether two arrays are the same but for rounding."""
    import numpy as np

    scale = max(float(np.max(np.abs(a), initial=0.0)), float(np.max(np.abs(b), initial=0.0)), 1e-12)
    return bool(np.all(np.abs(a - b) <= TOLERANCE * scale))


def _fraction(x: float) -> Fraction | None:
    """The plain number that x is, if it is simple."""
    plain = Fraction(x).limit_denominator(PARTS)
    return plain if abs(plain - x) <= 1e-9 * max(1, abs(x)) and abs(plain.numerator) <= PARTS else None


def drawn_samples(exprs: Sequence[Expr], defined: Sequence[Expr], rng: Random) -> list[Sample]:
    """Random points at which all of `defined` have values."""
    return [Sample(*point) for _ in range(DRAWS) for point in points(exprs, rng, defined)]


def telling(truth: Expr, claim: Expr, loss: Expr, drawn: Sequence[Sample]) -> list[Sample]:
    """Points at which `truth` is not zero and conditions hold in places, as far as there are such."""
    import numpy as np

    exprs = (truth, claim, loss)
    masks = [node for node in walk(*exprs) if node.op in MASKS]
    met: set[tuple[int, ...]] = set()
    ranked = []
    for k, sample in enumerate(drawn):
        sizes = tuple(length for _, length in sorted(sample.sizes.items(), key=lambda pair: str(pair[0])))
        mixed = sum(0 < np.mean(value) < 1 for value in sample.of(*masks)) if masks else 0
        ranked.append((not np.any(sample.of(truth)[0]), sizes in met, -mixed, k))
        met.add(sizes)
    return [drawn[k] for *_, k in sorted(ranked)][:KEPT]
