"""What do all trainings of one loss on the same data share? Derivation, rows, units, rivals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from gradstep.backends.compiled import Compiled
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.late import late
from gradstep.expression.node import Expr
from gradstep.expression.records import replaced
from gradstep.learn.arrays import Checked, checked, column_names
from gradstep.learn.choices import Choice, Task, derived, order_of, translated
from gradstep.learn.columns import shown
from gradstep.learn.comparison import (
    Score,
    baselines,
    compared,
    is_linear,
    judges_classes,
    remarks,
    unanswered,
    worse_than_nothing,
)
from gradstep.learn.coordinates import Coordinates, coordinates, farthest
from gradstep.learn.descent import BOTTOMLESS, BOUNDED, Batches, Descent, descend
from gradstep.learn.endings import at_last
from gradstep.learn.faults import at_first
from gradstep.learn.fit import Fit
from gradstep.learn.known import Known, Span
from gradstep.learn.objective import check_memory, needed, objective, watch_of, worth
from gradstep.learn.optimisers import optimiser_named
from gradstep.learn.penalty import Asked, penalised
from gradstep.learn.plan import Plan, planned
from gradstep.learn.progress import Progress
from gradstep.learn.rounding import noise_in, places_near
from gradstep.learn.scaling import Array
from gradstep.learn.starting import alive, shapes_of, start_of, undefined_part
from gradstep.learn.surface import Layout, Measured, Objective
from gradstep.operations.evaluation import mentioned, variables

if TYPE_CHECKING:
    from gradstep.learn import exactness, knowledge, plain_data, prints
    from gradstep.learn.checkpoints import Checkpoint
    from gradstep.learn.reading import Part
    from gradstep.learn.stretches import Machine
else:
    exactness = late("gradstep.learn.exactness")
    knowledge = late("gradstep.learn.knowledge")
    plain_data = late("gradstep.learn.plain_data")
    prints = late("gradstep.learn.prints")

Watch: TypeAlias = Callable[[dict[str, Array]], float]

FOLDING_ERROR, FOLDING_NOISE = 1e-6, 1e-3
FAR = 1e4  # spreads from zero, that take digits away
SELF = "standardise=False, and features of mean 0 and spread 1"


@dataclass(frozen=True)
class Manner:
    """How one training goes: the arguments of `train` by these names. It may be one of several `variants`."""

    optimiser: str
    learning_rate: float | None
    steps: int
    tolerance: float
    batch: int | None
    seed: int
    enough: float
    start: Mapping[str, ArrayLike] | None
    sizes: Mapping[str, int] | None
    backend: str
    threads: int | None
    variants: int = 1
    exact: bool = False

    def told(self) -> dict[str, Any]:
        """What another training has to have in common with this one to go on with it, as plain data."""
        own = (
            "optimiser",
            "learning_rate",
            "tolerance",
            "batch",
            "seed",
            "enough",
            "backend",
            "sizes",
            "start",
            "exact",
        )
        return {name: plain_data.plain(getattr(self, name)) for name in own}

    @cached_property
    def choice(self) -> Choice:
        """Who trains; what was asked for wrongly is a `MathError`."""
        return Choice(
            self.backend,
            self.threads,
            optimiser_named(self.optimiser),
            self.learning_rate,
            self.steps,
            self.batch,
            self.seed,
            self.exact,
        )


class Measure(Protocol):
    """Who measures the loss on data as a function of the parameters."""

    def whole(self, function: Compiled, data: Mapping[str, Array]) -> Objective:
        """The loss on these data."""

    def part(
        self, function: Compiled, key: object, rows: Callable[[], dict[str, Array]], size: int
    ) -> Objective:
        """The loss on some rows, about so many bytes, which are the same wherever the key is."""

    def over(self, part: Part) -> Part:
        """Rows in files, whose windows others may need too."""

    def walked(self) -> None:
        """Is told when the walk is over."""


class Alone:
    """A training that measures for itself."""

    def whole(self, function: Compiled, data: Mapping[str, Array]) -> Objective:
        return objective(function, data)

    def part(
        self, function: Compiled, key: object, rows: Callable[[], dict[str, Array]], size: int
    ) -> Objective:
        return objective(function, rows())

    def over(self, part: Part) -> Part:
        return part

    def walked(self) -> None:
        pass


@dataclass(frozen=True)
class Ground:
    """A loss, its derivation, and who of the data does what: `mine` are the rows to train with.

    `inside` are these rows in the units of training; `plain` is the derivation of the loss without a penalty.
    """

    task: Task
    derivation: Derivation
    plain: Derivation
    given: Checked
    plan: Plan
    units: Coordinates
    mine: Mapping[str, Array]
    inside: Mapping[str, Array]
    columns: Mapping[str, Sequence[str]]

    @cached_property
    def seen(self) -> Known:
        """What is known of the data before the first step."""
        plan = self.plan
        spans = {name: Span.of(plan.data[name]) for name in plan.along if plan.data[name].ndim < 3}
        return Known(plan, self.plain, self.units, spans, self.given.kinds, self.columns, len(plan.train))

    @cached_property
    def first(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What may be wrong with the data and the loss, and what else is to be said of them."""
        return at_first(self.seen)

    @property
    def faults(self) -> tuple[str, ...]:
        """What may be wrong with the data and the loss."""
        return self.first[0]

    @cached_property
    def rivals(self) -> dict[str, Array]:
        """What the baselines answer for every row; for classes none that the network is itself."""
        plan, y = self.plan, self.y
        columns = [plan.data[name].reshape(len(y), -1) for name in plan.along if name != plan.target]
        line = bool(columns) and not (self.classes and is_linear(self.plain, self.answer))
        X = np.hstack(columns) if line else None
        return baselines(X, y, plan.train, plan.watched, self.classes)

    @property
    def y(self) -> Array:
        assert self.plan.target is not None
        return self.plan.data[self.plan.target]

    @property
    def answer(self) -> Expr:
        assert self.plan.prediction is not None
        return self.plan.prediction

    @property
    def classes(self) -> bool:
        return judges_classes(self.answer, self.y)

    def fit(
        self,
        manner: Manner,
        show: Progress | None,
        numbers: Mapping[str, Array] | None = None,
        measure: Measure | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Fit:
        """One training on this ground, with other `numbers` among the data."""
        own, by = dict(numbers or {}), measure or Alone()
        if checkpoint is not None:
            self._belongs(checkpoint, manner, own)
        try:
            found, function, notes, ran = self._walked(manner, show, own, by, checkpoint)
        except MathError as error:
            error.facts = (*error.facts, *self.faults)
            raise
        by.walked()
        asked = {"learning_rate": manner.learning_rate, "batch": manner.batch, "seed": manner.seed}
        return replace(self._fitted(found, function, notes, ran, own, by), settings=asked)

    def _walked(
        self,
        manner: Manner,
        show: Progress | None,
        own: Mapping[str, Array],
        by: Measure,
        checkpoint: Checkpoint | None,
    ) -> tuple[Descent, Compiled, Sequence[str], Sequence[str]]:
        """The way down, by what code, what has to be said of it, and who went it."""
        derivation, plan, units = self.derivation, self.plan, self.units
        inside = {**self.inside, **own}
        way = manner.choice
        language, why = way.language(inside, len(plan.train), manner.variants)
        if checkpoint is not None:
            began = checkpoint.recall("language", str, partial(str, language))
            language, why = (language, why) if began == language else (began, "as it began")
        function = translated(self.task, language, manner.threads, manner.exact)
        needed(function, {*self.given.arrays, *derivation.wrt})
        shapes = shapes_of(self.plain, self.given.sizes, manner.sizes, manner.start)
        check_memory(function, {**inside, **{name: np.empty(shape) for name, shape in shapes.items()}})
        first, from_user = start_of(
            self.plain, shapes, manner.start, units, plan, manner.seed, self.exactly if manner.exact else None
        )
        first = alive(self.plain, first, inside, set(from_user), units, manner.exact)
        known: Mapping[str, Any] = {}
        more: tuple[str, ...] = ()
        if way.optimiser.needs != "gradient":
            known, more = knowledge.beyond(way.optimiser, derivation, inside, first)
        machine: Machine | str = why
        if language == "native":
            others = {**self.watched_rows, **own} if len(plan.watched) else None
            machine = way.machine(function, inside, first, plan, others, manner.enough)
        watching = self._watch(function, manner.enough, own, by)
        found = descend(
            by.whole(function, inside),
            first,
            optimiser=manner.optimiser,
            learning_rate=manner.learning_rate,
            steps=manner.steps,
            tolerance=manner.tolerance,
            progress=show,
            watch=watching,
            batches=self._batches(function, inside, manner, by),
            **known,
            machine=None if isinstance(machine, str) else machine,
            explain=partial(undefined_part, self.plain, plan.along, inside),
            keeper=checkpoint,
        )
        kept = () if checkpoint is None else checkpoint.told(found.stopped == "interrupted")
        notes = (*self.given.notes, *plan.notes, *units.notes, *derivation.notes, *more, *found.notes, *kept)
        ran = way.told(language, why, machine, function, inside, watching is not None)
        return found, function, notes, ran

    def _belongs(self, checkpoint: Checkpoint, manner: Manner, own: Mapping[str, Array]) -> None:
        """The checkpoint is one of this training."""
        plan, units, given = self.plan, self.units, {**self.given.arrays, **own}
        made = mentioned(self.derivation.of).keys() - mentioned(self.plain.of).keys()
        standardised = [each.data for each in units.entrances] + ["the target"] * (units.unit is not None)
        settings = {**manner.told(), "standardise": ", ".join(standardised)}
        settings |= {name: float(given[name]) for name in made if name not in units.spreads}
        rows = {"train with": plan.train, "watch": plan.watched, "hold out": plan.held_out}
        formula = {"formula": str(self.derivation.of), "parameters": ", ".join(self.derivation.wrt)}
        checkpoint.agree("loss", formula)
        checkpoint.agree("settings", settings)
        checkpoint.agree(
            "data", {name: plain_data.plain(each) for name, each in given.items() if name not in made}
        )
        checkpoint.agree(
            "rows", {name: prints.digest(each.astype("<i8").tobytes()) for name, each in rows.items()}
        )

    def _watch(
        self, function: Compiled, enough: float, own: Mapping[str, Array], by: Measure
    ) -> Watch | None:
        """The loss on the watched rows; with `enough` and none of them, on the rows trained with."""
        plan = self.plan
        if not len(plan.watched):
            return watch_of(by.whole(function, {**self.inside, **own}), enough) if enough else None
        return watch_of(by.whole(function, {**self.watched_rows, **own}), enough)

    def exactly(self, name: str) -> exactness.Exactly:
        """What the rows to train with come to, in the units of the data."""
        return exactness.Exactly.of(self.mine[name])

    @cached_property
    def watched_rows(self) -> dict[str, Array]:
        """The rows to stop by, in the units of training."""
        fixed = {name: array for name, array in self.inside.items() if name not in self.plan.along}
        return {**self.units.data(self.plan.of(self.plan.watched)), **fixed}

    @cached_property
    def held_rows(self) -> dict[str, Array]:
        """The rows to judge with, in the user's units."""
        return self.plan.of(self.plan.held_out)

    def _batches(
        self, function: Compiled, data: Mapping[str, Array], manner: Manner, by: Measure
    ) -> Batches | None:
        """The rows in a new random order in every pass, some of them at a time."""
        batch, seed, plan = manner.batch, manner.seed, self.plan
        if batch is None:
            return None
        rows = len(plan.train)
        if not plan.along:
            raise MathError("these data have no rows to make mini-batches of")
        size = sum(data[name].nbytes for name in plan.along) * batch // rows

        def blocks(turn: int) -> Iterator[Objective]:
            order = order_of(rows, seed, turn)
            for k in range(0, rows, batch):
                taken = partial(plan.rows_of, data, order[k : k + batch])
                yield by.part(function, (seed, batch, turn, k), taken, size)

        return blocks

    def _fitted(
        self,
        found: Descent,
        function: Compiled,
        notes: Sequence[str],
        ran: Sequence[str],
        own: Mapping[str, Array],
        by: Measure,
    ) -> Fit:
        """What was found, in the units of the data."""
        plan, units = self.plan, self.units
        arrays = units.to_user(found.parameters)
        unit = units.loss
        history = tuple([loss * unit for loss in found.history]) if unit != 1 else found.history
        layout = Layout.of(arrays)
        measured = Measured(by.whole(function, {**self.mine, **own}), layout)
        (loss, _), reached = measured(layout.start), found.loss * units.loss
        gained = history[0] - reached
        if loss == -math.inf:
            raise MathError(BOTTOMLESS, facts=["it is -inf where the descent has ended"], mend=BOUNDED)
        if not loss <= history[0] + FOLDING_ERROR * (abs(history[0]) + gained):
            raise self._inexact(reached, loss)
        if loss > reached + FOLDING_NOISE * gained:
            notes = (
                *notes,
                f"some feature lies far from zero: folding its mean back cost {loss - reached:.3g} of loss",
            )
        held = None
        if len(plan.held_out):
            held = _worth_of(by.whole(function, {**self.held_rows, **own}), arrays)
        scores = self._scores(arrays, own)
        wrong, resting = at_last(self.seen, found, {**self.inside, **own})
        faults = (
            *self.faults,
            *wrong,
            *worse_than_nothing(plan, scores),
            *unanswered(held),
        )
        return Fit(
            of=self.derivation.of,
            parameters={name: value if value.ndim else float(value) for name, value in arrays.items()},
            loss=loss,
            rounding=noise_in([place.loss for place in measured.all_at(places_near(layout.start))]),
            held_out_loss=held,
            history=history,
            steps=found.steps,
            converged=found.converged,
            stopped=found.stopped,
            notes=tuple(dict.fromkeys((*faults, *notes, *self.first[1], *resting, *remarks(plan, scores)))),
            faults=faults,
            derivation=self.derivation,
            function=function,
            scores=scores,
            descent=found,
            coordinates=units,
            data={**plan.data, **own},
            rows=plan.train,
            watched=plan.watched,
            held_out=plan.held_out,
            prediction=plan.prediction,
            target=plan.target,
            features=plan.features,
            feature_names=tuple(self.columns.get(plan.features or "", ())),
            ran=tuple(ran),
        )

    def _inexact(self, reached: float, loss: float) -> MathError:
        """The error for parameters that are worth less in the units of the data than in those of training."""
        facts = [f"the loss is {reached:.6g} in the units of training, {loss:.6g} in those of the data"]
        far = farthest(self.units)
        if far is None or far[2] < FAR:
            return MathError(
                "the parameters for the data as they are are too inexact", facts=facts, mend=SELF
            )
        name, column, ratio = far
        columns = self.columns.get(name, ())
        called = shown(columns[column]) if column < len(columns) else f"column {column} of {name}"
        return MathError(
            "the parameters for the data as they are would be too inexact: "
            f"{called} lies {ratio:.3g} times its spread from zero",
            facts=facts,
            mend="features measured from their middle, such as years since 2000",
        )

    def _scores(self, parameters: Mapping[str, Array], own: Mapping[str, Array]) -> tuple[Score, ...]:
        """The network beside its baselines, where it is seen what it predicts and for which rows."""
        plan = self.plan
        if plan.prediction is None or plan.target is None or not plan.along or self.y.ndim > 2:
            return ()
        answers = worth(plan.prediction, {**parameters, **plan.data, **own})
        if answers.shape != self.y.shape or not np.isfinite(answers).all():
            return ()
        methods = {"the network": answers, **self.rivals}
        return compared(methods, self.y, plan.train, plan.watched, plan.held_out, self.classes)


def ground_for(
    loss: Expr,
    data: Mapping[str, Any],
    wrt: str | Sequence[str] | None,
    *,
    names: Mapping[Expr, str] | None,
    standardise: bool,
    holdout: float | ArrayLike,
    watch: float | ArrayLike,
    seed: int,
    prediction: Expr | None,
    l2: Asked | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    exact: bool = False,
) -> Ground:
    """The ground of a loss (with a penalty) and its data; what does not fit is a `MathError`."""
    if not isinstance(data, Mapping):
        raise MathError("the data are arrays by name", mend='data={"X": X, "y": y}')
    used = mentioned(loss)
    declared = {name: v for name, v in variables(loss).items() if name in used or name in data}
    chosen = [name for name in used if name not in data] if wrt is None else wrt
    wanted = chosen if isinstance(chosen, str) else tuple(chosen)
    task = (loss, wanted, tuple((names or {}).items()))
    plain = derived(task)
    given = checked(data, declared, plain.wrt)
    plan = planned(plain, given, holdout, watch, seed, prediction)
    mine = plan.of(plan.train)
    asked = None if l2 is None else penalised(l2, loss, plain.parameters, plan.along or list(given.arrays))
    fenced, units = loss if asked is None else asked.fenced, Coordinates()
    if standardise and exact:
        known = {name: exactness.Exactly.of(values) for name, values in mine.items() if values.ndim}
        units = exactness.exact_units(fenced, known, plan.target, plain.parameters)
    elif standardise:
        units = coordinates(fenced, mine, plan.target, plain.parameters)
    inside = units.data(mine)
    named = column_names(data, given.arrays, columns or {})
    if asked is None:
        return Ground(task, plain, plain, given, plan, units, mine, inside, named)
    penalty = asked.within(units)
    task = (penalty.loss, plain.wrt, task[2])
    given = given._replace(arrays={**given.arrays, **penalty.data})
    plan = replaced(plan, data={**plan.data, **penalty.data}, notes=(*plan.notes, *penalty.notes))
    ones = {name: np.ones_like(penalty.data[name]) for name in penalty.spreads}
    mine, inside = {**mine, **penalty.data}, {**inside, **penalty.data, **ones}
    units = replaced(units, spreads=penalty.spreads)
    return Ground(task, derived(task), plain, given, plan, units, mine, inside, named)


def _worth_of(measured: Objective, parameters: Mapping[str, Array]) -> float:
    with np.errstate(all="ignore"):
        return float(np.asarray(measured(dict(parameters))[0]))
