"""Which variants of a training does a sweep ask for? Every combination of the values that it lists."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from gradstep.expression.errors import MathError, resembling
from gradstep.expression.node import Expr
from gradstep.expression.shapes import shape_text
from gradstep.learn.arrays import array_of
from gradstep.learn.descent import check_settings
from gradstep.learn.ground import Manner
from gradstep.learn.penalty import L2, Asked, checked_penalty
from gradstep.learn.scaling import Array
from gradstep.operations.evaluation import mentioned

MANNERS = ("learning_rate", "optimiser", "seed", "batch", "steps", "tolerance")
ALSO = {"lr": "learning_rate", "rate": "learning_rate", "eta": "learning_rate", "lambda": L2, "penalty": L2}
MOST = 1000  # variants of one sweep
Variant: TypeAlias = dict[str, Any]
"""What one variant has of its own, by name: settings, and numbers in the formula."""


def variants_of(
    sweep: object, loss: Expr, given: Mapping[str, Any], trained: Collection[str] = ()
) -> list[Variant]:
    """Every combination of the values in a sweep, the last name changing first.

    `given` are the data and `trained` the parameters, whose names cannot be swept as well. What is wrong with
    a sweep is a `MathError`.
    """
    if not isinstance(sweep, Mapping) or not sweep:
        raise MathError(
            "a sweep is lists of values by name", mend='sweep={"learning_rate": [0.01, 0.1, 1.0]}'
        )
    known = mentioned(loss)
    lists = []
    for name, values in sweep.items():
        if name not in MANNERS and (name != L2 or L2 in known):
            _check_number(name, known, given, trained)
        found = _values(name, values)
        lists.append([checked_penalty(each) for each in found] if name == L2 not in known else found)
    count = math.prod(map(len, lists))
    if count > MOST:
        raise MathError(
            f"the sweep has {count:,} variants, and a sweep takes at most {MOST:,}",
            facts=[" × ".join(f"{len(values)} of {name}" for name, values in zip(sweep, lists, strict=True))],
            mend="fewer values, or several sweeps",
        )
    return [dict(zip(sweep, values, strict=True)) for values in itertools.product(*lists)]


def asked_for(
    sweep: object, loss: Expr, given: Mapping[str, Any], wrt: object, alone: Mapping[str, Any]
) -> list[Variant]:
    """The variants of a sweep, none without one; what is given `alone` is not swept too."""
    if sweep is None:
        return []
    trained = (wrt,) if isinstance(wrt, str) else tuple(wrt) if isinstance(wrt, Sequence) else ()
    each = variants_of(sweep, loss, given, trained)
    for name, value in alone.items():
        if value is not None and name in each[0]:
            raise MathError(f"{name} is given, and swept too", mend=f"{name} in the sweep alone")
    return each


def first_numbers(
    each: Sequence[Variant], loss: Expr, l2: Asked | None
) -> tuple[dict[str, Array], Asked | None]:
    """The numbers in the formula that the first variant sets, and its penalty; `l2` where none is swept."""
    numbers = numbers_of(each[0]) if each else {}
    if L2 in numbers and L2 not in mentioned(loss):
        l2 = float(numbers.pop(L2))
    return numbers, l2


def _check_number(
    name: object, known: Mapping[str, Expr], given: Mapping[str, Any], trained: Collection[str]
) -> None:
    """Whether this is a number in the formula that a sweep may set."""
    free = {other: variable for other, variable in known.items() if other not in {*given, *trained}}
    numbers = [other for other, variable in free.items() if not variable.rank]
    facts = [f"settings: {', '.join([*MANNERS, L2])}"]
    facts += [f"numbers in the formula: {', '.join(numbers)}"] if numbers else []
    if not isinstance(name, str):
        raise MathError(f"what is swept has a name, not {name!r:.40}", facts=facts)
    if name == "momentum":
        raise MathError(
            "momentum is an optimiser here, which keeps nine tenths of its speed",
            mend='sweep={"optimiser": ["gradient descent", "momentum", "adam"]}',
        )
    if name in given:
        raise MathError(f"{name} is given as data and in the sweep", mend=f"data without {name}")
    if name in trained:
        raise MathError(f"{name} is to be trained, so it is not swept", facts=facts, mend="another wrt")
    if name in known and known[name].rank:
        raise MathError(
            f"a sweep sets numbers, and {name} is an array",
            facts=[f"{name} is {shape_text(known[name].shape)}", *facts],
        )
    if name not in known:
        near = resembling(ALSO.get(name, name), [*MANNERS, L2, *numbers])
        raise MathError(
            f"a sweep has no {name!r:.40}: it is no setting, and no number in the formula",
            facts=facts,
            mend=near[0] if near else None,
        )


def _values(name: str, values: object) -> list[Any]:
    """The values of one name."""
    if isinstance(values, range | np.ndarray):
        values = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if not isinstance(values, list | tuple) or not values:
        found = "an empty list" if isinstance(values, list | tuple) else repr(values)
        raise MathError(f"the values of {name} in a sweep are a list, not {found:.40}", mend=f'"{name}": […]')
    return [each.item() if isinstance(each, np.generic) else each for each in values]


def manner_of(variant: Variant, usual: Manner) -> Manner:
    """How this variant is trained; a setting that cannot be is a `MathError`."""
    own = {name: value for name, value in variant.items() if name in MANNERS}
    manner = replace(usual, **own)
    seed = manner.seed
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise MathError(f"a seed is a whole number from 0 on, not {seed!r:.40}", mend='"seed": [0, 1, 2]')
    check_settings(manner.learning_rate, manner.steps, manner.tolerance)
    manner.choice  # noqa: B018  says what is wrong with it
    return manner


def numbers_of(variant: Variant) -> dict[str, Array]:
    """The numbers in the formula, and of its penalty, that this variant sets."""
    return {name: array_of(name, value, ())[0] for name, value in variant.items() if name not in MANNERS}


def told(variant: Variant) -> str:
    """A variant in words: learning_rate 0.1, seed 2."""
    return ", ".join(f"{name} {shown(value)}" for name, value in variant.items())


def shown(value: object) -> str:
    """A value in a table."""
    if value is None:
        return "automatic"
    return f"{value:g}" if isinstance(value, float) else str(value)
