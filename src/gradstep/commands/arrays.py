"""`gradstep jacobian`, `hessian`, `jvp`, `hvp`: derivatives of vectors by vectors, and products with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from gradstep import public
from gradstep.commands.formulas import (
    FormulaCommand,
    formula_options,
    read_formula,
    structure_option,
    structures,
)
from gradstep.commands.telling import formulas, say, telling_options

along = click.option("--along", default="v", show_default=True, help="The name of the direction.")


@click.command(cls=FormulaCommand)
@formula_options
@structure_option
@telling_options
def jacobian(
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
    """The Jacobian of EXPR, step by step.

    \b
        gradstep jacobian 'W @ tanh(V @ x)' W:k,h V:h,d x:d --wrt x
    """
    f, parameters = read_formula(expr, shapes, wrt, assume)
    inside = structures(structure)
    found = public.jacobian(f, parameters, given=formulas(given), names=names, structure=inside, seed=seed)
    say(found, **telling)


@click.command(cls=FormulaCommand)
@formula_options
@structure_option
@telling_options
def hessian(
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
    """The Hessian of EXPR, a number, step by step: its gradient, and how that moves.

    \b
        gradstep hessian 'mean((y - relu(X @ w + b))**2)' X:N,d w:d b: y:N --wrt w
    """
    loss, parameters = read_formula(expr, shapes, wrt, assume)
    inside = structures(structure)
    found = public.hessian(loss, parameters, given=formulas(given), names=names, structure=inside, seed=seed)
    say(found, **telling)


@click.command(cls=FormulaCommand)
@formula_options
@along
@telling_options
def jvp(
    expr: str,
    shapes: Sequence[str],
    wrt: str,
    assume: Sequence[str],
    along: str,
    given: Sequence[str],
    names: str,
    seed: int | None,
    **telling: Any,
) -> None:
    """How EXPR changes when the variable moves along a direction: the Jacobian times a vector.

    \b
        gradstep jvp 'W @ tanh(V @ x)' W:k,h V:h,d x:d --wrt x --along u
    """
    f, parameters = read_formula(expr, shapes, wrt, assume)
    say(public.jvp(f, parameters, along, given=formulas(given), names=names, seed=seed), **telling)


@click.command(cls=FormulaCommand)
@formula_options
@along
@telling_options
def hvp(
    expr: str,
    shapes: Sequence[str],
    wrt: str,
    assume: Sequence[str],
    along: str,
    given: Sequence[str],
    names: str,
    seed: int | None,
    **telling: Any,
) -> None:
    """How the gradient of EXPR changes along a direction: the Hessian times a vector, without the Hessian.

    \b
        gradstep hvp 'mean((y - relu(X @ w + b))**2)' X:N,d w:d b: y:N --wrt w
    """
    loss, parameters = read_formula(expr, shapes, wrt, assume)
    say(public.hvp(loss, parameters, along, given=formulas(given), names=names, seed=seed), **telling)
