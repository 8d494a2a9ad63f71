"""How does Python go on from where a cell is? By the walks of `gs.train`, a step at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gradstep.expression.errors import MathError, resembling
from gradstep.learn.fit import Fit
from gradstep.learn.objective import objective
from gradstep.learn.optimisers import ADAM, GRADIENT_DESCENT, MOMENTUM, State
from gradstep.learn.optimisers import RULES as OPTIMISERS
from gradstep.learn.surface import Layout, Measured, Objective, Parameters
from gradstep.learn.walks import Batches, Stepper, Walk, fitted_walk, plain_walk
from gradstep.page.live import rows_of

Array = npt.NDArray[np.float64]
RULES = {rule.name: rule for rule in OPTIMISERS}


class Walker:
    """A place on the loss surface of a fit, on the rows that its page shows, and the way down from there.

    `parameters` are in the user's units; the walk is in those of training, as in `gs.train`.
    """

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        data, self.along = rows_of(fit)
        self.data = fit.coordinates.data(data)
        self.rows = len(self.data[self.along[0]]) if self.along else 0
        self.start = {name: stack[0] for name, stack in fit.descent.path.items()}
        self.surface = Measured(objective(fit.function, self.data), Layout.of(self.start))
        self.begin()

    def begin(self) -> None:
        """Back to where the fit began."""
        self._stand(self.surface.layout.start)

    def put(self, parameters: Mapping[str, Array]) -> None:
        """Elsewhere: parameters in the user's units."""
        inside = self.fit.coordinates.to_training(parameters)
        self._stand(self.surface.layout.close(inside))

    def _stand(self, x: Array) -> None:
        self.here = self.surface.at(x)
        self.walk: tuple[Mapping[str, Any], Walk] | None = None

    @property
    def parameters(self) -> dict[str, Array]:
        """Where we are, in the user's units."""
        return self.fit.coordinates.to_user(self.surface.layout.open(self.here.x.copy()))

    @property
    def loss(self) -> float:
        """The loss here, in the user's units."""
        return self.fit.coordinates.loss * self.here.loss

    def step(self, settings: Mapping[str, Any]) -> bool:
        """One step down, as `settings` say; False where none leads down.

        The walk keeps its memory from step to step, until it is put elsewhere or is to go another way.
        Raises `MathError` where the rate is so large that the numbers end: then nothing has changed.
        """
        if not self.here.gradient.any():
            return False
        if self.walk is None or self.walk[0] != settings:
            self.walk = dict(settings), self._way(settings)
        try:
            there, rate, _ = next(self.walk[1])
        except StopIteration:
            self.walk = None
            return False
        if not there.finite:
            self.walk = None
            raise MathError(
                f"with the learning rate {rate:g} the next step leaves the range of numbers",
                mend=f'settings = {{"learning_rate": {rate / 10:g}}}',
            )
        self.here = there
        return True

    def _way(self, settings: Mapping[str, Any]) -> Walk:
        rule, rate, batches = RULES[settings["optimiser"]], settings["learning_rate"], None
        if rule is MOMENTUM:
            friction = settings["momentum"]

            def roll(x: Array, gradient: Array, state: State, rate: float) -> tuple[Array, State]:
                v = friction * state["v"] + gradient
                return x - rate * v, {"v": v}

            rule = replace(MOMENTUM, update=roll)
        if settings["batch"] is not None and settings["batch"] < self.rows:
            batches = self._batches(settings["batch"], settings["seed"])
        if rate is None and rule is GRADIENT_DESCENT and batches is None:
            return fitted_walk(self.surface, self.here)
        usual = 0.01 if rule is ADAM else 0.1
        return plain_walk(Stepper(rule, self.surface, batches), self.here, rule, rate or usual)

    def _batches(self, size: int, seed: int) -> Batches:
        """The block of rows of each step, in an order of their own for each pass."""
        blocks = -(-self.rows // size)

        def of(k: int) -> Iterable[Objective]:
            turn, place = divmod(k, blocks)
            order = np.random.default_rng([seed, turn]).permutation(self.rows)
            chosen = order[place * size : (place + 1) * size]
            part = {n: values[chosen] if n in self.along else values for n, values in self.data.items()}
            return [objective(self.fit.function, part)]

        return of


def whole(parameters: Mapping[str, Any], known: Mapping[str, Array]) -> Parameters:
    """All parameters, those that are given in place of the `known`; `MathError` for what cannot be one."""
    found = {name: np.array(value, dtype=np.float64) for name, value in known.items()}
    for name, value in _by_name("parameters", parameters, known).items():
        shape = np.shape(known[name])
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise MathError(
                f"{name} should be numbers, not a {type(value).__name__}", mend=_example(name, shape)
            ) from None
        if array.shape != shape:
            raise MathError(
                f"this is no {name}: it has another shape",
                facts=[f"{name} is {_shape(shape)}", f"this is {_shape(array.shape)}"],
                mend=_example(name, shape),
            )
        if not np.isfinite(array).all():
            raise MathError(f"{name} may not hold NaN or infinity", mend=_example(name, shape))
        found[name] = array
    return found


def _by_name(what: str, changes: Any, known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Changes of what is known by name."""
    names = ", ".join(known)
    if not isinstance(changes, Mapping):
        raise MathError(
            f"{what} are set by name, not with a {type(changes).__name__}", mend=f"a dictionary of {names}"
        )
    unknown = next((name for name in changes if name not in known), None)
    if unknown is not None:
        near = resembling(str(unknown), known)
        raise MathError(
            f"there is no {unknown!r} among the {what}",
            facts=[f"there are {names}"],
            mend=near[0] if near else None,
        )
    return changes


def _example(name: str, shape: tuple[int, ...]) -> str:
    return f"{name} = np.zeros({shape})" if shape else f"{name} = 0.0"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a number"


def settled(changes: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """How to step: what is so `now`, with changes; `MathError` for what cannot be so."""
    settings = {**now, **_by_name("settings", changes, now)}
    if settings["optimiser"] not in RULES:
        raise MathError(
            f"a cell does not walk by {settings['optimiser']!r}",
            facts=[f"it does by {', '.join(RULES)}"],
            mend='settings = {"optimiser": "adam"}',
        )
    for name, right, fact, example in (
        ("learning_rate", _positive, "a number above zero, or None: then it is fitted to each step", 0.1),
        ("momentum", lambda value: _number(value) and 0 <= value < 1, "a number from 0 to below 1", 0.9),
        ("batch", lambda value: value is None or _count(value, 1), "a number of rows, or None for all", 32),
        ("seed", lambda value: _count(value, 0), "a whole number from 0 on", 0),
    ):
        if not right(settings[name]):
            raise MathError(
                f"{name} cannot be {settings[name]!r}", facts=[f"it is {fact}"], mend=f"{name} = {example}"
            )
    return settings


def _number(value: object) -> bool:
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return bool(real and np.isfinite(value))  # type: ignore[call-overload]


def _positive(value: Any) -> bool:
    return value is None or (_number(value) and value > 0)


def _count(value: Any, least: int) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and bool(value >= least)
