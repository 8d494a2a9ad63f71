"""`gradstep derive`: the gradient of a loss, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from gradstep.commands.formulas import (
    FormulaCommand,
    formula_options,
    read_formula,
    structure_option,
    structures,
)
from gradstep.commands.telling import formulas, say, telling_options
from gradstep.public import derive


@click.command(cls=FormulaCommand)
@formula_options
@structure_option
@telling_options
def command(
    expr: str,
    shapes: Sequence[str],
    wrt: str,
    assume: Sequence[str],
    structure: Sequence[str],
    given: Sequence[str],
    names: str,
    seed: int | None,
    **telling: Any,
) -> None:
    """The gradient of EXPR, step by step.

    \b
    EXPR is NumPy-like; every variable gets its shape as NAME:SIZES, a number NAME: alone.
        gradstep derive 'mean((y - relu(X @ w + b))**2)' X:N,d w:d b: y:N --wrt w,b --view sample
        gradstep derive 'x + u' x: u: --wrt x --given 'u = x**2'
    """
    loss, parameters = read_formula(expr, shapes, wrt, assume)
    inside = structures(structure)
    derivation = derive(loss, parameters, given=formulas(given), names=names, structure=inside, seed=seed)
    say(derivation, **telling)
