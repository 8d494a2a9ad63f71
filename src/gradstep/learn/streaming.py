"""How is a network trained on rows that are too many for memory? One pass over their files for each step.

The promises are those of `train`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gradstep.backends.native import engine
from gradstep.expression.node import Expr
from gradstep.learn.arrays import taken_as_numbers
from gradstep.learn.checkpoints import Checkpoint, recalled
from gradstep.learn.choices import derived
from gradstep.learn.cluster import cluster_of, spread
from gradstep.learn.fit import Fit
from gradstep.learn.ground import Manner, Measure
from gradstep.learn.passes import fit_on
from gradstep.learn.penalty import L2, Asked, told_penalty
from gradstep.learn.plain_data import plain
from gradstep.learn.plan import compared_in
from gradstep.learn.prints import lasting
from gradstep.learn.progress import Progress, foretell, reading_bar, shown_by
from gradstep.learn.reading import Change, Clock, Part
from gradstep.learn.scaling import Array
from gradstep.learn.shares import Shares
from gradstep.learn.stored_arrays import check_rows, columns_as_numbers
from gradstep.learn.stored_ground import StoredGround
from gradstep.learn.stores import Store
from gradstep.learn.survey import Survey, surveyed
from gradstep.learn.sweeps import Sweep, train_variants
from gradstep.learn.variants import asked_for, first_numbers
from gradstep.operations.evaluation import mentioned, variables


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
    l2: Asked | None = None,
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
    sweep: Mapping[str, Sequence[Any]] | None = None,
    changes: Mapping[str, Change] | None = None,
    survey: Survey | None = None,
) -> Fit | Sweep:
    """`train` on the arrays of a store, with data that have no rows beside it in `fixed`.

    `changes` are made to arrays as they are read, and `survey` is what is known of them already.
    """
    shares = Shares.of(holdout, watch)
    manner = Manner(
        *(optimiser, learning_rate, steps, tolerance, batch, seed, enough, start, sizes, backend, threads),
        exact=exact,
    )
    manner.choice  # noqa: B018  says what is wrong with it
    there = {**dict.fromkeys(store.names), **fixed}
    each = asked_for(sweep, loss, there, wrt, {"learning_rate": learning_rate, L2: l2, "batch": batch})
    used, asked = mentioned(loss), {} if l2 is None else {L2: l2}
    numbers, l2 = first_numbers(each, loss, l2)
    begun, fixed = fixed, {**fixed, **numbers}
    strangers = [name for name in store.names if name not in used]
    declared = {name: v for name, v in variables(loss).items() if name in used}
    given = [name for name in store.names if name in used]
    chosen = [name for name in used if name not in given and name not in fixed] if wrt is None else wrt
    task = (loss, chosen if isinstance(chosen, str) else tuple(chosen), tuple((names or {}).items()))
    derivation = derived(task)
    as_numbers = columns_as_numbers(store, declared, given)
    changes = {**as_numbers, **(changes or {})}
    check_rows(derivation, declared, given, Part(store, changes=changes))

    def agree(kept: Checkpoint, manner: Manner, numbers: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        """The checkpoint is one of this training, with these numbers."""
        penalty = {L2: told_penalty(numbers[L2])} if L2 in numbers and L2 not in used else {}
        settings = {"standardise": standardise, "holdout": holdout, "watch": watch, **penalty}
        data = {**data, **{name: value for name, value in numbers.items() if name not in penalty}}
        kept.agree("files", lasting(store.prints()))
        kept.agree("loss", {"formula": str(loss), "parameters": ", ".join(derivation.wrt)})
        kept.agree("settings", {**manner.told(), **{name: plain(value) for name, value in settings.items()}})
        kept.agree("data", {name: plain(np.asarray(value)) for name, value in data.items()})

    if checkpoint is not None:
        agree(checkpoint, manner, asked, begun)
    clock = Clock()
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
        able = not exact and engine.available() and (workers is None or workers.compiles)
        language = backend if backend != "fastest" else "native" if able else "numpy"
        language = recalled(checkpoint, "language", str, partial(str, language))
        ground = StoredGround(
            *(
                task,
                derivation,
                store,
                declared,
                given,
                fixed,
                shares,
                survey,
                changes,
                clock,
                workers,
                exact,
            ),
            notes=[
                *(f"{name} is not used by the loss" for name in strangers),
                *(taken_as_numbers(name, (store.count, *store.shapes[name])) for name in as_numbers),
            ],
        )
        ground.prepare(seed, prediction, standardise, l2, language, threads)
        foretell(show, lambda: ground.first[0])
        if not each:
            return fit_on(ground, manner, show, checkpoint=checkpoint)

        def fit(
            manner: Manner,
            show: Progress | None,
            numbers: Mapping[str, Array],
            measure: Measure,
            kept: Checkpoint | None,
        ) -> Fit:
            if kept is not None:
                agree(kept, manner, {**asked, **numbers}, fixed)
            return fit_on(ground, manner, show, numbers, measure, kept)

        return train_variants(fit, manner, each, show, checkpoint)
