"""How are variants of a training compared? All are trained, and where rows are many they share the passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike

from gradstep.backends.blocks import Work, Works
from gradstep.backends.compiled import Compiled
from gradstep.backends.run import Run
from gradstep.backends.several import Several, several
from gradstep.expression.errors import MathError
from gradstep.expression.node import upstairs
from gradstep.learn.checkpoints import Checkpoint
from gradstep.learn.convoy import Ask, Convoy, Traveller
from gradstep.learn.fit import ENDS, Fit
from gradstep.learn.ground import Manner, Measure
from gradstep.learn.objective import objective
from gradstep.learn.progress import Progress
from gradstep.learn.reading import Part, Visit
from gradstep.learn.scaling import Array
from gradstep.learn.surface import Objective, Parameters
from gradstep.learn.variants import MANNERS, Variant, manner_of, numbers_of, shown, told

T = TypeVar("T")
Measured = tuple[ArrayLike, Mapping[str, ArrayLike]]
Fitting = Callable[[Manner, Progress | None, Mapping[str, Array], Measure, Checkpoint | None], Fit]
"""One training, with numbers of its own, measured by somebody, and kept."""


@dataclass(frozen=True, eq=False)
class Sweep(Sequence[Fit]):
    """The fits of a sweep, a sequence; printed it is a table.

    fits       one for each variant that came to an end, in the order of the sweep
    settings   what each of them had of its own, by name
    failed     the other variants, such as those that a learning rate blew up, with their errors
    judged     the number by which `best` is the best, lower being better: its name, and one for each fit
    """

    fits: tuple[Fit, ...]
    settings: tuple[Variant, ...]
    failed: tuple[tuple[Variant, MathError], ...]
    judged: tuple[str, tuple[float, ...]]
    order: tuple[Variant, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.fits)

    @overload
    def __getitem__(self, at: int) -> Fit: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Fit]: ...

    def __getitem__(self, at: int | slice) -> Fit | Sequence[Fit]:
        return self.fits[at]

    @property
    def best_index(self) -> int:
        """Which fit is the best."""
        return int(np.argmin(self.judged[1]))

    @property
    def best(self) -> Fit:
        """The fit with the lowest loss on held-out rows, or on those trained with if none are held out.

        Where the sweep sets numbers in the formula, losses of different formulas do not compare: then by how
        well it predicts, if that is known. `judged` says which.
        """
        return self.fits[self.best_index]

    @property
    def best_settings(self) -> Variant:
        """What the best fit had of its own."""
        return self.settings[self.best_index]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended some variants, or kept them from beginning."""
        some = len(self.fits) + len(self.failed) < len(self.order)
        return some or any(fit.stopped == "interrupted" for fit in self.fits)

    def each(self, change: Callable[[Fit], Fit]) -> Sweep:
        """The same with every fit changed."""
        return replace(self, fits=tuple(map(change, self.fits)))

    def table(self) -> str:
        """Every variant, a line each: what it had of its own, how far it came, and why it ended."""
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
        return "\n".join(
            "  ".join([*(cell.rjust(n) for cell, n in zip(row, widths, strict=False)), row[-1]])
            for row in rows
        )

    def rows(self) -> list[list[str]]:
        """The cells of the table, its head first."""
        held = all(fit.held_out_loss is not None for fit in self.fits)
        name, judged = self.judged
        apart = not name.startswith("loss")
        head = [*self.order[0], "steps", "loss", *(["held-out loss"] if held else [])]
        head += [name] if apart else []
        rows = [[*head, "ended"]]
        ends = {id(variant): k for k, variant in enumerate(self.settings)}
        errors = {id(variant): error for variant, error in self.failed}
        for variant in self.order:
            cells = [shown(value) for value in variant.values()]
            if id(variant) in errors:
                told = errors[id(variant)].what
                rows.append([*cells, *[""] * (len(head) - len(cells)), told])
            elif id(variant) in ends:
                k = ends[id(variant)]
                fit = self.fits[k]
                cells += [str(fit.steps), f"{fit.loss:.6g}"]
                cells += [f"{fit.held_out_loss:.6g}"] if held else []
                cells += [f"{judged[k]:.6g}"] if apart else []
                rows.append([*cells, ENDS[fit.stopped] + ("   ← best" if k == self.best_index else "")])
            else:
                rows.append([*cells, *[""] * (len(head) - len(cells)), "not begun"])
        return rows

    def told(self) -> str:
        """How many fits there are, and by what the best of them is the best."""
        failed = f", {len(self.failed)} without a fit" if self.failed else ""
        return f"{len(self.fits)} fits{failed}; the best by {self.judged[0]}"

    def __str__(self) -> str:
        return f"{self.table()}\n{self.told()}"

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        bundle: dict[str, str] = upstairs("_sweep")(self)
        return bundle


def train_variants(
    fit: Fitting,
    usual: Manner,
    variants: Sequence[Variant],
    show: Progress | None,
    checkpoint: Checkpoint | None = None,
) -> Sweep:
    """Every variant trained as it would be alone, each with a checkpoint of its own."""
    if checkpoint is not None:
        checkpoint.keep(None)
    usual = replace(usual, variants=len(variants))
    manners = [manner_of(variant, usual) for variant in variants]
    numbers = [numbers_of(variant) for variant in variants]
    shown_to = _Shown(show, [manner.steps for manner in manners])

    def task(k: int, traveller: Traveller[Fit]) -> Fit:
        def step(at: int, steps: int, loss: float) -> None:
            traveller.listen()
            shown_to(k, at, loss)

        measure = _InStep(traveller, numbers[k])
        kept = None if checkpoint is None else checkpoint.variant(told(variants[k]))
        found = fit(manners[k], step, numbers[k], measure, kept)
        shown_to.ended(k)
        return found

    convoy = Convoy([partial(task, k) for k in range(len(variants))], _answered)
    results = convoy.run(MathError, KeyboardInterrupt)
    fits = [(v, r) for v, r in zip(variants, results, strict=True) if isinstance(r, Fit)]
    failed = [(v, r) for v, r in zip(variants, results, strict=True) if isinstance(r, MathError)]
    if not fits and failed:
        more = [f"{told(variant)}: {error.what}" for variant, error in failed[:5]]
        raise MathError("no variant of the sweep came to an end", facts=more, mend=failed[0][1].mend)
    if not fits:
        raise KeyboardInterrupt
    found = tuple(fit for _, fit in fits)
    return Sweep(
        found, tuple(v for v, _ in fits), tuple(failed), _judged(found, variants[0]), tuple(variants)
    )


def _judged(fits: Sequence[Fit], variant: Variant) -> tuple[str, tuple[float, ...]]:
    """By what fits are compared, and that number of each."""
    held = all(fit.held_out_loss is not None for fit in fits)
    rows = "held-out rows" if held else "the rows trained with"
    same = all(name in MANNERS for name in variant)
    if not same and all(fit.scores for fit in fits):
        scores = [(fit.scores[0].held_out if held else None) or fit.scores[0].training for fit in fits]
        name = next(name for name in ("mean squared error", "log loss") if name in scores[0])
        return f"{name} on {rows}", tuple(score[name] for score in scores)
    losses = [fit.held_out_loss if held else fit.loss for fit in fits]
    return f"loss on {rows}", tuple(math.inf if loss is None else loss for loss in losses)


class _Shown:
    """The progress of all variants together."""

    def __init__(self, show: Progress | None, steps: Sequence[int]) -> None:
        self.show, self.steps = show, steps
        self.at = [0] * len(steps)
        self.lowest = math.inf

    def __call__(self, k: int, at: int, loss: float) -> None:
        self.at[k] = at
        self.lowest = min(self.lowest, loss)
        if self.show is not None:
            self.show(sum(self.at), sum(self.steps), self.lowest)

    def ended(self, k: int) -> None:
        """What it has not used of its steps counts as done."""
        self.at[k] = self.steps[k]


# ------------------------------------------------------------------------------------------- in step


class _Request(Protocol):
    """What one training wants to know; requests with the same key are answered by one pass."""

    @property
    def key(self) -> object: ...

    def answers(self, alike: Sequence[Any]) -> list[Any]:
        """The answers to all of those with this key."""


def _answered(requests: Sequence[_Request]) -> list[Any]:
    """The answers to requests, by one pass for those that are alike."""
    answers: list[Any] = [None] * len(requests)
    groups: dict[object, list[int]] = {}
    for k, request in enumerate(requests):
        groups.setdefault(request.key, []).append(k)
    for group in groups.values():
        try:
            with np.errstate(all="ignore"):
                found = requests[group[0]].answers([requests[k] for k in group])
        except MathError as error:
            found = [error] * len(group)
        for k, answer in zip(group, found, strict=True):
            answers[k] = answer
    return answers


@dataclass(frozen=True, eq=False)
class _Loss:
    """Where one training wants to know the loss: the `own` arrays of each model that it asks for."""

    key: object
    models: Several
    rows: Callable[[], Mapping[str, Array]]
    own: Sequence[Mapping[str, Any]]

    def answers(self, alike: Sequence[_Loss]) -> list[Any]:
        found = iter(self.models(self.rows(), [own for each in alike for own in each.own]))
        return [[next(found) for _ in each.own] for each in alike]


@dataclass(frozen=True, eq=False)
class _Asking:
    """The loss on shared rows, as an objective: the answer comes when all trainings have asked."""

    request: _Loss
    ask: Ask

    def __call__(self, parameters: Parameters) -> Measured:
        return self.together([parameters])[0]

    def together(self, places: Sequence[Parameters]) -> list[Measured]:
        """The loss in several places."""
        (numbers,) = self.request.own
        own = [{**numbers, **parameters} for parameters in places]
        found: list[Measured] = self.ask(replace(self.request, own=own))
        return found


@dataclass(frozen=True, eq=False)
class _Pass:
    """A work that one training wants to be done with all windows of a part of rows in files."""

    part: Part
    names: tuple[str, ...]
    work: Work[Any]

    @property
    def key(self) -> object:
        return id(self.part), self.names

    def answers(self, alike: Sequence[_Pass]) -> list[Any]:
        return self.part.total(Works(tuple(each.work for each in alike)), self.names)


class _SharedPart(Part):
    """The same rows in files; a pass over them begins when all trainings have asked for theirs."""

    def __init__(self, part: Part, ask: Ask) -> None:
        super().__init__(part.store, part.share, part.changes, part.kind, part.clock)
        self.part, self.ask = part, ask

    def block(self, names: Sequence[str], start: int, stop: int) -> list[Array]:
        return self.part.block(names, start, stop)

    def total(self, work: Work[T], names: Sequence[str]) -> T:
        found: T = self.ask(_Pass(self.part, tuple(names), work))
        return found

    def visits(self, names: Sequence[str], units: Sequence[int]) -> Iterator[Visit]:
        return self.part.visits(names, units)


@dataclass
class _InStep:
    """Measures in passes that all trainings share where the data are many, else at once."""

    traveller: Traveller[Fit]
    numbers: Mapping[str, Array]
    shares: bool = False

    def whole(self, function: Compiled, data: Mapping[str, Array]) -> Objective:
        shared = [array for name, array in data.items() if name not in self.numbers]
        size = sum(array.nbytes for array in shared)
        return self.part(function, tuple(map(id, shared)), lambda: dict(data), size)

    def part(
        self, function: Compiled, key: object, rows: Callable[[], dict[str, Array]], size: int
    ) -> Objective:
        run, program = function.raw, function.program
        own = {*program.gradients, *self.numbers} & {given.name for given in program.inputs}
        models = several(run, frozenset(own)) if isinstance(run, Run) else None
        if models is None or not models.pays(size):
            return objective(function, rows())
        self.shares = True
        return _Asking(_Loss((models, key), models, rows, [self.numbers]), self.traveller.ask)

    def over(self, part: Part) -> Part:
        self.shares = True
        return _SharedPart(part, self.traveller.ask)

    def walked(self) -> None:
        """What comes after the walk is measured when all have come so far, in common passes again."""
        if self.shares:
            self.traveller.gather()
