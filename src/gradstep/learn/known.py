"""What is known of data and loss before the first step? What columns span, and which are made of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep.calculus.steps import Derivation
from gradstep.expression.late import late
from gradstep.expression.node import Expr, describe
from gradstep.expression.records import record
from gradstep.learn.columns import shown
from gradstep.learn.coordinates import Coordinates
from gradstep.learn.moments import FLAT, Columns, extreme
from gradstep.learn.plan import Plan
from gradstep.learn.scaling import Array
from gradstep.learn.structure import Affine, entrances
from gradstep.operations.activations import sigmoid_op
from gradstep.operations.domains import ranges
from gradstep.operations.evaluation import mentioned, variables
from gradstep.operations.ranges import Range
from gradstep.operations.rowwise import softmax_op

if TYPE_CHECKING:
    from gradstep.learn import dependence
else:
    dependence = late("gradstep.learn.dependence")

Place: TypeAlias = tuple[str, int]  # a column of an array

MOST_ROWS = 2000  # are looked at where a look costs time
DIFFER = 1e-5  # of its spread a column may differ from what it is made of
CONFIRMED = 1e-3  # as far as sums over all rows can tell


@dataclass(frozen=True)
class Span:
    """What each column of an array spans: the ends of all rows, and mean and spread."""

    low: Array
    high: Array
    mean: Array
    spread: Array

    @classmethod
    def of(cls, values: Array) -> Span:
        """Of the rows of an array; mean and spread of some of them."""
        flat = values.reshape(len(values), -1)
        some = flat[:: max(1, len(flat) // MOST_ROWS)]
        top = np.abs(some).max(axis=0, initial=0.0)
        unit = np.where(top > 0, top, 1.0)
        scaled = some / unit
        low, high = extreme(np.minimum, flat), extreme(np.maximum, flat)
        return cls(low, high, scaled.mean(axis=0) * unit, scaled.std(axis=0) * unit)

    @classmethod
    def surveyed(cls, found: Columns, rows: int) -> Span:
        """Of what a survey has found."""
        return cls(found.low, found.high, found.mean, np.sqrt(found.variance(rows)))

    @property
    def size(self) -> Array:
        """The largest number of each column, without its sign."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    @property
    def flat(self) -> NDArray[np.bool_]:
        """Which columns are the same in every row."""
        return np.asarray(self.high - self.low <= FLAT * self.size)


@record
class Sum:
    """A feature that is `shift` and the sum of `factors` times others.

    `switches` where all of them are 0 or 1; `everywhere` where it is so in all rows, not only in a sample.
    """

    place: Place
    of: tuple[Place, ...]
    factors: tuple[float, ...]
    shift: float
    switches: bool
    everywhere: bool


@dataclass(frozen=True, eq=False)
class Known:
    """What is known before the first step.

    plan        the rows at hand: all of them, or a sample of those in files
    derivation  of the loss
    units       in which it is trained
    spans       what the columns span, of each array with a number, or a row of numbers, for each row
    kinds       the types of numbers as they were given
    names       the names of the columns of an array, where they have names
    rows        how many rows there are to train with
    sampled     whether the rows at hand are a sample
    residue     the mean square of a sum of columns beside its mean, over all rows, where that is known
    """

    plan: Plan
    derivation: Derivation
    units: Coordinates
    spans: Mapping[str, Span]
    kinds: Mapping[str, np.dtype[Any]]
    names: Mapping[str, Sequence[str]]
    rows: int
    sampled: bool = False
    residue: Callable[[Mapping[Place, float]], float | None] = lambda factors: None

    def told(self, name: str, column: int) -> str:
        """A column as a note calls it: "column 3 of X", or by its own name."""
        if name in self.names and not self.names[name][column].isdigit():
            return shown(self.names[name][column])
        return f"column {column} of {name}" if self.plan.data[name].ndim > 1 else name

    def both(self, one: Place, other: Place) -> str:
        """Two columns as a note calls them: "columns 1 and 3 of X"."""
        first, second = self.told(*one), self.told(*other)
        if one[0] == other[0] and first.startswith("column "):
            return f"columns {one[1]} and {other[1]} of {one[0]}"
        return f"{first} and {second}"

    @cached_property
    def features(self) -> list[str]:
        """The arrays that the answers are made of, with a number, or a row of numbers, for each row."""
        answer = self.plan.prediction
        used = self.spans if answer is None else mentioned(answer)
        return [name for name in self.spans if name in used and name != self.target]

    @cached_property
    def sums(self) -> tuple[Sum, ...]:
        """The features that are made of others."""
        rows = self.plan.train[:: max(1, len(self.plan.train) // MOST_ROWS)]
        arrays = {name: self.plan.data[name].reshape(len(self.plan.data[name]), -1) for name in self.features}
        places = [(name, k) for name, array in arrays.items() for k in range(array.shape[1])]
        if len(places) < 3:
            return ()
        grain = np.concatenate([self.spans[name].size * _eps(self.kinds[name]) for name in arrays])
        found = dependence.combinations(np.hstack([array[rows] for array in arrays.values()]), grain)
        sums = (self._sum(each, places, grain, arrays) for each in found)
        return tuple(each for each in sums if each is not None)

    def _sum(
        self, each: dependence.Combination, places: Sequence[Place], grain: Array, arrays: Mapping[str, Array]
    ) -> Sum | None:
        """A combination that was seen of some rows, if it is one in all of them, and beside the bias."""
        place, *of = (places[k] for k in (each.column, *each.of))
        columns = [arrays[name][self.plan.train, k] for name, k in (place, *of)]
        spread, size = (getattr(self.spans[place[0]], what)[place[1]] for what in ("spread", "size"))
        apart = columns[0] - each.shift - sum(f * x for f, x in zip(each.factors, columns[1:], strict=True))
        shift = (
            0.0 if abs(each.shift) <= 1e-9 * size + dependence.ROUNDINGS * grain[each.column] else each.shift
        )
        alone = shift and not all(map(self._has_bias, {name for name, _ in (place, *of)}))
        residue = self.residue({place: -1.0, **dict(zip(of, each.factors, strict=True))})
        if (np.abs(apart) > DIFFER * spread).any() or alone:
            return None
        if residue is not None and residue > (CONFIRMED * spread) ** 2:
            return None
        switches = all(bool(((x == 0) | (x == 1)).all()) for x in columns)
        return Sum(place, tuple(of), each.factors, shift, switches, residue is not None)

    def _has_bias(self, name: str) -> bool:
        """Whether a bias stands wherever an array enters, and takes up what is the same in every row."""
        loss, parameters = self.derivation.of, set(self.derivation.parameters.values())
        places = entrances(loss, variables(loss)[name], parameters)
        return bool(places) and all(isinstance(each, Affine) for each in places)

    @property
    def target(self) -> str | None:
        """What is predicted for each row."""
        return self.plan.target if self.plan.target in self.spans else None

    @property
    def aim(self) -> str:
        """What the target is called."""
        target = self.target or ""
        return self.told(target, 0) if self.goal is not None and self.goal.shape[1] == 1 else target

    @property
    def goal(self) -> Array | None:
        """The target, a column for each number of a row."""
        values = None if self.target is None else self.plan.data[self.target]
        return None if values is None else values.reshape(len(values), -1)

    @cached_property
    def reach(self) -> Range | None:
        """Where the answers of the network surely lie, with the ends."""
        answer = self.plan.prediction
        return None if answer is None else ranges(answer)[answer].closed()

    @property
    def classes(self) -> bool:
        """Whether the network answers with probabilities."""
        return self.plan.prediction is not None and self.plan.prediction.op in (sigmoid_op, softmax_op)

    @property
    def where(self) -> str:
        """For what is known of the sample alone."""
        return " (in the sample)" if self.sampled else ""


def called(node: Expr, seen: Known) -> str:
    """A part of the loss: as it is written where that is short, else by its name."""
    text = describe(node)
    return text if not text.endswith("…") else seen.derivation.names.get(node, f"{node.op.name}(…)")


def _eps(kind: np.dtype[Any]) -> float:
    """How far a number may lie from what it stands for, as a share of it."""
    return float(np.finfo(kind if kind.kind == "f" else np.float64).eps)
