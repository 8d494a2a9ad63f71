"""What do all trainings of one loss on the same rows in files share? Derivation, survey, units, programs.

Features are not standardised in the file: the parameters are those for the data as they are, and the descent
sees them, and the slopes along them, in units in which all features have spread 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from gradstep.backends.blocks import Blocked
from gradstep.backends.compiled import Compiled
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.expression.records import replaced
from gradstep.expression.shapes import Lengths
from gradstep.learn.arrays import checked
from gradstep.learn.choices import Task, derived, translated
from gradstep.learn.cluster import Cluster, spread
from gradstep.learn.columns import listed
from gradstep.learn.coordinates import Coordinates, coordinates_by
from gradstep.learn.encoding import Encoder
from gradstep.learn.encoding import Task as Aim
from gradstep.learn.exactness import Exactly, OfColumns, exact_units
from gradstep.learn.faults import at_first
from gradstep.learn.known import Known, Span
from gradstep.learn.objective import needed
from gradstep.learn.penalty import Asked, penalised
from gradstep.learn.plan import Plan, planned
from gradstep.learn.reading import Change, Clock, Part
from gradstep.learn.recipes import Recipe, recipe_of
from gradstep.learn.scaling import Array
from gradstep.learn.shares import Shares
from gradstep.learn.stores import Share, Store
from gradstep.learn.survey import Survey
from gradstep.operations.evaluation import mentioned
from gradstep.operations.memory import spoken

FAR = 30.0  # spreads from zero: beyond, float32 loses too many digits


@dataclass(eq=False)
class StoredGround:
    """A loss, the rows of it that are in files, and what is known of them.

    `plain` is the derivation of the loss without a penalty, and `derivation` that of what is trained; `given`
    are the arrays of the store that the loss uses. `sample` are rows to train with, in the units of training.
    """

    task: Task
    plain: Derivation
    store: Store
    declared: Mapping[str, Expr]
    given: Sequence[str]
    fixed: Mapping[str, Any]
    shares: Shares
    survey: Survey
    changes: Mapping[str, Change]
    clock: Clock
    workers: Cluster | None
    exact: bool
    derivation: Derivation = field(init=False)
    plan: Plan = field(init=False)
    sizes: Lengths = field(init=False)
    kind: Any = field(init=False)
    units: Coordinates = field(init=False)
    sample: dict[str, Array] = field(init=False)
    function: Compiled = field(init=False)
    recipe: Recipe = field(init=False)
    blocked: Blocked = field(init=False)
    notes: list[str] = field(default_factory=list)
    parts: dict[Share, Part] = field(default_factory=dict)

    def prepare(
        self,
        seed: int,
        prediction: Expr | None,
        standardise: bool,
        l2: Asked | None,
        language: str,
        threads: int | None,
    ) -> None:
        """A sample of the rows tells shapes and a start; the survey tells the units."""
        plain, survey = self.plain, self.survey
        given = checked({**self.fixed, **survey.filled(self.given)}, self.declared, plain.wrt)
        held, watched = (survey.sample.rows(share) for share in (self.shares.held, self.shares.watched))
        plan = planned(plain, given, _rows(held), _rows(watched), seed, prediction)
        apart = next((name for name in self.given if name not in plan.along), None)
        if apart is not None:
            raise MathError(
                f"{apart} has its rows in a file, but they are not those that the loss goes over",
                facts=[f"with rows: {listed(plan.along)}"],
                mend=f"{apart} as an array",
            )
        self.plan, self.sizes = plan, given.sizes
        self.kind = self._kind()
        asked = None if l2 is None else penalised(l2, plain.of, plain.parameters, plan.along)
        fenced = plain.of if asked is None else asked.fenced
        self.units = self._units(fenced) if standardise else Coordinates()
        if asked is not None:
            penalty = asked.within(self.units)
            self.task = (penalty.loss, plain.wrt, self.task[2])
            self.plan = replaced(plan, data={**plan.data, **penalty.data})
            self.units = replaced(self.units, spreads=penalty.spreads)
            self.notes += penalty.notes
        self.derivation = derived(self.task)
        self.function = translated(self.task, language, threads, self.exact)
        needed(self.function, {*self.plan.data, *plain.wrt})
        axis = str(self.declared[self.given[0]].shape[0])
        loss, _, names = self.task
        self.recipe = recipe_of(self.function, loss, plain.wrt, names, axis, language, self.exact)
        self.blocked = self.recipe.blocked(self.function)
        self.sample = self.units.data(self.plan.of(self.plan.train))
        self.notes += [*given.notes, *self._said(), *self.units.notes, *self.derivation.notes]

    def _units(self, loss: Expr) -> Coordinates:
        plain, survey, target = self.plain, self.survey, self.plan.target
        if self.exact:
            return exact_units(loss, self.exactly, target, plain.parameters)
        return coordinates_by(loss, self.given, target, plain.parameters, survey.scaler, survey.unit)

    @cached_property
    def exactly(self) -> dict[str, Exactly]:
        """What the columns come to, to the last bit: a pass over the rows to learn from."""
        holes = next((name for name in self.given if self.survey.columns[name].missing.any()), None)
        if holes is not None:
            raise MathError(
                f"{holes} has missing values, which are taken as means that depend on the order of the rows",
                mend="exact=False, or rows without missing values",
            )
        return self.part(self.shares.learnt).total(OfColumns(), self.given)

    def _kind(self) -> Any:
        """float32 where features are kept so and lie near enough to zero, else float64."""
        kinds = [self.store.kinds[name] for name in self.given if name != self.plan.target]
        if not all(np.can_cast(kind, np.float32) for kind in kinds):
            return np.dtype(np.float64)
        far, survey = self.survey.offset(), self.survey.columns
        why = f"some column lies {far:.3g} times its spread from zero" if far > FAR else None
        wide = next((name for name in self.given if not survey[name].fits_short), None)
        if wide is not None:
            size = np.maximum(np.abs(survey[wide].low), np.abs(survey[wide].high))
            why = f"{wide} holds numbers whose squares float32 cannot hold (up to {size.max():.3g})"
        if why is not None:
            self.notes.append(f"{why}: computed in float64, which is slower")
        return np.dtype(np.float32 if why is None else np.float64)

    def _said(self) -> Iterator[str]:
        store, survey = self.store, self.survey
        windows = sum(1 for _ in store.windows())
        size = spoken(store.count * store.bytes_of(self.given))
        sample = len(next(iter(survey.sample.arrays.values())))
        yield (
            f"{store.source}: {store.count:,} rows, {size}, read in {windows:,} window"
            f"{'s' * (windows != 1)}: the rows stay in the file; pictures show {sample:,} of them"
        )
        yield from store.notes
        held = self.count(self.shares.held)
        if held:
            yield f"{held:,} of {store.count:,} rows held out to judge the fit: the last of each window"
        watched = self.count(self.shares.watched)
        if watched:
            yield f"{watched:,} rows tell when to stop and are not trained with"
        for name in self.given:
            yield from survey.said(store, name)

    def count(self, share: Share) -> int:
        """How many rows there are in a share of every window."""
        return Part(self.store, share).count

    def part(self, share: Share) -> Part:
        """A share of every window, to compute with; only those of the descent are gone through often."""
        if share not in self.parts:
            part = Part(self.store, share, self.changes, self.kind, self.clock)
            often = share in (self.shares.train, self.shares.watched)
            self.parts[share] = spread(part, self.workers, not often)
        return self.parts[share]

    @property
    def beside(self) -> dict[str, Array]:
        """The data that have no rows."""
        return {name: value for name, value in self.plan.data.items() if name not in self.given}

    @cached_property
    def seen(self) -> Known:
        """What is known of the data before the first step."""
        survey, store, plan = self.survey, self.store, self.plan
        flat = [name for name in self.given if plan.data[name].ndim < 3]
        spans = {name: Span.surveyed(survey.columns[name], survey.rows) for name in flat}
        rows = self.count(self.shares.train)
        sampled = len(plan.data[self.given[0]]) < store.count
        told = (spans, store.kinds, store.columns, rows, sampled, survey.residue)
        return Known(plan, self.plain, self.units, *told)

    @cached_property
    def first(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What may be wrong with the data and the loss, and what else is to be said of them."""
        return at_first(self.seen)

    @cached_property
    def encoder(self) -> Encoder | None:
        """What becomes of a table with the columns of these files, where they have names."""
        store, plan = self.store, self.plan
        names = store.columns.get(plan.features or "")
        goal = store.columns.get(plan.target or "")
        alone = plan.prediction is not None and set(mentioned(plan.prediction)) - set(self.plain.wrt) == {
            plan.features
        }
        if not names or not goal or not alone:
            return None
        means = self.survey.columns[plan.features or ""].mean
        aim: Aim = "regression" if store.classes is None else "classification"
        return Encoder(goal[0], aim, store.classes, store.encoded(plan.features or "", means))


def _rows(rows: Array | Any) -> Any:
    """Row numbers as `planned` takes them: none is a share of 0."""
    return rows if len(rows) else 0.0
