"""What may be wrong with where a descent has ended? Units that sleep, units that are one, rows on a kink."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gradstep.calculus.floating import distance_from_kink
from gradstep.expression.node import Expr, walk
from gradstep.expression.shapes import size_names
from gradstep.learn.descent import Descent
from gradstep.learn.known import Known, called
from gradstep.learn.scaling import Array
from gradstep.learn.starting import values_at
from gradstep.learn.structure import moving, rectifiers
from gradstep.operations.domains import ranges
from gradstep.operations.evaluation import mentioned

MANY = 0.5  # of the units of a layer
STEEPER = 1e3  # times than at the start, and than the way down was
FARTHER = 1e10


@dataclass(frozen=True, eq=False)
class Ended:
    """Where a descent has ended, on what was known before; `data` are in the units of training."""

    seen: Known
    found: Descent
    data: Mapping[str, Array]

    @cached_property
    def bent(self) -> list[Expr]:
        """The parts of the loss that have a kink and move."""
        derivation = self.seen.derivation
        moves = moving(derivation.of, set(derivation.parameters.values()))
        return [node for node in walk(derivation.of) if node.op.kink and node in moves and node.rank]

    @cached_property
    def values(self) -> dict[Expr, Array]:
        """What goes into each of them, for the first rows."""
        return values_at([arg for node in self.bent for arg in node.args], self.found.parameters, self.data)

    def rectified(self) -> Iterator[tuple[str, Array]]:
        """What each layer of ReLUs is called, and what it gets."""
        derivation = self.seen.derivation
        for node in rectifiers(derivation.of, set(derivation.parameters.values())):
            if node.args[0] in self.values:
                yield derivation.names.get(node, "a ReLU"), self.values[node.args[0]]


def few_rows(ended: Ended) -> Iterator[str]:
    """One row alone, or more to learn than rows to learn from."""
    seen = ended.seen
    count = sum(np.size(value) for value in ended.found.parameters.values())
    if seen.rows == 1:
        yield "one row alone to train with: whatever fits it says nothing about others"
    elif count > seen.rows > 0 and not len(seen.plan.watched):
        yield f"{count:,} parameters for {seen.rows:,} rows: a perfect fit may mean nothing"


def dead_units(ended: Ended) -> Iterator[str]:
    """Layers of which most ReLUs are off for every row, and a descent that no slope leads anywhere."""
    for name, z in ended.rectified():
        off = ~(z > 0).any(axis=0)
        if z.ndim == 1 and off:
            yield f"{name} is off for every row: it answers 0 throughout (leaky_relu stays awake)"
        elif z.ndim > 1 and off.mean() >= MANY:
            yield _doing_nothing(name, z)
    if ended.found.stuck and ended.found.loss > 0:
        yield "the slope is exactly zero where it ended, and the loss is not: another start may do better"


def alike_units(ended: Ended) -> Iterator[str]:
    """Units of a layer that began alike and get the same slopes for ever: all work as one."""
    derivation, found = ended.seen.derivation, ended.found
    told = {s for name, v in mentioned(derivation.of).items() if name in ended.data for s in v.shape}
    carried: dict[str, list[tuple[str, int]]] = {}
    for name, parameter in derivation.parameters.items():
        for axis, size in enumerate(parameter.shape):
            if isinstance(size, str) and size not in told and size_names(size) == (size,):
                carried.setdefault(size, []).append((name, axis))
    for size, places in carried.items():
        name, axis = places[0]
        count = found.parameters[name].shape[axis]
        ends = (
            (values, at) for name, at in places for values in (found.path[name][0], found.parameters[name])
        )
        if count > 1 and all(_is_repeated(values, at) for values, at in ends):
            yield (
                f"all {count} units of {size} began alike and stay so, as one unit: random weights part them "
                "(no start)"
            )


def on_kinks(ended: Ended) -> Iterator[str]:
    """Rows that lie exactly where the loss has no slope."""
    for node in ended.bent:
        if all(arg in ended.values for arg in node.args):
            met = np.asarray(distance_from_kink(np, node, *(ended.values[arg] for arg in node.args))) == 0
            rows = met.reshape(len(met), -1).any(axis=1)
            if rows.any():
                yield (
                    f"{int(rows.sum()):,} of {len(rows):,} rows lie exactly on a kink of "
                    f"{called(node, ended.seen)}: {node.op.kink}"
                )


def bottomless(ended: Ended) -> Iterator[str]:
    """A loss that falls the steeper the lower it is, like log(x) near 0, or ever further out."""
    loss, found = ended.seen.derivation.of, ended.found
    gained = found.history[0] - found.loss
    if not gained > 0 or math.isfinite(ranges(loss)[loss].low):
        return
    ends = [(np.ravel(path[0]), np.ravel(found.parameters[name])) for name, path in found.path.items()]
    first, last = (np.concatenate([*each]) for each in zip(*ends, strict=True))
    steep = found.gradient_norm > STEEPER * found.first_gradient_norm
    how = ""
    if steep and found.gradient_norm * float(np.linalg.norm(last - first)) > STEEPER * gained:
        how = "the steeper the lower, until rounding ended it"
    elif np.abs(last).max() > FARTHER * (1 + np.abs(first).max()):
        how = f"ever further out, where parameters are {np.abs(last).max():.2g}"
    if how:
        yield f"the loss has no lowest value: it fell to {found.loss * ended.seen.units.loss:.3g}, {how}"


CHECKS: tuple[Callable[[Ended], Iterator[str]], ...] = (
    few_rows,
    dead_units,
    alike_units,
    on_kinks,
    bottomless,
)


def resting(ended: Ended) -> Iterator[str]:
    """ReLUs that are off for some rows, and units of a layer that are off for every row: no fault as such."""
    for name, z in ended.rectified():
        if z.ndim == 1 and (z > 0).any() and (z <= 0).any():
            yield f"the ReLU is off (z ≤ 0, answer 0) for {int((z <= 0).sum())} of {len(z)} rows"
        elif z.ndim > 1 and not (z > 0).any(axis=0).all():
            yield _doing_nothing(name, z)


def at_last(
    seen: Known, found: Descent, data: Mapping[str, Array]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What may be wrong with where a descent has ended, and what else is to be said of its ReLUs."""
    ended = Ended(seen, found, data)
    with np.errstate(all="ignore"):
        return tuple(note for check in CHECKS for note in check(ended)), tuple(resting(ended))


def _doing_nothing(name: str, z: Array) -> str:
    off = ~(z > 0).any(axis=0)
    return f"{int(off.sum())} of {off.size} units of {name} are off for every row: they do nothing"


def _is_repeated(values: Array, axis: int) -> bool:
    """Whether all slices along an axis are the same, but for rounding errors."""
    slices = np.moveaxis(np.asarray(values), axis, 0)
    return bool(np.allclose(slices, slices[:1], rtol=1e-9, atol=0))
