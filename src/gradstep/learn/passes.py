"""How does one training go over rows in files? A pass over them for each place where it asks for the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from gradstep.backends.blocks import InMemory, OverBatch, Source, Stream
from gradstep.backends.threads import one_thread_each
from gradstep.expression.errors import MathError
from gradstep.learn.checkpoints import Checkpoint
from gradstep.learn.comparison import Score, remarks, unanswered, worse_than_nothing
from gradstep.learn.descent import Descent, descend
from gradstep.learn.endings import at_last
from gradstep.learn.fit import Fit
from gradstep.learn.ground import Alone, Manner, Measure
from gradstep.learn.objective import objective, watch_of
from gradstep.learn.over_rows import OverRows
from gradstep.learn.plan import Plan
from gradstep.learn.progress import Progress
from gradstep.learn.reading import Part, Visit
from gradstep.learn.rounding import rounding_error
from gradstep.learn.scaling import Array
from gradstep.learn.starting import alive, shapes_of, start_of, undefined_part
from gradstep.learn.stored_ground import StoredGround
from gradstep.learn.stores import WHOLE, Share
from gradstep.learn.surface import Layout, Objective, Parameters
from gradstep.learn.tallies import scored

REMEMBERED = 4


def fit_on(
    ground: StoredGround,
    manner: Manner,
    show: Progress | None,
    numbers: Mapping[str, Array] | None = None,
    measure: Measure | None = None,
    checkpoint: Checkpoint | None = None,
) -> Fit:
    """One training on this ground, with other `numbers` among the data.

    Products of matrices are worked out by one thread each, as they are on the workers of a cluster.
    """
    with one_thread_each():
        return Passes(ground, manner, dict(numbers or {}), measure or Alone()).fit(show, checkpoint)


@dataclass(eq=False)
class Passes:
    """One training; `own` are the numbers that it has of its own."""

    ground: StoredGround
    manner: Manner
    own: Mapping[str, Array]
    by: Measure
    objectives: dict[Share, Objective] = field(default_factory=dict)

    def fit(self, show: Progress | None, checkpoint: Checkpoint | None) -> Fit:
        """The way down, and what came of it."""
        ground, manner = self.ground, self.manner
        first = self.first()
        known, notes = self.over_rows(self.part(ground.shares.train)).beyond(
            manner.choice.optimiser, first, ground.kind
        )
        try:
            found = descend(
                self.over(ground.shares.train),
                first,
                optimiser=manner.optimiser,
                learning_rate=manner.learning_rate,
                steps=manner.steps,
                tolerance=manner.tolerance,
                progress=show,
                watch=self.watch(),
                batches=self.batches(),
                trial=None if manner.exact else self.trial(),
                keeper=checkpoint,
                explain=partial(undefined_part, ground.plain, ground.plan.along, self.sample),
                **known,
            )
        except MathError as error:
            error.facts = (*error.facts, *ground.first[0])
            raise
        self.by.walked()
        ground.clock.show = None
        notes += () if checkpoint is None else checkpoint.told(found.stopped == "interrupted")
        return self.fitted(found, notes)

    @property
    def sample(self) -> dict[str, Array]:
        """Rows to train with, in the units of training."""
        return {**self.ground.sample, **self.own}

    @property
    def plan(self) -> Plan:
        return self.ground.plan

    def first(self) -> dict[str, Array]:
        """Where the descent begins, in the units of training."""
        ground, manner = self.ground, self.manner
        shapes = shapes_of(ground.plain, ground.sizes, manner.sizes, manner.start)
        known = ground.exactly.__getitem__ if manner.exact else None
        first, from_user = start_of(
            ground.plain, shapes, manner.start, ground.units, ground.plan, manner.seed, known
        )
        if manner.exact:  # of which rows there is a sample depends on how they lie
            return first
        return alive(ground.plain, first, self.sample, set(from_user), ground.units)

    # What the descent asks for.

    def part(self, share: Share) -> Part:
        """A share of every window, gone through together with those who train beside."""
        return self.by.over(self.ground.part(share))

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
        with self.ground.store.unchanging():
            return self.ground.blocked.run(source, dict(values), self.ground.kind)

    def _measured(
        self, parameters: Parameters, run: Callable[[Mapping[str, Any]], Sequence[Any]]
    ) -> tuple[float, dict[str, Array]]:
        """The loss and its slopes in the units of training; `run` computes in those of the data."""
        units = self.ground.units
        try:
            user = units.to_user(parameters)
        except MathError:  # beyond the range of numbers
            return math.inf, {name: np.zeros_like(value) for name, value in parameters.items()}
        value, *slopes = run({**self._beside(), **user})
        gradients = dict(zip(self.ground.function.program.gradients, slopes, strict=True))
        return float(np.asarray(value)) / units.loss, units.pulled(gradients)

    def _beside(self) -> dict[str, Array]:
        """The data that have no rows."""
        return {**self.ground.beside, **self.own}

    def watch(self) -> Callable[[Parameters], float] | None:
        """The loss on the watched rows; with `enough` and none of them, on the rows trained with."""
        shares, enough = self.ground.shares, self.manner.enough
        if self.ground.count(shares.watched):
            return watch_of(self.over(shares.watched), enough)
        return watch_of(self.over(shares.train), enough) if enough else None

    def batches(self) -> Callable[[int], Iterator[Objective]] | None:
        """Mini-batches of neighbouring rows; windows and their batches come in a new order each pass."""
        batch, seed, ground = self.manner.batch, self.manner.seed, self.ground
        if batch is None:
            return None
        part = self.part(ground.shares.train)

        def blocks(turn: int) -> Iterator[Objective]:
            random = np.random.default_rng([seed, turn])
            for visit in part.visits(ground.given, random.permutation(len(ground.store.units)).tolist()):
                for start in (random.permutation(-(-visit.count // batch)) * batch).tolist():
                    yield self._batch(visit, start, min(start + batch, visit.count))

        return blocks

    def _batch(self, visit: Visit, start: int, stop: int) -> Objective:
        def run(values: Mapping[str, Any]) -> list[Any]:
            found: list[Any] = visit.do(OverBatch(self.ground.blocked, start, stop, dict(values)))
            return found

        return lambda parameters: self._measured(parameters, run)

    def over_rows(self, part: Part) -> OverRows:
        """What an optimiser may need beside the gradient: each a pass over the rows."""
        ground = self.ground
        return OverRows(ground.derivation, ground.recipe, ground.units, part, self._beside())

    def trial(self) -> tuple[Objective, Any]:
        """A sample instead of all rows, to try learning rates and to see rounding errors with."""
        rows, batch, seed = len(self.plan.train), self.manner.batch, self.manner.seed

        def blocks(turn: int) -> list[Objective]:
            order = np.random.default_rng([seed, turn]).permutation(rows)
            cuts = np.split(order, range(batch or rows, rows, batch or rows))
            return [objective(self.ground.function, self.plan.rows_of(self.sample, each)) for each in cuts]

        return self.rough(), blocks

    def rough(self) -> Objective:
        """The loss on the sample, computed in the same kind of numbers as that on all rows."""
        mine = self.plan.of(self.plan.train)
        arrays = {name: np.asarray(mine[name], dtype=self.ground.kind) for name in self.ground.given}
        return self._objective(InMemory(arrays, dict.fromkeys(arrays, 0)))

    # What is told afterwards.

    def fitted(self, found: Descent, notes: Sequence[str]) -> Fit:
        """What was found, in the units of the data, with a sample of the rows."""
        ground, manner, plan, units = self.ground, self.manner, self.plan, self.ground.units
        arrays = units.to_user(found.parameters)
        held, scores, more = None, tuple[Score, ...](), []
        if found.stopped == "interrupted":
            more.append("interrupted: not measured on the rows held out, which takes a pass of its own")
        else:
            if ground.count(ground.shares.held):
                held = float(self.over(ground.shares.held)(found.parameters)[0]) * units.loss  # type: ignore[arg-type]
            scores = scored(
                self.part(WHOLE), plan, ground.survey, ground.shares.learnt[1], {**self._beside(), **arrays}
            )
        wrong, resting = at_last(ground.seen, found, self.sample)
        silent = [f"{note} (in the sample)" for note in resting]
        faults = (
            *ground.first[0],
            *wrong,
            *worse_than_nothing(plan, scores),
            *unanswered(held),
        )
        workers = ground.workers
        all_notes = [
            *faults,
            *ground.notes,
            *notes,
            *found.notes,
            *ground.first[1],
            *silent,
            *remarks(plan, scores),
            *more,
            *([ground.clock.told()] if workers is None else [*workers.said, *workers.told()]),
        ]
        return Fit(
            of=ground.derivation.of,
            parameters={name: value if value.ndim else float(value) for name, value in arrays.items()},
            loss=found.loss * units.loss,
            held_out_loss=held,
            history=tuple(loss * units.loss for loss in found.history),
            steps=found.steps,
            converged=found.converged,
            stopped=found.stopped,
            notes=tuple(dict.fromkeys(filter(None, all_notes))),
            derivation=ground.derivation,
            function=ground.function,
            scores=scores,
            descent=found,
            coordinates=units,
            data={**plan.data, **self.own},
            rows=plan.train,
            watched=plan.watched,
            held_out=plan.held_out,
            prediction=plan.prediction,
            target=plan.target,
            features=plan.features,
            encoder=ground.encoder,
            feature_names=ground.store.columns.get(plan.features or "", ()),
            stored=ground.store.count,
            ran=tuple(ground.blocked.told()),
            rounding=units.loss * self.rounding(found),
            faults=faults,
            settings={"learning_rate": manner.learning_rate, "batch": manner.batch, "seed": manner.seed},
        )

    def rounding(self, found: Descent) -> float:
        """The rounding errors of the loss, as the sample shows them: those of more rows are no larger."""
        layout, fine = Layout.of(found.parameters), objective(self.ground.function, self.sample)
        exact = float(np.asarray(fine(found.parameters)[0]))
        apart = abs(float(np.asarray(self.rough()(found.parameters)[0])) - exact)
        return apart + rounding_error(lambda x: float(np.asarray(fine(layout.open(x))[0])), layout.start)
