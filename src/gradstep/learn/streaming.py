"""How is a network trained on rows that are too many for memory? One pass over their files for each step.

The promises are those of `train`. Features are not standardised in the file: the parameters are those for the
data as they are, and the descent sees them, and the slopes along them, in units in which all features have
spread 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gradstep.backends.blocks import Blocked, InMemory, OverBatch, Source, Stream
from gradstep.backends.compiled import Compiled
from gradstep.backends.native import engine
from gradstep.backends.threads import one_thread_each
from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.learn.arrays import checked, taken_as_numbers
from gradstep.learn.checkpoints import Checkpoint, recalled
from gradstep.learn.choices import Choice, derived, translated
from gradstep.learn.cluster import Cluster, cluster_of, spread
from gradstep.learn.columns import listed
from gradstep.learn.comparison import Score, remarks, unanswered, worse_than_nothing
from gradstep.learn.coordinates import Coordinates, coordinates_by
from gradstep.learn.descent import Descent, descend
from gradstep.learn.encoding import Encoder, Task
from gradstep.learn.endings import at_last
from gradstep.learn.exactness import Exactly, OfColumns, exact_units
from gradstep.learn.faults import Known, Span, at_first
from gradstep.learn.fit import Fit
from gradstep.learn.objective import needed, objective, watch_of
from gradstep.learn.optimisers import Optimiser, optimiser_named
from gradstep.learn.over_rows import OverRows
from gradstep.learn.plain_data import plain
from gradstep.learn.plan import Plan, compared_in, planned
from gradstep.learn.prints import lasting
from gradstep.learn.progress import Progress, reading_bar, shown_by
from gradstep.learn.reading import Change, Clock, Part, Visit
from gradstep.learn.recipes import Recipe, recipe_of
from gradstep.learn.rounding import rounding_error
from gradstep.learn.scaling import Array
from gradstep.learn.shares import Shares
from gradstep.learn.starting import alive, shapes_of, start_of, undefined_part
from gradstep.learn.stored_arrays import check_rows, columns_as_numbers
from gradstep.learn.stores import WHOLE, Share, Store
from gradstep.learn.surface import Layout, Objective, Parameters
from gradstep.learn.survey import Survey, surveyed
from gradstep.learn.tallies import scored
from gradstep.operations.evaluation import mentioned, variables
from gradstep.operations.memory import spoken

FAR = 30.0  # spreads from zero: beyond, float32 loses too many digits
REMEMBERED = 4


def train_stored(
    loss: Expr,
    store: Store,
    fixed: Mapping[str, Any],
    wrt: str | Sequence[str] | None = None,
    *,
    optimiser: str = "gradient descent",
    steps: int = 2000,
    learning_rate: float | None = None,
    start: Mapping[str, ArrayLike] | None = None,
    sizes: Mapping[str, int] | None = None,
    standardise: bool = True,
    holdout: float | ArrayLike = 0.0,
    watch: float | ArrayLike = 0.0,
    tolerance: float = 1e-6,
    enough: float = 0.0,
    batch: int | None = None,
    progress: bool | Progress = False,
    seed: int = 0,
    prediction: Expr | None = None,
    names: Mapping[Expr, str] | None = None,
    backend: str = "fastest",
    threads: int | None = None,
    exact: bool = False,
    checkpoint: Checkpoint | None = None,
    cluster: object = None,
    changes: Mapping[str, Change] | None = None,
    survey: Survey | None = None,
) -> Fit:
    """`train` on the arrays of a store, with data that have no rows beside it in `fixed`.

    `changes` are made to arrays as they are read, and `survey` is what is known of them already.
    """
    shares = Shares.of(holdout, watch)
    rule = optimiser_named(optimiser)
    Choice(backend, threads, rule, learning_rate, steps, batch, seed, exact)  # says what is wrong with it
    used = mentioned(loss)
    strangers = [name for name in store.names if name not in used]
    declared = {name: v for name, v in variables(loss).items() if name in used}
    clock = Clock()
    given = [name for name in store.names if name in used]
    chosen = [name for name in used if name not in given and name not in fixed] if wrt is None else wrt
    task = (loss, chosen if isinstance(chosen, str) else tuple(chosen), tuple((names or {}).items()))
    derivation = derived(task)
    changes = {**columns_as_numbers(store, declared, given), **(changes or {})}
    check_rows(derivation, declared, given, Part(store, changes=changes))
    settings = {
        **{"optimiser": optimiser, "learning_rate": learning_rate, "tolerance": tolerance, "batch": batch},
        **{"seed": seed, "enough": enough, "backend": backend, "sizes": sizes, "start": start},
        **{"standardise": standardise, "holdout": holdout, "watch": watch, "exact": exact},
    }
    if checkpoint is not None:
        checkpoint.agree("files", lasting(store.prints()))
        checkpoint.agree("loss", {"formula": str(loss), "parameters": ", ".join(derivation.wrt)})
        checkpoint.agree("settings", plain(settings))
        checkpoint.agree("data", {name: plain(np.asarray(value)) for name, value in fixed.items()})
    with shown_by(progress, reading_bar) as show, cluster_of(cluster) as workers:
        clock.show = getattr(show, "reading", None)
        if workers is not None:
            workers.greet(store)
        if survey is None:
            data = {name: v for name, v in declared.items() if name not in derivation.parameters}
            target, _ = compared_in(derivation, data)
            goal = target if target in given else None
            rows = spread(Part(store, changes=changes, clock=clock), workers, True)
            survey = recalled(
                checkpoint, "survey", Survey, lambda: surveyed(rows, given, shares.learnt[1], goal)
            )
        store.filled = survey.means or store.filled
        training = _Training(
            store, derivation, declared, given, fixed, shares, survey, changes, clock, workers
        )
        able = not exact and engine.available() and (workers is None or workers.compiles)
        language = backend if backend != "fastest" else "native" if able else "numpy"
        language = recalled(checkpoint, "language", str, partial(str, language))
        training.function = translated(task, language, threads, exact)
        axis = str(declared[given[0]].shape[0])
        training.recipe = recipe_of(training.function, loss, derivation.wrt, task[2], axis, language, exact)
        training.prepare(seed, prediction, standardise, sizes, start)
        found = training.walked(
            training.over(shares.train),
            training.first,
            optimiser=optimiser,
            learning_rate=learning_rate,
            steps=steps,
            tolerance=tolerance,
            progress=show,
            watch=training.watch(enough),
            batches=training.batches(batch, seed),
            trial=None if exact else training.trial(batch, seed),
            keeper=checkpoint,
            **training.beyond(rule),
        )
        training.notes += () if checkpoint is None else checkpoint.told(found.stopped == "interrupted")
        clock.show = None
        unused = [f"{name} is not used by the loss" for name in strangers]
        unused += [
            taken_as_numbers(name, (store.count, *store.shapes[name]))
            for name in columns_as_numbers(store, declared, given)
        ]
        return training.fit(found, unused)


@dataclass(eq=False)
class _Training:
    """What is prepared once for all passes."""

    store: Store
    derivation: Derivation
    declared: Mapping[str, Expr]
    given: Sequence[str]
    fixed: Mapping[str, Any]
    shares: Shares
    survey: Survey
    changes: Mapping[str, Change]
    clock: Clock
    workers: Cluster | None
    first: dict[str, Array] = field(init=False)
    plan: Plan = field(init=False)
    units: Coordinates = field(init=False)
    function: Compiled = field(init=False)
    recipe: Recipe = field(init=False)
    blocked: Blocked = field(init=False)
    kind: Any = field(init=False)
    sample: dict[str, Array] = field(init=False)  # rows to train with, in the units of training
    notes: list[str] = field(default_factory=list)
    objectives: dict[Share, Objective] = field(default_factory=dict)
    parts: dict[Share, Part] = field(default_factory=dict)

    def prepare(
        self,
        seed: int,
        prediction: Expr | None,
        standardise: bool,
        sizes: Mapping[str, int] | None,
        start: Mapping[str, ArrayLike] | None,
    ) -> None:
        """A sample of the rows tells shapes and a start; the survey tells the units."""
        derivation, survey = self.derivation, self.survey
        given = checked({**self.fixed, **survey.filled(self.given)}, self.declared, derivation.wrt)
        held, watched = (survey.sample.rows(share) for share in (self.shares.held, self.shares.watched))
        plan = planned(derivation, given, _rows(held), _rows(watched), seed, prediction)
        apart = next((name for name in self.given if name not in plan.along), None)
        if apart is not None:
            raise MathError(
                f"{apart} has its rows in a file, but they are not those that the loss goes over",
                facts=[f"with rows: {listed(plan.along)}"],
                mend=f"{apart} as an array",
            )
        self.plan = plan
        self.kind = self._kind()
        self.units = self._units() if standardise else Coordinates()
        needed(self.function, {*given.arrays, *derivation.wrt})
        self.blocked = self.recipe.blocked(self.function)
        self.sample = self.units.data(plan.of(plan.train))
        shapes = shapes_of(derivation, given.sizes, sizes, start)
        known = self.exactly.__getitem__ if self.recipe.exact else None
        first, from_user = start_of(derivation, shapes, start, self.units, plan, seed, known)
        if not self.recipe.exact:  # of which rows there is a sample depends on how they lie
            first = alive(derivation, first, self.sample, set(from_user), self.units)
        self.first = first
        self.notes += [*given.notes, *self._said(), *self.units.notes, *derivation.notes]

    def _units(self) -> Coordinates:
        derivation, survey, target = self.derivation, self.survey, self.plan.target
        if self.recipe.exact:
            return exact_units(derivation.of, self.exactly, target, derivation.parameters)
        return coordinates_by(
            derivation.of, self.given, target, derivation.parameters, survey.scaler, survey.unit
        )

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
        held = self._count(self.shares.held)
        if held:
            yield f"{held:,} of {store.count:,} rows held out to judge the fit: the last of each window"
        watched = self._count(self.shares.watched)
        if watched:
            yield f"{watched:,} rows tell when to stop and are not trained with"
        for name in self.given:
            yield from survey.said(store, name)

    def _count(self, share: Share) -> int:
        return Part(self.store, share).count

    # What the descent asks for.

    def part(self, share: Share) -> Part:
        """A share of every window, to compute with; only those of the descent are gone through often."""
        if share not in self.parts:
            part = Part(self.store, share, self.changes, self.kind, self.clock)
            often = share in (self.shares.train, self.shares.watched)
            self.parts[share] = spread(part, self.workers, not often)
        return self.parts[share]

    def over(self, share: Share) -> Objective:
        """The loss on a share of every window, one pass for each place that it is asked at."""
        if share not in self.objectives:
            self.objectives[share] = self._objective(self.part(share))
        return self.objectives[share]

    def _objective(self, source: Source | Stream) -> Objective:
        known: dict[bytes, tuple[float, Mapping[str, Array]]] = {}

        def measured(parameters: Parameters) -> tuple[float, Mapping[str, Array]]:
            key = b"".join(np.asarray(value).tobytes() for value in parameters.values())
            if key not in known:
                for old in list(known)[: len(known) - REMEMBERED]:
                    del known[old]
                known[key] = self._measured(
                    parameters, lambda values: list(self._run(source, values).values())
                )
            return known[key]

        return measured

    def _run(self, source: Source | Stream, values: Mapping[str, Any]) -> dict[str, Any]:
        with one_thread_each(), self.store.unchanging():
            return self.blocked.run(source, dict(values), self.kind)

    def _measured(
        self, parameters: Parameters, run: Callable[[Mapping[str, Any]], Sequence[Any]]
    ) -> tuple[float, dict[str, Array]]:
        """The loss and its slopes in the units of training; `run` computes in those of the data."""
        try:
            user = self.units.to_user(parameters)
        except MathError:  # beyond the range of numbers
            return math.inf, {name: np.zeros_like(value) for name, value in parameters.items()}
        value, *slopes = run({**self._beside(), **user})
        gradients = dict(zip(self.function.program.gradients, slopes, strict=True))
        return float(np.asarray(value)) / self.units.loss, self.units.pulled(gradients)

    def _beside(self) -> dict[str, Array]:
        """The data that have no rows."""
        return {name: value for name, value in self.plan.data.items() if name not in self.given}

    def watch(self, enough: float) -> Callable[[Parameters], float] | None:
        """The loss on the watched rows; with `enough` and none of them, on the rows trained with."""
        if self._count(self.shares.watched):
            return watch_of(self.over(self.shares.watched), enough)
        return watch_of(self.over(self.shares.train), enough) if enough else None

    def batches(self, batch: int | None, seed: int) -> Callable[[int], Iterator[Objective]] | None:
        """Mini-batches of neighbouring rows; windows and their batches come in a new order each pass."""
        if batch is None:
            return None
        part = self.part(self.shares.train)

        def blocks(turn: int) -> Iterator[Objective]:
            random = np.random.default_rng([seed, turn])
            for visit in part.visits(self.given, random.permutation(len(self.store.units)).tolist()):
                for start in (random.permutation(-(-visit.count // batch)) * batch).tolist():
                    yield self._batch(visit, start, min(start + batch, visit.count))

        return blocks

    def _batch(self, visit: Visit, start: int, stop: int) -> Objective:
        def run(values: Mapping[str, Any]) -> list[Any]:
            found: list[Any] = visit.do(OverBatch(self.blocked, start, stop, dict(values)))
            return found

        return lambda parameters: self._measured(parameters, run)

    def beyond(self, rule: Optimiser) -> dict[str, Any]:
        """What the optimiser needs beside the gradient, as `descend` calls it: each a pass over the rows."""
        rows = OverRows(
            self.derivation, self.recipe, self.units, self.part(self.shares.train), self._beside()
        )
        found, notes = rows.beyond(rule, self.first, self.kind)
        self.notes += notes
        return found

    def trial(self, batch: int | None, seed: int) -> tuple[Objective, Any]:
        """A sample instead of all rows, to try learning rates and to see rounding errors with."""
        rows = len(self.plan.train)

        def blocks(turn: int) -> list[Objective]:
            order = np.random.default_rng([seed, turn]).permutation(rows)
            cuts = np.split(order, range(batch or rows, rows, batch or rows))
            return [objective(self.function, self.plan.rows_of(self.sample, each)) for each in cuts]

        return self.rough(), blocks

    def rough(self) -> Objective:
        """The loss on the sample, computed in the same kind of numbers as that on all rows."""
        mine = self.plan.of(self.plan.train)
        arrays = {name: np.asarray(mine[name], dtype=self.kind) for name in self.given}
        return self._objective(InMemory(arrays, dict.fromkeys(arrays, 0)))

    @cached_property
    def seen(self) -> Known:
        """What is known of the data before the first step."""
        survey, store, plan = self.survey, self.store, self.plan
        flat = [name for name in self.given if plan.data[name].ndim < 3]
        spans = {name: Span.surveyed(survey.columns[name], survey.rows) for name in flat}
        rows = self._count(self.shares.train)
        sampled = len(plan.data[self.given[0]]) < store.count
        return Known(plan, self.derivation, self.units, spans, store.kinds, store.columns, rows, sampled)

    @cached_property
    def faults(self) -> tuple[str, ...]:
        """What may be wrong with the data and the loss."""
        return at_first(self.seen)

    def walked(self, loss: Objective, first: Parameters, **settings: Any) -> Descent:
        """The way down; what cannot be walked is told with what may be wrong with the data."""
        explain = partial(undefined_part, self.derivation, self.plan.along, self.sample)
        try:
            return descend(loss, first, explain=explain, **settings)
        except MathError as error:
            error.facts = (*error.facts, *self.faults)
            raise

    # What is told afterwards.

    def fit(self, found: Descent, notes: Sequence[str]) -> Fit:
        """What was found, in the units of the data, with a sample of the rows."""
        units, plan = self.units, self.plan
        arrays = units.to_user(found.parameters)
        held, scores, more = None, tuple[Score, ...](), []
        if found.stopped == "interrupted":
            more.append("interrupted: not measured on the rows held out, which takes a pass of its own")
        else:
            if self._count(self.shares.held):
                held = float(self.over(self.shares.held)(found.parameters)[0]) * units.loss  # type: ignore[arg-type]
            scores = scored(
                self.part(WHOLE), plan, self.survey, self.shares.learnt[1], {**self._beside(), **arrays}
            )
        wrong, resting = at_last(self.seen, found, self.sample)
        silent = [f"{note} (in the sample)" for note in resting]
        faults = (
            *self.faults,
            *wrong,
            *worse_than_nothing(plan, scores),
            *unanswered(held),
        )
        all_notes = [
            *faults,
            *notes,
            *self.notes,
            *found.notes,
            *silent,
            *remarks(plan, scores),
            *more,
            self.clock.told() if self.workers is None else "",
            *(() if self.workers is None else (*self.workers.said, *self.workers.told())),
        ]
        return Fit(
            of=self.derivation.of,
            parameters={name: value if value.ndim else float(value) for name, value in arrays.items()},
            loss=found.loss * units.loss,
            held_out_loss=held,
            history=tuple(loss * units.loss for loss in found.history),
            steps=found.steps,
            converged=found.converged,
            stopped=found.stopped,
            notes=tuple(dict.fromkeys(filter(None, all_notes))),
            derivation=self.derivation,
            function=self.function,
            scores=scores,
            descent=found,
            coordinates=units,
            data=dict(plan.data),
            rows=plan.train,
            watched=plan.watched,
            held_out=plan.held_out,
            prediction=plan.prediction,
            target=plan.target,
            features=plan.features,
            encoder=self.encoder(),
            feature_names=self.store.columns.get(plan.features or "", ()),
            stored=self.store.count,
            ran=tuple(self.blocked.told()),
            rounding=units.loss * self.rounding(found),
            faults=faults,
        )

    def rounding(self, found: Descent) -> float:
        """The rounding errors of the loss, as the sample shows them: those of more rows are no larger."""
        layout, fine = Layout.of(found.parameters), objective(self.function, self.sample)
        exact = float(np.asarray(fine(found.parameters)[0]))
        apart = abs(float(np.asarray(self.rough()(found.parameters)[0])) - exact)
        return apart + rounding_error(lambda x: float(np.asarray(fine(layout.open(x))[0])), layout.start)

    def encoder(self) -> Encoder | None:
        """What becomes of a table with the columns of these files, where they have names."""
        store, plan = self.store, self.plan
        names = store.columns.get(plan.features or "")
        goal = store.columns.get(plan.target or "")
        alone = plan.prediction is not None and set(mentioned(plan.prediction)) - set(
            self.derivation.wrt
        ) == {plan.features}
        if not names or not goal or not alone:
            return None
        means = self.survey.columns[plan.features or ""].mean
        task: Task = "regression" if store.classes is None else "classification"
        return Encoder(goal[0], task, store.classes, store.encoded(plan.features or "", means))


def _rows(rows: Array | Any) -> Any:
    """Row numbers as `planned` takes them: none is a share of 0."""
    return rows if len(rows) else 0.0
