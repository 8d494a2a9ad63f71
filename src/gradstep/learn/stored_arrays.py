"""Do the arrays of files fit the loss? They are data of it, of the declared shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradstep.calculus.steps import Derivation
from gradstep.expression.errors import MathError
from gradstep.expression.node import Expr
from gradstep.learn.arrays import wrong_axes
from gradstep.learn.columns import listed
from gradstep.learn.reading import Change, Part
from gradstep.learn.stores import Store


def check_rows(
    derivation: Derivation,
    declared: Mapping[str, Expr],
    given: Sequence[str],
    part: Part,
) -> None:
    """The arrays of a store are data of the loss, with the same rows, of the declared shapes."""
    store = part.store
    if not given:
        raise MathError(
            "the loss uses no array of the files", facts=[f"{store.source} has {listed(store.names)}"]
        )
    for name, first in zip(given, part.block(given, 0, 1), strict=True):
        if name in derivation.parameters:
            raise MathError(
                f"{name} is given as data, but it is to be trained",
                mend=f'start={{"{name}": …}} to begin there',
            )
        if first.ndim != declared[name].rank:
            raise wrong_axes(name, (store.count, *first.shape[1:]), declared[name].shape)


def columns_as_numbers(store: Store, declared: Mapping[str, Expr], given: Sequence[str]) -> dict[str, Change]:
    """A column in a file is a vector where a vector was declared."""
    rows = {name: store.shapes[name] for name in given}
    return {
        name: lambda array: array[..., 0]
        for name, row in rows.items()
        if len(row) == declared[name].rank and row[-1:] == (1,)
    }
